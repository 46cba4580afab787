//! Memorise or generalise: modular addition learned from scratch, and by a curriculum.
//!
//! Two arms with the same seeds, the same rows and the same number of steps: p = 4 from scratch,
//! and p = 2 followed by p = 4 ("Easing Optimization Paths", arXiv 2501.02362). Prints how many
//! seeds generalise in each arm and writes a page with their curves, attention and embeddings.
//!
//! ```sh
//! cargo run --example curriculum             # 24 s on two cores, once compiled
//! cargo run --example curriculum -- --paper  # n = 2048, 20 seeds
//! ```

use clap::Parser;
use edgegrad::experiments::{
    Curriculum, Job, Progress, available_threads, run_all, train::Existing,
};
use edgegrad::{page, prelude::*, results};
use std::{path::Path, path::PathBuf, process::ExitCode, time::Instant};

/// Compare modular addition learned from scratch with a curriculum of smaller moduli first
#[derive(Debug, Parser)]
struct Options {
    /// The size of the paper: 2048 rows, 20 seeds, 2500 + 3000 steps
    #[arg(long, conflicts_with = "small")]
    paper: bool,
    /// The smallest model that shows the effect: d = 16, F = 64, 2048 rows, 2500 + 1500 steps
    #[arg(long)]
    small: bool,
    /// The moduli of the curriculum, the goal last
    #[arg(long, value_delimiter = ',', default_value = "2,4")]
    p: Vec<usize>,
    /// Rows in the train set
    #[arg(long)]
    n: Option<usize>,
    /// Seeds in each arm
    #[arg(long)]
    seeds: Option<u64>,
    /// Steps of each stage of the curriculum; the scratch arm takes their sum
    #[arg(long, value_delimiter = ',')]
    steps: Option<Vec<u64>>,
    /// Threads to use; all of them unless given
    #[arg(long)]
    threads: Option<usize>,
    /// Go on with the runs that were stopped; finished ones stay
    #[arg(long)]
    resume: bool,
    /// Where runs and report go, runs/curriculum (-paper, -small) unless given; an earlier
    /// comparison there is replaced unless it goes on
    #[arg(long)]
    out: Option<PathBuf>,
}

fn run(options: Options) -> Result<()> {
    let started = Instant::now();
    let threads = options.threads.unwrap_or_else(available_threads);
    let (mut comparison, usual) = match (options.paper, options.small) {
        (true, _) => (Curriculum::paper(&options.p), "runs/curriculum-paper"),
        (_, true) => (Curriculum::small(&options.p), "runs/curriculum-small"),
        _ => (Curriculum::new(&options.p), "runs/curriculum"),
    };
    let out = options.out.unwrap_or_else(|| usual.into());
    comparison.rows = options.n.unwrap_or(comparison.rows);
    comparison.seeds = options.seeds.unwrap_or(comparison.seeds);
    comparison.steps = options.steps.unwrap_or(comparison.steps);
    let existing = if options.resume { Existing::Resume } else { Existing::Refuse };
    let jobs = comparison.jobs(&out, existing)?;
    println!("{} runs on {threads} threads, {}", jobs.len(), comparison.describe());
    let progress = Progress::new(jobs.iter().map(Job::steps).sum());
    for failed in run_all(&jobs, existing, threads, &progress) {
        failed.map_or_else(|e| eprintln!("error: {e}\nhelp: {}", e.help()), drop);
    }
    progress.finish();
    let arms = results::summary(&out)?;
    println!("\n{}\n{}\n", results::table(&arms), results::headline(&arms));
    let experiment = results::Experiment::read(&out)?;
    let runs = || experiment.arms.iter().flat_map(|arm| &arm.runs);
    let solved = |folder: &Path| runs().any(|run| run.folder == folder && run.succeeded());
    print!("{}", comparison.circuits(&out, &solved));
    let page = out.join("report.html");
    page::write_page(&[out], None, &page)?;
    println!("{:.0} s in all; open {}", started.elapsed().as_secs_f64(), page.display());
    Ok(())
}

fn main() -> ExitCode {
    Error::exit(run(Options::parse()))
}
