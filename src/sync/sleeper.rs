//! Threads and tasks that sleep until they are notified.
//!
//! Nobody is woken under a lock: to wake a task is to run code of its executor, which may poll the task on the spot, or drop
//! the last owner of it. So whoever brings something about takes the sleepers out under its lock, and notifies them after that.

use super::plain::{AtomicU64, Relaxed};
use super::{AtomicBool, Mutex, Ordering, Parker};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;
#[cfg(feature = "async")]
use std::task::{Context, Poll};

/// One thread or task that sleeps until it is notified. It is notified once.
pub(crate) struct Sleeper {
    notified: AtomicBool,
    parker: Parker,
    /// Of the task, once it has been polled.
    waker: Mutex<Option<Waker>>,
}

impl Sleeper {
    pub(crate) fn new() -> Self {
        Self {
            notified: AtomicBool::new(false),
            parker: Parker::new(),
            waker: Mutex::new(None),
        }
    }

    /// Wakes the thread or the task. Runs code of the executor, so it is called with no lock held.
    pub(crate) fn notify(&self) {
        let mut waker = self.waker.lock();
        // Release: pairs with `is_notified`.
        self.notified.store(true, Ordering::Release);
        let waker = {
            let taken = waker.take();
            drop(waker);
            taken
        };
        self.parker.unpark();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn is_notified(&self) -> bool {
        // Acquire: pairs with `notify`.
        self.notified.load(Ordering::Acquire)
    }

    /// Sleeps until it is notified.
    pub(crate) fn wait(&self) {
        while !self.is_notified() {
            self.parker.park_while(|| !self.is_notified());
        }
    }

    /// Is ready when it is notified. The task of the last poll is the one that is woken.
    #[cfg(feature = "async")]
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        // Cloned and dropped outside of the lock: both are code of the executor.
        let mut mine = Some(context.waker().clone());
        let mut waker = self.waker.lock();
        let notified = self.is_notified();
        if !notified {
            std::mem::swap(&mut *waker, &mut mine);
        }
        drop(waker);
        drop(mine);
        if notified {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// Something that some wait for, and others bring about.
pub(crate) struct Event {
    waiting: Mutex<BTreeMap<u64, Arc<Sleeper>>>,
    /// How many have ever listened. Changed under the lock.
    listened: AtomicU64,
}

impl Event {
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub(crate) const fn new() -> Self {
        Self {
            waiting: Mutex::new(BTreeMap::new()),
            listened: AtomicU64::new(0),
        }
    }

    #[cfg(all(highlander_loom, feature = "loom"))]
    pub(crate) fn new() -> Self {
        Self {
            waiting: Mutex::new(BTreeMap::new()),
            listened: AtomicU64::new(0),
        }
    }

    /// What is brought about after this call is not missed.
    pub(crate) fn listen(&self) -> Listener<'_> {
        let sleeper = Arc::new(Sleeper::new());
        let mut waiting = self.waiting.lock();
        let number = self.listened.fetch_add(1, Relaxed);
        waiting.insert(number, Arc::clone(&sleeper));
        drop(waiting);
        Listener {
            event: self,
            number,
            sleeper,
        }
    }

    /// Those who listen, to be notified outside of all locks.
    #[must_use = "they sleep until they are notified"]
    pub(crate) fn take_waiting(&self) -> Vec<Arc<Sleeper>> {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_values().collect()
    }
}

/// One who listens, until this is dropped.
pub(crate) struct Listener<'a> {
    event: &'a Event,
    number: u64,
    sleeper: Arc<Sleeper>,
}

impl Listener<'_> {
    /// Sleeps until it is notified.
    pub(crate) fn wait(&self) {
        self.sleeper.wait();
    }

    /// Is ready when it is notified.
    #[cfg(feature = "async")]
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        self.sleeper.poll(context)
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        let sleeper = self.event.waiting.lock().remove(&self.number);
        // After the lock: it may own a task.
        drop(sleeper);
    }
}
