//! The weak maps and the weak set under every mix of operations, of `Arc`s that others own.

use crate::common::{assert_accounted, forever, Colliding, Dice};
use crate::support::{for_a_while, Counts, Roll, Sealed};
use highlander::hash::DefaultHashBuilder;
use highlander::map::{ByAddress, RemovalCause};
use highlander::pointer::Watched;
use highlander::{WeakKeyMap, WeakKeyValueMap, WeakSet, WeakValueMap};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Value = Sealed<'static>;
type Held = Vec<Arc<Value>>;

fn counts() -> &'static Counts {
    forever(Counts::default())
}

/// What a thread owns, signed in; whoever stops signs out.
struct Signed<'a>(Held, &'a [Roll]);

impl Signed<'_> {
    fn sign_in(&mut self, value: Arc<Value>, key: u32) {
        value.assert_alive(key);
        self.1[key as usize].sign_in(value.id);
        self.0.push(value);
    }

    fn let_go(&mut self, left: usize) {
        while self.0.len() > left {
            let value = self.0.swap_remove(0);
            value.assert_alive(value.key);
            self.1[value.key as usize].sign_out();
        }
    }
}

impl Drop for Signed<'_> {
    fn drop(&mut self) {
        self.let_go(0);
    }
}

/// One value of each key, beside creation, last drops, pruning, shrinking and iteration: nothing is removed or replaced, so of one key one value lives.
pub(crate) fn create_and_drop(limit: Duration) {
    fn check<S: BuildHasher + Default + Clone + Sync>(
        limit: Duration,
        keys: usize,
        threads: usize,
    ) {
        let told = Arc::new(AtomicI64::new(0));
        let tell = Arc::clone(&told);
        let map: WeakValueMap<u32, Arc<Value>, S> = WeakValueMap::with_hasher(S::default())
            .on_remove(move |_: &u32, cause| {
                assert_eq!(cause, RemovalCause::Dead);
                tell.fetch_add(1, Relaxed);
            });
        let (counts, rolls): (_, Vec<Roll>) =
            (counts(), (0..keys).map(|_| Roll::default()).collect());
        let work = |signed: &mut Signed, dice: &mut Dice| {
            let key = dice.below(keys) as u32;
            match dice.below(12) {
                0..4 => {
                    let value = map.get_or_insert_with(key, |_| Arc::new(Sealed::new(key, counts)));
                    signed.sign_in(value, key);
                }
                4 | 5 => {
                    if let Some(value) = map.get(&key) {
                        signed.sign_in(value, key);
                    }
                }
                6 => {
                    let value = Arc::new(Sealed::new(key, counts));
                    match map.try_insert(key, value.clone()) {
                        Ok(entered) => {
                            assert!(Arc::ptr_eq(&entered, &value));
                            signed.sign_in(value, key);
                        }
                        Err(error) => signed.sign_in(error.existing.unwrap(), key),
                    }
                }
                7 if dice.below(8) == 0 => drop(map.prune()),
                8 if dice.below(30) == 0 => map.shrink_to_fit(),
                9 if dice.below(8) == 0 => {
                    for (key, value) in &map {
                        signed.sign_in(value, key);
                    }
                }
                _ => {
                    let left = dice.below(8).saturating_sub(5);
                    for value in &signed.0 {
                        let found = map.get(&value.key);
                        assert!(
                            found.is_some_and(|found| Arc::ptr_eq(&found, value)),
                            "held, so found"
                        );
                    }
                    signed.let_go(left);
                }
            }
            if signed.0.len() > 12 {
                signed.let_go(3);
            }
        };
        for_a_while(limit, threads, |_| Signed(Vec::new(), &rolls), work);
        assert_eq!((map.len(), map.iter().count()), (0, 0));
        let dead = map.entry_count();
        assert!(dead <= keys, "{dead}");
        assert_eq!(map.prune(), dead);
        assert_eq!(map.entry_count(), 0);
        assert!(told.load(Relaxed) > 0 && told.load(Relaxed) <= counts.born() as i64);
        counts.assert_balanced();
    }
    check::<DefaultHashBuilder>(limit / 3, 1, 4);
    check::<DefaultHashBuilder>(limit / 3, 8, 6);
    check::<Colliding>(limit / 3, 4, 4);
}

/// All that changes a map, with both sides weak or one of them: nothing dead or of another key is handed out, entries and what the hook was
/// told balance.
pub(crate) fn all_operations(limit: Duration) {
    const KEYS: usize = 24;
    let told = Arc::new(AtomicUsize::new(0));
    let tell = Arc::clone(&told);
    let by_number: WeakValueMap<u32, Arc<Value>> = WeakValueMap::new();
    let by_text: WeakKeyMap<Arc<u32>, Arc<Value>> = WeakKeyMap::new();
    let pairs: WeakKeyValueMap<Arc<u32>, Arc<Value>> =
        WeakKeyValueMap::new().on_remove(move |_: &std::sync::Weak<u32>, _| {
            tell.fetch_add(1, Relaxed);
        });
    let counts = counts();
    let work = |(keys, held): &mut (Vec<Arc<u32>>, Held), dice: &mut Dice| {
        let n = dice.below(KEYS) as u32;
        let key = Arc::new(n);
        let value = || Arc::new(Sealed::new(n, counts));
        match dice.below(20) {
            0 => held.extend(by_number.insert(n, value())),
            1 => held.push(by_number.get_or_insert_with(n, |_| value())),
            2 => held.extend(by_number.remove(&n)),
            3 => held.extend(by_number.update(n, |old| old.is_none().then(value))),
            4 => {
                let entry = by_number.entry(n).valid_if(|old| old.id % 2 == 1);
                held.push(entry.or_insert_with(|_| value()));
            }
            5 => held.push(by_text.get_or_insert_with(&key, |_| value())),
            6 => drop(by_text.insert(&key, value())),
            7 => held.extend(by_text.remove(&n)),
            8 => held.extend(by_text.update(&key, |old| old.is_none().then(value))),
            9 | 10 => held.push(pairs.get_or_insert_with(&key, |_| value())),
            11 => held.extend(pairs.insert(&key, value())),
            12 => held.extend(pairs.remove(&n)),
            13 => {
                if let Some(value) = held.last() {
                    for key in pairs.keys_of(value) {
                        assert_eq!(*key, value.key);
                    }
                    pairs.remove_by_value(value);
                }
            }
            14 if dice.below(20) == 0 => {
                by_number.prune();
                by_text.prune();
                pairs.prune();
            }
            15 if dice.below(60) == 0 => {
                by_number.shrink_to_fit();
                by_text.shrink_to_fit();
                pairs.shrink_to_fit();
            }
            16 if dice.below(40) == 0 => {
                by_number.retain(|key, _| key % 3 != 0);
                by_text.retain(|key, _| **key % 3 != 0);
                pairs.clear();
            }
            17 if dice.below(10) == 0 => {
                by_number.for_each(|key, value| value.assert_alive(*key));
                by_text.for_each(|key, value| value.assert_alive(**key));
                pairs.for_each(|key, value| value.assert_alive(**key));
            }
            _ => {
                keys.truncate(dice.below(6));
                held.truncate(dice.below(6));
            }
        }
        keys.push(key);
        held.iter().for_each(|value| value.assert_alive(value.key));
    };
    for_a_while(limit, 5, |_| Default::default(), work);
    assert_eq!((by_number.len(), by_text.len(), pairs.len()), (0, 0, 0));
    let (left, before) = (pairs.entry_count(), told.load(Relaxed));
    let dead = by_number.entry_count();
    assert_eq!((by_number.prune(), by_number.entry_count()), (dead, 0));
    by_text.prune();
    pairs.prune();
    assert_eq!(told.load(Relaxed) - before, left);
    assert_eq!((by_text.entry_count(), pairs.entry_count()), (0, 0));
    for stats in [by_number.stats(), by_text.stats(), pairs.stats()] {
        assert_accounted(stats, 0);
    }
    counts.assert_balanced();
}

/// Maps that are closed while others create: what was entered is in the list of the closer, and nothing comes later.
pub(crate) fn close(limit: Duration) {
    struct Round {
        map: WeakValueMap<u32, Arc<u32>>,
        entered: Mutex<Vec<Arc<u32>>>,
        listed: Mutex<Option<Vec<Arc<u32>>>>,
        closing: AtomicBool,
    }
    let fresh = || {
        Arc::new(Round {
            map: WeakValueMap::new(),
            entered: Mutex::default(),
            listed: Mutex::default(),
            closing: AtomicBool::new(false),
        })
    };
    let current = Mutex::new(fresh());
    let work = |_: &mut (), dice: &mut Dice| {
        let round = Arc::clone(&current.lock().unwrap());
        let key = dice.below(16) as u32;
        if dice.below(40) == 0 && !round.closing.swap(true, Relaxed) {
            let listed = round.map.close();
            assert!(round.map.is_closed());
            *round.listed.lock().unwrap() = Some(listed);
            *current.lock().unwrap() = fresh();
            return;
        }
        let value = Arc::new(key);
        // Kept alive by the round, so that it is still there to be listed.
        let mut entered = round.entered.lock().unwrap();
        if round.map.try_insert(key, value.clone()).is_ok() {
            entered.push(value);
        }
        drop(entered);
        if let Some(listed) = &*round.listed.lock().unwrap() {
            for value in &*round.entered.lock().unwrap() {
                assert!(
                    listed.iter().any(|there| Arc::ptr_eq(there, value)),
                    "entered, not listed"
                );
            }
            assert!(round.map.try_insert(99, Arc::new(99)).is_err());
        };
    };
    for_a_while(limit, 4, |_| (), work);
}

/// A set whose members come and go, by hand, by death, and by pruning, beside those who iterate.
pub(crate) fn set(limit: Duration) {
    const FIXED: u32 = 20;
    let set: WeakSet<Arc<Value>, ByAddress> = WeakSet::new();
    let watched: WeakSet<Watched<Value>, ByAddress> = WeakSet::new();
    let counts = counts();
    let fixed: Held = (0..FIXED)
        .map(|key| Arc::new(Sealed::new(key, counts)))
        .collect();
    fixed.iter().for_each(|value| assert!(set.insert(value)));
    type State = (Held, Vec<Watched<Value>>);
    let work = |(held, prompt): &mut State, dice: &mut Dice| match dice.below(10) {
        0..3 => {
            let value = Arc::new(Sealed::new(FIXED, counts));
            assert!(set.insert(&value));
            held.push(value);
        }
        3 | 4 => {
            let value = Watched::new(Sealed::new(FIXED, counts));
            assert!(watched.insert(&value));
            prompt.push(value);
        }
        5 => {
            if let Some(value) = held.pop() {
                assert!(set.remove(&value) && !set.contains(&value));
            }
            if let Some(value) = prompt.pop() {
                assert!(watched.contains(&value));
                assert!(watched.remove(&value) && !watched.remove(&value));
            }
        }
        6 => {
            let seen: Vec<u32> = set
                .iter()
                .map(|value| {
                    value.assert_alive(value.key);
                    value.key
                })
                .collect();
            let lasting = seen.iter().copied().filter(|key| *key < FIXED);
            assert!(
                lasting.eq(0..FIXED),
                "each lasting one once, in order: {seen:?}"
            );
            watched.for_each(|value| value.assert_alive(FIXED));
        }
        7 if dice.below(10) == 0 => {
            set.prune();
            watched.shrink_to_fit();
            set.shrink_to_fit();
        }
        _ => {
            held.truncate(dice.below(6));
            prompt.truncate(dice.below(6));
        }
    };
    for_a_while(limit, 5, |_| State::default(), work);
    assert_eq!(
        (set.len(), watched.len(), watched.entry_count()),
        (FIXED as usize, 0, 0)
    );
    drop(fixed);
    set.prune();
    assert_eq!((set.len(), set.entry_count()), (0, 0));
    counts.assert_balanced();
}
