//! What a map has done so far, in numbers.

use crate::sync::plain::{AtomicU64, OnceLock, Relaxed};
use crate::sync::{self};

/// Counters of a map since it was made, from its `stats` method: each on its own exact once the calls that count have
/// returned, all together taken at no single moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Look-ups that found a live entry, also those with which a call that may create begins.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
    /// Entries that a factory was run for and that were entered.
    pub created: u64,
    /// Calls that got what another one's factory made.
    pub joined: u64,
    /// Dead entries that calls other than sweeps came across.
    pub dead_seen: u64,
    /// Dead entries taken out by sweeps and by `prune`.
    pub pruned: u64,
    /// Live entries that another value took the place of.
    pub replaced: u64,
}

#[derive(Clone, Copy)]
pub(crate) enum Count {
    Hit,
    Miss,
    Created,
    Joined,
    DeadSeen,
    Pruned,
    Replaced,
}

const COUNTS: usize = Count::Replaced as usize + 1;

/// Counters in stripes: each of the first threads has one of its own, so that counting writes nothing that others read; the others
/// share the last.
pub(crate) struct Counters {
    stripes: OnceLock<Box<[Stripe]>>,
    /// How many stripes to make; 0 for as many as suits the machine.
    wanted: usize,
}

#[derive(Default)]
#[repr(align(128))]
struct Stripe([AtomicU64; COUNTS]);

impl Counters {
    pub(crate) const fn new(wanted: usize) -> Self {
        Self {
            stripes: OnceLock::new(),
            wanted,
        }
    }

    #[cold]
    fn first(&self) -> &[Stripe] {
        self.stripes.get_or_init(|| {
            let own = match self.wanted {
                0 => sync::stripes().0,
                wanted => wanted,
            };
            (0..=own).map(|_| Stripe::default()).collect()
        })
    }

    /// Counts one more, and returns how many this thread's stripe has counted.
    #[inline]
    pub(crate) fn add(&self, what: Count) -> u64 {
        self.add_many(what, 1)
    }

    /// Counts so many more, and returns how many this thread's stripe has counted.
    #[inline]
    pub(crate) fn add_many(&self, what: Count, more: u64) -> u64 {
        let stripes = match self.stripes.get() {
            Some(stripes) => stripes,
            None => self.first(),
        };
        let shared = stripes.len() - 1;
        match sync::own_index() {
            Some(own) if own < shared => {
                // Numbers of living threads differ, so nobody else writes to this stripe.
                let counter = &stripes[own].0[what as usize];
                let count = counter.load(Relaxed) + more;
                counter.store(count, Relaxed);
                count
            }
            _ => stripes[shared].0[what as usize].fetch_add(more, Relaxed) + more,
        }
    }

    pub(crate) fn sum(&self) -> Stats {
        let sum = |what: Count| {
            let stripes = self.stripes.get().map_or(&[][..], |stripes| stripes);
            stripes
                .iter()
                .map(|stripe| stripe.0[what as usize].load(Relaxed))
                .sum()
        };
        Stats {
            hits: sum(Count::Hit),
            misses: sum(Count::Miss),
            created: sum(Count::Created),
            joined: sum(Count::Joined),
            dead_seen: sum(Count::DeadSeen),
            pruned: sum(Count::Pruned),
            replaced: sum(Count::Replaced),
        }
    }
}
