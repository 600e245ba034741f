//! The steps when an entry leaves its map, and how a map is notified of a death.
//!
//! A pointer that reports its death has a weak pointer to the *listener* of each map that it is in, and the
//! hash of its entry. A report is a hint: the listener removes those entries with that hash that are dead. So
//! it does no harm if the report comes late or twice, or if the key has another entry by then.

use crate::map::store::entry_ref::EntryRef;
use crate::map::store::hazard::{HazardDomain, Reclaimed};
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

/// Updates the reverse index and calls the hook for an entry that has just been unlinked or replaced. To be
/// called once, by an owner of it.
pub(in crate::map) fn notify_unlinked<A: Slot, B: Indexed>(
    entry: &EntryRef<A, B>,
    reverse: &B::Index<A>,
    hook: Option<&Hook<A::Raw>>,
    cause: RemovalCause,
) {
    reverse.unlinked(entry);
    let mut panics = Panics::new();
    panics.catch(|| entry.value().after_unlink());
    if let Some(hook) = hook {
        panics.catch(|| hook.call(entry.key().stored(), cause));
    }
}

/// Does what `notify_unlinked` does, and retires the index's ownership. The caller has one of its own.
pub(in crate::map) fn on_unlinked<A: Slot, B: Indexed>(
    entry: &EntryRef<A, B>,
    table: &Table<StoreNode<A, B>>,
    reverse: &B::Index<A>,
    hazards: &HazardDomain<StoreNode<A, B>>,
    hook: Option<&Hook<A::Raw>>,
    cause: RemovalCause,
) {
    // SAFETY: the index was an owner, and the call that unlinks an entry takes that ownership over. Only one
    // call can have unlinked it.
    let of_index = unsafe { NodeRef::<StoreNode<A, B>>::adopt(entry.node_ref().node()) };
    // Dropped at the end of this function.
    let _reclaimed = if B::IS_WEAK {
        hazards.retire(of_index, table)
    } else {
        drop(of_index);
        Reclaimed::nothing()
    };
    // The caller is still an owner, so this entry has not been dropped yet, and the hook may do anything.
    notify_unlinked(entry, reverse, hook, cause);
}

/// The part of a map that a dying pointer notifies, on whatever thread it dies. It shares with the map what
/// it needs.
pub(in crate::map) struct DeathListener<A: Slot, B: Indexed> {
    table: Table<StoreNode<A, B>>,
    hook: Option<Hook<A::Raw>>,
    reverse: B::Index<A>,
    /// The map's. An entry whose death is reported is dropped at once, unless it has a hazard.
    hazards: HazardDomain<StoreNode<A, B>>,
    /// Its own, for the entries that it removes.
    counters: Counters,
    /// It may drop entries.
    entries: PhantomData<EntryRef<A, B>>,
}

impl<A: Slot, B: Indexed> DeathListener<A, B> {
    pub(in crate::map) fn new(
        table: &Table<StoreNode<A, B>>,
        hook: Option<&Hook<A::Raw>>,
        reverse: &B::Index<A>,
        hazards: HazardDomain<StoreNode<A, B>>,
        counters: Counters,
    ) -> Arc<Self> {
        Arc::new(Self {
            table: table.share(),
            hook: hook.cloned(),
            reverse: reverse.share(),
            hazards,
            counters,
            entries: PhantomData,
        })
    }

    /// Returns how many entries it has removed.
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
        let _: Option<()> = self.table.find_of(hash, |node_ref| {
            let entry = EntryRef::new(node_ref);
            // Here too only one caller removes it, and runs the hook.
            let removed = panics.catch(|| {
                if !entry.is_dead() {
                    return false;
                }
                entry.value().before_unlink();
                self.table.remove(entry.node_ref())
            });
            if removed == Some(true) {
                self.counters.add(Count::Reported);
                panics.catch(|| {
                    on_unlinked(
                        &entry,
                        &self.table,
                        &self.reverse,
                        &self.hazards,
                        None,
                        RemovalCause::Dead,
                    );
                });
                if let Some(hook) = self.hook.clone() {
                    // The hook may drop the next value that reports its death, and so on.
                    let entry = entry.clone();
                    let call = move || hook.call(entry.key().stored(), RemovalCause::Dead);
                    panics.catch(|| teardown::run(call));
                }
            }
            panics.catch(|| drop(entry));
            None
        });
        // The key is dropped before the last owner's drop returns.
        panics.catch(|| drop(self.hazards.reclaim()));
    }
}

/// The way in which a map is notified of deaths, which happens on any thread. It is set where the types are
/// known to allow that, since most functions of a map do not know it.
pub(in crate::map) struct CanNotify<A: Slot, B: Indexed>(Option<Coerce<A, B>>);

type Coerce<A, B> = fn(&Arc<DeathListener<A, B>>) -> Weak<dyn Notified>;

impl<A: Slot, B: Indexed> CanNotify<A, B> {
    /// The map is not notified: dead entries are pruned.
    pub(in crate::map) const NONE: Self = Self(None);
}

impl<A: Slot + 'static, B: Indexed + 'static> CanNotify<A, B> {
    /// Returns the way to notify it on any thread.
    pub(in crate::map) const fn all() -> Self
    where
        A: Send + Sync,
        B: Send + Sync,
        B::Index<A>: Send + Sync,
    {
        Self(Some(|listener| -> Weak<dyn Notified> {
            let weak: Weak<DeathListener<A, B>> = Arc::downgrade(listener);
            weak
        }))
    }

    /// Returns what notifies `listener` of the death of an entry with this hash. The listener is made only if
    /// it can be notified.
    pub(in crate::map) fn notify<'a>(
        &self,
        listener: impl FnOnce() -> &'a Arc<DeathListener<A, B>>,
        hash: u64,
    ) -> Option<Notify> {
        let coerce = self.0?;
        Some(Notify::new(coerce(listener()), hash))
    }
}

impl<A: Slot, B: Indexed> Clone for CanNotify<A, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Slot, B: Indexed> Copy for CanNotify<A, B> {}

/// Says that a map with these sides can be made. Either none of its pointers reports its death, or the map
/// may be notified on any thread, since its keys and values are `Send`, `Sync` and `'static`. Implemented for
/// the [`Death`](crate::pointer::Pointer::Death) of a map's pointers. It cannot be implemented outside.
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
