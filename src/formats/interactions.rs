//! Interactions of edges, as `edgegrad interactions` writes them.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result, at_key};
use crate::files::json;

/// Second derivatives of the metric by pairs of masks, and what patching the largest of them did.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Interactions {
    /// Where the values come from: metric, baseline, model, ..
    #[serde(default)]
    pub meta: Map<String, Value>,
    /// Pairs of edges, the largest second derivative first.
    pub pairs: Vec<Interaction>,
    /// `[n]`, the edges that the rows belong to.
    #[serde(default)]
    pub rows: Vec<String>,
    /// `[E]`, all edges.
    #[serde(default)]
    pub columns: Vec<String>,
    /// `[n][E]`.
    pub second_derivatives: Vec<Row>,
}

/// A row of second derivatives, `[E]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Row(#[serde(deserialize_with = "json::nans_for_nulls")] pub Vec<f64>);

/// Two edges that stand in for each other, or need each other. NaN is written `null`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Interaction {
    /// The name of the first edge.
    pub i: String,
    /// The name of the second.
    pub j: String,
    /// Of the metric by both masks.
    #[serde(deserialize_with = "json::nan_for_null")]
    pub second_derivative: f64,
    /// What removing both does beyond the sum of what removing each does.
    #[serde(deserialize_with = "json::nan_for_null")]
    pub interaction: f64,
    /// The fall of the metric without the first edge.
    #[serde(deserialize_with = "json::nan_for_null")]
    pub without_i: f64,
    /// The fall of the metric without the second.
    #[serde(deserialize_with = "json::nan_for_null")]
    pub without_j: f64,
    /// The fall of the metric without both.
    #[serde(deserialize_with = "json::nan_for_null")]
    pub without_both: f64,
    /// `joint`, `redundant`, `opposed` or `additive`.
    pub relation: String,
}

impl Interactions {
    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        json::write_marked(file, self)
    }

    /// The interactions in `value`, the content of `file`; none if it has none.
    ///
    /// # Errors
    /// When it has, but not in the right form.
    pub fn of(file: &Path, value: &Value) -> Result<Option<Interactions>> {
        if value.get("second_derivatives").is_none() {
            return Ok(None);
        }
        let help = "give what `edgegrad interactions --out FILE.json` wrote";
        let fail = |error| Error::input(at_key(file, "pairs"), error, help);
        Interactions::deserialize(value).map(Some).map_err(fail)
    }
}
