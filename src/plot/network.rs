//! A circuit as nodes and links, with its place in the model read from the names.
//!
//! Edges are `WRITER->READER`: writers `input`, `embed`, `pos`, `aL.hH`, `mL`, `mL.nJ`; readers
//! `aL.hH<q|k|v>`, `aL.kvH<k|v>`, `mL`, `mL.nJ`, `logits`; `@T` at the end says the position. Names
//! that say nothing of the kind are taken as they are, and their place from who they read.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{Edges, Scored};
use crate::error::{Error, Result, at_key};

/// Positions beyond any sequence are a name like another.
const POSITIONS: usize = 65_536;

/// What part of a model a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Tokens and positions together.
    Input,
    /// Tokens.
    Embed,
    /// Positions.
    Pos,
    /// Keys and values that heads share.
    KeyValue,
    /// A head.
    Head,
    /// A whole MLP.
    Mlp,
    /// A neuron of one.
    Neuron,
    /// What the file calls it, whatever that is.
    Other,
    /// The unembedding.
    Logits,
}

/// A part of a model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// As the file calls it, with its position.
    pub(crate) name: String,
    /// Without its position.
    pub(crate) plain: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// Its layer.
    pub(crate) layer: usize,
    /// Its number in the layer.
    pub(crate) index: usize,
    /// Its position.
    pub(crate) position: Option<usize>,
    /// How many rows are below it.
    pub(crate) row: usize,
}

/// What one node writes and another reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Link {
    /// The writer's number.
    pub(crate) from: usize,
    /// The reader's number.
    pub(crate) to: usize,
    /// Through which port it is read: `q`, `k`, `v`.
    pub(crate) port: Option<char>,
    /// The edge's score.
    pub(crate) score: Option<f64>,
}

/// A circuit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Network {
    /// By row, kind, number, position.
    pub(crate) nodes: Vec<Node>,
    /// The largest first.
    pub(crate) links: Vec<Link>,
    /// Edges of the circuit, of which the links are the largest.
    pub(crate) members: usize,
    /// Edges of the file.
    pub(crate) all: usize,
    /// Layers that the file's names speak of.
    pub(crate) layers: usize,
    /// Heads that share one head of keys and values, as far as names tell.
    pub(crate) sharing: Option<usize>,
    /// Whether the file says which edges belong to the circuit.
    pub(crate) chosen: bool,
}

impl Network {
    /// The `limit` edges of the largest |score|, of those that belong to the circuit or, if the file
    /// does not say which do, of those that have a score.
    ///
    /// # Errors
    /// When a name is no edge's, or nothing is left.
    pub(crate) fn new(edges: &Edges, limit: usize) -> Result<Self> {
        let chosen = edges.list.iter().any(|edge| edge.kept);
        let belongs = |edge: &&Scored| if chosen { edge.kept } else { edge.score.is_some() };
        let mut list: Vec<&Scored> = edges.list.iter().filter(belongs).collect();
        let members = list.len();
        let size = |edge: &Scored| edge.score.map_or(-1.0, f64::abs);
        // The list is in the order of names, which decides among equals.
        list.sort_by(|a, b| size(b).total_cmp(&size(a)));
        list.truncate(limit);
        if list.is_empty() {
            return Err(Error::input(
                at_key(&edges.file, "edges"),
                "has no edge with a score or in the circuit",
                "give a file of scores or of a circuit that is not empty",
            ));
        }
        let mut ends = vec![];
        for edge in &list {
            ends.push(ends_of(&edge.name).ok_or_else(|| {
                Error::input(
                    at_key(&edges.file, format!("edges.{:.60}", edge.name)),
                    "is no name of an edge",
                    "edges are called WRITER->READER, such as a0.h2->m1",
                )
            })?);
        }
        // A part that writes without a position reads as one part, wherever it reads.
        let writers: BTreeSet<&str> = ends.iter().map(|(from, ..)| *from).collect();
        let reader = |name: &str| {
            let one = plain(name);
            if writers.contains(one) { one.to_string() } else { name.to_string() }
        };
        let named: Vec<(String, String, Option<char>)> =
            ends.iter().map(|(from, to, port)| (from.to_string(), reader(to), *port)).collect();
        let names: BTreeSet<&String> = named.iter().flat_map(|(a, b, _)| [a, b]).collect();
        let mut nodes: Vec<Node> = names.into_iter().map(|name| Node::named(name)).collect();
        set_rows(&mut nodes, &named);
        nodes.sort_by(|a, b| a.key().cmp(&b.key()));
        let number: BTreeMap<&str, usize> =
            nodes.iter().enumerate().map(|(i, node)| (node.name.as_str(), i)).collect();
        let links = named
            .iter()
            .zip(&list)
            .map(|((from, to, port), edge)| Link {
                from: number[from.as_str()],
                to: number[to.as_str()],
                port: *port,
                score: edge.score,
            })
            .collect();
        let named = edges.list.iter().filter_map(|edge| ends_of(&edge.name));
        let all = named.flat_map(|(from, to, _)| [kind(plain(from)), kind(plain(&to))]);
        let (mut layers, mut heads, mut shared) = (1, 0, 0);
        for (kind, layer, index) in all.flatten() {
            layers = layers.max(layer + 1);
            match kind {
                Kind::Head => heads = heads.max(index + 1),
                Kind::KeyValue => shared = shared.max(index + 1),
                _ => {}
            }
        }
        let sharing = (shared > 0 && heads % shared == 0).then(|| heads / shared);
        Ok(Network { nodes, links, members, all: edges.list.len(), layers, sharing, chosen })
    }

    /// The largest |score|, 0 without any.
    pub(crate) fn largest(&self) -> f64 {
        self.links.iter().filter_map(|link| link.score).fold(0.0, |a, s| a.max(s.abs()))
    }
}

impl Node {
    fn named(name: &str) -> Node {
        let (plain, position) = match name.rsplit_once('@') {
            Some((plain, t)) => (plain, t.parse().ok().filter(|&t: &usize| t < POSITIONS)),
            None => (name, None),
        };
        let plain = if position.is_some() { plain } else { name };
        let (kind, layer, index) = kind(plain).unwrap_or((Kind::Other, 0, 0));
        Node { name: name.into(), plain: plain.into(), kind, layer, index, position, row: 0 }
    }

    fn key(&self) -> (usize, Kind, usize, usize, Option<usize>, &str) {
        (self.row, self.kind, self.layer, self.index, self.position, &self.name)
    }

    /// Its name without the layer: `h2` of `a0.h2`.
    pub(crate) fn short(&self) -> &str {
        match self.kind {
            Kind::Head | Kind::KeyValue | Kind::Neuron => {
                self.plain.split_once('.').map_or(&*self.plain, |(_, short)| short)
            }
            _ => &self.plain,
        }
    }
}

/// Writer, reader and port of an edge.
fn ends_of(name: &str) -> Option<(&str, String, Option<char>)> {
    let (from, to) = name.split_once("->")?;
    if from.is_empty() || to.is_empty() {
        return None;
    }
    for port in ['q', 'k', 'v'] {
        let mark = format!("<{port}>");
        if let Some((before, after)) = to.split_once(&mark)
            && (after.is_empty() || after.starts_with('@'))
        {
            return Some((from, format!("{before}{after}"), Some(port)));
        }
    }
    Some((from, to.to_string(), None))
}

/// A name without its position.
fn plain(name: &str) -> &str {
    name.split('@').next().unwrap_or(name)
}

fn kind(name: &str) -> Option<(Kind, usize, usize)> {
    match name {
        "input" => return Some((Kind::Input, 0, 0)),
        "embed" => return Some((Kind::Embed, 0, 0)),
        "pos" => return Some((Kind::Pos, 0, 0)),
        "logits" => return Some((Kind::Logits, 0, 0)),
        _ => {}
    }
    // Layers beyond any model are a name like another.
    let number = |text: &str| text.parse::<usize>().ok().filter(|&n| n < 1_000_000);
    if let Some(rest) = name.strip_prefix('a') {
        let (layer, part) = rest.split_once('.')?;
        let layer = number(layer)?;
        if let Some(head) = part.strip_prefix('h') {
            return Some((Kind::Head, layer, number(head)?));
        }
        return Some((Kind::KeyValue, layer, number(part.strip_prefix("kv")?)?));
    }
    let rest = name.strip_prefix('m')?;
    match rest.split_once(".n") {
        Some((layer, neuron)) => Some((Kind::Neuron, number(layer)?, number(neuron)?)),
        None => Some((Kind::Mlp, number(rest)?, 0)),
    }
}

/// Rows from below: the input, the attention and the MLP of each layer, the logits; only those that
/// have nodes. With names that say nothing, a node is above all that it reads.
fn set_rows(nodes: &mut [Node], links: &[(String, String, Option<char>)]) {
    let stages: Vec<usize> = if nodes.iter().any(|node| node.kind == Kind::Other) {
        depths(nodes, links)
    } else {
        let last = 4 + 3 * nodes.iter().map(|node| node.layer).max().unwrap_or(0);
        let stage = |node: &Node| match node.kind {
            Kind::Input | Kind::Embed | Kind::Pos => 0,
            Kind::KeyValue => 1 + 3 * node.layer,
            Kind::Head => 2 + 3 * node.layer,
            Kind::Mlp | Kind::Neuron => 3 + 3 * node.layer,
            Kind::Logits | Kind::Other => last,
        };
        nodes.iter().map(stage).collect()
    };
    let used: Vec<usize> = stages.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    for (node, stage) in nodes.iter_mut().zip(stages) {
        node.row = used.partition_point(|&other| other < stage);
    }
}

/// The length of the longest way to each node; ways in circles end with the number of nodes.
fn depths(nodes: &[Node], links: &[(String, String, Option<char>)]) -> Vec<usize> {
    let number: BTreeMap<&str, usize> =
        nodes.iter().enumerate().map(|(i, node)| (node.name.as_str(), i)).collect();
    let ends: Vec<[usize; 2]> =
        links.iter().map(|(a, b, _)| [number[a.as_str()], number[b.as_str()]]).collect();
    let mut depth = vec![0; nodes.len()];
    // A file that is made to take long ends with rows that are not all in order.
    for _ in 0..nodes.len().min(1000) {
        let mut moved = false;
        for &[from, to] in &ends {
            if depth[to] <= depth[from] && depth[from] + 1 < nodes.len() {
                depth[to] = depth[from] + 1;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    depth
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn edges(list: &[(&str, f64)]) -> Edges {
        let mut list: Vec<Scored> = list
            .iter()
            .map(|&(name, score)| Scored { name: name.into(), score: Some(score), kept: true })
            .collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Edges { file: "c.json".into(), label: "c".into(), list, ..Edges::default() }
    }

    #[test]
    fn names_say_where_a_node_is() {
        for (name, want) in [
            ("a3.h11", Some((Kind::Head, 3, 11))),
            ("a3.kv1", Some((Kind::KeyValue, 3, 1))),
            ("m0", Some((Kind::Mlp, 0, 0))),
            ("m2.n77", Some((Kind::Neuron, 2, 77))),
            ("logits", Some((Kind::Logits, 0, 0))),
            ("a3", None),
            ("mlp", None),
            ("m99999999999999999999", None),
            ("", None),
        ] {
            assert_eq!(kind(name), want, "{name}");
        }
        let node = Node::named("m0.n7@12");
        assert_eq!((&*node.plain, node.position, node.short()), ("m0.n7", Some(12), "n7"));
    }

    #[test]
    fn rows_follow_the_model() {
        let network = Network::new(
            &edges(&[
                ("input->a0.h1<q>", 1.0),
                ("a0.h1->m0", 2.0),
                ("m0->a1.h0<k>", -3.0),
                ("a1.h0->logits", 0.5),
                ("input->m0", 0.25),
            ]),
            4,
        )
        .unwrap();
        let rows: Vec<_> = network.nodes.iter().map(|n| (n.row, n.name.as_str())).collect();
        assert_eq!(rows, [(0, "input"), (1, "a0.h1"), (2, "m0"), (3, "a1.h0"), (4, "logits")]);
        assert_eq!((network.links.len(), network.members, network.largest()), (4, 5, 3.0));
        assert_eq!((network.links[0].port, network.links[0].score), (Some('k'), Some(-3.0)));
    }

    /// The pooled model reads at positions and writes at none.
    #[test]
    fn a_part_that_writes_without_position_is_one_node() {
        let network = Network::new(
            &edges(&[
                ("input@0->a0.h0<k>@0", 1.0),
                ("input@1->a0.h0<v>@1", 1.0),
                ("a0.h0->logits", 1.0),
            ]),
            9,
        )
        .unwrap();
        let names: Vec<_> = network.nodes.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["input@0", "input@1", "a0.h0", "logits"]);
    }

    #[test]
    fn foreign_names_and_circles_get_rows_too() {
        let network =
            Network::new(&edges(&[("<b>->x\"", 1.0), ("x\"->y", 1.0), ("y->x\"", 1.0)]), 9)
                .unwrap();
        assert_eq!(network.nodes.len(), 3);
        assert!(network.nodes.iter().all(|node| node.row < 3));
        let error = Network::new(&edges(&[("no edge", 1.0)]), 9).unwrap_err();
        assert!(error.to_string().contains("key `edges.no edge`"), "{error}");
        let mut none = edges(&[("a->b", 1.0)]);
        none.list[0] = Scored { score: None, kept: false, ..none.list[0].clone() };
        assert!(Network::new(&none, 9).is_err());
    }
}
