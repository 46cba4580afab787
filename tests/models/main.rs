//! Tests that record models themselves. They are one program, because every program compiles the
//! kernels it uses anew.

#[path = "../common/mod.rs"]
mod common;

mod attribute;
mod circuits;
mod edge_laws;
mod exchange;
mod families;
mod logits;
mod look;
mod score_reference;
mod tokens;
mod truth;
