//! The weak maps: entries that the table keeps, against those who look, take out, replace and enter. The pointers are of the models' own,
//! so that their deaths are steps too.

use crate::support::*;
use highlander::map::ByAddress;
use highlander::pointer::{Pointer, Quiet, Unreported, WeakPointer};
use highlander::{WeakKeyValueMap, WeakValueMap};
use loom::thread;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize as Plain, Ordering::Relaxed};
use std::sync::Arc;

/// A counted pointer whose count is loom's. Its memory is not: that is `std`'s to get right. Whether it is dead may be asked under a lock if it is `QUIET`.
struct Strong<const QUIET: bool = false>(Arc<Object>);

#[derive(Clone)]
struct Weak<const QUIET: bool>(Arc<Object>);

struct Object {
    strong: loom::sync::atomic::AtomicUsize,
    value: loom::cell::UnsafeCell<Option<Counted>>,
}

// SAFETY: the cell is written by the last owner only; loom checks that nobody reads it then.
unsafe impl Send for Object {}
// SAFETY: as above.
unsafe impl Sync for Object {}

impl<const QUIET: bool> Strong<QUIET> {
    fn new(tally: &Tally) -> Self {
        Self(Arc::new(Object {
            strong: loom::sync::atomic::AtomicUsize::new(1),
            value: loom::cell::UnsafeCell::new(Some(tally.value())),
        }))
    }

    fn read(&self) {
        // SAFETY: an owner, so nobody writes.
        self.0
            .value
            .with(|value| unsafe { (*value).as_ref() }.unwrap().read());
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<const QUIET: bool> Clone for Strong<QUIET> {
    fn clone(&self) -> Self {
        self.0
            .strong
            .fetch_add(1, loom::sync::atomic::Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl<const QUIET: bool> Drop for Strong<QUIET> {
    fn drop(&mut self) {
        use loom::sync::atomic::Ordering::AcqRel;
        if self.0.strong.fetch_sub(1, AcqRel) == 1 {
            // SAFETY: the last owner.
            drop(self.0.value.with_mut(|value| unsafe { (*value).take() }));
        }
    }
}

impl<const QUIET: bool> Pointer for Strong<QUIET> {
    type Target = ();
    type Weak = Weak<QUIET>;
    type Death = Unreported;

    fn downgrade(this: &Self) -> Weak<QUIET> {
        Weak(Arc::clone(&this.0))
    }

    fn target(_: &Self) -> &() {
        &()
    }

    fn address(this: &Self) -> *const () {
        Arc::as_ptr(&this.0).cast()
    }
}

impl<const QUIET: bool> WeakPointer for Weak<QUIET> {
    const IS_DEAD_IS_QUIET: Option<Quiet<Self>> = if QUIET {
        // SAFETY: it reads a count.
        Some(unsafe { Quiet::promise() })
    } else {
        None
    };
    type Strong = Strong<QUIET>;

    fn upgrade(&self) -> Option<Strong<QUIET>> {
        use loom::sync::atomic::Ordering::{AcqRel, Relaxed};
        self.0
            .strong
            .fetch_update(AcqRel, Relaxed, |n| (n > 0).then_some(n + 1))
            .ok()
            .map(|_| Strong(Arc::clone(&self.0)))
    }

    fn is_dead(&self) -> bool {
        self.0.strong.load(loom::sync::atomic::Ordering::Acquire) == 0
    }

    fn address(&self) -> *const () {
        Arc::as_ptr(&self.0).cast()
    }
}

type Map<const QUIET: bool = false> = WeakValueMap<Content, Strong<QUIET>, PlacedHasher>;

/// A map, the tally of its keys, and that of values.
fn map<const QUIET: bool>() -> (Arc<Map<QUIET>>, Tally, Tally) {
    let map = WeakValueMap::with_hasher(PlacedHasher::default());
    (Arc::new(map), Tally::default(), Tally::default())
}

/// Sees that nothing is left when the map has gone.
fn end<const QUIET: bool>(map: Arc<Map<QUIET>>, keys: &Tally, values: &Tally) {
    map.prune();
    assert_eq!((map.entry_count(), map.len()), (0, 0));
    drop(map);
    assert_eq!((keys.live(), values.live()), (0, 0));
}

#[test]
fn look_up_against_death_and_pruning() {
    model(|| {
        let (map, keys, values) = map::<false>();
        let strong = Strong::new(&values);
        map.insert(Content::new(A, &keys), strong.clone());
        let other = thread::spawn({
            let map = Arc::clone(&map);
            move || {
                if let Some(found) = map.get(&A) {
                    found.read();
                }
            }
        });
        drop(strong);
        map.prune();
        other.join().unwrap();
        assert!(map.get(&A).is_none());
        end(map, &keys, &values);
    });
}

#[test]
fn look_up_against_removal() {
    model(|| {
        let (map, keys, values) = map::<false>();
        let strong = Strong::new(&values);
        map.insert(Content::new(A, &keys), strong.clone());
        let other = thread::spawn({
            let map = Arc::clone(&map);
            move || map.get(&A).inspect(Strong::read).is_some()
        });
        assert!(map.remove(&A).is_some());
        assert!(map.get(&A).is_none());
        other.join().unwrap();
        assert_eq!(keys.live(), 0);
        drop(strong);
        end(map, &keys, &values);
    });
}

#[test]
fn look_up_against_a_successor_and_death() {
    model_with(1, || {
        let (map, keys, values) = map::<false>();
        let first = Strong::new(&values);
        map.insert(Content::new(A, &keys), first.clone());
        let other = thread::spawn({
            let map = Arc::clone(&map);
            move || map.get(&A).inspect(Strong::read).is_some()
        });
        // To let the other one begin costs no forced switch.
        thread::yield_now();
        let second = Strong::new(&values);
        map.insert(Content::new(A, &keys), second.clone());
        drop(first);
        assert!(other.join().unwrap(), "there was one at all times");
        drop(second);
        end(map, &keys, &values);
    });
}

#[test]
fn pruning_against_pruning() {
    model(|| {
        let told = Arc::new(Plain::new(0));
        let map = {
            let told = Arc::clone(&told);
            Map::<false>::with_hasher(PlacedHasher::default()).on_remove(move |_, _| {
                told.fetch_add(1, Relaxed);
            })
        };
        let (map, keys, values) = (Arc::new(map), Tally::default(), Tally::default());
        map.insert(Content::new(A, &keys), Strong::new(&values));
        let other = thread::spawn({
            let map = Arc::clone(&map);
            move || map.prune()
        });
        let mine = map.prune();
        assert_eq!(mine + other.join().unwrap(), 1);
        assert_eq!((told.load(Relaxed), keys.live()), (1, 0));
        end(map, &keys, &values);
    });
}

#[test]
fn pruning_against_replacement_of_the_dead() {
    model_with(2, || {
        let (map, keys, values) = map::<false>();
        map.insert(Content::new(A, &keys), Strong::new(&values));
        let other = thread::spawn({
            let map = Arc::clone(&map);
            move || map.prune()
        });
        let new = Strong::new(&values);
        assert!(map.insert(Content::new(A, &keys), new.clone()).is_none());
        other.join().unwrap();
        assert!(map.get(&A).unwrap().is(&new));
        assert_eq!((map.entry_count(), keys.live()), (1, 1));
        drop(new);
        end(map, &keys, &values);
    });
}

#[test]
fn insertion_against_insertion() {
    model_with(1, || {
        let (map, keys, values) = map::<false>();
        let other = thread::spawn({
            let (map, keys, values) = (Arc::clone(&map), keys.clone(), values.clone());
            move || {
                let mine = Strong::new(&values);
                let displaced = map.insert(Content::new(A, &keys), mine.clone());
                (mine, displaced.is_some())
            }
        });
        let mine = Strong::new(&values);
        let displaced = map.insert(Content::new(A, &keys), mine.clone());
        let (theirs, they) = other.join().unwrap();
        assert!(displaced.is_some() != they, "one of them was second");
        let last = if they { &theirs } else { &mine };
        assert!(map.get(&A).unwrap().is(last));
        assert_eq!((map.entry_count(), keys.live()), (1, 1));
        drop((mine, theirs, displaced));
        end(map, &keys, &values);
    });
}

#[test]
fn creation_against_creation_of_a_value_that_is_let_go_at_once() {
    model_with(1, || {
        let (map, keys, values) = map::<false>();
        let create = {
            let (map, keys, values) = (Arc::clone(&map), keys.clone(), values.clone());
            move || {
                map.get_or_insert_with(Content::new(A, &keys), |_| Strong::new(&values))
                    .read()
            }
        };
        let other = thread::spawn(create.clone());
        create();
        other.join().unwrap();
        drop(create);
        assert!(map.get(&A).is_none());
        end(map, &keys, &values);
    });
}

#[test]
fn creation_against_removal() {
    model_with(1, || {
        let (map, keys, values) = map::<false>();
        let other = thread::spawn({
            let map = Arc::clone(&map);
            move || drop(map.remove(&A))
        });
        let made = map.get_or_insert_with(Content::new(A, &keys), |_| Strong::new(&values));
        made.read();
        other.join().unwrap();
        drop(made);
        end(map, &keys, &values);
    });
}

#[test]
fn iteration_against_death_and_insertion() {
    model_with(2, || {
        let (map, keys, values) = map::<false>();
        let (old, new) = (Strong::new(&values), Strong::new(&values));
        map.insert(Content::new(A, &keys), old.clone());
        let other = thread::spawn({
            let (map, keys, new) = (Arc::clone(&map), keys.clone(), new.clone());
            move || {
                drop(old);
                map.insert(Content::new(B, &keys), new);
            }
        });
        for (key, value) in &*map {
            key.read();
            value.read();
        }
        other.join().unwrap();
        assert_eq!(map.len(), 1);
        drop(new);
        end(map, &keys, &values);
    });
}

#[test]
fn closing_against_insertion() {
    model_with(1, || {
        let (map, keys, values) = map::<false>();
        let strong = Strong::new(&values);
        let other = thread::spawn({
            let (map, keys, strong) = (Arc::clone(&map), keys.clone(), strong.clone());
            move || map.try_insert(Content::new(A, &keys), strong).is_ok()
        });
        let live = map.close();
        let entered = other.join().unwrap();
        assert_eq!(
            live.len(),
            usize::from(entered),
            "either handed out or refused"
        );
        assert_eq!(map.len(), usize::from(entered));
        drop((live, strong));
        end(map, &keys, &values);
    });
}

#[test]
fn closing_against_replacement() {
    model_with(2, || {
        let (map, keys, values) = map::<false>();
        let (old, new) = (Strong::new(&values), Strong::new(&values));
        map.insert(Content::new(A, &keys), old.clone());
        let other = thread::spawn({
            let (map, keys) = (Arc::clone(&map), keys.clone());
            let (old, new) = (old.clone(), new.clone());
            move || {
                map.compare_exchange(Content::new(A, &keys), &old, new)
                    .is_ok()
            }
        });
        let live = map.close();
        let entered = if other.join().unwrap() { &new } else { &old };
        assert_eq!(live.len(), 1);
        assert!(live[0].is(entered) && map.get(&A).unwrap().is(entered));
        drop((live, old, new));
        end(map, &keys, &values);
    });
}

#[test]
fn closing_against_creation() {
    model_with(1, || {
        let (map, keys, values) = map::<false>();
        let other = thread::spawn({
            let (map, keys, values) = (Arc::clone(&map), keys.clone(), values.clone());
            move || {
                let make = |_: &Content| Ok::<_, Infallible>(Strong::new(&values));
                map.get_or_try_insert_with(Content::new(A, &keys), make)
                    .ok()
            }
        });
        let live = map.close();
        let created = other.join().unwrap();
        assert_eq!(live.len(), usize::from(created.is_some()));
        assert_eq!(map.len(), live.len());
        drop((live, created));
        end(map, &keys, &values);
    });
}

type Pairs = WeakKeyValueMap<Strong, Strong, ByAddress, PlacedAddress>;

/// Addresses differ from run to run; the models must not.
#[derive(Clone, Default)]
struct PlacedAddress;

impl std::hash::BuildHasher for PlacedAddress {
    type Hasher = SamePlace;

    fn build_hasher(&self) -> SamePlace {
        SamePlace
    }
}

struct SamePlace;

impl std::hash::Hasher for SamePlace {
    fn write(&mut self, _: &[u8]) {}

    fn finish(&self) -> u64 {
        1
    }
}

#[test]
fn death_of_the_key_against_death_of_the_value() {
    model_with(2, || {
        let pairs = Arc::new(Pairs::with_hasher(PlacedAddress));
        let tally = Tally::default();
        let (key, value): (Strong, Strong) = (Strong::new(&tally), Strong::new(&tally));
        pairs.insert(&key, value.clone());
        let other = thread::spawn({
            let pairs = Arc::clone(&pairs);
            move || {
                drop(key);
                pairs.prune()
            }
        });
        let entries = pairs.entry_count();
        let found = pairs.get_by_value(&value);
        found.iter().for_each(Strong::read);
        let took_it_out = found.is_none() && entries == 1 && pairs.entry_count() == 0;
        drop((found, value));
        let pruned = pairs.prune() + other.join().unwrap();
        // Whichever pruned last has found what was dead by then; or the look-up has come across it.
        let pruned = pruned + pairs.prune();
        assert!(pruned == 1 || pruned == 0 && took_it_out);
        assert_eq!((pairs.entry_count(), tally.live()), (0, 0));
    });
}

#[test]
fn entering_a_pair_against_removing_it() {
    model_with(1, || {
        let pairs = Arc::new(Pairs::with_hasher(PlacedAddress));
        let tally = Tally::default();
        let (key, value): (Strong, Strong) = (Strong::new(&tally), Strong::new(&tally));
        let other = thread::spawn({
            let (pairs, key) = (Arc::clone(&pairs), key.clone());
            move || pairs.remove(&key).is_some()
        });
        pairs.insert(&key, value.clone());
        let removed = other.join().unwrap();
        assert_eq!(pairs.get(&key).is_some(), !removed);
        assert_eq!(pairs.keys_of(&value).len(), usize::from(!removed));
        drop((key, value));
        pairs.prune();
        assert_eq!((pairs.entry_count(), tally.live()), (0, 0));
    });
}

#[test]
fn look_up_that_owns_nothing_against_removal() {
    // Only here: without, a look-up of a model becomes an owner.
    let _reclaim = Switch::on(highlander::model::set_reclaim);
    model_with(3, || {
        let (map, keys, values) = map::<false>();
        let value = Strong::new(&values);
        map.insert(Content::new(A, &keys), value.clone());
        let other = thread::spawn({
            let map = Arc::clone(&map);
            move || {
                let found = map.get(&A);
                found.as_ref().map(Strong::read)
            }
        });
        drop(map.remove(&A));
        // In the place where the removed one was.
        map.insert(Content::new(B, &keys), value.clone());
        let _ = other.join().unwrap();
        assert!(map.get(&A).is_none());
        drop((map.remove(&B), value));
        end(map, &keys, &values);
    });
}

#[test]
fn two_look_ups_that_own_nothing_against_removal() {
    let _reclaim = Switch::on(highlander::model::set_reclaim);
    model_with(3, || {
        let (map, keys, values) = map::<false>();
        let value = Strong::new(&values);
        map.insert(Content::new(A, &keys), value.clone());
        map.insert(Content::new(B, &keys), value.clone());
        let other = thread::spawn({
            let map = Arc::clone(&map);
            // What the first has read comes before the removal that sees that the second looks elsewhere.
            move || [A, B].map(|key| map.get(&key).as_ref().map(Strong::read))
        });
        drop(map.remove(&A));
        let _ = other.join().unwrap();
        drop((map.remove(&B), value));
        end(map, &keys, &values);
    });
}

#[test]
fn iteration_that_owns_nothing_against_removal() {
    let _reclaim = Switch::on(highlander::model::set_reclaim);
    model_with(3, || {
        let (map, keys, values) = map::<false>();
        let value = Strong::new(&values);
        map.insert(Content::new(A, &keys), value.clone());
        let other = thread::spawn({
            let map = Arc::clone(&map);
            move || {
                // So that this thread can say what it looks at.
                drop(map.get(&B));
                map.iter()
                    .inspect(|(key, _)| {
                        key.read();
                    })
                    .count()
            }
        });
        drop(map.remove(&A));
        // In the place where the removed one was.
        map.insert(Content::new(B, &keys), value.clone());
        let seen = other.join().unwrap();
        assert!(seen <= 1, "both were never in");
        drop((map.remove(&B), value));
        end(map, &keys, &values);
    });
}

#[test]
fn look_up_that_owns_nothing_against_pruning_at_once() {
    let _reclaim = Switch::on(highlander::model::set_reclaim);
    model_with(3, || {
        let (map, keys, values) = map::<true>();
        map.insert(Content::new(A, &keys), Strong::new(&values));
        let other = thread::spawn({
            let map = Arc::clone(&map);
            move || assert!(map.get(&A).is_none())
        });
        let mine = map.prune();
        other.join().unwrap();
        assert!(mine <= 1);
        assert_eq!(map.entry_count(), 0);
        end(map, &keys, &values);
    });
}

#[test]
fn pruning_at_once_against_replacement_of_the_dead() {
    model_with(1, || {
        let (map, keys, values) = map::<true>();
        map.insert(Content::new(A, &keys), Strong::new(&values));
        let other = thread::spawn({
            let map = Arc::clone(&map);
            move || map.prune()
        });
        let new = Strong::new(&values);
        assert!(map.insert(Content::new(A, &keys), new.clone()).is_none());
        other.join().unwrap();
        assert!(map.get(&A).unwrap().is(&new));
        assert_eq!((map.entry_count(), keys.live()), (1, 1));
        drop(new);
        end(map, &keys, &values);
    });
}

#[test]
fn look_up_that_owns_nothing_against_the_death_of_a_young_one() {
    let _reclaim = Switch::on(highlander::model::set_reclaim);
    let _own = Switch::on(highlander::model::set_own_shards);
    model_with(2, || {
        let (map, keys, values) = map::<true>();
        // Dead at once, and young until the next insertion.
        map.insert(Content::new(A, &keys), Strong::new(&values));
        let other = thread::spawn({
            let map = Arc::clone(&map);
            move || assert!(map.get(&A).is_none())
        });
        let new = Strong::new(&values);
        map.insert(Content::new(B, &keys), new.clone());
        other.join().unwrap();
        assert_eq!(map.entry_count(), 1);
        drop(new);
        end(map, &keys, &values);
    });
}

#[test]
fn removal_against_the_death_of_a_young_one() {
    let _own = Switch::on(highlander::model::set_own_shards);
    model_with(2, || {
        let (map, keys, values) = map::<true>();
        let young = Strong::new(&values);
        map.insert(Content::new(A, &keys), young.clone());
        let other = thread::spawn({
            let map = Arc::clone(&map);
            move || drop(map.remove(&A))
        });
        drop(young);
        let new = Strong::new(&values);
        map.insert(Content::new(B, &keys), new.clone());
        other.join().unwrap();
        assert_eq!(map.entry_count(), 1);
        assert!(map.get(&B).unwrap().is(&new));
        drop(new);
        end(map, &keys, &values);
    });
}
