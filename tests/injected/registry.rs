//! Every call of a registry.

use super::*;

struct Env {
    map: Registry<Thing, Thing, Hashes>,
    held: Held<Handle<Thing, Thing>>,
}

place! { [] Env, |env, key| key: () Thing::new(key), value: Thing,
    "or_insert_cyclic": hold(env.map.entry(Thing::new(key)).or_insert_cyclic(|_, weak| {
        hold(weak.clone());
        Thing::new(20)
    }));
    "compare_exchange": env.held.nth(0).map(|old| hold(env.map.compare_exchange(&old, Thing::new(20))));
    "remove_same": env.held.nth(0).map(|old| env.map.remove_same(&old));
    "keys": env.map.keys().for_each(end);
    "let go": env.held.let_go();
}

pub(super) fn all(collide: bool) {
    kind(collide, false);
    kind(collide, true);
}

fn kind(collide: bool, exclusive: bool) {
    let make = || {
        let map = if exclusive {
            Registry::with_hasher(Hashes { collide }).exclusive()
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
        check("entry_ref", &|env| {
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
            end(env
                .map
                .entry_ref(&Query(key))
                .key_with(owned)
                .or_insert_with(make))
        });
        check("or_insert_cyclic", &|env| {
            let captured = Dropped::new();
            let make = move |_: &Thing, _: &WeakHandle<Thing, Thing>| {
                let v = Thing::new(20);
                end(captured);
                v
            };
            end(env.map.entry(Thing::new(key)).or_insert_cyclic(make))
        });
        check("or_create_cyclic", &|env| {
            let (one, two) = (Dropped::new(), Dropped::new());
            let allocate = move |_: &Thing| {
                let v = Thing::new(20);
                end(one);
                v
            };
            let initialise = move |_: &Handle<Thing, Thing>| two.used();
            end(env
                .map
                .entry(Thing::new(key))
                .or_create_cyclic(allocate, initialise))
        });
        #[cfg(feature = "async")]
        check("get_or_insert_async", &|env| {
            let captured = Dropped::new();
            let make = move |_: &Thing| async move {
                let v = Thing::new(20);
                end(captured);
                v
            };
            end(pollster::block_on(
                env.map.get_or_insert_async(Thing::new(key), make),
            ))
        });
        check("claim", &|env| end(env.map.entry(Thing::new(key)).claim()));
        check("try_claim", &|env| {
            end(env.map.entry(Thing::new(key)).try_claim())
        });
        #[cfg(feature = "async")]
        check("claim_async", &|env| {
            end(pollster::block_on(
                env.map.entry(Thing::new(key)).claim_async(),
            ))
        });
        check("claim and fill", &|env| {
            if let Some(vacancy) = env.map.entry(Thing::new(key)).claim().vacant() {
                end(vacancy.fill(Thing::bare(20)));
            } else {
                step("nothing")
            }
        });
        check("claim and try_fill_with", &|env| {
            if let Some(vacancy) = env.map.entry(Thing::new(key)).claim().vacant() {
                let captured = Dropped::new();
                let make = move |_: &Thing| -> Result<Thing, ()> {
                    let v = Thing::new(20);
                    end(captured);
                    Ok(v)
                };
                end(vacancy.try_fill_with(make));
            } else {
                step("nothing")
            }
        });
        check("claim and try_fill_cyclic", &|env| {
            if let Some(vacancy) = env.map.entry(Thing::new(key)).claim().vacant() {
                let (one, two) = (Dropped::new(), Dropped::new());
                let allocate = move |_: &Thing| -> Result<Thing, ()> {
                    let v = Thing::new(20);
                    end(one);
                    Ok(v)
                };
                let init = move |_: &Handle<Thing, Thing>| -> Result<(), ()> {
                    two.used();
                    Ok(())
                };
                end(vacancy.try_fill_cyclic(allocate, init));
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
        check("compare_exchange", &|env| {
            if let Some(old) = env.held.nth(0) {
                end(env.map.compare_exchange(&old, Thing::new(20)))
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
        creations(key, check);
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
