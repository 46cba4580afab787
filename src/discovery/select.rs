//! Circuits from scores: the edges of largest score, and what is left of them when all that leads
//! nowhere is dropped.
//!
//! Edges stand in one order, by falling `|score|` ([`Rank::Abs`]) or by falling score
//! ([`Rank::Signed`]: positive scores are those of edges without which the metric falls), equal ones
//! by their number; so circuits of rising size contain each other. An edge without a score comes
//! last.
//!
//! *Greedy* growth ([`greedy`]) takes, from the logits backwards, the first in that order of the
//! edges into a node that is there already. Both are EAP-IG's, but for ties.

use super::connect::Flow;
use crate::graph::Graph;
use crate::named::named;
use std::collections::BTreeSet;

named! {
    /// Which scores come first.
    Rank {
        /// The largest, whatever their sign.
        #[default]
        Abs = "abs",
        /// The largest, negative ones last.
        Signed = "signed",
    }
}

impl Rank {
    /// What edges are ordered by; an edge without a score comes behind all others.
    pub fn value(self, score: f64) -> f64 {
        match self {
            _ if score.is_nan() => f64::NEG_INFINITY,
            Rank::Abs => score.abs(),
            Rank::Signed => score,
        }
    }

    /// The numbers of all edges, the one to keep first in front.
    pub fn order(self, scores: &[f64]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        let value = |e: usize| self.value(scores[e]);
        // Adding 0 makes -0 and 0 equal, as they are to everybody but `total_cmp`.
        order.sort_by(|&a, &b| (value(b) + 0.0).total_cmp(&(value(a) + 0.0)).then(a.cmp(&b)));
        order
    }
}

/// Of `total` edges, those among the first `n` of `order`.
pub fn first(order: &[usize], n: usize, total: usize) -> Vec<bool> {
    let mut kept = vec![false; total];
    order.iter().take(n).for_each(|&e| kept[e] = true);
    kept
}

/// The edges whose score is at least `tau`, in size or as it is.
pub fn threshold(scores: &[f64], rank: Rank, tau: f64) -> Vec<bool> {
    scores.iter().map(|&s| !s.is_nan() && rank.value(s) >= tau).collect()
}

/// All edges that lead to the logits, in the order in which [`greedy`] growth takes them.
pub fn greedy_order(graph: &Graph, scores: &[f64], rank: Rank) -> Vec<usize> {
    let order = rank.order(scores);
    let mut places = vec![0; order.len()];
    order.iter().enumerate().for_each(|(i, &e)| places[e] = i);
    let flow = Flow::new(graph);
    // Edges into grouped keys and values lead to several nodes.
    let mut seen = vec![false; order.len()];
    let mut waiting = BTreeSet::new();
    let mut reached = vec![false; flow.nodes()];
    let mut next = Some(flow.logits());
    let mut taken = Vec::with_capacity(order.len());
    loop {
        let into = next.take().map(|node| flow.edges_into(node));
        for e in into.into_iter().flatten() {
            if !std::mem::replace(&mut seen[e], true) {
                waiting.insert(places[e]);
            }
        }
        let Some(place) = waiting.pop_first() else { return taken };
        taken.push(order[place]);
        let from = flow.source(order[place]);
        if !std::mem::replace(&mut reached[from], true) {
            next = Some(from);
        }
    }
}

/// The first `n` edges that growth from the logits takes.
pub fn greedy(graph: &Graph, scores: &[f64], rank: Rank, n: usize) -> Vec<bool> {
    first(&greedy_order(graph, scores, rank), n, scores.len())
}
