//! A concurrent registry in which *there can only be one*: at most one live value per key, held weakly, gone
//! with its last owner.
//!
//! ```
//! use highlander::{Handle, Registry};
//!
//! static CLASSES: Registry<&str, String> = Registry::new();
//!
//! let object = CLASSES.get_or_insert_with("Object", |name| format!("class {name}"));
//! assert!(Handle::ptr_eq(&CLASSES.get("Object").unwrap(), &object));  // whoever asks gets this one
//! drop(object);
//! assert!(CLASSES.get("Object").is_none());                 // the registry does not keep it alive
//! ```
//!
//! # Which type
//! | to | take | an entry goes |
//! |---|---|---|
//! | give equal contents one pointer (an interner) | [`Interner<T>`], which hands out [`Interned<T>`] | at the last drop |
//! | have one object per key (an identity map) | [`Registry<K, V>`], which hands out [`Handle<K, V>`] | at the last drop, or removed |
//! | know a value without keeping it alive | [`WeakHandle<K, V>`] | |
//! | have one object per key, in an `Arc` that others own | [`WeakValueMap<K, P>`], which hands out `P` | when the value dies\* |
//! | attach something to objects that others own | [`WeakKeyMap<P, V>`], which hands out clones of `V` | when the key dies\* |
//! | pair objects that others own | [`WeakKeyValueMap<P, Q>`], asked from both sides | when either dies\* |
//! | keep keys and values, with single-flight creation and no guards | [`StrongMap<K, V>`], which hands out clones of `V` | when it is removed |
//! | keep values a little longer than their owners do | [`Recent<M>`] on top of such a map | |
//! | not try again at once what has failed | [`RecentErrors<K, E>`], asked by factories | |
//! | choose hasher, capacity, a removal hook | the constructors of the maps, and the settings of a [`Map`](map::Map) | |
//! | have a set of weak members, or a list of listeners | [`WeakSet<P>`], of [`std::sync::Arc`] or any [`Pointer`](pointer::Pointer) | when it dies, or pruned |
//! | be told of a death at once | [`Watched<T>`](pointer::Watched) instead of an `Arc`; a [`Token`](pointer::Token) inside one | |
//!
//! Weak keys and members are compared by equality of what they lead to, or by identity with
//! [`ByAddress`](map::ByAddress): `WeakKeyMap<Arc<dyn Widget>, Meta, ByAddress>`,
//! `WeakSet<Arc<dyn Listener>, ByAddress>`.
//!
//! Where it lives: the types at the root; [`map`] has what maps and their entries are made of (`ByAddress`,
//! `Claim`, `Vacancy`, `RemovalCause`, `Stats`), [`pointer`](mod@pointer) has `Watched` and `Token`,
//! [`error`] the errors (`CreateError`, `Refused`, `CycleError`), [`hash`] the default hasher.
//!
//! How values come into them, by closures, tokens and futures, and what becomes of everybody when that goes
//! wrong: [`guide::creating`].
//!
//! \* An `Arc` does not tell when it dies. From then on nothing shows the entry; its memory is given back a
//! little later, by insertions and look-ups of any key. A [`Pointer`](pointer::Pointer) is what these maps
//! hold: an `Arc<T: ?Sized>`, an `Rc`, a [`Handle`], or one of your own.
//!
//! # Consistency
//! What a look-up, an iterator and `len` may show while other threads are at work:
//! * A look-up by key finds a value if it is entered throughout the call, and does not if it is at no moment
//!   of it. It never shows a value that is not complete, or whose last owner has gone.
//! * When the drop of the last handle returns, the entry is unreachable, `len` is one less, and key and value
//!   are dropped. The value's destructor runs where the last owner let go. That may be a call that is just
//!   comparing its key with the value's: it owns the value for that long, also if it asks for another key
//!   with the same 64 bits of hash. (In a chain of values that own each other, be it of handles or of
//!   [`Watched`](pointer::Watched) values, from the 64th nested drop on, removal hooks, callbacks and
//!   destructors run a little later, before the outermost drop returns.) While it runs, the key is free:
//!   another thread may create the next value.
//! * An iterator is a snapshot of owners, taken bucket by bucket: what is entered throughout is in it once,
//!   what comes or goes may be.
//! * `len` is exact when nothing is under way, and otherwise off by no more than what is.
//!
//! # Your code
//! `Hash`, `Eq`, `Clone`, factories, conditions and destructors run with no lock held, and may call the same
//! registry again. When one of them panics, the registry is as it was before the call, or after it; nothing
//! is poisoned. Of two panics in one call the second one ends the process, as in Rust at large, if it comes
//! from a destructor that the first one's unwinding runs: from that of the key, say, after that of the value.
//! Callbacks, values that end together, and the entries of a `clear` are taken one by one: there the first
//! panic goes on, and the others are swallowed. `Hash` and `Eq` must agree with each other and stay the same
//! while a key is entered; otherwise look-ups miss, but nothing unsound happens.
//!
//! A global allocator must not use a registry: the crate allocates while it holds its locks.
//!
//! # Waiting
//! A hit waits for nobody. A miss that inserts or meets a writer, and a last drop, wait for other writers of
//! the same bucket, a few instructions long, first busily, then asleep. Only a creation under way makes
//! others sleep for longer, and only those that want the very same key.
//!
//! # After `fork`
//! A child process has the one thread that called `fork`. Locks that other threads held at that moment stay
//! held in it for ever, as with the allocator's, and threads that were reading count as reading, so that
//! memory is not given back; call `exec`, or use nothing of this crate that other threads were using.
#![cfg_attr(docsrs, feature(doc_cfg))]
// The types of futures and refusals say what is in them.
#![allow(clippy::type_complexity)]
#![warn(
    missing_docs,
    missing_debug_implementations,
    unsafe_op_in_unsafe_fn,
    unreachable_pub
)]

mod create;
mod deadlock;
pub mod guide;
pub mod map;
mod memory;
pub mod pointer;
mod recent;
pub mod registries;
mod registry;
mod set;
mod sync;
mod table;

pub use equivalent::Equivalent;
pub use map::strong::StrongMap;
pub use map::weak_key::WeakKeyMap;
pub use map::weak_key_value::WeakKeyValueMap;
pub use map::weak_value::WeakValueMap;
pub use recent::{Kept, Recent, RecentErrors, WeakValued};
pub use registry::handle::{Handle, WeakHandle};
pub use registry::intern::interned::Interned;
pub use registry::intern::interner::Interner;
pub use registry::Registry;
#[cfg(feature = "serde")]
pub use set::serial::SetSeed;
pub use set::{WeakSet, WeakSetIter};

pub mod error {
    //! What comes back when a call does not do what was asked for.

    pub use crate::create::error::{
        ClaimError, ClosedError, CreateError, CycleError, InFlight, OccupiedError, Refused,
        ReplaceError,
    };
}

pub mod hash {
    //! How keys are hashed if nobody says otherwise.

    pub use crate::memory::hash::{DefaultHashBuilder, DefaultHasher};
}

/// What models of code that uses this crate can choose; see `sync::model`.
#[cfg(all(highlander_loom, feature = "loom"))]
#[doc(hidden)]
pub mod model {
    pub use crate::sync::model::{live_tables, set_own_shards, set_park, set_reclaim};
}

// The examples of the README are tests, and so is what must not compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
#[cfg(doctest)]
#[doc = include_str!("../tests/variance.md")]
struct Variance;
