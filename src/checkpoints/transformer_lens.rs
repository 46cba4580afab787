//! Model folders whose `config.json` holds TransformerLens' fields and whose weights are its
//! `state_dict`.
//!
//! With a stream of width D, H query heads and KV key-value heads of width K, F neurons, V tokens:
//! `W_Q [H, D, K]`, `W_K` and `W_V [KV, D, K]` (with a `_` in front where query heads share them),
//! `W_O [H, K, D]`, `W_in` and `W_gate [D, F]`, `W_out [F, D]`, `W_U [D, V]`. A missing bias is
//! zero.

use super::fields::Fields;
use super::huggingface;
use super::plan::Dialect;
use super::source::Source;
use super::strided::StridedCopy;
use crate::error::Result;
use crate::nn::Activation;
use crate::nn::transformer::{Config, Model, Parameter, Positions, Rotary};
use crate::ops::Norm;
use crate::simd::Element;

/// The `model_type` that names this dialect.
pub(super) const KIND: &str = "transformer_lens";

/// Unsupported options.
const REFUSED: [&str; 13] = [
    "scale_attn_by_inverse_layer_idx",
    "use_local_attn",
    "num_experts",
    "attn_scores_soft_cap",
    "output_logits_soft_cap",
    "use_qk_norm",
    "use_NTK_by_parts_rope",
    "use_yarn_rope",
    "use_normalization_before_and_after",
    "post_embedding_ln",
    "relative_attention_num_buckets",
    "load_in_4bit",
    "is_encoder_decoder",
];

/// The dialect. The tensors of a file, not its fields, show which norms and biases it has.
pub(super) struct TransformerLens {
    /// The prefix of keys' and values' names: empty, or a `_`.
    shared: &'static str,
}

impl TransformerLens {
    /// The dialect in which TransformerLens would write a model of this shape.
    pub(super) fn of(config: &Config) -> TransformerLens {
        TransformerLens { shared: if config.kv_heads < config.heads { "_" } else { "" } }
    }
}

/// Whether the fields are TransformerLens'.
pub(super) fn is_it(fields: &Fields) -> bool {
    fields.has("d_model") && fields.has("n_layers")
}

const KEYS: [(&str, &str); 11] = [
    ("vocab", "d_vocab"),
    ("vocab_out", "d_vocab_out"),
    ("context", "n_ctx"),
    ("layers", "n_layers"),
    ("heads", "n_heads"),
    ("kv_heads", "n_key_value_heads"),
    ("rotary dims", "rotary_dim"),
    ("rotary base", "rotary_base"),
    ("d_model", "d_model"),
    ("d_head", "d_head"),
    ("d_mlp", "d_mlp"),
];

/// The configuration from the fields and from the tensors that are there.
pub(super) fn config(fields: &Fields, source: &Source) -> Result<(Config, TransformerLens)> {
    fields.refuse(&REFUSED)?;
    refuse_bridge(source)?;
    let (d_model, heads) = (fields.size("d_model")?, fields.size("n_heads")?);
    let d_head = match fields.optional_size("d_head")? {
        Some(d_head) => d_head,
        None => huggingface::head(fields, d_model, heads, "d_model", "n_heads")?,
    };
    let d_mlp = neurons(fields, d_model)?;
    let vocab = fields.size("d_vocab")?;
    let vocab_out =
        if is_unset(fields, "d_vocab_out")? { vocab } else { fields.size("d_vocab_out")? };
    let attn_scale = attn_scale(fields, d_head)?;
    let (norm, norm_affine) = norm(fields)?;
    let names = source.names();
    let named =
        |part: &'static str| move |name: &str| name.starts_with("blocks.") && name.ends_with(part);
    let any =
        |parts: &[&'static str]| parts.iter().any(|&part| names.iter().any(|n| named(part)(n)));
    let qkv_bias = any(&[".attn.b_Q", ".attn.b_K", ".attn.b_V", ".attn._b_K", ".attn._b_V"]);
    let config = Config {
        vocab,
        vocab_out,
        context: fields.size("n_ctx")?,
        layers: fields.size("n_layers")?,
        d_model,
        heads,
        kv_heads: fields.optional_size("n_key_value_heads")?.unwrap_or(heads),
        d_head,
        d_mlp,
        activation: huggingface::activation(fields, "act_fn", Activation::Gelu)?,
        gated: fields.flag("gated_mlp", false)?,
        causal: causal(fields)?,
        attn_scale,
        positions: positions(fields, source, d_head)?,
        norm,
        norm_affine,
        parallel: fields.flag("parallel_attn_mlp", false)?,
        qkv_bias,
        out_bias: any(&[".attn.b_O"]),
        mlp_bias: d_mlp > 0 && any(&[".mlp.b_in", ".mlp.b_out"]),
        tied: !source.contains("unembed.W_U") && fields.flag("tie_word_embeddings", false)?,
        unembed_bias: source.contains("unembed.b_U"),
        ..Config::gpt2_small()
    };
    let config = fields.checked(config, &KEYS)?;
    let shared = if any(&[".attn._W_K"]) { "_" } else { "" };
    Ok((config, TransformerLens { shared }))
}

/// Refuses weights under the names that TransformerLens gives from version 3 on.
fn refuse_bridge(source: &Source) -> Result<()> {
    if source.contains("embed.weight") && !source.contains("embed.W_E") {
        let message = "is the state dict of a TransformerBridge, as TransformerLens has it from \
                       version 3 on; W_E and its kind are read";
        let help = "save the Hugging Face model that it wraps: \
                    `bridge.original_model.save_pretrained(FOLDER)`";
        return Err(source.error("embed.weight", message, help));
    }
    Ok(())
}

/// The width of the MLPs, 0 if the model has none.
fn neurons(fields: &Fields, d_model: usize) -> Result<usize> {
    let attn_only = fields.flag("attn_only", false)?;
    let d_mlp = match fields.optional_size("d_mlp")? {
        _ if attn_only => 0,
        Some(d_mlp) => d_mlp,
        None => d_model.saturating_mul(4),
    };
    if d_mlp > 0 && !fields.has("act_fn") {
        return Err(fields.missing("act_fn"));
    }
    Ok(d_mlp)
}

/// Whether a number is not given, or -1: "the same", or "the usual", in these files.
fn is_unset(fields: &Fields, key: &str) -> Result<bool> {
    Ok(fields.number(key, -1.0)? == -1.0)
}

/// What attention scores are divided by.
fn attn_scale(fields: &Fields, d_head: usize) -> Result<f64> {
    Ok(match fields.flag("use_attn_scale", true)? {
        false => 1.0,
        true if is_unset(fields, "attn_scale")? => (d_head as f64).sqrt(),
        true => fields.number("attn_scale", 1.0)?,
    })
}

/// Whether positions see only what is before them.
fn causal(fields: &Fields) -> Result<bool> {
    match fields.text("attention_dir")? {
        None | Some("causal") => Ok(true),
        Some("bidirectional") => Ok(false),
        Some(other) => Err(fields.unknown("attention_dir", other, &["causal", "bidirectional"])),
    }
}

fn norm(fields: &Fields) -> Result<(Norm, bool)> {
    const KNOWN: [&str; 4] = ["LN", "LNPre", "RMS", "RMSPre"];
    let eps = fields.number("eps", 1e-5)?;
    let (norm, affine) = match fields.text("normalization_type")? {
        None => (Norm::None, false),
        Some("LN") => (Norm::Layer(eps), true),
        Some("LNPre") => (Norm::Layer(eps), false),
        Some("RMS") => (Config::rms(eps), true),
        Some("RMSPre") => (Config::rms(eps), false),
        Some(other) => return Err(fields.unknown("normalization_type", other, &KNOWN)),
    };
    if !matches!(norm, Norm::Rms(_)) {
        fields.refuse(&["final_rms"])?;
    }
    Ok((norm, affine))
}

fn positions(fields: &Fields, source: &Source, d_head: usize) -> Result<Positions> {
    match fields.text("positional_embedding_type")? {
        Some("standard") => Ok(Positions::Learned),
        Some("rotary") => Ok(Positions::Rotary(Rotary {
            adjacent: fields.flag("rotary_adjacent_pairs", false)?,
            ..Rotary::new(
                fields.optional_size("rotary_dim")?.unwrap_or(d_head),
                fields.number("rotary_base", 10_000.0)?,
            )
        })),
        Some("none") => Ok(Positions::None),
        None if source.contains("pos_embed.W_pos") => Ok(Positions::Learned),
        None => Ok(Positions::None),
        Some(other) => {
            let known = ["standard", "rotary", "none"];
            Err(fields.unknown("positional_embedding_type", other, &known))
        }
    }
}

impl Dialect for TransformerLens {
    fn parts(&self, config: &Config, l: usize, part: &str) -> Vec<StridedCopy> {
        let &Config { vocab, vocab_out, context, d_model: d, heads, kv_heads, d_head, .. } = config;
        let (f, width) = (config.d_mlp, config.d_qkv());
        let name = |rest: &str| format!("blocks.{l}.{rest}");
        // The heads, their number, and the first of their columns in ours.
        let blocks = [
            (String::from("Q"), heads, 0),
            (format!("{}K", self.shared), kv_heads, heads * d_head),
            (format!("{}V", self.shared), kv_heads, (heads + kv_heads) * d_head),
        ];
        // `_W_K`, not `W__K`.
        let tensor = |letter: &str, block: &str| match block.strip_prefix('_') {
            Some(block) => name(&format!("attn._{letter}_{block}")),
            None => name(&format!("attn.{letter}_{block}")),
        };
        let same = |shape: &[usize]| vec![StridedCopy::whole(name(part), shape)];
        let optional = |shape: &[usize]| vec![StridedCopy::whole(name(part), shape).optional()];
        match part {
            "embed.W_E" => vec![StridedCopy::whole(part, &[vocab, d])],
            "pos_embed.W_pos" => vec![StridedCopy::whole(part, &[context, d])],
            "ln_final.w" | "ln_final.b" => vec![StridedCopy::whole(part, &[d])],
            "unembed.W_U" => vec![StridedCopy::transposed(part, d, vocab_out)],
            "unembed.b_U" => vec![StridedCopy::whole(part, &[vocab_out])],
            "attn.W_QKV" => blocks
                .map(|(block, n, at)| {
                    let by_head = (n, d * d_head, d_head);
                    let axes = [by_head, (d, d_head, width), (d_head, 1, 1)];
                    StridedCopy::strided(tensor("W", &block), &[n, d, d_head], (0, at), axes)
                })
                .into(),
            "attn.b_QKV" => blocks
                .map(|(block, n, at)| {
                    StridedCopy::list(tensor("b", &block), &[n, d_head], at).optional()
                })
                .into(),
            "attn.W_O" => same(&[heads, d_head, d]),
            "mlp.W_in" if config.gated => {
                let into = |tensor, at| {
                    let axes = [(1, 0, 0), (d, f, 2 * f), (f, 1, 1)];
                    StridedCopy::strided(name(tensor), &[d, f], (0, at), axes)
                };
                vec![into("mlp.W_gate", 0), into("mlp.W_in", f)]
            }
            // It is added to the product of gate and value, which `fold` accounts for.
            "mlp.b_in" if config.gated => vec![],
            "mlp.W_in" => same(&[d, f]),
            "mlp.b_in" => optional(&[f]),
            "mlp.W_out" => same(&[f, d]),
            "attn.b_O" | "mlp.b_out" => optional(&[d]),
            _ => same(&[d]),
        }
    }

    fn ignores(&self, name: &str) -> bool {
        let buffers = ["mask", "IGNORE", "rotary_sin", "rotary_cos"];
        let buffer = name.rsplit_once(".attn.").is_some_and(|(_, rest)| buffers.contains(&rest));
        // `fold` reads it where it is a parameter.
        buffer || name.ends_with(".mlp.b_in")
    }

    fn repeats(&self, _: &Config) -> Option<(String, String)> {
        None
    }
}

/// Folds the biases of a gated MLP's neurons into its output bias. TransformerLens adds them to the
/// product of gate and value, so that `(z + b_in) W_out + b_out = z W_out + (b_in W_out + b_out)`.
pub(super) fn fold<T: Element>(source: &Source, model: &mut Model<T>) -> Result<()> {
    let Config { layers, d_model, d_mlp, gated, .. } = model.config;
    if !gated || d_mlp == 0 {
        return Ok(());
    }
    let list = model.config.parameters();
    for l in 0..layers {
        let tensor = format!("blocks.{l}.mlp.b_in");
        if !source.contains(&tensor) {
            continue;
        }
        let b_in: Vec<f64> = source.get(&tensor, &[d_mlp])?;
        if b_in.iter().all(|&b| b == 0.0) {
            continue;
        }
        let of = |part: &str| {
            let name = format!("blocks.{l}.{part}");
            list.iter().position(|p: &Parameter| p.name == name).expect("an MLP with biases")
        };
        let (w_out, b_out) = (of("mlp.W_out"), of("mlp.b_out"));
        let mut total: Vec<f64> = model.weights[b_out].iter().map(|b| b.to_f64()).collect();
        for (row, b) in model.weights[w_out].chunks_exact(d_model).zip(b_in) {
            for (total, w) in total.iter_mut().zip(row) {
                *total += b * w.to_f64();
            }
        }
        let total: Vec<T> = total.into_iter().map(T::from_f64).collect();
        model.weights[b_out] = crate::tensor::Buffer::from(&total[..]).share();
    }
    Ok(())
}
