//! The JSON of attribution graphs, as circuit-tracer writes it and its viewer and Neuronpedia read
//! it (`schema_version` 1).
//!
//! Its nodes are features at positions; ours are heads, MLPs and neurons, and say so in
//! `feature_type`. Their numbers do not depend on which edges are in the circuit, so that circuits
//! of one model can be compared:
//!
//! | node | layer | number in the layer |
//! | --- | --- | --- |
//! | `input`, `embed`, `pos` | `E` | 0, 1, 2 |
//! | head `aL.hH` | L | H |
//! | keys and values `aL.kvH` | L | 1,000,000 + H |
//! | MLP `mL`, neuron `mL.nJ` | L | 2,000,000, 2,000,001 + J |
//! | others | the row it is drawn in | 3,000,000 + its place among them |
//! | `logits` | layers + 1 | 0 |
//!
//! Ids are `{layer}_{number}_{position}`. What has no position stands at one of its own, after the
//! last. A link's weight is the sum of the scores of all ports, which `ports` has one by one; in a
//! circuit without scores it is 1. A node's `influence` is the share of all |score| at nodes that
//! have as much or more, itself included: the viewer's slider keeps the nodes below its value.

use crate::files::mark::GENERATOR;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::formats::edge_name::Node as Part;
use crate::plot::network::{Network, Node};
use crate::plot::read::Edges;
use crate::stats;

#[derive(Serialize)]
struct Point {
    node_id: String,
    feature: u64,
    layer: String,
    ctx_idx: usize,
    feature_type: &'static str,
    token_prob: f64,
    is_target_logit: bool,
    run_idx: usize,
    reverse_ctx_idx: usize,
    #[serde(rename = "jsNodeId")]
    js_node_id: String,
    clerp: String,
    influence: f64,
    activation: Option<f64>,
}

#[derive(Default)]
struct Weight {
    sum: f64,
    ports: BTreeMap<char, f64>,
}

/// The text of the file.
pub(super) fn write(network: &Network, edges: &Edges) -> String {
    let tokens = tokens(network, &edges.file.tokens());
    let weights = weights(network);
    let influence = influence(network, &weights);
    let others: Vec<&Node> = network.nodes.iter().filter(|n| n.part.is_none()).collect();
    let points: Vec<Point> = network
        .nodes
        .iter()
        .zip(influence)
        .map(|(node, influence)| {
            let other = others.iter().position(|other| other.name == node.name).unwrap_or(0);
            point(node, network.layers, other, tokens.len() - 1, influence)
        })
        .collect();
    let links: Vec<Value> = weights
        .iter()
        .map(|((from, to), weight)| link(&points[*from], &points[*to], weight))
        .collect();
    let graph = json!({
        "metadata": metadata(network, edges, &tokens),
        "qParams": {
            "pinnedIds": [], "supernodes": [], "linkType": "both", "clickedId": "", "sg_pos": "",
        },
        "nodes": points,
        "links": links,
    });
    format!("{graph}\n")
}

/// The weight of each pair of nodes, writer and reader: 1 a link in a circuit without scores.
fn weights(network: &Network) -> BTreeMap<(usize, usize), Weight> {
    let scored = network.links.iter().any(|link| link.score.is_some());
    let mut weights: BTreeMap<(usize, usize), Weight> = BTreeMap::new();
    for link in &network.links {
        let score = link.score.unwrap_or(if scored { 0.0 } else { 1.0 });
        let weight = weights.entry((link.from, link.to)).or_default();
        weight.sum += score;
        if let Some(port) = link.port {
            *weight.ports.entry(port).or_default() += score;
        }
    }
    weights
}

fn link(from: &Point, to: &Point, weight: &Weight) -> Value {
    let mut link = json!({
        "source": from.node_id,
        "target": to.node_id,
        "weight": weight.sum,
    });
    if !weight.ports.is_empty() {
        let ports = weight.ports.iter().map(|(port, x)| (port.to_string(), (*x).into()));
        link["ports"] = Value::Object(ports.collect());
    }
    link
}

fn metadata(network: &Network, edges: &Edges, tokens: &[String]) -> Value {
    json!({
        "slug": slug(&edges.label),
        "generator": GENERATOR,
        "scan": "edgegrad",
        "transcoder_list": [],
        "prompt_tokens": tokens,
        "prompt": tokens.concat(),
        "node_threshold": 1.0,
        "schema_version": 1,
        "info": {
            "description": format!(
                "{} of {} edges by |score|; method: {}, metric: {}",
                network.links.len(),
                network.all,
                edges.method().unwrap_or("not said"),
                edges.metric().unwrap_or("not said"),
            ),
            "generator": { "name": "edgegrad", "version": env!("CARGO_PKG_VERSION") },
        },
    })
}

/// A token for each position up to the last one used, as the file has it, and one for nodes without
/// position.
fn tokens(network: &Network, known: &[&str]) -> Vec<String> {
    let last = network.nodes.iter().filter_map(|node| node.position).max();
    let token = |t: usize| known.get(t).map_or(format!("@{t} "), |&token| token.into());
    let mut tokens: Vec<String> = last.map_or(vec![], |last| (0..=last).map(token).collect());
    if network.nodes.iter().any(|node| node.position.is_none()) {
        tokens.push("all positions".into());
    }
    tokens
}

fn point(node: &Node, layers: usize, other: usize, nowhere: usize, influence: f64) -> Point {
    let (layer, number, feature_type) = match node.part {
        Some(Part::Input) => (None, 0, "embedding"),
        Some(Part::Embed) => (None, 1, "embedding"),
        Some(Part::Pos) => (None, 2, "embedding"),
        Some(Part::Head { layer, head }) => (Some(layer), head, "attention head"),
        Some(Part::KeyValue { layer, head }) => {
            (Some(layer), 1_000_000 + head, "attention keys and values")
        }
        Some(Part::Mlp { layer }) => (Some(layer), 2_000_000, "mlp"),
        Some(Part::Neuron { layer, neuron }) => (Some(layer), 2_000_001 + neuron, "mlp neuron"),
        Some(Part::Logits) => (Some(layers + 1), 0, "logit"),
        None => (Some(node.row), 3_000_000 + other, "other"),
    };
    let position = node.position.unwrap_or(nowhere);
    let name = layer.map_or("E".to_string(), |layer| layer.to_string());
    // Cantor's pairing of layer and number, one number for each pair.
    let feature = layer.map_or(position as u64, |layer| {
        let (l, f) = (layer as u64, number as u64);
        (l + f) * (l + f + 1) / 2 + f
    });
    Point {
        node_id: format!("{name}_{number}_{position}"),
        feature,
        ctx_idx: position,
        feature_type,
        token_prob: 0.0,
        is_target_logit: node.part == Some(Part::Logits),
        run_idx: 0,
        reverse_ctx_idx: 0,
        js_node_id: format!("{name}_{number}-{position}"),
        layer: name,
        clerp: node.name.clone(),
        influence,
        activation: None,
    }
}

fn influence(network: &Network, weights: &BTreeMap<(usize, usize), Weight>) -> Vec<f64> {
    let mut strength = vec![0.0; network.nodes.len()];
    for ((from, to), weight) in weights {
        for end in [*from, *to] {
            strength[end] += weight.sum.abs();
        }
    }
    let all: f64 = strength.iter().sum();
    let (mut so_far, mut shares) = (0.0, vec![1.0; strength.len()]);
    for i in stats::falling(&strength) {
        so_far += strength[i];
        shares[i] = if all > 0.0 { (so_far / all).min(1.0) } else { 1.0 };
    }
    shares
}

/// A name for addresses.
fn slug(label: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let slug: String = label.chars().take(60).map(plain).collect();
    let slug = slug.trim_matches('-');
    if slug.is_empty() { "circuit".into() } else { slug.into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use crate::formats::EdgeFile;

    use super::super::tests::{EVIL, evil, small};
    use super::*;

    fn graph(network: &Network) -> Value {
        let mut edges = Edges { label: "A <b>".into(), ..Edges::default() };
        edges.file.meta.insert("method".into(), "eap".into());
        serde_json::from_str(&write(network, &edges)).unwrap()
    }

    /// What circuit-tracer's own reader asks of a file.
    #[track_caller]
    fn check(graph: &Value) {
        let metadata = &graph["metadata"];
        for key in ["slug", "scan", "prompt"] {
            assert!(metadata[key].is_string(), "{key}");
        }
        assert!(metadata["transcoder_list"].is_array() && metadata["schema_version"] == 1);
        let tokens = metadata["prompt_tokens"].as_array().unwrap().len();
        for key in ["pinnedIds", "supernodes"] {
            assert!(graph["qParams"][key].is_array(), "{key}");
        }
        for key in ["linkType", "clickedId", "sg_pos"] {
            assert!(graph["qParams"][key].is_string(), "{key}");
        }
        let mut ids = BTreeSet::new();
        let mut drawn = BTreeSet::new();
        for node in graph["nodes"].as_array().unwrap() {
            for key in ["node_id", "layer", "feature_type", "jsNodeId", "clerp"] {
                assert!(node[key].is_string(), "{key}: {node}");
            }
            assert!(node["feature"].is_u64() && node["token_prob"].is_number());
            assert!((node["ctx_idx"].as_u64().unwrap() as usize) < tokens);
            assert!(node["is_target_logit"].is_boolean());
            assert!(node["influence"].as_f64().is_some_and(|x| (0.0..=1.0).contains(&x)));
            assert!(ids.insert(node["node_id"].as_str().unwrap()), "ids are unique: {node}");
            assert!(drawn.insert(node["jsNodeId"].as_str().unwrap()), "ids are unique: {node}");
        }
        for link in graph["links"].as_array().unwrap() {
            for key in ["source", "target"] {
                assert!(ids.contains(link[key].as_str().unwrap()), "{link}");
            }
            assert!(link["weight"].is_number());
        }
    }

    #[test]
    fn has_all_keys_and_known_ids() {
        let graph = graph(&small());
        check(&graph);
        let ids: Vec<&str> = graph["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n["node_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, ["E_0_1", "0_1_1", "0_1_2", "0_2000000_2", "2_0_2"]);
        assert_eq!(graph["metadata"]["slug"], "a--b");
        assert_eq!(graph["metadata"]["prompt_tokens"].as_array().unwrap().len(), 3);
        let both =
            graph["links"].as_array().unwrap().iter().find(|l| l["source"] == "E_0_1").unwrap();
        assert_eq!(both["weight"], 3.0);
        assert_eq!(both["ports"], json!({"k": 2.0, "v": 1.0}));
    }

    #[test]
    fn tokens_are_those_of_the_file() {
        let edges = crate::plot::network::tests::edges(&[("input@0->logits@2", 1.0)]);
        let network = Network::new(&edges, 9).unwrap();
        let known = |known| super::tokens(&network, known);
        assert_eq!(known(&["The", " key", " is"]), ["The", " key", " is"]);
        assert_eq!(known(&["The"]), ["The", "@1 ", "@2 "]);
    }

    /// The number of a node does not depend on the other nodes.
    #[test]
    fn ids_are_the_same_in_another_circuit() {
        let list =
            [("a0.h1@2->m0@2", 1.0), ("m0.n7@2->a1.h0<q>@2", 1.0), ("pos@0->a0.kv1<k>@0", 1.0)];
        let other = Network::new(&crate::plot::network::tests::edges(&list), 100).unwrap();
        let (one, other) = (graph(&small()), graph(&other));
        check(&other);
        let id = |graph: &Value, name: &str| {
            let nodes = graph["nodes"].as_array().unwrap();
            nodes.iter().find(|n| n["clerp"] == name).unwrap()["node_id"].clone()
        };
        for name in ["a0.h1@2", "m0@2"] {
            assert_eq!(id(&one, name), id(&other, name));
        }
        assert_eq!(id(&other, "m0.n7@2"), "0_2000008_2");
        assert_eq!(id(&other, "a0.kv1@0"), "0_1000001_0");
        assert_eq!(id(&other, "pos@0"), "E_2_0");
    }

    #[test]
    fn hostile_names_are_text() {
        let graph = graph(&evil());
        check(&graph);
        let said: BTreeSet<&str> = graph["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n["clerp"].as_str().unwrap())
            .collect();
        assert!(EVIL.iter().all(|name| said.contains(name)), "{said:?}");
    }

    #[test]
    fn circuits_without_scores_have_weights() {
        let mut edges = crate::plot::network::tests::edges(&[("a0.h0->m0", 0.0)]);
        edges.edges[0].1.score = None;
        let graph = graph(&Network::new(&edges, 9).unwrap());
        check(&graph);
        assert_eq!(graph["links"][0]["weight"], 1.0);
        assert_eq!(graph["metadata"]["prompt_tokens"], json!(["all positions"]));
    }

    /// What is written is read as the same edges, whatever ports and positions they have.
    #[test]
    fn graphs_are_read_as_the_circuit_that_they_are_of() {
        let list = [
            ("input@1->a0.h1<k>@1", 2.0),
            ("input@1->a0.h1<v>@1", 1.0),
            ("a0.h1@2->m0@2", -4.0),
            ("m0@2->logits@2", 0.5),
        ];
        let place = Path::new("graph.json");
        let text = graph(&small()).to_string();
        let parsed = EdgeFile::parse("graph.json", text.as_bytes()).unwrap();
        assert_eq!(EdgeFile::of(place, &graph(&small())).unwrap(), Some(parsed.clone()));
        let read: BTreeMap<&str, f64> =
            parsed.edges.iter().map(|(name, e)| (&**name, e.score.unwrap())).collect();
        assert_eq!(read, BTreeMap::from(list));
        assert!(parsed.edges.iter().all(|(_, entry)| entry.in_graph));
        assert_eq!(parsed.tokens(), ["@0 ", "@1 ", "@2 "]);
        let e = EdgeFile::parse("graph.json", graph(&evil()).to_string().as_bytes()).unwrap_err();
        assert!(e.to_string().starts_with("graph.json: nodes[1].clerp: `"), "{e}");
        let lost = text.replace("\"source\":\"E_0_1\"", "\"source\":\"E_9_9\"");
        let e = EdgeFile::parse("graph.json", lost.as_bytes()).unwrap_err();
        assert!(e.to_string().ends_with("`E_9_9` is no node of the graph"), "{e}");
    }
}
