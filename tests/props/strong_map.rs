//! A strong map against a `HashMap`.

use crate::common::{Census, Citizen, Colliding};
use highlander::hash::DefaultHashBuilder;
use highlander::StrongMap;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{BuildHasher, Hash, Hasher};

const KEYS: u8 = 12;

/// Equal by its number alone; the other one says which of the equal it is.
#[derive(Clone, Debug)]
struct Key(u8, u32);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[derive(Hash)]
struct Borrowed(u8);

impl highlander::Equivalent<Key> for Borrowed {
    fn equivalent(&self, key: &Key) -> bool {
        self.0 == key.0
    }
}

/// Counted, and so are its clones.
#[derive(Debug)]
struct Value(u8, Census, #[allow(dead_code)] Citizen);

impl Value {
    fn new(n: u8, census: &Census) -> Self {
        Self(n, census.clone(), census.citizen())
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        Self::new(self.0, &self.1)
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

#[derive(Clone, Debug)]
enum Op {
    Get(u8),
    Create(u8, u8),
    CreateByRef(u8, u8),
    Fail(u8),
    Insert(u8, u8),
    InsertNew(u8, u8),
    TryInsert(u8, u8),
    Replace(u8, u8),
    ReplaceIf(u8, u8, u8),
    CreateIfStale(u8, u8, u8),
    Add(u8, u8),
    UpdateAway(u8),
    Remove(u8),
    RemoveIf(u8, u8),
    Pop,
    Retain(u8),
    Extend(Vec<(u8, u8)>),
    Union(Vec<(u8, u8)>),
    Compare(Vec<(u8, u8)>),
    Grow(u16),
    Shrink,
    Clear,
    Drain,
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..KEYS;
    let value = || 0..3u8;
    let entries = || vec((0..KEYS, 0..3u8), 0..6);
    prop_oneof![
        6 => key().prop_map(Op::Get),
        6 => (key(), value()).prop_map(|(k, v)| Op::Create(k, v)),
        4 => (key(), value()).prop_map(|(k, v)| Op::CreateByRef(k, v)),
        2 => key().prop_map(Op::Fail),
        8 => (key(), value()).prop_map(|(k, v)| Op::Insert(k, v)),
        3 => (key(), value()).prop_map(|(k, v)| Op::InsertNew(k, v)),
        3 => (key(), value()).prop_map(|(k, v)| Op::TryInsert(k, v)),
        4 => (key(), value()).prop_map(|(k, v)| Op::Replace(k, v)),
        4 => (key(), value(), value()).prop_map(|(k, old, v)| Op::ReplaceIf(k, old, v)),
        3 => (key(), value(), value()).prop_map(|(k, old, v)| Op::CreateIfStale(k, old, v)),
        4 => (key(), value()).prop_map(|(k, v)| Op::Add(k, v)),
        2 => key().prop_map(Op::UpdateAway),
        4 => key().prop_map(Op::Remove),
        4 => (key(), value()).prop_map(|(k, v)| Op::RemoveIf(k, v)),
        2 => Just(Op::Pop),
        1 => value().prop_map(Op::Retain),
        2 => entries().prop_map(Op::Extend),
        1 => entries().prop_map(Op::Union),
        1 => entries().prop_map(Op::Compare),
        1 => (0..300u16).prop_map(Op::Grow),
        1 => Just(Op::Shrink),
        1 => Just(Op::Clear),
        1 => Just(Op::Drain),
    ]
}

type Map<S> = StrongMap<Key, Value, S>;

struct Script<S> {
    map: Map<S>,
    /// By number, the very key and the value.
    model: HashMap<u8, (u32, u8)>,
    census: Census,
    made: u32,
}

impl<S: BuildHasher + Default + Clone + Debug> Script<S> {
    fn new(capacity: Option<usize>) -> Self {
        let map = StrongMap::with_hasher(S::default());
        if let Some(capacity) = capacity {
            map.reserve(capacity);
        }
        Self {
            map,
            model: HashMap::new(),
            census: Census::new(),
            made: 0,
        }
    }

    fn key(&mut self, n: u8) -> Key {
        self.made += 1;
        Key(n, self.made)
    }

    fn value(&self, n: u8) -> Value {
        Value::new(n, &self.census)
    }

    fn known(&self, n: u8) -> Option<u8> {
        self.model.get(&n).map(|(_, value)| *value)
    }

    /// A map of its own with these entries, and its model.
    fn other(&mut self, entries: Vec<(u8, u8)>) -> (Map<S>, HashMap<u8, u8>) {
        let model = entries.iter().copied().collect();
        let made: Vec<_> = entries
            .into_iter()
            .map(|(k, v)| (self.key(k), self.value(v)))
            .collect();
        (made.into_iter().collect(), model)
    }

    fn run(&mut self, op: Op) {
        let plain = |value: Value| value.0;
        match op {
            Op::Get(k) => {
                let known = self.known(k);
                assert_eq!(self.map.get(&Borrowed(k)).map(plain), known);
                assert_eq!(self.map.get(&Key(k, 0)).map(plain), known);
                assert_eq!(self.map.with(&Borrowed(k), |v| v.0), known);
                assert_eq!(self.map.contains_key(&Borrowed(k)), known.is_some());
            }
            Op::Create(k, v) | Op::CreateByRef(k, v) => {
                let (known, new) = (self.known(k), self.key(k));
                let id = new.1;
                let make = |key: &Key| {
                    assert!(known.is_none() && key.1 == id);
                    self.value(v)
                };
                let got = match op {
                    Op::Create(..) => self.map.get_or_insert_with(new, make),
                    _ => self
                        .map
                        .entry_ref(&Borrowed(k))
                        .key_with(|_| new)
                        .or_insert_with(make),
                };
                assert_eq!(got.0, known.unwrap_or(v));
                self.model.entry(k).or_insert((id, v));
            }
            Op::Fail(k) => {
                let key = self.key(k);
                let fail = |_: &Key| Err(());
                let got = self.map.get_or_try_insert_with(key, fail);
                assert_eq!(got.ok().map(plain), self.known(k));
            }
            Op::Insert(k, v) => {
                let key = self.key(k);
                let id = key.1;
                let old = self.map.insert(key, self.value(v));
                let known = self.model.insert(k, (id, v));
                assert_eq!(old.map(plain), known.map(|(_, v)| v));
            }
            Op::InsertNew(k, v) => {
                // As for values that cannot be cloned.
                let (key, known) = (self.key(k), self.known(k));
                let id = key.1;
                let entry = self.map.entry(key).and_view(|there| there.0);
                assert_eq!(entry.or_insert(self.value(v)), known.unwrap_or(v));
                self.model.entry(k).or_insert((id, v));
            }
            Op::TryInsert(k, v) => {
                let key = self.key(k);
                let id = key.1;
                match self.map.try_insert(key, self.value(v)) {
                    Ok(entered) => {
                        assert_eq!(entered.0, v);
                        assert_eq!(self.model.insert(k, (id, v)), None);
                    }
                    Err(error) => {
                        assert_eq!((error.key.1, error.value.0), (id, v));
                        assert!(error.existing.is_some());
                        assert_eq!(error.existing.map(plain), self.known(k));
                    }
                }
            }
            Op::Replace(k, v) => {
                let (key, known) = (self.key(k), self.known(k));
                let id = key.1;
                let entered = self.map.update(key, |there| {
                    assert_eq!(there.map(|there| there.0), known);
                    there.map(|_| self.value(v))
                });
                assert_eq!(entered.map(plain), known.map(|_| v));
                self.model.entry(k).and_modify(|entry| *entry = (id, v));
            }
            Op::ReplaceIf(k, old, v) => {
                let (key, known) = (self.key(k), self.known(k));
                let id = key.1;
                let mut done = false;
                let entered = self.map.update(key, |there| {
                    done = there.is_some_and(|there| there.0 == old);
                    if done {
                        Some(self.value(v))
                    } else {
                        there.cloned()
                    }
                });
                assert_eq!(done, known == Some(old));
                let new = if done { Some(v) } else { known };
                assert_eq!(entered.map(plain), new);
                // A clone of what was there is another value, and comes with the key that was given.
                if let Some(new) = new {
                    self.model.insert(k, (id, new));
                }
            }
            Op::CreateIfStale(k, old, v) => {
                let (key, known) = (self.key(k), self.known(k));
                let id = key.1;
                let make = |_: &Key| self.value(v);
                let got = self
                    .map
                    .entry(key)
                    .valid_if(|there| there.0 != old)
                    .or_insert_with(make);
                match known {
                    Some(known) if known != old => assert_eq!(got.0, known),
                    _ => {
                        assert_eq!(got.0, v);
                        self.model.insert(k, (id, v));
                    }
                }
            }
            Op::Add(k, v) => {
                let (key, known) = (self.key(k), self.known(k));
                let id = key.1;
                let sum = known.map_or(v, |known| known.wrapping_add(v));
                let got = self.map.update(key, |old| {
                    assert_eq!(old.map(|old| old.0), known);
                    Some(self.value(sum))
                });
                assert_eq!(got.map(plain), Some(sum));
                self.model.insert(k, (id, sum));
            }
            Op::UpdateAway(k) => {
                let key = self.key(k);
                assert_eq!(self.map.update(key, |_| None), None);
                self.model.remove(&k);
            }
            Op::Remove(k) => {
                let known = self.model.remove(&k);
                let removed = self.map.remove(&Borrowed(k));
                assert_eq!(removed.map(plain), known.map(|(_, v)| v));
            }
            Op::RemoveIf(k, old) => {
                let known = self.model.get(&k).copied();
                let removed = self.map.remove_if(&Borrowed(k), |key, there| {
                    assert_eq!(Some((key.1, there.0)), known);
                    there.0 == old
                });
                assert_eq!(removed.is_some(), self.known(k) == Some(old));
                self.model.retain(|n, (_, v)| *n != k || *v != old);
            }
            Op::Pop => {
                let popped = self.map.pop();
                assert_eq!(popped.is_none(), self.model.is_empty());
                if let Some((key, value)) = popped {
                    assert_eq!(self.model.remove(&key.0), Some((key.1, value.0)));
                }
            }
            Op::Retain(least) => {
                let before = self.model.len();
                self.model.retain(|_, (_, v)| *v >= least);
                let gone = self.map.retain(|_, there| there.0 >= least);
                assert_eq!(gone, before - self.model.len());
            }
            Op::Extend(entries) => {
                let made: Vec<_> = entries
                    .into_iter()
                    .map(|(k, v)| (self.key(k), self.value(v)))
                    .collect();
                for (key, value) in &made {
                    self.model.insert(key.0, (key.1, value.0));
                }
                self.map.extend(made);
            }
            Op::Union(entries) => {
                let (other, of_other) = self.other(entries);
                let mut expected: HashMap<u8, u8> =
                    self.model.iter().map(|(k, (_, v))| (*k, *v)).collect();
                expected.extend(of_other);
                let union = self.map.clone();
                (&union).extend(&other);
                let union: HashMap<u8, u8> = union.iter().map(|(k, v)| (k.0, v.0)).collect();
                assert_eq!(union, expected);
            }
            Op::Compare(entries) => {
                let (other, of_other) = self.other(entries);
                let mine: HashMap<u8, u8> = self.model.iter().map(|(k, (_, v))| (*k, *v)).collect();
                assert_eq!(self.map == other, mine == of_other);
                assert_eq!(other == self.map, mine == of_other);
                assert_eq!(self.map.clone(), self.map);
            }
            Op::Grow(n) => {
                let numbers = || (0..n).map(|n| KEYS + (n % 200) as u8);
                for k in numbers() {
                    let key = self.key(k);
                    self.map.insert(key, self.value(0));
                }
                assert!(numbers().all(|k| self.map.remove(&Borrowed(k)).is_some() || n > 200));
            }
            Op::Shrink => self.map.shrink_to_fit(),
            Op::Clear => {
                assert_eq!(self.map.clear(), self.model.len());
                self.model.clear();
            }
            Op::Drain => {
                let drained = self.map.drain();
                assert_eq!(drained.len(), self.model.len());
                for (key, value) in drained {
                    assert_eq!(self.model.remove(&key.0), Some((key.1, value.0)));
                }
            }
        }
    }

    fn check(&self) {
        let map = &self.map;
        assert_eq!(
            (map.len(), map.is_empty()),
            (self.model.len(), self.model.is_empty())
        );
        assert_eq!(self.census.alive(), self.model.len() as isize);
        let mut shown = HashMap::new();
        map.for_each(|key, value| {
            assert_eq!(shown.insert(key.0, (key.1, value.0)), None, "shown twice");
        });
        assert_eq!(shown, self.model);
        let mut items = HashMap::new();
        for (key, value) in map {
            assert_eq!(items.insert(key.0, (key.1, value.0)), None, "shown twice");
        }
        assert_eq!(items, self.model);
        assert_eq!(
            (map.keys().count(), map.values().count()),
            (map.len(), map.len())
        );
    }
}

fn play<S: BuildHasher + Default + Clone + Debug>(ops: &[Op]) {
    for capacity in [None, Some(0), Some(500)] {
        let mut script = Script::<S>::new(capacity);
        for op in ops.iter().cloned() {
            script.run(op);
            script.check();
        }
        let census = script.census.clone();
        drop(script);
        assert_eq!(census.alive(), 0);
    }
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn a_strong_map_does_as_a_hash_map(ops in vec(op(), 1..150)) {
        play::<DefaultHashBuilder>(&ops);
        play::<Colliding>(&ops);
    }
}
