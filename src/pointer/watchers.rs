//! The watchers of one value: what CPython calls `weakreflist`.
//!
//! They are notified of its death one after the other, in this order:
//! 1. exclusive containers, which wait for the end of the destructor, the oldest first;
//! 2. other containers, the newest first: so a callback finds all of them without the dead entry;
//! 3. callbacks, the newest first;
//! 4. the destructor runs. If there are exclusive containers, it runs before the callbacks.

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

/// The watchers of one value, in one word, which is null until somebody watches. Its owner notifies them of
/// the death.
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

    /// Takes over a list that was made before the value.
    pub(in crate::pointer) fn with_list(list: Arc<WatchList>) -> Self {
        let watchers = Self::new();
        watchers.list.get_or_init(|| Box::new(list));
        watchers
    }

    pub(in crate::pointer) fn list(&self) -> &Arc<WatchList> {
        self.list.get_or_init(Box::default)
    }

    /// Returns the list, if it was ever needed.
    #[inline]
    pub(crate) fn listed(&self) -> Option<&Arc<WatchList>> {
        self.list.get()
    }

    /// Returns the number of containers and of callbacks.
    pub(in crate::pointer) fn len(&self) -> (usize, usize) {
        self.list.get().map_or((0, 0), |list| {
            (list.containers.lock().len(), list.callbacks.lock().len())
        })
    }

    /// Registers `callback`, which runs after the death, unless the registration ends before.
    pub(crate) fn on_death(&self, callback: Callback) -> Registration {
        let list = self.list();
        let id = list.callbacks.lock().push(callback);
        // Not refused: the caller has what dies.
        Registration::listed(list, WatcherKind::Callbacks, id.ok())
    }

    /// Registers a container, which is notified of the death, unless the registration ends before.
    pub(crate) fn watch(&self, notify: Notify) -> Registration {
        let list = self.list();
        let id = list.containers.lock().push(notify);
        Registration::listed(list, WatcherKind::Containers, id.ok())
    }
}

/// The list of watchers. Shared by the value and by the registrations, which may outlive it.
pub(crate) struct WatchList {
    containers: Mutex<WatcherList<Notify>>,
    callbacks: Mutex<WatcherList<Callback>>,
    /// The containers that were notified and wait for the end of the destructor.
    endings: Mutex<Vec<Ending>>,
    /// The value's hash, once a weak pointer has been asked for it.
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
    /// Registers a container as [`Watchers::watch`] does, for a caller that does not own the value. None when
    /// the value has died.
    pub(in crate::pointer) fn watch(self: &Arc<Self>, notify: Notify) -> Option<Registration> {
        let id = self.containers.lock().push(notify).ok()?;
        Some(Registration::listed(
            self,
            WatcherKind::Containers,
            Some(id),
        ))
    }

    /// Notifies all watchers, and refuses later ones. No lock is held, so a watcher may detach those behind
    /// it.
    #[cold]
    pub(in crate::pointer) fn notify(&self) {
        let mut panics = Panics::new();
        panics.catch(|| self.notify_containers());
        panics.catch(|| self.notify_rest());
    }

    /// Notifies all watchers as `notify` does, from the value's drop. A callback of another drop may have
    /// caused that one: deep down, callbacks run a little later.
    #[cold]
    pub(in crate::pointer) fn notify_from_drop(self: &Arc<Self>) {
        let mut panics = Panics::new();
        panics.catch(|| self.notify_containers());
        let list = Arc::clone(self);
        panics.catch(|| teardown::run(move || list.notify_rest()));
    }

    fn notify_rest(&self) {
        // There is no destructor to run.
        self.finish(|| ());
    }

    /// Notifies the containers: the first half, which is not deferred, however deeply nested the death is.
    pub(crate) fn notify_containers(&self) {
        let tell_one = |notify: Notify| {
            let ending = notify.notify_dead();
            if let Some(ending) = ending {
                self.endings.lock().push(ending);
            }
        };
        // First those that wait for the end: user code that the others run may use them, and must not wait
        // for this thread.
        let first = self.containers.lock().close_and_take(Notify::ends);
        first.into_iter().for_each(tell_one);
        notify_all(&self.containers, tell_one);
    }

    /// Runs callbacks and destructor: the second half. Exclusive containers are notified of the end in any
    /// case; until then the destructor is the work that they wait for. Callbacks may use what is made after
    /// it.
    pub(crate) fn finish(&self, destructor: impl FnOnce()) {
        if !self.endings.lock().is_empty() {
            return self.finish_before_callbacks(destructor);
        }
        let mut panics = Panics::new();
        panics.catch(|| self.run_callbacks());
        panics.catch(destructor);
    }

    /// Runs the destructor before the callbacks, where a container waits for the end.
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
        panics.catch(|| self.run_callbacks());
    }

    /// Runs the callbacks.
    pub(in crate::pointer) fn run_callbacks(&self) {
        notify_all(&self.callbacks, |callback| callback());
    }
}

/// Runs `inner` inside a frame for each exclusive map that the value is in.
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

/// Closes the list and calls `call` with each watcher, the newest first.
fn notify_all<W>(list: &Mutex<WatcherList<W>>, call: impl Fn(W)) {
    let mut panics = Panics::new();
    loop {
        // A statement of its own: the lock ends with it.
        let next = list.lock().close_and_pop();
        let Some(watcher) = next else { return };
        panics.catch(|| call(watcher));
    }
}

/// Watchers in the order in which they came. Those that leave make holes, but never more than there are
/// watchers, except for a few.
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

    /// Closes the list, and removes all watchers that are `wanted`.
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
enum WatcherKind {
    Containers,
    Callbacks,
}

/// A watcher's registration for one death. It ends when this is dropped. Then the watcher is not notified, as
/// with a dropped `weakref.ref`.
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
        kind: WatcherKind,
        id: u64,
    },
    Foreign(Box<dyn FnOnce() -> bool + Send + Sync>),
}

impl Registration {
    /// Creates the registration of a pointer that keeps a list of its own. `cancel` ends it, and returns
    /// whether that came in time. For implementations of [`Pointer::watch`](crate::pointer::Pointer::watch).
    ///
    /// `cancel` runs when the registration is dropped or detached, with no lock held.
    pub fn new(cancel: impl FnOnce() -> bool + Send + Sync + 'static) -> Self {
        Self {
            inner: Some(RegistrationInner::Foreign(Box::new(cancel))),
        }
    }

    fn listed(list: &Arc<WatchList>, kind: WatcherKind, id: Option<u64>) -> Self {
        Self {
            inner: id.map(|id| RegistrationInner::Listed {
                list: Arc::clone(list),
                kind,
                id,
            }),
        }
    }

    /// Ends the registration. Returns true when that came in time: then the watcher is not notified. Returns
    /// false when it has been notified or is just being notified; that is not waited for.
    ///
    /// *Waiting:* for other calls that add to or remove from the same list, a few instructions long. *Runs*
    /// the drop of the callback; from the 64th nested drop on, that happens a little later, as in a chain of
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
            Some(RegistrationInner::Listed { list, kind, id }) => match kind {
                WatcherKind::Containers => {
                    let watcher = list.containers.lock().remove(id);
                    watcher.is_some()
                }
                WatcherKind::Callbacks => {
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
