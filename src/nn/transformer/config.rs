//! The shape of a transformer and the list of its parameters.

use super::super::Activation;
use crate::ops::{Eps, Norm};
use crate::tensor::Shape;

/// How a token's position reaches the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Positions {
    /// An embedding for each position, added to the token's.
    Learned,
    /// Queries and keys are rotated by angles that grow with the position (RoPE).
    Rotary(Rotary),
    /// It does not.
    None,
}

/// Which numbers of a head are rotated, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotary {
    /// How many of a head's first numbers are rotated; even.
    pub dims: usize,
    /// The base of the angles: pair `i` turns by `position / base^(2 i / dims)`.
    pub base: f64,
    /// Whether numbers `2 i` and `2 i + 1` are a pair (GPT-J) instead of `i` and `i + dims / 2`
    /// (GPT-NeoX, Llama).
    pub adjacent: bool,
}

/// The shape of a model. Every field is what the computation needs; dialects of files are mapped to
/// it where they are read.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Tokens (V).
    pub vocab: usize,
    /// Numbers that come out at each position; the tokens again in a language model.
    pub vocab_out: usize,
    /// The longest sequence.
    pub context: usize,
    /// Layers (L).
    pub layers: usize,
    /// Width of the residual stream (D).
    pub d_model: usize,
    /// Heads that ask (H).
    pub heads: usize,
    /// Heads that answer (KV); each serves `heads / kv_heads` of those that ask.
    pub kv_heads: usize,
    /// Width of a head (K).
    pub d_head: usize,
    /// Neurons of an MLP (F), 0 for a model of attention alone.
    pub d_mlp: usize,
    /// The non-linearity of the MLPs.
    pub activation: Activation,
    /// Whether a neuron's activation is multiplied by a second reading (SwiGLU and its kin).
    pub gated: bool,
    /// Whether a token sees only itself and those before it.
    pub causal: bool,
    /// What attention scores are divided by.
    pub attn_scale: f64,
    /// How positions enter.
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
/// Names are those of TransformerLens. Where several of its tensors are used in one product they
/// are stored as one: `attn.W_QKV [D, (H + 2 KV) K]` holds all queries, then keys, then values,
/// head after head; `mlp.W_in [D, 2 F]` of a gated MLP holds the gates, then the values. `attn.W_O`
/// is `[H K, D]`, and `unembed.W_U` is transposed: `[V, D]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The name, such as `blocks.0.attn.W_QKV`.
    pub name: String,
    /// The shape.
    pub shape: Shape,
}

impl Config {
    /// Numbers of the queries, keys and values of one position: `(H + 2 KV) K`.
    pub fn d_qkv(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.d_head
    }

    /// Numbers that an MLP reads into: F, or 2 F if it is gated.
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

    /// The norm of [`Eps::Inside`] that most models with root-mean-square norms use.
    pub fn rms(eps: f64) -> Norm {
        Norm::Rms(Eps::Inside(eps))
    }
}
