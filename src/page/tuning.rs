//! Comparisons of methods of tuning, as the page has them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::formats::comparison::{Comparison, Mean, TuningRow};
use crate::formats::tuning_report::{Judgement, Point, TuningReport};

/// A comparison as the page has it.
#[derive(Serialize)]
pub(super) struct TuningData<'a> {
    name: &'a str,
    task: &'a str,
    title: &'a str,
    target_name: &'a str,
    seeds: u64,
    base: JudgementData,
    rows: Vec<RowData<'a>>,
}

#[derive(Serialize)]
struct RowData<'a> {
    name: &'a str,
    method: &'a Option<String>,
    lr: f64,
    at_the_edge: bool,
    pareto: bool,
    diverged: usize,
    #[serde(flatten)]
    figures: &'a BTreeMap<String, Option<Mean>>,
    runs: Vec<RunData>,
}

#[derive(Serialize)]
struct RunData {
    seed: u64,
    ever: f64,
    #[serde(flatten)]
    end: JudgementData,
    path: Vec<PointData>,
}

#[derive(Serialize)]
struct PointData {
    step: usize,
    #[serde(flatten)]
    judgement: JudgementData,
}

#[derive(Serialize)]
struct JudgementData {
    target: f64,
    gap: f64,
    transfer: f64,
    retention: f64,
    nll_change: f64,
}

impl JudgementData {
    /// With the gap above `base`.
    fn of(j: &Judgement, base: f64) -> Self {
        let &Judgement { target, gap, transfer, retention, nll_change, .. } = j;
        JudgementData { target, gap: gap - base, transfer, retention, nll_change }
    }
}

impl<'a> TuningData<'a> {
    pub(super) fn of(tuning: &'a Comparison) -> Self {
        let row = |row: &'a TuningRow| RowData {
            name: &row.name,
            method: &row.method,
            lr: row.lr,
            at_the_edge: row.at_the_edge,
            pareto: row.pareto,
            diverged: row.diverged,
            figures: &row.figures,
            runs: row.reports.iter().filter_map(RunData::of).collect(),
        };
        TuningData {
            name: &tuning.name,
            task: &tuning.task,
            title: &tuning.title,
            target_name: &tuning.target,
            seeds: tuning.seeds,
            base: JudgementData::of(&tuning.base, 0.0),
            rows: tuning.rows.iter().map(row).collect(),
        }
    }
}

impl RunData {
    /// With the gap as what was gained, as the means have it.
    fn of(run: &TuningReport) -> Option<RunData> {
        let (first, last) = (run.path.first()?, run.path.last()?);
        let gained = |j: &Judgement| JudgementData::of(j, first.judgement.gap);
        let point = |p: &Point| PointData { step: p.step, judgement: gained(&p.judgement) };
        Some(RunData {
            seed: run.seed,
            ever: run.ever_share(),
            end: gained(&last.judgement),
            path: run.path.iter().map(point).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::comparison::tests::comparison;
    use serde_json::json;
    use std::path::Path;

    #[test]
    fn the_gap_is_what_was_gained() {
        let tuning = Comparison::of(Path::new("comparison.json"), "e1", &comparison()).unwrap();
        let data = serde_json::to_value(TuningData::of(&tuning)).unwrap();
        let run = &data["rows"][0]["runs"][0];
        assert_eq!((&run["gap"], &run["path"][0]["gap"]), (&json!(10.0), &json!(0.0)));
        assert_eq!((&run["ever"], &data["rows"][0]["target"]["mean"]), (&json!(0.25), &json!(1.0)));
    }
}
