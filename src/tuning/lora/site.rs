//! The matrices that can have an adapter.

use crate::error::{Error, Result};
use crate::named::Named;
use crate::nn::stream::{Reader, Writer};
use crate::nn::transformer::Config;
use std::fmt;

/// A matrix of a layer, in the order of the computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matrix {
    /// `attn.W_QKV [D, (H + 2 KV) K]`: queries, keys and values of all heads.
    Qkv,
    /// `attn.W_O [H K, D]`: the heads' output projection.
    Output,
    /// `mlp.W_in [D, F or 2 F]`: the neurons' input projection.
    MlpIn,
    /// `mlp.W_out [F, D]`: the neurons' output projection.
    MlpOut,
}

impl Named for Matrix {
    const ALL: &'static [(&'static str, Matrix)] = &[
        ("attn.W_QKV", Matrix::Qkv),
        ("attn.W_O", Matrix::Output),
        ("mlp.W_in", Matrix::MlpIn),
        ("mlp.W_out", Matrix::MlpOut),
    ];

    fn about(self) -> String {
        let part = match self {
            Matrix::Qkv => "queries, keys and values of all heads",
            Matrix::Output => "the heads' output projection",
            Matrix::MlpIn => "the neurons' input projection",
            Matrix::MlpOut => "the neurons' output projection",
        };
        part.into()
    }
}

/// A matrix of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// The layer.
    pub layer: usize,
    /// The matrix of that layer.
    pub matrix: Matrix,
}

/// The name of the parameter: `blocks.0.attn.W_QKV`.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blocks.{}.{}", self.layer, self.matrix.name())
    }
}

impl Site {
    /// The site of the parameter `name`, such as `blocks.0.attn.W_QKV`.
    ///
    /// # Errors
    /// If no matrix of a layer has this name.
    pub fn parse(name: &str) -> Result<Site> {
        let site = name.strip_prefix("blocks.").and_then(|rest| {
            let (layer, matrix) = rest.split_once('.')?;
            Some(Site { layer: layer.parse().ok()?, matrix: Matrix::from_name(matrix)? })
        });
        // A single spelling: no `+0` and no `00`.
        site.filter(|site| site.to_string() == name).ok_or_else(|| {
            let known = Matrix::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            let help = format!("write blocks.LAYER.MATRIX with one of {known}");
            Error::input(name, "is no matrix that can have an adapter", help)
        })
    }

    /// Every matrix of a model, in the order of the computation.
    pub fn all(config: &Config) -> Vec<Site> {
        let list = Matrix::ALL.iter().map(|(_, matrix)| *matrix);
        let list: Vec<Matrix> = list.filter(|m| config.d_mlp > 0 || *m < Matrix::MlpIn).collect();
        let of = |layer| list.iter().map(move |&matrix| Site { layer, matrix });
        (0..config.layers).flat_map(of).collect()
    }

    /// `[N_in, N_out]`, the shape of the matrix in a model.
    ///
    /// # Errors
    /// If the model has no such matrix.
    pub fn shape(self, config: &Config) -> Result<[usize; 2]> {
        let (layers, d) = (config.layers, config.d_model);
        if self.layer >= layers {
            let message = format!("is not in a model of {layers} layers");
            return Err(Error::input(self, message, "layers are counted from 0"));
        }
        if self.matrix >= Matrix::MlpIn && config.d_mlp == 0 {
            let help = "choose attn.W_QKV or attn.W_O";
            return Err(Error::input(self, "is not in a model without MLPs", help));
        }
        Ok(match self.matrix {
            Matrix::Qkv => [d, config.d_qkv()],
            Matrix::Output => [config.heads * config.d_head, d],
            Matrix::MlpIn => [d, config.d_mlp_in()],
            Matrix::MlpOut => [config.d_mlp, d],
        })
    }

    /// The matrix through which a part reads.
    pub(super) fn of_reader(by: Reader) -> Option<Site> {
        match by {
            Reader::Attention(layer) => Some(Site { layer, matrix: Matrix::Qkv }),
            Reader::Mlp(layer) => Some(Site { layer, matrix: Matrix::MlpIn }),
            Reader::Logits => None,
        }
    }

    /// The matrix through which a part writes.
    pub(super) fn of_writer(by: Writer) -> Option<Site> {
        match by {
            Writer::Attention(layer) => Some(Site { layer, matrix: Matrix::Output }),
            Writer::Mlp(layer) => Some(Site { layer, matrix: Matrix::MlpOut }),
            Writer::Embed | Writer::Pos => None,
        }
    }

    /// The stage of its random numbers. Part of what a seed means: a model has at most 10,000
    /// layers.
    pub(super) fn stage(self) -> u32 {
        (self.layer * Matrix::ALL.len() + self.matrix as usize) as u32
    }
}
