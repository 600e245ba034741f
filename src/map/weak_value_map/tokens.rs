//! Entries whose values carry a token, and go with it.

use super::WeakValueMap;
use crate::create::error::{ClosedError, CycleError, Refusal};
use crate::create::steps::Accept;
use crate::map::store::entry_ref::Landed;
use crate::map::store::slot::{Slot, Watching, WeakSlot};
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
    /// As [`get_or_insert_with`](Self::get_or_insert_with), for values that report their own death: `make` gets a [`Token`] to be stored in the value.
    /// When the token is dropped, which is when the value is, exactly this entry goes, and its key with it.
    ///
    /// If `make` does not store the token, or fails, nothing is wrong: the entry is pruned like that of any `Arc`; see
    /// [`Token`](Token#when-it-does-not-go-as-planned) for what else may happen.
    ///
    /// # Panics
    /// As [`get_or_insert_with`](Self::get_or_insert_with).
    ///
    /// ```
    /// use highlander::{Token, WeakValueMap};
    /// use std::sync::Arc;
    ///
    /// trait Codec: Send + Sync { fn name(&self) -> &str; }
    /// struct Flac { name: String, _token: Token }
    /// impl Codec for Flac { fn name(&self) -> &str { &self.name } }
    ///
    /// static CODECS: WeakValueMap<String, Arc<dyn Codec>> = WeakValueMap::new();
    ///
    /// let codec = CODECS.get_or_insert_with_token("flac".into(), |name, token| {
    ///     Arc::new(Flac { name: name.clone(), _token: token })
    /// });
    /// assert_eq!((codec.name(), CODECS.entries()), ("flac", 1));
    /// drop(codec);
    /// assert_eq!(CODECS.entries(), 0);        // not only invisible, but gone
    /// ```
    pub fn get_or_insert_with_token(&self, key: K, make: impl FnOnce(&K, Token) -> P) -> P {
        self.get_or_try_insert_with_token(key, |key, token| Ok(make(key, token)))
            .unwrap_or_else(|refusal: Refusal| refusal.panic())
    }

    /// As [`get_or_insert_with_token`](Self::get_or_insert_with_token), by a factory that may fail: its error comes back as it is.
    ///
    /// # Errors
    /// As [`get_or_try_insert_with`](Self::get_or_try_insert_with).
    pub fn get_or_try_insert_with_token<E: From<CycleError> + From<ClosedError>>(
        &self,
        key: K,
        make: impl FnOnce(&K, Token) -> Result<P, E>,
    ) -> Result<P, E> {
        let hash = hash_key(&self.hasher, &key);
        if let Some(live) = self.store.view_keyed(hash, &key, Slot::live) {
            return Ok(after((key, make), live));
        }
        let make = |key: &K| {
            let token = Token::new();
            let binder = token.binder();
            let value = make(key, token)?;
            let watching = Watching::by(binder.bind(self.store.notify_prompt(hash)));
            Ok((WeakSlot::watched(&value, watching), value))
        };
        let landed = self.store.create_keyed(hash, key, Accept::All, make);
        landed.map(Landed::into_live)
    }

    /// As [`insert`](Self::insert), for a value that carries a [`Token`], which `token` shows: the entry goes when the token is dropped, which is when
    /// the value is.
    ///
    /// *Runs* `token` too, with no lock held; if it panics, nothing is entered.
    ///
    /// # Panics
    /// When the map is closed.
    ///
    /// ```
    /// use highlander::{Token, WeakValueMap};
    /// use std::sync::Arc;
    ///
    /// struct Socket { port: u16, token: Token }
    ///
    /// let map: WeakValueMap<&str, Arc<Socket>> = WeakValueMap::new();
    /// let socket = Arc::new(Socket { port: 80, token: Token::new() });
    /// map.insert_with_token("http", socket.clone(), |socket| &socket.token);
    /// map.insert_with_token("www", socket.clone(), |socket| &socket.token);
    /// assert_eq!((map.entries(), socket.port), (2, 80));
    /// drop(socket);
    /// assert_eq!(map.entries(), 0);
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
            Err(_) => Refusal::Closed(ClosedError::new()).panic(),
        }
    }
}
