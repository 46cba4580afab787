//! Every family of Hugging Face's that is read: its logits, its other spellings, and the laws of
//! masked edges on it.
//!
//! `fixtures/families` holds a random checkpoint of each, with the logits that transformers gives
//! for it in doubles throughout (`logits_exact`).

use crate::edge_laws::{TIME, scores, sums};
use crate::edge_laws::{masked_is_plain, specialised};
use crate::logits::{difference, logits, tokens};
use edgegrad::checkpoints::{AnyModel, from_bytes, read_transformer};
use edgegrad::files::safetensors::Tensors;
use edgegrad::graph::{Granularity, Graph};
use edgegrad::nn::transformer::Config;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The folders of all families.
fn families() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families");
    let entries = std::fs::read_dir(root).expect("the fixtures are there");
    let mut folders: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    folders.sort();
    assert!(folders.len() >= 24, "only {} families", folders.len());
    folders
}

#[test]
fn logits_are_those_of_transformers() {
    for folder in families() {
        let name = folder.display();
        let expected = Tensors::read(folder.join("expected.safetensors")).expect("a fixture");
        let (tokens, n) = tokens(&expected);
        let want = expected.get_f64("logits_exact").expect("logits").1;
        let double = read_transformer::<f64>(&folder).expect("a model");
        let single = read_transformer::<f32>(&folder).expect("a model");
        let off = difference(&logits(&double, &tokens, n), &want);
        // BLOOM has the root of 2 / pi with eight digits in its GELU.
        let limit = if folder.ends_with("bloom") { 1e-9 } else { 1e-13 };
        assert!(off < limit, "{name}: {off:e}");
        let off = difference(&logits(&single, &tokens, n), &want);
        assert!(off < 1e-5, "{name}, in singles: {off:e}");
    }
}

#[test]
fn the_laws_of_edges_hold() {
    for folder in families() {
        let model = read_transformer::<f64>(&folder).expect("a model");
        for (neurons, positions) in [(false, None), (true, Some(TIME))] {
            let granularity = Granularity { neurons, positions, ..Granularity::default() };
            let graph = Graph::of_transformer(&model.config, granularity);
            let laws = sums(&model, &graph)
                .and_then(|()| masked_is_plain(&model, &graph, 1, true))
                .and_then(|()| specialised(&model, &graph, 3, 70, neurons))
                .and_then(|()| if neurons { Ok(()) } else { scores(&model, &graph, granularity) });
            laws.unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        }
    }
}

/// The configuration of a folder with `change` made to its `config.json`.
fn read(folder: &Path, change: impl Fn(&mut Value)) -> Config {
    let file = |name: &str| std::fs::read(folder.join(name)).expect("a fixture");
    let mut config = serde_json::from_slice(&file("config.json")).expect("JSON");
    change(&mut config);
    let text = config.to_string();
    match from_bytes::<f32>(text.as_bytes(), file("model.safetensors")) {
        Ok(AnyModel::Transformer(model)) => model.config,
        other => panic!("{}: {other:?} of {text}", folder.display()),
    }
}

/// As transformers 4 wrote it: the rotation outside of `rope_parameters`, and no types of layers.
fn old_spelling(config: &mut Value) {
    let fields = config.as_object_mut().expect("an object");
    let Some(Value::Object(mut rope)) = fields.remove("rope_parameters") else { return };
    if let (Some(far), Some(near)) =
        (rope.remove("full_attention"), rope.remove("sliding_attention"))
    {
        fields.insert("rope_theta".into(), far["rope_theta"].clone());
        fields.insert("rope_local_base_freq".into(), near["rope_theta"].clone());
        fields.insert("sliding_window_pattern".into(), json!(2));
        fields.insert("rope_scaling".into(), Value::Null);
    }
    for key in ["rope_theta", "partial_rotary_factor"] {
        if let Some(value) = rope.remove(key) {
            fields.insert(key.into(), value);
        }
    }
    if let Some(kind) = rope.remove("rope_type") {
        rope.insert("type".into(), kind);
    }
    let scaled = rope.get("type").is_some_and(|kind| kind != "default");
    fields.insert("rope_scaling".into(), if scaled { Value::Object(rope) } else { Value::Null });
    fields.remove("layer_types");
}

#[test]
fn both_spellings_are_the_same_model() {
    let mut changed = 0;
    for folder in families().into_iter().filter(|f| f.join("model.safetensors").exists()) {
        let new = read(&folder, |_| {});
        let old = read(&folder, old_spelling);
        assert_eq!(new, old, "{}", folder.display());
        changed += usize::from(read(&folder, |c| c["rope_parameters"] = Value::Null) != new);
    }
    assert!(changed >= 4, "only {changed} rotations differ from the usual one");
}
