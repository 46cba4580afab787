//! Models in GGUF files, as the `config.json` and the tensors that Hugging Face has for them.
//!
//! llama.cpp's converter writes some tensors in another way than Hugging Face:
//!
//! | architecture | tensor | difference |
//! | --- | --- | --- |
//! | `llama`, `olmo`, `smollm3` | queries, keys | rows that rotate together are neighbours |
//! | `gemma`, `gemma2`, `gemma3` | gains of norms | their 1 is added |
//! | `gpt2` | matrices | `[out, in]` |
//! | `gptneox`, `bloom`, `falcon` | queries, keys, values | all queries, all keys, all values |
//!
//! Here these are undone.

mod architecture;
mod config;
mod layout;
mod rotation;

use super::source::NamedTensors;
use crate::error::Result;
use crate::files::gguf::{Dtype, Gguf, Header, Plane};
use crate::simd::Half;
use architecture::Architecture;
use config::{Keys, Sizes};
use layout::Layout;
use rotation::FACTORS;
use serde_json::Value;
use std::collections::BTreeMap;

/// The tensors of a GGUF file under their names of Hugging Face.
pub(super) struct GgufTensors {
    file: Gguf,
    /// By Hugging Face's name: the name in the file, and how the tensor is stored there.
    names: BTreeMap<String, (String, Layout)>,
}

/// The `config.json` that describes the model of a file, and its tensors.
///
/// # Errors
/// If the model is of an unsupported architecture, or the file does not say what is needed.
pub(super) fn model(file: Gguf) -> Result<(Value, GgufTensors)> {
    let header = file.header();
    let architecture = Architecture::of(header)?;
    let keys = Keys::new(header, architecture);
    let sizes = Sizes::read(&keys)?;
    let factors = FACTORS.map(|name| header.shape(name).map(|_| file.elements(name)).transpose());
    let [freqs, long, short] = factors;
    let config = config::config(&keys, architecture, &sizes, [freqs?, long?, short?])?;
    let mut names = BTreeMap::new();
    for name in header.names().filter(|name| !FACTORS.contains(name)) {
        let (theirs, layout) = architecture.tensor(name, &sizes);
        if let Some((other, _)) = names.insert(theirs, (name.to_string(), layout)) {
            let message = format!("is the same as `{other}`");
            return Err(header.tensor_error(name, message, "convert the model to GGUF again"));
        }
    }
    Ok((config, GgufTensors { file, names }))
}

/// Whether a file says that it holds a model of a supported architecture.
///
/// # Errors
/// If it does not.
pub(super) fn check(header: &Header) -> Result<()> {
    Architecture::of(header).map(|_| ())
}

impl NamedTensors for GgufTensors {
    fn place(&self) -> &str {
        self.file.header().place()
    }

    fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let (stored, layout) = self.names.get(name)?;
        Some(layout.shape(self.file.header().shape(stored)?))
    }

    fn half(&self, name: &str) -> Option<Half> {
        let (stored, _) = self.names.get(name)?;
        match self.file.header().dtype(stored)? {
            Dtype::F16 => Some(Half::F16),
            Dtype::BF16 => Some(Half::Bf16),
            _ => None,
        }
    }

    fn group(&self, name: &str) -> Option<usize> {
        let (stored, layout) = self.names.get(name)?;
        match layout {
            Layout::Transposed | Layout::PlusOne => None,
            Layout::Same | Layout::Neighbours { .. } | Layout::Side { .. } => {
                self.file.group(stored).ok()?
            }
        }
    }

    fn each_part(&self, name: &str, step: usize, visit: &mut dyn FnMut(&[f32])) -> Result<()> {
        self.each_number(name, Plane::Elements, step, visit)
    }

    fn each_number(
        &self,
        name: &str,
        plane: Plane,
        step: usize,
        visit: &mut dyn FnMut(&[f32]),
    ) -> Result<()> {
        // A name that is not there is the file's error.
        let (stored, layout) = match self.names.get(name) {
            Some((stored, layout)) => (&**stored, *layout),
            None => (name, Layout::Same),
        };
        let header = self.file.header();
        let per = self.file.per(stored, plane)?;
        let block = self.file.block(stored)? / per;
        let fail =
            |message| header.tensor_error(stored, message, "convert the model to GGUF again");
        let shape = header.shape(stored).unwrap_or_default();
        let len = shape.iter().product::<usize>() / per;
        let rows = shape.first().copied().unwrap_or(1);
        let width = len / rows.max(1);
        let order = layout.order(rows).map_err(fail)?;
        if layout == Layout::Transposed {
            let &[_, _] = shape else {
                return Err(fail(format!("expected two axes, got {shape:?}")));
            };
            let all = self.file.elements(stored)?;
            let turned: Vec<f32> = (0..len).map(|i| all[i % rows * width + i / rows]).collect();
            turned.chunks(step).for_each(visit);
            return Ok(());
        }
        // Pieces lie together in the file. They begin where blocks do, and parts where pieces do;
        // otherwise the whole tensor is one part here.
        let by_rows = !matches!(layout, Layout::Same | Layout::PlusOne);
        let piece = if by_rows { width } else { step };
        let fits = piece > 0 && piece.is_multiple_of(block) && step.is_multiple_of(piece);
        let at_once = if fits { step } else { len };
        let piece = if fits || by_rows { piece } else { len };
        let (mut part, mut memory) = (vec![], vec![]);
        for first in (0..len).step_by(at_once.max(1)) {
            part.resize(at_once.min(len - first), 0.0);
            for (at, to) in (first..).step_by(piece).zip(part.chunks_mut(piece)) {
                let at = if by_rows { order(at / width) * width } else { at };
                self.file.part(stored, plane, at, to, &mut memory)?;
            }
            if layout == Layout::PlusOne {
                part.iter_mut().for_each(|x| *x -= 1.0);
            }
            part.chunks(step).for_each(&mut *visit);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
