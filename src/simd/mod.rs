//! Vectors of numbers: every kernel is written once and runs on the machine at hand.
//!
//! A kernel is a struct that holds its slices and implements [`Kernel`] for any [`Lanes`], a
//! vector of `N` numbers. [`Element::vectorize`] runs it with the widest lanes this processor has:
//! AVX-512, AVX2 + FMA, or what every processor has. The choice is made once ([`machine`]) at run time, so a
//! plain `cargo build` is as fast as one with `target-cpu=native`; `EDGEGRAD_SIMD` forces one.
//!
//! The same source therefore serves `f32`, `f64` and, through the one-lane [`Scalar`], every other
//! [`Element`], such as dual numbers; `Scalar` is also the oracle the fast lanes are tested against.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod element;
mod fit;
mod machine;
mod math;
mod portable;
mod prefetch;
pub(crate) mod rows;
mod scalar;
pub mod slice;
mod wrap;

pub use element::Element;
pub use machine::{Machine, machine};
pub(crate) use prefetch::prefetch;
pub use scalar::Scalar;

use std::ops::{Add, Div, Mul, Neg, Sub};

/// `N` numbers that are computed on together.
///
/// Every method is `#[inline(always)]` in its implementations: it has to dissolve into the function
/// that carries the machine's `#[target_feature]`s. Write closures that take lanes with
/// `#[inline(always)]` too.
pub trait Lanes:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The number in one lane.
    type Elem: Element;
    /// How many lanes there are.
    const N: usize;
    /// Rows of the matrix-product tile that keeps the accumulators in registers.
    const MR: usize;
    /// Vectors per row of that tile: it is `MR` x `NV * N`.
    const NV: usize;

    /// All lanes hold `x`.
    fn splat(x: Self::Elem) -> Self;
    /// All lanes hold the number nearest to `x`.
    #[inline(always)]
    fn constant(x: f64) -> Self {
        Self::splat(Self::Elem::from_f64(x))
    }
    /// The first `N` numbers of `xs`. Panics if there are fewer.
    fn load(xs: &[Self::Elem]) -> Self;
    /// All of `xs`, at most `N` numbers; the lanes behind them hold `fill`.
    fn load_partial(xs: &[Self::Elem], fill: Self::Elem) -> Self;
    /// Writes the first `N` numbers of `out`. Panics if there are fewer.
    fn store(self, out: &mut [Self::Elem]);
    /// Writes all of `out`, at most `N` numbers.
    fn store_partial(self, out: &mut [Self::Elem]);

    /// `self * a + b`, in one rounding where the machine can.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// The larger of both, lane by lane. Unspecified for NaN.
    fn max(self, other: Self) -> Self;
    /// The smaller of both, lane by lane. Unspecified for NaN.
    fn min(self, other: Self) -> Self;
    /// The absolute value.
    fn abs(self) -> Self;
    /// The square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// `yes` where `self > other`, else `no`, lane by lane; `no` for NaN.
    fn select_gt(self, other: Self, yes: Self, no: Self) -> Self;

    /// e to the power of `self`; at most 2 ulp off.
    fn exp(self) -> Self;
    /// The natural logarithm; at most 2 ulp off.
    fn ln(self) -> Self;
    /// The hyperbolic tangent; at most 4 ulp off.
    fn tanh(self) -> Self;
    /// The error function; at most 4 ulp off.
    fn erf(self) -> Self;

    /// The normal distribution function and its density; at most `10 + self^2` ulp off, where the
    /// square is that of what the exponential loses. [`Scalar`]'s is as exact beside 1 instead.
    fn normal(self) -> (Self, Self);

    /// The sum of all lanes, in a fixed order.
    fn sum(self) -> Self::Elem;
    /// The largest lane.
    fn max_lane(self) -> Self::Elem;

    /// Turns a square of `N` rows around: `to[k * to_stride + i] = from[i * stride + k]`.
    ///
    /// # Panics
    /// If a row lies outside its slice.
    #[inline(always)]
    fn transpose(from: &[Self::Elem], stride: usize, to: &mut [Self::Elem], to_stride: usize) {
        for i in 0..Self::N {
            for (k, &x) in from[i * stride..][..Self::N].iter().enumerate() {
                to[k * to_stride + i] = x;
            }
        }
    }

    /// The same, held in a register: used more than once, the compiler must not read it anew each
    /// time, as it does where an instruction can take a number of memory for all lanes.
    #[inline(always)]
    #[must_use]
    fn pinned(self) -> Self {
        self
    }

    /// Runs `kernel` with these lanes in a function of its own, so that the compiler allocates
    /// registers for it alone.
    fn outline<K: Kernel<Self::Elem>>(kernel: K) -> K::Output;
}

/// Rows up to this width are done with [`Scalar`]: what a vector needs to be filled in part and
/// summed over its lanes costs more than the few numbers it holds.
pub const NARROW: usize = 4;

/// A computation over slices that any [`Lanes`] can carry out; run it with [`Element::vectorize`].
pub trait Kernel<T: Element> {
    /// What it returns beside the slices it writes.
    type Output;
    /// The computation. Implement it `#[inline(always)]`.
    fn run<L: Lanes<Elem = T>>(self) -> Self::Output;
}

/// Whether `N` rows of `N` numbers, `stride` apart, lie in `len` numbers: what the fast forms of
/// [`Lanes::transpose`] rely on.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn square_fits<L: Lanes>(len: usize, stride: usize) -> bool {
    stride.checked_mul(L::N - 1).is_some_and(|last| len >= L::N && last <= len - L::N)
}

#[cfg(test)]
mod tests;
