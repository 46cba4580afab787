//! Optimal ablation (Li and Janson 2024): the constants that minimise the ablated model's loss.
//!
//! Ablating a writer to zero or to its mean gives the model activations it has never seen, and part
//! of the loss comes from that rather than from what is missing. So every writer `u` gets the
//! constant that is best for the model without it:
//!
//! ```text
//! a[u] = argmin over a of   mean over pairs of d[p] when u writes a for every reader
//! ```
//!
//! `d` is the distance from the model: the metric itself for `kl` and `l2`, the square of the
//! metric's change for others; with `kl` at all positions it is the paper's loss. Each constant is
//! learned separately, from the mean of the writer's output, by Adam on all pairs at once. The
//! learning rate is a share of the output's spread, so that one setting fits all writers, and falls
//! linearly to 0. The best of all points on the path, including zero and the mean, is kept. Nothing
//! is random.
//!
//! As every [constant](crate::patching::behaviour::Baseline::Constant), that of a head replaces its
//! mixed values, before `W_O`.
//!
//! The cost is `steps` passes, forward and backward, for each writer, over the part of the model
//! after it.

use crate::attribution::Progress;
use crate::error::Result;
use crate::files::journal::kept;
use crate::nn::{Optimizer, Rule};
use crate::patching::behaviour::{Baseline, Behaviour};
use crate::patching::distance::Distance;
use crate::simd::Element;
use crate::tape::{BackwardPlan, ForwardPlan, Var};
use std::ops::Range;

/// How constants are learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimalOptions {
    /// Steps of the optimizer for each writer.
    pub steps: usize,
    /// Adam's learning rate in the first step, as a share of the root mean square of the deviation
    /// of the writer's output from its mean.
    pub lr: f64,
}

/// 300 steps, starting at a fiftieth: together three times the spread of the output.
impl Default for OptimalOptions {
    fn default() -> Self {
        OptimalOptions { steps: 300, lr: 0.02 }
    }
}

/// Constants for all writers, and their losses.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimal<T> {
    /// For [`Behaviour::set_constants`]: of each part of the model, in the order of the graph's
    /// sources, the ablation values of its writers side by side.
    pub constants: Vec<Vec<T>>,
    /// The loss without each writer, in the order of
    /// [`Graph::writers`](crate::graph::Graph::writers).
    pub losses: Vec<Losses>,
}

/// The mean distance from the model with one writer ablated to a constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Losses {
    /// To zero.
    pub zero: f64,
    /// To its mean.
    pub mean: f64,
    /// To the learned constant; at most as large as both.
    pub learned: f64,
}

kept!(Losses { zero, mean, learned });

/// Learns constants for all writers of the graph of `b`, whatever its baseline.
///
/// # Errors
/// If there is not enough memory, or the process has been asked to stop.
pub fn learn<T: Element>(
    b: &Behaviour<'_, T>,
    options: &OptimalOptions,
    progress: &mut Progress<'_>,
) -> Result<Optimal<T>> {
    let mut means = Behaviour::new(b.model, b.graph.clone(), b.pairs, b.question, Baseline::Mean)?;
    (means.rows, means.journal) = (b.rows, b.journal.clone());
    let mut optimal = Optimal { constants: means.constants().to_vec(), losses: vec![] };
    let mut task = Ablation { b: &means, distance: Distance::new(&means)?, ready: None };
    let writers = b.graph.writers.len();
    // The best constants of each writer, and their losses.
    let mut work = b.journal.units("optimal", Vec::<(Vec<f64>, Losses)>::new);
    for (source, constants) in optimal.constants.iter_mut().enumerate() {
        let part = task.part(source);
        let own = b.graph.sources[source].writers.clone();
        let width = constants.len() / own.len();
        for (i, writer) in own.enumerate() {
            let columns = i * width..(i + 1) * width;
            let numbers = &mut constants[columns.clone()];
            let mean: Vec<f64> = numbers.iter().map(|x| x.to_f64()).collect();
            if !work.is_done() {
                work.state.push(task.learn(&part, writer, columns, &mean, options)?);
                progress((writer + 1) as f64 / writers as f64);
                work.finish()?;
            }
            let (best, losses) = &work.state[optimal.losses.len()];
            numbers.iter_mut().zip(best).for_each(|(to, &x)| *to = T::from_f64(x));
            optimal.losses.push(*losses);
        }
    }
    Ok(optimal)
}

/// A part of the model in the recording of each length.
struct SourcePlans {
    /// The index of its source in the graph.
    source: usize,
    /// Passes that depend on its ablation value: forward from there, and backward to there.
    plans: Vec<(ForwardPlan, BackwardPlan)>,
}

/// The model with one writer ablated.
struct Ablation<'b, 'a, T: Element> {
    b: &'b Behaviour<'a, T>,
    distance: Distance<'b, 'a, T>,
    /// The writer for which the loaded batch is computed up to the constant.
    ready: Option<usize>,
}

impl<T: Element> Ablation<'_, '_, T> {
    fn part(&mut self, source: usize) -> SourcePlans {
        let forward = self.distance.probes().map(|probe| {
            let constant = probe.recorded.baselines[source];
            probe.program.plan_forward(&[constant])
        });
        let forward: Vec<ForwardPlan> = forward.collect();
        let backward = self.distance.plans(|probe| vec![probe.recorded.baselines[source]]);
        SourcePlans { source, plans: forward.into_iter().zip(backward).collect() }
    }

    /// Learns the constant of one `writer`, which has `columns` of its part's output and the mean
    /// output `mean`.
    fn learn(
        &mut self,
        part: &SourcePlans,
        writer: usize,
        columns: Range<usize>,
        mean: &[f64],
        options: &OptimalOptions,
    ) -> Result<(Vec<f64>, Losses)> {
        let mut value = |x: &[f64]| self.loss(part, writer, columns.clone(), x, None);
        let zero = vec![0.0; mean.len()];
        let mut losses = Losses { zero: value(&zero), mean: value(mean), learned: 0.0 };
        let mut best = match losses.zero < losses.mean {
            true => (losses.zero, zero),
            false => (losses.mean, mean.to_vec()),
        };
        let spread = self.spread(part, columns.clone(), mean);
        // A constant output is its own mean.
        let steps = if spread > 0.0 { options.steps } else { 0 };
        // Gradients have any unit, so eps must be small in all of them.
        let rule = Rule::Adam { betas: [0.9, 0.999], eps: 1e-16, weight_decay: 0.0 };
        let mut optimizer = Optimizer::<f64>::new(rule, [mean.len()]);
        let mut x = mean.to_vec();
        let mut gradient = vec![0.0; x.len()];
        for step in 0..=steps {
            self.b.journal.check()?;
            gradient.fill(0.0);
            let loss = self.loss(part, writer, columns.clone(), &x, Some(&mut gradient));
            if loss < best.0 {
                best = (loss, x.clone());
            }
            if step < steps {
                let left = 1.0 - step as f64 / steps as f64;
                optimizer.begin_step();
                optimizer.update(0, options.lr * spread * left, &mut x, &gradient);
            }
        }
        losses.learned = best.0;
        Ok((best.1, losses))
    }

    /// The mean distance from the model over all pairs where `writer` writes `x` for every reader;
    /// adds its derivative by `x` to `gradient`.
    fn loss(
        &mut self,
        part: &SourcePlans,
        writer: usize,
        columns: Range<usize>,
        x: &[f64],
        mut gradient: Option<&mut [f64]>,
    ) -> f64 {
        let mut total = 0.0;
        for batch in 0..self.distance.batches() {
            if self.distance.load(batch) {
                self.ready = None;
            }
            let (forward, backward) = &part.plans[self.distance.length()];
            let constant = self.distance.probe().recorded.baselines[part.source];
            self.replace(constant, columns.clone(), x);
            if self.ready == Some(writer) {
                self.distance.probe().program.forward_from(forward);
            } else {
                self.remove(writer);
                self.distance.probe().program.forward();
                self.ready = Some(writer);
            }
            total += self.distance.sum();
            let Some(gradient) = &mut gradient else { continue };
            self.distance.backward(backward, self.b.weight());
            let program = &self.distance.probe().program;
            let width = program.shape(constant).last();
            for row in program.grad(constant).chunks_exact(width) {
                let row = row[columns.clone()].iter();
                gradient.iter_mut().zip(row).for_each(|(g, x)| *g += x.to_f64());
            }
        }
        total * self.b.weight()
    }

    /// Sets the ablation value of a writer, at all positions of the loaded batch.
    fn replace(&mut self, constant: Var, columns: Range<usize>, x: &[f64]) {
        let program = &mut self.distance.probe().program;
        let width = program.shape(constant).last();
        for row in program.value_mut(constant).chunks_exact_mut(width) {
            let row = row[columns.clone()].iter_mut();
            row.zip(x).for_each(|(to, &x)| *to = T::from_f64(x));
        }
    }

    /// Ablates all edges of `writer` in the loaded batch, and no others.
    fn remove(&mut self, writer: usize) {
        let graph = &self.b.graph;
        let of = |e: usize| f64::from(u8::from(graph.place(e).3 != writer));
        let masks: Vec<f64> = (0..graph.edges()).map(of).collect();
        self.distance.set_masks(&masks);
    }

    /// The root mean square deviation of a writer's output on clean sequences from its `mean`.
    fn spread(&mut self, part: &SourcePlans, columns: Range<usize>, mean: &[f64]) -> f64 {
        let (mut sum, mut count) = (0.0, 0);
        for batch in 0..self.distance.batches() {
            if self.distance.load(batch) {
                self.ready = None;
            }
            let pairs = self.distance.pairs();
            let probe = self.distance.probe();
            // A writer depends neither on its own edges nor on those of its part.
            let output = probe.recorded.outputs[part.source].var();
            let &[_, time, width] = probe.program.shape(output).dims() else {
                unreachable!("streams have three axes")
            };
            let rows = probe.program.value(output).chunks_exact(width).take(pairs * time);
            for row in rows {
                let off = row[columns.clone()].iter().zip(mean).map(|(x, m)| x.to_f64() - m);
                sum += off.map(|x| x * x).sum::<f64>();
                count += mean.len();
            }
        }
        (sum / count as f64).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::super::compiled::{Setting, difference};
    use super::*;
    use crate::checkpoints::AnyModel;
    use crate::patching::metric::Metric;
    use crate::patching::probe::Probe;
    use crate::patching::subsets;
    use crate::rng::{Purpose, Rng};

    #[test]
    fn gradients_are_slopes() {
        let setting = Setting::fixture("gpt2-tiny", 3);
        for (metric, rows) in [(Metric::LogitDiff, usize::MAX), (Metric::Kl, 1)] {
            let mut b = setting.ask(metric, Baseline::Mean);
            // All pairs at once, or each by itself.
            b.rows = rows.min(1 << 20);
            let mut task =
                Ablation { b: &b, distance: Distance::new(&b).expect("it fits"), ready: None };
            assert_eq!(task.distance.batches(), if rows == 1 { 3 } else { 1 });
            // A head that is not the first of its part, and an MLP.
            for source in [1, 2] {
                let part = task.part(source);
                let own = b.graph.sources[source].writers.clone();
                let writer = own.end - 1;
                let total = b.widths().nth(source).expect("a part");
                let columns = total - total / own.len()..total;
                let mut rng = Rng::new(2, Purpose::Sample, 0);
                let mut random = || -> Vec<f64> { columns.clone().map(|_| rng.normal()).collect() };
                let (x, way) = (random(), random());
                let mut at = |h: f64, gradient: Option<&mut [f64]>| {
                    let x: Vec<f64> = x.iter().zip(&way).map(|(x, w)| x + h * w).collect();
                    task.loss(&part, writer, columns.clone(), &x, gradient)
                };
                let mut gradient = vec![0.0; columns.len()];
                at(0.0, Some(&mut gradient));
                let slope: f64 = gradient.iter().zip(&way).map(|(g, w)| g * w).sum();
                let (near, off) = difference(1e-5, |h| at(h, None));
                assert!(off < 1e-5 * near.abs(), "{metric:?}: nothing to compare: {near} {off}");
                assert!((slope - near).abs() <= off, "{metric:?}: {slope} {near} {off}");
            }
        }
    }

    /// The reported losses are those of runs with these constants; and learned constants are no
    /// worse than zero and the mean, and mostly better.
    #[test]
    fn learned_constants_harm_least() {
        let setting = Setting::fixture("gpt2-tiny", 3);
        let b = setting.ask(Metric::Kl, Baseline::Resample);
        let options = OptimalOptions { steps: 60, ..OptimalOptions::default() };
        let optimal = learn(&b, &options, &mut |_| {}).expect("it runs");
        let means = setting.ask(Metric::Kl, Baseline::Mean).constants().to_vec();
        let zeros = means.iter().map(|row| vec![0.0; row.len()]).collect();
        let mut better = 0;
        let mut losses = vec![];
        for constants in [zeros, means, optimal.constants.clone()] {
            let mut b = setting.ask(Metric::Kl, Baseline::Constant);
            b.set_constants(constants);
            let count = b.graph.writers.len();
            let kept = |u: usize, e: usize| b.graph.place(e).3 != u;
            losses.push(subsets::values(&b, count, kept, &mut |_| {}).expect("values"));
        }
        assert_eq!(optimal.losses.len(), b.graph.writers.len());
        for (u, said) in optimal.losses.iter().enumerate() {
            let [zero, mean, learned] = [losses[0][u], losses[1][u], losses[2][u]];
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-10 * b.abs().max(1e-3);
            assert!(close(said.zero, zero) && close(said.mean, mean), "{u}: {said:?}");
            assert!(close(said.learned, learned), "{u}: {said:?} {learned}");
            assert!(said.learned <= said.zero.min(said.mean), "{u}: {said:?}");
            better += usize::from(said.learned < 0.99 * said.zero.min(said.mean));
        }
        assert!(2 * better > optimal.losses.len(), "{better}: {:?}", optimal.losses);
    }

    /// Logits read the last MLP linearly, so `l2` is a mean of squares there, and the best constant
    /// is the mean over the asked positions, which leaves their variance.
    #[test]
    fn the_best_constant_is_found_where_it_is_known() {
        let setting = Setting::tracr("trend");
        let b = setting.ask(Metric::L2, Baseline::Zero);
        let AnyModel::Transformer(model) = &setting.model else { unreachable!("no pooled model") };
        let mut named = model.config.parameters().into_iter().zip(&model.weights);
        let (_, unembed) = named.find(|(p, _)| p.name == "unembed.W_U").expect("a parameter");
        let (d, classes) = (model.config.d_model, model.config.vocab_out);
        let (count, time) = (b.pairs.len(), b.pairs[0].clean.len());
        let pairs: Vec<_> = b.pairs.iter().collect();
        let mut probe = Probe::new(&b, count, pairs[0], None).expect("it fits");
        probe.run_clean(&pairs);
        let mlp = probe.outputs().pop().expect("the MLP");
        // Its contribution to the logits at the asked positions, all but the first.
        let mut rows = vec![];
        for (i, row) in mlp.chunks_exact(d).enumerate().filter(|(i, _)| i % time != 0) {
            assert!(pairs[i / time].positions().contains(&(i % time)));
            let logit =
                |v: usize| -> f64 { row.iter().zip(&unembed[v * d..]).map(|(x, w)| x * w).sum() };
            rows.push((0..classes).map(logit).collect::<Vec<f64>>());
        }
        let mean = |v: usize| rows.iter().map(|row| row[v]).sum::<f64>() / rows.len() as f64;
        let best: f64 = (0..classes)
            .map(|v| rows.iter().map(|row| (row[v] - mean(v)).powi(2)).sum::<f64>())
            .sum::<f64>()
            / rows.len() as f64;
        let optimal = learn(&b, &OptimalOptions::default(), &mut |_| {}).expect("it runs");
        let said = optimal.losses.last().expect("the MLP");
        assert!(best > 0.1 && said.mean > best * 1.001, "{said:?} {best}");
        assert!(said.learned >= best * (1.0 - 1e-12), "{said:?} {best}");
        assert!(said.learned - best <= 0.01 * (said.mean - best), "{said:?} {best}");
    }
}
