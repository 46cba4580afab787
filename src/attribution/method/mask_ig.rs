//! Integrated gradients along the diagonal of the masks: all edges move from the ablation value to
//! the model together, and the derivative by each mask is integrated.
//!
//! ```text
//! score[e] = integral over alpha from 0 to 1 of d metric / d m_e at m = (alpha, .., alpha)
//! ```
//!
//! By the chain rule the scores sum to `metric(1) - metric(0)`, exactly: *completeness*. So the
//! residual of a quadrature is the error of the sum of all scores, known without knowing the
//! result. It bounds no single score, as errors of opposite sign cancel in it: of 60 random
//! behaviours the largest error of an edge was typically .8 of the residual, and over ten times it
//! in 5 to 7 %. For each score there is what the last doubling of the nodes has moved it by: the
//! error that half as many left, up to that of the result.
//! Gauss-Legendre nodes converge faster than any power where the metric is smooth in `alpha`; their
//! number is doubled until the residual is small enough.
//!
//! Where it is not smooth (rectified linear units have kinks, attention that is nearly hard
//! switches at once), doubling does not converge. But completeness holds on every part `[a, b]` of
//! the path:
//!
//! ```text
//! sum over e of (integral over [a, b] of d metric / d m_e) = metric(b) - metric(a)
//! ```
//!
//! So each part knows its own residual, and the path of each pair is divided where residuals are
//! large, until the sum of them is small enough. Bisection would take log2(1 / tol) steps for each
//! kink. But the tangents from both ends of a part meet at its kink, up to the square of the part's
//! length; cutting closely on both sides of it leaves a small part around the kink and smooth ones
//! beside it.
//!
//! By [rules](crate::tape::rules) other than the derivative's, and with a
//! [weight](Sizes::weight) of each point, the integrals have no such sum. Then the number of nodes
//! is doubled until the scores settle.

use super::again::Again;
use super::options::Options;
use super::scorer::{Scorer, Steps};
use super::sizes::Sizes;
use crate::attribution::scores::Scores;
use crate::error::Result;
use crate::files::journal::{Part, kept};
use crate::formats::Completeness;
use crate::formats::pairs::Pair;
use crate::graph::MaskShape;
use crate::patching::Progress;
use crate::patching::batches::{Pass, Put, plus};
use crate::patching::behaviour::Behaviour;
use crate::patching::cost::BACKWARD;
use crate::patching::metric::Metric;
use crate::patching::probe::Probe;
use crate::simd::Element;
use crate::stats::order;
use crate::tape::Rules;

/// The most nodes on the undivided path.
const WHOLE: usize = 256;

/// Nodes on each part of a divided path.
const NODES: usize = 8;

/// The default of the most nodes on the divided path of one pair.
pub const MOST_NODES: usize = 1 << 16;

/// How near to a kink the path is cut, as a share of the part's length.
const NEAR: f64 = 1.0 / 64.0;

/// Shorter parts are not divided: their ends would hardly differ.
const SHORTEST: f64 = 1e-12;

/// [`scores`] as a value of [`Method`](super::Method).
pub(super) struct MaskIg;

impl Scorer for MaskIg {
    // It compares the clean with partly corrupted runs: every change of any output counts.
    const USUAL_METRIC: Option<Metric> = Some(Metric::L2);
    const STEPS: Option<Steps> = Some(Steps { usual: 4, what: "nodes", grows: true });
    const DIVIDED: bool = true;
    const DERIVES: bool = true;
    const OTHER_WAY: Option<&'static str> = Some("by differences");
    const SIZES: Option<Sizes> = Some(Sizes::Logit);

    fn scores<T: Element>(
        b: &Behaviour<'_, T>,
        options: &Options,
        progress: &mut Progress<'_>,
    ) -> Result<Scores> {
        let Options { steps, tol, most_nodes, learning, .. } = *options;
        match learning.sizes {
            Sizes::Logit => scores(b, steps, tol, most_nodes, progress),
            sizes => weighted(b, sizes, steps, tol, progress),
        }
    }

    fn passes<T: Element>(_: &Behaviour<'_, T>, options: &Options) -> f64 {
        // At least: until the residual is small enough it takes more.
        2.0 * options.steps as f64 * (1.0 + BACKWARD)
    }

    fn again<T: Element>(again: &mut Again<'_, T>) {
        let sizes = again.options.learning.sizes;
        for (alpha, weight) in gauss_legendre(again.nodes.unwrap_or(again.options.steps)) {
            let weight = weight * sizes.weight(alpha);
            again.probe.set_masks(T::from_f64(alpha));
            again.probe.program.forward();
            again.slopes(weight, alpha, &[]);
        }
        again.probe.set_masks(T::ONE);
    }
}

/// The scores of all edges, `[E]`: `first` nodes, doubled until the residual is at most `tol` times
/// the difference of the metric, or as small as rounding allows; then the path is divided, with at
/// most `most_nodes` nodes for each pair.
///
/// # Errors
/// If there is not enough memory; a residual above `tol` is reported in the result.
///
/// # Panics
/// If there are no nodes.
pub fn scores<T: Element>(
    b: &Behaviour<'_, T>,
    first: usize,
    tol: f64,
    most_nodes: usize,
    progress: &mut Progress<'_>,
) -> Result<Scores> {
    if b.rules != Rules::Plain {
        return weighted(b, Sizes::Logit, first, tol, progress);
    }
    let (mut nodes, mut last_doubling) = (first, None);
    let mut before: Option<Vec<f64>> = None;
    loop {
        let whole = integrate(b, Sizes::Logit, nodes, progress)?;
        if let Some(before) = before.replace(whole.scores.clone()) {
            let moved = whole.scores.iter().zip(&before).map(|(a, b)| (a - b).abs());
            last_doubling = Some(moved.collect());
        }
        let Whole { scores, delta, size } = &whole;
        let completeness = Completeness::new(scores, *delta);
        // Rounding leaves an error of this order in the sum, however many nodes there are.
        let floor = 8.0 * T::EPSILON * (size + scores.iter().map(|s| s.abs()).sum::<f64>());
        let target = (tol * delta.abs()).max(floor);
        if completeness.residual().abs() <= target {
            let completeness = Some(completeness);
            let steps = Some(nodes);
            return Ok(Scores { steps, completeness, last_doubling, ..Scores::of(whole.scores) });
        }
        if 2 * nodes > WHOLE {
            return divided(b, *delta, target, most_nodes, progress);
        }
        nodes *= 2;
    }
}

/// The integrals with the [weight](Sizes::weight) of `sizes`, `[E]`, from so many nodes that twice
/// as many move no score by more than `tol` of the largest, or 256 of them: the first step of the
/// ranking that [`matryoshka`](super::matryoshka) learns, up to a constant and a factor.
///
/// # Errors
/// If there is not enough memory.
///
/// # Panics
/// If there are no nodes.
pub fn weighted<T: Element>(
    b: &Behaviour<'_, T>,
    sizes: Sizes,
    first: usize,
    tol: f64,
    progress: &mut Progress<'_>,
) -> Result<Scores> {
    let mut nodes = first;
    let mut scores = integrate(b, sizes, nodes, progress)?.scores;
    loop {
        let before = scores;
        nodes *= 2;
        scores = integrate(b, sizes, nodes, progress)?.scores;
        let largest = scores.iter().fold(0.0f64, |m, s| m.max(s.abs()));
        let moved = scores.iter().zip(&before).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        if moved <= tol.max(8.0 * T::EPSILON) * largest || 2 * nodes > WHOLE {
            return Ok(Scores { steps: Some(nodes), ..Scores::of(scores) });
        }
    }
}

/// The result of a quadrature on the undivided path.
struct Whole {
    scores: Vec<f64>,
    /// `metric(1) - metric(0)`.
    delta: f64,
    /// `|metric(1)| + |metric(0)|`.
    size: f64,
}

/// The integrals from `nodes` nodes.
fn integrate<T: Element>(
    b: &Behaviour<'_, T>,
    sizes: Sizes,
    nodes: usize,
    progress: &mut Progress<'_>,
) -> Result<Whole> {
    let mut work = b.journal.units("mask-ig", || (vec![0.0; b.graph.edges()], 0.0, 0.0));
    let each = |probe: &mut Probe<T>, pairs: &[&Pair], before: usize, put: &mut Put<'_, _>| {
        probe.set_masks(T::ONE);
        probe.set_baselines(b, pairs);
        if before == 0 {
            let clean = probe.total();
            probe.set_masks(T::ZERO);
            probe.program.forward();
            put((vec![], clean - probe.total(), clean.abs() + probe.total().abs()))?;
        }
        for (alpha, weight) in gauss_legendre(nodes).into_iter().skip(before.saturating_sub(1)) {
            let weight = weight * sizes.weight(alpha);
            probe.set_masks(T::from_f64(alpha));
            probe.program.forward();
            probe.backward();
            let mut gradients = probe.mask_gradients();
            gradients.iter_mut().for_each(|g| *g *= weight);
            put((gradients, 0.0, 0.0))?;
        }
        probe.set_masks(T::ONE);
        Ok(())
    };
    let add = |sums: &mut (Vec<f64>, f64, f64), (scores, delta, size)| {
        plus(&mut sums.0, scores);
        sums.1 += delta;
        sums.2 += size;
    };
    // The ends of the path are a unit, and each node is one.
    b.add_up(Pass::Masked(b.rules), (&mut work, 1 + nodes), progress, each, add)?;
    let (scores, delta, size) = work.state;
    Ok(Whole { scores, delta, size })
}

/// The integrals of each pair on parts of its path, whose residuals sum to at most `target` over
/// all pairs, unless that takes too many nodes.
fn divided<T: Element>(
    b: &Behaviour<'_, T>,
    delta: f64,
    target: f64,
    most_nodes: usize,
    progress: &mut Progress<'_>,
) -> Result<Scores> {
    // The scores, the most nodes of a pair and its most parts.
    let mut work = b.journal.units("mask-ig divided", || (vec![0.0; b.graph.edges()], 0, 0));
    let mut done = 0;
    for pairs in b.lengths() {
        let time = pairs[0].clean.len();
        // Divided paths have a few points at a time, and unused room costs as much as used.
        let batch = (b.rows / time.max(1)).clamp(1, 4 * NODES);
        let shape = MaskShape { per_example: true };
        let probe = Probe::masked(b, batch, pairs[0], shape, Rules::Plain)?;
        let mut way = Way { probe, weight: b.weight(), nodes: 0, most_nodes };
        for pair in pairs {
            done += 1;
            if work.is_done() {
                continue;
            }
            way.start(b, pair);
            let levels = b.journal.part("levels");
            let (scores, steps, parts) = &mut work.state;
            *parts = way.divide(target * b.weight(), scores, &levels)?.max(*parts);
            *steps = way.nodes.max(*steps);
            progress(done as f64 * b.weight());
            work.finish()?;
        }
    }
    let (scores, steps, parts) = work.state;
    let completeness = Some(Completeness::new(&scores, delta));
    Ok(Scores { steps: Some(steps), parts: Some(parts), completeness, ..Scores::of(scores) })
}

/// The path of one pair, many points of it at once.
struct Way<T: Element> {
    probe: Probe<T>,
    /// The weight of a pair in the mean.
    weight: f64,
    /// Points computed so far.
    nodes: usize,
    most_nodes: usize,
}

/// A point of the path: the metric and its slope along the path.
#[derive(Clone, Copy)]
struct Point {
    alpha: f64,
    metric: f64,
    slope: f64,
}

kept!(Point { alpha, metric, slope });

/// A part of the path.
#[derive(Clone)]
struct Interval {
    from: Point,
    to: Point,
    /// The integrals of all edges' derivatives.
    integrals: Vec<f64>,
    /// The absolute difference between their sum and that of the metric.
    residual: f64,
}

kept!(Interval { from, to, integrals, residual });

impl Interval {
    /// Where to cut it: on both sides of the kink at which the tangents from both ends meet, or
    /// else in the middle.
    fn cuts(&self) -> Vec<f64> {
        let (a, b) = (self.from, self.to);
        let length = b.alpha - a.alpha;
        let rise = b.metric - a.metric;
        let kink = a.alpha + (b.slope * length - rise) / (b.slope - a.slope);
        let inside =
            |x: &f64| a.alpha + 0.5 * NEAR * length < *x && *x < b.alpha - 0.5 * NEAR * length;
        let around = [kink - NEAR * length, kink + NEAR * length];
        let cuts: Vec<f64> = around.into_iter().filter(inside).collect();
        // NaN if both slopes are equal.
        if cuts.is_empty() || !inside(&kink) {
            return vec![a.alpha + 0.5 * length];
        }
        cuts
    }
}

impl<T: Element> Way<T> {
    fn start(&mut self, b: &Behaviour<'_, T>, pair: &Pair) {
        let list = vec![pair; self.probe.batch];
        self.probe.set_masks(T::ONE);
        self.probe.ask(b, &list);
        self.probe.set_baselines(b, &list);
        self.nodes = 0;
    }

    /// Calls `each` at the points `alphas` in order, with the derivatives by all masks.
    fn visit(&mut self, alphas: &[f64], mut each: impl FnMut(usize, Point, &[f64])) {
        self.nodes += alphas.len();
        let probe = &mut self.probe;
        let mut gradient = vec![0.0; probe.recorded.graph.edges()];
        for (block, alphas) in alphas.chunks(probe.batch).enumerate() {
            probe.set_masks_by(alphas.len(), |i, _| T::from_f64(alphas[i]));
            probe.program.forward();
            probe.backward();
            let metrics = probe.results(alphas.len());
            for (i, (&alpha, metric)) in alphas.iter().zip(metrics).enumerate() {
                for (edges, row) in probe.mask_gradients_of(i) {
                    gradient[edges].iter_mut().zip(row).for_each(|(to, g)| *to = g.to_f64());
                }
                let slope = gradient.iter().sum();
                let point = Point { alpha, metric: self.weight * metric, slope };
                each(block * probe.batch + i, point, &gradient);
            }
        }
    }

    /// Divides the path until the residuals of all parts sum to at most `budget`, adds the
    /// integrals to `scores` and returns the number of parts. After each division, `journal` may
    /// keep how far it has come.
    ///
    /// # Errors
    /// If the process has been asked to stop.
    fn divide(&mut self, mut budget: f64, scores: &mut Vec<f64>, journal: &Part) -> Result<usize> {
        let mut count = 0;
        let mut parts = match journal.found() {
            Some((parts, own, kept)) => {
                (budget, count, self.nodes) = own;
                *scores = kept;
                parts
            }
            None => {
                let mut ends = vec![];
                self.visit(&[0.0, 1.0], |_, point, _| ends.push(point));
                self.compute(&[(ends[0], ends[1])])
            }
        };
        loop {
            // Parts with small residuals are final, as long as they leave half of the budget to the
            // others.
            order::sort_by(&mut parts, |a, b| a.residual.total_cmp(&b.residual));
            let all: f64 = parts.iter().map(|p| p.residual).sum();
            let last = all <= budget || self.nodes > self.most_nodes;
            let (mut left, share) = (vec![], 0.5 * budget);
            let mut spent = 0.0;
            for part in parts {
                let short = part.to.alpha - part.from.alpha < SHORTEST;
                if last || short || spent + part.residual <= share {
                    spent += part.residual;
                    count += 1;
                    scores.iter_mut().zip(&part.integrals).for_each(|(s, x)| *s += x);
                } else {
                    left.push(part);
                }
            }
            if left.is_empty() {
                return Ok(count);
            }
            budget = (budget - spent).max(0.0);
            // In the order of the path, so that sums are the same in every run.
            order::sort_by(&mut left, |a, b| a.from.alpha.total_cmp(&b.from.alpha));
            let cuts: Vec<Vec<f64>> = left.iter().map(Interval::cuts).collect();
            let mut points = vec![];
            self.visit(&cuts.concat(), |_, point, _| points.push(point));
            let mut points = points.into_iter();
            let mut pieces = vec![];
            for (part, cuts) in left.iter().zip(&cuts) {
                let mut from = part.from;
                for to in points.by_ref().take(cuts.len()) {
                    pieces.push((from, to));
                    from = to;
                }
                pieces.push((from, part.to));
            }
            parts = self.compute(&pieces);
            let own = (budget, count, self.nodes);
            journal.keep(|| (parts.clone(), own, scores.clone()))?;
        }
    }

    /// The integrals on the parts of the path between these points.
    fn compute(&mut self, pieces: &[(Point, Point)]) -> Vec<Interval> {
        let rule = gauss_legendre(NODES);
        let edges = self.probe.recorded.graph.edges();
        let part = |&(from, to): &(Point, Point)| Interval {
            from,
            to,
            integrals: vec![0.0; edges],
            residual: 0.0,
        };
        let mut parts: Vec<Interval> = pieces.iter().map(part).collect();
        let inside = |p: &Interval| {
            let (from, length) = (p.from.alpha, p.to.alpha - p.from.alpha);
            rule.iter().map(move |(x, _)| from + length * x).collect::<Vec<f64>>()
        };
        let alphas: Vec<f64> = parts.iter().flat_map(inside).collect();
        self.visit(&alphas, |i, _, gradient| {
            let part = &mut parts[i / NODES];
            let weight = rule[i % NODES].1 * (part.to.alpha - part.from.alpha);
            part.integrals.iter_mut().zip(gradient).for_each(|(s, g)| *s += weight * g);
        });
        for part in &mut parts {
            let sum: f64 = part.integrals.iter().sum();
            part.residual = (sum - (part.to.metric - part.from.metric)).abs();
        }
        parts
    }
}

/// Nodes and weights of the Gauss-Legendre rule on [0, 1]: the roots of the Legendre polynomial
/// `P_n` by Newton's method, and `w = 2 / ((1 - x^2) P_n'(x)^2)`, mapped from [-1, 1].
pub(crate) fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    // P_n and its derivative by the three-term recurrence.
    let legendre = |x: f64| {
        let (mut before, mut p) = (1.0, x);
        for k in 2..=n {
            let k = k as f64;
            (before, p) = (p, ((2.0 * k - 1.0) * x * p - (k - 1.0) * before) / k);
        }
        (p, n as f64 * (x * p - before) / (x * x - 1.0))
    };
    if n == 1 {
        return vec![(0.5, 1.0)];
    }
    let node = |i: usize| {
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        for _ in 0..100 {
            let (p, slope) = legendre(x);
            let step = p / slope;
            x -= step;
            if step.abs() < 1e-16 {
                break;
            }
        }
        let slope = legendre(x).1;
        (0.5 + 0.5 * x, 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..n).rev().map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_exact_for_polynomials() {
        for n in [1, 2, 3, 5, 8, 64, 257] {
            let rule = gauss_legendre(n);
            assert!(rule.windows(2).all(|w| 0.0 < w[0].0 && w[0].0 < w[1].0 && w[1].0 < 1.0));
            for degree in [0, 1, 2 * n - 2, 2 * n - 1] {
                let sum: f64 = rule.iter().map(|(x, w)| w * x.powi(degree as i32)).sum();
                let want = 1.0 / (degree as f64 + 1.0);
                assert!((sum - want).abs() < 1e-13, "{n} nodes, degree {degree}: {sum} {want}");
            }
        }
        // One degree more is not.
        let sum: f64 = gauss_legendre(2).iter().map(|(x, w)| w * x.powi(4)).sum();
        assert!((sum - 0.2).abs() > 1e-3);
    }
}
