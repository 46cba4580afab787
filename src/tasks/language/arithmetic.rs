//! Chains of sums, differences and products modulo 31, read from left to right (E3).
//!
//! ```text
//! pretrain: 8 - 7 + 5 : 8 - 7 = 1 + 5 = 6 # 6 .
//! pretrain: 23 - 3 : 23 - 3 = 20 # 20 .
//! target: 8 - 7 + 5 + 8 * 2 : 8 - 7 = 1 + 5 = 6 + 8 = 14 * 2 = 28 # 28 .
//! target: 20 * 3 * 3 + 2 : 20 * 3 = 29 * 3 = 25 + 2 = 27 # 27 .
//! transfer: start 7 take 3 times 2 add 10 add 4 : 7 - 3 = 4 * 2 = 8 + 10 = 18 + 4 = 22 # 22 .
//! clean: 8 - 7 + 5 : 8 - 7 = -> 1
//! corrupted: 8 - 8 + 5 : 8 - 8 = -> 0
//! ```
//!
//! After the colon each result is computed from the one before, and the last one is repeated after
//! `#`. Terms are 1 to 10 and factors 2 and 3, so that a small model can learn all steps: 31 x (10
//! sums, 10 differences, 2 products). In words it is `start 7 add 5 take 3 :`, which tuning never
//! shows. In a pair an operand differs, in the task and where the chain copies it, and the answer
//! is its result.

use super::vocabulary::{MODULUS, NUMBERS};
use super::{Domain, Example, Labels, MinimalPair, Part, Plan, Variant, chance, choose, index};
use crate::rng::Rng;

/// Terms that are added or taken: 1 to this.
const TERMS: u32 = 10;

#[derive(Clone, Copy, PartialEq)]
enum Operator {
    Plus,
    Minus,
    Times,
}

#[derive(Clone, Copy)]
struct Step {
    operator: Operator,
    operand: u32,
}

impl Step {
    fn draw(rng: &mut Rng) -> Step {
        let operator = choose(&[Operator::Plus, Operator::Minus, Operator::Times], rng);
        Step { operator, operand: Step::operand(operator, rng) }
    }

    fn operand(operator: Operator, rng: &mut Rng) -> u32 {
        let (least, count) = if operator == Operator::Times { (2, 2) } else { (1, TERMS) };
        least + rng.below(u64::from(count)) as u32
    }

    fn of(self, x: u32) -> u32 {
        match self.operator {
            Operator::Plus => (x + self.operand) % MODULUS,
            Operator::Minus => (x + MODULUS - self.operand) % MODULUS,
            Operator::Times => (x * self.operand) % MODULUS,
        }
    }

    fn say(self, in_words: bool, example: &mut Example) {
        let (sign, word) = match self.operator {
            Operator::Plus => ("+", "add"),
            Operator::Minus => ("-", "take"),
            Operator::Times => ("*", "times"),
        };
        example.say(if in_words { word } else { sign });
        example.say_number(self.operand);
    }
}

#[derive(Clone, Copy)]
pub(super) struct Class {
    steps: usize,
    in_words: bool,
    transfer: Option<&'static str>,
}

/// An initial value and its steps.
#[derive(Clone)]
pub(super) struct Chain {
    class: Class,
    start: u32,
    steps: Vec<Step>,
}

impl Plan for Chain {
    type Class = Class;

    fn class(variant: Variant, part: Part, rng: &mut Rng) -> Class {
        let least = if variant == Variant::Pretrain { 1 } else { 3 };
        let steps = least + index(2, rng);
        let either = chance(0.5, rng);
        match (part, variant) {
            (Part::Transfer, _) => Class { steps, in_words: true, transfer: Some("wording") },
            (_, Variant::Target) => Class { steps, in_words: false, transfer: None },
            (_, Variant::Pretrain) => Class { steps, in_words: either, transfer: None },
        }
    }

    fn draw(class: Class, rng: &mut Rng) -> Option<Chain> {
        let start = rng.below(u64::from(MODULUS)) as u32;
        let steps = (0..class.steps).map(|_| Step::draw(rng)).collect();
        Some(Chain { class, start, steps })
    }

    fn example(&self) -> Example {
        let Class { steps, in_words, transfer } = self.class;
        let wording = if in_words { "words" } else { "signs" };
        let labels = Labels {
            template: "chain",
            transfer,
            depth: Some(steps),
            wording: Some(wording),
            ..Labels::default()
        };
        let mut example = Example::begin(Domain::Arithmetic, labels);
        if in_words {
            example.say("start");
        }
        example.say_number(self.start);
        for step in &self.steps {
            step.say(in_words, &mut example);
        }
        example.say(":");
        let first = example.tokens.len();
        example.say_number(self.start);
        let mut x = self.start;
        for step in &self.steps {
            step.say(false, &mut example);
            example.say("=");
            x = step.of(x);
            ask(&mut example, x, false);
        }
        example.chain = first..example.tokens.len() + 1;
        example.say("#");
        ask(&mut example, x, true);
        example.say(".");
        example
    }

    fn pair(&self, rng: &mut Rng) -> Option<MinimalPair> {
        let mut other = self.clone();
        let k = index(self.steps.len(), rng);
        let step = &mut other.steps[k];
        step.operand = Step::operand(step.operator, rng);
        MinimalPair::cut(&self.example(), &other.example(), k)
    }
}

fn ask(example: &mut Example, number: u32, outcome: bool) {
    let next = (number + 1) % MODULUS;
    example.ask(NUMBERS[number as usize], NUMBERS[next as usize]).outcome = outcome;
}
