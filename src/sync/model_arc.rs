//! `std::sync::Arc` and `Weak` for models, as loom has no weak pointers: as far as `watched` uses them.

use super::explorer::atomic::{fence, AtomicUsize, Ordering};
use super::explorer::UnsafeCell;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;

/// A real `Arc` keeps the memory; the counts by which the value dies are modelled.
struct ModelCounted<T: ?Sized> {
    strong: AtomicUsize,
    weak: AtomicUsize,
    // Invariant: Some, and not dropped, from when `strong` becomes 1 until after it has become 0.
    value: UnsafeCell<Option<Box<ManuallyDrop<T>>>>,
}

// SAFETY: as for `Arc`: the value is shared by the owners and taken by the last one.
unsafe impl<T: ?Sized + Send + Sync> Send for ModelCounted<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for ModelCounted<T> {}

pub(crate) struct ModelArc<T: ?Sized>(Arc<ModelCounted<T>>);
pub(crate) struct ModelWeak<T: ?Sized>(Arc<ModelCounted<T>>);

impl<T> ModelArc<T> {
    pub(crate) fn new(value: T) -> Self {
        Self::new_cyclic(|_| value)
    }

    pub(crate) fn new_cyclic(make: impl FnOnce(&ModelWeak<T>) -> T) -> Self {
        let weak = ModelWeak(Arc::new(ModelCounted {
            strong: AtomicUsize::new(0),
            weak: AtomicUsize::new(1),
            value: UnsafeCell::new(None),
        }));
        let value = Box::new(ManuallyDrop::new(make(&weak)));
        // SAFETY: nobody reads it while `strong` is 0.
        weak.0.value.with_mut(|cell| unsafe { *cell = Some(value) });
        weak.0.strong.store(1, Ordering::Release);
        Self(Arc::clone(&weak.0))
    }

    pub(crate) fn into_inner(this: Self) -> Option<T> {
        let counted = this.into_memory();
        release(&counted).then(|| take(&counted))
    }

    pub(crate) fn try_unwrap(this: Self) -> Result<T, Self> {
        let (only, none) = (1, 0);
        match this
            .0
            .strong
            .compare_exchange(only, none, Ordering::Acquire, Ordering::Relaxed)
        {
            Ok(_) => Ok(take(&this.into_memory())),
            Err(_) => Err(this),
        }
    }

    /// Turns an owner into its memory, without counting it out.
    fn into_memory(self) -> Arc<ModelCounted<T>> {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: read once, and never dropped where it was.
        unsafe { std::ptr::read(&this.0) }
    }
}

/// Releases one ownership. True for the last one.
fn release<T: ?Sized>(counted: &ModelCounted<T>) -> bool {
    if counted.strong.fetch_sub(1, Ordering::Release) != 1 {
        return false;
    }
    fence(Ordering::Acquire);
    true
}

/// Takes the value out, for the last owner.
fn take<T>(counted: &ModelCounted<T>) -> T {
    // SAFETY: nobody else gets at it any more; loom checks that.
    let value = counted.value.with_mut(|cell| unsafe { (*cell).take() });
    ManuallyDrop::into_inner(*value.expect("the last owner"))
}

/// Returns the address at which a dead value was, which the weak pointer keeps.
pub(crate) fn remains<T: ?Sized>(weak: &ModelWeak<T>) -> *mut T {
    whole(&weak.0)
}

fn whole<T: ?Sized>(counted: &ModelCounted<T>) -> *mut T {
    // SAFETY: as in `take`.
    counted.value.with_mut(|cell| unsafe {
        let value: &mut T = (*cell).as_deref_mut().expect("not taken");
        value
    })
}

impl<T: ?Sized> ModelArc<T> {
    pub(crate) fn downgrade(this: &Self) -> ModelWeak<T> {
        this.0.weak.fetch_add(1, Ordering::Relaxed);
        ModelWeak(Arc::clone(&this.0))
    }

    pub(crate) fn strong_count(this: &Self) -> usize {
        this.0.strong.load(Ordering::Relaxed)
    }

    pub(crate) fn weak_count(this: &Self) -> usize {
        this.0.weak.load(Ordering::Relaxed)
    }

    /// Returns an address, which is only compared.
    pub(crate) fn as_ptr(this: &Self) -> *const () {
        Arc::as_ptr(&this.0).cast()
    }

    pub(crate) fn get_mut(this: &mut Self) -> Option<&mut T> {
        if Self::strong_count(this) != 1 || Self::weak_count(this) != 0 {
            return None;
        }
        fence(Ordering::Acquire);
        let value = this.0.value.with_mut(|cell| cell);
        // SAFETY: the only owner, borrowed alone, and nobody can become another.
        unsafe { (*value).as_deref_mut() }.map(|value| &mut **value)
    }
}

impl<T: ?Sized> Deref for ModelArc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: an owner, so there is a value, and it stays. loom sees the access and its conflicts.
        let value = self.0.value.with(|cell| unsafe { &*cell });
        value.as_deref().expect("owned")
    }
}

impl<T: ?Sized> Clone for ModelArc<T> {
    fn clone(&self) -> Self {
        self.0.strong.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Drop for ModelArc<T> {
    fn drop(&mut self) {
        if release(&self.0) {
            let value = whole(&self.0);
            // SAFETY: the last owner, and nobody gets at it any more. The memory stays for weak pointers.
            unsafe { value.drop_in_place() };
        }
    }
}

impl<T: ?Sized> ModelWeak<T> {
    pub(crate) fn upgrade(&self) -> Option<ModelArc<T>> {
        let mut count = self.0.strong.load(Ordering::Relaxed);
        while count != 0 {
            let result = self.0.strong.compare_exchange(
                count,
                count + 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            match result {
                Ok(_) => return Some(ModelArc(Arc::clone(&self.0))),
                Err(now) => count = now,
            }
        }
        None
    }

    pub(crate) fn strong_count(&self) -> usize {
        self.0.strong.load(Ordering::Relaxed)
    }

    /// Returns an address, which is only compared.
    pub(crate) fn as_ptr(&self) -> *const () {
        Arc::as_ptr(&self.0).cast()
    }
}

impl<T: ?Sized> Clone for ModelWeak<T> {
    fn clone(&self) -> Self {
        self.0.weak.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Drop for ModelWeak<T> {
    fn drop(&mut self) {
        self.0.weak.fetch_sub(1, Ordering::Release);
    }
}
