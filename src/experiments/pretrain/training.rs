//! Pre-training the base model: a small GPT-2 on the mixture of all domains.
//!
//! ```text
//! W ~ N(0, 0.02^2), those that write to the stream N(0, 0.02^2 / (2 L)); gains 1, biases 0
//! loss = weighted mean over all tokens of the batch but each first one of -ln p(token)
//! AdamW, gradients of a norm of at most 1, warm-up and half a period of a cosine
//! ```
//!
//! A batch is computed in groups of like lengths, each by a program of its own, side by side on the
//! threads there are. Gradients are added in the order of the groups, so the bits depend on the
//! settings alone.

use super::groups::{Group, groups};
use super::panel::{Measured, Panel};
use crate::checkpoints as files;
use crate::error::{Error, Result};
use crate::experiments::Steps;
use crate::experiments::settings::{Keyed, settings};
use crate::experiments::train::Existing;
use crate::files::journal::{Inputs, Journal, kept};
use crate::files::{atomic, own};
use crate::formats::metrics::{EvalLine, Line, Number, StepLine, VERSION};
use crate::memory;
use crate::nn::stream::Sum;
use crate::nn::transformer::{Config, Model, Parameter};
use crate::nn::{Optimizer, Rule, Schedule, ScheduleShape, clip_factor, squared_norm};
use crate::rng::{Purpose, Rng};
use crate::tape::BackwardPlan;
use crate::tasks::language::vocabulary::Vocabulary;
use crate::tasks::language::{Batch, Counted, Example, LONGEST, Mixture, Part, Source, Variant};
use crate::tensor::Buffer;
use crate::tuning::Objective;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The file of the settings of a base model.
pub const SETTINGS: &str = "pretrain.json";

/// What [`pretrain`] writes into its folder.
pub const FILES: [&str; 5] =
    ["config.json", "metrics.jsonl", "model.safetensors", SETTINGS, "vocab.json"];

settings! {
    /// How to pre-train a base model.
    ///
    /// ```
    /// use edgegrad::experiments::pretrain::Pretraining;
    /// let config = Pretraining::default().config()?;
    /// assert_eq!((config.vocab, config.context, config.tied), (378, 32, false));
    /// assert!(Pretraining { heads: 5, ..Pretraining::default() }.config().is_err());
    /// # Ok::<(), edgegrad::error::Error>(())
    /// ```
    #[derive(Serialize)]
    pub struct Pretraining {
        /// What decides the initial weights and all batches.
        seed: u64;
        /// Steps.
        steps: usize = 3_000, whole(1, 100_000_000);
        /// Examples in a batch.
        batch: usize = 64, whole(1, 1 << 16);
        /// The largest learning rate; it ends at a hundredth of it.
        lr: f64 = 3e-3, ABOVE_0;
        /// Layers.
        layers: usize = 4, whole(1, 100);
        /// Heads of a layer.
        heads: usize = 4, whole(1, 1 << 10);
        /// Width of the residual stream.
        d_model: usize = 64, whole(1, 1 << 14);
        /// Neurons of a layer.
        d_mlp: usize = 256, whole(1, 1 << 16);
        /// How much a token that is decided by those before it counts in the loss (a result, a
        /// conclusion, what a passage says), where another counts 1.
        asked_weight: f64 = 8.0, ABOVE_0;
    }
}

/// Decay rates of AdamW's moments, and how fast matrices shrink.
const BETAS: [f64; 2] = [0.9, 0.99];
const WEIGHT_DECAY: f64 = 0.01;

/// The largest norm of a gradient.
const CLIP: f64 = 1.0;

/// Examples that one program takes at a time.
const ROWS: usize = 16;

/// Steps between two losses in the log.
const LOG_EVERY: usize = 50;

/// How often the domains are measured, and on how many examples each.
const MEASUREMENTS: usize = 10;
const MEASURED: usize = 200;

impl Pretraining {
    /// The model: a decoder with positions that are learned, layer norms before each part and an
    /// unembedding of its own.
    ///
    /// # Errors
    /// If a setting cannot be; the place is its option on the command line.
    pub fn config(&self) -> Result<Config> {
        self.check("").map_err(|broken| {
            let option = format!("--{}", broken.key.replace('_', "-"));
            Error::input(option, broken.message, "leave it out for the usual one")
        })?;
        if !self.d_model.is_multiple_of(self.heads) {
            let message = format!("{} heads do not divide --d-model {}", self.heads, self.d_model);
            return Err(Error::input("--heads", message, "make --d-model a multiple of --heads"));
        }
        let (vocab, d_head) = (Vocabulary::get().size(), self.d_model / self.heads);
        Ok(Config {
            vocab,
            vocab_out: vocab,
            context: LONGEST,
            layers: self.layers,
            d_model: self.d_model,
            heads: self.heads,
            kv_heads: self.heads,
            d_head,
            d_mlp: self.d_mlp,
            attn_scale: (d_head as f64).sqrt(),
            tied: false,
            ..Config::gpt2_small()
        })
    }

    /// What the bits of the model depend on.
    pub fn inputs(&self) -> Inputs {
        vec![("setting".into(), json!(self).to_string())]
    }

    fn schedule(&self) -> Schedule {
        let warmup = (self.steps / 20).min(500);
        let (shape, peak, floor) = (ScheduleShape::Cosine, self.lr, 0.01 * self.lr);
        Schedule { shape, peak, floor, warmup, steps: self.steps }
    }
}

/// Weights to begin with, in the order of [`Config::parameters`], as GPT-2 draws them.
pub fn initial_weights(config: &Config, seed: u64) -> Vec<Buffer<f32>> {
    let mut rng = Rng::new(seed, Purpose::Init, 0);
    let narrow = (2.0 * config.layers.max(1) as f64).sqrt().recip();
    let draw = |p: &Parameter| {
        let writes = p.name.ends_with(".W_O") || p.name.ends_with(".W_out");
        let deviation = if writes { 0.02 * narrow } else { 0.02 };
        let mut numbers = Buffer::zeros(p.shape.len());
        match p.shape.dims() {
            [_, _] => numbers.fill_with(|| (deviation * rng.normal()) as f32),
            _ if p.name.ends_with(".w") => numbers.fill(1.0),
            _ => {}
        }
        numbers
    };
    config.parameters().iter().map(draw).collect()
}

/// A program for rows of one length, with its reverse walk.
struct Recorded {
    model: Objective<f32>,
    plan: BackwardPlan,
}

/// One place of a batch's groups: its programs by rows and length.
#[derive(Default)]
struct Slot {
    programs: BTreeMap<(usize, usize), Recorded>,
    last: (usize, usize),
}

impl Slot {
    /// Computes a group's part of the loss and its gradient.
    fn run(&mut self, config: &Config, weights: &[Buffer<f32>], batch: &Batch, total: f32) -> f64 {
        self.last = (batch.n, batch.length);
        let recorded = self.programs.entry(self.last).or_insert_with(|| {
            let mut model =
                Objective::record(config, batch.n, batch.length, 0, &mut Sum::default());
            let (loss, wanted) = (model.loss, model.transformer.parameters.clone());
            let plan = model.program.plan_backward(loss, &wanted);
            Recorded { model, plan }
        });
        let Recorded { model, plan } = recorded;
        model.set_weights(weights);
        let parts: Vec<f32> = batch.weights.iter().map(|w| w / total).collect();
        model.set(&batch.inputs, &batch.targets, &parts);
        model.program.forward();
        model.program.backward(plan);
        model.loss()
    }

    /// The gradient of parameter `i` of the group that was run last.
    fn gradient(&self, i: usize) -> &[f32] {
        let model = &self.programs[&self.last].model;
        model.program.grad(model.transformer.parameters[i])
    }
}

/// A model that learns.
struct Learner {
    model: Model<f32>,
    asked_weight: f32,
    /// By parameter.
    gradients: Vec<Vec<f32>>,
    optimizer: Optimizer<f32>,
    slots: Vec<Slot>,
}

impl Learner {
    fn new(config: Config, seed: u64, asked_weight: f64) -> Learner {
        let weights: Vec<_> =
            initial_weights(&config, seed).into_iter().map(Buffer::share).collect();
        let gradients: Vec<Vec<f32>> = weights.iter().map(|w| vec![0.0; w.len()]).collect();
        let optimizer = Optimizer::new(rule(true), weights.iter().map(|w| w.len()));
        let (model, slots) = (Model { config, weights }, vec![]);
        Learner { model, asked_weight: asked_weight as f32, gradients, optimizer, slots }
    }

    /// One step; the mean loss of the batch before it, in nats.
    fn step(&mut self, examples: &[Example], lr: f64) -> f64 {
        let loss = self.gradient(examples);
        let norm = self.gradients.iter().map(|g| squared_norm(g)).sum::<f64>().sqrt();
        let factor = clip_factor(norm, CLIP) as f32;
        self.optimizer.begin_step();
        let Learner { model, gradients, optimizer, .. } = self;
        let list = model.config.parameters();
        for (i, (w, g)) in model.weights.iter_mut().zip(gradients).enumerate() {
            g.iter_mut().for_each(|g| *g *= factor);
            optimizer.follow(rule(list[i].shape.dims().len() == 2));
            // A copy, for the programs still hold what they have read.
            let mut next = Buffer::from(&w[..]);
            optimizer.update(i, lr, &mut next, g);
            *w = next.share();
        }
        loss
    }

    /// Goes on from what an earlier process has kept, if it has; the log so far.
    fn go_on(&mut self, learned: &mut Learned) -> String {
        let Learned { steps, weights, moments, log } = std::mem::take(learned);
        if steps > 0 {
            let buffer = |x: &Vec<f32>| Buffer::from(&x[..]);
            self.model.weights = weights.iter().map(|w| buffer(w).share()).collect();
            let moments = moments.iter().map(|two| two.iter().map(buffer).collect()).collect();
            self.optimizer.restore(steps, moments);
        }
        log
    }

    fn learned(&self, log: &str) -> Learned {
        let weights = self.model.weights.iter().map(|w| w.to_vec()).collect::<Vec<_>>();
        let of = |i| self.optimizer.moments(i).iter().map(|m| m.to_vec()).collect();
        let moments = (0..weights.len()).map(of).collect();
        Learned { steps: self.optimizer.steps(), weights, moments, log: log.into() }
    }

    fn gradient(&mut self, examples: &[Example]) -> f64 {
        let groups = groups(examples, ROWS);
        let weighted = |rows: &[Example], length| {
            let mut batch = Batch::new(rows, Counted::All, length);
            batch.weigh_asked(rows, |e| if e.decided() { self.asked_weight } else { 1.0 });
            batch
        };
        let total: f32 = weighted(examples, LONGEST - 1).weights.iter().sum();
        self.slots.resize_with(groups.len().max(self.slots.len()), Slot::default);
        let Model { config, weights } = &self.model;
        let run = |(slot, group): (&mut Slot, &Group)| {
            let rows: Vec<Example> = group.rows.iter().map(|&i| examples[i].clone()).collect();
            slot.run(config, weights, &weighted(&rows, group.length), total)
        };
        let slots = &mut self.slots[..groups.len()];
        let losses: Vec<f64> = slots.par_iter_mut().zip(&groups).with_max_len(1).map(run).collect();
        for (i, sum) in self.gradients.iter_mut().enumerate() {
            sum.copy_from_slice(slots[0].gradient(i));
            for slot in &slots[1..] {
                sum.iter_mut().zip(slot.gradient(i)).for_each(|(sum, g)| *sum += g);
            }
        }
        losses.iter().sum()
    }
}

/// Whether the weights, their gradients and moments, and a program for each group of a batch fit in
/// memory.
fn fits(settings: &Pretraining, config: &Config) -> Result<()> {
    let weights: u128 = config.parameters().iter().map(|p| p.shape.len() as u128).sum();
    let rows = settings.batch.min(ROWS);
    let groups = settings.batch.div_ceil(ROWS) as u128;
    // Weights, their copy while they change, gradients, two moments.
    let kept = 5 * weights * size_of::<f32>() as u128;
    let bytes = kept + groups * Objective::<f32>::bytes(config, rows, LONGEST);
    memory::check("--d-model", bytes, || "lower --d-model, --d-mlp, --layers or --batch".into())
}

/// What the steps have come to: enough to go on with the same bits.
#[derive(Default)]
struct Learned {
    /// The optimizer's steps.
    steps: u64,
    /// By parameter.
    weights: Vec<Vec<f32>>,
    /// By parameter, the optimizer's two.
    moments: Vec<Vec<Vec<f32>>>,
    log: String,
}

kept!(Learned { steps, weights, moments, log });

/// AdamW, for matrices or for the rest.
fn rule(matrix: bool) -> Rule {
    let weight_decay = if matrix { WEIGHT_DECAY } else { 0.0 };
    Rule::AdamW { betas: BETAS, eps: 1e-8, weight_decay }
}

/// Pre-trains a model on `threads` threads and makes `folder` with it: a model folder with the
/// [words](files::write_words), the settings (`pretrain.json`) and a log (`metrics.jsonl`, with
/// the loss every 50 steps and an evaluation of all domains 10 times). Calls `progress` with the
/// number of steps done since the last call. Returns how the model does on development examples.
///
/// The same settings give the same bits on any number of threads, and where `journal`, that of
/// these [inputs](Pretraining::inputs), has kept the steps of an earlier process.
///
/// # Errors
/// If a setting cannot be, `folder` exists (or, with [`Existing::Replace`], holds other files), it
/// cannot be written, or the loss stops being a number. Until the end nothing is changed.
pub fn pretrain(
    settings: &Pretraining,
    folder: &Path,
    existing: Existing,
    threads: usize,
    progress: &dyn Steps,
    journal: &Journal,
) -> Result<Measured> {
    let config = settings.config()?;
    check_folder(folder, existing)?;
    fits(settings, &config)?;
    let Trained { model, log, last } =
        pool(threads)?.install(|| train(settings, config, progress, journal))?;
    let fill = |folder: &Path| {
        files::put_transformer(folder, &model)?;
        files::write_words(folder, Vocabulary::get().words())?;
        let settings = format!("{:#}\n", json!(settings));
        atomic::write_bytes(folder.join(SETTINGS), settings.as_bytes())?;
        atomic::write_bytes(folder.join("metrics.jsonl"), log.as_bytes())
    };
    // The old one stays until the new one is whole.
    atomic::put_folder(folder, existing == Existing::Replace, fill)?;
    journal.end();
    Ok(last)
}

/// Whether `folder` holds the base model of these settings: one is there as a whole or not at all.
pub fn is_finished(settings: &Pretraining, folder: &Path) -> bool {
    let told = fs::read(folder.join(SETTINGS)).unwrap_or_default();
    serde_json::from_slice::<Value>(&told).is_ok_and(|told| told == json!(settings))
}

/// The seconds of a step on `threads` threads, the mean of a few, without measurements.
///
/// # Errors
/// If a setting cannot be, or there is not enough memory.
pub fn seconds_of_step(settings: &Pretraining, threads: usize) -> Result<f64> {
    let config = settings.config()?;
    fits(settings, &config)?;
    let mut learner = Learner::new(config, settings.seed, settings.asked_weight);
    let examples = Mixture::new(settings.seed).examples(0, settings.batch);
    let time = || {
        // The first records its programs.
        learner.step(&examples, settings.lr);
        let start = std::time::Instant::now();
        for _ in 0..TIMED {
            learner.step(&examples, settings.lr);
        }
        start.elapsed().as_secs_f64() / f64::from(TIMED)
    };
    Ok(pool(threads)?.install(time))
}

/// Steps that are timed.
const TIMED: u32 = 8;

fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Error::failed("threads", e, "lower --threads, or free some memory"))
}

/// What training leaves.
struct Trained {
    model: Model<f32>,
    log: String,
    last: Measured,
}

fn train(
    settings: &Pretraining,
    config: Config,
    progress: &dyn Steps,
    journal: &Journal,
) -> Result<Trained> {
    let Pretraining { seed, steps, batch, .. } = *settings;
    let (mixture, schedule) = (Mixture::new(seed), settings.schedule());
    let panel = panel(seed);
    let mut learner = Learner::new(config, seed, settings.asked_weight);
    let mut work = journal.units("pretrain", Learned::default);
    let first = work.skip(steps - 1);
    let mut log = learner.go_on(&mut work.state);
    progress.skip(first as u64);
    if first == 0 {
        write(&mut log, Line::Schema { version: VERSION });
    }
    let mut examples = mixture.examples(first as u32, batch);
    let mut last = None;
    for step in first..steps {
        let lr = schedule.at(step);
        let next = || mixture.examples(step as u32 + 1, batch);
        let (loss, next) = rayon::join(|| learner.step(&examples, lr), next);
        examples = next;
        if !loss.is_finite() {
            let place = format!("step {step}");
            return Err(Error::failed(place, format!("the loss is {loss}"), "lower --lr"));
        }
        if step.is_multiple_of(LOG_EVERY) {
            let loss = Some(Number::Double(loss));
            write(
                &mut log,
                Line::Step(StepLine { step: step as u64, stage: 0, loss, lr: Some(lr) }),
            );
        }
        let done = step + 1;
        if done == steps || done.is_multiple_of(steps.div_ceil(MEASUREMENTS)) {
            let Model { config, weights } = &learner.model;
            let measured = panel.measure(config, weights);
            let (step, scores) = (done as u64, measured.by_name());
            write(&mut log, Line::Eval(Box::new(EvalLine { step, scores, ..EvalLine::default() })));
            last = Some(measured);
        }
        progress.add(1);
        if done < steps {
            work.finish_with(|learned| *learned = learner.learned(&log))?;
        }
    }
    let last = last.expect("the last step is always measured");
    Ok(Trained { model: learner.model, log, last })
}

fn write(log: &mut String, line: Line) {
    let line = line.compact();
    tracing::info!("{line}");
    log.push_str(&line);
    log.push('\n');
}

/// Development examples of what is learned.
fn panel(seed: u64) -> Panel {
    let of = |(domain, _)| Source { domain, variant: Variant::Pretrain, part: Part::Dev };
    Panel::of(&Mixture::new(seed).shares.map(of), seed, MEASURED)
}

/// Whether `folder` can be made at the end.
fn check_folder(folder: &Path, existing: Existing) -> Result<()> {
    atomic::check_folder(folder)?;
    if folder.symlink_metadata().is_err() {
        let parent = folder.parent().filter(|p| *p != Path::new(""));
        if let Some(parent) = parent {
            fs::create_dir_all(parent).map_err(|e| Error::io(parent, &e, "make"))?;
        }
        return atomic::check_file(folder);
    }
    if existing != Existing::Replace {
        let help = "choose another --out, or replace it by --force";
        return Err(Error::input(folder.display(), "is there already", help));
    }
    own::only(folder, "a base model", |name| FILES.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn small() -> Pretraining {
        let sizes = Pretraining { layers: 2, heads: 2, d_model: 8, d_mlp: 8, ..Default::default() };
        Pretraining { steps: 3, batch: 21, ..sizes }
    }

    fn none() -> Journal {
        Journal::default()
    }

    #[test]
    fn the_gradient_of_groups_is_that_of_the_whole_batch() {
        let config = small().config().unwrap();
        let mut learner = Learner::new(config.clone(), 1, 3.0);
        let examples = Mixture::new(1).examples(0, 21);
        let loss = learner.gradient(&examples);
        let mut batch = Batch::new(&examples, Counted::All, LONGEST - 1);
        batch.weigh_asked(&examples, |e| if e.decided() { 3.0 } else { 1.0 });
        let total: f32 = batch.weights.iter().sum();
        let mut whole = Slot::default();
        let want = whole.run(&config, &learner.model.weights, &batch, total);
        assert!((loss - want).abs() < 1e-5 && (loss - (378f64).ln()).abs() < 0.1, "{loss} {want}");
        for (i, p) in config.parameters().iter().enumerate() {
            let largest = whole.gradient(i).iter().fold(0f32, |m, g| m.max(g.abs()));
            for (a, b) in learner.gradients[i].iter().zip(whole.gradient(i)) {
                assert!((a - b).abs() <= 1e-5 * largest.max(1e-3), "{}: {a} {b}", p.name);
            }
        }
    }

    #[test]
    fn weights_begin_as_in_gpt_2() {
        let config = Pretraining::default().config().unwrap();
        let weights = initial_weights(&config, 0);
        for (p, w) in config.parameters().iter().zip(&weights) {
            let mean = |f: &dyn Fn(f64) -> f64| {
                w.iter().map(|&x| f(f64::from(x))).sum::<f64>() / w.len() as f64
            };
            let deviation = mean(&|x| x * x).sqrt();
            let want = match p.shape.dims() {
                [_] => {
                    if p.name.ends_with(".w") {
                        1.0
                    } else {
                        0.0
                    }
                }
                _ if p.name.ends_with("W_O") || p.name.ends_with("W_out") => 0.02 / 8f64.sqrt(),
                _ => 0.02,
            };
            assert!((deviation - want).abs() <= 0.05 * want, "{}: {deviation}", p.name);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_on_any_threads() {
        let t = tempfile::tempdir().unwrap();
        let done = AtomicU64::new(0);
        let run = |name: &str, threads, seed| {
            let settings = Pretraining { seed, ..small() };
            let folder = t.path().join(name);
            let progress = |n| {
                done.fetch_add(n, Ordering::Relaxed);
            };
            pretrain(&settings, &folder, Existing::Refuse, threads, &progress, &none()).unwrap();
            let read = |file| fs::read(folder.join(file)).unwrap();
            FILES.map(read)
        };
        let one = run("one", 1, 0);
        assert!(one == run("two", 3, 0));
        assert!(one[2] != run("other", 1, 1)[2]);
        assert_eq!(done.into_inner(), 9);
    }

    #[test]
    fn the_loss_falls_and_the_folder_is_a_model() {
        let t = tempfile::tempdir().unwrap();
        let folder = t.path().join("new/base");
        let settings = Pretraining { steps: 100, lr: 1e-2, batch: 16, ..small() };
        let last = pretrain(&settings, &folder, Existing::Refuse, 1, &|_| {}, &none()).unwrap();
        assert_eq!(last.sources.len(), 6);
        let model = files::read_transformer::<f32>(&folder).unwrap();
        assert_eq!(model.config, settings.config().unwrap());
        // In all domains it is better than a guess among all words, with which it begins.
        let guess = (model.config.vocab as f64).ln();
        assert!(last.sources.iter().all(|(_, s)| s.nll < 0.95 * guess), "{guess} {last:?}");
        assert_eq!(panel(0).measure(&model.config, &model.weights), last);
        // It is there now, and is replaced only if nothing else lies in it.
        let short = Pretraining { steps: 1, ..settings };
        let again = |existing| pretrain(&short, &folder, existing, 1, &|_| {}, &none());
        assert!(again(Existing::Refuse).unwrap_err().help().contains("--force"));
        fs::write(folder.join("thesis.tex"), "").unwrap();
        let e = again(Existing::Replace).unwrap_err();
        assert!(e.to_string().contains("thesis.tex") && e.exit_code() == 2, "{e}");
        fs::remove_file(folder.join("thesis.tex")).unwrap();
        again(Existing::Replace).unwrap();
    }

    #[test]
    fn settings_that_cannot_be_are_named() {
        for (option, settings) in [
            ("--steps", Pretraining { steps: 0, ..small() }),
            ("--batch", Pretraining { batch: 0, ..small() }),
            ("--heads", Pretraining { heads: 3, ..small() }),
            ("--lr", Pretraining { lr: f64::NAN, ..small() }),
        ] {
            let e = settings.config().unwrap_err();
            assert!(e.to_string().starts_with(option) && e.exit_code() == 2, "{e}");
        }
    }
}
