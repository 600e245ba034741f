//! Every call of a map with weak keys.

use super::*;

struct Env<const R: bool> {
    map: WeakKeyMap<Strong<R>, Thing, ByEquality, Hashes>,
    held: Held<Strong<R>>,
}

place_of_map! { [const R: bool] Env<R>, |env, key| key: (&) env.held.numbered(key), value: Thing,
    "prune": env.map.prune();
    "let go": env.held.let_go();
    "and_view": env.map.entry(&env.held.numbered(key)).and_view(|_| ()).or_insert(Thing::new(20));
}

pub(super) fn maps<const R: bool>(collide: bool) {
    let make = || {
        let map = WeakKeyMap::with_hasher(Hashes { collide }).on_remove(|_, _| step("hook"));
        let held = vec![
            Strong::new(HIT),
            Strong::new(9),
            Strong::new(MISS),
            Strong::new(DEAD),
            Strong::new(HIT),
            Strong::new(questions::OUTER),
            Strong::new(questions::FAMILY),
        ];
        map.insert(&held[0], Thing::new(10));
        map.insert(&held[1], Thing::new(90));
        map.insert(&Strong::new(DEAD), Thing::new(30));
        Env::<R> {
            map,
            held: Held::new(held),
        }
    };
    let well = |env: &Env<R>| {
        for key in &env.held.all() {
            let value = env.map.get_or_insert_with(key, |_| Thing::new(1));
            assert_eq!(env.map.get(&*key.0), Some(value));
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
    for nth in [0, 2, 3, 4] {
        let number = [HIT, 9, MISS, DEAD, HIT][nth];
        let check = |name: &str, call: &dyn Fn(&Env<R>, &Strong<R>)| {
            check(
                &format!("WeakKeyMap::{name}({nth}), reports {R}, collide {collide}"),
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
        check("get", &|env, _| end(env.map.get(&query)));
        check("with", &|env, _| {
            let captured = Dropped::new();
            end(env.map.with(&query, move |v| {
                let v = v.clone();
                end(captured);
                v
            }))
        });
        check("get_key_value", &|env, _| {
            end(env.map.get_key_value(&query))
        });
        check("try_get", &|env, _| end(env.map.try_get(&query)));
        check("contains_key", &|env, _| end(env.map.contains_key(&query)));
        check("get_or_insert_with", &|env, key| {
            let captured = Dropped::new();
            let make = move |_: &Strong<R>| {
                step("make");
                let v = Thing::new(20);
                end(captured);
                v
            };
            end(env.map.get_or_insert_with(key, make))
        });
        check("get_or_try_insert_with", &|env, key| {
            let captured = Dropped::new();
            let make = move |_: &Strong<R>| -> Result<Thing, Dropped> {
                end(captured);
                Err(Dropped::new())
            };
            end(env.map.get_or_try_insert_with(key, make))
        });
        check("entry_ref", &|env, key| {
            let (one, two) = (Dropped::new(), Dropped::new());
            let key = key.clone();
            let owned = move |_: &Query| {
                end(one);
                key
            };
            let make = move |_: &Strong<R>| {
                let v = Thing::new(20);
                end(two);
                v
            };
            end(env
                .map
                .entry_ref(&query)
                .key_with(owned)
                .or_insert_with(make))
        });
        check("entry_ref, fails", &|env, key| {
            let (one, two) = (Dropped::new(), Dropped::new());
            let key = key.clone();
            let owned = move |_: &Query| {
                end(one);
                key
            };
            let make = move |_: &Strong<R>| -> Result<Thing, Dropped> {
                end(two);
                Err(Dropped::new())
            };
            end(env
                .map
                .entry_ref(&query)
                .key_with(owned)
                .or_try_insert_with(make))
        });
        for is_valid in [false, true] {
            check(&format!("valid_if {is_valid}"), &|env, key| {
                let (one, two) = (Dropped::new(), Dropped::new());
                let is_valid = move |_: &Thing| {
                    one.used();
                    step("is_valid");
                    is_valid
                };
                let make = move |_: &Strong<R>| {
                    let v = Thing::new(20);
                    end(two);
                    v
                };
                end(env.map.entry(key).valid_if(is_valid).or_insert_with(make))
            });
        }
        check("or_create_cyclic", &|env, key| {
            let (one, two) = (Dropped::new(), Dropped::new());
            let allocate = move |_: &Strong<R>| {
                let v = Thing::new(20);
                end(one);
                v
            };
            let initialise = move |_: &Thing| two.used();
            end(env.map.entry(key).or_create_cyclic(allocate, initialise))
        });
        #[cfg(feature = "async")]
        check("get_or_insert_async", &|env, key| {
            let captured = Dropped::new();
            let make = move |_: &Strong<R>| async move {
                let v = Thing::new(20);
                end(captured);
                v
            };
            end(pollster::block_on(env.map.get_or_insert_async(key, make)))
        });
        creations(number, |name, call| check(name, &|env, _| call(env)));
        check("claim", &|env, key| end(env.map.entry(key).claim()));
        check("try_claim", &|env, key| end(env.map.entry(key).try_claim()));
        #[cfg(feature = "async")]
        check("claim_async", &|env, key| {
            end(pollster::block_on(env.map.entry(key).claim_async()))
        });
        check("claim and fill", &|env, key| {
            if let Some(vacancy) = env.map.entry(key).claim().vacant() {
                end(vacancy.fill(Thing::bare(20)));
            } else {
                step("nothing")
            }
        });
        check("try_insert", &|env, key| {
            end(env.map.try_insert(key, Thing::new(20)))
        });
        check("insert", &|env, key| {
            end(env.map.insert(key, Thing::new(20)))
        });
        check("and_view", &|env, key| {
            let captured = Dropped::new();
            let entry = env.map.entry(key).and_view(move |v| {
                let v = v.clone();
                end(captured);
                v
            });
            end(entry.or_insert(Thing::new(20)))
        });
        check("update if present", &|env, key| {
            let captured = Dropped::new();
            end(env.map.update(key, move |old| {
                captured.used();
                step("condition");
                old.map(|_| Thing::new(20))
            }))
        });
        check("update", &|env, key| {
            let captured = Dropped::new();
            end(env.map.update(key, move |_| {
                captured.used();
                step("update");
                Some(Thing::new(20))
            }))
        });
        check("update to nothing", &|env, key| {
            let captured = Dropped::new();
            end(env.map.update(key, move |_| {
                captured.used();
                step("update");
                None
            }))
        });
        check("remove", &|env, _| end(env.map.remove(&query)));
        check("remove_if", &|env, _| {
            let captured = Dropped::new();
            end(env.map.remove_if(&query, move |_, _| {
                captured.used();
                step("condition");
                true
            }))
        });
        check("remove_with", &|env, _| {
            let captured = Dropped::new();
            end(env.map.remove_with(&query, move |v| {
                let v = v.clone();
                end(captured);
                v
            }))
        });
        check("retain", &|env, _| {
            let captured = Dropped::new();
            end(env.map.retain(move |_, _| {
                captured.used();
                step("keep");
                false
            }))
        });
        check("for_each", &|env, _| {
            let captured = Dropped::new();
            env.map.for_each(move |_, _| {
                captured.used();
                step("each");
            })
        });
        check("clear", &|env, _| {
            env.map.clear();
            step("end")
        });
        check("prune", &|env, _| {
            env.map.prune();
            step("end")
        });
        check("len", &|env, _| {
            env.map.len();
            step("end")
        });
        check("drain", &|env, _| end(env.map.drain()));
        check("close", &|env, _| {
            let map: WeakKeyMap<Strong<R>, Thing, ByEquality, Hashes> =
                WeakKeyMap::with_hasher(Hashes { collide });
            (&map).extend(&env.map);
            end(map.close())
        });
        check("pop", &|env, _| end(env.map.pop()));
        check("iter", &|env, _| {
            env.map.iter().for_each(|h| {
                step("each");
                end(h)
            })
        });
        check("keys", &|env, _| {
            env.map.keys().for_each(|h| {
                step("each");
                end(h)
            })
        });
        check("weak_keys", &|env, _| {
            env.map.weak_keys().for_each(|h| {
                step("each");
                end(h)
            })
        });
        check("values", &|env, _| {
            env.map.values().for_each(|h| {
                step("each");
                end(h)
            })
        });
        check("union", &|env, _| {
            let union = env.map.clone();
            (&union).extend(&env.map);
            end(union)
        });
        check("eq", &|env, _| end(env.map.eq(&env.map)));
    }
    check(
        &format!("WeakKeyMap, the last drop, reports {R}, collide {collide}"),
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
        &format!("WeakKeyMap, its drop, reports {R}, collide {collide}"),
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
