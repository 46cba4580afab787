//! A product whose gate is closed in the clean run.
//!
//! ```text
//! word 0   word 1   any word   ask
//! A = head 0: whether word 0 is true    0 in the clean run, 1 in the corrupted one
//! B = head 1: whether word 1 is true    1 in the clean run, 0 in the corrupted one
//! m0 = A B
//! yes = B + m0
//! ```
//!
//! `m0` is 0 at both ends: ablating `m0->logits` changes nothing, and nothing that compares its
//! output on the two runs sees it. While the gate `A` is closed its other factor, `a0.h1->m0`, has
//! neither effect nor slope. Where one factor is clean and the other corrupted, yes is 2 or 0.

use super::words::{ASK, FOUND, LAST, POSITIONS, YES};
use super::{Gate, words};
use crate::rng::Rng;

pub(super) fn gate(rng: &mut Rng) -> Gate {
    let out = FOUND.end;
    let mut w = words::finders([0, 1], 1, 2);
    let mut w_gate = w.mlps[0].w_in.clone();
    let mlp = &mut w.mlps[0];
    // relu(A + 1) B - relu(1) B: no kink at A = 0. The position of the last token is the 1.
    w_gate.set(FOUND.start, 0, 1.0);
    for (neuron, weight) in [1.0, -1.0].into_iter().enumerate() {
        w_gate.set(POSITIONS.start + LAST, neuron, 1.0);
        mlp.w_in.set(FOUND.start + 1, neuron, 1.0);
        mlp.w_out.set(neuron, out, weight);
    }
    mlp.w_gate = Some(w_gate);
    for channel in [FOUND.start + 1, out] {
        w.w_u.set(channel, YES, 1.0);
    }
    let pairs = words::pairs(rng, |rng, _, clean| {
        vec![words::word(rng, !clean), words::word(rng, clean), words::any(rng), ASK]
    });
    Gate {
        weights: w,
        description: "Says yes if the second word is true, and yes twice if the first is true as \
                      well: a gated MLP multiplies what two heads find. In the clean run the gate \
                      is closed, in the corrupted run the other factor is 0: the product is 0 in \
                      both, and removing one edge shows neither it nor the factor behind the \
                      closed gate. Clean sequences mean yes, corrupted ones no.",
        vocab: words::names(),
        labels: words::labels(),
        pairs,
        truth: &[
            "input->a0.h0<v>",
            "input->a0.h1<v>",
            "a0.h0->m0",
            "a0.h1->m0",
            "a0.h1->logits",
            "m0->logits",
        ],
    }
}
