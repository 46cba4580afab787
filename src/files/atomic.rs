//! Files and folders that appear whole or not at all.
//!
//! What is written goes to a temporary name in the same folder, is forced to the disk and is then
//! renamed. A reader never sees half a file, and a run that is killed, or finds the disk full,
//! leaves the earlier file as it was. What is no ordinary file (a device, a named pipe) is written
//! into instead, and a symbolic link is followed, so that neither is replaced. A file that is named
//! `-` is standard output.

use super::{disk, sha256};
use crate::error::{Error, Result};
use crate::system::{exchange, same_file, standard_output};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Writes the file `path` with `fill`, replacing what was there and keeping its permissions.
///
/// # Errors
/// When the file cannot be written, or another process is writing it; `path` is then unchanged.
pub fn write_file(
    path: impl AsRef<Path>,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    let fail = |e: io::Error| Error::io(path, &e, "write");
    if path == Path::new(STANDARD) {
        return standard_output().and_then(|file| write_into(file, fill)).map_err(fail);
    }
    let target = followed(path).map_err(fail)?;
    let old = fs::metadata(&target).ok();
    if old.as_ref().is_some_and(|old| !old.is_file() && !old.is_dir()) {
        let device = OpenOptions::new().write(true).open(&target);
        return device.and_then(|device| write_into(device, fill)).map_err(fail);
    }
    // A folder that is being made is renamed as a whole, so its files need no second name.
    if target.parent().is_some_and(is_partial) {
        let file = File::create_new(&target).map_err(fail)?;
        return finish((file, &target), fill).map_err(fail);
    }
    let partial = partial_name(&target)?;
    let file = claim(&partial).map_err(fail)?;
    let kept = old.map_or(Ok(()), |old| file.set_permissions(old.permissions()));
    let written = kept
        .and_then(|()| finish((file, &partial), fill))
        .and_then(|()| fs::rename(&partial, &target));
    written.map_err(|e| {
        // The first error is the one to tell; a second one could only hide it.
        let _ = fs::remove_file(&partial);
        fail(e)
    })?;
    sync_parent(&target);
    Ok(())
}

/// Fills a file and forces it to the disk.
fn finish(
    (file, path): (File, &Path),
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut writer = BufWriter::new(file);
    fill(&mut writer)?;
    writer.flush()?;
    writer.get_ref().sync_all()?;
    disk::forced(path);
    Ok(())
}

/// Writes into what may have no disk to be forced to: a device, a pipe.
fn write_into(
    file: File,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut writer = BufWriter::new(file);
    fill(&mut writer)?;
    writer.flush()
}

/// The name that stands for standard output.
static STANDARD: &str = "-";

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
    let target = followed(path).map_err(fail)?;
    let old = fs::metadata(&target).ok();
    if old.as_ref().is_some_and(fs::Metadata::is_dir) {
        return Err(fail(ErrorKind::IsADirectory.into()));
    }
    if old.is_some_and(|old| !old.is_file()) {
        // Opening a pipe would wait for its reader.
        return Ok(());
    }
    let partial = partial_name(&target)?;
    let file = claim(&partial).map_err(fail)?;
    // Before the lock goes: a name that is free again may be another writer's.
    fs::remove_file(&partial).map_err(fail)?;
    drop(file);
    Ok(())
}

/// Removes the file `path`, and what a killed writer has left of it.
///
/// # Errors
/// When one is there and cannot be removed.
pub fn remove_file(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let removed = remove_any(&partial_name(path)?).and_then(|()| fs::remove_file(path));
    match removed {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(path, &e, "remove")),
        _ => Ok(()),
    }
}

/// Makes the folder `path` out of the files that `fill` writes into the folder it is given.
///
/// A folder is never replaced ([`replace_folder`] does that), and only one process may make a given
/// folder at a time.
///
/// # Errors
/// When `path` exists, `fill` fails, or a folder cannot be made; nothing is left behind then.
pub fn write_folder(path: impl AsRef<Path>, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let path = path.as_ref();
    // Renaming onto an empty folder would succeed on some systems and fail on others.
    if fs::symlink_metadata(path).is_ok() {
        return Err(Error::io(path, &ErrorKind::AlreadyExists.into(), "make"));
    }
    make_folder(path, fill, |partial| fs::rename(partial, path))
}

/// As [`write_folder`], in place of a folder that may be there, which is removed only once the new
/// one has its name.
///
/// # Errors
/// When `fill` fails or the folder cannot be made; the old one is then as it was.
pub fn replace_folder(
    path: impl AsRef<Path>,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    // A link stays one: the folder that it leads to is replaced.
    let path = &followed(path).map_err(|e| Error::io(path, &e, "make"))?;
    make_folder(path, fill, |partial| {
        if fs::symlink_metadata(path).is_err() {
            return fs::rename(partial, path);
        }
        exchange(partial, path)?;
        remove_folder(partial)
    })
}

/// As [`replace_folder`] if `replace` says so, and else as [`write_folder`].
///
/// # Errors
/// As these.
pub fn put_folder(
    path: impl AsRef<Path>,
    replace: bool,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    if replace { replace_folder(path, fill) } else { write_folder(path, fill) }
}

/// Checks that a folder can have this name, before the work whose result it is to hold.
///
/// # Errors
/// If it is `-`, which is standard output.
pub fn check_folder(path: &Path) -> Result<()> {
    if path == Path::new("-") {
        let help = "name the folder; ./- is one of that name";
        return Err(Error::input("-", "is standard output, and a folder is to be made", help));
    }
    Ok(())
}

fn make_folder(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<()>,
    publish: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<()> {
    let fail = |e: io::Error| Error::io(path, &e, "make");
    check_folder(path)?;
    let partial = partial_name(path)?;
    remove_any(&partial).map_err(fail)?;
    fs::create_dir(&partial).map_err(fail)?;
    // A name that is gone by the time the error is read would only confuse.
    let filled = fill(&partial).map_err(|e| e.renamed(&partial, path));
    let written = filled.and_then(|()| {
        sync_folder(&partial);
        publish(&partial).map_err(fail)
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
        if is_partial(&path) {
            remove_any(&path).map_err(|e| Error::io(&path, &e, "remove"))?;
        }
    }
    Ok(())
}

/// Forces the names in a folder to the disk: a file that was made there lasts through a power cut.
pub(crate) fn sync_folder(folder: &Path) {
    // Windows cannot open a folder, and its renames need no such help.
    if File::open(folder).and_then(|folder| folder.sync_all()).is_ok() {
        disk::forced(folder);
    }
}

fn sync_parent(path: &Path) {
    match path.parent() {
        Some(parent) if parent != Path::new("") => sync_folder(parent),
        _ => sync_folder(Path::new(".")),
    }
}

/// Symbolic links that may lead on from each other.
const LINKS: usize = 40;

/// The file that `path` names, through symbolic links; it need not be there yet.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                let target = fs::read_link(&path)?;
                path = path.parent().map_or(target.clone(), |parent| parent.join(&target));
            }
            _ => return Ok(path),
        }
    }
    Err(io::Error::new(ErrorKind::InvalidInput, "too many symbolic links"))
}

/// The longest name that file systems take, in bytes.
const LONGEST: usize = 255;

/// `.NAME.partial`: hidden, beside the file (a rename cannot cross disks), and the same in every
/// run, so that the next write of the same file finds and replaces what a killed one left.
fn partial_name(path: &Path) -> Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(Error::input(path.display(), "is not a file name", "end it with a name"));
    };
    let mut partial = OsString::from(".");
    if name.len() + "..partial".len() > LONGEST {
        partial.push(sha256(name.as_encoded_bytes()));
    } else {
        partial.push(name);
    }
    partial.push(".partial");
    Ok(path.with_file_name(partial))
}

/// Whether a path is one of the temporary names under which files and folders are written.
pub(crate) fn is_partial(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(b".") && name.ends_with(b".partial") && name.len() > b"..partial".len()
}

/// Creates `partial` and locks it for as long as the file is open. One that exists but is not
/// locked was left by a writer that is gone.
fn claim(partial: &Path) -> io::Result<File> {
    let taken = || io::Error::new(ErrorKind::AlreadyExists, "another process is writing it");
    loop {
        match OpenOptions::new().write(true).create_new(true).open(partial) {
            Ok(file) => match file.try_lock() {
                // Some network file systems have no locks; the write is as safe as its one writer.
                Err(TryLockError::Error(_)) => return Ok(file),
                // Before it was locked another process may have taken it for a killed writer's.
                Ok(()) if same_file(&file, partial) => return Ok(file),
                Ok(()) | Err(TryLockError::WouldBlock) => return Err(taken()),
            },
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
        match OpenOptions::new().write(true).open(partial) {
            Ok(old) => {
                if let Err(TryLockError::WouldBlock) = old.try_lock() {
                    return Err(taken());
                }
                // Its writer may have ended since it was opened.
                if same_file(&old, partial) {
                    remove_any(partial)?;
                }
            }
            Err(_) => remove_any(partial)?,
        }
    }
}

/// Removes a file, or a folder with all that is in it; one that is not there is no error.
pub(crate) fn remove_any(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
    removed.or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) })
}

fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
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
    fn standard_output_is_no_folder() {
        let e = write_folder("-", |_| unreachable!("nothing is made")).unwrap_err();
        assert!(e.to_string().starts_with("-: is standard output") && e.help().contains("./-"));
        check_folder(Path::new("./-")).unwrap();
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
        fs::write(t.path().join(".a.txt.partial"), "left again").unwrap();
        remove_file(t.path().join("a.txt")).unwrap();
        remove_file(t.path().join("a.txt")).unwrap();
        assert_eq!(names(t.path()), [""; 0]);
        write_bytes(t.path().join("a.txt"), b"new").unwrap();
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

    #[test]
    fn a_folder_is_replaced_only_by_a_whole_one() {
        let t = tempfile::tempdir().unwrap();
        let path = t.path().join("base");
        let fill = |bytes: &'static [u8]| move |f: &Path| write_bytes(f.join("a"), bytes);
        replace_folder(&path, fill(b"first")).unwrap();
        fs::write(path.join("more"), "").unwrap();
        let failed = replace_folder(&path, |f| {
            write_bytes(f.join("a"), b"half")?;
            Err(Error::failed("x", "y", "z"))
        });
        assert!(failed.is_err());
        assert_eq!(
            (names(&path), fs::read(path.join("a")).unwrap()),
            (vec!["a".into(), "more".into()], b"first".to_vec())
        );
        replace_folder(&path, fill(b"2nd")).unwrap();
        assert_eq!((names(t.path()), names(&path)), (vec!["base".into()], vec!["a".into()]));
        assert_eq!(fs::read(path.join("a")).unwrap(), b"2nd");
    }

    #[test]
    fn what_a_kill_left_of_a_folder_is_no_obstacle_to_a_file() {
        let t = tempfile::tempdir().unwrap();
        fs::create_dir(t.path().join(".out.partial")).unwrap();
        fs::write(t.path().join(".out.partial/model.safetensors"), "").unwrap();
        check_file(t.path().join("out")).unwrap();
        assert_eq!(names(t.path()), [""; 0]);
    }

    #[test]
    fn long_names_have_a_temporary_name_too() {
        let t = tempfile::tempdir().unwrap();
        let path = t.path().join("x".repeat(LONGEST));
        write_bytes(&path, b"long").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"long");
        assert_eq!(names(t.path()).len(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_permissions_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let t = tempfile::tempdir().unwrap();
        let at = |name: &str| t.path().join(name);
        fs::write(at("real"), "old").unwrap();
        fs::set_permissions(at("real"), fs::Permissions::from_mode(0o600)).unwrap();
        symlink("real", at("link")).unwrap();
        symlink(at("link"), at("link-to-link")).unwrap();
        symlink("new", at("dangling")).unwrap();
        symlink("round", at("round")).unwrap();
        write_bytes(at("link-to-link"), b"through").unwrap();
        write_bytes(at("dangling"), b"made").unwrap();
        assert_eq!(fs::read(at("real")).unwrap(), b"through");
        assert_eq!(fs::read(at("new")).unwrap(), b"made");
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert_eq!(fs::metadata(at("real")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(write_bytes(at("round"), b"").unwrap_err().exit_code(), 2);
    }
}
