//! Files: written whole or not at all, read with errors that name what is wrong.
#![forbid(unsafe_code)]

pub mod atomic;
pub mod csv;
pub(crate) mod disk;
pub mod gguf;
#[cfg(feature = "hub")]
pub mod hub;
pub mod input;
pub mod journal;
pub mod json;
pub mod lines;
pub mod lock;
pub mod mark;
pub mod model_cache;
pub mod own;
pub mod parquet;
pub mod safetensors;
mod stored;

use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The SHA-256 of `bytes` in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The SHA-256 of a file's content in hexadecimal.
///
/// # Errors
/// If the file cannot be read, or is a device or a pipe, which may never end.
pub fn hash(path: &Path) -> Result<String> {
    let fail = |e: io::Error| Error::io(path, &e, "read");
    let found = path.metadata().map_err(fail)?;
    if !found.is_file() && !found.is_dir() {
        return Err(Error::input(path.display(), "is not a file", "give a file"));
    }
    let mut digest = Digester::default();
    let copied = File::open(path).and_then(|mut file| io::copy(&mut file, &mut digest));
    copied.map_err(fail)?;
    Ok(digest.finish())
}

/// The [hash] of a file's content; empty for what is no file.
///
/// # Errors
/// If the file cannot be read.
pub fn content_hash(path: Option<&PathBuf>) -> Result<String> {
    path.filter(|path| path.is_file()).map_or(Ok(String::new()), |path| hash(path))
}

/// A digest to write to.
#[derive(Default)]
pub(crate) struct Digester(pub(crate) Sha256);

impl Digester {
    /// The digest in hexadecimal.
    pub(crate) fn finish(self) -> String {
        hexadecimal(&self.0.finalize())
    }
}

impl io::Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes what is written");
    }
    text
}
