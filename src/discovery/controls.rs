//! Random circuits matched by edge type, and the p-value of a circuit among them.

use crate::graph::{Edge, Graph, Node, Port};
use crate::rng::{Purpose, Rng};
use crate::stats;
use std::collections::BTreeMap;

/// The type of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NodeType {
    Input,
    Head,
    Mlp,
    Logits,
}

fn kind(node: Node) -> NodeType {
    match node {
        Node::Input | Node::Embed | Node::Pos => NodeType::Input,
        Node::Head { .. } | Node::KeyValue { .. } => NodeType::Head,
        Node::Mlp { .. } | Node::Neuron { .. } => NodeType::Mlp,
        Node::Logits => NodeType::Logits,
    }
}

/// `count` random circuits `[E]` with as many edges of each type as `kept`, where the type is that
/// of the writer, that of the reader and the port. The edges of each type are drawn without
/// replacement.
///
/// # Panics
/// If `kept` is not `[E]`.
pub fn random_circuits(graph: &Graph, kept: &[bool], count: usize, seed: u64) -> Vec<Vec<bool>> {
    assert_eq!(kept.len(), graph.edges(), "a choice for each edge");
    let mut types: BTreeMap<(NodeType, NodeType, Port), (Vec<usize>, usize)> = BTreeMap::new();
    for (e, &kept) in kept.iter().enumerate() {
        let Edge { from, to, .. } = graph.edge(e);
        let (all, taken) = types.entry((kind(from), kind(to.node), to.port)).or_default();
        all.push(e);
        *taken += usize::from(kept);
    }
    let draw = |i: usize| {
        let mut rng = Rng::new(seed, Purpose::Null, i as u32);
        let mut circuit = vec![false; kept.len()];
        for (all, taken) in types.values() {
            let mut rest = all.clone();
            for i in 0..*taken {
                let j = i + rng.below((rest.len() - i) as u64) as usize;
                rest.swap(i, j);
                circuit[rest[i]] = true;
            }
        }
        circuit
    };
    (0..count).map(draw).collect()
}

/// The chance that a random circuit is as near to the model as one whose faithfulness is `f`:
/// [`stats::p_value`] of `random [n]` with `|1 - f|` as small. Distance from 1 is what counts: a
/// circuit that does more than the model is not better.
pub fn p_value(f: f64, random: &[f64]) -> f64 {
    let near = random.iter().filter(|r| (1.0 - **r).abs() <= (1.0 - f).abs()).count();
    stats::p_value(near, random.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Granularity;
    use crate::nn::transformer::Config;

    #[test]
    fn random_circuits_match_in_size_and_type() {
        let config = Config { layers: 2, heads: 4, kv_heads: 2, ..Config::gpt2_small() };
        let graph = Graph::of_transformer(&config, Granularity::default());
        let kept: Vec<bool> = (0..graph.edges()).map(|e| e % 7 < 3).collect();
        let counts = |kept: &[bool]| {
            let mut counts = BTreeMap::new();
            for e in (0..kept.len()).filter(|&e| kept[e]) {
                let Edge { from, to, .. } = graph.edge(e);
                *counts.entry((kind(from), kind(to.node), to.port)).or_insert(0) += 1;
            }
            counts
        };
        let drawn = random_circuits(&graph, &kept, 50, 9);
        assert!(drawn.iter().all(|c| counts(c) == counts(&kept)));
        assert!(drawn.windows(2).all(|w| w[0] != w[1]));
        assert_eq!(drawn[..20], random_circuits(&graph, &kept, 20, 9)[..]);
        // Every edge, unless all of its type are kept, is in some circuits and not in others.
        let full: Vec<bool> = vec![true; kept.len()];
        assert_eq!(random_circuits(&graph, &full, 1, 0)[0], full);
    }

    #[test]
    fn chances_are_never_zero() {
        assert_eq!(p_value(1.0, &[0.5, 0.7, 3.0]), 0.25);
        assert_eq!(p_value(0.6, &[0.5, 0.7, 1.4]), 0.75);
        assert_eq!(p_value(0.0, &[]), 1.0);
    }
}
