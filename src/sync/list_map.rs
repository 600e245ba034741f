//! A concurrent map from a 64-bit number to a list, on dashmap.
//!
//! The keys are hashes or addresses of ours, so the map never runs a user's `Hash` or `Eq` under its locks;
//! the closures passed in must not run user code either, nor drop any.

#[cfg(not(all(highlander_loom, feature = "loom")))]
mod body {
    use super::super::{take, wake_parked};
    use super::Row;
    use dashmap::mapref::entry::Entry;
    use dashmap::try_result::TryResult;
    use dashmap::DashMap;
    use std::hash::{BuildHasherDefault, Hasher};

    /// Spreads a number that is already a hash (or an address) over dashmap's shards and buckets.
    #[derive(Default, Clone)]
    pub(crate) struct PassThrough(u64);

    impl Hasher for PassThrough {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, _: &[u8]) {
            unreachable!("only u64 keys are hashed")
        }

        fn write_u64(&mut self, key: u64) {
            // Addresses of buckets have empty low bits; one multiplication spreads them.
            self.0 = key.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(26);
        }
    }

    /// A thread that meets a locked shard sleeps in `parking`, and not in dashmap, whose list of sleepers a
    /// forked child would inherit. (Only `shrink_to_fit` leaves it to dashmap.)
    pub(crate) struct ListMap<R>(Lists<R>);

    type Lists<R> = DashMap<u64, R, BuildHasherDefault<PassThrough>>;

    impl<R: Row> ListMap<R> {
        pub(crate) fn new() -> Self {
            Self(DashMap::default())
        }

        /// Creates one of many, most of them small: a few shards, however many processors there are.
        pub(crate) fn small(capacity: usize) -> Self {
            Self(DashMap::with_capacity_and_hasher_and_shard_amount(
                capacity,
                BuildHasherDefault::default(),
                4,
            ))
        }

        /// Runs `f` on the list under `key`, alone. An empty list is not kept.
        pub(crate) fn update<O>(&self, key: u64, f: impl FnOnce(&mut R) -> O) -> O {
            let _wake = self.wake_at_end();
            match self.locked(|map| map.try_entry(key)) {
                Entry::Occupied(mut entry) => {
                    let result = f(entry.get_mut());
                    if entry.get().is_empty() {
                        entry.remove();
                    }
                    result
                }
                Entry::Vacant(entry) => {
                    let mut list = R::default();
                    let result = f(&mut list);
                    if !list.is_empty() {
                        entry.insert(list);
                    }
                    result
                }
            }
        }

        /// Runs `f` on the list under `key`, which may be empty, beside others who read.
        pub(crate) fn read<O>(&self, key: u64, f: impl FnOnce(&R) -> O) -> O {
            let _wake = self.wake_at_end();
            let list = self.locked(|map| match map.try_get(&key) {
                TryResult::Present(list) => Some(Some(list)),
                TryResult::Absent => Some(None),
                TryResult::Locked => None,
            });
            match list {
                Some(list) => f(&list),
                None => f(&R::default()),
            }
        }

        /// Calls `attempt` until the shard is not locked.
        #[inline(always)]
        fn locked<'a, O>(&'a self, attempt: impl Fn(&'a Lists<R>) -> Option<O>) -> O {
            match attempt(&self.0) {
                Some(done) => done,
                None => self.locked_slowly(attempt),
            }
        }

        #[cold]
        #[inline(never)]
        fn locked_slowly<'a, O>(&'a self, attempt: impl Fn(&'a Lists<R>) -> Option<O>) -> O {
            take(self.address(), || attempt(&self.0))
        }

        fn address(&self) -> usize {
            std::ptr::from_ref(self).addr()
        }

        /// Returns a guard that wakes those who sleep in `locked`.
        fn wake_at_end(&self) -> WakeAtEnd {
            WakeAtEnd(self.address())
        }

        pub(crate) fn shrink_to_fit(&self) {
            let _wake = self.wake_at_end();
            self.0.shrink_to_fit();
        }
    }

    struct WakeAtEnd(usize);

    impl Drop for WakeAtEnd {
        #[inline(always)]
        fn drop(&mut self) {
            wake_parked(self.0);
        }
    }
}

#[cfg(all(highlander_loom, feature = "loom"))]
mod body {
    use super::super::model::Mutex;
    use super::Row;
    use std::collections::HashMap;

    // A shard lock of dashmap would block the one OS thread of a model, so one modelled mutex stands for it.
    pub(crate) struct ListMap<R>(Mutex<HashMap<u64, R>>);

    impl<R: Row> ListMap<R> {
        pub(crate) fn new() -> Self {
            Self(Mutex::new(HashMap::new()))
        }

        pub(crate) fn small(_capacity: usize) -> Self {
            Self::new()
        }

        pub(crate) fn update<O>(&self, key: u64, f: impl FnOnce(&mut R) -> O) -> O {
            let mut map = self.0.lock();
            let list = map.entry(key).or_default();
            let result = f(list);
            if list.is_empty() {
                map.remove(&key);
            }
            result
        }

        pub(crate) fn read<O>(&self, key: u64, f: impl FnOnce(&R) -> O) -> O {
            match self.0.lock().get(&key) {
                Some(list) => f(list),
                None => f(&R::default()),
            }
        }

        pub(crate) fn shrink_to_fit(&self) {}
    }
}

pub(crate) use body::ListMap;

/// The list of one key.
pub(crate) trait Row: Default {
    fn is_empty(&self) -> bool;
}

/// A list of hardly ever more than one thing, which then takes no memory of its own.
pub(crate) type List<T> = smallvec::SmallVec<[T; 1]>;

impl<T> Row for List<T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}
