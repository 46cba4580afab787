//! How far the runs are: a bar on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Lines that are printed where there is no terminal.
const LINES: u64 = 10;

/// Progress over a known number of steps, on standard error.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    plain: bool,
    total: u64,
    done: AtomicU64,
    started: Instant,
}

impl Progress {
    /// Of `total` steps.
    pub fn new(total: u64) -> Progress {
        let plain = !std::io::stderr().is_terminal();
        let target =
            if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let style = ProgressStyle::with_template(
            "{bar:32} {percent:>3} %  {human_pos} of {human_len} steps  {per_sec}  {eta} left",
        );
        let bar = ProgressBar::with_draw_target(Some(total), target)
            .with_style(style.expect("the template is well-formed"));
        Progress { bar, plain, total, done: AtomicU64::new(0), started: Instant::now() }
    }

    /// `steps` more are done.
    pub fn add(&self, steps: u64) {
        self.bar.inc(steps);
        let before = self.done.fetch_add(steps, Ordering::Relaxed);
        let tenth = |n: u64| n * LINES / self.total.max(1);
        if self.plain && tenth(before + steps) > tenth(before) {
            self.line(before + steps);
        }
    }

    fn line(&self, done: u64) {
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = done as f64 / seconds.max(1e-9);
        let left = Duration::from_secs_f64((self.total.saturating_sub(done)) as f64 / rate);
        eprintln!(
            "{:>3} %  {done} of {} steps  {rate:.0} steps/s  {} s left",
            100 * done / self.total.max(1),
            self.total,
            left.as_secs()
        );
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
