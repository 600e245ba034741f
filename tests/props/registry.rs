//! A registry against its model.

use crate::common::{Census, Citizen, Colliding};
use highlander::error::CreateError;
use highlander::{Handle, Registry, WeakHandle};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher;

type Key = u16;
const KEYS: Key = 12;

/// What can be done. Numbers that are not keys choose a handle, modulo how many there are.
#[derive(Clone, Debug)]
enum Op {
    Get(Key),
    GetOrInsert(Key),
    GetOrInsertRef(Key),
    TryOk(Key),
    TryErr(Key),
    Insert(Key),
    TryInsert(Key),
    ReplaceSame(usize),
    Remove(Key),
    RemoveSame(usize),
    RemoveIf(Key, bool),
    Retain(Key),
    Clear,
    Clone(usize),
    Drop(usize),
    DropHalf,
    Downgrade(usize),
    DropWeak(usize),
    Upgrade(usize),
    KeepIter,
    Shrink,
    Reserve(usize),
    /// Many more keys, so that the table grows.
    Flood,
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..KEYS;
    let which = || 0..64usize;
    prop_oneof![
        4 => key().prop_map(Op::Get),
        8 => key().prop_map(Op::GetOrInsert),
        3 => key().prop_map(Op::GetOrInsertRef),
        3 => key().prop_map(Op::TryOk),
        3 => key().prop_map(Op::TryErr),
        4 => key().prop_map(Op::Insert),
        3 => key().prop_map(Op::TryInsert),
        3 => which().prop_map(Op::ReplaceSame),
        2 => key().prop_map(Op::Remove),
        2 => which().prop_map(Op::RemoveSame),
        2 => (key(), any::<bool>()).prop_map(|(key, yes)| Op::RemoveIf(key, yes)),
        1 => key().prop_map(Op::Retain),
        1 => Just(Op::Clear),
        6 => which().prop_map(Op::Clone),
        14 => which().prop_map(Op::Drop),
        1 => Just(Op::DropHalf),
        3 => which().prop_map(Op::Downgrade),
        1 => which().prop_map(Op::DropWeak),
        3 => which().prop_map(Op::Upgrade),
        1 => Just(Op::KeepIter),
        1 => Just(Op::Shrink),
        1 => (0..200usize).prop_map(Op::Reserve),
        1 => Just(Op::Flood),
    ]
}

/// Identity of a value: the order in which they were made.
type Id = usize;

struct Value {
    id: Id,
    _counted: Citizen,
}

struct Script<S> {
    registry: Registry<Key, Value, S>,
    census: Census,
    handles: Vec<(Handle<Key, Value>, Id)>,
    weaks: Vec<(WeakHandle<Key, Value>, Id)>,
    /// The model: which value each key leads to, and how many handles each living value has.
    entered: HashMap<Key, Id>,
    owners: BTreeMap<Id, (Key, usize)>,
    made: Id,
}

impl<S: BuildHasher + Default> Script<S> {
    fn new() -> Self {
        Self {
            registry: Registry::default(),
            census: Census::new(),
            handles: Vec::new(),
            weaks: Vec::new(),
            entered: HashMap::new(),
            owners: BTreeMap::new(),
            made: 0,
        }
    }

    fn value(&mut self) -> Value {
        self.made += 1;
        Value {
            id: self.made,
            _counted: self.census.citizen(),
        }
    }

    /// Keeps a handle, which must lead to the value with this identity.
    fn keep(&mut self, handle: Handle<Key, Value>, id: Id, key: Key) {
        assert_eq!((handle.id, *Handle::key(&handle)), (id, key));
        self.owners.entry(id).or_insert((key, 0)).1 += 1;
        self.handles.push((handle, id));
    }

    fn let_go(&mut self, at: usize) {
        let (handle, id) = self.handles.swap_remove(at);
        drop(handle);
        let (key, owners) = self.owners.get_mut(&id).unwrap();
        *owners -= 1;
        if *owners == 0 {
            if self.entered.get(key) == Some(&id) {
                self.entered.remove(key);
            }
            self.owners.remove(&id);
        }
    }

    /// The handle that a number chooses.
    fn at(&self, which: usize) -> Option<usize> {
        which.checked_rem(self.handles.len())
    }

    /// Keeps what a creation gave: the value that was there, or the one just made and entered now.
    fn keep_created(&mut self, handle: Handle<Key, Value>, key: Key, new: Option<Id>) {
        assert_eq!(
            new.is_some(),
            !self.entered.contains_key(&key),
            "the factory runs on a miss only"
        );
        let id = *self.entered.entry(key).or_insert_with(|| new.unwrap());
        self.keep(handle, id, key);
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Get(key) => match (self.registry.get(&key), self.entered.get(&key).copied()) {
                (Some(handle), Some(id)) => self.keep(handle, id, key),
                (None, None) => {}
                (found, expected) => panic!("found {:?}, not {expected:?}", found.map(|h| h.id)),
            },
            Op::GetOrInsert(key) => {
                let (value, mut used) = (self.value(), None);
                let handle = self.registry.get_or_insert_with(key, |_| {
                    used = Some(value.id);
                    value
                });
                self.keep_created(handle, key, used);
            }
            Op::GetOrInsertRef(key) => {
                let (value, mut used) = (self.value(), None);
                let handle = self
                    .registry
                    .entry_ref(&key)
                    .key_with(|key| *key)
                    .or_insert_with(|_| {
                        used = Some(value.id);
                        value
                    });
                self.keep_created(handle, key, used);
            }
            Op::TryOk(key) => {
                let (value, mut used) = (self.value(), None);
                let result = self.registry.get_or_try_insert_with(key, |_| {
                    used = Some(value.id);
                    Ok::<_, String>(value)
                });
                self.keep_created(result.unwrap(), key, used);
            }
            Op::TryErr(key) => {
                let result = self.registry.get_or_try_insert_with(key, |_| Err("no"));
                match (result, self.entered.get(&key).copied()) {
                    (Ok(handle), Some(id)) => self.keep(handle, id, key),
                    (Err(error), None) => assert_eq!(error, CreateError::Failed("no")),
                    (result, expected) => panic!("{:?}, not {expected:?}", result.map(|h| h.id)),
                }
            }
            Op::Insert(key) => {
                let value = self.value();
                let id = value.id;
                let (handle, displaced) = self.registry.insert(key, value);
                assert_eq!(
                    displaced.as_ref().map(|old| old.id),
                    self.entered.insert(key, id)
                );
                self.keep(handle, id, key);
                if let Some(old) = displaced {
                    let old_id = old.id;
                    self.keep(old, old_id, key);
                }
            }
            Op::TryInsert(key) => {
                let value = self.value();
                let id = value.id;
                match (
                    self.registry.try_insert(key, value),
                    self.entered.get(&key).copied(),
                ) {
                    (Ok(handle), None) => {
                        self.entered.insert(key, id);
                        self.keep(handle, id, key);
                    }
                    (Err(error), Some(there)) => {
                        assert_eq!((error.key, error.value.id), (key, id));
                        self.keep(error.existing.expect("it is not closed"), there, key);
                    }
                    (result, expected) => {
                        panic!("{:?}, not {expected:?}", result.map(|h| h.id).ok())
                    }
                }
            }
            Op::ReplaceSame(which) => {
                let Some(at) = self.at(which) else { return };
                let value = self.value();
                let (id, (old, old_id)) = (value.id, &self.handles[at]);
                let key = *Handle::key(old);
                let is_entered = self.entered.get(&key) == Some(old_id);
                match self.registry.compare_exchange(old, value) {
                    Ok(handle) => {
                        assert!(is_entered);
                        self.entered.insert(key, id);
                        self.keep(handle, id, key);
                    }
                    Err(error) => assert_eq!((error.value.id, is_entered), (id, false)),
                }
            }
            Op::Remove(key) => match (self.registry.remove(&key), self.entered.remove(&key)) {
                (Some(handle), Some(id)) => self.keep(handle, id, key),
                (None, None) => {}
                (removed, expected) => panic!("{:?}, not {expected:?}", removed.map(|h| h.id)),
            },
            Op::RemoveSame(which) => {
                let Some(at) = self.at(which) else { return };
                let (handle, id) = &self.handles[at];
                let key = *Handle::key(handle);
                let is_entered = self.entered.get(&key) == Some(id);
                assert_eq!(self.registry.remove_same(handle), is_entered);
                if is_entered {
                    self.entered.remove(&key);
                }
            }
            Op::RemoveIf(key, yes) => {
                let expected = if yes { self.entered.remove(&key) } else { None };
                let removed = self
                    .registry
                    .remove_if(&key, |asked, _| *asked == key && yes);
                assert_eq!(removed.as_ref().map(|handle| handle.id), expected);
                if let Some(handle) = removed {
                    let id = handle.id;
                    self.keep(handle, id, key);
                }
            }
            Op::Retain(limit) => {
                let before = self.entered.len();
                self.entered.retain(|key, _| *key < limit);
                let taken_out = self.registry.retain(|key, _| *key < limit);
                assert_eq!(taken_out, before - self.entered.len());
            }
            Op::Clear => {
                assert_eq!(self.registry.clear(), self.entered.len());
                self.entered.clear();
            }
            Op::Clone(which) => {
                let Some(at) = self.at(which) else { return };
                let (handle, id) = (self.handles[at].0.clone(), self.handles[at].1);
                let key = *Handle::key(&handle);
                self.keep(handle, id, key);
            }
            Op::Drop(which) => {
                if let Some(at) = self.at(which) {
                    self.let_go(at);
                }
            }
            Op::DropHalf => {
                for at in (0..self.handles.len()).rev().step_by(2) {
                    self.let_go(at);
                }
            }
            Op::Downgrade(which) => {
                let Some(at) = self.at(which) else { return };
                let (handle, id) = &self.handles[at];
                self.weaks.push((Handle::downgrade(handle), *id));
            }
            Op::DropWeak(which) => {
                if let Some(at) = which.checked_rem(self.weaks.len()) {
                    self.weaks.swap_remove(at);
                }
            }
            Op::Upgrade(which) => {
                let Some(at) = which.checked_rem(self.weaks.len()) else {
                    return;
                };
                let id = self.weaks[at].1;
                match (
                    self.weaks[at].0.upgrade(),
                    self.owners.get(&id).map(|(key, _)| *key),
                ) {
                    (Some(handle), Some(key)) => self.keep(handle, id, key),
                    (None, None) => {}
                    (upgraded, _) => panic!(
                        "{:?} of a value that is {:?}",
                        upgraded.map(|h| h.id),
                        self.owners.get(&id)
                    ),
                }
            }
            Op::KeepIter => {
                for handle in self.registry.iter() {
                    let (id, key) = (handle.id, *Handle::key(&handle));
                    assert_eq!(self.entered.get(&key), Some(&id));
                    self.keep(handle, id, key);
                }
            }
            Op::Reserve(additional) => {
                self.registry.reserve(additional);
                assert!(self.registry.capacity() >= self.registry.len() + additional);
            }
            Op::Shrink => self.registry.shrink_to_fit(),
            Op::Flood => {
                for key in 1000..1060 {
                    let value = self.value();
                    let id = value.id;
                    if let Ok(handle) = self.registry.try_insert(key, value) {
                        self.entered.insert(key, id);
                        self.keep(handle, id, key);
                    }
                }
            }
        }
    }

    fn check(&self) {
        let registry = &self.registry;
        assert_eq!(
            (registry.len(), registry.is_empty()),
            (self.entered.len(), self.entered.is_empty())
        );
        let mut shown: Vec<(Key, Id)> = registry
            .iter()
            .map(|handle| (*Handle::key(&handle), handle.id))
            .collect();
        shown.sort_unstable();
        let mut expected: Vec<(Key, Id)> =
            self.entered.iter().map(|(key, id)| (*key, *id)).collect();
        expected.sort_unstable();
        assert_eq!(shown, expected);
        assert_eq!(
            registry.keys().collect::<BTreeSet<_>>(),
            self.entered.keys().copied().collect()
        );
        for key in (0..KEYS).chain([1000, 1030, 1059, 9999]) {
            assert_eq!(
                registry.get(&key).map(|handle| handle.id),
                self.entered.get(&key).copied()
            );
            assert_eq!(registry.contains_key(&key), self.entered.contains_key(&key));
        }
        assert_eq!(
            self.census.alive(),
            self.owners.len() as isize,
            "alive exactly while owned"
        );
        for (handle, id) in &self.handles {
            assert_eq!(
                (handle.id, Handle::strong_count(handle)),
                (*id, self.owners[id].1)
            );
        }
        for (weak, id) in &self.weaks {
            let owners = self.owners.get(id).map_or(0, |(_, owners)| *owners);
            assert_eq!((weak.strong_count(), weak.is_alive()), (owners, owners > 0));
        }
    }
}

fn play<S: BuildHasher + Default>(ops: Vec<Op>) {
    let mut script: Script<S> = Script::new();
    for op in ops {
        script.run(op);
        script.check();
    }
    let Script {
        registry,
        census,
        handles,
        weaks,
        owners,
        ..
    } = script;
    // Either may go first.
    if owners.len() % 2 == 0 {
        drop(registry);
        drop(handles);
    } else {
        drop(handles);
        assert_eq!((registry.len(), registry.iter().len()), (0, 0));
    }
    assert_eq!(census.alive(), 0);
    assert!(weaks.iter().all(|(weak, _)| weak.upgrade().is_none()));
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn a_registry_does_as_its_model(ops in vec(op(), 1..150)) {
        play::<highlander::hash::DefaultHashBuilder>(ops);
    }

    #[test]
    fn a_registry_whose_keys_all_collide_does_as_its_model(ops in vec(op(), 1..80)) {
        play::<Colliding>(ops);
    }
}
