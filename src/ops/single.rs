//! What Hugging Face's transformers rounds to single precision in a model of doubles: the
//! root-mean-square norm and the cosines and sines of rotary embeddings.
//!
//! `edgegrad run --dtype f64` rounds here too and gives the logits of transformers to the last bit;
//! without it they differ by up to 3e-7. Readers of models never round, so that attribution and
//! derivatives are those of doubles. Rounding to the nearest single at each step is not enough:
//! PyTorch's sums and MKL's cosines differ from it in last bits, and logits by 1e-7. So this
//! follows PyTorch on an x86-64 in the order of sums and in the approximations:
//!
//! - a sum along the last axis is that of ATen's `SumKernel.cpp`: 8 lanes of 4 accumulators each,
//!   which a cascade of 4 levels empties every 16 steps or more;
//! - powers are the platform's `powf` (PyTorch's own for 32 exponents at a time differ once in some
//!   hundred);
//! - cosines and sines are those of MKL, which subtracts a multiple of pi, evaluates a polynomial
//!   of degree 9 in doubles and rounds once. The coefficients here are fitted to its results: of 40
//!   million cosines and sines of angles up to 10,000, 11 differ in the last bit, and none of those
//!   of the whole numbers below 10,000.

/// The lanes of a vector of singles in ATen's sums, with AVX2 and AVX-512 alike.
const LANES: usize = 8;
/// Accumulators that the vectors of a row go to in turn.
const CHAINS: usize = 4;
/// Levels of the cascade.
const LEVELS: usize = 4;

/// The factor of a root-mean-square norm, `1 / sqrt(mean(x^2) + eps)`.
pub(super) fn norm_factor(width: usize, eps: f64, x: impl Fn(usize) -> f32) -> f32 {
    let mean = sum(width, |i| x(i) * x(i)) / width as f32;
    1.0 / (mean + eps as f32).sqrt()
}

/// The sum of `x(0)`, ... `x(n - 1)`.
fn sum(n: usize, x: impl Fn(usize) -> f32) -> f32 {
    if n < LANES {
        return lanes::<1>(n, x)[0];
    }
    let lanes = lanes::<LANES>(n / LANES, &x);
    let rest = (n / LANES * LANES..n).map(x);
    rest.chain(lanes).fold(0.0, |total, x| total + x)
}

/// The sums of each of the `L` lanes of `n` vectors; lane `j` of vector `i` is `x(i L + j)`.
fn lanes<const L: usize>(n: usize, x: impl Fn(usize) -> f32) -> [f32; L] {
    let add = |to: &mut [f32; L], x: [f32; L]| to.iter_mut().zip(x).for_each(|(to, x)| *to += x);
    let vector = |i: usize| std::array::from_fn(|j| x(i * L + j));
    let steps = n / CHAINS;
    let log2 = steps.max(2).next_power_of_two().ilog2();
    let power = (log2 / LEVELS as u32).max(4);
    let mut levels = [[[0.0f32; L]; CHAINS]; LEVELS];
    for step in 0..steps {
        for (chain, to) in levels[0].iter_mut().enumerate() {
            add(to, vector(step * CHAINS + chain));
        }
        // Every 2^power steps a level is emptied into the next, as in an odometer.
        let done = step + 1;
        if !done.is_multiple_of(1 << power) {
            continue;
        }
        for level in 1..LEVELS {
            let full = std::mem::replace(&mut levels[level - 1], [[0.0; L]; CHAINS]);
            for (to, x) in levels[level].iter_mut().zip(full) {
                add(to, x);
            }
            if (done >> (level as u32 * power)) & ((1 << power) - 1) != 0 {
                break;
            }
        }
    }
    let [mut chains, higher @ ..] = levels;
    for level in higher {
        for (to, x) in chains.iter_mut().zip(level) {
            add(to, x);
        }
    }
    let [mut total, others @ ..] = chains;
    for i in steps * CHAINS..n {
        add(&mut total, vector(i));
    }
    for chain in others {
        add(&mut total, chain);
    }
    total
}

/// The positions in which pair `pair` turns by 1, of `dims` rotated elements.
pub(super) fn period(pair: usize, dims: usize, base: f64) -> f32 {
    (base as f32).powf((2 * pair) as f32 / dims as f32)
}

/// The cosine and the sine at `position` of a pair with this period.
pub(super) fn turn(position: usize, period: f32) -> (f32, f32) {
    let angle = position as f32 * (1.0 / period);
    (cos(angle), sin(angle))
}

/// Beyond this angle MKL uses another method, which is closer to the exact value.
const FAR: f32 = 10_000.0;

fn sin(x: f32) -> f32 {
    let x = f64::from(x);
    if x.abs() > f64::from(FAR) {
        return libm::sin(x) as f32;
    }
    let turns = (x / PI_HIGH).round_ties_even();
    near(x, turns, turns)
}

fn cos(x: f32) -> f32 {
    let x = f64::from(x);
    if x.abs() > f64::from(FAR) {
        return libm::cos(x) as f32;
    }
    let turns = (x / PI_HIGH - 0.5).round_ties_even();
    near(x, turns + 0.5, turns + 1.0)
}

/// Pi as the sum of two doubles.
const PI_HIGH: f64 = std::f64::consts::PI;
const PI_LOW: f64 = 1.224_646_799_147_353_2e-16;

/// The sine of `x - turns pi`, between `-pi / 2` and `pi / 2`; negated where `sign` is odd.
fn near(x: f64, turns: f64, sign: f64) -> f32 {
    let r = (-turns).mul_add(PI_LOW, (-turns).mul_add(PI_HIGH, x));
    let s = r * r;
    let p = -1.980_960_291_412_729_3e-4 + s * 2.605_780_669_915_895e-6;
    let p = s * (-0.166_666_595_504_281_4 + s * (8.333_066_246_194_527e-3 + s * p));
    let y = (r + r * p) as f32;
    if sign % 2.0 == 0.0 { y } else { -y }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values are PyTorch 2.15's; for most angles the nearest cosine or sine is
    /// another.
    #[test]
    fn turns_are_those_of_pytorch() {
        for (position, pair, base, cos, sin) in [
            (0, 0, 1e4, 0x3f80_0000, 0),
            (1, 0, 1e4, 0x3f0a_5141, 0x3f57_6aa4),
            (2, 5, 1e4, 0x3f7f_feb1, 0x3bcf_3ddd),
            (28, 2, 1e4, 0xbf71_357c, 0x3eab_8393),
            (66, 2, 1e4, 0x3f73_4272, 0x3e9f_8257),
            (102, 2, 1e4, 0xbf36_da1f, 0xbf33_2afa),
            (195, 5, 1e4, 0x3f50_d9d2, 0x3f14_0b84),
            (9999, 0, 5e5, 0xbf45_88b7, 0x3f22_d698),
        ] {
            let got = turn(position, period(pair, 16, base));
            let want = (f32::from_bits(cos), f32::from_bits(sin));
            assert!(got == want, "{position} {pair}: {got:?}, not {want:?}");
        }
        assert_eq!(sin(-2.0), -sin(2.0));
        assert_eq!(cos(20_000.0), libm::cos(20_000.0) as f32);
        assert_eq!(sin(20_000.0), libm::sin(20_000.0) as f32);
    }

    /// Sums of the squares of `sin(i + 1)`, in single precision, by PyTorch 2.15: with less than a
    /// vector, with a rest of elements and of vectors, and through one and two levels of the
    /// cascade.
    #[test]
    fn sums_are_those_of_pytorch() {
        for (n, want) in [
            (5, 0x4043_039f),
            (32, 0x4180_08e9),
            (48, 0x41c1_1906),
            (75, 0x4216_c280),
            (127, 0x427f_9a0e),
            (512, 0x4380_03aa),
            (600, 0x4396_01f1),
            (8200, 0x4580_1fbe),
        ] {
            let x = |i: usize| libm::sin((i + 1) as f64) as f32;
            let got = sum(n, |i| x(i) * x(i));
            assert!(got == f32::from_bits(want), "{n}: {got}, not {}", f32::from_bits(want));
        }
        assert_eq!(sum(0, |_| f32::NAN), 0.0);
    }
}
