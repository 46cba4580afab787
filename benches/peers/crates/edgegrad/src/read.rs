//! Reading memory: what no product with weights that fit no cache can be faster than.

use edgegrad::simd::{Element, Kernel, Lanes};
use edgegrad::tensor::Buffer;
use harness::Work;
use rayon::prelude::*;
use std::hint::black_box;

/// Numbers that are read: 512 MiB, as many as GPT-2-small's weights and a few more.
const LEN: usize = 128 << 20;
/// Independent sums.
const SUMS: usize = 8;

struct Sum<'a>(&'a [f32]);

impl Kernel<f32> for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<L: Lanes<Elem = f32>>(self) -> f32 {
        let mut sums = [L::splat(0.0); SUMS];
        for x in self.0.chunks_exact(SUMS * L::N) {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = *sum + L::load(&x[i * L::N..]);
            }
        }
        sums.into_iter().map(Lanes::sum).sum()
    }
}

/// One long part for each thread of the caller's pool; the check is the number of bytes.
pub fn work() -> Work {
    let mut x = Buffer::<f32>::zeros(LEN);
    // Pages that were never written are all one.
    x.fill(1.0);
    let part = LEN.div_ceil(rayon::current_num_threads());
    let read = move || x.par_chunks(part).map(|x| f32::vectorize(Sum(x))).sum::<f32>();
    (vec![(LEN * size_of::<f32>()) as f64], Box::new(move || _ = black_box(read())))
}
