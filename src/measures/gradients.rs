//! Whether what a step does for one part of the task helps another.
//!
//! The label y mod p, p even, has a parity and a rest. With `g(y)` the gradient of the mean loss
//! with labels y, the loss whose target is spread evenly over the labels of one parity has the
//! gradient
//!
//! ```text
//! g_parity = 2 / p * sum over j < p / 2 of g(y + 2 j mod p),    g_rest = g(y) - g_parity
//! ```
//!
//! - `cosine.parity`: the cosine of the two; below 0 what parity asks for harms the rest;
//! - `share.parity`: `<g_parity, g> / <g, g>`, how much of the step is parity's (1 for p = 2);
//! - `cosine.classes`: the mean cosine of the gradients of the loss on rows of one label each;
//! - each also by `.pos_emb` and `.query`, where the model learns where to look.

use super::landscape::{first_rows, flat};
use super::{Landscape, Task, Values};
use crate::nn::pooled::{Config, Group};
use crate::stats::{cosine, dot, mean};
use std::ops::Range;

/// The agreement of gradients at these weights. Of an odd modulus, that of the classes alone.
pub fn agreement(config: &Config, weights: &[Vec<f64>], task: Task<'_>) -> Values {
    let (at, rows) = (flat(weights), first_rows(task.rows, usize::MAX));
    let mut landscape = Landscape::new(config, rows.len());
    let mut gradient = |rows: &[u32], labels: &[u32]| {
        let mut g = vec![0.0; at.len()];
        landscape.gradient(&at, task.rows, (rows, labels), &mut g);
        g
    };
    let targets = &task.rows.targets;
    let shifted = |by: usize| -> Vec<u32> {
        targets.iter().map(|&y| (y as usize + by) as u32 % task.p as u32).collect()
    };
    let whole = gradient(&rows, targets);
    let mut values = Values::new();
    let parts = places(config);
    if task.p.is_multiple_of(2) {
        let mut parity = whole.clone();
        for j in 1..task.p / 2 {
            let other = gradient(&rows, &shifted(2 * j));
            parity.iter_mut().zip(other).for_each(|(x, y)| *x += y);
        }
        parity.iter_mut().for_each(|x| *x *= 2.0 / task.p as f64);
        let rest: Vec<f64> = whole.iter().zip(&parity).map(|(g, p)| g - p).collect();
        for (name, range) in &parts {
            let [g, p, r] = [&whole, &parity, &rest].map(|v| &v[range.clone()]);
            let share = dot(p, g) / dot(g, g);
            values.extend(cosine(p, r).map(|c| (format!("cosine.parity{name}"), c)));
            values.extend(share.is_finite().then(|| (format!("share.parity{name}"), share)));
        }
    }
    let classes: Vec<Vec<f64>> = (0..task.p as u32)
        .map(|y| rows.iter().copied().filter(|&r| targets[r as usize] == y).collect::<Vec<u32>>())
        .enumerate()
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(y, rows)| gradient(&rows, &vec![y as u32; rows.len()]))
        .collect();
    for (name, range) in &parts {
        let pairs = (0..classes.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        let all: Vec<f64> = pairs
            .filter_map(|(i, j)| cosine(&classes[i][range.clone()], &classes[j][range.clone()]))
            .collect();
        values.extend(mean(&all).map(|c| (format!("cosine.classes{name}"), c)));
    }
    values
}

/// All weights, and where the positions and the query are among them, by what their keys end with.
fn places(config: &Config) -> Vec<(String, Range<usize>)> {
    let parameters = config.parameters();
    let all = parameters.iter().map(|p| p.shape.len()).sum();
    let mut list = vec![(String::new(), 0..all)];
    let mut at = 0;
    for p in &parameters {
        let end = at + p.shape.len();
        if matches!(p.group, Group::PosEmb | Group::Query) {
            list.push((format!(".{}", p.group.name()), at..end));
        }
        at = end;
    }
    list
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, rows};
    use super::*;

    /// A label modulo 2 is its parity: nothing is left.
    #[test]
    fn parity_is_all_of_a_sum_modulo_two() {
        let (config, data) = (config(2, 3, 5), rows(40, 2));
        let found = agreement(&config, &config.init(1), Task { rows: &data, p: 2 });
        assert!((found["share.parity"] - 1.0).abs() < 1e-14, "{found:?}");
        assert!(!found.contains_key("cosine.parity"), "nothing has no direction");
    }

    /// With even logits the gradient of the logits is `softmax - onehot`, which for a spread target
    /// is the projection on parity: both parts are orthogonal where the model is a bias on logits.
    /// Here only `o` differs: with all weights 0 but the token embeddings, the gradient is that of
    /// `E`'s part as unembedding, and 0, as `o` is 0.
    #[test]
    fn weights_that_do_nothing_have_no_direction() {
        let (config, data) = (config(4, 3, 5), rows(40, 4));
        let zero: Vec<Vec<f64>> =
            config.parameters().iter().map(|p| vec![0.0; p.shape.len()]).collect();
        let found = agreement(&config, &zero, Task { rows: &data, p: 4 });
        assert!(found.is_empty(), "{found:?}");
    }

    /// The two parts of the gradient are those of losses that the tape differentiates: the loss
    /// with targets y and with y + 2, half and half, is parity's.
    #[test]
    fn parts_add_up_to_the_gradient() {
        let (config, data) = (config(4, 3, 5), rows(40, 4));
        let weights = config.init(2);
        let found = agreement(&config, &weights, Task { rows: &data, p: 4 });
        let other: Vec<u32> = data.targets.iter().map(|y| (y + 2) % 4).collect();
        let all: Vec<u32> = (0..40).collect();
        let at = weights.concat();
        let mut landscape = Landscape::new(&config, 40);
        let [mut g, mut h] = [vec![0.0; at.len()], vec![0.0; at.len()]];
        landscape.gradient(&at, &data, (&all, &data.targets), &mut g);
        landscape.gradient(&at, &data, (&all, &other), &mut h);
        // <p, r> with p = (g + h) / 2 and r = (g - h) / 2 is (<g, g> - <h, h>) / 4.
        let (gg, hh, gh) = (dot(&g, &g), dot(&h, &h), dot(&g, &h));
        let lengths = ((gg + hh + 2.0 * gh) * (gg + hh - 2.0 * gh)).sqrt();
        assert!((found["cosine.parity"] - (gg - hh) / lengths).abs() < 1e-12, "{found:?}");
        assert!((found["share.parity"] - (gg + gh) / (2.0 * gg)).abs() < 1e-12);
        assert!(found.keys().any(|key| key == "cosine.classes.query"));
    }
}
