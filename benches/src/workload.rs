//! The keys: which ones live in the interner, and which are looked up in which order.

use std::hint::black_box;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};

use crate::cell::Cell;

/// Length of every key: not short enough to be stored inside a one-word handle.
pub const KEY_LEN: usize = 12;

/// Keys in each prepared stream. Long enough that at 1 000 000 live keys the caches do not learn it.
const STREAM_LEN: usize = 1 << 20;

/// Copies of the hot key, so that a compiler that sees the whole loop can't hash it once for all.
const HOT_LEN: usize = 256;

/// The fresh keys of thread `t` are numbered from `FRESH * (t + 1)`: none of them is ever live.
const FRESH: u64 = 1 << 30;

/// Text number `number` of key space `space`: `k` and 11 hexadecimal digits.
/// The number is scrambled (one to one), so that neighbours do not look alike.
pub fn key(space: u8, number: u64) -> [u8; KEY_LEN] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    debug_assert!(number < 1 << 36);
    // A product with an odd number is a bijection on the low 44 bits.
    let mut rest =
        ((u64::from(space) << 36 | number).wrapping_mul(0x9E3_779B_97F5)) & ((1 << 44) - 1);
    rest ^= rest >> 22;
    let mut text = [b'k'; KEY_LEN];
    for digit in text[1..].iter_mut().rev() {
        *digit = DIGITS[(rest & 15) as usize];
        rest >>= 4;
    }
    text
}

/// Keys one after the other in memory: copies of their own, as text that has just been read would be.
///
/// A stream holds the keys themselves in the order of look-up, not their numbers: a program has the text that it
/// wants to intern at hand, and what should miss the cache is the interner, not the benchmark.
pub struct Keys {
    texts: Vec<[u8; KEY_LEN]>,
    /// `KEY_LEN`, but unknown to the compiler: no interner may be compiled for keys of just this length.
    len: usize,
}

impl Keys {
    pub fn new(texts: impl Iterator<Item = [u8; KEY_LEN]>) -> Self {
        Keys {
            texts: texts.collect(),
            len: black_box(KEY_LEN),
        }
    }

    /// The keys numbered `first..first + count` of `space`.
    pub fn numbered(space: u8, first: u64, count: usize) -> Self {
        Self::new((first..).take(count).map(|number| key(space, number)))
    }

    pub fn count(&self) -> usize {
        self.texts.len()
    }

    pub fn get(&self, index: usize) -> &str {
        self.text(&self.texts[index])
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|text| self.text(text))
    }

    /// `count` keys from `start` on, from the beginning again at the end.
    pub fn cycle(&self, start: usize, count: usize) -> impl Iterator<Item = &[[u8; KEY_LEN]]> {
        let (mut at, mut left) = (start % self.texts.len(), count);
        std::iter::from_fn(move || {
            let piece = &self.texts[at..self.texts.len().min(at + left)];
            (at, left) = (0, left - piece.len());
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// Calls `each` with `count` keys from `start` on, from the beginning again at the end.
    pub fn for_each(&self, start: usize, count: usize, mut each: impl FnMut(&str)) {
        for piece in self.cycle(start, count) {
            for text in piece {
                each(self.text(text));
            }
        }
    }

    fn text<'a>(&self, text: &'a [u8; KEY_LEN]) -> &'a str {
        // SAFETY: `key` makes ASCII, and `len` is `KEY_LEN`. (Checking 12 bytes costs as much as some of the hits.)
        unsafe { std::str::from_utf8_unchecked(text.get_unchecked(..self.len)) }
    }
}

/// The streams of one thread.
struct Streams {
    uniform: Keys,
    zipf: Keys,
    hot: Keys,
    fresh: Keys,
    mix: Keys,
}

/// The live keys, and for each thread a stream of look-ups for each cell; made once, before any clock runs.
pub struct Workload {
    pub live: Keys,
    streams: Vec<Streams>,
}

impl Workload {
    /// `space` keeps workloads apart that meet in the same process-global interner.
    pub fn new(space: u8, live: usize, threads: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(live as u64);
        // Which key has which rank is drawn by lot: neighbours in rank are no neighbours in memory.
        let mut by_rank: Vec<u64> = (0..live as u64).collect();
        by_rank.shuffle(&mut rng);
        let streams = (0..threads)
            .map(|thread| {
                Streams::new(
                    space,
                    FRESH * (thread as u64 + 1),
                    &by_rank,
                    &mut StdRng::seed_from_u64(thread as u64),
                )
            })
            .collect();
        Workload {
            live: Keys::numbered(space, 0, live),
            streams,
        }
    }

    pub fn stream(&self, cell: Cell, thread: usize) -> &Keys {
        let streams = &self.streams[thread];
        match cell {
            Cell::Uniform => &streams.uniform,
            Cell::Zipf => &streams.zipf,
            Cell::Hot => &streams.hot,
            Cell::Fresh => &streams.fresh,
            Cell::Mix => &streams.mix,
        }
    }
}

impl Streams {
    fn new(space: u8, first_fresh: u64, by_rank: &[u64], rng: &mut StdRng) -> Self {
        let live = by_rank.len();
        let zipf = Zipf::new(live as f64, 0.99).expect("a positive count and exponent");
        let uniform: Vec<u64> = (0..STREAM_LEN)
            .map(|_| rng.random_range(0..live as u64))
            .collect();
        let ranked = (0..STREAM_LEN)
            // Zipf draws ranks from 1 on.
            .map(|_| by_rank[(zipf.sample(rng) as usize).clamp(1, live) - 1]);
        let mixed = uniform.iter().zip(first_fresh..).enumerate();
        let mixed = mixed.map(|(i, (&hit, fresh))| if i % 10 == 9 { fresh } else { hit });
        let keys =
            |numbers: &mut dyn Iterator<Item = u64>| Keys::new(numbers.map(|n| key(space, n)));
        Streams {
            zipf: keys(&mut { ranked }),
            hot: keys(&mut std::iter::repeat_n(by_rank[0], HOT_LEN)),
            fresh: Keys::numbered(space, first_fresh, STREAM_LEN),
            mix: keys(&mut { mixed }),
            uniform: keys(&mut uniform.iter().copied()),
        }
    }
}
