//! Writing a transformer as a model folder in the dialect of TransformerLens.
//!
//! ```text
//! blocks.l.attn.W_QKV [D, (H + 2 KV) K]  ->  W_Q [H, D, K], W_K and W_V [KV, D, K]
//! blocks.l.attn.W_O   [H K, D]           ->  W_O [H, K, D]
//! blocks.l.mlp.W_in   [D, 2 F], gated    ->  W_gate and W_in [D, F]
//! unembed.W_U         [V, D]             ->  W_U [D, V]
//! ```
//!
//! Reading such a folder gives the same weights, bit by bit, and the same shape. The only
//! exceptions are flags without effect (biases without an MLP, gains without a norm), which are
//! read as false.

use super::plan::{Dialect, in_layer};
use super::transformer_lens::{KIND, TransformerLens};
use crate::error::{Error, Result};
use crate::files::atomic;
use crate::files::safetensors;
use crate::files::safetensors::Tensor;
use crate::nn::Activation;
use crate::nn::transformer::{Config, Model, Parameter, Positions, Scaling};
use crate::ops::{Eps, Norm};
use crate::simd::Element;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Creates the folder `folder` with the `config.json` and the `model.safetensors` of `model`, in
/// the precision of `T`: completely or not at all.
///
/// ```
/// # let t = tempfile::tempdir()?;
/// # let folder = t.path().join("model");
/// use edgegrad::checkpoints::{read_transformer, write_transformer};
/// use edgegrad::nn::transformer::{Config, Model};
/// let config = Config { vocab: 10, vocab_out: 10, context: 8, layers: 2, d_model: 12, heads: 3,
///     kv_heads: 3, d_head: 4, d_mlp: 16, ..Config::gpt2_small() };
/// let model = Model::<f32>::random(&config, 0);
/// write_transformer(&folder, &model)?;
/// let again = read_transformer::<f32>(&folder)?;
/// assert_eq!(again.config, config);
/// assert!(again.weights.iter().zip(&model.weights).all(|(a, b)| a[..] == b[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If `folder` exists or cannot be created, a weight is not finite, or the dialect cannot express
/// the model; its field is then the place of the error.
///
/// # Panics
/// If the weights do not match the configuration.
/// If the weights are not those of the configuration.
#[track_caller]
pub fn write_transformer<T: Element>(folder: impl AsRef<Path>, model: &Model<T>) -> Result<()> {
    atomic::write_folder(folder, |folder| put_transformer(folder, model))
}

/// Writes the same two files into an existing folder, such as one that
/// [`write_folder`](atomic::write_folder) is filling.
///
/// # Errors
/// As [`write_transformer`], but the folder must exist.
///
/// # Panics
/// If the weights do not match the configuration.
/// If the weights are not those of the configuration.
#[track_caller]
pub fn put_transformer<T: Element>(folder: &Path, model: &Model<T>) -> Result<()> {
    put(folder, model, &Default::default())
}

/// As [`put_transformer`], with what the file of weights says `about` itself.
#[track_caller]
pub(super) fn put<T: Element>(
    folder: &Path,
    model: &Model<T>,
    about: &BTreeMap<String, String>,
) -> Result<()> {
    let fields = fields(&model.config)?;
    let tensors = tensors(model)?;
    safetensors::write(folder.join("model.safetensors"), &tensors, about)?;
    put_json(&folder.join("config.json"), &fields)
}

/// Whether a folder can say all of a configuration: asked before what takes long.
///
/// # Errors
/// If it cannot; the place is the field.
pub fn check_writable(config: &Config) -> Result<()> {
    fields(config).map(drop)
}

/// Writes the words of a model's tokens, in the order of their ids, as `vocab.json` into an
/// existing folder: a list of strings.
///
/// # Errors
/// If it cannot be written.
pub fn write_words<S: AsRef<str>>(folder: &Path, words: &[S]) -> Result<()> {
    let list: Vec<Value> = words.iter().map(|word| word.as_ref().into()).collect();
    put_json(&folder.join("vocab.json"), &list.into())
}

fn put_json(path: &Path, value: &Value) -> Result<()> {
    atomic::write_bytes(path, format!("{value:#}\n").as_bytes())
}

/// TransformerLens' fields for a configuration.
fn fields(config: &Config) -> Result<Value> {
    config.check()?;
    let plain = Config::gpt2_small();
    for (field, same) in [
        ("score_cap", config.score_cap.is_none()),
        ("logit_cap", config.logit_cap.is_none()),
        ("kinds", config.kinds.is_empty()),
        ("embed_scale", config.embed_scale == plain.embed_scale),
        ("embed_norm", !config.embed_norm),
        ("norm_place", config.norm_place == plain.norm_place),
        ("one_norm", !config.one_norm),
        ("qkv_clip", config.qkv_clip.is_none()),
        ("head_norms", config.head_norms.is_none()),
    ] {
        if !same {
            return Err(refused(field, "no model of this folder's kind has it"));
        }
    }
    let mut fields = Map::new();
    let mut set = |key: &str, value: Value| drop(fields.insert(key.into(), value));
    set("model_type", KIND.into());
    set("d_vocab", config.vocab.into());
    set("d_vocab_out", config.vocab_out.into());
    set("n_ctx", config.context.into());
    set("n_layers", config.layers.into());
    set("d_model", config.d_model.into());
    set("n_heads", config.heads.into());
    if config.kv_heads != config.heads {
        set("n_key_value_heads", config.kv_heads.into());
    }
    set("d_head", config.d_head.into());
    set("d_mlp", config.d_mlp.into());
    set("attn_only", (config.d_mlp == 0).into());
    set("act_fn", activation(config.activation).into());
    set("gated_mlp", config.gated.into());
    set("attention_dir", if config.causal { "causal" } else { "bidirectional" }.into());
    set("use_attn_scale", true.into());
    if config.attn_scale == -1.0 {
        return Err(refused("attn_scale", "-1 stands for the root of d_head"));
    }
    set("attn_scale", config.attn_scale.into());
    set("parallel_attn_mlp", config.parallel.into());
    set("tie_word_embeddings", config.tied.into());
    if let Some((name, eps)) = norm(config)? {
        set("normalization_type", name.into());
        set("eps", eps.into());
    }
    let positions = match &config.positions {
        Positions::Learned => "standard",
        Positions::None => "none",
        Positions::Slopes(_) => return Err(refused("positions", "it has no slopes")),
        Positions::Rotary(rotary) if rotary.single => {
            return Err(refused("rotary", "it has no rotations in single precision"));
        }
        Positions::Rotary(rotary) if rotary.scaling != Scaling::None || rotary.amplitude != 1.0 => {
            return Err(refused("rotary", "its rotations are not scaled"));
        }
        Positions::Rotary(rotary) => {
            set("rotary_dim", rotary.dims.into());
            set("rotary_base", rotary.base.into());
            set("rotary_adjacent_pairs", rotary.adjacent.into());
            "rotary"
        }
    };
    set("positional_embedding_type", positions.into());
    Ok(json!(fields))
}

fn refused(field: &str, why: &str) -> Error {
    let message = format!("TransformerLens' config.json cannot hold it: {why}");
    Error::input(field, message, "write a model without it")
}

fn activation(activation: Activation) -> &'static str {
    match activation {
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_new",
        Activation::Relu => "relu",
        Activation::Silu => "silu",
        Activation::Tanh => "tanh",
    }
}

/// The name of the norm and its eps, or `None` without a norm.
fn norm(config: &Config) -> Result<Option<(&'static str, f64)>> {
    let names = |with, without| if config.norm_affine { with } else { without };
    match config.norm {
        Norm::None => Ok(None),
        Norm::Layer(eps) => Ok(Some((names("LN", "LNPre"), eps))),
        Norm::Rms(Eps::Inside(eps)) => Ok(Some((names("RMS", "RMSPre"), eps))),
        Norm::Rms(Eps::InsideSingle(_)) => Err(refused("norm", "its norms are not rounded")),
        Norm::Rms(Eps::Outside(_)) => Err(refused("norm", "its norms have eps below the root")),
    }
}

/// All parameters as the tensors of the dialect.
#[track_caller]
fn tensors<T: Element>(model: &Model<T>) -> Result<Vec<Tensor>> {
    let (config, dialect) = (&model.config, TransformerLens::of(&model.config));
    let list = config.parameters();
    assert_eq!(model.weights.len(), list.len(), "parameters");
    let mut tensors = vec![];
    for (Parameter { name, shape }, numbers) in list.iter().zip(&model.weights) {
        assert_eq!(numbers.len(), shape.len(), "elements of {name}");
        if !numbers.iter().all(|x| x.to_f64().is_finite()) {
            let help = "lower the learning rate that it was trained with";
            return Err(Error::failed(name, "holds a value that is not finite", help));
        }
        let (l, part) = in_layer(name);
        // TransformerLens adds it to the product of gate and value, where it means something else.
        let other_bias = config.gated && part == "mlp.b_in";
        if other_bias && numbers.iter().any(|x| x.to_f64().to_bits() != 0) {
            return Err(refused(name, "it has no biases inside of a gated MLP"));
        }
        tensors.extend(dialect.parts(config, l, part).iter().map(|p| p.tensor(numbers)));
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::super::read_transformer;
    use super::*;
    use crate::named::Named;
    use crate::ops::Rotary;
    use crate::tensor::Buffer;
    use proptest::prelude::*;

    /// Small shapes of every kind that the dialect can express.
    fn config() -> impl Strategy<Value = Config> {
        let sizes = (1usize..6, 1usize..6, 1usize..5, 0usize..3, 1usize..7);
        let heads = (1usize..4, 1usize..3, 1usize..4, 0usize..5);
        let kinds = (0usize..3, 0usize..3, any::<prop::sample::Index>(), -3.0f64..3.0, 0.0f64..0.1);
        let flags = prop::collection::vec(any::<bool>(), 9);
        (sizes, heads, kinds, flags).prop_map(|(sizes, heads, kinds, flags)| {
            let (vocab, vocab_out, context, layers, d_model) = sizes;
            let (kv_heads, group, half, d_mlp) = heads;
            let (positions, norm, activation, attn_scale, eps) = kinds;
            let [gated, causal, affine, parallel, qkv, out, mlp, tied, unembed] = flags[..] else {
                unreachable!("nine flags")
            };
            let rotary = Rotary { adjacent: gated, ..Rotary::new(2, 10_000.0 * (1.0 + eps)) };
            let norm = [Norm::None, Norm::Layer(eps), Config::rms(eps)][norm];
            Config {
                vocab,
                vocab_out: if tied { vocab } else { vocab_out },
                context,
                layers,
                d_model,
                heads: kv_heads * group,
                kv_heads,
                d_head: 2 * half,
                d_mlp,
                activation: activation.get(Activation::ALL).1,
                gated,
                causal,
                attn_scale,
                positions: [Positions::Learned, Positions::Rotary(rotary), Positions::None]
                    [positions]
                    .clone(),
                norm,
                norm_affine: affine && norm != Norm::None,
                parallel,
                qkv_bias: qkv && layers > 0,
                out_bias: out && layers > 0,
                mlp_bias: mlp && layers > 0 && d_mlp > 0,
                tied,
                unembed_bias: unembed,
                ..Config::gpt2_small()
            }
        })
    }

    fn random<T: Element>(config: &Config, seed: u64) -> Model<T> {
        let mut model = Model::random(config, seed);
        for (p, w) in config.parameters().iter().zip(&mut model.weights) {
            if config.gated && p.name.ends_with("mlp.b_in") {
                w.fill_with(|| T::ZERO);
            }
        }
        model
    }

    fn comes_back<T: Element>(config: &Config, seed: u64) {
        let t = tempfile::tempdir().unwrap();
        let (folder, model) = (t.path().join("model"), random::<T>(config, seed));
        write_transformer(&folder, &model).unwrap();
        let again = read_transformer::<T>(&folder).unwrap();
        assert_eq!(&again.config, config);
        assert_eq!(again.weights.len(), model.weights.len());
        for ((p, a), b) in config.parameters().iter().zip(&again.weights).zip(&model.weights) {
            let bits = |x: &Buffer<T>| x.iter().map(|x| x.to_f64().to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(a), bits(b), "{}", p.name);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(config in config(), seed in 0u64..1000) {
            comes_back::<f32>(&config, seed);
            comes_back::<f64>(&config, seed);
        }
    }

    fn tiny() -> Config {
        let sizes =
            Config { vocab: 5, vocab_out: 5, context: 4, layers: 1, ..Config::gpt2_small() };
        Config { d_model: 4, heads: 2, kv_heads: 2, d_head: 2, d_mlp: 3, ..sizes }
    }

    #[test]
    fn tensors_are_laid_out_as_in_the_dialect() {
        let config = Config { kv_heads: 1, ..tiny() };
        let model = Model::<f64>::random(&config, 0);
        let t = tempfile::tempdir().unwrap();
        put_transformer(t.path(), &model).unwrap();
        let file = safetensors::Tensors::read(t.path().join("model.safetensors")).unwrap();
        let at = config.parameters().iter().position(|p| p.name.ends_with("W_QKV")).unwrap();
        // [D, (H + 2 KV) K] = [4, 8]: row d, then two queries, the key and the value.
        let ours = &model.weights[at];
        let (shape, w_q) = file.get_f64("blocks.0.attn.W_Q").unwrap();
        assert_eq!((&shape[..], w_q[8 + 2 * 3 + 1]), (&[2, 4, 2][..], ours[3 * 8 + 2 + 1]));
        let (shape, w_v) = file.get_f64("blocks.0.attn._W_V").unwrap();
        assert_eq!((&shape[..], w_v[2 * 2]), (&[1, 4, 2][..], ours[2 * 8 + 6]));
    }

    #[test]
    fn what_the_dialect_cannot_say_is_refused() {
        let rotary = Rotary { single: true, ..Rotary::new(2, 10.0) };
        for (field, config) in [
            ("attn_scale", Config { attn_scale: -1.0, ..tiny() }),
            ("rotary", Config { positions: Positions::Rotary(rotary), ..tiny() }),
            ("norm", Config { norm: Norm::Rms(Eps::Outside(1e-5)), ..tiny() }),
            ("norm", Config { norm: Norm::Rms(Eps::InsideSingle(1e-5)), ..tiny() }),
            ("blocks.0.mlp.b_in", Config { gated: true, ..tiny() }),
            ("vocab", Config { vocab: 0, ..tiny() }),
        ] {
            let t = tempfile::tempdir().unwrap();
            let folder = t.path().join("model");
            let e = write_transformer(&folder, &Model::<f32>::random(&config, 0)).unwrap_err();
            assert!(e.to_string().starts_with(field), "{e}");
            assert!(e.exit_code() == 2 && !e.help().is_empty() && !folder.exists(), "{e}");
        }
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        let mut model = Model::<f32>::random(&tiny(), 0);
        model.weights[1][0] = f32::NAN;
        let t = tempfile::tempdir().unwrap();
        let e = write_transformer(t.path().join("model"), &model).unwrap_err();
        assert!(e.to_string().starts_with("pos_embed.W_pos: "), "{e}");
    }

    #[test]
    fn a_folder_is_not_replaced_and_words_are_a_list() {
        let t = tempfile::tempdir().unwrap();
        let e = write_transformer(t.path(), &Model::<f32>::random(&tiny(), 0)).unwrap_err();
        assert_eq!(e.exit_code(), 2);
        write_words(t.path(), &["<pad>", "a \"b\""]).unwrap();
        let text = std::fs::read(t.path().join("vocab.json")).unwrap();
        assert_eq!(serde_json::from_slice::<Vec<String>>(&text).unwrap(), ["<pad>", "a \"b\""]);
    }
}
