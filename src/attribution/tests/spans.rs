//! Laws of graphs of spans: an edge of a span is its edges at the positions of the span.

use crate::attribution::method::Method;
use crate::checkpoints;
use crate::checkpoints::AnyModel;
use crate::formats::pairs::Pairs;
use crate::graph::{Granularity, Graph};
use crate::patching::behaviour::{Baseline, Behaviour};
use crate::patching::metric::{Metric, Positions, Question};
use crate::patching::subsets;
use std::path::Path;

pub(super) fn model() -> AnyModel<f64> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/llama-tiny");
    checkpoints::read(&folder).expect("a model")
}

pub(super) fn read(model: &AnyModel<f64>, lines: &[&str]) -> Pairs {
    let text = lines.join("\n");
    Pairs::parse("pairs", text.as_bytes(), &model.bounds(), None, None).expect("pairs")
}

/// Two lengths, and two layouts of one of them.
pub(super) const LINES: [&str; 3] = [
    r#"{"clean": [5, 9, 2, 7], "corrupted": [5, 1, 2, 7], "answer": 3, "distractor": 4, "spans": {"a": 1, "b": -1}}"#,
    r#"{"clean": [5, 9, 2, 7, 8, 2], "corrupted": [5, 1, 4, 7, 8, 2], "answer": 3, "distractor": 4, "spans": {"a": [1, 2], "b": 4}}"#,
    r#"{"clean": [6, 9, 2, 7], "corrupted": [6, 1, 3, 7], "answer": 6, "distractor": 4, "spans": {"a": [0, 2], "b": 3}}"#,
];

pub(super) fn ask<'a>(
    model: &'a AnyModel<f64>,
    pairs: &'a Pairs,
    graph: Graph,
) -> Behaviour<'a, f64> {
    let question = Question::new(Metric::LogitDiff, Positions::Asked, model.vocab_out(), pairs);
    Behaviour::new(model, graph, pairs, question.expect("a question"), Baseline::Resample)
        .expect("it fits")
}

pub(super) fn of_spans(model: &AnyModel<f64>, pairs: &Pairs) -> Graph {
    let names = pairs.spans();
    let granularity = Granularity { positions: Some(names.len()), ..Granularity::default() };
    model.graph(granularity).of_spans(&names)
}

/// Fails unless `got` is `want`, some of which is not zero, up to rounding.
pub(super) fn same(got: &[f64], want: &[f64]) {
    let largest = want.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    assert!(largest > 1e-4, "nothing to compare: {largest}");
    for (a, b) in got.iter().zip(want) {
        // Sums of some thousand products in another order.
        assert!((a - b).abs() <= 1e-10 * largest, "{a}, {b}");
    }
}

/// The sum over the spans of the scores of each edge of `plain`.
fn over_spans(graph: &Graph, scores: &[f64], plain: &Graph) -> Vec<f64> {
    let mut sums = vec![0.0; plain.edges()];
    for (e, score) in scores.iter().enumerate() {
        let (group, _, reader, writer) = graph.place(e);
        sums[plain.number(group, 0, reader, writer)] += score;
    }
    sums
}

#[test]
fn first_order_scores_of_the_spans_add_up_to_those_of_the_edge() {
    let model = model();
    let pairs = read(&model, &LINES);
    assert_eq!(pairs.spans(), ["a", "b", "rest"]);
    let graph = of_spans(&model, &pairs);
    let plain = model.graph(Granularity::default());
    for method in [Method::Eap, Method::CleanCorrupted, Method::MaskIg] {
        let score = |graph: &Graph| {
            let b = ask(&model, &pairs, graph.clone());
            method.scores(&b, &method.options(), &mut |_| {}).expect("scores").values
        };
        same(&over_spans(&graph, &score(&graph), &plain), &score(&plain));
    }
}

#[test]
fn a_circuit_of_spans_is_its_circuit_of_positions() {
    let model = model();
    let pairs = read(&model, &LINES);
    let b = ask(&model, &pairs, of_spans(&model, &pairs));
    // Every edge of a few readers is ablated in one span alone.
    let kept = |e: usize| !e.is_multiple_of(7) && e % 11 != 3;
    let got = subsets::per_pair(&b, 1, |_, e| kept(e), &mut |_| {}).expect("values").remove(0);
    let mut want = vec![];
    for i in 0..pairs.len() {
        let alone = pairs.only(i).expect("a pair");
        let layout = alone[0].spans.clone();
        let granularity = Granularity { positions: Some(layout.len()), ..Granularity::default() };
        let placed = ask(&model, &alone, model.graph(granularity));
        let member = |e: usize| {
            let (group, t, reader, writer) = placed.graph.place(e);
            kept(b.graph.number(group, layout[t] as usize, reader, writer))
        };
        let values = subsets::per_pair(&placed, 1, |_, e| member(e), &mut |_| {});
        want.push(values.expect("values")[0][0]);
    }
    same(&got, &want);
    let whole = b.extremes().expect("they differ").clean;
    assert!(got.iter().zip(&whole).all(|(a, b)| (a - b).abs() > 1e-3), "{got:?}, {whole:?}");
}
