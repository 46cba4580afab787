//! Files of scores, circuits, curves and interactions, gathered by the graph they belong to.

use crate::error::Result;
use crate::formats::curves::{Curve, Curves};
use crate::formats::dynamics::Dynamics;
use crate::formats::interactions::{Interaction, Interactions};
use crate::formats::{EdgeFile, Origin};

/// One file of scores or a circuit.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeSet {
    /// What people call it.
    pub label: String,
    /// Its scores are positive where removing the edge lowers the metric.
    pub file: EdgeFile,
    /// How faithful its first edges are.
    pub curve: Option<Curve>,
}

/// The scores of all edges at several steps of tuning.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What people call it.
    pub label: String,
    /// The scores.
    pub dynamics: Dynamics,
}

/// All that is known of the edges of one graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EdgeGroup {
    /// `[E]`, as its first file has them.
    pub names: Vec<String>,
    /// Files of scores and circuits.
    pub sets: Vec<EdgeSet>,
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
    curves: Vec<(String, Origin, Curve)>,
    interactions: Vec<Interaction>,
}

impl EdgeGroups {
    /// Adds a file of scores or a circuit.
    ///
    /// # Errors
    /// When it names a convention that is unknown.
    pub fn add(&mut self, label: String, file: EdgeFile) -> Result<()> {
        let names = file.edges.iter().map(|(name, _)| name.clone()).collect();
        let file = file.ours(None)?;
        self.group(names).sets.push(EdgeSet { label, file, curve: None });
        Ok(())
    }

    /// Adds curves of the file of scores that `label`, the name of theirs, speaks of.
    pub(crate) fn add_curves(&mut self, label: String, curves: Curves) {
        self.curves.push((label, curves.origin, curves.by_size));
    }

    /// Adds interactions.
    pub(crate) fn add_interactions(&mut self, file: Interactions) {
        self.interactions.extend(file.pairs);
    }

    /// Adds the scores of a tuned run.
    pub(crate) fn add_series(&mut self, label: String, dynamics: Dynamics) {
        let names = dynamics.edges.keys().cloned().collect();
        self.group(names).series.push(Series { label, dynamics });
    }

    /// The group with these edges, in whatever order.
    fn group(&mut self, names: Vec<String>) -> &mut EdgeGroup {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort_unstable();
            names
        };
        let mine = sorted(&names);
        let same = |g: &EdgeGroup| g.names.len() == names.len() && sorted(&g.names) == mine;
        let at = self.groups.iter().position(same).unwrap_or_else(|| {
            self.groups.push(EdgeGroup { names, ..Default::default() });
            self.groups.len() - 1
        });
        &mut self.groups[at]
    }

    /// Gives curves to the sets they name (`eval-eap` is that of `eap`, of several the longest) or
    /// else to the only set there is, and interactions to the graph they are of; says what is left,
    /// and what is not of the same model, pairs, metric and baseline.
    pub(crate) fn settle(&mut self) -> Vec<String> {
        let mut notes = Vec::new();
        for group in &self.groups {
            let [first, others @ ..] = &group.sets[..] else { continue };
            let origin = first.file.origin();
            notes.extend(others.iter().filter_map(|set| {
                let what = origin.differs(&set.file.origin())?;
                Some(format!("{} and {} are of different {what}", first.label, set.label))
            }));
        }
        for (name, origin, curve) in std::mem::take(&mut self.curves) {
            let sets = self.groups.iter().flat_map(|g| g.sets.iter().map(|s| s.label.as_str()));
            let own = sets.clone().filter(|label| name.contains(label)).max_by_key(|l| l.len());
            let only = if sets.clone().count() == 1 { sets.clone().next() } else { None };
            let Some(label) = own.or(only).map(str::to_string) else {
                notes.push(format!(
                    "{name}: a curve of scores that are not here; name it after their file"
                ));
                continue;
            };
            let sets = self.groups.iter_mut().flat_map(|group| &mut group.sets);
            for set in sets.filter(|set| set.label == label) {
                if let Some(what) = set.file.origin().differs(&origin) {
                    notes.push(format!("{name} and {label} are of different {what}"));
                }
                set.curve = Some(curve.clone());
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

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::*;
    use serde_json::{Value, json};

    pub(crate) fn file(edges: Value) -> EdgeFile {
        EdgeFile::of(
            Path::new("x.json"),
            &json!({ "edges": edges, "meta": { "convention": "ours" } }),
        )
        .unwrap()
        .unwrap()
    }

    /// Two files of one graph and one of another, the first with a curve.
    pub(crate) fn groups() -> EdgeGroups {
        let mut groups = EdgeGroups::default();
        let mut add = |label: &str, edges: Value| groups.add(label.into(), file(edges)).unwrap();
        add("eap", json!({ "a->b": { "score": 1.0 }, "b->c": { "score": null } }));
        add("acdc", json!({ "b->c": { "in_graph": true }, "a->b": { "score": 0.5 } }));
        add("other", json!({ "a->b": { "score": 1.0 } }));
        let by_size = Curve {
            edges: vec![0, 1],
            fraction: vec![0.0, 1.0],
            faithfulness: vec![0.0, f64::NAN],
        };
        groups.add_curves("eval-eap".into(), Curves { by_size, ..Curves::default() });
        assert_eq!(groups.settle(), Vec::<String>::new());
        groups
    }

    #[test]
    fn files_of_one_graph_come_together_in_any_order() {
        let groups = groups().groups;
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].sets[0].curve.as_ref().unwrap().edges, [0, 1]);
        assert_eq!(groups[0].sets[1].curve, None);
    }

    #[test]
    fn scores_of_other_models_are_told() {
        let of = |model: &str| {
            let meta = json!({ "convention": "ours", "model": model });
            let value = json!({ "edges": { "a->b": { "score": 1.0 } }, "meta": meta });
            EdgeFile::of(Path::new("x.json"), &value).unwrap().unwrap()
        };
        let mut groups = EdgeGroups::default();
        for (label, model) in [("one", "A"), ("two", "A"), ("three", "B")] {
            groups.add(label.into(), of(model)).unwrap();
        }
        let origin = Origin { model: Some("B".into()), ..Origin::default() };
        groups.add_curves("eval-two".into(), Curves { origin, ..Curves::default() });
        assert_eq!(
            groups.settle(),
            ["one and three are of different models", "eval-two and two are of different models"]
        );
    }

    #[test]
    fn a_curve_of_nothing_is_named() {
        let mut groups = EdgeGroups::default();
        groups.add_curves("eval-eap".into(), Curves::default());
        assert_eq!(groups.settle().len(), 1);
        let pair = Interaction { i: "a->b".into(), ..Interaction::default() };
        groups.add_interactions(Interactions { pairs: vec![pair], ..Interactions::default() });
        assert_eq!(groups.settle().len(), 1);
    }
}
