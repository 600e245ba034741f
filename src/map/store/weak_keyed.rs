//! What the two maps with weak keys have in common: how an entry is found, entered and replaced by a pointer, whatever its value is.
//!
//! The first of several equal keys stays: a new value goes into an entry with the old key, as in CPython. Where that key is needed it is
//! kept alive meanwhile.

use crate::create::error::{ClosedError, InFlight};
use crate::create::flight::FlightTable;
use crate::create::steps::{Creates, EnteredDraft, EnteredValue};
use crate::deadlock::work::GivenUp;
use crate::map::store::create::{Made, Rest};
use crate::map::store::death_listener::CanNotify;
use crate::map::store::entry_ref::{Landed, Ticket};
use crate::map::store::hook::RemovalCause;
use crate::map::store::slot::{Slot, Watching, WeakSlot};
use crate::map::store::{Refused, Reverse, Setup, Store};
use crate::memory::panics::after;
use crate::pointer::keying::{Asked, Keying};
use crate::pointer::traits::{Pointer, WeakPointer};
use crate::sync::const_fn;
use crate::table::exclusive::InTheWay;
use std::fmt;
use std::hash::BuildHasher;
use std::marker::PhantomData;

type Entry<P, B> = Landed<WeakSlot<P>, B>;
type NotIn<P, B> = Refused<WeakSlot<P>, B>;

pub(crate) struct WeakKeyed<P: Pointer, B: Slot, M, S, X: Reverse<WeakSlot<P>, B> = ()> {
    pub(crate) store: Store<WeakSlot<P>, B, X>,
    pub(crate) hasher: S,
    keying: PhantomData<fn() -> M>,
}

impl<P: Pointer, B: Slot, M, S, X: Reverse<WeakSlot<P>, B>> WeakKeyed<P, B, M, S, X> {
    const_fn! {
        pub(crate) const fn new(hasher: S, reverse: X, reach: CanNotify<WeakSlot<P>, B, X>) -> Self {
            Self {
                store: Store::new(reverse, reach),
                hasher,
                keying: PhantomData,
            }
        }
    }

    pub(crate) fn with(
        setup: Setup<P::Weak>,
        hasher: S,
        reverse: X,
        reach: CanNotify<WeakSlot<P>, B, X>,
    ) -> Self {
        Self {
            store: Store::with(setup, reverse, reach),
            hasher,
            keying: PhantomData,
        }
    }
}

impl<P, B, M, S, X> WeakKeyed<P, B, M, S, X>
where
    P: Pointer,
    B: Slot,
    M: Keying<P>,
    S: BuildHasher,
    X: Reverse<WeakSlot<P>, B>,
{
    #[inline]
    pub(crate) fn find<Q: ?Sized>(&self, asked: &Q) -> Option<Entry<P, B>>
    where
        M: Asked<P, Q>,
    {
        let hash = M::hash_asked(&self.hasher, asked);
        self.store
            .find_or_draft(hash, |stored| M::matches(&stored.0, asked))
    }

    /// What `view` makes of the value of this key, if both are alive; in the middle of a creation that must not wait for this one, also of a value that is not
    /// finished.
    #[inline]
    pub(crate) fn view<Q: ?Sized, R>(
        &self,
        asked: &Q,
        view: impl FnMut(&B) -> Option<R>,
    ) -> Option<R>
    where
        M: Asked<P, Q>,
    {
        let hash = M::hash_asked(&self.hasher, asked);
        self.store
            .see(hash, |stored| M::matches(&stored.0, asked), view)
    }

    /// As `view`, but tells whether there is none because somebody is creating it.
    pub(crate) fn try_view<Q: ?Sized, R>(
        &self,
        asked: &Q,
        view: impl FnMut(&B) -> Option<R>,
    ) -> Result<Option<R>, InFlight>
    where
        M: Asked<P, Q>,
    {
        let hash = M::hash_asked(&self.hasher, asked);
        self.store
            .try_view(hash, |stored| M::matches(&stored.0, asked), view)
    }

    /// The live entry of this key, and the key that is stored. It is no look-up: it counts neither as a hit nor as a miss.
    fn peek(&self, hash: u64, key: &P) -> Option<(Entry<P, B>, P)> {
        let landed = self.store.peek(hash, |stored| M::same(&stored.0, key))?;
        match landed.held.key().0.upgrade() {
            Some(first) => Some((landed, first)),
            None => {
                // Of an address that is used again, against the rules, this would be found for ever.
                self.store.saw_dead(&landed.held);
                None
            }
        }
    }

    /// Whether both have the same live keys, with values of which `equal` holds.
    pub(crate) fn equals(
        &self,
        other: &Self,
        equal: impl Fn(&Entry<P, B>, &Entry<P, B>) -> bool,
    ) -> bool {
        let mut len = 0;
        for (key, mine) in self.store.living() {
            let theirs = other.peek(M::hash(&other.hasher, &key), &key);
            if !theirs.is_some_and(|(theirs, _)| equal(&mine, &theirs)) {
                return false;
            }
            len += 1;
        }
        other.store.count_live() == len
    }

    /// Enters a value in the place of the live one, which comes back. Refused only if closed.
    pub(crate) fn insert(&self, key: &P, value: B) -> Result<Option<Entry<P, B>>, NotIn<P, B>> {
        let hash = M::hash(&self.hasher, key);
        self.insert_watched(hash, key, value, |_| Watching::NOT)
    }

    /// As `insert`; `watch` says how the key is watched, be it this one or the stored one, unless it is already.
    pub(crate) fn insert_watched(
        &self,
        hash: u64,
        key: &P,
        value: B,
        watch: impl Fn(&P) -> Watching,
    ) -> Result<Option<Entry<P, B>>, NotIn<P, B>> {
        let mut value = value;
        loop {
            let result = match self.peek(hash, key) {
                Some((landed, first)) => {
                    let stored = landed.held.key().again_watched(|| watch(&first));
                    let swapped = self.store.swap(hash, landed, (stored, value));
                    after(first, swapped.map(Some))
                }
                None => {
                    let side = WeakSlot::watched(key, watch(key));
                    self.enter_side(hash, key, side, value)
                }
            };
            match result {
                Ok(displaced) => return Ok(displaced),
                Err(refused) if self.store.is_closed() => return Err(refused),
                // Somebody else was there meanwhile.
                Err(refused) => value = given_back(refused),
            }
        }
    }

    /// Enters a value, unless there is a live one, or the map is closed.
    pub(crate) fn enter(
        &self,
        hash: u64,
        key: &P,
        value: B,
    ) -> Result<Option<Entry<P, B>>, NotIn<P, B>> {
        self.enter_side(hash, key, WeakSlot::new(key), value)
    }

    fn enter_side(
        &self,
        hash: u64,
        key: &P,
        side: WeakSlot<P>,
        value: B,
    ) -> Result<Option<Entry<P, B>>, NotIn<P, B>> {
        let same = |_: &WeakSlot<P>, stored: &WeakSlot<P>| M::same(&stored.0, key);
        self.store.insert(hash, (side, value), same, |_| false)
    }

    /// As `enter`, for those who have not hashed the key yet.
    pub(crate) fn try_insert(&self, key: &P, value: B) -> Result<(), NotIn<P, B>> {
        self.enter(M::hash(&self.hasher, key), key, value).map(drop)
    }

    /// Puts a value in the place of the live one, if that fulfils the condition. The value comes back if not, or if the map is closed.
    pub(crate) fn replace_if(
        &self,
        key: &P,
        value: B,
        mut condition: impl FnMut(&Entry<P, B>) -> bool,
    ) -> Result<Entry<P, B>, NotIn<P, B>> {
        let hash = M::hash(&self.hasher, key);
        let mut value = value;
        loop {
            let (old, first) = match self.peek(hash, key) {
                Some(found) if condition(&found.0) && !self.store.is_closed() => found,
                other => {
                    let refused = Refused::closed((WeakSlot::new(key), value));
                    return Err(after(other, refused));
                }
            };
            let stored = old.held.key().again();
            let swapped = self.store.swap(hash, old, (stored, value));
            match after(first, swapped) {
                Ok(displaced) => return Ok(displaced),
                Err(refused) => value = given_back(refused),
            }
        }
    }

    /// Changes the entry as `f` says, which gets the live one or none, and returns the new value, with something for the caller, or
    /// none. An entry is left as it is if `f` returns no value for it to be put in, but something for the caller.
    pub(crate) fn update<R>(
        &self,
        key: &P,
        mut f: impl FnMut(Option<&Entry<P, B>>) -> Option<(Option<B>, R)>,
    ) -> Result<Option<R>, ClosedError> {
        let hash = M::hash(&self.hasher, key);
        loop {
            let found = self.peek(hash, key);
            let new = f(found.as_ref().map(|(landed, _)| landed));
            let (value, result) = match (new, &found) {
                (None, None) => return Ok(None),
                (None, Some((old, _))) => {
                    if self.store.take_out(&old.held, RemovalCause::Removed) {
                        return Ok(None);
                    }
                    continue;
                }
                (Some((None, result)), _) => return Ok(after(found, Some(result))),
                (Some((Some(value), result)), _) => (value, result),
            };
            let entered = match found {
                Some((old, first)) => {
                    let stored = old.held.key().again();
                    let swapped = self.store.swap(hash, old, (stored, value));
                    after(first, swapped.map(Some))
                }
                None => self.enter(hash, key, value),
            };
            // What is displaced or refused is dropped here.
            if entered.map(drop).map_err(drop).is_ok() {
                return Ok(Some(result));
            }
            if self.store.is_closed() {
                return Err(ClosedError::new());
            }
        }
    }

    /// Takes out the live entry of this key, if it fulfils the condition.
    pub(crate) fn remove_if<Q: ?Sized>(
        &self,
        asked: &Q,
        mut condition: impl FnMut(&P, &Entry<P, B>) -> bool,
    ) -> Option<Entry<P, B>>
    where
        M: Asked<P, Q>,
    {
        let hash = M::hash_asked(&self.hasher, asked);
        loop {
            let landed = self
                .store
                .peek(hash, |stored| M::matches(&stored.0, asked))?;
            let key = landed.held.key().0.upgrade()?;
            if !condition(&key, &landed) {
                return None;
            }
            if self.store.take_out(&landed.held, RemovalCause::Removed) {
                return Some(after(key, landed));
            }
        }
    }

    /// A key that waits for its value, kept alive meanwhile.
    pub(crate) fn ticket(&self, hash: u64, key: P) -> Ticket<WeakSlot<P>, B> {
        self.store.ticket(hash, WeakSlot::new(&key), key)
    }
}

impl<P, B, M, S, X> Creates for WeakKeyed<P, B, M, S, X>
where
    P: Pointer,
    B: Slot,
    M: Keying<P>,
    X: Reverse<WeakSlot<P>, B>,
{
    type Ticket = Ticket<WeakSlot<P>, B>;
    type Landed = Entry<P, B>;
    type Made<'t> = Made<B>;
    type Rest = Rest<WeakSlot<P>, B>;
    type Grip = WeakKeyed<P, B, M, (), X>;

    fn flights(&self) -> &FlightTable<Self::Ticket, Self::Landed> {
        &self.store.flights
    }

    fn same(&self, one: &Self::Ticket, other: &Self::Ticket) -> bool {
        M::same(&other.seed.key().0, &one.key)
    }

    fn name(&self, ticket: &Self::Ticket, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.name_made(ticket, f)
    }

    fn look(&self, hash: u64, ticket: &Self::Ticket) -> Option<Entry<P, B>> {
        self.store
            .look_at(hash, |stored| M::same(&stored.0, &ticket.key))
    }

    fn in_the_way(&self, hash: u64) -> Option<InTheWay> {
        self.store.in_the_way(hash)
    }

    fn refused(&self) -> Option<ClosedError> {
        self.store.is_closed().then(ClosedError::new)
    }

    fn enter(&self, hash: u64, ticket: &Self::Ticket, made: Made<B>) -> EnteredValue<Self> {
        let is_it = |stored: &WeakSlot<P>| M::same(&stored.0, &ticket.key);
        self.store.enter_made(hash, ticket, made, &is_it)
    }

    fn draft(&self, hash: u64, ticket: &Self::Ticket, made: Made<B>) -> Entry<P, B> {
        self.store.draft_made(hash, ticket, made)
    }

    fn enter_draft(
        &self,
        hash: u64,
        ticket: &Self::Ticket,
        draft: &Entry<P, B>,
    ) -> EnteredDraft<Self> {
        let is_it = |stored: &WeakSlot<P>| M::same(&stored.0, &ticket.key);
        self.store.enter_made_draft(hash, draft, &is_it)
    }

    fn is_fresh(landed: &Entry<P, B>) -> bool {
        landed.fresh
    }

    fn take_out(&self, landed: &Entry<P, B>) {
        self.store.take_out(&landed.held, RemovalCause::Removed);
    }

    fn abandon(&self, draft: &Entry<P, B>, given_up: GivenUp<'_>) {
        draft.held.value().is_abandoned(given_up);
    }

    fn grip(&self) -> Self::Grip {
        WeakKeyed {
            store: self.store.share(),
            hasher: (),
            keying: PhantomData,
        }
    }

    fn settle(&self, landed: &Entry<P, B>, rest: Option<Self::Rest>) {
        self.store.settle_made(landed, rest);
    }

    fn settle_rest(&self, rest: Self::Rest) {
        self.store.settle_made_rest(rest);
    }
}

/// The value that was refused.
fn given_back<P: Pointer, B: Slot>(refused: NotIn<P, B>) -> B {
    let (key, value) = refused.parts;
    after((key, refused.existing), value)
}
