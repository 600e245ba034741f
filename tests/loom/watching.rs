//! Watched values, tokens and weak sets while values die.

use crate::support::*;
use highlander::pointer::{Token, Watched};
use highlander::WeakSet;
use loom::thread;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// Counts calls; not loom's, as it is looked at when all threads have been joined.
#[derive(Clone, Default)]
struct Calls(Arc<AtomicUsize>);

impl Calls {
    fn callback(&self) -> impl FnOnce() + Send + 'static {
        let calls = Arc::clone(&self.0);
        move || {
            calls.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn made(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn first_registration_against_second_and_last_drop() {
    model(|| {
        let (calls, tally) = (Calls::default(), Tally::default());
        let one = Watched::new(tally.value());
        let two = one.clone();
        let other = thread::spawn({
            let calls = calls.clone();
            move || {
                Watched::on_death(&two, calls.callback()).keep();
                two.read();
            }
        });
        Watched::on_death(&one, calls.callback()).keep();
        one.read();
        drop(one);
        other.join().unwrap();
        assert_eq!((calls.made(), tally.live()), (2, 0));
    });
}

#[test]
fn detaching_against_last_drop() {
    model(|| {
        let (calls, tally) = (Calls::default(), Tally::default());
        let value = Watched::new(tally.value());
        let registration = Watched::on_death(&value, calls.callback());
        let other = thread::spawn(move || drop(value));
        let in_time = registration.detach();
        other.join().unwrap();
        assert_eq!(calls.made() + usize::from(in_time), 1);
        assert_eq!(tally.live(), 0);
    });
}

#[test]
fn upgrade_against_last_drop_and_its_callback() {
    model(|| {
        let (calls, tally) = (Calls::default(), Tally::default());
        let value = Watched::new(tally.value());
        let weak = Watched::downgrade(&value);
        let seen = weak.clone();
        let call = calls.callback();
        Watched::on_death(&value, move || {
            assert!(seen.upgrade().is_none(), "weak pointers are dead first");
            call();
        })
        .keep();
        let other = thread::spawn(move || drop(value));
        if let Some(value) = weak.upgrade() {
            value.read();
        }
        other.join().unwrap();
        assert!(weak.upgrade().is_none());
        assert_eq!((calls.made(), tally.live()), (1, 0));
    });
}

/// Owns the next one. Two ends nest in a model; the third is put aside.
struct Link {
    _next: Option<Watched<Link>>,
    counted: Counted,
}

impl Link {
    fn before(next: Option<Watched<Link>>, tally: &Tally) -> Watched<Link> {
        let counted = tally.value();
        Watched::new(Link {
            _next: next,
            counted,
        })
    }
}

#[test]
fn last_drop_deep_down_against_another_owner() {
    model(|| {
        let (calls, tally) = (Calls::default(), Tally::default());
        let inner = Link::before(None, &tally);
        Watched::on_death(&inner, calls.callback()).keep();
        let other = inner.clone();
        let middle = Link::before(Some(inner), &tally);
        let outer = Link::before(Some(middle), &tally);
        let other = thread::spawn(move || {
            other.counted.read();
            drop(other);
        });
        drop(outer);
        other.join().unwrap();
        assert_eq!((calls.made(), tally.live()), (1, 0));
    });
}

#[test]
fn last_drop_deep_down_against_upgrade() {
    model(|| {
        let (calls, tally) = (Calls::default(), Tally::default());
        let inner = Link::before(None, &tally);
        Watched::on_death(&inner, calls.callback()).keep();
        let weak = Watched::downgrade(&inner);
        let middle = Link::before(Some(inner), &tally);
        let outer = Link::before(Some(middle), &tally);
        let other = thread::spawn(move || {
            if let Some(inner) = weak.upgrade() {
                inner.counted.read();
            }
            weak
        });
        drop(outer);
        let weak = other.join().unwrap();
        assert!(weak.upgrade().is_none());
        assert_eq!((calls.made(), tally.live()), (1, 0));
    });
}

/// A value that carries a token, equal to all with the same number.
struct Spell {
    number: u32,
    token: Token,
    counted: Counted,
}

impl Spell {
    fn new(number: u32, tally: &Tally) -> Watched<Spell> {
        Watched::new(Spell {
            number,
            token: Token::new(),
            counted: tally.value(),
        })
    }
}

impl PartialEq for Spell {
    fn eq(&self, other: &Self) -> bool {
        self.counted.read();
        self.number == other.number
    }
}

impl Eq for Spell {}

impl Hash for Spell {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

type Spells = WeakSet<Watched<Spell>, highlander::map::ByEquality, PlacedHasher>;

fn successor(enter: fn(&Spells, &Watched<Spell>) -> bool) {
    model_with(2, move || {
        let tally = Tally::default();
        let set = Arc::new(Spells::default());
        let old = Spell::new(1, &tally);
        assert!(enter(&set, &old));
        let other = thread::spawn(move || drop(old));
        let new = Spell::new(1, &tally);
        let entered = enter(&set, &new);
        other.join().unwrap();
        assert_eq!(set.entry_count(), usize::from(entered));
        assert!(entered || enter(&set, &new));
        assert!(set.contains(&*new));
        drop(new);
        assert_eq!((set.entry_count(), tally.live()), (0, 0));
    });
}

#[test]
fn token_drop_against_creation_of_a_successor() {
    successor(|set, spell| set.insert_with_token(spell, |spell| &spell.token));
}

#[test]
fn death_against_insertion_of_a_successor() {
    successor(|set, spell| set.insert(spell));
}

/// A set with one member.
fn set_of_one(tally: &Tally) -> (Arc<Spells>, Watched<Spell>) {
    let set = Arc::new(Spells::default());
    let spell = Spell::new(1, tally);
    set.insert(&spell);
    (set, spell)
}

#[test]
fn of_two_removals_and_a_last_drop_one_counts() {
    model_with(2, || {
        let tally = Tally::default();
        let (set, spell) = set_of_one(&tally);
        let other = thread::spawn({
            let set = Arc::clone(&set);
            move || set.clear()
        });
        let mine = set.clear();
        drop(spell);
        assert_eq!(mine + other.join().unwrap(), 1);
        assert_eq!((set.entry_count(), tally.live()), (0, 0));
    });
}

#[test]
fn of_two_equal_members_one_is_entered() {
    model_with(2, || {
        let tally = Tally::default();
        let set = Arc::new(Spells::default());
        let (one, two) = (Spell::new(1, &tally), Spell::new(1, &tally));
        let other = thread::spawn({
            let set = Arc::clone(&set);
            move || (set.insert(&one), one)
        });
        let mine = set.insert(&two);
        let (theirs, one) = other.join().unwrap();
        assert!(mine != theirs);
        assert_eq!(set.entry_count(), 1);
        drop((one, two));
        assert_eq!((set.entry_count(), tally.live()), (0, 0));
    });
}

#[test]
fn removal_and_clearing_against_a_look_at_all() {
    model_with(2, || {
        let tally = Tally::default();
        let (set, spell) = set_of_one(&tally);
        let other = thread::spawn({
            let set = Arc::clone(&set);
            move || set.remove(&*spell)
        });
        set.clear();
        assert_eq!(set.iter().count(), 0, "cleared, and shown");
        other.join().unwrap();
        assert_eq!((set.entry_count(), tally.live()), (0, 0));
    });
}
