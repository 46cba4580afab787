//! Circuits from scores: every edge lies on a path from the input to the logits.
//!
//! An edge that lies on no such path changes nothing, and an end of it is no part of a circuit. So
//! edges are taken in the order of their `|score|` and count only once they are [connected], and
//! ends are taken so that each is connected as soon as it is in.
//!
//! **Ends** ([`grow`]) begin with those that every path has, the input and the logits. Then the
//! item of the largest value per cost that fits into what is left of the budget is taken, again and
//! again: an end of a node that is in, or a node's first two ends, one on either side, as a reader
//! without a writer, or a writer without a reader, leads nowhere. The input is seen by every reader
//! and the logits see every writer, so nothing else is needed. This is the greedy rule for
//! knapsacks (Dantzig 1957). Like it, it is tried once more with the most valuable item in, and the
//! better one is kept, which for a plain knapsack is at least half the best. No circuit within the
//! budget is worth more than the relaxation, without paths and with a part of the end that no
//! longer fits; the tests hold the rule against it and against all circuits of a small graph.

use super::slices::Ends;
use crate::discovery::select;
use crate::graph::Graph;
use crate::graph::connect::Flow;

/// Beginnings of an order of edges, by how many of their edges are connected.
pub(super) struct Beginnings<'a> {
    pub(super) flow: &'a Flow<'a>,
    /// `[E]`, the first edge to take first.
    pub(super) order: &'a [usize],
}

impl Beginnings<'_> {
    /// The connected edges among the first `n`: `[E]`.
    pub(super) fn connected(&self, n: usize) -> Vec<bool> {
        self.flow.connected(&select::first(self.order, n, self.order.len()))
    }

    fn count(&self, n: usize) -> usize {
        self.connected(n).iter().filter(|&&is| is).count()
    }

    /// The shortest beginning with more than `most` connected edges, or one more than there are:
    /// more edges connect no fewer.
    fn beyond(&self, most: usize) -> usize {
        let (mut low, mut high) = (0, self.order.len() + 1);
        while low < high {
            let middle = (low + high) / 2;
            match middle > self.order.len() || self.count(middle) > most {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        low
    }

    /// The shortest beginning with a path.
    pub(super) fn first_path(&self) -> usize {
        self.beyond(0).min(self.order.len())
    }

    /// The connected edges of the longest beginning with at most `most` of them: `[E]`.
    ///
    /// # Errors
    /// How many there are at least, if that is more.
    pub(super) fn largest(&self, most: usize) -> Result<Vec<bool>, usize> {
        let kept = self.connected(self.beyond(most) - 1);
        if kept.contains(&true) { Ok(kept) } else { Err(self.count(self.first_path())) }
    }
}

/// How ends of edges belong to nodes; ends are numbered as in [`Ends::numbered`].
pub(super) struct Sides {
    /// For each end, the ends on the other side of its node: the writers of what it reads for, or
    /// the readers of what it writes from.
    other: Vec<Vec<usize>>,
}

impl Sides {
    /// Of the ends of `graph`.
    pub(super) fn new(graph: &Graph) -> Sides {
        let flow = Flow::new(graph);
        let sizes = graph.groups.iter().map(|g| g.readers.len());
        let places = sizes.enumerate().flat_map(|(g, n)| (0..n).map(move |r| (g, r)));
        let places: Vec<(usize, usize)> = places.collect();
        let mut other = vec![vec![]; places.len() + graph.writers.len()];
        for (end, &(g, r)) in places.iter().enumerate() {
            for &u in flow.writers_of(g, r) {
                other[end].push(places.len() + u);
                other[places.len() + u].push(end);
            }
        }
        Sides { other }
    }

    /// The other side of an end's node.
    pub(super) fn other(&self, end: usize) -> &[usize] {
        &self.other[end]
    }

    /// Ends whose node has no other side: of the input and of the logits.
    fn roots(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.other.len()).filter(|&end| self.other[end].is_empty())
    }

    /// The least cost of a circuit with a node between the input and the logits.
    pub(super) fn least(&self, costs: &[usize]) -> usize {
        let roots: usize = self.roots().map(|end| costs[end]).sum();
        let cheapest = |list: &Vec<usize>| list.iter().map(|&end| costs[end]).min();
        let node = |end: usize| Some(costs[end] + cheapest(&self.other[end])?);
        roots + (0..costs.len()).filter_map(node).min().unwrap_or(0)
    }
}

/// Ends of connected edges that together cost at most `budget`, and are worth much: see the
/// [module](self); `values` and `costs` are of all ends.
///
/// # Panics
/// If the budget is below the [least](Sides::least).
pub(super) fn grow(sides: &Sides, values: &[f64], costs: &[usize], budget: usize) -> Vec<usize> {
    assert!(sides.least(costs) <= budget, "a budget of {budget} holds no path");
    let knapsack = Knapsack { sides, values, costs, budget };
    let plain = knapsack.filled(None);
    let largest = knapsack.filled(knapsack.most_valuable());
    let worth = |ends: &[usize]| ends.iter().map(|&end| values[end]).sum::<f64>();
    if worth(&largest) > worth(&plain) { largest } else { plain }
}

struct Knapsack<'a> {
    sides: &'a Sides,
    values: &'a [f64],
    costs: &'a [usize],
    budget: usize,
}

/// What is taken together: one end, or the first two of a node.
type Item = (usize, Option<usize>);

impl Knapsack<'_> {
    fn cost(&self, (end, other): Item) -> usize {
        self.costs[end] + other.map_or(0, |other| self.costs[other])
    }

    fn value(&self, (end, other): Item) -> f64 {
        self.values[end] + other.map_or(0.0, |other| self.values[other])
    }

    fn density(&self, item: Item) -> f64 {
        match self.cost(item) {
            0 => f64::INFINITY,
            cost => self.value(item) / cost as f64,
        }
    }

    /// What an end is taken with: alone if its node is in, else with the best of the other side
    /// that fits.
    fn item(&self, end: usize, chosen: &[bool], left: usize) -> Option<Item> {
        let others = &self.sides.other[end];
        if others.iter().any(|&other| chosen[other]) {
            return Some((end, None)).filter(|&item| self.cost(item) <= left);
        }
        let items = others.iter().map(|&other| (end, Some(other)));
        let fit = items.filter(|&item| self.cost(item) <= left);
        fit.max_by(|&a, &b| self.density(a).total_cmp(&self.density(b)))
    }

    /// The node whose first two ends are worth the most.
    fn most_valuable(&self) -> Option<Item> {
        let roots: usize = self.sides.roots().map(|end| self.costs[end]).sum();
        let pairs = (0..self.costs.len())
            .flat_map(|end| self.sides.other[end].iter().map(move |&other| (end, Some(other))));
        let fit = pairs.filter(|&item| self.cost(item) <= self.budget - roots);
        fit.max_by(|&a, &b| self.value(a).total_cmp(&self.value(b)))
    }

    /// The ends that the greedy rule takes, after `first`.
    fn filled(&self, first: Option<Item>) -> Vec<usize> {
        let mut chosen = vec![false; self.costs.len()];
        let roots = self.sides.roots().map(|end| (end, None));
        let mut left = self.budget;
        for (end, other) in roots.chain(first) {
            left -= self.cost((end, other));
            [Some(end), other].into_iter().flatten().for_each(|end| chosen[end] = true);
        }
        loop {
            let open = (0..chosen.len()).filter(|&end| !chosen[end]);
            let items = open.filter_map(|end| self.item(end, &chosen, left));
            let best = items.max_by(|&a, &b| self.density(a).total_cmp(&self.density(b)));
            let Some((end, other)) = best else { break };
            left -= self.cost((end, other));
            [Some(end), other].into_iter().flatten().for_each(|end| chosen[end] = true);
        }
        (0..chosen.len()).filter(|&end| chosen[end]).collect()
    }
}

/// All connected edges from one of the ends to another: `[E]`.
pub(super) fn between(flow: &Flow<'_>, graph: &Graph, ends: &Ends) -> Vec<bool> {
    let both = |e| {
        let (group, _, reader, writer) = graph.place(e);
        ends.readers[group][reader] && ends.writers[writer]
    };
    flow.connected(&(0..graph.edges()).map(both).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Granularity;
    use crate::nn::transformer::Config;
    use crate::rng::{Purpose, Rng};
    use crate::stats;

    /// The most that ends can be worth that together cost at most `budget`, if they need no paths
    /// and can be taken in part.
    fn bound(values: &[f64], costs: &[usize], budget: usize) -> f64 {
        let density = |(value, &cost): (&f64, &usize)| value / cost.max(1) as f64;
        let densities: Vec<f64> = values.iter().zip(costs).map(density).collect();
        let (mut left, mut value) = (budget as f64, 0.0);
        for end in stats::falling(&densities) {
            let cost = costs[end] as f64;
            let part = if cost > left { left / cost } else { 1.0 };
            value += part * values[end];
            left -= part * cost;
        }
        value
    }

    /// One layer of two heads: twelve ends, of which all sets can be tried.
    fn small() -> Graph {
        let config = Config { layers: 1, heads: 2, kv_heads: 2, ..Config::gpt2_small() };
        Graph::of_transformer(&config, Granularity::default())
    }

    fn is_circuit(graph: &Graph, ends: &[usize]) -> bool {
        let chosen = Ends::numbered(graph, ends);
        let kept = between(&Flow::new(graph), graph, &chosen);
        Ends::of(graph, &kept) == chosen && ends.len() > 2
    }

    #[test]
    fn no_circuit_is_worth_more_than_the_bound_and_few_more_than_the_greedy_one() {
        let graph = small();
        let sides = Sides::new(&graph);
        let n = super::super::ends_of(&graph);
        assert_eq!(n, 12);
        let value = |ends: &[usize], values: &[f64]| ends.iter().map(|&e| values[e]).sum::<f64>();
        let mut shares = vec![];
        for seed in 0..40 {
            let mut rng = Rng::new(seed, Purpose::Probe, 0);
            let values: Vec<f64> = (0..n).map(|_| rng.below(1000) as f64).collect();
            let mut costs: Vec<usize> = (0..n).map(|_| 1 + rng.below(20) as usize).collect();
            sides.roots().for_each(|end| costs[end] = 0);
            let budget = 20 + 2 * seed as usize;
            let ends = grow(&sides, &values, &costs, budget);
            assert!(is_circuit(&graph, &ends), "{ends:?}");
            assert!(ends.iter().map(|&e| costs[e]).sum::<usize>() <= budget);
            let sets = (0u32..1 << n).map(|set| (0..n).filter(|e| set >> e & 1 == 1).collect());
            let fits = |ends: &Vec<usize>| {
                ends.iter().map(|&e| costs[e]).sum::<usize>() <= budget && is_circuit(&graph, ends)
            };
            let best = sets.filter(fits).map(|ends: Vec<usize>| value(&ends, &values));
            let best = best.fold(0.0, f64::max);
            let got = value(&ends, &values);
            assert!(0.0 < got && got <= best && best <= bound(&values, &costs, budget) + 1e-9);
            shares.push(got / best);
        }
        assert!(shares.iter().all(|&share| share >= 0.5), "{shares:?}");
        assert!(shares.iter().filter(|&&share| share == 1.0).count() > shares.len() / 2);
    }

    #[test]
    fn the_least_budget_holds_one_node() {
        let graph = small();
        let sides = Sides::new(&graph);
        let n = super::super::ends_of(&graph);
        let values = vec![1.0; n];
        let mut costs = vec![7; n];
        sides.roots().for_each(|end| costs[end] = 0);
        assert_eq!(sides.least(&costs), 14);
        assert_eq!(grow(&sides, &values, &costs, 14).len(), 4);
    }

    #[test]
    fn a_beginning_counts_only_its_paths() {
        let graph = small();
        let flow = Flow::new(&graph);
        let name = |e: &usize| graph.edge(*e).to_string();
        let mut order: Vec<usize> = (0..graph.edges()).collect();
        // What leads nowhere first, then a path of two edges.
        let rank = |e: &usize| match &name(e)[..] {
            "input->m0" => 0,
            "a0.h1->m0" => 1,
            "input->a0.h0<q>" => 2,
            "a0.h0->logits" => 3,
            "m0->logits" => 4,
            _ => 5,
        };
        order.sort_by_key(rank);
        let beginnings = Beginnings { flow: &flow, order: &order };
        assert_eq!(beginnings.first_path(), 4);
        assert_eq!(beginnings.largest(1), Err(2));
        let names = |kept: Vec<bool>| -> Vec<String> {
            (0..kept.len()).filter(|&e| kept[e]).map(|e| name(&e)).collect()
        };
        let two = beginnings.largest(3).map(names);
        assert_eq!(two, Ok(vec!["input->a0.h0<q>".into(), "a0.h0->logits".into()]));
        assert_eq!(beginnings.largest(4).map(names).unwrap().len(), 4);
    }
}
