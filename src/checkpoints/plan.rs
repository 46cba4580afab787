//! What each parameter of a model is copied from.

use super::source::Source;
use super::strided::StridedCopy;
use crate::error::Result;
use crate::files::gguf::Plane;
use crate::memory;
use crate::nn::transformer::{Config, Parameter};
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
        panels: impl Fn(&Parameter) -> Option<[usize; 2]>,
    ) -> u128 {
        let bytes = |(parameter, parts): &(Parameter, Vec<StridedCopy>)| {
            // What has 16 bits in the file has no more in panels.
            let narrow = panels(parameter).is_some()
                && parts.iter().all(|part| part.plus == 0.0 && source.is_narrow(&part.tensor));
            let len = parameter.shape.len() as u128;
            match panels(parameter).and_then(|shape| scaled(source, parts, shape)) {
                // Scale and offset.
                Some(scaled) => len + 8 * len / scaled.group as u128,
                None if narrow => 2 * len,
                None => len * size_of::<T>() as u128,
            }
        };
        self.parameters.iter().map(bytes).sum()
    }

    /// Reads all parameters, row-major; in panels where `panels` gives a parameter's rows and
    /// columns.
    ///
    /// # Errors
    /// If elements are damaged or not finite, or a tensor that has to repeat another differs.
    pub(super) fn read<T: Element>(
        self,
        source: &Source,
        panels: impl Fn(&Parameter) -> Option<[usize; 2]> + Sync,
    ) -> Result<Vec<Buffer<T>>> {
        // All weights, and for each thread one tensor as it is in the file.
        let lengths = self.parameters.iter().map(|(parameter, _)| parameter.shape.len() as u128);
        let mut lengths: Vec<u128> = lengths.collect();
        lengths.sort_unstable();
        let passing = lengths.iter().rev().take(rayon::current_num_threads()).sum::<u128>();
        let bytes = self.bytes::<T>(source, &panels) + passing * size_of::<T>() as u128;
        memory::check(&format!("weights in {}", T::NAME), bytes, || {
            let less = if T::NAME == f64::NAME { "use --dtype f32, or " } else { "" };
            format!("{less}choose a smaller model")
        })?;
        // What passes through a thread stays allocated: the system would clear its pages each time.
        type Passing<T> = (Buffer<T>, [Vec<f32>; 3]);
        let parameter = |passing: &mut Passing<T>, (parameter, parts): (Parameter, Vec<_>)| {
            let (rows_of, planes) = passing;
            let len = parameter.shape.len();
            let Some([rows, cols]) = panels(&parameter) else {
                let mut ours = Buffer::lasting(len);
                return fill(source, Plane::Elements, &parts, &mut ours).map(|()| ours.share());
            };
            if let Some(scaled) = scaled(source, &parts, [rows, cols]) {
                return scaled.read(source, &parts, [rows, cols], planes);
            }
            if rows_of.room() < len {
                *rows_of = Buffer::zeros(len);
            }
            rows_of.set_len(len);
            fill(source, Plane::Elements, &parts, rows_of).map(|()| rows_of.in_panels(rows, cols))
        };
        // Of several errors the first one in the order of the parameters, whatever the threads.
        let weights: Vec<Result<Buffer<T>>> =
            self.parameters.into_par_iter().map_init(Passing::default, parameter).collect();
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

/// Reads what a parameter is copied from.
fn fill<T: Element>(
    source: &Source,
    plane: Plane,
    parts: &[StridedCopy],
    ours: &mut [T],
) -> Result<()> {
    // What the file does not have is zero.
    if parts.iter().map(StridedCopy::len).sum::<usize>() < ours.len() {
        ours.fill(T::ZERO);
    }
    parts.iter().try_for_each(|part| part.read(source, plane, ours))
}

/// A matrix whose elements are integers with scales in the file.
struct ScaledCopy {
    /// Our rows that share scales.
    group: usize,
    /// What scales are copied from.
    scales: Vec<StridedCopy>,
}

/// How to copy a matrix with its integers and scales, if the file has these.
fn scaled(source: &Source, parts: &[StridedCopy], [rows, cols]: [usize; 2]) -> Option<ScaledCopy> {
    let group = source.group(&parts.first()?.tensor)?;
    let same = parts.iter().all(|part| source.group(&part.tensor) == Some(group));
    let scales = parts.iter().map(|part| part.of_groups(group, cols)).collect::<Option<_>>()?;
    (same && rows.is_multiple_of(group)).then_some(ScaledCopy { group, scales })
}

impl ScaledCopy {
    fn read<T: Element>(
        &self,
        source: &Source,
        parts: &[StridedCopy],
        [rows, cols]: [usize; 2],
        [quants, scales, offsets]: &mut [Vec<f32>; 3],
    ) -> Result<Buffer<T>> {
        let plane = |plane, parts: &[StridedCopy], rows: usize, numbers: &mut Vec<f32>| {
            numbers.resize(rows * cols, 0.0);
            fill(source, plane, parts, numbers)
        };
        plane(Plane::Quants, parts, rows, quants)?;
        plane(Plane::Scales, &self.scales, rows / self.group, scales)?;
        plane(Plane::Offsets, &self.scales, rows / self.group, offsets)?;
        Ok(Buffer::scaled([rows, cols, self.group], quants, scales, offsets))
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
