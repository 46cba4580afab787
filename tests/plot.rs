//! Figures and exports through the binary: every figure in every format, from what other commands
//! write, and bad input.

mod common;

use common::Place;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const CONFIG: &str = "
[task]
p = 3
seq_len = 4
k = 2
train = 40
test = 10
[model]
d_model = 4
d_mlp = 6
[train]
steps = 12
eval_every = 4
batch = 8
circuit_every = 6
measure = ['norms', 'entropy']
[[stages]]
name = 'k=1'
task = { k = 1 }
[[stages]]
name = 'k=2'
";

/// A folder with two seeds of a run, scores by two methods, a curve and a circuit.
fn place() -> Place {
    let place = Place::new(CONFIG);
    for seed in ["00", "01"] {
        place.succeed(&format!("train c.toml --seed {} --out arm/seed-{seed}", &seed[1..]));
    }
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tracr/sort");
    for file in ["config.json", "model.safetensors", "pairs.jsonl"] {
        place.write(&format!("sort/{file}"), fs::read(fixtures.join(file)).expect("a fixture"));
    }
    let asked = "--model sort --pairs sort/pairs.jsonl";
    for method in ["exact", "eap"] {
        place.succeed(&format!("attribute {asked} --method {method} --out {method}.json"));
    }
    place.succeed(&format!("evaluate {asked} --scores eap.json --curve --out curve.json"));
    let topn = "--method topn --scores exact.json --edges 9";
    place.succeed(&format!("discover {asked} {topn} --out circuit.json"));
    let judged = |x: f64| json!({ "target": x, "gap": x, "transfer": x, "retention": 1.0 - x / 2.0, "nll_change": x });
    let report = |x: f64| {
        let path = [json!({ "step": 4, "judgement": judged(x) })];
        json!({ "seed": 0, "block_numbers": 100, "ever_trained": 25, "path": path })
    };
    let row = |name: &str, x: f64| {
        json!({ "name": name, "method": name, "lr": 1e-3, "at_the_edge": false, "pareto": true, "diverged": 0,
            "figures": {}, "reports": [report(x), report(x + 0.1)] })
    };
    let comparison = json!({ "task": "E1", "title": "E1: all", "target": "disagree", "seeds": 2,
        "base": judged(0.0), "rows": [row("full", 0.8), row("<circuit>", 0.5)] });
    place.write("grid/comparison.json", comparison.to_string());
    place
}

const FIGURES: [(&str, &str); 9] = [
    ("curves", "arm"),
    ("attention", "arm/seed-00 arm/seed-01"),
    ("circuit", "circuit.json"),
    ("circuit", "arm/seed-01"),
    ("faithfulness", "curve.json"),
    ("ablations", "grid/comparison.json"),
    ("tradeoff", "grid"),
    ("scores", "eap.json exact.json"),
    ("measures", "arm"),
];

#[test]
fn every_figure_in_every_format() {
    let place = place();
    for (i, (figure, inputs)) in FIGURES.iter().enumerate() {
        for (end, starts) in
            [("svg", &b"<?xml"[..]), ("png", &b"\x89PNG\r\n"[..]), ("pdf", &b"%PDF-1"[..])]
        {
            let plot = format!("plot {inputs} --figure {figure} --dpi 72 --out {i}.{end}");
            let said = place.succeed(&plot);
            assert!(said.contains(&format!("figure: {i}.{end} (")), "{said}");
            let first = fs::read(place.path(&format!("{i}.{end}"))).expect("written");
            assert!(first.starts_with(starts), "{figure}.{end}");
            place.succeed(&plot);
            let second = fs::read(place.path(&format!("{i}.{end}"))).expect("written");
            assert_eq!(first, second, "{figure}.{end}: the same input, the same bytes");
        }
        let wide =
            place.succeed(&format!("plot {inputs} --figure {figure} --width 6.75 --out w.svg"));
        assert!(wide.contains("(6.75 x "), "{wide}");
        let text = fs::read_to_string(place.path("w.svg")).expect("UTF-8");
        assert!(text.contains("width=\"486pt\"") && text.ends_with("</svg>\n"), "{figure}");
    }
    assert!(place.files("").keys().all(|name| !name.to_string_lossy().contains("partial")));
}

/// What is printed for the caption are the numbers of the files.
#[test]
fn captions_say_what_is_drawn() {
    let place = place();
    let said = place.succeed("plot arm --figure curves --centre median --out c.svg");
    assert!(said.contains("median of 2 seeds; no band (test): an interval takes 6"), "{said}");
    let said = place.succeed("plot circuit.json --figure circuit --edges 4 --out c.svg");
    assert!(said.contains("the 4 largest of 9 edges in the circuit; scores in logits"), "{said}");
    let said = place.succeed("plot eap.json exact.json --figure scores --out c.svg");
    assert!(said.contains("eap against exact: 46 edges"), "{said}");
    let compared = place.succeed("compare eap.json exact.json");
    let pearson = compared.lines().find_map(|line| line.strip_prefix("Pearson")).expect("a line");
    let pearson: f64 = pearson.trim().parse().expect("a number");
    assert!(said.contains(&format!("Pearson {pearson:.2}").replace('-', "−")), "{said}{compared}");
    let said = place.succeed("plot grid --figure tradeoff --reach gap --out c.svg");
    assert!(said.contains("(<circuit>, full)"), "both are on the line: {said}");
    assert!(!fs::read_to_string(place.path("c.svg")).expect("UTF-8").contains("<circuit>"));
}

#[test]
fn exports_read_back() {
    let place = place();
    let all = "9 of 9 edges";
    for (format, file) in [("dot", "c.dot"), ("mermaid", "c.mmd"), ("attribution-graph", "c.json")]
    {
        let said = place.succeed(&format!("export circuit.json --format {format} --out {file}"));
        assert!(said.contains(all) && said.contains(file), "{said}");
    }
    let text = |file: &str| fs::read_to_string(place.path(file)).expect("UTF-8");
    let circuit: Value = serde_json::from_str(&text("circuit.json")).expect("JSON");
    let edges = circuit["edges"].as_object().expect("edges");
    let kept: Vec<&String> =
        edges.iter().filter(|(_, edge)| edge["in_graph"] == true).map(|(name, _)| name).collect();
    assert_eq!(kept.len(), 9);
    let dot = text("c.dot");
    assert_eq!(dot.matches(" -> ").count(), 9);
    assert_eq!(text("c.mmd").matches(" -->").count(), 9);
    let graph: Value = serde_json::from_str(&text("c.json")).expect("JSON");
    let name = |id: &Value| {
        let nodes = graph["nodes"].as_array().expect("nodes");
        let node = nodes.iter().find(|node| node["node_id"] == *id).expect("a node");
        node["clerp"].as_str().expect("a name").to_string()
    };
    for edge in kept {
        let (from, to) = edge.split_once("->").expect("an edge");
        let to = to.split('<').next().expect("a node");
        assert!(dot.contains(&format!("\"{from}\" -> \"{to}\"")), "{edge}");
        let links = graph["links"].as_array().expect("links");
        let mut links = links.iter().map(|link| (name(&link["source"]), name(&link["target"])));
        assert!(links.any(|link| link == (from.to_string(), to.to_string())), "{edge}");
    }
    let said = place.succeed("export arm/seed-00 --format dot --edges 3 --out run.dot");
    assert!(said.starts_with("3 of "), "{said}");
}

#[test]
fn bad_input() {
    let place = place();
    place.write("empty/note.txt", "");
    place.write("torn.json", "{\"edges\": {");
    for (file, edge) in [("other.json", "x->y"), ("nameless.json", "x")] {
        let meta = r#""meta": {"convention": "ours"}"#;
        place.write(file, format!(r#"{{"edges": {{"{edge}": {{"score": 1.0}}}}, {meta}}}"#));
    }
    let before = place.files("");
    let plot = |inputs: &str, figure: &str| format!("plot {inputs} --figure {figure} --out x.svg");
    let export =
        |input: &str, format: &str| format!("export {input} --format {format} --out x.dot");
    for (arguments, parts, help) in [
        (plot("arm", "curve"), &["--figure", "`curve` is unknown"][..], "did you mean `curves`?"),
        (plot("arm", "pie"), &["--figure", "`pie`"], "give one of curves, attention"),
        (plot("arm", "curves") + " --centre mode", &["--centre", "`mode`"], "mean, median"),
        (plot("arm", "curves") + " --width 90", &["--width", "2 to 20 inches, got 90"], "6.75"),
        (plot("arm", "curves") + " --width nan", &["--width"], "3.25"),
        (plot("arm", "curves").replace("x.svg", "x.jpg"), &["x.jpg", "ending"], ".svg, .png"),
        (plot("arm", "curves").replace("x.svg", "x"), &["x: has no ending"], ".pdf"),
        (plot("arm", "curves").replace("x.svg", "no/x.svg"), &["no/x.svg", "cannot write"], ""),
        (plot("nowhere", "curves"), &["nowhere: missing"], "give the folder"),
        (plot("empty", "curves"), &["empty: holds no run"], "train first"),
        (plot("circuit.json", "curves"), &["circuit.json: is a file"], "metrics.jsonl"),
        (
            plot("arm", "attention") + " --seed 7",
            &["arm", "`--seed`", "no seed 7"],
            "seed 0, seed 1",
        ),
        (plot("nowhere.json", "circuit"), &["nowhere.json: missing"], "edgegrad discover"),
        (plot("arm", "circuit"), &["arm/metrics.jsonl: missing"], "circuit_every"),
        (plot("curve.json", "circuit"), &["curve.json", "key `edges`: is no object"], "discover"),
        (plot("torn.json", "circuit"), &["torn.json, line 1: is not JSON"], "discover"),
        (plot("nameless.json", "circuit"), &["nameless.json", "key `edges.x`"], "a0.h2->m1"),
        (plot("circuit.json eap.json", "circuit"), &["eap.json: is one circuit too many"], "one"),
        (plot("eap.json", "faithfulness"), &["eap.json", "key `curve`: is missing"], "--curve"),
        (plot("eap.json", "ablations"), &["eap.json", "missing field `task`"], "tune-compare"),
        (plot("empty", "tradeoff"), &["empty/comparison.json: missing"], "tune-compare"),
        (plot("eap.json", "scores"), &["eap.json: is the only file"], "two or more"),
        (plot("eap.json other.json", "scores"), &["other.json", "0 scored edges"], "same model"),
        (plot("grid", "scores"), &["grid: is not a file"], "attribute"),
        (export("circuit.json", "gml"), &["--format", "`gml`"], "mermaid"),
        (export("nowhere.json", "dot"), &["nowhere.json: missing"], "discover"),
        (export("curve.json", "dot"), &["curve.json", "key `edges`"], "discover"),
        (export("nameless.json", "mermaid"), &["nameless.json", "`edges.x`"], "WRITER->READER"),
    ] {
        place.run(&arguments).failed(2, parts, help);
        assert_eq!(before, place.files(""), "{arguments}: files are as they were");
    }
}
