//! The version of a weak set, members that are made by whoever misses them, and members that do not live yet.

use crate::support::*;
use highlander::map::{ByAddress, ByEquality};
use highlander::pointer::Watched;
use highlander::{Equivalent, WeakSet};
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Equal to all with the same number.
struct Member {
    number: u32,
    counted: Counted,
}

impl Member {
    fn new(number: u32, tally: &Tally) -> Watched<Member> {
        let counted = tally.value();
        Watched::new(Member { number, counted })
    }
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.counted.read();
        self.number == other.number
    }
}

impl Eq for Member {}

impl Hash for Member {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl Equivalent<Member> for u32 {
    fn equivalent(&self, member: &Member) -> bool {
        member.counted.read();
        *self == member.number
    }
}

type ByNumber = WeakSet<Watched<Member>, ByEquality, PlacedHasher>;
type ByPlace = WeakSet<Watched<Member>, ByAddress>;

/// How many members an iteration shows, with the versions before and after, between which it was asked whether the change of
/// `changed` is known to have happened.
fn looked_at(set: &ByNumber, changed: &AtomicBool) -> (u64, usize, bool, u64) {
    let before = set.version();
    let shown = set.iter().count();
    let known = changed.load(Ordering::Acquire);
    (before, shown, known, set.version())
}

/// `change` turns the first number of members into the second, and raises the version by one. One member stays.
fn version_against(change: fn(&ByNumber, &Watched<Member>), shows: (usize, usize)) {
    model_with(2, move || {
        let tally = Tally::default();
        let set = Arc::new(ByNumber::default());
        let (stays, member) = (Member::new(2, &tally), Member::new(1, &tally));
        set.insert(&stays);
        if shows.0 == 2 {
            set.insert(&member);
        }
        let versions = (set.version(), set.version() + 1);
        let changed = Arc::new(AtomicBool::new(false));
        let other = thread::spawn({
            let (set, changed) = (Arc::clone(&set), Arc::clone(&changed));
            move || looked_at(&set, &changed)
        });
        change(&set, &member);
        changed.store(true, Ordering::Release);
        let (before, shown, known, after) = other.join().unwrap();
        assert!([versions.0, versions.1].contains(&before) && before <= after);
        if before == versions.1 {
            assert_eq!(shown, shows.1, "counted, and not seen");
        }
        if known {
            assert_eq!(after, versions.1, "it has returned, and does not count");
        }
        drop((stays, member));
        assert_eq!((set.entry_count(), tally.live()), (0, 0));
    });
}

#[test]
fn version_against_insertion() {
    version_against(|set, member| assert!(set.insert(member)), (1, 2));
}

#[test]
fn version_against_removal() {
    version_against(|set, _| assert!(set.remove(&1)), (2, 1));
}

#[test]
fn a_reported_death_against_pruning_counts_once() {
    model_with(2, || {
        let tally = Tally::default();
        let set = Arc::new(ByNumber::default());
        let member = Member::new(1, &tally);
        set.insert(&member);
        let other = thread::spawn({
            let set = Arc::clone(&set);
            move || set.prune()
        });
        drop(member);
        let pruned = other.join().unwrap();
        assert!(pruned <= 1);
        assert_eq!((set.version(), set.entry_count()), (2, 0));
    });
}

#[test]
fn of_two_that_miss_a_member_both_get_one() {
    model_with(2, || {
        let tally = Tally::default();
        let set = Arc::new(ByNumber::default());
        let get = |set: &ByNumber, tally: &Tally| {
            set.get_or_insert_with(&1, |number| Member::new(*number, tally))
        };
        let other = thread::spawn({
            let (set, tally) = (Arc::clone(&set), tally.clone());
            move || get(&set, &tally)
        });
        let mine = get(&set, &tally);
        let theirs = other.join().unwrap();
        assert!(Watched::ptr_eq(&mine, &theirs));
        mine.counted.read();
        assert_eq!((set.version(), set.entry_count(), tally.live()), (1, 1, 1));
        drop((mine, theirs));
        assert_eq!((set.entry_count(), tally.live()), (0, 0));
    });
}

/// A member that enters itself while it is made, and is seen alive after that.
fn unfinished_against(sweep: fn(&ByPlace)) {
    model_with(2, move || {
        let tally = Tally::default();
        let set = Arc::new(ByPlace::new());
        let member = Watched::new_cyclic(|me| {
            assert!(set.insert_weak(me));
            assert_eq!((set.len(), set.prune(), set.entry_count()), (0, 0, 1));
            let counted = tally.value();
            Member { number: 1, counted }
        });
        drop(member);
        assert_eq!(set.clear(), 1, "nobody has seen it alive");

        let other = Arc::clone(&set);
        let other = std::cell::RefCell::new(Some(other));
        let mut sweeper = None;
        let member = Watched::new_cyclic(|me| {
            assert!(set.insert_weak(me));
            let set = other.take().unwrap();
            sweeper = Some(thread::spawn(move || sweep(&set)));
            let counted = tally.value();
            Member { number: 2, counted }
        });
        let shown: Vec<_> = set.iter().map(|member| member.number).collect();
        assert_eq!(shown, [2], "taken for dead before it lived");
        sweeper.unwrap().join().unwrap();
        assert_eq!(set.iter().count(), 1, "taken for dead as it came to life");
        drop(member);
        assert_eq!((set.prune(), set.entry_count(), tally.live()), (1, 0, 0));
    });
}

#[test]
fn a_member_that_comes_to_life_against_pruning() {
    unfinished_against(|set| assert_eq!(set.prune(), 0));
}

#[test]
fn a_member_that_comes_to_life_against_iteration() {
    unfinished_against(|set| assert!(set.iter().count() <= 1));
}
