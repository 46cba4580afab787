//! Large products by the `matrixmultiply` crate, for processors with none of AVX2,
//! AVX-512 and NEON.

use super::blocks::Product;
use crate::simd::{Backend, Element};
use std::any::TypeId;
use std::slice::from_raw_parts_mut;

/// Multiply-adds from which the set-up of `matrixmultiply` pays.
pub(super) const LARGE: usize = 32 * 32 * 32;

/// Whether `matrixmultiply` takes products of [`LARGE`] or more: where the lanes of `f32` or `f64`
/// are those of `wide`, for which no micro-kernel is tuned. A backend that `EDGEGRAD_SIMD` forces
/// on a better processor does not use it.
pub(super) fn serves<T: Element>(backend: Backend) -> bool {
    backend == Backend::Portable
        && Backend::available().next() == Some(Backend::Portable)
        && [TypeId::of::<f32>(), TypeId::of::<f64>()].contains(&TypeId::of::<T>())
}

/// Computes a product of `f32` or `f64`.
///
/// # Panics
/// For other element types.
pub(super) fn run<T: Element>(p: &Product<'_, T>) {
    let beta = if p.old.is_some() { 1.0 } else { 0.0 };
    if let Some(old) = p.old.filter(|old| !std::ptr::eq(old.at, p.c)) {
        for i in 0..p.m {
            // SAFETY: what is added is as large as C, which is ours and lies elsewhere.
            unsafe {
                from_raw_parts_mut(p.c.wrapping_add(i * p.c_rs), p.n)
                    .copy_from_slice(old.row(i, p.n));
            }
        }
    }
    let alpha = p.alpha.to_f64();
    let stride = |s: usize| s as isize;
    let (a_rs, a_cs, b_rs, b_cs) = (stride(p.a_rs), stride(p.a_cs), stride(p.b_rs), stride(p.b_cs));
    let c_rs = stride(p.c_rs);
    if TypeId::of::<T>() == TypeId::of::<f32>() {
        let (a, b, c) = (p.a.cast::<f32>(), p.b.cast::<f32>(), p.c.cast::<f32>());
        let (alpha, beta) = (alpha as f32, beta as f32);
        // SAFETY: T is f32; A and B may be read and C written by the shapes and strides given.
        unsafe {
            matrixmultiply::sgemm(
                p.m, p.k, p.n, alpha, a, a_rs, a_cs, b, b_rs, b_cs, beta, c, c_rs, 1,
            );
        }
    } else {
        assert_eq!(TypeId::of::<T>(), TypeId::of::<f64>(), "{}", T::NAME);
        let (a, b, c) = (p.a.cast::<f64>(), p.b.cast::<f64>(), p.c.cast::<f64>());
        // SAFETY: T is f64; A and B may be read and C written by the shapes and strides given.
        unsafe {
            matrixmultiply::dgemm(
                p.m, p.k, p.n, alpha, a, a_rs, a_cs, b, b_rs, b_cs, beta, c, c_rs, 1,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Mat, MatMut, Summand, Write, gemm, gemm_row};
    use super::*;

    /// Both products of small whole numbers are exact and therefore equal.
    fn agrees<T: Element>() {
        let (m, k, n) = (5, 40, 7);
        let numbers = |len: usize, seed: usize| -> Vec<T> {
            (0..len).map(|i| T::from_f64(((i * 31 + seed) % 17) as f64 - 8.0)).collect()
        };
        let (a, b) = (numbers(m * k, 1), numbers(n * k, 2));
        for write in [Write::Store, Write::Add] {
            let (mut ours, mut theirs) = (numbers(m * n, 3), numbers(m * n, 3));
            let (a, b) = (Mat::new(&a, m, k), Mat::new(&b, n, k).t());
            gemm(T::from_f64(2.0), a, b, write, MatMut::new(&mut ours, m, n));
            let c = MatMut::new(&mut theirs, m, n);
            run(&Product::new(T::from_f64(2.0), a, b, write.into(), c));
            assert_eq!(ours, theirs);
            assert!(ours.iter().any(|x| x.to_f64().abs() > 100.0));

            let row = numbers(n, 4);
            gemm_row(T::ONE, a, b, &row, MatMut::new(&mut ours, m, n));
            let c = MatMut::new(&mut theirs, m, n);
            run(&Product::new(T::ONE, a, b, Summand::Row(&row), c));
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn it_is_the_same_product() {
        agrees::<f32>();
        agrees::<f64>();
    }
}
