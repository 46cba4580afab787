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

    /// How many elements share a scale; `None` of floats.
    pub(super) fn group(self) -> Option<usize> {
        match self {
            Dtype::F32 | Dtype::F16 | Dtype::BF16 => None,
            Dtype::Q6_K => Some(16),
            _ => Some(32),
        }
    }

    /// Writes a plane of whole blocks to `out`.
    ///
    /// # Panics
    /// If it has not as many numbers as `out` takes, or floats are asked for a plane of blocks.
    pub(super) fn widen(self, bytes: &[u8], plane: Plane, out: &mut [f32]) {
        let (elements, width) = self.block();
        let (count, group) = (elements / self.per(plane), self.group());
        assert_eq!(bytes.len() / width * count, out.len(), "{plane:?} of {self}");
        let blocks = bytes.chunks_exact(width).zip(out.chunks_exact_mut(count));
        let float: fn(&[u8]) -> f32 = match self {
            Dtype::F32 => |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            Dtype::F16 => |b| half(b, 0),
            Dtype::BF16 => |b| Half::Bf16.widen(u16::from_le_bytes([b[0], b[1]])),
            _ => {
                let (mut block, group) = (Block::default(), group.expect("not of floats"));
                for (bytes, out) in blocks {
                    self.split(bytes, &mut block);
                    block.put(plane, group, out);
                }
                return;
            }
        };
        assert_eq!(plane, Plane::Elements, "{self} has no blocks");
        blocks.for_each(|(bytes, out)| out[0] = float(bytes));
    }

    /// How many elements a number of a plane stands for.
    pub(super) fn per(self, plane: Plane) -> usize {
        match plane {
            Plane::Elements | Plane::Quants => 1,
            Plane::Scales | Plane::Offsets => self.group().unwrap_or(1),
        }
    }

    /// Splits the bytes of a block of integers.
    fn split(self, b: &[u8], to: &mut Block) {
        let Block { quants, scales, offsets } = to;
        // No minimum adds nothing, not even to the sign of a zero.
        offsets[0] = -0.0;
        match self {
            Dtype::F32 | Dtype::F16 | Dtype::BF16 => unreachable!("floats"),
            Dtype::Q8_0 => {
                scales[0] = half(b, 0);
                quants.iter_mut().zip(&b[2..]).for_each(|(q, &byte)| *q = byte as i8);
            }
            Dtype::Q4_0 => {
                scales[0] = half(b, 0);
                nibbles(&b[2..], None, 8, quants);
            }
            Dtype::Q5_0 => {
                scales[0] = half(b, 0);
                nibbles(&b[6..], Some(&b[2..6]), 16, quants);
            }
            Dtype::Q4_1 => {
                (scales[0], offsets[0]) = (half(b, 0), half(b, 2));
                nibbles(&b[4..], None, 0, quants);
            }
            Dtype::Q5_1 => {
                (scales[0], offsets[0]) = (half(b, 0), half(b, 2));
                nibbles(&b[8..], Some(&b[4..8]), 0, quants);
            }
            Dtype::Q4_K => scaled_nibbles(b, None, &b[16..], to),
            Dtype::Q5_K => scaled_nibbles(b, Some(&b[16..48]), &b[48..], to),
            Dtype::Q6_K => six_bits(b, to),
        }
    }
}

/// What a tensor of blocks is made of. An element is `scale * quant + offset`: the product in
/// single precision, and then the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// Its elements.
    Elements,
    /// The integer of each element.
    Quants,
    /// The scale of each group of elements.
    Scales,
    /// What is added to the elements of each group.
    Offsets,
}

/// A block of integers.
struct Block {
    quants: [i8; SUPER],
    /// Of each group.
    scales: [f32; GROUPS],
    offsets: [f32; GROUPS],
}

/// The groups of the block that has most of them.
const GROUPS: usize = SUPER / 16;

impl Default for Block {
    fn default() -> Block {
        Block { quants: [0; SUPER], scales: [0.0; GROUPS], offsets: [-0.0; GROUPS] }
    }
}

impl Block {
    /// Writes a plane of it to `out`.
    fn put(&self, plane: Plane, group: usize, out: &mut [f32]) {
        match plane {
            Plane::Elements => {
                let groups = out.chunks_exact_mut(group).zip(self.quants.chunks_exact(group));
                let scaled = groups.zip(self.scales.iter().zip(&self.offsets));
                for ((out, quants), (scale, offset)) in scaled {
                    let each = out.iter_mut().zip(quants);
                    each.for_each(|(x, &q)| *x = scale * f32::from(q) + offset);
                }
            }
            Plane::Quants => {
                out.iter_mut().zip(&self.quants).for_each(|(x, &q)| *x = q.into());
            }
            Plane::Scales => out.copy_from_slice(&self.scales[..out.len()]),
            Plane::Offsets => out.copy_from_slice(&self.offsets[..out.len()]),
        }
    }
}

/// The half at byte `at`.
fn half(b: &[u8], at: usize) -> f32 {
    Half::F16.widen(u16::from_le_bytes([b[at], b[at + 1]]))
}

/// 32 elements, all less by a number: the lower nibbles of 16 bytes, then the upper ones; bit `i`
/// of `fifth` is the fifth bit of element `i`.
#[inline]
fn nibbles(bytes: &[u8], fifth: Option<&[u8]>, less: u8, out: &mut [i8]) {
    let fifth = fifth.map_or(0, |bits| u32::from_le_bytes([bits[0], bits[1], bits[2], bits[3]]));
    // Halves of constant length: these loops become vectors.
    let (low, high) = out[..32].split_at_mut(16);
    for (i, (x, &byte)) in low.iter_mut().zip(&bytes[..16]).enumerate() {
        let upper = (fifth >> i & 1) as u8;
        *x = (byte & 15 | upper << 4).wrapping_sub(less) as i8;
    }
    for (i, (x, &byte)) in high.iter_mut().zip(&bytes[..16]).enumerate() {
        let upper = (fifth >> (16 + i) & 1) as u8;
        *x = (byte >> 4 | upper << 4).wrapping_sub(less) as i8;
    }
}

/// 256 elements in 8 groups of 32, each with a scale and a minimum of 6 bits in `b[4..16]`; groups
/// `2 i` and `2 i + 1` are the lower and upper nibbles of 32 bytes, and bit `g` of byte `i` of
/// `fifth` is the fifth bit of element `i` of group `g`.
fn scaled_nibbles(b: &[u8], fifth: Option<&[u8]>, nibbles: &[u8], to: &mut Block) {
    let (d, dmin) = (half(b, 0), half(b, 2));
    for (g, out) in to.quants.chunks_exact_mut(32).enumerate() {
        let (scale, minimum) = six_bit_pair(&b[4..16], g);
        to.scales[g] = d * f32::from(scale);
        to.offsets[g] = -(dmin * f32::from(minimum));
        for (i, x) in out.iter_mut().enumerate() {
            let nibble = nibbles[g / 2 * 32 + i] >> (g % 2 * 4) & 15;
            let upper = fifth.map_or(0, |bits| bits[i] >> g & 1);
            *x = (nibble | upper << 4) as i8;
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
fn six_bits(b: &[u8], to: &mut Block) {
    let (nibbles, rest) = b.split_at(128);
    let (upper, rest) = rest.split_at(64);
    let (scales, d) = (&rest[..16], half(rest, 16));
    to.scales.iter_mut().zip(scales).for_each(|(to, &s)| *to = d * f32::from(s as i8));
    to.offsets.fill(-0.0);
    for (i, x) in to.quants.iter_mut().enumerate() {
        let (part, at) = (i / 128, i % 128);
        let low = nibbles[part * 64 + at % 64] >> (at / 64 * 4) & 15;
        let high = upper[part * 32 + at % 32] >> (at / 32 * 2) & 3;
        *x = (low | high << 4) as i8 - 32;
    }
}
