//! The capital of a country.
//!
//! ```text
//! The capital of France is -> Paris, not Rome     corrupted: The capital of Italy is
//! ```
//!
//! Span: `country`.

use super::{Answers, TextPair, choose, choose_other, first};
use crate::rng::Rng;

const CAPITALS: [(&str, &str); 40] = [
    ("France", "Paris"),
    ("Italy", "Rome"),
    ("Germany", "Berlin"),
    ("Spain", "Madrid"),
    ("England", "London"),
    ("Russia", "Moscow"),
    ("China", "Beijing"),
    ("Japan", "Tokyo"),
    ("Egypt", "Cairo"),
    ("Greece", "Athens"),
    ("Austria", "Vienna"),
    ("Ireland", "Dublin"),
    ("Cuba", "Havana"),
    ("Iraq", "Baghdad"),
    ("Iran", "Tehran"),
    ("Syria", "Damascus"),
    ("Poland", "Warsaw"),
    ("Hungary", "Budapest"),
    ("Sweden", "Stockholm"),
    ("Norway", "Oslo"),
    ("Denmark", "Copenhagen"),
    ("Finland", "Helsinki"),
    ("Portugal", "Lisbon"),
    ("Belgium", "Brussels"),
    ("Canada", "Ottawa"),
    ("Peru", "Lima"),
    ("Chile", "Santiago"),
    ("Kenya", "Nairobi"),
    ("Thailand", "Bangkok"),
    ("Vietnam", "Hanoi"),
    ("Lebanon", "Beirut"),
    ("Israel", "Jerusalem"),
    ("Turkey", "Ankara"),
    ("Ukraine", "Kiev"),
    ("Romania", "Bucharest"),
    ("Libya", "Tripoli"),
    ("Nepal", "Kathmandu"),
    ("Venezuela", "Caracas"),
    ("Qatar", "Doha"),
    ("Jordan", "Amman"),
];

const TEMPLATES: [&str; 4] = [
    "The capital of X is",
    "The capital city of X is",
    "The government of X has its seat in",
    "Q: What is the capital of X? A: It is",
];

pub(super) fn draw(rng: &mut Rng) -> TextPair {
    let template = choose(&TEMPLATES, rng);
    let clean = choose(&CAPITALS, rng);
    let corrupted = choose_other(&CAPITALS, &[clean], rng);
    let text = |country: &str| template.replace('X', country);
    TextPair {
        spans: vec![("country", first(&text(clean.0), clean.0))],
        clean: text(clean.0),
        corrupted: text(corrupted.0),
        answer: Answers::one(format!(" {}", clean.1)),
        distractor: Answers::one(format!(" {}", corrupted.1)),
    }
}
