//! Memory comes back: live bytes, counted by the allocator, return to where they were.
//!
//! One test in a binary of its own, since the count is the whole process's: its scenes play one after the other.

use highlander::error::Refused;
use highlander::map::ByAddress;
use highlander::pointer::{Token, Watched, WeakWatched};
use highlander::registries::class_map::{ClassMap, Wrap};
use highlander::registries::finalizers::Finalizers;
use highlander::{
    Handle, Interner, Recent, RecentErrors, Registry, StrongMap, WeakHandle, WeakKeyMap,
    WeakKeyValueMap, WeakSet, WeakValueMap,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);
static ALLOCATIONS: AtomicIsize = AtomicIsize::new(0);

fn count(change: isize) {
    if change > 0 {
        ALLOCATIONS.fetch_add(1, Relaxed);
    }
    LIVE.fetch_add(change, Relaxed);
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn live() -> isize {
    LIVE.load(Relaxed)
}

/// Waits for the threads themselves, not only for what they run: what they free at their end is a part of the scene.
fn join<T>(workers: Vec<thread::ScopedJoinHandle<'_, T>>) {
    for worker in workers {
        assert!(worker.join().is_ok());
    }
}

/// What a scene leaves behind that had not been there before.
fn left_by(scene: impl FnOnce()) -> isize {
    let before = live();
    scene();
    live() - before
}

/// What an empty registry may keep after it has been shrunk: a first table, empty stripes, and dashmap's empty shards.
const EMPTY: isize = 32 * 1024;

#[test]
fn memory_comes_back() {
    let scenes: [(&str, fn()); 23] = [
        ("prompt maps", prompt_maps),
        ("an interner of texts of many sizes", texts),
        ("a registry of strings and vectors", vectors),
        ("large values", large_values),
        ("values of one size", fixed),
        ("a registry dropped before its handles", registry_first),
        ("failed and panicked creations", failures),
        ("refusals whose keys and factories panic", refusals),
        (
            "refused classes, whose own errors panic when dropped",
            refused_classes,
        ),
        ("finalizers that come and go while one runs", finalizers),
        ("keys and values that were not needed", losers),
        ("weak handles", weak_handles),
        ("removed and replaced values", removed),
        ("panics in destructors", panics_in_drop),
        ("churn by several threads", threads),
        ("deep chains", chains),
        ("maps with weak values", weak_values),
        ("maps with weak keys", weak_keys),
        ("maps with weak keys and values", weak_pairs),
        ("maps strong on both sides", strong_maps),
        ("values and errors that are kept a little", kept),
        ("failed creations and panics in maps", map_failures),
        ("churn in maps by several threads", map_threads),
    ];
    // A scene may leave, once, what the process keeps for ever: thread records, the hasher's secret, the places where threads
    // sleep when one does for the first time. What leaks leaks every time.
    let least = |scene: &fn()| {
        (0..5)
            .map(|_| left_by(scene))
            .find(|left| *left == 0)
            .unwrap_or_else(|| left_by(scene))
    };
    let left: Vec<_> = scenes
        .iter()
        .map(|(name, scene)| (*name, least(scene)))
        .collect();
    assert!(
        left.iter().all(|(_, bytes)| *bytes == 0),
        "bytes left: {left:#?}"
    );

    bytes_per_key();
    shrinking();
    dead_members();
    listeners();
    watched();
    pruning_frees_what_weak_pointers_hold();
}

/// Two threads build classes that lead to each other. Whoever is refused makes an error of its own of it, whose drop panics.
fn refused_classes() {
    enum Error {
        Refused,
        Armed,
    }
    impl From<Refused> for Error {
        fn from(refused: Refused) -> Self {
            assert!(matches!(refused, Refused::Cycle(_)), "it is never closed");
            Self::Refused
        }
    }
    impl Drop for Error {
        fn drop(&mut self) {
            if matches!(self, Self::Armed) {
                resume_unwind(Box::new(()));
            }
        }
    }
    struct Pair {
        classes: [Arc<u32>; 2],
        begun: AtomicIsize,
        meet: Barrier,
    }
    impl Wrap for Pair {
        type Descriptor = Arc<u32>;
        type Wrapper = Arc<u32>;
        type Error = Error;
        fn allocate(&self, class: &Arc<u32>) -> Result<Arc<u32>, Error> {
            Ok(Arc::new(**class))
        }
        fn initialise(
            &self,
            types: &ClassMap<Self>,
            class: &Arc<u32>,
            _: &Arc<u32>,
        ) -> Result<(), Error> {
            if self.begun.fetch_add(1, Relaxed) < 2 {
                self.meet.wait();
            }
            let other = types.wrapper(&self.classes[1 - **class as usize]);
            other.map(drop).map_err(|_| Error::Armed)
        }
    }

    let types = ClassMap::new(Pair {
        classes: [0, 1].map(Arc::new),
        begun: AtomicIsize::new(0),
        meet: Barrier::new(2),
    });
    let panicked = thread::scope(|scope| {
        let types = &types;
        let build = |class: &Arc<u32>| {
            let class = Arc::clone(class);
            let wrapper = move || drop(types.wrapper(&class));
            scope.spawn(|| catch_unwind(AssertUnwindSafe(wrapper)).is_err())
        };
        let [one, other] = types.wrap().classes.each_ref().map(build);
        one.join().unwrap() | other.join().unwrap()
    });
    assert!(panicked, "nobody was refused");
}

/// What comes, changes its place and goes while others run does not stay in the order.
fn finalizers() {
    let finalizers = Arc::new(Finalizers::new());
    let inner = Arc::downgrade(&finalizers);
    finalizers.at_exit(0, move || {
        let finalizers = inner.upgrade().unwrap();
        let moved = finalizers.at_exit(-1, || ());
        let come_and_go = |_: i32| assert!(finalizers.at_exit(0, || ()).cancel());
        let rise = |n: i32| moved.set_priority(-n);
        let stay = |_: i32| moved.set_priority(-1);
        let never_and_again = |n: i32| moved.set_priority((n % 2 == 0).then_some(-1));
        for change in [&come_and_go as &dyn Fn(i32), &rise, &stay, &never_and_again] {
            let changes = || (1..10_000).for_each(change);
            changes();
            let left = left_by(changes);
            assert!(left < 32 * 1024, "{left} bytes of 10 000");
        }
        assert!(moved.cancel());
    });
    assert_eq!(finalizers.run_all().panicked, 0);
}

/// What says that a call asks for its own key, with its text, goes though the drop of what the call was given panics.
fn refusals() {
    #[derive(PartialEq, Eq, Hash, Debug)]
    struct Armed(bool);
    impl Drop for Armed {
        fn drop(&mut self) {
            if std::mem::take(&mut self.0) {
                resume_unwind(Box::new(()));
            }
        }
    }
    #[derive(Debug)]
    struct Key(#[allow(dead_code)] Armed);
    impl PartialEq for Key {
        fn eq(&self, _: &Self) -> bool {
            true
        }
    }
    impl Eq for Key {}
    impl std::hash::Hash for Key {
        fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
    }
    fn panics<R>(f: impl FnOnce() -> R) {
        assert!(catch_unwind(AssertUnwindSafe(|| drop(f()))).is_err());
    }
    let key = |panics| Key(Armed(panics));
    type Made = Result<Arc<u32>, ()>;

    for key_panics in [true, false] {
        let armed = || (key(key_panics), Armed(!key_panics));
        let registry: Registry<Key, Arc<u32>> = Registry::new().debug_keys();
        registry.get_or_insert_with(key(false), |_| {
            panics(|| {
                let (key, factory) = armed();
                registry.get_or_try_insert_with(key, move |_| -> Made {
                    drop(factory);
                    unreachable!()
                })
            });
            panics(|| {
                let (key, factory) = armed();
                let allocate = move |_: &Key| -> Made {
                    drop(factory);
                    unreachable!()
                };
                registry
                    .entry(key)
                    .or_try_create_cyclic(allocate, |_| unreachable!())
            });
            if key_panics {
                panics(|| registry.entry(key(true)).claim_or_refused());
            }
            Arc::new(1)
        });
        let map: WeakValueMap<Key, Arc<u32>> = WeakValueMap::new();
        map.get_or_insert_with(key(false), |_| {
            panics(|| {
                let (key, factory) = armed();
                map.get_or_try_insert_with(key, move |_| -> Made {
                    drop(factory);
                    unreachable!()
                })
            });
            Arc::new(1)
        });
    }
}

fn weak_values() {
    let map: WeakValueMap<String, Arc<Vec<u8>>> = WeakValueMap::new();
    let held: Vec<_> = (0..2000)
        .map(|i| map.get_or_insert_with(i.to_string(), |_| Arc::new(vec![0; i % 100])))
        .collect();
    for i in 0..1000 {
        map.insert(i.to_string(), Arc::new(vec![1; 10]));
    }
    for (i, value) in held.iter().enumerate().skip(1000) {
        map.insert(i.to_string(), value.clone());
    }
    drop(map.iter());
    map.remove("1500");
    drop(map.try_insert("1501".into(), Arc::default()));
    if let Some(old) = map.get("1502") {
        drop(map.compare_exchange("1502".into(), &old, Arc::default()));
    }
    let other = Arc::default();
    drop(map.compare_exchange("1502".into(), &other, Arc::default()));
    map.update("1503".into(), |_| Some(Arc::default()));
    // One that has begun, and stops half-way.
    let mut entries = map.iter();
    drop(entries.next());
    drop(held);
    drop(entries);
    drop(map);
}

fn weak_keys() {
    let map: WeakKeyMap<Arc<str>, Vec<u8>> = WeakKeyMap::new();
    let keys: Vec<Arc<str>> = (0..2000).map(|i| i.to_string().into()).collect();
    for (i, key) in keys.iter().enumerate() {
        map.get_or_insert_with(key, |_| vec![0; i % 100]);
    }
    for key in &keys[..500] {
        let again: Arc<str> = (**key).into();
        map.insert(&again, vec![1; 20]);
        map.try_insert(&again, vec![2; 20]).unwrap_err();
        map.update(&again, |_| Some(vec![3; 30]));
    }
    drop(keys);
    map.insert(&Arc::from("last"), vec![7]);
}

fn weak_pairs() {
    let map: WeakKeyValueMap<Arc<str>, Arc<str>, ByAddress> = WeakKeyValueMap::new();
    let keys: Vec<Arc<str>> = (0..2000).map(|i| i.to_string().into()).collect();
    for pair in keys.windows(2) {
        map.insert(&pair[0], pair[1].clone());
        map.insert(&pair[1], pair[0].clone());
    }
    assert_eq!(map.keys_of(&keys[7]).len(), 1);
    map.retain(|key, _| key.len() < 4);
    map.remove_by_value(&keys[8]);
}

fn strong_maps() {
    let map: StrongMap<String, Vec<u8>> = StrongMap::new();
    for i in 0..2000 {
        map.get_or_insert_with(i.to_string(), |_| vec![0; i % 100]);
    }
    for i in 0..500 {
        map.insert(i.to_string(), vec![1; 20]);
        map.try_insert(i.to_string(), vec![2; 20]).unwrap_err();
        map.update(i.to_string(), |_| Some(vec![3; 30]));
        map.update(i.to_string(), |old| {
            old.map(|old| [&old[..], &[4; 10]].concat())
        });
    }
    // One that has begun, and owns what it would show next.
    let mut entries = map.iter();
    drop(entries.next());
    assert_eq!(map.retain(|key, _| key.len() < 4), 1000);
    map.remove("7");
    map.close();
    map.try_insert("new".to_string(), vec![5; 50]).unwrap_err();
    drop(entries);
    drop(map);
}

fn kept() {
    let numbers: Recent<Registry<String, Vec<u8>>> = Recent::new(Registry::new(), 100);
    let map: Arc<WeakValueMap<u32, Arc<Vec<u8>>>> = Arc::new(WeakValueMap::new());
    let recent = Recent::new(Arc::clone(&map), 300).time_to_idle(Duration::from_secs(1));
    let errors: RecentErrors<u32, String> = RecentErrors::new(50, Duration::from_secs(1000));
    let held: Vec<_> = (0..2000)
        .map(|i| {
            numbers.get_or_insert_with(i.to_string(), |_| vec![0; i as usize % 100]);
            numbers.get(&(i / 2).to_string());
            let fail = |_: &u32| Err(i.to_string());
            let made = recent.get_or_try_insert_with(i, |key| errors.or_try(key, fail));
            made.unwrap_err();
            recent.get_or_insert_with(i, |_| Arc::new(vec![0; 10]))
        })
        .collect();
    assert_eq!((numbers.clear(), errors.len()), (100, 50));
    numbers.get_or_insert_with("one".to_string(), |_| vec![1]);
    drop(held);
    drop(recent);
}

fn map_failures() {
    let registry: WeakValueMap<String, Arc<Vec<u8>>> =
        WeakValueMap::new().on_remove(|key: &String, _| assert!(key.len() != 2));
    let make = |i: usize| registry.get_or_insert_with(i.to_string(), |_| Arc::new(vec![0; i]));
    for i in 0..300 {
        // Any call may sweep, and so get the panic of a hook.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            registry.get_or_try_insert_with(i.to_string(), |_| Err(String::from("no")))
        }));
        let panic = catch_unwind(AssertUnwindSafe(|| {
            registry.get_or_insert_with(i.to_string(), |_| panic!("no"))
        }));
        drop(panic.unwrap_err());
        let _ = catch_unwind(AssertUnwindSafe(|| drop(make(i))));
    }
    let _ = catch_unwind(AssertUnwindSafe(|| registry.clear()));
}

fn map_threads() {
    let map: WeakKeyValueMap<Arc<u32>, Arc<Vec<u8>>> = WeakKeyValueMap::new();
    let start = Barrier::new(4);
    thread::scope(|s| {
        let work = || {
            start.wait();
            for i in 0..2000 {
                let key = Arc::new(i % 64);
                let value = map.get_or_insert_with(&key, |_| Arc::new(vec![0; 100]));
                map.keys_of(&value);
                if i % 5 == 0 {
                    map.insert(&key, Arc::new(vec![]));
                }
                if i % 7 == 0 {
                    map.remove(&*key);
                }
            }
        };
        join((0..4).map(|_| s.spawn(work)).collect());
    });
}

/// A dead `Weak` keeps the whole block of its value: so pruning is what gives it back, and sweeps do it without being asked.
fn pruning_frees_what_weak_pointers_hold() {
    const VALUE: isize = 4096;
    let map: WeakValueMap<u32, Arc<[u8; VALUE as usize]>> = WeakValueMap::new();
    let before = live();
    let held: Vec<_> = (0..100)
        .map(|i| map.get_or_insert_with(i, |_| Arc::new([0; VALUE as usize])))
        .collect();
    drop(held);
    assert!(live() - before > 100 * VALUE, "dead, and still there");
    assert_eq!(map.prune(), 100);
    assert!(live() - before < EMPTY, "{} bytes left", live() - before);

    let held: Vec<_> = (0..100)
        .map(|i| map.get_or_insert_with(i, |_| Arc::new([0; VALUE as usize])))
        .collect();
    let mut most = 0;
    for i in 0..10_000 {
        map.insert(1000 + i, Arc::new([1; VALUE as usize]));
        most = most.max(live() - before);
    }
    // As many dead as live ones, and 64 that have been taken out and wait.
    assert!(
        most < (100 + 100 + 64 + 16) * VALUE + EMPTY,
        "{most} bytes for 100 live values"
    );
    drop(held);
}

fn text(i: usize) -> String {
    format!("{i}{}", "x".repeat(i * 31 % 5000))
}

fn texts() {
    let interner: Interner<str> = Interner::new();
    for _ in 0..3 {
        drop(
            (0..2000)
                .map(|i| interner.intern(&text(i)))
                .collect::<Vec<_>>(),
        );
    }
}

fn vectors() {
    let registry: Registry<String, Vec<u8>> = Registry::new();
    for _ in 0..3 {
        let make = |i: usize| registry.get_or_insert_with(i.to_string(), |_| vec![0; i % 300]);
        drop((0..2000).map(make).collect::<Vec<_>>());
    }
}

fn large_values() {
    let registry: Registry<u32, [u8; 20_000]> = Registry::new();
    drop(
        (0..100)
            .map(|i| registry.get_or_insert_with(i, |_| [1; 20_000]))
            .collect::<Vec<_>>(),
    );
}

fn fixed() {
    let registry: Registry<u64, u64> = Registry::with_capacity(100);
    drop(
        (0..5000)
            .map(|i| registry.get_or_insert_with(i, |i| *i))
            .collect::<Vec<_>>(),
    );
}

fn registry_first() {
    let (registry, interner): (Registry<String, Vec<u8>>, Interner<str>) = Default::default();
    let held: Vec<_> = (0..500)
        .map(|i| {
            (
                registry.get_or_insert_with(i.to_string(), |_| vec![0; i]),
                interner.intern(&text(i)),
            )
        })
        .collect();
    drop((registry, interner));
    drop(held);
    let registry: Registry<u32, [u8; 5000]> = Registry::new();
    let (one, two) = (
        registry.get_or_insert_with(1, |_| [0; 5000]),
        registry.get_or_insert_with(2, |_| [0; 5000]),
    );
    drop(one);
    drop(registry);
    drop(two);
}

fn failures() {
    let registry: Registry<String, Vec<u8>> = Registry::new();
    for i in 0..500 {
        assert!(registry
            .get_or_try_insert_with(i.to_string(), |_| Err::<Vec<u8>, _>(String::from("no")))
            .is_err());
        let panic =
            || registry.get_or_insert_with(i.to_string(), |_| resume_unwind(Box::new("planted")));
        assert!(catch_unwind(AssertUnwindSafe(panic)).is_err());
        let cycle = || {
            registry.get_or_try_insert_with(i.to_string(), |_| Ok::<Vec<u8>, String>(Vec::new()))
        };
        assert!(registry
            .get_or_try_insert_with(i.to_string(), |_| match cycle() {
                Ok(value) => Ok(value.to_vec()),
                Err(error) => Err(error.to_string()),
            })
            .is_err());
    }
}

fn losers() {
    let (registry, interner): (Registry<String, Vec<u8>>, Interner<[String]>) = Default::default();
    let held = (
        registry.get_or_insert_with("k".into(), |_| vec![0; 100]),
        interner.intern(&["k".to_string()]),
    );
    for _ in 0..500 {
        drop(registry.get_or_insert_with("k".into(), |_| unreachable!()));
        drop(registry.try_insert("k".into(), vec![0; 100]));
        drop(interner.intern_owned(["k".to_string()]));
        drop(registry.get_or_insert_with("other".into(), |_| {
            let _ = registry.try_insert("other".into(), vec![0; 100]);
            let inner = registry.insert("other".into(), vec![0; 100]);
            drop(inner);
            vec![0; 50]
        }));
    }
    drop(held);
}

fn weak_handles() {
    let registry: Registry<u32, Vec<u8>> = Registry::new();
    let weaks: Vec<WeakHandle<_, _>> = (0..500)
        .map(|i| Handle::downgrade(&registry.get_or_insert_with(i, |_| vec![0; 100])))
        .collect();
    assert!(weaks.iter().all(|weak| weak.upgrade().is_none()));
    let held: Vec<_> = (0..500)
        .map(|i| registry.get_or_insert_with(i, |_| vec![0; 100]))
        .collect();
    let weaks: Vec<_> = held.iter().map(Handle::downgrade).collect();
    drop((registry, held, weaks));
}

fn removed() {
    let registry: Registry<u32, Vec<u8>> = Registry::new();
    let mut held: Vec<_> = (0..500)
        .map(|i| registry.get_or_insert_with(i, |_| vec![0; 100]))
        .collect();
    held.extend((0..100).filter_map(|i| registry.remove(&i)));
    held.extend((100..200).map(|i| registry.insert(i, vec![0; 200]).0));
    held.extend(
        (200..300)
            .filter_map(|i| registry.compare_exchange(&held[i], vec![0; 300]).ok())
            .collect::<Vec<_>>(),
    );
    registry.retain(|key, _| key % 2 == 0);
    drop(registry);
}

fn panics_in_drop() {
    struct Loud(#[allow(dead_code)] Vec<u8>);
    impl Drop for Loud {
        fn drop(&mut self) {
            resume_unwind(Box::new("planted"));
        }
    }
    let registry: Registry<String, Loud> = Registry::new();
    for i in 0..200 {
        let handle = registry.get_or_insert_with(i.to_string(), |_| Loud(vec![0; 100]));
        assert!(catch_unwind(AssertUnwindSafe(|| drop(handle))).is_err());
    }
}

fn threads() {
    let (registry, interner): (Registry<String, Vec<u8>>, Interner<str>) = Default::default();
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        let mut workers = Vec::new();
        for t in 0..4 {
            let (registry, interner, barrier) = (&registry, &interner, &barrier);
            workers.push(scope.spawn(move || {
                barrier.wait();
                for i in 0..2000 {
                    let name = interner.intern(&text(i * (t + 1) % 100));
                    let value = registry.get_or_insert_with(name.to_string(), |_| vec![0; 100]);
                    assert_eq!(value.len(), 100);
                    if i % 500 == 0 {
                        interner.shrink_to_fit();
                    }
                }
                barrier.wait(); // all at once, so that there are four threads' records in use, each time
            }));
        }
        join(workers);
    });
    assert_eq!((registry.len(), interner.len()), (0, 0));
}

fn chains() {
    struct Link(
        #[allow(dead_code)] Option<Handle<u32, Link>>,
        #[allow(dead_code)] Vec<u8>,
    );
    let registry: Registry<u32, Link> = Registry::new();
    let mut last = None;
    for i in 0..5000 {
        last = Some(registry.get_or_insert_with(i, |_| Link(last.take(), vec![0; 20])));
    }
}

/// Growing keeps no table but the last, and not much of that is empty.
fn bytes_per_key() {
    const KEYS: usize = 100_000;
    let mut held = Vec::with_capacity(KEYS);
    let before = live();
    let interner: Interner<str> = Interner::new();
    held.extend((0..KEYS).map(|i| interner.intern(&format!("key {i:08}"))));
    let per_key = (live() - before) as f64 / KEYS as f64;
    // Of that, 32 are the node, which holds the 12 bytes, and 64 / 7 to 64 / 3 the table.
    assert!(
        (41.0..64.0).contains(&per_key),
        "{per_key} bytes per key of 12 bytes"
    );
    held.clear();
    interner.shrink_to_fit();
    let left = live() - before;
    assert!(left < EMPTY, "{left} bytes left after everything has gone");
}

/// What is unused goes back while the registry lives.
fn shrinking() {
    // Texts of all sizes.
    let before = live();
    let interner: Interner<str> = Interner::new();
    for round in 0..3 {
        let held: Vec<_> = (0..5000).map(|i| interner.intern(&text(i))).collect();
        let full = live() - before;
        drop(held);
        interner.shrink_to_fit();
        let left = live() - before;
        assert!(
            left < EMPTY && left < full / 100,
            "round {round}: {left} bytes of {full}"
        );
    }
    let first = live();
    drop(
        (0..5000)
            .map(|i| interner.intern(&text(i)))
            .collect::<Vec<_>>(),
    );
    interner.shrink_to_fit();
    assert_eq!(live(), first, "each round the same");
    drop(interner);
    assert_eq!(live(), before);

    // Values and their own memory.
    let before = live();
    let registry: Registry<String, Vec<u8>> = Registry::new();
    drop(
        (0..20_000)
            .map(|i| registry.get_or_insert_with(i.to_string(), |_| vec![0; 100]))
            .collect::<Vec<_>>(),
    );
    registry.shrink_to_fit();
    let left = live() - before;
    assert!(left < EMPTY, "{left} bytes of a registry");
    drop(registry);

    // Large values are handed back as they come, with some slack, and all of them when asked.
    let before = live();
    let registry: Registry<u32, [u8; 50_000]> = Registry::new();
    for i in 0..1000 {
        drop(registry.get_or_insert_with(i, |_| [0; 50_000]));
    }
    let slack = live() - before;
    assert!(
        slack < 2_000_000,
        "{slack} bytes of 50 000 000 that have gone"
    );
    registry.shrink_to_fit();
    let left = live() - before;
    assert!(left < EMPTY, "{left} bytes of large values");
    drop(registry);

    // What is left in use does not hold much else.
    let before = live();
    let registry: Registry<u32, [u64; 8]> = Registry::new();
    let mut held: Vec<_> = (0..50_000)
        .map(|i| registry.get_or_insert_with(i, |_| [0; 8]))
        .collect();
    held.truncate(100);
    held.shrink_to_fit();
    registry.shrink_to_fit();
    let left = live() - before;
    assert!(left < 2 * EMPTY, "{left} bytes for 100 values of 64");
    drop(held);
    drop(registry);
    assert_eq!(live(), before);

    // Creations within creations: frames of a debug build are large, so on a stack of their own.
    let before = live();
    fn nest(registry: &Registry<u32, u32>, key: u32) -> u32 {
        *registry.get_or_insert_with(key, |key| {
            if *key == 0 {
                0
            } else {
                nest(registry, key - 1)
            }
        })
    }
    let registry: Registry<u32, u32> = Registry::new();
    thread::scope(|scope| {
        let nested = || assert_eq!(nest(&registry, 400), 0);
        let large = thread::Builder::new().stack_size(64 << 20);
        large.spawn_scoped(scope, nested).unwrap().join().unwrap();
    });
    registry.shrink_to_fit();
    let left = live() - before;
    assert!(left < EMPTY, "{left} bytes of flights that have landed");
    drop(registry);
    assert_eq!(live(), before);
}

/// Lets the epoch pass, so that what waits for it is freed.
fn settle() {
    for _ in 0..32 {
        crossbeam_epoch::pin().flush();
    }
}

fn dead_members() {
    // The weak pointer of a dead `Arc` keeps its memory; pruning gives it back.
    let before = live();
    let set: WeakSet<Arc<[u8; 10_000]>, ByAddress> = WeakSet::new();
    let owned: Vec<_> = (0..1000).map(|_| Arc::new([0; 10_000])).collect();
    for member in &owned {
        set.insert(member);
    }
    drop(owned);
    assert!(live() - before > 10_000_000);
    assert_eq!((set.len(), set.prune()), (0, 1000));
    set.shrink_to_fit();
    settle();
    let left = live() - before;
    assert!(left < EMPTY, "{left} bytes of dead members");

    // So do the insertions of others.
    for _ in 0..5000 {
        set.insert(&Arc::new([0; 10_000]));
    }
    settle();
    let left = live() - before;
    assert!(
        left < 1_000_000,
        "{left} bytes of 50 000 000 that have gone"
    );
}

fn listeners() {
    let owned: Vec<Arc<u64>> = (0..10).map(Arc::new).collect();
    let set: WeakSet<Arc<u64>, ByAddress> = owned.iter().cloned().collect();
    let mut sum = 0;
    settle();
    set.for_each(|number| sum += *number);
    let before = ALLOCATIONS.load(Relaxed);
    for _ in 0..1000 {
        set.for_each(|number| sum += *number);
    }
    assert_eq!((ALLOCATIONS.load(Relaxed) - before, sum), (0, 1001 * 45));
}

fn prompt_maps() {
    struct Value(#[allow(dead_code)] Vec<u8>, Token);
    let value = || Value(vec![0; 500], Token::new());
    let values: WeakValueMap<String, Watched<Value>> =
        WeakValueMap::new().on_remove(|key: &String, _| assert!(key != "7", "on purpose"));
    let both: WeakKeyValueMap<Watched<Value>, Arc<Value>, ByAddress> = WeakKeyValueMap::new();
    let keys: WeakKeyMap<Arc<Value>, Vec<u8>, ByAddress> = WeakKeyMap::new();
    let registry: Registry<u32, Value> = Registry::new();
    let handles: WeakValueMap<u32, Handle<u32, Value>> = WeakValueMap::new();
    for i in 0..20 {
        let one = Watched::new(value());
        let two = Arc::new(value());
        let handle = registry.get_or_insert_with(i, |_| value());
        values.insert(i.to_string(), one.clone());
        both.insert_with_tokens(&one, two.clone(), |_| None, |two| Some(&two.1));
        keys.insert_with_token(&two, vec![0; 100], |two| &two.1);
        keys.insert(&two, vec![1; 100]);
        handles.insert(i, handle.clone());
        Handle::on_death(&handle, move || assert!(i != 8, "on purpose")).keep();
        if i % 4 == 1 {
            values.remove(&i.to_string());
            both.remove_by_value(&two);
        }
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(one)));
        assert_eq!(dropped.is_err(), i == 7);
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(handle)));
        assert_eq!(dropped.is_err(), i == 8);
    }
    assert_eq!((values.entry_count(), both.entry_count()), (0, 0));
    assert_eq!((keys.entry_count(), handles.entry_count()), (0, 0));
    // Some outlive their maps.
    let last = Watched::new(value());
    values.insert("last".into(), last.clone());
    drop(values);
    drop(last);
}

fn watched() {
    struct Value(
        #[allow(dead_code)] Vec<u8>,
        Option<WeakWatched<Value>>,
        Token,
    );
    fn scene() {
        let set: WeakSet<Watched<Value>, ByAddress> = WeakSet::new();
        let mut kept = Vec::new();
        for i in 0..20 {
            let value =
                Watched::new_cyclic(|me| Value(vec![0; 500], Some(me.clone()), Token::new()));
            assert!(value.1.is_some());
            match i % 4 {
                0 => _ = set.insert(&value),
                1 => _ = set.insert_with_token(&value, |value| &value.2),
                2 => kept.push(Watched::on_death(&value, || unreachable!("ended before"))),
                _ => Watched::on_death(&value, || panic!("on purpose")).keep(),
            }
            kept.clear();
            if i % 8 == 4 {
                set.remove(&value);
            }
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(value)));
            assert_eq!(dropped.is_err(), i % 4 == 3);
        }
        let failed = catch_unwind(AssertUnwindSafe(|| {
            Watched::<Value>::new_cyclic(|me| {
                let _me = me.clone();
                panic!("on purpose")
            })
        }));
        assert!(failed.is_err());
        assert_eq!(set.entry_count(), 0);
    }
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    scene();
    settle();
    let before = live();
    for _ in 0..100 {
        scene();
    }
    settle();
    std::panic::set_hook(hook);
    let left = live() - before;
    assert!(left < EMPTY, "{left} bytes of watched values");
}
