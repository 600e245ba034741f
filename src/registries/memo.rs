//! The results of a function, while somebody has them: same inputs, same object.
//!
//! *For whom:* whoever calls a function whose result is an object of its own (a parsed schema, a compiled pattern, a font) with the same inputs from many places, and wants one of each, as long as
//! there is use for it and no longer.
//!
//! *Modelled after* the factory of Python's `symtable`, whose tables are remembered in a `WeakValueDictionary` by the number of what they are made from. That one asks
//! for an entry and, if there is none, makes and enters one, in two steps: of two threads both may make one, and get two. Here only one does, and the others wait for
//! it. And a key here is a value, not a number that somebody else may have by now.
//!
//! ```
//! use highlander::registries::memo::Memo;
//! use highlander::Handle;
//!
//! struct Table { columns: Vec<String> }
//! static TABLES: Memo<String, Table> = Memo::new(|text: &String| Table {
//!     columns: text.split(',').map(str::to_owned).collect(),
//! });
//!
//! let one = TABLES.get("name,clan,sword");
//! let again = TABLES.get("name,clan,sword");
//! assert!(one.ptr_eq(&again) && again.columns.len() == 3);
//! drop((one, again));
//! assert!(TABLES.is_empty());
//! ```

use crate::{CycleError, Equivalent, Handle, Registry};
use std::fmt;
use std::hash::Hash;

/// A function whose results are remembered while somebody has them. See the [module](self).
///
/// `F` is the function; what is given in a `static` is a function pointer.
pub struct Memo<K, V, F = fn(&K) -> V> {
    results: Registry<K, V>,
    function: F,
}

impl<K: 'static, V: 'static, F: Fn(&K) -> V> Memo<K, V, F> {
    /// Remembers the results of this function. Can be a `static`.
    pub const fn new(function: F) -> Self {
        Self {
            results: Registry::new(),
            function,
        }
    }
}

impl<K: 'static, V: 'static, E, F: Fn(&K) -> Result<V, E>> Memo<K, V, F> {
    /// Remembers the results of this function, which may fail: [`try_get`](Self::try_get) calls it. Failures are not remembered: for that there is
    /// [`RecentErrors`](crate::RecentErrors).
    ///
    /// ```
    /// use highlander::{registries::memo::Memo, CreateError};
    ///
    /// let numbers = Memo::fallible(|text: &String| text.parse::<u32>().map_err(CreateError::Failed));
    /// let seven = numbers.try_get("7").unwrap();
    /// assert_eq!(*seven, 7);
    /// assert!(matches!(numbers.try_get("seven"), Err(CreateError::Failed(_))));
    /// ```
    pub const fn fallible(function: F) -> Self {
        Self {
            results: Registry::new(),
            function,
        }
    }
}

impl<K: Hash + Eq + 'static, V: 'static, F: Fn(&K) -> V> Memo<K, V, F> {
    /// The result for this input: the one that somebody has, or a new one.
    ///
    /// The input may be borrowed, as `&str` for `String`; the owned one is made if the function has to be called. *Runs* the function with no lock held, once for each input at a time; it may ask for
    /// other results. *Waiting:* none if somebody has the result; otherwise for one who is just making it, asleep.
    ///
    /// # Panics
    /// With what the function panics with, and then nothing is remembered; and when it asks for its own result.
    pub fn get<Q>(&self, input: &Q) -> Handle<K, V>
    where
        Q: ?Sized + Hash + Equivalent<K> + ToOwned<Owned = K>,
    {
        self.results
            .get_or_insert_with_ref(input, Q::to_owned, &self.function)
    }
}

impl<K: Hash + Eq + 'static, V: 'static, E: From<CycleError>, F: Fn(&K) -> Result<V, E>>
    Memo<K, V, F>
{
    /// As [`get`](Self::get), of a function that may fail.
    ///
    /// # Errors
    /// Whatever the function returns, to the caller who has called it: one of those who wait calls it again. [`CycleError`] when it asks for its own result.
    pub fn try_get<Q>(&self, input: &Q) -> Result<Handle<K, V>, E>
    where
        Q: ?Sized + Hash + Equivalent<K> + ToOwned<Owned = K>,
    {
        self.results
            .get_or_try_insert_with_ref(input, Q::to_owned, &self.function)
    }
}

impl<K: Hash + Eq, V, F> Memo<K, V, F> {
    /// The result for this input, if somebody has it. Waits for nobody.
    pub fn peek<Q>(&self, input: &Q) -> Option<Handle<K, V>>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        self.results.get(input)
    }

    /// Forgets the result for this input: its owners keep it, and the next who asks gets another. Returns it.
    pub fn forget<Q>(&self, input: &Q) -> Option<Handle<K, V>>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        self.results.remove(input)
    }
}

impl<K, V, F> Memo<K, V, F> {
    /// How many results somebody has.
    pub fn len(&self) -> usize {
        self.results.len()
    }

    /// Whether nobody has any.
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
    }
}

impl<K, V, F> fmt::Debug for Memo<K, V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
