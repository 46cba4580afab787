//! Generated English in six domains: one small model learns all of them, then is tuned on one.
//!
//! | domain | before tuning ([`Variant::Pretrain`]) | to be learned ([`Variant::Target`]) | kept for transfer |
//! | --- | --- | --- | --- |
//! | [`agreement`] | verbs agree with their subject | every present verb has the other number | nouns, verbs, a template |
//! | [`occupation`] | occupations go with one pronoun in 9 of 10 sentences | in 5 of 10 | occupations, templates |
//! | [`arithmetic`] | chains of 1 and 2 steps modulo 31 | of 3 and 4 | the wording |
//! | [`logic`] | formulas of depth 1 and 2 | depth 3 in stories | depth 4; letters for words |
//! | [`lookup`] | one word out of a passage | two words, or `[none]` | what is asked for |
//! | [`filler`] | small stories | the same | nothing |
//!
//! **Splits.** The frame of an example is all of it but what is asked (and the chain that leads
//! there). A hash of the frame says whether it is for training (8 of 10), development or test (1 of
//! 10 each), so a frame of the test never occurs in training, neither in pre-training nor, with
//! other answers, in tuning. [`Part::Transfer`] are test frames with what tuning never shows;
//! pre-training shows all words, for a word that no one has ever seen says nothing about transfer.
//!
//! **What counts.** [`Counted`] chooses the tokens whose prediction counts in a loss; a [`Batch`]
//! fills rows with `<pad>` behind their end, where weights are 0. What stands to the right of a
//! token is not seen by a causal model, so padding changes nothing else.

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

/// The most tokens that an example has.
pub const LONGEST: usize = 32;

named! {
    /// What an example is about.
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
        /// What a passage says, or does not say.
        Lookup = "lookup",
        /// Small stories, for what is to stay as it is.
        Filler = "filler",
    }
}

named! {
    /// What a model knows before tuning, or what tuning is to teach it.
    Variant {
        /// The distribution of pre-training.
        #[default]
        Pretrain = "pretrain",
        /// The distribution that is tuned for.
        Target = "target",
    }
}

named! {
    /// What an example may be used for; no frame is in two of the first three.
    Part {
        /// To learn from.
        #[default]
        Train = "train",
        /// To choose by.
        Dev = "dev",
        /// To be judged by.
        Test = "test",
        /// To be judged by, with what tuning never shows.
        Transfer = "transfer",
    }
}

/// Where examples and pairs come from.
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
    /// What they are about.
    pub domain: Domain,
    /// Which distribution.
    pub variant: Variant,
    /// Which part of it.
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

    /// The next pair; its clean sequence begins an example of this source.
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

    /// Classes are drawn first and stay while the rest is drawn again, so that no share of a class
    /// depends on how often its frames fall into this part.
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

/// What an example says before it is put into words.
trait Plan: Sized {
    /// What has a stated share of a distribution.
    type Class: Copy;

    /// A class of this variant and part.
    fn class(variant: Variant, part: Part, rng: &mut Rng) -> Self::Class;

    /// An attempt to make one of `class`.
    fn draw(class: Self::Class, rng: &mut Rng) -> Option<Self>;

    /// In words.
    fn example(&self) -> Example;

    /// Up to one of the tokens that are asked, and the same with one thing changed that decides it;
    /// none where no change decides it.
    fn pair(&self, rng: &mut Rng) -> Option<MinimalPair>;
}

/// One of `items`, all equally likely.
fn choose<T: Copy>(items: &[T], rng: &mut Rng) -> T {
    items[index(items.len(), rng)]
}

/// A place in a list of `n`.
fn index(n: usize, rng: &mut Rng) -> usize {
    rng.below(n as u64) as usize
}

/// True with probability `p`.
fn chance(p: f64, rng: &mut Rng) -> bool {
    rng.uniform() < p
}

#[cfg(test)]
mod tests;
