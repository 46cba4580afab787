//! The unembedding: from the last norm of the stream to logits.

use crate::ops;
use crate::simd::Element;
use crate::tape::{Ids, Tape, Var};

/// What maps the last norm of the stream to logits: `x w' + bias`, capped if the model caps them.
#[derive(Clone, Copy, Debug)]
pub struct Unembedding {
    /// `[V, D]`.
    pub w: Var,
    /// `[V]`.
    pub bias: Option<Var>,
    /// The bound `c` of the logits, which become `c tanh(logit / c)`.
    pub cap: Option<f64>,
}

impl Unembedding {
    /// Records the logits of rows: `[.., D] -> [.., V]`.
    ///
    /// # Panics
    /// If the rows have another width.
    #[track_caller]
    pub fn logits<T: Element>(self, tape: &mut Tape<T>, x: Var) -> Var {
        let logits = ops::linear(tape, x, self.w, self.bias);
        self.capped(tape, logits)
    }

    /// Records some logits of each row: `[N, D] -> [N, J]`, those of the `ids [N, J]`.
    ///
    /// # Panics
    /// If the shapes do not match.
    #[track_caller]
    pub fn pick<T: Element>(self, tape: &mut Tape<T>, x: Var, ids: Ids) -> Var {
        let logits = ops::pick(tape, x, self.w, self.bias, ids);
        self.capped(tape, logits)
    }

    fn capped<T: Element>(self, tape: &mut Tape<T>, logits: Var) -> Var {
        let Some(cap) = self.cap else { return logits };
        let x = ops::scale(tape, logits, cap.recip());
        let x = ops::tanh(tape, x);
        ops::scale(tape, x, cap)
    }
}
