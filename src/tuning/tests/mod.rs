//! The laws of tuning, and a regression test for each known error of the authors' code.

mod changing;
mod choosing;
mod slicing;
mod training;

use crate::graph::{Granularity, Graph};
use crate::nn::stream::Sum;
use crate::nn::transformer::{Config, Model};
use crate::nn::{Activation, Rule};
use crate::rng::{Purpose, Rng};
use crate::tuning::*;

const BATCH: usize = 4;
const TIME: usize = 6;

fn config() -> Config {
    Config {
        vocab: 11,
        vocab_out: 11,
        context: 8,
        layers: 2,
        d_model: 12,
        heads: 3,
        kv_heads: 3,
        d_head: 4,
        d_mlp: 16,
        attn_scale: 2.0,
        tied: false,
        unembed_bias: true,
        ..Config::gpt2_small()
    }
}

/// Grouped-query attention, a gated MLP, no biases, tied.
fn other_config() -> Config {
    Config {
        heads: 4,
        kv_heads: 2,
        gated: true,
        activation: Activation::Silu,
        qkv_bias: false,
        out_bias: false,
        mlp_bias: false,
        norm: Config::rms(1e-6),
        tied: true,
        unembed_bias: false,
        ..config()
    }
}

fn graph(config: &Config) -> Graph {
    Graph::of_transformer(config, Granularity::default())
}

fn tuner<T: crate::simd::Element>(
    config: &Config,
    batch: usize,
    rule: Rule,
    leaving: Leaving,
) -> Tuner<T> {
    let mut objective = Objective::record(config, batch, TIME, 0, &mut Sum::default());
    objective.set_weights(&Model::random(config, 3).weights);
    Tuner::new(objective, vec![], rule, leaving)
}

/// A batch of random tokens: `of` rows of `BATCH`, weighted for the whole batch.
fn batch(seed: u32, rows: std::ops::Range<usize>) -> Batch {
    let mut rng = Rng::new(7, Purpose::Data, seed);
    let tokens: Vec<u32> = (0..BATCH * (TIME + 1)).map(|_| rng.below(11) as u32).collect();
    let part = |first: usize| -> Vec<u32> {
        let row = |b: usize| &tokens[b * (TIME + 1) + first..][..TIME];
        rows.clone().flat_map(row).copied().collect()
    };
    let weight = 1.0 / (BATCH * TIME) as f32;
    Batch {
        inputs: part(0),
        targets: part(1),
        weights: vec![weight; rows.len() * TIME],
        ..Batch::default()
    }
}

const RULES: [Rule; 3] = [
    Rule::Sgd { momentum: 0.9, weight_decay: 0.1 },
    Rule::Adam { betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0.1 },
    Rule::AdamW { betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0.1 },
];
