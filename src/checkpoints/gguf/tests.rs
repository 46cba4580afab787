//! Hugging Face's folders, written as llama.cpp's converter writes them, are the same models.

use super::super::{AnyModel, from_gguf, from_tensors, outline, read_transformer};
use super::*;
use crate::files::gguf::made::Made;
use crate::files::safetensors::Tensors;
use crate::nn::transformer::Model;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The tensors of a folder.
struct Folder(Tensors);

impl NamedTensors for Folder {
    fn place(&self) -> &str {
        self.0.place()
    }

    fn names(&self) -> Vec<String> {
        self.0.names()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.shape(name).map(<[usize]>::to_vec)
    }

    fn each_part(&self, name: &str, step: usize, visit: &mut dyn FnMut(&[f32])) -> Result<()> {
        self.0.get(name)?.1.chunks(step).for_each(visit);
        Ok(())
    }
}

/// The names of gguf-py by Hugging Face's in a layer; those that are not here are outside of
/// layers.
const INNER: [(&str, &str); 32] = [
    ("input_layernorm", "attn_norm"),
    ("ln_1", "attn_norm"),
    ("ln_mlp", "attn_norm"),
    ("ln_attn", "attn_norm_2"),
    ("ln_2", "ffn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.dense", "attn_output"),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("attn.c_attn", "attn_qkv"),
    ("attn.c_proj", "attn_output"),
    ("attention.query_key_value", "attn_qkv"),
    ("attention.dense", "attn_output"),
    ("self_attention.query_key_value", "attn_qkv"),
    ("self_attention.dense", "attn_output"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("mlp.gate_up_proj", "ffn_up"),
    ("mlp.fc1", "ffn_up"),
    ("mlp.fc2", "ffn_down"),
    ("mlp.c_fc", "ffn_up"),
    ("mlp.c_proj", "ffn_down"),
    ("mlp.dense_h_to_4h", "ffn_up"),
    ("mlp.dense_4h_to_h", "ffn_down"),
];

const OUTER: [(&str, &str); 12] = [
    ("model.embed_tokens", "token_embd"),
    ("model.norm", "output_norm"),
    ("model.final_layernorm", "output_norm"),
    ("lm_head", "output"),
    ("transformer.wte", "token_embd"),
    ("transformer.wpe", "position_embd"),
    ("transformer.ln_f", "output_norm"),
    ("transformer.word_embeddings", "token_embd"),
    ("transformer.word_embeddings_layernorm", "token_embd_norm"),
    ("gpt_neox.embed_in", "token_embd"),
    ("gpt_neox.final_layer_norm", "output_norm"),
    ("embed_out", "output"),
];

/// What gguf-py calls a tensor, without its layer.
fn called(architecture: &str, name: &str) -> String {
    let (stem, kind) = name.rsplit_once('.').expect("a kind");
    let layers = ["model.layers.", "transformer.h.", "gpt_neox.layers."];
    let inner = layers.iter().find_map(|layers| stem.strip_prefix(layers)?.split_once('.'));
    let find = |names: &[(&str, &'static str)], stem: &str| {
        names.iter().find(|(theirs, _)| *theirs == stem).expect(stem).1
    };
    match inner {
        None => format!("{}.{kind}", find(&OUTER, stem)),
        Some((layer, "post_attention_layernorm"))
            if ["gemma2", "gemma3", "olmo2"].contains(&architecture) =>
        {
            format!("blk.{layer}.post_attention_norm.{kind}")
        }
        Some((layer, stem)) => format!("blk.{layer}.{}.{kind}", find(&INNER, stem)),
    }
}

/// What the converter makes of a tensor's shape and elements, by the rows of `[rows, width]`.
fn stored(
    architecture: &str,
    name: &str,
    [heads, kv_heads]: [usize; 2],
    shape: &[usize],
    elements: Vec<f32>,
) -> (Vec<usize>, Vec<f32>) {
    let rows = shape[0];
    let row = |r: usize| &elements[r * elements.len() / rows..(r + 1) * elements.len() / rows];
    let rows_of = |order: Vec<usize>| {
        assert_eq!(order.len(), rows, "{name}");
        order.into_iter().flat_map(row).copied().collect::<Vec<f32>>()
    };
    let part = name.rsplit('.').nth(1).unwrap_or_default();
    match (architecture, part) {
        ("llama" | "olmo" | "smollm3", "attn_q" | "attn_k") => {
            let heads = if part == "attn_q" { heads } else { kv_heads };
            let half = rows / heads / 2;
            let of =
                |h: usize| (0..half).flat_map(move |i| [i, half + i].map(|i| 2 * h * half + i));
            (shape.to_vec(), rows_of((0..heads).flat_map(of).collect()))
        }
        ("gptneox" | "bloom" | "falcon", "attn_qkv") => {
            let (group, k) = (heads / kv_heads, rows / (heads + 2 * kv_heads));
            let block = |kv: usize, at: usize| {
                let start = (kv * (group + 2) + at) * k;
                start..start + k
            };
            let queries = (0..kv_heads).flat_map(|kv| (0..group).flat_map(move |g| block(kv, g)));
            let rest =
                (group..group + 2).flat_map(|at| (0..kv_heads).flat_map(move |kv| block(kv, at)));
            (shape.to_vec(), rows_of(queries.chain(rest).collect()))
        }
        ("gemma" | "gemma2" | "gemma3", _) if part.ends_with("_norm") => {
            (shape.to_vec(), elements.iter().map(|x| x + 1.0).collect())
        }
        ("gpt2", "attn_qkv" | "attn_output" | "ffn_up" | "ffn_down") if shape.len() == 2 => {
            let columns = (0..shape[1]).flat_map(|j| (0..rows).map(move |i| (i, j)));
            let turned = columns.map(|(i, j)| elements[i * shape[1] + j]).collect();
            (vec![shape[1], rows], turned)
        }
        _ => (shape.to_vec(), elements),
    }
}

/// The keys that the converter writes for a configuration.
fn described(architecture: &str, config: &Value) -> Made {
    let key = |rest: &str| format!("{architecture}.{rest}");
    let count = |names: &[&str]| names.iter().find_map(|name| config[*name].as_u64());
    let width = count(&["hidden_size", "n_embd"]).expect("a width");
    let heads = count(&["num_attention_heads", "n_head"]).expect("heads");
    let mut made = Made::default()
        .text("general.architecture", architecture)
        .count(
            &key("context_length"),
            count(&["max_position_embeddings", "n_positions"]).unwrap_or(2048),
        )
        .count(&key("embedding_length"), width)
        .count(&key("block_count"), count(&["num_hidden_layers", "n_layer"]).expect("layers"))
        .count(
            &key("feed_forward_length"),
            count(&["intermediate_size", "n_inner"]).unwrap_or(4 * width),
        )
        .count(&key("attention.head_count"), heads);
    for (theirs, ours) in [
        ("num_key_value_heads", "attention.head_count_kv"),
        ("num_kv_heads", "attention.head_count_kv"),
        ("head_dim", "attention.key_length"),
        ("head_dim", "attention.value_length"),
        ("sliding_window", "attention.sliding_window"),
    ] {
        if let Some(n) = config[theirs].as_u64() {
            made = made.count(&key(ours), n);
        }
    }
    for (theirs, ours) in [
        ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
        ("layer_norm_eps", "attention.layer_norm_epsilon"),
        ("layer_norm_epsilon", "attention.layer_norm_epsilon"),
        ("attn_logit_softcapping", "attn_logit_softcapping"),
        ("final_logit_softcapping", "final_logit_softcapping"),
        ("clip_qkv", "attention.clamp_kqv"),
    ] {
        if let Some(x) = config[theirs].as_f64() {
            made = made.number(&key(ours), x);
        }
    }
    if let Some(parallel) = config["use_parallel_residual"].as_bool() {
        made = made.flag(&key("use_parallel_residual"), parallel);
    }
    rotations(made, &key, config, width / heads)
}

/// The keys of a rotation.
fn rotations(mut made: Made, key: &dyn Fn(&str) -> String, config: &Value, d_head: u64) -> Made {
    let rope = &config["rope_parameters"];
    let far = if rope["full_attention"].is_null() { rope } else { &rope["full_attention"] };
    if let Some(part) = far["partial_rotary_factor"].as_f64() {
        made = made.count(&key("rope.dimension_count"), (d_head as f64 * part) as u64);
    }
    for (theirs, ours) in [
        ("rope_theta", "rope.freq_base"),
        ("factor", "rope.scaling.factor"),
        ("beta_fast", "rope.scaling.yarn_beta_fast"),
        ("beta_slow", "rope.scaling.yarn_beta_slow"),
        // These are none of Hugging Face's.
        ("attn_factor", "rope.scaling.attn_factor"),
        ("yarn_log_multiplier", "rope.scaling.yarn_log_multiplier"),
    ] {
        if let Some(x) = far[theirs].as_f64() {
            made = made.number(&key(ours), x);
        }
    }
    if let Some(original) = far["original_max_position_embeddings"].as_u64() {
        made = made.count(&key("rope.scaling.original_context_length"), original);
    }
    match far["rope_type"].as_str() {
        None | Some("default") => made,
        Some(kind) => made.text(&key("rope.scaling.type"), kind),
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The model of a folder with some fields changed, from the folder and from a GGUF file.
fn both(name: &str, architecture: &str, changes: &Value) -> [Model<f64>; 2] {
    let folder = fixture(name);
    let text = std::fs::read(folder.join("config.json")).expect("a configuration");
    let mut config: Value = serde_json::from_slice(&text).expect("JSON");
    for (key, value) in changes.as_object().expect("fields") {
        config[key] = value.clone();
    }
    // Files hold singles.
    for eps in ["rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"] {
        if let Some(x) = config[eps].as_f64() {
            config[eps] = f64::from(x as f32).into();
        }
    }
    let tensors = Tensors::read(folder.join("model.safetensors")).expect("weights");
    let mut made = described(architecture, &config);
    let heads = config.get("num_attention_heads").or(config.get("n_head")).and_then(Value::as_u64);
    let heads = heads.expect("heads") as usize;
    let kv = config.get("num_key_value_heads").or(config.get("num_kv_heads"));
    let kv_heads = kv.and_then(Value::as_u64).map_or(heads, |kv| kv as usize);
    for name in tensors.names() {
        let (shape, elements) = tensors.get::<f32>(&name).expect("a tensor");
        let called = called(architecture, &name);
        let (shape, elements) = stored(architecture, &called, [heads, kv_heads], &shape, elements);
        let sizes: Vec<u64> = shape.iter().rev().map(|&n| n as u64).collect();
        let bytes: Vec<u8> = elements.iter().flat_map(|x| x.to_le_bytes()).collect();
        made = made.tensor(&called, &sizes, 0, &bytes);
    }
    let file = || Gguf::from_bytes("m.gguf", &made.bytes()).expect("a file");
    read_in_parts(&model(file()).expect("tensors").1);
    let file = file();
    let models = [from_tensors(name, &config, Folder(tensors)), from_gguf(file)];
    models.map(|model| match model {
        Ok(AnyModel::Transformer(model)) => model,
        other => panic!("{name}: {other:?}"),
    })
}

/// Parts of any size are those of the whole tensor.
fn read_in_parts(tensors: &GgufTensors) {
    for name in tensors.names() {
        let shape = tensors.shape(&name).expect("a tensor");
        let (len, width) = (shape.iter().product::<usize>(), shape[shape.len() - 1]);
        let parts = |step: usize| {
            let mut all = vec![];
            let visit = &mut |part: &[f32]| {
                assert_eq!(part.len(), step.min(len - all.len()), "{name}, parts of {step}");
                all.extend_from_slice(part);
            };
            tensors.each_part(&name, step, visit).expect("elements");
            all
        };
        let whole = parts(len);
        assert_eq!(whole.len(), len);
        for step in [5, width, 3 * width] {
            assert_eq!(parts(step), whole, "{name}, parts of {step}");
        }
    }
}

/// Changes that make a rotation YaRN's, with keys of its own.
fn yarn(own: Value) -> Value {
    let mut rope = json!({
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 16,
        "rope_theta": 1e4,
    });
    for (key, value) in own.as_object().expect("keys") {
        rope[key] = value.clone();
    }
    json!({ "rope_scaling": null, "rope_parameters": rope })
}

#[test]
fn what_the_converter_writes_is_the_same_model() {
    let plain = json!({});
    for (name, architecture, changes) in [
        ("gpt2-tiny", "gpt2", plain.clone()),
        ("gpt-neox-tiny", "gptneox", plain.clone()),
        ("families/llama-biases", "llama", json!({ "hidden_act": "silu" })),
        (
            "families/llama-linear",
            "llama",
            json!({
                "rope_scaling": null,
                "rope_parameters": { "rope_type": "linear", "factor": 4.0, "rope_theta": 1e4 },
            }),
        ),
        ("families/llama-yarn", "llama", plain.clone()),
        ("families/qwen2-window", "qwen2", json!({ "use_sliding_window": false })),
        ("families/qwen3", "qwen3", plain.clone()),
        ("families/gemma", "gemma", plain.clone()),
        // Files do not say activations, scales of queries, or which layers have a window.
        ("families/gemma2", "gemma2", json!({ "query_pre_attn_scalar": 8, "layer_types": null })),
        (
            "families/gemma3_text",
            "gemma3",
            json!({ "query_pre_attn_scalar": 8, "layer_types": null }),
        ),
        ("families/smollm3", "smollm3", json!({ "no_rope_layers": null })),
        ("families/olmo", "olmo", plain.clone()),
        ("families/olmo2", "olmo2", plain.clone()),
        ("families/olmo2", "olmo2", yarn(json!({ "attn_factor": 1.5, "attention_factor": 1.5 }))),
        (
            "families/llama-yarn",
            "llama",
            yarn(json!({ "attn_factor": 0.5, "attention_factor": 0.5 * (0.1 * 4f64.ln() + 1.0) })),
        ),
        (
            "families/llama-yarn",
            "llama",
            yarn(json!({ "yarn_log_multiplier": 0.5, "mscale": 1.0, "mscale_all_dim": 0.5 })),
        ),
        ("families/phi", "phi2", plain.clone()),
        ("families/phi3", "phi3", plain.clone()),
        ("families/stablelm", "stablelm", plain.clone()),
        ("families/bloom", "bloom", plain.clone()),
        ("families/falcon", "falcon", json!({ "num_kv_heads": 1 })),
    ] {
        let [wanted, got] = both(name, architecture, &changes);
        assert_eq!(wanted.config, got.config, "{name}");
        // A gain with its 1 added was rounded.
        let error = if architecture.starts_with("gemma") { f64::from(f32::EPSILON) } else { 0.0 };
        let list = wanted.config.parameters();
        for ((a, b), p) in wanted.weights.iter().zip(&got.weights).zip(list) {
            let off = a.iter().zip(&b[..]).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
            assert!(a.len() == b.len() && off <= error, "{name}: {}: {off:e}", p.name);
        }
    }
}

#[test]
fn a_file_is_described_without_its_weights() {
    let file = fixture("gguf/llama-rope-freqs/model.gguf");
    let outline = outline(&file).expect("a whole header");
    let AnyModel::Transformer(model) = outline.model else { panic!("no transformer") };
    assert!(model.weights.is_empty());
    assert_eq!(model.config, read_transformer::<f32>(&file).expect("a model").config);
}

#[test]
fn files_that_describe_no_model_are_refused_by_their_key() {
    let named = |made: Made, said: &str| {
        let made = made.tensor("token_embd.weight", &[2, 1], 0, &[0; 8]);
        let file = Gguf::from_bytes("m.gguf", &made.bytes()).expect("a file");
        let e = from_gguf::<f64>(file).expect_err(said);
        let text = format!("{e} / {}", e.help());
        assert!(
            text.starts_with("m.gguf: ") && text.contains(said) && e.exit_code() == 2,
            "{text}"
        );
    };
    named(Made::default(), "key `general.architecture`: is missing");
    let of = |architecture: &str| Made::default().text("general.architecture", architecture);
    named(of("lama"), "unknown \"lama\" / did you mean \"llama\"?");
    named(of("mamba"), "known are llama, gpt2");
    named(of("llama"), "key `llama.attention.head_count`: is missing");
    let sized = |architecture: &str, heads: u64| {
        ["context_length", "embedding_length", "block_count", "feed_forward_length"]
            .into_iter()
            .fold(of(architecture), |made, key| made.count(&format!("{architecture}.{key}"), 2))
            .count(&format!("{architecture}.attention.head_count"), heads)
    };
    named(sized("llama", 0), "key `llama.attention.head_count`: must be at least 1, got 0");
    named(sized("llama", 3), "3 heads do not divide a width of 2");
    let llama = || sized("llama", 1);
    named(llama().count("llama.attention.value_length", 1), "is 1, but keys have 2");
    named(llama().count("llama.expert_count", 8), "mixtures of experts are not supported");
    named(llama().number("llama.logit_scale", 0.5), "key `llama.logit_scale`: a scale of logits");
    named(llama().flag("llama.attention.causal", false), "attention to later tokens");
    named(llama().text("llama.rope.scaling.type", "ntk"), "`ntk` is not supported");
    named(llama().text("llama.rope.scaling.type", "yarn"), "rope.scaling.factor`: is missing");
    let long = llama().tensor("rope_factors_long.weight", &[1], 0, &[0; 4]);
    named(long, "one of long and short factors is missing");
    let windowed = sized("olmo2", 1).count("olmo2.attention.sliding_window", 2);
    named(windowed, "OLMo 3 is not supported");
    named(llama(), "tensor `model.layers.0.input_layernorm.weight`: is missing");
    let neighbours = llama().tensor("blk.0.attn_q.weight", &[2, 3], 0, &[0; 24]);
    named(neighbours, "tensor `");
}
