//! Memory is given back while somebody may still be reading it. Freed memory is overwritten under the model, so that a
//! reader who comes too late makes it fail.

use crate::support::*;
use loom::thread;
use std::sync::Arc;

#[test]
fn shrinking_against_look_up() {
    let _reclaim = Switch::on(highlander::model::set_reclaim);
    model_with(2, || {
        let (interner, tally) = (interner(), Tally::default());
        let a = interner.intern_owned(Content::new(A, &tally));
        let other = thread::spawn({
            let interner = Arc::clone(&interner);
            move || interner.get(&A).map(|found| found.read())
        });
        drop(a);
        interner.shrink_to_fit();
        assert!(matches!(other.join().unwrap(), None | Some(A)));
        assert_eq!((tally.live(), interner.len()), (0, 0));
    });
}

#[test]
fn growth_gives_back_the_old_table_against_look_up() {
    let _reclaim = Switch::on(highlander::model::set_reclaim);
    model_with(2, || {
        let (interner, tally) = (interner(), Tally::default());
        let _a = interner.intern_owned(Content::new(A, &tally));
        let _b = interner.intern_owned(Content::new(B, &tally));
        let other = thread::spawn({
            let interner = Arc::clone(&interner);
            move || interner.get(&A).map(|found| found.read())
        });
        let _c = interner.intern_owned(Content::new(C, &tally));
        // Gives back what the one before has retired.
        let _a2 = interner.intern_owned(Content::new(A2, &tally));
        assert_eq!(other.join().unwrap(), Some(A));
    });
}

#[test]
fn registry_drop_gives_back_the_table_against_last_drop() {
    let _reclaim = Switch::on(highlander::model::set_reclaim);
    model_with(2, || {
        let (registry, tally) = (registry(), Tally::default());
        let handle = registry.try_insert(A, tally.value()).ok().unwrap();
        let other = thread::spawn(move || drop(registry));
        drop(handle);
        other.join().unwrap();
        assert_eq!(tally.live(), 0);
    });
}

#[test]
fn what_is_retired_during_a_grace_period_waits_for_its_own() {
    let _reclaim = Switch::on(highlander::model::set_reclaim);
    model_with(3, || {
        let (interner, tally) = (interner(), Tally::default());
        let _a = interner.intern_owned(Content::new(A, &tally));
        let _b = interner.intern_owned(Content::new(B, &tally));
        // Replaces the first table, which stays retired until the next insertion.
        let _c = interner.intern_owned(Content::new(C, &tally));
        let other = thread::spawn({
            let interner = Arc::clone(&interner);
            // Two look-ups: the first may hold back one old table, the second the next.
            move || [(); 2].map(|()| interner.get(&A).map(|found| found.read()))
        });
        // To let the other thread go first costs no forced switch.
        thread::yield_now();
        // Begins a period for the first table, which the first look-up may hold up, and then replaces the second.
        let _d = interner.intern_owned(Content::new(D, &tally));
        // The period may be over now, while the second look-up is reading the second table.
        let _a2 = interner.intern_owned(Content::new(A2, &tally));
        assert_eq!(other.join().unwrap(), [Some(A); 2]);
    });
}

#[test]
fn owner_of_a_shard_against_a_visitor() {
    let _own = Switch::on(highlander::model::set_own_shards);
    let _reclaim = Switch::on(highlander::model::set_reclaim);
    model_with(3, || {
        let (interner, tally) = (interner(), Tally::default());
        let a = interner.intern_owned(Content::new(A, &tally));
        let other = thread::spawn({
            let interner = Arc::clone(&interner);
            move || {
                let b = interner.intern_owned(Content::new(B, &tally));
                assert_eq!(b.read(), B);
            }
        });
        // Visits the shard that the other thread goes in and out of, and takes away what is free there.
        interner.shrink_to_fit();
        other.join().unwrap();
        drop(a);
        assert_eq!(interner.len(), 0);
    });
}
