//! Every call of a map that is strong on both sides.

use super::*;

struct Env {
    map: StrongMap<Thing, Thing, Hashes>,
}

place_of_map! { [] Env, |env, key| key: () Thing::new(key), value: Thing,
    "and_view": env.map.entry(Thing::new(key)).and_view(|_| ()).or_insert(Thing::new(20));
}

pub(super) fn all(collide: bool) {
    let make = || {
        let map: StrongMap<Thing, Thing, Hashes> =
            StrongMap::with_hasher(Hashes { collide }).on_remove(|_, _| step("hook"));
        map.insert(Thing::new(HIT), Thing::new(10));
        map.insert(Thing::new(9), Thing::new(90));
        Env { map }
    };
    let well = |env: &Env| {
        end(env
            .map
            .get_or_insert_with(Thing::new(MISS), |_| Thing::new(20)));
        for key in [HIT, MISS] {
            let value = env
                .map
                .get_or_insert_with(Thing::new(key), |_| Thing::new(1));
            assert_eq!(env.map.get(&Query(key)), Some(value));
        }
        let len = env.map.len();
        assert_eq!(env.map.clear(), len);
        assert_eq!(env.map.len(), 0);
        let stats = env.map.stats();
        let gone = stats.replaced + stats.removed + stats.dead_seen + stats.pruned + stats.reported;
        assert_eq!(stats.created + stats.inserted, gone, "{stats:?}");
    };
    for key in [HIT, MISS] {
        let check = |name: &str, call: &dyn Fn(&Env)| {
            check(
                &format!("StrongMap::{name}({key}), collide {collide}"),
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
        check("valid_if, stale", &|env| {
            let (one, two) = (Dropped::new(), Dropped::new());
            let is_valid = move |_: &Thing| {
                one.used();
                step("is_valid");
                false
            };
            let make = move |_: &Thing| {
                let v = Thing::new(20);
                end(two);
                v
            };
            end(env
                .map
                .entry(Thing::new(key))
                .valid_if(is_valid)
                .or_insert_with(make))
        });
        check("valid_if, valid", &|env| {
            let (one, two) = (Dropped::new(), Dropped::new());
            let is_valid = move |_: &Thing| {
                one.used();
                step("is_valid");
                true
            };
            let make = move |_: &Thing| {
                let v = Thing::new(20);
                end(two);
                v
            };
            end(env
                .map
                .entry(Thing::new(key))
                .valid_if(is_valid)
                .or_insert_with(make))
        });
        check("or_create_cyclic", &|env| {
            let (one, two) = (Dropped::new(), Dropped::new());
            let allocate = move |_: &Thing| {
                let v = Thing::new(20);
                end(one);
                v
            };
            let initialise = move |_: &Thing| two.used();
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
                end(vacancy.fill(Thing::bare(20)));
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
        check("and_view", &|env| {
            let captured = Dropped::new();
            let entry = env.map.entry(Thing::new(key)).and_view(move |v| {
                let v = v.clone();
                end(captured);
                v
            });
            end(entry.or_insert(Thing::new(20)))
        });
        check("update if present", &|env| {
            let captured = Dropped::new();
            end(env.map.update(Thing::new(key), move |old| {
                captured.used();
                step("condition");
                old.map(|_| Thing::new(20))
            }))
        });
        check("update", &|env| {
            let captured = Dropped::new();
            end(env.map.update(Thing::new(key), move |_| {
                captured.used();
                step("update");
                Some(Thing::new(20))
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
        check("remove", &|env| end(env.map.remove(&Query(key))));
        check("remove_if", &|env| {
            let captured = Dropped::new();
            end(env.map.remove_if(&Query(key), move |_, _| {
                captured.used();
                step("condition");
                true
            }))
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
        check("drain", &|env| end(env.map.drain()));
        check("close", &|env| {
            step("one");
            let map: StrongMap<Thing, Thing, Hashes> = StrongMap::with_hasher(Hashes { collide });
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
}
