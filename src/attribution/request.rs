//! Scores that are asked for: a method, what is chosen of it, and the file of what it finds.

use super::method::{Learning, Method, Mode, Objective, Options, Quadrature, Sizes};
use super::resampled;
use super::scores::{Resampled, Scores};
use crate::checkpoints::AnyModel;
use crate::error::{Error, Result};
use crate::formats::{Completeness, Convention, EdgeFile, Meta};
use crate::graph::Graph;
use crate::named::Named;
use crate::patching::Progress;
use crate::patching::behaviour::{Baseline, Behaviour};
use crate::patching::metric::Metric;
use crate::patching::subsets;
use crate::simd::Element;
use crate::tape::Rules;
use serde_json::{Value, json};

/// A method and what is chosen of it; what is `None` is the method's default.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// How edges are scored.
    pub method: Method,
    /// Steps of a method that takes any.
    pub steps: Option<usize>,
    /// The points of the steps.
    pub rule: Option<Quadrature>,
    /// What reverse passes follow in place of the derivative.
    pub rules: Rules,
    /// The largest residual of `mask-ig`, as a share of the metric's difference.
    pub tol: f64,
    /// The sizes of circuits that count.
    pub sizes: Option<Sizes>,
    /// Learned masks: what each step lowers.
    pub objective: Option<Objective>,
    /// Learned masks: what the first edges are to do.
    pub mode: Option<Mode>,
    /// Learned masks: of how many rankings the mean is taken.
    pub rankings: Option<usize>,
    /// Learned masks: what it costs to keep an edge or a node.
    pub penalty: Option<f64>,
    /// Learned masks: how many of the last pairs are held out.
    pub held_out: Option<usize>,
    /// Learned masks: whether they start from the scores of a file.
    pub started: bool,
    /// How many resamples of the pairs say how sure scores are.
    pub bootstrap: Option<usize>,
    /// The seed of what is drawn.
    pub seed: u64,
}

/// Edges that are scored while others are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Their numbers.
    pub edges: Vec<usize>,
    /// The method they are largest by, or the file where it does not say.
    pub by: String,
}

/// What a file of scores says beside them.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The edges that are scored, if not all are.
    pub chosen: Option<Chosen>,
    /// `[T]`, the words of the first pair's clean sequence, if edges have positions.
    pub tokens: Option<Vec<String>>,
    /// The hash of the model.
    pub model: Option<String>,
}

impl Default for Request {
    fn default() -> Request {
        Request {
            method: Method::default(),
            steps: None,
            rule: None,
            rules: Rules::default(),
            tol: 1e-8,
            sizes: None,
            objective: None,
            mode: None,
            rankings: None,
            penalty: None,
            held_out: None,
            started: false,
            bootstrap: None,
            seed: 0,
        }
    }
}

impl Request {
    /// Checks that the method takes what is chosen of it, and scores `metric`.
    ///
    /// # Errors
    /// If it does not.
    pub fn check(&self, metric: Metric) -> Result<()> {
        if !(self.tol > 0.0 && self.tol.is_finite()) {
            let message = format!("must be above 0, got {}", self.tol);
            return Err(Error::input("--tol", message, "give a share such as 1e-8"));
        }
        self.method.check(metric)?;
        if self.rules != Rules::Plain && !self.method.derives() {
            let message = format!("`{}` takes no derivative", self.method.name());
            let place = format!("--rules {}", self.rules.name());
            let derive = Method::ALL.iter().filter(|(_, method)| method.derives());
            let names: Vec<&str> = derive.map(|(name, _)| *name).collect();
            return Err(Error::input(place, message, format!("{} do", names.join(", "))));
        }
        self.check_learning()?;
        if self.bootstrap.is_some() && self.method.ranks() {
            let message = "a learned ranking has no score of each pair";
            return Err(Error::input("--bootstrap", message, "use --rankings N for its errors"));
        }
        Ok(())
    }

    /// Refuses options of learned rankings for another method.
    fn check_learning(&self) -> Result<()> {
        let given = [
            ("--sizes", self.sizes.is_some() && self.method.sizes().is_none()),
            ("--objective", self.objective.is_some() && !self.method.ranks()),
            ("--mode", self.mode.is_some() && !self.method.ranks()),
            ("--rankings", self.rankings.is_some() && !self.method.ranks()),
            ("--init", self.started && !self.method.ranks()),
            ("--held-out", self.held_out.is_some() && !self.method.ranks()),
            ("--penalty", self.penalty.is_some() && self.method.penalty().is_none()),
        ];
        if let Some((flag, _)) = given.into_iter().find(|(_, refused)| *refused) {
            let other = if flag == "--penalty" { "ugs" } else { "matryoshka" };
            let what = match (self.method.ranks(), flag) {
                (false, _) => "learns no ranking",
                (true, "--penalty") => "has masks of a given size, which cost nothing",
                (true, _) => "looks at no sizes",
            };
            let message = format!("`{}` {what}", self.method.name());
            let help = format!("use --method {other}, or leave it out");
            return Err(Error::input(flag, message, help));
        }
        match self.penalty {
            Some(x) if !(x >= 0.0 && x.is_finite()) => {
                let message = format!("must be at least 0, got {x}");
                Err(Error::input("--penalty", message, "give a share of the effect such as 1e-3"))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the rules of the reverse pass are about what `model` has.
    ///
    /// # Errors
    /// If they are not.
    pub fn check_model<T: Element>(&self, model: &AnyModel<T>) -> Result<()> {
        if !matches!(model, AnyModel::Pooled { .. }) || self.rules.plain_attention() {
            return Ok(());
        }
        let place = format!("--rules {}", self.rules.name());
        let message = "is about attention between positions; a pooled model has one query";
        Err(Error::input(place, message, "use --rules ln or relp"))
    }

    /// Checks that some edges alone, which `place` asks for, take less than all.
    ///
    /// # Errors
    /// If the method scores all edges at once.
    pub fn check_some(&self, place: &str) -> Result<()> {
        if self.method.apart() {
            return Ok(());
        }
        let message = format!("`{}` scores all edges at once", self.method.name());
        let apart = Method::ALL.iter().filter(|(_, method)| method.apart());
        let names: Vec<&str> = apart.map(|(name, _)| *name).collect();
        let help = format!("use --method {}, or leave it out", names.join(" or "));
        Err(Error::input(place, message, help))
    }

    /// The options of the method; learned masks start even.
    pub fn options(&self) -> Options {
        let usual = self.method.options();
        let learned = usual.learning;
        Options {
            steps: self.steps.unwrap_or(usual.steps),
            rule: self.rule.unwrap_or(usual.rule),
            tol: self.tol,
            learning: Learning {
                objective: self.objective.unwrap_or(learned.objective),
                sizes: self.sizes.unwrap_or(learned.sizes),
                mode: self.mode.unwrap_or(learned.mode),
                rankings: self.rankings.unwrap_or(learned.rankings),
                penalty: self.penalty.unwrap_or(learned.penalty),
                held_out: self.held_out.unwrap_or(learned.held_out),
            },
            seed: self.seed,
            ..usual
        }
    }

    /// The scores of all edges or of some, all finite, and their completeness where the method has
    /// any.
    ///
    /// # Errors
    /// Those of the method and of the behaviour's [extremes](Behaviour::extremes), and if a score
    /// is not finite.
    pub fn scores<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        options: &Options,
        some: Option<&[usize]>,
        progress: &mut Progress<'_>,
    ) -> Result<Scores> {
        // Refused before hours of work, unless the method finds them on the way.
        if !self.method.runs_both() {
            b.extremes()?;
        }
        let mut scores = match some.and_then(|edges| self.method.scores_of(b, edges, progress)) {
            Some(scores) => scores?,
            None => self.method.scores(b, options, progress)?,
        };
        let extremes = b.extremes()?;
        let wrong = |e: &usize| !scores.values[*e].is_finite();
        let wrong = match some {
            Some(edges) => edges.iter().copied().find(wrong),
            None => (0..scores.values.len()).find(wrong),
        };
        if let Some(e) = wrong {
            return Err(Error::failed(
                b.graph.edge(e),
                format!("its score is {}", scores.values[e]),
                "the model's activations are too large for it; try --dtype f64",
            ));
        }
        let adds_up = self.method.knows_metric() && !self.method.ranks() && some.is_none();
        if adds_up && scores.completeness.is_none() {
            let (clean, corrupted) = extremes.means();
            let nothing = match b.baseline {
                // Every edge with the corrupted run's activations is the corrupted run.
                Baseline::Resample => corrupted,
                _ => subsets::values(b, 1, |_, _| false, &mut |_| {})?[0],
            };
            scores.completeness = Some(Completeness::new(&scores.values, clean - nothing));
        }
        Ok(scores)
    }

    /// How sure the scores are, if that is asked.
    ///
    /// # Errors
    /// Those of the method.
    pub fn resampled<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        options: &Options,
        progress: &mut Progress<'_>,
    ) -> Result<Option<Resampled>> {
        let Some(resamples) = self.bootstrap else { return Ok(None) };
        let of_pairs = resampled::per_pair(b, self.method, options, progress)?;
        Ok(Some(resampled::resample(&of_pairs, resamples, self.seed)))
    }

    /// Where the scores come from; `convention` is the one that they are written in.
    pub fn meta<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        scores: &Scores,
        options: &Options,
        convention: Convention,
        about: About,
    ) -> Meta {
        let About { chosen, tokens, model } = about;
        let left = chosen.as_ref().map(|chosen| b.graph.edges() - chosen.edges.len());
        let completeness = scores.completeness.map(|c| Completeness {
            sum: convention.and_ours(c.sum),
            delta: convention.and_ours(c.delta),
        });
        let (ranks, learning) = (self.method.ranks(), options.learning);
        let taken = scores.steps.unwrap_or(options.steps);
        let steps = scores.steps.or(self.method.steps().map(|_| options.steps));
        Meta {
            method: Some(self.method.name().into()),
            metric: Some(b.question.metric().name().into()),
            rules: (self.rules != Rules::Plain).then(|| self.rules.name().into()),
            baseline: Some(b.baseline.name().into()),
            steps: steps.map(|n| n as u64),
            // Of some edges alone, or on a divided path, they are others.
            passes: (chosen.is_none() && scores.parts.is_none())
                .then(|| self.method.passes(b, &Options { steps: taken, ..options.clone() })),
            convention: Some(convention.name().into()),
            left_out: left.map(|n| n as u64),
            chosen_by: chosen.map(|chosen| chosen.by),
            completeness,
            model,
            pairs: Some(b.pairs.len() as u64),
            pairs_hash: Some(b.pairs.hash()),
            tokens,
            objective: ranks.then(|| learning.objective.name().into()),
            sizes: (self.method.sizes())
                .filter(|&usual| usual != learning.sizes || ranks)
                .map(|_| learning.sizes.name().into()),
            mode: ranks.then(|| learning.mode.name().into()),
            penalty: self.method.penalty().map(|_| learning.penalty),
            held_out: (learning.held_out > 0).then_some(learning.held_out as u64),
            dtype: Some(T::NAME.into()),
            seed: self.method.seeded().then_some(self.seed),
        }
    }
}

impl Scores {
    /// The file of these scores of the edges of `graph`, written in `convention`.
    ///
    /// # Panics
    /// If there is not one for each edge.
    pub fn file(&self, graph: &Graph, convention: Convention, meta: &Meta) -> EdgeFile {
        let values: Vec<f64> = self.values.iter().map(|&s| convention.and_ours(s)).collect();
        let mut file = graph.scores_file(&values, meta);
        for (e, (_, entry)) in graph.file_order().into_iter().zip(&mut file.edges) {
            let mut put = |key: &str, value: Value| entry.rest.insert(key.into(), value);
            if let Some(errors) = &self.standard_errors {
                put("standard_error", errors[e].into());
            }
            if let Some(moved) = &self.last_doubling {
                put("last_doubling", moved[e].into());
            }
            let Some(Resampled { intervals, same_sign }) = &self.resampled else { continue };
            if let Some(intervals) = intervals {
                put("interval", json!(turned(intervals[e], convention)));
            }
            put("same_sign", same_sign[e].into());
        }
        file
    }
}

/// An interval of scores in a convention.
pub fn turned(interval: [f64; 2], convention: Convention) -> [f64; 2] {
    let [a, b] = interval.map(|end| convention.and_ours(end));
    [a.min(b), a.max(b)]
}
