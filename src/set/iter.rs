//! Iteration over a weak set, and the version that shows whether the set has changed meanwhile.

use crate::memory::panics::after;
use crate::pointer::traits::SyncPointer;
use crate::set::members::{Cursor, Members};
use crate::set::WeakSet;
use std::fmt;
use std::ops::ControlFlow;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

impl<P: SyncPointer, M, S> WeakSet<P, M, S> {
    /// Iterates over the live members in order; see [reading](WeakSet#reading). The iterator owns what it
    /// yields, and keeps up to 15 members behind it alive.
    ///
    /// ```
    /// use highlander::WeakSet;
    /// use std::sync::Arc;
    ///
    /// let owned: Vec<_> = (0..5).map(Arc::new).collect();
    /// let set: WeakSet<Arc<i32>> = owned.iter().cloned().collect();
    /// for member in &set {
    ///     set.remove(&*member);       // changing the set is fine
    ///     set.remove(&3);             // not shown
    ///     assert_ne!(*member, 3);
    /// }
    /// assert!(set.is_empty());
    /// ```
    pub fn iter(&self) -> WeakSetIter<P> {
        let members = self.members.get().cloned();
        let cursor = members
            .as_deref()
            .map_or_else(Cursor::of_nothing, Cursor::new);
        WeakSetIter { members, cursor }
    }

    /// Calls `f` with an owner of each live member in order; see [reading](WeakSet#reading). For up to 16
    /// members that is one pin, no lock, and no allocation.
    ///
    /// *Runs* `f` with no lock held; it may change the set. What comes meanwhile is not shown, and what is
    /// removed before its turn is not shown.
    ///
    /// ```
    /// use highlander::WeakSet;
    /// use std::sync::Arc;
    ///
    /// let owned: Vec<_> = (0..5).map(Arc::new).collect();
    /// let set: WeakSet<Arc<i32>> = owned.iter().cloned().collect();
    /// let mut kept = Vec::new();
    /// set.for_each(|member| kept.push(member));
    /// assert_eq!(kept, owned);
    /// ```
    pub fn for_each(&self, mut f: impl FnMut(P)) {
        self.try_for_each(|member| {
            f(member);
            ControlFlow::<()>::Continue(())
        });
    }

    /// Calls `f` as [`WeakSet::for_each`] does, until it returns `Break`. Returns the value of that.
    pub fn try_for_each<B>(&self, mut f: impl FnMut(P) -> ControlFlow<B>) -> Option<B> {
        let members = self.members.get()?;
        let mut cursor = Cursor::new(members);
        while let Some((_, member)) = cursor.next(members) {
            if let ControlFlow::Break(result) = f(member) {
                return Some(after((cursor, f), result));
            }
        }
        None
    }

    /// Returns the live member that came first. *Complexity:* linear in the number of dead ones before it,
    /// which stay until the set is swept.
    pub fn first(&self) -> Option<P> {
        self.try_for_each(ControlFlow::Break)
    }

    /// Returns the version of the set: a number that rises with each insertion and each removal. A caller
    /// that computes something from all members and keeps it can thus check whether it is up to date.
    ///
    /// # What is promised
    /// 1. A change is counted after it is made, and before the call that makes it returns.
    /// 2. A caller that reads a version sees all changes that it counts: this is an *acquire* load, and each
    ///    count is a *release*.
    /// 3. The version never falls.
    ///
    /// So if this returns a number, all members are iterated after that, and this returns *the same number*
    /// again, then the iteration was right for all that had happened before the **second** call. It has shown
    /// each member whose insertion happened before (and that lived and was not removed), none whose removal
    /// happened before, and none that was inserted later than the first call. ("Happened before" is that of
    /// the memory model: on the same thread, or passed on by a lock, a channel, a `join`.)
    ///
    /// Not promised is the reverse. A change that is under way can show in an iteration before it is counted;
    /// then the version rises a moment later, for something that has been seen. Nor is there one order of
    /// this and other atomics on which all threads agree (`SeqCst`).
    ///
    /// # What counts
    /// * An insertion, also by a weak pointer. Such a member does not count again when it comes to life
    ///   later.
    /// * A removal by a call.
    /// * The death of a member that reports it (a [`Watched`](crate::pointer::Watched), or with a
    ///   [`Token`](crate::pointer::Token)), before the last owner's drop returns.
    /// * Not the death of other members, which is not reported, and not the pruning of their entries: no
    ///   iteration shows them anyhow. So an iteration does not by itself raise the version.
    ///
    /// *Waits* for nobody. *Complexity:* two loads. A set that was never used has version 0.
    ///
    /// ```
    /// use highlander::WeakSet;
    /// use std::sync::Arc;
    ///
    /// let set: WeakSet<Arc<u32>> = WeakSet::new();
    /// let one = Arc::new(1);
    /// set.insert(&one);
    ///
    /// let version = set.version();                        // before the members are read
    /// let sum: u32 = set.iter().map(|member| *member).sum();
    /// assert_eq!((sum, set.version()), (1, version));     // nothing has changed: the sum is right
    ///
    /// let two = Arc::new(2);
    /// set.insert(&two);
    /// assert!(set.version() > version);                   // out of date
    /// ```
    /// [`guide::two_jobs`](crate::guide::two_jobs#cure-count-the-changes) shows how to keep such a result
    /// beside others who change the set.
    pub fn version(&self) -> u64 {
        self.members.get().map_or(0, |members| members.version())
    }
}

impl<P: SyncPointer, M, S> IntoIterator for &WeakSet<P, M, S> {
    type Item = P;
    type IntoIter = WeakSetIter<P>;

    fn into_iter(self) -> WeakSetIter<P> {
        self.iter()
    }
}

/// Owners of the live members of a [`WeakSet`], in order; see [`WeakSet::iter`].
pub struct WeakSetIter<P: SyncPointer> {
    members: Option<Arc<Members<P>>>,
    cursor: Cursor<P>,
}

impl<P: SyncPointer> Iterator for WeakSetIter<P> {
    type Item = P;

    fn next(&mut self) -> Option<P> {
        let members = self.members.as_ref()?;
        match self.cursor.next(members) {
            Some((_, member)) => Some(member),
            None => {
                self.members = None;
                None
            }
        }
    }
}

impl<P: SyncPointer> std::iter::FusedIterator for WeakSetIter<P> {}

impl<P: SyncPointer> fmt::Debug for WeakSetIter<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakSetIter").finish_non_exhaustive()
    }
}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl<P: SyncPointer + UnwindSafe + RefUnwindSafe> UnwindSafe for WeakSetIter<P> {}
impl<P: SyncPointer + UnwindSafe + RefUnwindSafe> RefUnwindSafe for WeakSetIter<P> {}
impl<P: SyncPointer> Unpin for WeakSetIter<P> {}
