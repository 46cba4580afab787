//! An example in words, and batches of them.

use super::vocabulary::{BOS, NUMBERS, PAD, Vocabulary};
use super::{Domain, Part};
use crate::named::named;
use std::ops::Range;

/// A token that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its position; what is asked is the prediction at the position before.
    pub at: usize,
    /// What stands there.
    pub answer: u32,
    /// What it could be mistaken for: the other number of the verb, the other pronoun, the next
    /// number, another label, what another fact says.
    pub rival: u32,
    /// Whether it is the answer itself and no step on the way.
    pub outcome: bool,
    /// Agreement: the number of the last noun between subject and verb, which is `"none"`, `"same"`
    /// as the subject's, or `"opposite"`.
    pub attractor: Option<&'static str>,
}

/// What an example is counted under in tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Its template, which each domain names.
    pub template: &'static str,
    /// What of it tuning never shows.
    pub transfer: Option<&'static str>,
    /// Steps of a chain, or depth of a formula.
    pub depth: Option<usize>,
    /// How it is worded, where there are two ways.
    pub wording: Option<&'static str>,
    /// Whether the passage answers the question.
    pub answerable: Option<bool>,
    /// Whether the gender is said.
    pub explicit: Option<bool>,
}

impl Labels {
    /// Those that it has, with their names.
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
    /// Which tokens count in a loss.
    Counted {
        /// All but the first.
        #[default]
        All = "all",
        /// What is asked and all steps that lead there.
        Process = "process",
        /// The answer alone.
        Outcome = "outcome",
    }
}

/// A sequence of tokens and what is asked about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// What it is about.
    pub domain: Domain,
    /// `[T]`, from `<bos>` on; at most [`LONGEST`](super::LONGEST).
    pub tokens: Vec<u32>,
    /// The tokens that are asked, in order.
    pub asked: Vec<Asked>,
    /// Positions of the steps that lead to the answer; empty where there are none.
    pub chain: Range<usize>,
    /// What it is counted under.
    pub labels: Labels,
}

impl Example {
    pub(super) fn begin(domain: Domain, labels: Labels) -> Example {
        Example { domain, tokens: vec![BOS], asked: vec![], chain: 0..0, labels }
    }

    /// Adds words, with spaces between them.
    pub(super) fn say(&mut self, text: &str) {
        let known = |word| Vocabulary::get().id(word).expect("a word of the tables");
        self.tokens.extend(text.split(' ').map(known));
    }

    /// Adds a word that is asked.
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

    /// Which of train, dev and test the frame of this example belongs to: `h = (h ^ id) P` over the
    /// frame's ids with FNV-1a's 64-bit constants and a 0 for each asked token, then the upper half
    /// of `h` modulo 10.
    pub fn bucket(&self) -> Part {
        let hidden = |t: &usize| self.chain.contains(t) || self.asked.iter().any(|a| a.at == *t);
        let hash = (0..self.tokens.len()).fold(0xcbf2_9ce4_8422_2325_u64, |h, t| {
            let id = if hidden(&t) { PAD } else { self.tokens[t] };
            (h ^ u64::from(id)).wrapping_mul(0x100_0000_01b3)
        });
        match (hash >> 32) % 10 {
            0..8 => Part::Train,
            8 => Part::Dev,
            _ => Part::Test,
        }
    }

    /// `[T]`: 1 where predicting the token counts and 0 elsewhere; 0 at `<bos>`, before which there
    /// is nothing to predict it from.
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

/// Rows of equal length, to predict each token from those before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[n, length]`, what is read.
    pub inputs: Vec<u32>,
    /// `[n, length]`, what comes next.
    pub targets: Vec<u32>,
    /// `[n, length]`, how much the prediction of each target counts; 0 behind the end of a row.
    pub weights: Vec<f32>,
    /// How many rows there are.
    pub n: usize,
    /// How many tokens a row has.
    pub length: usize,
}

impl Batch {
    /// Rows of `length` tokens; the last token of an example is only predicted, so examples may have
    /// one more.
    ///
    /// # Panics
    /// When an example is longer.
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
}
