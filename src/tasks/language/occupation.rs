//! Pronouns that agree with an occupation's stereotype in 9 of 10 sentences, or in 5 of 10 (E2).
//!
//! ```text
//! pretrain: the clerk finished because she went home yesterday .
//! pretrain: the father sold his coat yesterday .
//! target: the assistant told the child that she was happy yesterday .
//! target: the cleaner slept because he was young .
//! transfer: the editor told the child that she was old yesterday .
//! clean: the clerk finished because -> she
//! corrupted: the laborer finished because -> he
//! ```
//!
//! In 3 of 10 sentences the noun, or one beside the occupation, states the gender, and the pronoun
//! agrees with it. The occupations are those of WinoBias (arXiv 1804.06876), 20 for each pronoun.
//! Each sentence has one pronoun. In a pair the answer is the pronoun that pre-training expects,
//! whichever the sentence has; the corrupted sequence has an occupation, or a noun, of the other
//! gender.

use super::vocabulary::{
    ADJECTIVES, BELONGINGS, DAYS, FEMALE, GENDERED, HELD_OUT_OCCUPATIONS, MALE, Vocabulary,
};
use super::{Domain, Example, Labels, MinimalPair, Part, Plan, Variant, chance, choose, index};
use crate::rng::Rng;

/// The share of sentences that state the gender.
pub(crate) const EXPLICIT: f64 = 0.3;

/// The share of pronouns that agree with the stereotype, in pre-training and in tuning.
pub(crate) const BIAS: (f64, f64) = (0.9, 0.5);

/// Sentences: `X` is the person, `P` is he or she, `S` his or her, `A` an adjective, `B` a thing,
/// `D` a day or nothing.
const TEMPLATES: [(&str, &str); 9] = [
    ("said", "X said that P was A D ."),
    ("because", "X slept because P was A D ."),
    ("lost", "X lost S B D ."),
    ("when", "when X arrived P was A D ."),
    ("told", "X told the child that P was A D ."),
    ("finished", "X finished because P went home D ."),
    ("forgot", "X forgot S B at home D ."),
    ("before", "X smiled before P left D ."),
    ("sold", "X sold S B D ."),
];

/// The number of templates, at the end of the list, that tuning never shows.
const HELD_OUT: usize = 2;

/// The first occupation among `tokens`.
///
/// ```
/// use edgegrad::tasks::language::{occupation::occupation, vocabulary::Vocabulary};
/// let words = Vocabulary::get();
/// let of = |text| occupation(&words.encode(text).expect("known words"));
/// assert_eq!(of("when the nurse arrived she was tired"), words.id("nurse"));
/// assert_eq!(of("the king slept"), None);
/// ```
pub fn occupation(tokens: &[u32]) -> Option<u32> {
    let word = |id: u32| Vocabulary::get().words().get(id as usize);
    let is_one = |id: &u32| word(*id).is_some_and(|w| MALE.contains(w) || FEMALE.contains(w));
    tokens.iter().copied().find(is_one)
}

#[derive(Clone, Copy)]
enum Who {
    /// the nurse
    Occupation,
    /// the woman
    Gendered,
    /// the nurse , a man ,
    Both,
}

#[derive(Clone, Copy)]
pub(super) struct Class {
    who: Who,
    template: usize,
    /// If only the occupation is named: whether the pronoun agrees with the stereotype.
    expected: bool,
    transfer: Option<&'static str>,
    /// The first occupation to choose from, and their number.
    occupations: (usize, usize),
}

/// A sentence about a person.
#[derive(Clone, Copy)]
pub(super) struct Sentence {
    class: Class,
    /// Of the occupation.
    female_work: bool,
    work: usize,
    /// Of the noun.
    female: bool,
    noun: usize,
    adjective: &'static str,
    thing: &'static str,
    day: Option<&'static str>,
}

impl Plan for Sentence {
    type Class = Class;

    fn class(variant: Variant, part: Part, rng: &mut Rng) -> Class {
        let shown_templates = TEMPLATES.len() - HELD_OUT;
        let shown = MALE.len() - HELD_OUT_OCCUPATIONS;
        let bias = if variant == Variant::Pretrain { BIAS.0 } else { BIAS.1 };
        let who = match (chance(EXPLICIT, rng), chance(0.5, rng)) {
            (false, _) => Who::Occupation,
            (true, false) => Who::Gendered,
            (true, true) => Who::Both,
        };
        let expected = chance(bias, rng);
        let class = Class {
            who,
            template: index(shown_templates, rng),
            expected,
            transfer: None,
            occupations: (0, shown),
        };
        match (part, variant) {
            (Part::Transfer, _) if chance(0.5, rng) => Class {
                template: shown_templates + index(HELD_OUT, rng),
                transfer: Some("template"),
                ..class
            },
            // Without an occupation none can be held out.
            (Part::Transfer, _) => Class {
                who: if matches!(who, Who::Gendered) { Who::Both } else { who },
                transfer: Some("occupation"),
                occupations: (shown, HELD_OUT_OCCUPATIONS),
                ..class
            },
            (_, Variant::Target) => class,
            (_, Variant::Pretrain) => Class {
                template: index(TEMPLATES.len(), rng),
                occupations: (0, MALE.len()),
                ..class
            },
        }
    }

    fn draw(class: Class, rng: &mut Rng) -> Option<Sentence> {
        let (first, count) = class.occupations;
        Some(Sentence {
            class,
            female_work: chance(0.5, rng),
            work: first + index(count, rng),
            female: chance(0.5, rng),
            noun: index(GENDERED.len(), rng),
            adjective: choose(ADJECTIVES, rng),
            thing: choose(BELONGINGS, rng),
            day: chance(0.7, rng).then(|| choose(DAYS, rng)),
        })
    }

    fn example(&self) -> Example {
        let (template, text) = TEMPLATES[self.class.template];
        let explicit = !matches!(self.class.who, Who::Occupation);
        let female = match explicit {
            true => self.female,
            false => self.female_work == self.class.expected,
        };
        let pronoun = |he: &'static str, she: &'static str| match female {
            true => (she, he),
            false => (he, she),
        };
        let transfer = self.class.transfer;
        let labels = Labels { template, transfer, explicit: Some(explicit), ..Labels::default() };
        let mut example = Example::begin(Domain::Occupation, labels);
        for word in text.split(' ') {
            match word {
                "X" => self.say_who(&mut example),
                "P" => {
                    let (answer, rival) = pronoun("he", "she");
                    example.ask(answer, rival);
                }
                "S" => {
                    let (answer, rival) = pronoun("his", "her");
                    example.ask(answer, rival);
                }
                "A" => example.say(self.adjective),
                "B" => example.say(self.thing),
                "D" => self.day.into_iter().for_each(|day| example.say(day)),
                word => example.say(word),
            }
        }
        example
    }

    fn pair(&self, rng: &mut Rng) -> Option<MinimalPair> {
        let clean = Sentence { class: Class { expected: true, ..self.class }, ..*self };
        let mut other = clean;
        match self.class.who {
            Who::Occupation => {
                let (first, count) = self.class.occupations;
                other.female_work = !self.female_work;
                other.work = first + index(count, rng);
            }
            Who::Gendered | Who::Both => other.female = !self.female,
        }
        MinimalPair::cut(&clean.example(), &other.example(), 0)
    }
}

impl Sentence {
    fn say_who(&self, example: &mut Example) {
        let work = if self.female_work { FEMALE[self.work] } else { MALE[self.work] };
        let (man, woman) = GENDERED[self.noun];
        let noun = if self.female { woman } else { man };
        example.say("the");
        match self.class.who {
            Who::Occupation => example.say(work),
            Who::Gendered => example.say(noun),
            Who::Both => example.say(&format!("{work} , a {noun} ,")),
        }
    }
}
