//! A class map on real classes, those of a JAR or of a Java runtime.
//!
//! ```text
//! cargo run --features class-map --example class_map -- --help
//! ```
//!
//! It builds the wrappers of all classes from all cores. Each wrapper leads to those of its superclass, its
//! interfaces and its inner classes, and these lead back to it.

use highlander::error::CreateError;
use highlander::registries::class_map::{ClassMap, Wrap};
use lexopt::prelude::*;
use std::collections::HashMap;
use std::error::Error;
use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Instant;
use std::{env, fs, io, iter, thread};

const HELP: &str = "\
Wraps all classes of a JAR or of a Java runtime, and shows one with its superclasses, interfaces and inner classes.

Usage: class_map [FILE.jar|FILE.jmod] [CLASS]

Without a file: jmods/java.base.jmod of JAVA_HOME or of the `java` that is on the path; if there is none, a small
sample. CLASS is a name such as java.util.HashMap [default: java.util.concurrent.ConcurrentHashMap, if there is one]
";

/// What a loader knows of a class: the descriptor of the foreign type.
struct Class {
    name: String,
    file: Vec<u8>,
    loader: Weak<Loader>,
}

/// Owns its classes, by name.
struct Loader {
    classes: HashMap<String, Arc<Class>>,
}

impl Loader {
    fn read(archive: Vec<u8>) -> Result<Arc<Self>, Box<dyn Error>> {
        let mut archive = zip::ZipArchive::new(Cursor::new(archive))?;
        let mut files = Vec::new();
        for at in 0..archive.len() {
            let mut file = archive.by_index(at)?;
            let name = file.name().trim_start_matches("classes/").to_owned();
            let Some(name) = name.strip_suffix(".class") else {
                continue;
            };
            if name.ends_with("-info") {
                continue;
            }
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            files.push((name.to_owned(), bytes));
        }
        Ok(Arc::new_cyclic(|loader| {
            let class = |(name, file): (String, Vec<u8>)| {
                let loader = loader.clone();
                let class = Class {
                    name: name.clone(),
                    file,
                    loader,
                };
                (name, Arc::new(class))
            };
            Loader {
                classes: files.into_iter().map(class).collect(),
            }
        }))
    }
}

/// What this side shows of a class. It keeps its superclass and its interfaces, and knows its inner classes
/// and the one that it is inside of.
struct Type {
    class: Arc<Class>,
    rest: OnceLock<Rest>,
}

struct Rest {
    superclass: Option<Arc<Type>>,
    interfaces: Vec<Arc<Type>>,
    inner: Vec<Weak<Type>>,
    outer: Option<Weak<Type>>,
    methods: usize,
}

impl Type {
    fn rest(&self) -> &Rest {
        self.rest.get().expect("nobody else gets an unfinished one")
    }
}

struct Types {
    built: AtomicUsize,
    /// Keeps what is built, until it is emptied.
    kept: Mutex<Vec<Arc<Type>>>,
}

static TYPES: ClassMap<Types> = ClassMap::new(Types {
    built: AtomicUsize::new(0),
    kept: Mutex::new(Vec::new()),
});

impl Wrap for Types {
    type Descriptor = Arc<Class>;
    type Wrapper = Arc<Type>;
    type Error = CreateError<io::Error>;

    fn allocate(&self, class: &Arc<Class>) -> Result<Arc<Type>, Self::Error> {
        Ok(Arc::new(Type {
            class: class.clone(),
            rest: OnceLock::new(),
        }))
    }

    fn initialise(
        &self,
        types: &ClassMap<Self>,
        class: &Arc<Class>,
        wrapper: &Arc<Type>,
    ) -> Result<(), Self::Error> {
        let failed = |what| {
            let error = io::Error::other(format!("{}: {what}", class.name));
            CreateError::Failed(error)
        };
        let mut options = cafebabe::ParseOptions::default();
        options.parse_bytecode(false);
        let parsed = cafebabe::parse_class_with_options(&class.file, &options)
            .map_err(|error| failed(error.to_string()))?;
        let loader = class
            .loader
            .upgrade()
            .ok_or_else(|| failed("its loader has gone".into()))?;
        // What other archives have is unknown here, as the superclass of a class outside of this one.
        let named = |name: &str| -> Result<Option<Arc<Type>>, Self::Error> {
            let class = loader.classes.get(name);
            class.map(|class| types.wrapper(class)).transpose()
        };
        let superclass = match &parsed.super_class {
            Some(name) => named(name)?,
            None => None,
        };
        let interfaces = parsed.interfaces.iter().map(|name| named(name));
        let interfaces: Vec<Option<Arc<Type>>> = interfaces.collect::<Result<_, _>>()?;
        let (mut inner, mut outer) = (Vec::new(), None);
        for attribute in &parsed.attributes {
            if let cafebabe::attributes::AttributeData::InnerClasses(entries) = &attribute.data {
                for entry in entries {
                    if entry.outer_class_info.as_deref() == Some(&*class.name) {
                        let found = named(&entry.inner_class_info)?;
                        inner.extend(found.as_ref().map(Arc::downgrade));
                    } else if entry.inner_class_info == class.name {
                        if let Some(name) = &entry.outer_class_info {
                            outer = named(name)?.as_ref().map(Arc::downgrade);
                        }
                    }
                }
            }
        }
        let rest = Rest {
            superclass,
            interfaces: interfaces.into_iter().flatten().collect(),
            inner,
            outer,
            methods: parsed.methods.len(),
        };
        wrapper.rest.set(rest).ok().expect("initialised once");
        self.built.fetch_add(1, Relaxed);
        self.kept.lock().unwrap().push(wrapper.clone());
        Ok(())
    }
}

fn archive() -> Option<PathBuf> {
    let of_home = |home: PathBuf| home.join("jmods").join("java.base.jmod");
    let java = || {
        let path = env::var_os("PATH")?;
        let java = env::split_paths(&path).map(|directory| directory.join("java"));
        let java = java.filter_map(|file| fs::canonicalize(file).ok()).next()?;
        Some(java.parent()?.parent()?.to_owned())
    };
    let homes = env::var_os("JAVA_HOME").map(PathBuf::from).into_iter();
    homes.chain(java()).map(of_home).find(|file| file.is_file())
}

fn show(wrapper: &Arc<Type>) {
    let lineage = iter::successors(Some(wrapper), |wrapper| wrapper.rest().superclass.as_ref());
    let lineage: Vec<_> = lineage.collect();
    for (depth, wrapper) in lineage.iter().rev().enumerate() {
        let Rest {
            interfaces,
            methods,
            ..
        } = wrapper.rest();
        let interfaces: Vec<_> = interfaces.iter().map(|i| &*i.class.name).collect();
        println!(
            "{:indent$}{} ({methods} methods) {}",
            "",
            wrapper.class.name,
            interfaces.join(", "),
            indent = 2 * depth
        );
    }
    const SHOWN: usize = 5;
    let inner = &wrapper.rest().inner;
    for inner in inner.iter().take(SHOWN) {
        let inner = inner.upgrade().expect("kept");
        let outer = inner.rest().outer.as_ref().and_then(Weak::upgrade);
        let back = outer.is_some_and(|outer| Arc::ptr_eq(&outer, wrapper));
        let which = if back {
            "leads back"
        } else {
            "does not lead back"
        };
        println!(
            "{:indent$}· {} ({which})",
            "",
            inner.class.name,
            indent = 2 * lineage.len()
        );
    }
    if inner.len() > SHOWN {
        println!(
            "{:indent$}· and {} more",
            "",
            inner.len() - SHOWN,
            indent = 2 * lineage.len()
        );
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut file, mut wanted) = (None, None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Value(path) if file.is_none() => file = Some(PathBuf::from(path)),
            Value(name) if wanted.is_none() => wanted = Some(name.string()?.replace('.', "/")),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let (bytes, which) = match file.or_else(archive) {
        Some(file) => {
            let bytes = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            (bytes, file.display().to_string())
        }
        None => (include_bytes!("sample.jar").to_vec(), "the sample".into()),
    };
    let loader = Loader::read(bytes)?;
    println!("{}: {} classes", which, loader.classes.len());

    let mut names: Vec<&String> = loader.classes.keys().collect();
    names.sort();
    let cores = thread::available_parallelism()?.get().max(2);
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    let failures: Vec<String> = thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            while let Some(name) = names.get(next.fetch_add(1, Relaxed)) {
                if let Err(error) = TYPES.wrapper(&loader.classes[*name]) {
                    failures.push(error.to_string());
                }
            }
            failures
        };
        // One class leads to the next, on the stack.
        let thread = || thread::Builder::new().stack_size(256 << 20);
        let threads = (0..cores).map(|_| thread().spawn_scoped(scope, work));
        let threads = threads.collect::<Result<Vec<_>, _>>()?;
        let failures = threads.into_iter().map(|t| t.join().expect("no panic"));
        Ok::<_, io::Error>(failures.flatten().collect())
    })?;
    println!(
        "{} wrappers by {cores} threads in {:.0} ms, {} failed",
        TYPES.wrap().built.load(Relaxed),
        began.elapsed().as_secs_f64() * 1e3,
        failures.len()
    );
    failures
        .iter()
        .take(3)
        .for_each(|failure| println!("  {failure}"));

    let class = |name: &str| loader.classes.get(name);
    let shown = match &wanted {
        Some(name) => Some(class(name).ok_or_else(|| format!("there is no class {name}"))?),
        None => class("java/util/concurrent/ConcurrentHashMap")
            .or_else(|| class("clan/Clan$Highlander"))
            .or_else(|| names.first().and_then(|name| class(name))),
    };
    if let Some(class) = shown {
        show(&TYPES.wrapper(class)?);
    }

    let all = TYPES.len();
    drop(loader);
    let with_wrappers = TYPES.len();
    let kept = std::mem::take(&mut *TYPES.wrap().kept.lock().unwrap());
    drop(kept);
    println!("{all} entries; {with_wrappers} when the loader has gone, as wrappers keep their classes; {} when they have too", TYPES.len());
    if !TYPES.is_empty() || !failures.is_empty() {
        return Err("something is left".into());
    }
    Ok(())
}
