//! What each parameter of a model is copied from.

use super::source::Source;
use super::stored::{Passing, Stored};
use super::strided::StridedCopy;
use crate::error::Result;
use crate::memory;
use crate::nn::transformer::{Config, InPanels, Parameter};
use crate::simd::Element;
use crate::tensor::Buffer;
use rayon::prelude::*;
use std::collections::BTreeSet;

/// How a kind of file names and lays out the parameters of a model.
pub(super) trait Dialect {
    /// The tensors that one of our parameters is copied from: `part` is its name in layer `l`
    /// without `blocks.l.`, or its whole name outside layers.
    fn parts(&self, config: &Config, l: usize, part: &str) -> Vec<StridedCopy>;

    /// Whether a tensor with this name is a buffer without information, which some versions save.
    fn ignores(&self, name: &str) -> bool;

    /// A tensor that repeats another one (the tied unembedding), if the file has it.
    fn repeats(&self, config: &Config) -> Option<(String, String)>;
}

/// What the parameters of a model are copied from, in the order of [`Config::parameters`]; no
/// element is read yet.
pub(super) struct Plan {
    parameters: Vec<(Parameter, Vec<StridedCopy>)>,
    /// A tensor that has to repeat another, and their shape.
    repeats: Option<(String, String, [usize; 2])>,
}

impl Plan {
    /// Plans to read all parameters of a model.
    ///
    /// # Errors
    /// If a tensor is missing, has another shape, or is not one of the model's.
    pub(super) fn of(source: &Source, config: &Config, dialect: &impl Dialect) -> Result<Plan> {
        let mut used = BTreeSet::new();
        let mut parameters = vec![];
        for parameter in config.parameters() {
            let (l, part) = in_layer(&parameter.name);
            let mut parts = dialect.parts(config, l, part);
            parts.retain(|part| !part.optional || source.contains(&part.tensor));
            for part in &parts {
                if part.tensor == "lm_head.weight" && !source.contains(&part.tensor) {
                    let help = "set \"tie_word_embeddings\" to true in config.json if the unembedding \
                                is the token embedding";
                    return Err(source.error(&part.tensor, "is missing", help));
                }
                source.check(&part.tensor, &part.shape)?;
                used.insert(part.tensor.clone());
            }
            parameters.push((parameter, parts));
        }
        let again = dialect.repeats(config).filter(|(name, _)| source.contains(name));
        for name in source.names() {
            let repeats = again.as_ref().is_some_and(|(again, _)| *again == name);
            if !(used.contains(&name) || repeats || dialect.ignores(&name)) {
                let help =
                    "it would change what is computed; check that config.json is this model's";
                return Err(source.error(&name, "is no parameter of this kind of model", help));
            }
        }
        let repeats = again.map(|(name, of)| (name, of, [config.vocab_out, config.d_model]));
        Ok(Plan { parameters, repeats })
    }

    /// The bytes of all parameters, some of them in panels as in [`read`](Plan::read).
    pub(super) fn bytes<T: Element>(
        &self,
        source: &Source,
        panels: impl Fn(&Parameter) -> Option<InPanels>,
    ) -> u128 {
        self.bytes_of::<T>(&self.stored(source, panels))
    }

    fn bytes_of<T: Element>(&self, stored: &[Stored]) -> u128 {
        self.lengths().zip(stored).map(|(len, stored)| stored.bytes::<T>(len)).sum()
    }

    /// How each parameter is stored.
    fn stored(
        &self,
        source: &Source,
        panels: impl Fn(&Parameter) -> Option<InPanels>,
    ) -> Vec<Stored> {
        let list = self.parameters.iter();
        list.map(|(parameter, parts)| Stored::of(source, parts, panels(parameter))).collect()
    }

    /// The elements of each parameter.
    fn lengths(&self) -> impl Iterator<Item = u128> {
        self.parameters.iter().map(|(parameter, _)| parameter.shape.len() as u128)
    }

    /// Reads all parameters, row-major; in panels where `panels` says that they may be.
    ///
    /// # Errors
    /// If elements are damaged or not finite, or a tensor that has to repeat another differs.
    pub(super) fn read<T: Element>(
        self,
        source: &Source,
        panels: impl Fn(&Parameter) -> Option<InPanels>,
    ) -> Result<Vec<Buffer<T>>> {
        let stored = self.stored(source, panels);
        // All weights, and for each thread one tensor as it is in the file.
        let passing = self.lengths().zip(&stored).filter(|(_, stored)| stored.passes());
        let mut passing: Vec<u128> = passing.map(|(len, _)| len).collect();
        passing.sort_unstable();
        let passing = passing.iter().rev().take(rayon::current_num_threads()).sum::<u128>();
        let bytes = self.bytes_of::<T>(&stored) + passing * size_of::<T>() as u128;
        memory::check(&format!("weights in {}", T::NAME), bytes, || {
            let less = if T::NAME == f64::NAME { "use --dtype f32, or " } else { "" };
            format!("{less}choose a smaller model")
        })?;
        type Planned = ((Parameter, Vec<StridedCopy>), Stored);
        let parameter = |passing: &mut Passing<T>, ((parameter, parts), stored): Planned| {
            stored.read(source, &parts, parameter.shape.len(), passing)
        };
        // Of several errors the first one in the order of the parameters, whatever the threads.
        let weights: Vec<Result<Buffer<T>>> = self
            .parameters
            .into_par_iter()
            .zip(stored)
            .map_init(Passing::default, parameter)
            .collect();
        let weights = weights.into_iter().collect::<Result<_>>()?;
        if let Some((name, of, shape)) = &self.repeats
            && source.get::<f64>(name, shape)? != source.get::<f64>(of, shape)?
        {
            let help = "the model's unembedding is its token embedding; make them equal, or set \
                        \"tie_word_embeddings\" to false in config.json";
            return Err(source.error(name, format!("differs from {of}"), help));
        }
        Ok(weights)
    }
}

/// The layer of a parameter and its name in it.
pub(super) fn in_layer(name: &str) -> (usize, &str) {
    let split = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.'));
    match split.and_then(|(l, part)| Some((l.parse().ok()?, part))) {
        Some(found) => found,
        None => (0, name),
    }
}
