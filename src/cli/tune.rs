//! `edgegrad tune`.

use crate::cli::day::Day;
use crate::cli::model::ModelPath;
use crate::cli::out::check_out_folder;
use crate::cli::question::{choice, content};
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::error::{Error, Result};
use edgegrad::experiments::tune::{
    Course, Goal, Judge, Method, Own, OwnFiles, Report, Settings, Subject, courses, files,
    is_short, run, seconds,
};
use edgegrad::experiments::{Given, Progress, Steps, available_threads, side_by_side};
use edgegrad::files::atomic;
use edgegrad::files::journal::Journal;
use edgegrad::formats::tuning_report::{CircuitFigures, Judgement, Kept};
use edgegrad::named::Named;
use edgegrad::nn::transformer::Model;
use edgegrad::tasks::language::Part;
use edgegrad::text::LazyTokenizer;
use edgegrad::tuning::Select;
use std::path::{Path, PathBuf};
use std::time::Instant;
use toml::Value;

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
    /// With --pairs: sequences whose prediction is to be kept, on each line a list of ids or a text in
    /// quotes
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

impl Tune {
    pub(super) fn run(&self) -> Result<()> {
        let settings = self.settings()?;
        atomic::check_folder(&self.out)?;
        let jobs = self.jobs()?;
        let start = Instant::now();
        let (base, hash, subject) = self.subject(&settings)?;
        let (subject, judged) = (&*subject, start.elapsed().as_secs_f64());
        let journal = self.journal(&settings, &hash)?;
        let done = |(_, folder): &&(u64, PathBuf)| folder.exists();
        if !journal.goes_on() {
            for (_, folder) in jobs.iter().filter(done) {
                self.may_replace(folder)?;
            }
        }
        let threads = self.threads.map_or_else(available_threads, |n| n as usize);
        let updates = settings.steps as u64 * self.seeds;
        if !is_short(&settings, &base, updates) {
            let core = seconds(&settings, (&base, subject), judged, (self.seeds, updates))?;
            let instead = "take fewer --steps or --seeds";
            self.day.check(&format!("{updates} updates"), core / threads as f64, instead)?;
        }
        if self.seeds > 1 {
            std::fs::create_dir_all(&self.out).map_err(|e| Error::io(&self.out, &e, "make"))?;
        }
        journal.begin();
        let progress = Progress::new(settings.steps as u64 * self.seeds);
        let results = side_by_side(&jobs, threads, |(seed, folder)| {
            // A folder is there as a whole or not at all.
            if folder.exists() && !self.force {
                progress.skip(settings.steps as u64);
                return files::read_report(folder);
            }
            let tuned = run(&settings, &base, *seed, subject, &progress)?;
            files::write(folder, &tuned, &hash, subject, self.force)?;
            Ok(tuned.report)
        });
        progress.finish();
        println!("{}", subject.title());
        println!("{}", heading(subject));
        println!("{}", line("base", &subject.base()));
        let keys = subject.base().entries().map(|(name, _)| name);
        let mut table = Table::new("seeds", [("seed", "seed"), ("folder", "folder")]);
        keys.iter().for_each(|key| table.column(key, &key.replace(' ', "_")));
        let of_circuit = CircuitFigures::default().entries();
        of_circuit.iter().for_each(|(name, _)| table.column(name, name));
        let mut failure = None;
        for ((seed, folder), result) in jobs.iter().zip(results) {
            match result {
                Ok(report) => failure = tell(*seed, folder, &report, &mut table).or(failure),
                Err(e) => failure = Some(e),
            }
        }
        table.print_for_programs();
        let finished = jobs.iter().filter(done).count();
        if finished == 0 || finished == jobs.len() {
            // There is nothing to go on with.
            journal.end();
        }
        let help = "go on with the same command and --resume; finished seeds are kept";
        failure.map_or(Ok(()), |e| match e {
            Error::Stopped { .. } => Err(e.with_help(help)),
            e => Err(e),
        })
    }

    /// Refuses a folder that is there, unless it is to be replaced and holds a tuned model alone.
    fn may_replace(&self, folder: &Path) -> Result<()> {
        let read = [&self.circuit, &self.pairs, &self.dev, &self.keep, &self.config];
        let read = read.into_iter().flatten().map(PathBuf::as_path).chain([&*self.model]);
        check_out_folder(folder, self.force, read, files::check_replaceable)
    }

    /// The base model with its hash, and what it is tuned for.
    fn subject(&self, settings: &Settings) -> Result<(Model<f32>, String, Box<dyn Subject>)> {
        self.model.fetch()?;
        let Some((pairs, dev)) = self.pairs.clone().zip(self.dev.clone()) else {
            if settings.task == Goal::Own {
                let help = "give --pairs and --dev, or another task";
                return Err(Error::input("task", "own: there are no pairs", help));
            }
            let (base, hash) = files::read_base(&self.model)?;
            let judge = Judge::new(settings.task, Part::Test, settings.examples, 0, &base);
            return Ok((base, hash, Box::new(judge)));
        };
        let (base, hash) = files::read_any_base(&self.model)?;
        let text = LazyTokenizer::new(&*self.model, self.first_token);
        let of = OwnFiles { model: self.model.to_path_buf(), pairs, dev, keep: self.keep.clone() };
        let own = Own::read(of, &base, Some(&text))?;
        Ok((base, hash, Box::new(own)))
    }

    /// Each seed, and the folder to make.
    fn jobs(&self) -> Result<Vec<(u64, PathBuf)>> {
        let last = self.seed.checked_add(self.seeds - 1).ok_or_else(|| {
            Error::input("--seeds", "runs past the largest seed", "choose a smaller --seed")
        })?;
        let folder = |seed| match self.seeds {
            1 => self.out.clone(),
            _ => self.out.join(format!("seed-{seed:02}")),
        };
        Ok((self.seed..=last).map(|seed| (seed, folder(seed))).collect())
    }

    /// That of the runs of all seeds.
    fn journal(&self, settings: &Settings, base: &str) -> Result<Journal> {
        let inputs = vec![
            ("--model".to_string(), base.to_string()),
            ("settings".into(), format!("{settings:?}")),
            ("--circuit".into(), content(self.circuit.as_ref())?),
            ("--pairs".into(), content(self.pairs.as_ref())?),
            ("--dev".into(), content(self.dev.as_ref())?),
            ("--keep".into(), content(self.keep.as_ref())?),
            ("--seed".into(), self.seed.to_string()),
            ("--seeds".into(), self.seeds.to_string()),
        ];
        Journal::open(&self.out, inputs, self.resume)
    }

    /// The file's settings, changed by options.
    pub(super) fn settings(&self) -> Result<Settings> {
        let mut table = String::new();
        let mut place = "settings".to_string();
        if let Some(path) = &self.config {
            table = std::fs::read_to_string(path).map_err(|e| Error::io(path, &e, "read"))?;
            place = path.display().to_string();
        }
        let mut changes =
            self.sets.iter().map(|set| Given::set(set)).collect::<Result<Vec<_>>>()?;
        let method = self.method.or(self.circuit.as_ref().map(|_| Method::Static));
        let task = self.task.or(self.pairs.as_ref().map(|_| Goal::Own));
        let circuit = self.circuit.as_deref().map(text).transpose()?;
        let whole = |n: usize| Value::Integer(i64::try_from(n).unwrap_or(i64::MAX));
        let options = [
            ("task", task.map(|task| task.name().into())),
            ("method", method.map(|method| method.name().into())),
            ("select", self.select.map(|select| select.name().into())),
            ("edges", self.edges.map(Value::from)),
            ("every", self.every.map(whole)),
            ("rank", self.rank.map(whole)),
            ("lr", self.lr.map(Value::from)),
            ("steps", self.steps.map(whole)),
            ("circuit", circuit.map(Value::from)),
        ];
        let given = options.into_iter().filter_map(|(key, value)| Some((key, value?)));
        changes.extend(given.map(|(key, value)| Given::option(key, value)));
        Settings::with_changes(&place, &table, changes)
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
    report.diverged.map(|step| {
        Error::failed(
            folder.display(),
            format!("seed {seed} diverged at update {step}"),
            "lower --lr; the folder holds the model of the last look before",
        )
    })
}

/// A path as settings have it.
fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        let message = "is no text in UTF-8, as settings have to be";
        Error::input(path.display(), message, "give the file another name")
    })
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
