//! The store of all maps: entries in a table, with a [`slot`] for the key and one for the value.
//!
//! The index owns every linked entry (`Payload::KEPT`). The caller that unlinks an entry takes over that
//! ownership, and runs the removal hook. Only one caller can unlink it. A look-up sets a [`hazard`], or
//! becomes an owner too, upgrades what is weak outside of every lock and guard, and ends. So a look-up that
//! stands still holds back one entry.
//!
//! An entry with a dead value counts as absent: a creation replaces it by identity, not by key. An entry with
//! a dead key equals no key; it stays beside its successor until a sweep or a look-up removes it.

pub(crate) mod bulk;
pub(crate) mod create;
pub(crate) mod death_listener;
pub(crate) mod entering;
pub(crate) mod entry_ref;
pub(crate) mod get;
pub(crate) mod hazard;
pub(crate) mod hook;
pub(crate) mod iter;
pub(crate) mod keyed;
pub(crate) mod node;
pub(crate) mod prune;
pub(crate) mod recent_inserts;
pub(crate) mod reverse;
pub(crate) mod slot;
pub(crate) mod watching;

use crate::create::flight::FlightTable;
use crate::deadlock::naming::Naming;
use crate::map::store::death_listener::{on_unlinked, CanNotify, DeathListener};
use crate::map::store::entry_ref::{EntryRef, LiveEntry, PendingKey};
use crate::map::store::hazard::{HazardDomain, Reclaimed};
use crate::map::store::hook::{Hook, RemovalCause};
use crate::map::store::node::StoreNode;
use crate::map::store::recent_inserts::RecentInserts;
use crate::map::store::reverse::{Indexed, Reverse};
use crate::map::store::slot::Slot;
use crate::memory::panics::Panics;
use crate::pointer::notify::Notify;
use crate::sync::plain::AtomicU32;
use crate::sync::{const_fn, OnceCell};
use crate::table::exclusive::{Exclusive, InTheWay};
use crate::table::stats::{Count, Counters, Stats};
use crate::table::Table;
use std::sync::Arc;

/// The default prune bound: the least that keeps the dead from outnumbering the living.
pub(in crate::map) const PRUNE_BOUND: u32 = 2;

pub(crate) struct Store<A: Slot, B: Indexed> {
    pub(in crate::map) table: Table<StoreNode<A, B>>,
    pub(in crate::map) flights: FlightTable<PendingKey<A, B>, LiveEntry<A, B>>,
    pub(in crate::map) counters: Counters,
    /// The upper half of a hash at which the next sweep begins.
    pub(in crate::map) cursor: AtomicU32,
    /// The upper half of a hash at which the next `pop` begins: what is before it was empty.
    pub(in crate::map) popped: AtomicU32,
    pub(in crate::map) prune_bound: u32,
    pub(in crate::map) naming: Naming<A::Shown>,
    pub(in crate::map) hook: Option<Hook<A::Raw>>,
    pub(in crate::map) reverse: B::Index<A>,
    pub(in crate::map) hazards: HazardDomain<StoreNode<A, B>>,
    pub(in crate::map) recent: RecentInserts,
    /// Made for the first pointer that can report its death.
    listener: OnceCell<Arc<DeathListener<A, B>>>,
    pub(in crate::map) can_notify: CanNotify<A, B>,
    /// True if creators wait for the end of the value that was there before.
    pub(in crate::map) is_exclusive: bool,
    /// The values of an exclusive map whose destructors have not ended. Made for the first of them.
    exclusive: OnceCell<Arc<Exclusive>>,
    /// True if hits are counted.
    pub(in crate::map) counts_hits: bool,
    /// True if another store owns what is in it.
    is_share: bool,
}

impl<A: Slot, B: Indexed> Store<A, B> {
    const_fn! {
        pub(in crate::map) const fn new(reverse: B::Index<A>, can_notify: CanNotify<A, B>) -> Self {
            Self {
                table: Table::new(),
                flights: FlightTable::new(),
                counters: Counters::new(),
                cursor: AtomicU32::new(0),
                popped: AtomicU32::new(0),
                prune_bound: PRUNE_BOUND,
                naming: Naming::BY_TYPE,
                hook: None,
                reverse,
                hazards: HazardDomain::new(),
                recent: RecentInserts::new(),
                listener: OnceCell::new(),
                can_notify,
                is_exclusive: false,
                exclusive: OnceCell::new(),
                counts_hits: false,
                is_share: false,
            }
        }
    }

    /// Returns another store with the same entries and flights, which may outlive this one. If one is closed,
    /// both are.
    pub(in crate::map) fn share(&self) -> Self {
        let listener = OnceCell::new();
        if let Some(shared) = self.listener.get() {
            let _ = listener.set(Arc::clone(shared));
        }
        let exclusive = OnceCell::new();
        if let Some(shared) = self.exclusive() {
            let _ = exclusive.set(Arc::clone(shared));
        }
        Self {
            table: self.table.share(),
            flights: self.flights.share(),
            counters: self.counters.share(),
            cursor: AtomicU32::new(0),
            popped: AtomicU32::new(0),
            prune_bound: self.prune_bound,
            naming: self.naming,
            hook: self.hook.clone(),
            reverse: self.reverse.share(),
            hazards: self.hazards.share(),
            recent: RecentInserts::new(),
            listener,
            can_notify: self.can_notify,
            is_exclusive: self.is_exclusive,
            exclusive,
            counts_hits: self.counts_hits,
            is_share: true,
        }
    }

    /// Returns the list of values whose destructors have not ended; none if the map is not exclusive.
    #[inline]
    fn exclusive(&self) -> Option<&Arc<Exclusive>> {
        let made = || self.exclusive.get_or_init(|| Arc::new(Exclusive::new()));
        self.is_exclusive.then(made)
    }

    pub(in crate::map) fn stats(&self) -> Stats {
        let listener = self.listener.get();
        self.counters
            .stats(listener.map_or(0, |listener| listener.reported()))
    }

    /// Removes an entry with a pointer that could not be upgraded, if it is dead, and not only out of reach.
    /// Returns whether this call removed it.
    #[cold]
    pub(in crate::map) fn saw_lost(&self, lost: &EntryRef<A, B>) -> bool {
        let was_in = lost.is_dead() && self.take_out(lost, RemovalCause::Dead);
        self.end_what_died();
        was_in
    }

    /// Drops retired entries without a hazard. To be called after a look-up that may have come between a
    /// value's death and its report: the hazard of the look-up may have kept the key until now.
    pub(in crate::map) fn end_what_died(&self) {
        if self.listener.get().is_some() {
            self.hazards.reclaim_now();
        }
    }

    /// Removes this very entry, if it is linked, counts that, and runs the hook. True for the one call that
    /// removed it.
    pub(in crate::map) fn take_out(&self, entry: &EntryRef<A, B>, cause: RemovalCause) -> bool {
        self.take_out_as(entry, cause, cause.count())
    }

    /// Removes this very entry as `take_out` does, and counts it as `count`.
    pub(in crate::map) fn take_out_as(
        &self,
        entry: &EntryRef<A, B>,
        cause: RemovalCause,
        count: Count,
    ) -> bool {
        entry.value().before_unlink();
        if !self.table.remove(entry.node_ref()) {
            return false;
        }
        self.counters.add(count);
        self.on_unlinked(entry, cause);
        true
    }

    /// Updates the reverse index for an entry that has just been linked. To be called once, while its value
    /// is alive.
    pub(in crate::map) fn on_linked(&self, entry: &EntryRef<A, B>) {
        self.reverse.linked(entry);
    }

    /// Returns what has to end before a value with this hash may be made.
    pub(in crate::map) fn in_the_way(&self, hash: u64) -> Option<InTheWay> {
        let exclusive = self.exclusive()?;
        // In this order: a dead value is put on the list before it is unlinked.
        let _: Option<()> = self.table.find_of(hash, |node_ref| {
            EntryRef::new(node_ref).value().before_unlink();
            None
        });
        exclusive.in_the_way(hash)
    }

    /// Ends an entry that has just been unlinked or replaced. To be called once.
    pub(in crate::map) fn on_unlinked(&self, entry: &EntryRef<A, B>, cause: RemovalCause) {
        on_unlinked(
            entry,
            &self.table,
            &self.reverse,
            &self.hazards,
            self.hook.as_ref(),
            cause,
        );
    }

    /// Returns the retired entries without a hazard.
    pub(in crate::map) fn reclaim(&self) -> Reclaimed<StoreNode<A, B>> {
        self.hazards.reclaim()
    }

    pub(in crate::map) fn is_closed(&self) -> bool {
        self.table.is_sealed()
    }

    /// Refuses entries from now on. What is in stays.
    pub(in crate::map) fn close(&self) {
        self.table.seal();
    }
}

/// Reported deaths. Keys and values must be `'static` for these.
impl<A: Slot + 'static, B: Indexed + 'static> Store<A, B> {
    /// Registers for the death of a value. To be called before the value is linked.
    pub(in crate::map) fn watch_value(&self, hash: u64, value: &mut B, live: &B::Live) {
        value.watch(live, || self.notify(hash));
        // Before the map is notified of the death, the exclusive list is notified, in whatever order they
        // register.
        if let Some(exclusive) = self.exclusive() {
            value.expect_end(live, exclusive, hash);
        }
    }

    /// Returns what notifies the store of the death of an entry with this hash; none if the store cannot be
    /// notified.
    pub(in crate::map) fn notify(&self, hash: u64) -> Option<Notify> {
        self.can_notify.notify(|| self.listener(), hash)
    }

    /// Returns what `notify` does, where the types alone say that the store can be notified.
    pub(in crate::map) fn notify_prompt(&self, hash: u64) -> Notify
    where
        A: Send + Sync,
        B: Send + Sync,
        B::Index<A>: Send + Sync,
    {
        let notify = CanNotify::all().notify(|| self.listener(), hash);
        notify.expect("it can notify")
    }

    fn listener(&self) -> &Arc<DeathListener<A, B>> {
        self.listener.get_or_init(|| {
            let counters = Counters::new();
            let (hook, hazards) = (self.hook.as_ref(), self.hazards.share());
            DeathListener::new(&self.table, hook, &self.reverse, hazards, counters)
        })
    }
}

impl<A: Slot, B: Indexed> Drop for Store<A, B> {
    /// Removes all entries, unless another store owns them. The hook does not run: the map itself is dropped.
    fn drop(&mut self) {
        self.hook = None;
        let mut panics = Panics::new();
        if self.is_share {
            return;
        }
        if self.flights.are_shared() {
            // A creation that shares them may be entering something.
            self.close();
        }
        // Retired entries have to be dropped here. If they were dropped with the fields, beside a panic, a
        // second panic would end the process.
        self.take_all(&mut panics, |_| RemovalCause::Cleared);
    }
}
