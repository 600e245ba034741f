//! Things in the order in which they came, read without a lock.
//!
//! Each gets a number that is never used again. Numbers ascend along the list. So a reader may stop, unpin,
//! and go on behind the last number that it has read: nothing is held back while the caller works on what was
//! read.
//!
//! ```text
//!  directory (immutable, replaced as a whole)
//!   ├─► chunk  [1 ■][2 ·][5 ■]              · a hole: what was there has been removed
//!   ├─► chunk  [6 ·][7 ·][8 ■][9 ■]
//!   └─► chunk  [10 ■][11 ■][  ][  ]   filled up to here: numbers are written once, before readers see them
//! ```
//! The number of the next thing is stored when the one before is in its place. So a thread that has read it
//! finds all things with lower numbers that have not been removed.
//!
//! Readers pin the epoch, then follow pointers. Writers hold one lock. A writer gives what it unlinks, a
//! directory or a thing, to the epoch, which drops it when every reader that was pinned at that moment has
//! unpinned.

use crate::sync::{AtomicU64, Ordering};

/// The number of the next thing. It is also the number of all things so far.
struct NextNumber(AtomicU64);

impl NextNumber {
    fn get(&self) -> u64 {
        // Acquire: pairs with the Release in `set`.
        self.0.load(Ordering::Acquire)
    }

    /// For the writer: stores the number when the thing before is in its place. (Writers follow each other by
    /// way of their lock. So a thread that reads what one of them has stored finds what those before it have
    /// put in.)
    fn set(&self, number: u64) {
        self.0.store(number, Ordering::Release);
    }
}

#[cfg(not(all(highlander_loom, feature = "loom")))]
mod body {
    use super::NextNumber;
    use crate::memory::panics::discard;
    use crate::sync::Mutex;
    use crossbeam_epoch::{self as epoch, Atomic, Owned};
    use std::alloc::Layout;
    use std::ops::ControlFlow;
    use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
    use std::sync::Arc;

    pub(crate) use crossbeam_epoch::Guard;

    /// Keeps what is reachable now from being freed. It may drop removed things that other guards have held
    /// back, so no lock is to be held.
    #[inline]
    pub(crate) fn pin() -> Guard {
        epoch::pin()
    }

    /// Holes are closed when there are more than things, and this many more.
    const HOLES: usize = 32;

    pub(crate) struct EpochList<T: Send + Sync + 'static> {
        /// Never null.
        directory: Atomic<Directory<T>>,
        /// A number below which there is nothing.
        first: AtomicU64,
        live: AtomicUsize,
        next: NextNumber,
        /// The lock of writers; so no read-modify-write is needed for the fields above. It guards the number
        /// of slots that are filled, holes among them.
        writer: Mutex<usize>,
    }

    // Invariant: numbers ascend along the chunks and within them. Each chunk but the last has filled slots,
    // which may all be holes.
    struct Directory<T> {
        chunks: Vec<Arc<ListChunk<T>>>,
    }

    struct ListChunk<T> {
        /// The number of slots that are written. Their numbers stay.
        filled: AtomicUsize,
        slots: Box<[ListSlot<T>]>,
    }

    struct ListSlot<T> {
        number: AtomicU64,
        /// Null, or from `Arc::into_raw`. In a chunk of the *current* directory the slot owns one reference;
        /// in others, none.
        thing: AtomicPtr<T>,
    }

    impl<T> ListChunk<T> {
        fn new(capacity: usize) -> Self {
            let slot = |_| ListSlot {
                number: AtomicU64::new(0),
                thing: AtomicPtr::new(std::ptr::null_mut()),
            };
            Self {
                filled: AtomicUsize::new(0),
                slots: (0..capacity).map(slot).collect(),
            }
        }

        fn filled(&self) -> &[ListSlot<T>] {
            // Acquire: pairs with the Release in `append`. The numbers and pointers of these slots are
            // written.
            &self.slots[..self.filled.load(Ordering::Acquire)]
        }

        /// Fills the next slot. Only for the writer, and only if there is a next slot.
        fn append(&self, number: u64, thing: *mut T) {
            let at = self.filled.load(Ordering::Relaxed);
            self.slots[at].number.store(number, Ordering::Relaxed);
            self.slots[at].thing.store(thing, Ordering::Relaxed);
            self.filled.store(at + 1, Ordering::Release);
        }

        fn is_full(&self) -> bool {
            self.filled.load(Ordering::Relaxed) == self.slots.len()
        }

        fn last_number(&self) -> Option<u64> {
            let slot = self.filled().last()?;
            Some(slot.number.load(Ordering::Relaxed))
        }
    }

    impl<T> Directory<T> {
        /// Returns the place of `number`, or of the next higher one.
        fn seek(&self, number: u64) -> (usize, usize) {
            let chunk = self
                .chunks
                .partition_point(|chunk| chunk.last_number().is_some_and(|last| last < number));
            let slot = self.chunks.get(chunk).map_or(0, |chunk| {
                chunk
                    .filled()
                    .partition_point(|slot| slot.number.load(Ordering::Relaxed) < number)
            });
            (chunk, slot)
        }

        /// Returns the filled slots from `number` on.
        fn slots_from(&self, number: u64) -> impl Iterator<Item = (u64, &AtomicPtr<T>)> {
            let (chunk, slot) = self.seek(number);
            let (first, rest) = match &self.chunks[chunk..] {
                [] => (&[] as &[_], &[] as &[_]),
                [first, rest @ ..] => (&first.filled()[slot..], rest),
            };
            first
                .iter()
                .chain(rest.iter().flat_map(|chunk| chunk.filled()))
                .map(|slot| (slot.number.load(Ordering::Relaxed), &slot.thing))
        }

        fn slot(&self, number: u64) -> Option<&AtomicPtr<T>> {
            let (found, slot) = self.slots_from(number).next()?;
            (found == number).then_some(slot)
        }
    }

    impl<T: Send + Sync + 'static> EpochList<T> {
        pub(in crate::set) fn new() -> Self {
            Self {
                directory: Atomic::new(Directory { chunks: Vec::new() }),
                first: AtomicU64::new(0),
                live: AtomicUsize::new(0),
                next: NextNumber(AtomicU64::new(0)),
                writer: Mutex::new(0),
            }
        }

        /// Returns how many things there are.
        pub(in crate::set) fn len(&self) -> usize {
            self.live.load(Ordering::Relaxed)
        }

        /// Returns how many slots there are.
        pub(in crate::set) fn capacity(&self, guard: &Guard) -> usize {
            let chunks = &self.directory(guard).chunks;
            chunks.iter().map(|chunk| chunk.slots.len()).sum()
        }

        /// Returns the number of the next thing: all things now have a lower number. A caller that reads it
        /// finds all of those that have not been removed.
        pub(in crate::set) fn end(&self) -> u64 {
            self.next.get()
        }

        fn directory<'g>(&self, guard: &'g Guard) -> &'g Directory<T> {
            // SAFETY: never null. A directory is given to the epoch after it has been replaced, so the guard
            // keeps what was loaded under it. Acquire: pairs with the Release of the swap in `replace` that
            // published it.
            unsafe { self.directory.load(Ordering::Acquire, guard).deref() }
        }

        /// Puts the thing that `make` makes of its number at the end. `make` runs under the lock.
        pub(in crate::set) fn append(
            &self,
            guard: &Guard,
            make: impl FnOnce(u64) -> Arc<T>,
        ) -> Arc<T> {
            let mut used = self.writer.lock();
            let number = self.end();
            let thing = make(number);
            let directory = self.directory(guard);
            match directory.chunks.last().filter(|chunk| !chunk.is_full()) {
                Some(chunk) => chunk.append(number, Arc::into_raw(Arc::clone(&thing)).cast_mut()),
                None => {
                    // A quarter more, within limits: a small list is one small chunk, and a long list has few
                    // chunks.
                    let chunk = ListChunk::new((self.len() / 4).next_power_of_two().clamp(8, 1024));
                    let mut chunks = Vec::with_capacity(directory.chunks.len() + 1);
                    chunks.extend_from_slice(&directory.chunks);
                    chunk.append(number, Arc::into_raw(Arc::clone(&thing)).cast_mut());
                    chunks.push(Arc::new(chunk));
                    self.replace(chunks, guard);
                }
            }
            *used += 1;
            self.next.set(number + 1);
            self.live.store(self.len() + 1, Ordering::Relaxed);
            thing
        }

        /// Takes out the thing with this number. Some for the one caller that has taken it out.
        pub(in crate::set) fn remove(&self, guard: &Guard, number: u64) -> Option<Arc<T>> {
            let mut used = self.writer.lock();
            let directory = self.directory(guard);
            let pointer = directory
                .slot(number)?
                .swap(std::ptr::null_mut(), Ordering::Relaxed);
            if pointer.is_null() {
                return None;
            }
            self.live.store(self.len() - 1, Ordering::Relaxed);
            // The holes before the first one are passed once, here.
            let first = directory
                .slots_from(self.first.load(Ordering::Relaxed))
                .find(|(_, slot)| !slot.load(Ordering::Relaxed).is_null())
                .map_or(self.end(), |(number, _)| number);
            self.first.store(first, Ordering::Relaxed);
            if *used > 2 * self.len() + HOLES {
                self.close_holes(&mut used, guard);
            }
            drop(used);
            // SAFETY: a slot of the directory that was current (the lock was held) owned this reference, and
            // does not any more.
            let thing = unsafe { Arc::from_raw(pointer) };
            let taken = Arc::clone(&thing);
            // SAFETY: whoever still sees the pointer is pinned. `T` may be dropped on any thread, at any time
            // (`Send + Sync + 'static`).
            unsafe {
                // A panic must not pass through the collector.
                guard.defer_unchecked(move || discard(thing));
            }
            Some(taken)
        }

        /// Returns the thing with this number.
        pub(in crate::set) fn get(&self, guard: &Guard, number: u64) -> Option<Arc<T>> {
            self.visit(guard, number, |found, thing| {
                ControlFlow::Break((found == number).then(|| Arc::clone(thing)))
            })?
        }

        /// Calls `visit` with each thing from `number` on until it returns `Break`. A thing that is removed
        /// meanwhile may be among them.
        pub(in crate::set) fn visit<B>(
            &self,
            guard: &Guard,
            number: u64,
            mut visit: impl FnMut(u64, &Arc<T>) -> ControlFlow<B>,
        ) -> Option<B> {
            let from = number.max(self.first.load(Ordering::Relaxed));
            for (number, slot) in self.directory(guard).slots_from(from) {
                // Acquire is not needed: the pointer was written before `filled`, and is only ever replaced
                // by null.
                let pointer = slot.load(Ordering::Relaxed);
                if pointer.is_null() {
                    continue;
                }
                // SAFETY: from `Arc::into_raw`. The slot's reference is given back to the epoch after the
                // pointer has been taken out of the current directory, and this reader was pinned before it
                // could load a directory in which it still is. It is only borrowed: `ManuallyDrop` gives back
                // nothing.
                let thing = unsafe { std::mem::ManuallyDrop::new(Arc::from_raw(pointer)) };
                if let ControlFlow::Break(result) = visit(number, &thing) {
                    return Some(result);
                }
            }
            None
        }

        /// Moves what is left into new chunks. Readers of the old ones see what they would have seen.
        fn close_holes(&self, used: &mut usize, guard: &Guard) {
            let live: Vec<_> = self
                .directory(guard)
                .slots_from(0)
                .map(|(number, slot)| (number, slot.load(Ordering::Relaxed)))
                .filter(|(_, pointer)| !pointer.is_null())
                .collect();
            let chunks = live.chunks(1024).map(|part| {
                let chunk = ListChunk::new(part.len().next_power_of_two().max(8));
                for (number, pointer) in part {
                    chunk.append(*number, *pointer);
                }
                Arc::new(chunk)
            });
            self.replace(chunks.collect(), guard);
            *used = live.len();
        }

        /// Gives back the room of holes and of slots that are not used.
        pub(in crate::set) fn shrink_to_fit(&self, guard: &Guard) {
            self.close_holes(&mut self.writer.lock(), guard);
        }

        /// Makes room for this many more things at the end, until holes are closed.
        ///
        /// Panics with "capacity overflow" when no chunk can have that size.
        pub(in crate::set) fn reserve(&self, additional: usize, guard: &Guard) {
            // Before the lock: it may panic.
            let layout = Layout::array::<ListSlot<T>>(additional);
            assert!(layout.is_ok(), "capacity overflow");
            let mut used = self.writer.lock();
            let chunks = &self.directory(guard).chunks;
            let last = chunks.last();
            let vacant = last.map_or(0, |last| last.slots.len() - last.filled().len());
            if vacant >= additional {
                return;
            }
            // A longer chunk replaces the last one, at least twice as long. Holes are left out. Readers of
            // the old one see what they would have seen.
            let old = last.map_or(&[][..], |last| last.filled());
            let kept = |slot: &&ListSlot<T>| !slot.thing.load(Ordering::Relaxed).is_null();
            let (before, kept): (_, Vec<_>) = (old.len(), old.iter().filter(kept).collect());
            let chunk = ListChunk::new(kept.len() + additional.max(kept.len()));
            for slot in &kept {
                chunk.append(
                    slot.number.load(Ordering::Relaxed),
                    slot.thing.load(Ordering::Relaxed),
                );
            }
            *used -= before - kept.len();
            let mut chunks = chunks[..chunks.len().saturating_sub(1)].to_vec();
            chunks.push(Arc::new(chunk));
            self.replace(chunks, guard);
        }

        /// Replaces the directory. To be called under the lock.
        fn replace(&self, chunks: Vec<Arc<ListChunk<T>>>, guard: &Guard) {
            let new = Owned::new(Directory { chunks });
            let old = self.directory.swap(new, Ordering::AcqRel, guard);
            // SAFETY: not reachable any more for readers that pin from now on, and never null. Its chunks
            // drop no things.
            unsafe { guard.defer_destroy(old) };
        }
    }

    impl<T: Send + Sync + 'static> Drop for EpochList<T> {
        fn drop(&mut self) {
            let directory = std::mem::replace(&mut self.directory, Atomic::null());
            // SAFETY: `&mut self`: there is no reader and no writer, and the directory is never null.
            let directory = unsafe { directory.into_owned() };
            for (_, slot) in directory.slots_from(0) {
                let pointer = slot.load(Ordering::Relaxed);
                if !pointer.is_null() {
                    // SAFETY: the slots of the current directory own one reference each.
                    discard(unsafe { Arc::from_raw(pointer) });
                }
            }
        }
    }
}

#[cfg(all(highlander_loom, feature = "loom"))]
mod body {
    use super::NextNumber;
    use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, Mutex, Ordering};
    use std::ops::ControlFlow;
    use std::ptr::null_mut;
    use std::sync::Arc;

    pub(crate) struct Guard;

    impl Guard {
        pub(in crate::set) fn flush(&self) {}
    }

    pub(crate) fn pin() -> Guard {
        Guard
    }

    // crossbeam-epoch collects for all models at once, so here the epoch does not pass before the list is
    // dropped. A slot is published, and made a hole, by the same orderings as in the real one.
    pub(crate) struct EpochList<T: Send + Sync + 'static> {
        first: AtomicPtr<ModelSlot<T>>,
        next: NextNumber,
        live: AtomicUsize,
        writer: Mutex<Written<T>>,
    }

    struct ModelSlot<T> {
        number: u64,
        /// Null, or from `Arc::into_raw`: the slot owns one reference.
        thing: AtomicPtr<T>,
        next: AtomicPtr<ModelSlot<T>>,
    }

    struct Written<T> {
        /// Null before the first one.
        last: *mut ModelSlot<T>,
        /// The things that the epoch would drop.
        removed: Vec<Arc<T>>,
    }

    // SAFETY: it leads to a slot of the list, which may be sent as it owns things that may be.
    unsafe impl<T: Send + Sync> Send for Written<T> {}

    impl<T: Send + Sync + 'static> EpochList<T> {
        pub(in crate::set) fn new() -> Self {
            Self {
                first: AtomicPtr::new(null_mut()),
                next: NextNumber(AtomicU64::new(0)),
                live: AtomicUsize::new(0),
                writer: Mutex::new(Written {
                    last: null_mut(),
                    removed: Vec::new(),
                }),
            }
        }

        pub(in crate::set) fn len(&self) -> usize {
            self.live.load(Ordering::Relaxed)
        }

        pub(in crate::set) fn capacity(&self, _: &Guard) -> usize {
            self.len()
        }

        pub(in crate::set) fn end(&self) -> u64 {
            self.next.get()
        }

        pub(in crate::set) fn append(&self, _: &Guard, make: impl FnOnce(u64) -> Arc<T>) -> Arc<T> {
            let mut written = self.writer.lock();
            let number = self.end();
            let thing = make(number);
            let slot = Box::into_raw(Box::new(ModelSlot {
                number,
                thing: AtomicPtr::new(Arc::into_raw(Arc::clone(&thing)).cast_mut()),
                next: AtomicPtr::new(null_mut()),
            }));
            // SAFETY: null, or a slot of this list, which are freed with it.
            let place = unsafe { written.last.as_ref() }.map_or(&self.first, |last| &last.next);
            place.store(slot, Ordering::Release);
            written.last = slot;
            self.live.store(self.len() + 1, Ordering::Relaxed);
            self.next.set(number + 1);
            thing
        }

        pub(in crate::set) fn remove(&self, _: &Guard, number: u64) -> Option<Arc<T>> {
            let mut written = self.writer.lock();
            let mut slots = self.slots();
            let slot = slots.find(|slot| slot.number == number)?;
            let thing = slot.thing.swap(null_mut(), Ordering::Relaxed);
            if thing.is_null() {
                return None;
            }
            self.live.store(self.len() - 1, Ordering::Relaxed);
            // SAFETY: the slot owned this reference, and does not any more.
            let thing = unsafe { Arc::from_raw(thing) };
            written.removed.push(Arc::clone(&thing));
            Some(thing)
        }

        pub(in crate::set) fn get(&self, guard: &Guard, number: u64) -> Option<Arc<T>> {
            self.visit(guard, number, |found, thing| {
                ControlFlow::Break((found == number).then(|| Arc::clone(thing)))
            })?
        }

        fn slots(&self) -> impl Iterator<Item = &ModelSlot<T>> {
            let mut place = &self.first;
            std::iter::from_fn(move || {
                // SAFETY: null, or a slot of this list, which are freed with it.
                let slot = unsafe { place.load(Ordering::Acquire).as_ref() }?;
                place = &slot.next;
                Some(slot)
            })
        }

        pub(in crate::set) fn visit<B>(
            &self,
            _: &Guard,
            number: u64,
            mut visit: impl FnMut(u64, &Arc<T>) -> ControlFlow<B>,
        ) -> Option<B> {
            for slot in self.slots().filter(|slot| slot.number >= number) {
                let thing = slot.thing.load(Ordering::Relaxed);
                if thing.is_null() {
                    continue;
                }
                // SAFETY: what has been taken out of a slot is kept until the list is dropped. It is only
                // borrowed.
                let thing = unsafe { std::mem::ManuallyDrop::new(Arc::from_raw(thing)) };
                if let ControlFlow::Break(result) = visit(slot.number, &thing) {
                    return Some(result);
                }
            }
            None
        }

        pub(in crate::set) fn reserve(&self, _: usize, _: &Guard) {}

        pub(in crate::set) fn shrink_to_fit(&self, _: &Guard) {}
    }

    impl<T: Send + Sync + 'static> Drop for EpochList<T> {
        fn drop(&mut self) {
            let mut slot = self.first.load(Ordering::Acquire);
            while !slot.is_null() {
                // SAFETY: `&mut self`: nobody reads or writes, and each slot is met once.
                let ended = unsafe { Box::from_raw(slot) };
                let thing = ended.thing.load(Ordering::Relaxed);
                if !thing.is_null() {
                    // SAFETY: the slot owns one reference.
                    drop(unsafe { Arc::from_raw(thing) });
                }
                slot = ended.next.load(Ordering::Relaxed);
            }
        }
    }
}

pub(crate) use body::{pin, EpochList, Guard};
