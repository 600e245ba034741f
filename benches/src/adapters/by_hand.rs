//! A concurrent map of `Weak`s, written by hand with care: what one builds without an interner from crates.io.
//!
//! The usual faults are avoided. The last owner removes the entry (in the drop of the value, not by testing the count
//! before it falls), and only if the entry still is its own. No strong pointer is ever dropped under a lock of the map.

use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;

use crate::subject::{Role, Subject};

/// The map, and what it is asked to do. (Wrapped in a type, because the values name the map that they are in.)
pub trait Index: Sync + Send + Sized + 'static {
    const NAME: &'static str;

    fn new() -> Self;

    /// The live value of `key`.
    fn find(&self, key: &str) -> Option<Interned<Self>>;

    /// Makes `new` the value of its text, unless there is a live one: then that one is returned.
    fn publish(&self, new: &Interned<Self>) -> Option<Interned<Self>>;

    /// Removes the entry of `dead`, if it is still its own.
    fn forget(&self, dead: &Value<Self>);

    /// Calls `f` with all live values, and with no lock held.
    fn for_each(&self, f: &mut dyn FnMut(&Interned<Self>));

    /// Entries, dead ones too.
    fn entry_count(&self) -> usize;

    fn shrink(&self);
}

/// An interned string. It dies with its last handle, and takes its entry along.
pub struct Value<I: Index> {
    /// Shared with the key in the map.
    text: Arc<str>,
    index: &'static I,
}

impl<I: Index> Drop for Value<I> {
    fn drop(&mut self) {
        self.index.forget(self);
    }
}

pub type Interned<I> = Arc<Value<I>>;

/// The interner over a map of one's choice.
pub struct ByHand<I: Index> {
    /// Leaked, as if in a `static`, which is where such a map usually is: values need no count on it.
    index: &'static I,
}

impl<I: Index> ByHand<I> {
    /// Entries in the map, dead ones too.
    pub fn entry_count(&self) -> usize {
        self.index.entry_count()
    }

    /// The live value of `key`.
    #[inline]
    pub fn find(&self, key: &str) -> Option<Interned<I>> {
        self.index.find(key)
    }

    /// Calls `f` with all live values, and with no lock held.
    pub fn for_each(&self, f: &mut dyn FnMut(&Interned<I>)) {
        self.index.for_each(f);
    }

    /// As [`Subject::intern`], where creating a value takes some work: each of those who miss does it.
    #[inline]
    pub fn intern_with(&self, key: &str, work: impl FnOnce()) -> Interned<I> {
        match self.index.find(key) {
            Some(live) => live,
            None => self.create(key, work),
        }
    }
}

impl<I: Index> Subject for ByHand<I> {
    const NAME: &'static str = I::NAME;
    const ROLE: Role = Role::Peer;
    type Handle = Interned<I>;

    fn build(_live: usize) -> Self {
        ByHand {
            index: Box::leak(Box::new(I::new())),
        }
    }

    fn intern(&self, key: &str) -> Self::Handle {
        self.intern_with(key, || {})
    }

    fn contains(&self, key: &str) -> Option<bool> {
        Some(self.index.find(key).is_some())
    }
}

impl<I: Index> ByHand<I> {
    #[cold]
    fn create(&self, key: &str, work: impl FnOnce()) -> Interned<I> {
        work();
        let new = Arc::new(Value {
            text: Arc::from(key),
            index: self.index,
        });
        // If another thread was faster, `new` is dropped here, without a lock; it finds that the entry is not its own.
        self.index.publish(&new).unwrap_or(new)
    }
}

impl<I: Index> Drop for ByHand<I> {
    fn drop(&mut self) {
        self.index.shrink();
    }
}

/// The key shares its text with the value.
type Entry<I> = (Arc<str>, Weak<Value<I>>);

fn entry_of<I: Index>(value: &Interned<I>) -> Entry<I> {
    (Arc::clone(&value.text), Arc::downgrade(value))
}

/// Whether `weak` is the entry of `value`, which may be dead. While it is being dropped its memory is not reused.
fn is_of<I: Index>(weak: &Weak<Value<I>>, value: &Value<I>) -> bool {
    std::ptr::eq(weak.as_ptr(), value)
}

/// dashmap: a lock for each shard; look-ups read-lock it.
pub struct Dashmap(dashmap::DashMap<Arc<str>, Weak<Value<Self>>, RandomState>);

pub type DashmapWeak = ByHand<Dashmap>;

impl Index for Dashmap {
    const NAME: &'static str = "dashmap+Weak";

    fn new() -> Self {
        Dashmap(dashmap::DashMap::default())
    }

    fn find(&self, key: &str) -> Option<Interned<Self>> {
        self.0.view(key, |_, weak| weak.upgrade()).flatten()
    }

    fn publish(&self, new: &Interned<Self>) -> Option<Interned<Self>> {
        use dashmap::Entry::{Occupied, Vacant};
        let (text, weak) = entry_of(new);
        match self.0.entry(text) {
            Occupied(mut entry) => match entry.get().upgrade() {
                Some(live) => return Some(live),
                None => drop(entry.insert(weak)),
            },
            Vacant(entry) => drop(entry.insert(weak)),
        }
        None
    }

    fn forget(&self, dead: &Value<Self>) {
        self.0.remove_if(&*dead.text, |_, weak| is_of(weak, dead));
    }

    fn for_each(&self, f: &mut dyn FnMut(&Interned<Self>)) {
        // Owners first: one of them may be the last by the time that `f` is through.
        let upgraded = self.0.iter().filter_map(|entry| entry.upgrade());
        let owners: Vec<_> = upgraded.collect();
        owners.iter().for_each(f);
    }

    fn entry_count(&self) -> usize {
        self.0.len()
    }

    fn shrink(&self) {
        self.0.shrink_to_fit();
    }
}

/// scc's `HashMap`: a lock for each bucket of 32 entries.
pub struct SccMap(scc::HashMap<Arc<str>, Weak<Value<Self>>, RandomState>);

pub type SccMapWeak = ByHand<SccMap>;

impl Index for SccMap {
    const NAME: &'static str = "scc map+Weak";

    fn new() -> Self {
        SccMap(scc::HashMap::default())
    }

    fn find(&self, key: &str) -> Option<Interned<Self>> {
        self.0.read_sync(key, |_, weak| weak.upgrade()).flatten()
    }

    fn publish(&self, new: &Interned<Self>) -> Option<Interned<Self>> {
        use scc::hash_map::Entry::{Occupied, Vacant};
        let (text, weak) = entry_of(new);
        match self.0.entry_sync(text) {
            Occupied(mut entry) => match entry.get().upgrade() {
                Some(live) => return Some(live),
                None => drop(entry.insert(weak)),
            },
            Vacant(entry) => drop(entry.insert_entry(weak)),
        }
        None
    }

    fn forget(&self, dead: &Value<Self>) {
        self.0.remove_if_sync(&*dead.text, |weak| is_of(weak, dead));
    }

    fn for_each(&self, f: &mut dyn FnMut(&Interned<Self>)) {
        let mut owners = Vec::with_capacity(self.0.len());
        self.0.iter_sync(|_, weak| {
            owners.extend(weak.upgrade());
            true
        });
        owners.iter().for_each(f);
    }

    fn entry_count(&self) -> usize {
        self.0.len()
    }

    // It shrinks by itself.
    fn shrink(&self) {}
}

/// scc's `HashIndex`: look-ups take no lock but an epoch; what is removed is freed later.
pub struct SccIndex(scc::HashIndex<Arc<str>, Weak<Value<Self>>, RandomState>);

pub type SccIndexWeak = ByHand<SccIndex>;

impl Index for SccIndex {
    const NAME: &'static str = "scc index+Weak";

    fn new() -> Self {
        SccIndex(scc::HashIndex::default())
    }

    fn find(&self, key: &str) -> Option<Interned<Self>> {
        self.0.peek_with(key, |_, weak| weak.upgrade()).flatten()
    }

    fn publish(&self, new: &Interned<Self>) -> Option<Interned<Self>> {
        use scc::hash_index::Entry::{Occupied, Vacant};
        let (text, weak) = entry_of(new);
        match self.0.entry_sync(text) {
            Occupied(mut entry) => match entry.get().upgrade() {
                Some(live) => return Some(live),
                None => entry.update(weak),
            },
            Vacant(entry) => drop(entry.insert_entry(weak)),
        }
        None
    }

    fn forget(&self, dead: &Value<Self>) {
        self.0.remove_if_sync(&*dead.text, |weak| is_of(weak, dead));
    }

    fn for_each(&self, f: &mut dyn FnMut(&Interned<Self>)) {
        // Reading takes no lock, so owners need not be kept.
        let guard = scc::Guard::new();
        for (_, weak) in self.0.iter(&guard) {
            if let Some(live) = weak.upgrade() {
                f(&live);
            }
        }
    }

    fn entry_count(&self) -> usize {
        self.0.len()
    }

    // It shrinks by itself.
    fn shrink(&self) {}
}
