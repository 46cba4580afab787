//! The files of `snapshots/` in a run folder: the weights at a step each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

use crate::error::{Error, Result};
use crate::files::input;
use crate::stats::order;

/// The folder of a run that holds them.
pub const FOLDER: &str = "snapshots";

const HELP: &str = "snapshots are safetensors files of F32 or F64 tensors; delete this one if the \
                    run was killed while writing it";

/// A weights file of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Updates before it was taken.
    pub step: u64,
    /// Where it is.
    pub path: PathBuf,
}

impl SnapshotFile {
    /// The file of the weights of `run` after `step` updates.
    pub fn path(run: &Path, step: u64) -> PathBuf {
        run.join(FOLDER).join(format!("step-{step:06}.safetensors"))
    }

    /// The files of `run` in order of steps; none where the folder cannot be read.
    pub fn all(run: &Path) -> Vec<SnapshotFile> {
        let mut files: Vec<_> = std::fs::read_dir(run.join(FOLDER))
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_name()?.to_str()?;
                let step =
                    name.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok()?;
                Some(SnapshotFile { step, path })
            })
            .collect();
        order::sort_by(&mut files, |a, b| (a.step, &a.path).cmp(&(b.step, &b.path)));
        files
    }
}

/// A tensor, the last index running fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// As PyTorch stores it.
    pub shape: Vec<usize>,
    /// As many numbers as the shape says.
    pub data: Vec<f32>,
}

/// All weights at a step, by the authors' names (`token_emb.weight`, `mlp.fc1.bias`, ..).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// By name.
    pub tensors: BTreeMap<String, Weights>,
}

impl Snapshot {
    /// Reads a file.
    ///
    /// # Errors
    /// When the file is missing or damaged, or a tensor is of another type.
    pub fn read(file: &Path) -> Result<Self> {
        let bytes = input::of_run(file, HELP)?;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| Error::input(file.display(), error, HELP))?;
        let mut snapshot = Snapshot::default();
        for (name, tensor) in tensors.iter() {
            let data = match tensor.dtype() {
                Dtype::F32 => {
                    let numbers = tensor.data().as_chunks().0.iter();
                    numbers.map(|&bytes| f32::from_le_bytes(bytes)).collect()
                }
                Dtype::F64 => {
                    let numbers = tensor.data().as_chunks().0.iter();
                    numbers.map(|&bytes| f64::from_le_bytes(bytes) as f32).collect()
                }
                other => {
                    let place = format!("{}, tensor `{name}`", file.display());
                    let problem = format!("type {other:?}, expected F32 or F64");
                    return Err(Error::input(place, problem, HELP));
                }
            };
            let weights = Weights { shape: tensor.shape().to_vec(), data };
            snapshot.tensors.insert(name.into(), weights);
        }
        Ok(snapshot)
    }

    /// The names and shapes of all tensors.
    pub fn shapes(&self) -> Vec<(&str, &[usize])> {
        self.tensors.iter().map(|(name, w)| (name.as_str(), &w.shape[..])).collect()
    }

    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.tensors.values().map(|w| w.data.len()).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

    fn write(tensors: Vec<(&str, TensorView<'_>)>) -> Result<Snapshot> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("step-000000.safetensors");
        std::fs::write(&file, safetensors::serialize(tensors, None).unwrap()).unwrap();
        Snapshot::read(&file)
    }

    #[test]
    fn files_are_found_in_order_of_steps() {
        let run = tempfile::tempdir().unwrap();
        std::fs::create_dir(run.path().join(FOLDER)).unwrap();
        assert_eq!(SnapshotFile::all(&run.path().join("elsewhere")), []);
        let steps = [1_000_000, 50, 0];
        for path in steps.map(|step| SnapshotFile::path(run.path(), step)) {
            std::fs::write(path, "").unwrap();
        }
        std::fs::write(run.path().join(FOLDER).join("step-x.safetensors"), "").unwrap();
        let found: Vec<u64> = SnapshotFile::all(run.path()).iter().map(|f| f.step).collect();
        assert_eq!(found, [0, 50, 1_000_000]);
    }

    #[test]
    fn reads_both_precisions() {
        let single: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let double: Vec<u8> = [0.25f64].iter().flat_map(|x| x.to_le_bytes()).collect();
        let snapshot = write(vec![
            ("a", TensorView::new(Dtype::F32, vec![1, 2], &single).unwrap()),
            ("b", TensorView::new(Dtype::F64, vec![1], &double).unwrap()),
        ])
        .unwrap();
        assert_eq!(snapshot.tensors["a"], Weights { shape: vec![1, 2], data: vec![1.5, -2.0] });
        assert_eq!(snapshot.tensors["b"].data, [0.25]);
        assert_eq!((snapshot.len(), snapshot.shapes()[0].0), (3, "a"));
    }

    #[test]
    fn whole_numbers_and_torn_files_are_refused_by_name() {
        let view = TensorView::new(Dtype::I32, vec![1], &[0; 4]).unwrap();
        let error = write(vec![("ids", view)]).unwrap_err();
        assert!(error.to_string().contains("tensor `ids`: type I32"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("torn.safetensors");
        std::fs::write(&file, [9, 0, 0, 0, 0, 0, 0, 0, b'{']).unwrap();
        assert!(Snapshot::read(&file).unwrap_err().to_string().contains("torn.safetensors"));
    }
}
