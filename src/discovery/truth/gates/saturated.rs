//! A softmax that two equal keys saturate: either of them has all of the weight.
//!
//! ```text
//! begin   word   ask   ask
//! key at 1 = whether its own word is true          (straight from the input)
//! key at 2 = whether the word before it is true    (a0.h0)
//! yes = the weight of a1.h0 on both; `begin` has half of a true key's score
//! ```
//!
//! With both keys the weight is `2 / (2 + e^-24)`, with one of them `1 / (1 + e^-24)`: removing one
//! changes nothing, and a score has a slope of `e^-24 / 4`, which is no number beside 1 in single
//! precision. At twice the temperature, as the rules of GIM have it, it is `e^-12 / 4`. Without
//! both, the weight is `2 e^-24`.

use super::words::{ASK, BEGIN, LAST, POSITIONS, TRUE, VOCAB, YES};
use super::{Gate, HARD, Sizes, Weights, words};
use crate::rng::Rng;

/// The position of the word.
const WORD: usize = 1;
/// The position that is told of the word before it.
const AFTER: usize = 2;
/// By how much a true key exceeds `begin`, and `begin` a false one.
pub const APART: f32 = 24.0;

pub(super) fn gate(rng: &mut Rng) -> Gate {
    let at = |position: usize| POSITIONS.start + position;
    let (told, out) = (POSITIONS.end, POSITIONS.end + 1);
    let mut w = Weights::zeros(Sizes {
        vocab: (VOCAB, 2),
        context: (LAST + 1, true),
        layers: 2,
        heads: 1,
        d_model: out + 1,
        d_head: 2,
        d_mlp: 0,
    });
    w.one_hot(0..VOCAB, POSITIONS);
    let tell = &mut w.attention[0][0];
    // From the position after the word to the word, from all others to `begin`.
    for position in 0..=LAST {
        tell.q.set(at(position), usize::from(position != AFTER), HARD);
    }
    tell.k.set(at(WORD), 0, 1.0);
    tell.k.set(at(0), 1, 1.0);
    TRUE.for_each(|word| tell.v.set(word, 0, 1.0));
    tell.o.set(0, told, 1.0);
    let look = &mut w.attention[1][0];
    look.q.set(at(LAST), 0, APART);
    look.k.set(at(0), 0, 1.0);
    TRUE.for_each(|word| look.k.set(word, 0, 2.0));
    look.k.set(told, 0, 2.0);
    for position in [WORD, AFTER] {
        look.v.set(at(position), 0, 1.0);
    }
    look.o.set(0, out, 1.0);
    w.w_u.set(out, YES, 1.0);
    Gate {
        weights: w,
        description: "Says yes if the word is true: a1.h0 looks for keys of true words, of which \
                      there are two, that of the word and that of the position after it, which \
                      a0.h0 tells. Either has all of the weight, so that removing one changes \
                      nothing and neither has a slope that single precision could tell from 0. \
                      Both are true, the edges that matter in some set. Clean sequences mean yes, \
                      corrupted ones no.",
        vocab: words::names(),
        labels: words::labels(),
        pairs: words::pairs(rng, |rng, _, clean| vec![BEGIN, words::word(rng, clean), ASK, ASK]),
        truth: &["input->a0.h0<v>", "a0.h0->a1.h0<k>", "input->a1.h0<k>", "a1.h0->logits"],
    }
}
