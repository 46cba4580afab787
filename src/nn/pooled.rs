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
    /// The dropout rate of the MLP's output in training.
    pub dropout: f64,
}

/// The groups of parameters, for learning rates and gradient norms.
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
    /// Its group.
    pub group: Group,
}

impl Parameter {
    /// Whether it has more than one row and more than one column.
    pub fn is_matrix(&self) -> bool {
        matches!(self.shape.dims(), [rows, columns] if *rows > 1 && *columns > 1)
    }
}

/// The name under which the authors' files repeat the token embedding as unembedding.
pub const TIED: &str = "output.weight";

/// The norm's guard against zero; the authors add it outside the root.
pub(crate) const EPS: Eps = Eps::Outside(1e-5);

/// The width up to which MLPs share their initial values (the authors' `MAX_FFN_DIM`).
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

    /// Initial values of all [`parameters`](Self::parameters), each in row-major order, drawn as
    /// the authors draw them: embeddings from N(0, 1), query and values from U(-1, 1) / sqrt(D),
    /// and the MLP from one matrix of U(-1, 1) whose first F rows serve a width of F, so that
    /// models of different widths share their first neurons.
    pub fn init(&self, seed: u64) -> Vec<Vec<f64>> {
        self.init_again(seed, 0)
    }

    /// As [`init`](Self::init), from the random numbers of stage `stage`: what a stage draws anew.
    pub fn init_again(&self, seed: u64, stage: u32) -> Vec<Vec<f64>> {
        let (v, l, d, f) = (self.vocab, self.seq_len, self.d_model, self.d_mlp);
        let mut rng = Rng::new(seed, Purpose::Init, stage);
        // Drawn first and always whole, so that the other parameters do not depend on the width.
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
    /// `[B]`, the weight of each sequence in the loss.
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
    /// `[]`, the mean of the losses, or the contribution of this part of the batch to it.
    pub loss: Var,
}

/// How a batch finds its embeddings.
#[derive(Clone, Copy, Debug)]
enum Lookup {
    /// Computes all V L sums of a token and a position once, and a batch looks them up: attention
    /// scores and values depend on nothing else. It pays where the batch is larger than the
    /// vocabulary. Row `token * L + t`.
    Table { rows: Ids },
    /// Computes each position of the batch by itself: for large vocabularies and small batches.
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

    /// Sets the batch: `tokens [B, L]` and `targets [B]`, as iterators over sequences. The loss is
    /// the mean over them.
    ///
    /// # Panics
    /// If there are no sequences or more than B, or a token or target is outside the vocabulary.
    #[track_caller]
    pub fn set_batch<'a, T: Element>(
        &self,
        program: &mut Program<T>,
        batch: impl Iterator<Item = (&'a [u32], u32)> + Clone,
    ) {
        let total = batch.clone().count();
        self.set_part(program, batch, total);
    }

    /// Sets a part of a batch of `total` sequences, `tokens [B, L]` and `targets [B]`: the losses
    /// and gradients of all parts sum to those of the batch. With fewer than B sequences, the
    /// remaining rows have weight 0.
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

    /// Sets all parameters, each in row-major order, in the order of [`Config::parameters`].
    ///
    /// # Panics
    /// If one has the wrong size.
    #[track_caller]
    pub fn set_parameters<T: Element>(&self, program: &mut Program<T>, values: &[Vec<T>]) {
        assert_eq!(values.len(), self.parameters.len(), "parameters");
        for (&x, values) in self.parameters.iter().zip(values) {
            program.set(x, values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: usize = 7;

    fn config(d_mlp: usize) -> Config {
        let activation = Activation::Gelu;
        let (vocab, seq_len, d_model) = (5, 6, 4);
        Config { vocab, seq_len, d_model, d_mlp, activation, mlp_bias: true, dropout: 0.0 }
    }

    /// Logits, losses, attention and all gradients of one batch.
    fn outputs(config: &Config, table: bool) -> Vec<Vec<f64>> {
        let mut tape = Tape::<f64>::new();
        let model = Pooled::record_as(&mut tape, config, BATCH, table);
        assert_eq!(matches!(model.lookup, Lookup::Table { .. }), table);
        let mut program = tape.finish();
        let plan = program.plan_backward(model.loss, &model.parameters);
        model.set_parameters(&mut program, &config.init(1));
        let (v, l) = (config.vocab, config.seq_len);
        let tokens: Vec<u32> = (0..BATCH * l).map(|i| (i * i % 11 % v) as u32).collect();
        let targets = (0..BATCH).map(|i| (i % v) as u32);
        model.set_batch(&mut program, tokens.chunks_exact(l).zip(targets));
        program.forward();
        program.backward(&plan);
        let values = [model.logits, model.losses, model.attention, model.sequence];
        let values = values.iter().map(|&x| program.value(x).to_vec());
        values.chain(model.parameters.iter().map(|&x| program.grad(x).to_vec())).collect()
    }

    #[test]
    fn both_lookups_are_one_model() {
        for mlp_bias in [true, false] {
            let config = Config { mlp_bias, ..config(9) };
            let (table, direct) = (outputs(&config, true), outputs(&config, false));
            assert_eq!(table.len(), 4 + config.parameters().len());
            for (i, (a, b)) in table.iter().zip(&direct).enumerate() {
                let size = a.iter().fold(0.0f64, |m, x| m.max(x.abs()));
                assert!(size > 1e-3, "output {i} is too small to compare: {a:?}");
                let apart = a.iter().zip(b).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
                assert!(a.len() == b.len() && apart < 1e-12 * size.max(1.0), "{i}: {apart:e}");
            }
        }
    }

    #[test]
    fn the_table_is_used_where_it_is_smaller() {
        for (batch, table) in [(4, false), (5, true)] {
            let model = Pooled::record(&mut Tape::<f64>::new(), &config(3), batch);
            assert_eq!(matches!(model.lookup, Lookup::Table { .. }), table, "batch {batch}");
        }
    }

    /// The initial values of the parameter `name`.
    fn initial(config: &Config, seed: u64, name: &str) -> Vec<f64> {
        let i = config.parameters().iter().position(|p| p.name == name).expect(name);
        config.init(seed).swap_remove(i)
    }

    #[test]
    fn widths_share_their_first_neurons() {
        let (narrow, wide) = (config(8), config(32));
        let both = |name| (initial(&narrow, 3, name), initial(&wide, 3, name));
        let (a, b) = both("mlp.fc1.weight");
        assert_eq!(a, b[..8 * 4]);
        let (a, b) = both("mlp.fc1.bias");
        assert_eq!(a, b[..8]);
        // These are divided by the root of the width, here 8 and 32: a factor of two.
        let (a, b) = both("mlp.fc2.weight");
        for i in 0..4 {
            for j in 0..8 {
                assert!((a[i * 8 + j] - 2.0 * b[i * 32 + j]).abs() < 1e-15, "{i} {j}");
            }
        }
        let (a, b) = both("mlp.fc2.bias");
        assert!(a.iter().zip(&b).all(|(a, b)| (a - 2.0 * b).abs() < 1e-15));
        for name in ["token_emb.weight", "pos_emb.weight", "softmax.query.weight"] {
            let (a, b) = both(name);
            assert_eq!(a, b, "{name}");
        }
        assert_ne!(initial(&narrow, 3, "mlp.fc1.bias"), initial(&narrow, 4, "mlp.fc1.bias"));
    }

    #[test]
    fn initial_values_fill_their_bounds() {
        let config = Config { d_model: 25, vocab: 400, ..config(100) };
        for (name, bound) in [
            ("softmax.query.weight", 0.2),
            ("softmax.value.weight", 0.2),
            ("mlp.fc1.weight", 0.2),
            ("mlp.fc1.bias", 0.2),
            ("mlp.fc2.weight", 0.1),
            ("mlp.fc2.bias", 0.1),
        ] {
            let x = initial(&config, 0, name);
            let (low, high) = x.iter().fold((0.0f64, 0.0f64), |m, &x| (m.0.min(x), m.1.max(x)));
            assert!(-bound <= low && high <= bound, "{name}: {low} {high}");
            assert!(low < -0.7 * bound && 0.7 * bound < high, "{name}: {low} {high}");
        }
        // 10,000 standard normal values: mean and variance within five standard errors.
        let x = initial(&config, 0, "token_emb.weight");
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.071, "{mean} {variance}");
    }

    /// Dropout is unbiased: muted, or on average, the model is the one without it.
    #[test]
    fn dropout_keeps_the_mean() {
        let dropped = Config { dropout: 0.25, ..config(9) };
        let mut tape = Tape::<f64>::new();
        let model = Pooled::record_as(&mut tape, &dropped, BATCH, true);
        let mut program = tape.finish();
        model.set_parameters(&mut program, &dropped.init(1));
        let tokens: Vec<u32> = (0..BATCH * 6).map(|i| (i * i % 11 % 5) as u32).collect();
        let targets = (0..BATCH).map(|i| (i % 5) as u32);
        model.set_batch(&mut program, tokens.chunks_exact(6).zip(targets));
        program.mute_noise();
        program.forward();
        let plain = outputs(&config(9), true);
        assert_eq!(program.value(model.logits), plain[0]);
        // The logits are linear in the factors: their mean is that of the muted model. A factor has
        // variance 1/3; five standard errors of the mean of 20,000 draws for each output.
        const DRAWS: usize = 20_000;
        let mut rng = Rng::new(0, Purpose::Dropout, 0);
        let mut total = vec![0.0; plain[0].len()];
        let mut squares = total.clone();
        for _ in 0..DRAWS {
            program.draw_noise(|| rng.uniform());
            program.forward();
            for (i, x) in program.value(model.logits).iter().enumerate() {
                total[i] += x;
                squares[i] += (x - plain[0][i]).powi(2);
            }
        }
        let mut spread = 0.0f64;
        for (i, want) in plain[0].iter().enumerate() {
            let mean = total[i] / DRAWS as f64;
            let deviation = (squares[i] / DRAWS as f64).sqrt();
            spread = spread.max(deviation);
            let allowed = 5.0 * deviation / (DRAWS as f64).sqrt();
            assert!((mean - want).abs() <= allowed, "{i}: {mean} {want} {allowed}");
        }
        assert!(spread > 1e-2, "nothing was dropped");
    }
}
