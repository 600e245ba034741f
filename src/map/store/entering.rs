//! How an entry comes into its store: linked, and what had to make way.

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

/// What has become of a node that was to be linked; the rest is to be dropped when the caller has taken over
/// what is its own.
pub(in crate::map) struct Linking<A: Slot, B: Slot> {
    pub(in crate::map) outcome: Outcome<A, B>,
    pub(in crate::map) strangers: Vec<NodeRef<StoreNode<A, B>>>,
}

pub(in crate::map) enum Outcome<A: Slot, B: Slot> {
    /// Linked, perhaps in the place of another entry, whose ownership by the index is still to be taken over.
    Linked(Option<Gone<A, B>>),
    Occupied(LiveEntry<A, B>),
    /// The store is closed.
    Closed,
}

/// What was entered, and what had to make way for it.
pub(in crate::map) type Inserted<A, B> = (EntryRef<A, B>, Option<LiveEntry<A, B>>);

/// What was put in the place of what.
pub(in crate::map) type Swapped<A, B> = (EntryRef<A, B>, LiveEntry<A, B>);

/// An entry that another one took the place of.
pub(in crate::map) enum Gone<A: Slot, B: Slot> {
    Live(LiveEntry<A, B>),
    Dead(EntryRef<A, B>),
    /// Its value could not be had, and is not dead.
    OutOfReach(EntryRef<A, B>),
}

impl<A: Slot, B: Slot> Gone<A, B> {
    fn held(&self) -> &EntryRef<A, B> {
        match self {
            Self::Live(landed) => &landed.held,
            Self::Dead(held) | Self::OutOfReach(held) => held,
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
    /// Links `node`, complete and not linked yet, unless there is an entry whose key `is_it`, and that is
    /// alive and not to be displaced. Does not panic after it has linked the node.
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
            let gone = match LiveEntry::of(EntryRef::new(existing)) {
                Ok(mut landed) => {
                    if !displace(&mut landed) {
                        let outcome = Outcome::Occupied(landed);
                        return Linking { outcome, strangers };
                    }
                    // (Its value is held.)
                    match landed.held.key().is_dead() {
                        false => Gone::Live(landed),
                        true => Gone::Dead(landed.held),
                    }
                }
                Err(held) if held.is_dead() => Gone::Dead(held),
                Err(held) => Gone::OutOfReach(held),
            };
            gone.held().value().leaves();
            if self.table.replace_node(gone.held().strong(), node) {
                let outcome = Outcome::Linked(Some(gone));
                return Linking { outcome, strangers };
            }
            // It is left where it is; or somebody else has taken it out or replaced it meanwhile.
            if self.is_closed() {
                let outcome = Outcome::Closed;
                return after(gone, Linking { outcome, strangers });
            }
        }
    }

    /// What is left to do when an entry has taken the place of another one, which comes back, if it was
    /// alive.
    pub(in crate::map) fn has_displaced(
        &self,
        gone: Option<Gone<A, B>>,
    ) -> Option<LiveEntry<A, B>> {
        match gone? {
            Gone::Live(landed) => {
                self.counters.add(Count::Replaced);
                self.has_gone(&landed.held, RemovalCause::Replaced);
                Some(landed)
            }
            Gone::Dead(held) => {
                self.counters.add(Count::DeadSeen);
                self.has_gone(&held, RemovalCause::Dead);
                None
            }
            Gone::OutOfReach(held) => {
                self.counters.add(Count::Replaced);
                self.has_gone(&held, RemovalCause::Replaced);
                None
            }
        }
    }

    /// What is left to do when an entry is linked: the other side is told, and who had to make way, and a
    /// part of the table is swept.
    fn entered(
        &self,
        held: &EntryRef<A, B>,
        gone: Option<Gone<A, B>>,
        strangers: Vec<NodeRef<StoreNode<A, B>>>,
    ) -> Option<LiveEntry<A, B>> {
        self.counters.add(Count::Inserted);
        self.has_come(held);
        let displaced = self.has_displaced(gone);
        self.let_go(strangers);
        self.sweep(held);
        displaced
    }

    /// Entries that have the same hash and another key, or one that has died: those are taken out.
    pub(in crate::map) fn let_go(&self, strangers: Vec<NodeRef<StoreNode<A, B>>>) {
        // Not what was linked under it, if it has been taken out meanwhile. So it is a hint: where to look
        // for dead ones.
        let hash = strangers.first().map(|first| first.header().hash());
        let many = strangers.len() >= MANY_STRANGERS;
        let take_out_if_dead = |strong| {
            let held = EntryRef::new(strong);
            if held.is_dead() {
                self.saw_lost(&held);
            }
        };
        strangers.into_iter().for_each(take_out_if_dead);
        if let Some(hash) = hash.filter(|_| many) {
            let _: Option<()> = self.table.find_of(hash, |strong| {
                take_out_if_dead(strong);
                None
            });
        }
    }

    fn draft(&self, hash: u64, (key, value): (A, B), live: isize) -> UnlinkedNode<StoreNode<A, B>> {
        let blank = self.table.uninit_node(0, hash, live);
        // SAFETY: the blank has the node alone; key and value are written, then it is complete.
        unsafe {
            StoreNode::<A, B>::write_key(blank.node(), key);
            StoreNode::<A, B>::value_place(blank.node()).write(value);
            blank.complete()
        }
    }
}

impl<A: Slot + 'static, B: Indexed + 'static> Store<A, B> {
    /// Asks both sides to report their death, before the entry is linked: so a panic of user code leaves
    /// nothing behind.
    fn watched(&self, hash: u64, mut parts: (A, B), (key, value): (&A::Live, &B::Live)) -> (A, B) {
        parts.0.watch(key, || self.notify(hash));
        self.watch_value(hash, &mut parts.1, value);
        parts
    }

    /// Enters an entry, unless there is a live one with the same key that `displace` does not want to make
    /// way. Returns the one that had to.
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
        let draft = self.draft(hash, self.watched(hash, parts, live), 1);
        let is_it = |stored: &A| same(draft.key(), stored);
        let Linking { outcome, strangers } = self.link(draft.node(), hash, &is_it, &mut displace);
        let gone = match outcome {
            Outcome::Linked(gone) => gone,
            Outcome::Occupied(landed) => {
                let refused = NotInserted {
                    existing: Some(landed),
                    parts: take_back(draft),
                };
                return Err(after(strangers, refused));
            }
            Outcome::Closed => {
                let refused = NotInserted::closed(take_back(draft));
                return Err(after(strangers, refused));
            }
        };
        // SAFETY: linked, and one of its two counts is ours.
        let held = EntryRef::new(unsafe { draft.entered() });
        if gone.is_some() {
            // Both were counted, and one of them is an entry.
            self.table.add_live(-1);
        }
        let displaced = self.entered(&held, gone, strangers);
        Ok((held, displaced))
    }

    /// Puts an entry in the place of this very one, if that is in still.
    /// The parts come back if not, or if the store is closed. `hash` is that of both, and `live` keeps the
    /// new value alive; the key of the old one is kept.
    pub(in crate::map) fn swap(
        &self,
        hash: u64,
        old: LiveEntry<A, B>,
        parts: (A, B),
        live: &B::Live,
    ) -> Result<Swapped<A, B>, (A, B)> {
        let parts = self.watched(hash, parts, (old.key_live(), live));
        let draft = self.draft(hash, parts, 0);
        if !self.table.replace_node(old.held.strong(), draft.node()) {
            // This may be its last owner.
            return Err(after(old, take_back(draft)));
        }
        // SAFETY: linked, and one of its two counts is ours.
        let held = EntryRef::new(unsafe { draft.entered() });
        let displaced = self.entered(&held, Some(Gone::Live(old)), Vec::new());
        Ok((held, displaced.expect("the old one was alive")))
    }
}

/// The parts of an entry that was never linked.
fn take_back<A, B>(draft: UnlinkedNode<StoreNode<A, B>>) -> (A, B) {
    // SAFETY: this moves out both.
    unsafe {
        draft.take(|node| {
            let value = StoreNode::<A, B>::value_place(node).read();
            (StoreNode::<A, B>::take_key(node), value)
        })
    }
}
