//! Methods of lanes that are one intrinsic each, as a table.

/// `method(args) = intrinsic;` for methods that take and return whole lanes.
macro_rules! wrap {
    ($($method:ident($($arg:ident)*) = $intrinsic:ident;)*) => {$(
        #[inline(always)]
        fn $method(self $(, $arg: Self)*) -> Self {
            // SAFETY: lanes of this module exist only inside its `run`, which has made sure that
            // the processor has the instructions.
            Self(unsafe { $intrinsic(self.0 $(, $arg.0)*) })
        }
    )*};
}
pub(super) use wrap;
