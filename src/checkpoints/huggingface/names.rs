//! The names and layouts of tensors in Hugging Face's files.
//!
//! With a stream of width D, H query heads and KV key-value heads of width K, F neurons; matrices
//! are `[out, in]` unless a kind says otherwise:
//!
//! | queries, keys and values | |
//! | --- | --- |
//! | [apart](Qkv::Apart) | `[H K, D]`, `[KV K, D]`, `[KV K, D]` |
//! | [side by side](Qkv::Side) | `[(H + 2 KV) K, D]`: all queries, all keys, all values |
//! | [by head](Qkv::ByHead) | `[(H + 2 KV) K, D]`: for each key-value head its queries, its key, its value |

use super::super::strided::StridedCopy;
use crate::nn::transformer::{Config, HeadNorms, NormSpan};

/// The layout of queries, keys and values, with their names below attention's.
#[derive(Clone, Copy)]
pub(crate) enum Qkv {
    /// A tensor each.
    Apart([&'static str; 3]),
    /// One tensor: all queries, all keys, all values.
    Side(&'static str),
    /// One tensor: for each key-value head its queries, its key, its value.
    ByHead(&'static str),
}

/// The tensors of an MLP, with their names in the layer.
#[derive(Clone, Copy)]
pub(crate) enum Mlp {
    /// In and out.
    Plain([&'static str; 2]),
    /// Gate, value, out.
    Gated([&'static str; 3]),
    /// Gates above values, out.
    Joined([&'static str; 2]),
}

/// The names of a kind's tensors, without `.weight` and `.bias`; those of a layer without the
/// layer.
#[derive(Clone, Copy)]
pub(crate) struct Names {
    /// Before all names but the unembedding's.
    pub(super) prefix: &'static str,
    pub(super) embed: &'static str,
    pub(super) embed_norm: &'static str,
    pub(super) positions: &'static str,
    /// Rows of the position embeddings before that of position 0.
    pub(super) first_position: usize,
    pub(super) layers: &'static str,
    /// The norms before attention, after it, before the MLP, after it.
    pub(super) norms: [&'static str; 4],
    /// Attention; the names below it come next.
    pub(super) attention: &'static str,
    pub(super) qkv: Qkv,
    pub(super) head_norms: [&'static str; 2],
    pub(super) out: &'static str,
    pub(super) mlp: Mlp,
    pub(super) norm: &'static str,
    pub(super) unembed: &'static str,
    /// Whether matrices are `[in, out]`.
    pub(super) transposed: bool,
    /// What is added to gains: 1 where files hold the difference from 1.
    pub(super) gain: f64,
}

impl Names {
    /// The tensors that hold a parameter of layer `l`.
    pub(super) fn parts(
        &self,
        pre: &str,
        config: &Config,
        l: usize,
        part: &str,
    ) -> Vec<StridedCopy> {
        let &Config { vocab, vocab_out, d_model: d, .. } = config;
        let whole = |name: String, shape: &[usize]| vec![StridedCopy::whole(name, shape)];
        // `ln1.w` -> `ln1`, `weight`
        let (of, kind) = match part.rsplit_once('.') {
            Some((of, letter)) if letter.starts_with(['w', 'W']) => (of, "weight"),
            Some((of, _)) => (of, "bias"),
            None => unreachable!("parameter {part}"),
        };
        let outer = |name: &str| format!("{pre}{name}.{kind}");
        let inner = |name: &str| format!("{pre}{}.{l}.{name}.{kind}", self.layers);
        let norm = |name: String| {
            vec![StridedCopy::list(name, &[d], 0).plus(if kind == "weight" {
                self.gain
            } else {
                0.0
            })]
        };
        let below = |name: &str| inner(&format!("{}.{name}", self.attention));
        match (of, part) {
            ("embed", _) => whole(outer(self.embed), &[vocab, d]),
            ("embed.ln", _) => norm(outer(self.embed_norm)),
            ("pos_embed", _) => {
                let rows = config.context + self.first_position;
                let start = (self.first_position * d, 0);
                let axes = [(1, 0, 0), (config.context, d, d), (d, 1, 1)];
                vec![StridedCopy::strided(outer(self.positions), &[rows, d], start, axes)]
            }
            ("ln1", _) => norm(inner(self.norms[0])),
            ("ln1_post", _) => norm(inner(self.norms[1])),
            ("ln2", _) => norm(inner(self.norms[2])),
            ("ln2_post", _) => norm(inner(self.norms[3])),
            ("ln_final", _) => norm(outer(self.norm)),
            ("unembed", "unembed.W_U") => {
                whole(format!("{}.{kind}", self.unembed), &[vocab_out, d])
            }
            ("unembed", _) => whole(format!("{}.{kind}", self.unembed), &[vocab_out]),
            ("attn.q_norm", _) => self.head_gains(config, &below(self.head_norms[0]), kind, 0),
            ("attn.k_norm", _) => self.head_gains(config, &below(self.head_norms[1]), kind, 1),
            (_, "attn.W_QKV" | "attn.b_QKV") => self.qkv(config, &below, kind == "weight"),
            (_, "attn.W_O") => {
                vec![self.matrix(below(self.out), config.heads * config.d_head, d)]
            }
            (_, "attn.b_O") => whole(below(self.out), &[d]),
            _ => self.mlp(config, &inner, part),
        }
    }

    /// A matrix of `n_in` inputs and `n_out` outputs, which is all of a parameter `[in, out]`.
    fn matrix(&self, name: String, n_in: usize, n_out: usize) -> StridedCopy {
        match self.transposed {
            true => StridedCopy::whole(name, &[n_in, n_out]),
            false => StridedCopy::transposed(name, n_out, n_in),
        }
    }

    /// The gains or biases of the norms of queries (0) or keys (1), by the name of the tensor.
    fn head_gains(
        &self,
        config: &Config,
        name: &str,
        kind: &str,
        which: usize,
    ) -> Vec<StridedCopy> {
        let k = config.d_head;
        let heads = [config.heads, config.kv_heads][which];
        let gain = if kind == "weight" { self.gain } else { 0.0 };
        let list = |name: String, n: usize, at: usize| StridedCopy::list(name, &[n], at).plus(gain);
        match config.head_norms.map(|HeadNorms { span, .. }| span) {
            Some(NormSpan::EachHead) => {
                let place = name.strip_suffix(kind).unwrap_or(name);
                (0..heads).map(|h| list(format!("{place}norms.{h}.{kind}"), k, h * k)).collect()
            }
            Some(NormSpan::AllHeads) => vec![list(name.into(), heads * k, 0)],
            Some(NormSpan::Head) | None => vec![list(name.into(), k, 0)],
        }
    }

    /// Queries, keys and values: in ours by query, key, value, then head.
    fn qkv(
        &self,
        config: &Config,
        below: &impl Fn(&str) -> String,
        weight: bool,
    ) -> Vec<StridedCopy> {
        let &Config { d_model: d, heads, kv_heads, d_head: k, .. } = config;
        let (q, kv, width) = (heads * k, kv_heads * k, config.d_qkv());
        match self.qkv {
            Qkv::Side(name) if weight => vec![self.matrix(below(name), d, width)],
            Qkv::Side(name) => vec![StridedCopy::whole(below(name), &[width])],
            Qkv::Apart(names) => {
                let parts = names.into_iter().zip([(q, 0), (kv, q), (kv, q + kv)]);
                let copy = |(name, (n, at)): (&str, (usize, usize))| match weight {
                    true => StridedCopy::transposed_into(below(name), n, d, at, width),
                    false => StridedCopy::list(below(name), &[n], at),
                };
                parts.map(copy).collect()
            }
            Qkv::ByHead(name) => {
                let shared = heads / kv_heads;
                let block = (shared + 2) * k;
                // The first of a block's rows, their number, the first of our columns.
                let parts = [(0, shared * k, 0), (shared * k, k, q), (shared * k + k, k, q + kv)];
                let copy = |(from, n, at): (usize, usize, usize)| match weight {
                    true => {
                        let axes = [(kv_heads, block * d, n), (d, 1, width), (n, d, 1)];
                        StridedCopy::strided(below(name), &[width, d], (from * d, at), axes)
                    }
                    false => {
                        let axes = [(1, 0, 0), (kv_heads, block, n), (n, 1, 1)];
                        StridedCopy::strided(below(name), &[width], (from, at), axes)
                    }
                };
                parts.map(copy).into()
            }
        }
    }

    /// The parameters of an MLP; `inner` names a tensor of the layer.
    fn mlp(
        &self,
        config: &Config,
        inner: &impl Fn(&str) -> String,
        part: &str,
    ) -> Vec<StridedCopy> {
        let &Config { d_model: d, d_mlp: f, .. } = config;
        let last = match self.mlp {
            Mlp::Plain([_, out]) | Mlp::Gated([_, _, out]) | Mlp::Joined([_, out]) => out,
        };
        match (part, self.mlp) {
            ("mlp.W_out", _) => vec![self.matrix(inner(last), f, d)],
            ("mlp.b_out", _) => vec![StridedCopy::whole(inner(last), &[d])],
            ("mlp.W_in", Mlp::Plain([name, _])) => vec![self.matrix(inner(name), d, f)],
            ("mlp.b_in", Mlp::Plain([name, _])) => vec![StridedCopy::whole(inner(name), &[f])],
            ("mlp.W_in", Mlp::Joined([name, _])) => vec![self.matrix(inner(name), d, 2 * f)],
            ("mlp.b_in", Mlp::Joined([name, _])) => {
                vec![StridedCopy::whole(inner(name), &[2 * f])]
            }
            ("mlp.W_in", Mlp::Gated([gate, value, _])) => vec![
                StridedCopy::transposed_into(inner(gate), f, d, 0, 2 * f),
                StridedCopy::transposed_into(inner(value), f, d, f, 2 * f),
            ],
            ("mlp.b_in", Mlp::Gated([gate, value, _])) => vec![
                StridedCopy::list(inner(gate), &[f], 0),
                StridedCopy::list(inner(value), &[f], f),
            ],
            (other, _) => unreachable!("parameter {other}"),
        }
    }
}

/// Those of Llama and most others.
pub(super) const LLAMA: Names = Names {
    prefix: "model.",
    embed: "embed_tokens",
    embed_norm: "",
    positions: "",
    first_position: 0,
    layers: "layers",
    norms: ["input_layernorm", "", "post_attention_layernorm", ""],
    attention: "self_attn",
    qkv: Qkv::Apart(["q_proj", "k_proj", "v_proj"]),
    head_norms: ["q_norm", "k_norm"],
    out: "o_proj",
    mlp: Mlp::Gated(["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]),
    norm: "norm",
    unembed: "lm_head",
    transposed: false,
    gain: 0.0,
};

pub(super) const GPT2: Names = Names {
    prefix: "transformer.",
    embed: "wte",
    positions: "wpe",
    layers: "h",
    norms: ["ln_1", "", "ln_2", ""],
    attention: "attn",
    qkv: Qkv::Side("c_attn"),
    out: "c_proj",
    mlp: Mlp::Plain(["mlp.c_fc", "mlp.c_proj"]),
    norm: "ln_f",
    transposed: true,
    ..LLAMA
};

pub(super) const GPT_NEO: Names = Names {
    attention: "attn.attention",
    qkv: Qkv::Apart(["q_proj", "k_proj", "v_proj"]),
    out: "out_proj",
    transposed: false,
    ..GPT2
};

pub(super) const GPT_J: Names =
    Names { attention: "attn", mlp: Mlp::Plain(["mlp.fc_in", "mlp.fc_out"]), ..GPT_NEO };

pub(super) const GPT_NEOX: Names = Names {
    prefix: "gpt_neox.",
    embed: "embed_in",
    attention: "attention",
    qkv: Qkv::ByHead("query_key_value"),
    out: "dense",
    mlp: Mlp::Plain(["mlp.dense_h_to_4h", "mlp.dense_4h_to_h"]),
    norm: "final_layer_norm",
    unembed: "embed_out",
    ..LLAMA
};

pub(super) const BLOOM: Names = Names {
    prefix: "transformer.",
    embed: "word_embeddings",
    embed_norm: "word_embeddings_layernorm",
    layers: "h",
    attention: "self_attention",
    norm: "ln_f",
    unembed: "lm_head",
    ..GPT_NEOX
};

pub(super) const OPT: Names = Names {
    prefix: "model.decoder.",
    positions: "embed_positions",
    first_position: 2,
    norms: ["self_attn_layer_norm", "", "final_layer_norm", ""],
    out: "out_proj",
    mlp: Mlp::Plain(["fc1", "fc2"]),
    norm: "final_layer_norm",
    ..LLAMA
};

pub(super) const PHI: Names = Names {
    out: "dense",
    head_norms: ["q_layernorm", "k_layernorm"],
    mlp: Mlp::Plain(["mlp.fc1", "mlp.fc2"]),
    norm: "final_layernorm",
    ..LLAMA
};

pub(super) const PHI3: Names = Names {
    qkv: Qkv::Side("qkv_proj"),
    mlp: Mlp::Joined(["mlp.gate_up_proj", "mlp.down_proj"]),
    ..LLAMA
};

pub(super) const STABLELM: Names = Names { head_norms: ["q_layernorm", "k_layernorm"], ..LLAMA };

pub(super) const GEMMA: Names = Names { gain: 1.0, ..LLAMA };

pub(super) const GEMMA2: Names = Names {
    norms: [
        "input_layernorm",
        "post_attention_layernorm",
        "pre_feedforward_layernorm",
        "post_feedforward_layernorm",
    ],
    ..GEMMA
};

pub(super) const OLMO2: Names =
    Names { norms: ["", "post_attention_layernorm", "", "post_feedforward_layernorm"], ..LLAMA };
