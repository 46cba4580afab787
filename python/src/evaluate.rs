//! `edgegrad.evaluate`.

use crate::arguments::Keywords;
use crate::circuit::Circuit;
use crate::errors::Raise;
use crate::model::{Model, Read, with_model};
use crate::pairs::Pairs;
use crate::question::Question;
use crate::scores::Scores;
use crate::tokens::from_json;
use crate::work;
use crate::work::Progress;
use edgegrad::checkpoints::AnyModel;
use edgegrad::discovery::adversary;
use edgegrad::discovery::adversary::AdversaryOptions;
use edgegrad::discovery::connect::Flow;
use edgegrad::discovery::faithfulness::{FRACTIONS, Runs};
use edgegrad::discovery::hypotheses::tests_report;
use edgegrad::discovery::judge::{Request, results};
use edgegrad::error::{Error, Result};
use edgegrad::files::atomic;
use edgegrad::formats::Origin;
use edgegrad::formats::masks::Masks;
use edgegrad::graph::Graph;
use edgegrad::named::Named;
use edgegrad::patching::behaviour::Behaviour;
use edgegrad::patching::span::Span;
use edgegrad::tensor::Element;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// A circuit, or the circuits that scores lead to.
#[derive(FromPyObject)]
pub(crate) enum Judged<'py> {
    Circuit(PyRef<'py, Circuit>),
    Scores(PyRef<'py, Scores>),
}

/// The fractions of all edges at which curves are looked at, and the resamples of intervals.
#[derive(Debug)]
struct Curve {
    fractions: Option<Vec<f64>>,
    bootstrap: Option<usize>,
}

impl Curve {
    /// Checks them; `of_scores` says whether there is a curve.
    fn check(&self, of_scores: bool) -> Result<()> {
        if !of_scores && (self.fractions.is_some() || self.bootstrap.is_some()) {
            let help = "give scores in place of a circuit";
            return Err(Error::input("fractions", "are of the curves of scores", help));
        }
        let fits = |f: &Vec<f64>| f.iter().all(|f| (0.0..=1.0).contains(f)) && f.is_sorted();
        if self.fractions.as_ref().is_none_or(fits) {
            return Ok(());
        }
        let message = "must rise from 0 to 1 at most";
        Err(Error::input("fractions", message, "give a list such as [0.01, 0.1, 1]"))
    }
}

/// The search for the ablation of what a circuit leaves out that leaves least of the metric, and
/// masks that are evaluated.
struct Adversary<'a> {
    asked: bool,
    starts: Option<usize>,
    held_out: Option<&'a Pairs>,
    masks: Option<Masks>,
}

impl Adversary<'_> {
    /// Checks that nothing is given that is not used.
    fn check(&self) -> Result<()> {
        let starts = self.starts.map(|_| "starts");
        match starts.or(self.held_out.map(|_| "held_out")) {
            Some(place) if !self.asked => {
                Err(Error::input(place, "is of the adversary's search", "add `adversary=True`"))
            }
            _ => Ok(()),
        }
    }

    fn settings(&self) -> String {
        let held_out = self.held_out.map(|pairs| pairs.pairs.hash());
        format!("{} {:?} {held_out:?} {:?}", self.asked, self.starts, self.masks)
    }
}

/// What is asked of a circuit or of scores.
struct Asked<'a> {
    question: &'a Question,
    request: Request,
    curve: Curve,
    adversary: Adversary<'a>,
}

impl Asked<'_> {
    /// Checks that all of it is of a circuit, or of scores if it is `of_scores`.
    fn check(&self, of_scores: bool) -> Result<()> {
        self.curve.check(of_scores)?;
        self.adversary.check()?;
        let Request { null, minimality, tests, .. } = self.request;
        let of_circuits = null > 0 || minimality || tests;
        if of_scores && (of_circuits || self.adversary.asked || self.adversary.masks.is_some()) {
            let help = "leave out `null`, `minimality`, `tests`, `adversary` and `masks`, or give a \
                        circuit";
            return Err(Error::input("scores", "have curves and are no circuit", help));
        }
        Ok(())
    }

    /// The entries of a file about the circuit `kept [E]`.
    fn circuit<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        (read, model): (&Read, &AnyModel<T>),
        kept: &[bool],
        progress: &Progress,
    ) -> Result<Map<String, Value>> {
        Flow::new(&b.graph).warn_disconnected(kept);
        let extremes = b.extremes()?;
        let span = Span::new(b, &extremes)?;
        let circuits = self.request.circuits(b, kept);
        let (judged, drawn) = circuits.run(b, &mut progress.part("evaluate"))?;
        let mut report = judged.report(b, &extremes, &span);
        if let Some(drawn) = &drawn {
            let tests = judged.tested(drawn, &span, self.request.seed);
            report.insert("tests".into(), tests_report(&tests));
        }
        let Adversary { asked, starts, held_out, masks } = &self.adversary;
        if let Some(masks) = masks {
            let masks = adversary::masks_in(masks, "masks", &b.graph, kept)?;
            let (f, values) = adversary::masked(b, &span, &masks)?;
            report.insert("masked".into(), json!({ "faithfulness": f, "per_pair": values }));
        }
        if *asked {
            // Before the search, which can be long.
            let other =
                |pairs| self.question.on_pairs((read, model), pairs, b.journal.clone(), progress);
            let other = held_out.map(other).transpose()?;
            let usual = AdversaryOptions::usual(b, self.request.seed);
            let options = AdversaryOptions { starts: starts.unwrap_or(usual.starts), ..usual };
            let mut shown = progress.part("adversary");
            let worst = adversary::search(b, &span, kept, &options, &mut shown)?;
            let other = other.map(|other| worst.held_out(&other, kept)).transpose()?;
            worst.put(&b.graph, kept, &options, other, &mut report);
        }
        Ok(report)
    }

    /// The entries of a file about the circuits that scores, `ours [E]`, lead to.
    fn scores<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        ours: &[f64],
        progress: &Progress,
    ) -> Result<Map<String, Value>> {
        let extremes = b.extremes()?;
        let span = Span::new(b, &extremes)?;
        let fractions = self.curve.fractions.as_deref().unwrap_or(&FRACTIONS);
        let runs = Runs::new(b, ours, fractions, &mut progress.part("curve"))?;
        let resamples = self.curve.bootstrap;
        let intervals = resamples.and_then(|n| runs.intervals(&span, n, self.request.seed));
        let mut report = Map::new();
        runs.put(&span, &extremes, intervals, &mut report);
        Ok(report)
    }
}

/// Judges a circuit: its faithfulness, its complement's, itself without each edge, random circuits,
/// tests, an adversary; of scores, the curves of the circuits that they lead to.
#[pyfunction]
#[pyo3(
    signature = (model, pairs, circuit, **options),
    text_signature = "(model, pairs, circuit, *, null=0, minimality=False, tests=False, \
                      adversary=False, starts=None, held_out=None, masks=None, \
                      fractions=None, bootstrap=None, seed=0, metric='logit-diff', at='asked', \
                      baseline='resample', constants=None, convention='ours', positions=False, \
                      spans=False, neurons=False, split_input=False, joined_qkv=False, rows=512, \
                      out=None, resume=False, threads=None, progress=True)"
)]
pub(crate) fn evaluate<'py>(
    py: Python<'py>,
    model: &Model,
    pairs: &Pairs,
    circuit: Judged<'py>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut keywords = Keywords::new(py, options)?;
    let question = Question::take(&mut keywords)?;
    let request = Request {
        null: keywords.take("null")?.unwrap_or_default(),
        minimality: keywords.take("minimality")?.unwrap_or_default(),
        tests: keywords.take("tests")?.unwrap_or_default(),
        seed: keywords.take("seed")?.unwrap_or_default(),
    };
    let curve =
        Curve { fractions: keywords.take("fractions")?, bootstrap: keywords.take("bootstrap")? };
    let held_out: Option<PyRef<'py, Pairs>> = keywords.take("held_out")?;
    let adversary = Adversary {
        asked: keywords.take("adversary")?.unwrap_or_default(),
        starts: keywords.count("starts")?,
        held_out: held_out.as_deref(),
        masks: keywords.take("masks")?.map(|masks| checked(&masks)).transpose().raise(py)?,
    };
    keywords.end()?;
    let asked = Asked { question: &question, request, curve, adversary };
    asked.check(matches!(circuit, Judged::Scores(_))).raise(py)?;
    let (graph, kept, ours): (&Graph, Option<&[bool]>, &[f64]) = match &circuit {
        Judged::Circuit(circuit) => (&circuit.edges.graph, Some(&circuit.kept), &[]),
        Judged::Scores(scores) => (&scores.edges.graph, None, scores.ours()),
    };
    let read = &model.0;
    let figures = with_model!(&read.weights, model => {
        work::run(py, question.how, |progress| {
            let Asked { request, curve, adversary, .. } = &asked;
            let settings = format!(
                "evaluate {request:?} {curve:?} {} {kept:?} {ours:?}", adversary.settings(),
            );
            let b = question.behaviour((read, model), pairs, settings, progress)?;
            if b.graph != *graph {
                let help = "divide the model as where it was found";
                return Err(Error::input("circuit", "is of another graph", help));
            }
            let report = match kept {
                Some(kept) => asked.circuit(&b, (read, model), kept, progress)?,
                None => asked.scores(&b, ours, progress)?,
            };
            let origin = Origin {
                model: read.hash()?,
                pairs: Some(pairs.pairs.hash()),
                metric: Some(question.setup.metric.name().into()),
                baseline: Some(question.setup.baseline.name().into()),
            };
            let figures = results_of(&b, &origin, report);
            if let Some(out) = &question.out {
                atomic::write_bytes(out, format!("{figures:#}\n").as_bytes())?;
            }
            b.journal.end();
            Ok(figures)
        })
    })?;
    from_json(py, &figures)
}

/// [`results`] in the precision of a behaviour.
fn results_of<T: Element>(
    _: &Behaviour<'_, T>,
    origin: &Origin,
    report: Map<String, Value>,
) -> Value {
    results::<T>(origin, report)
}

/// Masks by the names of edges, each from 0 to 1.
fn checked(given: &BTreeMap<String, f64>) -> Result<Masks> {
    Masks::of(Path::new("masks"), &json!({ "masks": given }))
}
