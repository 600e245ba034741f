//! Which types can be used after a panic was caught: all of them, if what they hold can.
//!
//! The compiler cannot see that, as there are atomics, locks and pointers to nodes in each. The argument is the same for all. Code of users (`Hash`, `Eq`, a
//! factory, a hook, a destructor, a waker) runs where the structures of this crate are complete: no lock is held, and whatever was begun is finished or taken back by a guard
//! while the panic goes by. So nothing is ever half-changed, nothing is poisoned, and what is seen after a panic is what a call on another thread could have seen. What
//! is left are the values themselves. They are seen by reference, and given out and taken by value, so they must bear both.
//!
//! Pointers are as `Arc`: they give out references only. Functions that were given to be called later (hooks, watchers, tasks, sinks) are types that nobody can name any more. They count
//! as safe: each call of one is a call of its own, as for functions in `std::panic::set_hook`, and what it shares with others is for its author to see to.
//!
//! All keep what they hold elsewhere and never hand out a pinned reference into themselves, so they are `Unpin` whatever they hold.

use crate::create::claim::Creator;
use crate::map::map_maker::OnRemove;
use crate::recent::WeakValued;
use crate::registries::finalizers::{Finalizer, Finalizers, Mortal};
use crate::registries::logging::{Handler, Logger, Logging};
use crate::registries::signals::{Receiver, Signal};
use crate::registry::intern::internable::Internable;
use crate::{
    Handle, Interned, Interner, Notify, Pointer, Recent, RecentErrors, Registration, Registry,
    StrongIter, StrongMap, SyncPointer, Vacancy, WeakHandle, WeakKeyIter, WeakKeyMap,
    WeakKeyValueIter, WeakKeyValueMap, WeakKeyValueSession, WeakSet, WeakSetIter, WeakValueIter,
    WeakValueMap, WeakValueSession,
};
use std::panic::{RefUnwindSafe, UnwindSafe};

// Pointers.
impl<K: RefUnwindSafe, V: RefUnwindSafe> UnwindSafe for Handle<K, V> {}
impl<K: RefUnwindSafe, V: RefUnwindSafe> RefUnwindSafe for Handle<K, V> {}
impl<K, V> Unpin for Handle<K, V> {}

impl<K: RefUnwindSafe, V: RefUnwindSafe> UnwindSafe for WeakHandle<K, V> {}
impl<K: RefUnwindSafe, V: RefUnwindSafe> RefUnwindSafe for WeakHandle<K, V> {}
impl<K, V> Unpin for WeakHandle<K, V> {}

impl<T: ?Sized + Internable + RefUnwindSafe> UnwindSafe for Interned<T> {}
impl<T: ?Sized + Internable + RefUnwindSafe> RefUnwindSafe for Interned<T> {}
impl<T: ?Sized + Internable> Unpin for Interned<T> {}

// What gives out handles.
impl<K: UnwindSafe + RefUnwindSafe, V: UnwindSafe + RefUnwindSafe, S: UnwindSafe> UnwindSafe
    for Registry<K, V, S>
{
}
impl<K: UnwindSafe + RefUnwindSafe, V: UnwindSafe + RefUnwindSafe, S: RefUnwindSafe> RefUnwindSafe
    for Registry<K, V, S>
{
}
impl<K, V, S: Unpin> Unpin for Registry<K, V, S> {}

impl<T: ?Sized + Internable + RefUnwindSafe, S: UnwindSafe> UnwindSafe for Interner<T, S> {}
impl<T: ?Sized + Internable + RefUnwindSafe, S: RefUnwindSafe> RefUnwindSafe for Interner<T, S> {}
impl<T: ?Sized + Internable, S: Unpin> Unpin for Interner<T, S> {}

// Maps, sets, and what goes over them.
impl<
        K: 'static + UnwindSafe + RefUnwindSafe,
        P: Pointer + UnwindSafe + RefUnwindSafe,
        S: UnwindSafe,
    > UnwindSafe for WeakValueMap<K, P, S>
{
}
impl<
        K: 'static + UnwindSafe + RefUnwindSafe,
        P: Pointer + UnwindSafe + RefUnwindSafe,
        S: RefUnwindSafe,
    > RefUnwindSafe for WeakValueMap<K, P, S>
{
}
impl<K: 'static, P: Pointer, S: Unpin> Unpin for WeakValueMap<K, P, S> {}

impl<
        P: Pointer + UnwindSafe + RefUnwindSafe,
        V: 'static + UnwindSafe + RefUnwindSafe,
        M,
        S: UnwindSafe,
    > UnwindSafe for WeakKeyMap<P, V, M, S>
{
}
impl<
        P: Pointer + UnwindSafe + RefUnwindSafe,
        V: 'static + UnwindSafe + RefUnwindSafe,
        M,
        S: RefUnwindSafe,
    > RefUnwindSafe for WeakKeyMap<P, V, M, S>
{
}
impl<P: Pointer, V: 'static, M, S: Unpin> Unpin for WeakKeyMap<P, V, M, S> {}

impl<
        P: Pointer + UnwindSafe + RefUnwindSafe,
        Q: Pointer + UnwindSafe + RefUnwindSafe,
        M,
        S: UnwindSafe,
    > UnwindSafe for WeakKeyValueMap<P, Q, M, S>
{
}
impl<
        P: Pointer + UnwindSafe + RefUnwindSafe,
        Q: Pointer + UnwindSafe + RefUnwindSafe,
        M,
        S: RefUnwindSafe,
    > RefUnwindSafe for WeakKeyValueMap<P, Q, M, S>
{
}
impl<P: Pointer, Q: Pointer, M, S: Unpin> Unpin for WeakKeyValueMap<P, Q, M, S> {}

impl<
        K: 'static + UnwindSafe + RefUnwindSafe,
        V: 'static + UnwindSafe + RefUnwindSafe,
        S: UnwindSafe,
    > UnwindSafe for StrongMap<K, V, S>
{
}
impl<
        K: 'static + UnwindSafe + RefUnwindSafe,
        V: 'static + UnwindSafe + RefUnwindSafe,
        S: RefUnwindSafe,
    > RefUnwindSafe for StrongMap<K, V, S>
{
}
impl<K: 'static, V: 'static, S: Unpin> Unpin for StrongMap<K, V, S> {}

impl<P: SyncPointer + UnwindSafe + RefUnwindSafe, M, S: UnwindSafe> UnwindSafe
    for WeakSet<P, M, S>
{
}
impl<P: SyncPointer + UnwindSafe + RefUnwindSafe, M, S: RefUnwindSafe> RefUnwindSafe
    for WeakSet<P, M, S>
{
}
impl<P: SyncPointer, M, S: Unpin> Unpin for WeakSet<P, M, S> {}

impl<K: 'static + UnwindSafe + RefUnwindSafe, P: Pointer + UnwindSafe + RefUnwindSafe> UnwindSafe
    for WeakValueIter<'_, K, P>
{
}
impl<K: 'static + UnwindSafe + RefUnwindSafe, P: Pointer + UnwindSafe + RefUnwindSafe> RefUnwindSafe
    for WeakValueIter<'_, K, P>
{
}
impl<K: 'static, P: Pointer> Unpin for WeakValueIter<'_, K, P> {}

impl<P: Pointer + UnwindSafe + RefUnwindSafe, V: 'static + UnwindSafe + RefUnwindSafe> UnwindSafe
    for WeakKeyIter<'_, P, V>
{
}
impl<P: Pointer + UnwindSafe + RefUnwindSafe, V: 'static + UnwindSafe + RefUnwindSafe> RefUnwindSafe
    for WeakKeyIter<'_, P, V>
{
}
impl<P: Pointer, V: 'static> Unpin for WeakKeyIter<'_, P, V> {}

impl<P: Pointer + UnwindSafe + RefUnwindSafe, Q: Pointer + UnwindSafe + RefUnwindSafe> UnwindSafe
    for WeakKeyValueIter<'_, P, Q>
{
}
impl<P: Pointer + UnwindSafe + RefUnwindSafe, Q: Pointer + UnwindSafe + RefUnwindSafe> RefUnwindSafe
    for WeakKeyValueIter<'_, P, Q>
{
}
impl<P: Pointer, Q: Pointer> Unpin for WeakKeyValueIter<'_, P, Q> {}

impl<K: 'static + UnwindSafe + RefUnwindSafe, V: 'static + UnwindSafe + RefUnwindSafe> UnwindSafe
    for StrongIter<K, V>
{
}
impl<K: 'static + UnwindSafe + RefUnwindSafe, V: 'static + UnwindSafe + RefUnwindSafe> RefUnwindSafe
    for StrongIter<K, V>
{
}
impl<K: 'static, V: 'static> Unpin for StrongIter<K, V> {}

impl<P: SyncPointer + UnwindSafe + RefUnwindSafe> UnwindSafe for WeakSetIter<P> {}
impl<P: SyncPointer + UnwindSafe + RefUnwindSafe> RefUnwindSafe for WeakSetIter<P> {}
impl<P: SyncPointer> Unpin for WeakSetIter<P> {}

// Sessions, which borrow their map, and its hasher.
impl<
        K: 'static + UnwindSafe + RefUnwindSafe,
        P: Pointer + UnwindSafe + RefUnwindSafe,
        S: RefUnwindSafe,
    > UnwindSafe for WeakValueSession<'_, K, P, S>
{
}
impl<
        K: 'static + UnwindSafe + RefUnwindSafe,
        P: Pointer + UnwindSafe + RefUnwindSafe,
        S: RefUnwindSafe,
    > RefUnwindSafe for WeakValueSession<'_, K, P, S>
{
}
impl<K: 'static, P: Pointer, S> Unpin for WeakValueSession<'_, K, P, S> {}

impl<
        P: Pointer + UnwindSafe + RefUnwindSafe,
        Q: Pointer + UnwindSafe + RefUnwindSafe,
        M,
        S: RefUnwindSafe,
    > UnwindSafe for WeakKeyValueSession<'_, P, Q, M, S>
{
}
impl<
        P: Pointer + UnwindSafe + RefUnwindSafe,
        Q: Pointer + UnwindSafe + RefUnwindSafe,
        M,
        S: RefUnwindSafe,
    > RefUnwindSafe for WeakKeyValueSession<'_, P, Q, M, S>
{
}
impl<P: Pointer, Q: Pointer, M, S> Unpin for WeakKeyValueSession<'_, P, Q, M, S> {}

// What is kept a little.
impl<M: WeakValued<Owner: UnwindSafe + RefUnwindSafe> + UnwindSafe> UnwindSafe for Recent<M> {}
impl<M: WeakValued<Owner: UnwindSafe + RefUnwindSafe> + RefUnwindSafe> RefUnwindSafe for Recent<M> {}
impl<M: WeakValued + Unpin> Unpin for Recent<M> {}

impl<K: 'static + UnwindSafe + RefUnwindSafe, E: 'static + UnwindSafe + RefUnwindSafe> UnwindSafe
    for RecentErrors<K, E>
{
}
impl<K: 'static + UnwindSafe + RefUnwindSafe, E: 'static + UnwindSafe + RefUnwindSafe> RefUnwindSafe
    for RecentErrors<K, E>
{
}
impl<K: 'static, E: 'static> Unpin for RecentErrors<K, E> {}

// A vacancy borrows its map.
impl<
        M: Creator<
                Key: UnwindSafe + RefUnwindSafe,
                Value: UnwindSafe + RefUnwindSafe,
                Owner: UnwindSafe + RefUnwindSafe,
            > + RefUnwindSafe,
    > UnwindSafe for Vacancy<'_, M>
{
}
impl<
        M: Creator<
                Key: UnwindSafe + RefUnwindSafe,
                Value: UnwindSafe + RefUnwindSafe,
                Owner: UnwindSafe + RefUnwindSafe,
            > + RefUnwindSafe,
    > RefUnwindSafe for Vacancy<'_, M>
{
}
impl<M: Creator> Unpin for Vacancy<'_, M> {}

// What calls functions of a type that is forgotten.
impl UnwindSafe for Notify {}
impl RefUnwindSafe for Notify {}

impl UnwindSafe for Registration {}
impl RefUnwindSafe for Registration {}

impl<T> UnwindSafe for OnRemove<T> {}
impl<T> RefUnwindSafe for OnRemove<T> {}

impl UnwindSafe for Finalizers {}
impl RefUnwindSafe for Finalizers {}

impl<M: Mortal<Weak: UnwindSafe + RefUnwindSafe>, R> UnwindSafe for Finalizer<M, R> {}
impl<M: Mortal<Weak: UnwindSafe + RefUnwindSafe>, R> RefUnwindSafe for Finalizer<M, R> {}

impl UnwindSafe for Logging {}
impl RefUnwindSafe for Logging {}

impl UnwindSafe for Logger {}
impl RefUnwindSafe for Logger {}

impl UnwindSafe for Handler {}
impl RefUnwindSafe for Handler {}

impl<A: ?Sized + 'static, R: 'static, P: SyncPointer> UnwindSafe for Signal<A, R, P> {}
impl<A: ?Sized + 'static, R: 'static, P: SyncPointer> RefUnwindSafe for Signal<A, R, P> {}

impl<A: ?Sized + 'static, R: 'static> UnwindSafe for Receiver<A, R> {}
impl<A: ?Sized + 'static, R: 'static> RefUnwindSafe for Receiver<A, R> {}

/// Those of the operating system.
#[cfg(not(all(highlander_loom, feature = "loom")))]
mod system {
    use super::{RefUnwindSafe, UnwindSafe};
    use crate::registries::after_fork::{AfterFork, Prepared};
    use crate::registries::processes::{ChildProcess, Process, Processes};

    impl UnwindSafe for AfterFork {}
    impl RefUnwindSafe for AfterFork {}

    impl UnwindSafe for Prepared {}
    impl RefUnwindSafe for Prepared {}

    impl<C: ChildProcess + RefUnwindSafe> UnwindSafe for Processes<C> {}
    impl<C: ChildProcess + RefUnwindSafe> RefUnwindSafe for Processes<C> {}

    impl<C: ChildProcess + RefUnwindSafe> UnwindSafe for Process<C> {}
    impl<C: ChildProcess + RefUnwindSafe> RefUnwindSafe for Process<C> {}
}
