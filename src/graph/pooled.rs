//! The pooled model of ["Easing Optimization Paths"](crate::nn::pooled) as a graph.
//!
//! Its parts do not share one stream: the attention reads the embeddings at each position through a
//! single learned query; its mixed values start a new stream of one position, which the MLP reads
//! and adds to.

use super::record::Recorder;
use crate::nn::pooled::{Config, EPS};
use crate::nn::stream::{Read, Reader, Stream, Writer, Written};
use crate::ops::{self, MatMul, Norm};
use crate::simd::Element;
use crate::tape::{Ids, Tape, Var};

/// A recorded pooled model.
#[derive(Clone, Debug)]
pub struct Pooled {
    /// In the order of [`fused`].
    pub parameters: Vec<Var>,
    /// `[B, L]`.
    pub tokens: Ids,
    /// `[B, 1, D]`, the input of the unembedding.
    pub last: Var,
    /// `[V, D]`.
    pub unembedding: Var,
}

impl Pooled {
    /// Records the model for batches of `batch` sequences.
    pub fn record<T: Element>(
        tape: &mut Tape<T>,
        config: &Config,
        batch: usize,
        recorder: &mut Recorder<'_>,
    ) -> Pooled {
        let &Config { vocab, seq_len, d_model, d_mlp, .. } = config;
        let leaf = |tape: &mut Tape<T>, name, dims: &[usize]| tape.leaf(name, dims);
        let token_emb = leaf(tape, "token_emb", &[vocab, d_model]);
        let pos_emb = leaf(tape, "pos_emb", &[seq_len, d_model]);
        let w_read = leaf(tape, "query and value", &[d_model, 1 + d_model]);
        let fc1 = leaf(tape, "fc1", &[d_model, d_mlp]);
        let fc2 = leaf(tape, "fc2", &[d_mlp, d_model]);
        let mut parameters = vec![token_emb, pos_emb, w_read, fc1, fc2];
        let biases = config
            .mlp_bias
            .then(|| [leaf(tape, "fc1 bias", &[d_mlp]), leaf(tape, "fc2 bias", &[d_model])]);
        parameters.extend(biases.into_iter().flatten());

        let tokens = tape.ids([batch, seq_len], vocab);
        let z = ops::gather(tape, token_emb, tokens);
        recorder.write(tape, Written { by: Writer::Embed, z, w: None, bias: None, norm: None });
        let zeros = tape.leaf("zeros", [batch, 1, 1]);
        let z = ops::add(tape, zeros, pos_emb);
        recorder.write(tape, Written { by: Writer::Pos, z, w: None, bias: None, norm: None });

        let (gain, norm_bias) = (None, None);
        let norm = Norm::Rms(EPS);
        let by = Reader::Attention(0);
        let read = Read { by, norm, gain, norm_bias, w: Some(w_read), bias: None };
        let y = recorder.read(tape, read);
        let scores = ops::columns(tape, y, 0..1);
        let scores = ops::scale(tape, scores, 1.0 / (d_model as f64).sqrt());
        let scores = tape.reshape(scores, [batch, seq_len]);
        let attention = ops::softmax(tape, scores);
        let attention = tape.reshape(attention, [batch, 1, seq_len]);
        let values = ops::columns(tape, y, 1..1 + d_model);
        let z = ops::matmul(tape, attention, values, MatMul::default());

        recorder.restart();
        recorder
            .write(tape, Written { by: Writer::Attention(0), z, w: None, bias: None, norm: None });
        let bias = biases.map(|b| b[0]);
        let by = Reader::Mlp(0);
        let h = recorder.read(tape, Read { by, norm, gain, norm_bias, w: Some(fc1), bias });
        let z = config.activation.record(tape, h);
        let bias = biases.map(|b| b[1]);
        recorder.write(tape, Written { by: Writer::Mlp(0), z, w: Some(fc2), bias, norm: None });
        let by = Reader::Logits;
        let norm = Norm::None;
        let last = recorder.read(tape, Read { by, norm, gain, norm_bias, w: None, bias: None });
        Pooled { parameters, tokens, last, unembedding: token_emb }
    }
}

/// The parameters of [`Pooled::record`] from those of the [model](Config::parameters), each in
/// row-major order: query and values as one weight, and all weights as `[in, out]`.
pub fn fused<T: Element>(config: &Config, values: &[&[T]]) -> Vec<Vec<T>> {
    let &Config { d_model: d, d_mlp: f, .. } = config;
    let named = |name: &str| {
        let list = config.parameters();
        let at = list.iter().position(|p| p.name == name);
        at.map(|i| values[i])
    };
    let get = |name: &str| named(name).expect("a parameter of every pooled model");
    let transposed = |w: &[T], rows: usize, cols: usize| -> Vec<T> {
        (0..rows * cols).map(|i| w[i % rows * cols + i / rows]).collect()
    };
    let read = [get("softmax.query.weight"), get("softmax.value.weight")].concat();
    let mut list = vec![
        get("token_emb.weight").to_vec(),
        get("pos_emb.weight").to_vec(),
        transposed(&read, 1 + d, d),
        transposed(get("mlp.fc1.weight"), f, d),
        transposed(get("mlp.fc2.weight"), d, f),
    ];
    let biases = ["mlp.fc1.bias", "mlp.fc2.bias"].into_iter().filter_map(named);
    list.extend(biases.map(<[T]>::to_vec));
    list
}
