//! Interning the same content, or content that only looks the same.

use crate::support::*;
use loom::thread;
use std::sync::Arc;

#[test]
fn two_interns_of_one_content_get_one_value() {
    model(|| {
        let (interner, tally) = (interner(), Tally::default());
        let other = thread::spawn({
            let (interner, tally) = (Arc::clone(&interner), tally.clone());
            move || interner.intern_owned(Content::new(A, &tally))
        });
        let mine = interner.intern_owned(Content::new(A, &tally));
        let theirs = other.join().unwrap();
        assert!(mine == theirs);
        assert_eq!((tally.live(), interner.len()), (1, 1));
        drop((mine, theirs));
        assert_eq!((tally.live(), interner.len()), (0, 0));
    });
}

#[test]
fn a_waiter_for_a_bucket_is_woken() {
    let _park = Switch::on(highlander::model::set_park);
    model(|| {
        let (interner, tally) = (interner(), Tally::default());
        let other = thread::spawn({
            let (interner, tally) = (Arc::clone(&interner), tally.clone());
            move || interner.intern_owned(Content::new(B, &tally))
        });
        let mine = interner.intern_owned(Content::new(A, &tally));
        let theirs = other.join().unwrap();
        assert_eq!((mine.read(), theirs.read()), (A, B));
        assert_eq!(interner.len(), 2);
    });
}

#[test]
fn a_stale_pointer_to_a_recycled_node_leads_to_nothing_else() {
    model(|| {
        let (interner, tally) = (interner(), Tally::default());
        let first = interner.intern_owned(Content::new(A, &tally));
        let other = thread::spawn({
            let interner = Arc::clone(&interner);
            // May find `A` in its node, nothing, or hold a pointer to what is now `A2`, of the same hash.
            move || interner.get(&A).map(|found| found.read())
        });
        drop(first);
        let second = interner.intern_owned(Content::new(A2, &tally));
        assert!(matches!(other.join().unwrap(), None | Some(A)));
        assert_eq!(second.read(), A2);
        assert_eq!((tally.live(), interner.len()), (1, 1));
    });
}
