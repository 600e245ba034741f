//! `class_map`: the class map of Jython, without its faults; part 8 of `BEHAVIOURS.md`, which says what has no meaning here.

use crate::common::promptly;
use highlander::error::CreateError;
use highlander::registries::class_map::{ClassMap, Wrap};
use highlander::{WeakKeyMap, WeakKeyValueMap, WeakValueMap};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{mpsc, Arc, Barrier, Mutex, OnceLock, Weak};
use std::thread;

/// A foreign class, which its loader owns.
struct Class {
    name: String,
    /// Numbers of classes of the same loader that it leads to.
    leads_to: Vec<usize>,
    loader: Weak<Loader>,
}

struct Loader {
    classes: Mutex<Vec<Arc<Class>>>,
}

impl Loader {
    /// Classes that lead to what `leads_to` says of their number.
    fn new(count: usize, leads_to: impl Fn(usize) -> Vec<usize>) -> Arc<Self> {
        Arc::new_cyclic(|loader| {
            let class = |n| Class {
                name: format!("C{n}"),
                leads_to: leads_to(n),
                loader: loader.clone(),
            };
            let classes = (0..count).map(class).map(Arc::new).collect();
            Loader {
                classes: Mutex::new(classes),
            }
        })
    }

    fn class(&self, n: usize) -> Arc<Class> {
        self.classes.lock().unwrap()[n].clone()
    }
}

/// Its wrapper, which knows the class and others.
#[derive(Default)]
struct Type {
    class: OnceLock<Arc<Class>>,
    leads_to: OnceLock<Vec<Weak<Type>>>,
    complete: AtomicBool,
}

/// Makes types, and fails as often as it is told. Owns what it has made until that is taken.
#[derive(Default)]
struct Types {
    made: AtomicUsize,
    owned: Mutex<Vec<Arc<Type>>>,
    fail: Mutex<HashMap<String, usize>>,
    /// Where the making of a class waits, by its name.
    gates: Mutex<HashMap<String, Gate>>,
}

/// Says that somebody has come, and lets it go on.
type Gate = (mpsc::Sender<()>, mpsc::Receiver<()>);

type Error = CreateError<String>;

impl Wrap for Types {
    type Descriptor = Arc<Class>;
    type Wrapper = Arc<Type>;
    type Error = Error;

    fn allocate(&self, class: &Arc<Class>) -> Result<Arc<Type>, Error> {
        let made = Type::default();
        made.class.set(class.clone()).ok().expect("new");
        Ok(Arc::new(made))
    }

    fn initialise(
        &self,
        classes: &ClassMap<Self>,
        class: &Arc<Class>,
        wrapper: &Arc<Type>,
    ) -> Result<(), Error> {
        let gate = self.gates.lock().unwrap().remove(&class.name);
        if let Some((arrived, go)) = gate {
            arrived.send(()).unwrap();
            go.recv().unwrap();
        }
        let mut others = Vec::new();
        for n in &class.leads_to {
            let loader = class.loader.upgrade().expect("asked for by its owner");
            let other = classes.wrapper(&loader.class(*n))?;
            others.push(Arc::downgrade(&other));
            self.owned.lock().unwrap().push(other);
        }
        let fails = self.fail.lock().unwrap().get_mut(&class.name).map(|left| {
            *left -= 1;
            *left
        });
        if let Some(left) = fails {
            if left == 0 {
                self.fail.lock().unwrap().remove(&class.name);
            }
            return Err(CreateError::Failed(format!("{} is broken", class.name)));
        }
        wrapper.leads_to.set(others).expect("initialised once");
        wrapper.complete.store(true, SeqCst);
        self.made.fetch_add(1, SeqCst);
        Ok(())
    }
}

fn types() -> ClassMap<Types> {
    ClassMap::default()
}

fn is_complete(wrapper: &Type) -> bool {
    let of_class = wrapper.class.get().map(|class| class.leads_to.len());
    wrapper.complete.load(SeqCst) && wrapper.leads_to.get().map(Vec::len) == of_class
}

/// BEHAVIOURS.md 8.1: twice the same; 8 threads and 200 fresh classes: one type each, complete.
#[test]
fn a_class_has_one_complete_type_whoever_asks() {
    let types = types();
    // Each leads to its neighbours and to one far away: circles through all of them.
    let loader = Loader::new(200, |n| vec![(n + 1) % 200, (n + 199) % 200, (n * 7) % 200]);
    let begin = Barrier::new(8);
    let got: Vec<Vec<Arc<Type>>> = thread::scope(|scope| {
        let (types, loader, begin) = (&types, &loader, &begin);
        let ask = move |at: usize| {
            let thread = move || {
                begin.wait();
                let numbers = (0..200).map(|n| (n + 25 * at) % 200);
                let wrappers = numbers.map(|n| (n, types.wrapper(&loader.class(n)).unwrap()));
                let mut wrappers: Vec<_> = wrappers
                    .inspect(|(_, wrapper)| assert!(is_complete(wrapper)))
                    .collect();
                wrappers.sort_by_key(|(n, _)| *n);
                wrappers.into_iter().map(|(_, wrapper)| wrapper).collect()
            };
            thread::Builder::new()
                .stack_size(64 << 20)
                .spawn_scoped(scope, thread)
                .unwrap()
        };
        let threads: Vec<_> = (0..8).map(ask).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    // What two threads began at once is given up by one of them, and made by the other.
    assert!(types.wrap().made.load(SeqCst) >= 200);
    assert_eq!(types.len(), 200);
    for (n, wrapper) in got[0].iter().enumerate() {
        assert!(got
            .iter()
            .all(|of_thread| Arc::ptr_eq(&of_thread[n], wrapper)));
        assert!(Arc::ptr_eq(
            &types.wrapper(&loader.class(n)).unwrap(),
            wrapper
        ));
        assert!(Arc::ptr_eq(
            &types.descriptor(wrapper).unwrap(),
            &loader.class(n)
        ));
        for (leads_to, other) in loader
            .class(n)
            .leads_to
            .iter()
            .zip(wrapper.leads_to.get().unwrap())
        {
            assert!(Arc::ptr_eq(&other.upgrade().unwrap(), &got[0][*leads_to]));
        }
    }
}

/// BEHAVIOURS.md 8.2: the same name from two loaders: two types.
#[test]
fn the_same_name_from_two_loaders_has_two_types() {
    let types = types();
    let loaders = [(); 2].map(|()| Loader::new(1, |_| vec![]));
    let classes = loaders.each_ref().map(|loader| loader.class(0));
    assert_eq!(classes[0].name, classes[1].name);
    let wrappers = classes
        .each_ref()
        .map(|class| types.wrapper(class).unwrap());
    assert!(!Arc::ptr_eq(&wrappers[0], &wrappers[1]));
    assert_eq!(types.len(), 2);
}

/// BEHAVIOURS.md 8.3: 50 loaders and their types are dropped: none of 100 references survives, though each type knows its class and each class its loader.
#[test]
fn a_loader_that_goes_takes_its_classes_along() {
    let types = types();
    let mut weak = Vec::new();
    for _ in 0..50 {
        let loader = Loader::new(2, |n| vec![1 - n]);
        let wrapper = types.wrapper(&loader.class(0)).unwrap();
        weak.push((Arc::downgrade(&loader), Arc::downgrade(&wrapper)));
    }
    assert!(
        weak.iter().all(|(loader, _)| loader.strong_count() == 0),
        "nothing keeps a loader"
    );
    types.wrap().owned.lock().unwrap().clear();
    assert!(weak.iter().all(|(_, wrapper)| wrapper.strong_count() == 0));
    assert!(types.is_empty() && types.iter().next().is_none());
    types.prune();
}

/// BEHAVIOURS.md 8.4, which differs: a type that nobody holds goes, though its class stays, and the next one is new. One that is held beside its class stays with it.
#[test]
fn a_type_that_nobody_holds_is_made_anew() {
    let types = types();
    let loader = Loader::new(1, |_| vec![]);
    let class = loader.class(0);
    let wrapper = types.wrapper(&class).unwrap();
    let weak = Arc::downgrade(&wrapper);
    drop(wrapper);
    assert!(weak.upgrade().is_none() && types.get(&class).is_none());
    let kept = types.wrapper(&class).unwrap();
    for _ in 0..3 {
        assert!(Arc::ptr_eq(&types.wrapper(&class).unwrap(), &kept));
    }
    assert_eq!(types.wrap().made.load(SeqCst), 2);
}

/// Re-entrancy: who builds a type sees it unfinished on its own thread, always the same one; others see none.
#[test]
fn an_unfinished_type_is_for_its_builder_alone() {
    struct Curious;
    impl Wrap for Curious {
        type Descriptor = Arc<u32>;
        type Wrapper = Arc<OnceLock<u32>>;
        type Error = Error;

        fn allocate(&self, class: &Arc<u32>) -> Result<Arc<OnceLock<u32>>, Error> {
            let _ = class;
            Ok(Arc::default())
        }

        fn initialise(
            &self,
            classes: &ClassMap<Self>,
            class: &Arc<u32>,
            wrapper: &Arc<OnceLock<u32>>,
        ) -> Result<(), Error> {
            for _ in 0..2 {
                assert!(Arc::ptr_eq(&classes.wrapper(class)?, wrapper));
                assert!(Arc::ptr_eq(&classes.get(class).unwrap(), wrapper));
            }
            thread::scope(|scope| {
                let others = scope.spawn(|| classes.get(class).is_none());
                assert!(others.join().unwrap());
            });
            wrapper.set(**class).expect("initialised once");
            Ok(())
        }
    }
    let classes = ClassMap::new(Curious);
    let wrapper = classes.wrapper(&Arc::new(7)).unwrap();
    assert_eq!(wrapper.get(), Some(&7));
}

/// BEHAVIOURS.md 8.5, as it should be: a failed build is tried anew, and half-built types are handed to nobody.
#[test]
fn a_failed_build_leaves_nothing_half_built() {
    let types = types();
    let loader = Loader::new(3, |n| vec![(n + 1) % 3]);
    types.wrap().fail.lock().unwrap().insert("C0".into(), 2);
    for _ in 0..2 {
        let error = types.wrapper(&loader.class(0)).err().unwrap();
        assert_eq!(error, CreateError::Failed("C0 is broken".into()));
        types.wrap().owned.lock().unwrap().clear();
        assert!(
            (0..3).all(|n| types.get(&loader.class(n)).is_none()),
            "all lead to it"
        );
    }
    let wrapper = types.wrapper(&loader.class(0)).unwrap();
    assert!(is_complete(&wrapper) && types.len() == 3);
}

/// BEHAVIOURS.md 8.6: an entry goes when either side dies, and with both sides weak neither a value that owns its key nor a key that owns its value is kept.
#[test]
fn with_both_sides_weak_nothing_is_kept() {
    struct Node(#[allow(dead_code)] Option<Arc<Node>>); // It owns it.
    let node = |other| Arc::new(Node(other));
    let map: WeakKeyValueMap<Arc<Node>, Arc<Node>, highlander::map::ByAddress> =
        WeakKeyValueMap::new();
    let (key, value) = (node(None), node(None));
    map.insert(&key, value.clone());
    drop(value);
    assert!(map.get(&key).is_none());
    map.insert(&key, key.clone());
    drop(key);
    assert!(map.is_empty());
    let key = node(None);
    let value = node(Some(key.clone()));
    map.insert(&key, value.clone());
    let weak = [Arc::downgrade(&key), Arc::downgrade(&value)];
    drop((key, value));
    assert!(weak.iter().all(|weak| weak.strong_count() == 0));
    // With weak keys alone a value that owns its key keeps the entry, here too.
    let leaky: WeakKeyMap<Arc<Node>, Arc<Node>, highlander::map::ByAddress> = WeakKeyMap::default();
    let key = node(None);
    leaky.insert(&key, node(Some(key.clone())));
    let weak = Arc::downgrade(&key);
    drop(key);
    assert_eq!(weak.strong_count(), 1);
    leaky.clear();
    assert_eq!(weak.strong_count(), 0);
}

/// BEHAVIOURS.md 8.9: threads by id, weakly.
#[test]
fn threads_by_id() {
    let threads: WeakValueMap<thread::ThreadId, Arc<String>> = WeakValueMap::new();
    let id = thread::spawn({
        let main = thread::current().id();
        move || {
            assert_ne!(thread::current().id(), main);
            thread::current().id()
        }
    })
    .join()
    .unwrap();
    let object = threads.get_or_insert_with(id, |_| Arc::new("the object of a thread".into()));
    assert!(Arc::ptr_eq(&threads.get(&id).unwrap(), &object));
    drop(object);
    assert!(threads.get(&id).is_none());
}

/// Hits never wait while others build, and unrelated builds never wait for each other.
#[test]
fn nobody_waits_for_what_does_not_concern_it() {
    let types = types();
    let loader = Loader::new(3, |_| vec![]);
    let (arrived, arrives) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    types
        .wrap()
        .gates
        .lock()
        .unwrap()
        .insert("C0".into(), (arrived, gone));
    let hit = types.wrapper(&loader.class(1)).unwrap();
    thread::scope(|scope| {
        let building = scope.spawn(|| types.wrapper(&loader.class(0)).unwrap());
        arrives.recv().unwrap();
        assert!(types.get(&loader.class(0)).is_none(), "not complete");
        assert!(Arc::ptr_eq(&types.wrapper(&loader.class(1)).unwrap(), &hit));
        assert!(is_complete(&types.wrapper(&loader.class(2)).unwrap()));
        go.send(()).unwrap();
        assert!(is_complete(&building.join().unwrap()));
    });
}

/// What Jython calls `ExposeAsSuperclass`: two classes, one type.
#[test]
fn a_class_may_share_the_type_of_its_superclass() {
    let types = types();
    let loader = Loader::new(5, |_| vec![]);
    let of_super = types.wrapper(&loader.class(0)).unwrap();
    let shared = types.share(&loader.class(1), &loader.class(0)).unwrap();
    assert!(Arc::ptr_eq(&shared, &of_super));
    assert!(Arc::ptr_eq(
        &types.wrapper(&loader.class(1)).unwrap(),
        &of_super
    ));
    assert_eq!(types.descriptors(&of_super).len(), 2);
    // It has one already; what has none is made.
    let same = types.share(&loader.class(1), &loader.class(2)).unwrap();
    assert!(Arc::ptr_eq(&same, &of_super));
    assert!(types.get(&loader.class(2)).is_none());
    let made = types.share(&loader.class(3), &loader.class(2)).unwrap();
    assert!(is_complete(&made));
    assert!(Arc::ptr_eq(&made, &types.get(&loader.class(2)).unwrap()));
    let own = types.share(&loader.class(4), &loader.class(4)).unwrap();
    assert_eq!(types.descriptors(&own).len(), 1);
    // The making of the other one may ask for this one's.
    let circle = Loader::new(2, |n| vec![1 - n]);
    let own = types.share(&circle.class(1), &circle.class(0)).unwrap();
    let other = types.get(&circle.class(0)).unwrap();
    assert!(is_complete(&own) && is_complete(&other));
    assert!(!Arc::ptr_eq(&own, &other));
}

/// Classes by number, of which each is completed as a test says.
struct Numbered {
    classes: Vec<Arc<u32>>,
    complete: Completion,
    owned: Mutex<Vec<Arc<OnceLock<u32>>>>,
}

type Completion = Box<dyn Fn(&ClassMap<Numbered>, u32) -> Result<(), Error> + Send + Sync>;

impl Numbered {
    fn types(
        count: u32,
        complete: impl Fn(&ClassMap<Self>, u32) -> Result<(), Error> + Send + Sync + 'static,
    ) -> ClassMap<Self> {
        ClassMap::new(Self {
            classes: (0..count).map(Arc::new).collect(),
            complete: Box::new(complete),
            owned: Mutex::default(),
        })
    }

    fn own(&self, wrapper: Arc<OnceLock<u32>>) {
        self.owned.lock().unwrap().push(wrapper);
    }
}

impl Wrap for Numbered {
    type Descriptor = Arc<u32>;
    type Wrapper = Arc<OnceLock<u32>>;
    type Error = Error;

    fn allocate(&self, _: &Arc<u32>) -> Result<Self::Wrapper, Error> {
        Ok(Arc::default())
    }

    fn initialise(
        &self,
        classes: &ClassMap<Self>,
        class: &Arc<u32>,
        wrapper: &Self::Wrapper,
    ) -> Result<(), Error> {
        (self.complete)(classes, **class)?;
        wrapper.set(**class).expect("initialised once");
        Ok(())
    }
}

/// A type that is shared while it is being completed is shared when it is complete, and given up with it: nobody else sees it before, or after that.
#[test]
fn a_type_is_not_shared_before_it_is_complete() {
    promptly(|| {
        let fails = Arc::new(AtomicBool::new(true));
        let seen: Arc<Mutex<Vec<Option<bool>>>> = Arc::default();
        // Class 0 leads to class 1, which has class 2 share the type of class 0.
        let complete = {
            let (fails, seen) = (Arc::clone(&fails), Arc::clone(&seen));
            move |types: &ClassMap<Numbered>, class: u32| {
                let [zero, one, two] = types.wrap().classes.first_chunk().unwrap();
                if class == 1 {
                    let shared = types.share(two, zero)?;
                    assert!(shared.get().is_none(), "a draft");
                    assert!(Arc::ptr_eq(&shared, &types.get(two).unwrap()));
                    return Ok(());
                }
                types.wrap().own(types.wrapper(one)?);
                // What another thread sees meanwhile.
                thread::scope(|scope| {
                    let looks = scope.spawn(|| types.get(two).map(|seen| seen.get().is_some()));
                    seen.lock().unwrap().push(looks.join().unwrap());
                });
                assert_eq!(types.len(), 0);
                match fails.load(SeqCst) {
                    true => Err(CreateError::Failed("class 0 is broken".to_string())),
                    false => Ok(()),
                }
            }
        };
        let types = Numbered::types(3, complete);
        let classes = types.wrap().classes.clone();
        assert!(types.wrapper(&classes[0]).is_err());
        types.wrap().owned.lock().unwrap().clear();
        assert!(classes.iter().all(|class| types.get(class).is_none()));
        fails.store(false, SeqCst);
        let made = types.wrapper(&classes[0]).unwrap();
        assert!(Arc::ptr_eq(&types.get(&classes[2]).unwrap(), &made));
        assert_eq!(made.get(), Some(&0));
        assert_eq!(types.descriptors(&made).len(), 2);
        assert_eq!(*seen.lock().unwrap(), [None, None]);
    });
}

/// Two threads build what leads to each other, and each has a third class share what the other one builds.
#[test]
fn a_type_that_is_shared_is_built_anew_when_another_thread_is_in_the_way() {
    for _ in 0..20 {
        promptly(|| {
            let (meet, times) = (Barrier::new(2), AtomicUsize::new(0));
            let types = Numbered::types(4, move |types, class| {
                // Both have begun.
                if times.fetch_add(1, SeqCst) < 2 {
                    meet.wait();
                }
                let (wrap, n) = (types.wrap(), class as usize);
                wrap.own(types.share(&wrap.classes[2 + n], &wrap.classes[1 - n])?);
                Ok(())
            });
            let classes = types.wrap().classes.clone();
            let made = thread::scope(|scope| {
                let types = &types;
                let builds = |n: usize| {
                    let class = classes[n].clone();
                    scope.spawn(move || types.wrapper(&class).unwrap())
                };
                [builds(0), builds(1)].map(|one| one.join().unwrap())
            });
            for (n, one) in made.iter().enumerate() {
                assert_eq!(one.get(), Some(&(n as u32)));
                assert!(Arc::ptr_eq(one, &types.get(&classes[n]).unwrap()));
                assert!(Arc::ptr_eq(one, &types.get(&classes[3 - n]).unwrap()));
            }
        });
    }
}

/// The deadlock of Jython 2.5.2 (#2487): one thread builds a type and needs a lock of the foreign system for it, the initialisation of its class. Another one is just initialising
/// that class, and asks for types. The map has no lock of its own that these could be about.
#[test]
fn who_initialises_a_class_may_ask_for_types_while_another_one_waits_for_it() {
    struct Foreign {
        initialisation: Mutex<()>,
        arrived: mpsc::Sender<()>,
    }
    impl Wrap for Foreign {
        type Descriptor = Arc<u32>;
        type Wrapper = Arc<u32>;
        type Error = Error;

        fn allocate(&self, class: &Arc<u32>) -> Result<Arc<u32>, Error> {
            Ok(Arc::new(**class))
        }

        fn initialise(
            &self,
            _: &ClassMap<Self>,
            class: &Arc<u32>,
            _: &Arc<u32>,
        ) -> Result<(), Error> {
            if **class == 0 {
                self.arrived.send(()).unwrap();
                drop(self.initialisation.lock().unwrap());
            }
            Ok(())
        }
    }
    promptly(|| {
        let (arrived, arrives) = mpsc::channel();
        let classes = ClassMap::new(Foreign {
            initialisation: Mutex::new(()),
            arrived,
        });
        let numbers = [0, 1, 2].map(Arc::new);
        let known = classes.wrapper(&numbers[1]).unwrap();
        thread::scope(|scope| {
            let initialising = classes.wrap().initialisation.lock().unwrap();
            let building = scope.spawn(|| classes.wrapper(&numbers[0]).unwrap());
            arrives.recv().unwrap();
            assert!(Arc::ptr_eq(&classes.wrapper(&numbers[1]).unwrap(), &known));
            assert_eq!(*classes.wrapper(&numbers[2]).unwrap(), 2);
            drop(initialising);
            assert_eq!(*building.join().unwrap(), 0);
        });
    });
}

/// Two threads that build for each other, each in the middle of the other's class, both end.
#[test]
fn two_threads_in_the_middle_of_each_other_both_end() {
    for _ in 0..50 {
        let types = types();
        let loader = Loader::new(2, |n| vec![1 - n]);
        let begin = Barrier::new(2);
        thread::scope(|scope| {
            for n in 0..2 {
                let (types, loader, begin) = (&types, &loader, &begin);
                scope.spawn(move || {
                    begin.wait();
                    assert!(is_complete(&types.wrapper(&loader.class(n)).unwrap()));
                });
            }
        });
        types.wrap().owned.lock().unwrap().clear();
    }
}
