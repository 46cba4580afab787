//! Crossing edges against scores of edges and against ablation, where these are the same.

use super::spans::{LINES, ask, model, of_spans, read, same};
use crate::attribution::crossing::{Crossing, scores};
use crate::attribution::eap;
use crate::checkpoints::AnyModel;
use crate::formats::edge_name::{Node, Port};
use crate::graph::{Granularity, Graph};
use crate::nn::transformer::{Config, Model};
use crate::ops::Norm;
use crate::patching::behaviour::Behaviour;
use crate::patching::subsets;

/// A model without norms.
fn plain(layers: usize, d_mlp: usize) -> AnyModel<f64> {
    let config = Config {
        vocab: 11,
        vocab_out: 11,
        context: 6,
        layers,
        d_model: 8,
        heads: 2,
        kv_heads: 2,
        d_head: 4,
        d_mlp,
        norm: Norm::None,
        norm_affine: false,
        tied: false,
        ..Config::gpt2_small()
    };
    AnyModel::Transformer(Model::random(&config, 5))
}

fn at_positions(model: &AnyModel<f64>, time: usize) -> Graph {
    model.graph(Granularity { positions: Some(time), ..Granularity::default() })
}

fn crossings(b: &Behaviour<'_, f64>) -> Vec<Crossing> {
    let list: Vec<Crossing> = scores(b, &mut |_| {}).expect("scores").iter().collect();
    assert!(!list.is_empty());
    list
}

/// The sum over `of` that end at each reader of a port and position, by layer, head and position.
fn sums(list: impl Iterator<Item = (Node, usize, f64)>, heads: usize, time: usize) -> Vec<f64> {
    let mut sums = vec![0.0; 2 * heads * time];
    for (node, t, score) in list {
        let Node::Head { layer, head } = node else { panic!("a head") };
        sums[(layer * heads + head) * time + t] += score;
    }
    sums
}

#[test]
fn by_values_they_add_up_to_the_edges_of_the_head_at_the_key() {
    let model = plain(2, 12);
    let pairs = read(&model, &LINES[..1]);
    let b = ask(&model, &pairs, at_positions(&model, 4));
    let list = crossings(&b);
    assert!(list.iter().all(|c| c.key <= c.query), "attention to later positions");
    let by_values = list.iter().filter(|c| c.by == Port::V).map(|c| (c.head, c.key, c.score));
    let edges = eap::scores(&b, &mut |_| {}).expect("scores").values;
    let ends = (0..edges.len()).map(|e| (b.graph.edge(e), edges[e]));
    let ends = ends.filter(|(edge, _)| edge.to.port == Port::V);
    let ends = ends.map(|(edge, score)| (edge.to.node, edge.position.expect("one"), score));
    same(&sums(by_values, 2, 4), &sums(ends, 2, 4));
}

#[test]
fn by_keys_they_are_the_ablation_where_the_rest_is_linear() {
    let model = plain(1, 0);
    let pairs = read(&model, &LINES[..1]);
    let b = ask(&model, &pairs, at_positions(&model, 4));
    let by_keys = crossings(&b).into_iter().filter(|c| c.by == Port::K);
    let got = sums(by_keys.map(|c| (c.head, c.key, c.score)), 2, 4);
    let clean = b.extremes().expect("they differ").clean[0];
    let mut want = vec![0.0; 16];
    for (i, want) in want.iter_mut().enumerate().take(8) {
        let (head, key) = (i / 4, i % 4);
        let kept = |_: usize, e: usize| {
            let edge = b.graph.edge(e);
            let here = edge.to.node == Node::Head { layer: 0, head } && edge.to.port == Port::K;
            !(here && edge.position == Some(key))
        };
        let values = subsets::values(&b, 1, kept, &mut |_| {}).expect("values");
        *want = clean - values[0];
    }
    same(&got, &want);
}

/// The values of a position depend on no other, so a span's are those of its positions together.
#[test]
fn by_values_spans_have_the_sums_of_their_positions() {
    let model = model();
    let pairs = read(&model, &LINES[2..]);
    let spans = ask(&model, &pairs, of_spans(&model, &pairs));
    let positions = ask(&model, &pairs, at_positions(&model, 4));
    let layout = &pairs[0].spans;
    let total = |list: Vec<Crossing>, place: &dyn Fn(usize) -> usize| {
        let mut sums = vec![0.0; 2 * 4 * 9];
        for c in list.into_iter().filter(|c| c.by == Port::V) {
            let Node::Head { layer, head } = c.head else { panic!("a head") };
            sums[(layer * 4 + head) * 9 + place(c.key) * 3 + place(c.query)] += c.score;
        }
        sums
    };
    let got = total(crossings(&spans), &|span| span);
    same(&got, &total(crossings(&positions), &|t| layout[t] as usize));
}

#[test]
fn edges_without_positions_are_refused() {
    let model = model();
    let pairs = read(&model, &LINES);
    let b = ask(&model, &pairs, model.graph(Granularity::default()));
    let e = scores(&b, &mut |_| {}).expect_err("no positions");
    assert!(e.exit_code() == 2 && e.help().contains("--spans"), "{e}");
}
