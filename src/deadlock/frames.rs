//! The *frames* of a thread, a list on its own stack: what it is in the middle of. Each costs a few stores.
//!
//! A frame is a part of some work that runs now: the factory of a creation, or a destructor that others wait
//! for. The innermost frame is the work that asks for something; the frames further out wait for it.
//!
//! # Drafts
//! Inside the creation of a key, on the same thread, a caller that asks for that key gets its *draft*: the
//! value, allocated and not yet complete. So a circle of values can be made on one thread. What was made with
//! the help of a draft must not be seen by others before the draft is complete. Therefore every frame has a
//! *family*: creations that have ended inside it and are not published yet, as they need a draft further out.
//!
//! ```text
//!  depth 1  A initialises                   A ends well, and needs nothing: its family is published with it
//!  depth 2   └─ B initialises               B ends, needs 1: goes to A's family
//!  depth 3       └─ C asks for A, gets it   C ends, needs 1: goes to B's family, and to A's when B ends
//! ```
//!
//! When a creation fails, those of its family that need it are given up; the others go on to the frame around
//! it. All of that happens on one thread: others know only that each of these keys is being created.

use crate::deadlock::family::{Family, Needs, Pending, Unfinished};
use crate::deadlock::work::{new_number, text, Describe, Work};
use crate::memory::panics::Panics;
use crate::memory::teardown;
use crate::sync::local;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ptr;
use std::task::Waker;

/// Shows some works, one after the other.
pub(in crate::deadlock) type Works<'a> = &'a dyn Fn(&mut dyn FnMut(&Work));

#[derive(Clone, Copy)]
pub(crate) enum Part<'a> {
    /// A creation that may be given drafts: its family, and its own draft if there is one yet.
    Open(&'a Family, Option<&'a dyn Any>),
    /// A creation that may not, or a destructor.
    Closed,
    /// The remaining members of a family are given up, or published. A caller that asks for one of them, or
    /// for their owner, asks for what this thread has still to do.
    Ending(&'a Unfinished<'a>),
    /// It keeps these from ending: drafts that have been given up, and that it is about to release.
    KeepsAlive(Works<'a>),
    /// A task is woken, and may be polled here: it is no part of what its thread is in the middle of. With
    /// the wakers that come after it, the next one last.
    Waking(&'a RefCell<Vec<Waker>>),
}

/// A part of some work that this thread runs, and the frame inside which it began.
struct Frame<'a> {
    work: &'a Work,
    describe: Describe<'a>,
    part: Part<'a>,
    /// The number of frames down to and with this one.
    depth: u32,
    outer: *const Frame<'a>,
}

impl<'a> Frame<'a> {
    fn family(&self) -> Option<&'a Family> {
        match self.part {
            Part::Open(family, _) => Some(family),
            Part::Closed | Part::Ending(_) | Part::KeepsAlive(_) | Part::Waking(_) => None,
        }
    }

    fn is_waking(&self) -> bool {
        matches!(self.part, Part::Waking(_))
    }

    fn is_of(&self, work: &Work) -> bool {
        ptr::eq(self.work, work)
    }
}

local! {
    /// The innermost frame of this thread.
    static INNERMOST: Cell<*const Frame<'static>> = Cell::new(ptr::null());
    /// This thread's number, once it has one.
    static THREAD: Cell<u64> = Cell::new(0);
    /// The number of destructors that this thread has to run and others may wait for.
    static PENDING_DESTRUCTORS: Cell<usize> = Cell::new(0);
    /// This thread is in an edge of the wait-for graph.
    static HAS_EDGE: Cell<bool> = Cell::new(false);
}

/// Runs `f` as a part of this work.
pub(crate) fn during<R>(
    work: &Work,
    describe: Describe<'_>,
    part: Part<'_>,
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
        part,
        depth: depth() + 1,
        outer: outer.cast(),
    };
    let _leave = Leave(outer);
    INNERMOST.with(|innermost| innermost.set(ptr::from_ref(&frame).cast()));
    f()
}

/// Wakes tasks. That runs code of executors, which may poll tasks that are no part of what this thread does.
pub(in crate::deadlock) fn wake_each(mut wakers: Vec<Waker>) {
    if wakers.is_empty() {
        return;
    }
    wakers.reverse();
    let wakers = RefCell::new(wakers);
    let describe: Describe<'_> = &|_| Ok(());
    during(&Work::new(), describe, Part::Waking(&wakers), || {
        wake(&wakers);
    });
}

fn wake(wakers: &RefCell<Vec<Waker>>) {
    let mut panics = Panics::new();
    loop {
        // A statement of its own: nothing is borrowed while one is woken.
        let next = wakers.borrow_mut().pop();
        let Some(waker) = next else { break };
        panics.catch(|| waker.wake());
    }
}

/// Wakes those that this thread has still to wake, before it sleeps inside a waker, perhaps for one of them.
pub(in crate::deadlock) fn wake_others() {
    for frame in frames() {
        if let Part::Waking(wakers) = frame.part {
            wake(wakers);
        }
    }
}

/// Returns the frames of this thread, innermost first.
fn frames<'a>() -> impl Iterator<Item = &'a Frame<'a>> {
    let mut next: *const Frame<'a> = INNERMOST.with(Cell::get).cast();
    std::iter::from_fn(move || {
        // SAFETY: null, or in a call of `during` on this thread that is not over, as the callers of this run
        // in its `f` and keep nothing after it. So the frame is there, and what it refers to.
        let frame = unsafe { next.as_ref() }?;
        next = frame.outer;
        Some(frame)
    })
}

fn depth() -> u32 {
    frames().next().map_or(0, |frame| frame.depth)
}

pub(crate) fn new_family() -> Family {
    Family::new(depth() + 1)
}

/// Returns this thread's number: that of a work which is all that the thread has to do.
pub(crate) fn this_thread() -> u64 {
    THREAD.with(|thread| {
        if thread.get() == 0 {
            thread.set(new_number());
        }
        thread.get()
    })
}

/// Counts one more destructor for this thread to run, perhaps much later, in none of the present frames.
pub(crate) fn add_pending_destructor() {
    PENDING_DESTRUCTORS.with(|count| count.set(count.get() + 1));
}

pub(crate) fn remove_pending_destructor() {
    PENDING_DESTRUCTORS.with(|count| count.set(count.get() - 1));
}

/// Returns whether this thread has something to end, or may soon have: it is so deep that what dies is put
/// aside. (A task may still wait by then.)
#[inline]
fn has_pending_ends() -> bool {
    PENDING_DESTRUCTORS.with(Cell::get) > 0 || teardown::is_deepest()
}

/// Returns whether this thread is in an edge of the wait-for graph.
pub(crate) fn has_edge() -> bool {
    HAS_EDGE.with(Cell::get)
}

/// Clears that this thread is in an edge, if it has nothing to end any more. True if it was.
pub(in crate::deadlock) fn take_stale_edge_flag() -> bool {
    !has_pending_ends() && HAS_EDGE.with(|flag| flag.replace(false))
}

#[inline]
pub(crate) fn is_inside_any() -> bool {
    !INNERMOST.with(Cell::get).is_null()
}

/// Returns whether a value that this thread is given may be one that is not published yet.
#[cold]
pub(crate) fn has_drafts() -> bool {
    frames().any(|frame| match frame.part {
        Part::Open(family, draft) => draft.is_some() || !family.is_alone(),
        _ => false,
    })
}

/// Returns whether somebody may wait for what this thread has to do.
#[inline]
pub(in crate::deadlock) fn is_waited_for() -> bool {
    is_inside_any() || has_pending_ends()
}

/// A thread or a task that asks for something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    Thread,
    #[cfg(feature = "async")]
    Task,
}

/// Returns the frames that wait for what the asker waits for, innermost first. A task that is polled while it
/// is woken is a part of nothing further out.
fn waiting_frames<'a>(asker: Asker) -> impl Iterator<Item = &'a Frame<'a>> {
    frames().take_while(move |frame| asker == Asker::Thread || !frame.is_waking())
}

/// Returns whether what this thread is in the middle of waits for what the asker waits for.
pub(crate) fn is_held_up_by(asker: Asker) -> bool {
    asker == Asker::Thread || !frames().any(Frame::is_waking)
}

/// A work by its number and its name.
pub(in crate::deadlock) struct Named {
    pub(in crate::deadlock) work: u64,
    pub(in crate::deadlock) text: String,
    /// It runs now. Others have ended, and are of the family of the next one that runs, or kept alive by it.
    pub(in crate::deadlock) runs: bool,
}

/// Returns what waits for what the asker waits for, innermost first: each frame's family, then its work. Runs
/// `Debug` of keys.
pub(in crate::deadlock) fn waiting_works(asker: Asker) -> Vec<Named> {
    let mut all = Vec::new();
    for frame in waiting_frames(asker).filter(|frame| !frame.is_waking()) {
        let mut see = |member: &dyn Pending| {
            all.push(Named {
                work: member.work().number(),
                text: member.text().to_string(),
                runs: false,
            });
        };
        let work = match frame.part {
            Part::Ending(unfinished) => {
                unfinished.for_each(see);
                unfinished.owner()
            }
            Part::KeepsAlive(kept) => {
                kept(&mut |work| {
                    all.push(Named {
                        work: work.number(),
                        text: "the end of what was given up".to_string(),
                        runs: false,
                    });
                });
                frame.work.number()
            }
            _ => {
                if let Some(family) = frame.family() {
                    family.for_each(&mut see);
                }
                frame.work.number()
            }
        };
        all.push(Named {
            work,
            text: text(frame.describe),
            runs: true,
        });
    }
    if has_pending_ends() && is_held_up_by(asker) {
        HAS_EDGE.with(|flag| flag.set(true));
        all.push(Named {
            work: this_thread(),
            text: "what a thread still has to end".to_string(),
            runs: true,
        });
    }
    all
}

/// Describes the path from a work to a request for it in the middle of itself.
#[cold]
pub(crate) fn own_cycle(is_it: impl Fn(&Work) -> bool) -> Vec<String> {
    let mut chain: Vec<String> = Vec::new();
    for frame in frames().filter(|frame| !frame.is_waking()) {
        chain.push(text(frame.describe));
        if is_it(frame.work) {
            break;
        }
        let mut pending = None;
        let see = |member: &dyn Pending| {
            if is_it(member.work()) {
                pending = Some(member.text().to_string());
            }
        };
        match frame.part {
            Part::Open(family, _) => family.for_each(see),
            Part::Ending(unfinished) => unfinished.for_each(see),
            Part::Closed | Part::KeepsAlive(_) | Part::Waking(_) => {}
        }
        if let Some(text) = pending {
            chain.push(text);
            break;
        }
    }
    chain.reverse();
    chain
}

/// The relation of a work to its asker.
pub(crate) enum Own<R> {
    /// Not its own.
    No,
    /// Its own, and this is the draft.
    Draft(R),
    /// Its own, and there is no draft, or none for this asker: it would wait for itself.
    Refused,
}

/// Returns the draft of this work, if this thread is in the middle of it. The frames in between need it then.
#[cold]
pub(crate) fn own_draft<R: Clone>(work: &Work, asker: Asker) -> Own<R> {
    // The asker waits for the draft, and so must all that waits for the asker.
    let mut can_wait = asker == Asker::Thread;
    for frame in waiting_frames(asker) {
        match frame.part {
            Part::Ending(unfinished) if unfinished.has(work) => return Own::Refused,
            _ if !frame.is_of(work) => {}
            Part::Open(_, Some(draft)) if can_wait => {
                need(frame, &Needs::of(frame.depth));
                return Own::Draft(cloned(draft));
            }
            _ => return Own::Refused,
        }
        let Some(family) = frame.family() else {
            can_wait = false;
            continue;
        };
        match family.draft(work) {
            Some((draft, needs)) if can_wait => {
                need(frame, &needs);
                return Own::Draft(cloned(&*draft));
            }
            Some(_) => return Own::Refused,
            None => {}
        }
    }
    Own::No
}

/// Adds these needs to the frames inside `outer`.
fn need(outer: &Frame<'_>, needs: &Needs) {
    let inner = frames().take_while(|frame| frame.depth > outer.depth);
    inner
        .filter_map(|frame| frame.family())
        .for_each(|family| family.need(needs));
}

fn cloned<R: Clone>(draft: &dyn Any) -> R {
    // SAFETY: a work has drafts of one type, and the asker knows the type from where the work is kept: a
    // flight that has results of this type. (No `downcast_ref`: it asks for `'static`, which look-ups must do
    // without. That type has it, but for the lifetimes by which a registry may have been made shorter.)
    let draft = unsafe { &*ptr::from_ref(draft).cast::<R>() };
    draft.clone()
}

fn outer_family<'a>() -> Option<&'a Family> {
    let outer = frames().next()?;
    let family = outer.family()?;
    family.set_owner(outer.work);
    Some(family)
}

/// Leaves an ended creation, and its family, to the one around it.
pub(crate) fn leave(family: &Family, own: Box<dyn Pending>) {
    family.join(
        outer_family().expect("it was given a draft from there, or from further out"),
        own,
    );
}

/// Gives up those of a failed creation's family that need it; the others are left to the one around it.
pub(crate) fn fail(family: &Family) {
    let lost = family.fail(outer_family());
    end_each(&Unfinished::new(family, lost), drop);
}

/// Returns the outermost family of what this thread is in the middle of.
pub(crate) fn outermost_family<'a>() -> Option<&'a Family> {
    let families = frames().filter_map(|frame| match frame.part {
        Part::Ending(unfinished) => Some(unfinished.family()),
        _ => frame.family(),
    });
    families.last()
}

/// Enters a creation by `own`, and the members of its family after it; then publishes these. Returns what has
/// panicked in that. If `own` panics, or does not enter it, the members are given up.
pub(crate) fn publish<R>(
    family: &Family,
    own: impl FnOnce() -> R,
    is_entered: impl Fn(&R) -> bool,
) -> (R, Panics) {
    let mut panics = Panics::new();
    let members = family.take();
    if members.is_empty() {
        return (own(), panics);
    }
    let unfinished = Unfinished::new(family, members);
    let entered = panics.catch(|| with_unfinished(&unfinished, own));
    let goes_on = entered.as_ref().is_some_and(is_entered);
    if goes_on {
        with_unfinished(&unfinished, || {
            unfinished.enter(|member| {
                panics.catch(|| member.enter());
            });
        });
    }
    // All are entered before: a waiter for one of them finds all.
    panics.catch(|| match goes_on {
        true => end_each(&unfinished, |member| member.publish()),
        false => end_each(&unfinished, drop),
    });
    let Some(entered) = entered else {
        drop(panics);
        unreachable!("it has panicked");
    };
    (entered, panics)
}

/// Runs `f` while these are still to end.
fn with_unfinished<R>(unfinished: &Unfinished<'_>, f: impl FnOnce() -> R) -> R {
    let describe: Describe<'_> = &|f| f.write_str("the end of what was made with it");
    during(&Work::new(), describe, Part::Ending(unfinished), f)
}

fn end_each(unfinished: &Unfinished<'_>, end: impl Fn(Box<dyn Pending>)) {
    let mut panics = Panics::new();
    with_unfinished(unfinished, || {
        while let Some(member) = unfinished.next() {
            panics.catch(|| end(member));
        }
    });
}
