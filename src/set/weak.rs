//! Members that are entered by a weak pointer, also to an object that is not finished.

use super::WeakSet;
use crate::memory::hash::hash_key;
use crate::memory::panics::after;
use crate::pointer::keying::ByAddress;
use crate::pointer::notify::Notify;
use crate::pointer::token::Token;
#[allow(unused_imports)] // for the documentation
use crate::pointer::traits::Pointer;
use crate::pointer::traits::{SyncPointer, WeakPointer};
use crate::pointer::watchers::Registration;
use crate::set::members::Member;
use std::hash::BuildHasher;

impl<P: SyncPointer, S: BuildHasher> WeakSet<P, ByAddress, S> {
    /// Enters the object that `weak` leads to at the end, also an object that is not finished yet, as in
    /// [`Arc::new_cyclic`](std::sync::Arc::new_cyclic). Returns whether it was entered: false if it is in the
    /// set already.
    ///
    /// If the object lives, this is [`insert`](Self::insert), by an owner that it has for a moment.
    ///
    /// Otherwise nobody can tell an object that is not finished from a dead one: `upgrade` fails in both. The
    /// entry waits, under the identity of `weak`. The object is no member before it lives: nothing shows it,
    /// and [`len`](Self::len) leaves it out. ([`entry_count`](Self::entry_count) has it.) Once it is
    /// finished, it is a member like others, in the place in the order that it got here.
    ///
    /// # An entry whose object never lives
    /// No sweep and no [`prune`](Self::prune) takes an entry before some call has seen its object alive. So
    /// an entry stays, and keeps the memory of the object,
    /// * if its object was dead for good when it was entered (so if yours may be, `upgrade` it yourself, and
    ///   [`insert`](Self::insert) the owner);
    /// * if the object is never finished, because its factory panics;
    /// * if it is finished and dies before any call has seen it alive.
    ///
    /// It goes with [`remove_weak`](Self::remove_weak) or [`clear`](Self::clear). A value that is to be
    /// registered by its own constructor, and comes and goes often, should carry a [`Token`]: with
    /// [`insert_weak_with_token`](Self::insert_weak_with_token) there is no such entry.
    ///
    /// *Waiting* and complexity as [`insert`](Self::insert). *Runs* [`WeakPointer::upgrade`] and
    /// [`WeakPointer::same_weak`], `Clone` of the weak pointer, and what `insert` runs, with no lock held.
    ///
    /// ```
    /// use highlander::{map::ByAddress, WeakSet};
    /// use std::sync::{Arc, Weak};
    ///
    /// trait Listener: Send + Sync {}
    /// struct Door { _me: Weak<Door> }
    /// impl Listener for Door {}
    /// static LISTENERS: WeakSet<Arc<dyn Listener>, ByAddress> = WeakSet::new();
    ///
    /// let door = Arc::new_cyclic(|me: &Weak<Door>| {
    ///     let listener: Weak<dyn Listener> = me.clone();
    ///     assert!(LISTENERS.insert_weak(&listener));
    ///     assert_eq!((LISTENERS.len(), LISTENERS.entry_count()), (0, 1));
    ///     Door { _me: me.clone() }
    /// });
    /// assert_eq!(LISTENERS.len(), 1);
    /// drop(door);
    /// assert_eq!((LISTENERS.len(), LISTENERS.prune()), (0, 1));
    /// ```
    pub fn insert_weak(&self, weak: &P::Weak) -> bool {
        match weak.upgrade() {
            Some(member) => {
                let entered = self.insert(&member);
                after(member, entered)
            }
            None => self.enter_weak(weak, |_| None),
        }
    }

    /// Enters an object as [`insert_weak`](Self::insert_weak) does. Its value carries a [`Token`], or is
    /// going to: the entry goes when the token is dropped.
    ///
    /// Make the token first, enter the weak pointer with it, and store it in the value. When the value dies,
    /// its entry goes, whether any call has seen it alive or not. When the factory panics, the token is
    /// dropped with all that it has made so far, and the entry goes with it. The entry also goes if the token
    /// is dropped, and not stored, before the value is finished.
    ///
    /// ```
    /// use highlander::{map::ByAddress, pointer::Token, WeakSet};
    /// use std::sync::Arc;
    ///
    /// struct Session { _token: Token }
    /// static SESSIONS: WeakSet<Arc<Session>, ByAddress> = WeakSet::new();
    ///
    /// impl Session {
    ///     fn open(fail: bool) -> Arc<Session> {
    ///         Arc::new_cyclic(|me| {
    ///             let token = Token::new();
    ///             assert!(SESSIONS.insert_weak_with_token(me, &token));
    ///             assert!(!fail, "no route");
    ///             Session { _token: token }
    ///         })
    ///     }
    /// }
    ///
    /// let session = Session::open(false);
    /// assert_eq!(SESSIONS.len(), 1);
    /// drop(session);
    /// assert_eq!(SESSIONS.entry_count(), 0);
    /// assert!(std::panic::catch_unwind(|| Session::open(true)).is_err());
    /// assert_eq!(SESSIONS.entry_count(), 0);
    /// ```
    pub fn insert_weak_with_token(&self, weak: &P::Weak, token: &Token) -> bool {
        match weak.upgrade() {
            Some(member) => {
                let bind = |notify| (Some(token.bind(notify)), false);
                let existing = self.enter(&member, bind);
                let entered = existing.is_none();
                after((existing, member), entered)
            }
            None => self.enter_weak(weak, |notify| Some(token.bind(notify))),
        }
    }

    /// Takes out the entry of the object that `weak` leads to, whether it is alive, dead, or not alive yet.
    /// Returns whether this call has taken one out.
    ///
    /// An object can call it in its own destructor, where it has no owner any more.
    ///
    /// ```
    /// use highlander::{map::ByAddress, WeakSet};
    /// use std::sync::{Arc, Weak};
    ///
    /// struct Door { me: Weak<Door> }
    /// static DOORS: WeakSet<Arc<Door>, ByAddress> = WeakSet::new();
    ///
    /// impl Drop for Door {
    ///     fn drop(&mut self) { assert!(DOORS.remove_weak(&self.me)); }
    /// }
    /// let door = Arc::new_cyclic(|me| {
    ///     DOORS.insert_weak(me);
    ///     Door { me: me.clone() }
    /// });
    /// drop(door);
    /// assert_eq!(DOORS.entry_count(), 0);
    /// ```
    pub fn remove_weak(&self, weak: &P::Weak) -> bool {
        let Some(members) = self.members.get() else {
            return false;
        };
        members.sweep();
        members.remove_entry(self.hash_of(weak), |stored| stored.same_weak(weak))
    }

    /// Enters a weak pointer that cannot be upgraded, unless it is there already.
    fn enter_weak(
        &self,
        weak: &P::Weak,
        watch: impl FnOnce(Notify) -> Option<Registration>,
    ) -> bool {
        let members = self.members();
        members.sweep();
        let twin = |stored: &Member<P>| stored.weak().same_weak(weak).then_some(());
        let watch = |notify| (watch(notify), false);
        let hash = self.hash_of(weak);
        members
            .enter(hash, weak.clone(), false, twin, watch)
            .is_none()
    }

    /// Returns the hash that a strong pointer to the same object has with [`ByAddress`].
    fn hash_of(&self, weak: &P::Weak) -> u64 {
        hash_key(&self.hasher, &weak.identity_hash())
    }
}
