//! The maps, as far as the meetings use all of them alike.

use crate::ledger::Value;
use crate::support::{Key, PlacedHasher};
use highlander::error::{ClosedError, CreateError};
use highlander::map::{Claim, Creator};
use highlander::pointer::Watched;
use highlander::{Handle, Registry};
use highlander::{StrongMap, WeakValueMap};
use std::ops::Deref;
use std::sync::Arc;

/// Why there is no value.
#[derive(Debug)]
pub enum Refused {
    /// The factory made none.
    Failed,
    Cycle,
    Closed,
}

impl From<highlander::error::Refused> for Refused {
    fn from(refused: highlander::error::Refused) -> Self {
        match refused {
            highlander::error::Refused::Cycle(_) => Self::Cycle,
            highlander::error::Refused::Closed(_) => Self::Closed,
            other => unreachable!("{other}"),
        }
    }
}

impl From<ClosedError> for Refused {
    fn from(_: ClosedError) -> Self {
        Self::Closed
    }
}

impl From<CreateError<Refused>> for Refused {
    fn from(error: CreateError<Refused>) -> Self {
        error.map_refused(Self::from)
    }
}

/// A map from keys to values of the ledger.
pub trait Map: Creator + Send + Sync + Sized + 'static {
    type P: Deref<Target = Value> + Clone + Send + 'static;

    fn build() -> Arc<Self>;

    fn look_up(&self, key: Key) -> Option<Self::P>;

    fn create(
        &self,
        key: Key,
        make: impl FnOnce() -> Result<Value, Refused>,
    ) -> Result<Self::P, Refused>;

    /// Takes the token of a key, which `fill` makes a value for, or not; the live value if there is one.
    fn take(
        &self,
        key: Key,
        fill: impl FnOnce() -> Option<Value>,
    ) -> Result<Option<Self::P>, Refused>;

    /// Entries at the end, when nobody owns a value any more and dead ones have been seen to.
    fn rest(&self) -> usize;
}

pub type Handles = Registry<Key, Value, PlacedHasher>;
pub type Arcs = WeakValueMap<Key, Arc<Value>, PlacedHasher>;
pub type Told = WeakValueMap<Key, Watched<Value>, PlacedHasher>;
pub type Kept = StrongMap<Key, Arc<Value>, PlacedHasher>;

fn fill<M: Creator<Owner: Clone>>(
    claim: Claim<'_, M>,
    make: impl FnOnce() -> Option<M::Value>,
) -> Result<Option<M::Owner>, Refused> {
    match claim {
        Claim::Live(owner) => Ok(Some(owner)),
        Claim::Vacant(vacancy) => match make() {
            Some(value) => Ok(Some(vacancy.try_fill(value)?)),
            None => Ok(None),
        },
    }
}

impl Map for Handles {
    type P = Handle<Key, Value>;

    fn build() -> Arc<Self> {
        Arc::new(Registry::with_hasher(PlacedHasher::default()))
    }

    fn look_up(&self, key: Key) -> Option<Self::P> {
        self.get(&key)
    }

    fn create(
        &self,
        key: Key,
        make: impl FnOnce() -> Result<Value, Refused>,
    ) -> Result<Self::P, Refused> {
        Ok(self.get_or_try_insert_with(key, |_| make())?)
    }

    fn take(
        &self,
        key: Key,
        make: impl FnOnce() -> Option<Value>,
    ) -> Result<Option<Self::P>, Refused> {
        fill(self.entry(key).claim_or_refused()?, make)
    }

    fn rest(&self) -> usize {
        self.len()
    }
}

impl Map for Arcs {
    type P = Arc<Value>;

    fn build() -> Arc<Self> {
        Arc::new(WeakValueMap::with_hasher(PlacedHasher::default()))
    }

    fn look_up(&self, key: Key) -> Option<Self::P> {
        self.get(&key)
    }

    fn create(
        &self,
        key: Key,
        make: impl FnOnce() -> Result<Value, Refused>,
    ) -> Result<Self::P, Refused> {
        Ok(self.get_or_try_insert_with(key, |_| make().map(Arc::new))?)
    }

    fn take(
        &self,
        key: Key,
        make: impl FnOnce() -> Option<Value>,
    ) -> Result<Option<Self::P>, Refused> {
        fill(self.entry(key).claim_or_refused()?, || make().map(Arc::new))
    }

    fn rest(&self) -> usize {
        self.prune();
        self.entry_count()
    }
}

impl Map for Told {
    type P = Watched<Value>;

    fn build() -> Arc<Self> {
        Arc::new(WeakValueMap::with_hasher(PlacedHasher::default()))
    }

    fn look_up(&self, key: Key) -> Option<Self::P> {
        self.get(&key)
    }

    fn create(
        &self,
        key: Key,
        make: impl FnOnce() -> Result<Value, Refused>,
    ) -> Result<Self::P, Refused> {
        Ok(self.get_or_try_insert_with(key, |_| make().map(Watched::new))?)
    }

    fn take(
        &self,
        key: Key,
        make: impl FnOnce() -> Option<Value>,
    ) -> Result<Option<Self::P>, Refused> {
        fill(self.entry(key).claim_or_refused()?, || {
            make().map(Watched::new)
        })
    }

    /// Without a sweep: each death is told.
    fn rest(&self) -> usize {
        self.entry_count()
    }
}

impl Map for Kept {
    type P = Arc<Value>;

    fn build() -> Arc<Self> {
        Arc::new(StrongMap::with_hasher(PlacedHasher::default()))
    }

    fn look_up(&self, key: Key) -> Option<Self::P> {
        self.get(&key)
    }

    fn create(
        &self,
        key: Key,
        make: impl FnOnce() -> Result<Value, Refused>,
    ) -> Result<Self::P, Refused> {
        Ok(self.get_or_try_insert_with(key, |_| make().map(Arc::new))?)
    }

    fn take(
        &self,
        key: Key,
        make: impl FnOnce() -> Option<Value>,
    ) -> Result<Option<Self::P>, Refused> {
        fill(self.entry(key).claim_or_refused()?, || make().map(Arc::new))
    }

    fn rest(&self) -> usize {
        self.clear();
        self.len()
    }
}
