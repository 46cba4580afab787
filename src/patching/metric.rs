//! What is asked of a model, as one number for each pair: the function whose derivatives,
//! differences and integrals are the scores of edges.
//!
//! With `x[t, v]` the logits at position `t`, `p` their softmax, and for a pair that asks for tokens
//! its answers `A` and distractors `C` at position `t`:
//!
//! | metric | a pair that asks for tokens | a pair that asks for outputs |
//! | --- | --- | --- |
//! | `logit-diff` | mean of `x[t, A]` - mean of `x[t, C]` | sum over the positions where the labels differ of `x[t, clean label] - x[t, corrupted label]` |
//! | `prob-diff` | mean of `p[t, A]` - mean of `p[t, C]` | the same sum of `p` |
//! | `nll` | mean over `A` of `-log p[t, a]` | mean over the asked positions of `-log p[t, clean label]` |
//! | `kl` | `sum over v of q[t, v] log (q[t, v] / p[t, v])`, `q` the clean run's probabilities | its mean over the asked positions |
//! | `l2` | `sum over v of (x[t, v] - c[t, v])^2`, `c` the clean run's logits | its mean over the asked positions |
//!
//! Where the model gives one number instead of labels, `logit-diff` is the sum of that number over
//! the positions where the outputs differ, and only `l2` is there beside it. With
//! [`Positions::All`], `kl` and `l2` are means over all positions of the sequence, and `nll` of a pair
//! that asks for tokens is that of the clean sequence itself: the mean over all positions but the
//! last of `-log p[t, clean token t + 1]`. A pair whose outputs differ nowhere has the `logit-diff`
//! and the `prob-diff` 0.
//!
//! [`Measured`](super::measured::Measured) computes it.

use crate::error::{Error, Result};
use crate::formats::pairs::{Asked, Pair, Pairs};
use crate::named::{Named, named};

named! {
    /// What a model's answer to a pair is worth.
    Metric {
        /// How far the logits of the answers stand above those of the distractors.
        #[default]
        LogitDiff = "logit-diff",
        /// How surprised the model is by the answers, in nats; it falls as the model gets better.
        Nll = "nll",
        /// How much more probable the answers are than the distractors.
        ProbDiff = "prob-diff",
        /// How far the probabilities are from the clean run's, in nats; 0 for the clean run.
        Kl = "kl",
        /// How far the logits are from the clean run's, squared; 0 for the clean run.
        L2 = "l2",
    }
}

named! {
    /// Where a metric looks.
    Positions {
        /// At the positions where the pair asks.
        #[default]
        Asked = "asked",
        /// At every position of the sequence.
        All = "all",
    }
}

impl Metric {
    /// Whether it is a distance from the clean run, whose logits have to be there first.
    pub fn needs_reference(self) -> bool {
        matches!(self, Metric::Kl | Metric::L2)
    }

    /// What multiplies it into something to keep small: 1 if it measures how wrong the model is
    /// (`nll`, `kl`, `l2`), -1 if it measures how right it is.
    pub fn sign(self) -> f64 {
        match self {
            Metric::LogitDiff | Metric::ProbDiff => -1.0,
            Metric::Nll | Metric::Kl | Metric::L2 => 1.0,
        }
    }

    /// A value of it as something to keep small: `sign * value`.
    pub fn loss(self, value: f64) -> f64 {
        self.sign() * value
    }
}

/// A metric of certain pairs, and the room that a program needs to ask any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    metric: Metric,
    positions: Positions,
    /// The most positions it looks at in one pair (P); with [`Positions::All`] all there are.
    pub(super) rows: usize,
    /// The most logits it compares at one position (J).
    pub(super) each: usize,
    /// Whether the model gives a number instead of labels.
    pub(super) numeric: bool,
}

/// What a metric takes at one position.
pub(super) struct Ask {
    pub(super) position: usize,
    /// For `logit-diff` and `prob-diff` what is summed, for `nll` what is summed of `-log p`: an
    /// output and its factor.
    pub(super) taken: Vec<(u32, f64)>,
    /// For `kl` and `l2`: the factor of the position.
    pub(super) factor: f64,
}

impl Question {
    /// The question `metric` for `pairs` and a model whose output has `vocab_out` numbers.
    ///
    /// # Errors
    /// When the metric says nothing about such pairs.
    pub fn new(
        metric: Metric,
        positions: Positions,
        vocab_out: usize,
        pairs: &Pairs,
    ) -> Result<Question> {
        use Metric::{Kl, LogitDiff, Nll, ProbDiff};
        let fail = |message: String, help: &str| Err(Error::input(pairs.place(), message, help));
        let (name, outputs) = (metric.name(), pairs.ask_outputs());
        let numeric = vocab_out == 1;
        if numeric && matches!(metric, Nll | ProbDiff | Kl) {
            let message = format!("`{name}` needs probabilities, but the model gives one number");
            return fail(message, "use logit-diff (the number itself) or l2");
        }
        if matches!(metric, LogitDiff | ProbDiff) {
            if positions == Positions::All && !outputs {
                let message = format!("`{name}` at all positions: each pair asks at one position");
                return fail(message, "look at the asked positions, or use nll, kl or l2");
            }
            if outputs && pairs.iter().all(|p| p.differing().next().is_none()) {
                let message = format!("`{name}`: clean and corrupted outputs differ in no pair");
                return fail(message, "give pairs whose outputs differ, or use nll, kl or l2");
            }
        }
        if metric == Nll && positions == Positions::All && !outputs {
            // The tokens of the sequence are what is predicted.
            let foreign = |p: &Pair| p.clean.iter().skip(1).any(|&id| id as usize >= vocab_out);
            let wrong = |p: &&Pair| p.clean.len() < 2 || foreign(p);
            if let Some(pair) = pairs.iter().find(wrong) {
                let message = match foreign(pair) {
                    true => format!("has a token that is none of the model's {vocab_out} outputs"),
                    false => "has no second token to predict".into(),
                };
                let help = "look at the asked positions instead of all";
                return Err(Error::input(pairs.place_of(pair), message, help));
            }
        }
        let mut question = Question { metric, positions, rows: 1, each: 1, numeric };
        for pair in pairs.iter() {
            let asks = question.asks(pair);
            let each = asks.iter().map(|ask| ask.taken.len()).max().unwrap_or(0);
            question.rows = question.rows.max(asks.len());
            question.each = question.each.max(each);
        }
        Ok(question)
    }

    /// The metric.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Where it looks.
    pub fn positions(&self) -> Positions {
        self.positions
    }

    /// What it takes of `pair`, by position in increasing order.
    pub(super) fn asks(&self, pair: &Pair) -> Vec<Ask> {
        let take = |position: usize, taken| Ask { position, taken, factor: 0.0 };
        let even = |tokens: &[u32], total: f64| -> Vec<(u32, f64)> {
            let factor = total / tokens.len() as f64;
            tokens.iter().map(|&id| (id, factor)).collect()
        };
        match (self.metric, &pair.asked) {
            (Metric::Kl | Metric::L2, _) => {
                let places = match self.positions {
                    Positions::Asked => pair.positions(),
                    Positions::All => (0..pair.clean.len()).collect(),
                };
                let factor = 1.0 / places.len() as f64;
                let ask = |position| Ask { position, taken: vec![], factor };
                places.into_iter().map(ask).collect()
            }
            (Metric::Nll, Asked::Tokens { .. }) if self.positions == Positions::All => {
                let next = pair.clean.iter().skip(1);
                let factor = 1.0 / next.len() as f64;
                next.enumerate().map(|(t, &id)| take(t, vec![(id, factor)])).collect()
            }
            (Metric::Nll, Asked::Tokens { answer, position, .. }) => {
                vec![take(*position, even(answer, 1.0))]
            }
            (Metric::Nll, Asked::Outputs { clean, .. }) => {
                let places = pair.positions();
                let factor = 1.0 / places.len() as f64;
                let label = |t: usize| (clean[t].unwrap_or_default() as u32, factor);
                places.into_iter().map(|t| take(t, vec![label(t)])).collect()
            }
            (_, Asked::Tokens { answer, distractor, position }) => {
                let mut taken = even(answer, 1.0);
                taken.extend(even(distractor, -1.0));
                vec![take(*position, taken)]
            }
            (_, Asked::Outputs { .. }) => {
                let ask = |(t, clean, corrupted)| match self.numeric {
                    true => take(t, vec![(0, 1.0)]),
                    false => take(t, vec![(clean as u32, 1.0), (corrupted as u32, -1.0)]),
                };
                pair.differing().map(ask).collect()
            }
        }
    }
}

/// Checks that a metric can tell a circuit from nothing: `clean` and `corrupted` are its values with
/// every edge and with none, one for each of `pairs`.
///
/// # Errors
/// When one of them is not a number, or their means are equal: the share of the difference that a
/// circuit keeps is undefined then.
///
/// # Panics
/// If there is not one value for each pair.
pub fn check(pairs: &Pairs, metric: Metric, clean: &[f64], corrupted: &[f64]) -> Result<()> {
    assert!(clean.len() == pairs.len() && corrupted.len() == pairs.len(), "a value for each pair");
    let name = metric.name();
    for (run, values) in [("clean", clean), ("corrupted", corrupted)] {
        if let Some(i) = values.iter().position(|x| !x.is_finite()) {
            return Err(Error::failed(
                pairs.place_of(&pairs[i]),
                format!("the `{name}` of the {run} run is {}", values[i]),
                "the model's numbers are too large or broken; try --dtype f64, or check its weights",
            ));
        }
    }
    let same = |a: f64, b: f64| (a - b).abs() <= 1e-13 * a.abs().max(b.abs());
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (a, b) = (mean(clean), mean(corrupted));
    if !same(a, b) {
        return Ok(());
    }
    // The first pair stands for all if none differs.
    let every = clean.iter().zip(corrupted).all(|(&a, &b)| same(a, b));
    let place = if every { pairs.place_of(&pairs[0]) } else { pairs.place().to_string() };
    let which = if every { "of every pair" } else { "on average" };
    let message = format!(
        "the clean and the corrupted `{name}` are equal {which} ({a:.6}): faithfulness is undefined"
    );
    Err(Error::input(place, message, "give pairs whose corruption changes the answer"))
}
