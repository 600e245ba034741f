//! Receivers that are futures.

use super::{words, Log};
use crate::common::{panic_of, promptly};
use highlander::registries::signals::{Receiver, Signal};
use pollster::block_on;
use std::future::{pending, poll_fn, Future};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Two futures, neither of which ends unless the other one has begun.
fn pair() -> [Receiver<u32, u32>; 2] {
    let begun = Arc::new(AtomicUsize::new(0));
    [1, 2].map(|n| {
        let begun = Arc::clone(&begun);
        Receiver::new_async(move |word: &u32| {
            let begun = Arc::clone(&begun);
            Box::pin(async move {
                begun.fetch_add(1, SeqCst);
                poll_fn(|context| match begun.load(SeqCst) {
                    2.. => Poll::Ready(()),
                    _ => {
                        context.waker().wake_by_ref();
                        Poll::Pending
                    }
                })
                .await;
                Ok(word * n)
            })
        })
    })
}

/// BEHAVIOURS.md 7.6
#[test]
fn futures_run_at_the_same_time_and_come_last() {
    let signal: Signal<u32, u32> = Signal::new();
    let [one, two] = pair();
    let plain = Receiver::new(|word: &u32| word + 100);
    signal.connect(&one);
    signal.connect(&two);
    signal.connect(&plain);
    assert_eq!(block_on(signal.send_async(&7)).unwrap(), [107, 7, 14]);
    let results = block_on(signal.send_robust_async(&7));
    assert_eq!(results.into_iter().map(Result::unwrap).sum::<u32>(), 128);
}

/// BEHAVIOURS.md 7.6: so they do for a send without tasks, which waits for one after the other.
#[test]
fn futures_come_last_for_threads_too() {
    let signal: Signal<u32, u32> = Signal::new();
    let [one, two] = [1, 2]
        .map(|n| Receiver::new_async(move |word: &u32| Box::pin(async move { Ok(word * n) })));
    let plain = Receiver::new(|word: &u32| word + 100);
    signal.connect(&one);
    signal.connect(&plain);
    signal.connect(&two);
    assert_eq!(signal.send(&7).unwrap(), [107, 7, 14]);
    let results = signal.send_robust(&7).into_iter().map(Result::unwrap);
    assert_eq!(results.collect::<Vec<_>>(), [107, 7, 14]);
}

/// BEHAVIOURS.md 7.6
#[test]
fn an_error_ends_a_send_and_not_a_robust_one() {
    let signal: Signal<Log, u32> = Signal::new();
    let never = Receiver::new_async(|_: &Log| Box::pin(pending()));
    let error = Receiver::new_async(|log: &Log| {
        Box::pin(async move {
            log.lock().unwrap().push("error".into());
            Err("no".into())
        })
    });
    let panics = Receiver::new_async(|_: &Log| Box::pin(async { panic!("oh") }));
    let good = Receiver::new_async(|_: &Log| Box::pin(async { Ok(1) }));
    signal.connect(&never);
    signal.connect(&error);
    let log = Log::default();
    // Though the first one never ends.
    let failure = block_on(signal.send_async(&log)).unwrap_err();
    assert_eq!(failure.receiver(), error.id());
    signal.disconnect(&never);
    signal.connect(&panics);
    signal.connect(&good);
    let results = block_on(signal.send_robust_async(&log));
    assert_eq!(results[0].as_ref().unwrap_err().to_string(), "no");
    assert!(results[1].as_ref().unwrap_err().is_panic());
    assert_eq!(*results[2].as_ref().unwrap(), 1);
    assert_eq!(words(&log), ["error", "error"]);
}

/// BEHAVIOURS.md 7.6, 7.7: for threads, a future is a receiver that takes its time.
#[test]
fn a_send_without_tasks_waits_for_futures() {
    let signal: Signal<u32, u32> = Signal::new();
    let later = Receiver::new_async(|n: &u32| {
        Box::pin(async move {
            let ready = Arc::new(AtomicBool::new(false));
            let mut thread = None;
            poll_fn(|context| {
                if thread.is_none() {
                    let (waker, ready) = (context.waker().clone(), Arc::clone(&ready));
                    thread = Some(std::thread::spawn(move || {
                        ready.store(true, SeqCst);
                        waker.wake();
                    }));
                }
                match ready.load(SeqCst) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
            Ok(n + 1)
        })
    });
    signal.connect(&later);
    assert_eq!(signal.send(&1).unwrap(), [2]);
}

/// BEHAVIOURS.md 7.7
#[test]
fn a_send_that_is_dropped_drops_its_futures() {
    let census = super::Census::new();
    let signal: Signal<u32> = Signal::new();
    let inner = census.clone();
    let never = Receiver::new_async(move |_: &u32| {
        let citizen = inner.citizen();
        Box::pin(async move {
            let _citizen = citizen;
            pending().await
        })
    });
    signal.connect(&never);
    {
        let mut send = pin!(signal.send_async(&1));
        let mut context = Context::from_waker(Waker::noop());
        assert!(send.as_mut().poll(&mut context).is_pending());
        assert_eq!(census.alive(), 1);
        drop(never);
        assert_eq!(signal.len(), 0);
        assert!(send.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(census.alive(), 0);
}

/// A receiver that is woken while it is polled, and parks its thread there for reasons of its own, as a channel does, or a send inside of it.
#[test]
fn a_wake_is_not_lost_when_a_future_parks_the_thread_itself() {
    promptly(|| {
        let signal: Signal<u32, u32> = Signal::new();
        let receiver = Receiver::new_async(|n: &u32| {
            let (n, mut polled) = (*n, false);
            Box::pin(poll_fn(move |context| {
                if std::mem::replace(&mut polled, true) {
                    return Poll::Ready(Ok(n));
                }
                context.waker().wake_by_ref();
                std::thread::park();
                Poll::Pending
            }))
        });
        signal.connect(&receiver);
        assert_eq!(signal.send(&7).unwrap(), [7]);
    });
}

/// What is no future fails before any future is waited for: the rest is not called, and a panic goes on.
#[test]
fn a_failure_of_what_is_no_future_ends_a_send_at_once() {
    let signal: Signal<Log, ()> = Signal::new();
    let never = Receiver::new_async(|_: &Log| Box::pin(pending()));
    let behind = Receiver::new(|log: &Log| log.lock().unwrap().push("behind".into()));
    for panics in [false, true] {
        let fails = Receiver::fallible(move |_: &Log| match panics {
            false => Err("no".into()),
            true => panic!("oh"),
        });
        signal.connect(&never);
        signal.connect(&fails);
        signal.connect(&behind);
        let log = Log::default();
        match panics {
            false => {
                let failure = block_on(signal.send_async(&log)).unwrap_err();
                assert_eq!(
                    (failure.to_string().as_str(), failure.receiver()),
                    ("no", fails.id())
                );
            }
            true => assert_eq!(panic_of(|| block_on(signal.send_async(&log))), "oh"),
        }
        assert!(words(&log).is_empty());
        signal.disconnect_all();
    }
}
