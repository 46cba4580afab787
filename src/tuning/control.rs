//! Controls of a circuit: random circuits, the same ends at other nodes; and everything else.
//!
//! A control has to differ from the circuit in where it is and in nothing else. So nodes are
//! permuted among those of their kind, heads with heads (with grouped queries whole groups, and
//! heads within them) and MLPs or neurons with MLPs or neurons, and every end goes to the same side
//! of another node. The control has as many ends of each type in each node, and it is a circuit:
//! what connects a node's two sides is the node, and the input and the logits stay where they are.

use super::connected::Sides;
use super::slices::Ends;
use crate::graph::{Graph, Node};
use crate::named::named;
use crate::rng::Rng;
use std::collections::BTreeMap;

named! {
    /// The nodes among which the ends of a random control are placed.
    Placed {
        /// All of their kind.
        #[default]
        Anywhere = "anywhere",
        /// Those of their kind in the same layer: the control has as many ends of each type in each
        /// layer. The only MLP of a layer stays where it is.
        InLayer = "in-layer",
    }
}

/// What is trained in the place of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// A random circuit.
    Random(Drawn),
    /// The ends that the circuit does not have and that lie on paths without it.
    Complement,
}

named! {
    /// When the random control of a circuit is drawn.
    Drawn {
        /// Whenever the circuit is found: nothing of it stays.
        #[default]
        Redrawn = "redrawn",
        /// Once, for the first circuit, which stays.
        Once = "once",
        /// Once, and every circuit that is found moves to the same other nodes: what changes from
        /// one to the next is as much as it is in the circuit.
        Turnover = "turnover",
    }
}

/// Where each end goes: to the same side of another node of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved(Vec<usize>);

/// A node's ends, and those of the query heads that share its keys and values.
struct Unit {
    own: Vec<usize>,
    heads: Vec<Vec<usize>>,
}

impl Moved {
    /// A random permutation.
    pub fn draw(graph: &Graph, placed: Placed, rng: &mut Rng) -> Moved {
        let mut to: Vec<usize> = (0..super::ends_of(graph)).collect();
        for units in kinds(graph, placed).into_values() {
            let places = shuffled(units.len(), rng);
            for (unit, &place) in units.iter().zip(&places) {
                let other = &units[place];
                unit.own.iter().zip(&other.own).for_each(|(&from, &end)| to[from] = end);
                let heads = shuffled(unit.heads.len(), rng);
                for (head, &place) in unit.heads.iter().zip(&heads) {
                    head.iter().zip(&other.heads[place]).for_each(|(&from, &end)| to[from] = end);
                }
            }
        }
        Moved(to)
    }

    /// These ends at the other nodes.
    pub fn of(&self, graph: &Graph, ends: &Ends) -> Ends {
        let numbers: Vec<usize> = ends.numbers().into_iter().map(|end| self.0[end]).collect();
        Ends::numbered(graph, &numbers)
    }
}

/// The nodes that can take each other's place, by kind and, where they stay in it, by layer.
fn kinds(graph: &Graph, placed: Placed) -> BTreeMap<(u8, usize), Vec<Unit>> {
    let mut nodes: BTreeMap<String, (Node, Vec<usize>)> = BTreeMap::new();
    let readers = graph.groups.iter().flat_map(|g| g.readers.iter().map(|r| r.node));
    for (end, node) in readers.chain(graph.writers.iter().copied()).enumerate() {
        nodes.entry(node.to_string()).or_insert((node, vec![])).1.push(end);
    }
    let sides = Sides::new(graph);
    let mut units: BTreeMap<(u8, usize), Vec<Unit>> = BTreeMap::new();
    for (node, ends) in nodes.values() {
        let (kind, heads) = match node {
            // A head without keys of its own belongs to the unit of the head that has them.
            Node::Head { .. } if ends.len() == 2 && shares(graph, node) => continue,
            Node::Head { .. } => (0, vec![]),
            Node::KeyValue { .. } => {
                let writers = sides.other(ends[0]).iter();
                let head = |&writer: &usize| {
                    let of_node = nodes.values().find(|(_, ends)| ends.contains(&writer));
                    of_node.expect("every end has a node").1.clone()
                };
                (1, writers.map(head).collect())
            }
            Node::Mlp { .. } => (2, vec![]),
            Node::Neuron { .. } => (3, vec![]),
            Node::Input | Node::Embed | Node::Pos | Node::Logits => continue,
        };
        let place = match (placed, node) {
            (
                Placed::InLayer,
                Node::Head { layer, .. }
                | Node::KeyValue { layer, .. }
                | Node::Mlp { layer }
                | Node::Neuron { layer, .. },
            ) => *layer,
            _ => 0,
        };
        units.entry((kind, place)).or_default().push(Unit { own: ends.clone(), heads });
    }
    units
}

/// Whether the keys and values of a head are those of a node that others read as well.
fn shares(graph: &Graph, head: &Node) -> bool {
    let Node::Head { layer, .. } = head else { return false };
    let in_layer = |node: &Node| matches!(node, Node::KeyValue { layer: l, .. } if l == layer);
    graph.groups.iter().flat_map(|g| &g.readers).any(|reader| in_layer(&reader.node))
}

/// The numbers below `n` in random order.
fn shuffled(n: usize, rng: &mut Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    rng.shuffle(&mut order);
    order
}
