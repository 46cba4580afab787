//! The tokenizer in a GGUF file as a `tokenizer.json` of Hugging Face's, with the same ids.
//!
//! A byte-level vocabulary has its merges in the file. One of sentencepiece has scores: whatever
//! two tokens make a third is a merge, and those that make a token of higher score come first.

use super::gguf::{Cut, MARK, Tokens, kind};
use crate::error::Result;
use crate::files::gguf::Header;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The `tokenizer.json` of the tokenizer in a GGUF file.
///
/// # Errors
/// As [`Tokenizer::from_gguf`](super::Tokenizer::from_gguf).
pub fn tokenizer_json(header: &Header) -> Result<Value> {
    // What is wrong with it is told where it is read.
    super::gguf::read(header)?;
    let tokens = Tokens::read(header)?;
    let byte_level = header.text("tokenizer.ggml.model")? == Some("gpt2");
    let cut = Cut::of(header)?.filter(|_| byte_level);
    let (before, after) = tokens.around(cut.is_none_or(|cut| cut.llama3))?;
    let (normalizer, pre_tokenizer, decoder) = match cut {
        Some(cut) => byte_level_steps(cut),
        None => sentencepiece_steps(header.flag("tokenizer.ggml.add_space_prefix")?),
    };
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added(&tokens),
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": around(&tokens, &before, &after),
        "decoder": decoder,
        "model": model(&tokens, cut)?,
    }))
}

/// The tokens that are found as they are written.
fn added(tokens: &Tokens<'_>) -> Vec<Value> {
    let one = |(id, text): (usize, &String)| {
        let kind = tokens.kind(id);
        let found = [kind::UNKNOWN, kind::CONTROL, kind::USER_DEFINED].contains(&kind);
        (found && !text.is_empty()).then(|| {
            json!({
                "id": id,
                "content": text,
                "single_word": false,
                "lstrip": false,
                "rstrip": false,
                "normalized": false,
                "special": kind != kind::USER_DEFINED,
            })
        })
    };
    tokens.texts.iter().enumerate().filter_map(one).collect()
}

fn byte_level_steps(cut: &Cut) -> (Value, Value, Value) {
    let split = |pattern: &&str| {
        json!({
            "type": "Split",
            "pattern": { "Regex": pattern },
            "behavior": "Isolated",
            "invert": false,
        })
    };
    let letters = json!({
        "type": "ByteLevel",
        "add_prefix_space": false,
        "trim_offsets": true,
        "use_regex": false,
    });
    let mut steps: Vec<Value> = cut.patterns.iter().map(split).collect();
    steps.push(letters.clone());
    let normalizer = if cut.nfc { json!({ "type": "NFC" }) } else { Value::Null };
    (normalizer, json!({ "type": "Sequence", "pretokenizers": steps }), letters)
}

fn sentencepiece_steps(space: Option<bool>) -> (Value, Value, Value) {
    let replace = |from: &str, to: &str| {
        let pattern = json!({ "String": from });
        json!({ "type": "Replace", "pattern": pattern, "content": to })
    };
    let mut steps = vec![];
    let mut back = vec![replace(MARK, " "), json!({ "type": "ByteFallback" })];
    back.push(json!({ "type": "Fuse" }));
    if space.unwrap_or(true) {
        steps.push(json!({ "type": "Prepend", "prepend": MARK }));
        back.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    steps.push(replace(" ", MARK));
    let normalizer = json!({ "type": "Sequence", "normalizers": steps });
    (normalizer, Value::Null, json!({ "type": "Sequence", "decoders": back }))
}

/// What stands around a text, and around two.
fn around(tokens: &Tokens<'_>, before: &[u32], after: &[u32]) -> Value {
    let special = |id: &u32| {
        let text = &tokens.texts[*id as usize];
        json!({ "SpecialToken": { "id": text, "type_id": 0 } })
    };
    let text = |name: &str| json!({ "Sequence": { "id": name, "type_id": 0 } });
    let whole = |name: &str| {
        before.iter().map(special).chain([text(name)]).chain(after.iter().map(special))
    };
    let known: Map<String, Value> = before
        .iter()
        .chain(after)
        .map(|&id| {
            let text = &tokens.texts[id as usize];
            (text.clone(), json!({ "id": text, "ids": [id], "tokens": [text] }))
        })
        .collect();
    json!({
        "type": "TemplateProcessing",
        "single": whole("A").collect::<Vec<_>>(),
        "pair": whole("A").chain(whole("B")).collect::<Vec<_>>(),
        "special_tokens": known,
    })
}

fn model(tokens: &Tokens<'_>, cut: Option<&Cut>) -> Result<Value> {
    let vocab = tokens.vocab();
    let (merges, unknown) = match cut {
        Some(_) => (listed(tokens)?, None),
        None => {
            let unknown = tokens.special("tokenizer.ggml.unknown_token_id")?;
            (scored(tokens, &vocab)?, unknown.map(|id| &tokens.texts[id as usize]))
        }
    };
    let vocab: Map<String, Value> = vocab.into_iter().map(|(text, id)| (text, id.into())).collect();
    Ok(json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": unknown,
        "continuing_subword_prefix": null,
        "end_of_word_suffix": null,
        "fuse_unk": false,
        "byte_fallback": cut.is_none(),
        "ignore_merges": cut.is_some_and(|cut| cut.llama3),
        "vocab": vocab,
        "merges": merges,
    }))
}

/// The merges that a file lists.
fn listed<'a>(tokens: &Tokens<'a>) -> Result<Vec<(&'a str, &'a str)>> {
    let lines = tokens.header.texts("tokenizer.ggml.merges")?.unwrap_or_default();
    // Reading the tokenizer has found the space.
    let pair = |line: &'a String| {
        let (at, _) = line.char_indices().skip(1).find(|(_, c)| *c == ' ')?;
        Some((&line[..at], &line[at + 1..]))
    };
    Ok(lines.iter().filter_map(pair).collect())
}

/// The merges that scores stand for, the best first.
fn scored<'a>(
    tokens: &Tokens<'a>,
    vocab: &HashMap<String, u32>,
) -> Result<Vec<(&'a str, &'a str)>> {
    let scores = tokens.list("tokenizer.ggml.scores")?.unwrap_or_default();
    let mut made: Vec<usize> = (0..tokens.texts.len())
        .filter(|&id| ![kind::UNKNOWN, kind::CONTROL, kind::BYTE].contains(&tokens.kind(id)))
        .collect();
    made.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let parts = |id: usize| {
        let text: &'a str = &tokens.texts[id];
        let cuts = text.char_indices().skip(1).map(move |(at, _)| text.split_at(at));
        cuts.filter(|(a, b)| vocab.contains_key(*a) && vocab.contains_key(*b))
    };
    Ok(made.into_iter().flat_map(parts).collect())
}
