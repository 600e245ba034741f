//! Values of an exclusive registry or map whose destructor has not ended.
//!
//! | who | puts a value on the list | takes it off |
//! |---|---|---|
//! | a registry's last owner | before it unlinks the value | when the destructor has ended |
//! | a creator that finds a dead value linked | under the bucket's lock, so before | (the last owner does) |
//! | a pointer of a map that reports its death | when it says so | when it reports the end |
//! | a call that takes a dead value out of a map | before it is unlinked | (the pointer does) |
//! | a creator that gives up a draft | before it releases it | (its last owner does) |
//! | the entry of a draft that was given up with another one | | when it goes, if the value is alive |
//!
//! So a caller that finds nothing linked and nothing on the list, in this order, has missed none. A value
//! that is taken out alive is not on the list while it lives: nobody waits for it.

use crate::deadlock::cycle::CycleError;
use crate::deadlock::frames::{self, Asker};
use crate::deadlock::waits::{self, Waiting, WillWait};
use crate::deadlock::work::{GivenUp, GivenUpGroup, Work, WorkEnd};
use crate::pointer::notify::{Notified, Notify};
use crate::pointer::watchers::Registration;
use crate::sync::{plain, AtomicBool, Listener, Mutex, Numbered, Ordering};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(crate) struct Exclusive {
    list: Mutex<EndingList>,
}

struct EndingList {
    deaths: Numbered<Death>,
    /// Pairs of the address of the node, or of the [`Expected`], and a number.
    by_id: BTreeSet<(u64, u64)>,
    /// Pairs of a hash and a number.
    by_hash: BTreeSet<(u64, u64)>,
}

/// A value on the list. The work is its destructor.
struct Death {
    hash: u64,
    work: Arc<Work>,
    /// The thread that runs the destructor, or will; none before that is known.
    thread: Option<u64>,
    /// Of a given-up draft: the work of dropping it, for which the destructor waits until it has a thread.
    release_work: Option<u64>,
    /// Of a draft given up with others: any of them may own it, so the destructor waits for all of these.
    group: Option<Arc<GivenUpGroup>>,
    /// Lives until the end, to be notified of it.
    _expected: Option<Arc<Expected>>,
}

/// A value that has to end before another one may be made.
pub(crate) struct InTheWay {
    end: Arc<WorkEnd>,
    work: Arc<Work>,
    thread: Option<u64>,
}

impl InTheWay {
    /// Returns what is notified of the end; none if it has ended.
    pub(crate) fn listen(&self) -> Option<Listener<'_>> {
        self.end.listen()
    }

    /// Adds the edge of a caller that is about to wait.
    pub(crate) fn begin_waiting(&self, asker: Asker) -> Result<Waiting, CycleError> {
        // (A task that is polled while it is woken is no part of what its thread does.)
        if self.thread == Some(frames::this_thread()) && frames::is_held_up_by(asker) {
            // It cannot end before the caller goes on.
            let chain = frames::own_cycle(|work| std::ptr::eq(work, &*self.work));
            return Err(CycleError::on_one_thread(chain));
        }
        let waiting = WillWait::find(asker).begin(self.work.number());
        waiting.map_err(|cycle| CycleError::of(cycle, Arc::clone(&self.end)))
    }
}

impl Exclusive {
    pub(crate) fn new() -> Self {
        Self {
            list: Mutex::new(EndingList {
                deaths: Numbered::new(),
                by_id: BTreeSet::new(),
                by_hash: BTreeSet::new(),
            }),
        }
    }

    /// Puts a value on the list, before it is unlinked, by the thread that will end it.
    pub(in crate::table) fn begin(&self, hash: u64, id: usize) {
        let end = self.with_death(hash, id, None, |death| {
            death.set_thread(frames::this_thread())
        });
        notify(end.flatten());
    }

    /// Puts a value on the list, by another thread, before the value can end.
    pub(in crate::table) fn expect(&self, hash: u64, id: usize) {
        self.with_death(hash, id, None, |_| {});
    }

    /// Puts a draft that is given up on the list.
    pub(in crate::table) fn abandon(&self, hash: u64, id: usize, given_up: GivenUp<'_>) {
        self.with_death(hash, id, None, |death| death.mark_given_up(given_up));
    }

    fn with_death<R>(
        &self,
        hash: u64,
        id: usize,
        expected: Option<&Arc<Expected>>,
        f: impl FnOnce(&mut Death) -> R,
    ) -> Option<R> {
        let mut list = self.list.lock();
        // Not after the end has been notified.
        if expected.is_some_and(|expected| expected.is_over.load(Ordering::Relaxed)) {
            return None;
        }
        Some(f(list.find_or_add(hash, id, expected)))
    }

    pub(in crate::table) fn work(&self, id: usize) -> Option<Arc<Work>> {
        let list = self.list.lock();
        let death = list.deaths.get(list.number(id)?)?;
        Some(Arc::clone(&death.work))
    }

    /// Takes a value off the list, when its destructor has ended.
    pub(in crate::table) fn end(&self, id: usize) {
        let mut list = self.list.lock();
        let ended = list.remove(id);
        drop(list);
        self.notify_end(ended);
    }

    /// Notifies of the end of one that is not on the list any more.
    fn notify_end(&self, ended: Option<Death>) {
        let Some(ended) = ended else { return };
        // The thread that has reported the death ends it. Another one would not have counted it.
        let thread = frames::this_thread();
        if ended.thread == Some(thread) {
            frames::remove_pending_destructor();
            waits::forget_this_thread();
        }
        waits::forget(&ended.work);
        notify(ended.work.take_end());
    }

    /// Returns one with this hash, preferably one whose thread is known.
    pub(crate) fn in_the_way(&self, hash: u64) -> Option<InTheWay> {
        let list = self.list.lock();
        let with_hash = || {
            let numbers = list.by_hash.range((hash, 0)..=(hash, u64::MAX));
            numbers.filter_map(|(_, number)| list.deaths.get(*number))
        };
        let known = with_hash().find(|death| death.thread.is_some());
        let death = known.or_else(|| with_hash().next())?;
        // It is on the list, so it has not ended.
        let end = death.work.end();
        death.add_wait_edge();
        Some(InTheWay {
            end,
            work: Arc::clone(&death.work),
            thread: death.thread,
        })
    }
}

impl Death {
    /// Sets the thread that runs it. If the thread is in an edge, returns those that wait for this, to look
    /// again: that may close a cycle, which nobody else looks for.
    #[must_use]
    fn set_thread(&mut self, thread: u64) -> Option<Arc<WorkEnd>> {
        if self.thread.is_some() {
            return None;
        }
        self.thread = Some(thread);
        frames::add_pending_destructor();
        self.add_wait_edge();
        frames::has_edge().then(|| self.work.take_end()).flatten()
    }

    fn mark_given_up(&mut self, given_up: GivenUp<'_>) {
        self.release_work = Some(given_up.release_work.number());
        if let Some(group) = given_up.group {
            // It may own the others, and be owned by one of them.
            let (work, all) = (self.work.number(), group.work().number());
            waits::add_part_edge(work, all);
            waits::add_part_edge(all, work);
            self.group = Some(Arc::clone(group));
        }
        self.add_wait_edge();
    }

    /// Adds what the destructor waits for. Called when its work has been given a number, and when it is known
    /// what it waits for: the later call adds it.
    fn add_wait_edge(&self) {
        // Once a thread runs it, it has been released.
        if let (Some(work), Some(other)) = (self.work.numbered(), self.thread.or(self.release_work))
        {
            waits::add_part_edge(work, other);
        }
    }
}

impl EndingList {
    fn number(&self, id: usize) -> Option<u64> {
        let id = id as u64;
        let mut numbers = self.by_id.range((id, 0)..=(id, u64::MAX));
        numbers.next().map(|(_, number)| *number)
    }

    fn remove(&mut self, id: usize) -> Option<Death> {
        let number = self.number(id)?;
        let death = self.deaths.remove(number)?;
        self.by_id.remove(&(id as u64, number));
        self.by_hash.remove(&(death.hash, number));
        Some(death)
    }

    fn find_or_add(
        &mut self,
        hash: u64,
        id: usize,
        expected: Option<&Arc<Expected>>,
    ) -> &mut Death {
        let number = self.number(id).unwrap_or_else(|| {
            let number = self.deaths.push(Death {
                hash,
                work: Arc::new(Work::new()),
                thread: None,
                release_work: None,
                group: None,
                _expected: expected.map(Arc::clone),
            });
            self.by_id.insert((id as u64, number));
            self.by_hash.insert((hash, number));
            number
        });
        self.deaths.get_mut(number).expect("its number is listed")
    }
}

fn notify(end: Option<Arc<WorkEnd>>) {
    if let Some(end) = end {
        waits::notify(end.finish());
    }
}

/// A value of an exclusive map, behind a pointer that reports its death and its end.
pub(crate) struct Expected {
    exclusive: Arc<Exclusive>,
    hash: u64,
    /// It has ended, or is not waited for (any more). Once it can die, changed under the lock of the list.
    is_over: AtomicBool,
    /// A draft that is given up and has not failed. (Relaxed: set before the entry goes.)
    may_live_on: plain::AtomicBool,
    /// With the pointer. Dropped with this, if the value is taken out alive.
    registration: Mutex<Option<Registration>>,
}

impl Expected {
    /// Creates it before the value is linked. `watch` registers it with the pointer.
    pub(crate) fn new(
        exclusive: &Arc<Exclusive>,
        hash: u64,
        watch: impl FnOnce(Notify) -> Option<Registration>,
    ) -> Arc<Self> {
        let this = Arc::new(Self {
            exclusive: Arc::clone(exclusive),
            hash,
            is_over: AtomicBool::new(false),
            may_live_on: plain::AtomicBool::new(false),
            registration: Mutex::new(None),
        });
        let weak = Arc::downgrade(&this);
        let registration = watch(Notify::with_end(weak, 0));
        // An end that is not reported is not waited for.
        this.is_over
            .store(registration.is_none(), Ordering::Relaxed);
        *this.registration.lock() = registration;
        this
    }

    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Puts it on the list: it is dead, and has perhaps not reported that yet.
    pub(crate) fn await_end(self: &Arc<Self>) {
        self.exclusive
            .with_death(self.hash, self.id(), Some(self), |_| {});
        self.keep_registration();
    }

    /// Puts it on the list as a draft that is given up.
    pub(crate) fn abandon(self: &Arc<Self>, given_up: GivenUp<'_>) {
        let mark = |death: &mut Death| death.mark_given_up(given_up);
        self.exclusive
            .with_death(self.hash, self.id(), Some(self), mark);
        if given_up.has_failed {
            self.keep_registration();
        } else {
            self.may_live_on.store(true, plain::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn may_live_on(&self) -> bool {
        self.may_live_on.load(plain::Relaxed)
    }

    /// Takes it off the list: its entry has gone and it is alive, unless it has died by now.
    pub(crate) fn cancel_wait_for_end(&self) {
        let mut list = self.exclusive.list.lock();
        let death = list
            .number(self.id())
            .and_then(|number| list.deaths.get(number));
        if death.is_none_or(|death| death.thread.is_some()) {
            return;
        }
        self.is_over.store(true, Ordering::Relaxed);
        let death = list.remove(self.id());
        drop(list);
        self.exclusive.notify_end(death);
        self.end_registration();
    }

    /// Ends the registration: it is not notified any more.
    fn end_registration(&self) {
        let registration = self.registration.lock().take();
        drop(registration);
    }

    /// Keeps the registration, which must not go with the entry.
    fn keep_registration(&self) {
        let registration = self.registration.lock().take();
        if let Some(registration) = registration {
            registration.keep();
        }
    }

    /// Marks it as taken out alive: nobody waits for it.
    pub(crate) fn forget(&self) {
        let list = self.exclusive.list.lock();
        self.is_over.store(true, Ordering::Relaxed);
        drop(list);
        self.end_registration();
    }
}

impl Notified for Expected {
    fn dead(&self, _: u64) {
        let mut list = self.exclusive.list.lock();
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        // The reporter of the death owns this until it reports the end.
        let death = list.find_or_add(self.hash, self.id(), None);
        let end = death.set_thread(frames::this_thread());
        drop(list);
        notify(end);
    }

    fn work(&self, _: u64) -> Option<Arc<Work>> {
        self.exclusive.work(self.id())
    }

    fn ended(&self, _: u64) {
        let list = self.exclusive.list.lock();
        self.is_over.store(true, Ordering::Relaxed);
        drop(list);
        self.keep_registration();
        self.exclusive.end(self.id());
    }
}
