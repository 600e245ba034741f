//! `Token`: the prompt death of values behind a plain `Arc`.

use crate::common::{forever, panic_of, promptly};
use highlander::map::ByAddress;
use highlander::pointer::Token;
use highlander::WeakSet;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;

trait Plugin: Send + Sync {
    fn token(&self) -> &Token;
}

#[derive(Default)]
struct Spell {
    token: Token,
    power: u32,
}

impl Plugin for Spell {
    fn token(&self) -> &Token {
        &self.token
    }
}

impl PartialEq for Spell {
    fn eq(&self, other: &Self) -> bool {
        self.power == other.power
    }
}

impl Eq for Spell {}

impl std::hash::Hash for Spell {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.power.hash(state);
    }
}

type Set = WeakSet<Arc<Spell>, ByAddress>;

fn enter(set: &Set, spell: &Arc<Spell>) -> bool {
    set.insert_with_token(spell, |spell| &spell.token)
}

#[test]
fn the_entry_goes_with_the_value_with_no_further_call() {
    let set = Set::new();
    let spell = Arc::new(Spell::default());
    assert!(enter(&set, &spell));
    assert_eq!(
        (set.entry_count(), Token::entry_count(&spell.token)),
        (1, 1)
    );
    drop(spell);
    assert_eq!(set.entry_count(), 0);
}

#[test]
fn behind_a_trait_object() {
    let set: WeakSet<Arc<dyn Plugin>, ByAddress> = WeakSet::new();
    let spell: Arc<dyn Plugin> = Arc::new(Spell::default());
    assert!(set.insert_with_token(&spell, |plugin| plugin.token()));
    assert!(!set.insert_with_token(&spell, |_| unreachable!("it is there already")));
    drop(spell);
    assert_eq!(set.entry_count(), 0);
}

#[test]
fn created_outside_and_entered_later_in_several_sets() {
    let spell = Arc::new(Spell::default());
    let sets: Vec<Set> = (0..5).map(|_| Set::new()).collect();
    for set in &sets {
        enter(set, &spell);
    }
    assert_eq!(Token::entry_count(&spell.token), 5);
    drop(spell);
    assert!(sets.iter().all(|set| set.entry_count() == 0));
}

#[test]
fn the_container_may_go_first() {
    let (set, other) = (Set::new(), Set::new());
    let spell = Arc::new(Spell::default());
    enter(&set, &spell);
    enter(&other, &spell);
    drop(set);
    assert_eq!(Token::entry_count(&spell.token), 1);
    drop(spell);
    assert_eq!(other.entry_count(), 0);
}

#[test]
fn a_token_takes_its_own_entry_only() {
    // Equal values in turn: the old one's death must not touch its successor.
    let set: WeakSet<Arc<Spell>> = WeakSet::new();
    let old = Arc::new(Spell {
        power: 9,
        ..Spell::default()
    });
    let new = Arc::new(Spell {
        power: 9,
        ..Spell::default()
    });
    set.insert_with_token(&old, |spell| &spell.token);
    assert!(set.remove(&*old));
    assert!(set.insert_with_token(&new, |spell| &spell.token));
    assert_eq!(Token::entry_count(&old.token), 0);
    drop(old);
    assert!(Arc::ptr_eq(&set.get(&*new).unwrap(), &new));
}

#[test]
fn forgotten_it_is_pruned() {
    struct Careless(&'static Token);
    let set: WeakSet<Arc<Careless>, ByAddress> = WeakSet::new();
    let value = Arc::new(Careless(forever(Token::new())));
    set.insert_with_token(&value, |value| value.0);
    let token = value.0;
    drop(value);
    assert_eq!(
        (set.len(), set.entry_count(), Token::entry_count(token)),
        (0, 1, 1)
    );
    assert_eq!(
        (set.prune(), set.entry_count(), Token::entry_count(token)),
        (1, 0, 0)
    );
}

#[test]
fn dropped_while_the_value_lives_it_removes_nothing() {
    let set: WeakSet<Arc<&'static str>, ByAddress> = WeakSet::new();
    let value = Arc::new("lives on");
    let token = Box::into_raw(Box::new(Token::new()));
    // SAFETY: just made, and freed below, when the set has looked at it.
    set.insert_with_token(&value, |_| unsafe { &*token });
    // SAFETY: from `Box::into_raw`, and no reference is left.
    drop(unsafe { Box::from_raw(token) });
    assert!(set.contains(&value));
    drop(value);
    assert_eq!((set.len(), set.prune()), (0, 1));
}

#[test]
fn moved_out_of_its_value_it_takes_the_entry_when_it_goes() {
    let set = Set::new();
    let spell = Arc::new(Spell::default());
    enter(&set, &spell);
    let spell = Arc::into_inner(spell).unwrap();
    assert_eq!((set.len(), set.entry_count()), (0, 1));
    drop(spell);
    assert_eq!(set.entry_count(), 0);
}

#[test]
fn dropped_in_a_factory_that_fails_it_does_nothing() {
    fn fails(_token: Token) -> Result<Arc<Spell>, &'static str> {
        Err("no mana")
    }
    assert!(fails(Token::new()).is_err());
    let result = catch_unwind(|| {
        let _token = Token::default();
        panic!("no mana")
    });
    assert!(result.is_err());
}

#[test]
fn given_to_a_factory_it_is_bound_when_the_value_is_entered() {
    let set: WeakSet<Arc<Spell>> = WeakSet::new();
    let make = |token| Arc::new(Spell { token, power: 3 });
    let one = set.create_with_token(make);
    let same = set.create_with_token(make);
    assert!(Arc::ptr_eq(&one, &same));
    assert_eq!((set.entry_count(), Token::entry_count(&one.token)), (1, 1));
    drop((one, same));
    assert_eq!(set.entry_count(), 0);
}

#[test]
fn dropped_by_the_factory_the_entry_is_pruned() {
    let set: WeakSet<Arc<u32>> = WeakSet::new();
    let value = set.create_with_token(|token| {
        drop(token);
        Arc::new(5)
    });
    assert!(set.contains(&5));
    drop(value);
    assert_eq!((set.len(), set.entry_count(), set.prune()), (0, 1, 1));
    let text = panic_of(AssertUnwindSafe(|| {
        set.create_with_token(|_token| panic!("no mana"))
    }));
    assert_eq!((text.as_str(), set.entry_count()), ("no mana", 0));
}

#[test]
fn dropped_during_unwinding_it_does_its_work() {
    let set = Set::new();
    let spell = Arc::new(Spell::default());
    enter(&set, &spell);
    Token::on_drop(&spell.token, || panic!("inner")).keep();
    let text = panic_of(AssertUnwindSafe(|| {
        let _spell = spell;
        panic!("outer")
    }));
    assert_eq!((text.as_str(), set.entry_count()), ("outer", 0));
}

#[test]
fn a_panic_while_it_is_shown_takes_the_member_out_again() {
    let set = Set::new();
    let spell = Arc::new(Spell::default());
    let text = panic_of(AssertUnwindSafe(|| {
        set.insert_with_token(&spell, |_| panic!("hidden"))
    }));
    assert_eq!((text.as_str(), set.entry_count()), ("hidden", 0));
    assert!(enter(&set, &spell));
}

#[test]
fn callbacks_run_after_the_containers_newest_first() {
    let set = Arc::new(Set::new());
    let spell = Arc::new(Spell::default());
    let order = Arc::new(AtomicUsize::new(0));
    for i in 0..3 {
        let (set, order) = (Arc::clone(&set), Arc::clone(&order));
        Token::on_drop(&spell.token, move || {
            assert_eq!(set.entry_count(), 0);
            assert_eq!(order.fetch_add(1, SeqCst), 2 - i);
        })
        .keep();
    }
    enter(&set, &spell);
    drop(spell);
    assert_eq!(order.load(SeqCst), 3);
}

#[test]
fn re_entered_from_the_drop_of_its_value() {
    struct Phoenix {
        set: Arc<WeakSet<Arc<Phoenix>, ByAddress>>,
        lives: u32,
        token: Token,
    }
    impl Drop for Phoenix {
        fn drop(&mut self) {
            if self.lives > 0 {
                let next = Arc::new(Phoenix {
                    set: Arc::clone(&self.set),
                    lives: self.lives - 1,
                    token: Token::new(),
                });
                assert!(self.set.insert_with_token(&next, |next| &next.token));
            }
        }
    }
    promptly(|| {
        let set = Arc::new(WeakSet::new());
        let first = Arc::new(Phoenix {
            set: Arc::clone(&set),
            lives: 20,
            token: Token::new(),
        });
        set.insert_with_token(&first, |first| &first.token);
        drop(first);
        assert_eq!(set.entry_count(), 0);
    });
}

#[test]
fn deaths_against_insertions_of_successors() {
    let set: Arc<WeakSet<Arc<Spell>>> = Arc::new(WeakSet::new());
    for round in 0..300 {
        let old = Arc::new(Spell {
            power: round,
            ..Spell::default()
        });
        set.insert_with_token(&old, |spell| &spell.token);
        let start = Arc::new(Barrier::new(2));
        let other = thread::spawn({
            let (set, start) = (Arc::clone(&set), Arc::clone(&start));
            move || {
                let new = Arc::new(Spell {
                    power: round,
                    ..Spell::default()
                });
                start.wait();
                while !set.insert_with_token(&new, |spell| &spell.token) {
                    thread::yield_now();
                }
                new
            }
        });
        start.wait();
        drop(old);
        let new = other.join().unwrap();
        assert!(Arc::ptr_eq(&set.get(&*new).unwrap(), &new));
        assert_eq!(set.entry_count(), 1);
        drop(new);
        assert_eq!(set.entry_count(), 0);
    }
}
