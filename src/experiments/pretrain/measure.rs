//! What a language model can do, by the tokens that examples ask for.
//!
//! With logits `z` before an asked token, which is `a` and could be mistaken for `r`:
//!
//! ```text
//! accuracy  = mean of [z[a] is the largest of all V]       gap = mean of z[a] - z[r]
//! preferred = mean of [z[a] > z[r]]                        nll = mean of -ln softmax(z)[a]
//! exact     = share of examples all of whose asked tokens are right, each behind the right ones
//! risk      = mean over occupations of E[max(p / 0.5 - 1, q / 0.5 - 1)],
//!             p, q = softmax(z[a], z[r])                   so it is E[tanh(|z[a] - z[r]| / 2)]
//! F1        = mean over labels of 2 right / (said + asked)
//! ```

use super::groups::{Group, groups};
use crate::formats::domain_scores::{Abstention, DomainScores, Pronouns, Share};
use crate::nn::stream::Sum;
use crate::nn::transformer::Config;
use crate::simd::Element;
use crate::stats::order;
use crate::tasks::language::occupation::occupation;
use crate::tasks::language::vocabulary::Vocabulary;
use crate::tasks::language::{Asked, Batch, Counted, Domain, Example};
use crate::tensor::Buffer;
use crate::tuning::Objective;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

impl DomainScores {
    /// The one number that says how well a model knows a domain, from 0 to 1: words preferred to
    /// their rivals (agreement and filler, where nothing tells which verb or noun it will be);
    /// pronouns that are right where the gender is said; examples that are right (arithmetic and
    /// look-up); F1 (logic).
    pub fn score(&self, domain: Domain) -> f64 {
        match domain {
            Domain::Occupation => self.pronouns.and_then(|p| p.explicit).unwrap_or(0.0),
            Domain::Arithmetic | Domain::Lookup => self.all.exact.unwrap_or(0.0),
            Domain::Logic => self.macro_f1.unwrap_or(0.0),
            Domain::Agreement | Domain::Filler => self.all.preferred,
        }
    }

    /// The score of guesses: of two forms, of two pronouns, of three labels, of the words that a
    /// passage of 2 to 5 facts has, or of any number.
    pub(super) fn chance(domain: Domain) -> f64 {
        match domain {
            Domain::Agreement | Domain::Filler | Domain::Occupation => 0.5,
            Domain::Logic => 1.0 / 3.0,
            Domain::Lookup => (1.0 / 2.0 + 1.0 / 3.0 + 1.0 / 4.0 + 1.0 / 5.0) / 4.0,
            Domain::Arithmetic => 0.0,
        }
    }
}

/// What a model says to an example.
struct Reading {
    /// By asked token.
    replies: Vec<Reply>,
    /// The sum over all tokens but the first.
    nll: f64,
}

struct Reply {
    /// The token with the largest logit.
    said: u32,
    gap: f64,
    nll: f64,
}

impl Reading {
    /// `logits` are `[T - 1, V]` and `nll` is `[T - 1]`, by the position before each token.
    fn of<T: Element>(example: &Example, logits: &[T], nll: &[T]) -> Reading {
        let vocab = logits.len() / nll.len();
        let reply = |asked: &Asked| {
            let row = &logits[(asked.at - 1) * vocab..asked.at * vocab];
            let z = |id: u32| row[id as usize].to_f64();
            // The first of equals, also where all are NaN.
            let said = (0..vocab as u32).reduce(|best, id| if z(id) > z(best) { id } else { best });
            Reply {
                said: said.unwrap_or(0),
                gap: z(asked.answer) - z(asked.rival),
                nll: nll[asked.at - 1].to_f64(),
            }
        };
        let replies = example.asked.iter().map(reply).collect();
        Reading { replies, nll: nll.iter().map(|x| x.to_f64()).sum() }
    }
}

/// Sums that a [`Share`] is made of.
#[derive(Default)]
struct Sums {
    asked: usize,
    right: usize,
    preferred: usize,
    gap: f64,
    nll: f64,
    /// Examples, and those that are right.
    examples: (usize, usize),
}

impl Sums {
    fn add(&mut self, asked: &Asked, reply: &Reply) {
        self.asked += 1;
        self.right += usize::from(reply.said == asked.answer);
        self.preferred += usize::from(reply.gap > 0.0);
        self.gap += reply.gap;
        self.nll += reply.nll;
    }

    fn add_example(&mut self, example: &Example, reading: &Reading) {
        let mut right = true;
        for (asked, reply) in example.asked.iter().zip(&reading.replies) {
            self.add(asked, reply);
            right &= reply.said == asked.answer;
        }
        if !example.asked.is_empty() {
            self.examples.0 += 1;
            self.examples.1 += usize::from(right);
        }
    }

    fn share(&self) -> Share {
        let of = |x: f64| if self.asked == 0 { 0.0 } else { x / self.asked as f64 };
        Share {
            asked: self.asked,
            accuracy: of(self.right as f64),
            preferred: of(self.preferred as f64),
            gap: of(self.gap),
            nll: of(self.nll),
            exact: ratio(self.examples.1, self.examples.0),
        }
    }
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The most sequences that are computed at a time.
const ROWS: usize = 32;

/// How a model does on `examples`: `weights` are its parameters in the order of
/// [`Config::parameters`]. The numbers do not depend on the threads of the pool it is called in.
///
/// # Panics
/// If there are no examples, the weights are not those of the configuration, or the model's context
/// or vocabulary is smaller than that of the language.
#[track_caller]
pub fn measure<T: Element>(
    config: &Config,
    weights: &[Buffer<T>],
    examples: &[Example],
) -> DomainScores {
    assert!(!examples.is_empty(), "no examples to measure");
    // Groups that one program can take.
    let mut alike: BTreeMap<(usize, usize), Vec<Group>> = BTreeMap::new();
    for group in groups(examples, ROWS) {
        alike.entry((group.rows.len(), group.length)).or_default().push(group);
    }
    let alike: Vec<_> = alike.into_iter().collect();
    let read = |((rows, length), groups): &((usize, usize), Vec<Group>)| {
        let mut model = Objective::record(config, *rows, *length, 0, &mut Sum::default());
        model.set_weights(weights);
        let read = |group| read(&mut model, group, examples);
        groups.iter().flat_map(read).collect::<Vec<_>>()
    };
    let mut readings: Vec<(usize, Reading)> = alike.par_iter().flat_map_iter(read).collect();
    order::sort_by_key(&mut readings, |(i, _)| *i);
    let readings: Vec<Reading> = readings.into_iter().map(|(_, reading)| reading).collect();
    tally(examples, &readings)
}

/// What a model says to a group of `examples`, with their places in the list.
fn read<T: Element>(
    model: &mut Objective<T>,
    group: &Group,
    examples: &[Example],
) -> Vec<(usize, Reading)> {
    let list: Vec<Example> = group.rows.iter().map(|&i| examples[i].clone()).collect();
    let batch = Batch::new(&list, Counted::All, group.length);
    let zeros = vec![T::ZERO; batch.weights.len()];
    model.set(&batch.inputs, &batch.targets, &zeros);
    model.program.forward();
    let (logits, nll) = (model.program.value(model.logits), model.program.value(model.nll));
    let vocab = logits.len() / nll.len();
    let reading = |(row, (&i, example)): (usize, (&usize, &Example))| {
        let (from, to) = (row * batch.length, row * batch.length + example.tokens.len() - 1);
        (i, Reading::of(example, &logits[from * vocab..to * vocab], &nll[from..to]))
    };
    group.rows.iter().zip(&list).enumerate().map(reading).collect()
}

/// By the name of a label, then by its value.
type Labelled = BTreeMap<&'static str, BTreeMap<String, Sums>>;

fn sums<'a>(labels: &'a mut Labelled, name: &'static str, value: String) -> &'a mut Sums {
    labels.entry(name).or_default().entry(value).or_default()
}

/// Sums up what was said, in the order of the examples.
fn tally(examples: &[Example], readings: &[Reading]) -> DomainScores {
    let both = || examples.iter().zip(readings);
    let (mut all, mut labels) = (Sums::default(), Labelled::new());
    for (example, reading) in both() {
        all.add_example(example, reading);
        for (name, value) in example.labels.entries() {
            sums(&mut labels, name, value).add_example(example, reading);
        }
        for (asked, reply) in example.asked.iter().zip(&reading.replies) {
            if let Some(number) = asked.attractor {
                sums(&mut labels, "attractor", number.into()).add(asked, reply);
            }
        }
    }
    let share = |(value, sums): (String, Sums)| (value, sums.share());
    let shares = |map: BTreeMap<String, Sums>| map.into_iter().map(share).collect();
    let tokens: usize = examples.iter().map(|e| e.tokens.len() - 1).sum();
    let nll: f64 = readings.iter().map(|r| r.nll).sum();
    let rest = tokens - all.asked;
    DomainScores {
        examples: examples.len(),
        nll: nll / tokens as f64,
        nll_rest: (rest > 0).then(|| (nll - all.nll) / rest as f64),
        labels: labels.into_iter().map(|(name, map)| (name.into(), shares(map))).collect(),
        abstention: abstention(both()),
        macro_f1: macro_f1(both()),
        pronouns: pronouns(both()),
        all: all.share(),
    }
}

/// The asked tokens of a domain's examples, with what was said.
fn asked_of<'a>(
    both: impl Iterator<Item = (&'a Example, &'a Reading)>,
    domain: Domain,
) -> impl Iterator<Item = (&'a Example, &'a Asked, &'a Reply)> {
    let both = both.filter(move |(example, _)| example.domain == domain);
    both.flat_map(|(e, r)| e.asked.iter().zip(&r.replies).map(move |(a, reply)| (e, a, reply)))
}

fn abstention<'a>(both: impl Iterator<Item = (&'a Example, &'a Reading)>) -> Option<Abstention> {
    let none = Vocabulary::get().id("[none]")?;
    // A second word comes only behind a first one that is none.
    let first = |(e, a, _): &(&Example, &Asked, &Reply)| e.asked[0].at == a.at;
    let replies: Vec<_> = asked_of(both, Domain::Lookup)
        .filter(first)
        .map(|(_, a, r)| (a.answer == none, r.said == none))
        .collect();
    let count = |is: fn(&(bool, bool)) -> bool| replies.iter().copied().filter(is).count();
    let right = count(|(empty, said)| *empty && *said);
    (!replies.is_empty()).then(|| Abstention {
        precision: ratio(right, count(|(_, said)| *said)),
        recall: ratio(right, count(|(empty, _)| *empty)),
    })
}

fn macro_f1<'a>(both: impl Iterator<Item = (&'a Example, &'a Reading)>) -> Option<f64> {
    let replies: Vec<(u32, u32)> =
        asked_of(both, Domain::Logic).map(|(_, a, r)| (a.answer, r.said)).collect();
    let labels: BTreeSet<u32> = replies.iter().map(|(answer, _)| *answer).collect();
    let f1 = |&label: &u32| {
        let count = |is: &dyn Fn(&(u32, u32)) -> bool| replies.iter().filter(|r| is(r)).count();
        let right = count(&|&(answer, said)| answer == label && said == label);
        let all = count(&|r| r.0 == label) + count(&|r| r.1 == label);
        2.0 * right as f64 / all as f64
    };
    (!labels.is_empty()).then(|| labels.iter().map(f1).sum::<f64>() / labels.len() as f64)
}

fn pronouns<'a>(both: impl Iterator<Item = (&'a Example, &'a Reading)>) -> Option<Pronouns> {
    let mut explicit = (0, 0);
    // By occupation, the sum and the number.
    let mut risks: BTreeMap<u32, (f64, usize)> = BTreeMap::new();
    for (example, asked, reply) in asked_of(both, Domain::Occupation) {
        if example.labels.explicit == Some(true) {
            explicit.0 += usize::from(reply.said == asked.answer);
            explicit.1 += 1;
        } else if let Some(work) = occupation(&example.tokens) {
            let (sum, n) = risks.entry(work).or_default();
            *sum += libm::tanh(reply.gap.abs() / 2.0);
            *n += 1;
        }
    }
    let occupations = risks.len();
    let mean = risks.values().map(|(sum, n)| sum / *n as f64).sum::<f64>() / occupations as f64;
    (occupations + explicit.1 > 0).then(|| Pronouns {
        risk: (occupations > 0).then_some(mean),
        occupations,
        explicit: ratio(explicit.0, explicit.1),
    })
}

#[cfg(test)]
mod tests;
