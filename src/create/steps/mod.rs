//! From a miss to an entry that all who asked for it share: the steps of a creation, for every map, and
//! whoever takes them.
//!
//! ```text
//!  join a flight ─► lead it, or wait ─► look again ─► make the value ───────────────► enter it ─► land ─► settle
//!                                            └► allocate it: the draft ─► initialise it ─┘
//! ```
//!
//! Between joining and landing others sleep, so whatever user code need not run there runs when the creation
//! is settled.
//!
//! A creation that needs drafts further out on its thread (see `frames`) is not entered when it ends: it is
//! *pending*, and the creation further out enters it, or gives it up.

mod beginning;
mod pending;

#[cfg(feature = "async")]
pub(crate) use beginning::begin_async;
pub(crate) use beginning::{begin, try_begin, Begun};

use crate::create::error::{ClosedError, CreateError};
use crate::create::flight::{Flight, FlightTable, Leader, SharedError};
use crate::deadlock::family::Family;
use crate::deadlock::frames::{self, Part};
use crate::deadlock::waits;
use crate::deadlock::work::{text, GivenUp, GivenUpGroup};
use crate::memory::panics::{after, Panics};
use crate::memory::teardown;
use crate::table::exclusive::InTheWay;
use pending::PendingCreation;
use std::any::TypeId;
use std::fmt;
#[cfg(feature = "async")]
use std::future::Future;
#[cfg(feature = "async")]
use std::pin::Pin;
use std::sync::Arc;
#[cfg(feature = "async")]
use std::task::{Context, Poll};

/// What differs from map to map. Equality, naming and entering run user code, with no lock held.
pub(crate) trait Creates {
    /// The key, as those who wait for it compare it.
    type PendingKey;
    /// What is entered: all who ask get a clone.
    type LiveEntry: Clone + 'static;
    /// What a factory's result is made into. It may lie in the ticket.
    type Made<'t>;
    /// What can only be dropped, or told, when nobody waits any more.
    type Deferred;
    /// What of the map is needed to enter something later: it shares all else with it, and may outlive it.
    type SharedMap: Creates<PendingKey = Self::PendingKey, LiveEntry = Self::LiveEntry> + 'static;

    fn flights(&self) -> &FlightTable<Self::PendingKey, Self::LiveEntry>;

    fn same(&self, one: &Self::PendingKey, other: &Self::PendingKey) -> bool;

    /// Writes the key, or something in its place, for the text of an error.
    fn name(&self, pending_key: &Self::PendingKey, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// What is entered by now. Does not take out what is dead.
    fn look(&self, hash: u64, pending_key: &Self::PendingKey) -> Option<Self::LiveEntry>;

    /// What has to end before a value with this hash may be made.
    fn in_the_way(&self, hash: u64) -> Option<InTheWay> {
        let _ = hash;
        None
    }

    /// Nothing can be entered any more.
    fn refused(&self) -> Option<ClosedError>;

    /// Enters what was made, unless there is something already. Called once for a ticket whose flight it
    /// ends.
    fn enter(
        &self,
        hash: u64,
        pending_key: &Self::PendingKey,
        made: Self::Made<'_>,
    ) -> EnteredValue<Self>;

    /// Makes what was made for a ticket complete before it is entered. Called once for a ticket.
    fn draft(
        &self,
        hash: u64,
        pending_key: &Self::PendingKey,
        made: Self::Made<'_>,
    ) -> Self::LiveEntry;

    /// Enters a draft, unless there is something already: that comes back.
    fn enter_draft(
        &self,
        hash: u64,
        pending_key: &Self::PendingKey,
        draft: &Self::LiveEntry,
    ) -> EnteredDraft<Self>;

    /// Takes this very one out, if it is entered still.
    fn take_out(&self, live: &Self::LiveEntry);

    /// Whether a creation has just made it.
    fn is_fresh(live: &Self::LiveEntry) -> bool;

    /// A draft that is given up, and may have other owners: what comes next may have to wait for its end, and
    /// that for those who let go of it. If it has not failed itself, it may live on: if it is a map's, which
    /// owns no values.
    fn abandon(&self, draft: &Self::LiveEntry, given_up: GivenUp<'_>) {
        let _ = (draft, given_up);
    }

    fn share_map(&self) -> Self::SharedMap;

    /// What is left to do after the landing: `rest` if this call has entered it, none if another one has.
    fn settle(&self, live: &Self::LiveEntry, deferred: Option<Self::Deferred>);

    /// What of that is left to do when the landing has panicked, or nothing has landed.
    fn settle_deferred(&self, deferred: Self::Deferred) {
        drop(deferred);
    }
}

/// What is entered now, or why nothing is; and what is left to do then.
pub(crate) struct Published<L, R> {
    pub(crate) result: Result<L, ClosedError>,
    pub(crate) deferred: R,
}

/// Of a value: what all who ask get.
pub(crate) type EnteredValue<M> = Published<<M as Creates>::LiveEntry, <M as Creates>::Deferred>;

/// Of a draft: what was there already, if there was something.
pub(crate) type EnteredDraft<M> =
    Published<Option<<M as Creates>::LiveEntry>, <M as Creates>::Deferred>;

/// A key of which the caller is the creator, until this is dropped or something is entered.
pub(crate) struct Creation<'a, M: Creates> {
    map: &'a M,
    hash: u64,
    leader: Leader<'a, M::PendingKey, M::LiveEntry>,
}

/// What is good enough for a caller.
pub(crate) trait Accepts<L> {
    /// Whether this value is. If not it counts as absent, and is taken out by the creation that takes its
    /// place.
    fn accepts(&self, found: &L) -> bool;

    /// Errors of which type, if those are others' with whom the caller has waited.
    fn shares(&self) -> Option<TypeId>;
}

/// What those get of a factory's error who wait for one of its type.
pub(crate) trait Share<E>: Fn(&E) -> Option<SharedError> {}

impl<E, F: Fn(&E) -> Option<SharedError>> Share<E> for F {}

/// The family of a creation. Dropped, the creation has failed, and gives up the rest of what it has when that
/// is done.
struct Scope(Family);

impl Scope {
    fn new() -> Self {
        Self(frames::new_family())
    }

    fn fail(&self) {
        if !self.0.is_alone() {
            frames::fail(&self.0);
        }
    }

    /// What is given up inside of the outermost creation that this thread is in the middle of, this one
    /// perhaps, if anything has been: what is given up there after that may own it.
    fn given_up(&self) -> Option<&Arc<GivenUpGroup>> {
        match frames::outermost_family() {
            Some(family) => Some(family.given_up_or_new(waits::forget)),
            // What has been put aside may own it too.
            None if teardown::has_aside() => Some(self.0.given_up_or_new(waits::forget)),
            None => self.0.given_up(),
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.fail();
    }
}

/// A creation whose value is made, and not entered: a draft. Dropped, it is given up.
struct Drafted<'a, M: Creates> {
    map: &'a M,
    hash: u64,
    /// With the draft. Until this is entered, or left.
    leader: Option<Leader<'a, M::PendingKey, M::LiveEntry>>,
    scope: Scope,
    /// Its initialisation has not failed; that of what it needs may.
    is_complete: bool,
}

impl<'a, M: Creates> Creation<'a, M> {
    pub(crate) fn pending_key(&self) -> &M::PendingKey {
        self.leader.pending_key()
    }

    pub(in crate::create) fn hash(&self) -> u64 {
        self.hash
    }

    /// Runs a part of the creation, so that what it waits for is known to be for this key.
    pub(in crate::create) fn during<'t, R>(&'t self, f: impl FnOnce(&'t M::PendingKey) -> R) -> R {
        during(self.map, self.leader.flight(), Part::Closed, || {
            f(self.pending_key())
        })
    }

    /// As `during`, of a part that may be given drafts.
    fn during_open<'t, R>(&'t self, scope: &Scope, f: impl FnOnce(&'t M::PendingKey) -> R) -> R {
        let part = Part::Open(&scope.0, None);
        during(self.map, self.leader.flight(), part, || {
            f(self.pending_key())
        })
    }

    /// As `during`, of a part that goes on when `f` has returned.
    #[cfg(feature = "async")]
    fn during_poll<'t, R>(&'t self, f: impl FnOnce(&'t M::PendingKey) -> R) -> R {
        self.during_as(Part::Closed, f)
    }

    fn during_as<'t, R>(&'t self, part: Part<'_>, f: impl FnOnce(&'t M::PendingKey) -> R) -> R {
        during_as(self.map, self.leader.flight(), part, || {
            f(self.pending_key())
        })
    }

    /// Gives up, with what has ended inside of it. Those who wait for an error of this type get what `share`
    /// makes of it.
    fn fail_with<E>(self, scope: Scope, error: E, share: impl Share<E>) -> E {
        share_error(self.map, self.leader.flight(), &error, share);
        let mut panics = Panics::new();
        panics.catch(|| drop(scope));
        panics.catch(|| drop(self));
        drop(panics);
        error
    }

    /// Enters what was made, unless somebody has entered something meanwhile without a creation.
    pub(in crate::create) fn enter<'t>(&'t self, made: M::Made<'t>) -> EnteredValue<M> {
        self.leader.flight().mark_entering();
        self.during(|pending_key| self.map.enter(self.hash, pending_key, made))
    }

    /// Gives what was entered to those who wait.
    pub(in crate::create) fn finish(
        self,
        entered: EnteredValue<M>,
    ) -> Result<M::LiveEntry, ClosedError> {
        let Published { result, deferred } = entered;
        settled(self.map, deferred, || match result {
            Ok(live) => Ok(self.leader.publish(live)),
            // Before what was made is dropped: those who wait are refused too.
            Err(closed) => Err(after(self.leader, closed)),
        })
    }

    /// Makes the value and enters it.
    pub(crate) fn create<E>(
        self,
        make: impl FnOnce(&M::PendingKey) -> Result<M::Made<'_>, E>,
        share: impl Share<E>,
    ) -> Result<M::LiveEntry, CreateError<E>> {
        let scope = Scope::new();
        let made = self.during_open(&scope, make);
        let made = made.map(|made| {
            if scope.0.is_alone() {
                Ok(self.enter(made))
            } else {
                Err(self.draft(&scope, made))
            }
        });
        let finished = match made {
            Ok(Ok(entered)) => self.finish(entered),
            Ok(Err(draft)) => self.drafted(scope, draft).finish(),
            Err(error) => return Err(CreateError::Failed(self.fail_with(scope, error, share))),
        };
        finished.map_err(CreateError::from)
    }

    /// Makes the value in two steps: from the second on its thread can have it as it is.
    pub(in crate::create) fn create_in_two<E>(
        self,
        allocate: impl FnOnce(&M::PendingKey) -> Result<M::Made<'_>, E>,
        initialise: impl FnOnce(&M::LiveEntry) -> Result<(), E>,
        share: impl Share<E>,
    ) -> Result<M::LiveEntry, CreateError<E>> {
        let scope = Scope::new();
        let made = self.during_open(&scope, allocate);
        let draft = made.map(|made| self.draft(&scope, made));
        let drafted = match draft {
            Ok(draft) => self.drafted(scope, draft),
            Err(error) => {
                let error = after(initialise, self.fail_with(scope, error, share));
                return Err(CreateError::Failed(error));
            }
        };
        match drafted.initialise(initialise) {
            Ok(()) => drafted.finish().map_err(CreateError::from),
            Err(error) => {
                share_error(drafted.map, drafted.leader().flight(), &error, share);
                Err(CreateError::Failed(after(drafted, error)))
            }
        }
    }

    /// Makes what was made complete before it is entered. What ended in the making is in the scope, and may
    /// be asked for.
    fn draft<'t>(&'t self, scope: &Scope, made: M::Made<'t>) -> M::LiveEntry {
        self.during_open(scope, |pending_key| {
            self.map.draft(self.hash, pending_key, made)
        })
    }

    /// The draft is there.
    fn drafted(mut self, scope: Scope, draft: M::LiveEntry) -> Drafted<'a, M> {
        self.leader.set_value(draft);
        Drafted {
            map: self.map,
            hash: self.hash,
            leader: Some(self.leader),
            scope,
            is_complete: false,
        }
    }
}

impl<'a, M: Creates> Drafted<'a, M> {
    fn leader(&self) -> &Leader<'a, M::PendingKey, M::LiveEntry> {
        self.leader.as_ref().expect("until it is entered")
    }

    fn draft(&self) -> &M::LiveEntry {
        self.leader().value().expect("until it is entered")
    }

    fn during<R>(&self, part: Part<'_>, f: impl FnOnce() -> R) -> R {
        during(self.map, self.leader().flight(), part, f)
    }

    /// Completes the draft. What asks for its key meanwhile, on this thread, gets it as it is.
    fn initialise<E>(
        &self,
        initialise: impl FnOnce(&M::LiveEntry) -> Result<(), E>,
    ) -> Result<(), E> {
        let draft = self.draft();
        let part = Part::Open(&self.scope.0, Some(draft));
        self.during(part, || initialise(draft))
    }

    /// Enters the draft, which is complete, and its family; or leaves both to a creation further out.
    fn finish(self) -> Result<M::LiveEntry, ClosedError> {
        let family = &self.scope.0;
        if family.needs_others() {
            return Ok(self.leave());
        }
        let is_entered = |entered: &EnteredDraft<M>| entered.result.is_ok();
        let (entered, panics) = frames::publish(family, || self.enter(), is_entered);
        let live = self.publish(entered);
        // Here, not at the end of the scope: if it goes on, `live` is still ours to drop.
        drop(panics);
        live
    }

    /// Enters the draft, unless there is something already: that comes back.
    fn enter(&self) -> EnteredDraft<M> {
        enter_draft(self.map, self.hash, self.leader().flight(), self.draft())
    }

    /// As `land`, of a member of a family. Was there something already, it may have been owned by nobody but
    /// others of the family, and have gone with them since: then this enters again.
    fn publish_after_others(self, entered: EnteredDraft<M>) -> Result<M::LiveEntry, ClosedError> {
        let Published { result, deferred } = entered;
        let entered = match result {
            Ok(Some(existing)) => {
                // It may ask for its key.
                self.during(Part::Closed, || {
                    let mut panics = Panics::new();
                    panics.catch(|| self.map.settle_deferred(deferred));
                    panics.catch(|| drop(existing));
                });
                self.enter()
            }
            result => Published { result, deferred },
        };
        self.publish(entered)
    }

    /// Gives what was entered to those who wait.
    fn publish(mut self, entered: EnteredDraft<M>) -> Result<M::LiveEntry, ClosedError> {
        let Published { result, deferred } = entered;
        settled(self.map, deferred, || {
            let existing = match result {
                Ok(existing) => existing,
                Err(closed) => return Err(after(self, closed)),
            };
            let leader = self.leader.take().expect("until it is entered");
            Ok(match existing {
                Some(existing) => leader.publish(existing),
                None => leader.publish_value(),
            })
        })
    }

    /// The creation around this one enters the draft, or gives it up.
    fn leave(mut self) -> M::LiveEntry {
        let share_map = self.map.share_map();
        // `Debug` and `Clone` may ask for it, or for one of the family.
        let draft = self.draft();
        let (text, result) = self.during(Part::Open(&self.scope.0, Some(draft)), || {
            let text = text(&|f| self.map.name(self.leader().pending_key(), f));
            (text, draft.clone())
        });
        let leader = self.leader.take().expect("until it is entered");
        let (left, draft) = leader.leave();
        let pending = PendingCreation::new(share_map, self.hash, left, draft, text);
        frames::leave(&self.scope.0, Box::new(pending));
        result
    }
}

/// Runs a part of the creation that this is the flight of, so that what it waits for is known to be for this
/// key.
fn during<M: Creates, R>(
    map: &M,
    flight: &Flight<M::PendingKey, M::LiveEntry>,
    part: Part<'_>,
    f: impl FnOnce() -> R,
) -> R {
    let result = during_as(map, flight, part, f);
    waits::forget(flight.work());
    result
}

/// As `during`, of a part that may go on when `f` has returned.
fn during_as<M: Creates, R>(
    map: &M,
    flight: &Flight<M::PendingKey, M::LiveEntry>,
    part: Part<'_>,
    f: impl FnOnce() -> R,
) -> R {
    let describe = |f: &mut fmt::Formatter<'_>| map.name(flight.pending_key(), f);
    frames::during(flight.work(), &describe, part, f)
}

/// Leaves what `share` makes of an error for those who wait, as a part of the creation: to clone it is user
/// code.
fn share_error<M: Creates, E>(
    map: &M,
    flight: &Flight<M::PendingKey, M::LiveEntry>,
    error: &E,
    share: impl Share<E>,
) {
    if let Some(shared) = during(map, flight, Part::Closed, || share(error)) {
        flight.share_error(shared);
    }
}

/// Enters a draft that is complete, as a part of its creation.
fn enter_draft<M: Creates>(
    map: &M,
    hash: u64,
    flight: &Flight<M::PendingKey, M::LiveEntry>,
    draft: &M::LiveEntry,
) -> EnteredDraft<M> {
    flight.mark_entering();
    during(map, flight, Part::Closed, || {
        map.enter_draft(hash, flight.pending_key(), draft)
    })
}

/// What comes of a landing, with what is left to do then: also when the landing panics, which may drop a key.
fn settled<M: Creates>(
    map: &M,
    deferred: M::Deferred,
    publish: impl FnOnce() -> Result<M::LiveEntry, ClosedError>,
) -> Result<M::LiveEntry, ClosedError> {
    struct Unsettled<'a, M: Creates>(&'a M, Option<M::Deferred>);
    impl<M: Creates> Drop for Unsettled<'_, M> {
        fn drop(&mut self) {
            let mut panics = Panics::new();
            panics.catch(|| self.1.take().map(|rest| self.0.settle_deferred(rest)));
        }
    }
    let mut unsettled = Unsettled(map, Some(deferred));
    let live = publish()?;
    unsettled.0.settle(&live, unsettled.1.take());
    Ok(live)
}

impl<M: Creates> Drop for Drafted<'_, M> {
    /// The family goes first, before the draft does.
    fn drop(&mut self) {
        let Some(leader) = self.leader.take() else {
            return;
        };
        let mut panics = Panics::new();
        panics.catch(|| self.scope.fail());
        let group = self.scope.given_up();
        if let Some(group) = group {
            let release_work = leader.flight().release_work();
            waits::add_part_edge(group.work().number(), release_work.number());
        }
        panics.catch(|| {
            if let Some(draft) = leader.value() {
                let given_up = GivenUp {
                    release_work: leader.flight().release_work(),
                    group,
                    has_failed: !self.is_complete,
                };
                self.map.abandon(draft, given_up);
            }
            drop(leader);
        });
        if let Some(group) = group.filter(|_| teardown::has_aside()) {
            waits::add_part_edge(group.work().number(), frames::this_thread());
        }
    }
}

/// The future of a factory. It is a part of the creation whenever it is polled, and when it is dropped, which
/// may be at any time.
#[cfg(feature = "async")]
struct FuturePart<'a, 'm, M: Creates, F> {
    creation: &'a Creation<'m, M>,
    making: Pin<&'a mut Option<F>>,
}

#[cfg(feature = "async")]
impl<'a, M: Creates, F: Future<Output = Result<V, E>>, V, E> FuturePart<'a, '_, M, F> {
    /// What comes of it is made into something for the map on the spot, once.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        made: &mut Option<impl FnOnce(&'a M::PendingKey, V) -> M::Made<'a>>,
    ) -> Poll<Result<M::Made<'a>, E>> {
        let (creation, making) = (self.creation, self.making.as_mut());
        creation.during_poll(|pending_key| {
            let making = making.as_pin_mut().expect("not dropped");
            making.poll(context).map(|value| {
                let made = made.take().expect("polled no more");
                value.map(|value| made(pending_key, value))
            })
        })
    }
}

#[cfg(feature = "async")]
impl<M: Creates, F> Drop for FuturePart<'_, '_, M, F> {
    fn drop(&mut self) {
        let creation = self.creation;
        creation.during(|_| self.making.set(None));
    }
}

#[cfg(feature = "async")]
impl<M: Creates> Creation<'_, M> {
    /// As [`create`](Self::create), without holding up a thread. A future that is dropped gives up, and
    /// leaves the creation to one of those who wait.
    pub(in crate::create) async fn create_async<V, E>(
        self,
        making: impl Future<Output = Result<V, E>>,
        made: impl FnOnce(&M::PendingKey, V) -> M::Made<'_>,
        share: impl Share<E>,
    ) -> Result<M::LiveEntry, CreateError<E>> {
        let entered = {
            let making = std::pin::pin!(Some(making));
            let mut part = FuturePart {
                creation: &self,
                making,
            };
            let mut made = Some(made);
            let result = std::future::poll_fn(|context| part.poll(context, &mut made)).await;
            let result = after(part, result);
            result.map(|made| self.enter(made))
        };
        match entered {
            Ok(entered) => self.finish(entered).map_err(CreateError::from),
            Err(error) => {
                share_error(self.map, self.leader.flight(), &error, share);
                Err(CreateError::Failed(after(self, error)))
            }
        }
    }
}
