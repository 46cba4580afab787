//! Training steps of the model with one query.

use crate::{Training, Weights, device, ids};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::{Int, Tensor, activation};
use harness::Work;
use harness::inputs::{Pooled, SEEDS};
use rayon::prelude::*;

fn norm<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.clone() / (x.square().mean_dim(-1).sqrt() + 1e-5)
}

fn start(shape: &Pooled) -> Training<impl FnMut(&Weights) -> Tensor<1> + Send + use<>> {
    let &Pooled { vocab, d_model: d, batch, .. } = shape;
    let device = device(true);
    let (rows, sums) = shape.rows();
    let rows = ids(rows, [Pooled::ROWS, Pooled::LEN], &device);
    let sums = ids(sums, [Pooled::ROWS], &device);
    let entropy = CrossEntropyLossConfig::new().init(&device);
    // As in edgegrad, all sums of a token and a position where that is less: twice as fast.
    let table = vocab <= batch / 32;
    let positions: Tensor<2, Int> =
        Tensor::arange(0..Pooled::LEN as i64, &device).reshape([1, Pooled::LEN]);
    let mut at = 0;
    let loss = move |weights: &Weights| {
        let mut matrices = weights.matrices();
        let [emb, pos, query, value, w1, w2] =
            std::array::from_fn(|_| matrices.next().expect("six matrices"));
        let [b1, b2] = [0, 1].map(|i| weights.vectors[i].val());
        let x = rows.clone().narrow(0, at, batch);
        let y = sums.clone().narrow(0, at, batch);
        at = (at + batch) % Pooled::ROWS;
        let z = if table {
            let all = emb.clone().reshape([vocab, 1, d]) + pos.unsqueeze();
            let all = norm(all).reshape([vocab * Pooled::LEN, d]);
            let at = x * Pooled::LEN as i64 + positions.clone();
            all.select(0, at.flatten(0, 1))
        } else {
            let x = emb.clone().select(0, x.flatten(0, 1)).reshape([batch, Pooled::LEN, d]);
            norm(x + pos.unsqueeze()).reshape([batch * Pooled::LEN, d])
        };
        let scores = z.clone().matmul(query.transpose()).reshape([batch, Pooled::LEN]);
        let attention = activation::softmax(scores / (d as f64).sqrt(), 1);
        let z = z.reshape([batch, Pooled::LEN, d]);
        let mixed = attention.unsqueeze_dim::<3>(1).matmul(z).reshape([batch, d]);
        let sequence = mixed.matmul(value.transpose());
        let h = norm(sequence.clone()).matmul(w1.transpose()) + b1.unsqueeze();
        let out = sequence + activation::gelu(h).matmul(w2.transpose()) + b2.unsqueeze();
        entropy.forward(out.matmul(emb.transpose()), y)
    };
    Training::new(Weights::new(&shape.parameters(), &device), loss)
}

pub fn training(shape: &Pooled) -> Work {
    let mut training = start(shape);
    let check = training.check(shape.checked());
    (check, Box::new(move || _ = training.step()))
}

pub fn seeds(shape: &Pooled) -> Work {
    let mut all: Vec<_> = (0..SEEDS).map(|_| start(shape)).collect();
    let mut check = vec![0.0; 2];
    for training in &mut all {
        let losses = training.check(shape.checked());
        check.iter_mut().zip(losses).for_each(|(sum, loss)| *sum += loss / SEEDS as f64);
    }
    (check, Box::new(move || all.par_iter_mut().for_each(|t| _ = t.step())))
}
