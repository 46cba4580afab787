//! A chain of backups: the second head finds the word if the first has not, the third if neither
//! has.
//!
//! ```text
//! begin   word   any word   ask
//! A   = a0.h0: whether the word is true
//! A'  = a1.h0: whether it is, unless A
//! A'' = a2.h0: whether it is, unless A + A'
//! yes = A + A' + A''
//! ```
//!
//! In the clean run the first alone finds the word. Without it the second does, so that ablating
//! one edge shows nothing of the third: `input->a2.h0<v>` matters only where two others are gone.

use super::backup::{chain, pairs};
use super::{Gate, words};
use crate::rng::Rng;

pub(super) fn gate(rng: &mut Rng) -> Gate {
    Gate {
        weights: chain(3),
        description: "Says yes if the first word is true: a0.h0 finds it, a1.h0 only if a0.h0 has \
                      not, a2.h0 only if neither has. Each suffices; the truth is the union of \
                      all ways and of the edges by which later heads know of earlier ones. \
                      Removing a single edge sees a0.h0->logits and the two edges by which the \
                      first head tells the others. Clean sequences mean yes, corrupted ones no.",
        vocab: words::names(),
        labels: words::labels(),
        pairs: pairs(rng),
        truth: &[
            "input->a0.h0<v>",
            "a0.h0->logits",
            "a0.h0->a1.h0<q>",
            "a0.h0->a2.h0<q>",
            "input->a1.h0<v>",
            "a1.h0->logits",
            "a1.h0->a2.h0<q>",
            "input->a2.h0<v>",
            "a2.h0->logits",
        ],
    }
}
