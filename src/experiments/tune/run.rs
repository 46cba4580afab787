//! One tuning run: a model, a method, a seed.

use super::judge::Judge;
use super::methods::{Prepared, named_by_circuit};
use super::settings::Settings;
use super::task::LanguageTask;
use crate::error::Result;
use crate::experiments::Steps;
use crate::formats::tuning_report::{Graft, Judgement, Point, TuningReport};
use crate::formats::{Convention, EdgeFile, Meta};
use crate::graph::Graph;
use crate::named::Named;
use crate::nn::transformer::{Config, Model};
use crate::tuning::change::{Change, changes, graft, share_inside};
use crate::tuning::dynamics::Track;
use crate::tuning::lora::Adapters;
use crate::tuning::{Found, Observed, Plan, Slices, tune};

/// What a run has come to.
pub type Report = TuningReport<Settings>;

/// A run with what it leaves.
pub struct Tuned {
    /// The figures.
    pub report: Report,
    /// The model, adapters merged.
    pub model: Model<f32>,
    /// The adapters.
    pub adapters: Option<Adapters<f32>>,
    /// The circuit before the first update, and the last one.
    pub circuits: Option<[EdgeFile; 2]>,
    /// How far each part has moved.
    pub changes: Vec<Change>,
    /// The scores of all edges at each look, on the same pairs; empty unless
    /// [asked for](Settings::probe).
    pub track: Track,
}

/// A loss that is so many times the first one has diverged.
const DIVERGED: f64 = 10.0;

/// What the looks at a run have seen.
#[derive(Default)]
struct Looks {
    path: Vec<Point>,
    /// The ends of edges of each circuit.
    ends: Vec<usize>,
    /// The last.
    circuit: Option<Found>,
}

impl Looks {
    fn add(&mut self, look: &Observed<'_, f32>, judgement: Judgement) {
        let edges = look.circuit.map(|c| c.kept.iter().filter(|&&k| k).count());
        self.ends.extend(look.circuit.map(|c| c.ends.count()));
        if let Some(circuit) = look.circuit {
            self.circuit = Some(circuit.clone());
        }
        let loss = look.loss.is_finite().then_some(look.loss);
        self.path.push(Point { step: look.step, loss, trained: look.trained, edges, judgement });
    }

    /// Ends of edges of a circuit, in the mean over looks.
    fn mean_ends(&self) -> f64 {
        self.ends.iter().sum::<usize>() as f64 / self.ends.len().max(1) as f64
    }
}

fn plan(settings: &Settings) -> Plan {
    Plan {
        schedule: settings.rates(),
        clip: (settings.clip > 0.0).then_some(settings.clip),
        diverged: DIVERGED,
        look: settings.look,
    }
}

/// Tunes `base`; calls `progress` with the number of updates done since the last call.
///
/// # Errors
/// If the settings ask for more than the model has, or there is not enough memory.
pub fn run(
    settings: &Settings,
    base: &Model<f32>,
    seed: u64,
    judge: &Judge,
    progress: &dyn Steps,
) -> Result<Tuned> {
    settings.check()?;
    let task = LanguageTask::new(settings, &base.config, seed);
    // Before the updates, so that a circuit which cannot be loses none of them.
    let unnamed = !settings.trains_circuit();
    let named = unnamed.then(|| named_by_circuit(settings, base, &task, seed, 0)).transpose()?;
    let Prepared { mut tuner, mut policy, adapters } = Prepared::new(settings, base, &task, seed)?;
    let (mut looks, mut done, mut track) = (Looks::default(), 0, Track::default());
    let probe = Settings { pairs: settings.probe.max(1), ..settings.clone() };
    let probe = task.with(&probe);
    let outcome =
        tune(&mut tuner, &task, &mut *policy, &plan(settings), &mut |look: Observed<'_, f32>| {
            let model = adapters.model(base, look.tuner)?;
            let judgement = if look.step == 0 { judge.base() } else { judge.judge(&model) };
            if settings.probe > 0 {
                // Pairs that no update sees.
                let (found, _) = named_by_circuit(settings, &model, &probe, seed, settings.steps)?;
                track.push(look.step, found.scores);
            }
            looks.add(&look, judgement);
            progress.add((look.step - done) as u64);
            done = look.step;
            Ok(())
        })?;
    let model = adapters.model(base, &mut tuner)?;
    let found = looks.circuit.as_ref().or(outcome.first_circuit.as_ref());
    let slices = match found {
        Some(found) => slices_of(settings, base, found),
        None => named.map_or_else(Slices::default, |(_, slices)| slices),
    };
    let graft = Graft {
        numbers: slices.count(),
        share: share_inside(base, &model, &slices),
        judgement: judge.judge(&graft(base, &model, &slices)),
    };
    let circuits = outcome.first_circuit.as_ref().map(|first| {
        let last = looks.circuit.as_ref().unwrap_or(first);
        [first, last].map(|found| file(&base.config, settings, found))
    });
    let report = Report {
        settings: settings.clone(),
        began: None,
        seed,
        steps: outcome.steps,
        diverged: outcome.diverged,
        block_numbers: block_numbers(&base.config),
        trained: outcome.mean_trained,
        ever_trained: outcome.ever_trained,
        ends: looks.mean_ends(),
        step_ms: 1e3 * outcome.seconds / outcome.steps.max(1) as f64,
        bytes: outcome.bytes,
        path: looks.path,
        graft,
    };
    let (adapters, changes) = (adapters.fetched(&mut tuner), changes(base, &model));
    Ok(Tuned { report, model, adapters, circuits, changes, track })
}

fn slices_of(settings: &Settings, base: &Model<f32>, found: &Found) -> Slices {
    let graph = Graph::of_transformer(&base.config, settings.granularity());
    Slices::of_ends(&graph, &base.config, &found.ends, settings.extras())
}

/// Numbers in the blocks of a model.
pub fn block_numbers(config: &Config) -> usize {
    let blocks = config.parameters().into_iter().filter(|p| p.name.starts_with("blocks."));
    blocks.map(|p| p.shape.len()).sum()
}

fn file(config: &Config, settings: &Settings, found: &Found) -> EdgeFile {
    let graph = Graph::of_transformer(config, settings.granularity());
    let meta = Meta {
        method: Some(settings.attribution.name().into()),
        metric: Some(settings.metric.name().into()),
        convention: Some(Convention::Ours.name().into()),
        ..Meta::default()
    };
    // A circuit out of a file has none.
    let scores = found.scores.iter().all(|s| s.is_finite()).then_some(&found.scores[..]);
    graph.circuit_file(&found.kept, scores, &meta)
}
