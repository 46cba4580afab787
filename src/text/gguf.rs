//! The tokenizer in a GGUF file, with the ids of llama.cpp and of what the file was made from.

use super::Words;
use super::added::{Added, Token};
use super::bpe::{Bpe, Merges, byte_tokens};
use super::normalize::Normalizer;
use super::split::{GPT2, Splitter, regex};
use super::tokenizer::Tokenizer;
use crate::error::Result;
use crate::files::gguf::Header;
use std::collections::HashMap;

/// The mark that sentencepiece writes for a space.
pub(super) const MARK: &str = "\u{2581}";

/// What files say that a token is.
pub(super) mod kind {
    pub(in crate::text) const UNKNOWN: f64 = 2.0;
    pub(in crate::text) const CONTROL: f64 = 3.0;
    pub(in crate::text) const USER_DEFINED: f64 = 4.0;
    pub(in crate::text) const BYTE: f64 = 6.0;
}

/// How a byte-level vocabulary cuts text.
pub(super) struct Cut {
    /// The names that files give it, in `tokenizer.ggml.pre`.
    names: &'static [&'static str],
    pub(super) patterns: &'static [&'static str],
    /// Whether text is composed first.
    pub(super) nfc: bool,
    /// Whether a piece that is a token is that token, and a text begins with a token of its own:
    /// so do the vocabularies that are like Llama 3's.
    pub(super) llama3: bool,
}

/// The key that names it.
const PRE: &str = "tokenizer.ggml.pre";

impl Cut {
    /// The one that a file names, if it is known.
    pub(super) fn of(header: &Header) -> Result<Option<&'static Cut>> {
        let name = header.text(PRE)?.unwrap_or("default");
        Ok(CUTS.iter().find(|cut| cut.names.contains(&name)))
    }
}

const LLAMA3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|",
    r"[^\r\n\p{L}\p{N}]?\p{L}+|",
    r"\p{N}{1,3}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|",
    r"\s*[\r\n]+|",
    r"\s+(?!\S)|",
    r"\s+",
);
const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|",
    r"[^\r\n\p{L}\p{N}]?\p{L}+|",
    r"\p{N}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|",
    r"\s*[\r\n]+|",
    r"\s+(?!\S)|",
    r"\s+",
);
const GPT4O: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"\p{N}{1,3}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*|",
    r"\s*[\r\n]+|",
    r"\s+(?!\S)|",
    r"\s+",
);
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|",
    r"\p{N}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*|",
    r"\s*[\r\n]+|",
    r"\s+(?!\S)|",
    r"\s+",
);

const CUTS: [Cut; 11] = [
    Cut {
        names: &["gpt-2", "mpt", "phi-2", "jais", "gigachat", "roberta-bpe"],
        patterns: &[GPT2],
        nfc: false,
        llama3: false,
    },
    Cut { names: &["olmo"], patterns: &[GPT2], nfc: true, llama3: false },
    Cut {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"],
        patterns: &[LLAMA3],
        nfc: false,
        llama3: true,
    },
    Cut { names: &["smaug-bpe", "dbrx"], patterns: &[LLAMA3], nfc: false, llama3: false },
    Cut { names: &["qwen2", "deepseek-r1-qwen"], patterns: &[QWEN2], nfc: true, llama3: false },
    Cut { names: &["stablelm2"], patterns: &[QWEN2], nfc: false, llama3: false },
    Cut {
        names: &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"],
        patterns: &[r"\p{N}", GPT2],
        nfc: false,
        llama3: false,
    },
    Cut {
        names: &["falcon"],
        patterns: &[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
        nfc: false,
        llama3: false,
    },
    Cut {
        names: &["bloom", "poro-chat", "gpt3-finnish"],
        patterns: &[" ?[^(\\s|.,!?\u{2026}\u{3002}\u{ff0c}\u{3001}\u{964}\u{6d4}\u{60c})]+"],
        nfc: false,
        llama3: false,
    },
    Cut { names: &["gpt-4o", "llama4"], patterns: &[GPT4O], nfc: false, llama3: false },
    Cut { names: &["tekken"], patterns: &[TEKKEN], nfc: false, llama3: true },
];

/// The tokens of a file, with what they are.
pub(super) struct Tokens<'a> {
    pub(super) header: &'a Header,
    pub(super) texts: &'a [String],
    kinds: Option<&'a [f64]>,
}

impl<'a> Tokens<'a> {
    pub(super) fn read(header: &'a Header) -> Result<Tokens<'a>> {
        let Some(texts) = header.texts("tokenizer.ggml.tokens")? else {
            let help = "convert the model with its tokenizer, or give token ids";
            return Err(header.error("tokenizer.ggml.tokens", "is missing", help));
        };
        let tokens = Tokens { header, texts, kinds: None };
        let kinds = tokens.list("tokenizer.ggml.token_type")?;
        Ok(Tokens { kinds, ..tokens })
    }

    /// A list with a number for each token, if it is given.
    pub(super) fn list(&self, key: &str) -> Result<Option<&'a [f64]>> {
        let list = self.header.numbers(key)?;
        match list.filter(|list| list.len() != self.texts.len()) {
            None => Ok(list),
            Some(list) => {
                let message = format!("{} entries for {} tokens", list.len(), self.texts.len());
                Err(self.header.error(key, message, "convert the model to GGUF again"))
            }
        }
    }

    pub(super) fn kind(&self, id: usize) -> f64 {
        self.kinds.map_or(1.0, |kinds| kinds[id])
    }

    /// The id of each token; of tokens that are written alike the first.
    pub(super) fn vocab(&self) -> HashMap<String, u32> {
        let mut vocab = HashMap::with_capacity(self.texts.len());
        for (text, id) in self.texts.iter().zip(0..) {
            vocab.entry(text.clone()).or_insert(id);
        }
        vocab
    }

    /// The tokens that are found in a text as they are written.
    fn added(&self) -> Added {
        let mut added = Added::default();
        for (id, text) in self.texts.iter().enumerate() {
            if [kind::UNKNOWN, kind::CONTROL, kind::USER_DEFINED].contains(&self.kind(id)) {
                let token = Token { id: id as u32, left: false, right: false, word: false };
                added.insert(text.clone(), token);
            }
        }
        added
    }

    /// The token whose id is at `key`, if it is given.
    pub(super) fn special(&self, key: &str) -> Result<Option<u32>> {
        let id = self.header.count(key)?;
        match id.filter(|&id| id >= self.texts.len()) {
            None => Ok(id.map(|id| id as u32)),
            Some(id) => {
                let message = format!("{id} is none of {} tokens", self.texts.len());
                Err(self.header.error(key, message, "convert the model to GGUF again"))
            }
        }
    }

    /// The tokens that stand before a text and after it; `begins` is said of a file that says
    /// nothing.
    pub(super) fn around(&self, begins: bool) -> Result<(Vec<u32>, Vec<u32>)> {
        let side = |add: &str, usual: bool, key: &str| -> Result<Vec<u32>> {
            if !self.header.flag(add)?.unwrap_or(usual) {
                return Ok(vec![]);
            }
            match self.special(key)? {
                Some(id) => Ok(vec![id]),
                None => {
                    let help = "convert the model to GGUF again, or give token ids";
                    Err(self.header.error(key, format!("is missing, but needed by `{add}`"), help))
                }
            }
        };
        Ok((
            side("tokenizer.ggml.add_bos_token", begins, "tokenizer.ggml.bos_token_id")?,
            side("tokenizer.ggml.add_eos_token", false, "tokenizer.ggml.eos_token_id")?,
        ))
    }
}

pub(super) fn read(header: &Header) -> Result<Tokenizer> {
    const KEY: &str = "tokenizer.ggml.model";
    match header.text(KEY)? {
        Some("gpt2") => byte_level(&Tokens::read(header)?),
        Some("llama") => sentencepiece(&Tokens::read(header)?),
        Some(other) => {
            let message = format!("`{other}` is not supported, only `gpt2` and `llama` are");
            Err(header.error(KEY, message, "give token ids"))
        }
        None => {
            let help = "convert the model with its tokenizer, or give token ids";
            Err(header.error(KEY, "is missing", help))
        }
    }
}

fn byte_level(tokens: &Tokens<'_>) -> Result<Tokenizer> {
    let header = tokens.header;
    let Some(cut) = Cut::of(header)? else {
        let name = header.text(PRE)?.unwrap_or("default");
        let known: Vec<&str> = CUTS.iter().flat_map(|cut| cut.names).copied().collect();
        let message = format!("`{name}` is not supported; known are {}", known.join(", "));
        return Err(header.error(PRE, message, "give token ids"));
    };
    let vocab = tokens.vocab();
    let bpe = Bpe {
        merges: listed(header, &vocab)?,
        vocab,
        ignore_merges: cut.llama3,
        bytes: None,
        unknown: None,
        fuse_unknown: false,
    };
    let place = format!("{}: key `{PRE}`", header.place());
    let patterns = cut.patterns.iter().map(|pattern| Splitter::isolated(&place, pattern));
    let mut splitters = patterns.collect::<Result<Vec<_>>>()?;
    splitters.push(Splitter::Letters);
    Ok(Tokenizer {
        added: tokens.added(),
        added_normal: Added::default(),
        normalizers: if cut.nfc { vec![Normalizer::Nfc] } else { vec![] },
        splitters,
        bpe,
        around: tokens.around(cut.llama3)?,
        words: Words::of_tokens(tokens.texts),
    })
}

/// The merges of a byte-level vocabulary.
fn listed(header: &Header, vocab: &HashMap<String, u32>) -> Result<Merges> {
    const KEY: &str = "tokenizer.ggml.merges";
    let again = "convert the model to GGUF again";
    let Some(lines) = header.texts(KEY)? else {
        return Err(header.error(KEY, "is missing", again));
    };
    let mut merges = HashMap::with_capacity(lines.len());
    for (rank, line) in lines.iter().enumerate() {
        // A token may begin with a space, as tokens that were added do.
        let space = line.char_indices().skip(1).find(|(_, c)| *c == ' ');
        let Some((at, _)) = space else {
            return Err(header.error(KEY, format!("merge {rank} is no pair of tokens"), again));
        };
        let (a, b) = (&line[..at], &line[at + 1..]);
        let (Some(&a), Some(&b), Some(&made)) =
            (vocab.get(a), vocab.get(b), vocab.get(&format!("{a}{b}")))
        else {
            let message = format!("merge {rank}, {line:?}, is of what is no token");
            return Err(header.error(KEY, message, again));
        };
        merges.entry((a, b)).or_insert((rank as u32, made));
    }
    Ok(Merges::Listed(merges))
}

fn sentencepiece(tokens: &Tokens<'_>) -> Result<Tokenizer> {
    const SCORES: &str = "tokenizer.ggml.scores";
    let header = tokens.header;
    let Some(scores) = tokens.list(SCORES)? else {
        let help = "convert the model to GGUF again";
        return Err(header.error(SCORES, "is missing", help));
    };
    let score = |(id, &score): (usize, &f64)| {
        let merged = ![kind::UNKNOWN, kind::CONTROL, kind::BYTE].contains(&tokens.kind(id));
        if merged { score as f32 } else { f32::NAN }
    };
    let vocab = tokens.vocab();
    let space = header.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let mut normalizers = vec![];
    if space {
        normalizers.push(Normalizer::Prepend(" ".into()));
    }
    let place = format!("{}: key `tokenizer.ggml.model`", header.place());
    normalizers.push(Normalizer::Replace { regex: regex(&place, " ")?, with: MARK.into() });
    let bpe = Bpe {
        bytes: byte_tokens(|byte| vocab.get(&format!("<0x{byte:02X}>")).copied()),
        vocab,
        merges: Merges::Scored(scores.iter().enumerate().map(score).collect()),
        ignore_merges: false,
        unknown: tokens.special("tokenizer.ggml.unknown_token_id")?,
        fuse_unknown: false,
    };
    Ok(Tokenizer {
        added: tokens.added(),
        added_normal: Added::default(),
        normalizers,
        splitters: vec![],
        bpe,
        around: tokens.around(true)?,
        words: Words::of_tokens(tokens.texts),
    })
}
