//! A circuit as nodes and links, with its place in the model read from the names.
//!
//! Nodes that no [edge name](crate::formats::edge_name) of ours has are taken as they are called,
//! and their place from who they read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::error::{Error, Result, at_key};
use crate::formats::edge_name::{Node as Part, Parts, Side};
use crate::formats::{EdgeFile, Entry};
use crate::stats::order;

/// A part of a model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// As the file calls it, with its position.
    pub(crate) name: String,
    /// Without its position.
    pub(crate) plain: String,
    /// What it is; none if the name says nothing of the kind.
    pub(crate) part: Option<Part>,
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
    /// The `limit` edges of the largest |score|, of those that belong to the circuit or, if the
    /// file does not say which do, of those that have a score.
    ///
    /// # Errors
    /// When a name is no edge's, or nothing is left.
    pub(crate) fn new(file: &EdgeFile, limit: usize) -> Result<Self> {
        let path = Path::new(file.place());
        let chosen = file.has_circuit();
        let mut list = by_size(file, chosen);
        let members = list.len();
        list.truncate(limit);
        if list.is_empty() {
            let message = match chosen {
                true => format!("is an empty circuit: none of {} edges is in it", file.edges.len()),
                false => "has no edge with a score".into(),
            };
            let help = "give a file of scores or of a circuit that is not empty";
            return Err(Error::input(at_key(path, "edges"), message, help));
        }
        let mut parts = read_names(path, &list)?;
        join_positions(&mut parts);
        let sides: BTreeSet<Side<'_>> =
            parts.iter().flat_map(|edge| [edge.from, edge.to]).collect();
        let mut nodes: Vec<(Side<'_>, Node)> =
            sides.into_iter().map(|side| (side, Node::new(side))).collect();
        set_rows(&mut nodes, &parts);
        order::sort_by(&mut nodes, |(_, a), (_, b)| a.key().cmp(&b.key()));
        let number = numbers(&nodes);
        let links = parts
            .iter()
            .zip(&list)
            .map(|(edge, (_, entry))| Link {
                from: number[&edge.from],
                to: number[&edge.to],
                port: edge.port.letter(),
                score: entry.score,
            })
            .collect();
        let (layers, sharing) = layers_and_sharing(file);
        let nodes = nodes.into_iter().map(|(_, node)| node).collect();
        Ok(Network { nodes, links, members, all: file.edges.len(), layers, sharing, chosen })
    }

    /// The largest |score|, 0 without any.
    pub(crate) fn largest(&self) -> f64 {
        self.links.iter().filter_map(|link| link.score).fold(0.0, |a, s| a.max(s.abs()))
    }
}

impl Node {
    fn new(side: Side<'_>) -> Node {
        let (plain, part) = (side.node.to_string(), Part::of(side.node));
        Node { name: side.to_string(), plain, part, position: side.position, row: 0 }
    }

    /// Its order in a row.
    fn key(&self) -> (usize, usize, Option<Part>, Option<usize>, &str) {
        let class = match self.part {
            None => 1,
            Some(Part::Logits) => 2,
            Some(_) => 0,
        };
        (self.row, class, self.part, self.position, &self.name)
    }

    /// Its name without the layer: `h2` of `a0.h2`.
    pub(crate) fn short(&self) -> &str {
        match self.part {
            None => &self.plain,
            Some(_) => self.plain.split_once('.').map_or(&*self.plain, |(_, short)| short),
        }
    }
}

/// The edges of the circuit or, if none is `chosen`, those with a score; the largest |score| first.
fn by_size(file: &EdgeFile, chosen: bool) -> Vec<&(String, Entry)> {
    let belongs = |(_, edge): &&(String, Entry)| match chosen {
        true => edge.in_graph,
        false => edge.score.is_some(),
    };
    let mut list: Vec<&(String, Entry)> = file.edges.iter().filter(belongs).collect();
    let size = |(_, edge): &(String, Entry)| edge.score.map_or(-1.0, f64::abs);
    // The list is in the order of names, which decides among equals.
    order::sort_by(&mut list, |a, b| size(b).total_cmp(&size(a)));
    list
}

/// The writer, the reader and the port of each edge.
fn read_names<'a>(path: &Path, list: &[&'a (String, Entry)]) -> Result<Vec<Parts<'a>>> {
    let read = |&(name, _): &&'a (String, Entry)| {
        Parts::of(name).ok_or_else(|| {
            Error::input(
                at_key(path, format!("edges.{name:.60}")),
                "is no name of an edge",
                "edges are called WRITER->READER, such as a0.h2->m1",
            )
        })
    };
    list.iter().map(read).collect()
}

/// Makes a part that writes without a position read as one part, wherever it reads.
fn join_positions(edges: &mut [Parts<'_>]) {
    let writers: BTreeSet<Side<'_>> = edges.iter().map(|edge| edge.from).collect();
    for edge in edges {
        let anywhere = Side { position: None, ..edge.to };
        if writers.contains(&anywhere) {
            edge.to = anywhere;
        }
    }
}

/// [`Network::layers`] and [`Network::sharing`], from all names of the file.
fn layers_and_sharing(file: &EdgeFile) -> (usize, Option<usize>) {
    let all = file.edges.iter().filter_map(|(name, _)| Parts::of(name));
    let all = all.flat_map(|edge| [edge.from, edge.to]);
    let (mut layers, mut heads, mut shared) = (1, 0, 0);
    for part in all.filter_map(|side| Part::of(side.node)) {
        layers = layers.max(part.layer().map_or(0, |layer| layer + 1));
        match part {
            Part::Head { head, .. } => heads = heads.max(head + 1),
            Part::KeyValue { head, .. } => shared = shared.max(head + 1),
            _ => {}
        }
    }
    (layers, (shared > 0 && heads % shared == 0).then(|| heads / shared))
}

/// The place of each node in the list.
fn numbers<'a>(nodes: &[(Side<'a>, Node)]) -> BTreeMap<Side<'a>, usize> {
    nodes.iter().map(|(side, _)| *side).zip(0..).collect()
}

/// Rows from below: the input, the attention and the MLP of each layer, the logits; only those that
/// have nodes. With names that say nothing, a node is above all that it reads.
fn set_rows(nodes: &mut [(Side<'_>, Node)], edges: &[Parts<'_>]) {
    let parts: Option<Vec<Part>> = nodes.iter().map(|(_, node)| node.part).collect();
    let stages: Vec<usize> = match parts {
        None => depths(nodes, edges),
        Some(parts) => {
            let last = 4 + 3 * parts.iter().filter_map(Part::layer).max().unwrap_or(0);
            let stage = |part: &Part| match part {
                Part::Input | Part::Embed | Part::Pos => 0,
                Part::KeyValue { layer, .. } => 1 + 3 * layer,
                Part::Head { layer, .. } => 2 + 3 * layer,
                Part::Mlp { layer } | Part::Neuron { layer, .. } => 3 + 3 * layer,
                Part::Logits => last,
            };
            parts.iter().map(stage).collect()
        }
    };
    let used: Vec<usize> = stages.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    for ((_, node), stage) in nodes.iter_mut().zip(stages) {
        node.row = used.partition_point(|&other| other < stage);
    }
}

/// The length of the longest way to each node; ways in circles end with the number of nodes.
fn depths(nodes: &[(Side<'_>, Node)], edges: &[Parts<'_>]) -> Vec<usize> {
    let number = numbers(nodes);
    let ends: Vec<[usize; 2]> =
        edges.iter().map(|edge| [number[&edge.from], number[&edge.to]]).collect();
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

    pub(crate) fn edges(list: &[(&str, f64)]) -> EdgeFile {
        let entry = |&(name, score): &(&str, f64)| {
            (name.into(), Entry { score: Some(score), in_graph: true, ..Entry::default() })
        };
        let mut file = EdgeFile::default().at(Path::new("c.json"));
        file.edges.extend(list.iter().map(entry));
        file.edges.sort_by(|a, b| a.0.cmp(&b.0));
        file
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
        none.edges[0].1 = Entry::default();
        assert!(Network::new(&none, 9).is_err());
    }
}
