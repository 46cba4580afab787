//! Printing for people: `println!` and its kin of the command line.
//!
//! Results are files; what is printed about them must not lose them. So a reader that is gone
//! (`| head`) silences the rest, a device that is full is told once at the end, and neither ends the
//! work. Names come from files of others: their control characters never reach a terminal.

use edgegrad::error::{Error, Result};
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::Mutex;

macro_rules! print {
    ($($text:tt)*) => { $crate::cli::print::out(format_args!($($text)*), "") };
}

macro_rules! println {
    () => { $crate::cli::print::out(format_args!(""), "\n") };
    ($($text:tt)*) => { $crate::cli::print::out(format_args!($($text)*), "\n") };
}

macro_rules! eprintln {
    ($($text:tt)*) => { $crate::cli::print::error(format_args!($($text)*)) };
}

/// The first error of standard output, after which nothing more is written to it.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

pub(crate) fn out(text: Arguments<'_>, end: &str) {
    let mut failed = FAILED.lock().expect("nobody panics with the lock");
    if failed.is_none() {
        *failed = write!(io::stdout(), "{}{end}", printable(&text.to_string())).err();
    }
}

pub(crate) fn error(text: Arguments<'_>) {
    // There is nowhere left to tell of an error here.
    let _ = writeln!(io::stderr(), "{}", printable(&text.to_string()));
}

/// Flushes standard output.
///
/// # Errors
/// If something could not be printed, and not because its reader is gone.
pub(crate) fn finish() -> Result<()> {
    let failed = FAILED.lock().expect("nobody panics with the lock").take();
    match failed.map_or_else(|| io::stdout().flush(), Err) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            let help = "the files that were asked for are written; only the text is missing";
            Err(Error::failed("standard output", format!("cannot write it: {e}"), help))
        }
        _ => Ok(()),
    }
}

/// Text of files as a terminal can bear it.
pub(crate) fn printable(text: &str) -> String {
    let safe = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { '?' } else { c };
    text.chars().map(safe).collect()
}
