//! Nodes and their names.

use std::fmt;

/// A part of a model that writes to or reads from the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// What the stream starts with: token embeddings, and learned positions if they are not apart.
    Input,
    /// Token embeddings, where positions are a node of their own.
    Embed,
    /// Position embeddings.
    Pos,
    /// A head of attention.
    Head {
        /// Its layer.
        layer: usize,
        /// Its number in the layer.
        head: usize,
    },
    /// The keys and values that several heads share (grouped-query attention). It only reads.
    KeyValue {
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

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = match self.port {
            Port::Whole => "",
            Port::Q => "<q>",
            Port::K => "<k>",
            Port::V => "<v>",
        };
        write!(f, "{}{port}", self.node)
    }
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

/// As EAP-IG names it: `a0.h2->a3.h1<k>`; with positions `a0.h2@5->a3.h1<k>@5`.
impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            None => write!(f, "{}->{}", self.from, self.to),
            Some(t) => write!(f, "{}@{t}->{}@{t}", self.from, self.to),
        }
    }
}
