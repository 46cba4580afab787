//! Circuits: which edges to keep, and what they are worth.
//!
//! A circuit is a set of edges. Those in it carry what their writers write, all others their
//! baseline. How good a circuit is, is a question apart from how it was found:
//!
//! | found by | |
//! | --- | --- |
//! | [`select`] | the edges of largest score |
//! | [`acdc`] | removing what nobody misses, edge after edge |
//! | [`edge_pruning`] | masks on all edges, learned by gradient descent |
//! | [`minimal`] | trying all sets of edges from the smallest up |
//! | [`connect`] | what of a circuit lies on a way from the input to the logits |
//!
//! and judged by
//!
//! | | |
//! | --- | --- |
//! | [`faithfulness`] | how much of the model's metric it keeps; MIB's curves, CPR and CMD |
//! | [`running`] | running it without what it does not use |
//! | [`controls`] | random circuits matched by edge type, and how they compare |
//! | [`truth`] | what is right and wrong, where the true circuit is known |
//! | [`case`] | folders of models with known circuits |
//! | [`gates`] | such models with weights set by hand |
//!
//! What stands in for the edges outside of a circuit can be learned as well: [`optimal`] constants.
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
