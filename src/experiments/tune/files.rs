//! What a run leaves behind, and base models to start from.

use super::run::{Report, Tuned};
use super::settings::Settings;
use super::subject::Subject;
use crate::checkpoints;
use crate::checkpoints::read_transformer;
use crate::error::{Error, Result};
use crate::experiments;
use crate::files::{atomic, hash, own};
use crate::formats::dynamics::{Dynamics, Scores};
use crate::formats::run_record::RunRecord;
use crate::graph::Graph;
use crate::nn::transformer::Model;
use crate::tasks::language::LONGEST;
use crate::tasks::language::vocabulary::Vocabulary;
use crate::tuning::lora::Saved;
use serde_json::{Value, json};
use std::path::Path;

/// The file of a run's figures.
pub(crate) const REPORT: &str = "report.json";

/// The base model in a folder, and its hash.
///
/// # Errors
/// If there is none, or it does not speak the language of the tasks.
pub fn read_base(folder: &Path) -> Result<(Model<f32>, String)> {
    let base = read_transformer::<f32>(folder)?;
    let (c, words) = (&base.config, Vocabulary::get().size());
    if c.vocab != words || c.vocab_out != words || c.context + 1 < LONGEST {
        let message = format!(
            "{} tokens and a context of {}; the tasks have {words} words and sentences of {LONGEST}",
            c.vocab, c.context
        );
        let help = "make a model that knows them with `edgegrad pretrain --out DIR`";
        return Err(Error::input(folder.display(), message, help));
    }
    if !c.causal {
        let message = "is an encoder, and the tasks are to predict what comes next";
        return Err(Error::input(folder.display(), message, "give a decoder"));
    }
    let hash = checkpoints::hash(folder)?;
    Ok((base, hash))
}

/// Any base model, a folder or a GGUF file, and its hash, if a model that is tuned of it can be
/// written.
///
/// # Errors
/// If there is none, or no folder can say what it is.
pub fn read_any_base(place: &Path) -> Result<(Model<f32>, String)> {
    let base = read_transformer::<f32>(place)?;
    checkpoints::check_writable(&base.config)?;
    Ok((base, checkpoints::hash(place)?))
}

/// What a run of a base model of this hash begins with.
///
/// # Errors
/// If the file of its circuit cannot be read.
pub fn record(settings: &Settings, base_hash: &str, subject: &dyn Subject) -> Result<RunRecord> {
    let mut inputs = subject.inputs();
    inputs.insert("model".into(), base_hash.into());
    if let Some(path) = &settings.circuit {
        inputs.insert("circuit".into(), hash(path)?);
    }
    Ok(experiments::record(inputs))
}

/// Makes a folder with the tuned model (adapters merged), its words, the figures, the first and the
/// last circuit and the adapters. With `replace`, a folder that is there goes once the new one is
/// whole.
///
/// # Errors
/// If it exists and is not to be replaced, or cannot be written.
pub fn write(
    folder: &Path,
    tuned: &Tuned,
    base_hash: &str,
    subject: &dyn Subject,
    replace: bool,
) -> Result<()> {
    let fill = |folder: &Path| {
        checkpoints::put_transformer(folder, &tuned.model)?;
        subject.write_words(folder)?;
        if let Some([first, last]) = &tuned.circuits {
            first.write(folder.join("circuit-first.json"))?;
            last.write(folder.join("circuit.json"))?;
        }
        if let Some(adapters) = &tuned.adapters {
            let saved = Saved { base: base_hash.into(), adapters: adapters.clone() };
            saved.write(folder.join("adapters"))?;
        }
        let changes = tuned
            .changes
            .iter()
            .map(|c| json!({ "part": c.part, "distance": c.distance, "relative": c.relative }));
        let changes = Value::from(changes.collect::<Vec<_>>());
        atomic::write_bytes(folder.join("changes.json"), format!("{changes:#}\n").as_bytes())?;
        if !tuned.track.steps.is_empty() {
            dynamics(tuned).write(&folder.join("dynamics.json"))?;
        }
        let began = Some(record(&tuned.report.settings, base_hash, subject)?);
        Report { began, ..tuned.report.clone() }.write(&folder.join(REPORT))
    };
    atomic::put_folder(folder, replace, fill)
}

/// What [`write()`] makes.
const FILES: [&str; 11] = [
    "adapters",
    "changes.json",
    "circuit-first.json",
    "circuit.json",
    "config.json",
    "dynamics.json",
    "model.safetensors",
    REPORT,
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
];

/// Refuses a folder that holds anything but what [`write()`] makes.
///
/// # Errors
/// If it holds no figures of a run, or another file.
pub fn check_replaceable(folder: &Path) -> Result<()> {
    own::only(folder, "a tuned model", |name| FILES.contains(&name))?;
    match Report::read(&folder.join(REPORT)) {
        Ok(Some(_)) => Ok(()),
        _ => Err(own::foreign(&folder.join(REPORT), "is missing, or no report of tuning")),
    }
}

/// The figures in a folder that [`write()`] has made.
///
/// # Errors
/// If it has none, or they are damaged.
pub fn read_report(folder: &Path) -> Result<Report> {
    let file = folder.join(REPORT);
    Report::read(&file)?.ok_or_else(|| {
        let help = "remove the folder, and run again";
        Error::input(file.display(), "missing", help)
    })
}

/// Shuffles of the looks for a trend's p-value.
const DRAWS: usize = 2000;

/// The scores of all edges at each look, and their trends.
fn dynamics(tuned: &Tuned) -> Dynamics {
    let track = &tuned.track;
    let graph = Graph::of_transformer(&tuned.model.config, tuned.report.settings.granularity());
    let trends = match &tuned.nulls[..] {
        [] => track.trends(DRAWS, tuned.report.seed),
        nulls => track.trends_against(nulls),
    };
    let edge = |e: usize| {
        let scores = track.scores.iter().map(|s| s[e]).collect();
        (graph.edge(e).to_string(), Scores { scores, trend: trends.get(e).copied() })
    };
    let steps = track.steps.iter().map(|&step| step as u64).collect();
    Dynamics { steps, edges: (0..graph.edges()).map(edge).collect() }
}
