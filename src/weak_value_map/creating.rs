//! The steps of a creation in a map with weak values.

use super::{Key, Value, WeakValueMap};
use crate::creation::Creates;
use crate::error::ClosedError;
use crate::flight::Flights;
use crate::held::{Landed, Ticket};
use crate::making::{Made, Rest};
use crate::pointer::Pointer;
use std::fmt;

type Entry<K, P> = Landed<Key<K>, Value<P>>;

impl<K: Eq + 'static, P: Pointer, S> Creates for WeakValueMap<K, P, S> {
    type Ticket = Ticket<Key<K>, Value<P>>;
    type Landed = Entry<K, P>;
    type Made = Made<Value<P>>;
    type Rest = Rest<Key<K>, Value<P>>;

    fn flights(&self) -> &Flights<Self::Ticket, Self::Landed> {
        &self.store.flights
    }

    fn same(&self, one: &Self::Ticket, other: &Self::Ticket) -> bool {
        one.seed.key().0 == other.seed.key().0
    }

    fn name(&self, ticket: &Self::Ticket, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.name(ticket, f)
    }

    fn look(&self, hash: u64, ticket: &Self::Ticket) -> Option<Entry<K, P>> {
        self.store
            .look(hash, |stored| ticket.seed.key().0 == stored.0)
    }

    fn refused(&self) -> Option<ClosedError> {
        self.store.is_closed().then(ClosedError::new)
    }

    fn enter(
        &self,
        hash: u64,
        ticket: &Self::Ticket,
        made: Self::Made,
        accept: &dyn Fn(&Entry<K, P>) -> bool,
    ) -> (Entry<K, P>, Self::Rest) {
        let is_it = |stored: &Key<K>| ticket.seed.key().0 == stored.0;
        self.store.enter_made(hash, ticket, made, &is_it, accept)
    }

    fn settle(&self, landed: &Entry<K, P>, rest: Option<Self::Rest>) -> Result<(), ClosedError> {
        self.store.settle_made(landed, rest)
    }
}
