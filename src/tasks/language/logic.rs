//! Entailment from facts: true, false, or unknown (E4).
//!
//! ```text
//! pretrain: given t & ( ~ t | p ) : p ? true .
//! pretrain: s false given s -> ~ p : p ? unknown .
//! target: wind failed snow failed given snow or ( ( not heat or snow ) implies wind ) : heat ?
//!     true .
//! target: wind came snow came fog came given ( not wind or not snow ) or ( ( snow or fog ) implies
//!     not heat ) : heat ? false .
//! transfer: s true r false given ( ( ~ r | ~ q ) & ~ s ) | t : t ? true .
//! clean: s false given s -> ~ p : p ? -> unknown
//! corrupted: s true given s -> ~ p : p ? -> false
//! ```
//!
//! Deduction asks for the value of a formula given the values of some of its letters. Abduction is
//! given (`given`) that the formula is true and asks for one letter. Both ask whether all, none or
//! some of the valuations that agree with the facts make the question true. The three labels are
//! equally likely. The depth of a formula counts its connectives but not its negations, which apply
//! to letters only. A formula of depth d has at least d different letters, and joins no letter with
//! itself. Transfer is the same in both variants: depth 4 in stories and depth 3 in letters. In a
//! pair one fact has the other value.

use super::vocabulary::{LETTERS, WEATHER};
use super::{Domain, Example, Labels, MinimalPair, Part, Plan, Variant};
use super::{chance, choose, index};
use crate::rng::Rng;

#[derive(Clone, Copy, PartialEq)]
enum Connective {
    And,
    Or,
    Implies,
}

#[derive(Clone)]
enum Formula {
    Letter { which: usize, negated: bool },
    Joined(Connective, Box<Formula>, Box<Formula>),
}

impl Formula {
    /// A formula of exactly this depth.
    fn draw(depth: usize, rng: &mut Rng) -> Formula {
        if depth == 0 {
            return Formula::Letter { which: index(LETTERS.len(), rng), negated: chance(0.3, rng) };
        }
        let connective = choose(&[Connective::And, Connective::Or, Connective::Implies], rng);
        let deep = Formula::draw(depth - 1, rng);
        // Bushy trees do not fit into a sequence: mostly the other side is a letter.
        let shallow = if chance(0.75, rng) { 0 } else { index(depth, rng) };
        let other = Formula::draw(shallow, rng);
        let (left, right) = if chance(0.5, rng) { (deep, other) } else { (other, deep) };
        Formula::Joined(connective, Box::new(left), Box::new(right))
    }

    /// The value where letter `i` is true if bit `i` is set.
    fn value(&self, valuation: usize) -> bool {
        match self {
            Formula::Letter { which, negated } => (valuation >> which & 1 == 1) != *negated,
            Formula::Joined(connective, left, right) => {
                let (a, b) = (left.value(valuation), right.value(valuation));
                match connective {
                    Connective::And => a && b,
                    Connective::Or => a || b,
                    Connective::Implies => !a || b,
                }
            }
        }
    }

    /// The set of its letters, as bits.
    fn letters(&self) -> usize {
        match self {
            Formula::Letter { which, .. } => 1 << which,
            Formula::Joined(_, left, right) => left.letters() | right.letters(),
        }
    }

    /// Whether no connective joins a letter with itself.
    fn says_something(&self) -> bool {
        match self {
            Formula::Letter { .. } => true,
            Formula::Joined(_, left, right) => match (&**left, &**right) {
                (Formula::Letter { which: a, .. }, Formula::Letter { which: b, .. }) => a != b,
                _ => left.says_something() && right.says_something(),
            },
        }
    }

    fn say(&self, story: bool, inner: bool, example: &mut Example) {
        match self {
            Formula::Letter { which, negated } => {
                if *negated {
                    example.say(if story { "not" } else { "~" });
                }
                example.say(name(*which, story));
            }
            Formula::Joined(connective, left, right) => {
                if inner {
                    example.say("(");
                }
                left.say(story, true, example);
                let (sign, word) = match connective {
                    Connective::And => ("&", "and"),
                    Connective::Or => ("|", "or"),
                    Connective::Implies => ("->", "implies"),
                };
                example.say(if story { word } else { sign });
                right.say(story, true, example);
                if inner {
                    example.say(")");
                }
            }
        }
    }
}

fn name(letter: usize, story: bool) -> &'static str {
    if story { WEATHER[letter] } else { LETTERS[letter] }
}

#[derive(Clone, Copy, PartialEq)]
enum Label {
    True,
    False,
    Unknown,
}

impl Label {
    fn name(self) -> &'static str {
        match self {
            Label::True => "true",
            Label::False => "false",
            Label::Unknown => "unknown",
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Class {
    label: Label,
    /// The distractor.
    rival: Label,
    depth: usize,
    abduction: bool,
    story: bool,
    transfer: Option<&'static str>,
}

/// Facts, a formula, and a letter if the question is a letter.
#[derive(Clone)]
pub(super) struct Problem {
    class: Class,
    /// Letters and their values, in the order of the text.
    facts: Vec<(usize, bool)>,
    formula: Formula,
    asked: usize,
}

impl Plan for Problem {
    type Class = Class;

    fn class(variant: Variant, part: Part, rng: &mut Rng) -> Class {
        let mut labels = [Label::True, Label::False, Label::Unknown];
        rng.shuffle(&mut labels);
        let abduction = chance(0.5, rng);
        let (depth, either) = (1 + index(2, rng), chance(0.5, rng));
        let (depth, story, transfer) = match (part, variant) {
            (Part::Transfer, _) if either => (4, true, Some("depth")),
            (Part::Transfer, _) => (3, false, Some("wording")),
            (_, Variant::Target) => (3, true, None),
            (_, Variant::Pretrain) => (depth, either, None),
        };
        Class { label: labels[0], rival: labels[1], depth, abduction, story, transfer }
    }

    fn draw(class: Class, rng: &mut Rng) -> Option<Problem> {
        let formula = Formula::draw(class.depth, rng);
        let mut used: Vec<usize> =
            (0..LETTERS.len()).filter(|i| formula.letters() >> i & 1 == 1).collect();
        rng.shuffle(&mut used);
        let asked = used[0];
        let mut facts = vec![];
        for letter in used {
            let hidden = class.abduction && letter == asked;
            if !hidden && chance(0.7, rng) {
                facts.push((letter, chance(0.5, rng)));
            }
        }
        // The asked letter came first, which would give it away.
        rng.shuffle(&mut facts);
        let problem = Problem { class, facts, formula, asked };
        let good = problem.formula.says_something()
            && problem.formula.letters().count_ones() as usize >= class.depth
            && problem.label() == Some(class.label)
            && (class.abduction || !problem.facts.is_empty());
        good.then_some(problem)
    }

    fn example(&self) -> Example {
        let Class { label, rival, depth, abduction, story, transfer } = self.class;
        let labels = Labels {
            template: if abduction { "abduction" } else { "deduction" },
            transfer,
            depth: Some(depth),
            wording: Some(if story { "story" } else { "letters" }),
            ..Labels::default()
        };
        let mut example = Example::begin(Domain::Logic, labels);
        for &(letter, value) in &self.facts {
            example.say(name(letter, story));
            example.say(truth(value, story));
        }
        example.say(if abduction { "given" } else { ":" });
        self.formula.say(story, false, &mut example);
        if abduction {
            example.say(":");
            example.say(name(self.asked, story));
        }
        example.say("?");
        example.ask(label.name(), rival.name());
        example.say(".");
        example
    }

    fn pair(&self, rng: &mut Rng) -> Option<MinimalPair> {
        if self.facts.is_empty() {
            return None;
        }
        let mut other = self.clone();
        let fact = index(self.facts.len(), rng);
        other.facts[fact].1 = !self.facts[fact].1;
        other.class.label = other.label()?;
        MinimalPair::cut(&self.example(), &other.example(), 0)
    }
}

impl Problem {
    /// `None` if no valuation agrees with the facts.
    fn label(&self) -> Option<Label> {
        let agrees = |valuation: usize| {
            self.facts.iter().all(|&(i, value)| (valuation >> i & 1 == 1) == value)
                && (!self.class.abduction || self.formula.value(valuation))
        };
        let asked = |valuation: usize| match self.class.abduction {
            true => valuation >> self.asked & 1 == 1,
            false => self.formula.value(valuation),
        };
        let (mut yes, mut no) = (false, false);
        for valuation in (0..1 << LETTERS.len()).filter(|&v| agrees(v)) {
            if asked(valuation) {
                yes = true;
            } else {
                no = true;
            }
        }
        match (yes, no) {
            (true, false) => Some(Label::True),
            (false, true) => Some(Label::False),
            (true, true) => Some(Label::Unknown),
            (false, false) => None,
        }
    }
}

fn truth(value: bool, story: bool) -> &'static str {
    match (story, value) {
        (false, true) => "true",
        (false, false) => "false",
        (true, true) => "came",
        (true, false) => "failed",
    }
}
