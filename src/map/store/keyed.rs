//! Operations on one key: get, insert, replace, update, remove.
//!
//! Of two equal kept keys the later one stays: key and value of an entry come and go together, as others may
//! be looking at both. Of weak keys the first one stays, as in CPython: a new value goes into an entry with
//! the old key, which is kept alive meanwhile.

use crate::create::error::{ClosedError, InFlight};
use crate::map::store::entering::{Inserted, NotInserted, Swapped};
use crate::map::store::entry_ref::LiveEntry;
use crate::map::store::hook::RemovalCause;
use crate::map::store::reverse::ValueSlot;
use crate::map::store::slot::{HashedKey, KeySlot, Lookup};
use crate::map::store::watching::Watching;
use crate::map::store::Store;
use crate::memory::panics::after;
use std::hash::BuildHasher;

/// The parts of what was not entered; and the live entry in its place, if there is one.
type Refusal<'k, A, B> = (<A as KeySlot>::Given<'k>, B, Option<LiveEntry<A, B>>);

/// A key and a value that were not entered.
pub(in crate::map) struct NotEntered<'k, A: HashedKey + 'k, B: ValueSlot> {
    pub(in crate::map) given: A::Given<'k>,
    pub(in crate::map) value: B::Value,
    /// The live entry in its place, if there is one.
    pub(in crate::map) existing: Option<LiveEntry<A, B>>,
}

/// Returns no registration: the key has at most that of its pointer.
fn unwatched<K>(_: &K) -> Watching {
    Watching::NOT
}

impl<A: HashedKey + 'static, B: ValueSlot + 'static> Store<A, B> {
    /// Returns the entry that is asked for, as `get_or_draft` does.
    #[inline]
    pub(in crate::map) fn get_asked<Q>(
        &self,
        hasher: &impl BuildHasher,
        asked: &Q,
    ) -> Option<LiveEntry<A, B>>
    where
        Q: ?Sized,
        A: Lookup<Q>,
    {
        let hash = A::hash_asked(hasher, asked);
        self.get_or_draft(hash, |stored| stored.is_asked(asked))
    }

    /// Calls `view` with the value that is asked for, as `get_with_or_draft` does.
    #[inline]
    pub(in crate::map) fn get_asked_with<Q, R>(
        &self,
        hasher: &impl BuildHasher,
        asked: &Q,
        view: impl FnMut(&B) -> Option<R>,
    ) -> Option<R>
    where
        Q: ?Sized,
        A: Lookup<Q>,
    {
        let hash = A::hash_asked(hasher, asked);
        self.get_with_or_draft(hash, |stored| stored.is_asked(asked), view)
    }

    /// Calls `view` with the value that is asked for, as `try_get_with` does.
    pub(in crate::map) fn try_get_asked_with<Q, R>(
        &self,
        hasher: &impl BuildHasher,
        asked: &Q,
        view: impl FnMut(&B) -> Option<R>,
    ) -> Result<Option<R>, InFlight>
    where
        Q: ?Sized,
        A: Lookup<Q>,
    {
        let hash = A::hash_asked(hasher, asked);
        self.try_get_with(hash, |stored| stored.is_asked(asked), view)
    }

    /// Returns the live entry whose key `is_it`, with its key kept alive. Counts neither a hit nor a miss.
    fn peek_whole(
        &self,
        hash: u64,
        is_it: impl Fn(&A) -> bool,
        live: impl FnOnce(&A) -> Option<A::Live>,
    ) -> Option<LiveEntry<A, B>> {
        match self.peek(hash, is_it)?.with_key(live) {
            Ok(live_entry) => Some(live_entry),
            Err(lost) => {
                // If an address is used again, against the rules, a dead entry would be found for ever.
                self.saw_lost(&lost);
                None
            }
        }
    }

    /// Returns what `peek_whole` does, by the key itself.
    fn peek_key(&self, hash: u64, key: &A::Key) -> Option<LiveEntry<A, B>> {
        self.peek_whole(hash, |stored| stored.is(key), |stored| stored.live_as(key))
    }

    /// Returns whether both have the same live keys, with values for which `equal` holds.
    pub(in crate::map) fn equals(
        &self,
        (other, hasher): (&Self, &impl BuildHasher),
        equal: impl Fn(&B::Value, &B::Value) -> bool,
    ) -> bool {
        let mut len = 0;
        for mine in self.living() {
            let key = mine.key();
            let theirs = other.peek_key(A::hash(hasher, key), key);
            if !theirs.is_some_and(|theirs| equal(mine.value(), theirs.value())) {
                return false;
            }
            len += 1;
        }
        other.count_live() == len
    }

    /// Inserts an entry with a key of its own. It replaces a live entry only if `displaces` is true, or if
    /// the key of that entry cannot be upgraded. Returns the one that it has replaced.
    fn enter_first<'k>(
        &self,
        hash: u64,
        given: A::Given<'k>,
        (value, value_live): (B, &B::Live),
        watch: impl FnOnce(&A::Key) -> Watching,
        displaces: bool,
    ) -> Result<Inserted<A, B>, Refusal<'k, A, B>> {
        let (key, live) = A::first(given, watch);
        let same = |draft: &A, stored: &A| stored.is(draft.shown(live));
        let live_as = |stored: &A| stored.live_as(stored.shown(live));
        let displace = |existing: &mut LiveEntry<A, B>| displaces || !existing.keep_key(live_as);
        let entered = self.insert(hash, (key, value), (live, value_live), same, displace);
        entered.map_err(|NotInserted { existing, parts }| {
            (parts.0.given_back(live), parts.1, existing)
        })
    }

    /// Replaces this very entry, and returns it. Refused if it is not linked any more, or if the store is
    /// closed.
    fn enter_for<'k>(
        &self,
        hash: u64,
        given: A::Given<'k>,
        (value, value_live): (B, &B::Live),
        old: LiveEntry<A, B>,
        watch: impl FnOnce(&A::Key) -> Watching,
    ) -> Result<Swapped<A, B>, Refusal<'k, A, B>> {
        let (key, live) = A::successor(given, (old.entry.key(), old.key_live()), watch);
        let entered = self.swap(hash, old, (key, value), value_live);
        entered.map_err(|parts| (parts.0.given_back(live), parts.1, None))
    }

    /// Inserts a value, and returns the live one that it replaces. `watch` registers a weak key, be it this
    /// one or the stored one, unless it is registered already. Panics when the store is closed.
    #[track_caller]
    pub(in crate::map) fn insert_keyed(
        &self,
        hash: u64,
        given: A::Given<'_>,
        value: (B, B::Live),
        watch: impl Fn(&A::Key) -> Watching,
    ) -> Option<LiveEntry<A, B>> {
        let (mut given, (mut value, live)) = (given, value);
        loop {
            let old = A::FIRST_STAYS.then(|| {
                let key = A::key(&given);
                self.peek_key(hash, key)
            });
            let refused = match old.flatten() {
                Some(old) => match self.enter_for(hash, given, (value, &live), old, &watch) {
                    Ok((entry, displaced)) => return after((entry, watch, live), Some(displaced)),
                    Err(refused) => refused,
                },
                None => {
                    match self.enter_first(hash, given, (value, &live), &watch, !A::FIRST_STAYS) {
                        Ok((entry, displaced)) => return after((entry, watch, live), displaced),
                        Err(refused) => refused,
                    }
                }
            };
            if self.is_closed() {
                drop((refused, watch, live));
                ClosedError::new().panic();
            }
            // Another call has changed the entry meanwhile.
            (given, value) = after(refused.2, (refused.0, refused.1));
        }
    }

    /// Inserts a value, unless there is a live one, or the store is closed. Returns the new entry.
    pub(in crate::map) fn try_insert_keyed<'k>(
        &self,
        hash: u64,
        given: A::Given<'k>,
        value: B::Value,
    ) -> Result<LiveEntry<A, B>, NotEntered<'k, A, B>> {
        let (value, live) = B::new(value);
        match self.enter_first(hash, given, (value, &live), unwatched, false) {
            Ok((entry, _)) => Ok(LiveEntry::new(entry, live)),
            Err((given, value, existing)) => Err(NotEntered {
                given,
                value: value.into_shown(live),
                existing,
            }),
        }
    }

    /// Replaces the live value, if it fulfils the condition.
    pub(in crate::map) fn replace_keyed<'k>(
        &self,
        hash: u64,
        given: A::Given<'k>,
        value: B::Value,
        mut condition: impl FnMut(&B::Value) -> bool,
    ) -> Result<LiveEntry<A, B>, NotEntered<'k, A, B>> {
        let (mut given, (mut value, live)) = (given, B::new(value));
        loop {
            let key = A::key(&given);
            let found = self.peek_key(hash, key);
            let old = match found {
                Some(old) if condition(old.value()) && !self.is_closed() => old,
                existing => {
                    let refused = NotEntered {
                        given,
                        value: value.into_shown(live),
                        existing,
                    };
                    return Err(after(condition, refused));
                }
            };
            match self.enter_for(hash, given, (value, &live), old, unwatched) {
                Ok((entry, displaced)) => return Ok(after((entry, condition, live), displaced)),
                Err(refused) => (given, value) = after(refused.2, (refused.0, refused.1)),
            }
        }
    }

    /// Calls `f` with the live value or none, and inserts or removes as its result says. Returns the new
    /// entry. Panics when there is to be one and the store is closed.
    #[track_caller]
    pub(in crate::map) fn update_keyed(
        &self,
        hash: u64,
        given: A::Given<'_>,
        mut f: impl FnMut(Option<&B::Value>) -> Option<B::Value>,
    ) -> Option<LiveEntry<A, B>> {
        let mut given = given;
        loop {
            let key = A::key(&given);
            let found = self.peek_key(hash, key);
            let new = match (f(found.as_ref().map(LiveEntry::value)), &found) {
                (None, None) => return after((f, given), None),
                (None, Some(old)) => {
                    if self.take_out(&old.entry, RemovalCause::Removed) {
                        return after((f, found, given), None);
                    }
                    continue;
                }
                (Some(new), Some(old)) if B::are_same(old.value(), &new) => {
                    return after((f, new, given), found);
                }
                (Some(new), _) => new,
            };
            let (value, live) = B::new(new);
            let entered = match found {
                Some(old) => {
                    let entered = self.enter_for(hash, given, (value, &live), old, unwatched);
                    entered.map(|(entry, displaced)| (entry, Some(displaced)))
                }
                None => self.enter_first(hash, given, (value, &live), unwatched, false),
            };
            match entered {
                Ok((entry, displaced)) => {
                    let entered = LiveEntry::new(entry, live);
                    return after((f, displaced), Some(entered));
                }
                Err(refused) if self.is_closed() => {
                    drop((f, refused, live));
                    ClosedError::new().panic();
                }
                Err(refused) => given = after((refused.1, refused.2, live), refused.0),
            }
        }
    }

    /// Removes the live entry that is asked for, if it fulfils the condition.
    pub(in crate::map) fn remove_asked<Q>(
        &self,
        hasher: &impl BuildHasher,
        asked: &Q,
        mut condition: impl FnMut(&A::Key, &B::Value) -> bool,
    ) -> Option<LiveEntry<A, B>>
    where
        Q: ?Sized,
        A: Lookup<Q>,
    {
        let hash = A::hash_asked(hasher, asked);
        // Another thread may take out or replace the entry just found. Then the one that is there by then is
        // to be removed.
        loop {
            let is_it = |stored: &A| stored.is_asked(asked);
            let live_entry = self.peek_whole(hash, is_it, |stored| stored.live_asked(asked))?;
            if !condition(live_entry.key(), live_entry.value()) {
                return after((condition, live_entry), None);
            }
            if self.take_out(&live_entry.entry, RemovalCause::Removed) {
                return Some(after(condition, live_entry));
            }
        }
    }
}
