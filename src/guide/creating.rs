//! Creating values: which call for which need, and what becomes of everybody when it goes wrong.
//!
//! Every map has the two everyday calls, [`get_or_insert_with`](#the-plain-call) and
//! [`get_or_try_insert_with`](#a-factory-that-may-fail). Everything else about one key begins with
//! [`entry(key)`](Entry) or [`entry_ref(&q)`](#by-a-borrowed-key), which do nothing by themselves:
//!
//! | the value | end the entry with |
//! |---|---|
//! | can be made by a closure | [`or_insert_with`](#the-plain-call), `or_insert`, `or_default` |
//! | … that may fail | [`or_try_insert_with`](#a-factory-that-may-fail) |
//! | … that may find that there is no such thing | [`or_optionally_insert_with`](Entry::or_optionally_insert_with) |
//! | may be there and no good any more | [`valid_if`](#a-value-that-must-still-be-good), and one of these |
//! | is only to be looked at | [`and_view`](Entry::and_view), and one of these |
//! | is to leave the map the moment it dies | [`or_insert_with_token`](#a-value-that-says-when-it-dies) |
//! | is to know itself weakly | [`Arc::new_cyclic`](#a-value-that-knows-itself), in the factory |
//! | … or through a handle of ours | [`or_insert_cyclic`](Entry::or_insert_cyclic), of a [`Registry`] |
//! | leads to others that lead back to it | [`or_create_cyclic`](#values-that-know-each-other) |
//! | comes later, from somewhere else | [`claim`](#code-that-cannot-pass-a-closure), and [`Vacancy::fill`] |
//! | has to be awaited | [`or_insert_with_async`](#a-factory-that-awaits) |
//!
//! And besides entries:
//!
//! | the value | take |
//! |---|---|
//! | must not be made before the one before has ended: a file, a socket | a registry that is [exclusive](Registry::exclusive), a map [that is](crate::map::Map::exclusive) |
//! | dies too soon, to be made again at once | [`Recent`](#values-that-come-and-go) on top of the map |
//! | … or fails, and is not to be tried again at once | [`RecentErrors::or_try`](#values-that-come-and-go), in the factory |
//! | is there already | [`insert`, `try_insert`](#a-value-that-is-there-already) |
//!
//! All that create share one *flight* for each key: while one caller creates, the others who want the same
//! key wait, and get the very value that it makes. Threads sleep, tasks are woken. `insert` waits for nobody,
//! and those who are creating the key get what it has entered.
//!
//! # The plain call
//! The live value of the key, and if there is none, what the factory makes. It runs with no lock held, so it
//! may take its time and use any map, this one too.
//! ```
//! use highlander::{Handle, Registry};
//!
//! static CLASSES: Registry<u32, String> = Registry::new();
//!
//! let class = CLASSES.get_or_insert_with(7, |id| format!("class {id}"));
//! let again = CLASSES.get_or_insert_with(7, |_| unreachable!("there can only be one"));
//! assert!(Handle::ptr_eq(&class, &again));
//! ```
//! See [`Registry::get_or_insert_with`], and the same of [`WeakValueMap`], [`WeakKeyMap`],
//! [`WeakKeyValueMap`] and [`StrongMap`]. A [`Registry`] makes the value and its handle; in a map with weak
//! values the factory makes the pointer, an `Arc` say.
//!
//! # By a borrowed key
//! The owned key is made on a miss only, by [`From`] or by [`key_with`](Entry::key_with). In the maps with
//! weak keys the key comes back too, since it would be dead otherwise.
//! ```
//! use highlander::{StrongMap, WeakKeyMap};
//! use std::sync::Arc;
//!
//! let lengths: StrongMap<String, usize> = StrongMap::new();
//! assert_eq!(lengths.entry_ref("MacLeod").or_insert_with(|name| name.len()), 7);
//!
//! let lengths: WeakKeyMap<Arc<str>, usize> = WeakKeyMap::new();
//! let (key, length) = lengths.entry_ref("Kurgan").or_insert_with(|key| key.len());
//! assert_eq!((&*key, length), ("Kurgan", 6));
//! ```
//!
//! # A factory that may fail
//! Its error comes back to its own caller, in a [`CreateError`]. Nothing is entered, and nobody else sees the
//! error: one of those who wait runs its own factory.
//! ```
//! use highlander::{Handle, Registry};
//! use std::{fs::File, io, path::PathBuf};
//!
//! static FILES: Registry<PathBuf, File> = Registry::new();
//!
//! fn open(path: PathBuf) -> io::Result<Handle<PathBuf, File>> {
//!     Ok(FILES.get_or_try_insert_with(path, |path| File::open(path))?)
//! }
//! assert_eq!(open("no such file".into()).unwrap_err().kind(), io::ErrorKind::NotFound);
//! assert!(FILES.is_empty());
//! ```
//! The error may be of any type. [`CreateError::Failed`] has it; [`CreateError::Refused`] says that the map
//! would not create: because that would wait for itself, or because it is closed. `?` makes an
//! [`std::io::Error`] of it where the factory's is one; otherwise there are
//! [`into_failed`](CreateError::into_failed) and [`map_refused`](CreateError::map_refused).
//!
//! # A value that must still be good
//! An entry can ask before it hands out what there is. Of several callers who find the same value stale one
//! creates, and the others get what it makes. Owners of the stale one keep it.
//! ```
//! use highlander::WeakValueMap;
//! use std::sync::{Arc, atomic::{AtomicBool, Ordering::SeqCst}};
//!
//! struct Connection { broken: AtomicBool }
//! static CONNECTIONS: WeakValueMap<&str, Arc<Connection>> = WeakValueMap::new();
//!
//! fn connect(host: &'static str) -> Arc<Connection> {
//!     let entry = CONNECTIONS.entry(host).valid_if(|connection| !connection.broken.load(SeqCst));
//!     entry.or_insert_with(|_| Arc::new(Connection { broken: AtomicBool::new(false) }))
//! }
//! let first = connect("db");
//! assert!(Arc::ptr_eq(&first, &connect("db")));
//! first.broken.store(true, SeqCst);
//! assert!(!Arc::ptr_eq(&first, &connect("db")));
//! ```
//! The stale one is taken out before the factory runs: if that fails, there is none.
//!
//! # A value that says when it dies
//! What a plain `Arc` leaves behind is invisible, and pruned a little later. If the entry is to go with the
//! value, key and all, the factory gets a [`Token`] to be stored in it. (A [`Handle`] and a [`Watched`]
//! report their death without one.)
//! ```
//! use highlander::pointer::Token;
//! use highlander::WeakValueMap;
//! use std::sync::Arc;
//!
//! struct Codec { name: String, _token: Token }
//! static CODECS: WeakValueMap<String, Arc<Codec>> = WeakValueMap::new();
//!
//! let codec = CODECS.entry("flac".into()).or_insert_with_token(|name, token| {
//!     Arc::new(Codec { name: name.clone(), _token: token })
//! });
//! assert_eq!((&*codec.name, CODECS.entry_count()), ("flac", 1));
//! drop(codec);
//! assert_eq!(CODECS.entry_count(), 0);        // not only invisible, but gone
//! ```
//! The maps with weak values have it.
//!
//! # A value that knows itself
//! A value that owned a strong pointer to itself would live for ever. The factory can give it a weak one:
//! with [`Arc::new_cyclic`], or [`Watched::new_cyclic`]. That one leads nowhere until the factory has
//! returned.
//! ```
//! use highlander::WeakValueMap;
//! use std::sync::{Arc, Weak};
//!
//! struct Node { name: String, me: Weak<Node> }
//! static NODES: WeakValueMap<String, Arc<Node>> = WeakValueMap::new();
//!
//! let node = NODES.get_or_insert_with("root".into(), |name| {
//!     Arc::new_cyclic(|me| Node { name: name.clone(), me: me.clone() })
//! });
//! assert!(Arc::ptr_eq(&node.me.upgrade().unwrap(), &NODES.get(&node.name).unwrap()));
//! drop(node);
//! assert!(NODES.is_empty());
//! ```
//! A [`WeakSet`](crate::WeakSet::insert_weak) takes that pointer before the value is finished, so a value can
//! enter itself among the listeners in its own factory.
//!
//! A value of a [`Registry`] has no pointer before its factory has returned; it can keep its key, and be
//! looked up by that.
//!
//! # Code that cannot pass a closure
//! An event loop, a state machine, a C callback: they learn *now* that there is no value, and get it *later*.
//! [`Entry::claim`] gives the live value, or a [`Vacancy`]: the right to create it. It can be stored, and
//! filled on another thread. Whoever asks for the key meanwhile waits, or with
//! [`try_claim`](Entry::try_claim) and [`try_get`](Registry::try_get) is told that somebody is at it.
//! ```
//! use highlander::map::{Claim, Vacancy};
//! use highlander::Registry;
//!
//! static SESSIONS: Registry<u32, String> = Registry::new();
//! let mut requests: Vec<Vacancy<'static, Registry<u32, String>>> = Vec::new();
//!
//! // Somebody wants session 7; then somebody else does.
//! for _ in 0..2 {
//!     match SESSIONS.entry(7).try_claim() {
//!         Ok(Claim::Live(_)) => unreachable!("nobody has answered yet"),
//!         Ok(Claim::Vacant(vacancy)) => requests.push(vacancy),       // and send a request
//!         Err(_) => {}                                                // one is on its way
//!     }
//! }
//! assert_eq!(requests.len(), 1);
//! assert!(SESSIONS.try_get(&7).is_err());         // there is none, and it is being created
//!
//! // The answer is here.
//! let vacancy = requests.pop().unwrap();
//! let session = vacancy.fill("shaken hands".into());
//! assert_eq!(SESSIONS.try_get(&7), Ok(Some(session)));
//! ```
//! A vacancy that is dropped gives the key up, as a factory that fails does. One that is forgotten blocks it:
//! see [`Vacancy`](Vacancy#forgetting). The maps can be closed: [`claim_or_refused`](Entry::claim_or_refused)
//! and [`try_fill`](Vacancy::try_fill) say so.
//!
//! # A factory that awaits
//! With the feature `async`, every map has `get_or_insert_async` and `get_or_try_insert_async`, and an entry
//! the calls that end in `_async`. They work under any executor, and share their flights with the calls
//! above: a thread may wait for a task, and a task for a thread.
#![cfg_attr(feature = "async", doc = "```")]
#![cfg_attr(not(feature = "async"), doc = "```ignore")]
//! use highlander::Registry;
//! # async fn resolve(host: String) -> String { format!("address of {host}") }
//!
//! static ADDRESSES: Registry<String, String> = Registry::new();
//!
//! async fn address(host: &str) -> usize {
//!     let address = ADDRESSES.get_or_insert_async(host.to_owned(), |host| resolve(host.clone()));
//!     address.await.len()
//! }
//! assert_eq!(pollster::block_on(address("glen")), 15);
//! ```
//! The factory's future cannot borrow the key: it takes a clone. A future that is dropped gives up. One that
//! was never polled has not begun.
//!
//! # A factory that creates
//! It may ask for other keys, of any map. If it comes back to its own, directly or through others, that would
//! be to wait for ever. The one who asks last is refused with a [`CycleError`] instead, be they all on one
//! thread, on several, or tasks. Its text is the chain. With `debug_keys` the map shows its keys there,
//! otherwise their type.
//! ```
//! use highlander::StrongMap;
//!
//! static CELLS: StrongMap<&str, i64> = StrongMap::new().debug_keys();
//!
//! fn cell(name: &'static str) -> Result<i64, String> {
//!     let cell = CELLS.get_or_try_insert_with(name, |name| match *name {
//!         "A" => Ok(cell("B")? + 1),
//!         "B" => Ok(cell("C")? + 1),
//!         "C" => cell("B"),
//!         _ => Ok(0),
//!     });
//!     cell.map_err(|error| error.to_string())
//! }
//! assert_eq!(cell("D"), Ok(0));
//! assert_eq!(
//!     cell("A").unwrap_err(),
//!     concat!(
//!         r#"the creation of a value asked for the value that it is creating: "B", "#,
//!         r#"which asked for "C", which asked for the first again"#,
//!     ),
//! );
//! assert_eq!(CELLS.len(), 1);             // D
//! ```
//! What is seen through: factories, and what runs inside [`Vacancy::fill_with`]. What is not: waiting by
//! other means (a lock, a channel, the end of a task), and who is going to fill a vacancy.
//!
//! # Values that know each other
//! A class leads to its superclass, that to its inner types, and one of those back to the class. With the
//! plain call that is a cycle. In two steps it is not: once it is allocated, what is created inside of
//! `initialise`, on its thread, gets the value as it is, and nobody else does before it is complete.
//! ```
//! use highlander::{Handle, Registry, WeakHandle};
//! use std::sync::OnceLock;
//!
//! struct Class {
//!     inner: OnceLock<Vec<Handle<&'static str, Class>>>,
//!     outer: OnceLock<WeakHandle<&'static str, Class>>,
//! }
//! type Built = Result<Handle<&'static str, Class>, String>;
//! static CLASSES: Registry<&str, Class> = Registry::new();
//!
//! fn load(name: &'static str) -> Built {
//!     let built = CLASSES.entry(name).or_try_create_cyclic(
//!         |_| Ok(Class { inner: OnceLock::new(), outer: OnceLock::new() }),
//!         |class| {
//!             let inner = match *Handle::key(class) {
//!                 "Map" => vec![load("Map.Entry")?],
//!                 "Map.Entry" => {
//!                     let map = load("Map")?;                          // the very one that is being built
//!                     class.outer.set(Handle::downgrade(&map)).ok().expect("initialised once");
//!                     vec![]
//!                 }
//!                 _ => return Err("no such class".to_string()),
//!             };
//!             class.inner.set(inner).ok().expect("initialised once");
//!             Ok(())
//!         },
//!     );
//!     built.map_err(|error| error.to_string())
//! }
//! let map = load("Map").unwrap();
//! let entry = &map.inner.get().unwrap()[0];
//! assert!(Handle::ptr_eq(&entry.outer.get().unwrap().upgrade().unwrap(), &map));
//! ```
//! What was created with the help of such a *draft* is published with it, or given up with it. See
//! [`Entry::or_create_cyclic`] and [`Vacancy::try_fill_cyclic`].
//!
//! Drafts stay on one thread. Two threads that build at once what leads to each other cannot both go on: the
//! one that asks last is refused with a [`CycleError`]. Who can do its work again lets that error end all
//! that it is building, [waits](CycleError::wait) for the other thread, and begins anew.
//! [`ClassMap`](crate::registries::class_map::ClassMap) does so by itself.
//!
//! A future that is polled in the middle of a creation counts as a part of it, since the creation may block
//! on it: until the creation ends, or the future is polled elsewhere. Not so one that is polled by a waker,
//! which runs where a creation or a destructor ends: most executors poll any task of theirs there. So a waker
//! must not block on a future.
//!
//! Only what is polled counts. A set of futures that polls just those that have been woken, as
//! `FuturesUnordered` of the `futures` crate does, and its `join_all` of many, waits for the others by other
//! means. And whoever keeps a future that has begun to create, and asks for its key instead of polling it,
//! waits for ever: for all that is known, it could be polled elsewhere.
//!
//! # Values that come and go
//! A value dies with its last owner, and whoever asks a moment later makes it anew. A [`Recent`] on top of
//! the map owns what was used last, up to a number and, if wanted, for a time. Its calls are the map's own,
//! with the same flights; others may ask the map beside it. What has failed is tried again by the next who
//! asks, and by all who wait, one after the other. A factory that begins with [`RecentErrors::or_try`]
//! returns the error of the last try instead, for a time.
//! ```
//! use highlander::{Recent, Registry};
//!
//! static FONTS: Recent<Registry<&str, Vec<u8>>> = Recent::new(Registry::new(), 2);
//! for font in ["Gill", "Futura", "Gill", "Gill"] {
//!     FONTS.get_or_insert_with(font, |name| name.as_bytes().to_vec());        // each is read once
//! }
//! assert_eq!(FONTS.map().len(), 2);
//! FONTS.clear();
//! assert_eq!(FONTS.map().len(), 0);
//! ```
//!
//! # A value that is there already
//! `insert` enters it in the place of the live one, which comes back; `try_insert` only if there is none.
//! Neither waits for a creation: those who are creating the key, and those who wait for that, get what was
//! entered.
//! ```
//! use highlander::{Handle, Registry};
//!
//! let registry: Registry<&str, u32> = Registry::new();
//! let (one, before) = registry.insert("key", 1);
//! assert!(before.is_none());
//! assert!(Handle::ptr_eq(&registry.try_insert("key", 2).unwrap_err().existing.unwrap(), &one));
//! ```
//!
//! # What becomes of whom
//! *Those who wait* have asked for the same key with a call that waits. *Goes on* means: one of them takes
//! over, with its own key, and runs its own factory or gets the vacancy; the rest wait for that.
//!
//! | event | the creator | those who wait | the key and the index |
//! |---|---|---|---|
//! | the factory returns | gets the value | get the same value, even if the creator lets go of it at once | one entry, found from now on |
//! | the factory returns an error | gets the error | goes on | nothing is entered; the key is dropped when those who wait have looked |
//! | the factory panics | the panic goes on | goes on | as for an error |
//! | the future is dropped, before its first poll | has not begun | | nothing has happened |
//! | … while it creates | is gone | goes on | as for an error |
//! | … while it waits | | the others are not concerned | not concerned |
//! | the vacancy is dropped | has given up | goes on | as for an error |
//! | the vacancy is forgotten, or a future that creates is neither polled nor dropped | | wait as long; for ever, if forgotten | the key is blocked for calls that create, which wait. Look-ups find nothing, `try_get` and `try_claim` say so. Other keys are not concerned, but for this: beginning a creation, and ending it, takes a time linear in how many are under way in the map, a few nanoseconds for each hundred, which is felt from some ten thousand on. After an `insert` all find that value, but those who sleep already |
//! | a cycle | the one who asks last gets a [`CycleError`]; a call without `try` in its name panics with its text | if the refused factory fails for that: goes on | as for an error |
//! | `initialise` fails or panics | as for a factory | goes on | nothing is entered, of the value or of what was created with its help |
//! | a cycle on one thread, and what is asked for has been allocated | goes on with the draft | wait until the draft is complete | what was made with its help is entered with it |
//! | somebody enters another value meanwhile (`insert`) | gets that one, if it is alive still; its own is dropped | get that one too | one entry |
//! | … which dies before the creation ends | gets its own | get that of the creator | the dead entry makes way |
//! | the map was closed before | [`ClosedError`], or a panic with its text; no factory runs. A live value is found still | | nothing is entered |
//! | the map is closed meanwhile | the factory runs to its end; then [`ClosedError`], and the value is dropped | [`ClosedError`] | nothing is entered, not even for a moment |
//! | … while values that know each other are published together, in this map or several | if its own value is refused: as above, of all of them. If not, it gets its value; one of the others that is refused stays with those who got it from their calls, and is entered nowhere | as above, each for the key that it waits for | what was entered before stays |
//!
//! Whatever happens, nothing is poisoned, and the next one who asks begins anew.

#[allow(unused_imports)] // for the documentation
use crate::error::{ClosedError, CreateError, CycleError};
#[allow(unused_imports)] // for the documentation
use crate::map::{Entry, Vacancy};
#[allow(unused_imports)] // for the documentation
use crate::pointer::{Token, Watched};
#[allow(unused_imports)] // for the documentation
use crate::{
    Handle, Recent, RecentErrors, Registry, StrongMap, WeakKeyMap, WeakKeyValueMap, WeakValueMap,
};
#[allow(unused_imports)] // for the documentation
use std::sync::Arc;
