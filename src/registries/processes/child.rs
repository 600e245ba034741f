//! What a child process must be able to do, and that of the standard library, which can.

use crate::registries::lock::lock;
use std::io;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A child process as [`Processes`](super::Processes) needs it: by default [`OsChild`]; others can be
/// children on another machine, in a sandbox, or in a test.
///
/// The calls come from any thread, at the same time, with no lock of ours held. What they must promise
/// between them is the one thing that numbers cannot: once a call has said that the process has ended, all
/// later ones say so too, and none of them does anything to whatever has its number now.
pub trait ChildProcess: Send + Sync + 'static {
    /// The number by which the system knows it while it is neither waited for nor lost.
    fn id(&self) -> u32;

    /// How it has ended, if it has: waits for it (in the sense of `waitpid`) if nobody has, and remembers.
    /// None while it runs. Does not sleep.
    ///
    /// # Errors
    /// When nobody will ever know, for example because somebody else has waited for it. The registry takes
    /// that as its end.
    fn try_wait(&self) -> io::Result<Option<ExitStatus>>;

    /// As [`try_wait`](Self::try_wait), but sleeps until it has ended, or until `limit` is over; then the
    /// result is None. Must not keep the others from being called.
    ///
    /// # Errors
    /// As `try_wait`.
    fn wait(&self, limit: Option<Duration>) -> io::Result<Option<ExitStatus>>;

    /// Asks it to end, as politely as the system can. False when it had ended before, or is lost: then nobody
    /// is asked.
    ///
    /// # Errors
    /// Of the system.
    fn terminate(&self) -> io::Result<bool> {
        self.kill()
    }

    /// Ends it. False when it had ended before, or is lost: then nothing is done.
    ///
    /// # Errors
    /// Of the system.
    fn kill(&self) -> io::Result<bool>;

    /// Our ends of its pipes, for the first who asks.
    fn take_pipes(&self) -> Pipes {
        Pipes::default()
    }
}

/// Our ends of a child's pipes, those that its `Command` has asked for.
#[derive(Debug, Default)]
pub struct Pipes {
    /// What it reads.
    pub stdin: Option<ChildStdin>,
    /// What it writes.
    pub stdout: Option<ChildStdout>,
    /// What it complains about.
    pub stderr: Option<ChildStderr>,
}

/// A child of this process.
///
/// It is waited for once, whoever asks, and its status remembered. A signal is sent only while it is known
/// not to have been waited for, since until then the system gives its number to nobody else: the two are
/// decided under one lock. If other code waits for it (`waitpid(-1)`, or a `SIGCHLD` that is ignored), it
/// counts as lost from the first call that finds out. Between that other wait and the signal there is a
/// moment in which only a descriptor of the process helps; see below.
///
/// # With the feature `rustix`
/// On Linux it is held by a descriptor (`pidfd`), if the system has them: those who wait sleep in the system
/// until it ends, and signals go to the descriptor, never to a number. On every Unix
/// [`terminate`](ChildProcess::terminate) sends `SIGTERM`. Without the feature, and elsewhere, those who wait
/// look again every 20 ms, and `terminate` is `kill`, for which Unix sends `SIGKILL`, since the standard
/// library has no other signal.
#[derive(Debug)]
pub struct OsChild {
    id: u32,
    state: Mutex<ChildState>,
    /// Told when the end is seen.
    ended: Condvar,
    #[cfg(all(feature = "rustix", target_os = "linux"))]
    descriptor: Option<std::os::fd::OwnedFd>,
}

#[derive(Debug)]
struct ChildState {
    child: Child,
    /// Somebody else has waited for it: its number may be anybody's.
    lost: bool,
}

/// How long those sleep who cannot be woken by the end itself.
const NAPS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

impl From<Child> for OsChild {
    fn from(child: Child) -> Self {
        let child = Self {
            id: child.id(),
            #[cfg(all(feature = "rustix", target_os = "linux"))]
            descriptor: descriptor(&child),
            state: Mutex::new(ChildState { child, lost: false }),
            ended: Condvar::new(),
        };
        // If it was lost before the descriptor was opened, that may lead to another one. Then this finds out,
        // and it is never used.
        #[cfg(all(feature = "rustix", target_os = "linux"))]
        let _ = child.try_wait();
        child
    }
}

#[cfg(all(feature = "rustix", target_os = "linux"))]
fn descriptor(child: &Child) -> Option<std::os::fd::OwnedFd> {
    use rustix::process::{pidfd_open, Pid, PidfdFlags};
    pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok()
}

impl OsChild {
    fn lock(&self) -> MutexGuard<'_, ChildState> {
        // Nothing of a user's runs under it, and each step leaves it whole.
        lock(&self.state)
    }

    /// The one place where it is waited for.
    fn look(&self, state: &mut ChildState) -> io::Result<Option<ExitStatus>> {
        if state.lost {
            return Err(lost(self.id));
        }
        let seen = state.child.try_wait();
        if !matches!(seen, Ok(None)) {
            state.lost = seen.is_err();
            self.ended.notify_all();
        }
        // The system's only reason is that it is no child any more that could be waited for.
        seen.map_err(|_| lost(self.id))
    }

    /// Runs `signal` if it is there to be signalled, and cannot be waited for meanwhile.
    fn if_running(&self, signal: impl FnOnce(&mut Child) -> io::Result<bool>) -> io::Result<bool> {
        let mut state = self.lock();
        match self.look(&mut state) {
            Ok(None) => signal(&mut state.child),
            Ok(Some(_)) | Err(_) => Ok(false),
        }
    }

    /// Sleeps until it has ended or the time is over. False when that is not possible here.
    #[cfg(all(feature = "rustix", target_os = "linux"))]
    fn sleep(&self, until: Option<Instant>) -> bool {
        use rustix::event::{poll, PollFd, PollFlags, Timespec};
        let Some(descriptor) = &self.descriptor else {
            return false;
        };
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            // What is too long for the system is for ever.
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let mut polled = [PollFd::new(descriptor, PollFlags::IN)];
            match poll(&mut polled, left.as_ref()) {
                Ok(_) => return true,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    #[cfg(not(all(feature = "rustix", target_os = "linux")))]
    fn sleep(&self, _: Option<Instant>) -> bool {
        false
    }

    #[cfg(all(feature = "rustix", unix))]
    fn signal(&self, child: &Child, signal: rustix::process::Signal) -> io::Result<bool> {
        use rustix::process::{kill_process, Pid};
        #[cfg(target_os = "linux")]
        let sent = match &self.descriptor {
            Some(descriptor) => rustix::process::pidfd_send_signal(descriptor, signal),
            None => kill_process(Pid::from_child(child), signal),
        };
        #[cfg(not(target_os = "linux"))]
        let sent = kill_process(Pid::from_child(child), signal);
        match sent {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl ChildProcess for OsChild {
    fn id(&self) -> u32 {
        self.id
    }

    fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        let mut state = self.lock();
        self.look(&mut state)
    }

    fn wait(&self, limit: Option<Duration>) -> io::Result<Option<ExitStatus>> {
        let now = Instant::now();
        let until = limit.and_then(|limit| now.checked_add(limit));
        if let Some(status) = self.try_wait()? {
            return Ok(Some(status));
        }
        if self.sleep(until) {
            return self.try_wait();
        }
        let (mut nap, longest) = NAPS;
        let mut state = self.lock();
        loop {
            if let Some(status) = self.look(&mut state)? {
                return Ok(Some(status));
            }
            let left = until.map_or(nap, |until| {
                until.saturating_duration_since(Instant::now()).min(nap)
            });
            if left.is_zero() {
                return Ok(None);
            }
            (state, _) = self
                .ended
                .wait_timeout(state, left)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            nap = (nap * 2).min(longest);
        }
    }

    #[cfg(all(feature = "rustix", unix))]
    fn terminate(&self) -> io::Result<bool> {
        self.if_running(|child| self.signal(child, rustix::process::Signal::TERM))
    }

    #[cfg(all(feature = "rustix", unix))]
    fn kill(&self) -> io::Result<bool> {
        self.if_running(|child| self.signal(child, rustix::process::Signal::KILL))
    }

    #[cfg(not(all(feature = "rustix", unix)))]
    fn kill(&self) -> io::Result<bool> {
        self.if_running(|child| child.kill().map(|()| true))
    }

    fn take_pipes(&self) -> Pipes {
        let child = &mut self.lock().child;
        Pipes {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
        }
    }
}

pub(super) fn lost(id: u32) -> io::Error {
    let text = format!("somebody else has waited for process {id}");
    io::Error::new(io::ErrorKind::NotFound, text)
}
