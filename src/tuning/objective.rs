//! The loss of a language model, for any stream its parts write to and read from.

use crate::nn::stream::{Stream, Sum};
use crate::nn::transformer::{Config, Transformer};
use crate::ops;
use crate::simd::Element;
use crate::tape::{Ids, Program, Tape, Var};
use crate::tensor::Buffer;

/// A transformer on B sequences of T tokens, with the loss of next-token prediction:
///
/// ```text
/// loss = sum over b, t of weight[b, t] nll[b, t] + beta sum over j of |gap[j]| / J
/// gap[j] = logits[row[j], token[j]] - logits[row[j], other[j]]
/// ```
///
/// The second term exists if J > 0: it asks for pairs of tokens to be equally likely (in
/// circuit-tuning, two pronouns). Weights are used as given; the caller normalises them, so that
/// the losses of parts add up to that of a batch.
///
/// ```
/// use edgegrad::nn::stream::Sum;
/// use edgegrad::nn::transformer::{Config, Model};
/// use edgegrad::tuning::Objective;
/// let config = Config { vocab: 10, vocab_out: 10, context: 8, layers: 1, d_model: 12, heads: 3,
///     kv_heads: 3, d_head: 4, d_mlp: 16, ..Config::gpt2_small() };
/// let mut o = Objective::<f64>::record(&config, 1, 3, 0, &mut Sum::default());
/// o.set_weights(&Model::random(&config, 0).weights);
/// o.set(&[1, 2, 3], &[2, 3, 4], &[0.0, 0.5, 0.5]);
/// o.program.forward();
/// let nll = o.program.value(o.nll);
/// assert_eq!(o.loss(), 0.5 * nll[1] + 0.5 * nll[2]);
/// ```
pub struct Objective<T> {
    /// The program of the model and the loss.
    pub program: Program<T>,
    /// The model.
    pub transformer: Transformer,
    /// `[B T, V]`.
    pub logits: Var,
    /// `[B T]`, in nats.
    pub nll: Var,
    /// `[]`.
    pub loss: Var,
    /// `[J]`, if J > 0.
    pub gap: Option<Var>,
    targets: Ids,
    weights: Var,
    /// Of gaps: `[J]` rows, `[J, 2]` tokens, a scalar weight.
    gaps: Option<(Ids, Ids, Var)>,
}

impl<T: Element> Objective<T> {
    /// Records the model for `batch` sequences of `time` tokens, with `gaps` pairs of tokens.
    ///
    /// # Panics
    /// If sequences are longer than the model's context.
    #[track_caller]
    pub fn record(
        config: &Config,
        batch: usize,
        time: usize,
        gaps: usize,
        stream: &mut impl Stream<T>,
    ) -> Objective<T> {
        let (mut tape, n) = (Tape::new(), batch * time);
        let tape = &mut tape;
        let transformer = Transformer::record(tape, config, batch, time, stream);
        let rows = tape.reshape(transformer.last, [n, config.d_model]);
        let logits = transformer.logits(tape, rows);
        let targets = tape.ids([n], config.vocab_out);
        let nll = ops::cross_entropy(tape, logits, targets);
        let weights = tape.leaf("weights", [n]);
        let weighted = ops::mul(tape, nll, weights);
        let mut loss = ops::sum(tape, weighted);
        let (mut gap, mut of_gaps) = (None, None);
        if gaps > 0 {
            let at = tape.ids([gaps], n);
            let tokens = tape.ids([gaps, 2], config.vocab_out);
            let beta = tape.leaf("beta", [1]);
            let asked = ops::gather(tape, rows, at);
            let both = transformer.unembedding().pick(tape, asked, tokens);
            let (one, other) = (ops::columns(tape, both, 0..1), ops::columns(tape, both, 1..2));
            let difference = ops::sub(tape, one, other);
            let minus = ops::scale(tape, difference, -1.0);
            let (up, down) = (ops::relu(tape, difference), ops::relu(tape, minus));
            let size = ops::add(tape, up, down);
            let mean = ops::mean(tape, size);
            let penalty = ops::mul(tape, mean, beta);
            loss = ops::add(tape, loss, penalty);
            gap = Some(tape.reshape(difference, [gaps]));
            of_gaps = Some((at, tokens, beta));
        }
        let program = std::mem::take(tape).finish();
        Objective { program, transformer, logits, nll, loss, gap, targets, weights, gaps: of_gaps }
    }

    /// About the bytes that such a program takes with the gradients of all parameters, beside the
    /// weights.
    pub fn bytes(config: &Config, batch: usize, time: usize) -> u128 {
        let mut tape = Tape::<T>::new();
        let recorded = Transformer::record(&mut tape, config, batch, time, &mut Sum::default());
        recorded.logits(&mut tape, recorded.last);
        let weights: u128 = config.parameters().iter().map(|p| p.shape.len() as u128).sum();
        let weights = weights * size_of::<T>() as u128;
        2 * (tape.bytes() - weights) + weights
    }

    /// Sets all parameters, each in row-major order, in the order of [`Config::parameters`].
    ///
    /// # Panics
    /// If one has the wrong size.
    #[track_caller]
    pub fn set_weights(&mut self, weights: &[Buffer<T>]) {
        self.transformer.set_weights(&mut self.program, weights);
    }

    /// Sets the input tokens, the next tokens and the weights of their predictions, all `[B, T]`.
    ///
    /// # Panics
    /// If one has another size or a token is outside the vocabulary.
    #[track_caller]
    pub fn set(&mut self, inputs: &[u32], targets: &[u32], weights: &[T]) {
        self.transformer.set_tokens(&mut self.program, inputs);
        self.program.set_ids(self.targets, targets);
        self.program.set(self.weights, weights);
    }

    /// Sets the rows `[J]` of all gaps, their two tokens `[J, 2]`, and the weight `beta` of the
    /// mean of `|gap|`.
    ///
    /// # Panics
    /// If the program was recorded with another number of gaps.
    #[track_caller]
    pub(crate) fn set_gaps(&mut self, rows: &[u32], tokens: &[[u32; 2]], beta: f64) {
        let (at, of, weight) = self.gaps.expect("recorded with gaps");
        self.program.set_ids(at, rows);
        self.program.set_ids(of, tokens.as_flattened());
        self.program.set(weight, &[T::from_f64(beta)]);
    }

    /// The loss of the last pass.
    pub fn loss(&self) -> f64 {
        self.program.value(self.loss)[0].to_f64()
    }
}
