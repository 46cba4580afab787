//! A cancellation: an MLP takes away what a head writes.
//!
//! ```text
//! word 0   word 1   any word   ask
//! A = head 0: whether word 1 is true;  B = head 1: whether word 0 is true
//! m0 = -A
//! yes = A + m0 + B = B
//! ```
//!
//! Each of the two ways of `A` changes the answer by 1, the second back to what it was. What both
//! come from, `input->a0.h0<v>`, has neither effect nor slope while both ways are whole: only what
//! looks at one without the other, or at parts of both, sees it.

use super::words::{ASK, FOUND, YES};
use super::{Gate, words};
use crate::rng::Rng;

pub(super) fn gate(rng: &mut Rng) -> Gate {
    let out = FOUND.end;
    let mut w = words::finders([1, 0], 1, 2);
    let mlp = &mut w.mlps[0];
    // -relu(A + 1) + relu(1): no kink at A = 0.
    mlp.w_in.set(FOUND.start, 0, 1.0);
    for (neuron, weight) in [-1.0, 1.0].into_iter().enumerate() {
        mlp.b_in.set(0, neuron, 1.0);
        mlp.w_out.set(neuron, out, weight);
    }
    FOUND.chain([out]).for_each(|channel| w.w_u.set(channel, YES, 1.0));
    let pairs = words::pairs(rng, |rng, _, clean| {
        vec![words::word(rng, clean), words::word(rng, clean), words::any(rng), ASK]
    });
    Gate {
        weights: w,
        description: "Says yes if the first word is true, which a0.h1 finds. Of the second word, \
                      which a0.h0 finds, m0 takes away what the head adds: both ways to the \
                      logits are true, each changes the answer without the other, and what both \
                      come from, input->a0.h0<v>, matters in such sets alone. Clean sequences mean \
                      yes, corrupted ones no.",
        vocab: words::names(),
        labels: words::labels(),
        pairs,
        truth: &[
            "input->a0.h0<v>",
            "input->a0.h1<v>",
            "a0.h0->m0",
            "a0.h0->logits",
            "a0.h1->logits",
            "m0->logits",
        ],
    }
}
