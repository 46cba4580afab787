//! A tokenizer: the steps from text to ids.

use super::added::{Added, Part};
use super::bpe::Bpe;
use super::normalize::Normalizer;
use super::split::{Piece, Splitter};
use super::{Words, gguf, huggingface};
use crate::error::{Error, Result};
use crate::files::gguf::Header;
use crate::files::{input, model_cache};
use crate::formats::pairs::Encode;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The longest `tokenizer.json`, in bytes; the largest that there are have 34 million.
const LONGEST: u64 = 1 << 28;

/// What makes ids of text.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    /// Tokens that are found in the text as it is.
    pub(super) added: Added,
    /// Tokens that are found after normalising.
    pub(super) added_normal: Added,
    pub(super) normalizers: Vec<Normalizer>,
    pub(super) splitters: Vec<Splitter>,
    pub(super) bpe: Bpe,
    /// The ids that stand before a whole text, and after it.
    pub(super) around: (Vec<u32>, Vec<u32>),
    pub(super) words: Words,
}

impl Tokenizer {
    /// The tokenizer of a model: of a GGUF file, or the `tokenizer.json` of a folder.
    ///
    /// # Errors
    /// If there is none, or it is damaged or of an unsupported kind.
    pub fn read(model: &Path) -> Result<Tokenizer> {
        if model.is_file() {
            return Tokenizer::from_gguf(&Header::read(model)?);
        }
        if !model.exists() {
            return Err(model_cache::missing(model));
        }
        let path = model.join("tokenizer.json");
        if !path.exists() {
            let help = "put the tokenizer.json of the model into its folder, or give token ids";
            return Err(Error::input(path.display(), "is missing", help));
        }
        let text = input::regular(&path, LONGEST)?;
        Tokenizer::from_json(&path.display().to_string(), &text)
    }

    /// The tokenizer in the text of a `tokenizer.json`; `place` names it in errors.
    ///
    /// # Errors
    /// If it is damaged or of an unsupported kind.
    pub fn from_json(place: &str, text: &[u8]) -> Result<Tokenizer> {
        huggingface::read(place, text)
    }

    /// The tokenizer in a GGUF file.
    ///
    /// # Errors
    /// If there is none, or it is damaged or of an unsupported kind.
    pub fn from_gguf(header: &Header) -> Result<Tokenizer> {
        gguf::read(header)
    }

    /// What the tokens are called.
    pub fn words(&self) -> &Words {
        &self.words
    }

    fn part(&self, text: &str, first: bool, out: &mut Vec<u32>) -> Result<()> {
        let mut text = text.to_string();
        for step in &self.normalizers {
            text = step.apply(&text)?;
        }
        for part in self.added_normal.split(&text) {
            match part {
                Part::Token(id) => out.push(id),
                Part::Text(text, start) => {
                    let start = vec![Piece { text: text.into(), first: first && start }];
                    let mut steps = self.splitters.iter();
                    let pieces = steps.try_fold(start, |pieces, step| step.split(pieces))?;
                    pieces.iter().for_each(|piece| self.bpe.encode(&piece.text, out));
                }
            }
        }
        Ok(())
    }
}

impl Encode for Tokenizer {
    fn encode(&self, text: &str, whole: bool) -> Result<Vec<u32>> {
        let mut ids = vec![];
        if whole {
            ids.extend(&self.around.0);
        }
        for part in self.added.split(text) {
            match part {
                Part::Token(id) => ids.push(id),
                Part::Text(text, first) => self.part(text, first, &mut ids)?,
            }
        }
        if whole {
            ids.extend(&self.around.1);
        }
        Ok(ids)
    }

    fn piece(&self, id: u32) -> String {
        self.words.word(id)
    }
}

/// The tokenizer of a model, read when text is met for the first time: most files of pairs hold
/// ids, and not every model has one.
#[derive(Debug)]
pub struct LazyTokenizer {
    model: PathBuf,
    first_of_several: bool,
    read: OnceLock<Result<Tokenizer>>,
}

impl LazyTokenizer {
    /// The tokenizer of `model`, a folder or a GGUF file; whether the first token stands for an
    /// answer of several.
    pub fn new(model: impl Into<PathBuf>, first_of_several: bool) -> LazyTokenizer {
        LazyTokenizer { model: model.into(), first_of_several, read: OnceLock::new() }
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// As [`Tokenizer::read`].
    pub fn get(&self) -> Result<&Tokenizer> {
        self.read.get_or_init(|| Tokenizer::read(&self.model)).as_ref().map_err(Error::clone)
    }
}

impl Encode for LazyTokenizer {
    fn encode(&self, text: &str, whole: bool) -> Result<Vec<u32>> {
        self.get()?.encode(text, whole)
    }

    fn piece(&self, id: u32) -> String {
        self.get().map_or_else(|_| id.to_string(), |tokenizer| tokenizer.piece(id))
    }

    fn first_of_several(&self) -> bool {
        self.first_of_several
    }
}
