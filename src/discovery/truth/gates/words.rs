//! True and false words, and the marks around them: the tokens of the gates that say yes or no, and
//! the heads that find words.

use super::{GatePair, HARD, PAIRS, Sizes, Weights, choose};
use crate::rng::Rng;
use std::ops::Range;

/// Tokens that mean "false".
pub(super) const FALSE: Range<usize> = 0..4;
/// Tokens that mean "true".
pub(super) const TRUE: Range<usize> = 4..8;
/// The last token, at which the answer is given.
pub(super) const ASK: usize = 8;
/// The first token, where a head needs a position to attend to by default.
pub(super) const BEGIN: usize = 9;
/// All tokens.
pub(super) const VOCAB: usize = 10;
/// The last position of four words.
pub(super) const LAST: usize = 3;
/// The channels of positions.
pub(super) const POSITIONS: Range<usize> = VOCAB..VOCAB + LAST + 1;
/// The channels of what two heads find.
pub(super) const FOUND: Range<usize> = POSITIONS.end..POSITIONS.end + 2;
/// The outputs.
pub(super) const NO: usize = 0;
/// The outputs.
pub(super) const YES: usize = 1;

/// The names of all tokens.
pub(super) fn names() -> Vec<String> {
    let some = |what: &'static str| (0..4).map(move |i| format!("{what}{i}"));
    some("false").chain(some("true")).chain(["ask".into(), "begin".into()]).collect()
}

/// The names of the outputs.
pub(super) fn labels() -> Vec<String> {
    ["no", "yes"].map(String::from).into()
}

/// Any word.
pub(super) fn any(rng: &mut Rng) -> usize {
    choose(rng, FALSE.start..TRUE.end)
}

/// A word that means `is`.
pub(super) fn word(rng: &mut Rng, is: bool) -> usize {
    choose(rng, if is { TRUE } else { FALSE })
}

/// Pairs of clean sequences that mean yes and corrupted ones that mean no, from a function that
/// makes either for pair `i`.
pub(super) fn pairs(
    rng: &mut Rng,
    sequence: impl Fn(&mut Rng, usize, bool) -> Vec<usize>,
) -> Vec<GatePair> {
    let pair = |i: usize| GatePair {
        clean: sequence(rng, i, true),
        corrupted: sequence(rng, i, false),
        answer: YES,
        distractor: NO,
    };
    (0..PAIRS).map(pair).collect()
}

/// A layer of two heads that find, for the last of four positions, whether the word at position
/// `at[h]` is true, as 1 in the channel `FOUND.start + h`; `more` channels follow.
pub(super) fn finders(at: [usize; 2], more: usize, d_mlp: usize) -> Weights {
    let mut w = Weights::zeros(Sizes {
        vocab: (VOCAB, 2),
        context: (LAST + 1, true),
        layers: 1,
        heads: 2,
        d_model: FOUND.end + more,
        d_head: 1,
        d_mlp,
    });
    w.one_hot(0..VOCAB, POSITIONS);
    for (head, (at, found)) in w.attention[0].iter_mut().zip(at.into_iter().zip(FOUND)) {
        head.q.set(POSITIONS.start + LAST, 0, HARD);
        head.k.set(POSITIONS.start + at, 0, 1.0);
        TRUE.for_each(|word| head.v.set(word, 0, 1.0));
        head.o.set(0, found, 1.0);
    }
    w
}
