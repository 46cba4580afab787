//! Which edges matter: metrics of a model's answer, and what edges contribute to them.
#![forbid(unsafe_code)]

pub mod compare;
pub mod metric;
