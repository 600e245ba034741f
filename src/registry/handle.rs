//! The handles of a [`Registry`](crate::Registry): strong and weak ones.

use crate::memory::hash::DefaultHashBuilder;
use crate::pointer::notify::Notify;
use crate::pointer::traits::{Pointer, ReportedWithEnd, WeakPointer};
use crate::pointer::watchers::Registration;
use crate::registry::node::{RegistryNode, Watch};
use crate::table::node_ref::NodeRef;
use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// An owner of a value in a [`Registry`](crate::Registry). The value lives, and stays entered, while a handle
/// to it does.
///
/// One word. Dereferences to the value and knows its key. Handles compare, hash and order as the values they
/// lead to, like [`Arc`]; [`Handle::ptr_eq`] compares identities.
///
/// Dropping the last handle takes the entry out, then drops value and key, all before the drop returns. (A
/// call that compares its key with this one's is an owner for that long; it may be the last.) Handles may
/// outlive their registry.
///
/// ```
/// use highlander::{Handle, Registry};
///
/// let files: Registry<&str, Vec<u8>> = Registry::new();
/// let a = files.get_or_insert_with("log", |_| vec![1, 2, 3]);
/// let b = files.get("log").unwrap();
/// assert!(Handle::ptr_eq(&a, &b));
/// assert_eq!(*Handle::key(&a), "log");
/// assert_eq!(a.len(), 3);
/// drop((a, b));
/// assert!(files.get("log").is_none());
/// ```
pub struct Handle<K, V> {
    node: NodeRef<RegistryNode<K, V>>,
}

// SAFETY: a handle gives `&K` and `&V` to its thread (hence `Sync`), and may drop both (hence `Send`).
unsafe impl<K: Send + Sync, V: Send + Sync> Send for Handle<K, V> {}
// SAFETY: a shared handle can be cloned, so the same bounds as for `Send`.
unsafe impl<K: Send + Sync, V: Send + Sync> Sync for Handle<K, V> {}

impl<K, V> Handle<K, V> {
    #[inline(always)]
    pub(in crate::registry) fn new(node: NodeRef<RegistryNode<K, V>>) -> Self {
        Self { node }
    }

    #[inline(always)]
    pub(in crate::registry) fn node_ref(&self) -> &NodeRef<RegistryNode<K, V>> {
        &self.node
    }

    #[inline(always)]
    fn entry(&self) -> &RegistryNode<K, V> {
        // SAFETY: owned, so complete, and dropped by the last owner only.
        unsafe { &*self.node.payload().cast() }
    }

    /// Returns the key under which the value was entered. A function, so that it hides no method of the
    /// value.
    ///
    /// ```
    /// use highlander::{Handle, Registry};
    ///
    /// let registry = Registry::new();
    /// let value = registry.get_or_insert_with(1, |_| "one");
    /// assert_eq!((Handle::key(&value), *value), (&1, "one"));
    /// ```
    #[inline]
    pub fn key(this: &Self) -> &K {
        this.node.key()
    }

    /// Returns whether both lead to the very same value.
    #[inline]
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        this.node.node() == other.node.node()
    }

    /// Returns the address of the value, which stays the same while it lives.
    #[inline]
    pub fn as_ptr(this: &Self) -> *const V {
        this.entry().value()
    }

    /// Returns a number that no other value has while this one lives.
    #[inline]
    pub(crate) fn identity(this: &Self) -> u64 {
        this.node.node().addr().get() as u64
    }

    /// Returns the number of handles to this value at some moment. Others may change it at any time.
    pub fn strong_count(this: &Self) -> usize {
        this.node.header().owners() as usize
    }

    /// Runs `callback` at the death of the value, unless the registration is dropped before.
    ///
    /// By then all weak handles are dead, and the entry is out of its registry and of all maps and sets: the
    /// callback may ask for the same key and gets a new value. The callbacks of a value run newest first,
    /// once each, with no lock held, before its destructor (in an [exclusive](crate::Registry::exclusive)
    /// registry, and if it is in an exclusive map, after its destructor); a panic of one does not stop the
    /// others, and goes on from the last drop (during an unwinding it is swallowed).
    ///
    /// The callback gets nothing: it could not reach the value anyway. One that owns a handle of the value
    /// keeps it alive for ever.
    ///
    /// *Waiting:* for others that come to or go from the same list, a few instructions long. *Complexity:*
    /// amortised constant; the first one allocates.
    ///
    /// ```
    /// use highlander::{Handle, Registry};
    ///
    /// static SWORDS: Registry<&str, u32> = Registry::new();
    ///
    /// let katana = SWORDS.get_or_insert_with("katana", |_| 593);
    /// Handle::on_death(&katana, || assert!(SWORDS.get("katana").is_none())).keep();
    /// drop(katana);
    /// ```
    pub fn on_death(this: &Self, callback: impl FnOnce() + Send + 'static) -> Registration {
        let watch = Watch::of(this.entry(), this.node.node());
        watch.watchers.on_death(Box::new(callback))
    }

    /// Notifies a container at the death of the value, before the callbacks.
    pub(in crate::registry) fn watch(this: &Self, notify: Notify) -> Registration {
        let watch = Watch::of(this.entry(), this.node.node());
        watch.watchers.watch(notify)
    }

    /// Returns a weak handle to the same value. The first one of a value allocates; the others share with it.
    ///
    /// ```
    /// use highlander::{Handle, Registry};
    ///
    /// let registry = Registry::new();
    /// let value = registry.get_or_insert_with(1, |_| "one");
    /// let weak = Handle::downgrade(&value);
    /// assert_eq!(weak.upgrade().as_ref(), Some(&value));
    /// drop(value);
    /// assert!(weak.upgrade().is_none());
    /// ```
    pub fn downgrade(this: &Self) -> WeakHandle<K, V> {
        let watch = Watch::of(this.entry(), this.node.node());
        WeakHandle {
            watch,
            entry: std::marker::PhantomData,
        }
    }
}

impl<K, V> Clone for Handle<K, V> {
    /// Returns another owner of the same value. Aborts the process beyond `i32::MAX` owners.
    #[inline]
    fn clone(&self) -> Self {
        Self {
            node: self.node.clone(),
        }
    }
}

impl<K, V> Deref for Handle<K, V> {
    type Target = V;

    #[inline(always)]
    fn deref(&self) -> &V {
        self.entry().value()
    }
}

impl<K, V> AsRef<V> for Handle<K, V> {
    fn as_ref(&self) -> &V {
        self
    }
}

impl<K, V> Borrow<V> for Handle<K, V> {
    fn borrow(&self) -> &V {
        self
    }
}

impl<K, V: fmt::Debug> fmt::Debug for Handle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<K, V: fmt::Display> fmt::Display for Handle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<K, V> fmt::Pointer for Handle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Pointer::fmt(&Self::as_ptr(self), f)
    }
}

impl<K, V: PartialEq> PartialEq for Handle<K, V> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<K, V: Eq> Eq for Handle<K, V> {}

impl<K, V: PartialOrd> PartialOrd for Handle<K, V> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<K, V: Ord> Ord for Handle<K, V> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl<K, V: Hash> Hash for Handle<K, V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

#[cfg(feature = "serde")]
impl<K, V: serde_core::Serialize> serde_core::Serialize for Handle<K, V> {
    /// Serializes as the value. There is no `Deserialize`: whose registry should it be entered in?
    fn serialize<S: serde_core::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

/// A handle that knows a value without keeping it alive.
///
/// When the last [`Handle`] goes, all weak handles are dead before the value's destructor begins, and stay
/// dead. One to a value that is still being created
/// ([`or_insert_cyclic`](crate::map::Entry::or_insert_cyclic),
/// [`or_create_cyclic`](crate::map::Entry::or_create_cyclic)) is dead until that is entered.
///
/// Comparing and hashing follow CPython's `weakref.ref`. While both are alive, weak handles compare as the
/// values they lead to; a dead one is equal only to itself and its clones. The hash is that of the value,
/// taken at the first time it is asked for while the value lives, and then kept beyond its death, so that a
/// weak handle stays findable in a `HashMap`. One that was never hashed before the value died hashes by
/// identity; and one that is hashed before the value is entered, by identity until then, so it is not to be
/// put into a `HashMap` before. (Python raises an error instead.) There is no order. The hash is keyed with
/// the secret of [`DefaultHashBuilder`](crate::hash::DefaultHashBuilder), so it differs from process to
/// process.
///
/// ```
/// use highlander::{Handle, Registry};
///
/// let registry: Registry<u32, String> = Registry::new();
/// let strong = registry.get_or_insert_with(1, |_| "Connor".to_string());
/// let weak = Handle::downgrade(&strong);
/// assert_eq!(weak.upgrade().as_deref().map(String::as_str), Some("Connor"));
/// drop(strong);
/// assert!(weak.upgrade().is_none());
/// assert_eq!(weak, weak.clone());
/// ```
pub struct WeakHandle<K, V> {
    watch: Arc<Watch>,
    entry: std::marker::PhantomData<(*const K, *const V)>,
}

// SAFETY: a weak handle can be made a strong one, so the bounds are those of `Handle`.
unsafe impl<K: Send + Sync, V: Send + Sync> Send for WeakHandle<K, V> {}
// SAFETY: as above.
unsafe impl<K: Send + Sync, V: Send + Sync> Sync for WeakHandle<K, V> {}

impl<K, V> WeakHandle<K, V> {
    /// Creates a handle to a value that is still to be made.
    pub(in crate::registry) fn pending() -> Self {
        Self {
            watch: Watch::pending(),
            entry: std::marker::PhantomData,
        }
    }

    pub(in crate::registry) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Returns a strong handle, unless the last one has gone, or the value is not entered yet.
    ///
    /// *Waiting:* for another `upgrade` or the last drop of the same value, a few instructions long.
    pub fn upgrade(&self) -> Option<Handle<K, V>> {
        let node = self.watch.acquire()?;
        // SAFETY: a watch leads to the node of the type it was made for, complete, and has made us an owner.
        Some(Handle::new(unsafe { NodeRef::adopt(node) }))
    }

    /// Returns whether the value is alive at some moment. It may die right after; `upgrade` to be sure.
    pub fn is_alive(&self) -> bool {
        self.strong_count() > 0
    }

    /// Returns the number of strong handles at some moment; 0 when the value is dead, or not entered yet.
    pub fn strong_count(&self) -> usize {
        self.watch.owners() as usize
    }

    /// Returns the address of the watch, which no other value has while a weak handle to this one exists.
    pub(in crate::registry) fn identity(&self) -> *const () {
        Arc::as_ptr(&self.watch).cast()
    }

    /// Returns whether both watch, or watched, the very same value.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.watch, &other.watch)
    }
}

impl<K, V> Clone for WeakHandle<K, V> {
    fn clone(&self) -> Self {
        Self {
            watch: Arc::clone(&self.watch),
            entry: self.entry,
        }
    }
}

impl<K, V: PartialEq> PartialEq for WeakHandle<K, V> {
    fn eq(&self, other: &Self) -> bool {
        if self.ptr_eq(other) {
            return true;
        }
        match (self.upgrade(), other.upgrade()) {
            (Some(one), Some(two)) => *one == *two,
            _ => false,
        }
    }
}

impl<K, V: Eq> Eq for WeakHandle<K, V> {}

impl<K, V: Hash> Hash for WeakHandle<K, V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let hash = self.watch.hash.get().copied().or_else(|| {
            // Hashed before it is stored: `V::hash` is the user's, and may come back here.
            let hash = DefaultHashBuilder.hash_one(&*self.upgrade()?);
            Some(*self.watch.hash.get_or_init(|| hash))
        });
        match hash {
            Some(hash) => state.write_u64(hash),
            None => state.write_usize(Arc::as_ptr(&self.watch).addr()),
        }
    }
}

impl<K, V: fmt::Debug> fmt::Debug for WeakHandle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.upgrade() {
            Some(value) => f.debug_tuple("WeakHandle").field(&*value).finish(),
            None => f.write_str("WeakHandle(dead)"),
        }
    }
}

impl<K: 'static, V: 'static> Pointer for Handle<K, V> {
    type Target = V;
    type Weak = WeakHandle<K, V>;
    type Death = ReportedWithEnd;

    #[inline]
    fn downgrade(this: &Self) -> WeakHandle<K, V> {
        Handle::downgrade(this)
    }

    #[inline]
    fn target(this: &Self) -> &V {
        this
    }

    /// Returns the address of what its weak handles share, which is allocated if there is none yet. Not the
    /// value's: that place is reused while weak handles to it still exist.
    #[inline]
    fn address(this: &Self) -> *const () {
        Handle::downgrade(this).identity()
    }

    #[inline]
    fn same(this: &Self, other: &Self) -> bool {
        // Both are alive, so the values lie in different nodes.
        Handle::identity(this) == Handle::identity(other)
    }

    fn watch(this: &Self, notify: Notify) -> Option<Registration> {
        Some(Handle::watch(this, notify))
    }
}

/// A weak handle to a draft, a value that is still being created, is dead until that is entered: the one
/// exception from the rule that what is dead stays dead. See
/// [`Entry::or_create_cyclic`](crate::map::Entry::or_create_cyclic).
impl<K: 'static, V: 'static> WeakPointer for WeakHandle<K, V> {
    type Strong = Handle<K, V>;

    #[inline]
    fn upgrade(&self) -> Option<Handle<K, V>> {
        self.upgrade()
    }

    #[inline]
    fn is_dead(&self) -> bool {
        !self.is_alive()
    }

    #[inline]
    fn address(&self) -> *const () {
        self.identity()
    }
}

// Why: see "Unwind safety" in ARCHITECTURE.md.
impl<K: RefUnwindSafe, V: RefUnwindSafe> UnwindSafe for Handle<K, V> {}
impl<K: RefUnwindSafe, V: RefUnwindSafe> RefUnwindSafe for Handle<K, V> {}
impl<K, V> Unpin for Handle<K, V> {}

// Why: see "Unwind safety" in ARCHITECTURE.md.
impl<K: RefUnwindSafe, V: RefUnwindSafe> UnwindSafe for WeakHandle<K, V> {}
impl<K: RefUnwindSafe, V: RefUnwindSafe> RefUnwindSafe for WeakHandle<K, V> {}
impl<K, V> Unpin for WeakHandle<K, V> {}
