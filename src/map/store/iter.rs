//! Going over all entries of a store, one at a time, with nothing held but the one in hand.
//!
//! A walk remembers the upper half of a hash: what is below it was visited, in whatever table it was by then.
//! So entries that are in throughout are met once, however the table grows or shrinks meanwhile, and what is
//! entered behind the walk is not met.
//!
//! Within a bucket it goes from entry to entry as a look-up does: it says which one its thread is looking at,
//! and becomes an owner of none (see `protection`). Where that does not do (the bucket overflows, or has
//! changed since its first entry was looked at, or entries hold values that go with their last owner) it
//! locks the bucket, and becomes an owner of each entry that is left in it.

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
    // Borrowed, so that the entry that it looks at is not given up with the map.
    table: &'a Table<StoreNode<A, B>>,
    /// Where it is.
    sight: BucketCursor,
    /// Owners of entries of the bucket in which it is.
    owned: Vec<EntryRef<A, B>>,
}

impl<'a, A: Slot, B: Slot> Walk<'a, A, B> {
    pub(in crate::map) fn new(table: &'a Table<StoreNode<A, B>>) -> Self {
        Self {
            table,
            sight: BucketCursor::before(EVERYWHERE.start),
            owned: Vec::new(),
        }
    }

    /// What `view` makes of the next entry of which it makes something. Dead entries are shown too.
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
                    Seen::Lost => self.own_the_lost(),
                    Seen::Over => break,
                }
            }
            while let Some(held) = self.owned.pop() {
                let result = view(held.key(), held.value());
                drop(held);
                if result.is_some() {
                    return result;
                }
            }
            if !self.go_on() {
                return None;
            }
        }
    }

    /// The next entry of the bucket in sight, if there is one in sight.
    #[inline(always)]
    fn look(&mut self) -> Option<Seen<StoreNode<A, B>>> {
        if self.sight.is_over() {
            return None;
        }
        Some(match Reader::own() {
            Some(reader) => reader.next(self.table, &mut self.sight),
            None => Seen::Lost,
        })
    }

    /// The next entry, dead or alive, as an owner of it.
    pub(in crate::map) fn next_owned(&mut self) -> Option<EntryRef<A, B>> {
        if !self.sight.is_over() {
            self.own_the_lost();
        }
        if self.owned.is_empty() {
            self.own_some();
        }
        self.owned.pop()
    }

    /// Goes to the next bucket that holds something. False if there is none.
    #[inline(always)]
    fn go_on(&mut self) -> bool {
        if !B::IS_WEAK || Reader::own().is_none() {
            self.own_some();
            return !self.owned.is_empty();
        }
        match self.table.look_ahead(&mut self.sight) {
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
        let left = self.sight.behind()..EVERYWHERE.end;
        if !left.is_empty() {
            let owned = &mut self.owned;
            let found = |strong| owned.push(EntryRef::new(strong));
            let come_to = self.table.own(left, 1, |_| true, found);
            self.sight = BucketCursor::before(come_to);
        }
    }

    /// Becomes an owner of what is left of the bucket that was in sight.
    #[cold]
    fn own_the_lost(&mut self) {
        let next = BucketCursor::before(self.sight.behind());
        let sight = std::mem::replace(&mut self.sight, next);
        let owned = &mut self.owned;
        let found = |strong| owned.push(EntryRef::new(strong));
        self.table
            .own(sight.halves(), usize::MAX, |node| sight.misses(node), found);
    }

    /// The live entries, as owners of them and of both sides.
    pub(in crate::map) fn landed(self) -> impl Iterator<Item = LiveEntry<A, B>> + use<'a, A, B> {
        self.owned().filter_map(|held| held.landed().ok())
    }

    /// All entries, also dead ones, as owners of them.
    pub(in crate::map) fn owned(self) -> impl Iterator<Item = EntryRef<A, B>> + use<'a, A, B> {
        let mut walk = self;
        std::iter::from_fn(move || walk.next_owned())
    }

    /// What `view` makes of each entry, if it makes something.
    pub(in crate::map) fn views<R, F: FnMut(&A, &B) -> Option<R>>(
        self,
        mut view: F,
    ) -> impl Iterator<Item = R> + use<'a, A, B, R, F> {
        let mut walk = self;
        std::iter::from_fn(move || walk.next_that(&mut view))
    }
}
