//! One tuning run: a model, a method, a seed.

use super::methods::{Prepared, named_by_circuit};
use super::settings::Settings;
use super::subject::{Material, Subject};
use crate::checkpoints::AnyModel;
use crate::error::Result;
use crate::experiments::Steps;
use crate::formats::pairs::Pairs;
use crate::formats::tuning_report::{CircuitFigures, Graft, Judgement, Point, TuningReport};
use crate::formats::{Convention, EdgeFile, Meta};
use crate::graph::Graph;
use crate::memory;
use crate::named::Named;
use crate::nn::transformer::{Config, Model};
use crate::tuning::change::{Change, changes, graft, largest, share_inside};
use crate::tuning::dynamics::Track;
use crate::tuning::lora::Adapters;
use crate::tuning::{Discovery, Found, Objective, Observed, Plan, Slices, circuit_figures, tune};

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
    /// Those of runs that learn nothing; see [`null_runs`](Settings::null_runs).
    pub nulls: Vec<Track>,
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
    fn add(
        &mut self,
        look: &Observed<'_, f32>,
        judgement: Judgement,
        circuit: Option<CircuitFigures>,
    ) {
        let edges = look.circuit.map(|c| c.kept.iter().filter(|&&k| k).count());
        self.ends.extend(look.circuit.map(|c| c.ends.count()));
        if let Some(circuit) = look.circuit {
            self.circuit = Some(circuit.clone());
        }
        let loss = look.loss.is_finite().then_some(look.loss);
        let (step, trained) = (look.step, look.trained);
        self.path.push(Point { step, loss, trained, edges, judgement, circuit });
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

/// Whether the trained copy of the weights, their gradients and moments, and the program of an
/// update fit in memory.
fn fits(base: &Model<f32>, task: &dyn Material) -> Result<()> {
    let weights: u128 = base.config.parameters().iter().map(|p| p.shape.len() as u128).sum();
    let (rows, length) = (task.rows(), task.length());
    let bytes = 3 * weights * size_of::<f32>() as u128
        + Objective::<f32>::bytes(&base.config, rows, length);
    memory::check(&format!("updates of {rows} x {length} tokens"), bytes, || {
        "lower `batch`, or tune a smaller model".into()
    })
}

/// Updates that are timed.
const TIMED: usize = 8;

/// Operations a second that any processor does, and tokens of a sequence that are reckoned with
/// where models have no end.
const SLOW: f64 = 1e9;
const LONGEST: usize = 4096;

/// Whether so many updates are done in half a day on any machine.
pub fn is_short(settings: &Settings, base: &Model<f32>, updates: u64) -> bool {
    let weights: usize = base.config.parameters().iter().map(|p| p.shape.len()).sum();
    // A product forward and two backward for each weight and token, of sequences as long as may be.
    let tokens = (settings.batch * base.config.context.min(LONGEST)) as f64;
    6.0 * weights as f64 * tokens * updates as f64 / SLOW <= 43_200.0
}

/// About the seconds of one core that `runs` runs with so many updates in all take, where it takes
/// `judged` to judge a model: from a few updates, timed now. Discoveries are not among them.
///
/// # Errors
/// As [`run`].
pub fn seconds(
    settings: &Settings,
    (base, subject): (&Model<f32>, &dyn Subject),
    judged: f64,
    (runs, updates): (u64, u64),
) -> Result<f64> {
    let trial = settings.trial.min(TIMED);
    let short = Settings { steps: TIMED, look: TIMED, trial, ..settings.clone() };
    let update = run(&short, base, 0, subject, &|_| {})?.report.step_ms / 1e3;
    // Each run is judged at its end, and what its circuit has changed alone.
    Ok(updates as f64 * update + runs as f64 * 2.0 * judged)
}

/// Tunes `base` for a subject; calls `progress` with the number of updates done since the last
/// call.
///
/// # Errors
/// If the settings ask for more than the model has, or there is not enough memory.
pub fn run(
    settings: &Settings,
    base: &Model<f32>,
    seed: u64,
    subject: &dyn Subject,
    progress: &dyn Steps,
) -> Result<Tuned> {
    settings.check()?;
    let task = subject.material(settings, base, seed)?;
    fits(base, &*task)?;
    // Before the updates, so that a circuit which cannot be loses none of them.
    let first = || named_by_circuit(settings, base, &task.pairs(0)?, seed, 0);
    let named = (!settings.trains_circuit()).then(first).transpose()?;
    let Prepared { mut tuner, mut policy, adapters } = Prepared::new(settings, base, &*task, seed)?;
    let (mut looks, mut done, mut track) = (Looks::default(), 0, Track::default());
    let probe = task.unseen(settings.probe.max(1))?;
    let figures = Figures::new(settings, base, &*task, seed)?;
    let outcome =
        tune(&mut tuner, &*task, &mut *policy, &plan(settings), &mut |look: Observed<'_, f32>| {
            let model = adapters.model(base, look.tuner)?;
            let judgement = if look.step == 0 { subject.base() } else { subject.judge(&model) };
            if settings.probe > 0 {
                // Pairs that no update sees.
                let (found, _) = named_by_circuit(settings, &model, &probe, seed, settings.steps)?;
                track.push(look.step, found.scores);
            }
            let circuit = look.circuit.map(|found| figures.of(&model, found)).transpose()?;
            looks.add(&look, judgement, circuit);
            progress.add((look.step - done) as u64);
            done = look.step;
            Ok(())
        })?;
    let first = outcome.first_circuit.as_ref();
    looks.path[0].circuit = first.map(|found| figures.of(base, found)).transpose()?;
    let model = adapters.model(base, &mut tuner)?;
    let found = looks.circuit.as_ref().or(first).map(|found| slices_of(settings, base, found));
    let slices = found.or(named.map(|(_, slices)| slices)).unwrap_or_default();
    let graft = grafted(base, &model, &slices, subject);
    let graft_curve = graft_curve(settings.grafts, base, &model, subject);
    let last = |first| [first, looks.circuit.as_ref().unwrap_or(first)];
    let circuits = first.map(|first| last(first).map(|c| file(&base.config, settings, c)));
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
        graft_curve,
    };
    let (adapters, changes) = (adapters.fetched(&mut tuner), changes(base, &model));
    let nulls = nulls(settings, base, seed, subject)?;
    Ok(Tuned { report, model, adapters, circuits, changes, track, nulls })
}

/// The tracks of the runs of other seeds that learn nothing.
fn nulls(
    settings: &Settings,
    base: &Model<f32>,
    seed: u64,
    subject: &dyn Subject,
) -> Result<Vec<Track>> {
    let (shuffled, grafts) = (true, 0);
    let null = Settings { shuffled, null_runs: 0, grafts, ..settings.clone() };
    let track = |i| Ok(run(&null, base, seed ^ (NULL + i), subject, &|_| {})?.track);
    (0..settings.null_runs as u64).map(track).collect()
}

/// Seeds of runs that learn nothing, which no other run has.
const NULL: u64 = 1 << 41;

/// Measures the circuits of a run.
struct Figures {
    graph: Graph,
    discovery: Discovery,
    /// That no update sees.
    pairs: Pairs,
}

/// Pairs that circuits are measured on.
const PAIRS: usize = 64;

impl Figures {
    fn new(
        settings: &Settings,
        base: &Model<f32>,
        task: &dyn Material,
        seed: u64,
    ) -> Result<Figures> {
        let graph = Graph::of_transformer(&base.config, settings.granularity());
        Ok(Figures { graph, discovery: settings.discovery(seed), pairs: task.unseen(PAIRS)? })
    }

    /// The figures of a circuit in a model.
    fn of(&self, model: &Model<f32>, found: &Found) -> Result<CircuitFigures> {
        let (vocab, model) = (model.config.vocab_out, AnyModel::Transformer(model.clone()));
        circuit_figures(&model, &self.graph, &self.discovery, vocab, &self.pairs, &found.kept)
    }
}

/// What is left if only the largest changes are kept, at so many sizes: all, a half, a quarter, ..
fn graft_curve(
    sizes: usize,
    base: &Model<f32>,
    model: &Model<f32>,
    subject: &dyn Subject,
) -> Vec<Graft> {
    let all: usize = base.weights.iter().map(|w| w.len()).sum();
    let at = |halvings| grafted(base, model, &largest(base, model, all >> halvings), subject);
    (0..sizes).map(at).collect()
}

/// What is left of the change from `base` to `model` if only that of some slices is kept.
fn grafted(base: &Model<f32>, model: &Model<f32>, slices: &Slices, subject: &dyn Subject) -> Graft {
    Graft {
        numbers: slices.count(),
        share: share_inside(base, model, slices),
        judgement: subject.judge(&graft(base, model, slices)),
    }
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
