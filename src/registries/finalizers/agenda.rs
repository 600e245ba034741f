//! What is due, in order, while somebody runs it.
//!
//! Only then is it kept: the first who runs has it made of all that are pending, and whoever registers or
//! re-prioritises meanwhile adds to it.

use super::PendingFinalizer;
use crate::registries::process_id::this_process;
use crate::sync::{AtomicU64, Mutex, Ordering};
use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

pub(super) struct Agenda {
    /// How many run. Changed under the lock.
    running: AtomicU64,
    due: Mutex<AllDue>,
}

#[derive(Default)]
struct AllDue {
    /// By priority and number, the first to run last. Those that are not due there any more are passed over.
    order: BTreeMap<(i32, u64), Arc<dyn PendingFinalizer>>,
    /// Whether all are in it that were pending when the first began to run.
    is_complete: bool,
    /// From this length on, those that are not due any more are thrown out, so that these are at most as many
    /// as the others.
    limit: usize,
}

impl AllDue {
    fn add(&mut self, pending: &Arc<dyn PendingFinalizer>) {
        let Some(priority) = pending.priority() else {
            return;
        };
        let place = (priority, pending.number());
        self.order.insert(place, Arc::clone(pending));
        if self.order.len() > self.limit {
            // What is not due owns nothing of a user's, or is among the pending ones.
            self.order.retain(|place, pending| is_due(*place, pending));
            self.limit = 2 * self.order.len().max(32);
        }
    }
}

/// Whether it is still to be run by this process, and in this place.
fn is_due((priority, _): (i32, u64), pending: &Arc<dyn PendingFinalizer>) -> bool {
    let is_here = pending.priority() == Some(priority) && pending.process() == this_process();
    is_here && !pending.is_taken()
}

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
    pub(super) fn begin(
        &self,
        pending: impl FnOnce() -> Vec<Arc<dyn PendingFinalizer>>,
    ) -> Running<'_> {
        let due = self.due.lock();
        // AcqRel: see `has_come`. Before `pending` is asked.
        self.running.fetch_add(1, Ordering::AcqRel);
        let is_complete = due.is_complete;
        drop(due);
        let running = Running(self);
        if !is_complete {
            let all = pending();
            let mut due = self.due.lock();
            all.iter().for_each(|pending| due.add(pending));
            due.is_complete = true;
        }
        running
    }

    /// One has been entered among the pending ones, or has got another priority.
    pub(super) fn has_come(&self, pending: &Arc<dyn PendingFinalizer>) {
        // AcqRel, and it changes nothing: it comes before the step of whoever begins to run, who then sees
        // the entry, or after it, and then sees that somebody runs.
        if self.running.fetch_add(0, Ordering::AcqRel) > 0 {
            self.due.lock().add(pending);
        }
    }
}

impl Running<'_> {
    /// The next one with this priority or a higher one.
    pub(super) fn next(&self, least: i32) -> Option<Arc<dyn PendingFinalizer>> {
        let mut due = self.0.due.lock();
        loop {
            let last = due.order.last_entry();
            let (place, pending) = last.filter(|last| last.key().0 >= least)?.remove_entry();
            if is_due(place, &pending) {
                return Some(pending);
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
