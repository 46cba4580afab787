//! Macros for methods that are alike in many kinds of lanes: one intrinsic each, or none.

/// `method(args) = intrinsic;` for methods that take and return whole lanes.
macro_rules! wrap {
    ($($method:ident($($arg:ident)*) = $intrinsic:ident;)*) => {$(
        #[inline(always)]
        fn $method(self $(, $arg: Self)*) -> Self {
            // SAFETY: lanes of this module exist only inside its `run`, which has checked that the
            // processor has the instructions.
            Self(unsafe { $intrinsic(self.0 $(, $arg.0)*) })
        }
    )*};
}
pub(super) use wrap;

/// `at_most` and `at_least` of `Bits`: the minimum and maximum instructions return the second
/// operand if one is NaN.
macro_rules! limits {
    () => {
        #[inline(always)]
        fn at_most(self, limit: Self) -> Self {
            limit.min(self)
        }
        #[inline(always)]
        fn at_least(self, limit: Self) -> Self {
            limit.max(self)
        }
    };
}
pub(super) use limits;

/// The functions of `Lanes` that have one definition for all of `Bits`.
macro_rules! functions {
    () => {
        #[inline(always)]
        fn exp(self) -> Self {
            $crate::simd::math::exp(self)
        }
        #[inline(always)]
        fn ln(self) -> Self {
            $crate::simd::math::ln(self)
        }
        #[inline(always)]
        fn tanh(self) -> Self {
            $crate::simd::math::tanh(self)
        }
        #[inline(always)]
        fn erf(self) -> Self {
            $crate::simd::math::erf(self)
        }
        #[inline(always)]
        fn normal(self) -> (Self, Self) {
            $crate::simd::math::normal(self)
        }
    };
}
pub(super) use functions;
