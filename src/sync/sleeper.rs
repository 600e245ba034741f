//! Threads and tasks that sleep until they are notified.
//!
//! Nobody is woken under a lock: to wake a task runs code of its executor, which may poll the task on the
//! spot, or drop its last owner. So sleepers are taken out under the lock, and notified after it.

use super::{const_fn, Condvar, Mutex, Numbered};
use std::sync::Arc;
use std::task::Waker;
#[cfg(feature = "async")]
use std::task::{Context, Poll};

/// One thread or task that sleeps until it is notified. It is notified once.
pub(crate) struct Sleeper {
    state: Mutex<SleeperState>,
    woken: Condvar,
}

struct SleeperState {
    notified: bool,
    /// Of the task, once it has been polled.
    waker: Option<Waker>,
}

impl Sleeper {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(SleeperState {
                notified: false,
                waker: None,
            }),
            woken: Condvar::new(),
        }
    }

    /// Wakes the thread. Returns a task's waker: waking or dropping it runs user code, so under no lock.
    #[must_use = "the task sleeps until it is woken"]
    pub(crate) fn notify(&self) -> Option<Waker> {
        let mut state = self.state.lock();
        state.notified = true;
        let waker = state.waker.take();
        drop(state);
        self.woken.notify_all();
        waker
    }

    pub(crate) fn wait(&self) {
        let mut state = self.state.lock();
        while !state.notified {
            state = self.woken.wait(state).unwrap_or_else(|e| e.into_inner());
        }
    }

    /// Polls whether it is notified. The task of the last poll is the one that is woken.
    #[cfg(feature = "async")]
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        // Cloned and dropped outside of the lock: both are code of the executor.
        let mut mine = Some(context.waker().clone());
        let mut state = self.state.lock();
        let notified = state.notified;
        if !notified {
            std::mem::swap(&mut state.waker, &mut mine);
        }
        drop(state);
        drop(mine);
        if notified {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// Something that threads and tasks wait for.
pub(crate) struct Event {
    waiting: Mutex<Numbered<Arc<Sleeper>>>,
}

impl Event {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                waiting: Mutex::new(Numbered::new()),
            }
        }
    }

    /// Begins to listen: an event after this call is not missed.
    pub(crate) fn listen(&self) -> Listener<'_> {
        let sleeper = Arc::new(Sleeper::new());
        let number = self.waiting.lock().push(Arc::clone(&sleeper));
        Listener {
            event: self,
            number,
            sleeper,
        }
    }

    /// Takes out those who listen, to be notified outside of all locks.
    #[must_use = "they sleep until they are notified"]
    pub(crate) fn take_waiting(&self) -> Vec<Arc<Sleeper>> {
        let waiting = self.waiting.lock().take_all();
        waiting.collect()
    }
}

/// A thread or task that listens, until this is dropped.
pub(crate) struct Listener<'a> {
    event: &'a Event,
    number: u64,
    sleeper: Arc<Sleeper>,
}

impl Listener<'_> {
    pub(crate) fn wait(&self) {
        self.sleeper.wait();
    }

    #[cfg(feature = "async")]
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        self.sleeper.poll(context)
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        let sleeper = self.event.waiting.lock().remove(self.number);
        // After the lock: it may own a task.
        drop(sleeper);
    }
}
