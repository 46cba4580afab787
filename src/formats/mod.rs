//! What people exchange: each format is one struct with its writer and its reader.
//!
//! This room knows no engine, so that a page, a figure or another program reads what a run wrote
//! by the rules it was written by.
#![forbid(unsafe_code)]

pub mod circuit_pairs;
pub mod circuit_summary;
pub mod comparison;
pub mod domain_scores;
pub mod edge_name;
pub mod look;
pub mod metrics;
pub mod pairs;
pub mod run_config;
pub mod run_record;
pub mod snapshot;
pub mod tuning_report;
