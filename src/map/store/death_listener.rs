//! How an entry leaves its map, and how a map is told from elsewhere that one has to.
//!
//! A pointer that can report its death knows the *inbox* of each map that it is in, weakly, and with it the
//! hash of the entry. A report is a hint: the inbox looks at the entries with that hash, and takes out those
//! of which a side is dead. So it does not matter how late it comes, how often, or what has been put under
//! the key meanwhile.

use crate::map::store::entry_ref::EntryRef;
use crate::map::store::hazard::{Due, HazardDomain};
use crate::map::store::hook::{Hook, RemovalCause};
use crate::map::store::node::StoreNode;
use crate::map::store::reverse::{Indexed, Reverse};
use crate::map::store::slot::Slot;
use crate::memory::panics::Panics;
use crate::memory::teardown;
use crate::pointer::notify::{Notified, Notify};
use crate::pointer::traits::{DeathReport, Reported, ReportedLate, ReportedWithEnd, Unreported};
use crate::table::node_ref::NodeRef;
use crate::table::stats::{Count, Counters};
use crate::table::Table;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};

/// To be called once for an entry that has just been unlinked or replaced, by an owner of it.
pub(in crate::map) fn tell<A: Slot, B: Indexed>(
    held: &EntryRef<A, B>,
    reverse: &B::Index<A>,
    hook: Option<&Hook<A::Raw>>,
    cause: RemovalCause,
) {
    reverse.unlinked(held);
    let mut panics = Panics::new();
    panics.catch(|| held.value().has_left());
    if let Some(hook) = hook {
        panics.catch(|| hook.call(held.key().stored(), cause));
    }
}

/// As `tell`, and gives up the index's ownership, which is not the caller's.
pub(in crate::map) fn has_gone<A: Slot, B: Indexed>(
    held: &EntryRef<A, B>,
    table: &Table<StoreNode<A, B>>,
    reverse: &B::Index<A>,
    protection: &HazardDomain<StoreNode<A, B>>,
    hook: Option<&Hook<A::Raw>>,
    cause: RemovalCause,
) {
    // SAFETY: the index was an owner, and whoever unlinks an entry takes that over; only one caller can have
    // done that.
    let of_index = unsafe { NodeRef::<StoreNode<A, B>>::adopt(held.strong().node()) };
    // What is due is dropped at the end.
    let _due = if B::IS_WEAK {
        protection.retire(of_index, table)
    } else {
        drop(of_index);
        Due::nothing()
    };
    // The caller is an owner still, so this entry was not dropped yet, and the hook may do what it likes.
    tell(held, reverse, hook, cause);
}

/// What of a map can be reached from a dying pointer, whatever thread that dies on. Shares with the map what
/// it needs.
pub(in crate::map) struct DeathListener<A: Slot, B: Indexed> {
    table: Table<StoreNode<A, B>>,
    hook: Option<Hook<A::Raw>>,
    reverse: B::Index<A>,
    /// The map's. What dies in time goes at once, unless somebody is looking at it.
    protection: HazardDomain<StoreNode<A, B>>,
    /// Its own, for what it takes out.
    counters: Counters,
    /// It takes entries out, so it may be the one that drops them.
    entries: PhantomData<EntryRef<A, B>>,
}

impl<A: Slot, B: Indexed> DeathListener<A, B> {
    pub(in crate::map) fn new(
        table: &Table<StoreNode<A, B>>,
        hook: Option<&Hook<A::Raw>>,
        reverse: &B::Index<A>,
        protection: HazardDomain<StoreNode<A, B>>,
        counters: Counters,
    ) -> Arc<Self> {
        Arc::new(Self {
            table: table.share(),
            hook: hook.cloned(),
            reverse: reverse.share(),
            protection,
            counters,
            entries: PhantomData,
        })
    }

    /// How many entries it has taken out.
    pub(in crate::map) fn reported(&self) -> u64 {
        self.counters.sum(Count::Reported)
    }
}

impl<A, B> Notified for DeathListener<A, B>
where
    A: Slot + Send + Sync + 'static,
    B: Indexed + Send + Sync + 'static,
    B::Index<A>: Send + Sync,
{
    fn dead(&self, hash: u64) {
        let mut panics = Panics::new();
        let _: Option<()> = self.table.find_of(hash, |strong| {
            let held = EntryRef::new(strong);
            // Here too only one caller takes it out, and calls the hook.
            let gone = panics.catch(|| {
                if !held.is_dead() {
                    return false;
                }
                held.value().leaves();
                self.table.remove(held.strong())
            });
            if gone == Some(true) {
                self.counters.add(Count::Reported);
                panics.catch(|| {
                    has_gone(
                        &held,
                        &self.table,
                        &self.reverse,
                        &self.protection,
                        None,
                        RemovalCause::Dead,
                    );
                });
                if let Some(hook) = self.hook.clone() {
                    // It may drop the next value that reports to a hook, and so on.
                    let held = held.clone();
                    let call = move || hook.call(held.key().stored(), RemovalCause::Dead);
                    panics.catch(|| teardown::run(call));
                }
            }
            panics.catch(|| drop(held));
            None
        });
        // The key goes before the last owner's drop returns.
        panics.catch(|| drop(self.protection.give_up()));
    }
}

/// Whether and how a map is notified of deaths, which happens on any thread. Where the types are known to
/// allow that it is said here, since most functions of a map must do without knowing.
pub(in crate::map) struct CanNotify<A: Slot, B: Indexed>(Option<Coerce<A, B>>);

type Coerce<A, B> = fn(&Arc<DeathListener<A, B>>) -> Weak<dyn Notified>;

impl<A: Slot, B: Indexed> CanNotify<A, B> {
    /// It is not: dead entries are pruned.
    pub(in crate::map) const NONE: Self = Self(None);
}

impl<A: Slot + 'static, B: Indexed + 'static> CanNotify<A, B> {
    /// It is, on any thread.
    pub(in crate::map) const fn all() -> Self
    where
        A: Send + Sync,
        B: Send + Sync,
        B::Index<A>: Send + Sync,
    {
        Self(Some(|inbox| -> Weak<dyn Notified> {
            let weak: Weak<DeathListener<A, B>> = Arc::downgrade(inbox);
            weak
        }))
    }

    /// What tells `inbox`, which is made only if that is possible, of the death of an entry with this hash.
    pub(in crate::map) fn notify<'a>(
        &self,
        inbox: impl FnOnce() -> &'a Arc<DeathListener<A, B>>,
        hash: u64,
    ) -> Option<Notify> {
        let coerce = self.0?;
        Some(Notify::new(coerce(inbox()), hash))
    }
}

impl<A: Slot, B: Indexed> Clone for CanNotify<A, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Slot, B: Indexed> Copy for CanNotify<A, B> {}

/// Says that a map with these sides can be made: none of its pointers report their death, or the map may be
/// notified of that on any thread, since its keys and values are `Send`, `Sync` and `'static`. Implemented
/// for the [`Death`](crate::pointer::Pointer::Death) of a map's pointers. It cannot be implemented outside.
#[allow(private_bounds)] // How it is done concerns nobody else.
pub trait ReportsTo<A: Slot, B: Indexed>: Reaches<A, B> {}

impl<A: Slot, B: Indexed, D: Reaches<A, B>> ReportsTo<A, B> for D {}

pub(in crate::map) trait Reaches<A: Slot, B: Indexed> {
    const REACH: CanNotify<A, B>;
}

impl<A: Slot, B: Indexed> Reaches<A, B> for Unreported {
    const REACH: CanNotify<A, B> = CanNotify::NONE;
}

macro_rules! reaches {
    ($($reported:ident)*) => {$(
        impl<A, B> Reaches<A, B> for $reported
        where
            A: Slot + Send + Sync + 'static,
            B: Indexed + Send + Sync + 'static,
            B::Index<A>: Send + Sync,
        {
            const REACH: CanNotify<A, B> = CanNotify::all();
        }

        impl<A: Slot, B: Indexed, D: DeathReport> Reaches<A, B> for ($reported, D)
        where
            $reported: Reaches<A, B>,
        {
            const REACH: CanNotify<A, B> = <$reported as Reaches<A, B>>::REACH;
        }
    )*};
}
reaches!(Reported ReportedWithEnd ReportedLate);

impl<A: Slot, B: Indexed, D: Reaches<A, B>> Reaches<A, B> for (Unreported, D) {
    const REACH: CanNotify<A, B> = D::REACH;
}
