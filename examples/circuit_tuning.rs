//! Tuning the circuit of a behaviour, beside everything, adapters and a random part of the same size:
//! `cargo run --release --example circuit_tuning`.
//!
//! Pre-trains a small language model (or takes `--base DIR`), then teaches it that every present verb
//! has the number its subject has not, with two seeds by four methods, and prints what each has
//! reached, what it has kept of five other domains, and what it cost; `runs/circuit-tuning/report.html`
//! shows it.

use edgegrad::error::{Error, Result};
use edgegrad::experiments::pretrain::{Pretraining, pretrain};
use edgegrad::experiments::train::Existing;
use edgegrad::experiments::tune::grid::{Grid, compare};
use edgegrad::experiments::tune::{files, table};
use edgegrad::experiments::{Progress, available_threads};
use edgegrad::page;
use std::path::{Path, PathBuf};

/// For each method one of the learning rates that `examples/tuning/e1.toml` tries.
const METHODS: &str = r#"
model = ""
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
lr = 7e-4
"#;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut base: Option<PathBuf> = None;
    while let Some(argument) = arguments.next() {
        match (&*argument, arguments.next()) {
            ("--base", Some(folder)) => base = Some(folder.into()),
            _ => {
                eprintln!("usage: circuit_tuning [--base DIR]");
                std::process::exit(2);
            }
        }
    }
    let threads = available_threads();
    let base = match base {
        Some(folder) => folder,
        None => pretrained(Path::new("runs/circuit-tuning/base"), threads)?,
    };
    let grid = Grid::parse("METHODS", METHODS)?;
    let (model, _) = files::read_base(&base)?;
    let progress = Progress::new(grid.updates());
    let folder = tempfile_folder();
    let result = compare(&grid, &model, &folder, threads, &progress);
    progress.finish();
    // Only the figures are kept: times are of this machine, today.
    let _ = std::fs::remove_dir_all(&folder);
    let comparison = result?;
    print!("{}", table(&comparison));
    let out = Path::new("runs/circuit-tuning");
    std::fs::create_dir_all(out).map_err(|e| Error::io(out, &e, "make"))?;
    comparison.write(&out.join("comparison.json"))?;
    let page = out.join("report.html");
    page::write_page(&[out.into(), base], None, &page)?;
    println!("open {}", page.display());
    Ok(())
}

/// A base model in `folder`, trained unless it is there.
fn pretrained(folder: &Path, threads: usize) -> Result<PathBuf> {
    if !folder.exists() {
        let settings = Pretraining { steps: 3000, ..Pretraining::default() };
        let progress = Progress::new(settings.steps as u64);
        eprintln!("pre-training {} for {} steps", folder.display(), settings.steps);
        pretrain(&settings, folder, Existing::Refuse, threads, &progress)?;
        progress.finish();
    }
    Ok(folder.to_path_buf())
}

/// A folder of this process.
fn tempfile_folder() -> PathBuf {
    std::env::temp_dir().join(format!("edgegrad-circuit-tuning-{}", std::process::id()))
}
