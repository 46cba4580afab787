//! Figures for papers: drawn from run folders and from the files of other commands, as SVG, PNG or
//! PDF.
//!
//! White paper, 3.25 or 6.75 inches wide, labels of 8 points in one font that the binary carries,
//! colours of Okabe and Ito. The same input gives the same bytes on every machine.
//!
//! | file | concept |
//! | --- | --- |
//! | `scene` | a picture: lines, polygons, circles, text |
//! | `svg`, `png`, `pdf`, `font`, `truetype` | how it is written |
//! | `axis`, `palette`, `centre` | axes and legends, colours, intervals |
//! | `read`, `arms`, `network`, `layout`, `tuned` | what is drawn: files, runs, circuits and where their parts are, methods of tuning |
//! | `curves`, `attention`, `circuit`, `faithfulness`, `ablations`, `tradeoff`, `scores`, `growth`, `measures`, `sweep` | a figure each |
#![forbid(unsafe_code)]

mod ablations;
mod arms;
mod attention;
mod axis;
mod centre;
mod circuit;
mod curves;
mod faithfulness;
mod font;
mod growth;
mod layout;
mod measures;
pub(crate) mod network;
pub(crate) mod palette;
mod pdf;
mod png;
pub(crate) mod read;
mod scene;
mod scores;
mod svg;
mod sweep;
mod tradeoff;
mod truetype;
mod tuned;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
pub use centre::Centre;
pub use growth::{Line, exponent, growth};

/// What a figure shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Loss and accuracy over steps.
    Curves,
    /// Mean attention on each position over steps.
    Attention,
    /// The layered graph of a circuit.
    Circuit,
    /// How much of the metric the first edges keep.
    Faithfulness,
    /// Methods of tuning, a panel for each figure.
    Ablations,
    /// What methods of tuning reach against what they keep.
    Tradeoff,
    /// Methods of attribution against one that is exact.
    Scores,
    /// What was measured over steps.
    Measures,
    /// What the runs of a sweep come to by an axis, and how often they succeed.
    Sweep,
}

impl Figure {
    /// Every figure with its name and what it is drawn from.
    pub const ALL: [(Figure, &'static str, &'static str); 9] = [
        (Figure::Curves, "curves", "run folders, or folders of them"),
        (Figure::Attention, "attention", "run folders, or folders of them"),
        (Figure::Circuit, "circuit", "a circuit's JSON file, or a run that logs circuits"),
        (Figure::Faithfulness, "faithfulness", "files of `evaluate --curve`"),
        (Figure::Ablations, "ablations", "the comparison.json of `tune-compare`"),
        (Figure::Tradeoff, "tradeoff", "the comparison.json of `tune-compare`"),
        (Figure::Scores, "scores", "two or more files of scores"),
        (Figure::Measures, "measures", "runs with `train.measure`, or folders of them"),
        (Figure::Sweep, "sweep", "the folder of a sweep"),
    ];

    /// The figure of this name.
    pub fn from_name(name: &str) -> Option<Figure> {
        Figure::ALL.iter().find(|(_, own, _)| *own == name).map(|(figure, ..)| *figure)
    }
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Vectors; text as outlines.
    Svg,
    /// Pixels.
    Png,
    /// Vectors; text as text, with its font.
    Pdf,
}

impl Format {
    /// What the end of a file name asks for.
    ///
    /// # Errors
    /// When it is none of `.svg`, `.png`, `.pdf`.
    pub fn of(file: &Path) -> Result<Format> {
        let end = file.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
        match end.as_deref() {
            Some("svg") => Ok(Format::Svg),
            Some("png") => Ok(Format::Png),
            Some("pdf") => Ok(Format::Pdf),
            _ => Err(Error::input(
                file.display(),
                "has no ending that says what to write",
                "end its name with .svg, .png or .pdf",
            )),
        }
    }
}

/// What [`Figure::Tradeoff`] shows along its horizontal axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// The share of what was asked for that is reached.
    #[default]
    Target,
    /// How far logits have moved towards it.
    Gap,
}

impl Reach {
    /// Every value by its name.
    pub const ALL: [(&'static str, Reach); 2] = [("target", Reach::Target), ("gap", Reach::Gap)];
}

/// How a figure is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Its width in inches; what suits the figure if none is given.
    pub width: Option<f64>,
    /// The most edges of [`Figure::Circuit`].
    pub edges: usize,
    /// The seed of [`Figure::Attention`]; the lowest that all arms have if none is given.
    pub seed: Option<u64>,
    /// What stands for all seeds.
    pub centre: Centre,
    /// The horizontal axis of [`Figure::Tradeoff`].
    pub reach: Reach,
    /// The keys of [`Figure::Measures`]; all if none is given.
    pub keys: Vec<String>,
    /// The axis of [`Figure::Sweep`], and perhaps a second one whose values have a colour each.
    pub by: Vec<String>,
    /// The figure of the runs of [`Figure::Sweep`].
    pub value: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        let (centre, reach) = (Centre::Mean, Reach::Target);
        let (keys, by) = (vec![], vec![]);
        Options { width: None, edges: 100, seed: None, centre, reach, keys, by, value: None }
    }
}

impl Options {
    fn points(&self, inches: f64) -> f64 {
        self.width.unwrap_or(inches).clamp(2.0, 20.0) * scene::INCH
    }
}

/// A figure that is drawn but not written yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    scene: scene::Scene,
    caption: Vec<String>,
    warnings: Vec<String>,
}

impl Drawing {
    /// What a caption has to say about it, in lines.
    pub fn caption(&self) -> &[String] {
        &self.caption
    }

    /// What is missing in it.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Width and height, in inches.
    pub fn size(&self) -> [f64; 2] {
        [self.scene.width, self.scene.height].map(|x| x / scene::INCH)
    }

    /// The bytes of the file; PNG with `dpi` pixels to the inch. None if the picture would have
    /// more pixels on a side than any page.
    pub fn write(&self, format: Format, dpi: u32) -> Option<Vec<u8>> {
        match format {
            Format::Svg => Some(svg::write(&self.scene).into_bytes()),
            Format::Png => png::write(&self.scene, dpi),
            Format::Pdf => Some(pdf::write(&self.scene)),
        }
    }
}

/// Draws a figure from run folders or files, whichever it takes ([`Figure::ALL`]).
///
/// # Errors
/// When there is no input, one cannot be read, or is of another kind than the figure takes.
pub fn draw(figure: Figure, inputs: &[PathBuf], options: &Options) -> Result<Drawing> {
    if inputs.is_empty() {
        let help = "name run folders or files";
        return Err(Error::input("plot", "has no input", help));
    }
    let mut drawing = match figure {
        Figure::Curves => curves::draw(inputs, options),
        Figure::Attention => attention::draw(inputs, options),
        Figure::Circuit => circuit::draw(inputs, options),
        Figure::Faithfulness => faithfulness::draw(inputs, options),
        Figure::Ablations => ablations::draw(inputs, options),
        Figure::Tradeoff => tradeoff::draw(inputs, options),
        Figure::Scores => scores::draw(inputs, options),
        Figure::Measures => measures::draw(inputs, options),
        Figure::Sweep => sweep::draw(inputs, options),
    }?;
    drawing.warnings.extend(without_glyphs(&drawing.scene));
    Ok(drawing)
}

/// Characters that a warning lists.
const LISTED: usize = 10;

/// A warning of characters for which the font of figures has no glyph.
fn without_glyphs(scene: &scene::Scene) -> Option<String> {
    let missing: BTreeSet<char> = scene.texts().flat_map(font::missing).collect();
    let listed: String = missing.iter().take(LISTED).collect();
    let more = if missing.len() > LISTED { " .." } else { "" };
    (!missing.is_empty()).then(|| {
        format!(
            "the font of figures has no glyph for {listed}{more}: U+FFFD is drawn instead; call \
             folders and files by Latin or Greek letters"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_endings() {
        for (figure, name, _) in Figure::ALL {
            assert_eq!(Figure::from_name(name), Some(figure));
        }
        assert_eq!(Figure::from_name("pie"), None);
        assert_eq!(Format::of(Path::new("a.b/C.PDF")).unwrap(), Format::Pdf);
        for file in ["a", "a.jpg", ".svg", "a.svg/"] {
            let error = Format::of(Path::new(file));
            assert_eq!(error.is_ok(), file == "a.svg/", "{file}");
        }
    }

    #[test]
    fn nothing_is_drawn_from_nothing() {
        for (figure, ..) in Figure::ALL {
            assert!(draw(figure, &[], &Options::default()).is_err());
            let gone = [PathBuf::from("nowhere/at/all"), PathBuf::from("nor/here")];
            let error = draw(figure, &gone, &Options::default()).unwrap_err();
            assert!(!error.help().is_empty(), "{error}");
        }
    }
}
