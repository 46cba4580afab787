//! The page's block of numbers: 16 or 32 bits each, deflated, in base64.
//!
//! What the JSON beside it says of an array is where it stands and how it was packed; `packing.js`
//! reads it back. A page with the weights of two runs through time and the circuits of 24 is five
//! times smaller than with digits.

use std::io::Write as _;

use base64::prelude::{BASE64_STANDARD, Engine};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Serialize;

/// Where an array stands and how to read it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Packed {
    at: usize,
    len: usize,
    /// How many places before it stands what each number is the difference to; 0 for numbers of 32
    /// bits.
    stride: usize,
    /// The worth of one; 0 for numbers of 32 bits.
    scale: f32,
}

/// Where bits stand, eight to a byte, the lowest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Bits {
    at: usize,
    len: usize,
}

/// What stands for no number.
const NONE: i16 = i16::MIN;

/// All arrays of a page, one after the other.
#[derive(Default)]
pub(crate) struct Pack {
    bytes: Vec<u8>,
}

impl Pack {
    /// Numbers to 1 part in 65,534 of the largest, kept as differences (modulo 2^16) to the ones
    /// `stride` places before. What is not finite comes back as none.
    ///
    /// # Panics
    /// If the stride is 0.
    pub(crate) fn rounded(&mut self, numbers: &[f32], stride: usize) -> Packed {
        assert!(stride > 0, "a number is not the difference to itself");
        let finite = numbers.iter().filter(|x| x.is_finite());
        let largest = finite.fold(0.0f32, |most, x| most.max(x.abs()));
        // An array of zeros has a scale too: the page multiplies.
        let scale = (largest / f32::from(i16::MAX)).max(f32::MIN_POSITIVE);
        let whole: Vec<i16> = numbers
            .iter()
            .map(|x| if x.is_finite() { (x / scale).round() as i16 } else { NONE })
            .collect();
        let before = |i: usize| if i < stride { 0 } else { whole[i - stride] };
        let differences: Vec<[u8; 2]> =
            (0..whole.len()).map(|i| whole[i].wrapping_sub(before(i)).to_le_bytes()).collect();
        Packed { at: self.planes(&differences), len: numbers.len(), stride, scale }
    }

    /// Numbers to the last bit.
    pub(crate) fn exact(&mut self, numbers: &[f32]) -> Packed {
        let bytes: Vec<[u8; 4]> = numbers.iter().map(|x| x.to_le_bytes()).collect();
        Packed { at: self.planes(&bytes), len: numbers.len(), stride: 0, scale: 0.0 }
    }

    /// Yes and no.
    pub(crate) fn bits(&mut self, bits: &[bool]) -> Bits {
        let at = self.bytes.len();
        let byte =
            |eight: &[bool]| eight.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit));
        self.bytes.extend(bits.chunks(8).map(byte));
        Bits { at, len: bits.len() }
    }

    /// The bytes of the same weight stand together: high ones are much alike.
    fn planes<const N: usize>(&mut self, numbers: &[[u8; N]]) -> usize {
        let at = self.bytes.len();
        for plane in 0..N {
            self.bytes.extend(numbers.iter().map(|bytes| bytes[plane]));
        }
        at
    }

    /// The block as text.
    pub(crate) fn text(&self) -> String {
        deflated(&self.bytes)
    }
}

/// Bytes in zlib's format, in base64.
pub(crate) fn deflated(bytes: &[u8]) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    BASE64_STANDARD.encode(encoder.finish().unwrap_or_default())
}

/// What [`deflated`] was made of.
#[cfg(test)]
pub(crate) fn inflated(text: &str) -> Vec<u8> {
    use std::io::Read as _;
    let bytes = BASE64_STANDARD.decode(text).unwrap();
    let mut whole = Vec::new();
    flate2::read::ZlibDecoder::new(&bytes[..]).read_to_end(&mut whole).unwrap();
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    /// As `packing.js` reads them.
    fn unpack(pack: &Pack, packed: &Packed) -> Vec<f32> {
        let &Packed { at, len, stride, scale } = packed;
        let byte = |plane: usize, i: usize| pack.bytes[at + plane * len + i];
        if stride == 0 {
            let number = |i| f32::from_le_bytes([0, 1, 2, 3].map(|plane| byte(plane, i)));
            return (0..len).map(number).collect();
        }
        let mut whole = vec![0i16; len];
        for i in 0..len {
            let before = if i < stride { 0 } else { whole[i - stride] };
            whole[i] = i16::from_le_bytes([byte(0, i), byte(1, i)]).wrapping_add(before);
        }
        let number = |&x: &i16| if x == NONE { f32::NAN } else { f32::from(x) * scale };
        whole.iter().map(number).collect()
    }

    proptest! {
        #[test]
        fn numbers_come_back(list in prop::collection::vec(-1e3f32..1e3, 0..50), stride in 1usize..9) {
            let mut pack = Pack::default();
            pack.bits(&[true; 3]);
            let (rounded, exact) = (pack.rounded(&list, stride), pack.exact(&list));
            prop_assert_eq!(unpack(&pack, &exact), list.clone());
            let largest = list.iter().fold(0.0f32, |a, x| a.max(x.abs()));
            for (a, b) in unpack(&pack, &rounded).iter().zip(&list) {
                // Half of a step, and the rounding of two products.
                prop_assert!((a - b).abs() <= largest * (0.5 / 32767.0 + 2e-7), "{a} {b}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_none_and_bits_stand_in_order() {
        let mut pack = Pack::default();
        let packed = pack.rounded(&[1.0, f32::NAN, -1.0, f32::INFINITY, 0.0], 2);
        let list = unpack(&pack, &packed);
        assert_eq!([list[0], list[2], list[4]], [1.0, -1.0, 0.0]);
        assert!(list[1].is_nan() && list[3].is_nan());
        let at = pack.bytes.len();
        let bits = [true, false, false, true, false, false, false, false, true];
        assert_eq!(pack.bits(&bits), Bits { at, len: 9 });
        assert_eq!(pack.bytes[at..], [0b1001, 1]);
        assert_eq!(inflated(&pack.text()), pack.bytes);
    }

    /// The same bytes that the page's tests read with `packing.js`.
    #[test]
    fn arrays_are_packed_as_the_shared_fixture_says() {
        #[derive(Deserialize)]
        struct Fixture {
            bytes: Vec<u8>,
            arrays: Vec<Array>,
            bits: Flags,
        }
        #[derive(Deserialize)]
        struct Array {
            numbers: Vec<Option<f32>>,
            stride: usize,
            packed: serde_json::Value,
            values: Vec<Option<f32>>,
        }
        #[derive(Deserialize)]
        struct Flags {
            bits: Vec<u8>,
            packed: serde_json::Value,
        }
        let text = include_str!("../../tests/fixtures/packing.json");
        let Fixture { bytes, arrays, bits } = serde_json::from_str(text).unwrap();
        let mut pack = Pack::default();
        let f32s = |list: &[Option<f32>]| -> Vec<f32> {
            list.iter().map(|x| x.unwrap_or(f32::NAN)).collect()
        };
        for array in &arrays {
            let numbers = f32s(&array.numbers);
            let packed = match array.stride {
                0 => pack.exact(&numbers),
                stride => pack.rounded(&numbers, stride),
            };
            let said = |key: &str| array.packed[key].as_f64().unwrap();
            let place = [packed.at, packed.len, packed.stride].map(|x| x as f64);
            assert_eq!(place, ["at", "len", "stride"].map(said));
            assert_eq!(packed.scale, said("scale") as f32);
            for (got, want) in unpack(&pack, &packed).into_iter().zip(f32s(&array.values)) {
                assert!(got == want || (got.is_nan() && want.is_nan()), "{got} for {want}");
            }
        }
        let flags: Vec<bool> = bits.bits.iter().map(|&bit| bit == 1).collect();
        assert_eq!(serde_json::to_value(pack.bits(&flags)).unwrap(), bits.packed);
        assert_eq!(pack.bytes, bytes);
    }
}
