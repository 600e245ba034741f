//! What is due, in order, while somebody runs it.
//!
//! Only then is it kept: the first who runs has it made of all that are pending, and whoever registers or re-prioritises meanwhile adds to it.

use super::Pending;
use crate::registries::process_id::this_process;
use crate::sync::{AtomicU64, Mutex, Ordering};
use std::cmp::Ordering as Order;
use std::collections::binary_heap::{BinaryHeap, PeekMut};
use std::mem;
use std::sync::Arc;

pub(super) struct Agenda {
    /// How many run. Changed under the lock.
    running: AtomicU64,
    due: Mutex<AllDue>,
}

#[derive(Default)]
struct AllDue {
    /// Those that have been taken, or have another priority by now, are passed over.
    heap: BinaryHeap<Due>,
    /// Whether all are in it that were pending when the first began to run.
    is_complete: bool,
    /// From this length on, those that have been taken are thrown out, so that these are at most as many as the others.
    limit: usize,
}

struct Due {
    priority: i32,
    pending: Arc<dyn Pending>,
}

impl Due {
    fn new(pending: &Arc<dyn Pending>) -> Option<Self> {
        Some(Self {
            priority: pending.priority()?,
            pending: Arc::clone(pending),
        })
    }

    fn is_still(&self) -> bool {
        self.pending.priority() == Some(self.priority) && self.pending.process() == this_process()
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Order {
        let rank = |due: &Self| (due.priority, due.pending.number());
        rank(self).cmp(&rank(other))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

/// While it exists, whatever comes is added.
pub(super) struct Running<'a>(&'a Agenda);

impl Agenda {
    pub(super) fn new() -> Self {
        Self {
            running: AtomicU64::new(0),
            due: Mutex::new(AllDue::default()),
        }
    }

    /// Begins to run: `pending` says what is to be run, if nobody has said it yet.
    pub(super) fn begin(&self, pending: impl FnOnce() -> Vec<Arc<dyn Pending>>) -> Running<'_> {
        let due = self.due.lock();
        // AcqRel: see `has_come`. Before `pending` is asked.
        self.running.fetch_add(1, Ordering::AcqRel);
        let is_complete = due.is_complete;
        drop(due);
        let running = Running(self);
        if !is_complete {
            let mut all: BinaryHeap<_> = pending().iter().filter_map(Due::new).collect();
            let mut due = self.due.lock();
            due.heap.append(&mut all);
            due.is_complete = true;
        }
        running
    }

    /// One has been entered among the pending ones, or has got another priority.
    pub(super) fn has_come(&self, pending: &Arc<dyn Pending>) {
        // AcqRel, and it changes nothing: it comes before the step of whoever begins to run, who then sees the entry, or after it, and then sees that somebody runs.
        if self.running.fetch_add(0, Ordering::AcqRel) > 0 {
            if let Some(new) = Due::new(pending) {
                self.due.lock().add(new);
            }
        }
    }
}

impl AllDue {
    fn add(&mut self, new: Due) {
        self.heap.push(new);
        if self.heap.len() > self.limit {
            // What is taken owns nothing of a user's.
            self.heap.retain(|due| !due.pending.is_taken());
            self.limit = 2 * self.heap.len().max(32);
        }
    }
}

impl Running<'_> {
    /// The next one with this priority or a higher one.
    pub(super) fn next(&self, least: i32) -> Option<Arc<dyn Pending>> {
        let mut due = self.0.due.lock();
        loop {
            let first = due.heap.peek_mut().filter(|due| due.priority >= least)?;
            let first = PeekMut::pop(first);
            if first.is_still() {
                return Some(first.pending);
            }
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut due = self.0.due.lock();
        // Release is not needed: the lock orders it.
        let is_last = self.0.running.fetch_sub(1, Ordering::Relaxed) == 1;
        let rest = is_last.then(|| mem::take(&mut *due));
        drop(due);
        drop(rest);
    }
}
