//! `--out` replaces what edgegrad has written, and nothing else unless told to.

mod common;

use common::Place;

/// Writes a result twice to one name; then somebody's file lies there instead.
#[track_caller]
fn replaces_its_own(place: &Place, command: &str, name: &str) {
    place.succeed(&format!("{command} --out {name}"));
    place.succeed(&format!("{command} --out {name}"));
    let theirs = "notes on edgegrad 0.1.0";
    let read = || std::fs::read(place.path(name)).expect("a file");
    place.write(name, theirs);
    let done = place.run(&format!("{command} --out {name}"));
    done.failed(2, &[name, "edgegrad has not written it"], "--force");
    assert!(read() == theirs.as_bytes(), "{command}");
    place.succeed(&format!("{command} --out {name} --force"));
    assert!(read() != theirs.as_bytes(), "{command}");
    // A name that somebody has made for it.
    place.write(name, "");
    place.succeed(&format!("{command} --out {name}"));
}

#[test]
fn results_replace_results_and_nothing_else() {
    let place = Place::new("");
    let model = format!("{}/tests/fixtures/gpt2-tiny", env!("CARGO_MANIFEST_DIR"));
    let asked = format!("--model {model} --pairs {model}/pairs.jsonl --limit 2");
    place.write("tokens.jsonl", "[1, 2, 3]\n[4, 5, 6]");
    let discover = format!("discover {asked} --method topn --attribution eap --edges 20");
    for (command, name) in [
        (format!("attribute {asked}"), "a.json"),
        (discover, "c.json"),
        (format!("evaluate {asked} --circuit c.json"), "e.json"),
        (format!("interactions {asked} --rows-of 2"), "i.json"),
        (format!("look --model {model} --pairs {model}/pairs.jsonl"), "l.json"),
        (format!("run --model {model} --tokens tokens.jsonl"), "logits.safetensors"),
        ("compare a.json a.json".into(), "compared.json"),
        ("export c.json --format dot".into(), "c.dot"),
        ("export c.json --format mermaid".into(), "c.md"),
        ("export c.json --format attribution-graph".into(), "g.json"),
        ("plot --figure circuit c.json".into(), "f.svg"),
        ("plot --figure circuit c.json".into(), "f.png"),
        ("plot --figure circuit c.json".into(), "f.pdf"),
        ("report c.json".into(), "r.html"),
    ] {
        replaces_its_own(&place, &command, name);
    }
}

/// Pairs that edgegrad has drawn bear its mark, which readers of pairs pass over.
#[test]
fn drawn_pairs_replace_drawn_pairs() {
    let place = Place::new("");
    let folder = "tests/fixtures/tokens/smollm-cut-gguf";
    let model = format!("{}/{folder}/model.gguf", env!("CARGO_MANIFEST_DIR"));
    replaces_its_own(&place, &format!("pairs greater-than --model {model} --n 2"), "p.jsonl");
}
