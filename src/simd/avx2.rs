//! AVX2 with FMA and F16C, which no processor with AVX2 lacks: vectors of 32 bytes, 16 registers.

use super::math::{self, Bits, Shift};
use super::wrap::wrap;
use super::{Half, Kernel, Lanes, square_fits};
use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Whether this processor has what [`run`] needs.
#[inline(always)]
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
}

/// Runs `kernel` with `L`, one of the lanes of this module. Panics if the processor lacks AVX2,
/// FMA or F16C.
#[inline]
pub(super) fn run<L: Lanes, K: Kernel<L::Elem>>(kernel: K) -> K::Output {
    assert!(is_available(), "this processor has no AVX2 with FMA and F16C");
    // SAFETY: asserted right above.
    unsafe { with_features::<L, K>(kernel) }
}

/// The function in which the instructions of this module may be used.
#[target_feature(enable = "avx2,fma,f16c")]
fn with_features<L: Lanes, K: Kernel<L::Elem>>(kernel: K) -> K::Output {
    kernel.run::<L>()
}

/// The same, never inlined into its caller. `inline(never)` on a function with `#[target_feature]`
/// has no effect (rustc 1.95): kernels were merged into their callers until they spilled registers.
/// But a function with features cannot be inlined into one without, so this one keeps kernels
/// apart.
#[inline(never)]
fn apart<L: Lanes, K: Kernel<L::Elem>>(kernel: K) -> K::Output {
    // SAFETY: called by kernels alone, inside of `run`.
    unsafe { with_features::<L, K>(kernel) }
}

/// The lowest `len` of eight 32-bit lanes have all bits set, at most all.
#[inline(always)]
fn mask8(len: usize) -> __m256i {
    const ONES_THEN_ZEROS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    let bits = &ONES_THEN_ZEROS[8 - len.min(8)..][..8];
    // SAFETY: inside `run`; reads the 8 elements the slice was cut to.
    unsafe { _mm256_loadu_si256(bits.as_ptr().cast()) }
}

/// The lowest `len` of four 64-bit lanes have all bits set, at most all.
#[inline(always)]
fn mask4(len: usize) -> __m256i {
    mask8(2 * len.min(4))
}

/// Two pieces of 16 bytes, `stride` elements apart. The load itself puts a piece into its half;
/// shuffles across halves cost more.
///
/// # Safety
/// Inside [`run`]; the pieces must be readable.
#[inline(always)]
unsafe fn halves(from: *const f32, stride: usize) -> __m256 {
    // SAFETY: as the caller promises.
    unsafe {
        let x = _mm256_castps128_ps256(_mm_loadu_ps(from));
        _mm256_insertf128_ps::<1>(x, _mm_loadu_ps(from.add(stride)))
    }
}

/// Eight numbers of 16 bits.
///
/// # Safety
/// Inside [`run`].
#[inline(always)]
pub(super) unsafe fn widened(bits: __m128i, format: Half) -> __m256 {
    // SAFETY: as the caller promises.
    unsafe {
        match format {
            Half::Bf16 => _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(bits))),
            Half::F16 => _mm256_cvtph_ps(bits),
        }
    }
}

/// Eight `f32`.
#[derive(Clone, Copy)]
pub(super) struct F32x8(pub(super) __m256);

impl Lanes for F32x8 {
    type Elem = f32;
    const N: usize = 8;
    // 12 accumulators, 2 vectors of B, 1 element of A: 15 of 16 registers.
    const MR: usize = 6;
    const NV: usize = 2;

    wrap! {
        mul_add(a b) = _mm256_fmadd_ps;
        max(other) = _mm256_max_ps;
        min(other) = _mm256_min_ps;
        sqrt() = _mm256_sqrt_ps;
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe { _mm256_set1_ps(x) })
    }
    #[inline(always)]
    fn load(xs: &[f32]) -> Self {
        // SAFETY: inside `run`; reads the 8 elements the slice was cut to.
        Self(unsafe { _mm256_loadu_ps(xs[..8].as_ptr()) })
    }
    #[inline(always)]
    fn load_half(xs: &[u16], format: Half) -> Self {
        // SAFETY: inside `run`; reads the 8 numbers the slice was cut to.
        Self(unsafe { widened(_mm_loadu_si128(xs[..8].as_ptr().cast()), format) })
    }
    #[inline(always)]
    fn load_partial(xs: &[f32], fill: f32) -> Self {
        let mask = mask8(xs.len());
        // SAFETY: inside `run`; lanes beyond `xs` are masked and not read.
        Self(unsafe {
            let x = _mm256_maskload_ps(xs.as_ptr(), mask);
            _mm256_blendv_ps(_mm256_set1_ps(fill), x, _mm256_castsi256_ps(mask))
        })
    }
    #[inline(always)]
    fn store(self, out: &mut [f32]) {
        // SAFETY: inside `run`; writes the 8 elements the slice was cut to.
        unsafe { _mm256_storeu_ps(out[..8].as_mut_ptr(), self.0) }
    }
    #[inline(always)]
    fn store_partial(self, out: &mut [f32]) {
        let mask = mask8(out.len());
        // SAFETY: inside `run`; lanes beyond `out` are masked and not written.
        unsafe { _mm256_maskstore_ps(out.as_mut_ptr(), mask, self.0) }
    }
    #[inline(always)]
    fn abs(self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0) })
    }
    #[inline(always)]
    fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe { _mm256_blendv_ps(no.0, yes.0, _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, other.0)) })
    }

    super::wrap::functions!();

    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: inside `run`.
        unsafe {
            let (low, high) = self.halves();
            let four = _mm_add_ps(low, high);
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
    #[inline(always)]
    fn max_lane(self) -> f32 {
        // SAFETY: inside `run`.
        unsafe {
            let (low, high) = self.halves();
            let four = _mm_max_ps(low, high);
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn transpose(from: &[f32], stride: usize, to: &mut [f32], to_stride: usize) {
        assert!(
            square_fits::<Self>(from.len(), stride) && square_fits::<Self>(to.len(), to_stride)
        );
        let (from, to) = (from.as_ptr(), to.as_mut_ptr());
        for k in (0..8).step_by(4) {
            // SAFETY: inside `run`; reads 4 elements of each row, writes rows k to k + 3 of 8.
            unsafe {
                let rows = from.add(k);
                let a = halves(rows, 4 * stride);
                let b = halves(rows.add(stride), 4 * stride);
                let c = halves(rows.add(2 * stride), 4 * stride);
                let d = halves(rows.add(3 * stride), 4 * stride);
                let ab = _mm256_castps_pd(_mm256_unpacklo_ps(a, b));
                let cd = _mm256_castps_pd(_mm256_unpacklo_ps(c, d));
                let ab_high = _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
                let cd_high = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
                let to = to.add(k * to_stride);
                _mm256_storeu_pd(to.cast(), _mm256_unpacklo_pd(ab, cd));
                _mm256_storeu_pd(to.add(to_stride).cast(), _mm256_unpackhi_pd(ab, cd));
                _mm256_storeu_pd(
                    to.add(2 * to_stride).cast(),
                    _mm256_unpacklo_pd(ab_high, cd_high),
                );
                _mm256_storeu_pd(
                    to.add(3 * to_stride).cast(),
                    _mm256_unpackhi_pd(ab_high, cd_high),
                );
            }
        }
    }

    #[inline(always)]
    fn outline<K: Kernel<Self::Elem>>(kernel: K) -> K::Output {
        apart::<Self, K>(kernel)
    }
}

impl F32x8 {
    #[inline(always)]
    fn halves(self) -> (__m128, __m128) {
        // SAFETY: inside `run`.
        unsafe { (_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0)) }
    }
}

impl Bits for F32x8 {
    super::wrap::limits!();
    wrap! {
        and(other) = _mm256_and_ps;
        or(other) = _mm256_or_ps;
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

impl Shift for F32x8 {
    #[inline(always)]
    fn shift_up(self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(self.0))) })
    }
    #[inline(always)]
    fn shift_down(self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe { _mm256_castsi256_ps(_mm256_srli_epi32::<23>(_mm256_castps_si256(self.0))) })
    }
}

impl Add for F32x8 {
    type Output = Self;
    wrap! { add(other) = _mm256_add_ps; }
}
impl Sub for F32x8 {
    type Output = Self;
    wrap! { sub(other) = _mm256_sub_ps; }
}
impl Mul for F32x8 {
    type Output = Self;
    wrap! { mul(other) = _mm256_mul_ps; }
}
impl Div for F32x8 {
    type Output = Self;
    wrap! { div(other) = _mm256_div_ps; }
}
impl Neg for F32x8 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe { _mm256_xor_ps(_mm256_set1_ps(-0.0), self.0) })
    }
}

/// Four `f64`.
#[derive(Clone, Copy)]
pub(super) struct F64x4(pub(super) __m256d);

impl Lanes for F64x4 {
    type Elem = f64;
    const N: usize = 4;
    // 12 accumulators, 2 vectors of B, 1 element of A: 15 of 16 registers.
    const MR: usize = 6;
    const NV: usize = 2;

    wrap! {
        mul_add(a b) = _mm256_fmadd_pd;
        max(other) = _mm256_max_pd;
        min(other) = _mm256_min_pd;
        sqrt() = _mm256_sqrt_pd;
    }

    #[inline(always)]
    fn splat(x: f64) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe { _mm256_set1_pd(x) })
    }
    #[inline(always)]
    fn load(xs: &[f64]) -> Self {
        // SAFETY: inside `run`; reads the 4 elements the slice was cut to.
        Self(unsafe { _mm256_loadu_pd(xs[..4].as_ptr()) })
    }
    #[inline(always)]
    fn load_half(xs: &[u16], format: Half) -> Self {
        // SAFETY: inside `run`; reads the 4 numbers the slice was cut to.
        Self(unsafe {
            let four = widened(_mm_loadl_epi64(xs[..4].as_ptr().cast()), format);
            _mm256_cvtps_pd(_mm256_castps256_ps128(four))
        })
    }
    #[inline(always)]
    fn load_partial(xs: &[f64], fill: f64) -> Self {
        let mask = mask4(xs.len());
        // SAFETY: inside `run`; lanes beyond `xs` are masked and not read.
        Self(unsafe {
            let x = _mm256_maskload_pd(xs.as_ptr(), mask);
            _mm256_blendv_pd(_mm256_set1_pd(fill), x, _mm256_castsi256_pd(mask))
        })
    }
    #[inline(always)]
    fn store(self, out: &mut [f64]) {
        // SAFETY: inside `run`; writes the 4 elements the slice was cut to.
        unsafe { _mm256_storeu_pd(out[..4].as_mut_ptr(), self.0) }
    }
    #[inline(always)]
    fn store_partial(self, out: &mut [f64]) {
        let mask = mask4(out.len());
        // SAFETY: inside `run`; lanes beyond `out` are masked and not written.
        unsafe { _mm256_maskstore_pd(out.as_mut_ptr(), mask, self.0) }
    }
    #[inline(always)]
    fn abs(self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe { _mm256_andnot_pd(_mm256_set1_pd(-0.0), self.0) })
    }
    #[inline(always)]
    fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe { _mm256_blendv_pd(no.0, yes.0, _mm256_cmp_pd::<_CMP_GT_OQ>(self.0, other.0)) })
    }

    super::wrap::functions!();

    #[inline(always)]
    fn sum(self) -> f64 {
        // SAFETY: inside `run`.
        unsafe {
            let (low, high) = self.halves();
            let two = _mm_add_pd(low, high);
            _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
        }
    }
    #[inline(always)]
    fn max_lane(self) -> f64 {
        // SAFETY: inside `run`.
        unsafe {
            let (low, high) = self.halves();
            let two = _mm_max_pd(low, high);
            _mm_cvtsd_f64(_mm_max_sd(two, _mm_unpackhi_pd(two, two)))
        }
    }

    #[inline(always)]
    fn transpose(from: &[f64], stride: usize, to: &mut [f64], to_stride: usize) {
        assert!(
            square_fits::<Self>(from.len(), stride) && square_fits::<Self>(to.len(), to_stride)
        );
        let (from, to) = (from.as_ptr(), to.as_mut_ptr());
        for k in (0..4).step_by(2) {
            // SAFETY: inside `run`; reads 2 elements of each row, writes rows k and k + 1 of 4.
            unsafe {
                let rows: *const f32 = from.add(k).cast();
                let a = _mm256_castps_pd(halves(rows, 4 * stride));
                let b = _mm256_castps_pd(halves(rows.add(2 * stride), 4 * stride));
                _mm256_storeu_pd(to.add(k * to_stride), _mm256_unpacklo_pd(a, b));
                _mm256_storeu_pd(to.add((k + 1) * to_stride), _mm256_unpackhi_pd(a, b));
            }
        }
    }

    #[inline(always)]
    fn outline<K: Kernel<Self::Elem>>(kernel: K) -> K::Output {
        apart::<Self, K>(kernel)
    }
}

impl F64x4 {
    #[inline(always)]
    fn halves(self) -> (__m128d, __m128d) {
        // SAFETY: inside `run`.
        unsafe { (_mm256_castpd256_pd128(self.0), _mm256_extractf128_pd::<1>(self.0)) }
    }
}

impl Bits for F64x4 {
    super::wrap::limits!();
    wrap! {
        and(other) = _mm256_and_pd;
        or(other) = _mm256_or_pd;
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

impl Shift for F64x4 {
    #[inline(always)]
    fn shift_up(self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe { _mm256_castsi256_pd(_mm256_slli_epi64::<52>(_mm256_castpd_si256(self.0))) })
    }
    #[inline(always)]
    fn shift_down(self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe { _mm256_castsi256_pd(_mm256_srli_epi64::<52>(_mm256_castpd_si256(self.0))) })
    }
}

impl Add for F64x4 {
    type Output = Self;
    wrap! { add(other) = _mm256_add_pd; }
}
impl Sub for F64x4 {
    type Output = Self;
    wrap! { sub(other) = _mm256_sub_pd; }
}
impl Mul for F64x4 {
    type Output = Self;
    wrap! { mul(other) = _mm256_mul_pd; }
}
impl Div for F64x4 {
    type Output = Self;
    wrap! { div(other) = _mm256_div_pd; }
}
impl Neg for F64x4 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        // SAFETY: inside `run`.
        Self(unsafe { _mm256_xor_pd(_mm256_set1_pd(-0.0), self.0) })
    }
}
