//! NEON: vectors of 16 bytes, 32 registers. Every AArch64 processor has it, so nothing is detected
//! and no function needs features of its own. Calls of its instructions are `unsafe` nevertheless;
//! "baseline" below says why they may be called.

use super::math::{self, Bits, Shift};
use super::wrap::wrap;
use super::{Kernel, Lanes, square_fits};
use std::arch::aarch64::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// The lanes of one format, with what its instructions are called.
macro_rules! neon {
    (
        $(#[$doc:meta])* $name:ident = $n:literal x $t:ident in $vector:ident;
        splat $splat:ident, load $load:ident, store $store:ident;
        fused $fused:ident, by_lane $by_lane:ident [$($lane:literal)*];
        abs $abs:ident, sqrt $sqrt:ident, neg $neg:ident, max $max:ident, min $min:ident;
        add $add:ident, sub $sub:ident, mul $mul:ident, div $div:ident;
        greater $greater:ident, select $select:ident, largest $largest:ident, sum $sum:ident;
        bits $bits:ident, floats $floats:ident, and $and:ident, or $or:ident;
        left $left:ident, right $right:ident, mantissa $mantissa:literal;
        transpose $transpose:ident;
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(super) struct $name($vector);

        impl Lanes for $name {
            type Elem = $t;
            const N: usize = $n;
            // 24 accumulators, 3 vectors of B, a column of A in 2 or 4 vectors: 29 or 31 of 32
            // registers.
            const MR: usize = 8;
            const NV: usize = 3;
            const LANES_AS_FACTORS: bool = true;

            wrap! {
                max(other) = $max;
                min(other) = $min;
                abs() = $abs;
                sqrt() = $sqrt;
            }

            #[inline(always)]
            fn splat(x: $t) -> Self {
                // SAFETY: baseline.
                Self(unsafe { $splat(x) })
            }
            #[inline(always)]
            fn load(xs: &[$t]) -> Self {
                // SAFETY: baseline; reads the elements the slice was cut to.
                Self(unsafe { $load(xs[..$n].as_ptr()) })
            }
            #[inline(always)]
            fn load_partial(xs: &[$t], fill: $t) -> Self {
                Self::load(&std::array::from_fn::<_, $n, _>(|i| xs.get(i).copied().unwrap_or(fill)))
            }
            #[inline(always)]
            fn store(self, out: &mut [$t]) {
                // SAFETY: baseline; writes the elements the slice was cut to.
                unsafe { $store(out[..$n].as_mut_ptr(), self.0) }
            }
            #[inline(always)]
            fn store_partial(self, out: &mut [$t]) {
                let mut x = [0.0; $n];
                self.store(&mut x);
                for (i, x) in x.into_iter().enumerate() {
                    if let Some(y) = out.get_mut(i) {
                        *y = x;
                    }
                }
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                // SAFETY: baseline.
                Self(unsafe { $fused(b.0, self.0, a.0) })
            }
            #[inline(always)]
            fn add_outer<const V: usize>(self, row: &[Self; V], sums: &mut [[Self; V]]) {
                let sums = &mut sums[..$n];
                for (v, y) in row.iter().enumerate() {
                    $(
                        let sum = &mut sums[$lane][v].0;
                        // SAFETY: baseline.
                        *sum = unsafe { $by_lane::<$lane>(*sum, y.0, self.0) };
                    )*
                }
            }
            #[inline(always)]
            fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
                // SAFETY: baseline.
                Self(unsafe { $select($greater(self.0, other.0), yes.0, no.0) })
            }

            super::wrap::functions!();

            #[inline(always)]
            fn sum(self) -> $t {
                $sum(self.0)
            }
            #[inline(always)]
            fn max_lane(self) -> $t {
                // SAFETY: baseline.
                unsafe { $largest(self.0) }
            }

            #[inline(always)]
            fn transpose(from: &[$t], stride: usize, to: &mut [$t], to_stride: usize) {
                assert!(
                    square_fits::<Self>(from.len(), stride)
                        && square_fits::<Self>(to.len(), to_stride)
                );
                let row = |i: usize| Self::load(&from[i * stride..]).0;
                for (k, column) in $transpose(std::array::from_fn(row)).into_iter().enumerate() {
                    Self(column).store(&mut to[k * to_stride..]);
                }
            }

            #[inline(never)]
            fn outline<K: Kernel<Self::Elem>>(kernel: K) -> K::Output {
                kernel.run::<Self>()
            }
        }

        impl Bits for $name {
            // Minimum and maximum of NaN are NaN.
            super::wrap::limits!();
            #[inline(always)]
            fn and(self, other: Self) -> Self {
                // SAFETY: baseline.
                Self(unsafe { $floats($and($bits(self.0), $bits(other.0))) })
            }
            #[inline(always)]
            fn or(self, other: Self) -> Self {
                // SAFETY: baseline.
                Self(unsafe { $floats($or($bits(self.0), $bits(other.0))) })
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
                // SAFETY: baseline.
                Self(unsafe { $floats($left::<$mantissa>($bits(self.0))) })
            }
            #[inline(always)]
            fn shift_down(self) -> Self {
                // SAFETY: baseline.
                Self(unsafe { $floats($right::<$mantissa>($bits(self.0))) })
            }
        }

        impl Add for $name {
            type Output = Self;
            wrap! { add(other) = $add; }
        }
        impl Sub for $name {
            type Output = Self;
            wrap! { sub(other) = $sub; }
        }
        impl Mul for $name {
            type Output = Self;
            wrap! { mul(other) = $mul; }
        }
        impl Div for $name {
            type Output = Self;
            wrap! { div(other) = $div; }
        }
        impl Neg for $name {
            type Output = Self;
            wrap! { neg() = $neg; }
        }
    };
}

neon! {
    /// Four `f32`.
    F32x4 = 4 x f32 in float32x4_t;
    splat vdupq_n_f32, load vld1q_f32, store vst1q_f32;
    fused vfmaq_f32, by_lane vfmaq_laneq_f32 [0 1 2 3];
    abs vabsq_f32, sqrt vsqrtq_f32, neg vnegq_f32, max vmaxq_f32, min vminq_f32;
    add vaddq_f32, sub vsubq_f32, mul vmulq_f32, div vdivq_f32;
    greater vcgtq_f32, select vbslq_f32, largest vmaxvq_f32, sum sum_f32;
    bits vreinterpretq_u32_f32, floats vreinterpretq_f32_u32, and vandq_u32, or vorrq_u32;
    left vshlq_n_u32, right vshrq_n_u32, mantissa 23;
    transpose transpose_f32;
}
neon! {
    /// Two `f64`.
    F64x2 = 2 x f64 in float64x2_t;
    splat vdupq_n_f64, load vld1q_f64, store vst1q_f64;
    fused vfmaq_f64, by_lane vfmaq_laneq_f64 [0 1];
    abs vabsq_f64, sqrt vsqrtq_f64, neg vnegq_f64, max vmaxq_f64, min vminq_f64;
    add vaddq_f64, sub vsubq_f64, mul vmulq_f64, div vdivq_f64;
    greater vcgtq_f64, select vbslq_f64, largest vmaxvq_f64, sum sum_f64;
    bits vreinterpretq_u64_f64, floats vreinterpretq_f64_u64, and vandq_u64, or vorrq_u64;
    left vshlq_n_u64, right vshrq_n_u64, mantissa 52;
    transpose transpose_f64;
}

/// Halves first, then the two sums.
#[inline(always)]
fn sum_f32(x: float32x4_t) -> f32 {
    // SAFETY: baseline.
    unsafe { vpadds_f32(vadd_f32(vget_low_f32(x), vget_high_f32(x))) }
}

/// The sum of both.
#[inline(always)]
fn sum_f64(x: float64x2_t) -> f64 {
    // SAFETY: baseline.
    unsafe { vpaddd_f64(x) }
}

/// The columns of these rows.
#[inline(always)]
fn transpose_f32([a, b, c, d]: [float32x4_t; 4]) -> [float32x4_t; 4] {
    // SAFETY: baseline.
    unsafe {
        let (ab_even, ab_odd) = (vtrn1q_f32(a, b), vtrn2q_f32(a, b));
        let (cd_even, cd_odd) = (vtrn1q_f32(c, d), vtrn2q_f32(c, d));
        let [first, third] = transpose_f64([ab_even, cd_even].map(|x| vreinterpretq_f64_f32(x)));
        let [second, fourth] = transpose_f64([ab_odd, cd_odd].map(|x| vreinterpretq_f64_f32(x)));
        [first, second, third, fourth].map(|x| vreinterpretq_f32_f64(x))
    }
}

/// The columns of these rows.
#[inline(always)]
fn transpose_f64([a, b]: [float64x2_t; 2]) -> [float64x2_t; 2] {
    // SAFETY: baseline.
    unsafe { [vtrn1q_f64(a, b), vtrn2q_f64(a, b)] }
}
