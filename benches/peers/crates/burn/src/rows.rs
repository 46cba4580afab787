//! Functions of rows.

use crate::{device, gelu, print, tensor};
use burn::tensor::{Tensor, activation, module};
use harness::Work;
use harness::rows::{COLS, ROWS, dy, gain_and_bias, x};

pub fn work(name: &str) -> Work {
    let differentiated = name.ends_with("-grad");
    let device = device(differentiated);
    let [gain, bias] = gain_and_bias();
    let x = leaf(tensor(x(), [ROWS, COLS], &device), differentiated);
    let gain = leaf(tensor(gain, [COLS], &device), differentiated);
    let bias = leaf(tensor(bias, [COLS], &device), differentiated);
    let (input, function) = (x.clone(), name.trim_end_matches("-grad").to_owned());
    let forward = move || -> Tensor<2> {
        let x = x.clone();
        match &*function {
            "exp" => x.exp(),
            "softmax" => activation::softmax(x, 1),
            "layer-norm" => module::layer_norm(x, gain.clone(), Some(bias.clone()), 1e-5),
            "gelu" => gelu(x),
            other => panic!("no function {other}"),
        }
    };
    if !differentiated {
        return (print(&forward()), Box::new(move || _ = forward()));
    }
    let dy = tensor(dy(), [ROWS, COLS], &device);
    // Gradients start as ones: this is one product more each way than elsewhere.
    let run = move || (forward() * dy.clone()).backward();
    let check = print(&input.grad(&run()).expect("it is a leaf"));
    (check, Box::new(move || _ = run()))
}

fn leaf<const D: usize>(x: Tensor<D>, differentiated: bool) -> Tensor<D> {
    if differentiated { x.require_grad() } else { x }
}
