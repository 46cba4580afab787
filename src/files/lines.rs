//! A file of one JSON value a line that is written while something runs.
//!
//! It grows by whole lines, also when the disk fills up, and its length after a flush can be noted,
//! so that a resumed run cuts it there and goes on with the same bytes.

use super::{atomic, disk, input};
use crate::error::{Error, Result};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The open file.
#[derive(Debug)]
pub struct LineFile {
    path: PathBuf,
    file: File,
    /// What the file holds.
    bytes: u64,
    /// Whole lines that it does not hold yet.
    pending: Vec<u8>,
}

/// Lines are kept back until there are this many bytes of them.
const BUFFER: usize = 1 << 16;

impl LineFile {
    /// A new file, in place of an old one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(path: &Path) -> Result<LineFile> {
        let file = File::create(path).map_err(|e| Error::io(path, &e, "write"))?;
        if let Some(folder) = path.parent() {
            atomic::sync_folder(folder);
        }
        Ok(LineFile::over(path, file, 0))
    }

    /// How many bytes at the beginning of a file are lines as they were written: none of a file
    /// that is not there, and nothing from the first byte on that a power cut has left empty.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn whole_bytes(path: &Path) -> Result<u64> {
        if !path.exists() {
            return Ok(0);
        }
        let bytes = input::regular(path, input::DATA)?;
        let written = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        let end = bytes[..written].iter().rposition(|&byte| byte == b'\n');
        Ok(end.map_or(0, |end| end as u64 + 1))
    }

    /// The first `bytes` of a file that is there, to go on with.
    ///
    /// # Errors
    /// If it is missing, shorter than that, or cannot be written.
    pub fn resume(path: &Path, bytes: u64) -> Result<LineFile> {
        let fail = |e: std::io::Error| Error::io(path, &e, "write");
        let mut file = OpenOptions::new().write(true).open(path).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        if length < bytes {
            return Err(Error::input(
                path.display(),
                format!("has {length} bytes, its checkpoint says {bytes}"),
                "the file was changed after the run; start again with --force",
            ));
        }
        file.set_len(bytes).map_err(fail)?;
        file.seek(SeekFrom::End(0)).map_err(fail)?;
        Ok(LineFile::over(path, file, bytes))
    }

    fn over(path: &Path, file: File, bytes: u64) -> LineFile {
        LineFile { path: path.to_path_buf(), file, bytes, pending: Vec::with_capacity(2 * BUFFER) }
    }

    /// Appends `line` as JSON.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self, line: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.pending, line).expect("a line is always valid JSON");
        self.pending.push(b'\n');
        if self.pending.len() >= BUFFER { self.flush().map(drop) } else { Ok(()) }
    }

    /// Hands everything to the operating system and returns the length of the file.
    ///
    /// # Errors
    /// If it cannot be written; the file then ends with its last whole line.
    pub fn flush(&mut self) -> Result<u64> {
        let (mut done, mut written) = (0, Ok(()));
        while done < self.pending.len() && written.is_ok() {
            match self.file.write(&self.pending[done..]) {
                Ok(0) => written = Err(ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => written = Err(e),
            }
        }
        let whole = self.pending[..done].iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        self.bytes += whole as u64;
        self.pending.clear();
        written.map_err(|e| {
            // The first error is the one to tell; a second one could only hide it.
            let cut = self.file.set_len(self.bytes);
            let _ = cut.and_then(|()| self.file.seek(SeekFrom::Start(self.bytes)));
            Error::io(&self.path, &e, "write")
        })?;
        Ok(self.bytes)
    }

    /// How long the file is once everything has been handed over.
    pub fn length(&self) -> u64 {
        self.bytes + self.pending.len() as u64
    }

    /// Forces everything to the disk and returns the length of the file, on which a checkpoint that
    /// is written after it can count.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn sync(&mut self) -> Result<u64> {
        let bytes = self.flush()?;
        self.file.sync_data().map_err(|e| Error::io(&self.path, &e, "write"))?;
        disk::forced(&self.path);
        Ok(bytes)
    }
}

impl Drop for LineFile {
    /// What a failing run said before it failed.
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_file_cuts_what_came_after() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("metrics.jsonl");
        let mut log = LineFile::create(&path).expect("writable");
        log.write(&"kept").expect("writable");
        let kept = log.flush().expect("writable");
        log.write(&"cut").expect("writable");
        drop(log);
        assert!(std::fs::metadata(&path).expect("there").len() > kept);
        LineFile::resume(&path, kept).expect("resumable");
        assert_eq!(std::fs::read(&path).expect("there"), b"\"kept\"\n");
        let error = LineFile::resume(&path, kept + 1).expect_err("too short");
        assert_eq!(error.exit_code(), 2);
    }
}
