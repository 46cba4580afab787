//! The weights of some runs through time, as the page carries them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::pack::{Pack, Packed};
use crate::formats::snapshot::Snapshot;
use crate::results::run::Run;
use crate::results::thin::evenly;

/// Frames of a run.
const FRAMES: usize = 101;

/// Weights through time.
#[derive(Serialize)]
pub(crate) struct WeightsData {
    steps: Vec<u64>,
    tensors: BTreeMap<String, TensorData>,
}

#[derive(Serialize)]
struct TensorData {
    shape: Vec<usize>,
    /// `[T, ..shape]`.
    data: Packed,
}

impl WeightsData {
    /// Those of a run's snapshots in at most `numbers` numbers, with fewer frames where they would
    /// be more; and what is missing.
    pub(crate) fn of(run: &Run, numbers: usize, pack: &mut Pack) -> (Option<Self>, Vec<String>) {
        let mut notes = Vec::new();
        let Some(last) =
            run.snapshots.iter().rev().find_map(|file| Snapshot::read(&file.path).ok())
        else {
            if !run.snapshots.is_empty() {
                notes.push("snapshots: none can be read, so no weights are drawn".into());
            }
            return (None, notes);
        };
        let most = (numbers / last.len().max(1)).min(FRAMES);
        if most < 2 || last.tensors.values().flat_map(|w| &w.data).any(|x| !x.is_finite()) {
            notes.push(format!("snapshots: {} weights are too many or no numbers", last.len()));
            return (None, notes);
        }
        let mut frames: Vec<(u64, Snapshot)> = Vec::new();
        let (mut damaged, mut other) = (Vec::new(), 0);
        for file in evenly(run.snapshots.len(), most).into_iter().map(|i| &run.snapshots[i]) {
            match Snapshot::read(&file.path) {
                Ok(snapshot) if snapshot.shapes() == last.shapes() => {
                    frames.push((file.step, snapshot));
                }
                Ok(_) => other += 1,
                Err(error) => damaged.push(error.note(&run.folder)),
            }
        }
        if let Some(first) = damaged.first() {
            let more = match damaged.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more snapshots)"),
            };
            notes.push(format!("{first}{more}"));
        }
        if other > 0 {
            notes
                .push(format!("snapshots: {other} of other sizes than the last one are not shown"));
        }
        let tensor = |name: &str, shape: &[usize]| {
            let size = shape.iter().product::<usize>().max(1);
            let all: Vec<f32> =
                frames.iter().flat_map(|(_, s)| s.tensors[name].data.iter().copied()).collect();
            TensorData { shape: shape.to_vec(), data: pack.rounded(&all, size) }
        };
        let mut tensor = tensor;
        let tensors =
            last.shapes().into_iter().map(|(name, shape)| (name.into(), tensor(name, shape)));
        let tensors = tensors.collect();
        (Some(WeightsData { steps: frames.iter().map(|f| f.0).collect(), tensors }), notes)
    }
}
