//! Transformers in foreign files against their reference logits: GPT-2, GPT-NeoX and Llama of
//! Hugging Face, and transformers compiled by Tracr, in TransformerLens' form.
//!
//! transformers rounds parts of the last two to single precision: its figures are those of the
//! [rounded](Config::rounded) configuration, and those of the plain one are doubles by NumPy, see
//! `fixtures/exact_logits.py`.

use crate::common::{Done, Place};
use crate::fixture;
use edgegrad::checkpoints;
use edgegrad::checkpoints::read_transformer;
use edgegrad::files::safetensors::{Tensor, Tensors, write};
use edgegrad::nn::stream::Sum;
use edgegrad::nn::transformer::{Config, Model, Transformer};
use edgegrad::tape::Tape;
use edgegrad::tensor::Element;
use std::fs;
use std::path::{Path, PathBuf};

/// `[B, T, V]` for tokens `[B, T]`.
pub(crate) fn logits<T: Element>(model: &Model<T>, tokens: &[u32], batch: usize) -> Vec<f64> {
    let seq = tokens.len() / batch;
    let mut tape = Tape::<T>::new();
    let recorded = Transformer::record(&mut tape, &model.config, batch, seq, &mut Sum::default());
    let out = recorded.logits(&mut tape, recorded.last);
    let mut program = tape.finish();
    recorded.set_weights(&mut program, &model.weights);
    recorded.set_tokens(&mut program, tokens);
    program.forward();
    program.value(out).iter().map(|x| x.to_f64()).collect()
}

/// The largest difference relative to the largest expected value.
#[track_caller]
pub(crate) fn difference(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len(), "lengths");
    let scale = want.iter().fold(0.0f64, |m, w| m.max(w.abs()));
    assert!(scale > 0.5, "nothing to compare with: the largest number is {scale}");
    got.iter().zip(want).fold(0.0f64, |m, (g, w)| m.max((g - w).abs())) / scale
}

/// The tokens and the sequences of a fixture.
pub(crate) fn tokens(file: &Tensors) -> (Vec<u32>, usize) {
    let (shape, ids) = file.get_ids("tokens").expect("tokens");
    (ids.into_iter().map(|t| t as u32).collect(), shape[0])
}

/// Differences of doubles and of singles.
fn both(folder: &Path, of: impl Fn(&dyn Fn(&[u32], usize) -> Vec<f64>) -> f64) -> (f64, f64) {
    let double = read_transformer::<f64>(folder).expect("a model");
    let single = read_transformer::<f32>(folder).expect("a model");
    (of(&|tokens, n| logits(&double, tokens, n)), of(&|tokens, n| logits(&single, tokens, n)))
}

#[test]
fn hugging_face_agrees() {
    // The rounding errors of transformers.
    for (name, theirs) in [("gpt-neox-tiny", 2e-8), ("llama-tiny", 5e-7)] {
        let folder = fixture(name);
        let read = |file: &str| Tensors::read(folder.join(file)).expect("a fixture");
        let (expected, exact) = (read("expected.safetensors"), read("exact.safetensors"));
        let (tokens, n) = tokens(&expected);
        let numbers = |file: &Tensors| file.get_f64("logits").expect("logits").1;
        let (expected, exact) = (numbers(&expected), numbers(&exact));
        for (want, double_limit) in [(&exact, 1e-12), (&expected, theirs)] {
            let (double, single) = both(&folder, |run| difference(&run(&tokens, n), want));
            assert!(double < double_limit && single < 1e-5, "{name}: {double:e} {single:e}");
        }
        let mut model = read_transformer::<f64>(&folder).expect("a model");
        model.config = model.config.rounded();
        let rounded = logits(&model, &tokens, n);
        let (near, far) = (difference(&rounded, &expected), difference(&rounded, &exact));
        assert!(near < 1e-12 && far > 1e-9, "{name}, rounded: {near:e} {far:e}");
    }
    // Nothing is rotated or normed by its square at the first position.
    let model = read_transformer::<f64>(&fixture("gpt-neox-tiny")).expect("a model");
    let file = Tensors::read(fixture("gpt-neox-tiny/expected.safetensors")).expect("a fixture");
    let (first, (shape, want)) = (tokens(&file).0[0], file.get_f64("logits").expect("logits"));
    let apart = difference(&logits(&model, &[first], 1), &want[..shape[2]]);
    assert!(apart < 1e-12, "{apart:e}");
}

/// `run` gives the logits of transformers for its folders, and those of doubles with `--exact` or
/// for other folders.
#[test]
fn the_command_rounds_as_the_folders_owner() {
    let place = Place::new("");
    let lines = TOKENS.chunks(6).map(|row| format!("{row:?}\n"));
    place.write("tokens.jsonl", lines.collect::<String>());
    let run = |folder: &Path, options: &str| {
        let arguments = format!("run --tokens tokens.jsonl --out out.safetensors {options}");
        let mut command = place.command(&arguments);
        let done = command.arg("--model").arg(folder).output().expect("the binary runs");
        assert!(done.status.success(), "{options}: {done:?}");
        Tensors::read(place.path("out.safetensors"))
            .expect("logits")
            .get_f64("logits")
            .expect("them")
            .1
    };
    let llama = fixture("llama-tiny");
    let mut model = read_transformer::<f64>(&llama).expect("a model");
    let exact = logits(&model, &TOKENS, 2);
    model.config = model.config.rounded();
    let rounded = logits(&model, &TOKENS, 2);
    assert_ne!(exact, rounded);
    assert_eq!(run(&llama, "--dtype f64"), rounded);
    assert_eq!(run(&llama, "--dtype f64 --exact"), exact);
    assert_eq!(run(&llama, "--dtype f32 --exact"), run(&llama, "--dtype f32"));
    let other = llama_for_transformer_lens(&[0.0; 72]);
    assert!(difference(&run(other.path(), "--dtype f64"), &exact) < 1e-14);
}

/// Files of llama.cpp's, against transformers in doubles throughout on the weights as gguf-py
/// dequantises them.
#[test]
fn gguf_agrees() {
    let entries = fs::read_dir(fixture("gguf")).expect("the fixtures are there");
    let folders: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    assert!(folders.len() >= 6, "only {} files", folders.len());
    for folder in folders {
        let expected = Tensors::read(folder.join("expected.safetensors")).expect("a fixture");
        let (tokens, n) = tokens(&expected);
        let want = expected.get_f64("logits_exact").expect("logits").1;
        let (double, single) =
            both(&folder.join("model.gguf"), |run| difference(&run(&tokens, n), &want));
        assert!(double < 1e-11 && single < 1e-5, "{}: {double:e} {single:e}", folder.display());
    }
}

/// A name is the snapshot in the cache, unless a folder is called so; a name of nothing says what
/// the cache has.
#[test]
fn a_name_is_a_model_of_the_cache() {
    let place = Place::new("");
    place.write("tokens.jsonl", "[1, 2, 3]");
    place.write("hub/models--org--tiny/refs/main", "c0ffee");
    for file in ["config.json", "model.safetensors"] {
        let bytes = fs::read(fixture("gpt2-tiny").join(file)).expect("a fixture");
        place.write(&format!("hub/models--org--tiny/snapshots/c0ffee/{file}"), bytes);
    }
    let run = |name: &str| {
        let arguments = format!("run --tokens tokens.jsonl --out out.safetensors --model {name}");
        let mut command = place.command(&arguments);
        Done::from(
            command.env("HF_HUB_CACHE", place.path("hub")).output().expect("the binary runs"),
        )
    };
    assert_eq!(run("org/tiny").code, 0);
    let missing = ["org/tini: there is no such folder, and no such model in the cache"];
    run("org/tini").failed(2, &missing, "has org/tiny; did you mean it?");
    place.write("org/tiny/config.json", "{}");
    run("org/tiny").failed(2, &["org/tiny/config.json: model_type: is missing"], "add it");
}

#[test]
fn gpt2_agrees() {
    let file = Tensors::read(fixture("gpt2-tiny/expected.safetensors")).expect("a fixture");
    let (shape, want) = file.get_f64("last").expect("last logits");
    let (tokens, n) = tokens(&file);
    let (double, single) = both(&fixture("gpt2-tiny"), |run| {
        let all = run(&tokens, n);
        let rows = all.chunks_exact(all.len() / n);
        let last: Vec<f64> = rows.flat_map(|row| row[row.len() - shape[1]..].to_vec()).collect();
        difference(&last, &want)
    });
    assert!(double < 1e-12 && single < 1e-5, "{double:e} {single:e}");
}

#[test]
fn compiled_transformers_agree() {
    let folders = edgegrad::discovery::truth::case::folders(&fixture("tracr")).expect("cases");
    assert_eq!(folders.len(), 13);
    for folder in folders {
        let name = folder.display();
        let text = fs::read_to_string(folder.join("pairs.jsonl")).expect("pairs");
        let expected = Tensors::read(folder.join("expected_logits.safetensors")).expect("logits");
        for key in ["clean", "corrupted"] {
            let rows: Vec<Vec<u32>> = text
                .lines()
                .map(|line| {
                    let pair: serde_json::Value = serde_json::from_str(line).expect("JSON");
                    serde_json::from_value(pair[key].clone()).expect("ids")
                })
                .collect();
            let (_, want) = expected.get_f64(key).expect("logits");
            let (double, single) =
                both(&folder, |run| difference(&run(&rows.concat(), rows.len()), &want));
            assert!(double < 1e-12 && single < 1e-5, "{name} {key}: {double:e} {single:e}");
        }
    }
}

/// A model folder with this configuration and these tensors.
fn folder(config: &str, tensors: &[Tensor]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("config.json"), config).expect("writable");
    write(folder.path().join("model.safetensors"), tensors, &Default::default()).expect("writable");
    folder
}

const TOKENS: [u32; 12] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8];

/// The elements of `[rows, columns]` transposed.
fn turned(numbers: &[f64], columns: usize) -> Vec<f64> {
    let rows = numbers.len() / columns;
    (0..numbers.len()).map(|i| numbers[i % rows * columns + i / rows]).collect()
}

/// The Llama fixture as TransformerLens would save it, with biases of the gated neurons.
fn llama_for_transformer_lens(b_in: &[f64]) -> tempfile::TempDir {
    let from = Tensors::read(fixture("llama-tiny/model.safetensors")).expect("a fixture");
    let get = |name: &str| from.get_f64(name).expect("a tensor").1;
    let (d, k, f, v) = (32, 8, 72, 48);
    let mut list = vec![
        Tensor::new("embed.W_E", &[v, d], &get("model.embed_tokens.weight")),
        Tensor::new("ln_final.w", &[d], &get("model.norm.weight")),
        Tensor::new("unembed.W_U", &[d, v], &turned(&get("lm_head.weight"), d)),
        Tensor::new("unembed.b_U", &[v], &vec![0.0; v]),
    ];
    for l in 0..2 {
        let theirs = |name: &str| get(&format!("model.layers.{l}.{name}.weight"));
        let mut add = |name: &str, shape: &[usize], numbers: &[f64]| {
            list.push(Tensor::new(format!("blocks.{l}.{name}"), shape, numbers));
        };
        add("ln1.w", &[d], &theirs("input_layernorm"));
        add("ln2.w", &[d], &theirs("post_attention_layernorm"));
        for (x, name, heads) in [("q", "W_Q", 4), ("k", "_W_K", 2), ("v", "_W_V", 2)] {
            let numbers = theirs(&format!("self_attn.{x}_proj"));
            // [H K, D] to [H, D, K].
            let by_head = numbers.chunks_exact(k * d).flat_map(|head| turned(head, d));
            let by_head: Vec<f64> = by_head.collect();
            add(&format!("attn.{name}"), &[heads, d, k], &by_head);
            add(&format!("attn.{}", name.replace('W', "b")), &[heads, k], &vec![0.0; heads * k]);
        }
        add("attn.W_O", &[4, k, d], &turned(&theirs("self_attn.o_proj"), 4 * k));
        add("attn.mask", &[1], &[0.0]);
        add("attn.IGNORE", &[], &[-1.0]);
        add("mlp.W_gate", &[d, f], &turned(&theirs("mlp.gate_proj"), d));
        add("mlp.W_in", &[d, f], &turned(&theirs("mlp.up_proj"), d));
        add("mlp.W_out", &[f, d], &turned(&theirs("mlp.down_proj"), f));
        add("mlp.b_in", &[f], b_in);
    }
    let config = r#"{"n_layers": 2, "d_model": 32, "n_heads": 4, "d_head": 8, "d_mlp": 72,
        "d_vocab": 48, "d_vocab_out": -1, "n_ctx": 32, "act_fn": "silu", "gated_mlp": true,
        "normalization_type": "RMS", "eps": 1e-6, "positional_embedding_type": "rotary",
        "rotary_dim": 8, "n_key_value_heads": 2, "attn_scale": -1.0, "final_rms": true,
        "window_size": null, "attn_scores_soft_cap": -1.0, "use_local_attn": false}"#;
    folder(config, &list)
}

#[test]
fn dialects_agree_with_each_other() {
    let theirs = read_transformer::<f64>(&fixture("llama-tiny")).expect("a model");
    let plain = llama_for_transformer_lens(&[0.0; 72]);
    let ours = read_transformer::<f64>(plain.path()).expect("a model");
    let want = logits(&theirs, &TOKENS, 1);
    let apart = difference(&logits(&ours, &TOKENS, 1), &want);
    assert!(apart < 1e-14, "{apart:e}");

    // TransformerLens adds these to the product of gate and value: `(z + b) W = z W + b W`.
    let b_in: Vec<f64> = (0..72).map(|i| ((i * 7) % 11) as f64 / 10.0 - 0.5).collect();
    let biased = llama_for_transformer_lens(&b_in);
    let got = logits(&read_transformer::<f64>(biased.path()).expect("a model"), &TOKENS, 1);
    let names = ours.config.parameters();
    let mut by_hand = ours.clone();
    for l in 0..2 {
        let find = |part: &str| {
            let name = format!("blocks.{l}.mlp.{part}");
            names.iter().position(|p| p.name == name).expect("a parameter")
        };
        let w_out = ours.weights[find("W_out")].to_vec();
        for (row, b) in w_out.chunks_exact(32).zip(&b_in) {
            for (total, w) in by_hand.weights[find("b_out")].iter_mut().zip(row) {
                *total += b * w;
            }
        }
    }
    assert!(difference(&got, &want) > 1e-2, "the biases do nothing");
    let apart = difference(&got, &logits(&by_hand, &TOKENS, 1));
    assert!(apart < 1e-14, "{apart:e}");
}

/// Every tensor of a file, renamed, in doubles.
fn renamed(file: &Path, rename: impl Fn(&str) -> String) -> Vec<Tensor> {
    let file = Tensors::read(file).expect("a fixture");
    let names = file.names();
    let tensor = |name: &String| {
        let (shape, numbers) = file.get_f64(name).expect("numbers");
        Tensor::new(rename(name), &shape, &numbers)
    };
    names.iter().map(tensor).collect()
}

#[test]
fn older_and_larger_files_are_the_same_model() {
    let same = |name: &str, path: &Path| {
        let want = logits(&read_transformer::<f64>(&fixture(name)).expect("a model"), &TOKENS, 2);
        let model = read_transformer::<f64>(path).expect("a model");
        assert_eq!(logits(&model, &TOKENS, 2), want, "{name}");
    };
    // The bare model's names, the masks that older versions saved, the unembedding once more.
    let config = fs::read_to_string(fixture("gpt2-tiny/config.json")).expect("a fixture");
    let strip = |name: &str| name.trim_start_matches("transformer.").to_string();
    let mut list = renamed(&fixture("gpt2-tiny/model.safetensors"), strip);
    let from = Tensors::read(fixture("gpt2-tiny/model.safetensors")).expect("a fixture");
    let (shape, numbers) = from.get_f64("transformer.wte.weight").expect("embeddings");
    list.push(Tensor::new("lm_head.weight", &shape, &numbers));
    list.push(Tensor::new("h.0.attn.bias", &[1, 1, 1, 1], &[1.0]));
    list.push(Tensor::ids("h.1.attn.masked_bias", &[], &[-10000]));
    same("gpt2-tiny", folder(&config, &list).path());

    // The keys that `rope_parameters` replaced.
    let config = fs::read_to_string(fixture("gpt-neox-tiny/config.json")).expect("a fixture");
    let mut config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    let fields = config.as_object_mut().expect("an object");
    fields.remove("rope_parameters");
    fields.insert("rotary_pct".into(), 0.25.into());
    fields.insert("rotary_emb_base".into(), 10000.into());
    let list = renamed(&fixture("gpt-neox-tiny/model.safetensors"), |name| name.into());
    let neox = folder(&config.to_string(), &list);
    same("gpt-neox-tiny", neox.path());

    // In several files.
    let (first, second) = list.split_at(11);
    let at = |name: &str| neox.path().join(name);
    write(at("model-1-of-2.safetensors"), first, &Default::default()).expect("writable");
    write(at("model-2-of-2.safetensors"), second, &Default::default()).expect("writable");
    fs::remove_file(at("model.safetensors")).expect("there");
    let index =
        r#"{"weight_map": {"a": "model-2-of-2.safetensors", "b": "model-1-of-2.safetensors"}}"#;
    fs::write(at("model.safetensors.index.json"), index).expect("writable");
    same("gpt-neox-tiny", neox.path());
    let before = checkpoints::hash(neox.path()).expect("a hash");
    assert!(before.len() == 64 && before == checkpoints::hash(neox.path()).expect("a hash"));
    write(at("model-2-of-2.safetensors"), first, &Default::default()).expect("writable");
    assert_ne!(before, checkpoints::hash(neox.path()).expect("a hash"));
}

#[test]
fn bits_do_not_depend_on_threads() {
    fn check<T: Element>() {
        let config = Config {
            vocab: 500,
            vocab_out: 500,
            context: 96,
            layers: 2,
            d_model: 192,
            heads: 4,
            kv_heads: 4,
            d_head: 48,
            d_mlp: 512,
            ..Config::gpt2_small()
        };
        let model = Model::<T>::random(&config, 3);
        let tokens: Vec<u32> = (0..6 * 96).map(|i| i * i % 499).collect();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads").install(|| logits(&model, &tokens, 6))
        };
        let one = on(1);
        assert!(one == on(2) && one == on(3));
    }
    check::<f32>();
    check::<f64>();
}
