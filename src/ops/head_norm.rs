//! Norms of heads: some columns of each row are normed in blocks, the others are unchanged.
//!
//! Queries and keys lie side by side with values, head after head. A block is a head, or all heads
//! at once; blocks share one gain, or each has its own in a common parameter.

use super::Norm;
use crate::gemm::Write;
use crate::gemm::scratch::Scratch;
use crate::simd::Element;
use crate::simd::rows::{self, By};
use crate::tape::{Backward, Forward, Grad, Op, Tape, Var};
use std::ops::Range;

/// Which columns a [`head_norm`] norms, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadNorm {
    /// The norm of a block.
    pub norm: Norm,
    /// The first column.
    pub first: usize,
    /// The width of a block (K).
    pub width: usize,
    /// The block of the gain that belongs to each block of columns; without it, all share one.
    pub gains: Option<Vec<usize>>,
}

/// Norms `blocks` blocks of columns of each row: `[.., N] -> [.., N]`. Gain and bias are `[K]`, or
/// `[M K]` if blocks have their own.
///
/// # Panics
/// If the blocks are not within the row, or a gain does not hold those of all blocks.
#[track_caller]
pub fn head_norm<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    gain: Option<Var>,
    bias: Option<Var>,
    heads: &HeadNorm,
    blocks: usize,
) -> Var {
    let shape = tape.shape(x).clone();
    let HeadNorm { first, width, gains, .. } = heads;
    let fits = first + blocks * width <= shape.last() && *width > 0;
    assert!(fits, "{blocks} blocks of {width} from column {first} on in {shape}");
    let own = gains.as_ref().map_or(1, |g| g.iter().max().map_or(0, |most| most + 1));
    assert!(gains.as_ref().is_none_or(|g| g.len() == blocks), "a gain for each block");
    for part in gain.iter().chain(&bias) {
        let len = tape.shape(*part).len();
        assert!(len.is_multiple_of(*width) && len >= own * width, "a gain of {len} elements");
    }
    let (wide, rows) = (shape.last(), shape.rows());
    let op = Heads { heads: heads.clone(), blocks, wide, rows };
    let inputs: Vec<Var> = [Some(x), gain, bias].into_iter().flatten().collect();
    assert!(gain.is_some() || bias.is_none(), "a bias without a gain");
    tape.push(op, &inputs, &[], shape)
}

/// Saves [`Norm::SAVED`] values of each block of each row.
struct Heads {
    heads: HeadNorm,
    blocks: usize,
    /// N.
    wide: usize,
    rows: usize,
}

/// Blocks of a row that share a gain.
struct Run {
    columns: Range<usize>,
    /// What is saved of them, in the row.
    stats: Range<usize>,
    /// The part of the parameters that is theirs.
    gain: Range<usize>,
}

impl Heads {
    fn runs(&self) -> impl Iterator<Item = Run> {
        let HeadNorm { first, width, gains, .. } = &self.heads;
        let all = if gains.is_some() { 1 } else { self.blocks };
        (0..self.blocks).step_by(all.max(1)).map(move |block| {
            let gain = gains.as_ref().map_or(0, |gains| gains[block]) * width;
            Run {
                columns: first + block * width..first + (block + all) * width,
                stats: Norm::SAVED * block..Norm::SAVED * (block + all),
                gain: gain..gain + width,
            }
        })
    }
}

impl<T: Element> Op<T> for Heads {
    fn name(&self) -> &'static str {
        "head_norm"
    }

    fn saves(&self) -> usize {
        Norm::SAVED * self.rows * self.blocks
    }

    fn forward(&self, run: Forward<'_, T>) {
        let HeadNorm { norm, width, .. } = self.heads;
        let (wide, saves) = (self.wide.max(1), Norm::SAVED * self.blocks);
        let parameters = [1, 2].map(|i| run.has_input(i).then(|| run.input(i)));
        let parts = (By(run.input(0), wide), By(run.out, wide), By(run.saved, saves.max(1)));
        rows::run(self.rows, 3 * wide, parts, |(By(x, _), By(y, _), By(saved, _))| {
            y.copy_from_slice(x);
            let rows = x.chunks_exact(wide).zip(y.chunks_exact_mut(wide));
            for ((x, y), saved) in rows.zip(saved.chunks_exact_mut(saves.max(1))) {
                for Run { columns, stats, gain } in self.runs() {
                    let [gain, bias] = parameters.map(|p| p.map(|p| &p[gain.clone()]));
                    let (x, y) = (&x[columns.clone()], &mut y[columns]);
                    norm.forward(width, x, gain, bias, y, &mut saved[stats]);
                }
            }
        });
    }

    fn backward(&self, run: Backward<'_, T>) {
        let HeadNorm { norm, width, .. } = self.heads;
        let (wide, saves) = (self.wide.max(1), (Norm::SAVED * self.blocks).max(1));
        let gains = run.has_input(1).then(|| run.input(1));
        let (x, dy, saved, rules) = (run.input(0), run.grad_out, run.saved, run.rules);
        let [dx, d_gain, d_bias, ..] = run.grads else { return };
        if let Some(dx) = dx {
            let add = dx.write == Write::Add;
            let parts = (By(x, wide), By(dy, wide), By(saved, saves), By(dx.slice(), wide));
            rows::run(
                self.rows,
                4 * wide,
                parts,
                |(By(x, _), By(dy, _), By(saved, _), By(dx, _))| {
                    let mut scratch = Scratch::new(wide);
                    let row = &mut scratch[..wide];
                    let rows = x.chunks_exact(wide).zip(dy.chunks_exact(wide));
                    let rows = rows.zip(saved.chunks_exact(saves));
                    for (((x, dy), saved), dx) in rows.zip(dx.chunks_exact_mut(wide)) {
                        row.copy_from_slice(dy);
                        for Run { columns: c, stats, gain } in self.runs() {
                            let gain = gains.map(|gains| &gains[gain]);
                            let to = &mut row[c.clone()];
                            norm.backward(
                                rules,
                                width,
                                &x[c.clone()],
                                gain,
                                &saved[stats],
                                &dy[c],
                                to,
                            );
                        }
                        match add {
                            false => dx.copy_from_slice(row),
                            true => dx.iter_mut().zip(&*row).for_each(|(dx, &d)| *dx += d),
                        }
                    }
                },
            );
        }
        let mut d_gain = d_gain.as_mut().map(Grad::accumulator);
        let mut d_bias = d_bias.as_mut().map(Grad::accumulator);
        if d_gain.is_none() && d_bias.is_none() {
            return;
        }
        let rows = x.chunks_exact(wide).zip(dy.chunks_exact(wide));
        for ((x, dy), saved) in rows.zip(saved.chunks_exact(saves)) {
            for Run { columns: c, stats, gain } in self.runs() {
                let d_gain = d_gain.as_mut().map(|d| &mut d[gain.clone()]);
                let d_bias = d_bias.as_mut().map(|d| &mut d[gain]);
                norm.parameter_gradients(
                    width,
                    &x[c.clone()],
                    &saved[stats],
                    &dy[c],
                    d_gain,
                    d_bias,
                );
            }
        }
    }
}
