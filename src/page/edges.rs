//! The scores, circuits, curves and interactions of one graph, as the page has them.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use super::pack::{Bits, Pack, Packed};
use crate::formats::EdgeFile;
use crate::formats::curves::Curve;
use crate::formats::dynamics::Trend;
use crate::formats::edge_name::Parts;
use crate::formats::interactions::Interaction;
use crate::results::{EdgeGroup, EdgeSet, Series};

#[derive(Serialize)]
pub(super) struct GroupData<'a> {
    name: String,
    names: &'a [String],
    kind: &'static str,
    sets: Vec<SetData<'a>>,
    series: Vec<SeriesData<'a>>,
    interactions: Option<&'a [Interaction]>,
}

#[derive(Serialize)]
struct SetData<'a> {
    id: String,
    label: &'a str,
    method: Option<&'a Value>,
    metric: Option<&'a Value>,
    baseline: Option<&'a Value>,
    positions: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<&'a Value>,
    completeness: Option<&'a Value>,
    scores: Option<Packed>,
    kept: Option<Bits>,
    curve: Option<CurveData<'a>>,
    step: Option<u64>,
}

#[derive(Serialize)]
struct CurveData<'a> {
    edges: &'a [usize],
    faithfulness: &'a [f64],
}

#[derive(Serialize)]
struct SeriesData<'a> {
    label: &'a str,
    steps: &'a [u64],
    scores: Packed,
    trend: Option<TrendData>,
}

#[derive(Serialize)]
struct TrendData {
    slope: Vec<Option<f64>>,
    p: Vec<Option<f64>>,
    q: Vec<Option<f64>>,
}

impl<'a> GroupData<'a> {
    pub(super) fn of(index: usize, group: &'a EdgeGroup, pack: &mut Pack) -> Self {
        let names = &group.names;
        let sets = group.sets.iter().enumerate();
        let sets = sets.map(|(i, set)| SetData::of(format!("{index}.{i}"), set, names, pack));
        let sets = sets.collect();
        let series = group.series.iter().map(|series| SeriesData::of(series, names, pack));
        GroupData {
            name: format!("{} edges", names.len()),
            kind: "transformer",
            sets,
            series: series.collect(),
            interactions: (!group.interactions.is_empty()).then_some(&group.interactions[..]),
            names,
        }
    }
}

impl<'a> SetData<'a> {
    fn of(id: String, set: &'a EdgeSet, names: &[String], pack: &mut Pack) -> Self {
        let EdgeFile { edges, meta, .. } = &set.file;
        let word = |key: &str| meta.get(key).filter(|value| !value.is_null());
        // In the order of the group's names.
        let entries: HashMap<&str, _> = edges.iter().map(|(name, e)| (name.as_str(), e)).collect();
        let entries = || names.iter().map(|name| entries.get(name.as_str()));
        let scores: Vec<f32> =
            entries().map(|e| e.and_then(|e| e.score).map_or(f32::NAN, |s| s as f32)).collect();
        let kept: Vec<bool> = entries().map(|e| e.is_some_and(|e| e.in_graph)).collect();
        SetData {
            id,
            label: &set.label,
            method: word("method"),
            metric: word("metric"),
            baseline: word("baseline"),
            positions: names.iter().filter_map(|n| Parts::of(n)).any(|e| e.to.position.is_some()),
            tokens: word("tokens").filter(|_| !set.file.tokens().is_empty()),
            completeness: word("completeness"),
            scores: scores.iter().any(|score| score.is_finite()).then(|| pack.exact(&scores)),
            kept: set.file.has_circuit().then(|| pack.bits(&kept)),
            curve: set
                .curve
                .as_ref()
                .map(|Curve { edges, faithfulness, .. }| CurveData { edges, faithfulness }),
            step: word("step").and_then(|step| step.as_u64()),
        }
    }
}

impl<'a> SeriesData<'a> {
    fn of(series: &'a Series, names: &[String], pack: &mut Pack) -> Self {
        let steps = &series.dynamics.steps;
        let edges: Vec<_> = names.iter().map(|name| series.dynamics.edges.get(name)).collect();
        let at = |t: usize| edges.iter().map(move |e| e.map_or(f32::NAN, |e| e.scores[t] as f32));
        let scores: Vec<f32> = (0..steps.len()).flat_map(at).collect();
        let trends: Vec<Option<Trend>> =
            edges.iter().map(|edge| edge.and_then(|e| e.trend)).collect();
        let figure = |f: fn(&Trend) -> f64| trends.iter().map(|t| t.as_ref().map(f)).collect();
        SeriesData {
            label: &series.label,
            steps,
            scores: pack.rounded(&scores, names.len().max(1)),
            trend: trends.iter().any(Option::is_some).then(|| TrendData {
                slope: figure(|t| t.slope),
                p: figure(|t| t.p),
                q: figure(|t| t.q),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::edges::tests::groups;

    #[test]
    fn sets_carry_what_their_files_say() {
        let groups = groups().groups;
        let mut pack = Pack::default();
        let data = serde_json::to_value(GroupData::of(0, &groups[0], &mut pack)).unwrap();
        assert_eq!(data["sets"][0]["scores"]["len"], 2);
        assert_eq!(data["sets"][0]["kept"], Value::Null);
        assert_eq!(data["sets"][1]["kept"]["len"], 2);
        let curve = &data["sets"][0]["curve"];
        assert_eq!(curve["faithfulness"], serde_json::json!([0.0, null]));
        assert_eq!(curve.as_object().unwrap().len(), 2);
    }
}
