//! How spread the attention is: `entropy`, the mean over rows of `-sum of a ln a`, in nats; ln L if
//! it is even, 0 if all of it is on one position.

use super::{Task, Values};
use crate::nn::pooled::{Config, Pooled};
use crate::tape::Tape;

/// Sequences at a time.
const CHUNK: usize = 256;

/// The mean entropy of the attention over the rows.
pub fn entropy(config: &Config, weights: &[Vec<f64>], task: Task<'_>) -> Values {
    let data = task.rows;
    let chunk = data.n.clamp(1, CHUNK);
    let mut tape = Tape::<f64>::new();
    let model = Pooled::record(&mut tape, config, chunk);
    tape.keep_only(&[model.attention]);
    let mut program = tape.finish();
    model.set_parameters(&mut program, weights);
    let mut sum = 0.0;
    for from in (0..data.n).step_by(chunk) {
        let rows = from..(from + chunk).min(data.n);
        model.set_batch(&mut program, rows.clone().map(|r| (data.row(r), data.targets[r])));
        program.forward();
        let attention = &program.value(model.attention)[..rows.len() * data.seq_len];
        sum += of(attention);
    }
    [("entropy".to_string(), sum / data.n as f64)].into()
}

/// The sum of `-a ln a`, where 0 counts 0.
fn of(attention: &[f64]) -> f64 {
    attention.iter().filter(|a| **a > 0.0).map(|a| -a * a.ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, rows};
    use super::*;

    #[test]
    fn even_attention_has_the_most_and_one_position_none() {
        let config = config(3, 2, 4);
        let data = rows(300, 3);
        let mut weights = config.init(0);
        weights[2].fill(0.0);
        let task = Task { rows: &data, p: 3 };
        let even = entropy(&config, &weights, task)["entropy"];
        assert!((even - (data.seq_len as f64).ln()).abs() < 1e-13, "{even}");
        // A query of length 1e4 along the only position that differs from the others.
        weights[0].fill(0.0);
        weights[1].copy_from_slice(&[&[1.0, 0.0][..], &[-1.0, 0.0].repeat(5)].concat());
        weights[2].copy_from_slice(&[1e4, 0.0]);
        assert_eq!(entropy(&config, &weights, task)["entropy"], 0.0);
    }
}
