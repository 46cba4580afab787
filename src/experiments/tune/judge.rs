//! What tuning has done to a model: how well it does what it was tuned for, and what it has kept.

use super::goal::Goal;
use crate::experiments::pretrain::{Measured, Panel};
use crate::formats::domain_scores::DomainScores;
use crate::formats::tuning_report::Judgement;
use crate::named::Named;
use crate::nn::transformer::Model;
use crate::tasks::language::{Domain, Part, Source, Variant};

/// Held-out examples, and how the model did on them before tuning.
pub struct Judge {
    goal: Goal,
    part: Part,
    panel: Panel,
    before: Measured,
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
