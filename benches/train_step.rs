//! Whole training steps through the tape: batch, forward, backward, Adam.
//!
//! `plane` is the authors' default (d = 2, F = 32, L = 12, V = 3, batch 32), `full` one full-batch
//! step of the curriculum's model (d = 32, F = 128, n = 2048). One thread.

use criterion::{Criterion, criterion_group, criterion_main};
use edgegrad::nn::pooled::{Config, Pooled};
use edgegrad::nn::{Activation, Optimizer, Rule};
use edgegrad::rng::{Purpose, Rng};
use edgegrad::tape::{BackwardPlan, Program, Tape};
use edgegrad::tasks::Dataset;
use edgegrad::tasks::modular_addition::ModularAddition;

/// A model in the middle of its training.
struct Training {
    program: Program<f32>,
    model: Pooled,
    plan: BackwardPlan,
    adam: Optimizer<f32>,
    data: Dataset,
    batch: usize,
    at: usize,
}

impl Training {
    fn new(p: usize, vocab: usize, d_model: usize, d_mlp: usize, batch: usize) -> Self {
        let task = ModularAddition { p, seq_len: 12, k: 5 };
        let rows = task.generate(2048, 0, true, &mut Rng::new(0, Purpose::Data, p as u32));
        let activation = Activation::Gelu;
        let config =
            Config { vocab, seq_len: 12, d_model, d_mlp, activation, mlp_bias: true, dropout: 0.0 };
        let mut tape = Tape::new();
        let model = Pooled::record(&mut tape, &config, batch);
        let mut program = tape.finish();
        let plan = program.plan_backward(model.loss, &model.parameters);
        let init = config.init(0);
        let init: Vec<Vec<f32>> =
            init.iter().map(|w| w.iter().map(|&x| x as f32).collect()).collect();
        model.set_parameters(&mut program, &init);
        let rule = Rule::Adam { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 };
        let adam = Optimizer::new(rule, config.parameters().iter().map(|p| p.shape.len()));
        let data = rows.expect("without a test set there is always room").train;
        Training { program, model, plan, adam, data, batch, at: 0 }
    }

    fn step(&mut self, lr: f64) -> f32 {
        let Self { program, model, plan, adam, data, batch, at } = self;
        let rows = *at..*at + *batch;
        model.set_batch(program, rows.map(|r| (data.row(r), data.targets[r])));
        *at = (*at + *batch) % data.n;
        program.forward();
        program.backward(plan);
        adam.begin_step();
        for (i, &x) in model.parameters.iter().enumerate() {
            let (x, gradient) = program.value_and_grad_mut(x);
            adam.update(i, lr, x, gradient);
        }
        program.value(model.loss)[0]
    }
}

fn steps(c: &mut Criterion) {
    for (name, mut training, lr) in [
        ("plane", Training::new(2, 3, 2, 32, 32), 3e-3),
        ("full", Training::new(4, 4, 32, 128, 2048), 1e-3),
    ] {
        // The work is real: the loss falls.
        let first: f32 = (0..64).map(|_| training.step(lr)).sum();
        let later: f32 = (0..64).map(|_| training.step(lr)).sum();
        assert!(later < first && later > 0.0, "{name}: {first} {later}");
        c.bench_function(&format!("train_step/{name}"), |b| b.iter(|| training.step(0.0)));
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
