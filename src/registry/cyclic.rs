//! Values of a registry that know themselves, or each other.

use super::creating::or_panic;
use super::Registry;
use crate::create::error::{CycleError, Refusal};
use crate::create::steps::{get_or_create, get_or_create_in_two, Accept};
use crate::memory::hash::hash_key;
use crate::memory::panics::after;
use crate::registry::handle::{Handle, WeakHandle};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

impl<K: Hash + Eq + 'static, V: 'static, S: BuildHasher> Registry<K, V, S> {
    /// As [`get_or_insert_with`](Registry::get_or_insert_with), with a factory that gets the value's own weak handle, as in [`Arc::new_cyclic`]: so that what
    /// the value owns can know it. The handle leads to nothing until the value is entered; and for ever, if it never is.
    ///
    /// ```
    /// use highlander::{Registry, WeakHandle};
    ///
    /// struct Window { buttons: Vec<Button> }
    /// struct Button { window: WeakHandle<u32, Window> }
    ///
    /// let windows: Registry<u32, Window> = Registry::new();
    /// let window = windows.get_or_insert_cyclic(1, |_, me| {
    ///     assert!(me.upgrade().is_none());                            // not yet
    ///     Window { buttons: vec![Button { window: me.clone() }] }
    /// });
    /// assert!(window.buttons[0].window.upgrade().unwrap().ptr_eq(&window));
    /// ```
    ///
    /// # Panics
    /// As `get_or_insert_with`.
    pub fn get_or_insert_cyclic(
        &self,
        key: K,
        make: impl FnOnce(&K, &WeakHandle<K, V>) -> V,
    ) -> Handle<K, V> {
        or_panic(self.get_or_try_insert_cyclic(key, |key, me| Ok(make(key, me))))
    }

    /// As [`get_or_insert_cyclic`](Registry::get_or_insert_cyclic), with a factory that may fail.
    ///
    /// # Errors
    /// As [`get_or_try_insert_with`](Registry::get_or_try_insert_with).
    pub fn get_or_try_insert_cyclic<E: From<CycleError>>(
        &self,
        key: K,
        make: impl FnOnce(&K, &WeakHandle<K, V>) -> Result<V, E>,
    ) -> Result<Handle<K, V>, E> {
        let hash = hash_key(&self.hasher, &key);
        if let Some(strong) = self.table.get(hash, |other| key == *other) {
            return Ok(after((key, make), Handle::new(strong)));
        }
        get_or_create(
            self,
            hash,
            self.seed(hash, key),
            Accept::All,
            |seed| {
                let me = WeakHandle::unborn();
                let watch = Arc::clone(me.watch());
                Self::grow(seed, Some(watch), |key| make(key, &me))
            },
            Refusal::into_cycle,
        )
    }

    /// Returns the live value of this key, created in two steps if there is none: `allocate` makes it, and `initialise` completes it.
    ///
    /// So values may know each other in a circle: what `initialise` creates, on its thread, can ask for this key again. It gets the
    /// same value, a *draft*, instead of a [`CycleError`]. [`get`](Registry::get) and every call that creates find the draft there.
    /// Everybody else finds the value when it is complete, and not before; calls that create wait for that.
    ///
    /// What was created with the help of a draft is published with it. When the outermost call returns, all of that is entered.
    /// (One value is entered after the other: a `get`, which waits for nobody, may find one of them some moments before the next.)
    ///
    /// If `initialise` fails or panics, the draft is given up, and with it all that was created with its help. The draft is
    /// dropped before this returns, at the latest by a look-up that is just looking at it. Handles that `initialise` has put
    /// elsewhere keep it alive; it is found by nobody. Weak handles to a draft lead to nothing until it is entered, and for ever if it
    /// never is. So for maps and sets of handles a draft is dead: they do not find it, and may take it out again
    /// ([`Cause::Dead`](crate::Cause::Dead)). Enter a handle elsewhere when the creation has returned.
    ///
    /// Two threads that create for each other cannot both go on. The one that asks last gets a [`CycleError`]; it can give up,
    /// [wait](CycleError::wait), and try again. A future is given no drafts, nor is a creation that may take the place of a live
    /// value (`get_or_replace_if` of the maps): they get a [`CycleError`]. Values that are [inserted](Registry::insert) are no
    /// creations: who inserts one that leads to a draft publishes that. If somebody inserts another value for this key meanwhile, the
    /// caller and those who wait get that one.
    ///
    /// *Runs* `allocate` and `initialise` with no lock held, once per key at a time. *Waiting:* as `get_or_insert_with`.
    /// *Complexity:* as `get_or_insert_with`; who asks for a draft takes a time linear in the number of creations between, and the end of a circle one linear in its size for each of
    /// its values.
    ///
    /// Modelled after the class map of Jython, which shows unfinished classes to everybody.
    ///
    /// ```
    /// use highlander::{Handle, Registry, WeakHandle};
    /// use std::sync::OnceLock;
    ///
    /// struct Class { friend: OnceLock<WeakHandle<&'static str, Class>> }
    /// static CLASSES: Registry<&str, Class> = Registry::new();
    ///
    /// fn class(name: &'static str, friend: &'static str) -> Handle<&'static str, Class> {
    ///     CLASSES.get_or_create_cyclic(
    ///         name,
    ///         |_| Class { friend: OnceLock::new() },
    ///         |class| {
    ///             let friend = class_of(friend, name);
    ///             class.friend.set(Handle::downgrade(&friend)).ok().unwrap();
    /// #           KEPT.lock().unwrap().push(friend);
    ///         },
    ///     )
    /// }
    /// # use class as class_of;
    /// # static KEPT: std::sync::Mutex<Vec<Handle<&'static str, Class>>> = std::sync::Mutex::new(Vec::new());
    /// let list = class("List", "Node");                       // asks for Node, whose initialiser asks for List
    /// let node = list.friend.get().unwrap().upgrade().unwrap();
    /// assert!(node.friend.get().unwrap().upgrade().unwrap().ptr_eq(&list));
    /// ```
    ///
    /// # Panics
    /// As [`get_or_insert_with`](Registry::get_or_insert_with); with what `allocate` or `initialise` panics with; and with the text of [`CycleError`]
    /// when `allocate` asks for its own key.
    pub fn get_or_create_cyclic(
        &self,
        key: K,
        allocate: impl FnOnce(&K) -> V,
        initialise: impl FnOnce(&Handle<K, V>),
    ) -> Handle<K, V> {
        let allocate = |key: &K| Ok(allocate(key));
        or_panic(self.get_or_try_create_cyclic(key, allocate, |value| {
            initialise(value);
            Ok(())
        }))
    }

    /// As [`get_or_create_cyclic`](Registry::get_or_create_cyclic), with steps that may fail.
    ///
    /// # Errors
    /// Whatever `allocate` or `initialise` returns; [`CycleError`] when `allocate` asks for its own key, directly or through others, and when
    /// a creation on another thread waits for one that this call is a part of.
    ///
    /// ```
    /// use highlander::{CreateError, Registry};
    ///
    /// let classes: Registry<&str, String> = Registry::new();
    /// let error = classes.get_or_try_create_cyclic(
    ///     "Broken",
    ///     |name| Ok(format!("class {name}")),
    ///     |_| Err(CreateError::Failed("no superclass")),
    /// );
    /// assert_eq!(error.unwrap_err(), CreateError::Failed("no superclass"));
    /// assert!(classes.get("Broken").is_none());               // now and later: nobody keeps what is half built
    /// ```
    pub fn get_or_try_create_cyclic<E: From<CycleError>>(
        &self,
        key: K,
        allocate: impl FnOnce(&K) -> Result<V, E>,
        initialise: impl FnOnce(&Handle<K, V>) -> Result<(), E>,
    ) -> Result<Handle<K, V>, E> {
        let hash = hash_key(&self.hasher, &key);
        if let Some(strong) = self.table.get(hash, |other| key == *other) {
            return Ok(after((key, allocate, initialise), Handle::new(strong)));
        }
        get_or_create_in_two(
            self,
            hash,
            self.seed(hash, key),
            |seed| Self::grow(seed, None, allocate),
            initialise,
            Refusal::into_cycle,
        )
    }
}
