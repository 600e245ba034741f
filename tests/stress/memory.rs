//! Tables that grow and shrink, and memory that is given back, beside readers who must not notice.

use crate::common::Dice;
use crate::support::{for_a_while, join_all};
use highlander::{Handle, Interned, Interner, Registry};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

fn content(key: usize) -> String {
    format!("{key}{}", "-".repeat(key * 7 % 300))
}

/// One thread works on what `fixed` readers look up all the time.
fn beside_readers(
    limit: Duration,
    interner: &Interner<str>,
    fixed: &[Interned<str>],
    writers: usize,
    write: impl Fn(usize, &mut Vec<Interned<str>>, &mut Dice) + Sync,
) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let read = || {
            while !done.load(Relaxed) {
                for (key, handle) in fixed.iter().enumerate() {
                    assert_eq!(
                        interner.get(content(key).as_str()).as_ref(),
                        Some(handle),
                        "a value that is held is found"
                    );
                }
            }
        };
        let readers = vec![scope.spawn(read), scope.spawn(read)];
        struct Done<'a>(&'a AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(true, Relaxed);
            }
        }
        let writing = Done(&done);
        for_a_while(
            limit,
            writers,
            |number| (number, Vec::new()),
            |(number, held), dice| write(*number, held, dice),
        );
        drop(writing);
        join_all(readers);
    });
    assert_eq!(interner.len(), fixed.len());
    assert!(interner.iter().len() == fixed.len());
}

pub(crate) fn grow_beside_readers(limit: Duration) {
    for _ in 0..4 {
        let interner: Interner<str> = Interner::new();
        let fixed: Vec<_> = (0..100).map(|key| interner.intern(&content(key))).collect();
        beside_readers(limit / 4, &interner, &fixed, 2, |number, held, _| {
            let key = 1000 + 1_000_000 * number + held.len();
            held.push(interner.intern(&content(key)));
            let last = held.last().unwrap();
            assert_eq!(**last, content(key));
            if held.len() > 20_000 {
                assert!(held
                    .iter()
                    .all(|handle| interner.get(&**handle).as_ref() == Some(handle)));
                held.clear();
            }
        });
    }
}

pub(crate) fn shrink_beside_readers(limit: Duration) {
    let interner: Interner<str> = Interner::new();
    let fixed: Vec<_> = (0..100).map(|key| interner.intern(&content(key))).collect();
    beside_readers(
        limit,
        &interner,
        &fixed,
        4,
        |number, held, dice| match number {
            0 => interner.shrink_to_fit(),
            _ => {
                let key = 1000 + dice.below(3000);
                let handle = interner.intern(&content(key));
                assert_eq!(*handle, content(key));
                held.push(handle);
                if dice.below(1000) == 0 {
                    held.clear();
                } else if dice.below(3) == 0 {
                    let at = dice.below(held.len());
                    let gone = held.swap_remove(at);
                    assert!(interner.get(&*gone) == Some(gone.clone()));
                }
            }
        },
    );
    interner.shrink_to_fit();
    assert!(interner.capacity() < 300, "{}", interner.capacity());
}

/// Values with blocks of their own, which are freed one by one while others look for them.
pub(crate) fn large_beside_readers(limit: Duration) {
    let registry: Registry<u32, [u32; 1500]> = Registry::new();
    let work = |held: &mut Vec<Handle<u32, [u32; 1500]>>, dice: &mut Dice| {
        let key = dice.below(4) as u32;
        match dice.below(5) {
            0 | 1 => held.push(registry.get_or_insert_with(key, |key| [*key; 1500])),
            2 => held.extend(registry.get(&key)),
            3 if dice.below(20) == 0 => registry.shrink_to_fit(),
            _ => {
                let left = dice.below(3);
                held.truncate(left);
            }
        }
        if let Some(handle) = held.last() {
            assert!(handle.iter().all(|number| number == Handle::key(handle)));
        }
    };
    for_a_while(limit, 5, |_| Vec::new(), work);
    assert_eq!(registry.len(), 0);
}
