//! A picture as SVG. Text is drawn by its outlines, so that it looks the same where the font is not
//! installed; what it says stays beside it as a label.

use crate::files::mark::GENERATOR;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::font;
use super::font::Segment;
use super::scene::{Ink, Mark, Point, Scene, Stroke};

/// The text of the file.
pub(super) fn write(scene: &Scene) -> String {
    let [w, h] = [scene.width, scene.height].map(short);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" \
         width=\"{w}pt\" height=\"{h}pt\" viewBox=\"0 0 {w} {h}\" role=\"img\">\n\
         <title>{}</title>\n<metadata>generator: {GENERATOR}</metadata>\n<defs>\n",
        escape(&scene.title)
    );
    for glyph in glyphs(scene) {
        let _ = writeln!(out, "<path id=\"g{glyph}\" d=\"{}\"/>", outline(glyph));
    }
    let _ = write!(out, "</defs>\n<path fill=\"#fff\" d=\"M0 0H{w}V{h}H0Z\"/>\n");
    for mark in &scene.marks {
        write_mark(&mut out, mark);
    }
    out + "</svg>\n"
}

fn write_mark(out: &mut String, mark: &Mark) {
    let _ = match mark {
        Mark::Line { points, stroke } => {
            writeln!(out, "<path fill=\"none\"{} d=\"{}\"/>", pen(Some(*stroke)), path(points))
        }
        Mark::Polygon { points, fill, edge } => {
            writeln!(out, "<path{}{} d=\"{}Z\"/>", paint(*fill), pen(*edge), path(points))
        }
        Mark::Circle { at, radius, fill, edge } => {
            let [x, y, r] = [at[0], at[1], *radius].map(short);
            writeln!(out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\"{}{}/>", paint(*fill), pen(*edge))
        }
        Mark::Text { at, text, size, ink, turned } => {
            let [x, y] = at.map(short);
            let turn = if *turned { " rotate(-90)" } else { "" };
            let scale = size / font::em();
            let _ = write!(
                out,
                "<g aria-label=\"{}\"{} transform=\"translate({x} {y}){turn} scale({scale:.6} -{scale:.6})\">",
                escape(text),
                paint(*ink)
            );
            let mut x = 0.0;
            for glyph in font::glyphs(text) {
                if !font::outline(glyph.id).is_empty() {
                    let _ = write!(out, "<use xlink:href=\"#g{}\" x=\"{x}\"/>", glyph.id);
                }
                x += glyph.advance;
            }
            writeln!(out, "</g>")
        }
    };
}

/// The glyphs that have an outline, each once.
fn glyphs(scene: &Scene) -> BTreeSet<u16> {
    let texts = scene.marks.iter().filter_map(|mark| match mark {
        Mark::Text { text, .. } => Some(text),
        _ => None,
    });
    let ids = texts.flat_map(|text| font::glyphs(text).map(|glyph| glyph.id));
    ids.filter(|&id| !font::outline(id).is_empty()).collect()
}

fn outline(glyph: u16) -> String {
    let mut d = String::new();
    for segment in font::outline(glyph) {
        let _ = match segment {
            Segment::Move([x, y]) => write!(d, "M{x} {y}"),
            Segment::Line([x, y]) => write!(d, "L{x} {y}"),
            Segment::Curve([a, b], [x, y]) => write!(d, "Q{a} {b} {x} {y}"),
            Segment::Close => write!(d, "Z"),
        };
    }
    d
}

fn path(points: &[Point]) -> String {
    let mut d = String::new();
    for (i, point) in points.iter().enumerate() {
        let [x, y] = point.map(short);
        let _ = write!(d, "{}{x} {y}", if i == 0 { 'M' } else { 'L' });
    }
    d
}

fn paint(ink: Ink) -> String {
    format!(" fill=\"{}\"{}", colour(ink), opacity("fill", ink))
}

fn pen(stroke: Option<Stroke>) -> String {
    let Some(Stroke { ink, width, dash }) = stroke else { return String::new() };
    let mut text = format!(
        " stroke=\"{}\"{} stroke-width=\"{}\" stroke-linejoin=\"round\"",
        colour(ink),
        opacity("stroke", ink),
        short(width)
    );
    if !dash.is_empty() {
        let lengths: Vec<String> = dash.iter().map(|&x| short(x)).collect();
        let _ = write!(text, " stroke-dasharray=\"{}\"", lengths.join(" "));
    }
    text
}

fn colour(ink: Ink) -> String {
    let [r, g, b] = ink.rgb;
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn opacity(what: &str, ink: Ink) -> String {
    if ink.opacity >= 1.0 {
        return String::new();
    }
    format!(" {what}-opacity=\"{}\"", short(ink.opacity))
}

/// Hundredths of a point, as short as that can be said.
fn short(x: f64) -> String {
    let x = (100.0 * x).round() / 100.0;
    // Minus zero is zero.
    format!("{}", x + 0.0)
}

/// Text as a part of XML; what XML cannot say at all is replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::scene::Anchor;
    use super::*;

    /// Every tag is closed in order, every value is quoted, no stray `<` or `&` is left.
    #[track_caller]
    pub(crate) fn well_formed(text: &str) {
        let mut open: Vec<&str> = vec![];
        let mut rest = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap();
        while let Some((before, after)) = rest.split_once('<') {
            entities(before);
            let (tag, after) = after.split_once('>').expect("a tag ends");
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
                continue;
            }
            let (inner, closed) = match tag.strip_suffix('/') {
                Some(inner) => (inner, true),
                None => (tag, false),
            };
            let (name, attributes) = inner.split_once(' ').unwrap_or((inner, ""));
            assert!(name.chars().all(|c| c.is_ascii_alphabetic()), "{name}");
            let parts: Vec<&str> = attributes.split('"').collect();
            assert_eq!(parts.len() % 2, 1, "{tag}");
            for (i, part) in parts.iter().enumerate() {
                if i % 2 == 1 {
                    entities(part);
                } else if i + 1 < parts.len() {
                    let key = part.trim_start().strip_suffix('=').expect(tag);
                    assert!(key.chars().all(|c| c.is_ascii_alphabetic() || c == '-' || c == ':'));
                }
            }
            if !closed {
                open.push(name);
            }
        }
        entities(rest);
        assert!(open.is_empty(), "{open:?}");
    }

    fn entities(text: &str) {
        assert!(!text.contains('>'));
        for rest in text.split('&').skip(1) {
            let (name, _) = rest.split_once(';').expect("an entity ends");
            assert!(["amp", "lt", "gt", "quot", "#39"].contains(&name), "{name}");
        }
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }

    pub(crate) fn sample() -> Scene {
        let ink = Ink::new(0x0072b2);
        let mut scene = Scene::new(100.0, "a < b & \"c\"\u{0}");
        scene.height = 50.0;
        scene.line(vec![[0.0, 0.0], [10.004, -0.001]], Stroke::new(ink, 0.5).dashed(&[2.0, 1.0]));
        scene.rectangle([1.0, 1.0], [5.0, 5.0], ink.at(0.25), None);
        scene.circle([20.0, 20.0], 2.0, ink, Some(Stroke::new(Ink::new(0), 1.0)));
        scene.text([30.0, 30.0], "</g><script>'\u{ffff}&", 8.0, ink, Anchor::Middle);
        scene.turned([90.0, 40.0], "up 字", 8.0, ink, Anchor::Start);
        scene
    }

    #[test]
    fn is_well_formed_whatever_texts_say() {
        let text = write(&sample());
        well_formed(&text);
        assert!(text.contains("<title>a &lt; b &amp; &quot;c&quot;\u{fffd}</title>"));
        assert!(!text.contains("<script"));
        assert!(text.contains("d=\"M0 0L10 0\""), "hundredths, no minus zero: {text}");
        assert_eq!(text, write(&sample()), "the same picture, the same bytes");
    }

    #[test]
    fn every_glyph_is_defined_once() {
        let text = write(&sample());
        for part in text.split("href=\"#").skip(1) {
            let (id, _) = part.split_once('"').unwrap();
            assert_eq!(text.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
        }
    }
}
