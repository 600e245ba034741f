//! Registries under every mix of operations.

use crate::common::{forever, Colliding, Dice};
use crate::support::{for_a_while, Counts, Roll, Sealed};
use highlander::hash::DefaultHashBuilder;
use highlander::{Handle, Registry, WeakHandle};
use std::hash::BuildHasher;
use std::time::Duration;

type Value = Sealed<'static>;
type Held = Handle<u32, Value>;

/// The counts outlive every value.
fn counts() -> &'static Counts {
    forever(Counts::default())
}

fn all_operations_with<S: BuildHasher + Default + Sync>(
    limit: Duration,
    keys: usize,
    threads: usize,
) {
    let registry: Registry<u32, Value, S> = Registry::default();
    let counts = counts();
    let work = |held: &mut Vec<Held>, dice: &mut Dice| {
        let key = dice.below(keys) as u32;
        let value = || Sealed::new(key, counts);
        match dice.below(24) {
            0..5 => held.push(registry.get_or_insert_with(key, |_| value())),
            5 => held.push(
                registry
                    .entry_ref(&key)
                    .key_with(|key| *key)
                    .or_insert_with(|_| value()),
            ),
            6 => held
                .extend(registry.get_or_try_insert_with(key, |_| Err::<Value, _>(String::new()))),
            7..10 => held.extend(registry.get(&key)),
            10 => {
                let (new, old) = registry.insert(key, value());
                held.extend(old);
                held.push(new);
            }
            11 | 12 => match registry.try_insert(key, value()) {
                Ok(handle) => held.push(handle),
                Err(error) => {
                    error.value.assert_alive(key);
                    held.push(error.existing.unwrap());
                }
            },
            13 => held.extend(registry.remove(&key)),
            14 => held.extend(registry.remove_if(&key, |_, value| value.id % 2 == 0)),
            15 => {
                if let Some(mine) = held.pop() {
                    let removed = registry.remove_same(&mine);
                    let found = registry.get(Handle::key(&mine));
                    assert!(
                        found.is_none_or(|found| !Handle::ptr_eq(&found, &mine)),
                        "removed by me ({removed}) or before"
                    );
                }
            }
            16 => {
                if let Some(mine) = held.last() {
                    let key = *Handle::key(mine);
                    let replaced = registry.compare_exchange(mine, Sealed::new(key, counts));
                    held.extend(replaced);
                }
            }
            17 => drop(registry.get_or_insert_with(key, |_| value())),
            18 if dice.below(50) == 0 => drop(registry.retain(|key, _| key % 3 != 0)),
            19 if dice.below(50) == 0 => registry.shrink_to_fit(),
            20 if dice.below(50) == 0 => held.extend(registry.iter()),
            _ => {
                let left = dice.below(8);
                held.truncate(left);
            }
        }
        held.iter()
            .for_each(|handle| handle.assert_alive(*Handle::key(handle)));
    };
    for_a_while(limit, threads, |_| Vec::new(), work);
    assert_eq!((registry.len(), registry.iter().len()), (0, 0));
    assert!((0..keys as u32).all(|key| registry.get(&key).is_none()));
    counts.assert_balanced();
    drop(registry);
}

pub(crate) fn all_operations(limit: Duration) {
    all_operations_with::<DefaultHashBuilder>(limit / 2, 3, 4);
    all_operations_with::<DefaultHashBuilder>(limit / 2, 100, 6);
}

pub(crate) fn all_operations_colliding(limit: Duration) {
    all_operations_with::<Colliding>(limit / 2, 2, 4);
    all_operations_with::<Colliding>(limit / 2, 12, 6);
}

/// Values made by `get_or_insert_with` and never removed: here at most one of each key may be held at any time.
pub(crate) fn create_and_drop(limit: Duration) {
    fn check<S: BuildHasher + Default + Sync>(limit: Duration, keys: usize, threads: usize) {
        let registry: Registry<u32, Value, S> = Registry::default();
        let (counts, rolls): (_, Vec<Roll>) =
            (counts(), (0..keys).map(|_| Roll::default()).collect());
        let work = |held: &mut Vec<Held>, dice: &mut Dice| {
            let key = dice.below(keys) as u32;
            let got = match dice.below(6) {
                0..3 => Some(registry.get_or_insert_with(key, |_| Sealed::new(key, counts))),
                3 => registry.get(&key),
                _ => None,
            };
            held.extend(got.inspect(|handle| {
                handle.assert_alive(key);
                rolls[key as usize].sign_in(handle.id);
            }));
            if dice.below(3) == 0 || held.len() > 5 {
                // Nothing, most of the time: else one key would hardly ever be without a holder.
                let left = dice.below(8).saturating_sub(5);
                for handle in held.drain(left.min(held.len())..) {
                    handle.assert_alive(*Handle::key(&handle));
                    assert!(
                        registry
                            .get(Handle::key(&handle))
                            .is_some_and(|found| Handle::ptr_eq(&found, &handle)),
                        "held, so found"
                    );
                    rolls[*Handle::key(&handle) as usize].sign_out();
                }
            }
        };
        // Whoever stops lets go of what it holds without signing out; so sign out at the end, too.
        struct Signed<'a>(Vec<Held>, &'a [Roll]);
        impl Drop for Signed<'_> {
            fn drop(&mut self) {
                self.0
                    .iter()
                    .for_each(|handle| self.1[*Handle::key(handle) as usize].sign_out());
            }
        }
        for_a_while(
            limit,
            threads,
            |_| Signed(Vec::new(), &rolls),
            |signed, dice| work(&mut signed.0, dice),
        );
        assert_eq!(registry.len(), 0);
        counts.assert_balanced();
        assert!(counts.born() > 0);
    }
    check::<DefaultHashBuilder>(limit / 3, 1, 4);
    check::<DefaultHashBuilder>(limit / 3, 8, 6);
    check::<Colliding>(limit / 3, 4, 4);
}

pub(crate) fn upgrade(limit: Duration) {
    const KEYS: usize = 4;
    let registry: Registry<u32, Value> = Registry::new();
    let (counts, rolls): (_, Vec<Roll>) = (counts(), (0..KEYS).map(|_| Roll::default()).collect());
    type State = (Vec<Held>, Vec<(WeakHandle<u32, Value>, u64)>);
    let shared: std::sync::Mutex<Vec<(WeakHandle<u32, Value>, u64)>> = Default::default();
    let work = |(held, weaks): &mut State, dice: &mut Dice| {
        let key = dice.below(KEYS) as u32;
        match dice.below(8) {
            0 | 1 => {
                let handle = registry.get_or_insert_with(key, |_| Sealed::new(key, counts));
                weaks.push((Handle::downgrade(&handle), handle.id));
                held.push(handle);
            }
            2 | 3 => {
                if let Some((weak, id)) = weaks.get(dice.below(weaks.len().max(1))) {
                    if let Some(handle) = weak.upgrade() {
                        handle.assert_alive(handle.key);
                        assert_eq!(handle.id, *id, "another value than the one it was made of");
                        let roll = &rolls[handle.key as usize];
                        roll.sign_in(handle.id);
                        assert!(weak.is_alive());
                        roll.sign_out();
                        if dice.below(2) == 0 {
                            held.push(handle);
                        }
                    }
                }
            }
            4 => {
                let mut shared = shared.lock().unwrap();
                shared.extend(weaks.drain(..).take(4));
                let excess = shared.len().saturating_sub(16);
                weaks.extend(shared.drain(..excess));
                weaks.extend(shared.iter().take(4).cloned());
            }
            _ => {
                let (left, left_weak) = (dice.below(4), dice.below(20));
                held.truncate(left);
                weaks.truncate(left_weak);
            }
        }
    };
    for_a_while(limit, 6, |_| State::default(), work);
    assert_eq!(registry.len(), 0);
    assert!(shared
        .lock()
        .unwrap()
        .iter()
        .all(|(weak, _)| weak.upgrade().is_none()));
    counts.assert_balanced();
}

pub(crate) fn iterate(limit: Duration) {
    const FIXED: u32 = 40;
    let registry: Registry<u32, Value> = Registry::new();
    let counts = counts();
    let fixed: Vec<_> = (0..FIXED)
        .map(|key| registry.get_or_insert_with(key, |_| Sealed::new(key, counts)))
        .collect();
    let work = |(number, held): &mut (usize, Vec<Held>), dice: &mut Dice| match *number {
        0 | 1 => {
            let mut seen: Vec<u32> = registry
                .iter()
                .map(|handle| {
                    handle.assert_alive(*Handle::key(&handle));
                    handle.key
                })
                .filter(|key| *key < FIXED)
                .collect();
            seen.sort_unstable();
            let yielded = seen.len();
            seen.dedup();
            assert!(
                seen.iter().copied().eq(0..FIXED),
                "one that stays was not seen: {seen:?}"
            );
            assert_eq!(yielded, seen.len(), "some were seen more than once");
        }
        2 => {
            // Grows and shrinks under the iteration.
            held.clear();
            registry.shrink_to_fit();
            let more = dice.below(500) as u32;
            held.extend(
                (1000..1000 + more)
                    .map(|key| registry.get_or_insert_with(key, |_| Sealed::new(key, counts))),
            );
        }
        _ => {
            let key = FIXED + dice.below(60) as u32;
            held.push(registry.get_or_insert_with(key, |_| Sealed::new(key, counts)));
            let left = dice.below(30);
            held.truncate(left);
        }
    };
    for_a_while(limit, 5, |number| (number, Vec::new()), work);
    assert_eq!(registry.len(), FIXED as usize);
    drop(fixed);
    assert_eq!(registry.len(), 0);
    counts.assert_balanced();
}
