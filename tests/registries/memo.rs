//! §4: what `symtable` remembers, without its race.

use highlander::registries::memo::Memo;
use highlander::{CreateError, CycleError, Handle};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;

fn counted() -> (
    Memo<String, usize, impl Fn(&String) -> usize>,
    Arc<AtomicUsize>,
) {
    let calls = Arc::new(AtomicUsize::new(0));
    let called = calls.clone();
    let memo = Memo::new(move |text: &String| {
        called.fetch_add(1, SeqCst);
        text.len()
    });
    (memo, calls)
}

/// §4.1: the same object while it is held.
#[test]
fn the_same_input_gives_the_same_object_while_somebody_has_it() {
    let (memo, calls) = counted();
    let one = memo.get("table");
    assert!(memo.get("table").ptr_eq(&one) && memo.peek("table").unwrap().ptr_eq(&one));
    let other = memo.get("other");
    assert!(
        !one.ptr_eq(&other) && *one == *other,
        "equal is not the same"
    );
    assert_eq!((memo.len(), calls.load(SeqCst)), (2, 2));
}

/// §4.2: when nobody has it, the entry is gone, and who asks gets a new one.
#[test]
fn what_nobody_has_is_made_anew() {
    let (memo, calls) = counted();
    drop((memo.get("table"), memo.get("table")));
    assert!(memo.is_empty() && memo.peek("table").is_none());
    let one = memo.get("table");
    assert!(memo.forget("table").unwrap().ptr_eq(&one));
    assert!(!memo.get("table").ptr_eq(&one));
    assert_eq!(calls.load(SeqCst), 3);
}

/// §4.3: two threads get one object. A function that fails or panics leaves nothing.
#[test]
fn of_many_threads_one_calls_the_function() {
    let (memo, calls) = counted();
    let begin = Barrier::new(4);
    for round in 0..100 {
        let input = format!("table {round}");
        let got: Vec<Handle<String, usize>> = thread::scope(|scope| {
            let ask = || {
                begin.wait();
                let got = memo.get(&input);
                begin.wait();
                got
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(got.iter().all(|one| one.ptr_eq(&got[0])));
        assert_eq!(calls.load(SeqCst), round + 1);
    }
}

#[test]
fn a_failure_is_not_remembered() {
    let calls = AtomicUsize::new(0);
    let memo = Memo::fallible(|text: &String| {
        calls.fetch_add(1, SeqCst);
        text.parse::<u32>().map_err(CreateError::Failed)
    });
    assert!(memo.try_get("seven").is_err() && memo.try_get("seven").is_err());
    assert_eq!((memo.len(), calls.load(SeqCst)), (0, 2));
    assert_eq!(*memo.try_get("7").unwrap(), 7);
}

#[test]
fn a_function_that_panics_or_asks_for_its_own_result_leaves_nothing() {
    type Function = fn(&u32) -> Result<u32, CycleError>;
    static MEMO: Memo<u32, u32, Function> = Memo::fallible(|n| match n {
        0 => panic!("zero"),
        n => MEMO.try_get(n).map(|own| *own),
    });
    assert_eq!(crate::common::panic_of(|| drop(MEMO.try_get(&0))), "zero");
    assert!(MEMO.try_get(&1).is_err() && MEMO.is_empty());
}

#[test]
fn functions_ask_for_each_others_results() {
    static FIBONACCI: Memo<u64, (u64, Option<Handle<u64, u64>>)> = Memo::new(|n| (*n, None));
    static SUMS: Memo<u64, u64> = Memo::new(|n| match n {
        0 | 1 => FIBONACCI.get(n).0,
        n => *SUMS.get(&(n - 1)) + *SUMS.get(&(n - 2)),
    });
    assert_eq!(*SUMS.get(&12), 144);
    assert!(SUMS.is_empty() && FIBONACCI.is_empty());
}
