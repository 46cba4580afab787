//! Circuits: which edges to keep, and what they are worth.
//!
//! A circuit is a set of edges. Those in it carry what their writers write, all others their
//! baseline. How good a circuit is, is a question apart from how it was found:
//!
//! | found by | |
//! | --- | --- |
//! | [`select`] | the edges of largest score |
//! | [`edge_pruning`] | masks on all edges, learned by gradient descent |
//! | [`minimal`] | trying all sets of edges from the smallest up |
//! | [`connect`] | what of a circuit lies on a way from the input to the logits |
//!
//! What stands in for the edges outside of a circuit can be learned as well: [`optimal`] constants.
//!
//! Sets of edges are lists `[E]` of whether each edge is kept, in the numbering of
//! [`Graph`](crate::graph::Graph).
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "tests/compiled.rs"]
mod compiled;
pub mod connect;
mod distance;
pub mod edge_pruning;
pub mod minimal;
pub mod optimal;
pub mod select;
