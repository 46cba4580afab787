//! The bits of large operations do not depend on the number of threads.

use crate::nn::{Optimizer, Rule};
use crate::ops::*;
use crate::tape::gradcheck::Points;
use crate::tape::{Tape, Var};

/// The shapes of the leaves, and how the operation is recorded.
type Case = (&'static str, Vec<Vec<usize>>, fn(&mut Tape<f32>, &[Var]) -> Var);

/// Rows enough for several tasks, which no number of threads divides evenly.
const ROWS: usize = 487;
const WIDTH: usize = 1097;

fn cases() -> Vec<Case> {
    let x = || vec![ROWS, WIDTH];
    vec![
        ("softmax", vec![x()], |t, x| softmax(t, x[0])),
        ("causal_softmax", vec![vec![3, 421, 421]], |t, x| causal_softmax(t, x[0])),
        ("layer_norm", vec![x(), vec![WIDTH], vec![WIDTH]], |t, x| {
            layer_norm(t, x[0], Some((x[1], x[2])), 1e-5)
        }),
        ("layer_norm: plain", vec![x()], |t, x| layer_norm(t, x[0], None, 1e-5)),
        ("rms_norm", vec![x(), vec![WIDTH]], |t, x| {
            rms_norm(t, x[0], Some(x[1]), Eps::Outside(1e-5))
        }),
        ("gelu", vec![x()], |t, x| gelu(t, x[0])),
        ("gelu_tanh", vec![x()], |t, x| gelu_tanh(t, x[0])),
        ("silu", vec![x()], |t, x| silu(t, x[0])),
        ("scale", vec![x()], |t, x| scale(t, x[0], 0.3)),
        ("mul", vec![x(), x()], |t, x| mul(t, x[0], x[1])),
        ("mul: a row", vec![x(), vec![WIDTH]], |t, x| mul(t, x[0], x[1])),
        ("mul: a column", vec![x(), vec![ROWS, 1]], |t, x| mul(t, x[0], x[1])),
        ("mul: a plane", vec![vec![7, 70, WIDTH], vec![70, WIDTH]], |t, x| mul(t, x[0], x[1])),
        ("add: a row", vec![x(), vec![WIDTH]], |t, x| add(t, x[0], x[1])),
        ("sum", vec![x()], |t, x| sum(t, x[0])),
        ("sum_axis: rows", vec![x()], |t, x| sum_axis(t, x[0], 0)),
        ("sum_axis: columns", vec![x()], |t, x| sum_axis(t, x[0], 1)),
        ("linear", vec![x(), vec![9, WIDTH], vec![9]], |t, x| linear(t, x[0], x[1], Some(x[2]))),
        ("linear: wide", vec![vec![ROWS, 9], vec![WIDTH, 9], vec![WIDTH]], |t, x| {
            linear(t, x[0], x[1], Some(x[2]))
        }),
        ("soft_cross_entropy", vec![x(), x()], |t, x| soft_cross_entropy(t, x[0], x[1])),
        ("cross_entropy", vec![x()], |t, x| {
            let ids = t.ids([ROWS], WIDTH);
            cross_entropy(t, x[0], ids)
        }),
        ("bag", vec![vec![4, 33], vec![ROWS, 40]], |t, x| {
            let ids = t.ids([ROWS, 40], 4);
            bag(t, x[0], x[1], ids)
        }),
        ("rotary", vec![vec![5, 101, 1200]], |t, x| {
            let options = &Rotary::new(60, 1e4);
            rotary(t, x[0], 10, 100, options)
        }),
        ("attention", vec![vec![5, 130, 8 * 32]], |t, x| {
            attention(t, x[0], Attention::plain([4, 2, 32], true, 0.3))
        }),
        ("attention: one long sequence", vec![vec![1, 2100, 3 * 8]], |t, x| {
            attention(t, x[0], Attention::plain([1, 1, 8], false, 0.3))
        }),
    ]
}

/// The bits of the output and of all gradients.
fn bits((_, shapes, record): &Case, threads: usize) -> Vec<Vec<u32>> {
    let mut tape = Tape::<f32>::new();
    let leaves: Vec<Var> = shapes.iter().map(|dims| tape.leaf("x", dims.clone())).collect();
    let y = record(&mut tape, &leaves);
    let mut program = tape.finish();
    let plan = program.plan_backward(y, &leaves);
    let mut points = Points::new(5);
    let mut list = |n| points.list(n).into_iter().map(|x| x as f32).collect::<Vec<_>>();
    for &x in &leaves {
        let numbers = list(program.value(x).len());
        program.set(x, &numbers);
    }
    let weights = list(program.value(y).len());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| {
        // Twice: nothing of the first pass may remain in the second.
        for _ in 0..2 {
            program.forward();
            program.backward_from(&plan, &weights);
        }
    });
    let all = std::iter::once(program.value(y)).chain(leaves.iter().map(|&x| program.grad(x)));
    all.map(|numbers| numbers.iter().map(|x| x.to_bits()).collect()).collect()
}

#[test]
fn operations_give_the_same_bits_on_any_number_of_threads() {
    for case in cases() {
        let one = bits(&case, 1);
        // Most gradients are not zero, so the comparison means something.
        for numbers in &one {
            let used = numbers.iter().filter(|&&x| f32::from_bits(x).abs() > 1e-6).count();
            assert!(10 * used > numbers.len(), "{}: {used} of {}", case.0, numbers.len());
        }
        for threads in [2, 3] {
            assert!(one == bits(&case, threads), "{} on {threads} threads", case.0);
        }
    }
}

#[test]
fn optimizers_give_the_same_bits_on_any_number_of_threads() {
    let (betas, eps, weight_decay) = ([0.9, 0.999], 1e-8, 0.1);
    for rule in [
        Rule::Adam { betas, eps, weight_decay },
        Rule::Sgd { momentum: 0.0, weight_decay },
        Rule::Sgd { momentum: 0.9, weight_decay },
    ] {
        let run = |threads| {
            let n = ROWS * WIDTH;
            let mut points = Points::new(7);
            let mut list = || points.list(n).into_iter().map(|x| x as f32).collect::<Vec<_>>();
            let (mut x, gradient) = (list(), list());
            let mut optimizer = Optimizer::<f32>::new(rule, [n]);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads").install(|| {
                for _ in 0..2 {
                    optimizer.begin_step();
                    optimizer.update(0, 1e-2, &mut x, &gradient);
                }
            });
            x.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3), "{rule:?}");
    }
}
