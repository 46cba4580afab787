//! Evaluations: how well a model does, and what its attention does.

use crate::nn::pooled::{Config, Pooled};
use crate::simd::Element;
use crate::tape::{Program, Tape};
use crate::tasks::Dataset;

/// Sequences evaluated at a time; more would not be faster, only larger.
const CHUNK: usize = 256;

/// A program that only runs forward.
pub struct Evaluator<T> {
    program: Program<T>,
    model: Pooled,
    vocab: usize,
    batch: usize,
}

/// What one pass over a data set found.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// How well labels are predicted.
    pub scores: Scores,
    /// What the attention does.
    pub head: HeadFigures,
}

/// How well labels are predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Share of sequences whose largest logit is at the label.
    pub accuracy: f64,
    /// Share of sequences whose largest logit has the label's parity.
    pub accuracy_mod2: f64,
}

/// What the single attention head does; the words are those of [`EvalLine`].
///
/// [`EvalLine`]: crate::formats::metrics::EvalLine
#[derive(Clone, Debug, PartialEq)]
pub struct HeadFigures {
    /// Share of the variance of the sequence embedding that the sum of the first k tokens explains.
    pub cluster_r2: f64,
    /// Mean attention on the first k positions together.
    pub attention_relevant: f64,
    /// `[T]`, mean attention on each position.
    pub attention: Vec<f64>,
    /// Mean norm of the sequence embedding.
    pub sequence_norm: f64,
}

impl<T: Element> Evaluator<T> {
    /// An evaluator for data sets of up to `rows` rows or more.
    pub fn new(config: &Config, rows: usize) -> Self {
        let batch = rows.clamp(1, CHUNK);
        let mut tape = Tape::new();
        let model = Pooled::record(&mut tape, config, batch);
        tape.keep_only(&[model.attention, model.sequence, model.logits, model.losses]);
        Evaluator { program: tape.finish(), model, vocab: config.vocab, batch }
    }

    /// Evaluates the model with these parameters on all of `data`, whose labels are sums of the
    /// first `k` tokens.
    pub fn measure(&mut self, parameters: &[&[T]], data: &Dataset, k: usize) -> Measured {
        for (&x, numbers) in self.model.parameters.iter().zip(parameters) {
            self.program.set(x, numbers);
        }
        let mut scores = ScoreSums::default();
        let mut head = HeadSums::new(data.seq_len, k);
        for from in (0..data.n).step_by(self.batch) {
            let valid = (data.n - from).min(self.batch);
            let rows = (from..from + valid).map(|r| (data.row(r), data.targets[r]));
            self.model.set_batch(&mut self.program, rows);
            self.program.forward();
            let value = |x| self.program.value(x);
            let width = value(self.model.sequence).len() / self.batch;
            let logits = value(self.model.logits).chunks_exact(self.vocab);
            let losses = value(self.model.losses);
            let attention = value(self.model.attention).chunks_exact(data.seq_len);
            let sequence = value(self.model.sequence).chunks_exact(width);
            for (i, (logits, loss)) in logits.zip(losses).take(valid).enumerate() {
                scores.add(logits, data.targets[from + i], loss.to_f64());
            }
            for (i, (attention, sequence)) in attention.zip(sequence).take(valid).enumerate() {
                head.add(data.row(from + i), attention, sequence);
            }
        }
        Measured { scores: scores.mean(data.n), head: head.finish(data.n) }
    }
}

#[derive(Default)]
struct ScoreSums {
    loss: f64,
    right: usize,
    right_mod2: usize,
}

impl ScoreSums {
    fn add<T: Element>(&mut self, logits: &[T], target: u32, loss: f64) {
        let mut best = 0;
        for (i, x) in logits.iter().enumerate() {
            if *x > logits[best] {
                best = i;
            }
        }
        self.loss += loss;
        self.right += usize::from(best == target as usize);
        self.right_mod2 += usize::from(best % 2 == target as usize % 2);
    }

    fn mean(self, n: usize) -> Scores {
        let n = n as f64;
        Scores {
            loss: self.loss / n,
            accuracy: self.right as f64 / n,
            accuracy_mod2: self.right_mod2 as f64 / n,
        }
    }
}

/// Sums over sequences, and over those of each sum of the first k tokens.
struct HeadSums {
    k: usize,
    attention: Vec<f64>,
    norm: f64,
    /// By sum: how many sequences, and the sum of their embeddings.
    clusters: Vec<(usize, Vec<f64>)>,
    squares: f64,
}

impl HeadSums {
    fn new(seq_len: usize, k: usize) -> Self {
        HeadSums { k, attention: vec![0.0; seq_len], norm: 0.0, clusters: vec![], squares: 0.0 }
    }

    fn add<T: Element>(&mut self, tokens: &[u32], attention: &[T], sequence: &[T]) {
        for (total, a) in self.attention.iter_mut().zip(attention) {
            *total += a.to_f64();
        }
        let square: f64 = sequence.iter().map(|x| x.to_f64() * x.to_f64()).sum();
        self.norm += square.sqrt();
        self.squares += square;
        let sum = tokens[..self.k].iter().sum::<u32>() as usize;
        if self.clusters.len() <= sum {
            self.clusters.resize_with(sum + 1, Default::default);
        }
        let (count, total) = &mut self.clusters[sum];
        *count += 1;
        total.resize(sequence.len(), 0.0);
        for (total, x) in total.iter_mut().zip(sequence) {
            *total += x.to_f64();
        }
    }

    fn finish(self, n: usize) -> HeadFigures {
        let n = n as f64;
        // Sums of squares: around nothing S, of cluster means C, of the common mean M. The
        // variance is S - M, the part between clusters C - M.
        let square = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>();
        let between: f64 =
            self.clusters.iter().filter(|c| c.0 > 0).map(|(m, v)| square(v) / *m as f64).sum();
        let width = self.clusters.iter().map(|c| c.1.len()).max().unwrap_or(0);
        let mut all = vec![0.0; width];
        for (_, v) in &self.clusters {
            all.iter_mut().zip(v).for_each(|(a, v)| *a += v);
        }
        let mean = square(&all) / n;
        let variance = self.squares - mean;
        HeadFigures {
            cluster_r2: if variance > 0.0 { (between - mean) / variance } else { 0.0 },
            attention_relevant: self.attention[..self.k].iter().sum::<f64>() / n,
            attention: self.attention.iter().map(|a| a / n).collect(),
            sequence_norm: self.norm / n,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_explain_what_lies_between_them() {
        // Two clusters (sums 0 and 1) at x = -1 and x = 3 with a spread of +-1 around each: the
        // variance is 4 between and 1 within, so 4 / 5 is explained.
        let mut sums = HeadSums::new(2, 1);
        for (token, x) in [(0u32, -2.0), (0, 0.0), (1, 2.0), (1, 4.0)] {
            sums.add(&[token, 7], &[0.75, 0.25], &[x, 0.0]);
        }
        let numbers = sums.finish(4);
        assert!((numbers.cluster_r2 - 0.8).abs() < 1e-12, "{numbers:?}");
        assert_eq!(numbers.attention, [0.75, 0.25]);
        assert_eq!(numbers.attention_relevant, 0.75);
        assert_eq!(numbers.sequence_norm, 2.0);
    }

    #[test]
    fn accuracy_counts_labels_and_parity() {
        let mut sums = ScoreSums::default();
        sums.add(&[0.0, 0.0, 5.0, 0.0], 2, 1.0);
        sums.add(&[9.0, 0.0, 5.0, 0.0], 2, 2.0);
        sums.add(&[0.0, 1.0, 5.0, 0.0], 3, 3.0);
        sums.add(&[0.0, 1.0, 0.0, 0.5], 1, 6.0);
        assert_eq!(sums.mean(4), Scores { loss: 3.0, accuracy: 0.5, accuracy_mod2: 0.75 });
    }

    #[test]
    fn the_last_chunk_counts_only_its_rows() {
        use crate::nn::Activation;
        let config = Config {
            vocab: 3,
            seq_len: 4,
            d_model: 3,
            d_mlp: 5,
            activation: Activation::Relu,
            mlp_bias: true,
            dropout: 0.0,
        };
        let n = CHUNK + 37;
        let tokens: Vec<u32> = (0..n * 4).map(|i| (i * i % 7 % 3) as u32).collect();
        let targets = (0..n).map(|i| (i % 3) as u32).collect();
        let data = Dataset { tokens, targets, n, seq_len: 4 };
        let init = config.init(0);
        let parameters: Vec<&[f64]> = init.iter().map(Vec::as_slice).collect();
        let whole = Evaluator::new(&config, n).measure(&parameters, &data, 2);
        let mut one = Evaluator::new(&config, 1);
        let alone = one.measure(&parameters, &data, 2);
        assert!((whole.scores.loss - alone.scores.loss).abs() < 1e-12);
        assert_eq!(whole.scores.accuracy, alone.scores.accuracy);
        assert!((whole.head.cluster_r2 - alone.head.cluster_r2).abs() < 1e-12);
        assert!(whole.scores.loss > 0.1 && whole.head.cluster_r2 > 0.0);
    }
}
