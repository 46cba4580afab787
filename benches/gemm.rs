//! Matrix products against `matrixmultiply`, on one thread and, for large ones, on all.
//!
//! Reports time and multiply-adds per second (an f32 product of m, n, k has m n k; a GFLOP/s is
//! half a billion of them). The peak of the machine in registers is measured in the same run.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use edgegrad::gemm::{Mat, MatMut, Write, gemm};
use edgegrad::simd::{Element, Kernel, Lanes};
use std::hint::black_box;

/// Rows and columns of C, depth, and which of A and B are stored transposed.
/// A `w` in place of a layout is a window of columns of a transposed matrix of [`WINDOW`] columns.
const SHAPES: [([usize; 3], &str); 37] = [
    ([12, 12, 2], "nn"),
    ([32, 32, 2], "nn"),
    ([32, 2, 32], "nn"),
    ([1024, 32, 2], "nn"),
    ([2048, 128, 32], "nn"),
    ([2048, 32, 128], "nn"),
    // The gradient of a weight: both operands are as the forward pass left them.
    ([128, 32, 2048], "tn"),
    ([64, 64, 64], "nn"),
    ([128, 128, 128], "nn"),
    ([256, 256, 256], "nn"),
    ([512, 512, 512], "nn"),
    ([512, 512, 512], "nt"),
    ([512, 512, 512], "tn"),
    ([1024, 1024, 1024], "nn"),
    ([256, 768, 768], "nn"),
    ([256, 3072, 768], "nt"),
    // A few tokens through the weights of a model of width 768, forward,
    ([15, 2304, 768], "nn"),
    ([30, 2304, 768], "nn"),
    ([480, 2304, 768], "nn"),
    ([15, 768, 768], "nn"),
    ([15, 3072, 768], "nn"),
    ([15, 768, 3072], "nn"),
    ([30, 768, 3072], "nn"),
    ([480, 768, 3072], "nn"),
    // backward,
    ([15, 768, 2304], "nt"),
    ([15, 3072, 768], "nt"),
    ([15, 768, 3072], "nt"),
    ([15, 768, 768], "nt"),
    ([480, 768, 2304], "nt"),
    // to and from one head,
    ([15, 768, 64], "nw"),
    ([157, 768, 64], "nn"),
    // to the logits, of one token and all,
    ([1, 50257, 768], "nt"),
    ([15, 50257, 768], "nt"),
    // and a long contraction with few results.
    ([36, 157, 11520], "nt"),
    // One row, one column.
    ([1, 2304, 768], "nn"),
    ([1, 768, 2304], "nt"),
    ([768, 1, 768], "nn"),
];

/// Columns of the matrix a window is cut from.
const WINDOW: usize = 2304;

fn numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i + seed) * 7919 % 1000) as f32 / 500.0 - 1.0).collect()
}

/// Sums of [`Peak`], and multiply-adds of each.
const PEAK_SUMS: usize = 12;
const PEAK_STEPS: usize = 4096;

/// Multiply-adds between registers: what no product can be faster than.
struct Peak;

impl Kernel<f32> for Peak {
    type Output = f32;
    #[inline(always)]
    fn run<L: Lanes<Elem = f32>>(self) -> f32 {
        let x = L::splat(black_box(0.999));
        // More would not fit in the 16 registers of AVX2.
        let mut sums = [x; PEAK_SUMS];
        for (i, sum) in sums.iter_mut().enumerate() {
            // Unless they differ, the compiler makes them one.
            *sum = L::splat(black_box(i as f32));
        }
        for _ in 0..PEAK_STEPS {
            for sum in &mut sums {
                *sum = sum.mul_add(x, x);
            }
        }
        let mut total = sums[0];
        for &sum in &sums[1..] {
            total = total + sum;
        }
        total.sum()
    }
}

/// The number of lanes that [`Peak`] runs with.
fn f32_lanes() -> usize {
    struct Count;
    impl Kernel<f32> for Count {
        type Output = usize;
        #[inline(always)]
        fn run<L: Lanes<Elem = f32>>(self) -> usize {
            L::N
        }
    }
    f32::vectorize(Count)
}

fn products(c: &mut Criterion) {
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let mut group = c.benchmark_group("gemm");
    group.throughput(Throughput::Elements((PEAK_STEPS * PEAK_SUMS * f32_lanes()) as u64));
    group.bench_function("peak", |bench| bench.iter(|| f32::vectorize(Peak)));
    for ([m, n, k], layout) in SHAPES {
        let b_len = if layout.ends_with('w') { n * WINDOW } else { k * n };
        let (a, b) = (numbers(m * k, 1), numbers(b_len, 2));
        let (a_rs, a_cs) = if layout.starts_with('t') { (1, m) } else { (k, 1) };
        let (b_rs, b_cs) = match &layout[1..] {
            "t" => (1, k),
            "w" => (1, WINDOW),
            _ => (n, 1),
        };
        let (left, right) =
            (Mat::strided(&a, m, k, a_rs, a_cs), Mat::strided(&b, k, n, b_rs, b_cs));
        let ours = |out: &mut [f32]| gemm(1.0, left, right, Write::Store, MatMut::new(out, m, n));
        let theirs = |out: &mut [f32]| {
            let [a_rs, a_cs, b_rs, b_cs, c_rs] = [a_rs, a_cs, b_rs, b_cs, n].map(|s| s as isize);
            assert!(a.len() == m * k && b.len() == b_len && out.len() == m * n);
            let (a, b, c) = (a.as_ptr(), b.as_ptr(), out.as_mut_ptr());
            // SAFETY: the three matrices lie in their slices, as asserted.
            unsafe {
                matrixmultiply::sgemm(m, k, n, 1.0, a, a_rs, a_cs, b, b_rs, b_cs, 0.0, c, c_rs, 1);
            }
        };

        let (mut x, mut y) = (vec![0.0; m * n], vec![0.0; m * n]);
        ours(&mut x);
        theirs(&mut y);
        // Both are sums of k numbers below 1.
        let bound = 2.0 * (k * k) as f32 * f32::EPSILON;
        assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() <= bound), "{m} x {n} x {k} {layout}");

        group.throughput(Throughput::Elements((m * n * k) as u64));
        let name = format!("{m}x{n}x{k}{layout}");
        group.bench_function(BenchmarkId::new("edgegrad", &name), |bench| {
            alone.install(|| bench.iter(|| ours(black_box(&mut x))));
        });
        group.bench_function(BenchmarkId::new("matrixmultiply", &name), |bench| {
            bench.iter(|| theirs(black_box(&mut y)));
        });
        if m * n * k > 1 << 20 {
            let all = rayon::ThreadPoolBuilder::new().build().expect("threads");
            group.bench_function(BenchmarkId::new("edgegrad, all threads", &name), |bench| {
                all.install(|| bench.iter(|| ours(black_box(&mut x))));
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).without_plots();
    targets = products
}
criterion_main!(benches);
