//! What tuning has done to a model: how well it does what it was tuned for, and what it has kept.

use super::goal::Goal;
use crate::experiments::pretrain::{Measured, Panel};
use crate::formats::domain_scores::DomainScores;
use crate::named::Named;
use crate::nn::transformer::Model;
use crate::tasks::language::{Domain, Part, Source, Variant};
use serde::{Deserialize, Serialize};

/// Held-out examples, and how the model did on them before tuning.
pub struct Judge {
    goal: Goal,
    part: Part,
    panel: Panel,
    before: Measured,
}

/// How a model does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// What is asked for, from 0 to 1: the share of verbs that disagree (E1), one minus the prejudice
    /// risk (E2), the share of examples that are right (E3, E5), F1 over the labels (E4).
    pub target: f64,
    /// The mean logit of what is asked for minus its rival's (E1, E3 to E5); for E2 the mean of the
    /// same, which says which way it leans.
    pub gap: f64,
    /// [`target`](Self::target) with words, templates or depths that tuning never shows.
    pub transfer: f64,
    /// What is kept of the other domains: the mean of score after / score before.
    pub retention: f64,
    /// What the other domains' negative log-likelihood per token has risen by, in nats.
    pub nll_change: f64,
    /// The same of what was not asked for in the tuned domain: the tokens that are not asked.
    pub rest_change: f64,
    /// Of E2: the share of pronouns that are right where the gender is said.
    pub explicit: Option<f64>,
}

/// What decides the held-out examples, whatever the seed of a run.
const SEED: u64 = 0;

impl Judge {
    /// Measures the model before tuning on `n` examples of each kind, held out for `part`.
    pub fn new(goal: Goal, part: Part, n: usize, base: &Model<f32>) -> Judge {
        let mut sources: Vec<Source> = Domain::ALL
            .iter()
            .map(|&(_, domain)| Source { domain, variant: Variant::Pretrain, part })
            .collect();
        sources.push(goal.source(part));
        sources.push(goal.source(Part::Transfer));
        let panel = Panel::of(&sources, SEED, n);
        let before = panel.measure(&base.config, &base.weights);
        Judge { goal, part, panel, before }
    }

    /// How a model does.
    pub fn judge(&self, model: &Model<f32>) -> Judgement {
        let after = self.panel.measure(&model.config, &model.weights);
        self.of(&after)
    }

    /// How the model did before tuning.
    pub fn base(&self) -> Judgement {
        self.of(&self.before)
    }

    fn of(&self, after: &Measured) -> Judgement {
        let scores = |measured: &Measured, source: Source| -> DomainScores {
            measured.get(source).cloned().expect("the panel has this source")
        };
        let target = scores(after, self.goal.source(self.part));
        let transfer = scores(after, self.goal.source(Part::Transfer));
        let domain = self.goal.domain();
        let own = Source { domain, variant: Variant::Pretrain, part: self.part };
        let rest = |measured| scores(measured, own).nll_rest.unwrap_or(0.0);
        let kept = Measured::retention(&self.before, after, domain);
        Judgement {
            target: self.reached(&target),
            gap: target.all.gap,
            transfer: self.reached(&transfer),
            retention: kept.score.unwrap_or(1.0),
            nll_change: kept.nll_change.unwrap_or(0.0),
            rest_change: rest(after) - rest(&self.before),
            explicit: target.pronouns.and_then(|p| p.explicit),
        }
    }

    fn reached(&self, scores: &DomainScores) -> f64 {
        match self.goal {
            Goal::Balance => 1.0 - scores.pronouns.and_then(|p| p.risk).unwrap_or(1.0),
            goal => scores.score(goal.domain()),
        }
    }
}

impl Judgement {
    /// By which learning rates are chosen: what is reached and what is kept, no more than all of it.
    pub fn balance(&self) -> f64 {
        self.target + self.retention.min(1.0)
    }

    /// Its numbers with their names, in the order of the table.
    pub fn entries(&self) -> [(&'static str, f64); 6] {
        [
            ("target", self.target),
            ("gap", self.gap),
            ("transfer", self.transfer),
            ("retention", self.retention),
            ("nll change", self.nll_change),
            ("rest change", self.rest_change),
        ]
    }
}

impl Goal {
    /// What its target is called in tables.
    pub fn target_name(self) -> &'static str {
        match self {
            Goal::Disagreement => "disagree",
            Goal::Balance => "1 - risk",
            Goal::Chains | Goal::Lookup => "exact",
            Goal::Logic => "macro F1",
        }
    }

    /// What it is, in a few words.
    pub fn title(self) -> String {
        let what = match self {
            Goal::Disagreement => "verbs disagree with their subject",
            Goal::Balance => "pronouns are balanced",
            Goal::Chains => "chains of 3 and 4 steps",
            Goal::Logic => "formulas of depth 3",
            Goal::Lookup => "answers of two words or none",
        };
        format!("{}: {what}", self.name())
    }
}
