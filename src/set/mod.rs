//! A set that holds its members weakly, in the order in which they came. `iter` has the calls that iterate,
//! `weak` those that take weak pointers, `algebra` those that compare and combine sets.

pub(crate) mod epoch_list;
pub(crate) mod members;
#[cfg(feature = "serde")]
pub(crate) mod serial;

mod algebra;
mod iter;
mod weak;

pub use iter::WeakSetIter;

use crate::memory::hash::DefaultHashBuilder;
use crate::memory::panics::after;
use crate::pointer::keying::{Asked, ByEquality, Keying};
use crate::pointer::notify::Notify;
use crate::pointer::token::Token;
#[allow(unused_imports)] // for the documentation
use crate::pointer::traits::Pointer;
use crate::pointer::traits::{DeathReport, SyncPointer};
use crate::pointer::watchers::Registration;
use crate::set::epoch_list::pin;
use crate::set::members::{Cursor, Member, Members};
use crate::sync::{const_fn, OnceCell};
use equivalent::Equivalent;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// A set of weak members in insertion order: CPython's `WeakSet`, and the `Vec<Weak<dyn Listener>>` that
/// people write by hand.
///
/// ```
/// use highlander::map::ByAddress;
/// use highlander::WeakSet;
/// use std::sync::Arc;
///
/// trait Listener: Send + Sync { fn hear(&self, word: &str); }
/// struct Door;
/// impl Listener for Door { fn hear(&self, word: &str) { println!("a door hears {word}"); } }
///
/// static LISTENERS: WeakSet<Arc<dyn Listener>, ByAddress> = WeakSet::new();
///
/// let door: Arc<dyn Listener> = Arc::new(Door);
/// assert!(LISTENERS.insert(&door));
/// assert!(!LISTENERS.insert(&door));              // once only
/// LISTENERS.for_each(|listener| listener.hear("mellon"));
/// drop(door);
/// assert_eq!(LISTENERS.len(), 0);                 // nobody has to unsubscribe
/// ```
///
/// # Which members are the same
/// [`ByEquality`] (unless said otherwise): those whose targets are equal; the first one stays.
/// [`ByAddress`](crate::map::ByAddress): the very same object; nothing of the target is hashed or compared.
///
/// # When a member dies
/// It is out of the set from that moment: no call shows it. (A call that compares or shows it just then is an
/// owner, and may be the last one.) Its *entry* goes
/// * before the last owner's drop returns, if the pointer reports deaths
///   ([`Watched`](crate::pointer::Watched)), or the value has a [`Token`] that it was entered with;
/// * otherwise (a plain `Arc`) when it is pruned. Each insertion and each removal looks at 4 entries, in
///   turn, and goes on while all of them are dead, up to 64. So a dead entry goes after a quarter as many
///   such calls as there are entries, or fewer. (The maps are swept in another way; see
///   [`Map`](crate::map::Map#dead-entries).) [`WeakSet::prune`] does it now.
///
/// A dead `Weak` keeps the memory of its value, so pruning frees that too. It is freed through
/// `crossbeam-epoch`, by a later call on any set, when the readers of that time have gone on.
///
/// # Before a member lives
/// [`insert_weak`](WeakSet::insert_weak) takes a weak pointer to an object that is still being made. From
/// then on its place in the order is taken, and no call shows it before it is finished. See there for what
/// becomes of it otherwise.
///
/// # Reading
/// Iteration takes no lock. It reads up to 16 owners at a time into a buffer of its own with the epoch pinned
/// once, and works on them unpinned. So a slow or stuck loop holds back the memory of only those 16, however
/// much is inserted and removed meanwhile. It shows, in order, each member that is in the set throughout, and
/// none that comes after it began. A member that is removed before its turn is not shown. The iteration never
/// fails, and ends even if its body inserts. [`WeakSet::version`] shows whether members came or went
/// meanwhile.
///
/// # What it costs
/// The order is what this type is made for; membership is looked up in 4 shards behind locks. So
/// [`WeakSet::contains`] and [`WeakSet::get`] write to a line that a quarter of all look-ups write to, and
/// from there follow two pointers, to the entry and to the member. With up to some thousands of members that
/// is faster than a hash set of `Weak`s under one read-write lock, on one thread and on two; in a set that
/// the caches do not hold, a hit takes up to twice as long as there, and a step of an iteration about three
/// times (a miss is faster everywhere). Where look-ups by many threads are what matters, take a
/// [`WeakKeyMap<P, ()>`](crate::WeakKeyMap): its look-ups take no lock, and half the time.
///
/// # Your code
/// `Hash` and `Eq` run with no lock held, and so do the drop of a member, [`Pointer::downgrade`] and
/// [`Pointer::watch`]. [`WeakPointer::upgrade`](crate::pointer::WeakPointer::upgrade) and `is_dead` may run
/// while the epoch is pinned: one of your own may do anything, but the memory of all users of the epoch waits
/// for it. The drop of a *weak* pointer of your own may run later and on another thread, when the epoch has
/// passed; a panic in it is swallowed. A panic in any other of them leaves the set as it was before the call
/// or as it is after it.
///
/// Members must be `Send` and `Sync`, since whoever drops a last owner changes the set.
pub struct WeakSet<P: SyncPointer, M = ByEquality, S = DefaultHashBuilder> {
    // Made by the first insertion, so that a set can be a `static`.
    members: OnceCell<Arc<Members<P>>>,
    hasher: S,
    keying: PhantomData<fn() -> M>,
}

impl<P: SyncPointer, M: Keying<P>> WeakSet<P, M> {
    const_fn! {
        /// Creates an empty set, which allocates nothing before its first member. Can be a `static`.
        pub const fn new() -> Self {
            Self::with_hasher(DefaultHashBuilder)
        }
    }
}

impl<P: SyncPointer, M, S> WeakSet<P, M, S> {
    const_fn! {
        /// Creates an empty set that hashes with `hasher`.
        pub const fn with_hasher(hasher: S) -> Self {
            Self {
                members: OnceCell::new(),
                hasher,
                keying: PhantomData,
            }
        }
    }

    /// Returns the hasher.
    pub fn hasher(&self) -> &S {
        &self.hasher
    }

    fn members(&self) -> &Arc<Members<P>> {
        self.members.get_or_init(Members::new)
    }

    /// Returns the number of live members. Exact when nothing is under way.
    ///
    /// *Complexity:* constant if all members report their death promptly; otherwise linear in
    /// [`WeakSet::entry_count`], as each is asked.
    pub fn len(&self) -> usize {
        self.members.get().map_or(0, |members| members.live())
    }

    /// Returns whether no member is alive.
    pub fn is_empty(&self) -> bool {
        self.members.get().is_none_or(|members| members.is_empty())
    }

    /// Returns the number of entries, including those of dead members that are not pruned yet, and those of
    /// members that do not live yet. Constant time.
    pub fn entry_count(&self) -> usize {
        self.members
            .get()
            .map_or(0, |members| members.entry_count())
    }

    /// Returns how many entries there is room for, including the room of dead and removed ones.
    pub fn capacity(&self) -> usize {
        self.members.get().map_or(0, |members| members.capacity())
    }

    /// Makes room for `additional` members to be entered one after the other: `capacity` is at least
    /// `entry_count + additional` then. A removal leaves a hole. When holes outnumber the members, they are
    /// closed, and the room is given back with them.
    ///
    /// Only the list is promised. The index by hash gets its room only if the set has not been used before;
    /// otherwise it grows as it needs to.
    ///
    /// *Waiting:* for other writers. It makes them wait for a time linear in `additional`, or in the size of
    /// the set if that is greater. So calling it before each insertion costs no more than the insertions.
    /// Readers go on.
    ///
    /// # Panics
    /// With "capacity overflow", when no list can have that size.
    ///
    /// ```
    /// use highlander::WeakSet;
    /// use std::sync::Arc;
    ///
    /// let set: WeakSet<Arc<u32>> = WeakSet::new();
    /// set.reserve(1000);
    /// let capacity = set.capacity();
    /// assert!(capacity >= 1000);
    /// let owned: Vec<_> = (0..1000).map(Arc::new).collect();
    /// set.extend(owned.iter().cloned());
    /// assert_eq!(set.capacity(), capacity);
    /// ```
    pub fn reserve(&self, additional: usize) {
        if additional > 0 {
            let guard = pin();
            let new = || Members::with_capacity(additional, &guard);
            self.members.get_or_init(new).reserve(additional);
        }
    }

    /// Gives back the room of removed members. Prunes first.
    ///
    /// *Waiting:* makes writers wait for a time linear in the size; readers go on.
    pub fn shrink_to_fit(&self) {
        if let Some(members) = self.members.get() {
            members.prune();
            members.shrink_to_fit();
        }
    }

    /// Takes out the entries of dead members. Returns how many this call has taken out. The entry of a member
    /// that does not live yet stays; see [`insert_weak`](Self::insert_weak).
    ///
    /// ```
    /// use highlander::WeakSet;
    /// use std::sync::Arc;
    ///
    /// let owned = [Arc::new(1), Arc::new(2)];
    /// let set: WeakSet<Arc<u32>> = owned.iter().cloned().collect();
    /// drop(owned);
    /// assert_eq!((set.len(), set.entry_count()), (0, 2));
    /// assert_eq!((set.prune(), set.entry_count()), (2, 0));
    /// ```
    pub fn prune(&self) -> usize {
        self.members.get().map_or(0, |members| members.prune())
    }

    /// Removes and returns the live member that came first, if there is one. Of several callers, each gets
    /// another one. *Complexity:* as of [`first`](Self::first).
    ///
    /// ```
    /// use highlander::WeakSet;
    /// use std::sync::Arc;
    ///
    /// let owned: Vec<_> = (1..4).map(Arc::new).collect();
    /// let queue: WeakSet<Arc<u32>> = owned.iter().cloned().collect();
    /// assert_eq!(queue.pop_first(), Some(owned[0].clone()));
    /// assert_eq!(queue.len(), 2);
    /// ```
    pub fn pop_first(&self) -> Option<P> {
        self.members.get()?.pop_first()
    }

    /// Removes the members for which `keep` returns false. Their owners keep them. Returns how many it has
    /// removed.
    ///
    /// *Runs* `keep` with no lock held; it may use the set.
    ///
    /// ```
    /// use highlander::WeakSet;
    /// use std::sync::Arc;
    ///
    /// let owned: Vec<_> = (1..5).map(Arc::new).collect();
    /// let set: WeakSet<Arc<u32>> = owned.iter().cloned().collect();
    /// assert_eq!(set.retain(|member| **member % 2 == 0), 2);
    /// assert_eq!(set.iter().map(|member| *member).collect::<Vec<_>>(), [2, 4]);
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&P) -> bool) -> usize {
        let Some(members) = self.members.get() else {
            return 0;
        };
        let (mut cursor, mut removed) = (Cursor::new(members), 0);
        while let Some((entry, member)) = cursor.next(members) {
            if !keep(&member) && members.remove(entry) {
                removed += 1;
            }
        }
        removed
    }

    /// Removes all live members, and iterates over their owners in order. All are out when this returns.
    ///
    /// ```
    /// use highlander::WeakSet;
    /// use std::sync::Arc;
    ///
    /// let owned: Vec<_> = (1..4).map(Arc::new).collect();
    /// let set: WeakSet<Arc<u32>> = owned.iter().cloned().collect();
    /// assert_eq!(set.drain().collect::<Vec<_>>(), owned);
    /// assert!(set.is_empty());
    /// ```
    pub fn drain(&self) -> impl ExactSizeIterator<Item = P> + use<P, M, S> {
        let mut taken = Vec::new();
        if let Some(members) = self.members.get() {
            let mut cursor = Cursor::new(members);
            while let Some((entry, member)) = cursor.next(members) {
                if members.remove(entry) {
                    taken.push(member);
                }
            }
            members.prune();
        }
        taken.into_iter()
    }

    /// Removes all members, dead, alive, or not alive yet. Those that come while this runs may stay. Returns
    /// how many entries it removed.
    pub fn clear(&self) -> usize {
        self.members.get().map_or(0, |members| members.clear())
    }

    /// Returns whether an equal member is in the set and alive, or with [`ByAddress`](crate::map::ByAddress)
    /// the same one.
    ///
    /// `asked` is the target or something equivalent to it; with `ByAddress`, the pointer.
    ///
    /// *Waiting:* for a writer of the same shard, a few instructions long. *Complexity:* constant on average.
    ///
    /// ```
    /// use highlander::WeakSet;
    /// use std::sync::Arc;
    ///
    /// let set: WeakSet<Arc<str>> = WeakSet::new();
    /// let member: Arc<str> = "one".into();
    /// set.insert(&member);
    /// assert!(set.contains("one") && !set.contains("two"));
    /// assert_eq!(set.get("one"), Some(member));
    /// ```
    pub fn contains<Q: ?Sized>(&self, asked: &Q) -> bool
    where
        M: Asked<P, Q>,
        S: BuildHasher,
    {
        self.find(asked).is_some()
    }

    /// Returns the member that is equal to `asked`, if it is alive. *Waiting* and complexity as for
    /// [`WeakSet::contains`].
    pub fn get<Q: ?Sized>(&self, asked: &Q) -> Option<P>
    where
        M: Asked<P, Q>,
        S: BuildHasher,
    {
        self.find(asked).map(|(_, member)| member)
    }

    /// Removes the member that is equal to `asked`. Returns whether there was one, alive. Of several callers,
    /// one gets true.
    ///
    /// ```
    /// use highlander::{map::ByAddress, WeakSet};
    /// use std::sync::Arc;
    ///
    /// static LISTENERS: WeakSet<Arc<dyn Fn() + Send + Sync>, ByAddress> = WeakSet::new();
    ///
    /// let listener: Arc<dyn Fn() + Send + Sync> = Arc::new(|| println!("told"));
    /// LISTENERS.insert(&listener);
    /// assert!(LISTENERS.remove(&listener) && !LISTENERS.remove(&listener));
    /// ```
    pub fn remove<Q: ?Sized>(&self, asked: &Q) -> bool
    where
        M: Asked<P, Q>,
        S: BuildHasher,
    {
        self.take(asked).is_some()
    }

    /// Removes the member that is equal to `asked`, and returns an owner.
    pub fn take<Q: ?Sized>(&self, asked: &Q) -> Option<P>
    where
        M: Asked<P, Q>,
        S: BuildHasher,
    {
        let (entry, member) = self.find(asked)?;
        let members = self.members.get()?;
        members.sweep();
        members.remove(entry).then_some(member)
    }

    fn find<Q: ?Sized>(&self, asked: &Q) -> Option<(u64, P)>
    where
        M: Asked<P, Q>,
        S: BuildHasher,
    {
        let members = self.members.get()?;
        let hash = M::hash_asked(&self.hasher, asked);
        members.find(hash, |stored| M::find(stored, asked))
    }
}

impl<P: SyncPointer, M: Keying<P>, S: BuildHasher> WeakSet<P, M, S> {
    /// Inserts a member at the end, unless an equal one is there and alive. Returns whether it was inserted.
    ///
    /// The set holds it weakly. If another thread inserts an equal one at the same time, one of the two gets
    /// true. A set of trait objects takes `&Arc<dyn Trait>`, and a reference to an `Arc<T>` does not become
    /// one: make the pointer first, `let member: Arc<dyn Trait> = arc.clone();`.
    ///
    /// *Waiting:* for other writers, a few instructions long. *Runs* `Hash`, `Eq`, [`Pointer::downgrade`] and
    /// [`Pointer::watch`], with no lock held. *Complexity:* constant on average and amortised; at times, room
    /// for more is allocated.
    ///
    /// ```
    /// use highlander::WeakSet;
    /// use std::sync::Arc;
    ///
    /// let set: WeakSet<Arc<&str>> = WeakSet::new();
    /// let (one, same) = (Arc::new("one"), Arc::new("one"));
    /// assert!(set.insert(&one));
    /// assert!(!set.insert(&same));        // the first one stays
    /// drop(one);
    /// assert!(!set.contains("one"));      // and dies, though an equal one lives
    /// assert!(set.insert(&same));
    /// ```
    pub fn insert(&self, member: &P) -> bool {
        self.enter_watched(member).is_none()
    }

    /// Returns the live member that is equal to this one. If there is none, enters this one at the end and
    /// returns it. *Waiting* and complexity as for [`WeakSet::insert`].
    ///
    /// ```
    /// use highlander::WeakSet;
    /// use std::sync::Arc;
    ///
    /// let set: WeakSet<Arc<str>> = WeakSet::new();
    /// let one = set.get_or_insert("katana".into());
    /// let same = set.get_or_insert("katana".into());
    /// assert!(Arc::ptr_eq(&one, &same));
    /// ```
    pub fn get_or_insert(&self, member: P) -> P {
        let existing = self.twin(&member).or_else(|| self.enter_watched(&member));
        match existing {
            Some(existing) => after(member, existing),
            None => member,
        }
    }

    /// Inserts a member as [`WeakSet::insert`] does. The value carries a [`Token`]: its entry goes when the
    /// token is dropped, which is when the value is dropped.
    ///
    /// `token` returns the value's token. It runs with no lock held, if the member is entered. If it panics,
    /// the member is taken out again.
    ///
    /// ```
    /// use highlander::map::ByAddress;
    /// use highlander::pointer::Token;
    /// use highlander::WeakSet;
    /// use std::sync::Arc;
    ///
    /// trait Plugin: Send + Sync { fn token(&self) -> &Token; }
    /// #[derive(Default)]
    /// struct Spell { token: Token }
    /// impl Plugin for Spell { fn token(&self) -> &Token { &self.token } }
    ///
    /// let plugins: WeakSet<Arc<dyn Plugin>, ByAddress> = WeakSet::new();
    /// let spell: Arc<dyn Plugin> = Arc::new(Spell::default());
    /// plugins.insert_with_token(&spell, |plugin| plugin.token());
    /// drop(spell);
    /// assert_eq!(plugins.entry_count(), 0);
    /// ```
    pub fn insert_with_token(
        &self,
        member: &P,
        token: impl for<'a> FnOnce(&'a P::Target) -> &'a Token,
    ) -> bool {
        // Not relied upon for `len`: a token can be forgotten.
        self.enter(member, |notify| {
            (Some(token(P::target(member)).bind(notify)), false)
        })
        .is_none()
    }

    /// Makes a member around a [`Token`] and enters it. If an equal one is there and alive, drops the new one
    /// and returns the one that is there.
    ///
    /// `make` is to store the token in the value. If it does not, or if it fails, nothing is wrong: the
    /// member's entry is pruned like that of any `Arc`. *Runs* `make` with no lock held; when it panics,
    /// nothing is entered.
    ///
    /// ```
    /// use highlander::map::ByAddress;
    /// use highlander::pointer::Token;
    /// use highlander::WeakSet;
    /// use std::sync::Arc;
    ///
    /// struct Process { id: u32, _token: Token }
    /// static CHILDREN: WeakSet<Arc<Process>, ByAddress> = WeakSet::new();
    ///
    /// let child = CHILDREN.create_with_token(|token| Arc::new(Process { id: 7, _token: token }));
    /// assert_eq!((CHILDREN.entry_count(), child.id), (1, 7));
    /// drop(child);
    /// assert_eq!(CHILDREN.entry_count(), 0);
    /// ```
    pub fn create_with_token(&self, make: impl FnOnce(Token) -> P) -> P {
        let token = Token::new();
        let binder = token.binder();
        let member = make(token);
        match self.enter(&member, |notify| (binder.bind(notify), false)) {
            Some(existing) => after(member, existing),
            None => member,
        }
    }

    /// Enters a member that reports its own death, if it can; see [`WeakSet::enter`].
    fn enter_watched(&self, member: &P) -> Option<P> {
        let watch = |notify| {
            P::Death::IS_REPORTED
                .then(|| P::watch(member, notify))
                .flatten()
        };
        self.enter(member, |notify| (watch(notify), P::Death::IS_PROMPT))
    }

    /// Returns the live member that is the same as this one. If there is none, enters this one.
    fn enter(
        &self,
        member: &P,
        watch: impl FnOnce(Notify) -> (Option<Registration>, bool),
    ) -> Option<P> {
        let hash = M::hash(&self.hasher, member);
        let members = self.members();
        members.sweep();
        let twin = |stored: &Member<P>| stored.owner(|stored| M::twin(stored, member));
        members.enter(hash, P::downgrade(member), true, twin, watch)
    }

    /// Returns the live member that is the same as this one.
    fn twin(&self, member: &P) -> Option<P> {
        let members = self.members.get()?;
        let hash = M::hash(&self.hasher, member);
        let (_, twin) = members.find(hash, |stored| M::twin(stored, member))?;
        Some(twin)
    }

    fn has(&self, member: &P) -> bool {
        self.twin(member).is_some()
    }

    /// Enters each member, as [`Extend`] does, in a set that is shared.
    pub fn extend(&self, members: impl IntoIterator<Item = P>) {
        for member in members {
            self.insert(&member);
        }
    }
}

impl<P, S> WeakSet<P, ByEquality, S>
where
    P: SyncPointer<Target: Hash + Eq>,
    S: BuildHasher,
{
    /// Returns the live member that is equal to `asked`. If there is none, makes one with `make` and enters
    /// it at the end.
    ///
    /// At most one live member is equal to `asked`. If two threads find none at the same time, both may run
    /// `make`. One of the two new members is entered, and both calls return that one; the other is dropped.
    /// (Where `make` must not run twice, take an [`Interner`](crate::Interner), or a
    /// [`WeakValueMap`](crate::WeakValueMap), whose creations wait for each other.)
    ///
    /// *Waiting* and complexity as for [`WeakSet::insert`]; nobody waits for `make`. *Runs* `make` with no
    /// lock held; it may use the set. When it panics, nothing is entered.
    ///
    /// # Panics
    /// When what `make` returns is not equal to `asked`. Nothing is entered then.
    ///
    /// ```
    /// use highlander::WeakSet;
    /// use std::sync::Arc;
    ///
    /// let names: WeakSet<Arc<str>> = WeakSet::new();
    /// let one = names.get_or_insert_with("katana", |name| name.into());
    /// let same = names.get_or_insert_with("katana", |_| unreachable!("it is there"));
    /// assert!(Arc::ptr_eq(&one, &same));
    /// ```
    pub fn get_or_insert_with<Q>(&self, asked: &Q, make: impl FnOnce(&Q) -> P) -> P
    where
        Q: ?Sized + Hash + Equivalent<P::Target>,
    {
        if let Some(existing) = self.get(asked) {
            return after(make, existing);
        }
        let member = make(asked);
        assert!(
            asked.equivalent(P::target(&member)),
            "the new member is not equal to what was asked for"
        );
        match self.enter_watched(&member) {
            Some(existing) => after(member, existing),
            None => member,
        }
    }
}

impl<P: SyncPointer, M, S: Default> Default for WeakSet<P, M, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<P: SyncPointer, M: Keying<P>, S: BuildHasher> Extend<P> for WeakSet<P, M, S> {
    fn extend<I: IntoIterator<Item = P>>(&mut self, members: I) {
        WeakSet::extend(self, members);
    }
}

impl<P: SyncPointer, M: Keying<P>, S: BuildHasher> Extend<P> for &WeakSet<P, M, S> {
    fn extend<I: IntoIterator<Item = P>>(&mut self, members: I) {
        WeakSet::extend(self, members);
    }
}

impl<'a, P: SyncPointer, M: Keying<P>, S: BuildHasher> Extend<&'a P> for WeakSet<P, M, S> {
    fn extend<I: IntoIterator<Item = &'a P>>(&mut self, members: I) {
        for member in members {
            self.insert(member);
        }
    }
}

impl<P: SyncPointer, M: Keying<P>, S: BuildHasher + Default> FromIterator<P> for WeakSet<P, M, S> {
    /// Creates a set of these members. The set does not keep them alive: they must have other owners.
    fn from_iter<I: IntoIterator<Item = P>>(members: I) -> Self {
        let set = Self::default();
        set.extend(members);
        set
    }
}

impl<P: SyncPointer, M, S> fmt::Debug for WeakSet<P, M, S>
where
    P::Target: fmt::Debug,
{
    /// Shows the live members.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = f.debug_set();
        self.iter().for_each(|member| {
            set.entry(&P::target(&member));
        });
        set.finish()
    }
}

// Why: see ARCHITECTURE.md, "Unwind safety".
impl<P: SyncPointer + UnwindSafe + RefUnwindSafe, M, S: UnwindSafe> UnwindSafe
    for WeakSet<P, M, S>
{
}
impl<P: SyncPointer + UnwindSafe + RefUnwindSafe, M, S: RefUnwindSafe> RefUnwindSafe
    for WeakSet<P, M, S>
{
}
impl<P: SyncPointer, M, S: Unpin> Unpin for WeakSet<P, M, S> {}
