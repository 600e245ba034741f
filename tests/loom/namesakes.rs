//! More keys with one hash than bucket and line can hold.

use crate::support::*;
use highlander::Interned;
use loom::thread;
use std::sync::Arc;

/// As `A`.
const fn namesake(id: u32) -> Key {
    Key { place: 1, id }
}

/// Interns so many namesakes: two in the bucket, two in the line, the others in a list.
fn intern_some(interner: &Int, tally: &Tally, ids: u32) -> Vec<Interned<Content>> {
    let keys = (0..ids).map(namesake);
    keys.map(|key| interner.intern_owned(Content::new(key, tally)))
        .collect()
}

#[test]
fn two_interns_beside_many_namesakes_get_one_value() {
    model_with(1, || {
        let (interner, tally) = (interner(), Tally::default());
        // With room, so that nothing moves, after which all would be compared anew.
        interner.reserve(20);
        let others = intern_some(&interner, &tally, 4);
        let new = namesake(5);
        let other = thread::spawn({
            let (interner, tally) = (Arc::clone(&interner), tally.clone());
            move || interner.intern_owned(Content::new(new, &tally))
        });
        let mine = interner.intern_owned(Content::new(new, &tally));
        let theirs = other.join().unwrap();
        assert!(mine == theirs);
        drop((others, mine, theirs));
        assert_eq!((tally.live(), interner.len()), (0, 0));
    });
}

#[test]
fn two_interns_beside_a_namesake_in_a_slot_get_one_value() {
    model_with(1, || {
        let (interner, tally) = (interner(), Tally::default());
        let others = intern_some(&interner, &tally, 1);
        let new = namesake(5);
        let other = thread::spawn({
            let (interner, tally) = (Arc::clone(&interner), tally.clone());
            move || interner.intern_owned(Content::new(new, &tally))
        });
        let mine = interner.intern_owned(Content::new(new, &tally));
        let theirs = other.join().unwrap();
        assert!(mine == theirs);
        drop((others, mine, theirs));
        assert_eq!((tally.live(), interner.len()), (0, 0));
    });
}

#[test]
fn a_look_up_among_many_namesakes_finds_its_key_while_another_goes() {
    model_with(2, || {
        let (interner, tally) = (interner(), Tally::default());
        let mut all = intern_some(&interner, &tally, 8);
        let wanted = namesake(6);
        let other = thread::spawn({
            let interner = Arc::clone(&interner);
            move || {
                assert!(interner
                    .get(&wanted)
                    .is_some_and(|found| found.read() == wanted))
            }
        });
        // The second in the list of four.
        drop(all.remove(5));
        other.join().unwrap();
        drop(all);
        assert_eq!((tally.live(), interner.len()), (0, 0));
    });
}

#[test]
fn a_look_up_among_many_namesakes_finds_its_key_while_they_move() {
    model_with(2, || {
        let (interner, tally) = (interner(), Tally::default());
        let mut all = intern_some(&interner, &tally, 6);
        let wanted = namesake(5);
        let other = thread::spawn({
            let interner = Arc::clone(&interner);
            move || {
                assert!(interner
                    .get(&wanted)
                    .is_some_and(|found| found.read() == wanted))
            }
        });
        interner.reserve(20);
        other.join().unwrap();
        all.clear();
        assert_eq!((tally.live(), interner.len()), (0, 0));
    });
}
