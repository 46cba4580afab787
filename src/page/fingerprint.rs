//! A short hash of what lies in a folder, by which a page knows that it is out of date.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// Folders below the given one: `arm/seed/snapshots`, and some to spare. Links to folders are not
/// followed, so that this ends.
const DEPTH: usize = 6;

/// 16 hexadecimal digits of the names, sizes and modification times of all files below `root`.
///
/// Nothing is opened, and what cannot be listed counts as absent: the page says what is missing.
pub(super) fn of(root: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    add(root, 0, &mut hasher);
    format!("{:016x}", hasher.finish())
}

fn add(folder: &Path, depth: usize, hasher: &mut DefaultHasher) {
    // In order of names: the order of the file system may differ from call to call.
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(kind) = entry.file_type() else { continue };
        entry.file_name().hash(hasher);
        if kind.is_dir() {
            if depth < DEPTH {
                depth.hash(hasher);
                add(&entry.path(), depth + 1, hasher);
            }
        } else if let Ok(about) = fs::metadata(entry.path()) {
            (about.len(), about.modified().ok()).hash(hasher);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn every_change_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("arm/seed-00");
        let mut seen = vec![of(root.path())];
        let mut changed = |what: &str| {
            let now = of(root.path());
            assert_eq!(now, of(root.path()), "{what}: the same folder");
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        };
        fs::create_dir_all(run.join("snapshots")).unwrap();
        changed("folders");
        fs::write(run.join("metrics.jsonl"), "{}\n").unwrap();
        changed("a file");
        fs::OpenOptions::new()
            .append(true)
            .open(run.join("metrics.jsonl"))
            .and_then(|mut file| file.write_all(b"{}\n"))
            .unwrap();
        changed("a line");
        fs::write(run.join("snapshots/step-000000.safetensors"), "x").unwrap();
        changed("a snapshot");
        fs::rename(run.join("snapshots"), run.join("snap")).unwrap();
        changed("a name");
    }

    #[cfg(unix)]
    #[test]
    fn a_circle_of_links_ends() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("again")).unwrap();
        assert_eq!(of(root.path()).len(), 16);
        assert_eq!(of(&root.path().join("absent")), of(&root.path().join("absent too")));
    }
}
