//! The errors of bad input and of failed runs.
//!
//! A message is one line that names the place (a file, a key, a tensor) and one `help` line that
//! tells what to do. Mistakes of the programmer (mismatched shapes) are panics instead.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::path::{Path, is_separator};
use std::process::ExitCode;

/// The result of everything that reads or checks input, or runs on it.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that a user can cause and mend.
///
/// ```
/// use edgegrad::error::Error;
/// let e = Error::input("c.toml: task.p", "must be at least 2,\ngot 1", "write `p = 2`");
/// assert_eq!(e.to_string(), "c.toml: task.p: must be at least 2, got 1");
/// assert_eq!((e.exit_code(), e.help()), (2, "write `p = 2`"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Bad input: a file, a key, an argument.
    #[error("{place}: {message}")]
    Input {
        /// The file, key or tensor at fault.
        place: String,
        /// What is wrong there, on one line.
        message: String,
        /// What to do about it, on one line.
        help: String,
    },
    /// A failed run on good input: the loss is NaN, the disk is full.
    #[error("{place}: {message}")]
    Failed {
        /// The file or step where it happened.
        place: String,
        /// What happened, on one line.
        message: String,
        /// What to do about it, on one line.
        help: String,
    },
    /// The run was asked to stop, and stopped where it can go on.
    #[error("{place}: stopped by {} {message}", signal.name())]
    Stopped {
        /// The signal that has asked.
        signal: Signal,
        /// The file or folder where it stopped.
        place: String,
        /// Where it stopped, on one line ("at step 5, after a checkpoint").
        message: String,
        /// How to go on, on one line.
        help: String,
    },
}

impl Error {
    /// Bad input (exit code 2) at `place`, with what to do about it.
    pub fn input(place: impl Display, message: impl Display, help: impl Display) -> Error {
        Error::Input { place: one_line(place), message: one_line(message), help: one_line(help) }
    }

    /// A failed run (exit code 1) at `place`, with what to do about it.
    pub fn failed(place: impl Display, message: impl Display, help: impl Display) -> Error {
        Error::Failed { place: one_line(place), message: one_line(message), help: one_line(help) }
    }

    /// A run that `signal` has stopped at `place`: what was done by then, and how to go on.
    pub fn stopped(
        signal: Signal,
        place: impl Display,
        message: impl Display,
        help: impl Display,
    ) -> Error {
        let (place, message, help) = (one_line(place), one_line(message), one_line(help));
        Error::Stopped { signal, place, message, help }
    }

    /// The operating system's `error` while trying to `what` ("read", "write") the file `path`.
    ///
    /// A path that is missing, forbidden or of the wrong sort is bad input; anything else, such as
    /// a full disk, is a failed run.
    pub fn io(path: impl AsRef<Path>, error: &io::Error, what: impl Display) -> Error {
        let place = path.as_ref().display();
        let message = format!("cannot {what} it: {error}");
        let input = |help: &str| Error::input(&place, &message, help);
        match error.kind() {
            ErrorKind::NotFound => input("check the path; relative paths start where you are"),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                input("check the permissions of the file and of its folder")
            }
            ErrorKind::IsADirectory => input("give a file, not a folder"),
            ErrorKind::NotADirectory => input("a part of this path is a file, not a folder"),
            ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => {
                input("choose another name, or remove what is there")
            }
            ErrorKind::InvalidInput | ErrorKind::InvalidFilename | ErrorKind::InvalidData => {
                input("check the name and the content of the file")
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Error::failed(&place, &message, "free some space or raise the limit, and run again")
            }
            _ => Error::failed(&place, &message, "check the disk, then run again"),
        }
    }

    /// The operating system's `error` while reading `file`; one that is not there is `missing`.
    pub(crate) fn unreadable(file: &Path, error: &io::Error, help: impl Display) -> Error {
        match error.kind() {
            ErrorKind::NotFound => Error::input(file.display(), "missing", help),
            _ => Error::input(file.display(), error, help),
        }
    }

    /// The same error, with `outer` (a file, a stage) named before its place.
    pub fn within(mut self, outer: impl Display) -> Error {
        let (Error::Input { place, .. }
        | Error::Failed { place, .. }
        | Error::Stopped { place, .. }) = &mut self;
        *place = one_line(format_args!("{outer}: {place}"));
        self
    }

    /// The same error, with the path `to` named where its place says `from`.
    pub fn renamed(mut self, from: &Path, to: &Path) -> Error {
        let (Error::Input { place, .. }
        | Error::Failed { place, .. }
        | Error::Stopped { place, .. }) = &mut self;
        *place = place.replace(&one_line(from.display()), &one_line(to.display()));
        self
    }

    /// The same error, with another thing to do about it.
    pub fn with_help(mut self, other: impl Display) -> Error {
        let (Error::Input { help, .. } | Error::Failed { help, .. } | Error::Stopped { help, .. }) =
            &mut self;
        *help = one_line(other);
        self
    }

    /// What to do about it, on one line without the word `help:`.
    pub fn help(&self) -> &str {
        match self {
            Error::Input { help, .. }
            | Error::Failed { help, .. }
            | Error::Stopped { help, .. } => help,
        }
    }

    /// The error as a sentence for a page: a file below `root` is named relative to it, so that a
    /// page that is passed on does not tell where it was made.
    pub fn note(&self, root: &Path) -> String {
        let (text, root) = (self.to_string(), one_line(root.display()));
        let below = |rest: &&str| {
            root.ends_with(is_separator)
                || rest.starts_with(is_separator)
                || rest.starts_with([':', ','])
        };
        match text.strip_prefix(&root).filter(below) {
            Some(rest) => rest.trim_start_matches(is_separator).into(),
            None => text,
        }
    }

    /// What `main` returns: success, or the error's code after two lines on standard error,
    /// `error:` and `help:`.
    pub fn exit(result: Result<()>) -> ExitCode {
        let Err(e) = result else { return ExitCode::SUCCESS };
        eprintln!("error: {e}\nhelp: {}", e.help());
        ExitCode::from(e.exit_code())
    }

    /// What is wrong, without the place and the help.
    pub fn message(&self) -> &str {
        match self {
            Error::Input { message, .. }
            | Error::Failed { message, .. }
            | Error::Stopped { message, .. } => message,
        }
    }

    /// What the process should end with: 2 for bad input, 1 for a failed run, 128 and the signal's
    /// number for one that was stopped.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Input { .. } => 2,
            Error::Failed { .. } => 1,
            Error::Stopped { signal, .. } => signal.exit_code(),
        }
    }
}

/// The place of line `line`, counted from 1, of a file.
pub(crate) fn at_line(file: &Path, line: usize) -> String {
    format!("{}, line {line}", file.display())
}

/// The place of a key of a file, such as `task.p`.
pub(crate) fn at_key(file: &Path, key: impl Display) -> String {
    format!("{}, key `{key}`", file.display())
}

/// A signal that asks a process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The terminal is gone.
    Hangup = 1,
    /// Ctrl-C.
    Interrupt = 2,
    /// The way of `kill` and of schedulers.
    Terminate = 15,
}

impl Signal {
    /// All of them.
    pub const ALL: [Signal; 3] = [Signal::Hangup, Signal::Interrupt, Signal::Terminate];

    /// The signal's number on every system that has it.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The signal's name, such as `SIGTERM`.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Hangup => "SIGHUP",
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
        }
    }

    /// What a process that it has ended exits with, as shells count it.
    pub fn exit_code(self) -> u8 {
        128 + self.number() as u8
    }
}

/// The longest part of a message, in characters: a screen or two, whatever a file holds.
const LONGEST: usize = 600;

/// Folds the line breaks of foreign messages, and other control characters that a hostile file
/// name could send to a terminal, into single spaces, and cuts what is longer than a screen.
pub fn one_line(text: impl Display) -> String {
    let text = text.to_string();
    let words = text.split(|c: char| c.is_control()).map(str::trim).filter(|w| !w.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        None => line,
        // Both ends: a message ends with what was expected.
        Some(_) => {
            let characters: Vec<char> = line.chars().collect();
            let (head, tail) =
                (&characters[..LONGEST / 2], &characters[characters.len() - LONGEST / 4..]);
            format!("{} ... {}", String::from_iter(head), String::from_iter(tail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_message_becomes_one_line() {
        let e = Error::input("a\u{1b}[31m.toml", "TOML error\n  |\n1 | x = \n  |", "see\r\n it");
        assert_eq!(e.to_string(), "a [31m.toml: TOML error | 1 | x = |");
        assert_eq!(e.help(), "see it");
    }

    #[test]
    fn a_note_does_not_tell_where_it_was_made() {
        let note = |place: String| Error::input(place, "torn", "rerun").note(Path::new("a"));
        assert_eq!(note(at_line(Path::new("a/b/m.jsonl"), 7)), "b/m.jsonl, line 7: torn");
        assert_eq!(note(at_key(Path::new("a/c.toml"), "task.p")), "c.toml, key `task.p`: torn");
        assert_eq!(note("a".into()), ": torn");
        assert_eq!(note("ab/m.jsonl".into()), "ab/m.jsonl: torn");
        let error = Error::input("a/m.jsonl", "torn", "rerun");
        assert_eq!(error.note(Path::new("a/")), "m.jsonl: torn");
    }

    #[test]
    fn a_megabyte_becomes_a_line() {
        let e = Error::input("config.json", format!("got {} here", "A".repeat(1 << 20)), "see");
        assert!(e.message().starts_with("got AAA") && e.message().ends_with("AAA here"));
        assert!(e.message().len() <= LONGEST, "{}", e.message().len());
    }

    #[test]
    fn stopped_runs_end_as_shells_expect() {
        let e = Error::stopped(Signal::Terminate, "run", "at step 5", "go on with --resume");
        assert_eq!(e.to_string(), "run: stopped by SIGTERM at step 5");
        assert_eq!((e.exit_code(), e.help()), (143, "go on with --resume"));
        assert_eq!(Signal::ALL.map(Signal::exit_code), [129, 130, 143]);
    }

    #[test]
    fn the_kind_decides_the_exit_code() {
        let io = |kind| Error::io("w.safetensors", &io::Error::from(kind), "write");
        for kind in [ErrorKind::NotFound, ErrorKind::PermissionDenied, ErrorKind::IsADirectory] {
            assert_eq!(io(kind).exit_code(), 2, "{kind}");
        }
        for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
            assert_eq!(io(kind).exit_code(), 1, "{kind}");
            assert!(io(kind).to_string().starts_with("w.safetensors: cannot write it: "));
        }
    }
}
