//! Attribution graphs, as circuit-tracer writes them and `edgegrad export` does, read as the edges
//! of a circuit.
//!
//! A node is called by its `clerp`, `a0.h1@3`; a link is an edge, or one for each of its `ports`,
//! and its weight a score of ours. Features of transcoders are no nodes of a graph of ours.

use super::edge_file::{EdgeFile, Entry, Meta};
use super::edge_name::{Node, Side};
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Map;
use std::collections::{BTreeMap, HashMap};

const HELP: &str = "give what `edgegrad export --format attribution-graph` wrote; features of \
                    transcoders are no parts that it knows";

/// The keys that edges are made of.
#[derive(Deserialize)]
pub(super) struct Graph {
    #[serde(default)]
    metadata: Metadata,
    nodes: Vec<Point>,
    links: Vec<Link>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    prompt_tokens: Vec<String>,
}

#[derive(Deserialize)]
struct Point {
    node_id: String,
    #[serde(default)]
    clerp: String,
}

#[derive(Deserialize)]
struct Link {
    source: String,
    target: String,
    weight: f64,
    #[serde(default)]
    ports: BTreeMap<char, f64>,
}

impl Graph {
    /// Its edges, all of which are the circuit; `place` names it in errors.
    ///
    /// # Errors
    /// If a node is no part of a model, or a link leads to no node.
    pub(super) fn edges(&self, place: &str) -> Result<EdgeFile> {
        let mut sides = HashMap::new();
        for (i, point) in self.nodes.iter().enumerate() {
            let side = Side::of(&point.clerp);
            if Node::of(side.node).is_none() {
                let message = format!("`{:.60}` is no part of a model", point.clerp);
                return Err(Error::input(format!("{place}: nodes[{i}].clerp"), message, HELP));
            }
            sides.insert(&*point.node_id, side);
        }
        let mut edges = BTreeMap::new();
        for (i, link) in self.links.iter().enumerate() {
            let end = |id: &str| {
                let message = format!("`{id:.60}` is no node of the graph");
                let fail = || Error::input(format!("{place}: links[{i}]"), message, HELP);
                sides.get(id).copied().ok_or_else(fail)
            };
            let (from, to) = (end(&link.source)?, end(&link.target)?);
            let at = to.position.map_or(String::new(), |t| format!("@{t}"));
            let mut put = |port: String, score| {
                let entry = Entry { score: Some(score), in_graph: true, ..Entry::default() };
                edges.insert(format!("{from}->{}{port}{at}", to.node), entry);
            };
            match link.ports.is_empty() {
                true => put(String::new(), link.weight),
                false => link.ports.iter().for_each(|(port, &x)| put(format!("<{port}>"), x)),
            }
        }
        // Nodes without a position have a token of their own, after the last.
        let last = sides.values().filter_map(|side| side.position).max();
        let words = |last: usize| self.metadata.prompt_tokens.iter().take(last + 1).cloned();
        let tokens = last.map(|last| words(last).collect());
        let meta = Meta { convention: Some("ours".into()), tokens, ..Meta::default() };
        let file = EdgeFile::new(Map::new(), vec![], edges.into_iter().collect(), &meta);
        let mut file = file.named(place);
        file.members_only = true;
        Ok(file)
    }
}
