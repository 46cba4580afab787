//! The gradient of a batch as the sum of its parts'.
//!
//! ```text
//! loss = loss[0] + loss[1] + ..        gradient = gradient[0] + gradient[1] + ..
//! ```
//!
//! The settings of a run say which rows are a part. Of several [ranks] that
//! learn together, each computes some of the parts, all hear what the others' have come to, and all
//! add it up in the order of the parts, as a process alone does: the bits do not depend on how many
//! they are.

use crate::error::{Error, Result};
use crate::ranks;
use crate::simd::Element;
use crate::tape::{Program, Var};
use std::fmt::Display;

/// Checks that each of the ranks that learn together has a part of a batch of `rows`; `place` is
/// what errors call the setting of the rows in a part.
///
/// # Errors
/// If there are more ranks than parts.
pub fn check_parts(place: impl Display, rows: usize, part: usize) -> Result<()> {
    let (parts, (_, ranks)) = (rows.div_ceil(part), ranks::learner());
    if parts >= ranks {
        return Ok(());
    }
    let message =
        format!("{parts} parts of a batch of {rows} rows give no work to {ranks} processes");
    let help = match rows / ranks {
        0 => format!("start {parts} processes at most"),
        most => format!("set it to {most} or less, or start {parts} processes at most"),
    };
    Err(Error::input(place, message, help))
}

/// The parts of a batch, added up as they are computed; it keeps its memory from batch to batch.
#[derive(Debug)]
pub struct PartSum<T> {
    parts: usize,
    /// Which rank this is, and how many share the parts.
    learner: (usize, usize),
    loss: f64,
    /// Of a process alone, if there are several parts: their sum so far, the gradients of all
    /// leaves one after the other.
    sum: Vec<T>,
    /// Of several ranks: loss and gradients of each part of this one, and those of all ranks.
    own: Vec<u8>,
    all: Vec<u8>,
}

impl<T> Default for PartSum<T> {
    fn default() -> Self {
        PartSum { parts: 0, learner: (0, 1), loss: 0.0, sum: vec![], own: vec![], all: vec![] }
    }
}

impl<T: Element> PartSum<T> {
    /// Begins a batch of so many parts; this process computes all of them.
    pub fn begin_alone(&mut self, parts: usize) {
        (self.parts, self.learner, self.loss) = (parts, (0, 1), 0.0);
        self.sum.clear();
        self.own.clear();
    }

    /// Begins a batch of so many parts that the ranks share.
    pub fn begin_shared(&mut self, parts: usize) {
        self.begin_alone(parts);
        self.learner = ranks::learner();
    }

    /// Whether this process computes a part.
    pub fn is_mine(&self, part: usize) -> bool {
        part % self.learner.1 == self.learner.0
    }

    /// Adds the next part of those that this process computes: its loss, and the gradients of these
    /// leaves.
    pub fn add(&mut self, program: &Program<T>, leaves: &[Var], loss: f64) {
        let gradients = leaves.iter().map(|&x| program.grad(x));
        if self.learner.1 > 1 {
            self.own.extend(loss.to_le_bytes());
            gradients.for_each(|gradient| put(gradient, &mut self.own));
            return;
        }
        self.loss += loss;
        if self.parts > 1 && self.sum.is_empty() {
            gradients.for_each(|gradient| self.sum.extend_from_slice(gradient));
        } else if self.parts > 1 {
            let mut rest = &mut self.sum[..];
            for gradient in gradients {
                let (sum, after) = rest.split_at_mut(gradient.len());
                sum.iter_mut().zip(gradient).for_each(|(sum, &g)| *sum += g);
                rest = after;
            }
        }
    }

    /// Gives the leaves the gradient of the whole batch, and returns its loss.
    ///
    /// # Errors
    /// If another rank has failed.
    pub fn finish(&mut self, program: &mut Program<T>, leaves: &[Var]) -> Result<f64> {
        match self.learner {
            (_, 1) if self.parts == 1 => {}
            (_, 1) => {
                let mut rest = &self.sum[..];
                for &x in leaves {
                    let (_, gradient) = program.value_and_grad_mut(x);
                    let (sum, after) = rest.split_at(gradient.len());
                    gradient.copy_from_slice(sum);
                    rest = after;
                }
            }
            (_, count) => {
                let lengths = ranks::gather_into(&self.own, &mut self.all)?;
                let ends = lengths.iter().scan(0, |end, length| {
                    *end += length;
                    Some(*end)
                });
                let mut rests: Vec<&[u8]> =
                    ends.zip(&lengths).map(|(end, length)| &self.all[end - length..end]).collect();
                for i in 0..self.parts {
                    let rest = &mut rests[i % count];
                    let (loss, mut from) = rest.split_first_chunk().expect("a part of a rank");
                    self.loss += f64::from_le_bytes(*loss);
                    for &x in leaves {
                        let (_, gradient) = program.value_and_grad_mut(x);
                        let (bytes, after) = from.split_at(size_of_val(gradient));
                        take(bytes, gradient, i > 0);
                        from = after;
                    }
                    *rest = from;
                }
            }
        }
        Ok(self.loss)
    }
}

/// Appends the bytes of elements, which are those of the one type or the other.
fn put<T: Element>(elements: &[T], to: &mut Vec<u8>) {
    let from = to.len();
    to.resize(from + size_of_val(elements), 0);
    let bytes = &mut to[from..];
    match size_of::<T>() {
        4 => bytes.as_chunks_mut().0.iter_mut().zip(elements).for_each(|(to, x)| {
            *to = (x.to_f64() as f32).to_le_bytes();
        }),
        _ => bytes.as_chunks_mut().0.iter_mut().zip(elements).for_each(|(to, x)| {
            *to = x.to_f64().to_le_bytes();
        }),
    }
}

/// Sets elements to those whose bytes were put, or adds these to them.
fn take<T: Element>(bytes: &[u8], to: &mut [T], add: bool) {
    let set = |to: &mut T, x: T| *to = if add { *to + x } else { x };
    match size_of::<T>() {
        4 => to.iter_mut().zip(bytes.as_chunks().0).for_each(|(to, bytes)| {
            set(to, T::from_f64(f32::from_le_bytes(*bytes).into()));
        }),
        _ => to.iter_mut().zip(bytes.as_chunks().0).for_each(|(to, bytes)| {
            set(to, T::from_f64(f64::from_le_bytes(*bytes)));
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops;
    use crate::tape::Tape;

    /// Both elements pass between processes with their bits.
    #[test]
    fn elements_keep_their_bits() {
        fn check<T: Element>(list: &[T]) {
            let (mut bytes, mut back) = (vec![9], vec![T::ONE; list.len()]);
            put(list, &mut bytes);
            assert_eq!(bytes.len(), 1 + size_of_val(list));
            take(&bytes[1..], &mut back, false);
            assert_eq!(back, list);
            take(&bytes[1..], &mut back, true);
            let twice: Vec<T> = list.iter().map(|&x| x + x).collect();
            assert_eq!(back, twice);
        }
        check(&[1.5f32, -0.1, f32::MIN_POSITIVE / 8.0, f32::INFINITY, 0.0]);
        check(&[1.5f64, -0.1, f64::MIN_POSITIVE / 8.0, f64::MAX, 0.0]);
    }

    /// Parts are added one by one: those of ranks in the order of the batch.
    #[test]
    fn parts_are_added_in_their_order() {
        let mut tape = Tape::<f32>::new();
        let (x, y) = (tape.leaf("x", [2]), tape.leaf("y", [2]));
        let product = ops::mul(&mut tape, x, y);
        let loss = ops::sum(&mut tape, product);
        let mut program = tape.finish();
        let plan = program.plan_backward(loss, &[x]);
        // The gradient of a part is its y. Were the last not added last, the sums would be 0, 0.
        let parts = [[1e8, -1e8], [-1e8, 1e8], [1.0, 1.0]];
        let compute = |program: &mut Program<f32>, i: usize| {
            program.set(y, &parts[i]);
            program.forward();
            program.backward(&plan);
        };
        let mut sum = PartSum::default();
        sum.begin_alone(3);
        for i in 0..3 {
            compute(&mut program, i);
            sum.add(&program, &[x], i as f64);
        }
        assert_eq!(sum.finish(&mut program, &[x]), Ok(3.0));
        assert_eq!(program.grad(x), [1.0, 1.0]);
        // A single part stays where it is.
        sum.begin_shared(1);
        compute(&mut program, 1);
        assert!(sum.is_mine(0));
        sum.add(&program, &[x], 0.5);
        assert_eq!((sum.finish(&mut program, &[x]), program.grad(x)), (Ok(0.5), &parts[1][..]));
    }
}
