//! Entries that the table itself keeps, for values and keys that know nothing of it: the one place where weak
//! sides and table meet.
//!
//! Every linked entry has one owner more than those who are looking at it: the index (`Payload::KEPT`).
//! Whoever takes an entry out, which only one caller can, takes over that ownership and tells the hook. A
//! look-up either only says which entry it looks at (see `protection`), or becomes an owner too; it upgrades
//! what is weak outside of every lock and guard, and lets go. So one that stands still holds back one entry.
//!
//! An entry whose value is dead counts as absent: creation puts the new one in its place by identity, never
//! by key. One whose key is dead equals no key that is asked for; it stays beside its successor until a sweep
//! or a look at it takes it out.

pub(crate) mod bulk;
pub(crate) mod create;
pub(crate) mod death_listener;
pub(crate) mod entering;
pub(crate) mod entry_ref;
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
use crate::map::store::death_listener::{has_gone, CanNotify, DeathListener};
use crate::map::store::entry_ref::{EntryRef, LiveEntry, PendingKey};
use crate::map::store::hazard::{Due, HazardDomain, Reader};
use crate::map::store::hook::{Hook, RemovalCause};
use crate::map::store::node::StoreNode;
use crate::map::store::recent_inserts::RecentInserts;
use crate::map::store::reverse::{Indexed, Reverse};
use crate::map::store::slot::Slot;
use crate::memory::panics::{after, Panics};
use crate::pointer::notify::Notify;
use crate::sync::plain::AtomicU32;
use crate::sync::{const_fn, OnceCell};
use crate::table::exclusive::{Exclusive, InTheWay};
use crate::table::index::Probe;
use crate::table::stats::{Count, Counters, Stats};
use crate::table::Table;
use std::sync::Arc;

/// Entries looked at by each sweep if nobody says otherwise: as few as keep the dead from outnumbering the
/// living.
pub(in crate::map) const PRUNE_BOUND: u32 = 2;

pub(crate) struct Store<A: Slot, B: Indexed> {
    pub(in crate::map) table: Table<StoreNode<A, B>>,
    pub(in crate::map) flights: FlightTable<PendingKey<A, B>, LiveEntry<A, B>>,
    pub(in crate::map) counters: Counters,
    /// Where the next sweep begins: the upper half of a hash.
    pub(in crate::map) cursor: AtomicU32,
    /// Where the next entry to be popped may be: what is before it has been emptied.
    pub(in crate::map) popped: AtomicU32,
    pub(in crate::map) prune_bound: u32,
    pub(in crate::map) naming: Naming<A::Shown>,
    pub(in crate::map) hook: Option<Hook<A::Raw>>,
    pub(in crate::map) reverse: B::Index<A>,
    pub(in crate::map) protection: HazardDomain<StoreNode<A, B>>,
    pub(in crate::map) young: RecentInserts,
    /// Made for the first side that can report its death.
    inbox: OnceCell<Arc<DeathListener<A, B>>>,
    pub(in crate::map) reach: CanNotify<A, B>,
    /// Whether creators wait for the end of the value that was there before.
    pub(in crate::map) is_exclusive: bool,
    /// In an exclusive map: whose destructor has not ended. Made for the first.
    dying: OnceCell<Arc<Exclusive>>,
    /// Whether hits are counted.
    pub(in crate::map) counts_hits: bool,
    /// It only shares what is another one's.
    is_share: bool,
}

impl<A: Slot, B: Indexed> Store<A, B> {
    const_fn! {
        pub(in crate::map) const fn new(reverse: B::Index<A>, reach: CanNotify<A, B>) -> Self {
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
                protection: HazardDomain::new(),
                young: RecentInserts::new(),
                inbox: OnceCell::new(),
                reach,
                is_exclusive: false,
                dying: OnceCell::new(),
                counts_hits: false,
                is_share: false,
            }
        }
    }

    /// Another one with the same entries and flights, which may outlive this one. If one is closed, both are.
    pub(in crate::map) fn share(&self) -> Self {
        let inbox = OnceCell::new();
        if let Some(shared) = self.inbox.get() {
            let _ = inbox.set(Arc::clone(shared));
        }
        let dying = OnceCell::new();
        if let Some(shared) = self.dying() {
            let _ = dying.set(Arc::clone(shared));
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
            protection: self.protection.share(),
            young: RecentInserts::new(),
            inbox,
            reach: self.reach,
            is_exclusive: self.is_exclusive,
            dying,
            counts_hits: self.counts_hits,
            is_share: true,
        }
    }

    /// In an exclusive map: whose destructor has not ended.
    #[inline]
    fn dying(&self) -> Option<&Arc<Exclusive>> {
        let made = || self.dying.get_or_init(|| Arc::new(Exclusive::new()));
        self.is_exclusive.then(made)
    }

    /// Counts a hit, if that was asked for.
    #[inline(always)]
    pub(in crate::map) fn hit(&self) {
        if self.counts_hits {
            self.counters.add(Count::Hit);
        }
    }

    pub(in crate::map) fn stats(&self) -> Stats {
        let inbox = self.inbox.get();
        self.counters
            .stats(inbox.map_or(0, |inbox| inbox.reported()))
    }

    /// The entry whose key `is_it`, if its value is alive. An entry that is found dead is taken out.
    #[inline]
    pub(in crate::map) fn find(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
    ) -> Option<LiveEntry<A, B>> {
        let found = self.peek(hash, is_it);
        match found {
            Some(_) => self.hit(),
            None => self.missed(),
        }
        found
    }

    /// What `view` makes of the value of the entry whose key `is_it`, or None if it is dead: then it is taken
    /// out. The caller becomes an owner of the entry only where the short way does not do.
    #[inline(always)]
    pub(in crate::map) fn view<R>(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
        mut view: impl FnMut(&B) -> Option<R>,
    ) -> Option<R> {
        if !B::IS_WEAK {
            // An owner's way: the last one drops the value, and not a moment later.
            return self.view_owned(hash, is_it, view);
        }
        let Some(reader) = Reader::own() else {
            return self.view_slow(hash, &is_it, &mut view);
        };
        let looked = reader.look(
            &self.table,
            hash,
            |entry| {
                let found = is_it(entry.key()).then(|| view(entry.value())).flatten();
                drop(entry);
                found.ok_or(Probe::UNSURE)
            },
            Err,
        );
        match looked {
            Ok(found) => {
                self.hit();
                Some(found)
            }
            Err(Probe::ABSENT) => {
                self.missed();
                None
            }
            Err(_) => self.view_slow(hash, &is_it, &mut view),
        }
    }

    #[cold]
    #[inline(never)]
    fn view_slow<R>(
        &self,
        hash: u64,
        is_it: &dyn Fn(&A) -> bool,
        view: &mut dyn FnMut(&B) -> Option<R>,
    ) -> Option<R> {
        // It may be what the short way has looked at.
        self.end_what_died();
        self.view_owned(hash, is_it, view)
    }

    /// As an owner of the entry.
    #[inline]
    fn view_owned<R>(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
        mut view: impl FnMut(&B) -> Option<R>,
    ) -> Option<R> {
        let landed = self.find(hash, is_it)?;
        let seen = view(landed.held.value());
        after(landed, seen)
    }

    /// As `find`, for calls that are no look-up: it counts neither as a hit nor as a miss.
    #[inline]
    pub(in crate::map) fn peek(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
    ) -> Option<LiveEntry<A, B>> {
        let strong = self.table.get(hash, &is_it)?;
        match LiveEntry::of(EntryRef::new(strong)) {
            Ok(landed) => Some(landed),
            Err(lost) => self.peek_past(lost, hash, &is_it),
        }
    }

    /// As `peek`, when the entry that was found has no value to give.
    #[cold]
    fn peek_past(
        &self,
        lost: EntryRef<A, B>,
        hash: u64,
        is_it: &dyn Fn(&A) -> bool,
    ) -> Option<LiveEntry<A, B>> {
        // Held, so that nothing else has its address.
        let mut before = lost;
        loop {
            // If it was linked still, the key had no live value then. If not, a live one may have taken its
            // place before it died.
            if self.saw_lost(&before) {
                return after(before, None);
            }
            let next = EntryRef::new(self.table.get(hash, is_it)?);
            let is_same = next.is(&before);
            match LiveEntry::of(next) {
                Ok(landed) => return after(before, Some(landed)),
                // It is out of reach, and was in all the while: so the key had nothing else.
                Err(lost) if is_same => return after((before, lost), None),
                Err(lost) => before = lost,
            }
        }
    }

    /// As `peek`, but keeps the key alive too, and leaves a dead entry where it is: so it calls no hook.
    pub(in crate::map) fn look_at(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
        live: impl Fn(&A) -> Option<A::Live>,
    ) -> Option<LiveEntry<A, B>> {
        // Held, so that nothing else has its address.
        let mut before: Option<EntryRef<A, B>> = None;
        loop {
            let strong = self.table.get(hash, &is_it)?;
            let found = LiveEntry::of(EntryRef::new(strong));
            match found.and_then(|found| found.with_key(&live)) {
                Ok(landed) => return after(before, Some(landed)),
                // It was lost before this look, which has found it linked. One that was seen once may have
                // been replaced before it died.
                Err(lost) if before.as_ref().is_some_and(|before| before.is(&lost)) => return None,
                Err(lost) => before = Some(lost),
            }
        }
    }

    /// To be called for an entry of which a side could not be had: it is taken out if it is dead. It may only
    /// be out of reach. Returns whether this call has taken it out.
    #[cold]
    pub(in crate::map) fn saw_lost(&self, lost: &EntryRef<A, B>) -> bool {
        let was_in = lost.is_dead() && self.take_out(lost, RemovalCause::Dead);
        self.end_what_died();
        was_in
    }

    /// To be called after a look-up that may have come between the death of a value and its report: so that
    /// the key goes with that, as if it had not.
    pub(in crate::map) fn end_what_died(&self) {
        if self.inbox.get().is_some() {
            self.protection.drop_what_waits();
        }
    }

    /// Takes this very entry out, if it is in, counts that, and tells the hook. True for the one call that
    /// did.
    pub(in crate::map) fn take_out(&self, held: &EntryRef<A, B>, cause: RemovalCause) -> bool {
        self.take_out_as(held, cause, cause.count())
    }

    /// As `take_out`, for those who say as what it counts.
    pub(in crate::map) fn take_out_as(
        &self,
        held: &EntryRef<A, B>,
        cause: RemovalCause,
        count: Count,
    ) -> bool {
        held.value().leaves();
        if !self.table.remove(held.strong()) {
            return false;
        }
        self.counters.add(count);
        self.has_gone(held, cause);
        true
    }

    /// To be called once for an entry that has just been linked, while its value is alive.
    pub(in crate::map) fn has_come(&self, held: &EntryRef<A, B>) {
        self.reverse.linked(held);
    }

    /// What has to end before a value with this hash may be made.
    pub(in crate::map) fn in_the_way(&self, hash: u64) -> Option<InTheWay> {
        let dying = self.dying()?;
        // In this order: a dead value is on the list before it is unlinked.
        let _: Option<()> = self.table.find_of(hash, |strong| {
            EntryRef::new(strong).value().leaves();
            None
        });
        dying.in_the_way(hash)
    }

    /// To be called once for an entry that has just been unlinked or replaced.
    pub(in crate::map) fn has_gone(&self, held: &EntryRef<A, B>, cause: RemovalCause) {
        has_gone(
            held,
            &self.table,
            &self.reverse,
            &self.protection,
            self.hook.as_ref(),
            cause,
        );
    }

    /// What waits for those who were looking at it.
    pub(in crate::map) fn give_up(&self) -> Due<StoreNode<A, B>> {
        self.protection.give_up()
    }

    pub(in crate::map) fn is_closed(&self) -> bool {
        self.table.is_sealed()
    }

    /// Refuses entries from now on. What is in stays, and is found by a look at all buckets that comes after
    /// this.
    pub(in crate::map) fn close(&self) {
        self.table.seal();
    }
}

/// What has to do with deaths that are told: for that nothing may borrow.
impl<A: Slot + 'static, B: Indexed + 'static> Store<A, B> {
    /// To be called for a value before it is linked.
    pub(in crate::map) fn watch_value(&self, hash: u64, value: &mut B, live: &B::Live) {
        value.watch(live, || self.notify(hash));
        // Told before the map is: what is told last is called first.
        if let Some(dying) = self.dying() {
            value.expect_end(live, dying, hash);
        }
    }

    /// What is to be called when an entry with this hash has died; none if the store cannot be told.
    pub(in crate::map) fn notify(&self, hash: u64) -> Option<Notify> {
        self.reach.notify(|| self.inbox(), hash)
    }

    /// As `notify`, where the types alone say that it can be told.
    pub(in crate::map) fn notify_prompt(&self, hash: u64) -> Notify
    where
        A: Send + Sync,
        B: Send + Sync,
        B::Index<A>: Send + Sync,
    {
        let notify = CanNotify::all().notify(|| self.inbox(), hash);
        notify.expect("told of all")
    }

    fn inbox(&self) -> &Arc<DeathListener<A, B>> {
        self.inbox.get_or_init(|| {
            let counters = Counters::new();
            let (hook, protection) = (self.hook.as_ref(), self.protection.share());
            DeathListener::new(&self.table, hook, &self.reverse, protection, counters)
        })
    }
}

impl<A: Slot, B: Indexed> Drop for Store<A, B> {
    /// Takes all entries out. The hook is not told: the map itself is what goes.
    fn drop(&mut self) {
        self.hook = None;
        let mut panics = Panics::new();
        if self.is_share {
            return;
        }
        if self.flights.are_shared() {
            // Who shares them may be entering something.
            self.close();
        }
        // What waits has to go here: dropped with the fields, beside a panic, a second one would end the
        // process.
        self.take_all(&mut panics, |_| RemovalCause::Cleared);
    }
}
