//! An induction head: which token followed this one before?
//!
//! ```text
//! begin  c  A  B  d  e  A  ->  B
//! a0.h0: the token before each position (by position)
//! a1.h0: from the last A to the position whose token before is A, carries its token B
//! ```
//!
//! Keys of the second head are computed from the output of the first one (K-composition). `a1.h0`
//! is soft: the right score is [`SHARP`] above the others, so the answer has most of the weight and
//! derivatives see every edge. The other head of each layer copies tokens to channels that no part
//! reads.

use super::{Gate, GatePair, HARD, PAIRS, Sizes, Weights, choose};
use crate::rng::Rng;

/// Letters; one more token begins each sequence.
const LETTERS: usize = 6;
/// The letters and `begin`.
const VOCAB: usize = LETTERS + 1;
/// The first token of a sequence.
const BEGIN: usize = LETTERS;
/// `begin`, five letters, and the one that is asked for.
const LENGTH: usize = 7;
/// By how much the right score exceeds the others.
pub const SHARP: f32 = 5.0;

/// A sequence of different letters that ends with one of them again, and the letter that followed
/// it.
fn sequence(rng: &mut Rng) -> (Vec<usize>, usize) {
    let mut letters: Vec<usize> = (0..LETTERS).collect();
    rng.shuffle(&mut letters);
    let mut tokens = vec![BEGIN];
    tokens.extend(&letters[..LENGTH - 2]);
    // Not the last but one, which the last position follows too.
    let at = choose(rng, 1..LENGTH - 2);
    tokens.push(tokens[at]);
    let next = tokens[at + 1];
    (tokens, next)
}

/// The two heads of the circuit, and beside each a head that copies tokens to idle channels.
fn weights() -> Weights {
    let tokens = 0..VOCAB;
    let positions = tokens.end..tokens.end + LENGTH;
    let previous = positions.end..positions.end + VOCAB;
    let answer = previous.end..previous.end + VOCAB;
    let idle = answer.end..answer.end + VOCAB;
    // Tokens and positions are both this many.
    let channels = 0..VOCAB.max(LENGTH);
    let mut w = Weights::zeros(Sizes {
        vocab: (VOCAB, VOCAB),
        context: (LENGTH, true),
        layers: 2,
        heads: 2,
        d_model: idle.end,
        d_head: channels.len(),
        d_mlp: 0,
    });
    w.one_hot(tokens.clone(), positions.clone());

    let before = &mut w.attention[0][0];
    before.q.join(positions.clone(), 0..LENGTH, HARD);
    before.k.join(positions.start..positions.end - 1, 1..LENGTH, 1.0);
    before.v.join(tokens.clone(), 0..VOCAB, 1.0);
    before.o.join(0..VOCAB, previous.clone(), 1.0);

    let induction = &mut w.attention[1][0];
    induction.q.join(tokens.clone(), 0..VOCAB, SHARP);
    induction.k.join(previous, 0..VOCAB, 1.0);
    induction.v.join(tokens.clone(), 0..VOCAB, 1.0);
    induction.o.join(0..VOCAB, answer.clone(), 1.0);

    for layer in &mut w.attention {
        let copy = &mut layer[1];
        copy.q.join(positions.clone(), 0..LENGTH, HARD);
        copy.k.join(positions.clone(), 0..LENGTH, 1.0);
        copy.v.join(tokens.clone(), 0..VOCAB, 1.0);
        copy.o.join(0..VOCAB, idle.clone(), 1.0);
    }
    w.w_u.join(answer, 0..VOCAB, 1.0);
    w
}

/// Pairs of sequences with different answers.
fn pairs(rng: &mut Rng) -> Vec<GatePair> {
    let mut pairs = vec![];
    while pairs.len() < PAIRS {
        let ((clean, answer), (corrupted, distractor)) = (sequence(rng), sequence(rng));
        if answer != distractor {
            pairs.push(GatePair { clean, corrupted, answer, distractor });
        }
    }
    pairs
}

pub(super) fn gate(rng: &mut Rng) -> Gate {
    let mut names: Vec<String> = ('a'..).take(LETTERS).map(String::from).collect();
    names.push("begin".into());
    Gate {
        weights: weights(),
        description: "Says what followed the last token before: a0.h0 writes the token before each \
                      position, a1.h0 looks from the last token for the position whose token \
                      before is the same. Every true edge is needed, so that removing it alone \
                      changes the answer; attention of a1.h0 is soft, so that derivatives see them \
                      too. a0.h1 and a1.h1 write to channels that nobody reads.",
        vocab: names.clone(),
        labels: names,
        pairs: pairs(rng),
        truth: &[
            "input->a0.h0<v>",
            "a0.h0->a1.h0<k>",
            "input->a1.h0<q>",
            "input->a1.h0<v>",
            "a1.h0->logits",
        ],
    }
}
