//! Being asked to stop: SIGINT, SIGTERM and SIGHUP end a command at its next safe point.
//!
//! A command [listens](listen), and what takes long [asks](check) where it can stop without losing
//! what is done. A second signal ends the process at once, as the first does until somebody has
//! asked: a process that waits for an input which nobody writes has nothing to keep. Who listens to
//! nothing, as a program that uses the library, is never asked to stop, unless it [asks](ask)
//! itself. Where points to stop can be minutes apart, [`end_after`] bounds the wait.
//! Where there are no such signals, the system's own way to end a process is left as it is.
#![forbid(unsafe_code)]

use crate::error::{Error, Result, Signal};
use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// The number of the signal that a program has asked itself to stop by; 0 if it has not.
static TOLD: AtomicUsize = AtomicUsize::new(0);

/// Asks this process to stop as `signal` would, or takes that back: for programs that hear of
/// signals in their own way.
pub fn ask(signal: Option<Signal>) {
    TOLD.store(signal.map_or(0, |signal| signal as usize), Ordering::Relaxed);
}

/// Begins to listen to the signals that are not ignored (as `nohup` has it for SIGHUP).
pub fn listen() {
    #[cfg(unix)]
    unix::listen();
}

/// The signal that has asked this process to stop, if any.
pub(crate) fn requested() -> Option<Signal> {
    let told = numbered(TOLD.load(Ordering::Relaxed));
    #[cfg(unix)]
    let told = told.or_else(unix::requested);
    told
}

/// Ends this process, if it listens, once it has been asked to stop for as long as `patience`. That
/// is for work whose loss is small: `last` is told the signal before. Nothing happens once `works`
/// is false.
pub fn end_after(
    patience: Duration,
    works: impl Fn() -> bool + Send + 'static,
    last: impl FnOnce(Signal) + Send + 'static,
) {
    const PAUSE: Duration = Duration::from_millis(100);
    if !listens() {
        return;
    }
    let wait = move || {
        let mut asked = None;
        while works() {
            // Looking is not asking: who has nothing to keep yet is still ended by the signal.
            asked = asked.or_else(|| sent().map(|signal| (signal, Instant::now())));
            match asked {
                Some((signal, since)) if since.elapsed() >= patience => {
                    last(signal);
                    std::process::exit(signal.exit_code().into());
                }
                _ => sleep(PAUSE),
            }
        }
    };
    if let Err(e) = thread::Builder::new().spawn(wait) {
        tracing::debug!("no thread that waits for signals: {e}");
    }
}

/// Whether signals are listened to.
fn listens() -> bool {
    #[cfg(unix)]
    return unix::listens();
    #[cfg(not(unix))]
    false
}

/// The signal that was sent to a process that listens, if any.
fn sent() -> Option<Signal> {
    #[cfg(unix)]
    return unix::sent();
    #[cfg(not(unix))]
    None
}

/// The signal of a number.
fn numbered(number: usize) -> Option<Signal> {
    Signal::ALL.into_iter().find(|signal| signal.number() as usize == number)
}

/// Fails if the process has been asked to stop; `what` has been done until then ("step 5 of 10").
///
/// # Errors
/// If it has been asked, with `help` on how to go on.
pub fn check(place: impl Display, what: impl Display, help: impl Display) -> Result<()> {
    requested().map_or(Ok(()), |signal| Err(Error::stopped(signal, place, what, help)))
}

#[cfg(unix)]
mod unix {
    use crate::error::Signal;
    use crate::system::ignored_signals;
    use signal_hook::flag;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, OnceLock};

    static ASKED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

    /// Whether nobody has asked yet.
    static EARLY: OnceLock<Arc<AtomicBool>> = OnceLock::new();

    pub(super) fn listen() {
        let (mut first, asked) = (false, Arc::new(AtomicUsize::new(0)));
        let asked = ASKED.get_or_init(|| {
            first = true;
            asked
        });
        if !first {
            return;
        }
        let early = EARLY.get_or_init(|| Arc::new(AtomicBool::new(true)));
        let (again, ignored) = (Arc::new(AtomicBool::new(false)), ignored_signals());
        for signal in
            Signal::ALL.into_iter().filter(|signal| ignored >> (signal.number() - 1) & 1 == 0)
        {
            // Handlers run in the order of their registration, so that only the second signal finds
            // the flag set.
            let number = signal.number();
            let code = i32::from(signal.exit_code());
            let set = flag::register_conditional_default(number, Arc::clone(early))
                .and_then(|_| flag::register_conditional_shutdown(number, code, Arc::clone(&again)))
                .and_then(|_| flag::register(number, Arc::clone(&again)))
                .and_then(|_| flag::register_usize(number, Arc::clone(asked), number as usize));
            if let Err(e) = set {
                tracing::debug!("signal {number}: {e}");
            }
        }
    }

    pub(super) fn requested() -> Option<Signal> {
        if let Some(early) = EARLY.get() {
            early.store(false, Ordering::Relaxed);
        }
        sent()
    }

    pub(super) fn listens() -> bool {
        ASKED.get().is_some()
    }

    pub(super) fn sent() -> Option<Signal> {
        super::numbered(ASKED.get()?.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_who_does_not_listen() {
        assert_eq!(requested(), None);
        check("a run", "step 1", "go on").unwrap();
    }
}
