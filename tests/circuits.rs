//! Looking at circuits changes nothing of a run, and gives the same lines whatever happens to it.

mod common;

use common::Place;
use edgegrad::formats::circuit_summary::CircuitSummary;
use serde_json::Value;
use std::path::Path;

/// Two stages, a boundary with a checkpoint, and dropout, which looks must not draw from.
const CONFIG: &str = "
    [task]
    p = 2
    seq_len = 5
    k = 2
    train = 30
    test = 12
    [model]
    d_model = 6
    d_mlp = 10
    dropout = 0.1
    [train]
    lr = 1e-2
    batch = 16
    eval_every = 30
    checkpoint_every = 20
    circuit_every = 15
    [[stages]]
    steps = 100
    [[stages]]
    p = 3
    steps = 70
";

fn lines(place: &Place, run: &str) -> Vec<Value> {
    let all = place.metrics(run);
    let values = all.iter().map(|l| serde_json::from_str(l).expect("JSON"));
    values.filter(|v: &Value| v["kind"] == "circuit").collect()
}

#[test]
fn a_run_that_is_looked_at_has_the_bits_of_one_that_is_not() {
    let place = Place::new(CONFIG);
    for dtype in ["f32", "f64"] {
        place.succeed(&format!("train c.toml --out on --dtype {dtype} --force --threads 2"));
        let off = "--set circuit_every=0 --force --threads 1";
        place.succeed(&format!("train c.toml --out off --dtype {dtype} {off}"));
        let others = |run: &str| -> Vec<String> {
            let lines = place.metrics(run).into_iter();
            lines.filter(|l| !l.contains(r#""kind":"circuit""#)).collect()
        };
        assert_eq!(others("on"), others("off"), "{dtype}");
        let final_weights = |run: &str| {
            let files = place.files(&format!("{run}/checkpoints/final"));
            ["model.safetensors", "optimizer.safetensors"].map(|n| files[Path::new(n)].clone())
        };
        assert!(final_weights("on") == final_weights("off"), "{dtype}");
        assert!(!place.path("off").join("circuits").exists());
    }
}

#[test]
fn lines_and_summary_fit_together() {
    let place = Place::new(CONFIG);
    place.succeed("train c.toml --out run");
    let lines = lines(&place, "run");
    let at: Vec<(u64, u64)> = lines
        .iter()
        .map(|l| (l["step"].as_u64().expect("a step"), l["stage"].as_u64().expect("a stage")))
        .collect();
    let first = [0, 15, 30, 45, 60, 75, 90, 100].map(|step| (step, 0));
    let second = [100, 115, 130, 145, 160, 170].map(|step| (step, 1));
    assert_eq!(at, [&first[..], &second].concat());
    assert!(lines[0]["jaccard"].is_null() && lines[0]["reinforced"].is_null());

    let summary = CircuitSummary::read(&place.path("run")).expect("a summary");
    assert_eq!(summary.edges.len(), 2 * 5 + 1 + 2 * 10);
    assert_eq!(summary.edges[1], "input@0->a0.h0<v>@0");
    assert_eq!((summary.logs.len(), summary.stages.len()), (14, 2));
    assert_eq!(summary.transfers, [summary.stages[0].overlap(&summary.stages[1])]);
    let last = summary.logs.last().expect("logs");
    assert_eq!((last.last.jaccard, last.last.rank_correlation), (Some(1.0), Some(1.0)));
    let mut sizes = 0;
    for (line, log) in lines.iter().zip(&summary.logs) {
        assert_eq!(line["edges"].as_u64(), log.edges.map(|n| n as u64));
        let there = line["clean"].as_f64() > line["corrupted"].as_f64();
        assert_eq!(line["edges"].is_u64(), there, "{line}");
        if there {
            sizes += 1;
            assert!(line["faithfulness"].as_f64() >= Some(0.95), "{line}");
            assert!(line["nodes"].as_u64() <= Some(5 + 1 + 10 + 1), "{line}");
        }
        let scores = line["scores"].as_array().expect("scores");
        let size = |range: std::ops::Range<usize>| -> f64 {
            scores[range].iter().map(|s| s.as_f64().expect("a number").abs()).sum()
        };
        for (key, range) in [("useful", 0..4), ("spurious", 4..10)] {
            let share = size(range) / size(0..31);
            assert!((line[key].as_f64().expect("a share") - share).abs() < 1e-6, "{key}: {line}");
        }
    }
    assert!(sizes >= 5, "circuits in {sizes} logs only");
    // Edges in less edges out is how much a circuit has grown.
    for pair in lines.windows(2) {
        let number = |line: &Value, key: &str| line[key].as_i64();
        if let (Some(a), Some(b)) = (number(&pair[0], "edges"), number(&pair[1], "edges")) {
            let crossed = number(&pair[1], "reinforced").zip(number(&pair[1], "pruned"));
            let (reinforced, pruned) = crossed.expect("both have circuits");
            assert_eq!(b - a, reinforced - pruned);
        }
    }
}

#[test]
fn a_resumed_run_writes_the_same_lines() {
    let place = Place::new(CONFIG);
    place.succeed("train c.toml --out whole --threads 1");
    let whole = place.files("whole");
    for last in ["step-000020", "step-000100", "step-000120", "step-000160"] {
        for (name, bytes) in &whole {
            // Later checkpoints, and what a finished run adds, were not there yet.
            let part = name.strip_prefix("checkpoints").ok().and_then(|p| p.iter().next());
            let late = part.is_some_and(|p| p.to_string_lossy().as_ref() > last || p == "final");
            if !late && !name.starts_with("circuits") {
                place.write(&format!("{last}/{}", name.display()), bytes);
            }
        }
        place.succeed(&format!("train c.toml --out {last} --threads 3 --resume"));
        assert_eq!(place.metrics(last), place.metrics("whole"));
        let summary = Path::new("circuits/summary.json");
        assert!(place.files(last)[summary] == whole[summary], "{last}");
    }
}

#[test]
fn rows_of_one_label_have_no_circuits() {
    let place = Place::new(CONFIG);
    let out = place.run("train c.toml --out run --set task.train=1 --set batch=1");
    assert_eq!(out.code, 0, "{}", out.stderr);
    assert!(out.stderr.contains("circuits are not logged"), "{}", out.stderr);
    assert!(lines(&place, "run").is_empty());
    assert!(!place.path("run/circuits").exists());
}
