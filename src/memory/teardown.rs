//! Ending what owns what owns what …, without a stack that grows with the chain.
//!
//! A dead value is ended where its last owner is dropped, inside the end of what owned it if need be. From a
//! certain depth on it is put aside, and ended after the one at that depth, but before the outermost drop
//! returns. The order stays the same as without that: what is put aside first is ended first, and all that
//! this puts aside comes before the next.
//!
//! User code that runs because of a death, but outside of the value's end (a removal hook, a token's
//! callbacks), is treated in the same way: it may drop the next one.
//!
//! That is sound since nothing that is put aside borrows anything: it may have been made in a destructor that
//! is over when its turn comes. So what writes a value demands a `'static` type: the constructors of
//! registries, interners and watched values, the calls of maps that enter, and `Watched::get_mut`. Handles,
//! interned and watched pointers are covariant, which is harmless: through a shortened one nothing can be
//! written. Registries and interners are invariant.

use crate::memory::panics::Panics;
use crate::sync::local;
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::ptr;

/// The depth from which ends are put aside.
const MAX_DEPTH: u32 = if cfg!(all(highlander_loom, feature = "loom")) {
    2
} else {
    64
};

/// Something dead and the function that ends it.
pub(crate) struct Dead {
    what: [*const (); 2],
    end: unsafe fn([*const (); 2]),
}

impl Dead {
    /// # Safety
    /// `end` may be called with `what`, once, on this thread, also when all that is not `'static` has gone.
    #[inline]
    pub(crate) unsafe fn new(what: [*const (); 2], end: unsafe fn([*const (); 2])) -> Self {
        Self { what, end }
    }

    #[inline]
    fn end(self) {
        // SAFETY: the promise of whoever made it, and it goes with this call.
        unsafe { (self.end)(self.what) }
    }
}

/// The list of the deepest level. A chain has one at a time.
type Aside = RefCell<SmallVec<[Dead; 4]>>;

// Without destructors, so that they work while the thread's other thread-locals are being destroyed.
local! {
    static DEPTH: Cell<u32> = Cell::new(0);
    /// Of the deepest level, while there is one: exactly while the depth is `MAX_DEPTH`.
    static ASIDE: Cell<*const Aside> = Cell::new(ptr::null());
    /// Called when all that is put aside has been ended.
    static AFTERWARDS: Cell<Option<fn()>> = Cell::new(None);
}

/// Returns whether this thread is so deep that what dies is put aside.
#[inline(always)]
pub(crate) fn is_deepest() -> bool {
    DEPTH.with(Cell::get) == MAX_DEPTH
}

/// Returns whether this thread has put something aside.
pub(crate) fn has_aside() -> bool {
    // SAFETY: null, or the list of the deepest level, which is on this thread's stack.
    let aside = unsafe { ASIDE.with(Cell::get).as_ref() };
    aside.is_some_and(|aside| !aside.borrow().is_empty())
}

/// Has `f` called when all that is put aside has been ended. Only for the deepest level.
pub(crate) fn afterwards(f: fn()) {
    AFTERWARDS.with(|cell| cell.set(Some(f)));
}

/// Ends it now, or puts it aside.
#[inline]
pub(crate) fn end(dead: Dead) {
    if is_deepest() {
        put_aside(dead);
    } else {
        descend(|| dead.end());
    }
}

/// Runs it now, one level deeper, or puts it aside. It is `'static`, so it borrows nothing.
pub(crate) fn run<F: FnOnce() + 'static>(f: F) {
    unsafe fn run_boxed<F: FnOnce()>([f, _]: [*const (); 2]) {
        // SAFETY: the box that was given up below, and it is ended once.
        let f = unsafe { Box::from_raw(f.cast_mut().cast::<F>()) };
        f();
    }
    if !is_deepest() {
        return descend(f);
    }
    let f = Box::into_raw(Box::new(f)).cast_const().cast();
    // SAFETY: it borrows nothing, and lists of what is put aside stay on their thread.
    put_aside(unsafe { Dead::new([f, ptr::null()], run_boxed::<F>) });
}

/// Puts it aside. Only for the deepest level.
#[cold]
pub(crate) fn put_aside(dead: Dead) {
    // SAFETY: at this depth it is the list of the deepest level, which is on this thread's stack.
    let aside = unsafe { &*ASIDE.with(Cell::get) };
    aside.borrow_mut().push(dead);
}

/// Ends something one level deeper, or on the deepest level.
#[inline]
pub(crate) fn descend(end: impl FnOnce()) {
    /// Undoes one level, also when a destructor panics.
    struct NestingLevel(u32);
    impl Drop for NestingLevel {
        fn drop(&mut self) {
            DEPTH.with(|depth| depth.set(self.0));
        }
    }
    let depth = DEPTH.with(Cell::get);
    if depth == MAX_DEPTH {
        return end();
    }
    DEPTH.with(|cell| cell.set(depth + 1));
    let level = NestingLevel(depth);
    if depth + 1 < MAX_DEPTH {
        return end();
    }
    let panics = end_all(end);
    // Before the panics: a payload may be the last owner of something, and there is no list any more.
    drop(level);
    if let Some(f) = AFTERWARDS.with(Cell::take) {
        f();
    }
    drop(panics);
}

/// Runs the deepest level, and also ends what is put aside meanwhile.
#[cold]
#[inline(never)]
fn end_all(end: impl FnOnce()) -> Panics {
    let aside = Aside::default();
    let mut panics = Panics::new();
    ASIDE.with(|cell| cell.set(&aside));
    panics.catch(end);
    aside.borrow_mut().reverse();
    loop {
        // A statement of its own: the list is not borrowed while something ends.
        let next = aside.borrow_mut().pop();
        let Some(dead) = next else { break };
        let below = aside.borrow().len();
        panics.catch(|| dead.end());
        // The last of the list is ended next: so the first of these goes there.
        aside.borrow_mut()[below..].reverse();
    }
    ASIDE.with(|cell| cell.set(ptr::null()));
    panics
}
