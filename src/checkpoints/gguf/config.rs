//! The `config.json` of Hugging Face that says what the keys of a GGUF file say.

use super::architecture::Architecture;
use super::rotation::{self, Factors};
use crate::error::Result;
use crate::files::gguf::Header;
use serde_json::{Map, Value, json};

pub(super) const AGAIN: &str = "convert the model to GGUF again";

/// The fields of a `config.json`.
pub(super) type Fields = Map<String, Value>;

/// The sizes that are needed to read the tensors of a file.
#[derive(Debug)]
pub(super) struct Sizes {
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    /// Whether a layer has a second norm before its parts.
    pub(super) two_norms: bool,
}

impl Sizes {
    pub(super) fn read(keys: &Keys<'_>) -> Result<Sizes> {
        let heads = keys.size("attention.head_count")?;
        let kv_heads = keys.optional_size("attention.head_count_kv")?.unwrap_or(heads);
        Ok(Sizes { heads, kv_heads, two_norms: keys.has("blk.0.attn_norm_2.weight") })
    }
}

/// The keys of a file below the name of its architecture.
pub(super) struct Keys<'a> {
    pub(super) header: &'a Header,
    architecture: &'a str,
}

impl<'a> Keys<'a> {
    pub(super) fn new(header: &'a Header, architecture: &'a Architecture) -> Keys<'a> {
        Keys { header, architecture: architecture.name }
    }

    pub(super) fn key(&self, rest: &str) -> String {
        format!("{}.{rest}", self.architecture)
    }

    /// A size that is given, and at least 1.
    pub(super) fn optional_size(&self, rest: &str) -> Result<Option<usize>> {
        let key = self.key(rest);
        match self.header.count(&key)? {
            Some(0) => Err(self.header.error(&key, "must be at least 1, got 0", AGAIN)),
            size => Ok(size),
        }
    }

    pub(super) fn size(&self, rest: &str) -> Result<usize> {
        let size = self.optional_size(rest)?;
        size.ok_or_else(|| self.header.error(&self.key(rest), "is missing", AGAIN))
    }

    pub(super) fn number(&self, rest: &str) -> Result<Option<f64>> {
        self.header.number(&self.key(rest))
    }

    /// The window of attention; 0 in a file says that there is none.
    fn window(&self) -> Result<Option<usize>> {
        let window = self.header.count(&self.key("attention.sliding_window"))?;
        Ok(window.filter(|&window| window > 0))
    }

    fn has(&self, tensor: &str) -> bool {
        self.header.shape(tensor).is_some()
    }

    /// The width of a head.
    fn d_head(&self, width: usize, heads: usize) -> Result<usize> {
        let d_head = match self.optional_size("attention.key_length")? {
            Some(d_head) => d_head,
            None if width.is_multiple_of(heads) => width / heads,
            None => {
                let message = format!("{heads} heads do not divide a width of {width}");
                let key = self.key("attention.head_count");
                return Err(self.header.error(&key, message, AGAIN));
            }
        };
        match self.optional_size("attention.value_length")? {
            Some(values) if values != d_head => {
                let message = format!("is {values}, but keys have {d_head}");
                let help = "choose a model whose keys and values have the same width";
                Err(self.header.error(&self.key("attention.value_length"), message, help))
            }
            _ => Ok(d_head),
        }
    }

    /// Refuses what models of other kinds compute.
    fn refuse(&self) -> Result<()> {
        for (key, what) in [
            ("expert_count", "mixtures of experts are not supported"),
            ("attention.scale", "a scale of scores is not supported"),
            ("logit_scale", "a scale of logits is not supported"),
            ("residual_scale", "a scale of the stream is not supported"),
            ("embedding_scale", "a scale of embeddings is not supported"),
        ] {
            if self.number(key)?.is_some_and(|x| x != 0.0) {
                return Err(self.header.error(&self.key(key), what, "choose another model"));
            }
        }
        let causal = self.key("attention.causal");
        match self.header.flag(&causal)? {
            Some(false) => {
                let message = "attention to later tokens is not supported";
                Err(self.header.error(&causal, message, "choose another model"))
            }
            _ => Ok(()),
        }
    }
}

/// The `config.json` of a file.
pub(super) fn config(
    keys: &Keys<'_>,
    architecture: &Architecture,
    sizes: &Sizes,
    factors: Factors,
) -> Result<Value> {
    keys.refuse()?;
    let embedding = keys.header.shape("token_embd.weight");
    let Some(&[vocab, _]) = embedding else {
        let message = format!("expected [tokens, width], got {embedding:?}");
        return Err(keys.header.tensor_error("token_embd.weight", message, AGAIN));
    };
    let context = keys.size("context_length")?;
    let width = keys.size("embedding_length")?;
    let neurons = keys.size("feed_forward_length")?;
    let d_head = keys.d_head(width, sizes.heads)?;
    let mut fields = Fields::new();
    for (key, value) in [
        ("model_type", architecture.model_type.into()),
        ("vocab_size", vocab.into()),
        ("max_position_embeddings", context.into()),
        ("hidden_size", width.into()),
        ("num_hidden_layers", keys.size("block_count")?.into()),
        ("intermediate_size", neurons.into()),
        ("ffn_hidden_size", neurons.into()),
        ("num_attention_heads", sizes.heads.into()),
        ("num_key_value_heads", sizes.kv_heads.into()),
        ("head_dim", d_head.into()),
        ("tie_word_embeddings", (!keys.has("output.weight")).into()),
        ("attention_bias", keys.has("blk.0.attn_output.bias").into()),
        ("mlp_bias", keys.has("blk.0.ffn_up.bias").into()),
        ("rope_parameters", rotation::parameters(keys, architecture, d_head, context, factors)?),
    ] {
        fields.insert(key.into(), value);
    }
    for (ours, theirs) in [
        ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
        ("attention.layer_norm_epsilon", "layer_norm_eps"),
        ("attn_logit_softcapping", "attn_logit_softcapping"),
        ("final_logit_softcapping", "final_logit_softcapping"),
        ("attention.clamp_kqv", "clip_qkv"),
    ] {
        if let Some(x) = keys.number(ours)? {
            fields.insert(theirs.into(), x.into());
        }
    }
    (architecture.own)(keys, sizes, &mut fields)?;
    Ok(Value::Object(fields))
}

/// What only some architectures have: adds fields, or changes them.
pub(super) type Own = fn(&Keys<'_>, &Sizes, &mut Fields) -> Result<()>;

/// Nothing more.
pub(super) fn nothing(_: &Keys<'_>, _: &Sizes, _: &mut Fields) -> Result<()> {
    Ok(())
}

fn put<const N: usize>(fields: &mut Fields, values: [(&str, Value); N]) {
    fields.extend(values.map(|(key, value)| (key.to_string(), value)));
}

/// What scores are divided by the root of, in Gemma 2 and 3 whose largest model has `largest`
/// layers: only that one differs from the width of its heads.
fn query_scale(largest: u64, sizes: &Sizes, fields: &Fields) -> Value {
    match fields["num_hidden_layers"].as_u64() == Some(largest) {
        true => json!(fields["hidden_size"].as_u64().unwrap_or(0) / sizes.heads as u64),
        false => fields["head_dim"].clone(),
    }
}

pub(super) fn gemma2(keys: &Keys<'_>, sizes: &Sizes, fields: &mut Fields) -> Result<()> {
    let scale = query_scale(46, sizes, fields);
    let window = keys.window()?.unwrap_or(4096);
    put(fields, [("query_pre_attn_scalar", scale), ("sliding_window", window.into())]);
    Ok(())
}

/// Every sixth layer sees everything, unless the file says otherwise; without a window all do.
pub(super) fn gemma3(keys: &Keys<'_>, sizes: &Sizes, fields: &mut Fields) -> Result<()> {
    let window = keys.window()?;
    let pattern = match window {
        Some(_) => keys.optional_size("attention.sliding_window_pattern")?.unwrap_or(6),
        None => 1,
    };
    let near = keys.number("rope.freq_base_swa")?.unwrap_or(1e4);
    let far = fields["rope_parameters"].take();
    let near = json!({ "rope_type": "default", "rope_theta": near });
    let scale = query_scale(62, sizes, fields);
    put(
        fields,
        [
            ("rope_parameters", json!({ "full_attention": far, "sliding_attention": near })),
            ("sliding_window", window.into()),
            ("sliding_window_pattern", pattern.into()),
            ("query_pre_attn_scalar", scale),
        ],
    );
    Ok(())
}

pub(super) fn phi3(keys: &Keys<'_>, _: &Sizes, fields: &mut Fields) -> Result<()> {
    put(fields, [("sliding_window", keys.window()?.into())]);
    Ok(())
}

/// Files of this architecture with a window are OLMo 3's.
pub(super) fn olmo2(keys: &Keys<'_>, _: &Sizes, _: &mut Fields) -> Result<()> {
    match keys.window()? {
        None => Ok(()),
        Some(_) => {
            let key = keys.key("attention.sliding_window");
            let message = "OLMo 3 is not supported";
            Err(keys.header.error(&key, message, "choose another model, such as OLMo 2"))
        }
    }
}

/// All files describe themselves in the terms of the later models.
pub(super) fn falcon(keys: &Keys<'_>, sizes: &Sizes, fields: &mut Fields) -> Result<()> {
    let norms = if sizes.two_norms { 2 } else { 1 };
    put(
        fields,
        [
            ("new_decoder_architecture", true.into()),
            ("num_kv_heads", sizes.kv_heads.into()),
            ("num_ln_in_parallel_attn", norms.into()),
            ("bias", keys.has("blk.0.attn_qkv.bias").into()),
        ],
    );
    Ok(())
}

pub(super) fn gpt_neox(keys: &Keys<'_>, _: &Sizes, fields: &mut Fields) -> Result<()> {
    let parallel = keys.header.flag(&keys.key("use_parallel_residual"))?.unwrap_or(true);
    put(fields, [("use_parallel_residual", parallel.into())]);
    Ok(())
}

pub(super) fn stablelm(keys: &Keys<'_>, _: &Sizes, fields: &mut Fields) -> Result<()> {
    put(
        fields,
        [
            ("use_qkv_bias", keys.has("blk.0.attn_q.bias").into()),
            ("use_parallel_residual", (!keys.has("blk.0.ffn_norm.weight")).into()),
        ],
    );
    Ok(())
}
