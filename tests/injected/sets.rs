//! Every call of an interner and of a weak set.

use super::*;

struct Env<const R: bool> {
    set: WeakSet<Strong<R>, ByEquality, Hashes>,
    held: Held<Strong<R>>,
}

impl<const R: bool> Place for Env<R> {
    const ACTS: &'static [Act<Self>] = acts! { |env, key|
        "get": hold(env.set.get(&Query(key)));
        "contains": env.set.contains(&Query(key));
        "insert": env.set.insert(&env.held.numbered(key));
        "insert another": {
            let member = Strong::new(key);
            env.set.insert(&member);
            hold(member)
        };
        "get_or_insert": hold(env.set.get_or_insert(env.held.numbered(key)));
        "get_or_insert another": env.set.get_or_insert(Strong::new(key));
        "get_or_insert_with": {
            hold(env.set.get_or_insert_with(&Query(key), |_| env.held.numbered(key)))
        };
        "get_or_insert_with another": {
            env.set.get_or_insert_with(&Query(key), |_| Strong::new(key))
        };
        "remove": env.set.remove(&Query(key));
        "take": hold(env.set.take(&Query(key)));
        "first": hold(env.set.first());
        "pop_first": hold(env.set.pop_first());
        "create_with_token": hold(env.set.create_with_token(|_| Strong::new(20)));
        "retain": env.set.retain(|_| false);
        "for_each": env.set.for_each(|_| {});
        "extend": env.set.extend([env.held.numbered(key), Strong::new(20)]);
        "drain": env.set.drain();
        "clear": env.set.clear();
        "iter": env.set.iter().for_each(end);
        "prune": env.set.prune();
        "len": env.set.len();
        "reserve": env.set.reserve(1000);
        "shrink_to_fit": env.set.shrink_to_fit();
        "union": env.set.union(&env.set);
        "debug": hold(format!("{:?}", env.set));
        "panic": give_up();
        "let go": env.held.let_go();
    };

    #[cfg(feature = "async")]
    fn other(this: &Arc<Self>, key: u32) -> Option<Other> {
        let this = Arc::clone(this);
        Some(Box::pin(async move {
            let member = this.set.get_or_insert(Strong::new(key));
            end(this.set.remove(&*member.0));
        }))
    }
}

struct Interned_ {
    interner: Interner<Thing, Hashes>,
    held: Held<Interned<Thing>>,
}

impl Place for Interned_ {
    const ACTS: &'static [Act<Self>] = acts! { |env, key|
        "get": hold(env.interner.get(&Query(key)));
        "get, let go": env.interner.get(&Query(key));
        "contains": env.interner.contains(&Query(key));
        "intern": hold(env.interner.intern(&Thing::new(key)));
        "intern_owned": hold(env.interner.intern_owned(Thing::new(key)));
        "intern_owned, let go": env.interner.intern_owned(Thing::new(key));
        "intern_with": hold(env.interner.intern_with(&Query(key), |q| Thing::new(q.0)));
        "iter": env.interner.iter().for_each(end);
        "len": env.interner.len();
        "reserve": env.interner.reserve(1000);
        "shrink_to_fit": env.interner.shrink_to_fit();
        "debug": hold(format!("{:?}", env.interner));
        "panic": give_up();
        "let go": env.held.let_go();
    };

    #[cfg(feature = "async")]
    fn other(this: &Arc<Self>, key: u32) -> Option<Other> {
        let this = Arc::clone(this);
        Some(Box::pin(async move {
            end(this.interner.intern_owned(Thing::new(key)));
        }))
    }
}

pub(super) fn interner(collide: bool) {
    let make = || {
        let interner = Interner::with_hasher(Hashes { collide });
        let held = vec![
            interner.intern_owned(Thing::new(HIT)),
            interner.intern_owned(Thing::new(9)),
        ];
        end(interner.intern_owned(Thing::new(DEAD)));
        let held = Held::new(held);
        Interned_ { interner, held }
    };
    let well = |env: &Interned_| {
        for key in [HIT, MISS, DEAD] {
            let value = env.interner.intern_owned(Thing::new(key));
            assert_eq!(env.interner.get(&Query(key)), Some(value));
        }
        assert_eq!(env.interner.len(), env.held.all().len());
    };
    for key in [HIT, MISS, DEAD] {
        let check = |name: &str, call: &dyn Fn(&Interned_)| {
            check(
                &format!("Interner::{name}({key}), collide {collide}"),
                make,
                call,
                well,
            )
        };
        check("get", &|env| end(env.interner.get(&Query(key))));
        check("contains", &|env| end(env.interner.contains(&Query(key))));
        check("intern", &|env| {
            let thing = Thing::new(key);
            end(env.interner.intern(&thing))
        });
        check("intern_owned", &|env| {
            end(env.interner.intern_owned(Thing::new(key)))
        });
        check("intern_with", &|env| {
            let captured = Dropped::new();
            end(env.interner.intern_with(&Query(key), move |q| {
                let t = Thing::new(q.0);
                end(captured);
                t
            }))
        });
        check("the last drop", &|env| {
            step("one");
            env.held.let_go()
        });
        check("iter", &|env| {
            env.interner.iter().for_each(|h| {
                step("each");
                end(h)
            })
        });
    }
}

pub(super) fn sets<const R: bool>(collide: bool) {
    let make = || {
        let set = WeakSet::with_hasher(Hashes { collide });
        let held = vec![
            Strong::new(HIT),
            Strong::new(9),
            Strong::new(MISS),
            Strong::new(DEAD),
            Strong::new(HIT),
        ];
        set.insert(&held[0]);
        set.insert(&held[1]);
        set.insert(&Strong::new(DEAD));
        let held = Held::new(held);
        Env::<R> { set, held }
    };
    let well = |env: &Env<R>| {
        for key in &env.held.all() {
            let member = env.set.get_or_insert(Strong::clone(key));
            assert_eq!(env.set.get(&*key.0), Some(member));
        }
        env.set.prune();
        let live = env.set.iter().count();
        assert_eq!((env.set.entry_count(), env.set.len()), (live, live));
        assert_eq!(env.set.clear(), live);
        assert_eq!(env.set.entry_count(), 0);
    };
    for nth in [0, 2, 3, 4] {
        let number = [HIT, 9, MISS, DEAD, HIT][nth];
        let check = |name: &str, call: &dyn Fn(&Env<R>, &Strong<R>)| {
            check(
                &format!("WeakSet::{name}({nth}), reports {R}, collide {collide}"),
                make,
                &|env| {
                    let held = env.held.all();
                    if let Some(key) = held.get(nth) {
                        call(env, key)
                    }
                },
                well,
            )
        };
        let query = Query(number);
        check("get", &|env, _| end(env.set.get(&query)));
        check("contains", &|env, _| end(env.set.contains(&query)));
        check("insert", &|env, key| end(env.set.insert(key)));
        check("get_or_insert", &|env, key| {
            end(env.set.get_or_insert(key.clone()))
        });
        check("get_or_insert_with", &|env, _| {
            let captured = Dropped::new();
            end(env.set.get_or_insert_with(&query, move |query| {
                step("make");
                let p = Strong::new(query.0);
                end(captured);
                p
            }))
        });
        check("remove", &|env, _| end(env.set.remove(&query)));
        check("take", &|env, _| end(env.set.take(&query)));
        check("first", &|env, _| end(env.set.first()));
        check("pop_first", &|env, _| end(env.set.pop_first()));
        check("create_with_token", &|env, _| {
            let captured = Dropped::new();
            end(env.set.create_with_token(move |token| {
                end(token);
                let p = Strong::new(20);
                end(captured);
                p
            }))
        });
        check("retain", &|env, _| {
            let captured = Dropped::new();
            end(env.set.retain(move |_| {
                captured.used();
                step("keep");
                false
            }))
        });
        check("for_each", &|env, _| {
            let captured = Dropped::new();
            env.set.for_each(move |p| {
                captured.used();
                step("each");
                end(p)
            })
        });
        check("try_for_each", &|env, _| {
            let captured = Dropped::new();
            end(env.set.try_for_each(move |p| {
                captured.used();
                step("each");
                std::ops::ControlFlow::Break(p)
            }))
        });
        check("extend", &|env, key| {
            env.set.extend([key.clone(), Strong::new(20)])
        });
        check("drain", &|env, _| end(env.set.drain()));
        check("clear", &|env, _| {
            env.set.clear();
            step("end")
        });
        check("prune", &|env, _| {
            env.set.prune();
            step("end")
        });
        check("shrink_to_fit", &|env, _| {
            env.set.shrink_to_fit();
            step("end")
        });
        check("iter", &|env, _| {
            env.set.iter().for_each(|h| {
                step("each");
                end(h)
            })
        });
        check("union", &|env, _| end(env.set.union(&env.set)));
        check("intersection", &|env, _| {
            end(env.set.intersection(&env.set))
        });
        check("eq", &|env, _| end(env.set.is_subset(&env.set)));
    }
    check(
        &format!("WeakSet, the last drop, reports {R}, collide {collide}"),
        make,
        &|env| {
            step("one");
            env.held.let_go()
        },
        |env| {
            env.held.let_go();
            env.set.prune();
            assert_eq!(env.set.entry_count(), 0);
        },
    );
    check(
        &format!("WeakSet, its drop, reports {R}, collide {collide}"),
        || {
            let Env { set, held } = make();
            (RefCell::new(Some(set)), held)
        },
        &|(map, _): &(RefCell<Option<_>>, _)| {
            step("one");
            end(map.take())
        },
        |_| {},
    );
}

/// Members by address, and by their weak pointers.
struct Placed<const R: bool> {
    set: WeakSet<Strong<R>, ByAddress, Hashes>,
    held: Held<Strong<R>>,
}

impl<const R: bool> Placed<R> {
    /// The weak pointer of the one with this number, or a dead one.
    fn weak(&self, number: u32) -> Weak<R> {
        let one = self.held.numbered(number);
        let weak = Pointer::downgrade(&one);
        end(one);
        weak
    }
}

impl<const R: bool> Place for Placed<R> {
    const ACTS: &'static [Act<Self>] = acts! { |env, key|
        "insert": env.set.insert(&env.held.numbered(key));
        "insert_weak": env.set.insert_weak(&env.weak(key));
        "insert_weak_with_token": env.set.insert_weak_with_token(&env.weak(key), &Token::new());
        "remove_weak": env.set.remove_weak(&env.weak(key));
        "iter": env.set.iter().for_each(end);
        "clear": env.set.clear();
        "prune": env.set.prune();
        "len": env.set.len();
        "panic": give_up();
        "let go": env.held.let_go();
    };

    #[cfg(feature = "async")]
    fn other(this: &Arc<Self>, key: u32) -> Option<Other> {
        let this = Arc::clone(this);
        Some(Box::pin(async move {
            let weak = this.weak(key);
            this.set.insert_weak(&weak);
            end(this.set.remove_weak(&weak));
        }))
    }
}

pub(super) fn placed<const R: bool>(collide: bool) {
    let make = || {
        let set = WeakSet::with_hasher(Hashes { collide });
        let held = vec![Strong::new(HIT), Strong::new(9), Strong::new(MISS)];
        set.insert(&held[0]);
        set.insert(&held[1]);
        set.insert(&Strong::new(DEAD));
        let held = Held::new(held);
        Placed::<R> { set, held }
    };
    let well = |env: &Placed<R>| {
        for member in &env.held.all() {
            end(env.set.insert(member));
            assert!(env.set.contains(member));
        }
        env.set.prune();
        assert_eq!(env.set.len(), env.set.iter().count());
        // Those that nobody has seen alive among them.
        end(env.set.clear());
        assert_eq!(env.set.entry_count(), 0);
    };
    for number in [HIT, MISS, DEAD] {
        let check = |name: &str, call: &dyn Fn(&Placed<R>)| {
            check(
                &format!("WeakSet::{name}({number}), by address, reports {R}, collide {collide}"),
                make,
                call,
                well,
            )
        };
        check("insert_weak", &|env| {
            end(env.set.insert_weak(&env.weak(number)))
        });
        check("insert_weak_with_token", &|env| {
            let token = Token::new();
            end(env.set.insert_weak_with_token(&env.weak(number), &token));
            step("token");
            end(token)
        });
        check("remove_weak", &|env| {
            end(env.set.remove_weak(&env.weak(number)))
        });
        check("remove_weak of one that does not live", &|env| {
            let weak = env.weak(20);
            end(env.set.insert_weak(&weak));
            end(env.set.remove_weak(&weak))
        });
    }
}
