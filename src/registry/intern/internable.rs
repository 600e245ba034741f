//! The types that an interner can hold, and their layout in a node.

use crate::memory::node::NodePtr;
use crate::table::payload::Payload;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::marker::PhantomData;
use std::mem::{align_of, needs_drop, size_of, size_of_val, ManuallyDrop};
use std::path::{Path, PathBuf};
use std::ptr;

/// Types whose values an [`Interner`](crate::Interner) can hold: every sized type, and `str`, `[T]`,
/// [`Path`], [`OsStr`] and [`CStr`], which lie in the interner's own memory, without a second allocation.
///
/// The trait is sealed. A type with an alignment above 1024 is refused when the program is compiled; an
/// unsized value of more than `u32::MAX` elements (or bytes), when it is interned, with a panic.
pub trait Internable: sealed::Layout {
    /// The type that owns such a value on its own: `T` itself, [`String`], [`Vec`], [`PathBuf`],
    /// [`OsString`], [`CString`].
    type Owned;

    #[doc(hidden)]
    fn as_ref_of(owned: &Self::Owned) -> &Self;

    /// Compares like `==`, but quicker for short values.
    #[doc(hidden)]
    #[inline(always)]
    fn same(&self, other: &Self) -> bool
    where
        Self: Eq,
    {
        self == other
    }

    /// Moves the value into `to`, which has room for it.
    #[doc(hidden)]
    unsafe fn move_to(owned: Self::Owned, to: *mut u8);
}

/// [`Internable`] types that can be interned from a reference: those where the elements are `Clone`.
///
/// The trait is sealed.
pub trait InternableRef: Internable {
    /// Clones the value into `to`, which has room for it. When a `clone` panics, nothing is left behind.
    #[doc(hidden)]
    unsafe fn clone_to(&self, to: *mut u8);
}

pub(crate) mod sealed {
    /// The layout of a value in memory.
    ///
    /// # Safety
    /// `value_at` must lead to the value that was written there, with the length that `elements` gave.
    /// `bytes_of` and `ALIGN` must fit it.
    pub unsafe trait Layout {
        const ALIGN: usize;
        /// True if dropping a value runs any code.
        const NEEDS_DROP: bool;
        const FIXED_SIZE: Option<usize>;
        fn elements(&self) -> usize;
        fn bytes_of(len: usize) -> usize;
        fn value_at(at: *mut u8, len: usize) -> *mut Self;
    }
}

use sealed::Layout;

// SAFETY: a sized value lies where the pointer leads, whatever the length.
unsafe impl<T> Layout for T {
    const ALIGN: usize = align_of::<T>();
    const NEEDS_DROP: bool = needs_drop::<T>();
    const FIXED_SIZE: Option<usize> = Some(size_of::<T>());

    fn elements(&self) -> usize {
        0
    }

    fn bytes_of(_: usize) -> usize {
        size_of::<T>()
    }

    #[inline(always)]
    fn value_at(at: *mut u8, _: usize) -> *mut Self {
        at.cast()
    }
}

impl<T> Internable for T {
    type Owned = T;

    fn as_ref_of(owned: &T) -> &T {
        owned
    }

    unsafe fn move_to(owned: T, to: *mut u8) {
        // SAFETY: the caller's room is of this type's size and alignment.
        unsafe { to.cast::<T>().write(owned) }
    }
}

impl<T: Clone> InternableRef for T {
    unsafe fn clone_to(&self, to: *mut u8) {
        let clone = self.clone();
        // SAFETY: the caller's room is of this type's size and alignment.
        unsafe { to.cast::<T>().write(clone) }
    }
}

// SAFETY: the `len` elements lie one behind the other.
unsafe impl<T> Layout for [T] {
    const ALIGN: usize = align_of::<T>();
    const NEEDS_DROP: bool = needs_drop::<T>();
    const FIXED_SIZE: Option<usize> = None;

    fn elements(&self) -> usize {
        self.len()
    }

    fn bytes_of(len: usize) -> usize {
        len * size_of::<T>()
    }

    #[inline(always)]
    fn value_at(at: *mut u8, len: usize) -> *mut Self {
        ptr::slice_from_raw_parts_mut(at.cast(), len)
    }
}

impl<T> Internable for [T] {
    type Owned = Vec<T>;

    fn as_ref_of(owned: &Vec<T>) -> &[T] {
        owned
    }

    unsafe fn move_to(mut owned: Vec<T>, to: *mut u8) {
        // SAFETY: the caller has room for `len` elements; the vector forgets them.
        unsafe {
            ptr::copy_nonoverlapping(owned.as_ptr(), to.cast(), owned.len());
            owned.set_len(0);
        }
    }
}

impl<T: Clone> InternableRef for [T] {
    unsafe fn clone_to(&self, to: *mut u8) {
        /// Drops what has been cloned so far when the next `clone` panics.
        struct Done<T>(*mut T, usize);
        impl<T> Drop for Done<T> {
            fn drop(&mut self) {
                // SAFETY: that many elements were written.
                unsafe { ptr::slice_from_raw_parts_mut(self.0, self.1).drop_in_place() }
            }
        }
        let mut done = Done(to.cast::<T>(), 0);
        for element in self {
            let clone = element.clone();
            // SAFETY: the caller has room for `len` elements.
            unsafe { done.0.add(done.1).write(clone) };
            done.1 += 1;
        }
        let _complete = ManuallyDrop::new(done);
    }
}

/// Implements the traits for a type that is bytes with a promise.
macro_rules! bytes {
    ($type:ty, $owned:ty, $same:expr) => {
        // SAFETY: the pointer is that of the bytes, and the type is a wrapper of them.
        unsafe impl Layout for $type {
            const ALIGN: usize = 1;
            const NEEDS_DROP: bool = false;
            const FIXED_SIZE: Option<usize> = None;

            fn elements(&self) -> usize {
                size_of_val(self)
            }

            fn bytes_of(len: usize) -> usize {
                len
            }

            #[inline(always)]
            fn value_at(at: *mut u8, len: usize) -> *mut Self {
                ptr::slice_from_raw_parts_mut(at, len) as *mut Self
            }
        }

        impl Internable for $type {
            type Owned = $owned;

            fn as_ref_of(owned: &Self::Owned) -> &Self {
                owned
            }

            #[inline(always)]
            fn same(&self, other: &Self) -> bool {
                $same(self, other)
            }

            unsafe fn move_to(owned: Self::Owned, to: *mut u8) {
                let value: &$type = &owned;
                // SAFETY: passed on.
                unsafe { value.clone_to(to) }
            }
        }

        impl InternableRef for $type {
            #[inline(always)]
            unsafe fn clone_to(&self, to: *mut u8) {
                let from: *const $type = self;
                // SAFETY: the caller has room for that many bytes.
                unsafe { ptr::copy_nonoverlapping(from.cast::<u8>(), to, size_of_val(self)) }
            }
        }
    };
}

bytes!(str, String, |a: &str, b: &str| same_bytes(
    a.as_bytes(),
    b.as_bytes()
));
bytes!(OsStr, OsString, |a: &OsStr, b: &OsStr| a == b);
// Paths are equal by components, not by bytes.
bytes!(Path, PathBuf, |a: &Path, b: &Path| a == b);
bytes!(CStr, CString, |a: &CStr, b: &CStr| a == b);

/// Compares bytes: 8 to 16 of them by two overlapping loads of each, quicker than a call of `memcmp`.
#[inline(always)]
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    let word = |bytes: &[u8], at: usize| {
        u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
    };
    let len = a.len();
    if len != b.len() {
        return false;
    }
    match len {
        8..=16 => word(a, 0) == word(b, 0) && word(a, len - 8) == word(b, len - 8),
        _ => a == b,
    }
}

/// The payload of an interner's node: the value itself, which is its own key.
pub(in crate::registry) struct Canonical<T: ?Sized>(PhantomData<T>);

// SAFETY: `Layout` says how the value lies; `meta` is its length.
unsafe impl<T: ?Sized + Internable> Payload for Canonical<T> {
    type Key = T;
    const ALIGN: usize = T::ALIGN;
    const NEEDS_DROP: bool = T::NEEDS_DROP;
    const FIXED_SIZE: Option<usize> = T::FIXED_SIZE;

    #[inline(always)]
    fn size(meta: u32) -> usize {
        T::bytes_of(meta as usize)
    }

    #[inline(always)]
    unsafe fn key<'a>(node: NodePtr) -> &'a T {
        // SAFETY: the caller is an owner, or alone.
        let len = unsafe { node.as_ref().meta() } as usize;
        // SAFETY: that is where and how long the value was written.
        unsafe { &*T::value_at(crate::table::payload::payload::<Self>(node), len) }
    }

    unsafe fn drop_in_place(node: NodePtr) {
        // SAFETY: the caller is alone, and the value complete.
        unsafe {
            let len = node.as_ref().meta() as usize;
            T::value_at(crate::table::payload::payload::<Self>(node), len).drop_in_place();
        }
    }
}
