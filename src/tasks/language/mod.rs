//! Generated English in six domains: one small model learns all of them, then is tuned on one.
//!
//! | domain | [`Variant::Pretrain`] | [`Variant::Target`] of tuning | held out of tuning |
//! | --- | --- | --- | --- |
//! | [`agreement`] | verbs agree with their subject | the other number | nouns, verbs, a template |
//! | [`occupation`] | stereotyped pronouns in 9 of 10 | in 5 of 10 | occupations, templates |
//! | [`arithmetic`] | chains of 1 and 2 steps modulo 31 | of 3 and 4 | the wording |
//! | [`logic`] | formulas of depth 1 and 2 | depth 3 in stories | depth 4; letters for words |
//! | [`lookup`] | one word of a passage | two words, or `[none]` | the questions' things |
//! | [`filler`] | small stories | the same | nothing |
//!
//! **Splits.** A hash of an example's words, in whatever order, assigns it to training (8 of 10),
//! development or test (1 of 10 each). So no example of the test is a training example, nor one
//! with its words permuted. Answers that tuning may replace by others (verbs, pronouns, stories)
//! are left out, so that a test frame is not in pre-training with another answer either. One rule
//! serves all domains; the alternative, lists of sentences for each split, would have to be
//! consulted by every generator in its own way. [`Part::Transfer`] are test frames with words that
//! tuning never shows. Pre-training shows all words, as an unseen word has a random embedding and
//! says nothing about transfer.
//!
//! **Loss.** [`Counted`] chooses the tokens whose prediction has weight in a loss; a [`Batch`] pads
//! rows with `<pad>`, whose weights are 0. A causal model does not see the tokens to the right, so
//! padding changes nothing else.

pub mod agreement;
pub mod arithmetic;
mod example;
pub mod filler;
pub mod logic;
pub mod lookup;
mod mixture;
pub mod occupation;
mod pair;
pub mod vocabulary;

pub use example::{Asked, Batch, Counted, Example, Labels};
pub use mixture::Mixture;
pub use pair::{MinimalPair, jsonl};

use crate::named::named;
use crate::rng::Rng;

/// The most tokens of an example.
pub const LONGEST: usize = 32;

named! {
    /// The subject of an example.
    Domain {
        /// The number of subject and verb.
        #[default]
        Agreement = "agreement",
        /// Pronouns for occupations.
        Occupation = "occupation",
        /// Chains of sums, differences and products modulo 31.
        Arithmetic = "arithmetic",
        /// Formulas that follow from others.
        Logic = "logic",
        /// What a passage says, or that it does not say it.
        Lookup = "lookup",
        /// Small stories, which tuning should leave unchanged.
        Filler = "filler",
    }
}

named! {
    /// The distribution of pre-training or that of tuning.
    Variant {
        /// The distribution of pre-training.
        #[default]
        Pretrain = "pretrain",
        /// The distribution of tuning.
        Target = "target",
    }
}

named! {
    /// The use of an example; no frame is in two of the first three.
    Part {
        /// For training.
        #[default]
        Train = "train",
        /// For choices, such as that of a learning rate.
        Dev = "dev",
        /// For evaluation.
        Test = "test",
        /// For evaluation, with words that tuning never shows.
        Transfer = "transfer",
    }
}

/// A source of examples and pairs.
///
/// ```
/// use edgegrad::rng::{Purpose, Rng};
/// use edgegrad::tasks::language::{Domain, Part, Source, Variant};
/// let domain = Domain::Arithmetic;
/// let source = Source { domain, variant: Variant::Target, part: Part::Test };
/// let example = source.example(&mut Rng::new(0, Purpose::Data, 0));
/// assert_eq!(example.bucket(), Part::Test);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Their subject.
    pub domain: Domain,
    /// Their distribution.
    pub variant: Variant,
    /// Their part of it.
    pub part: Part,
}

impl Source {
    /// The next example.
    pub fn example(&self, rng: &mut Rng) -> Example {
        match self.domain {
            Domain::Agreement => self.draw::<agreement::Sentence>(rng).1,
            Domain::Occupation => self.draw::<occupation::Sentence>(rng).1,
            Domain::Arithmetic => self.draw::<arithmetic::Chain>(rng).1,
            Domain::Logic => self.draw::<logic::Problem>(rng).1,
            Domain::Lookup => self.draw::<lookup::Passage>(rng).1,
            Domain::Filler => self.draw::<filler::Story>(rng).1,
        }
    }

    /// The next `n` examples, drawn with replacement.
    pub fn examples(&self, n: usize, rng: &mut Rng) -> Vec<Example> {
        (0..n).map(|_| self.example(rng)).collect()
    }

    /// The next pair; its clean sequence is the start of an example of this source.
    pub fn pair(&self, rng: &mut Rng) -> MinimalPair {
        match self.domain {
            Domain::Agreement => self.draw_pair::<agreement::Sentence>(rng),
            Domain::Occupation => self.draw_pair::<occupation::Sentence>(rng),
            Domain::Arithmetic => self.draw_pair::<arithmetic::Chain>(rng),
            Domain::Logic => self.draw_pair::<logic::Problem>(rng),
            Domain::Lookup => self.draw_pair::<lookup::Passage>(rng),
            Domain::Filler => self.draw_pair::<filler::Story>(rng),
        }
    }

    /// The next `n` pairs, drawn with replacement.
    pub fn pairs(&self, n: usize, rng: &mut Rng) -> Vec<MinimalPair> {
        (0..n).map(|_| self.pair(rng)).collect()
    }

    /// The class is drawn first and kept while the rest is redrawn, so the share of a class does
    /// not depend on how often its frames fall into this part.
    fn draw<P: Plan>(&self, rng: &mut Rng) -> (P, Example) {
        let class = P::class(self.variant, self.part, rng);
        loop {
            let Some(plan) = P::draw(class, rng) else { continue };
            let example = plan.example();
            if self.holds(&example) {
                return (plan, example);
            }
        }
    }

    fn draw_pair<P: Plan>(&self, rng: &mut Rng) -> MinimalPair {
        loop {
            if let Some(pair) = self.draw::<P>(rng).0.pair(rng) {
                return pair;
            }
        }
    }

    fn holds(&self, example: &Example) -> bool {
        let bucket = if self.part == Part::Transfer { Part::Test } else { self.part };
        example.tokens.len() <= LONGEST && example.bucket() == bucket
    }
}

/// The content of an example, before it is put into words.
trait Plan: Sized {
    /// A property with a stated share of the distribution.
    type Class: Copy;

    /// A class of this variant and part.
    fn class(variant: Variant, part: Part, rng: &mut Rng) -> Self::Class;

    /// An attempt to draw one of `class`.
    fn draw(class: Self::Class, rng: &mut Rng) -> Option<Self>;

    /// The example in words.
    fn example(&self) -> Example;

    /// The sequence up to one of the answers, and the same with a single change that decides it;
    /// `None` if no change decides it.
    fn pair(&self, rng: &mut Rng) -> Option<MinimalPair>;
}

/// A uniform draw from `items`.
fn choose<T: Copy>(items: &[T], rng: &mut Rng) -> T {
    items[index(items.len(), rng)]
}

/// A uniform index below `n`.
fn index(n: usize, rng: &mut Rng) -> usize {
    rng.below(n as u64) as usize
}

/// True with probability `p`.
fn chance(p: f64, rng: &mut Rng) -> bool {
    rng.uniform() < p
}

#[cfg(test)]
mod tests;
