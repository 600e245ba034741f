//! The driver: every kind of map behind one trait, with everything that a new map can be asked for, and what the cases are run on.
#![allow(dead_code)] // each binary uses a part of it

use crate::common::{flat, Colliding};
use highlander::error::{ClosedError, CreateError, CycleError, Refused};
use highlander::hash::DefaultHashBuilder;
use highlander::map::slot::{KeySlot, ValueSlot};
use highlander::map::{ByAddress, ByEquality, Map, RemovalCause, Stats};
use highlander::{StrongMap, WeakKeyMap, WeakKeyValueMap, WeakValueMap};
use std::fmt::Debug;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::{Arc, Mutex, Weak};

pub type Value = Arc<u32>;
pub type Error = CreateError<&'static str>;

/// What the hook was told, with the number of the key, if that was still alive.
pub type Log = Arc<Mutex<Vec<(Option<u32>, RemovalCause)>>>;

/// What else a new map can be asked for.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub capacity: Option<usize>,
    pub bound: Option<u32>,
    /// Whether hits are counted.
    pub counted: bool,
    pub log: Option<Log>,
}

/// One kind of map, with values that are `Arc`s, whether it holds them weakly or not.
pub trait Subject: Sized + Send + Sync + Debug + 'static {
    /// What a user owns of a key.
    type Key: Clone + Debug + PartialEq + Send + Sync + 'static;

    const WEAK_KEYS: bool;
    const WEAK_VALUES: bool;
    /// Whether an equal key is the same key.
    const EQUAL_KEYS: bool;

    fn build(settings: &Settings) -> Self;
    fn empty() -> Self {
        Self::build(&Settings::default())
    }
    /// A new key with this number.
    fn key(number: u32) -> Self::Key;
    fn number(key: &Self::Key) -> u32;
    /// Whether both are the very same object; strong keys are as good as their clones.
    fn same_key(one: &Self::Key, other: &Self::Key) -> bool;

    fn get(&self, key: &Self::Key) -> Option<Value>;
    fn get_key_value(&self, key: &Self::Key) -> Option<(Self::Key, Value)>;
    fn contains_key(&self, key: &Self::Key) -> bool;
    fn insert(&self, key: &Self::Key, value: Value) -> Option<Value>;
    /// The live value that is there; none if the map is closed.
    fn try_insert(&self, key: &Self::Key, value: Value) -> Result<(), Option<Value>>;
    fn compare_exchange(&self, key: &Self::Key, old: &Value, new: Value) -> bool;
    fn remove(&self, key: &Self::Key) -> Option<Value>;
    fn remove_if(
        &self,
        key: &Self::Key,
        condition: &mut dyn FnMut(&Self::Key, &Value) -> bool,
    ) -> Option<Value>;
    /// CPython's `remove(k, v)`, by identity as in Guava.
    fn remove_same(&self, key: &Self::Key, value: &Value) -> bool;
    fn update(
        &self,
        key: &Self::Key,
        f: &mut dyn FnMut(Option<&Value>) -> Option<Value>,
    ) -> Option<Value>;
    fn get_or_insert(&self, key: &Self::Key, make: impl FnOnce() -> Value) -> Value;
    fn get_or_try_insert(
        &self,
        key: &Self::Key,
        make: impl FnOnce() -> Result<Value, Error>,
    ) -> Result<Value, Error>;
    fn get_valid_or_insert(
        &self,
        key: &Self::Key,
        is_valid: impl Fn(&Value) -> bool,
        make: impl FnOnce() -> Value,
    ) -> Value;

    fn items(&self) -> Box<dyn Iterator<Item = (Self::Key, Value)> + '_>;
    fn keys(&self) -> Box<dyn Iterator<Item = Self::Key> + '_>;
    fn values(&self) -> Box<dyn Iterator<Item = Value> + '_>;
    fn for_each(&self, f: &mut dyn FnMut(&Self::Key, &Value));
    /// How many weak pointers the map shows on its weak side, and how many of them are dead.
    fn weak(&self) -> (usize, usize);
    fn retain(&self, keep: &mut dyn FnMut(&Self::Key, &Value) -> bool) -> usize;
    fn drain(&self) -> Vec<(Self::Key, Value)>;
    fn pop(&self) -> Option<(Self::Key, Value)>;
    fn clear(&self) -> usize;
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool;
    fn entry_count(&self) -> usize;
    fn capacity(&self) -> usize;
    fn reserve(&self, additional: usize);
    fn prune(&self) -> usize;
    fn shrink_to_fit(&self);
    fn close(&self) -> usize;
    fn is_closed(&self) -> bool;
    fn stats(&self) -> Stats;
    fn extend(&self, entries: &mut dyn Iterator<Item = (Self::Key, Value)>);
    fn copy(&self) -> Self;
    fn equals(&self, other: &Self) -> bool;
    fn extend_with(&self, other: &Self);
    fn collected(entries: Vec<(Self::Key, Value)>) -> Self;

    /// As `remove_same`, said by a condition.
    fn remove_if_same(&self, key: &Self::Key, value: &Value) -> bool {
        self.remove_if(key, &mut |_, there| Arc::ptr_eq(there, value))
            .is_some()
    }
    /// Guava's `replace(key, value)`: what had to make way, if there was something.
    fn replace(&self, key: &Self::Key, value: Value) -> Option<Value> {
        let mut displaced = None;
        let entered = self.update(key, &mut |there| {
            displaced = there.cloned();
            there.map(|_| value.clone())
        });
        assert!(same(&entered, &displaced.is_some().then_some(value)));
        displaced
    }
    /// CPython's `one | other`.
    fn union(&self, other: &Self) -> Self {
        let union = self.copy();
        union.extend_with(other);
        union
    }
}

/// The methods that differ only in how a key is given away (`$own`) and asked for (`$ask`).
macro_rules! methods {
    ($own:ident, $ask:ident) => {
        fn get(&self, key: &Self::Key) -> Option<Value> {
            self.0.get($ask(key))
        }
        fn get_key_value(&self, key: &Self::Key) -> Option<(Self::Key, Value)> {
            self.0.get_key_value($ask(key))
        }
        fn contains_key(&self, key: &Self::Key) -> bool {
            self.0.contains_key($ask(key))
        }
        fn insert(&self, key: &Self::Key, value: Value) -> Option<Value> {
            self.0.insert($own(key), value)
        }
        fn try_insert(&self, key: &Self::Key, value: Value) -> Result<(), Option<Value>> {
            let address = Arc::as_ptr(&value);
            match self.0.try_insert($own(key), value) {
                Ok(entered) => {
                    assert_eq!(Arc::as_ptr(&entered), address, "it is entered");
                    Ok(())
                }
                Err(error) => {
                    assert_eq!(Arc::as_ptr(&error.value), address, "it comes back");
                    assert!(Self::same_key(&error.key, key));
                    Err(error.existing)
                }
            }
        }
        fn compare_exchange(&self, key: &Self::Key, old: &Value, new: Value) -> bool {
            let address = Arc::as_ptr(&new);
            match self.0.compare_exchange($own(key), old, new) {
                Ok(displaced) => {
                    assert!(Arc::ptr_eq(&displaced, old), "it has made way");
                    true
                }
                Err(error) => {
                    assert_eq!(Arc::as_ptr(&error.value), address, "it comes back");
                    false
                }
            }
        }
        fn remove(&self, key: &Self::Key) -> Option<Value> {
            self.0.remove($ask(key))
        }
        fn remove_if(
            &self,
            key: &Self::Key,
            condition: &mut dyn FnMut(&Self::Key, &Value) -> bool,
        ) -> Option<Value> {
            self.0.remove_if($ask(key), |k, v| condition(k, v))
        }
        fn remove_same(&self, key: &Self::Key, value: &Value) -> bool {
            self.0.remove_same($ask(key), value)
        }
        fn update(
            &self,
            key: &Self::Key,
            f: &mut dyn FnMut(Option<&Value>) -> Option<Value>,
        ) -> Option<Value> {
            self.0.update($own(key), |v| f(v))
        }
        fn get_or_insert(&self, key: &Self::Key, make: impl FnOnce() -> Value) -> Value {
            self.0.get_or_insert_with($own(key), |_| make())
        }
        fn get_or_try_insert(
            &self,
            key: &Self::Key,
            make: impl FnOnce() -> Result<Value, Error>,
        ) -> Result<Value, Error> {
            let made = self.0.get_or_try_insert_with($own(key), |_| make());
            made.map_err(flat)
        }
        fn get_valid_or_insert(
            &self,
            key: &Self::Key,
            is_valid: impl Fn(&Value) -> bool,
            make: impl FnOnce() -> Value,
        ) -> Value {
            let entry = self.0.entry($own(key)).valid_if(is_valid);
            entry.or_insert_with(|_| make())
        }
        fn items(&self) -> Box<dyn Iterator<Item = (Self::Key, Value)> + '_> {
            Box::new(self.0.iter())
        }
        fn keys(&self) -> Box<dyn Iterator<Item = Self::Key> + '_> {
            Box::new(self.0.keys())
        }
        fn values(&self) -> Box<dyn Iterator<Item = Value> + '_> {
            Box::new(self.0.values())
        }
        fn for_each(&self, f: &mut dyn FnMut(&Self::Key, &Value)) {
            self.0.for_each(f);
        }
        fn retain(&self, keep: &mut dyn FnMut(&Self::Key, &Value) -> bool) -> usize {
            self.0.retain(keep)
        }
        fn drain(&self) -> Vec<(Self::Key, Value)> {
            self.0.drain().collect()
        }
        fn pop(&self) -> Option<(Self::Key, Value)> {
            self.0.pop()
        }
        fn clear(&self) -> usize {
            self.0.clear()
        }
        fn len(&self) -> usize {
            self.0.len()
        }
        fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
        fn entry_count(&self) -> usize {
            self.0.entry_count()
        }
        fn capacity(&self) -> usize {
            self.0.capacity()
        }
        fn reserve(&self, additional: usize) {
            self.0.reserve(additional);
        }
        fn prune(&self) -> usize {
            self.0.prune()
        }
        fn shrink_to_fit(&self) {
            self.0.shrink_to_fit();
        }
        fn close(&self) -> usize {
            self.0.close().len()
        }
        fn is_closed(&self) -> bool {
            self.0.is_closed()
        }
        fn stats(&self) -> Stats {
            self.0.stats()
        }
        fn extend(&self, entries: &mut dyn Iterator<Item = (Self::Key, Value)>) {
            Extend::extend(&mut &self.0, entries);
        }
        fn copy(&self) -> Self {
            Self(self.0.clone())
        }
        fn equals(&self, other: &Self) -> bool {
            self.0 == other.0
        }
        fn extend_with(&self, other: &Self) {
            (&self.0).extend(&other.0);
        }
        fn collected(entries: Vec<(Self::Key, Value)>) -> Self {
            Self(entries.into_iter().collect())
        }
    };
}

/// The new map with what it is asked for. `number` is that of a stored key, if that is still alive.
fn set_up<A: KeySlot + 'static, B: ValueSlot + 'static, S>(
    mut map: Map<A, B, S>,
    settings: &Settings,
    number: fn(&A::Stored) -> Option<u32>,
) -> Map<A, B, S> {
    if let Some(bound) = settings.bound {
        map = map.prune_bound(bound);
    }
    if settings.counted {
        map = map.record_stats();
    }
    if let Some(log) = settings.log.clone() {
        map = map.on_remove(move |key, cause| log.lock().unwrap().push((number(key), cause)));
    }
    if let Some(capacity) = settings.capacity {
        map.reserve(capacity);
    }
    map
}

macro_rules! strong_keys {
    () => {
        type Key = String;
        const WEAK_KEYS: bool = false;

        fn key(number: u32) -> String {
            number.to_string()
        }
        fn number(key: &String) -> u32 {
            key.parse().unwrap()
        }
        fn same_key(one: &String, other: &String) -> bool {
            one == other
        }
    };
}

macro_rules! weak_keys {
    () => {
        type Key = Arc<String>;
        const WEAK_KEYS: bool = true;

        fn key(number: u32) -> Arc<String> {
            Arc::new(number.to_string())
        }
        fn number(key: &Arc<String>) -> u32 {
            key.parse().unwrap()
        }
        fn same_key(one: &Arc<String>, other: &Arc<String>) -> bool {
            Arc::ptr_eq(one, other)
        }
    };
}

fn borrow<T: ?Sized>(key: &T) -> &T {
    key
}

fn target(key: &Arc<String>) -> &String {
    key
}

fn number_of_weak(key: &Weak<String>) -> Option<u32> {
    key.upgrade().map(|key| key.parse().unwrap())
}

pub trait Hasher: BuildHasher + Default + Clone + Send + Sync + Debug + 'static {}

impl<S: BuildHasher + Default + Clone + Send + Sync + Debug + 'static> Hasher for S {}

/// Nothing is weak.
#[derive(Debug)]
pub struct Strong<S: Hasher>(pub StrongMap<String, Value, S>);

impl<S: Hasher> Subject for Strong<S> {
    strong_keys!();
    const WEAK_VALUES: bool = false;
    const EQUAL_KEYS: bool = true;

    fn build(settings: &Settings) -> Self {
        let map = StrongMap::with_hasher(S::default());
        Self(set_up(map, settings, |key| Some(Self::number(key))))
    }
    fn weak(&self) -> (usize, usize) {
        (self.entry_count(), 0)
    }
    methods!(clone_of, borrow);
}

/// Values are weak.
#[derive(Debug)]
pub struct WeakValues<S: Hasher>(pub WeakValueMap<String, Value, S>);

impl<S: Hasher> Subject for WeakValues<S> {
    strong_keys!();
    const WEAK_VALUES: bool = true;
    const EQUAL_KEYS: bool = true;

    fn build(settings: &Settings) -> Self {
        let map = WeakValueMap::with_hasher(S::default());
        Self(set_up(map, settings, |key| Some(Self::number(key))))
    }
    fn weak(&self) -> (usize, usize) {
        let dead = |weak: &Weak<u32>| weak.strong_count() == 0;
        (
            self.0.weak_values().count(),
            self.0.weak_values().filter(dead).count(),
        )
    }
    methods!(clone_of, borrow);
}

fn clone_of(key: &str) -> String {
    key.to_owned()
}

/// Keys are weak, and compared by equality.
#[derive(Debug)]
pub struct WeakKeys<S: Hasher>(pub WeakKeyMap<Arc<String>, Value, ByEquality, S>);

impl<S: Hasher> Subject for WeakKeys<S> {
    weak_keys!();
    const WEAK_VALUES: bool = false;
    const EQUAL_KEYS: bool = true;

    fn build(settings: &Settings) -> Self {
        let map = WeakKeyMap::with_hasher(S::default());
        Self(set_up(map, settings, number_of_weak))
    }
    fn weak(&self) -> (usize, usize) {
        dead_keys(self.0.weak_keys())
    }
    methods!(borrow, target);
}

/// Keys are weak, and compared by address.
#[derive(Debug)]
pub struct IdentityKeys<S: Hasher>(pub WeakKeyMap<Arc<String>, Value, ByAddress, S>);

impl<S: Hasher> Subject for IdentityKeys<S> {
    weak_keys!();
    const WEAK_VALUES: bool = false;
    const EQUAL_KEYS: bool = false;

    fn build(settings: &Settings) -> Self {
        let map = WeakKeyMap::with_hasher(S::default());
        Self(set_up(map, settings, number_of_weak))
    }
    fn weak(&self) -> (usize, usize) {
        dead_keys(self.0.weak_keys())
    }
    methods!(borrow, borrow);
}

/// Both are weak, and keys compared by equality.
#[derive(Debug)]
pub struct BothWeak<S: Hasher>(pub WeakKeyValueMap<Arc<String>, Value, ByEquality, S>);

impl<S: Hasher> Subject for BothWeak<S> {
    weak_keys!();
    const WEAK_VALUES: bool = true;
    const EQUAL_KEYS: bool = true;

    fn build(settings: &Settings) -> Self {
        let map = WeakKeyValueMap::with_hasher(S::default());
        Self(set_up(map, settings, number_of_weak))
    }
    fn weak(&self) -> (usize, usize) {
        dead_pairs(self.0.weak_keys(), self.0.weak_values())
    }
    methods!(borrow, target);
}

/// Both are weak, and keys compared by address.
#[derive(Debug)]
pub struct IdentityBothWeak<S: Hasher>(pub WeakKeyValueMap<Arc<String>, Value, ByAddress, S>);

impl<S: Hasher> Subject for IdentityBothWeak<S> {
    weak_keys!();
    const WEAK_VALUES: bool = true;
    const EQUAL_KEYS: bool = false;

    fn build(settings: &Settings) -> Self {
        let map = WeakKeyValueMap::with_hasher(S::default());
        Self(set_up(map, settings, number_of_weak))
    }
    fn weak(&self) -> (usize, usize) {
        dead_pairs(self.0.weak_keys(), self.0.weak_values())
    }
    methods!(borrow, borrow);
}

fn dead_keys(weak: impl Iterator<Item = Weak<String>>) -> (usize, usize) {
    let weak: Vec<_> = weak.collect();
    let dead = weak.iter().filter(|weak| weak.strong_count() == 0);
    (weak.len(), dead.count())
}

fn dead_pairs(
    keys: impl Iterator<Item = Weak<String>>,
    values: impl Iterator<Item = Weak<u32>>,
) -> (usize, usize) {
    let pairs: Vec<_> = keys.zip(values).collect();
    let dead = |(key, value): &&(Weak<String>, Weak<u32>)| {
        key.strong_count() == 0 || value.strong_count() == 0
    };
    (pairs.len(), pairs.iter().filter(dead).count())
}

/// Which side a case lets die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Keys,
    Values,
    /// Nothing in this map can die.
    Neither,
}

/// What a case is run on: a map with the first `size` of some entries, and the owners of these and of more.
pub struct Table<K: Subject> {
    /// Counted, so that a test can iterate and use the table too.
    pub map: Rc<K>,
    pub size: usize,
    pub mortal: Side,
    keys: Vec<Option<K::Key>>,
    values: Vec<Option<Value>>,
    log: Option<Log>,
}

/// Keys and values that a table owns; entries are made of equal numbers.
pub const OWNED: usize = 8;
/// The first number that is never entered from the start.
pub const ABSENT: usize = 5;

impl<K: Subject> Table<K> {
    pub fn new(size: usize, mortal: Side, settings: &Settings) -> Self {
        let table = Self {
            map: Rc::new(K::build(settings)),
            size,
            mortal,
            keys: (0..OWNED as u32).map(|n| Some(K::key(n))).collect(),
            values: (0..OWNED as u32).map(|n| Some(Arc::new(n))).collect(),
            log: settings.log.clone(),
        };
        for n in 0..size {
            assert!(table.map.insert(table.key(n), table.value(n)).is_none());
        }
        table
    }

    pub fn key(&self, n: usize) -> &K::Key {
        self.keys[n].as_ref().expect("let go before")
    }

    pub fn value(&self, n: usize) -> Value {
        self.values[n].clone().expect("let go before")
    }

    /// Lets go of the mortal side of an entry.
    pub fn kill(&mut self, n: usize) {
        match self.mortal {
            Side::Keys => drop(self.keys[n].take()),
            Side::Values => drop(self.values[n].take()),
            Side::Neither => unreachable!("a case for weak maps"),
        }
    }

    /// A key to ask for an entry that was killed: the same if it is strong or lives, else an equal one.
    pub fn key_again(&self, n: usize) -> K::Key {
        self.keys[n].clone().unwrap_or_else(|| K::key(n as u32))
    }

    /// The same of a value.
    pub fn value_again(&self, n: usize) -> Value {
        self.values[n].clone().unwrap_or_else(|| Arc::new(n as u32))
    }

    /// A copy of a key that is equal and another object.
    pub fn equal_key(&self, n: usize) -> K::Key {
        K::key(n as u32)
    }

    pub fn expect_unchanged(&self) {
        self.expect(&(0..self.size).map(|n| (n, n)).collect::<Vec<_>>());
    }

    /// The entries from the start, with these changes: another value, or none.
    pub fn expect_changed(&self, changes: &[(usize, Option<usize>)]) {
        let mut expected: Vec<_> = (0..self.size).map(|n| (n, n)).collect();
        for (key, value) in changes {
            expected.retain(|(there, _)| there != key);
            expected.extend(value.map(|value| (*key, value)));
        }
        self.expect(&expected);
    }

    /// The live entries are exactly these, by identity, whichever way one looks.
    pub fn expect(&self, entries: &[(usize, usize)]) {
        let map = &self.map;
        let mut left: Vec<_> = entries
            .iter()
            .map(|(key, value)| (self.key(*key).clone(), self.value(*value)))
            .collect();
        assert_eq!(
            (map.len(), map.is_empty()),
            (left.len(), left.is_empty()),
            "{map:?}"
        );
        assert!(map.entry_count() >= left.len());
        for (n, key) in self.keys.iter().enumerate() {
            let Some(key) = key else { continue };
            let expected = entries.iter().find(|(there, _)| *there == n);
            let expected = expected.map(|(_, value)| self.value(*value));
            let found = map.get(key);
            assert_eq!(found.is_some(), expected.is_some(), "of {n} in {map:?}");
            assert!(same(&found, &expected));
            assert_eq!(map.contains_key(key), expected.is_some());
            match map.get_key_value(key) {
                None => assert!(expected.is_none()),
                Some((stored, value)) => {
                    assert!(K::same_key(&stored, key) && same(&Some(value), &expected));
                }
            }
        }
        assert_eq!(map.keys().count(), left.len());
        for value in map.values() {
            assert!(left.iter().any(|(_, there)| Arc::ptr_eq(there, &value)));
        }
        let mut shown = 0;
        map.for_each(&mut |_, _| shown += 1);
        assert_eq!(shown, left.len());
        for (key, value) in map.items() {
            let at = left
                .iter()
                .position(|(k, v)| K::same_key(k, &key) && Arc::ptr_eq(v, &value));
            left.swap_remove(at.expect("an entry that is not expected, or was shown before"));
        }
        assert!(left.is_empty(), "not shown: {left:?}");
    }

    /// What the hook was told since it was last asked, if there is one.
    pub fn expect_told(&self, expected: &[(usize, RemovalCause)]) {
        let Some(log) = &self.log else { return };
        let mut told = std::mem::take(&mut *log.lock().unwrap());
        let mut expected: Vec<_> = expected
            .iter()
            .map(|(n, cause)| {
                let nameless =
                    *cause == RemovalCause::Dead && K::WEAK_KEYS && self.keys[*n].is_none();
                ((!nameless).then_some(*n as u32), *cause)
            })
            .collect();
        told.sort_by_key(|(n, _)| *n);
        expected.sort_by_key(|(n, _)| *n);
        assert_eq!(told, expected);
    }
}

/// Whether both are the very same value, or none.
pub fn same(one: &Option<Value>, other: &Option<Value>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// Every configuration in which a case is run: sizes, settings, sides that may die.
pub fn everywhere<K: Subject>(case: fn(&mut Table<K>)) {
    for size in [0, 1, 3] {
        for setting in 0..4 {
            for mortal in [Side::Keys, Side::Values, Side::Neither] {
                let possible = match mortal {
                    Side::Keys => K::WEAK_KEYS,
                    Side::Values => K::WEAK_VALUES,
                    Side::Neither => !K::WEAK_KEYS && !K::WEAK_VALUES,
                };
                if !possible {
                    continue;
                }
                let settings = Settings {
                    capacity: [None, Some(0), Some(1000), Some(1)][setting],
                    bound: [None, Some(1), Some(2), Some(1000)][setting],
                    counted: setting > 0,
                    log: (setting > 0).then(Log::default),
                };
                case(&mut Table::new(size, mortal, &settings));
            }
        }
    }
}

/// Makes tests of cases: one for each kind of map, each in every configuration and with two hashers. Those in which something dies are for the weak
/// kinds only.
#[allow(unused_macros)]
macro_rules! on_every_map {
    (all: [$($case:ident),* $(,)?], weak: [$($weak:ident),* $(,)?] $(,)?) => {
        $crate::maps::on_weak_maps!($($case,)* $($weak,)*);
        $crate::maps::on_weak_maps!(@ strong Strong [$($case)*]);
    };
}
#[allow(unused_imports)]
pub(crate) use on_every_map;

/// As `on_every_map`, of the weak kinds.
#[allow(unused_macros)]
macro_rules! on_weak_maps {
    ($($case:ident),* $(,)?) => {
        $crate::maps::on_weak_maps!(@ weak_values WeakValues [$($case)*]);
        $crate::maps::on_weak_maps!(@ weak_keys WeakKeys [$($case)*]);
        $crate::maps::on_weak_maps!(@ identity_keys IdentityKeys [$($case)*]);
        $crate::maps::on_weak_maps!(@ both_weak BothWeak [$($case)*]);
        $crate::maps::on_weak_maps!(@ identity_both_weak IdentityBothWeak [$($case)*]);
    };
    (@ $module:ident $kind:ident [$($case:ident)*]) => {
        mod $module {
            use crate::maps::{everywhere, $kind};
            $(
                #[test]
                fn $case() {
                    everywhere::<$kind<highlander::hash::DefaultHashBuilder>>(super::$case);
                    everywhere::<$kind<crate::common::Colliding>>(super::$case);
                }
            )*
        }
    };
}
#[allow(unused_imports)]
pub(crate) use on_weak_maps;

/// Errors of creation are told apart.
pub fn is_cycle<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(CreateError::Refused(Refused::Cycle(_))))
}

const _: fn() = || {
    fn converts<E: From<CycleError> + From<ClosedError>>() {}
    converts::<Error>();
    let _ = (
        everywhere::<WeakValues<Colliding>>,
        everywhere::<WeakValues<DefaultHashBuilder>>,
    );
};
