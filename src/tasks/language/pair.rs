//! Clean and corrupted sequences for the discovery of circuits.

use super::Example;
use serde::Serialize;

/// Two sequences that differ in one thing, which decides the next token: a line of the pairs files
/// that [`Pairs`](crate::formats::pairs::Pairs) reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MinimalPair {
    /// `[T]`, from `<bos>` to the token before the answer.
    pub clean: Vec<u32>,
    /// `[T]`, with another subject, operand, truth value or fact.
    pub corrupted: Vec<u32>,
    /// What comes next in the clean sequence.
    pub answer: u32,
    /// What comes next in the corrupted one.
    pub distractor: u32,
    /// Where it is asked: the last position.
    pub position: usize,
}

impl MinimalPair {
    /// Cuts both examples before their `k`-th asked token. None if its place is not the same in both,
    /// or it does not differ, or there is nothing else that does.
    pub(super) fn cut(clean: &Example, corrupted: &Example, k: usize) -> Option<MinimalPair> {
        let (a, b) = (clean.asked[k], corrupted.asked[k]);
        let pair = MinimalPair {
            clean: clean.tokens[..a.at].to_vec(),
            corrupted: corrupted.tokens[..b.at].to_vec(),
            answer: a.answer,
            distractor: b.answer,
            position: a.at - 1,
        };
        let good = a.at == b.at && a.answer != b.answer && pair.clean != pair.corrupted;
        good.then_some(pair)
    }
}

/// The pairs as text of a `.jsonl` file, a line each.
pub fn jsonl(pairs: &[MinimalPair]) -> String {
    let line = |pair| serde_json::to_string(pair).expect("numbers and lists of them") + "\n";
    pairs.iter().map(line).collect()
}
