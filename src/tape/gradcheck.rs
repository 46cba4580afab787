//! Checks of derivatives: the reverse pass against finite differences, in double precision.
//!
//! For a function `f` of the leaves `x`, random weights `c` on its output and a random direction
//! `v`, the slope of `g(t) = <c, f(x + t v)>` at 0 is `<grad, v>` by the reverse pass. The
//! five-point formula gives it by differences, with an error of order `h^4`.

use super::{Ids, Tape, Var};
use crate::tensor::{Dual, Element, Shape};

/// Records a function of leaves and ids.
pub type Record<T> = fn(&mut Tape<T>, &[Var], &[Ids]) -> Var;

/// Ids of a check: their shape, their limit, and their values.
pub type CheckIds = (Shape, usize, Vec<u32>);

/// A leaf of a check: its shape, and its values at the point of the check.
pub type CheckLeaf = (Shape, Vec<f64>);

/// A function to check, the point at which, and how to record it.
#[derive(Clone)]
pub struct Check {
    /// Its name in messages.
    pub name: &'static str,
    /// The leaves that are differentiated, at the point of the check.
    pub leaves: Vec<CheckLeaf>,
    /// The ids, with their limits.
    pub ids: Vec<CheckIds>,
    /// Records the function on doubles.
    pub double: Record<f64>,
    /// Records the same function on dual numbers.
    pub dual: Record<Dual<f64>>,
}

/// The slopes by the reverse pass and by differences.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The slope along the direction by the reverse pass.
    pub reverse: f64,
    /// The same slope by differences.
    pub differences: f64,
    /// The largest difference between the gradient's tangent and finite differences of gradients,
    /// relative to the largest of the latter.
    pub second_order_error: f64,
    /// The largest of the latter.
    pub second_order_size: f64,
}

impl Outcome {
    /// The relative error of the slope.
    pub fn error(&self) -> f64 {
        (self.reverse - self.differences).abs() / self.differences.abs()
    }
}

/// A cheap, portable generator of values in [-1, 1) for directions and points.
#[derive(Clone, Debug)]
pub struct Points(u64);

impl Points {
    /// A generator for `seed`.
    pub fn new(seed: u64) -> Self {
        Points(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next value (xorshift64*).
    pub fn next_number(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        bits as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// The next `len` values.
    pub fn list(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| self.next_number()).collect()
    }
}

/// The value `<c, f>` and the gradient of every leaf, at the given leaves.
fn evaluate<T: Element>(
    check: &Check,
    record: Record<T>,
    leaves: &[Vec<T>],
    weights: &mut Option<Vec<f64>>,
) -> (T, Vec<T>) {
    let mut tape = Tape::new();
    let vars: Vec<Var> = check.leaves.iter().map(|(s, _)| tape.leaf("x", s.clone())).collect();
    let ids: Vec<Ids> = check.ids.iter().map(|(s, limit, _)| tape.ids(s.clone(), *limit)).collect();
    let out = record(&mut tape, &vars, &ids);
    let mut program = tape.finish();
    let plan = program.plan_backward(out, &vars);
    for (&x, numbers) in vars.iter().zip(leaves) {
        program.set(x, numbers);
    }
    for (&i, (_, _, numbers)) in ids.iter().zip(&check.ids) {
        program.set_ids(i, numbers);
    }
    program.forward();
    let n = program.value(out).len();
    let weights: Vec<T> = weights
        .get_or_insert_with(|| Points::new(7).list(n))
        .iter()
        .map(|&w| T::from_f64(w))
        .collect();
    // Twice: a replay must not depend on the pass before it.
    program.backward_from(&plan, &weights);
    program.forward();
    program.backward_from(&plan, &weights);
    let value = program.value(out).iter().zip(&weights).map(|(&y, &w)| y * w).sum();
    (value, vars.iter().flat_map(|&x| program.grad(x).to_vec()).collect())
}

/// Checks first derivatives against differences of values, and second derivatives (dual numbers
/// through the reverse pass) against differences of gradients, along one random direction.
pub fn run(check: &Check, seed: u64) -> Outcome {
    let mut points = Points::new(seed);
    let direction: Vec<Vec<f64>> = check.leaves.iter().map(|(s, _)| points.list(s.len())).collect();
    let mut weights = None;
    let mut at = |t: f64| {
        let moved: Vec<Vec<f64>> = check
            .leaves
            .iter()
            .zip(&direction)
            .map(|((_, x), v)| x.iter().zip(v).map(|(x, v)| x + t * v).collect())
            .collect();
        evaluate(check, check.double, &moved, &mut weights)
    };
    let h = 1e-3;
    let (_, gradient) = at(0.0);
    let [(fa, ga), (fb, gb), (fc, gc), (fd, gd)] = [-2.0 * h, -h, h, 2.0 * h].map(&mut at);
    let slope = |a: f64, b: f64, c: f64, d: f64| (a - d + 8.0 * (c - b)) / (12.0 * h);
    let flat: Vec<f64> = direction.iter().flatten().copied().collect();
    let duals: Vec<Vec<Dual<f64>>> = check
        .leaves
        .iter()
        .zip(&direction)
        .map(|((_, x), v)| x.iter().zip(v).map(|(&x, &v)| Dual::new(x, v)).collect())
        .collect();
    let (_, second) = evaluate(check, check.dual, &duals, &mut weights);
    let (mut error, mut size) = (0.0f64, 0.0f64);
    for (i, s) in second.iter().enumerate() {
        let want = slope(ga[i], gb[i], gc[i], gd[i]);
        error = error.max((s.tangent - want).abs());
        size = size.max(want.abs());
    }
    Outcome {
        reverse: gradient.iter().zip(&flat).map(|(g, v)| g * v).sum(),
        differences: slope(fa, fb, fc, fd),
        second_order_error: if size > 0.0 { error / size } else { error },
        second_order_size: size,
    }
}
