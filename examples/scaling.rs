//! What many machines make of a sweep and of attribution scores of a large model: a simulation with
//! constants measured on two cores, checked against what was measured there:
//! `cargo run --release --example scaling`.
//!
//! It fails if it is more than 15 % from a measured time. `docs/scaling.md` shows what it prints.

use edgegrad::{nn::transformer::Config, prelude::*};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Seconds of a run by itself; of rank 0's answers to "which run next" and to the row of a run,
/// which is on disk before it counts; how often rank 0 looks for either.
const RUN: f64 = 1.81;
const QUESTION: f64 = 10e-6;
const ROW: f64 = 0.3e-3;
const PAUSE: f64 = 200e-6;

/// Bytes of a run's folder, and of the messages about it.
const FOLDER: f64 = 171e3;
const MESSAGES: f64 = 600.0;

/// Of a decoder of 894,976 parameters: seconds of a row of a batch and of what an update takes
/// beside, both from batches of 8 and 32 rows in one process.
const EXAMPLE: f64 = 1.04e-3;
const UPDATE: f64 = 3.2e-3;
const DECODER: f64 = 894_976.0;

/// Bytes a second of a gradient that is put, exchanged within a machine and added up, from a batch
/// of 16 rows in two processes.
const EXCHANGE: f64 = 1.3e9;

/// Seconds of a pair of 15 tokens by EAP on GPT-2-small shapes, from 32 pairs in one process.
const PAIR: f64 = 0.142;
const TOKENS: f64 = 15.0;

/// Pairs of a batch, and the bytes a second at which scores are added up.
const BATCH: f64 = 32.0;
const ADD: f64 = 4e9;

/// What was measured: seconds.
const MEASURED: [(&str, f64); 6] = [
    ("a sweep of 12 runs, one at a time", 22.8),
    ("the same, two at a time", 11.5),
    ("an update of the decoder by 64 rows, one process", 0.0700),
    ("the same, two processes", 0.0406),
    ("EAP of 64 pairs, GPT-2-small shapes, one process", 8.36),
    ("the same, two processes", 4.33),
];

/// Seconds of a sweep of runs of so many seconds each, and the share of them in which rank 0 is
/// busy with its rows.
fn sweep(runs: usize, run: f64, workers: usize) -> (f64, f64) {
    let nanoseconds = |seconds: f64| (seconds * 1e9) as u64;
    // What happens next: when, whether a run has ended, to which worker.
    let mut events: BinaryHeap<_> = (0..workers).map(|w| Reverse((0, false, w))).collect();
    let (mut left, mut free, mut busy) = (runs, 0, 0);
    while let Some(Reverse((time, ended, worker))) = events.pop() {
        let idle = if free < time { nanoseconds(PAUSE / 2.0) } else { 0 };
        let takes = nanoseconds(if ended { ROW } else { QUESTION });
        free = time.max(free) + idle + takes;
        busy += takes;
        if ended {
            events.push(Reverse((free, false, worker)));
        } else if left > 0 {
            left -= 1;
            events.push(Reverse((free + nanoseconds(run), true, worker)));
        }
    }
    (free as f64 / 1e9, busy as f64 / free as f64)
}

/// Seconds in which each of `ranks` hears `bytes` of each other, one after the other, of a link of
/// so many bytes a second.
fn gather(ranks: f64, bytes: f64, link: f64) -> f64 {
    if ranks > 1.0 { PAUSE + (ranks - 1.0) * bytes / link } else { 0.0 }
}

/// Seconds of an update by `rows` rows whose `parts` are divided between ranks.
fn update(rows: f64, parts: f64, ranks: f64) -> f64 {
    let mine = (parts / ranks).ceil();
    UPDATE + mine * rows / parts * EXAMPLE + gather(ranks, mine * 4.0 * DECODER, EXCHANGE)
}

/// What one batch takes and says.
#[derive(Clone, Copy)]
struct Batch {
    seconds: f64,
    bytes: f64,
}

/// Seconds of EAP of so many batches: rounds as the ranks divide them, each twice as long as the
/// one before until it takes 100 ms or 16 MiB, and half as long beyond.
fn eap(batches: usize, batch: Batch, ranks: usize, link: f64) -> f64 {
    let (mut seconds, mut done, mut takes) = (0.0, 0, 1);
    while done < batches {
        let round = (batches - done).min(ranks * takes);
        let most = round.div_ceil(ranks) as f64;
        let (work, said) = (most * batch.seconds, most * batch.bytes);
        let added = round as f64 * batch.bytes / ADD;
        seconds += work + gather(ranks as f64, said, link) + added;
        let long = work > 0.1 || said > f64::from(1 << 24);
        takes = if long { (takes / 2).max(1) } else { 2 * takes };
        done += round;
    }
    seconds
}

/// The edges of a model, and the operations of EAP for a pair: products of two sequences forward
/// and of one backward, which has two for each, and of each edge's ends.
fn work(config: &Config) -> (f64, f64) {
    let edges = Graph::of_transformer(config, Granularity::default()).edges() as f64;
    let weights: usize = config.parameters().iter().map(|p| p.shape.len()).sum();
    (edges, TOKENS * (8.0 * weights as f64 + 2.0 * edges * config.d_model as f64))
}

fn main() -> Result<()> {
    let small = Config::gpt2_small();
    let (edges, operations) = work(&small);
    let of_small = Batch { seconds: BATCH * PAIR, bytes: 8.0 * edges };
    let simulated = [
        sweep(12, RUN, 1).0,
        sweep(12, RUN, 2).0,
        update(64.0, 2.0, 1.0),
        update(64.0, 2.0, 2.0),
        eap(2, of_small, 1, EXCHANGE),
        eap(2, of_small, 2, EXCHANGE),
    ];
    println!("{:<50} measured  simulated", "");
    for ((name, measured), simulated) in MEASURED.into_iter().zip(simulated) {
        let off = simulated / measured - 1.0;
        println!("{name:<50} {measured:>6.3} s  {simulated:>7.3} s  {:>+4.0} %", 100.0 * off);
        if off.abs() > 0.15 {
            let message = format!("is {:.0} % from what was measured", 100.0 * off);
            return Err(Error::failed(name, message, "measure the constants again"));
        }
    }
    sweeps();
    scores(operations / PAIR);
    Ok(())
}

/// 10,000 runs on nodes of 64 workers.
fn sweeps() {
    println!("\n10,000 runs       nodes  seconds  efficiency  rank 0 busy  folders, MB/s");
    for run in [RUN, 60.0] {
        for nodes in [1, 10, 100] {
            let workers = 64 * nodes;
            let (seconds, busy) = sweep(10_000, run, workers);
            let efficiency = 10_000.0 * run / (workers as f64 * seconds);
            let rate = 10_000.0 * FOLDER / seconds / 1e6;
            println!(
                "{run:>5.2} s each  {nodes:>9} {seconds:>8.1} {efficiency:>11.2} {busy:>12.2} \
                 {rate:>14.1}"
            );
        }
        let most = run / (ROW + QUESTION);
        println!("rank 0 has no time left from {most:.0} workers on");
    }
    println!("messages: {:.1} MB in all", 10_000.0 * MESSAGES / 1e6);
}

/// EAP of a model of a billion parameters, on nodes of 64 cores as fast as the one measured.
fn scores(core: f64) {
    let small = Config::gpt2_small();
    let large = Config {
        vocab: 128_256,
        vocab_out: 128_256,
        layers: 16,
        d_model: 2048,
        heads: 32,
        kv_heads: 8,
        d_head: 64,
        d_mlp: 8192,
        gated: true,
        ..small
    };
    let (edges, operations) = work(&large);
    let batch = Batch { seconds: BATCH * operations / (64.0 * core), bytes: 8.0 * edges };
    let weights: usize = large.parameters().iter().map(|p| p.shape.len()).sum();
    println!(
        "\n{:.2} billion parameters, {edges} edges: a batch takes {:.2} s of a node, says {:.1} MB",
        weights as f64 / 1e9,
        batch.seconds,
        batch.bytes / 1e6
    );
    println!("10,240 pairs  seconds and efficiency with links of");
    println!("nodes           1 Gb/s        10 Gb/s       100 Gb/s");
    let links = [1.0, 10.0, 100.0].map(|gigabits| gigabits * 1e9 / 8.0);
    let (batches, alone) = (320, eap(320, batch, 1, links[0]));
    for nodes in [1, 2, 10, 32, 100, 320] {
        let cells = links.map(|link| {
            let seconds = eap(batches, batch, nodes, link);
            format!("{seconds:>9.1} {:>4.2}", alone / (nodes as f64 * seconds))
        });
        println!("{nodes:>5}{}", cells.join(""));
    }
    for (gigabits, link) in [1, 10, 100].into_iter().zip(links) {
        // Hearing the others takes as long as the work.
        let most = batch.seconds / (batch.bytes / link + batch.bytes / ADD);
        println!("at {gigabits} Gb/s half of the time is exchange from {most:.0} nodes on");
    }
}
