//! An experiment made up for tests, in exactly the files a trainer writes.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};

const L: usize = 12;
const K: usize = 5;
const V: usize = 4;
const GROUPS: [&str; 5] = ["token_emb", "pos_emb", "query", "value", "mlp"];

pub(crate) struct Synthetic {
    /// Name and whether it is a curriculum of two stages.
    pub(crate) arms: Vec<(&'static str, bool)>,
    pub(crate) seeds: usize,
    pub(crate) steps: u64,
    pub(crate) eval_every: u64,
    pub(crate) snapshot_every: u64,
    pub(crate) d: usize,
    pub(crate) stage_name: &'static str,
}

impl Synthetic {
    pub(crate) fn small() -> Self {
        Synthetic {
            arms: vec![("scratch", false), ("curriculum", true)],
            seeds: 3,
            steps: 400,
            eval_every: 20,
            snapshot_every: 100,
            d: 8,
            stage_name: "p=4",
        }
    }

    pub(crate) fn full() -> Self {
        Synthetic {
            seeds: 12,
            steps: 4000,
            eval_every: 50,
            snapshot_every: 100,
            d: 32,
            ..Synthetic::small()
        }
    }

    pub(crate) fn write(&self, root: &Path) {
        for (arm, curriculum) in &self.arms {
            for seed in 0..self.seeds {
                let folder = root.join(arm).join(format!("seed-{seed:02}"));
                fs::create_dir_all(folder.join("snapshots")).unwrap();
                fs::write(folder.join("config.toml"), self.config(seed, *curriculum)).unwrap();
                fs::write(folder.join("metrics.jsonl"), self.metrics(seed, *curriculum)).unwrap();
                for step in (0..=self.steps).step_by(self.snapshot_every as usize) {
                    self.snapshot(&folder, seed, *curriculum, step);
                }
                fs::create_dir_all(folder.join("circuits")).unwrap();
                fs::write(folder.join("circuits/probe-0.json"), self.probe()).unwrap();
            }
        }
    }

    fn config(&self, seed: usize, curriculum: bool) -> String {
        let half = self.steps / 2;
        let stages = if curriculum {
            format!(
                "[[stages]]\nname = \"p=2\"\ntask = {{ p = 2 }}\ntrain = {{ steps = {half} }}\n\
                 [[stages]]\nname = {:?}\ntrain = {{ steps = {half} }}\n",
                self.stage_name
            )
        } else {
            format!("[[stages]]\nname = {:?}\n", self.stage_name)
        };
        format!(
            "seed = {seed}\n[task]\nkind = \"sparse_modular_addition\"\np = 4\nseq_len = {L}\n\
             k = {K}\ntrain = 1024\ntest = 2048\n[model]\nkind = \"pooled\"\nvocab = {V}\n\
             d_model = {}\nd_mlp = 128\nactivation = \"gelu\"\n[train]\nlr = 0.01\nsteps = {}\n{stages}",
            self.d, self.steps
        )
    }

    fn probe(&self) -> String {
        let positions =
            (0..L).flat_map(|t| ["k", "v"].map(|part| format!("input@{t}->a0.h0<{part}>@{t}")));
        let neurons = || 0..4 * self.d;
        let mut edges: Vec<String> = positions.collect();
        edges.extend(neurons().map(|j| format!("a0.h0->m0.n{j}")));
        edges.push("a0.h0->logits".into());
        edges.extend(neurons().map(|j| format!("m0.n{j}->logits")));
        let (clean, corrupted) = ([1; L], [0; L]);
        let pair = serde_json::json!({ "clean": clean, "corrupted": corrupted, "answer": 1, "distractor": 0 });
        serde_json::json!({ "version": 1, "stage": 0, "p": 4, "k": K, "edges": edges, "pairs": [pair] })
            .to_string()
    }

    /// The circuit after `step` updates.
    fn circuit(&self, text: &mut String, seed: usize, curriculum: bool, step: u64) {
        let (stage, understood, _) = self.progress(seed, curriculum, step);
        let edges = 2 * L + 1 + 8 * self.d;
        let score = |e: usize| {
            let size = if e < 2 * K { 1.0 } else { 0.2 };
            size * (0.2 + understood) * noise(e as u64, seed as u64)
        };
        let scores: Vec<f64> = (0..edges).map(score).collect();
        let _ = writeln!(
            text,
            "{{\"kind\":\"circuit\",\"step\":{step},\"stage\":{stage},\"clean\":2.5,\"corrupted\":-2.5,\
             \"edges\":7,\"nodes\":5,\"faithfulness\":0.96,\"useful\":0.6,\"spurious\":0.1,\
             \"reinforced\":1,\"pruned\":2,\"grew\":0,\"shrank\":1,\"jaccard\":0.7,\
             \"rank_correlation\":0.5,\"scores\":{scores:?}}}"
        );
    }

    /// How far the run has understood its present task (0 to 1), and memorised it.
    fn progress(&self, seed: usize, curriculum: bool, step: u64) -> (usize, f64, f64) {
        let at = |from: f64, width: f64| {
            let x = (step as f64 / self.steps as f64 - from) / width;
            1.0 / (1.0 + (-x).exp())
        };
        let shift = noise(seed as u64, 7) * 0.04;
        if !curriculum {
            return (0, 0.02 * at(0.5, 0.1), at(0.15 + shift, 0.02));
        }
        if step < self.steps / 2 {
            return (0, at(0.2 + shift, 0.01), at(0.18 + shift, 0.01));
        }
        let understood = if seed % 4 == 1 { 0.35 } else { 1.0 };
        (1, understood * at(0.57 + shift, 0.008), at(0.56 + shift, 0.008))
    }

    fn metrics(&self, seed: usize, curriculum: bool) -> String {
        let mut text = String::from("{\"kind\":\"schema\",\"version\":1}\n");
        for step in 0..=self.steps {
            if curriculum && step == self.steps / 2 {
                self.eval(&mut text, seed, curriculum, step, Some(0));
                let _ = writeln!(
                    text,
                    "{{\"kind\":\"event\",\"event\":\"stage\",\"step\":{step},\"stage\":1,\
                     \"name\":{}}}",
                    serde_json::to_string(self.stage_name).unwrap()
                );
            }
            if step % self.snapshot_every == 0 {
                self.circuit(&mut text, seed, curriculum, step);
            }
            if step % self.eval_every == 0 {
                self.eval(&mut text, seed, curriculum, step, None);
            }
            if step < self.steps {
                let (stage, _, memorised) = self.progress(seed, curriculum, step);
                let spike = if (step + 37 * seed as u64) % 911 < 2 { 3.0 } else { 1.0 };
                let loss = spike
                    * (0.002 + 1.386 * (1.0 - memorised).max(3e-4))
                    * (1.0 + 0.1 * noise(step, seed as u64));
                let _ = writeln!(
                    text,
                    "{{\"kind\":\"step\",\"step\":{step},\"stage\":{stage},\"loss\":{loss},\
                     \"lr\":0.01}}"
                );
            }
        }
        text
    }

    fn eval(
        &self,
        text: &mut String,
        seed: usize,
        curriculum: bool,
        step: u64,
        as_stage: Option<usize>,
    ) {
        // The evaluation that ends a stage is that of the step before, on that stage's task.
        let seen = if as_stage.is_some() { step - 1 } else { step };
        let (stage, understood, memorised) = self.progress(seed, curriculum, seen);
        let stage = as_stage.unwrap_or(stage);
        let chance = if curriculum && stage == 0 { 0.5 } else { 0.25 };
        let wobble = 0.01 * noise(step, 31 + seed as u64);
        let accuracy = |share: f64| {
            if share > 0.985 { 1.0 } else { (chance + (1.0 - chance) * share + wobble).min(1.0) }
        };
        let relevant = 0.42 + 0.4 * understood;
        let attention: Vec<f64> = (0..L)
            .map(|t| {
                let share =
                    if t < K { relevant / K as f64 } else { (1.0 - relevant) / (L - K) as f64 };
                share * (1.0 + 0.15 * noise(t as u64, seed as u64))
            })
            .collect();
        let gradient: Vec<String> = GROUPS
            .iter()
            .enumerate()
            .map(|(i, group)| {
                let norm = (0.002 + 0.5 * (1.0 - memorised))
                    * (1.0 + i as f64)
                    * (1.0 + 0.5 * noise(step, i as u64));
                format!("\"{group}\":{norm}")
            })
            .collect();
        let _ = writeln!(
            text,
            "{{\"kind\":\"eval\",\"step\":{step},\"stage\":{stage},\"train_loss\":{},\
             \"train_accuracy\":{},\"train_accuracy_mod2\":{},\"test_loss\":{},\"test_accuracy\":{},\
             \"test_accuracy_mod2\":{},\"gradient_norm\":{{{}}},\"cluster_r2\":{},\
             \"attention_relevant\":{relevant},\"attention\":{attention:?},\"sequence_norm\":{}}}",
            0.002 + 1.386 * (1.0 - memorised),
            accuracy(memorised),
            accuracy(memorised).max(0.5),
            0.002 + 1.386 * (1.0 - understood) + 8.0 * (memorised - understood).max(0.0),
            accuracy(understood),
            (0.5 + 0.5 * understood + wobble).min(1.0),
            gradient.join(","),
            0.05 + 0.9 * understood,
            2.0 - understood + wobble,
        );
    }

    fn snapshot(&self, folder: &Path, seed: usize, curriculum: bool, step: u64) {
        let (_, understood, _) = self.progress(seed, curriculum, step);
        let t = step as f64 / self.steps as f64;
        let matrix = |rows: usize, salt: u64| -> Vec<u8> {
            (0..rows * self.d)
                .flat_map(|i| {
                    let (r, c) = (i / self.d, i % self.d);
                    let start = 2.0 * noise(i as u64, salt + seed as u64);
                    let group = if rows == L { u64::from(r < K) } else { r as u64 };
                    let end = 3.0 * noise(group * 1000 + c as u64, salt + 99 + seed as u64);
                    ((start + (end - start) * (0.8 * understood) + 0.3 * t * start) as f32)
                        .to_le_bytes()
                })
                .collect()
        };
        let f = 4 * self.d;
        let all = [
            ("token_emb.weight", V, self.d, 1),
            ("pos_emb.weight", L, self.d, 2),
            ("softmax.query.weight", 1, self.d, 3),
            ("softmax.value.weight", self.d, self.d, 4),
            ("mlp.fc1.weight", f, self.d, 5),
            ("mlp.fc2.weight", self.d, f, 6),
        ];
        let all = all.map(|(name, rows, cols, salt)| {
            let numbers = rows * cols;
            let mut bytes = matrix(numbers.div_ceil(self.d), salt);
            bytes.truncate(4 * numbers);
            (name, vec![rows, cols], bytes)
        });
        let biases = [("mlp.fc1.bias", f, 7), ("mlp.fc2.bias", self.d, 8)]
            .map(|(name, n, salt)| (name, vec![n], matrix(n.div_ceil(self.d), salt)));
        let tensors = all.iter().chain(&biases).map(|(name, shape, bytes)| {
            (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
        });
        let file = folder.join(format!("snapshots/step-{step:06}.safetensors"));
        fs::write(file, safetensors::serialize(tensors, None).unwrap()).unwrap();
    }
}

/// A number in -1..1 that looks random (the finaliser of SplitMix64).
fn noise(a: u64, b: u64) -> f64 {
    let mut z = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_mul(0xd1b5_4a32_d192_ed03);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}
