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
    let lengths = b.lengths();
    let of = |(length, pairs): (usize, &Vec<&Pair>)| {
        let units = Room::new(b, pairs, count).units(pairs.len(), count);
        units.into_iter().map(move |unit| (length, unit))
    };
    let units: Vec<(usize, Unit)> = lengths.iter().enumerate().flat_map(of).collect();
    let whole = (count * b.pairs.len()) as f64;
    let mut before = 0.0;
    let up_to = units.iter().map(|(_, unit)| {
        before += (unit.sets.len() * unit.pairs.len()) as f64 / whole;
        before
    });
    let up_to: Vec<f64> = up_to.collect();
    let mut last: Option<(usize, Recording<'_, T>)> = None;
    work.shared(
        &vec![1; units.len()],
        |i, _, put| {
            let (length, ref unit) = units[i];
            if last.as_ref().is_none_or(|(of, _)| *of != length) {
                // Only one recording takes memory.
                last = None;
                let pairs = &lengths[length];
                let places = pairs.iter().map(|p| b.pairs.index(p)).collect();
                last = Some((length, Recording::new(b, pairs.clone(), places, count)?));
            }
            let (_, recording) = last.as_mut().expect("it was recorded");
            put(recording.run(b, unit, &member))
        },
        |values, i, results: Vec<f64>| {
            let (length, ref unit) = units[i];
            let places = lengths[length][unit.pairs.clone()].iter().map(|p| b.pairs.index(p));
            let places: Vec<usize> = places.collect();
            unit.place(&places, &results, values);
            progress(up_to[i]);
        },
    )?;
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
        let at_once = |r: &Recording<'_, T>| r.room.batch / r.room.together;
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
            for unit in recording.room.units(recording.pairs.len(), count) {
                let results = recording.run(self.b, &unit, &member);
                unit.place(&recording.places[unit.pairs.clone()], &results, &mut values);
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
    room: Room,
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
        let room = Room::new(b, &pairs, most);
        // Masks that all examples share are mixed in fewer and larger products.
        let shape = MaskShape { per_example: room.several() };
        let probe = Probe::forward(b, room.batch, pairs[0], Some(shape))?;
        Ok(Recording { probe, pairs, places, room, loaded: None })
    }

    /// The metric of a unit's sets and pairs, `[sets x pairs]`.
    fn run(
        &mut self,
        b: &Behaviour<'_, T>,
        unit: &Unit,
        member: &impl Fn(usize, usize) -> bool,
    ) -> Vec<f64> {
        let (block, sets) = (&self.pairs[unit.pairs.clone()], unit.sets.clone());
        let probe = &mut self.probe;
        let several = self.room.several();
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
        probe.results(sets.len() * block.len())
    }
}

/// How many pairs and sets there is room for at once.
struct Room {
    /// Pairs at once.
    together: usize,
    /// Examples of a batch: pairs, several times if there is room for several sets.
    batch: usize,
}

impl Room {
    fn new<T: Element>(b: &Behaviour<'_, T>, pairs: &[&Pair], most: usize) -> Room {
        let room = (b.rows / pairs[0].clean.len().max(1)).max(1);
        let together = room.min(pairs.len());
        Room { together, batch: together * (room / together).clamp(1, most.max(1)) }
    }

    /// Whether every example has masks of its own.
    fn several(&self) -> bool {
        self.batch > self.together
    }

    /// The pairs and sets of each pass, for `count` sets of edges on `all` pairs.
    fn units(&self, all: usize, count: usize) -> Vec<Unit> {
        let of_block = |from: usize| {
            let pairs = from..all.min(from + self.together);
            let at_once = if self.several() { self.batch / pairs.len() } else { 1 };
            let chunk = move |s| Unit { pairs: pairs.clone(), sets: s..count.min(s + at_once) };
            (0..count).step_by(at_once).map(chunk)
        };
        (0..all).step_by(self.together).flat_map(of_block).collect()
    }
}

/// What one pass computes.
struct Unit {
    /// Places among the pairs of the recording.
    pairs: Range<usize>,
    sets: Range<usize>,
}

impl Unit {
    /// Puts its results where they belong in `values [sets][places]`.
    fn place(&self, places: &[usize], results: &[f64], values: &mut [Vec<f64>]) {
        for (s, results) in self.sets.clone().zip(results.chunks(places.len())) {
            places.iter().zip(results).for_each(|(&place, &x)| values[s][place] = x);
        }
    }
}
