//! The edges of a circuit that lie on a path from the input to the logits.
//!
//! An edge is *connected* if its writer's output can depend on the input through kept edges, and
//! its reader's output can reach the logits through kept edges. Dropping all others is what
//! EAP-IG's `prune` converges to when it is repeated, on nodes and on edges. As edges only go
//! forward, one walk in each direction finds them. Under resample ablation the others change
//! nothing, so they are dropped before anything is run.

use super::topology::{Graph, Group};
use crate::formats::edge_name::{Input, Node, Port};
use crate::nn::stream::Reader;

/// The nodes that each edge connects. A node is a writer or, with separate positions, a writer at a
/// position; all logits are one node.
pub struct Flow<'g> {
    graph: &'g Graph,
    /// The first node of each writer, then the logits.
    first: Vec<usize>,
    /// For each writer: the groups and the readers in them that belong to its node.
    readers: Vec<Vec<(usize, usize)>>,
    /// For each group and reader in it, the writers of its node.
    writers: Vec<Vec<Vec<usize>>>,
}

/// Whether `writer` computes its output from what `reader` reads; `shared` is the number of query
/// heads of a key-value head, and `interact` says whether heads and neurons of a layer do.
fn feeds(reader: Node, writer: Node, shared: usize, interact: (bool, bool)) -> bool {
    match (reader, writer) {
        (Node::Head { layer, .. } | Node::KeyValue { layer, .. }, Node::Head { layer: l, .. })
            if interact.0 =>
        {
            layer == l
        }
        (Node::Neuron { layer, .. }, Node::Neuron { layer: l, .. }) if interact.1 => layer == l,
        (Node::KeyValue { layer, head }, Node::Head { layer: l, head: h }) => {
            layer == l && head == h / shared
        }
        _ => reader == writer,
    }
}

impl<'g> Flow<'g> {
    /// The nodes and edges of `graph`.
    pub fn new(graph: &'g Graph) -> Self {
        let mut first = vec![0];
        for u in 0..graph.writers.len() {
            let sees = |g: &&Group| g.upstream.contains(&u);
            let positions = graph.groups.iter().filter(sees).map(|g| g.positions).max();
            first.push(first[u] + positions.unwrap_or(1));
        }
        let mut readers = vec![vec![]; graph.writers.len()];
        let mut writers = vec![];
        for (g, group) in graph.groups.iter().enumerate() {
            let answers = |r: &&Input| matches!((r.node, r.port), (Node::KeyValue { .. }, Port::K));
            let answer = group.readers.iter().filter(answers).count();
            let shared = graph.heads.checked_div(answer).unwrap_or(1);
            let mut of_group = vec![];
            for (r, reader) in group.readers.iter().enumerate() {
                let fed = |u: &usize| feeds(reader.node, graph.writers[*u], shared, graph.interact);
                let list: Vec<usize> = (0..graph.writers.len()).filter(fed).collect();
                list.iter().for_each(|&u| readers[u].push((g, r)));
                of_group.push(list);
            }
            writers.push(of_group);
        }
        Flow { graph, first, readers, writers }
    }

    /// The number of nodes.
    pub fn nodes(&self) -> usize {
        self.logits() + 1
    }

    /// The index of the logits' node.
    pub fn logits(&self) -> usize {
        self.first[self.graph.writers.len()]
    }

    /// The node whose output edge `e` carries.
    pub fn source(&self, e: usize) -> usize {
        let (_, t, _, u) = self.graph.place(e);
        self.first[u] + t
    }

    /// The writers whose output depends on what reader `r` of group `g` reads.
    pub(crate) fn writers_of(&self, g: usize, r: usize) -> &[usize] {
        &self.writers[g][r]
    }

    /// The edges into a node, by index.
    pub(crate) fn edges_into(&self, node: usize) -> Vec<usize> {
        let graph = self.graph;
        if node == self.logits() {
            let logits = |g: &&Group| g.part == Reader::Logits;
            return graph.groups.iter().filter(logits).flat_map(Group::edges).collect();
        }
        let u = self.first.partition_point(|&first| first <= node) - 1;
        let to = node - self.first[u];
        let mut edges = vec![];
        for &(g, r) in &self.readers[u] {
            let group = &graph.groups[g];
            for at in (0..group.positions).filter(|&at| self.carries(g, r, at, u, to)) {
                let edges_of = group.upstream.clone().map(|from| graph.number(g, at, r, from));
                edges.extend(edges_of);
            }
        }
        edges
    }

    /// Whether writer `u` at position `to` depends on what reader `r` of group `g` reads at `at`.
    fn carries(&self, g: usize, r: usize, at: usize, u: usize, to: usize) -> bool {
        let group = &self.graph.groups[g];
        let alone = self.first[u + 1] - self.first[u] == 1;
        // Attention moves keys and values between positions, and so whatever is read as all three.
        let attention = matches!(group.part, Reader::Attention(_));
        match group.readers[r].port {
            _ if alone || group.positions == 1 => true,
            Port::K | Port::V | Port::Whole if attention => at <= to || !self.graph.causal,
            _ => at == to,
        }
    }

    /// The nodes that read edge `e`.
    pub(crate) fn ends(&self, e: usize) -> impl Iterator<Item = usize> + '_ {
        let (g, at, r, _) = self.graph.place(e);
        let of = move |&u: &usize| {
            let (first, end) = (self.first[u], self.first[u + 1]);
            (first..end).filter(move |node| self.carries(g, r, at, u, node - first))
        };
        let logits = self.graph.groups[g].part == Reader::Logits;
        let logits = logits.then_some(self.logits());
        self.writers[g][r].iter().flat_map(of).chain(logits)
    }

    /// Whether the logits depend on each reader of group `g`, at each position, through the
    /// `kept [E]` edges after it: `[T or 1, R]`.
    pub(crate) fn readers_that_matter(&self, kept: &[bool], g: usize) -> Vec<bool> {
        let group = &self.graph.groups[g];
        let mut matters = vec![false; self.nodes()];
        matters[self.logits()] = true;
        for e in (group.edges().end..kept.len()).rev().filter(|&e| kept[e]) {
            if self.ends(e).any(|node| matters[node]) {
                matters[self.source(e)] = true;
            }
        }
        let first_edges = group.edges().step_by(group.upstream.len());
        first_edges.map(|e| self.ends(e).any(|node| matters[node])).collect()
    }

    /// Which of the `kept` edges can reach the logits: `[E]`.
    ///
    /// # Panics
    /// If `kept` is not `[E]`.
    pub fn leading(&self, kept: &[bool]) -> Vec<bool> {
        assert_eq!(kept.len(), self.graph.edges(), "a choice for each edge");
        let mut matters = vec![false; self.nodes()];
        matters[self.logits()] = true;
        let mut live = vec![false; kept.len()];
        // Edges are numbered in the order of the computation.
        for e in (0..kept.len()).rev().filter(|&e| kept[e]) {
            if self.ends(e).any(|node| matters[node]) {
                live[e] = true;
                matters[self.source(e)] = true;
            }
        }
        live
    }

    /// Which of the `kept` edges lie on a path from the input to the logits: `[E]`.
    ///
    /// # Panics
    /// If `kept` is not `[E]`.
    pub fn connected(&self, kept: &[bool]) -> Vec<bool> {
        let mut live = self.leading(kept);
        // A node that reads nothing is an input.
        let mut depends = vec![false; self.nodes()];
        for (u, _) in self.readers.iter().enumerate().filter(|(_, r)| r.is_empty()) {
            depends[self.first[u]..self.first[u + 1]].fill(true);
        }
        for (e, live) in live.iter_mut().enumerate().filter(|(_, live)| **live) {
            *live = depends[self.source(e)];
            if *live {
                self.ends(e).for_each(|node| depends[node] = true);
            }
        }
        live
    }

    /// Warns of edges of the circuit `kept [E]` that are on no path from the input to the logits.
    pub fn warn_disconnected(&self, kept: &[bool]) {
        let count = |list: &[bool]| list.iter().filter(|&&kept| kept).count();
        let (all, connected) = (count(kept), count(&self.connected(kept)));
        if connected < all {
            tracing::warn!(
                "{} of {all} edges are on no path from the input to the logits; `discover \
                 --connected` drops them",
                all - connected
            );
        }
    }
}

/// Which of the `kept` edges lie on a path from the input to the logits: `[E]`; see
/// [`Flow::connected`].
///
/// # Panics
/// If `kept` is not `[E]`.
pub fn connected(graph: &Graph, kept: &[bool]) -> Vec<bool> {
    Flow::new(graph).connected(kept)
}
