//! A bounded set of owners: SLRU with second chance. New entries are in one queue, reused ones in another.
//! While the first queue has at least half of the room, its oldest entry goes. Otherwise an entry of the
//! second one goes: the first that was not used since it was last passed over. So values that are used once
//! do not drive out those that are used all the time. (There is no memory of what has gone, as in S3-FIFO:
//! addresses are reused.)
//!
//! Everything is decided under the lock, and no owner is dropped there: the calls return them. An index by
//! identity, and a mark for each place, are read without the lock, and only marks are written without it. So
//! a use of an owner that is here takes no lock. A stale read sets the mark of another owner, which stays a
//! little longer; or it does not find an owner, which is then looked for again under the lock. So all of it
//! is relaxed.

use crate::sync::plain::{AtomicBool, AtomicU32, AtomicU64, Relaxed};
use crate::sync::Mutex;
use std::collections::VecDeque;

/// While everything is replaced this many times, each entry of the second queue is looked at once. So one
/// that is not used any more goes in the end.
const AGING: usize = 8;

pub(super) struct Queue<O> {
    /// Open addressing with linear probing: the number of a place, plus 1; 0 for none. At most half full.
    index: Box<[AtomicU32]>,
    places: Box<[QueuePlace]>,
    order: Mutex<Order<O>>,
}

/// The part of an entry that may be read without the lock.
struct QueuePlace {
    identity: AtomicU64,
    /// True if it was used since it was entered, or since an eviction last passed it over.
    used: AtomicBool,
    /// The time of its last use, or a little earlier, in nanoseconds.
    last: AtomicU64,
}

struct Order<O> {
    /// The owners by place. Grows as far as it is needed.
    owners: Vec<Option<O>>,
    /// The places of the new ones, the next one to go first.
    once: VecDeque<u32>,
    /// The places of the reused ones.
    again: VecDeque<u32>,
    free: Vec<u32>,
    /// The sum of the lengths of the second queue at each eviction, since an entry of it was last looked at.
    age: usize,
}

/// The identity hash of a value, and the hash by which the index is searched.
#[derive(Clone, Copy)]
pub(super) struct Identity {
    number: u64,
    hash: usize,
}

impl Identity {
    #[inline]
    pub(super) fn new(number: u64) -> Self {
        let product = u128::from(number) * 0x9E37_79B9_7F4A_7C15;
        Self {
            number,
            hash: ((product >> 64) as u64 ^ product as u64) as usize,
        }
    }
}

/// The time of a use, and how much older the recorded time must be for this one to be recorded.
#[derive(Clone, Copy)]
pub(super) struct Use {
    pub(super) now: u64,
    pub(super) grain: u64,
}

impl<O> Queue<O> {
    pub(super) fn new(capacity: usize) -> Self {
        let place = |_| QueuePlace {
            identity: AtomicU64::new(0),
            used: AtomicBool::new(false),
            last: AtomicU64::new(0),
        };
        let slots = (capacity * 2).next_power_of_two();
        Self {
            index: (0..slots).map(|_| AtomicU32::new(0)).collect(),
            places: (0..capacity).map(place).collect(),
            order: Mutex::new(Order {
                owners: Vec::new(),
                once: VecDeque::new(),
                again: VecDeque::new(),
                free: Vec::new(),
                age: 0,
            }),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.lock().len()
    }

    /// Marks the owner as used. Returns false if it is not here.
    #[inline]
    pub(super) fn mark(&self, identity: Identity, used: Use) -> bool {
        match self.find(identity) {
            Some(place) => {
                self.places[place as usize].mark(used);
                true
            }
            None => false,
        }
    }

    pub(super) fn contains(&self, identity: Identity) -> bool {
        let _order = self.order.lock();
        self.find(identity).is_some()
    }

    /// Takes an owner in, and returns the one that has to go for it; or the given one, if it is here already.
    pub(super) fn enter(&self, identity: Identity, owner: O, used: Use) -> Option<O> {
        let mut order = self.order.lock();
        if let Some(place) = self.find(identity) {
            self.places[place as usize].mark(used);
            return Some(owner);
        }
        let (place, gone) = if let Some(place) = order.free.pop() {
            order.owners[place as usize] = Some(owner);
            (place, None)
        } else if order.owners.len() < self.places.len() {
            order.owners.push(Some(owner));
            (order.owners.len() as u32 - 1, None)
        } else {
            let place = self.evict(&mut order);
            (place, order.owners[place as usize].replace(owner))
        };
        self.link(identity, place);
        let entered = &self.places[place as usize];
        entered.used.store(false, Relaxed);
        entered.last.store(used.now, Relaxed);
        order.once.push_back(place);
        gone
    }

    /// Frees a place for another owner: takes it out of the order and the index.
    fn evict(&self, order: &mut Order<O>) -> u32 {
        let was_used = |place: u32| self.places[place as usize].used.swap(false, Relaxed);
        let capacity = self.places.len();
        order.age += order.again.len();
        if order.age >= AGING * capacity {
            order.age = 0;
            if let Some(place) = order.again.pop_front() {
                if !was_used(place) {
                    self.unlink(place);
                    return place;
                }
                order.again.push_back(place);
            }
        }
        // Other threads set marks meanwhile. So each entry is passed over at most twice, once in each queue.
        for _ in 0..2 * capacity {
            if order.once.len() < (capacity / 2).max(1) {
                if let Some(place) = order.again.pop_front() {
                    if !was_used(place) {
                        self.unlink(place);
                        return place;
                    }
                    order.again.push_back(place);
                    continue;
                }
            }
            let Some(place) = order.once.pop_front() else {
                continue;
            };
            if !self.places[place as usize].used.load(Relaxed) {
                self.unlink(place);
                return place;
            }
            // It keeps the mark. Otherwise it might go from there before it can be used.
            order.again.push_back(place);
        }
        let place = order.once.pop_front().or_else(|| order.again.pop_front());
        let place = place.expect("full");
        self.unlink(place);
        place
    }

    pub(super) fn take(&self, identity: Identity) -> Option<O> {
        let mut order = self.order.lock();
        let place = self.find(identity)?;
        order.once.retain(|other| *other != place);
        order.again.retain(|other| *other != place);
        self.take_out(&mut order, place)
    }

    /// Takes out the owners whose last use is recorded at or before `deadline`, and returns them.
    pub(super) fn take_until(&self, deadline: u64) -> Vec<O> {
        let mut order = self.order.lock();
        let mut places = Vec::new();
        let mut stays = |place: &u32| {
            let stays = self.places[*place as usize].last.load(Relaxed) > deadline;
            if !stays {
                places.push(*place);
            }
            stays
        };
        order.once.retain(&mut stays);
        order.again.retain(&mut stays);
        let gone = places.into_iter();
        gone.filter_map(|place| self.take_out(&mut order, place))
            .collect()
    }

    fn take_out(&self, order: &mut Order<O>, place: u32) -> Option<O> {
        self.unlink(place);
        order.free.push(place);
        order.owners[place as usize].take()
    }

    #[inline]
    fn first_slot(&self, identity: Identity) -> usize {
        identity.hash & (self.index.len() - 1)
    }

    /// Returns the place of this owner. Under the lock that is exact, otherwise a hint.
    #[inline]
    fn find(&self, identity: Identity) -> Option<u32> {
        let mut at = self.first_slot(identity);
        // Bounded: while another thread writes, the end of the probing may move away.
        for _ in 0..self.index.len() {
            let place = self.index[at].load(Relaxed).checked_sub(1)?;
            if self.places[place as usize].identity.load(Relaxed) == identity.number {
                return Some(place);
            }
            at = (at + 1) & (self.index.len() - 1);
        }
        None
    }

    fn link(&self, identity: Identity, place: u32) {
        self.places[place as usize]
            .identity
            .store(identity.number, Relaxed);
        let mut at = self.first_slot(identity);
        while self.index[at].load(Relaxed) != 0 {
            at = (at + 1) & (self.index.len() - 1);
        }
        self.index[at].store(place + 1, Relaxed);
    }

    /// Takes a place out of the index, and moves up the entries that were put behind it because of it.
    fn unlink(&self, place: u32) {
        let mask = self.index.len() - 1;
        let first_slot = |place: u32| {
            let number = self.places[place as usize].identity.load(Relaxed);
            self.first_slot(Identity::new(number))
        };
        let mut hole = first_slot(place);
        while self.index[hole].load(Relaxed) != place + 1 {
            hole = (hole + 1) & mask;
        }
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let Some(other) = self.index[at].load(Relaxed).checked_sub(1) else {
                break;
            };
            let way = at.wrapping_sub(first_slot(other)) & mask;
            if way >= at.wrapping_sub(hole) & mask {
                self.index[hole].store(other + 1, Relaxed);
                hole = at;
            }
        }
        self.index[hole].store(0, Relaxed);
    }
}

impl<O> Order<O> {
    fn len(&self) -> usize {
        self.once.len() + self.again.len()
    }
}

impl QueuePlace {
    #[inline]
    fn mark(&self, used: Use) {
        if !self.used.load(Relaxed) {
            self.used.store(true, Relaxed);
        }
        if used.now.saturating_sub(self.last.load(Relaxed)) >= used.grain {
            self.last.store(used.now, Relaxed);
        }
    }
}
