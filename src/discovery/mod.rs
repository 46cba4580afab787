//! Circuits: which edges to keep, and how good they are.
//!
//! A circuit is a set of edges. Those in it carry what their writers write, all others their
//! baseline. How good a circuit is, is a question apart from how it was found:
//!
//! | found by | |
//! | --- | --- |
//! | [`select`] | the edges of largest score |
//! | [`acdc`] | removing each edge whose ablation raises the loss by less than tau |
//! | [`edge_pruning`] | masks on all edges, learned by gradient descent |
//! | [`minimal`] | trying all sets of edges from the smallest up |
//! | [`connect`] | what of a circuit lies on a path from the input to the logits |
//!
//! and judged by
//!
//! | | |
//! | --- | --- |
//! | [`faithfulness`] | how much of the model's metric it keeps; MIB's curves, CPR and CMD |
//! | [`running`](crate::patching::running) | running it without what it does not use |
//! | [`controls`] | random circuits matched by edge type, and how they compare |
//! | [`truth`] | what is right and wrong, where the true circuit is known |
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
#[cfg(test)]
#[path = "tests/compiled.rs"]
mod compiled;
pub mod controls;
pub mod edge_pruning;
pub mod faithfulness;
pub mod minimal;
pub mod optimal;
pub mod select;
pub mod truth;

named! {
    /// How a circuit is found.
    Search {
        /// The edges of largest score.
        #[default]
        TopN = "topn",
        /// From the logits backwards, always the edge of largest score into what is there.
        Greedy = "greedy",
        /// The edges whose score is large enough.
        Threshold = "threshold",
        /// One edge after the other is removed where nobody misses it.
        Acdc = "acdc",
        /// Masks on all edges are learned.
        EdgePruning = "edge-pruning",
        /// All sets are tried, from the smallest up.
        Minimal = "minimal",
    }
}
