//! `edgegrad.evaluate`.

use crate::arguments::Keywords;
use crate::circuit::Circuit;
use crate::errors::{Raise, raised};
use crate::model::{Model, with_model};
use crate::pairs::Pairs;
use crate::question::Question;
use crate::scores::Scores;
use crate::tokens::from_json;
use crate::work;
use edgegrad::discovery::faithfulness::{FRACTIONS, Runs};
use edgegrad::discovery::hypotheses::tests_report;
use edgegrad::discovery::judge::Request;
use edgegrad::error::{Error, Result};
use edgegrad::formats::Origin;
use edgegrad::graph::Graph;
use edgegrad::named::Named;
use edgegrad::patching::span::Span;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Map, Value};

/// A circuit, or the circuits that scores lead to.
#[derive(FromPyObject)]
pub(crate) enum Judged<'py> {
    Circuit(PyRef<'py, Circuit>),
    Scores(PyRef<'py, Scores>),
}

/// The fractions of all edges at which curves are looked at, and the resamples of intervals.
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

/// Judges a circuit: its faithfulness, its complement's, itself without each edge, random circuits,
/// tests; of scores, the curves of the circuits that they lead to.
#[pyfunction]
#[pyo3(
    signature = (model, pairs, circuit, **options),
    text_signature = "(model, pairs, circuit, *, null=0, minimality=False, tests=False, \
                      fractions=None, bootstrap=None, seed=0, metric='logit-diff', at='asked', \
                      baseline='resample', constants=None, convention='ours', positions=False, \
                      spans=False, neurons=False, split_input=False, joined_qkv=False, rows=512, \
                      threads=None, progress=True)"
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
    keywords.end()?;
    curve.check(matches!(circuit, Judged::Scores(_))).raise(py)?;
    if matches!(circuit, Judged::Scores(_))
        && request != (Request { seed: request.seed, ..Request::default() })
    {
        let help = "leave out `null`, `minimality` and `tests`, or give a circuit";
        return Err(raised(py, &Error::input("scores", "have curves and are no circuit", help)));
    }
    let (graph, kept, ours): (&Graph, Option<&[bool]>, &[f64]) = match &circuit {
        Judged::Circuit(circuit) => (&circuit.edges.graph, Some(&circuit.kept), &[]),
        Judged::Scores(scores) => (&scores.edges.graph, None, scores.ours()),
    };
    let read = &model.0;
    let report = with_model!(&read.weights, model => {
        work::run(py, question.how, |progress| {
            let b = question.behaviour((read, model), pairs, "evaluate".into(), progress)?;
            if b.graph != *graph {
                let help = "divide the model as where it was found";
                return Err(Error::input("circuit", "is of another graph", help));
            }
            let extremes = b.extremes()?;
            let span = Span::new(&b, &extremes)?;
            let mut report = Map::new();
            let Some(kept) = kept else {
                let origin = Origin {
                    model: read.hash()?,
                    pairs: Some(pairs.pairs.hash()),
                    metric: Some(question.setup.metric.name().into()),
                    baseline: Some(question.setup.baseline.name().into()),
                };
                origin.put(&mut report);
                let fractions = curve.fractions.as_deref().unwrap_or(&FRACTIONS);
                let runs = Runs::new(&b, ours, fractions, &mut progress.part("curve"))?;
                let intervals =
                    curve.bootstrap.and_then(|n| runs.intervals(&span, n, request.seed));
                runs.put(&span, &extremes, intervals, &mut report);
                return Ok(report);
            };
            let circuits = request.circuits(&b, kept);
            let (judged, drawn) = circuits.run(&b, &mut progress.part("evaluate"))?;
            report.extend(judged.report(&b, &extremes, &span));
            if let Some(drawn) = &drawn {
                let tests = judged.tested(drawn, &span, request.seed);
                report.insert("tests".into(), tests_report(&tests));
            }
            Ok(report)
        })
    })?;
    from_json(py, &Value::Object(report))
}
