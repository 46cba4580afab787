//! Circuits: which edges to keep, and how good they are.
//!
//! A circuit is a set of edges. Its edges carry their writers' outputs, all others the ablation
//! values. How a circuit is found and how good it is are separate questions:
//! | found by | |
//! | --- | --- |
//! | [`select`] | the edges of largest score |
//! | [`heaviest`] | connected edges of the largest sum of scores, with a bound |
//! | [`acdc`] | removing each edge whose ablation raises the loss by less than tau |
//! | [`edge_pruning`] | masks on all edges, learned by gradient descent |
//! | [`minimal`] | trying all sets of edges from the smallest up |
//! | [`request`] | any of these searches, where it stops, and the file of its circuit |
//! | [`connect`] | the edges of a circuit on a path from the input to the logits |
//!
//! and judged by
//!
//! | | |
//! | --- | --- |
//! | [`faithfulness`] | the share of the model's metric that it keeps; MIB's curves, CPR and CMD |
//! | [`running`](crate::patching::running) | running the circuit as a smaller program |
//! | [`judge`] | it beside its complement, itself with an edge less, and random circuits |
//! | [`adversary`] | the least faithfulness under any ablation of what it leaves out |
//! | [`hypotheses`] | tests of whether it is equivalent, complete, minimal, sufficient, necessary |
//! | [`controls`] | random circuits matched by edge type, and p-values |
//! | [`truth`] | precision and recall, where the true circuit is known |
//! | [`truth::case`] | folders of models with known circuits |
//! | [`truth::gates`] | such models with weights set by hand |
//!
//! The ablation values of the edges outside a circuit can be learned as well: [`optimal`]
//! constants.
//!
//! Sets of edges are lists `[E]` of whether each edge is kept, in the numbering of
//! [`Graph`](crate::graph::Graph).
#![forbid(unsafe_code)]

pub use crate::graph::connect;
use crate::named::named;

pub mod acdc;
pub mod adversary;
#[cfg(test)]
#[path = "tests/compiled.rs"]
mod compiled;
pub mod controls;
pub mod edge_pruning;
pub mod faithfulness;
pub mod heaviest;
pub mod hypotheses;
pub mod judge;
pub mod minimal;
pub mod optimal;
pub mod request;
pub mod select;
pub mod truth;

named! {
    /// How a circuit is found.
    Search {
        /// The edges of largest score.
        #[default]
        TopN = "topn",
        /// From the logits backwards, always the edge of largest score into a node that is already
        /// kept.
        Greedy = "greedy",
        /// Paths of edges of the largest mean score, with a bound of what others could have.
        Heaviest = "heaviest",
        /// The edges whose score reaches a threshold.
        Threshold = "threshold",
        /// Removes each edge whose ablation raises the loss by less than tau.
        Acdc = "acdc",
        /// Learns masks on all edges.
        EdgePruning = "edge-pruning",
        /// Tries all sets, from the smallest up.
        Minimal = "minimal",
    }
}
