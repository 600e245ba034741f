//! A view of a shared resource, which can be closed for itself.

use crate::Handle;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};

/// A view of a shared resource to read and write by, as `socket.makefile` makes them: closed for itself, any
/// number of times, and the resource with the last of its views and other handles.
///
/// It reads and writes if `&R` does, as with files and sockets. What buffers belongs around it:
/// `BufReader::new(stream)`.
///
/// ```
/// use highlander::registries::resources::{Files, Stream};
/// use std::io::{BufRead, BufReader};
///
/// let files: Files = Files::by_path();
/// let stream = Stream::new(files.open("Cargo.toml")?);        // the only owner now
/// let first = BufReader::new(stream).lines().next().unwrap()?;
/// assert_eq!(first, "[package]");
/// assert!(files.is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// A view that was closed reads and writes nothing: an error of kind `NotConnected`.
pub struct Stream<K, R> {
    resource: Option<Handle<K, R>>,
}

impl<K, R> Stream<K, R> {
    /// A view of this resource.
    pub fn new(resource: Handle<K, R>) -> Self {
        Self {
            resource: Some(resource),
        }
    }

    /// Lets go of the resource, which is closed if this was the last to do so. False when this view had been
    /// closed before, and then nothing happens.
    pub fn close(&mut self) -> bool {
        self.resource.take().is_some()
    }

    /// Whether this view was closed.
    pub fn is_closed(&self) -> bool {
        self.resource.is_none()
    }

    /// The resource; None when this view was closed.
    pub fn resource(&self) -> Option<&Handle<K, R>> {
        self.resource.as_ref()
    }

    /// Gives up the view and returns the resource, still open; None when this view was closed.
    pub fn into_resource(self) -> Option<Handle<K, R>> {
        self.resource
    }

    fn open(&self) -> io::Result<&R> {
        match &self.resource {
            Some(resource) => Ok(resource),
            None => Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "the stream is closed",
            )),
        }
    }
}

impl<K, R> Clone for Stream<K, R> {
    /// Another view, closed for itself. Of a closed one, a closed one.
    fn clone(&self) -> Self {
        Self {
            resource: self.resource.clone(),
        }
    }
}

impl<K, R> Read for Stream<K, R>
where
    for<'a> &'a R: Read,
{
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.open()?.read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.open()?.read_vectored(buffers)
    }
}

impl<K, R> Write for Stream<K, R>
where
    for<'a> &'a R: Write,
{
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.open()?.write(buffer)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.open()?.write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open()?.flush()
    }
}

impl<K, R> Seek for Stream<K, R>
where
    for<'a> &'a R: Seek,
{
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.open()?.seek(to)
    }
}

impl<K, R: fmt::Debug> fmt::Debug for Stream<K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.resource {
            Some(resource) => f.debug_tuple("Stream").field(resource).finish(),
            None => f.write_str("Stream(closed)"),
        }
    }
}
