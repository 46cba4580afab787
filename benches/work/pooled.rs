//! Training steps of the model with one query: batch, forward, backward, Adam.

use super::Work;
use super::inputs::{Pooled as Shape, SEEDS};
use edgegrad::nn::pooled::{Config, Pooled};
use edgegrad::nn::{Activation, Optimizer};
use edgegrad::tape::{BackwardPlan, Program, Tape};
use rayon::prelude::*;
use std::sync::Arc;

/// A model in training.
struct Training {
    program: Program<f32>,
    model: Pooled,
    plan: BackwardPlan,
    adam: Optimizer<f32>,
    /// The rows of all sequences, and their targets.
    data: Arc<(Vec<u32>, Vec<u32>)>,
    batch: usize,
    at: usize,
}

impl Training {
    fn new(shape: &Shape, data: Arc<(Vec<u32>, Vec<u32>)>) -> Self {
        let config = Config {
            vocab: shape.vocab,
            seq_len: Shape::LEN,
            d_model: shape.d_model,
            d_mlp: shape.d_mlp,
            activation: Activation::Gelu,
            mlp_bias: true,
            dropout: 0.0,
        };
        let mut tape = Tape::new();
        let model = Pooled::record(&mut tape, &config, shape.batch);
        let mut program = tape.finish();
        let plan = program.plan_backward(model.loss, &model.parameters);
        let list = shape.parameters();
        assert!(list.iter().map(|p| &*p.name).eq(config.parameters().iter().map(|p| p.name)));
        let init: Vec<Vec<f32>> = list.iter().enumerate().map(|(i, p)| p.init(i)).collect();
        model.set_parameters(&mut program, &init);
        let adam = super::adam(&program, &model.parameters);
        Training { program, model, plan, adam, data, batch: shape.batch, at: 0 }
    }

    /// One step on the next rows; returns the loss before it.
    fn step(&mut self, rate: f64) -> f32 {
        let Self { program, model, plan, adam, data, batch, at } = self;
        let (rows, targets) = &**data;
        let rows = rows.chunks_exact(Shape::LEN).zip(targets.iter().copied());
        model.set_batch(program, rows.skip(*at).take(*batch));
        *at = (*at + *batch) % Shape::ROWS;
        program.forward();
        program.backward(plan);
        adam.begin_step();
        for (i, &x) in model.parameters.iter().enumerate() {
            let (x, gradient) = program.value_and_grad_mut(x);
            adam.update(i, rate, x, gradient);
        }
        program.value(model.loss)[0]
    }
}

/// One step of one model.
pub fn training(shape: &Shape) -> Work {
    let mut training = Training::new(shape, Arc::new(shape.rows()));
    let check = super::checked(|rate| training.step(rate), shape.checked());
    (check, Box::new(move || _ = training.step(0.0)))
}

/// One step of each of many models, over the threads of the caller's pool.
pub fn seeds(shape: &Shape) -> Work {
    let data = Arc::new(shape.rows());
    let mut all: Vec<Training> = (0..SEEDS).map(|_| Training::new(shape, data.clone())).collect();
    let mut step = |rate| all.iter_mut().map(|t| t.step(rate)).sum::<f32>() / SEEDS as f32;
    let check = super::checked(&mut step, shape.checked());
    (check, Box::new(move || all.par_iter_mut().for_each(|t| _ = t.step(0.0))))
}
