use super::made::{Made, string};
use super::*;

fn read(made: &Made) -> Result<Gguf> {
    Gguf::from_bytes("m.gguf", &made.bytes())
}

#[track_caller]
fn refused(bytes: &[u8], said: &str) {
    let e = Gguf::from_bytes("m.gguf", bytes).expect_err(said);
    assert!(e.to_string().contains(said) && e.exit_code() == 2, "{e}");
    assert!(e.to_string().starts_with("m.gguf: ") && !e.help().is_empty(), "{e}");
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn whole() -> Made {
    let text = [&8u32.to_le_bytes()[..], &2u64.to_le_bytes(), &string("a"), &string("\u{e9}")];
    let scores = [&6u32.to_le_bytes()[..], &1u64.to_le_bytes(), &(-1.5f32).to_le_bytes()].concat();
    Made::default()
        .text("general.architecture", "llama")
        .count("llama.block_count", 2)
        .number("eps", 0.5)
        .flag("flag", true)
        .key("tokens", 9, &text.concat())
        .key("scores", 9, &scores)
        .tensor("a", &[2, 3], 0, &floats(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]))
        .tensor("b", &[2], 1, &[0, 0x3c, 0, 0xc0])
        .tensor("c", &[2], 30, &[0x80, 0x3f, 0, 0xc0])
}

#[test]
fn keys_and_tensors_are_read() {
    let file = read(&whole()).unwrap();
    let header = file.header();
    assert_eq!(header.text("general.architecture").unwrap(), Some("llama"));
    assert_eq!(header.count("llama.block_count").unwrap(), Some(2));
    assert_eq!(header.number("eps").unwrap(), Some(0.5));
    assert_eq!(header.flag("flag").unwrap(), Some(true));
    assert_eq!(header.texts("tokens").unwrap().unwrap(), ["a", "\u{e9}"]);
    assert_eq!(header.numbers("scores").unwrap().unwrap(), [-1.5]);
    assert_eq!(header.text("none").unwrap(), None);
    assert_eq!(header.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!((header.shape("a"), header.dtype("c")), (Some(&[3, 2][..]), Some(Dtype::BF16)));
    assert_eq!(file.elements("a").unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    for name in ["b", "c"] {
        assert_eq!(file.elements(name).unwrap(), [1.0, -2.0], "{name}");
    }
    let e = header.count("eps").unwrap_err();
    assert!(e.to_string().contains("key `eps`: expected a whole number, got a number"), "{e}");
    let e = file.elements("d").unwrap_err();
    assert!(e.to_string().contains("tensor `d`: is missing"), "{e}");
}

#[test]
fn every_cut_and_every_lie_is_refused() {
    let good = whole().bytes();
    for length in 0..good.len() - 31 {
        assert!(Gguf::from_bytes("m.gguf", &good[..length]).is_err(), "{length} bytes");
    }
    refused(&[&good[..], &[0]].concat(), "goes on for");
    refused(&good[..20], "is cut off: 20 bytes");
    refused(&[b"GGUX", &good[4..]].concat(), "is no GGUF file");
    refused(b"PK\x03\x04 and the rest of an archive", "is a zip archive, as PyTorch saves");
    refused(b"\x80\x02}q\x00 and the rest of a pickle", "is a pickle");
    refused(b"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer");
    for (version, said) in [(1u32, "has version 1"), (3u32.swap_bytes(), "is big endian")] {
        refused(&[&good[..4], &version.to_le_bytes(), &good[8..]].concat(), said);
    }
    for (at, said) in [(8, "claims 1152921504606846976 tensors"), (16, "976 keys")] {
        let lie = (1u64 << 60).to_le_bytes();
        refused(&[&good[..at], &lie, &good[at + 8..]].concat(), said);
    }
    let list = |kind: u32, n: u64| [&kind.to_le_bytes()[..], &n.to_le_bytes()].concat();
    let key = |kind: u32, value: &[u8]| whole().key("k", kind, value).bytes();
    refused(&key(8, &(1u64 << 62).to_le_bytes()), "bytes of text");
    refused(&key(9, &list(8, 1 << 61)), "claims 2305843009213693952 entries");
    refused(&key(9, &list(9, 0)), "list of lists");
    refused(&key(9, &list(77, 0)), "unknown kind 77");
    refused(&key(77, &[]), "unknown kind 77");
    refused(&whole().key("flag", 7, &[1]).bytes(), "key `flag` twice");
    for alignment in [0u32, 3, 1 << 31] {
        let said = format!("{alignment} is no alignment");
        refused(&whole().key("general.alignment", 4, &alignment.to_le_bytes()).bytes(), &said);
    }
    let tensor = |sizes: &[u64], code, offset| whole().entry("t", sizes, code, offset).bytes();
    refused(&tensor(&[2], 0, 0), "tensor `t`: starts at 0, inside");
    refused(&tensor(&[2], 0, 7), "offset 7 is no multiple of 32");
    refused(&tensor(&[2], 0, 96), "needs 8 bytes from 96, there are 96");
    refused(&tensor(&[2], 0, u64::MAX - 31), "needs 8 bytes");
    refused(&tensor(&[1 << 33, 1 << 33], 0, 96), "is larger than the file");
    refused(&tensor(&[0, 1 << 62, 1 << 62], 0, 96), "holds nothing");
    refused(&tensor(&[1; 5], 0, 96), "has 5 axes");
    refused(&tensor(&[48], 8, 96), "rows of 48 elements, blocks of Q8_0 hold 32");
    refused(&tensor(&[256], 10, 96), "is stored as Q2_K, which is not supported");
    refused(&whole().entry("a", &[2], 0, 96).bytes(), "tensor `a` twice");
}

/// The value of element `i` by the definition of its format, bit by bit and in double precision.
fn by_definition(dtype: Dtype, b: &[u8], i: usize) -> f64 {
    let half = |at: usize| half_of(u16::from_le_bytes([b[at], b[at + 1]]));
    let bit = |at: usize, bit: usize| u32::from(b[at + bit / 8] >> (bit % 8) & 1);
    let bits =
        |at: usize, from: usize, n: usize| (0..n).map(|k| bit(at, from + k) << k).sum::<u32>();
    let nibble = |at: usize| bits(at + i % 16, i / 16 * 4, 4);
    // Group g of 8 has a scale and a minimum, of which four each are split.
    let pair = |g: usize| match g {
        0..4 => (bits(4, 8 * g, 6), bits(8, 8 * g, 6)),
        _ => (
            bits(12, 8 * (g - 4), 4) + 16 * bits(4, 8 * (g - 4) + 6, 2),
            bits(12, 8 * (g - 4) + 4, 4) + 16 * bits(8, 8 * (g - 4) + 6, 2),
        ),
    };
    let grouped = |nibbles: usize, fifth: u32| {
        let (scale, minimum) = pair(i / 32);
        let q = bits(nibbles + i / 64 * 32 + i % 32, i / 32 % 2 * 4, 4) + 16 * fifth;
        half(0) * f64::from(scale) * f64::from(q) - half(2) * f64::from(minimum)
    };
    match dtype {
        Dtype::Q8_0 => half(0) * f64::from(b[2 + i] as i8),
        Dtype::Q4_0 => half(0) * (f64::from(nibble(2)) - 8.0),
        Dtype::Q4_1 => half(0) * f64::from(nibble(4)) + half(2),
        Dtype::Q5_0 => half(0) * (f64::from(nibble(6) + 16 * bit(2, i)) - 16.0),
        Dtype::Q5_1 => half(0) * f64::from(nibble(8) + 16 * bit(4, i)) + half(2),
        Dtype::Q4_K => grouped(16, 0),
        Dtype::Q5_K => grouped(48, bit(16 + i % 32, i / 32)),
        Dtype::Q6_K => {
            let (part, at) = (i / 128, i % 128);
            let low = bits(part * 64 + at % 64, at / 64 * 4, 4);
            let high = bits(128 + part * 32 + at % 32, at / 32 * 2, 2);
            let q = f64::from(low + 16 * high) - 32.0;
            half(208) * f64::from(b[192 + i / 16] as i8) * q
        }
        _ => unreachable!("blocks alone"),
    }
}

fn half_of(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[test]
fn blocks_are_what_their_definition_says() {
    use Dtype::*;
    for dtype in [Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K] {
        let (elements, width) = dtype.block();
        let mut state = 7u32;
        let mut b: Vec<u8> = Vec::new();
        b.resize_with(width, || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        // Scales that are numbers: half of their exponents alone are.
        let scales: &[usize] = match dtype {
            Q6_K => &[209],
            Q8_0 | Q4_0 | Q5_0 => &[1],
            _ => &[1, 3],
        };
        scales.iter().for_each(|&at| b[at] = b[at] & 0x83 | 0x2c);
        let mut got = vec![0.0; elements];
        dtype.widen(&b, Plane::Elements, &mut got);
        // Its planes make the same elements, to the bit.
        let group = dtype.group().expect("a group");
        let plane = |plane, count: usize| {
            let mut numbers = vec![f32::NAN; count];
            dtype.widen(&b, plane, &mut numbers);
            numbers
        };
        let quants = plane(Plane::Quants, elements);
        let [scales, offsets] =
            [Plane::Scales, Plane::Offsets].map(|kind| plane(kind, elements / group));
        for (i, x) in got.iter().enumerate() {
            let made = scales[i / group] * quants[i] + offsets[i / group];
            assert_eq!(made.to_bits(), x.to_bits(), "{dtype} {i}");
        }
        let want: Vec<f64> = (0..elements).map(|i| by_definition(dtype, &b, i)).collect();
        let largest = want.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            // Two terms, each at most about the largest, added in single precision.
            let error = (f64::from(*got) - want).abs();
            assert!(error <= 2.0 * largest * f64::from(f32::EPSILON), "{dtype} {i}: {got} {want}");
        }
        // Every element has a value of its own: none is read from another's place.
        let distinct: std::collections::BTreeSet<u32> = got.iter().map(|x| x.to_bits()).collect();
        assert!(distinct.len() > elements.min(16) / 2, "{dtype}: {distinct:?}");
    }
}
