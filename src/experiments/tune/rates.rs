//! Choosing learning rates by runs on development examples.
//!
//! - *At an equal budget of search* a method has the rate of the largest
//!   [balance](crate::formats::tuning_report::Judgement::balance), of equals that of the largest
//!   gain: where nothing is reached, as little as possible would be kept best by learning nothing.
//! - *At equal gain* it has its smallest rate that gains as much as every method does at one of its
//!   own: the least of the methods' largest gains. What gains more than others also forgets more.
//!
//! Gain is of the logit gap, or of the target where a balanced gap is the target (E2).

use super::goal::Goal;
use super::grid::{Arm, Grid};
use super::run::Report;
use crate::error::Result;

/// The learning rates of all methods of a grid, in their order.
pub(super) struct Rates {
    /// At an equal budget.
    pub(super) best: Vec<f64>,
    /// At equal gain; none if no rate is searched, or nothing gains.
    pub(super) at_gain: Option<AtGain>,
}

/// Rates at equal gain.
pub(super) struct AtGain {
    /// What each method gains at least, on development examples.
    pub(super) level: f64,
    pub(super) rates: Vec<f64>,
}

impl Rates {
    /// By the runs `tried [arms][rates]`; an arm whose rate is not searched has none.
    pub(super) fn choose(grid: &Grid, tried: &[Vec<Result<Report>>]) -> Rates {
        let with_runs = || grid.arms.iter().zip(tried);
        let best = with_runs().map(|(arm, runs)| best(arm, runs)).collect();
        let best = followed(grid, best);
        let gains: Vec<Vec<f64>> = with_runs().map(|(arm, runs)| gains(arm, runs)).collect();
        let most = |gains: &Vec<f64>| gains.iter().copied().reduce(f64::max);
        let level = gains.iter().filter_map(most).filter(|gain| gain.is_finite());
        let level = level.reduce(f64::min).filter(|_| grid.equal_gain);
        let at_gain = level.map(|level| {
            let all = with_runs().zip(&gains).zip(&best);
            let rates = all.map(|(((arm, _), gains), &best)| least(arm, gains, level, best));
            AtGain { level, rates: followed(grid, rates.collect()) }
        });
        Rates { best, at_gain }
    }
}

/// Rates where controls have those of their methods.
fn followed(grid: &Grid, mut rates: Vec<f64>) -> Vec<f64> {
    for (i, arm) in grid.arms.iter().enumerate() {
        rates[i] = arm.like.map_or(rates[i], |other| rates[other]);
    }
    rates
}

/// The rate of the largest balance, then of the largest gain; of equals, and where all have failed,
/// the smallest.
fn best(arm: &Arm, tried: &[Result<Report>]) -> f64 {
    let value = |(result, gain): (&Result<Report>, f64)| match result {
        Ok(report) if report.diverged.is_none() => [report.after().balance(), gain],
        _ => [f64::NEG_INFINITY; 2],
    };
    let values = tried.iter().zip(gains(arm, tried)).map(value);
    let better = |a: (f64, [f64; 2]), b: (f64, [f64; 2])| match b.1.partial_cmp(&a.1) {
        Some(order) if order.is_gt() || order.is_eq() && b.0 < a.0 => b,
        _ => a,
    };
    arm.rates.iter().copied().zip(values).reduce(better).map_or(arm.rates[0], |(lr, _)| lr)
}

/// What each run has gained; of one that failed or diverged less than any.
fn gains(arm: &Arm, tried: &[Result<Report>]) -> Vec<f64> {
    let gain = |result: &Result<Report>| match result {
        Ok(report) if report.diverged.is_none() => {
            let (after, before) = (report.after(), report.before());
            match arm.settings.task {
                Goal::Balance => after.target - before.target,
                _ => after.gap - before.gap,
            }
        }
        _ => f64::NEG_INFINITY,
    };
    tried.iter().map(gain).collect()
}

/// The smallest rate that gains as much; `best` where none does.
fn least(arm: &Arm, gains: &[f64], level: f64, best: f64) -> f64 {
    let enough = arm.rates.iter().zip(gains).filter(|(_, gain)| **gain >= level);
    enough.map(|(lr, _)| *lr).reduce(f64::min).unwrap_or(best)
}
