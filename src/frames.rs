//! What a thread is in the middle of: a list of *frames* on its own stack, which costs two stores for each.

use crate::sync::local;
use crate::tie::{Tie, Tied};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ptr;
use std::sync::Arc;

/// Names a piece of work: the address of something that lives as long as the work.
pub(crate) type Work = usize;

/// Writes what is being made, for the text of an error.
pub(crate) type Describe<'a> = &'a dyn Fn(&mut fmt::Formatter<'_>) -> fmt::Result;

/// Work that this thread is in, and the work inside of which it began.
struct Frame<'a> {
    work: Work,
    describe: Describe<'a>,
    /// If it may be given what is unfinished.
    opening: Option<Opening<'a>>,
    outer: *const Frame<'a>,
}

/// What a creation needs that may be given what is unfinished.
#[derive(Clone, Copy)]
pub(crate) struct Opening<'a> {
    pub(crate) tied: &'a dyn Tied,
    pub(crate) adopted: &'a Adopted,
}

/// Creations that have ended inside of another one, on its thread, and are settled with it.
#[derive(Default)]
pub(crate) struct Adopted(RefCell<Vec<Box<dyn Adoptee>>>);

pub(crate) trait Adoptee {
    /// Enters its value or gives it up, as has been decided.
    fn enter(&mut self);
    /// Gives what was entered to those who wait.
    fn land(self: Box<Self>);
}

impl Adopted {
    pub(crate) fn push(&self, one: Box<dyn Adoptee>) {
        self.0.borrow_mut().push(one);
    }

    /// All of them, in the order in which they came.
    pub(crate) fn take(&self) -> Vec<Box<dyn Adoptee>> {
        self.0.take()
    }
}

local! {
    /// The innermost work of this thread.
    static INNERMOST: Cell<*const Frame<'static>> = Cell::new(ptr::null());
}

/// Runs `f` as a part of this work.
pub(crate) fn during<R>(
    work: Work,
    describe: Describe<'_>,
    opening: Option<Opening<'_>>,
    f: impl FnOnce() -> R,
) -> R {
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
        opening,
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

/// A work, and what names it.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) work: Work,
    pub(crate) text: String,
}

pub(crate) fn text(describe: Describe<'_>) -> String {
    struct Text<'a>(Describe<'a>);
    impl fmt::Display for Text<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            (self.0)(f)
        }
    }
    Text(describe).to_string()
}

/// What this thread is in the middle of, innermost first. Runs `Debug` of keys.
pub(crate) fn parts() -> impl Iterator<Item = Part> {
    frames().map(|frame| Part {
        work: frame.work,
        text: text(frame.describe),
    })
}

/// As `parts`, without the texts.
pub(crate) fn works() -> impl Iterator<Item = Work> {
    frames().map(|frame| frame.work)
}

/// A number that tells threads apart while they live.
pub(crate) fn this_thread() -> usize {
    INNERMOST.with(|innermost| ptr::from_ref(innermost).addr())
}

/// Whether this thread is in the middle of something.
#[inline]
pub(crate) fn is_inside_any() -> bool {
    !INNERMOST.with(Cell::get).is_null()
}

/// Whether this thread is in the middle of this work.
pub(crate) fn is_inside(work: Work) -> bool {
    works().any(|inside| inside == work)
}

/// The innermost work, with its tie if it may be given what is unfinished.
pub(crate) fn innermost() -> Option<(Work, Option<Arc<Tie>>)> {
    let frame = frames().next()?;
    let tie = frame.opening.map(|opening| opening.tied.tie());
    Some((frame.work, tie))
}

/// Leaves a creation to the innermost work, which may be given what is unfinished.
pub(crate) fn adopt(one: Box<dyn Adoptee>) {
    let opening = frames().next().and_then(|frame| frame.opening);
    opening.expect("asked before").adopted.push(one);
}
