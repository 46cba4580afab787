//! Any bytes as a GGUF file: refused on one line, or tensors of their shapes, a model whose
//! parameters are what it says, and a tokenizer whose ids are tokens.
#![no_main]

mod common;

use common::accepted;
use edgegrad::checkpoints::{AnyModel, from_gguf};
use edgegrad::files::gguf::Gguf;
use edgegrad::formats::pairs::Encode;
use edgegrad::text::Tokenizer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(file) = accepted(Gguf::from_bytes("m.gguf", bytes)) else { return };
    let header = file.header();
    for name in header.names() {
        let elements = file.elements(name).expect("a tensor of the header");
        assert_eq!(elements.len(), header.shape(name).expect("it").iter().product::<usize>());
    }
    if let Some(tokenizer) = accepted(Tokenizer::from_gguf(header)) {
        let tokens = header.texts("tokenizer.ggml.tokens").expect("texts").expect("tokens").len();
        for text in ["", "Mary  went to\n12 \u{e9}shops", "<s>\u{2581}a"] {
            let ids = accepted(tokenizer.encode(text, true)).unwrap_or_default();
            assert!(ids.iter().all(|&id| (id as usize) < tokens));
        }
    }
    if let Some(AnyModel::Transformer(model)) = accepted(from_gguf::<f32>(file)) {
        let list = model.config.parameters();
        assert_eq!(list.len(), model.weights.len());
        assert!(list.iter().zip(&model.weights).all(|(p, w)| p.shape.len() == w.len()));
    }
});
