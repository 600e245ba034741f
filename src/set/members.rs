//! The members of a weak set: in order, and by hash.
//!
//! A call that takes a member out of the index (`by_hash`) has removed it. The call takes it out of the list
//! under the same lock, and then ends its registration. The index is asked by number, so that a death,
//! however late it is reported, affects its own entry only.
//!
//! # The version
//! It is the number of insertions plus that of removals. Neither ever falls, so two sums are equal only if
//! both numbers are. Each is raised after the change is made, and before the lock of the index is released.
//! So a caller that reads it (Acquire) finds all changes that it counts. A caller that knows of a change by a
//! call that has returned, or from the index, finds it counted. One thing is not counted, as no call could
//! have shown it: the entry of a member goes that was dead before and does not report its death.
//!
//! # Members that do not live yet
//! A weak pointer that was entered by itself cannot be upgraded before its object is finished, and no call
//! can distinguish that from death. So no call treats such an entry as dead until some call has seen the
//! object alive.

use crate::memory::panics::after;
use crate::pointer::notify::{Notified, Notify};
use crate::pointer::traits::{SyncPointer, WeakPointer};
use crate::pointer::watchers::Registration;
use crate::set::epoch_list::{pin, EpochList, Guard};
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, List, ListMap, Mutex, Ordering};
use std::ops::ControlFlow;
use std::sync::Arc;

/// The number of owners that are read at a time.
const BATCH: usize = 16;
/// The number of entries that each insertion and removal looks at, if some of them are alive.
const SWEEP: usize = 4;
/// The number of entries that each insertion and removal looks at, if all are dead.
const LONG_SWEEP: usize = 64;
/// The number of entries that are looked at under one pin by calls that look at all.
const SURVEY: usize = 256;

pub(in crate::set) struct Member<P: SyncPointer> {
    number: u64,
    hash: u64,
    weak: P::Weak,
    /// True once some call has seen it alive. Until then, a weak pointer that cannot be upgraded says
    /// nothing.
    has_lived: AtomicBool,
    watch: Mutex<MemberWatch>,
}

impl<P: SyncPointer> Member<P> {
    pub(in crate::set) fn weak(&self) -> &P::Weak {
        &self.weak
    }

    /// Returns the owner that `of` makes of the weak pointer.
    pub(in crate::set) fn owner(&self, of: impl FnOnce(&P::Weak) -> Option<P>) -> Option<P> {
        let owner = of(&self.weak)?;
        self.lives();
        Some(owner)
    }

    /// Records that it has been seen alive.
    fn lives(&self) {
        if !self.has_lived.load(Ordering::Relaxed) {
            // Release: pairs with the Acquire in `is_dead`, and hands on that the object was finished.
            self.has_lived.store(true, Ordering::Release);
        }
    }

    /// Returns whether it has died. False while no call has seen it alive.
    fn is_dead(&self) -> bool {
        // `is_dead` is asked once more when the object is known to have lived. Acquire: pairs with the
        // Release in `lives`. The first answer may have been that of an object which was finished, and seen,
        // only after it.
        !self.is_alive() && self.has_lived.load(Ordering::Acquire) && self.weak.is_dead()
    }

    fn is_alive(&self) -> bool {
        let alive = !self.weak.is_dead();
        if alive {
            self.lives();
        }
        alive
    }
}

#[allow(dead_code)] // registrations are there to be dropped
enum MemberWatch {
    /// Nothing is registered yet.
    Pending,
    /// The pointer reports its death before the last owner's drop returns.
    Reliable(Registration),
    /// Nothing is registered, or the report may be late or missing: a token may be forgotten.
    Doubtful(Option<Registration>),
    /// The member has been removed.
    Ended,
}

/// The reason why a member is taken out.
#[derive(Clone, Copy, PartialEq)]
enum Removal {
    /// A call has asked for it.
    Asked,
    /// It is dead.
    Dead,
}

pub(in crate::set) struct Members<P: SyncPointer> {
    // Invariant: numbers ascend in each list. Dropped before the order, which has all members too. The order
    // hides panics of their drops.
    by_hash: ListMap<List<Arc<Member<P>>>>,
    order: EpochList<Member<P>>,
    /// The number of members that may be dead without a report.
    doubtful: AtomicUsize,
    /// Grows with each removal by a call, and when a dead member is taken out that reports its death.
    removals: AtomicU64,
    /// The number at which the next sweep begins.
    swept: AtomicU64,
}

impl<P: SyncPointer> Members<P> {
    pub(in crate::set) fn new() -> Arc<Self> {
        Self::with_order(EpochList::new(), 0)
    }

    /// Creates it with room for `capacity` members. Others may wait for it, so the caller has pinned before.
    pub(in crate::set) fn with_capacity(capacity: usize, guard: &Guard) -> Arc<Self> {
        let order = EpochList::new();
        // First, as it panics if the capacity is too large.
        order.reserve(capacity, guard);
        Self::with_order(order, capacity)
    }

    fn with_order(order: EpochList<Member<P>>, capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            order,
            by_hash: ListMap::small(capacity),
            doubtful: AtomicUsize::new(0),
            removals: AtomicU64::new(0),
            swept: AtomicU64::new(0),
        })
    }

    pub(in crate::set) fn entry_count(&self) -> usize {
        self.order.len()
    }

    /// Returns the version; see the head of this file.
    pub(in crate::set) fn version(&self) -> u64 {
        let insertions = self.order.end();
        // Acquire: pairs with the Release of each removal in `unlink`, as all that raise it are
        // read-modify-writes.
        let removals = self.removals.load(Ordering::Acquire);
        insertions.wrapping_add(removals)
    }

    pub(in crate::set) fn capacity(&self) -> usize {
        self.order.capacity(&pin())
    }

    pub(in crate::set) fn reserve(&self, additional: usize) {
        self.order.reserve(additional, &pin());
    }

    pub(in crate::set) fn live(&self) -> usize {
        if self.doubtful.load(Ordering::Relaxed) == 0 {
            return self.entry_count();
        }
        let mut live = 0;
        self.survey(|member| live += usize::from(member.is_alive()));
        live
    }

    pub(in crate::set) fn is_empty(&self) -> bool {
        if self.entry_count() == 0 {
            return true;
        }
        Cursor::new(self).next(self).is_none()
    }

    /// Calls `f` with each entry, a limited number of them under one pin.
    fn survey(&self, mut f: impl FnMut(&Arc<Member<P>>)) {
        let (mut next, end) = (0, self.order.end());
        while next < end {
            let mut left = SURVEY;
            let stopped = self.order.visit(&pin(), next, |number, member| {
                if left == 0 || number >= end {
                    return ControlFlow::Break(number);
                }
                left -= 1;
                f(member);
                ControlFlow::Continue(())
            });
            next = stopped.unwrap_or(end);
        }
    }

    /// Enters a member, unless there is one with the same hash for which `twin` returns something. Returns
    /// that.
    pub(in crate::set) fn enter<T>(
        self: &Arc<Self>,
        hash: u64,
        weak: P::Weak,
        has_lived: bool,
        twin: impl Fn(&Member<P>) -> Option<T>,
        watch: impl FnOnce(Notify) -> (Option<Registration>, bool),
    ) -> Option<T> {
        let mut weak = Some(weak);
        // Numbers below have been compared.
        let mut compared = 0;
        let entered = loop {
            while let Some(candidate) = self.candidate(hash, compared) {
                if let Some(existing) = twin(&candidate) {
                    return Some(after((candidate, weak, watch), existing));
                }
                if candidate.is_dead() {
                    self.unlink(&candidate, Removal::Dead);
                }
                compared = candidate.number + 1;
            }
            // Before the lock: pinning may run drops that other pins have held back.
            let guard = pin();
            let entered = self.by_hash.update(hash, |list| {
                if list.last().is_some_and(|last| last.number >= compared) {
                    return None;
                }
                let weak = weak.take()?;
                let member = self.order.append(&guard, |number| {
                    Arc::new(Member {
                        number,
                        hash,
                        weak,
                        has_lived: AtomicBool::new(has_lived),
                        watch: Mutex::new(MemberWatch::Pending),
                    })
                });
                list.push(Arc::clone(&member));
                Some(member)
            });
            if let Some(entered) = entered {
                break entered;
            }
        };
        self.begin_watch(&entered, watch);
        None
    }

    fn begin_watch(
        self: &Arc<Self>,
        member: &Arc<Member<P>>,
        watch: impl FnOnce(Notify) -> (Option<Registration>, bool),
    ) {
        /// Takes the member out when user code panics.
        struct Undo<'a, P: SyncPointer>(&'a Members<P>, &'a Member<P>);
        impl<P: SyncPointer> Drop for Undo<'_, P> {
            fn drop(&mut self) {
                self.0.unlink(self.1, Removal::Asked);
            }
        }
        let undo = Undo(self, member);
        let this: std::sync::Weak<Self> = Arc::downgrade(self);
        let watch = match watch(Notify::new(this, member.number)) {
            (Some(registration), true) => MemberWatch::Reliable(registration),
            (registration, _) => MemberWatch::Doubtful(registration),
        };
        std::mem::forget(undo);
        let mut state = member.watch.lock();
        let late = match *state {
            MemberWatch::Ended => Some(watch),
            _ => {
                if let MemberWatch::Doubtful(_) = watch {
                    self.doubtful.fetch_add(1, Ordering::Relaxed);
                }
                *state = watch;
                None
            }
        };
        drop(state);
        // After the lock: its drop may be user code.
        drop(late);
    }

    /// Returns the first member with this hash, from a number on.
    fn candidate(&self, hash: u64, from: u64) -> Option<Arc<Member<P>>> {
        self.by_hash.read(hash, |list| {
            let at = list.partition_point(|member| member.number < from);
            list.get(at).cloned()
        })
    }

    /// Returns the number of the live member with this hash for which `owner` returns an owner, and that
    /// owner.
    pub(in crate::set) fn find(
        &self,
        hash: u64,
        owner: impl Fn(&P::Weak) -> Option<P>,
    ) -> Option<(u64, P)> {
        let mut next = 0;
        while let Some(candidate) = self.candidate(hash, next) {
            next = candidate.number + 1;
            if let Some(owner) = candidate.owner(&owner) {
                let number = candidate.number;
                return Some(after(candidate, (number, owner)));
            }
            if candidate.is_dead() {
                self.unlink(&candidate, Removal::Dead);
            }
        }
        None
    }

    /// Takes out the entry with this number. True for the one call that has taken it out.
    pub(in crate::set) fn remove(&self, number: u64) -> bool {
        let member = self.order.get(&pin(), number);
        member.is_some_and(|member| self.unlink(&member, Removal::Asked))
    }

    /// Takes out the entry for which `is_it` returns true. True for the one call that has taken it out.
    pub(in crate::set) fn remove_entry(&self, hash: u64, is_it: impl Fn(&P::Weak) -> bool) -> bool {
        let mut next = 0;
        while let Some(candidate) = self.candidate(hash, next) {
            if is_it(&candidate.weak) {
                return self.unlink(&candidate, Removal::Asked);
            }
            next = candidate.number + 1;
        }
        false
    }

    fn unlink(&self, member: &Member<P>, why: Removal) -> bool {
        // Before the lock, as in `enter`.
        let guard = pin();
        let unlinked = self.by_hash.update(member.hash, |list| {
            let at = list
                .binary_search_by_key(&member.number, |other| other.number)
                .ok()?;
            // Under the same lock: a caller that does not find it by its hash any more does not find it in
            // the list either.
            let taken = self.order.remove(&guard, member.number);
            if why == Removal::Asked {
                // Release: pairs with the Acquire in `version` and `fill`, which then find the entry gone.
                self.removals.fetch_add(1, Ordering::Release);
            }
            Some((list.remove(at), taken))
        });
        drop(guard);
        let Some(taken) = unlinked else {
            return false;
        };
        let watch = std::mem::replace(&mut *member.watch.lock(), MemberWatch::Ended);
        if let MemberWatch::Doubtful(_) = watch {
            self.doubtful.fetch_sub(1, Ordering::Relaxed);
        }
        if why == Removal::Dead && !matches!(watch, MemberWatch::Doubtful(None)) {
            // It reports its death, so it is counted, whichever call finds it first. Release: as above.
            self.removals.fetch_add(1, Ordering::Release);
        }
        drop((watch, taken));
        true
    }

    pub(in crate::set) fn pop_first(&self) -> Option<P> {
        self.sweep();
        let mut cursor = Cursor::new(self);
        while let Some((number, owner)) = cursor.next_of(self, 1) {
            if self.remove(number) {
                return Some(after(cursor, owner));
            }
        }
        None
    }

    pub(in crate::set) fn clear(&self) -> usize {
        self.unlink_where(Removal::Asked, |_| true)
    }

    pub(in crate::set) fn prune(&self) -> usize {
        self.unlink_where(Removal::Dead, Member::is_dead)
    }

    fn unlink_where(&self, why: Removal, mut is_meant: impl FnMut(&Member<P>) -> bool) -> usize {
        let mut found = Vec::new();
        self.survey(|member| {
            if is_meant(member) {
                found.push(Arc::clone(member));
            }
        });
        let unlinked = found.iter().filter(|one| self.unlink(one, why)).count();
        drop(found);
        if unlinked > 0 {
            // The drops that this thread has given to the epoch need not wait for its next pin.
            pin().flush();
        }
        unlinked
    }

    pub(in crate::set) fn shrink_to_fit(&self) {
        let guard = pin();
        self.order.shrink_to_fit(&guard);
        self.by_hash.shrink_to_fit();
    }

    /// Looks at the next few entries, and takes out the dead ones.
    pub(in crate::set) fn sweep(&self) {
        if self.doubtful.load(Ordering::Relaxed) == 0 {
            return;
        }
        let from = self.swept.load(Ordering::Relaxed);
        let (mut looked, mut dead) = (0, Vec::new());
        let stopped = self.order.visit(&pin(), from, |number, member| {
            let limit = if dead.len() == looked {
                LONG_SWEEP
            } else {
                SWEEP
            };
            if looked >= limit {
                return ControlFlow::Break(number);
            }
            looked += 1;
            if member.is_dead() {
                dead.push(Arc::clone(member));
            }
            ControlFlow::Continue(())
        });
        // Two sweeps at the same time may look at the same entries. The next sweep then goes on at the right
        // place.
        self.swept.store(stopped.unwrap_or(0), Ordering::Relaxed);
        for member in dead {
            self.unlink(&member, Removal::Dead);
        }
    }
}

impl<P: SyncPointer> Notified for Members<P> {
    fn dead(&self, number: u64) {
        let member = self.order.get(&pin(), number);
        // A token can be dropped while its value lives. If its value was not finished, it never will be.
        if let Some(member) = member.filter(|member| !member.is_alive()) {
            self.unlink(&member, Removal::Dead);
        }
    }
}

/// A place in the order, and owners of the next few members.
pub(in crate::set) struct Cursor<P: SyncPointer> {
    batch: [Option<(u64, P)>; BATCH],
    at: usize,
    filled: usize,
    /// The number from which to read on.
    next: u64,
    /// The number at which to end: the end of the list when the cursor was made.
    end: u64,
    /// The number of removals when the batch was read.
    removals: u64,
}

impl<P: SyncPointer> Cursor<P> {
    pub(in crate::set) fn new(members: &Members<P>) -> Self {
        Self {
            end: members.order.end(),
            ..Self::of_nothing()
        }
    }

    /// Creates a cursor at the end of an empty set.
    pub(in crate::set) fn of_nothing() -> Self {
        Self {
            batch: [const { None }; BATCH],
            at: 0,
            filled: 0,
            next: 0,
            end: 0,
            removals: 0,
        }
    }

    /// Returns the next member that is alive and has not been removed.
    pub(in crate::set) fn next(&mut self, members: &Members<P>) -> Option<(u64, P)> {
        self.next_of(members, BATCH)
    }

    fn next_of(&mut self, members: &Members<P>, size: usize) -> Option<(u64, P)> {
        loop {
            if self.at == self.filled && !self.fill(members, size) {
                return None;
            }
            let next = self.batch[self.at].take()?;
            self.at += 1;
            // A removal since the batch was read may have been that of this one.
            if members.removals.load(Ordering::Relaxed) == self.removals
                || members.order.get(&pin(), next.0).is_some()
            {
                return Some(next);
            }
        }
    }

    /// Reads the next batch under one pin.
    fn fill(&mut self, members: &Members<P>, size: usize) -> bool {
        let end = self.end;
        (self.at, self.filled) = (0, 0);
        if self.next >= end {
            return false;
        }
        // Acquire: pairs with the Release of each removal in `unlink`. Members whose removal is counted here
        // are not read below. A later removal that has returned is noticed in `next_of`.
        self.removals = members.removals.load(Ordering::Acquire);
        let (mut dead, mut looked) = (None, 0);
        loop {
            let from = self.next;
            let stopped = members.order.visit(&pin(), from, |number, member| {
                if self.filled == size || looked == SURVEY || number >= end {
                    return ControlFlow::Break(number);
                }
                looked += 1;
                let owner = member.owner(WeakPointer::upgrade);
                // Here too: if the next one panics, those before it are not shown again.
                self.next = number + 1;
                match owner {
                    Some(owner) => {
                        self.batch[self.filled] = Some((number, owner));
                        self.filled += 1;
                    }
                    // Otherwise it may only be out of reach.
                    None if member.weak.is_dead() => dead = Some(Arc::clone(member)),
                    None => {}
                }
                ControlFlow::Continue(())
            });
            // Nothing but dead ones so far: goes on under another pin.
            self.next = stopped.unwrap_or(end);
            if self.filled > 0 || self.next >= end {
                break;
            }
            looked = 0;
        }
        // Not a member that does not live yet, though that could not be upgraded either.
        if let Some(dead) = dead.filter(|member: &Arc<Member<P>>| member.is_dead()) {
            members.unlink(&dead, Removal::Dead);
        }
        self.filled > 0
    }
}
