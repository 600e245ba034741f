//! What all public types are: `Send`, `Sync`, `Unpin`, `UnwindSafe`, `RefUnwindSafe`, for contents that are and that are not; and their variance.
//!
//! All of it is asserted at compile time. That the containers are invariant is tested in `tests/variance.md`, since it has to be seen that something does not compile.

use highlander::map::entry::*;
use highlander::map::slot::*;
use highlander::registries::after_fork::{AfterFork, Prepared};
use highlander::registries::class_map::{ClassMap, Wrap};
use highlander::registries::finalizers::{ExitGuard, Finalizer, Finalizers, Nobody, Ran};
use highlander::registries::logging::{
    self, FileSink, Handler, Level, Logger, Logging, ParseLevelError, Policy, Record, Shutdown,
    StderrSink, Step, UnknownHandler,
};
use highlander::registries::memo::{Memo, Same};
use highlander::registries::processes::{OsChild, Pipes, Process, Processes};
use highlander::registries::resources::{FileKey, Files, Resources, Stream};
use highlander::registries::signals::{self, Receiver, ReceiverId, Route, Signal};
use highlander::registries::tree::{
    AdoptError, Ancestors, Children, Descendants, NoParent, Node, WeakNode,
};
use highlander::{error::*, hash::*, map::*, pointer::*, *};
use std::any::Any;
use std::cell::Cell;
use std::marker::PhantomPinned as Pinned;
use std::rc::Rc;
use std::sync::Arc;

/// To be shared, but not to be moved to another thread: as a guard of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SyncOnly(*const ());

// SAFETY: nothing can be done with it.
unsafe impl Sync for SyncOnly {}

/// What a panic can leave half-changed, though it is not seen through a shared reference.
type Unique = &'static mut u32;

struct Wrapping;

impl Wrap for Wrapping {
    type Descriptor = Arc<u32>;
    type Wrapper = Arc<u32>;
    type Error = CreateError<()>;

    fn allocate(&self, _: &Arc<u32>) -> Result<Arc<u32>, CreateError<()>> {
        unreachable!("only its type is of interest")
    }

    fn initialise(
        &self,
        _: &ClassMap<Self>,
        _: &Arc<u32>,
        _: &Arc<u32>,
    ) -> Result<(), CreateError<()>> {
        unreachable!("only its type is of interest")
    }
}

/// For each trait a `HOLDS` of `Is<T>`: true where `T` has it, as what a type has of its own goes before what a trait gives to all.
macro_rules! ask {
    ($($module:ident: $name:path;)*) => { $(
        mod $module {
            use std::marker::PhantomData;

            pub(super) struct Is<T: ?Sized>(PhantomData<T>);

            pub(super) trait No {
                const HOLDS: bool = false;
            }

            impl<T: ?Sized> No for Is<T> {}

            impl<T: ?Sized + $name> Is<T> {
                pub(super) const HOLDS: bool = true;
            }
        }
    )* };
}

ask! {
    send: Send;
    sync: Sync;
    unpin: Unpin;
    unwind: std::panic::UnwindSafe;
    ref_unwind: std::panic::RefUnwindSafe;
}

/// Asserts of each type which traits it has: the row has the letter of one that it has, and `-` for one that it has not.
/// `S`end, s`Y`nc, un`P`in, `U`nwindSafe, `R`efUnwindSafe.
macro_rules! types_are {
    ($($traits:literal $of:ty;)*) => { $(
        const _: () = {
            #[allow(unused_imports)] // Those of traits that the type has.
            use {ref_unwind::No as _, send::No as _, sync::No as _, unpin::No as _, unwind::No as _};
            let is = [
                (<send::Is<$of>>::HOLDS, b'S'),
                (<sync::Is<$of>>::HOLDS, b'Y'),
                (<unpin::Is<$of>>::HOLDS, b'P'),
                (<unwind::Is<$of>>::HOLDS, b'U'),
                (<ref_unwind::Is<$of>>::HOLDS, b'R'),
            ];
            assert!(matches(&is, $traits), stringify!($of));
        };
    )* };
}

const fn matches(is: &[(bool, u8); 5], expected: &[u8; 5]) -> bool {
    let mut i = 0;
    while i < is.len() {
        let shown = if is[i].0 { is[i].1 } else { b'-' };
        if shown != expected[i] {
            return false;
        }
        i += 1;
    }
    true
}

// The contents themselves.
types_are! {
    b"SYPUR" u32;
    b"S-PU-" Cell<u32>;
    b"-YPUR" SyncOnly;
    b"--PUR" Rc<u32>;
    b"--PUR" *const ();
    b"SYP-R" Unique;
    b"SY-UR" Pinned;
    b"SYPUR" Arc<u32>;
    b"--P--" Arc<Cell<u32>>;
}

// Handles and registries.
types_are! {
    b"SYPUR" Registry<u32, u32>;
    b"--P--" Registry<u32, Cell<u32>>;
    b"--P--" Registry<Cell<u32>, u32>;
    b"--PUR" Registry<u32, SyncOnly>;
    b"--PUR" Registry<SyncOnly, u32>;
    b"--PUR" Registry<u32, Rc<u32>>;
    b"--PUR" Registry<Rc<u32>, u32>;
    b"--PUR" Registry<u32, *const ()>;
    b"SYP--" Registry<u32, Unique>;
    b"SYPUR" Registry<u32, Pinned>;
    b"S-PU-" Registry<u32, u32, Cell<u32>>;
    b"-YPUR" Registry<u32, u32, SyncOnly>;
    b"--PUR" Registry<u32, u32, Rc<u32>>;
    b"SYP-R" Registry<u32, u32, Unique>;
    b"SY-UR" Registry<u32, u32, Pinned>;
    b"SYPUR" Handle<u32, u32>;
    b"--P--" Handle<u32, Cell<u32>>;
    b"--P--" Handle<Cell<u32>, u32>;
    b"--PUR" Handle<u32, SyncOnly>;
    b"--PUR" Handle<SyncOnly, u32>;
    b"--PUR" Handle<u32, Rc<u32>>;
    b"--PUR" Handle<Rc<u32>, u32>;
    b"--PUR" Handle<u32, *const ()>;
    b"SYPUR" Handle<u32, Unique>;
    b"SYPUR" Handle<u32, Pinned>;
    b"SYPUR" WeakHandle<u32, u32>;
    b"--P--" WeakHandle<u32, Cell<u32>>;
    b"--P--" WeakHandle<Cell<u32>, u32>;
    b"--PUR" WeakHandle<u32, SyncOnly>;
    b"--PUR" WeakHandle<SyncOnly, u32>;
    b"--PUR" WeakHandle<u32, Rc<u32>>;
    b"--PUR" WeakHandle<Rc<u32>, u32>;
    b"SYPUR" WeakHandle<u32, Pinned>;
    b"SYPUR" RegistryIter<u32, u32>;
    b"--P--" RegistryIter<u32, Cell<u32>>;
    b"--PUR" RegistryIter<SyncOnly, u32>;
    b"SYPUR" RegistryIter<u32, Pinned>;
}

// Interners.
types_are! {
    b"SYPUR" Interner<u32>;
    b"SYPUR" Interner<str>;
    b"--P--" Interner<[Cell<u32>]>;
    b"--P--" Interner<Cell<u32>>;
    b"--PUR" Interner<SyncOnly>;
    b"--PUR" Interner<Rc<u32>>;
    b"SYPUR" Interner<Unique>;
    b"SYPUR" Interner<Pinned>;
    b"S-PU-" Interner<u32, Cell<u32>>;
    b"-YPUR" Interner<u32, SyncOnly>;
    b"--PUR" Interner<u32, Rc<u32>>;
    b"SYP-R" Interner<u32, Unique>;
    b"SYPUR" Interned<u32>;
    b"SYPUR" Interned<str>;
    b"--P--" Interned<[Cell<u32>]>;
    b"--P--" Interned<Cell<u32>>;
    b"--PUR" Interned<SyncOnly>;
    b"--PUR" Interned<Rc<u32>>;
    b"SYPUR" Interned<Unique>;
    b"SYPUR" Interned<Pinned>;
    b"SYPUR" InternerIter<str>;
    b"--P--" InternerIter<Cell<u32>>;
    b"--PUR" InternerIter<SyncOnly>;
    b"SYPUR" InternerIter<Pinned>;
}

// Watched values.
types_are! {
    b"SYPUR" Watched<u32>;
    b"SYPUR" Watched<str>;
    b"--P--" Watched<Cell<u32>>;
    b"--PUR" Watched<SyncOnly>;
    b"--PUR" Watched<Rc<u32>>;
    b"--PUR" Watched<*const ()>;
    b"SYPUR" Watched<Unique>;
    b"SYPUR" Watched<Pinned>;
    b"--P--" Watched<dyn Any>;
    b"SYP--" Watched<dyn Any + Send + Sync>;
    b"SYPUR" WeakWatched<u32>;
    b"--P--" WeakWatched<Cell<u32>>;
    b"--PUR" WeakWatched<SyncOnly>;
    b"--PUR" WeakWatched<Rc<u32>>;
    b"SYPUR" WeakWatched<Unique>;
    b"SYPUR" WeakWatched<Pinned>;
    b"SYPUR" WatchedInner<u32>;
    b"S-PU-" WatchedInner<Cell<u32>>;
    b"-YPUR" WatchedInner<SyncOnly>;
    b"--PUR" WatchedInner<Rc<u32>>;
    b"SYP-R" WatchedInner<Unique>;
    b"SY-UR" WatchedInner<Pinned>;
    b"SYPUR" Token;
    b"SYPUR" Registration;
    b"SYPUR" Notify;
}

// Maps and sets. Of a map's sides there are four pairs, and each has a name.
types_are! {
    b"SYPUR" WeakValueMap<u32, Arc<u32>>;
    b"--P--" WeakValueMap<u32, Arc<Cell<u32>>>;
    b"--PUR" WeakValueMap<u32, Rc<u32>>;
    b"--P--" WeakValueMap<Cell<u32>, Arc<u32>>;
    b"--PUR" WeakValueMap<SyncOnly, Arc<u32>>;
    b"--PUR" WeakValueMap<Rc<u32>, Arc<u32>>;
    b"SYP--" WeakValueMap<Unique, Arc<u32>>;
    b"SYPUR" WeakValueMap<Pinned, Arc<u32>>;
    b"SYPUR" WeakValueMap<u32, Watched<u32>>;
    b"SYPUR" WeakValueMap<u32, Handle<u32, u32>>;
    b"S-PU-" WeakValueMap<u32, Arc<u32>, Cell<u32>>;
    b"-YPUR" WeakValueMap<u32, Arc<u32>, SyncOnly>;
    b"--PUR" WeakValueMap<u32, Arc<u32>, Rc<u32>>;
    b"SYP-R" WeakValueMap<u32, Arc<u32>, Unique>;
    b"SY-UR" WeakValueMap<u32, Arc<u32>, Pinned>;
    b"SYPUR" WeakKeyMap<Arc<u32>, u32>;
    b"--P--" WeakKeyMap<Arc<u32>, Cell<u32>>;
    b"--PUR" WeakKeyMap<Arc<u32>, SyncOnly>;
    b"--PUR" WeakKeyMap<Arc<u32>, Rc<u32>>;
    b"SYP--" WeakKeyMap<Arc<u32>, Unique>;
    b"SYPUR" WeakKeyMap<Arc<u32>, Pinned>;
    b"--PUR" WeakKeyMap<Rc<u32>, u32>;
    b"--P--" WeakKeyMap<Arc<Cell<u32>>, u32, ByAddress>;
    b"SYPUR" WeakKeyMap<Watched<u32>, u32, ByAddress>;
    b"S-PU-" WeakKeyMap<Arc<u32>, u32, ByAddress, Cell<u32>>;
    b"-YPUR" WeakKeyMap<Arc<u32>, u32, ByAddress, SyncOnly>;
    b"SYP-R" WeakKeyMap<Arc<u32>, u32, ByAddress, Unique>;
    b"SYPUR" WeakKeyValueMap<Arc<u32>, Arc<u32>>;
    b"--P--" WeakKeyValueMap<Arc<u32>, Arc<Cell<u32>>>;
    b"--P--" WeakKeyValueMap<Arc<Cell<u32>>, Arc<u32>, ByAddress>;
    b"--PUR" WeakKeyValueMap<Arc<u32>, Rc<u32>>;
    b"--PUR" WeakKeyValueMap<Rc<u32>, Arc<u32>>;
    b"SYPUR" WeakKeyValueMap<Watched<u32>, Watched<u32>>;
    b"S-PU-" WeakKeyValueMap<Arc<u32>, Arc<u32>, ByAddress, Cell<u32>>;
    b"-YPUR" WeakKeyValueMap<Arc<u32>, Arc<u32>, ByAddress, SyncOnly>;
    b"SYP-R" WeakKeyValueMap<Arc<u32>, Arc<u32>, ByAddress, Unique>;
    b"SYPUR" StrongMap<u32, u32>;
    b"--P--" StrongMap<u32, Cell<u32>>;
    b"--P--" StrongMap<Cell<u32>, u32>;
    b"--PUR" StrongMap<u32, SyncOnly>;
    b"--PUR" StrongMap<SyncOnly, u32>;
    b"--PUR" StrongMap<u32, Rc<u32>>;
    b"--PUR" StrongMap<Rc<u32>, u32>;
    b"SYP--" StrongMap<u32, Unique>;
    b"SYP--" StrongMap<Unique, u32>;
    b"SYPUR" StrongMap<u32, Pinned>;
    b"S-PU-" StrongMap<u32, u32, Cell<u32>>;
    b"-YPUR" StrongMap<u32, u32, SyncOnly>;
    b"--PUR" StrongMap<u32, u32, Rc<u32>>;
    b"SYP-R" StrongMap<u32, u32, Unique>;
    b"SY-UR" StrongMap<u32, u32, Pinned>;
    b"SYPUR" WeakSet<Arc<u32>>;
    b"SYPUR" WeakSet<Watched<u32>>;
    b"SYP--" WeakSet<Arc<dyn Any + Send + Sync>>;
    b"S-PU-" WeakSet<Arc<u32>, ByAddress, Cell<u32>>;
    b"-YPUR" WeakSet<Arc<u32>, ByAddress, SyncOnly>;
    b"SYP-R" WeakSet<Arc<u32>, ByAddress, Unique>;
    b"SYPUR" WeakSetIter<Arc<u32>>;
}

/// A key that is held weakly.
type WeakKey<P, M = ByEquality> = WeakSlot<P, M>;
/// A value that is, of a map with strong keys.
type WeakValue<P> = WeakSlot<P>;
/// One of a map with weak keys.
type Found<P> = WeakSlot<P, Traced>;

// The entries of a map, for each pair of sides, and the sides themselves.
types_are! {
    b"SYPUR" Iter<'static, OwnedSlot<u32>, WeakValue<Arc<u32>>>;
    b"--PUR" Iter<'static, OwnedSlot<u32>, WeakValue<Rc<u32>>>;
    b"--P--" Iter<'static, OwnedSlot<u32>, WeakValue<Arc<Cell<u32>>>>;
    b"--P--" Iter<'static, OwnedSlot<Cell<u32>>, WeakValue<Arc<u32>>>;
    b"--PUR" Iter<'static, OwnedSlot<SyncOnly>, WeakValue<Arc<u32>>>;
    b"SYP--" Iter<'static, OwnedSlot<Unique>, WeakValue<Arc<u32>>>;
    b"SYPUR" Iter<'static, WeakKey<Arc<u32>>, OwnedSlot<u32>>;
    b"--PUR" Iter<'static, WeakKey<Rc<u32>>, OwnedSlot<u32>>;
    b"--P--" Iter<'static, WeakKey<Arc<Cell<u32>>, ByAddress>, OwnedSlot<u32>>;
    b"--P--" Iter<'static, WeakKey<Arc<u32>>, OwnedSlot<Cell<u32>>>;
    b"--PUR" Iter<'static, WeakKey<Arc<u32>>, OwnedSlot<SyncOnly>>;
    b"SYPUR" Iter<'static, WeakKey<Arc<u32>>, OwnedSlot<Pinned>>;
    b"SYPUR" Iter<'static, WeakKey<Arc<u32>>, Found<Arc<u32>>>;
    b"--PUR" Iter<'static, WeakKey<Rc<u32>>, Found<Arc<u32>>>;
    b"--PUR" Iter<'static, WeakKey<Arc<u32>>, Found<Rc<u32>>>;
    b"--P--" Iter<'static, WeakKey<Arc<u32>>, Found<Arc<Cell<u32>>>>;
    b"SYPUR" Iter<'static, OwnedSlot<u32>, OwnedSlot<u32>>;
    b"--P--" Iter<'static, OwnedSlot<u32>, OwnedSlot<Cell<u32>>>;
    b"--P--" Iter<'static, OwnedSlot<Cell<u32>>, OwnedSlot<u32>>;
    b"--PUR" Iter<'static, OwnedSlot<SyncOnly>, OwnedSlot<u32>>;
    b"--PUR" Iter<'static, OwnedSlot<u32>, OwnedSlot<Rc<u32>>>;
    b"SYP--" Iter<'static, OwnedSlot<u32>, OwnedSlot<Unique>>;
    b"SYPUR" Iter<'static, OwnedSlot<u32>, OwnedSlot<Pinned>>;
    b"SYPUR" OwnedSlot<u32>;
    b"S-PU-" OwnedSlot<Cell<u32>>;
    b"-YPUR" OwnedSlot<SyncOnly>;
    b"--PUR" OwnedSlot<Rc<u32>>;
    b"SYP-R" OwnedSlot<Unique>;
    b"SY-UR" OwnedSlot<Pinned>;
    b"SYPUR" WeakKey<Arc<u32>>;
    b"SYPUR" WeakKey<Arc<u32>, ByAddress>;
    b"SYPUR" WeakValue<Watched<u32>>;
    b"SYPUR" Found<Arc<u32>>;
    // As the weak pointer, which is less than its `Rc`.
    b"--P--" std::rc::Weak<u32>;
    b"--P--" WeakKey<Rc<u32>>;
    b"--P--" WeakValue<Rc<u32>>;
    b"--P--" Found<Rc<u32>>;
    b"SYPUR" Traced;
}

/// A map that is everything, and ones that cannot be shared, or not seen after a panic.
type Plain = WeakValueMap<u32, Arc<u32>>;
type Local = WeakValueMap<u32, Rc<u32>>;
type Half = WeakValueMap<u32, Arc<Cell<u32>>>;

// Entries, with each kind of key, condition and output: as what they hold, which is a reference to the map besides.
types_are! {
    b"SYPUR" Entry<'static, Plain, OwnedKey<u32>>;
    b"--PUR" Entry<'static, Local, OwnedKey<u32>>;
    b"--P--" Entry<'static, Half, OwnedKey<u32>>;
    // To be shared is all that a reference needs to be sent.
    b"SYPUR" Entry<'static, WeakValueMap<u32, Arc<u32>, SyncOnly>, OwnedKey<u32>>;
    b"--P--" Entry<'static, WeakValueMap<u32, Arc<u32>, Cell<u32>>, OwnedKey<u32>>;
    b"SYPUR" Entry<'static, Registry<u32, u32>, OwnedKey<u32>>;
    b"--P--" Entry<'static, Registry<u32, Cell<u32>>, OwnedKey<u32>>;
    b"S-PU-" Entry<'static, Plain, OwnedKey<Cell<u32>>>;
    b"-YPUR" Entry<'static, Plain, OwnedKey<SyncOnly>>;
    b"--PUR" Entry<'static, Plain, OwnedKey<Rc<u32>>>;
    b"SYP-R" Entry<'static, Plain, OwnedKey<Unique>>;
    b"SY-UR" Entry<'static, Plain, OwnedKey<Pinned>>;
    b"SYPUR" Entry<'static, Plain, GivenKey<u32>>;
    b"S-PU-" Entry<'static, Plain, GivenKey<Cell<u32>>>;
    b"--PUR" Entry<'static, Plain, GivenKey<Rc<u32>>>;
    b"SYPUR" Entry<'static, WeakKeyMap<Arc<u32>, u32>, GivenKey<&'static Arc<u32>>>;
    b"--PUR" Entry<'static, WeakKeyMap<Rc<u32>, u32>, GivenKey<&'static Rc<u32>>>;
    b"SYPUR" Entry<'static, WeakKeyValueMap<Arc<u32>, Arc<u32>>, GivenKey<&'static Arc<u32>>>;
    b"SYPUR" Entry<'static, StrongMap<u32, u32>, GivenKey<u32>>;
    b"SYPUR" Entry<'static, Plain, BorrowedKey<'static, str>>;
    b"--P--" Entry<'static, Plain, BorrowedKey<'static, Cell<u32>>>;
    b"SYPUR" Entry<'static, Plain, BorrowedKey<'static, str, KeyWith<fn(&str) -> u32>>>;
    b"--PUR" Entry<'static, Plain, BorrowedKey<'static, str, KeyWith<Rc<u32>>>>;
    b"SYPUR" Entry<'static, Plain, OwnedKey<u32>, ValidIf<fn(&Arc<u32>) -> bool, AnyLive>>;
    b"S-PU-" Entry<'static, Plain, OwnedKey<u32>, ValidIf<Cell<u32>, AnyLive>>;
    b"--PUR" Entry<'static, Plain, OwnedKey<u32>, ShareErrors<ValidIf<Rc<u32>, AnyLive>>>;
    b"SYPUR" Entry<'static, Plain, OwnedKey<u32>, ShareErrors<AnyLive>, KeyAndOwner>;
    b"SYPUR" Entry<'static, Plain, OwnedKey<u32>, AnyLive, View<fn(&Arc<u32>)>>;
    b"--PUR" Entry<'static, Plain, OwnedKey<u32>, AnyLive, View<Rc<u32>>>;
    b"SY-UR" Entry<'static, Plain, OwnedKey<u32>, AnyLive, View<Pinned>>;
}

// The parts of an entry's type.
types_are! {
    b"SYPUR" OwnedKey<u32>;
    b"S-PU-" OwnedKey<Cell<u32>>;
    b"-YPUR" OwnedKey<SyncOnly>;
    b"--PUR" OwnedKey<Rc<u32>>;
    b"SYP-R" OwnedKey<Unique>;
    b"SY-UR" OwnedKey<Pinned>;
    b"SYPUR" GivenKey<u32>;
    b"S-PU-" GivenKey<Cell<u32>>;
    b"-YPUR" GivenKey<SyncOnly>;
    b"--PUR" GivenKey<Rc<u32>>;
    b"SYP-R" GivenKey<Unique>;
    b"SY-UR" GivenKey<Pinned>;
    b"SYPUR" GivenKey<&'static Arc<u32>>;
    b"--P--" GivenKey<&'static Arc<Cell<u32>>>;
    b"--PUR" GivenKey<&'static Rc<u32>>;
    b"SYPUR" BorrowedKey<'static, str>;
    b"--P--" BorrowedKey<'static, Cell<u32>>;
    b"SYPUR" BorrowedKey<'static, SyncOnly>;
    b"--PUR" BorrowedKey<'static, Rc<u32>>;
    b"SYP-R" BorrowedKey<'static, str, Unique>;
    b"S-PU-" BorrowedKey<'static, str, KeyWith<Cell<u32>>>;
    b"SYPUR" FromRef;
    b"SYPUR" KeyWith<u32>;
    b"S-PU-" KeyWith<Cell<u32>>;
    b"-YPUR" KeyWith<SyncOnly>;
    b"--PUR" KeyWith<Rc<u32>>;
    b"SYP-R" KeyWith<Unique>;
    b"SY-UR" KeyWith<Pinned>;
    b"SYPUR" AnyLive;
    b"SYPUR" ValidIf<u32, AnyLive>;
    b"S-PU-" ValidIf<Cell<u32>, AnyLive>;
    b"-YPUR" ValidIf<SyncOnly, AnyLive>;
    b"--PUR" ValidIf<Rc<u32>, AnyLive>;
    b"--PUR" ValidIf<u32, ValidIf<Rc<u32>, AnyLive>>;
    b"SYP-R" ValidIf<Unique, AnyLive>;
    b"SY-UR" ValidIf<Pinned, AnyLive>;
    b"SYPUR" ShareErrors<AnyLive>;
    b"S-PU-" ShareErrors<Cell<u32>>;
    b"--PUR" ShareErrors<ValidIf<Rc<u32>, AnyLive>>;
    b"SYPUR" Owned;
    b"SYPUR" KeyAndOwner;
    b"SYPUR" View<u32>;
    b"S-PU-" View<Cell<u32>>;
    b"-YPUR" View<SyncOnly>;
    b"--PUR" View<Rc<u32>>;
    b"SYP-R" View<Unique>;
    b"SY-UR" View<Pinned>;
}

// What is kept a little.
types_are! {
    b"SYPUR" Recent<WeakValueMap<u32, Arc<u32>>>;
    b"--PUR" Recent<WeakValueMap<u32, Rc<u32>>>;
    b"SYPUR" Recent<Registry<u32, u32>>;
    b"--P--" Recent<Registry<u32, Cell<u32>>>;
    b"SYPUR" RecentErrors<u32, u32>;
    b"--P--" RecentErrors<u32, Cell<u32>>;
    b"--PUR" RecentErrors<SyncOnly, u32>;
}

// Claims.
types_are! {
    b"SYPUR" Vacancy<'static, Registry<u32, u32>>;
    b"--P--" Vacancy<'static, Registry<u32, Cell<u32>>>;
    b"--PUR" Vacancy<'static, Registry<SyncOnly, u32>>;
    b"--PUR" Vacancy<'static, Registry<u32, Rc<u32>>>;
    b"SYPUR" Vacancy<'static, WeakValueMap<u32, Arc<u32>>>;
    b"--PUR" Vacancy<'static, WeakValueMap<u32, Rc<u32>>>;
    b"SYPUR" Vacancy<'static, WeakKeyMap<Arc<u32>, u32>>;
    b"--PUR" Vacancy<'static, WeakKeyMap<Arc<u32>, Rc<u32>>>;
    b"SYPUR" Vacancy<'static, WeakKeyValueMap<Arc<u32>, Arc<u32>>>;
    b"SYPUR" Vacancy<'static, StrongMap<u32, u32>>;
    b"--PUR" Vacancy<'static, StrongMap<u32, Rc<u32>>>;
    b"SYPUR" Claim<'static, Registry<u32, u32>>;
    b"--P--" Claim<'static, Registry<u32, Cell<u32>>>;
    b"SYPUR" Claim<'static, WeakValueMap<u32, Arc<u32>>>;
    b"--PUR" Claim<'static, WeakValueMap<u32, Rc<u32>>>;
    b"SYPUR" Claim<'static, StrongMap<u32, u32>>;
}

// Seeds and small types.
types_are! {
    b"SYPUR" RemovalCause;
    b"SYPUR" Stats;
    b"SYPUR" ByEquality;
    b"SYPUR" ByAddress;
    b"SYPUR" DefaultHashBuilder;
    b"SYPUR" DefaultHasher;
}

// Errors.
types_are! {
    b"SYPUR" CycleError;
    b"SYPUR" CreateError<u32>;
    b"S-PU-" CreateError<Cell<u32>>;
    b"--PUR" CreateError<Rc<u32>>;
    b"SYP-R" CreateError<Unique>;
    b"SYPUR" InFlight;
    b"SYPUR" ClaimError;
    b"SYPUR" Refused;
    b"SYPUR" ClosedError;
    b"SYPUR" OccupiedError<u32, u32>;
    b"S-PU-" OccupiedError<u32, Cell<u32>>;
    b"-YPUR" OccupiedError<SyncOnly, u32>;
    b"--PUR" OccupiedError<Rc<u32>, u32>;
    b"SYP-R" OccupiedError<u32, Unique>;
    b"SY-UR" OccupiedError<u32, Pinned>;
    b"SYPUR" OccupiedError<u32, u32, Handle<u32, u32>>;
    b"--P--" OccupiedError<u32, Cell<u32>, Handle<u32, Cell<u32>>>;
    b"SYPUR" ReplaceError<u32>;
    b"S-PU-" ReplaceError<Cell<u32>>;
}

// The registries for well-known needs.
types_are! {
    b"SYPUR" AfterFork;
    b"SYPUR" Prepared;
    b"SYPUR" ClassMap<Wrapping>;
    b"SYPUR" Finalizers;
    b"SYPUR" Finalizer<Watched<u32>>;
    b"SYPUR" Finalizer<Watched<u32>, Cell<u32>>;
    b"SYPUR" Finalizer<Watched<u32>, Rc<u32>>;
    b"--P--" Finalizer<Watched<Cell<u32>>>;
    b"SYPUR" Finalizer<Nobody>;
    b"SYPUR" Nobody;
    b"SYPUR" Ran;
    b"SYPUR" ExitGuard<'static>;
    b"SYPUR" Logging;
    b"SYPUR" Logger;
    b"SYPUR" Handler;
    b"--PUR" Record<'static>;
    b"SYPUR" Level;
    b"SYPUR" ParseLevelError;
    b"SYPUR" UnknownHandler;
    b"SYP--" logging::Failure;
    b"SYPUR" Step;
    b"SYPUR" Policy;
    b"SYP--" Shutdown;
    b"SYPUR" FileSink;
    b"SYPUR" StderrSink;
    b"SYPUR" Memo<WeakValueMap<u32, Arc<u32>>, fn(u32) -> u32>;
    b"SYPUR" Memo<StrongMap<u32, u32>, fn(u32) -> u32>;
    b"--PUR" Memo<StrongMap<u32, u32>, Rc<u32>>;
    b"SYPUR" Same<u32>;
    b"--PUR" Same<Rc<u32>>;
    b"SYPUR" Processes;
    b"SYPUR" Process;
    b"SYPUR" OsChild;
    b"SYPUR" Pipes;
    b"SYPUR" Resources<u32, u32>;
    b"--P--" Resources<u32, Cell<u32>>;
    b"--PUR" Resources<SyncOnly, u32>;
    b"SYPUR" Stream<u32, u32>;
    b"--P--" Stream<u32, Cell<u32>>;
    b"--PUR" Stream<SyncOnly, u32>;
    b"SYPUR" Files;
    b"--P--" Files<Cell<u32>>;
    b"SYPUR" FileKey;
    b"SYPUR" Signal<u32>;
    b"SYPUR" Signal<Rc<u32>>;
    b"SYPUR" Signal<u32, Rc<u32>>;
    b"SYPUR" Signal<u32, Cell<u32>>;
    b"SYPUR" Receiver<u32>;
    b"SYPUR" Receiver<Rc<u32>>;
    b"SYPUR" Receiver<u32, Rc<u32>>;
    b"SYP--" Route<'static, u32>;
    b"SYP--" Route<'static, u32, Rc<u32>>;
    b"SYPUR" ReceiverId;
    b"SYP--" signals::Failure;
    b"SYPUR" Node<u32>;
    b"--P--" Node<Cell<u32>>;
    b"--PUR" Node<SyncOnly>;
    b"--PUR" Node<Rc<u32>>;
    b"SYPUR" Node<Unique>;
    b"SYPUR" WeakNode<u32>;
    b"--P--" WeakNode<Cell<u32>>;
    b"--PUR" WeakNode<Rc<u32>>;
    b"SYPUR" Ancestors<u32>;
    b"--P--" Ancestors<Cell<u32>>;
    b"SYPUR" Children<u32>;
    b"--P--" Children<Cell<u32>>;
    b"SYPUR" Descendants<u32>;
    b"--P--" Descendants<Cell<u32>>;
    b"SYPUR" NoParent;
    b"SYPUR" AdoptError;
}

#[cfg(feature = "serde")]
types_are! {
    b"SYPUR" InternerSeed<'static, str, u32>;
    b"--P--" InternerSeed<'static, Cell<u32>, u32>;
    b"--P--" MapSeed<'static, u32, u32, u32>;
    b"--P--" SetSeed<'static, u32, u32>;
}

/// A function that takes any reference, which is a subtype of …
type General = for<'a> fn(&'a u32);
/// … one that takes those that last for ever.
type Special = fn(&'static u32);

/// What owns alone, or only gives out, follows the subtypes of what it holds: that these compile is the test.
macro_rules! covariant {
    ($($general:ty => $special:ty;)*) => { $(
        const _: for<'it> fn(&'it $general) -> &'it $special = |it| it;
    )* };
}

covariant! {
    OwnedSlot<General> => OwnedSlot<Special>;
    OwnedKey<General> => OwnedKey<Special>;
    Entry<'static, Plain, OwnedKey<General>> => Entry<'static, Plain, OwnedKey<Special>>;
    KeyWith<General> => KeyWith<Special>;
    ValidIf<General, AnyLive> => ValidIf<Special, AnyLive>;
    View<General> => View<Special>;
    CreateError<General> => CreateError<Special>;
    ReplaceError<General> => ReplaceError<Special>;
    OccupiedError<General, u32> => OccupiedError<Special, u32>;
    OccupiedError<u32, General> => OccupiedError<u32, Special>;
    Registry<u32, u32, General> => Registry<u32, u32, Special>;
    Interner<u32, General> => Interner<u32, Special>;
    WeakValueMap<u32, Arc<u32>, General> => WeakValueMap<u32, Arc<u32>, Special>;
    WeakKeyMap<Arc<u32>, u32, ByAddress, General> => WeakKeyMap<Arc<u32>, u32, ByAddress, Special>;
    WeakKeyValueMap<Arc<u32>, Arc<u32>, ByAddress, General> => WeakKeyValueMap<Arc<u32>, Arc<u32>, ByAddress, Special>;
    StrongMap<u32, u32, General> => StrongMap<u32, u32, Special>;
    WeakSet<Arc<u32>, ByAddress, General> => WeakSet<Arc<u32>, ByAddress, Special>;
    Memo<StrongMap<u32, u32>, General> => Memo<StrongMap<u32, u32>, Special>;
    Same<General> => Same<Special>;
}

type Numbers<'a> = Iter<'a, OwnedSlot<u32>, OwnedSlot<u32>>;
type OneOf<'a> = Entry<'a, Plain, OwnedKey<u32>>;

/// What borrows may be kept for a shorter time.
#[allow(dead_code)] // That it compiles is the test.
fn for_a_shorter_time<'a>(
    it: (Numbers<'static>, OneOf<'static>, BorrowedKey<'static, str>),
) -> (Numbers<'a>, OneOf<'a>, BorrowedKey<'a, str>) {
    it
}

// Each of these has a twin in `tests/variance.md` that asks for another type, and does not compile.
covariant! {
    Registry<General, u32> => Registry<General, u32>;
    Registry<u32, General> => Registry<u32, General>;
    Interner<General> => Interner<General>;
    Interner<[General]> => Interner<[General]>;
    WeakValueMap<General, Arc<u32>> => WeakValueMap<General, Arc<u32>>;
    WeakValueMap<u32, Arc<General>> => WeakValueMap<u32, Arc<General>>;
    WeakKeyMap<Arc<General>, u32> => WeakKeyMap<Arc<General>, u32>;
    WeakKeyMap<Arc<u32>, General> => WeakKeyMap<Arc<u32>, General>;
    WeakKeyValueMap<Arc<General>, Arc<u32>> => WeakKeyValueMap<Arc<General>, Arc<u32>>;
    WeakKeyValueMap<Arc<u32>, Arc<General>> => WeakKeyValueMap<Arc<u32>, Arc<General>>;
    StrongMap<General, u32> => StrongMap<General, u32>;
    StrongMap<u32, General> => StrongMap<u32, General>;
    WeakSet<Arc<General>> => WeakSet<Arc<General>>;
    Recent<Registry<u32, General>> => Recent<Registry<u32, General>>;
    RecentErrors<General, u32> => RecentErrors<General, u32>;
    RecentErrors<u32, General> => RecentErrors<u32, General>;
    Memo<StrongMap<u32, General>, u32> => Memo<StrongMap<u32, General>, u32>;
    Resources<General, u32> => Resources<General, u32>;
    Resources<u32, General> => Resources<u32, General>;
    Files<General> => Files<General>;
    Signal<General> => Signal<General>;
    Signal<u32, General> => Signal<u32, General>;
    Receiver<General> => Receiver<General>;
    Receiver<u32, General> => Receiver<u32, General>;
    Node<General> => Node<General>;
    WeakNode<General> => WeakNode<General>;
}

/// What a method returns without a name goes where the contents may.
#[test]
fn iterators_without_a_name_may_go_to_other_threads() {
    fn may_go<T: Send>(_: T) {}
    let strong: StrongMap<u32, u32> = StrongMap::new();
    may_go((strong.keys(), strong.values(), strong.drain()));
    let values: WeakValueMap<u32, Arc<u32>> = WeakValueMap::new();
    may_go((values.keys(), values.values(), values.weak_values()));
    let keys: WeakKeyMap<Arc<u32>, u32> = WeakKeyMap::new();
    may_go((keys.keys(), keys.weak_keys(), keys.values()));
    let both: WeakKeyValueMap<Arc<u32>, Arc<u32>> = WeakKeyValueMap::new();
    may_go((both.keys(), both.values(), both.drain()));
    let registry: Registry<u32, u32> = Registry::new();
    may_go((registry.keys(), registry.iter()));
}
