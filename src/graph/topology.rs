//! The topology of a graph: its writers, readers and edges.
//!
//! Writers are in the order of the computation. Readers are in groups that read the same stream at
//! the same time: the attention of a layer, its MLP, the unembedding. All readers of a group see
//! the same writers, a range of the list. So the edges of a group are a matrix `[R, U]`, one for
//! each position if positions are separate, and edges are numbered by group, position, reader,
//! writer.
//!
//! With `U_g` writers before group `g` of `R_g` readers there are `sum over g of R_g U_g` edges.
//! For `L` layers of `H` heads with separate queries, keys and values, each followed by an MLP,
//! these are
//!
//! ```text
//! E = 1 + L (H + 1) + sum over l < L of [ 3 H (1 + l (H + 1)) + (1 + l (H + 1) + H) ]
//! ```
//!
//! which is 32,491 for L = H = 12.

use crate::checkpoints::AnyModel;
use crate::formats::edge_name::{Edge, Input, Node, Port};
use crate::nn::pooled;
use crate::nn::stream::{Reader, Writer};
use crate::nn::transformer::{Config, Positions};
use crate::simd::Element;
use std::ops::Range;
use std::sync::Arc;

/// The nodes that the stream starts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// One node: token embeddings and learned positions together.
    #[default]
    Joint,
    /// Two nodes, `embed` and `pos`.
    Split,
    /// One node, the token embeddings alone; learned positions belong to no node. EAP-IG's choice.
    TokensOnly,
}

/// How finely a graph divides a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granularity {
    /// The nodes that the stream starts with.
    pub start: Start,
    /// Whether one edge carries the queries, keys and values of a head together.
    pub joined_qkv: bool,
    /// Whether every neuron is a node instead of the whole MLP.
    pub neurons: bool,
    /// The length of the sequences, if each position has edges of its own; the number of
    /// [spans](Graph::of_spans) if each span has.
    pub positions: Option<usize>,
}

/// Readers of the same stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The part of the model.
    pub part: Reader,
    /// Its readers (R).
    pub readers: Vec<Input>,
    /// The columns of the part's reading weight that belong to each reader.
    pub columns: Vec<Vec<Range<usize>>>,
    /// The range of the writers they see (U).
    pub upstream: Range<usize>,
    /// How many positions, or spans, are separate; 1 if they are not.
    pub positions: usize,
    /// Whether names carry the position.
    pub named_positions: bool,
    /// The index of its first edge.
    pub first: usize,
}

impl Group {
    /// The range of its edges.
    pub fn edges(&self) -> Range<usize> {
        let count = self.positions * self.readers.len() * self.upstream.len();
        self.first..self.first + count
    }
}

/// The writers of one part of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The part.
    pub part: Writer,
    /// Its writers.
    pub writers: Range<usize>,
}

/// The graph of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Layers.
    pub layers: usize,
    /// Heads of a layer.
    pub heads: usize,
    /// Heads of keys and values of a layer, each for as many of the heads.
    pub kv_heads: usize,
    /// Width of the stream.
    pub d_model: usize,
    /// Whether attention and MLP of a layer read the same stream.
    pub parallel: bool,
    /// Whether a position attends only to itself and the positions before it.
    pub causal: bool,
    /// Whether what a writer of a part adds depends on what all readers of the part read: of the
    /// heads, and of the neurons, of a layer.
    pub interact: (bool, bool),
    /// How finely it divides the model.
    pub granularity: Granularity,
    /// All writers in order (U).
    pub writers: Vec<Node>,
    /// The writers of each part of the model, in order.
    pub sources: Vec<Source>,
    /// All readers in groups, in order.
    pub groups: Vec<Group>,
    /// The names of the spans, in a graph of spans.
    spans: Arc<[String]>,
    /// `[T]`, the span of each position, in a graph of spans for sequences of one layout.
    layout: Option<Arc<[u32]>>,
}

/// Builds a graph in the order of the computation.
struct Builder {
    graph: Graph,
}

impl Builder {
    fn write(&mut self, part: Writer, nodes: impl IntoIterator<Item = Node>) {
        let first = self.graph.writers.len();
        self.graph.writers.extend(nodes);
        let writers = first..self.graph.writers.len();
        self.graph.sources.push(Source { part, writers });
    }

    fn read(
        &mut self,
        part: Reader,
        readers: Vec<(Input, Vec<Range<usize>>)>,
        upstream: Range<usize>,
        positions: Option<usize>,
    ) {
        let (readers, columns) = readers.into_iter().unzip();
        self.graph.groups.push(Group {
            part,
            readers,
            columns,
            upstream,
            positions: positions.unwrap_or(1),
            named_positions: positions.is_some(),
            first: self.graph.edges(),
        });
    }

    /// The readers of an MLP whose input weight has `neurons` columns, or twice as many if gated.
    fn mlp(&self, layer: usize, neurons: usize, gated: bool) -> Vec<(Input, Vec<Range<usize>>)> {
        let whole = |node| Input { node, port: Port::Whole };
        let wide = neurons * (1 + gated as usize);
        if !self.graph.granularity.neurons {
            return vec![(whole(Node::Mlp { layer }), one(0..wide))];
        }
        let columns = |j: usize| (j..wide).step_by(neurons).map(|c| c..c + 1).collect();
        (0..neurons).map(|j| (whole(Node::Neuron { layer, neuron: j }), columns(j))).collect()
    }

    fn mlp_writers(&self, layer: usize, neurons: usize) -> Vec<Node> {
        match self.graph.granularity.neurons {
            true => (0..neurons).map(|neuron| Node::Neuron { layer, neuron }).collect(),
            false => vec![Node::Mlp { layer }],
        }
    }

    fn seen(&self) -> Range<usize> {
        0..self.graph.writers.len()
    }
}

/// A list of a single range of columns.
fn one(columns: Range<usize>) -> Vec<Range<usize>> {
    std::iter::once(columns).collect()
}

impl<T: Element> AnyModel<T> {
    /// Its graph.
    pub fn graph(&self, granularity: Granularity) -> Graph {
        match self {
            AnyModel::Transformer(model) => Graph::of_transformer(&model.config, granularity),
            AnyModel::Pooled { config, .. } => Graph::of_pooled(config, granularity),
        }
    }
}

impl Graph {
    fn empty(layers: usize, heads: usize, d_model: usize, granularity: Granularity) -> Graph {
        Graph {
            layers,
            heads,
            kv_heads: heads,
            d_model,
            parallel: false,
            causal: false,
            interact: (false, false),
            granularity,
            writers: vec![],
            sources: vec![],
            groups: vec![],
            spans: Arc::default(),
            layout: None,
        }
    }

    /// The same graph with positions that are [spans](crate::formats::spans): the tokens of a span,
    /// one or more, have its edges together, so that sequences of several lengths have the same.
    ///
    /// # Panics
    /// If it has not one position for each of the `names`.
    #[must_use]
    pub fn of_spans(self, names: &[&str]) -> Graph {
        assert_eq!(self.granularity.positions, Some(names.len()), "spans");
        // A span may lie on both sides of another.
        let causal = false;
        Graph { spans: names.iter().map(|&name| name.into()).collect(), causal, ..self }
    }

    /// The names of the spans; none if positions are those of tokens, or not apart.
    pub fn spans(&self) -> &[String] {
        &self.spans
    }

    /// Whether positions are spans.
    pub fn has_spans(&self) -> bool {
        !self.spans.is_empty()
    }

    /// The same graph for sequences whose position `t` is in span `layout[t]`.
    #[must_use]
    pub fn laid_out(&self, layout: &[u32]) -> Graph {
        Graph { layout: Some(layout.into()), ..self.clone() }
    }

    /// The index among the separate positions of `group` that position `t` of a sequence has.
    pub(crate) fn separate(&self, group: &Group, t: usize) -> usize {
        match &self.layout {
            _ if group.positions == 1 => 0,
            Some(layout) => layout[t] as usize,
            None => t,
        }
    }

    /// `[T]`, the same of all positions of sequences of `time` tokens.
    pub(super) fn separates(&self, group: &Group, time: usize) -> Vec<usize> {
        (0..time).map(|t| self.separate(group, t)).collect()
    }

    /// The graph of a transformer.
    ///
    /// With grouped-query attention there are `H` readers of queries and `KV` readers of keys and
    /// of values, named `a0.kv1<k>`. The first-order score of one of these is the sum over the
    /// query heads it serves of their scores in the ungrouped graph. `joined_qkv` has no effect
    /// there, as heads do not own their keys.
    pub fn of_transformer(config: &Config, granularity: Granularity) -> Graph {
        let &Config { layers, heads, kv_heads, d_head, d_mlp, d_model, .. } = config;
        let mut graph = Graph::empty(layers, heads, d_model, granularity);
        graph.kv_heads = kv_heads;
        graph.parallel = config.parallel;
        graph.causal = config.causal;
        graph.interact = (config.heads_interact(), config.norm_after());
        let mut b = Builder { graph };
        let learned = config.positions == Positions::Learned;
        match granularity.start {
            Start::Split if learned => {
                b.write(Writer::Embed, [Node::Embed]);
                b.write(Writer::Pos, [Node::Pos]);
            }
            Start::Split => b.write(Writer::Embed, [Node::Embed]),
            Start::Joint if learned => b.write(Writer::Pos, [Node::Input]),
            Start::Joint | Start::TokensOnly => b.write(Writer::Embed, [Node::Input]),
        }
        let at = granularity.positions;
        for layer in 0..layers {
            let before = b.seen();
            let columns = |part: usize, i: usize| {
                let first = [0, heads, heads + kv_heads][part] + i;
                first * d_head..(first + 1) * d_head
            };
            let mut readers = vec![];
            for head in 0..heads {
                let node = Node::Head { layer, head };
                let reader = |port, columns| (Input { node, port }, columns);
                if kv_heads != heads {
                    readers.push(reader(Port::Q, vec![columns(0, head)]));
                } else if granularity.joined_qkv {
                    let all = (0..3).map(|part| columns(part, head)).collect();
                    readers.push(reader(Port::Whole, all));
                } else {
                    let ports = [Port::Q, Port::K, Port::V].into_iter().enumerate();
                    readers.extend(ports.map(|(i, p)| reader(p, vec![columns(i, head)])));
                }
            }
            if kv_heads != heads {
                for head in 0..kv_heads {
                    for (part, port) in [(1, Port::K), (2, Port::V)] {
                        let node = Node::KeyValue { layer, head };
                        readers.push((Input { node, port }, vec![columns(part, head)]));
                    }
                }
            }
            b.read(Reader::Attention(layer), readers, before.clone(), at);
            let heads = (0..heads).map(|head| Node::Head { layer, head });
            b.write(Writer::Attention(layer), heads);
            if d_mlp > 0 {
                let seen = if config.parallel { before } else { b.seen() };
                b.read(Reader::Mlp(layer), b.mlp(layer, d_mlp, config.gated), seen, at);
                b.write(Writer::Mlp(layer), b.mlp_writers(layer, d_mlp));
            }
        }
        let logits = Input { node: Node::Logits, port: Port::Whole };
        b.read(Reader::Logits, vec![(logits, vec![])], b.seen(), at);
        b.graph
    }

    /// The graph of the pooled model: the attention's one learned query reads keys and values of
    /// the embeddings at each position; the MLP and the unembedding read the mixed values.
    ///
    /// Positions of the embeddings are always separate: the model has no other structure there.
    pub fn of_pooled(config: &pooled::Config, granularity: Granularity) -> Graph {
        let d = config.d_model;
        let mut b = Builder { graph: Graph::empty(1, 1, d, granularity) };
        let at = Some(config.seq_len);
        if granularity.start == Start::Split {
            b.write(Writer::Embed, [Node::Embed]);
            b.write(Writer::Pos, [Node::Pos]);
        } else {
            b.write(Writer::Pos, [Node::Input]);
        }
        let node = Node::Head { layer: 0, head: 0 };
        // The query's column comes first in the reading weight, then those of the values.
        let ports = vec![
            (Input { node, port: Port::K }, one(0..1)),
            (Input { node, port: Port::V }, one(1..1 + d)),
        ];
        let embeddings = b.seen();
        b.read(Reader::Attention(0), ports, embeddings.clone(), at);
        b.write(Writer::Attention(0), [node]);
        let behind = embeddings.end..b.graph.writers.len();
        b.read(Reader::Mlp(0), b.mlp(0, config.d_mlp, false), behind, None);
        b.write(Writer::Mlp(0), b.mlp_writers(0, config.d_mlp));
        let logits = Input { node: Node::Logits, port: Port::Whole };
        let behind = embeddings.end..b.graph.writers.len();
        b.read(Reader::Logits, vec![(logits, vec![])], behind, None);
        b.graph
    }

    /// The number of edges (E).
    pub fn edges(&self) -> usize {
        self.groups.last().map_or(0, |g| g.edges().end)
    }

    /// Edge `e`.
    ///
    /// # Panics
    /// If `e` is not less than E.
    pub fn edge(&self, e: usize) -> Edge {
        let (group, t, r, u) = self.place(e);
        let group = &self.groups[group];
        Edge {
            from: self.writers[u],
            to: group.readers[r],
            position: group.named_positions.then_some(t),
        }
    }

    /// The coordinates of edge `e`: its group, its position, its reader in the group, its writer.
    ///
    /// # Panics
    /// If `e` is not less than E.
    pub fn place(&self, e: usize) -> (usize, usize, usize, usize) {
        let group = self.groups.partition_point(|g| g.edges().end <= e);
        let g = &self.groups[group];
        let (rest, u) = ((e - g.first) / g.upstream.len(), (e - g.first) % g.upstream.len());
        (group, rest / g.readers.len(), rest % g.readers.len(), g.upstream.start + u)
    }

    /// The index of the edge with these [coordinates](Self::place).
    pub fn number(&self, group: usize, position: usize, reader: usize, writer: usize) -> usize {
        let g = &self.groups[group];
        let row = position * g.readers.len() + reader;
        g.first + row * g.upstream.len() + (writer - g.upstream.start)
    }

    /// All edges in the order of EAP-IG's files: by writer, then by reader, then by position.
    pub fn file_order(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.edges());
        for writer in 0..self.writers.len() {
            let read = |(_, g): &(usize, &Group)| g.upstream.contains(&writer);
            for (group, g) in self.groups.iter().enumerate().filter(read) {
                for reader in 0..g.readers.len() {
                    let edge = |position| self.number(group, position, reader, writer);
                    order.extend((0..g.positions).map(edge));
                }
            }
        }
        order
    }

    /// All nodes in the order of EAP-IG's files: the writers, then the logits.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        self.writers.iter().copied().chain([Node::Logits])
    }

    /// Whether a part of the model has several writers: heads, or neurons.
    pub fn divided(&self, part: Writer) -> bool {
        match part {
            Writer::Attention(_) => true,
            Writer::Mlp(_) => self.granularity.neurons,
            Writer::Embed | Writer::Pos => false,
        }
    }

    /// How many of the [`sources`](Self::sources) come before the first reader.
    pub fn inputs(&self) -> usize {
        let embeds = |s: &&Source| matches!(s.part, Writer::Embed | Writer::Pos);
        self.sources.iter().take_while(embeds).count()
    }

    /// The index of the group in which a part of the model reads.
    ///
    /// # Panics
    /// If the model has no such part.
    pub fn group(&self, part: Reader) -> usize {
        let found = self.groups.iter().position(|g| g.part == part);
        found.unwrap_or_else(|| panic!("{part:?} reads in no group"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn gpt2(granularity: Granularity) -> Graph {
        Graph::of_transformer(&Config::gpt2_small(), granularity)
    }

    /// The formula of the module's documentation.
    fn formula(layers: usize, heads: usize) -> usize {
        let seen = |l: usize| 1 + l * (heads + 1);
        seen(layers) + (0..layers).map(|l| 3 * heads * seen(l) + seen(l) + heads).sum::<usize>()
    }

    #[test]
    fn edges_are_those_of_the_formula() {
        assert_eq!(gpt2(Granularity::default()).edges(), 32_491);
        for (layers, heads) in [(12, 12), (2, 4), (6, 4), (1, 1)] {
            let config = Config { layers, heads, kv_heads: heads, ..Config::gpt2_small() };
            let graph = Graph::of_transformer(&config, Granularity::default());
            assert_eq!(graph.edges(), formula(layers, heads));
            let names: HashSet<String> =
                (0..graph.edges()).map(|e| graph.edge(e).to_string()).collect();
            assert_eq!(names.len(), graph.edges(), "two edges share a name");
        }
        // The count for the MIB benchmark's model with six layers of four heads.
        assert_eq!(formula(6, 4), 1108);
    }

    #[test]
    fn numbers_and_places_are_inverse() {
        let config = Config { layers: 2, heads: 4, kv_heads: 2, d_mlp: 3, ..Config::gpt2_small() };
        for (neurons, positions) in [(false, None), (true, None), (false, Some(3)), (true, Some(2))]
        {
            let start = if neurons { Start::Split } else { Start::Joint };
            let granularity = Granularity { start, neurons, positions, joined_qkv: false };
            let graph = Graph::of_transformer(&config, granularity);
            for e in 0..graph.edges() {
                let (group, t, r, u) = graph.place(e);
                assert_eq!(graph.number(group, t, r, u), e);
            }
            let mut order: Vec<usize> = (0..graph.edges()).collect();
            order.sort_by_key(|&e| {
                let (group, position, reader, writer) = graph.place(e);
                (writer, group, reader, position)
            });
            assert_eq!(graph.file_order(), order);
        }
    }

    #[test]
    fn finer_graphs_have_the_edges_they_should() {
        let base = gpt2(Granularity::default()).edges();
        let readers = 12 * 37 + 1;
        let split = gpt2(Granularity { start: Start::Split, ..Default::default() });
        assert_eq!(split.edges(), base + readers);
        let placed = gpt2(Granularity { positions: Some(15), ..Default::default() });
        assert_eq!(placed.edges(), 15 * base);
        assert_eq!(placed.edge(placed.edges() - 1).to_string(), "m11@14->logits@14");
        let joined = gpt2(Granularity { joined_qkv: true, ..Default::default() });
        assert_eq!(joined.edges(), base - (0..12).map(|l| 24 * (1 + 13 * l)).sum::<usize>());
        let grouped = Config { kv_heads: 4, ..Config::gpt2_small() };
        let grouped = Graph::of_transformer(&grouped, Granularity::default());
        assert_eq!(grouped.edges(), base - (0..12).map(|l| 16 * (1 + 13 * l)).sum::<usize>());
        assert!((0..grouped.edges()).any(|e| grouped.edge(e).to_string() == "a3.h5->a4.kv3<v>"));
    }
}
