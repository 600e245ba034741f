//! The payload of a registry's node: a key, its value, and its watch.

use crate::memory::node::NodePtr;
use crate::pointer::watchers::{WatchList, Watchers};
use crate::sync::{AtomicPtr, Mutex, OnceCell, Ordering};
use crate::table::payload::{payload, Halves, Payload};
use std::marker::PhantomData;
use std::mem::{align_of, needs_drop, offset_of, size_of};
use std::ptr;
use std::sync::Arc;

/// The payload. The key comes first, beside the header, where look-ups read it.
#[repr(C)]
pub(crate) struct RegistryNode<K, V> {
    key: K,
    value: V,
    /// Shared by the weak handles, made for the first of them: null, or a leaked `Arc<Watch>`.
    watch: AtomicPtr<Watch>,
}

// SAFETY: `key` and `drop_in_place` work on what `write_key` wrote and what is in `value_place`; size and
// alignment are the struct's.
unsafe impl<K, V> Payload for RegistryNode<K, V> {
    type Key = K;
    const ALIGN: usize = align_of::<Self>();
    const NEEDS_DROP: bool = needs_drop::<K>() || needs_drop::<V>();
    const FIXED_SIZE: Option<usize> = Some(size_of::<Self>());
    const HAS_DRAFTS: bool = true;

    fn size(_: u32) -> usize {
        size_of::<Self>()
    }

    #[inline(always)]
    unsafe fn key<'a>(node: NodePtr) -> &'a K {
        // SAFETY: the key is written, and the caller keeps it; the reference covers the key alone.
        unsafe {
            &*payload::<Self>(node)
                .wrapping_add(offset_of!(Self, key))
                .cast::<K>()
        }
    }

    unsafe fn mark_dead(node: NodePtr) -> Option<Arc<WatchList>> {
        // SAFETY: complete, and the caller's alone.
        let watch = unsafe { &(*payload::<Self>(node).cast::<Self>()).watch };
        // Acquire: pairs with the Release in `Watch::of` and `PendingWatch::new`. The caller is alone, so
        // nobody makes one now.
        let watch = watch.swap(ptr::null_mut(), Ordering::Acquire);
        if watch.is_null() {
            return None;
        }
        // SAFETY: leaked by `Watch::of` or `PendingWatch::new`, and taken back once.
        let watch = unsafe { Arc::from_raw(watch) };
        *watch.node.lock() = None;
        watch.watchers.listed().cloned()
    }

    unsafe fn drop_in_place(node: NodePtr) {
        /// Drops the key also when the value's destructor panics.
        struct Key<K>(*mut K);
        impl<K> Drop for Key<K> {
            fn drop(&mut self) {
                // SAFETY: written, and dropped here only.
                unsafe { self.0.drop_in_place() }
            }
        }
        // SAFETY: complete, and the caller's alone. `mark_dead` has taken the watch, if there was one.
        unsafe {
            let entry = payload::<Self>(node).cast::<Self>();
            let _key = Key(ptr::addr_of_mut!((*entry).key));
            ptr::addr_of_mut!((*entry).value).drop_in_place();
        }
    }
}

// SAFETY: all work on the fields of the struct that `drop_in_place` drops.
unsafe impl<K, V> Halves for RegistryNode<K, V> {
    type First = K;
    type Value = V;

    unsafe fn write_key(node: NodePtr, key: K) {
        let entry = payload::<Self>(node).cast::<Self>();
        // SAFETY: room for an entry, and the caller's alone.
        unsafe {
            ptr::addr_of_mut!((*entry).key).write(key);
            ptr::addr_of_mut!((*entry).watch).write(AtomicPtr::new(ptr::null_mut()));
        }
    }

    #[inline(always)]
    fn value_place(node: NodePtr) -> *mut V {
        payload::<Self>(node)
            .wrapping_add(offset_of!(Self, value))
            .cast()
    }

    unsafe fn take_key(node: NodePtr) -> K {
        // SAFETY: the caller's promise.
        unsafe { ptr::addr_of!((*payload::<Self>(node).cast::<Self>()).key).read() }
    }
}

impl<K, V> RegistryNode<K, V> {
    pub(in crate::registry) fn value(&self) -> &V {
        &self.value
    }
}

/// The part that all weak handles of one value share: the way back to the node while it lives.
pub(crate) struct Watch {
    /// The node, until its last owner has gone. The lock is held for a few instructions, never while user
    /// code runs, and keeps the node from being freed while somebody tries to become an owner.
    node: Mutex<Option<Target>>,
    /// The value's hash, once somebody asked for it while the value lived.
    pub(in crate::registry) hash: OnceCell<u64>,
    /// Those to be notified of the death. Only owners of the value add to it.
    pub(in crate::registry) watchers: Watchers,
}

#[derive(Clone, Copy)]
struct Target(NodePtr);

// SAFETY: a pointer that is only followed under the lock, as argued there.
unsafe impl Send for Target {}

/// The watch of a value that is written and not entered; given up when dropped.
pub(in crate::registry) struct PendingWatch<K, V>(NodePtr, PhantomData<(K, V)>);

impl<K, V> PendingWatch<K, V> {
    /// Lets the weak handles that share `watch` lead to this node: to nothing until it has an owner.
    ///
    /// # Safety
    /// The node is of this kind and complete, and the caller has it alone, until this is dropped or
    /// [`publish`](Self::publish).
    pub(in crate::registry) unsafe fn new(node: NodePtr, watch: Arc<Watch>) -> Self {
        // SAFETY: the caller's promise.
        let entry = unsafe { &*payload::<RegistryNode<K, V>>(node).cast::<RegistryNode<K, V>>() };
        *watch.node.lock() = Some(Target(node));
        // Release: pairs with the Acquire in `mark_dead` and `Watch::of`. Nobody else makes a watch for this
        // value: it has no other owner who could ask for one.
        entry
            .watch
            .store(Arc::into_raw(watch).cast_mut(), Ordering::Release);
        Self(node, PhantomData)
    }

    pub(in crate::registry) fn publish(self) {
        std::mem::forget(self);
    }
}

impl<K, V> Drop for PendingWatch<K, V> {
    fn drop(&mut self) {
        // SAFETY: complete, and alone the caller's, by the promise to `new`.
        let watchers = unsafe { RegistryNode::<K, V>::mark_dead(self.0) };
        debug_assert!(watchers.is_none(), "only owners watch");
    }
}

impl Watch {
    pub(in crate::registry) fn pending() -> Arc<Self> {
        Arc::new(Self {
            node: Mutex::new(None),
            hash: OnceCell::new(),
            watchers: Watchers::new(),
        })
    }

    /// Returns the watch of a value, made at the first call.
    pub(in crate::registry) fn of<K, V>(entry: &RegistryNode<K, V>, node: NodePtr) -> Arc<Watch> {
        let mut watch = entry.watch.load(Ordering::Acquire);
        if watch.is_null() {
            let fresh = Watch {
                node: Mutex::new(Some(Target(node))),
                hash: OnceCell::new(),
                watchers: Watchers::new(),
            };
            let fresh = Arc::into_raw(Arc::new(fresh)).cast_mut();
            // Release: pairs with the Acquire above and in `mark_dead`.
            match entry
                .watch
                .compare_exchange(watch, fresh, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => watch = fresh,
                Err(theirs) => {
                    // SAFETY: made above, and shown to nobody.
                    drop(unsafe { Arc::from_raw(fresh) });
                    watch = theirs;
                }
            }
        }
        // SAFETY: leaked once, here or by `PendingWatch::new`, and taken back when the value dies, which the
        // borrow of the entry forbids.
        unsafe {
            Arc::increment_strong_count(watch);
            Arc::from_raw(watch)
        }
    }

    /// Becomes an owner of the node, unless its last one has gone or its value is a draft.
    pub(in crate::registry) fn acquire(&self) -> Option<NodePtr> {
        let node = self.node.lock();
        let target = (*node)?.0;
        // SAFETY: the last owner sets this to `None`, under the lock, before it frees the node.
        let header = unsafe { target.as_ref() };
        (!header.is_hidden() && header.acquire()).then_some(target)
    }

    /// Returns how many owners the value has at this moment; 0 while it is a draft.
    pub(in crate::registry) fn owners(&self) -> u32 {
        let node = self.node.lock();
        let Some(target) = *node else { return 0 };
        // SAFETY: as in `acquire`.
        let header = unsafe { target.0.as_ref() };
        if header.is_hidden() {
            0
        } else {
            header.owners()
        }
    }
}
