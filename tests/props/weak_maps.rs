//! The maps, with several settings, against their model.

use crate::common::{assert_accounted, Colliding};
use crate::maps::{
    same, BothWeak, Error, IdentityBothWeak, IdentityKeys, Log, Settings, Strong, Subject, Value,
    WeakKeys, WeakValues,
};
use highlander::error::{CreateError, Refused};
use highlander::hash::DefaultHashBuilder;
use highlander::map::RemovalCause;
use proptest::collection::vec;
use proptest::prelude::*;
use std::rc::Rc;
use std::sync::Arc;

const NUMBERS: u32 = 7;

/// What can be done. A `usize` chooses a key or a value that is owned, modulo how many there are.
#[derive(Clone, Debug)]
enum Op {
    NewKey(u32),
    DropKey(usize),
    DropValue(usize),
    DropHalf,
    Get(usize),
    Create(usize, bool),
    TryErr(usize),
    Insert(usize, bool),
    InsertOwned(usize, usize),
    TryInsert(usize, bool),
    Replace(usize),
    ReplaceSame(usize, bool),
    CreateIfStale(usize, bool),
    Update(usize, bool),
    UpdateAway(usize),
    Remove(usize),
    RemoveSame(usize, bool),
    RemoveIfSame(usize, bool),
    Pop,
    Prune,
    Shrink,
    Reserve(usize),
    Churn,
    Iterate,
    Copy,
    Retain(u32),
    Clear,
    Drain,
    Close,
}

fn op() -> impl Strategy<Value = Op> {
    let which = || 0..64usize;
    let yes = any::<bool>;
    prop_oneof![
        10 => (0..NUMBERS).prop_map(Op::NewKey),
        7 => which().prop_map(Op::DropKey),
        9 => which().prop_map(Op::DropValue),
        1 => Just(Op::DropHalf),
        5 => which().prop_map(Op::Get),
        8 => (which(), yes()).prop_map(|(key, keep)| Op::Create(key, keep)),
        2 => which().prop_map(Op::TryErr),
        8 => (which(), yes()).prop_map(|(key, keep)| Op::Insert(key, keep)),
        3 => (which(), which()).prop_map(|(key, value)| Op::InsertOwned(key, value)),
        4 => (which(), yes()).prop_map(|(key, keep)| Op::TryInsert(key, keep)),
        3 => which().prop_map(Op::Replace),
        3 => (which(), yes()).prop_map(|(key, right)| Op::ReplaceSame(key, right)),
        3 => (which(), yes()).prop_map(|(key, stale)| Op::CreateIfStale(key, stale)),
        3 => (which(), yes()).prop_map(|(key, keep)| Op::Update(key, keep)),
        2 => which().prop_map(Op::UpdateAway),
        3 => which().prop_map(Op::Remove),
        2 => (which(), yes()).prop_map(|(key, right)| Op::RemoveSame(key, right)),
        2 => (which(), yes()).prop_map(|(key, right)| Op::RemoveIfSame(key, right)),
        2 => Just(Op::Pop),
        2 => Just(Op::Prune),
        1 => Just(Op::Shrink),
        1 => (0..200usize).prop_map(Op::Reserve),
        1 => Just(Op::Churn),
        2 => Just(Op::Iterate),
        1 => Just(Op::Copy),
        1 => (0..NUMBERS).prop_map(Op::Retain),
        1 => Just(Op::Clear),
        1 => Just(Op::Drain),
    ]
}

/// An entry that is alive. Keys and values have identities: the order in which they were made.
#[derive(Clone, Debug)]
struct Entry {
    key: u32,
    number: u32,
    value: u32,
}

struct Script<K: Subject> {
    map: Rc<K>,
    log: Log,
    bound: Option<u32>,
    /// Since the table was last as short as its entries allow.
    reserved: bool,
    keys: Vec<(K::Key, u32)>,
    values: Vec<Value>,
    made: u32,
    entered: Vec<Entry>,
    closed: bool,
    /// What the hook is to be told beside deaths, and how many have died.
    expected: Vec<(Option<u32>, RemovalCause)>,
    died: usize,
    told_dead: usize,
    hits: u64,
    misses: u64,
    created: u64,
    replaced: u64,
}

impl<K: Subject> Script<K> {
    fn new(capacity: Option<usize>, bound: Option<u32>) -> Self {
        let log = Log::default();
        let settings = Settings {
            capacity,
            bound,
            counted: true,
            log: Some(log.clone()),
        };
        Self {
            map: Rc::new(K::build(&settings)),
            log,
            bound,
            reserved: false,
            keys: vec![(K::key(0), 0)],
            values: Vec::new(),
            made: 0,
            entered: Vec::new(),
            closed: false,
            expected: Vec::new(),
            died: 0,
            told_dead: 0,
            hits: 0,
            misses: 0,
            created: 0,
            replaced: 0,
        }
    }

    fn identity(&mut self) -> u32 {
        self.made += 1;
        self.made
    }

    /// A new value, owned by the script too or not.
    fn value(&mut self, keep: bool) -> Value {
        let value = Arc::new(self.identity());
        if keep {
            self.values.push(value.clone());
        }
        value
    }

    fn key(&self, which: usize) -> (K::Key, u32) {
        self.keys[which % self.keys.len()].clone()
    }

    fn slot(&self, key: &K::Key, identity: u32) -> Option<usize> {
        let number = K::number(key);
        self.entered
            .iter()
            .position(|entry| entry.number == number && (K::EQUAL_KEYS || entry.key == identity))
    }

    /// The value is entered under this key.
    fn enter(&mut self, key: &K::Key, identity: u32, value: u32) {
        let number = K::number(key);
        match self.slot(key, identity) {
            Some(at) => {
                self.replaced += 1;
                self.expected.push((Some(number), RemovalCause::Replaced));
                self.entered[at].value = value;
            }
            None => self.entered.push(Entry {
                key: identity,
                number,
                value,
            }),
        }
    }

    fn leave(&mut self, at: usize, cause: RemovalCause) {
        let entry = self.entered.remove(at);
        self.expected.push((Some(entry.number), cause));
    }

    fn looked_up(&mut self, found: bool) {
        self.hits += u64::from(found);
        self.misses += u64::from(!found);
    }

    /// Those of which one side has lost its last owner have died.
    fn bury(&mut self) {
        let (keys, values) = (&self.keys, &self.values);
        let before = self.entered.len();
        self.entered.retain(|entry| {
            let key = !K::WEAK_KEYS || keys.iter().any(|(_, identity)| *identity == entry.key);
            let value = !K::WEAK_VALUES || values.iter().any(|value| **value == entry.value);
            key && value
        });
        self.died += before - self.entered.len();
    }

    /// The entry that was shown. One value may be entered under several keys with the same number.
    fn shown(&self, key: &K::Key, value: &Value) -> Option<usize> {
        let is_key = |entry: &Entry| {
            let mut owned = self.keys.iter();
            let same = |(key_of, identity): &(K::Key, u32)| {
                *identity == entry.key && K::same_key(key_of, key)
            };
            !K::WEAK_KEYS || owned.any(same)
        };
        self.entered.iter().position(|entry| {
            (entry.number, entry.value) == (K::number(key), **value) && is_key(entry)
        })
    }

    /// The value that the model knows of a key.
    fn known(&self, key: &K::Key, identity: u32) -> Option<u32> {
        self.slot(key, identity).map(|at| self.entered[at].value)
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::NewKey(number) => {
                let identity = self.identity();
                self.keys.push((K::key(number), identity));
            }
            Op::DropKey(which) => {
                if self.keys.len() > 1 {
                    self.keys.swap_remove(which % self.keys.len());
                }
            }
            Op::DropValue(which) => {
                if let Some(at) = which.checked_rem(self.values.len()) {
                    self.values.swap_remove(at);
                }
            }
            Op::DropHalf => {
                self.values.truncate(self.values.len() / 2);
                self.keys.truncate(self.keys.len().div_ceil(2));
            }
            Op::Get(which) => {
                let (key, identity) = self.key(which);
                let known = self.known(&key, identity);
                assert_eq!(self.map.get(&key).map(|value| *value), known);
                assert_eq!(self.map.contains_key(&key), known.is_some());
                if let Some((stored, _)) = self.map.get_key_value(&key) {
                    // Of equal keys the first stays.
                    let first = self.entered[self.slot(&key, identity).unwrap()].key;
                    let owned = self.keys.iter().find(|(_, identity)| *identity == first);
                    assert!(!K::WEAK_KEYS || K::same_key(&stored, &owned.unwrap().0));
                }
                (0..3).for_each(|_| self.looked_up(known.is_some()));
            }
            Op::Create(which, keep) => {
                let (key, identity) = self.key(which);
                let known = self.known(&key, identity);
                self.looked_up(known.is_some());
                let refused = self.closed && known.is_none();
                let value = self.value(keep);
                let made = *value;
                let result = self.map.get_or_try_insert(&key, || Ok(value));
                match result {
                    Ok(got) if known.is_none() => {
                        assert_eq!(*got, made);
                        self.created += 1;
                        self.enter(&key, identity, made);
                    }
                    Ok(got) => assert_eq!(Some(*got), known),
                    Err(error) => {
                        let closed = matches!(error, CreateError::Refused(Refused::Closed(_)));
                        assert!(refused && closed);
                    }
                }
            }
            Op::TryErr(which) => {
                let (key, identity) = self.key(which);
                let known = self.known(&key, identity);
                self.looked_up(known.is_some());
                let result = self
                    .map
                    .get_or_try_insert(&key, || Err::<_, Error>(CreateError::Failed("no")));
                assert_eq!(result.ok().map(|value| *value), known);
            }
            Op::Insert(which, keep) => {
                if self.closed {
                    return;
                }
                let (key, identity) = self.key(which);
                let known = self.known(&key, identity);
                let value = self.value(keep);
                let made = *value;
                let displaced = self.map.insert(&key, value);
                assert_eq!(displaced.map(|value| *value), known);
                self.enter(&key, identity, made);
            }
            Op::InsertOwned(which, value) => {
                let Some(at) = value.checked_rem(self.values.len()) else {
                    return;
                };
                let (key, identity) = self.key(which);
                let (value, known) = (self.values[at].clone(), self.known(&key, identity));
                if self.closed || known == Some(*value) {
                    return;
                }
                let displaced = self.map.insert(&key, value.clone());
                assert_eq!(displaced.map(|value| *value), known);
                self.enter(&key, identity, *value);
            }
            Op::TryInsert(which, keep) => {
                let (key, identity) = self.key(which);
                let known = self.known(&key, identity);
                let value = self.value(keep);
                let made = *value;
                match self.map.try_insert(&key, value) {
                    Ok(()) => {
                        assert!(known.is_none() && !self.closed);
                        self.enter(&key, identity, made);
                    }
                    Err(existing) => {
                        assert!(known.is_some() || self.closed);
                        // A closed map need not say what is there.
                        assert!(self.closed || existing.map(|value| *value) == known);
                    }
                }
            }
            Op::Replace(which) => {
                let (key, identity) = self.key(which);
                let known = self.known(&key, identity);
                if self.closed && known.is_some() {
                    return;
                }
                let value = self.value(true);
                let displaced = self.map.replace(&key, value.clone());
                assert_eq!(displaced.map(|value| *value), known);
                if known.is_some() {
                    self.enter(&key, identity, *value);
                }
            }
            Op::ReplaceSame(which, right) => {
                let (key, identity) = self.key(which);
                let known = self.known(&key, identity);
                let owned = self.values.iter().find(|value| Some(***value) == known);
                // An equal one is another one.
                let old = match owned {
                    Some(value) if right => value.clone(),
                    _ => Arc::new(known.unwrap_or(0)),
                };
                let done = right && owned.is_some() && !self.closed;
                let value = self.value(true);
                assert_eq!(self.map.compare_exchange(&key, &old, value.clone()), done);
                if done {
                    self.enter(&key, identity, *value);
                }
            }
            Op::CreateIfStale(which, stale) => {
                let (key, identity) = self.key(which);
                let known = self.known(&key, identity);
                if self.closed && (known.is_none() || stale) {
                    return;
                }
                let value = self.value(true);
                let got = self
                    .map
                    .get_valid_or_insert(&key, |_| !stale, || value.clone());
                self.looked_up(known.is_some());
                if known.is_none() || stale {
                    assert!(Arc::ptr_eq(&got, &value));
                    self.created += 1;
                    // The stale one has gone before, with the key that was stored.
                    if let Some(at) = self.slot(&key, identity) {
                        self.leave(at, RemovalCause::Removed);
                    }
                    self.enter(&key, identity, *value);
                } else {
                    assert_eq!(Some(*got), known);
                }
            }
            Op::Update(which, keep) => {
                if self.closed {
                    return;
                }
                let (key, identity) = self.key(which);
                let known = self.known(&key, identity);
                let value = self.value(keep);
                let got = self.map.update(&key, &mut |old| {
                    assert_eq!(old.map(|value| **value), known);
                    Some(value.clone())
                });
                assert!(same(&got, &Some(value.clone())));
                self.enter(&key, identity, *value);
            }
            Op::UpdateAway(which) => {
                let (key, identity) = self.key(which);
                assert!(self.map.update(&key, &mut |_| None).is_none());
                if let Some(at) = self.slot(&key, identity) {
                    self.leave(at, RemovalCause::Removed);
                }
            }
            Op::Remove(which) => {
                let (key, identity) = self.key(which);
                let known = self.known(&key, identity);
                assert_eq!(self.map.remove(&key).map(|value| *value), known);
                if let Some(at) = self.slot(&key, identity) {
                    self.leave(at, RemovalCause::Removed);
                }
            }
            Op::RemoveSame(which, right) | Op::RemoveIfSame(which, right) => {
                let (key, identity) = self.key(which);
                let known = self.known(&key, identity);
                let owned = self.values.iter().find(|value| Some(***value) == known);
                let value = match owned {
                    Some(value) if right => value.clone(),
                    _ => Arc::new(known.unwrap_or(0)),
                };
                let done = right && owned.is_some();
                let removed = match op {
                    Op::RemoveSame(..) => self.map.remove_same(&key, &value),
                    _ => self.map.remove_if_same(&key, &value),
                };
                assert_eq!(removed, done);
                if done {
                    let at = self.slot(&key, identity).unwrap();
                    self.leave(at, RemovalCause::Removed);
                }
            }
            Op::Pop => match self.map.pop() {
                None => assert!(self.entered.is_empty()),
                Some((key, value)) => {
                    let at = self.shown(&key, &value);
                    self.leave(at.expect("one that is entered"), RemovalCause::Removed);
                }
            },
            Op::Prune => {
                let dead = self.map.entry_count() - self.entered.len();
                assert_eq!(self.map.prune(), dead);
                assert_eq!(self.map.entry_count(), self.entered.len());
            }
            Op::Reserve(additional) => {
                self.map.reserve(additional);
                self.reserved |= additional > 0;
                assert!(self.map.capacity() >= self.map.entry_count() + additional);
            }
            Op::Shrink => {
                self.map.shrink_to_fit();
                self.reserved = false;
                assert_eq!(self.map.entry_count(), self.entered.len());
            }
            Op::Churn => self.churn(),
            Op::Iterate => {
                // Removes the odd ones and enters as many while it goes on.
                let map = Rc::clone(&self.map);
                for (key, value) in map.items() {
                    let at = self.shown(&key, &value);
                    if *value % 2 == 1 && self.map.remove_same(&key, &value) {
                        self.leave(at.expect("shown, so entered"), RemovalCause::Removed);
                    }
                }
            }
            Op::Copy => {
                let copy = self.map.copy();
                assert_eq!(
                    (copy.len(), copy.entry_count()),
                    (self.entered.len(), self.entered.len())
                );
                let union = self.map.union(&copy);
                assert_eq!(union.len(), self.entered.len());
            }
            Op::Retain(least) => {
                let before = self.entered.len();
                for at in (0..before).rev() {
                    if self.entered[at].number < least {
                        self.leave(at, RemovalCause::Removed);
                    }
                }
                let gone = self.map.retain(&mut |key, _| K::number(key) >= least);
                assert_eq!(gone, before - self.entered.len());
                assert_eq!(self.map.entry_count(), self.entered.len());
            }
            Op::Clear | Op::Drain => {
                let gone = match op {
                    Op::Clear => self.map.clear(),
                    _ => self.map.drain().len(),
                };
                assert_eq!(gone, self.entered.len());
                assert_eq!(self.map.entry_count(), 0);
                while !self.entered.is_empty() {
                    self.leave(0, RemovalCause::Cleared);
                }
            }
            Op::Close => {
                assert_eq!(self.map.close(), self.entered.len());
                self.closed = true;
            }
        }
    }

    /// Fresh entries that die at once leave few behind, of older dead ones too.
    fn churn(&mut self) {
        if self.closed {
            return;
        }
        let insertions = self.map.entry_count() * 2 + 200;
        for number in 0..insertions as u32 {
            assert!(self
                .map
                .insert(&K::key(1000 + number), Arc::new(number))
                .is_none());
        }
        if !K::WEAK_KEYS && !K::WEAK_VALUES {
            // These do not die, but have to be taken out.
            for number in 1000..1000 + insertions as u32 {
                assert!(self.map.remove(&K::key(number)).is_some());
                self.expected.push((Some(number), RemovalCause::Removed));
            }
            return;
        }
        self.died += insertions;
        let (live, dead) = (
            self.entered.len(),
            self.map.entry_count() - self.entered.len(),
        );
        let bound = self.bound.unwrap_or(8) as usize;
        if bound > 1 && self.map.capacity() < 500 {
            // Where the table is emptier than it would be, a sweep meets fewer.
            let more = if self.reserved {
                self.map.capacity() / 4
            } else {
                0
            };
            assert!(
                dead <= live / (bound - 1) + 16 + more,
                "{dead} dead, {live} live"
            );
        }
    }

    fn check(&mut self) {
        let map = &self.map;
        let live = self.entered.len();
        assert_eq!((map.len(), map.is_empty()), (live, live == 0));
        let sorted = |mut all: Vec<(u32, u32)>| {
            all.sort_unstable();
            all
        };
        let expected = self.entered.iter().map(|entry| (entry.number, entry.value));
        let expected = sorted(expected.collect());
        let shown = map.items().map(|(key, value)| (K::number(&key), *value));
        assert_eq!(sorted(shown.collect()), expected);
        let mut shown = Vec::new();
        map.for_each(&mut |key, value| shown.push((K::number(key), **value)));
        assert_eq!(sorted(shown), expected);
        let (weak, dead) = map.weak();
        assert_eq!((weak, dead), (map.entry_count(), map.entry_count() - live));

        let mut told = std::mem::take(&mut *self.log.lock().unwrap());
        told.retain(|(_, cause)| {
            self.told_dead += usize::from(*cause == RemovalCause::Dead);
            *cause != RemovalCause::Dead
        });
        assert_eq!(
            self.died - self.told_dead,
            map.entry_count() - live,
            "told once of each death"
        );
        let mut expected = std::mem::take(&mut self.expected);
        let order = |told: &(Option<u32>, RemovalCause)| (told.0, format!("{:?}", told.1));
        told.sort_by_key(order);
        expected.sort_by_key(order);
        assert_eq!(told, expected);

        let stats = map.stats();
        assert_eq!((stats.hits, stats.misses), (self.hits, self.misses));
        assert_eq!(
            (stats.created, stats.replaced, stats.joined),
            (self.created, self.replaced, 0)
        );
        let dead = stats.pruned + stats.dead_seen + stats.reported;
        assert_eq!(dead as usize, self.told_dead);
        assert_accounted(stats, map.entry_count());
    }
}

fn play<K: Subject>(ops: &[Op], end: &[Op]) {
    for (capacity, bound) in [(None, None), (Some(0), Some(2)), (Some(2000), Some(1))] {
        let mut script = Script::<K>::new(capacity, bound);
        let closed = (!end.is_empty()).then_some(Op::Close);
        for op in ops.iter().cloned().chain(closed).chain(end.iter().cloned()) {
            script.run(op);
            script.bury();
            script.check();
        }
        // Nothing is left when all owners have gone, but what has no weak side that could die.
        script.keys.truncate(1);
        script.values.clear();
        script.bury();
        script.run(Op::Prune);
        script.check();
    }
}

macro_rules! against_its_model {
    ($($test:ident: $kind:ident),* $(,)?) => {
        proptest! {
            #![proptest_config(crate::config())]

            $(
                #[test]
                fn $test(ops in vec(op(), 1..100), end in vec(op(), 0..20)) {
                    play::<$kind<DefaultHashBuilder>>(&ops, &end);
                    play::<$kind<Colliding>>(&ops, &[]);
                }
            )*
        }
    };
}

against_its_model!(
    strong_maps_do_as_their_model: Strong,
    weak_values_do_as_their_model: WeakValues,
    weak_keys_do_as_their_model: WeakKeys,
    weak_keys_by_identity_do_as_their_model: IdentityKeys,
    both_weak_do_as_their_model: BothWeak,
    both_weak_by_identity_do_as_their_model: IdentityBothWeak,
);
