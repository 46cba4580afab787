//! Matrix products `C = A B` in single precision: single ones, and all of GPT-2-small's weights.

use crate::{Work, fingerprint, inputs};
use std::ops::{Deref, DerefMut};
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// M x N x K, and which of A and B are stored transposed.
const NAMES: [&str; 18] = [
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

/// Rows of C in the works that take all products of GPT-2-small's weights once.
const ROWS: [usize; 11] = [1, 4, 8, 15, 16, 24, 32, 33, 48, 64, 128];
/// Inputs and outputs of the weights of a layer, of which there are twelve, and of the unembedding.
const LAYER: [[usize; 2]; 4] = [[768, 2304], [768, 768], [768, 3072], [3072, 768]];
const LAYERS: usize = 12;
const UNEMBEDDING: [usize; 2] = [768, 50272];

/// The names of all works that are products.
pub fn names() -> Vec<String> {
    let rows = ROWS.iter().flat_map(|m| {
        let directions = ["forward", "reverse"].iter();
        directions.flat_map(move |way| ["kn", "nk"].map(|order| format!("rows-{m}-{way}-{order}")))
    });
    NAMES.map(String::from).into_iter().chain(rows).collect()
}

/// The work of this name by `multiply`, if it is a product or a list of them.
pub fn work(name: &str, multiply: fn(&mut Product)) -> Option<Work> {
    match name.split('-').next() {
        Some("gemm") => Some(Product::named(name).work(multiply)),
        Some("rows") => Some(rows(name, multiply)),
        _ => None,
    }
}

/// All products of GPT-2-small's weights, in order, each weight from memory: there are 494 MB.
fn rows(name: &str, multiply: fn(&mut Product)) -> Work {
    let [_, m, way, order] = name.split('-').collect::<Vec<_>>()[..] else {
        panic!("no product {name}")
    };
    let m = m.parse().expect("rows");
    let shapes = LAYER.iter().cycle().take(LAYERS * LAYER.len()).chain([&UNEMBEDDING]);
    let of_weight = |(i, &[inputs, outputs]): (usize, &[usize; 2])| {
        let strides = if order == "kn" { [outputs, 1] } else { [1, inputs] };
        match way {
            "forward" => Product::new([m, outputs, inputs], i as u32 + 2, [inputs, 1], strides),
            // The gradient of the inputs: the weight transposed.
            _ => {
                let strides = [strides[1], strides[0]];
                Product::new([m, inputs, outputs], i as u32 + 2, [outputs, 1], strides)
            }
        }
    };
    let mut products: Vec<Product> = shapes.enumerate().map(of_weight).collect();
    let mut check = vec![0.0; 2];
    for p in &mut products {
        p.c.fill(f32::NAN);
        multiply(p);
        check.iter_mut().zip(fingerprint(&p.c)).for_each(|(sum, x)| *sum += x);
    }
    (check, Box::new(move || products.iter_mut().for_each(multiply)))
}

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
    fn named(name: &str) -> Self {
        let [gemm, sizes, layout] = name.split('-').collect::<Vec<_>>()[..] else {
            panic!("no product {name}")
        };
        let sizes: Vec<usize> = sizes.split('x').map(|s| s.parse().expect("a size")).collect();
        let (&[m, n, k], "gemm") = (&sizes[..], gemm) else { panic!("no product {name}") };
        let a_strides = if layout.starts_with('t') { [1, m] } else { [k, 1] };
        let b_strides = if layout.ends_with('t') { [1, k] } else { [n, 1] };
        Product::new([m, n, k], 2, a_strides, b_strides)
    }

    /// A product of these sizes; `seed` is of B's numbers.
    fn new([m, n, k]: [usize; 3], seed: u32, a_strides: [usize; 2], b_strides: [usize; 2]) -> Self {
        let [a, b] = [inputs::numbers(1, m * k), inputs::numbers(seed, k * n)];
        let c = Aligned::new(&vec![0.0; m * n]);
        Product { m, n, k, a: Aligned::new(&a), b: Aligned::new(&b), c, a_strides, b_strides }
    }

    /// The work of computing C by `multiply`.
    fn work(mut self, multiply: impl Fn(&mut Product) + Send + 'static) -> Work {
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
