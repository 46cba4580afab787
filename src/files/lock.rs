//! One process for one folder, and for one result.
//!
//! A folder that is being written holds `.edgegrad.lock`, a file that is being computed has
//! `.NAME.lock` beside it, locked by the operating system for as long as the owner lives: a killed
//! owner's lock is free at once, whatever the file says, so that no stale lock has to be recognised
//! by its age. The text of the file is for people.

use super::atomic;
use crate::error::{Error, Result};
use crate::system::same_file;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const NAME: &str = ".edgegrad.lock";

/// A file that no other process has locked while this value lives, and that goes with it.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Locks the file `path`, which is made with its folder, on behalf of `what`, which others are
    /// told of.
    ///
    /// # Errors
    /// If another process holds the lock, or the file cannot be written.
    pub(crate) fn take(path: PathBuf, what: &Path) -> Result<Lock> {
        let fail = |e: io::Error| Error::io(what, &e, "write");
        loop {
            let open =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = match open {
                // The owner before removes an empty folder together with its lock.
                Err(e) if e.kind() == ErrorKind::NotFound => {
                    let parent = path.parent().filter(|parent| *parent != Path::new(""));
                    let parent = parent.ok_or_else(|| fail(e))?;
                    fs::create_dir_all(parent).map_err(fail)?;
                    continue;
                }
                open => open.map_err(fail)?,
            };
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => return Err(taken(what, &mut file)),
                // Some network file systems have no locks; it is then as safe as its owner.
                Err(TryLockError::Error(e)) => tracing::debug!("{}: {e}", path.display()),
                Ok(()) => {}
            }
            // The owner before may have removed the file between our opening and locking it.
            if same_file(&file, &path) {
                file.set_len(0).and_then(|()| file.write_all(owner().as_bytes())).map_err(fail)?;
                return Ok(Lock { path, file });
            }
        }
    }

    /// Whether the file is still the one that was locked.
    fn holds(&self) -> bool {
        same_file(&self.file, &self.path)
    }

    /// Removes the file, before the process ends without dropping this.
    pub(crate) fn remove(&self) {
        if self.holds() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A folder that no other process writes into while this value lives.
#[derive(Debug)]
pub struct FolderLock {
    folder: PathBuf,
    /// Taken by nobody until the value is dropped.
    lock: Option<Lock>,
    /// Whether the folder was made for the lock, so that it goes if nothing comes to lie in it.
    made: bool,
}

impl FolderLock {
    /// Locks `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// If another process holds the lock, or the folder cannot be made or written.
    pub fn take(folder: &Path) -> Result<FolderLock> {
        atomic::check_folder(folder)?;
        let made = !folder.exists();
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, &e, "make"))?;
        let lock = Lock::take(folder.join(NAME), folder)?;
        Ok(FolderLock { folder: folder.into(), lock: Some(lock), made })
    }

    /// Removes the lock that a killed process has left in `folder`, which nobody else would where
    /// the work is done. One that is held stays.
    pub fn remove_stale(folder: &Path) {
        let file = folder.join(NAME);
        if file.exists() {
            let _ = Lock::take(file, folder);
        }
    }

    /// Whether the folder is still the one that was locked.
    ///
    /// # Errors
    /// If it was removed, renamed or replaced by another: what is written from then on is lost.
    pub fn check(&self) -> Result<()> {
        if self.lock.as_ref().is_some_and(Lock::holds) {
            return Ok(());
        }
        Err(Error::failed(
            self.folder.display(),
            "was removed or renamed while it was being written",
            "run again, and leave the folder where it is",
        ))
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        let whole = self.check().is_ok();
        self.lock = None;
        if whole && self.made {
            // Only an empty folder can be removed so.
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

fn taken(what: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    for _ in 0..50 {
        let _ = file.rewind().and_then(|()| (&mut *file).take(256).read_to_string(&mut text));
        if text.ends_with('\n') {
            break;
        }
        // The owner writes who it is as soon as it has the lock.
        text.clear();
        sleep(Duration::from_millis(2));
    }
    let owner = text.lines().next().filter(|line| !line.is_empty());
    Error::input(
        what.display(),
        format!("another process is writing here: {}", owner.unwrap_or("it has not said which")),
        "wait until it has ended, stop it, or choose another folder",
    )
}

/// What a lock says of its owner, on one line.
fn owner() -> String {
    let command = std::env::args().nth(1).unwrap_or_default();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    format!("process {} ({command}), since {since} s after 1970\n", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_of_two_is_told_of_the_first() {
        let t = tempfile::tempdir().unwrap();
        let folder = t.path().join("run");
        let first = FolderLock::take(&folder).unwrap();
        let e = FolderLock::take(&folder).unwrap_err();
        let pid = format!("process {}", std::process::id());
        assert!(e.to_string().contains(&pid) && e.exit_code() == 2, "{e}");
        drop(first);
        assert!(!folder.exists(), "a folder in which nothing came to lie");
        let second = FolderLock::take(&folder).unwrap();
        atomic::write_bytes(folder.join("a"), b"1").unwrap();
        drop(second);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_result_has_one_writer_and_its_lock_goes() {
        let t = tempfile::tempdir().unwrap();
        let (path, out) = (t.path().join(".s.json.lock"), t.path().join("s.json"));
        let first = Lock::take(path.clone(), &out).unwrap();
        let e = Lock::take(path.clone(), &out).unwrap_err();
        assert!(e.to_string().contains("s.json: another process"), "{e}");
        drop(first);
        assert_eq!(fs::read_dir(t.path()).unwrap().count(), 0);
        Lock::take(path, &out).unwrap();
    }

    #[test]
    fn a_lock_that_was_left_is_no_lock() {
        let t = tempfile::tempdir().unwrap();
        fs::write(t.path().join(NAME), "process 1 (train), since 5 s after 1970\n").unwrap();
        FolderLock::take(t.path()).unwrap();
        assert!(t.path().exists());
    }

    #[test]
    fn a_lock_that_was_left_by_finished_work_goes_and_one_that_is_held_stays() {
        let t = tempfile::tempdir().unwrap();
        let file = t.path().join(NAME);
        fs::write(&file, "process 1 (train), since 5 s after 1970\n").unwrap();
        FolderLock::remove_stale(t.path());
        assert!(!file.exists());
        let held = FolderLock::take(t.path()).unwrap();
        FolderLock::remove_stale(t.path());
        held.check().unwrap();
    }

    #[test]
    fn a_folder_that_goes_is_noticed() {
        let t = tempfile::tempdir().unwrap();
        let (folder, aside) = (t.path().join("run"), t.path().join("aside"));
        let lock = FolderLock::take(&folder).unwrap();
        lock.check().unwrap();
        fs::rename(&folder, &aside).unwrap();
        assert_eq!(lock.check().unwrap_err().exit_code(), 1);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(NAME), "").unwrap();
        assert_eq!(lock.check().unwrap_err().exit_code(), 1);
    }
}
