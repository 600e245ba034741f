//! Owners of an entry that its map keeps: what a look-up holds on to while it works, and what a creation ends in.

use crate::create::seed::Seed;
use crate::map::store::pair::Pair;
use crate::map::store::side::Side;
use crate::memory::panics::after;
use crate::table::node_ref::NodeRef;

/// An owner of an entry, which may have been taken out by now. It keeps the entry's memory, but not what the entry holds weakly.
pub(crate) struct Held<A, B>(NodeRef<Pair<A, B>>);

// SAFETY: a held entry gives `&A` and `&B` to its thread (hence `Sync`) and may be the one that drops both (hence `Send`).
unsafe impl<A: Send + Sync, B: Send + Sync> Send for Held<A, B> {}
// SAFETY: a shared one can be cloned, so the same bounds as for `Send`.
unsafe impl<A: Send + Sync, B: Send + Sync> Sync for Held<A, B> {}

impl<A, B> Held<A, B> {
    #[inline(always)]
    pub(crate) fn new(strong: NodeRef<Pair<A, B>>) -> Self {
        Self(strong)
    }

    #[inline(always)]
    pub(crate) fn strong(&self) -> &NodeRef<Pair<A, B>> {
        &self.0
    }

    /// Whether both own the very same entry.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.node() == other.0.node()
    }

    pub(crate) fn into_strong(self) -> NodeRef<Pair<A, B>> {
        self.0
    }

    #[inline(always)]
    pub(crate) fn key(&self) -> &A {
        self.0.key()
    }

    #[inline(always)]
    pub(crate) fn value(&self) -> &B {
        // SAFETY: owned, so complete, and dropped by the last owner only.
        unsafe { &*self.0.payload().cast::<Pair<A, B>>() }.value()
    }
}

impl<A: Side, B: Side> Held<A, B> {
    /// Whether one of its sides has died.
    #[inline]
    pub(crate) fn is_dead(&self) -> bool {
        // SAFETY: owned, so complete.
        unsafe { Pair::<A, B>::is_dead(self.0.node()) }
    }
}

impl<A: Side, B: Side> Held<A, B> {
    /// With what keeps both sides alive, if both are.
    #[inline]
    pub(crate) fn landed(self) -> Option<(Landed<A, B>, A::Live)> {
        let key = self.key().live()?;
        Some((Landed::of(self).ok()?, key))
    }
}

impl<A, B> Clone for Held<A, B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// An entry whose value is alive, and kept so.
pub(crate) struct Landed<A: Side, B: Side> {
    /// Dropped first: with a draft that is given up goes its key, and if that asks for itself, the value has ended.
    pub(crate) live: B::Live,
    pub(crate) held: Held<A, B>,
    /// A factory has just made it.
    pub(crate) fresh: bool,
    /// What keeps the key alive too, if that was asked for: always in what a creation ends in.
    pub(crate) key: Option<A::Live>,
}

impl<A: Side, B: Side> Landed<A, B> {
    /// None if the value is dead.
    #[inline]
    pub(crate) fn of(held: Held<A, B>) -> Result<Self, Held<A, B>> {
        match held.value().live() {
            Some(live) => Ok(Self {
                held,
                live,
                fresh: false,
                key: None,
            }),
            None => Err(held),
        }
    }

    /// Keeps the key alive too. False if it is dead.
    pub(crate) fn keep_key(&mut self) -> bool {
        self.key = self.held.key().live();
        self.key.is_some()
    }

    /// The value alone.
    #[inline]
    pub(crate) fn into_live(self) -> B::Live {
        after((self.held, self.key), self.live)
    }
}

impl<A: Side, B: Side> Clone for Landed<A, B> {
    fn clone(&self) -> Self {
        Self {
            held: self.held.clone(),
            live: self.live.clone(),
            fresh: self.fresh,
            key: self.key.clone(),
        }
    }
}

/// An entry that was not entered, in parts.
pub(crate) struct Refused<A: Side, B: Side> {
    /// The live entry in its place; none if the store is closed.
    pub(crate) existing: Option<Landed<A, B>>,
    pub(crate) parts: (A, B),
}

impl<A: Side, B: Side> Refused<A, B> {
    pub(crate) fn closed(parts: (A, B)) -> Self {
        Self {
            existing: None,
            parts,
        }
    }
}

/// What waits while a value is created: the key, kept alive if it is a weak one.
pub(crate) struct Ticket<A: Side, B: Side> {
    pub(crate) seed: Seed<Pair<A, B>>,
    pub(crate) key: A::Live,
}
