//! What a model is tuned for, as runs see it: generated language, or somebody's own pairs.

use super::settings::Settings;
use crate::error::Result;
use crate::formats::pairs::Pairs;
use crate::formats::tuning_report::Judgement;
use crate::nn::transformer::Model;
use crate::tuning::Task;
use std::collections::BTreeMap;
use std::path::Path;

/// The batches and pairs of one run, and the shape that they are recorded in.
pub trait Material: Task {
    /// Tokens in a row.
    fn length(&self) -> usize;

    /// Rows of a part of a batch.
    fn rows(&self) -> usize;

    /// Pairs of tokens that are to be equally likely, in a part.
    fn gaps(&self) -> usize {
        0
    }

    /// `n` pairs that no update sees, or as many as there are.
    ///
    /// # Errors
    /// If there are none.
    fn unseen(&self, n: usize) -> Result<Pairs>;
}

/// What a model is tuned for and judged by, whatever the method and the seed.
pub trait Subject: Sync {
    /// The name of the task in files.
    fn task(&self) -> &'static str;

    /// What it is, in a few words.
    fn title(&self) -> String;

    /// What its target is called in tables.
    fn target_name(&self) -> &'static str;

    /// The batches and pairs of a run.
    ///
    /// # Errors
    /// If the settings ask for what it does not have.
    fn material<'a>(
        &'a self,
        settings: &'a Settings,
        base: &'a Model<f32>,
        seed: u64,
    ) -> Result<Box<dyn Material + 'a>>;

    /// How the model did before tuning.
    fn base(&self) -> Judgement;

    /// How a model does.
    fn judge(&self, model: &Model<f32>) -> Judgement;

    /// The hashes of its files by their names; none of a task without files.
    fn inputs(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Writes what its tokens are called into the folder of a tuned model.
    ///
    /// # Errors
    /// If it cannot be written.
    fn write_words(&self, folder: &Path) -> Result<()>;
}
