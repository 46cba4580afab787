//! Interactions that are asked for: which rows and pairs are computed, and the file of what is
//! found.

use super::{Patched, patched};
use crate::attribution::Progress;
use crate::attribution::method::{eap, exact};
use crate::error::{Error, Result};
use crate::formats::interactions::{Interaction, Interactions, Row};
use crate::named::Named;
use crate::patching::behaviour::Behaviour;
use crate::patching::cost;
use crate::stats::{self, order};

/// The most edges whose whole matrix is computed unasked.
const SMALL: usize = 200;

/// The rows that are computed of larger graphs unasked.
const ROWS: usize = 20;

/// A product of dual numbers takes about as long as this many of doubles.
const DUAL: f64 = 3.0;

/// Which rows of the second derivative are computed, and which pairs are ablated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Rows of so many edges, those with the largest scores; all of small graphs unless given.
    pub rows_of: Option<usize>,
    /// So many pairs of edges are ablated, those with the largest second derivatives.
    pub patches: usize,
    /// The share of the largest effect from which on an interaction is one.
    pub threshold: f64,
}

impl Default for Request {
    fn default() -> Request {
        Request { rows_of: None, patches: 20, threshold: 0.1 }
    }
}

/// Two edges, the first before the second, and the metric's second derivative by their masks.
struct Couple {
    i: usize,
    j: usize,
    second_derivative: f64,
}

impl Request {
    /// Checks the threshold.
    ///
    /// # Errors
    /// If it is not between 0 and 1.
    pub fn check(&self) -> Result<()> {
        if self.threshold > 0.0 && self.threshold < 1.0 {
            return Ok(());
        }
        let message = format!("must lie between 0 and 1, got {}", self.threshold);
        Err(Error::input("--threshold", message, "give a share such as 0.1"))
    }

    /// The edges whose rows are computed, rising: those with the largest scores.
    ///
    /// # Errors
    /// Those of the scores.
    pub fn rows(&self, b: &Behaviour<'_, f64>) -> Result<Vec<usize>> {
        let edges = b.graph.edges();
        let scores = match edges <= SMALL {
            // Ablation is cheap here, and sees what is flat at the clean run.
            true => exact::scores(b, &mut |_| {})?,
            false => eap::scores(b, &mut |_| {})?,
        };
        let mut rows = stats::by_size(&scores.values);
        rows.truncate(self.rows_of.unwrap_or(if edges <= SMALL { edges } else { ROWS }));
        rows.sort_unstable();
        Ok(rows)
    }

    /// How long so many rows take.
    ///
    /// # Errors
    /// Those of the behaviour.
    pub fn seconds(&self, b: &Behaviour<'_, f64>, rows: usize) -> Result<f64> {
        cost::seconds(b, rows as f64 * DUAL * (1.0 + cost::BACKWARD))
    }

    /// The pairs of an edge of `rows` and any other with the largest values of `matrix [rows][E]`,
    /// ablated one, the other and both.
    ///
    /// # Errors
    /// Those of the runs.
    pub fn pairs(
        &self,
        b: &Behaviour<'_, f64>,
        rows: &[usize],
        matrix: &[Vec<f64>],
        progress: &mut Progress<'_>,
    ) -> Result<Vec<Interaction>> {
        let mut couples = couples(rows, matrix);
        couples.truncate(self.patches);
        let list: Vec<(usize, usize)> = couples.iter().map(|couple| (couple.i, couple.j)).collect();
        let found = patched(b, &list, progress)?;
        let name = |e: usize| b.graph.edge(e).to_string();
        let interaction = |(p, couple): (&Patched, &Couple)| Interaction {
            i: name(p.i),
            j: name(p.j),
            second_derivative: couple.second_derivative,
            interaction: p.interaction(),
            without_i: p.without_i,
            without_j: p.without_j,
            without_both: p.without_both,
            relation: p.relation(self.threshold).name().into(),
        };
        Ok(found.iter().zip(&couples).map(interaction).collect())
    }

    /// The file of what is found; `model` is the model's hash.
    pub fn file(
        &self,
        b: &Behaviour<'_, f64>,
        (rows, matrix): (&[usize], Vec<Vec<f64>>),
        pairs: Vec<Interaction>,
        model: Option<String>,
    ) -> Interactions {
        let name = |e: usize| b.graph.edge(e).to_string();
        let meta = [
            ("metric", b.question.metric().name().into()),
            ("baseline", b.baseline.name().into()),
            ("threshold", self.threshold.into()),
            ("pairs", b.pairs.len().into()),
            ("version", env!("CARGO_PKG_VERSION").into()),
        ];
        let meta = meta.into_iter().chain(model.map(|hash| ("model", hash.into())));
        Interactions {
            meta: meta.map(|(key, value)| (key.into(), value)).collect(),
            pairs,
            rows: rows.iter().map(|&e| name(e)).collect(),
            columns: (0..b.graph.edges()).map(name).collect(),
            second_derivatives: matrix.into_iter().map(Row).collect(),
        }
    }
}

/// Every couple with an edge of `rows`, once, the largest second derivative first; `matrix` is
/// `[rows][E]`.
fn couples(rows: &[usize], matrix: &[Vec<f64>]) -> Vec<Couple> {
    let mut couples = vec![];
    for (&i, row) in rows.iter().zip(matrix) {
        let others = row.iter().enumerate();
        let once = others.filter(|&(j, _)| j != i && (j > i || rows.binary_search(&j).is_err()));
        couples.extend(once.map(|(j, &second_derivative)| Couple {
            i: i.min(j),
            j: i.max(j),
            second_derivative,
        }));
    }
    order::sort_by(&mut couples, |a, b| {
        let sizes = b.second_derivative.abs().total_cmp(&a.second_derivative.abs());
        sizes.then((a.i, a.j).cmp(&(b.i, b.j)))
    });
    couples
}
