//! From a key to the 64 bits that the table works with.

use foldhash::fast::FoldHasher;
use foldhash::SharedSeed;
use once_cell::sync::OnceCell;
use std::hash::{BuildHasher, Hash, Hasher};

/// The hasher of a registry whose user names none: fast, and keyed with a secret that each process draws from
/// the system's source of randomness at its first use, so that nobody can prepare keys that collide.
///
/// It takes no space and can be built in a constant, so a registry with it can be a `static`. All registries
/// of a process share the secret. The function (foldhash) is quick rather than cryptographic: against an
/// attacker who can *measure* collisions and adapt, give the registry a `std::hash::RandomState` instead.
///
/// The function is foldhash's `fast` variant. The `quality` variant adds one step at the end, which cannot
/// separate keys that the steps before have made equal. Over 1000 secrets, both give the runs of one letter,
/// of any length up to 300, no common hash; and both give the same 79 pairs of several such runs in a row (of
/// some 2 million keys) a common one. Over 100 secrets, both spread numbers, words and runs of letters as
/// evenly as chance does. The step costs 3 instructions for an integer and 14 for a string.
///
/// ```
/// use highlander::hash::DefaultHashBuilder;
/// use highlander::Interner;
/// use std::hash::{BuildHasher, RandomState};
///
/// assert_eq!(DefaultHashBuilder.hash_one("kurgan"), DefaultHashBuilder.hash_one("kurgan"));
///
/// let careful: Interner<str, RandomState> = Interner::with_hasher(RandomState::new());
/// careful.intern("kurgan");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultHashBuilder;

struct Secret {
    hasher: u64,
    shared: SharedSeed,
}

static SECRET: OnceCell<Secret> = OnceCell::new();

#[cold]
fn draw_secret() -> Secret {
    // The standard library asks the system for randomness on our behalf.
    let random = std::hash::RandomState::new();
    Secret {
        hasher: random.hash_one(1u8),
        shared: SharedSeed::from_u64(random.hash_one(2u8)),
    }
}

impl BuildHasher for DefaultHashBuilder {
    type Hasher = DefaultHasher;

    #[inline]
    fn build_hasher(&self) -> DefaultHasher {
        let secret = match SECRET.get() {
            Some(secret) => secret,
            None => SECRET.get_or_init(draw_secret),
        };
        DefaultHasher {
            hasher: FoldHasher::with_seed(secret.hasher, &secret.shared),
            after_bytes: false,
        }
    }
}

/// The [`Hasher`] that [`DefaultHashBuilder`] builds.
#[derive(Clone)]
pub struct DefaultHasher {
    hasher: FoldHasher<'static>,
    /// The last thing written was a run of bytes.
    after_bytes: bool,
}

impl std::fmt::Debug for DefaultHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the state: it would give the secret away.
        f.debug_struct("DefaultHasher").finish_non_exhaustive()
    }
}

impl Hasher for DefaultHasher {
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
        self.after_bytes = true;
    }

    #[inline(always)]
    fn write_u8(&mut self, i: u8) {
        // `str` appends this byte, so that "ab", "c" is not "a", "bc". The bytes' length is in their hash.
        if !(self.after_bytes && i == 0xFF) {
            self.hasher.write_u8(i);
        }
        self.after_bytes = false;
    }

    #[inline(always)]
    fn write_u16(&mut self, i: u16) {
        self.after_bytes = false;
        self.hasher.write_u16(i);
    }

    #[inline(always)]
    fn write_u32(&mut self, i: u32) {
        self.after_bytes = false;
        self.hasher.write_u32(i);
    }

    #[inline(always)]
    fn write_u64(&mut self, i: u64) {
        self.after_bytes = false;
        self.hasher.write_u64(i);
    }

    #[inline(always)]
    fn write_u128(&mut self, i: u128) {
        self.after_bytes = false;
        self.hasher.write_u128(i);
    }

    #[inline(always)]
    fn write_usize(&mut self, i: usize) {
        self.after_bytes = false;
        self.hasher.write_usize(i);
    }

    #[inline(always)]
    fn finish(&self) -> u64 {
        self.hasher.finish()
    }
}

/// Returns the hash by which the table finds `key`.
///
/// The table takes the bucket from the upper half and the tag from just below, so a user's hasher that leaves
/// them empty (the identity on small integers, say) must not send every key to one bucket: one multiplication
/// carries the low bits up. The factor is even, so that the lowest bit is 0 in all of them: it is set in the
/// nodes of drafts (see `node`).
#[inline(always)]
pub(crate) fn hash_key<Q: Hash + ?Sized, S: BuildHasher>(hasher: &S, key: &Q) -> u64 {
    hash_one(hasher, key).wrapping_mul(0x9E37_79B9_7F4A_7C15 << 1)
}

/// Hashes like `BuildHasher::hash_one`, but inlined: a call costs a look-up ten instructions.
#[allow(clippy::manual_hash_one)]
#[inline(always)]
fn hash_one<Q: Hash + ?Sized, S: BuildHasher>(hasher: &S, key: &Q) -> u64 {
    let mut hasher = hasher.build_hasher();
    key.hash(&mut hasher);
    hasher.finish()
}
