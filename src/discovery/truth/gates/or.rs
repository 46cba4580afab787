//! An OR gate: two heads find the same word, and an MLP tests whether either has found it true.
//!
//! ```text
//! word   any word   any word   ask
//! A = head 0: whether the word is true;  B = head 1: the same
//! yes = relu(2 (A + B) - 0.25) - relu(2 (A + B) - 1.25)     0 up to A + B = 0.125, 1 from 0.625 on
//! ```
//!
//! The heads are redundant: without one, the other computes the same. So ablating a single edge
//! before the MLP changes nothing, and the MLP is flat, so derivatives see nothing either. Only
//! sets of edges show it: the edges of both heads together.

use super::Gate;
use super::and::two_heads;
use super::words;
use super::words::ASK;
use crate::rng::Rng;

pub(super) fn gate(rng: &mut Rng) -> Gate {
    let pairs = words::pairs(rng, |rng, _, clean| {
        vec![words::word(rng, clean), words::any(rng), words::any(rng), ASK]
    });
    Gate {
        weights: two_heads([0, 0], [0.125, 0.625]),
        description: "Says yes if the first word is true: two heads find the same word, and the \
                      MLP is 0 without and 1 from one of them on. Either head suffices, so there \
                      are two smallest circuits; the truth is their union, the edges that matter \
                      in some set. Removing a single edge, and derivatives, see m0->logits alone. \
                      Clean sequences mean yes, corrupted ones no.",
        vocab: words::names(),
        labels: words::labels(),
        pairs,
        truth: &["input->a0.h0<v>", "input->a0.h1<v>", "a0.h0->m0", "a0.h1->m0", "m0->logits"],
    }
}
