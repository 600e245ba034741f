//! Creation in a store: the steps that `creation` asks for, for every map that keeps its entries in one.

use crate::create::error::{ClosedError, InFlight};
use crate::create::flight::FlightTable;
use crate::create::reserved_node::ReservedNode;
use crate::create::steps::{Creates, EnteredDraft, EnteredValue, Published};
use crate::deadlock::frames;
use crate::deadlock::work::GivenUp;
use crate::map::store::entering::{Gone, Linking, Outcome};
use crate::map::store::entry_ref::{EntryRef, LiveEntry, PendingKey};
use crate::map::store::hook::RemovalCause;
use crate::map::store::node::StoreNode;
use crate::map::store::reverse::Indexed;
use crate::map::store::reverse::ValueSlot;
use crate::map::store::slot::{HashedKey, Slot};
use crate::map::store::Store;
use crate::memory::panics::after;
use crate::table::exclusive::InTheWay;
use crate::table::node_ref::NodeRef;
use crate::table::stats::Count;
use std::fmt;

/// What is left to be dropped or told when a creation has ended.
pub(crate) struct Deferred<A: Slot, B: Slot> {
    /// Who had to make way.
    gone: Option<Gone<A, B>>,
    /// A value made in vain, and an owner of its key.
    vain: Option<(Box<B>, B::Live, A::Live)>,
    /// Entries of other keys with the same hash.
    strangers: Vec<NodeRef<StoreNode<A, B>>>,
}

/// A value, and what keeps it alive until all who wait have looked.
pub(in crate::map) type Made<B> = (B, <B as Slot>::Live);

impl<A: Slot + 'static, B: Indexed + 'static> Store<A, B> {
    /// A key that waits for its value, with what keeps it alive.
    pub(in crate::map) fn pending_key(
        &self,
        hash: u64,
        mut key: A,
        live: A::Live,
    ) -> PendingKey<A, B> {
        key.watch(&live, || self.notify(hash));
        PendingKey {
            seed: ReservedNode::new(self.table.uninit_node(0, hash, 0), key),
            key: live,
        }
    }

    /// As `view`; in the middle of a creation that must not wait for this one, also of a draft.
    #[inline]
    pub(in crate::map) fn see<R>(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
        mut view: impl FnMut(&B) -> Option<R>,
    ) -> Option<R> {
        let found = self.view(hash, &is_it, &mut view);
        if found.is_some() || !frames::is_inside_any() {
            return found;
        }
        let draft = self
            .flights
            .draft(hash, |pending_key| is_it(pending_key.seed.key()))?;
        let seen = view(draft.held.value());
        after(draft, seen)
    }

    /// As `find`; in the middle of a creation that must not wait for this one, also a draft.
    #[inline]
    pub(in crate::map) fn find_or_draft(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
    ) -> Option<LiveEntry<A, B>> {
        let found = self.find(hash, &is_it);
        if found.is_some() || !frames::is_inside_any() {
            return found;
        }
        self.flights
            .draft(hash, |pending_key| is_it(pending_key.seed.key()))
    }

    /// As `view`, but tells whether there is none because somebody is creating it.
    pub(in crate::map) fn try_view<R>(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
        mut view: impl FnMut(&B) -> Option<R>,
    ) -> Result<Option<R>, InFlight> {
        if let Some(found) = self.see(hash, &is_it, &mut view) {
            return Ok(Some(found));
        }
        if self
            .flights
            .any(hash, |pending_key| is_it(pending_key.seed.key()))
        {
            return Err(InFlight);
        }
        // It may have landed between the two looks.
        let landed = self.peek(hash, is_it);
        Ok(landed.and_then(|landed| {
            let seen = view(landed.held.value());
            after(landed, seen)
        }))
    }
}

impl<A: Slot, B: Slot> PendingKey<A, B> {
    pub(in crate::map) fn key(&self) -> &A::Shown {
        self.seed.key().shown(&self.key)
    }
}

impl<A: HashedKey + 'static, B: ValueSlot + 'static> Creates for Store<A, B> {
    type PendingKey = PendingKey<A, B>;
    type LiveEntry = LiveEntry<A, B>;
    type Made<'t> = Made<B>;
    type Deferred = Deferred<A, B>;
    type SharedMap = Self;

    fn flights(&self) -> &FlightTable<PendingKey<A, B>, LiveEntry<A, B>> {
        &self.flights
    }

    fn same(&self, one: &PendingKey<A, B>, other: &PendingKey<A, B>) -> bool {
        other.seed.key().is(one.key())
    }

    fn name(&self, pending_key: &PendingKey<A, B>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.naming.name(pending_key.key(), f)
    }

    fn look(&self, hash: u64, pending_key: &PendingKey<A, B>) -> Option<LiveEntry<A, B>> {
        let key = pending_key.key();
        self.look_at(hash, |stored| stored.is(key), |stored| stored.live_as(key))
    }

    fn in_the_way(&self, hash: u64) -> Option<InTheWay> {
        self.in_the_way(hash)
    }

    fn refused(&self) -> Option<ClosedError> {
        self.is_closed().then(ClosedError::new)
    }

    fn enter(
        &self,
        hash: u64,
        pending_key: &PendingKey<A, B>,
        (mut value, live): Made<B>,
    ) -> EnteredValue<Self> {
        let is_it = |stored: &A| stored.is(pending_key.key());
        self.watch_value(hash, &mut value, &live);
        let key = pending_key.key.clone();
        let mut rest = Deferred {
            gone: None,
            vain: None,
            strangers: Vec::new(),
        };
        let enter = |node| {
            // If the key that is there has died since it was compared, it is as if nothing were there.
            let live = |stored: &A| stored.live_as(pending_key.key());
            let mut displace = |landed: &mut LiveEntry<A, B>| !landed.keep_key(live);
            let Linking { outcome, strangers } = self.link(node, hash, &is_it, &mut displace);
            rest.strangers = strangers;
            match outcome {
                Outcome::Occupied(landed) => (false, Ok(Some(landed))),
                Outcome::Closed => (false, Err(ClosedError::new())),
                Outcome::Linked(gone) => {
                    if gone.is_none() {
                        self.table.add_live(1);
                    }
                    rest.gone = gone;
                    (true, Ok(None))
                }
            }
        };
        // SAFETY: a flight creates once at a time, and never after the first success, whose result owns what
        // was sown.
        let filled = unsafe {
            pending_key.seed.place().write(value);
            pending_key.seed.filled()
        };
        // SAFETY: it says what the link has said, after which no user code runs.
        let (existing, value) = unsafe { filled.enter(enter) };
        let landed = match existing.transpose() {
            Some(existing) => {
                rest.vain = value.map(|value| (value, live, key));
                existing
            }
            None => {
                let node = pending_key.seed.node();
                // SAFETY: linked, and one of its two counts is ours.
                let held = EntryRef::new(unsafe { NodeRef::adopt(node) });
                self.counters.add(Count::Created);
                self.has_come(&held);
                Ok(LiveEntry {
                    held,
                    live,
                    fresh: true,
                    key: Some(key),
                })
            }
        };
        Published {
            result: landed,
            deferred: rest,
        }
    }

    fn draft(
        &self,
        hash: u64,
        pending_key: &PendingKey<A, B>,
        (mut value, live): Made<B>,
    ) -> LiveEntry<A, B> {
        self.watch_value(hash, &mut value, &live);
        let key = pending_key.key.clone();
        // SAFETY: a flight creates once at a time, and ends with its first draft, which owns what was sown.
        let filled = unsafe {
            pending_key.seed.place().write(value);
            pending_key.seed.filled()
        };
        let held = EntryRef::new(filled.draft());
        LiveEntry {
            held,
            live,
            fresh: true,
            key: Some(key),
        }
    }

    fn enter_draft(
        &self,
        hash: u64,
        pending_key: &PendingKey<A, B>,
        draft: &LiveEntry<A, B>,
    ) -> EnteredDraft<Self> {
        let is_it = |stored: &A| stored.is(pending_key.key());
        let node = draft.held.strong().node();
        let live = |stored: &A| stored.live_as(pending_key.key());
        let Linking { outcome, strangers } =
            self.link(node, hash, &is_it, &mut |landed| !landed.keep_key(live));
        let (landed, gone) = match outcome {
            Outcome::Occupied(landed) => (Ok(Some(landed)), None),
            Outcome::Closed => (Err(ClosedError::new()), None),
            Outcome::Linked(gone) => {
                if gone.is_none() {
                    self.table.add_live(1);
                }
                self.counters.add(Count::Created);
                self.has_come(&draft.held);
                (Ok(None), gone)
            }
        };
        let rest = Deferred {
            gone,
            vain: None,
            strangers,
        };
        Published {
            result: landed,
            deferred: rest,
        }
    }

    fn is_fresh(landed: &LiveEntry<A, B>) -> bool {
        landed.fresh
    }

    fn take_out(&self, landed: &LiveEntry<A, B>) {
        self.take_out(&landed.held, RemovalCause::Removed);
    }

    fn abandon(&self, draft: &LiveEntry<A, B>, given_up: GivenUp<'_>) {
        draft.held.value().is_abandoned(given_up);
    }

    fn share_map(&self) -> Self {
        self.share()
    }

    fn settle(&self, landed: &LiveEntry<A, B>, rest: Option<Self::Deferred>) {
        let ours = rest.is_some();
        if let Some(rest) = rest {
            self.settle_deferred(rest);
        }
        if !landed.fresh {
            return;
        }
        if ours {
            self.sweep(&landed.held);
        } else {
            self.counters.add(Count::Joined);
        }
    }

    fn settle_deferred(&self, rest: Self::Deferred) {
        let displaced = self.has_displaced(rest.gone);
        drop((displaced, rest.vain));
        self.let_go(rest.strangers);
    }
}
