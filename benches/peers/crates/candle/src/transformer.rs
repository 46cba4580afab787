//! The decoder in training, and GPT-2-small shapes.

use crate::{Training, ids, parameters, project, tensor};
use candle_core::{D, Result, Tensor, Var};
use candle_nn::{loss, ops};
use harness::Work;
use harness::inputs::{self, Decoder};

struct Model {
    shape: Decoder,
    weights: Vec<Tensor>,
    tokens: Tensor,
    targets: Tensor,
    /// `[T, T]`, minus infinity for what comes later.
    mask: Tensor,
    /// Whether there will be a backward pass.
    differentiated: bool,
}

impl Model {
    fn new(shape: Decoder, weights: Vec<Tensor>, differentiated: bool) -> Result<Self> {
        let t = shape.seq;
        let (tokens, targets) = shape.batch();
        let later = (0..t * t).map(|i| if i % t > i / t { f32::NEG_INFINITY } else { 0.0 });
        Ok(Model {
            tokens: ids(tokens, &[shape.batch * t])?,
            targets: ids(targets, &[shape.batch * t])?,
            mask: tensor(later.collect(), &[t, t])?,
            shape,
            weights,
            differentiated,
        })
    }

    fn norm(&self, x: &Tensor, gain: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let norm = if self.differentiated { ops::layer_norm_slow } else { ops::layer_norm };
        norm(x, gain, bias, 1e-5)
    }

    /// `[B T, 3 D] -> [B T, D]`
    fn attention(&self, qkv: &Tensor) -> Result<Tensor> {
        let Decoder { batch, seq, d_model: d, heads, .. } = self.shape;
        let part = |i: usize| {
            let x = qkv.narrow(1, i * d, d)?.reshape((batch, seq, heads, d / heads))?;
            x.transpose(1, 2)?.contiguous()
        };
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let scores = (q.matmul(&k.t()?)? * (heads as f64 / d as f64).sqrt())?;
        let scores = scores.broadcast_add(&self.mask)?;
        let pattern = if self.differentiated {
            ops::softmax(&scores, D::Minus1)?
        } else {
            ops::softmax_last_dim(&scores)?
        };
        pattern.matmul(&v)?.transpose(1, 2)?.reshape((batch * seq, d))
    }

    /// `[B T, V]`
    fn logits(&self) -> Result<Tensor> {
        let Decoder { batch, seq, d_model: d, layers, tied, .. } = self.shape;
        let mut w = self.weights.iter();
        let mut next = || w.next().expect("a weight");
        let (w_e, w_pos) = (next(), next());
        let x = w_e.index_select(&self.tokens, 0)?.reshape((batch, seq, d))?;
        let mut x = x.broadcast_add(&w_pos.narrow(0, 0, seq)?)?.reshape((batch * seq, d))?;
        for _ in 0..layers {
            let h = self.norm(&x, next(), next())?;
            let z = self.attention(&project(&h, next(), next())?)?;
            x = (x + project(&z, next(), next())?)?;
            let h = self.norm(&x, next(), next())?;
            let h = project(&h, next(), next())?.gelu()?;
            x = (x + project(&h, next(), next())?)?;
        }
        let x = self.norm(&x, next(), next())?;
        x.matmul(&if tied { w_e } else { next() }.t()?)
    }

    fn loss(&self) -> Result<Tensor> {
        loss::cross_entropy(&self.logits()?, &self.targets)
    }
}

fn tensors(variables: &[Var]) -> Vec<Tensor> {
    variables.iter().map(|v| v.as_tensor().clone()).collect()
}

pub fn training() -> Result<Work> {
    let variables = parameters(&inputs::DECODER.parameters())?;
    let model = Model::new(inputs::DECODER, tensors(&variables), true)?;
    let mut training = Training::new(variables, move || model.loss())?;
    let check = training.check(inputs::CHECKED)?;
    Ok((check, Box::new(move || _ = training.step().expect("as before"))))
}

pub fn forward() -> Result<Work> {
    let shape = inputs::gpt2(15);
    let list = shape.parameters();
    let weights = list.iter().enumerate().map(|(i, p)| tensor(p.init(i), &p.shape));
    let model = Model::new(shape, weights.collect::<Result<_>>()?, false)?;
    let all: Vec<f32> = model.logits()?.flatten_all()?.to_vec1()?;
    let size = all.iter().map(|&x| f64::from(x.abs())).sum();
    let check = vec![size, f64::from(all[0]), f64::from(all[all.len() - 1])];
    Ok((check, Box::new(move || _ = model.logits().expect("as before"))))
}

pub fn step() -> Result<Work> {
    let shape = inputs::gpt2(64);
    let variables = parameters(&shape.parameters())?;
    let model = Model::new(shape, tensors(&variables), true)?;
    let loss = model.loss()?;
    let grads = loss.backward()?;
    let size = |i: usize| -> Result<f64> {
        let grad = grads.get(&variables[i]).expect("a gradient");
        Ok(grad.flatten_all()?.to_vec1::<f32>()?.iter().map(|&g| f64::from(g.abs())).sum())
    };
    let check = vec![loss.to_scalar::<f32>()?.into(), size(0)?, size(4)?];
    let run = move || _ = model.loss().and_then(|loss| loss.backward()).expect("as before");
    Ok((check, Box::new(run)))
}
