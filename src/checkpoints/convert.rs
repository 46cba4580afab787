//! A model in another form: as a folder of Hugging Face's or of TransformerLens'.

use super::fields::Fields;
use super::plan::{Dialect, Plan};
use super::source::Source;
use super::write::put;
use super::{Family, config_text, gguf, huggingface, kind, read_transformer};
use crate::error::{Error, Result};
use crate::files::gguf::Gguf;
use crate::files::safetensors::{self, Tensor, marked};
use crate::files::{atomic, json, mark, own};
use crate::named::named;
use crate::simd::Element;
use serde_json::Value;
use std::fs;
use std::path::Path;

named! {
    /// The form of a model folder.
    Form {
        /// As transformers saves it; only of models that came from there.
        #[default]
        HuggingFace = "hugging-face",
        /// TransformerLens' fields and state dict.
        TransformerLens = "transformer-lens",
    }
}

/// What a folder may have for its tokenizer, in the files of Hugging Face's libraries.
const TOKENIZER: [&str; 7] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
];

/// The files of a model.
const MODEL: [&str; 2] = ["config.json", "model.safetensors"];

/// Creates the folder `out` with the model in `model`, a folder or a GGUF file: `config.json`, its
/// weights in the precision of `T` as `model.safetensors`, and the files of a folder's tokenizer.
/// Completely or not at all.
///
/// # Errors
/// If the model cannot be read, the form cannot express it, or `out` exists or cannot be written.
pub fn convert<T: Element>(model: &Path, form: Form, out: &Path) -> Result<()> {
    atomic::write_folder(out, |folder| put_converted::<T>(model, form, folder))
}

/// Writes the same files into an existing folder, such as one that
/// [`write_folder`](atomic::write_folder) is filling.
///
/// # Errors
/// As [`convert`], but the folder must exist.
pub fn put_converted<T: Element>(model: &Path, form: Form, folder: &Path) -> Result<()> {
    match form {
        Form::TransformerLens => put(folder, &read_transformer::<T>(model)?, &marked())?,
        Form::HuggingFace => {
            let (config, tensors) = hugging_face::<T>(model)?;
            let mut about = marked();
            about.insert("format".into(), "pt".into());
            safetensors::write(folder.join(MODEL[1]), &tensors, &about)?;
            atomic::write_bytes(folder.join(MODEL[0]), format!("{config:#}\n").as_bytes())?;
        }
    }
    for name in TOKENIZER {
        let from = model.join(name);
        if from.is_file() {
            let bytes = fs::read(&from).map_err(|e| Error::io(&from, &e, "read"))?;
            atomic::write_bytes(folder.join(name), &bytes)?;
        }
    }
    Ok(())
}

/// Refuses a folder that holds anything but what [`convert`] makes.
///
/// # Errors
/// If it holds another file, or weights that edgegrad has not written.
pub fn check_converted(folder: &Path) -> Result<()> {
    own::only(folder, "a converted model", |name| {
        MODEL.contains(&name) || TOKENIZER.contains(&name)
    })?;
    let weights = folder.join(MODEL[1]);
    let marked = mark::is_ours(&weights).unwrap_or(false);
    if !marked && !own::listed(folder)?.is_empty() {
        return Err(own::foreign(&weights, "is not by `edgegrad convert`"));
    }
    Ok(())
}

/// The `config.json` and the tensors of a model of Hugging Face's, checked against each other.
fn hugging_face<T: Element>(model: &Path) -> Result<(Value, Vec<Tensor>)> {
    let (place, text, source) = if model.is_file() {
        let (config, tensors) = gguf::model(Gguf::read(model)?)?;
        let text = config.to_string().into_bytes();
        (model.to_path_buf(), text, Source::Named(Box::new(tensors)))
    } else {
        let path = model.join("config.json");
        let text = config_text(&path)?;
        (path, text, Source::read(model)?)
    };
    let fields = Fields::parse(place.display(), &text)?;
    let (model_type, family) = kind(&fields)?;
    if family != Family::HuggingFace {
        let help = "write it with --form transformer-lens";
        return Err(fields.error("model_type", "is no model of Hugging Face's", help));
    }
    let (config, dialect) = huggingface::config(&fields, model_type, &source)?;
    Plan::of(&source, &config, &dialect)?;
    let names = source.names().into_iter().filter(|name| !dialect.ignores(name));
    let tensors = names.map(|name| {
        let (shape, elements) = source.any::<T>(&name)?;
        Ok(Tensor::new(name, &shape, &elements))
    });
    let tensors = tensors.collect::<Result<Vec<Tensor>>>()?;
    let mut config: Value =
        serde_json::from_slice(&json::strict(&text)).expect("it was parsed above");
    let dtype = if T::NAME == "f32" { "float32" } else { "float64" };
    for key in ["dtype", "torch_dtype"] {
        if config.get(key).is_some() {
            config[key] = dtype.into();
        }
    }
    Ok((config, tensors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::transformer::Model;
    use std::path::PathBuf;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
    }

    #[track_caller]
    fn same(a: &Model<f64>, b: &Model<f64>) {
        assert_eq!(a.config, b.config);
        assert!(a.weights.iter().zip(&b.weights).all(|(a, b)| a[..] == b[..]));
    }

    #[test]
    fn a_model_is_the_same_in_every_form() {
        for name in [
            "gguf/llama-rope-freqs/model.gguf",
            "gguf/gemma3-q4_0/model.gguf",
            "gguf/gpt2-q8_0/model.gguf",
            "families/llama-bf16-shards",
            "families/gptj",
        ] {
            let t = tempfile::tempdir().unwrap();
            let (from, out) = (fixture(name), t.path().join("out"));
            convert::<f32>(&from, Form::HuggingFace, &out).unwrap();
            same(&read_transformer(&from).unwrap(), &read_transformer(&out).unwrap());
        }
        for name in ["gpt2-tiny", "gguf/gpt2-q8_0/model.gguf", "llama-tiny"] {
            let t = tempfile::tempdir().unwrap();
            let (from, out) = (fixture(name), t.path().join("out"));
            convert::<f64>(&from, Form::TransformerLens, &out).unwrap();
            same(&read_transformer(&from).unwrap(), &read_transformer(&out).unwrap());
        }
    }

    #[test]
    fn a_form_that_cannot_say_it_is_refused_and_leaves_nothing() {
        let t = tempfile::tempdir().unwrap();
        let out = t.path().join("out");
        let refused = |name: &str, form, said: &str| {
            let e = convert::<f32>(&fixture(name), form, &out).unwrap_err();
            assert!(e.to_string().contains(said) && e.exit_code() == 2 && !out.exists(), "{e}");
        };
        refused("tracr/sort", Form::HuggingFace, "model_type: is no model of Hugging Face's");
        refused("families/gemma2", Form::TransformerLens, "score_cap: TransformerLens'");
        std::fs::create_dir(&out).unwrap();
        let e = convert::<f32>(&fixture("gpt2-tiny"), Form::HuggingFace, &out).unwrap_err();
        assert_eq!(e.exit_code(), 2);
    }
}
