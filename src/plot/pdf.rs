//! A picture as PDF: one page, its text as text in the font it carries.

use crate::files::mark::GENERATOR;
use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::types::{
    CidFontType, FontFlags, LineCapStyle, LineJoinStyle, SystemInfo, UnicodeCmap,
};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str, TextStr};

use super::font;
use super::scene::{Ink, Mark, Point, Scene, Stroke};

/// The control points of a quarter of a circle: 4/3 (sqrt 2 - 1).
const ROUND: f64 = 0.552_284_749_830_793_4;
/// A part of a font has six letters before its name.
const TAG: &str = "EDGGRD";

const CATALOG: Ref = Ref::new(1);
const PAGES: Ref = Ref::new(2);
const PAGE: Ref = Ref::new(3);
const CONTENT: Ref = Ref::new(4);
const INFO: Ref = Ref::new(5);
const FONT: Ref = Ref::new(6);
const GLYPHS: Ref = Ref::new(7);
const DESCRIPTOR: Ref = Ref::new(8);
const FILE: Ref = Ref::new(9);
const UNICODE: Ref = Ref::new(10);
/// The first of the opacities.
const OPACITY: i32 = 11;

/// The bytes of the file.
pub(super) fn write(scene: &Scene) -> Vec<u8> {
    let mut page = Page { content: Content::new(), opacities: vec![], used: BTreeMap::new() };
    // PDF counts upwards from the lower left corner.
    page.content.transform([1.0, 0.0, 0.0, -1.0, 0.0, scene.height as f32]);
    page.content.set_line_join(LineJoinStyle::RoundJoin).set_line_cap(LineCapStyle::ButtCap);
    for mark in &scene.marks {
        page.draw(mark);
    }
    let Page { content, opacities, used } = page;

    let mut pdf = Pdf::new();
    pdf.catalog(CATALOG).pages(PAGES);
    pdf.pages(PAGES).kids([PAGE]).count(1);
    let mut leaf = pdf.page(PAGE);
    leaf.parent(PAGES).contents(CONTENT);
    leaf.media_box(Rect::new(0.0, 0.0, scene.width as f32, scene.height as f32));
    let mut resources = leaf.resources();
    resources.fonts().pair(Name(b"F"), FONT);
    let mut states = resources.ext_g_states();
    for i in 0..opacities.len() {
        states.pair(Name(state(i).as_bytes()), Ref::new(OPACITY + i as i32));
    }
    states.finish();
    resources.finish();
    leaf.finish();
    for (i, &opacity) in opacities.iter().enumerate() {
        let part = f32::from(opacity) / 255.0;
        let mut state = pdf.ext_graphics(Ref::new(OPACITY + i as i32));
        state.stroking_alpha(part).non_stroking_alpha(part);
    }
    pdf.document_info(INFO).title(TextStr(&scene.title)).producer(TextStr(GENERATOR));
    pdf.stream(CONTENT, &packed(&content.finish())).filter(Filter::FlateDecode);
    write_font(&mut pdf, &used);
    pdf.finish()
}

struct Page {
    content: Content,
    /// Each once, of 255.
    opacities: Vec<u8>,
    /// Glyphs and what they stand for.
    used: BTreeMap<u16, char>,
}

impl Page {
    fn draw(&mut self, mark: &Mark) {
        match mark {
            Mark::Line { points, stroke } => {
                self.pen(*stroke);
                self.path(points);
                self.content.stroke();
            }
            Mark::Polygon { points, fill, edge } => {
                self.closed(*fill, *edge, |page| {
                    page.path(points);
                    page.content.close_path();
                });
            }
            Mark::Circle { at, radius, fill, edge } => {
                self.closed(*fill, *edge, |page| page.circle(*at, *radius));
            }
            Mark::Text { at, text, size, ink, turned } => {
                self.text(*at, text, *size, *ink, *turned)
            }
        }
    }

    // Fill and edge one after the other: they may cover differently.
    fn closed(&mut self, fill: Ink, edge: Option<Stroke>, shape: impl Fn(&mut Page)) {
        self.brush(fill);
        shape(self);
        self.content.fill_nonzero();
        if let Some(edge) = edge {
            self.pen(edge);
            shape(self);
            self.content.stroke();
        }
    }

    fn path(&mut self, points: &[Point]) {
        for (i, point) in points.iter().enumerate() {
            let [x, y] = point.map(hundredths);
            if i == 0 {
                self.content.move_to(x, y);
            } else {
                self.content.line_to(x, y);
            }
        }
    }

    fn circle(&mut self, at: Point, radius: f64) {
        let place = |x: f64, y: f64| [at[0] + radius * x, at[1] + radius * y].map(hundredths);
        let [x, y] = place(1.0, 0.0);
        self.content.move_to(x, y);
        let mut turn = (1.0, 0.0);
        for _ in 0..4 {
            let next = (-turn.1, turn.0);
            let [a, b] = place(turn.0 + ROUND * next.0, turn.1 + ROUND * next.1);
            let [c, d] = place(next.0 + ROUND * turn.0, next.1 + ROUND * turn.1);
            let [x, y] = place(next.0, next.1);
            self.content.cubic_to(a, b, c, d, x, y);
            turn = next;
        }
        self.content.close_path();
    }

    fn text(&mut self, at: Point, text: &str, size: f64, ink: Ink, turned: bool) {
        let mut codes = vec![];
        for glyph in font::glyphs(text) {
            codes.extend(glyph.id.to_be_bytes());
            self.used.entry(glyph.id).or_insert(glyph.character);
        }
        self.brush(ink);
        let [x, y] = at.map(hundredths);
        // The page is upside down, its text must not be.
        let matrix =
            if turned { [0.0, -1.0, -1.0, 0.0, x, y] } else { [1.0, 0.0, 0.0, -1.0, x, y] };
        self.content.begin_text().set_font(Name(b"F"), size as f32).set_text_matrix(matrix);
        self.content.show(Str(&codes)).end_text();
    }

    fn pen(&mut self, stroke: Stroke) {
        let [r, g, b] = stroke.ink.rgb.map(part);
        self.opacity(stroke.ink);
        self.content.set_stroke_rgb(r, g, b).set_line_width(hundredths(stroke.width));
        self.content.set_dash_pattern(stroke.dash.iter().map(|&x| x as f32), 0.0);
    }

    fn brush(&mut self, ink: Ink) {
        let [r, g, b] = ink.rgb.map(part);
        self.opacity(ink);
        self.content.set_fill_rgb(r, g, b);
    }

    fn opacity(&mut self, ink: Ink) {
        let opacity = (255.0 * ink.opacity).round() as u8;
        let known = self.opacities.iter().position(|&known| known == opacity);
        let i = known.unwrap_or_else(|| {
            self.opacities.push(opacity);
            self.opacities.len() - 1
        });
        self.content.set_parameters(Name(state(i).as_bytes()));
    }
}

/// The font: the file as it is, glyphs by their numbers, and what they stand for.
fn write_font(pdf: &mut Pdf, used: &BTreeMap<u16, char>) {
    let name = format!("{TAG}+{}", font::NAME);
    let name = Name(name.as_bytes());
    let system = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };
    pdf.type0_font(FONT)
        .base_font(name)
        .encoding_predefined(Name(b"Identity-H"))
        .descendant_font(GLYPHS)
        .to_unicode(UNICODE);
    let mut glyphs = pdf.cid_font(GLYPHS);
    glyphs.subtype(CidFontType::Type2).base_font(name).system_info(system);
    glyphs.font_descriptor(DESCRIPTOR).default_width(0.0);
    glyphs.cid_to_gid_map_predefined(Name(b"Identity"));
    let mut widths = glyphs.widths();
    for &glyph in used.keys() {
        widths.consecutive(glyph, [(font::advance(glyph) * 1000.0 / font::em()) as f32]);
    }
    widths.finish();
    glyphs.finish();
    let measures = font::measures();
    let [left, bottom, right, top] = measures.bounds;
    pdf.font_descriptor(DESCRIPTOR)
        .name(name)
        .flags(FontFlags::SYMBOLIC)
        .bbox(Rect::new(left, bottom, right, top))
        .italic_angle(0.0)
        .ascent(measures.ascent)
        .descent(measures.descent)
        .cap_height(measures.capital)
        .stem_v(80.0)
        .font_file2(FILE);
    pdf.stream(FILE, &packed(font::FILE))
        .filter(Filter::FlateDecode)
        .pair(Name(b"Length1"), font::FILE.len() as i32);
    let mut unicode = UnicodeCmap::new(Name(b"Custom"), system);
    for (&glyph, &character) in used {
        unicode.pair(glyph, character);
    }
    pdf.cmap(UNICODE, &unicode.finish());
}

fn state(i: usize) -> String {
    format!("A{i}")
}

fn part(x: u8) -> f32 {
    f32::from(x) / 255.0
}

fn hundredths(x: f64) -> f32 {
    ((100.0 * x).round() / 100.0) as f32
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = ZlibEncoder::new(vec![], Compression::default());
    // Memory takes everything.
    let _ = packer.write_all(bytes);
    packer.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::ZlibDecoder;

    use super::super::svg::tests::sample;
    use super::*;

    /// The stream of the object with this number, unpacked if it is packed.
    fn stream(file: &[u8], number: i32) -> Vec<u8> {
        let find = |from: usize, what: &[u8]| {
            from + file[from..].windows(what.len()).position(|w| w == what).unwrap()
        };
        let object = find(0, format!("\n{number} 0 obj").as_bytes());
        let start = find(object, b"stream\n") + 7;
        let end = find(start, b"\nendstream");
        let mut bytes = vec![];
        match ZlibDecoder::new(&file[start..end]).read_to_end(&mut bytes) {
            Ok(_) => bytes,
            Err(_) => file[start..end].to_vec(),
        }
    }

    #[test]
    fn holds_the_page_and_its_text() {
        let file = write(&sample());
        assert!(file.starts_with(b"%PDF-1.7"));
        let all = String::from_utf8_lossy(&file).into_owned();
        assert!(all.contains("/MediaBox [0 0 100 50]"), "the size in points");
        assert!(all.contains("/BaseFont /EDGGRD+Arimo"));
        assert_eq!(stream(&file, FILE.get()), font::FILE, "the font is the whole file");
        let content = String::from_utf8_lossy(&stream(&file, CONTENT.get())).into_owned();
        assert!(content.contains("0 0 m\n10 0 l\nS"), "{content}");
        // A text is found by what it says, hostile or not.
        let unicode = String::from_utf8_lossy(&stream(&file, UNICODE.get())).into_owned();
        for c in "</g>script'&up".chars() {
            assert!(unicode.contains(&format!("<{:04X}>", c as u32)), "{c}: {unicode}");
        }
        assert_eq!(file, write(&sample()), "the same picture, the same bytes");
    }

    #[test]
    fn each_opacity_is_said_once() {
        let all = String::from_utf8_lossy(&write(&sample())).into_owned();
        assert_eq!(all.matches("/Type /ExtGState").count(), 2, "opaque and a quarter");
    }
}
