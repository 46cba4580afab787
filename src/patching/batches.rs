//! A behaviour run over all its pairs, a batch at a time: mean ablation values, and the metric of
//! the clean and the corrupted runs.

use super::behaviour::{Baseline, Behaviour};
use super::metric;
use super::metric::Question;
use super::probe::Probe;
use crate::checkpoints::AnyModel;
use crate::error::Result;
use crate::files::journal::{State, Units};
use crate::formats::pairs::{Pair, Pairs};
use crate::graph::{Graph, MaskShape};
use crate::ranks;
use crate::simd::Element;
use crate::tape::Rules;
use std::ops::Range;
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

/// What is recorded for batches of pairs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pass {
    /// Any pass, perhaps with masks.
    Any(Option<MaskShape>),
    /// [Whole](Probe::whole) passes without masks.
    Whole,
    /// Whole passes with [masks](Probe::masked), by these rules.
    Masked(Rules),
}

/// Where what a unit of work comes to is put.
pub(crate) type Put<'a, P> = dyn FnMut(P) -> Result<()> + 'a;

/// Adds the scores of some pairs.
#[expect(clippy::ptr_arg, reason = "the state that units add to is a list")]
pub(crate) fn plus(sums: &mut Vec<f64>, part: Vec<f64>) {
    sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
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
        self.by_batch(Pass::Any(masks), |_| true, each)
    }

    /// The same for [whole](Probe::whole) passes without masks.
    ///
    /// # Errors
    /// As there.
    pub fn whole_batches(
        &self,
        each: impl FnMut(&mut Probe<T>, &[&Pair]) -> Result<()>,
    ) -> Result<()> {
        self.by_batch(Pass::Whole, |_| true, each)
    }

    /// Adds up what batches come to that together are all pairs. A batch is a row of `units`:
    /// `each` does those from one on, with a recording whose metric is set to the batch, and puts
    /// what each comes to, which is added in the order of the batches. Ranks of a job
    /// [share](Units::shared) the batches.
    ///
    /// # Errors
    /// Those of the recording and of `each`, or if the process has been asked to stop.
    pub(crate) fn add_up<S: State, P: State>(
        &self,
        pass: Pass,
        (work, units): (&mut Units<S>, usize),
        progress: &mut super::Progress<'_>,
        mut each: impl FnMut(&mut Probe<T>, &[&Pair], usize, &mut Put<'_, P>) -> Result<()>,
        mut add: impl FnMut(&mut S, P),
    ) -> Result<()> {
        let groups = self.lengths();
        let batches = self.chunks(&groups);
        let mut recorded: Option<(usize, Probe<T>)> = None;
        let mut done = 0.0;
        let share = |batch: usize| batches[batch].1.len() as f64 * self.weight() / units as f64;
        work.shared(
            &vec![units; batches.len()],
            |i, before, put| {
                let (group, ref range) = batches[i];
                let probe = self.recorded(pass, &groups, group, &mut recorded)?;
                let pairs = &groups[group][range.clone()];
                self.journal.check()?;
                probe.ask(self, pairs);
                each(probe, pairs, before, put)
            },
            |state, i, part| {
                add(state, part);
                done += share(i);
                progress(done);
            },
        )
    }

    /// Pairs at once of a group of one length.
    fn at_once(&self, group: &[&Pair]) -> usize {
        (self.rows / group[0].clean.len().max(1)).clamp(1, group.len())
    }

    /// The batches of all groups, in order: the index of a group, and which of its pairs.
    fn chunks(&self, groups: &[Vec<&Pair>]) -> Vec<(usize, Range<usize>)> {
        let of = |(g, group): (usize, &Vec<&Pair>)| {
            let (all, batch) = (group.len(), self.at_once(group));
            (0..all).step_by(batch).map(move |from| (g, from..all.min(from + batch)))
        };
        groups.iter().enumerate().flat_map(of).collect()
    }

    /// The recording for a group: the last one if it is of this group.
    fn recorded<'p>(
        &self,
        pass: Pass,
        groups: &[Vec<&Pair>],
        group: usize,
        last: &'p mut Option<(usize, Probe<T>)>,
    ) -> Result<&'p mut Probe<T>> {
        if last.as_ref().is_none_or(|(of, _)| *of != group) {
            // Only one takes memory.
            *last = None;
            let (batch, like) = (self.at_once(&groups[group]), groups[group][0]);
            let probe = match pass {
                Pass::Any(masks) => Probe::new(self, batch, like, masks),
                Pass::Whole => Probe::whole(self, batch, like),
                Pass::Masked(rules) => {
                    Probe::masked(self, batch, like, MaskShape::default(), rules)
                }
            };
            *last = Some((group, probe?));
        }
        Ok(&mut last.as_mut().expect("it was recorded").1)
    }

    /// Calls `each` on the batches whose numbers are asked for.
    fn by_batch(
        &self,
        pass: Pass,
        asked: impl Fn(usize) -> bool,
        mut each: impl FnMut(&mut Probe<T>, &[&Pair]) -> Result<()>,
    ) -> Result<()> {
        let groups = self.lengths();
        let mut recorded = None;
        let batches = self.chunks(&groups).into_iter().enumerate();
        for (_, (group, range)) in batches.filter(|(i, _)| asked(*i)) {
            let probe = self.recorded(pass, &groups, group, &mut recorded)?;
            let pairs = &groups[group][range];
            self.journal.check()?;
            probe.ask(self, pairs);
            each(probe, pairs)?;
        }
        Ok(())
    }

    /// The metric of every pair on its clean and on its corrupted sequence, unless a method has run
    /// both already.
    ///
    /// # Errors
    /// If one is not finite, or if both are equal on average: then faithfulness is undefined.
    pub fn extremes(&self) -> Result<Extremes> {
        self.tell_seen()?;
        if self.seen().missing.contains(&true) {
            let mine = |batch: usize| batch % ranks::count() == ranks::rank();
            self.by_batch(Pass::Whole, mine, |probe, pairs| {
                probe.run_clean(pairs);
                let clean = probe.results(pairs.len());
                probe.run_corrupted(pairs);
                self.saw(pairs, [&clean, &probe.results(pairs.len())]);
                Ok(())
            })?;
            self.tell_seen()?;
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

    /// Tells the other ranks what this one has seen, and hears what they have.
    fn tell_seen(&self) -> Result<()> {
        if ranks::count() == 1 {
            return Ok(());
        }
        let mut bytes = vec![];
        {
            let Seen { extremes, missing, .. } = &*self.seen();
            let known = (0..missing.len()).filter(|&i| !missing[i]);
            let known: Vec<_> =
                known.map(|i| (i, extremes.clean[i], extremes.corrupted[i])).collect();
            known.put(&mut bytes);
        }
        let all = ranks::gather(bytes)?;
        let mut seen = self.seen();
        for bytes in all {
            let known =
                Vec::<(usize, f64, f64)>::take(&mut &bytes[..]).expect("what a rank has put");
            for (i, clean, corrupted) in known {
                (seen.extremes.clean[i], seen.extremes.corrupted[i]) = (clean, corrupted);
                seen.missing[i] = false;
            }
        }
        Ok(())
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
