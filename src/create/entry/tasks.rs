//! The futures of an entry: they wait without holding up a thread.

use super::key::Selects;
use super::missed::{creates, drop_unused, of_created, optional, Missed};
use super::policy::{By, Condition, Errors, Output};
use super::Entry;
use crate::create::claim::Claim;
use crate::create::creator::{never_fails, CoreOf, Creator, Tokens};
use crate::create::error::{CreateError, Refused};
use crate::create::steps::{begin_async, Begun};
use crate::memory::panics::{after, ended};
use crate::pointer::token::Token;
use std::any::TypeId;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};

#[allow(private_bounds)] // How keys, conditions and outputs work concerns nobody else.
impl<'a, M: Creator, K: Selects<M>, C: Condition<M>, O: Output<M>> Entry<'a, M, K, C, O> {
    /// Returns the live value, or enters the one that `make` makes, which awaits; otherwise like
    /// [`or_insert_with`](Self::or_insert_with). Waits without holding up a thread, under any executor;
    /// callers of this and of the other calls share one flight.
    ///
    /// A future that is dropped enters nothing, and leaves the creation to one of those who wait; one that
    /// was never polled has not begun. One that has begun to create, and is neither polled on nor dropped,
    /// keeps the others waiting.
    ///
    /// What `make` returns cannot borrow the key; it clones what it needs. A hit is as quick as that of
    /// `or_insert_with`, and allocates nothing.
    ///
    /// # Panics
    /// When the future is polled: see [`or_insert_with`](Self::or_insert_with).
    ///
    /// ```
    /// use highlander::{Handle, Registry};
    /// # async fn connect(host: String) -> String { format!("connection to {host}") }
    ///
    /// static CONNECTIONS: Registry<String, String> = Registry::new();
    ///
    /// pollster::block_on(async {
    ///     let one = CONNECTIONS.entry_ref("glen").or_insert_with_async(|host| connect(host.clone())).await;
    ///     let same = CONNECTIONS.entry_ref("glen").or_insert_with_async(|_| async { unreachable!() }).await;
    ///     assert!(Handle::ptr_eq(&one, &same));
    /// });
    /// ```
    pub fn or_insert_with_async<F, T>(self, make: F) -> EntryFuture<'a, Self, F, O::Of, T>
    where
        Self: 'a,
        F: FnOnce(&M::Key) -> T + 'a,
        T: Future<Output = M::Value> + 'a,
    {
        EntryFuture::new(self, make, |entry, make| match entry.look() {
            Ok(found) => Ok(after(make, found)),
            Err(missed) => Err(Box::pin(async move {
                let make = |key: &M::Key| unfailing(make(key));
                never_fails(missed.create_async(make).await)
            })),
        })
    }

    /// Returns the live value, or enters the one that `make` makes, which awaits and may fail; otherwise like
    /// [`or_insert_with_async`](Self::or_insert_with_async).
    ///
    /// # Errors
    /// See [`or_try_insert_with`](Self::or_try_insert_with).
    pub fn or_try_insert_with_async<F, T, E>(
        self,
        make: F,
    ) -> EntryFuture<'a, Self, F, Result<O::Of, CreateError<E>>, (T, E)>
    where
        Self: 'a,
        E: 'a,
        F: FnOnce(&M::Key) -> T + 'a,
        T: Future<Output = Result<M::Value, E>> + 'a,
        C: Errors<E>,
    {
        EntryFuture::new(self, make, |entry, make| match entry.look() {
            Ok(found) => Ok(Ok(after(make, found))),
            Err(missed) => Err(Box::pin(missed.create_async(make))),
        })
    }

    /// Returns the live value, or enters the one that `make` makes with a [`Token`], which awaits; otherwise
    /// like [`or_insert_with_token`](Self::or_insert_with_token).
    ///
    /// # Panics
    /// When the future is polled: see [`or_insert_with`](Self::or_insert_with).
    pub fn or_insert_with_token_async<F, T>(self, make: F) -> EntryFuture<'a, Self, F, O::Of, T>
    where
        Self: 'a,
        M: Tokens,
        F: FnOnce(&M::Key, Token) -> T + 'a,
        T: Future<Output = M::Value> + 'a,
    {
        EntryFuture::new(self, make, |entry, make| match entry.look() {
            Ok(found) => Ok(after(make, found)),
            Err(missed) => Err(Box::pin(async move {
                let make = |key: &M::Key, token| unfailing(make(key, token));
                never_fails(missed.create_with_token_async(make).await)
            })),
        })
    }

    /// Returns the live value, or enters the one that `make` makes with a [`Token`], which awaits and may
    /// fail; otherwise like [`or_insert_with_token_async`](Self::or_insert_with_token_async).
    ///
    /// # Errors
    /// See [`or_try_insert_with`](Self::or_try_insert_with).
    pub fn or_try_insert_with_token_async<F, T, E>(
        self,
        make: F,
    ) -> EntryFuture<'a, Self, F, Result<O::Of, CreateError<E>>, (T, E)>
    where
        Self: 'a,
        E: 'a,
        M: Tokens,
        F: FnOnce(&M::Key, Token) -> T + 'a,
        T: Future<Output = Result<M::Value, E>> + 'a,
        C: Errors<E>,
    {
        EntryFuture::new(self, make, |entry, make| match entry.look() {
            Ok(found) => Ok(Ok(after(make, found))),
            Err(missed) => Err(Box::pin(missed.create_with_token_async(make))),
        })
    }

    /// Returns the live value, or enters the one that `make` makes, which awaits and may make none; otherwise
    /// like [`or_optionally_insert_with`](Self::or_optionally_insert_with).
    ///
    /// # Panics
    /// When the future is polled: see [`or_insert_with`](Self::or_insert_with).
    pub fn or_optionally_insert_with_async<F, T>(
        self,
        make: F,
    ) -> EntryFuture<'a, Self, F, Option<O::Of>, T>
    where
        Self: 'a,
        F: FnOnce(&M::Key) -> T + 'a,
        T: Future<Output = Option<M::Value>> + 'a,
    {
        EntryFuture::new(self, make, |entry, make| match entry.look() {
            Ok(found) => Ok(Some(after(make, found))),
            Err(missed) => Err(Box::pin(async move {
                let make = |key: &M::Key| {
                    let making = make(key);
                    async move { ended!(making).ok_or(()) }
                };
                optional(missed.create_async(make).await)
            })),
        })
    }
}

#[allow(private_bounds)] // How keys and conditions work concerns nobody else.
impl<'a, M, K, C, O> Entry<'a, M, K, C, O>
where
    M: Creator<Owner: Clone>,
    K: Selects<M>,
    C: Condition<M>,
    O: Output<M, Of = M::Owner>,
{
    /// Claims the key like [`claim`](Self::claim), without holding up a thread.
    ///
    /// # Panics
    /// When the future is polled: see `claim`.
    pub fn claim_async(self) -> EntryFuture<'a, Self, (), Claim<'a, M>, ()>
    where
        Self: 'a,
    {
        EntryFuture::new(self, (), |entry, ()| match entry.look() {
            Ok(live) => Ok(Claim::Live(live)),
            Err(missed) => Err(Box::pin(async move {
                let claim = missed.claim_async().await;
                claim.unwrap_or_else(|refused| refused.panic())
            })),
        })
    }

    /// Claims the key like [`claim_async`](Self::claim_async), but returns why it is refused.
    ///
    /// # Errors
    /// [`Refused`], where `claim_async` panics.
    pub fn claim_or_refused_async(
        self,
    ) -> EntryFuture<'a, Self, (), Result<Claim<'a, M>, Refused>, ()>
    where
        Self: 'a,
    {
        EntryFuture::new(self, (), |entry, ()| match entry.look() {
            Ok(live) => Ok(Ok(Claim::Live(live))),
            Err(missed) => Err(Box::pin(missed.claim_async())),
        })
    }
}

impl<'a, M, C, O> Missed<'a, M, C, O>
where
    M: Creator<Owner: Clone>,
    C: Condition<M>,
    O: Output<M, Of = M::Owner>,
{
    pub(crate) async fn claim_async(self) -> Result<Claim<'a, M>, Refused> {
        let map = self.map;
        let (begun, output) = self.begin_async(None).await?;
        Ok(Claim::after(map, begun, |live| output.of(live)))
    }
}

impl<'a, M: Creator, C: Condition<M>, O> Missed<'a, M, C, O> {
    async fn begin_async(
        self,
        shares: Option<TypeId>,
    ) -> Result<(Begun<'a, CoreOf<M>>, O), Refused> {
        let condition = By::new(self.condition, shares);
        let begun = begin_async(self.map.core(), self.hash, self.pending_key, condition);
        match begun.await {
            Ok((begun, condition)) => drop_unused(condition, self.output, Ok(begun)),
            Err(refused) => Err(after(self.output, refused)),
        }
    }
}

impl<'a, M: Creator, C: Condition<M>, O: Output<M>> Missed<'a, M, C, O> {
    pub(crate) async fn create_async<F, T, E>(self, make: F) -> Result<O::Of, CreateError<E>>
    where
        F: FnOnce(&M::Key) -> T,
        T: Future<Output = Result<M::Value, E>>,
        C: Errors<E>,
    {
        let shares = <C as Errors<E>>::shared_type();
        let begun = self.begin_async(shares).await;
        let (creation, output, make) = match creates::<_, C, _, _, _>(begun, make) {
            ControlFlow::Continue(ours) => ours,
            ControlFlow::Break(done) => return done,
        };
        let making = creation.during(|pending_key| make(M::key_of(pending_key)));
        let created = creation.create_async(
            making,
            |pending_key, value| M::made(pending_key, value),
            C::share,
        );
        of_created(output, created.await)
    }

    pub(crate) async fn create_with_token_async<F, T, E>(
        self,
        make: F,
    ) -> Result<O::Of, CreateError<E>>
    where
        M: Tokens,
        F: FnOnce(&M::Key, Token) -> T,
        T: Future<Output = Result<M::Value, E>>,
        C: Errors<E>,
    {
        let (map, hash) = (self.map, self.hash);
        let shares = <C as Errors<E>>::shared_type();
        let begun = self.begin_async(shares).await;
        let (creation, output, make) = match creates::<_, C, _, _, _>(begun, make) {
            ControlFlow::Continue(ours) => ours,
            ControlFlow::Break(done) => return done,
        };
        let token = Token::new();
        let binder = token.binder();
        let making = creation.during(|pending_key| make(M::key_of(pending_key), token));
        let created = creation.create_async(
            making,
            move |pending_key, value| map.made_with_token(hash, pending_key, value, &binder),
            C::share,
        );
        of_created(output, created.await)
    }
}

async fn unfailing<V>(making: impl Future<Output = V>) -> Result<V, std::convert::Infallible> {
    Ok(ended!(making))
}

/// The future of an entry's call that waits: it looks first, and needs the heap only if there is nothing.
///
/// It is `Send` when the entry (so when the map may be used on every thread), the factory, its future and its
/// error are.
pub struct EntryFuture<'a, N, F, R, P> {
    /// The entry and the factory, until the first poll.
    begin: Option<(N, F)>,
    look: Look<'a, N, F, R>,
    slow: Option<Slow<'a, R>>,
    /// The user's other types in `slow`. Invariant in `P`, so these stay the types that it was made with.
    parts: PhantomData<fn(P) -> P>,
}

type Slow<'a, R> = Pin<Box<dyn Future<Output = R> + 'a>>;
type Look<'a, N, F, R> = fn(N, F) -> Result<R, Slow<'a, R>>;

// SAFETY: `slow` is made of the entry `N`, the factory `F`, the other `P`arts (its future and error), and of
// what is in the map: keys, values and owners, which may go to any thread where a reference to the map may,
// as that is in the entry. All else in it is ours, and may too: the compiler is shown that in
// `registry/creating.rs` and `map/creating.rs`. A result `R` is never in it: it is made after the last wait,
// and returned.
//
// (It could see all of it, were it not for types with lifetimes in them, such as `&'static str` and
// `Arc<dyn Trait>`. Within a task it forgets which lifetimes these had, and then misses implementations for
// those that they could have had. So nothing is asked of them here that depends on a lifetime.) All of the
// parameters are invariant (the others by `look`), so none can be passed off as a related type that is
// `Send`.
unsafe impl<N: Send, F: Send, R, P: Send> Send for EntryFuture<'_, N, F, R, P> {}

/// Nothing in it is ever pinned.
impl<N, F, R, P> Unpin for EntryFuture<'_, N, F, R, P> {}

impl<'a, N, F, R, P> EntryFuture<'a, N, F, R, P> {
    fn new(entry: N, make: F, look: Look<'a, N, F, R>) -> Self {
        Self {
            begin: Some((entry, make)),
            look,
            slow: None,
            parts: PhantomData,
        }
    }
}

impl<N, F, R, P> Future for EntryFuture<'_, N, F, R, P> {
    type Output = R;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        if let Some((entry, make)) = self.begin.take() {
            match (self.look)(entry, make) {
                Ok(found) => return Poll::Ready(found),
                Err(slow) => self.slow = Some(slow),
            }
        }
        let slow = self.slow.as_mut().expect("it is over");
        slow.as_mut().poll(context)
    }
}

impl<N, F, R, P> fmt::Debug for EntryFuture<'_, N, F, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryFuture").finish_non_exhaustive()
    }
}
