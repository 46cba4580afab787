//! Reading what a user names, with a bound.
//!
//! A device may never end and a file may be larger than memory, so that what is read as a whole has
//! a limit by its kind. `-` is standard input. A byte order mark, as editors on Windows write it,
//! is no part of a text.

use crate::error::{Error, Result};
use crate::system::is_pipe;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The longest configuration, in bytes.
pub const CONFIG: u64 = 1 << 24;

/// The longest file of pairs, tokens, scores or metrics, in bytes.
pub const DATA: u64 = 1 << 32;

/// Opens a file or a pipe, or standard input for `-`.
///
/// # Errors
/// If there is none, it cannot be read, or it is a folder or a device.
pub fn open(path: &Path) -> Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let fail = |e: io::Error| Error::io(path, &e, "read");
    // Before it is opened: opening a pipe waits for its writer.
    let found = std::fs::metadata(path).map_err(fail)?;
    if found.is_dir() {
        return Err(fail(io::ErrorKind::IsADirectory.into()));
    }
    if !found.is_file() && !is_pipe(&found) {
        return Err(Error::input(path.display(), "is not a file", "give a file or a pipe"));
    }
    Ok(Box::new(File::open(path).map_err(fail)?))
}

/// The bytes of a file, a pipe, or standard input for `-`, at most `limit` of them and without a
/// byte order mark.
///
/// # Errors
/// As [`open`], or if there are more bytes than that.
pub fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    let read = open(path)?.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|e| Error::io(path, &e, "read"))?;
    if bytes.len() as u64 > limit {
        let message = format!("is longer than {limit} bytes");
        return Err(Error::input(path.display(), message, "check that it is the right file"));
    }
    if bytes.starts_with(MARK) {
        bytes.drain(..MARK.len());
    }
    Ok(bytes)
}

/// The text of a file, as [`bytes`].
///
/// # Errors
/// As [`bytes`], or if it is no UTF-8.
pub fn text(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(bytes(path, limit)?).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::input(
            path.display(),
            format!("is no UTF-8 text at byte {at}"),
            "check that it is the right file, saved as UTF-8",
        )
    })
}

/// The bytes of a regular file, for what stands in folders that others may have made: there is
/// nobody to feed a pipe.
///
/// # Errors
/// As [`bytes`], or if it is a pipe.
pub fn regular(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let found = std::fs::metadata(path).map_err(|e| Error::io(path, &e, "read"))?;
    if !found.is_file() && !found.is_dir() {
        return Err(Error::input(
            path.display(),
            "is not a file",
            "remove it, or put the file there",
        ));
    }
    bytes(path, limit)
}

/// As [`regular`], for a file that a run should have left: `help` says what to do without it.
///
/// # Errors
/// As [`regular`]; one that is not there is `missing`.
pub(crate) fn of_run(path: &Path, help: &str) -> Result<Vec<u8>> {
    match std::fs::metadata(path) {
        Err(e) => Err(Error::unreadable(path, &e, help)),
        Ok(found) if !found.is_file() => Err(Error::input(path.display(), "is not a file", help)),
        Ok(_) => bytes(path, DATA).map_err(|e| e.with_help(help)),
    }
}

/// A byte order mark, which is no part of a text.
pub(crate) const MARK: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_or_no_file_is_refused() {
        let t = tempfile::tempdir().unwrap();
        let path = t.path().join("a.toml");
        std::fs::write(&path, b"\xef\xbb\xbfp = 2").unwrap();
        assert_eq!(text(&path, 8).unwrap(), "p = 2");
        assert!(text(&path, 7).unwrap_err().to_string().ends_with("is longer than 7 bytes"));
        std::fs::write(&path, b"p = \xff").unwrap();
        assert!(text(&path, 8).unwrap_err().to_string().contains("no UTF-8 text at byte 4"));
        for wrong in [t.path().to_path_buf(), t.path().join("none")] {
            assert_eq!(bytes(&wrong, 8).unwrap_err().exit_code(), 2);
        }
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_not_read() {
        let e = bytes(Path::new("/dev/zero"), 1 << 40).unwrap_err();
        assert_eq!((e.message(), e.exit_code()), ("is not a file", 2));
    }
}
