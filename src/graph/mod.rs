//! The graph of edges: the writers and readers of the residual stream, and a mask on each edge.
//!
//! A *writer* is a node's output, a *reader* is a node's input, and an *edge* is a pair of both.
//! Let `o_u` be what writer `u` adds to the stream and `x` the sum of all that was written so far.
//! In the masked model, reader `r` reads
//!
//! ```text
//! x_r = x + sum over u of (1 - m[r, u]) (b_u - o_u)
//! ```
//!
//! where `m[r, u]` is the edge's mask and `b_u` the writer's ablation value (its *baseline*). A
//! mask of 1 keeps the edge, a mask of 0 ablates it.
#![forbid(unsafe_code)]

pub mod connect;
mod contract;
mod matching;
mod mix;
pub mod pooled;
mod record;
mod shares;
pub mod specialise;
mod topology;

pub use crate::formats::edge_name::{Edge, Input, Node, Port};
pub(crate) use contract::BANK;
pub use contract::{ReadSite, Recorded};
pub use record::{MaskShape, Output, Reading, Recorder};
pub use topology::{Granularity, Graph, Group, Source, Start};
