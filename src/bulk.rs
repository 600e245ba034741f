//! What concerns all entries of a store: counting, choosing, taking out. Here too user code runs with nothing held but the entry it is shown.

use crate::held::{Held, Landed};
use crate::hook::Cause;
use crate::panics::Panics;
use crate::side::Side;
use crate::store::{Reverse, Store};
use std::ops::Range;

/// Buckets that are looked at together.
const WINDOW: usize = 64;

impl<A: Side, B: Side, X: Reverse<A, B>> Store<A, B, X> {
    /// All entries, also dead ones.
    pub(crate) fn snapshot(&self) -> Vec<Held<A, B>> {
        self.engine.snapshot().into_iter().map(Held::new).collect()
    }

    /// All live entries, with what keeps their keys alive.
    pub(crate) fn living(&self) -> impl Iterator<Item = (A::Live, Landed<A, B>)> {
        let entries = self.snapshot().into_iter();
        entries.filter_map(|held| Some((held.key().live()?, Landed::of(held).ok()?)))
    }

    /// All entries, a few buckets at a time. What is in throughout is in one of them.
    pub(crate) fn windows(&self) -> impl Iterator<Item = Vec<Held<A, B>>> + '_ {
        self.window_ranges().map(|halves| self.some(halves))
    }

    /// The upper halves of all hashes, in ranges that a few buckets hold each.
    pub(crate) fn window_ranges(&self) -> impl Iterator<Item = Range<u64>> {
        let windows = self.engine.buckets().div_ceil(WINDOW) as u64;
        let start_of = move |window: u64| (window << 32) / windows;
        (0..windows).map(move |window| start_of(window)..start_of(window + 1))
    }

    /// The number of live entries.
    pub(crate) fn count_live(&self) -> usize {
        self.windows()
            .map(|entries| entries.iter().filter(|held| !held.is_dead()).count())
            .sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.windows()
            .all(|entries| entries.iter().all(Held::is_dead))
    }

    /// Takes out the live entries for which `keep` says no, and the dead ones. Returns how many live ones this call has taken out.
    pub(crate) fn retain(
        &self,
        cause: Cause,
        mut keep: impl FnMut(&Landed<A, B>, A::Live) -> bool,
    ) -> usize {
        let mut taken = 0;
        for held in self.snapshot() {
            let Some(key) = held.key().live() else {
                self.take_out(&held, Cause::Dead);
                continue;
            };
            match Landed::of(held) {
                Ok(landed) => {
                    if !keep(&landed, key) && self.take_out(&landed.held, cause) {
                        taken += 1;
                    }
                }
                Err(dead) => {
                    self.take_out(&dead, Cause::Dead);
                }
            }
        }
        drop(self.give_up());
        taken
    }

    /// Takes out all entries, the live ones for this cause. Returns how many live ones this call has taken out.
    pub(crate) fn clear(&self) -> usize {
        let mut panics = Panics::new();
        let mut taken = 0;
        for held in self.snapshot() {
            panics.catch(|| {
                let dead = held.is_dead();
                let cause = if dead { Cause::Dead } else { Cause::Cleared };
                if self.take_out(&held, cause) && !dead {
                    taken += 1;
                }
            });
            panics.catch(|| drop(held));
        }
        panics.catch(|| drop(self.give_up()));
        taken
    }

    /// Takes out some live entry.
    pub(crate) fn pop(&self) -> Option<(Landed<A, B>, A::Live)> {
        for entries in self.windows() {
            for held in entries {
                let Some(key) = held.key().live() else {
                    continue;
                };
                if let Ok(landed) = Landed::of(held) {
                    if self.take_out(&landed.held, Cause::Removed) {
                        return Some((landed, key));
                    }
                }
            }
        }
        None
    }

    /// Takes out all entries, and returns what `item` makes of the live ones.
    pub(crate) fn drain<T>(&self, mut item: impl FnMut(&Landed<A, B>, A::Live) -> T) -> Vec<T> {
        let mut panics = Panics::new();
        let mut drained = Vec::new();
        for held in self.snapshot() {
            let taken = panics.catch(|| match (held.key().live(), Landed::of(held)) {
                (Some(key), Ok(landed)) => {
                    let taken = self.take_out(&landed.held, Cause::Cleared);
                    taken.then(|| item(&landed, key))
                }
                (_, Ok(Landed { held, .. }) | Err(held)) => {
                    self.take_out(&held, Cause::Dead);
                    None
                }
            });
            drained.extend(taken.flatten());
        }
        panics.catch(|| drop(self.give_up()));
        drained
    }

    pub(crate) fn shrink_to_fit(&self) {
        self.prune();
        self.engine.shrink_to_fit();
    }
}
