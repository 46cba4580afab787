//! Whole training steps through the tape, and GPT-2-small shapes forward and backward: what
//! `work/` describes, on one thread; `seeds` and what is large on all of them as well.

use criterion::{Criterion, criterion_group, criterion_main};

mod work;

fn steps(c: &mut Criterion) {
    let mut group = c.benchmark_group("train_step");
    for name in work::NAMES {
        let large = name.starts_with("gpt2");
        let pools: &[usize] = match name {
            "plane" | "full" => &[1],
            _ if large => &[0],
            _ => &[1, 0],
        };
        // 0 is for as many threads as there are.
        for &threads in pools {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.expect("threads");
            // Before it is timed, the work checks that the loss falls.
            let (_, mut run) = pool.install(|| work::start(name));
            let suffix = if threads == 0 { ", all threads" } else { "" };
            group.sample_size(if large { 10 } else { 100 });
            group.bench_function(format!("{name}{suffix}"), |b| pool.install(|| b.iter(&mut run)));
        }
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
