//! Tests that record models themselves. They are one program, because every program compiles the
//! kernels it uses anew.

#[path = "../common/mod.rs"]
mod common;

mod attribute;
mod circuits;
mod edge_laws;
mod exchange;
mod families;
mod logits;
mod look;
mod score_reference;
mod tokens;
mod truth;

use common::Place;
use std::path::{Path, PathBuf};

/// A folder or file of the fixtures.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A folder that holds the model `gpt2-tiny` with its pairs and scores as `M`.
fn gpt2_tiny() -> Place {
    let place = Place::new("");
    for file in ["config.json", "model.safetensors", "pairs.jsonl", "EAP.json"] {
        let bytes = std::fs::read(fixture("gpt2-tiny").join(file)).expect("a fixture");
        place.write(&format!("M/{file}"), bytes);
    }
    place
}
