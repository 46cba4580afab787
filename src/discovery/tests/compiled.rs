//! Models whose circuits are known, for the tests of every search.

use crate::checkpoints;
use crate::checkpoints::AnyModel;
use crate::formats::pairs::{Bounds, Pairs};
use crate::graph::{Granularity, Graph};
use crate::nn::Activation;
use crate::nn::transformer;
use crate::nn::transformer::{Config, Model};
use crate::ops::Norm;
use crate::patching::behaviour::{Baseline, Behaviour};
use crate::patching::metric::{Metric, Positions, Question};
use crate::tensor::Buffer;
use std::path::Path;

/// The edges that compiled models use, as derived in their README: no other edge has any effect
/// under resampling, and ablating each of these changes the logits of some pair by about 1.
pub(super) const TREND: [&str; 4] = ["input->a0.h0<v>", "input->m0", "a0.h0->m0", "m0->logits"];
pub(super) const FRAC_PREV_X: [&str; 3] = ["input->m0", "m0->a1.h0<v>", "a1.h0->logits"];
pub(super) const ALTERNATION: [&str; 7] = [
    "input->a0.h0<v>",
    "input->a0.h1<v>",
    "input->m0",
    "a0.h0->m0",
    "a0.h1->m0",
    "m0->m1",
    "m1->logits",
];

/// A model with its pairs.
pub(super) struct Setting {
    pub(super) model: AnyModel<f64>,
    pub(super) pairs: Pairs,
}

impl Setting {
    /// A model of the fixtures with its first `limit` pairs.
    pub(super) fn fixture(name: &str, limit: usize) -> Setting {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        let model = checkpoints::read(&folder).expect("a model");
        let bounds = bounds(&model);
        let pairs = Pairs::read(folder.join("pairs.jsonl"), &bounds, None, Some(limit));
        Setting { model, pairs: pairs.expect("pairs") }
    }

    /// A compiled model with all its pairs.
    pub(super) fn tracr(name: &str) -> Setting {
        Setting::fixture(&format!("tracr/{name}"), usize::MAX)
    }

    /// Attention and no MLP; the answer is the token's direct contribution plus those of two heads,
    /// one of which is the negative of the other. It has the edges of both heads, and needs one.
    pub(super) fn opposites() -> Setting {
        let config = Config {
            vocab: 2,
            vocab_out: 2,
            context: 1,
            layers: 1,
            d_model: 2,
            heads: 2,
            kv_heads: 2,
            d_head: 1,
            d_mlp: 0,
            activation: Activation::Relu,
            attn_scale: 1.0,
            positions: transformer::Positions::None,
            norm: Norm::None,
            norm_affine: false,
            qkv_bias: false,
            out_bias: false,
            tied: false,
            ..Config::gpt2_small()
        };
        let fill = |name: &str, n: usize| {
            // The stream: the token, the heads' outputs. Columns: queries, keys, values of both.
            let set: &[(usize, f64)] = match name {
                "embed.W_E" => &[(2, 1.0)],
                "blocks.0.attn.W_QKV" => &[(4, 1.0), (5, 1.0)],
                "blocks.0.attn.W_O" => &[(1, 1.0), (3, -1.0)],
                "unembed.W_U" => &[(2, 1.0), (3, 1.0)],
                _ => &[],
            };
            let mut numbers = vec![0.0; n];
            set.iter().for_each(|&(i, x)| numbers[i] = x);
            Buffer::from(&numbers[..]).share()
        };
        let parameters = config.parameters();
        let weights = parameters.iter().map(|p| fill(&p.name, p.shape.len())).collect();
        let model = AnyModel::Transformer(Model { config, weights });
        let pair = r#"{"clean": [1], "corrupted": [0], "answer": 1, "distractor": 0}"#;
        let pairs = Pairs::parse("pairs", pair.as_bytes(), &bounds(&model), None, None);
        Setting { model, pairs: pairs.expect("pairs") }
    }

    /// The behaviour with `metric` at the pairs' positions.
    pub(super) fn ask(&self, metric: Metric, baseline: Baseline) -> Behaviour<'_, f64> {
        let Bounds { vocab_out, .. } = bounds(&self.model);
        let question = Question::new(metric, Positions::Asked, vocab_out, &self.pairs);
        let AnyModel::Transformer(m) = &self.model else { unreachable!("none is pooled") };
        let graph = Graph::of_transformer(&m.config, Granularity::default());
        let question = question.expect("a question");
        Behaviour::new(&self.model, graph, &self.pairs, question, baseline).expect("it fits")
    }
}

fn bounds(model: &AnyModel<f64>) -> Bounds {
    let AnyModel::Transformer(m) = model else { unreachable!("none is pooled") };
    let Config { vocab, vocab_out, context, .. } = m.config;
    Bounds { vocab, vocab_out, context }
}

/// The names of the edges that are kept, sorted.
pub(super) fn names(graph: &Graph, kept: &[bool]) -> Vec<String> {
    let kept = (0..graph.edges()).filter(|&e| kept[e]);
    let mut names: Vec<String> = kept.map(|e| graph.edge(e).to_string()).collect();
    names.sort();
    names
}

/// Names in the same order.
pub(super) fn sorted(names: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    names.sort();
    names
}

/// The derivative of `f` at 0 by central differences, and a bound on its error: about a third of
/// how much a step of twice the size changes the result, plus the rounding of `f`, taken for a
/// thousand operations.
pub(super) fn difference(h: f64, mut f: impl FnMut(f64) -> f64) -> (f64, f64) {
    let mut at = |h: f64| (f(h) - f(-h)) / (2.0 * h);
    let (near, far) = (at(h), at(2.0 * h));
    let rounding = 1e3 * f64::EPSILON * f(0.0).abs() / h;
    (near, (near - far).abs() + rounding)
}
