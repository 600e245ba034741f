//! Comparison and combination of weak sets.

use super::WeakSet;
use crate::pointer::keying::Keying;
use crate::pointer::traits::SyncPointer;
use std::hash::BuildHasher;

impl<P: SyncPointer, M: Keying<P>, S: BuildHasher> WeakSet<P, M, S> {
    /// Returns whether each live member is one of `other` too.
    pub fn is_subset<S2: BuildHasher>(&self, other: &WeakSet<P, M, S2>) -> bool {
        self.iter().all(|member| other.has(&member))
    }

    /// Returns whether each live member of `other` is one of this set too.
    pub fn is_superset<S2: BuildHasher>(&self, other: &WeakSet<P, M, S2>) -> bool {
        other.is_subset(self)
    }

    /// Returns whether no live member is one of `other`.
    pub fn is_disjoint<S2: BuildHasher>(&self, other: &WeakSet<P, M, S2>) -> bool {
        !self.iter().any(|member| other.has(&member))
    }

    fn collect(&self, members: impl Iterator<Item = P>) -> Self
    where
        S: Clone,
    {
        let new = Self::with_hasher(self.hasher.clone());
        new.extend(members);
        new
    }

    /// Creates a set of the members of this one, and then those of `other`. Of equal ones it takes that of
    /// this set.
    ///
    /// This and the following three calls run `Hash` and `Eq` with no lock held, and read each set as an
    /// iteration does.
    ///
    /// ```
    /// use highlander::WeakSet;
    /// use std::sync::Arc;
    ///
    /// let owned: Vec<_> = (0..6).map(Arc::new).collect();
    /// let low: WeakSet<Arc<i32>> = owned[..4].iter().cloned().collect();
    /// let high: WeakSet<Arc<i32>> = owned[2..].iter().cloned().collect();
    /// assert_eq!(low.union(&high).len(), 6);
    /// assert_eq!(low.intersection(&high), owned[2..4].iter().cloned().collect());
    /// assert_eq!(low.difference(&high), owned[..2].iter().cloned().collect());
    /// assert_eq!(low.symmetric_difference(&high).len(), 4);
    /// ```
    pub fn union<S2>(&self, other: &WeakSet<P, M, S2>) -> Self
    where
        S: Clone,
    {
        self.collect(self.iter().chain(other.iter()))
    }

    /// Creates a set of those members that are in `other` too.
    pub fn intersection<S2: BuildHasher>(&self, other: &WeakSet<P, M, S2>) -> Self
    where
        S: Clone,
    {
        self.collect(self.iter().filter(|member| other.has(member)))
    }

    /// Creates a set of those members that are not in `other`.
    pub fn difference<S2: BuildHasher>(&self, other: &WeakSet<P, M, S2>) -> Self
    where
        S: Clone,
    {
        self.collect(self.iter().filter(|member| !other.has(member)))
    }

    /// Creates a set of those members of either set that are not in the other.
    pub fn symmetric_difference<S2: BuildHasher>(&self, other: &WeakSet<P, M, S2>) -> Self
    where
        S: Clone,
    {
        let others = other.iter().filter(|member| !self.has(member));
        self.collect(
            self.iter()
                .filter(|member| !other.has(member))
                .chain(others),
        )
    }
}

impl<P: SyncPointer, M: Keying<P>, S: BuildHasher + Clone> Clone for WeakSet<P, M, S> {
    /// Creates another set of the same members, in the same order.
    fn clone(&self) -> Self {
        self.collect(self.iter())
    }
}

impl<P: SyncPointer, M: Keying<P>, S: BuildHasher> PartialEq for WeakSet<P, M, S> {
    /// Returns whether the live members are the same, in any order. Each is compared at some moment during
    /// the call.
    fn eq(&self, other: &Self) -> bool {
        self.is_subset(other) && other.is_subset(self)
    }
}

impl<P: SyncPointer, M: Keying<P>, S: BuildHasher> Eq for WeakSet<P, M, S> {}
