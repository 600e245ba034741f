//! `Recent` keeps values that were used last: not too many, not too long, and without a lock around anybody's code.

use crate::common::{flat, forever, panic_of, promptly, Census, Citizen, Dice};
use highlander::error::{CreateError, Refused};
use highlander::map::Claim;
use highlander::{
    Handle, Recent, RecentErrors, Registry, WeakKeyValueMap, WeakValueMap, WeakValued,
};
use std::cell::Cell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const T: Duration = Duration::from_secs(80);

/// Stands still until it is told to go on.
#[derive(Clone)]
pub(crate) struct Hand(Arc<Mutex<Instant>>);

impl Hand {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(crate) fn clock(&self) -> impl Fn() -> Instant + Send + Sync + 'static {
        let hand = self.clone();
        move || *hand.0.lock().unwrap()
    }

    pub(crate) fn go_on(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

type People = Registry<u32, Citizen>;

fn layer(capacity: usize) -> (Recent<People>, Census) {
    (Recent::new(Registry::new(), capacity), Census::new())
}

/// Uses a value, and lets go of it.
fn visit(recent: &Recent<People>, census: &Census, key: u32) {
    recent.get_or_insert_with(key, |_| census.citizen());
}

/// Those that are alive, without using them.
fn alive(recent: &Recent<People>) -> Vec<u32> {
    let mut keys: Vec<_> = recent.map().iter().map(|it| *Handle::key(&it)).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn a_layer_without_capacity_keeps_nothing() {
    let (recent, census) = layer(0);
    visit(&recent, &census, 1);
    recent.keep(&recent.map().get_or_insert_with(2, |_| census.citizen()));
    assert_eq!((census.born(), census.alive()), (2, 0));
    assert_eq!((recent.len(), recent.capacity()), (0, 0));
    assert!(recent.is_empty());
}

#[test]
fn a_map_without_a_layer_keeps_nothing_though_others_have_one() {
    static PEOPLE: Registry<u32, Citizen> = Registry::new();
    static RECENT: Recent<&Registry<u32, Citizen>> = Recent::new(&PEOPLE, 4);
    let census = Census::new();
    drop(PEOPLE.get_or_insert_with(1, |_| census.citizen()));
    assert_eq!(census.alive(), 0);
    drop(RECENT.get_or_insert_with(1, |_| census.citizen()));
    assert!(PEOPLE.get(&1).is_some());
    assert_eq!(RECENT.clear(), 1);
    assert!(PEOPLE.get(&1).is_none());
}

#[test]
fn values_do_not_flap() {
    let (recent, census) = layer(1);
    for _ in 0..10 {
        visit(&recent, &census, 1);
        assert!(recent.get(&1).is_some());
    }
    assert_eq!(census.born(), 1);
}

#[test]
fn the_last_that_were_used_once_are_kept() {
    for capacity in [1, 2, 3, 64, 1999] {
        let (recent, census) = layer(capacity);
        for key in 0..2000 {
            visit(&recent, &census, key);
            let first = (key + 1).saturating_sub(capacity as u32);
            assert_eq!(census.alive(), (key + 1 - first) as isize);
        }
        let last: Vec<_> = (2000 - capacity as u32..2000).collect();
        assert_eq!(alive(&recent), last);
    }
}

#[test]
fn what_is_used_again_outlives_what_is_not() {
    let (recent, census) = layer(4);
    for key in 0..100 {
        visit(&recent, &census, 1000);
        visit(&recent, &census, key);
    }
    assert_eq!(alive(&recent), [97, 98, 99, 1000]);
    // Not for ever, once nobody uses it any more.
    (100..300).for_each(|key| visit(&recent, &census, key));
    assert_eq!(alive(&recent), [296, 297, 298, 299]);
}

#[test]
fn the_last_half_is_kept_however_much_the_others_are_used() {
    for capacity in [1, 2, 3, 8, 100] {
        let (recent, census) = layer(capacity);
        let hot = capacity as u32;
        for key in hot..10 * hot {
            for often in 0..hot / 2 {
                visit(&recent, &census, often);
                recent.get(&often);
            }
            visit(&recent, &census, key);
            let half = (hot / 2).max(1);
            for last in (key + 1).saturating_sub(half).max(hot)..=key {
                assert!(recent.map().contains_key(&last), "{last} of {key}");
            }
        }
    }
}

#[test]
fn a_walk_over_many_values_does_not_drive_out_those_in_use() {
    let (recent, census) = layer(64);
    let mut dice = Dice::new(3);
    let born_of_those_in_use = |recent: &Recent<People>, dice: &mut Dice| {
        let before = census.born();
        for _ in 0..200 {
            visit(recent, &census, dice.below(20) as u32);
        }
        census.born() - before
    };
    born_of_those_in_use(&recent, &mut dice);
    for walk in 1..20 {
        (1000 * walk..1000 * walk + 100).for_each(|key| visit(&recent, &census, key));
        assert_eq!(born_of_those_in_use(&recent, &mut dice), 0);
    }
}

#[test]
fn never_more_than_its_capacity_is_kept() {
    for capacity in [512, 1000, 3001] {
        let (recent, census) = layer(capacity);
        let mut dice = Dice::new(capacity as u64);
        for key in 0..20_000 {
            visit(&recent, &census, key);
            recent.get(&(key - dice.below(key as usize + 1) as u32));
            assert!(census.alive() <= capacity as isize);
        }
        assert_eq!(recent.len() as isize, census.alive());
        assert_eq!(recent.len(), capacity, "all of it is made use of");
    }
}

#[test]
fn what_others_own_is_kept_beside() {
    let (recent, census) = layer(2);
    let held: Vec<_> = (0..10)
        .map(|key| recent.get_or_insert_with(key, |_| census.citizen()))
        .collect();
    assert_eq!((recent.len(), census.alive()), (2, 10));
    assert!(!recent.is_kept(&held[7]) && recent.is_kept(&held[8]));
    drop(held);
    assert_eq!(alive(&recent), [8, 9]);
}

#[test]
fn clear_and_shrink_to_fit_empty_it() {
    let empty: [fn(&Recent<People>); 2] = [
        |recent| assert_eq!(recent.clear(), 20),
        Recent::shrink_to_fit,
    ];
    for empty in empty {
        let (recent, census) = layer(20);
        for _ in 0..2 {
            (0..30).for_each(|key| visit(&recent, &census, key));
            assert_eq!(census.alive(), 20);
            empty(&recent);
            assert_eq!((recent.len(), census.alive()), (0, 0));
        }
        // In the order of their arrival, as before.
        (0..30).for_each(|key| visit(&recent, &census, key));
        assert_eq!(alive(&recent), (10..30).collect::<Vec<_>>());
    }
}

#[test]
fn all_go_with_the_layer_and_not_with_the_map() {
    let map = Arc::new(People::new());
    let census = Census::new();
    let recent = Recent::new(map.clone(), 8);
    (0..20).for_each(|key| drop(recent.get_or_insert_with(key, |_| census.citizen())));
    drop(map);
    assert_eq!(census.alive(), 8);
    drop(recent);
    assert_eq!(census.alive(), 0);
}

#[test]
fn what_is_idle_goes_and_what_is_used_stays() {
    let (recent, census) = layer(8);
    let hand = Hand::new();
    let recent = recent.time_to_idle(T).with_clock(hand.clock());
    visit(&recent, &census, 1);
    visit(&recent, &census, 2);
    for _ in 0..20 {
        hand.go_on(T / 20);
        visit(&recent, &census, 1);
    }
    assert_eq!(recent.expire(), 0, "not before its time");
    assert_eq!(alive(&recent), [1, 2]);
    for _ in 0..5 {
        hand.go_on(T / 20);
        visit(&recent, &census, 1);
    }
    assert_eq!(
        alive(&recent),
        [1],
        "used all the while, by calls that are enough to let the other go"
    );
    hand.go_on(T + T / 8);
    assert_eq!(recent.expire(), 1);
    assert_eq!((census.alive(), census.born()), (0, 2));
}

#[test]
fn a_value_is_kept_for_its_time_after_each_use_however_short_the_one_before() {
    let mut dice = Dice::new(5);
    for _ in 0..200 {
        let (recent, census) = layer(8);
        let hand = Hand::new();
        let recent = recent.time_to_idle(T).with_clock(hand.clock());
        for _ in 0..10 {
            visit(&recent, &census, 1);
            hand.go_on(T / 1000 * dice.below(1000) as u32);
            recent.expire();
        }
        assert_eq!(census.born(), 1);
    }
}

#[test]
fn any_call_lets_go_of_what_is_idle() {
    let calls: [fn(&Recent<People>, &Census); 5] =
        [
            |recent, _| assert!(recent.get(&7).is_none()),
            |recent, census| visit(recent, census, 2),
            |recent, _| {
                drop(recent.get_or_try_insert_with(8, |_| {
                    Ok::<_, CreateError<()>>(Census::new().citizen())
                }))
            },
            |recent, _| recent.keep(&Registry::new().insert(3, Census::new().citizen()).0),
            |recent, _| assert_eq!(recent.expire(), 1),
        ];
    for call in calls {
        let (recent, census) = layer(8);
        let hand = Hand::new();
        let recent = recent.time_to_idle(T).with_clock(hand.clock());
        visit(&recent, &census, 1);
        hand.go_on(T + T / 4);
        call(&recent, &census);
        assert!(recent.map().get(&1).is_none());
    }
}

#[test]
fn a_use_comes_before_the_end_of_the_idle() {
    let (recent, census) = layer(8);
    let hand = Hand::new();
    let recent = recent.time_to_idle(T).with_clock(hand.clock());
    visit(&recent, &census, 1);
    visit(&recent, &census, 2);
    hand.go_on(T * 10);
    visit(&recent, &census, 1);
    assert_eq!(alive(&recent), [1]);
    assert_eq!(census.born(), 2);
}

#[test]
fn look_ups_ask_the_map() {
    let (recent, census) = layer(8);
    visit(&recent, &census, 1);
    let first = recent.map().remove(&1).unwrap();
    assert!(recent.get(&1).is_none() && recent.is_kept(&first));
    visit(&recent, &census, 1);
    let second = recent.get(&1).unwrap();
    assert!(!Handle::ptr_eq(&second, &first));
    let (third, _) = recent.map().insert(1, census.citizen());
    assert!(Handle::ptr_eq(&recent.get(&1).unwrap(), &third));
    // Kept as they are, for they were used; until somebody says that it is enough.
    assert_eq!(recent.len(), 3);
    assert!(recent.release(&first) && !recent.release(&first));
    drop(first);
    assert_eq!((recent.len(), census.alive()), (2, 2));
}

#[test]
fn a_place_that_has_become_free_is_used_and_the_order_stays() {
    let (recent, census) = layer(4);
    (0..4).for_each(|key| visit(&recent, &census, key));
    for key in [1, 2] {
        let held = recent.map().get(&key).unwrap();
        assert!(recent.release(&held));
    }
    assert_eq!(alive(&recent), [0, 3]);
    visit(&recent, &census, 4);
    visit(&recent, &census, 5);
    assert_eq!(alive(&recent), [0, 3, 4, 5]);
    visit(&recent, &census, 6);
    assert_eq!(alive(&recent), [3, 4, 5, 6]);
}

#[test]
fn values_without_a_size_are_kept_each_for_itself() {
    let recent: Recent<Registry<(), ()>> = Recent::new(Registry::new(), 4);
    let one = recent.get_or_insert_with((), |_| ());
    recent.map().remove(&());
    let other = recent.get_or_insert_with((), |_| ());
    assert!(recent.is_kept(&one) && recent.is_kept(&other));
    assert_eq!(recent.len(), 2);
}

#[test]
fn all_maps_with_weak_values_can_have_one() {
    fn keeps<M: WeakValued<Owner: Send> + 'static>(
        recent: Recent<M>,
        key: impl Fn(u32) -> M::Key,
        value: impl Fn() -> M::Value,
    ) {
        for n in 0..6 {
            recent.get_or_insert_with(key(n), |_| value());
        }
        assert_eq!(recent.len(), 4);
        for n in 2..6 {
            recent.get_or_insert_with(key(n), |_| unreachable!("kept"));
        }
        let made = Cell::new(false);
        recent.get_or_insert_with(key(0), |_| {
            made.set(true);
            value()
        });
        assert!(made.get());
    }
    let keys: Vec<_> = (0..6).map(Arc::new).collect();
    let key = |n: u32| Arc::clone(&keys[n as usize]);
    keeps(Recent::new(Registry::<u32, u32>::new(), 4), |n| n, || 1);
    keeps(
        Recent::new(WeakValueMap::<u32, Arc<u32>>::new(), 4),
        |n| n,
        || Arc::new(1),
    );
    keeps(
        Recent::new(WeakKeyValueMap::<Arc<u32>, Arc<u32>>::new(), 4),
        key,
        || Arc::new(1),
    );
    keeps(
        Recent::new(forever(Registry::<u32, u32>::new()), 4),
        |n| n,
        || 1u32,
    );
    keeps(
        Recent::new(Arc::new(Registry::<u32, u32>::new()), 4),
        |n| n,
        || 1,
    );

    let texts: Recent<Registry<String, u32>> = Recent::new(Registry::new(), 4);
    texts.get_or_insert_with("sword".into(), |_| 1);
    assert_eq!(*texts.get("sword").unwrap(), 1);
    let pairs: Recent<WeakKeyValueMap<Arc<String>, Arc<u32>>> =
        Recent::new(WeakKeyValueMap::new(), 4);
    let sword = Arc::new("sword".to_string());
    pairs.get_or_insert_with(sword, |_| Arc::new(1));
    assert_eq!(pairs.get("sword"), None, "the key is the caller's to keep");
}

#[test]
fn it_goes_where_its_map_and_owners_may() {
    fn sync<T: Send + Sync>() {}
    sync::<Recent<Registry<String, Vec<u8>>>>();
    sync::<Recent<&'static WeakValueMap<String, Arc<Vec<u8>>>>>();
    sync::<RecentErrors<String, String>>();
    let local: Recent<WeakValueMap<u32, std::rc::Rc<u32>>> = Recent::new(WeakValueMap::new(), 4);
    local.get_or_insert_with(1, |_| std::rc::Rc::new(1));
    assert!(local.get(&1).is_some());
}

#[test]
fn claims_count_as_uses_and_what_they_are_filled_with_can_be_kept() {
    let (recent, census) = layer(2);
    let Claim::Vacant(vacancy) = recent.entry(1).claim() else {
        unreachable!()
    };
    recent.keep(&vacancy.fill(census.citizen()));
    visit(&recent, &census, 2);
    assert!(matches!(recent.entry(1).claim(), Claim::Live(_)));
    visit(&recent, &census, 3);
    assert_eq!(alive(&recent), [1, 3]);
}

#[test]
fn a_failed_creation_leaves_nothing() {
    let (recent, _) = layer(2);
    let failed = recent.get_or_try_insert_with(1, |_| Err(7));
    assert_eq!(failed.err(), Some(CreateError::Failed(7)));
    let panic = panic_of(|| recent.get_or_insert_with(1, |_| panic!("no")));
    assert_eq!((panic.as_str(), recent.len()), ("no", 0));
    let cycle = recent.get_or_try_insert_with(1, |_| {
        let again = recent.get_or_try_insert_with(1, |_| unreachable!("a cycle"));
        again.map(|_| unreachable!("a cycle")).map_err(flat)
    });
    assert!(matches!(cycle.map_err(flat), Err(Refused::Cycle(_))));
    assert!(recent.is_empty());
}

/// Calls the layer when it dies.
struct Widow(u32);

static WIDOWS: Recent<Registry<u32, Widow>> = Recent::new(Registry::new(), 3);
static FUNERALS: AtomicUsize = AtomicUsize::new(0);

impl Drop for Widow {
    fn drop(&mut self) {
        FUNERALS.fetch_add(1, SeqCst);
        // Its own key is free, others are found, and new ones may come.
        assert!(WIDOWS.map().get(&self.0).is_none());
        if self.0 < 1000 {
            drop(WIDOWS.get_or_insert_with(self.0 + 1000, |key| Widow(*key)));
            WIDOWS.get(&(self.0 + 1));
            WIDOWS.len();
        }
    }
}

#[test]
fn destructors_may_use_the_layer() {
    promptly(|| {
        for key in 0..100 {
            drop(WIDOWS.get_or_insert_with(key, |key| Widow(*key)));
        }
        assert_eq!(WIDOWS.len(), 3);
        while WIDOWS.clear() > 0 {}
        assert!(WIDOWS.map().is_empty());
        assert_eq!(FUNERALS.load(SeqCst), 200);
    });
}

/// Panics when it is dropped, if its number is odd.
struct Bomb(u32, #[allow(dead_code)] Citizen);

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(self.0 % 2 == 0, "bomb {}", self.0);
    }
}

#[test]
fn a_destructor_that_panics_leaves_the_layer_as_it_should_be() {
    let recent: Recent<Registry<u32, Bomb>> = Recent::new(Registry::new(), 3);
    let census = Census::new();
    let visit = |key| drop(recent.get_or_insert_with(key, |key| Bomb(*key, census.citizen())));
    (0..4).for_each(visit);
    assert_eq!(panic_of(|| visit(4)), "bomb 1");
    assert_eq!((recent.len(), census.alive()), (3, 3));
    assert!(recent.get(&4).is_some());
    visit(5);
    assert_eq!(panic_of(|| recent.clear()), "bomb 3");
    assert_eq!((recent.len(), census.alive()), (0, 0));
    (6..12).for_each(|key| drop(catch_unwind(AssertUnwindSafe(|| visit(key)))));
    assert_eq!((recent.len(), census.alive()), (3, 3));
    assert_eq!(panic_of(|| drop(recent)), "bomb 9");
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_layer_can_be_used_by_all_threads_at_once() {
    promptly(|| {
        for capacity in [1, 7, 700] {
            let (recent, census) = layer(capacity);
            let hand = Hand::new();
            let recent = recent.time_to_idle(T).with_clock(hand.clock());
            let barrier = Barrier::new(4);
            thread::scope(|scope| {
                for seed in 0..4 {
                    let (recent, census, hand, barrier) = (&recent, &census, &hand, &barrier);
                    scope.spawn(move || {
                        let mut dice = Dice::new(seed);
                        barrier.wait();
                        for _ in 0..5000 {
                            let key = dice.below(capacity * 2) as u32;
                            let owner = recent.get_or_insert_with(key, |_| census.citizen());
                            assert!(Handle::ptr_eq(&recent.map().get(&key).unwrap(), &owner));
                            match dice.below(100) {
                                0 => drop(recent.clear()),
                                1 => drop(recent.release(&owner)),
                                2 => drop(recent.expire()),
                                3 => hand.go_on(T / 8),
                                _ => {}
                            }
                            assert!(recent.len() <= capacity);
                        }
                    });
                }
            });
            assert_eq!(recent.len() as isize, census.alive());
            recent.clear();
            assert_eq!(census.alive(), 0);
        }
    });
}

#[test]
fn creations_share_the_flight_of_the_map() {
    promptly(|| {
        let (recent, census) = layer(4);
        let barrier = Barrier::new(4);
        for key in 0..200 {
            let held = Mutex::new(Vec::new());
            thread::scope(|scope| {
                for n in 0..4 {
                    let (recent, census, barrier, held) = (&recent, &census, &barrier, &held);
                    scope.spawn(move || {
                        barrier.wait();
                        let owner = match n % 2 {
                            0 => recent.get_or_insert_with(key, |_| census.citizen()),
                            _ => recent.map().get_or_insert_with(key, |_| census.citizen()),
                        };
                        held.lock().unwrap().push(owner);
                    });
                }
            });
            assert_eq!(census.born(), key as usize + 1);
        }
    });
}

#[cfg(feature = "async")]
#[test]
fn tasks_keep_what_they_use() {
    static RECENT: Recent<Registry<u32, u32>> = Recent::new(Registry::new(), 2);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async {
        let task = async {
            let copy = |key: &u32| {
                let key = *key;
                async move { key }
            };
            RECENT.get_or_insert_async(1, copy).await;
            let failed = RECENT.get_or_try_insert_async(2, |_| async { Err(7) });
            assert_eq!(failed.await.err(), Some(CreateError::Failed(7)));
            let claim = RECENT.entry(1).claim_async().await;
            *claim.live().unwrap()
        };
        assert_eq!(tokio::spawn(task).await.unwrap(), 1);
    });
    assert_eq!(RECENT.len(), 1);
}

#[test]
fn it_says_what_it_is() {
    let (recent, census) = layer(4);
    let recent = recent.time_to_idle(T);
    visit(&recent, &census, 1);
    assert_eq!(
        format!("{recent:?}"),
        "Recent { len: 1, capacity: 4, time_to_idle: Some(80s), .. }"
    );
    let errors: RecentErrors<u32, u32> = RecentErrors::new(4, T);
    assert_eq!(
        format!("{errors:?}"),
        "RecentErrors { len: 0, capacity: 4, time_to_live: 80s, .. }"
    );
}

#[test]
fn more_than_can_be_numbered_is_refused() {
    let text = panic_of(|| Recent::new(People::new(), usize::MAX));
    assert!(text.contains("2^30"), "{text}");
}

/// It may be given up with what it needs; and in an exclusive registry its key would then wait for an end that does not come.
#[test]
fn what_is_not_published_yet_is_not_kept() {
    type Way = fn(&Recent<People>, &dyn Fn() -> Citizen);
    let ways: [Way; 3] = [
        |recent, make| drop(recent.get_or_insert_with(1, |_| make())),
        |recent, make| {
            let vacancy = recent.entry(1).claim().vacant().unwrap();
            let made = vacancy.try_fill_with(|_| Ok::<_, ()>(make()));
            recent.keep(&made.unwrap());
        },
        |recent, make| {
            let initialise = |_: &_| drop(make());
            let people = recent.map();
            let made = people
                .entry(1)
                .or_create_cyclic(|_| Census::new().citizen(), initialise);
            assert!(recent.get(&1).is_some());
            drop(made);
        },
    ];
    promptly(move || {
        let census = Census::new();
        let others: Registry<u32, u32> = Registry::new();
        for way in ways {
            let recent = Recent::new(People::new().exclusive(), 4);
            let make = || {
                assert!(others.get(&1).is_some(), "the draft");
                census.citizen()
            };
            let initialise = |_: &_| {
                way(&recent, &make);
                Err(())
            };
            let failed = others.entry(1).or_try_create_cyclic(|_| Ok(1), initialise);
            assert!(failed.is_err());
            assert_eq!((recent.len(), census.alive()), (0, 0));
            recent.get_or_insert_with(1, |_| census.citizen());
            assert_eq!((recent.len(), census.alive()), (1, 1));
            recent.clear();

            // Without a draft it is kept, in the middle of whatever.
            others.get_or_insert_with(2, |_| {
                recent.get_or_insert_with(2, |_| census.citizen());
                2
            });
            assert_eq!((recent.len(), census.alive()), (1, 1));
            recent.clear();
        }
    });
}

#[test]
fn what_is_removed_is_not_kept_in_a_registry_and_in_a_map() {
    let census = Census::new();
    let recent: Recent<People> = Recent::new(Registry::new(), 4);
    drop(recent.get_or_insert_with(1, |_| census.citizen()));
    assert_eq!((recent.len(), census.alive()), (1, 1));
    let removed = recent.remove(&1).unwrap();
    assert!(!recent.is_kept(&removed) && recent.is_empty() && recent.map().is_empty());
    drop(removed);
    assert_eq!(census.alive(), 0);
    assert!(recent.remove(&1).is_none());

    let recent = Recent::new(WeakValueMap::<String, Arc<str>>::new(), 4);
    let kept = recent.get_or_insert_with("a".into(), |_| "A".into());
    let other = recent.get_or_insert_with("b".into(), |_| "B".into());
    assert_eq!(recent.remove("a"), Some(kept.clone()));
    assert!(!recent.is_kept(&kept) && recent.is_kept(&other));
    assert_eq!(
        (recent.get("a"), recent.get("b")),
        (None, Some(other.clone()))
    );
    // Entered again, it is another one's business.
    recent.map().insert("a".into(), kept.clone());
    assert!(
        !recent.is_kept(&kept) && recent.get("a") == Some(kept.clone()) && recent.is_kept(&kept)
    );
}
