//! What a model says to sequences.

use crate::formats::pairs::{Asked, Pair, Pairs};
use crate::nn::stream::Sum;
use crate::nn::transformer::Model;
use crate::tuning::Objective;

/// How well tokens are predicted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Prediction {
    /// Tokens.
    pub(super) tokens: usize,
    /// Those that are the likeliest of all.
    pub(super) right: usize,
    /// The sum of their negative log-likelihoods, in nats.
    sum: f64,
}

impl Prediction {
    /// The mean negative log-likelihood of a token, in nats; 0 without tokens.
    pub(super) fn nll(&self) -> f64 {
        self.sum / self.tokens.max(1) as f64
    }
}

/// Logits that are computed at a time.
const LOGITS: usize = 1 << 22;

/// Shows `see` each sequence's place, its logits `[T, V]`, and the negative log-likelihoods
/// `[T - 1]` of its tokens but the first.
fn read(model: &Model<f32>, sequences: &[&[u32]], mut see: impl FnMut(usize, &[f32], &[f32])) {
    let (config, vocab) = (&model.config, model.config.vocab_out);
    let Some(length) = sequences.iter().map(|s| s.len()).max() else { return };
    let rows = (LOGITS / (length * vocab)).clamp(1, sequences.len());
    let mut o = Objective::<f32>::record(config, rows, length, 0, &mut Sum::default());
    o.set_weights(&model.weights);
    let weights = vec![0.0; rows * length];
    for (chunk, part) in sequences.chunks(rows).enumerate() {
        // Rows and ends of rows that are not there are token 0: a decoder sees nothing that
        // follows.
        let (mut inputs, mut targets) = (vec![0; rows * length], vec![0; rows * length]);
        for (row, sequence) in part.iter().enumerate() {
            let at = row * length;
            inputs[at..at + sequence.len()].copy_from_slice(sequence);
            targets[at..at + sequence.len() - 1].copy_from_slice(&sequence[1..]);
        }
        o.set(&inputs, &targets, &weights);
        o.program.forward();
        let (logits, nll) = (o.program.value(o.logits), o.program.value(o.nll));
        for (row, sequence) in part.iter().enumerate() {
            let (at, n) = (row * length, sequence.len());
            let logits = &logits[at * vocab..(at + n) * vocab];
            see(chunk * rows + row, logits, &nll[at..at + n - 1]);
        }
    }
}

/// By pair, the logit of its likeliest answer minus that of its likeliest rival, behind one of its
/// sequences.
///
/// # Panics
/// If a pair names no answer.
pub(super) fn gaps(
    model: &Model<f32>,
    pairs: &Pairs,
    sequence: impl Fn(&Pair) -> &Vec<u32>,
) -> Vec<f64> {
    let sequences: Vec<&[u32]> = pairs.iter().map(|pair| &sequence(pair)[..]).collect();
    let (vocab, mut gaps) = (model.config.vocab_out, vec![0.0; pairs.len()]);
    read(model, &sequences, |i, logits, _| {
        let Asked::Tokens { answer, distractor, position } = &pairs[i].asked else {
            panic!("{}: asks for no token", pairs.place_of(&pairs[i]))
        };
        let logits = &logits[position * vocab..(position + 1) * vocab];
        let likeliest = |is: &dyn Fn(u32) -> bool| {
            let ids = (0..vocab as u32).filter(|&id| is(id));
            ids.map(|id| f64::from(logits[id as usize])).fold(f64::NEG_INFINITY, f64::max)
        };
        let rival = |id: u32| match distractor[..] {
            [] => !answer.contains(&id),
            _ => distractor.contains(&id),
        };
        gaps[i] = likeliest(&|id| answer.contains(&id)) - likeliest(&rival);
    });
    gaps
}

/// How well the tokens of sequences are predicted, from the positions that count: `counts` is given
/// the sequence and the position before a token.
pub(super) fn predicted(
    model: &Model<f32>,
    sequences: &[&[u32]],
    counts: impl Fn(usize, usize) -> bool,
) -> Prediction {
    let (vocab, mut found) = (model.config.vocab_out, Prediction::default());
    read(model, sequences, |i, logits, nll| {
        for (t, nll) in nll.iter().enumerate().filter(|(t, _)| counts(i, *t)) {
            let row = &logits[t * vocab..(t + 1) * vocab];
            let own = row[sequences[i][t + 1] as usize];
            found.tokens += 1;
            found.right += usize::from(row.iter().all(|&z| z <= own));
            found.sum += f64::from(*nll);
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::transformer::Config;

    fn model() -> Model<f32> {
        let config = Config {
            vocab: 7,
            vocab_out: 7,
            context: 6,
            layers: 1,
            d_model: 6,
            heads: 2,
            kv_heads: 2,
            d_head: 3,
            d_mlp: 5,
            ..Config::gpt2_small()
        };
        Model::random(&config, 3)
    }

    /// Sequences of other lengths beside one change nothing of what is said to it.
    #[test]
    fn sequences_are_read_alone() {
        let model = model();
        let sequences: [&[u32]; 3] = [&[1, 2, 3], &[4, 5], &[6, 0, 1, 2, 3, 4]];
        let mut all = vec![];
        read(&model, &sequences, |i, logits, nll| all.push((i, logits.to_vec(), nll.to_vec())));
        for (i, sequence) in sequences.iter().enumerate() {
            let (place, logits, nll) = &all[i];
            assert_eq!(
                (*place, logits.len(), nll.len()),
                (i, 7 * sequence.len(), sequence.len() - 1)
            );
            read(&model, &[sequence], |_, alone, _| {
                // The same sums in blocks of another size.
                let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5;
                assert!(alone.iter().zip(logits).all(close));
            });
            for (t, nll) in nll.iter().enumerate() {
                let row: Vec<f64> =
                    logits[7 * t..7 * t + 7].iter().map(|&z| f64::from(z)).collect();
                let all: f64 = row.iter().map(|z| libm::exp(*z)).sum();
                let want = libm::log(all) - row[sequence[t + 1] as usize];
                assert!((want - f64::from(*nll)).abs() < 1e-5, "{want} {nll}");
            }
        }
    }

    #[test]
    fn gaps_are_to_distractors_or_to_all_others() {
        let model = model();
        let bounds = crate::formats::pairs::Bounds { vocab: 7, vocab_out: 7, context: 6 };
        let text = r#"{"clean": [1, 2], "corrupted": [0, 2], "answer": [3, 4], "distractor": 5}
            {"clean": [1, 2], "corrupted": [0, 2], "answer": [3, 4]}"#;
        let pairs = Pairs::parse("p", text.as_bytes(), &bounds, None, None).expect("pairs");
        let mut z = vec![];
        read(&model, &[&[1, 2]], |_, logits, _| z = logits[7..].to_vec());
        let (answer, all) = (z[3].max(z[4]), [0, 1, 2, 5, 6].map(|i| z[i]));
        let most = all.into_iter().fold(f32::NEG_INFINITY, f32::max);
        let want = [f64::from(answer) - f64::from(z[5]), f64::from(answer) - f64::from(most)];
        for (found, want) in gaps(&model, &pairs, |pair| &pair.clean).iter().zip(want) {
            assert!((found - want).abs() < 1e-5, "{found} {want}");
        }
    }
}
