//! The model that a command is asked about.

use edgegrad::error::Result;
#[cfg(feature = "hub")]
use edgegrad::experiments::Progress;
#[cfg(feature = "hub")]
use edgegrad::files::hub::Hub;
#[cfg(feature = "hub")]
use edgegrad::files::model_cache::Cache;
use edgegrad::files::model_cache::locate;
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
    /// Where it has come to be since.
    #[cfg(feature = "hub")]
    fetched: std::sync::OnceLock<PathBuf>,
}

impl From<OsString> for ModelPath {
    fn from(given: OsString) -> ModelPath {
        let given = PathBuf::from(given);
        ModelPath {
            path: locate(&given),
            #[cfg(feature = "hub")]
            fetched: Default::default(),
            given,
        }
    }
}

impl Deref for ModelPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        #[cfg(feature = "hub")]
        if let Some(path) = self.fetched.get() {
            return path;
        }
        &self.path
    }
}

impl ModelPath {
    /// Fetches a model that is neither a path nor in the cache, if this program can.
    pub(super) fn fetch(&self) -> Result<()> {
        #[cfg(feature = "hub")]
        if let Some(cache) = Cache::of_environment()
            && !self.path.exists()
            && Hub::may_have(&self.given)
            // What is there and damaged is told of where it is read.
            && cache.find(&self.given).is_ok_and(|found| found.is_none())
        {
            let mut shown: Option<(String, Progress)> = None;
            let mut tell = |file: &str, done: u64, of: u64| {
                if shown.as_ref().is_none_or(|(name, _)| name != file) {
                    let what = format!("{} ({:.1} MB)", file, of as f64 / 1e6);
                    if let Some((_, before)) = shown.replace((file.into(), Progress::of(&what))) {
                        before.finish();
                    }
                }
                let (_, bar) = shown.as_ref().expect("it was made");
                bar.reach(done as f64 / of.max(1) as f64);
            };
            let result = Hub::of_environment().fetch(&cache, &self.given, &mut tell);
            if let Some((_, bar)) = shown {
                bar.finish();
            }
            result?;
            if let Some(path) = cache.find(&self.given)? {
                // Another thread can have been here first, to the same end.
                let _ = self.fetched.set(path);
            }
        }
        Ok(())
    }
}

impl fmt::Display for ModelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.given.display().fmt(f)
    }
}
