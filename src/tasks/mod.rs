//! Tasks: where examples come from, without a word about models.
#![forbid(unsafe_code)]

pub mod language;
pub mod modular_addition;

/// The most token ids that one set of examples may hold, `n * seq_len`.
pub const MAX_TOKENS: usize = 1 << 30;

/// Rows of token ids, each with one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dataset {
    /// `[n, seq_len]`, row-major.
    pub tokens: Vec<u32>,
    /// `[n]`.
    pub targets: Vec<u32>,
    /// How many rows there are.
    pub n: usize,
    /// How many tokens a row has.
    pub seq_len: usize,
}

impl Dataset {
    /// The tokens of row `i`.
    ///
    /// # Panics
    /// When there is no row `i`.
    #[track_caller]
    pub fn row(&self, i: usize) -> &[u32] {
        &self.tokens[i * self.seq_len..(i + 1) * self.seq_len]
    }

    /// All rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.tokens.chunks_exact(self.seq_len)
    }
}

/// What a model learns from, and what it is judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The rows to learn from.
    pub train: Dataset,
    /// The rows to be judged by, if there are any.
    pub test: Option<Dataset>,
}
