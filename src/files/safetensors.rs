//! Named tensors in a file: weights, optimizer state, data sets.
//!
//! A `.safetensors` file is a length (eight bytes, little endian), that many bytes of JSON that
//! give each tensor a dtype, a shape and a range of bytes, and then the bytes. What is written here
//! is sorted, so that the same tensors always make the same file.

use super::atomic;
use super::stored::{Stored, room};
use crate::error::{Error, Result};
use crate::files::mark::GENERATOR;
use crate::named::suggest;
use crate::simd::{Element, Half};
use ::safetensors::tensor::{Metadata, TensorInfo};
use serde_json::{Map, Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::mem;
use std::ops::Range;
use std::path::Path;

pub use ::safetensors::Dtype;

/// Bytes of the header's length, and what the header is padded to so that data starts aligned.
const WORD: usize = 8;

/// Files that people have where weights are expected: how they begin, what they are, the way out.
pub(super) const OTHERS: [(&[u8], &str, &str); 4] = [
    (
        b"version https://git-lfs",
        "is a Git LFS pointer, not the weights",
        "fetch them with `git lfs pull` in the folder of the model",
    ),
    (b"PK\x03\x04", "is a zip archive, as PyTorch saves pickles", SAVE_AS_SAFETENSORS),
    (b"\x80\x02", "is a pickle", SAVE_AS_SAFETENSORS),
    (b"GGUF", "is a GGUF file", "give the file itself as the model, or its folder of Hugging Face"),
];

/// The way out for weights that PyTorch has pickled.
pub(crate) const SAVE_AS_SAFETENSORS: &str = "pickles are not read, as they can run code; save the model \
    as safetensors: `model.save_pretrained(FOLDER)` in transformers";

/// Numbers with their shape, row-major.
pub type Shaped<T> = (Vec<usize>, Vec<T>);

/// The tensors of one file. Its header is held in memory; the elements of a tensor are read when
/// they are asked for, so that a model is never in memory twice.
#[derive(Debug)]
pub struct Tensors {
    place: String,
    data: Stored,
    /// Where the header ends and the data begins.
    start: usize,
    header: Metadata,
}

impl Tensors {
    /// Opens a file, and reads its header.
    ///
    /// # Errors
    /// When the file cannot be read or is not what its header says.
    pub fn read(path: impl AsRef<Path>) -> Result<Tensors> {
        let path = path.as_ref();
        let fail = |e| Error::io(path, &e, "read");
        let meta = fs::metadata(path).map_err(fail)?;
        if !meta.is_file() {
            // A device or a pipe may never end.
            return Err(Error::input(
                path.display(),
                "is not a file",
                "give a .safetensors file, such as the model.safetensors inside a model folder",
            ));
        }
        let mut file = File::open(path).map_err(fail)?;
        let place = path.display().to_string();
        let (start, header) = read_header(&place, &mut file, meta.len())?;
        Ok(Tensors { place, data: Stored::File(file), start, header })
    }

    /// The tensors in `bytes`; `place` names their source in errors.
    ///
    /// # Errors
    /// When the bytes are not what their header says.
    pub fn from_bytes(place: impl Display, bytes: Vec<u8>) -> Result<Tensors> {
        let place = place.to_string();
        let (start, header) = read_header(&place, &mut &bytes[..], bytes.len() as u64)?;
        Ok(Tensors { place, data: Stored::Bytes(bytes), start, header })
    }

    /// What errors call these tensors: the path they were read from.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.header.offset_keys();
        names.sort_unstable();
        names
    }

    /// Whether there is a tensor called `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.header.info(name).is_some()
    }

    /// The shape of the tensor `name`.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.header.info(name).map(|i| i.shape.as_slice())
    }

    /// The dtype of the tensor `name`.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        self.header.info(name).map(|i| i.dtype)
    }

    /// What the file says about itself under `key`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.header.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// The numbers of a floating-point tensor, rounded to the nearest `T`.
    ///
    /// # Errors
    /// When there is no such tensor, it holds no floating-point numbers, or one of them is not
    /// finite as a `T`.
    pub fn get<T: Element>(&self, name: &str) -> Result<Shaped<T>> {
        let info = self.info(name)?;
        let mut values = room(&self.place, info.shape.iter().product())?;
        self.each_part(name, PART, |_, part: &[T]| values.extend_from_slice(part))?;
        Ok((info.shape.clone(), values))
    }

    /// Calls `visit` with the numbers of a floating-point tensor, rounded to the nearest `T`,
    /// `step` of them at a time in their order, and with the index of the first: no more of the
    /// tensor is in memory at once.
    ///
    /// # Errors
    /// As [`get`](Tensors::get).
    pub(crate) fn each_part<T: Element>(
        &self,
        name: &str,
        step: usize,
        mut visit: impl FnMut(usize, &[T]),
    ) -> Result<()> {
        let info = self.info(name)?;
        let (width, decode): (usize, Decode<T>) = match info.dtype {
            Dtype::F64 => (8, |b, to| decode(b, to, |b| T::from_f64(f64::from_le_bytes(b)))),
            Dtype::F32 => {
                (4, |b, to| decode(b, to, |b| T::from_f64(f64::from(f32::from_le_bytes(b)))))
            }
            Dtype::F16 => (2, |b, to| decode(b, to, |b| half(Half::F16, b))),
            Dtype::BF16 => (2, |b, to| decode(b, to, |b| half(Half::Bf16, b))),
            other => {
                let message = format!("expected F64, F32, F16 or BF16, got {other}");
                return Err(self.error(name, message, "save the tensor as floating point"));
            }
        };
        let (mut bytes, mut numbers) = (vec![], vec![]);
        let (from, to) = info.data_offsets;
        for at in (from..to).step_by(step * width) {
            decode(self.bytes(at..to.min(at + step * width), &mut bytes)?, &mut numbers);
            let first = (at - from) / width;
            if let Some(i) = infinite(&numbers) {
                let (index, shape) = (place_in(first + i, &info.shape), &info.shape);
                let message = format!("number {index} of {shape:?} is not finite as {}", T::NAME);
                let help = "the model it came from may have diverged; use an earlier checkpoint";
                return Err(self.error(name, message, help));
            }
            visit(first, &numbers);
        }
        Ok(())
    }

    /// The numbers of a floating-point tensor in full precision.
    ///
    /// # Errors
    /// As [`get`](Tensors::get).
    pub fn get_f64(&self, name: &str) -> Result<Shaped<f64>> {
        self.get(name)
    }

    /// `shape`: the numbers of a floating-point tensor that has to have this shape.
    ///
    /// # Errors
    /// As [`get`](Tensors::get), and when the shape is another.
    pub(crate) fn get_shaped<T: Element>(&self, name: &str, shape: &[usize]) -> Result<Vec<T>> {
        self.check_shape(name, shape)?;
        Ok(self.get(name)?.1)
    }

    /// Whether there is a tensor of this name and shape.
    ///
    /// # Errors
    /// When there is none, or its shape is another.
    pub(crate) fn check_shape(&self, name: &str, shape: &[usize]) -> Result<()> {
        match self.shape(name) {
            None => Err(self.missing(name)),
            Some(got) if got != shape => {
                let message = format!("expected shape {shape:?}, got {got:?}");
                Err(self.error(name, message, "check the sizes in the configuration"))
            }
            Some(_) => Ok(()),
        }
    }

    /// The numbers of an integer tensor.
    ///
    /// # Errors
    /// When there is no such tensor, it holds no integers, or one of them exceeds an `i64`.
    pub fn get_ids(&self, name: &str) -> Result<Shaped<i64>> {
        let info = self.info(name)?;
        let (from, to) = info.data_offsets;
        let mut bytes = vec![];
        let data = self.bytes(from..to, &mut bytes)?;
        let values = match info.dtype {
            Dtype::I64 => decoded(data, i64::from_le_bytes),
            Dtype::I32 => decoded(data, |b| i64::from(i32::from_le_bytes(b))),
            Dtype::U32 => decoded(data, |b| i64::from(u32::from_le_bytes(b))),
            Dtype::I16 => decoded(data, |b| i64::from(i16::from_le_bytes(b))),
            Dtype::U16 => decoded(data, |b| i64::from(u16::from_le_bytes(b))),
            Dtype::I8 => decoded(data, |b| i64::from(i8::from_le_bytes(b))),
            Dtype::U8 | Dtype::BOOL => decoded(data, |b| i64::from(u8::from_le_bytes(b))),
            Dtype::U64 => {
                let wide: Vec<u64> = decoded(data, u64::from_le_bytes);
                let narrow = wide.iter().map(|&x| i64::try_from(x)).collect::<Result<_, _>>();
                narrow.map_err(|_| {
                    let message = format!("holds a number above {}", i64::MAX);
                    self.error(name, message, "ids are small; save the tensor as I64")
                })?
            }
            other => {
                let message = format!("expected integers (I64, I32, U32, U8, ...), got {other}");
                return Err(self.error(name, message, "save the tensor as I64"));
            }
        };
        Ok((info.shape.clone(), values))
    }

    /// Bad input in the tensor `name` of this file.
    pub fn error(&self, name: &str, message: impl Display, help: impl Display) -> Error {
        Error::input(format_args!("{}: tensor `{name}`", self.place), message, help)
    }

    /// What the header says of a tensor. It was checked: ranges of bytes follow one another and end
    /// where the file ends.
    fn info(&self, name: &str) -> Result<&TensorInfo> {
        self.header.info(name).ok_or_else(|| self.missing(name))
    }

    /// These bytes behind the header; of a file they are read into `memory`.
    fn bytes<'a>(&'a self, at: Range<usize>, memory: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        self.data.bytes(&self.place, self.start + at.start..self.start + at.end, memory)
    }

    fn missing(&self, name: &str) -> Error {
        let names = self.names();
        let help = match suggest(name, names.iter().map(|known| &**known)) {
            Some(near) => format!("it has {} tensors; did you mean `{near}`?", names.len()),
            None if names.is_empty() => "the file holds no tensors at all".into(),
            None => format!("it has {} tensors, none of a name like it", names.len()),
        };
        self.error(name, "is missing", help)
    }
}

/// Where the data of a file of `total` bytes begins, and its header, read from its start.
fn read_header(place: &str, file: &mut impl Read, total: u64) -> Result<(usize, Metadata)> {
    let fail = |message: String| {
        let help = "is it a whole .safetensors file? copy or save it again";
        Err(Error::input(place, message, help))
    };
    let mut begin = vec![];
    let mut more = |to: &mut Vec<u8>, length: u64| {
        let read = Read::by_ref(file).take(length).read_to_end(to);
        read.map_err(|e| Error::io(place, &e, "read"))
    };
    more(&mut begin, BEGIN)?;
    // The length of a header may begin like one of them: 640 is `\x80\x02`.
    let other = OTHERS.iter().find(|(start, ..)| begin.starts_with(start));
    if let Some((_, what, way_out)) = other.filter(|_| begin.get(WORD) != Some(&b'{')) {
        return Err(Error::input(place, what, way_out));
    }
    let Some((&length, _)) = begin.split_first_chunk::<WORD>() else {
        return fail(format!("is cut off: {total} bytes, a .safetensors file has at least {WORD}"));
    };
    // The length is compared with what is there before anything is sized by it.
    let (length, left) = (u64::from_le_bytes(length), total.saturating_sub(WORD as u64));
    let Some(wanted) = usize::try_from(length).ok().filter(|_| length <= left) else {
        return fail(format!("is cut off: its header needs {length} bytes, {left} are left"));
    };
    more(&mut begin, (WORD as u64 + length).saturating_sub(BEGIN))?;
    begin.truncate(WORD + wanted);
    let header: Metadata = match serde_json::from_slice(&begin[WORD..]) {
        Ok(header) => header,
        Err(e) => return fail(format!("its header is malformed: {e}")),
    };
    // `SafeTensors::deserialize` would add these lengths up without a check and overflow on a
    // header that lies, so the last step of its work is done here.
    let (expected, got) = (header.data_len() as u64, left - length);
    if expected != got {
        return fail(format!("holds {got} bytes of data, its header says {expected}"));
    }
    Ok((WORD + wanted, header))
}

/// Bytes from which what is no safetensors can be told.
const BEGIN: u64 = 64;

/// How many numbers are read at a time where nobody asks for another step: as bytes and as numbers
/// they stay in the caches.
pub(crate) const PART: usize = 1 << 15;

/// The index of the first number that is not finite.
pub(crate) fn infinite<T: Element>(numbers: &[T]) -> Option<usize> {
    let finite = |x: &T| x.to_f64().is_finite();
    // All at once, as a search that may stop is not vectorized.
    let all = numbers.iter().fold(true, |all, x| all & finite(x));
    if all { None } else { numbers.iter().position(|x| !finite(x)) }
}

/// Decodes bytes into numbers, instead of those that are there.
type Decode<T> = fn(&[u8], &mut Vec<T>);

/// Decodes numbers of N bytes into `to`, instead of what it holds.
fn decode<const N: usize, T>(data: &[u8], to: &mut Vec<T>, number: impl Fn([u8; N]) -> T) {
    let (numbers, rest) = data.as_chunks::<N>();
    debug_assert!(rest.is_empty());
    to.clear();
    to.extend(numbers.iter().map(|&b| number(b)));
}

/// A number of two bytes.
fn half<T: Element>(format: Half, bytes: [u8; 2]) -> T {
    format.element(u16::from_le_bytes(bytes))
}

/// Numbers of N bytes.
fn decoded<const N: usize, T>(data: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    let mut numbers = vec![];
    decode(data, &mut numbers, number);
    numbers
}

/// The index of the `i`-th number of a row-major tensor.
fn place_in(mut i: usize, shape: &[usize]) -> String {
    let mut index = vec![0; shape.len()];
    for (at, &n) in index.iter_mut().zip(shape).rev() {
        (*at, i) = (i % n, i / n);
    }
    format!("{index:?}")
}

/// The dtype of numbers that are written.
fn stored_as<T: Element>() -> Dtype {
    if T::NAME == f32::NAME { Dtype::F32 } else { Dtype::F64 }
}

/// Numbers as bytes of the dtype that [stores](stored_as) them.
fn encoded<T: Element>(numbers: &[T]) -> Vec<u8> {
    fn each<T: Copy, const N: usize>(numbers: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
        let mut all = vec![0; N * numbers.len()];
        all.as_chunks_mut().0.iter_mut().zip(numbers).for_each(|(to, &x)| *to = bytes(x));
        all
    }
    match stored_as::<T>() {
        // Through f64 and back: exact.
        Dtype::F32 => each(numbers, |x| (x.to_f64() as f32).to_le_bytes()),
        _ => each(numbers, |x| x.to_f64().to_le_bytes()),
    }
}

/// A tensor to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    /// `shape`: floating-point numbers, as F32 when `T` is `f32` and as F64 otherwise.
    ///
    /// # Panics
    /// When `shape` does not hold `values`.
    #[track_caller]
    pub fn new<T: Element>(name: impl Into<String>, shape: &[usize], values: &[T]) -> Tensor {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "shape {shape:?} and values");
        let (dtype, bytes) = (stored_as::<T>(), encoded(values));
        Tensor { name: name.into(), dtype, shape: shape.to_vec(), bytes }
    }

    /// `shape`: whole numbers, as I64.
    ///
    /// # Panics
    /// When `shape` does not hold `values`.
    #[track_caller]
    pub fn ids(name: impl Into<String>, shape: &[usize], values: &[i64]) -> Tensor {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "shape {shape:?} and values");
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Tensor { name: name.into(), dtype: Dtype::I64, shape: shape.to_vec(), bytes }
    }
}

/// Writes tensors and what the file says about itself, whole or not at all.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("w.safetensors");
/// use edgegrad::files::safetensors::{Tensor, Tensors, write};
/// write(&path, &[Tensor::new("w", &[2, 1], &[1.0f32, 2.5])], &Default::default())?;
/// assert_eq!(Tensors::read(&path)?.get_f64("w")?, (vec![2, 1], vec![1.0, 2.5]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the file cannot be written; one that was there is then unchanged.
///
/// # Panics
/// When two tensors have one name.
pub fn write(
    path: impl AsRef<Path>,
    tensors: &[Tensor],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    atomic::write_file(path, |mut w| put(&mut w, tensors, metadata))
}

/// The bytes of a file of tensors. A tensor is dropped once it is there, so only one is in memory
/// twice.
///
/// # Panics
/// When two tensors have one name.
pub fn to_bytes(mut tensors: Vec<Tensor>) -> Vec<u8> {
    let (header, order) = layout(&tensors, &BTreeMap::new());
    let data: usize = tensors.iter().map(|t| t.bytes.len()).sum();
    let mut bytes = Vec::with_capacity(WORD + header.len() + data);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header);
    for i in order {
        bytes.extend(mem::take(&mut tensors[i].bytes));
    }
    bytes
}

fn put(
    w: &mut impl Write,
    tensors: &[Tensor],
    metadata: &BTreeMap<String, String>,
) -> io::Result<()> {
    let (header, order) = layout(tensors, metadata);
    w.write_all(&(header.len() as u64).to_le_bytes())?;
    w.write_all(&header)?;
    order.iter().try_for_each(|&i| w.write_all(&tensors[i].bytes))
}

/// Writes tensors that are too large to be held together: `compute` is given the place to
/// [push](Pushed::push) their numbers to, tensor after tensor. They are stored as
/// [`Tensor::new`] does.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("w.safetensors");
/// use edgegrad::files::safetensors::{Tensors, write_computed};
/// write_computed::<f32>(&path, &[("a".into(), vec![2]), ("b".into(), vec![1])], |out| {
///     out.push(&[1.0])?;
///     out.push(&[2.0, 3.0])
/// })?;
/// assert_eq!(Tensors::read(&path)?.get_f64("b")?, (vec![1], vec![3.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the file cannot be written; one that was there is then unchanged.
///
/// # Panics
/// When two tensors have one name, or other than all numbers are pushed.
pub fn write_computed<T: Element>(
    path: impl AsRef<Path>,
    tensors: &[(String, Vec<usize>)],
    compute: impl FnOnce(&mut Pushed<'_, T>) -> io::Result<()>,
) -> Result<()> {
    let (dtype, width) = (stored_as::<T>(), stored_as::<T>().bitsize() / 8);
    let len = |shape: &[usize]| shape.iter().product::<usize>();
    let header = header(
        tensors.iter().map(|(name, shape)| (&**name, dtype, &**shape, len(shape) * width)),
        &marked(),
    );
    let wanted: usize = tensors.iter().map(|(_, shape)| len(shape)).sum();
    atomic::write_file(path, |w| {
        w.write_all(&(header.len() as u64).to_le_bytes())?;
        w.write_all(&header)?;
        let mut pushed = Pushed { writer: w, count: 0, numbers: PhantomData };
        compute(&mut pushed)?;
        assert_eq!(pushed.count, wanted, "numbers of {} tensors", tensors.len());
        Ok(())
    })
}

/// The metadata of a file of results: its mark.
pub fn marked() -> BTreeMap<String, String> {
    [("generator".into(), GENERATOR.into())].into()
}

/// Where [`write_computed`] takes numbers.
pub struct Pushed<'a, T> {
    writer: &'a mut (dyn Write + Send),
    count: usize,
    numbers: PhantomData<T>,
}

impl<T: Element> Pushed<'_, T> {
    /// Writes the next numbers.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn push(&mut self, numbers: &[T]) -> io::Result<()> {
        self.count += numbers.len();
        numbers.chunks(1 << 12).try_for_each(|part| self.writer.write_all(&encoded(part)))
    }
}

/// The header, and which tensors follow one another: wide numbers first, so that each is aligned,
/// then by name.
fn layout(tensors: &[Tensor], metadata: &BTreeMap<String, String>) -> (Vec<u8>, Vec<usize>) {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|&i| (Reverse(tensors[i].dtype.bitsize()), &tensors[i].name));
    let ordered = order.iter().map(|&i| &tensors[i]);
    let infos = ordered.map(|t| (&*t.name, t.dtype, &*t.shape, t.bytes.len()));
    (header(infos, metadata), order)
}

/// The header of tensors (name, dtype, shape, bytes) that follow one another.
fn header<'a>(
    tensors: impl Iterator<Item = (&'a str, Dtype, &'a [usize], usize)>,
    metadata: &BTreeMap<String, String>,
) -> Vec<u8> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    let mut end = 0;
    for (name, dtype, shape, bytes) in tensors {
        let from = end;
        end += bytes;
        let info: Value =
            json!({"dtype": dtype.to_string(), "shape": shape, "data_offsets": [from, end]});
        let before = header.insert(name.into(), info);
        assert!(before.is_none(), "two tensors are called `{name}`");
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(WORD), b' ');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(tensors: &[Tensor], metadata: &[(&str, &str)]) -> Vec<u8> {
        let metadata = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let (header, order) = layout(tensors, &metadata);
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        order.iter().for_each(|&i| bytes.extend(&tensors[i].bytes));
        bytes
    }

    fn raw(header: &str, data: &[u8]) -> Result<Tensors> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        Tensors::from_bytes("w.safetensors", bytes)
    }

    fn one(dtype: &str, data: &[u8], n: usize) -> Tensors {
        let end = data.len();
        let header =
            format!(r#"{{"x":{{"dtype":"{dtype}","shape":[{n}],"data_offsets":[0,{end}]}}}}"#);
        raw(&header, data).unwrap()
    }

    /// Reads everything that a file offers, in every way.
    fn touch(t: &Tensors) {
        for name in t.names() {
            let _ = (t.get::<f32>(&name), t.get_f64(&name), t.get_ids(&name));
        }
        let _ = (t.get_f64("no such tensor"), t.metadata("format"));
    }

    proptest! {
        #[test]
        fn what_is_written_comes_back_bit_for_bit(
            wide in prop::collection::vec(prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL, 0..20),
            narrow in prop::collection::vec(prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL, 0..20),
            ids in prop::collection::vec(any::<i64>(), 0..20),
            value in ".*",
        ) {
            let tensors = [
                Tensor::new("narrow", &[narrow.len(), 1], &narrow),
                Tensor::new("wide", &[1, wide.len()], &wide),
                Tensor::ids("ids", &[ids.len()], &ids),
            ];
            let file = bytes(&tensors, &[("key", &value)]);
            let reversed: Vec<_> = tensors.iter().rev().cloned().collect();
            prop_assert_eq!(&file, &bytes(&reversed, &[("key", &value)]));
            // Its own crate reads it too.
            prop_assert_eq!(::safetensors::SafeTensors::deserialize(&file).unwrap().len(), 3);
            let t = Tensors::from_bytes("w", file).unwrap();
            prop_assert_eq!(t.names(), ["ids", "narrow", "wide"]);
            prop_assert_eq!(t.metadata("key"), Some(value.as_str()));
            let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let (shape, got) = t.get_f64("wide").unwrap();
            prop_assert_eq!((shape, bits(&got)), (vec![1, wide.len()], bits(&wide)));
            let (shape, got) = t.get::<f32>("narrow").unwrap();
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!((shape, bits(&got)), (vec![narrow.len(), 1], bits(&narrow)));
            prop_assert_eq!(t.get_ids("ids").unwrap(), (vec![ids.len()], ids));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(t) = Tensors::from_bytes("w", bytes) {
                touch(&t);
            }
        }

        #[test]
        fn a_damaged_file_never_panics(
            cut in 0usize..300, at in 0usize..300, with: u8, header in "[\\[\\]{}\":,0-9a-zA-Z_ ]{0,60}",
        ) {
            let mut file = bytes(&[Tensor::new("a", &[3], &[1.0, 2.0, 3.0])], &[("k", "v")]);
            file.truncate(cut);
            if let Some(byte) = file.get_mut(at) {
                *byte = with;
            }
            if let Ok(t) = Tensors::from_bytes("w", file) {
                touch(&t);
            }
            if let Ok(t) = raw(&header, &[0; 8]) {
                touch(&t);
            }
        }
    }

    #[test]
    fn every_cut_is_noticed() {
        let file = bytes(&[Tensor::new("a", &[3], &[1.0, 2.0, 3.0])], &[]);
        let t = tempfile::tempdir().unwrap();
        let path = t.path().join("w.safetensors");
        for n in 0..file.len() {
            let e = Tensors::from_bytes("w.safetensors", file[..n].to_vec()).unwrap_err();
            assert!(e.to_string().starts_with("w.safetensors: ") && e.exit_code() == 2, "{e}");
            fs::write(&path, &file[..n]).unwrap();
            let same = Tensors::read(&path).unwrap_err();
            assert_eq!((same.message(), same.help()), (e.message(), e.help()), "cut at {n}");
        }
    }

    #[test]
    fn a_file_that_is_cut_after_it_was_opened_is_refused() {
        let t = tempfile::tempdir().unwrap();
        let path = t.path().join("w.safetensors");
        let tensors = ["a", "b"].map(|name| Tensor::new(name, &[3], &[1.0, 2.0, 3.0]));
        write(&path, &tensors, &BTreeMap::new()).unwrap();
        let opened = Tensors::read(&path).unwrap();
        assert_eq!(opened.get_f64("b").unwrap().1, [1.0, 2.0, 3.0]);
        let length = fs::metadata(&path).unwrap().len();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
        assert_eq!(opened.get_f64("a").unwrap().1, [1.0, 2.0, 3.0]);
        let e = opened.get_f64("b").unwrap_err();
        assert!(e.to_string().contains("w.safetensors: cannot read it"), "{e}");
    }

    #[test]
    fn a_lying_header_is_refused() {
        let mut file = u64::MAX.to_le_bytes().to_vec();
        file.extend(b"{}");
        assert!(Tensors::from_bytes("w", file).unwrap_err().to_string().contains("cut off"));
        // Eight tensors of 2^61 - 1 bytes: their sum, plus the header, does not fit into 64 bits.
        let n = (1u64 << 61) - 1;
        let tensor = |i: u64| {
            let (a, b) = (i * n, (i + 1) * n);
            format!(r#""t{i}":{{"dtype":"U8","shape":[{n}],"data_offsets":[{a},{b}]}}"#)
        };
        let header = format!("{{{}}}", (0..8).map(tensor).collect::<Vec<_>>().join(","));
        let e = raw(&header, &[0; 16]).unwrap_err();
        assert!(e.to_string().contains("holds 16 bytes of data"), "{e}");
    }

    #[test]
    fn small_floats_are_exact() {
        let halves: [(u16, f64); 8] = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333251953125),
            (0x7bff, 65504.0),
            (0x0400, 6.103515625e-5),
            (0x03ff, 6.097555160522461e-5),
            (0x0001, 5.960464477539063e-8),
            (0x8000, -0.0),
        ];
        for (bits, value) in halves {
            let got = one("F16", &bits.to_le_bytes(), 1).get_f64("x").unwrap().1;
            assert_eq!(got[0].to_bits(), value.to_bits(), "{bits:x}");
        }
        assert_eq!(one("BF16", &0x3fc0u16.to_le_bytes(), 1).get::<f32>("x").unwrap().1, [1.5]);
    }

    #[test]
    fn ids_of_every_width() {
        assert_eq!(one("U8", &[3, 255], 2).get_ids("x").unwrap().1, [3, 255]);
        assert_eq!(one("I8", &[255], 1).get_ids("x").unwrap().1, [-1]);
        assert_eq!(one("BOOL", &[1], 1).get_ids("x").unwrap().1, [1]);
        assert_eq!(one("I16", &[254, 255], 1).get_ids("x").unwrap().1, [-2]);
        assert_eq!(one("U32", &[1, 0, 0, 128], 1).get_ids("x").unwrap().1, [(1 << 31) + 1]);
        assert_eq!(one("I32", &[1, 0, 0, 128], 1).get_ids("x").unwrap().1, [1 - (1 << 31)]);
        assert_eq!(one("U64", &[9, 0, 0, 0, 0, 0, 0, 0], 1).get_ids("x").unwrap().1, [9]);
        let e = one("U64", &[255; 8], 1).get_ids("x").unwrap_err();
        assert!(e.to_string().starts_with("w.safetensors: tensor `x`: "), "{e}");
    }

    #[test]
    fn errors_name_the_file_and_the_tensor() {
        let numbers = [1.0, f64::NAN, 1e300];
        let file = bytes(&[Tensor::new("token_emb.weight", &[3, 1], &numbers)], &[]);
        let t = Tensors::from_bytes("w.safetensors", file).unwrap();
        let missing = t.get_f64("token_emb.wight").unwrap_err();
        assert_eq!(missing.help(), "it has 1 tensors; did you mean `token_emb.weight`?");
        let errors = [
            (missing, "is missing"),
            (t.get_f64("token_emb.weight").unwrap_err(), "number [1, 0] of [3, 1] is not finite"),
            (t.get_ids("token_emb.weight").unwrap_err(), "expected integers"),
            (
                t.get_shaped::<f32>("token_emb.weight", &[3]).unwrap_err(),
                "expected shape [3], got [3, 1]",
            ),
            (one("I64", &[0; 8], 1).get_f64("x").unwrap_err(), "got I64"),
            (one("F64", &1e300f64.to_le_bytes(), 1).get::<f32>("x").unwrap_err(), "finite as f32"),
        ];
        for (e, part) in errors {
            let text = e.to_string();
            assert!(text.starts_with("w.safetensors: tensor `") && text.contains(part), "{text}");
            assert_eq!(e.exit_code(), 2);
        }
    }

    #[test]
    fn files_that_are_none() {
        let t = tempfile::tempdir().unwrap();
        for path in [t.path().to_path_buf(), t.path().join("missing.safetensors")] {
            let e = Tensors::read(&path).unwrap_err();
            assert!(e.to_string().starts_with(&path.display().to_string()), "{e}");
            assert_eq!(e.exit_code(), 2);
        }
    }
}
