//! The trait of attribution methods.

use super::again::Again;
use super::options::Options;
use super::quadrature::Quadrature;
use super::sizes::Sizes;
use crate::attribution::scores::Scores;
use crate::error::Result;
use crate::patching::Progress;
use crate::patching::behaviour::Behaviour;
use crate::patching::cost;
use crate::patching::metric::Metric;
use crate::simd::Element;

/// The steps of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Their default number.
    pub usual: usize,
    /// What they are.
    pub what: &'static str,
    /// Whether it takes more until its result is accurate enough, and reports how many.
    pub grows: bool,
}

/// A method: what is true of it, and its scores.
pub trait Scorer {
    /// The metric that shows most of its scores; `None` if it knows no metric.
    const USUAL_METRIC: Option<Metric>;
    /// Whether it draws random numbers, by the seed of its options.
    const SEEDED: bool = false;
    /// Its steps; `None` if it takes none.
    const STEPS: Option<Steps> = None;
    /// The default points of its steps.
    const RULE: Quadrature = Quadrature::Left;
    /// The default sizes of the circuits that it looks at; `None` if it looks at no sizes.
    const SIZES: Option<Sizes> = None;
    /// Whether its scores are a ranking, of which only the order and differences mean anything:
    /// they have no sum to be compared with the total effect.
    const RANKS: bool = false;
    /// The default of what it costs a learned mask to keep an edge or a node; `None` if nothing
    /// does.
    const PENALTY: Option<f64> = None;
    /// Whether all it sees of the metric is its slope at the clean run.
    const AT_CLEAN: bool = false;
    /// Whether it begins with the clean and the corrupted run of every pair, so that the metric of
    /// both costs nothing more.
    const RUNS_BOTH: bool = false;
    /// Whether the score of each edge takes runs of its own, so that those of some take less.
    const APART: bool = false;
    /// Whether ranks of a job divide its work.
    const DIVIDED: bool = false;
    /// Whether it follows the [rules](crate::tape::rules) of its behaviour: it takes a derivative.
    const DERIVES: bool = false;
    /// The independent method by which [`again`](Self::again) computes its scores; `None` if there
    /// is none.
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

    /// The scores of some edges of a behaviour, `[E]`, NaN for the others; `None` if they take as
    /// long as those of all.
    fn scores_of<T: Element>(
        _b: &Behaviour<'_, T>,
        _edges: &[usize],
        _progress: &mut Progress<'_>,
    ) -> Option<Result<Scores>> {
        None
    }

    /// The estimated seconds that the scores of some edges take.
    ///
    /// # Errors
    /// Those of the behaviour's runs.
    fn seconds_of<T: Element>(b: &Behaviour<'_, T>, edges: &[usize]) -> Result<f64> {
        cost::seconds(b, edges.len() as f64)
    }

    /// The number of sets of edges it runs for each pair, if that grows with `edges`.
    fn sets(_edges: usize) -> Option<u128> {
        None
    }

    /// The forward passes over all pairs that it takes, a reverse pass counted as
    /// [`BACKWARD`](cost::BACKWARD) of them.
    fn passes<T: Element>(b: &Behaviour<'_, T>, options: &Options) -> f64;

    /// The estimated seconds it takes; 0 if they are few.
    ///
    /// # Errors
    /// Those of the behaviour's runs.
    fn seconds<T: Element>(b: &Behaviour<'_, T>, options: &Options) -> Result<f64> {
        cost::seconds(b, Self::passes(b, options))
    }

    /// Computes the scores of some edges by the independent method.
    fn again<T: Element>(_again: &mut Again<'_, T>) {}
}
