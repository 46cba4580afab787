//! Model folders of pooled models: what `edgegrad train` writes.

use crate::error::{Error, Result};
use crate::files::atomic;
use crate::files::safetensors::{self, Tensor, Tensors};
use crate::named::Named;
use crate::nn::Activation;
use crate::nn::pooled;
use crate::nn::pooled::Config;
use crate::simd::Element;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The fields of `config.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ModelFile {
    /// Always `pooled`.
    pub model_type: String,
    /// V.
    pub vocab: usize,
    /// L.
    pub seq_len: usize,
    /// D.
    pub d_model: usize,
    /// F.
    pub d_mlp: usize,
    /// The activation function of the MLP.
    pub activation: String,
    /// Whether the MLP has biases.
    pub mlp_bias: bool,
}

impl ModelFile {
    /// The fields for a model.
    pub fn of(config: &Config) -> ModelFile {
        ModelFile {
            model_type: KIND.into(),
            vocab: config.vocab,
            seq_len: config.seq_len,
            d_model: config.d_model,
            d_mlp: config.d_mlp,
            activation: config.activation.name().into(),
            mlp_bias: config.mlp_bias,
        }
    }
}

/// The `model_type`.
pub(super) const KIND: &str = "pooled";

/// The shape in the text of a `config.json` at `place`.
pub(super) fn config(place: &str, text: &[u8]) -> Result<Config> {
    let help = "give a folder with the config.json and model.safetensors of a trained model";
    let file: ModelFile = serde_json::from_slice(text).map_err(|e| Error::input(place, e, help))?;
    let activation = Activation::from_name(&file.activation).ok_or_else(|| {
        let known: Vec<&str> = Activation::ALL.iter().map(|a| a.0).collect();
        let message = format!("activation: unknown value {:?}", file.activation);
        Error::input(place, message, format!("use one of {}", known.join(", ")))
    })?;
    for (name, size) in [
        ("vocab", file.vocab),
        ("seq_len", file.seq_len),
        ("d_model", file.d_model),
        ("d_mlp", file.d_mlp),
    ] {
        if size == 0 {
            return Err(Error::input(place, format!("{name}: must be at least 1"), help));
        }
    }
    Ok(Config {
        vocab: file.vocab,
        seq_len: file.seq_len,
        d_model: file.d_model,
        d_mlp: file.d_mlp,
        activation,
        mlp_bias: file.mlp_bias,
        dropout: 0.0,
    })
}

/// Writes a model, its weights in the order of [`Config::parameters`], into an existing folder,
/// such as one that [`write_folder`](crate::files::atomic::write_folder) is filling.
///
/// # Errors
/// If the folder cannot be written.
pub fn put<T: Element>(folder: &Path, config: &Config, weights: &[Vec<T>]) -> Result<()> {
    let named = config.parameters().into_iter().zip(weights);
    let tensors: Vec<Tensor> =
        named.map(|(p, weights)| Tensor::new(p.name, p.shape.dims(), weights)).collect();
    let mut text = serde_json::to_vec_pretty(&ModelFile::of(config)).expect("plain fields");
    text.push(b'\n');
    safetensors::write(folder.join("model.safetensors"), &tensors, &Default::default())?;
    atomic::write_bytes(folder.join("config.json"), &text)
}

/// Reads the weights of a model, each in row-major order in the order of [`Config::parameters`],
/// from a file in which their names begin with `prefix`.
///
/// The authors' files repeat the tied unembedding, which is accepted if it equals the embedding.
///
/// # Errors
/// If a tensor is missing, has another shape, or is not one of the model's.
pub(crate) fn read_weights<T: Element>(
    file: &Tensors,
    prefix: &str,
    config: &Config,
) -> Result<Vec<Vec<T>>> {
    let parameters = config.parameters();
    for name in file.names() {
        let Some(own) = name.strip_prefix(prefix) else { continue };
        if own == pooled::TIED {
            let embedding = format!("{prefix}{}", parameters[0].name);
            if file.get_f64(&name)? != file.get_f64(&embedding)? {
                let help = "the model's unembedding is its token embedding; make them equal";
                return Err(file.error(&name, format!("differs from {embedding}"), help));
            }
        } else if !parameters.iter().any(|p| p.name == own) {
            let help = "remove it, or set d_model, d_mlp and mlp_bias as the file has them";
            return Err(file.error(&name, "the model has no such parameter", help));
        }
    }
    let named = parameters.iter().map(|p| (format!("{prefix}{}", p.name), p));
    named.map(|(name, p)| file.get_shaped(&name, p.shape.dims())).collect()
}
