//! Who has made what, who owns it, and what has gone.

use crate::support::{pause, Key};
use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard};

/// Kept in a mutex of the system's, which is no step of an interleaving: it is held for no longer than a call here takes.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    made: u64,
    /// The numbers of values that have not been dropped.
    alive: HashMap<u64, Key>,
    /// The value that is owned, and by how many.
    owned: HashMap<Key, (u64, usize)>,
    /// Keys that a factory is making a value for.
    creating: HashSet<Key>,
    failed: usize,
    refused: usize,
}

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// A new value, as a factory makes it.
    pub fn value(&self, key: Key) -> Value {
        let mut books = self.books();
        let number = books.made;
        books.made += 1;
        books.alive.insert(number, key);
        drop(books);
        Value {
            key,
            number,
            ledger: self.clone(),
        }
    }

    /// A factory of this key is at work, while the result stands; and no other one is.
    pub fn creating(&self, key: Key) -> Creating {
        let alone = self.books().creating.insert(key);
        assert!(alone, "two factories of {key:?} at a time");
        Creating(key, self.clone())
    }

    /// A factory that makes nothing.
    pub fn fails(&self) {
        self.books().failed += 1;
    }

    /// A call that comes back with the failure of its own factory.
    pub fn was_refused(&self) {
        self.books().refused += 1;
    }

    pub fn made(&self) -> u64 {
        self.books().made
    }

    /// How many values of this key have not been dropped, or are in the middle of it.
    pub fn alive(&self, key: Key) -> usize {
        let books = self.books();
        books.alive.values().filter(|&&other| other == key).count()
    }

    pub fn is_alive(&self, value: &Value) -> bool {
        self.books().alive.contains_key(&value.number)
    }

    /// The caller owns this value, while the result stands; and all others who own one of this key own the same.
    pub fn owned<P: Deref<Target = Value>>(&self, owner: P) -> Owned<P> {
        let (key, number) = (owner.key, owner.number);
        let mut books = self.books();
        assert_eq!(books.alive.get(&number), Some(&key), "owned, but dropped");
        let entry = books.owned.entry(key).or_insert((number, 0));
        assert_eq!(entry.0, number, "two live values of {key:?}");
        entry.1 += 1;
        drop(books);
        Owned {
            owner,
            ledger: self.clone(),
        }
    }

    /// At the end, when nobody owns anything any more: all that was made has been dropped, and all that failed was told.
    pub fn settle(&self) {
        let books = self.books();
        assert!(books.owned.is_empty(), "owned at the end");
        assert!(
            books.alive.is_empty(),
            "made and not dropped: {:?}",
            books.alive
        );
        assert_eq!(
            books.failed, books.refused,
            "failures, and calls that failed"
        );
    }
}

/// See [`Ledger::creating`].
pub struct Creating(Key, Ledger);

impl Drop for Creating {
    fn drop(&mut self) {
        self.1.books().creating.remove(&self.0);
    }
}

/// See [`Ledger::owned`].
pub struct Owned<P: Deref<Target = Value>> {
    owner: P,
    ledger: Ledger,
}

impl<P: Deref<Target = Value>> Deref for Owned<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.owner
    }
}

impl<P: Deref<Target = Value>> Drop for Owned<P> {
    /// Before the owner itself goes.
    fn drop(&mut self) {
        let mut books = self.ledger.books();
        let key = self.owner.key;
        let entry = books.owned.get_mut(&key).expect("owned");
        entry.1 -= 1;
        if entry.1 == 0 {
            books.owned.remove(&key);
        }
    }
}

/// What a map keeps under a key.
pub struct Value {
    pub key: Key,
    pub number: u64,
    ledger: Ledger,
}

impl Drop for Value {
    fn drop(&mut self) {
        // Its end takes its time.
        pause();
        let gone = self.ledger.books().alive.remove(&self.number);
        assert_eq!(gone, Some(self.key), "dropped twice");
    }
}
