//! What scores of all edges cost as a model and its input grow: `cargo run --release --example scaling`.
//!
//! A transformer of GPT-2-small's width (d = 768, 12 heads, random weights, a small vocabulary) runs
//! forward, and scores all its edges by edge attribution patching, over numbers of tokens, pairs and
//! layers. Prints a table and draws `scaling.svg`. `--small` takes seconds instead of minutes.

use edgegrad::attribution::eap;
use edgegrad::checkpoints::AnyModel;
use edgegrad::error::Result;
use edgegrad::formats::pairs::{Bounds, Pairs};
use edgegrad::graph::{Granularity, Graph};
use edgegrad::nn::transformer::{Config, Model};
use edgegrad::patching::behaviour::{Baseline, Behaviour};
use edgegrad::patching::metric::{Metric, Positions, Question};
use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};

/// What is measured of one size.
struct Cost {
    edges: usize,
    forward: f64,
    eap: f64,
    /// What scores take beyond the weights; `None` where the system does not say.
    bytes: Option<f64>,
}

/// What a process of its own holds at most beyond what it held before `run`: what this one has freed
/// would count as free for it, or not, by the whims of the allocator.
fn beyond(run: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = memory();
    run()?;
    if let Some(((_, held), (most, _))) = before.zip(memory()) {
        println!("{}", most - held);
    }
    Ok(())
}

/// [`beyond`], asked of this program anew with these arguments.
fn bytes(arguments: &[String]) -> Option<f64> {
    let program = std::env::current_exe().ok()?;
    let answer = std::process::Command::new(program).args(arguments).output().ok()?;
    String::from_utf8(answer.stdout).ok()?.trim().parse().ok()
}

/// The most memory this process held since the last call, and what it holds now.
fn memory() -> Option<(f64, f64)> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let field = |name| {
        let line = status.lines().find_map(|l| l.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kb| kb * 1024.0)
    };
    let found = (field("VmHWM:")?, field("VmRSS:")?);
    // Forgets the maximum so far.
    fs::write("/proc/self/clear_refs", "5").ok()?;
    Some(found)
}

/// The median time of a few runs, after one that finds the memory.
fn median(mut run: impl FnMut()) -> f64 {
    run();
    let (start, mut times) = (Instant::now(), vec![]);
    while times.len() < 3 || (times.len() < 9 && start.elapsed() < Duration::from_secs(1)) {
        let start = Instant::now();
        run();
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The pairs of a size, and what they ask of its model.
fn asked(config: &Config, batch: usize, time: usize) -> Result<(Pairs, Question)> {
    let id = |i: usize| (i * 7919 + 13) % config.vocab;
    let mut text = String::new();
    for pair in 0..batch {
        let tokens = |salt: usize| (0..time).map(|t| id(salt + t)).collect::<Vec<_>>();
        let (clean, corrupted) = (tokens(2 * pair * time), tokens((2 * pair + 1) * time));
        let asked = "\"answer\": 11, \"distractor\": 12";
        writeln!(text, "{{\"clean\": {clean:?}, \"corrupted\": {corrupted:?}, {asked}}}")
            .expect("a String takes everything");
    }
    let bounds = Bounds { vocab: config.vocab, vocab_out: config.vocab, context: config.context };
    let pairs = Pairs::parse("pairs", text.as_bytes(), &bounds, None, None)?;
    let question = Question::new(Metric::LogitDiff, Positions::Asked, config.vocab, &pairs)?;
    Ok((pairs, question))
}

/// What `model` does of `batch` pairs of `time` tokens, all at a time.
fn behaviour<'a>(
    model: &'a AnyModel<f32>,
    config: &Config,
    (pairs, question): &'a (Pairs, Question),
) -> Result<Behaviour<'a, f32>> {
    let graph = Graph::of_transformer(config, Granularity::default());
    let mut b = Behaviour::new(model, graph, pairs, *question, Baseline::Resample)?;
    b.rows = usize::MAX;
    Ok(b)
}

fn cost(model: &AnyModel<f32>, config: &Config, batch: usize, time: usize) -> Result<Cost> {
    let asked = asked(config, batch, time)?;
    let b = behaviour(model, config, &asked)?;
    let edges = b.graph.edges();
    let mut forward = 0.0;
    b.batches(None, |probe, pairs| {
        forward = median(|| probe.run_clean(pairs));
        Ok(())
    })?;
    let sizes = [config.d_model, config.layers, batch, time].map(|n| n.to_string());
    let bytes = bytes(&[&["--bytes".into()], &sizes[..]].concat());
    let eap = median(|| {
        eap::scores(&b, &mut |_| {}).expect("as before");
    });
    Ok(Cost { edges, forward, eap, bytes })
}

/// The power of `x` that `y` grows with, from the first to the last point.
fn exponent(points: &[(f64, f64)]) -> f64 {
    let ((x0, y0), (x1, y1)) = (points[0], points[points.len() - 1]);
    (y1 / y0).ln() / (x1 / x0).ln()
}

fn shape(width: usize, layers: usize) -> Config {
    Config {
        vocab: 1000,
        vocab_out: 1000,
        context: 1024,
        layers,
        d_model: width,
        heads: 12,
        kv_heads: 12,
        d_head: width.div_ceil(12),
        d_mlp: 4 * width,
        ..Config::gpt2_small()
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|a| a == "--bytes") {
        let sizes: Vec<usize> = arguments[1..].iter().filter_map(|a| a.parse().ok()).collect();
        let &[width, layers, batch, time] = &sizes[..] else { panic!("four sizes, got {sizes:?}") };
        let config = shape(width, layers);
        let model = AnyModel::Transformer(Model::random(&config, 0));
        let asked = asked(&config, batch, time)?;
        let b = behaviour(&model, &config, &asked)?;
        return beyond(|| eap::scores(&b, &mut |_| {}).map(|_| ()));
    }
    let small = arguments.iter().any(|a| a == "--small");
    let width = if small { 48 } else { 768 };
    // (what grows, layers, pairs, tokens)
    let sizes = |of: fn(usize) -> (usize, usize, usize), list: &[usize]| -> Vec<_> {
        list.iter().map(|&n| (n, of(n))).collect()
    };
    let scale = if small { 16 } else { 1 };
    let series = [
        ("tokens", sizes(|n| (12, 1, n), &[64, 128, 256, 512, 1024].map(|n| n / scale))),
        ("pairs", sizes(|n| (12, n, 64), &[1, 2, 4, 8, 16])),
        ("layers", sizes(|n| (n, 1, 64), &[3, 6, 12, 24])),
    ];
    let mut chart = Chart::new();
    let mut model: Option<(usize, AnyModel<f32>)> = None;
    for (name, sizes) in &series {
        println!("{name:>8}  edges    forward  EAP    EAP / forward  memory of EAP");
        println!("                       ms     ms                   MB");
        let (mut forward, mut eap, mut memory) = (vec![], vec![], vec![]);
        for &(n, (layers, batch, time)) in sizes {
            let config = shape(width, layers);
            let model = match &mut model {
                Some((l, model)) if *l == layers => model,
                other => {
                    // The old weights go before the new ones come.
                    *other = None;
                    let new = AnyModel::Transformer(Model::random(&config, 0));
                    &mut other.insert((layers, new)).1
                }
            };
            let c = cost(model, &config, batch, time)?;
            let (f, e) = (c.forward * 1e3, c.eap * 1e3);
            let mb = c.bytes.map_or("?".into(), |b| format!("{:.1}", b / 1e6));
            println!("{n:>8} {:>6} {f:>10.1} {e:>6.0} {:>14.1} {mb:>14}", c.edges, e / f);
            forward.push((n as f64, f));
            eap.push((n as f64, e));
            memory.extend(c.bytes.map(|b| (n as f64, b / 1e6)));
        }
        let power = |points: &[(f64, f64)]| match points {
            [] => "?".into(),
            points => format!("{:.2}", exponent(points)),
        };
        println!(
            "grows with {name} to the power of: forward {}, EAP {}, memory of EAP {}\n",
            power(&forward),
            power(&eap),
            power(&memory)
        );
        chart.panel(name, &[("forward, ms", &forward), ("EAP, ms", &eap), ("memory, MB", &memory)]);
    }
    fs::write("scaling.svg", chart.finish()).expect("the current folder can be written");
    println!("scaling.svg");
    Ok(())
}

/// Panels side by side, both axes logarithmic, with a dotted line for what is proportional.
struct Chart {
    body: String,
    panels: usize,
}

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 280.0;
const MARGIN: f64 = 40.0;
const COLOURS: [&str; 3] = ["#0b6e99", "#c1440e", "#5b7f2b"];

impl Chart {
    fn new() -> Self {
        Chart { body: String::new(), panels: 0 }
    }

    fn panel(&mut self, title: &str, lines: &[(&str, &Vec<(f64, f64)>)]) {
        let left = self.panels as f64 * WIDTH;
        self.panels += 1;
        let all = || lines.iter().flat_map(|(_, points)| points.iter());
        let bounds = |of: fn(&(f64, f64)) -> f64| {
            let values = all().map(of).map(f64::log2);
            let (low, high) = values.fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(x), h.max(x)));
            (low.floor(), high.ceil().max(low.floor() + 1.0))
        };
        let ((x0, x1), (y0, y1)) = (bounds(|p| p.0), bounds(|p| p.1));
        let x = |v: f64| left + MARGIN + (v.log2() - x0) / (x1 - x0) * (WIDTH - 1.5 * MARGIN);
        let y = |v: f64| HEIGHT - MARGIN - (v.log2() - y0) / (y1 - y0) * (HEIGHT - 2.5 * MARGIN);
        let mut draw = |text: String| writeln!(self.body, "{text}").expect("a String");
        let text = |x: f64, y: f64, anchor: &str, colour: &str, text: &str| {
            format!(
                r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{colour}">{text}</text>"#
            )
        };
        let line = |points: &[(f64, f64)], style: &str| {
            let places = points.iter().map(|&(a, b)| format!("{:.1},{:.1}", x(a), y(b)));
            let places = places.collect::<Vec<_>>().join(" ");
            format!(r#"<polyline points="{places}" fill="none" {style}/>"#)
        };
        for power in x0 as i32..=x1 as i32 {
            let v = 2f64.powi(power);
            draw(line(&[(v, y0.exp2()), (v, y1.exp2())], r##"stroke="#e4e4e4""##));
            draw(text(x(v), HEIGHT - MARGIN + 14.0, "middle", "#555", &v.to_string()));
        }
        for power in (y0 as i32..=y1 as i32).filter(|p| p % 2 == 0) {
            let v = 2f64.powi(power);
            draw(line(&[(x0.exp2(), v), (x1.exp2(), v)], r##"stroke="#e4e4e4""##));
            draw(text(left + MARGIN - 5.0, y(v) + 4.0, "end", "#555", &v.to_string()));
        }
        draw(text(left + WIDTH / 2.0, HEIGHT - 8.0, "middle", "#222", title));
        for (i, ((name, points), colour)) in lines.iter().zip(COLOURS).enumerate() {
            let Some(&(a, b)) = points.first() else { continue };
            let end = points[points.len() - 1].0;
            let dots = format!(r#"stroke="{colour}" stroke-dasharray="2 4""#);
            draw(line(&[(a, b), (end, (b * end / a).min(y1.exp2()))], &dots));
            draw(line(points, &format!(r#"stroke="{colour}" stroke-width="2""#)));
            draw(text(left + MARGIN, 14.0 + 14.0 * i as f64, "start", colour, name));
        }
    }

    fn finish(self) -> String {
        let width = self.panels as f64 * WIDTH;
        let font = r#"font-family="sans-serif" font-size="11""#;
        let size = format!(r#"viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}""#);
        let back = r#"<rect width="100%" height="100%" fill="white"/>"#;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" {size} {font}>\n{back}\n{}</svg>\n",
            self.body
        )
    }
}
