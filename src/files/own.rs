//! What a command may take away under `--force`: what edgegrad has written, and nothing else.

use super::atomic;
use crate::error::{Error, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What is in a folder, in the order of the names; nothing if there is none.
///
/// # Errors
/// If it cannot be listed.
pub(crate) fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |e: std::io::Error| Error::io(folder, &e, "list");
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.map_err(fail)?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(fail));
    let mut paths = paths.collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Refuses a folder that holds anything but the files of `what`, whose names `knows` knows, and
/// what a killed writer has left.
///
/// # Errors
/// If it does, or cannot be listed.
pub(crate) fn only(folder: &Path, what: &str, knows: impl Fn(&str) -> bool) -> Result<()> {
    for path in listed(folder)? {
        let name = path.file_name().and_then(|name| name.to_str());
        if !name.is_some_and(&knows) && !atomic::is_partial(&path) {
            return Err(foreign(&path, &format!("is no file of {what}")));
        }
    }
    Ok(())
}

/// A file is there that edgegrad has not written, as `why` says.
pub(crate) fn foreign(path: &Path, why: &str) -> Error {
    let message = format!("{why}, so its folder is not replaced");
    Error::input(path.display(), message, "choose another --out, or move it away")
}

/// Removes a file or a folder with all that is in it; one that is not there is no error.
///
/// # Errors
/// If it cannot be removed.
#[cfg(any(test, feature = "experiments"))]
pub(crate) fn remove(path: &Path) -> Result<()> {
    atomic::remove_any(path).map_err(|e| Error::io(path, &e, "remove"))
}

/// Whether the folder `out` can be made: nothing is there, or `force` says that it is replaced,
/// none of `inputs` lies in it, and `ours` does not find a file that edgegrad has not written.
///
/// # Errors
/// If it cannot.
pub fn check_out_folder<P: AsRef<Path>>(
    out: &Path,
    force: bool,
    inputs: impl IntoIterator<Item = P>,
    ours: impl Fn(&Path) -> Result<()>,
) -> Result<()> {
    atomic::check_folder(out)?;
    if out.symlink_metadata().is_err() {
        return atomic::check_file(out);
    }
    if !force {
        let help = "choose another --out, or replace it by --force";
        return Err(Error::input(out.display(), "exists already", help));
    }
    if !out.is_dir() {
        return Err(Error::input(out.display(), "is no folder", "choose another --out"));
    }
    if inputs.into_iter().any(|path| is_inside(path.as_ref(), out)) {
        let message = "is read by this command, so it is not replaced";
        return Err(Error::input(out.display(), message, "choose another --out"));
    }
    ours(out)
}

/// Whether `path` leads into `folder`, through links and whatever names there are.
fn is_inside(path: &Path, folder: &Path) -> bool {
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(path), Ok(folder)) => path.starts_with(folder),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_anything_else_is_not_ours() {
        let t = tempfile::tempdir().unwrap();
        let check = || only(t.path(), "a test", |name| name == "ours.json");
        only(&t.path().join("missing"), "a test", |_| false).unwrap();
        for name in ["ours.json", ".ours.json.partial"] {
            fs::write(t.path().join(name), "").unwrap();
            check().unwrap();
        }
        fs::write(t.path().join("notes.txt"), "mine").unwrap();
        let e = check().unwrap_err();
        assert!(e.to_string().contains("notes.txt: is no file of a test") && e.exit_code() == 2);
        remove(&t.path().join("notes.txt")).unwrap();
        remove(&t.path().join("notes.txt")).unwrap();
        check().unwrap();
    }
}
