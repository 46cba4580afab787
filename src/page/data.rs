//! The numbers the page carries, as JSON for its script.
//!
//! Curves are thinned and numbers rounded to four digits here, so that the page stays small; the
//! run folder keeps everything.

use std::collections::BTreeMap;

use serde::Serialize;

use super::edges::GroupData;
use super::look::LookData;
use super::pack::{Pack, Packed};
use super::pretraining::PretrainingData;
use super::spikes::spikes;
use super::thin::{extremes, rounded};
use super::tuning::TuningData;
use super::weights::WeightsData;
use crate::formats::circuit_pairs::{CircuitPairs, LabelledPair};
use crate::formats::metrics::{CircuitLine, EvalLine, StepLine};
use crate::results::run::SUCCESS;
use crate::results::run::{Arm, Run};
use crate::results::sources::Sources;
use crate::results::thin::evenly;

/// Points of a loss curve.
const LOSS_POINTS: usize = 400;
/// Evaluations of a run.
const EVAL_POINTS: usize = 400;
/// Columns of an attention map, and cells of it.
const ATTENTION_POINTS: usize = 200;
const ATTENTION_CELLS: usize = 8192;
/// Numbers of all weights through time: two bytes each before they are deflated.
const WEIGHTS: usize = 1_500_000;
/// Logs of circuits of a run.
const CIRCUITS: usize = 101;
/// Groups of parameters in the order the model uses them; others follow by name.
const GROUPS: [&str; 5] = ["token_emb", "pos_emb", "query", "value", "mlp"];

#[derive(Serialize)]
pub(super) struct PageData<'a> {
    version: u32,
    threshold: f64,
    /// The seed that is shown first.
    chosen: Option<String>,
    /// Lists of names of edges, which runs refer to by their place.
    names: Vec<Vec<String>>,
    arms: Vec<ArmData>,
    circuits: Vec<GroupData<'a>>,
    pretrainings: Vec<PretrainingData<'a>>,
    tunings: Vec<TuningData<'a>>,
    looks: Vec<LookData<'a>>,
    /// What was found missing while the data were gathered: (arm, run, note).
    #[serde(skip)]
    pub(super) notes: Vec<(String, String, String)>,
}

#[derive(Serialize)]
struct ArmData {
    name: String,
    runs: Vec<RunData>,
}

#[derive(Serialize)]
struct RunData {
    /// What links the runs of one seed across arms.
    key: String,
    p: Option<u64>,
    k: Option<usize>,
    success: bool,
    diverged: bool,
    test: Option<f64>,
    train: Option<f64>,
    mod2: Option<f64>,
    /// Updates to the threshold: in the last stage, overall.
    solved: Option<(u64, u64)>,
    stages: Vec<StageData>,
    spikes: Vec<u64>,
    loss: Curve,
    evals: Evals,
    attention: Option<AttentionData>,
    gradient: Option<GradientData>,
    model: Option<ModelData>,
    weights: Option<WeightsData>,
    circuits: Option<CircuitData>,
    probe: Vec<ProbeData>,
}

#[derive(Serialize)]
struct StageData {
    step: u64,
    name: String,
    p: Option<u64>,
    k: Option<usize>,
    seq_len: Option<usize>,
}

#[derive(Serialize)]
struct ModelData {
    activation: String,
}

/// The circuits of a run: a column for each field of its lines.
#[derive(Serialize)]
struct CircuitData {
    /// Which list of names.
    names: usize,
    steps: Vec<u64>,
    stage: Vec<usize>,
    #[serde(flatten)]
    columns: BTreeMap<&'static str, Vec<Option<f64>>>,
    /// `[T, E]`.
    scores: Packed,
}

#[derive(Serialize)]
struct ProbeData {
    stage: usize,
    p: u64,
    pairs: Vec<LabelledPair>,
}

#[derive(Serialize)]
struct Curve {
    step: Vec<u64>,
    value: Vec<Option<f64>>,
}

#[derive(Serialize)]
struct Evals {
    step: Vec<u64>,
    stage: Vec<usize>,
    /// Only the curves with at least one number.
    curves: BTreeMap<&'static str, Vec<Option<f64>>>,
}

#[derive(Serialize)]
struct AttentionData {
    step: Vec<u64>,
    /// Positions.
    rows: usize,
    /// One evaluation after another, `rows` numbers each.
    value: Vec<Option<f64>>,
}

#[derive(Serialize)]
struct GradientData {
    step: Vec<u64>,
    groups: Vec<String>,
    /// `[groups][steps]`.
    value: Vec<Vec<Option<f64>>>,
}

type Column = (&'static str, fn(&EvalLine) -> Option<f64>);

const COLUMNS: [Column; 9] = [
    ("train_loss", |eval| eval.train_loss),
    ("train_accuracy", |eval| eval.train_accuracy),
    ("train_accuracy_mod2", |eval| eval.train_accuracy_mod2),
    ("test_loss", |eval| eval.test_loss),
    ("test_accuracy", |eval| eval.test_accuracy),
    ("test_accuracy_mod2", |eval| eval.test_accuracy_mod2),
    ("cluster_r2", |eval| eval.cluster_r2),
    ("attention_relevant", |eval| eval.attention_relevant),
    ("sequence_norm", |eval| eval.sequence_norm),
];

impl<'a> PageData<'a> {
    /// What the page shows, with the weights of `seed`, or else of the first seed that tells the
    /// arms apart.
    pub(super) fn of(sources: &'a Sources, seed: Option<u64>, pack: &mut Pack) -> Self {
        let mut notes = Vec::new();
        let mut names: Vec<Vec<String>> = Vec::new();
        let chosen = seed.map(|seed| format!("seed {seed}")).or_else(|| telling(&sources.arms));
        let is_chosen = |run: &Run| Some(run.label()) == chosen;
        let of_chosen = sources.arms.iter().filter(|arm| arm.runs.iter().any(is_chosen)).count();
        let mut arms = Vec::new();
        for arm in &sources.arms {
            let mut runs = Vec::new();
            for run in &arm.runs {
                let weights = if is_chosen(run) { WEIGHTS / of_chosen } else { 0 };
                let (data, found) = RunData::of(run, weights, &mut names, pack);
                let all = run.notes.iter().cloned().chain(found);
                notes.extend(all.map(|note| (arm.name.clone(), run.label(), note)));
                runs.push(data);
            }
            arms.push(ArmData { name: arm.name.clone(), runs });
        }
        notes.extend(sources.notes.iter().map(|n| ("files".into(), String::new(), n.clone())));
        let groups = sources.edges.groups.iter().enumerate();
        PageData {
            version: 2,
            threshold: SUCCESS,
            names,
            circuits: groups.map(|(i, group)| GroupData::of(i, group, pack)).collect(),
            pretrainings: sources.pretrainings.iter().map(PretrainingData::of).collect(),
            tunings: sources.tunings.iter().map(TuningData::of).collect(),
            looks: sources.looks.iter().map(|look| LookData::of(look, pack)).collect(),
            chosen,
            arms,
            notes,
        }
    }
}

/// The first seed with which not all arms come to the same end, or else the first.
fn telling(arms: &[Arm]) -> Option<String> {
    let runs = || arms.iter().flat_map(|arm| &arm.runs);
    let ends = |label: &str| -> Vec<bool> {
        runs().filter(|run| run.label() == label).map(Run::succeeded).collect()
    };
    let differ = |run: &&Run| {
        let ends = ends(&run.label());
        ends.contains(&true) && ends.contains(&false)
    };
    runs().find(differ).or_else(|| runs().next()).map(Run::label)
}

impl RunData {
    fn of(
        run: &Run,
        weights: usize,
        names: &mut Vec<Vec<String>>,
        pack: &mut Pack,
    ) -> (Self, Vec<String>) {
        let mut notes = Vec::new();
        let task = run.config.last_task();
        let last = run.final_eval();
        let evals = &run.metrics.evals;
        let shown: Vec<&EvalLine> =
            evenly(evals.len(), EVAL_POINTS).into_iter().map(|i| &evals[i]).collect();
        let attention = attention(evals, &mut notes);
        let mut shown_weights = None;
        if weights > 0 {
            let (found, missing) = WeightsData::of(run, weights, pack);
            notes.extend(missing);
            shown_weights = found;
        }
        let (probes, damage) = CircuitPairs::read_all(&run.folder);
        notes.extend(damage.iter().map(|error| error.note(&run.folder)));
        let circuits = circuits(run, &probes, names, pack, &mut notes);
        let with_weights = shown_weights.is_some();
        let data = RunData {
            key: run.label(),
            p: task.p,
            k: task.k,
            success: run.succeeded(),
            diverged: run.diverged(),
            test: rounded(last.and_then(|eval| eval.test_accuracy)),
            train: rounded(last.and_then(|eval| eval.train_accuracy)),
            mod2: rounded(last.and_then(|eval| eval.test_accuracy_mod2)),
            solved: run.steps_to_success().filter(|_| run.succeeded()),
            stages: stages(run),
            spikes: spikes(&run.metrics.steps),
            loss: loss(run),
            evals: Evals::of(&shown),
            attention,
            gradient: gradient(&shown),
            model: run.config.model.activation.clone().map(|activation| ModelData { activation }),
            weights: shown_weights,
            circuits,
            // Only the page's own runs of the model ask for them.
            probe: probes
                .into_iter()
                .filter(|_| with_weights)
                .map(|p| ProbeData { stage: p.stage, p: p.p, pairs: p.pairs })
                .collect(),
        };
        (data, notes)
    }
}

fn stages(run: &Run) -> Vec<StageData> {
    let stage = |(index, (step, name)): (usize, (u64, String))| {
        let task = run.config.stage_task(index);
        StageData { step, name, p: task.p, k: task.k, seq_len: task.seq_len }
    };
    run.stages().into_iter().enumerate().map(stage).collect()
}

impl Evals {
    fn of(shown: &[&EvalLine]) -> Self {
        Evals {
            step: shown.iter().map(|eval| eval.step).collect(),
            stage: shown.iter().map(|eval| eval.stage).collect(),
            curves: COLUMNS
                .iter()
                .map(|(name, value)| (*name, shown.iter().map(|e| rounded(value(e))).collect()))
                .filter(|(_, curve): &(_, Vec<Option<f64>>)| curve.iter().any(Option::is_some))
                .collect(),
        }
    }
}

type CircuitColumn = (&'static str, fn(&CircuitLine) -> Option<f64>);

const CIRCUIT_COLUMNS: [CircuitColumn; 13] = [
    ("clean", |line| line.clean),
    ("corrupted", |line| line.corrupted),
    ("edges", |line| line.edges.map(|n| n as f64)),
    ("nodes", |line| line.nodes.map(|n| n as f64)),
    ("faithfulness", |line| line.faithfulness),
    ("useful", |line| line.useful),
    ("spurious", |line| line.spurious),
    ("reinforced", |line| line.reinforced.map(|n| n as f64)),
    ("pruned", |line| line.pruned.map(|n| n as f64)),
    ("grew", |line| line.grew.map(|n| n as f64)),
    ("shrank", |line| line.shrank.map(|n| n as f64)),
    ("jaccard", |line| line.jaccard),
    ("rank_correlation", |line| line.rank_correlation),
];

fn circuits(
    run: &Run,
    probes: &[CircuitPairs],
    names: &mut Vec<Vec<String>>,
    pack: &mut Pack,
    notes: &mut Vec<String>,
) -> Option<CircuitData> {
    let lines = &run.metrics.circuits;
    if lines.is_empty() {
        return None;
    }
    let Some(probe) = probes.first() else {
        notes.push("circuits/probe-0.json: missing, so circuits are not drawn".into());
        return None;
    };
    let edges = probe.edges.len();
    let whole: Vec<&CircuitLine> = lines.iter().filter(|l| l.scores.len() == edges).collect();
    if whole.len() < lines.len() {
        let other = lines.len() - whole.len();
        notes.push(format!("metrics.jsonl: {other} circuits have not {edges} scores"));
    }
    let shown: Vec<&CircuitLine> =
        evenly(whole.len(), CIRCUITS).into_iter().map(|i| whole[i]).collect();
    let scores: Vec<f32> = shown.iter().flat_map(|l| l.scores.iter().copied()).collect();
    let list = names.iter().position(|list| *list == probe.edges).unwrap_or_else(|| {
        names.push(probe.edges.clone());
        names.len() - 1
    });
    let column = |(name, value): &CircuitColumn| {
        (*name, shown.iter().map(|line| rounded(value(line))).collect())
    };
    Some(CircuitData {
        names: list,
        steps: shown.iter().map(|line| line.step).collect(),
        stage: shown.iter().map(|line| line.stage).collect(),
        columns: CIRCUIT_COLUMNS.iter().map(column).collect(),
        // To the last bit: near the beginning they are small, and their order says what the circuit
        // is.
        scores: pack.exact(&scores),
    })
}

fn loss(run: &Run) -> Curve {
    let steps = &run.metrics.steps;
    let values: Vec<Option<f64>> = steps.iter().map(StepLine::loss).collect();
    let kept = extremes(&values, LOSS_POINTS);
    Curve {
        step: kept.iter().map(|&i| steps[i].step).collect(),
        value: kept.iter().map(|&i| rounded(values[i])).collect(),
    }
}

fn attention(evals: &[EvalLine], notes: &mut Vec<String>) -> Option<AttentionData> {
    let rows = evals.iter().map(|eval| eval.attention.len()).find(|&rows| rows > 0);
    let Some(rows) = rows else {
        if !evals.is_empty() {
            notes
                .push("metrics.jsonl: no `attention` in any evaluation, so no map is drawn".into());
        }
        return None;
    };
    let whole: Vec<_> = evals.iter().filter(|eval| eval.attention.len() == rows).collect();
    let columns = ATTENTION_CELLS / rows;
    if columns < 16 {
        notes.push(format!("metrics.jsonl: attention over {rows} positions is too wide to draw"));
        return None;
    }
    let shown: Vec<_> =
        evenly(whole.len(), columns.min(ATTENTION_POINTS)).into_iter().map(|i| whole[i]).collect();
    Some(AttentionData {
        step: shown.iter().map(|eval| eval.step).collect(),
        rows,
        value: shown.iter().flat_map(|eval| eval.attention.iter().map(|&x| rounded(x))).collect(),
    })
}

fn gradient(evals: &[&EvalLine]) -> Option<GradientData> {
    let mut groups: Vec<String> =
        evals.iter().flat_map(|eval| eval.gradient_norm.keys().cloned()).collect();
    let rank = |name: &str| GROUPS.iter().position(|group| *group == name).unwrap_or(GROUPS.len());
    groups.sort_by(|a, b| (rank(a), a).cmp(&(rank(b), b)));
    groups.dedup();
    groups.truncate(8);
    if groups.is_empty() {
        return None;
    }
    let curve = |group: &String| {
        let value = |eval: &&EvalLine| rounded(eval.gradient_norm.get(group).copied().flatten());
        evals.iter().map(value).collect()
    };
    Some(GradientData {
        step: evals.iter().map(|eval| eval.step).collect(),
        value: groups.iter().map(curve).collect(),
        groups,
    })
}
