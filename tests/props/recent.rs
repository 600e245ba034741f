//! A layer that keeps what was used last, against a queue; and errors that are kept for a time, against a list.

use crate::common::{Census, Citizen};
use highlander::error::CreateError;
use highlander::{Handle, Recent, RecentErrors, Registry};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const KEYS: u8 = 12;
const T: Duration = Duration::from_secs(80);

#[derive(Clone, Debug)]
enum Op {
    Get(u8),
    Create(u8),
    /// Somebody holds it from then on.
    Hold(u8),
    LetGo(usize),
    /// Of what somebody holds.
    Keep(usize),
    Release(usize),
    Remove(u8),
    Clear,
    Shrink,
    GoOn(u32),
    Expire,
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..KEYS;
    prop_oneof![
        8 => key().prop_map(Op::Get),
        12 => key().prop_map(Op::Create),
        4 => key().prop_map(Op::Hold),
        4 => any::<usize>().prop_map(Op::LetGo),
        2 => any::<usize>().prop_map(Op::Keep),
        2 => any::<usize>().prop_map(Op::Release),
        2 => key().prop_map(Op::Remove),
        1 => Just(Op::Clear),
        1 => Just(Op::Shrink),
        6 => (0..50u32).prop_map(Op::GoOn),
        2 => Just(Op::Expire),
    ]
}

struct Value {
    id: usize,
    _citizen: Citizen,
}

type Owner = Handle<u8, Value>;

/// What is kept, by identity.
struct Kept {
    id: usize,
    /// Since it came, or was passed over.
    used: bool,
    last: Duration,
}

struct Script {
    recent: Recent<Registry<u8, Value>>,
    timed: bool,
    now: Arc<Mutex<Instant>>,
    passed: Duration,
    /// Those that came, and those that were used again, in one line after the other.
    once: VecDeque<Kept>,
    again: VecDeque<Kept>,
    age: usize,
    /// What the map shows if it is alive.
    entered: HashMap<u8, usize>,
    held: Vec<Owner>,
    census: Census,
}

impl Script {
    fn new(capacity: usize, timed: bool) -> Self {
        let now = Arc::new(Mutex::new(Instant::now()));
        let clock = Arc::clone(&now);
        let mut recent =
            Recent::new(Registry::new(), capacity).with_clock(move || *clock.lock().unwrap());
        if timed {
            recent = recent.time_to_idle(T);
        }
        Self {
            recent,
            timed,
            now,
            passed: Duration::ZERO,
            once: VecDeque::new(),
            again: VecDeque::new(),
            age: 0,
            entered: HashMap::new(),
            held: Vec::new(),
            census: Census::new(),
        }
    }

    fn is_alive(&self, id: usize) -> bool {
        self.kept().any(|kept| kept.id == id) || self.held.iter().any(|it| it.id == id)
    }

    fn live(&self, key: u8) -> Option<usize> {
        let id = *self.entered.get(&key)?;
        self.is_alive(id).then_some(id)
    }

    fn used(&mut self, id: usize) {
        let (last, capacity) = (self.passed, self.recent.capacity());
        let mut kept = self.once.iter_mut().chain(&mut self.again);
        if let Some(kept) = kept.find(|kept| kept.id == id) {
            (kept.used, kept.last) = (true, last);
            return;
        }
        if capacity == 0 {
            return;
        }
        if self.kept().count() == capacity {
            self.evict();
        }
        let used = false;
        self.once.push_back(Kept { id, used, last });
    }

    /// One goes. Who was used since stays, in the second line; there it is looked at anew.
    fn evict(&mut self) {
        let capacity = self.recent.capacity();
        self.age += self.again.len();
        if self.age >= 8 * capacity {
            self.age = 0;
            match self.again.pop_front() {
                Some(first) if first.used => self.again.push_back(Kept {
                    used: false,
                    ..first
                }),
                Some(_) => return,
                None => {}
            }
        }
        loop {
            if self.once.len() >= (capacity / 2).max(1) || self.again.is_empty() {
                match self.once.pop_front().unwrap() {
                    first if first.used => self.again.push_back(first),
                    _ => return,
                }
            } else {
                match self.again.pop_front().unwrap() {
                    first if first.used => self.again.push_back(Kept {
                        used: false,
                        ..first
                    }),
                    _ => return,
                }
            }
        }
    }

    fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.once.iter().chain(&self.again)
    }

    fn retain(&mut self, mut stays: impl FnMut(&Kept) -> bool) {
        self.once.retain(&mut stays);
        self.again.retain(&mut stays);
    }

    /// Those that have been idle for too long have gone, those for whom it is not time yet have not, and what has become of the others the layer says.
    fn idle_have_gone(&mut self, recent: &[usize]) {
        let passed = self.passed;
        self.retain(|kept| {
            let idle = passed - kept.last;
            idle <= T || (idle < T + T / 4 && recent.contains(&kept.id))
        });
    }

    fn any_held(&self, at: usize) -> Option<Owner> {
        let at = at.checked_rem(self.held.len())?;
        Some(self.held[at].clone())
    }

    fn create(&mut self, key: u8) -> Owner {
        let known = self.live(key);
        let born = self.census.born();
        let owner = self.recent.get_or_insert_with(key, |_| {
            assert_eq!(known, None, "created though it is alive");
            Value {
                id: born,
                _citizen: self.census.citizen(),
            }
        });
        assert_eq!(owner.id, known.unwrap_or(born));
        self.entered.insert(key, owner.id);
        self.used(owner.id);
        owner
    }

    fn run(&mut self, op: Op) {
        let mut lets_idle_go = self.timed;
        match op {
            Op::Get(key) => {
                let known = self.live(key);
                let found = self.recent.get(&key);
                assert_eq!(found.map(|owner| owner.id), known);
                if let Some(id) = known {
                    self.used(id);
                }
            }
            Op::Create(key) => drop(self.create(key)),
            Op::Hold(key) => {
                let owner = self.create(key);
                self.held.push(owner);
            }
            Op::LetGo(at) => {
                if let Some(at) = at.checked_rem(self.held.len()) {
                    self.held.swap_remove(at);
                }
                lets_idle_go = false;
            }
            Op::Keep(at) => match self.any_held(at) {
                Some(owner) => {
                    self.recent.keep(&owner);
                    self.used(owner.id);
                }
                None => lets_idle_go = false,
            },
            Op::Release(at) => {
                if let Some(owner) = self.any_held(at) {
                    let before = self.kept().count();
                    self.retain(|kept| kept.id != owner.id);
                    assert_eq!(self.recent.release(&owner), self.kept().count() < before);
                }
                lets_idle_go = false;
            }
            Op::Remove(key) => {
                let known = self.live(key);
                let removed = self.recent.map().remove(&key);
                assert_eq!(removed.map(|owner| owner.id), known);
                self.entered.remove(&key);
                lets_idle_go = false;
            }
            Op::Clear => {
                assert_eq!(self.recent.clear(), self.kept().count());
                self.retain(|_| false);
            }
            Op::Shrink => {
                self.recent.shrink_to_fit();
                self.retain(|_| false);
            }
            Op::GoOn(seconds) => {
                self.passed += Duration::from_secs(u64::from(seconds));
                *self.now.lock().unwrap() += Duration::from_secs(u64::from(seconds));
                lets_idle_go = false;
            }
            Op::Expire => {
                let before = self.recent.len();
                let gone = self.recent.expire();
                assert_eq!(self.recent.len(), before - gone);
                assert!(self.timed || gone == 0);
            }
        }
        if lets_idle_go {
            let shown = self.shown();
            self.idle_have_gone(&shown);
        }
    }

    /// Which of those that the model knows are kept. (With a time nothing is removed from the map, which so shows all of them.)
    fn shown(&self) -> Vec<usize> {
        let alive: Vec<usize> = self.recent.map().iter().map(|it| it.id).collect();
        let kept = self.kept().map(|kept| kept.id);
        kept.filter(|id| match self.held.iter().find(|it| it.id == *id) {
            Some(owner) => self.recent.is_kept(owner),
            None => alive.contains(id),
        })
        .collect()
    }

    fn check(&self) {
        assert_eq!(self.recent.len(), self.kept().count());
        assert!(self.recent.len() <= self.recent.capacity());
        let mut alive: Vec<usize> = self.held.iter().map(|owner| owner.id).collect();
        alive.extend(self.kept().map(|kept| kept.id));
        alive.sort_unstable();
        alive.dedup();
        assert_eq!(self.census.alive(), alive.len() as isize);
        for owner in &self.held {
            let kept = self.kept().any(|kept| kept.id == owner.id);
            assert_eq!(self.recent.is_kept(owner), kept);
        }
        for key in 0..KEYS {
            let shown = self.recent.map().get(&key).map(|owner| owner.id);
            assert_eq!(shown, self.live(key));
        }
    }
}

fn play(ops: &[Op], timed: bool) {
    for capacity in [0, 1, 2, 5, 9] {
        let mut script = Script::new(capacity, timed);
        for op in ops.iter().cloned() {
            if timed && matches!(op, Op::Remove(_)) {
                continue;
            }
            script.run(op);
            script.check();
        }
        let census = script.census.clone();
        drop(script);
        assert_eq!(census.alive(), 0);
    }
}

#[derive(Clone, Debug)]
enum Try {
    Fail(u8),
    Succeed(u8),
    Get(u8),
    Remove(u8),
    GoOn(u32),
    Expire,
    Clear,
}

fn a_try() -> impl Strategy<Value = Try> {
    let key = || 0..KEYS;
    prop_oneof![
        12 => key().prop_map(Try::Fail),
        4 => key().prop_map(Try::Succeed),
        4 => key().prop_map(Try::Get),
        2 => key().prop_map(Try::Remove),
        6 => (0..30u32).prop_map(Try::GoOn),
        2 => Just(Try::Expire),
        1 => Just(Try::Clear),
    ]
}

fn try_all(tries: &[Try], capacity: usize) {
    let now = Arc::new(Mutex::new(Instant::now()));
    let clock = Arc::clone(&now);
    let errors: RecentErrors<u8, usize> =
        RecentErrors::new(capacity, T).with_clock(move || *clock.lock().unwrap());
    let numbers: Registry<u8, u8> = Registry::new();
    // The oldest first.
    let mut model: VecDeque<(u8, usize, Duration)> = VecDeque::new();
    let mut passed = Duration::ZERO;
    for (n, one) in tries.iter().enumerate() {
        let known = |model: &VecDeque<(u8, usize, Duration)>, key: u8| {
            let (_, error, at) = model.iter().find(|it| it.0 == key)?;
            (passed - *at < T).then_some(*error)
        };
        match *one {
            Try::Fail(key) => {
                let fail = |_: &u8| Err(n);
                let made = numbers.get_or_try_insert_with(key, |key| errors.or_try(key, fail));
                let error = known(&model, key).unwrap_or(n);
                assert_eq!(made.err(), Some(CreateError::Failed(error)));
                if error == n {
                    model.retain(|it| it.0 != key);
                    model.push_back((key, n, passed));
                    model.drain(..model.len().saturating_sub(capacity));
                }
            }
            Try::Succeed(key) => {
                let make = |key: &u8| Ok(*key);
                let made = numbers.get_or_try_insert_with(key, |key| errors.or_try(key, make));
                match known(&model, key) {
                    Some(error) => assert_eq!(made.err(), Some(CreateError::Failed(error))),
                    None => {
                        assert_eq!(*made.unwrap(), key);
                        model.retain(|it| it.0 != key);
                    }
                }
            }
            Try::Get(key) => assert_eq!(errors.get(&key), known(&model, key)),
            Try::Remove(key) => {
                assert_eq!(errors.remove(&key), known(&model, key).is_some());
                model.retain(|it| it.0 != key);
            }
            Try::GoOn(seconds) => {
                passed += Duration::from_secs(u64::from(seconds));
                *now.lock().unwrap() += Duration::from_secs(u64::from(seconds));
            }
            Try::Expire => {
                errors.expire();
                model.retain(|it| passed - it.2 < T);
                assert_eq!(errors.len(), model.len());
            }
            Try::Clear => {
                errors.clear();
                model.clear();
                assert_eq!(errors.len(), 0);
            }
        }
        assert!(errors.len() <= capacity);
        let fresh = model.iter().filter(|it| passed - it.2 < T).count();
        assert!((fresh..=model.len()).contains(&errors.len()));
    }
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn a_layer_keeps_what_its_two_lines_do(ops in vec(op(), 1..400)) {
        play(&ops, false);
    }

    #[test]
    fn a_layer_with_a_time_lets_the_idle_go_and_nothing_else(ops in vec(op(), 1..400)) {
        play(&ops, true);
    }

    #[test]
    fn errors_are_kept_as_a_list_keeps_them(tries in vec(a_try(), 1..200)) {
        for capacity in [0, 1, 3, 20] {
            try_all(&tries, capacity);
        }
    }
}
