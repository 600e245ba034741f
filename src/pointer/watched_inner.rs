//! The allocation of a watched value: the value, its watchers, and how both end.

use crate::memory::panics::Panics;
use crate::memory::teardown::{self, Dead};
use crate::pointer::watchers::Watchers;
use crate::sync::{local, remains, ModelArc, ModelWeak};
use std::cell::Cell;
use std::fmt;
use std::mem::{align_of, needs_drop, size_of, ManuallyDrop};
use std::ops::{Deref, DerefMut};
use std::ptr;

/// The allocation that a [`Watched`](crate::pointer::Watched) owns: a value and its watchers. Seen only by
/// closures given to [`Watched::unsize`](crate::pointer::Watched::unsize).
// Invariant: both are there until `end`, or until `into_value`, which skips the drop. Invariant: the value
// borrows nothing. `T` may be shortened to a type that is not `'static` (it is covariant). So the functions
// that write a value, `new` and `value_mut`, demand a `'static` type.
pub struct WatchedInner<T: ?Sized> {
    watchers: ManuallyDrop<Watchers>,
    value: ManuallyDrop<T>,
}

impl<T> WatchedInner<T> {
    pub(crate) fn new(watchers: Watchers, value: T) -> Self
    where
        T: 'static,
    {
        Self {
            watchers: ManuallyDrop::new(watchers),
            value: ManuallyDrop::new(value),
        }
    }

    /// Notifies the watchers of the death, and returns the value. If that panics, the value is dropped.
    pub(in crate::pointer) fn into_value(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once, and not dropped: `this` is not.
        let value = unsafe { ManuallyDrop::take(&mut this.value) };
        // SAFETY: as above.
        let watchers = unsafe { ManuallyDrop::take(&mut this.watchers) };
        if let Some(list) = watchers.listed() {
            list.notify();
        }
        value
    }
}

impl<T: ?Sized> WatchedInner<T> {
    pub(in crate::pointer) fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    pub(in crate::pointer) fn value(&self) -> &T {
        &self.value
    }

    pub(in crate::pointer) fn value_mut(&mut self) -> &mut T
    where
        T: 'static,
    {
        &mut self.value
    }

    /// Ends the value after the containers were notified: runs callbacks, then the destructor.
    ///
    /// # Safety
    /// It is called once, by a caller that has it alone, and nothing of it is used afterwards.
    unsafe fn end(&mut self) {
        let list = self.watchers.listed().cloned();
        // SAFETY: the caller's promise. It runs no user code, as the list has another owner.
        unsafe { ManuallyDrop::drop(&mut self.watchers) };
        // SAFETY: as above.
        let mut value = || unsafe { ManuallyDrop::drop(&mut self.value) };
        match list {
            Some(list) => list.finish(value),
            None => value(),
        }
    }
}

impl<T: ?Sized> Drop for WatchedInner<T> {
    /// Notifies the watchers and ends the value. No weak pointer can be upgraded any more.
    #[inline]
    fn drop(&mut self) {
        if self.watchers.listed().is_some() || teardown::is_deepest() {
            self.notify_and_end();
        } else if needs_drop::<T>() {
            // SAFETY: dropped once, here, and not used afterwards. There is no list that would have to be
            // freed.
            teardown::descend(|| unsafe { ManuallyDrop::drop(&mut self.value) });
        }
    }
}

impl<T: ?Sized> WatchedInner<T> {
    #[cold]
    #[inline(never)]
    fn notify_and_end(&mut self) {
        let postponed = Offer::take(self);
        let mut panics = Panics::new();
        if let Some(list) = self.watchers.listed() {
            panics.catch(|| list.notify_containers());
        }
        if !postponed {
            // SAFETY: this is the drop, and nobody ends it later.
            panics.catch(|| teardown::descend(|| unsafe { self.end() }));
        }
    }
}

impl<T: ?Sized> fmt::Debug for WatchedInner<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedInner").finish_non_exhaustive()
    }
}

local! {
    /// The address of the one, if any, whose memory outlasts its drop.
    static OFFERED: Cell<*const ()> = Cell::new(ptr::null());
}

/// An owner's offer to end the value later, if it turns out to be the last owner. Until it is taken or
/// withdrawn, nothing runs but the owner's drop up to that of the allocation.
struct Offer(*const ());

impl Offer {
    fn address<T: ?Sized>(inner: &WatchedInner<T>) -> *const () {
        ptr::from_ref(inner).cast()
    }

    fn make<T: ?Sized>(inner: &WatchedInner<T>) -> Self {
        let address = Self::address(inner);
        OFFERED.with(|offered| offered.set(address));
        Self(address)
    }

    /// Takes the offer, if there is one. Returns whether the drop has to leave the end to the caller that
    /// made it.
    fn take<T: ?Sized>(inner: &WatchedInner<T>) -> bool {
        let address = Self::address(inner);
        OFFERED.with(|offered| {
            let taken = offered.get() == address;
            if taken {
                offered.set(ptr::null());
            }
            taken
        })
    }

    /// Withdraws the offer. Returns whether it has been taken.
    fn withdraw(self) -> bool {
        OFFERED.with(|offered| offered.replace(ptr::null())) != self.0
    }
}

/// An owner. An `Arc` frees its memory after the value's drop; so an owner that is dropped deep down keeps
/// the memory by a weak pointer.
pub(in crate::pointer) struct WatchedOwner<T: ?Sized>(ManuallyDrop<ModelArc<WatchedInner<T>>>);

impl<T: ?Sized> WatchedOwner<T> {
    pub(crate) fn new(inner: ModelArc<WatchedInner<T>>) -> Self {
        Self(ManuallyDrop::new(inner))
    }

    pub(in crate::pointer) fn into_arc(self) -> ModelArc<WatchedInner<T>> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once, since `this` is not dropped.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }
}

impl<T: ?Sized> Deref for WatchedOwner<T> {
    type Target = ModelArc<WatchedInner<T>>;

    #[inline]
    fn deref(&self) -> &ModelArc<WatchedInner<T>> {
        &self.0
    }
}

impl<T: ?Sized> DerefMut for WatchedOwner<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut ModelArc<WatchedInner<T>> {
        &mut self.0
    }
}

impl<T: ?Sized> Drop for WatchedOwner<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        let inner = unsafe { ManuallyDrop::take(&mut self.0) };
        if teardown::is_deepest() {
            drop_deep(inner);
        }
    }
}

/// Drops an owner, and if it was the last, ends the value later.
#[cold]
#[inline(never)]
fn drop_deep<T: ?Sized>(inner: ModelArc<WatchedInner<T>>) {
    let memory = ModelArc::downgrade(&inner);
    let offer = Offer::make(&inner);
    let mut panics = Panics::new();
    // A container may panic.
    panics.catch(|| drop(inner));
    if offer.withdraw() {
        // SAFETY: the drop has left the end to this call. The value borrows nothing.
        teardown::put_aside(unsafe { Dead::new(pack(memory), end::<T>) });
    }
}

/// # Safety
/// `what` is a packed weak pointer to an allocation that was dropped but not ended.
unsafe fn end<T: ?Sized>(what: [*const (); 2]) {
    // SAFETY: the caller's promise.
    let memory = unsafe { unpack::<ModelWeak<WatchedInner<T>>>(what) };
    let inner = remains(&memory);
    // SAFETY: the weak pointer keeps the memory; dead, so nobody else gets at what is in it.
    unsafe { (*inner).end() }
}

fn pack<W>(thing: W) -> [*const (); 2] {
    const { assert!(size_of::<W>() <= size_of::<[*const (); 2]>()) }
    const { assert!(align_of::<W>() <= align_of::<*const ()>()) }
    let mut words: [*const (); 2] = [ptr::null(); 2];
    // SAFETY: there is room. Whatever bytes a pointer and its metadata have are valid in words that are only
    // copied.
    unsafe { words.as_mut_ptr().cast::<W>().write(thing) };
    words
}

/// # Safety
/// `words` are those of a `W` that was packed, and is unpacked once.
unsafe fn unpack<W>(words: [*const (); 2]) -> W {
    // SAFETY: the caller's promise.
    unsafe { words.as_ptr().cast::<W>().read() }
}
