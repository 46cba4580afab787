//! The metric computed from the output, as one value for each pair: the function whose derivatives,
//! differences and integrals are the scores of edges.
//!
//! Let `x[t, v]` be the logits at position `t` and `p` their softmax. A pair of tokens has the
//! answers `A` and the distractors `C` at position `t`; a pair of outputs has a clean and a
//! corrupted label `a_t`, `c_t` at each position `t`, and `S` are the positions where these differ:
//!
//! | metric | pair of tokens | pair of outputs |
//! | --- | --- | --- |
//! | `logit-diff` | mean of `x[t, A]` - mean of `x[t, C]` | sum over `S` of `x[t, a_t] - x[t, c_t]`
//! |
//! | `prob-diff` | mean of `p[t, A]` - mean of `p[t, C]` | sum over `S` of `p[t, a_t] - p[t, c_t]`
//! |
//! | `nll` | mean over `A` of `-log p[t, a]` | mean over `t` of `-log p[t, a_t]` |
//! | `kl` | `sum over v of q[t, v] log (q[t, v] / p[t, v])` | its mean over `t` |
//! | `l2` | `sum over v of (x[t, v] - c[t, v])^2` | its mean over `t` |
//!
//! where `q` are the probabilities and `c` the logits of the clean run.
//!
//! If the model has a numeric output instead of labels, `logit-diff` is the sum of that output over
//! the positions where the pair's outputs differ, and only `l2` is defined besides. With
//! [`Positions::All`], `kl` and `l2` are means over all positions of the sequence, and `nll` of a
//! pair of tokens is that of the clean sequence itself: the mean over all positions but the last of
//! `-log p[t, clean token t + 1]`. A pair whose outputs differ nowhere has `logit-diff` and
//! `prob-diff` 0.
//!
//! [`Measured`](super::measured::Measured) computes it.

use crate::error::{Error, Result};
use crate::formats::pairs::{Asked, Pair, Pairs};
use crate::named::{Named, named};

named! {
    /// A metric of a model's output for a pair.
    Metric {
        /// The logits of the answers minus those of the distractors.
        #[default]
        LogitDiff = "logit-diff",
        /// The negative log-likelihood of the answers in nats; smaller for a better model.
        Nll = "nll",
        /// The probability of the answers minus that of the distractors.
        ProbDiff = "prob-diff",
        /// The KL divergence from the clean run in nats; 0 for the clean run.
        Kl = "kl",
        /// The squared distance of the logits from the clean run's; 0 for the clean run.
        L2 = "l2",
    }
}

named! {
    /// The positions that a metric reads.
    Positions {
        /// The positions that the pair names.
        #[default]
        Asked = "asked",
        /// At every position of the sequence.
        All = "all",
    }
}

impl Metric {
    /// Whether it is a distance from the clean run, whose logits must be set first.
    pub fn needs_reference(self) -> bool {
        matches!(self, Metric::Kl | Metric::L2)
    }

    /// The sign that makes it a loss: 1 for errors (`nll`, `kl`, `l2`), -1 for the others.
    pub fn sign(self) -> f64 {
        match self {
            Metric::LogitDiff | Metric::ProbDiff => -1.0,
            Metric::Nll | Metric::Kl | Metric::L2 => 1.0,
        }
    }

    /// A value of it as a loss: `sign * value`.
    pub fn loss(self, value: f64) -> f64 {
        self.sign() * value
    }
}

/// A metric for certain pairs, with the sizes that a program for any of them needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    metric: Metric,
    positions: Positions,
    /// The most positions read in one pair (P); with [`Positions::All`] all positions.
    pub(super) rows: usize,
    /// The most logits compared at one position (J).
    pub(super) each: usize,
    /// Whether the model has a numeric output instead of labels.
    pub(super) numeric: bool,
}

/// What a metric reads at one position.
pub(super) struct Ask {
    pub(super) position: usize,
    /// The outputs in the sum and their factors: of logits or probabilities for `logit-diff` and
    /// `prob-diff`, of `-log p` for `nll`.
    pub(super) taken: Vec<(u32, f64)>,
    /// For `kl` and `l2`: the factor of the position.
    pub(super) factor: f64,
}

impl Question {
    /// The question `metric` for `pairs` and a model with `vocab_out` outputs.
    ///
    /// # Errors
    /// If the metric is undefined for such pairs.
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
        check_answers(metric, positions, pairs)?;
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
            // The tokens of the sequence are the targets.
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

    /// The positions it reads.
    pub fn positions(&self) -> Positions {
        self.positions
    }

    /// What it reads for `pair`, by increasing position.
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

/// Checks that every pair of tokens has the tokens that the metric compares.
fn check_answers(metric: Metric, positions: Positions, pairs: &Pairs) -> Result<()> {
    let (right, wrong) = match (metric, positions) {
        (Metric::LogitDiff | Metric::ProbDiff, _) => (true, true),
        (Metric::Nll, Positions::Asked) => (true, false),
        (Metric::Nll, Positions::All) | (Metric::Kl | Metric::L2, _) => (false, false),
    };
    for pair in pairs.iter() {
        let Asked::Tokens { answer, distractor, .. } = &pair.asked else { continue };
        let lists = [("answer", right, answer), ("distractor", wrong, distractor)];
        if let Some((key, ..)) = lists.iter().find(|(_, needed, ids)| *needed && ids.is_empty()) {
            let message = format!("`{key}` is missing: `{}` is a metric of it", metric.name());
            let help =
                format!("write \"{key}\": id, or use kl or l2, which compare with the clean run");
            return Err(Error::input(pairs.place_of(pair), message, help));
        }
    }
    Ok(())
}

/// Checks that a metric separates the model from the empty circuit: `clean [pairs]` and
/// `corrupted [pairs]` are its values with every edge and with none.
///
/// # Errors
/// If a value is not finite, or if the means are equal: then faithfulness is undefined.
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
                "the model's numbers are too large or broken; \
                 try --dtype f64, or check its weights",
            ));
        }
    }
    let same = |a: f64, b: f64| (a - b).abs() <= 1e-13 * a.abs().max(b.abs());
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (a, b) = (mean(clean), mean(corrupted));
    if !same(a, b) {
        return Ok(());
    }
    // If no pair differs, the first is named.
    let every = clean.iter().zip(corrupted).all(|(&a, &b)| same(a, b));
    let place = if every { pairs.place_of(&pairs[0]) } else { pairs.place().to_string() };
    let which = if every { "of every pair" } else { "on average" };
    let message = format!(
        "the clean and the corrupted `{name}` are equal {which} ({a:.6}): faithfulness is undefined"
    );
    Err(Error::input(place, message, "give pairs whose corruption changes the answer"))
}
