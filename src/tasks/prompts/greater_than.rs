//! Greater than (Hanna et al., arXiv 2305.00586): a span of years ends after it has begun.
//!
//! ```text
//! The war lasted from the year 1732 to the year 17 -> 33, 34, .. 99, not 02, 03, .. 32
//! The war lasted from the year 1732 to the year 17 -> 4, 5, .. 9, not 0, 1, 2
//! ```
//!
//! The second form is that of tokenizers whose digits are tokens. In the corrupted text the span
//! begins in the year 01, after which every year is late enough. Spans: `noun`, and the `year` in
//! which it begins.

use super::{Answers, TextPair, choose, first};
use crate::rng::Rng;
use std::ops::Range;

const NOUNS: [&str; 24] = [
    "war",
    "journey",
    "treaty",
    "reign",
    "siege",
    "campaign",
    "expedition",
    "empire",
    "alliance",
    "conflict",
    "dynasty",
    "project",
    "rebellion",
    "revolution",
    "study",
    "voyage",
    "trial",
    "tour",
    "construction",
    "colony",
    "exile",
    "crusade",
    "plague",
    "dispute",
];

pub(super) fn draw(rng: &mut Rng) -> Vec<TextPair> {
    let noun = choose(&NOUNS, rng);
    let century = 11 + rng.below(7);
    // Two digits, of which the first leaves room on both sides.
    let year = 12 + rng.below(77);
    let text = |year: u64| {
        format!("The {noun} lasted from the year {century}{year:02} to the year {century}")
    };
    let of = |[answer, distractor]: [Answers; 2]| TextPair {
        spans: vec![
            ("noun", first(&text(year), noun)),
            ("year", first(&text(year), &format!("{century}{year:02}"))),
        ],
        clean: text(year),
        corrupted: text(1),
        answer,
        distractor,
    };
    // Nothing here ends before the year 02.
    sides(year, 2).into_iter().map(of).collect()
}

/// What is later than the last two digits of a year, and what is from `first` on and not later: as
/// two digits, or the first of two.
pub(super) fn sides(year: u64, first: u64) -> Vec<[Answers; 2]> {
    let digit = year / 10;
    let two = |years: Range<u64>| Answers::Texts(years.map(|y| format!("{y:02}")).collect());
    let one = |digits: Range<u64>| Answers::Texts(digits.map(|d| d.to_string()).collect());
    vec![[two(year + 1..100), two(first..year + 1)], [one(digit + 1..10), one(0..digit)]]
}
