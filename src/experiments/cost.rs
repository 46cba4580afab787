//! What a computation costs: seconds, and bytes that this process holds.

use crate::error::Result;
use crate::stats::median;
use crate::system::held_memory;
use std::process::Command;
use std::time::{Duration, Instant};

/// The median of the seconds that `run` takes, of three to nine runs, after one that finds the
/// memory.
pub fn median_seconds(mut run: impl FnMut()) -> f64 {
    run();
    let (start, mut times) = (Instant::now(), vec![]);
    while times.len() < 3 || (times.len() < 9 && start.elapsed() < Duration::from_secs(1)) {
        let start = Instant::now();
        run();
        times.push(start.elapsed().as_secs_f64());
    }
    median(&times).expect("three times at least")
}

/// The most bytes that this process holds during `run` beyond what it held before; `None` where the
/// system is not Linux.
///
/// Ask for one computation in a process ([`answer_of`]): memory that another has freed counts as
/// free or as held as the allocator pleases.
///
/// # Errors
/// Those of `run`.
pub fn peak_bytes(run: impl FnOnce() -> Result<()>) -> Result<Option<f64>> {
    let before = held_memory();
    run()?;
    Ok(before.zip(held_memory()).map(|((_, held), (most, _))| most as f64 - held as f64))
}

/// The number that this program prints when it is run anew with these arguments; `None` if it
/// prints something else.
pub fn answer_of(arguments: impl IntoIterator<Item = String>) -> Option<f64> {
    let program = std::env::current_exe().ok()?;
    let answer = Command::new(program).args(arguments).output().ok()?;
    String::from_utf8(answer.stdout).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    /// 64 MB are held for a moment; tests that run beside this one may hold more.
    #[test]
    fn what_is_held_is_seen() {
        let hold = || {
            black_box(vec![1u8; 64 << 20]);
            Ok(())
        };
        if let Some(bytes) = peak_bytes(hold).expect("no error of its own") {
            assert!(bytes > f64::from(48 << 20), "{bytes}");
        }
    }

    /// The test program lists its tests: no number.
    #[test]
    fn what_is_no_number_is_no_answer() {
        assert_eq!(answer_of(["--list".to_string()]), None);
    }

    #[test]
    fn seconds_are_those_of_a_run() {
        let seconds = median_seconds(|| std::thread::sleep(Duration::from_millis(2)));
        assert!(seconds >= 2e-3, "{seconds}");
    }
}
