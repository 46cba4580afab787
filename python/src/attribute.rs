//! `edgegrad.attribute`.

use crate::arguments::Keywords;
use crate::edges::{Asked, Edges};
use crate::errors::{Raise, raised};
use crate::model::{Model, with_model};
use crate::pairs::Pairs;
use crate::question::Question;
use crate::scores::Scores;
use crate::work;
use edgegrad::attribution::log_odds;
use edgegrad::attribution::request::{About, Chosen, Request};
use edgegrad::error::Error;
use edgegrad::named::Named;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The method and what is chosen of it.
pub(crate) fn request(keywords: &mut Keywords<'_>) -> PyResult<Request> {
    let usual = Request::default();
    Ok(Request {
        method: keywords.choice("method")?.unwrap_or_default(),
        steps: keywords.count("steps")?,
        rule: keywords.choice("rule")?,
        rules: keywords.choice("rules")?.unwrap_or_default(),
        tol: keywords.take("tol")?.unwrap_or(usual.tol),
        sizes: keywords.choice("sizes")?,
        objective: keywords.choice("objective")?,
        mode: keywords.choice("mode")?,
        rankings: keywords.count("rankings")?,
        penalty: keywords.take("penalty")?,
        held_out: keywords.count("held_out")?,
        started: false,
        bootstrap: keywords.count("bootstrap")?,
        seed: keywords.take("seed")?.unwrap_or_default(),
    })
}

/// Scores every edge of a model by its contribution to a behaviour.
#[pyfunction]
#[pyo3(
    signature = (model, pairs, **options),
    text_signature = "(model, pairs, *, method='eap', steps=None, rule=None, rules='plain', \
                      tol=1e-8, sizes=None, objective=None, mode=None, rankings=None, \
                      penalty=None, held_out=None, init=None, bootstrap=None, edges=None, seed=0, \
                      metric='logit-diff', at='asked', baseline='resample', constants=None, \
                      convention='ours', positions=False, spans=False, neurons=False, split_input=False, \
                      joined_qkv=False, rows=512, out=None, resume=False, threads=None, \
                      progress=True)"
)]
pub(crate) fn attribute(
    py: Python<'_>,
    model: &Model,
    pairs: &Pairs,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<Scores> {
    let mut keywords = Keywords::new(py, options)?;
    let question = Question::take(&mut keywords)?;
    let mut request = request(&mut keywords)?;
    let init: Option<PyRef<'_, Scores>> = keywords.take("init")?;
    let edges: Option<Vec<Asked>> = keywords.take("edges")?;
    keywords.end()?;
    request.started = init.is_some();
    request.check(question.setup.metric).raise(py)?;
    let chosen = edges.as_ref().map(|asked| some(py, &request, (model, pairs), &question, asked));
    let chosen = chosen.transpose()?;
    let start = init.map(|scores| log_odds(scores.ours()));
    let (read, pairs) = (&model.0, pairs);
    let (scores, meta, graph) = with_model!(&read.weights, model => {
        work::run(py, question.how, |progress| {
            request.check_model(model)?;
            let settings = format!("attribute {request:?} {chosen:?} {start:?}");
            let mut b = question.behaviour((read, model), pairs, settings, progress)?;
            b.rules = request.rules;
            if let Some(start) = start.as_ref().filter(|start| start.len() != b.graph.edges()) {
                let message = format!("{} of {} edges", start.len(), b.graph.edges());
                return Err(Error::input("init", message, "give scores of the same graph"));
            }
            let mut options = request.options();
            options.init = start;
            let some = chosen.as_ref().map(|chosen| &*chosen.edges);
            let mut shown = progress.part(request.method.name());
            let mut scores = request.scores(&b, &options, some, &mut shown)?;
            if request.bootstrap.is_some() {
                let mut shown = progress.part("each pair");
                scores.resampled = request.resampled(&b, &options, &mut shown)?;
            }
            let about = About { chosen, ..About::default() };
            let meta = request.meta(&b, &scores, &options, question.setup.convention, about);
            b.journal.end();
            Ok((scores, meta, b.graph))
        })
    })?;
    let scores = Scores::computed(
        py,
        (Edges::new(graph), question.setup.convention),
        (scores, meta),
        (read.clone(), question.places(pairs)),
    )?;
    if let Some(out) = question.out {
        scores.save(py, out)?;
    }
    Ok(scores)
}

/// The edges that are scored alone.
fn some(
    py: Python<'_>,
    request: &Request,
    (model, pairs): (&Model, &Pairs),
    question: &Question,
    asked: &[Asked],
) -> PyResult<Chosen> {
    request.check_some("edges").and_then(|()| pairs.check(&model.0)).raise(py)?;
    let graph = with_model!(&model.0.weights, model => question.setup.graph(model, &pairs.pairs));
    let all = Edges::new(graph.raise(py)?);
    let mut edges = vec![];
    for one in asked {
        edges.push(all.find(py, one)?);
    }
    if edges.is_empty() {
        let error = Error::input("edges", "is an empty list", "give names or numbers of edges");
        return Err(raised(py, &error));
    }
    Ok(Chosen { edges, by: "edges".into() })
}
