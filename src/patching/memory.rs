//! Whether a computation fits in memory, asked before it starts.

use crate::error::{Error, Result};
use std::fs;

/// Checks that `bytes` more fit in the memory that is free, as far as the system says what is.
///
/// # Errors
/// If they do not; `help` says what to do about it.
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

/// Bytes that could be used without pushing anything out, on Linux.
pub fn free() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Bytes for people.
fn size(bytes: u128) -> String {
    let gib = bytes as f64 / (1u64 << 30) as f64;
    if gib >= 1.0 { format!("{gib:.1} GiB") } else { format!("{:.0} MiB", gib * 1024.0) }
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
