//! Matrix products against `matrixmultiply`, on one thread and, for large ones, on all.
//!
//! Reports time and multiply-adds per second (an f32 product of m, n, k has m n k; a GFLOP/s is
//! half a billion of them).

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use edgegrad::gemm::{Mat, MatMut, Write, gemm};
use std::hint::black_box;

/// Rows and columns of C, depth, and which of A and B are stored transposed.
const SHAPES: [([usize; 3], &str); 16] = [
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
];

fn numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i + seed) * 7919 % 1000) as f32 / 500.0 - 1.0).collect()
}

fn products(c: &mut Criterion) {
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let mut group = c.benchmark_group("gemm");
    for ([m, n, k], layout) in SHAPES {
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let (a_rs, a_cs) = if layout.starts_with('t') { (1, m) } else { (k, 1) };
        let (b_rs, b_cs) = if layout.ends_with('t') { (1, k) } else { (n, 1) };
        let (left, right) =
            (Mat::strided(&a, m, k, a_rs, a_cs), Mat::strided(&b, k, n, b_rs, b_cs));
        let ours = |out: &mut [f32]| gemm(1.0, left, right, Write::Store, MatMut::new(out, m, n));
        let theirs = |out: &mut [f32]| {
            let [a_rs, a_cs, b_rs, b_cs, c_rs] = [a_rs, a_cs, b_rs, b_cs, n].map(|s| s as isize);
            assert!(a.len() == m * k && b.len() == k * n && out.len() == m * n);
            let (a, b, c) = (a.as_ptr(), b.as_ptr(), out.as_mut_ptr());
            // SAFETY: the three matrices fill their slices, as asserted.
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
