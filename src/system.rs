//! What systems do in different ways, each as one function: the only room that asks which system
//! this is. Where a system has no such thing, the function says so by its value, without a message.
//!
//! Linux on x86-64 and AArch64 is tested. For macOS and Windows `cargo check` passes; nobody
//! has run it there.
#![deny(unsafe_code)]

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// Bytes that this process can still allocate: the least of what the system has available without
/// swapping, of what its control groups allow, and of `ulimit -v`; `None` if none of these is
/// known, as anywhere but on Linux.
pub fn free_memory() -> Option<u64> {
    [available(), of_group(Path::new("/sys/fs/cgroup")), of_address_space()]
        .into_iter()
        .flatten()
        .min()
}

/// What Linux says is available.
fn available() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// The bytes of a line such as `MemAvailable:  123 kB`.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(1024 * line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?)
}

/// What the control groups of this process leave it, from its own up to the root, in either
/// version.
fn of_group(root: &Path) -> Option<u64> {
    let number = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut least = None::<u64>;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, own) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let (top, limit, used) = match controllers {
            "" => (root.to_path_buf(), "memory.max", "memory.current"),
            "memory" => (root.join("memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"),
            _ => continue,
        };
        // In a container its own group may be the root that it sees.
        for folder in top.join(own).ancestors().take_while(|folder| folder.starts_with(&top)) {
            if let Some(limit) = number(folder.join(limit)) {
                let left = limit.saturating_sub(number(folder.join(used)).unwrap_or(0));
                least = Some(least.map_or(left, |least| least.min(left)));
            }
        }
    }
    least
}

/// What `ulimit -v` leaves this process.
#[cfg(unix)]
fn of_address_space() -> Option<u64> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::As).current?;
    // In pages; the first number is the whole address space.
    let used = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = used.split(' ').next()?.parse().ok()?;
    Some(limit.saturating_sub(pages * rustix::param::page_size() as u64))
}

#[cfg(not(unix))]
fn of_address_space() -> Option<u64> {
    None
}

/// The most bytes that this process held since the last call, and what it holds now; `None`
/// anywhere but on Linux.
#[cfg(feature = "experiments")]
pub(crate) fn held_memory() -> Option<(u64, u64)> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let found = (kilobytes(&status, "VmHWM:")?, kilobytes(&status, "VmRSS:")?);
    // Forgets the maximum so far.
    fs::write("/proc/self/clear_refs", "5").ok()?;
    Some(found)
}

/// The signals that whoever started this process has it ignore, a bit each from signal 1 on; none
/// anywhere but on Linux.
#[cfg(unix)]
pub(crate) fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Fills `to` with the bytes of `file` from `at` on. Several threads may read a file so, but on
/// Windows nobody may rely on where it stands.
#[cfg(unix)]
pub(crate) fn read_exact_at(file: &File, to: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, to, at)
}

#[cfg(windows)]
pub(crate) fn read_exact_at(file: &File, mut to: &mut [u8], mut at: u64) -> io::Result<()> {
    while !to.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, to, at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => (to, at) = (&mut to[n..], at + n as u64),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Asks for huge pages where `memory` is first touched: that takes a quarter of the time. Linux
/// alone is asked, and may decline.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "rustix has all advice in one function, some of it destructive")]
pub(crate) fn ask_for_huge_pages<T>(memory: &mut [T]) {
    use rustix::mm::{Advice, madvise};
    let page = rustix::param::page_size();
    let start = memory.as_ptr_range().start.addr().next_multiple_of(page);
    let end = memory.as_ptr_range().end.addr() / page * page;
    if start < end {
        let first = memory.as_mut_ptr().with_addr(start);
        // SAFETY: these pages belong to `memory`. The advice changes how they are backed, not what
        // they hold.
        _ = unsafe { madvise(first.cast(), end - start, Advice::LinuxHugepage) };
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn ask_for_huge_pages<T>(_: &mut [T]) {}

/// Standard output as a file.
pub(crate) fn standard_output() -> io::Result<File> {
    #[cfg(unix)]
    let file = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?;
    #[cfg(windows)]
    let file = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned()?;
    Ok(file.into())
}

/// Makes a symbolic link at `link` that leads to `to`; on Windows, which asks for a privilege, it
/// makes none.
///
/// # Errors
/// As `symlink`; `Unsupported` where none is made.
#[cfg(feature = "hub")]
pub(crate) fn link(to: &Path, link: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(to, link);
    #[cfg(not(unix))]
    return Err(io::Error::new(io::ErrorKind::Unsupported, format!("{to:?} to {link:?}")));
}

/// Whether this is a named pipe; Windows has none among its files.
#[cfg(unix)]
pub(crate) fn is_pipe(found: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    found.file_type().is_fifo()
}

#[cfg(not(unix))]
pub(crate) fn is_pipe(_: &Metadata) -> bool {
    false
}

/// Whether `path` names the open `file`, which may have been removed or renamed.
#[cfg(unix)]
pub(crate) fn same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// On Windows an open file keeps its name.
#[cfg(not(unix))]
pub(crate) fn same_file(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Gives each of two folders the other's name, in one step where the system has one.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(crate) fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE) {
        Err(e) if e == rustix::io::Errno::INVAL || e == rustix::io::Errno::NOSYS => swap(a, b),
        done => done.map_err(io::Error::from),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(crate) fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    swap(a, b)
}

/// [`exchange`] in three renames, for file systems that cannot do it in one.
fn swap(a: &Path, b: &Path) -> io::Result<()> {
    let mut aside = a.as_os_str().to_os_string();
    aside.push(".old.partial");
    fs::rename(b, &aside)?;
    fs::rename(a, b).or_else(|e| fs::rename(&aside, b).and(Err(e)))?;
    fs::rename(&aside, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_change_places() {
        let t = tempfile::tempdir().expect("a folder");
        let (a, b) = (t.path().join("one"), t.path().join("two"));
        fs::create_dir_all(a.join("in-a")).expect("made");
        fs::create_dir_all(b.join("in-b")).expect("made");
        exchange(&a, &b).expect("exchanged");
        assert!(a.join("in-b").is_dir() && b.join("in-a").is_dir());
        swap(&a, &b).expect("exchanged again");
        assert!(a.join("in-a").is_dir() && b.join("in-b").is_dir());
        assert_eq!(fs::read_dir(t.path()).expect("listed").count(), 2);
    }

    #[test]
    fn a_field_of_kilobytes() {
        let text = "MemTotal:  8 kB\nMemAvailable:       3 kB\nVmRSS: 5\n";
        assert_eq!(kilobytes(text, "MemAvailable:"), Some(3 << 10));
        assert_eq!((kilobytes(text, "VmRSS:"), kilobytes(text, "VmHWM:")), (None, None));
    }
}
