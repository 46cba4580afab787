//! Printing for people: `println!` and its kin of the command line.
//!
//! Results are files; what is printed about them must not lose them. So a reader that is gone
//! (`| head`) silences the rest, a device that is full is told once at the end, and neither ends
//! the work. Names come from files of others: their control characters never reach a terminal.

use edgegrad::error::{Error, Result};
use serde_json::{Map, Value};
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

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

/// What standard output is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Text for people.
    #[default]
    Text,
    /// Nothing.
    Quiet,
    /// All tables and figures as one JSON object, at the end.
    Json,
    /// All tables as CSV.
    Csv,
}

/// Set once, by the command line's options.
static MODE: OnceLock<Mode> = OnceLock::new();

/// What JSON is printed of at the end.
static NOTES: Mutex<Option<Map<String, Value>>> = Mutex::new(None);

/// Says what standard output is for; only the first time counts.
pub(crate) fn set_mode(mode: Mode) {
    let _ = MODE.set(mode);
}

pub(crate) fn mode() -> Mode {
    match LEFT.load(Ordering::Relaxed) || HUSHED.load(Ordering::Relaxed) > 0 {
        true => Mode::Quiet,
        false => MODE.get().copied().unwrap_or_default(),
    }
}

/// Whether standard output is left to the result.
static LEFT: AtomicBool = AtomicBool::new(false);

/// Leaves standard output to a result that is written there.
///
/// # Errors
/// If the tables are to be printed there for programs.
pub(crate) fn leave_to_result() -> Result<()> {
    if matches!(mode(), Mode::Json | Mode::Csv) {
        let message = "standard output cannot take both the result and the tables";
        return Err(Error::input("--out -", message, "leave out --json or --csv, or name a file"));
    }
    LEFT.store(true, Ordering::Relaxed);
    Ok(())
}

/// Runs of commands whose tables nobody is to see.
static HUSHED: AtomicUsize = AtomicUsize::new(0);

/// Does `work` without a word on standard output; others may do so at the same time.
pub(crate) fn hushed<R>(work: impl FnOnce() -> R) -> R {
    HUSHED.fetch_add(1, Ordering::Relaxed);
    let done = work();
    HUSHED.fetch_sub(1, Ordering::Relaxed);
    done
}

/// Keeps a figure or a table for the JSON at the end.
pub(crate) fn note(key: &str, value: impl Into<Value>) {
    if mode() == Mode::Json {
        let mut notes = NOTES.lock().expect("nobody panics with the lock");
        notes.get_or_insert_with(Map::new).insert(key.into(), value.into());
    }
}

/// The first error of standard output, after which nothing more is written to it.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

pub(crate) fn out(text: Arguments<'_>, end: &str) {
    if mode() == Mode::Text {
        raw(&format!("{}{end}", unsigned(&printable(&text.to_string()))));
    }
}

/// Prints text of programs as it is.
pub(crate) fn raw(text: &str) {
    let mut failed = FAILED.lock().expect("nobody panics with the lock");
    if failed.is_none() {
        *failed = io::stdout().write_all(text.as_bytes()).err();
    }
}

pub(crate) fn error(text: Arguments<'_>) {
    // There is nowhere left to tell of an error here.
    let _ = writeln!(io::stderr(), "{}", printable(&text.to_string()));
}

/// Whether any figure or table was kept for the JSON at the end.
pub(crate) fn has_notes() -> bool {
    NOTES.lock().expect("nobody panics with the lock").is_some()
}

/// Prints all figures and tables as JSON, if that was asked for.
pub(crate) fn json() {
    if mode() == Mode::Json {
        let notes = NOTES.lock().expect("nobody panics with the lock").take();
        raw(&format!("{:#}\n", Value::Object(notes.unwrap_or_default())));
    }
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

/// The same text with `0.000` for a `-0.000` that rounding has left, and all columns where they
/// were.
fn unsigned(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    for (i, c) in text.char_indices() {
        let number = text[i..].strip_prefix("-0.").map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != 'e').unwrap_or(rest.len());
            &rest[..end]
        });
        let zero =
            number.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b == b'0'));
        // Not the exponent or the end of a name such as `a-0.0`.
        let alone = i == 0 || !bytes[i - 1].is_ascii_alphanumeric();
        match c {
            '-' if zero && alone && (i == 0 || bytes[i - 1] == b' ') => out.push(' '),
            '-' if zero && alone => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_signs_of_zero_are_not_printed() {
        assert_eq!(printable("a\u{1b}[31m\tb\n\u{9b}"), "a?[31m\tb\n?");
        assert_eq!(unsigned("x  -0.0000  [-0.00, 1.0]"), "x   0.0000  [0.00, 1.0]");
        for same in ["-0.0001", "1e-0.0", "-0.", "run-0.0", "0.0 - 0.0", "-0.0000e-5"] {
            assert_eq!(unsigned(same), same);
        }
    }
}
