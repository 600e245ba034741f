//! A pointer of your own: objects that another runtime owns, and that have to be released by an explicit
//! call.
//!
//! ```text
//! cargo run --example foreign
//! ```
//!
//! The runtime here is a stand-in for a Java or Python virtual machine: it hands out numbers, counts
//! references to them, and frees an object when its last reference is released. `Global` is the Rust side's
//! strong reference, `WeakGlobal` its weak twin. With [`Pointer`] and [`WeakPointer`] they go into all weak
//! maps: here a class map from the runtime's classes to wrappers, both sides weak.

use highlander::map::ByAddress;
use highlander::pointer::{Pointer, Unreported, WeakPointer};
use highlander::WeakKeyValueMap;
use std::sync::Arc;

const HELP: &str = "\
Has weak maps hold the objects of another runtime (a stand-in, in this program), and counts who is alive.

Usage: foreign [--help]
";

/// The other runtime.
mod vm {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Mutex;

    static NEXT: AtomicUsize = AtomicUsize::new(1);
    static OBJECTS: Mutex<Option<HashMap<usize, usize>>> = Mutex::new(None);

    fn objects<R>(f: impl FnOnce(&mut HashMap<usize, usize>) -> R) -> R {
        f(OBJECTS.lock().unwrap().get_or_insert_with(HashMap::new))
    }

    /// A new object with one reference. Numbers are never used again.
    pub fn load_class() -> usize {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        objects(|objects| objects.insert(id, 1));
        id
    }

    /// One reference more, unless the object has been freed.
    pub fn retain(id: usize) -> bool {
        objects(|objects| objects.get_mut(&id).map(|count| *count += 1)).is_some()
    }

    /// One reference less; with the last one the object is freed.
    pub fn release(id: usize) {
        objects(|objects| {
            let count = objects.get_mut(&id).expect("released once too often");
            *count -= 1;
            if *count == 0 {
                objects.remove(&id);
            }
        });
    }

    pub fn live_objects() -> usize {
        objects(|objects| objects.len())
    }
}

/// A strong reference to an object of the runtime.
struct Global(usize);

/// A weak one: it knows the number, which no other object will have.
#[derive(Clone)]
struct WeakGlobal(usize);

impl Clone for Global {
    fn clone(&self) -> Self {
        assert!(vm::retain(self.0), "alive while it is owned");
        Self(self.0)
    }
}

impl Drop for Global {
    fn drop(&mut self) {
        vm::release(self.0);
    }
}

impl Pointer for Global {
    type Target = usize;
    type Weak = WeakGlobal;
    type Death = Unreported;
    // It cannot report its death, so maps do not ask it to, and prune.

    fn downgrade(this: &Self) -> WeakGlobal {
        WeakGlobal(this.0)
    }

    fn target(this: &Self) -> &usize {
        &this.0
    }

    fn address(this: &Self) -> *const () {
        std::ptr::without_provenance(this.0)
    }
}

impl WeakPointer for WeakGlobal {
    type Strong = Global;

    fn upgrade(&self) -> Option<Global> {
        // Not `then_some`: that would make one, and release it, also when there is nothing to retain.
        vm::retain(self.0).then(|| Global(self.0))
    }

    fn is_dead(&self) -> bool {
        self.upgrade().is_none()
    }

    fn address(&self) -> *const () {
        std::ptr::without_provenance(self.0)
    }
}

/// What the Rust side knows about a class.
#[derive(Debug, PartialEq)]
struct Wrapper {
    class: usize,
}

static WRAPPERS: WeakKeyValueMap<Global, Arc<Wrapper>, ByAddress> = WeakKeyValueMap::new();

fn wrapper_of(class: &Global) -> Arc<Wrapper> {
    WRAPPERS.get_or_insert_with(class, |class| Arc::new(Wrapper { class: class.0 }))
}

fn main() -> Result<(), lexopt::Error> {
    if let Some(argument) = lexopt::Parser::from_env().next()? {
        return match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => {
                print!("{HELP}");
                Ok(())
            }
            _ => Err(argument.unexpected()),
        };
    }
    let classes: Vec<Global> = (0..1000).map(|_| Global(vm::load_class())).collect();
    let wrappers: Vec<_> = classes.iter().map(wrapper_of).collect();
    for (class, wrapper) in classes.iter().zip(&wrappers) {
        assert!(Arc::ptr_eq(wrapper, &wrapper_of(class)), "only one");
        let back = WRAPPERS.get_by_value(wrapper).expect("both are alive");
        assert_eq!(back.0, class.0);
    }
    println!(
        "{} classes in the runtime, {} wrappers in the map",
        vm::live_objects(),
        WRAPPERS.len()
    );

    // The map keeps no class alive: half of them are unloaded, and their entries are gone though the wrappers
    // are not.
    let mut classes = classes;
    classes.truncate(500);
    println!(
        "{} classes in the runtime, {} wrappers in the map, {} entries before pruning",
        vm::live_objects(),
        WRAPPERS.len(),
        WRAPPERS.entry_count()
    );
    assert_eq!((vm::live_objects(), WRAPPERS.len()), (500, 500));

    // Nor any wrapper: a new one is made when the class is asked for again.
    drop(wrappers);
    let first = wrapper_of(&classes[0]);
    assert_eq!(
        *first,
        Wrapper {
            class: classes[0].0
        }
    );
    assert_eq!(WRAPPERS.len(), 1);
    drop((classes, first));
    WRAPPERS.prune();
    println!(
        "{} classes in the runtime, {} entries in the map",
        vm::live_objects(),
        WRAPPERS.entry_count()
    );
    assert_eq!((vm::live_objects(), WRAPPERS.entry_count()), (0, 0));
    Ok(())
}
