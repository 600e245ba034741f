//! Who is connected, in order, and for each sender the list of those to be called.

use super::receiver::{Receiver, ReceiverBody};
use super::receiver_id::ReceiverId;
use crate::map::ByAddress;
use crate::memory::panics::after;
use crate::pointer::{Registration, SyncPointer, WeakPointer};
use crate::sync::{full_barrier, AtomicU64, Mutex, MutexGuard, Ordering};
use crate::{StrongMap, WeakKeyMap};
use std::any::{Any, TypeId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What makes two connections the same, beside their sender.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum SenderKey {
    Receiver(ReceiverId),
    Uid(Arc<str>),
}

/// What there is one connection of: a key, and the number of a sender.
type Position = (SenderKey, Option<u64>);

/// So many lists for single senders are worth giving their table back when they are forgotten.
const MANY_SENDERS: usize = 1000;

/// One object's methods that are connected, each a receiver that lives as long as the object.
type Methods<A, R> = Arc<Mutex<Vec<(TypeId, Receiver<A, R>)>>>;

/// The methods of all objects behind one type of pointer.
type MethodsOf<Q, A, R> = WeakKeyMap<Q, Methods<A, R>, ByAddress>;

/// A [`MethodsOf`] of some type.
trait AnyMethods: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn prune(&self);
}

impl<Q: SyncPointer, A: ?Sized + 'static, R: 'static> AnyMethods for MethodsOf<Q, A, R> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn prune(&self) {
        WeakKeyMap::prune(self);
    }
}

pub(super) struct Connections<A: ?Sized + 'static, R: 'static, P: SyncPointer> {
    /// Nothing of a user's runs or is dropped under the lock.
    table: Mutex<ConnectionTable<A, R, P>>,
    /// Counts the changes of the table. Changed under its lock, read without.
    version: AtomicU64,
    /// The lists of who is to be called. One that is of an older version is not used. After a change nothing
    /// older stays here, as a list may be the last that has a receiver's body.
    for_all: StrongMap<(), Arc<ReceiverList<A, R>>>,
    for_one: WeakKeyMap<P, Arc<ReceiverList<A, R>>, ByAddress>,
    /// The senders of connections by number, which is no other sender's, now or later: so they can be
    /// compared under the lock, when nothing of the pointer's may run.
    senders: WeakKeyMap<P, u64, ByAddress>,
    next_sender: AtomicU64,
    /// By the type `Q` of the object's pointer: `MethodsOf<Q, A, R>`.
    methods: StrongMap<TypeId, Arc<dyn AnyMethods>>,
}

struct ConnectionTable<A: ?Sized + 'static, R: 'static, P: SyncPointer> {
    /// By number: in the order in which they were connected.
    entries: BTreeMap<u64, Arc<ConnectionEntry<A, R, P>>>,
    /// The number of the one at each place.
    places: HashMap<Position, u64>,
    /// The numbers of those that may die without being told of it.
    mortal: BTreeSet<u64>,
    next: u64,
}

impl<A: ?Sized + 'static, R: 'static, P: SyncPointer> ConnectionTable<A, R, P> {
    fn enter(&mut self, entry: Arc<ConnectionEntry<A, R, P>>) {
        self.places.insert(entry.place(), entry.number);
        if entry.is_mortal() {
            self.mortal.insert(entry.number);
        }
        self.entries.insert(entry.number, entry);
    }

    fn take_out(&mut self, number: u64) -> Option<Arc<ConnectionEntry<A, R, P>>> {
        let entry = self.entries.remove(&number)?;
        self.places.remove(&entry.place());
        self.mortal.remove(&number);
        Some(entry)
    }
}

struct ConnectionEntry<A: ?Sized + 'static, R: 'static, P: SyncPointer> {
    number: u64,
    key: SenderKey,
    sender: Option<(u64, P::Weak)>,
    body: Arc<dyn ReceiverBody<A, R>>,
    // Before the owner, whose end is then nobody's business.
    _registration: Registration,
    _owner: Option<Receiver<A, R>>,
}

impl<A: ?Sized + 'static, R: 'static, P: SyncPointer> ConnectionEntry<A, R, P> {
    fn sender(&self) -> Option<u64> {
        self.sender.as_ref().map(|(number, _)| *number)
    }

    fn place(&self) -> Position {
        (self.key.clone(), self.sender())
    }

    /// Whether it may die without being told of it.
    fn is_mortal(&self) -> bool {
        self.sender.is_some() || self.body.is_mortal()
    }

    /// Runs code of foreign pointers.
    fn is_dead(&self) -> bool {
        let dead_sender = |(_, sender): &(u64, P::Weak)| sender.is_dead();
        self.sender.as_ref().is_some_and(dead_sender) || self.body.is_dead()
    }
}

/// Who is to be called.
pub(super) struct ReceiverList<A: ?Sized, R> {
    version: u64,
    pub(super) bodies: Box<[Arc<dyn ReceiverBody<A, R>>]>,
}

impl<A: ?Sized + 'static, R: 'static, P: SyncPointer> Default for Connections<A, R, P> {
    fn default() -> Self {
        Self {
            table: Mutex::new(ConnectionTable {
                entries: BTreeMap::new(),
                places: HashMap::new(),
                mortal: BTreeSet::new(),
                next: 0,
            }),
            version: AtomicU64::new(0),
            for_all: StrongMap::new(),
            for_one: WeakKeyMap::new_sync(),
            senders: WeakKeyMap::new_sync(),
            next_sender: AtomicU64::new(0),
            methods: StrongMap::new(),
        }
    }
}

impl<A: ?Sized + 'static, R: 'static, P: SyncPointer> Connections<A, R, P> {
    fn table(&self) -> MutexGuard<'_, ConnectionTable<A, R, P>> {
        self.table.lock()
    }

    pub(super) fn len(&self) -> usize {
        self.table().entries.len()
    }

    /// A change of the table has been made, and its lock is still held.
    fn changed(&self, table: MutexGuard<'_, ConnectionTable<A, R, P>>) {
        // Release: who sees the number sees the change that came before.
        self.version.fetch_add(1, Ordering::AcqRel);
        drop(table);
        self.forget_lists();
    }

    fn forget_lists(&self) {
        // Pairs with the fence in `fill`: either this finds the list that is entered there, or the change is
        // seen there.
        full_barrier();
        self.for_all.clear();
        if self.for_one.clear() > MANY_SENDERS {
            // Or each later change would go through as large a table.
            self.for_one.shrink_to_fit();
        }
    }

    /// Whether it was connected. `owned` says whether the receiver is to be owned.
    pub(super) fn connect(
        self: &Arc<Self>,
        key: SenderKey,
        sender: Option<&P>,
        receiver: &Receiver<A, R>,
        owned: bool,
    ) -> bool {
        self.bury();
        let number_of = |_: &P| self.next_sender.fetch_add(1, Ordering::Relaxed);
        let sender = sender.map(|sender| {
            let number = self.senders.get_or_insert_with(sender, number_of);
            (number, P::downgrade(sender))
        });
        let number = {
            let mut table = self.table();
            table.next += 1;
            table.next
        };
        let connections = Arc::downgrade(self);
        let registration = receiver.on_death(move || {
            if let Some(connections) = connections.upgrade() {
                connections.remove(|_| [number]);
            }
        });
        let entry = Arc::new(ConnectionEntry {
            number,
            key,
            sender,
            body: Arc::clone(receiver.body()),
            _registration: registration,
            _owner: owned.then(|| receiver.clone()),
        });
        let mut table = self.table();
        if table.places.contains_key(&entry.place()) {
            // Else its drop would come before that of the lock.
            drop(table);
            return false;
        }
        table.enter(entry);
        self.changed(table);
        true
    }

    /// Takes out those of these numbers that are in. How many.
    fn remove<N: IntoIterator<Item = u64>>(
        &self,
        which: impl FnOnce(&ConnectionTable<A, R, P>) -> N,
    ) -> usize {
        let mut table = self.table();
        let numbers = which(&table);
        let out = numbers.into_iter().filter_map(|n| table.take_out(n));
        // Dropped at the end, when the lock is not held.
        let gone: Vec<_> = out.collect();
        if !gone.is_empty() {
            self.changed(table);
        }
        gone.len()
    }

    pub(super) fn disconnect(&self, key: &SenderKey, sender: Option<&P>) -> bool {
        let sender = match sender.map(|sender| self.senders.get(sender)) {
            // Nothing was ever connected to it.
            Some(None) => return false,
            number => number.flatten(),
        };
        let place = (key.clone(), sender);
        self.remove(|table| table.places.get(&place).copied()) > 0
    }

    pub(super) fn clear(&self) -> usize {
        self.remove(|table| table.entries.keys().copied().collect::<Vec<_>>())
    }

    /// Takes out connections of methods whose objects cannot report their death and are dead, and of dead
    /// senders.
    pub(super) fn bury(&self) {
        let mortal: Vec<_> = {
            let table = self.table();
            let mortal = table.mortal.iter().filter_map(|n| table.entries.get(n));
            mortal.cloned().collect()
        };
        let dead: Vec<_> = mortal
            .iter()
            .filter(|entry| entry.is_dead())
            .map(|entry| entry.number)
            .collect();
        if !dead.is_empty() {
            self.remove(|_| dead);
            self.senders.prune();
            self.methods.values().for_each(|methods| methods.prune());
        }
    }

    /// The receiver that stands for a method of an object; made if it is not there and `make` says how.
    pub(super) fn method<Q: SyncPointer>(
        &self,
        object: &Q,
        method: TypeId,
        make: Option<impl FnOnce() -> Receiver<A, R>>,
    ) -> Option<Receiver<A, R>> {
        let of_type = TypeId::of::<Q>();
        let maps = match &make {
            None => self.methods.get(&of_type)?,
            Some(_) => self
                .methods
                .get_or_insert_with(of_type, |_| Arc::new(MethodsOf::<Q, A, R>::new_sync())),
        };
        let map = maps
            .as_any()
            .downcast_ref::<MethodsOf<Q, A, R>>()
            .expect("entered under the type of its keys");
        let methods = match &make {
            None => map.get(object)?,
            Some(_) => map.get_or_insert_with(object, |_| Methods::default()),
        };
        let find = |methods: &[(TypeId, Receiver<A, R>)]| {
            let found = methods.iter().find(|(other, _)| *other == method);
            found.map(|(_, receiver)| receiver.clone())
        };
        let found = find(&methods.lock());
        if found.is_some() {
            return after((make, methods), found);
        }
        // Runs `downgrade`, so not under the lock. One of two that are made at the same time stays.
        let made = make?();
        let mut locked = methods.lock();
        let found = find(&locked);
        if found.is_none() {
            locked.push((method, made.clone()));
        }
        // The lock first: the one that is not needed drops a weak pointer.
        drop(locked);
        match found {
            Some(found) => after((made, methods), Some(found)),
            None => after(methods, Some(made)),
        }
    }

    /// Shows the list of those who are to be called now, which stays as it is until `f` returns.
    #[inline]
    pub(super) fn with_list<T>(
        &self,
        sender: Option<&P>,
        f: impl FnOnce(&Arc<ReceiverList<A, R>>) -> T,
    ) -> T {
        // Acquire: pairs with `changed`. What has been disconnected before this send began is not in a list
        // of this version.
        let version = self.version.load(Ordering::Acquire);
        let mut f = Some(f);
        let mut view = |list: &Arc<ReceiverList<A, R>>| {
            let f = if list.version == version {
                f.take()
            } else {
                None
            };
            f.map(|f| f(list))
        };
        let found = match sender {
            None => self.for_all.with(&(), &mut view),
            Some(sender) => self.for_one.with(sender, &mut view),
        };
        match (found.flatten(), f) {
            (Some(result), _) => result,
            (None, Some(f)) => {
                let list = self.fill(sender);
                let result = f(&list);
                // It may be the last that has a receiver's body.
                after(list, result)
            }
            (None, None) => unreachable!("called, so there is a result"),
        }
    }

    /// Makes a list, and keeps it if it is still true then.
    #[cold]
    fn fill(&self, sender: Option<&P>) -> Arc<ReceiverList<A, R>> {
        self.bury();
        let (version, entries) = {
            let table = self.table();
            let entries: Vec<_> = table.entries.values().cloned().collect();
            (self.version.load(Ordering::Relaxed), entries)
        };
        let number = sender.and_then(|sender| self.senders.get(sender));
        let meant = |entry: &&Arc<ConnectionEntry<A, R, P>>| {
            entry.sender.is_none() || number.is_some_and(|number| entry.sender() == Some(number))
        };
        let mut bodies: Vec<_> = entries
            .iter()
            .filter(meant)
            .map(|entry| Arc::clone(&entry.body))
            .collect();
        // Now, not at the end: it may drop what a receiver has captured, and if that panics there, the list
        // would leak.
        drop(entries);
        order(&mut bodies);
        let list = Arc::new(ReceiverList {
            version,
            bodies: bodies.into(),
        });
        match sender {
            None => drop(self.for_all.insert((), Arc::clone(&list))),
            Some(sender) => drop(self.for_one.insert(sender, Arc::clone(&list))),
        }
        // A change counts first and forgets the lists then; here it is the other way round. With a fence
        // between the two in both places, one sees the other.
        full_barrier();
        if self.version.load(Ordering::Relaxed) != version {
            let same = |other: &Arc<ReceiverList<A, R>>| Arc::ptr_eq(other, &list);
            match sender {
                None => drop(self.for_all.remove_if(&(), |_, other| same(other))),
                Some(sender) => drop(self.for_one.remove_if(sender, |_, other| same(other))),
            }
        }
        list
    }
}

/// Those that are not futures first.
#[cfg(feature = "async")]
fn order<A: ?Sized, R>(bodies: &mut [Arc<dyn ReceiverBody<A, R>>]) {
    bodies.sort_by_key(|body| body.is_future());
}

#[cfg(not(feature = "async"))]
fn order<A: ?Sized, R>(_: &mut [Arc<dyn ReceiverBody<A, R>>]) {}
