//! Foreign type descriptors and their wrappers, as a language runtime needs them that shows the types of
//! another one.
//!
//! *For whom:* authors of runtimes, bindings and object mappers, who make one wrapper for each class,
//! interface or schema of a foreign system, on demand and from any thread, where each leads to others, and
//! some of those back to it.
//!
//! A [`ClassMap`] holds both sides weakly: the wrapper goes when nobody needs it, and the descriptor when its
//! loader has let go of it, whichever is first; then the entry is gone. It knows descriptors by identity: two
//! of the same name, from two loaders, have two wrappers. A [`Wrap`] says how a wrapper is made, in two
//! steps: what the second one asks for may lead back to the wrapper that it is completing, on one thread and
//! across threads.
//!
//! A wrapper that nobody owns goes, and whoever asks next gets a new one, even if the descriptor has lived
//! on: state that has to last belongs to somebody who lasts. Who wants wrappers to live as long as their
//! descriptors has the loader own them beside the classes. That goes for what a wrapper leads to as well: it
//! knows it weakly, or a circle is never freed, so somebody else has to own it.
//!
//! Two threads may build at once what leads to each other. Then one of them gives up all that it is building,
//! waits until the other one has ended, and begins anew: so [`allocate`](Wrap::allocate) and
//! [`initialise`](Wrap::initialise) may run more than once for a descriptor before it has a wrapper. Nobody
//! sees what was given up, but who was told of it by `initialise` itself.
//!
//! Building is recursive: a chain of classes of which each leads to the next is as deep on the stack, a few
//! kilobytes for each. What need not be there at once (inner classes, say, which Jython puts off too) is
//! better asked for when it is first used.
//!
//! The map knows no locks of the foreign system. A thread that holds one may ask for any wrapper but those
//! whose making waits for it: for these it would wait for ever.
//!
//! *Modelled after* the class map of Jython (`PyType.fromClass`), whose promises it keeps: one wrapper for
//! each class, complete when another thread sees it, and none that keeps a loader alive. It does not copy its
//! faults: a build that has failed is tried anew and leaves nothing half built (Jython hands that out from
//! the second call on); hits never wait while others build, and unrelated builds never wait for each other
//! (Jython has one lock for all).
//!
//! ```
//! use highlander::registries::class_map::{ClassMap, Wrap};
//! use highlander::error::CreateError;
//! use std::sync::{Arc, Mutex, OnceLock, Weak};
//!
//! /// A class of the foreign system: a node that leads to its element or array class by number.
//! struct Class { name: &'static str, partner: OnceLock<Weak<Class>> }
//!
//! /// What this system shows of it.
//! #[derive(Default)]
//! struct Type { name: OnceLock<String>, partner: OnceLock<Weak<Type>> }
//!
//! struct Types;
//! impl Wrap for Types {
//!     type Descriptor = Arc<Class>;
//!     type Wrapper = Arc<Type>;
//!     type Error = CreateError<String>;
//!
//!     fn allocate(&self, _: &Arc<Class>) -> Result<Arc<Type>, Self::Error> {
//!         Ok(Arc::default())
//!     }
//!
//!     fn initialise(
//!         &self,
//!         types: &ClassMap<Self>,
//!         class: &Arc<Class>,
//!         wrapper: &Arc<Type>,
//!     ) -> Result<(), Self::Error> {
//!         wrapper.name.set(format!("<type '{}'>", class.name)).unwrap();
//!         if let Some(partner) = class.partner.get().and_then(Weak::upgrade) {
//!             let partner = types.wrapper(&partner)?;             // which asks for this one in turn
//!             wrapper.partner.set(Arc::downgrade(&partner)).unwrap();
//!             KEPT.lock().unwrap().push(partner);             // the loader's, say, since the map owns none
//!         }
//!         Ok(())
//!     }
//! }
//!
//! static KEPT: Mutex<Vec<Arc<Type>>> = Mutex::new(Vec::new());
//! static TYPES: ClassMap<Types> = ClassMap::new(Types);
//!
//! let class = |name| Arc::new(Class { name, partner: OnceLock::new() });
//! let (element, array) = (class("MacLeod"), class("MacLeod[]"));
//! element.partner.set(Arc::downgrade(&array)).unwrap();
//! array.partner.set(Arc::downgrade(&element)).unwrap();
//!
//! let wrapper = TYPES.wrapper(&element).unwrap();
//! assert_eq!(wrapper.name.get().unwrap(), "<type 'MacLeod'>");
//! let of_array = wrapper.partner.get().unwrap().upgrade().unwrap();
//! assert!(Arc::ptr_eq(&of_array, &TYPES.wrapper(&array).unwrap()));
//! assert!(Arc::ptr_eq(&TYPES.descriptor(&wrapper).unwrap(), &element));
//! ```

use crate::error::{CreateError, CycleError, Refused};
use crate::map::ByAddress;
use crate::memory::panics::after;
use crate::pointer::{Pointer, SyncPointer};
use crate::sync::local;
use crate::WeakKeyValueMap;
use std::cell::{Cell, RefCell};
use std::fmt;

local! {
    /// How many calls for a wrapper this thread is in the middle of, of all class maps.
    static CALLS: Cell<u32> = Cell::new(0);
    /// Why what this thread is building cannot be completed now: another thread builds what it leads to.
    static REFUSED: RefCell<Option<CycleError>> = RefCell::new(None);
}

/// A call for a wrapper.
struct Call {
    is_outermost: bool,
}

impl Call {
    fn begin() -> Self {
        let calls = CALLS.with(|calls| calls.replace(calls.get() + 1));
        Self {
            is_outermost: calls == 0,
        }
    }

    /// Something that this thread is building has been refused.
    fn refuse(cycle: &CycleError) {
        // While the thread is ending it can be kept nowhere. Then it is an error like others.
        let _ = REFUSED.try_with(|refused| *refused.borrow_mut() = Some(cycle.clone()));
    }

    fn refused() -> Option<CycleError> {
        REFUSED
            .try_with(|refused| refused.borrow().clone())
            .ok()
            .flatten()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        CALLS.with(|calls| calls.set(calls.get() - 1));
        if self.is_outermost {
            let _ = REFUSED.try_with(RefCell::take);
        }
    }
}

/// How wrappers are made. All of it runs with no lock held, and may use the map.
pub trait Wrap: Sized {
    /// A pointer to what describes a foreign type. The map knows it by identity.
    type Descriptor: SyncPointer;
    /// A pointer to what this system shows of it.
    type Wrapper: SyncPointer;
    /// What may go wrong, also that the map [refuses](Refused) to make it.
    type Error: From<Refused>;

    /// Makes the wrapper, as far as that goes without others.
    ///
    /// # Errors
    /// Whatever goes wrong: then there is no wrapper, and the next who asks begins anew.
    fn allocate(&self, descriptor: &Self::Descriptor) -> Result<Self::Wrapper, Self::Error>;

    /// Completes it: asks for the wrappers of superclasses, interfaces and inner types, any of which may lead
    /// back to this one. Whatever it asks for comes back; this wrapper, and others that are being completed
    /// further out on this thread, come back as they are.
    ///
    /// # Errors
    /// Whatever goes wrong: then there is no wrapper, nor of what was completed with its help, and the next
    /// who asks begins anew.
    fn initialise(
        &self,
        classes: &ClassMap<Self>,
        descriptor: &Self::Descriptor,
        wrapper: &Self::Wrapper,
    ) -> Result<(), Self::Error>;
}

/// Foreign type descriptors and their wrappers, both held weakly: at most one wrapper for each descriptor,
/// made when it is first asked for. See the [module](self).
pub struct ClassMap<B: Wrap> {
    map: WeakKeyValueMap<B::Descriptor, B::Wrapper, ByAddress>,
    wrap: B,
}

impl<B: Wrap> ClassMap<B> {
    /// An empty map. Can be a `static`.
    #[cfg(not(all(highlander_loom, feature = "loom")))]
    pub const fn new(wrap: B) -> Self {
        Self {
            map: WeakKeyValueMap::new_sync(),
            wrap,
        }
    }

    /// An empty map. (Not `const` under the model checker.)
    #[cfg(all(highlander_loom, feature = "loom"))]
    pub fn new(wrap: B) -> Self {
        Self {
            map: WeakKeyValueMap::new_sync(),
            wrap,
        }
    }

    /// Sets a hook around sleeping, for who holds an interpreter's lock; see
    /// [`around_sleep` of the maps](crate::map::Map::around_sleep).
    #[must_use]
    pub const fn around_sleep(mut self, hook: fn(sleep: &mut dyn FnMut())) -> Self {
        self.map.set_around_sleep(hook);
        self
    }

    /// How wrappers are made.
    pub fn wrap(&self) -> &B {
        &self.wrap
    }

    /// The wrapper of this descriptor, made if there is none.
    ///
    /// *Waiting:* none if there is one. Otherwise for a thread that is just making it, asleep, and until all
    /// that it leads to is complete; but never for those who make what this one does not lead to.
    /// *Complexity:* a look-up, and what making it takes.
    ///
    /// # Errors
    /// Whatever making it has met with. A [`CycleError`] when `allocate` asks for the wrapper that it is
    /// making; and when this is called in the middle of the creation of something else, which another thread
    /// waits for that makes what this one leads to. And a circle through the end of a value of an exclusive
    /// registry or map is not tried again: its destructor asks for what this one leads to, and that waits for
    /// the end.
    pub fn wrapper(&self, descriptor: &B::Descriptor) -> Result<B::Wrapper, B::Error> {
        if let Some(wrapper) = self.map.get(descriptor) {
            return Ok(wrapper);
        }
        self.build(|| self.build_once(descriptor))
    }

    /// Builds something, as often as it is refused because another thread builds what it leads to.
    #[cold]
    fn build(
        &self,
        once: impl Fn() -> Result<B::Wrapper, CreateError<B::Error>>,
    ) -> Result<B::Wrapper, B::Error> {
        loop {
            let call = Call::begin();
            let built = once();
            if let Err(CreateError::Refused(Refused::Cycle(cycle))) = &built {
                if !cycle.is_on_one_thread() {
                    Call::refuse(cycle);
                }
            }
            let refused = Call::refused().filter(|_| call.is_outermost && built.is_err());
            drop(call);
            match (refused, built) {
                // All is given up by now that the other thread may have waited for.
                (Some(cycle), built) => {
                    drop(built);
                    cycle.wait().map_err(Refused::from)?;
                }
                (None, Ok(wrapper)) => return Ok(wrapper),
                (None, Err(error)) => return Err(error.map_refused(B::Error::from)),
            }
        }
    }

    /// Builds a wrapper that is not there yet, unless something that it leads to is refused.
    fn build_once(&self, descriptor: &B::Descriptor) -> Result<B::Wrapper, CreateError<B::Error>> {
        let built = self.map.entry(descriptor).or_try_create_cyclic(
            |descriptor| {
                let allocated = self.wrap.allocate(descriptor);
                allocated.map_err(CreateError::Failed)
            },
            |wrapper| {
                let initialised = self.wrap.initialise(self, descriptor, wrapper);
                // Whatever it makes of a refusal, it is not complete.
                match Call::refused() {
                    Some(cycle) => after(initialised, Err(cycle.into())),
                    None => initialised.map_err(CreateError::Failed),
                }
            },
        );
        built.map_err(|error| error.map_refused(CreateError::Refused))
    }

    /// The wrapper of this descriptor, if there is one. Waits for nobody; one that is being made is none, but
    /// for its own thread.
    pub fn get(&self, descriptor: &B::Descriptor) -> Option<B::Wrapper> {
        self.map.get(descriptor)
    }

    /// The descriptor that this is the wrapper of, if it is alive. A wrapper is found by its descriptor
    /// before the descriptor is found by it: surely only when the call that makes it has returned.
    ///
    /// *Complexity:* a look-up by the wrapper's address.
    pub fn descriptor(&self, wrapper: &B::Wrapper) -> Option<B::Descriptor> {
        self.map.get_by_value(wrapper)
    }

    /// The descriptors that share this wrapper, the last that came first; more than one only where that was
    /// said by [`share`](Self::share).
    pub fn descriptors(&self, wrapper: &B::Wrapper) -> Vec<B::Descriptor> {
        self.map.keys_of(wrapper)
    }

    /// Has a descriptor share the wrapper of another one (of its superclass, say), which is made if there is
    /// none; unless it has one already. Returns the wrapper that it has then.
    ///
    /// While that of the other one is being completed further out on this thread, it is shared when it is
    /// complete, and given up with it. If it has to be made, and its making asks for the wrapper of this
    /// descriptor, it gets one of its own, which comes back then.
    ///
    /// *Waiting* and *Complexity:* as for [`wrapper`](Self::wrapper).
    ///
    /// ```
    /// # use highlander::registries::class_map::{ClassMap, Wrap};
    /// # use highlander::error::CreateError;
    /// # use std::sync::Arc;
    /// # struct Lengths;
    /// # impl Wrap for Lengths {
    /// #     type Descriptor = Arc<str>;
    /// #     type Wrapper = Arc<usize>;
    /// #     type Error = CreateError<()>;
    /// #     fn allocate(&self, name: &Arc<str>) -> Result<Arc<usize>, CreateError<()>> {
    /// #         Ok(Arc::new(name.len()))
    /// #     }
    /// #     fn initialise(
    /// #         &self,
    /// #         _: &ClassMap<Self>,
    /// #         _: &Arc<str>,
    /// #         _: &Arc<usize>,
    /// #     ) -> Result<(), CreateError<()>> {
    /// #         Ok(())
    /// #     }
    /// # }
    /// let lengths = ClassMap::new(Lengths);
    /// let (list, array_list): (Arc<str>, Arc<str>) = ("List".into(), "ArrayList".into());
    /// let shared = lengths.share(&array_list, &list).unwrap();
    /// assert_eq!(*shared, "List".len());
    /// assert!(Arc::ptr_eq(&shared, &lengths.wrapper(&list).unwrap()));
    /// ```
    ///
    /// # Errors
    /// As for `wrapper`, of the other descriptor.
    pub fn share(
        &self,
        descriptor: &B::Descriptor,
        other: &B::Descriptor,
    ) -> Result<B::Wrapper, B::Error> {
        if let Some(wrapper) = self.map.get(descriptor) {
            return Ok(wrapper);
        }
        // First: what that leads to may ask for this one's.
        let kept = self.wrapper(other)?;
        if B::Descriptor::same(descriptor, other) {
            return Ok(kept);
        }
        // Asked for again inside of the creation, which needs it then, if it is not complete.
        let shared = self.build(|| {
            let shared = |_: &B::Descriptor| self.wrapper(other);
            self.map.get_or_try_insert_with(descriptor, shared)
        });
        after(kept, shared)
    }

    /// How many descriptors have a live wrapper; those of plain `Arc`s that have just died may be counted.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All pairs of which both sides are alive, each at some moment. Holds no lock.
    pub fn iter(&self) -> impl Iterator<Item = (B::Descriptor, B::Wrapper)> + '_ {
        self.map.iter()
    }

    /// Takes out the entries of dead descriptors and wrappers that could not report their death, as an `Arc`
    /// cannot: only what they take of the table's memory is concerned, since they are not found anyway.
    /// Returns how many.
    pub fn prune(&self) -> usize {
        self.map.prune()
    }
}

impl<B: Wrap + Default> Default for ClassMap<B> {
    fn default() -> Self {
        Self::new(B::default())
    }
}

impl<B: Wrap> fmt::Debug for ClassMap<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassMap")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
