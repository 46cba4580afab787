//! The shares of parts in their normed sum.
//!
//! Where a root-mean-square norm stands after a part, `y = gain x / rms(x)` with `x = z w`, and
//! each row of `w` has a share in `y`: `(z / rms(x)) (w gain)`. This is the first factor.
//!
//! With `r = 1 / rms(x)` of a row of D elements, `y = z r`, and backward
//! `dz = r dy`, `dx = -(r^3 / D) <dy, z> x`.

use super::Eps;
use crate::gemm::Write;
use crate::simd::rows::{self, By};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Op, Tape, Var};

/// `z / sqrt(mean(x^2) + eps)` by row: `[.., N], [.., D] -> [.., N]`.
///
/// # Panics
/// If the rows of `z` and `x` are not as many, or eps is not inside the root.
#[track_caller]
pub fn shares<T: Element>(tape: &mut Tape<T>, z: Var, x: Var, eps: Eps) -> Var {
    let (Eps::Inside(eps) | Eps::InsideSingle(eps)) = eps else {
        panic!("shares of a norm with {eps:?}")
    };
    let (shape, divided) = (tape.shape(z).clone(), tape.shape(x));
    assert_eq!(shape.rows(), divided.rows(), "shares: {shape} of {divided}");
    let op = Shares { rows: shape.rows(), wide: shape.last(), width: divided.last(), eps };
    tape.push(op, &[z, x], &[], shape)
}

struct Shares {
    rows: usize,
    /// N.
    wide: usize,
    /// D.
    width: usize,
    eps: f64,
}

impl<T: Element> Op<T> for Shares {
    fn name(&self) -> &'static str {
        "shares"
    }

    /// `r` of each row.
    fn saves(&self) -> usize {
        self.rows
    }

    fn forward(&self, run: Forward<'_, T>) {
        let (wide, width) = (self.wide.max(1), self.width.max(1));
        let (z, x) = (By(run.input(0), wide), By(run.input(1), width));
        let parts = (z, x, By(run.out, wide), By(run.saved, 1));
        rows::run(self.rows, wide + width, parts, |(By(z, _), By(x, _), By(y, _), By(r, _))| {
            T::vectorize(SharesForward { wide, width, eps: T::from_f64(self.eps), z, x, y, r });
        });
    }

    fn backward(&self, run: Backward<'_, T>) {
        let (wide, width) = (self.wide.max(1), self.width.max(1));
        let (z, x) = (By(run.input(0), wide), By(run.input(1), width));
        let inputs = (z, x, By(run.grad_out, wide), By(run.saved, 1));
        let constant = run.rules.constant_divisor();
        let [dz, dx, ..] = run.grads else { return };
        if constant && let Some(dx) = dx {
            dx.accumulator();
        }
        let dz = dz.as_mut().map(|d| (d.write, By(d.slice(), wide)));
        let dx = dx.as_mut().filter(|_| !constant);
        let dx = dx.map(|d| (d.write, By(d.slice(), width)));
        let writes = [&dz.as_ref().map(|d| d.0), &dx.as_ref().map(|d| d.0)].map(|w| *w);
        let outputs = (dz.map(|d| d.1), dx.map(|d| d.1));
        rows::run(self.rows, 2 * (wide + width), (inputs, outputs), |(inputs, (dz, dx))| {
            let (By(z, _), By(x, _), By(dy, _), By(r, _)) = inputs;
            let dz = dz.map(|d| d.0).zip(writes[0]);
            let dx = dx.map(|d| d.0).zip(writes[1]);
            T::vectorize(SharesBackward { wide, width, z, x, dy, r, dz, dx });
        });
    }
}

struct SharesForward<'a, T> {
    wide: usize,
    width: usize,
    eps: T,
    z: &'a [T],
    x: &'a [T],
    y: &'a mut [T],
    r: &'a mut [T],
}

impl<T: Element> Kernel<T> for SharesForward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { wide, width, eps, z, x, y, r } = self;
        let n = T::from_f64(width as f64);
        let rows = z.chunks_exact(wide).zip(x.chunks_exact(width));
        for ((z, x), (y, r)) in rows.zip(y.chunks_exact_mut(wide).zip(r)) {
            *r = T::ONE / (slice::dot::<L>(x, x) / n + eps).sqrt();
            let factor = L::splat(*r);
            slice::map(
                z,
                y,
                #[inline(always)]
                |z: L| z * factor,
            );
        }
    }
}

struct SharesBackward<'a, T> {
    wide: usize,
    width: usize,
    z: &'a [T],
    x: &'a [T],
    dy: &'a [T],
    r: &'a [T],
    dz: Option<(&'a mut [T], Write)>,
    dx: Option<(&'a mut [T], Write)>,
}

impl<T: Element> Kernel<T> for SharesBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { wide, width, z, x, dy, r, mut dz, mut dx } = self;
        let n = T::from_f64(width as f64);
        let rows = z.chunks_exact(wide).zip(x.chunks_exact(width));
        for (i, ((z, x), (dy, &r))) in rows.zip(dy.chunks_exact(wide).zip(r)).enumerate() {
            if let Some((dz, write)) = &mut dz {
                scaled::<L>(r, dy, *write, &mut dz[i * wide..][..wide]);
            }
            if let Some((dx, write)) = &mut dx {
                let pull = -(r * r * r / n) * slice::dot::<L>(dy, z);
                scaled::<L>(pull, x, *write, &mut dx[i * width..][..width]);
            }
        }
    }
}

/// `to = factor x`, or adds it to `to`.
#[inline(always)]
fn scaled<L: Lanes>(factor: L::Elem, x: &[L::Elem], write: Write, to: &mut [L::Elem]) {
    let factor = L::splat(factor);
    match write {
        Write::Store => slice::map::<L>(
            x,
            to,
            #[inline(always)]
            |x| x * factor,
        ),
        Write::Add => slice::update::<L>(
            to,
            x,
            #[inline(always)]
            |to: L, x: L| x.mul_add(factor, to),
        ),
    }
}
