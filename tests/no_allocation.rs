//! A replayed training step allocates nothing: batch, forward, backward, update.
//!
//! One test only in this file: the counter counts what every thread does.

use edgegrad::nn::pooled::{Config, Pooled};
use edgegrad::nn::{Activation, Optimizer, Rule};
use edgegrad::rng::{Purpose, Rng};
use edgegrad::tape::Tape;
use edgegrad::tasks::modular_addition::ModularAddition;
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all work is the system's; growing and zeroed memory come through `alloc` by default.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, SeqCst);
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// What `run` allocates.
fn count(run: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.load(SeqCst);
    run();
    ALLOCATIONS.load(SeqCst) - before
}

/// Allocations of each of ten training steps.
fn steps(p: usize, d_model: usize, d_mlp: usize, batch: usize) -> Vec<usize> {
    let task = ModularAddition { p, seq_len: 12, k: 5 };
    let data = task.generate(512, 0, true, &mut Rng::new(0, Purpose::Data, 0)).expect("rows").train;
    let activation = Activation::Gelu;
    let (vocab, mlp_bias, dropout) = (p, true, 0.25);
    let config = Config { vocab, seq_len: 12, d_model, d_mlp, activation, mlp_bias, dropout };
    let mut tape = Tape::<f32>::new();
    let model = Pooled::record(&mut tape, &config, batch);
    let mut program = tape.finish();
    let plan = program.plan_backward(model.loss, &model.parameters);
    let init: Vec<Vec<f32>> =
        config.init(0).iter().map(|w| w.iter().map(|&x| x as f32).collect()).collect();
    model.set_parameters(&mut program, &init);
    let rule = Rule::Adam { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 };
    let mut adam = Optimizer::new(rule, init.iter().map(Vec::len));
    let mut noise = Rng::new(0, Purpose::Dropout, 0);
    let mut step = |s: usize| {
        let rows = (0..batch).map(|i| (s * batch + i) % data.n);
        model.set_batch(&mut program, rows.map(|r| (data.row(r), data.targets[r])));
        program.draw_noise(|| noise.uniform());
        program.forward();
        program.backward(&plan);
        adam.begin_step();
        for (i, &x) in model.parameters.iter().enumerate() {
            let (x, gradient) = program.value_and_grad_mut(x);
            adam.update(i, 1e-3, x, gradient);
        }
        assert!(program.value(model.loss)[0].is_finite());
    };
    (0..10).map(|s| count(|| step(s))).collect()
}

#[test]
fn a_replayed_training_step_allocates_nothing() {
    assert!(count(|| drop(black_box(vec![1u8; 100]))) > 0, "the counter sees nothing");
    // Steps run on a thread of a pool, as in training; it does not grow while they do.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
    for (p, d_model, d_mlp, batch) in [(2, 2, 32, 32), (4, 32, 128, 256)] {
        // A thread prepares what it needs when it first takes a part of the work, which may be
        // late.
        pool.broadcast(|_| drop(steps(p, d_model, d_mlp, batch)));
        let counts = pool.install(|| steps(p, d_model, d_mlp, batch));
        // The first two steps may prepare what all others use.
        assert_eq!(counts[2..], [0; 8], "d = {d_model}, F = {d_mlp}, batch {batch}: {counts:?}");
    }
}
