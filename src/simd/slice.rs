//! Loops over slices by lanes: whole vectors, then one partial vector for the tail.
//!
//! These are the only places that walk slices by `L::N`; kernels hand them a formula.

use super::{Element, Lanes};

/// `y[i] = f(x[i])`. Panics if the lengths differ.
#[inline(always)]
pub fn map<L: Lanes>(x: &[L::Elem], y: &mut [L::Elem], f: impl Fn(L) -> L) {
    assert_eq!(x.len(), y.len(), "lengths of x and y");
    let zero = L::Elem::default();
    let mut xs = x.chunks_exact(L::N);
    let mut ys = y.chunks_exact_mut(L::N);
    for (x, y) in xs.by_ref().zip(ys.by_ref()) {
        f(L::load(x)).store(y);
    }
    if !xs.remainder().is_empty() {
        f(L::load_partial(xs.remainder(), zero)).store_partial(ys.into_remainder());
    }
}

/// `z[i] = f(x[i], y[i])`. Panics if the lengths differ.
#[inline(always)]
pub fn zip<L: Lanes>(x: &[L::Elem], y: &[L::Elem], z: &mut [L::Elem], f: impl Fn(L, L) -> L) {
    assert!(x.len() == z.len() && y.len() == z.len(), "lengths of x, y and z");
    let zero = L::Elem::default();
    let mut xs = x.chunks_exact(L::N);
    let mut ys = y.chunks_exact(L::N);
    let mut zs = z.chunks_exact_mut(L::N);
    for ((x, y), z) in xs.by_ref().zip(ys.by_ref()).zip(zs.by_ref()) {
        f(L::load(x), L::load(y)).store(z);
    }
    if !xs.remainder().is_empty() {
        let x = L::load_partial(xs.remainder(), zero);
        let y = L::load_partial(ys.remainder(), zero);
        f(x, y).store_partial(zs.into_remainder());
    }
}

/// `z[i] = f(z[i], x[i])`. Panics if the lengths differ.
#[inline(always)]
pub fn update<L: Lanes>(z: &mut [L::Elem], x: &[L::Elem], f: impl Fn(L, L) -> L) {
    assert_eq!(x.len(), z.len(), "lengths of x and z");
    let zero = L::Elem::default();
    let mut xs = x.chunks_exact(L::N);
    let mut zs = z.chunks_exact_mut(L::N);
    for (x, z) in xs.by_ref().zip(zs.by_ref()) {
        f(L::load(z), L::load(x)).store(z);
    }
    if !xs.remainder().is_empty() {
        let z = zs.into_remainder();
        f(L::load_partial(z, zero), L::load_partial(xs.remainder(), zero)).store_partial(z);
    }
}

/// `z[i] = f(z[i], x[i], y[i])`. Panics if the lengths differ.
#[inline(always)]
pub fn update2<L: Lanes>(
    z: &mut [L::Elem],
    x: &[L::Elem],
    y: &[L::Elem],
    f: impl Fn(L, L, L) -> L,
) {
    assert!(x.len() == z.len() && y.len() == z.len(), "lengths of x, y and z");
    let zero = L::Elem::default();
    let mut xs = x.chunks_exact(L::N);
    let mut ys = y.chunks_exact(L::N);
    let mut zs = z.chunks_exact_mut(L::N);
    for ((x, y), z) in xs.by_ref().zip(ys.by_ref()).zip(zs.by_ref()) {
        f(L::load(z), L::load(x), L::load(y)).store(z);
    }
    if !xs.remainder().is_empty() {
        let x = L::load_partial(xs.remainder(), zero);
        let y = L::load_partial(ys.remainder(), zero);
        let z = zs.into_remainder();
        f(L::load_partial(z, zero), x, y).store_partial(z);
    }
}

/// `out[i] = f(out[i], [x[i], y[i], ..])` for any number of inputs. Panics if the lengths differ.
#[inline(always)]
pub fn combine<L: Lanes, const I: usize>(
    out: &mut [L::Elem],
    inputs: [&[L::Elem]; I],
    f: impl Fn(L, [L; I]) -> L,
) {
    let n = out.len();
    assert!(inputs.iter().all(|x| x.len() == n), "lengths of the inputs and the output");
    let zero = L::Elem::default();
    let whole = n - n % L::N;
    for at in (0..whole).step_by(L::N) {
        let out = &mut out[at..];
        f(L::load(out), vectors(inputs, at)).store(out);
    }
    if whole < n {
        let out = &mut out[whole..];
        let mut rest = [L::splat(zero); I];
        for (rest, x) in rest.iter_mut().zip(inputs) {
            *rest = L::load_partial(&x[whole..], zero);
        }
        f(L::load_partial(out, zero), rest).store_partial(out);
    }
}

/// The vector of each slice that starts at `at`.
#[inline(always)]
fn vectors<L: Lanes, const I: usize>(slices: [&[L::Elem]; I], at: usize) -> [L; I] {
    // `map` of arrays is not reliably inlined.
    let mut vectors = [L::splat(L::Elem::ZERO); I];
    for (vector, x) in vectors.iter_mut().zip(slices) {
        *vector = L::load(&x[at..]);
    }
    vectors
}

/// Independent partial sums, enough to hide the latency of an addition: a single sum would wait for
/// the previous addition in every step.
const CHAINS: usize = 4;

/// `O` sums over `I` slices of equal length: `f` adds the contribution of a vector of each. Lanes
/// beyond the end hold `fill`, which must contribute nothing. The order is fixed: vectors go to
/// four partial sums in turn. Panics if the lengths differ.
#[inline(always)]
pub fn sums<L: Lanes, const I: usize, const O: usize>(
    inputs: [&[L::Elem]; I],
    fill: [L::Elem; I],
    f: impl Fn([L; O], [L; I]) -> [L; O],
) -> [L::Elem; O] {
    let n = inputs[0].len();
    assert!(inputs.iter().all(|x| x.len() == n), "lengths of the inputs");
    let mut at = 0;
    let mut total = [L::splat(L::Elem::ZERO); O];
    if n >= CHAINS * L::N {
        let [mut a, mut b, mut c, mut d] = [total; CHAINS];
        while at + CHAINS * L::N <= n {
            a = f(a, vectors(inputs, at));
            b = f(b, vectors(inputs, at + L::N));
            c = f(c, vectors(inputs, at + 2 * L::N));
            d = f(d, vectors(inputs, at + 3 * L::N));
            at += CHAINS * L::N;
        }
        for i in 0..O {
            total[i] = (a[i] + b[i]) + (c[i] + d[i]);
        }
    }
    while at + L::N <= n {
        total = f(total, vectors(inputs, at));
        at += L::N;
    }
    if at < n {
        let mut rest = [L::splat(L::Elem::ZERO); I];
        for i in 0..I {
            rest[i] = L::load_partial(&inputs[i][at..], fill[i]);
        }
        total = f(total, rest);
    }
    let mut sums = [L::Elem::ZERO; O];
    for (sum, total) in sums.iter_mut().zip(total) {
        *sum = total.sum();
    }
    sums
}

/// The sum of `x[i]`.
#[inline(always)]
pub fn sum<L: Lanes>(x: &[L::Elem]) -> L::Elem {
    let [sum] = sums(
        [x],
        [L::Elem::ZERO],
        #[inline(always)]
        |[sum]: [L; 1], [x]| [sum + x],
    );
    sum
}

/// The sum of `x[i] * y[i]`. Panics if the lengths differ.
#[inline(always)]
pub fn dot<L: Lanes>(x: &[L::Elem], y: &[L::Elem]) -> L::Elem {
    let [sum] = sums(
        [x, y],
        [L::Elem::ZERO; 2],
        #[inline(always)]
        |[sum]: [L; 1], [x, y]| [x.mul_add(y, sum)],
    );
    sum
}

/// The largest of `x`; minus infinity if it is empty. Unspecified if an element is NaN.
#[inline(always)]
pub fn largest<L: Lanes>(x: &[L::Elem]) -> L::Elem {
    let lowest = L::Elem::from_f64(f64::NEG_INFINITY);
    let mut chains = [L::splat(lowest); CHAINS];
    let mut fours = x.chunks_exact(CHAINS * L::N);
    for four in fours.by_ref() {
        for (i, chain) in chains.iter_mut().enumerate() {
            *chain = chain.max(L::load(&four[i * L::N..]));
        }
    }
    let [a, b, c, d] = chains;
    let mut max = a.max(b).max(c.max(d));
    let mut ones = fours.remainder().chunks_exact(L::N);
    for one in ones.by_ref() {
        max = max.max(L::load(one));
    }
    if !ones.remainder().is_empty() {
        max = max.max(L::load_partial(ones.remainder(), lowest));
    }
    max.max_lane()
}

/// `(y[i], z[i]) = f(x[i])`. Panics if the lengths differ.
#[inline(always)]
pub fn map_to_two<L: Lanes>(
    x: &[L::Elem],
    y: &mut [L::Elem],
    z: &mut [L::Elem],
    f: impl Fn(L) -> (L, L),
) {
    assert!(x.len() == y.len() && x.len() == z.len(), "lengths of x, y and z");
    let mut xs = x.chunks_exact(L::N);
    let mut ys = y.chunks_exact_mut(L::N);
    let mut zs = z.chunks_exact_mut(L::N);
    for ((x, y), z) in xs.by_ref().zip(ys.by_ref()).zip(zs.by_ref()) {
        let (a, b) = f(L::load(x));
        a.store(y);
        b.store(z);
    }
    if !xs.remainder().is_empty() {
        let (a, b) = f(L::load_partial(xs.remainder(), L::Elem::default()));
        a.store_partial(ys.into_remainder());
        b.store_partial(zs.into_remainder());
    }
}

/// A full vector, or the partial one at the end of a slice, padded with zeros.
#[inline(always)]
pub fn load<L: Lanes>(xs: &[L::Elem]) -> L {
    if xs.len() == L::N { L::load(xs) } else { L::load_partial(xs, L::Elem::default()) }
}

/// Writes what [`load`] would read.
#[inline(always)]
pub fn store<L: Lanes>(x: L, out: &mut [L::Elem]) {
    if out.len() == L::N { x.store(out) } else { x.store_partial(out) }
}

/// `x[i] = f(x[i])`.
#[inline(always)]
pub fn map_in_place<L: Lanes>(x: &mut [L::Elem], f: impl Fn(L) -> L) {
    let mut xs = x.chunks_exact_mut(L::N);
    for x in xs.by_ref() {
        f(L::load(x)).store(x);
    }
    let x = xs.into_remainder();
    if !x.is_empty() {
        f(L::load_partial(x, L::Elem::default())).store_partial(x);
    }
}
