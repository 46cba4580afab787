//! Rotations, from `rope_parameters` or from the older `rope_theta` and `rope_scaling`.

use super::super::fields::Fields;
use crate::error::Result;
use crate::nn::transformer::{Rotary, Scaling};
use std::sync::Arc;

/// What a kind of model says about its rotation where its `config.json` does not.
#[derive(Clone, Copy)]
pub(super) struct Defaults {
    /// The base, and its key outside of `rope_parameters`.
    pub(super) base: (&'static str, f64),
    /// The part of a head that is rotated, and its key outside of `rope_parameters`.
    pub(super) part: (&'static str, f64),
    /// The original length, where the file does not give it; without it, the context.
    pub(super) original: Option<usize>,
    /// Other names of longrope.
    pub(super) longrope: &'static [&'static str],
}

impl Default for Defaults {
    fn default() -> Self {
        Defaults {
            base: ("rope_theta", 10_000.0),
            part: ("partial_rotary_factor", 1.0),
            original: None,
            longrope: &[],
        }
    }
}

/// The rotation of heads of width `d_head`; `None` if no element is rotated. `layers` is the kind
/// of layers that it is for, in files that give one for each kind.
pub(super) fn rotary(
    fields: &Fields,
    layers: Option<&str>,
    d_head: usize,
    context: usize,
    defaults: Defaults,
) -> Result<Option<Rotary>> {
    let old = fields.object("rope_scaling")?.filter(|rope| !rope.is_empty());
    let new = fields.object("rope_parameters")?;
    let rope = match (layers, old, new) {
        (None, Some(rope), _) | (None, None, Some(rope)) => {
            rope.refuse(&["full_attention", "sliding_attention"])?;
            Some(rope)
        }
        // The old scaling is that of layers that see everything.
        (Some("full_attention"), Some(rope), None) => Some(rope),
        (Some(layers), _, Some(new)) => new.object(layers)?,
        (_, _, None) => None,
    };
    let number = |key: &str, (old_key, default): (&str, f64)| -> Result<f64> {
        let old = fields.number(old_key, default)?;
        rope.as_ref().map_or(Ok(old), |rope| rope.number(key, old))
    };
    let base = number("rope_theta", defaults.base)?;
    let part = number("partial_rotary_factor", defaults.part)?;
    if !(0.0..=1.0).contains(&part) {
        let message = format!("must be from 0 to 1, got {part}");
        let help = "set it as the model was trained";
        return Err(fields.error(defaults.part.0, message, help));
    }
    let dims = (d_head as f64 * part) as usize;
    let Some(rope) = rope else {
        return Ok(Some(Rotary::new(dims, base)).filter(|r| r.dims > 0));
    };
    let reader = Reader { fields, rope: &rope, context, flat: layers.is_none(), defaults };
    let (scaling, amplitude) = reader.scaling()?;
    Ok(Some(Rotary { scaling, amplitude, ..Rotary::new(dims, base) }).filter(|r| r.dims > 0))
}

/// The fields that a scaled rotation is read from.
struct Reader<'a> {
    fields: &'a Fields,
    rope: &'a Fields,
    context: usize,
    /// Whether all layers rotate alike.
    flat: bool,
    defaults: Defaults,
}

impl Reader<'_> {
    /// The scaling, and what rotated elements are multiplied by.
    fn scaling(&self) -> Result<(Scaling, f64)> {
        const KNOWN: [&str; 6] = ["default", "linear", "dynamic", "llama3", "yarn", "longrope"];
        let Reader { rope, .. } = self;
        let key = if rope.has("rope_type") { "rope_type" } else { "type" };
        let name = rope.text(key)?.unwrap_or("default");
        let name = if self.defaults.longrope.contains(&name) { "longrope" } else { name };
        let factor = || rope.needed("factor");
        Ok(match name {
            "default" => (Scaling::None, 1.0),
            "linear" => (Scaling::Linear(factor()?), 1.0),
            "dynamic" => (Scaling::Dynamic { factor: factor()?, original: self.context }, 1.0),
            "llama3" => {
                let (low, high) =
                    (rope.needed("low_freq_factor")?, rope.needed("high_freq_factor")?);
                let original = self.original()?;
                (Scaling::Llama3 { factor: factor()?, low, high, original }, 1.0)
            }
            "yarn" => self.yarn()?,
            "longrope" => self.longrope()?,
            other => return Err(rope.unknown(key, other, &KNOWN)),
        })
    }

    /// The length that the model was first trained on.
    fn original(&self) -> Result<usize> {
        let key = "original_max_position_embeddings";
        if self.flat
            && let Some(length) = self.fields.optional_size(key)?
        {
            return Ok(length);
        }
        let usual = self.defaults.original.unwrap_or(self.context);
        Ok(self.rope.optional_size(key)?.unwrap_or(usual))
    }

    /// The factor, or how much longer the context is than the original length.
    fn growth(&self, original: usize) -> Result<f64> {
        self.rope.number("factor", self.context as f64 / original as f64)
    }

    fn yarn(&self) -> Result<(Scaling, f64)> {
        let rope = self.rope;
        let original = self.original()?;
        let factor = self.growth(original)?;
        let amplitude = |weight: f64| match factor <= 1.0 {
            true => 1.0,
            false => 0.1 * weight * factor.ln() + 1.0,
        };
        let (all, own) = (rope.number("mscale_all_dim", 0.0)?, rope.number("mscale", 0.0)?);
        let usual = match all != 0.0 && own != 0.0 {
            true => amplitude(own) / amplitude(all),
            false => amplitude(1.0),
        };
        let or = |given: f64, usual: f64| if given == 0.0 { usual } else { given };
        let fast = or(rope.number("beta_fast", 32.0)?, 32.0);
        let slow = or(rope.number("beta_slow", 1.0)?, 1.0);
        let truncate = rope.flag("truncate", true)?;
        let scaling = Scaling::Yarn { factor, fast, slow, original, truncate };
        Ok((scaling, rope.number("attention_factor", usual)?))
    }

    fn longrope(&self) -> Result<(Scaling, f64)> {
        let rope = self.rope;
        let original = self.original()?;
        let factor = self.growth(original)?;
        let usual = match factor <= 1.0 {
            true => 1.0,
            false => (1.0 + factor.ln() / (original as f64).ln()).sqrt(),
        };
        let list = |key: &str| -> Result<Arc<[f64]>> {
            rope.numbers(key)?.map(Arc::from).ok_or_else(|| rope.missing(key))
        };
        let (short, long) = (list("short_factor")?, list("long_factor")?);
        let scaling = Scaling::Factors { short, long, original };
        Ok((scaling, rope.number("attention_factor", usual)?))
    }
}
