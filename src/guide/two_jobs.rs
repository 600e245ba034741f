//! Your lock did two jobs: what it kept apart besides the map, and what keeps that apart now.
//!
//! A map behind a `Mutex` is never seen half changed. That is the first job of the lock, and the maps of this
//! crate do it. Often the same lock did a second job, without saying so: it kept a *longer* piece of work
//! apart from changes of the map. No call of a map does that for you. This page shows the race, and two
//! cures.
//!
//! # How to know the second job
//! Look at each place where the old code held its lock for more than one call of the map:
//!
//! | under one lock, it | now |
//! |---|---|
//! | looked for a key, and entered it | one call: [`get_or_insert_with`], [`try_insert`], [`update`] |
//! | looked at a value, and removed or replaced it | one call: [`remove_if`], [`compare_exchange`] |
//! | looked at *all* entries, and stored what it had computed | **the race below** |
//! | read the source of a value that others say has changed | the same race: see [values](#values) |
//! | kept two maps in step | if one is the inverse: a [`WeakKeyValueMap`]; else a lock of your own |
//! | refused the next entry when there were `n` | a counter of your own: `len` and `insert` are two calls |
//!
//! # The race
//! Log sinks come and go. Each wants lines up to a level. So that a log call need not ask all of them, the
//! highest level is computed whenever a sink is registered, and stored.
//! ```
//! use highlander::{map::ByAddress, WeakSet};
//! use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
//! use std::sync::Arc;
//!
//! struct Sink { level: usize }
//! static SINKS: WeakSet<Arc<Sink>, ByAddress> = WeakSet::new();
//! static HIGHEST: AtomicUsize = AtomicUsize::new(0);
//!
//! fn compute() -> usize {                             // slow, if there are many
//!     let mut highest = 0;
//!     SINKS.for_each(|sink| highest = highest.max(sink.level));
//!     highest
//! }
//! fn register(sink: &Arc<Sink>) {                     // wrong: once, a lock was held from here …
//!     SINKS.insert(sink);
//!     let highest = compute();
//!     HIGHEST.store(highest, SeqCst);
//! }                                                   // … to here
//!
//! let (quiet, chatty) = (Arc::new(Sink { level: 1 }), Arc::new(Sink { level: 5 }));
//! // One thread is in the middle of `register(&quiet)`:
//! SINKS.insert(&quiet);
//! let highest = compute();
//! // Another one overtakes it:
//! register(&chatty);
//! // The first one goes on, and stores what was true once.
//! HIGHEST.store(highest, SeqCst);
//! assert_eq!(SINKS.len(), 2);                         // the set is right,
//! assert_eq!(HIGHEST.load(SeqCst), 1);                // the result is not: `chatty` hears nothing
//! ```
//! Nothing is wrong with the set. What is lost is the order of two *results*. It stays lost until the next
//! registration, which may never come.
//!
//! # Cure: count the changes
//! A [`WeakSet`] counts its changes: that is its [`version`]. Take it before you compute, and store it with
//! the result. An older result never replaces a newer one.
//! ```
//! use highlander::{map::ByAddress, WeakSet};
//! use std::sync::{Arc, Mutex};
//!
//! struct Sink { level: usize }
//! static SINKS: WeakSet<Arc<Sink>, ByAddress> = WeakSet::new();
//! static HIGHEST: Mutex<Computed> = Mutex::new(Computed { version: 0, highest: 0 });
//!
//! #[derive(Clone, Copy)]
//! struct Computed { version: u64, highest: usize }
//!
//! fn compute() -> Computed {
//!     let version = SINKS.version();                  // before it looks
//!     let mut highest = 0;
//!     SINKS.for_each(|sink| highest = highest.max(sink.level));
//!     Computed { version, highest }
//! }
//! fn store(new: Computed) {
//!     let mut stored = HIGHEST.lock().unwrap();       // for two words; nothing is computed under it
//!     if stored.version <= new.version {
//!         *stored = new;
//!     }
//! }
//! fn register(sink: &Arc<Sink>) {
//!     SINKS.insert(sink);                             // is counted when this returns
//!     store(compute());
//! }
//!
//! // The same two threads as above.
//! let (quiet, chatty) = (Arc::new(Sink { level: 1 }), Arc::new(Sink { level: 5 }));
//! SINKS.insert(&quiet);
//! let late = compute();
//! register(&chatty);
//! store(late);                                        // comes too late, and is left out
//! assert_eq!(HIGHEST.lock().unwrap().highest, 5);
//! ```
//! Why it is right:
//! * Whoever reads the version before looking sees all changes that it counts.
//! * Each change is counted after it is made, and then followed by a computation. So when the last `register`
//!   has returned, a result with the last version is stored, and it saw everything.
//! * Comparing and storing are one step. If they were two, another result could come between them. Instead of
//!   a lock, one atomic can hold both: `fetch_max(version << 8 | level)`.
//!
//! The computation runs with no lock held. It may be slow, may call sinks, and sinks may register others.
//!
//! Or nobody computes before somebody asks: a result is up to date while the version is the same.
//! ```
//! # use highlander::{map::ByAddress, WeakSet};
//! # use std::sync::{Arc, Mutex};
//! # struct Sink { level: usize }
//! # static SINKS: WeakSet<Arc<Sink>, ByAddress> = WeakSet::new();
//! # #[derive(Clone, Copy)]
//! # struct Computed { version: u64, highest: usize }
//! # static HIGHEST: Mutex<Computed> = Mutex::new(Computed { version: 0, highest: 0 });
//! # fn store(new: Computed) {
//! #     let mut stored = HIGHEST.lock().unwrap();
//! #     if stored.version <= new.version { *stored = new; }
//! # }
//! fn highest() -> usize {
//!     let stored = *HIGHEST.lock().unwrap();
//!     let version = SINKS.version();
//!     if stored.version == version {
//!         return stored.highest;                      // right for every `insert` that has returned
//!     }
//!     let mut highest = 0;
//!     SINKS.for_each(|sink| highest = highest.max(sink.level));
//!     store(Computed { version, highest });
//!     highest
//! }
//!
//! assert_eq!(highest(), 0);
//! let chatty = Arc::new(Sink { level: 5 });
//! SINKS.insert(&chatty);
//! assert_eq!(highest(), 5);
//! ```
//! The maps have no such number. There, keep one of your own: raise it after each change (with `Release`),
//! and read it before you look (with `Acquire`).
//!
//! # Cure: a lock of your own
//! If the computation is quick and calls no foreign code, give the second job its own lock. The map needs
//! none, so look-ups never wait for it.
//! ```
//! # use highlander::{map::ByAddress, WeakSet};
//! # use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
//! # use std::sync::{Arc, Mutex};
//! # struct Sink { level: usize }
//! # static SINKS: WeakSet<Arc<Sink>, ByAddress> = WeakSet::new();
//! # static HIGHEST: AtomicUsize = AtomicUsize::new(0);
//! static COMPUTING: Mutex<()> = Mutex::new(());
//!
//! fn register(sink: &Arc<Sink>) {
//!     SINKS.insert(sink);
//!     let _one_at_a_time = COMPUTING.lock().unwrap();
//!     let mut highest = 0;
//!     SINKS.for_each(|sink| highest = highest.max(sink.level));
//!     HIGHEST.store(highest, SeqCst);
//! }
//!
//! let sinks: Vec<_> = (0..8).map(|level| Arc::new(Sink { level })).collect();
//! std::thread::scope(|scope| sinks.iter().for_each(|sink| { scope.spawn(|| register(sink)); }));
//! assert_eq!(HIGHEST.load(SeqCst), 7);
//! ```
//! Each computation begins after the insertion of its own caller, and they run one after the other. So the
//! last one sees all. An owner that `for_each` has for a moment may be the last one: then a sink's destructor
//! runs under this lock, and must not register or unregister.
//!
//! # Deaths are changes too
//! When a sink dies nobody calls `register`. Here that does no harm: the stored level is too high for a
//! while, never too low. Where it matters, keep the sinks in a [`Watched`]. Its death raises the version,
//! and who asks next computes anew. Or let [`Watched::on_death`] compute: by the time it is called the sink
//! is out of the set, and that counts. (The death of a plain `Arc` is told to nobody, and does not count.)
//!
//! # Values
//! The same race with one entry: a factory reads a file, the file changes and somebody says so, and then the
//! factory enters what it has read. Removing the key does not help, since it is not entered yet. The cure is
//! the same too. Take the number of changes before you read, keep it in the value, and ask for it:
//! ```
//! use highlander::{Handle, Registry};
//! use std::sync::atomic::{AtomicUsize, Ordering::{Acquire, Release}};
//!
//! struct Page { text: String, changes: usize }
//! static PAGES: Registry<&str, Page> = Registry::new();
//! static CHANGES: AtomicUsize = AtomicUsize::new(0);
//!
//! fn page(name: &'static str, read: impl Fn() -> String) -> Handle<&'static str, Page> {
//!     let now = CHANGES.load(Acquire);
//!     loop {
//!         let page = PAGES.entry(name).valid_if(|page| page.changes >= now).or_insert_with(|_| {
//!             let changes = CHANGES.load(Acquire);        // before it reads
//!             Page { text: read(), changes }
//!         });
//!         if page.changes >= now {
//!             return page;
//!         }
//!     }
//! }
//! let old = page("index", || "old".into());
//! CHANGES.fetch_add(1, Release);                          // the file has changed
//! assert_eq!(page("index", || "new".into()).text, "new");
//! # drop(old);
//! ```
//! The loop is needed: what a creation has just made, those who waited for it get without their
//! [`valid_if`](crate::map::Entry::valid_if) being asked, also if it began before they did.
//! `examples/model_your_own` is this cache with a loom model; [`testing`](super::testing) explains it.
//!
//! [`get_or_insert_with`]: crate::Registry::get_or_insert_with
//! [`try_insert`]: crate::Registry::try_insert
//! [`update`]: crate::Registry::update
//! [`remove_if`]: crate::Registry::remove_if
//! [`compare_exchange`]: crate::Registry::compare_exchange
//! [`version`]: crate::WeakSet::version
//! [`WeakSet`]: crate::WeakSet
//! [`WeakKeyValueMap`]: crate::WeakKeyValueMap
//! [`Watched`]: crate::pointer::Watched
//! [`Watched::on_death`]: crate::pointer::Watched::on_death
