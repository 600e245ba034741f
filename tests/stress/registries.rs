//! The registries of well-known needs: several threads that do to each at random what it allows. What one thread alone has made is compared with a model; the rest with what must hold
//! for all.

mod finalizers;
mod logging;
mod signals;
mod tree;

pub(crate) use finalizers::finalizers;
pub(crate) use logging::logging;
pub(crate) use signals::signals;
pub(crate) use tree::tree;

use crate::common::{forever, Dice};
use crate::support::{for_a_while, Counts, Roll, Sealed};
use highlander::error::CreateError;
use highlander::registries::memo::Memo;
use highlander::registries::resources::{Resources, Stream};
use highlander::{Handle, Registry};
use std::io;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

/// Ends what it stands for without the panic hook, which would print.
fn planted() -> ! {
    resume_unwind(Box::new("planted"))
}

/// Whether it panicked as planned.
fn survives<T>(f: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(panic) if panic.downcast_ref() == Some(&"planted") => None,
        Err(panic) => resume_unwind(panic),
    }
}

/// Runs a scene again and again, so that what is left at its end is looked at often.
fn rounds(limit: Duration, scene: impl Fn(Duration)) {
    const ROUND: Duration = Duration::from_millis(40);
    for _ in 0..limit.as_millis().div_ceil(ROUND.as_millis()) {
        scene(ROUND);
    }
}

/// A function that fails, panics, and asks for other inputs.
pub(crate) fn memo(limit: Duration) {
    const KEYS: usize = 6;
    type Results = Registry<u32, Sealed<'static>>;
    type Function = fn(&u32) -> Result<Sealed<'static>, String>;
    struct Scene {
        memo: Memo<Results, Function>,
        counts: Counts,
        rolls: Vec<Roll>,
        fails: AtomicBool,
    }
    static SCENE: std::sync::OnceLock<Scene> = std::sync::OnceLock::new();
    fn make(key: &u32) -> Result<Sealed<'static>, String> {
        let scene = SCENE.get().expect("set");
        // Upwards only, so that nobody waits for itself.
        if *key as usize + 1 < KEYS && scene.fails.load(SeqCst) {
            let above = scene.memo.try_get(*key + 1);
            let above = above.map_err(|error| error.to_string())?;
            above.assert_alive(*key + 1);
        }
        let made = Sealed::new(*key, &scene.counts);
        match made.id % 7 {
            0 => planted(),
            1 => Err("planted".into()),
            _ => Ok(made),
        }
    }
    let scene = SCENE.get_or_init(|| Scene {
        memo: Memo::new(Registry::new(), make),
        counts: Counts::default(),
        rolls: (0..KEYS).map(|_| Roll::default()).collect(),
        fails: AtomicBool::new(false),
    });
    let work = |held: &mut Vec<Handle<u32, Sealed<'static>>>, dice: &mut Dice| {
        let key = dice.below(KEYS) as u32;
        scene.fails.store(dice.below(2) == 0, SeqCst);
        match survives(|| scene.memo.try_get(key)) {
            Some(Ok(found)) => {
                found.assert_alive(key);
                scene.rolls[key as usize].sign_in(found.id);
                held.push(found);
            }
            Some(Err(error)) => assert_eq!(error, CreateError::Failed("planted".into())),
            None => {}
        }
        let left = dice.below(4);
        held.drain(left.min(held.len())..).for_each(|gone| {
            gone.assert_alive(*Handle::key(&gone));
            scene.rolls[*Handle::key(&gone) as usize].sign_out();
        });
    };
    let end = |mut held: Vec<Handle<u32, Sealed<'static>>>| {
        held.drain(..)
            .for_each(|gone| scene.rolls[*Handle::key(&gone) as usize].sign_out());
    };
    struct State<F: Fn(Vec<Handle<u32, Sealed<'static>>>)>(Vec<Handle<u32, Sealed<'static>>>, F);
    impl<F: Fn(Vec<Handle<u32, Sealed<'static>>>)> Drop for State<F> {
        fn drop(&mut self) {
            (self.1)(std::mem::take(&mut self.0));
        }
    }
    for_a_while(
        limit,
        5,
        |_| State(Vec::new(), end),
        |state, dice| work(&mut state.0, dice),
    );
    assert!(scene.memo.map().is_empty());
    scene.counts.assert_balanced();
}

/// No resource is open twice, be it in its destructor; opening fails and panics.
pub(crate) fn resources(limit: Duration) {
    const KEYS: usize = 4;
    struct Open {
        sealed: Sealed<'static>,
        open: &'static AtomicBool,
    }
    impl Drop for Open {
        fn drop(&mut self) {
            std::hint::spin_loop();
            assert!(self.open.swap(false, SeqCst));
        }
    }
    let counts: &'static Counts = forever(Counts::default());
    let open: &'static [AtomicBool; KEYS] = forever(Default::default());
    let resources: Resources<u32, Open> = Resources::new();
    let work = |held: &mut Vec<Stream<u32, Open>>, dice: &mut Dice| {
        let key = dice.below(KEYS) as u32;
        let what = dice.below(8);
        let opened = survives(|| {
            resources.open(key, |key| {
                let open = &open[*key as usize];
                assert!(!open.swap(true, SeqCst), "it is open");
                // Closes it, whatever comes.
                let made = Open {
                    sealed: Sealed::new(*key, counts),
                    open,
                };
                match what {
                    0 => planted(),
                    1 => Err(io::Error::other("planted")),
                    _ => Ok(made),
                }
            })
        });
        match opened {
            Some(Ok(opened)) => {
                opened.sealed.assert_alive(key);
                let stream = Stream::new(opened);
                held.extend([stream.clone(), stream]);
            }
            Some(Err(error)) => assert_eq!(error.to_string(), "planted"),
            None => {}
        }
        if let Some(stream) = held.first_mut() {
            assert_eq!((stream.close(), stream.close()), (true, false));
            drop(held.swap_remove(0));
        }
        if let Some(found) = resources.get(&key) {
            found.sealed.assert_alive(key);
        }
        let left = dice.below(6);
        held.truncate(left);
    };
    for_a_while(limit, 5, |_| Vec::new(), work);
    assert!(resources.is_empty());
    assert!(open.iter().all(|open| !open.load(SeqCst)));
    counts.assert_balanced();
}
