//! A model of GPT-2-small shapes (12 layers, d = 768, 50,257 tokens, random weights), and pairs of
//! random tokens to ask it.

use edgegrad::checkpoints::AnyModel;
use edgegrad::formats::pairs::{Bounds, Pairs};
use edgegrad::graph::{Granularity, Graph};
use edgegrad::nn::transformer::{Config, Model};
use edgegrad::patching::behaviour::{Baseline, Behaviour};
use edgegrad::patching::metric::{Metric, Positions, Question};

/// A model with random weights and `count` pairs of `tokens` tokens for it.
pub(crate) fn setting(config: &Config, count: usize, tokens: usize) -> (AnyModel<f32>, Pairs) {
    let start = std::time::Instant::now();
    let model = AnyModel::Transformer(Model::<f32>::random(config, 0));
    eprintln!("weights drawn in {:.1} s", start.elapsed().as_secs_f64());
    let id = |i: usize, salt: usize| (i * 7919 + salt * 104_729) % config.vocab;
    let sequence = |salt| (0..tokens).map(|i| id(i, salt)).collect::<Vec<_>>();
    let pair = |i: usize| {
        let (clean, corrupted) = (sequence(2 * i + 1), sequence(2 * i + 2));
        format!(
            "{{\"clean\":{clean:?},\"corrupted\":{corrupted:?},\"answer\":11,\"distractor\":12}}\n"
        )
    };
    let lines: String = (0..count).map(pair).collect();
    let bounds = Bounds { vocab: config.vocab, vocab_out: config.vocab, context: config.context };
    let pairs = Pairs::parse("pairs", lines.as_bytes(), &bounds, None, None).expect("pairs");
    (model, pairs)
}

/// What the pairs ask: the difference of two logits, with resample ablation.
pub(crate) fn behaviour<'a>(
    config: &Config,
    model: &'a AnyModel<f32>,
    pairs: &'a Pairs,
) -> Behaviour<'a, f32> {
    let graph = Graph::of_transformer(config, Granularity::default());
    let question = Question::new(Metric::LogitDiff, Positions::Asked, config.vocab, pairs);
    Behaviour::new(model, graph, pairs, question.expect("fits"), Baseline::Resample)
        .expect("a behaviour")
}
