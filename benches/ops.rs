//! Operations of a transformer, forward and forward + backward, on one thread and on all.
//!
//! Rows are (2048, 768) where nothing else is said. `copy` and `triad` (two numbers read, one
//! written) are what the memory alone takes for as many numbers: a forward pass reads and writes,
//! a backward pass reads at least two and writes one.

use criterion::{Criterion, criterion_group, criterion_main};
use edgegrad::nn::{Optimizer, Rule};
use edgegrad::ops;
use edgegrad::ops::{Attention, Eps};
use edgegrad::simd::Element;
use edgegrad::tape::{BackwardPlan, Program, Tape, Var};
use edgegrad::tensor::Buffer;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::hint::black_box;
use std::time::Duration;

const ROWS: usize = 2048;
const WIDTH: usize = 768;

/// Records an operation on leaves of these shapes.
struct Case {
    name: &'static str,
    leaves: Vec<Vec<usize>>,
    record: fn(&mut Tape<f32>, &[Var]) -> Var,
}

fn case(
    name: &'static str,
    leaves: &[&[usize]],
    record: fn(&mut Tape<f32>, &[Var]) -> Var,
) -> Case {
    Case { name, leaves: leaves.iter().map(|dims| dims.to_vec()).collect(), record }
}

fn cases() -> Vec<Case> {
    let x: &[usize] = &[ROWS, WIDTH];
    let row: &[usize] = &[WIDTH];
    vec![
        case("add", &[x, x], |t, x| ops::add(t, x[0], x[1])),
        case("add a row", &[x, row], |t, x| ops::add(t, x[0], x[1])),
        case("gelu", &[x], |t, x| ops::gelu(t, x[0])),
        case("gelu_tanh", &[x], |t, x| ops::gelu_tanh(t, x[0])),
        case("silu", &[x], |t, x| ops::silu(t, x[0])),
        case("softmax", &[x], |t, x| ops::softmax(t, x[0])),
        case("layer_norm", &[x, row, row], |t, x| {
            ops::layer_norm(t, x[0], Some((x[1], x[2])), 1e-5)
        }),
        case("rms_norm", &[x, row], |t, x| ops::rms_norm(t, x[0], Some(x[1]), Eps::Inside(1e-5))),
        case("cross_entropy 256x50257", &[&[256, 50257]], |t, x| {
            let targets = t.counting_ids([256]);
            ops::cross_entropy(t, x[0], targets)
        }),
        case("attention B=16 T=64 H=4 K=32", &[&[16, 64, 3 * 4 * 32]], |t, x| {
            ops::attention(t, x[0], heads(4, 32))
        }),
        case("attention B=1 T=1024 H=12 K=64", &[&[1, 1024, 3 * 12 * 64]], |t, x| {
            ops::attention(t, x[0], heads(12, 64))
        }),
    ]
}

fn heads(heads: usize, d_head: usize) -> Attention {
    let scale = 1.0 / (d_head as f64).sqrt();
    Attention::plain([heads, heads, d_head], true, scale)
}

/// Numbers between -2 and 2, of no pattern.
fn numbers(n: usize) -> Vec<f32> {
    let number = |i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 22) as f32 - 2.0;
    (0..n as u32).map(number).collect()
}

/// A case that is ready to run.
struct Ready {
    program: Program<f32>,
    plan: BackwardPlan,
    weights: Buffer<f32>,
}

impl Ready {
    fn new(case: &Case) -> Ready {
        let mut tape = Tape::new();
        let leaves: Vec<Var> = case.leaves.iter().map(|d| tape.leaf("x", d.clone())).collect();
        let y = (case.record)(&mut tape, &leaves);
        let mut program = tape.finish();
        let plan = program.plan_backward(y, &leaves);
        for &x in &leaves {
            let n = program.value(x).len();
            program.set(x, &numbers(n));
        }
        let weights = Buffer::from(&numbers(program.value(y).len())[..]);
        let mut ready = Ready { program, plan, weights };
        ready.both();
        // The work is real.
        let all = leaves.iter().map(|&x| ready.program.grad(x)).chain([ready.program.value(y)]);
        for numbers in all {
            let size: f64 = numbers.iter().map(|x| x.to_f64().abs()).sum();
            assert!(size.is_finite() && size > 0.01, "{}: {size}", case.name);
        }
        ready
    }

    fn both(&mut self) {
        self.program.forward();
        self.program.backward_from(&self.plan, &self.weights);
    }
}

/// One thread, and all there are.
fn pools() -> Vec<(String, ThreadPool)> {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = |n| ThreadPoolBuilder::new().num_threads(n).build().expect("threads");
    let mut counts = vec![1, all];
    counts.dedup();
    counts.into_iter().map(|n| (format!("threads {n}"), pool(n))).collect()
}

fn operations(c: &mut Criterion) {
    for (threads, pool) in pools() {
        for case in cases() {
            let mut group = c.benchmark_group(format!("ops/{}/{threads}", case.name));
            let mut ready = Ready::new(&case);
            group.bench_function("forward", |b| {
                pool.install(|| b.iter(|| ready.program.forward()));
            });
            group.bench_function("forward+backward", |b| {
                pool.install(|| b.iter(|| ready.both()));
            });
        }
    }
}

fn adam(c: &mut Criterion) {
    let n = 1_500_000;
    let rule = Rule::Adam { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 };
    for (threads, pool) in pools() {
        let mut optimizer = Optimizer::<f32>::new(rule, [n]);
        let (start, gradient) = (numbers(n), numbers(n));
        let mut x = start.clone();
        optimizer.begin_step();
        optimizer.update(0, 1e-3, &mut x, &gradient);
        let moved = x.iter().zip(&start).filter(|(x, start)| x != start).count();
        assert!(moved > n * 9 / 10, "{moved} of {n} parameters moved");
        c.bench_function(&format!("ops/adam 1.5 M/{threads}"), |b| {
            pool.install(|| {
                b.iter(|| {
                    optimizer.begin_step();
                    optimizer.update(0, 1e-3, &mut x, &gradient);
                })
            });
        });
    }
}

fn memory(c: &mut Criterion) {
    let n = ROWS * WIDTH;
    let (x, z, mut y) = (numbers(n), numbers(n), vec![0.0f32; n]);
    c.bench_function("ops/copy", |b| b.iter(|| black_box(&mut y).copy_from_slice(&x)));
    c.bench_function("ops/triad", |b| {
        b.iter(|| {
            let inputs = x.iter().zip(&z);
            black_box(&mut y).iter_mut().zip(inputs).for_each(|(y, (x, z))| *y = 0.5 * x + z);
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .without_plots();
    targets = operations, adam, memory
}
criterion_main!(benches);
