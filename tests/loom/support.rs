//! What the models share: keys whose hash is chosen (`keys`), values that count their drops.

pub use crate::keys::*;
use highlander::{Interner, Registry};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// Runs `f` under every interleaving with up to `LOOM_MAX_PREEMPTIONS` (3) forced switches.
pub fn model(f: impl Fn() + Send + Sync + 'static) {
    model_with(3, f);
}

/// As `model`, with another default bound.
pub fn model_with(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    if builder.preemption_bound.is_none() {
        builder.preemption_bound = Some(preemptions);
    }
    builder.max_branches = 20_000;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        f();
    });
    println!("{} interleavings", runs.load(Ordering::Relaxed));
}

/// Turns a switch of the models on while it lives.
pub struct Switch(fn(bool));

impl Switch {
    pub fn on(set: fn(bool)) -> Self {
        set(true);
        Self(set)
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.0(false);
    }
}

pub type Reg<V> = Registry<Key, V, PlacedHasher>;
pub type Int = Interner<Content, PlacedHasher>;

pub fn registry<V: 'static>() -> Arc<Reg<V>> {
    Arc::new(Registry::with_hasher(PlacedHasher::default()))
}

pub fn interner() -> Arc<Int> {
    Arc::new(Interner::with_hasher(PlacedHasher::default()))
}

/// Counts what is made and dropped. Not loom's: the count is looked at when all threads have been joined.
#[derive(Clone, Default)]
pub struct Tally {
    made: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Tally {
    pub fn value(&self) -> Counted {
        self.made.fetch_add(1, Ordering::Relaxed);
        Counted {
            live: loom::cell::UnsafeCell::new(true),
            tally: self.clone(),
        }
    }

    pub fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    pub fn live(&self) -> usize {
        self.made() - self.dropped.load(Ordering::Relaxed)
    }
}

/// A value that tells the model when it is read and when it dies: reading it without an order between the two fails.
pub struct Counted {
    live: loom::cell::UnsafeCell<bool>,
    tally: Tally,
}

// SAFETY: the cell is only written by the destructor; loom checks that nobody reads it then.
unsafe impl Send for Counted {}
// SAFETY: as above.
unsafe impl Sync for Counted {}

impl Counted {
    pub fn read(&self) {
        // SAFETY: only the destructor writes.
        assert!(
            self.live.with(|live| unsafe { *live }),
            "read after it was dropped"
        );
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // SAFETY: the destructor has the value alone, or loom says otherwise.
        self.live.with_mut(|live| unsafe { *live = false });
        self.tally.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Interned content: compared by key, and counted like the above.
pub struct Content {
    pub key: Key,
    counted: Counted,
}

impl Content {
    pub fn new(key: Key, tally: &Tally) -> Self {
        Self {
            key,
            counted: tally.value(),
        }
    }

    pub fn read(&self) -> Key {
        self.counted.read();
        self.key
    }
}

impl Clone for Content {
    fn clone(&self) -> Self {
        self.counted.read();
        Self {
            key: self.key,
            counted: self.counted.tally.value(),
        }
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.read() == other.read()
    }
}

impl Eq for Content {}

impl Hash for Content {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl highlander::Equivalent<Content> for Key {
    fn equivalent(&self, content: &Content) -> bool {
        *self == content.read()
    }
}
