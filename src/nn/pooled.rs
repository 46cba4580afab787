//! The model of "Easing Optimization Paths" (arXiv 2501.02362): one layer of attention with a
//! single learned query, then an MLP.
//!
//! With token embeddings `E [V, D]`, position embeddings `P [L, D]`, a query `q [1, D]`, values
//! `W_v [D, D]` and `norm(x) = x / (sqrt(mean(x^2)) + 1e-5)`:
//!
//! ```text
//! z[b, t] = norm(E[token[b, t]] + P[t])
//! a[b]    = softmax over t of (q . z[b, t] / sqrt(D))           attention
//! xi[b]   = sum over t of a[b, t] W_v z[b, t]                   sequence embedding
//! o[b]    = xi[b] + W_2 activation(W_1 norm(xi[b]) + b_1) + b_2
//! logits  = E o[b]                                              tied unembedding
//! ```
//!
//! Parameters carry the names of the authors' code.

use super::Activation;
use crate::ops::{self, Eps, MatMul};
use crate::rng::{Purpose, Rng};
use crate::simd::Element;
use crate::tape::{Ids, Program, Tape, Var};
use crate::tensor::Shape;

/// The shape of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Tokens, which are the classes too (V).
    pub vocab: usize,
    /// Length of a sequence (L).
    pub seq_len: usize,
    /// Width of an embedding (D).
    pub d_model: usize,
    /// Neurons of the MLP (F).
    pub d_mlp: usize,
    /// The non-linearity of the MLP.
    pub activation: Activation,
    /// Whether the MLP has biases.
    pub mlp_bias: bool,
    /// How much of the MLP's output is dropped in training.
    pub dropout: f64,
}

/// What a parameter belongs to, for learning rates and gradient norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Token embeddings.
    TokenEmb,
    /// Position embeddings.
    PosEmb,
    /// The query.
    Query,
    /// The values.
    Value,
    /// The MLP.
    Mlp,
}

impl Group {
    /// All of them.
    pub const ALL: [Group; 5] =
        [Group::TokenEmb, Group::PosEmb, Group::Query, Group::Value, Group::Mlp];

    /// The name in metrics files.
    pub fn name(self) -> &'static str {
        match self {
            Group::TokenEmb => "token_emb",
            Group::PosEmb => "pos_emb",
            Group::Query => "query",
            Group::Value => "value",
            Group::Mlp => "mlp",
        }
    }
}

/// A parameter: its name in files, its shape, its group.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The authors' name.
    pub name: &'static str,
    /// The shape, as PyTorch stores it.
    pub shape: Shape,
    /// What it belongs to.
    pub group: Group,
}

/// The name under which the authors' files repeat the token embedding as unembedding.
pub const TIED: &str = "output.weight";

/// The norm's guard against zero; the authors add it outside of the root.
const EPS: Eps = Eps::Outside(1e-5);

/// The width up to which MLPs share their initial numbers (the authors' `MAX_FFN_DIM`).
const SHARED_MLP: usize = 2048;

impl Config {
    /// All parameters, in the order of the authors' `state_dict`.
    pub fn parameters(&self) -> Vec<Parameter> {
        let (v, l, d, f) = (self.vocab, self.seq_len, self.d_model, self.d_mlp);
        let parameter = |name, dims: &[usize], group| Parameter { name, shape: dims.into(), group };
        let mut list = vec![
            parameter("token_emb.weight", &[v, d], Group::TokenEmb),
            parameter("pos_emb.weight", &[l, d], Group::PosEmb),
            parameter("softmax.query.weight", &[1, d], Group::Query),
            parameter("softmax.value.weight", &[d, d], Group::Value),
            parameter("mlp.fc1.weight", &[f, d], Group::Mlp),
        ];
        if self.mlp_bias {
            list.push(parameter("mlp.fc1.bias", &[f], Group::Mlp));
        }
        list.push(parameter("mlp.fc2.weight", &[d, f], Group::Mlp));
        if self.mlp_bias {
            list.push(parameter("mlp.fc2.bias", &[d], Group::Mlp));
        }
        list
    }

    /// Initial values of all [`parameters`](Self::parameters), drawn as the authors draw them:
    /// embeddings from N(0, 1), query and values from U(-1, 1) / sqrt(D), and the MLP from one
    /// matrix of U(-1, 1) whose first F rows serve a width of F, so that models of different
    /// widths share their first neurons.
    pub fn init(&self, seed: u64) -> Vec<Vec<f64>> {
        let (v, l, d, f) = (self.vocab, self.seq_len, self.d_model, self.d_mlp);
        let mut rng = Rng::new(seed, Purpose::Init, 0);
        // Drawn first and always whole, so that what follows does not depend on the width.
        let columns = 2 * d + 2;
        let shared: Vec<f64> =
            (0..SHARED_MLP.max(f).max(d) * columns).map(|_| 2.0 * rng.uniform() - 1.0).collect();
        let mut normal = |n: usize| (0..n).map(|_| rng.normal()).collect::<Vec<f64>>();
        let (tokens, positions) = (normal(v * d), normal(l * d));
        let bound = 1.0 / (d as f64).sqrt();
        let mut uniform =
            |n: usize| (0..n).map(|_| (2.0 * rng.uniform() - 1.0) * bound).collect::<Vec<f64>>();
        let (query, value) = (uniform(d), uniform(d * d));
        let (to_f, to_d) = (1.0 / (d as f64).sqrt(), 1.0 / (f as f64).sqrt());
        let at = |row: usize, column: usize| shared[row * columns + column];
        let pairs =
            |rows: usize, cols: usize| (0..rows).flat_map(move |i| (0..cols).map(move |j| (i, j)));
        self.parameters()
            .iter()
            .map(|p| match p.name {
                "token_emb.weight" => tokens.clone(),
                "pos_emb.weight" => positions.clone(),
                "softmax.query.weight" => query.clone(),
                "softmax.value.weight" => value.clone(),
                "mlp.fc1.weight" => pairs(f, d).map(|(i, j)| at(i, j) * to_f).collect(),
                "mlp.fc1.bias" => (0..f).map(|i| at(i, 2 * d) * to_f).collect(),
                "mlp.fc2.weight" => pairs(d, f).map(|(i, j)| at(j, d + i) * to_d).collect(),
                "mlp.fc2.bias" => (0..d).map(|i| at(i, 2 * d + 1) * to_d).collect(),
                other => unreachable!("parameter {other}"),
            })
            .collect()
    }
}

/// A recorded model: what to set before a pass and what to read after it.
#[derive(Clone, Debug)]
pub struct Pooled {
    /// In the order of [`Config::parameters`].
    pub parameters: Vec<Var>,
    lookup: Lookup,
    targets: Ids,
    /// `[B]`, what each sequence counts in the loss.
    weights: Var,
    seq_len: usize,
    /// `[B, L]`, each row sums to 1.
    pub attention: Var,
    /// `[B, D]`, the attention's output.
    pub sequence: Var,
    /// `[B, V]`.
    pub logits: Var,
    /// `[B]`, the cross-entropy of each sequence in nats.
    pub losses: Var,
    /// `[]`, the mean of the losses, or its part that this batch contributes.
    pub loss: Var,
}

/// How a batch finds its embeddings.
#[derive(Clone, Copy, Debug)]
enum Lookup {
    /// All V L sums of a token and a position are computed once, and a batch looks them up: what
    /// comes before the softmax depends on nothing else. Row `token * L + t`.
    Table { rows: Ids },
    /// Each place of the batch is computed by itself: for large vocabularies and small batches.
    Direct { tokens: Ids },
}

impl Pooled {
    /// Records the model for batches of `batch` sequences.
    pub fn record<T: Element>(tape: &mut Tape<T>, config: &Config, batch: usize) -> Pooled {
        let table = config.vocab * config.seq_len <= batch * config.seq_len;
        Self::record_as(tape, config, batch, table)
    }

    fn record_as<T: Element>(
        tape: &mut Tape<T>,
        config: &Config,
        batch: usize,
        table: bool,
    ) -> Pooled {
        let &Config { vocab, seq_len, d_model, .. } = config;
        let parameters: Vec<Var> =
            config.parameters().iter().map(|p| tape.leaf(p.name, p.shape.clone())).collect();
        let [token_emb, pos_emb, query, value, fc1, ref mlp @ ..] = parameters[..] else {
            unreachable!("a pooled model has at least six parameters")
        };
        let (fc1_bias, fc2, fc2_bias) = match *mlp {
            [b1, fc2, b2] => (Some(b1), fc2, Some(b2)),
            [fc2] => (None, fc2, None),
            _ => unreachable!("an MLP has both biases or none"),
        };

        let (lookup, rows, x) = if table {
            let count = vocab * seq_len;
            let rows = tape.ids([batch, seq_len], count);
            let tokens = tape.reshape(token_emb, [vocab, 1, d_model]);
            (Lookup::Table { rows }, rows, ops::add(tape, tokens, pos_emb))
        } else {
            let tokens = tape.ids([batch, seq_len], vocab);
            let rows = tape.counting_ids([batch, seq_len]);
            let embedded = ops::gather(tape, token_emb, tokens);
            (Lookup::Direct { tokens }, rows, ops::add(tape, embedded, pos_emb))
        };
        let count = tape.shape(x).rows();
        let z = ops::rms_norm(tape, x, None, EPS);
        let z = tape.reshape(z, [count, d_model]);
        let scale = 1.0 / (d_model as f64).sqrt();
        let to_query = MatMul { transpose_b: true, scale, ..Default::default() };
        let scores = ops::matmul(tape, z, query, to_query);
        let scores = tape.reshape(scores, [count]);
        let scores = ops::gather(tape, scores, rows);
        let attention = ops::softmax(tape, scores);
        let values = ops::linear(tape, z, value, None);
        let sequence = ops::bag(tape, values, attention, rows);

        let h = ops::rms_norm(tape, sequence, None, EPS);
        let h = ops::linear(tape, h, fc1, fc1_bias);
        let h = config.activation.record(tape, h);
        let h = ops::linear(tape, h, fc2, fc2_bias);
        let h = ops::dropout(tape, h, config.dropout);
        let out = ops::add(tape, sequence, h);
        let logits = ops::linear(tape, out, token_emb, None);
        let targets = tape.ids([batch], vocab);
        let losses = ops::cross_entropy(tape, logits, targets);
        let weights = tape.leaf("weights", [batch]);
        let loss = ops::mul(tape, losses, weights);
        let loss = ops::sum(tape, loss);
        Pooled {
            parameters,
            lookup,
            targets,
            weights,
            seq_len,
            attention,
            sequence,
            logits,
            losses,
            loss,
        }
    }

    /// Sets the batch: `tokens [B, L]`, `targets [B]`, as iterators over sequences. The loss is
    /// the mean over them.
    ///
    /// # Panics
    /// If there are none or more than B, or a token or target is outside of the vocabulary.
    #[track_caller]
    pub fn set_batch<'a, T: Element>(
        &self,
        program: &mut Program<T>,
        batch: impl Iterator<Item = (&'a [u32], u32)> + Clone,
    ) {
        let total = batch.clone().count();
        self.set_part(program, batch, total);
    }

    /// Sets a part of a batch of `total` sequences: the losses and gradients of all parts add up to
    /// those of the batch. Where there are fewer than B sequences, the rest counts nothing.
    ///
    /// # Panics
    /// As [`set_batch`](Self::set_batch).
    #[track_caller]
    pub fn set_part<'a, T: Element>(
        &self,
        program: &mut Program<T>,
        part: impl Iterator<Item = (&'a [u32], u32)> + Clone,
        total: usize,
    ) {
        let tokens = part.clone().map(|(tokens, _)| tokens);
        let len = self.seq_len;
        match self.lookup {
            Lookup::Direct { tokens: ids } => program.fill_ids(ids, |out| {
                for (out, row) in out.chunks_exact_mut(len).zip(tokens) {
                    out.copy_from_slice(row);
                }
            }),
            Lookup::Table { rows } => program.fill_ids(rows, |out| {
                for (out, row) in out.chunks_exact_mut(len).zip(tokens) {
                    for (t, (out, &token)) in out.iter_mut().zip(row).enumerate() {
                        *out = token * len as u32 + t as u32;
                    }
                }
            }),
        }
        let mut count = 0;
        program.fill_ids(self.targets, |out| {
            for (_, target) in part {
                out[count] = target;
                count += 1;
            }
        });
        assert!(count > 0, "a batch without sequences");
        let (counted, rest) = program.value_mut(self.weights).split_at_mut(count);
        counted.fill(T::from_f64(1.0 / total as f64));
        rest.fill(T::ZERO);
    }

    /// Sets all parameters, in the order of [`Config::parameters`].
    ///
    /// # Panics
    /// If one has the wrong size.
    #[track_caller]
    pub fn set_parameters<T: Element>(&self, program: &mut Program<T>, numbers: &[Vec<T>]) {
        assert_eq!(numbers.len(), self.parameters.len(), "parameters");
        for (&x, numbers) in self.parameters.iter().zip(numbers) {
            program.set(x, numbers);
        }
    }
}
