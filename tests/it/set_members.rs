//! How members come into a `WeakSet` other than by a strong pointer that is there: made by whoever misses them, or by a weak
//! pointer to what is not finished. And that a loop is given owners.

use crate::common::{panic_of, promptly};
use highlander::map::ByAddress;
use highlander::pointer::{Token, Watched};
use highlander::{Handle, Registry, WeakSet};
use std::cell::Cell;
use std::ops::ControlFlow;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Weak};
use std::thread;

type Texts = WeakSet<Arc<str>>;

#[test]
fn get_or_insert_with_makes_what_is_missing_and_nothing_else() {
    let set = Texts::new();
    let made = Cell::new(0);
    let get = |text: &str| {
        set.get_or_insert_with(text, |text| {
            made.set(made.get() + 1);
            text.into()
        })
    };
    let one = get("one");
    assert!(Arc::ptr_eq(&one, &get("one")));
    let two = get("two");
    assert_eq!((made.get(), set.len()), (2, 2));
    drop(one);
    let one = get("one");
    assert_eq!((made.get(), set.len()), (3, 2), "a dead one is no member");
    assert_eq!(set.iter().collect::<Vec<_>>(), [two, one], "at the end");
}

#[test]
fn get_or_insert_with_enters_nothing_when_make_panics_or_makes_something_else() {
    let set = Texts::new();
    let refused = panic_of(|| set.get_or_insert_with("one", |_| panic!("no more")));
    assert_eq!(refused, "no more");
    let other: Arc<str> = "two".into();
    let refused = panic_of(|| set.get_or_insert_with("one", |_| Arc::clone(&other)));
    assert!(refused.contains("not equal"), "{refused}");
    assert_eq!((set.entry_count(), set.version()), (0, 0));
    assert_eq!(&*set.get_or_insert_with("one", |one| one.into()), "one");
}

#[test]
fn make_may_use_the_set_and_who_comes_first_wins() {
    promptly(|| {
        let set = Texts::new();
        let inner = Cell::new(None);
        let outer = set.get_or_insert_with("one", |one| {
            inner.set(Some(set.get_or_insert_with(one, |one| one.into())));
            assert!(set.contains("one"));
            one.into()
        });
        assert!(Arc::ptr_eq(&outer, &inner.take().unwrap()));
        assert_eq!(set.entry_count(), 1);
    });
}

#[test]
fn all_who_miss_a_member_at_once_get_one_and_the_same() {
    const THREADS: usize = 4;
    for _ in 0..200 {
        let (set, made) = (Texts::new(), AtomicUsize::new(0));
        let start = Barrier::new(THREADS);
        let got: Vec<Arc<str>> = thread::scope(|scope| {
            let get = || {
                start.wait();
                set.get_or_insert_with("one", |one| {
                    made.fetch_add(1, SeqCst);
                    one.into()
                })
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(get)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(got.iter().all(|one| Arc::ptr_eq(one, &got[0])));
        assert!((1..=THREADS).contains(&made.load(SeqCst)));
        assert_eq!((set.len(), set.entry_count(), set.version()), (1, 1, 1));
    }
}

#[test]
fn for_each_gives_owners_that_may_be_kept() {
    let owned: Vec<Arc<u32>> = (0..40).map(Arc::new).collect();
    let set: WeakSet<Arc<u32>> = owned.iter().cloned().collect();
    let mut kept = Vec::new();
    set.for_each(|member| kept.push(member));
    drop(owned);
    assert_eq!(set.len(), 40, "they live by those who keep them");
    let third = set.try_for_each(|member| match *member {
        2 => ControlFlow::Break(member),
        _ => ControlFlow::Continue(()),
    });
    assert!(Arc::ptr_eq(&third.unwrap(), &kept[2]));
}

trait Listener: Send + Sync {
    fn name(&self) -> u32;
}

struct Door(u32);

impl Listener for Door {
    fn name(&self) -> u32 {
        self.0
    }
}

type Listeners = WeakSet<Arc<dyn Listener>, ByAddress>;

/// A door that enters itself; `meanwhile` runs before it is finished.
fn door(set: &Listeners, name: u32, meanwhile: impl FnOnce()) -> Arc<Door> {
    Arc::new_cyclic(|me| {
        let listener: Weak<dyn Listener> = Weak::<Door>::clone(me);
        assert!(set.insert_weak(&listener));
        meanwhile();
        Door(name)
    })
}

fn names(set: &Listeners) -> Vec<u32> {
    set.iter().map(|listener| listener.name()).collect()
}

#[test]
fn an_unfinished_member_is_shown_once_it_lives_in_its_place() {
    let set = Listeners::new();
    let before = door(&set, 1, || {});
    let mut between: Option<Arc<Door>> = None;
    let late = door(&set, 2, || {
        between = Some(door(&set, 3, || {}));
        assert_eq!(names(&set), [1, 3]);
        assert_eq!((set.len(), set.entry_count()), (2, 3));
    });
    assert_eq!(names(&set), [1, 2, 3], "by the order of insertion");
    assert_eq!((set.len(), set.version()), (3, 3));
    let late: Arc<dyn Listener> = late;
    assert!(set.contains(&late) && !set.insert(&late));
    assert!(set.remove(&late));
    assert_eq!(names(&set), [1, 3]);
    drop((before, between));
    assert_eq!((set.len(), set.prune(), set.entry_count()), (0, 2, 0));
}

#[test]
fn nothing_that_goes_through_a_set_takes_an_unfinished_member_for_dead() {
    let set = Listeners::new();
    let only = door(&set, 1, || {
        assert!(set.is_empty() && set.first().is_none() && set.pop_first().is_none());
        assert_eq!((set.prune(), set.retain(|_| false)), (0, 0));
        assert_eq!((set.drain().count(), set.iter().count()), (0, 0));
        set.for_each(|_| unreachable!("nobody lives"));
        set.shrink_to_fit();
        // Insertions and removals, each of which sweeps.
        for name in 0..300 {
            let short: Arc<dyn Listener> = Arc::new(Door(name));
            assert!(set.insert(&short));
            if name % 2 == 0 {
                assert!(set.remove(&short));
            }
        }
        assert!(set.prune() <= 64);
        assert_eq!((set.entry_count(), set.len()), (1, 0));
    });
    assert_eq!(names(&set), [1]);
    drop(only);
    assert_eq!((set.prune(), set.entry_count()), (1, 0));
}

#[test]
fn an_unfinished_member_is_entered_once() {
    let set = Listeners::new();
    let only = Arc::new_cyclic(|me: &Weak<Door>| {
        let listener: Weak<dyn Listener> = me.clone();
        assert!(set.insert_weak(&listener));
        assert!(!set.insert_weak(&listener));
        assert!(!set.insert_weak_with_token(&listener, &Token::new()));
        Door(1)
    });
    let listener: Arc<dyn Listener> = only;
    assert!(!set.insert(&listener) && !set.insert_weak(&Arc::downgrade(&listener)));
    assert_eq!((set.entry_count(), set.version()), (1, 1));
}

#[test]
fn a_weak_pointer_to_what_lives_is_entered_as_its_owner_would_be() {
    let set: WeakSet<Watched<u32>, ByAddress> = WeakSet::new();
    let member = Watched::new(1);
    assert!(set.insert_weak(&Watched::downgrade(&member)));
    assert!(!set.insert(&member));
    drop(member);
    assert_eq!(set.entry_count(), 0, "it reports its death");
}

#[test]
fn a_member_that_nobody_saw_alive_keeps_its_entry_until_it_is_asked_to_go() {
    let set = Listeners::new();
    let unseen = door(&set, 1, || {});
    let weak: Weak<dyn Listener> = Arc::<Door>::downgrade(&unseen);
    drop(unseen);
    assert_eq!((set.prune(), set.len(), set.entry_count()), (0, 0, 1));
    assert!(set.remove_weak(&weak));
    assert!(!set.remove_weak(&weak));
    assert_eq!((set.entry_count(), set.version()), (0, 2));
    let failed = catch_unwind(AssertUnwindSafe(|| door(&set, 2, || panic!("no hinges"))));
    assert!(failed.is_err());
    assert_eq!((set.prune(), set.entry_count()), (0, 1));
    assert_eq!((set.clear(), set.entry_count()), (1, 0));
}

#[test]
fn each_look_at_a_living_member_makes_it_one_that_is_pruned() {
    type Look = fn(&Listeners, &Arc<dyn Listener>);
    let looks: [Look; 7] = [
        |set, _| assert_eq!(set.iter().count(), 1),
        |set, _| assert_eq!(set.len(), 1),
        |set, one| assert!(set.contains(one)),
        |set, one| assert!(!set.insert(one)),
        |set, _| assert_eq!(set.prune(), 0),
        |set, _| assert!(set.insert(&(Arc::new(Door(2)) as Arc<dyn Listener>))),
        |set, _| assert!(set.first().is_some()),
    ];
    for look in looks {
        let set = Listeners::new();
        let one: Arc<dyn Listener> = door(&set, 1, || {});
        look(&set, &one);
        drop(one);
        set.prune();
        assert_eq!(set.entry_count(), 0);
    }
}

struct Session {
    _token: Option<Token>,
}

type Sessions = WeakSet<Arc<Session>, ByAddress>;

fn session(set: &Sessions, finish: impl FnOnce(Token) -> Session) -> Arc<Session> {
    Arc::new_cyclic(|me| {
        let token = Token::new();
        assert!(set.insert_weak_with_token(me, &token));
        finish(token)
    })
}

#[test]
fn with_its_token_an_unfinished_member_goes_when_the_value_dies_unseen() {
    let set = Sessions::new();
    let unseen = session(&set, |token| Session {
        _token: Some(token),
    });
    assert_eq!(set.entry_count(), 1);
    drop(unseen);
    assert_eq!((set.entry_count(), set.version()), (0, 2));
}

#[test]
fn with_its_token_an_unfinished_member_goes_when_its_factory_panics_or_drops_it() {
    let set = Sessions::new();
    let failed = catch_unwind(AssertUnwindSafe(|| {
        session(&set, |_token| panic!("no route"))
    }));
    assert!(failed.is_err());
    assert_eq!(set.entry_count(), 0);
    let without = session(&set, |token| {
        drop(token);
        Session { _token: None }
    });
    assert_eq!((set.entry_count(), set.len()), (0, 0));
    assert!(set.insert(&without));
}

#[test]
fn a_token_that_goes_while_its_member_lives_leaves_one_that_is_pruned() {
    let set = Sessions::new();
    let kept = Cell::new(None);
    let member = session(&set, |token| {
        kept.set(Some(token));
        Session { _token: None }
    });
    drop(kept.take());
    assert_eq!((set.len(), set.entry_count()), (1, 1));
    drop(member);
    assert_eq!((set.len(), set.prune(), set.entry_count()), (0, 1, 0));
    // And one that lives when it is entered, by its weak pointer.
    let token = Token::new();
    let member = Arc::new(Session { _token: None });
    assert!(set.insert_weak_with_token(&Arc::downgrade(&member), &token));
    assert!(!set.insert_weak_with_token(&Arc::downgrade(&member), &token));
    drop(member);
    drop(token);
    assert_eq!(set.entry_count(), 0);
}

/// Takes itself out, where nobody has an owner any more.
struct Leaver {
    me: Weak<Leaver>,
    set: Arc<WeakSet<Arc<Leaver>, ByAddress>>,
    gone: Arc<AtomicUsize>,
}

impl Drop for Leaver {
    fn drop(&mut self) {
        self.gone
            .fetch_add(self.set.remove_weak(&self.me).into(), SeqCst);
    }
}

#[test]
fn an_object_takes_itself_out_in_its_own_destructor() {
    let (set, gone) = (Arc::new(WeakSet::new()), Arc::new(AtomicUsize::new(0)));
    assert!(!set.remove_weak(&Weak::new()), "of a set without members");
    for entered in [false, true] {
        let one = Arc::new_cyclic(|me| {
            assert!(set.insert_weak(me));
            let (me, set, gone) = (me.clone(), Arc::clone(&set), Arc::clone(&gone));
            Leaver { me, set, gone }
        });
        if !entered {
            assert!(set.remove(&one));
        }
        drop(one);
        assert_eq!(gone.load(SeqCst), usize::from(entered));
        assert_eq!(set.entry_count(), 0);
    }
}

#[test]
fn values_of_a_registry_and_watched_ones_enter_themselves_too() {
    let registry: Registry<u32, String> = Registry::new();
    let set: WeakSet<Handle<u32, String>, ByAddress> = WeakSet::new();
    let value = registry.entry(1).or_insert_cyclic(|_, me| {
        assert!(set.insert_weak(me));
        assert_eq!((set.prune(), set.len()), (0, 0));
        "one".into()
    });
    assert_eq!(set.first().as_deref().map(String::as_str), Some("one"));
    assert!(set.contains(&value));

    let set: WeakSet<Watched<u32>, ByAddress> = WeakSet::new();
    let value = Watched::new_cyclic(|me| {
        assert!(set.insert_weak(me));
        assert_eq!((set.prune(), set.len()), (0, 0));
        7
    });
    assert_eq!(set.first(), Some(value.clone()));
    drop(value);
    assert_eq!((set.len(), set.prune(), set.entry_count()), (0, 1, 0));
}

#[test]
fn members_that_come_to_life_beside_others_that_sweep_are_all_there() {
    const EACH: u32 = 500;
    let (set, ended) = (Listeners::new(), AtomicBool::new(false));
    let doors: Vec<Arc<Door>> = thread::scope(|scope| {
        let make = |first: u32| {
            let set = &set;
            move || -> Vec<Arc<Door>> {
                (first..first + EACH)
                    .map(|name| door(set, name, thread::yield_now))
                    .collect()
            }
        };
        let makers = [scope.spawn(make(0)), scope.spawn(make(EACH))];
        let sweeper = scope.spawn(|| {
            while !ended.load(SeqCst) {
                set.prune();
                set.for_each(|listener| assert!(listener.name() < 2 * EACH));
            }
        });
        let doors = makers.map(|maker| maker.join());
        ended.store(true, SeqCst);
        sweeper.join().unwrap();
        doors.into_iter().flat_map(Result::unwrap).collect()
    });
    let mut shown = names(&set);
    shown.sort_unstable();
    assert!(shown.into_iter().eq(0..2 * EACH));
    drop(doors);
    assert_eq!(set.prune(), 2 * EACH as usize);
}
