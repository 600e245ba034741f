//! Every call of a registry.

use super::*;

struct Env {
    map: Registry<Thing, Thing, Hashes>,
    held: Held<Handle<Thing, Thing>>,
}

impl Place for Env {
    const ACTS: &'static [Act<Self>] = acts! { |env, key|
        "get": hold(env.map.get(&Query(key)));
        "get, let go": env.map.get(&Query(key));
        "try_get": hold(env.map.try_get(&Query(key)));
        "contains_key": env.map.contains_key(&Query(key));
        "get_or_insert_with": hold(env.map.get_or_insert_with(Thing::new(key), |_| Thing::new(20)));
        "get_or_insert_with, let go": env.map.get_or_insert_with(Thing::new(key), |_| Thing::new(20));
        "get_or_try_insert_with": env.map.get_or_try_insert_with(Thing::new(key), |_| Err(Dropped::new()));
        "get_or_insert_with_ref": hold(env.map.get_or_insert_with_ref(&Query(key), |q| Thing::new(q.0), |_| Thing::new(20)));
        "get_or_insert_cyclic": hold(env.map.get_or_insert_cyclic(Thing::new(key), |_, weak| {
            hold(weak.clone());
            Thing::new(20)
        }));
        "family": family(env, key, false);
        "family that fails": family(env, key, true);
        "claim": env.map.claim(Thing::new(key));
        "try_claim": env.map.try_claim(Thing::new(key));
        "claim and fill": env.map.claim(Thing::new(key)).ok().and_then(Claim::vacant).map(|it| hold(it.fill(Thing::bare(20))));
        "try_insert": env.map.try_insert(Thing::new(key), Thing::new(20));
        "insert": hold(env.map.insert(Thing::new(key), Thing::new(20)));
        "replace_same": env.held.nth(0).map(|old| hold(env.map.replace_same(&old, Thing::new(20))));
        "remove": hold(env.map.remove(&Query(key)));
        "remove, let go": env.map.remove(&Query(key));
        "remove_if": env.map.remove_if(&Query(key), |_, _| true);
        "remove_same": env.held.nth(0).map(|old| env.map.remove_same(&old));
        "retain": env.map.retain(|_, _| false);
        "clear": env.map.clear();
        "iter": env.map.iter().for_each(end);
        "keys": env.map.keys().for_each(end);
        "len": env.map.len();
        "reserve": env.map.reserve(1000);
        "shrink_to_fit": env.map.shrink_to_fit();
        "debug": hold(format!("{:?}", env.map));
        "panic": give_up();
        "let go": env.held.let_go();
    };

    fn get(&self, key: u32) {
        end(self.map.get(&Query(key)));
    }

    fn create(&self, key: u32, fails: bool, inside: &mut dyn FnMut()) {
        let made = self.map.get_or_try_create_cyclic(
            Thing::new(key),
            |_| Ok(Thing::new(40)),
            |_| {
                inside();
                if fails {
                    Err(CreateError::Failed(()))
                } else {
                    Ok(())
                }
            },
        );
        hold(made)
    }

    #[cfg(feature = "async")]
    fn other(this: &Arc<Self>, key: u32) -> Option<Other> {
        let this = Arc::clone(this);
        Some(Box::pin(async move {
            let make = async |_: &Thing| Thing::new(50);
            end(this.map.get_or_insert_async(Thing::new(key), make).await);
        }))
    }
}

pub(super) fn all(collide: bool) {
    kind(collide, false);
    kind(collide, true);
}

fn kind(collide: bool, exclusive: bool) {
    let make = || {
        let map = if exclusive {
            Registry::exclusive_with_hasher(Hashes { collide })
        } else {
            Registry::with_hasher(Hashes { collide })
        };
        let held = vec![
            map.insert(Thing::new(HIT), Thing::new(10)).0,
            map.insert(Thing::new(9), Thing::new(90)).0,
        ];
        end(map.insert(Thing::new(DEAD), Thing::new(30)));
        let held = Held::new(held);
        Env { map, held }
    };
    let well = |env: &Env| {
        end(env
            .map
            .get_or_insert_with(Thing::new(MISS), |_| Thing::new(20)));
        for key in [HIT, MISS, DEAD] {
            let value = env
                .map
                .get_or_insert_with(Thing::new(key), |_| Thing::new(1));
            assert_eq!(Handle::key(&value).0, key);
            assert_eq!(env.map.get(&Query(key)), Some(value));
        }
        env.map.retain(|_, _| true);
    };
    for key in [HIT, MISS, DEAD] {
        let check = |name: &str, call: &dyn Fn(&Env)| {
            check(
                &format!("Registry::{name}({key}), collide {collide}, exclusive {exclusive}"),
                make,
                call,
                well,
            )
        };
        check("get", &|env| end(env.map.get(&Query(key))));
        check("contains_key", &|env| {
            end(env.map.contains_key(&Query(key)))
        });
        check("try_get", &|env| end(env.map.try_get(&Query(key))));
        check("get_or_insert_with", &|env| {
            let captured = Dropped::new();
            let make = move |_: &Thing| {
                step("make");
                let v = Thing::new(20);
                end(captured);
                v
            };
            end(env.map.get_or_insert_with(Thing::new(key), make))
        });
        check("get_or_try_insert_with", &|env| {
            let captured = Dropped::new();
            let make = move |_: &Thing| -> Result<Thing, Dropped> {
                end(captured);
                Err(Dropped::new())
            };
            end(env.map.get_or_try_insert_with(Thing::new(key), make))
        });
        check("get_or_insert_with_ref", &|env| {
            let (one, two) = (Dropped::new(), Dropped::new());
            let owned = move |q: &Query| {
                let k = Thing::new(q.0);
                end(one);
                k
            };
            let make = move |_: &Thing| {
                let v = Thing::new(20);
                end(two);
                v
            };
            end(env.map.get_or_insert_with_ref(&Query(key), owned, make))
        });
        check("get_or_insert_cyclic", &|env| {
            let captured = Dropped::new();
            let make = move |_: &Thing, _: &WeakHandle<Thing, Thing>| {
                let v = Thing::new(20);
                end(captured);
                v
            };
            end(env.map.get_or_insert_cyclic(Thing::new(key), make))
        });
        check("get_or_create_cyclic", &|env| {
            let (one, two) = (Dropped::new(), Dropped::new());
            let allocate = move |_: &Thing| {
                let v = Thing::new(20);
                end(one);
                v
            };
            let initialise = move |_: &Handle<Thing, Thing>| two.used();
            end(env
                .map
                .get_or_create_cyclic(Thing::new(key), allocate, initialise))
        });
        #[cfg(feature = "async")]
        check("get_or_insert_async", &|env| {
            let captured = Dropped::new();
            let make = async move |_: &Thing| {
                let v = Thing::new(20);
                end(captured);
                v
            };
            end(pollster::block_on(
                env.map.get_or_insert_async(Thing::new(key), make),
            ))
        });
        check("claim", &|env| end(env.map.claim(Thing::new(key))));
        check("try_claim", &|env| end(env.map.try_claim(Thing::new(key))));
        #[cfg(feature = "async")]
        check("claim_async", &|env| {
            end(pollster::block_on(env.map.claim_async(Thing::new(key))))
        });
        check("claim and fill", &|env| {
            if let Some(vacancy) = env.map.claim(Thing::new(key)).ok().and_then(Claim::vacant) {
                end(vacancy.fill(Thing::bare(20)));
            } else {
                step("nothing")
            }
        });
        check("claim and create", &|env| {
            if let Some(vacancy) = env.map.claim(Thing::new(key)).ok().and_then(Claim::vacant) {
                let captured = Dropped::new();
                let make = move |_: &Thing| -> Result<Thing, CreateError<()>> {
                    let v = Thing::new(20);
                    end(captured);
                    Ok(v)
                };
                end(vacancy.create(make));
            } else {
                step("nothing")
            }
        });
        check("claim and create_cyclic", &|env| {
            if let Some(vacancy) = env.map.claim(Thing::new(key)).ok().and_then(Claim::vacant) {
                let (one, two) = (Dropped::new(), Dropped::new());
                let allocate = move |_: &Thing| -> Result<Thing, CreateError<()>> {
                    let v = Thing::new(20);
                    end(one);
                    Ok(v)
                };
                let init = move |_: &Handle<Thing, Thing>| -> Result<(), CreateError<()>> {
                    two.used();
                    Ok(())
                };
                end(vacancy.create_cyclic(allocate, init));
            } else {
                step("nothing")
            }
        });
        check("try_insert", &|env| {
            end(env.map.try_insert(Thing::new(key), Thing::new(20)))
        });
        check("insert", &|env| {
            end(env.map.insert(Thing::new(key), Thing::new(20)))
        });
        check("remove", &|env| end(env.map.remove(&Query(key))));
        check("replace_same", &|env| {
            if let Some(old) = env.held.nth(0) {
                end(env.map.replace_same(&old, Thing::new(20)))
            }
        });
        check("remove_if", &|env| {
            let captured = Dropped::new();
            end(env.map.remove_if(&Query(key), move |_, _| {
                captured.used();
                step("condition");
                true
            }))
        });
        check("retain", &|env| {
            let captured = Dropped::new();
            end(env.map.retain(move |_, _| {
                captured.used();
                step("keep");
                false
            }))
        });
        check("clear", &|env| {
            env.map.clear();
            step("end")
        });
        check("iter", &|env| {
            env.map.iter().for_each(|h| {
                step("each");
                end(h)
            })
        });
        check("keys", &|env| {
            env.map.keys().for_each(|h| {
                step("each");
                end(h)
            })
        });
        check("iter alone", &|env| {
            step("one");
            end(env.map.iter())
        });
        check("eq of handles", &|env| {
            end(env.held.nth(0) == env.held.nth(1))
        });
        #[cfg(feature = "async")]
        check("get_or_insert_async, later", &|env| {
            let captured = Dropped::new();
            let make = async move |_: &Thing| {
                step("make");
                yield_once().await;
                let v = Thing::new(20);
                end(captured);
                v
            };
            end(pollster::block_on(
                env.map.get_or_insert_async(Thing::new(key), make),
            ))
        });
        #[cfg(feature = "async")]
        check("get_or_insert_async, given up", &|env| {
            let captured = Dropped::new();
            let make = async move |_: &Thing| {
                step("make");
                yield_once().await;
                let v = Thing::new(20);
                end(captured);
                v
            };
            poll_once(env.map.get_or_insert_async(Thing::new(key), make))
        });
        check("family", &|env| family(env, key, false));
        check("family that fails", &|env| family(env, key, true));
    }
    check(
        &format!("Registry, the last drop, collide {collide}, exclusive {exclusive}"),
        make,
        &|env| {
            step("one");
            env.held.let_go()
        },
        |env| {
            env.held.let_go();
            assert!(env.map.is_empty());
            well(env);
        },
    );
}
