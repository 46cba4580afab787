//! Loads, stores, arithmetic and reductions.

use super::{Backend, Formula, apply};
use crate::simd::{Element, Half, Kernel, Lanes, slice};
use proptest::collection::vec;
use proptest::prelude::*;

/// A formula for each method, chosen by its index.
struct Method(usize);
const METHODS: usize = 11;

impl<T: Element> Formula<T> for Method {
    #[inline(always)]
    fn apply<L: Lanes<Elem = T>>(&self, x: L, y: L, z: L) -> L {
        match self.0 {
            0 => x + y,
            1 => x - y,
            2 => x * y,
            3 => x / y,
            4 => -x,
            5 => x.max(y),
            6 => x.min(y),
            7 => x.abs(),
            8 => x.abs().sqrt(),
            9 => x.select_gt(y, z, x),
            _ => L::splat(T::from_f64(0.1)) + x,
        }
    }
}

struct MulAdd;

impl<T: Element> Formula<T> for MulAdd {
    fn apply<L: Lanes<Elem = T>>(&self, x: L, y: L, z: L) -> L {
        x.mul_add(y, z)
    }
}

/// Sum, maximum and dot product of a slice.
struct Reduce<'a, T>(&'a [T]);

impl<T: Element> Kernel<T> for Reduce<'_, T> {
    type Output = [T; 3];

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) -> [T; 3] {
        [slice::sum::<L>(self.0), slice::largest::<L>(self.0), slice::dot::<L>(self.0, self.0)]
    }
}

/// How many sums of an outer product differ from multiply-adds of its lanes, one by one.
struct Outer<'a, T>(&'a [T]);

impl<T: Element> Kernel<T> for Outer<'_, T> {
    type Output = usize;

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) -> usize {
        let row = [L::load(&self.0[1..]), L::load(&self.0[2..])];
        let mut sums = [[L::load(&self.0[3..]); 2]; 16];
        L::load(self.0).add_outer(&row, &mut sums[..L::N]);
        let (mut got, mut want) = ([T::ZERO; 16], [T::ZERO; 16]);
        let mut wrong = 0;
        for (sums, &x) in sums.iter().zip(self.0).take(L::N) {
            for (sum, y) in sums.iter().zip(row) {
                sum.store(&mut got);
                L::splat(x).mul_add(y, L::load(&self.0[3..])).store(&mut want);
                wrong += usize::from(got != want);
            }
        }
        wrong
    }
}

#[test]
fn an_outer_product_is_multiply_adds() {
    fn check<T: Element>() {
        let x: Vec<T> = (0..19).map(|i| T::from_f64((f64::from(i) + 0.3).sin())).collect();
        for backend in Backend::available() {
            assert_eq!(T::vectorize_on(backend, Outer(&x)), 0, "{backend} {}", T::NAME);
        }
    }
    check::<f32>();
    check::<f64>();
}

fn check<T: Element>(x: &[f64], y: &[f64], z: &[f64]) -> Result<(), TestCaseError> {
    let cast = |v: &[f64]| v.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
    let (x, y, z) = (cast(x), cast(y), cast(z));
    let n = x.len() as f64;
    let magnitude = |v: &[T]| v.iter().map(|x| x.to_f64().abs()).sum::<f64>();
    for backend in Backend::available() {
        for method in 0..METHODS {
            let got = apply(backend, &Method(method), &x, &y, &z);
            let want = apply(Backend::Scalar, &Method(method), &x, &y, &z);
            let same = |(a, b): (&T, &T)| a == b || a.to_f64().is_nan() && b.to_f64().is_nan();
            let same = got.iter().zip(&want).all(same);
            prop_assert!(same, "method {method} on {backend}: {got:?}, not {want:?}");
        }
        let got = apply(backend, &MulAdd, &x, &y, &z);
        for i in 0..x.len() {
            let (x, y, z) = (x[i].to_f64(), y[i].to_f64(), z[i].to_f64());
            let bound = 2.0 * T::EPSILON * ((x * y).abs() + z.abs());
            prop_assert!((got[i].to_f64() - (x * y + z)).abs() <= bound, "mul_add on {}", backend);
        }
        let [sum, max, dot] = T::vectorize_on(backend, Reduce(&x));
        let squares: f64 = x.iter().map(|x| x.to_f64() * x.to_f64()).sum();
        let exact: f64 = x.iter().map(|x| x.to_f64()).sum();
        prop_assert!((sum.to_f64() - exact).abs() <= n * T::EPSILON * magnitude(&x));
        prop_assert!((dot.to_f64() - squares).abs() <= (n + 1.0) * T::EPSILON * squares);
        let largest = x.iter().map(|x| x.to_f64()).fold(f64::NEG_INFINITY, f64::max);
        prop_assert_eq!(max.to_f64(), largest, "on {}", backend);
    }
    Ok(())
}

/// Lengths where whole vectors and tails of every backend meet, and values of all sizes.
fn numbers() -> impl Strategy<Value = [Vec<f64>; 3]> {
    let length = prop_oneof![Just(0usize), Just(1), Just(2), Just(12), Just(16), 0usize..200];
    length.prop_flat_map(|n| {
        let x = || vec(prop_oneof![-2.0..2.0, -1e6..1e6, Just(0.0), -1e-6..1e-6], n);
        [x(), x(), x()]
    })
}

proptest! {
    #[test]
    fn machines_agree_f32([x, y, z] in numbers()) {
        check::<f32>(&x, &y, &z)?;
    }
    #[test]
    fn machines_agree_f64([x, y, z] in numbers()) {
        check::<f64>(&x, &y, &z)?;
    }
}

/// Fills `out` through `store_partial` of `len` elements from lanes that hold 7.
struct Fill<'a, T>(&'a mut [T], usize);

impl<T: Element> Kernel<T> for Fill<'_, T> {
    type Output = T;

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) -> T {
        let len = self.1.min(L::N);
        L::splat(T::from_f64(7.0)).store_partial(&mut self.0[1..1 + len]);
        // The lanes beyond the end hold `fill`.
        L::load_partial(&self.0[1..1 + len], T::from_f64(9.0)).max_lane()
    }
}

fn partial<T: Element>() {
    for backend in Backend::available() {
        for len in 0..=17 {
            let mut out = vec![T::ONE; 19];
            let max = T::vectorize_on(backend, Fill(&mut out, len)).to_f64();
            let written = out.iter().filter(|x| x.to_f64() == 7.0).count();
            assert!(written <= len && out[0] == T::ONE, "{backend}, {len}");
            assert!(out[1 + written..].iter().all(|&x| x == T::ONE), "{backend}, {len}");
            assert!(max == 9.0 || written == len.min(written) && max == 7.0, "{backend}, {len}");
        }
    }
}

#[test]
fn partial_stores_stay_inside() {
    partial::<f32>();
    partial::<f64>();
}

/// Transposes a block with strides of its own; returns the lanes and the memory written to.
struct Transpose<'a, T>(&'a [T], usize, usize);

impl<T: Element> Kernel<T> for Transpose<'_, T> {
    type Output = (usize, Vec<T>);

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) -> (usize, Vec<T>) {
        let Transpose(from, stride, to_stride) = self;
        // Not one element more than is needed.
        let mut to = vec![-T::ONE; (L::N - 1) * to_stride + L::N];
        L::transpose(&from[..(L::N - 1) * stride + L::N], stride, &mut to, to_stride);
        (L::N, to)
    }
}

fn transposes<T: Element>() {
    let from: Vec<T> = (0..2000).map(|i| T::from_f64(f64::from(i))).collect();
    for backend in Backend::available() {
        for (stride, to_stride) in [(16, 16), (19, 32), (100, 17)] {
            let (n, to) = T::vectorize_on(backend, Transpose(&from, stride, to_stride));
            for (at, &x) in to.iter().enumerate() {
                let (k, i) = (at / to_stride, at % to_stride);
                let want = if i < n { from[i * stride + k] } else { -T::ONE };
                assert_eq!(x, want, "{backend} at ({k}, {i})");
            }
        }
    }
}

#[test]
fn squares_are_turned_around() {
    transposes::<f32>();
    transposes::<f64>();
}

/// A block that extends beyond its slice, by its strides or because they overflow.
#[test]
fn no_square_leaves_its_slice() {
    struct Outside(usize, usize);
    impl Kernel<f32> for Outside {
        type Output = ();
        #[inline(always)]
        fn run<L: Lanes<Elem = f32>>(self) {
            let from = vec![0.0; (L::N - 1) * 20 + L::N];
            let mut to = vec![0.0; (L::N - 1) * 20 + L::N];
            L::transpose(&from, self.0, &mut to, self.1);
        }
    }
    for backend in Backend::available().filter(|&backend| backend != Backend::Scalar) {
        for (stride, to_stride) in [(21, 20), (20, 21), (usize::MAX / 4, 20), (20, usize::MAX)] {
            let run = || f32::vectorize_on(backend, Outside(stride, to_stride));
            assert!(std::panic::catch_unwind(run).is_err(), "{backend}: {stride}, {to_stride}");
        }
    }
}

/// Numbers of 16 bits, widened.
struct Widen<'a>(&'a [u16], Half);

impl<T: Element> Kernel<T> for Widen<'_> {
    type Output = Vec<T>;

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) -> Vec<T> {
        let mut wide = vec![T::ZERO; self.0.len()];
        for (bits, to) in self.0.chunks_exact(L::N).zip(wide.chunks_exact_mut(L::N)) {
            L::load_half(bits, self.1).store(to);
        }
        wide
    }
}

/// All 65,536 of each format: finite ones with their bits, the others as such.
fn widens<T: Element>() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    for (backend, format) in Backend::available().flat_map(|b| [(b, Half::Bf16), (b, Half::F16)]) {
        let wide: Vec<T> = T::vectorize_on(backend, Widen(&all, format));
        for (bits, x) in all.iter().zip(wide) {
            let (x, want) = (x.to_f64(), f64::from(format.widen(*bits)));
            let same = x.to_bits() == want.to_bits() || x.is_nan() && want.is_nan();
            assert!(same, "{backend}: {format:?} {bits:#06x}: {x} {want}");
        }
    }
}

#[test]
fn halves_widen_to_their_numbers() {
    widens::<f32>();
    widens::<f64>();
}
