//! Clean and corrupted sequences for circuit discovery.

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
    /// The next token of the clean sequence.
    pub answer: u32,
    /// The next token of the corrupted sequence.
    pub distractor: u32,
    /// The position of the prediction: the last one.
    pub position: usize,
}

impl MinimalPair {
    /// Cuts both examples before their `k`-th answer. `None` if its position differs between them,
    /// if it is the same token in both, or if the sequences before it are equal.
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

/// The pairs as the text of a `.jsonl` file, one per line.
pub fn jsonl(pairs: &[MinimalPair]) -> String {
    let line = |pair| serde_json::to_string(pair).expect("numbers and lists of them") + "\n";
    pairs.iter().map(line).collect()
}
