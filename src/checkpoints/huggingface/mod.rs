//! Model folders of Hugging Face's transformers.
//!
//! A kind of model is a row of [`KINDS`]: its `model_type`, a function from the fields of its
//! `config.json` to a [`Config`], and the [names](Names) of its tensors. Everything else is shared.

mod kinds;
mod names;
mod rotation;

use super::fields::Fields;
use super::plan::Dialect;
use super::source::Source;
use super::strided::StridedCopy;
use crate::error::Result;
use crate::nn::Activation;
use crate::nn::transformer::Config;
pub(super) use kinds::KINDS;
pub(super) use names::Names;

/// The tensors of a kind of model, and the prefix of their names.
pub(super) struct HuggingFace {
    names: Names,
    prefix: String,
}

/// Options that no kind of model here supports.
const REFUSED: [&str; 6] = [
    "quantization_config",
    "pruned_heads",
    "add_cross_attention",
    "is_encoder_decoder",
    "use_bidirectional_attention",
    "attention_chunk_size",
];

/// What says that a model is a mixture of experts.
pub(super) const EXPERTS: [&str; 6] = [
    "num_local_experts",
    "num_experts",
    "n_routed_experts",
    "moe_intermediate_size",
    "moe_num_experts",
    "enable_moe_block",
];

/// The configuration of a model of `model_type`, one of [`KINDS`].
pub(super) fn config(
    fields: &Fields,
    model_type: &str,
    source: &Source,
) -> Result<(Config, HuggingFace)> {
    fields.refuse(&REFUSED)?;
    fields.refuse(&EXPERTS)?;
    let kind = KINDS.iter().find(|kind| kind.name == model_type).expect("a kind that is known");
    let (config, names) = (kind.describe)(fields)?;
    let config = fields.checked(config, &KEYS)?;
    // Files of the bare model leave out the prefix that it has in a model with an unembedding.
    let bare = [names.prefix, names.prefix.trim_start_matches("model."), ""];
    let has = |prefix: &&str| source.contains(&format!("{prefix}{}.weight", names.embed));
    let prefix = bare.into_iter().find(has).unwrap_or(names.prefix).into();
    Ok((config, HuggingFace { names, prefix }))
}

/// The keys that fields of a [`Config`] can come from.
const KEYS: [(&str, &str); 40] = [
    ("vocab", "vocab_size"),
    ("vocab_out", "vocab_size"),
    ("context", "max_position_embeddings"),
    ("context", "n_positions"),
    ("layers", "num_hidden_layers"),
    ("layers", "n_layer"),
    ("layers", "num_layers"),
    ("d_model", "hidden_size"),
    ("d_model", "n_embd"),
    ("d_model", "n_embed"),
    ("heads", "num_attention_heads"),
    ("heads", "n_head"),
    ("heads", "num_heads"),
    ("kv_heads", "num_key_value_heads"),
    ("kv_heads", "num_kv_heads"),
    ("kv_heads", "n_head"),
    ("d_head", "head_dim"),
    ("d_head", "n_head"),
    ("d_mlp", "intermediate_size"),
    ("d_mlp", "n_inner"),
    ("d_mlp", "ffn_dim"),
    ("d_mlp", "ffn_hidden_size"),
    ("eps", "rms_norm_eps"),
    ("eps", "layer_norm_eps"),
    ("eps", "layer_norm_epsilon"),
    ("attn_scale", "query_pre_attn_scalar"),
    ("score_cap", "attn_logit_softcapping"),
    ("logit_cap", "final_logit_softcapping"),
    ("qkv_clip", "clip_qkv"),
    ("window", "sliding_window"),
    ("window", "window_size"),
    ("embed_scale", "hidden_size"),
    ("rotary dims", "partial_rotary_factor"),
    ("rotary dims", "rotary_pct"),
    ("rotary dims", "rotary_dim"),
    ("rotary base", "rope_theta"),
    ("rotary base", "rotary_emb_base"),
    ("rotary scaling", "rope_parameters"),
    ("rotary scaling", "rope_scaling"),
    ("mlp_bias", "mlp_bias"),
];

/// The width of a head if the file does not give it.
pub(super) fn head(fields: &Fields, width: usize, heads: usize, d: &str, h: &str) -> Result<usize> {
    if heads == 0 || !width.is_multiple_of(heads) {
        let message = format!("{heads} does not divide {d} = {width}");
        return Err(fields.error(h, message, format!("set \"{h}\" as the model was trained")));
    }
    Ok(width / heads)
}

/// The activation function under a key.
pub(super) fn activation(fields: &Fields, key: &str, default: Activation) -> Result<Activation> {
    const KNOWN: [(&str, Activation); 10] = [
        ("gelu", Activation::Gelu),
        ("gelu_python", Activation::Gelu),
        ("gelu_new", Activation::GeluTanh),
        ("gelu_pytorch_tanh", Activation::GeluTanh),
        ("gelu_python_tanh", Activation::GeluTanh),
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

impl Dialect for HuggingFace {
    fn parts(&self, config: &Config, l: usize, part: &str) -> Vec<StridedCopy> {
        self.names.parts(&self.prefix, config, l, part)
    }

    fn ignores(&self, name: &str) -> bool {
        // Causal masks and angles that some versions save.
        let attention = format!(".{}.", self.names.attention);
        let rest = name.rsplit_once(&*attention).map_or("", |(_, rest)| rest);
        matches!(rest, "bias" | "masked_bias") || name.ends_with("rotary_emb.inv_freq")
    }

    fn repeats(&self, config: &Config) -> Option<(String, String)> {
        let names = &self.names;
        let embedding = format!("{}{}.weight", self.prefix, names.embed);
        config.tied.then(|| (format!("{}.weight", names.unembed), embedding))
    }
}
