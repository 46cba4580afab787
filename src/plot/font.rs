//! The one font of all figures, which the binary carries, so that every machine draws the same.

use std::sync::LazyLock;

use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// The file; `fonts/README.md` says where it comes from.
pub(super) const FILE: &[u8] = include_bytes!("fonts/Arimo-Regular.subset.ttf");
/// What the file calls itself.
pub(super) const NAME: &str = "Arimo";

static FACE: LazyLock<Face<'static>> =
    LazyLock::new(|| Face::parse(FILE, 0).expect("a test holds the file to its checksum"));

/// A part of an outline, in font units with y upwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Segment {
    Move([f32; 2]),
    Line([f32; 2]),
    /// Quadratic: control point, end.
    Curve([f32; 2], [f32; 2]),
    Close,
}

/// A glyph of a text and how far the next one is, in font units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Glyph {
    pub(super) id: u16,
    pub(super) character: char,
    pub(super) advance: f64,
}

/// Font units of an em.
pub(super) fn em() -> f64 {
    f64::from(FACE.units_per_em())
}

/// The glyphs of a text; U+FFFD stands for what the font has not.
pub(super) fn glyphs(text: &str) -> impl Iterator<Item = Glyph> + '_ {
    text.chars().map(|character| {
        let id = FACE.glyph_index(character).or_else(|| FACE.glyph_index('\u{fffd}'));
        let id = id.unwrap_or(GlyphId(0));
        Glyph { id: id.0, character, advance: advance(id.0) }
    })
}

/// How far the next glyph is, in font units.
pub(super) fn advance(glyph: u16) -> f64 {
    f64::from(FACE.glyph_hor_advance(GlyphId(glyph)).unwrap_or(0))
}

/// How wide a text is at `size`.
pub(super) fn width(text: &str, size: f64) -> f64 {
    glyphs(text).map(|glyph| glyph.advance).sum::<f64>() * size / em()
}

/// The outline of a glyph; nothing for a space.
pub(super) fn outline(glyph: u16) -> Vec<Segment> {
    let mut outline = Outline(vec![]);
    FACE.outline_glyph(GlyphId(glyph), &mut outline);
    outline.0
}

/// What a document that carries the file has to say about it, in thousandths of an em.
pub(super) struct Measures {
    /// Left, bottom, right, top of all glyphs.
    pub(super) bounds: [f32; 4],
    pub(super) ascent: f32,
    pub(super) descent: f32,
    pub(super) capital: f32,
}

/// See [`Measures`].
pub(super) fn measures() -> Measures {
    let part = |x: i16| f32::from(x) * 1000.0 / f32::from(FACE.units_per_em());
    let b = FACE.global_bounding_box();
    Measures {
        bounds: [b.x_min, b.y_min, b.x_max, b.y_max].map(part),
        ascent: part(FACE.ascender()),
        descent: part(FACE.descender()),
        capital: part(FACE.capital_height().unwrap_or(FACE.ascender())),
    }
}

struct Outline(Vec<Segment>);

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.0.push(Segment::Move([x, y]));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.0.push(Segment::Line([x, y]));
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.0.push(Segment::Curve([x1, y1], [x, y]));
    }

    // Glyphs of this kind of file are quadratic.
    fn curve_to(&mut self, _: f32, _: f32, _: f32, _: f32, x: f32, y: f32) {
        self.0.push(Segment::Line([x, y]));
    }

    fn close(&mut self) {
        self.0.push(Segment::Close);
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_files_are_those_that_were_checked() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plot/fonts");
        let sums = std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
        assert_eq!(sums.lines().count(), 2);
        for line in sums.lines() {
            let (sum, name) = line.split_once("  ").unwrap();
            let bytes = std::fs::read(folder.join(name)).unwrap();
            let digest = Sha256::digest(&bytes).iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            });
            assert_eq!(digest, sum, "{name}");
        }
    }

    #[test]
    fn knows_what_figures_say() {
        for c in "aZ09 ÄéßΔμρ×−±·≥≤→…²@<>".chars() {
            let glyph = glyphs(&c.to_string()).next().unwrap();
            assert_ne!(glyph.id, 0, "{c}");
            assert_eq!(outline(glyph.id).is_empty(), c == ' ', "{c}");
        }
        // What it has not is shown as such, and as wide as it is.
        assert_eq!(glyphs("字").next().unwrap().id, glyphs("\u{fffd}").next().unwrap().id);
    }

    #[test]
    fn is_as_wide_as_helvetica() {
        // 556 thousandths for a digit, 278 for a space.
        assert!((width("0", 1000.0) - 556.0).abs() < 0.5);
        assert!((width("0 0", 1000.0) - 1390.0).abs() < 1.0);
    }
}
