use super::*;
use crate::graph::Node;
use crate::tuning::slices::{Cells, shapes};

/// The elements that a circuit of these edges trains, as `name[rows, columns]`.
fn trained(config: &Config, edges: &[&str], extras: Extras) -> Vec<String> {
    let graph = graph(config);
    let kept: Vec<bool> =
        (0..graph.edges()).map(|e| edges.contains(&&*graph.edge(e).to_string())).collect();
    assert_eq!(kept.iter().filter(|&&k| k).count(), edges.len(), "an edge is not in the graph");
    let slices = Slices::of_ends(&graph, config, &Ends::of(&graph, &kept), extras);
    let names = config.parameters();
    let text = |s: &super::super::slices::Slice| match &s.cells {
        Cells::Window(w) => format!("{} {:?} {:?}", names[s.parameter].name, w.rows, w.columns),
        Cells::Scattered(_) => unreachable!("circuits own windows"),
    };
    slices.iter().map(text).collect()
}

const BARE: Extras = Extras { biases: false, embeddings: false, norms: false, unembedding: false };

/// The authors trained one head of a layer where several were chosen, all heads' queries where one
/// was, and one element of `b_O`.
#[test]
fn heads_own_their_rows_and_columns() {
    let edges = ["a0.h0->logits", "a0.h2->a1.h1<k>"];
    assert_eq!(
        trained(&config(), &edges, BARE),
        [
            "blocks.0.attn.W_O 0..4 0..12",
            "blocks.0.attn.W_O 8..12 0..12",
            // Queries are 0..12, keys 12..24.
            "blocks.1.attn.W_QKV 0..12 16..20",
        ]
    );
    assert_eq!(
        trained(&config(), &edges, Extras::default()),
        [
            "blocks.0.attn.W_O 0..4 0..12",
            "blocks.0.attn.W_O 8..12 0..12",
            "blocks.0.attn.b_O 0..1 0..12",
            "blocks.1.attn.W_QKV 0..12 16..20",
            "blocks.1.attn.b_QKV 0..1 16..20",
        ]
    );
}

/// The authors could never train the first layer's readers nor the last MLP's output, because their
/// graph has no embeddings and logits, and trained `W_O` where an MLP was chosen.
#[test]
fn mlps_and_both_ends_of_the_stream_own_theirs() {
    assert_eq!(
        trained(&config(), &["input->a0.h1<q>", "m0->m1", "m1->logits"], BARE),
        [
            "blocks.0.attn.W_QKV 0..12 4..8",
            "blocks.0.mlp.W_out 0..16 0..12",
            "blocks.1.mlp.W_in 0..12 0..16",
            "blocks.1.mlp.W_out 0..16 0..12",
        ]
    );
    let extras = Extras { biases: false, ..Extras::ALL };
    assert_eq!(
        trained(&config(), &["input->logits"], extras),
        [
            "embed.W_E 0..11 0..12",
            "pos_embed.W_pos 0..8 0..12",
            "ln_final.w 0..1 0..12",
            "ln_final.b 0..1 0..12",
            "unembed.W_U 0..11 0..12",
            "unembed.b_U 0..1 0..11",
        ]
    );
    assert_eq!(trained(&config(), &["input->logits"], Extras::default()), [""; 0]);
    let tied = trained(&other_config(), &["input->logits"], extras);
    assert_eq!(tied[0], "embed.W_E 0..11 0..12");
    assert!(!tied.iter().any(|name| name.contains("W_U")));
}

#[test]
fn gates_and_shared_keys_own_theirs() {
    let config = Config { attn_scale: 2.0, ..other_config() };
    let graph = Graph::of_transformer(&config, Granularity { neurons: true, ..<_>::default() });
    let mut ends = Ends::none(&graph);
    let writer = graph.writers.iter().position(|&w| w == Node::Neuron { layer: 1, neuron: 5 });
    ends.writers[writer.expect("a neuron")] = true;
    let group = graph.groups.iter().position(|g| g.readers.len() == 16).expect("an MLP");
    ends.readers[group][3] = true;
    let slices = Slices::of_ends(&graph, &config, &ends, Extras::default());
    // The gate and the value of neuron 3, and the row of neuron 5.
    assert_eq!(slices.count(), 12 + 12 + 12);
    assert_eq!(
        trained(&config, &["input->a0.kv1<v>"], BARE),
        [
            // Four queries, two keys, then values, each of width four.
            "blocks.0.attn.W_QKV 0..12 28..32"
        ]
    );
}

#[test]
fn all_edges_own_all_and_none_owns_nothing() {
    for config in [config(), other_config()] {
        let graph = graph(&config);
        let all = Ends::of(&graph, &vec![true; graph.edges()]);
        let slices = Slices::of_ends(&graph, &config, &all, Extras::ALL);
        let whole: usize = config.parameters().iter().map(|p| p.shape.len()).sum();
        assert_eq!(slices.count(), whole);
        for (parameter, windows) in slices.by_parameter(&shapes(&config), |_| true) {
            assert_eq!(windows.len(), 1, "{parameter}");
        }
        let mut union = Union::new(&shapes(&config));
        assert_eq!(union.count(), 0);
        union.add(&Slices::of_ends(&graph, &config, &Ends::none(&graph), Extras::ALL));
        assert_eq!(union.count(), 0);
        union.add(&Slices::named(&config, |name| name.ends_with("W_O")));
        union.add(&slices);
        union.add(&slices);
        assert_eq!(union.count(), whole);
    }
}
