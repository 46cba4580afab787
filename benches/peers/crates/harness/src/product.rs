//! Matrix products `C = A B` in single precision.

use crate::{Work, fingerprint, inputs};
use std::ops::{Deref, DerefMut};
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// M x N x K, and which of A and B are stored transposed.
pub const NAMES: [&str; 18] = [
    "gemm-64x64x64-nn",
    "gemm-128x128x128-nn",
    "gemm-256x256x256-nn",
    "gemm-512x512x512-nn",
    "gemm-512x512x512-nt",
    "gemm-512x512x512-tn",
    "gemm-1024x1024x1024-nn",
    "gemm-2048x2048x2048-nn",
    "gemm-256x768x768-nn",
    "gemm-256x3072x768-nn",
    "gemm-256x768x3072-nn",
    "gemm-256x50257x768-nn",
    "gemm-256x50257x768-nt",
    "gemm-2048x512x128-nn",
    "gemm-12x12x2-nn",
    "gemm-32x32x2-nn",
    "gemm-1024x32x2-nn",
    "gemm-15x768x768-nn",
];

/// A product and its operands: `A [M, K]` and `B [K, N]` by their strides, `C [M, N]` row by row.
pub struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: Aligned,
    pub b: Aligned,
    pub c: Aligned,
    /// From row to row and from column to column.
    pub a_strides: [usize; 2],
    pub b_strides: [usize; 2],
}

impl Product {
    /// The product of this name.
    ///
    /// # Panics
    /// If it is none.
    pub fn named(name: &str) -> Self {
        let [gemm, sizes, layout] = name.split('-').collect::<Vec<_>>()[..] else {
            panic!("no product {name}")
        };
        let sizes: Vec<usize> = sizes.split('x').map(|s| s.parse().expect("a size")).collect();
        let (&[m, n, k], "gemm") = (&sizes[..], gemm) else { panic!("no product {name}") };
        Product {
            m,
            n,
            k,
            a: Aligned::new(&inputs::numbers(1, m * k)),
            b: Aligned::new(&inputs::numbers(2, k * n)),
            c: Aligned::new(&vec![0.0; m * n]),
            a_strides: if layout.starts_with('t') { [1, m] } else { [k, 1] },
            b_strides: if layout.ends_with('t') { [1, k] } else { [n, 1] },
        }
    }

    /// The work of computing C by `multiply`.
    pub fn work(mut self, multiply: impl Fn(&mut Product) + Send + 'static) -> Work {
        self.c.fill(f32::NAN);
        multiply(&mut self);
        (fingerprint(&self.c), Box::new(move || multiply(&mut self)))
    }
}

/// Numbers that begin with a line of the cache, as PyTorch, faer and edgegrad keep theirs.
pub struct Aligned {
    lines: Vec<Line>,
    len: usize,
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "read as plain numbers")] [f32; 16]);

impl Aligned {
    pub fn new(numbers: &[f32]) -> Self {
        let len = numbers.len();
        let mut aligned = Aligned { lines: vec![Line([0.0; 16]); len.div_ceil(16)], len };
        aligned.copy_from_slice(numbers);
        aligned
    }
}

impl Deref for Aligned {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: so many numbers are in the lines, one after the other.
        unsafe { from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: so many numbers are in the lines, one after the other.
        unsafe { from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}
