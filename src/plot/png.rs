//! A picture as PNG.

use crate::files::mark::GENERATOR;
use tiny_skia::{
    FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, StrokeDash, Transform,
};

use super::font;
use super::font::Segment;
use super::scene::{INCH, Ink, Mark, Point, Scene, Stroke};

/// Pixels of a side, at most: more is not printed.
const SIDE: f64 = 16_384.0;

/// The file with `dpi` pixels to the inch; none if it would be larger than any page.
pub(super) fn write(scene: &Scene, dpi: u32) -> Option<Vec<u8>> {
    let scale = f64::from(dpi) / INCH;
    let [width, height] = [scene.width, scene.height].map(|x| (x * scale).ceil().max(1.0));
    if width > SIDE || height > SIDE {
        return None;
    }
    let mut pixels = Pixmap::new(width as u32, height as u32)?;
    pixels.fill(tiny_skia::Color::WHITE);
    let to_pixels = Transform::from_scale(scale as f32, scale as f32);
    for mark in &scene.marks {
        draw(&mut pixels, mark, to_pixels);
    }
    encode(&pixels, dpi)
}

fn draw(pixels: &mut Pixmap, mark: &Mark, to_pixels: Transform) {
    match mark {
        Mark::Line { points, stroke } => {
            line(pixels, path(points, false), Some(*stroke), to_pixels);
        }
        Mark::Polygon { points, fill, edge } => {
            area(pixels, path(points, true), *fill, to_pixels);
            line(pixels, path(points, true), *edge, to_pixels);
        }
        Mark::Circle { at, radius, fill, edge } => {
            let circle = || PathBuilder::from_circle(at[0] as f32, at[1] as f32, *radius as f32);
            area(pixels, circle(), *fill, to_pixels);
            line(pixels, circle(), *edge, to_pixels);
        }
        Mark::Text { at, text, size, ink, turned } => {
            let scale = (size / font::em()) as f32;
            let turn = if *turned { -90.0 } else { 0.0 };
            let place = to_pixels
                .pre_concat(Transform::from_translate(at[0] as f32, at[1] as f32))
                .pre_concat(Transform::from_rotate(turn))
                .pre_concat(Transform::from_scale(scale, -scale));
            area(pixels, letters(text), *ink, place);
        }
    }
}

fn area(pixels: &mut Pixmap, path: Option<Path>, ink: Ink, transform: Transform) {
    if let Some(path) = path {
        pixels.fill_path(&path, &paint(ink), FillRule::Winding, transform, None);
    }
}

fn line(pixels: &mut Pixmap, path: Option<Path>, stroke: Option<Stroke>, transform: Transform) {
    let (Some(path), Some(stroke)) = (path, stroke) else { return };
    let dash = stroke.dash.iter().map(|&x| x as f32).collect();
    let look = tiny_skia::Stroke {
        width: stroke.width as f32,
        line_join: LineJoin::Round,
        line_cap: LineCap::Butt,
        dash: StrokeDash::new(dash, 0.0),
        ..tiny_skia::Stroke::default()
    };
    pixels.stroke_path(&path, &paint(stroke.ink), &look, transform, None);
}

fn paint(ink: Ink) -> Paint<'static> {
    let [r, g, b] = ink.rgb;
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(r, g, b, (255.0 * ink.opacity).round() as u8);
    paint
}

fn path(points: &[Point], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (i, &[x, y]) in points.iter().enumerate() {
        let (x, y) = (x as f32, y as f32);
        if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    if closed {
        path.close();
    }
    path.finish()
}

/// A text's outlines in font units, from its start.
fn letters(text: &str) -> Option<Path> {
    let mut path = PathBuilder::new();
    let mut start = 0.0;
    for glyph in font::glyphs(text) {
        for segment in font::outline(glyph.id) {
            match segment {
                Segment::Move([x, y]) => path.move_to(start + x, y),
                Segment::Line([x, y]) => path.line_to(start + x, y),
                Segment::Curve([a, b], [x, y]) => path.quad_to(start + a, b, start + x, y),
                Segment::Close => path.close(),
            }
        }
        start += glyph.advance as f32;
    }
    path.finish()
}

/// Pixels without transparency, which the white paper has taken away, and their size on paper.
fn encode(pixels: &Pixmap, dpi: u32) -> Option<Vec<u8>> {
    let rgb: Vec<u8> =
        pixels.pixels().iter().flat_map(|p| [p.red(), p.green(), p.blue()]).collect();
    let mut file = vec![];
    let mut encoder = png::Encoder::new(&mut file, pixels.width(), pixels.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    let to_the_metre = (f64::from(dpi) / 0.0254).round() as u32;
    encoder.set_pixel_dims(Some(png::PixelDimensions {
        xppu: to_the_metre,
        yppu: to_the_metre,
        unit: png::Unit::Meter,
    }));
    encoder.add_text_chunk("Software".into(), GENERATOR.into()).ok()?;
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&rgb).ok()?;
    writer.finish().ok()?;
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::super::svg::tests::sample;
    use super::*;

    #[test]
    fn reads_back_with_its_size_and_colours() {
        let file = write(&sample(), 144).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
        let info = reader.info();
        assert_eq!((info.width, info.height), (200, 100));
        assert_eq!(info.pixel_dims.unwrap().xppu, 5669);
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let at = |x: usize, y: usize| &pixels[3 * (200 * y + x)..][..3];
        assert_eq!(at(199, 99), [255; 3], "paper");
        assert_eq!(at(40, 40), [0x00, 0x72, 0xb2], "the middle of the circle");
        // A quarter of the ink on white.
        let want = [0x00, 0x72, 0xb2u8].map(|x| (0.25 * f64::from(x) + 0.75 * 255.0).round());
        for (got, want) in at(7, 7).iter().zip(want) {
            assert!((f64::from(*got) - want).abs() <= 1.0, "{:?}", at(7, 7));
        }
        assert!(pixels[3 * 200 * 40..3 * 200 * 64].iter().any(|&x| x < 128), "text");
        assert_eq!(file, write(&sample(), 144).unwrap(), "the same picture, the same bytes");
    }

    #[test]
    fn what_no_page_holds_is_refused() {
        assert!(write(&sample(), 100_000).is_none());
    }
}
