//! The scores of all edges while a model was tuned: `dynamics.json` of `edgegrad tune`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, at_key};
use crate::files::{atomic, json};

/// The scores of all edges at `n` looks.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Dynamics {
    /// `[n]`, updates before each look.
    pub steps: Vec<u64>,
    /// `[E]`, by name.
    pub edges: BTreeMap<String, Scores>,
}

/// The scores of an edge.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Scores {
    /// `[n]`.
    #[serde(deserialize_with = "json::nans_for_nulls")]
    pub scores: Vec<f64>,
    /// How they have moved, if there are enough looks to say so.
    pub trend: Option<Trend>,
}

/// The trend of an edge's score.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Trend {
    /// Score per update.
    #[serde(deserialize_with = "json::nan_for_null")]
    pub slope: f64,
    /// The correlation of score and updates; 0 for a constant score.
    #[serde(deserialize_with = "json::nan_for_null")]
    pub r: f64,
    /// The p-value, by permuted looks or by runs that learn nothing.
    #[serde(deserialize_with = "json::nan_for_null")]
    pub p: f64,
    /// The false discovery rate at which the edge counts.
    #[serde(deserialize_with = "json::nan_for_null")]
    pub q: f64,
}

impl Dynamics {
    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let value = serde_json::to_value(self).expect("keys are strings");
        atomic::write_bytes(file, format!("{value:#}\n").as_bytes())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn read(file: &Path) -> Result<Dynamics> {
        let help = "written by `edgegrad tune`; run it again for a whole one";
        let value = json::read(file, help)?;
        let dynamics = Dynamics::deserialize(&value).map_err(|error| {
            let (key, error) = json::at_fault::<Scores>(&value, "edges")
                .unwrap_or_else(|| ("steps, edges".into(), error));
            Error::input(at_key(file, key), error, help)
        })?;
        let looks = dynamics.steps.len();
        match dynamics.edges.iter().find(|(_, edge)| edge.scores.len() != looks) {
            None => Ok(dynamics),
            Some((name, edge)) => {
                let problem = format!("{} scores of {looks} looks", edge.scores.len());
                Err(Error::input(at_key(file, format_args!("edges.{name:.60}")), problem, help))
            }
        }
    }
}
