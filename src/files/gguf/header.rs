//! What a GGUF file says about itself, and where its tensors are.

use super::{COPY_AGAIN, Dtype};
use crate::error::{Error, Result};
use crate::files::safetensors::OTHERS;
use crate::named::suggest;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Read;

/// The most axes that a tensor has.
const MOST_AXES: u32 = 4;

/// What the data is padded to unless `general.alignment` says otherwise, in bytes.
const ALIGNMENT: u64 = 32;

/// The value of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An integer of any width.
    Integer(i128),
    /// A floating-point number.
    Number(f64),
    /// True or false.
    Flag(bool),
    /// Text.
    Text(String),
    /// A list of numbers of any kind, or of flags as 0 and 1.
    Numbers(Vec<f64>),
    /// A list of texts.
    Texts(Vec<String>),
}

impl Value {
    /// What it is, for errors.
    fn kind(&self) -> &'static str {
        match self {
            Value::Integer(_) => "an integer",
            Value::Number(_) => "a number",
            Value::Flag(_) => "true or false",
            Value::Text(_) => "text",
            Value::Numbers(_) => "a list of numbers",
            Value::Texts(_) => "a list of texts",
        }
    }
}

/// Where a tensor is and how it is stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// Row-major: the axis that changes fastest is the last.
    pub(super) shape: Vec<usize>,
    pub(super) dtype: Dtype,
    /// From the start of the data.
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

impl Entry {
    pub(super) fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What a GGUF file says about itself and its tensors.
#[derive(Debug)]
pub struct Header {
    place: String,
    values: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Entry>,
    data_start: u64,
}

impl Header {
    /// Reads the header at the start of `bytes`, of which there are `length`; `place` names their
    /// source in errors.
    ///
    /// # Errors
    /// If the bytes are not what the header says.
    pub fn parse(place: impl Display, bytes: &mut dyn Read, length: u64) -> Result<Header> {
        let mut from = Bytes { place: place.to_string(), bytes, length, left: length };
        let (tensors, keys) = from.start()?;
        let mut values = BTreeMap::new();
        for _ in 0..keys {
            let key = from.key()?;
            let value = from.value(&key)?;
            if values.contains_key(&key) {
                return from.fail(format!("gives key `{key}` twice"));
            }
            values.insert(key, value);
        }
        let mut entries = BTreeMap::new();
        for _ in 0..tensors {
            let (name, entry) = from.tensor()?;
            if entries.contains_key(&name) {
                return from.fail(format!("holds tensor `{name}` twice"));
            }
            entries.insert(name, entry);
        }
        let end = from.length - from.left;
        let mut header = Header { place: from.place, values, tensors: entries, data_start: end };
        header.lay_out(length)?;
        Ok(header)
    }

    /// Checks that the tensors fill the file: each at its place, none over another, none beyond
    /// the end, and nothing behind the last.
    fn lay_out(&mut self, length: u64) -> Result<()> {
        let alignment = self.count("general.alignment")?.map_or(ALIGNMENT, |n| n as u64);
        if !alignment.is_power_of_two() || alignment > 1 << 20 {
            let message = format!("{alignment} is no alignment");
            return Err(self.error("general.alignment", message, COPY_AGAIN));
        }
        let padded = |n: u64| n.next_multiple_of(alignment);
        let fail = |message: String| Err(Error::input(&self.place, message, COPY_AGAIN));
        let start = if self.tensors.is_empty() {
            padded(self.data_start).min(length)
        } else {
            padded(self.data_start)
        };
        let Some(data) = length.checked_sub(start) else {
            return fail(format!("is cut off: its header and padding need {start} bytes"));
        };
        let mut order: Vec<(&String, &Entry)> = self.tensors.iter().collect();
        order.sort_by_key(|(_, tensor)| tensor.offset);
        let mut end = 0;
        for (name, tensor) in order {
            let bad = |message: String| Err(self.tensor_error(name, message, COPY_AGAIN));
            if tensor.offset % alignment != 0 {
                return bad(format!("offset {} is no multiple of {alignment}", tensor.offset));
            }
            if tensor.offset < end {
                return bad(format!("starts at {}, inside of the one before", tensor.offset));
            }
            end = match tensor.offset.checked_add(tensor.bytes) {
                Some(end) if end <= data => end,
                _ => {
                    let (offset, bytes) = (tensor.offset, tensor.bytes);
                    return bad(format!("needs {bytes} bytes from {offset}, there are {data}"));
                }
            };
        }
        if padded(end) < data {
            return fail(format!("goes on for {} bytes after its last tensor", data - end));
        }
        self.data_start = start;
        Ok(())
    }

    /// What errors call this file: the path it was read from.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Where the data begins, in bytes.
    pub(super) fn data_start(&self) -> u64 {
        self.data_start
    }

    /// All keys with their values, sorted.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (&**key, value))
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(|name| &**name)
    }

    /// The shape of the tensor `name`, row-major.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| &*tensor.shape)
    }

    /// How the tensor `name` is stored.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        self.tensors.get(name).map(|tensor| tensor.dtype)
    }

    pub(super) fn tensor(&self, name: &str) -> Result<&Entry> {
        self.tensors.get(name).ok_or_else(|| {
            let help = match suggest(name, self.names()) {
                Some(near) => format!("it has `{near}`"),
                None => format!("it has {} tensors, none of a name like it", self.tensors.len()),
            };
            self.tensor_error(name, "is missing", help)
        })
    }

    /// Bad input in the key `key` of this file.
    pub fn error(&self, key: &str, message: impl Display, help: impl Display) -> Error {
        Error::input(format_args!("{}: key `{key}`", self.place), message, help)
    }

    /// Bad input in the tensor `name` of this file.
    pub fn tensor_error(&self, name: &str, message: impl Display, help: impl Display) -> Error {
        Error::input(format_args!("{}: tensor `{name}`", self.place), message, help)
    }

    /// The text of a key, if it is given.
    ///
    /// # Errors
    /// If the key holds something else.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        self.as_a(key, "text", |value| match value {
            Value::Text(text) => Some(&**text),
            _ => None,
        })
    }

    /// The flag of a key, if it is given.
    ///
    /// # Errors
    /// If the key holds something else.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.as_a(key, "true or false", |value| match value {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        })
    }

    /// The number of a key, if it is given.
    ///
    /// # Errors
    /// If the key holds something else.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.as_a(key, "a number", |value| match value {
            Value::Number(x) if x.is_finite() => Some(*x),
            Value::Integer(n) => Some(*n as f64),
            _ => None,
        })
    }

    /// The size or index of a key, if it is given.
    ///
    /// # Errors
    /// If the key holds something else.
    pub fn count(&self, key: &str) -> Result<Option<usize>> {
        self.as_a(key, "a whole number", |value| match value {
            Value::Integer(n) => usize::try_from(*n).ok(),
            _ => None,
        })
    }

    /// The list of numbers of a key, if it is given.
    ///
    /// # Errors
    /// If the key holds something else.
    pub fn numbers(&self, key: &str) -> Result<Option<&[f64]>> {
        self.as_a(key, "a list of numbers", |value| match value {
            Value::Numbers(list) => Some(&**list),
            _ => None,
        })
    }

    /// The list of texts of a key, if it is given.
    ///
    /// # Errors
    /// If the key holds something else.
    pub fn texts(&self, key: &str) -> Result<Option<&[String]>> {
        self.as_a(key, "a list of texts", |value| match value {
            Value::Texts(list) => Some(&**list),
            // Nobody can say of what kind the entries of an empty list are.
            Value::Numbers(list) if list.is_empty() => Some(&[]),
            _ => None,
        })
    }

    fn as_a<'a, T>(
        &'a self,
        key: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => {
                let message = format!("expected {what}, got {}", value.kind());
                Err(self.error(key, message, "convert the model to GGUF again"))
            }
        }
    }
}

/// The header's bytes, and how many of the file are left.
struct Bytes<'a> {
    place: String,
    bytes: &'a mut dyn Read,
    length: u64,
    left: u64,
}

impl Bytes<'_> {
    fn fail<T>(&self, message: impl Display) -> Result<T> {
        Err(Error::input(&self.place, message, COPY_AGAIN))
    }

    /// Checks the magic and the version, and reads how many tensors and keys there are.
    fn start(&mut self) -> Result<(u64, u64)> {
        let length = self.length;
        if self.left < 24 {
            return self.fail(format!("is cut off: {length} bytes, a GGUF file has at least 24"));
        }
        let begin = self.take::<4>()?;
        if begin != *b"GGUF" {
            return Err(self.other(&begin));
        }
        let version = u32::from_le_bytes(self.take()?);
        match version {
            2 | 3 => {}
            _ if matches!(version.swap_bytes(), 2 | 3) => {
                let help = "convert the model to GGUF again, little endian";
                return Err(Error::input(&self.place, "is big endian", help));
            }
            _ => {
                let help = "convert the model to GGUF again; versions 2 and 3 are read";
                return Err(Error::input(&self.place, format!("has version {version}"), help));
            }
        }
        let (tensors, keys) = (self.word()?, self.word()?);
        // The least that a key (length, kind, a byte) and a tensor (length, axes, dtype, offset)
        // take.
        self.room("tensors", tensors, 24)?;
        self.room("keys", keys, 13)?;
        Ok((tensors, keys))
    }

    /// What a file is that begins otherwise.
    fn other(&self, begin: &[u8; 4]) -> Error {
        let like = |start: &[u8]| start.starts_with(begin) || begin.starts_with(start);
        let (message, help) = match OTHERS.iter().find(|(start, ..)| like(start)) {
            Some(&(_, message, help)) => (message, help),
            None => (
                "is no GGUF file: it does not begin with `GGUF`",
                "give a .gguf file, or the folder of a model: its config.json with its weights",
            ),
        };
        Error::input(&self.place, message, help)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        if self.left < N as u64 {
            return self.fail(format!("is cut off in its header, after {} bytes", self.length));
        }
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.bytes.read_exact(bytes).map_err(|e| Error::io(&self.place, &e, "read"))?;
        self.left -= bytes.len() as u64;
        Ok(())
    }

    fn word(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    /// Whether the rest of the file can hold `n` things of at least `bytes` bytes.
    fn room(&self, what: &str, n: u64, bytes: u64) -> Result<()> {
        match n.checked_mul(bytes) {
            Some(needed) if needed <= self.left => Ok(()),
            _ => self.fail(format!("claims {n} {what}, {} bytes are left", self.left)),
        }
    }

    fn string(&mut self) -> Result<Vec<u8>> {
        let length = self.word()?;
        self.room("bytes of text", length, 1)?;
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The name of a key or of a tensor.
    fn key(&mut self) -> Result<String> {
        match String::from_utf8(self.string()?) {
            Ok(key) => Ok(key),
            Err(_) => self.fail("has a name that is no UTF-8 text"),
        }
    }

    /// Text; what is no UTF-8 in it is replaced.
    fn text(&mut self) -> Result<String> {
        Ok(String::from_utf8(self.string()?)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    fn value(&mut self, key: &str) -> Result<Value> {
        let kind = u32::from_le_bytes(self.take()?);
        self.value_of(kind, key)
    }

    fn value_of(&mut self, kind: u32, key: &str) -> Result<Value> {
        Ok(match kind {
            0 => Value::Integer(u8::from_le_bytes(self.take()?).into()),
            1 => Value::Integer(i8::from_le_bytes(self.take()?).into()),
            2 => Value::Integer(u16::from_le_bytes(self.take()?).into()),
            3 => Value::Integer(i16::from_le_bytes(self.take()?).into()),
            4 => Value::Integer(u32::from_le_bytes(self.take()?).into()),
            5 => Value::Integer(i32::from_le_bytes(self.take()?).into()),
            6 => Value::Number(f32::from_le_bytes(self.take()?).into()),
            7 => Value::Flag(self.take::<1>()? != [0]),
            8 => Value::Text(self.text()?),
            9 => self.list(key)?,
            10 => Value::Integer(self.word()?.into()),
            11 => Value::Integer(i64::from_le_bytes(self.take()?).into()),
            12 => Value::Number(f64::from_le_bytes(self.take()?)),
            _ => return self.fail(format!("key `{key}` has a value of unknown kind {kind}")),
        })
    }

    fn list(&mut self, key: &str) -> Result<Value> {
        let kind = u32::from_le_bytes(self.take()?);
        let length = self.word()?;
        let least = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 => return self.fail(format!("key `{key}` is a list of lists")),
            _ => return self.fail(format!("key `{key}` is a list of unknown kind {kind}")),
        };
        self.room("entries of a list", length, least)?;
        if kind == 8 {
            let texts = (0..length).map(|_| self.text());
            return Ok(Value::Texts(texts.collect::<Result<_>>()?));
        }
        let mut numbers = Vec::with_capacity(length as usize);
        for _ in 0..length {
            numbers.push(match self.value_of(kind, key)? {
                Value::Integer(n) => n as f64,
                Value::Number(x) => x,
                Value::Flag(flag) => f64::from(u8::from(flag)),
                _ => unreachable!("kinds of lists are numbers and texts"),
            });
        }
        Ok(Value::Numbers(numbers))
    }

    fn tensor(&mut self) -> Result<(String, Entry)> {
        let name = self.key()?;
        let axes = u32::from_le_bytes(self.take()?);
        if axes > MOST_AXES {
            return self.fail(format!("tensor `{name}` has {axes} axes, at most {MOST_AXES} are"));
        }
        let mut sizes = (0..axes).map(|_| self.word()).collect::<Result<Vec<u64>>>()?;
        let code = u32::from_le_bytes(self.take()?);
        let offset = self.word()?;
        let Some(dtype) = Dtype::from_code(code) else {
            let place = format!("{}: tensor `{name}`", self.place);
            let message = format!("is stored as {}", Dtype::name_of(code));
            let help = format!("quantise it again as one of {}", Dtype::NAMES.join(", "));
            return Err(Error::input(place, message, help));
        };
        if sizes.contains(&0) {
            return self.fail(format!("tensor `{name}` of {sizes:?} holds nothing"));
        }
        let (block, width) = dtype.block();
        let row = sizes.first().copied().unwrap_or(1);
        if row % block as u64 != 0 {
            let message = format!("rows of {row} elements, blocks of {dtype} hold {block}");
            return self.fail(format!("tensor `{name}`: {message}"));
        }
        let elements = sizes.iter().try_fold(1u64, |n, &size| n.checked_mul(size));
        let bytes = elements.and_then(|n| (n / block as u64).checked_mul(width as u64));
        let Some(bytes) = bytes.filter(|&bytes| bytes <= self.length) else {
            return self.fail(format!("tensor `{name}` of {sizes:?} is larger than the file"));
        };
        sizes.reverse();
        let shape = sizes.into_iter().map(|size| size as usize).collect();
        Ok((name, Entry { shape, dtype, offset, bytes }))
    }
}
