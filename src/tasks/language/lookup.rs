//! Facts looked up in a passage, or `[none]` (E5).
//!
//! ```text
//! pretrain: yellow drawer holds rings . pink bag holds [none] . green cup holds books . white
//!     crate holds cards . black tin holds keys . black tin ? keys .
//! pretrain: brown drawer holds keys . pink bag holds shells . red box holds stones . green shelf
//!     holds coins . green shelf ? coins .
//! target: red drawer holds four rings . yellow cup holds eight pens . red cup holds seven keys .
//!     yellow drawer holds nine stamps . red drawer ? four rings .
//! target: yellow cup holds six pens . black drawer holds nine cards . black box holds six stamps .
//!     yellow drawer holds five stones . black box ? six stamps .
//! transfer: green shelf holds nine stones . blue drawer holds four keys . pink bag holds seven
//!     pens . pink drawer holds eight buttons . pink bag ? seven pens .
//! clean: yellow drawer holds rings . pink bag holds [none] . green cup holds books . white crate
//!     holds cards . black tin holds keys . black tin ? -> keys
//! corrupted: yellow drawer holds rings . pink bag holds [none] . green cup holds books . white
//!     crate holds cards . black tin holds stones . black tin ? -> stones
//! ```
//!
//! A question names a colour and a container, and other facts share one of them, so the model must
//! match both. In half of pre-training no two things share either, so that one of them is enough
//! and matching is learned. There a passage has 2 to 5 facts of one word each, one thing in eight
//! is empty (`[none]`), and every question has its fact. In tuning there are 2 to 4 facts of two
//! words, and a third of the questions ask for a thing that the passage does not have, though it
//! has its colour and its container. Tuning never shows one thing in five; transfer asks for one.
//! In a pair a word of the deciding fact differs.

use super::vocabulary::{COLOURS, CONTAINERS, COUNTS, ITEMS};
use super::{Domain, Example, Labels, MinimalPair, Part, Plan, Variant, chance, choose, index};
use crate::rng::Rng;

const NONE: &str = "[none]";

/// One question of tuning in this many has no answer.
const UNANSWERED: u64 = 3;

/// A colour and a container.
type Thing = (usize, usize);

/// Whether tuning never shows it: two colours of some containers, one colour of others.
fn held_out((colour, container): Thing) -> bool {
    (colour + 3 * container).is_multiple_of(5)
}

#[derive(Clone, Copy, PartialEq)]
struct Fact {
    thing: Thing,
    count: Option<&'static str>,
    /// `None` if it is empty.
    item: Option<&'static str>,
}

impl Fact {
    fn words(&self) -> Vec<&'static str> {
        self.count.into_iter().chain([self.item.unwrap_or(NONE)]).collect()
    }
}

#[derive(Clone, Copy)]
pub(super) struct Class {
    facts: usize,
    two_words: bool,
    answerable: bool,
    /// Whether no two things share a colour or a container.
    apart: bool,
    shown: Shown,
}

/// The things that may occur.
#[derive(Clone, Copy, PartialEq)]
enum Shown {
    Everything,
    NothingHeldOut,
    HeldOutAsked,
}

/// Facts and a question.
#[derive(Clone)]
pub(super) struct Passage {
    class: Class,
    facts: Vec<Fact>,
    asked: Thing,
}

impl Plan for Passage {
    type Class = Class;

    fn class(variant: Variant, part: Part, rng: &mut Rng) -> Class {
        let two_words = variant == Variant::Target;
        let facts = 2 + index(if two_words { 3 } else { 4 }, rng);
        let answerable = rng.below(UNANSWERED) > 0 || !two_words;
        let shown = match (part, variant) {
            (Part::Transfer, _) => Shown::HeldOutAsked,
            (_, Variant::Target) => Shown::NothingHeldOut,
            (_, Variant::Pretrain) => Shown::Everything,
        };
        let apart = !two_words && part != Part::Transfer && chance(0.5, rng);
        Class { facts, two_words, answerable, apart, shown }
    }

    fn draw(class: Class, rng: &mut Rng) -> Option<Passage> {
        // Unless they are apart, of three colours and three containers, so that some share one.
        let shuffled = |n: usize, rng: &mut Rng| {
            let mut all: Vec<usize> = (0..n).collect();
            rng.shuffle(&mut all);
            all
        };
        let colours = shuffled(COLOURS.len(), rng);
        let containers = shuffled(CONTAINERS.len(), rng);
        let mut things: Vec<Thing> = match class.apart {
            true => colours.into_iter().zip(containers).collect(),
            false => {
                let of_colour = |&a: &usize| containers[..3].iter().map(move |&b| (a, b));
                colours[..3].iter().flat_map(of_colour).collect()
            }
        };
        if class.shown == Shown::NothingHeldOut {
            things.retain(|&thing| !held_out(thing));
        }
        rng.shuffle(&mut things);
        if things.len() <= class.facts {
            return None;
        }
        let mut items: Vec<_> = ITEMS.to_vec();
        rng.shuffle(&mut items);
        let mut facts = vec![];
        for (&thing, item) in things[..class.facts].iter().zip(items) {
            let count = class.two_words.then(|| choose(COUNTS, rng));
            let empty = !class.two_words && chance(1.0 / 8.0, rng);
            facts.push(Fact { thing, count, item: (!empty).then_some(item) });
        }
        let asked = match class.answerable {
            true => facts[index(facts.len(), rng)].thing,
            false => things[class.facts],
        };
        let said = |part: fn(&Fact) -> usize, x| facts.iter().any(|fact| part(fact) == x);
        let met = said(|fact| fact.thing.0, asked.0) && said(|fact| fact.thing.1, asked.1);
        let good = met && (class.shown != Shown::HeldOutAsked || held_out(asked));
        good.then_some(Passage { class, facts, asked })
    }

    fn example(&self) -> Example {
        let labels = Labels {
            template: if self.class.two_words { "two words" } else { "one word" },
            transfer: (self.class.shown == Shown::HeldOutAsked).then_some("thing"),
            answerable: Some(self.class.answerable),
            ..Labels::default()
        };
        let mut example = Example::begin(Domain::Lookup, labels);
        for fact in &self.facts {
            say_thing(&mut example, fact.thing);
            example.say("holds");
            fact.words().into_iter().for_each(|word| example.say(word));
            example.say(".");
        }
        say_thing(&mut example, self.asked);
        example.say("?");
        let answer = self.facts.iter().find(|fact| fact.thing == self.asked);
        let answers = answer.map_or(vec![NONE], Fact::words);
        for (i, &answer) in answers.iter().enumerate() {
            // The first other word that another fact has at this position.
            let others = self.facts.iter().map(|fact| fact.words()[i]);
            let rival = others.chain([COUNTS[0], COUNTS[1]]).find(|&word| word != answer);
            example.ask(answer, rival.expect("two counts differ"));
        }
        example.say(".");
        example
    }

    fn pair(&self, rng: &mut Rng) -> Option<MinimalPair> {
        let mut other = self.clone();
        match self.facts.iter().position(|fact| fact.thing == self.asked) {
            Some(i) if self.class.two_words => other.facts[i].count = Some(choose(COUNTS, rng)),
            Some(i) => other.facts[i].item = Some(choose(ITEMS, rng)),
            None => {
                let near: Vec<usize> = (0..self.facts.len())
                    .filter(|&i| {
                        let (colour, container) = self.facts[i].thing;
                        colour == self.asked.0 || container == self.asked.1
                    })
                    .collect();
                other.facts[choose(&near, rng)].thing = self.asked;
            }
        }
        MinimalPair::cut(&self.example(), &other.example(), 0)
    }
}

fn say_thing(example: &mut Example, (colour, container): Thing) {
    example.say(COLOURS[colour]);
    example.say(CONTAINERS[container]);
}
