//! Apache Parquet: tables that pandas, polars and DuckDB read. Written, never read.
//!
//! One row group; of each column one page, plain and uncompressed, whose values may be missing.
//! That is the smallest part of the format that every reader knows; tables of runs are small.
//!
//! ```text
//! PAR1, a page of each column, the metadata in Thrift's compact protocol, its length, PAR1
//! page: header, length of the levels, levels (1 where there is a value), the values there are
//! ```
//!
//! Source: <https://parquet.apache.org/docs/file-format/>.

use super::atomic;
use super::mark::GENERATOR;
use crate::error::Result;
use std::path::Path;

/// The values `[rows]` of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// True or false.
    Bool(Vec<Option<bool>>),
    /// Whole numbers.
    Int(Vec<Option<i64>>),
    /// Numbers.
    Real(Vec<Option<f64>>),
    /// Texts.
    Text(Vec<Option<String>>),
}

/// Writes the table of these columns, each with its name, as the file `path`.
///
/// # Errors
/// If it cannot be written.
///
/// # Panics
/// If columns have different numbers of rows.
pub fn write(path: &Path, columns: &[(String, Column)]) -> Result<()> {
    atomic::write_bytes(path, &bytes(columns))
}

const MAGIC: &[u8] = b"PAR1";

/// Numbers of the format's enumerations.
const PLAIN: i64 = 0;
const RLE: i64 = 3;
const OPTIONAL: i64 = 1;

/// The bytes of the file.
fn bytes(columns: &[(String, Column)]) -> Vec<u8> {
    let rows = columns.first().map_or(0, |(_, column)| column.levels().len());
    let (mut file, mut chunks) = (MAGIC.to_vec(), vec![]);
    for (name, column) in columns {
        assert_eq!(column.levels().len(), rows, "rows of `{name}`");
        let (start, data) = (file.len(), column.page());
        let mut header = Thrift::default();
        // A data page; its size twice, as it is not compressed.
        header.int(1, 0).int(2, data.len() as i64).int(3, data.len() as i64);
        let mut about = Thrift::default();
        about.int(1, rows as i64).int(2, PLAIN).int(3, RLE).int(4, RLE);
        file.extend(header.inside(5, about).end());
        file.extend(data);
        chunks.push((start, file.len() - start));
    }
    let metadata = metadata(columns, rows, &chunks);
    file.extend(&metadata);
    file.extend((metadata.len() as u32).to_le_bytes());
    file.extend(MAGIC);
    file
}

/// What the end of the file says: the schema, and where each column's chunk begins and how long it
/// is.
fn metadata(columns: &[(String, Column)], rows: usize, chunks: &[(usize, usize)]) -> Vec<u8> {
    let mut root = Thrift::default();
    root.text(4, "schema").int(5, columns.len() as i64);
    let mut schema = vec![root];
    let mut parts = vec![];
    for ((name, column), &(start, length)) in columns.iter().zip(chunks) {
        let mut element = Thrift::default();
        element.int(1, column.kind()).int(3, OPTIONAL).text(4, name);
        if let Column::Text(_) = column {
            // UTF-8, by the old way of saying so and by the new one: a union, whose first is text.
            let mut logical = Thrift::default();
            logical.inside(1, Thrift::default());
            element.int(6, 0).inside(10, logical);
        }
        schema.push(element);
        let mut about = Thrift::default();
        about.int(1, column.kind()).ints(2, &[PLAIN, RLE]).texts(3, &[name]).int(4, 0);
        about.long(5, rows as i64).long(6, length as i64).long(7, length as i64);
        about.long(9, start as i64);
        let mut chunk = Thrift::default();
        chunk.long(2, start as i64).inside(3, about);
        parts.push(chunk);
    }
    let mut group = Thrift::default();
    let size: usize = chunks.iter().map(|(_, length)| length).sum();
    group.list(1, parts).long(2, size as i64).long(3, rows as i64);
    let groups = if rows > 0 { vec![group] } else { vec![] };
    let mut file = Thrift::default();
    file.int(1, 1).list(2, schema).long(3, rows as i64).list(4, groups).text(6, GENERATOR).end()
}

impl Column {
    /// Which rows have a value.
    fn levels(&self) -> Vec<bool> {
        match self {
            Column::Bool(list) => list.iter().map(Option::is_some).collect(),
            Column::Int(list) => list.iter().map(Option::is_some).collect(),
            Column::Real(list) => list.iter().map(Option::is_some).collect(),
            Column::Text(list) => list.iter().map(Option::is_some).collect(),
        }
    }

    /// The number of its physical type.
    fn kind(&self) -> i64 {
        match self {
            Column::Bool(_) => 0,
            Column::Int(_) => 2,
            Column::Real(_) => 5,
            Column::Text(_) => 6,
        }
    }

    /// Levels and values.
    fn page(&self) -> Vec<u8> {
        let bits = bits(self.levels());
        let mut levels = vec![];
        // One run of groups of eight bits.
        varint(&mut levels, (bits.len() as u64) << 1 | 1);
        levels.extend(bits);
        let mut page = (levels.len() as u32).to_le_bytes().to_vec();
        page.extend(levels);
        match self {
            Column::Bool(list) => page.extend(self::bits(list.iter().flatten().copied())),
            Column::Int(list) => page.extend(list.iter().flatten().flat_map(|n| n.to_le_bytes())),
            Column::Real(list) => page.extend(list.iter().flatten().flat_map(|x| x.to_le_bytes())),
            Column::Text(list) => {
                for text in list.iter().flatten() {
                    page.extend((text.len() as u32).to_le_bytes());
                    page.extend(text.as_bytes());
                }
            }
        }
        page
    }
}

/// Eight to a byte, the first at its lowest place.
fn bits(list: impl IntoIterator<Item = bool>) -> Vec<u8> {
    let mut bytes = vec![];
    for (i, bit) in list.into_iter().enumerate() {
        if i % 8 == 0 {
            bytes.push(0);
        }
        bytes[i / 8] |= u8::from(bit) << (i % 8);
    }
    bytes
}

/// Seven bits a byte, the lowest first.
fn varint(to: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        to.push(n as u8 | 0x80);
        n >>= 7;
    }
    to.push(n as u8);
}

/// A struct in Thrift's compact protocol: its fields by rising numbers.
#[derive(Default)]
struct Thrift {
    bytes: Vec<u8>,
    last: u8,
}

/// Types of fields and elements.
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

impl Thrift {
    fn field(&mut self, number: u8, kind: u8) -> &mut Vec<u8> {
        self.bytes.push((number - self.last) << 4 | kind);
        self.last = number;
        &mut self.bytes
    }

    fn int(&mut self, number: u8, n: i64) -> &mut Thrift {
        zigzag(self.field(number, I32), n);
        self
    }

    fn long(&mut self, number: u8, n: i64) -> &mut Thrift {
        zigzag(self.field(number, I64), n);
        self
    }

    fn text(&mut self, number: u8, text: &str) -> &mut Thrift {
        binary(self.field(number, BINARY), text);
        self
    }

    fn inside(&mut self, number: u8, mut inner: Thrift) -> &mut Thrift {
        self.field(number, STRUCT).extend(inner.end());
        self
    }

    fn ints(&mut self, number: u8, list: &[i64]) -> &mut Thrift {
        let to = self.begin(number, list.len(), I32);
        list.iter().for_each(|&n| zigzag(to, n));
        self
    }

    fn texts(&mut self, number: u8, list: &[&str]) -> &mut Thrift {
        let to = self.begin(number, list.len(), BINARY);
        list.iter().for_each(|text| binary(to, text));
        self
    }

    fn list(&mut self, number: u8, list: Vec<Thrift>) -> &mut Thrift {
        let to = self.begin(number, list.len(), STRUCT);
        list.into_iter().for_each(|mut inner| to.extend(inner.end()));
        self
    }

    /// Begins a list of so many elements.
    fn begin(&mut self, number: u8, length: usize, kind: u8) -> &mut Vec<u8> {
        let to = self.field(number, LIST);
        if length < 15 {
            to.push((length as u8) << 4 | kind);
        } else {
            to.push(0xf0 | kind);
            varint(to, length as u64);
        }
        to
    }

    /// Its bytes; it is empty then.
    fn end(&mut self) -> Vec<u8> {
        self.bytes.push(0);
        std::mem::take(&mut self.bytes)
    }
}

fn zigzag(to: &mut Vec<u8>, n: i64) {
    varint(to, (n << 1 ^ n >> 63) as u64);
}

fn binary(to: &mut Vec<u8>, text: &str) {
    varint(to, text.len() as u64);
    to.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a page and of a struct as the format's documents have them; that others read
    /// whole files is checked with DuckDB in `.ci/run`.
    #[test]
    fn pages_and_structs_are_those_of_the_format() {
        let text = Column::Text(vec![Some("ab".into()), None, Some("c".into())]);
        assert_eq!(text.page(), b"\x02\0\0\0\x03\x05\x02\0\0\0ab\x01\0\0\0c");
        let bools = Column::Bool((0..9).map(|i| (i != 1).then_some(i % 2 == 0)).collect());
        assert_eq!(bools.page(), [3, 0, 0, 0, 5, 0b1111_1101, 1, 0b1010_1011]);
        let ints = Column::Int(vec![Some(-2)]);
        assert_eq!(ints.page(), [&[2, 0, 0, 0, 3, 1][..], &(-2i64).to_le_bytes()].concat());
        let mut inner = Thrift::default();
        inner.int(2, -1);
        let mut thrift = Thrift::default();
        let found = thrift.text(1, "x").long(4, 300).inside(5, inner).ints(6, &[0; 15]).end();
        let list = [&[0x19, 0xf5, 15][..], &[0; 15]].concat();
        let expected = [&b"\x18\x01x\x36\xd8\x04\x1c\x25\x01\0"[..], &list, b"\0"].concat();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_says_where_its_parts_are() {
        let columns = [
            ("id".to_string(), Column::Text(vec![Some("a".into()), None])),
            ("x".to_string(), Column::Real(vec![Some(0.5), Some(1.0)])),
        ];
        for columns in [&columns[..], &[]] {
            let file = bytes(columns);
            assert!(file.starts_with(MAGIC) && file.ends_with(MAGIC));
            let at = file.len() - 8;
            let length = u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"));
            let rows = if columns.is_empty() { 0 } else { 2 };
            let metadata = &file[at - length as usize..at];
            assert_eq!(&metadata[..2], [0x15, 2], "version 1");
            assert_eq!(bytes(columns), file);
            assert!(metadata.windows(2).any(|pair| pair == [0x16, 2 * rows]), "{rows} rows");
        }
    }
}
