//! The members of a weak set: in order, and by hash.
//!
//! Whoever takes a member out of the index (`by_hash`) has removed it. It takes it out of the list under the
//! same lock, and goes on to end its registration. The index is asked by number, so that a death, however
//! late it is reported, touches its own entry only.
//!
//! # The version
//! It is the number of insertions plus that of removals. Neither ever falls, so two sums are equal only if
//! both numbers are. Each is raised after the change is made, and before the lock of the index is let go of.
//! So whoever reads it (Acquire) finds all changes that it counts, and who knows of a change by a call that
//! has returned, or has asked the index, finds it counted. Not counted is what nobody could have been shown:
//! that the entry of a member goes which was dead before and does not report deaths.
//!
//! # Members that do not live yet
//! A weak pointer that was entered by itself cannot be upgraded before its object is finished, and nobody can
//! tell that from death. So nobody takes such an entry for dead until somebody has seen the object alive.

use crate::memory::panics::after;
use crate::pointer::notify::{Notified, Notify};
use crate::pointer::traits::{SyncPointer, WeakPointer};
use crate::pointer::watchers::Registration;
use crate::set::epoch_list::{pin, EpochList, Guard};
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, List, ListMap, Mutex, Ordering};
use std::ops::ControlFlow;
use std::sync::Arc;

/// So many owners are read at a time.
const BATCH: usize = 16;
/// So many entries are looked at by each insertion and removal, if some are alive,
const SWEEP: usize = 4;
/// and so many if all are dead.
const LONG_SWEEP: usize = 64;
/// So many entries are looked at under one pin by what looks at all.
const SURVEY: usize = 256;

pub(in crate::set) struct Member<P: SyncPointer> {
    number: u64,
    hash: u64,
    weak: P::Weak,
    /// Whether somebody has seen it alive. If not, a weak pointer that cannot be upgraded says nothing.
    has_lived: AtomicBool,
    watch: Mutex<MemberWatch>,
}

impl<P: SyncPointer> Member<P> {
    pub(in crate::set) fn weak(&self) -> &P::Weak {
        &self.weak
    }

    /// The owner that `of` makes of the weak pointer.
    pub(in crate::set) fn owner(&self, of: impl FnOnce(&P::Weak) -> Option<P>) -> Option<P> {
        let owner = of(&self.weak)?;
        self.lives();
        Some(owner)
    }

    /// Somebody sees that it lives.
    fn lives(&self) {
        if !self.has_lived.load(Ordering::Relaxed) {
            // Release: pairs with the Acquire in `is_dead`, and hands on that the object was finished.
            self.has_lived.store(true, Ordering::Release);
        }
    }

    /// Whether it has died. False while nobody has seen it alive.
    fn is_dead(&self) -> bool {
        // Asked once more when it is known to have lived (Acquire): the first answer may have been that of an
        // object which was finished, and seen, only after it.
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
    /// Not asked for yet.
    Pending,
    /// The pointer reports its death.
    Reliable(Registration),
    /// Nobody, or a token, which may be forgotten.
    Doubtful(Option<Registration>),
    /// The member has been removed.
    Ended,
}

/// Why a member is taken out.
#[derive(Clone, Copy, PartialEq)]
enum Removal {
    /// Somebody has asked for it.
    Asked,
    /// It is dead.
    Dead,
}

pub(in crate::set) struct Members<P: SyncPointer> {
    // Invariant: numbers ascend in each list. Dropped before the order, which has all of them too, and
    // survives their panics.
    by_hash: ListMap<List<Arc<Member<P>>>>,
    order: EpochList<Member<P>>,
    /// Members that may be dead without our having been told.
    doubtful: AtomicUsize,
    /// Grows with each removal of a member that lives, or that has reported its death.
    removals: AtomicU64,
    /// Where the next sweep begins.
    swept: AtomicU64,
}

impl<P: SyncPointer> Members<P> {
    pub(in crate::set) fn new() -> Arc<Self> {
        Self::with_order(EpochList::new(), 0)
    }

    /// With room. Others may wait for it, so the caller has pinned before.
    pub(in crate::set) fn with_capacity(capacity: usize, guard: &Guard) -> Arc<Self> {
        let order = EpochList::new();
        // First, as it refuses what is too much.
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

    /// See the head of this file.
    pub(in crate::set) fn version(&self) -> u64 {
        let insertions = self.order.end();
        // Acquire: pairs with the Release of each removal, as all that raise it are read-modify-writes.
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

    /// Shows each entry, a limited number of them under one pin.
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

    /// Enters a member, unless there is one with the same hash of which `twin` makes something: then that.
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
            // Before the lock: pinning may run the drops that other pins were holding back.
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

    /// The first one with this hash, from a number on.
    fn candidate(&self, hash: u64, from: u64) -> Option<Arc<Member<P>>> {
        self.by_hash.read(hash, |list| {
            let at = list.partition_point(|member| member.number < from);
            list.get(at).cloned()
        })
    }

    /// The live member of which `owner` makes one, and its number.
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

    /// Takes out the entry with this number: true for the one call that did.
    pub(in crate::set) fn remove(&self, number: u64) -> bool {
        let member = self.order.get(&pin(), number);
        member.is_some_and(|member| self.unlink(&member, Removal::Asked))
    }

    /// Takes out the entry of which `is_it` says that it is the one: true for the one call that did.
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
        // As in `enter`.
        let guard = pin();
        let unlinked = self.by_hash.update(member.hash, |list| {
            let at = list
                .binary_search_by_key(&member.number, |other| other.number)
                .ok()?;
            // At once: who finds that it is not by its hash any more does not meet it in the list either.
            let taken = self.order.remove(&guard, member.number);
            if why == Removal::Asked {
                // Release: who reads the number finds the entry gone.
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
            // It reports its death: counted whoever is first to find it. Release: as above.
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
            // What this thread has given to the epoch is not to wait for its next pin.
            pin().flush();
        }
        unlinked
    }

    pub(in crate::set) fn shrink_to_fit(&self) {
        let guard = pin();
        self.order.shrink_to_fit(&guard);
        self.by_hash.shrink_to_fit();
    }

    /// Looks at the next few entries and takes out the dead.
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
        // Two sweeps at a time may look at the same entries; then the next one is at the right place again.
        self.swept.store(stopped.unwrap_or(0), Ordering::Relaxed);
        for member in dead {
            self.unlink(&member, Removal::Dead);
        }
    }
}

impl<P: SyncPointer> Notified for Members<P> {
    fn dead(&self, number: u64) {
        let member = self.order.get(&pin(), number);
        // A token can be dropped while its value lives. If it was for a value that is not finished, that one
        // is not coming.
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
    /// Where to read on.
    next: u64,
    /// Where to end: at what was the end when it began.
    end: u64,
    /// The removals that had been when the batch was read.
    removals: u64,
}

impl<P: SyncPointer> Cursor<P> {
    pub(in crate::set) fn new(members: &Members<P>) -> Self {
        Self {
            end: members.order.end(),
            ..Self::of_nothing()
        }
    }

    /// At the end of what has no members.
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

    /// The next member that is alive and has not been removed.
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
        // Acquire: pairs with the Release of each removal. Those that are counted here are not read below; of
        // the others, whoever has returned is noticed in `next_of`.
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
                // Here too: if one panics, those before it are not shown again.
                self.next = number + 1;
                match owner {
                    Some(owner) => {
                        self.batch[self.filled] = Some((number, owner));
                        self.filled += 1;
                    }
                    // It may only be out of reach.
                    None if member.weak.is_dead() => dead = Some(Arc::clone(member)),
                    None => {}
                }
                ControlFlow::Continue(())
            });
            // Nothing but dead ones so far: on, under another pin.
            self.next = stopped.unwrap_or(end);
            if self.filled > 0 || self.next >= end {
                break;
            }
            looked = 0;
        }
        // Not one that does not live yet, though it could not be upgraded either.
        if let Some(dead) = dead.filter(|member: &Arc<Member<P>>| member.is_dead()) {
            members.unlink(&dead, Removal::Dead);
        }
        self.filled > 0
    }
}
