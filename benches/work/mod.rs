//! What is measured, each once: for the benches here and for the comparison in `peers/`.
#![allow(unreachable_pub, reason = "the programs in `peers/` make these files public")]

pub mod inputs;
pub mod pooled;
pub mod transformer;

use edgegrad::nn::{Optimizer, Rule};
use edgegrad::tape::{Program, Var};

/// What a work is: numbers that show that it does what the same work does elsewhere, and what is
/// timed.
pub type Work = (Vec<f64>, Box<dyn FnMut() + Send>);

/// The works, largest last.
pub const NAMES: [&str; 6] = ["plane", "seeds", "full", "decoder", "gpt2-forward", "gpt2-step"];

/// Prepares the work of this name.
///
/// # Panics
/// If there is none.
pub fn start(name: &str) -> Work {
    match name {
        "plane" => pooled::training(&inputs::PLANE),
        "seeds" => pooled::seeds(&inputs::PLANE),
        "full" => pooled::training(&inputs::FULL),
        "decoder" => transformer::training(),
        "gpt2-forward" => transformer::forward(),
        "gpt2-step" => transformer::step(),
        other => panic!("no work {other}"),
    }
}

/// Adam with PyTorch's constants.
fn adam(program: &Program<f32>, parameters: &[Var]) -> Optimizer<f32> {
    let rule = Rule::Adam { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 };
    Optimizer::new(rule, parameters.iter().map(|&x| program.value(x).len()))
}

/// The mean loss of the first steps and that of as many after them, which has to be lower.
fn checked(mut step: impl FnMut(f64) -> f32, steps: usize) -> Vec<f64> {
    let mut half = || (0..steps).map(|_| f64::from(step(inputs::RATE))).sum::<f64>() / steps as f64;
    let losses = vec![half(), half()];
    assert!(losses[1] < losses[0], "the loss went from {} to {}", losses[0], losses[1]);
    losses
}
