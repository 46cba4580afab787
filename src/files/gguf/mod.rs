//! GGUF: the files that llama.cpp reads, with weights, configuration and tokenizer in one.
//!
//! ```text
//! "GGUF" version:u32 tensors:u64 keys:u64
//! (key:string kind:u32 value) for each key
//! (name:string axes:u32 (size:u64) for each axis, dtype:u32 offset:u64) for each tensor
//! padding to `general.alignment`, then the data, each tensor at its offset
//! ```
//!
//! All little endian; a string is its length (u64) and its bytes; the axis that changes fastest
//! comes first. Every length is compared with what is left of the file before anything is sized by
//! it.

mod blocks;
mod header;
#[cfg(test)]
pub(crate) mod made;

pub use blocks::Dtype;
pub use header::{Header, Value};

use crate::error::{Error, Result};
use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What to do about a file that is not what its header says.
const COPY_AGAIN: &str = "is it a whole .gguf file? copy or download it again";

/// A file. Its header is held in memory; the elements of a tensor are read when they are asked for.
#[derive(Debug)]
pub struct Gguf {
    header: Header,
    data: Data,
}

/// Where the elements are.
#[derive(Debug)]
enum Data {
    File(Mutex<File>),
    /// The whole file.
    Bytes(Vec<u8>),
}

impl Gguf {
    /// Opens a file, and reads its header.
    ///
    /// # Errors
    /// If the file cannot be read or is not what its header says.
    pub fn read(path: impl AsRef<Path>) -> Result<Gguf> {
        let path = path.as_ref();
        let (mut file, length) = open(path)?;
        let header = Header::parse(path.display(), &mut BufReader::new(&mut file), length)?;
        Ok(Gguf { header, data: Data::File(Mutex::new(file)) })
    }

    /// The file in `bytes`; `place` names their source in errors.
    ///
    /// # Errors
    /// If the bytes are not what their header says.
    pub fn from_bytes(place: impl Display, bytes: &[u8]) -> Result<Gguf> {
        let header = Header::parse(place, &mut &bytes[..], bytes.len() as u64)?;
        Ok(Gguf { header, data: Data::Bytes(bytes.to_vec()) })
    }

    /// What the file says about itself and its tensors.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The elements of a tensor, row-major, widened to single precision.
    ///
    /// # Errors
    /// If there is no such tensor, it cannot be read, or memory is short.
    pub fn elements(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.header.tensor(name)?;
        let start = self.header.data_start() + tensor.offset;
        let widened = |bytes: &[u8]| {
            let mut elements = self.room(tensor.elements())?;
            elements.resize(tensor.elements(), 0.0);
            tensor.dtype.widen(bytes, &mut elements);
            Ok(elements)
        };
        match &self.data {
            Data::Bytes(all) => widened(&all[start as usize..][..tensor.bytes as usize]),
            Data::File(file) => {
                let mut bytes = self.room(tensor.bytes as usize)?;
                bytes.resize(tensor.bytes as usize, 0);
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(start))
                    .and_then(|_| file.read_exact(&mut bytes))
                    .map_err(|e| Error::io(self.header.place(), &e, "read"))?;
                widened(&bytes)
            }
        }
    }

    /// Room for `n` values.
    fn room<T>(&self, n: usize) -> Result<Vec<T>> {
        let mut room = vec![];
        match room.try_reserve_exact(n) {
            Ok(()) => Ok(room),
            Err(_) => {
                let message = format!("does not fit into memory: {n} elements of a tensor");
                let help = "free some memory, or use a smaller model";
                Err(Error::failed(self.header.place(), message, help))
            }
        }
    }
}

impl Header {
    /// Reads the header of a file: not its weights.
    ///
    /// # Errors
    /// If the file cannot be read or is not what its header says.
    pub fn read(path: impl AsRef<Path>) -> Result<Header> {
        let path = path.as_ref();
        let (file, length) = open(path)?;
        Header::parse(path.display(), &mut BufReader::new(file), length)
    }
}

/// An open file and its length.
fn open(path: &Path) -> Result<(File, u64)> {
    let fail = |e| Error::io(path, &e, "read");
    let found = std::fs::metadata(path).map_err(fail)?;
    if !found.is_file() {
        // A device or a pipe may never end.
        return Err(Error::input(path.display(), "is not a file", "give a .gguf file"));
    }
    Ok((File::open(path).map_err(fail)?, found.len()))
}

#[cfg(test)]
mod tests;
