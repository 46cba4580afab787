//! Model folders of Hugging Face's transformers: `gpt2`, `gpt_neox`, `llama`, `qwen2`, `mistral`.
//!
//! Layouts, with a stream of width D, H query heads and KV key-value heads of width K, F neurons:
//!
//! | kind | queries, keys and values | matrices |
//! | --- | --- | --- |
//! | `gpt2` | `c_attn [D, 3 D]`: all queries, all keys, all values | `[in, out]` |
//! | `gpt_neox` | `query_key_value [H (q, k, v) K, D]`: by head | `[out, in]` |
//! | `llama`, `qwen2`, `mistral` | `q_proj [H K, D]`, `k_proj`, `v_proj [KV K, D]` | `[out, in]` |

use super::fields::Fields;
use super::source::{Dialect, Source, StridedCopy};
use crate::error::Result;
use crate::nn::Activation;
use crate::nn::transformer::{Config, Positions, Rotary};
use crate::ops::Norm;

/// The kinds of models that are read, by `model_type`.
pub(super) const KINDS: [&str; 5] = ["gpt2", "gpt_neox", "llama", "qwen2", "mistral"];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Gpt2,
    NeoX,
    Llama,
}

/// A kind of model, and the prefix of its tensors' names.
pub(super) struct HuggingFace {
    kind: Kind,
    prefix: &'static str,
}

/// Options that no kind of model here supports.
const REFUSED: [&str; 4] =
    ["quantization_config", "pruned_heads", "add_cross_attention", "is_encoder_decoder"];

/// The configuration of a model of `model_type`, one of [`KINDS`].
pub(super) fn config(
    fields: &Fields,
    model_type: &str,
    source: &Source,
) -> Result<(Config, HuggingFace)> {
    fields.refuse(&REFUSED)?;
    let (config, kind, prefix, embedding) = match model_type {
        "gpt2" => (gpt2(fields)?, Kind::Gpt2, "transformer.", "wte.weight"),
        "gpt_neox" => (neox(fields)?, Kind::NeoX, "gpt_neox.", "embed_in.weight"),
        _ => (llama(fields, model_type)?, Kind::Llama, "model.", "embed_tokens.weight"),
    };
    let keys = if kind == Kind::Gpt2 { &GPT2_KEYS[..] } else { &KEYS };
    let config = fields.checked(config, keys)?;
    // Files of the bare model leave out the prefix that it has in a model with an unembedding.
    let prefix = if source.contains(embedding) { "" } else { prefix };
    Ok((config, HuggingFace { kind, prefix }))
}

const GPT2_KEYS: [(&str, &str); 10] = [
    ("vocab", "vocab_size"),
    ("vocab_out", "vocab_size"),
    ("context", "n_positions"),
    ("layers", "n_layer"),
    ("d_model", "n_embd"),
    ("heads", "n_head"),
    ("kv_heads", "n_head"),
    ("d_head", "n_head"),
    ("d_mlp", "n_inner"),
    ("eps", "layer_norm_epsilon"),
];

const KEYS: [(&str, &str); 15] = [
    ("vocab", "vocab_size"),
    ("vocab_out", "vocab_size"),
    ("context", "max_position_embeddings"),
    ("layers", "num_hidden_layers"),
    ("d_model", "hidden_size"),
    ("heads", "num_attention_heads"),
    ("kv_heads", "num_key_value_heads"),
    ("d_head", "head_dim"),
    ("d_mlp", "intermediate_size"),
    ("eps", "rms_norm_eps"),
    ("eps", "layer_norm_eps"),
    ("rotary dims", "partial_rotary_factor"),
    ("rotary dims", "rotary_pct"),
    ("rotary base", "rope_theta"),
    ("rotary base", "rotary_emb_base"),
];

fn gpt2(fields: &Fields) -> Result<Config> {
    fields.refuse(&["scale_attn_by_inverse_layer_idx"])?;
    let (vocab, d_model, heads) =
        (fields.size("vocab_size")?, fields.size("n_embd")?, fields.size("n_head")?);
    let d_head = head(fields, d_model, heads, "n_embd", "n_head")?;
    let d_mlp = fields.optional_size("n_inner")?.unwrap_or(d_model.saturating_mul(4));
    Ok(Config {
        vocab,
        vocab_out: vocab,
        context: fields.size("n_positions")?,
        layers: fields.size("n_layer")?,
        d_model,
        heads,
        kv_heads: heads,
        d_head,
        d_mlp: neurons(fields, "n_inner", d_mlp)?,
        activation: activation(fields, "activation_function", Activation::GeluTanh)?,
        gated: false,
        causal: true,
        attn_scale: match fields.flag("scale_attn_weights", true)? {
            true => (d_head as f64).sqrt(),
            false => 1.0,
        },
        positions: Positions::Learned,
        norm: Norm::Layer(fields.number("layer_norm_epsilon", 1e-5)?),
        norm_affine: true,
        parallel: false,
        qkv_bias: true,
        out_bias: true,
        mlp_bias: true,
        tied: fields.flag("tie_word_embeddings", true)?,
        unembed_bias: false,
    })
}

fn neox(fields: &Fields) -> Result<Config> {
    let (vocab, d_model, heads) = (
        fields.size("vocab_size")?,
        fields.size("hidden_size")?,
        fields.size("num_attention_heads")?,
    );
    let d_head = head(fields, d_model, heads, "hidden_size", "num_attention_heads")?;
    let bias = fields.flag("attention_bias", true)?;
    Ok(Config {
        vocab,
        vocab_out: vocab,
        context: fields.size("max_position_embeddings")?,
        layers: fields.size("num_hidden_layers")?,
        d_model,
        heads,
        kv_heads: heads,
        d_head,
        d_mlp: neurons(fields, "intermediate_size", fields.size("intermediate_size")?)?,
        activation: activation(fields, "hidden_act", Activation::Gelu)?,
        gated: false,
        causal: true,
        attn_scale: (d_head as f64).sqrt(),
        positions: positions(fields, d_head, "rotary_emb_base", "rotary_pct", 0.25)?,
        norm: Norm::Layer(fields.number("layer_norm_eps", 1e-5)?),
        norm_affine: true,
        parallel: fields.flag("use_parallel_residual", true)?,
        qkv_bias: bias,
        out_bias: bias,
        mlp_bias: true,
        tied: fields.flag("tie_word_embeddings", false)?,
        unembed_bias: false,
    })
}

fn llama(fields: &Fields, model_type: &str) -> Result<Config> {
    let (vocab, d_model, heads) = (
        fields.size("vocab_size")?,
        fields.size("hidden_size")?,
        fields.size("num_attention_heads")?,
    );
    let d_head = match fields.optional_size("head_dim")? {
        Some(d_head) => d_head,
        None => head(fields, d_model, heads, "hidden_size", "num_attention_heads")?,
    };
    let (qkv_bias, out_bias, mlp_bias, windowed) = match model_type {
        "qwen2" => {
            let layers = fields.has("layer_types");
            // Layers from this one on have the window.
            let first = fields.optional_size("max_window_layers")?.unwrap_or(28);
            let windowed = fields.flag("use_sliding_window", false)?
                && match layers {
                    true => fields.lists("layer_types", "sliding_attention"),
                    false => first < fields.size("num_hidden_layers")?,
                };
            (true, false, false, windowed)
        }
        "mistral" => (false, false, false, true),
        _ => {
            let bias = fields.flag("attention_bias", false)?;
            (bias, bias, fields.flag("mlp_bias", false)?, false)
        }
    };
    let mut context = fields.size("max_position_embeddings")?;
    if windowed && let Some(window) = fields.optional_size("sliding_window")? {
        // A sliding window changes nothing for sequences up to its length; longer ones are refused.
        if window < context {
            tracing::warn!(
                "{}: sliding_window: attention of {window} positions is not computed: sequences \
                 of more tokens are refused, though max_position_embeddings is {context}",
                fields.place()
            );
            context = window;
        }
    }
    Ok(Config {
        vocab,
        vocab_out: vocab,
        context,
        layers: fields.size("num_hidden_layers")?,
        d_model,
        heads,
        kv_heads: fields.optional_size("num_key_value_heads")?.unwrap_or(heads),
        d_head,
        d_mlp: neurons(fields, "intermediate_size", fields.size("intermediate_size")?)?,
        activation: activation(fields, "hidden_act", Activation::Silu)?,
        gated: true,
        causal: true,
        attn_scale: (d_head as f64).sqrt(),
        positions: positions(fields, d_head, "rope_theta", "partial_rotary_factor", 1.0)?,
        norm: Config::rms(fields.number("rms_norm_eps", 1e-6)?),
        norm_affine: true,
        parallel: false,
        qkv_bias,
        out_bias,
        mlp_bias,
        tied: fields.flag("tie_word_embeddings", false)?,
        unembed_bias: false,
    })
}

/// The width of a head if the file does not give it.
pub(super) fn head(fields: &Fields, width: usize, heads: usize, d: &str, h: &str) -> Result<usize> {
    if heads == 0 || !width.is_multiple_of(heads) {
        let message = format!("{heads} does not divide {d} = {width}");
        return Err(fields.error(h, message, format!("set \"{h}\" as the model was trained")));
    }
    Ok(width / heads)
}

/// The width of an MLP, a required key of these models.
fn neurons(fields: &Fields, key: &str, size: usize) -> Result<usize> {
    if size == 0 {
        let help = format!("set \"{key}\" as the model was trained");
        return Err(fields.error(key, "must be at least 1, got 0", help));
    }
    Ok(size)
}

/// The activation function under a key.
pub(super) fn activation(fields: &Fields, key: &str, default: Activation) -> Result<Activation> {
    const KNOWN: [(&str, Activation); 9] = [
        ("gelu", Activation::Gelu),
        ("gelu_python", Activation::Gelu),
        ("gelu_new", Activation::GeluTanh),
        ("gelu_pytorch_tanh", Activation::GeluTanh),
        ("gelu_fast", Activation::GeluTanh),
        ("relu", Activation::Relu),
        ("silu", Activation::Silu),
        ("swish", Activation::Silu),
        ("tanh", Activation::Tanh),
    ];
    let Some(name) = fields.text(key)? else { return Ok(default) };
    let known = KNOWN.iter().find(|(known, _)| *known == name);
    known.map(|k| k.1).ok_or_else(|| fields.unknown(key, name, &KNOWN.map(|k| k.0)))
}

/// The rotation, from `rope_parameters` or from the older keys.
fn positions(
    fields: &Fields,
    d_head: usize,
    base_key: &str,
    part_key: &str,
    default_part: f64,
) -> Result<Positions> {
    for key in ["rope_parameters", "rope_scaling"] {
        let Some(rope) = fields.object(key)? else { continue };
        rope.refuse(&["full_attention", "sliding_attention"])?;
        for key in ["rope_type", "type"] {
            if let Some(name) = rope.text(key)?
                && name != "default"
            {
                let message = format!("{name:?} rotations cannot be computed here");
                return Err(rope.error(key, message, "choose a model of \"default\" rotations"));
            }
        }
    }
    // The second is another name for the first, if it holds as much.
    let new = match fields.object("rope_parameters")? {
        None => fields.object("rope_scaling")?,
        new => new,
    };
    let number = |new_key: &str, old_key: &str, default: f64| -> Result<f64> {
        let old = fields.number(old_key, default)?;
        new.as_ref().map_or(Ok(old), |new| new.number(new_key, old))
    };
    let base = number("rope_theta", base_key, 10_000.0)?;
    let part = number("partial_rotary_factor", part_key, default_part)?;
    if !(0.0..=1.0).contains(&part) {
        let message = format!("must be from 0 to 1, got {part}");
        return Err(fields.error(part_key, message, "set it as the model was trained"));
    }
    let dims = (d_head as f64 * part) as usize;
    Ok(match dims {
        0 => Positions::None,
        _ => Positions::Rotary(Rotary { dims, base, adjacent: false, single: false }),
    })
}

/// The tensor of a `gpt2` that holds a parameter of layer `l`.
fn gpt2_part(pre: &str, config: &Config, l: usize, part: &str) -> StridedCopy {
    let &Config { vocab, context, d_model: d, d_mlp: f, .. } = config;
    let (q, width) = (config.heads * config.d_head, config.d_qkv());
    let name = |rest: &str| format!("{pre}h.{l}.{rest}");
    match part {
        "embed.W_E" => StridedCopy::whole(format!("{pre}wte.weight"), &[vocab, d]),
        "pos_embed.W_pos" => StridedCopy::whole(format!("{pre}wpe.weight"), &[context, d]),
        "ln1.w" => StridedCopy::whole(name("ln_1.weight"), &[d]),
        "ln1.b" => StridedCopy::whole(name("ln_1.bias"), &[d]),
        "attn.W_QKV" => StridedCopy::whole(name("attn.c_attn.weight"), &[d, width]),
        "attn.b_QKV" => StridedCopy::whole(name("attn.c_attn.bias"), &[width]),
        "attn.W_O" => StridedCopy::whole(name("attn.c_proj.weight"), &[q, d]),
        "attn.b_O" => StridedCopy::whole(name("attn.c_proj.bias"), &[d]),
        "ln2.w" => StridedCopy::whole(name("ln_2.weight"), &[d]),
        "ln2.b" => StridedCopy::whole(name("ln_2.bias"), &[d]),
        "mlp.W_in" => StridedCopy::whole(name("mlp.c_fc.weight"), &[d, f]),
        "mlp.b_in" => StridedCopy::whole(name("mlp.c_fc.bias"), &[f]),
        "mlp.W_out" => StridedCopy::whole(name("mlp.c_proj.weight"), &[f, d]),
        "mlp.b_out" => StridedCopy::whole(name("mlp.c_proj.bias"), &[d]),
        "ln_final.w" => StridedCopy::whole(format!("{pre}ln_f.weight"), &[d]),
        "ln_final.b" => StridedCopy::whole(format!("{pre}ln_f.bias"), &[d]),
        "unembed.W_U" => StridedCopy::whole("lm_head.weight", &[vocab, d]),
        other => unreachable!("parameter {other}"),
    }
}

/// The tensors of a `gpt_neox` that hold a parameter of layer `l`.
fn neox_parts(pre: &str, config: &Config, l: usize, part: &str) -> Vec<StridedCopy> {
    let &Config { vocab, d_model: d, d_mlp: f, .. } = config;
    let q = config.heads * config.d_head;
    let name = |rest: &str| format!("{pre}layers.{l}.{rest}");
    vec![match part {
        "embed.W_E" => StridedCopy::whole(format!("{pre}embed_in.weight"), &[vocab, d]),
        "ln1.w" => StridedCopy::whole(name("input_layernorm.weight"), &[d]),
        "ln1.b" => StridedCopy::whole(name("input_layernorm.bias"), &[d]),
        "attn.W_QKV" | "attn.b_QKV" => {
            return neox_qkv(&name("attention.query_key_value"), config, part);
        }
        "attn.W_O" => StridedCopy::transposed(name("attention.dense.weight"), d, q),
        "attn.b_O" => StridedCopy::whole(name("attention.dense.bias"), &[d]),
        "ln2.w" => StridedCopy::whole(name("post_attention_layernorm.weight"), &[d]),
        "ln2.b" => StridedCopy::whole(name("post_attention_layernorm.bias"), &[d]),
        "mlp.W_in" => StridedCopy::transposed(name("mlp.dense_h_to_4h.weight"), f, d),
        "mlp.b_in" => StridedCopy::whole(name("mlp.dense_h_to_4h.bias"), &[f]),
        "mlp.W_out" => StridedCopy::transposed(name("mlp.dense_4h_to_h.weight"), d, f),
        "mlp.b_out" => StridedCopy::whole(name("mlp.dense_4h_to_h.bias"), &[d]),
        "ln_final.w" => StridedCopy::whole(format!("{pre}final_layer_norm.weight"), &[d]),
        "ln_final.b" => StridedCopy::whole(format!("{pre}final_layer_norm.bias"), &[d]),
        "unembed.W_U" => StridedCopy::whole("embed_out.weight", &[vocab, d]),
        other => unreachable!("parameter {other}"),
    }]
}

/// The queries, keys and values of the fused tensors at `place`: in the file by head, then query,
/// key, value; in ours by query, key, value, then head.
fn neox_qkv(place: &str, config: &Config, part: &str) -> Vec<StridedCopy> {
    let &Config { d_model: d, heads, d_head, .. } = config;
    let (q, width) = (heads * d_head, config.d_qkv());
    let copy = |i: usize| match part {
        "attn.W_QKV" => {
            let start = (i * d_head * d, i * q);
            let by_head = (heads, 3 * d_head * d, d_head);
            let axes = [by_head, (d, 1, width), (d_head, d, 1)];
            StridedCopy::strided(format!("{place}.weight"), &[width, d], start, axes)
        }
        _ => {
            let axes = [(1, 0, 0), (heads, 3 * d_head, d_head), (d_head, 1, 1)];
            let name = format!("{place}.bias");
            StridedCopy::strided(name, &[width], (i * d_head, i * q), axes)
        }
    };
    (0..3).map(copy).collect()
}

/// The tensors of a `llama` or its kind that hold a parameter of layer `l`.
fn llama_parts(pre: &str, config: &Config, l: usize, part: &str) -> Vec<StridedCopy> {
    let &Config { vocab, d_model: d, d_mlp: f, .. } = config;
    let q = config.heads * config.d_head;
    let name = |rest: &str| format!("{pre}layers.{l}.{rest}");
    vec![match part {
        "embed.W_E" => StridedCopy::whole(format!("{pre}embed_tokens.weight"), &[vocab, d]),
        "ln1.w" => StridedCopy::whole(name("input_layernorm.weight"), &[d]),
        "attn.W_QKV" | "attn.b_QKV" => {
            return llama_qkv(&name("self_attn"), config, part);
        }
        "attn.W_O" => StridedCopy::transposed(name("self_attn.o_proj.weight"), d, q),
        "attn.b_O" => StridedCopy::whole(name("self_attn.o_proj.bias"), &[d]),
        "ln2.w" => StridedCopy::whole(name("post_attention_layernorm.weight"), &[d]),
        "mlp.W_in" => {
            let (gate, up) = (name("mlp.gate_proj.weight"), name("mlp.up_proj.weight"));
            return vec![
                StridedCopy::transposed_into(gate, f, d, 0, 2 * f),
                StridedCopy::transposed_into(up, f, d, f, 2 * f),
            ];
        }
        "mlp.b_in" => {
            return vec![
                StridedCopy::list(name("mlp.gate_proj.bias"), &[f], 0),
                StridedCopy::list(name("mlp.up_proj.bias"), &[f], f),
            ];
        }
        "mlp.W_out" => StridedCopy::transposed(name("mlp.down_proj.weight"), d, f),
        "mlp.b_out" => StridedCopy::whole(name("mlp.down_proj.bias"), &[d]),
        "ln_final.w" => StridedCopy::whole(format!("{pre}norm.weight"), &[d]),
        "unembed.W_U" => StridedCopy::whole("lm_head.weight", &[vocab, d]),
        other => unreachable!("parameter {other}"),
    }]
}

/// The queries, keys and values of the tensors below `place`, one after the other.
fn llama_qkv(place: &str, config: &Config, part: &str) -> Vec<StridedCopy> {
    let (d, width) = (config.d_model, config.d_qkv());
    let (q, kv) = (config.heads * config.d_head, config.kv_heads * config.d_head);
    let copy = |(x, n, at)| match part {
        "attn.W_QKV" => {
            StridedCopy::transposed_into(format!("{place}.{x}_proj.weight"), n, d, at, width)
        }
        _ => StridedCopy::list(format!("{place}.{x}_proj.bias"), &[n], at),
    };
    [("q", q, 0), ("k", kv, q), ("v", kv, q + kv)].map(copy).into()
}

impl Dialect for HuggingFace {
    fn parts(&self, config: &Config, l: usize, part: &str) -> Vec<StridedCopy> {
        match self.kind {
            Kind::Gpt2 => vec![gpt2_part(self.prefix, config, l, part)],
            Kind::NeoX => neox_parts(self.prefix, config, l, part),
            Kind::Llama => llama_parts(self.prefix, config, l, part),
        }
    }

    fn ignores(&self, name: &str) -> bool {
        let attention = match self.kind {
            Kind::Gpt2 => "attn",
            Kind::NeoX => "attention",
            Kind::Llama => "self_attn",
        };
        // Causal masks and angles that some versions save.
        let rest = name.rsplit_once(&format!(".{attention}.")).map_or("", |(_, rest)| rest);
        matches!(rest, "bias" | "masked_bias" | "rotary_emb.inv_freq")
            || name.ends_with("rotary_emb.inv_freq")
    }

    fn repeats(&self, config: &Config) -> Option<(String, String)> {
        let (unembedding, embedding) = match self.kind {
            Kind::Gpt2 => ("lm_head.weight", "wte.weight"),
            Kind::NeoX => ("embed_out.weight", "embed_in.weight"),
            Kind::Llama => ("lm_head.weight", "embed_tokens.weight"),
        };
        config.tied.then(|| (unembedding.into(), format!("{}{embedding}", self.prefix)))
    }
}
