//! Interners under churn: a handle's address is its identity.

use crate::common::{Colliding, Dice};
use crate::support::{for_a_while, Roll};
use highlander::hash::DefaultHashBuilder;
use highlander::{Interned, Interner};
use std::hash::BuildHasher;
use std::time::Duration;

/// A handle that has signed in.
struct Held<'a>(Interned<str>, &'a Roll);

impl<'a> Held<'a> {
    fn new(handle: Interned<str>, rolls: &'a [Roll], key: usize) -> Self {
        assert!(
            handle.starts_with(&format!("{key:03}")),
            "{} is not {key}",
            &*handle
        );
        assert!(handle.len() >= 3 && handle[3..].bytes().all(|byte| byte == b'.'));
        rolls[key].sign_in(Interned::as_ptr(&handle).cast::<u8>().addr() as u64 >> 4);
        Self(handle, &rolls[key])
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Out before the handle goes, which is after this.
        self.1.sign_out();
    }
}

fn churn<S: BuildHasher + Default + Sync>(limit: Duration, keys: usize, threads: usize) {
    let interner: Interner<str, S> = Interner::default();
    let rolls: Vec<Roll> = (0..keys).map(|_| Roll::default()).collect();
    // Contents of all sizes, so that memory of one is not always that of the next.
    let contents: Vec<String> = (0..keys)
        .map(|key| format!("{key:03}{}", ".".repeat(key * key % 2500)))
        .collect();
    let work = |held: &mut Vec<_>, dice: &mut Dice| {
        let key = dice.below(keys);
        let content = contents[key].as_str();
        match dice.below(16) {
            0..6 => held.push(Held::new(interner.intern(content), &rolls, key)),
            6 => held.push(Held::new(interner.intern_owned(content), &rolls, key)),
            7 => drop(interner.intern(content)),
            8 => drop(Held::new(
                interner.intern_with(content, str::to_owned),
                &rolls,
                key,
            )),
            9 | 10 => held.extend(
                interner
                    .get(content)
                    .map(|handle| Held::new(handle, &rolls, key)),
            ),
            11 => {
                // Whoever holds it finds it, and nothing else.
                if let Some(mine) = held.last() {
                    assert_eq!(interner.get(&*mine.0).as_ref(), Some(&mine.0));
                }
            }
            12 => {
                let copies: Vec<_> = held.iter().map(|held| held.0.clone()).collect();
                drop(copies);
            }
            _ => {
                let left = dice.below(6);
                held.truncate(left);
            }
        }
    };
    for_a_while(limit, threads, |_| Vec::<Held<'_>>::new(), work);
    assert_eq!((interner.len(), interner.iter().len()), (0, 0));
    assert!(contents
        .iter()
        .all(|content| !interner.contains(content.as_str())));
}

pub(crate) fn churn_few_keys(limit: Duration) {
    churn::<DefaultHashBuilder>(limit / 3, 3, 4);
    churn::<DefaultHashBuilder>(limit / 3, 20, 8);
    churn::<DefaultHashBuilder>(limit / 3, 300, 5);
}

pub(crate) fn churn_colliding(limit: Duration) {
    churn::<Colliding>(limit / 2, 3, 4);
    churn::<Colliding>(limit / 2, 20, 6);
}
