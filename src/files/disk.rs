//! What lasts through a power cut: contents of files and names in folders that were forced to the
//! disk. Everything that forces them says so here, so that a test can replay it and cut the power
//! anywhere.

/// The content of the file `path`, or the names in the folder `path`, were forced to the disk.
#[cfg(not(all(test, unix, feature = "experiments")))]
#[inline]
pub(super) fn forced(_path: &std::path::Path) {}

#[cfg(all(test, unix, feature = "experiments"))]
pub(super) use record::forced;

/// The disk of a test, which trains.
#[cfg(all(test, unix, feature = "experiments"))]
pub(crate) mod record {
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;

    /// Which file or folder it is, whatever its name.
    type Inode = u64;

    /// What was forced to the disk, in order.
    #[derive(Clone, Debug)]
    pub(crate) enum Step {
        Content(Inode, Vec<u8>),
        /// The names in a folder, and whether each is a folder.
        Names(Inode, BTreeMap<OsString, (Inode, bool)>),
    }

    /// The folder that is watched, and what has happened in it.
    static STEPS: Mutex<Option<(PathBuf, Vec<Step>)>> = Mutex::new(None);

    pub(crate) fn forced(path: &Path) {
        let mut steps = STEPS.lock().expect("nobody panics with the lock");
        let Some((_, steps)) = steps.as_mut().filter(|(root, _)| path.starts_with(root)) else {
            return;
        };
        let inode = fs::metadata(path).expect("it was forced").ino();
        steps.push(match fs::read_dir(path) {
            Err(_) => Step::Content(inode, fs::read(path).expect("a file")),
            Ok(entries) => {
                let entry = |entry: std::io::Result<fs::DirEntry>| {
                    let entry = entry.expect("listed");
                    let found = entry.metadata().expect("there");
                    (entry.file_name(), (found.ino(), found.is_dir()))
                };
                Step::Names(inode, entries.map(entry).collect())
            }
        });
    }

    /// What is forced to the disk below `root` while `work` is done.
    pub(crate) fn steps(root: &Path, work: impl FnOnce()) -> Vec<Step> {
        *STEPS.lock().expect("free") = Some((root.into(), vec![]));
        work();
        STEPS.lock().expect("free").take().expect("recorded").1
    }

    /// Makes `to` what a power cut after `steps` leaves of the folder `root`: nothing that was not
    /// forced to the disk. A file whose name lasts and whose content does not is empty.
    pub(crate) fn cut(root: Inode, steps: &[Step], to: &Path) {
        let (mut contents, mut names) = (BTreeMap::new(), BTreeMap::new());
        for step in steps {
            match step {
                Step::Content(inode, bytes) => drop(contents.insert(*inode, bytes)),
                Step::Names(inode, list) => drop(names.insert(*inode, list)),
            }
        }
        let mut left = vec![(root, to.to_path_buf())];
        while let Some((folder, path)) = left.pop() {
            fs::create_dir(&path).expect("a new folder");
            for (name, &(inode, is_folder)) in names.get(&folder).into_iter().copied().flatten() {
                match is_folder {
                    true => left.push((inode, path.join(name))),
                    false => {
                        let bytes = contents.get(&inode).map_or(&[][..], |bytes| bytes);
                        fs::write(path.join(name), bytes).expect("a new file");
                    }
                }
            }
        }
    }
}
