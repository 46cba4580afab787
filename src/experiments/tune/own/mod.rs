//! Somebody's own task: pairs whose answers a model is to give, and sequences that it is to keep.
//!
//! | file | what |
//! | --- | --- |
//! | `material` | batches and pairs of a run |
//! | `measure` | what a model says |

mod material;
mod measure;

use super::settings::Settings;
use super::subject::{Material, Subject};
use crate::error::{Error, Result};
use crate::files::{atomic, hash};
use crate::formats::pairs::{Asked, Bounds, Encode, Pair, Pairs};
use crate::formats::sequences::Taken;
use crate::formats::tuning_report::Judgement;
use crate::nn::transformer::Model;
use material::OwnMaterial;
use measure::{Prediction, gaps, predicted};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Pairs of a task: those of a file, or some that have been read.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnPairs {
    /// A file of them.
    File(PathBuf),
    /// What has been read or generated.
    Read(Pairs),
}

impl From<PathBuf> for OwnPairs {
    fn from(file: PathBuf) -> Self {
        OwnPairs::File(file)
    }
}

impl OwnPairs {
    /// The file, if it is one.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            OwnPairs::File(path) => Some(path),
            OwnPairs::Read(_) => None,
        }
    }

    /// A hash of the file's content, or of the pairs.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn hash(&self) -> Result<String> {
        match self {
            OwnPairs::File(path) => hash(path),
            OwnPairs::Read(pairs) => Ok(pairs.hash()),
        }
    }

    fn read(&self, bounds: &Bounds, encode: Option<&dyn Encode>) -> Result<Pairs> {
        match self {
            OwnPairs::File(path) => Pairs::read(path, bounds, encode, None),
            OwnPairs::Read(pairs) => Ok(pairs.clone()),
        }
    }
}

/// The files of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnFiles {
    /// The folder of the base model, or its GGUF file.
    pub model: PathBuf,
    /// Pairs to learn from; what has been read is read for this model.
    pub pairs: OwnPairs,
    /// Pairs to be judged by; what has been read is read for this model.
    pub dev: OwnPairs,
    /// Sequences that show what is to be kept.
    pub keep: Option<PathBuf>,
}

/// Pairs to learn from and to be judged by, with how the model did before tuning.
///
/// A pair is answered if its answer is more likely than every distractor or, without distractors,
/// than every other token; of several answers the likeliest counts.
///
/// ```text
/// target    = share of dev pairs that are answered
/// gap       = mean over dev pairs of (answer's logit - its likeliest rival's)
/// transfer  = target of the dev pairs that are no training pair's tokens in another order
/// retention = tokens to keep that are predicted right, after / before
/// ```
pub struct Own {
    files: OwnFiles,
    train: Pairs,
    dev: Pairs,
    keep: Vec<Vec<u32>>,
    /// Of the dev pairs, those that are not near a training pair.
    far: Vec<bool>,
    before: Said,
}

/// What a model says to all that it is judged by.
struct Said {
    /// By dev pair.
    gaps: Vec<f64>,
    /// Of the tokens of dev pairs that are not asked.
    rest: Prediction,
    /// Of the tokens to keep.
    kept: Prediction,
}

impl Own {
    /// Reads the files; text is encoded by `encode`. Warns of what makes the task less than it
    /// seems.
    ///
    /// # Errors
    /// If a file cannot be read, a pair asks for no answer, a dev pair is a training pair, or
    /// `base` cannot be tuned for them: it is no decoder, answers all of them already, or answers
    /// clean and corrupted sequences alike.
    pub fn read(files: OwnFiles, base: &Model<f32>, encode: Option<&dyn Encode>) -> Result<Own> {
        speaks(base, &files.model)?;
        let c = &base.config;
        let bounds = Bounds { vocab: c.vocab, vocab_out: c.vocab_out, context: c.context };
        let read = |of: &OwnPairs| -> Result<Pairs> {
            let pairs = of.read(&bounds, encode)?;
            answers_given(&pairs, c.vocab)?;
            Ok(pairs)
        };
        let (train, dev) = (read(&files.pairs)?, read(&files.dev)?);
        no_repeats(&train, &dev)?;
        let taken = Taken { lengths: 2..=c.context, vocab: c.vocab, encode };
        let keep = files.keep.as_ref().map_or(Ok(vec![]), |path| taken.read(path))?;
        worth_tuning(base, &train)?;
        let far = far_from(&train, &dev);
        let near = far.iter().filter(|far| !**far).count();
        if near > 0 {
            let (place, all) = (dev.place(), dev.len());
            tracing::warn!(
                "{place}: {near} of {all} pairs have the tokens of a training pair in another order; \
                 transfer leaves them out"
            );
        }
        let before = Said::of(base, &dev, &keep);
        Ok(Own { files, train, dev, keep, far, before })
    }

    /// Whether none of these dev pairs is one of another's.
    ///
    /// # Errors
    /// If one is: what has chosen may not judge.
    pub(super) fn judges_others_than(&self, other: &Own) -> Result<()> {
        no_repeats(&other.dev, &self.dev)
    }

    fn judgement(&self, after: &Said) -> Judgement {
        let answered = |counts: &dyn Fn(usize) -> bool| {
            let chosen: Vec<f64> =
                (0..after.gaps.len()).filter(|&i| counts(i)).map(|i| after.gaps[i]).collect();
            let right = chosen.iter().filter(|gap| **gap > 0.0).count();
            right as f64 / chosen.len().max(1) as f64
        };
        let kept = |of: &Said| of.kept.right as f64 / of.kept.tokens.max(1) as f64;
        let before = kept(&self.before);
        Judgement {
            target: answered(&|_| true),
            gap: after.gaps.iter().sum::<f64>() / after.gaps.len() as f64,
            transfer: answered(&|i| self.far[i]),
            // Of a model that knew nothing of it nothing is lost.
            retention: if before > 0.0 { kept(after) / before } else { 1.0 },
            nll_change: after.kept.nll() - self.before.kept.nll(),
            rest_change: after.rest.nll() - self.before.rest.nll(),
            explicit: None,
            domains: BTreeMap::new(),
        }
    }
}

impl Said {
    fn of(model: &Model<f32>, dev: &Pairs, keep: &[Vec<u32>]) -> Said {
        let sequences: Vec<&[u32]> = dev.iter().map(|pair| &pair.clean[..]).collect();
        let asked = |i: usize, t: usize| t != dev[i].positions()[0];
        let keep: Vec<&[u32]> = keep.iter().map(Vec::as_slice).collect();
        Said {
            gaps: gaps(model, dev, |pair| &pair.clean),
            rest: predicted(model, &sequences, asked),
            kept: predicted(model, &keep, |_, _| true),
        }
    }
}

impl Subject for Own {
    fn task(&self) -> &'static str {
        "own"
    }

    fn title(&self) -> String {
        let keep = match self.keep.len() {
            0 => "nothing to keep: retention is not measured".into(),
            n => format!("{n} sequences to keep"),
        };
        let (train, dev) = (self.train.len(), self.dev.len());
        format!("{}: {train} pairs, {dev} of dev, {keep}", self.train.place())
    }

    fn target_name(&self) -> &'static str {
        "answered"
    }

    fn material<'a>(
        &'a self,
        settings: &'a Settings,
        _base: &'a Model<f32>,
        seed: u64,
    ) -> Result<Box<dyn Material + 'a>> {
        Ok(Box::new(OwnMaterial::new(settings, &self.train, &self.dev, seed)?))
    }

    fn base(&self) -> Judgement {
        self.judgement(&self.before)
    }

    fn judge(&self, model: &Model<f32>) -> Judgement {
        self.judgement(&Said::of(model, &self.dev, &self.keep))
    }

    fn inputs(&self) -> BTreeMap<String, String> {
        let OwnFiles { pairs, dev, keep, .. } = &self.files;
        let keep = keep.as_ref().map(|keep| ("keep", hash(keep)));
        let all = [("pairs", pairs.hash()), ("dev", dev.hash())].into_iter().chain(keep);
        // They have been read; a file that is gone now is another.
        all.map(|(name, hash)| (name.to_string(), hash.unwrap_or_default())).collect()
    }

    fn write_words(&self, folder: &Path) -> Result<()> {
        for name in WORDS {
            let from = self.files.model.join(name);
            if from.is_file() {
                let bytes = std::fs::read(&from).map_err(|e| Error::io(&from, &e, "read"))?;
                atomic::write_bytes(folder.join(name), &bytes)?;
            }
        }
        Ok(())
    }
}

/// Files of a model folder that say what tokens are.
const WORDS: [&str; 3] = ["tokenizer.json", "tokenizer_config.json", "vocab.json"];

/// Whether a model predicts the next token of its own vocabulary.
fn speaks(base: &Model<f32>, folder: &Path) -> Result<()> {
    let c = &base.config;
    let fail = |message: String| Err(Error::input(folder.display(), message, "give a decoder"));
    if !c.causal {
        return fail("is an encoder, and tuning is to predict what comes next".into());
    }
    if c.vocab != c.vocab_out {
        let (from, to) = (c.vocab, c.vocab_out);
        return fail(format!("reads {from} tokens and gives {to}: it predicts no next token"));
    }
    Ok(())
}

/// Whether every pair says which of so many tokens are right, and that not all are.
fn answers_given(pairs: &Pairs, vocab: usize) -> Result<()> {
    for pair in pairs.iter() {
        let (answers, rivals) = match &pair.asked {
            Asked::Tokens { answer, distractor, .. } => {
                (answer.iter().collect::<HashSet<_>>().len(), distractor.len())
            }
            Asked::Outputs { .. } => (0, 0),
        };
        let message = match answers {
            0 => "names no answer",
            all if all == vocab && rivals == 0 => "names every token as its answer",
            _ => continue,
        };
        let help = "give each pair an `answer` to learn, one token or some";
        return Err(Error::input(pairs.place_of(pair), message, help));
    }
    Ok(())
}

/// Whether no dev pair is a pair that is seen before, in training or to choose: the same clean
/// sequence, asked at the same position.
fn no_repeats(train: &Pairs, dev: &Pairs) -> Result<()> {
    let asked = |pair: &Pair| (pair.clean.clone(), pair.positions());
    let known: HashMap<_, usize> = train.iter().map(|pair| (asked(pair), pair.line)).collect();
    for pair in dev.iter() {
        if let Some(line) = known.get(&asked(pair)) {
            let message = format!("repeats line {line} of {}", train.place());
            let help = "judge by pairs that tuning does not show";
            return Err(Error::input(dev.place_of(pair), message, help));
        }
    }
    Ok(())
}

/// Which dev pairs are no training pair with its tokens in another order.
fn far_from(train: &Pairs, dev: &Pairs) -> Vec<bool> {
    let bag = |pair: &Pair| {
        let mut tokens = pair.clean.clone();
        tokens.sort_unstable();
        tokens
    };
    let known: HashSet<Vec<u32>> = train.iter().map(bag).collect();
    dev.iter().map(|pair| !known.contains(&bag(pair))).collect()
}

/// Whether there is something to learn and a circuit to find.
fn worth_tuning(base: &Model<f32>, train: &Pairs) -> Result<()> {
    let clean = gaps(base, train, |pair| &pair.clean);
    let fail = |message, help| Err(Error::input(train.place(), message, help));
    let right = clean.iter().filter(|gap| **gap > 0.0).count();
    if right == train.len() {
        return fail("the model answers every pair already", "give pairs that it gets wrong");
    }
    if clean == gaps(base, train, |pair| &pair.corrupted) {
        return fail(
            "the model answers clean and corrupted sequences alike",
            "corrupt what the answer depends on: no circuit tells them apart",
        );
    }
    if right == 0 {
        tracing::warn!(
            "{}: the model answers no pair, so their circuit is of what it says instead",
            train.place()
        );
    }
    Ok(())
}
