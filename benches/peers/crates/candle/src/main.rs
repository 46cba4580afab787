//! The works in candle.
//!
//! Its fused softmax and layer norm have no backward pass, so what is differentiated uses those
//! that are composed; its Adam is AdamW without decay.

mod pooled;
mod rows;
mod transformer;

use candle_core::{Device, Result, Tensor, Var, backprop::GradStore};
use candle_nn::optim::{AdamW, Optimizer, ParamsAdamW};
use harness::inputs::{self, Parameter};
use harness::product::{self, Product};
use harness::{Work, fingerprint};

const MODELS: [&str; 6] = ["plane", "seeds", "full", "decoder", "gpt2-forward", "gpt2-step"];

fn main() {
    let names = [&product::NAMES[..], &harness::rows::NAMES, &MODELS].concat();
    let args: Vec<String> = std::env::args().skip(1).collect();
    harness::main(&args, &names, |name| work(name).expect("shapes fit"));
}

fn work(name: &str) -> Result<Work> {
    match name {
        "plane" => pooled::training(&inputs::PLANE),
        "seeds" => pooled::seeds(&inputs::PLANE),
        "full" => pooled::training(&inputs::FULL),
        "decoder" => transformer::training(),
        "gpt2-forward" => transformer::forward(),
        "gpt2-step" => transformer::step(),
        _ if name.starts_with("gemm") => multiply(Product::named(name)),
        _ => rows::work(name),
    }
}

/// C is a new tensor each time: candle has no other way.
fn multiply(p: Product) -> Result<Work> {
    let matrix = |numbers, [rs, _]: [usize; 2], rows, cols| {
        let transposed = rs == 1;
        let shape = if transposed { (cols, rows) } else { (rows, cols) };
        let x = Tensor::from_vec(numbers, shape, &Device::Cpu)?;
        if transposed { x.t() } else { Ok(x) }
    };
    let a = matrix(p.a.to_vec(), p.a_strides, p.m, p.k)?;
    let b = matrix(p.b.to_vec(), p.b_strides, p.k, p.n)?;
    let check = print(&a.matmul(&b)?)?;
    Ok((check, Box::new(move || _ = a.matmul(&b).expect("as before"))))
}

fn print(x: &Tensor) -> Result<Vec<f64>> {
    Ok(fingerprint(&x.flatten_all()?.to_vec1()?))
}

fn tensor(numbers: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(numbers, shape, &Device::Cpu)
}

fn ids(numbers: Vec<u32>, shape: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(numbers, shape, &Device::Cpu)
}

/// The parameters of a model as they begin.
fn parameters(list: &[Parameter]) -> Result<Vec<Var>> {
    let init = |(i, p): (usize, &Parameter)| Var::from_tensor(&tensor(p.init(i), &p.shape)?);
    list.iter().enumerate().map(init).collect()
}

/// `x W + b`, rows of `x`.
fn project(x: &Tensor, w: &Tensor, b: &Tensor) -> Result<Tensor> {
    x.matmul(w)?.broadcast_add(b)
}

/// Adam on a loss.
struct Training<L> {
    adam: AdamW,
    loss: L,
}

impl<L: FnMut() -> Result<Tensor>> Training<L> {
    fn new(parameters: Vec<Var>, loss: L) -> Result<Self> {
        let params = ParamsAdamW { lr: inputs::RATE, weight_decay: 0.0, ..Default::default() };
        Ok(Training { adam: AdamW::new(parameters, params)?, loss })
    }

    /// Returns the loss before the step.
    fn step(&mut self) -> Result<f64> {
        let loss = (self.loss)()?;
        let grads: GradStore = loss.backward()?;
        self.adam.step(&grads)?;
        Ok(loss.to_scalar::<f32>()?.into())
    }

    /// The mean loss of the first steps and of as many after them.
    fn check(&mut self, steps: usize) -> Result<Vec<f64>> {
        let mut half = || -> Result<f64> {
            let losses = (0..steps).map(|_| self.step()).collect::<Result<Vec<_>>>()?;
            Ok(losses.iter().sum::<f64>() / steps as f64)
        };
        let losses = vec![half()?, half()?];
        self.adam.set_learning_rate(0.0);
        Ok(losses)
    }
}
