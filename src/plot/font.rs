//! The one font of all figures, which the binary carries, so that every machine draws the same.

use super::truetype::Font;

/// The file; `fonts/README.md` says where it comes from.
pub(super) const FILE: &[u8] = include_bytes!("fonts/Arimo-Regular.subset.ttf");
/// What the file calls itself.
pub(super) const NAME: &str = "Arimo";

const FONT: Font = Font(FILE);

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
    f64::from(FONT.em())
}

/// The glyphs of a text; U+FFFD stands for what the font has not.
pub(super) fn glyphs(text: &str) -> impl Iterator<Item = Glyph> + '_ {
    text.chars().map(|character| {
        let id = FONT.glyph(character).or_else(|| FONT.glyph('\u{fffd}')).unwrap_or(0);
        Glyph { id, character, advance: advance(id) }
    })
}

/// The characters of a text that the font has no glyph for.
pub(super) fn missing(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().filter(|&character| FONT.glyph(character).is_none())
}

/// How far the next glyph is, in font units.
pub(super) fn advance(glyph: u16) -> f64 {
    f64::from(FONT.advance(glyph))
}

/// How wide a text is at `size`.
pub(super) fn width(text: &str, size: f64) -> f64 {
    glyphs(text).map(|glyph| glyph.advance).sum::<f64>() * size / em()
}

/// The outline of a glyph; nothing for a space.
pub(super) fn outline(glyph: u16) -> Vec<Segment> {
    FONT.outline(glyph)
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
    let part = |x: i16| f32::from(x) * 1000.0 / f32::from(FONT.em());
    let [ascent, descent, capital] = FONT.heights().map(part);
    Measures { bounds: FONT.bounds().map(part), ascent, descent, capital }
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
