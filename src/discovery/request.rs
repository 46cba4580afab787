//! A circuit that is asked for: a search, where it stops, and the file of what it finds.

use super::connect::Flow;
use super::faithfulness::smallest;
use super::heaviest::Heaviest;
use super::minimal::Minimal;
use super::select::Rank;
use super::{Search, acdc, edge_pruning, heaviest, minimal, select};
use crate::error::{Error, Result};
use crate::formats::{Convention, EdgeFile, Meta};
use crate::named::Named;
use crate::patching::Progress;
use crate::patching::behaviour::Behaviour;
use crate::patching::span::Span;
use crate::simd::Element;
use serde_json::Value;
use std::time::Duration;

/// A search and what is chosen of it. Of the four sizes one is given, of the kind that the method
/// takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// How the circuit is found.
    pub method: Search,
    /// Which scores come first.
    pub rank: Rank,
    /// How many edges are selected.
    pub edges: Option<usize>,
    /// The least score of an edge (threshold), or the least that its removal has to cost (acdc).
    pub tau: Option<f64>,
    /// The fewest edges are selected whose circuit is this faithful.
    pub faithfulness: Option<f64>,
    /// `minimal`: by how much the metric of a pair may change.
    pub tol: Option<f64>,
    /// `minimal`: only the edges of largest score are searched.
    pub candidates: Option<usize>,
    /// `minimal`: seconds after which the search stops.
    pub time: Option<f64>,
    /// `edge-pruning`: steps of the optimizer.
    pub steps: usize,
    /// Whether edges on no path from the input to the logits are dropped.
    pub connected: bool,
    /// The seed of `edge-pruning`.
    pub seed: u64,
}

impl Default for Request {
    fn default() -> Request {
        Request {
            method: Search::TopN,
            rank: Rank::default(),
            edges: None,
            tau: None,
            faithfulness: None,
            tol: None,
            candidates: None,
            time: None,
            steps: 1000,
            connected: false,
            seed: 0,
        }
    }
}

/// Scores by which edges are selected, and what they are called.
#[derive(Clone, Debug)]
pub struct Scored {
    /// `[E]`, in the convention of their origin.
    pub given: Vec<f64>,
    /// `[E]`, positive where the metric falls without the edge.
    pub ours: Vec<f64>,
    /// The convention of their origin.
    pub convention: Convention,
    /// Where they come from.
    pub origin: String,
}

/// Checks that scores say which edges come first: not all of them are 0.
///
/// # Errors
/// If they do not.
pub fn check_order(scores: &[f64]) -> Result<()> {
    if scores.iter().all(|&score| score == 0.0 || score.is_nan()) {
        let help = "take another metric, method or baseline, or more pairs";
        return Err(Error::input("scores", "are all 0, so no edge comes before another", help));
    }
    Ok(())
}

/// A circuit that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// `[E]`.
    pub kept: Vec<bool>,
    /// The scores of a search that makes its own.
    pub scored: Option<Scored>,
    /// `minimal`: what is proven.
    pub minimal: Option<Minimal>,
    /// `heaviest`: how far the sum of scores may be from the largest there is.
    pub heaviest: Option<Heaviest>,
}

impl Found {
    fn of(kept: Vec<bool>) -> Found {
        Found { kept, scored: None, minimal: None, heaviest: None }
    }
}

/// Where a selection stops.
#[derive(Clone, Copy)]
enum Size {
    Edges(usize),
    Tau(f64),
    Tolerance(f64),
    Faithfulness(f64),
}

impl Request {
    /// Whether the method selects edges by scores.
    pub fn scored(&self) -> bool {
        matches!(self.method, Search::TopN | Search::Greedy | Search::Heaviest | Search::Threshold)
            || self.candidates.is_some()
    }

    /// Checks that the size is one that the method takes.
    ///
    /// # Errors
    /// If it is not, or there is none or more than one.
    pub fn check(&self) -> Result<()> {
        self.size().map(drop)
    }

    /// Checks that no more edges are asked for than there are, `all`.
    ///
    /// # Errors
    /// If more are.
    pub fn check_edges(&self, all: usize) -> Result<()> {
        match self.edges {
            Some(n) if n > all => {
                let message = format!("{n} of {all} edges");
                Err(Error::input("--edges", message, "ask for no more than there are"))
            }
            _ => Ok(()),
        }
    }

    /// What is said of the size, if it fits the method.
    fn size(&self) -> Result<Size> {
        let method = format!("--method {}", self.method.name());
        let fail = |what: &str, help: &str| Err(Error::input(&method, what, help));
        if self.candidates.is_some() && self.method != Search::Minimal {
            return fail("takes no --candidates", "add --method minimal");
        }
        if self.time.is_some_and(|t| !(t > 0.0 && t.is_finite())) {
            let message = "must be a positive number of seconds";
            return Err(Error::input("--time", message, "give seconds, such as --time 60"));
        }
        let help = match self.method {
            Search::TopN | Search::Greedy => "give --edges N or --faithfulness F",
            Search::Threshold => "give --tau X or --faithfulness F: the least score of an edge",
            Search::Acdc => "give --tau X: the least that the ablation of an edge must cost",
            Search::EdgePruning | Search::Heaviest => "give --edges N",
            Search::Minimal => "give --tol X: by how much the metric of a pair may change",
        };
        let given = [
            self.edges.map(Size::Edges),
            self.tau.map(Size::Tau),
            self.faithfulness.map(Size::Faithfulness),
            self.tol.map(Size::Tolerance),
        ];
        let size = match given.into_iter().flatten().collect::<Vec<_>>()[..] {
            [size] => size,
            [] => return fail("needs --edges, --tau, --tol or --faithfulness", help),
            _ => return fail("is given two sizes", help),
        };
        let number = match size {
            Size::Tau(x) | Size::Faithfulness(x) => x.is_finite(),
            Size::Tolerance(x) => x.is_finite() && x >= 0.0,
            Size::Edges(_) => true,
        };
        if !number {
            return fail("is given a size that is no number", "give one such as 0.95");
        }
        match (self.method, size) {
            (Search::TopN | Search::Greedy, Size::Edges(_) | Size::Faithfulness(_))
            | (Search::Threshold, Size::Tau(_) | Size::Faithfulness(_))
            | (Search::Acdc, Size::Tau(_))
            | (Search::EdgePruning | Search::Heaviest, Size::Edges(_))
            | (Search::Minimal, Size::Tolerance(_)) => Ok(size),
            _ => fail("is given a size of another kind", help),
        }
    }

    /// The circuit of a behaviour; `scores [E]`, positive where the metric falls without the edge,
    /// are there if the search is [by scores](Self::scored).
    ///
    /// # Errors
    /// Those of [`check`](Self::check) and of the behaviour's runs, and if nothing is as faithful
    /// or as near as is asked.
    ///
    /// # Panics
    /// If the search is by scores and there are none.
    pub fn find<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        span: &Span,
        scores: Option<&[f64]>,
        progress: &mut Progress<'_>,
    ) -> Result<Found> {
        let size = self.size()?;
        self.check_edges(b.graph.edges())?;
        if self.scored() {
            scores.map_or(Ok(()), check_order)?;
        }
        let mut found = match (self.method, size) {
            (Search::Minimal, Size::Tolerance(tol)) => self.smallest(b, tol, scores, progress)?,
            (Search::Acdc, Size::Tau(tau)) => Found::of(acdc::search(b, tau, progress)?),
            (Search::EdgePruning, Size::Edges(edges)) => self.prune(b, edges, progress)?,
            (Search::Heaviest, Size::Edges(n)) => {
                let scores = scores.expect("scores to select by");
                let found = heaviest::heaviest(&b.graph, scores, self.rank, n);
                // Connected as it is.
                return Ok(Found { heaviest: Some(found.clone()), ..Found::of(found.kept) });
            }
            _ => {
                let scores = scores.expect("scores to select by");
                return Ok(Found::of(self.select(b, span, scores, size, progress)?));
            }
        };
        found.kept = self.pruned(b, found.kept);
        Ok(found)
    }

    /// The edges that stay of a selection.
    fn pruned<T: Element>(&self, b: &Behaviour<'_, T>, kept: Vec<bool>) -> Vec<bool> {
        if self.connected { Flow::new(&b.graph).connected(&kept) } else { kept }
    }

    /// The circuit of so many edges that edge pruning finds, and its scores.
    fn prune<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        edges: usize,
        progress: &mut Progress<'_>,
    ) -> Result<Found> {
        let options = edge_pruning::PruneOptions {
            steps: self.steps,
            seed: self.seed,
            ..edge_pruning::PruneOptions::keeping(edges)
        };
        let found = edge_pruning::prune(b, &options, progress)?;
        let scored = Scored {
            given: found.scores.clone(),
            ours: found.scores,
            // A mask is kept where the metric needs the edge.
            convention: Convention::Ours,
            origin: "the probability that the edge's mask is kept".into(),
        };
        Ok(Found { scored: Some(scored), ..Found::of(found.circuit) })
    }

    /// A smallest circuit, and what is known about smaller ones.
    fn smallest<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        tol: f64,
        scores: Option<&[f64]>,
        progress: &mut Progress<'_>,
    ) -> Result<Found> {
        let candidates = scores.zip(self.candidates).map(|(scores, n)| {
            let mut order = self.rank.order(scores);
            order.truncate(n);
            order
        });
        let options = minimal::MinimalOptions {
            // More seconds than a clock can count are no limit.
            time: self.time.and_then(|s| Duration::try_from_secs_f64(s).ok()),
            candidates,
            ..minimal::MinimalOptions::within(tol)
        };
        let found = minimal::minimal(b, &options, progress)?;
        let Some(circuit) = found.circuit.clone() else {
            let message = format!("no circuit keeps every pair within {tol}");
            return Err(Error::input("--tol", message, "allow more, or more --time"));
        };
        Ok(Found { minimal: Some(found), ..Found::of(circuit) })
    }

    fn select<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        span: &Span,
        scores: &[f64],
        size: Size,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<bool>> {
        let count = scores.len();
        let order = match self.method {
            Search::Greedy => select::greedy_order(&b.graph, scores, self.rank),
            _ => self.rank.order(scores),
        };
        let target = match size {
            Size::Edges(n) => return Ok(self.pruned(b, select::first(&order, n, count))),
            Size::Tau(tau) => return Ok(self.pruned(b, select::threshold(scores, self.rank, tau))),
            Size::Faithfulness(target) | Size::Tolerance(target) => target,
        };
        let sizes = sizes(order.len());
        let circuit = |i: usize| self.pruned(b, select::first(&order, sizes[i], count));
        match smallest(b, span, sizes.len(), circuit, target, progress)? {
            Ok((i, _)) => Ok(circuit(i)),
            Err((i, f)) => Err(Error::input(
                "--faithfulness",
                format!(
                    "no selection reaches {target}; the best, of {} edges, has {f:.4}",
                    sizes[i]
                ),
                "ask for less, or rank the edges by other scores",
            )),
        }
    }

    /// The file of a circuit; `model` is the hash of the model, `tokens` what stands at the
    /// positions of edges.
    pub fn file<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        kept: &[bool],
        scored: Option<&Scored>,
        convention: Convention,
        (model, tokens): (Option<String>, Option<Vec<String>>),
    ) -> EdgeFile {
        let convention = scored.map_or(convention, |scored| scored.convention);
        let meta = Meta {
            method: Some(self.method.name().into()),
            metric: Some(b.question.metric().name().into()),
            baseline: Some(b.baseline.name().into()),
            convention: Some(convention.name().into()),
            model,
            pairs: Some(b.pairs.len() as u64),
            pairs_hash: Some(b.pairs.hash()),
            tokens,
            dtype: Some(T::NAME.into()),
            seed: (self.method == Search::EdgePruning).then_some(self.seed),
            ..Meta::default()
        };
        let given = scored.map(|scored| &scored.given[..]);
        let mut file = b.graph.circuit_file(kept, given, &meta);
        let mut note = |key: &str, value: Value| file.meta.insert(key.into(), value);
        if let Some(scored) = scored {
            note("scores", scored.origin.clone().into());
        }
        if self.scored() {
            note("rank", self.rank.name().into());
        }
        let given = [("tau", self.tau), ("faithfulness", self.faithfulness), ("tol", self.tol)];
        for (key, number) in given {
            if let Some(number) = number {
                note(key, number.into());
            }
        }
        note("connected", self.connected.into());
        file
    }
}

/// The sizes that are tried on the way to a faithfulness: all of them up to 200, then steps of half
/// a per cent.
fn sizes(all: usize) -> Vec<usize> {
    let next = |&n: &usize| Some((n + (n / 200).max(1)).min(all)).filter(|_| n < all);
    std::iter::successors(Some(0), next).collect()
}
