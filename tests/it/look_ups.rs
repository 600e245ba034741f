//! Look-ups that do not own the entry, and what they hold back.

use highlander::map::RemovalCause;
use highlander::WeakValueMap;
use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

/// A key that counts how many of its kind there are.
#[derive(Debug)]
struct Key(u32, Arc<AtomicUsize>);

impl Key {
    fn new(id: u32, live: &Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, SeqCst);
        Self(id, Arc::clone(live))
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.1.fetch_sub(1, SeqCst);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[derive(Hash)]
struct Id(u32);

impl highlander::Equivalent<Key> for Id {
    fn equivalent(&self, key: &Key) -> bool {
        self.0 == key.0
    }
}

/// What the documentation promises: so many entries may wait, and one for each thread that looks.
const BATCH: usize = 64;

#[test]
fn look_ups_that_are_over_hold_back_no_more_than_a_batch() {
    let live = Arc::new(AtomicUsize::new(0));
    let map: WeakValueMap<Key, Arc<u32>> = WeakValueMap::new();
    let mut most = 0;
    for i in 0..5_000 {
        let value = map.get_or_insert_with(Key::new(i, &live), |_| Arc::new(i));
        assert_eq!(map.get(&Id(i)).as_ref(), Some(&value));
        map.remove(&Id(i));
        most = most.max(live.load(SeqCst));
    }
    assert!(most <= BATCH, "{most} keys held back");
    map.prune();
    assert_eq!(live.load(SeqCst), 0);
}

#[test]
fn calls_that_take_out_many_hold_nothing_back() {
    let live = Arc::new(AtomicUsize::new(0));
    type Map = WeakValueMap<Key, Arc<u32>>;
    let calls: [fn(&Map); 4] = [
        |map| assert_eq!(map.clear(), 0),
        |map| assert_eq!(map.retain(|_, _| false), 0),
        |map| assert!(map.prune() <= 9),
        |map| map.shrink_to_fit(),
    ];
    for (i, call) in calls.into_iter().enumerate() {
        let map = Map::new();
        for i in 0..10 {
            let value = map.get_or_insert_with(Key::new(i, &live), |_| Arc::new(1));
            assert_eq!(map.get(&Id(i)), Some(value));
        }
        map.remove(&Id(3));
        call(&map);
        assert_eq!(live.load(SeqCst), 0, "call {i}");
    }
}

#[test]
fn dropping_the_map_drops_what_was_held_back() {
    let live = Arc::new(AtomicUsize::new(0));
    let map: WeakValueMap<Key, Arc<u32>> = WeakValueMap::new();
    let _value = map.get_or_insert_with(Key::new(1, &live), |_| Arc::new(1));
    map.remove(&Id(1));
    drop(map);
    assert_eq!(live.load(SeqCst), 0);
}

/// A query that stands still in its comparison until it is told to go on.
struct Stuck {
    id: u32,
    reached: Sender<()>,
    go_on: Receiver<()>,
}

impl Hash for Stuck {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl highlander::Equivalent<Key> for Stuck {
    fn equivalent(&self, key: &Key) -> bool {
        self.reached.send(()).unwrap();
        self.go_on.recv().unwrap();
        // The key is still there, whatever happened meanwhile.
        self.id == key.0
    }
}

#[test]
fn a_look_up_that_stands_still_in_a_comparison_holds_back_no_more_than_a_batch() {
    let live = Arc::new(AtomicUsize::new(0));
    let map: WeakValueMap<Key, Arc<u32>> = WeakValueMap::new();
    let kept = map.get_or_insert_with(Key::new(0, &live), |_| Arc::new(0));
    let (reached, is_reached) = channel();
    let (go, go_on) = channel();
    let stuck = Stuck {
        id: 0,
        reached,
        go_on,
    };
    thread::scope(|scope| {
        let reader = scope.spawn(|| map.get(&{ stuck }));
        is_reached.recv().unwrap();
        // The very entry that is being looked at goes too.
        map.remove(&Id(0)).unwrap();
        let mut most = 0;
        for i in 1..5_000 {
            let value = map.get_or_insert_with(Key::new(i, &live), |_| Arc::new(i));
            drop(value);
            map.prune();
            most = most.max(live.load(SeqCst));
        }
        assert!(most <= BATCH + 2, "{most} keys held back");
        go.send(()).unwrap();
        // It was entered when the look-up began.
        let found = reader.join().unwrap();
        assert!(found.is_none_or(|found| Arc::ptr_eq(&found, &kept)));
    });
    map.prune();
    assert_eq!(live.load(SeqCst), 0);
}

thread_local!(static BOMB: Cell<bool> = const { Cell::new(false) });

struct Bomb(u32);

impl Hash for Bomb {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl highlander::Equivalent<Key> for Bomb {
    fn equivalent(&self, key: &Key) -> bool {
        assert!(!BOMB.get(), "bang");
        self.0 == key.0
    }
}

#[test]
fn a_comparison_that_panics_lets_go() {
    let live = Arc::new(AtomicUsize::new(0));
    let map: WeakValueMap<Key, Arc<u32>> = WeakValueMap::new();
    let value = map.get_or_insert_with(Key::new(1, &live), |_| Arc::new(1));
    BOMB.set(true);
    assert!(catch_unwind(AssertUnwindSafe(|| map.get(&Bomb(1)))).is_err());
    BOMB.set(false);
    assert_eq!(map.get(&Bomb(1)).as_ref(), Some(&value));
    map.remove(&Id(1));
    map.prune();
    assert_eq!(live.load(SeqCst), 0);
}

#[derive(PartialEq, Eq, Hash)]
struct Fragile(u32);

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(self.0 % 2 == 0 || thread::panicking(), "odd keys break");
    }
}

#[test]
fn hooks_are_called_once_though_the_keys_put_aside_panic() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = {
        let told = Arc::clone(&told);
        move |key: &Fragile, cause| told.lock().unwrap().push((key.0, cause))
    };
    let map: WeakValueMap<Fragile, Arc<u32>> = WeakValueMap::new().on_remove(hook);
    let mut panics = 0;
    for i in 0..200 {
        map.insert(Fragile(i), Arc::new(i));
        let removed = catch_unwind(AssertUnwindSafe(|| map.prune()));
        panics += usize::from(removed.is_err());
    }
    panics += usize::from(catch_unwind(AssertUnwindSafe(|| map.prune())).is_err());
    assert!(panics >= 2, "each batch has odd keys");
    let mut told = told.lock().unwrap().clone();
    told.sort_by_key(|(key, _)| *key);
    let expected: Vec<_> = (0..200).map(|i| (i, RemovalCause::Dead)).collect();
    assert_eq!(told, expected);
}

#[test]
fn look_ups_last_over_changes_by_others() {
    let map: WeakValueMap<u32, Arc<u32>> = WeakValueMap::new();
    let values: Vec<_> = (0..64).map(Arc::new).collect();
    thread::scope(|scope| {
        for _ in 0..2 {
            let (map, values) = (&map, &values);
            scope.spawn(move || {
                for round in 0..20_000 {
                    let key = round % 64;
                    if let Some(found) = map.get(&key) {
                        assert!(Arc::ptr_eq(&found, &values[key as usize]));
                    }
                }
            });
        }
        for round in 0..20_000u32 {
            let key = round * 7 % 64;
            if round % 3 == 0 {
                map.remove(&key);
            } else {
                map.insert(key, values[key as usize].clone());
            }
        }
    });
}
