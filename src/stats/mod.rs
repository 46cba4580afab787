//! Statistics over lists of values: each quantity is computed here and nowhere else.
//!
//! | file | holds |
//! | --- | --- |
//! | `auroc` | [`auroc`], how well a value tells two groups apart, and [its interval](auroc_interval) |
//! | `average` | [`mean`], [`median`], [`quantile`] |
//! | `bootstrap` | [`bootstrap_interval`] of a mean, from resamples |
//! | `correlation` | [`pearson`], [`spearman`], [`cosine`], [`ranks`] |
//! | `interval` | 95 %: [`mean_interval`], [`median_interval`], [`ratio_interval`], [`wilson`]; [`detectable`] |
//! | `nested` | values in groups: [`group_means`], [`nested_interval`] |
//! | `order` | indices by value: [`rising`], [`falling`], [`by_size`], [`largest`]; one sort for all |
//! | `t` | the quantile of Student's t |
//! | `significance` | [`p_value`] of permutations, [`t_test`], [`holm`], [`false_discovery`] rates |
#![forbid(unsafe_code)]

mod auroc;
mod average;
mod bootstrap;
mod correlation;
mod interval;
mod nested;
pub(crate) mod order;
mod significance;
mod t;

pub use auroc::{auroc, auroc_interval};
pub use average::{mean, median, quantile};
pub use bootstrap::{LEAST_OF_BOOTSTRAP, bootstrap_interval};
pub use correlation::{centred, cosine, dot, pearson, ranks, spearman};
pub use interval::{
    LEAST_OF_MEAN, LEAST_OF_MEDIAN, detectable, mean_interval, median_interval, ratio_interval,
    wilson,
};
pub use nested::{group_means, nested_interval};
pub use order::{by_size, falling, largest, rising};
pub use significance::{false_discovery, holm, p_value, t_test};
