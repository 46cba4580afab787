//! Elements of fewer bytes than those of a product, widened piece by piece on the way into it.
//!
//! Weights that fit no cache are read at the speed of memory, and half the bytes take half the
//! time. A piece of a panel is widened into the first-level cache, and all rows of A pass over it
//! there, so that a product has the bits that it has with the wide elements.

use super::scaled::Scaled;
use crate::simd::{Element, Half, Lanes};

/// Narrow elements in panels.
#[derive(Clone, Copy, Debug)]
pub(super) enum Narrow<'a> {
    /// Numbers of 16 bits.
    Halves { bits: &'a [u16], format: Half },
    /// Scaled integers, from one on.
    Scaled { all: &'a Scaled, first: usize },
}

impl<'a> Narrow<'a> {
    /// The elements from `from` on.
    pub(super) fn after(self, from: usize) -> Narrow<'a> {
        match self {
            Narrow::Halves { bits, format } => {
                Narrow::Halves { bits: &bits[from.min(bits.len())..], format }
            }
            Narrow::Scaled { all, first } => Narrow::Scaled { all, first: first + from },
        }
    }

    pub(super) fn get<T: Element>(self, i: usize) -> T {
        match self {
            Narrow::Halves { bits, format } => format.element(bits[i]),
            Narrow::Scaled { all, first } => all.get(first + i),
        }
    }

    /// Where the elements from `from` on are, to be prefetched, and the bytes that each takes.
    #[inline(always)]
    pub(super) fn at<T>(self, from: usize) -> (*const T, usize) {
        match self {
            Narrow::Halves { bits, .. } => (bits.as_ptr().wrapping_add(from).cast(), 2),
            Narrow::Scaled { all, first } => (all.at(first + from).cast(), 1),
        }
    }

    /// [`widen`](Self::widen) with the instructions of `L`.
    #[inline(always)]
    pub(super) fn widen_with<L: Lanes>(self, from: usize, to: &mut [L::Elem]) {
        match self {
            Narrow::Halves { bits, format: Half::Bf16 } => {
                widen_halves::<L>(&bits[from..], Half::Bf16, to);
            }
            Narrow::Halves { bits, format: Half::F16 } => {
                widen_halves::<L>(&bits[from..], Half::F16, to);
            }
            Narrow::Scaled { all, first } => all.widen(first + from, to),
        }
    }

    /// The format of numbers of 16 bits.
    pub(super) fn half(self) -> Option<Half> {
        match self {
            Narrow::Halves { format, .. } => Some(format),
            Narrow::Scaled { .. } => None,
        }
    }

    /// Widens the elements from `from` on, as many as there are.
    #[inline(always)]
    pub(super) fn widen<T: Element>(self, from: usize, to: &mut [T]) {
        // A format at a time makes loops that are vectorized.
        match self {
            Narrow::Halves { bits, format: Half::Bf16 } => {
                bits[from..].iter().zip(to).for_each(|(&b, to)| *to = Half::Bf16.element(b));
            }
            Narrow::Halves { bits, format: Half::F16 } => {
                bits[from..].iter().zip(to).for_each(|(&b, to)| *to = Half::F16.element(b));
            }
            Narrow::Scaled { all, first } => all.widen(first + from, to),
        }
    }
}

/// Widens numbers of one format, as many as there are.
#[inline(always)]
fn widen_halves<L: Lanes>(bits: &[u16], format: Half, to: &mut [L::Elem]) {
    let len = bits.len().min(to.len());
    let (whole, rest) = (&bits[..len / L::N * L::N], &bits[len / L::N * L::N..len]);
    let (vectors, last) = to[..len].split_at_mut(whole.len());
    for (bits, to) in whole.chunks_exact(L::N).zip(vectors.chunks_exact_mut(L::N)) {
        L::load_half(bits, format).store(to);
    }
    last.iter_mut().zip(rest).for_each(|(to, &bits)| *to = format.element(bits));
}
