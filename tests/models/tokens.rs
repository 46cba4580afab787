//! The ids of texts, as `tokenizers`, `sentencepiece` and llama.cpp give them.

use crate::common::Place;
use edgegrad::files::gguf::Gguf;
use edgegrad::formats::pairs::{Bounds, Encode, Pairs};
use edgegrad::text::{Tokenizer, tokenizer_json};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokens")
}

/// The tokenizer of a folder of cases.
fn tokenizer(folder: &Path) -> Tokenizer {
    let file = folder.join("model.gguf");
    Tokenizer::read(if file.exists() { &file } else { folder }).expect("a tokenizer")
}

#[test]
fn ids_are_those_of_the_reference_libraries() {
    let mut texts = 0;
    for folder in
        std::fs::read_dir(fixtures()).expect("fixtures").map(|entry| entry.unwrap().path())
    {
        let tokenizer = tokenizer(&folder);
        let cases = std::fs::read_to_string(folder.join("cases.jsonl")).expect("cases");
        for case in cases.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")) {
            let text = case["text"].as_str().expect("a text");
            for (key, whole) in [("ids", true), ("bare", false)] {
                let ids = tokenizer.encode(text, whole).expect("ids");
                assert_eq!(json!(ids), case[key], "{}: {text:?}", folder.display());
            }
            texts += 1;
        }
    }
    assert!(texts >= 7 * 75, "only {texts}");
}

/// The `tokenizer.json` that is made of a file's tokenizer gives the ids of the file's.
#[test]
fn a_converted_tokenizer_gives_the_same_ids() {
    for name in ["gemma-like-gguf", "llama2-like-gguf", "llama3-like-gguf", "smollm-cut-gguf"] {
        let folder = fixtures().join(name);
        let file = Gguf::read(folder.join("model.gguf")).expect("a file");
        let json = tokenizer_json(file.header()).expect("a tokenizer").to_string();
        let written = Tokenizer::from_json("t.json", json.as_bytes()).expect("a tokenizer");
        let cases = std::fs::read_to_string(folder.join("cases.jsonl")).expect("cases");
        for case in cases.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")) {
            let text = case["text"].as_str().expect("a text");
            for (key, whole) in [("ids", true), ("bare", false)] {
                let ids = written.encode(text, whole).expect("ids");
                assert_eq!(json!(ids), case[key], "{name}: {text:?}");
            }
        }
    }
}

/// What `pairs` writes is what other commands read; a model whose weights are zero is never right.
#[test]
fn pairs_fit_the_tokenizer() {
    let place = Place::new("");
    let model = fixtures().join("smollm-cut-gguf/model.gguf");
    let model = model.display();
    let said = place.succeed(&format!("pairs greater-than --model {model} --n 3 --out p.jsonl"));
    assert!(said.contains("3 pairs of ") && said.contains("right on 0 of 3 (0.0 %"), "{said}");
    let tokenizer = tokenizer(&fixtures().join("smollm-cut-gguf"));
    let bounds = Bounds { vocab: 1 << 20, vocab_out: 1 << 20, context: 64 };
    let pairs = Pairs::read(place.path("p.jsonl"), &bounds, None, None).expect("pairs");
    let text = std::fs::read_to_string(place.path("p.jsonl")).expect("written");
    for (pair, line) in pairs.iter().zip(text.lines()) {
        let value: Value = serde_json::from_str(line).expect("JSON");
        let clean = value["text"][0].as_str().expect("a text");
        assert_eq!(tokenizer.encode(clean, true).expect("ids"), pair.clean);
    }
    let again = place.run(&format!("pairs ioi --model {model} --n 2 --out q.jsonl"));
    again.failed(2, &["ioi: 0 of 2 pairs after 400 candidates"], "choose another kind");
    assert!(!place.path("q.jsonl").exists());
}

#[test]
fn pieces_are_text_again() {
    for (name, special) in [("gpt2-like", ""), ("llama3-like-gguf", ""), ("llama2-like-gguf", " ")]
    {
        let tokenizer = tokenizer(&fixtures().join(name));
        let text = "The keys to the cabinet are 12375";
        let ids = tokenizer.encode(text, false).unwrap();
        let pieces: String = ids.iter().map(|&id| tokenizer.piece(id)).collect();
        assert_eq!(pieces, format!("{special}{text}"), "{name}");
        // An id of nothing is called by its number.
        assert_eq!(tokenizer.piece(4_000_000_000), "4000000000");
    }
}

/// The tokenizer of GPT-2's fixture with a change.
fn changed(change: impl Fn(&mut Value)) -> Result<Tokenizer, String> {
    let text = std::fs::read(fixtures().join("gpt2-like/tokenizer.json")).expect("a tokenizer");
    let mut value = serde_json::from_slice(&text).expect("JSON");
    change(&mut value);
    Tokenizer::from_json("t.json", value.to_string().as_bytes()).map_err(|e| e.to_string())
}

#[test]
fn a_damaged_tokenizer_is_refused_by_what_is_wrong() {
    let refused = |key: &str, value: Value, said: &str| {
        let e = changed(|all| *all.pointer_mut(key).expect(key) = value.clone()).expect_err(said);
        assert!(e.starts_with("t.json") && e.contains(said), "{e}");
    };
    refused("/model", json!(null), "invalid type: null");
    refused("/model/type", json!("Unigram"), "model: `Unigram` is not supported, only BPE is");
    refused("/model/vocab", json!({"a": -1}), "model: vocab: invalid value");
    refused("/model/vocab", json!([["a", 0.5]]), "model: vocab: invalid type");
    refused("/model/merges", json!([["a", "\u{7}"]]), "merge 0: \"a\" \"\\u{7}\" or");
    refused("/model/merges", json!(["ab"]), "merge 0 is no pair");
    refused("/model/unk_token", json!("none"), "the unknown token \"none\" is no token");
    refused("/model/end_of_word_suffix", json!("</w>"), "`end_of_word_suffix` is not supported");
    refused("/normalizer", json!({"type": "Precompiled"}), "normalizer: `Precompiled` is not");
    refused("/normalizer", json!({"type": "Sequence"}), "normalizer: `normalizers` must be a list");
    refused("/normalizer", json!({}), "normalizer: has no `type`");
    refused("/pre_tokenizer", json!({"type": "Split"}), "pre_tokenizer: `a split without");
    let split = json!({"type": "Split", "behavior": "Isolated", "pattern": {"Regex": "(a"}});
    refused("/pre_tokenizer", split, "pre_tokenizer: pattern \"(a\"");
    refused("/post_processor", json!({"type": "BertProcessing"}), "a token has no id");
    let template = json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}]});
    refused("/post_processor", template, "post_processor: `x` has no ids");
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    assert!(Tokenizer::from_json("t.json", deep.as_bytes()).is_err());
}

#[test]
fn what_stands_around_a_text_is_left_out_of_a_piece() {
    let roberta = json!({"type": "RobertaProcessing", "cls": ["<s>", 5], "sep": ["</s>", 6]});
    let tokenizer = changed(|all| all["post_processor"] = roberta.clone()).unwrap();
    let bare = tokenizer.encode("Mary", false).unwrap();
    let whole = tokenizer.encode("Mary", true).unwrap();
    assert_eq!(whole, [&[5], &bare[..], &[6]].concat());
}

#[test]
fn a_pattern_that_never_ends_gives_up() {
    let pattern = json!({"Regex": "(?=(a*)*b)x|(a|aa)+(?=\\1c)"});
    let split = json!({"type": "Split", "behavior": "Isolated", "pattern": pattern});
    let tokenizer = changed(|all| all["pre_tokenizer"] = split.clone()).unwrap();
    let e = tokenizer.encode(&"a".repeat(60), false).expect_err("no end");
    assert!(e.to_string().contains("gives up"), "{e}");
}

#[test]
fn keys_of_a_gguf_tokenizer_are_checked() {
    let bytes = std::fs::read(fixtures().join("llama3-like-gguf/model.gguf")).expect("a file");
    let with = |from: &str, to: &str| {
        let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).expect(from);
        let changed = [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat();
        let file = Gguf::from_bytes("m.gguf", &changed).expect("a file");
        Tokenizer::from_gguf(file.header()).expect_err(to).to_string()
    };
    let e = with("llama-bpe", "lima-bean");
    assert!(
        e.contains("`tokenizer.ggml.pre`: `lima-bean` is not supported; known are gpt-2"),
        "{e}"
    );
    let e = with("tokenizer.ggml.tokens", "tokenizer.ggml.tokans");
    assert!(e.contains("key `tokenizer.ggml.tokens`: is missing"), "{e}");
    let e = with("gpt2", "bert");
    assert!(e.contains("`bert` is not supported, only `gpt2` and `llama` are"), "{e}");
    let e = with("tokenizer.ggml.bos_token_id", "tokenizer.ggml.bus_token_id");
    assert!(e.contains("is missing, but needed by `tokenizer.ggml.add_bos_token`"), "{e}");
    let e = with("tokenizer.ggml.merges", "tokenizer.ggml.marges");
    assert!(e.contains("key `tokenizer.ggml.merges`: is missing"), "{e}");
}
