//! The page in a real browser: what a reader sees and does, against what the run folders say.
//!
//! Screenshots go to target/page. `EDGEGRAD_TIMED=1` makes limits of time binding that are only
//! told otherwise, and `EDGEGRAD_PAGE=FILE.html` takes the times of another page, such as the
//! default curriculum's:
//! `EDGEGRAD_TIMED=1 EDGEGRAD_PAGE=... cargo test --test page times -- --nocapture`.

#[path = "../browser/mod.rs"]
mod browser;

mod circuits;
mod experiment;
mod live;
mod strange;
mod times;
mod training;
