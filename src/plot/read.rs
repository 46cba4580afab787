//! What figures are drawn from: the edges of a file or of the last circuit that a run logged, curves
//! of `edgegrad evaluate --curve`, the comparison.json of `edgegrad tune-compare`.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result, at_key};
use crate::files::json;
use crate::formats::circuit_pairs::CircuitPairs;
use crate::formats::comparison::Comparison;
use crate::formats::metrics::Metrics;
use crate::formats::run_config::RunConfig;
use crate::results::edges::{Curves, EdgeFile};

/// An edge by its name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scored {
    /// `WRITER->READER`.
    pub(crate) name: String,
    /// None if it has none.
    pub(crate) score: Option<f64>,
    /// Whether it belongs to the circuit.
    pub(crate) kept: bool,
}

/// Edges, from wherever they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Edges {
    /// The file.
    pub(crate) file: PathBuf,
    /// What to call them.
    pub(crate) label: String,
    /// By name.
    pub(crate) list: Vec<Scored>,
    /// The method that scored them.
    pub(crate) method: Option<String>,
    /// What the scores are differences of.
    pub(crate) metric: Option<String>,
    /// The share of the metric that the circuit keeps.
    pub(crate) faithfulness: Option<f64>,
}

impl Edges {
    /// In the order of their names.
    fn sorted(
        file: &Path,
        label: String,
        mut list: Vec<Scored>,
        method: Option<String>,
        metric: Option<String>,
    ) -> Self {
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Edges { file: file.into(), label, list, method, metric, faithfulness: None }
    }
}

const EDGES_HELP: &str = "give a file of scores or of a circuit, as `edgegrad attribute` and \
                          `edgegrad discover` write it, with an object `edges`";
const CURVE_HELP: &str =
    "give what `edgegrad evaluate --scores S.json --curve --out FILE.json` wrote";
const COMPARISON_HELP: &str = "give the comparison.json that `edgegrad tune-compare` wrote";

/// The edges of a file, or of the last circuit that a run logged.
pub(crate) fn edges(path: &Path) -> Result<Edges> {
    if path.is_dir() { last_circuit(path) } else { edge_file(path) }
}

/// The edges of a file in EAP-IG's layout.
pub(crate) fn edge_file(path: &Path) -> Result<Edges> {
    let Some(EdgeFile::Set(set)) = EdgeFile::of(path, &json::read(path, EDGES_HELP)?)? else {
        return Err(wrong(path, "edges", "is no object of edges by name", EDGES_HELP));
    };
    let said = |key: &str| set.meta.get(key)?.as_str().map(String::from);
    let (method, metric) = (said("method"), said("metric"));
    let parts = set.names.into_iter().zip(set.scores).zip(set.kept);
    let list: Vec<Scored> =
        parts.map(|((name, score), kept)| Scored { name, score, kept }).collect();
    if list.is_empty() {
        return Err(wrong(path, "edges", "has no edge", EDGES_HELP));
    }
    Ok(Edges::sorted(path, set.label, list, method, metric))
}

/// The last circuit that a run logged.
fn last_circuit(folder: &Path) -> Result<Edges> {
    let help = "train with `--set train.circuit_every=100`, or give a circuit's JSON file";
    let file = folder.join("metrics.jsonl");
    let (metrics, _) = Metrics::read(&file).map_err(|error| error.with_help(help))?;
    let line = metrics.circuits.iter().rfind(|line| !line.scores.is_empty());
    let line = line.ok_or_else(|| Error::input(file.display(), "has no line `circuit`", help))?;
    let names = edge_names(folder, line.stage, line.scores.len())?;
    let score = |s: &f32| (!s.is_nan()).then(|| f64::from(*s));
    let size = |i: usize| score(&line.scores[i]).map_or(-1.0, f64::abs);
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|&a, &b| size(b).total_cmp(&size(a)));
    let mut kept = vec![false; names.len()];
    for &i in order.iter().take(line.edges.unwrap_or(0)) {
        kept[i] = true;
    }
    let parts = names.into_iter().zip(&line.scores).zip(kept);
    let list = parts.map(|((name, s), kept)| Scored { name, score: score(s), kept });
    let words = ["exact", "logit-diff"].map(|word| Some(word.into()));
    let [method, metric] = words;
    let mut edges = Edges::sorted(&file, stem(folder), list.collect(), method, metric);
    edges.faithfulness = line.faithfulness;
    Ok(edges)
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
    let reads =
        (0..positions).flat_map(|t| ["k", "v"].map(|port| format!("input@{t}->a0.h0<{port}>@{t}")));
    let up = (0..neurons).map(|j| format!("a0.h0->m0.n{j}"));
    let out = (0..neurons).map(|j| format!("m0.n{j}->logits"));
    Ok(reads.chain(up).chain(["a0.h0->logits".to_string()]).chain(out).collect())
}

/// The curves in a file of `evaluate --curve`.
pub(super) fn curves(path: &Path) -> Result<Curves> {
    match EdgeFile::of(path, &json::read(path, CURVE_HELP)?)? {
        Some(EdgeFile::Curves(curves)) => Ok(curves),
        _ => Err(wrong(path, "curve", "is missing", CURVE_HELP)),
    }
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
fn stem(path: &Path) -> String {
    let stem = if path.is_dir() { path.file_name() } else { path.file_stem() };
    stem.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(edges.list[0], Scored { name: "a->\"NaN".into(), score: None, kept: false });
        assert_eq!(edges.list[1], Scored { name: "b->c".into(), score: Some(-0.5), kept: true });
        assert_eq!((edges.metric.as_deref(), edges.label.as_str()), (Some("kl"), "file"));
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
                "curves" => curves(&path).unwrap_err(),
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
        let kept: Vec<_> = edges.list.iter().filter(|e| e.kept).map(|e| &*e.name).collect();
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
