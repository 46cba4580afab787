//! Memorise or generalise: modular addition learned from scratch, and by a curriculum.
//!
//! Two arms with the same seeds, the same rows and the same number of steps: p = 4 from scratch, and
//! p = 2 followed by p = 4 ("Easing Optimization Paths", arXiv 2501.02362). Prints how many seeds
//! generalise in each arm and writes a page with their curves, attention and embeddings.
//!
//! ```sh
//! cargo run --example curriculum             # 24 s on two cores, once compiled
//! cargo run --example curriculum -- --paper  # n = 2048, 20 seeds
//! ```

use clap::Parser;
use edgegrad::error::{Error, Result};
use edgegrad::experiments::train::Existing;
use edgegrad::experiments::train::config::{
    Batch, Config, ModelConfig, Stage, TaskConfig, TrainConfig,
};
use edgegrad::experiments::{Job, Progress, available_threads, run_all};
use edgegrad::formats::circuit_summary::{CircuitSummary, Overlap, StageSummary};
use edgegrad::{page, results};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

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
    /// Where runs and report go; an earlier comparison there is replaced
    #[arg(long, default_value = "runs/curriculum")]
    out: PathBuf,
}

impl Options {
    /// The stages of both arms.
    fn arms(&self) -> Result<[(&'static str, Vec<Stage>); 2]> {
        let (d_model, d_mlp) = if self.small { (16, 64) } else { (32, 128) };
        let rows = self.n.unwrap_or(if self.paper || self.small { 2048 } else { 1024 });
        let steps = match (&self.steps, self.paper, self.small) {
            (Some(steps), ..) => steps.clone(),
            (None, true, _) => self.per_stage(2500, 3000),
            (None, _, true) => self.per_stage(2500, 1500),
            (None, ..) => self.per_stage(2000, 2000),
        };
        if steps.len() != self.p.len() {
            let message = format!("{} numbers for {} moduli", steps.len(), self.p.len());
            return Err(Error::input("--steps", message, "give one number of steps for each --p"));
        }
        let vocab = self.p.iter().copied().max().unwrap_or(2);
        let stage = |p: usize, steps: u64| Stage {
            name: format!("p={p}"),
            task: TaskConfig { p, train: rows, test: 2048, ..Default::default() },
            model: ModelConfig { vocab, d_model, d_mlp, ..Default::default() },
            train: TrainConfig {
                lr: 1e-2,
                batch: Batch::Full,
                steps,
                snapshot_every: 100,
                circuit_every: 100,
                circuit_probe: Batch::Full.default_probe(),
                ..Default::default()
            },
        };
        let goal = self.p.last().copied().unwrap_or(4);
        let curriculum = self.p.iter().zip(&steps).map(|(&p, &steps)| stage(p, steps)).collect();
        Ok([("scratch", vec![stage(goal, steps.iter().sum())]), ("curriculum", curriculum)])
    }

    fn per_stage(&self, first: u64, others: u64) -> Vec<u64> {
        (0..self.p.len()).map(|i| if i == 0 { first } else { others }).collect()
    }

    fn jobs(&self) -> Result<Vec<Job>> {
        let seeds = self.seeds.unwrap_or(if self.paper { 20 } else { 12 });
        let mut jobs = vec![];
        for (arm, stages) in self.arms()? {
            for seed in 0..seeds {
                let config = Config { seed, stages: stages.clone(), ..Default::default() };
                config.validate()?;
                jobs.push(Job {
                    config,
                    folder: self.out.join(arm).join(format!("seed-{seed:02}")),
                });
            }
            clear(&self.out.join(arm))?;
        }
        Ok(jobs)
    }

    fn run(&self) -> Result<()> {
        let started = Instant::now();
        let jobs = self.jobs()?;
        let threads = self.threads.unwrap_or_else(available_threads);
        println!("{} runs on {threads} threads, {}", jobs.len(), describe(&jobs[0].config));
        let progress = Progress::new(jobs.iter().map(Job::steps).sum());
        for result in run_all(&jobs, Existing::Refuse, threads, &progress) {
            if let Err(e) = result {
                eprintln!("error: {e}\nhelp: {}", e.help());
            }
        }
        progress.finish();
        let arms = results::summary(&self.out)?;
        println!("\n{}", results::table(&arms));
        println!("{}\n", results::headline(&arms));
        self.print_circuits(jobs.len() as u64 / 2);
        let page = self.out.join("report.html");
        page::write_page(std::slice::from_ref(&self.out), None, &page)?;
        println!("{:.0} s in all; open {}", started.elapsed().as_secs_f64(), page.display());
        Ok(())
    }
}

impl Options {
    /// Prints the circuits in which the arms end.
    fn print_circuits(&self, seeds: u64) {
        let read = |arm: &str, seed: u64| {
            let folder = self.out.join(arm).join(format!("seed-{seed:02}"));
            CircuitSummary::read(&folder).ok()
        };
        // The first modulus and the goal of each curriculum, and the goal from scratch.
        let runs = |seed: u64| {
            let (curriculum, scratch) = (read("curriculum", seed)?, read("scratch", seed)?);
            let [first, .., last] = &curriculum.stages[..] else { return None };
            Some([first.clone(), last.clone(), scratch.stages.last()?.clone()])
        };
        let runs: Vec<[StageSummary; 3]> = (0..seeds).filter_map(runs).collect();
        let ([Some(p), Some(goal)], Some(edges)) =
            ([self.p.first(), self.p.last()], runs.first().map(|r| r[0].scores.len()))
        else {
            return;
        };
        let titles = [format!("p = {p}"), format!(".. then p = {goal}"), "from scratch".into()];
        let print = |name: &str, cells: [String; 3]| {
            println!("{name:<33}  {:>18}  {:>18}  {:>18}", cells[0], cells[1], cells[2]);
        };
        print("circuits, 95 % faithful", titles);
        let row = |name: &str, digits, value: &dyn Fn(&StageSummary) -> Option<f64>| {
            let list = |i: usize| runs.iter().filter_map(|r| value(&r[i])).collect();
            print(name, [0, 1, 2].map(|i| spread(list(i), digits)));
        };
        let size = |s: &StageSummary| s.circuit.as_ref().map(|c| c.len() as f64);
        row(&format!("edges, of {edges}"), 0, &size);
        row("nodes", 0, &|s| s.nodes.map(|n| n as f64));
        row("scores: share at useful positions", 2, &|s| Some(s.useful / (s.useful + s.spurious)));
        let row = |name: &str, value: &dyn Fn(Overlap) -> Option<f64>| {
            let list = |i: usize| runs.iter().filter_map(|r| value(r[0].overlap(&r[i]))).collect();
            print(name, ["-".into(), spread(list(1), 2), spread(list(2), 2)]);
        };
        row(&format!("keeps of the edges of p = {p}"), &|o| o.kept);
        row("Jaccard overlap with these", &|o| o.jaccard);
        row("rank correlation of scores", &|o| o.rank_correlation);
        println!("medians (and ranges) of {} seeds\n", runs.len());
    }
}

/// `median (smallest to largest)`.
fn spread(mut list: Vec<f64>, digits: usize) -> String {
    list.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (list.first(), list.last()) else { return "-".into() };
    let median = (list[(list.len() - 1) / 2] + list[list.len() / 2]) / 2.0;
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

fn describe(config: &Config) -> String {
    let Some(Stage { task, model, train, .. }) = config.stages.last() else { return String::new() };
    format!(
        "d = {}, F = {}, L = {}, k = {}, n = {}, full batch, learning rate {}",
        model.d_model, model.d_mlp, task.seq_len, task.k, task.train, train.lr
    )
}

/// Removes an earlier arm, if the folder is one: it holds nothing but runs.
fn clear(arm: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(arm) else { return Ok(()) };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with("seed-") {
            let help = "choose another --out";
            return Err(Error::input(entry.path().display(), "is not a run of a comparison", help));
        }
    }
    std::fs::remove_dir_all(arm).map_err(|e| Error::io(arm, &e, "replace"))
}

fn main() -> ExitCode {
    match Options::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}\nhelp: {}", e.help());
            ExitCode::from(e.exit_code())
        }
    }
}
