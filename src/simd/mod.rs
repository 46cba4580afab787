//! Vectors of elements: every kernel is written once and runs on the best instruction set at hand.
//!
//! A kernel is a struct that holds its slices and implements [`Kernel`] for any [`Lanes`], a vector
//! of `N` elements. [`Element::vectorize`] runs it with the widest lanes of this processor:
//! AVX-512, AVX2 with FMA, NEON, or the portable ones. [`backend`] chooses once, at run time, so a
//! plain `cargo build` is as fast as one with `target-cpu=native`; `EDGEGRAD_SIMD` forces a
//! backend.
//!
//! The same source serves `f32`, `f64` and, through the one-lane [`Scalar`], every other
//! [`Element`], such as dual numbers. `Scalar` is also the oracle of the tests.
//!
//! **Why structs.** One `#[target_feature]` function for each backend carries all kernels, and each
//! is inlined into it. A table of function pointers would need an entry for each kernel and
//! backend, by hand. Automatic vectorisation does not vectorise reductions, because it may not
//! change their order.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod backend;
mod element;
mod fit;
mod half;
mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod prefetch;
pub(crate) mod rows;
mod scalar;
pub mod slice;
mod wrap;

pub use backend::{Backend, Unavailable, asked, backend};
pub use element::Element;
pub use half::Half;
pub(crate) use prefetch::{prefetch, prefetch_far};
pub use scalar::Scalar;

use std::ops::{Add, Div, Mul, Neg, Sub};

/// A vector of `N` elements and its arithmetic.
///
/// Every method is `#[inline(always)]` in its implementations: it must be inlined into the function
/// that carries the backend's `#[target_feature]`s. Write closures that take lanes with
/// `#[inline(always)]` too.
pub trait Lanes:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The type of a lane.
    type Elem: Element;
    /// How many lanes there are.
    const N: usize;
    /// MR: rows of the micro-kernel's tile, so that its accumulators fit in registers.
    const MR: usize;
    /// Vectors in a row of that tile: NR is `NV * N`.
    const NV: usize;
    /// Whether a multiply-add takes a lane as its factor, so that [`Lanes::add_outer`] broadcasts
    /// nothing. Strips of A are packed for such lanes, column after column.
    const LANES_AS_FACTORS: bool = false;

    /// All lanes hold `x`.
    fn splat(x: Self::Elem) -> Self;
    /// All lanes hold the element nearest to `x`.
    #[inline(always)]
    fn constant(x: f64) -> Self {
        Self::splat(Self::Elem::from_f64(x))
    }
    /// The first `N` elements of `xs`. Panics if there are fewer.
    fn load(xs: &[Self::Elem]) -> Self;
    /// The first `N` numbers of `xs`, widened. Panics if there are fewer.
    #[inline(always)]
    fn load_half(xs: &[u16], format: Half) -> Self {
        let mut wide = [Self::Elem::ZERO; LONGEST];
        let numbers = wide[..Self::N].iter_mut().zip(&xs[..Self::N]);
        numbers.for_each(|(to, &bits)| *to = format.element(bits));
        Self::load(&wide)
    }
    /// All of `xs`, at most `N` elements; the remaining lanes hold `fill`.
    fn load_partial(xs: &[Self::Elem], fill: Self::Elem) -> Self;
    /// Writes the first `N` elements of `out`. Panics if there are fewer.
    fn store(self, out: &mut [Self::Elem]);
    /// Writes all of `out`, at most `N` elements.
    fn store_partial(self, out: &mut [Self::Elem]);

    /// `self * a + b`, rounded once where the instruction set can.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// The outer product of the lanes of `self` and `row`, added to `sums`:
    /// `sums[i][v] += self[i] * row[v]` for the `N` lanes i, each a [`Lanes::mul_add`].
    #[inline(always)]
    fn add_outer<const V: usize>(self, row: &[Self; V], sums: &mut [[Self; V]]) {
        for (i, sums) in sums[..Self::N].iter_mut().enumerate() {
            let mut lanes = [Self::Elem::ZERO; LONGEST];
            self.store(&mut lanes);
            let x = Self::splat(lanes[i]);
            for (sum, &y) in sums.iter_mut().zip(row) {
                *sum = x.mul_add(y, *sum);
            }
        }
    }
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

    /// The normal distribution function and its density; at most `10 + self^2` ulp off. The square
    /// comes from the rounding of the exponential's argument. [`Scalar`] is instead exact relative
    /// to 1.
    fn normal(self) -> (Self, Self);

    /// The sum of all lanes, in a fixed order.
    fn sum(self) -> Self::Elem;
    /// The largest lane.
    fn max_lane(self) -> Self::Elem;

    /// Transposes an `N` x `N` block: `to[k * to_stride + i] = from[i * stride + k]`.
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

    /// The same value, kept in a register. Without it the compiler reloads an element that is used
    /// more than once, where an instruction can broadcast from memory.
    #[inline(always)]
    #[must_use]
    fn pinned(self) -> Self {
        self
    }

    /// Runs `kernel` with these lanes in a function of its own, so that the compiler allocates
    /// registers for it alone.
    fn outline<K: Kernel<Self::Elem>>(kernel: K) -> K::Output;
}

/// Lanes of the longest vector.
const LONGEST: usize = 16;

/// Rows up to this width use [`Scalar`]: filling a vector in part and summing over its lanes costs
/// more than the few elements it holds. A kernel becomes that of [`Scalar`] within its own
/// function, where the compiler knows this bound: as a function of its own a norm took 1.5 times
/// the instructions.
pub const NARROW: usize = 4;

/// A computation over slices, for any [`Lanes`]; run it with [`Element::vectorize`].
pub trait Kernel<T: Element> {
    /// What it returns, besides the slices it writes.
    type Output;
    /// The computation. Implement it `#[inline(always)]`.
    fn run<L: Lanes<Elem = T>>(self) -> Self::Output;
}

/// Whether `N` rows of `N` elements, `stride` apart, lie within `len` elements: what the fast forms
/// of [`Lanes::transpose`] rely on.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
fn square_fits<L: Lanes>(len: usize, stride: usize) -> bool {
    stride.checked_mul(L::N - 1).is_some_and(|last| len >= L::N && last <= len - L::N)
}

/// Whether the tests run under an emulator, as `tests/arm/run` says: it takes a hundred times as
/// long, so the largest of them try less.
#[cfg(test)]
pub(crate) fn emulated() -> bool {
    std::env::var_os("EDGEGRAD_EMULATED").is_some()
}

/// The backends of a large test: all that this processor has, under an emulator the best alone.
#[cfg(test)]
pub(crate) fn backends_of_large_tests() -> impl Iterator<Item = Backend> {
    Backend::available().take(if emulated() { 1 } else { usize::MAX })
}

#[cfg(test)]
mod tests;
