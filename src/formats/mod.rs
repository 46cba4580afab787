//! What people exchange: each format is one struct with its writer and its reader.
//!
//! This room knows no engine, so that a page, a figure or another program reads what a run wrote
//! by the rules it was written by.
//!
//! | format | file | written by |
//! | --- | --- | --- |
//! | [`pairs`] | pairs of a clean and a corrupted sequence | people |
//! | [`spans`] | named parts of their sequences | people |
//! | [`sequences`] | sequences of tokens | people, `tokens` |
//! | [`edge_name`] | the names of edges in all other files | `graph` |
//! | [`convention`] | the sign of scores in such a file | |
//! | [`edge_file`] | scores of edges, a circuit, or both | `attribute`, `discover`, `tune` |
//! | [`origin`] | what scores and curves are of: model, pairs, metric, baseline | |
//! | [`curves`] | faithfulness of the first edges by score | `evaluate --curve` |
//! | [`masks`] | how much of each edge is left | `evaluate --adversary` |
//! | [`crossings`] | what attention carries between positions | `crossing` |
//! | [`interactions`] | second derivatives and patches of pairs of edges | `interactions` |
//! | [`metrics`], [`domain_scores`] | `metrics.jsonl` of a run | `train`, `pretrain` |
//! | [`run_config`] | `config.toml` of a run: the keys that a report reads | `train` |
//! | [`run_record`] | `run.json` of a run | `train` |
//! | [`snapshot`] | `snapshots/` of a run | `train` |
//! | [`circuit_pairs`], [`circuit_summary`] | `circuits/` of a run | `train` |
//! | [`look`] | one pair as a language model reads it | `look` |
//! | [`tuning_report`] | `report.json` of a tuned model | `tune`, `tune-compare` |
//! | [`dynamics`] | `dynamics.json` of a tuned model | `tune` |
//! | [`comparison`] | `comparison.json` of a grid | `tune-compare` |
//! | [`sweep_results`] | `results.jsonl` of a sweep | `sweep`, `merge` |
//! | [`condition`] | conditions on the values of a run | people |
#![forbid(unsafe_code)]

mod attribution_graph;
pub(crate) mod byte_letters;
pub mod circuit_pairs;
pub mod circuit_summary;
pub mod comparison;
pub mod condition;
pub mod convention;
pub mod crossings;
pub mod curves;
pub mod domain_scores;
pub mod dynamics;
pub mod edge_file;
pub mod edge_name;
pub mod interactions;
pub mod look;
pub mod masks;
pub mod metrics;
pub mod mib;
pub mod origin;
pub mod pairs;
#[cfg(feature = "page")]
pub mod run_config;
pub mod run_record;
pub mod sequences;
pub mod snapshot;
pub mod spans;
pub mod sweep_results;
#[cfg(test)]
mod tests;
pub mod tuning_report;

pub use convention::Convention;
pub use edge_file::{Completeness, EdgeFile, Entry, Meta};
pub use origin::Origin;
