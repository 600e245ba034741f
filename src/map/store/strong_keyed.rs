//! What the two maps with strong keys have in common: how an entry is entered, replaced, created and taken out by a key of its own, whatever its
//! value is.
//!
//! Key and value of an entry come and go together, as others may be looking at both. So unlike with weak keys the later of two equal keys stays.

use crate::create::error::ClosedError;
use crate::create::flight::FlightTable;
use crate::create::steps::{Creates, EnteredDraft, EnteredValue};
use crate::deadlock::work::GivenUp;
use crate::map::store::create::{Made, Rest};
use crate::map::store::entry_ref::{Landed, Ticket};
use crate::map::store::hook::RemovalCause;
use crate::map::store::slot::{OwnedSlot, Slot};
use crate::map::store::{Refused, Store};
use crate::memory::panics::after;
use crate::table::exclusive::InTheWay;
use equivalent::Equivalent;
use std::fmt;

type Entry<K, B> = Landed<OwnedSlot<K>, B>;
type NotIn<K, B> = Refused<OwnedSlot<K>, B>;

impl<K: Eq + 'static, B: Slot> Store<OwnedSlot<K>, B> {
    /// What `view` makes of the live value of this key; in the middle of a creation that must not wait for this one, also of a value that is not finished.
    #[inline]
    pub(crate) fn see_keyed<Q, R>(
        &self,
        hash: u64,
        key: &Q,
        view: impl FnMut(&B) -> Option<R>,
    ) -> Option<R>
    where
        Q: ?Sized + Equivalent<K>,
    {
        self.see(hash, |stored| key.equivalent(&stored.0), view)
    }

    /// Enters a value in the place of the live one, which comes back. Refused only if closed.
    pub(crate) fn insert_keyed(
        &self,
        hash: u64,
        key: K,
        value: B,
    ) -> Result<Option<Entry<K, B>>, NotIn<K, B>> {
        self.insert(hash, (OwnedSlot(key), value), same, |_| true)
    }

    /// Enters a value, unless there is a live one, or the map is closed.
    pub(crate) fn try_insert_keyed(&self, hash: u64, key: K, value: B) -> Result<(), NotIn<K, B>> {
        self.insert(hash, (OwnedSlot(key), value), same, |_| false)
            .map(drop)
    }

    /// Puts a value in the place of the live one, if that fulfils the condition. Refused if not, or if the map is closed.
    pub(crate) fn replace_keyed(
        &self,
        hash: u64,
        key: K,
        value: B,
        mut condition: impl FnMut(&Entry<K, B>) -> bool,
    ) -> Result<Entry<K, B>, NotIn<K, B>> {
        let mut parts = (OwnedSlot(key), value);
        loop {
            let old = match self.peek(hash, |stored| parts.0 .0 == stored.0) {
                Some(landed) if condition(&landed) && !self.is_closed() => landed,
                other => return Err(after(other, Refused::closed(parts))),
            };
            match self.swap(hash, old, parts) {
                Ok(displaced) => return Ok(displaced),
                // Somebody else was there meanwhile, or the map is closed.
                Err(refused) => parts = refused.parts,
            }
        }
    }

    /// Changes the entry as `f` says, which gets the live one or none, and returns the new value, with something for the caller, or
    /// none. An entry is left as it is if `f` returns no value for it to be put in, but something for the caller.
    pub(crate) fn update_keyed<R>(
        &self,
        hash: u64,
        key: K,
        mut f: impl FnMut(Option<&Entry<K, B>>) -> Option<(Option<B>, R)>,
    ) -> Result<Option<R>, ClosedError> {
        let mut key = key;
        loop {
            let found = self.peek(hash, |stored| key == stored.0);
            let (value, result) = match (f(found.as_ref()), &found) {
                (None, None) => return Ok(None),
                (None, Some(old)) => {
                    if self.take_out(&old.held, RemovalCause::Removed) {
                        return Ok(None);
                    }
                    continue;
                }
                (Some((None, result)), _) => return Ok(after((found, key), Some(result))),
                (Some((Some(value), result)), _) => (value, result),
            };
            let refused = match found {
                Some(old) => self.swap(hash, old, (OwnedSlot(key), value)).err(),
                None => self.try_insert_keyed(hash, key, value).err(),
            };
            match refused {
                None => return Ok(Some(result)),
                Some(_) if self.is_closed() => return Err(ClosedError::new()),
                Some(refused) => key = refused.parts.0 .0,
            }
        }
    }

    /// Takes out the live entry of this key, if it fulfils the condition.
    pub(crate) fn remove_keyed<Q>(
        &self,
        hash: u64,
        key: &Q,
        mut condition: impl FnMut(&K, &Entry<K, B>) -> bool,
    ) -> Option<Entry<K, B>>
    where
        Q: ?Sized + Equivalent<K>,
    {
        // Another thread may take out or replace the one just found; then whatever is there now is the one to remove.
        loop {
            let landed = self.peek(hash, |stored| key.equivalent(&stored.0))?;
            if !condition(&landed.held.key().0, &landed) {
                return None;
            }
            if self.take_out(&landed.held, RemovalCause::Removed) {
                return Some(landed);
            }
        }
    }
}

impl<K: Eq + 'static, B: Slot> Creates for Store<OwnedSlot<K>, B> {
    type Ticket = Ticket<OwnedSlot<K>, B>;
    type Landed = Entry<K, B>;
    type Made<'t> = Made<B>;
    type Rest = Rest<OwnedSlot<K>, B>;
    type Grip = Self;

    fn flights(&self) -> &FlightTable<Self::Ticket, Entry<K, B>> {
        &self.flights
    }

    fn same(&self, one: &Self::Ticket, other: &Self::Ticket) -> bool {
        same(one.seed.key(), other.seed.key())
    }

    fn name(&self, ticket: &Self::Ticket, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name_made(ticket, f)
    }

    fn look(&self, hash: u64, ticket: &Self::Ticket) -> Option<Entry<K, B>> {
        self.look_at(hash, |stored| same(ticket.seed.key(), stored))
    }

    fn in_the_way(&self, hash: u64) -> Option<InTheWay> {
        self.in_the_way(hash)
    }

    fn refused(&self) -> Option<ClosedError> {
        self.is_closed().then(ClosedError::new)
    }

    fn enter(&self, hash: u64, ticket: &Self::Ticket, made: Made<B>) -> EnteredValue<Self> {
        let is_it = |stored: &OwnedSlot<K>| same(ticket.seed.key(), stored);
        self.enter_made(hash, ticket, made, &is_it)
    }

    fn draft(&self, hash: u64, ticket: &Self::Ticket, made: Made<B>) -> Entry<K, B> {
        self.draft_made(hash, ticket, made)
    }

    fn enter_draft(
        &self,
        hash: u64,
        ticket: &Self::Ticket,
        draft: &Entry<K, B>,
    ) -> EnteredDraft<Self> {
        let is_it = |stored: &OwnedSlot<K>| same(ticket.seed.key(), stored);
        self.enter_made_draft(hash, draft, &is_it)
    }

    fn is_fresh(landed: &Entry<K, B>) -> bool {
        landed.fresh
    }

    fn take_out(&self, landed: &Entry<K, B>) {
        self.take_out(&landed.held, RemovalCause::Removed);
    }

    fn abandon(&self, draft: &Entry<K, B>, given_up: GivenUp<'_>) {
        draft.held.value().is_abandoned(given_up);
    }

    fn grip(&self) -> Self {
        self.share()
    }

    fn settle(&self, landed: &Entry<K, B>, rest: Option<Self::Rest>) {
        self.settle_made(landed, rest);
    }

    fn settle_rest(&self, rest: Self::Rest) {
        self.settle_made_rest(rest);
    }
}

fn same<K: Eq>(one: &OwnedSlot<K>, other: &OwnedSlot<K>) -> bool {
    one.0 == other.0
}
