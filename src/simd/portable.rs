//! Lanes of the baseline of an architecture (SSE2 on x86-64), by `wide`.

use super::math::{self, Bits, Shift};
use super::{Kernel, Lanes};
use std::ops::{Add, Div, Mul, Neg, Sub};
use wide::{f32x8, f64x4};

/// The lanes of one format: a struct around a type of `wide`.
macro_rules! portable {
    ($(#[$doc:meta])* $name:ident = $wide:ident, $t:ident, $mantissa_bits:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(super) struct $name($wide);

        impl Lanes for $name {
            type Elem = $t;
            const N: usize = size_of::<$wide>() / size_of::<$t>();
            // On SSE2 a vector takes two of 16 registers: 8 accumulators, 2 vectors of B.
            const MR: usize = 4;
            const NV: usize = 1;

            #[inline(always)]
            fn splat(x: $t) -> Self {
                Self($wide::splat(x))
            }
            #[inline(always)]
            fn load(xs: &[$t]) -> Self {
                let mut x = [0.0; Self::N];
                x.copy_from_slice(&xs[..Self::N]);
                Self($wide::new(x))
            }
            #[inline(always)]
            fn load_partial(xs: &[$t], fill: $t) -> Self {
                let mut x = [fill; Self::N];
                for (x, &y) in x.iter_mut().zip(xs) {
                    *x = y;
                }
                Self($wide::new(x))
            }
            #[inline(always)]
            fn store(self, out: &mut [$t]) {
                out[..Self::N].copy_from_slice(self.0.as_array());
            }
            #[inline(always)]
            fn store_partial(self, out: &mut [$t]) {
                for (y, &x) in out.iter_mut().zip(self.0.as_array()) {
                    *y = x;
                }
            }

            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                Self(self.0.mul_add(a.0, b.0))
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                Self(self.0.fast_max(other.0))
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                Self(self.0.fast_min(other.0))
            }
            #[inline(always)]
            fn abs(self) -> Self {
                Self(self.0.abs())
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                Self(self.0.sqrt())
            }
            #[inline(always)]
            fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
                Self(self.0.simd_gt(other.0).select(yes.0, no.0))
            }

            super::wrap::functions!();

            #[inline(always)]
            fn sum(self) -> $t {
                self.0.reduce_add()
            }
            #[inline(always)]
            fn max_lane(self) -> $t {
                let [first, rest @ ..] = self.0.to_array();
                rest.into_iter().fold(first, |max, x| if x > max { x } else { max })
            }

            #[inline(never)]
            fn outline<K: Kernel<Self::Elem>>(kernel: K) -> K::Output {
                kernel.run::<Self>()
            }
        }

        impl Bits for $name {
            #[inline(always)]
            fn and(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }
            #[inline(always)]
            fn or(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
            #[inline(always)]
            fn scale(self, n: Self) -> Self {
                math::scale_by_bits(self, n)
            }
            #[inline(always)]
            fn split(self) -> (Self, Self) {
                math::split_by_bits(self)
            }
        }

        impl Shift for $name {
            #[inline(always)]
            fn shift_up(self) -> Self {
                Self($wide::from_bits(self.0.to_bits() << $mantissa_bits))
            }
            #[inline(always)]
            fn shift_down(self) -> Self {
                Self($wide::from_bits(self.0.to_bits() >> $mantissa_bits))
            }
        }

        impl Neg for $name {
            type Output = Self;
            #[inline(always)]
            fn neg(self) -> Self {
                Self(-self.0)
            }
        }
        portable! { @operators $name: Add add + Sub sub - Mul mul * Div div / }
    };
    (@operators $name:ident: $($trait:ident $method:ident $op:tt)*) => {$(
        impl $trait for $name {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(self.0 $op other.0)
            }
        }
    )*};
}

portable! {
    /// Eight `f32`.
    F32 = f32x8, f32, 23u32
}
portable! {
    /// Four `f64`.
    F64 = f64x4, f64, 52u64
}
