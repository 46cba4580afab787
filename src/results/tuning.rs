//! `comparison.json` of `edgegrad tune-compare` and `report.json` of `edgegrad tune`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result, at_key};

/// Methods compared on one task.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Tuning {
    /// What people call it: the name of its folder.
    #[serde(skip)]
    pub name: String,
    /// The task's name.
    pub task: String,
    /// What is to be reached, in a sentence.
    pub title: String,
    /// What `target` counts.
    pub target: String,
    /// Seeds of each method.
    pub seeds: u64,
    /// The model before tuning.
    pub base: Judgement,
    /// By method.
    pub rows: Vec<TuningRow>,
}

/// How a model does.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Judgement {
    /// The share of the task's examples that are as asked.
    pub target: f64,
    /// The mean difference of logits on them.
    pub gap: f64,
    /// The target with words that tuning has not seen.
    pub transfer: f64,
    /// What is kept of the accuracy on all other domains, 1 = all.
    pub retention: f64,
    /// What their text loses in likelihood, nats a token.
    pub nll_change: f64,
}

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Its 95 % interval; none of a single seed.
    pub interval: Option<[f64; 2]>,
}

/// A method.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TuningRow {
    /// Its name in the comparison.
    pub name: String,
    /// What it is.
    pub method: Option<String>,
    /// The learning rate that was chosen.
    pub lr: f64,
    /// Whether a better one may lie beyond those that were tried.
    pub at_the_edge: bool,
    /// Whether no other method is better in all.
    pub pareto: bool,
    /// Runs that diverged.
    pub diverged: usize,
    /// `target`, `gap` (gained), `transfer`, `retention`, `nll_change`, `trained`, `ever`, `step_ms`,
    /// `bytes`.
    pub figures: BTreeMap<String, Option<Mean>>,
    /// By seed.
    pub reports: Vec<TuningRun>,
}

impl TuningRow {
    /// How each seed ended.
    pub fn ends(&self) -> impl Iterator<Item = &Judgement> {
        self.reports.iter().filter_map(|run| Some(&run.path.last()?.judgement))
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TuningRun {
    /// The seed.
    pub seed: u64,
    /// Numbers in the blocks of the model.
    pub block_numbers: f64,
    /// Numbers that were ever trained.
    pub ever_trained: f64,
    /// Looks along the way.
    pub path: Vec<TuningPoint>,
}

/// A look.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TuningPoint {
    /// Updates done.
    pub step: u64,
    /// How the model does.
    pub judgement: Judgement,
}

const HELP: &str =
    "written by `edgegrad tune-compare`; run it again, what is finished is not repeated";

impl Tuning {
    /// What `value`, the content of `file`, says of a comparison.
    ///
    /// # Errors
    /// When it is not one in this form.
    pub fn of(file: &Path, name: &str, value: &Value) -> Result<Tuning> {
        let mut tuning: Tuning = Deserialize::deserialize(value)
            .map_err(|error| Error::input(file.display(), error, HELP))?;
        if let Some(row) = tuning.rows.iter().find(|r| r.reports.iter().any(|r| r.path.is_empty()))
        {
            let place = at_key(file, format_args!("rows.{:.40}.reports.path", row.name));
            return Err(Error::input(place, "holds no look at the model", HELP));
        }
        tuning.name = name.into();
        Ok(tuning)
    }
}

/// A comparison as the page has it.
#[derive(Serialize)]
pub(crate) struct TuningData<'a> {
    name: &'a str,
    task: &'a str,
    title: &'a str,
    target_name: &'a str,
    seeds: u64,
    base: Judgement,
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
    end: Judgement,
    path: Vec<PointData>,
}

#[derive(Serialize)]
struct PointData {
    step: u64,
    #[serde(flatten)]
    judgement: Judgement,
}

impl<'a> TuningData<'a> {
    pub(crate) fn of(tuning: &'a Tuning) -> Self {
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
            base: tuning.base,
            rows: tuning.rows.iter().map(row).collect(),
        }
    }
}

impl RunData {
    /// With the gap as what was gained, as the means have it.
    fn of(run: &TuningRun) -> Option<RunData> {
        let (first, last) = (run.path.first()?, run.path.last()?);
        let gained = |j: &Judgement| Judgement { gap: j.gap - first.judgement.gap, ..*j };
        let point = |p: &TuningPoint| PointData { step: p.step, judgement: gained(&p.judgement) };
        Some(RunData {
            seed: run.seed,
            ever: run.ever_trained / run.block_numbers.max(1.0),
            end: gained(&last.judgement),
            path: run.path.iter().map(point).collect(),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn comparison() -> Value {
        let judgement = |target: f64, gap: f64| json!({ "target": target, "gap": gap, "transfer": 0.5, "retention": 0.9, "nll_change": 0.1, "rest_change": 0.0 });
        let point = |step: u64, target: f64, gap: f64| json!({ "step": step, "loss": null, "judgement": judgement(target, gap) });
        let report = json!({ "seed": 0, "block_numbers": 200, "ever_trained": 50, "path": [point(0, 0.0, -7.0), point(9, 1.0, 3.0)] });
        let mean = json!({ "mean": 1.0, "interval": [0.9, 1.0] });
        let row = json!({ "name": "circuit", "method": "circuit", "lr": 1e-3, "at_the_edge": false, "pareto": true, "diverged": 0,
            "figures": { "target": mean, "retention": { "mean": 0.9, "interval": null } }, "reports": [report] });
        json!({ "version": 1, "kind": "tune-compare", "task": "E1", "title": "E1: all", "target": "disagree", "seeds": 1,
            "base": judgement(0.0, -7.0), "rows": [row] })
    }

    #[test]
    fn the_gap_is_what_was_gained() {
        let tuning = Tuning::of(Path::new("comparison.json"), "e1", &comparison()).unwrap();
        let data = serde_json::to_value(TuningData::of(&tuning)).unwrap();
        let run = &data["rows"][0]["runs"][0];
        assert_eq!((&run["gap"], &run["path"][0]["gap"]), (&json!(10.0), &json!(0.0)));
        assert_eq!((&run["ever"], &data["rows"][0]["target"]["mean"]), (&json!(0.25), &json!(1.0)));
    }

    #[test]
    fn a_comparison_without_looks_is_refused() {
        let mut value = comparison();
        value["rows"][0]["reports"][0]["path"] = json!([]);
        let error = Tuning::of(Path::new("c.json"), "e1", &value).unwrap_err();
        assert!(error.to_string().contains("rows.circuit.reports.path"), "{error}");
        assert!(Tuning::of(Path::new("c.json"), "e1", &json!({ "rows": [] })).is_err());
    }
}
