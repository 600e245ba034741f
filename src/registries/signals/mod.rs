//! Events, and receivers that are not kept alive.
//!
//! For code that announces something to whoever wants to know, and does not want to know who that is: saved
//! records, opened documents, finished downloads. A [`Signal`] is modelled after Django's
//! `django.dispatch.Signal` (5.2).
//!
//! ```
//! use highlander::registries::signals::{Receiver, Signal};
//! use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
//!
//! static SAVED: Signal<str> = Signal::new();
//! static SEEN: AtomicUsize = AtomicUsize::new(0);
//!
//! let index = Receiver::new(|path: &str| { SEEN.fetch_add(path.len(), Relaxed); });
//! SAVED.connect(&index);
//! SAVED.send("notes.txt").unwrap();
//! drop(index);                                // nobody has to disconnect
//! SAVED.send("notes.txt").unwrap();
//! assert_eq!(SEEN.load(Relaxed), 9);
//! ```
//!
//! # Who is called
//! Receivers that are connected to all senders are called by every send; those connected to one
//! ([`Signal::of`]) by what is sent of that very object. They are called in the order in which they were
//! connected (with the feature `async`: those that are not futures first).
//!
//! A sender is any [`Pointer`](crate::pointer::Pointer), compared by identity, and known weakly: a signal
//! keeps none alive. An address alone is nobody's identity: what is kept is a weak pointer, under whose nose
//! no address is given to another object. (Django keys by `id(sender)`, so that a new object at the address
//! of a dead sender gets its receivers.) Receivers have numbers that are used once.
//!
//! # When a receiver or a sender dies
//! A [`Receiver`] is connected until its last owner lets go of it. When that drop returns, no send that
//! begins will call it, its connections are gone, and what it had captured is dropped: at once, or if sends
//! that began earlier are under way, when the last of them ends. So those may still call it, as they still
//! call receivers that are disconnected meanwhile. Whoever is connected during a send is not called by it.
//!
//! *Methods* ([`Signal::connect_method`]) live as long as their object. An object that reports its death
//! ([`Watched`](crate::pointer::Watched), [`Handle`](crate::Handle)) takes them with it; a dead `Arc` is
//! never called, and its connection goes with the next send that meets it or the next connection. The object
//! is owned during the call alone, so it may die in the midst of a send that has not called it yet.
//!
//! Connections to a dead sender call nobody. They go with the receiver, or when a later connection or a first
//! send for a sender comes across them.
//!
//! # Sending
//! What is to be called is looked up in a cache for each sender, without a lock; "nobody" is kept there too.
//! The cache is emptied by each change of connections, and a send that finds a list older than the last
//! change makes a new one. Receivers run with no lock held: they may send, connect, disconnect, and drop each
//! other. A send makes its receivers' lists, and no receiver, shared property for its time: it costs two
//! locked instructions, however many receivers there are, and two more for each method.
//!
//! *Waiting:* a send waits for nobody, but for a moment for those who connect and disconnect when it is the
//! first one after a change. Connecting and disconnecting wait for each other. *Complexity:* a send is linear
//! in the receivers that it calls, and the first one after a change in all connections. Connecting is linear
//! in the connections of methods and of single senders, as it looks which of them are dead; disconnecting and
//! a receiver's death are logarithmic. Each of the three is also linear in the senders of which was sent
//! since the last change.
//!
//! # When a receiver fails
//! * [`Signal::send`]: the first error comes back, and those behind it are not called. A panic goes on to the
//!   caller likewise.
//! * [`Signal::send_robust`]: all are called, and each result comes back. A panic is a result too.
//!
//! A panic leaves the signal as it is.
//!
//! # What owns what
//! A receiver that owns a [`Receiver`] of itself, through what it captures, never dies; nor does one that is
//! connected strongly, before it is disconnected or the signal dies. Signal and receivers may go in either
//! order.

mod connections;
mod outcome;
mod receiver;
mod receiver_id;
mod route;
#[cfg(feature = "async")]
mod tasks;

use crate::pointer::SyncPointer;
use crate::sync::{const_fn, OnceCell};
use connections::Connections;
use std::any::Any;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

pub use outcome::{BoxError, Failure};
pub use receiver::Receiver;
pub use receiver_id::ReceiverId;
pub use route::Route;
#[cfg(feature = "async")]
pub use tasks::BoxFuture;

/// An event that can be sent, with an `A` that each receiver gets to see, and an `R` that each gives back.
///
/// Senders are of the type `P`, or of any type behind an `Arc` if none is named. A signal can be a `static`,
/// and allocates nothing before its first connection. See the [module](self) for what it promises.
///
/// ```
/// use highlander::registries::signals::{Receiver, Signal};
/// use std::sync::Arc;
///
/// let opened: Signal<u32, String, Arc<str>> = Signal::new();
/// let (front, back): (Arc<str>, Arc<str>) = ("front door".into(), "back door".into());
/// let any = Receiver::new(|hour: &u32| format!("a door at {hour}"));
/// let guard = Receiver::fallible(|hour: &u32| match hour {
///     0..6 => Err("the guard sleeps".into()),
///     _ => Ok("the back door!".to_string()),
/// });
/// opened.connect(&any);
/// opened.of(&back).connect(&guard);
///
/// assert_eq!(opened.of(&front).send(&8).unwrap(), ["a door at 8"]);
/// assert_eq!(opened.of(&back).send(&8).unwrap(), ["a door at 8", "the back door!"]);
/// assert_eq!(opened.of(&back).send(&3).unwrap_err().to_string(), "the guard sleeps");
/// let results = opened.of(&back).send_robust(&3);
/// assert!(results[0].is_ok());
/// assert_eq!(results[1].as_ref().unwrap_err().receiver(), guard.id());
/// ```
pub struct Signal<A: ?Sized + 'static, R: 'static = (), P: SyncPointer = Arc<dyn Any + Send + Sync>>
{
    connections: OnceCell<Arc<Connections<A, R, P>>>,
}

impl<A: ?Sized + 'static, R: 'static, P: SyncPointer> Signal<A, R, P> {
    const_fn! {
        /// A signal that nobody listens to.
        pub const fn new() -> Self {
            Self {
                connections: OnceCell::new(),
            }
        }
    }

    fn made(&self) -> Option<&Connections<A, R, P>> {
        self.connections.get().map(|connections| &**connections)
    }

    fn make(&self) -> &Arc<Connections<A, R, P>> {
        self.connections.get_or_init(Default::default)
    }

    /// What concerns one sender: connecting to it, and sending of it.
    pub fn of<'a>(&'a self, sender: &'a P) -> Route<'a, A, R, P> {
        Route::new(self, Some(sender))
    }

    /// What concerns all senders, under a name that is there once: a second connection of that name is
    /// refused while the first one's receiver lives, whoever asks. Django's `dispatch_uid`, for modules that
    /// may be set up twice.
    ///
    /// ```
    /// use highlander::registries::signals::{Receiver, Signal};
    ///
    /// let signal: Signal<str> = Signal::new();
    /// let (one, two) = (Receiver::new(|_: &str| {}), Receiver::new(|_: &str| {}));
    /// assert!(signal.uid("index").connect(&one));
    /// assert!(!signal.uid("index").connect(&two));
    /// drop(one);
    /// assert!(signal.uid("index").connect(&two));
    /// assert!(signal.uid("index").disconnect_uid());
    /// ```
    pub fn uid<'a>(&'a self, uid: &'a str) -> Route<'a, A, R, P> {
        Route::new(self, None).uid(uid)
    }

    fn all(&self) -> Route<'_, A, R, P> {
        Route::new(self, None)
    }

    /// Connects a receiver to all senders, and holds it weakly. False, and nothing is done, if it is
    /// connected to all senders already.
    ///
    /// *Waiting:* for others who connect and disconnect. *Runs* the drop of receivers that have died, with no
    /// lock held. *Complexity:* see the [module](self#sending).
    pub fn connect(&self, receiver: &Receiver<A, R>) -> bool {
        self.all().connect(receiver)
    }

    /// Connects a receiver and owns it, until it is disconnected or the signal goes. As [`Signal::connect`]
    /// otherwise; a receiver that is refused is dropped.
    ///
    /// ```
    /// use highlander::registries::signals::{Receiver, Signal};
    ///
    /// let signal: Signal<str> = Signal::new();
    /// assert!(signal.connect_strong(Receiver::new(|word: &str| println!("{word}"))));
    /// assert_eq!(signal.len(), 1);
    /// signal.connect(&Receiver::new(|_: &str| ()));       // dies at once, as a lambda does in Python
    /// assert_eq!(signal.len(), 1);
    /// ```
    pub fn connect_strong(&self, receiver: Receiver<A, R>) -> bool {
        self.all().connect_strong(receiver)
    }

    /// Connects a method of an object, which is held weakly, to all senders. False if the same method of the
    /// same object is connected already.
    ///
    /// `method` is a function or a closure that captures nothing: so its type says which one it is. One that
    /// captures does not compile: make it a [`Receiver`].
    ///
    /// ```
    /// use highlander::registries::signals::Signal;
    /// use highlander::pointer::Watched;
    /// use std::sync::Mutex;
    ///
    /// struct Index(Mutex<Vec<String>>);
    /// impl Index {
    ///     fn add(&self, path: &str) { self.0.lock().unwrap().push(path.to_owned()); }
    /// }
    ///
    /// let saved: Signal<str> = Signal::new();
    /// let index = Watched::new(Index(Mutex::default()));
    /// assert!(saved.connect_method(&index, Index::add));
    /// assert!(!saved.connect_method(&index, Index::add));
    /// saved.send("notes.txt").unwrap();
    /// assert_eq!(*index.0.lock().unwrap(), ["notes.txt"]);
    /// drop(index);
    /// assert!(saved.is_empty());
    /// ```
    /// ```compile_fail
    /// # use highlander::registries::signals::Signal;
    /// let (signal, object, number) = (Signal::<str>::new(), std::sync::Arc::new(1), 2);
    /// signal.connect_method(&object, move |_: &i32, _: &str| drop(number));
    /// ```
    pub fn connect_method<Q, F>(&self, object: &Q, method: F) -> bool
    where
        Q: SyncPointer,
        F: Fn(&Q::Target, &A) -> R + Send + Sync + 'static,
    {
        self.all().connect_method(object, method)
    }

    /// Ends the connection of a receiver to all senders. Whether there was one; of several callers, one gets
    /// true. Sends under way may still call it.
    ///
    /// *Waiting:* for others who connect and disconnect. *Runs* the drop of a receiver that was connected
    /// strongly.
    pub fn disconnect(&self, receiver: &Receiver<A, R>) -> bool {
        self.all().disconnect(receiver)
    }

    /// Ends the connection of a method to all senders. Whether there was one.
    pub fn disconnect_method<Q, F>(&self, object: &Q, method: F) -> bool
    where
        Q: SyncPointer,
        F: Fn(&Q::Target, &A) -> R + Send + Sync + 'static,
    {
        self.all().disconnect_method(object, method)
    }

    /// Ends all connections. How many there were.
    pub fn disconnect_all(&self) -> usize {
        self.made().map_or(0, Connections::clear)
    }

    /// Calls those who are connected to all senders, until one of them fails: then that failure comes back.
    /// Their results, in order.
    ///
    /// *Runs* the receivers, with no lock held, on this thread. *Panics* when one of them does; those behind
    /// it are not called. It allocates only for results that take room.
    #[inline]
    pub fn send(&self, args: &A) -> Result<Vec<R>, Failure> {
        self.all().send(args)
    }

    /// Calls all who are connected to all senders, whatever happens. The result of each, in order; one that
    /// panics has failed.
    ///
    /// *Panics* when something of which the send is the last owner does so in its drop, as it may: a method's
    /// object, or what a receiver that went meanwhile had captured.
    pub fn send_robust(&self, args: &A) -> Vec<Result<R, Failure>> {
        self.all().send_robust(args)
    }

    /// Whether a send of nobody in particular would call somebody: Django's `has_listeners`. For one sender:
    /// [`Route::has_receivers`].
    pub fn has_receivers(&self) -> bool {
        self.all().has_receivers()
    }

    /// The number of connections at some moment. Those of dead `Arc`s count until they are come across.
    pub fn len(&self) -> usize {
        self.made().map_or(0, Connections::len)
    }

    /// Whether there are no connections.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<A: ?Sized + 'static, R: 'static, P: SyncPointer> Default for Signal<A, R, P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: ?Sized + 'static, R: 'static, P: SyncPointer> fmt::Debug for Signal<A, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal")
            .field("connections", &self.len())
            .finish_non_exhaustive()
    }
}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl<A: ?Sized + 'static, R: 'static, P: SyncPointer> UnwindSafe for Signal<A, R, P> {}
impl<A: ?Sized + 'static, R: 'static, P: SyncPointer> RefUnwindSafe for Signal<A, R, P> {}
