//! Circuits: which edges to keep, and what they are worth.
//!
//! A circuit is a set of edges. Those in it carry what their writers write, all others their
//! baseline. How good a circuit is, is a question apart from how it was found:
//!
//! | found by | |
//! | --- | --- |
//! | [`select`] | the edges of largest score |
//! | [`connect`] | what of a circuit lies on a way from the input to the logits |
//!
//! | judged by | |
//! | --- | --- |
//! | [`truth`] | what is right and wrong, where the true circuit is known |
//! | [`case`] | folders of models with known circuits |
//! | [`gates`] | such models with weights set by hand |
//!
//! Sets of edges are lists `[E]` of whether each edge is kept, in the numbering of
//! [`Graph`](crate::graph::Graph).
#![forbid(unsafe_code)]

pub mod case;
pub mod connect;
pub mod gates;
pub mod select;
pub mod truth;
