//! How good a circuit is that is tuned.

use super::choose::Discovery;
use crate::checkpoints::AnyModel;
use crate::error::Result;
use crate::formats::pairs::Pairs;
use crate::formats::tuning_report::CircuitFigures;
use crate::graph::Graph;
use crate::graph::connect::Flow;
use crate::patching::behaviour::Behaviour;
use crate::patching::metric::Question;
use crate::patching::running;
use crate::patching::span::Span;
use crate::simd::Element;

/// The figures of the edges `kept [E]` in `model`, on pairs that show the behaviour: with the
/// metric, the positions and the baseline that circuits are found by.
///
/// # Errors
/// If the metric is undefined for such pairs, or there is not enough memory.
pub fn circuit_figures<T: Element>(
    model: &AnyModel<T>,
    graph: &Graph,
    discovery: &Discovery,
    vocab_out: usize,
    pairs: &Pairs,
    kept: &[bool],
) -> Result<CircuitFigures> {
    let question = Question::new(discovery.metric, discovery.positions, vocab_out, pairs)?;
    let b = Behaviour::new(model, graph.clone(), pairs, question, discovery.baseline)?;
    let span = Span::new(&b, &b.extremes()?)?;
    let complement = kept.iter().map(|kept| !kept).collect();
    let values = running::circuits(&b, &[kept.to_vec(), complement], &mut |_| {})?;
    let [circuit, complement] =
        [&values[0], &values[1]].map(|values| Some(span.faithfulness(values)));
    let count = |edges: &[bool]| edges.iter().filter(|&&kept| kept).count() as f64;
    let on_paths = Flow::new(graph).connected(kept);
    Ok(CircuitFigures {
        faithfulness: circuit.filter(|f| f.is_finite()),
        completeness: complement.map(|f| 1.0 - f).filter(|c| c.is_finite()),
        connectivity: Some(count(&on_paths) / count(kept)).filter(|share| share.is_finite()),
    })
}
