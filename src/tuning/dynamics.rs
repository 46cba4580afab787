//! Trends of edges' scores while a model is tuned.
//!
//! Let `s[t]` be the scores of an edge at the measurements `t = 1..n`, each after `x[t]` updates
//! and on the same pairs:
//!
//! ```text
//! slope = cov(x, s) / var(x)          r = cov(x, s) / sqrt(var(x) var(s))
//! p     = (1 + draws in which |r| of shuffled scores is as large) / (1 + draws)
//! q     = the smallest false discovery rate at which the edge counts (Benjamini and Hochberg 1995)
//! ```
//!
//! The permutation test takes measurements for exchangeable, which those of one run are not: a
//! score that follows a random walk has a trend too, and is called in most cases. So this `q` says
//! which trends are not noise of single measurements, and nothing about their cause.
//!
//! Scores drift in any tuning. A null that drifts are runs that learn nothing of the task, with
//! answers permuted over examples:
//!
//! ```text
//! p     = (1 + slopes of all edges of these runs that are as large) / (1 + their number)
//! ```
//!
//! A run of their kind has uniform p-values, whatever its scores follow.

use crate::formats::dynamics::Trend;
use crate::rng::{Purpose, Rng};
use crate::stats::{centred, cosine, dot, false_discovery, p_value};

/// The scores of all edges at several measurements.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track {
    /// `[n]`, the updates before each measurement.
    pub steps: Vec<usize>,
    /// `[n][E]`.
    pub scores: Vec<Vec<f64>>,
}

impl Track {
    /// Adds a measurement: `scores [E]` after `step` updates.
    ///
    /// # Panics
    /// If it has another number of edges than those before.
    pub fn push(&mut self, step: usize, scores: Vec<f64>) {
        assert!(self.scores.first().is_none_or(|s| s.len() == scores.len()), "edges");
        self.steps.push(step);
        self.scores.push(scores);
    }

    /// The slope of each edge's scores by updates, `[E]`.
    fn slopes(&self) -> Vec<f64> {
        let x = centred(&self.steps.iter().map(|&s| s as f64).collect::<Vec<_>>());
        let (spread, edges) = (dot(&x, &x), self.scores.first().map_or(0, Vec::len));
        let scores = |e: usize| self.scores.iter().map(|s| s[e]).collect::<Vec<_>>();
        (0..edges).map(|e| dot(&x, &centred(&scores(e))) / spread).collect()
    }

    /// The trend of each edge, `[E]`, with p-values by the slopes of runs that learn nothing; empty
    /// for fewer than three measurements.
    ///
    /// # Panics
    /// If `nulls` have no measurements.
    pub fn trends_against(&self, nulls: &[Track]) -> Vec<Trend> {
        let sizes = |slopes: Vec<f64>| slopes.into_iter().map(f64::abs);
        let mut null: Vec<f64> = nulls.iter().flat_map(|track| sizes(track.slopes())).collect();
        assert!(!null.is_empty(), "null runs without measurements");
        null.sort_by(f64::total_cmp);
        let mut trends = self.trends(0, 0);
        for trend in &mut trends {
            let below = null.partition_point(|slope| *slope < trend.slope.abs());
            trend.p = p_value(null.len() - below, null.len());
        }
        let q = false_discovery(&trends.iter().map(|trend| trend.p).collect::<Vec<_>>());
        trends.iter_mut().zip(q).for_each(|(trend, q)| trend.q = q);
        trends
    }

    /// The trend of each edge, `[E]`, with `draws` permutations, the same for all edges; empty for
    /// fewer than three measurements.
    ///
    /// ```
    /// use edgegrad::tuning::dynamics::Track;
    /// let mut track = Track::default();
    /// for t in 0..10 {
    ///     track.push(100 * t, vec![0.5 - 0.01 * t as f64, if t % 2 == 0 { 1.0 } else { -1.0 }]);
    /// }
    /// let trends = track.trends(2000, 0);
    /// assert!((trends[0].slope + 1e-4).abs() < 1e-12 && trends[0].q < 0.01);
    /// assert!(trends[1].q > 0.1);
    /// ```
    pub fn trends(&self, draws: usize, seed: u64) -> Vec<Trend> {
        let n = self.steps.len();
        let Some(edges) = self.scores.first().map(Vec::len).filter(|_| n >= 3) else {
            return vec![];
        };
        let x = centred(&self.steps.iter().map(|&s| s as f64).collect::<Vec<_>>());
        let series: Vec<Vec<f64>> = (0..edges)
            .map(|e| centred(&self.scores.iter().map(|s| s[e]).collect::<Vec<_>>()))
            .collect();
        // A score that stays has no correlation.
        let correlation = |x: &[f64], s: &[f64]| cosine(x, s).unwrap_or(0.0);
        let rs: Vec<f64> = series.iter().map(|s| correlation(&x, s)).collect();
        let mut as_large = vec![0usize; edges];
        let (mut rng, mut order) = (Rng::new(seed, Purpose::Null, 1), x.clone());
        for _ in 0..draws {
            rng.shuffle(&mut order);
            for ((count, s), r) in as_large.iter_mut().zip(&series).zip(&rs) {
                // What is equal but for rounding counts as equal.
                *count += usize::from(correlation(&order, s).abs() >= r.abs() - 1e-12);
            }
        }
        let p: Vec<f64> = as_large.iter().map(|&count| p_value(count, draws)).collect();
        let (slopes, q) = (self.slopes(), false_discovery(&p));
        let trend = |e: usize| Trend { slope: slopes[e], r: rs[e], p: p[e], q: q[e] };
        (0..edges).map(trend).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without any trend the share of edges that count at q < .1 is about nought, and p is uniform.
    #[test]
    fn noise_is_not_discovered() {
        let mut rng = Rng::new(4, Purpose::Sample, 0);
        let mut track = Track::default();
        for t in 0..12 {
            track.push(t, (0..400).map(|_| rng.normal()).collect());
        }
        let trends = track.trends(1000, 0);
        let small = trends.iter().filter(|t| t.p < 0.1).count();
        // A binomial of 400 at 0.1 has a deviation of 6.
        assert!((20..=62).contains(&small), "{small}");
        assert!(trends.iter().filter(|t| t.q < 0.1).count() <= 2);
        // With a trend of one deviation over the way in a quarter of them, most are found.
        for (t, scores) in track.scores.iter_mut().enumerate() {
            scores.iter_mut().take(100).for_each(|s| *s = 0.2 * *s + t as f64 / 4.0);
        }
        let trends = track.trends(1000, 0);
        assert!(trends[..100].iter().all(|t| t.q < 0.05 && t.slope > 0.1));
        assert!(trends[100..].iter().filter(|t| t.q < 0.05).count() < 20);
    }

    /// `looks` of random walks, each edge with a size of its own.
    fn walks(looks: usize, rng: &mut Rng) -> Track {
        let mut track = Track::default();
        let mut now: Vec<f64> = (0..150).map(|_| rng.normal()).collect();
        for t in 0..looks {
            for (e, s) in now.iter_mut().enumerate() {
                *s += (1.0 + (e % 10) as f64) * rng.normal();
            }
            track.push(t, now.clone());
        }
        track
    }

    /// Scores that drift without a cause: by permuted looks up to two in three are called, by runs
    /// that drift as well at most one in twenty, and what drifts much further is found.
    #[test]
    fn drift_is_not_discovered() {
        let mut rng = Rng::new(6, Purpose::Sample, 0);
        for looks in [9, 21] {
            let called = |trends: &[Trend]| trends.iter().filter(|t| t.q < 0.05).count();
            let (mut permuted, mut against) = (0, 0);
            for _ in 0..20 {
                let nulls = [walks(looks, &mut rng), walks(looks, &mut rng)];
                let track = walks(looks, &mut rng);
                permuted += called(&track.trends(200, 1));
                against += called(&track.trends_against(&nulls));
                let mut far = track.clone();
                for (t, scores) in far.scores.iter_mut().enumerate() {
                    scores[..15].iter_mut().for_each(|s| *s += 100.0 * t as f64);
                }
                let found = far.trends_against(&nulls);
                assert!(found[..15].iter().all(|t| t.q < 0.05), "{looks}");
            }
            let all = (20 * 150) as f64;
            assert!(permuted as f64 > 0.25 * all, "{looks}: {permuted}");
            assert!(against as f64 <= 0.05 * all, "{looks}: {against}");
        }
    }

    #[test]
    fn what_stays_has_no_trend() {
        let mut track = Track::default();
        assert!(track.trends(10, 0).is_empty());
        (0..4).for_each(|t| track.push(t, vec![0.3, t as f64]));
        let trends = track.trends(100, 0);
        assert_eq!((trends[0].slope, trends[0].r, trends[0].p), (0.0, 0.0, 1.0));
        assert!((trends[1].slope - 1.0).abs() < 1e-12 && (trends[1].r - 1.0).abs() < 1e-12);
    }
}
