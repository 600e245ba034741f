//! A destructor panics where a call has something in hand that it is about to return: nothing of that is lost.

use crate::common::{at_next_comparison, compared, panic_of, Census, Citizen};
use highlander::pointer::{Pointer, Unreported, WeakPointer};
use highlander::registries::memo::Memo;
#[cfg(feature = "async")]
use highlander::registries::signals::{Receiver, Signal};
use highlander::{Handle, Recent, Registry, StrongMap, WeakKeyMap, WeakKeyValueMap, WeakValueMap};
use std::cell::{Cell, RefCell};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

thread_local! {
    /// The next part that is dropped panics.
    static ARMED: Cell<bool> = const { Cell::new(false) };
}

fn arm() {
    ARMED.set(true);
}

/// A key or a value: counted, and all alike.
struct Part(#[allow(dead_code)] Citizen, Census);

impl Part {
    fn of(census: &Census) -> Self {
        Self(census.citizen(), census.clone())
    }
}

impl Clone for Part {
    fn clone(&self) -> Self {
        Self::of(&self.1)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        assert!(!ARMED.replace(false), "armed");
    }
}

impl PartialEq for Part {
    fn eq(&self, _: &Self) -> bool {
        compared();
        true
    }
}

impl Eq for Part {}

impl Hash for Part {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// A pointer each of which has a part of its own; and something may be done when it is asked for its address.
#[derive(Clone)]
struct Parted(Arc<()>, Part);

impl Parted {
    fn of(census: &Census) -> Self {
        Self(Arc::default(), Part::of(census))
    }
}

#[derive(Clone)]
struct WeakParted(Weak<()>, Census);

impl Pointer for Parted {
    type Target = ();
    type Weak = WeakParted;
    type Death = Unreported;
    fn downgrade(this: &Self) -> WeakParted {
        WeakParted(Arc::downgrade(&this.0), this.1 .1.clone())
    }
    fn target(_: &Self) -> &() {
        &()
    }
    fn address(this: &Self) -> *const () {
        compared();
        Arc::as_ptr(&this.0).cast()
    }
}

impl WeakPointer for WeakParted {
    type Strong = Parted;
    fn upgrade(&self) -> Option<Parted> {
        Some(Parted(self.0.upgrade()?, Part::of(&self.1)))
    }
    fn is_dead(&self) -> bool {
        self.0.strong_count() == 0
    }
    fn address(&self) -> *const () {
        self.0.as_ptr().cast()
    }
}

/// The call panics as it was armed to, and when what it worked on has gone, all is gone.
fn nothing_is_lost<T>(make: impl Fn(&Census) -> T, call: impl Fn(&Arc<T>, &Census)) {
    let census = Census::new();
    let on = Arc::new(make(&census));
    assert_eq!(panic_of(|| call(&on, &census)), "armed");
    drop(on);
    assert_eq!(census.alive(), 0);
}

type Values = Registry<Part, Part>;

fn one_value(census: &Census) -> (Values, RefCell<Option<Handle<Part, Part>>>) {
    let registry = Values::new();
    let (held, _) = registry.insert(Part::of(census), Part::of(census));
    (registry, RefCell::new(Some(held)))
}

#[test]
fn a_value_that_takes_no_place_comes_back_though_its_key_panics() {
    nothing_is_lost(one_value, |on, census| {
        let old = on.1.take().unwrap();
        on.0.remove_same(&old);
        let new = Part::of(census);
        // The key that is cloned for it.
        arm();
        let _ = on.0.compare_exchange(&old, new);
    });
}

#[test]
fn a_key_comes_out_of_an_iterator_though_its_value_panics() {
    nothing_is_lost(one_value, |on, _| {
        let mut keys = on.0.keys();
        drop(on.1.take());
        arm();
        keys.next();
    });
}

/// Of those calls that look, decide, and swap: the old entry is taken out in between, so that the call is its last owner.
macro_rules! swaps {
    ($name:ident, $map:ident, $key:expr) => {
        mod $name {
            use super::*;

            fn one_entry(census: &Census) -> ($map<Arc<u32>, Parted>, Arc<u32>) {
                let (map, key) = ($map::new(), Arc::new(1));
                map.insert($key(&key), Parted::of(census));
                (map, key)
            }

            #[test]
            fn an_update_loses_nothing() {
                nothing_is_lost(one_entry, |on, census| {
                    let is_first = Cell::new(true);
                    on.0.update($key(&on.1), |_| {
                        let new = Parted::of(census);
                        if is_first.replace(false) {
                            on.0.clear();
                            arm();
                        }
                        Some(new)
                    });
                });
            }

            #[test]
            fn a_replacement_loses_nothing() {
                nothing_is_lost(one_entry, |on, census| {
                    let (old, new) = (on.0.get(&*on.1).unwrap(), Parted::of(census));
                    let clears = on.clone();
                    at_next_comparison(move || {
                        clears.0.clear();
                        arm();
                    });
                    let _ = on.0.compare_exchange($key(&on.1), &old, new);
                });
            }
        }
    };
}

swaps!(of_a_strong_map, StrongMap, Arc::clone);
swaps!(of_a_map_with_weak_keys, WeakKeyMap, std::convert::identity);

#[test]
fn what_takes_the_place_of_an_entry_that_its_key_has_taken_out_is_not_lost() {
    type Keys = WeakKeyMap<Arc<Part>, Parted>;
    let one = |census: &Census| {
        let (map, key, value) = (Keys::new(), Arc::new(Part::of(census)), Parted::of(census));
        map.insert(&key, value.clone());
        (map, key, value)
    };
    #[allow(clippy::type_complexity)]
    let calls: [fn(&Keys, &Arc<Part>, &Parted, Parted); 3] = [
        |map, key, _, new| drop(map.insert(key, new)),
        |map, key, old, new| drop(map.compare_exchange(key, old, new)),
        |map, key, _, new| {
            let mut new = Some(new);
            map.update(key, |_| new.take());
        },
    ];
    for call in calls {
        nothing_is_lost(one, |on, census| {
            let (key, new) = (Arc::new(Part::of(census)), Parted::of(census));
            let clears = on.clone();
            at_next_comparison(move || {
                clears.0.clear();
                arm();
            });
            call(&on.0, &key, &on.2, new);
        });
    }

    type Map = StrongMap<Part, Parted>;
    let one = |census: &Census| {
        let (map, value) = (Map::new(), Parted::of(census));
        map.insert(Part::of(census), value.clone());
        (map, value)
    };
    let calls: [fn(&Map, Part, &Parted, Parted); 2] = [
        |map, key, old, new| drop(map.compare_exchange(key, old, new)),
        |map, key, _, new| {
            let mut new = Some(new);
            map.update(key, |_| new.take());
        },
    ];
    for call in calls {
        nothing_is_lost(one, |on, census| {
            let (key, new) = (Part::of(census), Parted::of(census));
            let clears = on.clone();
            at_next_comparison(move || {
                clears.0.clear();
                arm();
            });
            call(&on.0, key, &on.1, new);
        });
    }
}

/// What only the leak sanitizer sees: what weak handles share.
#[test]
fn an_update_of_a_weak_value_loses_nothing() {
    nothing_is_lost(
        |census| {
            let registry: Registry<u32, Part> = Registry::new();
            let map: WeakValueMap<u32, Handle<u32, Part>> = WeakValueMap::new();
            let (held, _) = registry.insert(1, Part::of(census));
            map.insert(1, held.clone());
            (map, registry, RefCell::new(Some(held)))
        },
        |on, census| {
            let is_first = Cell::new(true);
            on.0.update(1, |_| {
                let (new, _) = on.1.insert(2, Part::of(census));
                if is_first.replace(false) {
                    on.0.clear();
                    on.2.take();
                    arm();
                }
                Some(new)
            });
        },
    );
}

type Pairs = WeakKeyValueMap<Arc<Part>, Arc<Part>>;

/// A weak key that is given away may go before the value comes back.
#[test]
fn a_value_is_not_lost_though_its_weak_key_panics() {
    nothing_is_lost(
        |census| {
            let census = census.clone();
            let make = move |_: &Arc<Part>| Arc::new(Part::of(&census));
            Memo::new(WeakKeyMap::<Arc<Part>, Arc<Part>>::new(), make)
        },
        |on, census| {
            let key = Arc::new(Part::of(census));
            arm();
            on.get(key);
        },
    );

    let one = |census: &Census| {
        let (map, sides) = (Pairs::new(), [0, 1].map(|_| Arc::new(Part::of(census))));
        map.insert(&sides[0], Arc::clone(&sides[1]));
        (Recent::new(map, 1), sides)
    };
    type Call = fn(&Recent<Pairs>, Arc<Part>);
    let calls: [Call; 2] = [
        |recent, key| drop(recent.get_or_insert_with(key, |_| unreachable!())),
        |recent, key| drop(recent.entry(key).claim()),
    ];
    for call in calls {
        nothing_is_lost(one, |on, census| {
            // An equal one, which nobody else has.
            let key = Arc::new(Part::of(census));
            arm();
            call(&on.0, key);
        });
    }
    #[cfg(feature = "async")]
    nothing_is_lost(one, |on, census| {
        let key = Arc::new(Part::of(census));
        arm();
        drop(pollster::block_on(on.0.entry(key).claim_async()));
    });
}

/// What owns something, and is an error.
struct Failed(#[allow(dead_code)] Part);

#[test]
fn an_error_is_not_lost_though_the_closure_that_was_not_called_panics() {
    nothing_is_lost(
        |_| Registry::<u32, Part>::new(),
        |on, census| {
            let captured = Part::of(census);
            let initialise = move |_: &_| {
                let _ = &captured;
                Ok(())
            };
            let allocate = |_: &u32| {
                arm();
                Err(Failed(Part::of(census)))
            };
            drop(on.entry(1).or_try_create_cyclic(allocate, initialise));
        },
    );
}

#[test]
fn an_error_is_not_lost_though_the_draft_that_it_was_shown_panics() {
    nothing_is_lost(
        |_| StrongMap::<u32, Part>::new(),
        |on, census| {
            let vacancy = on.entry(1).claim().vacant().unwrap();
            let initialise = |_: &Part| {
                arm();
                Err(Failed(Part::of(census)))
            };
            drop(vacancy.try_fill_cyclic(|_| Ok(Part::of(census)), initialise));
        },
    );
}

/// Written by hand: what the compiler makes of `async` has nothing more to drop when it has ended.
#[cfg(feature = "async")]
mod of_a_future {
    use super::*;
    use highlander::RecentErrors;
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    struct Made<T>(Option<T>, #[allow(dead_code)] Part);

    impl<T: Unpin> Future for Made<T> {
        type Output = T;

        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
            arm();
            Poll::Ready(self.0.take().unwrap())
        }
    }

    fn made<T>(value: T, census: &Census) -> Made<T> {
        Made(Some(value), Part::of(census))
    }

    fn value(census: &Census) -> Made<Part> {
        made(Part::of(census), census)
    }

    fn pointer(census: &Census) -> Made<Arc<Part>> {
        made(Arc::new(Part::of(census)), census)
    }

    macro_rules! of {
        ($name:ident, $map:ty, $new:expr, $key:expr, $made:expr) => {
            #[test]
            fn $name() {
                let new = |_: &Census| -> $map { $new };
                nothing_is_lost(new, |on, census| {
                    let made = |_: &_| $made(census);
                    drop(pollster::block_on(on.get_or_insert_async($key, made)));
                });
                nothing_is_lost(new, |on, census| {
                    let made = |_: &_| {
                        let Made(value, part) = $made(census);
                        Made(Some(Ok::<_, ()>(value.unwrap())), part)
                    };
                    drop(pollster::block_on(on.get_or_try_insert_async($key, made)));
                });
                nothing_is_lost(new, |on, census| {
                    let made = |_: &_| made(Err::<_, Failed>(Failed(Part::of(census))), census);
                    drop(pollster::block_on(on.get_or_try_insert_async($key, made)));
                });
            }
        };
    }

    of!(
        a_registry_loses_nothing,
        Registry<u32, Part>,
        Registry::new(),
        1,
        value
    );
    of!(
        a_map_with_weak_values_loses_nothing,
        WeakValueMap<u32, Arc<Part>>,
        WeakValueMap::new(),
        1,
        pointer
    );
    of!(
        a_strong_map_loses_nothing,
        StrongMap<u32, Part>,
        StrongMap::new(),
        1,
        value
    );
    of!(
        a_map_with_weak_keys_loses_nothing,
        WeakKeyMap<Arc<u32>, Part>,
        WeakKeyMap::new(),
        &Arc::new(1),
        value
    );
    of!(
        a_map_with_weak_sides_loses_nothing,
        WeakKeyValueMap<Arc<u32>, Arc<Part>>,
        WeakKeyValueMap::new(),
        &Arc::new(1),
        pointer
    );
    of!(
        a_layer_loses_nothing,
        Recent<Registry<u32, Part>>,
        Recent::new(Registry::new(), 1),
        1,
        value
    );

    #[test]
    fn errors_that_are_kept_lose_nothing() {
        nothing_is_lost(
            |_| RecentErrors::<u32, ()>::new(1, std::time::Duration::MAX),
            |on, census| {
                let make = |_: &u32| made(Ok(Part::of(census)), census);
                drop(pollster::block_on(on.or_try_async(1, make)));
            },
        );
    }

    /// A signal waits for its futures itself.
    #[test]
    fn a_signal_loses_nothing() {
        nothing_is_lost(
            |census| {
                let signal: Signal<(), Part> = Signal::new();
                let census = census.clone();
                let receiver = Receiver::new_async(move |()| {
                    let Made(value, part) = value(&census);
                    Box::pin(Made(value.map(Ok), part))
                });
                assert!(signal.connect_strong(receiver));
                signal
            },
            |on, _| drop(on.send(&())),
        );
    }
}

/// What a format reads from is dropped before the owners come back.
#[cfg(feature = "serde")]
#[test]
fn owners_are_not_lost_though_the_source_panics() {
    use serde::de::{
        value::Error, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor,
    };

    struct Source(Option<u32>, #[allow(dead_code)] Part);

    impl<'de> MapAccess<'de> for Source {
        type Error = Error;

        fn next_key_seed<K: DeserializeSeed<'de>>(
            &mut self,
            seed: K,
        ) -> Result<Option<K::Value>, Error> {
            let Some(key) = self.0.take() else {
                arm();
                return Ok(None);
            };
            seed.deserialize(key.into_deserializer()).map(Some)
        }

        fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
            seed.deserialize(7u32.into_deserializer())
        }
    }

    impl<'de> Deserializer<'de> for Source {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_map(self)
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
            unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
        }
    }

    nothing_is_lost(
        |_| WeakValueMap::<u32, Arc<Part>>::new(),
        |on, census| {
            let seed = on.seed(|_, _: u32| Arc::new(Part::of(census)));
            let source = Source(Some(1), Part::of(census));
            drop(seed.deserialize(source));
        },
    );
}
