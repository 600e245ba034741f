//! Going over all entries of a store, a few at a time, with nothing held but those few.
//!
//! A walk remembers the upper half of a hash: what is below it was visited, in whatever table it was by then. So entries that are in throughout are
//! met once, however the table grows or shrinks meanwhile, and what is entered behind the walk is not met.
//!
//! Where `upgrade` is known to run no user code it is called under the bucket's lock, and the walk yields what it returned: to become an owner of the
//! entry too would double the price. Else the walk becomes an owner of each entry, and the rest is done outside.

use crate::held::{Held, Landed};
use crate::inbox::Reverse;
use crate::pair::Pair;
use crate::side::Side;
use crate::store::Store;
use std::iter::FusedIterator;
use std::ops::Range;

/// All upper halves of hashes.
pub(crate) const EVERYWHERE: Range<u64> = 0..1 << 32;

static LEAST: std::sync::LazyLock<usize> = std::sync::LazyLock::new(||std::env::var("LEAST").ok().and_then(|s|s.parse().ok()).unwrap_or(1));

/// All entries, also dead ones.
pub(crate) struct Walk<'a, A: Side, B: Side, X: Reverse<A, B>> {
    store: &'a Store<A, B, X>,
    /// What is still to be visited.
    left: Range<u64>,
    fetched: Vec<Held<A, B>>,
}

impl<'a, A: Side, B: Side, X: Reverse<A, B>> Walk<'a, A, B, X> {
    pub(crate) fn new(store: &'a Store<A, B, X>) -> Self {
        Self {
            store,
            left: EVERYWHERE,
            fetched: Vec::new(),
        }
    }

    /// The entries of the next bucket that has some. None are fetched when the walk is over.
    #[inline]
    fn fetch(&mut self) {
        if !self.left.is_empty() {
            let Self { store, left, fetched } = self;
            left.start = store.engine.own(
                left.clone(),
                1,
                |_| true,
                |strong| fetched.push(Held::new(strong)),
            );
        }
    }

    /// The live entries.
    pub(crate) fn landed(self) -> impl Iterator<Item = (Landed<A, B>, A::Live)> + use<'a, A, B, X> {
        self.filter_map(Held::landed)
    }
}

impl<A: Side, B: Side, X: Reverse<A, B>> Iterator for Walk<'_, A, B, X> {
    type Item = Held<A, B>;

    #[inline]
    fn next(&mut self) -> Option<Held<A, B>> {
        if self.fetched.is_empty() {
            self.fetch();
        }
        self.fetched.pop()
    }
}

/// What keeps the live entries alive, without the entries.
pub(crate) struct Lives<'a, A: Side, B: Side, X: Reverse<A, B>> {
    walk: Walk<'a, A, B, X>,
    /// The value may have been found dead; then the key is dropped outside of the lock.
    fetched: Vec<(A::Live, Option<B::Live>)>,
}

impl<'a, A: Side, B: Side, X: Reverse<A, B>> Lives<'a, A, B, X> {
    const QUIET: bool = A::LIVE_IS_QUIET && B::LIVE_IS_QUIET;

    pub(crate) fn new(store: &'a Store<A, B, X>) -> Self {
        Self {
            walk: Walk::new(store),
            fetched: Vec::new(),
        }
    }

    /// As `Walk::fetch`.
    #[inline]
    fn fetch(&mut self) {
        let Walk { store, left, .. } = &mut self.walk;
        if left.is_empty() {
            return;
        }
        let fetched = &mut self.fetched;
        left.start = store.engine.visit(left.clone(), *LEAST, |node| unsafe { Pair::<A, B>::prefetch(node) }, |node| {
            // SAFETY: linked while its bucket is locked, so the index is an owner, and the entry complete.
            let lives = unsafe { Pair::<A, B>::lives(node) };
            let alive = lives.is_some();
            if let Some(lives) = lives {
                fetched.push(lives);
            }
            alive
        });
    }
}

impl<A: Side, B: Side, X: Reverse<A, B>> Iterator for Lives<'_, A, B, X> {
    type Item = (A::Live, B::Live);

    #[inline]
    fn next(&mut self) -> Option<(A::Live, B::Live)> {
        if !Self::QUIET {
            return self.walk.find_map(|held| {
                let (landed, key) = held.landed()?;
                Some((key, landed.into_live()))
            });
        }
        loop {
            if self.fetched.is_empty() {
                self.fetch();
            }
            if let (key, Some(value)) = self.fetched.pop()? {
                return Some((key, value));
            }
        }
    }

    /// Without coming back for each.
    #[inline]
    fn fold<T, F: FnMut(T, (A::Live, B::Live)) -> T>(mut self, init: T, mut f: F) -> T {
        let mut result = init;
        while let Some(next) = self.next() {
            result = f(result, next);
        }
        result
    }
}

impl<A: Side, B: Side, X: Reverse<A, B>> FusedIterator for Walk<'_, A, B, X> {}
impl<A: Side, B: Side, X: Reverse<A, B>> FusedIterator for Lives<'_, A, B, X> {}
