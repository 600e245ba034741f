//! Counters of what a map has done.

use crate::sync::plain::{AtomicU64, OnceLock, Relaxed};
use crate::sync::{self};
use std::sync::Arc;

/// Counters of a map since it was made, from its `stats` method. Each is exact once the calls that count have
/// returned. They are not all read at one moment. Those of a [`Registry`](crate::Registry) are all 0, unless
/// it [records them](crate::Registry::record_stats).
///
/// When nothing is under way they account for every entry: it was `created` or `inserted`; it has been
/// `replaced`, or it was taken out and counted as `removed`, `dead_seen`, `pruned` or `reported`; or it is
/// one of the map's `entry_count`. (A dead entry whose place a new value takes is `dead_seen`.)
///
/// ```
/// use highlander::pointer::Watched;
/// use highlander::WeakValueMap;
///
/// let map: WeakValueMap<u32, Watched<u32>> = WeakValueMap::new();
/// let (one, two) = (Watched::new(1), Watched::new(2));
/// map.insert(1, one.clone());
/// let _three = map.get_or_insert_with(3, |_| Watched::new(3));
/// map.insert(1, two.clone());
/// map.remove(&1);
/// map.insert(4, one.clone());
/// drop(one);                                  // it reports its death
/// let stats = map.stats();
/// assert_eq!((stats.created, stats.inserted), (1, 3));
/// assert_eq!((stats.replaced, stats.removed, stats.reported), (1, 1, 1));
/// assert_eq!(map.entry_count(), 1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Look-ups that found a live entry, also those with which a call that may create begins. 0 unless the
    /// map [records them](crate::map::Map::record_stats).
    pub hits: u64,
    /// Look-ups that did not find one.
    pub misses: u64,
    /// Entries that a factory was run for and that were entered.
    pub created: u64,
    /// Entries that were entered without a factory, by `insert`, `update` and their kin.
    pub inserted: u64,
    /// Calls that got what another one's factory made.
    pub joined: u64,
    /// Dead entries taken out by calls other than sweeps, which came across them.
    pub dead_seen: u64,
    /// Dead entries taken out by sweeps and by `prune`.
    pub pruned: u64,
    /// Dead entries taken out because their key or value, or a [`Token`](crate::pointer::Token) of one, has
    /// reported its death.
    pub reported: u64,
    /// Live entries whose place another value took.
    pub replaced: u64,
    /// Live entries taken out by a call that named or chose them, or took out all.
    pub removed: u64,
}

#[derive(Clone, Copy)]
pub(crate) enum Count {
    Hit,
    Miss,
    Created,
    Inserted,
    Joined,
    DeadSeen,
    Pruned,
    Reported,
    Replaced,
    Removed,
    /// Not shown: insertions for which the table is to be swept.
    Due,
}

const COUNTS: usize = Count::Due as usize + 1;

/// Counters in shards: each of the first threads has one of its own, so that counting writes nothing that
/// other threads write; the other threads share the last.
pub(crate) struct Counters {
    shards: OnceLock<Arc<[CounterShard]>>,
}

#[derive(Default)]
#[repr(align(128))]
struct CounterShard([AtomicU64; COUNTS]);

impl Counters {
    pub(crate) const fn new() -> Self {
        Self {
            shards: OnceLock::new(),
        }
    }

    pub(crate) fn share(&self) -> Self {
        self.first();
        let shared = Self::new();
        if let Some(shards) = self.shards.get() {
            let _ = shared.shards.set(Arc::clone(shards));
        }
        shared
    }

    #[cold]
    fn first(&self) -> &[CounterShard] {
        self.shards.get_or_init(|| {
            let own = sync::shards().0;
            (0..=own).map(|_| CounterShard::default()).collect()
        })
    }

    /// Counts one more, and returns how many this thread's shard has counted.
    #[inline]
    pub(crate) fn add(&self, what: Count) -> u64 {
        self.add_many(what, 1)
    }

    #[inline]
    pub(crate) fn add_many(&self, what: Count, more: u64) -> u64 {
        let shards = match self.shards.get() {
            Some(shards) => shards,
            None => self.first(),
        };
        let shared = shards.len() - 1;
        match sync::own_index() {
            Some(own) if own < shared => {
                // Numbers of living threads differ, so nobody else writes to this shard.
                let counter = &shards[own].0[what as usize];
                let count = counter.load(Relaxed) + more;
                counter.store(count, Relaxed);
                count
            }
            _ => shards[shared].0[what as usize].fetch_add(more, Relaxed) + more,
        }
    }

    pub(crate) fn sum(&self, what: Count) -> u64 {
        let shards = self.shards.get().map_or(&[][..], |shards| shards);
        let counts = shards.iter().map(|shard| &shard.0[what as usize]);
        counts.map(|count| count.load(Relaxed)).sum()
    }

    /// Returns all of them, with what a death listener has counted.
    pub(crate) fn stats(&self, reported: u64) -> Stats {
        let sum = |what| self.sum(what);
        Stats {
            hits: sum(Count::Hit),
            misses: sum(Count::Miss),
            created: sum(Count::Created),
            inserted: sum(Count::Inserted),
            joined: sum(Count::Joined),
            dead_seen: sum(Count::DeadSeen),
            pruned: sum(Count::Pruned),
            reported,
            replaced: sum(Count::Replaced),
            removed: sum(Count::Removed),
        }
    }
}
