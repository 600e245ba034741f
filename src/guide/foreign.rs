//! Objects of another runtime (a JVM, CPython) in maps and sets: what a pointer to them has to say.
//!
//! [`Pointer`] and [`WeakPointer`] are safe to implement. A rule that is broken makes a map give wrong
//! answers, never unsound ones. What such a runtime does otherwise than an [`Arc`](std::sync::Arc), and where
//! it is said:
//!
//! | the runtime | you implement |
//! |---|---|
//! | moves objects, or reuses the addresses of dead ones | [`identity_hash` and `same`](#which-object), on both pointers |
//! | cannot always be asked: the thread is detached, it shuts down | nothing more: [`upgrade` returns none, `is_dead` says `false`](#what-cannot-be-reached) |
//! | tells of a death when its collector has found out | [`watch`, and `ReportedLate`](#deaths-that-are-reported-late) |
//! | has one lock for all threads | [`around_sleep`](#waiting-with-an-interpreters-lock) on the map |
//! | wants its references released on its own thread | [a queue in your `Drop`](#last-drops-in-a-batch) |
//!
//! # Which object
//! Give objects a number that never changes ([`identity_hash`](Pointer::identity_hash)), and a comparison
//! ([`same`](Pointer::same)). For a JVM these are `System.identityHashCode` and `IsSameObject`. Many objects
//! may have one number. The weak pointer keeps the number as a field, since it has to know it when the object
//! is dead. Its [`same`](WeakPointer::same) says `false` from the death on, so that a new object at an old
//! address is another one. [`same_weak`](WeakPointer::same_weak) compares two weak pointers, for members that
//! a set gets by those.
//!
//! [`ByAddress`](crate::map::ByAddress) keys, [`remove_same`](crate::map::Map::remove_same),
//! [`compare_exchange`](crate::map::Map::compare_exchange), `update`, look-ups by value and the registries go
//! by these two. A [`Recent`](crate::Recent) goes by the number alone: it keeps one of several values that
//! share it.
//!
//! ```
//! use highlander::map::ByAddress;
//! use highlander::pointer::{Pointer, WeakPointer};
//! use highlander::WeakKeyMap;
//! use std::ptr;
//! use std::sync::{Arc, Weak};
//!
//! // `Arc` stands for the runtime's references here: nothing looks at where it points to.
//! #[derive(Clone)]
//! struct Global { reference: Arc<str>, hash: u32 }
//! #[derive(Clone)]
//! struct WeakGlobal { reference: Weak<str>, hash: u32 }
//!
//! /// The runtime's own comparison.
//! fn is_same_object(one: &Arc<str>, other: &Arc<str>) -> bool { Arc::ptr_eq(one, other) }
//!
//! impl Pointer for Global {
//!     type Target = str;
//!     type Weak = WeakGlobal;
//!     type Death = highlander::pointer::Unreported;
//!     fn downgrade(this: &Self) -> WeakGlobal {
//!         WeakGlobal { reference: Arc::downgrade(&this.reference), hash: this.hash }
//!     }
//!     fn target(this: &Self) -> &str { &this.reference }
//!     fn address(_: &Self) -> *const () { ptr::null() }           // it has none
//!     fn identity_hash(this: &Self) -> u64 { this.hash.into() }
//!     fn same(this: &Self, other: &Self) -> bool { is_same_object(&this.reference, &other.reference) }
//! }
//! impl WeakPointer for WeakGlobal {
//!     type Strong = Global;
//!     fn upgrade(&self) -> Option<Global> {
//!         Some(Global { reference: self.reference.upgrade()?, hash: self.hash })
//!     }
//!     fn is_dead(&self) -> bool { self.reference.strong_count() == 0 }
//!     fn address(&self) -> *const () { ptr::null() }
//!     fn identity_hash(&self) -> u64 { self.hash.into() }
//!     fn same(&self, strong: &Global) -> bool {
//!         let own = self.reference.upgrade();
//!         own.is_some_and(|own| is_same_object(&own, &strong.reference))
//!     }
//! }
//!
//! let notes: WeakKeyMap<Global, &str, ByAddress> = WeakKeyMap::new();
//! let [one, other] = ["a", "b"].map(|name| Global { reference: name.into(), hash: 7 });
//! notes.insert(&one, "the first");
//! assert_eq!((notes.get(&one), notes.get(&other)), (Some("the first"), None));
//! ```
//!
//! # What cannot be reached
//! An [`upgrade`](WeakPointer::upgrade) that fails while [`is_dead`](WeakPointer::is_dead) says `false`
//! means: not now. The entry is absent for that call, and is neither taken out nor pruned; see
//! [there](WeakPointer#what-cannot-be-reached) for every call. Let `is_dead` say `true` only when the runtime
//! has said so. It is asked without the interpreter's lock, by any thread: a flag that the collector sets
//! will do.
//!
//! A creation that finds its value out of reach runs the factory, and the new value takes its place. Where a
//! second one must not be, let the factory fail when its thread is detached.
//!
//! # Deaths that are reported late
//! A [`Watched`](crate::pointer::Watched) reports its death before its last drop returns. A collector does so
//! when it comes by. The calls are the same: [`watch`](Pointer::watch) takes a
//! [`Notify`](crate::pointer::Notify), and somebody calls [`dead`](crate::pointer::Notify::dead) on it,
//! from whatever thread, when `is_dead` says `true`. How late does not matter: a set knows the entry by a
//! number that is used once, and a map takes out what is dead, so that one that was made anew under the same
//! key stays. When the container is gone, nothing happens.
//!
//! Say [`ReportedLate`](crate::pointer::ReportedLate), so that a set does not count on being told. An
//! [exclusive](crate::map::Map::exclusive) map would have to wait for the collector, so it does not compile:
//!
//! ```compile_fail
//! # use highlander::pointer::{Notify, Pointer, Registration, Watched, WeakPointer, WeakWatched};
//! # #[derive(Clone)] struct Late(Watched<u8>);
//! # #[derive(Clone)] struct WeakLate(WeakWatched<u8>);
//! # impl WeakPointer for WeakLate {
//! #     type Strong = Late;
//! #     fn upgrade(&self) -> Option<Late> { self.0.upgrade().map(Late) }
//! #     fn is_dead(&self) -> bool { self.0.is_dead() }
//! #     fn address(&self) -> *const () { self.0.address() }
//! # }
//! impl Pointer for Late {
//!     type Death = highlander::pointer::ReportedLate;
//!     // …
//! #   type Target = u8;
//! #   type Weak = WeakLate;
//! #   fn downgrade(this: &Self) -> WeakLate { WeakLate(Watched::downgrade(&this.0)) }
//! #   fn target(this: &Self) -> &u8 { &this.0 }
//! #   fn address(this: &Self) -> *const () { Pointer::address(&this.0) }
//! }
//! static MAP: highlander::WeakValueMap<u32, Late> = highlander::WeakValueMap::new().exclusive();
//! ```
//! ```
//! # use highlander::pointer::{Notify, Pointer, Registration, Watched, WeakPointer, WeakWatched};
//! # #[derive(Clone)] struct Late(Watched<u8>);
//! # #[derive(Clone)] struct WeakLate(WeakWatched<u8>);
//! # impl WeakPointer for WeakLate {
//! #     type Strong = Late;
//! #     fn upgrade(&self) -> Option<Late> { self.0.upgrade().map(Late) }
//! #     fn is_dead(&self) -> bool { self.0.is_dead() }
//! #     fn address(&self) -> *const () { self.0.address() }
//! # }
//! impl Pointer for Late {
//!     type Death = highlander::pointer::ReportedWithEnd;
//!     // …
//! #   type Target = u8;
//! #   type Weak = WeakLate;
//! #   fn downgrade(this: &Self) -> WeakLate { WeakLate(Watched::downgrade(&this.0)) }
//! #   fn target(this: &Self) -> &u8 { &this.0 }
//! #   fn address(this: &Self) -> *const () { Pointer::address(&this.0) }
//! }
//! static MAP: highlander::WeakValueMap<u32, Late> = highlander::WeakValueMap::new().exclusive();
//! ```
//!
//! A [`Registration`](crate::pointer::Registration) is what the container gives back when it takes the entry
//! out: with it, forget the `Notify`.
//!
//! ```
//! # use highlander::pointer::{Pointer, WeakPointer};
//! use highlander::pointer::{Notify, Registration};
//! use highlander::WeakValueMap;
//! use std::collections::HashMap;
//! use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
//! use std::sync::{Arc, Mutex, Weak};
//!
//! # #[derive(Clone)]
//! # struct Global(Arc<str>);
//! # #[derive(Clone)]
//! # struct WeakGlobal(Weak<str>);
//! # impl WeakPointer for WeakGlobal {
//! #     type Strong = Global;
//! #     fn upgrade(&self) -> Option<Global> { Some(Global(self.0.upgrade()?)) }
//! #     fn is_dead(&self) -> bool { self.0.strong_count() == 0 }
//! #     fn address(&self) -> *const () { self.0.as_ptr().cast() }
//! # }
//! /// Whom the runtime's `Cleaner` calls, by the number that it was given.
//! static CLEANERS: Mutex<Option<HashMap<u64, Notify>>> = Mutex::new(None);
//! static NEXT: AtomicU64 = AtomicU64::new(0);
//!
//! fn take(number: u64) -> Option<Notify> { CLEANERS.lock().unwrap().as_mut()?.remove(&number) }
//!
//! /// Called by the runtime, some time after the object has died.
//! fn clean(number: u64) {
//!     let notify = take(number);          // and unlocks: `dead` runs code of the map's users
//!     if let Some(notify) = notify {
//!         notify.dead();
//!     }
//! }
//!
//! impl Pointer for Global {
//!     type Death = highlander::pointer::ReportedLate;
//!     fn watch(_: &Self, notify: Notify) -> Option<Registration> {
//!         let number = NEXT.fetch_add(1, Relaxed);
//!         CLEANERS.lock().unwrap().get_or_insert_default().insert(number, notify);
//!         // … and asks the runtime to call `clean(number)`
//!         Some(Registration::new(move || take(number).is_some()))
//!     }
//!     // …
//! #   type Target = str;
//! #   type Weak = WeakGlobal;
//! #   fn downgrade(this: &Self) -> WeakGlobal { WeakGlobal(Arc::downgrade(&this.0)) }
//! #   fn target(this: &Self) -> &str { &this.0 }
//! #   fn address(this: &Self) -> *const () { Arc::as_ptr(&this.0).cast() }
//! }
//!
//! let map: WeakValueMap<u32, Global> = WeakValueMap::new();
//! drop(map.get_or_insert_with(1, |_| Global("o".into())));
//! assert_eq!((map.len(), map.entry_count()), (0, 1));     // dead, and not reported yet
//! clean(0);
//! assert_eq!(map.entry_count(), 0);
//! ```
//!
//! # Waiting with an interpreter's lock
//! A thread that holds the lock asks for a key that another thread creates. It sleeps. The other one needs
//! the lock to go on: both wait for ever. A map that is made with
//! [`around_sleep`](crate::map::Map::around_sleep) calls your function around every such sleep: it lets go of
//! the lock, sleeps, and takes it again. The [registry](crate::Registry::around_sleep) and the class map have
//! it too. Futures need none, as they hold up no thread.
//!
//! # Last drops in a batch
//! The last owner of a value may go on any thread, in the middle of anything. If the runtime wants its
//! references released by an attached thread, let your `Drop` push them on a queue, and let that thread take
//! all that wait:
//!
//! ```
//! use std::sync::Mutex;
//! use std::thread;
//!
//! static LET_GO: Mutex<Vec<u64>> = Mutex::new(Vec::new());
//!
//! /// A strong reference: a number that the runtime knows.
//! struct Global(u64);
//!
//! impl Drop for Global {
//!     fn drop(&mut self) { LET_GO.lock().unwrap().push(self.0) }
//! }
//!
//! /// To be called by an attached thread, now and then: in its loop, or at a safepoint.
//! fn release_all() -> usize {
//!     let let_go = std::mem::take(&mut *LET_GO.lock().unwrap());
//!     // … one call of the runtime, with the whole list
//!     let_go.len()
//! }
//!
//! thread::scope(|scope| {
//!     for number in 0..4 {
//!         scope.spawn(move || drop(Global(number)));
//!     }
//! });
//! assert_eq!(release_all(), 4);
//! ```
//! Until then the object lives, so a look-up may find it once more. That is no harm.

#[allow(unused_imports)] // for the documentation
use crate::pointer::{Pointer, WeakPointer};
