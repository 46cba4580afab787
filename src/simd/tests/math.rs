//! The error bounds of exp, ln, tanh and erf.

use super::{Formula, Machine, apply};
use crate::simd::{Element, Lanes};

struct Exp;
struct Ln;
struct Tanh;
struct Erf;

macro_rules! formula {
    ($($name:ident $method:ident)*) => {$(
        impl<T: Element> Formula<T> for $name {
            fn apply<L: Lanes<Elem = T>>(&self, x: L, _: L, _: L) -> L {
                x.$method()
            }
        }
    )*};
}
formula! { Exp exp Ln ln Tanh tanh Erf erf }

/// How many units in the last place of an `f32` lie between `got` and the exact value.
fn ulps_f32(got: f32, exact: f64) -> f64 {
    if exact.is_nan() || got.is_nan() {
        return if exact.is_nan() && got.is_nan() { 0.0 } else { f64::INFINITY };
    }
    // An infinity stands for the number that would follow the largest one.
    let limit = 2f64.powi(128);
    let (got, exact) = (f64::from(got).clamp(-limit, limit), exact.clamp(-limit, limit));
    let exponent = (exact.abs().max(f64::from(f32::MIN_POSITIVE)).to_bits() >> 52) as i32 - 1023;
    (got - exact).abs() / 2f64.powi(exponent - 23)
}

/// How many doubles lie between two.
fn distance_f64(x: f64, y: f64) -> u64 {
    let order = |x: f64| {
        let bits = x.to_bits() as i64;
        if bits < 0 { i64::MIN - bits } else { bits }
    };
    if x.is_nan() || y.is_nan() { u64::MAX } else { order(x).abs_diff(order(y)) }
}

fn sweep_f32(name: &str, formula: impl Formula<f32>, exact: fn(f64) -> f64, bound: f64) {
    let mut x: Vec<f32> = (0..=u32::MAX).step_by(1021).map(f32::from_bits).collect();
    // Every number around the places where formulas change.
    for edge in
        [0.0f32, 0.625, 1.0, 4.0, 0.5f32.sqrt(), 2f32.sqrt(), 88.72284, -87.33655, -103.97208]
    {
        x.extend(
            (0..2000).map(|i| f32::from_bits(edge.to_bits().wrapping_add(i).wrapping_sub(1000))),
        );
        x.push(-edge);
    }
    x.extend([f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, f32::NAN]);
    let exact: Vec<f64> = x.iter().map(|&x| exact(x.into())).collect();
    for machine in Machine::available() {
        let y = apply(machine, &formula, &x, &x, &x);
        let (worst, at) = (0..x.len())
            .map(|i| (ulps_f32(y[i], exact[i]), i))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .unwrap();
        println!("{name} f32 {machine}: {worst:.3} ulp at {:e}", x[at]);
        assert!(
            worst <= bound,
            "{name}({:e}) on {machine} is {:e}, not {:e}: {worst} ulp",
            x[at],
            y[at],
            exact[at]
        );
    }
}

#[test]
fn exp_f32_within_2_ulp() {
    sweep_f32("exp", Exp, f64::exp, 2.0);
}
#[test]
fn ln_f32_within_2_ulp() {
    sweep_f32("ln", Ln, f64::ln, 2.0);
}
#[test]
fn tanh_f32_within_4_ulp() {
    sweep_f32("tanh", Tanh, f64::tanh, 4.0);
}
#[test]
fn erf_f32_within_4_ulp() {
    sweep_f32("erf", Erf, libm::erf, 4.0);
}

/// The pairs of `tests/fixtures/math_f64.txt` for one function.
fn fixture(name: &str) -> (Vec<f64>, Vec<f64>) {
    let text = include_str!("../../../tests/fixtures/math_f64.txt");
    let number = |hex| f64::from_bits(u64::from_str_radix(hex, 16).unwrap());
    text.lines()
        .skip_while(|line| *line != name)
        .skip(1)
        .map_while(|line| line.split_once(' '))
        .map(|(x, y)| (number(x), number(y)))
        .unzip()
}

fn points_f64(name: &str, formula: impl Formula<f64>, bound: u64) {
    let (mut x, mut exact) = fixture(name);
    assert!(x.len() > 700);
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let at_edges = match name {
        "exp" => [(0.0, 1.0), (-0.0, 1.0), (inf, inf), (-inf, 0.0), (1e300, inf), (-1e300, 0.0)],
        "ln" => [(0.0, -inf), (-0.0, -inf), (inf, inf), (-inf, nan), (-1e-310, nan), (1.0, 0.0)],
        _ => [(0.0, 0.0), (-0.0, -0.0), (inf, 1.0), (-inf, -1.0), (1e300, 1.0), (-1e300, -1.0)],
    };
    for (at, value) in at_edges.into_iter().chain([(nan, nan)]) {
        x.push(at);
        exact.push(value);
    }
    for machine in Machine::available() {
        let y = apply(machine, &formula, &x, &x, &x);
        let mut worst = 0;
        for i in 0..x.len() {
            if exact[i].is_nan() || exact[i] == 0.0 {
                let same =
                    exact[i].is_nan() && y[i].is_nan() || exact[i].to_bits() == y[i].to_bits();
                assert!(
                    same || y[i] == f64::from_bits(1),
                    "{name}({:e}) on {machine} is {:e}, not {:e}",
                    x[i],
                    y[i],
                    exact[i]
                );
                continue;
            }
            let off = distance_f64(y[i], exact[i]);
            assert!(
                off <= bound,
                "{name}({:e}) on {machine} is {:e}, not {:e}",
                x[i],
                y[i],
                exact[i]
            );
            worst = off.max(worst);
        }
        println!("{name} f64 {machine}: {worst} doubles from the rounded result");
    }
}

// One double from the rounded result is at most 1.5 ulp from the exact one.
#[test]
fn exp_f64_within_2_ulp() {
    points_f64("exp", Exp, 1);
}
#[test]
fn ln_f64_within_2_ulp() {
    points_f64("ln", Ln, 1);
}
#[test]
fn tanh_f64_within_4_ulp() {
    points_f64("tanh", Tanh, 3);
}
#[test]
fn erf_f64_within_4_ulp() {
    points_f64("erf", Erf, 3);
}

#[test]
fn tanh_and_erf_are_odd() {
    let x: Vec<f32> = (0..=i32::MAX as u32).step_by(9973).map(f32::from_bits).collect();
    let minus: Vec<f32> = x.iter().map(|x| -x).collect();
    for machine in Machine::available() {
        let odd = |y: Vec<f32>, z: Vec<f32>| {
            y.iter().zip(&z).all(|(y, z)| y.is_nan() && z.is_nan() || y.to_bits() == (-z).to_bits())
        };
        let on = |x: &[f32]| (apply(machine, &Tanh, x, x, x), apply(machine, &Erf, x, x, x));
        let ((t, e), (minus_t, minus_e)) = (on(&x), on(&minus));
        assert!(odd(t, minus_t) && odd(e, minus_e), "on {machine}");
    }
}
