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

pub use blocks::{Dtype, Plane};
pub use header::{Header, Value};

use super::stored::{Stored, room};
use crate::error::{Error, Result};
use std::fmt::Display;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// What to do about a file that is not what its header says.
const COPY_AGAIN: &str = "is it a whole .gguf file? copy or download it again";

/// A file. Its header is held in memory; the elements of a tensor are read when they are asked for.
#[derive(Debug)]
pub struct Gguf {
    header: Header,
    data: Stored,
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
        Ok(Gguf { header, data: Stored::File(file) })
    }

    /// The file in `bytes`; `place` names their source in errors.
    ///
    /// # Errors
    /// If the bytes are not what their header says.
    pub fn from_bytes(place: impl Display, bytes: &[u8]) -> Result<Gguf> {
        let header = Header::parse(place, &mut &bytes[..], bytes.len() as u64)?;
        Ok(Gguf { header, data: Stored::Bytes(bytes.to_vec()) })
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
        let len = self.header.tensor(name)?.elements();
        let mut elements = room(self.header.place(), len)?;
        elements.resize(len, 0.0);
        self.part(name, Plane::Elements, 0, &mut elements, &mut vec![])?;
        Ok(elements)
    }

    /// Widens numbers of a plane of a tensor, from `first` on, into `to`; both are whole
    /// [blocks](Self::block). What is read of a file passes through `memory`.
    ///
    /// # Errors
    /// As [`elements`](Self::elements).
    ///
    /// # Panics
    /// If the plane has fewer numbers, or there is none of this kind.
    pub(crate) fn part(
        &self,
        name: &str,
        plane: Plane,
        first: usize,
        to: &mut [f32],
        memory: &mut Vec<u8>,
    ) -> Result<()> {
        let tensor = self.header.tensor(name)?;
        let (elements, width) = tensor.dtype.block();
        let at = |number: usize| number * tensor.dtype.per(plane) / elements * width;
        let (from, end) = (at(first), at(first + to.len()));
        assert!(end <= tensor.bytes as usize, "elements of {name}");
        let start = (self.header.data_start() + tensor.offset) as usize;
        let bytes = start + from..start + end;
        tensor.dtype.widen(self.data.bytes(self.header.place(), bytes, memory)?, plane, to);
        Ok(())
    }

    /// How many elements of a tensor have to be read together.
    ///
    /// # Errors
    /// If there is no such tensor.
    pub(crate) fn block(&self, name: &str) -> Result<usize> {
        Ok(self.header.tensor(name)?.dtype.block().0)
    }

    /// How many elements of a tensor a number of a plane stands for.
    ///
    /// # Errors
    /// If there is no such tensor.
    pub(crate) fn per(&self, name: &str, plane: Plane) -> Result<usize> {
        Ok(self.header.tensor(name)?.dtype.per(plane))
    }

    /// How many elements of a tensor share a scale; `None` if they are floats.
    ///
    /// # Errors
    /// If there is no such tensor.
    pub(crate) fn group(&self, name: &str) -> Result<Option<usize>> {
        Ok(self.header.tensor(name)?.dtype.group())
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
