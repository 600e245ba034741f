//! The errors of calls that create or enter.

pub use crate::deadlock::cycle::CycleError;
use std::error::Error;
use std::fmt;

/// A map was to get a new entry after it was closed.
///
/// The calls named `…_try_…` return this error, the others panic with its text.
///
/// ```
/// use highlander::WeakValueMap;
/// use std::sync::Arc;
///
/// let map: WeakValueMap<u32, Arc<u32>> = WeakValueMap::new();
/// map.close();
/// let error = map.get_or_try_insert_with(1, |_| Ok::<_, String>(Arc::new(1))).unwrap_err();
/// assert_eq!(error.to_string(), "the map is closed, and takes no new entries");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClosedError(());

impl ClosedError {
    pub(crate) const fn new() -> Self {
        Self(())
    }

    /// Panics, for the calls that return no error.
    #[cold]
    #[track_caller]
    pub(crate) fn panic(self) -> ! {
        panic!("{self}")
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

/// The reason why a creation did not begin, or did not end well, though no factory failed.
///
/// ```
/// use highlander::error::{CreateError, Refused};
/// use highlander::WeakValueMap;
/// use std::sync::Arc;
///
/// let map: WeakValueMap<u32, Arc<u32>> = WeakValueMap::new();
/// map.close();
/// let error = map.get_or_try_insert_with(1, |_| Ok::<_, ()>(Arc::new(1))).unwrap_err();
/// assert!(matches!(error, CreateError::Refused(Refused::Closed(_))));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The factory asked, directly or through others, for the key that it was creating.
    Cycle(CycleError),
    /// The map is closed.
    Closed(ClosedError),
}

impl Refused {
    /// Panics, for the calls that return no error.
    #[cold]
    #[track_caller]
    pub(in crate::create) fn panic(self) -> ! {
        panic!("{self}")
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cycle(error) => error.fmt(f),
            Self::Closed(error) => error.fmt(f),
        }
    }
}

impl Error for Refused {}

impl From<CycleError> for Refused {
    fn from(error: CycleError) -> Self {
        Self::Cycle(error)
    }
}

impl From<ClosedError> for Refused {
    fn from(error: ClosedError) -> Self {
        Self::Closed(error)
    }
}

/// Lets a factory that opens files do without an error type of its own.
impl From<Refused> for std::io::Error {
    fn from(refused: Refused) -> Self {
        std::io::Error::other(refused)
    }
}

/// The error of calls that create: the factory's own error, or why the map refused the creation.
///
/// `?` turns it into an [`std::io::Error`] where the factory's error is one, and into a `Box<dyn Error>`. For
/// other error types there are [`map_refused`](Self::map_refused) and [`into_failed`](Self::into_failed).
///
/// ```
/// use highlander::error::CreateError;
/// use highlander::Registry;
/// use std::num::ParseIntError;
///
/// static NUMBERS: Registry<String, u64> = Registry::new();
///
/// fn number(text: &str) -> Result<u64, ParseIntError> {
///     let number = NUMBERS.get_or_try_insert_with(text.to_owned(), |text| text.parse());
///     number.map(|number| *number).map_err(CreateError::into_failed)
/// }
/// assert_eq!(number("12"), Ok(12));
/// assert!(number("twelve").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreateError<E> {
    /// The factory returned this error.
    Failed(E),
    /// The map refused to create the value.
    Refused(Refused),
}

impl<E> CreateError<E> {
    /// Returns the factory's error.
    ///
    /// # Panics
    /// With the text of [`Refused`], when the creation was refused, as the calls do that return no error.
    #[track_caller]
    pub fn into_failed(self) -> E {
        match self {
            Self::Failed(error) => error,
            Self::Refused(refused) => refused.panic(),
        }
    }

    /// Returns the factory's error, or what `to_error` makes of a refusal.
    pub fn map_refused(self, to_error: impl FnOnce(Refused) -> E) -> E {
        match self {
            Self::Failed(error) => error,
            Self::Refused(refused) => to_error(refused),
        }
    }

    /// Returns why the creation was refused, if it was.
    pub fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Failed(_) => None,
            Self::Refused(refused) => Some(refused),
        }
    }
}

impl<E> From<Refused> for CreateError<E> {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl<E> From<CycleError> for CreateError<E> {
    fn from(error: CycleError) -> Self {
        Self::Refused(error.into())
    }
}

impl<E> From<ClosedError> for CreateError<E> {
    fn from(error: ClosedError) -> Self {
        Self::Refused(error.into())
    }
}

/// Lets `?` work in a factory whose own error is a refusal.
impl From<CreateError<Refused>> for Refused {
    fn from(error: CreateError<Refused>) -> Self {
        error.map_refused(|refused| refused)
    }
}

/// Keeps the factory's error; turns a refusal into [`ErrorKind::Other`](std::io::ErrorKind::Other).
impl From<CreateError<std::io::Error>> for std::io::Error {
    fn from(error: CreateError<std::io::Error>) -> Self {
        error.map_refused(std::io::Error::from)
    }
}

impl<E: fmt::Display> fmt::Display for CreateError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for CreateError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            Self::Refused(_) => None,
        }
    }
}

/// Somebody is creating the value that was asked for.
///
/// ```
/// use highlander::map::Claim;
/// use highlander::Registry;
///
/// let registry: Registry<u32, u32> = Registry::new();
/// let Claim::Vacant(vacancy) = registry.entry(1).claim() else { unreachable!() };
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

/// The reason why a key was not claimed at once; see [`try_claim`](crate::map::Entry::try_claim).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError {
    /// Somebody else is creating the value.
    InFlight(InFlight),
    /// The creation was refused.
    Refused(Refused),
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InFlight(error) => error.fmt(f),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl Error for ClaimError {}

/// A value was to be replaced that is not entered any more, or whose registry is closed: what was to take its
/// place comes back.
///
/// ```
/// use highlander::Registry;
///
/// let registry: Registry<&str, u32> = Registry::new();
/// let old = registry.try_insert("sword", 1).unwrap();
/// registry.remove_same(&old);
/// assert_eq!(registry.compare_exchange(&old, 2).unwrap_err().value, 2);
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

/// A map has not taken an entry: its key has a live value, or the map is closed. Key and value come back.
///
/// ```
/// use highlander::WeakValueMap;
/// use std::sync::Arc;
///
/// let map = WeakValueMap::new();
/// let first = map.try_insert("katana", Arc::new(1)).unwrap();
/// let error = map.try_insert("katana", Arc::new(2)).unwrap_err();
/// assert!(Arc::ptr_eq(error.existing.as_ref().unwrap(), &first));
/// assert_eq!((error.key, *error.value), ("katana", 2));
/// ```
#[non_exhaustive]
pub struct OccupiedError<K, V, O = V> {
    /// An owner of the live value; none if the map is closed.
    pub existing: Option<O>,
    /// The key that was to be entered.
    pub key: K,
    /// The value that was to be entered.
    pub value: V,
}

impl<K, V, O> OccupiedError<K, V, O> {
    /// Returns whether it was refused because the map is closed.
    pub fn is_closed(&self) -> bool {
        self.existing.is_none()
    }
}

impl<K: fmt::Debug, V: fmt::Debug, O: fmt::Debug> fmt::Debug for OccupiedError<K, V, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OccupiedError")
            .field("existing", &self.existing)
            .field("key", &self.key)
            .field("value", &self.value)
            .finish()
    }
}

impl<K: fmt::Debug, V, O> fmt::Display for OccupiedError<K, V, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.existing {
            Some(_) => write!(f, "the key {:?} has a live value already", self.key),
            None => ClosedError::new().fmt(f),
        }
    }
}

impl<K: fmt::Debug, V: fmt::Debug, O: fmt::Debug> Error for OccupiedError<K, V, O> {}
