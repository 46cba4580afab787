//! What all functions of one number share: `y = f(x)`, element by element.

use crate::gemm::Write;
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

/// The operation; it saves the slope in the forward pass, so that backward is one product.
struct Map<F> {
    len: usize,
    function: PhantomData<F>,
}

impl<T: Element, F: Unary> Op<T> for Map<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn saves(&self) -> usize {
        self.len
    }

    fn forward(&self, run: Forward<'_, T>) {
        T::vectorize(ForwardKernel::<T, F> {
            x: run.input(0),
            y: run.out,
            slope: run.saved,
            function: PhantomData,
        });
    }

    fn backward(&self, run: Backward<'_, T>) {
        if let [Some(dx), ..] = run.grads {
            let (write, dy, slope) = (dx.write, run.grad_out, run.saved);
            T::vectorize(BackwardKernel { dx: dx.slice(), write, dy, slope });
        }
    }
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
