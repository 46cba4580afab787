//! Functions of rows: operations of the tape, and the kernel of exp, which is none.

use edgegrad::ops;
use edgegrad::simd::{Element, Kernel, Lanes, slice};
use edgegrad::tape::{Program, Tape, Var};
use edgegrad::tensor::Buffer;
use harness::rows::{COLS, ROWS, dy, gain_and_bias, x};
use harness::{Work, fingerprint};
use rayon::prelude::*;

pub fn work(name: &str) -> Work {
    if name == "exp" {
        return exp();
    }
    let mut tape = Tape::<f32>::new();
    let input = tape.leaf("x", [ROWS, COLS]);
    let mut parameters: Vec<Var> = vec![];
    let y = match name.trim_end_matches("-grad") {
        "softmax" => ops::softmax(&mut tape, input),
        "gelu" => ops::gelu_tanh(&mut tape, input),
        "layer-norm" => {
            parameters = ["gain", "bias"].map(|name| tape.leaf(name, [COLS])).to_vec();
            ops::layer_norm(&mut tape, input, Some((parameters[0], parameters[1])), 1e-5)
        }
        other => panic!("no function {other}"),
    };
    let mut program = tape.finish();
    program.set(input, &x());
    for (&x, numbers) in parameters.iter().zip(gain_and_bias()) {
        program.set(x, &numbers);
    }
    if !name.ends_with("-grad") {
        program.forward();
        return (fingerprint(program.value(y)), Box::new(move || program.forward()));
    }
    let plan = program.plan_backward(y, &[&[input], &parameters[..]].concat());
    // As tensors are: a vector of numbers that straddles two lines of the cache costs twice.
    let dy = Buffer::from(&dy()[..]);
    let run = move |program: &mut Program<f32>| {
        program.forward();
        program.backward_from(&plan, &dy);
    };
    run(&mut program);
    let check = fingerprint(program.grad(input));
    (check, Box::new(move || run(&mut program)))
}

struct Exp<'a>(&'a [f32], &'a mut [f32]);

impl Kernel<f32> for Exp<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = f32>>(self) {
        slice::map(
            self.0,
            self.1,
            #[inline(always)]
            |x: L| x.exp(),
        );
    }
}

/// One part for each thread: a function of each number alone has nothing to wait for.
fn exp() -> Work {
    let (x, mut y) = (Buffer::from(&x()[..]), Buffer::zeros(ROWS * COLS));
    let part = (ROWS * COLS).div_ceil(rayon::current_num_threads());
    let run = move |y: &mut [f32]| {
        let parts = x.par_chunks(part).zip(y.par_chunks_mut(part));
        parts.for_each(|(x, y)| f32::vectorize(Exp(x, y)));
    };
    run(&mut y);
    (fingerprint(&y), Box::new(move || run(&mut y)))
}
