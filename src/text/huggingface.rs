//! `tokenizer.json`: Hugging Face's tokenizers whose model is byte-pair encoding.
//!
//! Truncation and padding are passed over: a sequence is what its text says.

use super::Words;
use super::added::{Added, Token};
use super::bpe::{Bpe, Merges};
use super::normalize::Normalizer;
use super::split::{GPT2, Matches, Prefix, Splitter, regex};
use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Display;

const HELP: &str = "use another tokenizer, or give token ids";

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
}

#[derive(Deserialize)]
struct Model {
    /// Missing in old files, all of which are BPE where they have merges.
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    vocab: Value,
    #[serde(default)]
    merges: Vec<Merge>,
    #[serde(default)]
    unk_token: Option<String>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    fuse_unk: bool,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Line(String),
}

/// A part of the file, and what errors call it.
struct Part<'a> {
    place: String,
    value: &'a Value,
}

impl<'a> Part<'a> {
    fn fail<T>(&self, message: impl Display) -> Result<T> {
        Err(Error::input(&self.place, message, HELP))
    }

    /// What kind of part it is.
    fn kind(&self) -> Result<&'a str> {
        match self.text("type")? {
            Some(kind) => Ok(kind),
            None => self.fail("has no `type`"),
        }
    }

    fn unsupported<T>(&self, kind: &str) -> Result<T> {
        self.fail(format!("`{kind}` is not supported"))
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>> {
        match self.value.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => self.fail(format!("`{key}` must be text")),
        }
    }

    fn flag(&self, key: &str, usual: bool) -> Result<bool> {
        match self.value.get(key) {
            None | Some(Value::Null) => Ok(usual),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => self.fail(format!("`{key}` must be true or false")),
        }
    }

    /// The parts of a sequence of them, or this one alone; none if it is null.
    fn each(&self, key: &str) -> Result<Vec<Part<'a>>> {
        if self.value.is_null() {
            return Ok(vec![]);
        }
        if self.kind()? != "Sequence" {
            return Ok(vec![Part { place: self.place.clone(), value: self.value }]);
        }
        let Some(Value::Array(list)) = self.value.get(key) else {
            return self.fail(format!("`{key}` must be a list"));
        };
        let inner = |value| Part { place: self.place.clone(), value };
        let flat = list.iter().map(|value| inner(value).each(key)).collect::<Result<Vec<_>>>()?;
        Ok(flat.into_iter().flatten().collect())
    }

    /// The pattern of a part: as it is written, or text that is found as it is.
    fn pattern(&self) -> Result<String> {
        let pattern = self.value.get("pattern");
        let of = |key: &str| pattern.and_then(|p| p.get(key)).and_then(Value::as_str);
        match (of("Regex"), of("String")) {
            (Some(regex), _) => Ok(regex.into()),
            (None, Some(text)) => Ok(fancy_regex::escape(text).into_owned()),
            (None, None) => self.fail("`pattern` must have a Regex or a String"),
        }
    }
}

pub(super) fn read(place: &str, text: &[u8]) -> Result<Tokenizer> {
    let file: File = serde_json::from_slice(text)
        .map_err(|e| Error::input(place, e, "is it the whole tokenizer.json of the model?"))?;
    let part = |key: &str, value| Part { place: format!("{place}: {key}"), value };
    let normalizers = part("normalizer", &file.normalizer).each("normalizers")?;
    let normalizers = normalizers.iter().map(normalizer).collect::<Result<Vec<_>>>()?;
    let mut splitters = vec![];
    for step in part("pre_tokenizer", &file.pre_tokenizer).each("pretokenizers")? {
        pre_tokenizer(&step, &mut splitters)?;
    }
    let (mut before, mut after) = (vec![], vec![]);
    for step in part("post_processor", &file.post_processor).each("processors")? {
        let (first, last) = post_processor(&step)?;
        before.splice(0..0, first);
        after.extend(last);
    }
    let bpe = model(&format!("{place}: model"), file.model)?;
    // Ids have holes, but no file says how large a table it makes us keep.
    let mut words = Words::sized(2 * (bpe.vocab.len() + file.added_tokens.len()) + 1024);
    for (word, &id) in &bpe.vocab {
        words.put(u64::from(id), word);
    }
    let (mut added, mut added_normal) = (Added::default(), Added::default());
    for AddedToken { id, content, single_word, lstrip, rstrip, normalized } in file.added_tokens {
        words.put(u64::from(id), &content);
        let token = Token { id, left: lstrip, right: rstrip, word: single_word };
        if normalized {
            let steps = normalizers.iter();
            let content = steps.clone().try_fold(content, |text, step| step.apply(&text))?;
            added_normal.insert(content, token);
        } else {
            added.insert(content, token);
        }
    }
    let words = words.decoded();
    Ok(Tokenizer {
        added,
        added_normal,
        normalizers,
        splitters,
        bpe,
        around: (before, after),
        words,
    })
}

fn normalizer(part: &Part<'_>) -> Result<Normalizer> {
    Ok(match part.kind()? {
        "NFC" => Normalizer::Nfc,
        "NFD" => Normalizer::Nfd,
        "NFKC" => Normalizer::Nfkc,
        "NFKD" => Normalizer::Nfkd,
        "Lowercase" => Normalizer::Lowercase,
        "Strip" => Normalizer::Strip {
            left: part.flag("strip_left", true)?,
            right: part.flag("strip_right", true)?,
        },
        "Prepend" => Normalizer::Prepend(part.text("prepend")?.unwrap_or_default().into()),
        "Replace" => Normalizer::Replace {
            regex: regex(&part.place, &part.pattern()?)?,
            with: part.text("content")?.unwrap_or_default().into(),
        },
        kind => return part.unsupported(kind),
    })
}

fn pre_tokenizer(part: &Part<'_>, out: &mut Vec<Splitter>) -> Result<()> {
    let pattern = |pattern: &str, invert, matches| -> Result<Splitter> {
        Ok(Splitter::Pattern { regex: regex(&part.place, pattern)?, invert, matches })
    };
    match part.kind()? {
        "ByteLevel" => {
            if part.flag("add_prefix_space", true)? {
                out.push(Splitter::Space);
            }
            if part.flag("use_regex", true)? {
                out.push(Splitter::isolated(&part.place, GPT2)?);
            }
            out.push(Splitter::Letters);
        }
        "Split" => {
            let (invert, matches) = (part.flag("invert", false)?, behavior(part, None)?);
            out.push(pattern(&part.pattern()?, invert, matches)?);
        }
        "Digits" => {
            let alone = part.flag("individual_digits", false)?;
            let matches = if alone { Matches::Isolated } else { Matches::Contiguous };
            out.push(pattern(r"\p{N}", false, matches)?);
        }
        "Punctuation" => {
            let matches = behavior(part, Some(Matches::Isolated))?;
            out.push(pattern(r"[!-/:-@\[-`{-~\p{P}]", false, matches)?);
        }
        "Whitespace" => out.push(pattern(r"\w+|[^\w\s]+", true, Matches::Removed)?),
        "WhitespaceSplit" => out.push(pattern(r"\s", false, Matches::Removed)?),
        "Metaspace" => {
            let mark = part.text("replacement")?.unwrap_or("\u{2581}");
            let Some(mark) = mark.chars().next() else {
                return part.fail("`replacement` is empty");
            };
            let prefix = match part.text("prepend_scheme")? {
                Some("always") => Prefix::Always,
                Some("first") => Prefix::First,
                Some("never") => Prefix::Never,
                Some(other) => return part.unsupported(other),
                None if part.flag("add_prefix_space", true)? => Prefix::Always,
                None => Prefix::Never,
            };
            let split = part.flag("split", true)?;
            out.push(Splitter::Metaspace { mark, prefix, split });
        }
        kind => return part.unsupported(kind),
    }
    Ok(())
}

fn behavior(part: &Part<'_>, usual: Option<Matches>) -> Result<Matches> {
    Ok(match (part.text("behavior")?, usual) {
        (None, Some(usual)) => usual,
        (Some("Isolated"), _) => Matches::Isolated,
        (Some("Removed"), _) => Matches::Removed,
        (Some("MergedWithPrevious"), _) => Matches::WithPrevious,
        (Some("MergedWithNext"), _) => Matches::WithNext,
        (Some("Contiguous"), _) => Matches::Contiguous,
        (other, _) => return part.unsupported(other.unwrap_or("a split without `behavior`")),
    })
}

/// The ids that stand before a text and after it.
fn post_processor(part: &Part<'_>) -> Result<(Vec<u32>, Vec<u32>)> {
    let id = |value: Option<&Value>| -> Result<u32> {
        match value.and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok()) {
            Some(id) => Ok(id),
            None => part.fail("a token has no id"),
        }
    };
    match part.kind()? {
        "ByteLevel" => Ok((vec![], vec![])),
        "RobertaProcessing" | "BertProcessing" => {
            let of = |key: &str| id(part.value.get(key).and_then(|pair| pair.get(1)));
            Ok((vec![of("cls")?], vec![of("sep")?]))
        }
        "TemplateProcessing" => {
            let Some(Value::Array(template)) = part.value.get("single") else {
                return part.fail("`single` must be a list");
            };
            let (mut before, mut after, mut text) = (vec![], vec![], false);
            for piece in template {
                let special = piece.pointer("/SpecialToken/id").and_then(Value::as_str);
                let Some(name) = special else {
                    text = true;
                    continue;
                };
                let tokens = part.value.get("special_tokens").and_then(|all| all.get(name));
                let Some(Value::Array(ids)) = tokens.and_then(|token| token.get("ids")) else {
                    return part.fail(format!("`{name}` has no ids"));
                };
                let side = if text { &mut after } else { &mut before };
                for value in ids {
                    side.push(id(Some(value))?);
                }
            }
            Ok((before, after))
        }
        kind => part.unsupported(kind),
    }
}

fn model(place: &str, model: Model) -> Result<Bpe> {
    let fail = |message: String| Err(Error::input(place, message, HELP));
    match model.kind.as_deref() {
        Some("BPE") => {}
        None if !model.merges.is_empty() => {}
        kind => {
            let kind = kind.unwrap_or("a model without `type`");
            return fail(format!("`{kind}` is not supported, only BPE is"));
        }
    }
    for (key, value) in [
        ("continuing_subword_prefix", &model.continuing_subword_prefix),
        ("end_of_word_suffix", &model.end_of_word_suffix),
    ] {
        if value.as_deref().is_some_and(|text| !text.is_empty()) {
            return fail(format!("`{key}` is not supported"));
        }
    }
    let vocab: HashMap<String, u32> = serde_json::from_value(model.vocab)
        .map_err(|e| Error::input(place, format!("vocab: {e}"), HELP))?;
    let mut merges = HashMap::with_capacity(model.merges.len());
    for (rank, merge) in model.merges.into_iter().enumerate() {
        let pair = match &merge {
            Merge::Pair(a, b) => Some((&**a, &**b)),
            Merge::Line(line) => line.split_once(' '),
        };
        let Some((a, b)) = pair else {
            return fail(format!("merge {rank} is no pair of tokens"));
        };
        let whole = format!("{a}{b}");
        match (vocab.get(a), vocab.get(b), vocab.get(&whole)) {
            // Of a pair that is listed twice the last rank counts.
            (Some(&a), Some(&b), Some(&made)) => merges.insert((a, b), (rank as u32, made)),
            _ => return fail(format!("merge {rank}: {a:?} {b:?} or {whole:?} is no token")),
        };
    }
    let unknown = match &model.unk_token {
        None => None,
        Some(name) => match vocab.get(name) {
            Some(&id) => Some(id),
            None => return fail(format!("the unknown token {name:?} is no token")),
        },
    };
    let byte = |byte: u8| vocab.get(&format!("<0x{byte:02X}>")).copied();
    let bytes = match model.byte_fallback {
        true => super::bpe::byte_tokens(byte),
        false => None,
    };
    let (ignore_merges, fuse_unknown) = (model.ignore_merges, model.fuse_unk);
    Ok(Bpe { vocab, merges: Merges::Listed(merges), ignore_merges, bytes, unknown, fuse_unknown })
}
