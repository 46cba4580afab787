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

/// What to do about a file that is not what its header says.
const COPY_AGAIN: &str = "is it a whole .gguf file? copy or download it again";

/// A file with its weights, as they are stored.
#[derive(Debug)]
pub struct Gguf {
    header: Header,
    /// From the end of the header's padding to the end of the file.
    data: Vec<u8>,
}

impl Gguf {
    /// Reads a whole file.
    ///
    /// # Errors
    /// If the file cannot be read or is not what its header says.
    pub fn read(path: impl AsRef<Path>) -> Result<Gguf> {
        let path = path.as_ref();
        let fail = |e| Error::io(path, &e, "read");
        let (mut file, length) = open(path)?;
        let header = Header::parse(path.display(), &mut BufReader::new(&mut file), length)?;
        let mut data = vec![];
        let wanted = usize::try_from(length - header.data_start()).unwrap_or(usize::MAX);
        data.try_reserve_exact(wanted).map_err(|_| {
            let message = format!("does not fit into memory: {wanted} bytes");
            Error::failed(path.display(), message, "free some memory, or use a smaller model")
        })?;
        file.seek(SeekFrom::Start(header.data_start())).map_err(fail)?;
        file.read_to_end(&mut data).map_err(fail)?;
        if data.len() != wanted {
            let message = "has changed while it was read";
            return Err(Error::failed(path.display(), message, "run again"));
        }
        Ok(Gguf { header, data })
    }

    /// The file in `bytes`; `place` names their source in errors.
    ///
    /// # Errors
    /// If the bytes are not what their header says.
    pub fn from_bytes(place: impl Display, bytes: &[u8]) -> Result<Gguf> {
        let header = Header::parse(place, &mut &bytes[..], bytes.len() as u64)?;
        let data = bytes[header.data_start() as usize..].to_vec();
        Ok(Gguf { header, data })
    }

    /// What the file says about itself and its tensors.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The elements of a tensor, row-major, widened to single precision.
    ///
    /// # Errors
    /// If there is no such tensor.
    pub fn elements(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.header.tensor(name)?;
        let bytes = &self.data[tensor.offset as usize..][..tensor.bytes as usize];
        let mut elements = vec![0.0; tensor.elements()];
        tensor.dtype.widen(bytes, &mut elements);
        Ok(elements)
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
