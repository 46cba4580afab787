//! Training: what to run, and running it.
#![forbid(unsafe_code)]

pub mod config;
