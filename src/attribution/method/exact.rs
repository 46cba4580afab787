//! Activation patching of every edge, one at a time.
//!
//! ```text
//! score[e] = metric - metric with the baseline on edge e alone
//! ```
//!
//! Ablating an edge changes its reader and what comes after. So the batch holds many copies of the
//! clean run, each with a mask of 0 on another edge. Groups of readers are taken one after the
//! other, and for each only what depends on it is recomputed.

use super::again::Again;
use super::options::Options;
use super::scorer::Scorer;
use crate::attribution::scores::Scores;
use crate::error::Result;
use crate::formats::pairs::Pair;
use crate::graph::MaskShape;
use crate::patching::Progress;
use crate::patching::behaviour::Behaviour;
use crate::patching::metric::Metric;
use crate::patching::probe::Probe;
use crate::simd::Element;
use crate::tape::ForwardPlan;
use std::collections::BTreeSet;
use std::time::Instant;

/// Copies of clean runs, in each of which one edge can be ablated.
struct Copies<'a, T: Element> {
    probe: Probe<T>,
    /// For each group of readers, what depends on its masks.
    plans: Vec<ForwardPlan>,
    pairs: Vec<&'a Pair>,
    /// Pairs at once.
    together: usize,
}

impl<'a, T: Element> Copies<'a, T> {
    fn new(b: &Behaviour<'_, T>, pairs: Vec<&'a Pair>, groups: &[Vec<usize>]) -> Result<Self> {
        let time = pairs[0].clean.len();
        let room = (b.rows / time.max(1)).max(1);
        let together = room.min(pairs.len());
        // No group can use more copies than it has edges.
        let widest = groups.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let batch = together * (room / together).min(widest);
        let probe = Probe::steps(b, batch, pairs[0], MaskShape { per_example: true })?;
        let plan = |g| probe.plan_for(g).without(&probe.program, &probe.recorded.idle);
        let plans = (0..b.graph.groups.len()).map(plan).collect();
        Ok(Copies { probe, plans, pairs, together })
    }

    /// The numbers of pairs and of edges of a group in a step, and of steps.
    fn steps(&self, edges: usize) -> usize {
        let at_once = self.probe.batch / self.together;
        self.pairs.len().div_ceil(self.together) * edges.div_ceil(at_once)
    }
}

/// [`scores`] as a value of [`Method`](super::Method).
pub(super) struct Exact;

impl Scorer for Exact {
    // It compares the clean with partly corrupted runs: every change of any output counts.
    const USUAL_METRIC: Option<Metric> = Some(Metric::L2);
    const APART: bool = true;
    const OTHER_WAY: Option<&'static str> = Some("one by one");

    fn scores<T: Element>(
        b: &Behaviour<'_, T>,
        _: &Options,
        progress: &mut Progress<'_>,
    ) -> Result<Scores> {
        scores(b, progress)
    }

    fn scores_of<T: Element>(
        b: &Behaviour<'_, T>,
        edges: &[usize],
        progress: &mut Progress<'_>,
    ) -> Option<Result<Scores>> {
        Some(some(b, edges, progress))
    }

    fn seconds_of<T: Element>(b: &Behaviour<'_, T>, edges: &[usize]) -> Result<f64> {
        let asked: BTreeSet<usize> = edges.iter().copied().collect();
        estimate(b, &grouped(b, |e| asked.contains(&e)))
    }

    fn sets(edges: usize) -> Option<u128> {
        Some(edges as u128)
    }

    fn passes<T: Element>(b: &Behaviour<'_, T>, _: &Options) -> f64 {
        b.graph.edges() as f64
    }

    // It knows more than the passes: each recomputes only what depends on a reader.
    fn seconds<T: Element>(b: &Behaviour<'_, T>, _: &Options) -> Result<f64> {
        estimate(b, &grouped(b, |_| true))
    }

    fn again<T: Element>(again: &mut Again<'_, T>) {
        again.ablations();
    }
}

/// The scores of all edges, `[E]`.
///
/// # Errors
/// Those of the behaviour's runs.
pub fn scores<T: Element>(b: &Behaviour<'_, T>, progress: &mut Progress<'_>) -> Result<Scores> {
    patched(b, &grouped(b, |_| true), vec![0.0; b.graph.edges()], progress)
}

/// The scores of some edges, `[E]`, NaN for the others: each as [`scores`] has it.
///
/// # Errors
/// Those of the behaviour's runs.
///
/// # Panics
/// If one of them is not in the graph.
pub fn some<T: Element>(
    b: &Behaviour<'_, T>,
    edges: &[usize],
    progress: &mut Progress<'_>,
) -> Result<Scores> {
    let mut start = vec![f64::NAN; b.graph.edges()];
    edges.iter().for_each(|&e| start[e] = 0.0);
    let groups = grouped(b, |e| !start[e].is_nan());
    patched(b, &groups, start, progress)
}

/// The edges that are asked for, by the group of their readers.
fn grouped<T: Element>(b: &Behaviour<'_, T>, asked: impl Fn(usize) -> bool) -> Vec<Vec<usize>> {
    b.graph.groups.iter().map(|group| group.edges().filter(|&e| asked(e)).collect()).collect()
}

/// Adds the scores of the edges of each group to `start [E]`.
fn patched<T: Element>(
    b: &Behaviour<'_, T>,
    groups: &[Vec<usize>],
    start: Vec<f64>,
    progress: &mut Progress<'_>,
) -> Result<Scores> {
    let mut work = b.journal.units("exact", || start);
    let mut done = 0.0;
    for pairs in b.lengths() {
        let share = pairs.len() as f64 * b.weight();
        let mut copies = Copies::new(b, pairs, groups)?;
        let cost = |g: usize, copies: &Copies<'_, T>| {
            (copies.steps(groups[g].len()) * copies.plans[g].len()) as f64
        };
        let whole: f64 = (0..groups.len()).map(|g| cost(g, &copies)).sum();
        let blocks: Vec<Vec<&Pair>> =
            copies.pairs.chunks(copies.together).map(<[_]>::to_vec).collect();
        for block in &blocks {
            let at_once = copies.probe.batch / block.len();
            let list = block.repeat(at_once);
            let probe = &mut copies.probe;
            probe.ask(b, &list);
            probe.set_baselines(b, &list);
            let clean = probe.results(block.len());
            // From the last group to the first, so that most of the first steps are short.
            for (g, all) in groups.iter().enumerate().rev().filter(|(_, all)| !all.is_empty()) {
                for chunk in all.chunks(at_once) {
                    done += share * copies.plans[g].len() as f64 / whole;
                    if work.is_done() {
                        continue;
                    }
                    let set = |probe: &mut Probe<T>, to: T| {
                        for (slot, &e) in chunk.iter().enumerate() {
                            for pair in 0..block.len() {
                                probe.set_mask(slot * block.len() + pair, e, to);
                            }
                        }
                    };
                    set(probe, T::ZERO);
                    probe.program.forward_from(&copies.plans[g]);
                    let results = probe.results(chunk.len() * block.len());
                    set(probe, T::ONE);
                    for (&e, results) in chunk.iter().zip(results.chunks(block.len())) {
                        let falls = clean.iter().zip(results).map(|(c, r)| c - r);
                        work.state[e] += b.weight() * falls.sum::<f64>();
                    }
                    progress(done);
                    work.finish()?;
                }
                // Restores the clean run.
                probe.program.forward_from(&copies.plans[g]);
            }
        }
    }
    Ok(Scores::of(work.state))
}

/// An estimate of the seconds that the edges of these groups will take: one step is timed, and the
/// others are extrapolated by the operations they run.
///
/// # Errors
/// If there is not enough memory.
fn estimate<T: Element>(b: &Behaviour<'_, T>, groups: &[Vec<usize>]) -> Result<f64> {
    let one = |pairs: Vec<&Pair>| {
        let mut copies = Copies::new(b, pairs, groups)?;
        let first = copies.pairs[0];
        copies.probe.ask(b, &[first]);
        copies.probe.run_clean(&[first]);
        let start = Instant::now();
        copies.probe.program.forward();
        let operation =
            start.elapsed().as_secs_f64() / copies.probe.program.operations().count() as f64;
        let groups = groups.iter().zip(&copies.plans);
        let operations = groups.map(|(edges, plan)| copies.steps(edges.len()) * plan.len());
        Ok(operations.sum::<usize>() as f64 * operation)
    };
    b.lengths().into_iter().map(one).sum()
}
