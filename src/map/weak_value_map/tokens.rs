//! Entries whose values carry a token, and go with it.

use super::WeakValueMap;
use crate::create::error::ClosedError;
use crate::map::store::entry_ref::Landed;
use crate::map::store::slot::{Watching, WeakSlot};
use crate::memory::hash::hash_key;
use crate::memory::panics::after;
use crate::pointer::token::Token;
use crate::pointer::traits::SyncPointer;
use std::hash::{BuildHasher, Hash};

impl<K, P, S> WeakValueMap<K, P, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    P: SyncPointer,
    S: BuildHasher,
{
    /// As [`insert`](Self::insert), for a value that carries a [`Token`], which `token` shows: the entry goes when the token is dropped, which is when
    /// the value is.
    ///
    /// *Runs* `token` too, with no lock held; if it panics, nothing is entered.
    ///
    /// # Panics
    /// When the map is closed.
    ///
    /// ```
    /// use highlander::pointer::Token;
    /// use highlander::WeakValueMap;
    /// use std::sync::Arc;
    ///
    /// struct Socket { port: u16, token: Token }
    ///
    /// let map: WeakValueMap<&str, Arc<Socket>> = WeakValueMap::new();
    /// let socket = Arc::new(Socket { port: 80, token: Token::new() });
    /// map.insert_with_token("http", socket.clone(), |socket| &socket.token);
    /// map.insert_with_token("www", socket.clone(), |socket| &socket.token);
    /// assert_eq!((map.entry_count(), socket.port), (2, 80));
    /// drop(socket);
    /// assert_eq!(map.entry_count(), 0);
    /// ```
    pub fn insert_with_token(
        &self,
        key: K,
        value: P,
        token: impl for<'a> FnOnce(&'a P::Target) -> &'a Token,
    ) -> Option<P> {
        let hash = hash_key(&self.hasher, &key);
        let notify = self.store.notify_prompt(hash);
        let watching = Watching::by(Some(token(P::target(&value)).bind(notify)));
        let weak = WeakSlot::watched(&value, watching);
        match self.store.insert_keyed(hash, key, weak) {
            Ok(displaced) => after(value, displaced.map(Landed::into_live)),
            Err(_) => ClosedError::new().panic(),
        }
    }
}
