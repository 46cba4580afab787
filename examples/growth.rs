//! What scores of all edges cost as a model and its input grow:
//! `cargo run --release --example growth`.
//!
//! A transformer of GPT-2-small's width runs forward and scores its edges by attribution patching.
//! Prints a table and draws `growth.svg`. `--small` takes seconds instead of minutes.

use edgegrad::experiments::{answer_of, median_seconds, peak_bytes};
use edgegrad::plot::{Format, Line, exponent, growth};
use edgegrad::{attribution::eap, nn::transformer::Config, nn::transformer::Model, prelude::*};

const ASKED: &str = r#""answer": 11, "distractor": 12"#;
const HEAD: &str = "  edges    forward  EAP    EAP / forward  memory of EAP
                       ms     ms                   MB";

/// Calls `then` with a model of this width, layers, pairs and tokens, all pairs at a time.
fn with<R>(size: [usize; 4], then: impl FnOnce(&Behaviour<'_, f32>) -> Result<R>) -> Result<R> {
    let ([d_model, layers, batch, time], vocab, vocab_out) = (size, 1000, 1000);
    let (d_head, d_mlp, gpt2) = (d_model.div_ceil(12), 4 * d_model, Config::gpt2_small());
    let config = Config { vocab, vocab_out, layers, d_model, d_head, d_mlp, ..gpt2 };
    let id = |at| (at * 7919 + 13) % vocab;
    let ids = |row| (row * time..(row + 1) * time).map(id).collect::<Vec<_>>();
    let pair = |p| {
        let (clean, corrupted) = (ids(2 * p), ids(2 * p + 1));
        format!("{{\"clean\": {clean:?}, \"corrupted\": {corrupted:?}, {ASKED}}}\n")
    };
    let text = (0..batch).map(pair).collect::<String>();
    let bounds = Bounds { vocab, vocab_out, context: config.context };
    let pairs = Pairs::parse("pairs", text.as_bytes(), &bounds, None, None)?;
    let question = Question::new(Metric::LogitDiff, Positions::Asked, vocab_out, &pairs)?;
    let graph = Graph::of_transformer(&config, Granularity::default());
    let model = AnyModel::Transformer(Model::random(&config, 0));
    let mut b = Behaviour::new(&model, graph, &pairs, question, Baseline::Resample)?;
    b.rows = usize::MAX;
    then(&b)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.len() == 4 {
        let size = std::array::from_fn(|i| arguments[i].parse().expect("a part of a size"));
        let peak = with(size, |b| peak_bytes(|| eap::scores(b, &mut |_| {}).map(drop)))?;
        peak.into_iter().for_each(|bytes| println!("{bytes}"));
        return Ok(());
    }
    let (d, scale) = if arguments.contains(&"--small".into()) { (48, 16) } else { (768, 1) };
    // 0 stands for what grows.
    let series = [
        ("tokens", [64, 128, 256, 512, 1024].map(|n| n / scale).to_vec(), [d, 12, 1, 0]),
        ("pairs", vec![1, 2, 4, 8, 16], [d, 12, 0, 64]),
        ("layers", vec![3, 6, 12, 24], [d, 0, 1, 64]),
    ];
    let mut panels: Vec<(String, Vec<Line>)> = vec![];
    for (name, sizes, of) in series {
        println!("{name:>8}{HEAD}");
        let mut lines = ["forward, ms", "EAP, ms", "memory, MB"].map(|l| (l.to_string(), vec![]));
        for n in sizes {
            let size = of.map(|part| if part == 0 { n } else { part });
            let (edges, f, e) = with(size, |b| {
                let mut f = 0.0;
                b.batches(None, |probe, pairs| {
                    f = median_seconds(|| probe.run_clean(pairs));
                    Ok(())
                })?;
                let e = median_seconds(|| drop(eap::scores(b, &mut |_| {})));
                Ok((b.graph.edges(), f * 1e3, e * 1e3))
            })?;
            let mb = answer_of(size.map(|n| n.to_string())).map(|bytes| bytes / 1e6);
            let (ratio, memory) = (e / f, mb.map_or("?".into(), |mb| format!("{mb:.1}")));
            println!("{n:>8} {edges:>6} {f:>10.1} {e:>6.0} {ratio:>14.1} {memory:>14}");
            for (line, y) in lines.iter_mut().zip([Some(f), Some(e), mb]) {
                line.1.extend(y.map(|y| (n as f64, y)));
            }
        }
        let power = |l: &Line| exponent(&l.1).map_or("?".into(), |p| format!("{p:.2}"));
        let [f, e, mb] = lines.each_ref().map(power);
        println!("grows with {name} to the power of: forward {f}, EAP {e}, memory of EAP {mb}\n");
        panels.push((name.to_string(), lines.into()));
    }
    let svg = growth(&panels).write(Format::Svg, 0).unwrap_or_default();
    edgegrad::files::atomic::write_bytes("growth.svg", &svg).map(|()| println!("growth.svg"))
}
