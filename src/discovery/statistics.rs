//! What could be chance: intervals over pairs, and random circuits of the same make.

use super::faithfulness::Ends;
use crate::graph::{Edge, Graph, Node, Port};
use crate::rng::{Purpose, Rng};
use std::collections::BTreeMap;

/// Resamples of a bootstrap.
pub const RESAMPLES: usize = 2000;

/// The interval from the 2.5 % to the 97.5 % quantile of a statistic over pairs drawn with
/// replacement (percentile bootstrap): how far it may move with other pairs of the same kind.
///
/// `statistic` is given the numbers of the pairs that were drawn. Resamples in which it is not finite
/// are left out; `None` if all are.
pub fn bootstrap(pairs: usize, seed: u64, statistic: impl Fn(&[usize]) -> f64) -> Option<[f64; 2]> {
    let mut rng = Rng::new(seed, Purpose::Bootstrap, 0);
    let mut drawn = vec![0; pairs];
    let mut found: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            drawn.fill_with(|| rng.below(pairs as u64) as usize);
            statistic(&drawn)
        })
        .filter(|x| x.is_finite())
        .collect();
    found.sort_by(f64::total_cmp);
    let at = |share: f64| found.get((share * (found.len().max(1) - 1) as f64).round() as usize);
    Some([*at(0.025)?, *at(0.975)?])
}

/// The interval of the faithfulness of a circuit; see [`bootstrap`].
pub fn interval(ends: &Ends, values: &[f64], seed: u64) -> Option<[f64; 2]> {
    bootstrap(values.len(), seed, |drawn| ends.of(values, drawn.iter().copied()))
}

/// What kind of part a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Input,
    Head,
    Mlp,
    Logits,
}

fn kind(node: Node) -> Kind {
    match node {
        Node::Input | Node::Embed | Node::Pos => Kind::Input,
        Node::Head { .. } | Node::KeyValue { .. } => Kind::Head,
        Node::Mlp { .. } | Node::Neuron { .. } => Kind::Mlp,
        Node::Logits => Kind::Logits,
    }
}

/// `count` random circuits with as many edges of each type as `kept`: of the same kind of writer, the
/// same kind of reader and the same port. Each is drawn without replacement from all edges of
/// the type.
///
/// # Panics
/// If `kept` is not `[E]`.
pub fn random_circuits(graph: &Graph, kept: &[bool], count: usize, seed: u64) -> Vec<Vec<bool>> {
    assert_eq!(kept.len(), graph.edges(), "a choice for each edge");
    let mut types: BTreeMap<(Kind, Kind, Port), (Vec<usize>, usize)> = BTreeMap::new();
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

/// The chance of a random circuit to be as near to the model as one whose faithfulness is `f`:
/// `(1 + those with |1 - f| as small) / (1 + all)`, so that no test can claim more than it has drawn.
pub fn p_value(f: f64, random: &[f64]) -> f64 {
    let near = random.iter().filter(|r| (1.0 - **r).abs() <= (1.0 - f).abs()).count();
    (1 + near) as f64 / (1 + random.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Granularity;
    use crate::nn::transformer::Config;

    /// A mean of n numbers of variance 1 has a 95 % interval of about 2 x 1.96 / sqrt(n).
    #[test]
    fn intervals_are_those_of_means() {
        let mut rng = Rng::new(1, Purpose::Sample, 0);
        let numbers: Vec<f64> = (0..400).map(|_| rng.normal()).collect();
        let mean = |drawn: &[usize]| drawn.iter().map(|&i| numbers[i]).sum::<f64>() / 400.0;
        let [low, high] = bootstrap(400, 3, mean).expect("finite");
        let all: Vec<usize> = (0..400).collect();
        assert!(low < mean(&all) && mean(&all) < high);
        // The width's own deviation is about 4 % (variance of 400 numbers, quantiles of 2000).
        let want = 2.0 * 1.96 / 20.0;
        assert!(((high - low) / want - 1.0).abs() < 0.2, "{low} {high}");
        assert_eq!(bootstrap(400, 3, mean), Some([low, high]));
        assert_eq!(bootstrap(3, 0, |_| f64::NAN), None);
        assert_eq!(bootstrap(1, 0, |drawn| drawn[0] as f64), Some([0.0, 0.0]));
    }

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
        // Every edge whose type is not always kept whole is drawn sometimes and left out sometimes.
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
