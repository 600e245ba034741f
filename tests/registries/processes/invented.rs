//! Children of an invented system, which gives the lowest free id, and frees it as soon as its process has been waited for.

use crate::common::{panic_of, promptly, Dice};
use highlander::registries::processes::{ChildProcess, ProcessHandle, Processes};
use highlander::Handle;
use std::collections::BTreeMap;
use std::io;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// Who has which id, by a number that nobody else ever has.
#[derive(Default)]
struct System {
    ids: Mutex<BTreeMap<u32, u64>>,
    started: AtomicUsize,
    waited: AtomicUsize,
}

struct Invented {
    system: Arc<System>,
    id: u32,
    who: u64,
    state: Mutex<State>,
    ended: Condvar,
    panics: AtomicBool,
}

#[derive(Clone, Copy, Default)]
struct State {
    ended: bool,
    waited: bool,
}

impl System {
    fn start(self: &Arc<Self>) -> Invented {
        let who = self.started.fetch_add(1, SeqCst) as u64;
        let mut ids = self.ids.lock().unwrap();
        let id = (1..).find(|id| !ids.contains_key(id)).unwrap();
        ids.insert(id, who);
        Invented {
            system: Arc::clone(self),
            id,
            who,
            state: Mutex::default(),
            ended: Condvar::new(),
            panics: AtomicBool::new(false),
        }
    }
}

impl Invented {
    fn exit(&self) {
        self.state.lock().unwrap().ended = true;
        self.ended.notify_all();
    }

    fn look(&self, state: &mut State) -> Option<ExitStatus> {
        if state.ended && !state.waited {
            state.waited = true;
            self.system.waited.fetch_add(1, SeqCst);
            let had = self.system.ids.lock().unwrap().remove(&self.id);
            assert_eq!(had, Some(self.who), "waited for a stranger");
        }
        state.waited.then(ExitStatus::default)
    }
}

impl ChildProcess for Invented {
    fn id(&self) -> u32 {
        self.id
    }

    fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        assert!(!self.panics.load(SeqCst), "on purpose");
        Ok(self.look(&mut self.state.lock().unwrap()))
    }

    fn wait(&self, limit: Option<Duration>) -> io::Result<Option<ExitStatus>> {
        assert_eq!(limit, None);
        let state = self.state.lock().unwrap();
        let mut state = self.ended.wait_while(state, |state| !state.ended).unwrap();
        Ok(self.look(&mut state))
    }

    fn kill(&self) -> io::Result<bool> {
        let mut state = self.state.lock().unwrap();
        if self.look(&mut state).is_some() {
            return Ok(false);
        }
        let hit = self.system.ids.lock().unwrap().get(&self.id).copied();
        assert_eq!(hit, Some(self.who), "a stranger is hit");
        state.ended = true;
        self.ended.notify_all();
        Ok(true)
    }
}

#[test]
fn ids_are_reused_and_never_mistaken() {
    const ROUNDS: usize = if cfg!(miri) { 20 } else { 2000 };
    promptly(|| {
        let system = Arc::new(System::default());
        let children: Processes<Invented> = Processes::custom();
        thread::scope(|scope| {
            for seed in 0..4 {
                let (system, children) = (&system, &children);
                scope.spawn(move || {
                    let mut dice = Dice::new(seed);
                    let mut held: Vec<ProcessHandle<Invented>> = Vec::new();
                    for _ in 0..ROUNDS {
                        let child = children.adopt(system.start());
                        let id = child.id();
                        // It runs, and has the id alone, whoever had it before.
                        assert!(children
                            .get(id)
                            .is_some_and(|same| Handle::ptr_eq(&same, &child)));
                        match dice.below(6) {
                            0 => child.child().exit(),
                            1 => assert!(child.kill().unwrap()),
                            2 => {
                                child.child().exit();
                                child.join().unwrap();
                            }
                            3 => {
                                child.child().exit();
                                children.reap();
                            }
                            4 => {
                                child.child().exit();
                                children.active();
                            }
                            _ => {
                                child.child().exit();
                                assert!(!child.is_alive());
                            }
                        }
                        // It has ended: whoever has the id now is somebody else.
                        let now = children.get(id);
                        assert!(now.is_none_or(|other| !Handle::ptr_eq(&other, &child)));
                        assert!(!child.is_alive());
                        held.push(child);
                        if held.len() > 8 {
                            let old = held.swap_remove(dice.below(held.len()));
                            assert!(!old.kill().unwrap() && !old.terminate().unwrap());
                        }
                    }
                });
            }
        });
        assert_eq!(system.started.load(SeqCst), 4 * ROUNDS);
        assert_eq!(system.waited.load(SeqCst), 4 * ROUNDS, "once for each");
        assert!(children.active().is_empty() && children.dangling().is_empty());
    });
}

/// Those who find it while its handle comes and goes agree on one, and it lives until its end is seen.
#[test]
fn one_handle_whoever_asks() {
    const ROUNDS: usize = if cfg!(miri) { 20 } else { 2000 };
    promptly(|| {
        let system = Arc::new(System::default());
        let children: Processes<Invented> = Processes::custom();
        let id = children.adopt(system.start()).id();
        assert!(children.dangling().is_empty());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        let one = children.get(id).unwrap();
                        let two = children.active().pop().unwrap();
                        assert!(Handle::ptr_eq(&one, &two));
                        drop(one);
                        assert!(Handle::ptr_eq(&children.get(id).unwrap(), &two));
                    }
                });
            }
        });
        assert!(children.dangling().is_empty());
        assert_eq!(children.kill_all().unwrap(), 1);
        assert_eq!(children.reap(), 1);
        assert_eq!(system.waited.load(SeqCst), 1);
    });
}

#[test]
fn children_that_panic_stay_what_they_were() {
    let system = Arc::new(System::default());
    let children: Processes<Invented> = Processes::custom();
    let (bad, good) = (
        children.adopt(system.start()),
        children.adopt(system.start()),
    );
    bad.child().panics.store(true, SeqCst);
    good.child().exit();
    assert_eq!(panic_of(|| children.active()), "on purpose");
    assert_eq!(panic_of(|| children.get(bad.id())), "on purpose");
    assert_eq!(panic_of(|| bad.is_alive()), "on purpose");
    bad.child().panics.store(false, SeqCst);
    assert!(Handle::ptr_eq(&children.get(bad.id()).unwrap(), &bad));
    assert_eq!(children.active().len(), 1);
    assert!(!good.is_alive());
    bad.child().exit();
    assert_eq!(children.reap(), 1);
}

/// Two systems may give the same id: each child is known for itself, and the look-up finds the newest.
#[test]
fn the_same_id_on_two_systems() {
    let systems = [Arc::new(System::default()), Arc::new(System::default())];
    let children: Processes<Invented> = Processes::custom();
    let [one, two] = systems.map(|system| children.adopt(system.start()));
    assert_eq!(one.id(), two.id());
    assert!(Handle::ptr_eq(&children.get(1).unwrap(), &two));
    assert_eq!(children.active().len(), 2);
    one.child().exit();
    assert!(!one.is_alive());
    assert!(Handle::ptr_eq(&children.get(1).unwrap(), &two));
    assert!(Handle::key(&one) < Handle::key(&two));
    assert_eq!(children.kill_all().unwrap(), 1);
}

/// Who finds a child the moment it is there gets the handle that whoever has made it gets.
#[test]
fn no_child_is_found_before_its_handle_is_there() {
    const CHILDREN: u32 = if cfg!(miri) { 20 } else { 1000 };
    promptly(|| {
        let system = Arc::new(System::default());
        let children: Processes<Invented> = Processes::custom();
        let find = |id: u32| {
            std::iter::repeat_with(|| children.get(id))
                .flatten()
                .next()
                .unwrap()
        };
        let (made, found) = thread::scope(|scope| {
            let found = scope.spawn(|| (1..=CHILDREN).map(find).collect::<Vec<_>>());
            let made = (1..=CHILDREN).map(|_| children.adopt(system.start()));
            (made.collect::<Vec<_>>(), found.join().unwrap())
        });
        assert!(made
            .iter()
            .zip(&found)
            .all(|(one, two)| Handle::ptr_eq(one, two)));
        assert_eq!(children.dangling().len(), CHILDREN as usize);
    });
}

/// The children of a registry that has gone are seen to end by all calls of another one that look at all children.
#[test]
fn any_registry_sees_the_ends_of_those_whose_own_has_gone() {
    let calls: [fn(&Processes<Invented>); 3] = [
        |others| drop(others.active()),
        |others| assert_eq!(others.reap(), 0),
        |others| drop(others.join_all()),
    ];
    for others_has_children in [false, true] {
        for call in calls {
            let system = Arc::new(System::default());
            let children: Processes<Invented> = Processes::custom();
            let others: Processes<Invented> = Processes::custom();
            if others_has_children {
                let child = others.adopt(system.start());
                child.child().exit();
                child.join().unwrap();
            }
            let before = system.waited.load(SeqCst);
            let child = children.adopt(system.start());
            drop(children);
            child.child().exit();
            call(&others);
            assert_eq!(system.waited.load(SeqCst), before + 1);
            assert!(!child.is_alive());
        }
    }
}

/// A child that panics does so to those who ask for it, and not to those who have another registry when its own has gone.
#[test]
fn the_children_of_a_registry_that_has_gone_panic_to_nobody() {
    let system = Arc::new(System::default());
    let children: Processes<Invented> = Processes::custom();
    let others: Processes<Invented> = Processes::custom();
    let (child, fine) = (
        children.adopt(system.start()),
        children.adopt(system.start()),
    );
    child.child().panics.store(true, SeqCst);
    fine.child().exit();
    drop(children);
    assert_eq!(system.waited.load(SeqCst), 1);
    assert_eq!((others.active().len(), others.reap()), (0, 0));
    assert_eq!(panic_of(|| child.is_alive()), "on purpose");
    child.child().panics.store(false, SeqCst);
    child.child().exit();
    others.reap();
    assert_eq!(system.waited.load(SeqCst), 2);
}

#[test]
fn all_are_looked_at_in_the_order_in_which_they_were_made() {
    let system = Arc::new(System::default());
    let children: Processes<Invented> = Processes::custom();
    let held: Vec<_> = (0..50).map(|_| children.adopt(system.start())).collect();
    let births =
        |of: &[ProcessHandle<Invented>]| of.iter().map(|p| *Handle::key(p)).collect::<Vec<_>>();
    assert!(held.is_sorted_by_key(|process| *Handle::key(process)));
    assert_eq!(births(&children.active()), births(&held));
    assert_eq!(births(&children.dangling()), births(&held));
    held.iter().for_each(|child| child.child().exit());
    assert_eq!(children.reap(), 50);
}

/// A child that cannot be ended is an error, and the others are ended all the same.
#[test]
fn an_error_does_not_keep_the_others_from_being_ended() {
    struct Stubborn(u32, Arc<AtomicUsize>);
    impl ChildProcess for Stubborn {
        fn id(&self) -> u32 {
            self.0
        }
        fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
            Ok(None)
        }
        fn wait(&self, _: Option<Duration>) -> io::Result<Option<ExitStatus>> {
            Ok(None)
        }
        fn kill(&self) -> io::Result<bool> {
            self.1.fetch_add(1, SeqCst);
            match self.0 {
                2 | 4 => Err(io::Error::other(self.0.to_string())),
                _ => Ok(true),
            }
        }
    }
    let (children, asked): (Processes<Stubborn>, _) = (Processes::custom(), Arc::default());
    let _held: Vec<_> = (1..6)
        .map(|id| children.adopt(Stubborn(id, Arc::clone(&asked))))
        .collect();
    assert_eq!(children.kill_all().unwrap_err().to_string(), "2");
    assert_eq!(children.terminate_all().unwrap_err().to_string(), "2");
    assert_eq!(asked.load(SeqCst), 10);
}
