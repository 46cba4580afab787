//! Models fetched into the cache of Hugging Face's libraries, as these lay it out.
//!
//! ```text
//! GET  ENDPOINT/api/models/NAME/revision/main   the commit, and the names of its files
//! HEAD ENDPOINT/NAME/resolve/COMMIT/FILE        its etag: the SHA-256 of large files; its length
//! GET  the same, from the byte on that is there blobs/ETAG.incomplete, then blobs/ETAG
//! ```
//!
//! A snapshot gets what `edgegrad` reads alone: configuration and tokenizer, and the safetensors
//! file, its shards or the GGUF file. It comes to be when all of them are there, so that what was
//! not fetched whole is no model yet. Nothing but the environment is asked for a token, and it goes
//! to the endpoint's own host alone.

mod choose;
mod transfer;

use crate::error::{Error, Result};
use crate::files::atomic;
use crate::files::lock::Lock;
use crate::files::model_cache::{Cache, folder_of};
use serde::Deserialize;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use transfer::Transfer;

/// Told of the file that is fetched, and of its bytes that are there and all of them.
pub type Told<'a> = dyn FnMut(&str, u64, u64) + 'a;

/// Where models are fetched from.
#[derive(Clone, Debug)]
pub struct Hub {
    endpoint: String,
    token: Option<String>,
    offline: bool,
}

/// What the hub says of a model.
#[derive(Debug, Deserialize)]
struct Model {
    /// The commit.
    sha: String,
    /// The files.
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Hub {
    /// The hub that `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` describe.
    pub fn of_environment() -> Hub {
        Hub::of(|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Hub {
        let endpoint = variable("HF_ENDPOINT").unwrap_or("https://huggingface.co".into());
        let yes = |value: String| {
            ["1", "ON", "YES", "TRUE"].contains(&value.to_ascii_uppercase().as_str())
        };
        Hub {
            endpoint: endpoint.trim_end_matches('/').into(),
            token: variable("HF_TOKEN").map(|token| token.trim().into()),
            offline: variable("HF_HUB_OFFLINE").is_some_and(yes),
        }
    }

    /// Whether a model may have this name: that of a file can be none.
    pub fn may_have(name: &Path) -> bool {
        let file = |end: &OsStr| ["gguf", "safetensors", "json", "bin"].iter().any(|e| end == *e);
        folder_of(name).is_some() && !name.extension().is_some_and(file)
    }

    /// Fetches the model `name` into `cache`; what is there already is kept.
    ///
    /// # Errors
    /// If it may not go online or cannot, there is no such model or no right to it, it has no file
    /// that can be read, what comes is not what was announced, or it cannot be written.
    pub fn fetch(&self, cache: &Cache, name: &Path, told: &mut Told<'_>) -> Result<()> {
        let Some(folder) = folder_of(name).map(|folder| cache.folder().join(folder)) else {
            return Err(Error::input(name.display(), "is no name of a model", "use org/name"));
        };
        if self.offline {
            let message = "is not in the cache, and HF_HUB_OFFLINE is set";
            return Err(Error::input(name.display(), message, "unset it, or give a folder"));
        }
        let _lock = Lock::take(folder.join(".fetching"), name)?;
        let transfer = Transfer::new(&self.endpoint, self.token.as_deref(), name);
        let url = format!("{}/api/models/{}/revision/main", self.endpoint, name.display());
        let model: Model = transfer.json(&url)?;
        if model.sha.is_empty() || !model.sha.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(transfer.failed("the hub names no commit"));
        }
        let snapshot = folder.join("snapshots").join(&model.sha);
        let all: Vec<&str> = model.siblings.iter().map(|file| file.rfilename.as_str()).collect();
        let mut fetched: Vec<(String, PathBuf)> = vec![];
        let mut get = |file: &str| {
            let url = format!("{}/{}/resolve/{}/{file}", self.endpoint, name.display(), model.sha);
            let blob = transfer.file(&url, &folder, &mut |n, of| told(file, n, of))?;
            fetched.push((file.into(), blob.clone()));
            Ok(blob)
        };
        let chosen = choose::files(name, &all)?;
        for file in chosen.files {
            let blob = get(file)?;
            if chosen.index == Some(file) {
                for shard in choose::shards(&blob, &all)? {
                    get(&shard)?;
                }
            }
        }
        for (file, blob) in &fetched {
            transfer::place(blob, &snapshot.join(file))?;
        }
        fs::create_dir_all(folder.join("refs")).map_err(|e| Error::io(&folder, &e, "make"))?;
        atomic::write_bytes(folder.join("refs/main"), model.sha.as_bytes())
    }
}

#[cfg(test)]
mod tests;
