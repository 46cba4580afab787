//! Examples in words, and batches of them.

use super::vocabulary::{BOS, NUMBERS, PAD, Vocabulary};
use super::{Domain, Part};
use crate::named::named;
use std::ops::Range;

/// A token to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its position; it is predicted at the position before.
    pub at: usize,
    /// The token at this position.
    pub answer: u32,
    /// The distractor: the verb's other number, the other pronoun, the next number, another label,
    /// the word of another fact.
    pub rival: u32,
    /// Whether it is the final answer and not a step towards it.
    pub outcome: bool,
    /// Agreement: the number of the last noun between subject and verb: `"none"`, `"same"` as the
    /// subject's, or `"opposite"`.
    pub attractor: Option<&'static str>,
}

/// The groups of an example in tables of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Its template, which each domain names.
    pub template: &'static str,
    /// What of it tuning never shows.
    pub transfer: Option<&'static str>,
    /// Steps of a chain, or depth of a formula.
    pub depth: Option<usize>,
    /// Its wording, if there are two.
    pub wording: Option<&'static str>,
    /// Whether the passage answers the question.
    pub answerable: Option<bool>,
    /// Whether the sentence states the gender.
    pub explicit: Option<bool>,
}

impl Labels {
    /// The labels that it has, with their names.
    pub fn entries(&self) -> Vec<(&'static str, String)> {
        let entries = [
            ("template", Some(self.template.to_string())),
            ("transfer", self.transfer.map(String::from)),
            ("depth", self.depth.map(|x| x.to_string())),
            ("wording", self.wording.map(String::from)),
            ("answerable", self.answerable.map(|x| x.to_string())),
            ("explicit", self.explicit.map(|x| x.to_string())),
        ];
        entries.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

named! {
    /// The tokens that count in a loss.
    Counted {
        /// All but the first.
        #[default]
        All = "all",
        /// The answer and all steps that lead to it.
        Process = "process",
        /// The final answer alone.
        Outcome = "outcome",
    }
}

/// A sequence of tokens and the tokens to predict in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Its subject.
    pub domain: Domain,
    /// `[T]`, from `<bos>` on; at most [`LONGEST`](super::LONGEST).
    pub tokens: Vec<u32>,
    /// The tokens to predict, in order.
    pub asked: Vec<Asked>,
    /// Positions of the steps that lead to the answer; empty without steps.
    pub chain: Range<usize>,
    /// Its groups in tables.
    pub labels: Labels,
}

impl Example {
    pub(super) fn begin(domain: Domain, labels: Labels) -> Example {
        Example { domain, tokens: vec![BOS], asked: vec![], chain: 0..0, labels }
    }

    /// Appends words, separated by spaces in `text`.
    pub(super) fn say(&mut self, text: &str) {
        let known = |word| Vocabulary::get().id(word).expect("a word of the tables");
        self.tokens.extend(text.split(' ').map(known));
    }

    /// Appends a word to predict.
    pub(super) fn ask(&mut self, answer: &str, rival: &str) -> &mut Asked {
        let at = self.tokens.len();
        self.say(rival);
        let rival = self.tokens.pop().expect("it was just said");
        self.say(answer);
        let asked = Asked { at, answer: self.tokens[at], rival, outcome: true, attractor: None };
        self.asked.push(asked);
        self.asked.last_mut().expect("it was just pushed")
    }

    pub(super) fn say_number(&mut self, number: u32) {
        self.say(NUMBERS[number as usize]);
    }

    /// The split of this example, train, dev or test: the sum of SplitMix64's mixture of its ids,
    /// mixed again, modulo 10. A sum does not see the order, so examples of the same words are of
    /// one split: none of the test is a training example in another order. Answers are left out
    /// where the rest does not decide them, as tuning may teach others: of verbs, pronouns and
    /// stories.
    ///
    /// Source: G. Steele, D. Lea and C. Flood, "Fast splittable pseudorandom number generators",
    /// OOPSLA 2014.
    pub fn bucket(&self) -> Part {
        let mix = |x: u64| {
            let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ (x >> 31)
        };
        let counts = |t: &usize| self.decided() || self.asked.iter().all(|asked| asked.at != *t);
        let ids = (0..self.tokens.len()).filter(counts).map(|t| u64::from(self.tokens[t]));
        let sum = ids.fold(0u64, |sum, id| sum.wrapping_add(mix(id)));
        match mix(sum) % 10 {
            0..8 => Part::Train,
            8 => Part::Dev,
            _ => Part::Test,
        }
    }

    /// Whether all before an asked token decides it: results, conclusions, what a passage says.
    pub fn decided(&self) -> bool {
        matches!(self.domain, Domain::Arithmetic | Domain::Logic | Domain::Lookup)
    }

    /// `[T]`: 1 for tokens whose prediction counts, else 0. `<bos>` has 0, as nothing precedes it.
    pub fn weights(&self, counted: Counted) -> Vec<f32> {
        let asked = |t: usize, steps| self.asked.iter().any(|a| a.at == t && (a.outcome || steps));
        let counts = |t: usize| match counted {
            Counted::All => t > 0,
            Counted::Process => asked(t, true) || self.chain.contains(&t),
            Counted::Outcome => asked(t, false),
        };
        (0..self.tokens.len()).map(|t| if counts(t) { 1.0 } else { 0.0 }).collect()
    }

    /// In words.
    pub fn text(&self) -> String {
        Vocabulary::get().decode(&self.tokens).expect("ids of the vocabulary")
    }
}

/// Rows of equal length, for next-token prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[n, length]`, the input tokens.
    pub inputs: Vec<u32>,
    /// `[n, length]`, the next tokens.
    pub targets: Vec<u32>,
    /// `[n, length]`, the weight of each target in the loss; 0 for padding.
    pub weights: Vec<f32>,
    /// The number of rows.
    pub n: usize,
    /// The number of tokens of a row.
    pub length: usize,
}

impl Batch {
    /// Rows of `length` tokens. The last token of an example is only a target, so an example may
    /// have `length + 1` tokens.
    ///
    /// # Panics
    /// If an example is longer.
    #[track_caller]
    pub fn new(examples: &[Example], counted: Counted, length: usize) -> Batch {
        let (n, size) = (examples.len(), examples.len() * length);
        let (mut inputs, mut targets, mut weights) =
            (vec![PAD; size], vec![PAD; size], vec![0.0; size]);
        for (i, example) in examples.iter().enumerate() {
            let most = example.tokens.len() - 1;
            assert!(most <= length, "an example of {} tokens for rows of {length}", most + 1);
            let row = i * length..i * length + most;
            inputs[row.clone()].copy_from_slice(&example.tokens[..most]);
            targets[row.clone()].copy_from_slice(&example.tokens[1..]);
            weights[row].copy_from_slice(&example.weights(counted)[1..]);
        }
        Batch { inputs, targets, weights, n, length }
    }

    /// Multiplies the weights of the tokens that `examples`, those of the batch, ask for.
    pub fn weigh_asked(&mut self, examples: &[Example], factor: impl Fn(&Example) -> f32) {
        for (i, example) in examples.iter().enumerate() {
            for asked in &example.asked {
                self.weights[i * self.length + asked.at - 1] *= factor(example);
            }
        }
    }
}
