//! Files of scores, circuits, their curves and interactions, gathered by the graph they belong to.
//!
//! The layout is that of EAP-IG's `Graph.to_json`, with our `meta`; a file without one is read too.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result, at_key};
use crate::files::json;
use crate::page::pack::{Bits, Pack, Packed};

/// One file of scores or a circuit.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeSet {
    /// What people call it.
    pub label: String,
    /// The names of the edges in the file's order.
    pub names: Vec<String>,
    /// `[E]`, what removing an edge takes from the metric; none where it has no score.
    pub scores: Vec<Option<f64>>,
    /// `[E]`, which edges are in the circuit; all false in a file of scores.
    pub kept: Vec<bool>,
    /// The file's own words: method, metric, baseline, ..
    pub meta: Map<String, Value>,
}

/// How faithful circuits of growing size are.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Curve {
    /// Edges kept.
    pub edges: Vec<usize>,
    /// The same as a share of all.
    #[serde(skip_serializing)]
    pub fraction: Vec<f64>,
    /// The share of the metric that they keep.
    pub faithfulness: Vec<Option<f64>>,
}

/// What `evaluate --curve` writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// The name of the file.
    pub label: String,
    /// What is kept.
    pub metric: Option<String>,
    /// Edges by falling |score|.
    pub by_size: Curve,
    /// Edges by falling score.
    pub by_score: Option<Curve>,
}

/// Two edges that stand in for each other, or need each other, as `interactions` writes it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Interaction {
    i: String,
    j: String,
    second_derivative: Option<f64>,
    interaction: Option<f64>,
    without_i: Option<f64>,
    without_j: Option<f64>,
    without_both: Option<f64>,
    relation: String,
}

/// The scores of all edges at several steps of tuning, as a tuned run's `dynamics.json` has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What people call it.
    pub label: String,
    /// Updates before each look.
    pub steps: Vec<u64>,
    /// `[E]`.
    pub names: Vec<String>,
    /// `[T][E]`.
    pub scores: Vec<Vec<f32>>,
    /// `[E]`: slope, p and q of the trend.
    pub trends: Vec<Option<Trend>>,
}

/// Whether a score rises or falls.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Trend {
    slope: Option<f64>,
    p: Option<f64>,
    q: Option<f64>,
}

/// What a JSON file about edges holds.
#[derive(Clone, Debug, PartialEq)]
pub enum EdgeFile {
    /// Scores, or a circuit.
    Set(EdgeSet),
    /// Curves of the scores or circuit whose file name stands in theirs.
    Curves(Curves),
    /// Interactions.
    Interactions(Vec<Interaction>),
}

#[derive(Deserialize)]
struct Entry {
    score: Option<f64>,
    #[serde(default)]
    in_graph: bool,
}

#[derive(Deserialize)]
struct DynamicsFile {
    steps: Vec<u64>,
    edges: Map<String, Value>,
}

#[derive(Deserialize)]
struct DynamicsEntry {
    scores: Vec<f32>,
    trend: Option<Trend>,
}

/// The name of a file without its ending.
fn stem(file: &Path) -> String {
    file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

impl EdgeFile {
    /// Reads what `value`, the content of `file`, says of edges; none if it says nothing of them.
    ///
    /// # Errors
    /// When it does, but not in the right form; the error names the key.
    pub fn of(file: &Path, value: &Value) -> Result<Option<EdgeFile>> {
        let help = "give files that `edgegrad attribute`, `discover`, `evaluate --curve` or \
                    `interactions` wrote, or EAP-IG's own";
        let fail = |key: &str, problem: &dyn std::fmt::Display| {
            Error::input(at_key(file, key), problem, help)
        };
        if let Some(edges) = value.get("edges").and_then(Value::as_object) {
            let meta = value.get("meta").and_then(Value::as_object).cloned().unwrap_or_default();
            // EAP-IG counts what removing an edge adds to the metric, we what it takes away.
            let theirs = meta.get("convention").is_some_and(|convention| convention == "eap-ig");
            let sign = if theirs { -1.0 } else { 1.0 };
            let (mut names, mut scores, mut kept) = (vec![], vec![], vec![]);
            for (name, entry) in edges {
                let entry: Entry = Deserialize::deserialize(entry)
                    .map_err(|error| fail(&format!("edges.{name:.60}"), &error))?;
                names.push(name.clone());
                scores.push(entry.score.map(|score| sign * score));
                kept.push(entry.in_graph);
            }
            return Ok(Some(EdgeFile::Set(EdgeSet {
                label: stem(file),
                names,
                scores,
                kept,
                meta,
            })));
        }
        if let Some(both) = value.get("curve") {
            let curve = |key: &str| -> Result<Option<Curve>> {
                let Some(value) = both.get(key) else { return Ok(None) };
                let name = format!("curve.{key}");
                let curve: Curve =
                    Deserialize::deserialize(value).map_err(|error| fail(&name, &error))?;
                let all @ [e, f, y] =
                    [curve.edges.len(), curve.fraction.len(), curve.faithfulness.len()];
                if all != [y.max(1); 3] {
                    let problem =
                        format!("has {e} sizes, {f} fractions, {y} values of faithfulness");
                    return Err(fail(&name, &problem));
                }
                Ok(Some(curve))
            };
            return Ok(Some(EdgeFile::Curves(Curves {
                label: stem(file),
                metric: value.get("metric").and_then(Value::as_str).map(String::from),
                by_size: curve("abs")?.ok_or_else(|| fail("curve.abs", &"is missing"))?,
                by_score: curve("signed")?,
            })));
        }
        if value.get("second_derivatives").is_some() {
            let pairs = value.get("pairs").cloned().unwrap_or(Value::Null);
            let pairs = serde_json::from_value(pairs).map_err(|error| fail("pairs", &error))?;
            return Ok(Some(EdgeFile::Interactions(pairs)));
        }
        Ok(None)
    }
}

impl Series {
    /// Reads a tuned run's `dynamics.json`.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn read(file: &Path, label: &str) -> Result<Series> {
        let help = "written by `edgegrad tune`; run it again for a whole one";
        let fail = |key: &str, problem: String| Error::input(at_key(file, key), problem, help);
        let DynamicsFile { steps, edges } = serde_json::from_value(json::read(file, help)?)
            .map_err(|error| fail("steps, edges", error.to_string()))?;
        let mut series = Series {
            label: label.into(),
            scores: vec![vec![]; steps.len()],
            steps,
            names: vec![],
            trends: vec![],
        };
        for (name, entry) in edges {
            let entry: DynamicsEntry = serde_json::from_value(entry)
                .map_err(|error| fail(&format!("edges.{name:.60}"), error.to_string()))?;
            if entry.scores.len() != series.steps.len() {
                let problem =
                    format!("{} scores of {} looks", entry.scores.len(), series.steps.len());
                return Err(fail(&format!("edges.{name:.60}"), problem));
            }
            for (look, score) in series.scores.iter_mut().zip(entry.scores) {
                look.push(score);
            }
            series.names.push(name);
            series.trends.push(entry.trend);
        }
        Ok(series)
    }
}

/// All that is known of the edges of one graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EdgeGroup {
    /// `[E]`, as its first file has them.
    pub names: Vec<String>,
    /// Files of scores and circuits.
    pub sets: Vec<EdgeSet>,
    /// By set.
    pub curves: Vec<Option<Curve>>,
    /// Scores through tuning.
    pub series: Vec<Series>,
    /// Pairs of edges.
    pub interactions: Vec<Interaction>,
}

/// The groups of files of edges.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EdgeGroups {
    /// In the order found.
    pub groups: Vec<EdgeGroup>,
    curves: Vec<Curves>,
    interactions: Vec<Interaction>,
}

impl EdgeGroups {
    /// Adds a file.
    pub fn add(&mut self, file: EdgeFile) {
        match file {
            EdgeFile::Set(set) => {
                let group = self.group(&set.names);
                group.sets.push(set);
                group.curves.push(None);
            }
            EdgeFile::Curves(curves) => self.curves.push(curves),
            EdgeFile::Interactions(pairs) => self.interactions.extend(pairs),
        }
    }

    /// Adds the scores of a tuned run.
    pub fn add_series(&mut self, series: Series) {
        self.group(&series.names.clone()).series.push(series);
    }

    /// The group with these edges, in whatever order.
    fn group(&mut self, names: &[String]) -> &mut EdgeGroup {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort_unstable();
            names
        };
        let mine = sorted(names);
        let at = self
            .groups
            .iter()
            .position(|g| g.names.len() == names.len() && sorted(&g.names) == mine);
        let at = at.unwrap_or_else(|| {
            self.groups.push(EdgeGroup { names: names.to_vec(), ..Default::default() });
            self.groups.len() - 1
        });
        &mut self.groups[at]
    }

    /// Gives curves to the sets they name (`eval-eap` is that of `eap`, of several the longest) or
    /// else to the only set there is, and interactions to the graph they are of; says what is left.
    pub fn settle(&mut self) -> Vec<String> {
        let mut notes = Vec::new();
        for Curves { label: name, by_size: curve, .. } in std::mem::take(&mut self.curves) {
            let sets = self.groups.iter().flat_map(|g| g.sets.iter().map(|s| s.label.as_str()));
            let own = sets.clone().filter(|label| name.contains(label)).max_by_key(|l| l.len());
            let only = if sets.clone().count() == 1 { sets.clone().next() } else { None };
            let Some(label) = own.or(only).map(str::to_string) else {
                notes.push(format!(
                    "{name}: a curve of scores that are not here; name it after their file"
                ));
                continue;
            };
            for group in &mut self.groups {
                for (set, place) in group.sets.iter().zip(&mut group.curves) {
                    if set.label == label {
                        *place = Some(curve.clone());
                    }
                }
            }
        }
        for pair in std::mem::take(&mut self.interactions) {
            match self.groups.iter_mut().find(|g| g.names.contains(&pair.i)) {
                Some(group) => group.interactions.push(pair),
                None => {
                    notes.push(format!("{} with {}: edges of no file given here", pair.i, pair.j))
                }
            }
        }
        notes
    }
}

/// A group as the page has it.
#[derive(Serialize)]
pub(crate) struct GroupData {
    name: String,
    names: Vec<String>,
    kind: &'static str,
    sets: Vec<SetData>,
    series: Vec<SeriesData>,
    interactions: Option<Vec<Interaction>>,
}

#[derive(Serialize)]
struct SetData {
    id: String,
    label: String,
    method: Option<Value>,
    metric: Option<Value>,
    baseline: Option<Value>,
    positions: bool,
    completeness: Option<Value>,
    scores: Option<Packed>,
    kept: Option<Bits>,
    curve: Option<Curve>,
    step: Option<u64>,
}

#[derive(Serialize)]
struct SeriesData {
    label: String,
    steps: Vec<u64>,
    scores: Packed,
    trend: Option<TrendData>,
}

#[derive(Serialize)]
struct TrendData {
    slope: Vec<Option<f64>>,
    p: Vec<Option<f64>>,
    q: Vec<Option<f64>>,
}

impl GroupData {
    pub(crate) fn of(index: usize, group: &EdgeGroup, pack: &mut Pack) -> Self {
        let place: HashMap<&str, usize> = group.names.iter().map(String::as_str).zip(0..).collect();
        // The numbers of a file in the order of the group's names.
        fn ordered<T: Copy>(
            place: &HashMap<&str, usize>,
            names: &[String],
            values: &[T],
            none: T,
        ) -> Vec<T> {
            let mut list = vec![none; place.len()];
            for (name, &value) in names.iter().zip(values) {
                if let Some(&at) = place.get(name.as_str()) {
                    list[at] = value;
                }
            }
            list
        }
        let word = |set: &EdgeSet, key: &str| set.meta.get(key).filter(|v| !v.is_null()).cloned();
        let sets = group.sets.iter().zip(&group.curves).enumerate().map(|(i, (set, curve))| {
            let scores: Vec<f32> =
                set.scores.iter().map(|s| s.map_or(f32::NAN, |s| s as f32)).collect();
            let scored = scores.iter().any(|score| score.is_finite());
            let circuit = set.kept.contains(&true);
            SetData {
                id: format!("{index}.{i}"),
                label: set.label.clone(),
                method: word(set, "method"),
                metric: word(set, "metric"),
                baseline: word(set, "baseline"),
                positions: set.names.iter().any(|name| name.contains('@')),
                completeness: word(set, "completeness"),
                scores: scored.then(|| pack.exact(&ordered(&place, &set.names, &scores, f32::NAN))),
                kept: circuit.then(|| pack.bits(&ordered(&place, &set.names, &set.kept, false))),
                curve: curve.clone(),
                step: word(set, "step").and_then(|step| step.as_u64()),
            }
        });
        let sets = sets.collect();
        let series = group.series.iter().map(|series| {
            let looks = series.scores.iter();
            let scores: Vec<f32> =
                looks.flat_map(|look| ordered(&place, &series.names, look, f32::NAN)).collect();
            let trends = ordered(&place, &series.names, &series.trends, None);
            let figure =
                |f: fn(&Trend) -> Option<f64>| trends.iter().map(|t| f(t.as_ref()?)).collect();
            SeriesData {
                label: series.label.clone(),
                steps: series.steps.clone(),
                scores: pack.rounded(&scores, group.names.len().max(1)),
                trend: trends.iter().any(Option::is_some).then(|| TrendData {
                    slope: figure(|t| t.slope),
                    p: figure(|t| t.p),
                    q: figure(|t| t.q),
                }),
            }
        });
        let series = series.collect();
        GroupData {
            name: format!("{} edges", group.names.len()),
            kind: "transformer",
            sets,
            series,
            interactions: (!group.interactions.is_empty()).then(|| group.interactions.clone()),
            names: group.names.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scores_of_eap_ig_turn_their_signs() {
        let file =
            json!({ "edges": { "a->b": { "score": 0.5 } }, "meta": { "convention": "eap-ig" } });
        let Ok(Some(EdgeFile::Set(set))) = EdgeFile::of(Path::new("x.json"), &file) else {
            panic!("no set")
        };
        assert_eq!(set.scores, [Some(-0.5)]);
    }

    fn set(label: &str, edges: Value) -> EdgeFile {
        let file = format!("{label}.json");
        EdgeFile::of(Path::new(&file), &json!({ "edges": edges })).unwrap().unwrap()
    }

    #[test]
    fn files_of_one_graph_come_together_in_any_order() {
        let mut groups = EdgeGroups::default();
        groups.add(set("eap", json!({ "a->b": { "score": 1.0 }, "b->c": { "score": null } })));
        groups.add(set("acdc", json!({ "b->c": { "in_graph": true }, "a->b": { "score": 0.5 } })));
        groups.add(set("other", json!({ "a->b": { "score": 1.0 } })));
        let curve = json!({ "curve": { "abs":
            { "edges": [0, 1], "fraction": [0.0, 1.0], "faithfulness": [0.0, null] } } });
        groups.add(EdgeFile::of(Path::new("eval-eap.json"), &curve).unwrap().unwrap());
        assert_eq!(groups.settle(), Vec::<String>::new());
        assert_eq!(groups.groups.len(), 2);
        assert_eq!(groups.groups[0].curves[0].as_ref().unwrap().edges, [0, 1]);
        assert_eq!(groups.groups[0].curves[1], None);
        let mut pack = Pack::default();
        let data = serde_json::to_value(GroupData::of(0, &groups.groups[0], &mut pack)).unwrap();
        assert_eq!(data["sets"][0]["scores"]["len"], 2);
        assert_eq!(data["sets"][0]["kept"], Value::Null);
        assert_eq!(data["sets"][1]["kept"]["len"], 2);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        let wrong = json!({ "edges": { "a->b": { "score": "much" } } });
        let error = EdgeFile::of(Path::new("x.json"), &wrong).unwrap_err();
        assert!(error.to_string().contains("key `edges.a->b`"), "{error}");
        assert_eq!(EdgeFile::of(Path::new("x.json"), &json!({ "tokens": 1 })).unwrap(), None);
        let mut groups = EdgeGroups::default();
        groups.add(EdgeFile::Curves(Curves::default()));
        assert_eq!(groups.settle().len(), 1, "a curve of nothing is named");
    }
}
