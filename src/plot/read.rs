//! What figures are drawn from: the edges of a file or of the last circuit that a run logged, the
//! comparison.json of `edgegrad tune-compare`.

use std::path::{Path, PathBuf};

use serde_json::Map;

use crate::error::{Error, Result, at_key};
use crate::files::json;
use crate::formats::circuit_pairs::CircuitPairs;
use crate::formats::comparison::Comparison;
use crate::formats::edge_file::HELP as EDGES_HELP;
use crate::formats::edge_name::{Edge, Input, Node, Port};
use crate::formats::metrics::Metrics;
use crate::formats::run_config::RunConfig;
use crate::formats::{EdgeFile, Entry, Meta};
use crate::stats::{self, order};

/// The input of a figure that takes one, which is called `what`.
///
/// # Errors
/// If there are more.
pub(super) fn only<'a>(inputs: &'a [PathBuf], what: &str, help: &str) -> Result<&'a Path> {
    match inputs.get(1) {
        Some(other) => Err(Error::input(other.display(), format!("is one {what} too many"), help)),
        None => Ok(&inputs[0]),
    }
}

/// The edges of a file in EAP-IG's layout, or of a run's last circuit.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Edges {
    /// What to call them.
    pub(crate) label: String,
    /// In the order of their names.
    pub(crate) file: EdgeFile,
    /// The share of the metric that the circuit keeps.
    pub(crate) faithfulness: Option<f64>,
}

impl Edges {
    /// The method that scored them.
    pub(crate) fn method(&self) -> Option<&str> {
        self.file.meta_text("method")
    }

    /// What the scores are differences of.
    pub(crate) fn metric(&self) -> Option<&str> {
        self.file.meta_text("metric")
    }
}

const COMPARISON_HELP: &str = "give the comparison.json that `edgegrad tune-compare` wrote";

/// The edges of a file, or of the last circuit that a run logged.
pub(crate) fn edges(path: &Path) -> Result<Edges> {
    if path.is_dir() { last_circuit(path) } else { edge_file(path) }
}

/// The edges of a file in EAP-IG's layout.
pub(crate) fn edge_file(path: &Path) -> Result<Edges> {
    let file = EdgeFile::of(path, &json::read(path, EDGES_HELP)?)?;
    let none = || wrong(path, "edges", "is no object of edges by name", EDGES_HELP);
    let file = file.ok_or_else(none)?;
    file.warn_neurons();
    Ok(Edges { label: stem(path), file: file.ours(None)?, faithfulness: None })
}

/// The last circuit that a run logged.
fn last_circuit(folder: &Path) -> Result<Edges> {
    let help = "train with `--set train.circuit_every=100`, or give a circuit's JSON file";
    if folder.join("comparison.json").exists() {
        let message = "compares methods of tuning, it is not one circuit";
        let help = "tune with one of them, `edgegrad tune --out DIR`, and give DIR/circuit.json";
        return Err(Error::input(folder.display(), message, help));
    }
    let file = folder.join("metrics.jsonl");
    let (metrics, _) = Metrics::read(&file).map_err(|error| error.with_help(help))?;
    let line = metrics.circuits.iter().rfind(|line| !line.scores.is_empty());
    let line = line.ok_or_else(|| Error::input(file.display(), "has no line `circuit`", help))?;
    let names = edge_names(folder, line.stage, line.scores.len())?;
    let score = |s: &f32| (!s.is_nan()).then(|| f64::from(*s));
    let sizes: Vec<f64> = line.scores.iter().map(|s| score(s).map_or(-1.0, f64::abs)).collect();
    let order = stats::falling(&sizes);
    let mut kept = vec![false; names.len()];
    for &i in order.iter().take(line.edges.unwrap_or(0)) {
        kept[i] = true;
    }
    let entry = |(i, name): (usize, String)| {
        let score = score(&line.scores[i]);
        (name, Entry { score, in_graph: kept[i], ..Entry::default() })
    };
    let mut edges: Vec<(String, Entry)> = names.into_iter().enumerate().map(entry).collect();
    order::sort_by(&mut edges, |a, b| a.0.cmp(&b.0));
    let meta = Meta {
        method: Some("exact".into()),
        metric: Some("logit-diff".into()),
        convention: Some("ours".into()),
        ..Meta::default()
    };
    let circuit = EdgeFile::new(Map::new(), vec![], edges, &meta).at(&file);
    Ok(Edges { label: stem(folder), file: circuit, faithfulness: line.faithfulness })
}

/// The names of a run's edges: those its probe lists, or those of the model in its configuration.
fn edge_names(folder: &Path, stage: usize, count: usize) -> Result<Vec<String>> {
    let (probes, _) = CircuitPairs::read_all(folder);
    let own = probes.into_iter().find(|probe| probe.stage == stage);
    if let Some(probe) = own.filter(|probe| probe.edges.len() == count) {
        return Ok(probe.edges);
    }
    let config = folder.join("config.toml");
    let known = RunConfig::read(&config)?;
    let positions = known.last_task().seq_len.unwrap_or(0);
    let neurons = known.model.d_mlp.unwrap_or(0);
    let expected = positions.saturating_add(neurons).saturating_mul(2).saturating_add(1);
    if expected != count {
        return Err(Error::input(
            at_key(&folder.join("metrics.jsonl"), "scores"),
            format!("has {count} scores, config.toml says there are {expected} edges"),
            "both files must be of one run; give the folder that training wrote",
        ));
    }
    let (head, neuron) =
        (Node::Head { layer: 0, head: 0 }, |neuron| Node::Neuron { layer: 0, neuron });
    let edge =
        |from, node, port, position| Edge { from, to: Input { node, port }, position }.to_string();
    let ports = [Port::K, Port::V];
    let reads = (0..positions).flat_map(|t| ports.map(|p| edge(Node::Input, head, p, Some(t))));
    let up = (0..neurons).map(|j| edge(head, neuron(j), Port::Whole, None));
    let out = (0..neurons).map(|j| edge(neuron(j), Node::Logits, Port::Whole, None));
    let skip = edge(head, Node::Logits, Port::Whole, None);
    Ok(reads.chain(up).chain([skip]).chain(out).collect())
}

/// A `comparison.json`, the methods that have a run.
pub(super) fn comparison(path: &Path) -> Result<Comparison> {
    let help = COMPARISON_HELP;
    let mut tuning = Comparison::of(path, &stem(path), &json::read(path, help)?)?;
    tuning.rows.retain(|row| !row.reports.is_empty());
    if tuning.rows.is_empty() {
        return Err(wrong(path, "rows", "has no method with a run", help));
    }
    Ok(tuning)
}

fn wrong(path: &Path, key: &str, problem: impl std::fmt::Display, help: &str) -> Error {
    Error::input(at_key(path, key), problem, help)
}

/// A file's name without its ending, a folder's name.
pub(super) fn stem(path: &Path) -> String {
    let stem = if path.is_dir() { path.file_name() } else { path.file_stem() };
    stem.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::formats::curves::Curves;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.json");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn edges_are_in_the_order_of_their_names() {
        let (_folder, path) = file(
            r#"{"edges": {"b->c": {"score": 0.5, "in_graph": true}, "a->\"NaN": {"score": NaN}},
               "meta": {"convention": "eap-ig", "metric": "kl"}}"#,
        );
        let edges = edges(&path).unwrap();
        let said = |i: usize| {
            let (name, entry) = &edges.file.edges[i];
            (name.as_str(), entry.score, entry.in_graph)
        };
        assert_eq!(said(0), ("a->\"NaN", None, false));
        assert_eq!(said(1), ("b->c", Some(-0.5), true));
        assert_eq!((edges.metric(), edges.label.as_str()), (Some("kl"), "file"));
    }

    #[test]
    fn errors_name_the_key() {
        let mut empty = crate::formats::comparison::tests::comparison();
        empty["rows"] = serde_json::json!([]);
        for (text, read, key) in [
            ("{}", "edges", "key `edges`: is no object"),
            (r#"{"edges": [1]}"#, "edges", "key `edges`: is no object"),
            (r#"{"edges": {}}"#, "edges", "key `edges`: has no edge"),
            (r#"{"edges": {"a->b": 3}}"#, "edges", "key `edges.a->b`"),
            ("{", "edges", "line 1: is not JSON"),
            ("{}", "curves", "key `curve`: is missing"),
            (r#"{"curve": {}}"#, "curves", "key `curve.abs`: is missing"),
            (
                r#"{"curve": {"abs": {"fraction": [1.0], "faithfulness": []}}}"#,
                "curves",
                "missing field `edges`",
            ),
            (
                r#"{"curve": {"abs": {"edges": [1], "fraction": [], "faithfulness": [1]}}}"#,
                "curves",
                "0 frac",
            ),
            ("{}", "comparison", "missing field `task`"),
            (&empty.to_string(), "comparison", "key `rows`: has no method"),
        ] {
            let (_folder, path) = file(text);
            let error = match read {
                "edges" => edges(&path).unwrap_err(),
                "curves" => Curves::read(&path).unwrap_err(),
                _ => comparison(&path).unwrap_err(),
            };
            assert!(error.to_string().contains(key), "{key}: {error}");
            assert!(error.to_string().contains("file.json"), "{error}");
            assert!(!error.help().is_empty());
        }
    }

    #[test]
    fn the_last_circuit_of_a_run_has_names_without_a_summary() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("config.toml", "[task]\nseq_len = 1\n[model]\nd_mlp = 1\n");
        write(
            "metrics.jsonl",
            "{\"kind\":\"circuit\",\"step\":1,\"edges\":1,\"scores\":[9,9,9,9,9]}\n\
             {\"kind\":\"circuit\",\"step\":2,\"edges\":2,\"faithfulness\":0.96,\
             \"scores\":[1,-3,2,0,null]}\n{\"kind\":\"circ",
        );
        let edges = edges(folder.path()).unwrap();
        let kept: Vec<_> =
            edges.file.edges.iter().filter(|e| e.1.in_graph).map(|e| &*e.0).collect();
        assert_eq!(kept, ["a0.h0->m0.n0", "input@0->a0.h0<v>@0"]);
        assert_eq!(edges.faithfulness, Some(0.96));
        write("config.toml", "[task]\nseq_len = 2\n[model]\nd_mlp = 1\n");
        let error = super::edges(folder.path()).unwrap_err().to_string();
        assert!(error.contains("5 scores") && error.contains("7 edges"), "{error}");
        write("metrics.jsonl", "{\"kind\":\"schema\",\"version\":1}\n");
        let error = super::edges(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no line `circuit`"), "{error}");
    }
}
