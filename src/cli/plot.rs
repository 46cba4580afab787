//! `edgegrad plot`.

use crate::cli::out::{Force, check_out};
use clap::Args;
use edgegrad::error::{Error, Result};
use edgegrad::files::atomic;
use edgegrad::named::suggest;
use edgegrad::plot::{Centre, Figure, Format, Options, Reach, draw};
use std::path::PathBuf;

/// Draw a figure for a paper: SVG, PNG or PDF
///
/// White paper, labels of 8 points, colours that the colour-blind tell apart; the same input gives
/// the same bytes on every machine. What a caption has to say is printed.
#[derive(Debug, Args)]
#[command(after_help = FIGURES)]
pub(super) struct Plot {
    /// What it is drawn from, see below
    #[arg(value_name = "RUN", required = true)]
    inputs: Vec<PathBuf>,
    /// Which figure, see below
    #[arg(long, value_name = "NAME")]
    figure: String,
    /// Where to write it; the ending says how: .svg, .png, .pdf
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    force: Force,
    /// Its width in inches, 2 to 20; 3.25 for one column and 6.75 for two are what journals have.
    /// What suits the figure unless given
    #[arg(long, value_name = "INCHES")]
    width: Option<f64>,
    /// Pixels to the inch of a PNG
    #[arg(
        long,
        value_name = "N",
        default_value_t = 300,
        value_parser = clap::value_parser!(u32).range(36..=2400),
    )]
    dpi: u32,
    /// circuit: the most edges, those of the largest |score|
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(1..=2000),
    )]
    edges: u64,
    /// attention: the seed; the lowest that all arms have unless given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// curves, measures, ablations, tradeoff, sweep: how seeds are summarised, mean or median
    #[arg(long, value_name = "NAME", default_value = "mean")]
    centre: String,
    /// tradeoff: the task gain, target or gap (logits)
    #[arg(long, value_name = "NAME", default_value = "target")]
    reach: String,
    /// measures: what to draw, such as llc,norm.query; everything that was measured unless given
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    keys: Vec<String>,
    /// sweep: the axis, or two, of which the second has a colour for each value
    #[arg(long, value_name = "AXIS,..", value_delimiter = ',')]
    by: Vec<String>,
    /// sweep: the figure of the runs
    #[arg(long, value_name = "METRIC")]
    value: Option<String>,
}

const FIGURES: &str = "\
Figures, and what RUN is for each:
  curves        loss (nats) and accuracy over steps    run folders, or folders of them
  attention     attention on positions over steps      run folders, or folders of them
  circuit       the layered graph of a circuit         a circuit's file, or a run that logs circuits
  faithfulness  kept metric by share of edges          files of `evaluate --curve`
  ablations     methods of tuning, a panel a figure    the comparison.json of `tune-compare`
  tradeoff      task gain and retention of tuning      the comparison.json of `tune-compare`
  scores        methods against an exact one           two or more files of scores
  measures      what was measured over steps           runs with `train.measure`, or folders of them
  sweep         a figure and success rate by --by      the folder of a sweep

Intervals are 95 %: of a mean by Student's t (3 seeds or more), of a median by ranks (6 or more).";

impl Plot {
    pub(super) fn run(&self) -> Result<()> {
        let figures = Figure::ALL.map(|(figure, name, _)| (name, figure));
        let figure = chosen("--figure", &self.figure, &figures)?;
        let format = Format::of(&self.out)?;
        if let Some(width) = self.width.filter(|width| !(2.0..=20.0).contains(width)) {
            let message = format!("must be from 2 to 20 inches, got {width}");
            return Err(Error::input("--width", message, "give 3.25 or 6.75"));
        }
        let options = Options {
            width: self.width,
            edges: self.edges as usize,
            seed: self.seed,
            centre: chosen("--centre", &self.centre, &Centre::ALL)?,
            reach: chosen("--reach", &self.reach, &Reach::ALL)?,
            keys: self.keys.clone(),
            by: self.by.clone(),
            value: self.value.clone(),
        };
        check_out(&self.out, self.force, &self.inputs)?;
        let drawing = draw(figure, &self.inputs, &options)?;
        let [width, height] = drawing.size();
        let bytes = drawing.write(format, self.dpi).ok_or_else(|| {
            let message = format!("{width:.2} x {height:.2} inches are too many pixels");
            Error::input("--dpi", message, "lower it, or write .svg or .pdf")
        })?;
        atomic::write_bytes(&self.out, &bytes)?;
        for warning in drawing.warnings() {
            eprintln!("warning: {}", warning);
        }
        for line in drawing.caption() {
            println!("{line}");
        }
        println!("figure: {} ({width:.2} x {height:.2} inches)", self.out.display());
        Ok(())
    }
}

/// The value of a name.
pub(super) fn chosen<T: Copy>(key: &str, name: &str, all: &[(&str, T)]) -> Result<T> {
    if let Some((_, value)) = all.iter().find(|(known, _)| *known == name) {
        return Ok(*value);
    }
    let names: Vec<&str> = all.iter().map(|(known, _)| *known).collect();
    let help = match suggest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? There are {}", names.join(", ")),
        None => format!("give one of {}", names.join(", ")),
    };
    Err(Error::input(key, format!("`{name:.40}` is unknown"), help))
}
