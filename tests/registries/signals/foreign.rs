//! Objects and receivers whose own code comes back, or panics, at the worst moment.

use super::OnDrop;
use crate::common::{panic_of, promptly, Census, Citizen};
use highlander::pointer::{Pointer, Unreported, WeakPointer};
use highlander::registries::signals::{Receiver, Signal};
use std::cell::{Cell, RefCell};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex, Weak};

type Hook = Option<Box<dyn FnOnce()>>;

thread_local! {
    /// What the next `downgrade` on this thread but so many does first.
    static DOWNGRADE: RefCell<(usize, Hook)> = const { RefCell::new((0, None)) };
    /// What the drop of each weak pointer does, one at a time.
    static WEAK_DROP: RefCell<Option<fn(&Foreign)>> = const { RefCell::new(None) };
    /// How many weak pointers this thread has made that are not dropped yet.
    static WEAKS: Cell<isize> = const { Cell::new(0) };
    static OBJECT: RefCell<Option<Foreign>> = const { RefCell::new(None) };
}

#[derive(Clone)]
struct Foreign(Arc<u32>);

struct WeakForeign(Weak<u32>);

impl WeakForeign {
    fn new(weak: Weak<u32>) -> Self {
        WEAKS.set(WEAKS.get() + 1);
        Self(weak)
    }
}

impl Clone for WeakForeign {
    fn clone(&self) -> Self {
        Self::new(self.0.clone())
    }
}

impl Pointer for Foreign {
    type Target = u32;
    type Weak = WeakForeign;
    type Death = Unreported;

    fn downgrade(this: &Self) -> WeakForeign {
        let due = DOWNGRADE.with_borrow_mut(|(wait, hook)| match wait {
            0 => hook.take(),
            _ => {
                *wait -= 1;
                None
            }
        });
        if let Some(hook) = due {
            hook();
        }
        WeakForeign::new(Arc::downgrade(&this.0))
    }

    fn target(this: &Self) -> &u32 {
        &this.0
    }

    fn address(this: &Self) -> *const () {
        Arc::as_ptr(&this.0).cast()
    }
}

impl WeakPointer for WeakForeign {
    type Strong = Foreign;

    fn upgrade(&self) -> Option<Foreign> {
        self.0.upgrade().map(Foreign)
    }

    fn is_dead(&self) -> bool {
        self.0.strong_count() == 0
    }

    fn address(&self) -> *const () {
        self.0.as_ptr().cast()
    }
}

impl Drop for WeakForeign {
    fn drop(&mut self) {
        let _ = WEAKS.try_with(|weaks| weaks.set(weaks.get() - 1));
        let hook = WEAK_DROP.try_with(|hook| hook.take()).ok().flatten();
        let object = OBJECT.try_with(|object| object.borrow().clone()).ok();
        if let (Some(hook), Some(Some(object))) = (hook, object) {
            hook(&object);
            WEAK_DROP.set(Some(hook));
        }
    }
}

fn add(object: &u32, by: &u32) -> u32 {
    object + by
}

/// Of two receivers for one method that are made at the same time one is dropped, and with it a weak pointer of the object: not under a lock. The other one is connected once.
#[test]
fn a_weak_pointer_of_a_method_is_dropped_without_a_lock() {
    static SIGNAL: Signal<u32, u32> = Signal::new();
    promptly(|| {
        for wait in 0..4 {
            let object = Foreign(Arc::new(7));
            OBJECT.set(Some(object.clone()));
            let again = object.clone();
            let connect = move || {
                assert!(SIGNAL.connect_method(&again, add));
                WEAK_DROP.set(Some(|object| {
                    SIGNAL.connect_method(object, add);
                }));
            };
            DOWNGRADE.set((wait, Some(Box::new(connect))));
            // If it was asked for a weak pointer so often, somebody else was there before.
            let connected = SIGNAL.connect_method(&object, add);
            assert_eq!(connected, DOWNGRADE.take().1.is_some());
            WEAK_DROP.set(None);
            assert_eq!(SIGNAL.send(&1).unwrap(), [8]);
            assert!(SIGNAL.disconnect_method(&object, add) && SIGNAL.is_empty());
            OBJECT.set(None);
        }
    });
}

/// The same for the sender of a connection that is refused.
#[test]
fn a_weak_pointer_of_a_sender_is_dropped_without_a_lock() {
    static SIGNAL: Signal<u32, (), Foreign> = Signal::new();
    promptly(|| {
        let (sender, receiver) = (Foreign(Arc::new(7)), Receiver::new(|_: &u32| ()));
        assert!(SIGNAL.of(&sender).connect(&receiver));
        OBJECT.set(Some(sender.clone()));
        WEAK_DROP.set(Some(|sender| {
            assert_eq!(SIGNAL.len(), 1);
            SIGNAL.of(sender).send(&1).unwrap();
        }));
        assert!(!SIGNAL.of(&sender).connect(&receiver));
        WEAK_DROP.set(None);
        OBJECT.set(None);
    });
}

/// A receiver that dies while a list is being made, after it was put in: the list does not outlast the send, nor is it used by another one.
#[test]
fn a_death_while_a_list_is_entered_is_not_lost() {
    for wait in 0..3 {
        for kind in 0..3 {
            let (census, calls) = (Census::new(), Arc::new(Mutex::new(0)));
            let signal: Arc<Signal<u32, (), Foreign>> = Arc::default();
            let (citizen, counted) = (census.citizen(), Arc::clone(&calls));
            let receiver = Receiver::new(move |_: &u32| {
                let _ = &citizen;
                *counted.lock().unwrap() += 1;
            });
            let sender = Foreign(Arc::new(7));
            match kind {
                0 => assert!(signal.connect(&receiver)),
                1 => assert!(signal.of(&sender).connect(&receiver)),
                _ => assert!(signal.connect_strong(receiver.clone())),
            }
            let inner = Arc::clone(&signal);
            let end = move || {
                if kind == 2 {
                    assert!(inner.disconnect(&receiver));
                }
                drop(receiver);
            };
            DOWNGRADE.set((wait, Some(Box::new(end))));
            signal.of(&sender).send(&1).unwrap();
            let left = DOWNGRADE.take().1;
            let ended = left.is_none();
            assert_eq!(census.alive(), isize::from(!ended), "{wait} {kind}");
            *calls.lock().unwrap() = 0;
            signal.of(&sender).send(&1).unwrap();
            assert_eq!(*calls.lock().unwrap(), i32::from(!ended));
            drop(left);
        }
    }
}

/// Of an object whose death is come across nothing is left, be its methods connected or not.
#[test]
fn nothing_is_kept_of_a_dead_object() {
    let signal: Signal<u32, u32> = Signal::new();
    let (one, two) = (Foreign(Arc::new(1)), Foreign(Arc::new(2)));
    for object in [&one, &two] {
        assert!(signal.connect_method(object, add));
    }
    assert!(signal.disconnect_method(&two, add));
    assert_eq!(signal.send(&1).unwrap(), [2]);
    drop((one, two));
    assert!(signal.send(&1).unwrap().is_empty());
    assert!(signal.is_empty());
    assert_eq!(WEAKS.get(), 0);
}

/// What a receiver had captured goes with the last send that has it in hand, and may panic there; that leaves the signal as it is.
#[test]
fn a_send_that_is_the_last_to_have_a_receiver_may_panic_with_it() {
    let signal: Signal<u32> = Signal::new();
    let bomb = OnDrop(|| panic!("dropped"));
    let last = Receiver::new(move |_: &u32| {
        let _ = &bomb;
    });
    signal.connect(&last);
    let last = Mutex::new(Some(last));
    let kept = Receiver::new(move |_: &u32| drop(last.lock().unwrap().take()));
    signal.connect(&kept);
    assert_eq!(panic_of(|| signal.send_robust(&1)), "dropped");
    assert_eq!(signal.len(), 1);
    assert_eq!(signal.send_robust(&1).len(), 1);
}

/// And the results that the others have returned by then are dropped, as those of a method whose object goes with the call.
#[test]
fn results_are_dropped_when_the_send_that_has_them_panics() {
    for kind in 0..if cfg!(feature = "async") { 3 } else { 2 } {
        let (census, signal) = (Census::new(), Signal::<u32, Citizen>::new());
        let bomb = OnDrop(|| panic!("dropped"));
        let citizens = census.clone();
        let last = Receiver::new(move |_: &u32| {
            let _ = &bomb;
            citizens.citizen()
        });
        signal.connect(&last);
        let (last, citizens) = (Mutex::new(Some(last)), census.clone());
        let kept = Receiver::new(move |_: &u32| {
            drop(last.lock().unwrap().take());
            citizens.citizen()
        });
        signal.connect(&kept);
        let text = match kind {
            0 => panic_of(|| signal.send(&1)),
            1 => panic_of(|| signal.send_robust(&1)),
            #[cfg(feature = "async")]
            2 => panic_of(|| pollster::block_on(signal.send_robust_async(&1))),
            _ => unreachable!(),
        };
        assert_eq!(text, "dropped");
        assert_eq!((census.born(), census.alive()), (2, 0), "{kind}");
    }
}

/// A receiver of another sender goes while a list is being made, and what it had captured panics: the list does not leak, and with it what the others have captured.
#[test]
fn a_list_does_not_leak_when_a_receiver_that_is_not_in_it_panics() {
    let mut panicked = 0;
    for wait in 0..3 {
        let (census, signal) = (Census::new(), Signal::<u32, (), Foreign>::new());
        let (one, two) = (Foreign(Arc::new(1)), Foreign(Arc::new(2)));
        let bomb = OnDrop(|| panic!("dropped"));
        let other = Receiver::new(move |_: &u32| {
            let _ = &bomb;
        });
        signal.of(&two).connect(&other);
        let citizen = census.citizen();
        let kept = Receiver::new(move |_: &u32| {
            let _ = &citizen;
        });
        signal.of(&one).connect(&kept);
        DOWNGRADE.set((wait, Some(Box::new(move || drop(other)))));
        let sent = catch_unwind(AssertUnwindSafe(|| signal.of(&one).send(&1)));
        panicked += u32::from(sent.is_err());
        drop(catch_unwind(AssertUnwindSafe(|| drop(DOWNGRADE.take().1))));
        drop(kept);
        assert_eq!((signal.len(), census.alive()), (0, 0), "{wait}");
    }
    assert!(panicked > 0, "it goes while a list is made");
}

/// Of two receivers for one method the one that is not needed may panic in its drop; the other one is not lost by that.
#[test]
fn a_receiver_is_not_lost_though_its_twin_panics() {
    thread_local!(static ARMED: Cell<bool> = const { Cell::new(false) });

    struct Armed;
    impl Drop for Armed {
        fn drop(&mut self) {
            assert!(!ARMED.replace(false), "dropped");
        }
    }

    fn connect(signal: &Signal<u32>, object: &Foreign) -> bool {
        let armed = Armed;
        signal.connect_method(object, move |_: &u32, _: &u32| {
            let _ = &armed;
        })
    }

    let mut panicked = 0;
    for wait in 0..4 {
        let (signal, object) = (Arc::new(Signal::<u32>::new()), Foreign(Arc::new(7)));
        OBJECT.set(Some(object.clone()));
        let again = (Arc::clone(&signal), object.clone());
        let twin = move || {
            connect(&again.0, &again.1);
            WEAK_DROP.set(Some(|_| panic!("dropped")));
        };
        DOWNGRADE.set((wait, Some(Box::new(twin))));
        let connected = catch_unwind(AssertUnwindSafe(|| connect(&signal, &object)));
        panicked += u32::from(connected.is_err());
        DOWNGRADE.take();
        WEAK_DROP.take();
        OBJECT.set(None);

        // It is connected by now; what was to be connected once more goes.
        ARMED.set(true);
        assert_eq!(panic_of(|| connect(&signal, &object)), "dropped");
        drop(object);
        signal.send(&1).unwrap();
        assert!(signal.is_empty());
        drop(signal);
        assert_eq!(WEAKS.get(), 0, "{wait}");
    }
    assert!(panicked > 0, "one was not needed");
}
