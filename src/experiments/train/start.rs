//! What a stage does with the weights it begins with: parts drawn anew, positions set by hand.

use super::config::{Config, Stage};
use super::measure::Evaluator;
use super::parts::Parts;
use super::work::model_config;
use crate::error::{Error, Result};
use crate::nn::pooled;
use crate::simd::Element;
use crate::tasks::Dataset;

/// The named parts of a model of this shape; configurations are checked before.
pub(super) fn parts(names: &[String], model: &pooled::Config) -> Parts {
    Parts::of(names, model).unwrap_or_else(|e| panic!("an unchecked configuration: {}", e.message))
}

/// Changes the weights `[..]` of the stage before into those that stage `index` begins with, whose
/// train rows are `data`.
///
/// What is drawn anew comes from random numbers of this stage; in the first stage it is what the
/// run would have begun with without `model.init`.
///
/// # Errors
/// If the positions cannot have the attention they are asked to have.
pub(super) fn begin<T: Element>(
    config: &Config,
    index: usize,
    data: &Dataset,
    weights: &mut [Vec<T>],
) -> Result<()> {
    let stage = &config.stages[index];
    let (model, train) = (model_config(stage), &stage.train);
    let drawn = match (&train.keep[..], &train.reset[..]) {
        ([], reset) => parts(reset, &model),
        (keep, _) => parts(keep, &model).others(&model),
    };
    if !drawn.is_empty() {
        let fresh = model.init_again(config.seed, index as u32);
        let fresh: Vec<Vec<T>> =
            fresh.iter().map(|w| w.iter().map(|&x| T::from_f64(x)).collect()).collect();
        drawn.copy(&fresh, weights);
    }
    let Some(share) = train.attend else { return Ok(()) };
    set_attention(stage, &model, data, weights, share).map_err(|(least, most)| {
        let k = stage.task.k;
        let message = format!(
            "the first {k} positions cannot have {share} of the attention: with this query they \
             have {least:.3} to {most:.3}"
        );
        let help = "choose a share between the two, or a longer query by `keep`";
        Error::input(config.place_in(index, "train.attend"), message, help)
    })
}

/// Halvings of the interval in which the shift is sought: it ends at neighbours in single
/// precision.
const HALVINGS: usize = 48;

/// Moves the position embeddings `[L, D]` along the query, the first k forward and the others back,
/// all by the one distance at which the mean attention on the first k is `share`.
///
/// # Errors
/// The least and the largest share that there are, if `share` is not between them.
fn set_attention<T: Element>(
    stage: &Stage,
    model: &pooled::Config,
    data: &Dataset,
    weights: &mut [Vec<T>],
    share: f64,
) -> Result<(), (f64, f64)> {
    let at = |name| model.parameters().iter().position(|p| p.name == name).expect("a parameter");
    let (pos, query) = (at("pos_emb.weight"), at("softmax.query.weight"));
    let query: Vec<f64> = weights[query].iter().map(|x| x.to_f64()).collect();
    let norm = query.iter().map(|x| x * x).sum::<f64>().sqrt();
    let (k, width) = (stage.task.k, model.d_model);
    let from = weights[pos].clone();
    let mut evaluator = Evaluator::new(model, data.n);
    let mut attention = |weights: &mut [Vec<T>], shift: f64| {
        for (i, (x, from)) in weights[pos].iter_mut().zip(&from).enumerate() {
            let sign = if i / width < k { 1.0 } else { -1.0 };
            *x = T::from_f64(from.to_f64() + sign * shift * query[i % width] / norm);
        }
        let values: Vec<&[T]> = weights.iter().map(Vec::as_slice).collect();
        evaluator.measure(&values, data, k).head.attention_relevant
    };
    // Far beyond all embeddings the norm leaves nothing but the shift.
    let largest = 1e3 * from.iter().fold(1.0f64, |m, x| m.max(x.to_f64().abs())) * width as f64;
    let ends = [-largest, largest].map(|shift| attention(weights, shift));
    if !(ends[0] < share && share < ends[1]) {
        return Err((ends[0], ends[1]));
    }
    // The attention rises with the shift. In steps that are small where it is.
    let curve = |x: f64| x * x * x * largest;
    let (mut low, mut high) = (-1.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        *(if attention(weights, curve(middle)) < share { &mut low } else { &mut high }) = middle;
    }
    attention(weights, curve(high));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::train::config::{ModelConfig, TaskConfig, TrainConfig};
    use crate::rng::{Purpose, Rng};
    use crate::tasks::modular_addition::ModularAddition;

    fn config(keep: &[&str], reset: &[&str], attend: Option<f64>) -> Config {
        let names = |list: &[&str]| list.iter().map(|n| n.to_string()).collect::<Vec<_>>();
        let stage = |train| Stage {
            task: TaskConfig { p: 3, seq_len: 6, k: 2, train: 40, test: 0, ..Default::default() },
            model: ModelConfig { vocab: 3, d_model: 8, d_mlp: 16, ..Default::default() },
            train,
            ..Default::default()
        };
        let (keep, reset) = (names(keep), names(reset));
        let second = TrainConfig { keep, reset, attend, ..Default::default() };
        let stages = vec![stage(TrainConfig::default()), stage(second)];
        let config = Config { seed: 3, stages, ..Default::default() };
        config.validate().expect("a valid configuration");
        config
    }

    fn rows() -> Dataset {
        let task = ModularAddition { p: 3, seq_len: 6, k: 2 };
        task.generate(40, 0, true, &mut Rng::new(1, Purpose::Data, 3)).expect("rows").train
    }

    /// Weights that no generator draws: all 7.
    fn sevens(config: &Config) -> Vec<Vec<f64>> {
        model_config(&config.stages[1])
            .parameters()
            .iter()
            .map(|p| vec![7.0; p.shape.len()])
            .collect()
    }

    #[test]
    fn what_is_kept_keeps_its_bits_and_the_rest_is_drawn_anew() {
        let kept = config(&["pos_emb", "query", "m0.n3"], &[], None);
        let mut weights = sevens(&kept);
        begin(&kept, 1, &rows(), &mut weights).expect("no attention is asked for");
        // 6 positions and a query of width 8, a neuron of 8 + 1 + 8.
        let sevens_left = weights.iter().flatten().filter(|&&x| x == 7.0).count();
        assert_eq!(sevens_left, 6 * 8 + 8 + 17);
        assert!(weights[1].iter().chain(&weights[2]).all(|&x| x == 7.0));
        let fresh = model_config(&kept.stages[1]).init_again(3, 1);
        assert_eq!(weights[0], fresh[0]);
        assert_ne!(fresh[0], model_config(&kept.stages[1]).init(3)[0], "not the draw of stage 0");
        // The same by the names of what is not kept.
        let reset = config(&[], &["token_emb", "value"], None);
        let mut weights = sevens(&reset);
        begin(&reset, 1, &rows(), &mut weights).expect("no attention is asked for");
        assert_eq!((&weights[0], &weights[3]), (&fresh[0], &fresh[3]));
        assert!([1, 2, 4, 5, 6, 7].iter().all(|&i: &usize| weights[i].iter().all(|&x| x == 7.0)));
    }

    /// The share is that which was asked for, to what the last halving of the shift changes.
    #[test]
    fn positions_get_the_attention_that_is_asked_for() {
        for share in [0.2, 0.4, 0.45] {
            let config = config(&[], &[], Some(share));
            let model = model_config(&config.stages[1]);
            let before = model.init(3);
            let mut weights = before.clone();
            begin(&config, 1, &rows(), &mut weights).expect("within reach");
            let values: Vec<&[f64]> = weights.iter().map(Vec::as_slice).collect();
            let found = Evaluator::new(&model, 40).measure(&values, &rows(), 2).head;
            assert!((found.attention_relevant - share).abs() < 1e-9, "{found:?}");
            let changed: Vec<bool> = before.iter().zip(&weights).map(|(a, b)| a != b).collect();
            assert_eq!(changed, [false, true, false, false, false, false, false, false]);
        }
        let wild = config(&[], &[], Some(0.99));
        let mut weights = model_config(&wild.stages[1]).init(3);
        let e = begin(&wild, 1, &rows(), &mut weights).expect_err("the query is too short");
        assert!(e.to_string().starts_with("stages.1.train.attend: the first 2 positions"), "{e}");
    }
}
