//! What is made on top of the maps: a layer that keeps values, functions with memory, signals.

use super::*;
use highlander::registries::after_fork::AfterFork;
use highlander::registries::memo::Memo;
use highlander::registries::signals::{Receiver, Signal};
use highlander::registries::tree::Node;
use std::rc::Rc;

pub(super) fn all() {
    recent();
    memo();
    signals();
    errors();
    after_fork();
    tree();
}

/// Errors that are kept, for keys that have failed and for others.
fn errors() {
    type Errors = RecentErrors<Thing, Thing>;
    let fail = |_: &Thing| Err::<Thing, _>(CreateError::Failed(Thing::new(5)));
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
                let failed = CreateError::Failed(Thing::new(5));
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
        (registered, RefCell::new(Some(object)))
    };
    let call = |(registered, object): &(AfterFork, RefCell<Option<Strong<true>>>)| {
        // Meanwhile its last owner is whoever calls.
        end(registered.around(|| {
            end(object.take());
            Thing::new(2)
        }));
    };
    check("AfterFork::around", make, &call, |(registered, object)| {
        object.take();
        assert!(registered.is_empty());
    });
}

fn tree() {
    let make = || {
        let root = Node::new(Thing::new(1));
        let (one, two) = (root.add(Thing::new(2)), root.add(Thing::new(3)));
        (RefCell::new(Some(root)), one, two)
    };
    type Nodes = (RefCell<Option<Node<Thing>>>, Node<Thing>, Node<Thing>);
    let call = |(root, one, two): &Nodes| {
        assert!(one.next_sibling().as_ref() == Some(two));
        end(root.take());
        assert!(one.next_sibling().is_none());
    };
    check("Node::next_sibling", make, &call, |_| {});
}

type Kept = Recent<Registry<Thing, Thing, Hashes>>;

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
                async move |_: &Thing| {
                    let v = Thing::new(20);
                    end(captured);
                    v
                },
            )))
        });
        check("claim", &|it| end(it.claim(Thing::new(key))));
        check("clear", &|it| {
            it.clear();
            step("end")
        });
    }
}

fn memo() {
    type M<F> = Memo<Registry<Thing, Thing, Hashes>, F>;
    fn make() -> M<impl Fn(&Thing) -> Thing> {
        Memo::new(
            Registry::with_hasher(Hashes { collide: false }),
            |_: &Thing| {
                step("f");
                Thing::new(5)
            },
        )
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
