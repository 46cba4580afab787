//! All methods: a file for each, and one table.
//!
//! | method | scores | passes | error |
//! | --- | --- | --- | --- |
//! | [`exact`] | `M(1) - M(1 without e)` | E | none; but redundant edges both get 0 |
//! | [`eap`] | `dM/dm_e` at 1 | 2 forward, 1 backward | curvature of `M` from 1 to `1 - e` |
//! | [`clean_corrupted`] | mean of the derivatives at both ends | 4 | half of that |
//! | [`eap_ig`] | mean derivative along the input's embedding | `steps` | of another path |
//! | [`eap_ig_activations`] | the same along each part's output | `steps` x parts | likewise |
//! | [`mask_ig`] | integral of `dM/dm_e` along the diagonal | nodes | the residual, reported |
//! | [`shapley`] | mean contribution over all orders | 2^E, or orders x E | none, or standard
//! errors |
//! | [`matryoshka`] | a learned ranking, best at every size | 3 x steps | only the order means anything |
//! | [`ugs`] | learned probabilities of edges | 3 x steps | likewise, at one size |
//! | [`bottleneck`] | learned masks that let little through | 3 x steps | likewise |
//! | [`node_pruning`] | learned masks of nodes | 3 x steps | likewise; edges of two nodes are alike |
//! | [`ifr`] | proximity of what is written to what is read | 1 | knows no metric |
//! | [`random`] | none | 0 | the control |
//!
//! What is true of a method is declared in its file, as a [`Scorer`], and asked of its [`Method`].

pub mod bottleneck;
pub mod clean_corrupted;
pub mod eap;
pub mod eap_ig;
pub mod eap_ig_activations;
pub mod exact;
pub mod ifr;
pub mod mask_ig;
pub mod matryoshka;
pub mod node_pruning;
pub mod random;
pub mod shapley;
pub mod ugs;

mod again;
pub(super) mod descent;
mod options;
mod quadrature;
mod scorer;
mod sizes;
pub(super) mod top_k;

pub use again::Again;
pub use descent::{Learning, Mode, Objective, log_odds};
pub use options::Options;
pub use quadrature::Quadrature;
pub use scorer::{Scorer, Steps};
pub use sizes::Sizes;

use super::scores::Scores;
use crate::error::{Error, Result};
use crate::named::{Named, named};
use crate::patching::Progress;
use crate::patching::behaviour::Behaviour;
use crate::patching::metric::Metric;
use crate::ranks;
use crate::simd::Element;

/// Defines the type [`Method`] from the table, and dispatches to the file of each method.
macro_rules! methods {
    ($(
        $(#[$($attribute:tt)*])* $method:ident = $name:literal in $file:ident
    ),+ $(,)?) => {
        named! {
            /// How edges get their scores; see the [table](self).
            Method { $($(#[$($attribute)*])* $method = $name),+ }
        }

        impl Method {
            fn facts(self) -> Facts {
                match self { $(Method::$method => Facts::of::<$file::$method>()),+ }
            }

            /// The scores of all edges of a behaviour, `[E]`.
            ///
            /// # Errors
            /// Those of [`check`](Self::check) and of the behaviour's runs.
            ///
            /// # Panics
            /// If it takes steps and there are none.
            pub fn scores<T: Element>(
                self,
                b: &Behaviour<'_, T>,
                options: &Options,
                progress: &mut Progress<'_>,
            ) -> Result<Scores> {
                self.check(b.question.metric())?;
                match self {
                    $(Method::$method => <$file::$method as Scorer>::scores(b, options, progress)),+
                }
            }

            /// The scores of some edges of a behaviour, `[E]`, NaN for the others; `None` if they
            /// take as long as those of all.
            ///
            /// # Errors
            /// Those of the behaviour's runs.
            pub fn scores_of<T: Element>(
                self,
                b: &Behaviour<'_, T>,
                edges: &[usize],
                progress: &mut Progress<'_>,
            ) -> Option<Result<Scores>> {
                match self {
                    $(Method::$method => <$file::$method as Scorer>::scores_of(b, edges, progress)),+
                }
            }

            /// The estimated seconds that the scores of some edges take.
            ///
            /// # Errors
            /// Those of the behaviour's runs.
            pub fn seconds_of<T: Element>(
                self,
                b: &Behaviour<'_, T>,
                edges: &[usize],
            ) -> Result<f64> {
                match self { $(Method::$method => $file::$method::seconds_of(b, edges)),+ }
            }

            /// The forward passes over all pairs that it takes, a reverse pass counted as
            /// [`BACKWARD`](crate::patching::cost::BACKWARD) of them.
            pub fn passes<T: Element>(self, b: &Behaviour<'_, T>, options: &Options) -> f64 {
                match self { $(Method::$method => $file::$method::passes(b, options)),+ }
            }

            /// The estimated seconds it takes; 0 if they are few.
            ///
            /// # Errors
            /// Those of the behaviour's runs.
            pub fn seconds<T: Element>(
                self,
                b: &Behaviour<'_, T>,
                options: &Options,
            ) -> Result<f64> {
                match self { $(Method::$method => $file::$method::seconds(b, options)),+ }
            }

            /// Computes the scores of some edges by the other way.
            pub(super) fn again<T: Element>(self, again: &mut Again<'_, T>) {
                match self { $(Method::$method => $file::$method::again(again)),+ }
            }
        }
    };
}

methods! {
    /// The derivative by the edge's mask at the clean run.
    #[default]
    Eap = "eap" in eap,
    /// The mean derivative along the input's embedding.
    EapIg = "eap-ig" in eap_ig,
    /// The mean of the derivatives at the clean and at the corrupted run.
    CleanCorrupted = "clean-corrupted" in clean_corrupted,
    /// The mean derivative along each part's output.
    EapIgActivations = "eap-ig-activations" in eap_ig_activations,
    /// The derivative integrated along the diagonal of the masks.
    MaskIg = "mask-ig" in mask_ig,
    /// What the metric falls by if the edge is ablated.
    Exact = "exact" in exact,
    /// The mean contribution over all orders, or over random ones.
    Shapley = "shapley" in shapley,
    /// A learned ranking whose first edges are a good circuit at every size.
    Matryoshka = "matryoshka" in matryoshka,
    /// Uniform gradient sampling: learned probabilities of edges.
    Ugs = "ugs" in ugs,
    /// Learned masks that let through as little information as they can.
    Bottleneck = "bottleneck" in bottleneck,
    /// Learned masks of nodes; an edge has the smaller score of its two.
    NodePruning = "node-pruning" in node_pruning,
    /// Information-flow routes: how close what is written is to what is read; knows no metric.
    Ifr = "ifr" in ifr,
    /// Random scores, the control.
    Random = "random" in random,
}

/// What a [`Scorer`] says of itself.
struct Facts {
    usual_metric: Option<Metric>,
    seeded: bool,
    steps: Option<Steps>,
    rule: Quadrature,
    sizes: Option<Sizes>,
    ranks: bool,
    penalty: Option<f64>,
    apart: bool,
    at_clean: bool,
    runs_both: bool,
    divided: bool,
    derives: bool,
    other_way: Option<&'static str>,
    sets: fn(usize) -> Option<u128>,
}

impl Facts {
    fn of<S: Scorer>() -> Facts {
        Facts {
            usual_metric: S::USUAL_METRIC,
            seeded: S::SEEDED,
            steps: S::STEPS,
            rule: S::RULE,
            sizes: S::SIZES,
            ranks: S::RANKS,
            penalty: S::PENALTY,
            apart: S::APART,
            at_clean: S::AT_CLEAN,
            runs_both: S::RUNS_BOTH,
            divided: S::DIVIDED,
            derives: S::DERIVES,
            other_way: S::OTHER_WAY,
            sets: S::sets,
        }
    }
}

impl Method {
    /// Whether its scores depend on a metric.
    pub fn knows_metric(self) -> bool {
        self.usual_metric().is_some()
    }

    /// The metric that shows most of its scores; `None` if it knows no metric.
    pub fn usual_metric(self) -> Option<Metric> {
        self.facts().usual_metric
    }

    /// Whether it begins with the clean and the corrupted run of every pair, so that a behaviour's
    /// [extremes](crate::patching::behaviour::Behaviour::extremes) cost nothing after it.
    pub fn runs_both(self) -> bool {
        self.facts().runs_both
    }

    /// Whether it draws random numbers, by the seed of its options.
    pub fn seeded(self) -> bool {
        self.facts().seeded
    }

    /// Its steps; `None` if it takes none.
    pub fn steps(self) -> Option<Steps> {
        self.facts().steps
    }

    /// The default points of its steps.
    pub(crate) fn default_rule(self) -> Quadrature {
        self.facts().rule
    }

    /// The default sizes of the circuits that it looks at; `None` if it looks at no sizes.
    pub fn sizes(self) -> Option<Sizes> {
        self.facts().sizes
    }

    /// Whether its scores are a ranking: only their order and differences mean anything.
    pub fn ranks(self) -> bool {
        self.facts().ranks
    }

    /// The default of what it costs to keep an edge or a node; `None` if nothing does.
    pub fn penalty(self) -> Option<f64> {
        self.facts().penalty
    }

    /// Whether the score of each edge takes runs of its own, so that those of some take less.
    pub fn apart(self) -> bool {
        self.facts().apart
    }

    /// Checks that [ranks] of a job, if there are any, divide its work.
    ///
    /// # Errors
    /// If each of them would do all of it.
    pub fn check_divided(self) -> Result<()> {
        if ranks::count() == 1 || self.facts().divided {
            return Ok(());
        }
        let place = format!("--method {}", self.name());
        let divided = Method::ALL.iter().filter(|(_, method)| method.facts().divided);
        let names: Vec<&str> = divided.map(|(name, _)| *name).collect();
        let help = format!("run it without mpirun; {} are divided", names.join(", "));
        Err(Error::input(place, "is not divided between processes", help))
    }

    /// Checks that its scores of `metric` are more than rounding noise: a metric that compares with
    /// the clean run has no slope there, and some methods see no more of it than that.
    ///
    /// # Errors
    /// If they are not.
    pub fn check(self, metric: Metric) -> Result<()> {
        if !(self.facts().at_clean && metric.needs_reference()) {
            return Ok(());
        }
        let (method, metric) = (self.name(), metric.name());
        let message = format!("`{metric}` is flat at the clean run, where `{method}` scores edges");
        let help = "use --method eap-ig, mask-ig or exact, or a metric of the answer";
        Err(Error::input("metric", message, help))
    }

    /// Whether it takes a derivative, by the rules of its behaviour.
    pub fn derives(self) -> bool {
        self.facts().derives
    }

    /// The independent method by which [`verify`](super::verify) computes its scores; `None` if
    /// there is none.
    pub fn other_way(self) -> Option<&'static str> {
        self.facts().other_way
    }

    /// The number of sets of edges it runs for each pair, if that grows with `edges`.
    pub fn sets(self, edges: usize) -> Option<u128> {
        (self.facts().sets)(edges)
    }

    /// Its default options.
    pub fn options(self) -> Options {
        Options {
            steps: self.steps().map_or(0, |steps| steps.usual),
            rule: self.default_rule(),
            tol: 1e-8,
            most_nodes: mask_ig::MOST_NODES,
            learning: Learning {
                sizes: self.sizes().unwrap_or_default(),
                penalty: self.penalty().unwrap_or(0.0),
                ..Learning::default()
            },
            init: None,
            seed: 0,
        }
    }
}
