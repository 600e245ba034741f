//! Receivers and methods that come and go while others send. Of its own, a thread knows who is to be called by each of its sends, in which order.

use super::{planted, rounds, survives};
use crate::common::{forever, Dice};
use crate::support::{for_a_while, Counts, Sealed};
use highlander::pointer::Watched;
use highlander::registries::signals::{BoxError, Receiver, Route, Signal};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Sender = Arc<Sealed<'static>>;
type Event = Signal<Call, u64, Sender>;

/// What is sent, with those whom it has met.
struct Call {
    thread: u32,
    /// The sender's identity; 0: of nobody.
    sender: u64,
    /// Who is to fail, and whether by a panic.
    fails: u64,
    panics: bool,
    met: Mutex<Vec<(u32, u64)>>,
    names: [AtomicBool; NAMES],
}

const NAMES: usize = 3;
const NAME: [&str; NAMES] = ["one", "two", "three"];

struct Scene {
    signal: Event,
    counts: &'static Counts,
    /// Those that all threads send of.
    senders: [Sender; 2],
    /// Who has a name is asked for by others all the time.
    taken: [AtomicBool; NAMES],
}

/// What is called, or whose method is.
struct Object {
    sealed: Sealed<'static>,
    /// Called by what this one sends alone.
    bound: Option<u64>,
    name: Option<usize>,
    scene: &'static Scene,
}

impl Object {
    fn call(&self, call: &Call) -> u64 {
        self.sealed.assert_alive(self.sealed.key);
        if let Some(bound) = self.bound {
            assert_eq!(
                call.sender, bound,
                "it has inherited the receivers of another"
            );
        }
        if let Some(name) = self.name {
            assert!(
                !call.names[name].swap(true, SeqCst),
                "a name is there twice"
            );
        }
        let id = self.sealed.id;
        call.met.lock().unwrap().push((self.sealed.key, id));
        if id % 16 == 0 && call.thread == self.sealed.key {
            // From the inside.
            let short = Receiver::new(|_: &Call| 0);
            assert!(self.scene.signal.connect(&short));
        }
        if call.fails == id && call.panics {
            planted();
        }
        id
    }

    fn fallible(&self, call: &Call) -> Result<u64, BoxError> {
        let id = self.call(call);
        match call.fails == id {
            true => Err("planted".into()),
            false => Ok(id),
        }
    }
}

enum Kept {
    Receiver(Receiver<Call, u64>),
    Watched(Watched<Object>),
    Arc(Arc<Object>),
    /// The signal owns it; this is to disconnect it.
    Name(usize),
}

/// A connection that a thread has made.
struct Connection {
    id: u64,
    kept: Kept,
    sender: Option<Sender>,
    name: Option<usize>,
}

#[derive(Default)]
struct Mine {
    thread: u32,
    /// In the order in which they were connected.
    connections: Vec<Connection>,
}

impl Mine {
    fn route<'a>(
        scene: &'a Scene,
        sender: &'a Option<Sender>,
    ) -> Option<Route<'a, Call, u64, Sender>> {
        Some(scene.signal.of(sender.as_ref()?))
    }

    fn sender(&self, scene: &'static Scene, dice: &mut Dice) -> Option<Sender> {
        match dice.below(4) {
            0 => None,
            // A new one, perhaps where a dead one was.
            1 => Some(Arc::new(Sealed::new(self.thread, scene.counts))),
            2 => Some(Arc::clone(&scene.senders[dice.below(2)])),
            _ => self.connections.iter().find_map(|c| c.sender.clone()),
        }
    }

    fn connect(&mut self, scene: &'static Scene, dice: &mut Dice) {
        let sender = self.sender(scene, dice);
        let how = dice.below(5);
        let name = (sender.is_none() && how != 4 && dice.below(3) == 0).then(|| dice.below(NAMES));
        let name = match how {
            3 => Some(dice.below(NAMES)),
            _ => name,
        };
        let sender = sender.filter(|_| name.is_none());
        let object = Object {
            sealed: Sealed::new(self.thread, scene.counts),
            bound: sender.as_ref().map(|sender| sender.id),
            name,
            scene,
        };
        let id = object.sealed.id;
        // The name's owner is known before anybody else can have it.
        let signal = &scene.signal;
        let (kept, connected) = match how {
            0 | 1 => {
                let receiver = Receiver::fallible(move |call: &Call| object.fallible(call));
                let connected = match (Self::route(scene, &sender), name) {
                    (Some(route), _) => {
                        assert!(route.connect(&receiver));
                        !signal.of(sender.as_ref().unwrap()).connect(&receiver)
                    }
                    (None, Some(name)) => signal.uid(NAME[name]).connect(&receiver),
                    (None, None) => signal.connect(&receiver) && !signal.connect(&receiver),
                };
                (Kept::Receiver(receiver), connected)
            }
            2 => {
                let object = Watched::new(object);
                let connected = match (Self::route(scene, &sender), name) {
                    (Some(route), _) => route.connect_method(&object, Object::call),
                    (None, Some(name)) => {
                        signal.uid(NAME[name]).connect_method(&object, Object::call)
                    }
                    (None, None) => signal.connect_method(&object, Object::call),
                };
                (Kept::Watched(object), connected)
            }
            3 => {
                let name = name.expect("see above");
                let receiver = Receiver::fallible(move |call: &Call| object.fallible(call));
                let connected = signal.uid(NAME[name]).connect_strong(receiver);
                (Kept::Name(name), connected)
            }
            _ => {
                let object = Arc::new(object);
                let connected = match Self::route(scene, &sender) {
                    Some(route) => route.connect_method(&object, Object::call),
                    None => signal.connect_method(&object, Object::call),
                };
                (Kept::Arc(object), connected)
            }
        };
        assert!(connected || name.is_some(), "it is new");
        if !connected {
            return;
        }
        if let Some(name) = name {
            assert!(!scene.taken[name].swap(true, SeqCst), "the name was taken");
        }
        self.connections.push(Connection {
            id,
            kept,
            sender,
            name,
        });
    }

    /// Ends one, by disconnecting or by dropping it.
    fn end(&mut self, scene: &'static Scene, at: usize, disconnect: bool) {
        let Connection {
            kept, sender, name, ..
        } = self.connections.remove(at);
        if let Some(name) = name {
            assert!(scene.taken[name].swap(false, SeqCst));
        }
        let signal = &scene.signal;
        match (kept, name) {
            (Kept::Name(name), _) => assert!(signal.uid(NAME[name]).disconnect_uid()),
            (_, Some(name)) if disconnect => assert!(signal.uid(NAME[name]).disconnect_uid()),
            (Kept::Receiver(receiver), _) if disconnect => assert!(match &sender {
                Some(sender) => signal.of(sender).disconnect(&receiver),
                None => signal.disconnect(&receiver),
            }),
            (Kept::Watched(object), _) if disconnect => assert!(match &sender {
                Some(sender) => signal.of(sender).disconnect_method(&object, Object::call),
                None => signal.disconnect_method(&object, Object::call),
            }),
            (Kept::Arc(object), _) if disconnect => assert!(match &sender {
                Some(sender) => signal.of(sender).disconnect_method(&object, Object::call),
                None => signal.disconnect_method(&object, Object::call),
            }),
            // A send of another thread may be in the middle of the method, and own the object for so long.
            (Kept::Watched(object), _) => {
                let weak = Watched::downgrade(&object);
                drop(object);
                while weak.is_alive() {
                    std::thread::yield_now();
                }
            }
            (Kept::Arc(object), _) => {
                let weak = Arc::downgrade(&object);
                drop(object);
                while weak.strong_count() > 0 {
                    std::thread::yield_now();
                }
            }
            (Kept::Receiver(receiver), _) => drop(receiver),
        }
    }

    fn send(&self, scene: &'static Scene, dice: &mut Dice) {
        let sender = self.sender(scene, dice);
        let sender_id = sender.as_ref().map_or(0, |sender| sender.id);
        let meant = |c: &&Connection| c.sender.as_ref().is_none_or(|s| s.id == sender_id);
        let mut expected: Vec<u64> = self
            .connections
            .iter()
            .filter(meant)
            .map(|c| c.id)
            .collect();
        // Methods do not fail but by a panic.
        let fallible = |c: &&Connection| matches!(c.kept, Kept::Receiver(_) | Kept::Name(_));
        let panics = dice.below(2) == 0;
        let failing = (dice.below(3) == 0)
            .then(|| {
                self.connections
                    .iter()
                    .filter(meant)
                    .find(|c| panics || fallible(c))
            })
            .flatten();
        let call = Call {
            thread: self.thread,
            sender: sender_id,
            fails: failing.map_or(0, |c| c.id),
            panics,
            met: Mutex::default(),
            names: Default::default(),
        };
        let route = Self::route(scene, &sender);
        let robust = dice.below(2) == 0;
        if robust {
            let results = match route {
                Some(route) => route.send_robust(&call),
                None => scene.signal.send_robust(&call),
            };
            let failed = results.iter().filter(|result| result.is_err()).count();
            assert_eq!(failed, usize::from(failing.is_some()));
        } else {
            let result = survives(|| match route {
                Some(route) => route.send(&call),
                None => scene.signal.send(&call),
            });
            match (result, failing) {
                (Some(Ok(_)), None) => {}
                (Some(Err(_)), Some(_)) => assert!(!panics),
                (None, Some(_)) => assert!(panics),
                _ => panic!("a failure is somebody else's"),
            }
            if let Some(failing) = failing {
                let at = expected.iter().position(|id| *id == failing.id).unwrap();
                expected.truncate(at + 1);
            }
        }
        let met = call
            .met
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let mine: Vec<u64> = met
            .iter()
            .filter(|(thread, _)| *thread == self.thread)
            .map(|(_, id)| *id)
            .collect();
        assert_eq!(mine, expected, "who was called");
    }
}

pub(crate) fn signals(limit: Duration) {
    rounds(limit, |limit| {
        let counts: &'static Counts = forever(Counts::default());
        let scene: &'static Scene = forever(Scene {
            signal: Event::new(),
            counts,
            senders: [0, 0].map(|key| Arc::new(Sealed::new(key, counts))),
            taken: Default::default(),
        });
        let work = |mine: &mut Mine, dice: &mut Dice| {
            match dice.below(4) {
                0 => mine.connect(scene, dice),
                1 if !mine.connections.is_empty() => {
                    let at = dice.below(mine.connections.len());
                    mine.end(scene, at, dice.below(2) == 0);
                }
                _ => mine.send(scene, dice),
            }
            while mine.connections.len() > 6 {
                mine.end(scene, 0, dice.below(2) == 0);
            }
        };
        struct Ending(Mine, &'static Scene);
        impl Drop for Ending {
            fn drop(&mut self) {
                while !std::thread::panicking() && !self.0.connections.is_empty() {
                    self.0.end(self.1, 0, false);
                }
            }
        }
        let start = |thread| {
            let thread = thread as u32 + 1;
            Ending(
                Mine {
                    thread,
                    ..Mine::default()
                },
                scene,
            )
        };
        for_a_while(limit, 4, start, |ending, dice| work(&mut ending.0, dice));
        // What could not report its death goes with the next connection.
        let last = Receiver::new(|_: &Call| 0);
        assert!(scene.signal.connect(&last));
        drop(last);
        assert_eq!(scene.signal.len(), 0);
        assert!(!scene.signal.has_receivers());
        // But for the two senders, which the scene has.
        assert_eq!(counts.alive(), 2);
    });
}
