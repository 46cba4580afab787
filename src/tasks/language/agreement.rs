//! Subject-verb agreement, or its inversion: all verbs with the other number (E1).
//!
//! ```text
//! pretrain: the bear that the runners greet sometimes meets the wolves .
//! pretrain: beside the tigers the sailors are quiet and are young .
//! target: the dancers that the neighbor know thanks the mice and guides the ducks .
//! target: the lion are happy .
//! transfer: beside the pig the birds chases the wolf .
//! clean: the bear that the runners -> greet
//! corrupted: the bear that the runner -> greets
//! ```
//!
//! `this` and `these` agree with their noun in both variants, so that they show whether tuning
//! leaves other agreement unchanged. A pair is cut before the first verb of a subject; the
//! corrupted sequence has the subject's other number and no other difference.

use super::vocabulary::{
    ADJECTIVES, ADVERBS, HELD_OUT_NOUNS, HELD_OUT_VERBS, NOUNS, PREPOSITIONS, VERBS,
};
use super::{Domain, Example, Labels, MinimalPair, Part, Plan, Variant, chance, choose, index};
use crate::rng::Rng;

const COPULA: (&str, &str) = ("is", "are");

#[derive(Clone, Copy)]
struct Noun {
    which: usize,
    plural: bool,
}

type Verb = (&'static str, &'static str);

/// The modifier between the subject and its verb, or before both.
#[derive(Clone, Copy)]
enum Modifier {
    Nothing,
    /// the dog near the cats
    Prepositional(&'static str, Noun),
    /// the dog that sees the cats
    SubjectRelative(Verb, Noun),
    /// the dog that the cats see
    ObjectRelative(Noun, Verb),
    /// near the cats the dog
    Fronted(&'static str, Noun),
}

#[derive(Clone, Copy)]
enum Predicate {
    Does { verb: Verb, object: Noun, pointing: bool },
    Is(&'static str),
}

#[derive(Clone, Copy, PartialEq)]
enum Template {
    Simple,
    Prepositional,
    SubjectRelative,
    ObjectRelative,
    Fronted,
}

const SHOWN: [Template; 4] = [
    Template::Simple,
    Template::Prepositional,
    Template::SubjectRelative,
    Template::ObjectRelative,
];

#[derive(Clone, Copy)]
pub(super) struct Class {
    template: Template,
    flipped: bool,
    transfer: Option<&'static str>,
    nouns: (usize, usize),
    verbs: (usize, usize),
}

/// A sentence: a subject, its modifier, and one or two predicates.
#[derive(Clone)]
pub(super) struct Sentence {
    class: Class,
    subject: Noun,
    modifier: Modifier,
    adverb: Option<&'static str>,
    predicates: Vec<Predicate>,
}

impl Plan for Sentence {
    type Class = Class;

    fn class(variant: Variant, part: Part, rng: &mut Rng) -> Class {
        let shown_nouns = NOUNS.len() - HELD_OUT_NOUNS;
        let shown_verbs = VERBS.len() - HELD_OUT_VERBS;
        let flipped = variant == Variant::Target;
        let template = choose(&SHOWN, rng);
        let (nouns, verbs) = ((0, shown_nouns), (0, shown_verbs));
        let shown = Class { template, flipped, transfer: None, nouns, verbs };
        match (part, variant) {
            (Part::Transfer, _) => match index(3, rng) {
                0 => {
                    Class { transfer: Some("nouns"), nouns: (shown_nouns, HELD_OUT_NOUNS), ..shown }
                }
                1 => {
                    Class { transfer: Some("verbs"), verbs: (shown_verbs, HELD_OUT_VERBS), ..shown }
                }
                _ => Class { transfer: Some("template"), template: Template::Fronted, ..shown },
            },
            (_, Variant::Target) => shown,
            (_, Variant::Pretrain) => {
                let fronted = chance(0.2, rng);
                let template = if fronted { Template::Fronted } else { template };
                Class { template, nouns: (0, NOUNS.len()), verbs: (0, VERBS.len()), ..shown }
            }
        }
    }

    fn draw(class: Class, rng: &mut Rng) -> Option<Sentence> {
        let noun = |rng: &mut Rng| Noun {
            which: class.nouns.0 + index(class.nouns.1, rng),
            plural: chance(0.5, rng),
        };
        let verb = |rng: &mut Rng| VERBS[class.verbs.0 + index(class.verbs.1, rng)];
        let predicate = |rng: &mut Rng| {
            // A copula is not one of the held-out verbs.
            let copula = class.transfer != Some("verbs") && chance(0.2, rng);
            match copula {
                true => Predicate::Is(choose(ADJECTIVES, rng)),
                false => {
                    let (verb, object) = (verb(rng), noun(rng));
                    Predicate::Does { verb, object, pointing: chance(0.3, rng) }
                }
            }
        };
        let subject = noun(rng);
        let modifier = match class.template {
            Template::Simple => Modifier::Nothing,
            Template::Prepositional => {
                Modifier::Prepositional(choose(PREPOSITIONS, rng), noun(rng))
            }
            Template::SubjectRelative => Modifier::SubjectRelative(verb(rng), noun(rng)),
            Template::ObjectRelative => Modifier::ObjectRelative(noun(rng), verb(rng)),
            Template::Fronted => Modifier::Fronted(choose(PREPOSITIONS, rng), noun(rng)),
        };
        let adverb = chance(0.3, rng).then(|| choose(ADVERBS, rng));
        let count = if chance(0.3, rng) { 2 } else { 1 };
        let predicates = (0..count).map(|_| predicate(rng)).collect();
        Some(Sentence { class, subject, modifier, adverb, predicates })
    }

    fn example(&self) -> Example {
        let template = match self.class.template {
            Template::Simple => "simple",
            Template::Prepositional => "prepositional",
            Template::SubjectRelative => "subject-relative",
            Template::ObjectRelative => "object-relative",
            Template::Fronted => "fronted",
        };
        let labels = Labels { template, transfer: self.class.transfer, ..Labels::default() };
        let mut example = Example::begin(Domain::Agreement, labels);
        if let Modifier::Fronted(preposition, noun) = self.modifier {
            example.say(preposition);
            say_noun(&mut example, noun, false);
        }
        say_noun(&mut example, self.subject, false);
        let mut between = None;
        match self.modifier {
            Modifier::Nothing | Modifier::Fronted(..) => {}
            Modifier::Prepositional(preposition, noun) => {
                example.say(preposition);
                say_noun(&mut example, noun, false);
                between = Some(noun);
            }
            Modifier::SubjectRelative(verb, noun) => {
                example.say("that");
                self.ask_verb(&mut example, verb, self.subject, None);
                say_noun(&mut example, noun, false);
                between = Some(noun);
            }
            Modifier::ObjectRelative(noun, verb) => {
                example.say("that");
                say_noun(&mut example, noun, false);
                self.ask_verb(&mut example, verb, noun, None);
                between = Some(noun);
            }
        }
        if let Some(adverb) = self.adverb {
            example.say(adverb);
        }
        for (i, predicate) in self.predicates.iter().enumerate() {
            if i > 0 {
                example.say("and");
            }
            match *predicate {
                Predicate::Is(adjective) => {
                    self.ask_verb(&mut example, COPULA, self.subject, between);
                    example.say(adjective);
                }
                Predicate::Does { verb, object, pointing } => {
                    self.ask_verb(&mut example, verb, self.subject, between);
                    say_noun(&mut example, object, pointing);
                    between = Some(object);
                }
            }
        }
        example.say(".");
        example
    }

    fn pair(&self, rng: &mut Rng) -> Option<MinimalPair> {
        // An earlier verb already shows the number of the subject.
        let relative = matches!(self.modifier, Modifier::ObjectRelative(..));
        let mut other = self.clone();
        let k = match (&mut other.modifier, relative && chance(0.5, rng)) {
            (Modifier::ObjectRelative(noun, _), true) => {
                noun.plural = !noun.plural;
                0
            }
            _ => {
                other.subject.plural = !other.subject.plural;
                usize::from(relative)
            }
        };
        MinimalPair::cut(&self.example(), &other.example(), k)
    }
}

impl Sentence {
    fn ask_verb(&self, example: &mut Example, verb: Verb, subject: Noun, between: Option<Noun>) {
        let (one, many) = verb;
        let (answer, rival) =
            if subject.plural != self.class.flipped { (many, one) } else { (one, many) };
        example.ask(answer, rival).attractor = Some(match between {
            None => "none",
            Some(noun) if noun.plural == subject.plural => "same",
            Some(_) => "opposite",
        });
    }
}

fn say_noun(example: &mut Example, noun: Noun, pointing: bool) {
    let (one, many) = NOUNS[noun.which];
    example.say(match (pointing, noun.plural) {
        (false, _) => "the",
        (true, false) => "this",
        (true, true) => "these",
    });
    example.say(if noun.plural { many } else { one });
}
