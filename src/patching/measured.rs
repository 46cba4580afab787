//! A recorded [metric](super::metric): from the last norm of the stream to one value for each pair.
//!
//! Logits are computed for the rows that the metric reads and no others; `logit-diff` computes only
//! those of the tokens it compares.

use super::metric::{Ask, Metric, Positions, Question};
use crate::formats::pairs::Pair;
use crate::nn::Unembedding;
use crate::ops;
use crate::simd::Element;
use crate::tape::{Ids, Program, Tape, Var};

/// A recorded metric of a batch of B pairs.
///
/// Before a pass, call [`set_pairs`](Self::set_pairs), and for a metric that [is a distance from
/// the clean run](Metric::needs_reference) [`set_reference`](Self::set_reference).
#[derive(Clone, Debug)]
pub struct Measured {
    /// `[B]`, the metric of each pair; 0 for rows without a pair.
    pub per_example: Var,
    /// `[]`, the weighted sum over the pairs.
    pub total: Var,
    question: Question,
    /// B.
    batch: usize,
    /// T.
    length: usize,
    /// Rows of each example (P).
    rows: usize,
    /// `[B]`.
    weights: Var,
    /// `[B P]`, the rows of `last` that are read; `None` if all are.
    places: Option<Ids>,
    form: Form,
}

/// The leaves of each metric, and the logits if they are needed for whole rows.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// `[B P, J]`: chosen logits, and the factor of each.
    Picked { ids: Ids, factors: Var },
    /// `[B P, V]`: the factor of each probability, or of each `-log p`.
    Weighed { factors: Var },
    /// The clean run's `[B P, V]` probabilities, the `[B P]` sums of `q log q`, and the `[B P]`
    /// factors of positions.
    Divergence { logits: Var, q: Var, information: Var, factors: Var },
    /// The clean run's `[B P, V]` logits, and the `[B P]` factors of positions.
    Distance { logits: Var, clean: Var, factors: Var },
}

impl Form {
    /// Records the metric of the rows `x [B P, D]`: its parts `[B P]` or `[B P, ..]`, which are
    /// summed for each example, and its leaves.
    fn record<T: Element>(
        tape: &mut Tape<T>,
        question: &Question,
        x: Var,
        unembedding: Unembedding,
    ) -> (Var, Form) {
        let (n, width) = (tape.shape(x).rows(), tape.shape(unembedding.w).rows());
        match question.metric() {
            Metric::LogitDiff => {
                let ids = tape.ids([n, question.each], width);
                let factors = tape.leaf("metric.factors", [n, question.each]);
                let picked = unembedding.pick(tape, x, ids);
                (ops::mul(tape, picked, factors), Form::Picked { ids, factors })
            }
            Metric::ProbDiff => {
                let factors = tape.leaf("metric.factors", [n, width]);
                let logits = unembedding.logits(tape, x);
                let p = ops::softmax(tape, logits);
                (ops::mul(tape, p, factors), Form::Weighed { factors })
            }
            Metric::Nll => {
                let factors = tape.leaf("metric.factors", [n, width]);
                let logits = unembedding.logits(tape, x);
                (ops::soft_cross_entropy(tape, logits, factors), Form::Weighed { factors })
            }
            Metric::Kl => {
                let q = tape.leaf("metric.q", [n, width]);
                let information = tape.leaf("metric.information", [n]);
                let factors = tape.leaf("metric.factors", [n]);
                let logits = unembedding.logits(tape, x);
                let cross = ops::soft_cross_entropy(tape, logits, q);
                let kl = ops::add(tape, cross, information);
                let form = Form::Divergence { logits, q, information, factors };
                (ops::mul(tape, kl, factors), form)
            }
            Metric::L2 => {
                let clean = tape.leaf("metric.clean", [n, width]);
                let factors = tape.leaf("metric.factors", [n]);
                let logits = unembedding.logits(tape, x);
                let off = ops::sub(tape, logits, clean);
                let square = ops::mul(tape, off, off);
                let square = ops::sum_axis(tape, square, 1);
                (ops::mul(tape, square, factors), Form::Distance { logits, clean, factors })
            }
        }
    }
}

impl Measured {
    /// Records `question` of `last [B, T, D]`, the last norm of the stream.
    ///
    /// # Panics
    /// If the shapes do not match.
    #[track_caller]
    pub fn record<T: Element>(
        tape: &mut Tape<T>,
        question: Question,
        last: Var,
        unembedding: Unembedding,
    ) -> Measured {
        let shape = tape.shape(last).clone();
        let &[batch, length, d] = shape.dims() else { panic!("a metric of {shape}") };
        let width = tape.shape(unembedding.w).rows();
        assert!(question.numeric == (width == 1), "a question for another model");
        let mut x = tape.reshape(last, [batch * length, d]);
        let (rows, places) = match question.positions() {
            Positions::All => (length, None),
            Positions::Asked => {
                let ids = tape.ids([batch * question.rows], batch * length);
                x = ops::gather(tape, x, ids);
                (question.rows, Some(ids))
            }
        };
        let (parts, form) = Form::record(tape, &question, x, unembedding);
        let each = tape.shape(parts).len() / batch.max(1);
        let parts = tape.reshape(parts, [batch, each]);
        let per_example = ops::sum_axis(tape, parts, 1);
        let weights = tape.leaf("metric.weights", [batch]);
        let weighed = ops::mul(tape, per_example, weights);
        let total = ops::sum(tape, weighed);
        Measured { per_example, total, question, batch, length, rows, weights, places, form }
    }

    /// What can be read after a pass: the metric, and the logits that its reference is made of.
    pub fn results(&self) -> Vec<Var> {
        let logits = match self.form {
            Form::Divergence { logits, .. } | Form::Distance { logits, .. } => Some(logits),
            Form::Picked { .. } | Form::Weighed { .. } => None,
        };
        [self.per_example, self.total].into_iter().chain(logits).collect()
    }

    /// `[B]`, the metric of each example.
    pub(super) fn each<'p, T: Element>(&self, program: &'p Program<T>) -> &'p [T] {
        program.value(self.per_example)
    }

    /// `[B]`, what the metric of each example counts in their sum.
    pub(super) fn weights<'p, T: Element>(&self, program: &'p Program<T>) -> &'p [T] {
        program.value(self.weights)
    }

    /// The metric that was recorded.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// All its leaves: those to pass to [`plan_forward`](Program::plan_forward) if they are set
    /// between two passes.
    pub fn leaves(&self) -> Vec<Var> {
        let mut leaves = vec![self.weights];
        match self.form {
            Form::Picked { factors, .. } | Form::Weighed { factors } => leaves.push(factors),
            Form::Divergence { q, information, factors, .. } => {
                leaves.extend([q, information, factors]);
            }
            Form::Distance { clean, factors, .. } => leaves.extend([clean, factors]),
        }
        leaves
    }

    /// Sets the pairs and the weight of each in the total. There may be fewer pairs than B, and
    /// they may be shorter than T (they then start at position 0); the remaining rows have weight
    /// 0. If the stream has one position for the whole sequence, as in the pooled model, each pair
    /// is asked there.
    ///
    /// A mean over more pairs than a batch holds is the sum of the totals of all batches, each pair
    /// with the weight `1 / pairs`.
    ///
    /// # Panics
    /// If a pair is not one that the question was made for, there are more than B, or not one
    /// weight for each.
    #[track_caller]
    pub fn set_pairs<T: Element>(
        &self,
        program: &mut Program<T>,
        pairs: &[&Pair],
        weights: &[f64],
    ) {
        assert_eq!(pairs.len(), weights.len(), "a weight for each pair");
        assert!(pairs.len() <= self.batch, "{} pairs, a batch of {}", pairs.len(), self.batch);
        let all = program.value_mut(self.weights);
        all.fill(T::ZERO);
        for (weight, &w) in all.iter_mut().zip(weights) {
            *weight = T::from_f64(w);
        }
        let asked = self.asked(pairs);
        if let Some(places) = self.places {
            program.fill_ids(places, |ids| {
                // Rows without a pair read row 0, with weight 0.
                ids.fill(0);
                for (row, ask) in &asked {
                    ids[*row] = (row / self.rows * self.length + ask.position) as u32;
                }
            });
        }
        self.set_factors(program, &asked);
    }

    /// What the pairs ask: each row that is read, by its index, and what is read there.
    #[track_caller]
    fn asked(&self, pairs: &[&Pair]) -> Vec<(usize, Ask)> {
        let mut asked = vec![];
        for (b, pair) in pairs.iter().enumerate() {
            let mut asks = self.question.asks(pair);
            if self.length == 1 && pair.clean.len() > 1 {
                // The output for the whole sequence is that of its last position.
                asks.drain(..asks.len().saturating_sub(1));
                for ask in &mut asks {
                    (ask.position, ask.factor) = (0, if ask.factor == 0.0 { 0.0 } else { 1.0 });
                }
            } else {
                assert!(pair.clean.len() <= self.length, "a pair longer than {}", self.length);
            }
            assert!(asks.len() <= self.rows, "a pair of another question");
            let rows = asks.into_iter().enumerate().map(|(i, ask)| {
                let row = if self.places.is_some() { i } else { ask.position };
                (b * self.rows + row, ask)
            });
            asked.extend(rows);
        }
        asked
    }

    /// Sets the factors of the rows that are asked for, and those of all others to 0.
    #[track_caller]
    fn set_factors<T: Element>(&self, program: &mut Program<T>, asked: &[(usize, Ask)]) {
        match self.form {
            Form::Picked { ids, factors } => {
                let each = self.question.each;
                let fits = asked.iter().all(|(_, ask)| ask.taken.len() <= each);
                assert!(fits, "a pair of another question");
                program.fill_ids(ids, |ids| {
                    ids.fill(0);
                    for (row, ask) in asked {
                        for (id, &(taken, _)) in ids[row * each..].iter_mut().zip(&ask.taken) {
                            *id = taken;
                        }
                    }
                });
                let factors = program.value_mut(factors);
                factors.fill(T::ZERO);
                for (row, ask) in asked {
                    let taken = ask.taken.iter().map(|&(_, factor)| T::from_f64(factor));
                    factors[row * each..].iter_mut().zip(taken).for_each(|(f, x)| *f = x);
                }
            }
            Form::Weighed { factors } => {
                let width = program.shape(factors).last();
                let factors = program.value_mut(factors);
                factors.fill(T::ZERO);
                for (row, ask) in asked {
                    for &(id, factor) in &ask.taken {
                        factors[row * width + id as usize] += T::from_f64(factor);
                    }
                }
            }
            Form::Divergence { factors, .. } | Form::Distance { factors, .. } => {
                let factors = program.value_mut(factors);
                factors.fill(T::ZERO);
                for (row, ask) in asked {
                    factors[*row] = T::from_f64(ask.factor);
                }
            }
        }
    }

    /// The logits `[B P, V]` of the last pass at the rows that are read: the reference of `kl` and
    /// `l2`, if that pass was the clean run of the same pairs. Empty for the other metrics.
    pub fn reference<T: Element>(&self, program: &Program<T>) -> Vec<T> {
        match self.form {
            Form::Divergence { logits, .. } | Form::Distance { logits, .. } => {
                program.value(logits).to_vec()
            }
            Form::Picked { .. } | Form::Weighed { .. } => vec![],
        }
    }

    /// Sets the clean run's logits `[B P, V]` as returned by [`reference`](Self::reference). They
    /// are a constant: the tangents of dual numbers are ignored.
    ///
    /// # Panics
    /// If the length differs.
    #[track_caller]
    pub fn set_reference<T: Element>(&self, program: &mut Program<T>, reference: &[T]) {
        match self.form {
            Form::Picked { .. } | Form::Weighed { .. } => {
                assert!(reference.is_empty(), "a reference for a metric without one");
            }
            Form::Distance { clean, .. } => {
                let clean = program.value_mut(clean);
                assert_eq!(clean.len(), reference.len(), "the reference of another batch");
                for (clean, x) in clean.iter_mut().zip(reference) {
                    *clean = T::from_f64(x.to_f64());
                }
            }
            Form::Divergence { q, information, .. } => {
                let width = program.shape(q).last().max(1);
                assert_eq!(
                    program.value(q).len(),
                    reference.len(),
                    "the reference of another batch"
                );
                for (row, x) in reference.chunks_exact(width).enumerate() {
                    // In double precision, whatever the model's precision.
                    let largest = x.iter().map(|x| x.to_f64()).fold(f64::NEG_INFINITY, f64::max);
                    let total: f64 = x.iter().map(|x| (x.to_f64() - largest).exp()).sum();
                    let mut sum = 0.0;
                    let q = &mut program.value_mut(q)[row * width..][..width];
                    for (q, x) in q.iter_mut().zip(x) {
                        let log = x.to_f64() - largest - total.ln();
                        sum += log.exp() * log;
                        *q = T::from_f64(log.exp());
                    }
                    program.value_mut(information)[row] = T::from_f64(sum);
                }
            }
        }
    }

    /// Takes the last pass, which must be the clean run, as the reference; does nothing for a
    /// metric without one. Variables that depend on it change in the next pass.
    pub fn capture_reference<T: Element>(&self, program: &mut Program<T>) {
        let reference = self.reference(program);
        self.set_reference(program, &reference);
    }
}

#[cfg(test)]
mod tests;
