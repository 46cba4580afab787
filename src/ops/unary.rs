//! What all functions of one number share: `y = f(x)`, element by element.

use crate::gemm::Write;
use crate::simd::rows::{self, By, EXP, RUN};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Op, Tape, Var};
use std::marker::PhantomData;

/// A function of one number and its slope.
pub(super) trait Unary: Send + Sync + 'static {
    const NAME: &'static str;

    /// `(f(x), f'(x))`: together, since most of the work serves both.
    fn value_and_slope<L: Lanes>(x: L) -> (L, L);
}

/// Records `y = f(x)`, of the shape of `x`.
pub(super) fn record<T: Element, F: Unary>(tape: &mut Tape<T>, x: Var) -> Var {
    let shape = tape.shape(x).clone();
    tape.push(Map::<F> { len: shape.len(), function: PhantomData }, &[x], &[], shape)
}

/// From so many numbers on, slopes would come back from memory later than they are computed anew.
const LARGE: usize = 1 << 16;

/// The operation. It saves the slopes of a few numbers in the forward pass, so that backward is one
/// product; those of many are computed where they are needed, a run at a time.
struct Map<F> {
    len: usize,
    function: PhantomData<F>,
}

impl<T: Element, F: Unary> Op<T> for Map<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn saves(&self) -> usize {
        if self.len < LARGE { self.len } else { 0 }
    }

    fn forward(&self, run: Forward<'_, T>) {
        if self.len < LARGE {
            return both::<T, F>(run.input(0), run.out, run.saved);
        }
        let parts = (By(run.input(0), RUN), By(run.out, RUN));
        rows::run(self.len.div_ceil(RUN), 2 * EXP * RUN, parts, |(By(x, _), By(y, _))| {
            let mut slope = [T::ZERO; RUN];
            for (x, y) in x.chunks(RUN).zip(y.chunks_mut(RUN)) {
                both::<T, F>(x, y, &mut slope[..x.len()]);
            }
        });
    }

    fn backward(&self, run: Backward<'_, T>) {
        let x = run.input(0);
        let [Some(dx), ..] = run.grads else { return };
        let write = dx.write;
        if self.len < LARGE {
            return times(dx.slice(), write, run.grad_out, run.saved);
        }
        let parts = (By(dx.slice(), RUN), By(run.grad_out, RUN), By(x, RUN));
        rows::run(
            self.len.div_ceil(RUN),
            2 * EXP * RUN,
            parts,
            |(By(dx, _), By(dy, _), By(x, _))| {
                let (mut y, mut slope) = ([T::ZERO; RUN], [T::ZERO; RUN]);
                for (dx, (dy, x)) in dx.chunks_mut(RUN).zip(dy.chunks(RUN).zip(x.chunks(RUN))) {
                    let slope = &mut slope[..x.len()];
                    both::<T, F>(x, &mut y[..x.len()], slope);
                    times(dx, write, dy, slope);
                }
            },
        );
    }
}

/// `y = f(x)` and `slope = f'(x)`.
fn both<T: Element, F: Unary>(x: &[T], y: &mut [T], slope: &mut [T]) {
    T::vectorize(ForwardKernel::<T, F> { x, y, slope, function: PhantomData });
}

/// `dx = dy slope`, or adds it.
fn times<T: Element>(dx: &mut [T], write: Write, dy: &[T], slope: &[T]) {
    T::vectorize(BackwardKernel { dx, write, dy, slope });
}

struct ForwardKernel<'a, T, F> {
    x: &'a [T],
    y: &'a mut [T],
    slope: &'a mut [T],
    function: PhantomData<F>,
}

impl<T: Element, F: Unary> Kernel<T> for ForwardKernel<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        slice::map_to_two::<L>(
            self.x,
            self.y,
            self.slope,
            #[inline(always)]
            |x| F::value_and_slope(x),
        );
    }
}

struct BackwardKernel<'a, T> {
    dx: &'a mut [T],
    write: Write,
    dy: &'a [T],
    slope: &'a [T],
}

impl<T: Element> Kernel<T> for BackwardKernel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { dx, write, dy, slope } = self;
        match write {
            Write::Store => slice::zip::<L>(
                dy,
                slope,
                dx,
                #[inline(always)]
                |dy, s| dy * s,
            ),
            Write::Add => slice::update2::<L>(
                dx,
                dy,
                slope,
                #[inline(always)]
                |dx, dy, s| dy.mul_add(s, dx),
            ),
        }
    }
}
