//! Look-ups of many keys, whose cache misses overlap.
//!
//! A look-up reads a bucket and then a node, and in a large table both miss the cache: the second read cannot
//! begin before the first has ended. So the keys go in groups: all are hashed, their buckets are prefetched,
//! then the nodes to which those lead, then what those lead to, and only then are they looked up, each by a
//! call of its own. All before that is a hint: what becomes of the table meanwhile does no harm.
//!
//! (Without that not even the look-ups of different keys overlap: each ends with a locked instruction, which
//! waits for all reads before it.)

use crate::table::payload::Payload;
use crate::table::Table;
use smallvec::SmallVec;

/// Keys in a group. More do not help: a core has some ten line fill buffers.
const GROUP: usize = 16;

/// An iterator that looks up the keys of `keys`, in order.
pub(crate) struct Batch<'a, B: Payload, I: Iterator, H, W, G> {
    table: &'a Table<B>,
    keys: I,
    hash: H,
    touch: W,
    get: G,
    /// The rest of the group, the next one last.
    group: SmallVec<[(u64, I::Item); GROUP]>,
}

impl<'a, B: Payload, I: Iterator, H, W, G> Batch<'a, B, I, H, W, G> {
    /// Creates one. `hash` returns the hash of a key, `touch` reads what its node leads to, and `get` looks
    /// it up.
    pub(crate) fn new(table: &'a Table<B>, keys: I, hash: H, touch: W, get: G) -> Self {
        Self {
            table,
            keys,
            hash,
            touch,
            get,
            group: SmallVec::new(),
        }
    }
}

impl<B, I, H, W, G> Batch<'_, B, I, H, W, G>
where
    B: Payload,
    I: Iterator,
    H: FnMut(&I::Item) -> u64,
    W: FnMut(u64),
{
    fn next_group(&mut self) {
        // Reversed also when `keys` or `hash` panics: the keys before are still to be looked up.
        struct Filling<'g, T>(&'g mut SmallVec<[T; GROUP]>);
        impl<T> Drop for Filling<'_, T> {
            fn drop(&mut self) {
                self.0.reverse();
            }
        }
        let filling = Filling(&mut self.group);
        while filling.0.len() < GROUP {
            let Some(key) = self.keys.next() else { break };
            filling.0.push(((self.hash)(&key), key));
        }
        drop(filling);
        let hashes = self.group.iter().rev().map(|(hash, _)| *hash);
        self.table.prefetch(hashes.clone());
        hashes.for_each(&mut self.touch);
    }
}

impl<B, I, H, W, G, R> Iterator for Batch<'_, B, I, H, W, G>
where
    B: Payload,
    I: Iterator,
    H: FnMut(&I::Item) -> u64,
    W: FnMut(u64),
    G: FnMut(u64, I::Item) -> R,
{
    type Item = R;

    #[inline]
    fn next(&mut self) -> Option<R> {
        if self.group.is_empty() {
            self.next_group();
        }
        let (hash, key) = self.group.pop()?;
        Some((self.get)(hash, key))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.keys.size_hint();
        let here = self.group.len();
        let most = most.and_then(|most| most.checked_add(here));
        (least.saturating_add(here), most)
    }
}
