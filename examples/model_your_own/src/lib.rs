//! A cache of what was read from a slow source, on top of a [`Registry`].
//!
//! `tests/model.rs` models it with loom.

// Atomics, locks and threads come from one place: loom's in a model, those of `std` otherwise.
#[cfg(all(highlander_loom, feature = "loom"))]
use loom::sync::atomic::{AtomicUsize, Ordering};
#[cfg(not(all(highlander_loom, feature = "loom")))]
use std::sync::atomic::{AtomicUsize, Ordering};

use highlander::{Handle, Registry};
use std::hash::Hash;

/// What was read for a key.
pub struct Reading<V> {
    pub value: V,
    /// How often the source had changed before.
    generation: usize,
}

/// Reads once for each key, as long as somebody owns what was read, and the source has not changed.
pub struct Cache<K, V> {
    readings: Registry<K, Reading<V>>,
    /// How often the source has changed.
    generation: AtomicUsize,
}

impl<K: Hash + Eq + Clone + 'static, V: 'static> Cache<K, V> {
    /// Creates an empty cache. Not `const`: in a model, neither `Registry::new` nor `AtomicUsize::new` is.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self {
            readings: Registry::new(),
            generation: AtomicUsize::new(0),
        }
    }

    /// Says that the source has changed: no later call returns what was read before.
    pub fn source_has_changed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Returns what the source says about this key, now or at a later moment during the call.
    pub fn load(&self, key: K, read: impl Fn(&K) -> V) -> Handle<K, Reading<V>> {
        let now = self.generation.load(Ordering::Acquire);
        loop {
            let reading = self
                .readings
                .entry(key.clone())
                .valid_if(|reading| reading.generation >= now)
                .or_insert_with(|key| self.read(key, &read));
            // It may be of a flight that began before `now`: what a flight has made, those who waited for it
            // get unasked.
            if reading.generation >= now {
                return reading;
            }
        }
    }

    /// Takes the generation before it reads: if the source changes meanwhile, this reading is an old one.
    #[cfg(not(feature = "planted"))]
    fn read(&self, key: &K, read: impl Fn(&K) -> V) -> Reading<V> {
        let generation = self.generation.load(Ordering::Acquire);
        let value = read(key);
        Reading { value, generation }
    }

    /// The planted race: takes the generation after it has read, so an old value passes for a new one.
    #[cfg(feature = "planted")]
    fn read(&self, key: &K, read: impl Fn(&K) -> V) -> Reading<V> {
        let value = read(key);
        let generation = self.generation.load(Ordering::Acquire);
        Reading { value, generation }
    }
}
