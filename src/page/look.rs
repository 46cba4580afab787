//! One pair as a language model reads it, packed for the page.

use serde::Serialize;

use super::pack::{Pack, Packed};
use crate::formats::look::{Both, Look, Patterns, ScoredEdge, TokenLogits};

/// A look as the page has it.
#[derive(Serialize)]
pub(super) struct LookData<'a> {
    name: &'a str,
    model: &'a str,
    pair: usize,
    tokens: &'a Both<Vec<String>>,
    answer: &'a [String],
    distractor: &'a [String],
    position: usize,
    layers: usize,
    heads: usize,
    attention: Option<Both<Packed>>,
    logit_diff: &'a Both<Vec<f64>>,
    top: &'a [TokenLogits],
    edges: &'a [ScoredEdge],
    metric: &'a str,
    method: &'a str,
}

impl<'a> LookData<'a> {
    pub(super) fn of(look: &'a Look, pack: &mut Pack) -> Self {
        let mut flat = |patterns: &Patterns| {
            let rows = patterns.iter().flatten().flatten();
            let numbers: Vec<f32> = rows.flatten().copied().collect();
            pack.rounded(&numbers, look.tokens.clean.len())
        };
        LookData {
            attention: look
                .attention
                .as_ref()
                .map(|both| Both { clean: flat(&both.clean), corrupted: flat(&both.corrupted) }),
            name: &look.name,
            model: &look.model,
            pair: look.pair,
            tokens: &look.tokens,
            answer: &look.answer,
            distractor: &look.distractor,
            position: look.position,
            layers: look.layers,
            heads: look.heads,
            logit_diff: &look.logit_diff,
            top: &look.top,
            edges: &look.edges,
            metric: &look.metric,
            method: &look.method,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::look::tests::look;
    use std::path::Path;

    #[test]
    fn patterns_are_packed() {
        let read = Look::of(Path::new("pair-0.json"), &look()).unwrap();
        let data = serde_json::to_value(LookData::of(&read, &mut Pack::default())).unwrap();
        assert_eq!(
            (&data["attention"]["clean"]["len"], &data["name"]),
            (&4.into(), &"pair-0".into())
        );
    }
}
