//! Ends: registries that go before their handles, and chains of values that go at once.

use crate::common::{forever, Dice};
use crate::support::{for_a_while, Counts, Sealed};
use highlander::pointer::{Watched, WeakWatched};
use highlander::{Handle, Interned, Interner, Registry, WeakHandle, WeakSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Mutex;
use std::time::Duration;

/// Registries are handed round and dropped by whoever comes, while others hold, drop, upgrade and remove.
pub(crate) fn registry_first(limit: Duration) {
    type Value = Sealed<'static>;
    type Shared = std::sync::Arc<(Registry<u32, Value>, Interner<str>)>;
    let counts: &'static Counts = forever(Counts::default());
    let current: Mutex<Shared> = Mutex::default();
    type State = (
        Vec<Handle<u32, Value>>,
        Vec<Interned<str>>,
        Vec<WeakHandle<u32, Value>>,
    );
    let work = |(held, names, weaks): &mut State, dice: &mut Dice| {
        let shared = current.lock().unwrap().clone();
        for _ in 0..dice.below(10) {
            let key = dice.below(50) as u32;
            held.push(
                shared
                    .0
                    .get_or_insert_with(key, |_| Sealed::new(key, counts)),
            );
            names.push(shared.1.intern(&"n".repeat(key as usize * 60)));
        }
        weaks.extend(held.last().map(Handle::downgrade));
        if dice.below(4) == 0 {
            if let Some(handle) = held.last() {
                shared.0.remove_same(handle);
            }
        }
        if dice.below(8) == 0 {
            // The old one goes as soon as nobody is in the middle of this.
            *current.lock().unwrap() = Shared::default();
        }
        drop(shared);
        held.extend(weaks.iter().filter_map(WeakHandle::upgrade).take(3));
        held.iter()
            .for_each(|handle| handle.assert_alive(*Handle::key(handle)));
        assert!(names
            .iter()
            .all(|name| name.bytes().all(|byte| byte == b'n')));
        let left = (dice.below(12), dice.below(12), dice.below(5));
        held.truncate(left.0);
        names.truncate(left.1);
        weaks.truncate(left.2);
    };
    for_a_while(limit, 5, |_| State::default(), work);
    let last = current.into_inner().unwrap();
    assert_eq!((last.0.len(), last.1.len()), (0, 0));
    counts.assert_balanced();
}

/// Chains that share their tails, so that it depends on the others who drops how much of them.
pub(crate) fn deep_chains(limit: Duration) {
    struct Link {
        next: Option<Handle<u32, Link>>,
        sealed: Sealed<'static>,
    }
    const LEN: u32 = 2000;
    let counts: &'static Counts = forever(Counts::default());
    let registry: Registry<u32, Link> = Registry::new();
    let work = |held: &mut Vec<Handle<u32, Link>>, dice: &mut Dice| {
        // From somewhere up to somewhere: whatever exists of that is shared.
        let mut last: Option<Handle<u32, Link>> = None;
        let first = dice.below(LEN as usize) as u32;
        for key in first..first + dice.below(LEN as usize) as u32 {
            let next = last.take();
            last = Some(registry.get_or_insert_with(key, |_| Link {
                next,
                sealed: Sealed::new(key, counts),
            }));
        }
        for handle in held.iter().chain(&last) {
            handle.sealed.assert_alive(*Handle::key(handle));
            if let Some(next) = &handle.next {
                next.sealed.assert_alive(*Handle::key(handle) - 1);
            }
        }
        held.extend(last);
        let left = dice.below(4);
        held.truncate(left);
    };
    for_a_while(limit, 4, |_| Vec::new(), work);
    assert_eq!(registry.len(), 0);
    counts.assert_balanced();
}

/// Chains of watched values, some links of which are handles, that share their tails: whoever lets go of a link last ends what only it led to, while
/// others upgrade weak pointers into the middle, and a set and callbacks are told.
pub(crate) fn watched_chains(limit: Duration) {
    enum Next {
        Watched(Watched<Link>),
        Handle(Handle<u64, Link>),
    }
    struct Link {
        // Dropped after the seal has been broken.
        sealed: Sealed<'static>,
        next: Option<Next>,
    }
    const LEN: usize = 1000;
    let counts: &'static Counts = forever(Counts::default());
    let calls: &'static AtomicU64 = forever(AtomicU64::new(0));
    let watched_ones = AtomicU64::new(0);
    let registry: Registry<u64, Link> = Registry::new();
    let set: WeakSet<Watched<Link>, highlander::map::ByAddress> = WeakSet::new();
    // Weak pointers to links of anybody's chains.
    let known: Mutex<Vec<WeakWatched<Link>>> = Mutex::default();
    let work = |held: &mut Vec<Watched<Link>>, dice: &mut Dice| {
        let tail = match known.lock().unwrap().as_slice() {
            [] => None,
            known => known[dice.below(known.len())].upgrade(),
        };
        let mut last = tail.map(Next::Watched);
        for at in 0..1 + dice.below(LEN) {
            let sealed = Sealed::new(7, counts);
            let next = last.take();
            if dice.below(3) == 0 {
                let key = sealed.id;
                let link = Link { sealed, next };
                let made = registry.get_or_insert_with(key, |_| link);
                last = Some(Next::Handle(made));
                continue;
            }
            let link = Watched::new(Link { sealed, next });
            if at % 16 == 0 {
                set.insert(&link);
                watched_ones.fetch_add(1, Relaxed);
                let me = Watched::downgrade(&link);
                Watched::on_death(&link, move || {
                    assert!(me.upgrade().is_none());
                    calls.fetch_add(1, Relaxed);
                })
                .keep();
            }
            if at % 64 == 0 {
                let mut known = known.lock().unwrap();
                known.push(Watched::downgrade(&link));
                if known.len() > 100 {
                    known.swap_remove(dice.below(100));
                }
            }
            last = Some(Next::Watched(link));
        }
        if let Some(Next::Watched(link)) = last {
            held.push(link);
        }
        for link in held.iter() {
            let mut next = Some(link);
            for _ in 0..dice.below(50) {
                let Some(link) = next else { break };
                link.sealed.assert_alive(7);
                next = match &link.next {
                    Some(Next::Watched(next)) => Some(next),
                    Some(Next::Handle(next)) => {
                        next.sealed.assert_alive(7);
                        None
                    }
                    None => None,
                };
            }
        }
        if dice.below(8) == 0 {
            set.for_each(|link| link.sealed.assert_alive(7));
        }
        let left = dice.below(4);
        held.truncate(left);
    };
    for_a_while(limit, 4, |_| Vec::new(), work);
    assert_eq!((registry.len(), set.entry_count()), (0, 0));
    assert_eq!(calls.load(Relaxed), watched_ones.load(Relaxed));
    counts.assert_balanced();
}
