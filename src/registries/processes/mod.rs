//! Child processes by id.
//!
//! For programs that start other programs from several places, and have to find them again, wait for all of
//! them, or end them all: build tools, test runners, supervisors, pools of workers. Modelled after
//! `multiprocessing` of CPython (`active_children`, `_dangling`), and free of what such registries are prone
//! to: a number that the system has given to somebody else is never taken for the process that had it before.
//!
//! ```
//! use highlander::registries::processes::Processes;
//! use highlander::Handle;
//! use std::process::{Command, Stdio};
//!
//! static CHILDREN: Processes = Processes::new();
//!
//! let child = CHILDREN.spawn(Command::new("cat").stdin(Stdio::piped()))?;
//! let same = CHILDREN.get(child.id()).unwrap();               // there can only be one
//! assert!(Handle::ptr_eq(&same, &child));
//!
//! assert!(same.join()?.success());                            // closes the pipe: the end of its input
//! assert!(CHILDREN.get(child.id()).is_none());                // the number may be somebody else's by now
//! assert!(!child.kill()?);                                    // who gets no signal
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What is owned, and what is weak
//! | | owned by | until |
//! |---|---|---|
//! | the child, for which the system keeps an entry (a zombie, when it has ended) | the registry, and handles | its end is seen by anybody, and the last handle goes |
//! | the handle: one for each child, with our ends of the pipes | whoever has asked for it | the last drop |
//!
//! So a child that nobody has a handle of is neither forgotten nor left a zombie: [`get`](Processes::get) and
//! [`active`](Processes::active) make a new handle of it, and whoever calls next after its end waits for it.
//! The registry has no thread: an end is seen by a call of [`spawn`](Processes::spawn),
//! [`active`](Processes::active), [`reap`](Processes::reap) or [`join_all`](Processes::join_all), for all
//! children, and by every call that concerns the child itself; a zombie lasts until then. A registry that is
//! dropped leaves its children running, and these calls of any other registry see their ends.
//!
//! # When it has ended
//! From the moment in which a call has seen the end, the look-up finds nothing under the id, nor is the child
//! [active](Processes::active); and none of these ever returns a process that had ended before the call.
//! Handles tell how it ended, for as long as they are held, and these are [`dangling`](Processes::dangling).
//! Ending it again does nothing.
//!
//! # Your code, and waiting
//! [`ChildProcess`], if you bring your own, is called with no lock held; if it panics, that goes to the
//! caller, unless the child's registry has gone, and the child stays what it was. Nothing waits but
//! [`Process::join`], [`Process::join_timeout`] and [`Processes::join_all`]; others may look up, spawn and
//! end the same children meanwhile.
//!
//! # What is assumed
//! That nobody else waits for our children: no `waitpid(-1)`, no ignored `SIGCHLD`. If it happens all the
//! same, the child is lost: it leaves the look-up, joining it is an error, and it is not signalled; see
//! [`OsChild`]. In a forked child, the processes of its parent are lost.

#![forbid(unsafe_code)]

mod child;
mod process;

pub use child::{ChildProcess, OsChild, Pipes};
pub use process::Process;

use crate::memory::panics::discard;
use crate::{Handle, Registry, StrongMap, WeakValueMap};
use process::Kid;
use std::fmt;
use std::io;
use std::panic::{catch_unwind, AssertUnwindSafe, RefUnwindSafe, UnwindSafe};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// A handle of a child process. Its key is the number of children that were made before, of all registries:
/// no two have the same, and it gives the order.
pub type ProcessHandle<C = OsChild> = Handle<u64, Process<C>>;

/// The child processes of a program, or of a part of it; see the [module](self).
pub struct Processes<C: ChildProcess = OsChild> {
    home: OnceLock<Arc<Home<C>>>,
}

/// What children know of their registry, weakly.
struct Home<C: ChildProcess> {
    /// The owner of those whose end has not been seen.
    running: StrongMap<u64, Arc<Kid<C>>>,
    /// Which of them has a number now.
    by_id: WeakValueMap<u32, Arc<Kid<C>>>,
    /// Handles that are held, by birth.
    handles: Registry<u64, Process<C>>,
}

static BIRTHS: AtomicU64 = AtomicU64::new(0);

/// The children of registries that have gone.
static ORPHANS: StrongMap<u64, Arc<dyn Orphan>> = StrongMap::new();

fn reap_orphans() {
    ORPHANS.retain(|_, orphan| {
        let orphan = Arc::clone(orphan);
        // Nobody who comes here has anything to do with it, so its panic goes no further, and it stays what
        // it was.
        catch_unwind(AssertUnwindSafe(|| orphan.still_runs())).unwrap_or_else(|panic| {
            discard(panic);
            true
        })
    });
}

trait Orphan: Send + Sync {
    fn still_runs(self: Arc<Self>) -> bool;
}

impl<C: ChildProcess> Orphan for Kid<C> {
    fn still_runs(self: Arc<Self>) -> bool {
        self.runs()
    }
}

impl Processes {
    /// A registry without children. Can be a `static`.
    pub const fn new() -> Self {
        Self::custom()
    }

    /// Starts a child process, and waits for those that have ended before (as [`reap`](Self::reap)).
    ///
    /// *Complexity:* one system call for each child that is there.
    ///
    /// # Errors
    /// Of [`Command::spawn`]; then nothing is entered.
    pub fn spawn(&self, command: &mut Command) -> io::Result<ProcessHandle> {
        self.reap();
        Ok(self.adopt(command.spawn()?))
    }
}

impl<C: ChildProcess> Processes<C> {
    /// A registry without children, which are to be of your own type. Can be a `static`.
    pub const fn custom() -> Self {
        Self {
            home: OnceLock::new(),
        }
    }

    fn home(&self) -> &Arc<Home<C>> {
        self.home.get_or_init(|| {
            Arc::new(Home {
                running: StrongMap::new(),
                by_id: WeakValueMap::new(),
                handles: Registry::new(),
            })
        })
    }

    /// Takes over a child process that was started elsewhere.
    ///
    /// If another one has its id, whose end has not been seen (which the system rules out for its own
    /// children), the look-up finds this one from now on.
    ///
    /// *Runs* [`ChildProcess::id`] and `take_pipes`.
    pub fn adopt(&self, child: impl Into<C>) -> ProcessHandle<C> {
        let home = self.home();
        let child = child.into();
        let pipes = child.take_pipes();
        let birth = BIRTHS.fetch_add(1, Relaxed);
        let kid = Arc::new(Kid::new(child, birth, Arc::downgrade(home)));
        // The handle first: who finds the child gets this one.
        let process = Process::new(Arc::clone(&kid), pipes);
        let (handle, _) = home.handles.insert(birth, process);
        home.running.insert(birth, Arc::clone(&kid));
        home.by_id.insert(kid.id, Arc::clone(&kid));
        // Somebody may have met the handle among the dangling ones, and seen the end.
        if kid.has_ended() {
            home.forget(&kid);
        }
        handle
    }

    /// The process that runs under this id: the same handle that everybody else has. None if there is none,
    /// if it has ended, or if it is not of this registry.
    ///
    /// If nobody has a handle any more, there is a new one, without pipes.
    ///
    /// *Waiting:* none. *Complexity:* one system call.
    pub fn get(&self, id: u32) -> Option<ProcessHandle<C>> {
        let home = self.home.get()?;
        loop {
            let kid = home.by_id.get(&id)?;
            if kid.runs() {
                return Some(home.handle(&kid));
            }
            // Out of the look-up by now; but its number may have been given away, and entered again.
            home.forget(&kid);
        }
    }

    /// The processes that run, in the order in which they were made. Those that have ended are waited for,
    /// and leave the look-up.
    ///
    /// *Waiting:* none. *Complexity:* one system call for each child that is there.
    pub fn active(&self) -> Vec<ProcessHandle<C>> {
        reap_orphans();
        let Some(home) = self.home.get() else {
            return Vec::new();
        };
        let (running, _) = home.look();
        running.iter().map(|kid| home.handle(kid)).collect()
    }

    /// Waits for all children that have ended, and does not sleep: nothing of them is left in the system
    /// then, and in the look-up. Returns how many there were.
    ///
    /// For programs that start nothing for a long time, and want no zombies meanwhile.
    ///
    /// *Complexity:* one system call for each child that is there.
    pub fn reap(&self) -> usize {
        reap_orphans();
        self.home.get().map_or(0, |home| home.look().1)
    }

    /// Waits, asleep, until all have ended that run now, those without a handle too. Returns them in the
    /// order in which they were made.
    ///
    /// Of each the standard input is closed first, if that is ours and nobody has taken it. Those that are
    /// started meanwhile are not waited for.
    pub fn join_all(&self) -> Vec<ProcessHandle<C>> {
        let active = self.active();
        // All inputs first: one child may be waiting for what another one writes at its end.
        active.iter().for_each(|process| drop(process.take_stdin()));
        for process in &active {
            // An error says that it is lost, which is an end too.
            let _ = process.join();
        }
        active
    }

    /// Asks all that run to end, and does not wait for that. Returns how many were asked.
    ///
    /// # Errors
    /// The first of the system; the others are asked all the same.
    pub fn terminate_all(&self) -> io::Result<usize> {
        self.end_all(Process::terminate)
    }

    /// Ends all that run, and does not wait for that. Returns how many there were.
    ///
    /// # Errors
    /// The first of the system; the others are ended all the same.
    pub fn kill_all(&self) -> io::Result<usize> {
        self.end_all(Process::kill)
    }

    fn end_all(&self, how: impl Fn(&Process<C>) -> io::Result<bool>) -> io::Result<usize> {
        let mut asked = Ok(0);
        for process in self.active() {
            match (how(&process), &mut asked) {
                (Ok(yes), Ok(count)) => *count += usize::from(yes),
                (Err(error), Ok(_)) => asked = Err(error),
                (_, Err(_)) => {}
            }
        }
        asked
    }

    /// The processes whose handles are held, those that have ended too, in the order in which they were made:
    /// what tests look at to find out who has not let go.
    ///
    /// *Waiting:* none, and no system call.
    pub fn dangling(&self) -> Vec<ProcessHandle<C>> {
        let Some(home) = self.home.get() else {
            return Vec::new();
        };
        let mut held: Vec<_> = home.handles.iter().collect();
        held.sort_by_key(|process| *Handle::key(process));
        held
    }
}

impl<C: ChildProcess> Home<C> {
    /// The handle of a child that runs: that which is held, or a new one.
    fn handle(&self, kid: &Arc<Kid<C>>) -> ProcessHandle<C> {
        self.handles.get_or_insert_with(kid.birth, |_| {
            Process::new(Arc::clone(kid), Pipes::default())
        })
    }

    /// Those that run, in order; and how many have ended, which are forgotten.
    fn look(&self) -> (Vec<Arc<Kid<C>>>, usize) {
        let mut running: Vec<_> = self.running.values().collect();
        let there = running.len();
        running.retain(|kid| {
            let runs = kid.runs();
            if !runs {
                self.forget(kid);
            }
            runs
        });
        running.sort_by_key(|kid| kid.birth);
        let ended = there - running.len();
        (running, ended)
    }

    /// Takes this very child out of the look-up.
    fn forget(&self, kid: &Arc<Kid<C>>) {
        self.by_id
            .remove_if(&kid.id, |_, other| Arc::ptr_eq(kid, other));
        self.running.remove(&kid.birth);
    }
}

impl<C: ChildProcess> Drop for Processes<C> {
    /// Leaves those that run to the other registries.
    fn drop(&mut self) {
        let Some(home) = self.home.take() else {
            return;
        };
        for kid in home.running.values() {
            ORPHANS.insert(kid.birth, kid);
        }
        // Those that have ended are waited for.
        reap_orphans();
    }
}

impl<C: ChildProcess> Default for Processes<C> {
    fn default() -> Self {
        Self::custom()
    }
}

impl<C: ChildProcess> fmt::Debug for Processes<C> {
    /// Those whose handles are held, without looking whether they run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.dangling()).finish()
    }
}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl<C: ChildProcess + RefUnwindSafe> UnwindSafe for Processes<C> {}
impl<C: ChildProcess + RefUnwindSafe> RefUnwindSafe for Processes<C> {}
