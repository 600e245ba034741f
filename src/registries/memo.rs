//! The results of a function, while somebody has them: the same input gives the same object as long as
//! anybody holds it.
//!
//! For whoever computes something large from something small (a table from a scope, a parsed file from its
//! path), and is asked for it by many who do not know each other. A cache that keeps its results has to be
//! told when to forget; this one forgets what nobody holds.
//!
//! ```
//! use highlander::registries::memo::Memo;
//! use highlander::{Handle, Registry};
//! use std::path::PathBuf;
//!
//! type Text = fn(&PathBuf) -> String;
//! static TEXTS: Memo<Registry<PathBuf, String>, Text> =
//!     Memo::new(Registry::new(), |path| std::fs::read_to_string(path).unwrap_or_default());
//!
//! let manifest = TEXTS.get("Cargo.toml".into());
//! assert!(Handle::ptr_eq(&TEXTS.get("Cargo.toml".into()), &manifest));      // read once
//! drop(manifest);
//! assert!(TEXTS.map().is_empty());                                // and forgotten
//! ```
//!
//! Modelled after the memo of CPython's `symtable`, which is a `WeakValueDictionary` keyed by a raw table (as
//! an object, see [`Same`]) and a file name. That one looks first and stores afterwards, so that two threads
//! can get two objects. Here the function runs once, and the others wait for it.
//!
//! # Which map
//! Results live in a map of this crate, which may be shared with others that create in it, and that says who
//! keeps what:
//!
//! | map | `get` gives | an input is forgotten |
//! |---|---|---|
//! | [`Registry<K, V>`](crate::Registry) | a [`Handle<K, V>`](crate::Handle) | at the last drop, at once |
//! | [`WeakValueMap<K, P>`](crate::WeakValueMap) | the `P` that the function made (`Arc<dyn Trait>`, say) | after the last drop; of a plain `Arc` a little later |
//! | [`WeakKeyMap<P, V>`](crate::WeakKeyMap) | a clone of `V` | when the *input* dies: something that belongs to an object |
//! | [`StrongMap<K, V>`](crate::StrongMap) | a clone of `V` | never: an ordinary memo |
//! | any of these by reference, or in an `Arc` | as above | as above |
//!
//! To keep the results that were used last a little longer, [`Recent`](crate::Recent) on the same map owns
//! them.
//!
//! # A result that owns its input
//! is what one wants, as a rule. The input is dropped with the result, so that no leak comes of it; but an
//! input that owns its result keeps both alive for ever.
//!
//! # Your code
//! The function runs with no lock held. It may use the memo for other inputs; if it comes back to its own,
//! directly or through others or through other threads, that is an error
//! ([`CycleError`](crate::error::CycleError)) instead of a deadlock. A panic or an error leaves nothing: it
//! goes to the caller, one of those who wait runs the function next, and the next call runs it again. `Hash`
//! and `Eq` of inputs run with no lock held.
//!
//! *Waiting:* none on a hit; otherwise for the function on another thread with the same input, asleep.
//! *Complexity:* one look-up, and the function.

use crate::error::CreateError;
use crate::map::slot::{HashedKey, ValueSlot};
use crate::map::{Creator, Entry, Map};
use crate::pointer::Pointer;
use crate::Registry;
use crate::{Equivalent, Handle};
#[allow(unused_imports)] // for the documentation
use crate::{StrongMap, WeakKeyMap, WeakValueMap};
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A function, and the results of it that somebody holds. Can be a `static`, with a `fn` pointer. See
/// [the module](self).
#[derive(Clone, Copy)]
pub struct Memo<M, F> {
    map: M,
    function: F,
}

impl<M, F> Memo<M, F> {
    /// The memo of a function, on top of a map.
    pub const fn new(map: M, function: F) -> Self {
        Self { map, function }
    }

    /// The map that the results live in.
    pub const fn map(&self) -> &M {
        &self.map
    }
}

impl<M: Results, F> Memo<M, F> {
    /// Returns the result for this input: the one that somebody holds, or a new one.
    ///
    /// # Panics
    /// When the function does; with the text of [`Refused`](crate::error::Refused) when it comes back to its
    /// own input, and when the map is closed.
    pub fn get(&self, input: InputOf<M>) -> SharedOf<M>
    where
        F: Fn(&InputOf<M>) -> MadeOf<M>,
    {
        Entry::of(self.map.map(), input).or_insert_with(&self.function)
    }

    /// As [`get`](Self::get), of a function that may fail; nothing is remembered then.
    /// ([`RecentErrors`](crate::RecentErrors) remembers failures.)
    ///
    /// # Errors
    /// [`CreateError::Failed`] with what the function returns; [`CreateError::Refused`] when it comes back to
    /// its own input, and when the map is closed.
    ///
    /// ```
    /// use highlander::registries::memo::Memo;
    /// use highlander::error::CreateError;
    /// use highlander::WeakValueMap;
    /// use std::{fs::File, io, path::PathBuf, sync::Arc};
    ///
    /// let files = Memo::new(WeakValueMap::new(), |path: &PathBuf| File::open(path).map(Arc::new));
    /// let file = files.try_get("Cargo.toml".into()).unwrap();
    /// assert!(Arc::ptr_eq(&file, &files.try_get("Cargo.toml".into()).unwrap()));
    /// let error: io::Error = files.try_get("no such file".into()).unwrap_err().into();
    /// assert_eq!(error.kind(), io::ErrorKind::NotFound);
    /// ```
    pub fn try_get<E>(&self, input: InputOf<M>) -> Result<SharedOf<M>, CreateError<E>>
    where
        F: Fn(&InputOf<M>) -> Result<MadeOf<M>, E>,
    {
        Entry::of(self.map.map(), input).or_try_insert_with(&self.function)
    }
}

impl<K: Hash + Eq + 'static, V: 'static, S: BuildHasher, F> Memo<Registry<K, V, S>, F> {
    /// As [`get`](Self::get), by a borrowed input: `to_owned` makes it one of its own on a miss only.
    ///
    /// ```
    /// use highlander::registries::memo::Memo;
    /// use highlander::Registry;
    ///
    /// let lengths = Memo::new(Registry::new(), |word: &String| word.len());
    /// let one = lengths.get_ref("quickening", str::to_owned);
    /// assert_eq!(*lengths.get_ref("quickening", |_| unreachable!()), 10);
    /// # drop(one);
    /// ```
    ///
    /// # Panics
    /// As `get`; and when what `to_owned` makes is not equivalent to the borrowed input or hashes
    /// differently.
    pub fn get_ref<Q>(&self, input: &Q, to_owned: impl FnOnce(&Q) -> K) -> Handle<K, V>
    where
        Q: ?Sized + Hash + Equivalent<K>,
        F: Fn(&K) -> V,
    {
        let entry = self.map.entry_ref(input).key_with(to_owned);
        entry.or_insert_with(&self.function)
    }
}

impl<M: fmt::Debug, F> fmt::Debug for Memo<M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo")
            .field("results", &self.map)
            .finish_non_exhaustive()
    }
}

/// A map that a [`Memo`] can put its results into, or what leads to one.
pub trait Results {
    /// The map.
    type Map: Creator<Owner: Clone>;

    /// Returns the map.
    fn map(&self) -> &Self::Map;
}

type InputOf<M> = <<M as Results>::Map as Creator>::Key;
type MadeOf<M> = <<M as Results>::Map as Creator>::Value;
type SharedOf<M> = <<M as Results>::Map as Creator>::Owner;

impl<K: Hash + Eq + 'static, V: 'static, S: BuildHasher> Results for Registry<K, V, S> {
    type Map = Self;

    fn map(&self) -> &Self {
        self
    }
}

impl<A, B, S> Results for Map<A, B, S>
where
    A: HashedKey + 'static,
    B: ValueSlot<Value: Clone> + 'static,
    S: BuildHasher,
{
    type Map = Self;

    fn map(&self) -> &Self {
        self
    }
}

impl<M: Results> Results for &M {
    type Map = M::Map;

    fn map(&self) -> &M::Map {
        (**self).map()
    }
}

impl<M: Results> Results for Arc<M> {
    type Map = M::Map;

    fn map(&self) -> &M::Map {
        (**self).map()
    }
}

/// An input that counts as the same only if it is the very same object, whatever it is equal to. It owns the
/// object, so its address is not reused meanwhile.
///
/// ```
/// use highlander::registries::memo::{Memo, Same};
/// use highlander::{Handle, Registry};
/// use std::sync::Arc;
///
/// let tables = Memo::new(Registry::new(), |(raw, file): &(Same<Arc<Vec<u8>>>, &str)| {
///     format!("{file}: {} symbols", raw.len())
/// });
/// let (raw, equal) = (Arc::new(vec![1, 2]), Arc::new(vec![1, 2]));
/// let table = tables.get((Same(raw.clone()), "a.py"));
/// assert!(Handle::ptr_eq(&tables.get((Same(raw), "a.py")), &table));
/// assert!(!Handle::ptr_eq(&tables.get((Same(equal), "a.py")), &table));
/// ```
#[derive(Clone, Copy)]
pub struct Same<P>(pub P);

impl<P: Pointer> PartialEq for Same<P> {
    fn eq(&self, other: &Self) -> bool {
        P::same(&self.0, &other.0)
    }
}

impl<P: Pointer> Eq for Same<P> {}

impl<P: Pointer> Hash for Same<P> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        P::identity_hash(&self.0).hash(state);
    }
}

impl<P: Pointer> Deref for Same<P> {
    type Target = P::Target;

    fn deref(&self) -> &P::Target {
        P::target(&self.0)
    }
}

impl<P: Pointer> fmt::Debug for Same<P>
where
    P::Target: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Same").field(&P::target(&self.0)).finish()
    }
}
