//! The pooled model with edges removed for real, many circuits at a time.
//!
//! In the graph of the pooled model every reader but the unembedding has one writer alone. So a
//! removed edge replaces the whole of what its reader reads by what it reads in the corrupted run,
//! and no masks are needed, only choices between two numbers that are both there:
//!
//! ```text
//! input@t->a0.h0<k>@t    the attention score of position t
//! input@t->a0.h0<v>@t    the value of position t
//! a0.h0->logits          the sequence embedding that the unembedding sees
//! a0.h0->m0.nJ           the neuron's activation, and so does
//! m0.nJ->logits          the same: two edges in a row do what either does
//! ```
//!
//! Scores and values depend on a token and its position alone and are computed once for all
//! circuits; what comes behind them costs no more than a row of a batch. The unembedding is linear,
//! so that the effects of all neurons are products of one pass. All edges of a model of L positions
//! are thereby removed, one at a time and for real, by `2 L + 1` such rows for each pair.

use crate::formats::circuit_pairs::LabelledPair;
use crate::gemm::{Mat, MatMut, Write, gemm};
use crate::nn::pooled::{Config, EPS, Parameter};
use crate::ops;
use crate::ops::MatMul;
use crate::simd::Element;
use crate::tape::{Ids, Program, Tape, Var};

/// About how many rows (circuits times pairs) are computed at a time: enough to keep the kernels
/// busy, and still in a second-level cache.
const ROWS: usize = 512;

/// A program of some circuits (C) on some pairs (B). Rows are numbered by circuit, then by pair;
/// circuit 0 is always the corrupted run, from which the others take what replaces their edges.
pub(super) struct Patched<T> {
    program: Program<T>,
    pairs: usize,
    /// C.
    copies: usize,
    /// L.
    seq_len: usize,
    /// F.
    neurons: usize,
    /// In the order of [`Config::parameters`].
    parameters: Vec<Var>,
    /// Where fc2 stands among them.
    fc2: usize,
    /// `[C B, L]`, where each score and each value is looked up.
    lookups: [Ids; 2],
    /// `[B, L]`, the same for the clean and for the corrupted sequences.
    places: [Vec<u32>; 2],
    /// `[C B]`, the row whose sequence embedding the unembedding sees.
    direct: Ids,
    /// `[C, 1, F]`: 1 for the neurons that are kept, and for those that are not.
    kept: [Var; 2],
    /// `[C B, F]`, the neurons before any is replaced.
    z: Var,
    /// `[C B, 2]`, the logits of both labels.
    logits: Var,
    labels: Vec<[u32; 2]>,
}

/// The parameters of a model on a tape.
struct Leaves {
    list: Vec<Parameter>,
    /// In the same order.
    vars: Vec<Var>,
}

impl Leaves {
    fn record<T: Element>(tape: &mut Tape<T>, config: &Config) -> Leaves {
        let list = config.parameters();
        let vars = list.iter().map(|p| tape.leaf(p.name, p.shape.clone())).collect();
        Leaves { list, vars }
    }

    fn at(&self, name: &str) -> Option<usize> {
        self.list.iter().position(|p| p.name == name)
    }

    fn named(&self, name: &str) -> Option<Var> {
        self.at(name).map(|i| self.vars[i])
    }

    fn get(&self, name: &str) -> Var {
        self.named(name).expect("a parameter of every pooled model")
    }
}

/// Every token at every position that occurs, once, in order.
fn occurring(pairs: &[LabelledPair]) -> Vec<(u32, u32)> {
    let both = |p: &LabelledPair| [p.clean.clone(), p.corrupted.clone()];
    let mut table: Vec<(u32, u32)> =
        pairs.iter().flat_map(both).flat_map(|tokens| tokens.into_iter().zip(0..)).collect();
    table.sort_unstable();
    table.dedup();
    table
}

/// `[B, L]`, where each token of the clean and of the corrupted sequences stands in the table.
fn places(table: &[(u32, u32)], pairs: &[LabelledPair]) -> [Vec<u32>; 2] {
    let place = |tokens: &[u32]| -> Vec<u32> {
        let at = |x: (u32, u32)| table.binary_search(&x).expect("listed") as u32;
        tokens.iter().copied().zip(0..).map(at).collect()
    };
    [
        pairs.iter().flat_map(|p| place(&p.clean)).collect(),
        pairs.iter().flat_map(|p| place(&p.corrupted)).collect(),
    ]
}

/// Records the score `[N]` and the value `[N, D]` of each of N tokens at their positions.
fn record_head<T: Element>(
    tape: &mut Tape<T>,
    config: &Config,
    leaves: &Leaves,
    [tokens, positions]: [Ids; 2],
) -> [Var; 2] {
    let token = ops::gather(tape, leaves.get("token_emb.weight"), tokens);
    let position = ops::gather(tape, leaves.get("pos_emb.weight"), positions);
    let x = ops::add(tape, token, position);
    let x = ops::rms_norm(tape, x, None, EPS);
    let scale = 1.0 / (config.d_model as f64).sqrt();
    let to_query = MatMul { transpose_b: true, scale, ..Default::default() };
    let scores = ops::matmul(tape, x, leaves.get("softmax.query.weight"), to_query);
    let n = tape.shape(scores).rows();
    let scores = tape.reshape(scores, [n]);
    let values = ops::linear(tape, x, leaves.get("softmax.value.weight"), None);
    [scores, values]
}

/// The recorded MLP, whose neurons can be replaced.
struct Mlp {
    /// `[C B]`, the row that neurons are replaced from.
    corrupted: Ids,
    /// As in [`Patched`].
    kept: [Var; 2],
    /// As in [`Patched`].
    z: Var,
    /// `[C B, D]`.
    out: Var,
}

impl Mlp {
    /// Records the MLP of `sequence [C B, D]`.
    fn record<T: Element>(
        tape: &mut Tape<T>,
        config: &Config,
        leaves: &Leaves,
        sequence: Var,
        copies: usize,
    ) -> Mlp {
        let (rows, d_mlp) = (tape.shape(sequence).rows(), config.d_mlp);
        let h = ops::rms_norm(tape, sequence, None, EPS);
        let h = ops::linear(tape, h, leaves.get("mlp.fc1.weight"), leaves.named("mlp.fc1.bias"));
        let z = config.activation.record(tape, h);
        let corrupted = tape.ids([rows], rows);
        let other = ops::gather(tape, z, corrupted);
        let kept = ["kept", "replaced"].map(|name| tape.leaf(name, [copies, 1, d_mlp]));
        let [own, other] = [(z, kept[0]), (other, kept[1])].map(|(z, factor)| {
            let z = tape.reshape(z, [copies, rows / copies, d_mlp]);
            ops::mul(tape, z, factor)
        });
        // One of both is 0, so that the sum has the bits of the other.
        let h = ops::add(tape, own, other);
        let h = tape.reshape(h, [rows, d_mlp]);
        let out = ops::linear(tape, h, leaves.get("mlp.fc2.weight"), leaves.named("mlp.fc2.bias"));
        Mlp { corrupted, kept, z, out }
    }
}

impl<T: Element> Patched<T> {
    /// For a model of this shape and up to `at_once` circuits at a time, or fewer that fit in a
    /// cache.
    ///
    /// # Panics
    /// If there is no pair.
    pub(super) fn new(config: &Config, pairs: &[LabelledPair], at_once: usize) -> Self {
        let &Config { vocab, seq_len, d_mlp, .. } = config;
        let count = pairs.len();
        let copies = (ROWS / count).clamp(2, 1 + at_once.max(1));
        let rows = copies * count;
        let table = occurring(pairs);
        let mut tape = Tape::new();
        let leaves = Leaves::record(&mut tape, config);
        let tokens = tape.ids([table.len()], vocab);
        let positions = tape.ids([table.len()], seq_len);
        let [scores, values] = record_head(&mut tape, config, &leaves, [tokens, positions]);
        let lookups = [(); 2].map(|()| tape.ids([rows, seq_len], table.len()));
        let scores = ops::gather(&mut tape, scores, lookups[0]);
        let attention = ops::softmax(&mut tape, scores);
        let sequence = ops::bag(&mut tape, values, attention, lookups[1]);
        let direct = tape.ids([rows], rows);
        let seen = ops::gather(&mut tape, sequence, direct);

        let Mlp { corrupted, kept, z, out } =
            Mlp::record(&mut tape, config, &leaves, sequence, copies);
        let out = ops::add(&mut tape, seen, out);
        let labels = tape.ids([rows, 2], vocab);
        let logits = ops::pick(&mut tape, out, leaves.get("token_emb.weight"), None, labels);

        let mut program = tape.finish();
        program.set_ids(tokens, &table.iter().map(|x| x.0).collect::<Vec<_>>());
        program.set_ids(positions, &table.iter().map(|x| x.1).collect::<Vec<_>>());
        let pair = |row: usize| row % count;
        program.fill_ids(corrupted, |ids| {
            ids.iter_mut().enumerate().for_each(|(row, id)| *id = pair(row) as u32);
        });
        program.fill_ids(labels, |ids| {
            for (row, ids) in ids.chunks_exact_mut(2).enumerate() {
                ids.copy_from_slice(&pairs[pair(row)].labels());
            }
        });
        Patched {
            program,
            pairs: count,
            copies,
            seq_len,
            neurons: d_mlp,
            fc2: leaves.at("mlp.fc2.weight").expect("a parameter of every pooled model"),
            parameters: leaves.vars,
            lookups,
            places: places(&table, pairs),
            direct,
            kept,
            z,
            logits,
            labels: pairs.iter().map(LabelledPair::labels).collect(),
        }
    }

    /// How many edges there are (E).
    pub(super) fn edges(&self) -> usize {
        2 * self.seq_len + 1 + 2 * self.neurons
    }

    /// How many circuits [`run`](Self::run) takes at a time.
    pub(super) fn at_once(&self) -> usize {
        self.copies - 1
    }

    /// Sets all parameters, in the order of [`Config::parameters`].
    pub(super) fn set_parameters(&mut self, numbers: &[&[T]]) {
        for (&x, numbers) in self.parameters.iter().zip(numbers) {
            self.program.set(x, numbers);
        }
    }

    /// The metric of the corrupted run, and of circuits that keep the edges for which they are
    /// true, `[E]` each: how far the logit of the clean label stands above that of the corrupted
    /// one, in the mean over the pairs.
    ///
    /// # Panics
    /// If there are more circuits than it takes at a time.
    pub(super) fn run(&mut self, circuits: &[Vec<bool>]) -> Vec<f64> {
        assert!(circuits.len() <= self.at_once(), "{} circuits", circuits.len());
        let Self { pairs, seq_len, neurons, .. } = *self;
        // Rows that nobody asked for are the corrupted run once more.
        let nothing = vec![false; self.edges()];
        let others = circuits.iter().chain(std::iter::repeat(&nothing));
        let masks: Vec<&[bool]> =
            [&nothing].into_iter().chain(others).take(self.copies).map(|m| &m[..]).collect();
        for (port, &lookup) in self.lookups.iter().enumerate() {
            let places = &self.places;
            self.program.fill_ids(lookup, |ids| {
                for (ids, mask) in ids.chunks_exact_mut(pairs * seq_len).zip(&masks) {
                    ids.copy_from_slice(&places[0]);
                    for t in (0..seq_len).filter(|t| !mask[2 * t + port]) {
                        for i in (t..ids.len()).step_by(seq_len) {
                            ids[i] = places[1][i];
                        }
                    }
                }
            });
        }
        let behind = 2 * seq_len + neurons;
        self.program.fill_ids(self.direct, |ids| {
            for (row, id) in ids.iter_mut().enumerate() {
                let own = masks[row / pairs][behind];
                *id = if own { row } else { row % pairs } as u32;
            }
        });
        for (i, &kept) in self.kept.iter().enumerate() {
            let factors = self.program.value_mut(kept).chunks_exact_mut(neurons.max(1));
            for (factors, mask) in factors.zip(&masks) {
                let (read, written) = (&mask[2 * seq_len..behind], &mask[behind + 1..]);
                for (factor, (&a, &b)) in factors.iter_mut().zip(read.iter().zip(written)) {
                    *factor = if (a && b) == (i == 0) { T::ONE } else { T::ZERO };
                }
            }
        }
        self.program.forward();
        let metric = |logits: &[T]| {
            let sum: f64 = logits.chunks_exact(2).map(|x| x[0].to_f64() - x[1].to_f64()).sum();
            sum / pairs as f64
        };
        let logits = self.program.value(self.logits).chunks_exact(2 * pairs);
        logits.take(1 + circuits.len()).map(metric).collect()
    }

    /// What removing each edge alone takes from the metric, `[E]`, and the metric of the model and
    /// of the corrupted run.
    pub(super) fn scores(&mut self) -> (Vec<f64>, [f64; 2]) {
        let (edges, seq_len, neurons) = (self.edges(), self.seq_len, self.neurons);
        let behind = 2 * seq_len + neurons;
        let without = |e: usize| -> Vec<bool> { (0..edges).map(|other| other != e).collect() };
        // The model itself first: no edge has the number E.
        let all: Vec<usize> = [edges].into_iter().chain(0..2 * seq_len).chain([behind]).collect();
        let (mut scores, mut ends) = (vec![0.0; edges], [0.0; 2]);
        for chunk in all.chunks(self.at_once()) {
            let metrics = self.run(&chunk.iter().map(|&e| without(e)).collect::<Vec<_>>());
            for (&e, &m) in chunk.iter().zip(&metrics[1..]) {
                if e < edges {
                    scores[e] = ends[0] - m;
                    continue;
                }
                ends = [m, metrics[0]];
                for (j, score) in self.neuron_scores().into_iter().enumerate() {
                    (scores[2 * seq_len + j], scores[behind + 1 + j]) = (score, score);
                }
            }
        }
        (scores, ends)
    }

    /// `mean over pairs of (z - z') <w, e - e'>` of all neurons, `[F]`: activations of the model
    /// and of the corrupted run, what a neuron writes, the unembeddings of both labels. The last
    /// run's first circuit has to be the model.
    fn neuron_scores(&self) -> Vec<f64> {
        let token_emb = self.program.value(self.parameters[0]);
        let d = self.program.shape(self.parameters[0]).last();
        let mut apart = Vec::with_capacity(self.pairs * d);
        for &[a, b] in &self.labels {
            let row = |label: u32| &token_emb[label as usize * d..][..d];
            apart.extend(row(a).iter().zip(row(b)).map(|(&a, &b)| a - b));
        }
        let n = self.neurons;
        let mut slopes = vec![T::ZERO; self.pairs * n];
        let fc2 = Mat::new(self.program.value(self.parameters[self.fc2]), d, n);
        let to = MatMut::new(&mut slopes, self.pairs, n);
        gemm(T::ONE, Mat::new(&apart, self.pairs, d), fc2, Write::Store, to);
        let z = self.program.value(self.z);
        let (corrupted, clean) = z.split_at(self.pairs * n);
        let mut scores = vec![0.0; n];
        for (i, slope) in slopes.iter().enumerate() {
            scores[i % n] += (clean[i].to_f64() - corrupted[i].to_f64()) * slope.to_f64();
        }
        scores.iter_mut().for_each(|s| *s /= self.pairs as f64);
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::pooled as pooled_graph;
    use crate::graph::pooled::Pooled;
    use crate::graph::{Granularity, Graph, MaskShape, Recorded, Recorder};
    use crate::nn::Activation;
    use crate::rng::{Purpose, Rng};

    fn config(mlp_bias: bool) -> Config {
        let activation = Activation::Gelu;
        let (vocab, seq_len, d_model, d_mlp) = (5, 4, 3, 6);
        Config { vocab, seq_len, d_model, d_mlp, activation, mlp_bias, dropout: 0.0 }
    }

    fn pairs(rng: &mut Rng, config: &Config, n: usize) -> Vec<LabelledPair> {
        let mut row = || (0..config.seq_len).map(|_| rng.below(5) as u32).collect::<Vec<_>>();
        (0..n)
            .map(|i| LabelledPair {
                clean: row(),
                corrupted: row(),
                answer: i as u32 % 5,
                distractor: (i as u32 + 1) % 5,
            })
            .collect()
    }

    /// The metric by the masked recording of the graph.
    fn by_masks(
        config: &Config,
        weights: &[&[f64]],
        pairs: &[LabelledPair],
        circuit: &[bool],
    ) -> f64 {
        let granularity = Granularity { neurons: true, ..Default::default() };
        let graph = Graph::of_pooled(config, granularity);
        assert_eq!(graph.edges(), circuit.len());
        let mut tape = Tape::new();
        let mut recorder = Recorder::new(&graph, Some(MaskShape::default()));
        let model = Pooled::record(&mut tape, config, pairs.len(), &mut recorder);
        let recorded = Recorded::from(recorder);
        let mut program = tape.finish();
        for (&x, w) in model.parameters.iter().zip(pooled_graph::fused(config, weights)) {
            program.set(x, &w);
        }
        for reading in &recorded.readings {
            program.value_mut(reading.mask.expect("masks")).fill(1.0);
        }
        let tokens: Vec<u32> = pairs.iter().flat_map(|p| p.corrupted.clone()).collect();
        program.set_ids(model.tokens, &tokens);
        program.forward();
        for (output, &baseline) in recorded.outputs.iter().zip(&recorded.baselines) {
            let numbers = program.value(output.var()).to_vec();
            program.set(baseline, &numbers);
        }
        for (group, reading) in graph.groups.iter().zip(&recorded.readings) {
            let masks = program.value_mut(reading.mask.expect("masks"));
            for (m, &keep) in masks.iter_mut().zip(&circuit[group.edges()]) {
                *m = f64::from(u8::from(keep));
            }
        }
        let tokens: Vec<u32> = pairs.iter().flat_map(|p| p.clean.clone()).collect();
        program.set_ids(model.tokens, &tokens);
        program.forward();
        let (last, e, d) = (program.value(model.last), weights[0], config.d_model);
        let logit = |b: usize, label: u32| -> f64 {
            (0..d).map(|i| last[b * d + i] * e[label as usize * d + i]).sum()
        };
        let margins =
            pairs.iter().enumerate().map(|(b, p)| logit(b, p.answer) - logit(b, p.distractor));
        margins.sum::<f64>() / pairs.len() as f64
    }

    #[test]
    fn circuits_are_those_of_the_masked_graph() {
        for mlp_bias in [true, false] {
            let config = config(mlp_bias);
            let init = config.init(3);
            let weights: Vec<&[f64]> = init.iter().map(Vec::as_slice).collect();
            let mut rng = Rng::new(1, Purpose::Probe, 0);
            let pairs = pairs(&mut rng, &config, 9);
            let mut patched = Patched::new(&config, &pairs, 9);
            patched.set_parameters(&weights);
            let n = patched.edges();
            let circuits: Vec<Vec<bool>> = (0..patched.at_once())
                .map(|i| (0..n).map(|_| rng.below(9) > i as u64 % 9).collect())
                .collect();
            let metrics = patched.run(&circuits);
            let by_masks = |circuit: &[bool]| by_masks(&config, &weights, &pairs, circuit);
            for (circuit, m) in [vec![false; n]].iter().chain(&circuits).zip(&metrics) {
                let want = by_masks(circuit);
                assert!((m - want).abs() < 1e-12, "{m} {want} {circuit:?}");
            }
            // Every edge alone.
            let (scores, [clean, corrupted]) = patched.scores();
            assert!((clean - by_masks(&vec![true; n])).abs() < 1e-12);
            assert_eq!(corrupted.to_bits(), metrics[0].to_bits());
            assert!((clean - corrupted).abs() > 1e-3, "they say nothing");
            for (e, score) in scores.into_iter().enumerate() {
                let without: Vec<bool> = (0..n).map(|other| other != e).collect();
                let want = clean - by_masks(&without);
                assert!((score - want).abs() < 1e-12, "edge {e}: {score} {want}");
            }
        }
    }
}
