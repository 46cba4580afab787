//! The `rope_parameters` of a GGUF file.

use super::architecture::Architecture;
use super::config::{AGAIN, Keys};
use crate::error::Result;
use serde_json::{Value, json};

/// The tensors that hold what the frequencies of rotations are divided by.
pub(super) const FACTORS: [&str; 3] =
    ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"];

/// The elements of these tensors: for all texts, for long ones, for short ones.
pub(super) type Factors = [Option<Vec<f32>>; 3];

/// The `rope_parameters` of layers that see everything.
pub(super) fn parameters(
    keys: &Keys<'_>,
    architecture: &Architecture,
    d_head: usize,
    context: usize,
    factors: Factors,
) -> Result<Value> {
    let base = keys.number("rope.freq_base")?.unwrap_or(architecture.base);
    let part = match keys.optional_size("rope.dimension_count")? {
        // Half an element more, so that no rounding of the product takes one away.
        Some(dims) if dims < d_head => (dims as f64 + 0.5) / d_head as f64,
        _ => 1.0,
    };
    let mut rope = match factors {
        [Some(all), ..] => json!({
            "rope_type": "longrope",
            "short_factor": all,
            "long_factor": all,
            "factor": 1.0,
            "attention_factor": 1.0,
            "original_max_position_embeddings": context,
        }),
        [None, Some(long), Some(short)] => by_length(keys, context, &long, &short)?,
        [None, None, None] => scaled(keys, architecture, context)?,
        _ => {
            let message = "is there, but one of long and short factors is missing";
            return Err(keys.header.tensor_error(FACTORS[1], message, AGAIN));
        }
    };
    rope["rope_theta"] = base.into();
    rope["partial_rotary_factor"] = part.into();
    Ok(rope)
}

/// Factors that depend on the length of the text.
fn by_length(keys: &Keys<'_>, context: usize, long: &[f32], short: &[f32]) -> Result<Value> {
    let original = keys.optional_size("rope.scaling.original_context_length")?.unwrap_or(context);
    let mut rope = json!({
        "rope_type": "longrope",
        "short_factor": short,
        "long_factor": long,
        "factor": context as f64 / original as f64,
        "original_max_position_embeddings": original,
    });
    if let Some(x) = keys.number("rope.scaling.attn_factor")? {
        rope["attention_factor"] = x.into();
    }
    Ok(rope)
}

/// A rotation that is scaled by a formula, or not at all.
fn scaled(keys: &Keys<'_>, architecture: &Architecture, context: usize) -> Result<Value> {
    let factor = match keys.number("rope.scaling.factor")? {
        None => keys.number("rope.scale_linear")?,
        factor => factor,
    };
    let key = keys.key("rope.scaling.type");
    let kind = keys.header.text(&key)?;
    match (kind, factor) {
        (None | Some("none"), None) | (Some("none"), Some(_)) => {
            Ok(json!({ "rope_type": "default" }))
        }
        (None | Some("linear"), Some(factor)) => {
            Ok(json!({ "rope_type": "linear", "factor": factor }))
        }
        (Some("yarn"), Some(factor)) => yarn(keys, architecture, context, factor),
        (Some("linear" | "yarn"), None) => {
            let key = keys.key("rope.scaling.factor");
            Err(keys.header.error(&key, "is missing", AGAIN))
        }
        (Some(other), _) => {
            let message = format!("`{other}` is not supported; none, linear and yarn are");
            Err(keys.header.error(&key, message, "choose another model"))
        }
    }
}

/// YaRN, whose amplitude grows with the factor. llama.cpp multiplies that by `attn_factor`; but
/// where its converter writes the amplitude that the model was trained with under this key (OLMo
/// 2), that is meant.
fn yarn(
    keys: &Keys<'_>,
    architecture: &Architecture,
    context: usize,
    factor: f64,
) -> Result<Value> {
    let original = match keys.optional_size("rope.scaling.original_context_length")? {
        Some(original) => original,
        None => (context as f64 / factor) as usize,
    };
    let mut rope = json!({
        "rope_type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": original,
    });
    for (ours, theirs) in
        [("rope.scaling.yarn_beta_fast", "beta_fast"), ("rope.scaling.yarn_beta_slow", "beta_slow")]
    {
        if let Some(x) = keys.number(ours)? {
            rope[theirs] = x.into();
        }
    }
    let amplitude = |weight: f64| 0.1 * weight * factor.max(1.0).ln() + 1.0;
    let usual = match keys.number("rope.scaling.yarn_log_multiplier")? {
        Some(all) if all != 0.0 => amplitude(1.0) / amplitude(all),
        _ => amplitude(1.0),
    };
    let given = keys.number("rope.scaling.attn_factor")?;
    let whole = given.filter(|_| architecture.model_type == "olmo2");
    rope["attention_factor"] = whole.unwrap_or(usual * given.unwrap_or(1.0)).into();
    Ok(rope)
}
