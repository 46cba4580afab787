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

/// The parts of a batch, added up as they are computed.
#[derive(Debug)]
pub struct PartSum<T> {
    parts: usize,
    /// Which rank this is, and how many share the parts.
    learner: (usize, usize),
    loss: f64,
    /// The gradients of all leaves, one after the other: of a process alone their sum over the
    /// parts so far, if there are several parts.
    gradient: Vec<T>,
    /// Of several ranks: loss and gradient of each part of this one.
    own: Vec<u8>,
}

impl<T: Element> PartSum<T> {
    /// A sum over so many parts that this process computes all of.
    pub fn alone(parts: usize) -> PartSum<T> {
        PartSum { parts, learner: (0, 1), loss: 0.0, gradient: vec![], own: vec![] }
    }

    /// A sum over so many parts that the ranks share.
    pub fn shared(parts: usize) -> PartSum<T> {
        PartSum { learner: ranks::learner(), ..PartSum::alone(parts) }
    }

    /// Whether this process computes a part.
    pub fn is_mine(&self, part: usize) -> bool {
        part % self.learner.1 == self.learner.0
    }

    /// Adds the next part of those that this process computes: its loss, and the gradients of these
    /// leaves.
    pub fn add(&mut self, program: &Program<T>, leaves: &[Var], loss: f64) {
        let gradients = leaves.iter().map(|&x| program.grad(x));
        match self.learner {
            (_, 1) if self.parts == 1 => self.loss = loss,
            (_, 1) => self.plus(loss, gradients),
            _ => {
                self.own.extend(loss.to_le_bytes());
                gradients.for_each(|gradient| put(gradient, &mut self.own));
            }
        }
    }

    /// Adds one part, the first as it is.
    fn plus<'a>(&mut self, loss: f64, gradients: impl Iterator<Item = &'a [T]>) {
        self.loss += loss;
        if self.gradient.is_empty() {
            gradients.for_each(|gradient| self.gradient.extend_from_slice(gradient));
            return;
        }
        let mut rest = &mut self.gradient[..];
        for gradient in gradients {
            let (sum, after) = rest.split_at_mut(gradient.len());
            sum.iter_mut().zip(gradient).for_each(|(sum, &g)| *sum += g);
            rest = after;
        }
    }

    /// Gives the leaves the gradient of the whole batch, and returns its loss.
    ///
    /// # Errors
    /// If another rank has failed.
    pub fn finish(mut self, program: &mut Program<T>, leaves: &[Var]) -> Result<f64> {
        let (_, count) = self.learner;
        if count > 1 {
            let all = ranks::gather(std::mem::take(&mut self.own))?;
            let numbers: usize = leaves.iter().map(|&x| program.grad(x).len()).sum();
            let mut rests: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
            let mut part = vec![T::ZERO; numbers];
            for i in 0..self.parts {
                let (loss, rest) = rests[i % count].split_first_chunk().expect("a part of a rank");
                let (gradient, rest) = rest.split_at(numbers * size_of::<T>());
                take(gradient, &mut part);
                self.plus(f64::from_le_bytes(*loss), [&part[..]].into_iter());
                rests[i % count] = rest;
            }
        }
        let mut rest = &self.gradient[..];
        for &x in leaves.iter().filter(|_| self.parts > 1) {
            let (_, gradient) = program.value_and_grad_mut(x);
            let (sum, after) = rest.split_at(gradient.len());
            gradient.copy_from_slice(sum);
            rest = after;
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

/// Sets elements to those whose bytes were put.
fn take<T: Element>(bytes: &[u8], to: &mut [T]) {
    match size_of::<T>() {
        4 => to.iter_mut().zip(bytes.as_chunks().0).for_each(|(to, bytes)| {
            *to = T::from_f64(f32::from_le_bytes(*bytes).into());
        }),
        _ => to.iter_mut().zip(bytes.as_chunks().0).for_each(|(to, bytes)| {
            *to = T::from_f64(f64::from_le_bytes(*bytes));
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
            take(&bytes[1..], &mut back);
            assert_eq!(back, list);
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
        let mut alone = PartSum::alone(3);
        for i in 0..3 {
            compute(&mut program, i);
            alone.add(&program, &[x], i as f64);
        }
        assert_eq!(alone.finish(&mut program, &[x]), Ok(3.0));
        assert_eq!(program.grad(x), [1.0, 1.0]);
        // A single part stays where it is.
        let mut one = PartSum::shared(1);
        compute(&mut program, 1);
        assert!(one.is_mine(0));
        one.add(&program, &[x], 0.5);
        assert_eq!((one.finish(&mut program, &[x]), program.grad(x)), (Ok(0.5), &parts[1][..]));
    }
}
