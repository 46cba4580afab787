//! Small stories in the past tense, which tuning should leave unchanged.
//!
//! ```text
//! pretrain: these young cats waited by the market and hid themselves . these cats waited by the
//!     school .
//! pretrain: this young bird walked by the hill .
//! target: these young cats waited by the market and hid themselves . these cats waited by the
//!     school .
//! target: this young bird walked by the hill .
//! transfer: these old horses played by the market and hid themselves . these dogs danced by the
//!     village and hid themselves .
//! clean: these young -> cats
//! corrupted: this young -> cat
//! ```
//!
//! Nouns follow Zipf's law: the noun of rank r has a probability proportional to 1 / r. The tokens
//! to predict are agreement that no task changes: the noun after `this` or `these`, and the choice
//! of `itself` or `themselves`. In a pair the first determiner differs. Nothing is tuned here: both
//! variants are the same, and transfer is the test.

use super::vocabulary::{
    ADJECTIVES, COLOURS, CONTAINERS, COUNTS, ITEMS, NOUNS, PLACES, TO_ONESELF, WENT,
};
use super::{Domain, Example, Labels, MinimalPair, Part, Plan, Variant, chance, choose, index};
use crate::rng::Rng;

#[derive(Clone, Copy)]
enum Event {
    /// walked by the park
    Went(&'static str, &'static str),
    /// walked by the park and washed itself
    WentAnd(&'static str, &'static str, &'static str),
    /// found two red keys in the box
    Found([&'static str; 4]),
}

#[derive(Clone, Copy)]
struct Clause {
    noun: usize,
    plural: bool,
    adjective: Option<&'static str>,
    event: Event,
}

/// One or two clauses.
#[derive(Clone)]
pub(super) struct Story {
    clauses: Vec<Clause>,
}

impl Plan for Story {
    type Class = usize;

    fn class(_: Variant, _: Part, rng: &mut Rng) -> usize {
        1 + index(2, rng)
    }

    fn draw(clauses: usize, rng: &mut Rng) -> Option<Story> {
        Some(Story { clauses: (0..clauses).map(|_| Clause::draw(rng)).collect() })
    }

    fn example(&self) -> Example {
        let template = if self.clauses.len() == 1 { "one clause" } else { "two clauses" };
        let mut example = Example::begin(Domain::Filler, Labels { template, ..Labels::default() });
        for clause in &self.clauses {
            clause.say(&mut example);
        }
        example
    }

    fn pair(&self, _: &mut Rng) -> Option<MinimalPair> {
        let mut other = self.clone();
        other.clauses[0].plural = !self.clauses[0].plural;
        MinimalPair::cut(&self.example(), &other.example(), 0)
    }
}

impl Clause {
    fn draw(rng: &mut Rng) -> Clause {
        let (went, place) = (choose(WENT, rng), choose(PLACES, rng));
        let event = match index(3, rng) {
            0 => Event::Went(went, place),
            1 => Event::WentAnd(went, place, choose(TO_ONESELF, rng)),
            _ => Event::Found([
                choose(COUNTS, rng),
                choose(COLOURS, rng),
                choose(ITEMS, rng),
                choose(CONTAINERS, rng),
            ]),
        };
        Clause {
            noun: zipf(NOUNS.len(), rng),
            plural: chance(0.5, rng),
            adjective: chance(0.5, rng).then(|| choose(ADJECTIVES, rng)),
            event,
        }
    }

    fn say(&self, example: &mut Example) {
        let number = |one: &'static str, many: &'static str| match self.plural {
            true => (many, one),
            false => (one, many),
        };
        example.say(number("this", "these").0);
        if let Some(adjective) = self.adjective {
            example.say(adjective);
        }
        let (one, many) = NOUNS[self.noun];
        let (noun, rival) = number(one, many);
        example.ask(noun, rival);
        match self.event {
            Event::Went(verb, place) => example.say(&format!("{verb} by the {place}")),
            Event::WentAnd(verb, place, act) => {
                example.say(&format!("{verb} by the {place} and {act}"));
                let (oneself, rival) = number("itself", "themselves");
                example.ask(oneself, rival);
            }
            Event::Found([count, colour, items, container]) => {
                example.say(&format!("found {count} {colour} {items} in the {container}"));
            }
        }
        example.say(".");
    }
}

/// An index below `n`; index `i` has a probability proportional to 1 / (i + 1).
fn zipf(n: usize, rng: &mut Rng) -> usize {
    let weight = |i: usize| 1.0 / (i as f64 + 1.0);
    let mut left = rng.uniform() * (0..n).map(weight).sum::<f64>();
    (0..n - 1)
        .find(|&i| {
            left -= weight(i);
            left < 0.0
        })
        .unwrap_or(n - 1)
}
