//! The peers that are written by hand do what they claim, and the keys are what they should be.

use std::collections::HashSet;
use std::sync::{Arc, Barrier};
use std::thread;

use highlander_bench::adapters::by_hand::{ByHand, Dashmap, Index, SccIndex, SccMap};
use highlander_bench::cell::Cell;
use highlander_bench::creation;
use highlander_bench::creation::meeting::Work;
use highlander_bench::maps::subject::MapSubject;
use highlander_bench::maps::OnceCells;
use highlander_bench::subject::Subject;
use highlander_bench::workload::{key, Workload, KEY_LEN};

const KEY: &str = "twelve bytes";

#[test]
fn the_entry_goes_with_the_last_handle() {
    fn check<I: Index>() {
        let interner = <ByHand<I> as Subject>::build(0);
        let first = interner.intern(KEY);
        let second = interner.intern(KEY);
        assert!(Arc::ptr_eq(&first, &second), "{}", I::NAME);
        drop(first);
        assert_eq!(interner.contains(KEY), Some(true), "{}", I::NAME);
        drop(second);
        assert_eq!(interner.contains(KEY), Some(false), "{}", I::NAME);
        assert_eq!(interner.entry_count(), 0, "{}", I::NAME);
    }
    check::<Dashmap>();
    check::<SccMap>();
    check::<SccIndex>();
}

#[test]
fn owners_that_drop_together_leave_nothing() {
    fn check<I: Index>() {
        let interner = <ByHand<I> as Subject>::build(0);
        let both = Barrier::new(2);
        let churn = || {
            for _ in 0..20_000 {
                let held = interner.intern(KEY);
                both.wait();
                drop(held);
                // Not waited for: here one thread creates while the other may still be dropping.
                drop(interner.intern(KEY));
            }
        };
        thread::scope(|scope| {
            scope.spawn(churn);
            scope.spawn(churn);
        });
        assert_eq!(interner.entry_count(), 0, "{}", I::NAME);
    }
    check::<Dashmap>();
    check::<SccMap>();
    check::<SccIndex>();
}

#[test]
fn a_map_of_once_cells_forgets_what_dies() {
    let map = OnceCells::build();
    let both = Barrier::new(2);
    let churn = || {
        for _ in 0..20_000 {
            let held = map.get_or_create(KEY);
            both.wait();
            drop(held);
            drop(map.get_or_create(KEY));
        }
    };
    thread::scope(|scope| {
        scope.spawn(churn);
        scope.spawn(churn);
    });
    assert_eq!(map.entry_count(), 0);
    let held = map.get_or_create(KEY);
    assert!(Arc::ptr_eq(&held, &map.get_or_create(KEY)));
    let mut seen = 0;
    map.for_each(&mut |value| seen += usize::from(Arc::ptr_eq(value, &held)));
    assert_eq!((seen, map.entry_count()), (1, 1));
}

#[test]
fn one_creator_per_key_where_that_is_claimed() {
    const THREADS: usize = 8;
    let keys: Vec<String> = (0..50).map(|number| format!("key {number}")).collect();
    for subject in creation::ALL {
        let built = (subject.build)();
        // Keys come again: what had been let go of is created anew.
        for _ in 0..2 {
            let meetings = built.meet(&keys, THREADS, Work::Compute(20_000));
            assert_eq!(meetings.len(), keys.len());
            let most = if subject.single { 1 } else { THREADS as u32 };
            for meeting in meetings {
                let (name, runs) = (subject.name, meeting.runs);
                assert!((1..=most).contains(&runs), "{name}: {runs} runs");
            }
        }
    }
}

#[test]
fn keys_are_distinct_and_of_the_stated_length() {
    let keys: HashSet<_> = (0..3)
        .flat_map(|space| (0..50_000).map(move |number| key(space, number)))
        .collect();
    assert_eq!(keys.len(), 150_000);
    let text = std::str::from_utf8(keys.iter().next().expect("a key"));
    assert_eq!(text.map(str::len), Ok(KEY_LEN));
}

#[test]
fn hits_are_live_keys_and_fresh_ones_are_not() {
    let workload = Workload::new(1, 1_000, 2);
    let live: HashSet<&str> = workload.live.iter().collect();
    let live_share = |cell, thread| {
        let stream = workload.stream(cell, thread);
        let hits = stream.iter().filter(|key| live.contains(key)).count();
        hits as f64 / stream.count() as f64
    };
    for thread in 0..2 {
        for cell in [Cell::Uniform, Cell::Zipf, Cell::Hot] {
            assert_eq!(live_share(cell, thread), 1.0, "{cell}");
        }
        assert_eq!(live_share(Cell::Fresh, thread), 0.0);
        assert!((live_share(Cell::Mix, thread) - 0.9).abs() < 1e-4);
    }
    let fresh = |thread| workload.stream(Cell::Fresh, thread).iter().collect();
    let (one, other): (HashSet<&str>, HashSet<&str>) = (fresh(0), fresh(1));
    assert!(one.is_disjoint(&other));
}
