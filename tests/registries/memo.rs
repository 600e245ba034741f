//! `memo`: behaviours 4.1 to 4.3 of `BEHAVIOURS.md`.

use crate::common::{panic_of, promptly, Census, Citizen};
use highlander::error::{CreateError, Refused};
use highlander::map::ByAddress;
use highlander::registries::memo::{Memo, Same};
use highlander::{Handle, Registry};
use highlander::{StrongMap, WeakKeyMap, WeakValueMap};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;

/// What `symtable` gets from its compiler. It does not refer to its wrapper.
#[derive(PartialEq, Eq, Debug)]
struct RawTable(Vec<&'static str>);

/// What it hands out: it owns the raw table.
struct Table {
    raw: Arc<RawTable>,
    file: &'static str,
    _citizen: Citizen,
}

type Key = (Same<Arc<RawTable>>, &'static str);

fn tables(census: &Census) -> Memo<Registry<Key, Table>, impl Fn(&Key) -> Table> {
    let census = census.clone();
    Memo::new(Registry::new(), move |(raw, file): &Key| Table {
        raw: Arc::clone(&raw.0),
        file,
        _citizen: census.citizen(),
    })
}

#[test]
fn the_same_object_while_it_is_held_by_identity_of_the_raw_table() {
    let census = Census::new();
    let memo = tables(&census);
    let raw = Arc::new(RawTable(vec!["x"]));
    let equal = Arc::new(RawTable(vec!["x"]));
    let one = memo.get((Same(raw.clone()), "a.py"));
    let same = memo.get((Same(raw.clone()), "a.py"));
    assert!(Handle::ptr_eq(&one, &same));
    assert!(!Handle::ptr_eq(
        &memo.get((Same(raw.clone()), "b.py")),
        &one
    ));
    assert_eq!(raw, equal);
    assert!(Same(raw.clone()) == Same(raw.clone()) && Same(raw.clone()) != Same(equal.clone()));
    assert!(!Handle::ptr_eq(&memo.get((Same(equal), "a.py")), &one));
    assert_eq!(census.born(), 3);
    assert!(Arc::ptr_eq(&one.raw, &raw) && one.file == "a.py");
}

#[test]
fn when_all_are_dropped_the_entry_has_gone_and_the_next_is_new() {
    let census = Census::new();
    let memo = tables(&census);
    let raw = Arc::new(RawTable(vec![]));
    let (one, two) = (
        memo.get((Same(raw.clone()), "a")),
        memo.get((Same(raw.clone()), "a")),
    );
    drop(one);
    assert_eq!(memo.map().len(), 1);
    drop(two);
    assert_eq!((memo.map().len(), census.alive()), (0, 0));
    assert_eq!(
        Arc::strong_count(&raw),
        1,
        "neither the key nor the value keeps the raw table"
    );
    let _new = memo.get((Same(raw), "a"));
    assert_eq!(census.born(), 2);
}

/// The race that `symtable` loses: 405 and 139 of 3,000 rounds gave two objects.
#[test]
fn a_function_does_not_run_twice_under_threads() {
    promptly(|| {
        let made = AtomicUsize::new(0);
        let memo = Memo::new(Registry::new(), |n: &u32| {
            made.fetch_add(1, SeqCst);
            thread::yield_now();
            *n
        });
        let start = Barrier::new(4);
        const ROUNDS: u32 = 500;
        for round in 0..ROUNDS {
            let all: Vec<Handle<u32, u32>> = thread::scope(|scope| {
                let ask = || {
                    start.wait();
                    memo.get(round)
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect()
            });
            assert!(all.iter().all(|one| Handle::ptr_eq(one, &all[0])));
        }
        assert_eq!(made.load(SeqCst), ROUNDS as usize);
        assert!(memo.map().is_empty());
    });
}

#[test]
fn a_panicking_or_failing_function_stores_nothing() {
    let fails = Cell::new(2);
    let memo = Memo::new(Registry::new(), |n: &u32| {
        match fails.replace(fails.get() - 1) {
            2 => panic!("two"),
            1 => Err("one"),
            _ => Ok(*n),
        }
    });
    assert_eq!(panic_of(|| memo.try_get(7)), "two");
    assert!(memo.map().is_empty());
    assert_eq!(memo.try_get(7).unwrap_err(), CreateError::Failed("one"));
    assert!(memo.map().is_empty());
    assert_eq!(*memo.try_get(7).unwrap(), 7);
}

#[test]
fn a_function_that_comes_back_to_its_own_input_is_refused() {
    type Numbers = Memo<Registry<u32, u32>, fn(&u32) -> u32>;
    static MEMO: Numbers = Memo::new(Registry::new(), |n| match n {
        0 => 0,
        10 => *MEMO.get(11),
        11 => *MEMO.get(10),
        n => *MEMO.get(n - 1) + 1,
    });
    assert_eq!(*MEMO.get(9), 9, "other inputs are fine");
    assert!(panic_of(|| MEMO.get(10)).contains("again"));
    assert!(MEMO.map().is_empty());
}

#[test]
fn every_map_can_hold_results() {
    let runs = Cell::new(0);
    let shout = |word: &&str| {
        runs.set(runs.get() + 1);
        word.to_uppercase()
    };

    let weak = Memo::new(WeakValueMap::new(), |word: &&str| -> Arc<str> {
        shout(word).into()
    });
    let one = weak.get("a");
    assert!(Arc::ptr_eq(&one, &weak.get("a")));
    drop(one);
    assert!(weak.map().is_empty());

    let strong = Memo::new(StrongMap::new(), shout);
    drop(strong.get("a"));
    assert_eq!((strong.get("a"), runs.get()), ("A".to_string(), 2));

    let attached: WeakKeyMap<Arc<&str>, String, ByAddress> = WeakKeyMap::new();
    let attached = Memo::new(&attached, |word: &Arc<&str>| shout(word));
    let word = Arc::new("a");
    assert_eq!(
        (attached.get(word.clone()), attached.get(word.clone())),
        ("A".into(), "A".into())
    );
    assert_eq!((runs.get(), attached.map().len()), (3, 1));
    drop(word);
    assert!(attached.map().is_empty());

    let shared = Memo::new(Arc::new(Registry::new()), shout);
    let held = shared
        .map()
        .get_or_insert_with("a", |_| "somebody else's".to_string());
    assert!(Handle::ptr_eq(&shared.get("a"), &held));
}

#[test]
fn a_closed_map_takes_nothing_new() {
    let memo = Memo::new(StrongMap::new(), |n: &u32| *n);
    memo.map().close();
    assert!(panic_of(|| memo.get(1)).contains("closed"));
    let memo = Memo::new(memo.map(), |n: &u32| Ok::<_, ()>(*n));
    assert!(matches!(
        memo.try_get(1),
        Err(CreateError::Refused(Refused::Closed(_)))
    ));
}
