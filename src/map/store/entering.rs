//! Linking entries, and what they displace.

use crate::map::store::entry_ref::{EntryRef, LiveEntry};
use crate::map::store::hook::RemovalCause;
use crate::map::store::node::StoreNode;
use crate::map::store::reverse::Indexed;
use crate::map::store::slot::Slot;
use crate::map::store::Store;
use crate::memory::node::NodePtr;
use crate::memory::panics::after;
use crate::table::node_ref::{NodeRef, UnlinkedNode};
use crate::table::payload::Halves;
use crate::table::stats::Count;
use crate::table::{Entered, Entering, MANY_STRANGERS};

/// The result of linking a node. `strangers` are to be dropped when the caller has taken over its own
/// ownership.
pub(in crate::map) struct Linking<A: Slot, B: Slot> {
    pub(in crate::map) outcome: Outcome<A, B>,
    pub(in crate::map) strangers: Vec<NodeRef<StoreNode<A, B>>>,
}

pub(in crate::map) enum Outcome<A: Slot, B: Slot> {
    /// Linked, perhaps in the place of another entry, whose ownership by the index is still to be taken over.
    Linked(Option<Displaced<A, B>>),
    Occupied(LiveEntry<A, B>),
    /// The store is closed.
    Closed,
}

/// A new entry, and the one that it displaced.
pub(in crate::map) type Inserted<A, B> = (EntryRef<A, B>, Option<LiveEntry<A, B>>);

/// A new entry, and the old one that it has replaced.
pub(in crate::map) type Swapped<A, B> = (EntryRef<A, B>, LiveEntry<A, B>);

/// An entry that another one has replaced.
pub(in crate::map) enum Displaced<A: Slot, B: Slot> {
    Live(LiveEntry<A, B>),
    Dead(EntryRef<A, B>),
    /// Its value could not be upgraded, and is not dead.
    OutOfReach(EntryRef<A, B>),
}

impl<A: Slot, B: Slot> Displaced<A, B> {
    fn entry(&self) -> &EntryRef<A, B> {
        match self {
            Self::Live(live_entry) => &live_entry.entry,
            Self::Dead(entry) | Self::OutOfReach(entry) => entry,
        }
    }
}

/// An entry that was not entered, in parts.
pub(crate) struct NotInserted<A: Slot, B: Slot> {
    /// The live entry in its place; none if the store is closed.
    pub(in crate::map) existing: Option<LiveEntry<A, B>>,
    pub(in crate::map) parts: (A, B),
}

impl<A: Slot, B: Slot> NotInserted<A, B> {
    pub(in crate::map) fn closed(parts: (A, B)) -> Self {
        Self {
            existing: None,
            parts,
        }
    }
}

/// Nothing that is entered may borrow: it may be dropped later, by any thread.
impl<A: Slot + 'static, B: Indexed + 'static> Store<A, B> {
    /// Links `node`, which is complete and not linked yet. Does not if there is a live entry whose key
    /// `is_it` and that `displace` does not allow to be displaced. Does not panic after it has linked the
    /// node.
    pub(in crate::map) fn link(
        &self,
        node: NodePtr,
        hash: u64,
        is_it: &dyn Fn(&A) -> bool,
        displace: &mut dyn FnMut(&mut LiveEntry<A, B>) -> bool,
    ) -> Linking<A, B> {
        loop {
            let Entered {
                entering,
                strangers,
            } = self.table.enter(node, hash, is_it);
            let existing = match entering {
                Entering::Occupied(existing) => existing,
                Entering::Linked => {
                    let outcome = Outcome::Linked(None);
                    return Linking { outcome, strangers };
                }
                Entering::Sealed => {
                    let outcome = Outcome::Closed;
                    return Linking { outcome, strangers };
                }
            };
            let displaced = match LiveEntry::of(EntryRef::new(existing)) {
                Ok(mut live_entry) => {
                    if !displace(&mut live_entry) {
                        let outcome = Outcome::Occupied(live_entry);
                        return Linking { outcome, strangers };
                    }
                    // (Its value is kept alive.)
                    match live_entry.entry.key().is_dead() {
                        false => Displaced::Live(live_entry),
                        true => Displaced::Dead(live_entry.entry),
                    }
                }
                Err(entry) if entry.is_dead() => Displaced::Dead(entry),
                Err(entry) => Displaced::OutOfReach(entry),
            };
            displaced.entry().value().before_unlink();
            if self.table.replace_node(displaced.entry().node_ref(), node) {
                let outcome = Outcome::Linked(Some(displaced));
                return Linking { outcome, strangers };
            }
            // The store is closed, or another call has taken out or replaced the entry meanwhile.
            if self.is_closed() {
                let outcome = Outcome::Closed;
                return after(displaced, Linking { outcome, strangers });
            }
        }
    }

    /// Counts a displaced entry, and runs the hook for it. Returns it if it was alive.
    pub(in crate::map) fn after_displacing(
        &self,
        displaced: Option<Displaced<A, B>>,
    ) -> Option<LiveEntry<A, B>> {
        match displaced? {
            Displaced::Live(live_entry) => {
                self.counters.add(Count::Replaced);
                self.on_unlinked(&live_entry.entry, RemovalCause::Replaced);
                Some(live_entry)
            }
            Displaced::Dead(entry) => {
                self.counters.add(Count::DeadSeen);
                self.on_unlinked(&entry, RemovalCause::Dead);
                None
            }
            Displaced::OutOfReach(entry) => {
                self.counters.add(Count::Replaced);
                self.on_unlinked(&entry, RemovalCause::Replaced);
                None
            }
        }
    }

    /// Counts a new entry, updates the reverse index, runs the hook for the displaced entry, drops
    /// `strangers`, and sweeps a part of the table.
    fn entered(
        &self,
        entry: &EntryRef<A, B>,
        displaced: Option<Displaced<A, B>>,
        strangers: Vec<NodeRef<StoreNode<A, B>>>,
    ) -> Option<LiveEntry<A, B>> {
        self.counters.add(Count::Inserted);
        self.on_linked(entry);
        let displaced = self.after_displacing(displaced);
        self.let_go(strangers);
        self.sweep(entry);
        displaced
    }

    /// Drops entries with the same hash and another key. Removes those that are dead.
    pub(in crate::map) fn let_go(&self, strangers: Vec<NodeRef<StoreNode<A, B>>>) {
        // This is only a hint where to look for dead ones: if the first entry has been taken out meanwhile,
        // its header may have a link in place of the hash.
        let hash = strangers.first().map(|first| first.header().hash());
        let many = strangers.len() >= MANY_STRANGERS;
        let take_out_if_dead = |node_ref| {
            let entry = EntryRef::new(node_ref);
            if entry.is_dead() {
                self.saw_lost(&entry);
            }
        };
        strangers.into_iter().for_each(take_out_if_dead);
        if let Some(hash) = hash.filter(|_| many) {
            let _: Option<()> = self.table.find_of(hash, |node_ref| {
                take_out_if_dead(node_ref);
                None
            });
        }
    }

    fn new_node(
        &self,
        hash: u64,
        (key, value): (A, B),
        live: isize,
    ) -> UnlinkedNode<StoreNode<A, B>> {
        let uninit_node = self.table.uninit_node(0, hash, live);
        // SAFETY: `uninit_node` has the node alone. Key and value are written, so then it is complete.
        unsafe {
            StoreNode::<A, B>::write_key(uninit_node.node(), key);
            StoreNode::<A, B>::value_place(uninit_node.node()).write(value);
            uninit_node.complete()
        }
    }
}

impl<A: Slot + 'static, B: Indexed + 'static> Store<A, B> {
    /// Registers at both sides before the entry is linked: so a panic of user code leaves nothing behind.
    fn watched(&self, hash: u64, mut parts: (A, B), (key, value): (&A::Live, &B::Live)) -> (A, B) {
        parts.0.watch(key, || self.notify(hash));
        self.watch_value(hash, &mut parts.1, value);
        parts
    }

    /// Inserts an entry, unless there is a live one with the same key that `displace` refuses. Returns the
    /// displaced one.
    pub(in crate::map) fn insert(
        &self,
        hash: u64,
        parts: (A, B),
        live: (&A::Live, &B::Live),
        same: impl Fn(&A, &A) -> bool,
        mut displace: impl FnMut(&mut LiveEntry<A, B>) -> bool,
    ) -> Result<Inserted<A, B>, NotInserted<A, B>> {
        if self.is_closed() {
            return Err(NotInserted::closed(parts));
        }
        let new_node = self.new_node(hash, self.watched(hash, parts, live), 1);
        let is_it = |stored: &A| same(new_node.key(), stored);
        let Linking { outcome, strangers } =
            self.link(new_node.node(), hash, &is_it, &mut displace);
        let displaced = match outcome {
            Outcome::Linked(displaced) => displaced,
            Outcome::Occupied(live_entry) => {
                let refused = NotInserted {
                    existing: Some(live_entry),
                    parts: take_back(new_node),
                };
                return Err(after(strangers, refused));
            }
            Outcome::Closed => {
                let refused = NotInserted::closed(take_back(new_node));
                return Err(after(strangers, refused));
            }
        };
        // SAFETY: linked, and one of its two counts is ours.
        let entry = EntryRef::new(unsafe { new_node.entered() });
        if displaced.is_some() {
            // The new node and the displaced entry were both counted, and only one of them is an entry now.
            self.table.add_live(-1);
        }
        let displaced = self.entered(&entry, displaced, strangers);
        Ok((entry, displaced))
    }

    /// Puts an entry in the place of this very one, if that is still linked. Otherwise, or if the store is
    /// closed, the parts come back. `hash` is that of both. `live` keeps the new value alive, and the key of
    /// the old one is kept alive too.
    pub(in crate::map) fn swap(
        &self,
        hash: u64,
        old: LiveEntry<A, B>,
        parts: (A, B),
        live: &B::Live,
    ) -> Result<Swapped<A, B>, (A, B)> {
        let parts = self.watched(hash, parts, (old.key_live(), live));
        let new_node = self.new_node(hash, parts, 0);
        if !self
            .table
            .replace_node(old.entry.node_ref(), new_node.node())
        {
            // This may be the last owner of the old entry.
            return Err(after(old, take_back(new_node)));
        }
        // SAFETY: linked, and one of its two counts is ours.
        let entry = EntryRef::new(unsafe { new_node.entered() });
        let displaced = self.entered(&entry, Some(Displaced::Live(old)), Vec::new());
        Ok((entry, displaced.expect("the old one was alive")))
    }
}

/// Returns the parts of an entry that was never linked.
fn take_back<A, B>(new_node: UnlinkedNode<StoreNode<A, B>>) -> (A, B) {
    // SAFETY: this moves out both.
    unsafe {
        new_node.take(|node| {
            let value = StoreNode::<A, B>::value_place(node).read();
            (StoreNode::<A, B>::take_key(node), value)
        })
    }
}
