//! The numbers the page carries, as JSON for its script.
//!
//! Curves are thinned and numbers rounded to four digits here, so that the page stays small; the run
//! folder keeps everything.

use std::collections::BTreeMap;

use serde::Serialize;

use super::metrics::EvalLine;
use super::plane::Plane;
use super::run::{Experiment, Run, SnapshotFile};
use super::snapshot::{Matrix, Snapshot};
use super::summary::SUCCESS;
use super::thin::{evenly, extremes, rounded};

/// Points of a loss curve.
const LOSS_POINTS: usize = 400;
/// Evaluations of a run.
const EVAL_POINTS: usize = 400;
/// Columns of an attention map, and cells of it.
const ATTENTION_POINTS: usize = 200;
const ATTENTION_CELLS: usize = 8192;
/// Frames of an embedding.
const FRAMES: usize = 101;
/// Tokens of an embedding.
const POINTS: usize = 64;
/// Groups of parameters in the order the model uses them; others follow by name.
const GROUPS: [&str; 5] = ["token_emb", "pos_emb", "query", "value", "mlp"];

#[derive(Serialize)]
pub(super) struct PageData {
    version: u32,
    threshold: f64,
    arms: Vec<ArmData>,
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
    loss: Curve,
    evals: Evals,
    attention: Option<AttentionData>,
    gradient: Option<GradientData>,
    embedding: Option<EmbeddingData>,
}

#[derive(Serialize)]
struct StageData {
    step: u64,
    name: String,
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

#[derive(Serialize)]
struct EmbeddingData {
    step: Vec<u64>,
    tokens: View,
    positions: View,
}

#[derive(Serialize)]
struct View {
    /// Points shown, and how many there are.
    rows: usize,
    total: usize,
    /// Dimensions of the embedding.
    dims: usize,
    explained: Option<[f64; 2]>,
    /// The snapshot the plane was fitted on.
    fitted: u64,
    /// Whether that is the last one of the run.
    last: bool,
    /// One snapshot after another, x and y of each point; none where a number was not finite.
    xy: Vec<Option<f64>>,
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

impl PageData {
    pub(super) fn of(experiment: &Experiment) -> Self {
        let mut notes = Vec::new();
        let arms = experiment
            .arms
            .iter()
            .map(|arm| ArmData {
                name: arm.name.clone(),
                runs: arm
                    .runs
                    .iter()
                    .map(|run| {
                        let (data, found) = RunData::of(run);
                        let all = run.notes.iter().cloned().chain(found);
                        notes.extend(all.map(|note| (arm.name.clone(), run.label(), note)));
                        data
                    })
                    .collect(),
            })
            .collect();
        PageData { version: 1, threshold: SUCCESS, arms, notes }
    }
}

impl RunData {
    fn of(run: &Run) -> (Self, Vec<String>) {
        let mut notes = Vec::new();
        let task = run.config.last_task();
        let last = run.final_eval();
        let evals = &run.metrics.evals;
        let shown: Vec<&EvalLine> =
            evenly(evals.len(), EVAL_POINTS).into_iter().map(|i| &evals[i]).collect();
        let attention = attention(evals, &mut notes);
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
            stages: run.stages().into_iter().map(|(step, name)| StageData { step, name }).collect(),
            loss: loss(run),
            evals: Evals {
                step: shown.iter().map(|eval| eval.step).collect(),
                stage: shown.iter().map(|eval| eval.stage).collect(),
                curves: COLUMNS
                    .iter()
                    .map(|(name, value)| (*name, shown.iter().map(|e| rounded(value(e))).collect()))
                    .filter(|(_, curve): &(_, Vec<Option<f64>>)| curve.iter().any(Option::is_some))
                    .collect(),
            },
            attention,
            gradient: gradient(&shown),
            embedding: embedding(run, &mut notes),
        };
        (data, notes)
    }
}

fn loss(run: &Run) -> Curve {
    let steps = &run.metrics.steps;
    let values: Vec<Option<f64>> = steps.iter().map(|line| line.loss).collect();
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

fn embedding(run: &Run, notes: &mut Vec<String>) -> Option<EmbeddingData> {
    let files = evenly(run.snapshots.len(), FRAMES).into_iter().map(|i| &run.snapshots[i]);
    let mut frames: Vec<(&SnapshotFile, Snapshot)> = Vec::new();
    let mut damaged = Vec::new();
    for file in files {
        match Snapshot::read(&file.path) {
            Ok(snapshot) => frames.push((file, snapshot)),
            Err(error) => damaged.push(error.note(&run.folder)),
        }
    }
    if let Some(first) = damaged.first() {
        let more = match damaged.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more snapshots)"),
        };
        notes.push(format!("{first}{more}"));
    }
    let size = |m: &Matrix| (m.rows, m.cols);
    let sizes = |s: &Snapshot| (size(&s.tokens), size(&s.positions));
    let expected = sizes(&frames.last()?.1);
    let before = frames.len();
    frames.retain(|(_, snapshot)| sizes(snapshot) == expected);
    if frames.len() < before {
        let other = before - frames.len();
        notes.push(format!("snapshots: {other} of other sizes than the last one are not shown"));
    }
    let end = run.snapshots.last().map_or(0, |file| file.step);
    let tokens = view(&frames, end, |snapshot| &snapshot.tokens);
    let positions = view(&frames, end, |snapshot| &snapshot.positions);
    if tokens.is_none() || positions.is_none() {
        notes.push("snapshots: no finite embedding, so none is drawn".into());
    }
    Some(EmbeddingData {
        step: frames.iter().map(|(file, _)| file.step).collect(),
        tokens: tokens?,
        positions: positions?,
    })
}

fn view(
    frames: &[(&SnapshotFile, Snapshot)],
    end: u64,
    part: impl Fn(&Snapshot) -> &Matrix,
) -> Option<View> {
    let (file, last) = frames.iter().rev().find(|(_, snapshot)| part(snapshot).is_finite())?;
    let fitted = part(last);
    let plane = Plane::fit(fitted);
    let rows = fitted.rows.min(POINTS);
    let mut xy = Vec::with_capacity(frames.len() * rows * 2);
    for (_, snapshot) in frames {
        let points = part(snapshot);
        for r in 0..rows {
            xy.extend(plane.project(points.row(r)).map(|x| rounded(Some(x))));
        }
    }
    let explained = plane.explained.map(|shares| shares.map(|x| rounded(Some(x)).unwrap_or(0.0)));
    Some(View {
        rows,
        total: fitted.rows,
        dims: fitted.cols,
        explained,
        fitted: file.step,
        last: file.step == end,
        xy,
    })
}
