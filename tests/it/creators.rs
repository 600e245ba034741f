//! The registry and the maps as the scenes of `claims`, `cycles` and `tasks` see them: numbers for keys, `Arc`s for values.

use highlander::error::{ClaimError, CreateError, InFlight, Refused};
use highlander::map::{Claim, Creator, RemovalCause, Stats, Vacancy};
use highlander::{Handle, Registry, StrongMap, WeakKeyMap, WeakKeyValueMap, WeakValueMap};
use std::convert::Infallible;
use std::fmt::Debug;
#[cfg(feature = "async")]
use std::future::Future;
#[cfg(feature = "async")]
use std::pin::Pin;
use std::sync::{Arc, Weak};

#[cfg(feature = "async")]
pub type Claiming<'a, M> = Pin<Box<dyn Future<Output = Result<Claim<'a, M>, Refused>> + 'a>>;

pub trait Map<T>:
    Creator<Key: Clone + Debug + Send + Sync, Value = Arc<T>, Owner: Clone + Debug + Send + Sync>
    + Send
    + Sync
    + Sized
    + 'static
{
    const KEEPS_VALUES: bool;

    fn empty() -> Self;
    /// With keys shown in errors.
    fn shown() -> Self;
    /// That counts hits, if it counts anything.
    fn counting() -> Self;
    /// With a removal hook, and counting hits; none if it can have none.
    fn hooked(hook: impl Fn(RemovalCause) + Send + Sync + 'static) -> Option<Self>;
    /// A key. A weak one lives as long as somebody holds it.
    fn key(number: u32) -> Self::Key;
    fn number(key: &Self::Key) -> u32;
    fn value(owner: &Self::Owner) -> &Arc<T>;

    fn claim(&self, key: &Self::Key) -> Result<Claim<'_, Self>, Refused>;
    fn try_claim(&self, key: &Self::Key) -> Result<Claim<'_, Self>, ClaimError>;
    fn try_get(&self, number: u32) -> Result<Option<Self::Owner>, InFlight>;
    fn get_or_try_insert<E>(
        &self,
        key: &Self::Key,
        make: impl FnOnce() -> Result<Arc<T>, E>,
    ) -> Result<Self::Owner, CreateError<E>>;
    fn get(&self, number: u32) -> Option<Self::Owner>;
    fn get_or_try_create_cyclic<E>(
        &self,
        key: &Self::Key,
        allocate: impl FnOnce() -> Result<Arc<T>, E>,
        initialise: impl FnOnce(&Self::Owner) -> Result<(), E>,
    ) -> Result<Self::Owner, CreateError<E>>;
    /// Enters a value, and gives back what keeps it alive.
    fn insert(&self, key: &Self::Key, value: Arc<T>) -> Self::Owner;
    fn len(&self) -> usize;
    /// With those that are dead.
    fn entry_count(&self) -> usize;
    fn prune(&self);
    /// False if it cannot be closed.
    fn close(&self) -> bool;
    fn stats(&self) -> Option<Stats>;

    #[cfg(feature = "async")]
    fn claim_async<'a>(&'a self, key: &'a Self::Key) -> Claiming<'a, Self>;
    #[cfg(feature = "async")]
    fn get_or_try_insert_async<E>(
        &self,
        key: &Self::Key,
        make: impl AsyncFnOnce() -> Result<Arc<T>, E>,
    ) -> impl Future<Output = Result<Self::Owner, CreateError<E>>>;

    /// The vacancy of a key that has no value.
    fn vacancy(&self, key: &Self::Key) -> Vacancy<'_, Self> {
        self.claim(key).unwrap().vacant().expect("not vacant")
    }

    fn get_or_insert(&self, key: &Self::Key, make: impl FnOnce() -> Arc<T>) -> Self::Owner {
        self.get_or_try_insert(key, || Ok::<_, Infallible>(make()))
            .unwrap()
    }

    fn same(one: &Self::Owner, other: &Self::Owner) -> bool {
        Arc::ptr_eq(Self::value(one), Self::value(other))
    }
}

impl<T: Debug + Send + Sync + 'static> Map<T> for Registry<u32, Arc<T>> {
    const KEEPS_VALUES: bool = false;

    fn empty() -> Self {
        Self::new()
    }

    fn shown() -> Self {
        Self::new().debug_keys()
    }

    fn counting() -> Self {
        Self::new()
    }

    fn hooked(_: impl Fn(RemovalCause) + Send + Sync + 'static) -> Option<Self> {
        None
    }

    fn key(number: u32) -> u32 {
        number
    }

    fn number(key: &u32) -> u32 {
        *key
    }

    fn value(owner: &Handle<u32, Arc<T>>) -> &Arc<T> {
        owner
    }

    fn claim(&self, key: &u32) -> Result<Claim<'_, Self>, Refused> {
        self.entry(*key).claim_or_refused()
    }

    fn try_claim(&self, key: &u32) -> Result<Claim<'_, Self>, ClaimError> {
        self.entry(*key).try_claim()
    }

    fn try_get(&self, number: u32) -> Result<Option<Self::Owner>, InFlight> {
        Registry::try_get(self, &number)
    }

    fn get_or_try_insert<E>(
        &self,
        key: &u32,
        make: impl FnOnce() -> Result<Arc<T>, E>,
    ) -> Result<Self::Owner, CreateError<E>> {
        self.get_or_try_insert_with(*key, |_| make())
    }

    fn get(&self, number: u32) -> Option<Self::Owner> {
        Registry::get(self, &number)
    }

    fn get_or_try_create_cyclic<E>(
        &self,
        key: &u32,
        allocate: impl FnOnce() -> Result<Arc<T>, E>,
        initialise: impl FnOnce(&Self::Owner) -> Result<(), E>,
    ) -> Result<Self::Owner, CreateError<E>> {
        let entry = self.entry(*key);
        entry.or_try_create_cyclic(|_| allocate(), initialise)
    }

    fn insert(&self, key: &u32, value: Arc<T>) -> Self::Owner {
        Registry::insert(self, *key, value).0
    }

    fn len(&self) -> usize {
        Registry::len(self)
    }

    fn entry_count(&self) -> usize {
        Registry::len(self)
    }

    fn prune(&self) {}

    fn close(&self) -> bool {
        false
    }

    fn stats(&self) -> Option<Stats> {
        None
    }

    #[cfg(feature = "async")]
    fn claim_async<'a>(&'a self, key: &'a u32) -> Claiming<'a, Self> {
        Box::pin(self.entry(*key).claim_or_refused_async())
    }

    #[cfg(feature = "async")]
    async fn get_or_try_insert_async<E>(
        &self,
        key: &u32,
        make: impl AsyncFnOnce() -> Result<Arc<T>, E>,
    ) -> Result<Self::Owner, CreateError<E>> {
        Registry::get_or_try_insert_async(self, *key, |_| make()).await
    }
}

/// For the maps, which differ in how they are made and in how they take a key.
macro_rules! map {
    (
        $name:ident<$key:ty>, keeps values: $keeps:expr, entries: $entries:ident, hook sees: $seen:ty,
        $number:ident => $new:expr, $given:ident => $by:expr
    ) => {
        impl<T: Debug + Send + Sync + 'static> Map<T> for $name<$key, Arc<T>> {
            const KEEPS_VALUES: bool = $keeps;

            fn empty() -> Self {
                Self::new()
            }

            fn shown() -> Self {
                Self::new().debug_keys()
            }

            fn counting() -> Self {
                Self::new().record_stats()
            }

            fn hooked(hook: impl Fn(RemovalCause) + Send + Sync + 'static) -> Option<Self> {
                Some(Self::counting().on_remove(move |_: &$seen, cause| hook(cause)))
            }

            fn key($number: u32) -> $key {
                $new
            }

            fn number($given: &$key) -> u32 {
                *std::borrow::Borrow::<u32>::borrow($given)
            }

            fn value(owner: &Arc<T>) -> &Arc<T> {
                owner
            }

            fn claim(&self, $given: &$key) -> Result<Claim<'_, Self>, Refused> {
                self.entry($by).claim_or_refused()
            }

            fn try_claim(&self, $given: &$key) -> Result<Claim<'_, Self>, ClaimError> {
                self.entry($by).try_claim()
            }

            fn try_get(&self, number: u32) -> Result<Option<Arc<T>>, InFlight> {
                $name::try_get(self, &number)
            }

            fn get_or_try_insert<E>(
                &self,
                $given: &$key,
                make: impl FnOnce() -> Result<Arc<T>, E>,
            ) -> Result<Arc<T>, CreateError<E>> {
                self.get_or_try_insert_with($by, |_| make())
            }

            fn get(&self, number: u32) -> Option<Arc<T>> {
                $name::get(self, &number)
            }

            fn get_or_try_create_cyclic<E>(
                &self,
                $given: &$key,
                allocate: impl FnOnce() -> Result<Arc<T>, E>,
                initialise: impl FnOnce(&Arc<T>) -> Result<(), E>,
            ) -> Result<Arc<T>, CreateError<E>> {
                let entry = self.entry($by);
                entry.or_try_create_cyclic(|_| allocate(), initialise)
            }

            fn insert(&self, $given: &$key, value: Arc<T>) -> Arc<T> {
                $name::insert(self, $by, value.clone());
                value
            }

            fn len(&self) -> usize {
                $name::len(self)
            }

            fn entry_count(&self) -> usize {
                $name::$entries(self)
            }

            fn prune(&self) {
                self.shrink_to_fit();
            }

            fn close(&self) -> bool {
                $name::close(self);
                true
            }

            fn stats(&self) -> Option<Stats> {
                Some($name::stats(self))
            }

            #[cfg(feature = "async")]
            fn claim_async<'a>(&'a self, $given: &'a $key) -> Claiming<'a, Self> {
                Box::pin(self.entry($by).claim_or_refused_async())
            }

            #[cfg(feature = "async")]
            async fn get_or_try_insert_async<E>(
                &self,
                $given: &$key,
                make: impl AsyncFnOnce() -> Result<Arc<T>, E>,
            ) -> Result<Arc<T>, CreateError<E>> {
                $name::get_or_try_insert_async(self, $by, |_| make()).await
            }
        }
    };
}

map!(WeakValueMap<u32>, keeps values: false, entries: entry_count, hook sees: u32,
    number => number, key => *key);
map!(WeakKeyMap<Arc<u32>>, keeps values: true, entries: entry_count, hook sees: Weak<u32>,
    number => Arc::new(number), key => key);
map!(WeakKeyValueMap<Arc<u32>>, keeps values: false, entries: entry_count, hook sees: Weak<u32>,
    number => Arc::new(number), key => key);
map!(StrongMap<u32>, keeps values: true, entries: len, hook sees: u32,
    number => number, key => *key);

/// Tests of scenes, each with all of them.
macro_rules! in_each {
    ($value:ty: $($scene:ident)*) => {
        mod registry {
            $(#[test] fn $scene() { super::$scene::<highlander::Registry<u32, std::sync::Arc<$value>>>() })*
        }
        mod weak_value_map {
            $(#[test] fn $scene() { super::$scene::<highlander::WeakValueMap<u32, std::sync::Arc<$value>>>() })*
        }
        mod strong_map {
            $(#[test] fn $scene() { super::$scene::<highlander::StrongMap<u32, std::sync::Arc<$value>>>() })*
        }
        crate::creators::with_weak_keys! { $value: $($scene)* }
    };
}

/// Tests of scenes, each with both that have weak keys.
macro_rules! with_weak_keys {
    ($value:ty: $($scene:ident)*) => {
        crate::creators::with_weak_keys! { weak_key_map weak_key_value_map, $value: $($scene)* }
    };
    ($one:ident $both:ident, $value:ty: $($scene:ident)*) => {
        mod $one {
            $(#[test] fn $scene() { super::$scene::<highlander::WeakKeyMap<std::sync::Arc<u32>, std::sync::Arc<$value>>>() })*
        }
        mod $both {
            $(#[test] fn $scene() { super::$scene::<highlander::WeakKeyValueMap<std::sync::Arc<u32>, std::sync::Arc<$value>>>() })*
        }
    };
}

pub(crate) use {in_each, with_weak_keys};
