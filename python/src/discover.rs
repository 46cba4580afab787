//! `edgegrad.discover`.

use crate::arguments::Keywords;
use crate::circuit::Circuit;
use crate::edges::Edges;
use crate::errors::{Raise, raised};
use crate::model::{Model, with_model};
use crate::pairs::Pairs;
use crate::question::Question;
use crate::scores::Scores;
use crate::work;
use edgegrad::attribution::{Method, Options};
use edgegrad::discovery::connect::Flow;
use edgegrad::discovery::request::{Request, Scored};
use edgegrad::error::Error;
use edgegrad::named::Named;
use edgegrad::patching::span::Span;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// Finds the circuit behind a behaviour.
#[pyfunction]
#[pyo3(
    signature = (model, pairs, **options),
    text_signature = "(model, pairs, *, method='topn', scores=None, attribution=None, rank='abs', \
                      edges=None, tau=None, faithfulness=None, tol=None, candidates=None, \
                      time=None, steps=1000, connected=False, seed=0, metric='logit-diff', \
                      at='asked', baseline='resample', constants=None, convention='ours', \
                      positions=False, spans=False, neurons=False, split_input=False, \
                      joined_qkv=False, rows=512, out=None, resume=False, threads=None, \
                      progress=True)"
)]
pub(crate) fn discover(
    py: Python<'_>,
    model: &Model,
    pairs: &Pairs,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<Circuit> {
    let mut keywords = Keywords::new(py, options)?;
    let question = Question::take(&mut keywords)?;
    let request = request(&mut keywords)?;
    let scores: Option<PyRef<'_, Scores>> = keywords.take("scores")?;
    let attribution: Option<Method> = keywords.choice("attribution")?;
    keywords.end()?;
    if (scores.is_some() || !request.scored()) && attribution.is_some()
        || scores.is_some() && !request.scored()
    {
        let help = "leave out `scores` or `attribution`";
        return Err(raised(py, &Error::input("scores", "are given and not used", help)));
    }
    request.check().raise(py)?;
    let method = attribution.unwrap_or_default();
    if request.scored() && scores.is_none() {
        method.check(question.setup.metric).raise(py)?;
    }
    let given = scores.as_ref().map(|scores| scores.scored());
    let graph = scores.as_ref().map(|scores| &scores.edges.graph);
    let read = &model.0;
    let (kept, file, graph) = with_model!(&read.weights, model => {
        work::run(py, question.how, |progress| {
            let settings = format!("discover {request:?} {given:?} {method:?}");
            let b = question.behaviour((read, model), pairs, settings, progress)?;
            if graph.is_some_and(|graph| *graph != b.graph) {
                let help = "divide the model as where they were computed";
                return Err(Error::input("scores", "are of another graph", help));
            }
            let scored = match given {
                None if request.scored() => {
                    let options = Options { seed: request.seed, ..method.options() };
                    let mut shown = progress.part(method.name());
                    let ours = method.scores(&b, &options, &mut shown)?.values;
                    let convention = question.setup.convention;
                    let given = ours.iter().map(|&score| convention.and_ours(score)).collect();
                    Some(Scored { given, ours, convention, origin: method.name().into() })
                }
                given => given,
            };
            request.check_edges(b.graph.edges())?;
            let span = Span::new(&b, &b.extremes()?)?;
            let ours = scored.as_ref().map(|scored| &scored.ours[..]);
            let mut shown = progress.part(request.method.name());
            let found = request.find(&b, &span, ours, &mut shown)?;
            Flow::new(&b.graph).warn_disconnected(&found.kept);
            let scored = found.scored.or(scored);
            let convention = question.setup.convention;
            let file =
                request.file(&b, &found.kept, scored.as_ref(), convention, (None, None));
            b.journal.end();
            Ok((found.kept, file, b.graph))
        })
    })?;
    let origin = Some((read.clone(), question.places(pairs)));
    let circuit = Circuit { edges: Arc::new(Edges::new(graph)), kept, file, origin };
    if let Some(out) = question.out {
        circuit.save(py, out)?;
    }
    Ok(circuit)
}

/// The search and what is chosen of it.
fn request(keywords: &mut Keywords<'_>) -> PyResult<Request> {
    let usual = Request::default();
    Ok(Request {
        method: keywords.choice("method")?.unwrap_or_default(),
        rank: keywords.choice("rank")?.unwrap_or_default(),
        edges: keywords.take("edges")?,
        tau: keywords.take("tau")?,
        faithfulness: keywords.take("faithfulness")?,
        tol: keywords.take("tol")?,
        candidates: keywords.take("candidates")?,
        time: keywords.take("time")?,
        steps: keywords.count("steps")?.unwrap_or(usual.steps),
        connected: keywords.take("connected")?.unwrap_or_default(),
        seed: keywords.take("seed")?.unwrap_or_default(),
    })
}
