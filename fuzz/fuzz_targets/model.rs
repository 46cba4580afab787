//! Any configuration with any file of tensors, as a model folder: refused on one line, or a model
//! whose parameters are what it says.
#![no_main]

use edgegrad::checkpoints::{AnyModel, from_bytes};
use edgegrad::files::safetensors::Dtype;
use libfuzzer_sys::fuzz_target;
use std::fmt::Write;

/// Configurations to start from; the fuzzer appends keys, of which JSON takes the last.
const CONFIGS: [&str; 9] = [
    r#"{"model_type":"gpt2","n_embd":2,"n_layer":1,"n_head":1,"vocab_size":2,"n_positions":2"#,
    r#"{"model_type":"gpt_neox","hidden_size":2,"num_hidden_layers":1,"num_attention_heads":1,"vocab_size":2,"max_position_embeddings":2,"intermediate_size":2"#,
    r#"{"model_type":"llama","hidden_size":2,"num_hidden_layers":1,"num_attention_heads":1,"vocab_size":2,"max_position_embeddings":2,"intermediate_size":2"#,
    r#"{"model_type":"gemma2","hidden_size":2,"num_hidden_layers":1,"num_attention_heads":1,"head_dim":2,"vocab_size":2,"max_position_embeddings":2,"intermediate_size":2"#,
    r#"{"model_type":"olmo2","hidden_size":2,"num_hidden_layers":1,"num_attention_heads":1,"vocab_size":2,"max_position_embeddings":2,"intermediate_size":2"#,
    r#"{"model_type":"phi3","hidden_size":2,"num_hidden_layers":1,"num_attention_heads":1,"vocab_size":2,"max_position_embeddings":2,"intermediate_size":2"#,
    r#"{"model_type":"gpt_neo","hidden_size":2,"num_layers":1,"num_heads":1,"vocab_size":2,"max_position_embeddings":2"#,
    r#"{"model_type":"falcon","hidden_size":2,"num_hidden_layers":1,"num_attention_heads":1,"vocab_size":2,"max_position_embeddings":2"#,
    r#"{"n_layers":1,"d_model":2,"n_heads":1,"d_head":2,"d_mlp":2,"d_vocab":2,"n_ctx":2,"act_fn":"relu""#,
];

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, bytes)) = bytes.split_first() else { return };
    // Text up to the first 0, then names and shapes of tensors.
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let config = match CONFIGS.get(usize::from(kind)) {
        Some(start) if text.is_empty() => format!("{start}}}"),
        Some(start) => format!("{start},{text}}}"),
        None => text,
    };
    let weights = file(bytes.get(end + 1..).unwrap_or_default());
    for weights in [weights, bytes.to_vec()] {
        match from_bytes::<f32>(config.as_bytes(), weights) {
            Ok(AnyModel::Transformer(model)) => {
                let list = model.config.parameters();
                assert_eq!(list.len(), model.weights.len());
                assert!(list.iter().zip(&model.weights).all(|(p, w)| p.shape.len() == w.len()));
            }
            Ok(AnyModel::Pooled { config, weights }) => {
                assert_eq!(config.parameters().len(), weights.len());
            }
            Err(e) => assert!(!e.to_string().contains('\n') && !e.help().is_empty()),
        }
    }
});

/// A file of small tensors of zeros: names on lines, each after three digits of a shape.
fn file(text: &[u8]) -> Vec<u8> {
    let (mut header, mut end) = (String::from("{"), 0);
    for line in String::from_utf8_lossy(text).lines() {
        let digits: Vec<usize> =
            line.chars().take(3).filter_map(|c| Some(c.to_digit(10)? as usize)).collect();
        let name: String = line.chars().skip(3).filter(|c| c.is_ascii_graphic()).collect();
        let bytes = digits.iter().product::<usize>() * Dtype::F32.bitsize() / 8;
        let comma = if end == 0 && header.len() == 1 { "" } else { "," };
        let from = end;
        end += bytes;
        let name = name.replace(['"', '\\'], "");
        let _ = write!(
            header,
            r#"{comma}"{name}":{{"dtype":"F32","shape":{digits:?},"data_offsets":[{from},{end}]}}"#
        );
    }
    header.push('}');
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.resize(file.len() + end, 0);
    file
}
