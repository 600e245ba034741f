//! Who waits for whom: how a creation that would wait for itself is found, on one thread or through several, and through any number of maps.
//!
//! ```text
//!  thread 1: creates A ─► asks for B: sleeps ─┐        "A, on thread 1, waits for B" is noted before the thread sleeps;
//!  thread 2: creates B ─► asks for A ◄────────┘        thread 2 follows the notes from A, comes to its own B, and is refused
//! ```
//!
//! What a thread is creating is a list of *frames* on its own stack, which costs two stores for each. Only who is about to sleep, and is creating
//! something, takes the one lock there is and adds a note; so a look-up that hits, and one that waits for nothing, never come here.
//!
//! A note is in the list while its thread sleeps, so its work cannot end meanwhile, and the number of a work, which is an address, is not used again. Whoever comes last
//! finds the cycle, since all notes are made under the one lock.

use crate::cycle::CycleError;
use crate::sync::{global, local, Mutex};
use smallvec::SmallVec;
use std::cell::Cell;
use std::fmt;
use std::ptr;

/// Names a piece of work: the address of something that lives as long as the work.
pub(crate) type Work = usize;

/// Writes what is being made, for the text of an error.
pub(crate) type Describe<'a> = &'a dyn Fn(&mut fmt::Formatter<'_>) -> fmt::Result;

/// Work that this thread is in, and the work inside of which it began.
struct Frame<'a> {
    work: Work,
    describe: Describe<'a>,
    outer: *const Frame<'a>,
}

local! {
    /// The innermost work of this thread.
    static INNERMOST: Cell<*const Frame<'static>> = Cell::new(ptr::null());
}

global! {
    static NOTES: Mutex<Vec<Note>> = Mutex::new(Vec::new());
}

/// A sleeper's note.
struct Note {
    /// What it is in the middle of, innermost first.
    inside: SmallVec<[Part; 2]>,
    waits_for: Work,
}

#[derive(Clone)]
struct Part {
    work: Work,
    text: String,
}

/// How keys are named in the texts of errors: as they show themselves, or by their type.
pub(crate) struct Naming<K: ?Sized>(Option<ShowKey<K>>);

type ShowKey<K> = fn(&K, &mut fmt::Formatter<'_>) -> fmt::Result;

impl<K: ?Sized> Naming<K> {
    pub(crate) const BY_TYPE: Self = Self(None);

    /// As they show themselves.
    pub(crate) const fn shown() -> Self
    where
        K: fmt::Debug,
    {
        Self(Some(<K as fmt::Debug>::fmt))
    }

    pub(crate) fn name(self, key: &K, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(show) => show(key, f),
            None => write!(f, "a key of type `{}`", std::any::type_name::<K>()),
        }
    }
}

impl<K: ?Sized> Clone for Naming<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: ?Sized> Copy for Naming<K> {}

/// Runs `f` as a part of this work.
pub(crate) fn during<R>(work: Work, describe: Describe<'_>, f: impl FnOnce() -> R) -> R {
    struct Leave(*const Frame<'static>);
    impl Drop for Leave {
        fn drop(&mut self) {
            INNERMOST.with(|innermost| innermost.set(self.0));
        }
    }
    let outer = INNERMOST.with(Cell::get);
    let frame = Frame {
        work,
        describe,
        outer: outer.cast(),
    };
    let _leave = Leave(outer);
    INNERMOST.with(|innermost| innermost.set(ptr::from_ref(&frame).cast()));
    f()
}

/// The frames of this thread, innermost first.
fn frames<'a>() -> impl Iterator<Item = &'a Frame<'a>> {
    let mut next: *const Frame<'a> = INNERMOST.with(Cell::get).cast();
    std::iter::from_fn(move || {
        // SAFETY: null, or in a call of `during` on this thread that is not over, as those who ask are called from its `f` and
        // keep nothing. So the frame is there, and what it describes itself by.
        let frame = unsafe { next.as_ref() }?;
        next = frame.outer;
        Some(frame)
    })
}

impl Frame<'_> {
    fn text(&self) -> String {
        Text(self.describe).to_string()
    }

    fn part(&self) -> Part {
        Part {
            work: self.work,
            text: self.text(),
        }
    }
}

struct Text<'a>(Describe<'a>);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

/// A number that tells threads apart while they live.
pub(crate) fn this_thread() -> usize {
    INNERMOST.with(|innermost| ptr::from_ref(innermost).addr())
}

/// Whether this thread is in the middle of this work.
pub(crate) fn is_inside(work: Work) -> bool {
    frames().any(|frame| frame.work == work)
}

/// The error for work that is asked for in the middle of itself, on one thread.
#[cold]
pub(crate) fn own_cycle(work: Work) -> CycleError {
    let mut chain: Vec<String> = Vec::new();
    for frame in frames() {
        chain.push(frame.text());
        if frame.work == work {
            break;
        }
    }
    chain.reverse();
    CycleError::of(&chain)
}

/// That this thread is about to sleep, until this is dropped.
pub(crate) struct Waiting {
    /// Where the note is found again. Two that are the same can only be of one task, and either will do.
    note: Option<(Work, Work)>,
}

impl Waiting {
    /// Notes that the calling thread is about to wait for this work; refuses if that waits, directly or not, for what the thread is creating.
    ///
    /// Runs `Debug` of keys, with no lock held.
    pub(crate) fn begin(waits_for: Work) -> Result<Self, CycleError> {
        if frames().next().is_none() {
            // Nobody can wait for a thread that creates nothing.
            return Ok(Self { note: None });
        }
        Self::begin_inside(waits_for)
    }

    #[cold]
    fn begin_inside(waits_for: Work) -> Result<Self, CycleError> {
        let inside: SmallVec<[Part; 2]> = frames().map(Frame::part).collect();
        let innermost = inside[0].work;
        let mut notes = NOTES.lock();
        if let Some(chain) = chain_back(&notes, &inside, waits_for) {
            drop(notes);
            return Err(CycleError::of(&chain));
        }
        notes.push(Note { inside, waits_for });
        Ok(Self {
            note: Some((innermost, waits_for)),
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some((innermost, waits_for)) = self.note {
            let mut notes = NOTES.lock();
            let mine =
                |note: &Note| note.waits_for == waits_for && note.inside[0].work == innermost;
            let at = notes.iter().position(mine).expect("noted above");
            let note = notes.swap_remove(at);
            drop(notes);
            drop(note);
        }
    }
}

/// Follows the notes from `from`. If they lead back to the work that a thread is inside of: what they lead through, in order.
fn chain_back(notes: &[Note], inside: &[Part], from: Work) -> Option<Vec<String>> {
    let mut open: Vec<(Work, Vec<String>)> = vec![(from, Vec::new())];
    let mut seen = vec![from];
    while let Some((work, chain)) = open.pop() {
        if let Some(at) = inside.iter().position(|part| part.work == work) {
            // The thread's own part of the cycle comes first.
            let own = inside[..=at].iter().rev().map(|part| part.text.clone());
            return Some(own.chain(chain).collect());
        }
        for note in notes {
            let Some(at) = note.inside.iter().position(|part| part.work == work) else {
                continue;
            };
            if !seen.contains(&note.waits_for) {
                seen.push(note.waits_for);
                let mut chain = chain.clone();
                chain.extend(
                    note.inside[..=at]
                        .iter()
                        .rev()
                        .map(|part| part.text.clone()),
                );
                open.push((note.waits_for, chain));
            }
        }
    }
    None
}
