//! Circuits of a model that nobody here has trained: how often it is right, which scores come near
//! the ablation of every edge, how faithful the first edges are on other pairs, beside random
//! circuits, and which of the first edges depend on each other.
//!
//! `cargo run --release --example real -- --model DIR|FILE.gguf [--kinds agreement,pronouns]
//! [--pairs 32] [--methods exact,eap,eap-ig] [--sizes 0.01,0.1]`
//!
//! Kinds are those of `edgegrad pairs`, methods those of `edgegrad attribute`; all methods but
//! shapley unless given, `exact` with every edge ablated for real.

use edgegrad::attribution::interactions;
use edgegrad::attribution::method::{Method, Options};
use edgegrad::discovery::connect::Flow;
use edgegrad::discovery::select::Rank;
use edgegrad::discovery::{controls, faithfulness, select};
use edgegrad::formats::pairs::Asked;
use edgegrad::patching::running;
use edgegrad::tasks::prompts::{Kind, fitted};
use edgegrad::{checkpoints, named::Named, prelude::*, stats, tape::Rules, text::Tokenizer};
use std::path::PathBuf;
use std::time::Instant;

/// Random circuits beside each.
const CONTROLS: usize = 10;

/// The first edges of which every two are ablated together.
const TOP: usize = 8;

/// Drawn pairs for each that is used: the model has to be right.
const DRAWN: usize = 6;

struct Asks {
    model: PathBuf,
    kinds: Vec<Kind>,
    pairs: usize,
    methods: Vec<Method>,
    sizes: Vec<f64>,
}

impl Asks {
    fn read() -> Result<Asks> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let get = |key: &str| {
            arguments.iter().position(|a| a == key).and_then(|i| arguments.get(i + 1)).cloned()
        };
        let wrong = |key: &str, value: &str, help: String| {
            Error::input(key, format!("{value:?} is none"), help)
        };
        fn named<T: Named>(key: &str, name: &str) -> Result<T> {
            let all: Vec<&str> = T::ALL.iter().map(|(name, _)| *name).collect();
            let help = format!("use one of {}", all.join(", "));
            T::from_name(name).ok_or_else(|| Error::input(key, format!("{name:?}: unknown"), help))
        }
        let list = |key: &str, usual: &str| -> Vec<String> {
            get(key).unwrap_or(usual.into()).split(',').map(String::from).collect()
        };
        let usual: Vec<&str> =
            Method::ALL.iter().map(|(name, _)| *name).filter(|name| *name != "shapley").collect();
        let model = get("--model")
            .ok_or_else(|| Error::input("--model", "is missing", "give a folder or a GGUF file"))?;
        let number = |text: &String| {
            let fraction = text.parse().ok().filter(|k| (0.0..=1.0).contains(k));
            fraction.ok_or_else(|| wrong("--sizes", text, "give shares such as 0.1".into()))
        };
        let pairs = get("--pairs").unwrap_or("32".into());
        Ok(Asks {
            model: model.into(),
            kinds: list("--kinds", "agreement,pronouns")
                .iter()
                .map(|kind| named("--kinds", kind))
                .collect::<Result<_>>()?,
            pairs: pairs.parse().map_err(|_| wrong("--pairs", &pairs, "give a number".into()))?,
            methods: list("--methods", &usual.join(","))
                .iter()
                .map(|method| named("--methods", method))
                .collect::<Result<_>>()?,
            sizes: list("--sizes", "0.01,0.02,0.05,0.1,0.2,0.5")
                .iter()
                .map(number)
                .collect::<Result<_>>()?,
        })
    }
}

fn behaviour<'a>(model: &'a AnyModel<f32>, pairs: &'a Pairs) -> Result<Behaviour<'a, f32>> {
    let graph = model.graph(Granularity::default());
    let question = Question::new(Metric::LogitDiff, Positions::Asked, model.vocab_out(), pairs)?;
    Behaviour::new(model, graph, pairs, question, Baseline::Resample)
}

/// Two sets of pairs on which the model is right, without a pair in common.
fn pairs(kind: Kind, asks: &Asks, model: &AnyModel<f32>) -> Result<[Pairs; 2]> {
    let tokenizer = Tokenizer::read(&asks.model)?;
    let drawn = fitted(kind, DRAWN * asks.pairs, 0, &tokenizer, &model.bounds())?;
    let all = Pairs::parse("pairs", drawn.jsonl().as_bytes(), &model.bounds(), None, None)?;
    let values = behaviour(model, &all)?.extremes()?;
    let right: Vec<usize> = (0..all.len()).filter(|&i| values.clean[i] > 0.0).collect();
    let (low, high) = stats::wilson(right.len(), all.len());
    println!(
        "\n{}: right on {} of {} ({:.1} %, 95 % interval {:.1} to {:.1} %)",
        kind.name(),
        right.len(),
        all.len(),
        100.0 * right.len() as f64 / all.len() as f64,
        100.0 * low,
        100.0 * high,
    );
    if right.len() < 2 * asks.pairs {
        let message = format!("{} pairs on which the model is right", right.len());
        return Err(Error::input(kind.name(), message, "ask for fewer with --pairs"));
    }
    let (own, other) = right[..2 * asks.pairs].split_at(asks.pairs);
    Ok([all.subset(own.to_vec()), all.subset(other.to_vec())])
}

/// A method with the rules of its reverse pass, and the scores `[E]` that it gives.
struct Found {
    name: String,
    scores: Vec<f64>,
    passes: f64,
    seconds: f64,
}

/// The scores of all methods, those of `exact` first, and under every rule that one follows.
fn scores(asks: &Asks, b: &mut Behaviour<'_, f32>) -> Result<Vec<Found>> {
    let mut found = vec![];
    for &method in &asks.methods {
        for &(rule, rules) in Rules::ALL {
            let derives = method.derives() && method.passes(b, &method.options()) < 10.0;
            if rules != Rules::Plain && !derives {
                continue;
            }
            b.rules = rules;
            // Ranks need no smaller residual.
            let options = Options { tol: 1e-3, ..method.options() };
            let start = Instant::now();
            let scores = method.scores(b, &options, &mut |_| {})?.values;
            let seconds = start.elapsed().as_secs_f64();
            let name = match rules {
                Rules::Plain => method.name().to_string(),
                _ => format!("{} {rule}", method.name()),
            };
            found.push(Found { name, scores, passes: method.passes(b, &options), seconds });
        }
    }
    b.rules = Rules::Plain;
    found.sort_by_key(|found| found.name != Method::Exact.name());
    Ok(found)
}

fn methods_table(found: &[Found], unseen: &Behaviour<'_, f32>, span: &Span) -> Result<()> {
    let exact = found.first().filter(|found| found.name == Method::Exact.name());
    println!("\nmethod                Pearson  Spearman      CMD      CPR   passes  seconds");
    for Found { name, scores, passes, seconds } in found {
        let curves =
            faithfulness::curves(unseen, span, scores, &faithfulness::FRACTIONS, &mut |_| {})?;
        let alike = |f: fn(&[f64], &[f64]) -> Option<f64>| {
            let value = exact.and_then(|exact| f(scores, &exact.scores));
            value.map_or("-".into(), |value| format!("{value:.3}"))
        };
        println!(
            "{name:<20}{:>9}{:>10}{:>9.4}{:>9.4}{passes:>9.0}{seconds:>9.2}",
            alike(stats::pearson),
            alike(stats::spearman),
            curves[0].cmd(),
            curves[1].cpr(),
        );
    }
    Ok(())
}

/// How faithful the first edges of each method are, and random circuits of the same types.
fn sizes_table(
    asks: &Asks,
    found: &[Found],
    unseen: &Behaviour<'_, f32>,
    span: &Span,
) -> Result<()> {
    let (flow, edges) = (Flow::new(&unseen.graph), unseen.graph.edges());
    let shown: Vec<&Found> = ["exact", "eap", "eap-ig", "mask-ig"]
        .iter()
        .filter_map(|name| found.iter().find(|found| found.name == *name))
        .collect();
    println!("\nfaithfulness on {} other pairs, with 95 % intervals", unseen.pairs.len());
    let names = shown.iter().map(|found| format!("{:>26}", found.name));
    println!("{:>6}{}{:>26}", "edges", names.collect::<String>(), "random, of the same types");
    for size in &asks.sizes {
        let n = (size * edges as f64) as usize;
        let circuit = |found: &&Found| {
            flow.connected(&select::first(&Rank::Abs.order(&found.scores), n, edges))
        };
        let own: Vec<Vec<bool>> = shown.iter().map(circuit).collect();
        let random = controls::random_circuits(&unseen.graph, &own[0], CONTROLS, 0);
        let all: Vec<Vec<bool>> = own.into_iter().chain(random).collect();
        let values = running::circuits(unseen, &all, &mut |_| {})?;
        let (own, random) = values.split_at(shown.len());
        let cells = own.iter().map(|values| {
            let f = span.faithfulness(values);
            let around = span.interval(values).map_or("[-]".into(), interval);
            format!("{:>26}", format!("{f:.3} {around}"))
        });
        let random: Vec<f64> = random.iter().map(|values| span.faithfulness(values)).collect();
        let mean = stats::mean(&random).unwrap_or(f64::NAN);
        let around = stats::mean_interval(&random).map_or("[-]".into(), interval);
        println!("{n:>6}{}{:>26}", cells.collect::<String>(), format!("{mean:.3} {around}"));
    }
    Ok(())
}

fn interval([low, high]: [f64; 2]) -> String {
    format!("[{low:.3}, {high:.3}]")
}

/// Which of the first edges depend on each other.
fn second_order(found: &Found, b: &Behaviour<'_, f32>) -> Result<()> {
    let order = Rank::Abs.order(&found.scores);
    let top = &order[..TOP.min(order.len())];
    let all: Vec<(usize, usize)> =
        top.iter().enumerate().flat_map(|(n, &i)| top[..n].iter().map(move |&j| (i, j))).collect();
    let mut pairs = interactions::patched(b, &all, &mut |_| {})?;
    pairs.sort_by(|a, b| b.interaction().abs().total_cmp(&a.interaction().abs()));
    println!("\nthe first {} edges of {}: of {} pairs, the largest", TOP, found.name, pairs.len());
    println!("{:>12}{:>10}{:>10}{:>10}  relation", "interaction", "without i", "j", "both");
    for p in pairs.iter().take(6) {
        println!(
            "{:>12.4}{:>10.4}{:>10.4}{:>10.4}  {:<10} {}  {}",
            p.interaction(),
            p.without_i,
            p.without_j,
            p.without_both,
            p.relation(0.1).name(),
            b.graph.edge(p.i),
            b.graph.edge(p.j),
        );
    }
    Ok(())
}

fn main() -> Result<()> {
    let asks = Asks::read()?;
    let model = checkpoints::read_in_panels::<f32>(&asks.model)?;
    let name = asks.model.file_name().unwrap_or_default().to_string_lossy();
    println!("{name}: {} edges", model.graph(Granularity::default()).edges());
    for &kind in &asks.kinds {
        let [own, other] = pairs(kind, &asks, &model)?;
        let (mut b, unseen) = (behaviour(&model, &own)?, behaviour(&model, &other)?);
        let (clean, corrupted) = b.extremes()?.means();
        let Asked::Tokens { answer, .. } = &own[0].asked else { unreachable!("it asks") };
        println!(
            "{} pairs, {} answers each; logit-diff {clean:.4} clean, {corrupted:.4} corrupted",
            own.len(),
            answer.len(),
        );
        let span = Span::new(&unseen, &unseen.extremes()?)?;
        let found = scores(&asks, &mut b)?;
        methods_table(&found, &unseen, &span)?;
        sizes_table(&asks, &found, &unseen, &span)?;
        second_order(&found[0], &b)?;
    }
    Ok(())
}
