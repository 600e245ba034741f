//! A token that a value carries so that its death is known, whatever pointer owns it.

use crate::pointer::notify::Notify;
use crate::pointer::watchers::{Registration, WatchList, Watchers};
use crate::sync::const_fn;
use std::fmt;
use std::sync::Arc;

/// A field by which a value reports its own death: the prompt way for values behind a plain
/// [`Arc`](std::sync::Arc), which cannot report it.
///
/// The creator of a type stores a token in it and hands the token to the containers when it enters the value
/// ([`WeakSet::insert_with_token`](crate::WeakSet::insert_with_token),
/// [`WeakValueMap::insert_with_token`](crate::WeakValueMap::insert_with_token)). When the value is dropped,
/// so is the token, and exactly those entries go, by identity, before the last owner's drop returns. That
/// works behind `Arc<dyn Trait>` too, if the trait can show the token.
///
/// ```
/// use highlander::pointer::Token;
/// use highlander::WeakSet;
/// use std::sync::Arc;
///
/// struct Socket { port: u16, token: Token }
///
/// static OPEN: WeakSet<Arc<Socket>, highlander::map::ByAddress> = WeakSet::new();
///
/// let socket = Arc::new(Socket { port: 80, token: Token::new() });
/// OPEN.insert_with_token(&socket, |socket| &socket.token);
/// assert_eq!((OPEN.entry_count(), socket.port), (1, 80));
/// drop(socket);
/// assert_eq!(OPEN.entry_count(), 0);      // the entry has gone, not only the value
/// ```
///
/// # When it does not go as planned
/// * *Never bound*: it costs a null word and its drop does nothing. So a token may be dropped inside a
///   factory that fails.
/// * *Bound to several entries*, of one container or many: all go, the newest first.
/// * *The container has died*: nothing happens. The token holds it weakly, so neither keeps the other alive.
/// * *The entry was removed or replaced before*: nothing happens; a set knows an entry by a number that is
///   used once, and a map takes out only what is dead.
/// * *Forgotten* (`mem::forget`, or leaked): the entry is treated as that of a plain `Arc`, never shown once
///   the value is dead, and pruned.
/// * *Dropped before the value is finished*
///   ([`WeakSet::insert_weak_with_token`](crate::WeakSet::insert_weak_with_token)): the entry goes.
/// * *Dropped while the value lives on* (because it was replaced in its field): the entry stays, since the
///   value is alive, and is pruned once dead.
/// * *Moved out of the value* (`Arc::into_inner`): the value is dead from then on, its entry goes with the
///   token, or is pruned.
/// * *Dropped during unwinding*: as always. A panic in what it calls is then swallowed, since a second one
///   would abort the process.
///
/// A token is for one value, so it is not `Clone`. That of a cloned value is to be a new one:
///
/// ```compile_fail
/// let token = highlander::pointer::Token::new();
/// let twin = token.clone();
/// ```
/// ```
/// let token = highlander::pointer::Token::new();
/// let other = highlander::pointer::Token::new();
/// ```
///
/// A token does not make an [`Arc`](std::sync::Arc) drop otherwise than it does: a chain of some ten
/// thousands of `Arc`s that own each other overflows the stack, with tokens in them or without. With
/// [`Watched`](crate::pointer::Watched) in their place it does not. (A chain in which callbacks of tokens, or
/// removal hooks of their maps, each drop the next token may be of any length. From the 64th one inside of
/// another on, hooks and callbacks run a little later, before the outermost drop returns.)
///
/// Fields are dropped in the order of their declaration, after the value's own `Drop::drop`. So with the
/// token as the first field, entries go after the value's destructor and before its other fields; an
/// [`Arc`](std::sync::Arc)'s weak pointers are dead before either.
pub struct Token {
    watchers: Watchers,
}

impl Token {
    const_fn! {
        /// Creates a token that is bound to nothing. It does not allocate.
        pub const fn new() -> Self {
            Self {
                watchers: Watchers::new(),
            }
        }
    }

    /// Runs `callback` when the token is dropped, unless the registration is dropped before. Callbacks run
    /// after the containers have been notified, the newest first.
    ///
    /// *Runs* the callback with no lock held, once. When it panics the others run all the same, and the first
    /// panic goes on from the token's drop.
    ///
    /// ```
    /// use highlander::pointer::Token;
    /// use std::sync::mpsc::channel;
    ///
    /// let (sender, receiver) = channel();
    /// let token = Token::new();
    /// Token::on_drop(&token, move || sender.send("gone").unwrap()).keep();
    /// drop(token);
    /// assert_eq!(receiver.recv(), Ok("gone"));
    /// ```
    pub fn on_drop(this: &Self, callback: impl FnOnce() + Send + 'static) -> Registration {
        this.watchers.on_death(Box::new(callback))
    }

    /// Returns the number of entries that would go with it, at some moment. One that was taken out of its
    /// container counts until the container has dropped it, a moment later.
    pub fn entry_count(this: &Self) -> usize {
        this.watchers.len().0
    }

    /// Binds it to one more entry.
    pub(crate) fn bind(&self, notify: Notify) -> Registration {
        self.watchers.watch(notify)
    }

    /// Returns the other end of the token, for a map that gives the token to a factory and binds it
    /// afterwards, when the value is complete and its entry has a number.
    pub(crate) fn binder(&self) -> Binder {
        Binder(Arc::clone(self.watchers.list()))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some(list) = self.watchers.listed() {
            list.notify_from_drop();
        }
    }
}

impl Default for Token {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("entries", &Token::entry_count(self))
            .finish()
    }
}

/// The other end of a token that somebody else has by now.
pub(crate) struct Binder(Arc<WatchList>);

impl Binder {
    /// Binds the token to one more entry. None when the token has been dropped: then its value has died, or
    /// the factory has not stored it, and the entry is to be pruned.
    pub(crate) fn bind(&self, notify: Notify) -> Option<Registration> {
        self.0.watch(notify)
    }
}
