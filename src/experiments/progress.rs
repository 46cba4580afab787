//! How far the runs are: a bar on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Told of steps as they are done.
pub trait Steps: Sync {
    /// `steps` more are done.
    fn add(&self, steps: u64);

    /// `steps` were done by an earlier process, so they say nothing of how fast this one is.
    fn skip(&self, steps: u64);
}

impl<F: Fn(u64) + Sync> Steps for F {
    fn add(&self, steps: u64) {
        self(steps);
    }

    fn skip(&self, steps: u64) {
        self(steps);
    }
}

/// Where there is no terminal, a line is printed for this share of the work ..
const LINES: u64 = 10;

/// .. and after this time at the latest.
const QUIET: Duration = Duration::from_secs(60);

/// Progress over a known number of steps, on standard error.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    plain: bool,
    total: u64,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    done: u64,
    /// Done by earlier processes, a part of `done`.
    before: u64,
    printed: Instant,
}

impl Progress {
    /// Of `total` steps.
    pub fn new(total: u64) -> Progress {
        let plain = !std::io::stderr().is_terminal();
        let target =
            if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        // At most 80 columns for numbers of up to seven digits.
        let style = ProgressStyle::with_template(
            "{wide_bar} {percent:>3} %  {human_pos} of {human_len} steps  {per_sec:.0}  {eta} left",
        );
        let bar = ProgressBar::with_draw_target(Some(total), target)
            .with_style(style.expect("the template is well-formed"));
        let started = Instant::now();
        let state = Mutex::new(State { done: 0, before: 0, printed: started });
        Progress { bar, plain, total, started, state }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Steps for Progress {
    fn add(&self, steps: u64) {
        self.bar.inc(steps);
        if !self.plain {
            return;
        }
        let mut state = self.state.lock().expect("nobody panics with the lock");
        let tenth = |n: u64| n * LINES / self.total.max(1);
        let due = tenth(state.done + steps) > tenth(state.done);
        state.done += steps;
        if due || state.printed.elapsed() > QUIET {
            state.printed = Instant::now();
            let line = line(state.done, state.before, self.total, self.started.elapsed());
            // Nobody may be left to read it.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    fn skip(&self, steps: u64) {
        self.bar.inc(steps);
        self.bar.reset_eta();
        let mut state = self.state.lock().expect("nobody panics with the lock");
        state.done += steps;
        state.before += steps;
    }
}

/// What is printed after `done` steps, `before` of them by earlier processes.
fn line(done: u64, before: u64, total: u64, elapsed: Duration) -> String {
    let rate = (done - before) as f64 / elapsed.as_secs_f64().max(1e-9);
    let left = total.saturating_sub(done) as f64 / rate;
    let percent = 100 * done / total.max(1);
    format!("{percent:>3} %  {done} of {total} steps  {rate:.0} steps/s  {left:.0} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_earlier_processes_do_not_count_for_the_rate() {
        let line = line(600, 500, 1000, Duration::from_secs(10));
        assert_eq!(line, " 60 %  600 of 1000 steps  10 steps/s  40 s left");
    }
}
