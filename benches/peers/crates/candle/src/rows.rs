//! Functions of rows.

use crate::{print, tensor};
use candle_core::{D, Result, Tensor, Var};
use candle_nn::ops;
use harness::Work;
use harness::rows::{COLS, ROWS, dy, gain_and_bias, x};

pub fn work(name: &str) -> Result<Work> {
    let differentiated = name.ends_with("-grad");
    let leaf = |numbers, shape: &[usize]| -> Result<Tensor> {
        let x = tensor(numbers, shape)?;
        // Variables are recorded, plain tensors are not.
        if differentiated { Ok(Var::from_tensor(&x)?.as_tensor().clone()) } else { Ok(x) }
    };
    let x = leaf(x(), &[ROWS, COLS])?;
    let [gain, bias] = gain_and_bias();
    let (gain, bias) = (leaf(gain, &[COLS])?, leaf(bias, &[COLS])?);
    let (input, function) = (x.clone(), name.to_owned());
    let forward = move || match &*function {
        "exp" => x.exp(),
        "softmax" => ops::softmax_last_dim(&x),
        "softmax-grad" => ops::softmax(&x, D::Minus1),
        "layer-norm" => ops::layer_norm(&x, &gain, &bias, 1e-5),
        "layer-norm-grad" => ops::layer_norm_slow(&x, &gain, &bias, 1e-5),
        "gelu" | "gelu-grad" => x.gelu(),
        other => panic!("no function {other}"),
    };
    if !differentiated {
        return Ok((print(&forward()?)?, Box::new(move || _ = forward().expect("as before"))));
    }
    let dy = tensor(dy(), &[ROWS, COLS])?;
    // Gradients start as ones: this is one product more each way than elsewhere.
    let run = move || (forward()? * &dy)?.backward();
    let grads = run()?;
    let check = print(grads.get(&input).expect("it is a variable"))?;
    Ok((check, Box::new(move || _ = run().expect("as before"))))
}
