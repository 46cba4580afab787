//! Edges of GPT-2-small shapes (12 layers, d = 768, 50,257 tokens, random weights): one pair of 15
//! tokens in single precision, on all threads of the pool.
//!
//! `forward` is the plain model with the logits that the pair asks for; `eap` scores all 32,491
//! edges, `eap-ig` does with 5 steps, each with its recording. How long all edges by real patches
//! take is estimated from one pass and the operations that are run again.

mod gpt2;

use criterion::{Criterion, criterion_group, criterion_main};
use edgegrad::attribution::{Method, eap, eap_ig, method};
use edgegrad::nn::transformer::Config;
use std::time::Duration;

fn bench(c: &mut Criterion) {
    let config = Config::gpt2_small();
    let (model, pairs) = gpt2::setting(&config, 1, 15);
    let b = gpt2::behaviour(&config, &model, &pairs);
    assert_eq!(b.graph.edges(), 32_491);

    let mut group = c.benchmark_group("edges");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    b.batches(None, |probe, pairs| {
        group.bench_function("forward", |b| b.iter(|| probe.run_clean(pairs)));
        Ok(())
    })
    .expect("a pass");
    group.bench_function("eap", |bench| {
        bench.iter(|| eap::scores(&b, &mut |_| {}).expect("scores"));
    });
    group.bench_function("eap-ig", |bench| {
        let rule = method::Quadrature::Left;
        bench.iter(|| eap_ig::scores(&b, 5, rule, &mut |_| {}).expect("scores"));
    });
    group.finish();
    // Before the masked copies of `exact` are recorded: what scores alone need.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("unknown");
    eprintln!("peak memory up to here: {}", peak.trim());
    let exact = Method::Exact;
    let seconds = exact.seconds(&b, &exact.options()).expect("memory");
    eprintln!("all edges by real patches: about {seconds:.0} s");
}

criterion_group!(benches, bench);
criterion_main!(benches);
