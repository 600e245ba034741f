//! Who is called, and what keeps it alive.

use super::outcome::BoxError;
use super::receiver_id::ReceiverId;
use crate::memory::panics::after;
use crate::pointer::{Registration, SyncPointer, Watched, WeakPointer};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// What a signal calls. Whoever owns the receiver, or a clone of it, keeps it connected; signals do not,
/// unless they are asked to.
///
/// ```
/// use highlander::registries::signals::{Receiver, Signal};
///
/// let signal: Signal<i32, i32> = Signal::new();
/// let twice = Receiver::new(|n: &i32| n * 2);
/// let root = Receiver::fallible(|n: &i32| Ok(n.checked_isqrt().ok_or("less than nothing")?));
/// signal.connect(&twice);
/// signal.connect(&root);
/// assert_eq!(signal.send(&9).unwrap(), [18, 3]);
/// assert!(signal.send(&-9).is_err());
/// ```
pub struct Receiver<A: ?Sized + 'static, R: 'static = ()> {
    life: Watched<ReceiverInner<A, R>>,
}

/// What dies with the last owner. The body is shared with the lists that sends go through, so that these need
/// no owner of each receiver; its death takes it out of them.
struct ReceiverInner<A: ?Sized, R> {
    id: ReceiverId,
    body: Arc<dyn ReceiverBody<A, R>>,
}

/// What runs.
pub(super) trait ReceiverBody<A: ?Sized, R>: Send + Sync {
    fn id(&self) -> ReceiverId;

    /// None: its object has died, so there is nothing to be called.
    fn call(&self, args: &A) -> Option<Result<R, BoxError>>;

    /// Whether it is called no more when something else has died, which says nothing.
    fn is_mortal(&self) -> bool {
        false
    }

    /// Whether it will never be called again. It may run code of a foreign pointer.
    fn is_dead(&self) -> bool {
        false
    }

    /// What is to be waited for, if it is a future.
    #[cfg(feature = "async")]
    fn start<'a>(&'a self, args: &'a A) -> Option<super::BoxFuture<'a, Result<R, BoxError>>> {
        let _ = args;
        None
    }

    #[cfg(feature = "async")]
    fn is_future(&self) -> bool {
        false
    }
}

struct Plain<F>(ReceiverId, F);

impl<A: ?Sized, R, F: Fn(&A) -> Result<R, BoxError> + Send + Sync> ReceiverBody<A, R> for Plain<F> {
    fn id(&self) -> ReceiverId {
        self.0
    }

    fn call(&self, args: &A) -> Option<Result<R, BoxError>> {
        Some((self.1)(args))
    }
}

struct Method<Q: SyncPointer, F> {
    id: ReceiverId,
    object: Q::Weak,
    method: F,
}

impl<A, R, Q, F> ReceiverBody<A, R> for Method<Q, F>
where
    A: ?Sized,
    Q: SyncPointer,
    F: Fn(&Q::Target, &A) -> R + Send + Sync,
{
    fn id(&self) -> ReceiverId {
        self.id
    }

    fn call(&self, args: &A) -> Option<Result<R, BoxError>> {
        let object = self.object.upgrade()?;
        let result = (self.method)(Q::target(&object), args);
        // It may be the last owner of the object.
        Some(after(object, Ok(result)))
    }

    fn is_mortal(&self) -> bool {
        true
    }

    fn is_dead(&self) -> bool {
        self.object.is_dead()
    }
}

impl<A: ?Sized + 'static, R: 'static> Receiver<A, R> {
    /// A receiver that does not fail. What it captures is dropped when its last owner lets go, or at the end
    /// of the last send that has it in hand.
    pub fn new(call: impl Fn(&A) -> R + Send + Sync + 'static) -> Self {
        Self::fallible(move |args| Ok(call(args)))
    }

    /// A receiver that may fail.
    pub fn fallible(call: impl Fn(&A) -> Result<R, BoxError> + Send + Sync + 'static) -> Self {
        Self::of(|id| Arc::new(Plain(id, call)))
    }

    /// One that calls a method of an object that it knows weakly.
    pub(super) fn method<Q: SyncPointer>(
        object: &Q,
        method: impl Fn(&Q::Target, &A) -> R + Send + Sync + 'static,
    ) -> Self {
        let object = Q::downgrade(object);
        Self::of(|id| Arc::new(Method::<Q, _> { id, object, method }))
    }

    pub(super) fn of(body: impl FnOnce(ReceiverId) -> Arc<dyn ReceiverBody<A, R>>) -> Self {
        let id = ReceiverId::new();
        let body = body(id);
        Self {
            life: Watched::new(ReceiverInner { id, body }),
        }
    }

    /// Which one it is. Clones have the same.
    pub fn id(&self) -> ReceiverId {
        self.life.id
    }

    pub(super) fn body(&self) -> &Arc<dyn ReceiverBody<A, R>> {
        &self.life.body
    }

    /// Runs `callback` when the last owner has let go, before what the receiver has captured is dropped; see
    /// [`Watched::on_death`].
    pub fn on_death(&self, callback: impl FnOnce() + Send + 'static) -> Registration {
        Watched::on_death(&self.life, callback)
    }
}

impl<A: ?Sized + 'static, R: 'static> Clone for Receiver<A, R> {
    /// Another owner of the same receiver.
    fn clone(&self) -> Self {
        Self {
            life: self.life.clone(),
        }
    }
}

impl<A: ?Sized + 'static, R: 'static> fmt::Debug for Receiver<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.id().0).finish()
    }
}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl<A: ?Sized + 'static, R: 'static> UnwindSafe for Receiver<A, R> {}
impl<A: ?Sized + 'static, R: 'static> RefUnwindSafe for Receiver<A, R> {}
