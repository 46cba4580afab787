//! `comparison.json` of `edgegrad tune-compare`: methods of tuning on one task, over seeds.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::tuning_report::{Judgement, TuningReport};
use crate::error::{Error, Result, at_key};
use crate::files::atomic;

/// The version of the format.
const VERSION: u32 = 1;

/// Methods compared on one task; `S` is what their runs were told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de> + Default"))]
pub struct Comparison<S = Value> {
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
    /// The model before tuning, on test examples.
    pub base: Judgement,
    /// By method, in the order of the grid.
    pub rows: Vec<TuningRow<S>>,
    /// The same methods at equal gain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equal_gain: Option<EqualGain<S>>,
}

/// Methods at the smallest of their learning rates that gain as much on development examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de> + Default"))]
pub struct EqualGain<S = Value> {
    /// As much of the logit gap or, where it is to be balanced, of the target.
    pub level: f64,
    /// By method, in the order of the grid.
    pub rows: Vec<TuningRow<S>>,
}

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Its 95 % interval; none of too few seeds.
    pub interval: Option<[f64; 2]>,
}

/// What a method has come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de> + Default"))]
pub struct TuningRow<S = Value> {
    /// Its name in the comparison.
    pub name: String,
    /// What is trained; none if all runs have failed.
    pub method: Option<String>,
    /// The best of its learning rates.
    pub lr: f64,
    /// Whether that is the smallest or the largest it was tried with: a better one may lie beyond.
    pub at_the_edge: bool,
    /// Whether no other method is as good in what is reached, in what is kept and in parameters
    /// ever trained.
    pub pareto: bool,
    /// Runs that diverged.
    pub diverged: usize,
    /// `target`, `gap` (gained), `transfer`, `retention`, `nll_change`, `trained`, `ever`,
    /// `step_ms`, `bytes`: the mean over seeds.
    pub figures: BTreeMap<String, Option<Mean>>,
    /// By seed.
    pub reports: Vec<TuningReport<S>>,
    /// Why seeds are missing.
    #[serde(default)]
    pub failures: Vec<String>,
}

impl<S> TuningRow<S> {
    /// How each seed ended.
    pub fn ends(&self) -> impl Iterator<Item = &Judgement> {
        self.reports.iter().filter_map(|run| Some(&run.path.last()?.judgement))
    }
}

const HELP: &str =
    "written by `edgegrad tune-compare`; run it again, what is finished is not repeated";

impl<S: Serialize> Comparison<S> {
    /// Writes the file, keys in the order of their names.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let mut value = json!(self);
        (value["version"], value["kind"]) = (json!(VERSION), json!("tune-compare"));
        atomic::write_bytes(file, format!("{value:#}\n").as_bytes())
    }
}

impl Comparison {
    /// What `value`, the content of `file`, says of a comparison.
    ///
    /// # Errors
    /// When it is not one in this form.
    pub fn of(file: &Path, name: &str, value: &Value) -> Result<Comparison> {
        let mut read: Comparison = Deserialize::deserialize(value)
            .map_err(|error| Error::input(file.display(), error, HELP))?;
        let equal = read.equal_gain.iter().flat_map(|equal| &equal.rows);
        let mut rows = read.rows.iter().chain(equal);
        if let Some(row) = rows.find(|r| r.reports.iter().any(|r| r.path.is_empty())) {
            let place = at_key(file, format_args!("rows.{:.40}.reports.path", row.name));
            return Err(Error::input(place, "holds no look at the model", HELP));
        }
        read.name = name.into();
        Ok(read)
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
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("comparison.json");
        let read = Comparison::of(&file, "e1", &comparison()).unwrap();
        let row = &read.rows[0];
        assert_eq!((read.base.gap, row.reports[0].path[1].judgement.target), (-7.0, 1.0));
        assert_eq!(row.figures["target"].unwrap().interval, Some([0.9, 1.0]));
        read.write(&file).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(text, format!("{value:#}\n"));
        assert_eq!((&value["version"], &value["kind"]), (&json!(1), &json!("tune-compare")));
        assert_eq!(Comparison::of(&file, "e1", &value).unwrap(), read);
    }

    #[test]
    fn a_comparison_without_looks_is_refused() {
        let mut value = comparison();
        value["rows"][0]["reports"][0]["path"] = json!([]);
        let error = Comparison::of(Path::new("c.json"), "e1", &value).unwrap_err();
        assert!(error.to_string().contains("rows.circuit.reports.path"), "{error}");
        assert!(Comparison::of(Path::new("c.json"), "e1", &json!({ "rows": [] })).is_err());
    }
}
