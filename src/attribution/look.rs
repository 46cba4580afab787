//! One pair through a transformer in full: attention patterns, predictions at every position, and
//! scores of edges at each position.
//!
//! The explorer's page draws it over the tokens. Edges are scored at each position by [`eap`],
//! against the corrupted run.

use super::method::eap;
use crate::checkpoints::AnyModel;
use crate::error::{Error, Result};
use crate::formats::look::{Both, Look, Patterns, ScoredEdge, TokenLogits};
use crate::formats::pairs::{Asked, Pair, Pairs};
use crate::graph::{Granularity, Graph};
use crate::memory;
use crate::named::Named;
use crate::nn::stream::Sum;
use crate::nn::transformer::{Model, Transformer};
use crate::patching::behaviour::{Baseline, Behaviour};
use crate::patching::metric::{Metric, Positions, Question};
use crate::simd::Element;
use crate::stats::{self, order};
use crate::tape::Tape;
use crate::text::Words;
use std::collections::BTreeSet;

/// Weights of a sequence's attention patterns, `L H T^2`, up to which they are kept unasked: 16 MiB
/// in memory.
const FEW_WEIGHTS: usize = 1 << 22;

/// Rows whose logits are computed at once.
const ROWS: usize = 64;

/// How many of the largest logits of each sequence are listed.
const TOP: usize = 8;

/// Runs the one pair in `pairs`, and lists the `edges` largest scores of `metric`. The names of the
/// model and of the pair are left empty. Attention patterns of long pairs are left out unless
/// `attention` asks for them.
///
/// # Errors
/// If the model is not a transformer or has no attention, the pair does not ask for tokens, the
/// metric is a distance from the clean run, or there is not enough memory.
///
/// # Panics
/// If there is more than one pair.
pub fn look<T: Element>(
    model: &AnyModel<T>,
    words: &Words,
    pairs: &Pairs,
    metric: Metric,
    edges: usize,
    attention: bool,
) -> Result<Look> {
    let [pair] = &pairs[..] else { panic!("{} pairs", pairs.len()) };
    let AnyModel::Transformer(transformer) = model else {
        let message = "a pooled model has one query for the whole sequence, no heads that look";
        return Err(Error::input("model", message, "give the folder of a transformer"));
    };
    let config = &transformer.config;
    if config.layers == 0 {
        let help = "give a model with at least one layer";
        return Err(Error::input("model", "has no attention: it has no layers", help));
    }
    let Asked::Tokens { answer, distractor, position } = &pair.asked else {
        let message = "asks for outputs at each position, not for a token";
        let help = "give a pair with an answer and a distractor";
        return Err(Error::input(pairs.place_of(pair), message, help));
    };
    if answer.is_empty() || distractor.is_empty() {
        let help = "give a pair with an answer and a distractor";
        return Err(Error::input(pairs.place_of(pair), "compares no tokens", help));
    }
    if metric.needs_reference() {
        let message =
            format!("`{}` is flat at the clean run, where edges are scored", metric.name());
        return Err(Error::input("metric", message, "use logit-diff, prob-diff or nll"));
    }
    let scored = scored(model, pairs, metric, edges)?;
    let weights = config.layers * config.heads * pair.clean.len().pow(2);
    let (attention, last) = run(transformer, pair, attention || weights <= FEW_WEIGHTS)?;
    let of = |last: &[T]| -> Result<(Vec<T>, Vec<f64>)> {
        differences(transformer, last, pair, [answer, distractor], *position)
    };
    let (clean, corrupted) = (of(&last.clean)?, of(&last.corrupted)?);
    let asked = Both { clean: clean.0, corrupted: corrupted.0 };
    let logit_diff = Both { clean: clean.1, corrupted: corrupted.1 };
    // Labels are not tokens.
    let none = Words::default();
    let outputs = if config.vocab_out == config.vocab { words } else { &none };
    let list = |words: &Words, ids: &[u32]| ids.iter().map(|&id| words.word(id)).collect();
    Ok(Look {
        tokens: Both { clean: list(words, &pair.clean), corrupted: list(words, &pair.corrupted) },
        answer: list(outputs, answer),
        distractor: list(outputs, distractor),
        position: *position,
        layers: config.layers,
        heads: config.heads,
        kv_heads: config.kv_heads,
        attention,
        logit_diff,
        top: top(&asked, &[&answer[..], distractor].concat(), outputs),
        edges: scored,
        metric: metric.name().into(),
        method: "eap".into(),
        ..Look::default()
    })
}

fn not_finite(what: String) -> Error {
    let help = "the model's numbers are too large or broken; try --dtype f64, or check its weights";
    Error::failed(what, "is not a number", help)
}

/// The attention patterns of all heads if they are asked for, and what the unembedding multiplies,
/// `[T, D]`, on both sequences.
#[expect(clippy::type_complexity, reason = "two things of both sequences")]
fn run<T: Element>(
    model: &Model<T>,
    pair: &Pair,
    attention: bool,
) -> Result<(Option<Both<Patterns>>, Both<Vec<T>>)> {
    let (config, time) = (&model.config, pair.clean.len());
    let mut tape = Tape::new();
    let recorded = Transformer::record(&mut tape, config, 2, time, &mut Sum::default());
    // Patterns in the result and as text.
    let told = match attention {
        true => (config.layers * config.heads) as u128 * (time as u128).pow(2) * 2 * 32,
        false => 0,
    };
    if !attention {
        tape.keep_only(&[recorded.last]);
    }
    memory::check(&format!("a pair of {time} tokens"), tape.bytes() + told, || {
        let less = if attention { "leave out --attention, or " } else { "" };
        format!("{less}give a pair of shorter sequences")
    })?;
    recorded.give_weights(&mut tape, &model.weights);
    let mut program = tape.finish();
    recorded.set_tokens(&mut program, &[&pair.clean[..], &pair.corrupted].concat());
    program.forward();

    // [2, H, T, T] of each layer.
    let patterns = |of: usize| -> Patterns {
        let layer = |l: usize| {
            let pattern = recorded.pattern(&program, l).expect("a plain stream leaves out nothing");
            let mine = &pattern[of * pattern.len() / 2..][..pattern.len() / 2];
            let rows = |head: &[T]| {
                let row = |row: &[T]| row.iter().map(|x| x.to_f64() as f32).collect();
                head.chunks_exact(time).map(row).collect()
            };
            mine.chunks_exact(time * time).map(rows).collect()
        };
        (0..config.layers).map(layer).collect()
    };
    let attention = attention.then(|| Both { clean: patterns(0), corrupted: patterns(1) });
    let (clean, corrupted) = program.value(recorded.last).split_at(time * config.d_model);
    Ok((attention, Both { clean: clean.to_vec(), corrupted: corrupted.to_vec() }))
}

/// The logits `[V]` at `position`, and at every position the mean logit of the first tokens minus
/// that of the second, of the rows `last [T, D]`.
fn differences<T: Element>(
    model: &Model<T>,
    last: &[T],
    pair: &Pair,
    tokens: [&[u32]; 2],
    position: usize,
) -> Result<(Vec<T>, Vec<f64>)> {
    let (mut asked, mut all) = (vec![], vec![]);
    each_logits(model, last, |row, logits| {
        if logits.iter().any(|x| !x.to_f64().is_finite()) {
            return Err(not_finite(format!("line {}: a logit", pair.line)));
        }
        let [right, wrong] = tokens.map(|of| {
            of.iter().map(|&id| logits[id as usize].to_f64()).sum::<f64>() / of.len() as f64
        });
        all.push(right - wrong);
        if row == position {
            asked = logits.to_vec();
        }
        Ok(())
    })?;
    Ok((asked, all))
}

/// Calls `each` with every row of `last [T, D]` and its logits `[V]`, a few rows at a time.
fn each_logits<T: Element>(
    model: &Model<T>,
    last: &[T],
    mut each: impl FnMut(usize, &[T]) -> Result<()>,
) -> Result<()> {
    let (d, v) = (model.config.d_model, model.config.vocab_out);
    let rows = ROWS.min(last.len() / d);
    let mut tape = Tape::new();
    let x = tape.leaf("last", [rows, d]);
    let logits = model.record_logits(&mut tape, x);
    tape.keep_only(&[logits]);
    let mut program = tape.finish();
    for (i, part) in last.chunks(rows * d).enumerate() {
        program.value_mut(x)[..part.len()].copy_from_slice(part);
        program.forward();
        for (j, logits) in program.value(logits).chunks_exact(v).take(part.len() / d).enumerate() {
            each(i * rows + j, logits)?;
        }
    }
    Ok(())
}

/// The `count` largest scores at positions.
fn scored<T: Element>(
    model: &AnyModel<T>,
    pairs: &Pairs,
    metric: Metric,
    count: usize,
) -> Result<Vec<ScoredEdge>> {
    let AnyModel::Transformer(transformer) = model else { unreachable!("a transformer") };
    let config = &transformer.config;
    let granularity =
        Granularity { positions: Some(pairs[0].clean.len()), ..Granularity::default() };
    let graph = Graph::of_transformer(config, granularity);
    let question = Question::new(metric, Positions::Asked, config.vocab_out, pairs)?;
    let b = Behaviour::new(model, graph, pairs, question, Baseline::Resample)?;
    let values = eap::scores(&b, &mut |_| {})?.values;
    if let Some(e) = values.iter().position(|s| !s.is_finite()) {
        return Err(not_finite(format!("{}: the score of {}", pairs.place(), b.graph.edge(e))));
    }
    let mut order = stats::largest(&values, count);
    order.retain(|&e| values[e] != 0.0);
    let score = |e: usize| ScoredEdge { name: b.graph.edge(e).to_string(), score: values[e] };
    Ok(order.into_iter().map(score).collect())
}

/// The largest of `logits [V]` of each sequence and those of `asked`, by decreasing clean logit.
fn top<T: Element>(logits: &Both<Vec<T>>, asked: &[u32], words: &Words) -> Vec<TokenLogits> {
    let mut told: BTreeSet<usize> = asked.iter().map(|&id| id as usize).collect();
    for row in [&logits.clean, &logits.corrupted] {
        let row: Vec<f64> = row.iter().map(|x| x.to_f64()).collect();
        told.extend(stats::falling(&row).into_iter().take(TOP));
    }
    let one = |id: usize| TokenLogits {
        token: words.word(id as u32),
        clean: logits.clean[id].to_f64(),
        corrupted: logits.corrupted[id].to_f64(),
    };
    let mut list: Vec<TokenLogits> = told.into_iter().map(one).collect();
    order::sort_by(&mut list, |a, b| b.clean.total_cmp(&a.clean));
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::pairs::Bounds;
    use crate::nn::transformer::Config;

    #[test]
    fn models_without_attention_are_refused() {
        let config = Config { layers: 0, ..Config::gpt2_small() };
        let config = Config { vocab: 5, vocab_out: 5, context: 4, d_model: 12, ..config };
        let model = AnyModel::Transformer(Model::<f32>::random(&config, 0));
        let text = r#"{"clean": [1], "corrupted": [2], "answer": 3, "distractor": 4}"#;
        let bounds = Bounds { vocab: 5, vocab_out: 5, context: 4 };
        let pairs = Pairs::parse("p", text.as_bytes(), &bounds, None, None).unwrap();
        let e = look(&model, &Words::default(), &pairs, Metric::LogitDiff, 3, false).unwrap_err();
        assert_eq!(e.to_string(), "model: has no attention: it has no layers");
        assert_eq!(e.exit_code(), 2);
    }
}
