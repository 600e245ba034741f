//! Links that change while somebody else looks at them, and what walking along them costs.

use super::values;
use crate::common::promptly;
use highlander::registries::tree::Node;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

/// Who detaches all children of one node takes none that has become somebody else's meanwhile.
#[test]
fn detaching_all_takes_nobody_elses_children() {
    const ROUNDS: usize = if cfg!(miri) { 5 } else { 5000 };
    promptly(|| {
        let (old, new) = (Node::new(0), Node::new(1));
        let children: Vec<_> = (0..8).map(|n| old.add(n)).collect();
        let done = AtomicBool::new(false);
        let taken = thread::scope(|scope| {
            // More than there are processors, so that some are interrupted in the middle.
            for _ in 0..4 {
                scope.spawn(|| {
                    while !done.load(SeqCst) {
                        for child in old.detach_all() {
                            // Unless it is in the new one by now.
                            let _ = old.adopt(&child);
                        }
                    }
                });
            }
            let mut taken = 0;
            for _ in 0..ROUNDS {
                for child in &children {
                    while new.adopt(child).is_err() {
                        child.detach();
                    }
                }
                for child in &children {
                    taken += usize::from(child.parent().as_ref() != Ok(&new));
                    child.detach();
                    let _ = old.adopt(child);
                }
            }
            done.store(true, SeqCst);
            taken
        });
        assert_eq!((taken, new.len()), (0, 0));
    });
}

/// Who takes out one sibling after the other, always the next one of the same, finds the last as quickly as the first: in both directions, at an end and in the middle.
#[test]
fn gaps_of_any_length_are_passed_in_time() {
    const MANY: u32 = if cfg!(miri) { 100 } else { 100_000 };
    promptly(|| {
        for anchor in [0, 1, MANY / 2, MANY - 2, MANY - 1] {
            let list = Node::new(MANY);
            let nodes: Vec<_> = (0..MANY).map(|n| list.add(n)).collect();
            let anchor = &nodes[anchor as usize];
            for n in **anchor + 1..MANY {
                let next = anchor.next_sibling().unwrap();
                assert_eq!(*next, n);
                next.detach();
            }
            for n in (0..**anchor).rev() {
                let previous = anchor.previous_sibling().unwrap();
                assert_eq!(*previous, n);
                previous.detach();
            }
            assert_eq!(values(list.children()), [**anchor]);
            assert!(anchor.next_sibling().is_none() && anchor.previous_sibling().is_none());
        }
    });
}

/// Who looks at the last one and takes it out finds the next last one as quickly.
#[test]
fn many_are_taken_from_the_back_in_time() {
    const MANY: u32 = if cfg!(miri) { 100 } else { 200_000 };
    promptly(|| {
        let list = Node::new(MANY);
        let nodes: Vec<_> = (0..MANY).map(|n| list.add(n)).collect();
        // From the middle to the back, so that most of it is a gap in the end.
        for node in nodes[1..nodes.len() - 1].iter().rev() {
            assert_eq!(list.last().as_ref(), nodes.last());
            node.detach();
        }
        assert!(nodes[nodes.len() - 1].detach());
        assert_eq!((list.last().as_ref(), list.len()), (nodes.first(), 1));
        let nodes: Vec<_> = (0..MANY).map(|n| list.add(n)).collect();
        for node in nodes.iter().rev() {
            assert_eq!(list.last().as_ref(), Some(node));
            node.detach();
        }
        assert_eq!(list.len(), 1);
    });
}

/// A list that always has two children, of which the later one goes and another one comes, costs no more in the end than at the beginning.
#[test]
fn gaps_that_nobody_passes_do_not_add_up() {
    const MANY: usize = if cfg!(miri) { 100 } else { 200_000 };
    promptly(|| {
        let list = Node::new(0);
        let _first = list.add(1);
        let mut last = list.add(2);
        for _ in 0..MANY {
            let next = list.add(2);
            last.detach();
            last = next;
            assert_eq!(list.children().count(), 2);
        }
    });
}
