//! Multiply-adds between registers: what no product can be faster than.

use edgegrad::simd::{Element, Kernel, Lanes};
use harness::Work;
use std::hint::black_box;

/// Chains of multiply-adds that run beside each other, and how long each is: enough to hide the
/// latency, and few enough for the 16 registers of AVX2 (16 chains and a factor had half the
/// speed).
const CHAINS: usize = 12;
const STEPS: usize = 1 << 16;

struct Peak;

impl Kernel<f32> for Peak {
    /// A sum, and how many additions and multiplications it took.
    type Output = (f32, usize);

    #[inline(always)]
    fn run<L: Lanes<Elem = f32>>(self) -> (f32, usize) {
        let x = L::splat(black_box(0.999));
        let mut sums = [x; CHAINS];
        for (i, sum) in sums.iter_mut().enumerate() {
            // Unless they differ, the compiler makes them one.
            *sum = L::splat(black_box(i as f32));
        }
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = sum.mul_add(x, x);
            }
        }
        let mut total = sums[0];
        for &sum in &sums[1..] {
            total = total + sum;
        }
        (total.sum(), 2 * CHAINS * STEPS * L::N)
    }
}

/// Every thread of the caller's pool at its peak; the check is the number of operations of one run.
pub fn work() -> Work {
    let all = || rayon::broadcast(|_| black_box(f32::vectorize(Peak)).1).iter().sum::<usize>();
    (vec![all() as f64], Box::new(move || _ = all()))
}
