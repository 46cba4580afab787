//! Crossing edges: what a head's attention carries from one position to another, by keys and by
//! values.
//!
//! Edges at positions end where a head reads: they say how much its keys at a position matter, and
//! not for which query. A crossing edge is a head, a position of its keys and one of its queries.
//! Let `z[t]` be the mixed values of the head at query `t`, and `z'[t]` the same after its keys, or
//! its values, at position `s` are ablated, with all else as in the clean run. Then
//!
//! ```text
//! score[s, t] = - <dM / dz[t], z'[t] - z[t]>
//! ```
//!
//! is the fall of the metric to first order behind the head (positive: the metric falls without
//! it). The head itself is computed anew, its softmax included, so that a saturated pattern hides
//! nothing: position-aware attribution's edges (PEAP, arXiv 2502.04577), and by keys the correction
//! of AtP* (arXiv 2403.00745). By values `z` is linear, so the scores of all `s` add up to that of
//! ablating the values everywhere; where no norm stands before the head, they are the first-order
//! scores of its edges `<v>` at `s`, summed over writers. By keys neither holds.

use crate::error::{Error, Result};
use crate::files::journal::kept;
use crate::formats::edge_name::{Node, Port};
use crate::graph::{Graph, MaskShape};
use crate::memory;
use crate::nn::stream::{Reader, Writer};
use crate::patching::Progress;
use crate::patching::behaviour::Behaviour;
use crate::patching::probe::Probe;
use crate::simd::Element;
use crate::tape::Var;

/// What may be ablated at a position of a head's keys.
const PORTS: [Port; 2] = [Port::K, Port::V];

/// The scores of all crossing edges.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossings {
    heads: usize,
    /// Positions, or spans (P).
    places: usize,
    /// `[L, H, 2, P, P]`: by layer, head, port, position of the keys, position of the query.
    values: Vec<f64>,
}

kept!(Crossings { heads, places, values });

/// A crossing edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crossing {
    /// The head that attends.
    pub head: Node,
    /// [`Port::K`] or [`Port::V`].
    pub by: Port,
    /// The position, or span, of the key and the value.
    pub key: usize,
    /// That of the query.
    pub query: usize,
    /// What the metric falls by without it.
    pub score: f64,
}

impl Crossings {
    fn at(&self, layer: usize, head: usize, port: usize, key: usize, query: usize) -> usize {
        (((layer * self.heads + head) * PORTS.len() + port) * self.places + key) * self.places
            + query
    }

    /// Adds what the metric falls by at one query if the heads' mixed values move: the gradient,
    /// the clean values and the moved ones, each of all heads side by side.
    fn add<'a, T: Element>(
        &mut self,
        (layer, port, key, query): (usize, usize, usize, usize),
        [gradient, clean, moved]: [&'a [T]; 3],
    ) {
        let wide = clean.len() / self.heads;
        for head in 0..self.heads {
            let own = |list: &'a [T]| &list[head * wide..][..wide];
            let each = own(gradient).iter().zip(own(clean)).zip(own(moved));
            let at = self.at(layer, head, port, key, query);
            self.values[at] += each.map(|((&g, &c), &m)| (g * (c - m)).to_f64()).sum::<f64>();
        }
    }

    /// All that are not zero, in the order of layers and heads.
    pub fn iter(&self) -> impl Iterator<Item = Crossing> + '_ {
        let nonzero = self.values.iter().enumerate().filter(|(_, score)| **score != 0.0);
        nonzero.map(|(i, &score)| {
            let (i, query) = (i / self.places, i % self.places);
            let (i, key) = (i / self.places, i % self.places);
            let (i, port) = (i / PORTS.len(), i % PORTS.len());
            let head = Node::Head { layer: i / self.heads, head: i % self.heads };
            Crossing { head, by: PORTS[port], key, query, score }
        })
    }
}

/// The scores of all crossing edges of a behaviour whose edges have positions or spans.
///
/// # Errors
/// If they have none, heads read keys and values through one edge, or memory is short.
pub fn scores<T: Element>(b: &Behaviour<'_, T>, progress: &mut Progress<'_>) -> Result<Crossings> {
    let graph = &b.graph;
    let attends = graph.sources.iter().any(|s| matches!(s.part, Writer::Attention(_)));
    let (Some(places), true) = (graph.granularity.positions, attends) else {
        let help = "add --positions, or --spans where pairs name spans";
        return Err(Error::input("crossing edges", "need edges at positions", help));
    };
    if graph.granularity.joined_qkv && graph.kv_heads == graph.heads {
        let message = "need keys and values apart";
        return Err(Error::input("crossing edges", message, "leave out --joined-qkv"));
    }
    let count = graph.layers * graph.heads * PORTS.len() * places * places;
    // What is said of each in a file.
    let bytes = count as u128 * 200;
    memory::check(&format!("{count} crossing edges"), bytes, || "name few spans".into())?;
    let none = || Crossings { heads: graph.heads, places, values: vec![0.0; count] };
    let mut work = b.journal.units("crossing", none);
    let steps = (graph.layers * PORTS.len() * places) as f64;
    let mut done = 0.0;
    b.batches(Some(MaskShape::default()), |probe, pairs| {
        probe.set_baselines(b, pairs);
        let mixed: Vec<Var> = (0..graph.layers).map(|layer| mixed_values(probe, layer)).collect();
        let total = probe.measured.total;
        let plan = probe.program.plan_backward(total, &mixed).by(b.rules);
        probe.program.backward(&plan);
        let gradients: Vec<Vec<T>> =
            mixed.iter().map(|&z| probe.program.grad(z).to_vec()).collect();
        for (layer, (&z, gradient)) in mixed.iter().zip(&gradients).enumerate() {
            let g = graph.group(Reader::Attention(layer));
            let clean = probe.program.value(z).to_vec();
            let &[_, time, n] = probe.program.shape(z).dims() else { unreachable!("three axes") };
            let pass = probe.plan_for(g).until(&probe.program, z);
            for (port, key) in (0..PORTS.len()).flat_map(|p| (0..places).map(move |key| (p, key))) {
                done += pairs.len() as f64 * b.weight() / steps;
                if work.is_done() {
                    continue;
                }
                let edges = edges_into(graph, g, PORTS[port], key);
                edges.iter().for_each(|&e| probe.set_mask(0, e, T::ZERO));
                probe.program.forward_from(&pass);
                let moved = probe.program.value(z);
                // Rows of examples that only fill the batch come last.
                for row in 0..pairs.len() * time {
                    let query = probe.recorded.graph.separate(&graph.groups[g], row % time);
                    let lists = [gradient, &clean, moved].map(|list| &list[row * n..][..n]);
                    work.state.add((layer, port, key, query), lists);
                }
                edges.iter().for_each(|&e| probe.set_mask(0, e, T::ONE));
                progress(done);
                work.finish()?;
            }
            // The layers behind read what the clean run has here.
            probe.program.forward_from(&pass);
        }
        Ok(())
    })?;
    Ok(work.state)
}

/// `[B, T, H K]`, the mixed values of all heads of a layer.
fn mixed_values<T: Element>(probe: &Probe<T>, layer: usize) -> Var {
    let sources = &probe.recorded.graph.sources;
    let part = sources.iter().position(|source| source.part == Writer::Attention(layer));
    probe.recorded.outputs[part.expect("every layer attends")].var()
}

/// The edges into the keys or values of all heads of a group at a position.
fn edges_into(graph: &Graph, g: usize, port: Port, key: usize) -> Vec<usize> {
    let group = &graph.groups[g];
    let readers = (0..group.readers.len()).filter(|&r| group.readers[r].port == port);
    let of = |r: usize| group.upstream.clone().map(move |u| graph.number(g, key, r, u));
    readers.flat_map(of).collect()
}
