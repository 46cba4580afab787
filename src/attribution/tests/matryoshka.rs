//! Learned rankings against differences, against the integral that their first step is, and on
//! compiled models.

use crate::attribution::Scores;
use crate::attribution::method::descent::{LOOK, by_masks, log_odds};
use crate::attribution::method::top_k::TopK;
use crate::attribution::method::{Learning, Method, Mode, Objective, Options, Sizes, mask_ig};
use crate::checkpoints;
use crate::checkpoints::AnyModel;
use crate::formats::pairs::Pairs;
use crate::graph::{Granularity, Graph};
use crate::named::Named;
use crate::nn::transformer::Model;
use crate::patching::behaviour::{Baseline, Behaviour};
use crate::patching::field::Field;
use crate::patching::metric::{Metric, Positions, Question};
use crate::patching::span::Span;
use crate::rng::{Purpose, Rng};
use crate::stats::pearson;
use std::path::Path;

pub(super) struct Setting {
    model: AnyModel<f64>,
    pairs: Pairs,
}

impl Setting {
    pub(super) fn fixture(name: &str, limit: usize) -> Setting {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        let model = checkpoints::read(&folder).expect("a model");
        let pairs = folder.join("pairs.jsonl");
        let pairs = Pairs::read(pairs, &model.bounds(), None, Some(limit)).expect("pairs");
        Setting { model, pairs }
    }

    pub(super) fn transformer(&mut self) -> &mut Model<f64> {
        let AnyModel::Transformer(m) = &mut self.model else { panic!("a transformer") };
        m
    }

    pub(super) fn ask(&self, metric: Metric) -> Behaviour<'_, f64> {
        self.ask_of(metric, Granularity::default())
    }

    pub(super) fn ask_of(&self, metric: Metric, granularity: Granularity) -> Behaviour<'_, f64> {
        let AnyModel::Transformer(m) = &self.model else { panic!("a transformer") };
        let graph = Graph::of_transformer(&m.config, granularity);
        let vocab_out = self.model.vocab_out();
        let question = Question::new(metric, Positions::Asked, vocab_out, &self.pairs);
        let question = question.expect("a question");
        Behaviour::new(&self.model, graph, &self.pairs, question, Baseline::Resample).expect("fits")
    }
}

fn span(b: &Behaviour<'_, f64>) -> Span {
    Span::new(b, &b.extremes().expect("they differ")).expect("it fits")
}

fn normal(n: usize, stage: u32) -> Vec<f64> {
    let mut rng = Rng::new(7, Purpose::Sample, stage);
    (0..n).map(|_| rng.normal()).collect()
}

/// A ranking of `steps` steps.
fn scores(b: &Behaviour<'_, f64>, learning: Learning, steps: usize, seed: u64) -> Scores {
    let options = Options { learning, steps, seed, ..Method::Matryoshka.options() };
    Method::Matryoshka.scores(b, &options, &mut |_| {}).expect("it runs")
}

/// The derivatives by the scores that `top` is of.
fn gradient(
    field: &mut Field<'_, '_, f64>,
    batch: usize,
    learning: Learning,
    top: &TopK,
    restored: &mut [f64],
) -> Vec<f64> {
    top.pull(&by_masks(field, batch, learning, &top.masks, restored))
}

/// Over one of several batches, where an adversary has restored something.
#[test]
fn gradients_are_slopes() {
    let setting = Setting::fixture("gpt2-tiny", 4);
    let mut b = setting.ask(Metric::LogitDiff);
    b.rows = 2 * b.pairs[0].clean.len();
    let span = span(&b);
    let mut field = Field::new(&b, &span).expect("it fits");
    assert_eq!(field.batches(), 2);
    let n = b.graph.edges();
    let (at, way) = (normal(n, 0), normal(n, 1));
    let restored: Vec<f64> = normal(n, 2).iter().map(|x| (0.3 * x).clamp(0.0, 1.0)).collect();
    for &(name, objective) in Objective::ALL {
        for &(_, mode) in Mode::ALL {
            let learning = Learning { objective, mode, ..Learning::default() };
            let restored = match objective {
                Objective::Worst => restored.clone(),
                _ => vec![0.0; n],
            };
            let mut loss = |h: f64| {
                let scores: Vec<f64> = at.iter().zip(&way).map(|(s, w)| s + h * w).collect();
                let top = TopK::of(&scores, 0.4 * n as f64);
                let mask = |(m, r): (&f64, &f64)| {
                    let kept = if mode == Mode::Necessary { 1.0 - m } else { *m };
                    kept + (1.0 - kept) * r
                };
                let masks: Vec<f64> = top.masks.iter().zip(&restored).map(mask).collect();
                let (f, _) = field.on(1, &masks, |_| 1.0);
                match (objective, mode) {
                    (Objective::Cmd, Mode::Sufficient) => (1.0 - f).abs(),
                    (Objective::Cmd, Mode::Necessary) => f.abs(),
                    (_, Mode::Sufficient) => -f,
                    (_, Mode::Necessary) => f,
                }
            };
            let mut central = |h: f64| (loss(h) - loss(-h)) / (2.0 * h);
            let (wide, narrow) = (central(2e-4), central(1e-4));
            // Central differences are off by the square of their width, and by rounding.
            let off = (wide - narrow).abs() + 1e-9;
            let top = TopK::of(&at, 0.4 * n as f64);
            let moved = gradient(&mut field, 1, learning, &top, &mut restored.clone());
            let slope: f64 = moved.iter().zip(&way).map(|(g, w)| g * w).sum();
            assert!(
                slope.abs() > 1e-3 && off < 1e-4 * slope.abs(),
                "{name} {mode:?}: {slope} {off}"
            );
            assert!((slope - narrow).abs() <= off, "{name} {mode:?}: {slope} {narrow} {off}");
        }
    }
}

/// From equal scores, the mean step over all sizes is the integral of the masks' derivatives with
/// the weight of the sizes, up to a constant and a factor (theorem 1 of the paper).
#[test]
fn the_first_step_is_a_weighted_integral() {
    let setting = Setting::fixture("gpt2-tiny", 2);
    let b = setting.ask(Metric::LogitDiff);
    let span = span(&b);
    let mut field = Field::new(&b, &span).expect("it fits");
    let n = b.graph.edges();
    for &(name, sizes) in Sizes::ALL {
        let learning = Learning { sizes, ..Learning::default() };
        let draws = 400;
        let mut step = vec![0.0; n];
        for i in 0..draws {
            let k = sizes.quantile((i as f64 + 0.5) / draws as f64, n);
            let top = TopK::of(&vec![0.0; n], k);
            let moved = gradient(&mut field, 0, learning, &top, &mut vec![0.0; n]);
            step.iter_mut().zip(moved).for_each(|(s, g)| *s -= g);
        }
        let integral = mask_ig::weighted(&b, sizes, 8, 1e-9, &mut |_| {}).expect("it fits");
        let alike = pearson(&step, &integral.values).expect("scores that differ");
        let plain = mask_ig::weighted(&b, Sizes::Logit, 8, 1e-9, &mut |_| {}).expect("it fits");
        // The sum over sizes is a midpoint rule, and the sizes leave out an edge at both ends.
        assert!(alike > 1.0 - 1e-4, "{name}: {alike}");
        let other = pearson(&step, &plain.values).expect("scores that differ");
        assert!(sizes == Sizes::Logit || other < alike, "{name}: {other} {alike}");
    }
}

/// The true edges come first, whatever is lowered: no other edge has any effect.
#[test]
fn compiled_circuits_come_first() {
    let trend = ["input->a0.h0<v>", "input->m0", "a0.h0->m0", "m0->logits"];
    let setting = Setting::fixture("tracr/trend", usize::MAX);
    for (metric, objective, mode) in [
        (Metric::LogitDiff, Objective::Metric, Mode::Sufficient),
        (Metric::LogitDiff, Objective::Cmd, Mode::Sufficient),
        (Metric::LogitDiff, Objective::Kl, Mode::Sufficient),
        (Metric::L2, Objective::Worst, Mode::Sufficient),
        (Metric::L2, Objective::Metric, Mode::Necessary),
    ] {
        let b = setting.ask(metric);
        let learning = Learning { objective, mode, rankings: 2, ..Learning::default() };
        let found = scores(&b, learning, 150, 3);
        let mut order: Vec<usize> = (0..b.graph.edges()).collect();
        order.sort_by(|&i, &j| found.values[j].total_cmp(&found.values[i]));
        let mut first: Vec<String> =
            order[..4].iter().map(|&e| b.graph.edge(e).to_string()).collect();
        first.sort();
        let mut known = trend;
        known.sort_unstable();
        assert_eq!(first, known, "{metric:?} {objective:?} {mode:?}: {found:?}");
        let gap = found.values[order[3]] - found.values[order[4]];
        let errors = found.standard_errors.expect("of two rankings");
        assert!(gap > 2.0 * errors[order[3]].max(errors[order[4]]), "{gap} {errors:?}");
        assert_eq!(found.values[*order.last().expect("edges")], 0.0);
    }
}

#[test]
fn a_seed_gives_the_same_bits_with_any_number_of_threads() {
    let setting = Setting::fixture("gpt2-tiny", 4);
    let run = |threads: usize, seed: u64| {
        let mut b = setting.ask(Metric::LogitDiff);
        b.rows = 2 * b.pairs[0].clean.len();
        let learning = Learning { objective: Objective::Worst, ..Learning::default() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let learn = || scores(&b, learning, 6, seed);
        let found = pool.expect("a pool").install(learn);
        found.values.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    let once = run(1, 3);
    assert_eq!(once, run(3, 3));
    assert_ne!(once, run(1, 4));
}

/// What the last doubling has moved is at least the error that is left, edge by edge, as nodes
/// converge geometrically; without a doubling there is no estimate.
#[test]
fn the_last_doubling_holds_the_error_of_each_edge() {
    let setting = Setting::fixture("gpt2-tiny", 3);
    let b = setting.ask(Metric::LogitDiff);
    let found = mask_ig::scores(&b, 1, 1e-4, 1, &mut |_| {}).expect("it fits");
    let exact = mask_ig::scores(&b, 64, 1e-4, 1, &mut |_| {}).expect("it fits");
    assert_eq!(exact.last_doubling, None);
    let moved = found.last_doubling.expect("a node is not enough");
    let largest = exact.values.iter().fold(0.0f64, |m, s| m.max(s.abs()));
    for (e, moved) in moved.iter().enumerate() {
        let error = (found.values[e] - exact.values[e]).abs();
        // Rounding, and edges whose two errors happen to be alike.
        assert!(error <= moved + 1e-4 * largest, "edge {e}: {error:e} {moved:e}");
    }
}

/// The names of the four edges of largest score.
fn first_four(b: &Behaviour<'_, f64>, values: &[f64]) -> Vec<String> {
    let mut order: Vec<usize> = (0..b.graph.edges()).collect();
    order.sort_by(|&i, &j| values[j].total_cmp(&values[i]));
    let mut first: Vec<String> = order[..4].iter().map(|&e| b.graph.edge(e).to_string()).collect();
    first.sort();
    first
}

/// Other masks by the same loop. Whole nodes cannot tell apart the edges between two of them: the
/// head and the MLP of `trend` are both needed, and so are all edges between them and their ends.
#[test]
fn other_masks_find_compiled_circuits() {
    let setting = Setting::fixture("tracr/trend", usize::MAX);
    let b = setting.ask(Metric::L2);
    for method in [Method::Ugs, Method::Bottleneck, Method::NodePruning] {
        let options = Options { steps: 300, seed: 3, ..method.options() };
        let found = method.scores(&b, &options, &mut |_| {}).expect("it runs").values;
        if method == Method::NodePruning {
            let of = |name: &str| {
                let e = (0..found.len()).find(|&e| b.graph.edge(e).to_string() == name);
                found[e.expect("an edge")]
            };
            let others = (0..found.len()).map(|e| (b.graph.edge(e).to_string(), found[e]));
            let idle = others.filter(|(name, _)| name.contains("h1") || name.contains("a1"));
            let largest = idle.map(|(_, s)| s).fold(f64::NEG_INFINITY, f64::max);
            assert!(of("a0.h0->m0") > largest, "{found:?}");
            continue;
        }
        let mut known = ["input->a0.h0<v>", "input->m0", "a0.h0->m0", "m0->logits"];
        known.sort_unstable();
        assert_eq!(first_four(&b, &found), known, "{method:?}: {found:?}");
    }
}

#[test]
fn held_out_pairs_stop_a_ranking_that_no_longer_gains() {
    let setting = Setting::fixture("tracr/trend", 12);
    let b = setting.ask(Metric::L2);
    let learning = Learning { held_out: 4, ..Learning::default() };
    let found = scores(&b, learning, 5000, 3);
    let steps = found.steps.expect("the best look");
    assert!(steps.is_multiple_of(LOOK) && steps < 5000, "{steps}");
    let options =
        Options { learning: Learning { held_out: 12, ..learning }, ..Method::Matryoshka.options() };
    let none = Method::Matryoshka.scores(&b, &options, &mut |_| {}).expect_err("none are left");
    assert!(none.to_string().contains("12 of 12 pairs"), "{none}");
}

/// The start is the order of a file's scores, and no step away from it has no other.
#[test]
fn masks_start_where_they_are_told() {
    assert_eq!(log_odds(&[2.0; 5]), [0.0; 5]);
    let odds = log_odds(&[-3.0, 1.0, f64::NAN]);
    // Logarithms of ratios that are rounded once or twice.
    for (odds, want) in odds.into_iter().zip([5f64.ln(), 0.0, -(5f64.ln())]) {
        assert!((odds - want).abs() < 4.0 * f64::EPSILON, "{odds} {want}");
    }
    let setting = Setting::fixture("gpt2-tiny", 2);
    let b = setting.ask(Metric::LogitDiff);
    let first = normal(b.graph.edges(), 0);
    let options =
        Options { init: Some(log_odds(&first)), steps: 1, ..Method::Matryoshka.options() };
    let found = Method::Matryoshka.scores(&b, &options, &mut |_| {}).expect("it runs").values;
    let sizes: Vec<f64> = first.iter().map(|s| s.abs()).collect();
    // A step of Adam moves a score by its rate at most.
    let alike = crate::stats::spearman(&sizes, &found).expect("scores that differ");
    assert!(alike > 0.99, "{alike}");
}
