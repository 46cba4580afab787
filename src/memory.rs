//! Whether a computation fits in memory, checked before it starts.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Checks that `bytes` more fit in the free memory, if the system tells how much is free.
///
/// # Errors
/// If they do not fit; `help` gives the help line.
pub fn check(what: &str, bytes: u128, help: impl FnOnce() -> String) -> Result<()> {
    match free() {
        Some(free) if bytes > u128::from(free) => Err(Error::failed(
            what,
            format!("needs about {} of memory, {} are free", size(bytes), size(u128::from(free))),
            help(),
        )),
        _ => Ok(()),
    }
}

/// Bytes that this process can still allocate: the least of what the system has available without
/// swapping, of what its control groups allow, and of `ulimit -v`; `None` if none of these is
/// known.
pub fn free() -> Option<u64> {
    [available(), of_group(Path::new("/sys/fs/cgroup")), of_address_space()]
        .into_iter()
        .flatten()
        .min()
}

/// What Linux says is available.
fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
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

/// Bytes for people.
pub fn size(bytes: u128) -> String {
    let kib = bytes as f64 / 1024.0;
    match kib {
        1_048_576.0.. => format!("{:.1} GiB", kib / 1_048_576.0),
        1024.0.. => format!("{:.0} MiB", kib / 1024.0),
        _ => format!("{kib:.0} KiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_fit_is_refused() {
        check("a pair", 1 << 20, String::new).expect("a mebibyte is there");
        if free().is_some() {
            let e = check("a pair", 1 << 60, || "ask less".into()).expect_err("an exbibyte is not");
            assert!(e.to_string().starts_with("a pair: needs about 1073741824.0 GiB of memory"));
            assert_eq!((e.help(), e.exit_code()), ("ask less", 1));
        }
    }
}
