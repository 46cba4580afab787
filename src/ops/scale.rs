//! Multiplication by a constant.

use crate::gemm::Write;
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
        let factor = T::from_f64(self.factor);
        T::vectorize(Times { factor, x: run.input(0), write: Write::Store, y: run.out });
    }

    fn backward(&self, run: Backward<'_, T>) {
        if let [Some(dx), ..] = run.grads {
            let (factor, write) = (T::from_f64(self.factor), dx.write);
            T::vectorize(Times { factor, x: run.grad_out, write, y: dx.slice() });
        }
    }
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
