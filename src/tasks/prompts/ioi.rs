//! Indirect object identification (Wang et al., arXiv 2211.00593): of two names one is said again;
//! the other one is given something.
//!
//! ```text
//! ABBA: When Mary and John went to the store, John gave a drink to -> Mary
//! BABA: When John and Mary went to the store, John gave a drink to -> Mary
//! ```
//!
//! In the corrupted text the other name is said again. Spans: `IO` is the name that is said once,
//! `S1` and `S2` are where the other one is said.

use super::{Answers, TextPair, choose, choose_other, first, last};
use crate::rng::Rng;

const NAMES: [&str; 36] = [
    "Mary", "John", "Tom", "James", "Anna", "Paul", "Mark", "Peter", "Sarah", "David", "Laura",
    "Kevin", "Lisa", "Emily", "Michael", "Robert", "Daniel", "George", "Kate", "Alice", "Jack",
    "Jane", "Adam", "Simon", "Rachel", "Martin", "Andrew", "Chris", "Rose", "Ruth", "Scott",
    "Frank", "Henry", "Charles", "Jason", "Thomas",
];

const PLACES: [&str; 10] = [
    "store",
    "school",
    "garden",
    "station",
    "office",
    "hospital",
    "restaurant",
    "beach",
    "park",
    "library",
];

const THINGS: [&str; 9] =
    ["drink", "book", "ring", "ball", "letter", "key", "gift", "map", "computer"];

/// `A` and `B` are the names in their order, `S` the one that is said again, `P` a place, `T` a
/// thing.
const TEMPLATES: [&str; 6] = [
    "When A and B went to the P, S gave a T to",
    "Then, A and B went to the P. S gave a T to",
    "After A and B went to the P, S handed a T to",
    "While A and B were at the P, S gave a T to",
    "Today, A and B had a lot of fun at the P. S gave a T to",
    "Friends since school, A and B met at the P. S passed a T to",
];

pub(super) fn draw(rng: &mut Rng) -> TextPair {
    let (a, template) = (choose(&NAMES, rng), choose(&TEMPLATES, rng));
    let b = choose_other(&NAMES, &[a], rng);
    let (place, thing) = (choose(&PLACES, rng), choose(&THINGS, rng));
    let (given, again) = match rng.below(2) {
        0 => (a, b),
        _ => (b, a),
    };
    let text = |again: &str| {
        filled(template, &[("A", a), ("B", b), ("S", again), ("P", place), ("T", thing)])
    };
    let clean = text(again);
    TextPair {
        spans: vec![
            ("IO", first(&clean, given)),
            ("S1", first(&clean, again)),
            ("S2", last(&clean, again)),
        ],
        clean,
        corrupted: text(given),
        answer: Answers::one(format!(" {given}")),
        distractor: Answers::one(format!(" {again}")),
    }
}

/// A template with something for each of its letters that stand alone.
fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let word = |word: &str| {
        let (stem, mark) = word.split_at(word.trim_end_matches([',', '.']).len());
        let value =
            values.iter().find(|(letter, _)| *letter == stem).map_or(stem, |(_, value)| value);
        format!("{value}{mark}")
    };
    template.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
