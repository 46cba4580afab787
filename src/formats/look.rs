//! The file of `edgegrad look`: one pair as a language model reads it.

use crate::files::mark::GENERATOR;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result, at_key};
use crate::files::atomic;

/// The version of the format.
const VERSION: u32 = 1;

/// Of the clean and the corrupted sequence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Both<X> {
    /// Of the clean one.
    pub clean: X,
    /// Of the corrupted one.
    pub corrupted: X,
}

/// `[L][H][T][T]`, the attention of each head from each query (third) on each key (last).
pub type Patterns = Vec<Vec<Vec<Vec<f32>>>>;

/// What a model does with one pair.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// What people call it: the file's name.
    #[serde(skip)]
    pub name: String,
    /// The name of the model's folder.
    pub model: String,
    /// Which pair of its file, from 0.
    pub pair: usize,
    /// `[T]`, the words of the sequences.
    pub tokens: Both<Vec<String>>,
    /// The words that are right.
    pub answer: Vec<String>,
    /// The words that are wrong.
    pub distractor: Vec<String>,
    /// Where the pair asks, from 0.
    pub position: usize,
    /// Layers (L).
    pub layers: usize,
    /// Heads of a layer (H).
    pub heads: usize,
    /// Heads of a layer that have keys and values.
    #[serde(default)]
    pub kv_heads: usize,
    /// Where the heads look; left out where they would be many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<Both<Patterns>>,
    /// `[T]`, the mean logit of the answers minus that of the distractors at each position.
    pub logit_diff: Both<Vec<f64>>,
    /// The largest logits where the pair asks, of either sequence, with those that it asks for.
    pub top: Vec<TokenLogits>,
    /// The largest scores by size: of [`metric`](Self::metric), by [`method`](Self::method).
    pub edges: Vec<ScoredEdge>,
    /// What edges were scored by.
    pub metric: String,
    /// How edges were scored.
    pub method: String,
}

/// A token and its logits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogits {
    /// The word.
    pub token: String,
    /// The logit on the clean sequence.
    pub clean: f64,
    /// The logit on the corrupted one.
    pub corrupted: f64,
}

/// An edge at a position and its score: positive where the metric falls without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoredEdge {
    /// Such as `a0.h2@5->m1@5`.
    pub name: String,
    /// The score.
    pub score: f64,
}

/// What is written.
#[derive(Serialize)]
struct Versioned<'a> {
    version: u32,
    kind: &'static str,
    generator: &'static str,
    #[serde(flatten)]
    look: &'a Look,
}

impl Look {
    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let whole = Versioned { version: VERSION, kind: "look", generator: GENERATOR, look: self };
        let text = serde_json::to_string(&whole).expect("words and values");
        atomic::write_bytes(file, format!("{text}\n").as_bytes())
    }

    /// What `value`, the content of `file`, says of a pair.
    ///
    /// # Errors
    /// When a key is missing, or sizes do not fit each other.
    pub fn of(file: &Path, value: &Value) -> Result<Look> {
        let help = "written by `edgegrad look`; run it again for a whole one";
        let mut look: Look = Deserialize::deserialize(value)
            .map_err(|error| Error::input(file.display(), error, help))?;
        let fail = |key: &str, problem: String| Err(Error::input(at_key(file, key), problem, help));
        let len = look.tokens.clean.len();
        if len == 0 || look.tokens.corrupted.len() != len {
            return fail(
                "tokens",
                format!("{len} clean and {} corrupted", look.tokens.corrupted.len()),
            );
        }
        if look.position >= len {
            return fail("position", format!("{} of {len} tokens", look.position));
        }
        if look.logit_diff.clean.len() != len || look.logit_diff.corrupted.len() != len {
            return fail("logit_diff", format!("not one number for each of {len} tokens"));
        }
        for patterns in look.attention.iter().flat_map(|both| [&both.clean, &both.corrupted]) {
            let square = |m: &Vec<Vec<f32>>| m.len() == len && m.iter().all(|row| row.len() == len);
            let whole = |heads: &Vec<_>| heads.len() == look.heads && heads.iter().all(square);
            if patterns.len() != look.layers || !patterns.iter().all(whole) {
                let sizes = format!("[{}][{}][{len}][{len}]", look.layers, look.heads);
                return fail("attention", format!("is not of the shape {sizes}"));
            }
        }
        look.name = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(look)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn look() -> Value {
        let patterns = json!([[[[1.0, 0.0], [0.25, 0.75]]]]);
        json!({ "version": 1, "kind": "look", "model": "m", "pair": 0,
            "tokens": { "clean": ["the", "cat"], "corrupted": ["the", "cats"] },
            "answer": ["is"], "distractor": ["are"], "position": 1, "layers": 1, "heads": 1, "kv_heads": 1,
            "attention": { "clean": patterns, "corrupted": patterns },
            "logit_diff": { "clean": [0.0, 2.0], "corrupted": [0.0, -2.0] },
            "top": [{ "token": "is", "clean": 3.0, "corrupted": 1.0 }],
            "edges": [{ "name": "input@0->a0.h0<k>@0", "score": 0.5 }],
            "metric": "logit-diff", "method": "eap" })
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pair-0.json");
        let read = Look::of(&file, &look()).unwrap();
        assert_eq!((read.name.as_str(), read.position, read.kv_heads), ("pair-0", 1, 1));
        assert_eq!(read.attention.as_ref().expect("was written").clean[0][0][1], [0.25, 0.75]);
        read.write(&file).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(r#"{"version":1,"kind":"look","generator":"edgegrad "#));
        let mut value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(Look::of(&file, &value).unwrap(), read);
        value.as_object_mut().expect("an object").remove("generator");
        assert_eq!(value, look());
    }

    #[test]
    fn sizes_that_do_not_fit_are_named() {
        let wrong = [
            ("tokens", json!({ "clean": ["a", "b"], "corrupted": ["a"] })),
            ("position", json!(2)),
            ("logit_diff", json!({ "clean": [0.0], "corrupted": [0.0, 1.0] })),
            ("attention", json!({ "clean": [[[[1.0]]]], "corrupted": [[[[1.0]]]] })),
        ];
        for (key, value) in wrong {
            let mut whole = look();
            whole[key] = value;
            let error = Look::of(Path::new("x.json"), &whole).unwrap_err().to_string();
            assert!(error.contains(&format!("key `{key}`")), "{error}");
        }
    }
}
