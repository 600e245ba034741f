//! A crew of worker threads that share out a list of items.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};

pub struct Crew {
    threads: NonZeroUsize,
}

impl Crew {
    pub fn new(threads: NonZeroUsize) -> Self {
        Crew { threads }
    }

    pub fn threads(&self) -> usize {
        self.threads.get()
    }

    /// Runs `work` once on every worker; together their shifts yield each index below `items` once,
    /// roughly in order.
    pub fn run<R: Send>(
        &self,
        title: &'static str,
        items: usize,
        work: impl Fn(Shift<'_>) -> R + Sync,
    ) -> Vec<R> {
        let bar = progress_bar(title, items);
        let next = AtomicUsize::new(0);
        let results = thread::scope(|scope| {
            let start = || {
                scope.spawn(|| {
                    work(Shift {
                        next: &next,
                        items,
                        bar: &bar,
                    })
                })
            };
            let workers: Vec<_> = (0..self.threads().min(items)).map(|_| start()).collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        bar.finish_and_clear();
        results
    }

    /// Maps every item on all workers; the results come in the order of the items.
    pub fn map<'a, T: Sync, R: Send>(
        &self,
        title: &'static str,
        items: &'a [T],
        map: impl Fn(&'a T) -> R + Sync,
    ) -> Vec<R> {
        let work = |shift: Shift<'_>| {
            shift
                .map(|index| (index, map(&items[index])))
                .collect::<Vec<_>>()
        };
        let mut results: Vec<_> = self
            .run(title, items.len(), work)
            .into_iter()
            .flatten()
            .collect();
        results.sort_unstable_by_key(|&(index, _)| index);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

/// The items that one worker gets: whichever is next whenever it asks, so that a large item does
/// not hold up the rest.
pub struct Shift<'a> {
    next: &'a AtomicUsize,
    items: usize,
    bar: &'a ProgressBar,
}

impl Iterator for Shift<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let item = self.next.fetch_add(1, Relaxed);
        if item >= self.items {
            return None;
        }
        self.bar.inc(1);
        Some(item)
    }
}

/// Draws on stderr, and nothing at all when that is not a terminal.
fn progress_bar(title: &'static str, items: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg:>10} [{wide_bar}] {human_pos}/{human_len} files {eta}")
            .expect("a constant template");
    ProgressBar::new(items as u64)
        .with_style(style.progress_chars("=> "))
        .with_message(title)
}
