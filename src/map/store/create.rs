//! The steps of a creation, for all maps.

use crate::create::error::ClosedError;
use crate::create::flight::FlightTable;
use crate::create::reserved_node::ReservedNode;
use crate::create::steps::{Creates, EnteredDraft, EnteredValue, Published};
use crate::deadlock::work::GivenUp;
use crate::map::store::entering::{Displaced, Linking, Outcome};
use crate::map::store::entry_ref::{EntryRef, LiveEntry, PendingKey};
use crate::map::store::hook::RemovalCause;
use crate::map::store::node::StoreNode;
use crate::map::store::reverse::Indexed;
use crate::map::store::reverse::ValueSlot;
use crate::map::store::slot::{HashedKey, Slot};
use crate::map::store::Store;
use crate::table::exclusive::InTheWay;
use crate::table::node_ref::NodeRef;
use crate::table::stats::Count;
use std::fmt;

/// The rest of a creation that has ended: values to be dropped, and calls of the hook.
pub(crate) struct Deferred<A: Slot, B: Slot> {
    displaced: Option<Displaced<A, B>>,
    /// A value that was not entered, with its owner and an owner of its key.
    unused_value: Option<(Box<B>, B::Live, A::Live)>,
    /// Entries of other keys with the same hash.
    strangers: Vec<NodeRef<StoreNode<A, B>>>,
}

/// A value, and the owner that keeps it alive until all waiters have it.
pub(in crate::map) type Made<B> = (B, <B as Slot>::Live);

impl<A: Slot + 'static, B: Indexed + 'static> Store<A, B> {
    /// Makes a key that waits for its value, with the owner that keeps the key alive.
    pub(in crate::map) fn pending_key(
        &self,
        hash: u64,
        mut key: A,
        live: A::Live,
    ) -> PendingKey<A, B> {
        key.watch(&live, || self.notify(hash));
        PendingKey {
            reserved: ReservedNode::new(self.table.uninit_node(0, hash, 0), key),
            key: live,
        }
    }
}

impl<A: Slot, B: Slot> PendingKey<A, B> {
    pub(in crate::map) fn key(&self) -> &A::Shown {
        self.reserved.key().shown(&self.key)
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
        other.reserved.key().is(one.key())
    }

    fn name(&self, pending_key: &PendingKey<A, B>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.naming.name(pending_key.key(), f)
    }

    fn look(&self, hash: u64, pending_key: &PendingKey<A, B>) -> Option<LiveEntry<A, B>> {
        let key = pending_key.key();
        self.peek_with_key(hash, |stored| stored.is(key), |stored| stored.live_as(key))
    }

    fn is_exclusive(&self) -> bool {
        self.is_exclusive
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
        let mut deferred = Deferred {
            displaced: None,
            unused_value: None,
            strangers: Vec::new(),
        };
        let enter = |node| {
            // If the key that is there has died since it was compared, it is as if nothing were there.
            let live = |stored: &A| stored.live_as(pending_key.key());
            let mut displace = |live_entry: &mut LiveEntry<A, B>| !live_entry.keep_key(live);
            let Linking { outcome, strangers } = self.link(node, hash, &is_it, &mut displace);
            deferred.strangers = strangers;
            match outcome {
                Outcome::Occupied(live_entry) => (false, Ok(Some(live_entry))),
                Outcome::Closed => (false, Err(ClosedError::new())),
                Outcome::Linked(displaced) => {
                    if displaced.is_none() {
                        self.table.add_live(1);
                    }
                    deferred.displaced = displaced;
                    (true, Ok(None))
                }
            }
        };
        // SAFETY: a flight creates once at a time, and never after the first success, whose result owns what
        // was written.
        let filled = unsafe {
            pending_key.reserved.place().write(value);
            pending_key.reserved.filled()
        };
        // SAFETY: `enter` returns what `link` has said, after which no user code runs.
        let (existing, value) = unsafe { filled.enter(enter) };
        let live_entry = match existing.transpose() {
            Some(existing) => {
                deferred.unused_value = value.map(|value| (value, live, key));
                existing
            }
            None => {
                let node = pending_key.reserved.node();
                // SAFETY: linked, and one of its two counts is ours.
                let entry = EntryRef::new(unsafe { NodeRef::adopt(node) });
                self.counters.add(Count::Created);
                self.on_linked(&entry);
                Ok(LiveEntry {
                    entry,
                    live,
                    fresh: true,
                    key: Some(key),
                })
            }
        };
        Published {
            result: live_entry,
            deferred,
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
        // SAFETY: a flight creates once at a time, and ends with its first draft, which owns what was
        // written.
        let filled = unsafe {
            pending_key.reserved.place().write(value);
            pending_key.reserved.filled()
        };
        let entry = EntryRef::new(filled.draft());
        LiveEntry {
            entry,
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
        let node = draft.entry.node_ref().node();
        let live = |stored: &A| stored.live_as(pending_key.key());
        let Linking { outcome, strangers } = self.link(node, hash, &is_it, &mut |live_entry| {
            !live_entry.keep_key(live)
        });
        let (live_entry, displaced) = match outcome {
            Outcome::Occupied(live_entry) => (Ok(Some(live_entry)), None),
            Outcome::Closed => (Err(ClosedError::new()), None),
            Outcome::Linked(displaced) => {
                if displaced.is_none() {
                    self.table.add_live(1);
                }
                self.counters.add(Count::Created);
                self.on_linked(&draft.entry);
                (Ok(None), displaced)
            }
        };
        let deferred = Deferred {
            displaced,
            unused_value: None,
            strangers,
        };
        Published {
            result: live_entry,
            deferred,
        }
    }

    fn is_fresh(live_entry: &LiveEntry<A, B>) -> bool {
        live_entry.fresh
    }

    fn take_out(&self, live_entry: &LiveEntry<A, B>) {
        self.take_out(&live_entry.entry, RemovalCause::Removed);
    }

    fn abandon(&self, draft: &LiveEntry<A, B>, given_up: GivenUp<'_>) {
        draft.entry.value().abandon(given_up);
    }

    fn share_map(&self) -> Self {
        self.share()
    }

    fn settle(&self, live_entry: &LiveEntry<A, B>, deferred: Option<Self::Deferred>) {
        let ours = deferred.is_some();
        if let Some(deferred) = deferred {
            self.settle_deferred(deferred);
        }
        if !live_entry.fresh {
            return;
        }
        if ours {
            self.sweep(&live_entry.entry);
        } else {
            self.counters.add(Count::Joined);
        }
    }

    fn settle_deferred(&self, deferred: Self::Deferred) {
        let displaced = self.after_displacing(deferred.displaced);
        drop((displaced, deferred.unused_value));
        self.let_go(deferred.strangers);
    }
}
