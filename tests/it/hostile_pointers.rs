//! Pointers of the user's whose code panics, or does something else, in the middle of a call.

use crate::common::promptly;
use highlander::map::ByAddress;
use highlander::pointer::{
    Notify, Pointer, Registration, ReportedWithEnd, Unreported, Watched, WeakPointer, WeakWatched,
};
use highlander::{WeakKeyMap, WeakKeyValueMap, WeakSet, WeakValueMap};
use std::cell::Cell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{mpsc, Arc, Weak};
use std::thread;

/// What a [`Fragile`] does and what is left of it.
#[derive(Default)]
struct Plan {
    clone_panics: AtomicBool,
    compared: AtomicUsize,
    weak_made: AtomicUsize,
    weak_dropped: AtomicUsize,
    keys_dropped: AtomicUsize,
}

/// Its clone panics when it is told to.
struct Fragile(Arc<String>, &'static Plan);

struct WeakFragile {
    weak: Weak<String>,
    plan: &'static Plan,
    /// So that a second drop is seen by tools too.
    _heap: Box<u8>,
}

impl WeakFragile {
    fn new(weak: Weak<String>, plan: &'static Plan) -> Self {
        plan.weak_made.fetch_add(1, SeqCst);
        Self {
            weak,
            plan,
            _heap: Box::new(1),
        }
    }
}

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(!self.1.clone_panics.swap(false, SeqCst), "clone");
        Self(self.0.clone(), self.1)
    }
}

impl Clone for WeakFragile {
    fn clone(&self) -> Self {
        Self::new(self.weak.clone(), self.plan)
    }
}

impl Drop for WeakFragile {
    fn drop(&mut self) {
        self.plan.weak_dropped.fetch_add(1, SeqCst);
    }
}

impl Pointer for Fragile {
    type Target = String;
    type Weak = WeakFragile;
    type Death = Unreported;
    fn downgrade(this: &Self) -> WeakFragile {
        WeakFragile::new(Arc::downgrade(&this.0), this.1)
    }
    fn target(this: &Self) -> &String {
        &this.0
    }
    fn address(this: &Self) -> *const () {
        Arc::as_ptr(&this.0).cast()
    }
}

impl WeakPointer for WeakFragile {
    type Strong = Fragile;
    fn upgrade(&self) -> Option<Fragile> {
        Some(Fragile(self.weak.upgrade()?, self.plan))
    }
    fn is_dead(&self) -> bool {
        self.weak.strong_count() == 0
    }
    fn address(&self) -> *const () {
        self.weak.as_ptr().cast()
    }
}

struct Key(&'static Plan);

impl PartialEq for Key {
    fn eq(&self, _: &Self) -> bool {
        self.0.compared.fetch_add(1, SeqCst);
        true
    }
}

impl Eq for Key {}

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.keys_dropped.fetch_add(1, SeqCst);
    }
}

/// The value is entered by then, and dies with the panic. Its key and weak pointer are dropped once, and one who waits looks again: he finds it while it
/// lives, and else creates anew, with a key of his own.
#[test]
fn a_clone_that_panics_for_those_who_wait_does_not_hand_over_what_was_entered() {
    promptly(|| {
        let plan: &Plan = crate::common::forever(Plan::default());
        let map: WeakValueMap<Key, Fragile> = WeakValueMap::new();
        let (making, is_making) = mpsc::channel();
        let (go, goes) = mpsc::channel();
        thread::scope(|scope| {
            let map = &map;
            let creator = scope.spawn(move || {
                let made = catch_unwind(AssertUnwindSafe(|| {
                    map.get_or_insert_with(Key(plan), |_| {
                        making.send(()).unwrap();
                        goes.recv().unwrap();
                        plan.clone_panics.store(true, SeqCst);
                        Fragile(Arc::new("first".to_string()), plan)
                    })
                }));
                assert!(made.is_err());
            });
            is_making.recv().unwrap();
            let waiter = scope.spawn(move || {
                map.get_or_insert_with(Key(plan), |_| {
                    // What was entered goes, and its key is not the one that is created now.
                    map.prune();
                    Fragile(Arc::new("second".to_string()), plan)
                })
            });
            // It compares its key when it has joined those who wait.
            while plan.compared.load(SeqCst) == 0 {
                thread::yield_now();
            }
            go.send(()).unwrap();
            creator.join().unwrap();
            let found = waiter.join().unwrap();
            assert!(["first", "second"].contains(&found.0.as_str()));
        });
        drop(map);
        let (made, dropped) = (plan.weak_made.load(SeqCst), plan.weak_dropped.load(SeqCst));
        assert_eq!(made, dropped);
        assert_eq!(plan.keys_dropped.load(SeqCst), 2);
    });
}

/// How often an upgrade goes by before another thread takes the entry out.
static UPGRADES_LEFT: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Debug)]
struct Upgrading(Watched<u32>);

#[derive(Clone)]
struct WeakUpgrading(WeakWatched<u32>);

impl Pointer for Upgrading {
    type Target = u32;
    type Weak = WeakUpgrading;
    type Death = ReportedWithEnd;
    fn downgrade(this: &Self) -> WeakUpgrading {
        WeakUpgrading(Watched::downgrade(&this.0))
    }
    fn target(this: &Self) -> &u32 {
        &this.0
    }
    fn address(this: &Self) -> *const () {
        <Watched<u32> as Pointer>::address(&this.0)
    }
    fn watch(this: &Self, notify: Notify) -> Option<Registration> {
        <Watched<u32> as Pointer>::watch(&this.0, notify)
    }
}

impl WeakPointer for WeakUpgrading {
    type Strong = Upgrading;
    fn upgrade(&self) -> Option<Upgrading> {
        if UPGRADES_LEFT.load(SeqCst) > 0 && UPGRADES_LEFT.fetch_sub(1, SeqCst) == 1 {
            let remover = thread::spawn(|| MAP.remove(&1));
            drop(remover.join().unwrap());
        }
        self.0.upgrade().map(Upgrading)
    }
    fn is_dead(&self) -> bool {
        !self.0.is_alive()
    }
    fn address(&self) -> *const () {
        WeakPointer::address(&self.0)
    }
}

static MAP: WeakValueMap<u32, Upgrading> = WeakValueMap::new().exclusive();

/// Whenever it is taken out, between two steps of the insertion too.
#[test]
fn nobody_waits_for_a_value_that_was_taken_out_of_an_exclusive_map_while_it_was_entered() {
    promptly(|| {
        for upgrades in 1..6 {
            let value = Upgrading(Watched::new(1));
            UPGRADES_LEFT.store(upgrades, SeqCst);
            let _ = MAP.insert(1, value.clone());
            UPGRADES_LEFT.store(0, SeqCst);
            drop(MAP.remove(&1));
            // On another thread, as a creator of the key would be.
            let creator =
                thread::spawn(|| *MAP.get_or_insert_with(1, |_| Upgrading(Watched::new(2))).0);
            assert_eq!(creator.join().unwrap(), 2);
            drop(value);
        }
    });
}

/// An object in an arena, whose address is its slot there: against the rules, as slots are used again under weak pointers. One in slot 0 is alive, and out of reach for ever.
#[derive(Clone)]
struct Slotted(Arc<usize>);

#[derive(Clone)]
struct WeakSlotted(Weak<usize>, usize);

impl Slotted {
    fn new(slot: usize) -> Self {
        Self(Arc::new(slot))
    }
}

impl Pointer for Slotted {
    type Target = usize;
    type Weak = WeakSlotted;
    type Death = Unreported;
    fn downgrade(this: &Self) -> WeakSlotted {
        WeakSlotted(Arc::downgrade(&this.0), *this.0)
    }
    fn target(this: &Self) -> &usize {
        &this.0
    }
    fn address(this: &Self) -> *const () {
        std::ptr::without_provenance(*this.0)
    }
}

impl WeakPointer for WeakSlotted {
    type Strong = Slotted;
    fn upgrade(&self) -> Option<Slotted> {
        self.0.upgrade().filter(|slot| **slot > 0).map(Slotted)
    }
    fn is_dead(&self) -> bool {
        self.0.strong_count() == 0
    }
    fn address(&self) -> *const () {
        std::ptr::without_provenance(self.1)
    }
}

/// Calls `f` twice with objects at one address: the first one is dead at the second time, or out of reach.
fn twice_at_one_address(mut f: impl FnMut(&Slotted)) {
    f(&Slotted::new(1));
    f(&Slotted::new(1));
    let lost = Slotted::new(0);
    f(&lost);
    f(&lost);
}

#[test]
fn an_address_that_is_used_again_takes_the_place_of_the_dead() {
    promptly(|| {
        let map: WeakKeyMap<Slotted, u32, ByAddress> = WeakKeyMap::new();
        let mut value = 0;
        twice_at_one_address(|key| {
            value += 1;
            map.insert(key, value);
            assert_eq!(map.get(key), Some(value));
            value += 1;
            assert_eq!(map.update(key, |_| Some(value)), Some(value));
            assert_eq!(map.get(key), Some(value));
        });
        let map: WeakKeyValueMap<Slotted, Arc<u32>, ByAddress> = WeakKeyValueMap::new();
        twice_at_one_address(|key| {
            let value = Arc::new(1);
            map.insert(key, Arc::clone(&value));
            assert!(Arc::ptr_eq(&map.get(key).unwrap(), &value));
        });
        let set: WeakSet<Slotted, ByAddress> = WeakSet::new();
        twice_at_one_address(|member| {
            assert!(Arc::ptr_eq(&set.get_or_insert(member.clone()).0, &member.0));
        });
        // The lost one is alive, so it is a member still.
        let mut entered = Vec::new();
        twice_at_one_address(|member| entered.push(set.insert(member)));
        assert_eq!(entered, [true, true, true, false]);
    });
}

thread_local! {
    /// The last owner of a key, which lets go in the middle of a call of its pointer: as another thread might, at that moment.
    static LAST_OWNER: Cell<Option<Fleeting>> = const { Cell::new(None) };
    /// So many calls of the pointer later.
    static LETS_GO_IN: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn a_call_of_the_pointer() {
    let left = LETS_GO_IN.get().saturating_sub(1);
    LETS_GO_IN.set(left);
    if left == 0 {
        drop(LAST_OWNER.take());
    }
}

struct Fleeting(Arc<str>);

struct WeakFleeting(Weak<str>);

impl Clone for Fleeting {
    fn clone(&self) -> Self {
        a_call_of_the_pointer();
        Self(Arc::clone(&self.0))
    }
}

impl Clone for WeakFleeting {
    fn clone(&self) -> Self {
        Self(Weak::clone(&self.0))
    }
}

impl Pointer for Fleeting {
    type Target = str;
    type Weak = WeakFleeting;
    type Death = Unreported;
    fn downgrade(this: &Self) -> WeakFleeting {
        a_call_of_the_pointer();
        WeakFleeting(Arc::downgrade(&this.0))
    }
    fn target(this: &Self) -> &str {
        a_call_of_the_pointer();
        &this.0
    }
    fn address(this: &Self) -> *const () {
        Arc::as_ptr(&this.0).cast()
    }
}

impl WeakPointer for WeakFleeting {
    type Strong = Fleeting;
    fn upgrade(&self) -> Option<Fleeting> {
        a_call_of_the_pointer();
        self.0.upgrade().map(Fleeting)
    }
    fn is_dead(&self) -> bool {
        a_call_of_the_pointer();
        self.0.strong_count() == 0
    }
    fn address(&self) -> *const () {
        self.0.as_ptr().cast()
    }
}

/// An equal key is entered in the course of a creation, and dies in any of the calls of its pointer that come after that.
#[test]
fn the_key_that_comes_back_is_the_one_that_is_stored_whenever_an_equal_one_dies() {
    promptly(|| {
        let key = || Fleeting("k".into());
        let (mut replaced, mut kept) = (0, 0);
        for (lets_go_in, while_made) in (1..20).flat_map(|n| [(n, false), (n, true)]) {
            let others = |enter: &dyn Fn(&Fleeting)| {
                let other = key();
                enter(&other);
                LAST_OWNER.set(Some(other));
                LETS_GO_IN.set(lets_go_in);
            };
            let mut count = |stored: Option<Fleeting>, returned: &Fleeting, is_made: bool| {
                let stored = stored.unwrap_or_else(|| panic!("{lets_go_in} {while_made}"));
                assert!(Arc::ptr_eq(&stored.0, &returned.0));
                *(if is_made { &mut replaced } else { &mut kept }) += 1;
            };

            let map: WeakKeyMap<Fleeting, u32> = WeakKeyMap::new();
            let enter = |other: &Fleeting| assert_eq!(map.insert(other, 7), None);
            let to_pointer = |_: &str| {
                (!while_made).then(|| others(&enter));
                key()
            };
            let make = |_: &Fleeting| {
                while_made.then(|| others(&enter));
                8
            };
            let (returned, value) = map.entry_ref("k").key_with(to_pointer).or_insert_with(make);
            LETS_GO_IN.set(usize::MAX);
            let (stored, same) = map.get_key_value("k").unzip();
            assert_eq!(same, Some(value));
            count(stored, &returned, value == 8);
            LAST_OWNER.set(None);

            let map: WeakKeyValueMap<Fleeting, Arc<u32>> = WeakKeyValueMap::new();
            let seven = Arc::new(7);
            let enter = |other: &Fleeting| assert_eq!(map.insert(other, seven.clone()), None);
            let to_pointer = |_: &str| {
                (!while_made).then(|| others(&enter));
                key()
            };
            let make = |_: &Fleeting| {
                while_made.then(|| others(&enter));
                Arc::new(8)
            };
            let (returned, value) = map.entry_ref("k").key_with(to_pointer).or_insert_with(make);
            LETS_GO_IN.set(usize::MAX);
            let (stored, same) = map.get_key_value("k").unzip();
            assert!(same.is_some_and(|same| Arc::ptr_eq(&same, &value)));
            count(stored, &returned, *value == 8);
            LAST_OWNER.set(None);
        }
        assert!(replaced > 0 && kept > 0, "{replaced} {kept}");
    });
}
