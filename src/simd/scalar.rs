//! One lane of any element type: the oracle of the fast lanes, and the lanes of dual numbers.

use super::{Element, Kernel, Lanes};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// One element.
#[derive(Clone, Copy, Debug)]
pub struct Scalar<T>(T);

impl<T: Element> Lanes for Scalar<T> {
    type Elem = T;
    const N: usize = 1;
    const MR: usize = 4;
    const NV: usize = 4;

    #[inline(always)]
    fn splat(x: T) -> Self {
        Scalar(x)
    }
    #[inline(always)]
    fn load(xs: &[T]) -> Self {
        Scalar(xs[0])
    }
    #[inline(always)]
    fn load_partial(xs: &[T], fill: T) -> Self {
        Scalar(xs.first().copied().unwrap_or(fill))
    }
    #[inline(always)]
    fn store(self, out: &mut [T]) {
        out[0] = self.0;
    }
    #[inline(always)]
    fn store_partial(self, out: &mut [T]) {
        if let Some(x) = out.first_mut() {
            *x = self.0;
        }
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        Scalar(self.0.mul_add(a.0, b.0))
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.select_gt(other, self, other)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.select_gt(other, other, self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Scalar(self.0.abs())
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Scalar(self.0.sqrt())
    }
    #[inline(always)]
    fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
        if self.0 > other.0 { yes } else { no }
    }
    #[inline(always)]
    fn exp(self) -> Self {
        Scalar(self.0.exp())
    }
    #[inline(always)]
    fn ln(self) -> Self {
        Scalar(self.0.ln())
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        Scalar(self.0.tanh())
    }
    #[inline(always)]
    fn erf(self) -> Self {
        Scalar(self.0.erf())
    }
    #[inline(always)]
    fn normal(self) -> (Self, Self) {
        use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};
        let (x, c) = (self.0, T::from_f64);
        let density = (x * x * c(-0.5)).exp() * c(FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * 0.5);
        (Scalar(((x * c(FRAC_1_SQRT_2)).erf() + T::ONE) * c(0.5)), Scalar(density))
    }
    #[inline(always)]
    fn sum(self) -> T {
        self.0
    }
    #[inline(always)]
    fn max_lane(self) -> T {
        self.0
    }

    #[inline(never)]
    fn outline<K: Kernel<Self::Elem>>(kernel: K) -> K::Output {
        kernel.run::<Self>()
    }
}

macro_rules! operator {
    ($($trait:ident $method:ident $op:tt)*) => {$(
        impl<T: Element> $trait for Scalar<T> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Scalar(self.0 $op other.0)
            }
        }
    )*};
}
operator! { Add add + Sub sub - Mul mul * Div div / }

impl<T: Element> Neg for Scalar<T> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Scalar(-self.0)
    }
}
