//! Owners of an entry that its map keeps. A look-up has one while it works, and a creation ends in one.

use crate::create::reserved_node::ReservedNode;
use crate::map::store::node::StoreNode;
use crate::map::store::slot::Slot;
use crate::memory::panics::after;
use crate::table::node_ref::NodeRef;

/// An owner of an entry, which may have been taken out by now. It keeps the entry's memory, but not what the
/// entry holds weakly.
pub(crate) struct EntryRef<A, B>(NodeRef<StoreNode<A, B>>);

// SAFETY: an owner gives `&A` and `&B` to its thread (hence `Sync`) and may be the one that drops both (hence
// `Send`).
unsafe impl<A: Send + Sync, B: Send + Sync> Send for EntryRef<A, B> {}
// SAFETY: a shared one can be cloned, so the same bounds as for `Send`.
unsafe impl<A: Send + Sync, B: Send + Sync> Sync for EntryRef<A, B> {}

impl<A, B> EntryRef<A, B> {
    #[inline(always)]
    pub(in crate::map) fn new(node_ref: NodeRef<StoreNode<A, B>>) -> Self {
        Self(node_ref)
    }

    #[inline(always)]
    pub(in crate::map) fn node_ref(&self) -> &NodeRef<StoreNode<A, B>> {
        &self.0
    }

    /// Returns whether both own the very same entry.
    pub(in crate::map) fn is(&self, other: &Self) -> bool {
        self.0.node() == other.0.node()
    }

    pub(in crate::map) fn into_node_ref(self) -> NodeRef<StoreNode<A, B>> {
        self.0
    }

    #[inline(always)]
    pub(in crate::map) fn key(&self) -> &A {
        self.0.key()
    }

    #[inline(always)]
    pub(in crate::map) fn value(&self) -> &B {
        // SAFETY: owned, so complete, and dropped by the last owner only.
        unsafe { &*self.0.payload().cast::<StoreNode<A, B>>() }.value()
    }
}

impl<A: Slot, B: Slot> EntryRef<A, B> {
    /// Returns whether one of its sides has died.
    #[inline]
    pub(in crate::map) fn is_dead(&self) -> bool {
        // SAFETY: owned, so complete.
        unsafe { StoreNode::<A, B>::is_dead(self.0.node()) }
    }

    /// Upgrades both sides. If one of them cannot be upgraded, the entry comes back.
    #[inline]
    pub(in crate::map) fn upgrade(self) -> Result<LiveEntry<A, B>, Self> {
        LiveEntry::of(self)?.with_key(Slot::live)
    }
}

impl<A, B> Clone for EntryRef<A, B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// An entry whose value is alive, and kept so.
pub(crate) struct LiveEntry<A: Slot, B: Slot> {
    /// Dropped first. With a draft that is given up, its key is dropped too. If that asks for the key again,
    /// the value has ended.
    pub(in crate::map) live: B::Live,
    pub(in crate::map) entry: EntryRef<A, B>,
    /// True if a factory has just made it.
    pub(in crate::map) fresh: bool,
    /// The owner that keeps the key alive too, if a caller has asked for that. A creation always does.
    pub(in crate::map) key: Option<A::Live>,
}

impl<A: Slot, B: Slot> LiveEntry<A, B> {
    #[inline]
    pub(in crate::map) fn new(entry: EntryRef<A, B>, live: B::Live) -> Self {
        Self {
            entry,
            live,
            fresh: false,
            key: None,
        }
    }

    /// Upgrades the value. If it cannot be upgraded, the entry comes back.
    #[inline]
    pub(in crate::map) fn of(entry: EntryRef<A, B>) -> Result<Self, EntryRef<A, B>> {
        match entry.value().live() {
            Some(live) => Ok(Self::new(entry, live)),
            None => Err(entry),
        }
    }

    /// Returns the entry alone.
    fn into_entry(self) -> EntryRef<A, B> {
        after((self.live, self.key), self.entry)
    }

    /// Keeps the key alive too, by the owner that `live` returns. If there is none, the entry comes back.
    pub(in crate::map) fn with_key(
        mut self,
        live: impl FnOnce(&A) -> Option<A::Live>,
    ) -> Result<Self, EntryRef<A, B>> {
        match self.keep_key(live) {
            true => Ok(self),
            false => Err(self.into_entry()),
        }
    }

    /// Keeps the key alive too, by the owner that `live` returns. Returns false if there is none.
    pub(in crate::map) fn keep_key(&mut self, live: impl FnOnce(&A) -> Option<A::Live>) -> bool {
        self.key = live(self.entry.key());
        self.key.is_some()
    }

    /// Returns the owner that keeps the key alive. Panics if there is none.
    pub(in crate::map) fn key_live(&self) -> &A::Live {
        self.key.as_ref().expect("its key is kept")
    }

    /// Returns the key. Panics if it is not kept alive.
    pub(in crate::map) fn key(&self) -> &A::Shown {
        self.entry.key().shown(self.key_live())
    }

    #[inline]
    pub(in crate::map) fn value(&self) -> &B::Shown {
        self.entry.value().shown(&self.live)
    }

    /// Returns an owner of the value.
    #[inline]
    pub(in crate::map) fn into_owner(self) -> B::Shown
    where
        B::Shown: Clone,
    {
        let owner = self.entry.value().owner(self.live);
        after((self.entry, self.key), owner)
    }

    /// Returns owners of the key and of the value, if the key is alive.
    pub(in crate::map) fn into_owners(self) -> Option<(A::Shown, B::Shown)>
    where
        A::Shown: Clone,
        B::Shown: Clone,
    {
        let key = self.entry.key();
        let owner = key.owner(self.key.or_else(|| key.live())?);
        let value = self.entry.value().owner(self.live);
        Some(after(self.entry, (owner, value)))
    }
}

impl<A: Slot, B: Slot> Clone for LiveEntry<A, B> {
    fn clone(&self) -> Self {
        Self {
            entry: self.entry.clone(),
            live: self.live.clone(),
            fresh: self.fresh,
            key: self.key.clone(),
        }
    }
}

/// The key of a value that is being created, kept alive if it is a weak one.
pub(crate) struct PendingKey<A: Slot, B: Slot> {
    pub(in crate::map) reserved: ReservedNode<StoreNode<A, B>>,
    pub(in crate::map) key: A::Live,
}
