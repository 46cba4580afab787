//! The mark by which a file is recognised as written by edgegrad: its name and version, where the
//! format has a place for what wrote a file.
//!
//! Lists of token ids have no such place; they are never recognised.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What writes files.
pub const GENERATOR: &str = concat!("edgegrad ", env!("CARGO_PKG_VERSION"));

/// What stands before it: in JSON, in HTML, in comments, in PDF, and in PNG.
const BEFORE: [&str; 6] = [
    "\"generator\":\"",
    "\"generator\": \"",
    "name=\"generator\" content=\"",
    "generator: ",
    "/Producer (",
    "Software\0",
];

/// Bytes of a file that are searched for it.
const SEARCHED: u64 = 64 << 20;

/// Whether the file at `path` bears the mark, of any version.
///
/// # Errors
/// If it cannot be read.
pub fn is_ours(path: &Path) -> io::Result<bool> {
    let mut content = vec![];
    File::open(path)?.take(SEARCHED).read_to_end(&mut content)?;
    Ok(is_marked(&content))
}

fn is_marked(content: &[u8]) -> bool {
    const NAME: &[u8] = b"edgegrad ";
    let mut from = 0;
    while let Some(found) = content[from..].windows(NAME.len()).position(|w| w == NAME) {
        let (before, after) = (&content[..from + found], &content[from + found + NAME.len()..]);
        // In Parquet the number of its field and its length stand before it.
        let field = || before.split_last().is_some_and(|(_, rest)| rest.ends_with(b"\x28"));
        let written = BEFORE.iter().any(|text| before.ends_with(text.as_bytes()))
            || content.starts_with(b"PAR1") && field();
        if written && after.first().is_some_and(u8::is_ascii_digit) {
            return true;
        }
        from += found + NAME.len();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_what_writes_and_no_mention() {
        for before in BEFORE {
            assert!(
                is_marked(format!("x edgegrad {before}{GENERATOR}\" y").as_bytes()),
                "{before}"
            );
        }
        let t = tempfile::tempdir().unwrap();
        let table = t.path().join("a.parquet");
        crate::files::parquet::write(&table, &[]).unwrap();
        assert!(is_ours(&table).unwrap());
        for text in ["", "edgegrad ", "notes on edgegrad 0.1.0", "generator: edgegrad v1"] {
            assert!(!is_marked(text.as_bytes()), "{text}");
        }
    }
}
