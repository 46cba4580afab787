//! The graph of edges: who writes to the residual stream, who reads it, and a mask on each edge.
//!
//! A *writer* is a node's output, a *reader* a node's input; an *edge* is a pair of both. With `o_u`
//! what writer `u` adds to the stream and `x` the sum of all that was written so far, reader `r` of
//! the masked model reads
//!
//! ```text
//! x_r = x + sum over u of (1 - m[r, u]) (b_u - o_u)
//! ```
//!
//! where `m[r, u]` is the edge's mask and `b_u` the baseline: 1 leaves the edge as it is, 0 puts the
//! baseline in its place.
#![forbid(unsafe_code)]

pub mod connect;
mod contract;
mod file;
mod mix;
pub mod pooled;
mod record;
pub mod specialise;
mod topology;

pub use crate::formats::edge_name::{Edge, Input, Node, Port};
pub use contract::{Place, Recorded};
pub use file::{Completeness, EdgeFile, Entry, Meta};
pub use record::{MaskShape, Output, Reading, Recorder};
pub use topology::{Granularity, Graph, Group, Source, Start};
