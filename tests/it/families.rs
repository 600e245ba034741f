//! Values that are created in two steps in each of the maps: one waits for nobody, whole families come and go together.

use crate::common::{flat, promptly};
use crate::creators::{in_each, Map};
use highlander::error::{CreateError, Refused};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier, OnceLock, Weak};
use std::thread;

/// Knows another one.
#[derive(Debug, Default)]
pub struct Member {
    other: OnceLock<Weak<Member>>,
    finished: AtomicBool,
}

impl Member {
    fn knows(&self, other: &Arc<Member>) {
        self.other.set(Arc::downgrade(other)).unwrap();
        self.finished.store(true, SeqCst);
    }

    fn is_finished(&self) -> bool {
        self.finished.load(SeqCst)
    }

    fn other(&self) -> Arc<Member> {
        self.other.get().unwrap().upgrade().unwrap()
    }
}

type Failed = CreateError<&'static str>;

in_each! { super::Member:
    a_family_of_two_on_one_thread_is_entered_when_both_are_finished
    of_two_threads_that_create_for_each_other_one_is_refused_once_and_then_gets_the_whole_family
    a_family_that_fails_leaves_nothing
    what_is_made_by_a_claim_may_be_made_in_two_steps
    a_map_that_is_closed_meanwhile_takes_nothing
    what_takes_the_place_of_another_one_is_given_what_is_unfinished
}

/// Creates `own`, which asks for `next`, which asks for `own` again. Keeps alive what it meets, for as long as the result lives.
fn pair<M: Map<Member>>(map: &M, keys: &[M::Key; 2], own: usize) -> Result<[M::Owner; 2], Failed> {
    let mut met = None;
    let mine = map.get_or_try_create_cyclic(
        &keys[own],
        || Ok(Arc::default()),
        |mine| {
            let next = map.get_or_try_create_cyclic(
                &keys[1 - own],
                || Ok(Arc::default()),
                |next| {
                    // On one thread this is `mine`; if another one creates it, its own.
                    let again = map.get_or_try_insert(&keys[own], || Err("unreachable"))?;
                    M::value(next).knows(M::value(&again));
                    Ok::<_, Failed>(())
                },
            );
            let next = next.map_err(flat)?;
            M::value(mine).knows(M::value(&next));
            met = Some(next);
            Ok::<_, Failed>(())
        },
    );
    let mine = mine.map_err(flat)?;
    let other = match met {
        Some(other) => other,
        // Somebody else has created both. A look-up waits for nobody, so it may find one before the other is entered; what creates waits.
        None => map.get_or_try_insert(&keys[1 - own], || Err("unreachable"))?,
    };
    Ok([mine, other])
}

fn keys<M: Map<Member>>() -> [M::Key; 2] {
    [M::key(0), M::key(1)]
}

/// Creates 1 in the middle of 0, which it is given unfinished.
fn one_that_knows_zero<M: Map<Member>>(map: &M, keys: &[M::Key; 2]) -> Result<M::Owner, Failed> {
    map.get_or_try_create_cyclic(
        &keys[1],
        || Ok(Arc::default()),
        |one| {
            M::value(one).knows(M::value(&map.get(0).unwrap()));
            Ok(())
        },
    )
}

fn a_family_of_two_on_one_thread_is_entered_when_both_are_finished<M: Map<Member>>() {
    let (map, keys) = (M::empty(), keys::<M>());
    let found = |number| thread::scope(|s| s.spawn(|| map.get(number).is_some()).join().unwrap());
    let zero = map.get_or_try_create_cyclic(
        &keys[0],
        || Ok(Arc::default()),
        |zero| {
            let again = map.get(0).expect("its own");
            assert!(M::same(&again, zero) && !found(0));
            let one = one_that_knows_zero(&map, &keys)?;
            assert!(
                M::same(&map.get(1).unwrap(), &one) && !found(1),
                "only the family sees it"
            );
            assert!(map.try_claim(&keys[1]).unwrap().live().is_some());
            M::value(zero).knows(M::value(&one));
            assert_eq!(map.len(), 0);
            // It outlives this call, so that it is entered.
            crate::common::forever(one);
            Ok::<_, Failed>(())
        },
    );
    let zero = zero.unwrap();
    assert!(found(0) && found(1) && map.len() == 2);
    let one = map.get(1).unwrap();
    assert!(Arc::ptr_eq(&M::value(&zero).other(), M::value(&one)));
    assert!(Arc::ptr_eq(&M::value(&one).other(), M::value(&zero)));
    if let Some(stats) = map.stats() {
        assert_eq!((stats.created, stats.joined), (2, 0));
    }
}

/// As `pair`, again when it is refused: after the other creation has ended, or at once. Says how often it was refused.
fn pair_again<M: Map<Member>>(
    map: &M,
    keys: &[M::Key; 2],
    own: usize,
    waits: bool,
) -> ([M::Owner; 2], u32) {
    let mut refused = 0;
    loop {
        match pair(map, keys, own) {
            Ok(both) => return (both, refused),
            Err(CreateError::Refused(Refused::Cycle(cycle))) => {
                refused += 1;
                if waits {
                    cycle.wait().unwrap();
                }
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// The other one is handed the key that it waits for, before who gives it up can ask for it again.
fn of_two_threads_that_create_for_each_other_one_is_refused_once_and_then_gets_the_whole_family<
    M: Map<Member>,
>() {
    promptly(|| {
        for round in 0..200 {
            let (map, keys) = (M::empty(), keys::<M>());
            let begin = Barrier::new(2);
            let refused = AtomicU32::new(0);
            let create = |own| {
                begin.wait();
                let ([mine, other], times) = pair_again(&map, &keys, own, round % 2 == 0);
                refused.fetch_add(times, SeqCst);
                let [mine, other] = [M::value(&mine).clone(), M::value(&other).clone()];
                assert!(mine.is_finished() && other.is_finished());
                begin.wait();
                assert!(Arc::ptr_eq(&mine.other(), &other) && Arc::ptr_eq(&other.other(), &mine));
                assert_eq!(map.len(), 2);
                begin.wait();
                assert!(refused.load(SeqCst) <= 1, "{refused:?}");
            };
            thread::scope(|scope| {
                scope.spawn(|| create(1));
                create(0);
            });
            assert!(
                (0..2).all(|number| map.try_get(number).is_ok()),
                "nothing flies"
            );
        }
    });
}

fn a_family_that_fails_leaves_nothing<M: Map<Member>>() {
    let (map, keys) = (M::empty(), keys::<M>());
    let mut weak = Vec::new();
    let failed = map.get_or_try_create_cyclic(
        &keys[0],
        || Ok(Arc::default()),
        |zero| {
            let one = one_that_knows_zero(&map, &keys)?;
            weak.extend([zero, &one].map(|owner| Arc::downgrade(M::value(owner))));
            Err(Failed::Failed("no superclass"))
        },
    );
    assert_eq!(
        failed.unwrap_err().into_failed(),
        Failed::Failed("no superclass")
    );
    assert!((0..2).all(|number| map.get(number).is_none() && map.try_get(number).is_ok()));
    assert_eq!(map.entry_count(), 0);
    assert!(
        weak.iter().all(|weak| weak.strong_count() == 0),
        "both have gone"
    );
    let both = pair(&map, &keys, 0).unwrap();
    assert!(both.iter().all(|owner| M::value(owner).is_finished()) && map.len() == 2);
}

fn what_is_made_by_a_claim_may_be_made_in_two_steps<M: Map<Member>>() {
    let (map, keys) = (M::empty(), keys::<M>());
    let created = map.vacancy(&keys[0]).try_fill_cyclic(
        |_| Ok::<_, Refused>(Arc::default()),
        |zero| {
            assert!(M::same(&map.get(0).unwrap(), zero));
            M::value(zero).knows(M::value(zero));
            Ok(())
        },
    );
    assert!(M::value(&created.unwrap()).is_finished());
}

fn a_map_that_is_closed_meanwhile_takes_nothing<M: Map<Member>>() {
    let (map, keys) = (M::empty(), keys::<M>());
    let mut closed = true;
    let result = map.get_or_try_create_cyclic(
        &keys[0],
        || Ok(Arc::default()),
        |_| {
            let one = one_that_knows_zero(&map, &keys);
            closed = map.close();
            one.map(drop)
        },
    );
    if closed {
        assert!(matches!(
            result,
            Err(CreateError::Refused(Refused::Closed(_)))
        ));
        assert_eq!(map.entry_count(), 0);
    }
}

fn what_takes_the_place_of_another_one_is_given_what_is_unfinished<M: Map<Member>>() {
    let (map, keys) = (M::empty(), keys::<M>());
    let others: highlander::WeakValueMap<u32, Arc<u32>> = highlander::WeakValueMap::new();
    let found = || thread::scope(|s| s.spawn(|| others.get(&1)).join().unwrap());
    let stale = Arc::new(0);
    others.insert(1, stale.clone());
    let mut made = None;
    let zero = map.get_or_try_create_cyclic(
        &keys[0],
        || Ok(Arc::default()),
        |zero| {
            let one = others.entry(1).valid_if(|_| false).or_try_insert_with(|_| {
                let again = map.get_or_try_insert(&keys[0], || Ok::<_, Refused>(Arc::default()));
                assert!(M::same(&again.map_err(flat)?, zero));
                Ok::<_, Refused>(Arc::new(1))
            });
            // So it is unfinished too.
            made = Some(one.map_err(flat)?);
            assert_eq!((found(), others.entry_count()), (None, 0));
            Ok::<_, Refused>(())
        },
    );
    assert!(zero.is_ok() && others.entry_count() == 1);
    assert!(Arc::ptr_eq(&found().unwrap(), &made.unwrap()));
}
