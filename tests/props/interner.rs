//! An interner against its model, with values inline (`str`) and with values that are dropped.

use crate::common::{Census, Citizen, Colliding};
use highlander::hash::DefaultHashBuilder;
use highlander::{Interned, Interner};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};

/// Which content: a small number, made into a text of quite another length.
type Name = u8;
const NAMES: Name = 16;

#[derive(Clone, Debug)]
enum Op {
    Intern(Name),
    InternOwned(Name),
    InternWith(Name),
    Get(Name),
    Clone(usize),
    Drop(usize),
    DropHalf,
    KeepIter,
    Shrink,
    Reserve(usize),
    Flood,
}

fn op() -> impl Strategy<Value = Op> {
    let name = || 0..NAMES;
    let which = || 0..64usize;
    prop_oneof![
        6 => name().prop_map(Op::Intern),
        4 => name().prop_map(Op::InternOwned),
        3 => name().prop_map(Op::InternWith),
        3 => name().prop_map(Op::Get),
        4 => which().prop_map(Op::Clone),
        12 => which().prop_map(Op::Drop),
        1 => Just(Op::DropHalf),
        1 => Just(Op::KeepIter),
        1 => Just(Op::Shrink),
        1 => (0..200usize).prop_map(Op::Reserve),
        1 => Just(Op::Flood),
    ]
}

/// What the script needs of a content.
trait Content {
    type Value: ?Sized + highlander::map::Internable + Hash + Eq + 'static;

    fn new() -> Self;
    fn intern<S: BuildHasher>(
        &self,
        interner: &Interner<Self::Value, S>,
        name: u32,
    ) -> Interned<Self::Value>;
    fn intern_owned<S: BuildHasher>(
        &self,
        interner: &Interner<Self::Value, S>,
        name: u32,
    ) -> Interned<Self::Value>;
    /// Returns whether the value was built.
    fn intern_with<S: BuildHasher>(
        &self,
        interner: &Interner<Self::Value, S>,
        name: u32,
    ) -> (Interned<Self::Value>, bool);
    fn get<S: BuildHasher>(
        &self,
        interner: &Interner<Self::Value, S>,
        name: u32,
    ) -> Option<Interned<Self::Value>>;
    fn is(&self, value: &Self::Value, name: u32) -> bool;
    /// How many values exist, where that is counted.
    fn alive(&self) -> Option<usize>;
}

struct Text;

fn text(name: u32) -> String {
    let len = [
        0, 1, 15, 16, 17, 40, 111, 112, 113, 300, 1000, 1999, 2000, 2001, 4096, 5000,
    ][name as usize % 16];
    let mut text = name.to_string();
    text.truncate(len);
    while text.len() < len {
        text.push(char::from(b'a' + (text.len() % 26) as u8));
    }
    text
}

impl Content for Text {
    type Value = str;

    fn new() -> Self {
        Self
    }

    fn intern<S: BuildHasher>(&self, interner: &Interner<str, S>, name: u32) -> Interned<str> {
        interner.intern(&text(name))
    }

    fn intern_owned<S: BuildHasher>(
        &self,
        interner: &Interner<str, S>,
        name: u32,
    ) -> Interned<str> {
        interner.intern_owned(text(name))
    }

    fn intern_with<S: BuildHasher>(
        &self,
        interner: &Interner<str, S>,
        name: u32,
    ) -> (Interned<str>, bool) {
        let mut built = false;
        let interned = interner.intern_with(text(name).as_str(), |text| {
            built = true;
            text.to_owned()
        });
        (interned, built)
    }

    fn get<S: BuildHasher>(&self, interner: &Interner<str, S>, name: u32) -> Option<Interned<str>> {
        let found = interner.get(text(name).as_str());
        assert_eq!(interner.contains(text(name).as_str()), found.is_some());
        found
    }

    fn is(&self, value: &str, name: u32) -> bool {
        *value == text(name)
    }

    fn alive(&self) -> Option<usize> {
        None
    }
}

struct Counted(Census);

#[derive(Debug)]
struct Number(u32, Census, #[allow(dead_code)] Citizen);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Clone for Number {
    fn clone(&self) -> Self {
        Self(self.0, self.1.clone(), self.1.citizen())
    }
}

impl Counted {
    fn number(&self, name: u32) -> Number {
        Number(name, self.0.clone(), self.0.citizen())
    }
}

impl Content for Counted {
    type Value = Number;

    fn new() -> Self {
        Self(Census::new())
    }

    fn intern<S: BuildHasher>(
        &self,
        interner: &Interner<Number, S>,
        name: u32,
    ) -> Interned<Number> {
        interner.intern(&self.number(name))
    }

    fn intern_owned<S: BuildHasher>(
        &self,
        interner: &Interner<Number, S>,
        name: u32,
    ) -> Interned<Number> {
        interner.intern_owned(self.number(name))
    }

    fn intern_with<S: BuildHasher>(
        &self,
        interner: &Interner<Number, S>,
        name: u32,
    ) -> (Interned<Number>, bool) {
        let mut built = false;
        let interned = interner.intern_with(&self.number(name), |number| {
            built = true;
            number.clone()
        });
        (interned, built)
    }

    fn get<S: BuildHasher>(
        &self,
        interner: &Interner<Number, S>,
        name: u32,
    ) -> Option<Interned<Number>> {
        let found = interner.get(&self.number(name));
        assert_eq!(interner.contains(&self.number(name)), found.is_some());
        found
    }

    fn is(&self, value: &Number, name: u32) -> bool {
        value.0 == name
    }

    fn alive(&self) -> Option<usize> {
        Some(self.0.alive() as usize)
    }
}

struct Script<C: Content, S> {
    interner: Interner<C::Value, S>,
    content: C,
    handles: Vec<(Interned<C::Value>, u32)>,
    /// The model: how many handles each content has, and where it lies.
    owners: HashMap<u32, (usize, *const u8)>,
}

impl<C: Content, S: BuildHasher + Default> Script<C, S> {
    fn keep(&mut self, handle: Interned<C::Value>, name: u32) {
        assert!(self.content.is(&handle, name));
        let address = Interned::as_ptr(&handle).cast();
        let known = self.owners.entry(name).or_insert((0, address));
        assert_eq!(known.1, address, "one address while it lives");
        known.0 += 1;
        self.handles.push((handle, name));
    }

    fn let_go(&mut self, at: usize) {
        let (handle, name) = self.handles.swap_remove(at);
        drop(handle);
        let owners = &mut self.owners.get_mut(&name).unwrap().0;
        *owners -= 1;
        if *owners == 0 {
            self.owners.remove(&name);
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Intern(name) => {
                let handle = self.content.intern(&self.interner, name.into());
                self.keep(handle, name.into());
            }
            Op::InternOwned(name) => {
                let handle = self.content.intern_owned(&self.interner, name.into());
                self.keep(handle, name.into());
            }
            Op::InternWith(name) => {
                let (handle, built) = self.content.intern_with(&self.interner, name.into());
                assert_eq!(
                    built,
                    !self.owners.contains_key(&name.into()),
                    "built on a miss only"
                );
                self.keep(handle, name.into());
            }
            Op::Get(name) => {
                let found = self.content.get(&self.interner, name.into());
                assert_eq!(found.is_some(), self.owners.contains_key(&name.into()));
                found
                    .into_iter()
                    .for_each(|handle| self.keep(handle, name.into()));
            }
            Op::Clone(which) => {
                let Some(at) = which.checked_rem(self.handles.len()) else {
                    return;
                };
                let (handle, name) = (self.handles[at].0.clone(), self.handles[at].1);
                self.keep(handle, name);
            }
            Op::Drop(which) => {
                if let Some(at) = which.checked_rem(self.handles.len()) {
                    self.let_go(at);
                }
            }
            Op::DropHalf => (0..self.handles.len())
                .rev()
                .step_by(2)
                .for_each(|at| self.let_go(at)),
            Op::KeepIter => {
                for handle in self.interner.iter() {
                    let known = self.handles.iter().find(|(known, _)| *known == handle);
                    let name = known.expect("iteration yields what lives").1;
                    self.keep(handle, name);
                }
            }
            Op::Reserve(additional) => {
                self.interner.reserve(additional);
                assert!(self.interner.capacity() >= self.interner.len() + additional);
            }
            Op::Shrink => self.interner.shrink_to_fit(),
            Op::Flood => {
                for name in (1000..2600).step_by(16) {
                    let handle = self.content.intern_owned(&self.interner, name + 5);
                    self.keep(handle, name + 5);
                }
            }
        }
    }

    fn check(&self) {
        assert_eq!(
            (self.interner.len(), self.interner.is_empty()),
            (self.owners.len(), self.owners.is_empty())
        );
        assert_eq!(self.interner.iter().len(), self.owners.len());
        let alive = self.content.alive();
        assert!(
            alive.is_none_or(|alive| alive == self.owners.len()),
            "{alive:?} of {}",
            self.owners.len()
        );
        for (handle, name) in &self.handles {
            assert_eq!(Interned::strong_count(handle), self.owners[name].0);
        }
        for name in 0..NAMES.into() {
            let found = self.content.get(&self.interner, name);
            let address = found
                .as_ref()
                .map(|handle| Interned::as_ptr(handle).cast::<u8>());
            assert_eq!(address, self.owners.get(&name).map(|known| known.1));
        }
    }
}

fn play<C: Content, S: BuildHasher + Default>(ops: Vec<Op>) {
    let mut script: Script<C, S> = Script {
        interner: Interner::default(),
        content: C::new(),
        handles: Vec::new(),
        owners: HashMap::new(),
    };
    for op in ops {
        script.run(op);
        script.check();
    }
    let Script {
        interner,
        content,
        handles,
        owners,
        ..
    } = script;
    if owners.len() % 2 == 0 {
        drop(interner);
        assert!(handles
            .iter()
            .all(|(handle, name)| content.is(handle, *name)));
        drop(handles);
    } else {
        drop(handles);
        assert_eq!((interner.len(), interner.iter().len()), (0, 0));
    }
    assert!(content.alive().is_none_or(|alive| alive == 0));
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn an_interner_of_texts_does_as_its_model(ops in vec(op(), 1..150)) {
        play::<Text, DefaultHashBuilder>(ops);
    }

    #[test]
    fn an_interner_of_texts_that_collide_does_as_its_model(ops in vec(op(), 1..60)) {
        play::<Text, Colliding>(ops);
    }

    #[test]
    fn an_interner_of_counted_values_does_as_its_model(ops in vec(op(), 1..150)) {
        play::<Counted, DefaultHashBuilder>(ops);
    }

    #[test]
    fn an_interner_of_counted_values_that_collide_does_as_its_model(ops in vec(op(), 1..60)) {
        play::<Counted, Colliding>(ops);
    }
}
