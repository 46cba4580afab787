//! Whether a computation fits in memory, checked before it starts.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
pub use crate::system::free_memory as free;

/// Checks that `bytes` more fit in the free memory, if the system tells how much is free.
///
/// # Errors
/// If they do not fit; `help` gives the help line.
pub fn check(what: &str, bytes: u128, help: impl FnOnce() -> String) -> Result<()> {
    tracing::debug!("{what}: needs about {}", size(bytes));
    match free() {
        Some(free) if bytes > u128::from(free) => Err(Error::failed(
            what,
            format!("needs about {} of memory, {} are free", size(bytes), size(u128::from(free))),
            help(),
        )),
        _ => Ok(()),
    }
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
