//! Loops over slices by lanes: whole vectors, then one partial vector for the tail.
//!
//! These are the only places that walk slices by `L::N`; kernels hand them a formula.

use super::Lanes;

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

/// `acc = f(acc, x[i])` over all of `x`, lane by lane; the lanes behind the end see `fill`, which
/// has to leave the result as it is. Reduce what comes back with [`Lanes::sum`] or
/// [`Lanes::max_lane`].
#[inline(always)]
pub fn fold<L: Lanes>(x: &[L::Elem], fill: L::Elem, mut acc: L, f: impl Fn(L, L) -> L) -> L {
    let mut xs = x.chunks_exact(L::N);
    for x in xs.by_ref() {
        acc = f(acc, L::load(x));
    }
    if !xs.remainder().is_empty() {
        acc = f(acc, L::load_partial(xs.remainder(), fill));
    }
    acc
}

/// `acc = f(acc, x[i], y[i])`, as [`fold`] with zeros behind the end. Panics if the lengths differ.
#[inline(always)]
pub fn fold2<L: Lanes>(x: &[L::Elem], y: &[L::Elem], mut acc: L, f: impl Fn(L, L, L) -> L) -> L {
    assert_eq!(x.len(), y.len(), "lengths of x and y");
    let zero = L::Elem::default();
    let mut xs = x.chunks_exact(L::N);
    let mut ys = y.chunks_exact(L::N);
    for (x, y) in xs.by_ref().zip(ys.by_ref()) {
        acc = f(acc, L::load(x), L::load(y));
    }
    if !xs.remainder().is_empty() {
        let x = L::load_partial(xs.remainder(), zero);
        acc = f(acc, x, L::load_partial(ys.remainder(), zero));
    }
    acc
}

/// The sum of `x[i] * y[i]`. Panics if the lengths differ.
#[inline(always)]
pub fn dot<L: Lanes>(x: &[L::Elem], y: &[L::Elem]) -> L::Elem {
    let zero = L::splat(L::Elem::default());
    fold2(
        x,
        y,
        zero,
        #[inline(always)]
        |acc: L, x, y| x.mul_add(y, acc),
    )
    .sum()
}
