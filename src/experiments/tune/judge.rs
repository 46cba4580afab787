//! What tuning has done to a model: how well it does what it was tuned for, and what it has kept.

use super::goal::Goal;
use super::settings::Settings;
use super::subject::{Material, Subject};
use super::task::LanguageTask;
use crate::checkpoints;
use crate::error::{Error, Result};
use crate::experiments::pretrain::{Measured, Panel};
use crate::formats::domain_scores::DomainScores;
use crate::formats::tuning_report::Judgement;
use crate::named::Named;
use crate::nn::transformer::Model;
use crate::tasks::language::vocabulary::Vocabulary;
use crate::tasks::language::{Domain, Part, Source, Variant};
use std::path::Path;

/// A goal of generated language: its held-out examples, and how the model did on them before
/// tuning.
pub struct Judge {
    goal: Goal,
    part: Part,
    panel: Panel,
    before: Measured,
}

impl Judge {
    /// Measures the model before tuning on `n` examples of each kind, held out for `part` and drawn
    /// by the seed `items`.
    ///
    /// # Panics
    /// If the goal is not generated.
    pub fn new(goal: Goal, part: Part, n: usize, items: u64, base: &Model<f32>) -> Judge {
        let mut sources: Vec<Source> = Domain::ALL
            .iter()
            .map(|&(_, domain)| Source { domain, variant: Variant::Pretrain, part })
            .collect();
        sources.push(goal.source(part));
        sources.push(goal.source(Part::Transfer));
        let panel = Panel::of(&sources, items, n);
        let before = panel.measure(&base.config, &base.weights);
        Judge { goal, part, panel, before }
    }

    fn of(&self, after: &Measured) -> Judgement {
        let scores = |measured: &Measured, source: Source| -> DomainScores {
            measured.get(source).cloned().expect("the panel has this source")
        };
        let target_source = self.goal.source(self.part);
        let target = scores(after, target_source);
        let transfer = scores(after, self.goal.source(Part::Transfer));
        let domain = target_source.domain;
        let own = Source { domain, variant: Variant::Pretrain, part: self.part };
        let rest = |measured| scores(measured, own).nll_rest.unwrap_or(0.0);
        let kept = Measured::retention(&self.before, after, domain);
        Judgement {
            target: self.reached(&target, domain),
            gap: target.all.gap,
            transfer: self.reached(&transfer, domain),
            retention: kept.score.unwrap_or(1.0),
            nll_change: kept.nll_change.unwrap_or(0.0),
            rest_change: rest(after) - rest(&self.before),
            explicit: target.pronouns.and_then(|p| p.explicit),
            domains: kept.domains,
        }
    }

    fn reached(&self, scores: &DomainScores, domain: Domain) -> f64 {
        match self.goal {
            Goal::Balance => 1.0 - scores.pronouns.and_then(|p| p.risk).unwrap_or(1.0),
            _ => scores.score(domain),
        }
    }
}

impl Subject for Judge {
    fn task(&self) -> &'static str {
        self.goal.name()
    }

    fn title(&self) -> String {
        self.goal.title()
    }

    fn target_name(&self) -> &'static str {
        self.goal.target_name()
    }

    fn material<'a>(
        &'a self,
        settings: &'a Settings,
        base: &'a Model<f32>,
        seed: u64,
    ) -> Result<Box<dyn Material + 'a>> {
        if settings.task != self.goal {
            let message =
                format!("is {}, and {} is judged", settings.task.name(), self.goal.name());
            return Err(Error::input("task", message, "judge what is tuned for"));
        }
        Ok(Box::new(LanguageTask::new(settings, &base.config, seed)))
    }

    fn base(&self) -> Judgement {
        self.of(&self.before)
    }

    fn judge(&self, model: &Model<f32>) -> Judgement {
        let after = self.panel.measure(&model.config, &model.weights);
        self.of(&after)
    }

    fn write_words(&self, folder: &Path) -> Result<()> {
        checkpoints::write_words(folder, Vocabulary::get().words())
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
            Goal::Own => "answered",
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
            Goal::Own => "answers of pairs in a file",
        };
        format!("{}: {what}", self.name())
    }
}
