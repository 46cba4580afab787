//! Tuning the circuit of a behaviour, beside everything, adapters and a random part of the same
//! size: `cargo run --release --example circuit_tuning`.
//!
//! Pre-trains a small language model (or takes `--base DIR`), then teaches it that every present
//! verb has the number its subject has not, with two seeds by four methods, and prints what each
//! has reached, what it has kept of five other domains, and what it cost;
//! `runs/circuit-tuning/report.html` shows it. With
//! `--model DIR --pairs train.jsonl --dev dev.jsonl [--keep text.jsonl]` it does the same to any
//! decoder, with pairs of one's own.

use edgegrad::experiments::pretrain::{Pretraining, pretrain};
use edgegrad::experiments::tune::grid::{Grid, OwnGrid};
use edgegrad::experiments::tune::{Goal, table};
use edgegrad::experiments::{Progress, available_threads, train::Existing};
use edgegrad::{files::journal::Journal, interrupt, page, prelude::*, text::LazyTokenizer};
use std::path::{Path, PathBuf};

/// For each method one of the learning rates that `examples/tuning/e1.toml` tries.
const METHODS: &str = r#"
model = "base"
seeds = 2
[common]
task = "E1"
steps = 200
look = 200
[[methods]]
name = "full"
method = "full"
lr = 3e-4
[[methods]]
name = "lora"
method = "lora"
rank = 8
lr = 1e-3
[[methods]]
name = "random"
method = "random"
lr = 1e-3
[[methods]]
name = "circuit"
method = "circuit"
lr = 1e-3
"#;

const USAGE: &str = "usage: circuit_tuning [--resume] [--base DIR]
       circuit_tuning --model DIR --pairs FILE --dev FILE [--keep FILE] [--resume]";

/// What follows each option.
struct Arguments {
    given: Vec<String>,
}

impl Arguments {
    fn read() -> Arguments {
        let given: Vec<String> = std::env::args().skip(1).collect();
        let known = ["--base", "--model", "--pairs", "--dev", "--keep"];
        let mut rest = given.iter();
        while let Some(flag) = rest.next() {
            let good = flag == "--resume" || known.contains(&&**flag) && rest.next().is_some();
            if !good {
                fail();
            }
        }
        Arguments { given }
    }

    fn path(&self, flag: &str) -> Option<PathBuf> {
        let at = self.given.iter().position(|argument| argument == flag)?;
        self.given.get(at + 1).map(PathBuf::from)
    }

    fn resume(&self) -> bool {
        self.given.iter().any(|argument| argument == "--resume")
    }
}

fn fail() -> ! {
    eprintln!("{USAGE}");
    std::process::exit(2)
}

/// The base model of `--base`, or a new one in `out`.
fn base(arguments: &Arguments, out: &Path) -> Result<PathBuf> {
    if let Some(folder) = arguments.path("--base") {
        return Ok(folder);
    }
    let base = out.join("base");
    if !base.exists() {
        let settings = Pretraining { steps: 3000, ..Pretraining::default() };
        let progress = Progress::new(settings.steps as u64);
        eprintln!("pre-training {} for {} steps", base.display(), settings.steps);
        let journal = Journal::open(&base, settings.inputs(), arguments.resume())?;
        pretrain(&settings, &base, Existing::Refuse, available_threads(), &progress, &journal)?;
        progress.finish();
    }
    Ok(base)
}

/// The files of a task of one's own, if there is one.
fn own(arguments: &Arguments) -> Option<OwnGrid> {
    let [model, pairs, dev, keep] =
        ["--model", "--pairs", "--dev", "--keep"].map(|flag| arguments.path(flag));
    match (model, pairs, dev) {
        (Some(_), Some(pairs), Some(dev)) => Some(OwnGrid { pairs, dev, test: None, keep }),
        (None, None, None) if keep.is_none() => None,
        _ => fail(),
    }
}

fn main() -> Result<()> {
    interrupt::listen();
    let (arguments, out) = (Arguments::read(), Path::new("runs/circuit-tuning"));
    // Only the figures are kept: times are of this machine, today. Until then, runs are gone on
    // with.
    let runs = out.join(".runs");
    if !arguments.resume() {
        let _ = std::fs::remove_dir_all(&runs);
    }
    let mut grid = Grid::parse("METHODS", METHODS)?;
    grid.own = own(&arguments);
    let base = match (&grid.own, arguments.path("--model")) {
        (Some(_), Some(model)) => {
            grid.arms.iter_mut().for_each(|arm| arm.settings.task = Goal::Own);
            model
        }
        _ => base(&arguments, out)?,
    };
    let text = LazyTokenizer::new(&base, false);
    let begun = grid.begin(&base, Some(&text))?;
    let progress = Progress::new(grid.updates());
    let comparison = begun.compare(&runs, available_threads(), &progress);
    progress.finish();
    let comparison = comparison?;
    let _ = std::fs::remove_dir_all(&runs);
    print!("{}", table(std::slice::from_ref(&comparison)));
    std::fs::create_dir_all(out).map_err(|e| Error::io(out, &e, "make"))?;
    comparison.write(&out.join("comparison.json"))?;
    let page = out.join("report.html");
    page::write_page(&[out.into(), base], None, &page)?;
    println!("open {}", page.display());
    Ok(())
}
