//! Circuits: what it takes to run and to find one.
//!
//! On GPT-2-small shapes, one pair of 15 tokens or 34 of them at a time, in single precision on all
//! threads of the pool; divide by the pairs:
//!
//! - `dense forward`: the plain model on the clean sequences;
//! - `1000 edges, masked` and `1000 edges, specialised`: the metric of all pairs from nothing, with
//!   the corrupted run that the removed edges carry;
//! - `5 %, specialised forward`: a recorded circuit of 5 % of the edges that leaves every other
//!   head and MLP unused, to compare with `dense forward`.
//!
//! `acdc` searches all 1,108 edges of 6 layers of 4 heads, d = 64, on 32 pairs of 16 tokens.

mod gpt2;

use criterion::{Criterion, criterion_group, criterion_main};
use edgegrad::discovery::acdc;
use edgegrad::discovery::select::{Rank, first, greedy};
use edgegrad::graph::{Graph, Node};
use edgegrad::nn::transformer::Config;
use edgegrad::patching::probe::Probe;
use edgegrad::patching::running;
use edgegrad::patching::running::Runner;
use edgegrad::patching::subsets;
use edgegrad::rng::{Purpose, Rng};
use std::time::Duration;

/// Scores of no meaning.
fn scores(graph: &Graph) -> Vec<f64> {
    let mut rng = Rng::new(0, Purpose::Sample, 0);
    (0..graph.edges()).map(|_| rng.uniform()).collect()
}

/// `n` edges between the input, every other head, every other MLP and the logits.
fn half(graph: &Graph, n: usize) -> Vec<bool> {
    let used = |node: Node| match node {
        Node::Head { layer, head } => (layer + head) % 2 == 0,
        Node::Mlp { layer } => layer % 2 == 1,
        _ => true,
    };
    let score = |(e, s): (usize, &f64)| {
        let edge = graph.edge(e);
        if used(edge.from) && used(edge.to.node) { *s } else { -1.0 }
    };
    let scores: Vec<f64> = scores(graph).iter().enumerate().map(score).collect();
    first(&Rank::Signed.order(&scores), n, scores.len())
}

fn gpt2_small(c: &mut Criterion) {
    for count in [1, 34] {
        run(c, count);
    }
}

fn run(c: &mut Criterion, count: usize) {
    let config = Config::gpt2_small();
    let (model, pairs) = gpt2::setting(&config, count, 15);
    let b = gpt2::behaviour(&config, &model, &pairs);
    let list: Vec<_> = pairs.iter().collect();
    let mut dense = Probe::new(&b, count, &pairs[0], None).expect("memory");
    dense.ask(&b, &list);

    let mut group = c.benchmark_group(format!("circuits, {count} pairs"));
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    group.bench_function("dense forward", |bench| bench.iter(|| dense.run_clean(&list)));
    let kept = half(&b.graph, b.graph.edges() / 20);
    let baselines = dense.baselines(&b, &list);
    let mut runner = Runner::new(&b, &kept, count, 15).expect("memory").expect("a transformer");
    runner.ask(&b, &list, &dense, &baselines);
    group.bench_function("5 %, specialised forward", |bench| bench.iter(|| runner.run(count)));
    drop((dense, runner));
    let kept = greedy(&b.graph, &scores(&b.graph), Rank::Abs, 1000);
    group.bench_function("1000 edges, masked", |bench| {
        bench.iter(|| subsets::per_pair(&b, 1, |_, e| kept[e], &mut |_| {}).expect("memory"));
    });
    group.bench_function("1000 edges, specialised", |bench| {
        bench.iter(|| running::per_pair(&b, &kept).expect("memory"));
    });
    group.finish();
}

fn search(c: &mut Criterion) {
    let config = Config {
        vocab: 1000,
        vocab_out: 1000,
        layers: 6,
        heads: 4,
        kv_heads: 4,
        d_model: 64,
        d_head: 16,
        attn_scale: 4.0,
        d_mlp: 256,
        ..Config::gpt2_small()
    };
    let (model, pairs) = gpt2::setting(&config, 32, 16);
    let b = gpt2::behaviour(&config, &model, &pairs);
    assert_eq!(b.graph.edges(), 1108);
    let mut group = c.benchmark_group("circuits");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    group.bench_function("acdc", |bench| {
        bench.iter(|| acdc::search(&b, 1e-3, &mut |_| {}).expect("memory"));
    });
    group.finish();
}

criterion_group!(benches, gpt2_small, search);
criterion_main!(benches);
