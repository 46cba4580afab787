//! The computing half of a run: batches, gradients, updates and evaluations of one stage.

use super::batches::Batches;
use super::checkpoint::State;
use super::circuits::Watch;
use super::config::{Config, OptimizerState, Stage, TrainConfig};
use super::measure::{Evaluator, Measured};
use super::parts::Parts;
use super::run::GO_ON;
use super::start;
use crate::error::Result;
use crate::formats::metrics::EvalLine;
use crate::interrupt;
use crate::measures;
use crate::nn::pooled;
use crate::nn::pooled::{Group, Parameter, Pooled};
use crate::nn::sparse;
use crate::nn::{Optimizer, PartSum, Schedule, clip_factor, squared_norm};
use crate::rng::{Purpose, Rng};
use crate::simd::Element;
use crate::tape::{BackwardPlan, Program, Tape};
use crate::tasks::Split;
use std::collections::BTreeMap;

/// The model a stage describes.
pub(super) fn model_config(stage: &Stage) -> pooled::Config {
    let m = &stage.model;
    pooled::Config {
        vocab: m.vocab,
        seq_len: stage.task.seq_len,
        d_model: m.d_model,
        d_mlp: m.d_mlp,
        activation: m.activation,
        mlp_bias: m.mlp_bias,
        dropout: m.dropout,
    }
}

/// All that a stage computes with.
pub(super) struct Work<'a, T> {
    pub(super) index: usize,
    stage: &'a Stage,
    pub(super) model_config: pooled::Config,
    pub(super) parameters: Vec<Parameter>,
    data: &'a Split,
    program: Program<T>,
    model: Pooled,
    /// The reverse pass of the first chunk of a part, and of the others, which add to it.
    plans: [BackwardPlan; 2],
    /// The parts of the batch at hand.
    sum: PartSum<T>,
    pub(super) optimizer: Optimizer<T>,
    frozen: Frozen<T>,
    /// Memory for the sizes of a matrix's weights, if all but the largest are set to 0.
    sizes: Vec<T>,
    schedule: Schedule,
    evaluator: Evaluator<T>,
    /// If the stage logs its circuits.
    pub(super) watch: Option<Watch<T>>,
    pub(super) batches: Batches,
    /// The rows of the current batch.
    rows: Vec<u32>,
    /// How many of them are a part of the gradient.
    part: usize,
    /// How many of these the program takes at a time.
    chunk: usize,
    pub(super) dropout: Rng,
}

/// The bytes of activations and their gradients that mostly stay in a second-level cache.
const CHUNK_BYTES: usize = 1 << 20;

/// How many rows of a part to compute at a time, so that what one operation writes is still in
/// the cache when the next one reads it. All chunks are alike, the last one may not be full. It
/// depends on the shapes alone, as the bits of the sum do.
fn chunk_rows<T>(config: &pooled::Config, part: usize) -> usize {
    let numbers = 5 * config.d_mlp + 8 * config.d_model + 4 * config.seq_len + 3 * config.vocab;
    let most = (CHUNK_BYTES / (numbers * size_of::<T>())).max(32);
    part.div_ceil(part.div_ceil(most))
}

/// The optimizer of a stage: a fresh one, or one that goes on by this stage's rule.
fn optimizer<T: Element>(
    train: &TrainConfig,
    parameters: &[Parameter],
    kept: Option<Optimizer<T>>,
) -> Optimizer<T> {
    let sizes = parameters.iter().map(|p| p.shape.len());
    let mut optimizer = kept.unwrap_or_else(|| Optimizer::new(train.rule(), sizes));
    optimizer.follow(train.rule());
    optimizer
}

/// Elements that a stage does not change, with their values.
struct Frozen<T> {
    parts: Parts,
    /// By parameter; empty if nothing is frozen.
    values: Vec<Vec<T>>,
    zeros: Vec<Vec<T>>,
}

impl<T: Element> Frozen<T> {
    fn new(names: &[String], config: &pooled::Config, weights: &[Vec<T>]) -> Self {
        let parts = start::parts(names, config);
        let values = if parts.is_empty() { vec![] } else { weights.to_vec() };
        let zeros = values.iter().map(|w| vec![T::ZERO; w.len()]).collect();
        Frozen { parts, values, zeros }
    }

    /// Sets what a gradient of parameter `i` says of frozen elements to 0, so that a clipped norm
    /// does not count it.
    fn clear(&self, i: usize, gradient: &mut [T]) {
        if let Some(zeros) = self.zeros.get(i) {
            self.parts.copy_one(i, zeros, gradient);
        }
    }

    /// Gives frozen elements of parameter `i` their values back: a moment or weight decay may have
    /// moved them.
    fn restore(&self, i: usize, x: &mut [T]) {
        if let Some(values) = self.values.get(i) {
            self.parts.copy_one(i, values, x);
        }
    }
}

/// The learning rates of a stage.
fn schedule(train: &TrainConfig) -> Schedule {
    Schedule {
        shape: train.schedule,
        peak: train.lr,
        floor: train.min_lr,
        warmup: train.warmup as usize,
        steps: train.steps as usize,
    }
}

impl<'a, T: Element> Work<'a, T> {
    /// For stage `index`, from its beginning with these weights, or from `state`; `kept` is the
    /// optimizer as the stage before, or the checkpoint, left it.
    pub(super) fn new(
        config: &'a Config,
        index: usize,
        data: &'a Split,
        weights: &[Vec<T>],
        kept: Option<Optimizer<T>>,
        state: Option<&State>,
    ) -> Self {
        let stage = &config.stages[index];
        let t = &stage.train;
        let model_config = model_config(stage);
        let parameters = model_config.parameters();
        let train_rows = data.train.n;
        let batch = t.batch.rows(train_rows);
        let part = t.part.map_or(batch, |part| part.min(batch));
        let mut tape = Tape::new();
        let chunk = chunk_rows::<T>(&model_config, part);
        let model = Pooled::record(&mut tape, &model_config, chunk);
        let mut program = tape.finish();
        let first = program.plan_backward(model.loss, &model.parameters);
        let others = first.accumulating(&program);
        model.set_parameters(&mut program, weights);

        let keep = state.is_some() || t.optimizer_state == OptimizerState::Keep;
        let optimizer = optimizer(t, &parameters, kept.filter(|_| keep));
        let in_order = !t.shuffle || batch == train_rows;
        let fresh = |purpose| Rng::new(config.seed, purpose, index as u32);
        let shuffle = (!in_order).then(|| fresh(Purpose::Shuffle));
        let batches = match state {
            Some(state) => Batches::resume(train_rows, state.batches),
            None => Batches::new(train_rows, shuffle),
        };
        let dropout = match state {
            Some(state) => Rng::from_state(&state.dropout),
            None => fresh(Purpose::Dropout),
        };
        let watch = (t.circuit_every > 0).then(|| {
            Watch::new(&model_config, &data.train, t.circuit_probe, config.seed, &stage.task)
        });
        let largest = parameters.iter().map(|p| p.shape.len()).max().unwrap_or(0);
        let rows = data.train.n.max(data.test.as_ref().map_or(0, |t| t.n));
        Work {
            index,
            stage,
            frozen: Frozen::new(&t.freeze, &model_config, weights),
            sizes: vec![T::ZERO; if t.nonzero.is_some() { largest } else { 0 }],
            evaluator: Evaluator::new(&model_config, rows),
            watch: watch.flatten(),
            model_config,
            parameters,
            data,
            program,
            model,
            plans: [first, others],
            sum: PartSum::default(),
            part,
            chunk,
            optimizer,
            schedule: schedule(t),
            batches,
            rows: vec![0; batch],
            dropout,
        }
    }

    /// Draws the next batch and computes its loss and gradient.
    ///
    /// # Errors
    /// If the process has been asked to stop before it was done, or another rank has failed.
    pub(super) fn gradient(&mut self) -> Result<T> {
        self.batches.next_into(&mut self.rows);
        let parts = self.rows.len().div_ceil(self.part);
        self.sum.begin_shared(parts);
        for i in 0..parts {
            let mine = self.sum.is_mine(i);
            let loss = self.part(i, mine)?;
            if mine {
                self.sum.add(&self.program, &self.model.parameters, loss.to_f64());
            }
        }
        self.sum.finish(&mut self.program, &self.model.parameters).map(T::from_f64)
    }

    /// The loss of part `i` of the batch and, in the program, its gradient; another rank's takes
    /// random numbers alone.
    fn part(&mut self, i: usize, mine: bool) -> Result<T> {
        let train = &self.data.train;
        let rows = self.rows.chunks(self.part).nth(i).expect("a part of the batch");
        let mut loss = T::ZERO;
        for (j, rows) in rows.chunks(self.chunk).enumerate() {
            if self.model_config.dropout > 0.0 {
                let rng = &mut self.dropout;
                self.program.draw_noise(|| rng.uniform());
            }
            if !mine {
                continue;
            }
            interrupt::check("training", "within a step", GO_ON)?;
            let rows = rows.iter().map(|&r| (train.row(r as usize), train.targets[r as usize]));
            self.model.set_part(&mut self.program, rows, self.rows.len());
            self.program.forward();
            self.program.backward(&self.plans[j.min(1)]);
            loss += self.program.value(self.model.loss)[0];
        }
        Ok(loss)
    }

    /// Updates the parameters by the gradient and returns the learning rate.
    pub(super) fn update(&mut self, step: u64) -> f64 {
        let lr = self.schedule.at(step as usize);
        let t = &self.stage.train;
        for (i, &x) in self.model.parameters.iter().enumerate() {
            self.frozen.clear(i, self.program.value_and_grad_mut(x).1);
        }
        if let Some(limit) = t.clip {
            let squares = self.model.parameters.iter().map(|&x| squared_norm(self.program.grad(x)));
            let factor = clip_factor(squares.sum::<f64>().sqrt(), limit);
            if factor < 1.0 {
                for &x in &self.model.parameters {
                    let (_, gradient) = self.program.value_and_grad_mut(x);
                    gradient.iter_mut().for_each(|g| *g = *g * T::from_f64(factor));
                }
            }
        }
        self.optimizer.begin_step();
        for (i, (&x, p)) in self.model.parameters.iter().zip(&self.parameters).enumerate() {
            let discount = if p.group == Group::Mlp { t.mlp_lr_discount } else { 1.0 };
            let (x, gradient) = self.program.value_and_grad_mut(x);
            self.optimizer.update(i, lr / discount, x, gradient);
            if let Some(share) = t.nonzero.filter(|_| p.is_matrix()) {
                let n = x.len();
                let kept = sparse::kept(n, share, step + 1, t.steps);
                sparse::keep_largest(x, kept, &mut self.sizes[..n]);
            }
            self.frozen.restore(i, x);
        }
        lr
    }

    pub(super) fn values(&self) -> Vec<&[T]> {
        self.model.parameters.iter().map(|&x| self.program.value(x)).collect()
    }

    pub(super) fn is_finite(&self) -> bool {
        self.values().iter().all(|w| w.iter().all(|x| x.to_f64().is_finite()))
    }

    pub(super) fn evaluate(&mut self, step: u64, stage: usize) -> EvalLine {
        let mut squares: BTreeMap<&'static str, f64> =
            Group::ALL.iter().map(|g| (g.name(), 0.0)).collect();
        for (&x, p) in self.model.parameters.iter().zip(&self.parameters) {
            *squares.entry(p.group.name()).or_default() += squared_norm(self.program.grad(x));
        }
        let k = self.stage.task.k;
        let values: Vec<&[T]> =
            self.model.parameters.iter().map(|&x| self.program.value(x)).collect();
        let train = self.evaluator.measure(&values, &self.data.train, k);
        let test = self.data.test.as_ref().map(|test| self.evaluator.measure(&values, test, k));
        let Measured { head, .. } = test.as_ref().unwrap_or(&train);
        let (train, test) = (train.scores, test.as_ref().map(|t| t.scores));
        EvalLine {
            step,
            stage,
            train_loss: Some(train.loss),
            train_accuracy: Some(train.accuracy),
            train_accuracy_mod2: Some(train.accuracy_mod2),
            test_loss: test.map(|t| t.loss),
            test_accuracy: test.map(|t| t.accuracy),
            test_accuracy_mod2: test.map(|t| t.accuracy_mod2),
            gradient_norm: squares.into_iter().map(|(g, s)| (g.into(), Some(s.sqrt()))).collect(),
            cluster_r2: Some(head.cluster_r2),
            attention_relevant: Some(head.attention_relevant),
            attention: head.attention.iter().map(|&a| Some(a)).collect(),
            sequence_norm: Some(head.sequence_norm),
            ..EvalLine::default()
        }
    }

    /// What the stage measures, of the weights after `step` steps in all.
    pub(super) fn measure(&self, seed: u64, step: u64) -> BTreeMap<String, Option<f64>> {
        let weights: Vec<Vec<f64>> =
            self.values().iter().map(|w| w.iter().map(|x| x.to_f64()).collect()).collect();
        let task = measures::Task { rows: &self.data.train, p: self.stage.task.p };
        let list = &self.stage.train.measure;
        let found = measures::measure(list, &self.model_config, &weights, task, (seed, step));
        found.into_iter().map(|(key, x)| (key, Some(x).filter(|x| x.is_finite()))).collect()
    }

    pub(super) fn into_parts(self) -> (Vec<Vec<T>>, Option<Optimizer<T>>) {
        let weights = self.values().iter().map(|w| w.to_vec()).collect();
        (weights, Some(self.optimizer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::train::config::{ModelConfig, TaskConfig};
    use crate::tasks::modular_addition::ModularAddition;

    /// A small run of one stage, and its 32 rows.
    fn small(train: TrainConfig) -> (Config, Split) {
        let task = TaskConfig { p: 3, seq_len: 5, k: 2, train: 32, test: 0, ..Default::default() };
        let model = ModelConfig { vocab: 3, d_model: 4, d_mlp: 6, ..Default::default() };
        let stage = Stage { task, model, train, ..Default::default() };
        let config = Config { stages: vec![stage], ..Default::default() };
        config.validate().expect("a valid configuration");
        let rows = ModularAddition { p: 3, seq_len: 5, k: 2 };
        let data = rows.generate(32, 0, true, &mut Rng::new(0, Purpose::Data, 3)).expect("rows");
        (config, data)
    }

    /// The gradient of the sum of parts is that of the batch; of one part it has the same bits.
    #[test]
    fn parts_add_up_to_the_batch() {
        let gradient = |part| -> Vec<f64> {
            let (config, data) = small(TrainConfig { part, ..Default::default() });
            let weights = model_config(&config.stages[0]).init(0);
            let mut work = Work::<f64>::new(&config, 0, &data, &weights, None, None);
            let loss = work.gradient().expect("nobody asks");
            let gradients = work.model.parameters.iter().map(|&x| work.program.grad(x).to_vec());
            gradients.flatten().chain([loss]).collect()
        };
        let whole = gradient(None);
        assert_eq!(gradient(Some(32)), whole);
        // Sums of 32 rows in two orders differ by at most 31 roundings each of a partial sum, which
        // is no larger than the batch's terms in all: at most the 32 rows' largest, each a
        // 32nd of a row's own gradient. That is at most 32 (of 5 tokens, 6 neurons, 3 logits, and
        // slopes of at most 2 in between), as weights are below 1; a row's own roundings are fewer.
        let tolerance = 2.0 * 32.0 * f64::EPSILON * 32.0;
        for part in [1, 4, 8, 13] {
            let parts = gradient(Some(part));
            assert_ne!(parts, whole, "{part}: parts are added one by one");
            for (i, (a, b)) in parts.iter().zip(&whole).enumerate() {
                assert!((a - b).abs() <= tolerance, "{part}, element {i}: {a} and {b}");
            }
        }
    }

    /// Frozen elements keep their bits under weight decay and clipping; all others change.
    #[test]
    fn frozen_parts_keep_their_bits() {
        let freeze = vec!["query".into(), "pos@1".into(), "m0.n2".into()];
        let (clip, weight_decay) = (Some(0.1), 0.1);
        let (config, data) =
            small(TrainConfig { freeze, clip, weight_decay, ..Default::default() });
        let shape = model_config(&config.stages[0]);
        let weights = shape.init(0);
        let mut work = Work::<f64>::new(&config, 0, &data, &weights, None, None);
        for step in 0..3 {
            work.gradient().expect("nobody asks");
            work.update(step);
        }
        let parts = start::parts(&config.stages[0].train.freeze, &shape);
        let zeros: Vec<Vec<f64>> = weights.iter().map(|w| vec![0.0; w.len()]).collect();
        let (mut frozen, mut marks) = (zeros.clone(), zeros);
        parts.copy(&weights, &mut frozen);
        parts.fill(&mut marks, 1.0);
        for (i, now) in work.values().iter().enumerate() {
            for (j, (&now, &before)) in now.iter().zip(&weights[i]).enumerate() {
                match marks[i][j] {
                    1.0 => assert_eq!(now, frozen[i][j], "parameter {i}, element {j} is frozen"),
                    _ => assert_ne!(now, before, "parameter {i}, element {j} is not"),
                }
            }
        }
    }
}
