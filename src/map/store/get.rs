//! Looking an entry up.
//!
//! `get` and `get_with` count as a hit or a miss, `peek` does not. Calls with `_or_draft` also return the
//! draft of a creation inside of which they run.

use crate::create::error::InFlight;
use crate::deadlock::frames;
use crate::map::store::entry_ref::{EntryRef, LiveEntry};
use crate::map::store::hazard::{Protected, Reader};
use crate::map::store::node::StoreNode;
use crate::map::store::reverse::Indexed;
use crate::map::store::slot::Slot;
use crate::map::store::Store;
use crate::memory::panics::after;
use crate::table::index::Probe;
use crate::table::stats::Count;

impl<A: Slot, B: Indexed> Store<A, B> {
    /// Counts a hit, if that was asked for.
    #[inline(always)]
    pub(in crate::map) fn hit(&self) {
        if self.counts_hits {
            self.counters.add(Count::Hit);
        }
    }

    /// Returns the entry whose key `is_it`, if its value is alive. Removes it if it is dead.
    #[inline]
    pub(in crate::map) fn get(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
    ) -> Option<LiveEntry<A, B>> {
        let found = self.peek(hash, is_it);
        self.counted(found)
    }

    /// Counts the result of a look-up.
    #[inline]
    fn counted<T>(&self, found: Option<T>) -> Option<T> {
        match found {
            Some(_) => self.hit(),
            None => self.missed(),
        }
        found
    }

    /// Calls `view` with the value of the entry whose key `is_it`, and returns its result. `view` returns
    /// None for a dead value: then the entry is removed. The caller becomes an owner of the entry only if a
    /// hazard does not do.
    #[inline(always)]
    pub(in crate::map) fn get_with<R>(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
        mut view: impl FnMut(&B) -> Option<R>,
    ) -> Option<R> {
        if !B::IS_WEAK {
            // The value is dropped by the last owner, at once. So there is no hazard.
            return self.get_with_owned(hash, is_it, view);
        }
        let Some(reader) = Reader::own() else {
            return self.get_with_slow(hash, &is_it, &mut view);
        };
        let looked = reader.look(
            &self.table,
            hash,
            |entry| {
                let found = is_it(entry.key()).then(|| view(entry.value())).flatten();
                drop(entry);
                found.ok_or(Probe::UNSURE)
            },
            Err,
        );
        match looked {
            Ok(found) => {
                self.hit();
                Some(found)
            }
            Err(Probe::ABSENT) => {
                self.missed();
                None
            }
            Err(_) => self.get_with_slow(hash, &is_it, &mut view),
        }
    }

    /// Begins to read the memory of a value that a look-up with this hash will read, without waiting for it.
    #[inline]
    pub(in crate::map) fn touch_value(&self, hash: u64) {
        if !B::IS_WEAK || !B::IS_DEAD_IS_QUIET {
            return;
        }
        if let Some(reader) = Reader::own() {
            let touch = |entry: Protected<StoreNode<A, B>>| {
                std::hint::black_box(entry.value().is_dead());
            };
            reader.look(&self.table, hash, touch, |_| ());
            // The value may have died and been reported meanwhile.
            self.end_what_died();
        }
    }

    #[cold]
    #[inline(never)]
    fn get_with_slow<R>(
        &self,
        hash: u64,
        is_it: &dyn Fn(&A) -> bool,
        view: &mut dyn FnMut(&B) -> Option<R>,
    ) -> Option<R> {
        // The value's death may have been reported while the hazard was set.
        self.end_what_died();
        self.get_with_owned(hash, is_it, view)
    }

    /// Does what `get_with` does, as an owner of the entry.
    #[inline]
    fn get_with_owned<R>(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
        view: impl FnMut(&B) -> Option<R>,
    ) -> Option<R> {
        let found = self.peek_with(hash, is_it, view);
        self.counted(found)
    }

    /// Does what `get_with_owned` does, and counts neither a hit nor a miss.
    #[inline]
    fn peek_with<R>(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
        mut view: impl FnMut(&B) -> Option<R>,
    ) -> Option<R> {
        loop {
            let live_entry = self.peek(hash, &is_it)?;
            let seen = view(live_entry.entry.value());
            // If it has gone out of reach since, another one may have taken its place.
            if let Some(seen) = after(live_entry, seen) {
                return Some(seen);
            }
        }
    }

    /// Returns what `get` does, and counts neither a hit nor a miss.
    #[inline]
    pub(in crate::map) fn peek(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
    ) -> Option<LiveEntry<A, B>> {
        let node_ref = self.table.get(hash, &is_it)?;
        match LiveEntry::of(EntryRef::new(node_ref)) {
            Ok(live_entry) => Some(live_entry),
            Err(lost) => self.peek_again(lost, hash, &is_it),
        }
    }

    /// Continues `peek` when the value of the entry that was found cannot be upgraded.
    #[cold]
    fn peek_again(
        &self,
        lost: EntryRef<A, B>,
        hash: u64,
        is_it: &dyn Fn(&A) -> bool,
    ) -> Option<LiveEntry<A, B>> {
        // Kept, so that no other entry gets its address.
        let mut before = lost;
        loop {
            // If it was still linked, the key had no live value then. If not, another value may have taken
            // its place, and that one may be alive.
            if self.saw_lost(&before) {
                return after(before, None);
            }
            let next = EntryRef::new(self.table.get(hash, is_it)?);
            let is_same = next.is(&before);
            match LiveEntry::of(next) {
                Ok(live_entry) => return after(before, Some(live_entry)),
                // It is out of reach, and was linked all the time. So the key had no other entry.
                Err(lost) if is_same => return after((before, lost), None),
                Err(lost) => before = lost,
            }
        }
    }

    /// Returns what `peek` does, with the key kept alive. Leaves a dead entry where it is, so it runs no
    /// hook.
    pub(in crate::map) fn peek_with_key(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
        live: impl Fn(&A) -> Option<A::Live>,
    ) -> Option<LiveEntry<A, B>> {
        // Kept, so that no other entry gets its address.
        let mut before: Option<EntryRef<A, B>> = None;
        loop {
            let node_ref = self.table.get(hash, &is_it)?;
            let found = LiveEntry::of(EntryRef::new(node_ref));
            match found.and_then(|found| found.with_key(&live)) {
                Ok(live_entry) => return after(before, Some(live_entry)),
                // It could not be upgraded before this round, which has found it linked. An entry that was
                // met only once may have been replaced before it died.
                Err(lost) if before.as_ref().is_some_and(|before| before.is(&lost)) => return None,
                Err(lost) => before = Some(lost),
            }
        }
    }
}

impl<A: Slot + 'static, B: Indexed + 'static> Store<A, B> {
    /// Returns what `get_with` does; inside a creation that must not wait for this one, also the view of a
    /// draft.
    #[inline]
    pub(in crate::map) fn get_with_or_draft<R>(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
        mut view: impl FnMut(&B) -> Option<R>,
    ) -> Option<R> {
        let found = self.get_with(hash, &is_it, &mut view);
        if found.is_some() || !frames::is_inside_any() {
            return found;
        }
        let draft = self
            .flights
            .draft(hash, |pending_key| is_it(pending_key.reserved.key()))?;
        let seen = view(draft.entry.value());
        after(draft, seen)
    }

    /// Returns what `get` does; inside a creation that must not wait for this one, also a draft.
    #[inline]
    pub(in crate::map) fn get_or_draft(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
    ) -> Option<LiveEntry<A, B>> {
        let found = self.get(hash, &is_it);
        if found.is_some() || !frames::is_inside_any() {
            return found;
        }
        self.flights
            .draft(hash, |pending_key| is_it(pending_key.reserved.key()))
    }

    /// Returns what `get_with_or_draft` does, or `InFlight` if somebody is creating the value.
    pub(in crate::map) fn try_get_with<R>(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
        mut view: impl FnMut(&B) -> Option<R>,
    ) -> Result<Option<R>, InFlight> {
        if let Some(found) = self.get_with_or_draft(hash, &is_it, &mut view) {
            return Ok(Some(found));
        }
        if self
            .flights
            .any(hash, |pending_key| is_it(pending_key.reserved.key()))
        {
            return Err(InFlight);
        }
        // It may have been published between the two look-ups.
        Ok(self.peek_with(hash, is_it, view))
    }
}
