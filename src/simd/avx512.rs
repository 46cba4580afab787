//! AVX-512F: vectors of 64 bytes, 32 registers, and masks for partial ones.

use super::avx2::{F32x8, F64x4, widened};
use super::math::Bits;
use super::wrap::wrap;
use super::{Half, Kernel, Lanes, square_fits};
use std::arch::asm;
use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Whether this processor has what [`run`] needs.
#[inline(always)]
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && super::avx2::is_available()
}

/// Runs `kernel` with `L`, one of the lanes of this module. Panics if the processor lacks AVX-512F.
#[inline]
pub(super) fn run<L: Lanes, K: Kernel<L::Elem>>(kernel: K) -> K::Output {
    assert!(is_available(), "this processor has no AVX-512");
    // SAFETY: asserted right above.
    unsafe { with_features::<L, K>(kernel) }
}

/// The function in which the instructions of this module may be used.
#[target_feature(enable = "avx512f,avx2,fma,f16c")]
fn with_features<L: Lanes, K: Kernel<L::Elem>>(kernel: K) -> K::Output {
    kernel.run::<L>()
}

/// The same, never inlined into its caller; see `apart` in `avx2.rs`.
#[inline(never)]
fn apart<L: Lanes, K: Kernel<L::Elem>>(kernel: K) -> K::Output {
    // SAFETY: called by kernels alone, inside of `run`.
    unsafe { with_features::<L, K>(kernel) }
}

/// The lowest `len` bits, at most all.
#[inline(always)]
fn mask16(len: usize) -> __mmask16 {
    ((1u32 << len.min(16)) - 1) as __mmask16
}

/// The lowest `len` bits, at most all.
#[inline(always)]
fn mask8(len: usize) -> __mmask8 {
    ((1u32 << len.min(8)) - 1) as __mmask8
}

/// Four pieces of 16 bytes, `stride` elements apart. The load itself puts a piece into its quarter;
/// shuffles across quarters cost more.
///
/// # Safety
/// Inside [`run`]; the pieces must be readable.
#[inline(always)]
unsafe fn quarters(from: *const f32, stride: usize) -> __m512 {
    // SAFETY: as the caller promises.
    unsafe {
        let x = _mm512_castps128_ps512(_mm_loadu_ps(from));
        let x = _mm512_insertf32x4::<1>(x, _mm_loadu_ps(from.add(stride)));
        let x = _mm512_insertf32x4::<2>(x, _mm_loadu_ps(from.add(2 * stride)));
        _mm512_insertf32x4::<3>(x, _mm_loadu_ps(from.add(3 * stride)))
    }
}

/// `x` in a register; the compiler cannot know that it is the same value.
#[inline]
#[target_feature(enable = "avx512f")]
fn pinned_ps(mut x: __m512) -> __m512 {
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {} */", inout(zmm_reg) x, options(pure, nomem, nostack, preserves_flags)) };
    x
}

/// `x` in a register; the compiler cannot know that it is the same value.
#[inline]
#[target_feature(enable = "avx512f")]
fn pinned_pd(mut x: __m512d) -> __m512d {
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {} */", inout(zmm_reg) x, options(pure, nomem, nostack, preserves_flags)) };
    x
}

/// Sixteen `f32`.
#[derive(Clone, Copy)]
pub(super) struct F32x16(__m512);

impl Lanes for F32x16 {
    type Elem = f32;
    const N: usize = 16;
    // 24 accumulators, 4 vectors of B, 1 element of A: 29 of 32 registers. A wide tile needs fewer
    // instructions for its multiply-adds: 10 loads for 24 here, 12 loads for 20 in one of 10 x 2.
    const MR: usize = 6;
    const NV: usize = 4;

    wrap! {
        mul_add(a b) = _mm512_fmadd_ps;
        max(other) = _mm512_max_ps;
        min(other) = _mm512_min_ps;
        abs() = _mm512_abs_ps;
        sqrt() = _mm512_sqrt_ps;
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe { _mm512_set1_ps(x) })
    }
    #[inline(always)]
    fn load(xs: &[f32]) -> Self {
        // SAFETY: inside `run`; reads the 16 elements the slice was cut to.
        Self(unsafe { _mm512_loadu_ps(xs[..16].as_ptr()) })
    }
    #[inline(always)]
    fn load_half(xs: &[u16], format: Half) -> Self {
        // SAFETY: inside `run`; reads the 16 numbers the slice was cut to.
        Self(unsafe {
            let bits = _mm256_loadu_si256(xs[..16].as_ptr().cast());
            match format {
                Half::Bf16 => {
                    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits)))
                }
                Half::F16 => _mm512_cvtph_ps(bits),
            }
        })
    }
    #[inline(always)]
    fn load_partial(xs: &[f32], fill: f32) -> Self {
        // SAFETY: inside `run`; lanes beyond `xs` are masked and not read.
        Self(unsafe { _mm512_mask_loadu_ps(_mm512_set1_ps(fill), mask16(xs.len()), xs.as_ptr()) })
    }
    #[inline(always)]
    fn store(self, out: &mut [f32]) {
        // SAFETY: inside `run`; writes the 16 elements the slice was cut to.
        unsafe { _mm512_storeu_ps(out[..16].as_mut_ptr(), self.0) }
    }
    #[inline(always)]
    fn store_partial(self, out: &mut [f32]) {
        // SAFETY: inside `run`; lanes beyond `out` are masked and not written.
        unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), mask16(out.len()), self.0) }
    }
    #[inline(always)]
    fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe {
            let gt = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, other.0);
            _mm512_mask_blend_ps(gt, no.0, yes.0)
        })
    }

    super::wrap::functions!();

    #[inline(always)]
    fn sum(self) -> f32 {
        let (low, high) = self.halves();
        (low + high).sum()
    }
    #[inline(always)]
    fn max_lane(self) -> f32 {
        let (low, high) = self.halves();
        low.max(high).max_lane()
    }

    #[inline(always)]
    fn transpose(from: &[f32], stride: usize, to: &mut [f32], to_stride: usize) {
        assert!(
            square_fits::<Self>(from.len(), stride) && square_fits::<Self>(to.len(), to_stride)
        );
        let (from, to) = (from.as_ptr(), to.as_mut_ptr());
        for k in (0..16).step_by(4) {
            // SAFETY: inside `run`; reads 4 elements of each row, writes rows k to k + 3 of 16.
            unsafe {
                let rows = from.add(k);
                let a = quarters(rows, 4 * stride);
                let b = quarters(rows.add(stride), 4 * stride);
                let c = quarters(rows.add(2 * stride), 4 * stride);
                let d = quarters(rows.add(3 * stride), 4 * stride);
                let ab = _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
                let cd = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
                let ab_high = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
                let cd_high = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
                let to = to.add(k * to_stride);
                _mm512_storeu_pd(to.cast(), _mm512_unpacklo_pd(ab, cd));
                _mm512_storeu_pd(to.add(to_stride).cast(), _mm512_unpackhi_pd(ab, cd));
                _mm512_storeu_pd(
                    to.add(2 * to_stride).cast(),
                    _mm512_unpacklo_pd(ab_high, cd_high),
                );
                _mm512_storeu_pd(
                    to.add(3 * to_stride).cast(),
                    _mm512_unpackhi_pd(ab_high, cd_high),
                );
            }
        }
    }

    #[inline(always)]
    fn pinned(self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe { pinned_ps(self.0) })
    }

    #[inline(always)]
    fn outline<K: Kernel<Self::Elem>>(kernel: K) -> K::Output {
        apart::<Self, K>(kernel)
    }
}

impl F32x16 {
    #[inline(always)]
    fn halves(self) -> (F32x8, F32x8) {
        // SAFETY: inside `run`.
        unsafe {
            let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(self.0));
            (F32x8(_mm512_castps512_ps256(self.0)), F32x8(_mm256_castpd_ps(high)))
        }
    }
}

impl Bits for F32x16 {
    super::wrap::limits!();
    // 2^n scaling with gradual underflow is one instruction.
    wrap! { scale(n) = _mm512_scalef_ps; }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe {
            let (x, y) = (_mm512_castps_si512(self.0), _mm512_castps_si512(other.0));
            _mm512_castsi512_ps(_mm512_and_si512(x, y))
        })
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe {
            let (x, y) = (_mm512_castps_si512(self.0), _mm512_castps_si512(other.0));
            _mm512_castsi512_ps(_mm512_or_si512(x, y))
        })
    }
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        // SAFETY: inside `run`.
        unsafe {
            let m = _mm512_getmant_ps::<_MM_MANT_NORM_1_2, _MM_MANT_SIGN_ZERO>(self.0);
            (Self(m), Self(_mm512_getexp_ps(self.0)))
        }
    }
}

impl Add for F32x16 {
    type Output = Self;
    wrap! { add(other) = _mm512_add_ps; }
}
impl Sub for F32x16 {
    type Output = Self;
    wrap! { sub(other) = _mm512_sub_ps; }
}
impl Mul for F32x16 {
    type Output = Self;
    wrap! { mul(other) = _mm512_mul_ps; }
}
impl Div for F32x16 {
    type Output = Self;
    wrap! { div(other) = _mm512_div_ps; }
}
impl Neg for F32x16 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe {
            let (x, sign) = (_mm512_castps_si512(self.0), _mm512_set1_epi32(i32::MIN));
            _mm512_castsi512_ps(_mm512_xor_si512(x, sign))
        })
    }
}

/// Eight `f64`.
#[derive(Clone, Copy)]
pub(super) struct F64x8(__m512d);

impl Lanes for F64x8 {
    type Elem = f64;
    const N: usize = 8;
    // 24 accumulators, 4 vectors of B, 1 element of A: 29 of 32 registers; see `F32x16`.
    const MR: usize = 6;
    const NV: usize = 4;

    wrap! {
        mul_add(a b) = _mm512_fmadd_pd;
        max(other) = _mm512_max_pd;
        min(other) = _mm512_min_pd;
        abs() = _mm512_abs_pd;
        sqrt() = _mm512_sqrt_pd;
    }

    #[inline(always)]
    fn splat(x: f64) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe { _mm512_set1_pd(x) })
    }
    #[inline(always)]
    fn load(xs: &[f64]) -> Self {
        // SAFETY: inside `run`; reads the 8 elements the slice was cut to.
        Self(unsafe { _mm512_loadu_pd(xs[..8].as_ptr()) })
    }
    #[inline(always)]
    fn load_half(xs: &[u16], format: Half) -> Self {
        // SAFETY: inside `run`; reads the 8 numbers the slice was cut to.
        Self(unsafe { _mm512_cvtps_pd(widened(_mm_loadu_si128(xs[..8].as_ptr().cast()), format)) })
    }
    #[inline(always)]
    fn load_partial(xs: &[f64], fill: f64) -> Self {
        // SAFETY: inside `run`; lanes beyond `xs` are masked and not read.
        Self(unsafe { _mm512_mask_loadu_pd(_mm512_set1_pd(fill), mask8(xs.len()), xs.as_ptr()) })
    }
    #[inline(always)]
    fn store(self, out: &mut [f64]) {
        // SAFETY: inside `run`; writes the 8 elements the slice was cut to.
        unsafe { _mm512_storeu_pd(out[..8].as_mut_ptr(), self.0) }
    }
    #[inline(always)]
    fn store_partial(self, out: &mut [f64]) {
        // SAFETY: inside `run`; lanes beyond `out` are masked and not written.
        unsafe { _mm512_mask_storeu_pd(out.as_mut_ptr(), mask8(out.len()), self.0) }
    }
    #[inline(always)]
    fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe {
            let gt = _mm512_cmp_pd_mask::<_CMP_GT_OQ>(self.0, other.0);
            _mm512_mask_blend_pd(gt, no.0, yes.0)
        })
    }

    super::wrap::functions!();

    #[inline(always)]
    fn sum(self) -> f64 {
        let (low, high) = self.halves();
        (low + high).sum()
    }
    #[inline(always)]
    fn max_lane(self) -> f64 {
        let (low, high) = self.halves();
        low.max(high).max_lane()
    }

    #[inline(always)]
    fn transpose(from: &[f64], stride: usize, to: &mut [f64], to_stride: usize) {
        assert!(
            square_fits::<Self>(from.len(), stride) && square_fits::<Self>(to.len(), to_stride)
        );
        let (from, to) = (from.as_ptr(), to.as_mut_ptr());
        for k in (0..8).step_by(2) {
            // SAFETY: inside `run`; reads 2 elements of each row, writes rows k and k + 1 of 8.
            unsafe {
                let rows: *const f32 = from.add(k).cast();
                let a = _mm512_castps_pd(quarters(rows, 4 * stride));
                let b = _mm512_castps_pd(quarters(rows.add(2 * stride), 4 * stride));
                _mm512_storeu_pd(to.add(k * to_stride), _mm512_unpacklo_pd(a, b));
                _mm512_storeu_pd(to.add((k + 1) * to_stride), _mm512_unpackhi_pd(a, b));
            }
        }
    }

    #[inline(always)]
    fn pinned(self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe { pinned_pd(self.0) })
    }

    #[inline(always)]
    fn outline<K: Kernel<Self::Elem>>(kernel: K) -> K::Output {
        apart::<Self, K>(kernel)
    }
}

impl F64x8 {
    #[inline(always)]
    fn halves(self) -> (F64x4, F64x4) {
        // SAFETY: inside `run`.
        unsafe {
            let high = _mm512_extractf64x4_pd::<1>(self.0);
            (F64x4(_mm512_castpd512_pd256(self.0)), F64x4(high))
        }
    }
}

impl Bits for F64x8 {
    super::wrap::limits!();
    // 2^n scaling with gradual underflow is one instruction.
    wrap! { scale(n) = _mm512_scalef_pd; }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe {
            let (x, y) = (_mm512_castpd_si512(self.0), _mm512_castpd_si512(other.0));
            _mm512_castsi512_pd(_mm512_and_si512(x, y))
        })
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe {
            let (x, y) = (_mm512_castpd_si512(self.0), _mm512_castpd_si512(other.0));
            _mm512_castsi512_pd(_mm512_or_si512(x, y))
        })
    }
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        // SAFETY: inside `run`.
        unsafe {
            let m = _mm512_getmant_pd::<_MM_MANT_NORM_1_2, _MM_MANT_SIGN_ZERO>(self.0);
            (Self(m), Self(_mm512_getexp_pd(self.0)))
        }
    }
}

impl Add for F64x8 {
    type Output = Self;
    wrap! { add(other) = _mm512_add_pd; }
}
impl Sub for F64x8 {
    type Output = Self;
    wrap! { sub(other) = _mm512_sub_pd; }
}
impl Mul for F64x8 {
    type Output = Self;
    wrap! { mul(other) = _mm512_mul_pd; }
}
impl Div for F64x8 {
    type Output = Self;
    wrap! { div(other) = _mm512_div_pd; }
}
impl Neg for F64x8 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe {
            let (x, sign) = (_mm512_castpd_si512(self.0), _mm512_set1_epi64(i64::MIN));
            _mm512_castsi512_pd(_mm512_xor_si512(x, sign))
        })
    }
}
