//! A model of a foreign runtime, and pointers to its objects: one lock for the whole interpreter, objects that move, addresses that are used again, a
//! collector that clears weak references in its own time, and a queue by which deaths are reported later still.
//!
//! * A thread is *attached* while it holds the interpreter's lock. Weak references can be upgraded by attached threads only.
//! * An object dies when a collection finds it without a strong reference: until then a weak one may bring it back.
//! * A compaction gives every object another address. The lowest addresses come first, so they are used again at once.
//! * A strong reference that a detached thread lets go of waits until an attached one releases all that wait.

use highlander::pointer::{Notify, Pointer, Registration, ReportedLate, WeakPointer};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::ptr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub struct Vm {
    /// As many bits of an identity hash are not 0: with few, many objects share one.
    identity_bits: u32,
    heap: Mutex<Heap>,
    is_held: Mutex<bool>,
    released: Condvar,
}

#[derive(Default)]
struct Heap {
    /// By address.
    objects: BTreeMap<usize, Object>,
    /// Strong references, with the address of the object.
    globals: HashMap<u64, usize>,
    /// Weak references; none once they are cleared.
    weak: HashMap<u64, Option<usize>>,
    /// Strong references that detached threads have let go of.
    let_go: Vec<u64>,
    /// Deaths that nobody has been told of yet.
    reports: Vec<(u64, Notify)>,
    /// For the numbers of references, cleaners and objects.
    next: u64,
    compacted: usize,
}

struct Object {
    identity: u64,
    name: Arc<str>,
    cleaners: Vec<(u64, Notify)>,
}

impl Heap {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn free_address(&self) -> usize {
        let is_free = |address: &usize| !self.objects.contains_key(address);
        (1..).find(is_free).unwrap()
    }
}

thread_local! {
    static ATTACHED: Cell<Option<&'static Vm>> = const { Cell::new(None) };
}

/// An attached thread, until this is dropped. There is one at a time.
pub struct Attached(&'static Vm);

impl Drop for Attached {
    fn drop(&mut self) {
        self.0.detach();
    }
}

impl Vm {
    pub fn new(identity_bits: u32) -> &'static Self {
        crate::common::forever(Self {
            identity_bits,
            heap: Mutex::default(),
            is_held: Mutex::new(false),
            released: Condvar::new(),
        })
    }

    fn heap(&self) -> MutexGuard<'_, Heap> {
        self.heap.lock().unwrap()
    }

    /// Waits for the interpreter's lock.
    pub fn attach(&'static self) -> Attached {
        self.attach_within(Duration::MAX)
            .expect("there is no limit")
    }

    /// The same, but not for longer than that.
    pub fn attach_within(&'static self, limit: Duration) -> Option<Attached> {
        assert!(ATTACHED.get().is_none(), "attached twice");
        let deadline = Instant::now().checked_add(limit);
        let mut is_held = self.is_held.lock().unwrap();
        while *is_held {
            is_held = match deadline.map(|end| end.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return None,
                Some(left) => self.released.wait_timeout(is_held, left).unwrap().0,
                None => self.released.wait(is_held).unwrap(),
            };
        }
        *is_held = true;
        ATTACHED.set(Some(self));
        Some(Attached(self))
    }

    fn detach(&'static self) {
        ATTACHED.set(None);
        *self.is_held.lock().unwrap() = false;
        self.released.notify_one();
    }

    pub fn is_attached(&self) -> bool {
        ATTACHED.get().is_some_and(|vm| ptr::eq(vm, self))
    }

    pub fn object(&'static self, name: &str) -> Global {
        let mut heap = self.heap();
        let address = heap.free_address();
        let identity = heap.number() & ((1 << self.identity_bits) - 1);
        let object = Object {
            identity,
            name: name.into(),
            cleaners: Vec::new(),
        };
        heap.objects.insert(address, object);
        self.global(&mut heap, address)
    }

    fn global(&'static self, heap: &mut Heap, address: usize) -> Global {
        let number = heap.number();
        heap.globals.insert(number, address);
        let object = &heap.objects[&address];
        Global {
            vm: self,
            number,
            identity: object.identity,
            name: object.name.clone(),
        }
    }

    /// Every object gets another address.
    pub fn compact(&self) {
        let mut heap = self.heap();
        let heap = &mut *heap;
        heap.compacted += 1;
        let objects = std::mem::take(&mut heap.objects);
        let count = objects.len();
        let mut moved = HashMap::new();
        for (at, (old, object)) in objects.into_iter().enumerate() {
            // They change places, so that each address is soon another object's.
            let new = 1 + (at + heap.compacted) % (count + 1);
            moved.insert(old, new);
            heap.objects.insert(new, object);
        }
        heap.globals.values_mut().for_each(|at| *at = moved[at]);
        let weak = heap.weak.values_mut().flatten();
        weak.for_each(|at| *at = moved[at]);
    }

    /// Clears the weak references to what has no strong ones, and frees it. Nobody is told yet. Returns how many objects have died.
    pub fn collect(&self) -> usize {
        let mut heap = self.heap();
        let heap = &mut *heap;
        let mut dead: Vec<usize> = heap.objects.keys().copied().collect();
        dead.retain(|address| !heap.globals.values().any(|at| at == address));
        for address in &dead {
            let weak = heap.weak.values_mut();
            weak.filter(|at| **at == Some(*address))
                .for_each(|at| *at = None);
            let object = heap.objects.remove(address).unwrap();
            heap.reports.extend(object.cleaners);
        }
        dead.len()
    }

    /// Tells of the deaths that nobody has been told of. Returns how many.
    pub fn report(&self) -> usize {
        let reports = std::mem::take(&mut self.heap().reports);
        let count = reports.len();
        reports.into_iter().for_each(|(_, notify)| notify.dead());
        count
    }

    /// Takes the reports out, for somebody who is even later.
    pub fn take_reports(&self) -> Vec<Notify> {
        let reports = std::mem::take(&mut self.heap().reports);
        reports.into_iter().map(|(_, notify)| notify).collect()
    }

    /// Releases, in one go, what detached threads have let go of. Returns how many references that were.
    pub fn release_all(&self) -> usize {
        assert!(
            self.is_attached(),
            "references are released by attached threads"
        );
        let mut heap = self.heap();
        let let_go = std::mem::take(&mut heap.let_go);
        for number in &let_go {
            heap.globals.remove(number).expect("released once");
        }
        let_go.len()
    }

    /// How many objects and references there are, and cleaners that have not been taken back.
    pub fn sizes(&self) -> (usize, usize, usize, usize) {
        let heap = self.heap();
        let cleaners = heap.objects.values().map(|object| object.cleaners.len());
        let cleaners = cleaners.sum::<usize>() + heap.reports.len();
        let (objects, globals) = (heap.objects.len(), heap.globals.len());
        (objects, globals, heap.weak.len(), cleaners)
    }
}

/// The hook around sleeping.
pub fn detached(sleep: &mut dyn FnMut()) {
    let vm = ATTACHED.get();
    if let Some(vm) = vm {
        vm.detach();
    }
    sleep();
    if let Some(vm) = vm {
        std::mem::forget(vm.attach());
    }
}

/// A strong reference.
pub struct Global {
    vm: &'static Vm,
    number: u64,
    identity: u64,
    name: Arc<str>,
}

impl std::fmt::Debug for Global {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} #{}", self.name, self.identity)
    }
}

impl Global {
    /// Where the object is now.
    pub fn place(&self) -> usize {
        self.vm.heap().globals[&self.number]
    }
}

impl Clone for Global {
    fn clone(&self) -> Self {
        let mut heap = self.vm.heap();
        let address = heap.globals[&self.number];
        self.vm.global(&mut heap, address)
    }
}

impl Drop for Global {
    fn drop(&mut self) {
        let is_attached = self.vm.is_attached();
        let mut heap = self.vm.heap();
        if is_attached {
            heap.globals.remove(&self.number);
        } else {
            heap.let_go.push(self.number);
        }
    }
}

/// A weak reference.
pub struct WeakGlobal {
    vm: &'static Vm,
    number: u64,
    identity: u64,
}

impl WeakGlobal {
    fn to(vm: &'static Vm, heap: &mut Heap, address: Option<usize>, identity: u64) -> Self {
        let number = heap.number();
        heap.weak.insert(number, address);
        Self {
            vm,
            number,
            identity,
        }
    }
}

impl Clone for WeakGlobal {
    fn clone(&self) -> Self {
        let mut heap = self.vm.heap();
        let address = heap.weak[&self.number];
        Self::to(self.vm, &mut heap, address, self.identity)
    }
}

impl Drop for WeakGlobal {
    fn drop(&mut self) {
        self.vm.heap().weak.remove(&self.number);
    }
}

impl Pointer for Global {
    type Target = str;
    type Weak = WeakGlobal;
    type Death = ReportedLate;

    fn downgrade(this: &Self) -> WeakGlobal {
        let mut heap = this.vm.heap();
        let address = heap.globals[&this.number];
        WeakGlobal::to(this.vm, &mut heap, Some(address), this.identity)
    }

    fn target(this: &Self) -> &str {
        &this.name
    }

    fn address(_: &Self) -> *const () {
        panic!("it has no address to be known by")
    }

    fn identity_hash(this: &Self) -> u64 {
        this.identity
    }

    fn same(this: &Self, other: &Self) -> bool {
        let heap = this.vm.heap();
        heap.globals[&this.number] == heap.globals[&other.number]
    }

    fn watch(this: &Self, notify: Notify) -> Option<Registration> {
        let vm = this.vm;
        let mut heap = vm.heap();
        let (number, address) = (heap.number(), heap.globals[&this.number]);
        let object = heap.objects.get_mut(&address).unwrap();
        object.cleaners.push((number, notify));
        Some(Registration::new(move || {
            let mut heap = vm.heap();
            let heap = &mut *heap;
            let cleaners = heap.objects.values_mut().map(|object| &mut object.cleaners);
            let lists = cleaners.chain([&mut heap.reports]);
            let of_this = |list: &mut Vec<(u64, Notify)>| {
                let at = list.iter().position(|(other, _)| *other == number)?;
                Some(list.swap_remove(at))
            };
            let taken_back = lists.into_iter().find_map(of_this);
            taken_back.is_some()
        }))
    }
}

impl WeakPointer for WeakGlobal {
    type Strong = Global;

    fn upgrade(&self) -> Option<Global> {
        if !self.vm.is_attached() {
            return None;
        }
        let mut heap = self.vm.heap();
        let address = heap.weak[&self.number]?;
        Some(self.vm.global(&mut heap, address))
    }

    fn is_dead(&self) -> bool {
        self.vm.heap().weak[&self.number].is_none()
    }

    fn address(&self) -> *const () {
        panic!("it has no address to be known by")
    }

    fn identity_hash(&self) -> u64 {
        self.identity
    }

    fn same(&self, strong: &Global) -> bool {
        let heap = self.vm.heap();
        heap.weak[&self.number] == Some(heap.globals[&strong.number])
    }

    fn same_weak(&self, other: &Self) -> bool {
        let heap = self.vm.heap();
        let object = heap.weak[&self.number];
        object.is_some() && object == heap.weak[&other.number]
    }
}
