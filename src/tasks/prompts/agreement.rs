//! The number of a verb is that of its subject, whatever stands between them.
//!
//! ```text
//! The keys -> are, were          The key -> is, was
//! The keys to the cabinet -> are, were
//! The key to the cabinets -> is, was
//! ```
//!
//! In the corrupted text the subject has the other number.

use super::{Answers, TextPair, choose, choose_other};
use crate::rng::Rng;

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
    let rest = match attractor {
        true => {
            let other = form(choose_other(&NOUNS, &[noun], rng), !plural);
            format!(" {} the {other}", choose(&BETWEEN, rng))
        }
        false => String::new(),
    };
    let text = |plural: bool| format!("The {before}{}{rest}", form(noun, plural));
    TextPair {
        clean: text(plural),
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
