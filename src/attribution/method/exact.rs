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
use std::ops::Range;
use std::time::Instant;

/// Copies of clean runs, in each of which one edge can be ablated.
struct Copies<'a, T: Element> {
    probe: Probe<T>,
    /// For each group of readers, what depends on its masks.
    plans: Vec<ForwardPlan>,
    pairs: Vec<&'a Pair>,
    /// Pairs at once.
    together: usize,
    /// The clean run that is loaded, and the last group whose edges were ablated in it.
    loaded: Option<Loaded>,
}

/// A clean run of some pairs.
struct Loaded {
    block: Range<usize>,
    /// The metric of each pair.
    clean: Vec<f64>,
    group: usize,
}

/// Some edges of a group, ablated together in the copies of some pairs.
struct Step {
    /// Which of the lengths of pairs.
    length: usize,
    /// Which pairs of this length.
    block: Range<usize>,
    group: usize,
    /// Which of the edges of the group that are asked for.
    edges: Range<usize>,
}

/// Pairs at once, and examples of a batch.
fn room<T: Element>(b: &Behaviour<'_, T>, pairs: &[&Pair], groups: &[Vec<usize>]) -> [usize; 2] {
    let room = (b.rows / pairs[0].clean.len().max(1)).max(1);
    let together = room.min(pairs.len());
    // No group can use more copies than it has edges.
    let widest = groups.iter().map(Vec::len).max().unwrap_or(1).max(1);
    [together, together * (room / together).min(widest)]
}

impl<'a, T: Element> Copies<'a, T> {
    fn new(b: &Behaviour<'_, T>, pairs: Vec<&'a Pair>, groups: &[Vec<usize>]) -> Result<Self> {
        let [together, batch] = room(b, &pairs, groups);
        let probe = Probe::steps(b, batch, pairs[0], MaskShape { per_example: true })?;
        let plan = |g| probe.plan_for(g).without(&probe.program, &probe.recorded.idle);
        let plans = (0..b.graph.groups.len()).map(plan).collect();
        Ok(Copies { probe, plans, pairs, together, loaded: None })
    }

    /// The falls of the metric without each of some edges, summed over the pairs of a step.
    fn run(&mut self, b: &Behaviour<'_, T>, step: &Step, edges: &[usize]) -> Vec<f64> {
        let block = &self.pairs[step.block.clone()];
        let probe = &mut self.probe;
        match &mut self.loaded {
            Some(loaded) if loaded.block == step.block => {
                if loaded.group != step.group {
                    // Restores the clean run.
                    probe.program.forward_from(&self.plans[loaded.group]);
                    loaded.group = step.group;
                }
            }
            loaded => {
                let list = block.repeat(probe.batch / block.len());
                probe.ask(b, &list);
                probe.set_baselines(b, &list);
                let clean = probe.results(block.len());
                *loaded = Some(Loaded { block: step.block.clone(), clean, group: step.group });
            }
        }
        let set = |probe: &mut Probe<T>, to: T| {
            for (slot, &e) in edges.iter().enumerate() {
                for pair in 0..block.len() {
                    probe.set_mask(slot * block.len() + pair, e, to);
                }
            }
        };
        set(probe, T::ZERO);
        probe.program.forward_from(&self.plans[step.group]);
        let results = probe.results(edges.len() * block.len());
        set(probe, T::ONE);
        let clean = &self.loaded.as_ref().expect("it was loaded").clean;
        let fall = |results: &[f64]| clean.iter().zip(results).map(|(c, r)| c - r).sum::<f64>();
        results.chunks(block.len()).map(fall).collect()
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
    const DIVIDED: bool = true;
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
    let lengths = b.lengths();
    let mut steps: Vec<Step> = vec![];
    for (length, pairs) in lengths.iter().enumerate() {
        let [together, batch] = room(b, pairs, groups);
        for from in (0..pairs.len()).step_by(together) {
            let block = from..pairs.len().min(from + together);
            let at_once = batch / block.len();
            // From the last group to the first, so that most of the first steps are short.
            for (group, all) in groups.iter().enumerate().rev() {
                let chunk = |from| Step {
                    length,
                    block: block.clone(),
                    group,
                    edges: from..all.len().min(from + at_once),
                };
                steps.extend((0..all.len()).step_by(at_once).map(chunk));
            }
        }
    }
    let mut work = b.journal.units("exact", || start);
    let mut last: Option<Copies<'_, T>> = None;
    // The next step that is not counted, the share of all that those before it are, and that of a
    // step by what its plan takes.
    let (mut next, mut done, mut share) = (0, 0.0, 0.0);
    work.shared(
        &vec![1; steps.len()],
        |i, _, put| {
            let step = &steps[i];
            let pairs = &lengths[step.length];
            if last.as_ref().is_none_or(|copies| !std::ptr::eq(copies.pairs[0], pairs[0])) {
                // Only one recording takes memory.
                last = None;
                let copies = last.insert(Copies::new(b, pairs.clone(), groups)?);
                let cost =
                    |g: usize| (copies.steps(groups[g].len()) * copies.plans[g].len()) as f64;
                let whole: f64 = (0..groups.len()).map(cost).sum();
                share = pairs.len() as f64 * b.weight() / whole;
                next = steps.partition_point(|s| s.length < step.length);
                done = lengths[..step.length].iter().map(Vec::len).sum::<usize>() as f64;
                done *= b.weight();
            }
            let copies = last.as_mut().expect("it was recorded");
            let edges = &groups[step.group][step.edges.clone()];
            let falls = copies.run(b, step, edges);
            let passed = steps[next..=i].iter().map(|s| copies.plans[s.group].len());
            done += share * passed.sum::<usize>() as f64;
            next = i + 1;
            progress(done);
            put(falls)
        },
        |scores, i, falls| {
            let Step { group, ref edges, .. } = steps[i];
            for (&e, fall) in groups[group][edges.clone()].iter().zip(falls) {
                scores[e] += b.weight() * fall;
            }
        },
    )?;
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
