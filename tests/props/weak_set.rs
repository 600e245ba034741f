//! The ordered weak set against its model: a list of identities.

use crate::common::Colliding;
use highlander::hash::DefaultHashBuilder;
use highlander::map::{Asked, ByAddress, ByEquality, Keying};
use highlander::pointer::{SyncPointer, Watched};
use highlander::WeakSet;
use proptest::collection::vec;
use proptest::prelude::*;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

/// Equal to others with the same number.
#[derive(Debug)]
struct Member {
    number: u32,
    id: usize,
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Member {}

impl Hash for Member {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

trait Made: SyncPointer<Target = Member> {
    /// Whether the set hears of deaths.
    const PROMPT: bool;
    fn made(member: Member) -> Self;
}

impl Made for Arc<Member> {
    const PROMPT: bool = false;
    fn made(member: Member) -> Self {
        Arc::new(member)
    }
}

impl Made for Watched<Member> {
    const PROMPT: bool = true;
    fn made(member: Member) -> Self {
        Watched::new(member)
    }
}

/// Which members are the same.
trait Sameness<P: Made>: Keying<P> {
    const BY_EQUALITY: bool;
    fn contains<S: BuildHasher>(set: &WeakSet<P, Self, S>, member: &P) -> bool
    where
        Self: Sized;
    fn take<S: BuildHasher>(set: &WeakSet<P, Self, S>, member: &P) -> Option<P>
    where
        Self: Sized;
}

impl<P: Made> Sameness<P> for ByEquality {
    const BY_EQUALITY: bool = true;
    fn contains<S: BuildHasher>(set: &WeakSet<P, Self, S>, member: &P) -> bool {
        set.contains(P::target(member))
    }
    fn take<S: BuildHasher>(set: &WeakSet<P, Self, S>, member: &P) -> Option<P> {
        set.take(P::target(member))
    }
}

impl<P: Made> Sameness<P> for ByAddress
where
    ByAddress: Asked<P, P>,
{
    const BY_EQUALITY: bool = false;
    fn contains<S: BuildHasher>(set: &WeakSet<P, Self, S>, member: &P) -> bool {
        set.contains(member)
    }
    fn take<S: BuildHasher>(set: &WeakSet<P, Self, S>, member: &P) -> Option<P> {
        set.take(member)
    }
}

#[derive(Clone, Debug)]
enum Op {
    Make(u32),
    Insert(usize),
    Drop(usize),
    DropHalf,
    Take(usize),
    Contains(usize),
    Pop,
    Retain(u32),
    Clear,
    Drain,
    Prune,
    Shrink,
    Reserve(usize),
    Copy,
    Flood,
    /// Takes out and enters while iterating.
    Loop(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let which = || 0..64usize;
    prop_oneof![
        10 => (0..6u32).prop_map(Op::Make),
        10 => which().prop_map(Op::Insert),
        9 => which().prop_map(Op::Drop),
        1 => Just(Op::DropHalf),
        4 => which().prop_map(Op::Take),
        3 => which().prop_map(Op::Contains),
        2 => Just(Op::Pop),
        1 => (0..6u32).prop_map(Op::Retain),
        1 => Just(Op::Clear),
        1 => Just(Op::Drain),
        2 => Just(Op::Prune),
        2 => Just(Op::Shrink),
        2 => (0..200usize).prop_map(Op::Reserve),
        1 => Just(Op::Copy),
        2 => Just(Op::Flood),
        2 => which().prop_map(Op::Loop),
    ]
}

struct Script<P: Made, M: Sameness<P>, S> {
    set: WeakSet<P, M, S>,
    owned: Vec<P>,
    made: usize,
    /// The live members in order: identity and number.
    order: Vec<(usize, u32)>,
    /// The insertions, removals, and deaths that are reported.
    changes: u64,
}

impl<P: Made, M: Sameness<P>, S: BuildHasher + Default + Clone> Script<P, M, S> {
    fn make(&mut self, number: u32) {
        self.made += 1;
        let id = self.made;
        self.owned.push(P::made(Member { number, id }));
    }

    fn find(&self, member: &P) -> Option<usize> {
        let Member { number, id } = *P::target(member);
        self.order
            .iter()
            .position(|(there, of)| match M::BY_EQUALITY {
                true => *of == number,
                false => *there == id,
            })
    }

    fn insert(&mut self, at: usize) {
        let member = self.owned[at].clone();
        let there = self.find(&member);
        assert_eq!(self.set.insert(&member), there.is_none());
        if there.is_none() {
            self.changes += 1;
            let target = P::target(&member);
            self.order.push((target.id, target.number));
        }
    }

    fn take(&mut self, at: usize) {
        let member = self.owned[at].clone();
        let taken = M::take(&self.set, &member);
        let expected = self.find(&member).map(|there| self.order.remove(there).0);
        self.changes += u64::from(expected.is_some());
        assert_eq!(taken.map(|taken| P::target(&taken).id), expected);
    }

    fn let_go(&mut self, at: usize) {
        let id = P::target(&self.owned[at]).id;
        self.owned.swap_remove(at);
        let before = self.order.len();
        self.order.retain(|(there, _)| *there != id);
        if <P as Made>::PROMPT {
            self.changes += (before - self.order.len()) as u64;
        }
    }

    fn run(&mut self, op: Op) {
        let at = |which: usize| which.checked_rem(self.owned.len());
        match op {
            Op::Make(number) => {
                self.make(number);
                self.insert(self.owned.len() - 1);
            }
            Op::Insert(which) => {
                if let Some(at) = at(which) {
                    self.insert(at);
                }
            }
            Op::Drop(which) => {
                if let Some(at) = at(which) {
                    self.let_go(at);
                }
            }
            Op::DropHalf => {
                for at in (0..self.owned.len()).rev().step_by(2) {
                    self.let_go(at);
                }
            }
            Op::Take(which) => {
                if let Some(at) = at(which) {
                    self.take(at);
                }
            }
            Op::Contains(which) => {
                if let Some(at) = at(which) {
                    let member = &self.owned[at];
                    assert_eq!(M::contains(&self.set, member), self.find(member).is_some());
                }
            }
            Op::Pop => {
                let popped = self.set.pop_first().map(|member| P::target(&member).id);
                let first = (!self.order.is_empty()).then(|| self.order.remove(0).0);
                assert_eq!(popped, first);
                self.changes += u64::from(first.is_some());
            }
            Op::Retain(least) => {
                let before = self.order.len();
                self.order.retain(|(_, number)| *number >= least);
                let gone = self.set.retain(|member| P::target(member).number >= least);
                assert_eq!(gone, before - self.order.len());
                self.changes += gone as u64;
            }
            Op::Clear => {
                let entries = self.set.entry_count();
                assert_eq!(self.set.clear(), entries);
                self.changes += entries as u64;
                self.order.clear();
                assert_eq!(self.set.entry_count(), 0);
            }
            Op::Drain => {
                let drained = self.set.drain().map(|member| P::target(&member).id);
                let expected: Vec<_> = self.order.drain(..).map(|(id, _)| id).collect();
                self.changes += expected.len() as u64;
                assert_eq!(drained.collect::<Vec<_>>(), expected);
                assert_eq!(self.set.entry_count(), 0);
            }
            Op::Prune => {
                let dead = self.set.entry_count() - self.order.len();
                assert_eq!(self.set.prune(), dead);
            }
            Op::Reserve(additional) => {
                self.set.reserve(additional);
                assert!(self.set.capacity() >= self.set.entry_count() + additional);
            }
            Op::Shrink => {
                self.set.shrink_to_fit();
                assert_eq!(self.set.entry_count(), self.order.len());
            }
            Op::Copy => {
                let copy = self.set.clone();
                assert!(copy == self.set && copy.is_subset(&self.set));
                let ids = |set: &WeakSet<P, M, S>| -> Vec<usize> {
                    set.iter().map(|member| P::target(&member).id).collect()
                };
                assert_eq!(ids(&copy), ids(&self.set));
                assert!(self.set.difference(&copy).is_empty());
            }
            Op::Flood => {
                // Many that die at once; the sweeps of so many insertions leave few of them.
                for n in 0..300 {
                    self.made += 1;
                    let id = self.made;
                    assert!(self.set.insert(&P::made(Member {
                        number: 1000 + n,
                        id
                    })));
                    self.changes += 1 + u64::from(<P as Made>::PROMPT);
                }
                let dead = self.set.entry_count() - self.order.len();
                assert!(dead <= self.order.len() + 64, "{dead}");
            }
            Op::Loop(which) => {
                let before = self.order.clone();
                let mut shown = Vec::new();
                let mut gone = Vec::new();
                for (step, member) in (&self.set).into_iter().enumerate() {
                    let id = P::target(&member).id;
                    assert!(!gone.contains(&id), "taken out before its turn");
                    shown.push(id);
                    // One of those that are still to come, or have been.
                    if step % 3 == 0 && step < 30 {
                        if let Some(at) = (which + step).checked_rem(self.owned.len()) {
                            if let Some(there) = self.find(&self.owned[at].clone()) {
                                gone.push(self.order[there].0);
                                self.take(at);
                            }
                        }
                        self.make(200 + step as u32);
                        self.insert(self.owned.len() - 1);
                    }
                }
                let lasting = before.iter().map(|(id, _)| *id);
                let lasting: Vec<_> = lasting
                    .filter(|id| shown.contains(id) || !gone.contains(id))
                    .collect();
                assert_eq!(shown, lasting, "in order, once, none that came later");
            }
        }
    }

    fn check(&self) {
        let set = &self.set;
        let live = self.order.len();
        assert_eq!((set.len(), set.is_empty()), (live, live == 0));
        assert!(set.entry_count() >= live && set.capacity() >= set.entry_count());
        if <P as Made>::PROMPT {
            assert_eq!(set.entry_count(), live, "gone with the last owner");
        }
        let mut shown = Vec::new();
        set.for_each(|member| {
            let target = P::target(&member);
            shown.push((target.id, target.number));
        });
        assert_eq!(shown, self.order);
        assert_eq!(set.version(), self.changes);
        let iterated: Vec<_> = set.iter().map(|member| P::target(&member).id).collect();
        assert!(iterated.iter().eq(self.order.iter().map(|(id, _)| id)));
        let first = set.first().map(|member| P::target(&member).id);
        assert_eq!(first, self.order.first().map(|(id, _)| *id));
    }
}

fn play<P: Made, M: Sameness<P>, S: BuildHasher + Default + Clone>(ops: &[Op]) {
    let mut script = Script::<P, M, S> {
        set: WeakSet::default(),
        owned: Vec::new(),
        made: 0,
        order: Vec::new(),
        changes: 0,
    };
    for op in ops.iter().cloned() {
        script.run(op);
        script.check();
    }
    // Either may go first.
    if script.made % 2 == 0 {
        script.owned.clear();
        assert!(script.set.is_empty());
        script.set.prune();
        assert_eq!(script.set.entry_count(), 0);
    } else {
        drop(script.set);
    }
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn a_set_by_equality_does_as_its_model(ops in vec(op(), 1..150)) {
        play::<Arc<Member>, ByEquality, DefaultHashBuilder>(&ops);
        play::<Watched<Member>, ByEquality, DefaultHashBuilder>(&ops);
    }

    #[test]
    fn a_set_by_address_does_as_its_model(ops in vec(op(), 1..150)) {
        play::<Arc<Member>, ByAddress, DefaultHashBuilder>(&ops);
        play::<Watched<Member>, ByAddress, DefaultHashBuilder>(&ops);
    }

    #[test]
    fn a_set_whose_members_all_collide_does_as_its_model(ops in vec(op(), 1..80)) {
        play::<Arc<Member>, ByEquality, Colliding>(&ops);
        play::<Watched<Member>, ByAddress, Colliding>(&ops);
    }
}
