//! The error bounds of exp, ln, tanh, erf and the normal distribution.

use super::double::{self, Exact};
use super::{Backend, Formula, apply};
use crate::simd::{Element, Lanes, emulated};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

struct Exp;
struct Ln;
struct Tanh;
struct Erf;
/// The normal distribution function.
struct Normal;
/// Its density.
struct Density;

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

impl<T: Element> Formula<T> for Normal {
    fn apply<L: Lanes<Elem = T>>(&self, x: L, _: L, _: L) -> L {
        x.normal().0
    }
}
impl<T: Element> Formula<T> for Density {
    fn apply<L: Lanes<Elem = T>>(&self, x: L, _: L, _: L) -> L {
        x.normal().1
    }
}

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

/// How far apart the bits of two values of a sweep are.
fn stride(native: usize) -> usize {
    if emulated() { 64 * native + 1 } else { native }
}

fn sweep_f32(name: &str, formula: impl Formula<f32>, exact: fn(f64) -> f64, bound: f64) {
    let mut x: Vec<f32> = (0..=u32::MAX).step_by(stride(1021)).map(f32::from_bits).collect();
    // Every value around the points where formulas change.
    for edge in [
        0.0f32,
        0.173_286_8,
        1.0,
        4.0,
        10.0,
        0.5f32.sqrt(),
        2f32.sqrt(),
        88.72284,
        -87.33655,
        -103.97208,
    ] {
        x.extend(
            (0..2000).map(|i| f32::from_bits(edge.to_bits().wrapping_add(i).wrapping_sub(1000))),
        );
        x.push(-edge);
    }
    x.extend([f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, f32::NAN]);
    let exact: Vec<f64> = x.iter().map(|&x| exact(x.into())).collect();
    for backend in Backend::available() {
        let y = apply(backend, &formula, &x, &x, &x);
        let (worst, at) = (0..x.len())
            .map(|i| (ulps_f32(y[i], exact[i]), i))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .unwrap();
        println!("{name} f32 {backend}: {worst:.3} ulp at {:e}", x[at]);
        assert!(
            worst <= bound,
            "{name}({:e}) on {backend} is {:e}, not {:e}: {worst} ulp",
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

/// The error grows with the rounding of x^2, the argument of the exponential.
#[test]
fn normal_f32_within_10_ulp_and_more_in_the_tails() {
    let distribution = |x: f64| libm::erfc(-x * FRAC_1_SQRT_2) / 2.0;
    let density = |x: f64| (-x * x / 2.0).exp() * (FRAC_1_SQRT_2 * FRAC_2_SQRT_PI / 2.0);
    let x = (0..=u32::MAX).step_by(stride(1021)).map(f32::from_bits);
    let x: Vec<f32> = x.filter(|x| !x.is_nan()).chain([f32::NAN]).collect();
    for backend in Backend::available() {
        let (y, d) = (apply(backend, &Normal, &x, &x, &x), apply(backend, &Density, &x, &x, &x));
        for ((&x, y), d) in x.iter().zip(y).zip(d) {
            if x.is_nan() {
                assert!(y.is_nan() && d.is_nan(), "{y} and {d} on {backend}");
                continue;
            }
            let exact = f64::from(x);
            let bound = 10.0 + exact * exact;
            // The scalar definition loses all digits where a sum cancels.
            let cancelled = backend == Backend::Scalar && x < 0.0;
            let off = (f64::from(y) - distribution(exact)).abs();
            let close =
                if cancelled { off <= 2e-7 } else { ulps_f32(y, distribution(exact)) <= bound };
            assert!(close, "distribution of {x} on {backend}: {y}");
            let off = ulps_f32(d, density(exact));
            assert!(off <= bound, "density of {x} on {backend}: {d}, {off} ulp");
        }
    }
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

fn points_f64(name: &str, formula: impl Formula<f64>, bound: impl Fn(f64) -> u64) {
    let (mut x, mut exact) = fixture(name);
    assert!(x.len() >= 700);
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let at_edges = match name {
        "exp" => [(0.0, 1.0), (-0.0, 1.0), (inf, inf), (-inf, 0.0), (1e300, inf), (-1e300, 0.0)],
        "normal" => [(0.0, 0.5), (-0.0, 0.5), (inf, 1.0), (-inf, 0.0), (1e300, 1.0), (-1e300, 0.0)],
        "ln" => [(0.0, -inf), (-0.0, -inf), (inf, inf), (-inf, nan), (-1e-310, nan), (1.0, 0.0)],
        _ => [(0.0, 0.0), (-0.0, -0.0), (inf, 1.0), (-inf, -1.0), (1e300, 1.0), (-1e300, -1.0)],
    };
    for (at, value) in at_edges.into_iter().chain([(nan, nan)]) {
        x.push(at);
        exact.push(value);
    }
    // The scalar definition of the normal distribution loses all digits where a sum cancels.
    let sharp = |backend: &Backend| name != "normal" || *backend != Backend::Scalar;
    for backend in Backend::available().filter(sharp) {
        let y = apply(backend, &formula, &x, &x, &x);
        let mut worst = 0;
        for i in 0..x.len() {
            if exact[i].is_nan() || exact[i] == 0.0 {
                let same =
                    exact[i].is_nan() && y[i].is_nan() || exact[i].to_bits() == y[i].to_bits();
                assert!(
                    same || y[i] == f64::from_bits(1),
                    "{name}({:e}) on {backend} is {:e}, not {:e}",
                    x[i],
                    y[i],
                    exact[i]
                );
                continue;
            }
            let off = distance_f64(y[i], exact[i]);
            assert!(
                off <= bound(x[i]),
                "{name}({:e}) on {backend} is {:e}, not {:e}",
                x[i],
                y[i],
                exact[i]
            );
            worst = off.max(worst);
        }
        println!("{name} f64 {backend}: {worst} doubles from the rounded result");
    }
}

// One double from the rounded result is at most 1.5 ulp from the exact one.
#[test]
fn exp_f64_within_2_ulp() {
    points_f64("exp", Exp, |_| 1);
    dense_f64("exp", Exp, double::exp);
}
#[test]
fn ln_f64_within_2_ulp() {
    points_f64("ln", Ln, |_| 1);
    dense_f64("ln", Ln, double::ln);
}
#[test]
fn tanh_f64_within_4_ulp() {
    points_f64("tanh", Tanh, |_| 3);
    dense_f64("tanh", Tanh, double::tanh);
}
#[test]
fn erf_f64_within_4_ulp() {
    points_f64("erf", Erf, |_| 3);
    dense_f64("erf", Erf, double::erf);
}

#[test]
fn normal_f64_within_10_ulp_and_more_in_the_tails() {
    points_f64("normal", Normal, |x| 9 + (x * x).min(1e4) as u64);
}

/// How many units in the last place lie between `got` and the exact value.
fn ulps_f64(got: f64, (exact, exponent): Exact) -> f64 {
    // By two factors: the power itself may overflow.
    let times_power = |x: f64, n: i32| x * 2f64.powi(n / 2) * 2f64.powi(n - n / 2);
    let floor = |x: f64| (x.abs().to_bits() >> 52) as i32 - 1023;
    let unit = (floor(exact.high) + exponent - 52).max(-1074) - exponent;
    let off = (times_power(got, -exponent) - exact.high) - exact.low;
    (off / 2f64.powi(unit)).abs()
}

/// Values of all exponents, and many around the points where formulas change.
fn dense_f64(name: &str, formula: impl Formula<f64>, exact: fn(f64) -> Exact) {
    let bound = if matches!(name, "exp" | "ln") { 2.0 } else { 4.0 };
    let step = if name == "erf" { 1 << 52 } else { 1 << 50 };
    let mut x: Vec<f64> =
        (0..=u64::MAX).step_by(step + 12_345_678_901).map(f64::from_bits).collect();
    let half = std::f64::consts::LN_2 / 2.0;
    let edges = [1.0, 0.4, 22.0, 5.9, 0.5f64.sqrt(), 2f64.sqrt(), 709.78, -708.3, -745.1];
    for edge in (1..60).step_by(2).map(|n| f64::from(n) * half).chain(edges) {
        let at =
            |i: i32| edge * (1.0 + f64::from(i) * 1.7e-11) * if i % 2 == 0 { 1.0 } else { -1.0 };
        x.extend((-15..15).map(at));
    }
    x.retain(|x| match name {
        "exp" => (-745.1..709.78).contains(x) && x.abs() > 1e-18,
        "ln" => *x > 0.0 && x.is_finite() && *x != 1.0,
        "tanh" => (1e-150..22.0).contains(&x.abs()),
        _ => (1e-150..5.9).contains(&x.abs()),
    });
    assert!(x.len() > 1000, "{name}: {}", x.len());
    for backend in Backend::available() {
        let y = apply(backend, &formula, &x, &x, &x);
        let mut worst = 0.0f64;
        for (&x, y) in x.iter().zip(y) {
            let off = ulps_f64(y, exact(x));
            assert!(off <= bound, "{name}({x:e}) on {backend} is {y:e}: {off} ulp");
            worst = worst.max(off);
        }
        println!("{name} f64 {backend}: {worst:.3} ulp");
    }
}

/// The reference itself, against results of 60 digits.
#[test]
fn the_reference_rounds_to_the_fixture() {
    for (name, exact) in [
        ("exp", double::exp as fn(f64) -> Exact),
        ("ln", double::ln),
        ("tanh", double::tanh),
        ("erf", double::erf),
    ] {
        let (x, y) = fixture(name);
        for (x, y) in x.into_iter().zip(y) {
            if x.abs() > 1e-150 && (y - 1.0).abs() > 1e-16 && y.is_finite() {
                let off = ulps_f64(y, exact(x));
                assert!(off <= 0.500_001, "{name}({x:e}) is {y:e}: {off} ulp");
            }
        }
    }
}

#[test]
fn tanh_and_erf_are_odd() {
    let x: Vec<f32> = (0..=i32::MAX as u32).step_by(stride(9973)).map(f32::from_bits).collect();
    let minus: Vec<f32> = x.iter().map(|x| -x).collect();
    for backend in Backend::available() {
        let odd = |y: Vec<f32>, z: Vec<f32>| {
            y.iter().zip(&z).all(|(y, z)| y.is_nan() && z.is_nan() || y.to_bits() == (-z).to_bits())
        };
        let on = |x: &[f32]| (apply(backend, &Tanh, x, x, x), apply(backend, &Erf, x, x, x));
        let ((t, e), (minus_t, minus_e)) = (on(&x), on(&minus));
        assert!(odd(t, minus_t) && odd(e, minus_e), "on {backend}");
    }
}
