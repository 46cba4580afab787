//! Values clipped to an interval around zero.

use crate::gemm::Write;
use crate::simd::rows::{self, By, RUN};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Op, Tape, Var};

/// `max(min(x, bound), -bound)`, any shape; the slope is 1 up to the bound and 0 beyond it.
pub fn clip<T: Element>(tape: &mut Tape<T>, x: Var, bound: f64) -> Var {
    let shape = tape.shape(x).clone();
    tape.push(Clip { bound }, &[x], &[], shape)
}

struct Clip {
    bound: f64,
}

impl<T: Element> Op<T> for Clip {
    fn name(&self) -> &'static str {
        "clip"
    }

    fn forward(&self, run: Forward<'_, T>) {
        let bound = T::from_f64(self.bound);
        let (x, parts) = (run.input(0), run.input(0).len().div_ceil(RUN));
        rows::run(parts, RUN, (By(x, RUN), By(run.out, RUN)), |(By(x, _), By(y, _))| {
            T::vectorize(ClipForward { bound, x, y });
        });
    }

    fn backward(&self, run: Backward<'_, T>) {
        let (bound, x, dy) = (T::from_f64(self.bound), run.input(0), run.grad_out);
        let [Some(dx), ..] = run.grads else { return };
        let write = dx.write;
        let parts = (By(x, RUN), By(dy, RUN), By(dx.slice(), RUN));
        rows::run(x.len().div_ceil(RUN), RUN, parts, |(By(x, _), By(dy, _), By(dx, _))| {
            T::vectorize(ClipBackward { bound, x, dy, write, dx });
        });
    }
}

struct ClipForward<'a, T> {
    bound: T,
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Element> Kernel<T> for ClipForward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let (low, high) = (L::splat(-self.bound), L::splat(self.bound));
        slice::map::<L>(
            self.x,
            self.y,
            #[inline(always)]
            |x: L| {
                let x = x.select_gt(high, high, x);
                low.select_gt(x, low, x)
            },
        );
    }
}

struct ClipBackward<'a, T> {
    bound: T,
    x: &'a [T],
    dy: &'a [T],
    write: Write,
    dx: &'a mut [T],
}

impl<T: Element> Kernel<T> for ClipBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let (zero, bound) = (L::splat(T::ZERO), L::splat(self.bound));
        match self.write {
            Write::Store => slice::zip::<L>(
                self.x,
                self.dy,
                self.dx,
                #[inline(always)]
                |x: L, dy| x.abs().select_gt(bound, zero, dy),
            ),
            Write::Add => slice::update2::<L>(
                self.dx,
                self.x,
                self.dy,
                #[inline(always)]
                |dx: L, x: L, dy| dx + x.abs().select_gt(bound, zero, dy),
            ),
        }
    }
}
