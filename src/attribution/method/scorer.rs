//! What is asked of every method of attribution.

use super::again::Again;
use super::options::Options;
use super::rule::Rule;
use crate::attribution::scores::Scores;
use crate::error::Result;
use crate::patching::Progress;
use crate::patching::behaviour::Behaviour;
use crate::patching::metric::Metric;
use crate::simd::Element;

/// The steps of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// How many it takes unless told otherwise.
    pub usual: usize,
    /// What they are.
    pub what: &'static str,
    /// Whether it takes more until its result is good enough, and says how many.
    pub grows: bool,
}

/// A method: what is true of it, and its scores.
pub trait Scorer {
    /// The metric that shows most of it; `None` if it knows no metric.
    const USUAL_METRIC: Option<Metric>;
    /// Whether it draws at random, by the seed of its options.
    const SEEDED: bool = false;
    /// Its steps; `None` if it takes none.
    const STEPS: Option<Steps> = None;
    /// The rule it takes steps by unless told otherwise.
    const RULE: Rule = Rule::Left;
    /// Whether all it sees of the metric is its slope at the clean run.
    const AT_CLEAN: bool = false;
    /// By what other way [`again`](Self::again) computes its scores; `None` if there is none.
    const OTHER_WAY: Option<&'static str> = None;

    /// The scores of all edges of a behaviour, `[E]`.
    ///
    /// # Errors
    /// Those of the behaviour's runs.
    fn scores<T: Element>(
        b: &Behaviour<'_, T>,
        options: &Options,
        progress: &mut Progress<'_>,
    ) -> Result<Scores>;

    /// How many sets of edges it runs a pair with, if that grows with `edges`.
    fn sets(_edges: usize) -> Option<u128> {
        None
    }

    /// How many seconds it will take, if that can be long.
    ///
    /// # Errors
    /// Those of the behaviour's runs.
    fn seconds<T: Element>(_b: &Behaviour<'_, T>) -> Result<Option<f64>> {
        Ok(None)
    }

    /// Computes the scores of some edges by the other way.
    fn again<T: Element>(_again: &mut Again<'_, T>) {}
}
