//! How GGUF stores elements: floats, and blocks of small integers that share a scale.
//!
//! | dtype | a block | an element `q` of it becomes |
//! | --- | --- | --- |
//! | `F32`, `F16`, `BF16` | 1 element | itself |
//! | `Q8_0` | 32: scale, 32 x i8 | `d q` |
//! | `Q4_0`, `Q5_0` | 32: scale, (fifth bits,) nibbles | `d (q - 8)`, `d (q - 16)` |
//! | `Q4_1`, `Q5_1` | 32: scale, minimum, (fifth bits,) nibbles | `d q + m` |
//! | `Q4_K`, `Q5_K` | 256: two scales, 8 x (6-bit scale, 6-bit minimum), (fifth bits,) nibbles | `d s q - e m` |
//! | `Q6_K` | 256: nibbles, upper two bits, 16 x i8 scale, scale | `d s (q - 32)` |
//!
//! Scales are halves. Products of a scale and an integer are exact in single precision, but for
//! `Q6_K`; the addition of a minimum is rounded to single precision, as in gguf-py.

use crate::simd::Half;
use std::fmt;

/// Elements of a block that has scales for each 32 or 16 of them.
const SUPER: usize = 256;

/// How the elements of a tensor are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table above says what they are, by their usual names")]
#[allow(non_camel_case_types, clippy::upper_case_acronyms)]
pub enum Dtype {
    F32,
    F16,
    BF16,
    Q8_0,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q4_K,
    Q5_K,
    Q6_K,
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Dtype {
    /// The names of all, for errors.
    pub(super) const NAMES: [&str; 11] =
        ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"];

    /// The dtype that files write as `code`, if it is supported.
    pub(super) fn from_code(code: u32) -> Option<Dtype> {
        Some(match code {
            0 => Dtype::F32,
            1 => Dtype::F16,
            2 => Dtype::Q4_0,
            3 => Dtype::Q4_1,
            6 => Dtype::Q5_0,
            7 => Dtype::Q5_1,
            8 => Dtype::Q8_0,
            12 => Dtype::Q4_K,
            13 => Dtype::Q5_K,
            14 => Dtype::Q6_K,
            30 => Dtype::BF16,
            _ => return None,
        })
    }

    /// What people call a dtype that is not supported.
    pub(super) fn name_of(code: u32) -> String {
        let name = match code {
            9 => "Q8_1",
            10 => "Q2_K",
            11 => "Q3_K",
            15 => "Q8_K",
            16..=23 | 29 => "an IQ type",
            24..=27 => "integers",
            28 => "F64",
            34 | 35 => "a ternary type",
            39 => "MXFP4",
            _ => return format!("type {code}, which is not known"),
        };
        format!("{name}, which is not supported")
    }

    /// The elements of a block, and its bytes.
    pub(super) fn block(self) -> (usize, usize) {
        match self {
            Dtype::F32 => (1, 4),
            Dtype::F16 | Dtype::BF16 => (1, 2),
            Dtype::Q8_0 => (32, 34),
            Dtype::Q4_0 => (32, 18),
            Dtype::Q4_1 => (32, 20),
            Dtype::Q5_0 => (32, 22),
            Dtype::Q5_1 => (32, 24),
            Dtype::Q4_K => (SUPER, 144),
            Dtype::Q5_K => (SUPER, 176),
            Dtype::Q6_K => (SUPER, 210),
        }
    }

    /// Writes the elements of whole blocks to `out`.
    ///
    /// # Panics
    /// If there are not as many as `out` takes.
    pub(super) fn widen(self, bytes: &[u8], out: &mut [f32]) {
        let (elements, width) = self.block();
        assert_eq!(bytes.len() / width * elements, out.len(), "elements of {self}");
        let mut each = |block: fn(&[u8], &mut [f32])| {
            for (bytes, out) in bytes.chunks_exact(width).zip(out.chunks_exact_mut(elements)) {
                block(bytes, out);
            }
        };
        match self {
            Dtype::F32 => each(|b, out| out[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            Dtype::F16 => each(|b, out| out[0] = half(b, 0)),
            Dtype::BF16 => {
                each(|b, out| out[0] = Half::Bf16.widen(u16::from_le_bytes([b[0], b[1]])));
            }
            Dtype::Q8_0 => each(|b, out| {
                let d = half(b, 0);
                for (x, &q) in out.iter_mut().zip(&b[2..]) {
                    *x = d * f32::from(q as i8);
                }
            }),
            Dtype::Q4_0 => each(|b, out| {
                let d = half(b, 0);
                nibbles(&b[2..], None, |q| d * (q - 8.0), out);
            }),
            Dtype::Q5_0 => each(|b, out| {
                let d = half(b, 0);
                nibbles(&b[6..], Some(&b[2..6]), |q| d * (q - 16.0), out);
            }),
            Dtype::Q4_1 => each(|b, out| {
                let (d, m) = (half(b, 0), half(b, 2));
                nibbles(&b[4..], None, |q| d * q + m, out);
            }),
            Dtype::Q5_1 => each(|b, out| {
                let (d, m) = (half(b, 0), half(b, 2));
                nibbles(&b[8..], Some(&b[4..8]), |q| d * q + m, out);
            }),
            Dtype::Q4_K => each(|b, out| scaled_nibbles(b, None, &b[16..], out)),
            Dtype::Q5_K => each(|b, out| scaled_nibbles(b, Some(&b[16..48]), &b[48..], out)),
            Dtype::Q6_K => each(six_bits),
        }
    }
}

/// The half at byte `at`.
fn half(b: &[u8], at: usize) -> f32 {
    Half::F16.widen(u16::from_le_bytes([b[at], b[at + 1]]))
}

/// 32 elements: the lower nibbles of 16 bytes, then the upper ones; bit `i` of `fifth` is the fifth
/// bit of element `i`.
#[inline]
fn nibbles(bytes: &[u8], fifth: Option<&[u8]>, value: impl Fn(f32) -> f32, out: &mut [f32]) {
    let fifth = fifth.map_or(0, |bits| u32::from_le_bytes([bits[0], bits[1], bits[2], bits[3]]));
    // Halves of constant length: these loops become vectors.
    let (low, high) = out.split_at_mut(16);
    for (i, (x, &byte)) in low.iter_mut().zip(&bytes[..16]).enumerate() {
        let upper = (fifth >> i & 1) as u8;
        *x = value(f32::from(byte & 15 | upper << 4));
    }
    for (i, (x, &byte)) in high.iter_mut().zip(&bytes[..16]).enumerate() {
        let upper = (fifth >> (16 + i) & 1) as u8;
        *x = value(f32::from(byte >> 4 | upper << 4));
    }
}

/// 256 elements in 8 groups of 32, each with a scale and a minimum of 6 bits in `b[4..16]`; groups
/// `2 i` and `2 i + 1` are the lower and upper nibbles of 32 bytes, and bit `g` of byte `i` of
/// `fifth` is the fifth bit of element `i` of group `g`.
fn scaled_nibbles(b: &[u8], fifth: Option<&[u8]>, nibbles: &[u8], out: &mut [f32]) {
    let (d, dmin) = (half(b, 0), half(b, 2));
    for (g, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, minimum) = six_bit_pair(&b[4..16], g);
        let (scale, minimum) = (d * f32::from(scale), dmin * f32::from(minimum));
        for (i, x) in out.iter_mut().enumerate() {
            let nibble = nibbles[g / 2 * 32 + i] >> (g % 2 * 4) & 15;
            let upper = fifth.map_or(0, |bits| bits[i] >> g & 1);
            *x = scale * f32::from(nibble | upper << 4) - minimum;
        }
    }
}

/// The scale and the minimum of group `g` of 8 in 12 bytes: the first four of each stand in the
/// lower six bits of bytes 0 to 7, the others in nibbles of bytes 8 to 11 and the upper bits that
/// are left.
fn six_bit_pair(b: &[u8], g: usize) -> (u8, u8) {
    if g < 4 {
        (b[g] & 63, b[g + 4] & 63)
    } else {
        (b[g + 4] & 15 | (b[g - 4] >> 6) << 4, b[g + 4] >> 4 | (b[g] >> 6) << 4)
    }
}

/// 256 elements of 6 bits: two halves, each with 64 bytes of nibbles (elements 0 to 63 are the
/// lower ones, 64 to 127 the upper) and 32 bytes of upper bits (two for each of elements `i`, `i +
/// 32`, ..).
fn six_bits(b: &[u8], out: &mut [f32]) {
    let (nibbles, rest) = b.split_at(128);
    let (upper, rest) = rest.split_at(64);
    let (scales, d) = (&rest[..16], half(rest, 16));
    for (i, x) in out.iter_mut().enumerate() {
        let (part, at) = (i / 128, i % 128);
        let low = nibbles[part * 64 + at % 64] >> (at / 64 * 4) & 15;
        let high = upper[part * 32 + at % 32] >> (at / 32 * 2) & 3;
        let q = f32::from(low | high << 4) - 32.0;
        *x = d * f32::from(scales[i / 16] as i8) * q;
    }
}
