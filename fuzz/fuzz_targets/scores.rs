//! Any bytes, as a file of scores: refused on one line, or read, written and read again the same,
//! matched with a graph, and compared with itself and with a whole file; and as masks.
#![no_main]

use edgegrad::attribution::compare::compare;
use edgegrad::formats::masks::Masks;
use edgegrad::formats::{EdgeFile, Meta};
use edgegrad::graph::{Granularity, Graph};
use edgegrad::nn::transformer::Config;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

/// What files of scores are made of: bytes that choose among these come near to one sooner.
const WORDS: [&str; 23] = [
    "{\"masks\":{\"input->m0\":",
    "{\"edges\":{",
    "\"nodes\":{",
    "\"cfg\":{",
    "\"meta\":{",
    "\"input->m0\":{",
    "\"input->a0.h0<q>\":{",
    "\"m0->logits\":{",
    "\"input->m0\":{\"score\":1,\"in_graph\":true},",
    "\"score\":",
    "\"in_graph\":true",
    "\"n_layers\":",
    "\"d_model\":",
    "}",
    ",",
    "0",
    "-2.5",
    "1e308",
    "NaN",
    "-Infinity",
    "null",
    "\"\\\"NaN\"",
    "[]",
];

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    let text: String = bytes.iter().map(|&b| WORDS[b as usize % WORDS.len()]).collect();
    read(text.as_bytes());
});

fn read(bytes: &[u8]) {
    masks(bytes);
    let config = Config { layers: 1, heads: 2, kv_heads: 2, d_model: 4, ..Config::gpt2_small() };
    let graph = Graph::of_transformer(&config, Granularity::default());
    let scores: Vec<f64> = (0..graph.edges()).map(|e| e as f64).collect();
    let whole = graph.scores_file(&scores, &Meta::default());
    let file = match EdgeFile::parse("f", bytes) {
        Ok(file) => file,
        Err(e) => {
            assert!(!e.to_string().contains('\n') && !e.help().is_empty());
            return;
        }
    };
    let text = file.to_json();
    assert_eq!(EdgeFile::parse("f", text.as_bytes()).as_ref(), Ok(&file));
    if let Err(e) = graph.scores_in(&file) {
        assert!(!e.to_string().contains('\n') && e.to_string().len() < 1000);
    }
    let own = compare(&file, &file, Some(2));
    assert!(own.only_a == 0 && own.only_b == 0 && own.differences.iter().all(|d| d.a == d.b));
    let _ = compare(&file, &whole, None).to_json();
}

fn masks(bytes: &[u8]) {
    let file = Path::new("f");
    match Masks::parse(file, bytes) {
        Ok(masks) => assert!(masks.0.values().all(|mask| (0.0..=1.0).contains(mask))),
        Err(e) => assert!(!e.to_string().contains('\n') && e.to_string().len() < 1000),
    }
}
