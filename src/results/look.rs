//! The file of `edgegrad look`: one pair as a language model reads it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result, at_key};
use crate::page::pack::{Pack, Packed};

/// Of the clean and the corrupted sequence.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Both<T> {
    /// Of the clean one.
    pub clean: T,
    /// Of the corrupted one.
    pub corrupted: T,
}

/// A token with its logits.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Candidate {
    token: String,
    clean: Option<f64>,
    corrupted: Option<f64>,
}

/// An edge at its positions.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ScoredEdge {
    name: String,
    score: Option<f64>,
}

/// `[L][H][T][T]`, how much each head looks from each position (query) at each other (key).
type Patterns = Vec<Vec<Vec<Vec<f32>>>>;

/// What a model does with one pair.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Look {
    /// What people call it: the file's name.
    #[serde(skip)]
    pub name: String,
    /// The model's.
    pub model: String,
    /// Which pair of its file.
    pub pair: usize,
    /// `[T]` each.
    pub tokens: Both<Vec<String>>,
    /// What is right.
    pub answer: Vec<String>,
    /// What is not.
    pub distractor: Vec<String>,
    /// Where the answer is asked for.
    pub position: usize,
    /// L.
    pub layers: usize,
    /// H.
    pub heads: usize,
    /// How heads look.
    pub attention: Both<Patterns>,
    /// `[T]`, the answer's logit minus the distractor's at each position.
    pub logit_diff: Both<Vec<Option<f64>>>,
    /// The largest logits where the answer is asked for.
    pub top: Vec<Candidate>,
    /// The largest scores.
    pub edges: Vec<ScoredEdge>,
    /// What the scores are of.
    pub metric: String,
    /// How they were found.
    pub method: String,
}

impl Look {
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
        for patterns in [&look.attention.clean, &look.attention.corrupted] {
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

/// A look as the page has it.
#[derive(Serialize)]
pub(crate) struct LookData<'a> {
    name: &'a str,
    model: &'a str,
    pair: usize,
    tokens: &'a Both<Vec<String>>,
    answer: &'a [String],
    distractor: &'a [String],
    position: usize,
    layers: usize,
    heads: usize,
    attention: Both<Packed>,
    logit_diff: &'a Both<Vec<Option<f64>>>,
    top: &'a [Candidate],
    edges: &'a [ScoredEdge],
    metric: &'a str,
    method: &'a str,
}

impl<'a> LookData<'a> {
    pub(crate) fn of(look: &'a Look, pack: &mut Pack) -> Self {
        let mut flat = |patterns: &Patterns| {
            let rows = patterns.iter().flatten().flatten();
            let numbers: Vec<f32> = rows.flatten().copied().collect();
            pack.rounded(&numbers, look.tokens.clean.len())
        };
        LookData {
            attention: Both {
                clean: flat(&look.attention.clean),
                corrupted: flat(&look.attention.corrupted),
            },
            name: &look.name,
            model: &look.model,
            pair: look.pair,
            tokens: &look.tokens,
            answer: &look.answer,
            distractor: &look.distractor,
            position: look.position,
            layers: look.layers,
            heads: look.heads,
            logit_diff: &look.logit_diff,
            top: &look.top,
            edges: &look.edges,
            metric: &look.metric,
            method: &look.method,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn look() -> Value {
        let patterns = json!([[[[1.0, 0.0], [0.25, 0.75]]]]);
        json!({ "version": 1, "kind": "look", "model": "m", "pair": 0,
            "tokens": { "clean": ["the", "cat"], "corrupted": ["the", "cats"] },
            "answer": ["is"], "distractor": ["are"], "position": 1, "layers": 1, "heads": 1,
            "attention": { "clean": patterns, "corrupted": patterns },
            "logit_diff": { "clean": [0.0, 2.0], "corrupted": [0.0, -2.0] },
            "top": [{ "token": "is", "clean": 3.0, "corrupted": 1.0 }],
            "edges": [{ "name": "input@0->a0.h0<k>@0", "score": 0.5 }],
            "metric": "logit-diff", "method": "eap" })
    }

    #[test]
    fn a_look_is_read_and_packed() {
        let read = Look::of(Path::new("pair-0.json"), &look()).unwrap();
        assert_eq!((read.name.as_str(), read.position), ("pair-0", 1));
        let mut pack = Pack::default();
        let data = serde_json::to_value(LookData::of(&read, &mut pack)).unwrap();
        assert_eq!(data["attention"]["clean"]["len"], 4);
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
