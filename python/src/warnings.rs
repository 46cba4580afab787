//! Warnings of the library as warnings of Python.
//!
//! They are said on whatever thread does the work, which must not wait for the interpreter: they
//! are kept until the thread that called [shows](show) them.

use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;
use std::ffi::CString;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// What was said and is not shown yet.
static SAID: Mutex<Vec<String>> = Mutex::new(vec![]);

/// Keeps what the library warns of.
struct Keeper;

impl Subscriber for Keeper {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    // Nothing asks for spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Message);
    }
}

/// Takes the message of an event.
struct Message;

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            SAID.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{value:?}"));
        }
    }
}

/// Begins to keep warnings.
pub(crate) fn listen() {
    // Fails where something in the process listens already, which then has them.
    let _ = tracing::subscriber::set_global_default(Keeper);
}

/// Shows what was said.
///
/// # Errors
/// If Python is told to raise it.
pub(crate) fn show(py: Python<'_>) -> PyResult<()> {
    let said = std::mem::take(&mut *SAID.lock().unwrap_or_else(PoisonError::into_inner));
    for text in said {
        let text = CString::new(text.replace('\0', "?")).expect("has no zero");
        PyErr::warn(py, &py.get_type::<PyUserWarning>(), &text, 1)?;
    }
    Ok(())
}
