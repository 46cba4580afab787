//! Scores computed again by the [other way](Method::other_way) of their method.

use super::Progress;
use super::method::{Again, Method, Options};
use crate::error::Result;
use crate::graph::MaskShape;
use crate::patching::behaviour::Behaviour;
use crate::rng::{Purpose, Rng};
use crate::simd::Element;
use crate::tape::Rules;

/// `count` distinct edges drawn at random.
pub fn sample(edges: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut rng = Rng::new(seed, Purpose::Sample, 2);
    let mut all: Vec<usize> = (0..edges).collect();
    rng.shuffle(&mut all);
    all.truncate(count);
    all.sort_unstable();
    all
}

/// The scores of `edges` by the [other way](Method::other_way) of a method; `None` if it has none,
/// or if the behaviour's rules are not those of the derivative, which differences measure.
/// `nodes` are the steps that it took, where that was not told.
///
/// # Errors
/// Those of the behaviour's runs.
pub fn again<T: Element>(
    b: &Behaviour<'_, T>,
    method: Method,
    options: &Options,
    nodes: Option<usize>,
    edges: &[usize],
    progress: &mut Progress<'_>,
) -> Result<Option<Vec<f64>>> {
    let derivative = b.rules == Rules::Plain || !method.derives();
    if method.other_way().is_none() || !derivative {
        return Ok(None);
    }
    let mut found = vec![0.0; edges.len()];
    let mut done = 0.0;
    b.batches(Some(MaskShape::default()), |probe, pairs| {
        let found = (edges, &mut found[..]);
        method.again(&mut Again::new(b, (probe, pairs), (options, nodes), found));
        done += pairs.len() as f64 * b.weight();
        progress(done);
        Ok(())
    })?;
    Ok(Some(found))
}
