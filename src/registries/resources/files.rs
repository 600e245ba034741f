//! Files by path or by identity.

use super::Resources;
use crate::memory::panics::after;
use crate::{Handle, Registry};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// Open files, one for each path or for each file; see the [module](super).
///
/// All are opened alike: to be read, or as [`with_options`](Self::with_options) says. Programs that read some
/// files and write others have a registry for each way. What is open is opened by nobody again, so options
/// that say what becomes of the old contents (`truncate`) concern the first one only.
///
/// `R` is what the open file is made into: a `BufWriter` in a lock, a parser, a map of it in memory. A plain
/// [`File`] can be read and written by all who share it (`&File` is `Read` and `Write`); they share one
/// position, too.
pub struct Files<R = File> {
    by_identity: bool,
    /// None: to read.
    options: Option<OpenOptions>,
    open: Resources<FileKey, R>,
    /// Files that are being opened with options, which may make them.
    by_name: Registry<PathBuf, Handle<FileKey, R>>,
}

/// What a file is known by: its path, or who it is. Equal as the registry compares.
#[derive(Clone, Debug)]
pub struct FileKey {
    path: PathBuf,
    id: Option<FileId>,
}

/// Who a file is, for as long as it is open somewhere.
#[cfg(unix)]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FileId {
    device: u64,
    inode: u64,
}

/// The standard library knows no better here.
#[cfg(not(unix))]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FileId {
    canonical: PathBuf,
}

#[cfg(unix)]
impl FileId {
    fn new(of: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            device: of.dev(),
            inode: of.ino(),
        }
    }

    /// Of the file that the path leads to now.
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::new(&path.metadata()?))
    }

    /// Of an open file.
    fn of(file: &File, _: &Path) -> io::Result<Self> {
        Ok(Self::new(&file.metadata()?))
    }
}

#[cfg(not(unix))]
impl FileId {
    fn at(path: &Path) -> io::Result<Self> {
        let canonical = path.canonicalize()?;
        Ok(Self { canonical })
    }

    fn of(_: &File, path: &Path) -> io::Result<Self> {
        Self::at(path)
    }
}

/// How often a path is followed that leads to another file each time: more often than anybody renames, less
/// than for ever.
const TRIES: usize = 1000;

impl FileKey {
    /// The path by which it was opened: if it is known by identity, one of perhaps several.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl PartialEq for FileKey {
    fn eq(&self, other: &Self) -> bool {
        match (&self.id, &other.id) {
            (None, None) => self.path == other.path,
            (one, two) => one == two,
        }
    }
}

impl Eq for FileKey {}

impl Hash for FileKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.id {
            None => self.path.hash(state),
            Some(id) => id.hash(state),
        }
    }
}

impl<R: 'static> Files<R> {
    /// Nothing is open; files will be known by their paths, made absolute, but otherwise as they are written:
    /// links and `..` make another file of it. Can be a `static`.
    ///
    /// *Complexity:* of a hit, that of making the path absolute, and no other system call.
    pub const fn by_path() -> Self {
        Self::new(false)
    }

    /// Nothing is open; files will be known by who they are: hard links, symbolic links and other spellings
    /// of a path lead to the one open file. Can be a `static`.
    ///
    /// On Unix a file is its device and inode number, which the system gives to no other one while it is
    /// open. It is asked first and opened then, and looked at again, so the result is the file that the path
    /// led to at some moment during the call. A file that is open already is not opened again, not even for a
    /// moment, unless a path is renamed or made between these steps. A path that is renamed over (as logs
    /// are) leads to its new file, whose path may be the key of the old one. Elsewhere it is its canonical
    /// path, so that hard links are files of their own.
    ///
    /// *Complexity:* two system calls more than [`by_path`](Self::by_path).
    pub const fn by_identity() -> Self {
        Self::new(true)
    }

    const fn new(by_identity: bool) -> Self {
        Self {
            by_identity,
            options: None,
            open: Resources::new(),
            by_name: Registry::new(),
        }
    }

    /// The same registry, whose files are opened with `options`. (Not `const`, since these are not: for a
    /// `static`, take a `LazyLock`.)
    ///
    /// ```
    /// use highlander::registries::resources::Files;
    /// use std::{fs::OpenOptions, io::Write};
    ///
    /// let logs: Files = Files::by_identity().with_options(OpenOptions::new().append(true).create(true));
    /// # let directory = std::env::temp_dir().join(format!("highlander-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// let log = logs.open(directory.join("log"))?;
    /// writeln!(&*log, "there can be only one")?;
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn with_options(mut self, options: &OpenOptions) -> Self {
        self.options = Some(options.clone());
        self
    }

    /// The open file of this path, opened if it is not, and made into what is shared by `wrap`.
    ///
    /// What `wrap` makes should keep the file open for as long as it lives: the identity of a file that is
    /// closed and removed may be given to another one.
    ///
    /// *Runs* `wrap` with no lock held, once for each file at a time, and not if it is open. *Waiting:* none
    /// if it is open; otherwise for one who is opening or closing it; and as long as the system takes to open
    /// it (a pipe waits for its other end).
    ///
    /// # Errors
    /// Of the system, with `NotFound` if there is none and the options make none; of `wrap`; and a
    /// [`CycleError`](crate::error::CycleError), in an `io::Error`, when `wrap` asks for its own file.
    pub fn open_with(
        &self,
        path: impl AsRef<Path>,
        wrap: impl FnOnce(File) -> io::Result<R>,
    ) -> io::Result<Handle<FileKey, R>> {
        let path = std::path::absolute(path)?;
        if !self.by_identity {
            let key = FileKey { path, id: None };
            return self.open.open(key, |key| wrap(self.system(&key.path)?));
        }
        let mut wrap = Some(wrap);
        for _ in 0..TRIES {
            let open = match self.live(there(FileId::at(&path))?) {
                Some(open) => Some(open),
                None if self.options.is_none() => self.open_now(&path, &mut wrap)?,
                None => self.open_by_name(&path, &mut wrap)?,
            };
            // Opened here; or open while the path led to it.
            if let Some(open) = open {
                if wrap.is_none() || there(FileId::at(&path))? == Handle::key(&open).id {
                    return Ok(after(wrap, open));
                }
            }
        }
        Err(io::Error::other("the path leads to another file each time"))
    }

    /// The open file of this path, if it is open.
    ///
    /// *Waiting:* none.
    ///
    /// # Errors
    /// Of the system, when it cannot say who the file is: not `NotFound`, since what is not there is not
    /// open.
    pub fn get(&self, path: impl AsRef<Path>) -> io::Result<Option<Handle<FileKey, R>>> {
        let path = std::path::absolute(path)?;
        if !self.by_identity {
            return Ok(self.open.get(&FileKey { path, id: None }));
        }
        loop {
            let Some(open) = self.live(there(FileId::at(&path))?) else {
                return Ok(None);
            };
            if there(FileId::at(&path))? == Handle::key(&open).id {
                return Ok(Some(open));
            }
        }
    }

    /// How many are open by this registry; see [`Registry::len`].
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Those that are open, at some moment for each; see [`Registry::iter`].
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Handle<FileKey, R>> + use<R> {
        self.open.iter()
    }

    /// Takes it out, if it is entered: see [`Resources::detach`].
    pub fn detach(&self, file: &Handle<FileKey, R>) -> bool {
        self.open.detach(file)
    }

    fn system(&self, path: &Path) -> io::Result<File> {
        match &self.options {
            None => File::open(path),
            Some(options) => options.open(path),
        }
    }

    fn live(&self, id: Option<FileId>) -> Option<Handle<FileKey, R>> {
        let path = PathBuf::new();
        self.open.get(&FileKey {
            path,
            id: Some(id?),
        })
    }

    /// By identity. `wrap` is taken if it was not open. None if the path leads to another file meanwhile.
    fn open_now(
        &self,
        path: &Path,
        wrap: &mut Option<impl FnOnce(File) -> io::Result<R>>,
    ) -> io::Result<Option<Handle<FileKey, R>>> {
        let key = |id| FileKey {
            path: path.to_owned(),
            id: Some(id),
        };
        let mut wrap = |file| wrap.take().expect("a file is opened once")(file);
        let Some(id) = there(FileId::at(path))? else {
            // The options may make one.
            let file = self.system(path)?;
            let id = FileId::of(&file, path)?;
            return self.open.open(key(id), |_| wrap(file)).map(Some);
        };
        let mut changed = false;
        let open = self.open.open(key(id.clone()), |_| {
            let file = there(self.system(path))?;
            match file {
                Some(file) if FileId::of(&file, path)? == id => wrap(file),
                _ => {
                    changed = true;
                    Err(io::ErrorKind::Interrupted.into())
                }
            }
        });
        match open {
            Err(_) if changed => Ok(None),
            open => open.map(Some),
        }
    }

    /// As `open_now`, by one for each directory and name at a time: what is not there yet has no identity,
    /// and what one has just made must not be opened by another one.
    fn open_by_name(
        &self,
        path: &Path,
        wrap: &mut Option<impl FnOnce(File) -> io::Result<R>>,
    ) -> io::Result<Option<Handle<FileKey, R>>> {
        let name = match (there(path.canonicalize())?, path.parent(), path.file_name()) {
            (Some(name), ..) => name,
            (None, Some(directory), Some(name)) => directory.canonicalize()?.join(name),
            (None, ..) => path.to_owned(),
        };
        let mut changed = false;
        let open = self.by_name.get_or_try_insert_with(name, |_| {
            let open = self.open_now(path, wrap)?;
            open.ok_or_else(|| {
                changed = true;
                io::Error::from(io::ErrorKind::Interrupted)
            })
        });
        match open {
            Err(_) if changed => Ok(None),
            open => Ok(Some(Handle::clone(&*open?))),
        }
    }
}

impl Files {
    /// The open file of this path, opened if it is not.
    ///
    /// *Waiting:* none if it is open; otherwise for one who is opening or closing it.
    ///
    /// # Errors
    /// Of the system.
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<Handle<FileKey, File>> {
        self.open_with(path, Ok)
    }
}

/// None for what is not there.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl<R: fmt::Debug> fmt::Debug for Files<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.open.fmt(f)
    }
}
