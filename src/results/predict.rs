//! Whether something that is known before a stage says how it will end.
//!
//! A run of two or more stages succeeds or not. What is known of it before the last stage are the
//! evaluation and the measurements at the end of the stage before (`before.KEY`), and those of the
//! weights that the last stage begins with, on its rows (`KEY`). Of each key the area under the ROC
//! is taken on half of the seeds, which decide whether more of it or less of it is good, and on the
//! other half, which have no part in that.

use super::run::Run;
use crate::formats::metrics::{EvalLine, MeasureLine};
use crate::stats::{auroc, auroc_interval, order};
use std::collections::BTreeMap;

/// How well one key tells runs that will succeed from others.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictor {
    /// The key.
    pub key: String,
    /// Whether more of it is good, as the choosing seeds have it.
    pub more_is_good: bool,
    /// The area on the choosing seeds, 0.5 or more.
    pub chosen: f64,
    /// The area on the others, in the same direction.
    pub held_out: f64,
    /// Its 95 % interval.
    pub interval: [f64; 2],
}

/// Runs of one arm with an end: which are asked, and how they fell into the two halves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prediction {
    /// Runs that succeeded, and all, of the choosing half.
    pub choosing: [usize; 2],
    /// The same of the other half.
    pub held_out: [usize; 2],
    /// By key; the largest area on the choosing half first, then by key.
    pub keys: Vec<Predictor>,
}

/// What is known of those runs of `runs [n]` that have ended, in the order of their seeds. The
/// first, third, .. of those that succeeded choose, and of the others. With `solved`, runs that did
/// not succeed in the stage before the last are left out.
pub fn predict(runs: &[Run], solved: bool) -> Prediction {
    let ended = |run: &&Run| run.metrics.event("stop").is_some() || run.diverged();
    let asked = runs.iter().filter(ended).filter(|run| run.last_stage() > 0);
    let asked = asked.filter(|run| !solved || solved_before(run));
    let mut seen = [0; 2];
    let mut known = |run: &Run| {
        let good = run.succeeded();
        seen[usize::from(good)] += 1;
        (known_before(run), good, seen[usize::from(good)] % 2 == 1)
    };
    let known: Vec<(BTreeMap<String, f64>, bool, bool)> = asked.map(&mut known).collect();
    let half = |chooses: bool| known.iter().filter(move |k| k.2 == chooses);
    let counts = |chooses| [half(chooses).filter(|k| k.1).count(), half(chooses).count()];
    let mut found = Prediction { choosing: counts(true), held_out: counts(false), keys: vec![] };
    let Some((first, ..)) = known.first() else { return found };
    for key in first.keys() {
        let groups = |chooses: bool| {
            let of = |wanted: bool| -> Vec<f64> {
                let list = half(chooses).filter(|k| k.1 == wanted);
                list.filter_map(|k| k.0.get(key).copied()).collect()
            };
            (of(true), of(false))
        };
        let (good, bad) = groups(true);
        let Some(area) = auroc(&good, &bad) else { continue };
        let (good, bad) = groups(false);
        let Some(held_out) = auroc(&good, &bad) else { continue };
        let more_is_good = area >= 0.5;
        let turned = |area: f64| if more_is_good { area } else { 1.0 - area };
        let interval = auroc_interval(turned(held_out), good.len(), bad.len());
        let (chosen, held_out) = (turned(area), turned(held_out));
        found.keys.push(Predictor { key: key.clone(), more_is_good, chosen, held_out, interval });
    }
    order::sort_by(&mut found.keys, |a, b| {
        b.chosen.total_cmp(&a.chosen).then_with(|| a.key.cmp(&b.key))
    });
    found
}

/// Whether the stage before the last ended in success.
fn solved_before(run: &Run) -> bool {
    let before = run.last_stage() - 1;
    let end = run.metrics.evals.iter().rfind(|eval| eval.stage == before);
    end.and_then(|eval| eval.test_accuracy).is_some_and(|a| a >= super::SUCCESS)
}

/// All figures of the end of the stage before the last, and of the beginning of the last.
fn known_before(run: &Run) -> BTreeMap<String, f64> {
    let last = run.last_stage();
    let (evals, measures) = (&run.metrics.evals, &run.metrics.measures);
    let mut known = BTreeMap::new();
    let mut add = |prefix: &str, eval: Option<&EvalLine>, measure: Option<&MeasureLine>| {
        let figures = eval.into_iter().flat_map(figures);
        let measured = measure
            .into_iter()
            .flat_map(|line| line.values.iter().filter_map(|(key, x)| Some((key.clone(), (*x)?))));
        known.extend(figures.chain(measured).map(|(key, x)| (format!("{prefix}{key}"), x)));
    };
    add(
        "before.",
        evals.iter().rfind(|eval| eval.stage == last - 1),
        measures.iter().rfind(|line| line.stage == last - 1),
    );
    // Nothing of a last stage that has moved on.
    let begin = run.stage_start(last);
    add(
        "",
        evals.iter().find(|eval| eval.stage == last && Some(eval.step) == begin),
        measures.iter().find(|line| line.stage == last && Some(line.step) == begin),
    );
    known
}

fn figures(eval: &EvalLine) -> Vec<(String, f64)> {
    let all = [
        ("train_loss", eval.train_loss),
        ("train_accuracy", eval.train_accuracy),
        ("test_loss", eval.test_loss),
        ("test_accuracy", eval.test_accuracy),
        ("cluster_r2", eval.cluster_r2),
        ("attention_relevant", eval.attention_relevant),
        ("sequence_norm", eval.sequence_norm),
    ];
    all.into_iter().filter_map(|(key, x)| Some((key.to_string(), x?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::metrics::{EventLine, Metrics};
    use crate::formats::run_config::RunConfig;
    use std::path::PathBuf;

    /// A run whose attention before the last stage is `attention`, and that ends at `accuracy`.
    fn run(attention: f64, noise: f64, accuracy: f64) -> Run {
        let eval = |step, stage, accuracy| EvalLine {
            step,
            stage,
            test_accuracy: Some(accuracy),
            attention_relevant: Some(attention),
            sequence_norm: Some(noise),
            ..EvalLine::default()
        };
        let values = [("llc".to_string(), Some(-attention))].into();
        let metrics = Metrics {
            evals: vec![eval(10, 0, noise), eval(10, 1, 0.25), eval(20, 1, accuracy)],
            measures: vec![MeasureLine { step: 10, stage: 1, values }],
            events: vec![EventLine { event: "stop".into(), step: 20, ..EventLine::default() }],
            ..Metrics::default()
        };
        let (folder, name, config) = (PathBuf::new(), String::new(), RunConfig::default());
        Run { folder, name, seed: None, config, metrics, snapshots: vec![], notes: vec![] }
    }

    #[test]
    fn what_decides_is_found_and_what_does_not_is_not() {
        let runs: Vec<Run> = (0..40)
            .map(|i| {
                let good = i % 4 < 2;
                let attention = if good { 0.6 } else { 0.4 } + 0.001 * f64::from(i);
                run(attention, f64::from(i * 7 % 11) / 10.0, if good { 1.0 } else { 0.3 })
            })
            .collect();
        let found = predict(&runs, false);
        assert_eq!((found.choosing, found.held_out), ([10, 20], [10, 20]));
        let best = &found.keys[0];
        assert_eq!(
            (best.key.as_str(), best.chosen, best.held_out),
            ("attention_relevant", 1.0, 1.0)
        );
        assert!(best.more_is_good && best.interval[0] > 0.7);
        let of = |key: &str| found.keys.iter().find(|k| k.key == key).expect("a key");
        assert!(!of("llc").more_is_good && of("llc").held_out == 1.0, "less is good");
        assert!(of("sequence_norm").held_out < 0.8);
        assert_eq!(of("test_accuracy").chosen, 0.5, "of the first evaluation, not of the end");
        // Only where the stage before was solved: noise of 1.0.
        let solved = predict(&runs, true);
        assert_eq!(solved.choosing[1] + solved.held_out[1], 4);
        assert_eq!(predict(&[], false), Prediction::default());
        let mut going = runs;
        going.iter_mut().for_each(|run| run.metrics.events.clear());
        assert_eq!(predict(&going, false), Prediction::default(), "none has ended");
    }
}
