//! Multiplication by a constant.

use crate::gemm::Write;
use crate::simd::rows::{self, By, RUN};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tape::{Backward, Forward, Op, Tape, Var};

/// `factor * x`, any shape.
pub fn scale<T: Element>(tape: &mut Tape<T>, x: Var, factor: f64) -> Var {
    let shape = tape.shape(x).clone();
    tape.push(Scale { factor }, &[x], &[], shape)
}

struct Scale {
    factor: f64,
}

impl<T: Element> Op<T> for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn forward(&self, run: Forward<'_, T>) {
        times(T::from_f64(self.factor), run.input(0), Write::Store, run.out);
    }

    fn backward(&self, run: Backward<'_, T>) {
        if let [Some(dx), ..] = run.grads {
            let write = dx.write;
            times(T::from_f64(self.factor), run.grad_out, write, dx.slice());
        }
    }
}

/// `y = factor x`, or adds it to `y`.
fn times<T: Element>(factor: T, x: &[T], write: Write, y: &mut [T]) {
    rows::run(x.len().div_ceil(RUN), RUN, (By(x, RUN), By(y, RUN)), |(By(x, _), By(y, _))| {
        T::vectorize(Times { factor, x, write, y });
    });
}

struct Times<'a, T> {
    factor: T,
    x: &'a [T],
    write: Write,
    y: &'a mut [T],
}

impl<T: Element> Kernel<T> for Times<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let factor = L::splat(self.factor);
        match self.write {
            Write::Store => slice::map::<L>(
                self.x,
                self.y,
                #[inline(always)]
                |x| x * factor,
            ),
            Write::Add => slice::update::<L>(
                self.y,
                self.x,
                #[inline(always)]
                |y, x| x.mul_add(factor, y),
            ),
        }
    }
}
