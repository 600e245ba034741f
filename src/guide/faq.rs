//! Questions, each with a short answer and the call.
//!
//! # Which of them do I need?
//! Ask who owns the value. If nobody else does, and it is to go with its last user: a [`Registry`]. If it is
//! in an `Arc` already, or is a `dyn Trait`: a [`WeakValueMap`]. If equal contents are to be one: an
//! [`Interner`]. If the *key* is an object that others own: a [`WeakKeyMap`]. If the map is to keep
//! everything: a [`StrongMap`]. The table of all is on the [first page](crate#which-type).
//!
//! # Why is my value gone at once?
//! The registry does not keep it: you do. `let _ = REGISTRY.get_or_insert_with(…)` drops the handle, and so
//! the value, at the end of that line. Keep the handle, or let a [`Recent`] keep the last few.
//!
//! # How do I keep values a little longer?
//! With a [`Recent`] on top of the map. It owns what was used last, up to a number, and for a time if you
//! want.
//! ```
//! use highlander::{Recent, Registry};
//! use std::time::Duration;
//!
//! static FONTS: Recent<Registry<&str, Vec<u8>>> =
//!     Recent::new(Registry::new(), 64).time_to_idle(Duration::from_secs(60));
//!
//! FONTS.get_or_insert_with("Gill", |name| name.as_bytes().to_vec());
//! assert!(FONTS.get("Gill").is_some());               // nobody holds it, but the layer
//! ```
//! It works for a [`Registry`] and the maps with weak values.
//!
//! # Is there eviction by size?
//! No. [`Recent`] counts values, and does not weigh them. For a cache bounded in bytes, take `moka`.
//!
//! # Why does my map keep dead entries?
//! An `Arc` tells nobody when it dies. From that moment no call shows the entry, and `len` does not count it.
//! Its memory comes back a little later: insertions and misses of *any* key take out dead entries on their
//! way. `entry_count` counts them too. If you want them out now, call [`prune`](crate::map::Map::prune). If
//! you want none, use values that report their death: those of a [`Registry`], a [`Watched`], or an `Arc`
//! whose type stores a [`Token`].
//! ```
//! use highlander::WeakValueMap;
//! use std::sync::Arc;
//!
//! let map: WeakValueMap<&str, Arc<u32>> = WeakValueMap::new();
//! drop(map.get_or_insert_with("key", |_| Arc::new(1)));
//! assert_eq!((map.len(), map.entry_count()), (0, 1));
//! assert_eq!(map.prune(), 1);
//! assert_eq!(map.entry_count(), 0);
//! ```
//!
//! # When is the key dropped?
//! In a [`Registry`], before the drop of the last handle returns, right after the value. In the maps, when
//! the entry is taken out: at the death of a value that reports it, else with the dead entry. In a map from
//! which much is taken out, what goes waits for a call a millisecond later. `prune` leaves nothing. The rules
//! are at
//! [`Map`](crate::map::Map#keys-and-values-of-entries-that-are-gone).
//!
//! # My value's destructor asks for its own key
//! It may. By then the key is free: a look-up finds nothing, or a newer value that somebody has made. Nothing
//! is locked.
//! ```
//! use highlander::{Handle, Registry};
//!
//! struct Session(u32);
//! static SESSIONS: Registry<u32, Session> = Registry::new();
//!
//! impl Drop for Session {
//!     fn drop(&mut self) {
//!         assert!(SESSIONS.get(&self.0).is_none());
//!     }
//! }
//! drop(SESSIONS.get_or_insert_with(7, |id| Session(*id)));
//! ```
//! In a registry that is [exclusive](Registry::exclusive), one that *creates* its own key there gets a
//! [`CycleError`], or panics in a call without `try`, since the new value has to wait for the end of this
//! destructor.
//!
//! # Can a value own a handle to itself?
//! It would never die. Give it a [`WeakHandle`]:
//! [`or_insert_cyclic`](crate::map::Entry::or_insert_cyclic) hands one to the factory.
//!
//! # I need `Rc`
//! The maps take it:
//! ```
//! use highlander::WeakValueMap;
//! use std::rc::Rc;
//!
//! let map: WeakValueMap<&str, Rc<u32>> = WeakValueMap::new();
//! let one = map.get_or_insert_with("one", |_| Rc::new(1));
//! assert!(Rc::ptr_eq(&one, &map.get("one").unwrap()));
//! ```
//! Such a map stays on its thread: keep it in a `thread_local!`, not in a `static`.
//!
//! # How do I wrap a map in a generic type of my own?
//! No bound is needed to have a map, to make it, and to show it. The calls ask for what they use:
//! ```
//! use highlander::WeakValueMap;
//! use std::hash::Hash;
//! use std::sync::Arc;
//!
//! #[derive(Debug)]
//! struct Cache<K, V> { map: WeakValueMap<K, Arc<V>> }
//!
//! impl<K, V> Default for Cache<K, V> {                     // `derive` would ask for `K: Default`
//!     fn default() -> Self { Cache { map: WeakValueMap::new() } }
//! }
//!
//! impl<K: Hash + Eq + 'static, V: 'static> Cache<K, V> {
//!     fn get_or(&self, key: K, make: impl FnOnce(&K) -> V) -> Arc<V> {
//!         self.map.get_or_insert_with(key, |key| Arc::new(make(key)))
//!     }
//! }
//!
//! let cache = Cache::default();
//! let four = cache.get_or("four", |key| key.len());
//! assert_eq!(format!("{cache:?}"), r#"Cache { map: {"four": 4} }"#);
//! ```
//! In code that is generic over the pointer too (`P: SyncPointer`), make the map with
//! [`new_sync`](WeakValueMap::new_sync).
//!
//! # My values are trait objects, or have no size
//! A [`WeakValueMap`] takes `Arc<dyn Trait>` and `Arc<[T]>`. An [`Interner`] takes `str`, `[T]`, `Path`,
//! `OsStr` and `CStr`. A [`Registry`] stores its values itself, so they have a size: there, `Box<dyn Trait>`
//! will do.
//! ```
//! use highlander::WeakValueMap;
//! use std::sync::Arc;
//!
//! trait Codec: Send + Sync {}
//! struct Flac;
//! impl Codec for Flac {}
//! static CODECS: WeakValueMap<&str, Arc<dyn Codec>> = WeakValueMap::new();
//! let flac: Arc<dyn Codec> = CODECS.get_or_insert_with("flac", |_| Arc::new(Flac));
//! ```
//!
//! # My key is borrowed
//! Look-ups take any borrowed form: a `&str` for a `String`, a struct of references for one of owned parts,
//! if it is [`Equivalent`](crate::Equivalent) and hashes alike. To create, use `entry_ref`: the owned key is
//! made on a miss only.
//! ```
//! use highlander::Registry;
//!
//! let lengths: Registry<String, usize> = Registry::new();
//! let name: &str = "MacLeod";
//! let length = lengths.entry_ref(name).or_insert_with(|name: &String| name.len());
//! assert!(lengths.get(name).is_some());
//! # drop(length);
//! ```
//! If the key has no `From<&Q>`, add [`key_with`](crate::map::Entry::key_with). The map itself cannot hold a
//! key that borrows: keys are `'static`.
//!
//! # How do I compare keys by address?
//! `WeakKeyMap<Arc<Node>, V, ByAddress>`, and the same for a [`WeakSet`]: nothing of the object is hashed or
//! compared. See [`ByAddress`](crate::map::ByAddress).
//!
//! # Can I get a `Copy` id for an interned string?
//! No. An [`Interned`] counts its owners, since the string goes with the last one; a copy that is not counted
//! could lead to a string that has gone. If nothing is ever to be freed, take `lasso` or `internity`, whose
//! ids are `Copy`.
//!
//! # How do I change a value?
//! Values are shared, so there is no `&mut V`. Put a `Mutex` or an atomic into the value; or replace it, by
//! `insert`, [`update`](Registry::update) or [`compare_exchange`](Registry::compare_exchange). Owners of the
//! old one keep it.
//!
//! # How do I refresh a value that is out of date?
//! Say so where you ask. One caller makes the new one, and others get it.
//! ```
//! use highlander::Registry;
//! use std::time::{Duration, Instant};
//!
//! static RATES: Registry<&str, (Instant, f64)> = Registry::new();
//! let rate = RATES
//!     .entry("EUR")
//!     .valid_if(|rate| rate.0.elapsed() < Duration::from_secs(60))
//!     .or_insert_with(|_| (Instant::now(), 1.08));
//! ```
//! Whoever waited for a creation gets what it made without its own condition being asked. If the condition
//! says more than "not too old", look once more at what you got: see [`two_jobs`](super::two_jobs#values).
//!
//! # What happens when my factory panics?
//! The panic goes to its caller. Nothing is entered or poisoned. Of those who wait for the key, one runs its
//! own factory. All such cases are in the [table](super::creating#what-becomes-of-whom).
//!
//! # My factory fails, and all who wait try again
//! By default each caller that waits runs its own factory, one after the other: what fails for one may work
//! for the next. With [`share_errors`](crate::map::Entry::share_errors) all who wait get a clone of the one
//! error.
//!
//! # How do I keep errors from being tried again and again?
//! With [`RecentErrors`], which a factory asks first. An error is returned again for a time, and nothing is
//! tried.
//! ```
//! use highlander::{RecentErrors, Registry};
//! use std::time::Duration;
//!
//! static PEERS: Registry<String, u16> = Registry::new();
//! static FAILED: RecentErrors<String, &str> = RecentErrors::new(1024, Duration::from_secs(5));
//!
//! # fn connect(_: &str) -> Result<u16, &'static str> { Err("no answer") }
//! let peer = PEERS.get_or_try_insert_with("glen".into(), |name| FAILED.or_try(name, |name| connect(name)));
//! assert!(peer.is_err());
//! ```
//!
//! # My error type has no `From<…>`
//! It needs none, and no bound at all. The error comes back in a [`CreateError`], beside the reasons for
//! which the map may refuse. If a refusal is a bug in your program, say
//! [`into_failed`](CreateError::into_failed):
//! ```
//! use highlander::error::CreateError;
//! use highlander::{Handle, Registry};
//! use std::num::ParseIntError;
//!
//! static NUMBERS: Registry<String, u64> = Registry::new();
//!
//! fn number(text: &str) -> Result<Handle<String, u64>, ParseIntError> {
//!     let number = NUMBERS.entry_ref(text).or_try_insert_with(|text| text.parse());
//!     number.map_err(CreateError::into_failed)
//! }
//! assert!(number("twelve").is_err());
//! ```
//! Else make a refusal one of your own errors. With this `From`, `?` works inside and outside of the factory:
//! ```
//! use highlander::error::{CreateError, Refused};
//! use highlander::{Handle, Registry};
//! use std::num::ParseIntError;
//!
//! #[derive(Debug)]
//! enum MyError { Parse(ParseIntError), Refused(Refused) }
//!
//! impl From<ParseIntError> for MyError {
//!     fn from(error: ParseIntError) -> Self { MyError::Parse(error) }
//! }
//! impl From<CreateError<MyError>> for MyError {
//!     fn from(error: CreateError<MyError>) -> Self { error.map_refused(MyError::Refused) }
//! }
//!
//! static NUMBERS: Registry<String, u64> = Registry::new();
//!
//! fn twice(text: &str) -> Result<Handle<String, u64>, MyError> {
//!     Ok(NUMBERS.get_or_try_insert_with(text.into(), |text| {
//!         Ok(2 * text.parse::<u64>()?)
//!     })?)
//! }
//! assert_eq!(*twice("21").unwrap(), 42);
//! assert!(matches!(twice("twelve"), Err(MyError::Parse(_))));
//! ```
//!
//! # My factory asks for its own key
//! Directly or through others, that would be to wait for ever. The last who asks gets a [`CycleError`]
//! instead, or panics in a call without `try`. If the values are to know each other, build them [in two
//! steps](super::creating#values-that-know-each-other).
//!
//! # How do I wait in async code?
//! With the feature `async`: `get_or_insert_async`, and the calls of an entry that end in `_async`. They work
//! under any executor, and hold no lock or guard across an `.await`. The plain calls block the thread while
//! *another* caller creates the same key; their hits never do. See [a factory that
//! awaits](super::creating#a-factory-that-awaits).
//!
//! # May I hold what I got across an `.await`?
//! Yes. Handles, entries and vacancies are no guards. A vacancy, or a future that has begun to create, keeps
//! others who want that very key waiting.
//!
//! # May I change the map while I iterate?
//! Yes. An iterator holds no lock. What is entered and alive throughout is shown once; what comes or goes may
//! be.
//!
//! # May I do two things as one?
//! Each call is atomic for its key. Two calls are not: see [`two_jobs`](super::two_jobs).
//!
//! # What does a hit cost?
//! Hashing the key, one or two cache misses if the map is large, and one locked instruction, on the count of
//! the value. It takes no lock and allocates nothing. Many threads that take the *same* value meet at its
//! count, as with any `Arc`: keep a handle instead of asking again. In a map whose values are kept,
//! [`with`](crate::map::Map::with) shows a value without cloning it. Numbers are in `BENCHMARKS.md`.
//!
//! # What about `fork`?
//! In the child, call `exec`, or use nothing of this crate that other threads were using: a lock that one of
//! them held stays held. See [the first page](crate#after-fork).
//!
//! # How do I shut down?
//! [`close`](Registry::close) refuses new entries and returns what is alive, so that you can end each. A
//! [`Recent`] still owns what it keeps: [`clear`](Recent::clear) it too.

#[allow(unused_imports)] // for the documentation
use crate::error::{CreateError, CycleError};
#[allow(unused_imports)] // for the documentation
use crate::pointer::{Token, Watched};
#[allow(unused_imports)] // for the documentation
use crate::{
    Interned, Interner, Recent, RecentErrors, Registry, StrongMap, WeakHandle, WeakKeyMap, WeakSet,
    WeakValueMap,
};
