//! Coming from a map of your own, or from another crate: old lines beside new ones, and what changes.
//!
//! | you have | take |
//! |---|---|
//! | [`Mutex<HashMap<K, Weak<V>>>`](#from-a-locked-map-of-weaks) | [`Registry`], or [`WeakValueMap`] |
//! | [`DashMap<K, Weak<V>>`](#from-dashmap-and-weak) | the same |
//! | [a set of `Arc<str>`, or `internment`](#from-an-interner) | [`Interner`] |
//! | [moka's `get_with`](#from-moka) | [`Recent`] on top of a registry, or [`StrongMap`] |
//! | [`HashMap<K, Arc<OnceLock<V>>>`](#from-once-cells-in-a-map) | [`Registry`], or [`StrongMap`] |
//!
//! # The bugs to look for in the old code
//! You may be here because of one of them. Each has gone with the types of this crate.
//!
//! * **The dead entry stays.** The value dies, and nobody removes key and `Weak`: the map only grows. *Here*
//!   the last drop takes the entry out; if the value is in a plain `Arc`, insertions and misses do.
//! * **A late cleanup removes the successor.** A destructor removes its key, and by then a new value is
//!   entered under that. *Here* an entry goes by identity, never by its key.
//! * **Two threads create.** Look, unlock, create, insert: both looked before either inserted. *Here* one
//!   factory runs for each key; the others wait for it, and get its value.
//! * **A value is dropped under the lock.** `upgrade` makes an owner, which may be the last one. Its
//!   destructor asks for the map: deadlock. *Here* destructors run with no lock held.
//! * **A factory runs under the lock.** It is slow, and all keys wait; or it asks for another key: deadlock.
//!   *Here* factories run with no lock held, and other keys are not held up.
//!
//! # From a locked map of `Weak`s
//! The old lines, with three of these bugs; and without the `Drop`, with a fourth:
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Arc, LazyLock, Mutex, Weak};
//!
//! struct Shader { name: String }
//! static SHADERS: LazyLock<Mutex<HashMap<String, Weak<Shader>>>> = LazyLock::new(Mutex::default);
//!
//! fn shader(name: &str) -> Arc<Shader> {
//!     let mut shaders = SHADERS.lock().unwrap();
//!     if let Some(shader) = shaders.get(name).and_then(Weak::upgrade) {
//!         return shader;
//!     }
//!     let shader = Arc::new(Shader { name: name.into() });        // a factory under the lock
//!     shaders.insert(name.into(), Arc::downgrade(&shader));       // stays when it dies, but for …
//!     shader
//! }
//! impl Drop for Shader {
//!     fn drop(&mut self) {
//!         // … this: it may remove a successor, and it deadlocks if the last owner goes under the lock.
//!         SHADERS.lock().unwrap().remove(&self.name);
//!     }
//! }
//! let blur = shader("blur");
//! assert!(Arc::ptr_eq(&blur, &shader("blur")));
//! ```
//! The new ones. A [`Handle`] takes the place of the `Arc`, and knows its key:
//! ```
//! use highlander::{Handle, Registry};
//!
//! struct Shader;
//! static SHADERS: Registry<String, Shader> = Registry::new();
//!
//! fn shader(name: &str) -> Handle<String, Shader> {
//!     SHADERS.entry_ref(name).or_insert_with(|_name| Shader)
//! }
//! let blur = shader("blur");
//! assert!(Handle::ptr_eq(&blur, &shader("blur")));
//! assert_eq!(Handle::key(&blur), "blur");
//! drop(blur);
//! assert!(SHADERS.is_empty());
//! ```
//! Where others need an `Arc`, the map takes it as it is:
//! ```
//! use highlander::WeakValueMap;
//! use std::sync::Arc;
//!
//! struct Shader;
//! static SHADERS: WeakValueMap<String, Arc<Shader>> = WeakValueMap::new();
//!
//! fn shader(name: &str) -> Arc<Shader> {
//!     SHADERS.entry_ref(name).or_insert_with(|_name| Arc::new(Shader))
//! }
//! assert!(SHADERS.get("blur").is_none());
//! let blur = shader("blur");
//! assert!(Arc::ptr_eq(&blur, &shader("blur")));
//! ```
//! | old | new |
//! |---|---|
//! | `lock().get(k).and_then(Weak::upgrade)` | `get(k)` |
//! | the same, and else `insert` | `get_or_insert_with(k, \|k\| …)`, `entry_ref(k).or_insert_with(\|k\| …)` |
//! | … where creating may fail | `get_or_try_insert_with(k, \|k\| …)` |
//! | `lock().insert(k, weak)` | `insert(k, owner)`; `try_insert`, if there must be none |
//! | `impl Drop` that removes its key | delete it |
//! | `retain(\|_, weak\| weak.strong_count() > 0)` | delete it; `prune()`, if you want it now |
//! | `len()` | `len()`: the live ones. With the dead: `entry_count()` of a map |
//! | `for … in lock().iter()` | `for … in &map`, with owners; the map may be changed meanwhile |
//!
//! What changes:
//! * There is no lock to hold over two calls. What the old one kept apart besides the map is now your
//!   concern: see [`two_jobs`](super::two_jobs).
//! * A factory that asks for its own key used to deadlock. It panics now, with the chain of keys, or gets a
//!   [`CycleError`] from the calls named `…_try_…`.
//! * Nothing is poisoned. When a factory panics, one of those who wait runs its own.
//! * An iteration shows each entry at its own moment, not all at one: see [consistency](crate#consistency).
//! * Keys and values are `'static`.
//!
//! # From DashMap and `Weak`
//! Written with care, it has none of the races. What stays are a factory under a shard's lock, dead entries
//! until somebody sweeps, and guards:
//! ```
//! use dashmap::{DashMap, Entry};
//! use std::sync::{Arc, LazyLock, Weak};
//!
//! struct Shader;
//! static SHADERS: LazyLock<DashMap<String, Weak<Shader>>> = LazyLock::new(DashMap::new);
//!
//! fn shader(name: &str) -> Arc<Shader> {
//!     match SHADERS.entry(name.into()) {                      // locks the shard, also for a hit
//!         Entry::Occupied(mut entry) => entry.get().upgrade().unwrap_or_else(|| {
//!             let shader = Arc::new(Shader);
//!             entry.insert(Arc::downgrade(&shader));
//!             shader
//!         }),
//!         Entry::Vacant(entry) => {
//!             let shader = Arc::new(Shader);                  // asks for another key: may deadlock
//!             entry.insert(Arc::downgrade(&shader));
//!             shader
//!         }
//!     }
//! }
//! fn sweep() {
//!     SHADERS.retain(|_, shader| shader.strong_count() > 0);
//! }
//! # let blur = shader("blur");
//! # assert!(Arc::ptr_eq(&blur, &shader("blur")));
//! # drop(blur);
//! # sweep();
//! # assert!(SHADERS.is_empty());
//! ```
//! The new lines are those [above](#from-a-locked-map-of-weaks). A DashMap that keeps its values becomes a
//! [`StrongMap`]:
//!
//! | DashMap | here |
//! |---|---|
//! | `get(k)`, a guard | `get(k)`, an owner or a clone; `with(k, \|v\| …)`, without cloning |
//! | `get_mut(k)`, `alter` | `update(k, \|v\| …)`; or a `Mutex` in the value |
//! | `entry(k).or_insert_with(\|\| …)`, under the lock | `entry(k).or_insert_with(\|k\| …)`, single flight |
//! | `try_entry`, `try_get` | `entry(k).try_claim()`, `try_get(k)`: is somebody creating it? |
//! | `remove_if(k, …)`, `retain(…)` | the same; `remove_same(k, &v)` by identity |
//!
//! What changes:
//! * No guard is ever handed out. So nothing that you hold blocks another call, on your thread or across an
//!   `.await`.
//! * Those who ask for a key that is being created sleep. Nobody else waits.
//! * There is no `&mut V`: values are shared. Put a lock or an atomic into the value, or replace it.
//!
//! # From an interner
//! The old lines, with a sweep that somebody must call:
//! ```
//! use std::collections::HashSet;
//! use std::sync::{Arc, LazyLock, Mutex};
//!
//! static WORDS: LazyLock<Mutex<HashSet<Arc<str>>>> = LazyLock::new(Mutex::default);
//!
//! fn intern(word: &str) -> Arc<str> {
//!     let mut words = WORDS.lock().unwrap();
//!     if let Some(word) = words.get(word) {
//!         return Arc::clone(word);
//!     }
//!     let word: Arc<str> = word.into();
//!     words.insert(Arc::clone(&word));
//!     word
//! }
//! fn sweep() {
//!     WORDS.lock().unwrap().retain(|word| Arc::strong_count(word) > 1);
//! }
//! # assert!(Arc::ptr_eq(&intern("a"), &intern("a")));
//! # sweep();
//! # assert!(WORDS.lock().unwrap().is_empty());
//! ```
//! With `internment`:
//! ```ignore
//! let word: ArcIntern<str> = ArcIntern::from("katana");
//! let number: ArcIntern<Vec<u32>> = ArcIntern::new(vec![1, 2]);
//! ```
//! The new ones:
//! ```
//! use highlander::{Interned, Interner};
//!
//! static WORDS: Interner<str> = Interner::new();
//! static LISTS: Interner<[u32]> = Interner::new();
//!
//! let word: Interned<str> = WORDS.intern("katana");
//! assert_eq!(word, WORDS.intern("katana"));           // compares pointers
//! let list: Interned<[u32]> = LISTS.intern_owned(vec![1, 2]);
//! assert_eq!(list, LISTS.intern(&[1, 2]));
//! ```
//! What changes:
//! * `ArcIntern` has one pool for each type, in the whole process. An [`Interner`] is a value: have as many
//!   as you want. Handles of two interners are never equal.
//! * `Hash` of an [`Interned`] is that of its content, so a map of them can be asked by content. That of an
//!   `ArcIntern` is that of its address, and quicker for long contents.
//! * `Intern` of `internment`, which never frees and is `Copy`, has [no
//!   counterpart](super::faq#can-i-get-a-copy-id-for-an-interned-string).
//! * If the canonical pointers must be `Arc<str>`, as other code wants these, take a
//!   [`WeakSet<Arc<str>>`](crate::WeakSet) and its `get_or_insert`.
//!
//! # From moka
//! moka keeps values by size and time, whoever uses them. Here a value lives as long as it has owners, and a
//! [`Recent`] on top is one of them for what was used last. The old lines:
//! ```ignore
//! static PAGES: LazyLock<moka::sync::Cache<String, Arc<Page>>> =
//!     LazyLock::new(|| Cache::builder().max_capacity(1000).time_to_idle(MINUTE).build());
//!
//! let page = PAGES.get_with("index".into(), || Arc::new(load("index")));
//! let page = PAGES.try_get_with("index".into(), || try_load("index").map(Arc::new))?;     // Arc<E>
//! PAGES.invalidate("index");
//! ```
//! The new ones:
//! ```
//! use highlander::{Recent, Registry};
//! use std::time::Duration;
//!
//! const MINUTE: Duration = Duration::from_secs(60);
//! static PAGES: Recent<Registry<String, String>> = Recent::new(Registry::new(), 1000).time_to_idle(MINUTE);
//! # fn load(name: &str) -> String { name.into() }
//! # fn try_load(name: &str) -> Result<String, &'static str> { Ok(name.into()) }
//! # fn main() -> Result<(), highlander::error::CreateError<&'static str>> {
//!
//! let page = PAGES.get_or_insert_with("index".into(), |name| load(name));
//! let page = PAGES.entry_ref("index").share_errors().or_try_insert_with(|name| try_load(name))?;
//! if let Some(page) = PAGES.map().remove("index") {       // nobody finds it any more,
//!     PAGES.release(&page);                               // and the layer does not keep it
//! }
//! # Ok(()) }
//! ```
//! | moka | here |
//! |---|---|
//! | `get_with(k, \|\| …)` | `get_or_insert_with(k, \|k\| …)`; async: `get_or_insert_async` |
//! | `get_with_by_ref(&q, …)` | `entry_ref(&q).or_insert_with(…)` |
//! | `try_get_with`, one `Arc<E>` for all | `entry(k).share_errors().or_try_insert_with`, clones of `E` |
//! | `optionally_get_with` | `entry(k).or_optionally_insert_with` |
//! | `entry(k).or_insert_with_if(…, replace_if)` | `entry(k).valid_if(\|v\| !…).or_insert_with(…)` |
//! | `and_compute_with` | `update(k, …)` |
//! | `max_capacity(n)`, `time_to_idle(t)` | `Recent::new(map, n)`, `.time_to_idle(t)` |
//! | `time_to_live(t)` | the time in the value, and `valid_if(\|v\| v.read_at.elapsed() < t)` |
//! | `weigher` | none: stay with moka |
//! | `invalidate(k)` | `remove(k)` of the map, and `release` of the layer |
//! | `eviction_listener` | `Drop` of the value; `on_remove` of a map whose values report their death (`Watched`) |
//!
//! What changes:
//! * A value that somebody uses is found, also when the layer has let go of it. In moka it is evicted, and
//!   made a second time beside the one in use.
//! * Errors are not shared unless you say `share_errors`: by default each caller that waits tries for itself.
//! * A factory that asks for its own key waits for ever in moka. Here it is refused.
//! * What is not used goes in the next call of the layer, not by a thread: see [`Recent::time_to_idle`].
//!
//! To keep values until they are removed, take a [`StrongMap`], with the same calls.
//!
//! # From once-cells in a map
//! The old lines. Only the cell is looked up under the lock, so factories do not hold up other keys:
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Arc, LazyLock, Mutex, OnceLock};
//!
//! type Cell = Arc<OnceLock<String>>;
//! static PAGES: LazyLock<Mutex<HashMap<String, Cell>>> = LazyLock::new(Mutex::default);
//!
//! fn page(name: &str) -> Cell {
//!     let cell = Arc::clone(PAGES.lock().unwrap().entry(name.into()).or_default());
//!     cell.get_or_init(|| format!("text of {name}"));         // its own key: deadlock or panic
//!     cell
//! }
//! assert_eq!(page("index").get().unwrap(), "text of index");
//! ```
//! Nothing ever removes an entry. If you add that, a caller who has got the cell before and initialises it
//! after is not seen by the next one, who makes a second value. A factory that fails leaves an empty cell.
//! The new lines, if the values are to be kept:
//! ```
//! use highlander::StrongMap;
//! use std::sync::Arc;
//!
//! static PAGES: StrongMap<String, Arc<str>> = StrongMap::new();
//!
//! fn page(name: &str) -> Arc<str> {
//!     PAGES.entry_ref(name).or_insert_with(|name| format!("text of {name}").into())
//! }
//! assert_eq!(&*page("index"), "text of index");
//! assert!(PAGES.remove("index").is_some());
//! ```
//! If they are to go with their last owner, take a [`Registry`] as [above](#from-a-locked-map-of-weaks).
//!
//! | old | new |
//! |---|---|
//! | `cell.get_or_init(\|\| …)` | `get_or_insert_with(k, \|k\| …)` |
//! | `get_or_try_init`, which `std` has not | `get_or_try_insert_with(k, \|k\| …)` |
//! | `cell.get()`, to ask without waiting | `get(k)`; `try_get(k)` tells "none" from "under way" |
//! | `cell.set(v)`, from elsewhere | `try_insert(k, v)`; or [`claim`] the key, and fill it later |
//! | tokio's `OnceCell::get_or_init(…).await` | `get_or_insert_async(k, \|k\| …).await` |
//!
//! [`claim`]: crate::map::Entry::claim

#[allow(unused_imports)] // for the documentation
use crate::error::CycleError;
#[allow(unused_imports)] // for the documentation
use crate::{Handle, Interned, Interner, Recent, Registry, StrongMap, WeakValueMap};
