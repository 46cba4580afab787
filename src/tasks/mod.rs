//! Tasks: data sets, independent of models.
#![forbid(unsafe_code)]

pub mod language;
pub mod modular_addition;
pub mod prompts;

/// The most token ids that one set of examples may hold, `n * seq_len`.
pub(crate) const MAX_TOKENS: usize = 1 << 30;

/// Rows of token ids, each with one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dataset {
    /// `[n, seq_len]`, row-major.
    pub tokens: Vec<u32>,
    /// `[n]`.
    pub targets: Vec<u32>,
    /// The number of rows.
    pub n: usize,
    /// The number of tokens of a row.
    pub seq_len: usize,
}

impl Dataset {
    /// The tokens of row `i`: `[seq_len]`.
    ///
    /// # Panics
    /// If there is no row `i`.
    #[track_caller]
    pub fn row(&self, i: usize) -> &[u32] {
        &self.tokens[i * self.seq_len..(i + 1) * self.seq_len]
    }

    /// All rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.tokens.chunks_exact(self.seq_len)
    }
}

/// A training set and a test set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The training set.
    pub train: Dataset,
    /// The test set, if there is one.
    pub test: Option<Dataset>,
}
