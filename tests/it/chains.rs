//! Values that own each other in long chains: dropping the first one ends them all, before it returns, on a stack that does not grow.

use crate::common::{panic_of, promptly, Census, Citizen};
use highlander::map::{ByAddress, RemovalCause};
use highlander::pointer::{Registration, Token, Watched, WeakWatched};
use highlander::{Handle, Interned, Interner, Registry, WeakKeyMap, WeakSet, WeakValueMap};
use std::any::Any;
use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

/// Longer than a stack of 8 MiB bears, or one of 1 MiB, which the frames of sanitizers need.
const LONG: usize = 100_000;
/// Some times as deep as ends nest before they are put aside, which is 64.
const DEEP: usize = 300;

/// Owns the next one, whatever that is.
struct Link<N> {
    #[allow(dead_code)] // there to be dropped
    next: Option<N>,
    number: usize,
    _counted: Citizen,
}

/// A link that watches its own drop.
type Chain = Watched<Noted>;

struct Noted {
    link: Link<Chain>,
    drops: Option<Box<dyn Fn(usize) + Send + Sync>>,
}

impl Drop for Noted {
    fn drop(&mut self) {
        if let Some(drops) = &self.drops {
            drops(self.link.number);
        }
    }
}

/// Number 0 is the outermost. `made` sees each, the innermost first.
fn chain(
    census: &Census,
    len: usize,
    drops: impl Fn(usize) + Send + Sync + Clone + 'static,
    mut made: impl FnMut(&Chain),
) -> Chain {
    let mut next = None;
    for number in (0..len).rev() {
        let link = Link {
            next: next.take(),
            number,
            _counted: census.citizen(),
        };
        let watched = Watched::new(Noted {
            link,
            drops: Some(Box::new(drops.clone())),
        });
        made(&watched);
        next = Some(watched);
    }
    next.expect("not empty")
}

fn plain_chain(census: &Census, len: usize) -> Chain {
    chain(census, len, |_| {}, |_| {})
}

fn on_a_small_stack(f: impl FnOnce() + Send + 'static) {
    let small = thread::Builder::new().stack_size(1024 * 1024);
    small.spawn(f).unwrap().join().unwrap();
}

#[test]
fn a_hundred_thousand_watched_values() {
    let census = Census::new();
    let outermost = plain_chain(&census, LONG);
    assert_eq!(census.alive(), LONG as isize);
    drop(outermost);
    assert_eq!(census.alive(), 0, "before the outermost drop returns");
    let outermost = plain_chain(&census, LONG);
    on_a_small_stack(move || drop(outermost));
    assert_eq!(census.alive(), 0);
}

#[test]
fn each_is_dropped_once_and_the_outer_one_first() {
    let dropped = Arc::new(Mutex::new(Vec::new()));
    let census = Census::new();
    let notes = Arc::clone(&dropped);
    drop(chain(
        &census,
        DEEP,
        move |number| notes.lock().unwrap().push(number),
        |_| {},
    ));
    assert_eq!(*dropped.lock().unwrap(), (0..DEEP).collect::<Vec<_>>());
}

#[test]
fn with_everybody_watching() {
    let census = Census::new();
    let (set, map): (
        WeakSet<Chain, ByAddress>,
        WeakKeyMap<Chain, Arc<Citizen>, ByAddress>,
    ) = Default::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let mut weak = Vec::new();
    let watch = |watched: &Chain| {
        set.insert(watched);
        map.insert(watched, Arc::new(census.citizen()));
        let (me, calls) = (Watched::downgrade(watched), Arc::clone(&calls));
        weak.push(me.clone());
        Watched::on_death(watched, move || {
            assert!(me.upgrade().is_none());
            calls.fetch_add(1, SeqCst);
        })
        .keep();
    };
    let outermost = chain(&census, 10_000, |_| {}, watch);
    assert_eq!((set.entry_count(), map.len()), (10_000, 10_000));
    drop(outermost);
    assert_eq!((set.entry_count(), map.len()), (0, 0));
    assert_eq!((calls.load(SeqCst), census.alive()), (10_000, 0));
    assert!(weak.iter().all(|weak| !weak.is_alive()));
}

#[test]
fn by_turns_with_handles_and_interned_values() {
    struct Even(#[allow(dead_code)] Option<Interned<Odd>>);
    struct Odd(u32, #[allow(dead_code)] Watched<dyn Any + Send + Sync>);
    impl PartialEq for Odd {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Odd {}
    impl Hash for Odd {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    let census = Census::new();
    let (evens, odds): (Registry<u32, Even>, Interner<Odd>) = Default::default();
    let mut last = evens.get_or_insert_with(0, |_| Even(None));
    for number in 1..30_000 {
        let link = Link {
            next: Some(last),
            number: number as usize,
            _counted: census.citizen(),
        };
        let any: Watched<dyn Any + Send + Sync> = Watched::unsize(Watched::new(link), |it| it as _);
        let odd = odds.intern_owned(Odd(number, any));
        last = evens.get_or_insert_with(number, |_| Even(Some(odd)));
        if number % 3 == 0 {
            // Some that take the longer way.
            Handle::on_death(&last, || {}).keep();
        }
    }
    assert_eq!((evens.len(), odds.len()), (30_000, 29_999));
    on_a_small_stack(move || drop(last));
    assert_eq!((evens.len(), odds.len(), census.alive()), (0, 0, 0));
}

#[test]
fn through_callbacks() {
    let census = Census::new();
    let registry: Registry<usize, Citizen> = Registry::new();
    let mut watched = Watched::new(());
    for number in 0..LONG {
        let (handle, outer) = (
            registry.get_or_insert_with(number, |_| census.citizen()),
            Watched::new(()),
        );
        Handle::on_death(&handle, move || drop(watched)).keep();
        Watched::on_death(&outer, move || drop(handle)).keep();
        watched = outer;
    }
    on_a_small_stack(move || drop(watched));
    assert_eq!((registry.len(), census.alive()), (0, 0));
}

#[test]
fn through_the_values_of_a_map() {
    #[derive(Clone)]
    #[allow(dead_code)] // there to be dropped
    struct Value(Option<Watched<usize>>, Arc<Citizen>);
    let census = Census::new();
    let map: WeakKeyMap<Watched<usize>, Value> = WeakKeyMap::new();
    let mut key = None;
    for number in 0..LONG / 5 {
        let next = Watched::new(number);
        map.insert(&next, Value(key.take(), Arc::new(census.citizen())));
        key = Some(next);
    }
    assert_eq!(map.len(), LONG / 5);
    on_a_small_stack(move || drop(key));
    assert_eq!((map.len(), census.alive()), (0, 0));
}

/// Values that are dropped by hooks, each by that of the one before.
type Heap<T> = Arc<Mutex<Vec<T>>>;

/// A hook that drops what was put on the heap last.
fn dropping<T: Send + 'static, K>(
    heap: &Heap<T>,
    calls: &Arc<AtomicUsize>,
) -> impl Fn(&K, RemovalCause) + Send + Sync + 'static {
    let (heap, calls) = (Arc::clone(heap), Arc::clone(calls));
    move |_, _| {
        calls.fetch_add(1, SeqCst);
        let next = heap.lock().unwrap().pop();
        drop(next);
    }
}

#[test]
fn through_the_removal_hooks_of_a_map_with_weak_keys() {
    let (heap, calls): (Heap<Watched<usize>>, _) = Default::default();
    let map: WeakKeyMap<Watched<usize>, Arc<Citizen>> =
        WeakKeyMap::new().on_remove(dropping(&heap, &calls));
    let census = Census::new();
    for number in 0..LONG {
        let key = Watched::new(number);
        map.insert(&key, Arc::new(census.citizen()));
        heap.lock().unwrap().push(key);
    }
    on_a_small_stack(move || {
        let first = heap.lock().unwrap().pop();
        drop(first);
    });
    assert_eq!((calls.load(SeqCst), map.len()), (LONG, 0));
    assert_eq!(census.alive(), 0);
}

#[test]
fn through_the_removal_hooks_of_a_map_with_weak_values() {
    let (heap, calls): (Heap<Watched<(usize, Citizen)>>, _) = Default::default();
    let map: WeakValueMap<usize, Watched<(usize, Citizen)>> =
        WeakValueMap::new().on_remove(dropping(&heap, &calls));
    let census = Census::new();
    for number in 0..LONG {
        let value = Watched::new((number, census.citizen()));
        map.insert(number, value.clone());
        heap.lock().unwrap().push(value);
    }
    on_a_small_stack(move || {
        let first = heap.lock().unwrap().pop();
        drop(first);
    });
    assert_eq!((calls.load(SeqCst), map.entry_count()), (LONG, 0));
    assert_eq!(census.alive(), 0);
}

#[test]
fn through_the_removal_hooks_that_tokens_report_to() {
    struct Tokened(Token, #[allow(dead_code)] Citizen);
    let (heap, calls): (Heap<Arc<Tokened>>, _) = Default::default();
    let map: WeakValueMap<usize, Arc<Tokened>> =
        WeakValueMap::new().on_remove(dropping(&heap, &calls));
    let census = Census::new();
    for number in 0..LONG {
        let value = Arc::new(Tokened(Token::new(), census.citizen()));
        map.insert_with_token(number, Arc::clone(&value), |value| &value.0);
        heap.lock().unwrap().push(value);
    }
    on_a_small_stack(move || {
        let first = heap.lock().unwrap().pop();
        drop(first);
    });
    assert_eq!((calls.load(SeqCst), map.entry_count()), (LONG, 0));
    assert_eq!(census.alive(), 0);
}

/// Each callback owns the registration of the next one, which ends with it.
#[test]
fn through_registrations() {
    let census = Census::new();
    let watched = Watched::new(());
    let first = (0..LONG).fold(None, |next, _| {
        let owned = (next, census.citizen());
        Some(Watched::on_death(&watched, move || drop(owned)))
    });
    assert_eq!(census.alive(), LONG as isize);
    on_a_small_stack(move || assert!(first.is_some_and(Registration::detach)));
    assert_eq!(census.alive(), 0);
    drop(watched);
}

#[test]
fn through_the_callbacks_of_tokens() {
    let census = Census::new();
    let mut token = Token::new();
    for _ in 0..LONG {
        let (outer, citizen) = (Token::new(), census.citizen());
        Token::on_drop(&outer, move || drop((token, citizen))).keep();
        token = outer;
    }
    on_a_small_stack(move || drop(token));
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_hook_is_called_before_the_callback_and_the_destructor_however_deep() {
    struct Noting(usize, Arc<Mutex<Vec<(usize, &'static str)>>>);
    impl Drop for Noting {
        fn drop(&mut self) {
            self.1.lock().unwrap().push((self.0, "destructor"));
        }
    }
    let (heap, notes): (Heap<Watched<Noting>>, Arc<Mutex<Vec<_>>>) = Default::default();
    let hook = {
        let (heap, notes) = (Arc::clone(&heap), Arc::clone(&notes));
        move |number: &usize, _| {
            notes.lock().unwrap().push((*number, "hook"));
            let next = heap.lock().unwrap().pop();
            drop(next);
        }
    };
    let map: WeakValueMap<usize, Watched<Noting>> = WeakValueMap::new().on_remove(hook);
    for number in 0..DEEP {
        let value = Watched::new(Noting(number, Arc::clone(&notes)));
        let notes = Arc::clone(&notes);
        Watched::on_death(&value, move || {
            notes.lock().unwrap().push((number, "callback"))
        })
        .keep();
        map.insert(number, value.clone());
        heap.lock().unwrap().push(value);
    }
    let first = heap.lock().unwrap().pop();
    drop(first);
    let notes = notes.lock().unwrap();
    assert_eq!(notes.len(), 3 * DEEP);
    for number in 0..DEEP {
        let of_it: Vec<_> = notes.iter().filter(|note| note.0 == number).collect();
        let steps: Vec<_> = of_it.iter().map(|note| note.1).collect();
        assert_eq!(steps, ["hook", "callback", "destructor"], "of {number}");
    }
}

#[test]
fn what_is_let_go_of_deep_down_ends_in_that_order() {
    #[allow(dead_code)] // there to be dropped
    struct Many(Vec<Watched<Noting>>, Option<Watched<Many>>);
    struct Noting(usize, Arc<Mutex<Vec<usize>>>);
    impl Drop for Noting {
        fn drop(&mut self) {
            self.1.lock().unwrap().push(self.0);
        }
    }
    let notes: Arc<Mutex<Vec<usize>>> = Arc::default();
    let five = (0..5).map(|number| Watched::new(Noting(number, Arc::clone(&notes))));
    let mut many = Watched::new(Many(five.collect(), None));
    for _ in 0..DEEP {
        many = Watched::new(Many(Vec::new(), Some(many)));
    }
    drop(many);
    assert_eq!(*notes.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[test]
fn while_their_thread_ends() {
    thread_local!(static KEPT: RefCell<Option<Chain>> = const { RefCell::new(None) });
    let census = Census::new();
    let outermost = plain_chain(&census, LONG);
    on_a_small_stack(move || KEPT.with(|kept| *kept.borrow_mut() = Some(outermost)));
    assert_eq!(census.alive(), 0);
}

#[test]
fn containers_forget_at_once_however_deep() {
    // What a destructor deep down lets go of is out of the set when its drop returns, and its callback and value follow.
    let census = Census::new();
    let set: Arc<WeakSet<Watched<(Citizen, usize)>, ByAddress>> = Arc::default();
    let (seen, calls) = (
        Arc::new(Mutex::new(Vec::new())),
        Arc::new(AtomicUsize::new(0)),
    );
    let look = {
        let (census, set, seen, calls) = (
            census.clone(),
            Arc::clone(&set),
            Arc::clone(&seen),
            Arc::clone(&calls),
        );
        move |number: usize| {
            let inner = Watched::new((census.citizen(), number));
            let calls = Arc::clone(&calls);
            set.insert(&inner);
            Watched::on_death(&inner, move || {
                calls.fetch_add(1, SeqCst);
            })
            .keep();
            let weak = Watched::downgrade(&inner);
            assert_eq!(set.entry_count(), 1);
            drop(inner);
            let entry = (set.entry_count(), weak.is_alive());
            seen.lock().unwrap().push(entry);
        }
    };
    drop(chain(&census, DEEP, look, |_| {}));
    assert_eq!(*seen.lock().unwrap(), [(0, false); DEEP]);
    assert_eq!((calls.load(SeqCst), census.alive()), (DEEP, 0));
}

#[test]
fn what_has_another_owner_lives_on() {
    let census = Census::new();
    let mut kept = Vec::new();
    let outermost = chain(
        &census,
        1000,
        |_| {},
        |watched| {
            if watched.link.number % 100 == 99 {
                kept.push(watched.clone());
            }
        },
    );
    drop(outermost);
    assert_eq!(census.alive(), 1000 - 99);
    for (nth, watched) in kept.iter().enumerate() {
        assert_eq!(watched.link.number, 999 - 100 * nth);
        assert_eq!(Watched::weak_count(watched), 0, "nothing holds on to it");
        assert_eq!(Watched::strong_count(watched), if nth == 9 { 1 } else { 2 });
    }
    // Whoever goes last takes the rest with it.
    kept.reverse();
    for _ in 0..10 {
        kept.remove(0);
    }
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_destructor_deep_down_may_take_a_value_out() {
    struct Taker(Option<Watched<Taker>>, #[allow(dead_code)] Citizen);
    impl Drop for Taker {
        fn drop(&mut self) {
            // The way that chains of `Arc`s are taken apart. One step only, so that the rest nests.
            if let Some(mut inner) = self.0.take().and_then(Watched::into_inner) {
                drop(inner.0.take());
            }
        }
    }
    let census = Census::new();
    let mut next = None;
    for _ in 0..DEEP * 4 {
        next = Some(Watched::new(Taker(next.take(), census.citizen())));
    }
    drop(next);
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_panic_anywhere_comes_out_and_everything_is_ended_once() {
    for at in [0, 1, 31, 62, 63, 64, 65, 66, 127, 128, 200, DEEP - 1] {
        for of_callback in [false, true] {
            let (census, calls) = (Census::new(), Arc::new(AtomicUsize::new(0)));
            let watch = |watched: &Chain| {
                let (number, calls) = (watched.link.number, Arc::clone(&calls));
                Watched::on_death(watched, move || {
                    calls.fetch_add(1, SeqCst);
                    assert!(!of_callback || number != at, "planted {number}");
                })
                .keep();
            };
            let drops =
                move |number: usize| assert!(of_callback || number != at, "planted {number}");
            let outermost = chain(&census, DEEP, drops, watch);
            assert_eq!(panic_of(|| drop(outermost)), format!("planted {at}"));
            assert_eq!(
                (census.born(), census.dead(), calls.load(SeqCst)),
                (DEEP, DEEP, DEEP),
                "panic at {at}, of a callback: {of_callback}"
            );
            // And the next one goes as if nothing had been.
            drop(plain_chain(&census, DEEP));
            assert_eq!(census.alive(), 0);
        }
    }
}

#[test]
fn panics_everywhere_leave_the_first() {
    let census = Census::new();
    // Deep down, where each panic stays on its level.
    let drops = |number: usize| assert!(number < 63, "planted {number}");
    let outermost = chain(&census, DEEP, drops, |_| {});
    assert_eq!(panic_of(|| drop(outermost)), "planted 63");
    assert_eq!((census.born(), census.dead()), (DEEP, DEEP));
    // And during an unwinding they stay there.
    let outermost = chain(&census, DEEP, drops, |_| {});
    let text = panic_of(move || {
        let _outermost = outermost;
        panic!("outer");
    });
    assert_eq!(text, "outer");
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_chain_that_is_made_and_dropped_by_a_destructor_of_a_chain() {
    promptly(|| {
        let census = Census::new();
        let inner = census.clone();
        let drops = move |number: usize| {
            if number % 50 == 0 {
                drop(plain_chain(&inner, 1000));
            }
        };
        drop(chain(&census, DEEP, drops, |_| {}));
        assert_eq!(census.born(), DEEP + DEEP / 50 * 1000);
        assert_eq!(census.alive(), 0);
    });
}

#[test]
fn an_owner_in_the_hands_of_the_user_goes_as_an_arc_does() {
    // `unsize` shows what is inside: kept there, it is an `Arc` like any other, deep down too.
    let census = Census::new();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = {
        let (census, kept) = (census.clone(), Arc::clone(&kept));
        move |_: usize| {
            let watched = Watched::new(census.citizen());
            let weak = Watched::downgrade(&watched);
            Watched::on_death(&watched, {
                let weak = weak.clone();
                move || assert!(weak.upgrade().is_none())
            })
            .keep();
            let mut inside = None;
            drop(Watched::unsize(watched, |life| {
                inside = Some(Arc::clone(&life));
                life
            }));
            assert!(weak.is_alive());
            drop(inside);
            assert!(!weak.is_alive());
            kept.lock().unwrap().push(weak);
        }
    };
    drop(chain(&census, DEEP, keep, |_| {}));
    assert_eq!(kept.lock().unwrap().len(), DEEP);
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_hook_of_a_map_that_panics_deep_down() {
    let census = Census::new();
    let hooked: WeakKeyMap<Chain, u32, ByAddress> =
        WeakKeyMap::new().on_remove(|_: &WeakWatched<Noted>, _| panic!("hook"));
    let outermost = chain(
        &census,
        DEEP,
        |_| {},
        |watched| {
            if watched.link.number == 200 {
                hooked.insert(watched, 1);
            }
        },
    );
    let result = catch_unwind(AssertUnwindSafe(|| drop(outermost)));
    assert!(result.is_err());
    assert_eq!((hooked.len(), census.alive()), (0, 0));
}

/// Its drop panics with an owner of something else, when it is the deepest of its chain.
#[allow(dead_code)] // the next one is there to be dropped
struct Thrower(Option<Box<dyn Any + Send + Sync>>, Option<Watched<Thrower>>);

impl Drop for Thrower {
    fn drop(&mut self) {
        if let Some(owner) = self.0.take() {
            std::panic::panic_any(owner);
        }
    }
}

#[test]
fn what_a_panic_deep_down_carries_ends_too_also_while_another_one_unwinds() {
    static REGISTRY: Registry<u32, Citizen> = Registry::new();
    // (Less deep down, a destructor that panics during unwinding aborts the process, as any does.)
    for (unwinding, depths) in [
        (false, &[10, 62, 63, 64, 65, DEEP][..]),
        (true, &[64, 65, DEEP]),
    ] {
        for depth in depths.iter().copied() {
            let census = Census::new();
            let carried: [Box<dyn Any + Send + Sync>; 2] = [
                Box::new(REGISTRY.get_or_insert_with(1, |_| census.citizen())),
                Box::new(Watched::new(census.citizen())),
            ];
            for owner in carried {
                let mut chain = Watched::new(Thrower(Some(owner), None));
                for _ in 0..depth {
                    chain = Watched::new(Thrower(None, Some(chain)));
                }
                let thrown = catch_unwind(AssertUnwindSafe(|| {
                    let _chain = chain;
                    assert!(!unwinding, "the first");
                }));
                let payload = thrown.unwrap_err();
                // A panic that comes second is dropped, with what it carries.
                assert_eq!(payload.is::<&str>(), unwinding);
                drop(payload);
            }
            assert_eq!((census.alive(), REGISTRY.len()), (0, 0));
        }
    }
}
