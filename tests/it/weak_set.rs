//! `WeakSet`: the meaning of CPython's `WeakSet` (see `BEHAVIOURS.md`), and what a list of listeners owes.

use crate::common::{forever, panic_of, promptly, Colliding, Dice};
use highlander::map::ByAddress;
use highlander::pointer::{
    Notify, Pointer, Registration, Reported, Unreported, Watched, WeakPointer,
};
use highlander::WeakSet;
use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

type Numbers = WeakSet<Arc<u32>>;

fn numbers(range: std::ops::Range<u32>) -> Vec<Arc<u32>> {
    range.map(Arc::new).collect()
}

fn set_of(owned: &[Arc<u32>]) -> Numbers {
    owned.iter().cloned().collect()
}

fn shown<M, S>(set: &WeakSet<Arc<u32>, M, S>) -> Vec<u32> {
    set.iter().map(|member| *member).collect()
}

/// test_weakset: `test_len`.
#[test]
fn a_dead_member_is_gone_and_len_is_one_less() {
    let mut owned = numbers(0..3);
    let set = set_of(&owned);
    assert_eq!(set.len(), 3);
    owned.remove(1);
    assert_eq!((set.len(), set.contains(&1), set.get(&1)), (2, false, None));
    assert_eq!(shown(&set), [0, 2]);
    drop(owned);
    assert_eq!((set.len(), set.is_empty()), (0, true));
}

/// test_weakset: `test_contains`.
#[test]
fn contains_is_false_for_strangers_and_pop_of_an_empty_set_is_none() {
    let owned = numbers(0..2);
    let set = set_of(&owned);
    assert!(set.contains(&0) && !set.contains(&2));
    assert!(!Numbers::new().contains(&0));
    assert_eq!(Numbers::new().pop_first(), None);
    assert_eq!(Numbers::new().first(), None);
}

/// test_weakset: `test_add`, `test_remove`, `test_discard`.
#[test]
fn insert_and_remove_say_what_they_did() {
    let (set, one, same) = (Numbers::new(), Arc::new(1), Arc::new(1));
    assert!(set.insert(&one));
    assert!(!set.insert(&one) && !set.insert(&same));
    assert!(Arc::ptr_eq(&set.get(&1).unwrap(), &one));
    assert!(set.remove(&1));
    assert!(!set.remove(&1));
    assert_eq!(*one, 1);
    assert!(set.insert(&same));
    assert!(Arc::ptr_eq(&set.take(&1).unwrap(), &same));
}

#[test]
fn the_first_of_equal_members_stays_and_its_death_is_the_entrys() {
    let (set, one, same) = (Numbers::new(), Arc::new(1), Arc::new(1));
    set.insert(&one);
    set.insert(&same);
    drop(one);
    assert_eq!((set.len(), set.contains(&1)), (0, false));
    assert!(set.insert(&same));
    assert_eq!(set.entry_count(), 1);
}

#[test]
fn by_address_equal_members_are_two() {
    let set: WeakSet<Arc<u32>, ByAddress> = WeakSet::new();
    let (one, same) = (Arc::new(1), Arc::new(1));
    assert!(set.insert(&one) && set.insert(&same) && !set.insert(&one));
    assert!(set.contains(&one) && set.contains(&same) && !set.contains(&Arc::new(1)));
    assert!(set.remove(&one));
    assert_eq!(set.len(), 1);
}

/// A target that can neither be hashed nor compared.
#[test]
fn by_address_nothing_of_the_target_is_used() {
    trait Listener: Send + Sync {
        fn hear(&self, word: &str) -> usize;
    }
    struct Ear(AtomicUsize);
    impl Listener for Ear {
        fn hear(&self, word: &str) -> usize {
            self.0.fetch_add(word.len(), SeqCst) + word.len()
        }
    }
    static EARS: WeakSet<Arc<dyn Listener>, ByAddress> = WeakSet::new();
    let ears: Vec<Arc<dyn Listener>> = (0..10).map(|_| Arc::new(Ear(0.into())) as _).collect();
    EARS.extend(ears.iter().cloned());
    EARS.extend(ears.iter().cloned());
    let mut heard = 0;
    EARS.for_each(|ear| heard += ear.hear("word"));
    assert_eq!(heard, 40);
    drop(ears);
    EARS.for_each(|_| unreachable!("nobody is there"));
    assert!(EARS.is_empty());
    EARS.clear();
    assert_eq!(EARS.entry_count(), 0);
}

#[test]
fn members_come_in_the_order_of_their_insertion() {
    let owned = numbers(0..100);
    let set = Numbers::new();
    for member in owned.iter().rev() {
        set.insert(member);
    }
    assert!(shown(&set).into_iter().eq((0..100).rev()));
    assert!(set.remove(&50) && set.insert(&owned[50]));
    assert_eq!(shown(&set).last(), Some(&50));
    assert!(!set.insert(&owned[99]));
    assert_eq!((shown(&set)[0], set.first().as_deref()), (99, Some(&99)));
}

/// test_weakset: `test_pop`.
#[test]
fn pop_first_takes_in_order_and_skips_the_dead() {
    let mut owned = numbers(0..40);
    let set = set_of(&owned);
    owned.drain(..20);
    assert_eq!(set.pop_first().as_deref(), Some(&20));
    let rest: Vec<_> = std::iter::from_fn(|| set.pop_first()).map(|m| *m).collect();
    assert!(rest.into_iter().eq(21..40));
    assert_eq!((set.pop_first(), set.entry_count()), (None, 0));
}

#[test]
fn of_two_that_pop_each_gets_another() {
    let owned = numbers(0..2000);
    let set = Arc::new(set_of(&owned));
    let start = Arc::new(Barrier::new(2));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (set, start) = (Arc::clone(&set), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                std::iter::from_fn(|| set.pop_first())
                    .map(|m| *m)
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let mut all: Vec<_> = threads
        .into_iter()
        .flat_map(|t| t.join().unwrap())
        .collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..2000));
}

/// test_weakset: `test_clear`, `test_copy`, `test_update`.
#[test]
fn clear_clone_extend_and_drain() {
    let owned = numbers(0..50);
    let mut set = set_of(&owned[..25]);
    Extend::extend(&mut set, owned[25..].iter());
    let copy = set.clone();
    assert_eq!((set.clear(), set.len(), copy.len()), (50, 0, 50));
    assert!(shown(&copy).into_iter().eq(0..50));
    let drained = copy.drain();
    assert_eq!((copy.entry_count(), drained.len()), (0, 50));
    assert!(drained.map(|m| *m).eq(0..50));
    assert!(set.insert(&owned[0]));
}

#[test]
fn retain_keeps_what_is_wanted() {
    let owned = numbers(0..100);
    let set = set_of(&owned);
    assert_eq!(set.retain(|member| **member % 3 == 0), 66);
    assert!(shown(&set).into_iter().eq((0..100).step_by(3)));
    assert_eq!(panic_of(|| set.retain(|_| panic!("no"))), "no");
    assert_eq!(set.len(), 34);
}

/// test_weakset: `test_union`, `test_intersection`, `test_difference`, `test_symmetric_difference`, `test_sub_and_super`, `test_isdisjoint`, `test_eq`.
#[test]
fn set_operations_look_at_live_members() {
    let mut owned = numbers(0..10);
    let (low, high) = (set_of(&owned[..6]), set_of(&owned[4..]));
    assert_eq!(shown(&low.union(&high)), (0..10).collect::<Vec<_>>());
    assert_eq!(shown(&low.intersection(&high)), [4, 5]);
    assert_eq!(shown(&low.difference(&high)), [0, 1, 2, 3]);
    assert_eq!(
        shown(&low.symmetric_difference(&high)),
        [0, 1, 2, 3, 6, 7, 8, 9]
    );
    assert!(!low.is_disjoint(&high) && !low.is_subset(&high));
    assert!(low.intersection(&high).is_subset(&low) && low.is_superset(&low.intersection(&high)));
    owned.drain(4..6);
    assert!(low.is_disjoint(&high));
    assert_eq!(low, set_of(&owned[..4]));
    assert_ne!(low, high);
    let reversed: Numbers = owned[..4].iter().rev().cloned().collect();
    assert_eq!(low, reversed);
}

#[test]
fn an_iterator_shows_nothing_that_came_after_it_was_made() {
    let owned: Vec<_> = (0..4).map(Arc::new).collect();
    let set = Numbers::new();
    let of_nothing = set.iter();
    set.insert(&owned[0]);
    set.insert(&owned[1]);
    let of_two = set.iter();
    set.insert(&owned[2]);
    assert_eq!(of_nothing.count(), 0);
    assert!(of_two.eq([owned[0].clone(), owned[1].clone()]));
}

/// test_weakset: `test_weak_destroy_while_iterating`.
#[test]
fn an_iterator_keeps_what_it_yielded_and_drops_the_rest_when_closed() {
    let mut owned = numbers(0..3);
    let set = set_of(&owned);
    let mut iterator = set.iter();
    let current = iterator.next().unwrap();
    owned.clear();
    assert_eq!((*current, set.contains(&0)), (0, true));
    drop(iterator);
    assert_eq!(set.len(), 1);
    drop(current);
    assert_eq!(set.len(), 0);
}

/// test_weakset: `test_weak_destroy_and_mutate_while_iterating`.
#[test]
fn changes_during_iteration_are_never_an_error() {
    for victim in 0..60 {
        let owned = numbers(0..60);
        let more = numbers(60..200);
        let set = set_of(&owned);
        let mut owned: Vec<_> = owned.into_iter().map(Some).collect();
        let mut seen = Vec::new();
        for member in &set {
            if seen.is_empty() {
                owned[victim] = None;
                set.remove(&((victim as u32 + 7) % 60));
                assert!(set.contains(&0) || victim == 0 || victim == 53);
                set.len();
                set.extend(more.iter().cloned());
                set.prune();
            }
            seen.push(*member);
        }
        // No newcomer, nothing twice, in order, and nothing that was removed before its turn.
        assert!(seen.is_sorted() && seen.len() >= 58 && *seen.last().unwrap() < 60);
        let removed = (victim as u32 + 7) % 60;
        assert!(removed == 0 || !seen.contains(&removed));
    }
}

#[test]
fn a_loop_that_inserts_ends() {
    let set = Numbers::new();
    let first = Arc::new(0);
    set.insert(&first);
    let mut owned = Vec::new();
    let mut rounds = 0;
    set.for_each(|number| {
        rounds += 1;
        let next = Arc::new(*number + 1);
        set.insert(&next);
        owned.push(next);
    });
    assert_eq!((rounds, set.len()), (1, 2));
}

#[test]
fn a_listener_that_unsubscribes_another_silences_it() {
    let owned = numbers(0..8);
    let set: WeakSet<Arc<u32>, ByAddress> = owned.iter().cloned().collect();
    let mut heard = Vec::new();
    set.for_each(|number| {
        heard.push(*number);
        set.remove(&owned[(*number as usize + 1) % 8]);
    });
    assert_eq!(heard, [0, 2, 4, 6]);
}

#[test]
fn try_for_each_stops() {
    let owned = numbers(0..100);
    let set = set_of(&owned);
    let found = set.try_for_each(|member| match *member {
        42 => ControlFlow::Break(member),
        _ => ControlFlow::Continue(()),
    });
    assert!(Arc::ptr_eq(&found.unwrap(), &owned[42]));
}

#[test]
fn watched_members_go_at_their_last_drop() {
    let set: WeakSet<Watched<u32>> = WeakSet::new();
    let owned: Vec<_> = (0..1000).map(Watched::new).collect();
    for member in &owned {
        set.insert(member);
    }
    for (i, member) in owned.into_iter().enumerate() {
        assert_eq!((set.entry_count(), set.len()), (1000 - i, 1000 - i));
        drop(member);
    }
    assert_eq!(set.entry_count(), 0);
}

#[test]
fn dead_members_of_plain_arcs_are_pruned_by_other_insertions() {
    let set = Numbers::new();
    let keep = numbers(0..100);
    set.extend(keep.iter().cloned());
    let mut most = 0;
    for i in 100..20_000 {
        set.insert(&Arc::new(i));
        most = most.max(set.entry_count());
    }
    assert!(most <= 2 * 100 + 64, "{most} entries, 100 of them live");
    assert!(set.capacity() <= 1024);
    assert_eq!(set.len(), 100);
}

#[test]
fn after_a_mass_death_insertions_clean_up_64_at_a_time() {
    let set = Numbers::new();
    let dead = numbers(0..6400);
    set.extend(dead.iter().cloned());
    drop(dead);
    assert_eq!((set.entry_count(), set.len()), (6400, 0));
    let owned = numbers(10_000..10_110);
    for member in &owned {
        set.insert(member);
    }
    assert_eq!(set.entry_count(), 110);
}

#[test]
fn room_is_given_back() {
    let set = Numbers::new();
    let mut owned = numbers(0..10_000);
    set.extend(owned.iter().cloned());
    assert!(set.capacity() >= 10_000);
    owned.truncate(10);
    set.prune();
    assert!(set.capacity() <= 128, "{}", set.capacity());
    assert!(shown(&set).into_iter().eq(0..10));
    set.shrink_to_fit();
    assert!(set.capacity() <= 16);
    assert!(shown(&set).into_iter().eq(0..10));
    set.insert(&Arc::new(1));
    assert_eq!(set.len(), 10);
}

#[test]
fn an_iterator_outlives_its_set() {
    let owned = numbers(0..100);
    let mut iterator = set_of(&owned).iter();
    assert!(iterator.by_ref().map(|m| *m).eq(0..100));
    assert_eq!(iterator.next(), None);
}

/// Compares and hashes by way of the set that it is in.
struct Nosy {
    id: u32,
    set: &'static WeakSet<Watched<Nosy>>,
    panics: AtomicBool,
}

thread_local!(static BUSY: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });

impl Nosy {
    fn new(set: &'static WeakSet<Watched<Nosy>>, id: u32) -> Watched<Nosy> {
        Watched::new(Self {
            id,
            set,
            panics: false.into(),
        })
    }

    fn pry(&self) {
        if self.panics.load(SeqCst) {
            panic!("no")
        }
        if !BUSY.replace(true) {
            let other = Nosy::new(self.set, self.id + 1000);
            self.set.insert(&other);
            assert!(!self.set.is_empty());
            drop(other);
            BUSY.set(false);
        }
    }
}

impl PartialEq for Nosy {
    fn eq(&self, other: &Self) -> bool {
        self.pry();
        self.id == other.id
    }
}

impl Eq for Nosy {}

impl Hash for Nosy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pry();
        (self.id % 2).hash(state);
    }
}

#[test]
fn hash_and_eq_may_use_the_set() {
    promptly(|| {
        let set = forever(WeakSet::new());
        let owned: Vec<_> = (0..20).map(|id| Nosy::new(set, id)).collect();
        for member in &owned {
            assert!(set.insert(member));
        }
        for member in &owned {
            assert!(!set.insert(member));
            assert!(set.contains(&**member));
        }
        assert_eq!(set.len(), 20);
    });
}

#[test]
fn a_panic_in_eq_or_hash_changes_nothing() {
    let set = forever(WeakSet::new());
    let (one, two) = (Nosy::new(set, 1), Nosy::new(set, 3));
    set.insert(&one);
    two.panics.store(true, SeqCst);
    assert_eq!(panic_of(AssertUnwindSafe(|| set.insert(&two))), "no");
    two.panics.store(false, SeqCst);
    one.panics.store(true, SeqCst);
    assert_eq!(panic_of(AssertUnwindSafe(|| set.insert(&two))), "no");
    one.panics.store(false, SeqCst);
    assert_eq!(set.len(), 1);
    assert!(set.insert(&two) && set.remove(&*one));
}

#[test]
fn colliding_hashes_are_told_apart() {
    let owned = numbers(0..200);
    let set: WeakSet<Arc<u32>, highlander::map::ByEquality, Colliding> =
        WeakSet::with_hasher(Colliding);
    for member in &owned {
        assert!(set.insert(member));
    }
    assert!((0..200).all(|n| set.contains(&n)) && !set.contains(&200));
    assert!((0..200).step_by(2).all(|n| set.remove(&n)));
    assert_eq!(shown(&set), (1..200).step_by(2).collect::<Vec<_>>());
}

/// A pointer of the user's own, whose upgrade uses the set, and which reports its death by passing the call on.
#[derive(Clone)]
struct Foreign(Watched<u32>);
#[derive(Clone)]
struct WeakForeign(highlander::pointer::WeakWatched<u32>);

static FOREIGN: WeakSet<Foreign, ByAddress> = WeakSet::new();
static REFUSES: AtomicBool = AtomicBool::new(false);

impl Pointer for Foreign {
    type Target = u32;
    type Weak = WeakForeign;
    type Death = Reported;

    fn downgrade(this: &Self) -> WeakForeign {
        WeakForeign(Watched::downgrade(&this.0))
    }

    fn target(this: &Self) -> &u32 {
        &this.0
    }

    fn address(this: &Self) -> *const () {
        Pointer::address(&this.0)
    }

    fn watch(
        this: &Self,
        notify: highlander::pointer::Notify,
    ) -> Option<highlander::pointer::Registration> {
        assert!(!REFUSES.load(SeqCst), "refused");
        assert!(FOREIGN.entry_count() > 0);
        Pointer::watch(&this.0, notify)
    }
}

impl WeakPointer for WeakForeign {
    type Strong = Foreign;

    fn upgrade(&self) -> Option<Foreign> {
        FOREIGN.entry_count();
        FOREIGN.insert(&Foreign(Watched::new(99)));
        self.0.upgrade().map(Foreign)
    }

    fn is_dead(&self) -> bool {
        !self.0.is_alive()
    }

    fn address(&self) -> *const () {
        WeakPointer::address(&self.0)
    }
}

#[test]
fn a_pointer_of_the_users_own_may_use_the_set_and_report_its_death() {
    promptly(|| {
        let one = Foreign(Watched::new(1));
        assert!(FOREIGN.insert(&one));
        assert_eq!(FOREIGN.len(), 1);
        FOREIGN.for_each(|one| assert_eq!(*Pointer::target(&one), 1));
        assert!(FOREIGN.contains(&one));
        REFUSES.store(true, SeqCst);
        let two = Foreign(Watched::new(2));
        assert!(panic_of(AssertUnwindSafe(|| FOREIGN.insert(&two))).contains("refused"));
        REFUSES.store(false, SeqCst);
        assert_eq!(FOREIGN.entry_count(), 1);
        drop(one);
        assert_eq!(FOREIGN.entry_count(), 0);
    });
}

/// Its weak pointers are counted.
#[derive(Clone)]
struct Tallied(Arc<u32>);
struct WeakTallied(std::sync::Weak<u32>);
static TALLY: AtomicUsize = AtomicUsize::new(0);

impl WeakTallied {
    fn new(weak: std::sync::Weak<u32>) -> Self {
        TALLY.fetch_add(1, SeqCst);
        Self(weak)
    }
}

impl Clone for WeakTallied {
    fn clone(&self) -> Self {
        Self::new(self.0.clone())
    }
}

impl Drop for WeakTallied {
    fn drop(&mut self) {
        TALLY.fetch_sub(1, SeqCst);
    }
}

impl Pointer for Tallied {
    type Target = u32;
    type Weak = WeakTallied;
    type Death = Unreported;

    fn downgrade(this: &Self) -> WeakTallied {
        WeakTallied::new(Arc::downgrade(&this.0))
    }

    fn target(this: &Self) -> &u32 {
        &this.0
    }

    fn address(this: &Self) -> *const () {
        Arc::as_ptr(&this.0).cast()
    }

    fn watch(_: &Self, _: Notify) -> Option<Registration> {
        panic!("it has said that it is not to be asked");
    }
}

impl WeakPointer for WeakTallied {
    type Strong = Tallied;

    fn upgrade(&self) -> Option<Tallied> {
        self.0.upgrade().map(Tallied)
    }

    fn is_dead(&self) -> bool {
        self.0.strong_count() == 0
    }

    fn address(&self) -> *const () {
        self.0.as_ptr().cast()
    }
}

#[test]
fn a_stuck_loop_holds_back_its_batch_and_no_memory() {
    promptly(|| {
        let set: WeakSet<Tallied> = WeakSet::new();
        let owned: Vec<_> = (0..100).map(|n| Tallied(Arc::new(n))).collect();
        set.extend(owned.iter().cloned());
        let mut stuck = set.iter();
        assert_eq!(*stuck.next().unwrap().0, 0);
        let member = Tallied(Arc::new(1000));
        for _ in 0..10_000 {
            assert!(set.insert(&member) && set.remove(&1000));
        }
        // The last few wait for the epoch, and other tests pin it too, for moments.
        while TALLY.load(SeqCst) > 150 {
            set.insert(&Tallied(Arc::new(1001)));
            set.prune();
            thread::yield_now();
        }
        assert!(set.capacity() < 512, "{}", set.capacity());
        assert!(stuck.map(|member| *member.0).eq(1..100));
    });
}

#[test]
fn iteration_while_others_insert_and_remove() {
    let stable = numbers(0..100);
    let set = Arc::new(set_of(&stable));
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2u32)
        .map(|t| {
            let (set, stop) = (Arc::clone(&set), Arc::clone(&stop));
            thread::spawn(move || {
                let mut dice = Dice::new(u64::from(t));
                let mut owned = Vec::new();
                while !stop.load(SeqCst) {
                    let member = Arc::new(1000 + dice.below(500) as u32);
                    if set.insert(&member) {
                        owned.push(member);
                    }
                    match dice.below(4) {
                        0 if !owned.is_empty() => {
                            owned.swap_remove(dice.below(owned.len()));
                        }
                        1 if !owned.is_empty() => {
                            let member = owned.swap_remove(dice.below(owned.len()));
                            set.remove(&*member);
                        }
                        _ => {}
                    }
                }
            })
        })
        .collect();
    for _ in 0..500 {
        let seen = shown(&set);
        assert!(seen.iter().filter(|n| **n < 100).copied().eq(0..100));
    }
    stop.store(true, SeqCst);
    for writer in writers {
        writer.join().unwrap();
    }
    set.prune();
    assert_eq!((set.len(), set.entry_count()), (100, 100));
}

#[test]
fn of_equal_members_entered_together_one_wins() {
    let set = Arc::new(Numbers::new());
    for round in 0..300 {
        let start = Arc::new(Barrier::new(2));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (set, start) = (Arc::clone(&set), Arc::clone(&start));
                thread::spawn(move || {
                    let member = Arc::new(round);
                    start.wait();
                    let won = set.insert(&member);
                    (won, member)
                })
            })
            .collect();
        let results: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        // One may have died before the other came: then both were entered.
        assert!(results[0].0 != results[1].0);
    }
}

#[test]
fn watched_members_die_while_others_iterate() {
    let set: Arc<WeakSet<Watched<u32>>> = Arc::new(WeakSet::new());
    let stop = Arc::new(AtomicBool::new(false));
    let reader = thread::spawn({
        let (set, stop) = (Arc::clone(&set), Arc::clone(&stop));
        move || {
            while !stop.load(SeqCst) {
                let mut last = None;
                set.for_each(|number| {
                    assert!(last.is_none_or(|last| last < *number));
                    last = Some(*number);
                });
            }
        }
    });
    let mut owned = std::collections::VecDeque::new();
    for number in 0..20_000 {
        let member = Watched::new(number);
        set.insert(&member);
        owned.push_back(member);
        if owned.len() > 50 {
            owned.pop_front();
        }
    }
    stop.store(true, SeqCst);
    reader.join().unwrap();
    assert_eq!(set.len(), 50);
    drop(owned);
    assert_eq!(set.entry_count(), 0);
}

#[test]
fn debug_shows_live_members() {
    let mut owned = numbers(1..4);
    let set = set_of(&owned);
    owned.remove(1);
    assert_eq!(format!("{set:?}"), "{1, 3}");
    let log = Mutex::new(Vec::new());
    (&set)
        .into_iter()
        .for_each(|m| log.lock().unwrap().push(*m));
    assert_eq!(log.into_inner().unwrap(), [1, 3]);
}

#[test]
fn what_is_reserved_is_there() {
    for before in [0, 1, 8, 9, 3000] {
        for additional in [0, 1, 7, 1000, 5000] {
            let set = Numbers::new();
            let mut owned = numbers(0..before);
            set.extend(owned.iter().cloned());
            set.reserve(additional);
            let capacity = set.capacity();
            assert!(capacity >= before as usize + additional);
            owned.extend(numbers(before..before + additional as u32));
            set.extend(owned[before as usize..].iter().cloned());
            assert_eq!(set.capacity(), capacity);
            assert!(shown(&set).into_iter().eq(0..before + additional as u32));
            set.shrink_to_fit();
            assert!(set.capacity() <= owned.len().next_power_of_two().max(8));
            assert!(shown(&set).into_iter().eq(0..before + additional as u32));
        }
    }
    assert_eq!(Numbers::new().capacity(), 0);
}

#[test]
fn reserving_keeps_order_and_holes_out_while_others_read() {
    let set = Numbers::new();
    let owned = numbers(0..1000);
    set.extend(owned.iter().cloned());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    let seen = shown(&set);
                    assert!(seen.is_sorted());
                    assert_eq!(
                        seen.iter().filter(|n| **n < 1000 && **n % 3 == 0).count(),
                        334
                    );
                }
            });
        }
        for n in (0..1000).filter(|n| n % 3 != 0) {
            assert!(set.remove(&n));
            set.reserve(n as usize);
            assert!(set.capacity() >= set.entry_count() + n as usize);
        }
        done.store(true, SeqCst);
    });
    assert_eq!(set.len(), 334);
    let more = numbers(2000..2100);
    set.extend(more.iter().cloned());
    assert!(shown(&set)
        .into_iter()
        .eq((0..1000).step_by(3).chain(2000..2100)));
    for n in 2000..2100 {
        assert!(set.remove(&n));
    }
    assert_eq!(set.len(), 334);
}

#[test]
fn a_room_that_no_set_can_have_is_refused() {
    let set = Numbers::new();
    let one = Arc::new(1);
    for _ in 0..2 {
        let text = panic_of(|| set.reserve(usize::MAX));
        assert!(text.contains("capacity overflow"), "{text}");
        set.insert(&one);
        assert_eq!(set.len(), 1);
    }
}

#[test]
fn get_or_insert_returns_the_one_that_is_there() {
    let set = Numbers::new();
    let one = set.get_or_insert(Arc::new(1));
    let same = set.get_or_insert(Arc::new(1));
    assert!(Arc::ptr_eq(&one, &same));
    drop((one, same));
    assert!(set.is_empty());
    let again = set.get_or_insert(Arc::new(1));
    assert_eq!(set.first(), Some(again));
    // Of racing threads all get one.
    let barrier = Barrier::new(4);
    for n in 0..100 {
        let got: Vec<_> = thread::scope(|scope| {
            let race = || {
                barrier.wait();
                set.get_or_insert(Arc::new(n))
            };
            let racers: Vec<_> = (0..4).map(|_| scope.spawn(race)).collect();
            racers
                .into_iter()
                .map(|racer| racer.join().unwrap())
                .collect()
        });
        assert!(got.iter().all(|one| Arc::ptr_eq(one, &got[0])));
    }
}

#[test]
fn a_set_that_is_shared_can_be_extended_as_a_collection() {
    let owned = numbers(0..3);
    let set = Numbers::new();
    Extend::extend(&mut &set, owned.iter().cloned());
    assert_eq!(shown(&set), [0, 1, 2]);
}

/// A weak pointer whose drop enters something into the set that is about to be used for the first time.
#[derive(Clone)]
struct Enters(Arc<u32>);
#[derive(Clone)]
struct WeakEnters(std::sync::Weak<u32>);
static NEXT_SET: Mutex<Option<&'static WeakSet<Arc<u32>>>> = Mutex::new(None);

impl Drop for WeakEnters {
    fn drop(&mut self) {
        let next = *NEXT_SET.lock().unwrap();
        if let Some(next) = next {
            next.insert(&Arc::new(1));
        }
    }
}

impl Pointer for Enters {
    type Target = u32;
    type Weak = WeakEnters;
    type Death = Unreported;

    fn downgrade(this: &Self) -> WeakEnters {
        WeakEnters(Arc::downgrade(&this.0))
    }

    fn target(this: &Self) -> &u32 {
        &this.0
    }

    fn address(this: &Self) -> *const () {
        Arc::as_ptr(&this.0).cast()
    }
}

impl WeakPointer for WeakEnters {
    type Strong = Enters;

    fn upgrade(&self) -> Option<Enters> {
        self.0.upgrade().map(Enters)
    }

    fn is_dead(&self) -> bool {
        self.0.strong_count() == 0
    }

    fn address(&self) -> *const () {
        self.0.as_ptr().cast()
    }
}

/// Removed members are dropped when some later use of any set has found out that nobody looks at them. That use may be the first of another set.
#[test]
fn what_the_first_use_of_a_set_drops_may_use_it() {
    promptly(|| {
        let set: WeakSet<Enters> = WeakSet::new();
        for n in 0..3_000 {
            let member = Enters(Arc::new(n));
            set.insert(&member);
            drop(member);
            set.prune();
            // So that it is now this use that drops, now that.
            (0..n % 11).for_each(|_| drop(set.first()));
            let next: &WeakSet<Arc<u32>> = forever(WeakSet::new());
            NEXT_SET.lock().unwrap().replace(next);
            match n % 2 {
                0 => assert!(next.insert(&Arc::new(7))),
                _ => next.reserve(7),
            }
            NEXT_SET.lock().unwrap().take();
        }
    });
}

#[test]
fn room_that_is_asked_for_again_and_again_is_given_seldom() {
    let set: WeakSet<Arc<u32>> = WeakSet::new();
    let owned: Vec<_> = (0..5000).map(Arc::new).collect();
    let (mut capacity, mut changes) = (set.capacity(), 0);
    for member in &owned {
        set.reserve(1);
        set.insert(member);
        changes += u32::from(set.capacity() != capacity);
        capacity = set.capacity();
    }
    assert!(changes < 20, "{changes} times");
    assert!(set.iter().eq(owned));
}

#[test]
fn a_member_that_cannot_report_its_death_is_not_asked_to() {
    let set: WeakSet<Tallied> = WeakSet::new();
    let (one, two) = (Tallied(Arc::new(1)), Tallied(Arc::new(2)));
    assert!(set.insert(&one));
    assert_eq!(*set.get_or_insert(two.clone()).0, 2);
    drop(one);
    assert!(set.iter().map(|member| *member.0).eq([2]));
}
