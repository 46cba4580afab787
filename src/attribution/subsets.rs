//! The metric of sets of edges: those in a set carry the model, all others the baseline.

use super::Progress;
use super::behaviour::{Behaviour, Probe};
use crate::error::Result;
use crate::graph::MaskShape;
use crate::simd::Element;

/// The metric, averaged over all pairs, of `count` sets of edges: `member(s, e)` says whether edge `e`
/// is in set `s`.
///
/// # Errors
/// If there is not enough memory for it.
pub fn values<T: Element>(
    b: &Behaviour<'_, T>,
    count: usize,
    member: impl Fn(usize, usize) -> bool,
    progress: &mut Progress<'_>,
) -> Result<Vec<f64>> {
    let of_pairs = per_pair(b, count, member, progress)?;
    Ok(of_pairs.iter().map(|values| values.iter().sum::<f64>() * b.weight()).collect())
}

/// The metric of every pair, in their order, of `count` sets of edges: `[count][pairs]`.
///
/// # Errors
/// If there is not enough memory for it.
pub fn per_pair<T: Element>(
    b: &Behaviour<'_, T>,
    count: usize,
    member: impl Fn(usize, usize) -> bool,
    progress: &mut Progress<'_>,
) -> Result<Vec<Vec<f64>>> {
    let mut values = vec![vec![0.0; b.pairs.len()]; count];
    let mut done = 0.0;
    for pairs in b.lengths() {
        let time = pairs[0].clean.len();
        let room = (b.rows / time.max(1)).max(1);
        let together = room.min(pairs.len());
        let at_once = (room / together).min(count);
        // Masks that all examples share are mixed in fewer and larger products.
        let shape = MaskShape { per_example: at_once > 1 };
        let mut probe = Probe::new(b, together * at_once, time, Some(shape))?;
        for block in pairs.chunks(together) {
            let at_once = if shape.per_example { probe.batch / block.len() } else { 1 };
            let list = block.repeat(at_once);
            probe.set_masks(T::ONE);
            probe.ask(b, &list);
            probe.set_baselines(b, &list);
            let sets: Vec<usize> = (0..count).collect();
            for sets in sets.chunks(at_once) {
                for (g, group) in b.graph.groups.iter().enumerate() {
                    let mask = probe.recorded.readings[g].mask.expect("recorded with masks");
                    let edges = group.edges();
                    let masks = probe.program.value_mut(mask).chunks_exact_mut(edges.len());
                    for (i, masks) in masks.enumerate().take(sets.len() * block.len()) {
                        for (m, e) in masks.iter_mut().zip(edges.clone()) {
                            *m = if member(sets[i / block.len()], e) { T::ONE } else { T::ZERO };
                        }
                    }
                }
                probe.program.forward();
                let results = probe.results(sets.len() * block.len());
                for (&s, results) in sets.iter().zip(results.chunks(block.len())) {
                    for (pair, &x) in block.iter().zip(results) {
                        values[s][b.pairs.index(pair)] = x;
                    }
                }
                done += sets.len() as f64 / count as f64 * block.len() as f64 * b.weight();
                progress(done);
            }
        }
    }
    Ok(values)
}
