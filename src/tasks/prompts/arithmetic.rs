//! The sum or the difference of two numbers, in the words of MIB's tasks (Mueller et al., arXiv
//! 2504.13151).
//!
//! ```text
//! The sum of 13 and 24 is -> 37          corrupted: The sum of 13 and 31 is
//! The difference between 13 and 4 is -> 9
//! ```
//!
//! The number follows with a space before it or after a space in the text, whichever is one token.
//! Results below 10 are drawn as often as others, for tokenizers whose digits are tokens. Spans are
//! the operands, `a` and `b`.

use super::{Answers, TextPair, choose, first, last};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng) -> Vec<TextPair> {
    let most = choose(&[9, 99], rng);
    let adds = rng.below(2) == 0;
    let operands = |rng: &mut Rng, first: Option<u64>| {
        let a = first.unwrap_or_else(|| 1 + rng.below(most - 1));
        let b = if adds { 1 + rng.below(most - a) } else { 1 + rng.below(a) };
        (a, b)
    };
    let (a, b) = operands(rng, None);
    let (_, other) = operands(rng, Some(a));
    let asks = if rng.below(2) == 0 { "" } else { "Q: What is " };
    let text = |b: u64| match (asks, adds) {
        ("", true) => format!("The sum of {a} and {b} is"),
        ("", false) => format!("The difference between {a} and {b} is"),
        (asks, true) => format!("{asks}{a} plus {b}? A:"),
        (asks, false) => format!("{asks}{a} minus {b}? A:"),
    };
    let result = |b: u64| if adds { a + b } else { a - b };
    let form = |end: &str, start: &str| TextPair {
        spans: vec![("a", first(&text(b), &a.to_string())), ("b", last(&text(b), &b.to_string()))],
        clean: format!("{}{end}", text(b)),
        corrupted: format!("{}{end}", text(other)),
        answer: Answers::one(format!("{start}{}", result(b))),
        distractor: Answers::one(format!("{start}{}", result(other))),
    };
    vec![form("", " "), form(" ", "")]
}
