//! Pairs of a clean and a corrupted sequence, and what a model is asked about them.
//!
//! A `.jsonl` file with one object on each line, of one of two kinds (the same for the whole file;
//! here the first is cut in two):
//!
//! ```text
//! {"clean": [ids], "corrupted": [ids], "answer": id or [ids], "distractor": id or [ids],
//!  "position": n}
//! {"clean": [ids], "corrupted": [ids], "clean_output": [..], "corrupted_output": [..]}
//! ```
//!
//! The first asks at one position which of two answers is more likely; `position` counts from 0, or
//! back from the end if it is negative, and is the last one unless given. Metrics that compare with
//! the clean run ask for no answer: both may be left out. Where there is an
//! [`Encode`]r, sequences and answers may be text. The second kind asks for an output at each
//! position: a label, a number for models that give one number, or `null` where nothing is asked.
//! Pairs of either kind may name [`spans`] of their tokens. Blank lines and other keys are passed
//! over.

use super::spans;
use super::spans::REST;
use crate::error::{Error, Result};
use crate::files::json::short;
use crate::files::{input, sha256};
use crate::named::suggest;
use serde_json::{Map, Value, json};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Longer lines are refused: no sequence is, but a file of something else may be one endless line.
const LONGEST_LINE: u64 = 1 << 26;

/// The most tokens of a sequence that an error shows.
const SHOWN: usize = 16;

const SYNTAX: &str =
    r#"write {"clean": [ids], "corrupted": [ids], "answer": id, "distractor": id} on each line"#;

/// A clean and a corrupted sequence of the same length, and what is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// `[T]`, the tokens the model is to answer for.
    pub clean: Vec<u32>,
    /// `[T]`, the tokens that take its knowledge away.
    pub corrupted: Vec<u32>,
    /// What is asked.
    pub asked: Asked,
    /// `[T]`, the number of the [span](Pairs::spans) that each position is in; empty if the pair
    /// names none.
    pub spans: Vec<u32>,
    /// Its line in the file, from 1.
    pub line: usize,
}

/// What a model is asked about a pair.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// How much more likely some tokens are than others, at one position.
    Tokens {
        /// Tokens that are right; none if the file names none.
        answer: Vec<u32>,
        /// Tokens that are wrong, none of the answer; none if the file names none.
        distractor: Vec<u32>,
        /// Where, from 0.
        position: usize,
    },
    /// An output at each position: a label, or a number if the model gives one.
    Outputs {
        /// `[T]`, what is right for the clean sequence; `None` where nothing is asked.
        clean: Vec<Option<f64>>,
        /// `[T]`, what is right for the corrupted one.
        corrupted: Vec<Option<f64>>,
    },
}

impl Pair {
    /// The positions at which something is asked, in order.
    pub fn positions(&self) -> Vec<usize> {
        match &self.asked {
            Asked::Tokens { position, .. } => vec![*position],
            Asked::Outputs { clean, .. } => {
                (0..clean.len()).filter(|&t| clean[t].is_some()).collect()
            }
        }
    }

    /// The positions at which clean and corrupted outputs are both given and differ, with both;
    /// none for a pair that asks for tokens.
    pub fn differing(&self) -> impl Iterator<Item = (usize, f64, f64)> + '_ {
        let (clean, corrupted): (&[_], &[_]) = match &self.asked {
            Asked::Tokens { .. } => (&[], &[]),
            Asked::Outputs { clean, corrupted } => (clean, corrupted),
        };
        clean.iter().zip(corrupted).enumerate().filter_map(|(t, (a, b))| match (a, b) {
            (Some(a), Some(b)) if a != b => Some((t, *a, *b)),
            _ => None,
        })
    }
}

/// What a model can be given and asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Tokens it reads.
    pub vocab: usize,
    /// Numbers that come out at each position; one of them is a number, more are labels.
    pub vocab_out: usize,
    /// The longest sequence.
    pub context: usize,
}

/// Makes tokens of text.
pub trait Encode {
    /// The tokens of `text`: of a whole sequence with what the model expects around one, or of a
    /// piece alone.
    ///
    /// # Errors
    /// When it has none; the line and the key are named before it.
    fn encode(&self, text: &str, whole: bool) -> Result<Vec<u32>>;

    /// What a token is called, for errors.
    fn piece(&self, id: u32) -> String;

    /// Whether the first token stands for an answer of several.
    fn first_of_several(&self) -> bool {
        false
    }
}

/// The pairs of a file; at least one, all of the same kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Pairs {
    place: String,
    list: Vec<Pair>,
    /// The names of the spans.
    spans: Vec<String>,
}

impl Pairs {
    /// Reads a file of pairs, or its first `limit` ones; text is encoded by `encode`.
    ///
    /// # Errors
    /// When the file cannot be read, holds no pair, or one that `bounds` does not allow.
    pub fn read(
        path: impl AsRef<Path>,
        bounds: &Bounds,
        encode: Option<&dyn Encode>,
        limit: Option<usize>,
    ) -> Result<Pairs> {
        let path = path.as_ref();
        let file = BufReader::new(input::open(path)?);
        Pairs::parse(path.display().to_string(), file, bounds, encode, limit)
    }

    /// The pairs in `text`; `place` names their source in errors. Otherwise as
    /// [`read`](Self::read).
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(
        place: impl Into<String>,
        mut text: impl BufRead,
        bounds: &Bounds,
        encode: Option<&dyn Encode>,
        limit: Option<usize>,
    ) -> Result<Pairs> {
        let place = place.into();
        let limit = limit.unwrap_or(usize::MAX);
        let (mut list, mut spans, mut bytes) = (Vec::<Pair>::new(), vec![], vec![]);
        for number in 1.. {
            if list.len() >= limit {
                break;
            }
            bytes.clear();
            let mut line = text.by_ref().take(LONGEST_LINE);
            let length = line.read_until(b'\n', &mut bytes);
            let length = length.map_err(|e| Error::io(&place, &e, "read"))?;
            if length == 0 {
                break;
            }
            let line = Line { place: format!("{place}: line {number}"), bounds, encode };
            if length as u64 == LONGEST_LINE {
                let message = format!("is longer than {LONGEST_LINE} bytes");
                return Err(Error::input(line.place, message, SYNTAX));
            }
            if number == 1 && bytes.starts_with(input::MARK) {
                bytes.drain(..input::MARK.len());
            }
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            let pair = line.read(&bytes, number, list.is_empty(), &mut spans)?;
            if let Some(first) = list.first()
                && std::mem::discriminant(&first.asked) != std::mem::discriminant(&pair.asked)
            {
                let name = |asked: &Asked| match asked {
                    Asked::Tokens { .. } => "an answer and a distractor",
                    Asked::Outputs { .. } => "outputs",
                };
                let (this, that) = (name(&pair.asked), name(&first.asked));
                let message = format!("asks for {this}, but line {} for {that}", first.line);
                let help = "put the pairs of each kind into a file of their own";
                return Err(Error::input(line.place, message, help));
            }
            list.push(pair);
        }
        if list.is_empty() {
            return Err(Error::input(place, "holds no pair", SYNTAX));
        }
        Ok(Pairs { place, list, spans })
    }

    /// The names of the spans, in the order of the first pair's tokens, with [`REST`] for the
    /// tokens in none if there are any; none if the pairs name none.
    ///
    /// [`REST`]: super::spans::REST
    pub fn spans(&self) -> Vec<&str> {
        let named = self.spans.len() as u32;
        let rest = self.list.iter().any(|pair| pair.spans.contains(&named));
        let rest = (rest && named > 0).then_some(REST);
        self.spans.iter().map(String::as_str).chain(rest).collect()
    }

    /// What errors call these pairs: the path they were read from.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What errors call one of them: the path and the line.
    pub fn place_of(&self, pair: &Pair) -> String {
        format!("{}: line {}", self.place, pair.line)
    }

    /// The names of the [`spans`](Self::spans), which every pair has to name.
    ///
    /// # Errors
    /// If a pair names none.
    pub fn all_spans(&self) -> Result<Vec<&str>> {
        let Some(pair) = self.list.iter().find(|pair| pair.spans.is_empty()) else {
            return Ok(self.spans());
        };
        let help = r#"name parts of every pair, as in "spans": {"subject": [3, 4]}"#;
        Err(Error::input(self.place_of(pair), "has no `spans`", help))
    }

    /// Others of the same file.
    fn with(&self, list: Vec<Pair>) -> Pairs {
        Pairs { place: self.place.clone(), list, spans: self.spans.clone() }
    }

    /// One of them alone, if it is there.
    pub fn only(&self, index: usize) -> Option<Pairs> {
        let pair = self.list.get(index)?;
        Some(self.with(vec![pair.clone()]))
    }

    /// Some of them alone, in the order of the file, by their numbers; each once.
    ///
    /// # Panics
    /// If one is not there, or there are none.
    pub fn subset(&self, mut indices: Vec<usize>) -> Pairs {
        indices.sort_unstable();
        indices.dedup();
        assert!(!indices.is_empty(), "a subset without pairs");
        let list = indices.iter().map(|&i| self.list[i].clone()).collect();
        self.with(list)
    }

    /// The number of one of them.
    ///
    /// # Panics
    /// If it is none of them.
    pub fn index(&self, pair: &Pair) -> usize {
        let found = self.list.binary_search_by_key(&pair.line, |p| p.line);
        found.expect("one of the pairs")
    }

    /// Whether they ask for outputs at each position instead of tokens at one.
    pub(crate) fn ask_outputs(&self) -> bool {
        matches!(self.list[0].asked, Asked::Outputs { .. })
    }

    /// A hash of what is given and asked, whatever file it is from.
    pub fn hash(&self) -> String {
        let mut text = String::new();
        for Pair { clean, corrupted, asked, spans, .. } in &self.list {
            let asked = match asked {
                Asked::Tokens { answer, distractor, position } => {
                    json!([answer, distractor, position])
                }
                Asked::Outputs { clean, corrupted } => json!([clean, corrupted]),
            };
            text += &match spans.is_empty() {
                true => format!("{}\n", json!([clean, corrupted, asked])),
                false => format!("{}\n", json!([clean, corrupted, asked, spans])),
            };
        }
        text += &self.spans.join("\n");
        sha256(text.as_bytes())
    }

    /// The longest sequence.
    pub fn longest(&self) -> usize {
        self.list.iter().map(|p| p.clean.len()).max().unwrap_or(0)
    }
}

/// The pairs in the order of the file.
impl std::ops::Deref for Pairs {
    type Target = [Pair];
    fn deref(&self) -> &[Pair] {
        &self.list
    }
}

/// One line, while it is read.
struct Line<'a> {
    place: String,
    bounds: &'a Bounds,
    encode: Option<&'a dyn Encode>,
}

type Object = Map<String, Value>;

impl Line<'_> {
    fn fail<T>(&self, message: impl std::fmt::Display, help: impl std::fmt::Display) -> Result<T> {
        Err(Error::input(&self.place, message, help))
    }

    /// The pair; `names` are those of the spans, which the `first` pair gives.
    fn read(
        &self,
        bytes: &[u8],
        line: usize,
        first: bool,
        names: &mut Vec<String>,
    ) -> Result<Pair> {
        let object = match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return self.fail("is not a JSON object", SYNTAX),
            Err(e) => {
                // Of the one line that it was given.
                let message = e.to_string().replace(" at line 1 column", " at column");
                let message = message.replace(" at line 2 column 0", " at its end");
                return self.fail(format!("is not JSON: {message}"), SYNTAX);
            }
        };
        let clean = self.sequence(&object, "clean")?;
        let corrupted = self.sequence(&object, "corrupted")?;
        if clean.len() != corrupted.len() {
            return self.unequal(&object, &clean, &corrupted);
        }
        if clean.len() > self.bounds.context {
            let (n, most) = (clean.len(), self.bounds.context);
            let message = format!("has {n} tokens, the model reads at most {most}");
            return self
                .fail(message, "shorten the sequences, or use a model with a longer context");
        }
        let has = |key: &str| object.contains_key(key);
        let outputs = ["clean_output", "corrupted_output"].into_iter().find(|k| has(k));
        let tokens = ["answer", "distractor"].into_iter().find(|k| has(k));
        let asked = match (outputs, tokens) {
            (Some(output), Some(token)) => {
                let message = format!("has both `{token}` and `{output}`");
                return self
                    .fail(message, "ask for tokens at one position, or for outputs at each");
            }
            (Some(_), None) => self.outputs(&object, clean.len())?,
            (None, _) => self.tokens(&object, clean.len())?,
        };
        let spans = self.spans(&object, &clean, first, names)?;
        Ok(Pair { clean, corrupted, asked, spans, line })
    }

    /// `[T]`, the number of the span of each position; nothing if the pair or the first one has
    /// none.
    fn spans(
        &self,
        object: &Object,
        clean: &[u32],
        first: bool,
        names: &mut Vec<String>,
    ) -> Result<Vec<u32>> {
        let value = object.get("spans").filter(|value| !value.is_null());
        let Some(value) = value.filter(|_| first || !names.is_empty()) else { return Ok(vec![]) };
        let pieces = |encode: &dyn Encode| clean.iter().map(|&id| encode.piece(id)).collect();
        let pieces: Option<Vec<String>> = self.encode.map(pieces);
        let spans = self.named("spans", spans::read(value, clean.len(), pieces.as_deref()))?;
        if first {
            names.extend(spans.iter().map(|span| span.name.clone()));
        }
        self.named("spans", spans::layout(&spans, names, clean.len()))
    }

    /// What was read of `key`.
    fn named<R>(&self, key: &str, read: std::result::Result<R, (String, String)>) -> Result<R> {
        read.or_else(|(message, help)| self.fail(format!("`{key}`: {message}"), help))
    }

    /// Sequences of several lengths: side by side from where they part, if one of them was text.
    fn unequal<R>(&self, object: &Object, clean: &[u32], corrupted: &[u32]) -> Result<R> {
        let (a, b) = (clean.len(), corrupted.len());
        let message = format!("`clean` has {a} tokens, `corrupted` has {b}");
        let text = ["clean", "corrupted"].iter().any(|key| object[*key].is_string());
        let Some(encode) = self.encode.filter(|_| text) else {
            return self
                .fail(message, "give both the same length: positions are compared one by one");
        };
        let same = clean.iter().zip(corrupted).take_while(|(a, b)| a == b).count();
        let start = if a.max(b) <= SHOWN { 0 } else { same.saturating_sub(1) };
        let side = |ids: &[u32]| {
            let end = ids.len().min(start + SHOWN);
            let pieces =
                ids[start.min(end)..end].iter().map(|&id| format!("{:?}", encode.piece(id)));
            let (before, after) = (start > 0, end < ids.len());
            let list = pieces.collect::<Vec<_>>().join(" ");
            format!("{}{list}{}", if before { ".. " } else { "" }, if after { " .." } else { "" })
        };
        let message = format!("{message}: {} | {}", side(clean), side(corrupted));
        self.fail(message, "choose words of as many tokens: positions are compared one by one")
    }

    fn tokens(&self, object: &Object, length: usize) -> Result<Asked> {
        let [answer, distractor] =
            [self.choice(object, "answer")?, self.choice(object, "distractor")?];
        if let Some(both) = answer.iter().find(|id| distractor.contains(id)) {
            let message = format!("token {both} is in `answer` and in `distractor`");
            return self.fail(message, "the difference between them would be nothing; change one");
        }
        let position = match object.get("position") {
            None | Some(Value::Null) => length - 1,
            Some(value) => self.named("position", spans::position(value, length))?,
        };
        Ok(Asked::Tokens { answer, distractor, position })
    }

    fn outputs(&self, object: &Object, length: usize) -> Result<Asked> {
        let clean = self.labels(object, "clean_output", length)?;
        let corrupted = self.labels(object, "corrupted_output", length)?;
        for (key, list) in [("clean_output", &clean), ("corrupted_output", &corrupted)] {
            if list.iter().all(Option::is_none) {
                let message = format!("`{key}` asks nothing: every entry is null");
                return self.fail(message, "give an output at one position at least");
            }
        }
        Ok(Asked::Outputs { clean, corrupted })
    }

    /// What `key` holds, or that it is missing.
    fn get<'o>(&self, object: &'o Object, key: &str) -> Result<&'o Value> {
        match object.get(key) {
            Some(value) => Ok(value),
            None => self.fail(
                format!("`{key}` is missing"),
                self.misspelt(object, key).unwrap_or(SYNTAX.into()),
            ),
        }
    }

    /// What to do about a key that is called something like `key`, if there is one.
    fn misspelt(&self, object: &Object, key: &str) -> Option<String> {
        const KNOWN: [&str; 8] = [
            "clean",
            "corrupted",
            "answer",
            "distractor",
            "position",
            "clean_output",
            "corrupted_output",
            "spans",
        ];
        let others = object.keys().map(String::as_str);
        let others = others.filter(|k| !KNOWN.contains(k) && k.len() < 40);
        suggest(key, others).map(|near| format!("it has `{near}`; did you mean `{key}`?"))
    }

    /// A sequence: ids, or text.
    fn sequence(&self, object: &Object, key: &str) -> Result<Vec<u32>> {
        let value = self.get(object, key)?;
        let ids = match value {
            Value::String(text) => self.encode(key, text, true)?,
            Value::Array(list) => {
                let each = list.iter().map(|v| self.id(key, v, self.bounds.vocab));
                each.collect::<Result<Vec<u32>>>()?
            }
            other => {
                let message = format!("`{key}`: expected a list of ids, got {}", short(other));
                return self.fail(message, "write the tokens as in [5, 0, 3]");
            }
        };
        if ids.is_empty() {
            return self.fail(format!("`{key}` has no tokens"), "give at least one token");
        }
        Ok(ids)
    }

    /// One token or several; none if the key is not there, nor one like it.
    fn choice(&self, object: &Object, key: &str) -> Result<Vec<u32>> {
        let one = |value: &Value| match value {
            Value::String(text) => match self.encode(key, text, false)?[..] {
                [id] => Ok(id),
                [id, ..] if self.encode.is_some_and(Encode::first_of_several) => Ok(id),
                ref ids => self.several(key, value, ids),
            },
            _ => self.id(key, value, self.bounds.vocab_out),
        };
        if !object.contains_key(key) && self.misspelt(object, key).is_none() {
            return Ok(vec![]);
        }
        match self.get(object, key)? {
            Value::Array(list) if list.is_empty() => {
                self.fail(format!("`{key}` has no tokens"), "give at least one token")
            }
            Value::Array(list) => list.iter().map(one).collect(),
            value => Ok(vec![one(value)?]),
        }
    }

    /// An answer that is no token.
    fn several<R>(&self, key: &str, value: &Value, ids: &[u32]) -> Result<R> {
        let mut message = format!("`{key}`: {} is {} tokens, not one", short(value), ids.len());
        if let Some(encode) = self.encode.filter(|_| !ids.is_empty()) {
            let pieces = ids.iter().take(SHOWN).map(|&id| format!(" {:?}", encode.piece(id)));
            message = format!("{message}:{}", pieces.collect::<String>());
        }
        let help = "a leading space is a part of many words' token; --first-token takes the first";
        self.fail(message, help)
    }

    fn encode(&self, key: &str, text: &str, whole: bool) -> Result<Vec<u32>> {
        let Some(encode) = self.encode else {
            let message = format!("`{key}` is text, but there is no tokenizer to read it with");
            let help =
                "write token ids, as in [5, 0, 3]; text needs a tokenizer in the model's folder";
            return self.fail(message, help);
        };
        let place = format!("{}: `{key}`", self.place);
        let ids = encode.encode(text, whole).map_err(|e| e.within(&place))?;
        let bound = if whole { self.bounds.vocab } else { self.bounds.vocab_out };
        if let Some(id) = ids.iter().find(|&&id| id as usize >= bound) {
            let message = format!("the tokenizer gives {id}, the model has {bound} tokens");
            return Err(Error::input(place, message, "use the tokenizer of this model"));
        }
        Ok(ids)
    }

    fn id(&self, key: &str, value: &Value, bound: usize) -> Result<u32> {
        let Some(id) = value.as_u64() else {
            let message = format!("`{key}`: expected a token id, got {}", short(value));
            return self.fail(message, "ids are whole numbers from 0");
        };
        match u32::try_from(id) {
            Ok(id) if (id as usize) < bound => Ok(id),
            _ => {
                let message = format!("`{key}`: id {id} is outside of the vocabulary");
                self.fail(message, format!("use ids from 0 to {}", bound.saturating_sub(1)))
            }
        }
    }

    fn labels(&self, object: &Object, key: &str, length: usize) -> Result<Vec<Option<f64>>> {
        let value = self.get(object, key)?;
        let Value::Array(list) = value else {
            let message = format!("`{key}`: expected a list, got {}", short(value));
            return self.fail(message, "give a label, a number or null for each position");
        };
        if list.len() != length {
            let message = format!("`{key}` has {} entries for {length} tokens", list.len());
            return self.fail(message, "give a label, a number or null for each position");
        }
        let bound = self.bounds.vocab_out;
        let label = |value: &Value| match value.as_f64() {
            None if value.is_null() => Ok(None),
            Some(x) if bound == 1 && x.is_finite() => Ok(Some(x)),
            Some(x) if bound > 1 && x.fract() == 0.0 && x >= 0.0 && x < bound as f64 => Ok(Some(x)),
            _ if bound == 1 => {
                let message = format!("`{key}`: expected a number or null, got {}", short(value));
                self.fail(message, "this model gives one number at each position")
            }
            _ => {
                let message = format!("`{key}`: {} is no label of the model", short(value));
                let most = bound.saturating_sub(1);
                self.fail(message, format!("labels are whole numbers from 0 to {most}, or null"))
            }
        };
        list.iter().map(label).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: Bounds = Bounds { vocab: 10, vocab_out: 10, context: 4 };
    const LABELS: Bounds = Bounds { vocab: 10, vocab_out: 3, context: 4 };
    const NUMBERS: Bounds = Bounds { vocab: 10, vocab_out: 1, context: 4 };

    fn parse(text: &str, bounds: &Bounds) -> Result<Pairs> {
        Pairs::parse("p.jsonl", text.as_bytes(), bounds, None, None)
    }

    #[track_caller]
    fn refused(text: &str, bounds: &Bounds, parts: &[&str], help: &str) {
        let e = parse(text, bounds).expect_err("bad input");
        let said = e.to_string();
        assert!(said.starts_with("p.jsonl") && e.exit_code() == 2, "{said}");
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in: {said}");
        }
        assert!(e.help().contains(help), "{help:?} is not in: {}", e.help());
    }

    #[test]
    fn both_kinds_are_read() {
        let text = concat!(
            "\n",
            r#"{"clean": [1, 2, 3], "corrupted": [1, 9, 3], "answer": 5, "distractor": [6, 7], "x": {}}"#,
            "\r\n  \n",
            r#"{"position": -2, "clean": [1, 2], "corrupted": [1, 9], "answer": [5], "distractor": 6}"#,
        );
        let pairs = parse(text, &TOKENS).expect("good");
        assert_eq!((pairs.len(), pairs.longest(), pairs.ask_outputs()), (2, 3, false));
        assert_eq!(
            pairs[0].asked,
            Asked::Tokens { answer: vec![5], distractor: vec![6, 7], position: 2 }
        );
        assert_eq!(
            pairs[1].asked,
            Asked::Tokens { answer: vec![5], distractor: vec![6], position: 0 }
        );
        assert_eq!((pairs[0].line, pairs.place_of(&pairs[1])), (2, "p.jsonl: line 4".into()));
        let first = Pairs::parse("p", text.as_bytes(), &TOKENS, None, Some(1)).expect("good");
        assert_eq!(first[..], pairs[..1]);

        let text = r#"{"clean": [1, 2, 3], "corrupted": [1, 9, 3],
            "clean_output": [null, 0, 2], "corrupted_output": [1, 0, 1]}"#
            .replace('\n', " ");
        let pairs = parse(&text, &LABELS).expect("good");
        assert!(pairs.ask_outputs());
        assert_eq!(pairs[0].positions(), [1, 2]);
        assert_eq!(pairs[0].differing().collect::<Vec<_>>(), [(2, 2.0, 1.0)]);
        let pairs = parse(&text.replace("[null, 0, 2]", "[null, 0.25, -2e3]"), &NUMBERS);
        assert_eq!(
            pairs.expect("good")[0].differing().collect::<Vec<_>>(),
            [(1, 0.25, 0.0), (2, -2000.0, 1.0)]
        );
    }

    #[test]
    fn equal_pairs_have_one_hash() {
        let line = r#"{"clean": [1, 2], "corrupted": [1, 9], "answer": 5, "distractor": 6}"#;
        let hash = |text: &str| parse(text, &TOKENS).expect("good").hash();
        let spaced = format!("\n{}\n", line.replace("answer\": 5", "answer\":  [5]"));
        assert_eq!(hash(line), hash(&spaced));
        for other in ["[1, 8]", "[1, 9], \"position\": 0"] {
            assert_ne!(hash(line), hash(&line.replace("[1, 9]", other)), "{other}");
        }
        assert_ne!(hash(line), hash(&format!("{line}\n{line}")));
    }

    #[test]
    fn an_answer_may_be_left_out() {
        let line = r#"{"clean": [1, 2], "corrupted": [1, 9], "position": 0}"#;
        let none = Asked::Tokens { answer: vec![], distractor: vec![], position: 0 };
        assert_eq!(parse(line, &TOKENS).expect("good")[0].asked, none);
    }

    #[test]
    fn bad_lines_are_named() {
        let good = r#"{"clean": [1, 2], "corrupted": [1, 9], "answer": 5, "distractor": 6}"#;
        let outputs = r#"{"clean": [1, 2], "corrupted": [1, 9], "clean_output": [null, 1], "corrupted_output": [null, 2]}"#;
        let check = |from: &str, to: &str, parts: &[&str], help: &str| {
            let (line, bounds) = match good.contains(from) {
                true => (good.replacen(from, to, 1), TOKENS),
                false => (outputs.replacen(from, to, 1), LABELS),
            };
            assert!(line != good && line != outputs, "{from} is nowhere");
            let first = if bounds == TOKENS { good } else { outputs };
            let text = format!("{first}\n{line}\n");
            refused(&text, &bounds, &[&["p.jsonl: line 2: "], parts].concat(), help);
        };
        check("[1, 9]", "[1, 9, 3]", &["`clean` has 2 tokens, `corrupted` has 3"], "same length");
        check("[1, 9]", "[1, 10]", &["`corrupted`: id 10 is outside"], "from 0 to 9");
        check("[1, 9]", "[1, 4294967297]", &["id 4294967297"], "from 0 to 9");
        check("[1, 9]", "[1, -1]", &["`corrupted`", "got -1"], "whole numbers");
        check("[1, 9]", "[1, 1.5]", &["got 1.5"], "whole numbers");
        check("[1, 9]", "\"one\"", &["`corrupted` is text", "no tokenizer"], "write token ids");
        check("[1, 9]", "{}", &["expected a list of ids, got an object"], "[5, 0, 3]");
        check("[1, 2], \"corrupted\": [1, 9]", "[], \"corrupted\": []", &["`clean` has no"], "one");
        let long = "[1, 2, 3, 4, 5]";
        let both = format!("{long}, \"corrupted\": {long}");
        check("[1, 2], \"corrupted\": [1, 9]", &both, &["5 tokens", "at most 4"], "shorten");
        check(": 5", ": 6", &["token 6 is in `answer` and in `distractor`"], "change one");
        check(": 5", ": [4, 6]", &["token 6"], "change one");
        check(": 5", ": []", &["`answer` has no tokens"], "at least one");
        check(": 5", ": 12", &["`answer`: id 12 is outside"], "from 0 to 9");
        check(": 5", ": null", &["`answer`: expected a token id, got null"], "whole");
        check(
            "distractor",
            "distracter",
            &["`distractor` is missing"],
            "it has `distracter`; did you",
        );
        for (at, said) in [("2", "2"), ("-3", "-3"), ("0.5", "0.5"), ("\"end\"", "\"end\"")] {
            let to = format!(": 5, \"position\": {at}");
            check(": 5", &to, &["`position`", said, "none of 2"], "0 to 1");
        }
        check(": 5", ": 5, \"clean_output\": []", &["both `answer` and `clean_output`"], "each");
        check(
            "{\"clean\": [1, 2]",
            "{\"clean\": [1, 2",
            &["is not JSON", "at column"],
            "on each line",
        );
        check("}", "", &["is not JSON"], "on each line");
        check(good, "[1, 2]", &["is not a JSON object"], "on each line");
        check("[null, 1]", "[1]", &["`clean_output` has 1 entries for 2"], "each position");
        check("[null, 1]", "[null, 3]", &["`clean_output`: 3 is no label"], "from 0 to 2");
        check("[null, 1]", "[null, 0.5]", &["0.5 is no label"], "from 0 to 2");
        check("[null, 1]", "[null, true]", &["true is no label"], "from 0 to 2");
        check("[null, 1]", "[null, null]", &["`clean_output` asks nothing"], "one position");
        check("[null, 1]", "7", &["expected a list, got 7"], "each position");
        check("corrupted_output", "corupted_output", &["`corrupted_output` is missing"], "did you");

        let mixed = format!("{good}\n\n{}\n", outputs.replace("[1, 2]", "[0, 0]"));
        refused(&mixed, &TOKENS, &["line 3: asks for outputs, but line 1 for an answer"], "own");
        let line = outputs.replace("[null, 1]", "[null, \"x\"]");
        refused(&line, &NUMBERS, &["line 1: `clean_output`: expected a number"], "one number");
        for empty in ["", "\n \n"] {
            refused(empty, &TOKENS, &["p.jsonl: holds no pair"], "on each line");
        }
        refused(&"[".repeat(100_000), &TOKENS, &["line 1: is not JSON: recursion"], "on each line");
        let e = Pairs::parse("p", &b"\xff\xfe"[..], &TOKENS, None, None).expect_err("no UTF-8");
        assert!(e.to_string().contains("line 1"), "{e}");
    }

    #[test]
    fn an_endless_line_is_not_held_in_memory() {
        let endless = BufReader::new(std::io::repeat(b'['));
        let e = Pairs::parse("p", endless, &TOKENS, None, None).expect_err("no end");
        assert!(e.to_string().contains("line 1: is longer than 67108864 bytes"), "{e}");
    }

    /// A token for each letter, and one in front of sequences; whether the first of several counts.
    struct Letters(bool);

    impl Encode for Letters {
        fn encode(&self, text: &str, whole: bool) -> Result<Vec<u32>> {
            if text.contains('!') {
                return Err(Error::input("elsewhere", "no token for !", "leave it out"));
            }
            let letters = text.bytes().map(|b| u32::from(b - b'a' + 1));
            Ok(std::iter::once(0).filter(|_| whole).chain(letters).collect())
        }

        fn piece(&self, id: u32) -> String {
            let letter = u8::try_from(id).ok().filter(|&id| id > 0).map(|id| b'a' + id - 1);
            letter.map_or("^".into(), |letter| char::from(letter).into())
        }

        fn first_of_several(&self) -> bool {
            self.0
        }
    }

    #[test]
    fn text_is_encoded() {
        let read = |text: &str| {
            Pairs::parse("p.jsonl", text.as_bytes(), &TOKENS, Some(&Letters(false)), None)
        };
        let good =
            r#"{"clean": "ab", "corrupted": [0, 3, 2], "answer": "d", "distractor": ["e", 6]}"#;
        let pair = &read(good).expect("good")[0];
        assert_eq!(pair.clean, [0, 1, 2]);
        let asked = Asked::Tokens { answer: vec![4], distractor: vec![5, 6], position: 2 };
        assert_eq!(pair.asked, asked);
        let said = |from: &str, to: &str| {
            let e = read(&good.replace(from, to)).expect_err("bad");
            format!("{e} / {}", e.help())
        };
        let line = "p.jsonl: line 1: `";
        let two = format!("{line}answer`: \"dd\" is 2 tokens, not one: \"d\" \"d\"");
        assert!(said("\"d\"", "\"dd\"").starts_with(&two));
        assert!(said("\"d\"", "\"\"").starts_with(&format!("{line}answer`: \"\" is 0 tokens")));
        assert!(
            said("ab", "a!")
                .starts_with(&format!("{line}clean`: elsewhere: no token for ! / leave"))
        );
        assert!(said("ab", "az").contains("tokenizer gives 26, the model has 10"));
        let apart = r#"`clean` has 4 tokens, `corrupted` has 3: "^" "a" "b" "c" | "^" "c" "b""#;
        assert!(said("ab", "abc").contains(apart));
        let (long, short) = ("b".repeat(20), "a".repeat(19));
        let line = format!(r#"{{"clean": "a{long}", "corrupted": "{short}"}}"#);
        let e = read(&line).expect_err("unequal").to_string();
        assert!(
            e.contains(r#"has 20: .. "a" "b" "b""#) && e.contains(r#" .. | .. "a" "a""#),
            "{e}"
        );
        let first = good.replace("\"d\"", "\"dab\"");
        let first = Pairs::parse("p", first.as_bytes(), &TOKENS, Some(&Letters(true)), None);
        assert_eq!(first.expect("good")[0].asked, asked);
    }
}
