//! Sinks that need no lock.

use super::failure::BoxError;
use super::handler::Sink;
use super::record::Record;
use crate::sync::RwLock;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Appends a line for each record to a file: seconds since 1970, level, logger, message. The file is closed
/// when the sink is, or dropped.
///
/// Each line is one write of the system, which nothing of another thread or process gets into. So there is
/// nothing to flush, and each record costs a call of the system.
#[derive(Debug)]
pub struct FileSink {
    // None when it is closed. The lock is for taking the file out; who writes has an owner.
    file: RwLock<Option<Arc<File>>>,
}

impl FileSink {
    /// Opens a file to append to; makes it if there is none.
    ///
    /// # Errors
    /// Those of the system.
    pub fn append(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self {
            file: RwLock::new(Some(Arc::new(file))),
        })
    }
}

impl Sink for FileSink {
    fn write(&self, record: &Record<'_>) -> Result<(), BoxError> {
        let file = self.file.read().clone();
        let file = file.ok_or("the file is closed")?;
        let time = record.time().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = format!("{}.{:03} {record}\n", time.as_secs(), time.subsec_millis());
        (&*file).write_all(line.as_bytes())?;
        Ok(())
    }

    fn close(&self) -> Result<(), BoxError> {
        let file = self.file.write().take();
        drop(file);
        Ok(())
    }
}

/// Writes a line for each record to the standard error output.
#[derive(Clone, Copy, Debug)]
pub struct StderrSink;

impl Sink for StderrSink {
    fn write(&self, record: &Record<'_>) -> Result<(), BoxError> {
        let line = format!("{record}\n");
        io::stderr().write_all(line.as_bytes())?;
        Ok(())
    }
}
