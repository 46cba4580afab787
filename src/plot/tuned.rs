//! What `ablations` and `tradeoff` share: the figures of a method of tuning over its seeds.

use super::centre::Centre;
use crate::formats::comparison::{Comparison, TuningRow};
use crate::formats::tuning_report::Judgement;

/// A number that methods are judged by.
#[derive(Clone, Copy)]
pub(super) struct Figure {
    /// Its name.
    pub(super) name: &'static str,
    /// Its name, with its unit.
    pub(super) title: &'static str,
    of: fn(&Judgement, &Judgement) -> f64,
}

/// How much of what was asked for is reached.
pub(super) const TARGET: Figure =
    Figure { name: "target", title: "target (share)", of: |j, _| j.target };
/// How far logits have moved towards it.
pub(super) const GAP: Figure =
    Figure { name: "gap gained", title: "gap gained (logits)", of: |j, base| j.gap - base.gap };
/// The target on words and templates that tuning did not show.
pub(super) const TRANSFER: Figure =
    Figure { name: "transfer", title: "transfer (share)", of: |j, _| j.transfer };
/// What is left of other domains.
pub(super) const RETENTION: Figure =
    Figure { name: "retention", title: "retention (share)", of: |j, _| j.retention };

/// A method's figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measured {
    pub(super) centre: f64,
    /// None of too few seeds.
    pub(super) interval: Option<[f64; 2]>,
    pub(super) seeds: Vec<f64>,
}

impl Figure {
    /// Over the seeds that have it; none if no seed has.
    pub(super) fn measure(
        &self,
        all: &Comparison,
        row: &TuningRow,
        centre: Centre,
    ) -> Option<Measured> {
        let of = |end: &Judgement| Some((self.of)(end, &all.base)).filter(|x| x.is_finite());
        let seeds: Vec<f64> = row.ends().filter_map(of).collect();
        Some(Measured { centre: centre.of(&seeds)?, interval: centre.interval(&seeds), seeds })
    }

    /// Before tuning.
    pub(super) fn base(&self, all: &Comparison) -> Option<f64> {
        Some((self.of)(&all.base, &all.base)).filter(|x| x.is_finite())
    }
}

/// What points and lines are, for all methods together.
pub(super) fn statement(all: &Comparison, centre: Centre) -> String {
    let counts: Vec<usize> = all.rows.iter().map(|row| row.reports.len()).collect();
    centre.statement(&counts, "seed", "line")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Methods with the target and the retention of each of their seeds.
    pub(crate) fn comparison(rows: &[(&str, &[[f64; 2]])]) -> Comparison {
        let judged = |target: f64, gap: f64, retention: f64| Judgement {
            target,
            gap,
            transfer: 0.5 * target,
            retention,
            ..Judgement::default()
        };
        let value = crate::formats::comparison::tests::comparison();
        let mut all = Comparison::of("c.json".as_ref(), "c", &value).unwrap();
        let (row, run) = (all.rows[0].clone(), all.rows[0].reports[0].clone());
        let end = |&[target, retention]: &[f64; 2]| {
            let mut run = run.clone();
            let last = run.path.last_mut().unwrap();
            last.judgement = judged(target, 10.0 * target, retention);
            run
        };
        let rows = rows.iter().map(|(name, ends)| TuningRow {
            name: (*name).into(),
            reports: ends.iter().map(end).collect(),
            ..row.clone()
        });
        all.rows = rows.collect();
        all.base = judged(0.0, -5.0, 1.0);
        all
    }

    #[test]
    fn figures_of_known_numbers() {
        let all =
            comparison(&[("full", &[[0.5, 0.9], [1.0, 0.7], [1.5, 0.8]]), ("one", &[[0.25, 1.0]])]);
        let full = GAP.measure(&all, &all.rows[0], Centre::Mean).unwrap();
        // The gaps gained are 10, 15 and 20: t of 2 degrees times 5 / √3.
        let [low, high] = full.interval.expect("three seeds");
        let half = 4.302_652_7 * 5.0 / 3f64.sqrt();
        assert!((low - (15.0 - half)).abs() < 1e-6 && (high - (15.0 + half)).abs() < 1e-6);
        let one = TARGET.measure(&all, &all.rows[1], Centre::Median).unwrap();
        assert_eq!((one.centre, one.interval), (0.25, None));
        assert_eq!((GAP.base(&all), RETENTION.base(&all)), (Some(0.0), Some(1.0)));
        assert!(statement(&all, Centre::Mean).starts_with("mean of 1 to 3 seeds"));
    }
}
