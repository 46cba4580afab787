//! The name of an edge: `WRITER->READER`, as EAP-IG has it.
//!
//! | node | name | writes | reads |
//! | --- | --- | --- | --- |
//! | tokens with positions; tokens; positions | `input`, `embed`, `pos` | yes | |
//! | head `H` of layer `L` | `aL.hH` | yes | as `<q>`, `<k>`, `<v>`, or all in one |
//! | keys and values `N` that heads share | `aL.kvN` | | as `<k>`, `<v>` |
//! | MLP of layer `L`, its neuron `J` | `mL`, `mL.nJ` | yes | yes |
//! | unembedding | `logits` | | yes |
//!
//! At a position `T`, both sides end with `@T`: `a0.h2@5->a3.h1<k>@5`. Numbers are decimal without
//! leading zeros, below [`NUMBERS`] and [`POSITIONS`], so that no name asks for a figure of a
//! billion rows. The page's `edge-name.js` follows the same rules; both are tested with
//! `tests/fixtures/edge-names.json`.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Layers, heads and neurons are numbered below this.
pub const NUMBERS: usize = 1_000_000;
/// Positions are numbered below this.
pub const POSITIONS: usize = 65_536;

/// A part of a model that writes to or reads from the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// What the stream starts with: token embeddings, and learned positions if they are not apart.
    Input,
    /// Token embeddings, where positions are a node of their own.
    Embed,
    /// Position embeddings.
    Pos,
    /// The keys and values that several heads share (grouped-query attention). It only reads.
    KeyValue {
        /// Its layer.
        layer: usize,
        /// Its number in the layer.
        head: usize,
    },
    /// A head of attention.
    Head {
        /// Its layer.
        layer: usize,
        /// Its number in the layer.
        head: usize,
    },
    /// An MLP.
    Mlp {
        /// Its layer.
        layer: usize,
    },
    /// One neuron of an MLP.
    Neuron {
        /// Its layer.
        layer: usize,
        /// Its number in the layer.
        neuron: usize,
    },
    /// The unembedding. It only reads.
    Logits,
}

/// Which of its inputs a head reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// The only one.
    Whole,
    /// The queries.
    Q,
    /// The keys.
    K,
    /// The values.
    V,
}

/// The input side of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Input {
    /// Who reads.
    pub node: Node,
    /// Through which port.
    pub port: Port,
}

/// What one node writes and another reads, at one position or at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Edge {
    /// Who writes.
    pub from: Node,
    /// Who reads.
    pub to: Input,
    /// Where, if the graph tells positions apart.
    pub position: Option<usize>,
}

/// The parts of any tool's name for an edge: sides need not be known as nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The writing side.
    pub from: Side<'a>,
    /// The reading side.
    pub to: Side<'a>,
    /// Through which port it is read.
    pub port: Port,
}

/// A node's name and its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Side<'a> {
    /// The node, without port and position.
    pub node: &'a str,
    /// The position, if it has one.
    pub position: Option<usize>,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Input => write!(f, "input"),
            Node::Embed => write!(f, "embed"),
            Node::Pos => write!(f, "pos"),
            Node::Head { layer, head } => write!(f, "a{layer}.h{head}"),
            Node::KeyValue { layer, head } => write!(f, "a{layer}.kv{head}"),
            Node::Mlp { layer } => write!(f, "m{layer}"),
            Node::Neuron { layer, neuron } => write!(f, "m{layer}.n{neuron}"),
            Node::Logits => write!(f, "logits"),
        }
    }
}

impl Port {
    /// `q`, `k` or `v`.
    pub fn letter(self) -> Option<char> {
        match self {
            Port::Whole => None,
            Port::Q => Some('q'),
            Port::K => Some('k'),
            Port::V => Some('v'),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.node)?;
        self.port.letter().map_or(Ok(()), |port| write!(f, "<{port}>"))
    }
}

/// As EAP-IG names it: `a0.h2->a3.h1<k>`; with positions `a0.h2@5->a3.h1<k>@5`.
impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            None => write!(f, "{}->{}", self.from, self.to),
            Some(t) => write!(f, "{}@{t}->{}@{t}", self.from, self.to),
        }
    }
}

impl fmt::Display for Side<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.node)?;
        self.position.map_or(Ok(()), |t| write!(f, "@{t}"))
    }
}

/// A number as it is written: digits without a leading zero, below `end`.
fn number(text: &str, end: usize) -> Option<usize> {
    let digits =
        text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|&n| digits && n < end)
}

impl<'a> Side<'a> {
    /// The parts of the name of a side without a port.
    pub fn of(text: &'a str) -> Side<'a> {
        let placed = text.rsplit_once('@').and_then(|(a, t)| Some((a, number(t, POSITIONS)?)));
        match placed {
            Some((node, position)) => Side { node, position: Some(position) },
            None => Side { node: text, position: None },
        }
    }
}

impl<'a> Parts<'a> {
    /// The parts of `name`; none if it does not read `WRITER->READER`.
    pub fn of(name: &'a str) -> Option<Parts<'a>> {
        let (from, to) = name.split_once("->")?;
        if from.is_empty() || to.is_empty() {
            return None;
        }
        let (from, mut to) = (Side::of(from), Side::of(to));
        let mut port = Port::Whole;
        for (mark, marked) in [("<q>", Port::Q), ("<k>", Port::K), ("<v>", Port::V)] {
            if let Some(node) = to.node.strip_suffix(mark) {
                (to.node, port) = (node, marked);
                break;
            }
        }
        Some(Parts { from, to, port })
    }

    /// The edge, if a graph of ours could have it.
    fn edge(&self) -> Option<Edge> {
        let (from, node) = (Node::of(self.from.node)?, Node::of(self.to.node)?);
        let reads = match node {
            Node::Input | Node::Embed | Node::Pos => false,
            Node::Head { .. } => true,
            Node::KeyValue { .. } => matches!(self.port, Port::K | Port::V),
            Node::Mlp { .. } | Node::Neuron { .. } | Node::Logits => self.port == Port::Whole,
        };
        let writes = !matches!(from, Node::KeyValue { .. } | Node::Logits);
        let position = self.from.position;
        let edge = Edge { from, to: Input { node, port: self.port }, position };
        (reads && writes && position == self.to.position).then_some(edge)
    }
}

impl Node {
    /// The node of this name.
    pub fn of(name: &str) -> Option<Node> {
        match name {
            "input" => return Some(Node::Input),
            "embed" => return Some(Node::Embed),
            "pos" => return Some(Node::Pos),
            "logits" => return Some(Node::Logits),
            _ => {}
        }
        let number = |text: &str| number(text, NUMBERS);
        if let Some(rest) = name.strip_prefix('a') {
            let (layer, part) = rest.split_once('.')?;
            let layer = number(layer)?;
            return match part.strip_prefix('h') {
                Some(head) => Some(Node::Head { layer, head: number(head)? }),
                None => Some(Node::KeyValue { layer, head: number(part.strip_prefix("kv")?)? }),
            };
        }
        let rest = name.strip_prefix('m')?;
        match rest.split_once(".n") {
            Some((layer, neuron)) => {
                Some(Node::Neuron { layer: number(layer)?, neuron: number(neuron)? })
            }
            None => Some(Node::Mlp { layer: number(rest)? }),
        }
    }

    /// The layer it belongs to, if to one.
    pub fn layer(&self) -> Option<usize> {
        match *self {
            Node::Input | Node::Embed | Node::Pos | Node::Logits => None,
            Node::Head { layer, .. }
            | Node::KeyValue { layer, .. }
            | Node::Mlp { layer }
            | Node::Neuron { layer, .. } => Some(layer),
        }
    }
}

/// ```
/// use edgegrad::formats::edge_name::{Edge, Node};
/// let edge: Edge = "a0.h2@5->a3.kv1<k>@5".parse()?;
/// assert_eq!(edge.to.node, Node::KeyValue { layer: 3, head: 1 });
/// assert_eq!(edge.to_string(), "a0.h2@5->a3.kv1<k>@5");
/// # Ok::<(), edgegrad::error::Error>(())
/// ```
impl FromStr for Edge {
    type Err = Error;

    fn from_str(name: &str) -> Result<Edge> {
        Parts::of(name).and_then(|parts| parts.edge()).ok_or_else(|| {
            let help = "edges are called WRITER->READER, such as a0.h2->m1";
            Error::input(format_args!("`{name:.60}`"), "is no name of an edge", help)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Fixture {
        good: Vec<Good>,
        bad: Vec<Bad>,
    }

    #[derive(Deserialize)]
    struct Good {
        name: String,
        from: Said,
        to: Said,
        position: Option<usize>,
    }

    #[derive(Deserialize)]
    struct Bad {
        name: String,
        why: String,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Said {
        kind: String,
        layer: Option<usize>,
        index: Option<usize>,
        port: Option<char>,
    }

    fn said(node: Node, port: Port) -> Said {
        let (kind, index) = match node {
            Node::Input => ("input", None),
            Node::Embed => ("embed", None),
            Node::Pos => ("pos", None),
            Node::Head { head, .. } => ("head", Some(head)),
            Node::KeyValue { head, .. } => ("kv", Some(head)),
            Node::Mlp { .. } => ("mlp", None),
            Node::Neuron { neuron, .. } => ("neuron", Some(neuron)),
            Node::Logits => ("logits", None),
        };
        Said { kind: kind.into(), layer: node.layer(), index, port: port.letter() }
    }

    #[test]
    fn names_mean_what_the_shared_fixture_says() {
        let fixture = include_str!("../../tests/fixtures/edge-names.json");
        let Fixture { good, bad } = serde_json::from_str(fixture).expect("the fixture");
        let mut kinds = std::collections::BTreeSet::new();
        for Good { name, from, to, position } in good {
            let edge: Edge = name.parse().expect(&name);
            assert_eq!(said(edge.from, Port::Whole), from, "{name}");
            assert_eq!(said(edge.to.node, edge.to.port), to, "{name}");
            assert_eq!((edge.position, edge.to_string()), (position, name));
            kinds.extend([from.kind, to.kind]);
        }
        assert_eq!(kinds.len(), 8, "every kind of node: {kinds:?}");
        assert!(bad.len() > 30);
        for Bad { name, why } in bad {
            let error = name.parse::<Edge>().expect_err(&why);
            assert!(error.to_string().ends_with("is no name of an edge"), "{name}: {error}");
        }
    }

    #[test]
    fn foreign_names_have_parts_too() {
        let parts = Parts::of("<b>@x->mlp.3<k>@7").expect("two sides");
        assert_eq!(parts.from, Side { node: "<b>@x", position: None });
        assert_eq!((parts.to.node, parts.port, parts.to.position), ("mlp.3", Port::K, Some(7)));
        assert_eq!(parts.to.to_string(), "mlp.3@7");
        assert_eq!(Parts::of("no edge"), None);
    }
}
