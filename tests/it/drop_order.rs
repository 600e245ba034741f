//! When and where values are dropped, and who may go before whom.

use crate::common::{promptly, Census, Citizen, Slow};
use highlander::{Handle, Interned, Interner, Registry, WeakHandle};
use std::cell::RefCell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{mpsc, Arc, Barrier, Mutex, OnceLock};
use std::thread::{self, ThreadId};

#[test]
fn handles_outlive_their_registry() {
    let census = Census::new();
    let registry: Registry<String, (u32, Citizen)> = Registry::new();
    let held: Vec<_> = (0..500)
        .map(|i| registry.get_or_insert_with(i.to_string(), |_| (i, census.citizen())))
        .collect();
    drop(registry);
    assert_eq!(census.alive(), 500);
    assert!(held
        .iter()
        .enumerate()
        .all(|(i, h)| h.0 == i as u32 && *Handle::key(h) == i.to_string()));
    let copies = held.clone();
    drop(held);
    assert_eq!(census.alive(), 500);
    drop(copies);
    assert_eq!(census.alive(), 0);

    let interner: Interner<str> = Interner::new();
    let names: Vec<_> = (0..500).map(|i| interner.intern(&i.to_string())).collect();
    drop(interner);
    assert!(names
        .iter()
        .enumerate()
        .all(|(i, name)| **name == i.to_string() && *name == name.clone()));
}

#[test]
fn a_registry_dropped_after_its_handles_is_empty() {
    let census = Census::new();
    let registry: Registry<u32, Citizen> = Registry::new();
    drop(
        (0..500)
            .map(|i| registry.get_or_insert_with(i, |_| census.citizen()))
            .collect::<Vec<_>>(),
    );
    assert_eq!((registry.len(), census.alive()), (0, 0));
    drop(registry);
    assert_eq!(census.dead(), 500);
}

#[test]
fn removed_and_displaced_values_outlive_the_registry_too() {
    let census = Census::new();
    let registry: Registry<u32, Citizen> = Registry::new();
    let removed = registry.get_or_insert_with(1, |_| census.citizen());
    registry.remove(&1);
    let (displaced, _) = registry.insert(2, census.citizen());
    let (live, _) = registry.insert(2, census.citizen());
    let mut iter = registry.iter();
    drop(registry);
    assert_eq!(census.alive(), 3);
    drop((removed, displaced));
    assert_eq!(census.alive(), 1);
    drop(live);
    assert_eq!(census.alive(), 1, "the iterator has it");
    drop(iter.next());
    assert_eq!(census.alive(), 0);
}

#[test]
fn large_values_outlive_the_registry_too() {
    let registry: Registry<u32, [u8; 10_000]> = Registry::new();
    let held: Vec<_> = (0..50)
        .map(|i| registry.get_or_insert_with(i, |i| [*i as u8; 10_000]))
        .collect();
    drop(registry);
    assert!(held.iter().all(|h| **h == [*Handle::key(h) as u8; 10_000]));
}

#[test]
fn handles_may_go_on_other_threads_while_the_registry_goes() {
    for _ in 0..100 {
        let census = Census::new();
        let registry: Registry<u32, Citizen> = Registry::new();
        let mut shares: Vec<Vec<_>> = vec![Vec::new(); 3];
        for i in 0..60 {
            let handle = registry.get_or_insert_with(i, |_| census.citizen());
            shares[i as usize % 3].push(handle.clone());
            if i % 2 == 0 {
                shares[(i as usize + 1) % 3].push(handle);
            }
        }
        let barrier = Barrier::new(4);
        thread::scope(|scope| {
            for share in shares {
                scope.spawn(|| {
                    barrier.wait();
                    share.into_iter().for_each(drop);
                });
            }
            barrier.wait();
            drop(registry);
        });
        assert_eq!((census.born(), census.dead()), (60, 60));
    }
}

#[test]
fn handles_may_go_while_their_thread_ends() {
    static REGISTRY: Registry<u32, Where> = Registry::new();
    static NAMES: Interner<str> = Interner::new();
    struct Where(mpsc::Sender<ThreadId>);
    impl Drop for Where {
        fn drop(&mut self) {
            // `thread::current` is not to be had by now; what was noted at the start is.
            let _ = self.0.send(ME.with(|me| *me));
        }
    }
    struct Late {
        handle: Handle<u32, Where>,
        name: Interned<str>,
    }
    impl Drop for Late {
        fn drop(&mut self) {
            // In the middle of the thread's end, everything works still.
            assert!(Handle::ptr_eq(&REGISTRY.get(&1).unwrap(), &self.handle));
            assert_eq!(NAMES.get("late").as_ref(), Some(&self.name));
            drop(NAMES.intern("later still"));
            drop(REGISTRY.get_or_insert_with(2, |_| Where(mpsc::channel().0)));
            let weak = Handle::downgrade(&self.handle);
            assert!(weak.upgrade().is_some());
            REGISTRY.shrink_to_fit();
            assert_eq!(REGISTRY.iter().len(), 1);
        }
    }
    thread_local! {
        static ME: ThreadId = thread::current().id();
        static FIRST: RefCell<Option<Late>> = const { RefCell::new(None) };
        static SECOND: RefCell<Vec<Late>> = const { RefCell::new(Vec::new()) };
    }
    // The thread's own cells and the crate's are destroyed in an order that depends on who was first; try both.
    for registry_first in [true, false] {
        let (dropped_by, drops) = mpsc::channel();
        let thread = thread::spawn(move || {
            let id = ME.with(|me| *me);
            let enter = || Late {
                handle: REGISTRY.get_or_insert_with(1, |_| Where(dropped_by.clone())),
                name: NAMES.intern("late"),
            };
            if registry_first {
                let late = enter();
                FIRST.set(Some(late));
                SECOND.with_borrow_mut(|second| second.push(enter()));
            } else {
                FIRST.set(None);
                SECOND.with_borrow_mut(|second| second.reserve(1));
                let late = enter();
                FIRST.set(Some(late));
                SECOND.with_borrow_mut(|second| second.push(enter()));
            }
            id
        });
        let id = thread.join().unwrap();
        assert_eq!(
            drops.iter().collect::<Vec<_>>(),
            [id],
            "once, and on the thread that let go"
        );
        assert_eq!((REGISTRY.len(), NAMES.len()), (0, 0));
    }
}

#[test]
fn a_value_is_dropped_where_and_when_its_last_owner_lets_go() {
    struct Noting(Arc<Mutex<Vec<ThreadId>>>);
    impl Drop for Noting {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(thread::current().id());
        }
    }
    let noted = Arc::new(Mutex::new(Vec::new()));
    let registry: Registry<u32, Noting> = Registry::new();
    let handle = registry.get_or_insert_with(1, |_| Noting(noted.clone()));
    let other = handle.clone();
    let dropper = thread::scope(|scope| {
        scope
            .spawn(|| {
                drop(handle);
                assert!(noted.lock().unwrap().is_empty(), "an owner is left");
                drop(other);
                assert_eq!(noted.lock().unwrap().len(), 1, "by the time drop returns");
                thread::current().id()
            })
            .join()
            .unwrap()
    });
    assert_eq!(*noted.lock().unwrap(), [dropper]);
}

#[test]
fn when_a_destructor_begins_the_entry_is_gone_and_all_weak_handles_are_dead() {
    static REGISTRY: Registry<u32, Value> = Registry::new();
    static SEEN: Mutex<Vec<Seen>> = Mutex::new(Vec::new());
    #[derive(Debug, PartialEq)]
    struct Seen {
        found: bool,
        upgraded: bool,
        alive: bool,
        strong_count: usize,
        entries: usize,
    }
    struct Value {
        me: OnceLock<WeakHandle<u32, Value>>,
    }
    impl Drop for Value {
        fn drop(&mut self) {
            let me = self.me.get().unwrap();
            SEEN.lock().unwrap().push(Seen {
                found: REGISTRY.get(&1).is_some(),
                upgraded: me.upgrade().is_some(),
                alive: me.is_alive(),
                strong_count: me.strong_count(),
                entries: REGISTRY.len() + REGISTRY.iter().len(),
            });
        }
    }
    let handle = REGISTRY.get_or_insert_with(1, |_| Value {
        me: OnceLock::new(),
    });
    let _ = handle.me.set(Handle::downgrade(&handle));
    let other_weak = Handle::downgrade(&handle);
    drop(handle);
    let nothing = Seen {
        found: false,
        upgraded: false,
        alive: false,
        strong_count: 0,
        entries: 0,
    };
    assert_eq!(*SEEN.lock().unwrap(), [nothing]);
    assert!(other_weak.upgrade().is_none());
}

#[test]
fn a_new_value_may_be_made_while_the_old_ones_destructor_runs() {
    promptly(|| {
        let registry: Registry<u32, Option<Slow>> = Registry::new();
        let (slow, ending) = Slow::new();
        let old = registry.get_or_insert_with(1, |_| Some(slow));
        thread::scope(|scope| {
            let dropper = scope.spawn(move || drop(old));
            ending.await_begin();
            let new = registry.get_or_insert_with(1, |_| None);
            assert!(Handle::ptr_eq(&registry.get(&1).unwrap(), &new));
            ending.allow();
            dropper.join().unwrap();
            assert!(
                Handle::ptr_eq(&registry.get(&1).unwrap(), &new),
                "the end of the old one does not touch the new one"
            );
            assert_eq!(registry.len(), 1);
        });
    });
}

#[test]
fn a_value_may_own_its_registry() {
    struct Owning(
        Option<Arc<Registry<u32, Owning>>>,
        #[allow(dead_code)] Citizen,
    );
    let census = Census::new();
    let registry: Arc<Registry<u32, Owning>> = Arc::default();
    let held: Vec<_> = (0..3)
        .map(|i| {
            registry.get_or_insert_with(i, |_| Owning(Some(registry.clone()), census.citizen()))
        })
        .collect();
    assert!(held.iter().all(|value| value.0.is_some()));
    drop(registry);
    drop(held);
    assert_eq!(census.alive(), 0);
}

/// A value that holds the next one.
struct Link {
    next: Option<Handle<u32, Link>>,
    panics: bool,
    _counted: Citizen,
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.panics {
            panic!("planted");
        }
        let _ = &self.next;
    }
}

fn chain(
    registry: &Registry<u32, Link>,
    census: &Census,
    len: u32,
    panics: Option<u32>,
) -> Handle<u32, Link> {
    let link = |key: u32, next| {
        registry.get_or_insert_with(key, |key| Link {
            next,
            panics: panics == Some(*key),
            _counted: census.citizen(),
        })
    };
    // Key 0 is the outermost.
    (0..len - 1)
        .rev()
        .fold(link(len - 1, None), |next, key| link(key, Some(next)))
}

#[test]
fn a_hundred_thousand_nested_handles_drop_without_overflowing_the_stack() {
    let (registry, census) = (Registry::new(), Census::new());
    let outermost = chain(&registry, &census, 100_000, None);
    assert_eq!((registry.len(), census.alive()), (100_000, 100_000));
    drop(outermost);
    assert_eq!(
        (registry.len(), census.alive()),
        (0, 0),
        "all of them before the outermost drop returns"
    );
    drop(chain(&registry, &census, 10, None));
    assert_eq!(census.alive(), 0);
}

#[test]
fn they_do_so_on_a_thread_with_a_small_stack_also_without_their_registry() {
    let (registry, census) = (Registry::new(), Census::new());
    let outermost = chain(&registry, &census, 100_000, None);
    drop(registry);
    let small = thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(move || drop(outermost))
        .unwrap();
    small.join().unwrap();
    assert_eq!(census.alive(), 0);
}

#[test]
fn nested_interned_values_do_too_and_through_other_types_as_well() {
    #[derive(PartialEq, Eq)]
    enum List {
        Nil,
        Cons(u32, Box<Option<Interned<List>>>),
    }
    // Not derived: a handle hashes as its content, and this content is a hundred thousand deep.
    impl std::hash::Hash for List {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            match self {
                List::Nil => 0.hash(state),
                List::Cons(n, _) => n.hash(state),
            }
        }
    }
    let lists: Interner<List> = Interner::new();
    let mut list = lists.intern_owned(List::Nil);
    for i in 0..100_000 {
        list = lists.intern_owned(List::Cons(i, Box::new(Some(list))));
    }
    assert_eq!(lists.len(), 100_001);
    drop(list);
    assert_eq!(lists.len(), 0);

    // By turns in a registry and an interner.
    struct Even(#[allow(dead_code)] Option<Interned<Odd>>);
    struct Odd(u32, #[allow(dead_code)] Handle<u32, Even>);
    impl PartialEq for Odd {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Odd {}
    impl std::hash::Hash for Odd {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    let (evens, odds): (Registry<u32, Even>, Interner<Odd>) = Default::default();
    let mut last = evens.get_or_insert_with(0, |_| Even(None));
    for i in 1..50_000 {
        last = evens.get_or_insert_with(i, |_| Even(Some(odds.intern_owned(Odd(i, last)))));
    }
    assert_eq!((evens.len(), odds.len()), (50_000, 49_999));
    drop(last);
    assert_eq!((evens.len(), odds.len()), (0, 0));
}

#[test]
fn a_tree_that_is_wide_and_deep_drops_every_value_once() {
    struct Tree(
        #[allow(dead_code)] Vec<Handle<u32, Tree>>,
        #[allow(dead_code)] Citizen,
    );
    let (registry, census): (Registry<u32, Tree>, _) = (Registry::new(), Census::new());
    let mut leaves: Vec<_> = Vec::new();
    let mut key = 0;
    for _level in 0..1000 {
        // Each level holds the one before, and ten leaves.
        let mut children: Vec<_> = std::mem::take(&mut leaves);
        for _ in 0..10 {
            key += 1;
            children.push(registry.get_or_insert_with(key, |_| Tree(Vec::new(), census.citizen())));
        }
        key += 1;
        leaves = vec![registry.get_or_insert_with(key, |_| Tree(children, census.citizen()))];
    }
    assert_eq!(registry.len(), 11_000);
    drop(leaves);
    assert_eq!(
        (registry.len(), census.born(), census.dead()),
        (0, 11_000, 11_000)
    );
}

#[test]
fn a_panic_anywhere_in_a_deep_chain_comes_out_and_everything_is_dropped_once() {
    let registry = Registry::new();
    for at in [0, 1, 30, 61, 62, 63, 64, 65, 100, 126, 127, 128, 500, 999] {
        let census = Census::new();
        let outermost = chain(&registry, &census, 1000, Some(at));
        let panic = catch_unwind(AssertUnwindSafe(|| drop(outermost))).expect_err("it panics");
        assert_eq!(panic.downcast_ref(), Some(&"planted"));
        assert_eq!(
            (registry.len(), census.born(), census.dead()),
            (0, 1000, 1000),
            "panic at {at}"
        );
        // And the next chain is dropped as if nothing had been.
        let census = Census::new();
        drop(chain(&registry, &census, 200, None));
        assert_eq!((registry.len(), census.alive()), (0, 0));
    }
}

#[test]
fn a_panic_in_a_destructor_drops_the_key_and_frees_the_entry_all_the_same() {
    struct Key(u32, #[allow(dead_code)] Citizen);
    impl PartialEq for Key {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Key {}
    impl std::hash::Hash for Key {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    struct Loud(#[allow(dead_code)] Citizen);
    impl Drop for Loud {
        fn drop(&mut self) {
            panic!("planted");
        }
    }
    let census = Census::new();
    let registry: Registry<Key, Loud> = Registry::new();
    for _ in 0..10 {
        let handle =
            registry.get_or_insert_with(Key(1, census.citizen()), |_| Loud(census.citizen()));
        assert!(catch_unwind(AssertUnwindSafe(|| drop(handle))).is_err());
        assert_eq!((registry.len(), census.alive()), (0, 0));
    }
    let orphan = registry.get_or_insert_with(Key(1, census.citizen()), |_| Loud(census.citizen()));
    drop(registry);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(orphan))).is_err());
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_destructor_may_panic_while_the_registry_is_being_cleared() {
    struct Loud(u32, #[allow(dead_code)] Citizen);
    impl Drop for Loud {
        fn drop(&mut self) {
            if self.0 == 5 {
                panic!("planted");
            }
        }
    }
    let census = Census::new();
    let registry: Registry<u32, Loud> = Registry::new();
    let mut held: Vec<_> = (0..10)
        .map(|i| registry.get_or_insert_with(i, |i| Loud(*i, census.citizen())))
        .collect();
    let result = catch_unwind(AssertUnwindSafe(|| {
        registry.retain(|_, _| {
            held.clear();
            false
        })
    }));
    assert!(result.is_err());
    assert_eq!((registry.len(), census.alive()), (0, 0));
}
