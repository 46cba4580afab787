//! `edgegrad.evaluate`.

use crate::arguments::Keywords;
use crate::circuit::Circuit;
use crate::model::{Model, with_model};
use crate::pairs::Pairs;
use crate::question::Question;
use crate::tokens::from_json;
use crate::work;
use edgegrad::discovery::controls;
use edgegrad::discovery::judge;
use edgegrad::discovery::judge::{FEW, Judged};
use edgegrad::error::Error;
use edgegrad::patching::running;
use edgegrad::patching::span::Span;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::Value;

/// Judges a circuit: its faithfulness, its complement's, itself without each edge, random circuits.
#[pyfunction]
#[pyo3(
    signature = (model, pairs, circuit, **options),
    text_signature = "(model, pairs, circuit, *, null=0, minimality=False, seed=0, \
                      metric='logit-diff', at='asked', baseline='resample', constants=None, \
                      convention='ours', positions=False, spans=False, neurons=False, \
                      split_input=False, joined_qkv=False, rows=512, threads=None, progress=True)"
)]
pub(crate) fn evaluate<'py>(
    py: Python<'py>,
    model: &Model,
    pairs: &Pairs,
    circuit: &Circuit,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut keywords = Keywords::new(py, options)?;
    let question = Question::take(&mut keywords)?;
    let null: usize = keywords.take("null")?.unwrap_or_default();
    let minimality: bool = keywords.take("minimality")?.unwrap_or_default();
    let seed: u64 = keywords.take("seed")?.unwrap_or_default();
    keywords.end()?;
    let (read, kept) = (&model.0, &circuit.kept);
    let report = with_model!(&read.weights, model => {
        work::run(py, question.how, |progress| {
            let b = question.behaviour((read, model), pairs, "evaluate".into(), progress)?;
            if b.graph != circuit.edges.graph {
                let help = "divide the model as where the circuit was found";
                return Err(Error::input("circuit", "is of another graph", help));
            }
            let extremes = b.extremes()?;
            let span = Span::new(&b, &extremes)?;
            let one_less = minimality || kept.iter().filter(|&&kept| kept).count() <= FEW;
            let random = controls::random_circuits(&b.graph, kept, null, seed);
            let circuits = judge::circuits(kept, one_less, &random);
            let mut shown = progress.part("evaluate");
            let mut values = running::circuits(&b, &circuits, &mut shown)?.into_iter();
            let judged = Judged::read(kept, one_less, random.len(), &mut values);
            Ok(judged.report(&b, &extremes, &span))
        })
    })?;
    from_json(py, &Value::Object(report))
}
