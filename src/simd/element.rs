//! The elements that a tensor can hold.
//!
//! [`Element`] lives here and `tensor` re-exports it: lanes hold elements, and `simd` must not know
//! tensors. The alternative was two traits that mirror each other.

#[cfg(target_arch = "aarch64")]
use super::neon;
use super::{Backend, Kernel, Lanes, Scalar, backend, portable};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

/// An element of tensors and kernels: `f32` trains, `f64` verifies, and
/// [`Dual`](crate::tensor::Dual) carries a derivative beside the value.
///
/// The scalar functions are the plain definitions; kernels get the fast ones through
/// [`Lanes`].
pub trait Element:
    Copy
    + Debug
    + Default
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + Sum
{
    /// The additive identity.
    const ZERO: Self;
    /// The multiplicative identity.
    const ONE: Self;
    /// Its name in files and on the command line, such as `f32`.
    const NAME: &'static str;
    /// Distance from 1 to the next larger number.
    const EPSILON: f64;

    /// The nearest element to `x`.
    fn from_f64(x: f64) -> Self;
    /// The value as a double; a dual number drops its tangent.
    fn to_f64(self) -> f64;
    /// `self * a + b`.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// The absolute value.
    fn abs(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// e to the power of `self`.
    fn exp(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to `self`.
    fn erf(self) -> Self;

    /// Runs `kernel` with the lanes of `backend`.
    ///
    /// # Panics
    /// If this processor lacks `backend`.
    fn vectorize_on<K: Kernel<Self>>(backend: Backend, kernel: K) -> K::Output;

    /// Runs `kernel` with the lanes chosen for this process ([`backend`]).
    #[inline]
    fn vectorize<K: Kernel<Self>>(kernel: K) -> K::Output {
        Self::vectorize_on(backend(), kernel)
    }
}

/// Runs `kernel` without target features. Out of line: inlined, the registers it needs would be
/// saved and restored on the path to the other backends too.
#[inline(never)]
fn plain<L: Lanes, K: Kernel<L::Elem>>(kernel: K) -> K::Output {
    kernel.run::<L>()
}

macro_rules! float {
    ($t:ident, $erf:path, $portable:ty, $neon:ident, $avx2:ident, $avx512:ident) => {
        impl Element for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NAME: &'static str = stringify!($t);
            const EPSILON: f64 = $t::EPSILON as f64;

            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                // Two roundings: without the FMA instruction the fused form is a library call.
                self * a + b
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $t::abs(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $t::sqrt(self)
            }
            fn exp(self) -> Self {
                $t::exp(self)
            }
            fn ln(self) -> Self {
                $t::ln(self)
            }
            fn tanh(self) -> Self {
                $t::tanh(self)
            }
            fn erf(self) -> Self {
                $erf(self)
            }

            #[inline]
            fn vectorize_on<K: Kernel<Self>>(backend: Backend, kernel: K) -> K::Output {
                match backend {
                    #[cfg(target_arch = "x86_64")]
                    Backend::Avx512 => avx512::run::<avx512::$avx512, K>(kernel),
                    #[cfg(target_arch = "x86_64")]
                    Backend::Avx2 => avx2::run::<avx2::$avx2, K>(kernel),
                    #[cfg(not(target_arch = "x86_64"))]
                    Backend::Avx512 | Backend::Avx2 => panic!("this processor has no {backend}"),
                    #[cfg(target_arch = "aarch64")]
                    Backend::Neon => plain::<neon::$neon, K>(kernel),
                    #[cfg(not(target_arch = "aarch64"))]
                    Backend::Neon => panic!("this processor has no {backend}"),
                    Backend::Portable => plain::<$portable, K>(kernel),
                    Backend::Scalar => plain::<Scalar<$t>, K>(kernel),
                }
            }
        }
    };
}

float!(f32, libm::erff, portable::F32, F32x4, F32x8, F32x16);
float!(f64, libm::erf, portable::F64, F64x2, F64x4, F64x8);
