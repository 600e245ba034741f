//! What is made on top of the maps: a layer that keeps values, functions with memory, signals.

use super::*;
use highlander::registries::after_fork::AfterFork;
use highlander::registries::class_map::{ClassMap, Wrap};
use highlander::registries::memo::Memo;
use highlander::registries::signals::{Receiver, Signal};
use highlander::registries::tree::Node;
use std::rc::Rc;

pub(super) fn all() {
    classes();
    recent();
    memo();
    signals();
    errors();
    after_fork();
    tree();
}

/// Errors that are kept, for keys that have failed and for others.
type Errors = RecentErrors<Thing, Thing>;

impl Place for Errors {
    const ACTS: &'static [Act<Self>] = acts! { |env, key|
        "get": hold(env.get(&Query(key)));
        "remove": env.remove(&Query(key));
        "or_try": env.or_try(&Thing::new(key), |_| Err::<(), _>(Thing::new(5)));
        "clear": env.clear();
        "expire": env.expire();
        "len": env.len();
        "shrink_to_fit": env.shrink_to_fit();
        "panic": give_up();
    };

    #[cfg(feature = "async")]
    fn other(this: &Arc<Self>, key: u32) -> Option<Other> {
        let this = Arc::clone(this);
        Some(Box::pin(async move {
            end(this.get(&Query(key)));
            end(this.remove(&Query(key)));
        }))
    }
}

fn errors() {
    let fail = |_: &Thing| Err::<Thing, _>(Thing::new(5));
    let make = || {
        let errors = Errors::new(1, Duration::from_secs(1000));
        end(errors.or_try(&Thing::new(HIT), fail));
        errors
    };
    let well = |errors: &Errors| {
        end(errors.or_try(&Thing::new(MISS), fail));
        assert_eq!(errors.get(&Query(MISS)).map(|error| error.0), Some(5));
        assert_eq!(errors.clear(), 1);
    };
    for key in [HIT, MISS] {
        let check = |name: &str, call: &dyn Fn(&Errors)| {
            check(&format!("RecentErrors::{name}({key})"), make, call, well);
        };
        check("get", &|errors| end(errors.get(&Query(key))));
        check("remove", &|errors| end(errors.remove(&Query(key))));
        check("or_try", &|errors| {
            let (key, captured) = (Thing::new(key), Dropped::new());
            let make = move |_: &Thing| {
                let failed = Thing::new(5);
                end(captured);
                Err::<Thing, _>(failed)
            };
            end(errors.or_try(&key, make))
        });
    }
}

fn after_fork() {
    let make = || {
        let (registered, object) = (AfterFork::new(), Strong::<true>::new(1));
        registered.register(&object, |_: &Strong<true>| step("never"));
        (RefCell::new(Some(object)), registered)
    };
    let call = |(object, registered): &(RefCell<Option<Strong<true>>>, AfterFork)| {
        // Meanwhile its last owner is whoever calls.
        end(registered.around(|| {
            end(object.take());
            Thing::new(2)
        }));
    };
    check("AfterFork::around", make, &call, |(object, registered)| {
        object.take();
        assert!(registered.is_empty());
    });
}

fn tree() {
    let make = || {
        let root = Node::new(Thing::new(1));
        let (one, two) = (root.add(Thing::new(2)), root.add(Thing::new(3)));
        (RefCell::new(Some(root)), (one, two))
    };
    type Nodes = (RefCell<Option<Node<Thing>>>, (Node<Thing>, Node<Thing>));
    let call = |(root, (one, two)): &Nodes| {
        assert!(one.next_sibling().as_ref() == Some(two));
        end(root.take());
        assert!(one.next_sibling().is_none());
    };
    check("Node::next_sibling", make, &call, |_| {});
}

/// Makes wrappers that lead to each other.
struct Wraps(Vec<Strong<true>>);

impl Wraps {
    fn descriptor(&self, number: u32) -> Strong<true> {
        let it = self.0.iter().find(|it| it.0 .0 == number);
        it.map_or_else(|| Strong::new(number), Strong::clone)
    }
}

impl Wrap for Wraps {
    type Descriptor = Strong<true>;
    type Wrapper = Strong<true>;
    type Error = CreateError<Dropped>;

    fn allocate(&self, _: &Strong<true>) -> Result<Strong<true>, Self::Error> {
        step("allocate");
        Ok(Strong::new(40))
    }

    fn initialise(
        &self,
        classes: &Classes,
        descriptor: &Strong<true>,
        _: &Strong<true>,
    ) -> Result<(), Self::Error> {
        step("initialise");
        let others: &[u32] = match descriptor.0 .0 {
            HIT => &[MISS, DEAD],
            MISS => &[HIT],
            DEAD => &[questions::FAMILY],
            questions::FAMILY => return Err(CreateError::Failed(Dropped::new())),
            _ => &[],
        };
        for other in others {
            // It does without those that fail.
            // Dropped before the error is returned, which would be lost if that panics.
            let descriptor = self.descriptor(*other);
            let wrapper = classes.wrapper(&descriptor);
            drop(descriptor);
            match wrapper {
                Ok(wrapper) => hold(wrapper),
                Err(CreateError::Failed(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

type Classes = ClassMap<Wraps>;

impl Place for Classes {
    const ACTS: &'static [Act<Self>] = acts! { |env, key|
        "wrapper": hold(env.wrapper(&env.wrap().descriptor(key)).ok());
        "wrapper, let go": env.wrapper(&env.wrap().descriptor(key));
        "get": hold(env.get(&env.wrap().descriptor(key)));
        "descriptor": env.get(&env.wrap().descriptor(key)).map(|it| hold(env.descriptor(&it)));
        "descriptors": env.get(&env.wrap().descriptor(key)).map(|it| hold(env.descriptors(&it)));
        "share": hold(env.share(&env.wrap().descriptor(key), &env.wrap().descriptor(HIT)).ok());
        "share, let go": env.share(&env.wrap().descriptor(key), &env.wrap().descriptor(MISS));
        "iter": env.iter().for_each(end);
        "len": env.len();
        "prune": env.prune();
        "panic": give_up();
    };

    #[cfg(feature = "async")]
    fn other(this: &Arc<Self>, key: u32) -> Option<Other> {
        let this = Arc::clone(this);
        Some(Box::pin(async move {
            end(this.get(&this.wrap().descriptor(key)));
        }))
    }
}

fn classes() {
    let make = || {
        let all = [HIT, MISS, DEAD, questions::FAMILY, 9];
        Classes::new(Wraps(all.map(Strong::new).into()))
    };
    let well = |classes: &Classes| {
        for key in [HIT, MISS, DEAD, 9] {
            let wrapper = classes.wrapper(&classes.wrap().descriptor(key));
            let wrapper = wrapper.expect("nothing is wrong with it");
            assert!(classes.get(&classes.wrap().descriptor(key)) == Some(wrapper));
        }
        drop(HELD.take());
        classes.prune();
        assert_eq!(classes.len(), 0);
    };
    for key in [HIT, MISS, DEAD, questions::FAMILY] {
        let check = |name: &str, call: &dyn Fn(&Classes)| {
            check(&format!("ClassMap::{name}({key})"), make, call, well);
        };
        check("wrapper", &|classes| {
            hold(classes.wrapper(&classes.wrap().descriptor(key)));
        });
        check("get", &|classes| {
            end(classes.get(&classes.wrap().descriptor(key)))
        });
        check("share", &|classes| {
            for other in [MISS, 9] {
                let wrap = classes.wrap();
                hold(classes.share(&wrap.descriptor(key), &wrap.descriptor(other)));
            }
        });
        check("iter", &|classes| {
            hold(classes.wrapper(&classes.wrap().descriptor(9)));
            classes.iter().for_each(|pair| {
                step("each");
                end(pair)
            })
        });
    }
}

type Kept = Recent<Registry<Thing, Thing, Hashes>>;

impl Place for Kept {
    const ACTS: &'static [Act<Self>] = acts! { |env, key|
        "get": hold(env.get(&Query(key)));
        "get_or_insert_with": hold(env.get_or_insert_with(Thing::new(key), |_| Thing::new(20)));
        "get_or_insert_with, let go": env.get_or_insert_with(Thing::new(key), |_| Thing::new(20));
        "get_or_try_insert_with": env.get_or_try_insert_with(Thing::new(key), |_| Err(Dropped::new()));
        "in the map": hold(env.map().get_or_insert_with(Thing::new(key), |_| Thing::new(20)));
        "family": family(env, key, false);
        "family that fails": family(env, key, true);
        "claim": env.entry(Thing::new(key)).claim_or_refused();
        "claim and fill": env.entry(Thing::new(key)).claim_or_refused().ok().and_then(Claim::vacant).map(|it| hold(it.fill(Thing::bare(20))));
        "keep": env.map().get(&Query(key)).map(|it| env.keep(&it));
        "release": env.map().get(&Query(key)).map(|it| env.release(&it));
        "remove": env.map().remove(&Query(key));
        "clear": env.clear();
        "expire": env.expire();
        "clear the map": env.map().clear();
        "len": env.len();
        "shrink_to_fit": env.shrink_to_fit();
        "panic": give_up();
    };

    fn get(&self, key: u32) {
        end(Kept::get(self, &Query(key)));
    }

    fn create(&self, key: u32, fails: bool, inside: &mut dyn FnMut()) {
        let allocate = |_: &Thing| Ok(Thing::new(40));
        let map = self.map();
        hold(
            map.entry(Thing::new(key))
                .or_try_create_cyclic(allocate, |_| ending(fails, inside)),
        )
    }

    #[cfg(feature = "async")]
    fn other(this: &Arc<Self>, key: u32) -> Option<Other> {
        let this = Arc::clone(this);
        Some(Box::pin(async move {
            let make = |_: &Thing| async { Thing::new(50) };
            end(this.get_or_insert_async(Thing::new(key), make).await);
        }))
    }
}

fn recent() {
    let make = || {
        let recent: Kept = Recent::new(Registry::with_hasher(Hashes { collide: false }), 1);
        end(recent.get_or_insert_with(Thing::new(HIT), |_| Thing::new(10)));
        recent
    };
    let well = |recent: &Kept| {
        for key in [HIT, MISS] {
            let value = recent.get_or_insert_with(Thing::new(key), |_| Thing::new(1));
            assert_eq!(recent.get(&Query(key)), Some(value));
        }
        assert_eq!((recent.len(), recent.map().len()), (1, 1));
    };
    for key in [HIT, MISS] {
        let check = |name: &str, call: &dyn Fn(&Kept)| {
            check(&format!("Recent::{name}({key})"), make, call, well)
        };
        check("get", &|it| end(it.get(&Query(key))));
        check("get_or_insert_with", &|it| {
            let captured = Dropped::new();
            end(it.get_or_insert_with(Thing::new(key), move |_| {
                let v = Thing::new(20);
                end(captured);
                v
            }))
        });
        #[cfg(feature = "async")]
        check("get_or_insert_async", &|it| {
            let captured = Dropped::new();
            end(pollster::block_on(it.get_or_insert_async(
                Thing::new(key),
                move |_: &Thing| async move {
                    let v = Thing::new(20);
                    end(captured);
                    v
                },
            )))
        });
        check("claim", &|it| end(it.entry(Thing::new(key)).claim()));
        check("clear", &|it| {
            it.clear();
            step("end")
        });
    }
}

type Remembered = Memo<Registry<Thing, Thing, Hashes>, fn(&Thing) -> Thing>;

impl Place for Remembered {
    const ACTS: &'static [Act<Self>] = acts! { |env, key|
        "get": hold(env.get(Thing::new(key)));
        "get, let go": env.get(Thing::new(key));
        "get_ref": hold(env.get_ref(&Query(key), |q| Thing::new(q.0)));
        "in the map": hold(env.map().get(&Query(key)));
        "family": family(env, key, false);
        "remove": env.map().remove(&Query(key));
        "clear": env.map().clear();
        "panic": give_up();
    };

    fn get(&self, key: u32) {
        end(self.map().get(&Query(key)));
    }

    fn create(&self, key: u32, fails: bool, inside: &mut dyn FnMut()) {
        let allocate = |_: &Thing| Ok(Thing::new(40));
        let map = self.map();
        hold(
            map.entry(Thing::new(key))
                .or_try_create_cyclic(allocate, |_| ending(fails, inside)),
        )
    }

    #[cfg(feature = "async")]
    fn other(this: &Arc<Self>, key: u32) -> Option<Other> {
        let this = Arc::clone(this);
        Some(Box::pin(async move {
            let make = |_: &Thing| async { Thing::new(50) };
            end(this.map().get_or_insert_async(Thing::new(key), make).await);
        }))
    }
}

fn memo() {
    fn make() -> Remembered {
        Memo::new(Registry::with_hasher(Hashes { collide: false }), |_| {
            step("f");
            Thing::new(5)
        })
    }
    check(
        "Memo::get",
        make,
        &|memo| end(memo.get(Thing::new(HIT))),
        |_| {},
    );
    check(
        "Memo::get twice",
        make,
        &|memo| {
            let one = memo.get(Thing::new(HIT));
            end(memo.get(Thing::new(HIT)));
            end(one)
        },
        |_| {},
    );
    check(
        "Memo::get_ref",
        make,
        &|memo| {
            let captured = Dropped::new();
            end(memo.get_ref(&Query(HIT), move |q| {
                let t = Thing::new(q.0);
                end(captured);
                t
            }))
        },
        |_| {},
    );
    check(
        "Memo::get_ref twice",
        make,
        &|memo| {
            let one = memo.get(Thing::new(HIT));
            let captured = Dropped::new();
            end(memo.get_ref(&Query(HIT), move |q| {
                let t = Thing::new(q.0);
                end(captured);
                t
            }));
            end(one)
        },
        |_| {},
    );
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Env>>> = const { RefCell::new(None) };
}

impl Place for Env {
    const ACTS: &'static [Act<Self>] = acts! { |env, key|
        "send": hold(env.signal.send(&key).ok());
        "send_robust": hold(env.signal.send_robust(&key).into_iter().filter_map(Result::ok).collect::<Vec<_>>());
        "send on the route": hold(env.signal.of(&env.sender).send(&key).ok());
        "connect": {
            let receiver = Receiver::new(|_: &u32| Thing::new(3));
            env.signal.connect(&receiver);
            hold(receiver)
        };
        "connect, let go": env.signal.connect(&Receiver::new(|_: &u32| Thing::new(3)));
        "connect_strong": {
            let receiver = Receiver::new(|_: &u32| Thing::new(3));
            env.signal.connect_strong(receiver.clone());
            end(env.signal.disconnect(&receiver))
        };
        "disconnect_all": env.signal.disconnect_all();
        "has_receivers": env.signal.has_receivers();
        "len": env.signal.len();
        "debug": hold(format!("{:?}", env.signal));
        "let go of receivers": env.kept.take();
        "let go of the object": env.object.take();
        "panic": give_up();
    };
}

impl Place for Rc<Env> {}

type Sig = Signal<u32, Thing, Strong<true>>;
struct Env {
    signal: Sig,
    kept: RefCell<Vec<Receiver<u32, Thing>>>,
    object: RefCell<Option<Strong<true>>>,
    sender: Strong<true>,
}

fn signals() {
    let make = || {
        let (signal, kept) = (Sig::default(), RefCell::default());
        let env = Env {
            signal,
            kept,
            object: RefCell::new(Some(Strong::new(7))),
            sender: Strong::new(3),
        };
        let connect = |env: &Env, fails: bool| {
            let captured = Dropped::new();
            let receiver = Receiver::fallible(move |_: &u32| {
                captured.used();
                step("receive");
                if fails {
                    Err("failed".into())
                } else {
                    Ok(Thing::new(1))
                }
            });
            assert!(env.signal.connect(&receiver));
            assert!(env.signal.of(&env.sender).connect(&receiver));
            env.kept.borrow_mut().push(receiver);
        };
        connect(&env, false);
        env.signal.connect_method(
            env.object.borrow().as_ref().unwrap(),
            |_: &Thing, _: &u32| {
                step("method");
                Thing::new(2)
            },
        );
        connect(&env, false);
        env
    };
    let well = |env: &Env| {
        end(env.signal.send_robust(&1));
        env.kept.take();
        env.object.take();
        assert_eq!(env.signal.send_robust(&1).len(), 0);
        assert_eq!(env.signal.len(), 0);
    };
    check("Signal::send", make, &|env| end(env.signal.send(&1)), well);
    check(
        "Signal::send_robust",
        make,
        &|env| end(env.signal.send_robust(&1)),
        |_| {},
    );
    #[cfg(feature = "async")]
    check(
        "Signal::send_async",
        make,
        &|env| end(pollster::block_on(env.signal.send_async(&1))),
        well,
    );
    #[cfg(feature = "async")]
    check(
        "Signal::send_robust_async",
        make,
        &|env| end(pollster::block_on(env.signal.send_robust_async(&1))),
        |_| {},
    );
    check(
        "Route::send",
        make,
        &|env| end(env.signal.of(&env.sender).send(&1)),
        well,
    );
    check(
        "Signal::disconnect_all",
        make,
        &|env| {
            step("one");
            env.signal.disconnect_all();
        },
        well,
    );
    // One that ends all while it is called.
    let well = |env: &Rc<Env>| {
        CURRENT.take();
        env.signal.disconnect_all();
    };
    let make = || {
        let env = Rc::new(make());
        CURRENT.set(Some(Rc::clone(&env)));
        let ender = Receiver::new(|_: &u32| {
            if let Some(env) = CURRENT.take() {
                let kept = env.kept.take();
                let object = env.object.take();
                env.signal.disconnect_all();
                end((kept, object));
            }
            Thing::new(8)
        });
        assert!(env.signal.connect_strong(ender));
        env
    };
    check(
        "Signal::send to one who ends all",
        make,
        &|env| end(env.signal.send(&1)),
        well,
    );
    check(
        "Signal::send_robust to one who ends all",
        make,
        &|env| end(env.signal.send_robust(&1)),
        well,
    );
    #[cfg(feature = "async")]
    check(
        "Signal::send_async to one who ends all",
        make,
        &|env| end(pollster::block_on(env.signal.send_async(&1))),
        well,
    );
}
