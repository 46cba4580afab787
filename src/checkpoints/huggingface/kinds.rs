//! The kinds of models: from the fields of a `config.json` to a [`Config`].

use super::super::fields::Fields;
use super::names::{self, Names};
use super::rotation::{self, Defaults};
use super::{activation, head};
use crate::error::Result;
use crate::nn::Activation;
use crate::nn::transformer::{
    Config, HeadNorms, LayerKind, NormPlace, NormSpan, Positions, Rotary, Scaling, Slopes, Turn,
};
use crate::ops::Norm;

/// A kind of model.
pub(crate) struct Kind {
    /// The `model_type`.
    pub(crate) name: &'static str,
    /// Its configuration and the names of its tensors.
    pub(super) describe: fn(&Fields) -> Result<(Config, Names)>,
}

/// All kinds that are read.
pub(crate) const KINDS: [Kind; 20] = [
    Kind { name: "gpt2", describe: gpt2 },
    Kind { name: "gpt_neox", describe: gpt_neox },
    Kind { name: "llama", describe: llama },
    Kind { name: "qwen2", describe: qwen2 },
    Kind { name: "mistral", describe: mistral },
    Kind { name: "qwen3", describe: qwen3 },
    Kind { name: "gemma", describe: gemma },
    Kind { name: "gemma2", describe: gemma2 },
    Kind { name: "gemma3_text", describe: gemma3 },
    Kind { name: "olmo", describe: olmo },
    Kind { name: "olmo2", describe: olmo2 },
    Kind { name: "smollm3", describe: smollm3 },
    Kind { name: "phi", describe: phi },
    Kind { name: "phi3", describe: phi3 },
    Kind { name: "stablelm", describe: stablelm },
    Kind { name: "gptj", describe: gptj },
    Kind { name: "gpt_neo", describe: gpt_neo },
    Kind { name: "opt", describe: opt },
    Kind { name: "bloom", describe: bloom },
    Kind { name: "falcon", describe: falcon },
];

/// A length that no sequence exceeds, of models whose positions have no end.
const ENDLESS: usize = 1 << 31;

/// The keys of sizes, in the order in which a kind prefers them.
#[derive(Clone, Copy)]
struct Keys {
    context: &'static [&'static str],
    layers: &'static [&'static str],
    d_model: &'static [&'static str],
    heads: &'static [&'static str],
    d_mlp: &'static [&'static str],
}

const NEW: Keys = Keys {
    context: &["max_position_embeddings", "n_positions"],
    layers: &["num_hidden_layers", "n_layer", "num_layers"],
    d_model: &["hidden_size", "n_embd", "n_embed"],
    heads: &["num_attention_heads", "n_head", "num_heads"],
    d_mlp: &["intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"],
};

const OLD: Keys = Keys {
    context: &["n_positions", "max_position_embeddings"],
    layers: &["n_layer", "num_layers", "num_hidden_layers"],
    d_model: &["n_embd", "hidden_size"],
    heads: &["n_head", "num_heads", "num_attention_heads"],
    d_mlp: &["n_inner", "intermediate_size"],
};

/// The first of `keys` that the file has, or the first.
fn key<'a>(fields: &Fields, keys: &[&'a str]) -> &'a str {
    keys.iter().find(|key| fields.has(key)).unwrap_or(&keys[0])
}

/// A GPT-2 of the file's sizes without positions, to be changed.
fn sized(fields: &Fields, keys: Keys) -> Result<Config> {
    let (width, heads_key) = (key(fields, keys.d_model), key(fields, keys.heads));
    let (vocab, d_model, heads) =
        (fields.size("vocab_size")?, fields.size(width)?, fields.size(heads_key)?);
    let d_head = match fields.optional_size("head_dim")? {
        Some(d_head) => d_head,
        None => head(fields, d_model, heads, width, heads_key)?,
    };
    let neurons = key(fields, keys.d_mlp);
    let d_mlp = fields.optional_size(neurons)?.unwrap_or(d_model.saturating_mul(4));
    if d_mlp == 0 {
        let help = format!("set \"{neurons}\" as the model was trained");
        return Err(fields.error(neurons, "must be at least 1, got 0", help));
    }
    let key_of_layers = key(fields, keys.layers);
    let layers = fields.size(key_of_layers)?;
    if layers > Config::MOST_LAYERS {
        let message = format!("must be from 0 to {}, got {layers}", Config::MOST_LAYERS);
        return Err(fields.error(key_of_layers, message, "check the sizes of the model"));
    }
    Ok(Config {
        vocab,
        vocab_out: vocab,
        context: fields.size(key(fields, keys.context))?,
        layers,
        d_model,
        heads,
        kv_heads: heads,
        d_head,
        d_mlp,
        attn_scale: (d_head as f64).sqrt(),
        positions: Positions::None,
        ..Config::gpt2_small()
    })
}

/// The epsilon of layer norms.
fn layer_norm(fields: &Fields) -> Result<Norm> {
    let key = key(fields, &["layer_norm_epsilon", "layer_norm_eps"]);
    Ok(Norm::Layer(fields.number(key, 1e-5)?))
}

fn gpt2(fields: &Fields) -> Result<(Config, Names)> {
    fields.refuse(&["scale_attn_by_inverse_layer_idx"])?;
    let sizes = sized(fields, OLD)?;
    let config = Config {
        activation: activation(fields, "activation_function", Activation::GeluTanh)?,
        attn_scale: if fields.flag("scale_attn_weights", true)? { sizes.attn_scale } else { 1.0 },
        positions: Positions::Learned,
        norm: layer_norm(fields)?,
        tied: fields.flag("tie_word_embeddings", true)?,
        ..sizes
    };
    Ok((config, names::GPT2))
}

fn gpt_neo(fields: &Fields) -> Result<(Config, Names)> {
    let sizes = sized(fields, OLD)?;
    let kinds = local_layers(fields, sizes.layers)?;
    let window = fields.optional_size("window_size")?.unwrap_or(256);
    let config = Config {
        activation: activation(fields, "activation_function", Activation::GeluTanh)?,
        attn_scale: 1.0,
        positions: Positions::Learned,
        kinds: windows(kinds, Some(window)),
        norm: layer_norm(fields)?,
        qkv_bias: false,
        tied: fields.flag("tie_word_embeddings", true)?,
        ..sizes
    };
    Ok((config, names::GPT_NEO))
}

/// Which layers of a `gpt_neo` have a window, from `attention_types`, such as
/// `[[["global", "local"], 12]]`, or from the list `attention_layers`.
fn local_layers(fields: &Fields, layers: usize) -> Result<Vec<bool>> {
    let (key, names) = match fields.repeated_texts("attention_types", layers)? {
        Some(names) => ("attention_types", names),
        None => match fields.texts("attention_layers")? {
            Some(names) => ("attention_layers", names),
            None => return Ok((0..layers).map(|l| l % 2 == 1).collect()),
        },
    };
    each_layer(fields, key, &names, layers, ["global", "local"])
}

/// For each layer whether it is of the second of two types, from a list of their names.
fn each_layer(
    fields: &Fields,
    key: &str,
    names: &[String],
    layers: usize,
    types: [&str; 2],
) -> Result<Vec<bool>> {
    if names.len() != layers {
        let message = format!("has {} types for {layers} layers", names.len());
        return Err(fields.error(key, message, "give one for each layer"));
    }
    let second = |name: &String| match types.iter().position(|of| of == name) {
        Some(at) => Ok(at == 1),
        None => Err(fields.unknown(key, name, &types)),
    };
    names.iter().map(second).collect()
}

/// The kinds of layers of which some have a window.
fn windows(windowed: Vec<bool>, window: Option<usize>) -> Vec<LayerKind> {
    if window.is_none() || !windowed.contains(&true) {
        return vec![];
    }
    let kind = |has| LayerKind { window: window.filter(|_| has), turn: Turn::Usual };
    windowed.into_iter().map(kind).collect()
}

/// Which layers have a window: those of `layer_types`, or those that satisfy `usual`.
fn sliding(fields: &Fields, layers: usize, usual: impl Fn(usize) -> bool) -> Result<Vec<bool>> {
    let types = ["full_attention", "sliding_attention"];
    match fields.texts("layer_types")? {
        Some(names) => each_layer(fields, "layer_types", &names, layers, types),
        None => Ok((0..layers).map(usual).collect()),
    }
}

fn gptj(fields: &Fields) -> Result<(Config, Names)> {
    let sizes = sized(fields, OLD)?;
    let dims = fields.optional_size("rotary_dim")?.unwrap_or(64);
    let rotary = Rotary { adjacent: true, ..Rotary::new(dims, 10_000.0) };
    let config = Config {
        activation: activation(fields, "activation_function", Activation::GeluTanh)?,
        positions: Positions::Rotary(rotary),
        norm: layer_norm(fields)?,
        parallel: true,
        one_norm: true,
        qkv_bias: false,
        out_bias: false,
        tied: fields.flag("tie_word_embeddings", false)?,
        unembed_bias: true,
        ..sizes
    };
    Ok((config, names::GPT_J))
}

/// With these rotations.
fn rotated(fields: &Fields, mut config: Config, defaults: Defaults) -> Result<Config> {
    let rotary = rotation::rotary(fields, None, config.d_head, config.context, defaults)?;
    if rotary.as_ref().is_some_and(|r| matches!(r.scaling, Scaling::Dynamic { .. })) {
        config.context = ENDLESS;
    }
    let positions = rotary.map_or(Positions::None, Positions::Rotary);
    Ok(Config { positions, ..config })
}

fn gpt_neox(fields: &Fields) -> Result<(Config, Names)> {
    let bias = fields.flag("attention_bias", true)?;
    let defaults = Defaults {
        base: (key(fields, &["rotary_emb_base", "rope_theta"]), 10_000.0),
        part: (key(fields, &["rotary_pct", "partial_rotary_factor"]), 0.25),
        ..Defaults::default()
    };
    fields.size("intermediate_size")?;
    let config = Config {
        activation: activation(fields, "hidden_act", Activation::Gelu)?,
        norm: layer_norm(fields)?,
        parallel: fields.flag("use_parallel_residual", true)?,
        qkv_bias: bias,
        out_bias: bias,
        tied: fields.flag("tie_word_embeddings", false)?,
        ..rotated(fields, sized(fields, NEW)?, defaults)?
    };
    Ok((config, names::GPT_NEOX))
}

fn opt(fields: &Fields) -> Result<(Config, Names)> {
    fields.refuse(&["_remove_final_layer_norm"])?;
    let sizes = sized(fields, NEW)?;
    if !fields.flag("do_layer_norm_before", true)? {
        let message = "norms of the whole stream after each part cannot be computed here";
        return Err(fields.error("do_layer_norm_before", message, "choose a model without them"));
    }
    let width = fields.optional_size("word_embed_proj_dim")?.unwrap_or(sizes.d_model);
    if width != sizes.d_model {
        let message = format!("is {width}, embeddings of another width than hidden_size");
        return Err(fields.error("word_embed_proj_dim", message, "choose a model without them"));
    }
    let bias = fields.flag("enable_bias", true)?;
    let config = Config {
        activation: activation(fields, "activation_function", Activation::Relu)?,
        positions: Positions::Learned,
        norm: Norm::Layer(1e-5),
        norm_affine: fields.flag("layer_norm_elementwise_affine", true)?,
        qkv_bias: bias,
        out_bias: bias,
        mlp_bias: bias,
        tied: fields.flag("tie_word_embeddings", true)?,
        ..sizes
    };
    Ok((config, names::OPT))
}

fn bloom(fields: &Fields) -> Result<(Config, Names)> {
    fields.refuse(&["apply_residual_connection_post_layernorm"])?;
    const SIZES: Keys = Keys {
        context: &["seq_length"],
        layers: &["n_layer", "num_hidden_layers"],
        d_model: &["hidden_size", "n_embed"],
        heads: &["n_head", "num_attention_heads"],
        d_mlp: &["ffn_hidden_size"],
    };
    let sizes = sized(&fields.with("seq_length", ENDLESS), SIZES)?;
    let config = Config {
        activation: Activation::GeluTanh,
        positions: Positions::Slopes(Slopes { factor: 1.0, coarse: false }),
        embed_norm: true,
        norm: layer_norm(fields)?,
        tied: fields.flag("tie_word_embeddings", true)?,
        ..sizes
    };
    Ok((config, names::BLOOM))
}

fn falcon(fields: &Fields) -> Result<(Config, Names)> {
    let sizes = sized(fields, NEW)?;
    let (new, bias) =
        (fields.flag("new_decoder_architecture", false)?, fields.flag("bias", false)?);
    let parallel = new || fields.flag("parallel_attn", true)?;
    let kv = key(fields, &["num_kv_heads", "n_head_kv"]);
    let kv_heads = match (new, fields.flag("multi_query", true)?) {
        (true, _) => fields.optional_size(kv)?.unwrap_or(sizes.heads),
        (false, true) => 1,
        (false, false) => sizes.heads,
    };
    let two = new && fields.optional_size("num_ln_in_parallel_attn")?.unwrap_or(2) == 2;
    let factor = (sizes.d_head as f64).sqrt().recip();
    let sizes = match fields.flag("alibi", false)? {
        true => {
            let positions = Positions::Slopes(Slopes { factor, coarse: true });
            Config { context: ENDLESS, positions, ..sizes }
        }
        false => rotated(fields, sizes, Defaults::default())?,
    };
    let config = Config {
        kv_heads,
        activation: activation(fields, "activation", Activation::Gelu)?,
        norm: layer_norm(fields)?,
        parallel,
        one_norm: parallel && !two,
        qkv_bias: bias,
        out_bias: bias,
        mlp_bias: bias,
        tied: fields.flag("tie_word_embeddings", true)?,
        ..sizes
    };
    let norms = match two {
        true => ["ln_attn", "", "ln_mlp", ""],
        false => names::LLAMA.norms,
    };
    Ok((config, Names { norms, embed_norm: "", ..names::BLOOM }))
}

fn phi(fields: &Fields) -> Result<(Config, Names)> {
    let defaults = Defaults { part: ("partial_rotary_factor", 0.5), ..Defaults::default() };
    let sizes = grouped(fields, sized(fields, NEW)?)?;
    let norm = layer_norm(fields)?;
    let heads = HeadNorms { norm, span: NormSpan::Head, bias: true };
    let config = Config {
        activation: activation(fields, "hidden_act", Activation::GeluTanh)?,
        norm,
        parallel: true,
        one_norm: true,
        head_norms: fields.flag("qk_layernorm", false)?.then_some(heads),
        tied: fields.flag("tie_word_embeddings", false)?,
        unembed_bias: true,
        ..rotated(fields, sizes, defaults)?
    };
    Ok((config, names::PHI))
}

/// With the file's key-value heads.
fn grouped(fields: &Fields, config: Config) -> Result<Config> {
    let kv_heads = fields.optional_size("num_key_value_heads")?.unwrap_or(config.heads);
    Ok(Config { kv_heads, ..config })
}

/// A gated MLP, grouped queries, untied, and biases where the file has them: what Llama and its
/// successors share. Without positions.
fn gated(fields: &Fields, eps: f64) -> Result<Config> {
    fields.size("intermediate_size")?;
    let bias = fields.flag("attention_bias", false)?;
    Ok(Config {
        activation: activation(fields, "hidden_act", Activation::Silu)?,
        gated: true,
        norm: Config::rms(fields.number("rms_norm_eps", eps)?),
        qkv_bias: bias,
        out_bias: bias,
        mlp_bias: false,
        tied: fields.flag("tie_word_embeddings", false)?,
        ..grouped(fields, sized(fields, NEW)?)?
    })
}

fn llama(fields: &Fields) -> Result<(Config, Names)> {
    let config = rotated(fields, gated(fields, 1e-6)?, Defaults::default())?;
    Ok((Config { mlp_bias: fields.flag("mlp_bias", false)?, ..config }, names::LLAMA))
}

fn mistral(fields: &Fields) -> Result<(Config, Names)> {
    let config = rotated(fields, gated(fields, 1e-6)?, Defaults::default())?;
    let window = fields.size_or("sliding_window", 4096)?;
    let kinds = windows(vec![true], window);
    Ok((Config { kinds, qkv_bias: false, out_bias: false, ..config }, names::LLAMA))
}

fn qwen2(fields: &Fields) -> Result<(Config, Names)> {
    let config = rotated(fields, gated(fields, 1e-6)?, Defaults::default())?;
    let kinds = later_windows(fields, config.layers)?;
    Ok((Config { kinds, qkv_bias: true, out_bias: false, ..config }, names::LLAMA))
}

/// The kinds of layers of which those from `max_window_layers` on have a window.
fn later_windows(fields: &Fields, layers: usize) -> Result<Vec<LayerKind>> {
    if !fields.flag("use_sliding_window", false)? {
        return Ok(vec![]);
    }
    let first = fields.optional_size("max_window_layers")?.unwrap_or(28);
    let sliding = sliding(fields, layers, |l| l >= first)?;
    Ok(windows(sliding, fields.size_or("sliding_window", 4096)?))
}

fn qwen3(fields: &Fields) -> Result<(Config, Names)> {
    let wide = fields.with_usual("head_dim", 128);
    let config = rotated(fields, gated(&wide, 1e-6)?, Defaults::default())?;
    let kinds = later_windows(fields, config.layers)?;
    let heads = HeadNorms { norm: config.norm, span: NormSpan::Head, bias: false };
    Ok((Config { kinds, head_norms: Some(heads), ..config }, names::LLAMA))
}

/// What the three Gemmas share: embeddings times the root of their width, a gated MLP with GELU.
fn gemma_like(fields: &Fields, activation_key: &str) -> Result<Config> {
    let wide = fields.with_usual("head_dim", 256);
    let config = gated(&wide, 1e-6)?;
    Ok(Config {
        activation: activation(fields, activation_key, Activation::GeluTanh)?,
        embed_scale: (config.d_model as f64).sqrt(),
        tied: fields.flag("tie_word_embeddings", true)?,
        ..config
    })
}

fn gemma(fields: &Fields) -> Result<(Config, Names)> {
    let config = rotated(fields, gemma_like(fields, "hidden_act")?, Defaults::default())?;
    // The first files said `gelu` and meant its approximation by tanh.
    let activation = match config.activation {
        Activation::Gelu => Activation::GeluTanh,
        other => other,
    };
    Ok((Config { activation, ..config }, names::GEMMA))
}

/// What Gemma 2 and 3 add: norms around parts, caps, a scale of queries.
fn gemma_later(fields: &Fields, caps: [Option<f64>; 2]) -> Result<Config> {
    let cap = |key: &str, usual: Option<f64>| -> Result<Option<f64>> {
        match fields.given(key) {
            true => fields.optional_number(key),
            false => Ok(usual),
        }
    };
    Ok(Config {
        attn_scale: fields.number("query_pre_attn_scalar", 256.0)?.sqrt(),
        score_cap: cap("attn_logit_softcapping", caps[0])?,
        logit_cap: cap("final_logit_softcapping", caps[1])?,
        norm_place: NormPlace::Around,
        ..gemma_like(fields, "hidden_activation")?
    })
}

fn gemma2(fields: &Fields) -> Result<(Config, Names)> {
    let config = gemma_later(fields, [Some(50.0), Some(30.0)])?;
    let config = rotated(fields, config, Defaults::default())?;
    let sliding = sliding(fields, config.layers, |l| l % 2 == 0)?;
    let kinds = windows(sliding, fields.size_or("sliding_window", 4096)?);
    Ok((Config { kinds, ..config }, names::GEMMA2))
}

fn gemma3(fields: &Fields) -> Result<(Config, Names)> {
    let config = gemma_later(fields, [None, None])?;
    let pattern = fields.optional_size("sliding_window_pattern")?;
    let pattern = match pattern {
        Some(pattern) => pattern,
        None => fields.optional_size("_sliding_window_pattern")?.unwrap_or(6),
    };
    if pattern == 0 {
        let help = "6 is usual";
        return Err(fields.error("sliding_window_pattern", "must be at least 1, got 0", help));
    }
    let sliding = sliding(fields, config.layers, |l| !(l + 1).is_multiple_of(pattern))?;
    let window = fields.size_or("sliding_window", 4096)?;
    let turns = |layers: &str, base: (&'static str, f64)| {
        let defaults = Defaults { base, ..Defaults::default() };
        rotation::rotary(fields, Some(layers), config.d_head, config.context, defaults)
    };
    let far = turns("full_attention", ("rope_theta", 1e6))?;
    let near = turns("sliding_attention", ("rope_local_base_freq", 1e4))?;
    let near = near.map_or(Turn::None, Turn::Other);
    let kind = |has| match has {
        true => LayerKind { window, turn: near.clone() },
        false => LayerKind::default(),
    };
    let kinds = sliding.into_iter().map(kind).collect();
    let positions = far.map_or(Positions::None, Positions::Rotary);
    let heads = HeadNorms { norm: config.norm, span: NormSpan::Head, bias: false };
    Ok((Config { kinds, positions, head_norms: Some(heads), ..config }, names::GEMMA2))
}

fn olmo(fields: &Fields) -> Result<(Config, Names)> {
    let config = rotated(fields, gated(fields, 1e-6)?, Defaults::default())?;
    let qkv_clip = fields.optional_number("clip_qkv")?;
    let norm = Norm::Layer(1e-5);
    Ok((Config { norm, norm_affine: false, qkv_clip, ..config }, names::LLAMA))
}

fn olmo2(fields: &Fields) -> Result<(Config, Names)> {
    let config = rotated(fields, gated(fields, 1e-5)?, Defaults::default())?;
    let heads = HeadNorms { norm: config.norm, span: NormSpan::AllHeads, bias: false };
    let (norm_place, head_norms) = (NormPlace::After, Some(heads));
    Ok((Config { norm_place, head_norms, ..config }, names::OLMO2))
}

fn smollm3(fields: &Fields) -> Result<(Config, Names)> {
    let defaults = Defaults { base: ("rope_theta", 2e6), ..Defaults::default() };
    let config = rotated(fields, gated(fields, 1e-6)?, defaults)?;
    let layers = config.layers;
    let every = fields.optional_size("no_rope_layer_interval")?.unwrap_or(4);
    let turns: Vec<bool> = match fields.numbers("no_rope_layers")? {
        Some(list) if list.len() < layers => {
            let message = format!("has {} entries for {layers} layers", list.len());
            return Err(fields.error("no_rope_layers", message, "give one for each layer"));
        }
        Some(list) => list[..layers].iter().map(|&x| x != 0.0).collect(),
        None => (0..layers).map(|l| every == 0 || !(l + 1).is_multiple_of(every)).collect(),
    };
    let window = match fields.flag("use_sliding_window", false)? {
        true => fields.size_or("sliding_window", 0)?.filter(|&window| window > 0),
        false => None,
    };
    let sliding = sliding(fields, layers, |l| !turns[l])?;
    let kind = |(turns, has): (bool, bool)| LayerKind {
        window: window.filter(|_| has),
        turn: if turns { Turn::Usual } else { Turn::None },
    };
    let kinds = turns.into_iter().zip(sliding).map(kind).collect();
    let tied = fields.flag("tie_word_embeddings", true)?;
    let mlp_bias = fields.flag("mlp_bias", false)?;
    Ok((Config { kinds, tied, mlp_bias, ..config }, names::LLAMA))
}

fn phi3(fields: &Fields) -> Result<(Config, Names)> {
    let defaults =
        Defaults { original: Some(4096), longrope: &["su", "yarn"], ..Defaults::default() };
    let config = rotated(fields, gated(fields, 1e-5)?, defaults)?;
    let kinds = windows(vec![true], fields.optional_size("sliding_window")?);
    Ok((Config { kinds, qkv_bias: false, out_bias: false, ..config }, names::PHI3))
}

fn stablelm(fields: &Fields) -> Result<(Config, Names)> {
    let defaults = Defaults { part: ("partial_rotary_factor", 0.25), ..Defaults::default() };
    let config = rotated(fields, gated(fields, 1e-6)?, defaults)?;
    let norm = layer_norm(fields)?;
    let parallel = fields.flag("use_parallel_residual", false)?;
    let heads = HeadNorms { norm, span: NormSpan::EachHead, bias: false };
    let config = Config {
        norm,
        parallel,
        one_norm: parallel,
        head_norms: fields.flag("qk_layernorm", false)?.then_some(heads),
        qkv_bias: fields.flag("use_qkv_bias", false)?,
        out_bias: false,
        ..config
    };
    Ok((config, names::STABLELM))
}
