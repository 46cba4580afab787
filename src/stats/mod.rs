//! Statistics over lists of values: each quantity is computed here and nowhere else.
//!
//! | file | holds |
//! | --- | --- |
//! | `average` | [`mean`], [`median`], [`quantile`] |
//! | `correlation` | [`pearson`], [`spearman`], [`cosine`], [`ranks`] |
//! | `interval` | [`Bootstrap`] intervals of any statistic, [`wilson`] intervals of a rate |
//! | `significance` | [`p_value`] of permutations, [`false_discovery`] rates |
#![forbid(unsafe_code)]

mod average;
mod correlation;
mod interval;
mod significance;

pub use average::{mean, median, quantile};
pub use correlation::{centred, cosine, dot, pearson, ranks, spearman};
pub use interval::{Bootstrap, wilson};
pub use significance::{false_discovery, p_value};
