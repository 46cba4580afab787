//! The same held-out examples of all domains for every model, and what a model keeps of them.
//!
//! ```text
//! retention = mean over the domains that were not tuned of score(after) / score(before)
//! change    = mean over them of nll(after) - nll(before), in nats
//! ```

use super::measure::measure;
use crate::formats::domain_scores::DomainScores;
use crate::formats::tuning_report::Kept;
use crate::named::Named;
use crate::nn::transformer::Config;
use crate::rng::{Purpose, Rng};
use crate::simd::Element;
use crate::stats;
use crate::tasks::language::{Domain, Example, Part, Source, Variant};
use crate::tensor::Buffer;
use serde::Serialize;
use std::collections::BTreeMap;

/// Examples to measure models by.
#[derive(Clone, Debug)]
pub struct Panel {
    /// By source.
    pub sources: Vec<(Source, Vec<Example>)>,
}

impl Panel {
    /// `n` examples of each domain and variant, held out for `part`; of filler, both of whose
    /// variants are the same, only of the first. The same seed gives the same examples.
    ///
    /// ```
    /// use edgegrad::tasks::language::Part;
    /// use edgegrad::experiments::pretrain::Panel;
    /// let panel = Panel::new(0, 10, Part::Dev);
    /// assert_eq!(panel.sources.len(), 11);
    /// assert!(panel.sources.iter().all(|(_, list)| list.iter().all(|e| e.bucket() == Part::Dev)));
    /// ```
    pub fn new(seed: u64, n: usize, part: Part) -> Panel {
        let mut sources = vec![];
        for &(_, variant) in Variant::ALL {
            for &(_, domain) in Domain::ALL {
                if (variant, domain) != (Variant::Target, Domain::Filler) {
                    sources.push(Source { domain, variant, part });
                }
            }
        }
        Panel::of(&sources, seed, n)
    }

    /// `n` examples of each source; those of one do not depend on the others.
    pub fn of(sources: &[Source], seed: u64, n: usize) -> Panel {
        let examples = |&source: &Source| {
            let Source { domain, variant, part } = source;
            let stage = (domain as u32 * 8 + variant as u32) * 8 + part as u32;
            (source, source.examples(n, &mut Rng::new(seed, Purpose::Data, stage)))
        };
        Panel { sources: sources.iter().map(examples).collect() }
    }

    /// How a model does on each source; see [`measure`].
    ///
    /// # Panics
    /// As [`measure`].
    #[track_caller]
    pub fn measure<T: Element>(&self, config: &Config, weights: &[Buffer<T>]) -> Measured {
        let mut sources = vec![];
        for (source, examples) in &self.sources {
            sources.push((*source, measure(config, weights, examples)));
        }
        Measured { sources }
    }
}

/// How a model does on a [`Panel`].
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// By source.
    pub sources: Vec<(Source, DomainScores)>,
}

impl Measured {
    /// The scores on one source.
    pub fn get(&self, source: Source) -> Option<&DomainScores> {
        self.sources.iter().find(|(other, _)| *other == source).map(|(_, scores)| scores)
    }

    /// The scores by `domain/variant/part`.
    pub fn by_name(&self) -> BTreeMap<String, DomainScores> {
        self.sources.iter().map(|(source, scores)| (name(source), scores.clone())).collect()
    }

    /// What of its knowledge before tuning a model has kept in the domains other than `tuned`, by
    /// the sources of [`Variant::Pretrain`] that both panels have.
    pub fn retention(before: &Measured, after: &Measured, tuned: Domain) -> Retention {
        let mut domains = BTreeMap::new();
        for (source, old) in &before.sources {
            let other = source.variant == Variant::Pretrain && source.domain != tuned;
            let Some(new) = after.get(*source).filter(|_| other) else { continue };
            let kept = Kept {
                before: old.score(source.domain),
                after: new.score(source.domain),
                nll_change: new.nll - old.nll,
                items: old.examples,
                chance: DomainScores::chance(source.domain),
            };
            domains.insert(source.domain.name().into(), kept);
        }
        let mean = |list: Vec<f64>| stats::mean(&list);
        Retention {
            score: mean(domains.values().filter_map(Kept::ratio).collect()),
            nll_change: mean(domains.values().map(|kept| kept.nll_change).collect()),
            domains,
        }
    }
}

/// `domain/variant/part`.
fn name(source: &Source) -> String {
    let Source { domain, variant, part } = source;
    format!("{}/{}/{}", domain.name(), variant.name(), part.name())
}

/// What a model has kept in the domains it was not tuned for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Retention {
    /// The mean of all ratios; none if there is none.
    pub score: Option<f64>,
    /// The mean of all changes of the negative log-likelihood, in nats; none if there is no domain.
    pub nll_change: Option<f64>,
    /// By domain.
    pub domains: BTreeMap<String, Kept>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::pretrain::Pretraining;
    use crate::nn::transformer::Model;

    fn measured(seed: u64) -> Measured {
        let settings = Pretraining { layers: 1, d_model: 8, d_mlp: 8, ..Pretraining::default() };
        let config = settings.config().unwrap();
        let panel = Panel::new(0, 3, Part::Dev);
        panel.measure(&config, &Model::<f32>::random(&config, seed).weights)
    }

    #[test]
    fn examples_of_a_source_do_not_depend_on_the_others() {
        let all = Panel::new(1, 5, Part::Test);
        let (source, examples) = &all.sources[7];
        assert_eq!(&Panel::of(&[*source], 1, 5).sources[0].1, examples);
        assert_ne!(&Panel::of(&[*source], 2, 5).sources[0].1, examples);
        assert_ne!(&Panel::new(1, 5, Part::Dev).sources[7].1, examples);
    }

    #[test]
    fn what_does_not_change_is_kept() {
        let before = measured(0);
        let kept = Measured::retention(&before, &before, Domain::Logic);
        assert_eq!(kept.nll_change, Some(0.0));
        assert_eq!(kept.domains.len(), 5);
        assert!(kept.domains.values().all(|k| k.ratio().is_none_or(|r| r == 1.0)));
        assert!(!kept.domains.contains_key("logic"));
    }

    #[test]
    fn retention_is_a_mean_over_other_domains() {
        let set = |measured: &mut Measured, preferred, f1, nll| {
            for (source, scores) in &mut measured.sources {
                let pretrain = source.variant == Variant::Pretrain;
                // What is to be learned does not count.
                scores.all.preferred = if pretrain { preferred } else { 0.1 };
                scores.nll = if pretrain { nll } else { 9.0 * nll };
                scores.macro_f1 = Some(f1);
                // No score to compare with: left out of the mean.
                scores.all.exact = Some(0.0);
                scores.pronouns = None;
            }
        };
        let mut before = measured(0);
        let mut after = before.clone();
        set(&mut before, 0.5, 0.8, 1.0);
        set(&mut after, 0.75, 0.2, 1.5);
        // Agreement and filler gain a half, logic keeps a quarter.
        let kept = Measured::retention(&before, &after, Domain::Logic);
        assert_eq!((kept.score, kept.nll_change), (Some((1.5 + 1.5) / 2.0), Some(0.5)));
        let kept = Measured::retention(&before, &after, Domain::Filler);
        assert!((kept.score.unwrap() - (1.5 + 0.25) / 2.0).abs() < 1e-15);
    }

    #[test]
    fn json_names_every_source() {
        let json = serde_json::to_value(measured(0).by_name()).unwrap();
        assert_eq!(json.as_object().unwrap().len(), 11);
        assert_eq!(json["lookup/target/dev"]["examples"], 3);
        assert!(json["logic/pretrain/dev"]["labels"]["template"].is_object());
    }
}
