//! What can go wrong, and what comes back when it does.

pub use crate::deadlock::cycle::CycleError;
use std::error::Error;
use std::fmt;

/// A map was to get a new entry after it was closed.
///
/// The calls named `…_try_…` return this error, the others panic with its text.
///
/// ```
/// use highlander::{CreateError, WeakValueMap};
/// use std::sync::Arc;
///
/// let map: WeakValueMap<u32, Arc<u32>> = WeakValueMap::new();
/// map.close();
/// let error = map.get_or_try_insert_with(1, |_| Ok::<_, CreateError<()>>(Arc::new(1))).unwrap_err();
/// assert!(matches!(error, CreateError::Closed(_)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClosedError(());

impl ClosedError {
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for ClosedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the map is closed, and takes no new entries")
    }
}

impl fmt::Debug for ClosedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClosedError")
    }
}

impl Error for ClosedError {}

impl From<ClosedError> for std::io::Error {
    fn from(error: ClosedError) -> Self {
        std::io::Error::other(error)
    }
}

impl From<ClosedError> for String {
    fn from(error: ClosedError) -> Self {
        error.to_string()
    }
}

/// For the calls that are not named `…_try_…`: a creation is refused for one of two reasons.
#[derive(Clone)]
pub(crate) enum Refusal {
    Cycle(CycleError),
    Closed(ClosedError),
}

impl From<CycleError> for Refusal {
    fn from(error: CycleError) -> Self {
        Self::Cycle(error)
    }
}

impl From<ClosedError> for Refusal {
    fn from(error: ClosedError) -> Self {
        Self::Closed(error)
    }
}

impl Refusal {
    /// As an error that can be both.
    pub(crate) fn into_error<E: From<CycleError> + From<ClosedError>>(self) -> E {
        match self {
            Self::Cycle(error) => error.into(),
            Self::Closed(error) => error.into(),
        }
    }

    /// Where nothing is ever closed.
    pub(crate) fn into_cycle<E: From<CycleError>>(self) -> E {
        match self {
            Self::Cycle(error) => error.into(),
            Self::Closed(_) => unreachable!("it cannot be closed"),
        }
    }

    #[cold]
    pub(crate) fn panic(self) -> ! {
        match self {
            Self::Cycle(error) => panic!("{error}"),
            Self::Closed(error) => panic!("{error}"),
        }
    }
}

/// For factories whose own error cannot be made from a [`CycleError`]: theirs, or the cycle.
///
/// ```
/// use highlander::{CreateError, Registry};
///
/// let registry: Registry<u32, u32> = Registry::new();
/// let error = registry.get_or_try_insert_with(7, |_| Err(CreateError::Failed("no seven"))).unwrap_err();
/// assert_eq!(error, CreateError::Failed("no seven"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreateError<E> {
    /// The factory returned this error.
    Failed(E),
    /// The factory asked for the key that it was creating.
    Cycle(CycleError),
    /// The map is closed.
    Closed(ClosedError),
}

impl<E> From<ClosedError> for CreateError<E> {
    fn from(error: ClosedError) -> Self {
        CreateError::Closed(error)
    }
}

impl<E> From<CycleError> for CreateError<E> {
    fn from(error: CycleError) -> Self {
        CreateError::Cycle(error)
    }
}

impl<E: fmt::Display> fmt::Display for CreateError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CreateError::Failed(error) => error.fmt(f),
            CreateError::Cycle(error) => error.fmt(f),
            CreateError::Closed(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for CreateError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            CreateError::Failed(error) => error.source(),
            CreateError::Cycle(_) | CreateError::Closed(_) => None,
        }
    }
}

/// Somebody is creating the value that was asked for.
///
/// ```
/// use highlander::{Claim, Registry};
///
/// let registry: Registry<u32, u32> = Registry::new();
/// let Ok(Claim::Vacant(vacancy)) = registry.claim(1) else { unreachable!() };
/// assert!(registry.try_get(&1).is_err());
/// drop(vacancy);
/// assert_eq!(registry.try_get(&1), Ok(None));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlight;

impl fmt::Display for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value is being created")
    }
}

impl Error for InFlight {}

/// A value was to be replaced that is not entered any more: what was to take its place comes back.
///
/// ```
/// use highlander::Registry;
///
/// let registry: Registry<&str, u32> = Registry::new();
/// let old = registry.try_insert("sword", 1).unwrap();
/// registry.remove_same(&old);
/// assert_eq!(registry.replace_same(&old, 2).unwrap_err().value, 2);
/// ```
pub struct ReplaceError<V> {
    /// The value that was to be entered.
    pub value: V,
}

impl<V: fmt::Debug> fmt::Debug for ReplaceError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplaceError")
            .field("value", &self.value)
            .finish()
    }
}

impl<V> fmt::Display for ReplaceError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value to be replaced is not in the registry any more")
    }
}

impl<V: fmt::Debug> Error for ReplaceError<V> {}

/// A map has not taken an entry: its key has a live one, or the map is closed. What was to be entered comes back.
///
/// ```
/// use highlander::WeakValueMap;
/// use std::sync::Arc;
///
/// let map = WeakValueMap::new();
/// let first = Arc::new(1);
/// map.try_insert("katana", first.clone()).unwrap();
/// let error = map.try_insert("katana", Arc::new(2)).unwrap_err();
/// assert!(error.is_occupied());
/// assert!(Arc::ptr_eq(error.existing.as_ref().unwrap(), &first));
/// assert_eq!((error.key, *error.value), ("katana", 2));
/// ```
#[non_exhaustive]
pub struct InsertError<K, V> {
    /// The live value; none if the map is closed.
    pub existing: Option<V>,
    /// The key that was to be entered.
    pub key: K,
    /// The value that was to be entered.
    pub value: V,
}

impl<K, V> InsertError<K, V> {
    /// The key has a live value.
    pub fn is_occupied(&self) -> bool {
        self.existing.is_some()
    }

    /// The map is closed.
    pub fn is_closed(&self) -> bool {
        self.existing.is_none()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for InsertError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InsertError")
            .field("existing", &self.existing)
            .field("key", &self.key)
            .field("value", &self.value)
            .finish()
    }
}

impl<K, V> fmt::Display for InsertError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.existing {
            Some(_) => f.write_str("the key has a live value already"),
            None => ClosedError::new().fmt(f),
        }
    }
}

impl<K: fmt::Debug, V: fmt::Debug> Error for InsertError<K, V> {}

/// A [`MapMaker`](crate::MapMaker) was asked for nonsense.
///
/// ```
/// use highlander::{MapMaker, WeakValueMap};
/// use std::sync::Arc;
///
/// let maker = MapMaker::new().weak_values().concurrency_level(0);
/// let error = maker.build::<u32, Arc<u32>>().unwrap_err();
/// assert!(error.is_concurrency_level());
/// assert_eq!(error.to_string(), "the concurrency level is 0 or above 65536");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildError(pub(crate) Nonsense);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nonsense {
    Capacity,
    Concurrency,
    PruneBound,
    Exclusive,
    Twice(&'static str),
}

impl BuildError {
    /// No table can have the initial capacity: it is above 2³².
    pub fn is_capacity(&self) -> bool {
        self.0 == Nonsense::Capacity
    }

    /// The concurrency level is 0 or above 65536.
    pub fn is_concurrency_level(&self) -> bool {
        self.0 == Nonsense::Concurrency
    }

    /// The prune bound is 0, or above 2³².
    pub fn is_prune_bound(&self) -> bool {
        self.0 == Nonsense::PruneBound
    }

    /// An exclusive map of values whose pointers do not report the end of their object.
    pub fn is_exclusive(&self) -> bool {
        self.0 == Nonsense::Exclusive
    }

    /// Something was set twice.
    pub fn is_set_twice(&self) -> bool {
        matches!(self.0, Nonsense::Twice(_))
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Nonsense::Capacity => f.write_str("the initial capacity is above 2^32"),
            Nonsense::Concurrency => f.write_str("the concurrency level is 0 or above 65536"),
            Nonsense::PruneBound => f.write_str("the prune bound is 0 or above 2^32"),
            Nonsense::Exclusive => f.write_str(
                "the pointer does not report the end of its object, as an exclusive map needs",
            ),
            Nonsense::Twice(what) => write!(f, "{what} was set twice"),
        }
    }
}

impl Error for BuildError {}
