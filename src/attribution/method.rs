//! All methods by name.

use super::eap_ig::Rule;
use super::{
    Progress, Scores, clean_corrupted, eap, eap_ig, eap_ig_activations, exact, ifr, mask_ig,
    random, shapley,
};
use crate::error::Result;
use crate::named::named;
use crate::patching::behaviour::Behaviour;
use crate::simd::Element;

named! {
    /// How edges get their scores; see the [table](super).
    Method {
        /// The derivative at the clean run.
        #[default]
        Eap = "eap",
        /// The derivative averaged along the input's embedding.
        EapIg = "eap-ig",
        /// The mean of the derivatives at both ends.
        CleanCorrupted = "clean-corrupted",
        /// The derivative averaged along each part's output.
        EapIgActivations = "eap-ig-activations",
        /// The derivative integrated along the diagonal of the masks.
        MaskIg = "mask-ig",
        /// Every edge removed for real.
        Exact = "exact",
        /// The contribution averaged over all orders.
        Shapley = "shapley",
        /// Information-flow routes.
        Ifr = "ifr",
        /// The control.
        Random = "random",
    }
}

/// What some methods need to be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Steps of `eap-ig` and `eap-ig-activations`, first nodes of `mask-ig`, orders of `shapley`.
    pub steps: usize,
    /// Where `eap-ig` takes its steps.
    pub rule: Rule,
    /// The residual of `mask-ig`, relative to the difference of the metric.
    pub tol: f64,
    /// The most nodes of `mask-ig` on the divided way of one pair, unless [`mask_ig::MOST_NODES`].
    pub most_nodes: usize,
    /// Of `random` and `shapley`.
    pub seed: u64,
}

impl Method {
    /// The steps it takes unless told otherwise; `None` if it takes none.
    pub fn default_steps(self) -> Option<usize> {
        match self {
            Method::EapIg | Method::EapIgActivations => Some(5),
            Method::MaskIg => Some(4),
            Method::Shapley => Some(32),
            _ => None,
        }
    }

    /// The rule it takes its steps by unless told otherwise, as EAP-IG does: without the clean end
    /// along the embedding, with it along activations.
    pub fn default_rule(self) -> Rule {
        if self == Method::EapIgActivations { Rule::Right } else { Rule::Left }
    }

    /// What it is told unless told otherwise.
    pub fn options(self) -> Options {
        Options {
            steps: self.default_steps().unwrap_or(0),
            rule: self.default_rule(),
            tol: 1e-8,
            most_nodes: mask_ig::MOST_NODES,
            seed: 0,
        }
    }

    /// The scores of all edges of a behaviour, `[E]`.
    ///
    /// # Errors
    /// None that depends on the method.
    ///
    /// # Panics
    /// If it takes steps and there are none.
    pub fn scores<T: Element>(
        self,
        b: &Behaviour<'_, T>,
        options: &Options,
        progress: &mut Progress<'_>,
    ) -> Result<Scores> {
        let &Options { steps, rule, tol, most_nodes, seed } = options;
        match self {
            Method::Eap => eap::scores(b, progress),
            Method::EapIg => eap_ig::scores(b, steps, rule, progress),
            Method::CleanCorrupted => clean_corrupted::scores(b, progress),
            Method::EapIgActivations => eap_ig_activations::scores(b, steps, rule, progress),
            Method::MaskIg => mask_ig::scores(b, steps, tol, most_nodes, progress),
            Method::Exact => exact::scores(b, progress),
            Method::Shapley => shapley::scores(b, steps, seed, progress),
            Method::Ifr => ifr::scores(b, progress),
            Method::Random => Ok(random::scores(&b.graph, seed)),
        }
    }
}
