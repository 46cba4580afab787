//! Long work: on threads of its own and without the interpreter, which meanwhile hears of Ctrl-C
//! and draws a bar.
//!
//! The thread that called waits. Every [`TICK`] it asks Python whether a signal has come. If so,
//! the work is [asked](edgegrad::interrupt) to stop, as the command is, and its exception is raised
//! once the work has stopped.

use crate::errors::raised;
use crate::warnings;
use edgegrad::error::{Error, Result, Signal};
use edgegrad::experiments::Steps;
use edgegrad::interrupt;
use pyo3::prelude::*;
use rayon::ThreadPool;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The time between two looks at signals and at progress.
const TICK: Duration = Duration::from_millis(50);

/// Work of less time shows no bar.
const QUIET: Duration = Duration::from_millis(500);

/// The width of a bar in characters.
const WIDTH: usize = 30;

/// How far some work is.
#[derive(Default)]
pub(crate) struct Progress {
    what: Mutex<&'static str>,
    /// The share that is done, as bits.
    share: AtomicU64,
}

impl Progress {
    /// Begins the part `what`; the result takes shares of it, from 0 to 1.
    pub(crate) fn part(&self, what: &'static str) -> impl FnMut(f64) + '_ {
        *self.what.lock().unwrap_or_else(PoisonError::into_inner) = what;
        self.share.store(0, Ordering::Relaxed);
        |share: f64| self.share.store(share.to_bits(), Ordering::Relaxed)
    }

    /// Begins the part `what` of `total` steps.
    pub(crate) fn steps(&self, what: &'static str, total: u64) -> Counted<'_> {
        drop(self.part(what));
        Counted { progress: self, done: AtomicU64::new(0), total }
    }

    fn line(&self, elapsed: Duration) -> String {
        let share = f64::from_bits(self.share.load(Ordering::Relaxed)).clamp(0.0, 1.0);
        let what = *self.what.lock().unwrap_or_else(PoisonError::into_inner);
        let full = (share * WIDTH as f64) as usize;
        let bar: String = (0..WIDTH).map(|i| if i < full { '#' } else { '.' }).collect();
        format!("{what} {bar} {:3.0} %  {:.0} s", 100.0 * share, elapsed.as_secs_f64())
    }
}

/// Work that is told in steps.
pub(crate) struct Counted<'a> {
    progress: &'a Progress,
    done: AtomicU64,
    total: u64,
}

impl Steps for Counted<'_> {
    fn add(&self, steps: u64) {
        let done = self.done.fetch_add(steps, Ordering::Relaxed) + steps;
        let share = done as f64 / self.total.max(1) as f64;
        self.progress.share.store(share.to_bits(), Ordering::Relaxed);
    }

    fn skip(&self, steps: u64) {
        self.add(steps);
    }
}

/// A bar on `sys.stderr`, which notebooks show as well.
struct Bar {
    started: Instant,
    shown: usize,
}

impl Bar {
    /// Draws `line` over what was drawn before.
    fn draw(&mut self, py: Python<'_>, line: &str) -> PyResult<()> {
        let stderr = py.import("sys")?.getattr("stderr")?;
        if stderr.is_none() {
            return Ok(());
        }
        let shown = self.shown;
        stderr.call_method1("write", (format!("\r{line:<shown$}"),))?;
        stderr.call_method0("flush")?;
        self.shown = line.chars().count();
        Ok(())
    }

    /// Removes it.
    fn clear(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.shown > 0 {
            self.draw(py, "")?;
            py.import("sys")?.getattr("stderr")?.call_method1("write", ("\r",))?;
        }
        Ok(())
    }
}

/// Where work runs, and whether it shows a bar.
#[derive(Clone, Copy)]
pub(crate) struct How {
    /// Threads; all cores unless given.
    pub(crate) threads: Option<usize>,
    /// Whether it shows a bar.
    pub(crate) progress: bool,
}

/// The result of `work`.
///
/// # Errors
/// Those of the work, or `KeyboardInterrupt`, with a note on what is done and how to go on.
pub(crate) fn run<R: Send>(
    py: Python<'_>,
    how: How,
    work: impl FnOnce(&Progress) -> Result<R> + Send,
) -> PyResult<R> {
    let pool = pool(how.threads).map_err(|e| raised(py, &e))?;
    let progress = Progress::default();
    let mut bar = Bar { started: Instant::now(), shown: 0 };
    let (result, interrupted) = py.detach(|| {
        thread::scope(|scope| {
            let (ended, end) = channel::<()>();
            let (progress, pool) = (&progress, &pool);
            let worker = scope.spawn(move || {
                // Dropped at the end, of a panic too.
                let _ended = ended;
                pool.install(|| work(progress))
            });
            let mut interrupted = None;
            while end.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let looked = Python::attach(|py| look(py, how, progress, &mut bar));
                if let Err(e) = looked
                    && interrupted.is_none()
                {
                    interrupted = Some(e);
                    interrupt::ask(Some(Signal::Interrupt));
                }
            }
            (worker.join().unwrap_or_else(|panic| resume_unwind(panic)), interrupted)
        })
    });
    bar.clear(py)?;
    warnings::show(py)?;
    let Some(exception) = interrupted else {
        return result.map_err(|e| raised(py, &e));
    };
    interrupt::ask(None);
    if let Err(stopped) = result {
        note(py, &exception, &stopped);
    }
    Err(exception)
}

/// Hears of signals, and draws the bar.
fn look(py: Python<'_>, how: How, progress: &Progress, bar: &mut Bar) -> PyResult<()> {
    py.check_signals()?;
    let elapsed = bar.started.elapsed();
    if how.progress && elapsed > QUIET {
        bar.draw(py, &progress.line(elapsed))?;
    }
    Ok(())
}

/// Adds to an exception what was done until then; before Python 3.11 exceptions take no notes.
fn note(py: Python<'_>, exception: &PyErr, stopped: &Error) {
    let text = format!("{stopped}\nhelp: {}", stopped.help());
    let _ = exception.value(py).call_method1("add_note", (text,));
}

/// The threads of all calls that ask for so many; all cores unless given.
fn pool(threads: Option<usize>) -> Result<Arc<ThreadPool>> {
    static POOLS: Mutex<BTreeMap<usize, Arc<ThreadPool>>> = Mutex::new(BTreeMap::new());
    // For rayon 0 is all cores.
    let count = threads.unwrap_or(0);
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pool) = pools.get(&count) {
        return Ok(Arc::clone(pool));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
    let pool = pool.map_err(|e| Error::failed("threads", e, "ask for fewer threads"))?;
    Ok(Arc::clone(pools.entry(count).or_insert(Arc::new(pool))))
}
