//! `edgegrad look`: its output against that of other commands and against a GPT-2 written a second
//! time, in plain loops over the tensors of its file.

use crate::common::Place;
use crate::fixture;
use edgegrad::files::safetensors::Tensors;
use serde_json::Value;
use std::path::Path;

/// The file that `look` writes of a fixture, and what it says.
fn look(place: &Place, name: &str, pairs: &Path, more: &str) -> (Value, String) {
    let (model, pairs) = (fixture(name), pairs.display());
    let command = format!("look --model {} --pairs {pairs} --out l.json {more}", model.display());
    let said = place.succeed(&command);
    let text = std::fs::read(place.path("l.json")).expect("written");
    (serde_json::from_slice(&text).expect("JSON"), said)
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(list) => list.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().expect("a number")],
    }
}

/// `[L][H][T][T]`.
type Patterns = Vec<Vec<Vec<Vec<f64>>>>;

/// A GPT-2 of two layers as its authors describe it.
struct Naive {
    file: Tensors,
    heads: usize,
    d: usize,
}

impl Naive {
    fn get(&self, name: &str) -> Vec<f64> {
        self.file.get_f64(&format!("transformer.{name}")).expect("a tensor").1
    }

    /// `x w + b`, row by row.
    fn linear(&self, x: &[Vec<f64>], name: &str) -> Vec<Vec<f64>> {
        let (w, b) = (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
        let n = b.len();
        let out = |row: &Vec<f64>, j: usize| {
            b[j] + row.iter().enumerate().map(|(i, x)| x * w[i * n + j]).sum::<f64>()
        };
        x.iter().map(|row| (0..n).map(|j| out(row, j)).collect()).collect()
    }

    fn norm(&self, x: &[Vec<f64>], name: &str) -> Vec<Vec<f64>> {
        let (w, b) = (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
        let one = |row: &Vec<f64>| {
            let mean = row.iter().sum::<f64>() / self.d as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / self.d as f64;
            let scale = (variance + 1e-5).sqrt();
            (0..self.d).map(|i| (row[i] - mean) / scale * w[i] + b[i]).collect()
        };
        x.iter().map(one).collect()
    }

    /// The patterns `[L][H][T][T]` and the logits `[T][V]`.
    fn run(&self, tokens: &[usize]) -> (Patterns, Vec<Vec<f64>>) {
        let (d, k) = (self.d, self.d / self.heads);
        let (wte, wpe) = (self.get("wte.weight"), self.get("wpe.weight"));
        let embed = |(t, id): (usize, &usize)| -> Vec<f64> {
            (0..d).map(|i| wte[id * d + i] + wpe[t * d + i]).collect()
        };
        let mut x: Vec<Vec<f64>> = tokens.iter().enumerate().map(embed).collect();
        let add = |x: &mut [Vec<f64>], y: Vec<Vec<f64>>| {
            x.iter_mut().zip(y).for_each(|(x, y)| x.iter_mut().zip(y).for_each(|(x, y)| *x += y));
        };
        let mut patterns = vec![];
        for l in 0..2 {
            let normed = self.norm(&x, &format!("h.{l}.ln_1"));
            let qkv = self.linear(&normed, &format!("h.{l}.attn.c_attn"));
            let pattern = |h: usize| -> Vec<Vec<f64>> {
                let row = |t: usize| {
                    let dot = |s: usize| -> f64 {
                        (0..k).map(|i| qkv[t][h * k + i] * qkv[s][d + h * k + i]).sum()
                    };
                    let e: Vec<f64> = (0..=t).map(|s| (dot(s) / (k as f64).sqrt()).exp()).collect();
                    let sum: f64 = e.iter().sum();
                    (0..x.len()).map(|s| e.get(s).map_or(0.0, |e| e / sum)).collect()
                };
                (0..x.len()).map(row).collect()
            };
            let layer: Vec<Vec<Vec<f64>>> = (0..self.heads).map(pattern).collect();
            let mixed = |t: usize| -> Vec<f64> {
                let channel =
                    |i: usize| (0..=t).map(|s| layer[i / k][t][s] * qkv[s][2 * d + i]).sum::<f64>();
                (0..d).map(channel).collect()
            };
            let z: Vec<Vec<f64>> = (0..x.len()).map(mixed).collect();
            add(&mut x, self.linear(&z, &format!("h.{l}.attn.c_proj")));
            let normed = self.norm(&x, &format!("h.{l}.ln_2"));
            let mut h = self.linear(&normed, &format!("h.{l}.mlp.c_fc"));
            for x in h.iter_mut().flatten() {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (*x + 0.044715 * x.powi(3));
                *x *= 0.5 * (1.0 + inner.tanh());
            }
            add(&mut x, self.linear(&h, &format!("h.{l}.mlp.c_proj")));
            patterns.push(layer);
        }
        let last = self.norm(&x, "ln_f");
        let logit = |row: &Vec<f64>, v: usize| (0..d).map(|i| row[i] * wte[v * d + i]).sum();
        let logits = last.iter().map(|row| (0..wte.len() / d).map(|v| logit(row, v)).collect());
        (patterns, logits.collect())
    }
}

#[test]
fn patterns_and_logits_are_those_of_plain_loops() {
    let place = Place::new("");
    let naive = Naive {
        file: Tensors::read(fixture("gpt2-tiny/model.safetensors")).expect("a fixture"),
        heads: 4,
        d: 32,
    };
    let pairs = fixture("gpt2-tiny/pairs.jsonl");
    let lines = std::fs::read_to_string(&pairs).expect("pairs");
    for (i, line) in lines.lines().enumerate().take(3) {
        let pair: Value = serde_json::from_str(line).expect("JSON");
        let (file, _) = look(&place, "gpt2-tiny", &pairs, &format!("--pair {i} --dtype f64"));
        let (answer, distractor) = (numbers(&pair["answer"])[0], numbers(&pair["distractor"])[0]);
        for run in ["clean", "corrupted"] {
            let tokens: Vec<usize> = numbers(&pair[run]).iter().map(|&id| id as usize).collect();
            let (patterns, logits) = naive.run(&tokens);
            let got = numbers(&file["attention"][run]);
            let want: Vec<f64> = patterns.into_iter().flatten().flatten().flatten().collect();
            assert_eq!((got.len(), want.len()), (2 * 4 * 10 * 10, 800));
            let apart = |(a, b): (&f64, &f64)| (a - b).abs();
            let worst = got.iter().zip(&want).map(apart).fold(0.0, f64::max);
            // They are written in single precision.
            assert!(worst < 1e-7, "{run} of pair {i}: patterns {worst:e} apart");
            for (t, (got, row)) in numbers(&file["logit_diff"][run]).iter().zip(&logits).enumerate()
            {
                let want = row[answer as usize] - row[distractor as usize];
                assert!((got - want).abs() < 1e-9, "{run} at {t}: {got}, {want}");
            }
            // The largest logit is told, with the number that it has.
            let last = &logits[9];
            let best = (0..50).max_by(|&a, &b| last[a].total_cmp(&last[b])).expect("some");
            let best_logit = last[best];
            let best = best.to_string();
            let top = file["top"].as_array().expect("a list");
            let told = top.iter().find(|one| one["token"].as_str() == Some(&best)).expect("told");
            assert!((told[run].as_f64().expect("a number") - best_logit).abs() < 1e-9);
        }
    }
}

/// Single precision, sequences of several models: attention of a query sums to 1 and is causal.
#[test]
fn rows_of_patterns_sum_to_one_and_are_causal() {
    let place = Place::new("");
    let pair =
        r#"{"clean": [1, 5, 2, 4], "corrupted": [1, 3, 2, 4], "answer": 2, "distractor": 3}"#;
    place.write("p.jsonl", pair);
    for (name, layers, heads) in
        [("gpt2-tiny", 2, 4), ("gpt-neox-tiny", 2, 4), ("llama-tiny", 2, 4)]
    {
        let (file, _) = look(&place, name, &place.path("p.jsonl"), "");
        assert_eq!((&file["layers"], &file["heads"]), (&layers.into(), &heads.into()), "{name}");
        for run in ["clean", "corrupted"] {
            let pattern = numbers(&file["attention"][run]);
            assert_eq!(pattern.len(), layers * heads * 4 * 4, "{name}");
            for (row, weights) in pattern.chunks_exact(4).enumerate() {
                let sum: f64 = weights.iter().sum();
                assert!((sum - 1.0).abs() < 1e-6, "{name}: {sum}");
                assert!(weights[row % 4 + 1..].iter().all(|&w| w == 0.0), "{name}: {weights:?}");
            }
        }
        // Nothing can differ before the sequences do.
        let difference = |run: &str| numbers(&file["logit_diff"][run]);
        assert!((difference("clean")[0] - difference("corrupted")[0]).abs() < 1e-5, "{name}");
        let early = |edge: &Value| edge["name"].as_str().expect("a name").ends_with("@0");
        let edges = file["edges"].as_array().expect("a list");
        assert!(!edges.is_empty() && !edges.iter().any(early), "{name}");
    }
}

/// The same pair, metric and edges as `attribute`.
#[test]
fn numbers_are_those_of_attribute() {
    let place = Place::new("");
    let (model, pairs) = (fixture("gpt2-tiny"), fixture("gpt2-tiny/pairs.jsonl"));
    let lines = std::fs::read_to_string(&pairs).expect("pairs");
    for i in [0, 3] {
        place.write("one.jsonl", lines.lines().nth(i).expect("a pair"));
        let attribute = format!(
            "attribute --model {} --pairs one.jsonl --positions --dtype f64 --out s.json",
            model.display()
        );
        let headline = place.succeed(&attribute);
        let (file, said) =
            look(&place, "gpt2-tiny", &pairs, &format!("--pair {i} --dtype f64 --edges 60"));
        let at = file["position"].as_u64().expect("a position") as usize;
        let [clean, corrupted] =
            ["clean", "corrupted"].map(|run| numbers(&file["logit_diff"][run])[at]);
        let both = format!("{clean:.6} clean, {corrupted:.6} corrupted");
        assert!(headline.contains(&format!("logit-diff {both}")), "{both}: {headline}");
        assert!(said.contains(&both), "{said}");
        let text = std::fs::read(place.path("s.json")).expect("scores");
        let scores: Value = serde_json::from_slice(&text).expect("JSON");
        let edges = file["edges"].as_array().expect("a list");
        assert_eq!(edges.len(), 60);
        let mut before = f64::INFINITY;
        for edge in edges {
            let (name, score) = (edge["name"].as_str().expect("a name"), &edge["score"]);
            let score = score.as_f64().expect("a score");
            let theirs = scores["edges"][name]["score"].as_f64().expect("the same edge");
            assert!((score - theirs).abs() < 1e-12, "{name}: {score} {theirs}");
            assert!(score.abs() <= before, "not sorted");
            before = score.abs();
        }
        let more = |edge: &Value| edge["score"].as_f64().is_some_and(|s| s.abs() > before);
        let all = scores["edges"].as_object().expect("edges");
        assert_eq!(all.values().filter(|edge| more(edge)).count(), 59, "others are larger");
    }
}

#[test]
fn tokens_are_words_where_the_folder_has_them() {
    let place = Place::new("");
    let pairs = fixture("gpt2-tiny/pairs.jsonl");
    let (file, _) = look(&place, "gpt2-tiny", &pairs, "");
    assert_eq!(file["tokens"]["clean"][0], "35");
    for name in ["config.json", "model.safetensors"] {
        std::fs::create_dir_all(place.path("m")).expect("a folder");
        std::fs::copy(fixture("gpt2-tiny").join(name), place.path("m").join(name)).expect("copied");
    }
    let words: Vec<String> = (0..50).map(|id| format!("<b>{id}")).collect();
    place.write("m/vocab.json", serde_json::to_string(&words).expect("JSON"));
    place.succeed(&format!("look --model m --pairs {} --out l.json", pairs.display()));
    let text = std::fs::read(place.path("l.json")).expect("written");
    let file: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(file["tokens"]["clean"][0], "<b>35");
    assert_eq!((&file["answer"][0], &file["distractor"][0]), (&"<b>27".into(), &"<b>26".into()));
    let head = ["version", "kind", "model", "pair"].map(|key| file[key].to_string());
    assert_eq!(head, ["1", "\"look\"", "\"m\"", "0"]);
}
