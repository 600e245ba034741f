//! A child process: what the registry owns of it, and what its handles lead to.

use super::child::{lost, ChildProcess, OsChild, Pipes};
use super::Home;
use crate::registries::lock::lock;
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::process::{ChildStderr, ChildStdin, ChildStdout, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::Duration;

/// What the registry owns until the end is seen, since the system keeps something for it as well. Handles own
/// it longer.
pub(super) struct Kid<C: ChildProcess> {
    pub(super) child: C,
    /// Its number, which another one may have once the end of this one has been seen.
    pub(super) id: u32,
    /// How many children came before. No other one has the same.
    pub(super) birth: u64,
    home: Weak<Home<C>>,
    /// How it ended; None inside if nobody knows. Set after the look-up has forgotten it.
    end: OnceLock<Option<ExitStatus>>,
}

impl<C: ChildProcess> Kid<C> {
    pub(super) fn new(child: C, birth: u64, home: Weak<Home<C>>) -> Self {
        Self {
            id: child.id(),
            child,
            birth,
            home,
            end: OnceLock::new(),
        }
    }

    /// Whether its end has been seen, without looking.
    pub(super) fn has_ended(&self) -> bool {
        self.end.get().is_some()
    }

    /// Whether it runs. If not, it has been waited for, and is out of the look-up when this returns.
    pub(super) fn runs(self: &Arc<Self>) -> bool {
        !self.has_ended() && matches!(self.look(|child| child.try_wait()), Ok(None))
    }

    /// How it ended, as `ask` finds out; and if it has, it is out of the look-up when this returns.
    fn look(
        self: &Arc<Self>,
        ask: impl FnOnce(&C) -> io::Result<Option<ExitStatus>>,
    ) -> io::Result<Option<ExitStatus>> {
        if let Some(end) = self.end.get() {
            return end.map(Some).ok_or_else(|| lost(self.id));
        }
        let seen = ask(&self.child);
        if !matches!(seen, Ok(None)) {
            if let Some(home) = self.home.upgrade() {
                home.forget(self);
            }
            let _ = self.end.set(*seen.as_ref().unwrap_or(&None));
        }
        seen
    }
}

/// A child process of a [`Processes`](super::Processes), to which all who ask for it have the same
/// [`Handle`](crate::Handle) while it runs.
///
/// The handle is good beyond the end, and beyond the registry: then it leads to what has become of the
/// process, and to nothing that has its number now. All calls may come from any thread at the same time; none
/// holds up the others.
///
/// When the last handle goes while the process runs, our ends of its pipes are closed, and the process runs
/// on: the registry knows it still, finds it by its id (with a new handle, without pipes), and waits for it
/// when it has ended. With [`kill_on_drop`](Self::kill_on_drop) it is killed instead.
pub struct Process<C: ChildProcess = OsChild> {
    kid: Arc<Kid<C>>,
    pipes: Mutex<Pipes>,
    kill_on_drop: AtomicBool,
}

impl<C: ChildProcess> Process<C> {
    pub(super) fn new(kid: Arc<Kid<C>>, pipes: Pipes) -> Self {
        Self {
            kid,
            pipes: Mutex::new(pipes),
            kill_on_drop: AtomicBool::new(false),
        }
    }

    /// Its number. Another process may have it once this one has ended: to act on this one, use the handle,
    /// not the number.
    pub fn id(&self) -> u32 {
        self.kid.id
    }

    /// What it is made of.
    pub fn child(&self) -> &C {
        &self.kid.child
    }

    /// How it has ended. None while it runs; None too if nobody knows, and [`is_alive`](Self::is_alive) tells
    /// which.
    ///
    /// *Waiting:* none. *Complexity:* one system call while it runs.
    pub fn status(&self) -> Option<ExitStatus> {
        self.kid.look(|child| child.try_wait()).ok().flatten()
    }

    /// Whether it runs. If not, it is out of the look-up when this returns.
    ///
    /// *Waiting:* none. *Complexity:* one system call while it runs.
    pub fn is_alive(&self) -> bool {
        self.kid.runs()
    }

    /// Waits, asleep, until it has ended. Closes its standard input first, if that is ours and nobody has
    /// taken it, as a child that reads until the end would never end.
    ///
    /// Any number of threads may join the same process, and all get its status; others may end it meanwhile.
    /// One that writes more into a pipe than that holds, and that nobody reads, never ends.
    ///
    /// # Errors
    /// Of kind `NotFound`, when somebody else has waited for it, so that nobody knows.
    pub fn join(&self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.wait(None)? {
                return Ok(status);
            }
        }
    }

    /// As [`join`](Self::join), but for no longer than `limit`: then None.
    ///
    /// # Errors
    /// As `join`.
    pub fn join_timeout(&self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        self.wait(Some(limit))
    }

    fn wait(&self, limit: Option<Duration>) -> io::Result<Option<ExitStatus>> {
        drop(self.take_stdin());
        self.kid.look(|child| child.wait(limit))
    }

    /// Asks it to end: see [`OsChild`] for how. False when it had ended before: then nobody is asked.
    ///
    /// What it has started itself is not ended with it, and may keep its pipes open.
    ///
    /// Does not wait for the end.
    ///
    /// # Errors
    /// Of the system.
    pub fn terminate(&self) -> io::Result<bool> {
        self.end(C::terminate)
    }

    /// Ends it. False when it had ended before: then nothing is done.
    ///
    /// Does not wait for the end.
    ///
    /// # Errors
    /// Of the system.
    pub fn kill(&self) -> io::Result<bool> {
        self.end(C::kill)
    }

    fn end(&self, how: impl FnOnce(&C) -> io::Result<bool>) -> io::Result<bool> {
        if self.kid.has_ended() {
            return Ok(false);
        }
        let asked = how(&self.kid.child)?;
        if !asked {
            // It has ended, and perhaps nobody has said so.
            self.kid.runs();
        }
        Ok(asked)
    }

    /// Whether it is to be killed when the last handle goes. At first it is not.
    pub fn kill_on_drop(&self, kill: bool) {
        self.kill_on_drop.store(kill, Relaxed);
    }

    /// The pipe to its standard input, if its `Command` has asked for one and nobody has taken it yet.
    pub fn take_stdin(&self) -> Option<ChildStdin> {
        self.pipes().stdin.take()
    }

    /// The pipe from its standard output, if its `Command` has asked for one and nobody has taken it yet.
    pub fn take_stdout(&self) -> Option<ChildStdout> {
        self.pipes().stdout.take()
    }

    /// The pipe from its standard error, if its `Command` has asked for one and nobody has taken it yet.
    pub fn take_stderr(&self) -> Option<ChildStderr> {
        self.pipes().stderr.take()
    }

    fn pipes(&self) -> MutexGuard<'_, Pipes> {
        lock(&self.pipes)
    }
}

impl<C: ChildProcess> Drop for Process<C> {
    fn drop(&mut self) {
        if *self.kill_on_drop.get_mut() {
            // Nobody is left to tell of an error.
            let _ = self.end(C::kill);
        }
    }
}

impl<C: ChildProcess> fmt::Debug for Process<C> {
    /// Without looking whether it runs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut process = f.debug_struct("Process");
        process.field("id", &self.kid.id);
        match self.kid.end.get() {
            None => process.finish_non_exhaustive(),
            Some(Some(status)) => process.field("status", status).finish(),
            Some(None) => process.field("status", &"lost").finish(),
        }
    }
}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl<C: ChildProcess + RefUnwindSafe> UnwindSafe for Process<C> {}
impl<C: ChildProcess + RefUnwindSafe> RefUnwindSafe for Process<C> {}
