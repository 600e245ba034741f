//! The steps of a creation, for every map: from a miss to an entry that all callers share.
//!
//! ```text
//!  join a flight ─► lead it, or wait ─► look again ─► make the value ────────► enter it ─► publish ─► settle
//!                                           └► allocate: the draft ─► initialise it ─┘
//! ```
//!
//! Between joining and publishing others sleep, so user code that can wait runs when the creation is settled.
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

/// The parts of a creation that differ from map to map. Equality, naming and entering run user code, with no
/// lock held.
pub(crate) trait Creates {
    /// The key, as waiters compare it.
    type PendingKey;
    /// An entered value: all callers get a clone.
    type LiveEntry: Clone + 'static;
    /// A factory's result, ready to be entered. It may lie in the pending key.
    type Made<'t>;
    /// Things that are dropped or notified only when nobody waits any more.
    type Deferred;
    /// A share of the map, by which something can be entered later. It may outlive the map.
    type SharedMap: Creates<PendingKey = Self::PendingKey, LiveEntry = Self::LiveEntry> + 'static;

    fn flights(&self) -> &FlightTable<Self::PendingKey, Self::LiveEntry>;

    fn same(&self, one: &Self::PendingKey, other: &Self::PendingKey) -> bool;

    /// Writes the key, or something in its place, for the text of an error.
    fn name(&self, pending_key: &Self::PendingKey, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Looks up the live entry. Does not take out a dead one.
    fn look(&self, hash: u64, pending_key: &Self::PendingKey) -> Option<Self::LiveEntry>;

    /// Returns whether a value may have to end before the next one is made.
    fn is_exclusive(&self) -> bool;

    /// Returns what has to end before a value with this hash may be made.
    fn in_the_way(&self, hash: u64) -> Option<InTheWay>;

    /// Returns the error if nothing can be entered any more.
    fn refused(&self) -> Option<ClosedError>;

    /// Enters a value, unless there is one already. Called once for a pending key, whose flight it ends.
    fn enter(
        &self,
        hash: u64,
        pending_key: &Self::PendingKey,
        made: Self::Made<'_>,
    ) -> EnteredValue<Self>;

    /// Completes a value before it is entered. Called once for a pending key.
    fn draft(
        &self,
        hash: u64,
        pending_key: &Self::PendingKey,
        made: Self::Made<'_>,
    ) -> Self::LiveEntry;

    /// Enters a draft, unless there is a value already: that comes back.
    fn enter_draft(
        &self,
        hash: u64,
        pending_key: &Self::PendingKey,
        draft: &Self::LiveEntry,
    ) -> EnteredDraft<Self>;

    /// Takes this very one out, if it is still entered.
    fn take_out(&self, live: &Self::LiveEntry);

    fn is_fresh(live: &Self::LiveEntry) -> bool;

    /// Gives up a draft, which may have other owners: the next creation may wait for its end, and that for
    /// those who release it. In a map, which owns no values, one that has not failed itself may live on.
    fn abandon(&self, draft: &Self::LiveEntry, given_up: GivenUp<'_>) {
        let _ = (draft, given_up);
    }

    fn share_map(&self) -> Self::SharedMap;

    /// Does what is left after publishing. `deferred` is none if another call has entered the value.
    fn settle(&self, live: &Self::LiveEntry, deferred: Option<Self::Deferred>);

    /// Does what is left when publishing has panicked, or nothing was published.
    fn settle_deferred(&self, deferred: Self::Deferred) {
        drop(deferred);
    }
}

/// The entered value, or why there is none; and what is left to do then.
pub(crate) struct Published<L, R> {
    pub(crate) result: Result<L, ClosedError>,
    pub(crate) deferred: R,
}

/// The outcome for a value: the result is what all callers get.
pub(crate) type EnteredValue<M> = Published<<M as Creates>::LiveEntry, <M as Creates>::Deferred>;

/// The outcome for a draft: the result is the value that was there already, if there was one.
pub(crate) type EnteredDraft<M> =
    Published<Option<<M as Creates>::LiveEntry>, <M as Creates>::Deferred>;

/// The right to create the value of a key, until this is dropped or something is entered.
pub(crate) struct Creation<'a, M: Creates> {
    map: &'a M,
    hash: u64,
    leader: Leader<'a, M::PendingKey, M::LiveEntry>,
}

/// The values and errors of others that a caller accepts.
pub(crate) trait Accepts<L> {
    /// Returns whether this value will do. If not it counts as absent, and the creation takes it out.
    fn accepts(&self, found: &L) -> bool;

    /// Returns the type of others' errors that the caller takes as its own.
    fn shares(&self) -> Option<TypeId>;
}

/// Makes the shared error of a factory's error, for waiters that take its type.
pub(crate) trait Share<E>: Fn(&E) -> Option<SharedError> {}

impl<E, F: Fn(&E) -> Option<SharedError>> Share<E> for F {}

/// The family of a creation. Dropped, the creation has failed, and its family is given up.
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

    /// Returns the group of all that is given up inside the outermost creation of this thread, perhaps this
    /// one, if anything has been: what is given up there later may own it.
    fn given_up(&self) -> Option<&Arc<GivenUpGroup>> {
        match frames::outermost_family() {
            Some(family) => Some(family.given_up_or_new(waits::forget)),
            // Something put aside may own it too.
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
    /// With the draft, until this is entered, or left.
    leader: Option<Leader<'a, M::PendingKey, M::LiveEntry>>,
    scope: Scope,
    /// Its initialisation has ended well. (That of another draft that it needs may still fail.)
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

    /// Runs a part of the creation that may be given drafts.
    fn during_open<'t, R>(&'t self, scope: &Scope, f: impl FnOnce(&'t M::PendingKey) -> R) -> R {
        let part = Part::Open(&scope.0, None);
        during(self.map, self.leader.flight(), part, || {
            f(self.pending_key())
        })
    }

    /// Runs a part of the creation that goes on when `f` has returned.
    #[cfg(feature = "async")]
    fn during_poll<'t, R>(&'t self, f: impl FnOnce(&'t M::PendingKey) -> R) -> R {
        self.during_as(Part::Closed, f)
    }

    fn during_as<'t, R>(&'t self, part: Part<'_>, f: impl FnOnce(&'t M::PendingKey) -> R) -> R {
        during_as(self.map, self.leader.flight(), part, || {
            f(self.pending_key())
        })
    }

    /// Gives up, with what has ended inside it. Waiters that share errors get what `share` makes of it.
    fn fail_with<E>(self, scope: Scope, error: E, share: impl Share<E>) -> E {
        share_error(self.map, self.leader.flight(), &error, share);
        let mut panics = Panics::new();
        panics.catch(|| drop(scope));
        panics.catch(|| drop(self));
        drop(panics);
        error
    }

    /// Enters a value, unless somebody has entered one meanwhile without a creation.
    pub(in crate::create) fn enter<'t>(&'t self, made: M::Made<'t>) -> EnteredValue<M> {
        self.leader.flight().mark_entering();
        self.during(|pending_key| self.map.enter(self.hash, pending_key, made))
    }

    /// Gives the entered value to those who wait.
    pub(in crate::create) fn finish(
        self,
        entered: EnteredValue<M>,
    ) -> Result<M::LiveEntry, ClosedError> {
        let Published { result, deferred } = entered;
        settled(self.map, deferred, || match result {
            Ok(live) => Ok(self.leader.publish(live)),
            // Before the value is dropped: those who wait are refused too.
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

    /// Makes the value in two steps, in the second of which its thread can have it as a draft.
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

    /// Completes a value before it is entered. What ended in the making is in the scope: it may be asked for.
    fn draft<'t>(&'t self, scope: &Scope, made: M::Made<'t>) -> M::LiveEntry {
        self.during_open(scope, |pending_key| {
            self.map.draft(self.hash, pending_key, made)
        })
    }

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

    /// Initialises the draft. Calls for its key meanwhile, on this thread, get it as it is.
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

    fn enter(&self) -> EnteredDraft<M> {
        enter_draft(self.map, self.hash, self.leader().flight(), self.draft())
    }

    /// Publishes a member of a family. If a value was there already, its only owners may have been others of
    /// the family, and have gone since: so this enters again.
    fn publish_after_others(self, entered: EnteredDraft<M>) -> Result<M::LiveEntry, ClosedError> {
        let Published { result, deferred } = entered;
        let entered = match result {
            Ok(Some(existing)) => {
                // Their drop may ask for the key.
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

    /// Gives the entered value to those who wait.
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

    /// Leaves the draft to the creation around this one, which enters it or gives it up.
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

/// Runs a part of this flight's creation, so that what it waits for is known to be for this key.
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

/// Runs a part of the creation that may go on when `f` has returned.
fn during_as<M: Creates, R>(
    map: &M,
    flight: &Flight<M::PendingKey, M::LiveEntry>,
    part: Part<'_>,
    f: impl FnOnce() -> R,
) -> R {
    let describe = |f: &mut fmt::Formatter<'_>| map.name(flight.pending_key(), f);
    frames::during(flight.work(), &describe, part, f)
}

/// Leaves what `share` makes of an error to those who wait. A part of the creation, as a clone is user code.
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

/// Publishes, and does what is left to do then, also when publishing panics, which may drop a key.
fn settled<M: Creates>(
    map: &M,
    deferred: M::Deferred,
    publish: impl FnOnce() -> Result<M::LiveEntry, ClosedError>,
) -> Result<M::LiveEntry, ClosedError> {
    struct Unsettled<'a, M: Creates>(&'a M, Option<M::Deferred>);
    impl<M: Creates> Drop for Unsettled<'_, M> {
        #[inline]
        fn drop(&mut self) {
            if let Some(deferred) = self.1.take() {
                let mut panics = Panics::new();
                panics.catch(|| self.0.settle_deferred(deferred));
            }
        }
    }
    let mut unsettled = Unsettled(map, Some(deferred));
    let live = publish()?;
    unsettled.0.settle(&live, unsettled.1.take());
    Ok(live)
}

impl<M: Creates> Drop for Drafted<'_, M> {
    /// Gives up the family, and then the draft.
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

/// The future of a factory: a part of the creation whenever it is polled, and when it is dropped.
#[cfg(feature = "async")]
struct FuturePart<'a, 'm, M: Creates, F> {
    creation: &'a Creation<'m, M>,
    making: Pin<&'a mut Option<F>>,
}

#[cfg(feature = "async")]
impl<'a, M: Creates, F: Future<Output = Result<V, E>>, V, E> FuturePart<'a, '_, M, F> {
    /// Polls the future, and makes its output ready to be entered.
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
    /// Makes the value and enters it without holding up a thread. Dropped, it leaves the creation to a
    /// waiter.
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
