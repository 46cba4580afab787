//! A smallest circuit, with the proof that none is smaller.
//!
//! A circuit *holds* if it changes the metric of no pair by more than `tol`:
//! `|M[p](circuit) - M[p](all edges)| <= tol` for every pair `p`. Sizes are tried from 0 upwards,
//! and of each size every set of the candidate edges that is not known to be equivalent to a
//! smaller one. So the first one found is smallest, and nothing is assumed about the metric: adding
//! edges may make a circuit worse.
//!
//! # Which sets are skipped
//!
//! Only sets that run like a smaller set, which was tried before. Call a node *needed* if it is the
//! logits or a kept edge leads from it to a reader of a needed node.
//!
//! **With any baseline, edges into nodes that are not needed do nothing.** Such an edge changes
//! only the output of its reader's node, which reaches other readers only through removed edges,
//! where `x + (b - o)` cancels the output. So a set need be tried only if every edge of it leads
//! into a needed node.
//!
//! **With resampling, edges out of nodes that do not depend on the input do nothing either.** By
//! induction in the order of the computation: take a node without a kept edge from a node that
//! depends on the input. Through every edge it reads what it reads in the corrupted run (through
//! kept edges because their writers write there what they write here). So its output is that of the
//! corrupted run, which is its baseline, and its own edges carry the same whether kept or not. So
//! all needed nodes except the input need a kept edge into them. With other baselines this is
//! wrong: a head that reads only constants still has an output, which need not be its own constant.
//!
//! Together they leave exactly the sets that equal their [connected](super::connect) part. Two runs
//! that are equal in this sense differ by rounding, so `tol` should be larger than that.
//!
//! # How
//!
//! Edges are numbered in the order of the computation. So a walk that chooses edges from the last
//! to the first knows of each whether it leads into a needed node, and chooses no other. Under
//! resampling it backtracks where a needed node can no longer get an edge, or where fewer edges are
//! left to choose than open nodes need. A set is first tried on the pairs that have refuted most
//! sets so far, because any single pair refutes it.
//!
//! Before the walk, edges are removed one at a time as long as the circuit holds, each time the one
//! that changes the metric least. That gives a circuit if the time runs out, and an upper bound for
//! the search.

use super::connect::Flow;
use crate::attribution::Progress;
use crate::error::{Error, Result};
use crate::formats::pairs::{Pair, Pairs};
use crate::graph::Graph;
use crate::patching::behaviour::{Baseline, Behaviour};
use crate::patching::subsets::Sets;
use crate::simd::Element;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// The most candidates; sets of them are the bits of a word. At worst every set smaller than the
/// smallest circuit is tried, so beyond some 24 candidates the circuit must be small, or the time
/// limited.
pub const MOST: usize = 64;

/// The most sets that are computed at once.
const ROOM: usize = 64;

/// Pairs that sets are tried on first.
const FIRST_PAIRS: usize = 2;

/// The bounds of the search.
#[derive(Clone, Debug, PartialEq)]
pub struct MinimalOptions {
    /// By how much the metric of a pair may change, in its unit.
    pub tol: f64,
    /// The time limit, if there is one.
    pub time: Option<Duration>,
    /// The edges that a circuit may have, all others are removed; `None` for all edges of the
    /// graph.
    pub candidates: Option<Vec<usize>>,
}

impl MinimalOptions {
    /// Among all edges of the graph, without a time limit.
    pub fn within(tol: f64) -> MinimalOptions {
        MinimalOptions { tol, time: None, candidates: None }
    }
}

/// The result of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimal {
    /// `[E]`, the smallest circuit that holds among those tried; `None` if none does, perhaps not
    /// even that of all candidates.
    pub circuit: Option<Vec<bool>>,
    /// Whether no smaller circuit holds, or none at all if none was found.
    pub proven: bool,
    /// A lower bound on the edges of every circuit that holds: all smaller ones are refuted.
    pub lower: usize,
    /// The largest change of a pair's metric under the circuit.
    pub change: Option<f64>,
    /// The number of sets of edges tried.
    pub tried: usize,
}

/// A smallest circuit of the candidate edges that changes the metric of every pair by at most
/// `options.tol`; of equally large ones the same in every run.
///
/// # Errors
/// If there are more than [`MOST`] candidates, one is not an edge of the graph, the metric of a
/// pair is NaN with every edge, or there is not enough memory.
pub fn minimal<T: Element>(
    b: &Behaviour<'_, T>,
    options: &MinimalOptions,
    progress: &mut Progress<'_>,
) -> Result<Minimal> {
    let deadline = Deadline::after(options.time);
    let edges = b.graph.edges();
    let candidates = candidates_from_last(options, edges)?;
    let mut trial = Trial::new(b, &candidates, options.tol)?;
    trial.check_clean(b.pairs)?;
    let walk = Walk::new(&b.graph, &candidates, b.baseline == Baseline::Resample);

    let mut best = trial.prune(&walk, deadline)?;
    trial.look_first()?;
    let limit = best.map_or(candidates.len() + 1, |(set, _)| set.count_ones() as usize);
    let (mut lower, mut proven) = (0, true);
    let mut sizes = b.journal.units("sizes", || trial.tried);
    while lower < limit {
        if sizes.is_done() {
            lower += 1;
            continue;
        }
        trial.tried = trial.tried.max(sizes.state);
        match trial.try_size(lower, &walk, deadline)? {
            Outcome::Holds(set) => {
                best = Some(set);
                break;
            }
            Outcome::OutOfTime => {
                proven = false;
                break;
            }
            Outcome::Refuted => lower += 1,
        }
        sizes.state = trial.tried;
        sizes.finish()?;
        progress(lower as f64 / limit as f64);
        if lower < limit && deadline.passed() {
            proven = false;
            break;
        }
    }
    let kept = |set: u64| {
        let mut kept = vec![false; edges];
        let members = candidates.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1);
        members.for_each(|(_, &e)| kept[e] = true);
        kept
    };
    Ok(Minimal {
        circuit: best.map(|(set, _)| kept(set)),
        proven,
        lower,
        change: best.map(|(_, change)| change),
        tried: trial.tried,
    })
}

/// When the search must end, if it must.
#[derive(Clone, Copy)]
struct Deadline(Option<Instant>);

impl Deadline {
    fn after(time: Option<Duration>) -> Deadline {
        Deadline(time.map(|time| Instant::now() + time))
    }

    fn passed(self) -> bool {
        self.0.is_some_and(|end| Instant::now() >= end)
    }
}

/// The candidates of `options` without repetitions, from the logits back.
fn candidates_from_last(options: &MinimalOptions, edges: usize) -> Result<Vec<usize>> {
    let mut candidates = options.candidates.clone().unwrap_or_else(|| (0..edges).collect());
    candidates.sort_unstable_by(|a, b| b.cmp(a));
    candidates.dedup();
    let fail = |message: String, help| Err(Error::input("minimal", message, help));
    if candidates.len() > MOST {
        let message = format!("{} candidate edges, {MOST} are the most", candidates.len());
        return fail(message, "choose those that matter most, such as with --candidates 24");
    }
    if let Some(&e) = candidates.first().filter(|&&e| e >= edges) {
        let message = format!("edge {e} of a graph of {edges}");
        return fail(message, "edges are numbered from 0");
    }
    Ok(candidates)
}

/// What trying all sets of one size came to.
enum Outcome {
    /// The first set that holds, with its change.
    Holds((u64, f64)),
    /// No set of this size holds.
    Refuted,
    /// The time ran out before all were tried.
    OutOfTime,
}

/// Tries sets of candidates.
struct Trial<'b, 'a, T: Element> {
    b: &'b Behaviour<'a, T>,
    sets: Sets<'b, 'a, T>,
    /// A recording for the pairs that sets are tried on first, and their indices.
    first: Option<(Sets<'b, 'a, T>, Vec<usize>)>,
    /// For each edge of the graph, its index among the candidates.
    place: Vec<Option<usize>>,
    /// The metric of all pairs with every edge.
    clean: Vec<f64>,
    /// How many sets each pair has refuted.
    refuted: Vec<usize>,
    tol: f64,
    tried: usize,
}

impl<'b, 'a, T: Element> Trial<'b, 'a, T> {
    fn new(b: &'b Behaviour<'a, T>, candidates: &[usize], tol: f64) -> Result<Self> {
        let pairs: Vec<&Pair> = b.pairs.iter().collect();
        let mut sets = Sets::new(b, &pairs, ROOM)?;
        let clean = sets.per_pair(1, |_, _| true).remove(0);
        let mut place = vec![None; b.graph.edges()];
        candidates.iter().enumerate().for_each(|(i, &e)| place[e] = Some(i));
        let refuted = vec![0; pairs.len()];
        Ok(Trial { b, sets, first: None, place, clean, refuted, tol, tried: 0 })
    }

    /// That the metric of every pair is finite with every edge.
    fn check_clean(&self, pairs: &Pairs) -> Result<()> {
        let Some(i) = self.clean.iter().position(|x| !x.is_finite()) else {
            return Ok(());
        };
        let message = format!("the metric of the clean run is {}", self.clean[i]);
        let help = "the model's numbers are too large or broken; try --dtype f64";
        Err(Error::failed(pairs.place_of(&pairs[i]), message, help))
    }

    /// Removes edges from all candidates, each time the one that changes the metric least, as long
    /// as the circuit holds; the last set that holds, with its change. `None` if not even all
    /// candidates hold.
    ///
    /// # Errors
    /// If the process has been asked to stop.
    fn prune(&mut self, walk: &Walk, deadline: Deadline) -> Result<Option<(u64, f64)>> {
        let candidates = walk.source.len();
        let whole = u64::MAX.checked_shr((MOST - candidates) as u32).unwrap_or(0);
        let part = self.b.journal.part("prune");
        let mut best = None;
        if let Some((kept, refuted, tried)) = part.found() {
            (best, self.refuted, self.tried) = (Some(kept), refuted, tried);
        }
        loop {
            if best.is_some() && deadline.passed() {
                break;
            }
            let next: Vec<u64> = match best {
                None => vec![walk.connected(whole)],
                Some((set, _)) => (0..candidates)
                    .filter(|i| set >> i & 1 == 1)
                    .map(|i| walk.connected(set & !(1 << i)))
                    .collect(),
            };
            let Some(found) = self.best(&next) else { break };
            best = Some(found);
            part.keep(|| (found, self.refuted.clone(), self.tried))?;
        }
        Ok(best)
    }

    /// Tries the sets of `size` candidates until one holds. The clock is read between chunks of as
    /// many sets as are computed at once.
    ///
    /// # Errors
    /// If the process has been asked to stop.
    fn try_size(&mut self, size: usize, walk: &Walk, deadline: Deadline) -> Result<Outcome> {
        let chunk = self.at_once();
        let mut chunks = self.b.journal.units("chunks", || self.tried);
        self.tried = chunks.state;
        let mut stopped = Ok(());
        let mut sets = Vec::with_capacity(chunk);
        let mut found = None;
        let walked = walk.sets(size, &mut |set| {
            sets.push(set);
            if sets.len() < chunk {
                return ControlFlow::Continue(());
            }
            if chunks.is_done() {
                sets.clear();
                return ControlFlow::Continue(());
            }
            found = self.first(&sets);
            sets.clear();
            chunks.state = self.tried;
            // One that holds is found again by who goes on.
            stopped = if found.is_none() { chunks.finish() } else { Ok(()) };
            if stopped.is_err() {
                return ControlFlow::Break(());
            }
            match found.is_some() || deadline.passed() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        if walked.is_continue() && !sets.is_empty() {
            // The last chunk: a time limit that passes after it does not matter.
            found = self.first(&sets);
        }
        stopped?;
        Ok(match found {
            Some(set) => Outcome::Holds(set),
            None if walked.is_break() => Outcome::OutOfTime,
            None => Outcome::Refuted,
        })
    }

    /// From now on tries sets first on the pairs that have refuted most sets so far.
    fn look_first(&mut self) -> Result<()> {
        let b = self.b;
        let mut order: Vec<usize> = (0..self.clean.len()).collect();
        order.sort_by_key(|&p| (std::cmp::Reverse(self.refuted[p]), p));
        order.truncate(FIRST_PAIRS);
        if order.len() < self.clean.len() {
            let pairs: Vec<&Pair> = order.iter().map(|&p| &b.pairs[p]).collect();
            self.first = Some((Sets::new(b, &pairs, ROOM)?, order));
        }
        Ok(())
    }

    /// How many sets are tried at once on the first pairs.
    fn at_once(&self) -> usize {
        self.first.as_ref().map_or(&self.sets, |(sets, _)| sets).at_once()
    }

    /// The largest change of a pair's metric under each of `sets`; infinite for NaN.
    fn changes(&mut self, sets: &[u64]) -> Vec<f64> {
        let place = &self.place;
        let member = |s: usize, e: usize| place[e].is_some_and(|i| sets[s] >> i & 1 == 1);
        let values = self.sets.per_pair(sets.len(), member);
        let worst = |values: &Vec<f64>| {
            let mut worst = 0.0f64;
            for ((x, clean), refuted) in values.iter().zip(&self.clean).zip(&mut self.refuted) {
                let change = if x.is_nan() { f64::INFINITY } else { (x - clean).abs() };
                *refuted += usize::from(change > self.tol);
                worst = worst.max(change);
            }
            worst
        };
        values.iter().map(worst).collect()
    }

    /// The set that holds with the smallest change, the first of equal ones; with its change.
    fn best(&mut self, sets: &[u64]) -> Option<(u64, f64)> {
        self.tried += sets.len();
        let changes = self.changes(sets);
        let holding = sets.iter().copied().zip(changes).filter(|&(_, change)| change <= self.tol);
        holding.reduce(|best, other| if other.1 < best.1 { other } else { best })
    }

    /// The first set that holds, with its change.
    fn first(&mut self, sets: &[u64]) -> Option<(u64, f64)> {
        self.tried += sets.len();
        let mut left = sets.to_vec();
        if let Some((first, pairs)) = &mut self.first {
            let place = &self.place;
            let member = |s: usize, e: usize| place[e].is_some_and(|i| sets[s] >> i & 1 == 1);
            let values = first.per_pair(sets.len(), member);
            let holds = |values: &Vec<f64>| {
                let clean = pairs.iter().map(|&p| self.clean[p]);
                values.iter().zip(clean).all(|(x, clean)| (x - clean).abs() <= self.tol)
            };
            left = sets.iter().zip(&values).filter(|(_, v)| holds(v)).map(|(&s, _)| s).collect();
        }
        let changes = self.changes(&left);
        left.into_iter().zip(changes).find(|&(_, change)| change <= self.tol)
    }
}

/// Walks over the sets of candidates that are equal to their connected part.
struct Walk {
    /// Of each candidate, from the logits back, the node whose output it carries.
    source: Vec<usize>,
    /// Of each candidate, the nodes it leads into.
    ends: Vec<Vec<usize>>,
    /// Of each node, the candidate after which none leads into it; `None` for nodes that need no
    /// edge.
    last: Vec<Option<usize>>,
    logits: usize,
    /// The most nodes that one edge leads into.
    widest: usize,
}

/// The state of a walk.
struct Chosen {
    set: u64,
    /// Of each node, the number of chosen edges out of it.
    from: Vec<u32>,
    /// Of each node, the number of chosen edges into it.
    into: Vec<u32>,
    /// The needed nodes without a chosen edge into them.
    open: Vec<usize>,
}

impl Walk {
    /// Over `candidates`, the last edge of `graph` first; `resample` if a node that does not depend
    /// on the input writes its baseline.
    fn new(graph: &Graph, candidates: &[usize], resample: bool) -> Walk {
        let flow = Flow::new(graph);
        let mut place = vec![None; graph.edges()];
        candidates.iter().enumerate().for_each(|(i, &e)| place[e] = Some(i));
        let mut ends = vec![vec![]; candidates.len()];
        let mut last = vec![None; flow.nodes()];
        for node in 0..flow.nodes() {
            let edges = flow.edges_into(node);
            if resample && node != flow.logits() && !edges.is_empty() {
                // Without a candidate into it, no edge out of it can be chosen.
                last[node] = Some(0);
            }
            for i in edges.into_iter().filter_map(|e| place[e]) {
                ends[i].push(node);
                last[node] = last[node].map(|last: usize| last.max(i + 1));
            }
        }
        let source = candidates.iter().map(|&e| flow.source(e)).collect();
        let widest = ends.iter().map(Vec::len).max().unwrap_or(0);
        Walk { source, ends, last, logits: flow.logits(), widest }
    }

    fn start(&self) -> Chosen {
        let nodes = self.last.len();
        Chosen { set: 0, from: vec![0; nodes], into: vec![0; nodes], open: vec![] }
    }

    /// Whether candidate `i` leads into a needed node.
    fn fits(&self, i: usize, chosen: &Chosen) -> bool {
        self.ends[i].iter().any(|&node| node == self.logits || chosen.from[node] > 0)
    }

    /// Calls `each` with every set of `size` candidates that equals its connected part, always in
    /// the same order; stops when `each` does.
    fn sets(&self, size: usize, each: &mut impl FnMut(u64) -> ControlFlow<()>) -> ControlFlow<()> {
        self.choose(0, size, &mut self.start(), each)
    }

    /// Chooses `left` more from candidate `from` on.
    fn choose(
        &self,
        from: usize,
        left: usize,
        chosen: &mut Chosen,
        each: &mut impl FnMut(u64) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if left == 0 {
            return if chosen.open.is_empty() {
                each(chosen.set)
            } else {
                ControlFlow::Continue(())
            };
        }
        if chosen.open.len() > left * self.widest {
            return ControlFlow::Continue(());
        }
        // The next one must be among those into the open node whose last candidate comes first.
        let open = chosen.open.iter().filter_map(|&node| self.last[node]).min();
        let end = (self.source.len() + 1).saturating_sub(left).min(open.unwrap_or(usize::MAX));
        for i in from..end {
            if !self.fits(i, chosen) {
                continue;
            }
            let opened = chosen.open.clone();
            self.add(i, chosen);
            self.choose(i + 1, left - 1, chosen, each)?;
            chosen.set &= !(1 << i);
            chosen.from[self.source[i]] -= 1;
            self.ends[i].iter().for_each(|&node| chosen.into[node] -= 1);
            chosen.open = opened;
        }
        ControlFlow::Continue(())
    }

    fn add(&self, i: usize, chosen: &mut Chosen) {
        chosen.set |= 1 << i;
        // All edges into a node come after those out of it, so the nodes it closes are open by now.
        self.ends[i].iter().for_each(|&node| chosen.into[node] += 1);
        chosen.open.retain(|&node| chosen.into[node] == 0);
        let from = self.source[i];
        if chosen.from[from] == 0 && self.last[from].is_some() {
            chosen.open.push(from);
        }
        chosen.from[from] += 1;
    }

    /// The connected part of a set: the largest of its subsets that [`sets`](Self::sets) visits.
    fn connected(&self, mut set: u64) -> u64 {
        loop {
            // The edges into needed nodes, from the last to the first.
            let mut chosen = self.start();
            for i in (0..self.source.len()).filter(|i| set >> i & 1 == 1) {
                if self.fits(i, &chosen) {
                    self.add(i, &mut chosen);
                }
            }
            // Edges out of nodes without an edge into them; removing them may isolate others.
            let lone = |i: &usize| chosen.open.contains(&self.source[*i]);
            let before = set;
            set = chosen.set;
            for i in (0..self.source.len()).filter(lone) {
                set &= !(1 << i);
            }
            if set == before {
                return set;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::compiled::{ALTERNATION, FRAC_PREV_X, Setting, TREND, names, sorted};
    use super::*;
    use crate::graph::Granularity;
    use crate::nn::{Activation, pooled, transformer::Config};
    use crate::patching::metric::Metric;
    use crate::patching::subsets;
    use crate::rng::{Purpose, Rng};

    /// Graphs of all kinds: parallel heads, grouped keys, parallel blocks, positions, two starts,
    /// the pooled model.
    fn graphs() -> Vec<Graph> {
        let tiny = Config { layers: 1, heads: 1, kv_heads: 1, ..Config::gpt2_small() };
        let two = Config { heads: 2, kv_heads: 2, d_mlp: 0, ..tiny.clone() };
        let usual = Granularity::default();
        let joined = Granularity { joined_qkv: true, ..usual };
        let placed = Granularity { positions: Some(2), joined_qkv: true, ..usual };
        let pooled = pooled::Config {
            vocab: 3,
            seq_len: 3,
            d_model: 4,
            d_mlp: 6,
            activation: Activation::Relu,
            mlp_bias: true,
            dropout: 0.0,
        };
        vec![
            Graph::of_transformer(&tiny, usual),
            Graph::of_transformer(&two, usual),
            Graph::of_transformer(&Config { kv_heads: 1, ..two.clone() }, usual),
            Graph::of_transformer(&Config { parallel: true, ..tiny.clone() }, usual),
            Graph::of_transformer(&tiny, placed),
            Graph::of_transformer(&Config { layers: 2, ..tiny }, joined),
            Graph::of_pooled(&pooled, usual),
        ]
    }

    /// The sets of a walk are those that equal their connected part, each once; without resampling,
    /// those whose edges all lead to the logits.
    #[test]
    fn walks_show_the_connected_sets() {
        for graph in graphs() {
            let n = graph.edges();
            assert!((6..=16).contains(&n), "{n} edges are too many for all subsets");
            let candidates: Vec<usize> = (0..n).rev().collect();
            let kept =
                |set: u64| -> Vec<bool> { (0..n).map(|e| set >> (n - 1 - e) & 1 == 1).collect() };
            // Every edge of a set leads to the logits if it does so in a graph where inputs lead
            // everywhere.
            let flow = Flow::new(&graph);
            let leads = |kept: &[bool]| {
                let mut live = vec![false; n];
                let mut nodes = vec![flow.logits()];
                while let Some(node) = nodes.pop() {
                    for e in flow.edges_into(node) {
                        if kept[e] && !std::mem::replace(&mut live[e], true) {
                            nodes.push(flow.source(e));
                        }
                    }
                }
                live
            };
            for resample in [true, false] {
                let walk = Walk::new(&graph, &candidates, resample);
                let mut shown = vec![];
                for size in 0..=n {
                    let from = shown.len();
                    let flow = walk.sets(size, &mut |set| {
                        shown.push(set);
                        ControlFlow::Continue(())
                    });
                    assert!(flow.is_continue());
                    assert!(shown[from..].iter().all(|set| set.count_ones() as usize == size));
                }
                shown.sort_unstable();
                let part = |set: u64| {
                    let kept = kept(set);
                    if resample { flow.connected(&kept) } else { leads(&kept) }
                };
                let want: Vec<u64> = (0..1 << n).filter(|&set| part(set) == kept(set)).collect();
                assert_eq!(shown, want, "{n} edges, resample {resample}");
                assert!(want.len() > 2 && want.len() < 1 << n);
                let mut rng = Rng::new(1, Purpose::Sample, 0);
                for _ in 0..200 {
                    let set = rng.bits() & rng.bits() & ((1 << n) - 1) | rng.below(1 << n);
                    assert_eq!(kept(walk.connected(set)), part(set));
                }
            }
        }
    }

    /// Every set of edges runs as its connected part does.
    #[test]
    fn a_set_runs_as_its_connected_part() {
        let setting = Setting::fixture("tracr/trend", 3);
        for baseline in [Baseline::Resample, Baseline::Zero] {
            let b = setting.ask(Metric::LogitDiff, baseline);
            let n = b.graph.edges();
            let candidates: Vec<usize> = (0..n).collect();
            let mut backwards = candidates.clone();
            backwards.reverse();
            let walk = Walk::new(&b.graph, &backwards, baseline == Baseline::Resample);
            let member = |set: u64, e: usize| set >> (n - 1 - e) & 1 == 1;
            let mut sets = Sets::new(&b, &b.pairs.iter().collect::<Vec<_>>(), 32).expect("it fits");
            let values = sets.per_pair(1 << n, |s, e| member(s as u64, e));
            for set in 0..1 << n {
                let part = walk.connected(set);
                for (x, y) in values[set as usize].iter().zip(&values[part as usize]) {
                    assert!((x - y).abs() <= 1e-12 * x.abs().max(1.0), "{set:b} {part:b}: {x} {y}");
                }
            }
        }
    }

    /// Against all 256 subsets of eight edges, at tolerances between the changes they cause.
    #[test]
    fn nothing_smaller_holds() {
        let setting = Setting::fixture("tracr/trend", 6);
        for (metric, baseline) in [
            (Metric::LogitDiff, Baseline::Resample),
            (Metric::Kl, Baseline::Resample),
            (Metric::L2, Baseline::Zero),
            (Metric::L2, Baseline::Mean),
        ] {
            let b = setting.ask(metric, baseline);
            let n = b.graph.edges();
            assert_eq!(n, 8);
            let member = |s: usize, e: usize| s >> e & 1 == 1;
            let values = subsets::per_pair(&b, 1 << n, member, &mut |_| {}).expect("values");
            let clean = &values[(1 << n) - 1];
            let change = |values: &Vec<f64>| {
                let changes = values.iter().zip(clean).map(|(x, c)| (x - c).abs());
                changes.fold(0.0, f64::max)
            };
            let changes: Vec<f64> = values.iter().map(change).collect();
            let mut levels = changes.clone();
            levels.sort_by(f64::total_cmp);
            levels.dedup_by(|a, b| (*a - *b).abs() < 1e-6);
            assert!(levels.len() > 2, "{metric:?}, {baseline:?}: {levels:?}");
            let mut sizes = vec![];
            for pair in levels.windows(2) {
                let tol = 0.5 * (pair[0] + pair[1]);
                let holding = (0..1usize << n).filter(|&s| changes[s] <= tol);
                let want = holding.map(|s| s.count_ones() as usize).min().expect("all edges");
                let found =
                    minimal(&b, &MinimalOptions::within(tol), &mut |_| {}).expect("it runs");
                let circuit = found.circuit.expect("all edges hold");
                let set = (0..n).filter(|&e| circuit[e]).fold(0, |set, e| set | 1 << e);
                assert!(changes[set] <= tol, "{metric:?}, {baseline:?}, {tol}: {set:b}");
                assert!((found.change.expect("a circuit") - changes[set]).abs() < 1e-9);
                assert_eq!(circuit.iter().filter(|&&kept| kept).count(), want);
                assert!(found.proven && found.lower == want && found.tried < 1 << n);
                sizes.push(want);
            }
            sizes.dedup();
            assert!(sizes.len() > 1, "{metric:?}, {baseline:?}: only {sizes:?}");
        }
    }

    /// The circuits of compiled programs, and no smaller ones.
    #[test]
    fn compiled_circuits_are_smallest() {
        let tol = 1e-6;
        for (name, truth) in
            [("trend", &TREND[..]), ("frac_prev_x", &FRAC_PREV_X), ("alternation", &ALTERNATION)]
        {
            let setting = Setting::tracr(name);
            let b = setting.ask(Metric::L2, Baseline::Resample);
            let found = minimal(&b, &MinimalOptions::within(tol), &mut |_| {}).expect("it runs");
            let circuit = found.circuit.expect("all edges hold");
            assert_eq!(names(&b.graph, &circuit), sorted(truth));
            assert!(found.proven && found.lower == truth.len());
            assert!(found.change.expect("a circuit") <= tol);
        }
    }

    /// Two heads that cancel: removing a single edge of them breaks the circuit, removing all does
    /// not.
    #[test]
    fn more_edges_may_be_worse() {
        let setting = Setting::opposites();
        let b = setting.ask(Metric::LogitDiff, Baseline::Resample);
        let pair = |without: &[&str]| {
            let kept = |_, e: usize| !without.contains(&&*b.graph.edge(e).to_string());
            subsets::values(&b, 1, kept, &mut |_| {}).expect("values")[0]
        };
        assert_eq!(
            [pair(&[]), pair(&["a0.h0->logits"]), pair(&["input->a0.h1<v>"])],
            [1.0, 0.0, 2.0]
        );
        let found = minimal(&b, &MinimalOptions::within(0.5), &mut |_| {}).expect("it runs");
        let circuit = found.circuit.expect("all edges hold");
        assert_eq!(names(&b.graph, &circuit), ["input->logits"]);
        assert!(found.proven);
    }

    #[test]
    fn only_candidates_are_kept() {
        let setting = Setting::tracr("trend");
        let b = setting.ask(Metric::L2, Baseline::Resample);
        let number = |name: &&str| {
            let found = (0..b.graph.edges()).find(|&e| b.graph.edge(e).to_string() == **name);
            found.expect("an edge")
        };
        let mut candidates: Vec<usize> = TREND.iter().map(number).collect();
        let search = |candidates: &[usize]| {
            let candidates = Some(candidates.to_vec());
            let options = MinimalOptions { candidates, ..MinimalOptions::within(1e-6) };
            minimal(&b, &options, &mut |_| {})
        };
        let found = search(&candidates).expect("it runs");
        assert_eq!(names(&b.graph, &found.circuit.expect("the truth holds")), sorted(&TREND));
        // Without one of them no circuit holds.
        candidates.pop();
        let found = search(&candidates).expect("it runs");
        assert_eq!((found.circuit, found.change), (None, None));
        assert!(found.proven && found.lower == candidates.len() + 1);
        let e = search(&[8]).expect_err("there is no ninth");
        assert_eq!(e.to_string(), "minimal: edge 8 of a graph of 8");
    }

    /// When the time runs out, the result so far is returned, and how far the proof went.
    #[test]
    fn time_runs_out() {
        let setting = Setting::tracr("trend");
        let b = setting.ask(Metric::L2, Baseline::Resample);
        let options = MinimalOptions { time: Some(Duration::ZERO), ..MinimalOptions::within(1e-6) };
        let found = minimal(&b, &options, &mut |_| {}).expect("it runs");
        assert!(!found.proven && found.lower == 1, "{found:?}");
        assert!(found.change.expect("a circuit") <= 1e-6);
        let circuit = found.circuit.expect("all edges hold");
        assert!(circuit.iter().filter(|&&kept| kept).count() >= TREND.len());
    }

    #[test]
    fn large_graphs_are_refused() {
        let setting = Setting::fixture("gpt2-tiny", 1);
        let b = setting.ask(Metric::LogitDiff, Baseline::Resample);
        let e = minimal(&b, &MinimalOptions::within(1.0), &mut |_| {}).expect_err("110 edges");
        assert_eq!(e.to_string(), "minimal: 110 candidate edges, 64 are the most");
    }

    /// A recording that is kept gives the same values as a fresh one, for some of the pairs too.
    #[test]
    fn sets_are_the_same_when_asked_again() {
        let setting = Setting::fixture("tracr/frac_prev_x", 7);
        let b = setting.ask(Metric::L2, Baseline::Resample);
        let member = |s: usize, e: usize| (e * (s + 3)) % 7 > 2;
        let want = subsets::per_pair(&b, 9, member, &mut |_| {}).expect("values");
        assert!(want.iter().flatten().any(|x| x.abs() > 0.01));
        let some = [5, 0, 3];
        let pairs: Vec<&Pair> = some.iter().map(|&p| &b.pairs[p]).collect();
        let mut sets = Sets::new(&b, &pairs, 4).expect("it fits");
        let first = sets.per_pair(9, member);
        assert_eq!(first, sets.per_pair(9, member));
        for (got, want) in first.iter().zip(&want) {
            for (x, &p) in got.iter().zip(&some) {
                assert!((x - want[p]).abs() <= 1e-13 * want[p].abs().max(1.0), "{x} {}", want[p]);
            }
        }
    }
}
