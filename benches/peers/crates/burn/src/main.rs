//! The works in burn, on the processor backend that it recommends (Flex).
//!
//! Its softmax and layer norm are fused forward; with gradients it composes them by itself.

mod pooled;
mod rows;
mod transformer;

use burn::module::{Module, Param};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Int, Tensor, TensorData};
use harness::inputs::{self, Parameter};
use harness::product::{self, Product};
use harness::{Work, fingerprint};

const MODELS: [&str; 6] = ["plane", "seeds", "full", "decoder", "gpt2-forward", "gpt2-step"];

fn main() {
    let names = [&product::NAMES[..], &harness::rows::NAMES, &MODELS].concat();
    let args: Vec<String> = std::env::args().skip(1).collect();
    harness::main(&args, &names, |name| match name {
        "plane" => pooled::training(&inputs::PLANE),
        "seeds" => pooled::seeds(&inputs::PLANE),
        "full" => pooled::training(&inputs::FULL),
        "decoder" => transformer::training(),
        "gpt2-forward" => transformer::forward(),
        "gpt2-step" => transformer::step(),
        _ if name.starts_with("gemm") => multiply(Product::named(name)),
        _ => rows::work(name),
    });
}

/// Where tensors are that are recorded if they depend on a parameter, and those that never are.
fn device(differentiated: bool) -> Device {
    if differentiated { Device::flex().autodiff() } else { Device::flex() }
}

/// C is a new tensor each time: burn has no other way.
fn multiply(p: Product) -> Work {
    let matrix = |numbers, [rs, _]: [usize; 2], rows, cols| {
        let transposed = rs == 1;
        let shape = if transposed { [cols, rows] } else { [rows, cols] };
        let x: Tensor<2> = tensor(numbers, shape, &device(false));
        if transposed { x.transpose() } else { x }
    };
    let a = matrix(p.a.to_vec(), p.a_strides, p.m, p.k);
    let b = matrix(p.b.to_vec(), p.b_strides, p.k, p.n);
    let run = move || a.clone().matmul(b.clone());
    (print(&run()), Box::new(move || _ = run()))
}

fn numbers<const D: usize>(x: &Tensor<D>) -> Vec<f32> {
    x.try_to_vec_as().expect("numbers of a processor")
}

fn print<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    fingerprint(&numbers(x))
}

fn tensor<const D: usize>(numbers: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers, shape), device)
}

fn ids<const D: usize>(numbers: Vec<u32>, shape: [usize; D], device: &Device) -> Tensor<D, Int> {
    let numbers: Vec<i64> = numbers.into_iter().map(i64::from).collect();
    Tensor::from_data(TensorData::new(numbers, shape), device)
}

/// The parameters of a model, in order.
#[derive(Module, Debug)]
struct Weights {
    matrices: Vec<Param<Tensor<2>>>,
    vectors: Vec<Param<Tensor<1>>>,
}

impl Weights {
    /// As they begin.
    fn new(list: &[Parameter], device: &Device) -> Self {
        let (mut matrices, mut vectors) = (vec![], vec![]);
        for (i, p) in list.iter().enumerate() {
            let start = p.init(i);
            match p.shape[..] {
                [n] => vectors.push(Param::from_tensor(tensor(start, [n], device))),
                [n, m] => matrices.push(Param::from_tensor(tensor(start, [n, m], device))),
                _ => unreachable!("one axis or two"),
            }
        }
        Weights { matrices, vectors }
    }

    /// All matrices, in order.
    fn matrices(&self) -> impl Iterator<Item = Tensor<2>> {
        self.matrices.iter().map(Param::val)
    }

    /// All vectors, in order.
    fn vectors(&self) -> impl Iterator<Item = Tensor<1>> {
        self.vectors.iter().map(Param::val)
    }
}

/// Adam on a loss.
struct Training<L> {
    /// `None` within a step only: the optimizer takes the weights and gives them back.
    weights: Option<Weights>,
    adam: ModuleOptimizer,
    rate: f64,
    loss: L,
}

impl<L: FnMut(&Weights) -> Tensor<1>> Training<L> {
    fn new(weights: Weights, loss: L) -> Self {
        let adam = AdamConfig::new().with_epsilon(1e-8).init();
        Training { weights: Some(weights), adam, rate: inputs::RATE, loss }
    }

    /// Returns the loss before the step.
    fn step(&mut self) -> f64 {
        let weights = self.weights.take().expect("the last step gave them back");
        let loss = (self.loss)(&weights);
        let grads = GradientsParams::from_grads(loss.backward(), &weights);
        self.weights = Some(self.adam.step(self.rate, weights, grads));
        loss.into_scalar::<f32>().into()
    }

    /// The mean loss of the first steps and of as many after them.
    fn check(&mut self, steps: usize) -> Vec<f64> {
        let mut half = || (0..steps).map(|_| self.step()).sum::<f64>() / steps as f64;
        let losses = vec![half(), half()];
        self.rate = 0.0;
        losses
    }
}

/// GELU by tanh. burn's `gelu_approximate` takes a power for the cube, and a third longer.
fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let inner = x.clone() + x.clone().square() * x.clone() * 0.044715;
    x * ((inner * std::f64::consts::FRAC_2_PI.sqrt()).tanh() + 1.0) * 0.5
}
