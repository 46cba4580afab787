//! Every backend against the triple loop.

use super::{
    Mat, MatMut, Scaled, Summand, Write, fallback, gemm_on, panel_columns, panels_len,
    to_narrow_panels, to_panels,
};
use crate::simd::{Backend, Element, Half, backends_of_large_tests, emulated};
use crate::tensor::Dual;
use proptest::prelude::*;

/// A product: shapes, strides of the matrices it is a window of, and how it is written.
#[derive(Clone, Debug)]
struct Case {
    shape: [usize; 3],
    transposed: [bool; 2],
    /// How much further apart than needed: rows and columns of A and B, rows of C.
    gaps: [usize; 5],
    alpha: f64,
    write: Write,
    seed: u64,
}

/// Pseudorandom elements between -1 and 1.
fn numbers<T: Element>(seed: u64, len: usize) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        T::from_f64((state >> 40) as f64 / (1u64 << 23) as f64 - 1.0)
    };
    (0..len).map(next).collect()
}

/// Whether a product is tried: under an emulator none of `most` multiply-adds or more, which takes
/// it ten seconds.
fn in_reach(&[m, n, k]: &[usize; 3], most: usize) -> bool {
    !emulated() || m * n * k < most
}

/// The multiply-adds that are too many for a test of one backend.
const LARGE: usize = 1 << 20;
/// The same for a test that tries many cases on every backend.
const MANY: usize = 1 << 16;

/// The length of the memory behind a `rows` x `cols` matrix, and its strides.
fn layout(rows: usize, cols: usize, transposed: bool, gaps: &[usize]) -> (usize, usize, usize) {
    let cs = 1 + gaps[1];
    let (len, other) = if transposed { (rows, cols) } else { (cols, rows) };
    let rs = len.max(1) * cs + gaps[0];
    let size = other * rs + 1;
    if transposed { (size, cs, rs) } else { (size, rs, cs) }
}

/// The sum of `a(k) * b(k)`, and the sum of magnitudes that bounds its error.
fn naive(k: usize, a: impl Fn(usize) -> f64, b: impl Fn(usize) -> f64) -> (f64, f64) {
    (0..k).fold((0.0, 0.0), |(sum, size), k| (sum + a(k) * b(k), size + (a(k) * b(k)).abs()))
}

fn check<T: Element>(backend: Backend, case: &Case) -> Result<(), TestCaseError> {
    let [m, n, k] = case.shape;
    let (a_len, a_rs, a_cs) = layout(m, k, case.transposed[0], &case.gaps[..2]);
    let (b_len, b_rs, b_cs) = layout(k, n, case.transposed[1], &case.gaps[2..4]);
    let c_rs = n + case.gaps[4];
    let (a, b) = (numbers::<T>(case.seed, a_len), numbers::<T>(case.seed + 1, b_len));
    let old = numbers::<T>(case.seed + 2, m * c_rs + 3);
    let mut c = old.clone();
    if case.write == Write::Store {
        for i in 0..m {
            c[i * c_rs..][..n].fill(T::from_f64(f64::NAN));
        }
    }
    gemm_on(
        backend,
        T::from_f64(case.alpha),
        Mat::strided(&a, m, k, a_rs, a_cs),
        Mat::strided(&b, k, n, b_rs, b_cs),
        case.write.into(),
        MatMut::strided(&mut c, m, n, c_rs),
    );
    for (at, (&c, &old)) in c.iter().zip(&old).enumerate() {
        let (i, j) = (at / c_rs.max(1), at % c_rs.max(1));
        if i >= m || j >= n {
            prop_assert_eq!(c, old, "{}: outside of C at ({}, {})", backend, i, j);
            continue;
        }
        let (sum, size) =
            naive(k, |k| a[i * a_rs + k * a_cs].to_f64(), |k| b[k * b_rs + j * b_cs].to_f64());
        let old = if case.write == Write::Add { old.to_f64() } else { 0.0 };
        let want = old + case.alpha * sum;
        let bound = (k as f64 + 3.0) * T::EPSILON * (old.abs() + (case.alpha * size).abs());
        let off = (c.to_f64() - want).abs();
        prop_assert!(
            off <= bound,
            "{backend}: {c:?}, not {want} at ({i}, {j}), {off:e} > {bound:e}"
        );
    }
    Ok(())
}

fn side() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0usize), Just(1), Just(2), Just(13), Just(31), Just(32), 0usize..80]
}

fn case() -> impl Strategy<Value = Case> {
    let depth = prop_oneof![4 => side(), 1 => 250usize..600];
    let gap = prop_oneof![3 => Just(0usize), 1 => 0usize..3];
    let write = prop_oneof![Just(Write::Store), Just(Write::Add)];
    let alpha = prop_oneof![Just(1.0), Just(-1.0), Just(0.0), Just(0.125), -2.0..2.0];
    (
        (side(), side(), depth),
        any::<[bool; 2]>(),
        proptest::collection::vec(gap, 5),
        alpha,
        write,
        1u64..1000,
    )
        .prop_map(|((m, n, k), transposed, gaps, alpha, write, seed)| Case {
            shape: [m, n, k],
            transposed,
            gaps: gaps.try_into().expect("five gaps"),
            alpha,
            write,
            seed,
        })
        .prop_filter("an emulator takes too long", |case| in_reach(&case.shape, MANY))
}

proptest! {
    #[test]
    fn f32_agrees_with_the_triple_loop(case in case()) {
        for backend in Backend::available() {
            check::<f32>(backend, &Case { alpha: f64::from(case.alpha as f32), ..case.clone() })?;
        }
    }
    #[test]
    fn f64_agrees_with_the_triple_loop(case in case()) {
        for backend in Backend::available() {
            check::<f64>(backend, &case)?;
        }
    }
    #[test]
    fn dual_agrees_with_the_triple_loop(case in case()) {
        check::<Dual<f64>>(Backend::Scalar, &case)?;
    }
}

/// Shapes that reach every kind of packing.
#[test]
fn large_products_agree_with_the_triple_loop() {
    for (shape, transposed) in [
        ([200, 200, 200], [false, false]),
        ([130, 600, 300], [true, true]),
        ([300, 140, 1100], [false, true]),
        ([270, 300, 1040], [false, false]),
        ([90, 700, 70], [true, false]),
        ([1, 300, 900], [false, false]),
        ([600, 1, 300], [false, true]),
        ([90, 100, 110], [false, true]),
    ] {
        if !in_reach(&shape, LARGE) {
            continue;
        }
        let case = Case {
            shape,
            transposed,
            gaps: [0, 0, 0, 0, 5],
            alpha: 0.5,
            write: Write::Add,
            seed: 9,
        };
        for backend in backends_of_large_tests() {
            check::<f32>(backend, &case).unwrap();
            check::<f64>(backend, &case).unwrap();
        }
    }
}

/// Windows of a product, and the product of its operands stored the other way round: the bits of an
/// element depend on its row of A, its column of B, alpha, K and [`Write`], not on how many others
/// are computed beside it or how the operands are stored.
fn check_windows<T: Element>(backend: Backend, case: &Case) -> Result<(), TestCaseError> {
    let [m, n, k] = case.shape;
    if m * n * k >= fallback::LARGE && fallback::serves::<T>(backend) {
        return Ok(());
    }
    let (a_len, a_rs, a_cs) = layout(m, k, case.transposed[0], &case.gaps[..2]);
    let (b_len, b_rs, b_cs) = layout(k, n, case.transposed[1], &case.gaps[2..4]);
    let (a, mut b) = (numbers::<T>(case.seed, a_len), numbers::<T>(case.seed + 1, b_len));
    // Some have a B of numbers of 16 bits.
    let format = [None, Some(Half::Bf16), Some(Half::F16)][case.seed as usize % 3];
    if let Some(format) = format {
        b.iter_mut().for_each(|x| *x = format.element(format.of(*x)));
    }
    let old = numbers::<T>(case.seed + 2, m * n);
    let alpha = T::from_f64(case.alpha);
    let mut whole = old.clone();
    let (left, right) = (Mat::strided(&a, m, k, a_rs, a_cs), Mat::strided(&b, k, n, b_rs, b_cs));
    gemm_on(backend, alpha, left, right, case.write.into(), MatMut::new(&mut whole, m, n));

    let bits = |x: T| x.to_f64().to_bits();
    let sides = |len: usize| {
        let middle = (case.seed as usize * 7) % len;
        [(0, len), (middle, 1), (0, middle.max(1)), (middle, len - middle)]
    };
    for (i, rows) in sides(m) {
        for (j, cols) in sides(n) {
            let mut c: Vec<T> =
                (i..i + rows).flat_map(|i| old[i * n + j..][..cols].to_vec()).collect();
            gemm_on(
                backend,
                alpha,
                Mat::strided(&a[i * a_rs..], rows, k, a_rs, a_cs),
                Mat::strided(&b[j * b_cs..], k, cols, b_rs, b_cs),
                case.write.into(),
                MatMut::new(&mut c, rows, cols),
            );
            for (at, &x) in c.iter().enumerate() {
                let (i, j) = (i + at / cols, j + at % cols);
                let y = whole[i * n + j];
                prop_assert!(
                    bits(x) == bits(y),
                    "{backend}: {x:?}, not {y:?} at ({i}, {j}) of {rows} x {cols}"
                );
            }
        }
    }

    let transposed = |x: &[T], rows: usize, cols: usize, rs: usize, cs: usize| -> Vec<T> {
        (0..cols).flat_map(|j| (0..rows).map(move |i| x[i * rs + j * cs])).collect()
    };
    let (a, b) = (transposed(&a, m, k, a_rs, a_cs), transposed(&b, k, n, b_rs, b_cs));
    let mut c = old.clone();
    let (left, right) = (Mat::new(&a, k, m).t(), Mat::new(&b, n, k).t());
    gemm_on(backend, alpha, left, right, case.write.into(), MatMut::new(&mut c, m, n));
    prop_assert!(c.iter().zip(&whole).all(|(&x, &y)| bits(x) == bits(y)), "{backend}: layouts");

    // In panels, as it is and transposed; windows begin with a panel or lie in one.
    let (mut as_it_is, mut turned) = (vec![], vec![]);
    as_it_is.resize(panels_len::<T>(k, n), T::from_f64(f64::NAN));
    turned.resize(panels_len::<T>(n, k), T::from_f64(f64::NAN));
    to_panels(right, &mut as_it_is);
    to_panels(right.t(), &mut turned);
    let (mut narrow, mut narrow_turned) = (vec![1; as_it_is.len()], vec![1; turned.len()]);
    let width = panel_columns::<T>();
    let mut stored =
        vec![(Mat::panels(&as_it_is, k, n), width), (Mat::panels(&turned, n, k).t(), 1)];
    if let Some(format) = format {
        to_narrow_panels(right, format, &mut narrow);
        to_narrow_panels(right.t(), format, &mut narrow_turned);
        stored.push((Mat::narrow_panels(&narrow, format, k, n), width));
        stored.push((Mat::narrow_panels(&narrow_turned, format, n, k).t(), 1));
    }
    for (panels, unit) in stored {
        let mut copy = vec![T::ZERO; k * n];
        panels.copy_to(&mut copy);
        prop_assert!((0..k * n).all(|i| copy[i] == right.get(i / n, i % n)), "copied from panels");
        let middle = n / 2 / unit * unit;
        for (j, cols) in [(middle, n - middle), (n / 3, 1)] {
            let mut c: Vec<T> = (0..m).flat_map(|i| old[i * n + j..][..cols].to_vec()).collect();
            let (b, out) = (panels.columns(j..j + cols), MatMut::new(&mut c, m, cols));
            gemm_on(backend, alpha, left, b, case.write.into(), out);
            for (at, &x) in c.iter().enumerate() {
                let y = whole[at / cols * n + j + at % cols];
                prop_assert!(bits(x) == bits(y), "{backend}: {x:?}, not {y:?}, in panels, at {at}");
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn windows_have_the_bits_of_the_whole(mut case in case()) {
        // Empty products have no windows; deep ones are summed in blocks.
        case.shape = case.shape.map(|side| side.max(1));
        let single = Case { alpha: f64::from(case.alpha as f32), ..case.clone() };
        for backend in Backend::available() {
            check_windows::<f32>(backend, &single)?;
            check_windows::<f64>(backend, &case)?;
        }
    }
}

/// A row added in the same pass gives the bits of a C that held it before.
fn check_row<T: Element>(backend: Backend, case: &Case) -> Result<(), TestCaseError> {
    let [m, n, k] = case.shape;
    if m * n * k >= fallback::LARGE && fallback::serves::<T>(backend) {
        return Ok(());
    }
    let (a_len, a_rs, a_cs) = layout(m, k, case.transposed[0], &case.gaps[..2]);
    let (b_len, b_rs, b_cs) = layout(k, n, case.transposed[1], &case.gaps[2..4]);
    let (a, b) = (numbers::<T>(case.seed, a_len), numbers::<T>(case.seed + 1, b_len));
    let row = numbers::<T>(case.seed + 2, n + 1);
    let (a, b) = (Mat::strided(&a, m, k, a_rs, a_cs), Mat::strided(&b, k, n, b_rs, b_cs));
    let alpha = T::from_f64(case.alpha);
    let (mut x, mut y) = (vec![T::from_f64(f64::NAN); m * n], row[..n].repeat(m));
    gemm_on(backend, alpha, a, b, Summand::Row(&row), MatMut::new(&mut x, m, n));
    gemm_on(backend, alpha, a, b, Summand::C, MatMut::new(&mut y, m, n));
    let bits = |x: &T| x.to_f64().to_bits();
    prop_assert!(x.iter().map(bits).eq(y.iter().map(bits)), "{backend}");
    Ok(())
}

proptest! {
    #[test]
    fn a_row_is_added_as_if_it_was_there(case in case()) {
        let single = Case { alpha: f64::from(case.alpha as f32), ..case.clone() };
        for backend in Backend::available() {
            check_row::<f32>(backend, &single)?;
            check_row::<f64>(backend, &case)?;
        }
    }
}

/// Windows of products that are packed, and split over threads, in every way.
#[test]
fn windows_of_large_products_have_the_bits_of_the_whole() {
    let cases = [
        ([15, 2304, 768], [false, false]),
        ([15, 768, 2304], [false, true]),
        ([1, 1111, 700], [false, false]),
        ([3, 1111, 700], [true, false]),
        ([8, 1111, 700], [false, false]),
        ([33, 1111, 700], [false, false]),
        ([28, 500, 1300], [false, true]),
        ([100, 600, 300], [false, true]),
        ([60, 300, 1040], [true, false]),
        ([150, 300, 520], [false, false]),
        ([36, 157, 1152], [false, true]),
        ([300, 3, 700], [false, false]),
        ([36, 47, 600], [false, true]),
    ];
    for ((shape, transposed), seed) in cases.into_iter().zip(11..) {
        if !in_reach(&shape, LARGE) {
            continue;
        }
        let case = Case {
            shape,
            transposed,
            gaps: [0, 0, 0, 0, 0],
            alpha: 0.7f32.into(),
            write: Write::Add,
            seed,
        };
        for backend in backends_of_large_tests() {
            check_windows::<f32>(backend, &case).unwrap();
            check_windows::<f64>(backend, &case).unwrap();
            check_row::<f32>(backend, &case).unwrap();
            check_row::<f64>(backend, &case).unwrap();
        }
    }
}

/// One of five windows: all, columns from the first cut, rows from the second, or turned.
fn window<T>(whole: Mat<'_, T>, i: usize, [first, third]: [usize; 2]) -> Mat<'_, T> {
    let (rows, cols) = (whole.rows, whole.cols);
    match i {
        0 => whole,
        1 => whole.columns(first..cols),
        2 => whole.rows(third..rows),
        3 => whole.t(),
        _ => whole.columns(first..cols).t().columns(third..rows),
    }
}

/// Scaled integers have the bits of their elements: as they are and transposed, windows of columns
/// and of rows that begin anywhere.
#[test]
fn scaled_integers_have_the_bits_of_their_elements() {
    fn check<T: Element>(backend: Backend, [m, rows, cols, group]: [usize; 4]) {
        let quants = numbers::<f32>(1, rows * cols);
        let quants: Vec<f32> = quants.iter().map(|x| (x * 128.0).floor()).collect();
        let shared = rows / group * cols;
        let (scales, offsets) = (numbers::<f32>(2, shared), numbers::<f32>(3, shared));
        let nothing = vec![-0.0; shared];
        for offsets in [offsets, nothing] {
            let scaled = Scaled::new::<T>([rows, cols, group], &quants, &scales, &offsets);
            let mut elements = vec![T::ZERO; rows * cols];
            Mat::scaled(&scaled).copy_to(&mut elements);
            let whole = Mat::new(&elements, rows, cols);
            let (unit, third) = (panel_columns::<T>(), rows / 3);
            let first = cols / 2 / unit * unit;
            let cut = [first, third];
            for i in 0..5 {
                let (b, narrow) = (window(whole, i, cut), window(Mat::scaled(&scaled), i, cut));
                let (k, n) = (b.rows, b.cols);
                let a = numbers::<T>(4, m * k);
                let product = |b| {
                    let (mut c, a) = (vec![T::ZERO; m * n], Mat::new(&a, m, k));
                    let out = MatMut::new(&mut c, m, n);
                    gemm_on(backend, T::ONE, a, b, Write::Store.into(), out);
                    c.iter().map(|x| x.to_f64().to_bits()).collect::<Vec<_>>()
                };
                let same = product(b) == product(narrow);
                assert!(same, "{backend}: window {i} of {rows} x {cols}, {m} rows");
            }
        }
    }
    for backend in Backend::available() {
        for shape in [[1, 64, 40, 32], [5, 96, 33, 16], [15, 320, 48, 32], [130, 32, 16, 16]] {
            check::<f32>(backend, shape);
            check::<f64>(backend, shape);
        }
    }
}

/// The tangents of a product of dual numbers are A' B + A B'.
#[test]
fn tangents_follow_the_product_rule() {
    let (m, n, k) = (7, 9, 40);
    let (a, da) = (numbers::<f64>(1, m * k), numbers::<f64>(2, m * k));
    let (b, db) = (numbers::<f64>(3, k * n), numbers::<f64>(4, k * n));
    let dual =
        |x: &[f64], d: &[f64]| x.iter().zip(d).map(|(&x, &d)| Dual::new(x, d)).collect::<Vec<_>>();
    let (x, y) = (dual(&a, &da), dual(&b, &db));
    let mut c = vec![Dual::ZERO; m * n];
    let one = Dual::ONE;
    let product = |a: &[f64], b: &[f64], write, c: &mut [f64]| {
        gemm_on(
            Backend::Scalar,
            1.0,
            Mat::new(a, m, k),
            Mat::new(b, k, n),
            Write::into(write),
            MatMut::new(c, m, n),
        );
    };
    let out = MatMut::new(&mut c, m, n);
    gemm_on(Backend::Scalar, one, Mat::new(&x, m, k), Mat::new(&y, k, n), Write::Store.into(), out);
    let mut want = vec![0.0; m * n];
    product(&da, &b, Write::Store, &mut want);
    product(&a, &db, Write::Add, &mut want);
    for (c, want) in c.iter().zip(want) {
        assert!((c.tangent - want).abs() <= 4.0 * k as f64 * f64::EPSILON * k as f64);
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let shapes =
        [[300, 310, 290], [2048, 33, 128], [40, 1000, 257], [1000, 1, 3000], [60, 60, 290]];
    for [m, n, k] in shapes.into_iter().filter(|shape| in_reach(shape, LARGE)) {
        let (a, b) = (numbers::<f32>(5, m * k), numbers::<f32>(6, k * n));
        for backend in backends_of_large_tests() {
            let on = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let mut c = vec![1.0; m * n];
                    let (a, b) = (Mat::new(&a, m, k), Mat::new(&b, k, n));
                    gemm_on(backend, 0.3, a, b, Write::Add.into(), MatMut::new(&mut c, m, n));
                    c.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
                })
            };
            let one = on(1);
            assert!(one == on(2) && one == on(5), "{backend} at {m} x {n} x {k}");
        }
    }
}
