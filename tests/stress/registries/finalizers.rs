//! Functions that run once or are called off, whoever comes first: a call, a death, an exit, on any thread.

use super::{planted, rounds, survives};
use crate::common::{forever, Dice};
use crate::support::{for_a_while, Counts, Sealed};
use highlander::pointer::Watched;
use highlander::registries::finalizers::{Finalizer, Finalizers, Nobody};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::Mutex;
use std::time::Duration;

type Object = Watched<Sealed<'static>>;

#[derive(Default)]
struct Scene {
    finalizers: Finalizers,
    counts: Counts,
    registered: AtomicUsize,
    /// How many functions have begun to run.
    ran: AtomicUsize,
    /// How many were taken back before that: cancelled, or detached.
    called_off: AtomicUsize,
    seen: AtomicU64,
    /// Where all get at them.
    shared: Mutex<Vec<(Object, Finalizer<Object, u64>)>>,
}

impl Scene {
    fn function(&'static self, dice: &mut Dice) -> impl FnOnce() -> u64 + Send + 'static {
        self.registered.fetch_add(1, Relaxed);
        let (sealed, what) = (Sealed::new(7, &self.counts), dice.below(16));
        move || {
            sealed.assert_alive(7);
            self.ran.fetch_add(1, Relaxed);
            match what {
                0 => planted(),
                // It makes another one, which does not.
                1 => {
                    self.registered.fetch_add(1, Relaxed);
                    self.finalizers.at_exit(what as i32, || {
                        self.ran.fetch_add(1, Relaxed);
                    });
                }
                _ => {}
            }
            sealed.id
        }
    }

    fn finalize(&'static self, object: &Object, dice: &mut Dice) -> Finalizer<Object, u64> {
        let priority = (dice.below(4) > 0).then(|| dice.below(5) as i32 - 2);
        let f = self.function(dice);
        self.finalizers.finalize_at(object, priority, f)
    }

    fn note(&self, came_in_time: bool) {
        self.called_off
            .fetch_add(usize::from(came_in_time), Relaxed);
    }

    /// Does something to one that is known to others too.
    fn anything(&'static self, finalizer: &Finalizer<Object, u64>, dice: &mut Dice) {
        match dice.below(6) {
            0 => {
                let result = survives(|| finalizer.call());
                assert!(!finalizer.is_alive(), "{result:?}");
            }
            1 => {
                self.note(finalizer.cancel());
                assert!(!finalizer.is_alive() && !finalizer.cancel());
            }
            2 => {
                // It may be the last owner, whose drop runs the others, if it comes too late for this one.
                let detached = survives(|| finalizer.detach()).flatten();
                self.note(detached.is_some());
                if let Some((object, f)) = detached {
                    object.assert_alive(1);
                    assert!(!finalizer.is_alive());
                    drop(f);
                    // It may be the last one, with others that panic.
                    survives(|| drop(object));
                }
            }
            3 => finalizer.set_priority(dice.below(4) as i32),
            4 => {
                survives(|| drop(finalizer.peek().inspect(|object| object.assert_alive(1))));
            }
            _ => {
                self.seen
                    .fetch_add(u64::from(finalizer.is_alive()), Relaxed);
            }
        }
    }

    fn object(&'static self) -> Object {
        Watched::new(Sealed::new(1, &self.counts))
    }
}

pub(crate) fn finalizers(limit: Duration) {
    rounds(limit, |limit| {
        let scene: &'static Scene = forever(Scene::default());
        let work = |mine: &mut Vec<Finalizer<Nobody, u64>>, dice: &mut Dice| {
            match dice.below(12) {
                0..4 => {
                    // Known to this thread alone, but to those that run all.
                    let object = scene.object();
                    let of_it: Vec<_> = (0..dice.below(4))
                        .map(|_| scene.finalize(&object, dice))
                        .collect();
                    if let Some(one) = of_it.first() {
                        scene.anything(one, dice);
                    }
                    survives(|| drop(object));
                    assert!(of_it
                        .iter()
                        .all(|finalizer| !finalizer.is_alive() && finalizer.peek().is_none()));
                }
                4 | 5 => {
                    let object = scene.object();
                    let finalizer = scene.finalize(&object, dice);
                    scene.shared.lock().unwrap().push((object, finalizer));
                }
                6 | 7 => {
                    let mut shared = scene.shared.lock().unwrap();
                    if !shared.is_empty() {
                        let at = dice.below(shared.len());
                        let (object, finalizer) = shared.swap_remove(at);
                        drop(shared);
                        // Somebody may have the object in hand, by a detach that comes at the same time.
                        survives(|| drop(object));
                        scene.anything(&finalizer, dice);
                    }
                }
                8 => {
                    let f = scene.function(dice);
                    mine.push(scene.finalizers.at_exit(dice.below(4) as i32, f));
                }
                9 => {
                    if let Some(finalizer) = mine.pop() {
                        scene.note(finalizer.cancel());
                        assert!(!finalizer.is_alive());
                    }
                }
                10 if dice.below(8) == 0 => {
                    scene.finalizers.run_from(dice.below(3) as i32 - 1);
                }
                _ if dice.below(64) == 0 => {
                    let cancelled = scene.finalizers.cancel_all();
                    scene.called_off.fetch_add(cancelled, Relaxed);
                }
                _ => {
                    let shared = scene.shared.lock().unwrap();
                    let object = shared.first().map(|(object, _)| object.clone());
                    drop(shared);
                    if let Some(object) = object {
                        let finalizer = scene.finalize(&object, dice);
                        scene.anything(&finalizer, dice);
                        survives(|| drop(object));
                    }
                }
            }
            mine.truncate(4);
        };
        for_a_while(limit, 4, |_| Vec::new(), work);
        for (object, _) in std::mem::take(&mut *scene.shared.lock().unwrap()) {
            survives(|| drop(object));
        }
        let before = scene.ran.load(Relaxed);
        let ran = scene.finalizers.run_all();
        assert_eq!(scene.ran.load(Relaxed), before + ran.run);
        assert!(scene.finalizers.is_empty(), "{:?}", scene.finalizers);
        assert_eq!(
            scene.registered.load(Relaxed),
            scene.ran.load(Relaxed) + scene.called_off.load(Relaxed),
            "each has run or was called off, once"
        );
        scene.counts.assert_balanced();
    });
}
