//! The connected circuit of at most `n` edges with the largest sum of scores, and how far from it
//! this one may be.
//!
//! ```text
//! maximise  sum of w_e x_e      w_e = |score| or score, x_e in {0, 1}
//! with      sum of x_e <= n,    every kept edge on a path of kept edges from input to logits
//! ```
//!
//! The first edges by score need not be connected, and growth from the logits takes weak edges
//! first where strong ones lie behind them. Here a circuit grows by *ears*: paths of new edges from
//! what depends on the input to what leads to the logits, through new nodes. It stays connected,
//! and each time takes the ear of the largest mean score that still fits. Ears of each length up to
//! [`LONGEST`] come from one walk over the edges in the order of the computation.
//!
//! The bound is the sum of the `n` largest positive scores among the edges that are on any path of
//! at most `n` edges: no connected circuit has more.

use super::connect::Flow;
use super::select::Rank;
use crate::graph::Graph;

/// The most edges of an ear.
pub const LONGEST: usize = 12;

/// A connected circuit.
#[derive(Clone, Debug, PartialEq)]
pub struct Heaviest {
    /// `[E]`, its edges.
    pub kept: Vec<bool>,
    /// The sum of their scores.
    pub sum: f64,
    /// What no connected circuit of so many edges exceeds.
    pub bound: f64,
}

/// A path to a node that is new: the sum of its scores, its last edge, and the node before.
#[derive(Clone, Copy)]
struct Way {
    sum: f64,
    edge: usize,
}

/// A path of new edges that ends in the circuit.
#[derive(Clone)]
struct Ear {
    sum: f64,
    edges: Vec<usize>,
}

impl Ear {
    fn mean(&self) -> f64 {
        self.sum / self.edges.len() as f64
    }
}

/// Grows a circuit of at most `n` edges by `scores [E]` in the order of `rank`. An edge without a
/// score is not kept.
///
/// # Panics
/// If `scores` is not `[E]`.
pub fn heaviest(graph: &Graph, scores: &[f64], rank: Rank, n: usize) -> Heaviest {
    assert_eq!(scores.len(), graph.edges(), "a score for each edge");
    let flow = Flow::new(graph);
    let weights: Vec<f64> = scores.iter().map(|&s| rank.value(s)).collect();
    let ends: Vec<Vec<usize>> = (0..scores.len()).map(|e| flow.ends(e).collect()).collect();
    let mut growth = Growth::new(&flow, &weights, &ends);
    let shortest = growth.shortest();
    let fits = |e: &usize| shortest[*e] <= n && weights[*e] > 0.0;
    let mut best: Vec<f64> = (0..scores.len()).filter(fits).map(|e| weights[e]).collect();
    best.sort_by(|a, b| b.total_cmp(a));
    let bound = best.iter().take(n).sum();
    growth.grow(n);
    let kept = growth.kept;
    let sum = (0..scores.len()).filter(|&e| kept[e]).map(|e| weights[e]).sum();
    Heaviest { kept, sum, bound }
}

/// A connected circuit that grows.
struct Growth<'a> {
    flow: &'a Flow<'a>,
    weights: &'a [f64],
    ends: &'a [Vec<usize>],
    kept: Vec<bool>,
    /// Of each node, whether it depends on the input, and whether it leads to the logits, by what
    /// is kept.
    depends: Vec<bool>,
    leads: Vec<bool>,
}

impl<'a> Growth<'a> {
    fn new(flow: &'a Flow<'a>, weights: &'a [f64], ends: &'a [Vec<usize>]) -> Self {
        let mut depends = vec![true; flow.nodes()];
        ends.iter().flatten().for_each(|&node| depends[node] = false);
        let mut leads = vec![false; flow.nodes()];
        leads[flow.logits()] = true;
        Growth { flow, weights, ends, kept: vec![false; weights.len()], depends, leads }
    }

    /// `[E]`, the edges of the shortest path through each edge.
    fn shortest(&self) -> Vec<usize> {
        let far = usize::MAX / 4;
        let from = |start: &bool| if *start { 0 } else { far };
        let mut before: Vec<usize> = self.depends.iter().map(from).collect();
        let mut after: Vec<usize> = self.leads.iter().map(from).collect();
        for (e, ends) in self.ends.iter().enumerate() {
            let next = before[self.flow.source(e)] + 1;
            ends.iter().for_each(|&node| before[node] = before[node].min(next));
        }
        let mut through = vec![0; self.ends.len()];
        for (e, ends) in self.ends.iter().enumerate().rev() {
            let rest = ends.iter().map(|&node| after[node]).min().unwrap_or(far);
            let source = self.flow.source(e);
            after[source] = after[source].min(rest + 1);
            through[e] = before[source] + 1 + rest;
        }
        through
    }

    /// Takes ears while `left` edges have room for one that adds to the sum.
    fn grow(&mut self, mut left: usize) {
        while left > 0 {
            let (mut single, longer) = self.ears(left);
            let least = longer.as_ref().map_or(0.0, Ear::mean);
            single.retain(|&e| self.weights[e] > 0.0 && self.weights[e] >= least);
            single.sort_by(|&a, &b| self.weights[b].total_cmp(&self.weights[a]).then(a.cmp(&b)));
            single.truncate(left);
            left -= single.len();
            // Edges between nodes that are in the circuit leave all other ears what they are.
            single.iter().for_each(|&e| self.keep(e));
            match longer.filter(|ear| ear.sum > 0.0) {
                Some(ear) if ear.edges.len() <= left => {
                    left -= ear.edges.len();
                    ear.edges.iter().for_each(|&e| self.keep(e));
                }
                None if single.is_empty() => return,
                // The best no longer fits: a shorter one may.
                _ => {}
            }
        }
    }

    /// All ears of one edge, and the one of largest mean among longer ones that fit.
    fn ears(&self, left: usize) -> (Vec<usize>, Option<Ear>) {
        let longest = left.min(LONGEST);
        let mut ways: Vec<Vec<Option<Way>>> = vec![vec![None; self.flow.nodes()]; longest + 1];
        let (mut single, mut best): (Vec<usize>, Option<(f64, usize, usize)>) = (vec![], None);
        for (e, ends) in self.ends.iter().enumerate() {
            if self.kept[e] || self.weights[e] == f64::NEG_INFINITY {
                continue;
            }
            let (from, weight) = (self.flow.source(e), self.weights[e]);
            if self.depends[from] && ends.iter().any(|&node| self.leads[node]) {
                single.push(e);
            }
            for k in 1..=longest {
                let before = match (self.depends[from], k) {
                    (true, 1) => Some(0.0),
                    (false, 2..) => ways[k - 1][from].map(|way| way.sum),
                    _ => None,
                };
                let Some(sum) = before.map(|before| before + weight) else { continue };
                for &node in ends {
                    if self.leads[node] {
                        let mean = sum / k as f64;
                        if k > 1 && best.is_none_or(|(other, ..)| mean > other) {
                            best = Some((mean, k, e));
                        }
                    } else if ways[k][node].is_none_or(|way| sum > way.sum) {
                        ways[k][node] = Some(Way { sum, edge: e });
                    }
                }
            }
        }
        (single, best.map(|(mean, k, last)| self.ear(&ways, mean, k, last)))
    }

    /// The ear of `k` edges that ends with `last`, from the ways to its nodes.
    fn ear(&self, ways: &[Vec<Option<Way>>], mean: f64, k: usize, last: usize) -> Ear {
        let mut edges = vec![last];
        for k in (1..k).rev() {
            let from = self.flow.source(edges[edges.len() - 1]);
            edges.push(ways[k][from].expect("it was come by").edge);
        }
        Ear { sum: mean * k as f64, edges }
    }

    /// Keeps an edge of a path that begins and ends in the circuit.
    fn keep(&mut self, e: usize) {
        self.kept[e] = true;
        self.leads[self.flow.source(e)] = true;
        self.ends[e].iter().for_each(|&node| self.depends[node] = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Granularity;
    use crate::nn::transformer::Config;
    use proptest::prelude::*;

    /// Two layers of one head and an MLP: 23 edges; without MLPs 12.
    fn graph(d_mlp: usize) -> Graph {
        let config = Config { layers: 2, heads: 1, kv_heads: 1, d_mlp, ..Config::gpt2_small() };
        Graph::of_transformer(&config, Granularity::default())
    }

    /// The largest sum by trying all sets.
    fn tried(graph: &Graph, scores: &[f64], n: usize) -> f64 {
        let flow = Flow::new(graph);
        let edges = graph.edges();
        let sets = (0u32..1 << edges).filter(|set| set.count_ones() as usize <= n);
        let kept = |set: u32| (0..edges).map(|e| set >> e & 1 == 1).collect::<Vec<_>>();
        let connected = sets.map(kept).filter(|kept| flow.connected(kept) == *kept);
        let sum = |kept: Vec<bool>| -> f64 {
            (0..edges).filter(|&e| kept[e]).map(|e| scores[e].abs()).sum()
        };
        connected.map(sum).fold(0.0, f64::max)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_best_is_between_what_is_found_and_the_bound(
            scores in prop::collection::vec(-1.0f64..1.0, 12),
            n in 1usize..13,
        ) {
            let graph = graph(0);
            prop_assert_eq!(graph.edges(), 12);
            let found = heaviest(&graph, &scores, Rank::Abs, n);
            prop_assert_eq!(&Flow::new(&graph).connected(&found.kept), &found.kept);
            prop_assert!(found.kept.iter().filter(|&&kept| kept).count() <= n);
            let best = tried(&graph, &scores, n);
            // Sums of at most twelve numbers below 1 in another order.
            prop_assert!(found.sum <= best + 1e-14 && best <= found.bound + 1e-14,
                "{} {} {}", found.sum, best, found.bound);
            // With room for all, all are kept.
            prop_assert!(n < 12 || (found.sum - found.bound).abs() < 1e-14);
        }
    }

    /// A strong edge behind a weak one: growth from the logits takes the stronger of the last
    /// edges.
    #[test]
    fn an_ear_takes_a_weak_edge_for_a_strong_one() {
        let graph = graph(8);
        let scores: Vec<f64> = (0..graph.edges())
            .map(|e| match graph.edge(e).to_string().as_str() {
                "input->m0" => 9.0,
                "m0->logits" => 1.0,
                "a0.h0->logits" => 3.0,
                _ => 0.0,
            })
            .collect();
        let found = heaviest(&graph, &scores, Rank::Abs, 2);
        assert_eq!((found.sum, found.bound), (10.0, 12.0));
        let none = heaviest(&graph, &scores, Rank::Abs, 0);
        assert_eq!((none.sum, none.bound), (0.0, 0.0));
        // With room for all that has a score, and an edge of none that joins them.
        let found = heaviest(&graph, &scores, Rank::Abs, 4);
        assert_eq!((found.sum, found.bound), (13.0, 13.0));
    }
}
