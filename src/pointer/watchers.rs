//! The list of those who want to know of one death: what CPython calls `weakreflist`.
//!
//! It has two lanes. Containers come first, so that a callback finds every one of them without the dead
//! entry; then the callbacks. In each lane the newest is first.

use crate::deadlock::frames::{self, Part};
use crate::deadlock::work::Describe;
use crate::memory::panics::Panics;
use crate::memory::teardown;
use crate::pointer::notify::{Ending, Notify};
use crate::sync::{const_fn, Mutex, OnceBox, OnceCell};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

type Callback = Box<dyn FnOnce() + Send>;

/// One word, null until somebody watches. Whoever has it announces the death.
pub(crate) struct Watchers {
    list: OnceBox<Arc<WatchList>>,
}

impl Watchers {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                list: OnceBox::new(),
            }
        }
    }

    /// Whose list exists already, before there is a value.
    pub(in crate::pointer) fn with_list(list: Arc<WatchList>) -> Self {
        let watchers = Self::new();
        watchers.list.get_or_init(|| Box::new(list));
        watchers
    }

    pub(in crate::pointer) fn list(&self) -> &Arc<WatchList> {
        self.list.get_or_init(Box::default)
    }

    /// The list, if anybody has ever asked for it.
    #[inline]
    pub(crate) fn listed(&self) -> Option<&Arc<WatchList>> {
        self.list.get()
    }

    /// Those who would be told, containers and callbacks.
    pub(in crate::pointer) fn len(&self) -> (usize, usize) {
        self.list.get().map_or((0, 0), |list| {
            (list.containers.lock().len(), list.callbacks.lock().len())
        })
    }

    /// Runs `callback` after the death, unless the registration goes before.
    pub(crate) fn on_death(&self, callback: Callback) -> Registration {
        let list = self.list();
        let id = list.callbacks.lock().push(callback);
        // Not refused: the caller has what dies.
        Registration::listed(list, Lanes::Callbacks, id.ok())
    }

    /// Tells a container after the death, unless the registration goes before.
    pub(crate) fn watch(&self, notify: Notify) -> Registration {
        let list = self.list();
        let id = list.containers.lock().push(notify);
        Registration::listed(list, Lanes::Containers, id.ok())
    }
}

/// Shared by what dies and by the registrations, which may outlive it.
pub(crate) struct WatchList {
    containers: Mutex<WatcherList<Notify>>,
    callbacks: Mutex<WatcherList<Callback>>,
    /// Containers that were told, and wait for the end of the destructor.
    endings: Mutex<Vec<Ending>>,
    /// The value's hash, once a weak pointer has been asked for its own.
    pub(in crate::pointer) hash: OnceCell<u64>,
}

impl Default for WatchList {
    fn default() -> Self {
        Self {
            containers: Mutex::new(WatcherList::default()),
            callbacks: Mutex::new(WatcherList::default()),
            endings: Mutex::new(Vec::new()),
            hash: OnceCell::new(),
        }
    }
}

impl WatchList {
    /// As [`Watchers::watch`], for one who does not have what dies: None when it has died.
    pub(in crate::pointer) fn watch(self: &Arc<Self>, notify: Notify) -> Option<Registration> {
        let id = self.containers.lock().push(notify).ok()?;
        Some(Registration::listed(self, Lanes::Containers, Some(id)))
    }

    /// Tells them all, and refuses those who come later, with no lock held, one after the other, so that a
    /// watcher may still detach those behind it.
    #[cold]
    pub(in crate::pointer) fn announce(&self) {
        let mut panics = Panics::new();
        panics.catch(|| self.tell_containers());
        panics.catch(|| self.announce_rest());
    }

    /// As `announce`, from the drop of one of many that may be let go of by each other's callbacks: deep
    /// down, those are called a little later.
    #[cold]
    pub(in crate::pointer) fn announce_drop(self: &Arc<Self>) {
        let mut panics = Panics::new();
        panics.catch(|| self.tell_containers());
        let list = Arc::clone(self);
        panics.catch(|| teardown::run(move || list.announce_rest()));
    }

    fn announce_rest(&self) {
        // What is left of the value is not ours.
        self.finish(|| ());
    }

    /// The first half of an announcement, which comes at once however deep down the death is.
    pub(crate) fn tell_containers(&self) {
        let tell_one = |notify: Notify| {
            let ending = notify.dead_for_now();
            if let Some(ending) = ending {
                self.endings.lock().push(ending);
            }
        };
        // First those that wait for the end: what the others run may ask them, and must not wait for what
        // this thread is doing.
        let first = self.containers.lock().close_and_take(Notify::ends);
        first.into_iter().for_each(tell_one);
        tell(&self.containers, tell_one);
    }

    /// The second half: callbacks and destructor. Those who wait for the end of the destructor are told in
    /// any case; in between it is the work that they wait for.
    ///
    /// Callbacks come first. But if somebody waits for the end, they come after that, as they may ask for
    /// what is made then.
    pub(crate) fn finish(&self, destructor: impl FnOnce()) {
        if !self.endings.lock().is_empty() {
            return self.finish_before_callbacks(destructor);
        }
        let mut panics = Panics::new();
        panics.catch(|| self.call_back());
        panics.catch(destructor);
    }

    /// As `finish`, where somebody waits for the end.
    pub(crate) fn finish_before_callbacks(&self, destructor: impl FnOnce()) {
        struct EndGuard(Vec<Ending>);
        impl Drop for EndGuard {
            fn drop(&mut self) {
                self.0.drain(..).for_each(Ending::ended);
            }
        }
        let mut panics = Panics::new();
        let endings = std::mem::take(&mut *self.endings.lock());
        panics.catch(|| {
            let end = EndGuard(endings);
            let mut destructor = Some(destructor);
            during_all(&end.0, &mut || {
                if let Some(destructor) = destructor.take() {
                    destructor();
                }
            });
        });
        panics.catch(|| self.call_back());
    }

    /// Runs the callbacks.
    pub(in crate::pointer) fn call_back(&self) {
        tell(&self.callbacks, |callback| callback());
    }
}

/// Each is a frame of its own, and they are as many as the exclusive maps that the value is in.
fn during_all(endings: &[Ending], inner: &mut dyn FnMut()) {
    let describe: Describe<'_> = &|f| f.write_str("the end of a value of an exclusive map");
    match endings {
        [] => inner(),
        [first, rest @ ..] => match first.work() {
            Some(work) => {
                frames::during(&work, describe, Part::Closed, || during_all(rest, inner));
            }
            None => during_all(rest, inner),
        },
    }
}

/// Calls everyone in the lane.
fn tell<W>(lane: &Mutex<WatcherList<W>>, call: impl Fn(W)) {
    let mut panics = Panics::new();
    loop {
        // A statement of its own: the lock ends with it.
        let next = lane.lock().close_and_pop();
        let Some(watcher) = next else { return };
        panics.catch(|| call(watcher));
    }
}

/// Watchers in the order in which they came. Those that left leave a hole; there are never more holes than
/// watchers, but for a few.
struct WatcherList<W> {
    // Invariant: the numbers ascend.
    watchers: Vec<(u64, Option<W>)>,
    holes: usize,
    next: u64,
    closed: bool,
}

impl<W> Default for WatcherList<W> {
    fn default() -> Self {
        Self {
            watchers: Vec::new(),
            holes: 0,
            next: 0,
            closed: false,
        }
    }
}

impl<W> WatcherList<W> {
    fn len(&self) -> usize {
        self.watchers.len() - self.holes
    }

    fn push(&mut self, watcher: W) -> Result<u64, W> {
        if self.closed {
            return Err(watcher);
        }
        let id = self.next;
        self.next += 1;
        self.watchers.push((id, Some(watcher)));
        Ok(id)
    }

    fn remove(&mut self, id: u64) -> Option<W> {
        let at = self.watchers.binary_search_by_key(&id, |w| w.0).ok()?;
        let watcher = self.watchers[at].1.take()?;
        self.holes += 1;
        self.tidy();
        Some(watcher)
    }

    fn close_and_pop(&mut self) -> Option<W> {
        self.closed = true;
        loop {
            match self.watchers.pop()? {
                (_, Some(watcher)) => return Some(watcher),
                (_, None) => self.holes -= 1,
            }
        }
    }

    /// All of those that are `wanted`.
    fn close_and_take(&mut self, wanted: impl Fn(&W) -> bool) -> Vec<W> {
        self.closed = true;
        let places = self.watchers.iter_mut().map(|(_, place)| place);
        let taken: Vec<_> = places
            .filter_map(|place| place.take_if(|watcher| wanted(watcher)))
            .collect();
        self.holes += taken.len();
        taken
    }

    fn tidy(&mut self) {
        while let Some((_, None)) = self.watchers.last() {
            self.watchers.pop();
            self.holes -= 1;
        }
        if self.holes > self.watchers.len() / 2 + 4 {
            self.watchers.retain(|(_, watcher)| watcher.is_some());
            self.holes = 0;
            self.watchers.shrink_to(self.watchers.len() * 2);
        }
    }
}

#[derive(Clone, Copy)]
enum Lanes {
    Containers,
    Callbacks,
}

/// That somebody is to be told of a death. It ends when this is dropped: then nobody is told, as with a
/// dropped `weakref.ref`.
///
/// It does not keep the value alive, and may outlive it.
///
/// ```
/// use highlander::pointer::Watched;
///
/// let value = Watched::new(1);
/// let registration = Watched::on_death(&value, || println!("gone"));
/// let dropped = Watched::on_death(&value, || unreachable!());
/// assert!(dropped.detach());
/// registration.keep();        // until the death, without a guard
/// drop(value);                // prints "gone"
/// ```
#[must_use = "a registration that is dropped ends at once; see `keep`"]
pub struct Registration {
    inner: Option<RegistrationInner>,
}

enum RegistrationInner {
    Listed {
        list: Arc<WatchList>,
        lane: Lanes,
        id: u64,
    },
    Foreign(Box<dyn FnOnce() -> bool + Send + Sync>),
}

impl Registration {
    /// The registration of a pointer that keeps a list of its own: `cancel` ends it, and says whether that
    /// came in time. For those who implement [`Pointer::watch`](crate::pointer::Pointer::watch).
    ///
    /// `cancel` runs when the registration is dropped or detached, with no lock held.
    pub fn new(cancel: impl FnOnce() -> bool + Send + Sync + 'static) -> Self {
        Self {
            inner: Some(RegistrationInner::Foreign(Box::new(cancel))),
        }
    }

    fn listed(list: &Arc<WatchList>, lane: Lanes, id: Option<u64>) -> Self {
        Self {
            inner: id.map(|id| RegistrationInner::Listed {
                list: Arc::clone(list),
                lane,
                id,
            }),
        }
    }

    /// Ends the registration. True when that came in time: then nobody is told, now or later. False when the
    /// call has been made or is being made; it is not waited for.
    ///
    /// *Waiting:* for others that come to or go from the same list, a few instructions long. *Runs* the drop
    /// of the callback; from the 64th nested drop on, that happens a little later, as in a chain of
    /// [`Watched`](crate::pointer::Watched) values.
    pub fn detach(mut self) -> bool {
        self.end()
    }

    /// Lets it last until the death, without this guard.
    pub fn keep(mut self) {
        self.inner = None;
    }

    fn end(&mut self) -> bool {
        match self.inner.take() {
            None => false,
            Some(RegistrationInner::Foreign(cancel)) => cancel(),
            // The watcher is dropped after the lock: it may own anything.
            Some(RegistrationInner::Listed { list, lane, id }) => match lane {
                Lanes::Containers => {
                    let watcher = list.containers.lock().remove(id);
                    watcher.is_some()
                }
                Lanes::Callbacks => {
                    let watcher = list.callbacks.lock().remove(id);
                    // It may own the next registration.
                    watcher
                        .map(|watcher| teardown::run(|| drop(watcher)))
                        .is_some()
                }
            },
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").finish_non_exhaustive()
    }
}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl UnwindSafe for Registration {}
impl RefUnwindSafe for Registration {}
