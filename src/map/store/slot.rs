//! The two ways in which a map keeps the keys or the values of its entries: as they are, or weakly.
//!
//! The maps are written once, over these. Users can name the traits that say which types there are. They
//! cannot name the traits that do the work.

use crate::deadlock::work::GivenUp;
use crate::map::store::watching::Watching;
use crate::memory::hash::hash_key;
use crate::memory::panics::after;
use crate::pointer::keying::{Asked, Keying};
#[allow(unused_imports)] // for the documentation
use crate::pointer::keying::{ByAddress, ByEquality};
use crate::pointer::notify::Notify;
use crate::pointer::traits::{DeathReport, Pointer, WeakPointer};
use crate::table::exclusive::Exclusive;
use equivalent::Equivalent;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::sync::Arc;

/// Keys as a map keeps them: an [`OwnedSlot`], or a [`WeakSlot`] that says how its pointers are compared. It
/// cannot be implemented outside.
#[allow(private_bounds)] // How it is done concerns nobody else.
pub trait KeySlot: Slot<Shown = <Self as KeySlot>::Key, Raw = <Self as KeySlot>::Stored> {
    /// The key: `K`, or the pointer that is a weak key.
    type Key;
    /// The stored part, which a removal hook is shown: `K`, or the weak pointer.
    type Stored;
    /// The parameter of a call that enters a key: `K`, or a reference to the pointer, which the map does not
    /// keep.
    type Given<'a>
    where
        Self: 'a;
}

/// Keys that can be hashed and compared. It cannot be implemented outside.
#[diagnostic::on_unimplemented(
    message = "these keys cannot be looked up: `{Self}`",
    label = "needs `Hash` and `Eq`, of a weak key the target does; or compare weak keys with `ByAddress`"
)]
#[allow(private_bounds)]
pub trait HashedKey: KeySlot + Compares {}

/// Says what a map with such keys can be asked for: anything that is [`Equivalent`] to a kept key, or to what
/// a weak key leads to; the pointer itself with [`ByAddress`]. It cannot be implemented outside.
#[diagnostic::on_unimplemented(
    message = "a map with the keys `{Self}` cannot be asked for a `{Q}`",
    label = "takes the key, or what is `Equivalent` and hashes alike; with `ByAddress` the pointer itself"
)]
#[allow(private_bounds)]
pub trait Lookup<Q: ?Sized>: HashedKey + Finds<Q> {}

/// A side that is weak. It cannot be implemented outside.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not held weakly",
    label = "this map keeps it as it is"
)]
#[allow(private_bounds)]
pub trait WeakSide: IsWeak<<Self as WeakSide>::Weak> {
    /// The weak pointer.
    type Weak: WeakPointer;
}

/// One side of an entry. All of it may be user code, which is never called under a lock. The exception is an
/// `is_dead` that is quiet.
pub(crate) trait Slot: Sized {
    /// The stored part, which hooks are shown.
    type Raw;
    /// The owner that keeps it alive while somebody uses the entry.
    type Live: Clone;
    /// The part that everybody else is shown: the key or the value, or the pointer that owns it.
    type Shown;
    /// True if `is_dead` does nothing but read memory: it neither calls anything nor waits nor panics. It is
    /// ours, or somebody has promised it (`Quiet`).
    const IS_DEAD_IS_QUIET: bool;
    /// True for a weak pointer. Then an entry that is dropped a little later holds back nothing of the user's
    /// but its key.
    const IS_WEAK: bool;
    /// True if a map can be notified of the end of the destructor of the target.
    const REPORTS_END: bool;

    /// Creates the side of a new entry, and the owner that keeps it alive meanwhile.
    fn new(shown: Self::Shown) -> (Self, Self::Live);
    /// Returns what this side was made of, since it was not entered.
    fn into_shown(self, live: Self::Live) -> Self::Shown;

    fn stored(&self) -> &Self::Raw;
    fn is_dead(&self) -> bool;
    fn live(&self) -> Option<Self::Live>;
    fn shown<'a>(&'a self, live: &'a Self::Live) -> &'a Self::Shown;
    fn owner(&self, live: Self::Live) -> Self::Shown
    where
        Self::Shown: Clone;

    /// Returns whether both are the very same, so that putting one in the place of the other changes nothing.
    fn are_same(one: &Self::Shown, other: &Self::Shown) -> bool;

    /// Returns an owner of what is shown, if it is alive.
    #[inline(always)]
    fn live_owner(&self) -> Option<Self::Shown>
    where
        Self::Shown: Clone,
    {
        Some(self.owner(self.live()?))
    }

    /// Registers for its death, if it can report its death and nobody has registered yet.
    #[inline(always)]
    fn watch(&mut self, live: &Self::Live, notify: impl FnOnce() -> Option<Notify>) {
        let _ = (live, notify);
    }

    /// Registers an exclusive map for its death and the end of its destructor. To be called before it is
    /// linked.
    fn expect_end(&mut self, live: &Self::Live, exclusive: &Arc<Exclusive>, hash: u64) {
        let _ = (live, exclusive, hash);
    }

    /// Makes an exclusive map wait for the end of the value from now on, if the value is dead. To be called
    /// before its entry is unlinked.
    fn before_unlink(&self) {}

    /// Ends the registration of an exclusive map if the value is alive: nobody waits for its end. To be
    /// called after its entry was unlinked.
    fn after_unlink(&self) {}

    /// Says that the value will never be in its map. An exclusive map waits for its end; but only until its
    /// entry has gone, unless the value `has_failed` itself.
    fn abandon(&self, given_up: GivenUp<'_>) {
        let _ = given_up;
    }
}

/// How keys are hashed, compared and entered.
pub(in crate::map) trait Compares: KeySlot {
    /// True if the first of several equal keys stays: a new value goes into an entry with the old key.
    /// Otherwise the new key comes with its value.
    const FIRST_STAYS: bool;

    fn hash<S: BuildHasher>(hasher: &S, key: &Self::Key) -> u64;

    /// Returns whether this stored key is alive and the same as `key`.
    fn is(&self, key: &Self::Key) -> bool;

    /// Returns the owner that keeps this stored key alive. It is the same as `key`.
    fn live_as(&self, key: &Self::Key) -> Option<Self::Live>;

    fn key<'b>(given: &'b Self::Given<'_>) -> &'b Self::Key;

    /// Returns the key with which a creation begins.
    fn into_key(given: Self::Given<'_>) -> Self::Key;

    /// Returns the key of a new entry, watched as `watch` says, and the owner that keeps it alive.
    fn first<'a>(
        given: Self::Given<'a>,
        watch: impl FnOnce(&Self::Key) -> Watching,
    ) -> (Self, &'a Self::Live);

    /// Returns the key of an entry that is to take the place of one with an equal key. It is watched as that
    /// one was, or else as `watch` says.
    fn successor<'a>(
        given: Self::Given<'a>,
        old: (&Self, &Self::Live),
        watch: impl FnOnce(&Self::Key) -> Watching,
    ) -> (Self, &'a Self::Live);

    /// Returns what was given for a key that was not entered.
    fn given_back<'a>(self, live: &'a Self::Live) -> Self::Given<'a>;

    /// Calls `to` with a key, as calls that enter a key take it.
    fn give<R>(key: Self::Key, to: impl FnOnce(Self::Given<'_>) -> R) -> R;
}

/// How a map is asked for a key.
pub(in crate::map) trait Finds<Q: ?Sized>: KeySlot {
    fn hash_asked<S: BuildHasher>(hasher: &S, asked: &Q) -> u64;

    /// Returns whether this stored key is alive and the one that is asked for.
    fn is_asked(&self, asked: &Q) -> bool;

    /// Returns the owner that keeps this stored key alive. It is the one that is asked for.
    fn live_asked(&self, asked: &Q) -> Option<Self::Live>;

    /// Returns whether this key is the one that is asked for.
    fn is_asked_key(key: &Self::Key, asked: &Q) -> bool;
}

/// A side that is a weak pointer.
pub(in crate::map) trait IsWeak<W: WeakPointer>: Slot {
    /// Creates a side as `new` does, with this registration.
    fn new_watched(shown: Self::Shown, watching: Watching) -> (Self, Self::Live);

    fn weak(&self) -> &W;
}

/// A key or a value that the map keeps: it lives as long as its entry.
pub struct OwnedSlot<T>(pub(crate) T);

impl<T> fmt::Debug for OwnedSlot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedSlot").finish_non_exhaustive()
    }
}

impl<T> KeySlot for OwnedSlot<T> {
    type Key = T;
    type Stored = T;
    type Given<'a>
        = T
    where
        Self: 'a;
}

impl<T> Slot for OwnedSlot<T> {
    type Raw = T;
    type Live = ();
    type Shown = T;
    const IS_DEAD_IS_QUIET: bool = true;
    const IS_WEAK: bool = false;
    const REPORTS_END: bool = false;

    #[inline]
    fn new(shown: T) -> (Self, ()) {
        (Self(shown), ())
    }

    #[inline]
    fn into_shown(self, (): ()) -> T {
        self.0
    }

    #[inline]
    fn stored(&self) -> &T {
        &self.0
    }

    #[inline]
    fn is_dead(&self) -> bool {
        false
    }

    #[inline]
    fn live(&self) -> Option<()> {
        Some(())
    }

    #[inline]
    fn shown<'a>(&'a self, (): &'a ()) -> &'a T {
        &self.0
    }

    #[inline]
    fn owner(&self, (): ()) -> T
    where
        T: Clone,
    {
        self.0.clone()
    }

    fn are_same(_: &T, _: &T) -> bool {
        false
    }
}

impl<K: Hash + Eq> HashedKey for OwnedSlot<K> {}

impl<K: Hash + Eq> Compares for OwnedSlot<K> {
    const FIRST_STAYS: bool = false;

    #[inline(always)]
    fn hash<S: BuildHasher>(hasher: &S, key: &K) -> u64 {
        hash_key(hasher, key)
    }

    #[inline(always)]
    fn is(&self, key: &K) -> bool {
        *key == self.0
    }

    fn live_as(&self, _: &K) -> Option<()> {
        Some(())
    }

    fn key(given: &K) -> &K {
        given
    }

    fn into_key(given: K) -> K {
        given
    }

    fn first<'a>(given: K, _: impl FnOnce(&K) -> Watching) -> (Self, &'a ()) {
        (Self(given), &())
    }

    fn successor<'a>(given: K, _: (&Self, &()), _: impl FnOnce(&K) -> Watching) -> (Self, &'a ()) {
        (Self(given), &())
    }

    fn given_back(self, (): &()) -> K {
        self.0
    }

    fn give<R>(key: K, to: impl FnOnce(K) -> R) -> R {
        to(key)
    }
}

impl<K, Q> Lookup<Q> for OwnedSlot<K>
where
    K: Hash + Eq,
    Q: ?Sized + Hash + Equivalent<K>,
{
}

impl<K, Q> Finds<Q> for OwnedSlot<K>
where
    K: Hash + Eq,
    Q: ?Sized + Hash + Equivalent<K>,
{
    #[inline(always)]
    fn hash_asked<S: BuildHasher>(hasher: &S, asked: &Q) -> u64 {
        hash_key(hasher, asked)
    }

    #[inline(always)]
    fn is_asked(&self, asked: &Q) -> bool {
        asked.equivalent(&self.0)
    }

    fn live_asked(&self, _: &Q) -> Option<()> {
        Some(())
    }

    fn is_asked_key(key: &K, asked: &Q) -> bool {
        asked.equivalent(key)
    }
}

/// A key or a value that the map holds weakly: when it dies, the entry goes.
///
/// `X` says what else it is: a key that is compared [by equality](ByEquality) or [by address](ByAddress), a
/// value (`()`), or a value by which its entries can be found ([`Traced`](crate::map::slot::Traced)).
#[allow(private_bounds)]
pub struct WeakSlot<P: Pointer, X: Extra<P> = ()> {
    pub(in crate::map) weak: P::Weak,
    watching: Watching,
    pub(in crate::map) extra: X::Data,
}

impl<P: Pointer, X: Extra<P>> fmt::Debug for WeakSlot<P, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakSlot").finish_non_exhaustive()
    }
}

impl<P: Pointer, M: Keying<P>> KeySlot for WeakSlot<P, M> {
    type Key = P;
    type Stored = P::Weak;
    type Given<'a>
        = &'a P
    where
        Self: 'a;
}

/// The data of a weak side besides its pointer.
#[diagnostic::on_unimplemented(
    message = "`{P}` cannot be held weakly like this",
    label = "either it is no strong pointer, or what it leads to cannot be compared by equality",
    note = "weak keys without `Hash` and `Eq` are compared by identity: write `ByAddress` behind the other types"
)]
pub(crate) trait Extra<P: Pointer> {
    type Data: Send + Sync;

    fn of(weak: &P::Weak) -> Self::Data;
}

/// A value.
#[diagnostic::do_not_recommend]
impl<P: Pointer> Extra<P> for () {
    type Data = ();

    #[inline(always)]
    fn of(_: &P::Weak) {}
}

/// A key.
#[diagnostic::do_not_recommend]
impl<P: Pointer, M: Keying<P>> Extra<P> for M {
    type Data = PhantomData<fn() -> M>;

    #[inline(always)]
    fn of(_: &P::Weak) -> PhantomData<fn() -> M> {
        PhantomData
    }
}

#[allow(private_bounds)]
impl<P: Pointer, X: Extra<P>> WeakSlot<P, X> {
    fn of(weak: P::Weak, watching: Watching) -> Self {
        let extra = X::of(&weak);
        Self {
            weak,
            watching,
            extra,
        }
    }

    fn watched(pointer: &P, watching: Watching) -> Self {
        Self::of(P::downgrade(pointer), watching)
    }
}

impl<P: Pointer, X: Extra<P>> WeakSide for WeakSlot<P, X> {
    type Weak = P::Weak;
}

impl<P: Pointer, X: Extra<P>> IsWeak<P::Weak> for WeakSlot<P, X> {
    fn new_watched(shown: P, watching: Watching) -> (Self, P) {
        (Self::watched(&shown, watching), shown)
    }

    fn weak(&self) -> &P::Weak {
        &self.weak
    }
}

impl<P: Pointer, X: Extra<P>> Slot for WeakSlot<P, X> {
    type Raw = P::Weak;
    type Live = P;
    type Shown = P;
    const IS_DEAD_IS_QUIET: bool = P::Weak::IS_DEAD_IS_QUIET.is_some();
    const IS_WEAK: bool = true;
    const REPORTS_END: bool = <P::Death as DeathReport>::HAS_END;

    #[inline]
    fn new(shown: P) -> (Self, P) {
        (Self::watched(&shown, Watching::NOT), shown)
    }

    #[inline]
    fn into_shown(self, live: P) -> P {
        after(self, live)
    }

    #[inline]
    fn stored(&self) -> &P::Weak {
        &self.weak
    }

    #[inline]
    fn is_dead(&self) -> bool {
        self.weak.is_dead()
    }

    #[inline]
    fn live(&self) -> Option<P> {
        self.weak.upgrade()
    }

    #[inline]
    fn shown<'a>(&'a self, live: &'a P) -> &'a P {
        live
    }

    #[inline]
    fn owner(&self, live: P) -> P {
        live
    }

    fn are_same(one: &P, other: &P) -> bool {
        P::same(one, other)
    }

    #[inline(always)]
    fn watch(&mut self, live: &P, notify: impl FnOnce() -> Option<Notify>) {
        self.watching.begin(live, notify);
    }

    fn expect_end(&mut self, live: &P, exclusive: &Arc<Exclusive>, hash: u64) {
        self.watching.expect_end(live, exclusive, hash);
    }

    #[inline]
    fn before_unlink(&self) {
        self.watching.before_unlink(|| self.is_dead());
    }

    #[inline]
    fn after_unlink(&self) {
        self.watching.after_unlink(|| self.is_dead());
    }

    fn abandon(&self, given_up: GivenUp<'_>) {
        self.watching.abandon(given_up);
    }
}

impl<P: Pointer, X: Extra<P>> Drop for WeakSlot<P, X> {
    #[inline]
    fn drop(&mut self) {
        self.watching.on_entry_drop(|| self.weak.is_dead());
    }
}

impl<P: Pointer, M: Keying<P>> HashedKey for WeakSlot<P, M> {}

impl<P: Pointer, M: Keying<P>> Compares for WeakSlot<P, M> {
    const FIRST_STAYS: bool = true;

    #[inline(always)]
    fn hash<S: BuildHasher>(hasher: &S, key: &P) -> u64 {
        M::hash(hasher, key)
    }

    #[inline(always)]
    fn is(&self, key: &P) -> bool {
        M::same(&self.weak, key)
    }

    fn live_as(&self, key: &P) -> Option<P> {
        M::owner(&self.weak, key)
    }

    fn key<'b>(given: &'b &P) -> &'b P {
        given
    }

    fn into_key(given: &P) -> P {
        given.clone()
    }

    fn first<'a>(given: Self::Given<'a>, watch: impl FnOnce(&P) -> Watching) -> (Self, &'a P) {
        (Self::watched(given, watch(given)), given)
    }

    fn successor<'a>(
        given: Self::Given<'a>,
        (old, live): (&Self, &P),
        watch: impl FnOnce(&P) -> Watching,
    ) -> (Self, &'a P) {
        let watching = if old.watching.is_none() {
            watch(live)
        } else {
            old.watching.clone()
        };
        (Self::of(old.weak.clone(), watching), given)
    }

    fn given_back(self, live: &P) -> &P {
        live
    }

    fn give<R>(key: P, to: impl FnOnce(&P) -> R) -> R {
        let given = to(&key);
        after(key, given)
    }
}

impl<P, M, Q> Lookup<Q> for WeakSlot<P, M>
where
    P: Pointer,
    M: Asked<P, Q>,
    Q: ?Sized,
{
}

impl<P, M, Q> Finds<Q> for WeakSlot<P, M>
where
    P: Pointer,
    M: Asked<P, Q>,
    Q: ?Sized,
{
    #[inline(always)]
    fn hash_asked<S: BuildHasher>(hasher: &S, asked: &Q) -> u64 {
        M::hash_asked(hasher, asked)
    }

    #[inline(always)]
    fn is_asked(&self, asked: &Q) -> bool {
        M::matches(&self.weak, asked)
    }

    fn live_asked(&self, asked: &Q) -> Option<P> {
        M::found(&self.weak, asked)
    }

    fn is_asked_key(key: &P, asked: &Q) -> bool {
        M::matches(&P::downgrade(key), asked)
    }
}
