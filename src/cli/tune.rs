//! `edgegrad tune`.

use crate::cli::day::Day;
use crate::cli::impatient;
use crate::cli::model::ModelPath;
use crate::cli::question::choice;
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::error::{Error, Result};
use edgegrad::experiments::tune::request::{Options, Request, Runs, diverged};
use edgegrad::experiments::tune::{Course, Goal, Method, Report, Settings, Subject, courses};
use edgegrad::experiments::{Progress, available_threads};
use edgegrad::formats::tuning_report::{CircuitFigures, Judgement, Kept};
use edgegrad::text::LazyTokenizer;
use edgegrad::tuning::Select;
use std::path::{Path, PathBuf};

/// Tune a base model for one task and write the tuned model
///
/// All computing is in f32.
#[derive(Debug, Args)]
pub(super) struct Tune {
    /// The base model: as `edgegrad pretrain` makes it or, with --pairs, any that can be read
    #[arg(long, value_name = "DIR")]
    model: ModelPath,
    /// Learn the answers of these pairs instead of a task
    #[arg(long, value_name = "FILE.jsonl", requires = "dev", conflicts_with = "task")]
    pairs: Option<PathBuf>,
    /// Let the first token stand for an answer of text that is several
    #[arg(long, requires = "pairs")]
    first_token: bool,
    /// With --pairs: other pairs, to judge by
    #[arg(long, value_name = "FILE.jsonl", requires = "pairs")]
    dev: Option<PathBuf>,
    /// With --pairs: sequences whose prediction is to be kept, on each line a list of ids or a text
    /// in quotes
    #[arg(long, value_name = "FILE.jsonl", requires = "pairs")]
    keep: Option<PathBuf>,
    /// The task: E1 (verbs disagree), E2 (pronouns balance), E3 (longer chains), E4 (deeper
    /// formulas in stories), E5 (longer answers, or none)
    #[arg(long, value_parser = choice::<Goal>())]
    task: Option<Goal>,
    /// Which parameters are trained
    #[arg(long, value_parser = choice::<Method>())]
    method: Option<Method>,
    /// How many edges the circuit has; with --select, how many ends, how faithful it is, how large
    /// its scores are, or which share of the parameters it owns. Unless given, a quarter of them
    #[arg(long, value_name = "N")]
    edges: Option<f64>,
    /// Find the circuit again every K updates
    #[arg(long, value_name = "K")]
    every: Option<usize>,
    /// How the circuit is taken from scores
    #[arg(long, value_parser = choice::<Select>())]
    select: Option<Select>,
    /// Train the circuit of this file; implies --method static
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["every", "select", "edges"])]
    circuit: Option<PathBuf>,
    /// The rank of adapters
    #[arg(long, value_name = "R")]
    rank: Option<usize>,
    /// The largest learning rate
    #[arg(long, value_name = "X")]
    lr: Option<f64>,
    /// Updates
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// A TOML file of settings
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Change another setting, such as beta=0.3 or counted="outcome"
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// The seed, or the first of several
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Tune with so many seeds, each in DIR/seed-NN
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..=1000),
    )]
    seeds: u64,
    /// Threads to use; all of them unless given. The results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// The folder to make
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on with the same command where it was stopped: seeds that are finished are kept
    #[arg(long)]
    resume: bool,
    /// Replace what `tune` has made in the folder
    #[arg(long, conflicts_with = "resume")]
    force: bool,
    #[command(flatten)]
    day: Day,
}

/// How to go on with seeds that were stopped.
const GO_ON: &str = "go on with the same command and --resume; finished seeds are kept";

impl Tune {
    pub(super) fn run(&self) -> Result<()> {
        let settings = self.settings()?;
        self.model.fetch()?;
        let request = Request {
            model: self.model.to_path_buf(),
            own: self.pairs.clone().zip(self.dev.clone()).map(|(a, b)| [a.into(), b.into()]),
            keep: self.keep.clone(),
            settings,
            config: self.config.clone(),
            seed: self.seed,
            seeds: self.seeds,
            out: self.out.clone(),
            resume: self.resume,
            force: self.force,
        };
        let text = LazyTokenizer::new(&*self.model, self.first_token);
        let runs = request.begin(Some(&text))?;
        let threads = self.threads.map_or_else(available_threads, |n| n as usize);
        let updates = runs.updates();
        if let Some(core) = runs.seconds()? {
            let instead = "take fewer --steps or --seeds";
            self.day.check(&format!("{updates} updates"), core / threads as f64, instead)?;
        }
        let progress = Progress::new(updates);
        let _work = impatient(&self.out, GO_ON);
        let results = runs.run(threads, &progress);
        progress.finish();
        self.tell_all(&runs, results?)
    }

    /// Prints what the seeds have come to; the last failure, if there is one.
    fn tell_all(&self, runs: &Runs<'_>, results: Vec<Result<Report>>) -> Result<()> {
        let subject = &*runs.subject;
        println!("{}", subject.title());
        println!("{}", heading(subject));
        println!("{}", line("base", &subject.base()));
        let keys = subject.base().entries().map(|(name, _)| name);
        let mut table = Table::new("seeds", [("seed", "seed"), ("folder", "folder")]);
        keys.iter().for_each(|key| table.column(key, &key.replace(' ', "_")));
        let of_circuit = CircuitFigures::default().entries();
        of_circuit.iter().for_each(|(name, _)| table.column(name, name));
        let mut failure = None;
        for ((seed, folder), result) in runs.jobs.iter().zip(results) {
            match result {
                Ok(report) => failure = tell(*seed, folder, &report, &mut table).or(failure),
                Err(e) => failure = Some(e),
            }
        }
        table.print_for_programs();
        failure.map_or(Ok(()), |e| match e {
            Error::Stopped { .. } => Err(e.with_help(GO_ON)),
            e => Err(e),
        })
    }

    /// The file's settings, changed by options.
    pub(super) fn settings(&self) -> Result<Settings> {
        let options = Options {
            task: self.task.or(self.pairs.as_ref().map(|_| Goal::Own)),
            method: self.method,
            edges: self.edges,
            every: self.every,
            select: self.select,
            circuit: self.circuit.clone(),
            rank: self.rank,
            lr: self.lr,
            steps: self.steps,
        };
        options.settings(self.config.as_deref(), &self.sets)
    }
}

/// Prints what a seed has come to; the failure that it is if it diverged.
fn tell(seed: u64, folder: &Path, report: &Report, table: &mut Table) -> Option<Error> {
    println!("{}", line(&format!("seed {seed}"), report.after()));
    println!("{}", cost(report));
    circuits(report).iter().for_each(|line| println!("{line}"));
    println!("{}", domains(report.after()));
    println!("  {}", folder.display());
    let figures = report.after().entries().map(|(_, x)| Some(x)).into_iter();
    let of_circuit = report.path.last().and_then(|p| p.circuit).unwrap_or_default();
    let figures = figures.chain(of_circuit.entries().map(|(_, x)| x));
    let figures = figures.map(|x| Cell::maybe(x, 4));
    let start = [Cell::count(seed), Cell::text(folder.to_string_lossy())];
    table.row(start.into_iter().chain(figures));
    diverged(folder, report)
}

/// The heads of columns of [`line`].
fn heading(subject: &dyn Subject) -> String {
    let heads = [subject.target_name(), "gap", "transfer", "retention", "nll", "rest nll"];
    let heads = heads.map(|head| format!("{head:>10}"));
    format!("{:<14}{}", "", heads.concat())
}

/// One line of the table.
pub(super) fn line(name: &str, judgement: &Judgement) -> String {
    let numbers = judgement.entries().map(|(name, x)| match name {
        "nll change" | "rest change" => format!("{x:>+10.4}"),
        _ => format!("{x:>10.4}"),
    });
    format!("{name:<14}{}", numbers.concat())
}

fn cost(r: &Report) -> String {
    let diverged = r.diverged.map_or(String::new(), |step| {
        format!("  diverged at update {step}: the model is that of the last look before\n")
    });
    format!(
        "{diverged}  trained {:.0} parameters on average ({:.1} % of the blocks'), {} ever \
         ({:.1} %); {:.1} ms an update, {:.1} MB for gradients and optimizer state",
        r.trained,
        100.0 * r.share(),
        r.ever_trained,
        100.0 * r.ever_share(),
        r.step_ms,
        r.bytes as f64 / 1e6,
    )
}

/// Scores before and after tuning by domain: `^` marks one at its ceiling, `_` one at its floor.
fn domains(judgement: &Judgement) -> String {
    let one = |(name, kept): (&String, &Kept)| {
        let (mark, Kept { before, after, .. }) = (kept.mark(), kept);
        format!("{name}{mark} {before:.3} to {after:.3}")
    };
    let all: Vec<String> = judgement.domains.iter().map(one).collect();
    let worst = judgement.worst().map(|(name, ratio)| format!("; worst {name}, {ratio:.3} kept"));
    match all[..] {
        [] => "  kept by domain: there are no domains".into(),
        _ => format!("  kept by domain: {}{}", all.join(", "), worst.unwrap_or_default()),
    }
}

/// A line for each figure of the circuits that were trained; none of a method without them.
fn circuits(report: &Report) -> Vec<String> {
    let said = |x: Option<f64>| x.map_or("-".into(), |x| format!("{x:.4}"));
    let line = |course: Course| {
        let [first, during, last] = [course.first, course.during, course.last].map(said);
        format!("  {} of the circuit: first {first}, during {during}, last {last}", course.name)
    };
    courses(report).into_iter().flatten().map(line).collect()
}
