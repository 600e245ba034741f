//! Open files and sockets, one for each identity.
//!
//! For what the system gives out in small numbers, or must not be opened twice: log files that many threads
//! write to, database files whose locks go when *any* descriptor of the file is closed, connections, devices.
//! Whoever needs one opens it; if it is open, they share it; it is closed when the last one lets go, at that
//! moment, and only then opened again. Modelled after the counting of `socket.makefile` in CPython, whose
//! mistakes end in "too many open files".
//!
//! | you have | take |
//! |---|---|
//! | any key, and a way to open | [`Resources`] |
//! | paths | [`Files::by_path`] |
//! | paths that may lead to the same file: links, `..`, other spellings | [`Files::by_identity`] |
//! | one of them, to read and write by several independent views, each closed for itself | [`Stream`] |
//!
//! ```
//! use highlander::registries::resources::Files;
//! use highlander::Handle;
//! use std::io::Read;
//!
//! static FILES: Files = Files::by_identity();
//!
//! let file = FILES.open("Cargo.toml")?;
//! let same = FILES.open("src/../Cargo.toml")?;
//! assert!(Handle::ptr_eq(&same, &file));                      // one descriptor
//! let mut text = String::new();
//! (&*file).read_to_string(&mut text)?;
//! drop((file, same));                                         // closed here
//! assert!(FILES.is_empty());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Absent, dead, failed
//! A resource is found while somebody holds a handle of it. Opening it that fails enters nothing: the error
//! goes to its own caller, and one of those who wait tries for itself. A resource that does not work any more
//! (a broken connection) is found as long as it is held: [`detach`](Resources::detach) it, and the next one
//! opens another.
//!
//! Nobody can be told that closing has failed, as nobody is there any more: flush what buffers before you let
//! go, or let its destructor note it.
//!
//! # Waiting
//! A hit waits for nobody. One who opens waits, asleep, for another one who is opening the same; and for one
//! who is *closing* it, until the destructor has ended (the registry is
//! [exclusive](crate::Registry::exclusive)). Other keys are not held up. A destructor that opens its own key
//! again gets an error (a [`CycleError`](crate::error::CycleError)), not a deadlock.
//!
//! # Your code
//! `Hash` and `Eq` of keys, what opens, and the destructors of resources run with no lock held, and may use
//! the registry. If one of them panics, that goes to the caller, and the registry is as it was before the
//! call, or after it.

#![forbid(unsafe_code)]

mod files;
mod stream;

pub use files::{FileKey, Files};
pub use stream::Stream;

use crate::{Equivalent, Handle, Registry};
use std::fmt;
use std::hash::Hash;
use std::io;

/// Open resources by key: one for each, shared, closed by the last drop; see the [module](self).
///
/// ```
/// use highlander::registries::resources::Resources;
/// use highlander::Handle;
/// use std::net::{SocketAddr, TcpListener, TcpStream};
///
/// static CONNECTIONS: Resources<SocketAddr, TcpStream> = Resources::new();
///
/// let server = TcpListener::bind("127.0.0.1:0")?;
/// let address = server.local_addr()?;
/// let one = CONNECTIONS.open(address, |address| TcpStream::connect(address))?;
/// let same = CONNECTIONS.open(address, |_| unreachable!("is open"))?;
/// assert!(Handle::ptr_eq(&same, &one));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Resources<K, R> {
    open: Registry<K, R>,
}

impl<K: 'static, R: 'static> Resources<K, R> {
    /// Nothing is open. Can be a `static`.
    pub const fn new() -> Self {
        Self {
            open: Registry::new().exclusive(),
        }
    }
}

impl<K, R> Resources<K, R> {
    /// How many are open by this registry; see [`Registry::len`].
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Those that are open, at some moment for each; see [`Registry::iter`].
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Handle<K, R>> + use<K, R> {
        self.open.iter()
    }

    /// Takes it out, if it is entered: it stays open for its owners, and the next who asks for its key opens
    /// another one, at once. True for the one call that did.
    ///
    /// For what is broken, or is to be somebody's own.
    pub fn detach(&self, resource: &Handle<K, R>) -> bool {
        self.open.remove_same(resource)
    }

    /// The registry in which they are: for a [`Recent`](crate::Recent) on top of it, which keeps some open a
    /// little longer, or for claims and futures.
    pub fn registry(&self) -> &Registry<K, R> {
        &self.open
    }
}

impl<K: Hash + Eq + 'static, R: 'static> Resources<K, R> {
    /// The open resource of this key, opened if there is none.
    ///
    /// *Runs* `open` with no lock held, once for each key at a time. *Waiting:* none on a hit; otherwise for
    /// one who is opening or closing the same.
    ///
    /// # Errors
    /// Of `open`, as they are; and a [`CycleError`](crate::error::CycleError), in an `io::Error`, when `open`
    /// asks for its own key, directly or through others.
    pub fn open(&self, key: K, open: impl FnOnce(&K) -> io::Result<R>) -> io::Result<Handle<K, R>> {
        Ok(self.open.get_or_try_insert_with(key, open)?)
    }

    /// The resource of this key, if it is open.
    ///
    /// *Waiting:* none, as [`Registry::get`].
    pub fn get<Q>(&self, key: &Q) -> Option<Handle<K, R>>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        self.open.get(key)
    }
}

impl<K: 'static, R: 'static> Default for Resources<K, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, R: fmt::Debug> fmt::Debug for Resources<K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.open.fmt(f)
    }
}
