//! Receivers that are futures, and sends that wait for them without holding up a thread.

use super::outcome::{BoxError, Failure};
use super::receiver::{Receiver, ReceiverBody};
use super::receiver_id::ReceiverId;
use super::route::Route;
use super::Signal;
use crate::memory::panics::after;
use crate::pointer::SyncPointer;
use std::future::{poll_fn, Future};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// A future on the heap, as receivers return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

struct ReceiverTask<F>(ReceiverId, F);

impl<A, R, F> ReceiverBody<A, R> for ReceiverTask<F>
where
    A: ?Sized,
    F: for<'a> Fn(&'a A) -> BoxFuture<'a, Result<R, BoxError>> + Send + Sync,
{
    fn id(&self) -> ReceiverId {
        self.0
    }

    fn call(&self, args: &A) -> Option<Result<R, BoxError>> {
        Some(block_on((self.1)(args)))
    }

    fn start<'a>(&'a self, args: &'a A) -> Option<BoxFuture<'a, Result<R, BoxError>>> {
        Some((self.1)(args))
    }

    fn is_future(&self) -> bool {
        true
    }
}

/// Waits on this thread.
fn block_on<T>(mut future: BoxFuture<'_, T>) -> T {
    struct Unpark {
        thread: Thread,
        // The future may park the thread for reasons of its own, and so meet a wake that was meant for this.
        woken: AtomicBool,
    }

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            // Release: pairs with the Acquire below, so what was done before the wake is seen by the next
            // poll.
            self.woken.store(true, Ordering::Release);
            self.thread.unpark();
        }
    }

    let unpark = Arc::new(Unpark {
        thread: thread::current(),
        woken: AtomicBool::new(false),
    });
    let waker = Waker::from(Arc::clone(&unpark));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(result) => return after(future, result),
            Poll::Pending => {
                while !unpark.woken.swap(false, Ordering::Acquire) {
                    thread::park();
                }
            }
        }
    }
}

impl<A: ?Sized + 'static, R: 'static> Receiver<A, R> {
    /// A receiver that takes its time. With the feature `async`.
    ///
    /// [`Signal::send_async`] awaits it together with the others. [`Signal::send`] has to wait for it on its
    /// own thread, which is parked meanwhile: within an executor that may be what the future waits for.
    ///
    /// ```
    /// use highlander::registries::signals::{Receiver, Signal};
    ///
    /// let signal: Signal<u32, u32> = Signal::new();
    /// let next = Receiver::new_async(|n: &u32| Box::pin(async move { Ok(n + 1) }));
    /// let last = Receiver::new(|n: &u32| n - 1);
    /// signal.connect(&next);
    /// signal.connect(&last);
    /// let results = pollster::block_on(signal.send_async(&7)).unwrap();
    /// assert_eq!(results, [6, 8]);        // futures come last
    /// ```
    pub fn new_async(
        call: impl for<'a> Fn(&'a A) -> BoxFuture<'a, Result<R, BoxError>> + Send + Sync + 'static,
    ) -> Self {
        Self::of(|id| Arc::new(ReceiverTask(id, call)))
    }
}

impl<A: ?Sized + 'static, R: 'static, P: SyncPointer> Signal<A, R, P> {
    /// [`Signal::send`] for tasks: calls the receivers that are no futures, starts the others, and awaits
    /// those all at once. Results in order of connection, those of futures last.
    ///
    /// The first error ends it: those behind it are not called, and the futures that have not ended are
    /// dropped. So are they when the send is dropped. Who is called is settled when the send is first polled.
    /// With the feature `async`.
    ///
    /// *Complexity:* each wake polls all futures that have not ended.
    pub async fn send_async(&self, args: &A) -> Result<Vec<R>, Failure> {
        Route::new(self, None).send_async(args).await
    }

    /// [`Signal::send_robust`] for tasks. With the feature `async`.
    pub async fn send_robust_async(&self, args: &A) -> Vec<Result<R, Failure>> {
        Route::new(self, None).send_robust_async(args).await
    }
}

impl<A: ?Sized + 'static, R: 'static, P: SyncPointer> Route<'_, A, R, P> {
    /// See [`Signal::send_async`].
    pub async fn send_async(self, args: &A) -> Result<Vec<R>, Failure> {
        self.gather(args, true).await.into_iter().collect()
    }

    /// See [`Signal::send_robust_async`].
    pub async fn send_robust_async(self, args: &A) -> Vec<Result<R, Failure>> {
        self.gather(args, false).await
    }

    /// The results in order; when the first failure is to end it, that alone, and a panic goes on.
    async fn gather(self, args: &A, stop: bool) -> Vec<Result<R, Failure>> {
        let Some(list) = self.list() else {
            return Vec::new();
        };
        let (mut slots, mut dead) = (Vec::with_capacity(list.bodies.len()), false);
        let mut failed = None;
        for body in &list.bodies {
            let called = caught(body.id(), stop, || match body.start(args) {
                Some(future) => Ok(Some(TaskSlot::Running(body.id(), future))),
                None => match body.call(args) {
                    None => Ok(None),
                    Some(Ok(result)) => Ok(Some(TaskSlot::Ended(Ok(result)))),
                    Some(Err(error)) => Err(Failure::error(body.id(), error)),
                },
            });
            match called.unwrap_or_else(|failure| Some(TaskSlot::Ended(Err(failure)))) {
                Some(TaskSlot::Ended(Err(failure))) if stop => {
                    failed = Some(failure);
                    break;
                }
                Some(slot) => slots.push(slot),
                None => dead = true,
            }
        }
        if let Some(failure) = failed {
            drop(slots);
            return after(list, vec![Err(failure)]);
        }
        if dead {
            self.bury();
        }
        let failure = poll_fn(|context| {
            let mut pending = false;
            for slot in &mut slots {
                match slot.poll(context, stop) {
                    Poll::Pending => pending = true,
                    Poll::Ready(()) if stop => {
                        if let TaskSlot::Ended(Err(_)) = slot {
                            let failed = std::mem::replace(slot, TaskSlot::Taken);
                            return Poll::Ready(Some(failed));
                        }
                    }
                    Poll::Ready(()) => {}
                }
            }
            if pending {
                Poll::Pending
            } else {
                Poll::Ready(None)
            }
        });
        let failure = failure.await;
        let ended = failure.into_iter().chain(slots);
        let results = ended.filter_map(|slot| match slot {
            TaskSlot::Ended(result) => Some(result),
            _ => None,
        });
        let results = results.collect();
        // The send may be the last that has a receiver's body.
        after(list, results)
    }
}

enum TaskSlot<'a, R> {
    Running(ReceiverId, BoxFuture<'a, Result<R, BoxError>>),
    Ended(Result<R, Failure>),
    Taken,
}

impl<R> TaskSlot<'_, R> {
    /// Once more, unless it has ended.
    fn poll(&mut self, context: &mut Context<'_>, stop: bool) -> Poll<()> {
        let TaskSlot::Running(id, future) = self else {
            return Poll::Ready(());
        };
        let id = *id;
        let polled = caught(id, stop, || Ok(future.as_mut().poll(context)));
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => result.map_err(|error| Failure::error(id, error)),
            Err(failure) => Err(failure),
        };
        *self = TaskSlot::Ended(result);
        Poll::Ready(())
    }
}

/// A panic is a failure, unless it is to end all: then it goes on.
fn caught<T>(
    id: ReceiverId,
    stop: bool,
    f: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result,
        Err(payload) if stop => resume_unwind(payload),
        Err(payload) => Err(Failure::panic(id, payload)),
    }
}
