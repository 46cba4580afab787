//! A reference of twice the digits: sums of two doubles (Dekker 1971), and functions by their
//! series. Every step has a relative error of some 1e-31.

use std::ops::{Add, Mul, Neg, Sub};

/// `high + low`, where `low` is at most half a unit in the last place of `high`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Double {
    pub(super) high: f64,
    pub(super) low: f64,
}

pub(super) fn double(high: f64) -> Double {
    Double { high, low: 0.0 }
}

/// `a + b` and its rounding error.
fn two_sum(a: f64, b: f64) -> Double {
    let high = a + b;
    let part = high - a;
    Double { high, low: (a - (high - part)) + (b - part) }
}

impl Add for Double {
    type Output = Double;
    fn add(self, other: Double) -> Double {
        let (s, t) = (two_sum(self.high, other.high), two_sum(self.low, other.low));
        let s = two_sum(s.high, s.low + t.high);
        two_sum(s.high, s.low + t.low)
    }
}

impl Neg for Double {
    type Output = Double;
    fn neg(self) -> Double {
        Double { high: -self.high, low: -self.low }
    }
}

impl Sub for Double {
    type Output = Double;
    fn sub(self, other: Double) -> Double {
        self + -other
    }
}

impl Mul for Double {
    type Output = Double;
    fn mul(self, other: Double) -> Double {
        let high = self.high * other.high;
        let low = self.high.mul_add(other.high, -high);
        two_sum(high, low + (self.high * other.low + self.low * other.high))
    }
}

impl Double {
    /// The quotient: that of the high parts, corrected twice.
    fn over(self, other: Double) -> Double {
        let mut q = double(self.high / other.high);
        for _ in 0..2 {
            q = q + double((self - q * other).high / other.high);
        }
        q
    }

    /// `e^self - 1` for |self| < 1, by its series.
    fn rise(self) -> Double {
        let (mut term, mut sum) = (self, self);
        for n in 2..30 {
            term = (term * self).over(double(f64::from(n)));
            sum = sum + term;
        }
        sum
    }

    /// `e^self` as a number near 1 and a power of two.
    fn exp(self) -> (Double, i32) {
        // ln(2) in three parts; the first two have zeros at their ends.
        const LN2: [f64; 3] =
            [0.693_147_180_369_123_8, 1.908_214_928_843_070_3e-10, 4.275_175_589_747_649e-20];
        let n = (self.high * std::f64::consts::LOG2_E).round();
        let r = LN2.iter().fold(self, |r, &part| r - double(n) * double(part));
        (r.rise() + double(1.0), n as i32)
    }
}

/// A value as a `Double` times a power of two.
pub(super) type Exact = (Double, i32);

pub(super) fn exp(x: f64) -> Exact {
    double(x).exp()
}

/// `y + (x e^-y - 1)`, a Newton step from a double, which squares its error.
pub(super) fn ln(x: f64) -> Exact {
    let y = double(x.ln());
    let (e, n) = (-y).exp();
    // By two factors: `2^n` alone may overflow.
    let half = n / 2;
    let x = x * 2f64.powi(half);
    let off = double(x) * e * double(2f64.powi(n - half)) - double(1.0);
    // ln(1 + off), off some 1e-16.
    (y + off - off * off * double(0.5), 0)
}

pub(super) fn tanh(x: f64) -> Exact {
    let twice = double(x) + double(x);
    let w = if x.abs() < 0.4 {
        twice.rise()
    } else {
        let (e, n) = twice.exp();
        e * double(2f64.powi(n)) - double(1.0)
    };
    (w.over(w + double(2.0)), 0)
}

/// `2 / sqrt(pi) e^(-x^2) (x + 2 x^3 / 3 + 4 x^5 / 15 + ..)`: all terms have the same sign.
pub(super) fn erf(x: f64) -> Exact {
    const TWO_BY_ROOT_PI: Double =
        Double { high: std::f64::consts::FRAC_2_SQRT_PI, low: 1.533_545_961_316_588e-17 };
    let square = double(x) * double(x);
    let (mut term, mut sum) = (double(x), double(x));
    for n in 1..200 {
        term = (term * square * double(2.0)).over(double(f64::from(2 * n + 1)));
        sum = sum + term;
    }
    let (e, n) = (-square).exp();
    (sum * e * double(2f64.powi(n)) * TWO_BY_ROOT_PI, 0)
}
