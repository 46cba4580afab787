//! Which of a model's files are fetched.

use crate::error::{Error, Result};
use crate::files::{input, json};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// The files of a model, in the order in which they are fetched.
#[derive(Debug, PartialEq)]
pub(super) struct Chosen<'a> {
    pub(super) files: Vec<&'a str>,
    /// One of them, which names the shards.
    pub(super) index: Option<&'a str>,
}

const CONFIG: &str = "config.json";
const WHOLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The files to fetch of `all` that the model `name` has.
///
/// # Errors
/// If there are none that can be read, or several GGUF files.
pub(super) fn files<'a>(name: &Path, all: &[&'a str]) -> Result<Chosen<'a>> {
    let find = |wanted: &str| all.iter().copied().find(|file| *file == wanted);
    let beside = ["tokenizer.json", "tokenizer_config.json", "generation_config.json"];
    let mut files: Vec<&str> = beside.into_iter().filter_map(find).collect();
    let index = find(INDEX).filter(|_| find(WHOLE).is_none());
    if let (Some(config), Some(weights)) = (find(CONFIG), find(WHOLE).or(index)) {
        // A snapshot with a configuration is a model: it comes last.
        files.extend([weights, config]);
        return Ok(Chosen { files, index });
    }
    let plain = |file: &&&str| file.ends_with(".gguf") && is_plain(file);
    let gguf: Vec<&str> = all.iter().filter(plain).copied().collect();
    match gguf[..] {
        [file] if find(CONFIG).is_none() => Ok(Chosen { files: vec![file], index: None }),
        [] | [_] => {
            let pickle = all.iter().find(|file| file.ends_with(".bin") || file.ends_with(".pt"));
            let has = pickle.map_or(String::new(), |file| format!(", but {file:.60}"));
            let message = format!("has no {WHOLE} beside a {CONFIG}, nor a GGUF file{has}");
            let help = "choose a model that is saved as safetensors or GGUF, or convert this one";
            Err(Error::input(name.display(), message, help))
        }
        [one, ..] => {
            let message = format!("has {} GGUF files", gguf.len());
            let help = format!("fetch one (`hf download {} {one}`), and give it", name.display());
            Err(Error::input(name.display(), message, help))
        }
    }
}

/// The shards that an index names, which `all` must have.
///
/// # Errors
/// If it is no index, or names another file.
pub(super) fn shards(index: &Path, all: &[&str]) -> Result<Vec<String>> {
    let help = "download the model again; an index has `weight_map` from tensors to files";
    let fail = |message: String| Error::input(index.display(), message, help);
    let text = input::regular(index, input::CONFIG)?;
    let value: Value =
        serde_json::from_slice(&json::strict(&text)).map_err(|e| fail(e.to_string()))?;
    let map = value.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| fail("has no weight_map".into()))?;
    let names: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    if let Some(other) = names.iter().find(|name| !all.contains(name) || !is_plain(name)) {
        return Err(fail(format!("names {other:.60?}, which the model has not")));
    }
    Ok(names.into_iter().map(String::from).collect())
}

/// Whether a name leads nowhere else than into a folder.
fn is_plain(name: &str) -> bool {
    !name.starts_with('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_fetched() {
        let of = |all: &'static [&'static str]| files(Path::new("org/m"), all);
        let chosen = of(&["README.md", "config.json", "model.safetensors", "tokenizer.json"]);
        let files = vec!["tokenizer.json", "model.safetensors", "config.json"];
        assert_eq!(chosen.unwrap(), Chosen { files, index: None });
        let chosen = of(&["config.json", INDEX, "model-1.safetensors"]).unwrap();
        assert_eq!(chosen, Chosen { files: vec![INDEX, "config.json"], index: Some(INDEX) });
        assert_eq!(of(&["m.gguf", "README.md"]).unwrap().files, ["m.gguf"]);
        let said = |all| {
            let e = of(all).unwrap_err();
            format!("{e} / {}", e.help())
        };
        let help = said(&["a.gguf", "b.gguf"]);
        assert!(help.contains("org/m: has 2 GGUF files / fetch one (`hf download org/m a.gguf`)"));
        assert!(said(&["config.json", "pytorch_model.bin"]).contains("but pytorch_model.bin"));
        assert!(said(&["../m.gguf"]).contains("has no model.safetensors"));
    }
}
