//! TrueType as the font of figures uses it: one file, held to its checksum by a test.
//!
//! So reads cannot fail, and what that file does not do is not here: offsets of glyphs are short,
//! every glyph has a width of its own, characters map to glyphs by format 4, and glyphs that are
//! made of others only move them.

use super::font::Segment;

/// The bytes of a font.
#[derive(Clone, Copy)]
pub(super) struct Font(pub(super) &'static [u8]);

impl Font {
    /// Font units of an em.
    pub(super) fn em(self) -> u16 {
        u16_at(self.table(b"head"), 18)
    }

    /// Left, bottom, right, top of all glyphs, in font units.
    pub(super) fn bounds(self) -> [i16; 4] {
        [36, 38, 40, 42].map(|at| i16_at(self.table(b"head"), at))
    }

    /// How far lines reach above and below, and the height of capitals, in font units.
    pub(super) fn heights(self) -> [i16; 3] {
        let lines = self.table(b"hhea");
        [i16_at(lines, 4), i16_at(lines, 6), i16_at(self.table(b"OS/2"), 88)]
    }

    /// How far the next glyph is, in font units.
    pub(super) fn advance(self, glyph: u16) -> u16 {
        u16_at(self.table(b"hmtx"), 4 * usize::from(glyph))
    }

    /// The glyph of a character.
    pub(super) fn glyph(self, character: char) -> Option<u16> {
        let code = u16::try_from(u32::from(character)).ok()?;
        let map = self.table(b"cmap");
        let map = &map[u32_at(map, 8)..];
        // Four lists of as many numbers: last codes, (a pad,) first codes, what is added to a code,
        // and how far from its own place in this list a segment's list of glyphs begins.
        let size = usize::from(u16_at(map, 6));
        let lists = [14, 16 + size, 16 + 2 * size, 16 + 3 * size];
        let segment = (0..size).step_by(2).find(|&at| u16_at(map, lists[0] + at) >= code)?;
        let [first, delta, list] = [1, 2, 3].map(|i| u16_at(map, lists[i] + segment));
        if first > code {
            return None;
        }
        let glyph = match list {
            0 => code,
            _ => u16_at(map, lists[3] + segment + usize::from(list + 2 * (code - first))),
        };
        (list == 0 || glyph != 0).then(|| glyph.wrapping_add(delta))
    }

    /// The outline of a glyph, in font units with y upwards; nothing for a space.
    pub(super) fn outline(self, glyph: u16) -> Vec<Segment> {
        let mut outline = vec![];
        self.add_outline(glyph, [0.0, 0.0], &mut outline);
        outline
    }

    /// Adds the outline of a glyph, moved by `by`.
    fn add_outline(self, glyph: u16, by: [f32; 2], outline: &mut Vec<Segment>) {
        let places = self.table(b"loca");
        let [start, end] =
            [0, 2].map(|at| 2 * usize::from(u16_at(places, usize::from(glyph) * 2 + at)));
        if start == end {
            return;
        }
        let bytes = &self.table(b"glyf")[start..end];
        match i16_at(bytes, 0) {
            count @ 0.. => add_contours(&bytes[10..], count as usize, by, outline),
            _ => self.add_parts(&bytes[10..], by, outline),
        }
    }

    /// Adds the glyphs that a glyph is made of.
    fn add_parts(self, bytes: &[u8], by: [f32; 2], outline: &mut Vec<Segment>) {
        const WORDS: u16 = 1;
        const MORE: u16 = 0x20;
        let mut at = 0;
        loop {
            let (flags, glyph) = (u16_at(bytes, at), u16_at(bytes, at + 2));
            let (x, y, next) = match flags & WORDS {
                0 => (bytes[at + 4] as i8 as i16, bytes[at + 5] as i8 as i16, at + 6),
                _ => (i16_at(bytes, at + 4), i16_at(bytes, at + 6), at + 8),
            };
            self.add_outline(glyph, [by[0] + f32::from(x), by[1] + f32::from(y)], outline);
            if flags & MORE == 0 {
                return;
            }
            at = next;
        }
    }

    /// The file from the start of a table on.
    fn table(self, name: &[u8; 4]) -> &'static [u8] {
        let entries = self.0[12..].chunks_exact(16).take(usize::from(u16_at(self.0, 4)));
        let entry = entries.into_iter().find(|entry| entry.starts_with(name));
        &self.0[u32_at(entry.expect("a table of the file"), 8)..]
    }
}

/// A point of a contour: where, and whether the contour passes through it.
type Point = ([f32; 2], bool);

/// Adds the contours of a glyph: their last points, instructions, flags, steps in x, steps in y.
fn add_contours(bytes: &[u8], count: usize, by: [f32; 2], outline: &mut Vec<Segment>) {
    const REPEATED: u8 = 8;
    let ends: Vec<usize> = (0..count).map(|i| usize::from(u16_at(bytes, 2 * i)) + 1).collect();
    let points = ends.last().copied().unwrap_or(0);
    let mut at = 2 * count + 2 + usize::from(u16_at(bytes, 2 * count));
    let mut flags = Vec::with_capacity(points);
    while flags.len() < points {
        let repeats = if bytes[at] & REPEATED == 0 { 0 } else { bytes[at + 1] };
        flags.extend(std::iter::repeat_n(bytes[at], usize::from(repeats) + 1));
        at += 1 + usize::from(bytes[at] & REPEATED != 0);
    }
    let xs = steps(bytes, &mut at, &flags, [2, 0x10]);
    let ys = steps(bytes, &mut at, &flags, [4, 0x20]);
    let points: Vec<Point> = (0..points)
        .map(|i| ([f32::from(xs[i]) + by[0], f32::from(ys[i]) + by[1]], flags[i] & 1 != 0))
        .collect();
    let mut from = 0;
    for end in ends {
        add_contour(&points[from..end], outline);
        from = end;
    }
}

/// The coordinates along one axis: a step is a byte, whose sign is the second flag, or a word, or
/// with the second flag none.
fn steps(bytes: &[u8], at: &mut usize, flags: &[u8], [short, other]: [u8; 2]) -> Vec<i16> {
    let mut place = 0i16;
    let step = |&flag: &u8| {
        let (step, len) = match (flag & short != 0, flag & other != 0) {
            (true, plus) => (i16::from(bytes[*at]) * if plus { 1 } else { -1 }, 1),
            (false, true) => (0, 0),
            (false, false) => (i16_at(bytes, *at), 2),
        };
        *at += len;
        place += step;
        place
    };
    flags.iter().map(step).collect()
}

/// Adds one contour, from its first point on the curve round to it again. Between two control
/// points lies a point of the curve.
fn add_contour(points: &[Point], outline: &mut Vec<Segment>) {
    let Some(start) = points.iter().position(|point| point.1) else { return };
    let first = points[start].0;
    outline.push(Segment::Move(first));
    let mut control: Option<[f32; 2]> = None;
    for &(point, on_curve) in points[start + 1..].iter().chain(&points[..=start]) {
        match (control, on_curve) {
            (None, true) => outline.push(Segment::Line(point)),
            (Some(before), true) => outline.push(Segment::Curve(before, point)),
            (Some(before), false) => {
                let middle = [0, 1].map(|i| before[i] + 0.5 * (point[i] - before[i]));
                outline.push(Segment::Curve(before, middle));
            }
            (None, false) => {}
        }
        control = (!on_curve).then_some(point);
    }
    outline.push(Segment::Close);
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn i16_at(bytes: &[u8], at: usize) -> i16 {
    u16_at(bytes, at) as i16
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16_at(bytes, at)) << 16 | usize::from(u16_at(bytes, at + 2))
}
