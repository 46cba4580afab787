//! Files and folders that appear whole or not at all.
//!
//! What is written goes to a temporary name in the same folder, is forced to the disk and is then
//! renamed. A reader never sees half a file, and a run that is killed, or finds the disk full,
//! leaves the earlier file as it was.

use crate::error::{Error, Result};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Writes the file `path` with `fill`, replacing what was there.
///
/// # Errors
/// When the file cannot be written, or another process is writing it; `path` is then unchanged.
pub fn write_file(
    path: impl AsRef<Path>,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    let partial = partial_name(path)?;
    let file = claim(&partial).map_err(|e| Error::io(path, &e, "write"))?;
    let mut writer = BufWriter::new(file);
    let written = fill(&mut writer)
        .and_then(|()| writer.flush())
        .and_then(|()| writer.get_ref().sync_all())
        .and_then(|()| fs::rename(&partial, path));
    written.map_err(|e| {
        // The first error is the one to tell; a second one could only hide it.
        let _ = fs::remove_file(&partial);
        Error::io(path, &e, "write")
    })?;
    sync_parent(path);
    Ok(())
}

/// Writes `bytes` as the file `path`, replacing what was there.
///
/// # Errors
/// As [`write_file`].
pub fn write_bytes(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    write_file(path, |w| w.write_all(bytes))
}

/// Whether the file `path` can be written, asked before the work whose result it is to hold: its
/// folder is there and takes files, and nothing else is in its place. Leaves everything as it was.
///
/// # Errors
/// When it cannot, as [`write_file`] would say it.
pub fn check_file(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let fail = |e: io::Error| Error::io(path, &e, "write");
    let partial = partial_name(path)?;
    if path.is_dir() {
        return Err(fail(ErrorKind::IsADirectory.into()));
    }
    let file = claim(&partial).map_err(fail)?;
    // Before the lock goes: a name that is free again may be another writer's.
    fs::remove_file(&partial).map_err(fail)?;
    drop(file);
    Ok(())
}

/// Makes the folder `path` out of the files that `fill` writes into the folder it is given.
///
/// A folder is never replaced, and only one process may make a given folder at a time.
///
/// # Errors
/// When `path` exists, `fill` fails, or a folder cannot be made; nothing is left behind then.
pub fn write_folder(path: impl AsRef<Path>, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let path = path.as_ref();
    let fail = |e: io::Error| Error::io(path, &e, "make");
    // Renaming onto an empty folder would succeed on some systems and fail on others.
    if fs::symlink_metadata(path).is_ok() {
        return Err(fail(ErrorKind::AlreadyExists.into()));
    }
    let partial = partial_name(path)?;
    remove_folder(&partial).map_err(fail)?;
    fs::create_dir(&partial).map_err(fail)?;
    // A name that is gone by the time the error is read would only confuse.
    let filled = fill(&partial).map_err(|e| e.renamed(&partial, path));
    let written = filled.and_then(|()| {
        sync_folder(&partial);
        fs::rename(&partial, path).map_err(fail)
    });
    if written.is_err() {
        let _ = remove_folder(&partial);
    }
    written?;
    sync_parent(path);
    Ok(())
}

/// Removes what a killed run left half-written in `folder` (not in its subfolders).
///
/// Only for the one process that writes into `folder`; a missing folder has nothing to clean.
///
/// # Errors
/// When a leftover cannot be removed.
pub fn clean(folder: impl AsRef<Path>) -> Result<()> {
    let folder = folder.as_ref();
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|e| Error::io(folder, &e, "list"))?,
    };
    for entry in entries {
        let path = entry.map_err(|e| Error::io(folder, &e, "list"))?.path();
        if !is_partial(&path) {
            continue;
        }
        let removed = if path.is_dir() { remove_folder(&path) } else { fs::remove_file(&path) };
        removed.map_err(|e| Error::io(&path, &e, "remove"))?;
    }
    Ok(())
}

/// `.NAME.partial`: hidden, beside the file (a rename cannot cross disks), and the same in every
/// run, so that the next write of the same file finds and replaces what a killed one left.
fn partial_name(path: &Path) -> Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(Error::input(path.display(), "is not a file name", "end it with a name"));
    };
    let mut partial = OsString::from(".");
    partial.push(name);
    partial.push(".partial");
    Ok(path.with_file_name(partial))
}

fn is_partial(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(b".") && name.ends_with(b".partial") && name.len() > b"..partial".len()
}

/// Creates `partial` and locks it for as long as the file is open. One that exists but is not
/// locked was left by a writer that is gone.
fn claim(partial: &Path) -> io::Result<File> {
    let create = || OpenOptions::new().write(true).create_new(true).open(partial);
    let file = match create() {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            let old = OpenOptions::new().write(true).open(partial);
            if let Ok(old) = &old
                && let Err(TryLockError::WouldBlock) = old.try_lock()
            {
                return Err(io::Error::new(
                    ErrorKind::AlreadyExists,
                    "another process is writing it",
                ));
            }
            match fs::remove_file(partial) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                _ => create()?,
            }
        }
        file => file?,
    };
    // Some network file systems have no locks; the write is then only as safe as its one writer.
    let _ = file.try_lock();
    Ok(file)
}

fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Makes a rename in a folder last through a power cut, where the system can; Windows cannot open
/// a folder, and its renames need no such help.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

fn sync_parent(path: &Path) {
    match path.parent() {
        Some(parent) if parent != Path::new("") => sync_folder(parent),
        _ => sync_folder(Path::new(".")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let t = tempfile::tempdir().unwrap();
        let path = t.path().join("a.txt");
        write_bytes(&path, b"first").unwrap();
        write_bytes(&path, b"2nd").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2nd");
        assert_eq!(names(t.path()), ["a.txt"]);
    }

    #[test]
    fn a_place_for_a_file_is_checked_without_a_trace() {
        let t = tempfile::tempdir().unwrap();
        let path = t.path().join("a.txt");
        check_file(&path).unwrap();
        assert_eq!(names(t.path()), [""; 0]);
        write_bytes(&path, b"first").unwrap();
        check_file(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(t.path()), ["a.txt"]);
        for wrong in [t.path().to_path_buf(), t.path().join("no/a.txt"), path.join("b.txt")] {
            let (early, late) = (check_file(&wrong), write_bytes(&wrong, b"late"));
            assert_eq!(early.unwrap_err().exit_code(), 2, "{}", wrong.display());
            assert_eq!(late.unwrap_err().exit_code(), 2, "{}", wrong.display());
        }
    }

    #[test]
    fn a_full_disk_leaves_the_old_file() {
        let t = tempfile::tempdir().unwrap();
        let path = t.path().join("a.txt");
        write_bytes(&path, b"first").unwrap();
        let e = write_file(&path, |w| {
            w.write_all(b"half")?;
            Err(ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert_eq!(e.exit_code(), 1);
        assert!(e.to_string().contains("a.txt"), "{e}");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(t.path()), ["a.txt"]);
    }

    #[test]
    fn leftovers_are_replaced_and_cleaned() {
        let t = tempfile::tempdir().unwrap();
        fs::write(t.path().join(".a.txt.partial"), "left by a kill, longer than the new").unwrap();
        write_bytes(t.path().join("a.txt"), b"new").unwrap();
        assert_eq!(fs::read(t.path().join("a.txt")).unwrap(), b"new");
        fs::create_dir(t.path().join(".step.partial")).unwrap();
        fs::write(t.path().join(".step.partial/x"), "").unwrap();
        fs::write(t.path().join(".b.partial"), "").unwrap();
        fs::write(t.path().join("keep.partial"), "").unwrap();
        clean(t.path()).unwrap();
        assert_eq!(names(t.path()), ["a.txt", "keep.partial"]);
        clean(t.path().join("missing")).unwrap();
    }

    #[test]
    fn two_writers_of_one_file_do_not_mix() {
        let t = tempfile::tempdir().unwrap();
        let path = t.path().join("a.txt");
        write_file(&path, |w| {
            let e = write_bytes(&path, b"other").unwrap_err();
            assert!(e.to_string().contains("another process"), "{e}");
            w.write_all(b"one")
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let t = tempfile::tempdir().unwrap();
        let path = t.path().join("step-1");
        fs::create_dir(t.path().join(".step-1.partial")).unwrap();
        fs::write(t.path().join(".step-1.partial/stale"), "").unwrap();
        let failed = write_folder(&path, |f| {
            write_bytes(f.join("a"), b"1")?;
            Err(Error::failed(f.join("b").display(), "y", "z"))
        });
        let place = path.join("b");
        assert_eq!(failed, Err(Error::failed(place.display(), "y", "z")));
        assert_eq!(names(t.path()), [""; 0]);
        write_folder(&path, |f| write_bytes(f.join("a"), b"1")).unwrap();
        assert_eq!((names(t.path()), names(&path)), (vec!["step-1".into()], vec!["a".into()]));
        let e = write_folder(&path, |_| Ok(())).unwrap_err();
        assert!(e.to_string().contains("step-1") && e.exit_code() == 2, "{e}");
        assert_eq!(names(&path), ["a"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let t = tempfile::tempdir().unwrap();
        let e = write_bytes(t.path().join("no/a.txt"), b"").unwrap_err();
        assert!(e.to_string().contains("a.txt") && e.exit_code() == 2, "{e}");
        assert_eq!(write_bytes(t.path().join(".."), b"").unwrap_err().exit_code(), 2);
    }
}
