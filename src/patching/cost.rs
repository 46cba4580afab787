//! How long a computation will take, estimated before it starts.

use super::behaviour::Behaviour;
use super::probe::Probe;
use crate::error::Result;
use crate::graph::MaskShape;
use crate::simd::Element;
use std::time::Instant;

/// A reverse pass takes about as long as this many forward passes.
pub const BACKWARD: f64 = 2.0;

/// Runs of one pair up to which nothing is timed: for a day, one would have to take a minute and a
/// half.
const FEW: f64 = 1000.0;

/// The estimated seconds of `passes` forward passes with masks over all pairs: one batch of each
/// length is timed. 0 if they are few.
///
/// # Errors
/// If there is not enough memory.
pub fn seconds<T: Element>(b: &Behaviour<'_, T>, passes: f64) -> Result<f64> {
    if passes * b.pairs.len() as f64 <= FEW {
        return Ok(0.0);
    }
    let mut seconds = 0.0;
    for pairs in b.lengths() {
        let time = pairs[0].clean.len();
        let batch = (b.rows / time.max(1)).clamp(1, pairs.len());
        let mut probe = Probe::forward(b, batch, pairs[0], Some(MaskShape::default()))?;
        probe.ask(b, &pairs[..batch]);
        // The first run finds the memory.
        probe.run_clean(&pairs[..batch]);
        let start = Instant::now();
        probe.program.forward();
        seconds += start.elapsed().as_secs_f64() * passes * pairs.len() as f64 / batch as f64;
    }
    Ok(seconds)
}
