//! A fused operation equals its composition of plain operations, in values and in gradients.

use crate::ops::unary::{self, Unary};
use crate::ops::*;
use crate::simd::{Element, Lanes};
use crate::tape::gradcheck::Points;
use crate::tape::{Ids, Program, Tape, Var};

/// Elementwise functions that the crate has only inside fused operations.
macro_rules! plain {
    ($($name:ident $function:ident: $x:ident => $value:expr, $y:ident => $slope:expr;)*) => {$(
        struct $name;
        impl Unary for $name {
            const NAME: &'static str = stringify!($function);
            #[inline(always)]
            fn value_and_slope<L: Lanes>($x: L) -> (L, L) {
                let $y: L = $value;
                ($y, $slope)
            }
        }
        fn $function(tape: &mut Tape<f64>, x: Var) -> Var {
            unary::record::<f64, $name>(tape, x)
        }
    )*};
}

fn c<L: Lanes>(x: f64) -> L {
    L::splat(L::Elem::from_f64(x))
}

plain! {
    Exp exp: x => x.exp(), y => y;
    Ln ln: x => x.ln(), _y => c::<L>(1.0) / x;
    Erf erf: x => x.erf(), _y => c::<L>(std::f64::consts::FRAC_2_SQRT_PI) * (-(x * x)).exp();
    Root root: x => x.sqrt(), y => c::<L>(0.5) / y;
    Inverse inverse: x => c::<L>(1.0) / x, y => -(y * y);
    Increment increment: x => x + c(1.0), _y => c(1.0);
    Guard guard: x => x + c(EPS), _y => c(1.0);
}

const EPS: f64 = 0.02;
/// The number of rows, and their width: whole vectors of every backend, and a rest.
const N: usize = 5;
const D: usize = 45;

/// Sums along the last axis of `[N, D]`, as a column.
fn row_sums(t: &mut Tape<f64>, x: Var) -> Var {
    let s = sum_axis(t, x, 1);
    t.reshape(s, [N, 1])
}

fn composed_softmax(t: &mut Tape<f64>, x: Var) -> Var {
    let e = exp(t, x);
    let total = row_sums(t, e);
    let share = inverse(t, total);
    mul(t, e, share)
}

/// `log(sum of exp)` of each row, `[N]`.
fn level(t: &mut Tape<f64>, x: Var) -> Var {
    let e = exp(t, x);
    let total = sum_axis(t, e, 1);
    ln(t, total)
}

/// `x` over the root of its guarded mean square.
fn by_root_mean_square(t: &mut Tape<f64>, x: Var, inside: bool) -> Var {
    let squares = mul(t, x, x);
    let total = row_sums(t, squares);
    let mut d = scale(t, total, 1.0 / D as f64);
    if inside {
        d = guard(t, d);
    }
    d = root(t, d);
    if !inside {
        d = guard(t, d);
    }
    let r = inverse(t, d);
    mul(t, x, r)
}

/// A position in each row of `[N, D]`.
struct Places {
    in_row: Ids,
    in_all: Ids,
}

impl Places {
    fn new(tape: &mut Tape<f64>) -> Places {
        Places { in_row: tape.ids([N], D), in_all: tape.ids([N], N * D) }
    }

    fn set(&self, program: &mut Program<f64>) {
        let in_row = [3, 44, 0, 17, 3];
        program.set_ids(self.in_row, &in_row);
        let in_all: Vec<u32> = (0..).zip(in_row).map(|(n, i)| n * D as u32 + i).collect();
        program.set_ids(self.in_all, &in_all);
    }
}

/// Records `y` from the leaves.
type Record = fn(&mut Tape<f64>, &[Var], &Places) -> Var;

/// The operation, the shapes of its leaves, and how each variant is recorded.
fn pairs() -> Vec<(&'static str, Vec<Vec<usize>>, Record, Record)> {
    let (x, row) = (|| vec![N, D], || vec![D]);
    vec![
        ("softmax", vec![x()], |t, x, _| softmax(t, x[0]), |t, x, _| composed_softmax(t, x[0])),
        (
            "layer_norm",
            vec![x(), row(), row()],
            |t, x, _| layer_norm(t, x[0], Some((x[1], x[2])), EPS),
            |t, x, _| {
                let total = row_sums(t, x[0]);
                let mean = scale(t, total, 1.0 / D as f64);
                let centred = sub(t, x[0], mean);
                let normed = by_root_mean_square(t, centred, true);
                let y = mul(t, normed, x[1]);
                add(t, y, x[2])
            },
        ),
        (
            "rms_norm: inside",
            vec![x(), row()],
            |t, x, _| rms_norm(t, x[0], Some(x[1]), Eps::Inside(EPS)),
            |t, x, _| {
                let y = by_root_mean_square(t, x[0], true);
                mul(t, y, x[1])
            },
        ),
        (
            "rms_norm: outside",
            vec![x(), row()],
            |t, x, _| rms_norm(t, x[0], Some(x[1]), Eps::Outside(EPS)),
            |t, x, _| {
                let y = by_root_mean_square(t, x[0], false);
                mul(t, y, x[1])
            },
        ),
        (
            "gelu",
            vec![x()],
            |t, x, _| gelu(t, x[0]),
            |t, x, _| {
                let y = scale(t, x[0], std::f64::consts::FRAC_1_SQRT_2);
                let y = erf(t, y);
                let y = increment(t, y);
                let y = mul(t, x[0], y);
                scale(t, y, 0.5)
            },
        ),
        (
            "gelu_tanh",
            vec![x()],
            |t, x, _| gelu_tanh(t, x[0]),
            |t, x, _| {
                let square = mul(t, x[0], x[0]);
                let cube = mul(t, square, x[0]);
                let cube = scale(t, cube, 0.044715);
                let inner = add(t, x[0], cube);
                let inner = scale(t, inner, (2.0 / std::f64::consts::PI).sqrt());
                let y = tanh(t, inner);
                let y = increment(t, y);
                let y = mul(t, x[0], y);
                scale(t, y, 0.5)
            },
        ),
        (
            "silu",
            vec![x()],
            |t, x, _| silu(t, x[0]),
            |t, x, _| {
                let y = scale(t, x[0], -1.0);
                let y = exp(t, y);
                let y = increment(t, y);
                let y = inverse(t, y);
                mul(t, x[0], y)
            },
        ),
        (
            "cross_entropy",
            vec![x()],
            |t, x, places| cross_entropy(t, x[0], places.in_row),
            |t, x, places| {
                let level = level(t, x[0]);
                let numbers = t.reshape(x[0], [N * D]);
                let at_targets = gather(t, numbers, places.in_all);
                sub(t, level, at_targets)
            },
        ),
        (
            "soft_cross_entropy",
            vec![x(), x()],
            |t, x, _| soft_cross_entropy(t, x[0], x[1]),
            |t, x, _| {
                let level = level(t, x[0]);
                let total = sum_axis(t, x[1], 1);
                let products = mul(t, x[0], x[1]);
                let dots = sum_axis(t, products, 1);
                let y = mul(t, level, total);
                sub(t, y, dots)
            },
        ),
    ]
}

/// The output and the gradient of each leaf.
fn run(shapes: &[Vec<usize>], record: Record) -> Vec<Vec<f64>> {
    let mut tape = Tape::<f64>::new();
    let leaves: Vec<Var> = shapes.iter().map(|dims| tape.leaf("x", dims.clone())).collect();
    let places = Places::new(&mut tape);
    let y = record(&mut tape, &leaves, &places);
    let mut program = tape.finish();
    let plan = program.plan_backward(y, &leaves);
    let mut points = Points::new(11);
    for &x in &leaves {
        // From -3 to 3: where functions bend, but not in their tails.
        let numbers: Vec<f64> =
            points.list(program.value(x).len()).iter().map(|x| 3.0 * x).collect();
        program.set(x, &numbers);
    }
    places.set(&mut program);
    let weights = points.list(program.value(y).len());
    program.forward();
    program.backward_from(&plan, &weights);
    let gradients = leaves.iter().map(|&x| program.grad(x));
    std::iter::once(program.value(y)).chain(gradients).map(<[f64]>::to_vec).collect()
}

#[test]
fn fused_operations_are_their_compositions() {
    for (name, shapes, fused, composed) in pairs() {
        let (fused, composed) = (run(&shapes, fused), run(&shapes, composed));
        for (i, (a, b)) in fused.iter().zip(&composed).enumerate() {
            let size = b.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            assert!(a.len() == b.len() && (0.05..1e3).contains(&size), "{name} {i}: {size}");
            // Sums of D elements or products, and some 20 steps around them, on either side; no
            // step has values larger than 20 times the result's largest.
            let tolerance = 2.0 * (D + 20) as f64 * f64::EPSILON * 20.0 * size;
            for (a, b) in a.iter().zip(b) {
                assert!((a - b).abs() <= tolerance, "{name} {i}: {a}, not {b}, of {size}");
            }
        }
    }
}
