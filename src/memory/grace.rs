//! Grace periods: when memory that lock-free readers could still see may be given back.
//!
//! Readers mark the short stretch in which they follow pointers with a [`ReadGuard`]: two plain stores to a
//! line of their own, no fence and no shared write. Whoever wants to free memory first makes it unreachable,
//! then begins a [`Grace`] period, which is over when each thread that was reading at its beginning has left
//! that stretch. Nobody waits for it: memory whose period is not over stays in the [`Graveyard`] and is
//! looked at again later.
//!
//! Invariant: no user code runs inside a guard, so a stretch ends as soon as its thread is scheduled.

use crate::sync::{adopt_record, lend_record, own_record, records, return_record, ThreadRecord};
use crate::sync::{
    begin_reading, free, full_barrier, heavy_barrier, light_barrier, readers_fence, reclaims,
    READING,
};
use crate::sync::{AtomicBool, Mutex, Ordering};
use std::alloc::Layout;
use std::ptr::NonNull;

/// Added to a record's state after each stretch.
const NEXT: usize = READING << 1;

/// Proof that this thread reads. Invariant: while one stands, nothing that it can reach is freed.
pub(crate) struct ReadGuard {
    /// The record to reset, and to what; none inside another guard.
    outermost: Option<(&'static ThreadRecord, usize)>,
}

impl ReadGuard {
    /// Marks this thread as reading, if that needs no call.
    #[inline(always)]
    pub(crate) fn try_enter() -> Option<Self> {
        if !reclaims() {
            return Some(Self { outermost: None });
        }
        let record = own_record()?;
        // Only its own thread writes to the record while it is taken.
        let state = record.state.load(Ordering::Relaxed);
        if state & READING != 0 {
            return None;
        }
        record.state.store(state | READING, Ordering::Relaxed);
        light_barrier();
        if readers_fence() {
            // Nothing was read yet: the caller goes the other way.
            record.state.store(state, Ordering::Relaxed);
            return None;
        }
        Some(Self {
            outermost: Some((record, state.wrapping_add(NEXT))),
        })
    }

    fn enter(record: &'static ThreadRecord) -> Self {
        let state = record.state.load(Ordering::Relaxed);
        debug_assert_eq!(
            state & READING,
            0,
            "a record is handed on by threads that do not read"
        );
        record.state.store(state | READING, Ordering::Relaxed);
        full_barrier();
        Self {
            outermost: Some((record, state.wrapping_add(NEXT))),
        }
    }
}

/// Runs `f`, which follows pointers but runs no user code, with this thread marked as reading.
#[inline(always)]
pub(crate) fn reading<R>(f: impl FnOnce(&ReadGuard) -> R) -> R {
    match ReadGuard::try_enter() {
        Some(guard) => f(&guard),
        None => reading_otherwise(f),
    }
}

/// Serves the cases of [`reading`] without the short way: a thread's first use, its end, readers that need a
/// fence, a guard inside another one (an allocator that uses a registry), and models that give nothing back.
#[cold]
#[inline(never)]
fn reading_otherwise<R>(f: impl FnOnce(&ReadGuard) -> R) -> R {
    let nested = |record: &ThreadRecord| record.state.load(Ordering::Relaxed) & READING != 0;
    if !reclaims() || own_record().is_some_and(nested) {
        return f(&ReadGuard { outermost: None });
    }
    begin_reading();
    match adopt_record() {
        Some(record) => f(&ReadGuard::enter(record)),
        None => {
            // Dropped in this order: first the guard, then what it wrote to.
            let lent = Lent(lend_record());
            let guard = ReadGuard::enter(lent.0);
            f(&guard)
        }
    }
}

/// A record for one use, by a thread that is ending and has none of its own any more.
struct Lent(&'static ThreadRecord);

impl Drop for Lent {
    fn drop(&mut self) {
        return_record(self.0);
    }
}

impl Drop for ReadGuard {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some((record, leave)) = self.outermost {
            // Release: pairs with the Acquire loads in `Grace` and `Refusal`. All reads under the guard come
            // before.
            record.state.store(leave, Ordering::Release);
        }
    }
}

/// A grace period: the threads that were reading when it began, and have not been seen to leave since.
struct Grace {
    readers: Vec<(&'static ThreadRecord, usize)>,
}

impl Grace {
    /// Begins a period. What was made unreachable before this call may be freed when the period is over. None
    /// when the system's barrier fails, as it can when the process has forbidden itself the call.
    fn begin() -> Option<Self> {
        // Orders "made unreachable" before the loads below. A reader that they show as not reading either has
        // left (its Release store was seen), or has not begun: then its own barrier comes after this one, and
        // its loads find what replaced the unreachable memory. So too for a record not in the list yet.
        if !heavy_barrier() {
            return None;
        }
        let readers = records()
            .map(|record| (record, record.state.load(Ordering::Acquire)))
            .filter(|(_, state)| state & READING != 0)
            .collect();
        Some(Self { readers })
    }

    /// Returns whether it is over. A thread has left when its state has changed, whatever it reads by now.
    fn is_over(&mut self) -> bool {
        self.readers
            .retain(|(record, seen)| record.state.load(Ordering::Acquire) == *seen);
        self.readers.is_empty()
    }
}

/// A block of memory with nothing in it that needs dropping.
pub(crate) struct Block {
    pub(crate) memory: NonNull<u8>,
    pub(crate) layout: Layout,
}

// SAFETY: a block is plain memory; whoever holds it owns it alone.
unsafe impl Send for Block {}

impl Block {
    /// # Safety
    /// Nobody may reach the memory any more, and it came from the global allocator with this layout.
    pub(crate) unsafe fn free(self) {
        // SAFETY: the caller's promise.
        unsafe { free(self.memory, self.layout) }
    }
}

#[derive(Default)]
struct Graves {
    /// Made unreachable, but no period has begun for them.
    fresh: Vec<Block>,
    /// Made unreachable before `period` began.
    waiting: Vec<Block>,
    period: Option<Grace>,
}

/// Memory that is unreachable for new readers and waits until no old one can see it.
pub(crate) struct Graveyard {
    graves: Mutex<Graves>,
    /// A hint that there is something to collect.
    occupied: AtomicBool,
}

impl Graveyard {
    pub(crate) fn new() -> Self {
        Self {
            graves: Mutex::new(Graves::default()),
            occupied: AtomicBool::new(false),
        }
    }

    /// Takes over memory that has just been made unreachable.
    ///
    /// # Safety
    /// No reader from now on can find the blocks, and each came from the global allocator with its layout.
    pub(crate) unsafe fn retire(&self, blocks: impl IntoIterator<Item = Block>) {
        self.graves.lock().fresh.extend(blocks);
        self.occupied.store(true, Ordering::Relaxed);
    }

    /// Takes over a block of which there will be many: it waits for the next collection.
    ///
    /// # Safety
    /// As for `retire`.
    pub(in crate::memory) unsafe fn retire_later(&self, block: Block) {
        self.graves.lock().fresh.push(block);
    }

    #[inline(always)]
    pub(crate) fn is_occupied(&self) -> bool {
        self.occupied.load(Ordering::Relaxed)
    }

    /// Frees what nobody can see any more. Never waits, nor panics; true when nothing is left.
    #[cold]
    pub(crate) fn collect(&self) -> bool {
        if !reclaims() {
            return false;
        }
        let Some(mut graves) = self.graves.try_lock() else {
            return false;
        };
        // Two rounds: the first may end a period that holds back the fresh ones.
        for _ in 0..2 {
            if graves.period.is_none() && !graves.fresh.is_empty() {
                graves.period = Grace::begin();
                if graves.period.is_none() {
                    break;
                }
                graves.waiting = std::mem::take(&mut graves.fresh);
            }
            if graves.period.as_mut().is_some_and(Grace::is_over) {
                graves.period = None;
                for block in std::mem::take(&mut graves.waiting) {
                    // SAFETY: unreachable before the period began, by the contract of `retire`; it is over.
                    unsafe { block.free() };
                }
            }
        }
        let empty = graves.period.is_none() && graves.fresh.is_empty();
        self.occupied.store(!empty, Ordering::Relaxed);
        empty
    }
}

impl Drop for Graveyard {
    fn drop(&mut self) {
        let mut graves = self.graves.lock();
        let waiting = std::mem::take(&mut graves.waiting);
        let fresh = std::mem::take(&mut graves.fresh);
        for block in waiting.into_iter().chain(fresh) {
            // SAFETY: the owner of the graveyard is going, and with it every reader of its memory: readers
            // hold a reference to the owner, and droppers are counted by it.
            unsafe { block.free() };
        }
    }
}
