//! A norm that couples: a head mutes the answer by making the stream large.
//!
//! ```text
//! word 0   word 1   any word   ask
//! A = head 0: 1 if word 0 is true
//! B = head 1: 1 if word 1 is true, 100 if it is not, in a channel that nothing reads
//! yes = A / 2 / rms,   rms = sqrt((2 + A^2 + B^2) / 16)
//! ```
//!
//! `B` reaches the answer by the divisor of the norm alone: yes is 1 with `A = B = 1`, and .02 with
//! `B = 100`. Rules that hold the divisor fixed (`ln`, RelP, GIM) give it no score.

use super::words::{ASK, FALSE, FOUND, TRUE, YES};
use super::{Gate, words};
use crate::rng::Rng;

/// What mutes the answer.
const LOUD: f32 = 100.0;

pub(super) fn gate(rng: &mut Rng) -> Gate {
    let mut w = words::finders([0, 1], 0, 0);
    w.norm = Some("RMSPre");
    // A token and its position are 1 each of 16 channels: the norm multiplies them by sqrt(8).
    let unit = 8f32.sqrt().recip();
    let [answer, mute] = &mut w.attention[0][..] else { unreachable!("two heads") };
    TRUE.for_each(|word| answer.v.set(word, 0, unit));
    TRUE.for_each(|word| mute.v.set(word, 0, unit));
    FALSE.for_each(|word| mute.v.set(word, 0, LOUD * unit));
    w.w_u.set(FOUND.start, YES, 0.5);
    // The truth values of the corrupted sequence: neither word, or one of them.
    let corrupted = [[false, false], [true, false], [false, true]];
    let pairs = words::pairs(rng, |rng, i, clean| {
        let [x, y] = if clean { [true; 2] } else { corrupted[i % 3] };
        vec![words::word(rng, x), words::word(rng, y), words::any(rng), ASK]
    });
    Gate {
        weights: w,
        description: "Says yes if the first two words are both true: a0.h0 finds the first, and \
                      a0.h1 writes a large number where the second is not, to a channel that \
                      nothing reads: it mutes the answer by the divisor of the last norm. Every \
                      true edge is needed, so that removing it alone turns yes into no. Clean \
                      sequences mean yes, corrupted ones no.",
        vocab: words::names(),
        labels: words::labels(),
        pairs,
        truth: &["input->a0.h0<v>", "input->a0.h1<v>", "a0.h0->logits", "a0.h1->logits"],
    }
}
