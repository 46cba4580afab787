//! What commands print for people and for programs.

mod common;

use common::Place;
use serde_json::Value;

/// Scores of a small model by two methods, as `a.json` and `b.json`.
fn scored() -> Place {
    let place = Place::new("");
    for (method, out) in [("eap", "a.json"), ("eap-ig", "b.json")] {
        place.succeed(&attribute(method, out));
    }
    place
}

fn attribute(method: &str, out: &str) -> String {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gpt2-tiny");
    format!(
        "attribute --model {fixture} --pairs {fixture}/pairs.jsonl --method {method} --dtype f64 \
         --top 3 --out {out}"
    )
}

#[test]
fn json_has_every_table_with_the_numbers_of_the_file() {
    let place = scored();
    let printed = place.succeed(&format!("{} --json", attribute("eap", "c.json")));
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    let edges = printed["edges"].as_array().expect("a table");
    assert_eq!(edges.len(), 3);
    let file = std::fs::read_to_string(place.path("c.json")).expect("written");
    let file: Value = serde_json::from_str(&file).expect("JSON");
    for edge in edges {
        let name = edge["edge"].as_str().expect("a name");
        assert_eq!(edge["score"], file["edges"][name]["score"]);
        assert_ne!(edge["score"], 0.0);
    }
    assert!(printed["completeness"]["sum"].is_number());
    assert_eq!(printed["completeness"]["sum"], file["meta"]["completeness"]["sum"]);

    let printed: Value =
        serde_json::from_str(&place.succeed("compare a.json b.json --json")).expect("JSON");
    assert!(printed["pearson"].as_f64().is_some_and(|r| r.abs() <= 1.0 && r != 0.0));
    assert!(printed["differences"].as_array().is_some_and(|rows| !rows.is_empty()));

    // What is told to people in lines is there too.
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gpt2-tiny");
    let printed = place.succeed(&format!("info {fixture} --json"));
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!([&printed["layers"], &printed["heads"]], [2, 4]);
    let memory = printed["memory"].as_array().expect("a table");
    assert!(memory.iter().all(|row| row["bytes_beside_weights"].as_u64() > Some(0)));
    let elements = printed["parameters"].as_array().expect("a table").iter();
    let elements: u64 = elements.map(|row| row["elements"].as_u64().expect("a size")).sum();
    assert_eq!(printed["weight_bytes"], 4 * elements);
}

#[test]
fn csv_has_a_head_and_equal_rows_and_quiet_has_nothing() {
    let place = scored();
    let csv = place.succeed("compare a.json b.json --top 4 --csv");
    let (top, differences) = csv.split_once("edge,a,b,difference\n").expect("two tables");
    assert_eq!(top.lines().next(), Some("k,shared,share"));
    assert_eq!(differences.lines().count(), 4);
    for row in differences.lines() {
        assert_eq!(row.split(',').count(), 4, "{row}");
    }
    assert_eq!(place.succeed("compare a.json b.json --quiet"), "");
}

#[test]
fn a_result_on_standard_output_stands_alone() {
    let place = scored();
    let file = std::fs::read_to_string(place.path("a.json")).expect("written");
    assert_eq!(place.succeed(&attribute("eap", "-")), file);
    assert!(!place.path("-").exists());
    place.succeed("compare a.json b.json --out c.json");
    let file = std::fs::read_to_string(place.path("c.json")).expect("written");
    assert_eq!(place.succeed("compare a.json b.json --out -"), file);
    for mode in ["--json", "--csv"] {
        let done = place.run(&format!("compare a.json b.json --out - {mode}"));
        done.failed(2, &["--out -", "both"], "name a file");
    }
}

#[test]
fn no_command_overwrites_what_it_reads() {
    let place = scored();
    place.write("run/config.toml", "");
    place.write("run/metrics.jsonl", "");
    let before = place.files("");
    for command in [
        "compare a.json b.json --out b.json",
        "compare a.json b.json --out ./a.json",
        "plot a.json b.json --figure scores --out run/../b.json",
        "export a.json --format dot --out a.json",
        "report run a.json --out a.json",
        "report run --out run/metrics.jsonl",
        "report run --out run/config.toml",
    ] {
        let done = place.run(command);
        assert_eq!(done.code, 2, "{command}: {}", done.stderr);
        assert!(place.files("") == before, "{command}");
    }
}

#[test]
fn shells_and_man_get_every_command() {
    let place = Place::new("");
    for shell in ["bash", "zsh", "fish"] {
        let script = place.succeed(&format!("completions {shell}"));
        assert!(script.contains("tune-compare") && script.contains("mask-ig"), "{shell}");
    }
    place.succeed("man --out man");
    let page = std::fs::read_to_string(place.path("man/edgegrad-attribute.1")).expect("a page");
    assert!(page.contains("mask\\-ig") && page.contains("Examples"));
    // Pages of another version are replaced, others' are not unless it is asked for.
    place.succeed("man --out man");
    place.write("man/edgegrad-run.1", ".TH run 1");
    let refused = place.run("man --out man");
    refused.failed(2, &["edgegrad-run.1", "edgegrad has not written it"], "--force");
    place.succeed("man --out man --force");
}
