//! The number of a verb is that of its subject, whatever stands between them.
//!
//! ```text
//! The keys -> are, were          The key -> is, was
//! The keys to the cabinet -> are, were
//! The key to the cabinets -> is, was
//! ```
//!
//! In the corrupted text the subject has the other number. Spans: `subject`, `attractor`.

use super::{Answers, TextPair, choose, choose_other, first, last};
use crate::rng::Rng;
use std::iter;

/// Nouns with their plurals.
const NOUNS: [(&str, &str); 30] = [
    ("key", "keys"),
    ("dog", "dogs"),
    ("teacher", "teachers"),
    ("author", "authors"),
    ("book", "books"),
    ("doctor", "doctors"),
    ("friend", "friends"),
    ("car", "cars"),
    ("student", "students"),
    ("farmer", "farmers"),
    ("lawyer", "lawyers"),
    ("guard", "guards"),
    ("picture", "pictures"),
    ("house", "houses"),
    ("actor", "actors"),
    ("manager", "managers"),
    ("pilot", "pilots"),
    ("officer", "officers"),
    ("tree", "trees"),
    ("horse", "horses"),
    ("river", "rivers"),
    ("letter", "letters"),
    ("child", "children"),
    ("woman", "women"),
    ("man", "men"),
    ("label", "labels"),
    ("window", "windows"),
    ("girl", "girls"),
    ("boy", "boys"),
    ("writer", "writers"),
];

const BETWEEN: [&str; 6] = ["near", "behind", "beside", "in front of", "next to", "across from"];

const BEFORE: [&str; 8] = ["", "old ", "young ", "tall ", "new ", "other ", "famous ", "small "];

/// With an attractor, a noun of the other number than the clean subject's stands before the verb.
pub(super) fn draw(attractor: bool, rng: &mut Rng) -> TextPair {
    let plural = rng.below(2) == 1;
    let noun = choose(&NOUNS, rng);
    let form =
        |noun: (&'static str, &'static str), plural: bool| if plural { noun.1 } else { noun.0 };
    let before = choose(&BEFORE, rng);
    let other = attractor.then(|| form(choose_other(&NOUNS, &[noun], rng), !plural));
    let rest =
        other.map_or(String::new(), |other| format!(" {} the {other}", choose(&BETWEEN, rng)));
    let text = |plural: bool| format!("The {before}{}{rest}", form(noun, plural));
    let clean = text(plural);
    let subject = ("subject", first(&clean, form(noun, plural)));
    let attractor = other.map(|other| ("attractor", last(&clean, other)));
    TextPair {
        spans: iter::once(subject).chain(attractor).collect(),
        clean,
        corrupted: text(!plural),
        answer: verbs(plural),
        distractor: verbs(!plural),
    }
}

/// The verbs after a subject in the singular or the plural.
pub(super) fn verbs(plural: bool) -> Answers {
    let verbs = if plural { [" are", " were"] } else { [" is", " was"] };
    Answers::Texts(verbs.map(String::from).to_vec())
}
