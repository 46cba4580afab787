//! Floating-point numbers of 16 bits, as files store weights.

use super::Element;

/// A format of 16 bits. It widens to `f32` without rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// bfloat16, the upper half of a binary32.
    Bf16,
    /// IEEE binary16: one sign bit, five exponent bits with bias 15, ten fraction bits.
    F16,
}

/// As a binary32 the bits of a binary16 behind its sign are so many times smaller, those without an
/// exponent included.
const SCALE: f32 = (1u128 << 112) as f32;

impl Half {
    /// The number with these bits.
    #[inline(always)]
    pub fn widen(self, bits: u16) -> f32 {
        let wide = u32::from(bits);
        match self {
            Half::Bf16 => f32::from_bits(wide << 16),
            Half::F16 => {
                // Where the exponent is full, NaN or infinite. Not a choice between two results,
                // which is not vectorized.
                let (sign, magnitude) = ((wide & 0x8000) << 16, (wide & 0x7fff) << 13);
                let full = if magnitude >= 0x7c00 << 13 { 0x7f80_0000 } else { 0 };
                f32::from_bits(sign | magnitude | full) * SCALE
            }
        }
    }

    /// The element with these bits.
    #[inline(always)]
    pub(crate) fn element<T: Element>(self, bits: u16) -> T {
        T::from_f64(self.widen(bits).into())
    }

    /// The bits of `x`, if the format has this number.
    #[inline(always)]
    fn narrow(self, x: f32) -> u16 {
        let bits = match self {
            Half::Bf16 => return (x.to_bits() >> 16) as u16,
            Half::F16 => (x.abs() / SCALE).to_bits() >> 13,
        };
        (bits | (x.to_bits() >> 16 & 0x8000)) as u16
    }

    /// The bits of an element that is [one of these](Half::that_holds).
    #[inline(always)]
    pub(crate) fn of<T: Element>(self, x: T) -> u16 {
        self.narrow(x.to_f64() as f32)
    }

    /// The format that has all of these finite elements, if there is one.
    pub(crate) fn that_holds<T: Element>(elements: &[T]) -> Option<Half> {
        // In short parts, which are vectorized; most numbers are refused in the first.
        const PART: usize = 1 << 10;
        let is = |half: Half, x: T| half.element::<T>(half.of(x)) == x;
        let has = |half: &Half| {
            let mut parts = elements.chunks(PART);
            parts.all(|part| part.iter().fold(true, |all, &x| all & is(*half, x)))
        };
        [Half::Bf16, Half::F16].into_iter().find(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between two powers of two are equally far apart, as below the first of them.
    fn value(bits: u16, fraction: u32, bias: i32) -> f64 {
        let exponent = i32::from((bits & 0x7fff) >> fraction);
        let lead = if exponent == 0 { 0.0 } else { f64::from(1u32 << fraction) };
        let steps = lead + f64::from(bits & ((1 << fraction) - 1));
        let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
        sign * steps * 2f64.powi(exponent.max(1) - bias - fraction as i32)
    }

    #[test]
    fn all_numbers_are_exact_both_ways() {
        for (half, fraction, bias, infinity) in
            [(Half::F16, 10, 15, 0x7c00), (Half::Bf16, 7, 127, 0x7f80)]
        {
            for bits in 0..=u16::MAX {
                let (x, magnitude) = (half.widen(bits), bits & 0x7fff);
                match magnitude.cmp(&infinity) {
                    std::cmp::Ordering::Less => {
                        let wanted = value(bits, fraction, bias);
                        assert_eq!(f64::from(x).to_bits(), wanted.to_bits(), "{half:?} {bits:x}");
                        assert_eq!(half.of(x), bits, "{half:?}");
                    }
                    std::cmp::Ordering::Equal => assert!(x.is_infinite(), "{half:?} {bits:x}"),
                    std::cmp::Ordering::Greater => assert!(x.is_nan(), "{half:?} {bits:x}"),
                }
                assert_eq!(x.is_sign_negative(), bits & 0x8000 > 0, "{half:?} {bits:x}");
            }
        }
    }

    #[test]
    fn the_format_that_holds_all_numbers() {
        let some = |x: f64| [vec![1.0; 3000], vec![x, -2.5]].concat();
        // Seven bits of a fraction, ten, eleven; the largest of one format, and one beyond it.
        let cases = [
            (1.0 + 2f64.powi(-7), Some(Half::Bf16)),
            (1.0 + 2f64.powi(-10), Some(Half::F16)),
            (1.0 + 2f64.powi(-11), None),
            (65504.0, Some(Half::F16)),
            (65536.0, Some(Half::Bf16)),
            (65504.0 + 16.0, None),
            (2f64.powi(-24), Some(Half::Bf16)),
            (3.0 * 2f64.powi(-24) + 2f64.powi(-15), Some(Half::F16)),
            (2f64.powi(-25) + 2f64.powi(-15), None),
            (1.0 + 2f64.powi(-40), None),
            (1e300, None),
        ];
        for (x, wanted) in cases {
            assert_eq!(Half::that_holds(&some(x)), wanted, "{x:e}");
            let single: Vec<f32> = some(x).iter().map(|&x| x as f32).collect();
            if f64::from(x as f32) == x {
                assert_eq!(Half::that_holds(&single), wanted, "{x:e}");
            }
        }
    }
}
