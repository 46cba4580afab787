//! Circuits through training: which edges carry what the model knows, every few steps.
//!
//! # What is logged
//!
//! Circuits are scored on a fixed set of pairs, drawn once for each modulus: a sequence of the
//! training set, and another one with another label as the corrupted sequence. (Memorised sequences
//! have circuits too, which the test set would not show.) The metric is the logit of the clean
//! label minus that of the corrupted one, averaged over pairs: `M(1)` for the model, `M(0)` for the
//! corrupted run. The graph is that of [`Graph::of_pooled`] with separate neurons and positions,
//! `E = 2 L + 1 + 2 F` edges. Every `train.circuit_every` steps, and at the end of the stage, a
//! line of the kind `circuit` records
//!
//! - the score of each edge: `M(1) - M(1 without e)`, by ablating it;
//! - the *circuit*: with edges by decreasing `|score|`, the first `n` for which
//!
//!   ```text
//!   faithfulness(n) = (M(first n edges) - M(0)) / (M(1) - M(0)) >= 0.95
//!   ```
//!
//!   found by a search that assumes that faithfulness increases with `n`. If it does not, `n` is a
//!   point where it crosses 0.95, not always the first. There is no circuit if `M(1) <= M(0)`: the
//!   model does not prefer the right label yet;
//! - the changes since the previous log: edges added (*reinforced*) and removed (*pruned*), and how
//!   many of those that stayed grew or shrank by more than a tenth, each `|score|` as a share of
//!   all.
//!
//! The pairs of a stage are in `circuits/probe-STAGE.json`, with the names of the edges in the
//! order of the scores. Lines hold the scores themselves, so that a resumed run finds what it
//! compares with; a file for each log would have to be synced to disk, which takes longer than the
//! measurement.
//!
//! At the end of the run `circuits/summary.json` compares all logs with the last one and the
//! circuits in which the stages end with each other.
//!
//! # Why activation patching
//!
//! First-order scores would cost two forward passes and one backward pass. Patching every edge
//! usually costs `E` passes, but not in this graph, because every reader has one writer and the
//! unembedding is linear. It costs a few batches, and does not fail where the softmax is saturated.
//!
//! On three models after a curriculum (d = 32, F = 128, E = 281, p = 4, 200 pairs, f64), Spearman's
//! correlation of `|score|` with activation patching, and the size of the circuit found from the
//! scores:
//!
//! | scores | all edges | edges at positions | edges in the circuit |
//! | --- | --- | --- | --- |
//! | activation patching (`exact`) | 1 | 1 | 49, 121, 57 |
//! | derivative at the model (`eap`) | 0.81, 0.84, 0.89 | 0.37, 0.10, 0.21 | 231, 213, 115 |
//! | mean of both ends (`clean-corrupted`) | 0.84, 0.77, 0.91 | 0.39, 0.05, 0.22 | 175, 167, 146 |
//! | `mask-ig`, 4 nodes | 0.90, 0.88, 0.93 | 0.75, 0.49, 0.55 | 101, 98, 60 |
//!
//! # What it costs
//!
//! With `circuit_every = 50`, one thread, no evaluations, in CPU time relative to the same run
//! without circuits: 9 % more for d = 2, F = 32, batches of 32 (26 us a step), 12 % for d = 32,
//! F = 128, batches of 32, and less than the noise of the measurement for the full batch of 2048.
//! The [default probe](super::config::Batch::default_probe) grows with the batch for that reason.
//! Eight pairs, the minimum, rank coarsely; the cost is proportional to their number.

mod patched;

use crate::error::{Error, Result};
use crate::experiments::train::config::TaskConfig;
use crate::formats::circuit_pairs::{CircuitPairs, LabelledPair, VERSION};
use crate::formats::circuit_summary::{CircuitSummary, LogSummary, Overlap, StageSummary};
use crate::formats::metrics::CircuitLine;
use crate::graph::{Granularity, Graph};
use crate::nn::pooled::Config;
use crate::rng::{Purpose, Rng};
use crate::simd::Element;
use crate::stats;
use crate::tasks::Dataset;
use patched::Patched;
use std::fs;
use std::path::Path;

/// The share of the metric that a circuit keeps.
pub(crate) const FAITHFULNESS: f64 = 0.95;

/// Pairs of a row and another one with another label; none if all labels are equal.
fn pairs(data: &Dataset, n: usize, rng: &mut Rng) -> Vec<LabelledPair> {
    let differ = |a: usize, b: usize| data.targets[a] != data.targets[b];
    let mut list = Vec::with_capacity(n);
    for _ in 0..n {
        let clean = rng.below(data.n as u64) as usize;
        let start = rng.below(data.n as u64) as usize;
        // The first row from a random one on: two numbers of the generator for every pair.
        let Some(other) = (0..data.n).map(|i| (start + i) % data.n).find(|&i| differ(clean, i))
        else {
            continue;
        };
        list.push(LabelledPair {
            clean: data.row(clean).to_vec(),
            corrupted: data.row(other).to_vec(),
            answer: data.targets[clean],
            distractor: data.targets[other],
        });
    }
    list
}

/// Circuits at a time in the search for the smallest one: more of them would be less calls and more
/// work.
const SEARCH: usize = 3;

/// Looks into the model of one stage.
pub(super) struct Watch<T> {
    /// For all edges alone.
    patched: Patched<T>,
    /// For a few circuits at a time.
    search: Patched<T>,
    graph: Graph,
    pairs: Vec<LabelledPair>,
    /// The modulus, and how many positions matter.
    task: (usize, usize),
}

impl<T: Element> Watch<T> {
    /// For `pairs` pairs of `data`, rows of `task`; none if all labels are equal. They depend on
    /// the seed and the modulus, as the rows do.
    pub(super) fn new(
        config: &Config,
        data: &Dataset,
        pairs: usize,
        seed: u64,
        task: &TaskConfig,
    ) -> Option<Self> {
        let pairs = self::pairs(data, pairs, &mut Rng::new(seed, Purpose::Probe, task.p as u32));
        if pairs.is_empty() {
            tracing::warn!("all rows have one label: circuits are not logged");
            return None;
        }
        // The model, and without each of its edges but those of neurons.
        let patched = Patched::new(config, &pairs, 2 * config.seq_len + 2);
        let search = Patched::new(config, &pairs, SEARCH);
        let graph = graph(config);
        assert_eq!(patched.edges(), graph.edges(), "the edges of the graph");
        Some(Watch { patched, search, graph, pairs, task: (task.p, task.k) })
    }

    /// Writes `circuits/probe-STAGE.json`: what the scores of a stage belong to, and the pairs they
    /// are taken on.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write_probe(&self, run: &Path, stage: usize) -> Result<()> {
        let (p, k) = self.task;
        let (edges, pairs) = (names(&self.graph), self.pairs.clone());
        CircuitPairs { version: VERSION, stage, p: p as u64, k, edges, pairs }.write(run)
    }

    /// Looks at the model with these parameters; none if a number in it is none.
    fn look(&mut self, parameters: &[&[T]]) -> Option<CircuitLine> {
        self.patched.set_parameters(parameters);
        self.search.set_parameters(parameters);
        let (scores, [clean, corrupted]) = self.patched.scores();
        let scores: Vec<f32> = scores.into_iter().map(|s| s as f32).collect();
        if scores.iter().any(|s| !s.is_finite()) {
            return None;
        }
        let order = order(&scores);
        let found = (clean > corrupted).then(|| self.smallest(&order, &scores, clean, corrupted));
        let [useful, spurious] = shares(&self.graph, &scores, self.task.1);
        Some(CircuitLine {
            clean: Some(clean),
            corrupted: Some(corrupted),
            edges: found.map(|f| f.0),
            nodes: found.map(|f| nodes(&self.graph, &order[..f.0])),
            faithfulness: found.map(|f| f.1),
            useful: Some(useful),
            spurious: Some(spurious),
            scores,
            ..CircuitLine::default()
        })
    }

    /// How many of the first edges keep enough, and how much they keep.
    fn smallest(
        &mut self,
        order: &[usize],
        scores: &[f32],
        clean: f64,
        corrupted: f64,
    ) -> (usize, f64) {
        // Edges of equal score come together, so that both sides of a neuron are one step.
        let mut sizes = vec![];
        for run in order.chunk_by(|&a, &b| scores[a].abs() == scores[b].abs()) {
            sizes.push(sizes.last().unwrap_or(&0) + run.len());
        }
        // Below `low` they do not keep enough, those of `high` do.
        let (mut low, mut high, mut kept) = (0, sizes.len() - 1, 1.0);
        while low < high {
            let parts = self.search.at_once().min(high - low) + 1;
            let tried: Vec<usize> = (1..parts).map(|i| low + i * (high - low) / parts).collect();
            let circuit = |&at: &usize| {
                let mut circuit = vec![false; order.len()];
                order[..sizes[at]].iter().for_each(|&e| circuit[e] = true);
                circuit
            };
            let metrics = self.search.run(&tried.iter().map(circuit).collect::<Vec<_>>());
            for (&at, m) in tried.iter().zip(&metrics[1..]) {
                let share = (m - corrupted) / (clean - corrupted);
                if share >= FAITHFULNESS {
                    (high, kept) = (at, share);
                    break;
                }
                low = at + 1;
            }
        }
        (sizes[high], kept)
    }
}

/// The graph whose edges are logged.
fn graph(config: &Config) -> Graph {
    Graph::of_pooled(config, Granularity { neurons: true, ..Default::default() })
}

/// All edges by falling size of their score; of equals the first one first.
fn order(scores: &[f32]) -> Vec<usize> {
    stats::by_size(&scores.iter().map(|&score| score.into()).collect::<Vec<f64>>())
}

/// The shares of all `|score|` on edges at positions before `k`, and at those from `k` on.
fn shares(graph: &Graph, scores: &[f32], k: usize) -> [f64; 2] {
    let group = &graph.groups[0];
    let size = |scores: &[f32]| scores.iter().map(|s| f64::from(s.abs())).sum::<f64>();
    let split = k * group.readers.len() * group.upstream.len();
    let (all, placed) = (size(scores), &scores[group.edges()]);
    let share = |part: &[f32]| if all > 0.0 { size(part) / all } else { 0.0 };
    [share(&placed[..split]), share(&placed[split..])]
}

/// How many nodes the edges touch; the input at each position is one.
fn nodes(graph: &Graph, edges: &[usize]) -> usize {
    let mut touched = Vec::with_capacity(2 * edges.len());
    for &e in edges {
        let edge = graph.edge(e);
        touched.extend([(edge.from, edge.position), (edge.to.node, None)]);
    }
    touched.sort_unstable();
    touched.dedup();
    touched.len()
}

/// One log, as far as others are compared with it.
#[derive(Clone, Debug, PartialEq)]
struct Log {
    step: u64,
    stage: usize,
    scores: Vec<f32>,
    /// All edges by falling size of their score.
    order: Vec<usize>,
    /// `[E]`, whether each edge is in the circuit.
    circuit: Option<Vec<bool>>,
    /// `[E]`, the place of each edge in the order; equals share the mean of their places.
    ranks: Vec<f64>,
}

impl Log {
    /// `edges` is the size of the circuit.
    fn new(step: u64, stage: usize, edges: Option<usize>, scores: Vec<f32>) -> Log {
        let order = order(&scores);
        let circuit = edges.map(|n| {
            let mut circuit = vec![false; scores.len()];
            order.iter().take(n).for_each(|&e| circuit[e] = true);
            circuit
        });
        let falling: Vec<f64> = scores.iter().map(|s| -f64::from(s.abs())).collect();
        let ranks = stats::ranks(&falling);
        Log { step, stage, scores, order, circuit, ranks }
    }

    /// The edges of the circuit.
    fn edges(&self) -> Option<&[usize]> {
        let n = self.circuit.as_ref()?.iter().filter(|x| **x).count();
        Some(&self.order[..n])
    }
}

/// The overlap of `a` with `b`.
fn overlap(a: &Log, b: &Log) -> Overlap {
    let [x, y] = [a, b].map(|log| stats::centred(&log.ranks));
    let rank_correlation = stats::cosine(&x, &y);
    let (Some(first), Some(second)) = (&a.circuit, &b.circuit) else {
        return Overlap { rank_correlation, ..Default::default() };
    };
    let (mut both, mut either, mut own, mut other) = (0, 0, 0, 0);
    for (&x, &y) in first.iter().zip(second) {
        both += usize::from(x && y);
        either += usize::from(x || y);
        own += usize::from(x);
        other += usize::from(y);
    }
    let share = |of: usize| (of > 0).then(|| both as f64 / of as f64);
    let chance = share(own).map(|_| other as f64 / second.len() as f64);
    Overlap { jaccard: share(either), kept: share(own), chance, rank_correlation }
}

/// All logs of a run so far.
#[derive(Debug, Default)]
pub(super) struct History {
    logs: Vec<Log>,
}

impl History {
    /// The logs in a metrics file.
    ///
    /// # Errors
    /// If it cannot be read, or a log in it is not one.
    pub(super) fn read(path: &Path) -> Result<History> {
        let text = fs::read_to_string(path).map_err(|e| Error::io(path, &e, "read"))?;
        let mut history = History::default();
        for (i, line) in text.lines().enumerate() {
            if line.starts_with(r#"{"kind":"circuit""#) {
                let CircuitLine { step, stage, edges, scores, .. } = serde_json::from_str(line)
                    .map_err(|e| {
                        let place = format!("{}: line {}", path.display(), i + 1);
                        Error::input(place, e, "the file was changed; start again with --force")
                    })?;
                history.logs.push(Log::new(step, stage, edges, scores));
            }
        }
        Ok(history)
    }

    /// Looks at the model after `step` steps, and compares with the log before; none if a number of
    /// the model is none.
    pub(super) fn log<T: Element>(
        &mut self,
        watch: &mut Watch<T>,
        parameters: &[&[T]],
        step: u64,
        stage: usize,
    ) -> Option<CircuitLine> {
        let mut line = watch.look(parameters)?;
        (line.step, line.stage) = (step, stage);
        let now = Log::new(step, stage, line.edges, line.scores.clone());
        if let Some(before) = self.logs.last() {
            let Overlap { jaccard, rank_correlation, .. } = overlap(before, &now);
            (line.jaccard, line.rank_correlation) = (jaccard, rank_correlation);
            if let (Some(old), Some(new)) = (&before.circuit, &now.circuit) {
                let size = |scores: &[f32]| scores.iter().map(|s| s.abs()).sum::<f32>();
                let (was, is) = (size(&before.scores), size(&now.scores));
                let mut counts = [0; 4];
                for e in 0..new.len() {
                    let (a, b) = (before.scores[e].abs() / was, now.scores[e].abs() / is);
                    match (old[e], new[e]) {
                        (false, true) => counts[0] += 1,
                        (true, false) => counts[1] += 1,
                        (true, true) if b > 1.1 * a => counts[2] += 1,
                        (true, true) if a > 1.1 * b => counts[3] += 1,
                        _ => {}
                    }
                }
                let [reinforced, pruned, grew, shrank] = counts.map(Some);
                (line.reinforced, line.pruned) = (reinforced, pruned);
                (line.grew, line.shrank) = (grew, shrank);
            }
        }
        self.logs.push(now);
        Some(line)
    }

    /// Compares all logs, and writes the summary into the run folder; nothing if there is no log.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn summarize(&self, run: &Path, config: &Config, ks: &[usize]) -> Result<()> {
        let Some(last) = self.logs.last() else { return Ok(()) };
        let graph = graph(config);
        let logs = self.logs.iter().map(|log| LogSummary {
            step: log.step,
            stage: log.stage,
            edges: log.edges().map(<[_]>::len),
            last: overlap(log, last),
        });
        let ends: Vec<&Log> =
            self.logs.chunk_by(|a, b| a.stage == b.stage).filter_map(<[_]>::last).collect();
        let stages = ends.iter().map(|log| {
            let circuit = log.edges();
            let [useful, spurious] = shares(&graph, &log.scores, ks[log.stage]);
            StageSummary {
                stage: log.stage,
                step: log.step,
                nodes: circuit.map(|c| nodes(&graph, c)),
                circuit: circuit.map(<[_]>::to_vec),
                useful,
                spurious,
                scores: log.scores.clone(),
            }
        });
        CircuitSummary {
            version: VERSION,
            faithfulness: FAITHFULNESS,
            edges: names(&graph),
            transfers: ends.windows(2).map(|pair| overlap(pair[0], pair[1])).collect(),
            stages: stages.collect(),
            logs: logs.collect(),
        }
        .write(run)
    }
}

/// The names of all edges.
fn names(graph: &Graph) -> Vec<String> {
    (0..graph.edges()).map(|e| graph.edge(e).to_string()).collect()
}

impl StageSummary {
    /// The overlap with the circuit of another stage or run of the same model.
    pub fn overlap(&self, other: &StageSummary) -> Overlap {
        let log = |s: &StageSummary| {
            Log::new(s.step, s.stage, s.circuit.as_ref().map(Vec::len), s.scores.clone())
        };
        overlap(&log(self), &log(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_those_counted_by_hand() {
        let a = Log::new(0, 0, Some(2), vec![-4.0, 3.0, 1.0, 1.0]);
        let b = Log::new(9, 0, Some(3), vec![0.5, 3.0, -2.0, 1.0]);
        assert_eq!((a.edges(), b.edges()), (Some(&[0, 1][..]), Some(&[1, 2, 3][..])));
        assert_eq!(a.ranks, [0.0, 1.0, 2.5, 2.5]);
        let Overlap { jaccard, kept, chance, rank_correlation } = overlap(&a, &b);
        assert_eq!((jaccard, kept, chance), (Some(0.25), Some(0.5), Some(0.75)));
        // Ranks less their mean: -1.5, -0.5, 1, 1 and 1.5, -1.5, -0.5, 0.5.
        let want = (-2.25 + 0.75 - 0.5 + 0.5) / (4.5f64 * 5.0).sqrt();
        assert!((rank_correlation.expect("not all equal") - want).abs() < 1e-15);
        let none = Log::new(0, 0, None, vec![1.0; 4]);
        assert_eq!(overlap(&none, &a), Overlap::default());
    }

    #[test]
    fn pairs_differ_in_their_labels() {
        let data =
            Dataset { tokens: vec![0, 1, 2, 3], targets: vec![0, 1, 1, 1], n: 4, seq_len: 1 };
        let rng = || Rng::new(0, Purpose::Probe, 2);
        let list = pairs(&data, 50, &mut rng());
        assert_eq!(list.len(), 50);
        assert!(list.iter().all(|p| p.answer != p.distractor && p.clean != p.corrupted));
        assert_eq!(pairs(&data, 10, &mut rng()), list[..10], "fewer pairs are other ones");
        let alike = Dataset { targets: vec![1; 4], ..data };
        assert!(pairs(&alike, 5, &mut rng()).is_empty());
    }
}
