//! Dual numbers: a value and its derivative along one direction.

use crate::simd::{Backend, Element, Kernel, Scalar};
use std::cmp::Ordering;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

/// `value + tangent * e` with `e * e = 0`.
///
/// Arithmetic on dual numbers carries the directional derivative along:
/// `f(x + v e) = f(x) + (f'(x) v) e`. In the reverse pass, the tangent of a gradient is an exact
/// Hessian-vector product, without a second autodiff system.
///
/// ```
/// use edgegrad::tensor::{Dual, Element};
/// let x = Dual::new(3.0, 1.0);
/// let y = x * x * x;
/// assert_eq!((y.value, y.tangent), (27.0, 27.0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dual<T> {
    /// The value.
    pub value: T,
    /// The derivative of the value along the chosen direction.
    pub tangent: T,
}

impl<T: Element> Dual<T> {
    /// `value + tangent * e`.
    pub fn new(value: T, tangent: T) -> Self {
        Dual { value, tangent }
    }

    /// A function's value at `self.value` and its slope there, by the chain rule.
    fn chain(self, value: T, slope: T) -> Self {
        Dual { value, tangent: slope * self.tangent }
    }
}

/// Compares values only: a comparison picks a branch, and a branch has no derivative.
impl<T: Element> PartialOrd for Dual<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Element> Element for Dual<T> {
    const ZERO: Self = Dual { value: T::ZERO, tangent: T::ZERO };
    const ONE: Self = Dual { value: T::ONE, tangent: T::ZERO };
    const NAME: &'static str = "dual";
    const EPSILON: f64 = T::EPSILON;

    fn from_f64(x: f64) -> Self {
        Dual { value: T::from_f64(x), tangent: T::ZERO }
    }
    fn to_f64(self) -> f64 {
        self.value.to_f64()
    }
    fn mul_add(self, a: Self, b: Self) -> Self {
        self * a + b
    }
    fn abs(self) -> Self {
        if self.value < T::ZERO { -self } else { self }
    }
    fn sqrt(self) -> Self {
        let root = self.value.sqrt();
        self.chain(root, T::from_f64(0.5) / root)
    }
    fn exp(self) -> Self {
        let e = self.value.exp();
        self.chain(e, e)
    }
    fn ln(self) -> Self {
        self.chain(self.value.ln(), T::ONE / self.value)
    }
    fn tanh(self) -> Self {
        let t = self.value.tanh();
        self.chain(t, T::ONE - t * t)
    }
    fn erf(self) -> Self {
        let x = self.value;
        let slope = T::from_f64(std::f64::consts::FRAC_2_SQRT_PI) * (-(x * x)).exp();
        self.chain(x.erf(), slope)
    }

    fn vectorize_on<K: Kernel<Self>>(_: Backend, kernel: K) -> K::Output {
        kernel.run::<Scalar<Self>>()
    }
}

impl<T: Element> Add for Dual<T> {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Dual { value: self.value + o.value, tangent: self.tangent + o.tangent }
    }
}

impl<T: Element> Sub for Dual<T> {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Dual { value: self.value - o.value, tangent: self.tangent - o.tangent }
    }
}

impl<T: Element> Mul for Dual<T> {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        Dual {
            value: self.value * o.value,
            tangent: self.value * o.tangent + self.tangent * o.value,
        }
    }
}

impl<T: Element> Div for Dual<T> {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        let value = self.value / o.value;
        Dual { value, tangent: (self.tangent - value * o.tangent) / o.value }
    }
}

impl<T: Element> Neg for Dual<T> {
    type Output = Self;
    fn neg(self) -> Self {
        Dual { value: -self.value, tangent: -self.tangent }
    }
}

impl<T: Element> AddAssign for Dual<T> {
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}

impl<T: Element> SubAssign for Dual<T> {
    fn sub_assign(&mut self, o: Self) {
        *self = *self - o;
    }
}

impl<T: Element> Sum for Dual<T> {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::ZERO, Add::add)
    }
}
