//! The ready-made registries: signals, finalizers, trees, handlers.
//!
//! Calls and drops are counted outside of loom: what is shared here goes through the `Arc`s of the standard library, whose order loom does not see.

use crate::support::*;
use highlander::pointer::Watched;
use highlander::registries::finalizers::Finalizers;
use highlander::registries::logging::{BoxError, Handler, Logging, Policy, Record, Sink};
use highlander::registries::signals::{Receiver, Signal};
use highlander::registries::tree::{AdoptError, Node};
use loom::thread;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;

/// How often something was done.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Adds one when it is dropped.
    fn on_drop(&self) -> OnDrop {
        OnDrop(self.clone())
    }
}

struct OnDrop(Count);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add();
    }
}

fn receiver(calls: &Count, dropped: &Count) -> Receiver<(), ()> {
    let (calls, captured) = (calls.clone(), dropped.on_drop());
    Receiver::new(move |(): &()| {
        let _ = &captured;
        assert_eq!(captured.0.get(), 0, "called after it was dropped");
        calls.add();
    })
}

/// One thread sends, and this one has the only owner of the receiver. Returns the calls and the drops.
fn beside_a_send(meanwhile: impl FnOnce(&Signal<()>, Receiver<(), ()>)) -> (usize, usize) {
    let (calls, dropped) = (Count::default(), Count::default());
    let signal: Arc<Signal<()>> = Arc::new(Signal::new());
    let receiver = receiver(&calls, &dropped);
    signal.connect(&receiver);
    let other = thread::spawn({
        let signal = Arc::clone(&signal);
        move || signal.send(&()).unwrap()
    });
    meanwhile(&signal, receiver);
    other.join().unwrap();
    assert!(signal.is_empty());
    (calls.get(), dropped.get())
}

/// What a receiver has captured goes with its last drop, or with the last send that is under way: no list outlasts it.
#[test]
fn a_send_against_the_last_drop_of_its_receiver() {
    model_with(2, || {
        let (calls, dropped) = beside_a_send(|_, receiver| drop(receiver));
        assert!(calls <= 1);
        assert_eq!(dropped, 1);
    });
}

/// A send that begins when the last drop has returned does not call, though another one has just made a list.
#[test]
fn a_send_after_the_last_drop_of_its_receiver() {
    model_with(2, || {
        let (calls, _) = beside_a_send(|signal, receiver| {
            drop(receiver);
            signal.send(&()).unwrap();
        });
        assert!(calls <= 1, "called by the one that began later");
    });
}

/// Who connects while somebody makes the list is in the next one.
#[test]
fn connecting_against_a_send() {
    model_with(2, || {
        let (calls, dropped) = (Count::default(), Count::default());
        let signal: Arc<Signal<()>> = Arc::new(Signal::new());
        let [one, two] = [(); 2].map(|()| receiver(&calls, &dropped));
        signal.connect(&one);
        let other = thread::spawn({
            let signal = Arc::clone(&signal);
            move || {
                signal.connect(&two);
                two
            }
        });
        signal.send(&()).unwrap();
        let two = other.join().unwrap();
        let before = calls.get();
        assert!(before == 1 || before == 2);
        signal.send(&()).unwrap();
        assert_eq!(calls.get(), before + 2);
        drop((one, two));
        assert_eq!(dropped.get(), 2);
    });
}

/// It runs once, at death or by hand.
#[test]
fn a_finalizer_that_is_called_against_the_death_of_its_object() {
    model(|| {
        let (calls, dropped) = (Count::default(), Count::default());
        let finalizers = Finalizers::new();
        let object = Watched::new(());
        let finalizer = {
            let (calls, captured) = (calls.clone(), dropped.on_drop());
            finalizers.finalize(&object, move || {
                drop(captured);
                calls.add();
            })
        };
        let other = thread::spawn(move || drop(object));
        let mine = finalizer.call().is_some();
        assert!(!mine || calls.get() == 1);
        other.join().unwrap();
        assert_eq!((calls.get(), dropped.get()), (1, 1));
        assert!(!finalizer.is_alive() && finalizers.is_empty());
        assert_eq!(finalizers.run_all().run, 0);
    });
}

/// One that is made while another one runs is run in its turn.
#[test]
fn a_finalizer_that_is_made_while_another_one_runs() {
    model(|| {
        let calls = Count::default();
        let finalizers = Arc::new(Finalizers::new());
        let other = thread::spawn({
            let (finalizers, calls) = (Arc::clone(&finalizers), calls.clone());
            move || drop(finalizers.at_exit(1, move || calls.add()))
        });
        finalizers.at_exit(0, move || other.join().unwrap());
        assert_eq!(finalizers.run_all().run, 2);
        assert_eq!(calls.get(), 1);
        assert!(finalizers.is_empty());
    });
}

/// Of two threads that hang two roots below each other, one is refused.
#[test]
fn two_nodes_below_each_other() {
    model(|| {
        let dropped = Count::default();
        let (one, two) = (Node::new(dropped.on_drop()), Node::new(dropped.on_drop()));
        let other = thread::spawn({
            let (one, two) = (one.clone(), two.clone());
            move || two.adopt(&one)
        });
        let mine = one.adopt(&two);
        let theirs = other.join().unwrap();
        assert!(mine.is_ok() != theirs.is_ok());
        let refused = mine.err().or(theirs.err());
        assert!(matches!(refused, Some(AdoptError::Cycle)));
        assert_eq!(
            (one.len(), two.len()),
            if mine.is_ok() { (1, 0) } else { (0, 1) }
        );
        drop((one, two));
        assert_eq!(dropped.get(), 2);
    });
}

/// A node that is taken out while it is moved is in no list afterwards.
#[test]
fn a_node_that_is_detached_against_one_that_is_moved() {
    model(|| {
        let dropped = Count::default();
        let root = Node::new(dropped.on_drop());
        let node = root.add(dropped.on_drop());
        let other = thread::spawn({
            let node = node.clone();
            move || node.move_to_end()
        });
        assert!(node.detach());
        other.join().unwrap();
        assert!(root.is_empty() && node.parent().is_err() && !node.detach());
        drop(root);
        assert_eq!(dropped.get(), 1);
        drop(node);
        assert_eq!(dropped.get(), 2);
    });
}

/// Counts what is written and how often it is closed; nothing is written before and after.
struct Counted {
    written: Count,
    closed: Count,
}

impl Sink for Counted {
    fn write(&self, _: &Record<'_>) -> Result<(), BoxError> {
        self.written.add();
        Ok(())
    }

    fn close(&self) -> Result<(), BoxError> {
        self.closed.add();
        Ok(())
    }
}

fn handler(logging: &Logging, written: &Count, closed: &Count) -> Handler {
    logging.handler(Counted {
        written: written.clone(),
        closed: closed.clone(),
    })
}

/// One closes it, whoever comes first.
#[test]
fn shutting_down_against_the_last_drop_of_a_handler() {
    model_with(2, || {
        let (written, closed) = (Count::default(), Count::default());
        let logging = Arc::new(Logging::new());
        let handler = handler(&logging, &written, &closed);
        let other = thread::spawn(move || drop(handler));
        let shutdown = logging.shutdown(Policy::GoOn);
        other.join().unwrap();
        assert!(shutdown.closed <= 1 && shutdown.failures.is_empty());
        assert_eq!(closed.get(), 1);
        assert!(logging.handlers().is_empty());
    });
}

/// Both close it: one does.
#[test]
fn two_who_close_one_handler() {
    model_with(2, || {
        let (written, closed) = (Count::default(), Count::default());
        let logging = Logging::new();
        let handler = handler(&logging, &written, &closed);
        let other = thread::spawn({
            let handler = handler.clone();
            move || drop(handler.close())
        });
        drop(handler.close());
        other.join().unwrap();
        assert_eq!(closed.get(), 1);
    });
}

/// A closed handler has no name, whoever is giving it one.
#[test]
fn naming_against_closing() {
    model_with(2, || {
        let (written, closed) = (Count::default(), Count::default());
        let logging = Logging::new();
        let handler = handler(&logging, &written, &closed);
        let other = thread::spawn({
            let handler = handler.clone();
            move || handler.set_name("sword")
        });
        drop(handler.close());
        other.join().unwrap();
        assert_eq!(handler.name(), None);
        assert!(logging.handler_named("sword").is_none() && logging.handler_names().is_empty());
    });
}

/// Of two who take one name, one has it, and it stays when the other one goes.
#[test]
fn two_handlers_that_take_one_name() {
    model_with(2, || {
        let (written, closed) = (Count::default(), Count::default());
        let logging = Logging::new();
        let [one, two] = [(); 2].map(|()| handler(&logging, &written, &closed));
        let other = thread::spawn(move || {
            two.set_name("sword");
            two
        });
        one.set_name("sword");
        let two = other.join().unwrap();
        let owner = logging.handler_named("sword").unwrap();
        let (owner, loser) = match owner == one {
            true => (one, two),
            false => (two, one),
        };
        drop(loser);
        assert_eq!(logging.handler_named("sword"), Some(owner));
    });
}

/// Each record is written by one of the two, and the old one is closed after it.
#[test]
fn replacing_a_handler_against_a_record() {
    model_with(2, || {
        let (written, closed) = (Count::default(), Count::default());
        let logging = Arc::new(Logging::new());
        let [old, new] = [(); 2].map(|()| handler(&logging, &written, &closed));
        let root = logging.root();
        root.add_handler(&old);
        let other = thread::spawn({
            let root = root.clone();
            move || root.warning(format_args!("there"))
        });
        assert!(root.replace_handler(&old, &new));
        drop(old);
        other.join().unwrap();
        assert_eq!((written.get(), closed.get()), (1, 1));
        assert_eq!(logging.handlers(), [new]);
    });
}
