//! Tuning the circuit of a behaviour, beside everything, adapters and a random part of the same size:
//! `cargo run --release --example circuit_tuning`.
//!
//! Pre-trains a small language model (or takes `--base DIR`), then teaches it that every present verb
//! has the number its subject has not, with two seeds by four methods, and prints what each has
//! reached, what it has kept of five other domains, and what it cost; `runs/circuit-tuning/report.html`
//! shows it.

use edgegrad::experiments::pretrain::{Pretraining, pretrain};
use edgegrad::experiments::tune::{files, grid::Grid, grid::compare, table};
use edgegrad::experiments::{Progress, available_threads, train::Existing};
use edgegrad::{files::journal::Journal, interrupt, page, prelude::*};

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
    interrupt::listen();
    let (out, threads) = (std::path::Path::new("runs/circuit-tuning"), available_threads());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let resume = arguments.iter().any(|a| a == "--resume");
    let base = match &arguments[..] {
        [] => out.join("base"),
        [flag] if flag == "--resume" => out.join("base"),
        [flag, folder] if flag == "--base" => folder.into(),
        _ => {
            eprintln!("usage: circuit_tuning [--resume | --base DIR]");
            std::process::exit(2);
        }
    };
    if !arguments.contains(&"--base".into()) && !base.exists() {
        let settings = Pretraining { steps: 3000, ..Pretraining::default() };
        let progress = Progress::new(settings.steps as u64);
        eprintln!("pre-training {} for {} steps", base.display(), settings.steps);
        let journal = Journal::open(&base, settings.inputs(), resume)?;
        pretrain(&settings, &base, Existing::Refuse, threads, &progress, &journal)?;
        progress.finish();
    }
    let grid = Grid::parse("METHODS", METHODS)?;
    let (model, hash) = files::read_base(&base)?;
    let progress = Progress::new(grid.updates());
    // Only the figures are kept: times are of this machine, today. Until then, runs are gone on with.
    let runs = out.join(".runs");
    if !resume {
        let _ = std::fs::remove_dir_all(&runs);
    }
    let comparison = compare(&grid, (&model, &hash), &runs, threads, &progress);
    progress.finish();
    let comparison = comparison?;
    let _ = std::fs::remove_dir_all(&runs);
    print!("{}", table(&comparison));
    std::fs::create_dir_all(out).map_err(|e| Error::io(out, &e, "make"))?;
    comparison.write(&out.join("comparison.json"))?;
    let page = out.join("report.html");
    page::write_page(&[out.into(), base], None, &page)?;
    println!("open {}", page.display());
    Ok(())
}
