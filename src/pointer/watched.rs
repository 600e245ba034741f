//! A strong pointer that notifies others when its value has died, and its weak twin.

use crate::memory::hash::DefaultHashBuilder;
use crate::pointer::notify::Notify;
use crate::pointer::traits::{Pointer, Quiet, ReportedWithEnd, WeakPointer};
use crate::pointer::watched_inner::{WatchedInner, WatchedOwner};
use crate::pointer::watchers::{Registration, WatchList, Watchers};
use crate::sync::{ModelArc, ModelWeak};
use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// An [`Arc`](std::sync::Arc) that reports the death of its value: to every container that it is in, and to
/// callbacks.
///
/// It can be put into any number of sets and maps. The drop of the last owner takes it out of all of them
/// before it returns. (An `Arc` cannot report its death, so containers find out later; see
/// [`Token`](crate::pointer::Token) for values that must live in one.) It is as wide as an `Arc`, and its
/// block is one word larger: CPython's `weakreflist`, null while nobody watches.
///
/// ```
/// use highlander::pointer::Watched;
/// use highlander::WeakSet;
///
/// let (guests, friends): (WeakSet<_>, WeakSet<_>) = Default::default();
/// let ramirez = Watched::new("Ramirez".to_string());
/// guests.insert(&ramirez);
/// friends.insert(&ramirez);
/// Watched::on_death(&ramirez, || println!("the quickening")).keep();
/// assert!(guests.contains("Ramirez"));
/// drop(ramirez);                                              // prints
/// assert_eq!((guests.len(), friends.len()), (0, 0));
/// ```
///
/// # The last drop
/// In this order, on the thread that drops the last owner:
/// 1. All weak pointers are dead: none can be upgraded any more.
/// 2. Containers forget the value, the newest first.
/// 3. Callbacks run, the newest first, once each, with no lock held: they may do anything. None of them finds
///    the value in a container.
/// 4. The value is dropped. (If it is in an exclusive map, this comes before 3, so that a callback may ask
///    for what is made after its end.)
///
/// This is the order of CPython's cyclic collector, and of a [`Registry`](crate::Registry)'s handles. (A
/// plain last `decref` in CPython runs `__del__` before 1; here a destructor cannot resurrect its value, and
/// a successor may be created while it runs.) To do something after the destructor, use the last field of the
/// value: a [`Token`](crate::pointer::Token) with [`on_drop`](crate::pointer::Token::on_drop), for example.
///
/// When a callback panics, the others run all the same and the value is dropped. Then the first panic, be it
/// of a callback or of the value's destructor, goes on from the drop. During an unwinding it is swallowed,
/// since a second panic would abort the process.
///
/// A chain of values that own each other may be of any length: of `Watched` values,
/// [`Handle`](crate::Handle)s and [`Interned`](crate::Interned) ones. Its drop does not overflow the stack.
/// Nor does that of a chain in which removal hooks or callbacks each drop the next value, or callbacks each
/// own the next [`Registration`]. From the 64th nested drop on, removal hooks, 3 and 4 happen a little later
/// than where the owner was dropped, but before the outermost drop returns; 1 and 2 happen at once. (That is
/// why the value must be `'static`: it might outlast what it borrows.) Links that are plain `Arc`s or `Box`es
/// are dropped inside each other as always, down to the next one of ours.
///
/// ```compile_fail
/// let text = String::from("there can be only one");
/// let borrows = highlander::pointer::Watched::new(&text);
/// ```
/// ```
/// let text = String::from("there can be only one");
/// let owns = highlander::pointer::Watched::new(text);
/// ```
///
/// A value that owns a `Watched` of itself never dies, nor does one whose callback owns one.
///
/// Equality, order and hash are those of the value, as for `Arc`; [`Watched::ptr_eq`] compares identities.
pub struct Watched<T: ?Sized> {
    inner: WatchedOwner<T>,
}

impl<T: 'static> Watched<T> {
    /// Creates the first owner of `value`. Allocates once.
    pub fn new(value: T) -> Self {
        Self::of(ModelArc::new(WatchedInner::new(Watchers::new(), value)))
    }

    /// Creates the first owner of a value that knows itself weakly. While `make` runs, the weak pointer
    /// cannot be upgraded: nobody sees the value half-built.
    ///
    /// *Panics* when `make` does; nothing is leaked, and the weak pointer stays dead.
    ///
    /// ```
    /// use highlander::pointer::{Watched, WeakWatched};
    ///
    /// struct Node { me: WeakWatched<Node> }
    ///
    /// let node = Watched::new_cyclic(|me| {
    ///     assert!(me.upgrade().is_none());
    ///     Node { me: me.clone() }
    /// });
    /// assert!(Watched::ptr_eq(&node.me.upgrade().unwrap(), &node));
    /// ```
    pub fn new_cyclic(make: impl FnOnce(&WeakWatched<T>) -> T) -> Self {
        let list = Arc::<WatchList>::default();
        let inner = ModelArc::new_cyclic(|inner| {
            let weak = WeakWatched {
                inner: inner.clone(),
                list: Arc::clone(&list),
            };
            let value = make(&weak);
            WatchedInner::new(Watchers::with_list(list), value)
        });
        Self::of(inner)
    }
}

impl<T> Watched<T> {
    /// Returns the value, if this is its last owner; otherwise drops this owner and returns none. Of several
    /// owners that do this at the same time, exactly one gets the value.
    ///
    /// The value then counts as dead: weak pointers cannot be upgraded, containers forget it and callbacks
    /// run, before this returns. If a callback panics, so does this, and the value is dropped.
    ///
    /// ```
    /// use highlander::pointer::Watched;
    ///
    /// let one = Watched::new(7);
    /// let two = one.clone();
    /// assert_eq!(Watched::into_inner(one), None);
    /// assert_eq!(Watched::into_inner(two), Some(7));
    /// ```
    pub fn into_inner(this: Self) -> Option<T> {
        ModelArc::into_inner(this.inner.into_arc()).map(WatchedInner::into_value)
    }

    /// Returns the value as [`Watched::into_inner`] does, if this is its only owner; otherwise returns the
    /// owner.
    pub fn try_unwrap(this: Self) -> Result<T, Self> {
        ModelArc::try_unwrap(this.inner.into_arc())
            .map(WatchedInner::into_value)
            .map_err(Self::of)
    }
}

impl<T: ?Sized> Watched<T> {
    fn of(inner: ModelArc<WatchedInner<T>>) -> Self {
        Self {
            inner: WatchedOwner::new(inner),
        }
    }

    /// Turns this owner into one of the value as something unsized: a trait object or a slice. `coerce` is
    /// always `|it| it as _`; it is written out because the compiler coerces the pointers of `std` only. (If
    /// it keeps the `Arc`, that is one more owner; if it returns another `Arc`, this becomes an owner of
    /// that.)
    ///
    /// The identity, the watchers and the weak pointers stay the same.
    ///
    /// ```
    /// use highlander::pointer::Watched;
    /// use std::fmt::Display;
    ///
    /// let number = Watched::new(7);
    /// let weak = Watched::downgrade(&number);
    /// let shown: Watched<dyn Display> = Watched::unsize(number, |it| it as _);
    /// assert_eq!(shown.to_string(), "7");
    /// assert!(weak.is_alive());
    /// ```
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub fn unsize<U: ?Sized>(
        this: Self,
        coerce: impl FnOnce(Arc<WatchedInner<T>>) -> Arc<WatchedInner<U>>,
    ) -> Watched<U> {
        Watched::of(coerce(this.inner.into_arc()))
    }

    /// Runs `callback` at the death of the value, unless the registration is dropped before. See
    /// [the order](Watched#the-last-drop).
    ///
    /// The callback gets nothing: it could not reach the value anyway. Let it own a [`WeakWatched`] if it has
    /// to know which one has died.
    ///
    /// *Waiting:* for other calls that add to or remove from the same list, a few instructions long.
    /// *Complexity:* amortised constant; the first one allocates the list.
    ///
    /// ```
    /// use highlander::pointer::Watched;
    /// use std::sync::mpsc::channel;
    ///
    /// let (sender, receiver) = channel();
    /// let value = Watched::new("value");
    /// Watched::on_death(&value, move || sender.send("gone").unwrap()).keep();
    /// drop(value);
    /// assert_eq!(receiver.recv(), Ok("gone"));
    /// ```
    pub fn on_death(this: &Self, callback: impl FnOnce() + Send + 'static) -> Registration {
        this.inner.watchers().on_death(Box::new(callback))
    }

    /// Returns a weak pointer to the same value. The first one allocates the list of watchers, which all weak
    /// pointers share.
    ///
    /// ```
    /// use highlander::pointer::Watched;
    ///
    /// let value = Watched::new(1);
    /// let weak = Watched::downgrade(&value);
    /// assert_eq!(weak.upgrade().as_deref(), Some(&1));
    /// drop(value);
    /// assert!(weak.upgrade().is_none());
    /// ```
    pub fn downgrade(this: &Self) -> WeakWatched<T> {
        WeakWatched {
            inner: ModelArc::downgrade(&this.inner),
            list: Arc::clone(this.inner.watchers().list()),
        }
    }

    /// Returns whether both own the very same value.
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        std::ptr::addr_eq(Self::as_ptr(this), Self::as_ptr(other))
    }

    /// Returns the address of the value, which stays the same while it lives.
    pub fn as_ptr(this: &Self) -> *const T {
        this.inner.value()
    }

    /// Returns the number of owners at some moment. Others may change it at any time.
    pub fn strong_count(this: &Self) -> usize {
        ModelArc::strong_count(&this.inner)
    }

    /// Returns the number of weak pointers at some moment, including those inside containers.
    pub fn weak_count(this: &Self) -> usize {
        ModelArc::weak_count(&this.inner)
    }

    /// Returns the number of callbacks registered at some moment.
    pub fn callbacks(this: &Self) -> usize {
        this.inner.watchers().len().1
    }

    /// Returns the number of container entries that would go with the value, at some moment. One that was
    /// taken out of its container counts until the container has dropped it, a moment later.
    pub fn entry_count(this: &Self) -> usize {
        this.inner.watchers().len().0
    }

    /// Returns the value, if it has no other owner and no weak pointer. So it must be in no container.
    ///
    /// The type must be `'static` here too, as in [`Watched::new`]. A `Watched<&'static str>` may be used as
    /// a `Watched<&'a str>`, but nothing that borrows can be written through that one: its drop might come
    /// after the end of the borrow.
    ///
    /// ```compile_fail
    /// use highlander::pointer::Watched;
    ///
    /// fn write<'a>(watched: Watched<&'static str>, text: &'a str) {
    ///     let mut shorter: Watched<&'a str> = watched;
    ///     *Watched::get_mut(&mut shorter).unwrap() = text;
    /// }
    /// ```
    /// ```
    /// use highlander::pointer::Watched;
    ///
    /// fn write(watched: Watched<&'static str>, text: &'static str) {
    ///     let mut same: Watched<&'static str> = watched;
    ///     *Watched::get_mut(&mut same).unwrap() = text;
    /// }
    /// fn read<'a>(watched: Watched<&'static str>) -> Watched<&'a str> {
    ///     watched
    /// }
    /// ```
    pub fn get_mut(this: &mut Self) -> Option<&mut T>
    where
        T: 'static,
    {
        ModelArc::get_mut(&mut this.inner).map(WatchedInner::value_mut)
    }
}

impl<T: ?Sized> Clone for Watched<T> {
    /// Returns another owner of the same value. Aborts the process beyond `isize::MAX` owners, as `Arc` does.
    fn clone(&self) -> Self {
        Self::of(ModelArc::clone(&self.inner))
    }
}

impl<T: ?Sized> Deref for Watched<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.value()
    }
}

impl<T: ?Sized> AsRef<T> for Watched<T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: ?Sized> Borrow<T> for Watched<T> {
    fn borrow(&self) -> &T {
        self
    }
}

impl<T: 'static> From<T> for Watched<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default + 'static> Default for Watched<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> fmt::Pointer for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Pointer::fmt(&Self::as_ptr(self), f)
    }
}

impl<T: ?Sized + PartialEq> PartialEq for Watched<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: ?Sized + Eq> Eq for Watched<T> {}

impl<T: ?Sized + PartialOrd> PartialOrd for Watched<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<T: ?Sized + Ord> Ord for Watched<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: ?Sized + Hash> Hash for Watched<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

/// A pointer that knows the value of a [`Watched`] without keeping it alive.
///
/// When the last [`Watched`] goes, all weak ones are dead before any watcher is notified and before the
/// value's destructor begins. They stay dead.
///
/// Comparing and hashing follow CPython's `weakref.ref`, as for [`WeakHandle`](crate::WeakHandle). While both
/// are alive, they compare as the values do. A dead one is equal only to those that led to the same value.
/// The hash is the value's. It is taken when it is first asked for while the value lives, and kept beyond its
/// death. If it is asked for before that, when the value is dead or not complete yet, it is a hash of the
/// identity. There is no order.
///
/// ```
/// use highlander::pointer::Watched;
///
/// let strong = Watched::new("Connor");
/// let weak = Watched::downgrade(&strong);
/// assert_eq!(weak.upgrade().as_deref(), Some(&"Connor"));
/// drop(strong);
/// assert!(weak.upgrade().is_none());
/// assert_eq!(weak, weak.clone());
/// ```
pub struct WeakWatched<T: ?Sized> {
    inner: ModelWeak<WatchedInner<T>>,
    // It keeps the hash, which all weak pointers to one value share.
    list: Arc<WatchList>,
}

impl<T: ?Sized> WeakWatched<T> {
    /// Returns an owner, unless the last one has gone. Waits for nobody.
    pub fn upgrade(&self) -> Option<Watched<T>> {
        self.inner.upgrade().map(Watched::of)
    }

    /// Returns whether the value is alive at some moment during the call. It may die right after; use
    /// `upgrade` to be sure.
    pub fn is_alive(&self) -> bool {
        self.strong_count() > 0
    }

    /// Returns the number of owners at some moment; 0 when the value is dead, or not complete yet.
    pub fn strong_count(&self) -> usize {
        self.inner.strong_count()
    }

    /// Returns whether both lead, or led, to the very same value.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.list, &other.list)
    }

    /// Turns this into a weak pointer to the value as something unsized, as [`Watched::unsize`] does.
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub fn unsize<U: ?Sized>(
        this: Self,
        coerce: impl FnOnce(std::sync::Weak<WatchedInner<T>>) -> std::sync::Weak<WatchedInner<U>>,
    ) -> WeakWatched<U> {
        WeakWatched {
            inner: coerce(this.inner),
            list: this.list,
        }
    }
}

impl<T: ?Sized> Clone for WeakWatched<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            list: Arc::clone(&self.list),
        }
    }
}

impl<T: ?Sized + PartialEq> PartialEq for WeakWatched<T> {
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

impl<T: ?Sized + Eq> Eq for WeakWatched<T> {}

impl<T: ?Sized + Hash> Hash for WeakWatched<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let hash = self.list.hash.get().copied().or_else(|| {
            // Hashed before it is stored: `T::hash` is the user's, and may come back here.
            let hash = DefaultHashBuilder.hash_one(&*self.upgrade()?);
            Some(*self.list.hash.get_or_init(|| hash))
        });
        match hash {
            Some(hash) => state.write_u64(hash),
            None => state.write_usize(Arc::as_ptr(&self.list).addr()),
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for WeakWatched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.upgrade() {
            Some(value) => f.debug_tuple("WeakWatched").field(&value).finish(),
            None => f.write_str("WeakWatched(dead)"),
        }
    }
}

impl<T: ?Sized + 'static> Pointer for Watched<T> {
    type Target = T;
    type Weak = WeakWatched<T>;
    type Death = ReportedWithEnd;

    fn downgrade(this: &Self) -> WeakWatched<T> {
        Watched::downgrade(this)
    }

    fn target(this: &Self) -> &T {
        this
    }

    fn address(this: &Self) -> *const () {
        ModelArc::as_ptr(&this.inner).cast()
    }

    fn watch(this: &Self, notify: Notify) -> Option<Registration> {
        Some(this.inner.watchers().watch(notify))
    }
}

impl<T: ?Sized + 'static> WeakPointer for WeakWatched<T> {
    // SAFETY: it reads a count.
    const IS_DEAD_IS_QUIET: Option<Quiet<Self>> = Some(unsafe { Quiet::promise() });
    type Strong = Watched<T>;

    fn upgrade(&self) -> Option<Watched<T>> {
        WeakWatched::upgrade(self)
    }

    fn is_dead(&self) -> bool {
        !self.is_alive()
    }

    fn address(&self) -> *const () {
        self.inner.as_ptr().cast()
    }
}

#[cfg(feature = "serde")]
impl<T: ?Sized + serde_core::Serialize> serde_core::Serialize for Watched<T> {
    /// Serializes as the value.
    fn serialize<Z: serde_core::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        (**self).serialize(serializer)
    }
}
