//! exp, ln, tanh, erf and the normal distribution, written once over lanes of `f32` and `f64`.
//!
//! Each reduces its argument to a short interval, evaluates a polynomial there and undoes the
//! reduction; where two intervals need two formulas, both are computed and one is selected. The
//! polynomials are weighted minimax fits made by `benches/fit/fit.py`.
//!
//! Over the whole range, against the exact value: exp and ln at most 2 ulp, tanh and erf at most
//! 4 ulp. Results of exp below the smallest normal value lose bits gradually, as they should.
//! tanh and erf are odd to the last bit. NaN comes back as NaN.

use super::fit::Fit;
use super::{Element, Lanes};

/// What these functions need of lanes beyond [`Lanes`].
pub(super) trait Bits: Lanes<Elem: Fit> {
    /// Bitwise and.
    fn and(self, other: Self) -> Self;
    /// Bitwise or.
    fn or(self, other: Self) -> Self;
    /// `self * 2^n` for a whole `n`, rounded once, with gradual underflow. `self` lies between 1/2
    /// and 2, and `n` is at most 3 beyond the range of exponents.
    fn scale(self, n: Self) -> Self;
    /// `(m, e)` with `self = m * 2^e` and `1 <= m < 2`, for finite `self > 0`.
    fn split(self) -> (Self, Self);
    /// The smaller of both; NaN stays NaN.
    #[inline(always)]
    fn at_most(self, limit: Self) -> Self {
        self.select_gt(limit, limit, self)
    }
    /// The larger of both; NaN stays NaN.
    #[inline(always)]
    fn at_least(self, limit: Self) -> Self {
        limit.select_gt(self, limit, self)
    }
}

/// Moves between a whole number in the low bits and the exponent field, for instruction sets that
/// need it to [`scale_by_bits`] and [`split_by_bits`].
pub(super) trait Shift: Bits {
    /// The bits, shifted left until the lowest one is the lowest of the exponent.
    fn shift_up(self) -> Self;
    /// The bits, shifted right until the lowest of the exponent is the lowest one.
    fn shift_down(self) -> Self;
}

/// All lanes hold `x`.
#[inline(always)]
fn c<L: Bits>(x: f64) -> L {
    L::splat(L::Elem::from_f64(x))
}

/// The polynomial with these coefficients, the lowest first.
#[inline(always)]
fn poly<L: Bits>(x: L, coefficients: &[L::Elem]) -> L {
    let (&last, rest) = coefficients.split_last().expect("a polynomial has coefficients");
    rest.iter().rev().fold(L::splat(last), |sum, &k| sum.mul_add(x, L::splat(k)))
}

/// The nearest whole number, for |x| far below the number of mantissa values.
#[inline(always)]
fn round<L: Bits>(x: L) -> L {
    // Adding 1.5 * 2^mantissa_bits leaves no bits behind the point; the processor rounds.
    let shift = L::splat(L::Elem::SHIFT);
    (x + shift) - shift
}

/// [`Bits::scale`] from integer shifts.
#[inline(always)]
pub(super) fn scale_by_bits<L: Shift>(x: L, n: L) -> L {
    // 2^n itself may overflow, so half of it twice; only the second product can round.
    let half = round(n * c(0.5));
    x * power(half) * power(n - half)
}

/// 2^n, by putting n into the exponent field.
#[inline(always)]
fn power<L: Shift>(n: L) -> L {
    (n + L::splat(L::Elem::SHIFT) + L::splat(L::Elem::BIAS)).shift_up()
}

/// [`Bits::split`] from integer shifts.
#[inline(always)]
pub(super) fn split_by_bits<L: Shift>(x: L) -> (L, L) {
    // Subnormal values have no exponent of their own: scale them up first.
    let tiny = L::splat(L::Elem::MIN_NORMAL);
    let lifted = tiny.select_gt(x, x * L::splat(L::Elem::LIFT), x);
    let lift = tiny.select_gt(x, L::splat(L::Elem::LIFT_EXPONENT), c(0.0));
    // A whole number below the exponent 2^mantissa_bits counts units.
    let unit = L::splat(L::Elem::UNIT);
    let exponent = lifted.shift_down().or(unit) - unit;
    let mantissa = lifted.and(L::splat(L::Elem::MANTISSA)).or(c(1.0));
    (mantissa, exponent - L::splat(L::Elem::BIAS) - lift)
}

/// e^x = 2^n e^r with n whole and |r| <= ln(2)/2.
#[inline(always)]
pub(super) fn exp<L: Bits>(x: L) -> L {
    // Beyond these the result is infinite or zero anyway, and n would overflow. NaN passes.
    let (low, high) = (L::splat(L::Elem::EXP_LOW), L::splat(L::Elem::EXP_HIGH));
    let (n, r) = reduce(x.at_most(high).at_least(low));
    rise(r).mul_add(r, c(1.0)).scale(n)
}

/// `(n, r)` of [`exp`].
#[inline(always)]
fn reduce<L: Bits>(x: L) -> (L, L) {
    // As in `round`, with the product in the same step.
    let shift = L::splat(L::Elem::SHIFT);
    let n = x.mul_add(c(std::f64::consts::LOG2_E), shift) - shift;
    // ln(2) in two parts; n times the high one is exact.
    let r = n.mul_add(-L::splat(L::Elem::LN2_HIGH), x);
    (n, n.mul_add(-L::splat(L::Elem::LN2_LOW), r))
}

/// (e^r - 1) / r.
#[inline(always)]
fn rise<L: Bits>(r: L) -> L {
    poly(r, L::Elem::EXP).mul_add(r, c(1.0))
}

/// ln(m 2^e) = e ln(2) + ln(1 + f) with m = 1 + f between sqrt(1/2) and sqrt(2).
///
/// With s = f / (2 + f), ln(1 + f) = 2 atanh(s) = 2 s + s r = f - (f^2/2 - s (f^2/2 + r)), which
/// keeps f, the leading term, free of rounding.
#[inline(always)]
pub(super) fn ln<L: Bits>(x: L) -> L {
    let (m, e) = x.split();
    let root = c(std::f64::consts::SQRT_2);
    let e = m.select_gt(root, e + c(1.0), e);
    let f = m.select_gt(root, m * c(0.5), m) - c(1.0);
    let s = f / (f + c(2.0));
    let z = s * s;
    let r = z * poly(z, L::Elem::LN);
    let half = f * f * c(0.5);
    let low = s.mul_add(half + r, e * L::splat(L::Elem::LN2_LOW));
    let y = e.mul_add(L::splat(L::Elem::LN2_HIGH), f - (half - low));

    let (zero, infinity) = (c::<L>(0.0), c::<L>(f64::INFINITY));
    // -infinity at 0; NaN stays NaN.
    let edge = zero.select_gt(x, c(f64::NAN), x - infinity);
    let y = x.select_gt(zero, y, edge);
    x.select_gt(L::splat(L::Elem::MAX), infinity, y)
}

/// tanh(x) = w / (w + 2) with w = e^(2x) - 1 = 2^n (e^r - 1) + (2^n - 1), which does not cancel:
/// where n = 0 only the first term is left.
#[inline(always)]
pub(super) fn tanh<L: Bits>(x: L) -> L {
    let y = x.abs();
    // Beyond the end the result is 1. NaN passes.
    let end = L::splat(L::Elem::TANH_END);
    let y = y.at_most(end);
    let (n, r) = reduce(y + y);
    let power = c::<L>(1.0).scale(n);
    let w = power.mul_add(rise(r) * r, power - c(1.0));
    with_sign_of(w / (w + c(2.0)), x)
}

/// erf(x) = x plus an odd polynomial for |x| < 1, and 1 - e^(-p(|x|)) beyond.
#[inline(always)]
pub(super) fn erf<L: Bits>(x: L) -> L {
    let y = x.abs();
    let small = y.mul_add(poly(y * y, L::Elem::ERF), y);
    // Beyond the end of the fit the result is 1. NaN passes.
    let end = L::splat(L::Elem::ERFC_END);
    let v = y.at_most(end) - c(2.5);
    let large = c::<L>(1.0) - exp(-poly(v, L::Elem::ERFC));
    with_sign_of(c::<L>(1.0).select_gt(y, small, large), x)
}

/// The normal distribution function F and its density.
///
/// With a = |x| and t = 1 / (a + k), F(-a) = e^(-a^2/2) t p(1 - 2 k t): a polynomial on a finite
/// interval for all a, and one exponential for both results.
#[inline(always)]
pub(super) fn normal<L: Bits>(x: L) -> (L, L) {
    let k = L::Elem::NORMAL_K;
    let one = c::<L>(1.0);
    let t = one / (x.abs() + L::splat(k));
    let q = t.mul_add(L::splat(-(k + k)), one);
    let e = exp(x * x * c(-0.5));
    let tail = e * (poly(q, L::Elem::NORMAL) * t);
    let root = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2 * 0.5;
    (x.select_gt(c(0.0), one - tail, tail), e * c(root))
}

/// `y >= 0` with the sign of `x`.
#[inline(always)]
fn with_sign_of<L: Bits>(y: L, x: L) -> L {
    y.or(x.and(c(-0.0)))
}
