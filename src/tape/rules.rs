//! The rules of a reverse pass: where it departs from the derivative.
//!
//! A rule changes what an operation passes back and nothing else: values, and so the metric, are
//! those of the plain model to the bit. It belongs to a [`BackwardPlan`](super::BackwardPlan), so
//! one recording serves all rules.
//!
//! | rule | operation | passes back | `ln` | `relp` | `relp-ah` | `gim` |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | norm | `y = (x - mean) / s * g + b` | as if `s` were a constant | x | x | x | x |
//! | identity | `y = act(x)` | `dy y / x'` for `dy act'(x)` | | x | x | |
//! | half | `y = gate * up` | half to each factor | | x | x | x |
//! | AH | attention pattern `P` | nothing: it is a constant | | | x | |
//! | softmax | attention pattern `P` | `P2 (dP - <dP, P2>)` | | | | x |
//! | shares | attention `P(q, k) v` | 1/4 to `q` and `k`, 1/2 to `v` | | | | x |
//!
//! `x'` is `x` moved away from 0 by 1e-6, and `P2`, in proportion to the root of `P`, is the
//! softmax at temperature 2; its factor 1/2 is left out.
//!
//! **Sources.** RelP: "RelP: Faithful and Efficient Circuit Discovery via Relevance Patching"
//! (arXiv 2508.21258), whose default is norm, identity and half. GIM: "Improved Interpretability
//! for Large Language Models" (arXiv 2505.17630).

use crate::named::named;

named! {
    /// The rules of a reverse pass; see the [table](self).
    Rules {
        /// The derivative.
        #[default]
        Plain = "plain",
        /// Divisors of norms are constants.
        Ln = "ln",
        /// Relevance patching: also, activations pass back `y / x`, and a gated product is shared
        /// by its factors.
        Relp = "relp",
        /// The same with constant attention patterns: only values have a gradient.
        RelpAh = "relp-ah",
        /// Gradient interaction modifications: constant divisors, attention flattened by
        /// temperature 2, and every product shared by its factors.
        Gim = "gim",
    }
}

/// What attention passes back to its scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The derivative of the softmax.
    Softmax,
    /// Nothing.
    Constant,
    /// The derivative of the softmax at temperature 2, without its factor 1/2.
    Flattened,
}

impl Rules {
    /// Whether the divisor of a norm is a constant.
    pub fn constant_divisor(self) -> bool {
        self != Rules::Plain
    }

    /// Whether an activation passes back its ratio `y / x`.
    pub fn ratio(self) -> bool {
        matches!(self, Rules::Relp | Rules::RelpAh)
    }

    /// The share of its derivative that a gated product passes back.
    pub fn of_gate(self) -> f64 {
        if matches!(self, Rules::Plain | Rules::Ln) { 1.0 } else { 0.5 }
    }

    /// What attention passes back to its scores.
    pub fn pattern(self) -> Pattern {
        match self {
            Rules::Plain | Rules::Ln | Rules::Relp => Pattern::Softmax,
            Rules::RelpAh => Pattern::Constant,
            Rules::Gim => Pattern::Flattened,
        }
    }

    /// The shares that attention passes back to queries and keys, and to values.
    pub fn of_attention(self) -> [f64; 2] {
        if self == Rules::Gim { [0.25, 0.5] } else { [1.0; 2] }
    }

    /// Whether they treat attention as plain derivatives do.
    pub fn plain_attention(self) -> bool {
        self.pattern() == Pattern::Softmax && self.of_attention() == [1.0; 2]
    }
}
