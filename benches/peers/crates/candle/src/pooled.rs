//! Training steps of the model with one query.

use crate::{Training, ids, parameters};
use candle_core::{D, Result, Tensor, Var};
use candle_nn::{loss, ops};
use harness::Work;
use harness::inputs::{Pooled, SEEDS};
use rayon::prelude::*;

fn norm(x: &Tensor) -> Result<Tensor> {
    x.broadcast_div(&(x.sqr()?.mean_keepdim(D::Minus1)?.sqrt()? + 1e-5)?)
}

fn start(shape: &Pooled) -> Result<Training<impl FnMut() -> Result<Tensor> + Send + use<>>> {
    let &Pooled { vocab, d_model: d, batch, .. } = shape;
    let (rows, sums) = shape.rows();
    let rows = ids(rows, &[Pooled::ROWS, Pooled::LEN])?;
    let sums = ids(sums, &[Pooled::ROWS])?;
    let variables = parameters(&shape.parameters())?;
    let weights: Vec<Tensor> = variables.iter().map(|v: &Var| v.as_tensor().clone()).collect();
    // As in edgegrad, all sums of a token and a position where that is less: twice as fast.
    let table = vocab <= batch / 32;
    let positions: Vec<u32> = (0..Pooled::LEN as u32).collect();
    let positions = ids(positions, &[1, Pooled::LEN])?;
    let mut at = 0;
    let loss = move || {
        let [emb, pos, query, value, w1, b1, w2, b2] = &weights[..] else { unreachable!("eight") };
        let (x, y) = (rows.narrow(0, at, batch)?, sums.narrow(0, at, batch)?);
        at = (at + batch) % Pooled::ROWS;
        let z = if table {
            let all = emb.unsqueeze(1)?.broadcast_add(pos)?;
            let all = norm(&all)?.reshape((vocab * Pooled::LEN, d))?;
            let at = (x * Pooled::LEN as f64)?.broadcast_add(&positions)?;
            all.index_select(&at.flatten_all()?, 0)?
        } else {
            let x = emb.index_select(&x.flatten_all()?, 0)?;
            let x = x.reshape((batch, Pooled::LEN, d))?.broadcast_add(pos)?;
            norm(&x)?.reshape((batch * Pooled::LEN, d))?
        };
        let scores = z.matmul(&query.t()?)?.reshape((batch, Pooled::LEN))?;
        let attention = ops::softmax(&(scores / (d as f64).sqrt())?, D::Minus1)?;
        let z = z.reshape((batch, Pooled::LEN, d))?;
        let mixed = attention.unsqueeze(1)?.matmul(&z)?.squeeze(1)?;
        let sequence = mixed.matmul(&value.t()?)?;
        let h = norm(&sequence)?.matmul(&w1.t()?)?.broadcast_add(b1)?.gelu_erf()?;
        let out = (&sequence + h.matmul(&w2.t()?)?.broadcast_add(b2)?)?;
        loss::cross_entropy(&out.matmul(&emb.t()?)?, &y)
    };
    Training::new(variables, loss)
}

pub fn training(shape: &Pooled) -> Result<Work> {
    let mut training = start(shape)?;
    let check = training.check(shape.checked())?;
    Ok((check, Box::new(move || _ = training.step().expect("as before"))))
}

pub fn seeds(shape: &Pooled) -> Result<Work> {
    let mut all = (0..SEEDS).map(|_| start(shape)).collect::<Result<Vec<_>>>()?;
    let mut check = vec![0.0; 2];
    for training in &mut all {
        let losses = training.check(shape.checked())?;
        check.iter_mut().zip(losses).for_each(|(sum, loss)| *sum += loss / SEEDS as f64);
    }
    let run = move || all.par_iter_mut().for_each(|t| _ = t.step().expect("as before"));
    Ok((check, Box::new(run)))
}
