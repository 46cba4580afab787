//! The shape of a transformer and the list of its parameters.

use super::super::Activation;
use crate::error::{Error, Result};
use crate::ops::{Eps, Norm, Rotary};
use crate::tensor::Shape;

/// How a token's position reaches the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Positions {
    /// An embedding for each position, added to the token's.
    Learned,
    /// Rotation of queries and keys by angles proportional to the position (RoPE).
    Rotary(Rotary),
    /// None.
    None,
}

/// The shape of a model: what its computation needs. Readers map the dialects of model files to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Tokens (V).
    pub vocab: usize,
    /// Width of the output at each position: V in a language model.
    pub vocab_out: usize,
    /// The longest sequence.
    pub context: usize,
    /// Layers (L).
    pub layers: usize,
    /// Width of the residual stream (D).
    pub d_model: usize,
    /// Query heads (H).
    pub heads: usize,
    /// Key-value heads (KV); each serves `heads / kv_heads` neighbouring query heads.
    pub kv_heads: usize,
    /// Width of a head (K).
    pub d_head: usize,
    /// Neurons of an MLP (F), 0 for a model of attention alone.
    pub d_mlp: usize,
    /// The activation function of the MLPs.
    pub activation: Activation,
    /// Whether a neuron's activation is multiplied by a second projection (SwiGLU and its kin).
    pub gated: bool,
    /// Whether a position attends only to itself and the positions before it.
    pub causal: bool,
    /// What attention scores are divided by.
    pub attn_scale: f64,
    /// The position encoding.
    pub positions: Positions,
    /// The norm before each part.
    pub norm: Norm,
    /// Whether norms have a gain (and, for layer norms, a bias).
    pub norm_affine: bool,
    /// Whether attention and MLP of a layer read the same stream instead of one after the other.
    pub parallel: bool,
    /// Whether queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Whether the output of attention has a bias.
    pub out_bias: bool,
    /// Whether the MLP has biases.
    pub mlp_bias: bool,
    /// Whether the unembedding is the token embedding.
    pub tied: bool,
    /// Whether the logits have a bias.
    pub unembed_bias: bool,
}

/// A parameter of a transformer: its name and its shape.
///
/// Names are those of TransformerLens. Where several of its tensors are factors of one product they
/// are stored as one: `attn.W_QKV [D, (H + 2 KV) K]` holds the queries of all heads, then their
/// keys, then their values, head after head; `mlp.W_in [D, 2 F]` of a gated MLP holds the gates,
/// then the values. `attn.W_O` is `[H K, D]`, and `unembed.W_U` is transposed: `[V, D]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The name, such as `blocks.0.attn.W_QKV`.
    pub name: String,
    /// The shape.
    pub shape: Shape,
}

/// The most layers, and the largest of all other sizes, that a [`Config`] may have: larger than any
/// model's, and small enough that products of two do not overflow.
const LAYERS: usize = 10_000;
const NUMBERS: usize = 1 << 31;

impl Config {
    /// Checks that a model can have this shape.
    ///
    /// # Errors
    /// The first field that it cannot have, as the place: a size of 0 or beyond the limits, heads
    /// that do not divide, a rotation that does not fit into a head.
    pub fn check(&self) -> Result<()> {
        for (name, size, least, most) in [
            ("vocab", self.vocab, 1, NUMBERS),
            ("vocab_out", self.vocab_out, 1, NUMBERS),
            ("context", self.context, 1, NUMBERS),
            ("layers", self.layers, 0, LAYERS),
            ("d_model", self.d_model, 1, NUMBERS),
            ("heads", self.heads, 1, NUMBERS),
            ("kv_heads", self.kv_heads, 1, self.heads),
            ("d_head", self.d_head, 1, NUMBERS),
            ("d_mlp", self.d_mlp, 0, NUMBERS / 2),
        ] {
            if size < least || size > most {
                let message = format!("must be from {least} to {most}, got {size}");
                return Err(Error::input(name, message, "check the sizes of the model"));
            }
        }
        let width = (self.heads + 2 * self.kv_heads).checked_mul(self.d_head);
        if width.is_none_or(|n| n > NUMBERS) {
            let message = format!("{} heads of {} are too many", self.heads, self.d_head);
            return Err(Error::input("heads", message, "check the sizes of the model"));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let message = format!("{} does not divide {} heads", self.kv_heads, self.heads);
            return Err(Error::input("kv_heads", message, "each serves equally many heads"));
        }
        if let Positions::Rotary(Rotary { dims, base, .. }) = self.positions {
            if dims == 0 || !dims.is_multiple_of(2) || dims > self.d_head {
                let message = format!("{dims} of a head's {} elements are rotated", self.d_head);
                let help = "an even number of them can be, at most the whole head";
                return Err(Error::input("rotary dims", message, help));
            }
            if !(base.is_finite() && base > 0.0) {
                let message = format!("must be above 0, got {base}");
                return Err(Error::input("rotary base", message, "10000 is usual"));
            }
        }
        if !(self.attn_scale.is_finite() && self.attn_scale != 0.0) {
            let message = format!("must be a number other than 0, got {}", self.attn_scale);
            return Err(Error::input("attn_scale", message, "the root of d_head is usual"));
        }
        if let Norm::Layer(eps)
        | Norm::Rms(Eps::Inside(eps) | Eps::InsideSingle(eps) | Eps::Outside(eps)) = self.norm
            && !(eps.is_finite() && eps >= 0.0)
        {
            let message = format!("must be at least 0, got {eps}");
            return Err(Error::input("eps", message, "1e-5 is usual"));
        }
        if self.tied && self.vocab != self.vocab_out {
            let message = format!(
                "is {}, but the unembedding is tied to {} tokens' embeddings",
                self.vocab_out, self.vocab
            );
            return Err(Error::input("vocab_out", message, "make them equal"));
        }
        Ok(())
    }

    /// The same model with the roundings of Hugging Face's transformers, which computes
    /// root-mean-square norms and the cosines and sines of rotations in single precision even in a
    /// model of doubles. The logits in doubles are then those of transformers to the last bit;
    /// without rounding they differ by some 1e-7. Readers never round, so that attribution and
    /// derivatives are those of doubles.
    pub fn rounded(&self) -> Config {
        let norm = match self.norm {
            Norm::Rms(Eps::Inside(eps)) => Norm::Rms(Eps::InsideSingle(eps)),
            other => other,
        };
        let positions = match self.positions {
            Positions::Rotary(rotary) => Positions::Rotary(Rotary { single: true, ..rotary }),
            other => other,
        };
        Config { norm, positions, ..self.clone() }
    }

    /// Width of the queries, keys and values of a position: `(H + 2 KV) K`.
    pub fn d_qkv(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.d_head
    }

    /// Width of the MLP's input projection: F, or 2 F if it is gated.
    pub fn d_mlp_in(&self) -> usize {
        self.d_mlp * (1 + self.gated as usize)
    }

    /// All parameters, in the order of the computation.
    pub fn parameters(&self) -> Vec<Parameter> {
        let d = self.d_model;
        let mut list = vec![];
        let mut add = |name: String, dims: &[usize], there: bool| {
            if there {
                list.push(Parameter { name, shape: dims.into() });
            }
        };
        let (gain, norm_bias) = (
            self.norm_affine && self.norm != Norm::None,
            self.norm_affine && matches!(self.norm, Norm::Layer(_)),
        );
        add("embed.W_E".into(), &[self.vocab, d], true);
        let learned = self.positions == Positions::Learned;
        add("pos_embed.W_pos".into(), &[self.context, d], learned);
        for l in 0..self.layers {
            let name = |part: &str| format!("blocks.{l}.{part}");
            add(name("ln1.w"), &[d], gain);
            add(name("ln1.b"), &[d], norm_bias);
            add(name("attn.W_QKV"), &[d, self.d_qkv()], true);
            add(name("attn.b_QKV"), &[self.d_qkv()], self.qkv_bias);
            add(name("attn.W_O"), &[self.heads * self.d_head, d], true);
            add(name("attn.b_O"), &[d], self.out_bias);
            if self.d_mlp > 0 {
                add(name("ln2.w"), &[d], gain);
                add(name("ln2.b"), &[d], norm_bias);
                add(name("mlp.W_in"), &[d, self.d_mlp_in()], true);
                add(name("mlp.b_in"), &[self.d_mlp_in()], self.mlp_bias);
                add(name("mlp.W_out"), &[self.d_mlp, d], true);
                add(name("mlp.b_out"), &[d], self.mlp_bias);
            }
        }
        add("ln_final.w".into(), &[d], gain);
        add("ln_final.b".into(), &[d], norm_bias);
        add("unembed.W_U".into(), &[self.vocab_out, d], !self.tied);
        add("unembed.b_U".into(), &[self.vocab_out], self.unembed_bias);
        list
    }

    /// The shapes of GPT-2 small, for benches and examples: 12 layers of 12 heads, 50,257 tokens.
    pub fn gpt2_small() -> Config {
        Config {
            vocab: 50257,
            vocab_out: 50257,
            context: 1024,
            layers: 12,
            d_model: 768,
            heads: 12,
            kv_heads: 12,
            d_head: 64,
            d_mlp: 3072,
            activation: Activation::GeluTanh,
            gated: false,
            causal: true,
            attn_scale: 8.0,
            positions: Positions::Learned,
            norm: Norm::Layer(1e-5),
            norm_affine: true,
            parallel: false,
            qkv_bias: true,
            out_bias: true,
            mlp_bias: true,
            tied: true,
            unembed_bias: false,
        }
    }

    /// The norm of [`Eps::Inside`] that most models with root-mean-square norms have.
    pub fn rms(eps: f64) -> Norm {
        Norm::Rms(Eps::Inside(eps))
    }
}
