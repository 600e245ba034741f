//! What concerns one sender, or one name.

use super::connections::{Connections, ReceiverList, SenderKey};
use super::outcome::Failure;
use super::receiver::Receiver;
use super::Signal;
use crate::memory::panics::after;
use crate::pointer::SyncPointer;
use std::any::{Any, TypeId};
use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

/// A signal with a sender, a name for a connection, both, or neither: what is connected, disconnected and
/// sent through it concerns those.
///
/// Its functions do what those of [`Signal`] do that have the same name.
///
/// ```
/// use highlander::registries::signals::{Receiver, Signal};
/// use std::any::Any;
/// use std::sync::Arc;
///
/// let closed: Signal<str> = Signal::new();
/// let front: Arc<dyn Any + Send + Sync> = Arc::new("front door");
/// let back: Arc<dyn Any + Send + Sync> = Arc::new("back door");
/// let guard = Receiver::new(|who: &str| assert_eq!(who, "Kurgan"));
/// assert!(closed.of(&back).uid("guard").connect(&guard));
/// assert!(closed.of(&back).has_receivers() && !closed.of(&front).has_receivers());
/// closed.of(&front).send("MacLeod").unwrap();
/// closed.of(&back).send("Kurgan").unwrap();
/// assert!(closed.of(&back).uid("guard").disconnect_uid());
/// ```
pub struct Route<
    'a,
    A: ?Sized + 'static,
    R: 'static = (),
    P: SyncPointer = Arc<dyn Any + Send + Sync>,
> {
    signal: &'a Signal<A, R, P>,
    sender: Option<&'a P>,
    uid: Option<&'a str>,
}

impl<'a, A: ?Sized + 'static, R: 'static, P: SyncPointer> Route<'a, A, R, P> {
    pub(super) fn new(signal: &'a Signal<A, R, P>, sender: Option<&'a P>) -> Self {
        Self {
            signal,
            sender,
            uid: None,
        }
    }

    /// The same under a name; see [`Signal::uid`]. A name is there once for each sender. It says nothing to
    /// what is sent.
    pub fn uid(self, uid: &'a str) -> Self {
        Self {
            uid: Some(uid),
            ..self
        }
    }

    fn key(&self, receiver: &Receiver<A, R>) -> SenderKey {
        match self.uid {
            Some(uid) => SenderKey::Uid(uid.into()),
            None => SenderKey::Receiver(receiver.id()),
        }
    }

    /// See [`Signal::connect`]; under a name it is the name that must not be connected already.
    pub fn connect(self, receiver: &Receiver<A, R>) -> bool {
        let connections = self.signal.make();
        connections.connect(self.key(receiver), self.sender, receiver, false)
    }

    /// See [`Signal::connect_strong`].
    pub fn connect_strong(self, receiver: Receiver<A, R>) -> bool {
        let connections = self.signal.make();
        connections.connect(self.key(&receiver), self.sender, &receiver, true)
    }

    /// See [`Signal::connect_method`].
    pub fn connect_method<Q, F>(self, object: &Q, method: F) -> bool
    where
        Q: SyncPointer,
        F: Fn(&Q::Target, &A) -> R + Send + Sync + 'static,
    {
        const { assert!(size_of::<F>() == 0, "a method captures nothing") };
        let make = || Receiver::method(object, method);
        let receiver = self
            .signal
            .make()
            .method(object, TypeId::of::<F>(), Some(make));
        self.connect(&receiver.expect("made if it was not there"))
    }

    /// See [`Signal::disconnect`].
    pub fn disconnect(self, receiver: &Receiver<A, R>) -> bool {
        let key = self.key(receiver);
        let made = self.signal.made();
        made.is_some_and(|connections| connections.disconnect(&key, self.sender))
    }

    /// See [`Signal::disconnect_method`].
    pub fn disconnect_method<Q, F>(self, object: &Q, method: F) -> bool
    where
        Q: SyncPointer,
        F: Fn(&Q::Target, &A) -> R + Send + Sync + 'static,
    {
        const { assert!(size_of::<F>() == 0, "a method captures nothing") };
        drop(method);
        let Some(connections) = self.signal.made() else {
            return false;
        };
        let make = None::<fn() -> Receiver<A, R>>;
        let receiver = connections.method(object, TypeId::of::<F>(), make);
        receiver.is_some_and(|receiver| self.disconnect(&receiver))
    }

    /// Ends the connection of this name and sender, whoever is its receiver. Whether there was one; false
    /// without a name.
    pub fn disconnect_uid(self) -> bool {
        let (Some(uid), Some(connections)) = (self.uid, self.signal.made()) else {
            return false;
        };
        connections.disconnect(&SenderKey::Uid(uid.into()), self.sender)
    }

    #[inline]
    fn with_list<T>(
        &self,
        f: impl FnOnce(&Connections<A, R, P>, &Arc<ReceiverList<A, R>>) -> T,
    ) -> Option<T> {
        let connections = self.signal.made()?;
        Some(connections.with_list(self.sender, |list| f(connections, list)))
    }

    /// See [`Signal::send`]: to those who are connected to this sender, and to all.
    #[inline]
    pub fn send(self, args: &A) -> Result<Vec<R>, Failure> {
        let called = self.with_list(|connections, list| {
            let mut results = Vec::with_capacity(list.bodies.len());
            let mut dead = false;
            for body in &list.bodies {
                match body.call(args) {
                    Some(Ok(result)) => results.push(result),
                    Some(Err(error)) => {
                        return after(results, Err(Failure::error(body.id(), error)));
                    }
                    None => dead = true,
                }
            }
            if dead {
                connections.bury();
            }
            Ok(results)
        });
        called.unwrap_or_else(|| Ok(Vec::new()))
    }

    /// See [`Signal::send_robust`]: to those who are connected to this sender, and to all.
    pub fn send_robust(self, args: &A) -> Vec<Result<R, Failure>> {
        let called = self.with_list(|connections, list| {
            let mut dead = false;
            let results = list.bodies.iter().filter_map(|body| {
                match catch_unwind(AssertUnwindSafe(|| body.call(args))) {
                    Ok(Some(result)) => {
                        Some(result.map_err(|error| Failure::error(body.id(), error)))
                    }
                    Ok(None) => {
                        dead = true;
                        None
                    }
                    Err(payload) => Some(Err(Failure::panic(body.id(), payload))),
                }
            });
            let results = results.collect();
            if dead {
                connections.bury();
            }
            results
        });
        called.unwrap_or_default()
    }

    #[cfg(feature = "async")]
    pub(super) fn list(&self) -> Option<Arc<ReceiverList<A, R>>> {
        self.with_list(|_, list| Arc::clone(list))
    }

    #[cfg(feature = "async")]
    pub(super) fn bury(&self) {
        if let Some(connections) = self.signal.made() {
            connections.bury();
        }
    }

    /// Whether a send of this sender would call somebody, who may be connected to all. Django's
    /// `has_listeners`.
    ///
    /// *Complexity:* as a send that calls nobody; and of those in its way whether they are dead.
    pub fn has_receivers(self) -> bool {
        let any = self.with_list(|_, list| list.bodies.iter().any(|body| !body.is_dead()));
        any.unwrap_or(false)
    }
}

impl<A: ?Sized + 'static, R: 'static, P: SyncPointer> fmt::Debug for Route<'_, A, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("of_one_sender", &self.sender.is_some())
            .field("uid", &self.uid)
            .finish_non_exhaustive()
    }
}
