//! User code runs under no lock, so it may call the same registry back; and when it panics, nothing is spoilt.
// What in a weak handle can change has no part in how it compares and hashes.
#![allow(clippy::mutable_key_type)]

use crate::common::{forever, promptly, Census, Citizen, Colliding};
use highlander::{Handle, Interned, Interner, Registry, WeakHandle};
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, Hash, Hasher};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};

/// Where user code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Hash,
    Eq,
    Clone,
    Make,
    DropKey,
    DropValue,
}

const EVENTS: [Event; 6] = [
    Event::Hash,
    Event::Eq,
    Event::Clone,
    Event::Make,
    Event::DropKey,
    Event::DropValue,
];

type Hook = Box<dyn FnMut(Event)>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Calls the hook, which meanwhile is not set; one that panics is not called again.
fn event(event: Event) {
    if let Some(mut hook) = HOOK.with(|slot| slot.borrow_mut().take()) {
        hook(event);
        HOOK.with(|slot| *slot.borrow_mut() = Some(hook));
    }
}

fn set_hook(hook: Option<Hook>) {
    let old = HOOK.with(|slot| std::mem::replace(&mut *slot.borrow_mut(), hook));
    drop(old);
}

/// A key that reports what is done with it.
struct Key(u32, #[allow(dead_code)] Citizen, Census);

impl Key {
    fn new(n: u32, census: &Census) -> Self {
        Self(n, census.citizen(), census.clone())
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        event(Event::Hash);
        self.0.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        event(Event::Eq);
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Clone for Key {
    fn clone(&self) -> Self {
        event(Event::Clone);
        Self(self.0, self.2.citizen(), self.2.clone())
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            event(Event::DropKey);
        }
    }
}

struct Value(#[allow(dead_code)] Citizen);

impl Drop for Value {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            event(Event::DropValue);
        }
    }
}

/// A registry, and a census of its keys and values.
struct World<S> {
    registry: Registry<Key, Value, S>,
    census: Census,
}

impl<S: BuildHasher + Default> World<S> {
    fn new() -> Self {
        Self {
            registry: Registry::default(),
            census: Census::new(),
        }
    }

    fn key(&self, n: u32) -> Key {
        Key::new(n, &self.census)
    }

    fn make(&self, _: &Key) -> Value {
        event(Event::Make);
        Value(self.census.citizen())
    }

    fn value(&self) -> Value {
        Value(self.census.citizen())
    }

    /// Does everything that a registry can, to `n` and its neighbours. Returns how much there was to do it to.
    fn every_operation(&self, n: u32) -> usize {
        let registry = &self.registry;
        let mut found = 0;
        found += usize::from(registry.get(&self.key(n)).is_some());
        found += usize::from(registry.contains_key(&self.key(n + 1)));
        let a = registry.get_or_insert_with(self.key(n), |key| self.make(key));
        let again = registry.get_or_insert_with(self.key(n), |key| self.make(key));
        let tried =
            registry.get_or_try_insert_with(self.key(n), |key| Ok::<_, String>(self.make(key)));
        found += usize::from(Handle::ptr_eq(&again, &a)) + usize::from(tried.is_ok());
        let copy = a.clone();
        let weak = Handle::downgrade(&a);
        found += usize::from(weak.upgrade().is_some());
        let b =
            registry.get_or_try_insert_with(self.key(n + 1), |key| Ok::<_, String>(self.make(key)));
        let failed = registry.get_or_try_insert_with(self.key(n + 2), |_| {
            event(Event::Make);
            Err("no".to_string())
        });
        found += usize::from(failed.is_ok());
        let by_ref = registry
            .entry_ref(&self.key(n))
            .key_with(|key| self.key(key.0))
            .or_insert_with(|key| self.make(key));
        found += usize::from(Handle::ptr_eq(&by_ref, &a));
        let refused = registry.try_insert(self.key(n), self.value());
        found += usize::from(refused.is_ok());
        let (c, displaced) = registry.insert(self.key(n), self.value());
        let replaced = registry.compare_exchange(&c, self.value());
        found += usize::from(displaced.is_some()) + usize::from(replaced.is_ok());
        let removed = registry.remove(&self.key(n));
        let kept = registry.remove_if(&self.key(n + 1), |_, _| {
            event(Event::Make);
            false
        });
        found += usize::from(removed.is_some()) + usize::from(kept.is_some());
        found += registry
            .keys()
            .map(|key| usize::from(key.0 == n))
            .sum::<usize>();
        found += registry.retain(|key, _| {
            event(Event::Make);
            key.0 != n + 1
        });
        found += registry.iter().len() + registry.len() + registry.capacity().min(1);
        registry.shrink_to_fit();
        found += usize::from(registry.remove_same(&a));
        drop((
            a, again, tried, copy, b, by_ref, c, displaced, replaced, removed, weak,
        ));
        found
    }
}

#[test]
fn every_operation_may_be_called_from_every_kind_of_user_code() {
    promptly(|| {
        fn check<S: BuildHasher + Default + 'static>() {
            for at in EVENTS {
                let world: &'static World<S> = forever(World::new());
                let happened = std::rc::Rc::new(Cell::new(0));
                let (count, nested) = (happened.clone(), 10_000);
                set_hook(Some(Box::new(move |event| {
                    if event == at {
                        count.set(count.get() + 1);
                        // To other keys, and to those that the outer operation is about.
                        world.every_operation(nested);
                        let _ = catch_unwind(AssertUnwindSafe(|| {
                            world.registry.get(&world.key(1)).is_some()
                        }));
                    }
                })));
                for n in 1..4 {
                    world.every_operation(n);
                }
                set_hook(None);
                assert!(happened.get() > 0, "{at:?} never happened");
                assert_eq!(
                    (world.registry.len(), world.census.alive()),
                    (0, 0),
                    "{at:?}"
                );
            }
        }
        check::<highlander::hash::DefaultHashBuilder>();
        check::<Colliding>();
    });
}

#[test]
fn a_dying_value_may_create_its_own_successor() {
    promptly(|| {
        let world: &'static World<Colliding> = forever(World::new());
        thread_local!(static KEPT: RefCell<Vec<Handle<Key, Value>>> = const { RefCell::new(Vec::new()) });
        set_hook(Some(Box::new(move |event| {
            if event == Event::DropValue && KEPT.with_borrow(|kept| kept.len() < 3) {
                assert!(
                    world.registry.get(&world.key(1)).is_none(),
                    "gone before its destructor begins"
                );
                assert_eq!(world.registry.len(), 0);
                let successor = world
                    .registry
                    .get_or_insert_with(world.key(1), |key| world.make(key));
                KEPT.with_borrow_mut(|kept| kept.push(successor));
            }
        })));
        let first = world
            .registry
            .get_or_insert_with(world.key(1), |key| world.make(key));
        drop(first);
        let successor = KEPT.with_borrow_mut(|kept| kept.pop()).unwrap();
        assert!(Handle::ptr_eq(
            &world.registry.get(&world.key(1)).unwrap(),
            &successor
        ));
        assert_eq!(world.registry.len(), 1);
        set_hook(None);
        drop(successor);
        assert_eq!((world.registry.len(), world.census.alive()), (0, 0));
    });
}

#[test]
fn a_comparison_may_drop_the_last_handle_of_what_it_compares() {
    promptly(|| {
        let world: &'static World<Colliding> = forever(World::new());
        thread_local!(static HELD: RefCell<Vec<Handle<Key, Value>>> = const { RefCell::new(Vec::new()) });
        let enter = |n| {
            world
                .registry
                .get_or_insert_with(world.key(n), |key| world.make(key))
        };
        HELD.set((0..10).map(enter).collect());
        set_hook(Some(Box::new(|event| {
            if event == Event::Eq {
                drop(HELD.with_borrow_mut(|held| held.pop()));
            }
        })));
        let all: Vec<bool> = (0..10)
            .map(|n| world.registry.get(&world.key(n)).is_some())
            .collect();
        set_hook(None);
        assert!(all.contains(&false));
        drop(HELD.take());
        assert_eq!((world.registry.len(), world.census.alive()), (0, 0));
    });
}

/// Lets the n-th call of user code panic, for each n, and looks at what is left.
fn panic_everywhere<S: BuildHasher + Default + 'static>(events: &'static [Event]) {
    let world: World<S> = World::new();
    for nth in 0.. {
        let mut left = nth;
        set_hook(Some(Box::new(move |event| {
            if events.contains(&event) {
                if left == 0 {
                    resume_unwind(Box::new(format!("planted at {event:?}")));
                }
                left -= 1;
            }
        })));
        let finished = catch_unwind(AssertUnwindSafe(|| world.every_operation(1))).is_ok();
        set_hook(None);
        let context = format!("after panic number {nth} of {events:?}");
        assert_eq!(world.registry.len(), 0, "{context}");
        assert_eq!(world.registry.iter().len(), 0, "{context}");
        assert_eq!(world.census.alive(), 0, "{context}");
        let (a, b) = (world.key(1), world.key(2));
        let held = world.registry.get_or_insert_with(a, |key| world.make(key));
        assert!(
            Handle::ptr_eq(&world.registry.get(&world.key(1)).unwrap(), &held),
            "{context}"
        );
        assert!(world.registry.get(&b).is_none(), "{context}");
        assert_eq!(world.registry.len(), 1, "{context}");
        if finished {
            assert!(nth > 0, "{events:?} never happened");
            return;
        }
    }
}

#[test]
fn a_panic_in_any_hash_leaves_the_registry_as_it_was() {
    promptly(|| panic_everywhere::<Colliding>(&[Event::Hash]));
}

#[test]
fn a_panic_in_any_comparison_leaves_the_registry_as_it_was() {
    promptly(|| panic_everywhere::<Colliding>(&[Event::Eq]));
}

#[test]
fn a_panic_in_any_clone_leaves_the_registry_as_it_was() {
    promptly(|| panic_everywhere::<Colliding>(&[Event::Clone]));
}

#[test]
fn a_panic_in_any_factory_or_condition_leaves_the_registry_as_it_was() {
    promptly(|| panic_everywhere::<Colliding>(&[Event::Make]));
}

#[test]
fn a_panic_in_any_destructor_leaves_the_registry_as_it_was() {
    promptly(|| panic_everywhere::<Colliding>(&[Event::DropKey]));
    promptly(|| panic_everywhere::<Colliding>(&[Event::DropValue]));
}

#[test]
fn a_panic_in_any_user_code_at_all_leaves_the_registry_as_it_was() {
    promptly(|| panic_everywhere::<highlander::hash::DefaultHashBuilder>(&EVENTS));
    promptly(|| panic_everywhere::<Colliding>(&EVENTS));
}

/// A value of an interner, with the same reports.
fn every_interner_operation<S: BuildHasher>(
    interner: &Interner<Key, S>,
    census: &Census,
    n: u32,
) -> usize {
    let key = |n| Key::new(n, census);
    let mut found = usize::from(interner.contains(&key(n)));
    let a = interner.intern(&key(n));
    let b = interner.intern_owned(key(n));
    let c = interner.intern_with(&key(n + 1), |query| {
        event(Event::Make);
        key(query.0)
    });
    found += usize::from(a == b) + usize::from(interner.get(&key(n + 1)) == Some(c));
    found += interner.iter().len() + interner.len();
    interner.shrink_to_fit();
    drop(interner.iter());
    found + Interned::strong_count(&a)
}

fn every_slice_operation<S: BuildHasher>(
    slices: &Interner<[Key], S>,
    census: &Census,
    n: u32,
) -> usize {
    let sample = |n: u32| (n..n + 4).map(|n| Key::new(n, census)).collect::<Vec<_>>();
    let a = slices.intern(&sample(n));
    let b = slices.intern_owned(sample(n));
    let c = slices.intern_owned(sample(n + 1));
    let again = slices.intern(&sample(n + 1));
    usize::from(a == b) + usize::from(c == again) + slices.len()
}

const INTERNER_EVENTS: [Event; 5] = [
    Event::Hash,
    Event::Eq,
    Event::Clone,
    Event::Make,
    Event::DropKey,
];

#[test]
fn an_interner_may_be_called_back_from_every_kind_of_user_code() {
    promptly(|| {
        fn check<S: BuildHasher + Default + 'static>() {
            for at in INTERNER_EVENTS {
                let census = Census::new();
                type Both<S> = (Interner<Key, S>, Interner<[Key], S>);
                let both: &'static Both<S> = forever((Interner::default(), Interner::default()));
                let (inner, happened) = (census.clone(), std::rc::Rc::new(Cell::new(0)));
                let count = happened.clone();
                set_hook(Some(Box::new(move |event| {
                    if event == at {
                        count.set(count.get() + 1);
                        for n in [1, 500] {
                            every_interner_operation(&both.0, &inner, n);
                            every_slice_operation(&both.1, &inner, n);
                        }
                    }
                })));
                every_interner_operation(&both.0, &census, 1);
                every_slice_operation(&both.1, &census, 1);
                set_hook(None);
                assert!(happened.get() > 0, "{at:?} never happened");
                assert_eq!(
                    (both.0.len(), both.1.len(), census.alive()),
                    (0, 0, 0),
                    "{at:?}"
                );
            }
        }
        check::<highlander::hash::DefaultHashBuilder>();
        check::<Colliding>();
    });
}

#[test]
fn a_panic_in_any_user_code_at_all_leaves_an_interner_as_it_was() {
    promptly(|| {
        let census = Census::new();
        let (interner, slices): (Interner<Key, Colliding>, Interner<[Key], Colliding>) =
            Default::default();
        for which in [0, 1] {
            for nth in 0.. {
                let mut left = nth;
                set_hook(Some(Box::new(move |event| {
                    if left == 0 {
                        resume_unwind(Box::new(format!("planted at {event:?}")));
                    }
                    left -= 1;
                })));
                let finished = catch_unwind(AssertUnwindSafe(|| match which {
                    0 => every_interner_operation(&interner, &census, 1),
                    _ => every_slice_operation(&slices, &census, 1),
                }))
                .is_ok();
                set_hook(None);
                assert_eq!(
                    (interner.len(), slices.len(), census.alive()),
                    (0, 0, 0),
                    "panic {nth} of {which}"
                );
                let held = interner.intern(&Key::new(1, &census));
                assert!(interner.get(&Key::new(1, &census)) == Some(held));
                if finished {
                    break;
                }
            }
        }
    });
}

#[test]
fn a_weak_handle_may_be_compared_and_hashed_from_within_its_values_own_hash() {
    promptly(|| {
        thread_local! {
            static ME: RefCell<Option<WeakHandle<u32, Mirror>>> = const { RefCell::new(None) };
        }
        #[derive(PartialEq, Eq)]
        struct Mirror;
        impl Hash for Mirror {
            fn hash<H: Hasher>(&self, state: &mut H) {
                let me = ME.with_borrow_mut(Option::take);
                if let Some(me) = me {
                    me.hash(state);
                    assert!(me == me.clone() && me.upgrade().is_some());
                }
            }
        }
        let registry: Registry<u32, Mirror> = Registry::new();
        let strong = registry.get_or_insert_with(1, |_| Mirror);
        let weak = Handle::downgrade(&strong);
        ME.set(Some(weak.clone()));
        let set = std::collections::HashSet::from([weak.clone()]);
        assert!(set.contains(&weak));
    });
}
