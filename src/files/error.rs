//! What can go wrong with a file, where in it, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where in a file the trouble is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    File,
    /// A line, counted from 1.
    Line(usize),
    /// A key of a configuration, such as `task.p`.
    Key(String),
    /// A tensor of a weights file.
    Tensor(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File => Ok(()),
            Place::Line(line) => write!(f, ", line {line}"),
            Place::Key(key) => write!(f, ", key `{key}`"),
            Place::Tensor(name) => write!(f, ", tensor `{name}`"),
        }
    }
}

/// A file that could not be read or written as expected.
#[derive(Debug, thiserror::Error)]
#[error("{}{place}: {problem}", file.display())]
pub struct ReportError {
    /// The file or folder.
    pub file: PathBuf,
    /// Where in it.
    pub place: Place,
    /// What was found, and what was expected.
    pub problem: String,
    /// What to do about it.
    pub help: String,
}

impl ReportError {
    pub(crate) fn new(
        file: &Path,
        place: Place,
        problem: impl fmt::Display,
        help: impl Into<String>,
    ) -> Self {
        ReportError {
            file: file.to_path_buf(),
            place,
            problem: problem.to_string(),
            help: help.into(),
        }
    }

    pub(crate) fn io(file: &Path, error: &std::io::Error, help: impl Into<String>) -> Self {
        let problem = match error.kind() {
            std::io::ErrorKind::NotFound => "missing".into(),
            _ => error.to_string(),
        };
        ReportError::new(file, Place::File, problem, help)
    }

    /// The error as a sentence for a page: the file named relative to `root`, so that a page that is
    /// passed on does not tell where it was made.
    pub fn note(&self, root: &Path) -> String {
        let file = self.file.strip_prefix(root).unwrap_or(&self.file);
        format!("{}{}: {}", file.display(), self.place, self.problem)
    }
}

impl From<ReportError> for crate::error::Error {
    fn from(e: ReportError) -> Self {
        crate::error::Error::input(
            format_args!("{}{}", e.file.display(), e.place),
            e.problem,
            e.help,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_file_and_place() {
        let error = ReportError::new(Path::new("a/b/m.jsonl"), Place::Line(7), "torn", "rerun");
        assert_eq!(error.to_string(), "a/b/m.jsonl, line 7: torn");
        assert_eq!(error.note(Path::new("a")), "b/m.jsonl, line 7: torn");
        assert_eq!(error.help, "rerun");
    }
}
