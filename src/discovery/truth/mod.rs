//! Comparison of scores and circuits with a known true circuit.
//!
//! A circuit is judged by its true and false edges ([`Confusion`]). Scores are judged by how they
//! rank true edges above all others, over all thresholds ([`auroc`]) or at the true size
//! ([`at_true_size`]). [`mib_auroc`] is the figure that the MIB benchmark reports for its models
//! with known circuits. It differs from `auroc`: it uses ten sizes only, drops edges that are not
//! connected, and its curve need not begin at the origin.

pub mod case;
pub mod gates;

use crate::discovery::select::{Rank, first, greedy_order};
use crate::graph::Graph;
use crate::graph::connect::Flow;
use crate::rng::{Purpose, Rng};
use crate::stats;

/// The stream of random numbers that resamples of edges are drawn from.
const RESAMPLES: u32 = 6;

/// The confusion matrix of a circuit and the truth.
///
/// ```
/// use edgegrad::discovery::truth::Confusion;
/// let c = Confusion::of(&[true, true, false, false], &[true, false, true, false]);
/// assert_eq!((c.precision(), c.recall(), c.f1()), (0.5, 0.5, 0.5));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// In the circuit and in the truth.
    pub true_positive: usize,
    /// In the circuit, not in the truth.
    pub false_positive: usize,
    /// Not in the circuit, in the truth.
    pub false_negative: usize,
    /// In neither.
    pub true_negative: usize,
}

impl Confusion {
    /// Counts the edges of the circuit `kept [E]` against `truth [E]`.
    ///
    /// # Panics
    /// If the lengths differ.
    #[track_caller]
    pub fn of(kept: &[bool], truth: &[bool]) -> Confusion {
        assert_eq!(kept.len(), truth.len(), "two circuits of one graph");
        let mut c = Confusion::default();
        for (&kept, &is) in kept.iter().zip(truth) {
            *match (kept, is) {
                (true, true) => &mut c.true_positive,
                (true, false) => &mut c.false_positive,
                (false, true) => &mut c.false_negative,
                (false, false) => &mut c.true_negative,
            } += 1;
        }
        c
    }

    /// The share of the circuit that is true; 1 for a circuit without edges.
    pub fn precision(&self) -> f64 {
        share(self.true_positive, self.true_positive + self.false_positive)
    }

    /// The share of the truth that the circuit holds; 1 for a truth without edges.
    pub fn recall(&self) -> f64 {
        share(self.true_positive, self.true_positive + self.false_negative)
    }

    /// The harmonic mean of precision and recall, `2 TP / (2 TP + FP + FN)`; 1 if neither circuit
    /// nor truth has an edge.
    pub fn f1(&self) -> f64 {
        let wrong = self.false_positive + self.false_negative;
        share(2 * self.true_positive, 2 * self.true_positive + wrong)
    }

    /// The share of all false edges that the circuit holds; 0 if all edges are true.
    pub fn false_positive_rate(&self) -> f64 {
        let negative = self.false_positive + self.true_negative;
        if negative == 0 { 0.0 } else { self.false_positive as f64 / negative as f64 }
    }
}

/// `part / whole`, 1 for 0 / 0.
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// The area under the curve of the true positive rate over the false positive rate, over all
/// thresholds on `values [E]`, from (0, 0) to (1, 1).
///
/// It is the probability that a true edge has a larger value than a false one, where equal values
/// count half (the Mann-Whitney `U` over the number of pairs): 1/2 for values without information.
/// Pass absolute values of scores if large scores of either sign mean that an edge matters. NaN, an
/// edge without a score, is the lowest value, equal to other NaN and to minus infinity.
///
/// `None` if all edges are true or none is.
///
/// # Panics
/// If the lengths differ.
#[track_caller]
pub fn auroc(values: &[f64], truth: &[bool]) -> Option<f64> {
    assert_eq!(values.len(), truth.len(), "a value for each edge");
    let of = |class: bool| -> Vec<f64> {
        let value = |x: f64| if x.is_nan() { f64::NEG_INFINITY } else { x };
        values.iter().zip(truth).filter(|&(_, &is)| is == class).map(|(&x, _)| value(x)).collect()
    };
    stats::auroc(&of(true), &of(false))
}

/// The 95 % percentile interval of [`auroc`] over `resamples` of the true edges and of the others,
/// each drawn apart.
///
/// Edges of one model are no independent sample: it says how much the area hangs on single edges,
/// not what it is on another model. `None` if all edges are true or none is.
///
/// # Panics
/// If the lengths differ.
pub fn auroc_interval(
    values: &[f64],
    truth: &[bool],
    resamples: usize,
    seed: u64,
) -> Option<[f64; 2]> {
    assert_eq!(values.len(), truth.len(), "a value for each edge");
    let of = |class: bool| (0..truth.len()).filter(|&e| truth[e] == class).collect::<Vec<_>>();
    let classes = [of(true), of(false)];
    if classes.iter().any(Vec::is_empty) {
        return None;
    }
    let mut rng = Rng::new(seed, Purpose::Sample, RESAMPLES);
    let mut drawn: Vec<f64> = (0..resamples)
        .filter_map(|_| {
            let mut list = vec![];
            for class in &classes {
                list.extend(
                    (0..class.len()).map(|_| class[rng.below(class.len() as u64) as usize]),
                );
            }
            let (values, truth): (Vec<f64>, Vec<bool>) =
                list.into_iter().map(|e| (values[e], truth[e])).unzip();
            auroc(&values, &truth)
        })
        .collect();
    drawn.sort_by(f64::total_cmp);
    Some([stats::quantile(&drawn, 0.025)?, stats::quantile(&drawn, 0.975)?])
}

/// The circuit of the `n` edges of largest `|score|` against a truth of `n` edges: precision,
/// recall and F1 are equal there.
///
/// # Panics
/// If the lengths differ.
#[track_caller]
pub fn at_true_size(scores: &[f64], truth: &[bool]) -> Confusion {
    assert_eq!(scores.len(), truth.len(), "a score for each edge");
    let n = truth.iter().filter(|&&is| is).count();
    Confusion::of(&first(&Rank::Abs.order(scores), n, scores.len()), truth)
}

/// MIB's sizes of circuits, as shares of all edges.
pub const MIB_SHARES: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

/// MIB's area under the curve of its models with known circuits, from `scores [E]` and `truth [E]`.
///
/// Circuits of [`MIB_SHARES`] of all edges (rounded down) are grown greedily from the logits by
/// `|score|`, edges that are not connected are dropped, and the rates of the result are points of a
/// curve. The area is that of the trapezoids between the points, with the false positive rates
/// divided by the last one. Nothing joins the first point to the origin: if even the smallest
/// circuit holds false edges, the area to the left of it is missing.
///
/// `None` if all edges are true or none is, or if no circuit holds a false edge.
///
/// # Panics
/// If the lengths are not E.
#[track_caller]
pub fn mib_auroc(graph: &Graph, scores: &[f64], truth: &[bool]) -> Option<f64> {
    assert!(scores.len() == graph.edges() && truth.len() == graph.edges(), "one for each edge");
    if truth.iter().all(|&is| is) || !truth.contains(&true) {
        return None;
    }
    let order = greedy_order(graph, scores, Rank::Abs);
    let flow = Flow::new(graph);
    let point = |share: f64| {
        let kept = first(&order, (share * scores.len() as f64) as usize, scores.len());
        let c = Confusion::of(&flow.connected(&kept), truth);
        (c.false_positive_rate(), c.recall())
    };
    let curve = MIB_SHARES.map(point);
    let last = curve[curve.len() - 1].0;
    let area = |w: &[(f64, f64)]| 0.5 * (w[0].1 + w[1].1) * (w[1].0 - w[0].0) / last;
    (last > 0.0).then(|| curve.windows(2).map(area).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Granularity;
    use crate::nn::transformer::Config;
    use proptest::prelude::*;

    /// One layer of one head and an MLP: 8 edges.
    fn small() -> Graph {
        let config = Config { layers: 1, heads: 1, kv_heads: 1, ..Config::gpt2_small() };
        Graph::of_transformer(&config, Granularity::default())
    }

    /// `of` of each edge's name.
    fn by_name<T>(graph: &Graph, of: impl Fn(&str) -> T) -> Vec<T> {
        (0..graph.edges()).map(|e| of(&graph.edge(e).to_string())).collect()
    }

    #[test]
    fn counts_by_hand() {
        let kept = [true, true, true, false, false, false];
        let c = Confusion::of(&kept, &[true, false, false, true, false, false]);
        let want =
            Confusion { true_positive: 1, false_positive: 2, false_negative: 1, true_negative: 2 };
        assert_eq!(c, want);
        assert_eq!((c.precision(), c.recall(), c.f1()), (1.0 / 3.0, 0.5, 0.4));
        assert_eq!(c.false_positive_rate(), 0.5);
    }

    #[test]
    fn empty_circuits_and_truths() {
        let [none, all] = [[false; 3], [true; 3]];
        let figures = |kept: &[bool], truth: &[bool]| {
            let c = Confusion::of(kept, truth);
            (c.precision(), c.recall(), c.f1(), c.false_positive_rate())
        };
        assert_eq!(figures(&none, &none), (1.0, 1.0, 1.0, 0.0));
        assert_eq!(figures(&none, &all), (1.0, 0.0, 0.0, 0.0));
        assert_eq!(figures(&all, &none), (0.0, 1.0, 0.0, 1.0));
        assert_eq!(figures(&all, &all), (1.0, 1.0, 1.0, 0.0));
        assert_eq!(Confusion::of(&[], &[]).f1(), 1.0);
    }

    #[test]
    fn areas_by_hand() {
        let truth = [true, false, true, false, false];
        // 3 over 2, 1, 0; 1 over 0, equal to 1: 4 1/2 of 6 pairs.
        assert_eq!(auroc(&[3.0, 2.0, 1.0, 1.0, 0.0], &truth), Some(4.5 / 6.0));
        assert_eq!(auroc(&[5.0, 1.0, 4.0, 2.0, 3.0], &truth), Some(1.0));
        assert_eq!(auroc(&[0.0, -0.0, 0.0, 0.0, -0.0], &truth), Some(0.5));
        // Without a score the first true edge equals two of the three false ones; the second is
        // above these two.
        let values = [f64::NAN, f64::NAN, 0.0, 1.0, f64::NEG_INFINITY];
        assert_eq!(auroc(&values, &truth), Some((0.5 + 0.5 + 2.0) / 6.0));
        assert_eq!(auroc(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(auroc(&[1.0, 2.0], &[false, false]), None);
        assert_eq!(auroc(&[], &[]), None);
    }

    #[test]
    fn intervals_are_those_of_resamples_by_hand() {
        // In 1 of 4 resamples both true edges are the one above all others: the area is 1. In 1 of
        // 4 both are the other, and in 5 of 16 of these it is above one of four others at most.
        let truth = [true, true, false, false, false, false];
        let values = [5.0, 2.0, 1.0, 1.0, 3.0, 3.0];
        let [low, high] = auroc_interval(&values, &truth, 2000, 3).expect("of both classes");
        assert!(low <= 0.25 && high == 1.0, "{low} {high}");
        assert_eq!(auroc_interval(&[4.0, 1.0, 2.0], &truth[1..4], 50, 0), Some([1.0, 1.0]));
        assert_eq!(auroc_interval(&values, &[false; 6], 50, 0), None);
    }

    #[test]
    fn the_true_size_by_hand() {
        let truth = [true, false, true, false];
        assert_eq!(at_true_size(&[-3.0, 2.0, 1.0, 0.0], &truth).f1(), 0.5);
        assert_eq!(at_true_size(&[-3.0, f64::NAN, 1.0, 0.0], &truth).f1(), 1.0);
        assert_eq!(at_true_size(&[1.0; 4], &[false; 4]).f1(), 1.0);
    }

    /// The eight edges are `input->a0.h0<q>, <k>, <v>`, `input->m0`, `a0.h0->m0` and `input`,
    /// `a0.h0`, `m0->logits`; the sizes of circuits are 0 seven times, then 1, 4 and 8.
    #[test]
    fn points_of_mib_by_hand() {
        let graph = small();
        assert_eq!(graph.edges(), 8);
        let true_edges = ["input->m0", "m0->logits"];
        let truth = by_name(&graph, |name| true_edges.contains(&name));
        // Size 1 takes m0->logits, which has no path from the input; size 4 adds input->m0,
        // a0.h0->m0 (which has none either) and input->logits: 2 of 2 true ones, 1 of 6 others.
        // Size 8 has all. From (0, 0) to (1/6, 1) and on to (1, 1).
        let scores = by_name(&graph, |name| match name {
            "m0->logits" => 9.0,
            "input->m0" => -8.0,
            "a0.h0->m0" => 7.0,
            "input->logits" => 6.0,
            _ => 0.0,
        });
        let want = 0.5 / 6.0 + 5.0 / 6.0;
        let got = mib_auroc(&graph, &scores, &truth).expect("defined");
        assert!((got - want).abs() < 1e-15, "{got} {want}");
        // All thresholds rank the true edges first.
        let sizes: Vec<f64> = scores.iter().map(|s| s.abs()).collect();
        assert_eq!(auroc(&sizes, &truth), Some(1.0));
        // With input->logits first, size 1 is a whole path at (1/6, 0), and size 4 adds m0->logits,
        // a0.h0->m0, which is dropped, and input->m0: (1/6, 1).
        let scores = by_name(&graph, |name| match name {
            "input->logits" => 9.0,
            "m0->logits" => 8.0,
            "a0.h0->m0" => 7.0,
            "input->m0" => 6.0,
            _ => 0.0,
        });
        let got = mib_auroc(&graph, &scores, &truth).expect("defined");
        assert!((got - 5.0 / 6.0).abs() < 1e-15, "{got}");
        assert_eq!(mib_auroc(&graph, &scores, &[true; 8]), None);
        assert_eq!(mib_auroc(&graph, &scores, &[false; 8]), None);
    }

    /// The area by its definition: every pair of a true and a false edge.
    fn pair_by_pair(values: &[f64], truth: &[bool]) -> Option<f64> {
        let of = |class: bool| {
            let chosen = values.iter().zip(truth).filter(move |(_, is)| **is == class);
            chosen.map(|(&x, _)| x).collect::<Vec<f64>>()
        };
        let (positive, negative) = (of(true), of(false));
        let won = |x: &f64, y: &f64| if x > y { 1.0 } else { 0.5 * f64::from(u8::from(x == y)) };
        let all: f64 = positive.iter().flat_map(|x| negative.iter().map(move |y| won(x, y))).sum();
        let pairs = positive.len() * negative.len();
        (pairs > 0).then(|| all / pairs as f64)
    }

    /// Few different values, so that many are equal.
    fn edges() -> impl Strategy<Value = (Vec<f64>, Vec<bool>)> {
        let edge = ((-4i32..5).prop_map(f64::from), any::<bool>());
        prop::collection::vec(edge, 0..40).prop_map(|edges| edges.into_iter().unzip())
    }

    proptest! {
        #[test]
        fn areas_count_pairs((values, truth) in edges()) {
            let (a, b) = (auroc(&values, &truth), pair_by_pair(&values, &truth));
            prop_assert_eq!(a.is_some(), b.is_some());
            // Halves and whole numbers below 400 are summed without rounding.
            prop_assert_eq!(a, b);
        }

        #[test]
        fn only_the_order_counts((values, truth) in edges()) {
            let area = auroc(&values, &truth);
            let rising: Vec<f64> = values.iter().map(|x| (0.3 * x).exp() - 7.0).collect();
            prop_assert_eq!(auroc(&rising, &truth), area);
            // Negated, the other edges win.
            let falling: Vec<f64> = values.iter().map(|x| -x).collect();
            let others: Vec<bool> = truth.iter().map(|is| !is).collect();
            prop_assert_eq!(auroc(&falling, &others), area);
            let sum = auroc(&falling, &truth).zip(area).map(|(a, b)| a + b);
            prop_assert!(sum.is_none_or(|s| (s - 1.0).abs() < 4.0 * f64::EPSILON), "{:?}", sum);
        }

        #[test]
        fn unscored_edges_are_last((values, truth) in edges(), at in any::<prop::sample::Index>()) {
            prop_assume!(!values.is_empty());
            let at = at.index(values.len());
            let with = |x: f64| {
                let mut values = values.clone();
                values[at] = x;
                auroc(&values, &truth)
            };
            prop_assert_eq!(with(f64::NAN), with(-5.0));
        }

        #[test]
        fn counts_belong_together((values, truth) in edges(), n in 0usize..40) {
            let kept = first(&Rank::Abs.order(&values), n, values.len());
            let c = Confusion::of(&kept, &truth);
            let Confusion { true_positive, false_positive, false_negative, true_negative } = c;
            let all = true_positive + false_positive + false_negative + true_negative;
            prop_assert_eq!(all, truth.len());
            let other = Confusion::of(&truth, &kept);
            prop_assert_eq!((other.precision(), other.f1()), (c.recall(), c.f1()));
            let (p, r) = (c.precision(), c.recall());
            if true_positive > 0 {
                prop_assert!((c.f1() - 2.0 * p * r / (p + r)).abs() < 4.0 * f64::EPSILON);
            }
            let right = at_true_size(&values, &truth);
            prop_assert_eq!((right.precision(), right.recall()), (right.f1(), right.f1()));
        }

        #[test]
        fn areas_of_mib_depend_on_the_order_of_sizes(
            scores in prop::collection::vec(-1.0..1.0f64, 8),
            n in 1u32..255,
        ) {
            let graph = small();
            let truth: Vec<bool> = (0..8).map(|e| n >> e & 1 == 1).collect();
            let area = mib_auroc(&graph, &scores, &truth).expect("every edge leads to the logits");
            prop_assert!((0.0..=1.0).contains(&area), "{area}");
            let scaled: Vec<f64> = scores.iter().map(|s| -0.25 * s.abs()).collect();
            prop_assert_eq!(mib_auroc(&graph, &scaled, &truth), Some(area));
        }
    }
}
