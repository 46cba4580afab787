//! Files of other tools and of other runs through the commands: what they mean is read, told or
//! assumed aloud, and what does not belong together is said.

use crate::common::Place;
use crate::gpt2_tiny;
use edgegrad::formats::EdgeFile;
use serde_json::{Value, json};

const MODEL: &str = "--model M --pairs M/pairs.jsonl --dtype f64";

fn json_of(place: &Place, file: &str) -> Value {
    let text = std::fs::read(place.path(file)).expect("written");
    serde_json::from_slice(&text).expect("JSON")
}

/// The fixture is EAP-IG's own file: it has no `meta`, and the other sign.
#[test]
fn signs_are_turned_and_told() {
    let place = gpt2_tiny();
    place.succeed(&format!("attribute {MODEL} --out ours.json"));
    let done = place.run("compare ours.json M/EAP.json");
    assert!(done.stderr.contains("M/EAP.json: names no convention"), "{}", done.stderr);
    assert!(done.stdout.contains("B is in the convention `eap-ig`"), "{}", done.stdout);
    // Only edges from the input differ: there positions are no part of it.
    let pearson = done.stdout.lines().find_map(|l| l.strip_prefix("Pearson")).expect("a line");
    assert!(pearson.trim().parse::<f64>().expect("a number") > 0.0, "{pearson}");

    let discover = format!("discover {MODEL} --rank signed --edges 9 --scores M/EAP.json --out");
    let done = place.run(&format!("{discover} assumed.json"));
    assert!(done.code == 0 && done.stderr.contains("taken as `eap-ig`"), "{}", done.stderr);
    let kept = |file: &str| -> Vec<String> {
        let edges = EdgeFile::read(place.path(file)).expect("a circuit").edges;
        edges.into_iter().filter(|(_, e)| e.in_graph).map(|(name, _)| name).collect()
    };
    place.succeed(&format!("{discover} told.json --convention eap-ig"));
    assert_eq!(kept("assumed.json"), kept("told.json"));
    place.succeed(&format!("{discover} turned.json --convention ours"));
    assert_ne!(kept("assumed.json"), kept("turned.json"));
}

/// Minus infinity marks edges outside of a circuit; nodes were booleans once.
#[test]
fn other_layouts_are_read() {
    let place = gpt2_tiny();
    let mut file = json_of(&place, "M/EAP.json");
    for node in file["nodes"].as_object_mut().expect("nodes").values_mut() {
        *node = true.into();
    }
    let edges = file["edges"].as_object_mut().expect("edges");
    for (i, edge) in edges.values_mut().enumerate() {
        edge["in_graph"] = (i % 2 == 0).into();
        if i % 2 == 1 {
            edge["score"] = "-Infinity".into();
        }
    }
    place.write("old.json", file.to_string().replace("\"-Infinity\"", "-Infinity"));
    let told = place.succeed(&format!("evaluate {MODEL} --circuit old.json --out e.json"));
    let circuit = told.lines().find(|line| line.starts_with("circuit ")).expect("its line");
    assert_eq!(circuit.split_whitespace().nth(1), Some("55"), "{told}");
    place.succeed(&format!("discover {MODEL} --scores old.json --edges 5 --out c.json"));
    place.succeed("export old.json --format dot --out c.dot");
}

#[test]
fn neurons_of_a_node_are_not_passed_over() {
    let place = gpt2_tiny();
    let mut file = json_of(&place, "M/EAP.json");
    file["nodes"]["m0"] = json!({ "in_graph": true, "neurons": [true, false] });
    place.write("n.json", file.to_string());
    let parts = ["n.json: keeps 1 of the 2 neurons of node `m0`"];
    place.run(&format!("evaluate {MODEL} --circuit n.json --out e.json")).failed(
        2,
        &parts,
        "whole nodes",
    );
    let done = place.run("export n.json --format dot --out n.dot");
    assert!(done.code == 0 && done.stderr.contains("neurons are passed over"), "{}", done.stderr);
}

#[test]
fn an_empty_circuit_is_none_of_all_edges() {
    let place = gpt2_tiny();
    place.succeed(&format!("discover {MODEL} --attribution eap --edges 0 --out none.json"));
    let parts = ["is an empty circuit: none of 110 edges"];
    place.run("export none.json --format dot --out c.dot").failed(2, &parts, "not empty");
    place.run("plot none.json --figure circuit --out c.svg").failed(2, &parts, "not empty");
}

/// Distances from the clean run ask for no answer, and have no slope there.
#[test]
fn a_distance_needs_no_answer() {
    let place = gpt2_tiny();
    place.write("p.jsonl", "{\"clean\": [1, 2, 3], \"corrupted\": [1, 7, 3]}\n");
    let attribute = "attribute --model M --pairs p.jsonl --out s.json";
    place.succeed(&format!("{attribute} --metric kl --method exact"));
    place.succeed(&format!("{attribute} --metric nll --at all --method exact"));
    let parts = ["p.jsonl: line 1: `answer` is missing"];
    place.run(&format!("{attribute} --metric nll")).failed(2, &parts, "kl or l2");
    let flat = ["`kl` is flat at the clean run"];
    place.run(&format!("{attribute} --metric kl")).failed(2, &flat, "exact");
    let discover = "discover --model M --pairs p.jsonl --metric kl --edges 3 --out c.json";
    place.run(discover).failed(2, &flat, "exact");
}

#[test]
fn results_of_other_models_and_pairs_are_told() {
    let place = gpt2_tiny();
    place.succeed(&format!("attribute {MODEL} --out one.json"));
    place.succeed(&format!("attribute {MODEL} --limit 3 --out two.json"));
    let done = place.run("compare one.json two.json");
    assert!(done.stderr.contains("A and B are of different pairs"), "{}", done.stderr);
    let mut file = json_of(&place, "one.json");
    file["meta"]["model"] = "another".into();
    place.write("other.json", file.to_string());
    let done = place.run(&format!("evaluate {MODEL} --circuit other.json --out e.json"));
    assert!(done.stderr.contains("other.json: is of another model"), "{}", done.stderr);
    let done = place.run("plot one.json other.json --figure scores --out s.svg");
    assert!(done.stderr.contains("different models"), "{}", done.stderr);
    let done = place.run("compare one.json one.json");
    assert!(!done.stderr.contains("different"), "{}", done.stderr);
}
