//! A behaviour run over all its pairs, a batch at a time: mean ablation values, and the metric of
//! the clean and the corrupted runs.

use super::behaviour::{Baseline, Behaviour};
use super::metric;
use super::metric::Question;
use super::probe::Probe;
use crate::checkpoints::AnyModel;
use crate::error::Result;
use crate::formats::pairs::{Pair, Pairs};
use crate::graph::{Graph, MaskShape};
use crate::simd::Element;
use std::sync::{MutexGuard, PoisonError};

/// The metric of all pairs in the clean and in the corrupted run, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extremes {
    /// With every edge: the model on the clean sequences.
    pub clean: Vec<f64>,
    /// The model on the corrupted sequences.
    pub corrupted: Vec<f64>,
}

impl Extremes {
    /// The means over pairs, clean and corrupted.
    pub fn means(&self) -> (f64, f64) {
        let mean = |list: &[f64]| list.iter().sum::<f64>() / list.len() as f64;
        (mean(&self.clean), mean(&self.corrupted))
    }
}

/// The extremes of the pairs that somebody has run already, and of which question.
#[derive(Debug, Default)]
pub(super) struct Seen<'a> {
    of: Option<(Question, &'a Pairs)>,
    extremes: Extremes,
    /// The pairs that are still to be run.
    missing: Vec<bool>,
}

impl<'a> Seen<'a> {
    /// Forgets what is of another question.
    fn of(&mut self, question: Question, pairs: &'a Pairs) {
        if self.of.is_none_or(|(q, p)| q != question || !std::ptr::eq(p, pairs)) {
            let unknown = vec![f64::NAN; pairs.len()];
            let extremes = Extremes { clean: unknown.clone(), corrupted: unknown };
            *self =
                Seen { of: Some((question, pairs)), extremes, missing: vec![true; pairs.len()] };
        }
    }
}

impl<'a, T: Element> Behaviour<'a, T> {
    /// A behaviour; the means that its baseline needs are computed here.
    ///
    /// # Errors
    /// If a graph with positions meets sequences of several lengths, the sequences do not fit a
    /// pooled model, or there are more edges than memory.
    pub fn new(
        model: &'a AnyModel<T>,
        graph: Graph,
        pairs: &'a Pairs,
        question: Question,
        baseline: Baseline,
    ) -> Result<Self> {
        let mut b = Behaviour::checked(model, graph, pairs, question, baseline)?;
        if matches!(baseline, Baseline::Mean | Baseline::MeanPerPosition) {
            b.fixed = b.take_means()?;
        }
        Ok(b)
    }

    /// Calls `each` on batches that together are all pairs, each with a recording of the model
    /// whose metric is set to the batch; nothing is computed yet.
    ///
    /// # Errors
    /// Those of the recording and of `each`, or if the process has been asked to stop.
    pub fn batches(
        &self,
        masks: Option<MaskShape>,
        each: impl FnMut(&mut Probe<T>, &[&Pair]) -> Result<()>,
    ) -> Result<()> {
        self.by_batch(|batch, like| Probe::new(self, batch, like, masks), each)
    }

    /// The same for [whole](Probe::whole) passes without masks.
    ///
    /// # Errors
    /// As there.
    pub fn whole_batches(
        &self,
        each: impl FnMut(&mut Probe<T>, &[&Pair]) -> Result<()>,
    ) -> Result<()> {
        self.by_batch(|batch, like| Probe::whole(self, batch, like), each)
    }

    /// The same for [whole passes with masks](Probe::masked), by the behaviour's rules.
    ///
    /// # Errors
    /// As there.
    pub fn masked_batches(
        &self,
        each: impl FnMut(&mut Probe<T>, &[&Pair]) -> Result<()>,
    ) -> Result<()> {
        let record = |batch: usize, like: &Pair| {
            Probe::masked(self, batch, like, MaskShape::default(), self.rules)
        };
        self.by_batch(record, each)
    }

    fn by_batch(
        &self,
        probe: impl Fn(usize, &Pair) -> Result<Probe<T>>,
        mut each: impl FnMut(&mut Probe<T>, &[&Pair]) -> Result<()>,
    ) -> Result<()> {
        for group in self.lengths() {
            let time = group[0].clean.len();
            let batch = (self.rows / time.max(1)).clamp(1, group.len());
            let mut probe = probe(batch, group[0])?;
            for pairs in group.chunks(batch) {
                self.journal.check()?;
                probe.ask(self, pairs);
                each(&mut probe, pairs)?;
            }
        }
        Ok(())
    }

    /// The metric of every pair on its clean and on its corrupted sequence, unless a method has run
    /// both already.
    ///
    /// # Errors
    /// If one is not finite, or if both are equal on average: then faithfulness is undefined.
    pub fn extremes(&self) -> Result<Extremes> {
        if self.seen().missing.contains(&true) {
            self.whole_batches(|probe, pairs| {
                probe.run_clean(pairs);
                let clean = probe.results(pairs.len());
                probe.run_corrupted(pairs);
                self.saw(pairs, [&clean, &probe.results(pairs.len())]);
                Ok(())
            })?;
        }
        let found = self.seen().extremes.clone();
        metric::check(self.pairs, self.question.metric(), &found.clean, &found.corrupted)?;
        Ok(found)
    }

    /// Keeps the metric of `pairs` in the clean and in the corrupted run.
    pub(super) fn saw(&self, pairs: &[&Pair], [clean, corrupted]: [&[f64]; 2]) {
        let mut seen = self.seen();
        for (i, pair) in pairs.iter().enumerate() {
            let at = self.pairs.index(pair);
            seen.extremes.clean[at] = clean[i];
            seen.extremes.corrupted[at] = corrupted[i];
            seen.missing[at] = false;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen<'a>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.of(self.question, self.pairs);
        seen
    }

    fn take_means(&self) -> Result<Vec<Vec<T>>> {
        let longest = self.pairs.longest();
        let placed = self.baseline == Baseline::MeanPerPosition;
        // Sums in double precision by output, position and channel; streams of one position have
        // one.
        let mut sums: Vec<Vec<f64>> = vec![];
        let mut counts: Vec<Vec<f64>> = vec![];
        let mut widths = vec![];
        self.whole_batches(|probe, pairs| {
            probe.run_clean(pairs);
            let outputs = probe.recorded.outputs.clone();
            for (i, output) in outputs.iter().enumerate() {
                let dims = probe.program.shape(output.var()).dims().to_vec();
                let (time, n) = (dims[1], dims[2]);
                if sums.len() <= i {
                    sums.push(vec![0.0; longest * n]);
                    counts.push(vec![0.0; longest]);
                    widths.push(n);
                }
                let value = probe.program.value(output.var());
                for (row, numbers) in value.chunks_exact(n).take(pairs.len() * time).enumerate() {
                    let t = row % time;
                    counts[i][t] += 1.0;
                    let to = &mut sums[i][t * n..(t + 1) * n];
                    to.iter_mut().zip(numbers).for_each(|(s, x)| *s += x.to_f64());
                }
            }
            Ok(())
        })?;
        let mean = |(i, sums): (usize, &Vec<f64>)| -> Vec<T> {
            let n = widths[i];
            if placed {
                let at = |j: usize| T::from_f64(sums[j] / counts[i][j / n].max(1.0));
                return (0..sums.len()).map(at).collect();
            }
            let count: f64 = counts[i].iter().sum();
            (0..n)
                .map(|j| T::from_f64(sums.iter().skip(j).step_by(n).sum::<f64>() / count))
                .collect()
        };
        Ok(sums.iter().enumerate().map(mean).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::method::{Method, Options};
    use crate::checkpoints;
    use crate::graph::Granularity;
    use crate::named::Named;
    use crate::patching::metric::{Metric, Positions};
    use std::path::Path;

    /// With few rows both runs are one batch, with many they are two; the last batch is not full.
    #[test]
    fn methods_that_run_both_leave_the_bits_of_both() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gpt2-tiny");
        let model = checkpoints::read::<f64>(&folder).expect("a model");
        let AnyModel::Transformer(m) = &model else { panic!("a transformer") };
        let pairs = folder.join("pairs.jsonl");
        let pairs = Pairs::read(pairs, &model.bounds(), None, Some(15)).expect("pairs");
        let time = pairs[0].clean.len();
        assert!(pairs.len() * time > 64, "few rows are one batch");
        let graph = || Graph::of_transformer(&m.config, Granularity::default());
        for metric in [Metric::LogitDiff, Metric::ProbDiff, Metric::Nll] {
            let question = Question::new(metric, Positions::Asked, m.config.vocab_out, &pairs);
            let question = question.expect("a question");
            let ask = || {
                Behaviour::new(&model, graph(), &pairs, question, Baseline::Resample).expect("fits")
            };
            let alone = ask().extremes().expect("they differ");
            for (_, method) in Method::ALL.iter().filter(|(_, method)| method.runs_both()) {
                for rows in [2 * time, 100 * time] {
                    let b = Behaviour { rows, ..ask() };
                    let options = Options { steps: 2, ..method.options() };
                    method.scores(&b, &options, &mut |_| {}).expect("it runs");
                    let seen = b.seen();
                    assert!(!seen.missing.contains(&true), "{method:?}, {metric:?}");
                    assert_eq!(seen.extremes, alone, "{method:?}, {metric:?}, {rows} rows");
                }
            }
            // Those of another question are not kept.
            let mut b = ask();
            b.extremes().expect("they differ");
            b.question = Question::new(Metric::L2, Positions::All, m.config.vocab_out, &pairs)
                .expect("a question");
            assert!(b.seen().missing.iter().all(|&missing| missing));
        }
    }
}
