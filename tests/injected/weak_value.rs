//! Every call of a map with weak values.

use super::*;

type Map<const R: bool> = WeakValueMap<Thing, Strong<R>, Hashes>;

struct Env<const R: bool> {
    map: Map<R>,
    held: Held<Strong<R>>,
}

place_of_map! { [const R: bool] Env<R>, |env, key| key: () Thing::new(key), value: Strong,
    "prune": env.map.prune();
    "let go": env.held.let_go();
    "compare_exchange": env.held.nth(0).map(|it| hold(env.map.compare_exchange(Thing::new(key), &it, Strong::new(20)).ok()));
    "remove_same": env.held.nth(0).map(|it| env.map.remove_same(&Query(key), &it));
}

pub(super) fn maps<const R: bool>(collide: bool) {
    all::<R>(collide, false, |map| map);
}

/// A panic leaves nothing that others would wait for.
pub(super) fn exclusive_maps(collide: bool) {
    all::<true>(collide, true, Map::exclusive);
}

fn all<const R: bool>(collide: bool, exclusive: bool, set: fn(Map<R>) -> Map<R>) {
    let make = || {
        let map = Map::with_hasher(Hashes { collide }).on_remove(|_, _| step("hook"));
        let map = set(map);
        let held = vec![Strong::new(10), Strong::new(90)];
        map.insert(Thing::new(HIT), held[0].clone());
        map.insert(Thing::new(9), held[1].clone());
        map.insert(Thing::new(DEAD), Strong::new(30));
        Env::<R> {
            map,
            held: Held::new(held),
        }
    };
    let well = |env: &Env<R>| {
        end(env
            .map
            .get_or_insert_with(Thing::new(MISS), |_| Strong::new(20)));
        for key in [HIT, MISS, DEAD] {
            let value = env
                .map
                .get_or_insert_with(Thing::new(key), |_| Strong::new(1));
            assert_eq!(env.map.get(&Query(key)), Some(value));
        }
        env.map.prune();
        let live = env.map.len();
        assert_eq!(env.map.entry_count(), live);
        assert_eq!(env.map.clear(), live);
        assert_eq!(env.map.entry_count(), 0);
        let stats = env.map.stats();
        let gone = stats.replaced + stats.removed + stats.dead_seen + stats.pruned + stats.reported;
        assert_eq!(stats.created + stats.inserted, gone, "{stats:?}");
    };
    for key in [HIT, MISS, DEAD] {
        let check = |name: &str, call: &dyn Fn(&Env<R>)| {
            check(
                &format!("WeakValueMap::{name}({key}), reports {R}, collide {collide}, exclusive {exclusive}"),
                make,
                call,
                well,
            )
        };
        check("get", &|env| end(env.map.get(&Query(key))));
        check("with", &|env| {
            let captured = Dropped::new();
            end(env.map.with(&Query(key), move |v| {
                let v = v.clone();
                end(captured);
                v
            }))
        });
        check("get_key_value", &|env| {
            end(env.map.get_key_value(&Query(key)))
        });
        check("try_get", &|env| end(env.map.try_get(&Query(key))));
        check("contains_key", &|env| {
            end(env.map.contains_key(&Query(key)))
        });
        check("get_or_insert_with", &|env| {
            let captured = Dropped::new();
            let make = move |_: &Thing| {
                step("make");
                let v = Strong::new(20);
                end(captured);
                v
            };
            end(env.map.get_or_insert_with(Thing::new(key), make))
        });
        check("get_or_try_insert_with", &|env| {
            let captured = Dropped::new();
            let make = move |_: &Thing| -> Result<Strong<R>, Dropped> {
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
                let v = Strong::new(20);
                end(two);
                v
            };
            end(env
                .map
                .entry_ref(&Query(key))
                .key_with(owned)
                .or_insert_with(make))
        });
        for is_valid in [false, true] {
            check(&format!("valid_if {is_valid}"), &|env| {
                let (one, two) = (Dropped::new(), Dropped::new());
                let is_valid = move |_: &Strong<R>| {
                    one.used();
                    step("is_valid");
                    is_valid
                };
                let make = move |_: &Thing| {
                    let v = Strong::new(20);
                    end(two);
                    v
                };
                end(env
                    .map
                    .entry(Thing::new(key))
                    .valid_if(is_valid)
                    .or_insert_with(make))
            });
        }
        check("or_create_cyclic", &|env| {
            let (one, two) = (Dropped::new(), Dropped::new());
            let allocate = move |_: &Thing| {
                let v = Strong::new(20);
                end(one);
                v
            };
            let initialise = move |_: &Strong<R>| two.used();
            end(env
                .map
                .entry(Thing::new(key))
                .or_create_cyclic(allocate, initialise))
        });
        #[cfg(feature = "async")]
        check("get_or_insert_async", &|env| {
            let captured = Dropped::new();
            let make = move |_: &Thing| async move {
                let v = Strong::new(20);
                end(captured);
                v
            };
            end(pollster::block_on(
                env.map.get_or_insert_async(Thing::new(key), make),
            ))
        });
        check("or_insert_with_token", &|env| {
            let captured = Dropped::new();
            let make = move |_: &Thing, token: Token| {
                end(token);
                let v = Strong::new(20);
                end(captured);
                v
            };
            end(env.map.entry(Thing::new(key)).or_insert_with_token(make))
        });
        creations(key, check);
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
                end(vacancy.fill(Strong::bare(20)));
            } else {
                step("nothing")
            }
        });
        check("try_insert", &|env| {
            end(env.map.try_insert(Thing::new(key), Strong::new(20)))
        });
        check("insert", &|env| {
            end(env.map.insert(Thing::new(key), Strong::new(20)))
        });
        check("update if present", &|env| {
            let captured = Dropped::new();
            end(env.map.update(Thing::new(key), move |old| {
                captured.used();
                step("condition");
                old.map(|_| Strong::new(20))
            }))
        });
        check("compare_exchange", &|env| {
            if let Some(old) = env.held.nth(0) {
                end(env
                    .map
                    .compare_exchange(Thing::new(key), &old, Strong::new(20)))
            }
        });
        check("update", &|env| {
            let captured = Dropped::new();
            end(env.map.update(Thing::new(key), move |_| {
                captured.used();
                step("update");
                Some(Strong::new(20))
            }))
        });
        check("update to nothing", &|env| {
            let captured = Dropped::new();
            end(env.map.update(Thing::new(key), move |_| {
                captured.used();
                step("update");
                None
            }))
        });
        check("update to the same", &|env| {
            let captured = Dropped::new();
            end(env.map.update(Thing::new(key), move |old| {
                captured.used();
                step("update");
                old.cloned()
            }))
        });
        check("remove", &|env| end(env.map.remove(&Query(key))));
        check("remove_if", &|env| {
            let captured = Dropped::new();
            end(env.map.remove_if(&Query(key), move |_, _| {
                captured.used();
                step("condition");
                true
            }))
        });
        check("remove_same", &|env| {
            if let Some(value) = env.held.nth(0) {
                end(env.map.remove_same(&Query(key), &value))
            }
        });
        check("remove_with", &|env| {
            let captured = Dropped::new();
            end(env.map.remove_with(&Query(key), move |v| {
                let v = v.clone();
                end(captured);
                v
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
        check("for_each", &|env| {
            let captured = Dropped::new();
            env.map.for_each(move |_, _| {
                captured.used();
                step("each");
            })
        });
        check("clear", &|env| {
            env.map.clear();
            step("end")
        });
        check("prune", &|env| {
            env.map.prune();
            step("end")
        });
        check("len", &|env| {
            env.map.len();
            step("end")
        });
        check("shrink_to_fit", &|env| {
            env.map.shrink_to_fit();
            step("end")
        });
        check("drain", &|env| end(env.map.drain()));
        check("close", &|env| {
            let map = Map::<R>::with_hasher(Hashes { collide });
            (&map).extend(&env.map);
            end(map.close())
        });
        check("pop", &|env| end(env.map.pop()));
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
        check("values", &|env| {
            env.map.values().for_each(|h| {
                step("each");
                end(h)
            })
        });
        check("union", &|env| {
            let union = env.map.clone();
            (&union).extend(&env.map);
            end(union)
        });
        check("eq", &|env| end(env.map.eq(&env.map)));
    }
    // The drop of an owner, which is reported or not.
    check(
        &format!(
            "WeakValueMap, the last drop, reports {R}, collide {collide}, exclusive {exclusive}"
        ),
        make,
        &|env| {
            step("one");
            env.held.let_go()
        },
        |env| {
            env.held.let_go();
            env.map.prune();
            assert_eq!(env.map.entry_count(), 0);
        },
    );
    check(
        &format!("WeakValueMap, its drop, reports {R}, collide {collide}, exclusive {exclusive}"),
        || {
            let Env { map, held } = make();
            (RefCell::new(Some(map)), held)
        },
        &|(map, _): &(RefCell<Option<_>>, _)| {
            step("one");
            end(map.take())
        },
        |_| {},
    );
}
