//! Hypothesis tests of a circuit (Shi et al. 2024, arXiv 2410.13032).
//!
//! | test | what a circuit should pass | null hypothesis | passed if it |
//! | --- | --- | --- | --- |
//! | equivalence | on each pair circuit and model are as likely to have the larger metric | that is so, up to [`SLACK`] | stands |
//! | independence | what the complement adds says nothing about what the model does | both are independent | stands |
//! | minimality | every edge matters more than most edges of random paths | it does not | falls, for every edge |
//! | sufficiency | the circuit is nearer to the model than most random ones of its make | it is not | falls |
//! | necessity | without it more is lost than without most random ones | it is not so | falls |
//!
//! *Most* is the share [`MOST`]: with `k` of `n` random circuits beaten, the p-value is the chance
//! of so many if each was beaten with that chance. The tests of single edges share the level
//! [`LEVEL`] (Bonferroni).

use crate::graph::Graph;
use crate::graph::connect::Flow;
use crate::patching::span::Span;
use crate::rng::{Purpose, Rng};
use crate::stats;
use serde_json::{Value, json};

/// The level of every test.
pub const LEVEL: f64 = 0.05;

/// How far from even the chance of the larger metric may be in an equivalent circuit.
pub const SLACK: f64 = 0.1;

/// The share of random circuits that one has to beat.
pub const MOST: f64 = 0.9;

/// Permutations of the test of independence.
const PERMUTATIONS: usize = 999;

/// The most pairs that are compared with each other: the test takes their square.
const COMPARED: usize = 400;

/// What a test found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// What was seen: a share of pairs, edges or random circuits, or a measure of dependence.
    pub statistic: f64,
    /// The p-value; of several edges the largest, times their number.
    pub p: f64,
    /// Whether the circuit passes.
    pub passed: bool,
}

/// The circuits that the tests run, beside the circuit, its complement and it without each edge.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// The circuit with a random path from the input to the logits.
    pub longer: Vec<Vec<bool>>,
    /// Each of them without a random edge that the path has added; the same if it adds none.
    pub shorter: Vec<Vec<bool>>,
    /// Complements of random circuits.
    pub complements: Vec<Vec<bool>>,
}

impl Drawn {
    /// As many of each as there are `random [n][E]` circuits.
    pub fn new(graph: &Graph, kept: &[bool], random: &[Vec<bool>], seed: u64) -> Drawn {
        let flow = Flow::new(graph);
        let mut rng = Rng::new(seed, Purpose::Null, u32::MAX);
        let (mut longer, mut shorter) = (vec![], vec![]);
        for _ in random {
            let path = path(&flow, &mut rng);
            let added: Vec<usize> = path.iter().copied().filter(|&e| !kept[e]).collect();
            let mut with = kept.to_vec();
            path.iter().for_each(|&e| with[e] = true);
            let mut without = with.clone();
            if !added.is_empty() {
                without[added[rng.below(added.len() as u64) as usize]] = false;
            }
            longer.push(with);
            shorter.push(without);
        }
        let complement = |circuit: &Vec<bool>| circuit.iter().map(|kept| !kept).collect();
        Drawn { longer, shorter, complements: random.iter().map(complement).collect() }
    }
}

/// The edges of a random path, from the logits back to an input.
fn path(flow: &Flow<'_>, rng: &mut Rng) -> Vec<usize> {
    let (mut node, mut path) = (flow.logits(), vec![]);
    loop {
        let edges = flow.edges_into(node);
        if edges.is_empty() {
            return path;
        }
        let e = edges[rng.below(edges.len() as u64) as usize];
        path.push(e);
        node = flow.source(e);
    }
}

/// Whether the metric of the `circuit [pairs]` is above that of the `model [pairs]` as often as
/// below. Pairs on which both are equal say nothing.
pub fn equivalence(model: &[f64], circuit: &[f64]) -> Finding {
    let above = circuit.iter().zip(model).filter(|(c, m)| c > m).count();
    let below = circuit.iter().zip(model).filter(|(c, m)| c < m).count();
    let n = above + below;
    // The most likely of the chances that the null hypothesis allows is at its end.
    let chance = 0.5 + SLACK;
    let p = at_least(n, above.max(below), chance) + at_least(n, above.max(below), 1.0 - chance);
    let p = if above == below { 1.0 } else { p.min(1.0) };
    let statistic = if n == 0 { 0.5 } else { above as f64 / n as f64 };
    Finding { statistic, p, passed: p > LEVEL }
}

/// Whether what the complement `adds [pairs]` to the metric of a run without any edge is
/// independent of the `model`'s metric `[pairs]`: the Hilbert-Schmidt independence criterion with
/// Gaussian kernels as wide as the median distance, against permutations of the pairs (Gretton et
/// al. 2008).
pub fn independence(model: &[f64], adds: &[f64], seed: u64) -> Finding {
    let n = model.len().min(COMPARED);
    let (k, l) = (centred(&kernel(&model[..n])), kernel(&adds[..n]));
    let mut order: Vec<usize> = (0..n).collect();
    let criterion = |order: &[usize]| -> f64 {
        let row = |i: usize| (0..n).map(|j| k[i * n + j] * l[order[i] * n + order[j]]).sum::<f64>();
        (0..n).map(row).sum::<f64>() / (n * n) as f64
    };
    let seen = criterion(&order);
    let mut rng = Rng::new(seed, Purpose::Sample, 4);
    // Sums of other orders differ by rounding.
    let least = seen - 1e-12 * seen.abs();
    let mut as_large = 0;
    for _ in 0..PERMUTATIONS {
        rng.shuffle(&mut order);
        as_large += usize::from(criterion(&order) >= least);
    }
    let p = stats::p_value(as_large, PERMUTATIONS);
    Finding { statistic: seen, p, passed: p > LEVEL }
}

/// Whether each edge matters more than most of those that random paths add: `drops [edges]` are the
/// changes of the metric without each, `others [n]` those without an edge of a random path.
pub fn minimality(drops: &[f64], others: &[f64]) -> Finding {
    let p =
        |drop: &f64| beats(others.iter().filter(|x| x.abs() < drop.abs()).count(), others.len());
    let of_edges: Vec<f64> = drops.iter().map(p).collect();
    let count = drops.len() as f64;
    let small = of_edges.iter().filter(|p| **p * count <= LEVEL).count();
    let worst = of_edges.iter().copied().fold(0.0, f64::max);
    Finding {
        statistic: if drops.is_empty() { 1.0 } else { small as f64 / count },
        p: (worst * count).min(1.0),
        passed: small == drops.len(),
    }
}

/// Whether the `circuit [pairs]` is nearer to the model than most of the `random [n][pairs]`.
pub fn sufficiency(span: &Span, circuit: &[f64], random: &[Vec<f64>]) -> Finding {
    let off = |values: &[f64]| (1.0 - span.faithfulness(values)).abs();
    let own = off(circuit);
    beaten(random.iter().filter(|r| off(r) > own).count(), random.len())
}

/// Whether the `complement [pairs]` is farther from the model than most complements of random
/// circuits, `others [n][pairs]`.
pub fn necessity(span: &Span, complement: &[f64], others: &[Vec<f64>]) -> Finding {
    let off = |values: &[f64]| (1.0 - span.faithfulness(values)).abs();
    let own = off(complement);
    beaten(others.iter().filter(|o| off(o) < own).count(), others.len())
}

fn beaten(count: usize, of: usize) -> Finding {
    let p = beats(count, of);
    Finding { statistic: count as f64 / of.max(1) as f64, p, passed: p <= LEVEL }
}

/// The chance to beat at least `count` of `of`, each with the chance [`MOST`].
fn beats(count: usize, of: usize) -> f64 {
    at_least(of, count, MOST)
}

/// The chance of at least `k` of `n` successes, each with `chance` between 0 and 1.
fn at_least(n: usize, k: usize, chance: f64) -> f64 {
    let (n, odds) = (n as f64, [libm::log(chance), libm::log(1.0 - chance)]);
    let all = libm::lgamma(n + 1.0);
    let one = |i: f64| {
        let ways = all - libm::lgamma(i + 1.0) - libm::lgamma(n - i + 1.0);
        libm::exp(ways + i * odds[0] + (n - i) * odds[1])
    };
    (k..=n as usize).map(|i| one(i as f64)).sum::<f64>().min(1.0)
}

/// `[n, n]`, Gaussian, as wide as the median distance.
fn kernel(values: &[f64]) -> Vec<f64> {
    let apart = |a: f64| values.iter().map(move |b| (a - b).abs());
    let some: Vec<f64> = values.iter().flat_map(|&a| apart(a)).filter(|d| *d > 0.0).collect();
    let width = stats::median(&some).unwrap_or(1.0);
    let near = |d: f64| libm::exp(-0.5 * (d / width).powi(2));
    values.iter().flat_map(|&a| apart(a).map(near)).collect()
}

/// `k [n, n]` less the means of its rows and columns.
fn centred(k: &[f64]) -> Vec<f64> {
    let n = k.len().isqrt();
    let means: Vec<f64> = k.chunks_exact(n).map(|row| row.iter().sum::<f64>() / n as f64).collect();
    let mean = means.iter().sum::<f64>() / n as f64;
    let at = |(i, x): (usize, &f64)| x - means[i / n] - means[i % n] + mean;
    k.iter().enumerate().map(at).collect()
}

/// The metric of each pair under the circuits that the tests draw, `[n][pairs]` each.
pub struct DrawnRuns {
    longer: Vec<Vec<f64>>,
    shorter: Vec<Vec<f64>>,
    complements: Vec<Vec<f64>>,
}

/// The circuit, `[pairs]`, and what it is compared with.
pub struct Compared<'a> {
    /// The circuit.
    pub circuit: &'a [f64],
    /// All other edges.
    pub complement: &'a [f64],
    /// The circuit without each of its edges.
    pub one_less: &'a [Vec<f64>],
    /// Random circuits of its make.
    pub random: &'a [Vec<f64>],
}

impl DrawnRuns {
    /// The circuits to run, in the order in which [`read`](Self::read) takes their values.
    pub fn circuits(drawn: Drawn) -> impl Iterator<Item = Vec<bool>> {
        let Drawn { longer, shorter, complements } = drawn;
        longer.into_iter().chain(shorter).chain(complements)
    }

    /// Takes the values of `count` circuits of each kind.
    pub fn read(values: &mut impl Iterator<Item = Vec<f64>>, count: usize) -> DrawnRuns {
        let mut next = || values.by_ref().take(count).collect();
        DrawnRuns { longer: next(), shorter: next(), complements: next() }
    }

    /// What each test found.
    pub fn judge(&self, span: &Span, runs: &Compared<'_>, seed: u64) -> [Tested; 5] {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let whole = mean(runs.circuit);
        let drops: Vec<f64> = runs.one_less.iter().map(|values| whole - mean(values)).collect();
        // Without any edge a pair has its corrupted run's metric, which goes with the model's.
        let added = runs.complement.iter().zip(&span.nothing).map(|(x, nothing)| x - nothing);
        let added: Vec<f64> = added.collect();
        let both = self.longer.iter().zip(&self.shorter);
        let others: Vec<f64> = both.map(|(long, short)| mean(long) - mean(short)).collect();
        let rows = [
            (
                "equivalence",
                "share of pairs above the model",
                equivalence(&span.clean, runs.circuit),
                ["the circuit cannot be told from the model", "it differs from the model"],
            ),
            (
                "independence",
                "dependence of what the rest adds",
                independence(&span.clean, &added, seed),
                ["the rest says nothing of the model", "the rest still knows"],
            ),
            (
                "minimality",
                "share of edges that matter",
                minimality(&drops, &others),
                ["every edge matters", "some edges matter no more than random ones"],
            ),
            (
                "sufficiency",
                "random circuits beaten",
                sufficiency(span, runs.circuit, runs.random),
                ["nearer to the model than random ones", "random ones come as near"],
            ),
            (
                "necessity",
                "random ablations beaten",
                necessity(span, runs.complement, &self.complements),
                ["more is lost without it", "random ablations lose as much"],
            ),
        ];
        rows.map(|(name, of, finding, verdicts)| Tested { name, of, finding, verdicts })
    }
}

/// A test and what it found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tested {
    /// Its name.
    pub name: &'static str,
    /// What its statistic is of.
    pub of: &'static str,
    /// What it found.
    pub finding: Finding,
    /// What that means: of a circuit that passes, and of one that does not.
    pub verdicts: [&'static str; 2],
}

/// What a file of results says of tests.
pub fn tests_report(tests: &[Tested]) -> Value {
    let found = tests.iter().map(|test| {
        let Finding { statistic, p, passed } = test.finding;
        (test.name.into(), json!({ "statistic": statistic, "p": p, "passed": passed }))
    });
    Value::Object(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::compiled::{Setting, TREND};
    use crate::patching::behaviour::Baseline;
    use crate::patching::metric::Metric;

    fn normal(rng: &mut Rng, n: usize) -> Vec<f64> {
        (0..n).map(|_| rng.normal()).collect()
    }

    /// Of 4 throws, each a success with .6: 3 or more in .4752 of cases.
    #[test]
    fn tails_by_hand() {
        assert!((at_least(4, 3, 0.6) - 0.4752).abs() < 1e-12);
        assert!((at_least(4, 0, 0.6) - 1.0).abs() < 1e-12);
        assert!((at_least(100, 100, 0.9) - 0.9f64.powi(100)).abs() < 1e-17);
    }

    /// How often a true null hypothesis falls: at most as often as the level says. Of 400 studies
    /// the share of falls has a standard error of .011.
    #[test]
    fn true_hypotheses_stand() {
        let mut rng = Rng::new(2, Purpose::Sample, 0);
        let (mut unequal, mut dependent) = (0, 0);
        for study in 0..400 {
            let model = normal(&mut rng, 40);
            // At the end of what counts as equivalent.
            let sign = |rng: &mut Rng| if rng.uniform() < 0.6 { 1.0 } else { -1.0 };
            let circuit: Vec<f64> = model.iter().map(|m| m + sign(&mut rng)).collect();
            unequal += usize::from(!equivalence(&model, &circuit).passed);
            let other = normal(&mut rng, 40);
            dependent += usize::from(!independence(&model, &other, study).passed);
        }
        let limit = 400.0 * (LEVEL + 3.0 * 0.011);
        assert!(unequal >= 2 && (unequal as f64) < limit, "{unequal}");
        assert!(dependent >= 6 && (dependent as f64) < limit, "{dependent}");
    }

    #[test]
    fn false_hypotheses_fall() {
        let mut rng = Rng::new(3, Purpose::Sample, 0);
        let model = normal(&mut rng, 60);
        let above: Vec<f64> = model.iter().map(|m| m + 0.1).collect();
        assert!(!equivalence(&model, &above).passed);
        assert!(equivalence(&model, &model) == Finding { statistic: 0.5, p: 1.0, passed: true });
        // Dependent, but not correlated.
        let square: Vec<f64> = model.iter().map(|m| m * m + 0.1 * rng.normal()).collect();
        let found = independence(&model, &square, 0);
        assert!(!found.passed && found.p == 0.001, "{found:?}");
        let constant = independence(&model, &[1.0; 60], 0);
        assert!(constant.passed && constant.p == 1.0, "{constant:?}");
        let others: Vec<f64> = (0..200).map(|i| f64::from(i) / 200.0).collect();
        assert!(minimality(&[3.0, -2.0], &others).passed);
        let found = minimality(&[3.0, 0.91], &others);
        assert!(!found.passed && found.statistic == 0.5, "{found:?}");
    }

    /// A true circuit against random ones of its make.
    #[test]
    fn a_compiled_circuit_is_sufficient_and_necessary() {
        let setting = Setting::tracr("trend");
        let b = setting.ask(Metric::LogitDiff, Baseline::Resample);
        let span = Span::new(&b, &b.extremes().expect("they differ")).expect("it fits");
        let kept: Vec<bool> = (0..b.graph.edges())
            .map(|e| TREND.contains(&b.graph.edge(e).to_string().as_str()))
            .collect();
        let random = vec![vec![false; kept.len()]; 100];
        let drawn = Drawn::new(&b.graph, &kept, &random, 1);
        for (longer, shorter) in drawn.longer.iter().zip(&drawn.shorter) {
            let flow = Flow::new(&b.graph);
            assert_eq!(*longer, flow.connected(longer), "a path is connected");
            let less = longer.iter().zip(shorter).filter(|(a, b)| a != b).count();
            assert!(less <= 1 && kept.iter().zip(shorter).all(|(k, s)| !k || *s));
        }
        assert!(drawn.complements.iter().all(|c| c.iter().all(|&kept| kept)));
        let complement = span.nothing.clone();
        let found = sufficiency(&span, &span.clean, &vec![span.nothing.clone(); 100]);
        assert!(found.passed && found.statistic == 1.0, "{found:?}");
        let found = necessity(&span, &complement, &vec![span.clean.clone(); 100]);
        assert!(found.passed && found.statistic == 1.0, "{found:?}");
        assert!(!sufficiency(&span, &span.nothing, &vec![span.clean.clone(); 100]).passed);
    }
}
