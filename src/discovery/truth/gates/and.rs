//! An AND gate: two heads each find a word, and an MLP tests whether both are true.
//!
//! ```text
//! word 0   word 1   any word   ask
//! A = head 0: whether word 0 is true;  B = head 1: whether word 1 is true
//! yes = relu(2 (A + B) - 2.5) - relu(2 (A + B) - 3.5)     0 up to A + B = 1.25, 1 from 1.75 on
//! ```
//!
//! At `A + B` = 0, 1 and 2 the MLP is flat: derivatives see no edge before it. Ablating an edge of
//! a word that is true in the clean and false in the corrupted sequence turns yes into no.

use super::words::{ASK, FOUND, YES};
use super::{Gate, Weights, words};
use crate::rng::Rng;

/// Two heads that each find the word at a position, and two neurons that are 0 up to
/// `thresholds[i]` and have slope 2 from there: the output is the first minus the second. Shared
/// with [`or`](super::or).
pub(super) fn two_heads(at: [usize; 2], thresholds: [f32; 2]) -> Weights {
    let out = FOUND.end;
    let mut w = words::finders(at, 1, 2);
    let mlp = &mut w.mlps[0];
    for (neuron, threshold) in thresholds.into_iter().enumerate() {
        FOUND.for_each(|channel| mlp.w_in.set(channel, neuron, 2.0));
        mlp.b_in.set(0, neuron, -2.0 * threshold);
        mlp.w_out.set(neuron, out, [1.0, -1.0][neuron]);
    }
    w.w_u.set(out, YES, 1.0);
    w
}

pub(super) fn gate(rng: &mut Rng) -> Gate {
    // The truth values of the corrupted sequence: neither word, or one of them.
    let corrupted = [[false, false], [true, false], [false, true]];
    let pairs = words::pairs(rng, |rng, i, clean| {
        let [x, y] = if clean { [true; 2] } else { corrupted[i % 3] };
        vec![words::word(rng, x), words::word(rng, y), words::any(rng), ASK]
    });
    Gate {
        weights: two_heads([0, 1], [1.25, 1.75]),
        description: "Says yes if the first two words are both true: a head finds each, and the \
                      MLP is 0 up to one and 1 from two. Every true edge is needed, so that \
                      removing it alone turns yes into no; the MLP is flat wherever the model is, \
                      so that derivatives see its output alone. Clean sequences mean yes, \
                      corrupted ones no.",
        vocab: words::names(),
        labels: words::labels(),
        pairs,
        truth: &["input->a0.h0<v>", "input->a0.h1<v>", "a0.h0->m0", "a0.h1->m0", "m0->logits"],
    }
}
