//! The version of a `WeakSet`: what raises it, and what those may rely on who keep a list by it.

use crate::common::panic_of;
use highlander::map::ByAddress;
use highlander::pointer::{Token, Watched};
use highlander::WeakSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Acquire, Ordering::Release};
use std::sync::Arc;
use std::thread;

type Numbers = WeakSet<Arc<u32>>;

fn numbers(range: std::ops::Range<u32>) -> Vec<Arc<u32>> {
    range.map(Arc::new).collect()
}

/// By how much `change` raises the version.
fn rise<R>(set: &Numbers, change: impl FnOnce(&Numbers) -> R) -> u64 {
    let before = set.version();
    change(set);
    set.version() - before
}

#[test]
fn each_insertion_and_each_removal_raises_it_by_one() {
    let (set, owned) = (Numbers::new(), numbers(0..20));
    assert_eq!(set.version(), 0);
    assert_eq!(rise(&set, |set| set.insert(&owned[0])), 1);
    assert_eq!(rise(&set, |set| set.get_or_insert(owned[1].clone())), 1);
    let make = |_: &u32| owned[2].clone();
    assert_eq!(rise(&set, |set| set.get_or_insert_with(&2, make)), 1);
    assert_eq!(rise(&set, |set| set.extend(owned.iter().cloned())), 17);
    assert_eq!(rise(&set, |set| set.remove(&0)), 1);
    assert_eq!(rise(&set, |set| set.take(&1)), 1);
    assert_eq!(rise(&set, |set| set.pop_first()), 1);
    assert_eq!(rise(&set, |set| set.retain(|number| **number >= 5)), 2);
    assert_eq!(rise(&set, |set| set.drain().count()), 15);
    set.insert(&owned[0]);
    assert_eq!(rise(&set, |set| set.clear()), 1);
}

#[test]
fn what_changes_nothing_does_not_raise_it() {
    let (set, owned) = (Numbers::new(), numbers(0..20));
    set.extend(owned.iter().cloned());
    let quiet = |set: &Numbers| {
        assert!(!set.insert(&owned[3]) && !set.insert(&Arc::new(3)) && !set.remove(&99));
        assert!(set.take(&99).is_none() && set.contains(&3) && set.get(&3).is_some());
        assert_eq!((set.iter().count(), set.retain(|_| true)), (20, 0));
        set.for_each(|_| {});
        set.reserve(1000);
        set.shrink_to_fit();
        assert_eq!((set.prune(), set.len()), (0, 20));
        assert!(set.clone() == *set);
    };
    assert_eq!(rise(&set, quiet), 0);
}

#[test]
fn neither_the_death_of_plain_arcs_nor_their_pruning_raises_it() {
    let (set, mut owned) = (Numbers::new(), numbers(0..400));
    set.extend(owned.iter().cloned());
    owned.retain(|number| **number % 10 == 9);
    // An iteration takes out some of the dead, and must not be a reason to iterate again.
    assert_eq!(rise(&set, |set| assert_eq!(set.iter().count(), 40)), 0);
    assert!(set.entry_count() < 400);
    assert_eq!(rise(&set, |set| assert!(!set.contains(&0))), 0);
    // The insertion sweeps.
    assert_eq!(rise(&set, |set| set.insert(&Arc::new(1000))), 1);
    assert_eq!(rise(&set, |set| assert!(set.prune() > 0)), 0);
    assert_eq!(set.entry_count(), 40);
}

#[test]
fn a_reported_death_has_raised_it_when_the_last_drop_returns() {
    let set: WeakSet<Watched<u32>> = WeakSet::new();
    let member = Watched::new(1);
    set.insert(&member);
    let other = member.clone();
    drop(member);
    assert_eq!(set.version(), 1);
    drop(other);
    assert_eq!(set.version(), 2);
    let seen = Arc::new(AtomicU32::new(0));
    let set = Arc::new(set);
    let member = Watched::new(2);
    set.insert(&member);
    let look = {
        let (set, seen) = (Arc::clone(&set), Arc::clone(&seen));
        move || seen.store(set.version() as u32, Release)
    };
    Watched::on_death(&member, look).keep();
    drop(member);
    assert_eq!(seen.load(Acquire), 4, "callbacks find it counted");
}

/// Prunes the sets that it is in when it dies, before its token is dropped.
struct Impatient {
    set: Arc<WeakSet<Arc<Impatient>, ByAddress>>,
    token: Token,
}

impl Drop for Impatient {
    fn drop(&mut self) {
        assert_eq!(self.set.prune(), 1);
    }
}

#[test]
fn a_reported_death_counts_once_though_it_is_pruned_before_the_report() {
    let set = Arc::new(WeakSet::new());
    let member = Arc::new(Impatient {
        set: Arc::clone(&set),
        token: Token::new(),
    });
    assert!(set.insert_with_token(&member, |member| &member.token));
    drop(member);
    assert_eq!((set.version(), set.entry_count()), (2, 0));
}

#[test]
fn an_insertion_that_is_taken_back_by_a_panic_counts_twice() {
    let set: WeakSet<Arc<u32>, ByAddress> = WeakSet::new();
    let member = Arc::new(1);
    let insert = || set.insert_with_token(&member, |_| panic!("no token"));
    assert_eq!(panic_of(insert), "no token");
    assert_eq!((set.version(), set.entry_count()), (2, 0));
}

/// Each writer enters its members in order, and takes out the odd ones when they are eight behind; after each call it says how
/// far it is.
#[derive(Default)]
struct Progress {
    entered: AtomicU32,
    removed: AtomicU32,
}

#[test]
fn a_list_with_the_same_version_before_and_after_is_right_for_all_that_had_happened() {
    const WRITERS: u32 = 2;
    const EACH: u32 = 2000;
    let set: WeakSet<Arc<u32>> = WeakSet::new();
    let progress: [Progress; WRITERS as usize] = Default::default();
    let ended = AtomicBool::new(false);
    let check = || {
        let before = set.version();
        let shown: Vec<u32> = set.iter().map(|member| *member).collect();
        let known: Vec<(u32, u32)> = progress
            .iter()
            .map(|one| (one.removed.load(Acquire), one.entered.load(Acquire)))
            .collect();
        let after = set.version();
        assert!(before <= after);
        if before != after {
            return false;
        }
        for (writer, (removed, entered)) in (0..).zip(known) {
            let of_it = |number: &&u32| **number / EACH == writer;
            let shown: Vec<u32> = shown.iter().filter(of_it).map(|n| n % EACH).collect();
            let gone = |number: &u32| number % 2 == 1 && *number < removed;
            assert!(!shown.iter().any(gone), "taken out, and shown");
            let mut even = shown.into_iter().filter(|number| number % 2 == 0);
            let expected = (0..entered).step_by(2);
            assert!(expected.eq(even.by_ref().take(entered.div_ceil(2) as usize)));
        }
        true
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (set, progress) = (&set, &progress[writer as usize]);
                scope.spawn(move || {
                    let owned = numbers(writer * EACH..(writer + 1) * EACH);
                    for (number, member) in (0..).zip(&owned) {
                        assert!(set.insert(member));
                        progress.entered.store(number + 1, Release);
                        if let Some(old) = number.checked_sub(8).filter(|old| old % 2 == 1) {
                            assert!(set.remove(&*owned[old as usize]));
                            progress.removed.store(old + 1, Release);
                        }
                    }
                    owned
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            while !ended.load(Acquire) {
                check();
            }
        });
        let owned: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        ended.store(true, Release);
        assert!(owned.iter().all(Result::is_ok));
        reader.join().unwrap();
        assert!(check(), "nobody changes it any more");
        assert_eq!(set.len() as u32, WRITERS * (EACH / 2 + 4));
        drop(owned);
    });
    assert_eq!(set.version(), u64::from(WRITERS * (EACH + EACH / 2 - 4)));
}
