//! The traits of a strong pointer and of its weak twin, on which maps over foreign pointers build.

use crate::pointer::notify::Notify;
use crate::pointer::watchers::Registration;
use std::fmt;
use std::marker::PhantomData;
use std::rc::{self, Rc};
use std::sync::{self, Arc};

/// A strong pointer: it keeps its target alive, and can make a weak twin that does not.
///
/// Implemented for [`Arc`], [`Rc`], our [`Handle`](crate::Handle)s, and [`Watched`](crate::pointer::Watched).
/// Implement it for a pointer of your own, to an object that another runtime owns, say. All functions are
/// associated ones, so that they do not hide methods of the target.
///
/// They are safe to implement: an implementation that breaks a rule makes maps give wrong answers, but never
/// unsound ones. (The one promise that more depends on, [`WeakPointer::IS_DEAD_IS_QUIET`], takes `unsafe` to
/// give.) The rules:
/// * `same` says whether two pointers lead to the very same object, and `identity_hash` is a number that all
///   pointers to one object share. It never changes, not even when the object has died and only weak pointers
///   are left. Two objects may have the same number.
/// * Unless these are implemented, `address` stands for both. Then two pointers have the same address exactly
///   if they lead to the same object. No other object gets that address while the object lives *or a weak
///   pointer to it exists*; an allocator that reuses the place of a dead object under a weak pointer's nose
///   breaks this. Where objects move, or addresses are reused, implement both, here and in the weak twin.
/// * `downgrade` makes a weak pointer to the same object, with the same identity.
///
/// The page on [foreign runtimes](crate::guide::foreign) goes through all of them for objects of a JVM or of
/// CPython.
///
/// Containers call none of these functions under a lock, so they may do what they like, also use the
/// container. (A [`WeakSet`](crate::WeakSet) may call `upgrade` and `is_dead` while it has the epoch pinned.)
///
/// ```
/// use highlander::pointer::{Pointer, Unreported, WeakPointer};
/// use std::sync::{Arc, Mutex, Weak};
///
/// /// A reference to an object that a foreign runtime counts. `release` is its explicit call.
/// struct Foreign(Arc<Object>);
/// struct Object { id: u64, released: Arc<Mutex<Vec<u64>>> }
/// impl Drop for Object {
///     fn drop(&mut self) { self.released.lock().unwrap().push(self.id) }
/// }
///
/// #[derive(Clone)]
/// struct WeakForeign(Weak<Object>);
/// impl Clone for Foreign {
///     fn clone(&self) -> Self { Foreign(self.0.clone()) }
/// }
/// impl Pointer for Foreign {
///     type Target = u64;
///     type Weak = WeakForeign;
///     type Death = Unreported;
///     fn downgrade(this: &Self) -> WeakForeign { WeakForeign(Arc::downgrade(&this.0)) }
///     fn target(this: &Self) -> &u64 { &this.0.id }
///     fn address(this: &Self) -> *const () { Arc::as_ptr(&this.0).cast() }
/// }
/// impl WeakPointer for WeakForeign {
///     type Strong = Foreign;
///     fn upgrade(&self) -> Option<Foreign> { self.0.upgrade().map(Foreign) }
///     fn is_dead(&self) -> bool { self.0.strong_count() == 0 }
///     fn address(&self) -> *const () { self.0.as_ptr().cast() }
/// }
///
/// let released = Arc::default();
/// let object = Foreign(Arc::new(Object { id: 7, released: Arc::clone(&released) }));
/// let weak = Pointer::downgrade(&object);
/// assert_eq!(Pointer::address(&object), weak.address());
/// assert_eq!(weak.upgrade().map(|o| *Pointer::target(&o)), Some(7));
/// drop(object);
/// assert!(weak.is_dead());
/// assert_eq!(*released.lock().unwrap(), [7]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no strong pointer",
    label = "what is held weakly is an `Arc`, an `Rc`, a `Watched`, a `Handle`, or another `Pointer`",
    note = "to keep the value itself, take a `Registry`, or put it into an `Arc`"
)]
pub trait Pointer: Clone {
    /// The type of the object that it leads to.
    type Target: ?Sized;
    /// Its weak twin.
    type Weak: WeakPointer<Strong = Self>;
    /// The way in which the object's death is reported: [`Unreported`] (it is not, as with an [`Arc`]),
    /// [`Reported`], [`ReportedWithEnd`] or [`ReportedLate`]. A pointer that passes its calls on to another
    /// one takes the way of that one.
    ///
    /// A report comes on any thread. So a map of pointers that report their death can be made only of keys
    /// and values that are `Send` and `Sync`; a map of `Unreported` pointers, of anything.
    type Death: DeathReport;

    /// Returns a weak pointer to the same object.
    fn downgrade(this: &Self) -> Self::Weak;

    /// Returns the object, or the part of it that stands for it when keys are compared by equality.
    fn target(this: &Self) -> &Self::Target;

    /// Returns the address, which stands for the object; see the rules above.
    ///
    /// Containers call it only through [`identity_hash`](Self::identity_hash) and [`same`](Self::same). A
    /// pointer that implements both, to an object that has no fixed place, returns a null pointer.
    fn address(this: &Self) -> *const ();

    /// Returns a number that all pointers to this object share; see the rules above. Unless implemented, it
    /// is the address.
    ///
    /// Containers compare objects with the same number by [`same`](Self::same), so it need not be unique:
    /// Java's `System.identityHashCode` will do. (A [`Recent`](crate::Recent) does not compare: of several
    /// living values with one number it keeps one at a time.)
    #[inline(always)]
    fn identity_hash(this: &Self) -> u64 {
        Self::address(this).addr() as u64
    }

    /// Returns whether both lead to the very same object; see the rules above. Unless implemented, it
    /// compares addresses.
    #[inline(always)]
    fn same(this: &Self, other: &Self) -> bool {
        Self::address(this) == Self::address(other)
    }

    /// Registers `notify` for the object's death. It is to be called when `is_dead` returns true, before the
    /// drop of the last owner returns (or later, for [`ReportedLate`]), and with no lock held. The container
    /// drops the registration with the entry.
    ///
    /// Returns `None` if the pointer cannot report a death, as an [`Arc`] cannot. So does the default. Then
    /// dead entries are pruned. A [`Watched`](crate::pointer::Watched) and a [`Handle`](crate::Handle) can
    /// report it; pointers made of one pass the call on.
    fn watch(this: &Self, notify: Notify) -> Option<Registration> {
        let _ = (this, notify);
        None
    }
}

/// The way in which a death is reported; see [`Pointer::Death`]. It cannot be implemented outside.
#[allow(private_bounds)] // Nobody else can name it, that is all.
pub trait DeathReport: Sealed {
    /// True if it is reported: then [`Pointer::watch`] is called.
    const IS_REPORTED: bool = true;
    /// True if it is reported before the drop of the last owner returns.
    const IS_PROMPT: bool = true;
    /// True if the end of the destructor is reported too.
    const HAS_END: bool = false;
}

trait Sealed {}

/// The object's death is not reported: [`Pointer::watch`] is never called.
#[derive(Debug)]
pub enum Unreported {}

/// The object's death is reported before the drop of the last owner returns.
#[derive(Debug)]
pub enum Reported {}

/// The object's death is reported as by [`Reported`], and it is also reported when the object's destructor
/// has *ended*, as for a [`Watched`](crate::pointer::Watched) and a [`Handle`](crate::Handle). A pointer made
/// of one of these that passes [`watch`](Pointer::watch) on can use this.
/// [Exclusive](crate::map::Map::exclusive) maps need it. If a pointer uses it and does not pass `watch` on,
/// creations in such a map wait for ever for ends that nobody reports.
#[derive(Debug)]
pub enum ReportedWithEnd {}

/// The object's death may be reported *later*, when the drop of the last owner has returned: by a collector
/// that finds out in its own time, say.
///
/// A late report does what a prompt one does, a little later: it takes out the entry of the dead object, and
/// never one that has been entered under the same key meanwhile. Until then the entry is a
/// [dead](crate::map::Map#dead-entries) one, which no call shows, and it may be pruned before. Nobody waits
/// for a late report: an [exclusive](crate::map::Map::exclusive) map of such values does not compile.
#[derive(Debug)]
pub enum ReportedLate {}

impl Sealed for Unreported {}
impl Sealed for Reported {}
impl Sealed for ReportedWithEnd {}
impl Sealed for ReportedLate {}

impl DeathReport for Unreported {
    const IS_REPORTED: bool = false;
}

impl DeathReport for Reported {}

impl DeathReport for ReportedWithEnd {
    const HAS_END: bool = true;
}

impl DeathReport for ReportedLate {
    const IS_PROMPT: bool = false;
}

/// A promise about a weak pointer `W`: its [`is_dead`](WeakPointer::is_dead) does nothing but read memory.
/// See [`WeakPointer::IS_DEAD_IS_QUIET`].
///
/// The promise is about this very type: one that wraps another has to make its own, since its `is_dead` is
/// its own.
///
/// ```compile_fail
/// # use highlander::pointer::{Pointer, WeakPointer};
/// # use std::sync::{Arc, Weak};
/// # #[derive(Clone)] struct Strong(Arc<u8>);
/// # impl Pointer for Strong {
/// #     type Target = u8;
/// #     type Weak = Mine;
/// #     type Death = highlander::pointer::Unreported;
/// #     fn downgrade(this: &Self) -> Mine { Mine(Arc::downgrade(&this.0)) }
/// #     fn target(this: &Self) -> &u8 { &this.0 }
/// #     fn address(this: &Self) -> *const () { Arc::as_ptr(&this.0).cast() }
/// # }
/// #[derive(Clone)]
/// struct Mine(Weak<u8>);
/// impl WeakPointer for Mine {
///     const IS_DEAD_IS_QUIET: Option<highlander::pointer::Quiet<Self>> = Weak::<u8>::IS_DEAD_IS_QUIET;
/// #   type Strong = Strong;
/// #   fn upgrade(&self) -> Option<Strong> { self.0.upgrade().map(Strong) }
/// #   fn is_dead(&self) -> bool { self.0.strong_count() == 0 }
/// #   fn address(&self) -> *const () { self.0.as_ptr().cast() }
///     // …
/// }
/// ```
/// ```
/// # use highlander::pointer::{Pointer, Quiet, WeakPointer};
/// # use std::sync::{Arc, Weak};
/// # #[derive(Clone)] struct Strong(Arc<u8>);
/// # impl Pointer for Strong {
/// #     type Target = u8;
/// #     type Weak = Mine;
/// #     type Death = highlander::pointer::Unreported;
/// #     fn downgrade(this: &Self) -> Mine { Mine(Arc::downgrade(&this.0)) }
/// #     fn target(this: &Self) -> &u8 { &this.0 }
/// #     fn address(this: &Self) -> *const () { Arc::as_ptr(&this.0).cast() }
/// # }
/// #[derive(Clone)]
/// struct Mine(Weak<u8>);
/// impl WeakPointer for Mine {
///     // SAFETY: `is_dead` reads a count.
///     const IS_DEAD_IS_QUIET: Option<Quiet<Self>> = Some(unsafe { Quiet::promise() });
/// #   type Strong = Strong;
/// #   fn upgrade(&self) -> Option<Strong> { self.0.upgrade().map(Strong) }
/// #   fn is_dead(&self) -> bool { self.0.strong_count() == 0 }
/// #   fn address(&self) -> *const () { self.0.as_ptr().cast() }
///     // …
/// }
/// ```
// Invariant in `W`, so that it cannot be passed off as a promise about a related type.
pub struct Quiet<W>(PhantomData<fn(W) -> W>);

impl<W> Quiet<W> {
    /// Makes the promise.
    ///
    /// # Safety
    /// `<W as WeakPointer>::is_dead` does nothing but read memory, from any thread that may have the pointer.
    /// It does not panic, waits for nothing, and calls nothing that might: above all no call on a map or set
    /// of this crate.
    pub const unsafe fn promise() -> Self {
        Self(PhantomData)
    }
}

impl<W> fmt::Debug for Quiet<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Quiet")
    }
}

/// A pointer that knows an object without keeping it alive: the weak twin of a [`Pointer`].
///
/// # What cannot be reached
/// `upgrade` may fail though the object lives: the thread is not attached to the object's runtime, say, or
/// that is shutting down. Then `is_dead` returns `false`, and the object is *out of reach* for this call. For
/// a map or a set it is absent, and not dead:
/// * A look-up does not find it, an iteration skips it, and `remove` leaves it. No call prunes its entry, and
///   no hook is called. When it can be upgraded again, it is found again. `len` counts it.
/// * A creation of its key runs the factory. If the object is in reach when that has ended, it stays, and
///   what was made is dropped. If not, the new value takes its place, as with `insert`: that is the cause
///   [`Replaced`](crate::map::RemovalCause::Replaced). So let a factory fail where the runtime is needed and
///   cannot be had.
/// * `clear` and `drain` of a map, and `clear` of a set, take it out. `drain` does not return it.
/// * A weak key compared [by address](crate::map::ByAddress) is found all the same, as nothing is asked of
///   its object. One compared [by equality](crate::map::ByEquality) equals nothing meanwhile. An equal key
///   that is entered then stands beside it, and either may be found later.
pub trait WeakPointer: Clone {
    /// The promise that [`is_dead`](Self::is_dead) does nothing but read memory, or `None`, which is always
    /// correct.
    ///
    /// With the promise, a sweep of a map calls `is_dead` while a bucket of its table is locked, instead of
    /// becoming an owner of each entry that it looks at: that is faster. The weak pointers of `std` and
    /// [`WeakWatched`](crate::pointer::WeakWatched) have it. To give it is `unsafe`.
    const IS_DEAD_IS_QUIET: Option<Quiet<Self>> = None;

    /// The strong pointer that it is the twin of.
    type Strong: Pointer<Weak = Self>;

    /// Returns a strong pointer; none if the object has died, or is [out of reach](#what-cannot-be-reached).
    ///
    /// An object that is not finished yet, as in [`Arc::new_cyclic`], looks like a dead one, and is none. A
    /// [`WeakSet`](crate::WeakSet::insert_weak) takes a weak pointer to it; other containers meet none.
    fn upgrade(&self) -> Option<Self::Strong>;

    /// Returns whether the object has died. Once this has returned `true`, it does so for ever, and `upgrade`
    /// returns `None`. Where `upgrade` returns `None` because the object has died, this returns `true`
    /// already.
    ///
    /// When it returns `false`, the object may be dead all the same by the time of the next call.
    fn is_dead(&self) -> bool;

    /// Returns the address that its strong pointers have or had, which stands for the object.
    fn address(&self) -> *const ();

    /// Returns the number that its strong pointers have or had, also when the object is dead or out of reach:
    /// so keep it in the weak pointer. Unless implemented, it is the address.
    #[inline(always)]
    fn identity_hash(&self) -> u64 {
        self.address().addr() as u64
    }

    /// Returns whether it leads to the very object that `strong` leads to. A dead one is the same as no
    /// living object. Unless implemented, it compares addresses.
    #[inline(always)]
    fn same(&self, strong: &Self::Strong) -> bool {
        self.address() == Self::Strong::address(strong)
    }

    /// Returns whether both lead to the very same object, also if that is not finished, or out of reach. For
    /// a dead one it may return `false`. Unless implemented, it compares addresses.
    ///
    /// Only [`WeakSet::insert_weak`](crate::WeakSet::insert_weak) and its like call it.
    #[inline]
    fn same_weak(&self, other: &Self) -> bool {
        self.address() == other.address()
    }
}

/// A [`Pointer`] that any thread may use and drop, and its weak twin too. Implemented for all that are.
pub trait SyncPointer: Pointer<Weak: Send + Sync + 'static> + Send + Sync + 'static {}

impl<P: Pointer<Weak: Send + Sync + 'static> + Send + Sync + 'static> SyncPointer for P {}

impl<T: ?Sized> Pointer for Arc<T> {
    type Target = T;
    type Weak = sync::Weak<T>;
    type Death = Unreported;

    #[inline]
    fn downgrade(this: &Self) -> sync::Weak<T> {
        Arc::downgrade(this)
    }

    #[inline]
    fn target(this: &Self) -> &T {
        this
    }

    /// Returns the address of the value without its length or table of methods, which need not be the same in
    /// all pointers to it. Two values without a size have different addresses, as each lies behind counts of
    /// its own.
    #[inline]
    fn address(this: &Self) -> *const () {
        Arc::as_ptr(this).cast()
    }
}

impl<T: ?Sized> WeakPointer for sync::Weak<T> {
    type Strong = Arc<T>;
    // SAFETY: it reads a count.
    const IS_DEAD_IS_QUIET: Option<Quiet<Self>> = Some(unsafe { Quiet::promise() });

    #[inline]
    fn upgrade(&self) -> Option<Arc<T>> {
        self.upgrade()
    }

    #[inline]
    fn is_dead(&self) -> bool {
        self.strong_count() == 0
    }

    #[inline]
    fn address(&self) -> *const () {
        self.as_ptr().cast()
    }
}

impl<T: ?Sized> Pointer for Rc<T> {
    type Target = T;
    type Weak = rc::Weak<T>;
    type Death = Unreported;

    #[inline]
    fn downgrade(this: &Self) -> rc::Weak<T> {
        Rc::downgrade(this)
    }

    #[inline]
    fn target(this: &Self) -> &T {
        this
    }

    #[inline]
    fn address(this: &Self) -> *const () {
        Rc::as_ptr(this).cast()
    }
}

impl<T: ?Sized> WeakPointer for rc::Weak<T> {
    type Strong = Rc<T>;
    // SAFETY: it reads a count.
    const IS_DEAD_IS_QUIET: Option<Quiet<Self>> = Some(unsafe { Quiet::promise() });

    #[inline]
    fn upgrade(&self) -> Option<Rc<T>> {
        self.upgrade()
    }

    #[inline]
    fn is_dead(&self) -> bool {
        self.strong_count() == 0
    }

    #[inline]
    fn address(&self) -> *const () {
        self.as_ptr().cast()
    }
}
