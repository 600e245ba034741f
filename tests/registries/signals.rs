//! `signals`: behaviours 7.1 to 7.10 of `BEHAVIOURS.md`, and what threads and tasks may do to each other.

mod burying;
mod foreign;
#[cfg(feature = "async")]
mod tasks;

use crate::common::{panic_of, promptly, Census, Citizen};
use highlander::pointer::{Pointer, Unreported, Watched, WeakPointer};
use highlander::registries::signals::{Receiver, Signal};
use highlander::Registry;
use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, Weak};
use std::thread;

type Log = Arc<Mutex<Vec<String>>>;

fn noting(log: &Log, word: &'static str) -> Receiver<str> {
    let log = Arc::clone(log);
    Receiver::new(move |args: &str| log.lock().unwrap().push(format!("{word} {args}")))
}

fn words(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

/// Calls `f` when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// BEHAVIOURS.md 7.1
#[test]
fn a_receiver_is_connected_once_for_each_sender() {
    let log = Log::default();
    let signal: Signal<str, (), Arc<u8>> = Signal::new();
    let receiver = noting(&log, "one");
    let (left, right) = (Arc::new(1), Arc::new(1));
    assert!(signal.connect(&receiver));
    assert!(!signal.connect(&receiver.clone()));
    assert!(signal.of(&left).connect(&receiver));
    assert!(!signal.of(&left.clone()).connect(&receiver));
    assert!(signal.of(&right).connect(&receiver));
    assert_eq!(signal.len(), 3);
    signal.of(&left).send("left").unwrap();
    assert_eq!(words(&log), ["one left", "one left"]);
    signal.send("nobody").unwrap();
    assert_eq!(words(&log), ["one nobody"]);
    // Equal receivers are not the same.
    assert!(signal.connect(&noting(&log, "one")));
}

/// BEHAVIOURS.md 7.2
#[test]
fn the_first_owner_of_a_name_stays_until_it_dies() {
    let log = Log::default();
    let signal: Signal<str, (), Arc<u8>> = Signal::new();
    let (one, two) = (noting(&log, "one"), noting(&log, "two"));
    let sender = Arc::new(1);
    assert!(signal.uid("u").connect(&one));
    assert!(!signal.uid("u").connect(&two));
    assert!(!signal.uid("u").connect(&one));
    assert!(signal.of(&sender).uid("u").connect(&two));
    assert!(signal.uid("v").connect(&one));
    signal.send("!").unwrap();
    assert_eq!(words(&log), ["one !", "one !"]);
    drop(one);
    assert_eq!(signal.len(), 1);
    assert!(signal.uid("u").connect(&two));
    signal.of(&sender).send("!").unwrap();
    assert_eq!(words(&log), ["two !", "two !"]);
}

/// BEHAVIOURS.md 7.2
#[test]
fn a_dead_object_makes_room_for_a_name() {
    let signal: Signal<str> = Signal::new();
    let (one, two) = (Arc::new(1), Arc::new(2));
    assert!(signal.uid("u").connect_method(&one, |_: &i32, _| ()));
    assert!(!signal.uid("u").connect_method(&two, |_: &i32, _| ()));
    drop(one);
    assert!(signal.uid("u").connect_method(&two, |_: &i32, _| ()));
    assert_eq!(signal.len(), 1);
}

/// BEHAVIOURS.md 7.3: stronger here, as nothing stays until later.
#[test]
fn when_the_last_drop_returns_connection_and_captures_have_gone() {
    let census = Census::new();
    let signal: Signal<str> = Signal::new();
    let citizen = census.citizen();
    let receiver = Receiver::new(move |_: &str| {
        let _ = &citizen;
    });
    signal.connect(&receiver);
    signal.uid("again").connect(&receiver);
    signal.send("into the cache").unwrap();
    let clone = receiver.clone();
    drop(receiver);
    assert_eq!((signal.len(), census.alive()), (2, 1));
    drop(clone);
    assert_eq!((signal.len(), census.alive()), (0, 0));
    assert!(!signal.has_receivers());
}

/// BEHAVIOURS.md 7.3
#[test]
fn a_dead_arc_is_never_called_and_goes_with_the_next_send() {
    let signal: Signal<str> = Signal::new();
    let object = Arc::new(AtomicUsize::new(0));
    let memory = Arc::downgrade(&object);
    let count = |object: &AtomicUsize, _: &str| {
        object.fetch_add(1, SeqCst);
    };
    assert!(signal.connect_method(&object, count));
    signal.send("").unwrap();
    assert_eq!(object.load(SeqCst), 1);
    drop(object);
    assert_eq!(signal.len(), 1);
    assert!(signal.send_robust("").is_empty());
    assert_eq!(signal.len(), 0);
    // Nothing keeps the memory of the object any more.
    assert_eq!(Weak::weak_count(&memory), 0);
}

/// BEHAVIOURS.md 7.4: when a death meets a send that makes a list, the list does not outlast it, and nobody who begins later finds it.
#[test]
fn no_death_is_lost_while_a_list_is_made() {
    promptly(|| {
        let census = Census::new();
        let called = Arc::new(AtomicUsize::new(0));
        let signal: Signal<bool> = Signal::new();
        // So many that making a list takes a while.
        for _ in 0..300 {
            signal.connect_strong(Receiver::new(|_: &bool| ()));
        }
        let rounds = 3000;
        let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let meet = |counter: &AtomicUsize, round| {
            while counter.load(SeqCst) < round {
                thread::yield_now();
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=rounds {
                    meet(&begun, round);
                    signal.send(&false).unwrap();
                    ended.store(round, SeqCst);
                }
            });
            // Lets the other thread end if this one fails.
            let _end = OnDrop(|| begun.store(usize::MAX, SeqCst));
            for round in 1..=rounds {
                let (citizen, count) = (census.citizen(), Arc::clone(&called));
                let receiver = Receiver::new(move |after: &bool| {
                    let _ = &citizen;
                    count.fetch_add((*after).into(), SeqCst);
                });
                signal.connect(&receiver);
                begun.store(round, SeqCst);
                // Sooner and later.
                (0..round % 128 * 16).for_each(|_| std::hint::spin_loop());
                drop(receiver);
                if round % 2 == 0 {
                    signal.send(&true).unwrap();
                    signal.send(&true).unwrap();
                }
                meet(&ended, round);
                assert_eq!(census.alive(), 0, "kept by a list, in round {round}");
                signal.send(&true).unwrap();
                assert_eq!(called.load(SeqCst), 0, "called, in round {round}");
            }
        });
    });
}

/// BEHAVIOURS.md 7.5
#[test]
fn weak_receivers_vanish_strong_ones_stay() {
    let census = Census::new();
    let signal: Signal<str, usize> = Signal::new();
    signal.connect(&Receiver::new(|_: &str| 1));
    assert_eq!(signal.len(), 0);
    let citizen = census.citizen();
    let strong = Receiver::new(move |word: &str| {
        let _ = &citizen;
        word.len()
    });
    assert!(signal.connect_strong(strong.clone()));
    assert!(!signal.connect_strong(strong.clone()));
    let id = strong.id();
    drop(strong);
    assert_eq!(signal.send("four").unwrap(), [4]);
    let failing = Receiver::fallible(|_: &str| Err("no".into()));
    assert!(signal.uid("strong").connect_strong(failing));
    let failure = signal.send("").unwrap_err();
    assert_ne!(failure.receiver(), id);
    assert!(signal.uid("strong").disconnect_uid());
    assert_eq!(census.alive(), 1);
    assert_eq!(signal.disconnect_all(), 1);
    assert_eq!(census.alive(), 0);
}

/// BEHAVIOURS.md 7.5
#[test]
fn methods_live_as_long_as_their_object() {
    struct Counter(AtomicUsize);
    impl Counter {
        fn up(&self, by: &usize) {
            self.0.fetch_add(*by, SeqCst);
        }
        fn down(&self, by: &usize) {
            self.0.fetch_sub(*by, SeqCst);
        }
    }
    static REGISTRY: Registry<&str, Counter> = Registry::new();
    let signal: Signal<usize> = Signal::new();
    let watched = Watched::new(Counter(AtomicUsize::new(0)));
    let (handle, _) = REGISTRY.insert("counter", Counter(AtomicUsize::new(0)));
    let arc = Arc::new(Counter(AtomicUsize::new(0)));
    assert!(signal.connect_method(&watched, Counter::up));
    assert!(!signal.connect_method(&watched.clone(), Counter::up));
    assert!(signal.connect_method(&handle, Counter::up));
    assert!(signal.connect_method(&arc, Counter::up));
    let other = Watched::new(Counter(AtomicUsize::new(0)));
    assert!(signal.connect_method(&other, Counter::up));
    signal.send(&3).unwrap();
    assert!(signal.connect_method(&watched, Counter::down));
    signal.send(&2).unwrap();
    let value = |counter: &Counter| counter.0.load(SeqCst);
    let values = [value(&watched), value(&handle), value(&arc), value(&other)];
    assert_eq!(values, [3, 5, 5, 5]);
    assert!(signal.disconnect_method(&watched, Counter::up));
    assert!(!signal.disconnect_method(&watched, Counter::up));
    assert!(!signal.disconnect_method(&arc, Counter::down));
    drop(watched);
    assert_eq!(signal.len(), 3);
    drop(handle);
    assert_eq!(signal.len(), 2);
    drop((arc, other));
    signal.send(&1).unwrap();
    assert!(signal.is_empty());
}

/// BEHAVIOURS.md 7.6
#[test]
fn calls_come_in_order_and_the_first_error_stops() {
    let signal: Signal<Log, usize> = Signal::new();
    let receivers: Vec<_> = (0..5)
        .map(|n| {
            Receiver::fallible(move |log: &Log| {
                log.lock().unwrap().push(n.to_string());
                match n {
                    2 => Err("the third fails".into()),
                    4 => panic!("the fifth panics"),
                    _ => Ok(n),
                }
            })
        })
        .collect();
    for n in [3, 0, 2, 4, 1] {
        signal.connect(&receivers[n]);
    }
    let log = Log::default();
    let failure = signal.send(&log).unwrap_err();
    assert_eq!(words(&log), ["3", "0", "2"]);
    assert_eq!(failure.receiver(), receivers[2].id());
    assert_eq!(failure.to_string(), "the third fails");
    assert_eq!(failure.into_error().to_string(), "the third fails");

    let results = signal.send_robust(&log);
    assert_eq!(words(&log), ["3", "0", "2", "4", "1"]);
    let good: Vec<_> = results.iter().filter_map(|r| r.as_ref().ok()).collect();
    assert_eq!(good, [&3, &0, &1]);
    let bad: Vec<_> = results.iter().filter_map(|r| r.as_ref().err()).collect();
    assert_eq!(bad[0].receiver(), receivers[2].id());
    assert!(bad[1].is_panic() && !bad[0].is_panic());
    assert_eq!(
        bad[1].to_string(),
        "a receiver has panicked: the fifth panics"
    );

    signal.disconnect(&receivers[2]);
    assert_eq!(panic_of(|| signal.send(&log)), "the fifth panics");
    assert_eq!(words(&log), ["3", "0", "4"]);
    // Connected anew, it is the last.
    signal.disconnect(&receivers[4]);
    signal.disconnect(&receivers[3]);
    signal.connect(&receivers[3]);
    assert_eq!(signal.send(&log).unwrap(), [0, 1, 3]);
}

/// BEHAVIOURS.md 7.7
#[test]
fn a_send_calls_who_was_there_when_it_began() {
    let (log, census) = (Log::default(), Census::new());
    let signal: Arc<Signal<str>> = Arc::default();
    let citizen = census.citizen();
    let dropped = Mutex::new(Some({
        let log = Arc::clone(&log);
        Receiver::new(move |_: &str| {
            let _ = &citizen;
            log.lock().unwrap().push("dropped".into());
        })
    }));
    let disconnected = noting(&log, "disconnected");
    let late = noting(&log, "late");
    let first = {
        let (signal, disconnected) = (Arc::clone(&signal), disconnected.clone());
        let (dropped, late, census) = (Mutex::new(None), late.clone(), census.clone());
        let shared = Arc::new((dropped, census));
        let inner = Arc::clone(&shared);
        let receiver = Receiver::new(move |args: &str| {
            signal.disconnect(&disconnected);
            drop(inner.0.lock().unwrap().take());
            signal.connect(&late);
            // What it has captured stays until the end of this send.
            assert_eq!(inner.1.alive(), (args == "1").into());
        });
        (receiver, shared)
    };
    signal.connect(&first.0);
    signal.connect(dropped.lock().unwrap().as_ref().unwrap());
    signal.connect(&disconnected);
    *first.1 .0.lock().unwrap() = dropped.lock().unwrap().take();
    signal.send("1").unwrap();
    assert_eq!(words(&log), ["dropped", "disconnected 1"]);
    assert_eq!(census.alive(), 0);
    signal.send("2").unwrap();
    assert_eq!(words(&log), ["late 2"]);
    // Its receiver owns the signal.
    signal.disconnect_all();
}

/// BEHAVIOURS.md 7.7, where it differs: an object is owned while its method runs, and not before.
#[test]
fn an_object_that_dies_before_its_turn_is_not_called() {
    struct Counted {
        calls: Arc<AtomicUsize>,
        census: Census,
        _citizen: Citizen,
    }
    impl Counted {
        fn called(&self, _: &str) {
            self.calls.fetch_add(1, SeqCst);
            // Its last owner lets go in the midst of it.
            let kept = std::mem::take(&mut *KEPT.lock().unwrap());
            drop(kept);
            assert_eq!(self.census.alive(), 1);
        }
    }
    static KEPT: Mutex<Vec<Watched<Counted>>> = Mutex::new(Vec::new());
    let (signal, census, calls) = (Signal::<str>::new(), Census::new(), Arc::default());
    for _ in 0..3 {
        let object = Watched::new(Counted {
            calls: Arc::clone(&calls),
            census: census.clone(),
            _citizen: census.citizen(),
        });
        signal.connect_method(&object, Counted::called);
        KEPT.lock().unwrap().push(object);
    }
    assert_eq!(signal.send("the first lets go of all").unwrap().len(), 1);
    assert_eq!(
        (calls.load(SeqCst), census.alive(), signal.len()),
        (1, 0, 0)
    );
}

/// BEHAVIOURS.md 7.7
#[test]
fn no_lock_is_held_while_a_receiver_runs() {
    promptly(|| {
        let signal: Arc<Signal<u32>> = Arc::default();
        let weak = Arc::downgrade(&signal);
        let receiver = Receiver::new(move |depth: &u32| {
            let signal = weak.upgrade().unwrap();
            if *depth == 0 {
                return;
            }
            // On this thread and on another.
            signal.send(&(depth - 1)).unwrap();
            let other = {
                let (signal, depth) = (Arc::clone(&signal), *depth);
                thread::spawn(move || {
                    let receiver = Receiver::new(|_: &u32| ());
                    assert!(signal.connect(&receiver));
                    signal.send(&(depth - 1)).unwrap();
                    assert!(signal.disconnect(&receiver));
                })
            };
            other.join().unwrap();
        });
        signal.connect(&receiver);
        signal.send(&3).unwrap();
        assert_eq!(signal.len(), 1);
    });
}

/// BEHAVIOURS.md 7.7: what a receiver captures is dropped with no lock held, wherever it is dropped.
#[test]
fn the_drop_of_a_receiver_may_use_the_signal() {
    promptly(|| {
        let signal: Arc<Signal<str>> = Arc::default();
        let using = |signal: &Arc<Signal<str>>| {
            let signal = Arc::downgrade(signal);
            let guard = OnDrop(move || {
                let signal = signal.upgrade().unwrap();
                signal.connect(&Receiver::new(|_: &str| ()));
                signal.send("").unwrap();
            });
            let guard = Mutex::new(guard);
            Receiver::new(move |_: &str| drop(guard.lock()))
        };
        let receiver = using(&signal);
        signal.connect(&receiver);
        signal.send("").unwrap();
        drop(receiver);
        signal.uid("u").connect_strong(using(&signal));
        signal.uid("u").connect_strong(using(&signal));
        signal.send("").unwrap();
        assert!(signal.uid("u").disconnect_uid());
        signal.connect_strong(using(&signal));
        assert_eq!(signal.disconnect_all(), 1);
        assert!(signal.is_empty());
    });
}

/// BEHAVIOURS.md 7.8
#[test]
fn disconnecting_says_true_once() {
    let signal: Signal<str, (), Arc<u8>> = Signal::new();
    let receiver = Receiver::new(|_: &str| ());
    assert!(!signal.disconnect(&receiver));
    let sender = Arc::new(0);
    signal.connect(&receiver);
    signal.of(&sender).connect(&receiver);
    signal.uid("u").connect(&receiver);
    assert!(signal.disconnect(&receiver));
    assert!(!signal.disconnect(&receiver));
    assert!(signal.of(&sender).disconnect(&receiver));
    assert!(!signal.of(&sender).disconnect(&receiver));
    assert!(!signal.disconnect_all_of("v"));
    assert!(signal.uid("u").disconnect_uid());
    assert!(!signal.uid("u").disconnect_uid());
    // Of many threads, one.
    for _ in 0..100 {
        signal.connect(&receiver);
        let (barrier, won) = (Barrier::new(3), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    barrier.wait();
                    won.fetch_add(signal.disconnect(&receiver).into(), SeqCst);
                });
            }
        });
        assert_eq!(won.into_inner(), 1);
    }
}

/// What is asked in passing above.
trait DisconnectUid {
    fn disconnect_all_of(&self, uid: &str) -> bool;
}

impl DisconnectUid for Signal<str, (), Arc<u8>> {
    fn disconnect_all_of(&self, uid: &str) -> bool {
        self.uid(uid).disconnect_uid()
    }
}

/// BEHAVIOURS.md 7.9
#[test]
fn the_cache_keeps_neither_senders_nor_receivers() {
    let census = Census::new();
    let signal: Signal<str, (), Arc<dyn Any + Send + Sync>> = Signal::new();
    let citizen = census.citizen();
    let receiver = Receiver::new(move |_: &str| {
        let _ = &citizen;
    });
    signal.connect(&receiver);
    for _ in 0..100 {
        let sender: Arc<dyn Any + Send + Sync> = Arc::new(census.citizen());
        signal.of(&sender).send("").unwrap();
        signal.of(&sender).send("").unwrap();
        assert_eq!(Arc::strong_count(&sender), 1);
    }
    assert_eq!(census.alive(), 1);
    // Lists of senders that have died are no reason to keep it.
    drop(receiver);
    assert_eq!(census.alive(), 0);
}

/// BEHAVIOURS.md 7.9: "nobody" is an answer that a later connection ends.
#[test]
fn a_connection_ends_what_is_cached() {
    let log = Log::default();
    let signal: Signal<str, (), Arc<u8>> = Signal::new();
    let (left, right) = (Arc::new(1), Arc::new(2));
    assert!(!signal.of(&left).has_receivers());
    signal.of(&left).send("0").unwrap();
    let receiver = noting(&log, "left");
    signal.of(&left).connect(&receiver);
    signal.of(&left).send("1").unwrap();
    signal.of(&right).send("2").unwrap();
    assert!(signal.of(&left).has_receivers() && !signal.of(&right).has_receivers());
    assert_eq!(words(&log), ["left 1"]);
}

/// A sender that counts how often its weak pointers are asked whether it is dead.
#[derive(Clone)]
struct Asked(Arc<u8>);

#[derive(Clone)]
struct WeakAsked(Weak<u8>);

static ASKED: AtomicUsize = AtomicUsize::new(0);

impl Pointer for Asked {
    type Target = u8;
    type Weak = WeakAsked;
    type Death = Unreported;

    fn downgrade(this: &Self) -> WeakAsked {
        WeakAsked(Arc::downgrade(&this.0))
    }

    fn target(this: &Self) -> &u8 {
        &this.0
    }

    fn address(this: &Self) -> *const () {
        Arc::as_ptr(&this.0).cast()
    }
}

impl WeakPointer for WeakAsked {
    type Strong = Asked;

    fn upgrade(&self) -> Option<Asked> {
        self.0.upgrade().map(Asked)
    }

    fn is_dead(&self) -> bool {
        ASKED.fetch_add(1, SeqCst);
        self.0.strong_count() == 0
    }

    fn address(&self) -> *const () {
        self.0.as_ptr().cast()
    }
}

/// BEHAVIOURS.md 7.9: filled by a send, also with "nobody"; used by the next ones, which do not go through the connections; emptied by connecting and disconnecting.
#[test]
fn the_second_send_does_not_go_through_the_connections() {
    const CONNECTED: usize = 50;
    let signal: Signal<str, (), Asked> = Signal::new();
    let receiver = Receiver::new(|_: &str| ());
    let senders: Vec<_> = (0..=CONNECTED).map(|_| Asked(Arc::new(0))).collect();
    let (nobody, connected) = senders.split_last().unwrap();
    for sender in connected {
        signal.of(sender).connect(&receiver);
    }
    let asked = |of: &Asked| {
        ASKED.store(0, SeqCst);
        signal.of(of).send("").unwrap();
        ASKED.load(SeqCst)
    };
    for sender in [&senders[0], nobody] {
        assert!(asked(sender) >= CONNECTED, "made");
        assert!(asked(sender) < 5, "kept");
    }
    assert!(asked(&senders[0]) < 5, "of each sender");
    assert!(signal.of(&senders[1]).disconnect(&receiver));
    assert!(asked(nobody) >= CONNECTED - 1, "made anew");
    assert!(asked(nobody) < 5);
    assert!(signal.of(&senders[1]).connect(&receiver));
    assert!(asked(nobody) >= CONNECTED && asked(nobody) < 5);
}

/// `has_listeners`: for all, for one sender, and not for what is dead, be it told or not.
#[test]
fn receivers_that_have_died_do_not_count() {
    let signal: Signal<str, (), Arc<u8>> = Signal::new();
    let (left, right) = (Arc::new(1), Arc::new(2));
    let (method, receiver) = (Arc::new(3), Receiver::new(|_: &str| ()));
    assert!(!signal.has_receivers());
    signal.of(&left).connect_method(&method, |_: &i32, _| ());
    assert!(!signal.has_receivers() && !signal.of(&right).has_receivers());
    assert!(signal.of(&left).has_receivers());
    drop(method);
    assert!(!signal.of(&left).has_receivers());
    signal.connect(&receiver);
    assert!(signal.has_receivers() && signal.of(&right).has_receivers());
    drop(receiver);
    assert!(!signal.has_receivers() && !signal.of(&right).has_receivers());
}

/// BEHAVIOURS.md 7.10
#[test]
fn nobody_inherits_the_receivers_of_a_dead_sender() {
    let called = Arc::new(AtomicUsize::new(0));
    let signal: Signal<str, (), Arc<u64>> = Signal::new();
    let count = Arc::clone(&called);
    let receiver = Receiver::new(move |_: &str| {
        count.fetch_add(1, SeqCst);
    });
    for _ in 0..1000 {
        let sender = Arc::new(1);
        assert!(signal.of(&sender).connect(&receiver));
        signal.of(&sender).send("").unwrap();
        drop(sender);
        // Which an allocator likes to put where the first one was.
        let next = Arc::new(1);
        signal.of(&next).send("").unwrap();
        assert!(!signal.of(&next).disconnect(&receiver));
    }
    assert_eq!(called.load(SeqCst), 1000);
    assert!(signal.len() <= 1);
}

#[test]
fn a_signal_and_its_receivers_go_in_either_order() {
    let receiver = Receiver::new(|_: &str| ());
    let object = Watched::new(1);
    let signal: Signal<str> = Signal::new();
    signal.connect(&receiver);
    signal.connect_method(&object, |_: &i32, _| ());
    assert_eq!(Watched::entry_count(&object), 1);
    drop(signal);
    assert_eq!(Watched::entry_count(&object), 0);
    drop((receiver, object));
}

#[test]
fn many_threads_connect_send_and_drop() {
    promptly(|| {
        let census = Census::new();
        let signal: Signal<usize, usize, Arc<usize>> = Signal::new();
        let senders: Vec<_> = (0..3).map(Arc::new).collect();
        thread::scope(|scope| {
            for mine in 0..4 {
                let (signal, senders, census) = (&signal, &senders, &census);
                scope.spawn(move || {
                    for n in 0..500 {
                        let citizen = census.citizen();
                        let receiver = Receiver::new(move |args: &usize| {
                            let _ = &citizen;
                            mine * 1_000_000 + args
                        });
                        let sender = &senders[n % 3];
                        assert!(signal.of(sender).connect(&receiver));
                        let results = signal.of(sender).send(&n).unwrap();
                        assert!(results.contains(&(mine * 1_000_000 + n)));
                        if n % 2 == 0 {
                            assert!(signal.of(sender).disconnect(&receiver));
                        }
                        drop(receiver);
                        let results = signal.of(sender).send(&n).unwrap();
                        assert!(!results.contains(&(mine * 1_000_000 + n)));
                    }
                });
            }
        });
        assert!(signal.is_empty());
        assert_eq!(census.alive(), 0);
    });
}
