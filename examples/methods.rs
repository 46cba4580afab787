//! Which scores come near the truth? Every method and reverse rule on base models of generated
//! English, against the ablation of every edge: Pearson's correlation on 64 pairs, and the areas
//! CMD and CPR on 64 others. `edgegrad pretrain --seed S --out baseS` makes a model in a minute.
//!
//! `cargo run --release --example methods -- base0 base1 base2 [--domain agreement]`

use edgegrad::attribution::method::{Learning, Method, Objective, Options};
use edgegrad::tasks::language::{Domain, Part, Source, Variant, jsonl};
use edgegrad::{checkpoints, discovery::faithfulness, named::Named, prelude::*, tape::Rules};
use edgegrad::{rng::Purpose, rng::Rng, stats};

/// What is compared: a method, its reverse rules, and what a learned ranking lowers.
#[rustfmt::skip]
const ROWS: [(Method, Rules, Objective); 13] = {
    use {Method as M, Objective::{Cmd, Metric}, Rules as R};
    [(M::Eap, R::Plain, Metric), (M::Eap, R::Ln, Metric), (M::Eap, R::Relp, Metric),
     (M::Eap, R::RelpAh, Metric), (M::Eap, R::Gim, Metric), (M::EapIg, R::Plain, Metric),
     (M::EapIg, R::Gim, Metric), (M::CleanCorrupted, R::Plain, Metric),
     (M::MaskIg, R::Plain, Metric), (M::Matryoshka, R::Plain, Metric),
     (M::Matryoshka, R::Plain, Cmd), (M::Exact, R::Plain, Metric), (M::Random, R::Plain, Metric)]
};

fn pairs(domain: Domain, part: Part, model: &AnyModel<f32>) -> Result<Pairs> {
    let source = Source { domain, variant: Variant::Pretrain, part };
    let drawn = source.pairs(64, &mut Rng::new(7, Purpose::Sample, 0));
    Pairs::parse("pairs", jsonl(&drawn).as_bytes(), &model.bounds(), None, None)
}

fn behaviour<'a>(model: &'a AnyModel<f32>, pairs: &'a Pairs) -> Result<Behaviour<'a, f32>> {
    let AnyModel::Transformer(m) = model else { panic!("a transformer") };
    let graph = Graph::of_transformer(&m.config, Granularity::default());
    let question = Question::new(Metric::LogitDiff, Positions::Asked, m.config.vocab_out, pairs)?;
    Behaviour::new(model, graph, pairs, question, Baseline::Resample)
}

/// Pearson's correlation with `exact`, CMD and CPR of every row on one model.
fn judge(model: &AnyModel<f32>, domain: Domain) -> Result<Vec<[f64; 3]>> {
    let [own, other] = [Part::Train, Part::Test].map(|part| pairs(domain, part, model));
    let (own, other) = (own?, other?);
    let (mut b, unseen) = (behaviour(model, &own)?, behaviour(model, &other)?);
    let span = Span::new(&unseen, &unseen.extremes()?)?;
    let truth = Method::Exact.scores(&b, &Method::Exact.options(), &mut |_| {})?.values;
    let mut found = vec![];
    for (method, rules, objective) in ROWS {
        b.rules = rules;
        let learning = Learning { objective, ..method.options().learning };
        // Ranks need no smaller residual.
        let options = Options { learning, tol: 1e-3, ..method.options() };
        let scores = method.scores(&b, &options, &mut |_| {})?.values;
        let alike = stats::pearson(&scores, &truth).unwrap_or(f64::NAN);
        let fractions = &faithfulness::FRACTIONS;
        let curves = faithfulness::curves(&unseen, &span, &scores, fractions, &mut |_| {})?;
        found.push([alike, curves[0].cmd(), curves[1].cpr()]);
    }
    Ok(found)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folders, rest) = arguments
        .split_at(arguments.iter().position(|a| a == "--domain").unwrap_or(arguments.len()));
    let domain = rest.get(1).and_then(|name| Domain::from_name(name)).unwrap_or(Domain::Agreement);
    let judge = |folder: &String| judge(&checkpoints::read(folder.as_ref())?, domain);
    let judged = folders.iter().map(judge).collect::<Result<Vec<_>>>()?;
    println!("{}: {} base models, means with 95 % intervals", domain.name(), judged.len());
    println!("{:34}{:>24}{:>24}{:>24}", "method", "Pearson with exact", "CMD", "CPR");
    for (i, (method, rules, objective)) in ROWS.into_iter().enumerate() {
        let name = format!("{} {} {}", method.name(), rules.name(), objective.name());
        let column = |k: usize| {
            let values: Vec<f64> = judged.iter().map(|model| model[i][k]).collect();
            let mean = stats::mean(&values).unwrap_or(f64::NAN);
            let around = stats::mean_interval(&values);
            let around = around.map_or(String::new(), |[a, b]| format!(" [{a:.3}, {b:.3}]"));
            format!("{:>24}", format!("{mean:.4}{around}"))
        };
        println!("{name:34}{}", (0..3).map(column).collect::<String>());
    }
    Ok(())
}
