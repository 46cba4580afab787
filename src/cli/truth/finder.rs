//! What ranks edges: the rows of `edgegrad truth`.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use edgegrad::attribution::mask_ig;
use edgegrad::attribution::method::{Method, Objective, Options};
use edgegrad::discovery::{Search, acdc};
use edgegrad::error::Result;
use edgegrad::named::Named;
use edgegrad::patching::behaviour::Behaviour;
use edgegrad::patching::metric::Metric;
use edgegrad::tape::Rules;
use edgegrad::tensor::Element;

/// Whatever ranks edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Finder {
    /// By scores of attribution, with the rules of its reverse pass.
    Attribution(Method, Rules),
    /// By a learned ranking that lowers something else than is usual.
    Learned(Method, Objective),
    /// By whether ACDC keeps it.
    Acdc,
}

/// The residual that mask-ig may leave, as a share of the metric's difference: ranks need no less.
pub(super) const TOLERANCE: f64 = 1e-3;

/// A node of mask-ig is a forward and a backward pass, which costs about two.
const RUNS_OF_A_NODE: u64 = 3;

/// What ACDC lets the loss grow by for each edge: far above rounding, far below any effect here.
const TAU: f64 = 1e-6;

/// Of random scores and random orders.
pub(super) const SEED: u64 = 0;

impl Finder {
    /// Reads the name of one; the help says what each computes.
    pub(super) fn parser() -> impl TypedValueParser<Value = Finder> {
        let acdc = PossibleValue::new("acdc").help(Search::Acdc.about());
        let attribution = Method::ALL.iter();
        let known =
            attribution.map(|(name, method)| PossibleValue::new(*name).help(method.about()));
        PossibleValuesParser::new(known.chain([acdc])).map(|name| match Method::from_name(&name) {
            Some(method) => Finder::Attribution(method, Rules::Plain),
            None => Finder::Acdc,
        })
    }

    /// All methods, each by all rules that it can follow.
    pub(super) fn all() -> Vec<Finder> {
        let by_rules = |&(_, method): &(&str, Method)| {
            let rules = Rules::ALL.iter().map(|&(_, rules)| rules);
            let followed = rules.filter(move |&rules| rules == Rules::Plain || method.derives());
            followed.map(move |rules| Finder::Attribution(method, rules))
        };
        Method::ALL.iter().flat_map(by_rules).chain([Finder::Acdc]).collect()
    }

    /// The same with learned rankings that are to do what the model does, and no more.
    pub(super) fn all_objectives() -> Vec<Finder> {
        let ranks = Method::ALL.iter().map(|&(_, method)| method).filter(|method| method.ranks());
        let learned = ranks.map(|method| Finder::Learned(method, Objective::Cmd));
        Finder::all().into_iter().chain(learned).collect()
    }

    /// What it is called in a table.
    pub(super) fn name(self) -> String {
        match self {
            Finder::Attribution(method, Rules::Plain) => method.name().into(),
            Finder::Attribution(method, rules) => format!("{} {}", method.name(), rules.name()),
            Finder::Learned(method, objective) => {
                format!("{} {}", method.name(), objective.name())
            }
            Finder::Acdc => "acdc".into(),
        }
    }

    /// The metric under which it shows most; `None` if it has none.
    pub(super) fn usual_metric(self) -> Option<Metric> {
        match self {
            Finder::Attribution(method, _) | Finder::Learned(method, _) => method.usual_metric(),
            // It looks at sets of edges, as exact attribution does.
            Finder::Acdc => Some(Metric::L2),
        }
    }

    /// How many runs of the model on a pair it takes, where that grows with the edges.
    pub(super) fn runs(self, edges: usize, pairs: usize) -> Option<u128> {
        let sets = match self {
            Finder::Attribution(method, _) | Finder::Learned(method, _) => method.sets(edges)?,
            Finder::Acdc => edges as u128,
        };
        Some(sets * pairs as u128)
    }

    /// The options of its method on so many pairs, where a model may be run `most_runs` times on a
    /// pair; `None` if it is no method.
    pub(super) fn options(self, pairs: usize, most_runs: u64) -> Option<(Method, Options)> {
        let (method, objective) = match self {
            Finder::Attribution(method, _) => (method, None),
            Finder::Learned(method, objective) => (method, Some(objective)),
            Finder::Acdc => return None,
        };
        let most_nodes = most_runs / (RUNS_OF_A_NODE * pairs as u64).max(1);
        let mut options = Options {
            tol: TOLERANCE,
            most_nodes: mask_ig::MOST_NODES.min(most_nodes as usize),
            seed: SEED,
            ..method.options()
        };
        options.learning.objective = objective.unwrap_or(options.learning.objective);
        Some((method, options))
    }

    /// The rules of its reverse passes.
    pub(super) fn rules(self) -> Rules {
        match self {
            Finder::Attribution(_, rules) => rules,
            Finder::Learned(..) | Finder::Acdc => Rules::Plain,
        }
    }

    /// The scores of all edges `[E]`.
    pub(super) fn scores<T: Element>(
        self,
        b: &Behaviour<'_, T>,
        most_runs: u64,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Vec<f64>> {
        if let Some((method, options)) = self.options(b.pairs.len(), most_runs) {
            return Ok(method.scores(b, &options, progress)?.values);
        }
        let kept = acdc::search(b, TAU, progress)?;
        Ok(kept.into_iter().map(|kept| f64::from(u8::from(kept))).collect())
    }
}
