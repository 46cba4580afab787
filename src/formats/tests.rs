//! Every format reads what it writes.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::curves::{Curve, Curves};
use super::dynamics::{Dynamics, Scores, Trend};
use super::interactions::{Interaction, Interactions, Row};
use super::{Completeness, EdgeFile, Entry, Meta, Origin};
use crate::files::json::read;

fn edges() -> EdgeFile {
    let entry = |score, in_graph| Entry { score, in_graph, rest: Map::new() };
    let meta = Meta {
        method: Some("eap".into()),
        completeness: Some(Completeness { sum: 1.5, delta: 1.0 }),
        ..Meta::default()
    };
    let edges = vec![
        ("input->a0.kv1<v>".into(), entry(Some(-0.1), true)),
        ("input->logits".into(), entry(None, false)),
    ];
    EdgeFile::new(
        [("n_layers".into(), 2.into())].into_iter().collect(),
        vec![("input".into(), entry(None, true))],
        edges,
        &meta,
    )
}

#[test]
fn edge_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, file) = (folder.path().join("e.json"), edges());
    file.write(&path).expect("written");
    let streamed = EdgeFile::read(&path).expect("read");
    let value = EdgeFile::of(&path, &read(&path, "").expect("JSON")).expect("read").expect("edges");
    assert_eq!(streamed, value, "both ways to read a file give the same");
    assert_eq!((&streamed.cfg, &streamed.nodes), (&file.cfg, &file.nodes));
    assert_eq!((&streamed.edges, &streamed.meta), (&file.edges, &file.meta));
    assert_eq!(streamed.meta["completeness"]["residual"], 0.5);
    assert_eq!(streamed.place(), path.display().to_string());
}

#[test]
fn curves() {
    let by_size = Curve {
        fraction: vec![0.1, 0.5, 1.0],
        edges: vec![3, 15, 30],
        faithfulness: vec![0.1, f64::NAN, 1.0],
    };
    let by_score = Curve { faithfulness: vec![0.2, 0.7, 1.0], ..by_size.clone() };
    let origin = Origin { metric: Some("kl".into()), ..Origin::default() };
    let curves = Curves { origin, by_size, by_score: Some(by_score.clone()) };
    let mut report = Map::new();
    curves.put(&mut report);
    assert_eq!(report["cpr"], by_score.cpr());
    assert_eq!(report["curve"]["abs"]["faithfulness"], json!([0.1, null, 1.0]));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.json");
    std::fs::write(&path, Value::Object(report).to_string()).expect("written");
    let back = Curves::read(&path).expect("read");
    assert!(back.by_size.faithfulness[1].is_nan());
    assert_eq!((&back.origin, &back.by_score), (&curves.origin, &curves.by_score));
    assert_eq!(back.by_size.edges, curves.by_size.edges);
    assert_eq!(Curves::of(Path::new("x"), &json!({ "tokens": 1 })), Ok(None));
}

#[test]
fn interactions() {
    let pair = Interaction {
        i: "input->m0".into(),
        j: "m0->logits".into(),
        second_derivative: 0.25,
        interaction: -1.5,
        without_i: 1.0,
        without_j: 2.0,
        without_both: 4.5,
        relation: "redundant".into(),
    };
    let file = Interactions {
        meta: [("threshold".into(), 0.1.into())].into_iter().collect(),
        pairs: vec![pair],
        rows: vec!["input->m0".into()],
        columns: vec!["input->m0".into(), "m0->logits".into()],
        second_derivatives: vec![Row(vec![0.0, 0.25])],
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("i.json");
    file.write(&path).expect("written");
    let value = read(&path, "").expect("JSON");
    assert_eq!(Interactions::of(&path, &value), Ok(Some(file)));
    let torn = json!({ "second_derivatives": [[null]], "pairs": [{ "i": "input->m0" }] });
    let error = Interactions::of(&path, &torn).expect_err("torn").to_string();
    assert!(error.contains("key `pairs`") && error.contains("missing field `j`"), "{error}");
}

#[test]
fn dynamics() {
    let trend = Trend { slope: 0.01, r: 0.9, p: 0.001, q: 0.02 };
    let edge = |scores: [f64; 3], trend| Scores { scores: scores.into(), trend };
    let file = Dynamics {
        steps: vec![0, 10, 20],
        edges: [
            ("input->m0".into(), edge([0.1, 0.2, 0.3], Some(trend))),
            ("m0->logits".into(), edge([1.0, -1.0, 1e-30], None)),
        ]
        .into(),
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dynamics.json");
    file.write(&path).expect("written");
    assert_eq!(Dynamics::read(&path), Ok(file.clone()));
    let said = |file: &Dynamics| {
        file.write(&path).expect("written");
        Dynamics::read(&path).expect_err("damaged").to_string()
    };
    let mut short = file;
    short.steps.pop();
    assert!(said(&short).ends_with("key `edges.input->m0`: 3 scores of 2 looks"));
    std::fs::write(&path, r#"{"steps": [1], "edges": {"a->b": {"scores": "x"}}}"#).expect("text");
    let error = Dynamics::read(&path).expect_err("damaged").to_string();
    assert!(error.contains("key `edges.a->b`: invalid type: string \"x\""), "{error}");
}
