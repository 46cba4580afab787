//! Checkpoints: a folder that holds all a run needs to go on with the same bits, and that is a
//! model folder at the same time.
//!
//! `config.json` and `model.safetensors` are the model; `optimizer.safetensors` holds the moments
//! (`PARAMETER.m`, `PARAMETER.v`), `state.json` the rest.

use super::batches::BatchesState;
use crate::checkpoints::pooled::ModelFile;
use crate::error::{Error, Result};
use crate::files::safetensors::{Tensor, Tensors};
use crate::files::{atomic, hash, safetensors, sha256};
use crate::nn::Optimizer;
use crate::nn::pooled;
use crate::nn::pooled::Parameter;
use crate::rng::RngState;
use crate::simd::Element;
use crate::tensor::Buffer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where a run stands, beside its weights and moments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The version of this file.
    pub version: u32,
    /// `f32` or `f64`.
    pub dtype: String,
    /// The stage, counted from 0.
    pub stage: usize,
    /// Steps done in the stage.
    pub stage_step: u64,
    /// Steps done in all stages.
    pub step: u64,
    /// The length of `metrics.jsonl`.
    pub metrics_bytes: u64,
    /// Steps the optimizer has begun.
    pub optimizer_steps: u64,
    /// Where the stream of batches stands.
    pub batches: BatchesState,
    /// Where the generator of dropped activations stands.
    pub dropout: RngState,
    /// The SHA-256 of each of the other files, and of this one without its own and without the
    /// length of the log; none in checkpoints of earlier versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hashes: BTreeMap<String, String>,
}

/// The key of [`State::hashes`] for the state itself.
const OWN: &str = "state.json";

impl State {
    /// The same state with the hashes of the files in `folder` and its own.
    fn sealed(&self, folder: &Path) -> Result<State> {
        let mut state = State { hashes: BTreeMap::new(), ..self.clone() };
        for name in FILES.iter().filter(|name| **name != OWN) {
            state.hashes.insert((*name).into(), hash(&folder.join(name))?);
        }
        // A resumed run has said more in its log by the same step.
        let own = sha256(&pretty(&State { metrics_bytes: 0, ..state.clone() }));
        state.hashes.insert(OWN.into(), own);
        Ok(state)
    }

    /// Whether the files in `folder` are those that were written.
    fn check(&self, folder: &Path) -> Result<()> {
        if !self.hashes.is_empty() && self.sealed(folder)? != *self {
            let message = "is not what was written: a file in it has changed";
            return Err(Error::input(folder.display(), message, DAMAGED));
        }
        Ok(())
    }
}

/// The files of a checkpoint.
pub(super) const FILES: [&str; 4] =
    ["config.json", "model.safetensors", "optimizer.safetensors", OWN];

/// The version of [`State`].
pub const VERSION: u32 = 1;

/// What to do about a checkpoint that cannot be read.
pub(super) const DAMAGED: &str =
    "the checkpoint is damaged; remove its folder and resume from an earlier one";

/// What a checkpoint restores.
pub struct Restored<T> {
    /// Where the run stood.
    pub state: State,
    /// In the order of the model's parameters.
    pub weights: Vec<Vec<T>>,
    /// By parameter, then by moment.
    pub moments: Vec<Vec<Buffer<T>>>,
}

const MOMENTS: [&str; 2] = ["m", "v"];

/// The weights as tensors for a file.
pub fn weights<T: Element>(parameters: &[Parameter], numbers: &[&[T]]) -> Vec<Tensor> {
    let pairs = parameters.iter().zip(numbers);
    pairs.map(|(p, numbers)| Tensor::new(p.name, p.shape.dims(), numbers)).collect()
}

/// Writes the checkpoint `folder`, in place of one that is there.
///
/// # Errors
/// If it cannot be written; an earlier checkpoint of another name is then untouched.
pub fn write<T: Element>(
    folder: &Path,
    config: &pooled::Config,
    numbers: &[&[T]],
    optimizer: &Optimizer<T>,
    state: &State,
) -> Result<()> {
    let parameters = config.parameters();
    let mut moments = vec![];
    for (i, p) in parameters.iter().enumerate() {
        for (name, numbers) in MOMENTS.iter().zip(optimizer.moments(i)) {
            moments.push(Tensor::new(format!("{}.{name}", p.name), p.shape.dims(), numbers));
        }
    }
    let model = ModelFile::of(config);
    let none = Default::default();
    atomic::replace_folder(folder, |folder| {
        safetensors::write(
            folder.join("model.safetensors"),
            &weights(&parameters, numbers),
            &none,
        )?;
        safetensors::write(folder.join("optimizer.safetensors"), &moments, &none)?;
        atomic::write_bytes(folder.join("config.json"), &pretty(&model))?;
        atomic::write_bytes(folder.join(OWN), &pretty(&state.sealed(folder)?))
    })
}

fn pretty(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("plain structs are valid JSON");
    text.push(b'\n');
    text
}

/// Reads a checkpoint of a run with this model.
///
/// # Errors
/// If a file is missing, damaged, or of another model.
pub fn read<T: Element>(folder: &Path, config: &pooled::Config) -> Result<Restored<T>> {
    let path = folder.join("state.json");
    let text = fs::read_to_string(&path).map_err(|e| damaged(Error::io(&path, &e, "read")))?;
    let state: State =
        serde_json::from_str(&text).map_err(|e| Error::input(path.display(), e, DAMAGED))?;
    if state.version != VERSION {
        let message = format!("is of version {}, expected {VERSION}", state.version);
        let help = "resume with the edgegrad that wrote it, or start again with --force";
        return Err(Error::input(path.display(), message, help));
    }
    if state.dtype != T::NAME {
        let message = format!("holds {}, expected {}", state.dtype, T::NAME);
        return Err(Error::input(path.display(), message, DAMAGED));
    }
    state.check(folder).map_err(damaged)?;
    let (weights, moments) = read_tensors(folder, config).map_err(damaged)?;
    Ok(Restored { state, weights, moments })
}

/// An error of one of the checkpoint's files, with the help that fits.
fn damaged(e: Error) -> Error {
    match e {
        Error::Input { place, message, .. } => Error::input(place, message, DAMAGED),
        failed => failed,
    }
}

/// By parameter, and then by moment.
type Numbers<T> = (Vec<Vec<T>>, Vec<Vec<Buffer<T>>>);

fn read_tensors<T: Element>(folder: &Path, config: &pooled::Config) -> Result<Numbers<T>> {
    let model = Tensors::read(folder.join("model.safetensors"))?;
    let optimizer = Tensors::read(folder.join("optimizer.safetensors"))?;
    let (mut weights, mut moments) = (vec![], vec![]);
    for p in config.parameters() {
        weights.push(model.get_shaped(p.name, p.shape.dims())?);
        let names = MOMENTS.iter().map(|m| format!("{}.{m}", p.name));
        let there = names.filter(|name| optimizer.contains(name));
        let read = |name: String| -> Result<Buffer<T>> {
            let numbers: Vec<T> = optimizer.get_shaped(&name, p.shape.dims())?;
            Ok(Buffer::from(&*numbers))
        };
        moments.push(there.map(read).collect::<Result<Vec<_>>>()?);
    }
    Ok((weights, moments))
}

/// The folder of the checkpoint after `step` steps.
pub fn folder(run: &Path, step: u64) -> PathBuf {
    run.join("checkpoints").join(format!("step-{step:06}"))
}

/// The folder of the final weights.
pub(crate) fn final_folder(run: &Path) -> PathBuf {
    run.join("checkpoints").join("final")
}

/// The checkpoints of a run, the latest first; the final one does not count.
///
/// # Errors
/// If the folder cannot be listed.
pub fn all(run: &Path) -> Result<Vec<PathBuf>> {
    let folder = run.join("checkpoints");
    if !folder.exists() {
        return Ok(vec![]);
    }
    let fail = |e: std::io::Error| Error::io(&folder, &e, "list");
    let mut found: Vec<(u64, PathBuf)> = vec![];
    for entry in fs::read_dir(&folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        found.extend(step_of(&path).map(|step| (step, path)));
    }
    found.sort();
    Ok(found.into_iter().rev().map(|(_, path)| path).collect())
}

/// The step in the name of a checkpoint.
pub(super) fn step_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()
}
