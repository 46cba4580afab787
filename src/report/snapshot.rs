//! One file of `snapshots/`: the embeddings at a step.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use super::error::{Place, ReportError};

const HELP: &str = "snapshots are safetensors files with F32 or F64 matrices `token_emb.weight` \
                    and `pos_emb.weight`; delete this one if the run was killed while writing it";

/// A matrix, row after row.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// How many rows.
    pub rows: usize,
    /// How many numbers in each.
    pub cols: usize,
    /// `rows * cols` numbers.
    pub data: Vec<f64>,
}

impl Matrix {
    /// Row `r`.
    pub fn row(&self, r: usize) -> &[f64] {
        &self.data[r * self.cols..(r + 1) * self.cols]
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        self.data.iter().all(|x| x.is_finite())
    }
}

/// The embeddings at a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Token embedding E, `[V, D]`.
    pub tokens: Matrix,
    /// Position embedding P, `[L, D]`.
    pub positions: Matrix,
}

impl Snapshot {
    /// Reads the two embeddings of a file.
    ///
    /// # Errors
    /// When the file or one of the tensors is missing, damaged, of another type or not a matrix.
    pub fn read(file: &Path) -> Result<Self, ReportError> {
        let bytes = std::fs::read(file).map_err(|error| ReportError::io(file, &error, HELP))?;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| ReportError::new(file, Place::File, error, HELP))?;
        Ok(Snapshot {
            tokens: matrix(file, &tensors, "token_emb.weight")?,
            positions: matrix(file, &tensors, "pos_emb.weight")?,
        })
    }
}

fn matrix(file: &Path, tensors: &SafeTensors<'_>, name: &str) -> Result<Matrix, ReportError> {
    let fail = |problem: String| ReportError::new(file, Place::Tensor(name.into()), problem, HELP);
    let tensor = tensors.tensor(name).map_err(|error| fail(error.to_string()))?;
    let &[rows, cols] = tensor.shape() else {
        return Err(fail(format!("shape {:?}, expected a matrix", tensor.shape())));
    };
    if rows == 0 || cols == 0 {
        return Err(fail(format!("shape {:?} is empty", tensor.shape())));
    }
    let data = match tensor.dtype() {
        Dtype::F32 => tensor
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| f64::from(f32::from_le_bytes(bytes)))
            .collect(),
        Dtype::F64 => {
            tensor.data().as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()
        }
        other => return Err(fail(format!("type {other:?}, expected F32 or F64"))),
    };
    Ok(Matrix { rows, cols, data })
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    fn write(file: &Path, tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) {
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            (name.to_string(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
    }

    #[test]
    fn reads_both_precisions() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("step-000000.safetensors");
        let f32s = [1.0f32, 2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let f64s = [0.1f64, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        write(
            &file,
            &[
                ("token_emb.weight", Dtype::F32, vec![1, 2], f32s),
                ("pos_emb.weight", Dtype::F64, vec![2, 1], f64s),
            ],
        );
        let snapshot = Snapshot::read(&file).unwrap();
        assert_eq!(snapshot.tokens, Matrix { rows: 1, cols: 2, data: vec![1.0, 2.0] });
        assert_eq!(snapshot.positions.row(1), [4.0]);
    }

    #[test]
    fn errors_name_file_and_tensor() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("step-000001.safetensors");
        write(&file, &[("token_emb.weight", Dtype::F32, vec![2], vec![0; 8])]);
        let error = Snapshot::read(&file).unwrap_err();
        assert_eq!(error.place, Place::Tensor("token_emb.weight".into()));
        assert!(error.to_string().contains("step-000001.safetensors"));
        std::fs::write(&file, b"not weights").unwrap();
        assert_eq!(Snapshot::read(&file).unwrap_err().place, Place::File);
    }
}
