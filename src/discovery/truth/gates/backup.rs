//! A backup head: it finds the word if, and only if, an earlier head has not.
//!
//! ```text
//! begin   word   any word   ask
//! A  = a0.h0: whether the word is true
//! A' = a1.h0: looks at `begin` and finds nothing if A = 1 (score 2 A against 1), else at the word
//! yes = A + A'
//! ```
//!
//! With both inputs of `a1.h0` clean, `A' = 0`: the head seems to do nothing. Without
//! `input->a0.h0<v>`, `A = 0` and `A' = 1`: still yes. Single patches see only the two edges that
//! make the heads inconsistent: without `a0.h0->logits` the answer is no, without `a0.h0->a1.h0<q>`
//! it is yes twice.

use super::words::{ASK, BEGIN, LAST, POSITIONS, TRUE, VOCAB, YES};
use super::{Gate, GatePair, HARD, Sizes, Weights, words};
use crate::rng::Rng;

/// The position of the word.
const WORD: usize = 1;

/// One head a layer that finds the word, each but the first only if none before it has. Shared with
/// [`backup_chain`](super::backup_chain).
pub(super) fn chain(layers: usize) -> Weights {
    let (begin, word, last) = (POSITIONS.start, POSITIONS.start + WORD, POSITIONS.start + LAST);
    let found = POSITIONS.end;
    let mut w = Weights::zeros(Sizes {
        vocab: (VOCAB, 2),
        context: (LAST + 1, true),
        layers,
        heads: 1,
        d_model: found + 1,
        d_head: 2,
        d_mlp: 0,
    });
    w.one_hot(0..VOCAB, POSITIONS);
    for layer in &mut w.attention {
        let head = &mut layer[0];
        head.q.set(last, 0, HARD);
        head.k.set(word, 0, 1.0);
        TRUE.for_each(|token| head.v.set(token, 0, 1.0));
        head.o.set(0, found, 1.0);
    }
    for layer in &mut w.attention[1..] {
        let backup = &mut layer[0];
        backup.q.set(found, 1, 2.0 * HARD);
        backup.k.set(begin, 1, 1.0);
    }
    w.w_u.set(found, YES, 1.0);
    w
}

/// Pairs whose word is true in the clean and false in the corrupted sequence.
pub(super) fn pairs(rng: &mut Rng) -> Vec<GatePair> {
    words::pairs(rng, |rng, _, clean| vec![BEGIN, words::word(rng, clean), words::any(rng), ASK])
}

pub(super) fn gate(rng: &mut Rng) -> Gate {
    Gate {
        weights: chain(2),
        description: "Says yes if the first word is true: a0.h0 finds it, and a1.h0 finds it only \
                      if a0.h0 has not. Either head suffices; the truth is the union of both ways \
                      and of the edge by which the second knows of the first, the edges that \
                      matter in some set. Removing a single edge sees a0.h0->logits and \
                      a0.h0->a1.h0<q> alone; the others matter only without one of these or of \
                      each other. Clean sequences mean yes, corrupted ones no.",
        vocab: words::names(),
        labels: words::labels(),
        pairs: pairs(rng),
        truth: &[
            "input->a0.h0<v>",
            "a0.h0->logits",
            "a0.h0->a1.h0<q>",
            "input->a1.h0<v>",
            "a1.h0->logits",
        ],
    }
}
