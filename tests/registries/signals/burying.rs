//! When what cannot report its death leaves a signal.

use crate::common::promptly;
use highlander::registries::signals::Receiver;
use highlander::registries::signals::Signal;
use std::sync::{Arc, Barrier};
use std::thread;

fn method(object: &u32, by: &u32) -> u32 {
    object + by
}

/// Each kind of send that meets a dead object in a list that was made before takes it out.
#[test]
fn every_send_takes_out_what_it_meets_dead() {
    type Send = fn(&Signal<u32, u32>) -> usize;
    let sends: &[Send] = &[
        |signal| signal.send(&1).unwrap().len(),
        |signal| signal.send_robust(&1).len(),
        #[cfg(feature = "async")]
        |signal| pollster::block_on(signal.send_async(&1)).unwrap().len(),
        #[cfg(feature = "async")]
        |signal| pollster::block_on(signal.send_robust_async(&1)).len(),
    ];
    for send in sends {
        let signal: Signal<u32, u32> = Signal::new();
        let (one, two) = (Arc::new(1), Arc::new(2));
        assert!(signal.connect_method(&one, method) && signal.connect_method(&two, method));
        // The list is made.
        assert_eq!(send(&signal), 2);
        drop(one);
        assert_eq!((send(&signal), signal.len()), (1, 1));
    }
}

/// Connections to a dead sender, of receivers that live: the next list that is made, or connection, comes across them.
#[test]
fn connections_to_a_dead_sender_go() {
    type Event = Signal<u32, (), Arc<u8>>;
    let finds: [fn(&Event); 3] = [
        |signal| drop(signal.send(&1).unwrap()),
        |signal| drop(signal.of(&Arc::new(1)).send_robust(&1)),
        |signal| assert!(signal.connect(&Receiver::new(|_: &u32| ()))),
    ];
    for find in finds {
        let signal = Event::new();
        let (sender, receiver) = (Arc::new(1), Receiver::new(|_: &u32| ()));
        assert!(signal.of(&sender).connect(&receiver));
        drop(sender);
        assert_eq!(signal.len(), 1);
        find(&signal);
        assert_eq!(signal.len(), 0);
    }
}

/// However the connections of several threads came one after the other, the dead ones are found.
#[test]
fn all_the_dead_are_found_however_they_came() {
    const EACH: usize = if cfg!(miri) { 5 } else { 200 };
    promptly(|| {
        let signal: Signal<u32, u32> = Signal::new();
        let start = Barrier::new(8);
        let objects: Vec<Vec<Arc<u32>>> = thread::scope(|scope| {
            let connect = || {
                start.wait();
                let objects: Vec<_> = (0..EACH).map(|_| Arc::new(7)).collect();
                for object in &objects {
                    assert!(signal.connect_method(object, method));
                }
                objects
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(connect)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(signal.send(&1).unwrap().len(), 8 * EACH);
        // Half of them, here and there.
        let (gone, left): (Vec<_>, Vec<_>) = objects
            .into_iter()
            .flatten()
            .enumerate()
            .partition(|(n, _)| n % 2 == 0);
        drop(gone);
        assert_eq!(signal.send(&1).unwrap().len(), left.len());
        assert_eq!(signal.len(), left.len());
    });
}

/// Many come and go: quadratic work would be seen here.
#[test]
fn a_hundred_thousand_receivers() {
    let signal: Signal<u32, u32> = Signal::new();
    let receivers: Vec<_> = (0..100_000)
        .map(|number| Receiver::new(move |_: &u32| number))
        .collect();
    assert!(receivers.iter().all(|receiver| signal.connect(receiver)));
    assert!(signal.send(&0).unwrap().into_iter().eq(0..100_000));
    // The first, the last, and all between.
    assert!(signal.disconnect(&receivers[0]) && signal.disconnect(&receivers[99_999]));
    assert!(signal.send(&0).unwrap().into_iter().eq(1..99_999));
    drop(receivers);
    assert!(signal.is_empty() && signal.send(&0).unwrap().is_empty());
}

/// Lists for many senders are forgotten with a change, and with them their table.
#[test]
fn many_senders_that_were_sent_of() {
    let signal: Signal<u32, u32, Arc<u32>> = Signal::new();
    let receiver = Receiver::new(|number: &u32| *number);
    let senders: Vec<_> = (0..5000).map(Arc::new).collect();
    for round in 0..3 {
        assert!(signal.connect(&receiver));
        for sender in &senders {
            assert_eq!(signal.of(sender).send(&round).unwrap(), [round]);
        }
        assert!(signal.disconnect(&receiver));
        assert!(senders
            .iter()
            .all(|sender| signal.of(sender).send(&round).unwrap().is_empty()));
    }
}
