//! Every call of a map that is strong on both sides.

use super::*;

struct Env {
    map: StrongMap<Thing, Thing, Hashes>,
}

impl Place for Env {
    const ACTS: &'static [Act<Self>] = acts! { |env, key|
        "get": hold(env.map.get(&Query(key)));
        "get_with": env.map.get_with(&Query(key), |_| ());
        "try_get": hold(env.map.try_get(&Query(key)));
        "contains_key": env.map.contains_key(&Query(key));
        "get_key_value": hold(env.map.get_key_value(&Query(key)));
        "get_or_insert_with": hold(env.map.get_or_insert_with(Thing::new(key), |_| Thing::new(20)));
        "get_or_try_insert_with": env.map.get_or_try_insert_with(Thing::new(key), |_| Err(Dropped::new()));
        "get_or_insert_with_ref": hold(env.map.get_or_insert_with_ref(&Query(key), |q| Thing::new(q.0), |_| Thing::new(20)));
        "get_or_replace_if": hold(env.map.get_or_replace_if(Thing::new(key), |_| true, |_| Thing::new(20)));
        "family": family(env, key, false);
        "family that fails": family(env, key, true);
        "claim": env.map.claim(Thing::new(key));
        "try_claim": env.map.try_claim(Thing::new(key));
        "claim and fill": env.map.claim(Thing::new(key)).ok().and_then(Claim::vacant).map(|it| hold(it.fill(Thing::bare(20))));
        "try_insert": env.map.try_insert(Thing::new(key), Thing::new(20));
        "insert": env.map.insert(Thing::new(key), Thing::new(20));
        "insert_new": env.map.insert_new(Thing::new(key), Thing::new(20));
        "replace": env.map.replace(Thing::new(key), Thing::new(20));
        "replace_if": env.map.replace_if(Thing::new(key), Thing::new(20), |_| true);
        "update": hold(env.map.update(Thing::new(key), |_| Some(Thing::new(20))));
        "update to nothing": hold(env.map.update(Thing::new(key), |_| None));
        "remove": hold(env.map.remove(&Query(key)));
        "remove_if": env.map.remove_if(&Query(key), |_, _| true);
        "retain": env.map.retain(|_, _| false);
        "for_each": env.map.for_each(|_, _| {});
        "clear": env.map.clear();
        "drain": env.map.drain();
        "pop_any": hold(env.map.pop_any());
        "iter": env.map.iter().for_each(end);
        "len": env.map.len();
        "reserve": env.map.reserve(1000);
        "shrink_to_fit": env.map.shrink_to_fit();
        "debug": hold(format!("{:?}", env.map));
        "close": hold(env.map.close());
        "panic": give_up();
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
    let make = || {
        let map: StrongMap<Thing, Thing, Hashes> = MapMaker::new()
            .hasher(Hashes { collide })
            .on_remove(|_: &Thing, _| step("hook"))
            .build()
            .unwrap();
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
        check("get_with", &|env| {
            let captured = Dropped::new();
            end(env.map.get_with(&Query(key), move |v| {
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
        check("get_or_replace_if", &|env| {
            let (one, two) = (Dropped::new(), Dropped::new());
            let stale = move |_: &Thing| {
                one.used();
                step("stale");
                true
            };
            let make = move |_: &Thing| {
                let v = Thing::new(20);
                end(two);
                v
            };
            end(env.map.get_or_replace_if(Thing::new(key), stale, make))
        });
        check("get_or_replace_if, fresh", &|env| {
            let (one, two) = (Dropped::new(), Dropped::new());
            let stale = move |_: &Thing| {
                one.used();
                step("stale");
                false
            };
            let make = move |_: &Thing| {
                let v = Thing::new(20);
                end(two);
                v
            };
            end(env.map.get_or_replace_if(Thing::new(key), stale, make))
        });
        check("get_or_create_cyclic", &|env| {
            let (one, two) = (Dropped::new(), Dropped::new());
            let allocate = move |_: &Thing| {
                let v = Thing::new(20);
                end(one);
                v
            };
            let initialise = move |_: &Thing| two.used();
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
        check("try_insert", &|env| {
            end(env.map.try_insert(Thing::new(key), Thing::new(20)))
        });
        check("insert", &|env| {
            end(env.map.insert(Thing::new(key), Thing::new(20)))
        });
        check("insert_new", &|env| {
            end(env.map.insert_new(Thing::new(key), Thing::new(20)))
        });
        check("replace", &|env| {
            end(env.map.replace(Thing::new(key), Thing::new(20)))
        });
        check("replace_if", &|env| {
            let captured = Dropped::new();
            end(env
                .map
                .replace_if(Thing::new(key), Thing::new(20), move |_| {
                    captured.used();
                    step("condition");
                    true
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
            let map = MapMaker::new()
                .hasher(Hashes { collide })
                .build::<Thing, Thing>()
                .unwrap();
            map.extend_with(&env.map);
            end(map.close())
        });
        check("pop_any", &|env| end(env.map.pop_any()));
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
        check("union", &|env| end(env.map.union(&env.map)));
        check("eq", &|env| end(env.map.eq(&env.map)));
    }
}
