//! Model folders: a `config.json` and weights, in several dialects.
//!
//! | `model_type` | dialect |
//! | --- | --- |
//! | `gpt2`, `llama`, `gemma2`, ...: 20 kinds | Hugging Face's transformers |
//! | `transformer_lens`, or none with `n_layers` and `d_model` | TransformerLens' `state_dict` |
//! | `pooled` | what `edgegrad train` writes |
//!
//! Weights are in `model.safetensors` or in the files of a `model.safetensors.index.json`, in 16,
//! 32 or 64 bits. They are copied into the layout of [`transformer::Config::parameters`] and
//! rounded to the requested precision. An option that a model sets and this crate does not compute
//! is an error that names its key. So is a tensor that the model does not have, except for known
//! buffers: without it the model would compute something else. [`write_transformer`] writes
//! transformers in TransformerLens' dialect.

#![forbid(unsafe_code)]

mod convert;
mod fields;
mod gguf;
mod huggingface;
mod plan;
pub mod pooled;
mod source;
mod stored;
mod strided;
mod transformer_lens;
mod write;

use crate::error::{Error, Result};
use crate::files::gguf::{Gguf, Header};
use crate::files::safetensors::Tensors;
use crate::files::{self, Digester, input, model_cache};
use crate::formats::pairs::Bounds;
use crate::nn::pooled as pooled_model;
use crate::nn::transformer::{self, InPanels};
use crate::simd::Element;
use fields::Fields;
use plan::Plan;
use sha2::Digest;
use source::Source;
use std::fmt::Display;
use std::fs::File;
use std::path::Path;

pub use convert::{Form, check_converted, convert, put_converted};
pub use source::NamedTensors;
pub use write::{check_writable, put_transformer, write_transformer, write_words};

/// The origin of a model folder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Family {
    /// Hugging Face's transformers.
    HuggingFace,
    /// TransformerLens.
    TransformerLens,
    /// This crate's pooled models.
    Pooled,
}

/// A model of either kind.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a program holds few models")]
pub enum AnyModel<T: Element> {
    /// A transformer.
    Transformer(transformer::Model<T>),
    /// A pooled model.
    Pooled {
        /// The shape.
        config: pooled_model::Config,
        /// In the order of [`parameters`](pooled_model::Config::parameters).
        weights: Vec<Vec<T>>,
    },
}

impl<T: Element> AnyModel<T> {
    /// What pairs may ask of it.
    pub fn bounds(&self) -> Bounds {
        match self {
            AnyModel::Transformer(transformer::Model { config: c, .. }) => {
                Bounds { vocab: c.vocab, vocab_out: c.vocab_out, context: c.context }
            }
            AnyModel::Pooled { config: c, .. } => {
                Bounds { vocab: c.vocab, vocab_out: c.vocab, context: c.seq_len }
            }
        }
    }

    /// The transformer of `folder`.
    ///
    /// # Errors
    /// If it is a pooled model.
    pub fn transformer(self, folder: &Path) -> Result<transformer::Model<T>> {
        match self {
            AnyModel::Transformer(model) => Ok(model),
            AnyModel::Pooled { .. } => {
                let place = folder.join("config.json");
                let message = "model_type: holds a pooled model, a transformer is needed";
                Err(Error::input(place.display(), message, "give the folder of a transformer"))
            }
        }
    }

    /// With the large weights of a transformer
    /// [in panels](transformer::Model::store_in_panels), for a model that is asked and not changed.
    #[must_use]
    pub fn in_panels(mut self) -> AnyModel<T> {
        if let AnyModel::Transformer(model) = &mut self {
            model.store_in_panels();
        }
        self
    }

    /// How many outputs it has at a position.
    pub fn vocab_out(&self) -> usize {
        self.bounds().vocab_out
    }
}

/// The origin of a model, a folder with a `config.json` or a GGUF file.
///
/// # Errors
/// If that cannot be read, or is of an unsupported kind.
pub fn family(folder: &Path) -> Result<Family> {
    if folder.is_file() {
        gguf::check(&Header::read(folder)?)?;
        return Ok(Family::HuggingFace);
    }
    let path = folder.join("config.json");
    family_of(path.display(), &config_text(&path)?)
}

/// The origin of a model by the bytes of its `config.json`, which `place` names in errors.
///
/// # Errors
/// If it is of an unsupported kind.
pub fn family_of(place: impl Display, config: &[u8]) -> Result<Family> {
    Ok(kind(&Fields::parse(place, config)?)?.1)
}

fn config_text(path: &Path) -> Result<Vec<u8>> {
    input::regular(path, input::CONFIG).map_err(|e| {
        let folder = path.parent().unwrap_or(path);
        if folder.exists() {
            let help =
                "give a folder with the config.json and model.safetensors of a trained model";
            return e.with_help(help);
        }
        model_cache::missing(folder)
    })
}

/// Reads a model: a folder, or a GGUF file.
///
/// # Errors
/// If a file is missing or damaged, the model is of an unsupported kind, or the weights do not
/// match the configuration.
pub fn read<T: Element>(folder: &Path) -> Result<AnyModel<T>> {
    planned(folder)?.read(|_, _| None)
}

/// [`read`] with the large weights of a transformer
/// [in panels](transformer::Model::store_in_panels), for a model that is asked and not changed.
///
/// # Errors
/// As [`read`].
pub fn read_in_panels<T: Element>(folder: &Path) -> Result<AnyModel<T>> {
    let planned = planned(folder)?;
    // Folding changes weights, so panels come after it.
    match &planned {
        Planned::Transformer { folds: true, .. } => {
            planned.read(|_, _| None).map(AnyModel::in_panels)
        }
        _ => planned.read(transformer::Config::large_panels::<T>),
    }
}

/// What a model is, without its weights.
#[derive(Debug)]
pub struct Outline {
    /// A transformer has no weights.
    pub model: AnyModel<f32>,
    /// The bytes that its weights take in single precision once it is
    /// [read in panels](read_in_panels).
    pub weight_bytes: u128,
}

/// The outline of a model. Of a transformer's files only the headers are read.
///
/// # Errors
/// As [`read`], but for weights that are damaged.
pub fn outline(folder: &Path) -> Result<Outline> {
    let planned = planned(folder)?;
    if let Planned::Transformer { config, source, plan, folds } = planned {
        let panels = |p: &_| config.large_panels::<f32>(p).filter(|_| !folds);
        let weight_bytes = plan.bytes::<f32>(&source, panels);
        let model = AnyModel::Transformer(transformer::Model { config, weights: vec![] });
        return Ok(Outline { model, weight_bytes });
    }
    let model = planned.read(|_, _| None)?;
    let weight_bytes = match &model {
        AnyModel::Transformer(_) => unreachable!("returned above"),
        AnyModel::Pooled { weights, .. } => weights.iter().map(|w| 4 * w.len() as u128).sum(),
    };
    Ok(Outline { model, weight_bytes })
}

/// Reads a model folder that must hold a transformer.
///
/// # Errors
/// As [`read`], and if it holds a pooled model.
pub fn read_transformer<T: Element>(folder: &Path) -> Result<transformer::Model<T>> {
    read(folder)?.transformer(folder)
}

/// Reads a model from the bytes of its `config.json` and of its `model.safetensors`.
///
/// # Errors
/// As [`read`].
pub fn from_bytes<T: Element>(config: &[u8], weights: Vec<u8>) -> Result<AnyModel<T>> {
    let source = || Ok(Source::of(Tensors::from_bytes("model.safetensors", weights)?));
    plan("config.json", config, source)?.read(|_, _| None)
}

/// Builds the model of a GGUF file.
///
/// # Errors
/// As [`read`].
pub fn from_gguf<T: Element>(file: Gguf) -> Result<AnyModel<T>> {
    let place = file.header().place().to_string();
    let (config, tensors) = gguf::model(file)?;
    from_tensors(place, &config, tensors)
}

/// Builds a model from a `config.json` as Hugging Face or TransformerLens write it and from its
/// tensors under their names; `place` names the configuration in errors.
///
/// # Errors
/// As [`read`].
pub fn from_tensors<T: Element>(
    place: impl Display,
    config: &serde_json::Value,
    tensors: impl NamedTensors + 'static,
) -> Result<AnyModel<T>> {
    plan_named(place, config, tensors)?.read(|_, _| None)
}

/// A model whose weights are found and not read.
#[expect(clippy::large_enum_variant, reason = "a command plans few models")]
enum Planned {
    Pooled {
        config: pooled_model::Config,
        source: Source,
    },
    Transformer {
        config: transformer::Config,
        source: Source,
        plan: Plan,
        /// Whether what TransformerLens leaves apart is folded into the weights.
        folds: bool,
    },
}

impl Planned {
    /// Reads the weights, in panels where `panels` says that they may be.
    fn read<T: Element>(
        self,
        panels: impl Fn(&transformer::Config, &transformer::Parameter) -> Option<InPanels> + Sync,
    ) -> Result<AnyModel<T>> {
        match self {
            Planned::Pooled { config, source } => {
                let file = source.file("").expect("a plan's source is safetensors");
                let weights = pooled::read_weights(file, "", &config)?;
                Ok(AnyModel::Pooled { config, weights })
            }
            Planned::Transformer { config, source, plan, folds } => {
                let weights = plan.read(&source, |p| panels(&config, p))?;
                let mut model = transformer::Model { config, weights };
                if folds {
                    transformer_lens::fold(&source, &mut model)?;
                }
                Ok(AnyModel::Transformer(model))
            }
        }
    }
}

fn planned(folder: &Path) -> Result<Planned> {
    if folder.is_file() {
        let (config, tensors) = gguf::model(Gguf::read(folder)?)?;
        return plan_named(folder.display(), &config, tensors);
    }
    let path = folder.join("config.json");
    plan(path.display(), &config_text(&path)?, || Source::read(folder))
}

fn plan_named(
    place: impl Display,
    config: &serde_json::Value,
    tensors: impl NamedTensors + 'static,
) -> Result<Planned> {
    plan(place, config.to_string().as_bytes(), || Ok(Source::Named(Box::new(tensors))))
}

fn plan(
    place: impl Display,
    text: &[u8],
    source: impl FnOnce() -> Result<Source>,
) -> Result<Planned> {
    let place = place.to_string();
    let fields = Fields::parse(&place, text)?;
    let (model_type, family) = kind(&fields)?;
    match family {
        Family::Pooled => {
            let config = pooled::config(&place, text)?;
            let source = source()?;
            if source.file("").is_none() {
                let help = "give the folder of a run's checkpoint";
                return Err(fields.error("model_type", "pooled models are safetensors", help));
            }
            Ok(Planned::Pooled { config, source })
        }
        Family::TransformerLens => {
            let source = source()?;
            let (config, dialect) = transformer_lens::config(&fields, &source)?;
            let plan = Plan::of(&source, &config, &dialect)?;
            Ok(Planned::Transformer { config, source, plan, folds: true })
        }
        Family::HuggingFace => {
            let source = source()?;
            let (config, dialect) = huggingface::config(&fields, model_type, &source)?;
            let plan = Plan::of(&source, &config, &dialect)?;
            Ok(Planned::Transformer { config, source, plan, folds: false })
        }
    }
}

/// The `model_type`, and its origin.
fn kind(fields: &Fields) -> Result<(&str, Family)> {
    match fields.text("model_type")? {
        Some(pooled::KIND) => Ok((pooled::KIND, Family::Pooled)),
        Some(transformer_lens::KIND) => Ok((transformer_lens::KIND, Family::TransformerLens)),
        Some(known) if huggingface::KINDS.iter().any(|kind| kind.name == known) => {
            Ok((known, Family::HuggingFace))
        }
        Some(other) => {
            fields.refuse(&huggingface::EXPERTS)?;
            let known = huggingface::KINDS.iter().map(|kind| kind.name);
            let known: Vec<&str> = known.chain([transformer_lens::KIND, pooled::KIND]).collect();
            Err(fields.unknown("model_type", other, &known))
        }
        None if transformer_lens::is_it(fields) => {
            Ok((transformer_lens::KIND, Family::TransformerLens))
        }
        None => {
            let help = "add it, or give a config.json with TransformerLens' fields \
                        (n_layers, d_model, ...)";
            Err(fields.error("model_type", "is missing", help))
        }
    }
}

/// The identity of a model's content: the SHA-256 of a folder's `config.json` and of its weights,
/// or of a GGUF file, 64 hexadecimal digits.
///
/// # Errors
/// If a file cannot be read.
pub fn hash(folder: &Path) -> Result<String> {
    if folder.is_file() {
        return files::hash(folder);
    }
    let mut digest = Digester::default();
    for path in [vec![folder.join("config.json")], source::paths(folder)?].concat() {
        let fail = |e| Error::io(&path, &e, "read");
        let mut file = File::open(&path).map_err(fail)?;
        // Lengths keep bytes at the end of one file from passing for the start of the next.
        digest.0.update(file.metadata().map_err(fail)?.len().to_le_bytes());
        std::io::copy(&mut file, &mut digest).map_err(fail)?;
    }
    Ok(digest.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// What is damaged in them is found where they are read.
    #[test]
    fn names_and_shapes_need_no_weights() {
        let (config, weights) = fixture("gpt2-tiny");
        let t = tempfile::tempdir().expect("a folder");
        let write = |file: &str, bytes: &[u8]| std::fs::write(t.path().join(file), bytes);
        write("config.json", config.to_string().as_bytes()).expect("writable");
        let mut broken = weights.clone();
        let last = broken.len() - 4;
        broken[last..].copy_from_slice(&f32::NAN.to_le_bytes());
        write("model.safetensors", &broken).expect("writable");
        let Outline { model: AnyModel::Transformer(outline), weight_bytes } =
            outline(t.path()).expect("a whole header")
        else {
            unreachable!("a transformer")
        };
        let model = from_bytes::<f32>(config.to_string().as_bytes(), weights).expect("a model");
        let AnyModel::Transformer(model) = model else { unreachable!("a transformer") };
        assert!(outline.config == model.config && outline.weights.is_empty());
        let elements: usize = model.weights.iter().map(|w| w.len()).sum();
        assert_eq!(weight_bytes, 4 * elements as u128);
        assert!(read::<f32>(t.path()).unwrap_err().message().contains("is not finite"));
        write("model.safetensors", &broken[..last]).expect("writable");
        assert!(super::outline(t.path()).unwrap_err().message().contains("its header says"));
    }

    /// Integers with scales stay so in panels, and are the same elements.
    #[test]
    fn quantised_weights_are_the_same_in_panels() {
        fn check<T: Element>(name: &str, of_layer: usize, tables: usize) {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf");
            let file = root.join(name).join("model.gguf");
            let transformer = |model: Result<AnyModel<T>>| match model.expect("a model") {
                AnyModel::Transformer(model) => model,
                AnyModel::Pooled { .. } => unreachable!("a transformer"),
            };
            let plain = transformer(read(&file));
            let planned = planned(&file).expect("a plan");
            let all = transformer(planned.read(|config, p| config.panels::<T>(p, 0)));
            let mut scaled = [0, 0];
            for ((a, b), p) in plain.weights.iter().zip(&all.weights).zip(plain.config.parameters())
            {
                scaled[usize::from(p.name.contains("embed."))] += usize::from(b.is_scaled());
                let same =
                    a.iter().zip(&b[..]).all(|(a, b)| a.to_f64().to_bits() == b.to_f64().to_bits());
                assert!(a.len() == b.len() && same, "{name}: {}", p.name);
            }
            let wanted = [of_layer * all.config.layers, tables];
            assert_eq!(scaled, wanted, "{name} in {}", T::NAME);
        }
        // In heads of width 8, panels of singles are not filled.
        for (name, of_layer, tables) in [
            ("llama-q6_k", [2, 3], 1),
            ("qwen2-q5_0", [2, 4], 2),
            ("qwen3-q4_1", [4, 4], 1),
            ("gpt2-q8_0", [0, 0], 1),
            ("gemma3-q4_0", [3, 3], 1),
        ] {
            check::<f32>(name, of_layer[0], tables);
            check::<f64>(name, of_layer[1], tables);
        }
    }

    const FIXTURES: [&str; 4] = ["gpt2-tiny", "gpt-neox-tiny", "llama-tiny", "tracr/trend"];

    fn fixture(name: &str) -> (Value, Vec<u8>) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        let bytes = |file: &str| std::fs::read(folder.join(file)).expect("a fixture");
        let config = serde_json::from_slice(&bytes("config.json")).expect("JSON");
        (config, bytes("model.safetensors"))
    }

    /// Values that a field could have.
    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0u64..70).prop_map(Value::from),
            any::<u64>().prop_map(|n| Value::from(n >> (n % 64))),
            any::<i64>().prop_map(Value::from),
            prop_oneof![-1.0..100.0, any::<f64>()].prop_map(|x| json!(x)),
            "[a-z_]{0,9}".prop_map(Value::from),
            Just(json!([1, "sliding_attention"])),
            Just(json!({"rope_type": "default", "rope_theta": -1, "partial_rotary_factor": 0.4})),
        ]
    }

    /// Nothing is allocated for layers that nobody has.
    #[test]
    fn too_many_layers_are_refused_by_their_key() {
        for kind in huggingface::KINDS {
            let (mut config, weights) = fixture(FIXTURES[0]);
            let map = config.as_object_mut().expect("an object");
            map.insert("model_type".into(), kind.name.into());
            for key in ["num_hidden_layers", "n_layer", "num_layers"] {
                map.insert(key.into(), json!(31_756_642_015u64));
            }
            let e = from_bytes::<f32>(config.to_string().as_bytes(), weights).err();
            assert_eq!(e.expect(kind.name).exit_code(), 2, "{}", kind.name);
        }
    }

    proptest! {
        #[test]
        fn changed_configurations_never_panic(
            name in prop::sample::select(&FIXTURES[..]),
            changes in prop::collection::vec((any::<prop::sample::Index>(), value()), 1..4),
            kind in prop::option::of(0..huggingface::KINDS.len()),
        ) {
            let (mut config, weights) = fixture(name);
            let map = config.as_object_mut().expect("an object");
            let keys: Vec<String> = map.keys().cloned().collect();
            for (at, value) in changes {
                map.insert(at.get(&keys).clone(), value);
            }
            if let Some(kind) = kind {
                map.insert("model_type".into(), huggingface::KINDS[kind].name.into());
            }
            match from_bytes::<f32>(config.to_string().as_bytes(), weights) {
                Ok(AnyModel::Transformer(model)) => {
                    let list = model.config.parameters();
                    prop_assert_eq!(list.len(), model.weights.len());
                    for (p, w) in list.iter().zip(&model.weights) {
                        prop_assert_eq!(p.shape.len(), w.len());
                    }
                }
                Ok(AnyModel::Pooled { .. }) => panic!("a pooled model"),
                Err(e) => {
                    prop_assert!(!e.to_string().contains('\n') && !e.help().is_empty());
                    prop_assert_eq!(e.exit_code(), 2);
                }
            }
        }
    }

    #[test]
    fn the_fixtures_are_read_as_they_are() {
        for name in FIXTURES {
            let (config, weights) = fixture(name);
            let model = from_bytes::<f64>(config.to_string().as_bytes(), weights);
            assert!(matches!(model, Ok(AnyModel::Transformer(_))), "{name}: {model:?}");
        }
    }
}
