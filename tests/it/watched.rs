//! `Watched`: weak references as in CPython (behaviours 1.1 to 1.7 of `BEHAVIOURS.md`), and what a shared pointer owes.

use crate::common::{panic_of, promptly, Census, Citizen};
use highlander::map::ByAddress;
use highlander::pointer::{Pointer, Registration, Watched, WeakPointer, WeakWatched};
use highlander::WeakSet;
use std::collections::HashSet;
use std::fmt::Display;
use std::hash::{BuildHasher, RandomState};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

type Log = Arc<Mutex<Vec<String>>>;

fn noted(log: &Log, word: &str) -> impl FnOnce() + Send + 'static {
    let (log, word) = (Arc::clone(log), word.to_string());
    move || log.lock().unwrap().push(word)
}

fn words(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

/// Notes its own drop.
struct Noisy(Log);

impl Drop for Noisy {
    fn drop(&mut self) {
        self.0.lock().unwrap().push("value".into());
    }
}

#[test]
fn after_the_last_drop_the_weak_pointer_is_dead_and_the_callback_ran_once() {
    let log = Log::default();
    let one = Watched::new(5);
    let weak = Watched::downgrade(&one);
    let seen = weak.clone();
    let note = noted(&log, "called");
    Watched::on_death(&one, move || {
        assert!(seen.upgrade().is_none());
        note();
    })
    .keep();
    let two = one.clone();
    drop(one);
    assert!(words(&log).is_empty());
    assert_eq!(weak.upgrade().as_deref(), Some(&5));
    drop(two);
    assert!(weak.upgrade().is_none() && !weak.is_alive());
    assert_eq!(words(&log), ["called"]);
}

#[test]
fn callbacks_run_newest_first_and_all_weak_pointers_are_dead_in_each() {
    let log = Log::default();
    let value = Watched::new(());
    let weak: Vec<_> = (0..4).map(|_| Watched::downgrade(&value)).collect();
    let registrations: Vec<_> = (0..4)
        .map(|i| {
            let (weak, note) = (weak.clone(), noted(&log, &i.to_string()));
            Watched::on_death(&value, move || {
                assert!(weak.iter().all(|weak| weak.upgrade().is_none()));
                note();
            })
        })
        .collect();
    drop(value);
    assert_eq!(words(&log), ["3", "2", "1", "0"]);
    assert!(registrations.into_iter().all(|late| !late.detach()));
}

#[test]
fn a_panicking_callback_does_not_stop_the_others_and_the_value_is_dropped() {
    let log = Log::default();
    let value = Watched::new(Noisy(Arc::clone(&log)));
    Watched::on_death(&value, noted(&log, "0")).keep();
    Watched::on_death(&value, || panic!("second")).keep();
    Watched::on_death(&value, || panic!("first")).keep();
    Watched::on_death(&value, noted(&log, "3")).keep();
    assert_eq!(panic_of(|| drop(value)), "first");
    assert_eq!(words(&log), ["3", "0", "value"]);
}

#[test]
fn a_panic_of_a_callback_during_unwinding_is_swallowed() {
    let log = Log::default();
    let value = Watched::new(Noisy(Arc::clone(&log)));
    Watched::on_death(&value, || panic!("inner")).keep();
    Watched::on_death(&value, noted(&log, "1")).keep();
    let text = panic_of(move || {
        let _value = value;
        panic!("outer");
    });
    assert_eq!(text, "outer");
    assert_eq!(words(&log), ["1", "value"]);
}

#[test]
fn a_dropped_registration_never_calls_back() {
    let log = Log::default();
    let value = Watched::new(());
    drop(Watched::on_death(&value, noted(&log, "dropped")));
    assert!(Watched::on_death(&value, noted(&log, "detached")).detach());
    assert_eq!(Watched::callbacks(&value), 0);
    drop(value);
    assert!(words(&log).is_empty());
}

#[test]
fn a_callback_may_detach_one_that_has_not_run_yet() {
    let log = Log::default();
    let value = Watched::new(());
    let older = Watched::on_death(&value, noted(&log, "older"));
    let note = noted(&log, "newer");
    Watched::on_death(&value, move || {
        assert!(older.detach());
        note();
    })
    .keep();
    drop(value);
    assert_eq!(words(&log), ["newer"]);
}

#[test]
fn weak_pointers_to_one_value_share_and_counts_leave_out_the_dropped() {
    let value = Watched::new(1);
    let (one, two) = (Watched::downgrade(&value), Watched::downgrade(&value));
    assert!(one.ptr_eq(&two));
    assert_eq!(Watched::weak_count(&value), 2);
    drop(one);
    assert_eq!(Watched::weak_count(&value), 1);
    let registration = Watched::on_death(&value, || {});
    let other = Watched::on_death(&value, || {});
    assert_eq!(Watched::callbacks(&value), 2);
    drop(registration);
    assert_eq!(Watched::callbacks(&value), 1);
    drop(other);
    let set: WeakSet<Watched<i32>> = WeakSet::new();
    set.insert(&value);
    assert_eq!(
        (Watched::entry_count(&value), Watched::weak_count(&value)),
        (1, 2)
    );
}

#[test]
#[allow(clippy::mutable_key_type)] // the hash is kept
fn weak_pointers_compare_as_their_values_and_dead_ones_by_identity() {
    let hasher = RandomState::new();
    let (x, y) = (Watched::new(7), Watched::new(7));
    let (to_x, to_y) = (Watched::downgrade(&x), Watched::downgrade(&y));
    assert_eq!(to_x, to_y);
    assert_eq!(hasher.hash_one(&to_x), hasher.hash_one(&to_y));
    let taken_alive = hasher.hash_one(&to_x);
    let unhashed = Watched::new(8);
    let to_unhashed = Watched::downgrade(&unhashed);
    let other = to_unhashed.clone();
    drop((x, unhashed));
    assert_ne!(to_x, to_y);
    assert_eq!(to_x, to_x.clone());
    assert_eq!(hasher.hash_one(&to_x), taken_alive);
    // Where Python raises an error, ours hash by identity, and clones agree.
    assert_eq!(hasher.hash_one(&to_unhashed), hasher.hash_one(&other));
    let kept: HashSet<_> = [to_x.clone()].into();
    assert!(kept.contains(&to_x));
}

#[test]
fn a_pair_is_reported_once_whichever_half_dies_first() {
    // What `WeakMethod` does for an object and a function: both ends hold one registration for the same call.
    for object_first in [true, false] {
        let calls = Arc::new(AtomicUsize::new(0));
        let (object, function) = (Watched::new("object"), Watched::new("function"));
        let watch = |half: &Watched<&'static str>| -> Registration {
            let calls = Arc::clone(&calls);
            Watched::on_death(half, move || {
                let _ = calls.compare_exchange(0, 1, SeqCst, SeqCst);
            })
        };
        let _both = (watch(&object), watch(&function));
        if object_first {
            drop(object);
            assert_eq!(calls.load(SeqCst), 1);
            drop(function);
        } else {
            drop(function);
            assert_eq!(calls.load(SeqCst), 1);
            drop(object);
        }
        assert_eq!(calls.load(SeqCst), 1);
    }
}

#[test]
fn containers_first_then_callbacks_then_the_value() {
    struct Member(Log, Arc<WeakSet<Watched<Member>, ByAddress>>);
    impl Drop for Member {
        fn drop(&mut self) {
            self.0
                .lock()
                .unwrap()
                .push(format!("value {}", self.1.entry_count()));
        }
    }
    let log = Log::default();
    let set = Arc::new(WeakSet::new());
    let member = Watched::new(Member(Arc::clone(&log), Arc::clone(&set)));
    let (seen, words_of) = (Arc::clone(&set), Arc::clone(&log));
    let callback = move || {
        let word = format!("callback {}", seen.entry_count());
        words_of.lock().unwrap().push(word);
    };
    Watched::on_death(&member, callback.clone()).keep();
    // Entered after the first callback: containers come first all the same.
    set.insert(&member);
    Watched::on_death(&member, callback).keep();
    assert_eq!(set.entry_count(), 1);
    drop(member);
    assert_eq!(words(&log), ["callback 0", "callback 0", "value 0"]);
}

#[test]
fn the_last_drop_takes_it_out_of_every_set() {
    let value = Watched::new("Kurgan".to_string());
    let by_content: Vec<WeakSet<Watched<String>>> = (0..20).map(|_| WeakSet::new()).collect();
    let by_address: WeakSet<Watched<String>, ByAddress> = WeakSet::new();
    for set in &by_content {
        assert!(set.insert(&value));
    }
    by_address.insert(&value);
    assert_eq!(Watched::entry_count(&value), 21);
    by_content[3].remove("Kurgan");
    drop(by_content.into_iter().take(2).collect::<Vec<_>>());
    drop(value);
    assert_eq!(by_address.entry_count(), 0);
}

#[test]
fn a_removed_entry_ends_its_registration() {
    let value = Watched::new(1);
    let set: WeakSet<Watched<i32>> = WeakSet::new();
    for _ in 0..1000 {
        set.insert(&value);
        assert_eq!(Watched::entry_count(&value), 1);
        set.remove(&1);
        assert_eq!(Watched::entry_count(&value), 0);
    }
    set.insert(&value);
    drop(set);
    assert_eq!(Watched::entry_count(&value), 0);
}

#[test]
fn a_callback_may_do_anything() {
    promptly(|| {
        let set: Arc<WeakSet<Watched<u32>>> = Arc::new(WeakSet::new());
        let value = Watched::new(1);
        let inner = Watched::new(2);
        set.insert(&value);
        set.insert(&inner);
        let seen = Arc::clone(&set);
        Watched::on_death(&value, move || {
            assert!(!seen.contains(&1));
            let again = Watched::new(1);
            assert!(seen.insert(&again));
            Watched::on_death(&again, || {}).keep();
            drop(inner);
            assert_eq!(seen.len(), 1);
        })
        .keep();
        drop(value);
        assert_eq!(set.entry_count(), 0);
    });
}

#[test]
fn trait_objects_and_slices() {
    let log = Log::default();
    let number = Watched::new(7);
    let weak = Watched::downgrade(&number);
    Watched::on_death(&number, noted(&log, "gone")).keep();
    let address = Pointer::address(&number);
    let shown: Watched<dyn Display + Send + Sync> = Watched::unsize(number, |it| it as _);
    let weak_shown: WeakWatched<dyn Display + Send + Sync> =
        WeakWatched::unsize(weak.clone(), |it| it as _);
    assert_eq!(Pointer::address(&shown), address);
    assert_eq!(weak_shown.upgrade().unwrap().to_string(), "7");
    let set: WeakSet<Watched<dyn Display + Send + Sync>, ByAddress> = WeakSet::new();
    set.insert(&shown);
    assert!(!set.insert(&weak_shown.upgrade().unwrap()));
    drop(shown);
    assert_eq!((set.entry_count(), words(&log).len()), (0, 1));
    assert!(weak.upgrade().is_none());
    let slice: Watched<[i32]> = Watched::unsize(Watched::new([1, 2, 3]), |it| it as _);
    assert_eq!(slice.len(), 3);
}

#[test]
fn cyclic_creation_that_fails_leaves_nothing() {
    let census = Census::new();
    let mut kept: Option<WeakWatched<Citizen>> = None;
    let citizen = census.citizen();
    let result = catch_unwind(AssertUnwindSafe(|| {
        Watched::<Citizen>::new_cyclic(|me| {
            kept = Some(me.clone());
            let _citizen = citizen;
            panic!("no");
        })
    }));
    assert!(result.is_err());
    assert!(kept.unwrap().upgrade().is_none());
    assert_eq!(census.alive(), 0);
}

#[test]
fn weak_pointers_from_cyclic_creation_share_with_later_ones() {
    struct Node(WeakWatched<Node>);
    let node = Watched::new_cyclic(|me| Node(me.clone()));
    assert!(node.0.ptr_eq(&Watched::downgrade(&node)));
    let calls = Arc::new(AtomicUsize::new(0));
    let called = Arc::clone(&calls);
    Watched::on_death(&node, move || {
        called.fetch_add(1, SeqCst);
    })
    .keep();
    drop(node);
    assert_eq!(calls.load(SeqCst), 1);
}

#[test]
fn taking_the_value_out_is_its_death() {
    let log = Log::default();
    let set: WeakSet<Watched<String>> = WeakSet::new();
    let value = Watched::new("x".to_string());
    let weak = Watched::downgrade(&value);
    set.insert(&value);
    Watched::on_death(&value, noted(&log, "gone")).keep();
    let other = value.clone();
    let value = Watched::try_unwrap(value).unwrap_err();
    assert_eq!(Watched::into_inner(value), None);
    assert_eq!(set.len(), 1);
    assert_eq!(Watched::try_unwrap(other).unwrap(), "x");
    assert_eq!((set.entry_count(), words(&log).len()), (0, 1));
    assert!(weak.upgrade().is_none());
}

#[test]
fn taking_the_value_out_past_a_panicking_callback_drops_it() {
    let census = Census::new();
    let value = Watched::new(census.citizen());
    Watched::on_death(&value, || panic!("no")).keep();
    assert_eq!(panic_of(|| Watched::into_inner(value).is_some()), "no");
    assert_eq!(census.alive(), 0);
}

#[test]
fn of_two_that_take_the_value_one_gets_it() {
    for _ in 0..200 {
        let one = Watched::new(1);
        let two = one.clone();
        let start = Arc::new(Barrier::new(2));
        let gate = Arc::clone(&start);
        let other = thread::spawn(move || {
            gate.wait();
            Watched::into_inner(two)
        });
        start.wait();
        let mine = Watched::into_inner(one);
        assert!(mine.is_some() != other.join().unwrap().is_some());
    }
}

#[test]
fn get_mut_only_while_nobody_knows_it() {
    let mut value = Watched::new(1);
    *Watched::get_mut(&mut value).unwrap() = 2;
    let set: WeakSet<Watched<i32>> = WeakSet::new();
    set.insert(&value);
    assert!(Watched::get_mut(&mut value).is_none());
    set.clear();
    // The entry's weak pointer may still be waiting for the epoch.
    assert_eq!(*value, 2);
}

#[test]
fn it_is_as_wide_as_an_arc_and_costs_one_word() {
    assert_eq!(size_of::<Watched<u8>>(), size_of::<usize>());
    assert_eq!(
        size_of::<highlander::pointer::WatchedInner<u64>>(),
        2 * size_of::<usize>()
    );
    assert_eq!(size_of::<highlander::pointer::Token>(), size_of::<usize>());
}

#[test]
fn threads_register_detach_and_drop() {
    for _ in 0..200 {
        let calls = Arc::new(AtomicUsize::new(0));
        let value = Watched::new(());
        let start = Arc::new(Barrier::new(3));
        let threads: Vec<_> = (0..3)
            .map(|i| {
                let (value, calls, start) = (value.clone(), Arc::clone(&calls), Arc::clone(&start));
                thread::spawn(move || {
                    start.wait();
                    let registration = Watched::on_death(&value, move || {
                        calls.fetch_add(1, SeqCst);
                    });
                    drop(value);
                    if i == 0 {
                        // Either it came in time, or the call counts.
                        return usize::from(registration.detach());
                    }
                    registration.keep();
                    0
                })
            })
            .collect();
        drop(value);
        let detached: usize = threads.into_iter().map(|t| t.join().unwrap()).sum();
        assert_eq!(calls.load(SeqCst) + detached, 3);
    }
}

#[test]
fn many_registrations_that_come_and_go_leave_no_room_behind() {
    let value = Watched::new(());
    let calls = Arc::new(AtomicUsize::new(0));
    let mut kept = Vec::new();
    for i in 0..10_000 {
        let calls = Arc::clone(&calls);
        let registration = Watched::on_death(&value, move || {
            calls.fetch_add(1, SeqCst);
        });
        if i % 100 == 0 {
            kept.push(registration);
        }
    }
    assert_eq!(Watched::callbacks(&value), 100);
    drop(value);
    assert_eq!(calls.load(SeqCst), 100);
}

#[test]
fn equality_order_and_texts_are_the_values() {
    let (a, b) = (Watched::new("a"), Watched::new("b"));
    assert!(a < b && a != b && a == Watched::from("a"));
    assert_eq!(
        (a.to_string(), format!("{b:?}")),
        ("a".into(), "\"b\"".into())
    );
    let weak = Watched::downgrade(&a);
    assert_eq!(format!("{weak:?}"), "WeakWatched(\"a\")");
    drop(a);
    assert_eq!(format!("{weak:?}"), "WeakWatched(dead)");
    assert!(WeakPointer::is_dead(&weak));
}

#[test]
fn it_is_sent_and_shared_as_an_arc_is() {
    fn both<T: Send + Sync>() {}
    both::<Watched<u8>>();
    both::<WeakWatched<dyn Display + Send + Sync>>();
    both::<Registration>();
}
