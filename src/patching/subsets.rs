//! The metric of sets of edges: edges in a set carry the model, all others the ablation values.

use super::Progress;
use super::behaviour::Behaviour;
use super::probe::Probe;
use crate::error::Result;
use crate::formats::pairs::Pair;
use crate::graph::MaskShape;
use crate::memory;
use crate::simd::Element;
use std::ops::Range;

/// The metric of `count` sets of edges, averaged over all pairs: `[count]`; `member(s, e)` tells
/// whether edge `e` is in set `s`.
///
/// # Errors
/// If there is not enough memory.
pub fn values<T: Element>(
    b: &Behaviour<'_, T>,
    count: usize,
    member: impl Fn(usize, usize) -> bool,
    progress: &mut Progress<'_>,
) -> Result<Vec<f64>> {
    let of_pairs = per_pair(b, count, member, progress)?;
    Ok(of_pairs.iter().map(|values| values.iter().sum::<f64>() * b.weight()).collect())
}

/// The metric of every pair, in their order, for `count` sets of edges: `[count][pairs]`.
///
/// # Errors
/// If there is not enough memory.
pub fn per_pair<T: Element>(
    b: &Behaviour<'_, T>,
    count: usize,
    member: impl Fn(usize, usize) -> bool,
    progress: &mut Progress<'_>,
) -> Result<Vec<Vec<f64>>> {
    let each = (size_of::<Vec<f64>>() + b.pairs.len() * size_of::<f64>()) as u128;
    memory::check(&format!("{count} sets of edges"), count as u128 * each, || {
        "ask fewer pairs, or fewer sets at a time".into()
    })?;
    let mut work = b.journal.units("sets", || vec![vec![0.0; b.pairs.len()]; count]);
    let mut done = 0.0;
    // One length after the other, so that only one recording takes memory.
    for pairs in b.lengths() {
        let share = pairs.len() as f64 * b.weight();
        let places = pairs.iter().map(|p| b.pairs.index(p)).collect();
        let mut recording = Recording::new(b, pairs, places, count)?;
        for unit in recording.units(count) {
            let part = (unit.sets.len() * unit.pairs.len()) as f64;
            done += share * part / (count * recording.pairs.len()) as f64;
            if !work.is_done() {
                recording.run(b, &unit, &member, &mut work.state);
                progress(done);
                work.finish()?;
            }
        }
    }
    Ok(work.state)
}

/// The metric of sets of edges on some pairs, for repeated use: the model is recorded once, and if
/// the pairs fit into one batch their ablation values are computed once.
pub struct Sets<'b, 'a, T: Element> {
    b: &'b Behaviour<'a, T>,
    /// One of each length.
    recordings: Vec<Recording<'b, T>>,
    pairs: usize,
}

impl<'b, 'a, T: Element> Sets<'b, 'a, T> {
    /// For `pairs`, some of the behaviour's, with at most `most` sets at once; more are computed
    /// one after the other.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(b: &'b Behaviour<'a, T>, pairs: &[&'b Pair], most: usize) -> Result<Self> {
        let mut lengths: Vec<(Vec<&'b Pair>, Vec<usize>)> = vec![];
        for (place, &pair) in pairs.iter().enumerate() {
            match lengths.iter_mut().find(|(l, _)| l[0].clean.len() == pair.clean.len()) {
                Some((list, places)) => {
                    list.push(pair);
                    places.push(place);
                }
                None => lengths.push((vec![pair], vec![place])),
            }
        }
        let recording = |(list, places)| Recording::new(b, list, places, most);
        let recordings = lengths.into_iter().map(recording).collect::<Result<_>>()?;
        Ok(Sets { b, recordings, pairs: pairs.len() })
    }

    /// The number of sets computed at once.
    pub(crate) fn at_once(&self) -> usize {
        let at_once = |r: &Recording<'_, T>| r.probe.batch / r.together;
        self.recordings.iter().map(at_once).min().unwrap_or(1)
    }

    /// The metric of every pair, in the given order, for `count` sets of edges: `[count][pairs]`.
    pub fn per_pair(
        &mut self,
        count: usize,
        member: impl Fn(usize, usize) -> bool,
    ) -> Vec<Vec<f64>> {
        let mut values = vec![vec![0.0; self.pairs]; count];
        for recording in &mut self.recordings {
            for unit in recording.units(count) {
                recording.run(self.b, &unit, &member, &mut values);
            }
        }
        values
    }
}

/// A recording for pairs of one length, in which every example has masks of its own if there is
/// room for several sets at once.
struct Recording<'p, T: Element> {
    probe: Probe<T>,
    pairs: Vec<&'p Pair>,
    /// The index of each pair in the result.
    places: Vec<usize>,
    /// Pairs at once.
    together: usize,
    /// The first of the pairs whose ablation values are loaded.
    loaded: Option<usize>,
}

impl<'p, T: Element> Recording<'p, T> {
    fn new(
        b: &Behaviour<'_, T>,
        pairs: Vec<&'p Pair>,
        places: Vec<usize>,
        most: usize,
    ) -> Result<Self> {
        let time = pairs[0].clean.len();
        let room = (b.rows / time.max(1)).max(1);
        let together = room.min(pairs.len());
        let at_once = (room / together).clamp(1, most.max(1));
        // Masks that all examples share are mixed in fewer and larger products.
        let shape = MaskShape { per_example: at_once > 1 };
        let probe = Probe::forward(b, together * at_once, pairs[0], Some(shape))?;
        Ok(Recording { probe, pairs, places, together, loaded: None })
    }

    /// The pairs and sets of each pass, for `count` sets of edges on all pairs.
    fn units(&self, count: usize) -> Vec<Unit> {
        let all = self.pairs.len();
        let several = self.probe.batch > self.together;
        let of_block = |from: usize| {
            let pairs = from..all.min(from + self.together);
            let at_once = if several { self.probe.batch / pairs.len() } else { 1 };
            let chunk = move |s| Unit { pairs: pairs.clone(), sets: s..count.min(s + at_once) };
            (0..count).step_by(at_once).map(chunk)
        };
        (0..all).step_by(self.together).flat_map(of_block).collect()
    }

    /// Computes the metric of a unit's pairs and sets into their places of `values [sets][pairs]`.
    fn run(
        &mut self,
        b: &Behaviour<'_, T>,
        unit: &Unit,
        member: &impl Fn(usize, usize) -> bool,
        values: &mut [Vec<f64>],
    ) {
        let (block, sets) = (&self.pairs[unit.pairs.clone()], unit.sets.clone());
        let probe = &mut self.probe;
        let several = probe.batch > self.together;
        if self.loaded != Some(unit.pairs.start) {
            let list = block.repeat(if several { probe.batch / block.len() } else { 1 });
            probe.set_masks(T::ONE);
            probe.ask(b, &list);
            probe.set_baselines(b, &list);
            self.loaded = Some(unit.pairs.start);
        }
        // Examples of one set share its masks.
        let rows = if several { sets.len() * block.len() } else { 1 };
        probe.set_masks_by(rows, |i, e| {
            if member(sets.start + i / block.len(), e) { T::ONE } else { T::ZERO }
        });
        probe.program.forward();
        let results = probe.results(sets.len() * block.len());
        for (s, results) in sets.zip(results.chunks(block.len())) {
            for (&place, &x) in self.places[unit.pairs.clone()].iter().zip(results) {
                values[s][place] = x;
            }
        }
    }
}

/// What one pass computes.
struct Unit {
    /// Places among the pairs of the recording.
    pairs: Range<usize>,
    sets: Range<usize>,
}
