//! What the models share: keys whose hash is chosen, values that count their drops.

use highlander::{Interner, Registry};
use std::hash::{BuildHasherDefault, Hash, Hasher};
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

/// A key that says where it goes: keys with the same place share a bucket and a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub place: u32,
    pub id: u32,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.place);
    }
}

/// Keys in the same bucket, with different hashes.
pub const A: Key = Key { place: 1, id: 1 };
pub const B: Key = Key { place: 2, id: 2 };
pub const C: Key = Key { place: 3, id: 3 };
pub const D: Key = Key { place: 4, id: 5 };
/// The same hash as `A`.
pub const A2: Key = Key { place: 1, id: 4 };

/// Sends each place to the first bucket, with a tag of its own.
#[derive(Default, Clone)]
pub struct Placed(u64);

impl Hasher for Placed {
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys write one u32");
    }

    fn write_u32(&mut self, place: u32) {
        // The table multiplies by an odd number; undo that, so that the place ends up in the tag (bits 24 to 31) and, above
        // 255, in the bits that choose the bucket.
        let wanted = (u64::from(place) << 24) | u64::from(place >> 8) << 62;
        self.0 = wanted.wrapping_mul(inverse(0x9E37_79B9_7F4A_7C15));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The inverse of an odd number modulo 2^64, by Newton's iteration.
const fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    let mut i = 0;
    while i < 6 {
        x = x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x)));
        i += 1;
    }
    x
}

pub type PlacedHasher = BuildHasherDefault<Placed>;
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
