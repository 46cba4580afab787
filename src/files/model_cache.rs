//! Models by name, in the cache of Hugging Face's libraries.
//!
//! ```text
//! $HF_HUB_CACHE, else $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/...
//!     models--org--name/refs/main          the commit of the last download
//!     models--org--name/snapshots/COMMIT/  its files
//! ```
//!
//! Nothing is downloaded here, but by the feature `hub`.

use crate::error::{Error, Result};
use crate::named::suggest;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Where a model is that is given as a path or by its name in the cache: a path that exists is
/// nearer than the cache; what is nowhere is given back, as reading it says so.
pub fn locate(given: &Path) -> PathBuf {
    let cached = || Cache::of_environment()?.find(given).ok()?;
    let found = if given.exists() { None } else { cached() };
    found.unwrap_or_else(|| given.into())
}

/// A cache of models.
#[derive(Clone, Debug)]
pub struct Cache(PathBuf);

impl Cache {
    /// The cache that the environment names; `None` without a home.
    pub fn of_environment() -> Option<Cache> {
        Cache::of(|name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
    }

    fn of(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<Cache> {
        let hub = variable("HF_HUB_CACHE").or_else(|| variable("HUGGINGFACE_HUB_CACHE"));
        let home = || {
            let all = variable("XDG_CACHE_HOME");
            let own = all.or_else(|| Some(variable("HOME")?.join(".cache")))?;
            Some(own.join("huggingface"))
        };
        hub.or_else(|| Some(variable("HF_HOME").or_else(home)?.join("hub"))).map(Cache)
    }

    /// The cache in a folder.
    #[cfg(all(test, feature = "hub"))]
    pub(super) fn at(folder: PathBuf) -> Cache {
        Cache(folder)
    }

    /// Where it is.
    #[cfg(feature = "hub")]
    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// The folder of the model `name`, such as `gpt2` or `org/name`, or the GGUF file that is all
    /// its snapshot has; `None` if the cache has none of this name, or it is no name.
    ///
    /// # Errors
    /// If its snapshot has no model, or several GGUF files.
    pub fn find(&self, name: &Path) -> Result<Option<PathBuf>> {
        let Some(folder) = folder_of(name).map(|folder| self.0.join(folder)) else {
            return Ok(None);
        };
        let Some(snapshot) = snapshot(&folder) else { return Ok(None) };
        if snapshot.join("config.json").exists() {
            return Ok(Some(snapshot));
        }
        let mut files: Vec<PathBuf> = entries(&snapshot)
            .filter(|path| path.extension() == Some(OsStr::new("gguf")))
            .collect();
        files.sort();
        match &files[..] {
            [file] => Ok(Some(file.clone())),
            [] => {
                let help = "download all files of the model again, or give a model folder";
                Err(Error::input(snapshot.display(), "has no config.json and no GGUF file", help))
            }
            [first, ..] => {
                let message = format!("has {} GGUF files", files.len());
                let help = format!("give the path of one, such as {}", first.display());
                Err(Error::input(snapshot.display(), message, help))
            }
        }
    }

    /// What to do about a model `name` that is no folder and not in this cache.
    fn help(&self, name: &Path) -> String {
        let known = entries(&self.0).filter_map(|path| name_of(path.file_name()?.to_str()?));
        let known: Vec<String> = known.collect();
        let name = name.to_string_lossy();
        match suggest(&name, known.iter().map(String::as_str)) {
            Some(near) => format!("{} has {near}; did you mean it?", self.0.display()),
            None => format!(
                "give a model folder or a GGUF file, or download it (`hf download {name}`) into {}, \
                 which edgegrad built with `--features hub` does by itself",
                self.0.display()
            ),
        }
    }
}

/// A model that is neither a file, nor a folder, nor in the cache.
pub(crate) fn missing(name: &Path) -> Error {
    let place = name.display();
    match Cache::of_environment().filter(|_| folder_of(name).is_some()) {
        Some(cache) => cache.find(name).err().unwrap_or_else(|| {
            let message = "there is no such folder, and no such model in the cache";
            Error::input(place, message, cache.help(name))
        }),
        None => {
            let help = "give a folder with the config.json and model.safetensors of a trained model, \
                        or a GGUF file";
            Error::input(place, "there is no such folder", help)
        }
    }
}

/// The cache's folder of the model `name`, if that can be one: one or two parts, none of which is
/// special.
pub(super) fn folder_of(name: &Path) -> Option<String> {
    let part = |part: Component<'_>| match part {
        Component::Normal(part) => part.to_str().map(String::from),
        _ => None,
    };
    let parts: Vec<String> = name.components().map(part).collect::<Option<_>>()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let good = (1..=2).contains(&parts.len()) && parts.iter().all(|part| part.chars().all(plain));
    good.then(|| format!("models--{}", parts.join("--")))
}

/// The name of the model in a folder of the cache.
fn name_of(folder: &str) -> Option<String> {
    Some(folder.strip_prefix("models--")?.replacen("--", "/", 1))
}

/// The snapshot of the last download, else the only one there is.
fn snapshot(folder: &Path) -> Option<PathBuf> {
    let all = folder.join("snapshots");
    if let Ok(commit) = fs::read_to_string(folder.join("refs/main")) {
        let commit = commit.trim();
        // What the file says must not lead elsewhere.
        let plain = !commit.is_empty() && commit.chars().all(|c| c.is_ascii_alphanumeric());
        let snapshot = all.join(commit);
        if plain && snapshot.is_dir() {
            return Some(snapshot);
        }
    }
    let mut snapshots = entries(&all);
    snapshots.next().filter(|only| only.is_dir() && snapshots.next().is_none())
}

/// What is in a folder; nothing if it cannot be read.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_the_cache() {
        let of = |given: &[(&str, &str)]| {
            let value = |name: &str| given.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into());
            Cache::of(value).map(|cache| cache.0.display().to_string())
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("HOME", "/h")]).unwrap(), "/h/.cache/huggingface/hub");
        let xdg = [("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(of(&xdg).unwrap(), "/x/huggingface/hub");
        assert_eq!(of(&[("HF_HOME", "/f"), xdg[0]]).unwrap(), "/f/hub");
        assert_eq!(of(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/f")]).unwrap(), "/c");
    }

    /// A cache with a snapshot of files.
    fn cached(t: &Path, folder: &str, commit: &str, files: &[&str]) -> PathBuf {
        let snapshot = t.join(folder).join("snapshots").join(commit);
        fs::create_dir_all(&snapshot).unwrap();
        files.iter().for_each(|file| fs::write(snapshot.join(file), "").unwrap());
        snapshot
    }

    #[test]
    fn a_name_is_found_by_its_last_download() {
        let t = tempfile::tempdir().unwrap();
        let cache = Cache(t.path().into());
        let find = |name: &str| cache.find(Path::new(name));
        let old = cached(t.path(), "models--gpt2", "a1", &["config.json"]);
        assert_eq!(find("gpt2").unwrap(), Some(old));
        let new = cached(t.path(), "models--gpt2", "b2", &["config.json"]);
        // Of two nobody knows which.
        assert_eq!(find("gpt2").unwrap(), None);
        fs::create_dir(t.path().join("models--gpt2/refs")).unwrap();
        fs::write(t.path().join("models--gpt2/refs/main"), "b2\n").unwrap();
        assert_eq!(find("gpt2").unwrap(), Some(new));
        fs::write(t.path().join("models--gpt2/refs/main"), "../../x").unwrap();
        assert_eq!(find("gpt2").unwrap(), None);
        let file = cached(t.path(), "models--org--m-GGUF", "c3", &["m.gguf"]).join("m.gguf");
        assert_eq!(find("org/m-GGUF").unwrap(), Some(file));
        cached(t.path(), "models--org--m-GGUF", "c3", &["n.gguf"]);
        let e = find("org/m-GGUF").unwrap_err();
        assert!(e.to_string().contains("has 2 GGUF files") && e.help().contains("m.gguf"), "{e}");
        cached(t.path(), "models--org--half", "d4", &["README.md"]);
        let e = find("org/half").unwrap_err();
        assert!(e.to_string().contains("has no config.json and no GGUF file"), "{e}");
        for no_name in ["", ".", "..", "/gpt2", "../gpt2", "a/b/c", "a b", "none"] {
            assert_eq!(find(no_name).unwrap(), None, "{no_name}");
        }
        assert!(cache.help(Path::new("org/hlaf")).contains("has org/half; did you mean it?"));
        assert!(cache.help(Path::new("other")).contains("hf download other"));
    }
}
