//! `Pointer`: what others implement, and maps over it.

use crate::common::{forever, promptly};
use highlander::map::ByAddress;
use highlander::pointer::{Pointer, Unreported, WeakPointer};
use highlander::{Handle, Registry, WeakKeyMap, WeakKeyValueMap, WeakSet, WeakValueMap};
use std::cell::Cell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak};

#[test]
fn a_pointer_and_its_weak_twin_have_one_address_and_no_other_object_has_it() {
    fn check<P: Pointer>(one: P, other: P) {
        let weak = P::downgrade(&one);
        assert_eq!(P::address(&one), weak.address());
        assert_ne!(P::address(&one), P::address(&other));
        assert_eq!(P::address(&weak.upgrade().unwrap()), weak.address());
        assert!(!weak.is_dead());
        drop(one);
        assert!(weak.is_dead() && weak.upgrade().is_none());
        assert_ne!(P::address(&other), weak.address());
    }
    check(Arc::new(1), Arc::new(1));
    check(Arc::new(()), Arc::new(()));
    check(Rc::new("x".to_string()), Rc::new("x".to_string()));
    check::<Arc<str>>("x".into(), "x".into());
    check::<Arc<dyn Send>>(Arc::new(()), Arc::new(()));
    let registry: Registry<u32, ()> = Registry::new();
    check(registry.insert(1, ()).0, registry.insert(2, ()).0);
}

#[test]
fn a_new_handle_in_a_dead_ones_place_has_another_address() {
    let registry: Registry<u32, u32> = Registry::new();
    let notes: WeakKeyMap<Handle<u32, u32>, &str, ByAddress> = WeakKeyMap::new();
    let old = registry.insert(1, 1).0;
    let place = Handle::as_ptr(&old);
    notes.insert(&old, "old");
    drop(old);
    let new = registry.insert(1, 1).0;
    assert_eq!(Handle::as_ptr(&new), place, "the node is recycled");
    assert_eq!(notes.get(&new), None);
}

#[test]
fn maps_over_rc_stay_on_their_thread_and_work() {
    let map: WeakValueMap<u32, Rc<Cell<u32>>> = WeakValueMap::new();
    let value = map.get_or_insert_with(1, |_| Rc::new(Cell::new(1)));
    map.get(&1).unwrap().set(2);
    assert_eq!(value.get(), 2);
    drop(value);
    assert_eq!((map.len(), map.prune()), (0, 1));
}

thread_local!(static MEDDLING: Cell<bool> = const { Cell::new(false) });

fn pairs() -> &'static WeakKeyValueMap<Foreign, Foreign, ByAddress> {
    static PAIRS: std::sync::OnceLock<&WeakKeyValueMap<Foreign, Foreign, ByAddress>> =
        std::sync::OnceLock::new();
    PAIRS.get_or_init(|| forever(WeakKeyValueMap::new()))
}

/// Uses the map from each of its functions, as a foreign runtime may that runs its own code there.
fn meddle() {
    if MEDDLING.replace(true) {
        return;
    }
    let (a, b) = (Foreign(Arc::new(1)), Foreign(Arc::new(2)));
    pairs().insert(&a, b.clone());
    assert!(pairs().get(&a).is_some() && pairs().get_by_value(&b).is_some());
    pairs().prune();
    pairs().remove(&a);
    pairs().len();
    drop((a, b));
    MEDDLING.set(false);
}

#[derive(PartialEq, Debug)]
struct Foreign(Arc<u32>);

struct WeakForeign(Weak<u32>);

impl Clone for Foreign {
    fn clone(&self) -> Self {
        meddle();
        Self(self.0.clone())
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        meddle();
    }
}

impl Clone for WeakForeign {
    fn clone(&self) -> Self {
        meddle();
        Self(self.0.clone())
    }
}

impl Drop for WeakForeign {
    fn drop(&mut self) {
        meddle();
    }
}

impl Pointer for Foreign {
    type Target = u32;
    type Weak = WeakForeign;
    type Death = Unreported;

    fn downgrade(this: &Self) -> WeakForeign {
        meddle();
        WeakForeign(Arc::downgrade(&this.0))
    }

    fn target(this: &Self) -> &u32 {
        meddle();
        &this.0
    }

    fn address(this: &Self) -> *const () {
        meddle();
        Arc::as_ptr(&this.0).cast()
    }
}

impl WeakPointer for WeakForeign {
    type Strong = Foreign;

    fn upgrade(&self) -> Option<Foreign> {
        meddle();
        self.0.upgrade().map(Foreign)
    }

    fn is_dead(&self) -> bool {
        meddle();
        self.0.strong_count() == 0
    }

    fn address(&self) -> *const () {
        meddle();
        self.0.as_ptr().cast()
    }
}

#[test]
fn no_function_of_a_foreign_pointer_runs_under_a_lock() {
    promptly(|| {
        let held: Vec<_> = (0..50)
            .map(|i| (Foreign(Arc::new(i)), Foreign(Arc::new(i))))
            .collect();
        for (k, v) in &held {
            assert!(pairs().insert(k, v.clone()).is_none());
            assert!(pairs().insert(k, v.clone()).is_some());
        }
        for (k, v) in &held {
            assert_eq!(pairs().get(k).as_ref(), Some(v));
            assert_eq!(pairs().get_by_value(v).as_ref(), Some(k));
            assert_eq!(&pairs().get_or_insert_with(k, |_| unreachable!()), v);
            let same = pairs().update(k, |v| v.cloned());
            assert_eq!(same.as_ref(), Some(v));
        }
        assert!(pairs().iter().count() >= 50);
        pairs().retain(|k, _| *k.0 % 2 == 0);
        drop(held);
        pairs().prune();
        assert_eq!(pairs().len(), 0);
        pairs().clear();
    });
}

/// A pointer whose weak twins panic: all when they are dropped, and the chosen one when it is upgraded.
#[derive(Clone)]
struct Loud {
    number: Arc<u32>,
    ends: Arc<AtomicUsize>,
    fails: Arc<AtomicUsize>,
}

struct WeakLoud {
    number: Weak<u32>,
    ends: Arc<AtomicUsize>,
    fails: Arc<AtomicUsize>,
    loud: bool,
}

impl Clone for WeakLoud {
    fn clone(&self) -> Self {
        unreachable!("sets do not clone weak pointers")
    }
}

impl Drop for WeakLoud {
    fn drop(&mut self) {
        self.ends.fetch_add(1, SeqCst);
        assert!(!self.loud, "weak drop");
    }
}

impl Pointer for Loud {
    type Target = u32;
    type Weak = WeakLoud;
    type Death = Unreported;

    fn downgrade(this: &Self) -> WeakLoud {
        WeakLoud {
            number: Arc::downgrade(&this.number),
            ends: Arc::clone(&this.ends),
            fails: Arc::clone(&this.fails),
            loud: true,
        }
    }

    fn target(this: &Self) -> &u32 {
        &this.number
    }

    fn address(this: &Self) -> *const () {
        Arc::as_ptr(&this.number).cast()
    }
}

impl WeakPointer for WeakLoud {
    type Strong = Loud;

    fn upgrade(&self) -> Option<Loud> {
        let number = self.number.upgrade()?;
        let failed = self
            .fails
            .compare_exchange(*number as usize, 0, SeqCst, SeqCst);
        assert!(failed.is_err(), "upgrade");
        Some(Loud {
            number,
            ends: Arc::clone(&self.ends),
            fails: Arc::clone(&self.fails),
        })
    }

    fn is_dead(&self) -> bool {
        self.number.strong_count() == 0
    }

    fn address(&self) -> *const () {
        self.number.as_ptr().cast()
    }
}

fn loud_members() -> (WeakSet<Loud, ByAddress>, Vec<Loud>) {
    let (ends, fails) = (Arc::default(), Arc::default());
    let member = |number| Loud {
        number: Arc::new(number),
        ends: Arc::clone(&ends),
        fails: Arc::clone(&fails),
    };
    let members: Vec<_> = (1..41).map(member).collect();
    let set = WeakSet::new();
    members.iter().for_each(|member| {
        set.insert(member);
    });
    (set, members)
}

#[test]
fn a_set_outlives_the_panics_of_weak_pointers_that_go_with_it() {
    let (set, members) = loud_members();
    drop(set);
    assert_eq!(members[0].ends.load(SeqCst), members.len());
}

#[test]
fn an_iteration_goes_on_behind_a_panic_of_an_upgrade() {
    let (set, members) = loud_members();
    for at in [1, 5, 16, 17, 40] {
        members[0].fails.store(at, SeqCst);
        let mut iter = set.iter();
        let mut shown = Vec::new();
        let panics = (0..)
            .map_while(|_| match catch_unwind(AssertUnwindSafe(|| iter.next())) {
                Ok(Some(member)) => {
                    shown.push(*member.number);
                    Some(0)
                }
                Ok(None) => None,
                Err(_) => Some(1),
            })
            .sum::<usize>();
        // Each once; the one that failed is asked again.
        assert_eq!(shown, (1..41).collect::<Vec<_>>(), "panic at {at}");
        assert_eq!(panics, 1);
    }
}
