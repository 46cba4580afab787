//! How sure the score of an edge is, as a mean over pairs that are a sample.
//!
//! A score is the mean of the scores of single pairs. Its interval is that of a mean
//! ([`mean_interval`]), and its sign is as sure as the share of resamples of the pairs in which the
//! mean has it. An edge whose sign does not hold is no finding: a filter before the selection of a
//! circuit (arXiv 2510.25786).

use super::method::{Method, Options};
use super::scores::Resampled;
use crate::error::Result;
use crate::patching::Progress;
use crate::patching::behaviour::Behaviour;
use crate::rng::{Purpose, Rng};
use crate::simd::Element;
use crate::stats::mean_interval;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

/// The scores of every pair alone, `[pairs][E]`: ablation values and options are those of all.
///
/// # Errors
/// Those of the method.
pub fn per_pair<T: Element>(
    b: &Behaviour<'_, T>,
    method: Method,
    options: &Options,
    progress: &mut Progress<'_>,
) -> Result<Vec<Vec<f64>>> {
    let count = b.pairs.len();
    let mut work = b.journal.units("per-pair", Vec::<Vec<f64>>::new);
    work.shared(
        &vec![1; count],
        |i, _, put| {
            let pair = b.pairs.only(i).expect("there are as many");
            let mut shown = |done: f64| progress((i as f64 + done) / count as f64);
            put(method.scores(&b.on(&pair), options, &mut shown)?.values)
        },
        |all, _, scores| all.push(scores),
    )?;
    Ok(work.state)
}

/// How sure the means of `scores [pairs][E]` are, from `resamples` resamples of the pairs.
///
/// # Panics
/// If there are no pairs or no resamples, or pairs have scores of different edges.
pub fn resample(scores: &[Vec<f64>], resamples: usize, seed: u64) -> Resampled {
    let pairs = scores.len();
    assert!(pairs > 0 && resamples > 0, "{resamples} resamples of {pairs} pairs");
    // How often each pair is drawn: the same resamples for all edges.
    let mut rng = Rng::new(seed, Purpose::Sample, 3);
    let mut counts = vec![vec![0.0; pairs]; resamples];
    for drawn in &mut counts {
        (0..pairs).for_each(|_| drawn[rng.below(pairs as u64) as usize] += 1.0);
    }
    let edge = |e: usize| {
        let of: Vec<f64> = scores.iter().map(|pair| pair[e]).collect();
        let sum: f64 = of.iter().sum();
        let drawn = |counts: &Vec<f64>| counts.iter().zip(&of).map(|(n, x)| n * x).sum::<f64>();
        let same = counts.iter().filter(|counts| drawn(counts) * sum > 0.0).count();
        (mean_interval(&of), same as f64 / resamples as f64)
    };
    let edges: Vec<_> = (0..scores[0].len()).into_par_iter().map(edge).collect();
    Resampled {
        intervals: edges.iter().map(|(interval, _)| *interval).collect(),
        same_sign: edges.iter().map(|(_, same)| *same).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_signs_by_hand() {
        // Of 4 resamples of two pairs, 1 in 4 has twice the first, 1 in 4 twice the second: the sum
        // 3 - 1 keeps its sign unless the second is drawn twice.
        let scores = [vec![3.0, 1.0, 0.0, 1.0], vec![-1.0, 2.0, 0.0, -1.0]];
        let found = resample(&scores, 4000, 5);
        assert_eq!(found.intervals, None);
        let [unsure, sure, none, even] = found.same_sign[..] else { panic!("four edges") };
        // Five standard errors of a share of 3/4.
        assert!((unsure - 0.75).abs() < 5.0 * (0.75f64 * 0.25 / 4000.0).sqrt(), "{unsure}");
        assert_eq!((sure, none, even), (1.0, 0.0, 0.0));
        assert_eq!(found, resample(&scores, 4000, 5));
        assert_ne!(found, resample(&scores, 4000, 6));
    }

    #[test]
    fn three_pairs_have_intervals() {
        let scores = [vec![1.0, 4.0], vec![2.0, 4.0], vec![3.0, 4.0]];
        let intervals = resample(&scores, 10, 0).intervals.expect("of three pairs");
        assert_eq!(Some(intervals[0]), mean_interval(&[1.0, 2.0, 3.0]));
        assert_eq!(intervals[1], [4.0, 4.0]);
    }
}
