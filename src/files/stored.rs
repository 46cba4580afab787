//! The bytes of a file of tensors: on disk, or in memory.

use crate::error::{Error, Result};
use crate::system::read_exact_at;
use std::fs::File;
use std::ops::Range;

/// Where the bytes are.
#[derive(Debug)]
pub(super) enum Stored {
    /// On disk; they are read when they are asked for.
    File(File),
    /// In memory, all of them.
    Bytes(Vec<u8>),
}

impl Stored {
    /// These bytes; those of a file are read into `memory`. `place` names the file in errors.
    ///
    /// # Errors
    /// If they cannot be read, or memory is short.
    ///
    /// # Panics
    /// If they are in memory, and not all of them are there.
    pub(super) fn bytes<'a>(
        &'a self,
        place: &str,
        at: Range<usize>,
        memory: &'a mut Vec<u8>,
    ) -> Result<&'a [u8]> {
        let file = match self {
            Stored::Bytes(bytes) => return Ok(&bytes[at]),
            Stored::File(file) => file,
        };
        if memory.len() < at.len() {
            *memory = room(place, at.len())?;
            memory.resize(at.len(), 0);
        }
        let memory = &mut memory[..at.len()];
        // A file was as long as its header says when it was opened.
        let read = read_exact_at(file, memory, at.start as u64);
        read.map_err(|e| Error::io(place, &e, "read"))?;
        Ok(memory)
    }
}

/// Room for `n` values of the file that `place` names.
///
/// # Errors
/// If memory is short.
pub(super) fn room<T>(place: &str, n: usize) -> Result<Vec<T>> {
    let mut room = vec![];
    room.try_reserve_exact(n).map_err(|_| {
        let message = format!("does not fit into memory: {} bytes", n * size_of::<T>());
        Error::failed(place, message, "free some memory, or use a smaller model")
    })?;
    Ok(room)
}
