//! Objects and receivers whose own code comes back, or panics, at the worst moment.

use super::OnDrop;
use crate::common::{panic_of, promptly};
use highlander::registries::signals::{Receiver, Signal};
use highlander::{Pointer, WeakPointer};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, Weak};

type Hook = Option<Box<dyn FnOnce()>>;

thread_local! {
    /// What the next `downgrade` on this thread but so many does first.
    static DOWNGRADE: RefCell<(usize, Hook)> = const { RefCell::new((0, None)) };
    /// What the drop of each weak pointer does, one at a time.
    static WEAK_DROP: RefCell<Option<fn(&Foreign)>> = const { RefCell::new(None) };
    static OBJECT: RefCell<Option<Foreign>> = const { RefCell::new(None) };
}

#[derive(Clone)]
struct Foreign(Arc<u32>);

#[derive(Clone)]
struct WeakForeign(Weak<u32>);

impl Pointer for Foreign {
    type Target = u32;
    type Weak = WeakForeign;
    const REPORTS: bool = false;

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
        WeakForeign(Arc::downgrade(&this.0))
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
        let hook = WEAK_DROP.try_with(|hook| hook.take()).ok().flatten();
        let object = OBJECT.try_with(|object| object.borrow().clone()).ok();
        if let (Some(hook), Some(Some(object))) = (hook, object) {
            hook(&object);
            WEAK_DROP.set(Some(hook));
        }
    }
}

static SIGNAL: Signal<u32, u32> = Signal::new();

fn add(object: &u32, by: &u32) -> u32 {
    object + by
}

/// Of two receivers for one method that are made at the same time one is dropped, and with it a weak pointer of the object: not under a lock.
#[test]
fn a_weak_pointer_of_a_method_is_dropped_without_a_lock() {
    promptly(|| {
        for wait in 0..4 {
            let object = Foreign(Arc::new(7));
            OBJECT.set(Some(object.clone()));
            let again = object.clone();
            let connect = move || {
                SIGNAL.connect_method(&again, add);
                WEAK_DROP.set(Some(|object| {
                    SIGNAL.disconnect_method(object, add);
                }));
            };
            DOWNGRADE.set((wait, Some(Box::new(connect))));
            SIGNAL.connect_method(&object, add);
            WEAK_DROP.set(None);
            DOWNGRADE.set((0, None));
            SIGNAL.disconnect_all();
            OBJECT.set(None);
        }
    });
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
