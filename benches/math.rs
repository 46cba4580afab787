//! exp, ln, tanh, erf and what is made of them on 2048 rows of 768, against the scalar library.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use edgegrad::simd::{Backend, Element, Kernel, Lanes, slice};
use std::hint::black_box;

const ROWS: usize = 2048;
const COLS: usize = 768;

/// `y = f(x)`, row after row.
struct Apply<'a>(&'a str, &'a [f32], &'a mut [f32]);

impl Kernel<f32> for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = f32>>(self) {
        let Apply(name, x, y) = self;
        let rows = x.chunks_exact(COLS).zip(y.chunks_exact_mut(COLS));
        match name {
            "exp" => slice::map(
                x,
                y,
                #[inline(always)]
                |x: L| x.exp(),
            ),
            "ln" => slice::map(
                x,
                y,
                #[inline(always)]
                |x: L| x.abs().ln(),
            ),
            "tanh" => slice::map(
                x,
                y,
                #[inline(always)]
                |x: L| x.tanh(),
            ),
            "erf" => slice::map(
                x,
                y,
                #[inline(always)]
                |x: L| x.erf(),
            ),
            "gelu tanh" => slice::map(
                x,
                y,
                #[inline(always)]
                |x: L| gelu_tanh(x),
            ),
            "gelu erf" => slice::map(
                x,
                y,
                #[inline(always)]
                |x: L| gelu_erf(x),
            ),
            "softmax" => rows.for_each(
                #[inline(always)]
                |(x, y)| softmax::<L>(x, y),
            ),
            _ => unreachable!("{name}"),
        }
    }
}

/// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
#[inline(always)]
fn gelu_tanh<L: Lanes<Elem = f32>>(x: L) -> L {
    let inner = x * (x * x).mul_add(L::splat(0.044_715 * 0.797_884_6), L::splat(0.797_884_6));
    let half = x * L::splat(0.5);
    half.mul_add(inner.tanh(), half)
}

/// x/2 (1 + erf(x / sqrt(2)))
#[inline(always)]
fn gelu_erf<L: Lanes<Elem = f32>>(x: L) -> L {
    let half = x * L::splat(0.5);
    half.mul_add((x * L::splat(std::f32::consts::FRAC_1_SQRT_2)).erf(), half)
}

#[inline(always)]
fn softmax<L: Lanes<Elem = f32>>(x: &[f32], y: &mut [f32]) {
    let max = L::splat(slice::largest::<L>(x));
    slice::map(
        x,
        y,
        #[inline(always)]
        |x: L| (x - max).exp(),
    );
    let scale = L::splat(1.0 / slice::sum::<L>(y));
    for row in y.chunks_exact_mut(L::N) {
        (L::load(row) * scale).store(row);
    }
}

fn functions(c: &mut Criterion) {
    let x: Vec<f32> = (0..ROWS * COLS).map(|i| (i * 7919 % 1000) as f32 / 100.0 - 5.0).collect();
    let (mut y, mut exact) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let mut group = c.benchmark_group("math 2048x768");
    group.throughput(Throughput::Elements(x.len() as u64));
    for name in ["exp", "ln", "tanh", "erf", "gelu tanh", "gelu erf", "softmax"] {
        f32::vectorize_on(Backend::Scalar, Apply(name, &x, &mut exact));
        for backend in Backend::available() {
            f32::vectorize_on(backend, Apply(name, &x, &mut y));
            let close = |(x, y): (&f32, &f32)| (x - y).abs() <= 1e-5 * y.abs() + 1e-6;
            assert!(
                y.iter().zip(&exact).filter(|(x, y)| y.is_finite() || x != y).all(close),
                "{name} on {backend}"
            );
            group.bench_function(BenchmarkId::new(name, backend), |bench| {
                bench.iter(|| f32::vectorize_on(backend, Apply(name, &x, black_box(&mut y))));
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).without_plots();
    targets = functions
}
criterion_main!(benches);
