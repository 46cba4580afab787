//! The model that a command is asked about.

use edgegrad::files::model_cache::Cache;
use std::ffi::OsString;
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// A model folder, a GGUF file, or a name in the cache of Hugging Face's libraries.
#[derive(Clone, Debug)]
pub(super) struct ModelPath {
    /// As the user gave it.
    given: PathBuf,
    /// Where it is, or what was given if it is nowhere: reading that says so.
    path: PathBuf,
}

impl From<OsString> for ModelPath {
    fn from(given: OsString) -> ModelPath {
        let given = PathBuf::from(given);
        let cached = || Cache::of_environment()?.find(&given).ok()?;
        // A folder of that name is nearer than the cache.
        let found = if given.exists() { None } else { cached() };
        ModelPath { path: found.unwrap_or_else(|| given.clone()), given }
    }
}

impl Deref for ModelPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for ModelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.given.display().fmt(f)
    }
}
