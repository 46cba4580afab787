//! Scores of a small GPT-2 against those of EAP-IG on TransformerLens, in double precision.

use edgegrad::attribution::method::Quadrature;
use edgegrad::attribution::method::{Method, Options};
use edgegrad::checkpoints;
use edgegrad::checkpoints::AnyModel;
use edgegrad::formats::pairs::{Bounds, Pairs};
use edgegrad::graph::{Granularity, Graph, Start};
use edgegrad::patching::behaviour::{Baseline, Behaviour};
use edgegrad::patching::metric::{Metric, Positions, Question};
use edgegrad::tensor::Element;
use std::path::Path;

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gpt2-tiny").join(name)
}

fn check<T: Element>(tolerance: f64) {
    let model = checkpoints::read::<T>(&fixture("")).expect("a model");
    let AnyModel::Transformer(transformer) = &model else { panic!("a transformer") };
    let config = &transformer.config;
    let bounds =
        Bounds { vocab: config.vocab, vocab_out: config.vocab_out, context: config.context };
    let pairs = Pairs::read(fixture("pairs.jsonl"), &bounds, None, None).expect("pairs");
    let granularity = Granularity { start: Start::TokensOnly, ..Default::default() };
    let graph = Graph::of_transformer(config, granularity);
    let question = Question::new(Metric::LogitDiff, Positions::Asked, config.vocab_out, &pairs);
    let question = question.expect("a question");
    for (file, method, baseline) in [
        ("EAP", Method::Eap, Baseline::Resample),
        ("EAP-zero", Method::Eap, Baseline::Zero),
        ("EAP-IG-inputs", Method::EapIg, Baseline::Resample),
        ("clean-corrupted", Method::CleanCorrupted, Baseline::Resample),
        ("EAP-IG-activations", Method::EapIgActivations, Baseline::Resample),
        ("exact", Method::Exact, Baseline::Resample),
    ] {
        let text = std::fs::read_to_string(fixture(&format!("{file}.json"))).expect("scores");
        let want: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let want = want["edges"].as_object().expect("edges");
        let b = Behaviour::new(&model, graph.clone(), &pairs, question, baseline).expect("fits");
        let rule =
            if method == Method::EapIgActivations { Quadrature::Right } else { Quadrature::Left };
        let options = Options { steps: 5, rule, ..method.options() };
        let got = method.scores(&b, &options, &mut |_| {}).expect("scores").values;
        assert_eq!(got.len(), want.len());
        let (mut worst, mut size) = (0.0f64, 0.0f64);
        for (e, got) in got.iter().enumerate() {
            let want = want[&graph.edge(e).to_string()]["score"].as_f64().expect("a number");
            // EAP-IG's scores are positive where ablating the edge raises the metric.
            worst = worst.max((-got - want).abs());
            size = size.max(want.abs());
        }
        eprintln!("{file}: {:e} of {size}", worst / size);
        assert!(size > 0.1 && worst < tolerance * size, "{file}: {worst:e} of {size}");
    }
}

#[test]
fn double_precision_agrees() {
    check::<f64>(1e-9);
}

#[test]
fn single_precision_agrees() {
    check::<f32>(1e-5);
}
