//! Transformers, decoders and encoders, as the parts that write to and read from a
//! [residual stream](super::stream).
//!
//! With B sequences of T tokens, a stream of width D, H heads of width K and F neurons:
//!
//! ```text
//! x      = W_E[token] (+ W_pos[position])                     [B, T, D]
//! z      = attention(norm(x) W_QKV + b_QKV)                   [B, T, H K]      for each layer
//! x     += z W_O + b_O
//! z      = activation(norm(x) W_in + b_in)                    [B, T, F]
//! x     += z W_out + b_out
//! last   = norm(x)                                            [B, T, D]
//! logits = last W_U' + b_U                                    [B, T, V]
//! ```
//!
//! Queries and keys may be rotated by position, several heads may share keys and values, a gated
//! MLP has `z = activation(gate) * value`, and parallel blocks read `x` for attention and MLP
//! before either writes: see [`Config`].
//!
//! ```
//! use edgegrad::nn::stream::Sum;
//! use edgegrad::nn::transformer::{Config, Model, Transformer};
//! use edgegrad::tape::Tape;
//!
//! let config =
//!     Config { vocab: 10, vocab_out: 10, context: 8, layers: 2, d_model: 12, heads: 3,
//!              kv_heads: 3, d_head: 4, d_mlp: 16, attn_scale: 2.0, ..Config::gpt2_small() };
//! let model = Model::<f64>::random(&config, 0);
//! let mut tape = Tape::new();
//! let transformer = Transformer::record(&mut tape, &config, 2, 3, &mut Sum::default());
//! let logits = transformer.logits(&mut tape, transformer.last);
//! let mut program = tape.finish();
//! transformer.set_weights(&mut program, &model.weights);
//! transformer.set_tokens(&mut program, &[1, 2, 3, 1, 2, 9]);
//! program.forward();
//! let logits = program.value(logits); // [2, 3, 10]
//! // Equal prefixes give equal logits.
//! assert_eq!(logits[10..20], logits[40..50]);
//! assert_ne!(logits[20..30], logits[50..60]);
//! ```

mod config;

pub use crate::ops::{Rotary, Scaling};
pub(crate) use config::InPanels;
pub use config::{
    Config, HeadNorms, LayerKind, NormPlace, NormSpan, Parameter, Positions, Slopes, Turn,
};

use super::Unembedding;
use super::stream::{AfterNorm, Read, Reader, Share, Stream, Writer, Written};
use crate::ops::{self, Attention, HeadNorm, Norm};
use crate::rng::{Purpose, Rng};
use crate::simd::Element;
use crate::tape::{Ids, Program, Tape, Var};
use crate::tensor::Buffer;
use rayon::prelude::*;

/// A model: its shape and its weights, [shared](Buffer::share) between the programs that use them.
#[derive(Clone, Debug)]
pub struct Model<T: Element> {
    /// The shape.
    pub config: Config,
    /// Each in row-major order or [in panels](Model::store_in_panels), in the order of
    /// [`Config::parameters`].
    pub weights: Vec<Buffer<T>>,
}

impl<T: Element> Model<T> {
    /// A model with random weights, for benches and tests: matrices from N(0, 1 / n) with n inputs,
    /// embeddings from N(0, 1 / D), gains around 1, biases around 0.
    pub fn random(config: &Config, seed: u64) -> Model<T> {
        let mut rng = Rng::new(seed, Purpose::Init, 0);
        let fill = |p: &Parameter| {
            let embedding = p.name.contains("embed.");
            let (mean, deviation) = match *p.shape.dims() {
                [_, d] if embedding => (0.0, (d as f64).sqrt().recip()),
                [n, _] => (0.0, (n as f64).sqrt().recip()),
                _ => (if p.name.ends_with(".w") { 1.0 } else { 0.0 }, 0.02),
            };
            let mut values = Buffer::zeros(p.shape.len());
            values.fill_with(|| T::from_f64(mean + deviation * rng.normal()));
            values.share()
        };
        Model { config: config.clone(), weights: config.parameters().iter().map(fill).collect() }
    }

    /// Stores the weights of large layers [in panels](Buffer::in_panels), for a model that is read
    /// many times and not changed: products with few rows take a fifth to a quarter less.
    pub fn store_in_panels(&mut self) {
        self.store_in_panels_from(config::LARGE);
    }

    /// The same for matrices of at least so many bytes.
    pub(crate) fn store_in_panels_from(&mut self, bytes: usize) {
        let in_panels =
            |(w, p): (&mut Buffer<T>, &Parameter)| match self.config.panels::<T>(p, bytes) {
                Some(InPanels { rows, cols, table: false }) => *w = w.in_panels(rows, cols),
                Some(InPanels { rows, cols, table: true }) => {
                    if let Some(table) = w.turned_in_panels(rows, cols) {
                        *w = table;
                    }
                }
                None => {}
            };
        self.weights.par_iter_mut().zip(&self.config.parameters()).for_each(in_panels);
    }

    /// Records the logits of rows that the last norm gives, with this model's weights:
    /// `[.., D] -> [.., V]`.
    ///
    /// # Panics
    /// If the rows have another width.
    #[track_caller]
    pub fn record_logits(&self, tape: &mut Tape<T>, last: Var) -> Var {
        let list = self.config.parameters();
        let mut given = |name: &str| {
            let i = list.iter().position(|p| p.name == name)?;
            let x = tape.leaf(name, list[i].shape.clone());
            tape.give(x, self.weights[i].clone());
            Some(x)
        };
        let w = given("unembed.W_U").or_else(|| given("embed.W_E")).expect("every model has one");
        let bias = given("unembed.b_U");
        Unembedding { w, bias, cap: self.config.logit_cap }.logits(tape, last)
    }
}

/// A recorded transformer: what to set before a pass, and what to read after it.
#[derive(Clone, Debug)]
pub struct Transformer {
    /// In the order of [`Config::parameters`].
    pub parameters: Vec<Var>,
    /// `[B, T]`.
    pub tokens: Ids,
    /// `[B, T, D]`, what the unembedding multiplies: the last norm of the stream.
    pub last: Var,
    /// By layer, `[B, T, H K]`: the mixed values of its heads, before `W_O`. `None` where a stream
    /// leaves out all heads of a layer.
    pub mixed: Vec<Option<Var>>,
    unembedding: Unembedding,
}

impl Transformer {
    /// Records the model for `batch` sequences of `seq` tokens, writing to and reading from
    /// `stream`.
    ///
    /// # Panics
    /// If the sequence is longer than the model's context, or `config` fails its
    /// [check](Config::check).
    #[track_caller]
    pub fn record<T: Element>(
        tape: &mut Tape<T>,
        config: &Config,
        batch: usize,
        seq: usize,
        stream: &mut impl Stream<T>,
    ) -> Transformer {
        assert!(seq <= config.context, "{seq} tokens in a context of {}", config.context);
        let list = config.parameters();
        let parameters: Vec<Var> =
            list.iter().map(|p| tape.leaf(&p.name, p.shape.clone())).collect();
        // Parameters are taken in their order; one that the configuration leaves out is skipped.
        let mut rest = list.iter().zip(&parameters).peekable();
        let mut take = |name: &str| rest.next_if(|(p, _)| p.name == name).map(|(_, &x)| x);

        let w_e = take("embed.W_E").expect("every model has embeddings");
        let tokens = tape.ids([batch, seq], config.vocab);
        let mut z = ops::gather(tape, w_e, tokens);
        if config.embed_scale != 1.0 {
            z = ops::scale(tape, z, config.embed_scale);
        }
        if config.embed_norm {
            z = config.norm.record(tape, z, take("embed.ln.w"), take("embed.ln.b"));
        }
        stream.write(tape, Written { by: Writer::Embed, z, w: None, bias: None, norm: None });
        if let Some(w_pos) = take("pos_embed.W_pos") {
            let positions = tape.counting_ids([seq]);
            let row = ops::gather(tape, w_pos, positions);
            // Zeros that broadcast the position embeddings over the batch.
            let zeros = tape.leaf("zeros", [batch, 1, 1]);
            let z = ops::add(tape, zeros, row);
            stream.write(tape, Written { by: Writer::Pos, z, w: None, bias: None, norm: None });
        }
        let mut mixed = Vec::with_capacity(config.layers);
        for l in 0..config.layers {
            let mut take = |part: &str| take(&format!("blocks.{l}.{part}"));
            mixed.push(config.block(tape, l, &mut take, stream));
        }
        let (gain, norm_bias) = (take("ln_final.w"), take("ln_final.b"));
        let norm = config.norm;
        let to_logits = Read { by: Reader::Logits, norm, gain, norm_bias, w: None, bias: None };
        let last = stream.read(tape, to_logits);
        let w = take("unembed.W_U").unwrap_or(w_e);
        let unembedding = Unembedding { w, bias: take("unembed.b_U"), cap: config.logit_cap };
        assert!(rest.next().is_none(), "a parameter was not recorded");
        Transformer { parameters, tokens, last, mixed, unembedding }
    }

    /// What maps [`last`](Self::last) to logits.
    pub fn unembedding(&self) -> Unembedding {
        self.unembedding
    }

    /// Records the logits of rows of [`last`](Self::last), or of rows in its place:
    /// `[.., D] -> [.., V]`.
    ///
    /// # Panics
    /// If the rows have another width.
    #[track_caller]
    pub fn logits<T: Element>(&self, tape: &mut Tape<T>, last: Var) -> Var {
        self.unembedding.logits(tape, last)
    }

    /// The attention pattern of a layer's heads in the last pass, `[B, H, T, T]`: the weight of
    /// each key for each query. `None` where a stream leaves out all heads of the layer.
    ///
    /// # Panics
    /// If there is no such layer, or the program only runs forward.
    #[track_caller]
    pub fn pattern<'a, T: Element>(
        &self,
        program: &'a Program<T>,
        layer: usize,
    ) -> Option<&'a [T]> {
        self.mixed[layer].map(|z| ops::pattern(program, z))
    }

    /// Sets the initial values of all parameters of a recording, each in row-major order, in the
    /// order of [`Config::parameters`]; shared buffers are not copied.
    ///
    /// # Panics
    /// If one has the wrong size.
    #[track_caller]
    pub fn give_weights<T: Element>(&self, tape: &mut Tape<T>, weights: &[Buffer<T>]) {
        assert_eq!(weights.len(), self.parameters.len(), "parameters");
        for (&x, values) in self.parameters.iter().zip(weights) {
            tape.give(x, values.clone());
        }
    }

    /// Sets all parameters, each in row-major order, in the order of [`Config::parameters`]; shared
    /// buffers are not copied.
    ///
    /// # Panics
    /// If one has the wrong size.
    #[track_caller]
    pub fn set_weights<T: Element>(&self, program: &mut Program<T>, weights: &[Buffer<T>]) {
        assert_eq!(weights.len(), self.parameters.len(), "parameters");
        for (&x, values) in self.parameters.iter().zip(weights) {
            program.set_buffer(x, values.clone());
        }
    }

    /// Sets the tokens, `[B, T]` in row-major order.
    ///
    /// # Panics
    /// If there are more or fewer, or one is outside the vocabulary.
    #[track_caller]
    pub fn set_tokens<T: Element>(&self, program: &mut Program<T>, tokens: &[u32]) {
        program.set_ids(self.tokens, tokens);
    }
}

/// The parameters of the norms of queries and keys.
struct HeadGains {
    q: (Option<Var>, Option<Var>),
    k: (Option<Var>, Option<Var>),
}

impl Config {
    /// Records layer `l`, whose parameters `take` gives by name and in order; its mixed values.
    fn block<T: Element>(
        &self,
        tape: &mut Tape<T>,
        l: usize,
        take: &mut impl FnMut(&str) -> Option<Var>,
        stream: &mut impl Stream<T>,
    ) -> Option<Var> {
        let norm = if self.norm_before() { self.norm } else { Norm::None };
        let to_qkv = Read {
            by: Reader::Attention(l),
            norm,
            gain: take("ln1.w"),
            norm_bias: take("ln1.b"),
            w: take("attn.W_QKV"),
            bias: take("attn.b_QKV"),
        };
        let gains = HeadGains {
            q: (take("attn.q_norm.w"), take("attn.q_norm.b")),
            k: (take("attn.k_norm.w"), take("attn.k_norm.b")),
        };
        let after = |gain: Option<Var>| gain.map(|gain| AfterNorm { norm: self.norm, gain });
        let (w_o, b_o, after_attention) = (take("attn.W_O"), take("attn.b_O"), take("ln1_post.w"));
        let to_mlp = (self.d_mlp > 0).then(|| Read {
            by: Reader::Mlp(l),
            norm,
            gain: take("ln2.w").or(to_qkv.gain),
            norm_bias: take("ln2.b").or(to_qkv.norm_bias),
            w: take("mlp.W_in"),
            bias: take("mlp.b_in"),
        });
        let (w_out, b_out, after_mlp) = (take("mlp.W_out"), take("mlp.b_out"), take("ln2_post.w"));

        let &Config { heads, kv_heads, d_mlp, .. } = self;
        let share = stream.share(l, Share { heads, kv_heads, neurons: d_mlp });
        let to_mlp = to_mlp.filter(|_| share.neurons > 0);
        let qkv = (share.heads > 0).then(|| stream.read(tape, to_qkv));
        let early = to_mlp.filter(|_| self.parallel).map(|r| stream.read(tape, r));
        let chosen = stream.heads(l, heads);
        let z = qkv.map(|qkv| self.attention(tape, qkv, l, share, &chosen, &gains));
        if let Some(z) = z {
            let by = Writer::Attention(l);
            let norm = after(after_attention);
            stream.write(tape, Written { by, z, w: w_o, bias: b_o, norm });
        }
        let h = early.or_else(|| to_mlp.map(|r| stream.read(tape, r)));
        if let Some(h) = h {
            let z = self.neurons(tape, h, share.neurons);
            let norm = after(after_mlp);
            stream.write(tape, Written { by: Writer::Mlp(l), z, w: w_out, bias: b_out, norm });
        }
        z
    }

    /// The mixed values of the `chosen` heads of layer `l` from their queries, keys and values:
    /// `[B, T, (H + 2 KV) K] -> [B, T, H K]`, with H and KV those of the share.
    fn attention<T: Element>(
        &self,
        tape: &mut Tape<T>,
        mut qkv: Var,
        l: usize,
        share: Share,
        chosen: &[usize],
        gains: &HeadGains,
    ) -> Var {
        let &Config { d_head, causal, score_cap: cap, .. } = self;
        let Share { heads, kv_heads, .. } = share;
        if let Some(bound) = self.qkv_clip {
            qkv = ops::clip(tape, qkv, bound);
        }
        if let Some(norms) = self.head_norms {
            // A stream that leaves heads out gives each its own keys.
            let shared = self.heads / self.kv_heads;
            let keys: Vec<usize> = match kv_heads == self.kv_heads && heads == self.heads {
                true => (0..kv_heads).collect(),
                false => chosen.iter().map(|h| h / shared).collect(),
            };
            for (first, blocks, (gain, bias)) in
                [(0, chosen, gains.q), (heads * d_head, &keys[..], gains.k)]
            {
                qkv = norms.record(tape, qkv, (gain, bias), first, blocks, d_head);
            }
        }
        if let Some(rotary) = self.rotary(l) {
            qkv = ops::rotary(tape, qkv, heads + kv_heads, d_head, rotary);
        }
        let (scale, window, seq) =
            (self.attn_scale.recip(), self.window(l), tape.shape(qkv).dims()[1]);
        // A window of the whole sequence hides nothing.
        let window = window.filter(|&window| window < seq);
        let key_bias = match self.positions {
            Positions::Slopes(slopes) => Some(slopes.of_keys(self.heads, chosen, seq).into()),
            _ => None,
        };
        let options = Attention { heads, kv_heads, d_head, causal, scale, window, cap, key_bias };
        ops::attention(tape, qkv, options)
    }

    /// The activations of the neurons from their input: `[B, T, F or 2 F] -> [B, T, F]`.
    fn neurons<T: Element>(&self, tape: &mut Tape<T>, h: Var, neurons: usize) -> Var {
        if !self.gated {
            return self.activation.record(tape, h);
        }
        let gate = ops::columns(tape, h, 0..neurons);
        let value = ops::columns(tape, h, neurons..2 * neurons);
        let gate = self.activation.record(tape, gate);
        ops::gated(tape, gate, value)
    }
}

impl HeadNorms {
    /// Records the norms of the heads `blocks`, whose columns of `x` begin at `first`.
    fn record<T: Element>(
        self,
        tape: &mut Tape<T>,
        x: Var,
        (gain, bias): (Option<Var>, Option<Var>),
        first: usize,
        blocks: &[usize],
        d_head: usize,
    ) -> Var {
        let (width, count, gains) = match self.span {
            NormSpan::Head => (d_head, blocks.len(), None),
            NormSpan::EachHead => (d_head, blocks.len(), Some(blocks.to_vec())),
            NormSpan::AllHeads => (blocks.len() * d_head, 1, None),
        };
        let heads = HeadNorm { norm: self.norm, first, width, gains };
        ops::head_norm(tape, x, gain, bias, &heads, count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Activation;
    use super::super::stream::Sum;
    use super::*;
    use crate::named::Named;
    use crate::ops::{Eps, Norm};
    use crate::tape::Rules;
    use crate::tape::gradcheck::Points;

    /// Small models that together use every option of a configuration.
    fn configs() -> Vec<Config> {
        let gpt2 = Config {
            vocab: 11,
            vocab_out: 11,
            context: 7,
            layers: 2,
            d_model: 12,
            heads: 3,
            kv_heads: 3,
            d_head: 4,
            d_mlp: 10,
            attn_scale: 2.0,
            ..Config::gpt2_small()
        };
        let rotary =
            |dims, adjacent| Positions::Rotary(Rotary { adjacent, ..Rotary::new(dims, 100.0) });
        vec![
            Config {
                positions: rotary(2, false),
                parallel: true,
                tied: false,
                activation: Activation::Gelu,
                ..gpt2.clone()
            },
            Config {
                positions: rotary(4, true),
                heads: 4,
                kv_heads: 2,
                norm: Norm::Rms(Eps::Inside(1e-6)),
                gated: true,
                activation: Activation::Silu,
                qkv_bias: false,
                out_bias: false,
                mlp_bias: false,
                tied: false,
                ..gpt2.clone()
            },
            Config {
                causal: false,
                norm: Norm::None,
                tied: false,
                vocab_out: 3,
                unembed_bias: true,
                activation: Activation::Tanh,
                ..gpt2.clone()
            },
            Config {
                positions: rotary(4, false),
                kinds: vec![
                    LayerKind { window: Some(2), turn: Turn::Other(Rotary::new(2, 7.0)) },
                    LayerKind { window: None, turn: Turn::None },
                ],
                embed_scale: 1.5,
                norm: Norm::Rms(Eps::Inside(1e-6)),
                norm_place: NormPlace::Around,
                head_norms: Some(HeadNorms {
                    norm: Norm::Rms(Eps::Inside(1e-6)),
                    span: NormSpan::Head,
                    bias: false,
                }),
                score_cap: Some(1.5),
                logit_cap: Some(2.0),
                mlp_bias: false,
                ..gpt2.clone()
            },
            Config {
                positions: Positions::Slopes(Slopes { factor: 1.0, coarse: false }),
                embed_norm: true,
                parallel: true,
                one_norm: true,
                qkv_clip: Some(1.5),
                head_norms: Some(HeadNorms {
                    norm: Norm::Layer(1e-5),
                    span: NormSpan::EachHead,
                    bias: true,
                }),
                ..gpt2.clone()
            },
            Config {
                heads: 4,
                kv_heads: 2,
                norm: Norm::Rms(Eps::Inside(1e-6)),
                norm_place: NormPlace::After,
                head_norms: Some(HeadNorms {
                    norm: Norm::Rms(Eps::Inside(1e-6)),
                    span: NormSpan::AllHeads,
                    bias: false,
                }),
                mlp_bias: false,
                ..gpt2.clone()
            },
            Config {
                d_mlp: 0,
                norm_affine: false,
                positions: Positions::None,
                gated: true,
                parallel: true,
                ..gpt2.clone()
            },
            gpt2,
        ]
    }

    const BATCH: usize = 2;
    const SEQ: usize = 5;

    /// Finite differences of the loss along a random direction of all weights, against the reverse
    /// pass.
    /// Values that a reverse pass does not read again share memory; gradients are the same to the
    /// bit, of every option of a configuration and by every rule, in a first and in a second pass.
    #[test]
    fn what_is_kept_for_one_reverse_pass_is_enough() {
        for config in configs() {
            for &(name, rules) in Rules::ALL {
                for of_weights in [false, true] {
                    let run = |kept: bool| -> (u128, Vec<Vec<f32>>) {
                        let mut tape = Tape::<f32>::new();
                        let t = Transformer::record(&mut tape, &config, 2, 6, &mut Sum::default());
                        let logits = t.logits(&mut tape, t.last);
                        let square = ops::mul(&mut tape, logits, logits);
                        let loss = ops::sum(&mut tape, square);
                        let mixed: Vec<Var> = t.mixed.iter().copied().flatten().collect();
                        let wanted = if of_weights { t.parameters.clone() } else { mixed };
                        if kept {
                            tape.keep_for(loss, &wanted, rules, &[t.last]);
                        }
                        let bytes = tape.bytes();
                        t.give_weights(&mut tape, &Model::random(&config, 3).weights);
                        let mut program = tape.finish();
                        let plan = program.plan_backward(loss, &wanted).by(rules);
                        let mut found = vec![];
                        for shift in [0, 1] {
                            let tokens: Vec<u32> = (0..12).map(|i| (i * 5 + shift) % 11).collect();
                            t.set_tokens(&mut program, &tokens);
                            program.forward();
                            program.backward(&plan);
                            found.push(program.value(t.last).to_vec());
                            found.push(program.value(loss).to_vec());
                            found.extend(wanted.iter().map(|&x| program.grad(x).to_vec()));
                        }
                        (bytes, found)
                    };
                    let ((whole, want), (less, got)) = (run(false), run(true));
                    assert!(less < whole, "{less} of {whole} bytes");
                    assert!(want == got, "{name}: {config:?}");
                }
            }
        }
    }

    #[test]
    fn gradients_agree_with_differences() {
        for config in configs() {
            config.check().expect("a good configuration");
            let mut tape = Tape::<f64>::new();
            let model = Transformer::record(&mut tape, &config, BATCH, SEQ, &mut Sum::default());
            let logits = model.logits(&mut tape, model.last);
            let mut program = tape.finish();
            let plan = program.plan_backward(logits, &model.parameters);
            let weights = Model::<f64>::random(&config, 5).weights;
            let mut points = Points::new(9);
            let direction: Vec<Vec<f64>> = weights.iter().map(|w| points.list(w.len())).collect();
            let seed = points.list(program.value(logits).len());
            let tokens: Vec<u32> = (0..BATCH * SEQ).map(|i| (i * i % 11) as u32).collect();
            model.set_tokens(&mut program, &tokens);
            let mut at = |t: f64| -> (f64, f64) {
                for ((&x, w), v) in model.parameters.iter().zip(&weights).zip(&direction) {
                    let moved: Vec<f64> = w.iter().zip(v).map(|(w, v)| w + t * v).collect();
                    program.set(x, &moved);
                }
                program.forward();
                program.backward_from(&plan, &seed);
                let value = program.value(logits).iter().zip(&seed).map(|(y, c)| y * c).sum();
                let grads = model.parameters.iter().flat_map(|&x| program.grad(x).to_vec());
                let slope = grads.zip(direction.iter().flatten()).map(|(g, v)| g * v).sum();
                (value, slope)
            };
            let h = 1e-4;
            let [a, b, c, d] = [-2.0, -1.0, 1.0, 2.0].map(|k| at(k * h).0);
            let differences = (a - 8.0 * b + 8.0 * c - d) / (12.0 * h);
            let slope = at(0.0).1;
            assert!(differences.abs() > 1e-1, "{config:?}: {differences}");
            let error = (slope - differences).abs() / differences.abs();
            assert!(error < 1e-7, "{config:?}: {slope} {differences} {error:e}");
        }
    }

    #[test]
    fn weights_are_shared_and_in_order() {
        for config in configs() {
            let mut tape = Tape::<f32>::new();
            let model = Transformer::record(&mut tape, &config, 1, 2, &mut Sum::default());
            let mut program = tape.finish();
            let weights = Model::<f32>::random(&config, 1).weights;
            model.set_weights(&mut program, &weights);
            for ((&x, w), p) in model.parameters.iter().zip(&weights).zip(config.parameters()) {
                assert_eq!(program.name(x), Some(&*p.name));
                assert_eq!(program.shape(x), &p.shape);
                assert_eq!(program.value(x).as_ptr(), w.as_ptr());
            }
        }
    }

    #[test]
    fn shapes_that_cannot_be_are_named() {
        let good = configs().pop().expect("some");
        let rotary = |dims, base| Positions::Rotary(Rotary::new(dims, base));
        let eps = f64::NAN;
        let empty = LayerKind { window: Some(0), ..LayerKind::default() };
        let scaling = Scaling::Llama3 { factor: 8.0, low: 4.0, high: 4.0, original: 16 };
        let scaled = Positions::Rotary(Rotary { scaling, ..Rotary::new(2, 1e4) });
        for (config, name) in [
            (Config { vocab: 0, ..good.clone() }, "vocab"),
            (Config { heads: 0, ..good.clone() }, "heads"),
            (Config { kv_heads: 2, ..good.clone() }, "kv_heads"),
            (Config { kv_heads: 6, ..good.clone() }, "kv_heads"),
            (Config { layers: 1_000_000_000_000, ..good.clone() }, "layers"),
            (Config { d_model: usize::MAX, ..good.clone() }, "d_model"),
            (Config { d_head: 1 << 30, ..good.clone() }, "heads"),
            (Config { positions: rotary(3, 1e4), ..good.clone() }, "rotary dims"),
            (Config { positions: rotary(6, 1e4), ..good.clone() }, "rotary dims"),
            (Config { positions: rotary(2, 0.0), ..good.clone() }, "rotary base"),
            (Config { attn_scale: 0.0, ..good.clone() }, "attn_scale"),
            (Config { norm: Norm::Layer(eps), ..good.clone() }, "eps"),
            (Config { vocab_out: 3, ..good.clone() }, "vocab_out"),
            (Config { score_cap: Some(0.0), ..good.clone() }, "score_cap"),
            (Config { qkv_clip: Some(eps), ..good.clone() }, "qkv_clip"),
            (Config { embed_scale: 0.0, ..good.clone() }, "embed_scale"),
            (Config { norm_place: NormPlace::After, ..good.clone() }, "norm_place"),
            (Config { one_norm: true, ..good.clone() }, "one_norm"),
            (Config { kinds: vec![empty], ..good.clone() }, "window"),
            (Config { positions: scaled, ..good.clone() }, "rotary scaling"),
        ] {
            let e = config.check().expect_err(name);
            assert!(e.to_string().starts_with(&format!("{name}: ")), "{e}");
        }
    }
}
