//! Keys whose hash, bucket and tag are chosen.

use std::hash::{BuildHasherDefault, Hash, Hasher};

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
