//! Crossing edges, as `edgegrad crossing` writes them.

use crate::error::Result;
use crate::files::json;
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::Path;

/// What attention carries from one position to another.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Crossings {
    /// Where the values come from: metric, baseline, model, what stands at the positions, ..
    pub meta: Map<String, Value>,
    /// Those that are not zero, the largest first.
    pub crossings: Vec<Crossing>,
}

/// A crossing edge.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Crossing {
    /// The head, such as `a1.h0`.
    pub head: String,
    /// `k` if the keys were ablated, `v` if the values were.
    pub by: String,
    /// The position, or span, of the key.
    pub from: usize,
    /// That of the query.
    pub to: usize,
    /// What the metric falls by without it.
    pub score: f64,
}

impl Crossings {
    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        json::write_marked(file, self)
    }
}
