//! What all elementwise functions of one variable share: `y = f(x)`. All of them are activation
//! functions of neurons, so [rules](crate::tape::rules) may put their ratio `y / x` in place of the
//! slope.

use crate::gemm::Write;
use crate::simd::rows::{self, By, EXP, RUN};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Op, Rules, Tape, Var};
use std::marker::PhantomData;

/// A function of one variable and its slope.
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

/// From this size on, recomputing the slope is faster than reading it back.
const LARGE: usize = 1 << 16;

/// The operation. For small inputs it saves the slopes in the forward pass, so that the backward
/// pass is one product; for large ones it computes them in the backward pass, a run at a time.
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

    fn rereads_output(&self, rules: Rules) -> bool {
        rules.ratio()
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
        let ratio = run.rules.ratio().then(|| run.out());
        let [Some(dx), ..] = run.grads else { return };
        let write = dx.write;
        if let Some(y) = ratio {
            let parts = (By(dx.slice(), RUN), By(run.grad_out, RUN), By(x, RUN), By(y, RUN));
            let runs = self.len.div_ceil(RUN);
            return rows::run(
                runs,
                4 * RUN,
                parts,
                |(By(dx, _), By(dy, _), By(x, _), By(y, _))| {
                    T::vectorize(RatioBackward { dx, write, dy, x, y });
                },
            );
        }
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
    T::vectorize(UnaryForward::<T, F> { x, y, slope, function: PhantomData });
}

/// `dx = dy slope`, or adds it to `dx`.
fn times<T: Element>(dx: &mut [T], write: Write, dy: &[T], slope: &[T]) {
    T::vectorize(UnaryBackward { dx, write, dy, slope });
}

struct UnaryForward<'a, T, F> {
    x: &'a [T],
    y: &'a mut [T],
    slope: &'a mut [T],
    function: PhantomData<F>,
}

impl<T: Element, F: Unary> Kernel<T> for UnaryForward<'_, T, F> {
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

struct UnaryBackward<'a, T> {
    dx: &'a mut [T],
    write: Write,
    dy: &'a [T],
    slope: &'a [T],
}

impl<T: Element> Kernel<T> for UnaryBackward<'_, T> {
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

/// How far the divisor of a ratio is moved away from 0: added, not clamped, as RelP does.
const AWAY: f64 = 1e-6;

/// `dx = dy y / x'` with `x' = x + 1e-6` from 0 on and `x - 1e-6` below, or adds it to `dx`.
struct RatioBackward<'a, T> {
    dx: &'a mut [T],
    write: Write,
    dy: &'a [T],
    x: &'a [T],
    y: &'a [T],
}

impl<T: Element> Kernel<T> for RatioBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { dx, write, dy, x, y } = self;
        let (zero, away) = (L::splat(T::ZERO), L::constant(AWAY));
        let add = write == Write::Add;
        slice::combine(
            dx,
            [dy, x, y],
            #[inline(always)]
            |dx: L, [dy, x, y]: [L; 3]| {
                let ratio = y / (x + zero.select_gt(x, -away, away));
                if add { dy.mul_add(ratio, dx) } else { dy * ratio }
            },
        );
    }
}
