//! How far the runs are: a bar on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// .. and after this time at the latest ..
const QUIET: Duration = Duration::from_secs(60);

/// .. but the first one as soon as the rate is known.
const FIRST: Duration = Duration::from_secs(1);

/// Whether nobody wants to see progress.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Parts that a whole is counted in where work is told in shares.
const PARTS: u64 = 10_000;

/// How far some work is, on standard error.
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
    /// What is counted: steps, or parts of the work of this name.
    what: Option<String>,
    done: u64,
    /// Done by earlier processes, a part of `done`.
    before: u64,
    printed: Instant,
}

impl Progress {
    /// Of `total` steps.
    pub fn new(total: u64) -> Progress {
        // At most 80 columns for numbers of up to seven digits.
        let steps = "{wide_bar} {percent:>3} %  {human_pos} of {human_len} steps  {per_sec:.0}  \
                     {eta} left";
        Progress::with(total, steps, None)
    }

    /// Of the work `what`, told in shares by [`Progress::reach`].
    pub fn of(what: &str) -> Progress {
        Progress::with(PARTS, "{msg}  {wide_bar} {percent:>3} %  {eta} left", Some(what.into()))
    }

    fn with(total: u64, template: &str, what: Option<String>) -> Progress {
        let silent = SILENT.load(Ordering::Relaxed);
        let terminal = std::io::stderr().is_terminal();
        let target = match terminal && !silent {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let style = ProgressStyle::with_template(template).expect("the template is well-formed");
        let bar = ProgressBar::with_draw_target(Some(total), target)
            .with_style(style)
            .with_message(what.clone().unwrap_or_default());
        let started = Instant::now();
        let state = Mutex::new(State { what, done: 0, before: 0, printed: started });
        Progress { bar, plain: !terminal && !silent, total, started, state }
    }

    /// Shows no progress from now on.
    pub fn silence() {
        SILENT.store(true, Ordering::Relaxed);
    }

    /// Calls the work `what` from now on.
    pub(super) fn call(&self, what: String) {
        self.bar.set_message(what.clone());
        self.state.lock().expect("nobody panics with the lock").what = Some(what);
    }

    /// A share of the work, from 0 to 1, is done.
    pub fn reach(&self, share: f64) {
        let done = self.state.lock().expect("nobody panics with the lock").done;
        self.add(((share * self.total as f64) as u64).saturating_sub(done));
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Whether a line is due where there is no terminal: each tenth of the steps, each minute, and
    /// of steps also after a second.
    fn due(&self, state: &State, steps: u64) -> bool {
        let tenth = |n: u64| n * LINES / self.total.max(1);
        let tenths = tenth(state.done + steps) > tenth(state.done);
        let first = state.printed == self.started && self.started.elapsed() > FIRST;
        state.what.is_none() && (tenths || first) || state.printed.elapsed() > QUIET
    }
}

impl Steps for Progress {
    fn add(&self, steps: u64) {
        self.bar.inc(steps);
        let mut state = self.state.lock().expect("nobody panics with the lock");
        let due = self.plain && self.due(&state, steps);
        state.done += steps;
        if due {
            state.printed = Instant::now();
            let (done, before) = (state.done, state.before);
            let line =
                line(state.what.as_deref(), done, before, self.total, self.started.elapsed());
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
fn line(what: Option<&str>, done: u64, before: u64, total: u64, elapsed: Duration) -> String {
    let rate = (done - before) as f64 / elapsed.as_secs_f64().max(1e-9);
    let left = total.saturating_sub(done) as f64 / rate;
    let percent = 100 * done / total.max(1);
    match what {
        Some(what) => format!("{what}: {percent} %  {left:.0} s left"),
        None => {
            format!("{percent:>3} %  {done} of {total} steps  {rate:.0} steps/s  {left:.0} s left")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_earlier_processes_do_not_count_for_the_rate() {
        let ten = Duration::from_secs(10);
        let steps = line(None, 600, 500, 1000, ten);
        assert_eq!(steps, " 60 %  600 of 1000 steps  10 steps/s  40 s left");
        assert_eq!(line(Some("exact"), 2500, 0, 10_000, ten), "exact: 25 %  30 s left");
    }

    #[test]
    fn shares_are_counted_once() {
        let progress = Progress::of("exact");
        [0.25, 0.25, 0.1, 0.5].into_iter().for_each(|share| progress.reach(share));
        assert_eq!(progress.state.lock().unwrap().done, PARTS / 2);
    }
}
