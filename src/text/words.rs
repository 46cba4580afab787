//! The words of a model's tokens, if its folder has them.
//!
//! | file | what |
//! | --- | --- |
//! | `vocab.json` | a list in the order of the ids (ours), or an object from word to id (GPT-2's) |
//! | `tokenizer.json` | Hugging Face's: `added_tokens`, and `model.vocab`, an object or a list |
//! | a GGUF file | `tokenizer.ggml.tokens` |
//!
//! Words are shown as text: the letters that a byte-level vocabulary has for bytes are decoded, and
//! so are the marks that sentencepiece has for spaces. They are for display only.

use crate::error::{Error, Result};
use crate::files::gguf::Header;
use crate::files::input;
use crate::formats::byte_letters;
use serde_json::Value;
use std::path::Path;

/// What sentencepiece writes for a space.
const MARK: char = '\u{2581}';

/// The words of a model's tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Words(Vec<Option<String>>);

impl Words {
    /// The words of the first `vocab` tokens of a model, a folder or a GGUF file; without a file of
    /// words, the ids.
    ///
    /// # Errors
    /// If a file of words exists but cannot be read, or has no known form.
    pub fn read(folder: &Path, vocab: usize) -> Result<Words> {
        if folder.is_file() {
            let header = Header::read(folder)?;
            let texts = header.texts("tokenizer.ggml.tokens")?.unwrap_or_default();
            return Ok(Words::of_tokens(&texts[..texts.len().min(vocab)]));
        }
        for name in ["vocab.json", "tokenizer.json"] {
            let path = folder.join(name);
            if !path.exists() {
                continue;
            }
            let text = input::regular(&path, input::DATA)?;
            let fail = |message: String| {
                Error::input(path.display(), message, "take it away to have ids for words")
            };
            let value =
                serde_json::from_slice(&text).map_err(|e| fail(format!("is not JSON: {e}")))?;
            let words = Words::of(&value, vocab).ok_or_else(|| {
                fail("expected a list of words, an object from word to id, or a tokenizer".into())
            })?;
            return Ok(words.decoded());
        }
        Ok(Words::default())
    }

    /// `[T]`, what the tokens `ids [T]` of a model are called.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn of_sequence(folder: &Path, ids: &[u32]) -> Result<Vec<String>> {
        let vocab = ids.iter().max().map_or(0, |&id| id as usize + 1);
        let words = Words::read(folder, vocab)?;
        Ok(ids.iter().map(|&id| words.word(id)).collect())
    }

    /// Words in the order of their ids, as a vocabulary writes them.
    pub(super) fn of_tokens(texts: &[String]) -> Words {
        Words(texts.iter().map(|text| Some(text.clone())).collect()).decoded()
    }

    /// The words in a file's value; ids from `vocab` on are ignored.
    fn of(value: &Value, vocab: usize) -> Option<Words> {
        let mut words = Words(vec![None; vocab]);
        let list = match value.pointer("/model/vocab") {
            Some(list) => list,
            None if value.get("model").is_none() => value,
            None => return None,
        };
        match list {
            Value::Array(list) => {
                for (id, entry) in list.iter().enumerate() {
                    // A word, or a word with its score.
                    let word = entry.as_str().or_else(|| entry.get(0)?.as_str())?;
                    words.put(id as u64, word);
                }
            }
            Value::Object(map) => {
                for (word, id) in map {
                    words.put(id.as_u64()?, word);
                }
            }
            _ => return None,
        }
        for added in value.get("added_tokens").and_then(Value::as_array).into_iter().flatten() {
            words.put(added.get("id")?.as_u64()?, added.get("content")?.as_str()?);
        }
        Some(words)
    }

    /// The same words as text: with the bytes of a byte-level vocabulary (GPT-2's) decoded, or the
    /// marks of sentencepiece; what is no whole character stays as the file has it.
    pub(super) fn decoded(mut self) -> Words {
        // A space before a word is what every such vocabulary has, and no other writes so.
        let begins = |start: char| move |word: &&String| word.starts_with(start);
        let space = byte_letters::letter(b' ');
        if self.0.iter().flatten().any(|word| begins(space)(&word)) {
            for word in self.0.iter_mut().flatten() {
                let bytes = byte_letters::bytes(word);
                if let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
                    *word = text;
                }
            }
        } else if self.0.iter().flatten().any(|word| begins(MARK)(&word)) {
            for word in self.0.iter_mut().flatten() {
                *word = word.replace(MARK, " ");
            }
        }
        self
    }

    /// Room for the words of `vocab` tokens.
    #[cfg(feature = "text")]
    pub(super) fn sized(vocab: usize) -> Words {
        Words(vec![None; vocab])
    }

    pub(super) fn put(&mut self, id: u64, word: &str) {
        let place = usize::try_from(id).ok().and_then(|id| self.0.get_mut(id));
        place.into_iter().for_each(|place| *place = Some(word.into()));
    }

    /// The word of a token, or its id if it has none.
    pub fn word(&self, id: u32) -> String {
        let word = self.0.get(id as usize).and_then(Option::as_ref);
        word.cloned().unwrap_or_else(|| id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn words(value: Value) -> Option<Vec<String>> {
        let words = Words::of(&value, 3)?;
        Some((0..4).map(|id| words.word(id)).collect())
    }

    #[test]
    fn bytes_of_a_byte_level_vocabulary_become_text() {
        let of =
            |list: &[&str]| Words(list.iter().map(|w| Some(w.to_string())).collect()).decoded();
        // The second is half of a character.
        let words = of(&["\u{120}caf\u{c3}\u{a9}", "\u{c3}", "\u{10a}", "the"]);
        assert_eq!([0, 1, 2, 3].map(|id| words.word(id)), [" caf\u{e9}", "\u{c3}", "\n", "the"]);
        // Without it, letters are letters.
        assert_eq!(of(&["\u{c3}\u{a9}"]).word(0), "\u{c3}\u{a9}");
    }

    #[test]
    fn all_forms_say_the_same() {
        for value in [
            json!(["a", "b c", "<d>"]),
            json!(["a", "b c", "<d>", "beyond"]),
            json!({"b c": 1, "a": 0, "<d>": 2, "beyond": 18_446_744_073_709_551_615_u64}),
            json!({
                "model": {"type": "BPE", "vocab": {"a": 0, "b c": 1}},
                "added_tokens": [{"id": 2, "content": "<d>"}],
            }),
            json!({"model": {"type": "Unigram", "vocab": [["a", -1.5], ["b c", -2], ["<d>", 0]]}}),
        ] {
            let all = ["a", "b c", "<d>", "3"].map(String::from).to_vec();
            assert_eq!(words(value.clone()), Some(all), "{value}");
        }
        assert_eq!(words(json!({"a": 2})).unwrap(), ["0", "1", "a", "3"]);
        for other in [json!(3), json!([1]), json!({"a": -1}), json!({"model": {"type": "BPE"}})] {
            assert_eq!(words(other.clone()), None, "{other}");
        }
    }

    #[test]
    fn a_folder_may_have_none_and_a_damaged_file_is_named() {
        let t = tempfile::tempdir().unwrap();
        assert_eq!(Words::read(t.path(), 5).unwrap().word(4), "4");
        std::fs::write(t.path().join("tokenizer.json"), "{").unwrap();
        let e = Words::read(t.path(), 5).unwrap_err();
        assert!(e.to_string().contains("tokenizer.json: is not JSON") && e.exit_code() == 2, "{e}");
        // Ours takes precedence.
        std::fs::write(t.path().join("vocab.json"), r#"["x"]"#).unwrap();
        assert_eq!(Words::read(t.path(), 5).unwrap().word(0), "x");
        std::fs::write(t.path().join("vocab.json"), "7").unwrap();
        let e = Words::read(t.path(), 5).unwrap_err();
        assert!(e.to_string().contains("vocab.json: expected a list of words"), "{e}");
    }
}
