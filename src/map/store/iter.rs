//! Iteration over a store, one entry at a time, with no lock held.
//!
//! A walk remembers the upper half of a hash: all below it was visited, in whatever array it was then. So an
//! entry that is linked throughout is visited once, however the table grows or shrinks. What is inserted
//! behind the walk is not visited.
//!
//! Within a bucket it sets a hazard for each entry, as a look-up does, and becomes an owner of none. Where
//! that does not do, it locks the bucket, and becomes an owner of each entry that is left in it: if the
//! bucket overflows or has changed, or if the map keeps values, which are dropped by their last owner.

use crate::map::store::entry_ref::{EntryRef, LiveEntry};
use crate::map::store::hazard::{Reader, Seen};
use crate::map::store::node::StoreNode;
use crate::map::store::slot::Slot;
use crate::table::index::{Ahead, BucketCursor};
use crate::table::Table;
use std::ops::Range;

/// All upper halves of hashes.
pub(in crate::map) const EVERYWHERE: Range<u64> = 0..1 << 32;

pub(in crate::map) struct Walk<'a, A: Slot, B: Slot> {
    // Borrowed, so that the entry that has the walk's hazard is not dropped with the map.
    table: &'a Table<StoreNode<A, B>>,
    /// Its place.
    cursor: BucketCursor,
    /// Owners of the entries that are left of one bucket.
    owned: Vec<EntryRef<A, B>>,
}

impl<'a, A: Slot, B: Slot> Walk<'a, A, B> {
    pub(in crate::map) fn new(table: &'a Table<StoreNode<A, B>>) -> Self {
        Self {
            table,
            cursor: BucketCursor::before(EVERYWHERE.start),
            owned: Vec::new(),
        }
    }

    /// Returns the next `Some` that `view` returns. Dead entries are shown to `view` too.
    #[inline]
    pub(in crate::map) fn next_that<R>(
        &mut self,
        mut view: impl FnMut(&A, &B) -> Option<R>,
    ) -> Option<R> {
        loop {
            while let Some(seen) = self.look() {
                match seen {
                    Seen::Next(entry) => {
                        let result = view(entry.key(), entry.value());
                        drop(entry);
                        if result.is_some() {
                            return result;
                        }
                    }
                    Seen::BucketChanged => self.own_the_lost(),
                    Seen::Over => break,
                }
            }
            while let Some(entry) = self.owned.pop() {
                let result = view(entry.key(), entry.value());
                drop(entry);
                if result.is_some() {
                    return result;
                }
            }
            if !self.go_on() {
                return None;
            }
        }
    }

    /// Returns the next entry of the cursor's bucket; none if the cursor has no bucket.
    #[inline(always)]
    fn look(&mut self) -> Option<Seen<StoreNode<A, B>>> {
        if self.cursor.is_over() {
            return None;
        }
        Some(match Reader::own() {
            Some(reader) => reader.next(self.table, &mut self.cursor),
            None => Seen::BucketChanged,
        })
    }

    /// Returns the next entry, dead or alive.
    pub(in crate::map) fn next_owned(&mut self) -> Option<EntryRef<A, B>> {
        if !self.cursor.is_over() {
            self.own_the_lost();
        }
        if self.owned.is_empty() {
            self.own_some();
        }
        self.owned.pop()
    }

    /// Advances to the next bucket that holds something. Returns false if there is none.
    #[inline(always)]
    fn go_on(&mut self) -> bool {
        if !B::IS_WEAK || Reader::own().is_none() {
            self.own_some();
            return !self.owned.is_empty();
        }
        match self.table.look_ahead(&mut self.cursor) {
            Ahead::Bucket => true,
            Ahead::Unsure => {
                self.own_some();
                !self.owned.is_empty()
            }
            Ahead::Nothing => false,
        }
    }

    /// Becomes an owner of all entries of the next bucket that holds some.
    #[cold]
    fn own_some(&mut self) {
        let left = self.cursor.behind()..EVERYWHERE.end;
        if !left.is_empty() {
            let owned = &mut self.owned;
            let found = |node_ref| owned.push(EntryRef::new(node_ref));
            let come_to = self.table.own(left, 1, |_| true, found);
            self.cursor = BucketCursor::before(come_to);
        }
    }

    /// Becomes an owner of each entry that is left in the cursor's bucket.
    #[cold]
    fn own_the_lost(&mut self) {
        let next = BucketCursor::before(self.cursor.behind());
        let cursor = std::mem::replace(&mut self.cursor, next);
        let owned = &mut self.owned;
        let found = |node_ref| owned.push(EntryRef::new(node_ref));
        self.table.own(
            cursor.halves(),
            usize::MAX,
            |node| cursor.misses(node),
            found,
        );
    }

    /// Iterates over the live entries, as owners of them and of both sides.
    pub(in crate::map) fn live(self) -> impl Iterator<Item = LiveEntry<A, B>> + use<'a, A, B> {
        self.owned().filter_map(|entry| entry.upgrade().ok())
    }

    /// Iterates over all entries, also dead ones, as owners of them.
    pub(in crate::map) fn owned(self) -> impl Iterator<Item = EntryRef<A, B>> + use<'a, A, B> {
        let mut walk = self;
        std::iter::from_fn(move || walk.next_owned())
    }

    /// Iterates over the results of `view` for all entries, without the `None`s.
    pub(in crate::map) fn views<R, F: FnMut(&A, &B) -> Option<R>>(
        self,
        mut view: F,
    ) -> impl Iterator<Item = R> + use<'a, A, B, R, F> {
        let mut walk = self;
        std::iter::from_fn(move || walk.next_that(&mut view))
    }
}
