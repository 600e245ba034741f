//! A weak set that is iterated while its members die. (In models its list is a linked one, and the epoch does not pass.)

use crate::ledger::{Ledger, Value};
use crate::support::*;
use highlander::pointer::Watched;
use highlander::WeakSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Equal to itself only; many have one hash.
struct Member(Value);

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for Member {}

impl Hash for Member {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

type Set = WeakSet<Watched<Member>, highlander::map::ByEquality, PlacedHasher>;

#[test]
fn iteration_while_members_die_and_others_come() {
    meeting(300, || {
        let set: Arc<Set> = Arc::new(WeakSet::with_hasher(PlacedHasher::default()));
        let ledger = Ledger::default();
        let stay: Vec<Watched<Member>> = (0..3)
            .map(|_| Watched::new(Member(ledger.value(A))))
            .collect();
        let numbers: Vec<u64> = stay.iter().map(|member| member.0.number).collect();
        for member in &stay {
            // Between two that die at once.
            drop(set.get_or_insert(Watched::new(Member(ledger.value(B)))));
            assert!(set.insert(member));
        }
        threads(5, {
            let (set, ledger, numbers) = (set.clone(), ledger.clone(), numbers.clone());
            move |number| match number {
                0 | 1 => {
                    for _ in 0..3 {
                        let member = Watched::new(Member(ledger.value(B)));
                        assert!(set.insert(&member));
                        pause();
                        if draw(3) == 0 {
                            assert!(set.remove(&*member));
                        }
                        drop(member);
                    }
                }
                2 => {
                    set.prune();
                    set.shrink_to_fit();
                }
                _ => {
                    for _ in 0..2 {
                        let mut seen = Vec::new();
                        for member in set.iter() {
                            assert!(ledger.is_alive(&member.0), "a dead member");
                            assert!(!seen.contains(&member.0.number), "twice");
                            seen.push(member.0.number);
                            pause();
                        }
                        seen.retain(|number| numbers.contains(number));
                        assert_eq!(seen, numbers, "those who stay, in their order");
                    }
                }
            }
        });
        assert_eq!(set.len(), 3);
        drop(stay);
        assert_eq!(set.entry_count(), 0);
        ledger.settle();
    });
}
