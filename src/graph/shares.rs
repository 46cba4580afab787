//! What writers add to the stream where a norm stands after their part.
//!
//! Such a part adds `gain * x / rms(x)` with `x = sum over h of z_h W_h + b`. The norm is linear
//! but for its divisor, so each of H writers has a share in it, with the divisor of the same run:
//!
//! ```text
//! o_h = gain * (z_h W_h + b / H) / rms(x)        sum over h of o_h = gain * x / rms(x)
//! ```
//!
//! The writers add up to the stream exactly, as they do without a norm. As a product,
//! `o_h = z'_h W'_h` with `z'_h = z_h / rms(x)` and `W'_h = W_h gain`; a bias is one more element
//! of `z'_h`, `1 / rms(x)`, and one more row of `W'_h`, `b gain / H`. Ablation values of heads live
//! in `z'`. What a writer adds depends on all writers of its part, through the divisor, and so do
//! the edges into them: they reach every writer of the part.

use crate::nn::stream::{AfterNorm, Written};
use crate::nn::transformer::{Config, Model};
use crate::ops::{self, Norm};
use crate::simd::Element;
use crate::tape::{Tape, Var};
use crate::tensor::Buffer;

/// The factors of what the writers of a part add to the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares {
    /// `[B, T, H K]`, or `[B, T, H (K + 1)]` with a bias.
    pub(super) z: Var,
    /// `[H K, D]`, or `[H (K + 1), D]`.
    pub(super) w: Var,
}

impl Shares {
    /// Records the shares of `writers` writers, side by side in `written.z`, under `after`.
    ///
    /// # Panics
    /// If the norm has no divisor inside a root.
    #[track_caller]
    pub(super) fn record<T: Element>(
        tape: &mut Tape<T>,
        written: &Written,
        after: AfterNorm,
        writers: usize,
    ) -> Shares {
        let Norm::Rms(eps) = after.norm else { panic!("shares of {:?}", after.norm) };
        let w = written.w.expect("writers have rows of a weight");
        let x = written.before_norm(tape);
        let (z, w) = match written.bias {
            None => (written.z, w),
            Some(bias) => with_bias(tape, written.z, w, bias, writers),
        };
        Shares { z: ops::shares(tape, z, x, eps), w: ops::mul(tape, w, after.gain) }
    }

    /// Records their sum: what the part adds to the stream, `[B, T, D]`.
    pub(super) fn sum<T: Element>(&self, tape: &mut Tape<T>) -> Var {
        ops::project(tape, self.z, self.w, None)
    }
}

/// `z` with a 1 after the elements of each writer, `w` with a row `bias / writers` after each
/// writer's.
fn with_bias<T: Element>(
    tape: &mut Tape<T>,
    z: Var,
    w: Var,
    bias: Var,
    writers: usize,
) -> (Var, Var) {
    let &[n, d] = tape.shape(w).dims() else { unreachable!("weights are matrices") };
    let (k, wide) = (n / writers, n + writers);
    // `[H K, H (K + 1)]`: each element at its new place.
    let mut places = vec![T::ZERO; n * wide];
    (0..n).for_each(|i| places[i * wide + i + i / k] = T::ONE);
    let added = |value: f64| -> Vec<T> {
        (0..wide).map(|i| T::from_f64(if i % (k + 1) == k { value } else { 0.0 })).collect()
    };
    let mut constant = |name: &str, shape: &[usize], values: &[T]| {
        let leaf = tape.leaf(name, shape.to_vec());
        tape.give(leaf, Buffer::from(values).share());
        leaf
    };
    let places = constant("places", &[n, wide], &places);
    let ones = constant("ones", &[wide], &added(1.0));
    let parts = constant("parts", &[wide, 1], &added((writers as f64).recip()));
    let z = ops::project(tape, z, places, Some(ones));
    let to_rows = ops::MatMul { transpose_a: true, ..Default::default() };
    let rows = ops::matmul(tape, places, w, to_rows);
    let bias = tape.reshape(bias, [1, d]);
    let biases = ops::mul(tape, parts, bias);
    (z, ops::add(tape, rows, biases))
}

impl Config {
    /// The elements of a head's output that ablation values replace: K, or K + 1 where the bias of
    /// attention stands below a norm and is shared by the heads.
    pub fn d_written(&self) -> usize {
        self.d_head + usize::from(self.norm_after() && self.out_bias)
    }
}

/// The rows `[N, D]` of what the writers of a part add, and the bias that is none of theirs: those
/// of attention in layer `layer`, or of the neurons.
pub(super) fn rows<T: Element>(
    model: &Model<T>,
    layer: usize,
    attention: bool,
) -> (Vec<T>, Option<Vec<T>>) {
    let config = &model.config;
    let list = config.parameters();
    let find = |part: &str| {
        let name = format!("blocks.{layer}.{part}");
        list.iter().position(|p| p.name == name).map(|at| &model.weights[at][..])
    };
    let [w, bias, gain] = match attention {
        true => ["attn.W_O", "attn.b_O", "ln1_post.w"],
        false => ["mlp.W_out", "mlp.b_out", "ln2_post.w"],
    }
    .map(find);
    let w = w.expect("heads and neurons write");
    let Some(gain) = gain else { return (w.to_vec(), bias.map(<[T]>::to_vec)) };
    let mut rows = vec![];
    for w in w.chunks_exact(config.d_model * if attention { config.d_head } else { 1 }) {
        rows.extend_from_slice(w);
        let part = T::from_f64((config.heads as f64).recip());
        rows.extend(bias.into_iter().flatten().map(|&b| b * part));
    }
    for row in rows.chunks_exact_mut(config.d_model) {
        row.iter_mut().zip(gain).for_each(|(x, &gain)| *x = *x * gain);
    }
    (rows, None)
}
