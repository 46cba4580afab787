//! The files that figures are drawn from, as far as figures need them.
//!
//! Edge files in EAP-IG's layout, the last `circuit` line of a run, the curves of
//! `edgegrad evaluate --curve` and the `comparison.json` of `edgegrad tune-compare`. Everything is
//! untrusted: what is not there is an error that names the key.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::config::RunConfig;
use super::super::error::{Place, ReportError};

/// An edge by its name.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) struct Scored {
    /// `WRITER->READER`.
    pub(in crate::report) name: String,
    /// None if it has none.
    pub(in crate::report) score: Option<f64>,
    /// Whether it belongs to the circuit.
    pub(in crate::report) kept: bool,
}

/// Edges, from wherever they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::report) struct Edges {
    /// The file.
    pub(in crate::report) file: PathBuf,
    /// What to call them.
    pub(in crate::report) label: String,
    /// By name.
    pub(in crate::report) list: Vec<Scored>,
    /// The method that scored them.
    pub(in crate::report) method: Option<String>,
    /// What the scores are differences of.
    pub(in crate::report) metric: Option<String>,
    /// The share of the metric that the circuit keeps.
    pub(in crate::report) faithfulness: Option<f64>,
}

/// Faithfulness by size, for one order of edges.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Curve {
    pub(super) fraction: Vec<f64>,
    pub(super) faithfulness: Vec<Option<f64>>,
}

/// What `evaluate --curve` wrote.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curves {
    pub(super) label: String,
    pub(super) metric: Option<String>,
    /// By falling |score|.
    pub(super) by_size: Curve,
    /// By falling score.
    pub(super) by_score: Option<Curve>,
}

/// What a model can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Judged {
    pub(super) target: Option<f64>,
    pub(super) gap: Option<f64>,
    pub(super) transfer: Option<f64>,
    pub(super) retention: Option<f64>,
}

/// One method of tuning: its name and how each seed ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tuned {
    pub(super) name: String,
    pub(super) ends: Vec<Judged>,
}

/// What `tune-compare` wrote.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Comparison {
    pub(super) base: Judged,
    pub(super) rows: Vec<Tuned>,
}

const EDGES_HELP: &str = "give a file of scores or of a circuit, as `edgegrad attribute` and \
                          `edgegrad discover` write it, with an object `edges`";
const CURVE_HELP: &str =
    "give what `edgegrad evaluate --scores S.json --curve --out FILE.json` wrote";
const COMPARISON_HELP: &str = "give the comparison.json that `edgegrad tune-compare` wrote";

/// The edges of a file, or of the last circuit that a run logged.
pub(in crate::report) fn edges(path: &Path) -> Result<Edges, ReportError> {
    if path.is_dir() { last_circuit(path) } else { edge_file(path) }
}

/// The edges of a file in EAP-IG's layout, scores as this crate signs them.
pub(in crate::report) fn edge_file(path: &Path) -> Result<Edges, ReportError> {
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        score: Option<f64>,
        #[serde(default)]
        in_graph: bool,
    }
    let file = json(path, EDGES_HELP)?;
    let Value::Object(entries) = part(path, &file, "edges", EDGES_HELP)? else {
        return Err(wrong(path, "edges", "is no object of edges by name", EDGES_HELP));
    };
    let said = |key: &str| file.get("meta")?.get(key)?.as_str().map(String::from);
    // EAP-IG counts what removing an edge adds to the metric, we what it takes away.
    let sign = if said("convention").as_deref() == Some("eap-ig") { -1.0 } else { 1.0 };
    let mut list = vec![];
    for (name, entry) in entries {
        let entry: Entry = serde_json::from_value(entry.clone())
            .map_err(|e| wrong(path, &format!("edges.{name:.60}"), e, EDGES_HELP))?;
        let score = entry.score.map(|s| sign * s);
        list.push(Scored { name: name.clone(), score, kept: entry.in_graph });
    }
    if list.is_empty() {
        return Err(wrong(path, "edges", "has no edge", EDGES_HELP));
    }
    list.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Edges {
        file: path.into(),
        label: stem(path),
        list,
        method: said("method"),
        metric: said("metric"),
        faithfulness: None,
    })
}

/// The last circuit that a run logged.
fn last_circuit(folder: &Path) -> Result<Edges, ReportError> {
    #[derive(Deserialize)]
    struct Line {
        kind: String,
        #[serde(default)]
        edges: Option<usize>,
        #[serde(default)]
        faithfulness: Option<f64>,
        #[serde(default)]
        scores: Vec<Option<f64>>,
    }
    let help = "train with `--set train.circuit_every=100`, or give a circuit's JSON file";
    let file = folder.join("metrics.jsonl");
    let text = std::fs::read(&file).map_err(|e| ReportError::io(&file, &e, help))?;
    let line = text
        .rsplit(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Line>(line).ok())
        .find(|line| line.kind == "circuit" && !line.scores.is_empty())
        .ok_or_else(|| ReportError::new(&file, Place::File, "has no line `circuit`", help))?;
    let names = edge_names(folder, line.scores.len())?;
    let size = |i: usize| line.scores[i].map_or(-1.0, f64::abs);
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|&a, &b| size(b).total_cmp(&size(a)));
    let mut kept = vec![false; names.len()];
    for &i in order.iter().take(line.edges.unwrap_or(0)) {
        kept[i] = true;
    }
    let mut list: Vec<Scored> = names
        .into_iter()
        .zip(&line.scores)
        .zip(kept)
        .map(|((name, &score), kept)| Scored { name, score, kept })
        .collect();
    list.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Edges {
        file,
        label: stem(folder),
        list,
        method: Some("exact".into()),
        metric: Some("logit-diff".into()),
        faithfulness: line.faithfulness,
    })
}

/// The names of a run's edges: those its summary lists, or those of the model in its configuration.
fn edge_names(folder: &Path, count: usize) -> Result<Vec<String>, ReportError> {
    #[derive(Deserialize)]
    struct Summary {
        edges: Vec<String>,
    }
    let file = folder.join("circuits/summary.json");
    let listed = std::fs::read(&file).ok();
    let listed = listed.and_then(|text| serde_json::from_slice::<Summary>(&text).ok());
    if let Some(summary) = listed.filter(|summary| summary.edges.len() == count) {
        return Ok(summary.edges);
    }
    let config = folder.join("config.toml");
    let known = RunConfig::read(&config)?;
    let positions = known.last_task().seq_len.unwrap_or(0);
    let neurons = known.model.d_mlp.unwrap_or(0);
    let expected = positions.saturating_add(neurons).saturating_mul(2).saturating_add(1);
    if expected != count {
        return Err(ReportError::new(
            &folder.join("metrics.jsonl"),
            Place::Key("scores".into()),
            format!("has {count} scores, config.toml says there are {expected} edges"),
            "both files must be of one run; let the run end, then circuits/summary.json has names",
        ));
    }
    let reads =
        (0..positions).flat_map(|t| ["k", "v"].map(|port| format!("input@{t}->a0.h0<{port}>@{t}")));
    let up = (0..neurons).map(|j| format!("a0.h0->m0.n{j}"));
    let out = (0..neurons).map(|j| format!("m0.n{j}->logits"));
    Ok(reads.chain(up).chain(["a0.h0->logits".to_string()]).chain(out).collect())
}

/// The curves in a file of `evaluate --curve`.
pub(super) fn curves(path: &Path) -> Result<Curves, ReportError> {
    let file = json(path, CURVE_HELP)?;
    let both = part(path, &file, "curve", CURVE_HELP)?;
    let curve = |key: &str| -> Result<Option<Curve>, ReportError> {
        let Some(value) = both.get(key) else { return Ok(None) };
        let name = format!("curve.{key}");
        let curve: Curve = typed(path, value, &name, CURVE_HELP)?;
        let (n, m) = (curve.fraction.len(), curve.faithfulness.len());
        if n != m || n == 0 {
            let problem = format!("has {n} fractions and {m} values of faithfulness");
            return Err(wrong(path, &name, problem, CURVE_HELP));
        }
        Ok(Some(curve))
    };
    let missing = || wrong(path, "curve.abs", "is missing", CURVE_HELP);
    Ok(Curves {
        label: stem(path),
        metric: file.get("metric").and_then(Value::as_str).map(String::from),
        by_size: curve("abs")?.ok_or_else(missing)?,
        by_score: curve("signed")?,
    })
}

/// A `comparison.json`.
pub(super) fn comparison(path: &Path) -> Result<Comparison, ReportError> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        reports: Vec<Report>,
    }
    #[derive(Deserialize)]
    struct Report {
        path: Vec<Look>,
    }
    #[derive(Deserialize)]
    struct Look {
        judgement: Judged,
    }
    let file = json(path, COMPARISON_HELP)?;
    let help = COMPARISON_HELP;
    let base: Judged = typed(path, part(path, &file, "base", help)?, "base", help)?;
    let rows: Vec<Row> = typed(path, part(path, &file, "rows", help)?, "rows", help)?;
    let rows: Vec<Tuned> = rows
        .into_iter()
        .map(|row| Tuned {
            name: row.name,
            ends: row.reports.iter().filter_map(|r| Some(r.path.last()?.judgement)).collect(),
        })
        .filter(|row| !row.ends.is_empty())
        .collect();
    if rows.is_empty() {
        return Err(wrong(path, "rows", "has no method with a run", help));
    }
    Ok(Comparison { base, rows })
}

fn json(path: &Path, help: &str) -> Result<Value, ReportError> {
    let fail = |e: std::io::Error| ReportError::io(path, &e, help);
    // A device or a pipe may never end.
    if !std::fs::metadata(path).map_err(fail)?.is_file() {
        return Err(ReportError::new(path, Place::File, "is not a file", help));
    }
    let text = std::fs::read(path).map_err(fail)?;
    serde_json::from_slice(&strict(&text)).map_err(|e| {
        ReportError::new(path, Place::Line(e.line()), format!("is not JSON ({e})"), help)
    })
}

/// JSON with `null` for Python's `NaN`, which JSON has not.
fn strict(text: &[u8]) -> Vec<u8> {
    let (mut out, mut quoted, mut i) = (Vec::with_capacity(text.len()), false, 0);
    while i < text.len() {
        if quoted && text[i] == b'\\' && i + 1 < text.len() {
            out.extend(&text[i..i + 2]);
            i += 2;
        } else if !quoted && text[i..].starts_with(b"NaN") {
            out.extend(b"null");
            i += 3;
        } else {
            quoted ^= text[i] == b'"';
            out.push(text[i]);
            i += 1;
        }
    }
    out
}

fn part<'a>(path: &Path, file: &'a Value, key: &str, help: &str) -> Result<&'a Value, ReportError> {
    file.get(key).ok_or_else(|| wrong(path, key, "is missing", help))
}

fn typed<T: DeserializeOwned>(
    path: &Path,
    value: &Value,
    key: &str,
    help: &str,
) -> Result<T, ReportError> {
    serde_json::from_value(value.clone()).map_err(|e| wrong(path, key, e, help))
}

fn wrong(path: &Path, key: &str, problem: impl std::fmt::Display, help: &str) -> ReportError {
    ReportError::new(path, Place::Key(key.into()), problem, help)
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
    fn edges_of_eap_ig_turn_their_signs_and_lose_their_nan() {
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
        for (text, read, key) in [
            ("{}", "edges", "key `edges`: is missing"),
            (r#"{"edges": [1]}"#, "edges", "key `edges`: is no object"),
            (r#"{"edges": {}}"#, "edges", "key `edges`: has no edge"),
            (r#"{"edges": {"a->b": 3}}"#, "edges", "key `edges.a->b`"),
            ("{", "edges", "line 1: is not JSON"),
            ("{}", "curves", "key `curve`: is missing"),
            (r#"{"curve": {}}"#, "curves", "key `curve.abs`: is missing"),
            (r#"{"curve": {"abs": {"fraction": [1.0], "faithfulness": []}}}"#, "curves", "1 frac"),
            ("{}", "comparison", "key `base`: is missing"),
            (r#"{"base": {}, "rows": []}"#, "comparison", "key `rows`: has no method"),
        ] {
            let (_folder, path) = file(text);
            let error = match read {
                "edges" => edges(&path).unwrap_err(),
                "curves" => curves(&path).unwrap_err(),
                _ => comparison(&path).unwrap_err(),
            };
            assert!(error.to_string().contains(key), "{key}: {error}");
            assert!(error.to_string().contains("file.json"), "{error}");
            assert!(!error.help.is_empty());
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
