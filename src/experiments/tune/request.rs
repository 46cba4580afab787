//! Runs that are asked for: a base model, what it is tuned for, settings, seeds, and where they go.

use super::files::{check_replaceable, read_any_base, read_base, read_report, record, write};
use super::{
    Goal, Judge, Method, Own, OwnFiles, OwnPairs, Report, Settings, Subject, is_short, run, seconds,
};
use crate::error::{Error, Result};
use crate::experiments::parallel::seeds_in;
use crate::experiments::{Given, Steps, side_by_side};
use crate::files::journal::Journal;
use crate::files::own::check_out_folder;
use crate::files::{atomic, content_hash, input};
use crate::formats::pairs::Encode;
use crate::named::Named;
use crate::nn::check_parts;
use crate::nn::transformer::Model;
use crate::ranks;
use crate::tasks::language::Part;
use crate::tuning::Select;
use std::path::{Path, PathBuf};
use std::time::Instant;
use toml::Value;

/// Settings that have options of their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// What the model is tuned for.
    pub task: Option<Goal>,
    /// Which parameters are trained.
    pub method: Option<Method>,
    /// How large the circuit is.
    pub edges: Option<f64>,
    /// Updates between two discoveries.
    pub every: Option<usize>,
    /// How the circuit is taken from scores.
    pub select: Option<Select>,
    /// The file of the circuit, which is then static.
    pub circuit: Option<PathBuf>,
    /// The rank of adapters.
    pub rank: Option<usize>,
    /// The largest learning rate.
    pub lr: Option<f64>,
    /// Updates.
    pub steps: Option<usize>,
}

impl Options {
    /// The settings of the file `config`, changed by `sets` of the form `key=value` and by these.
    ///
    /// # Errors
    /// If the file cannot be read, or a value cannot be.
    pub fn settings(&self, config: Option<&Path>, sets: &[String]) -> Result<Settings> {
        let mut table = String::new();
        let mut place = "settings".to_string();
        if let Some(path) = config {
            table = input::text(path, input::CONFIG)?;
            place = path.display().to_string();
        }
        let mut changes = sets.iter().map(|set| Given::set(set)).collect::<Result<Vec<_>>>()?;
        let method = self.method.or(self.circuit.as_ref().map(|_| Method::Static));
        let circuit = self.circuit.as_deref().map(text).transpose()?;
        let whole = |n: usize| Value::Integer(i64::try_from(n).unwrap_or(i64::MAX));
        let options = [
            ("task", self.task.map(|task| task.name().into())),
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

/// A path as settings have it.
fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        let message = "is no text in UTF-8, as settings have to be";
        Error::input(path.display(), message, "give the file another name")
    })
}

/// Runs with some seeds.
#[derive(Clone, Debug)]
pub struct Request {
    /// The base model: a folder or a GGUF file.
    pub model: PathBuf,
    /// Pairs to learn from and pairs to be judged by, unless a task is learned.
    pub own: Option<[OwnPairs; 2]>,
    /// With these, sequences that show what is to be kept.
    pub keep: Option<PathBuf>,
    /// What is chosen.
    pub settings: Settings,
    /// The file that the settings are from.
    pub config: Option<PathBuf>,
    /// The first seed.
    pub seed: u64,
    /// How many.
    pub seeds: u64,
    /// The folder of one seed, or that of the folders of several.
    pub out: PathBuf,
    /// Whether seeds that are finished are kept.
    pub resume: bool,
    /// Whether folders that are there are replaced.
    pub force: bool,
}

/// Runs that can begin.
pub struct Runs<'a> {
    request: &'a Request,
    /// Each seed, and the folder to make.
    pub jobs: Vec<(u64, PathBuf)>,
    base: Model<f32>,
    hash: String,
    /// What the model is tuned for.
    pub subject: Box<dyn Subject>,
    /// The seconds that it took to judge the base.
    judged: f64,
    journal: Journal,
}

impl Request {
    /// Reads and checks all that the runs take; text is encoded by `encode`.
    ///
    /// # Errors
    /// If something cannot be read, or a folder is there and may not be replaced.
    pub fn begin(&self, encode: Option<&dyn Encode>) -> Result<Runs<'_>> {
        atomic::check_folder(&self.out)?;
        check_parts("part", self.settings.batch, self.settings.part)?;
        let jobs = seeds_in(&self.out, self.seed, self.seeds)?;
        let start = Instant::now();
        let (base, hash, subject) = self.subject(encode)?;
        let judged = start.elapsed().as_secs_f64();
        // One that was killed at the very end has kept nothing to go on with.
        let finished = self.resume && self.are_finished(&jobs, &hash, &*subject);
        if finished {
            Journal::remove_left(&self.out);
        }
        let journal = self.journal(&hash, self.resume && !finished)?;
        if !finished && !journal.goes_on() {
            for (_, folder) in jobs.iter().filter(|(_, folder)| folder.exists()) {
                self.may_replace(folder)?;
            }
        }
        Ok(Runs { request: self, jobs, base, hash, subject, judged, journal })
    }

    /// The base model with its hash, and what it is tuned for.
    fn subject(
        &self,
        encode: Option<&dyn Encode>,
    ) -> Result<(Model<f32>, String, Box<dyn Subject>)> {
        let Some([pairs, dev]) = self.own.clone() else {
            if self.settings.task == Goal::Own {
                let help = "give --pairs and --dev, or another task";
                return Err(Error::input("task", "own: there are no pairs", help));
            }
            let (base, hash) = read_base(&self.model)?;
            let (goal, examples) = (self.settings.task, self.settings.examples);
            let judge = Judge::new(goal, Part::Test, examples, 0, &base);
            return Ok((base, hash, Box::new(judge)));
        };
        let (base, hash) = read_any_base(&self.model)?;
        let of = OwnFiles { model: self.model.clone(), pairs, dev, keep: self.keep.clone() };
        let own = Own::read(of, &base, encode)?;
        Ok((base, hash, Box::new(own)))
    }

    /// That of the runs of all seeds.
    fn journal(&self, base: &str, resume: bool) -> Result<Journal> {
        let [pairs, dev] = match &self.own {
            Some([pairs, dev]) => [pairs.hash()?, dev.hash()?],
            None => Default::default(),
        };
        let inputs = vec![
            ("--model".to_string(), base.to_string()),
            ("settings".into(), format!("{:?}", self.settings)),
            ("--circuit".into(), content_hash(self.settings.circuit.as_ref())?),
            ("--pairs".into(), pairs),
            ("--dev".into(), dev),
            ("--keep".into(), content_hash(self.keep.as_ref())?),
            ("--seed".into(), self.seed.to_string()),
            ("--seeds".into(), self.seeds.to_string()),
        ];
        Journal::open(&self.out, inputs, resume)
    }

    /// Whether all folders hold what they are to hold: runs with these settings and inputs.
    fn are_finished(&self, jobs: &[(u64, PathBuf)], base: &str, subject: &dyn Subject) -> bool {
        let Ok(record) = record(&self.settings, base, subject) else { return false };
        jobs.iter().all(|(seed, folder)| {
            read_report(folder).is_ok_and(|report| {
                report.seed == *seed
                    && report.settings == self.settings
                    && report.began.as_ref() == Some(&record)
            })
        })
    }

    /// Refuses a folder that is there, unless it is to be replaced and holds a tuned model alone.
    fn may_replace(&self, folder: &Path) -> Result<()> {
        let read = [&self.settings.circuit, &self.keep, &self.config];
        let own = self.own.iter().flatten().filter_map(OwnPairs::file);
        let read = read.into_iter().flatten().chain(own).chain([&self.model]);
        check_out_folder(folder, self.force, read, check_replaceable)
    }
}

impl Runs<'_> {
    /// Updates of all seeds.
    pub fn updates(&self) -> u64 {
        self.request.settings.steps as u64 * self.request.seeds
    }

    /// About the seconds of one core that they take; none if that is half a day at most.
    ///
    /// # Errors
    /// Those of a few updates.
    pub fn seconds(&self) -> Result<Option<f64>> {
        let (settings, updates) = (&self.request.settings, self.updates());
        if is_short(settings, &self.base, updates) {
            return Ok(None);
        }
        let of = (self.request.seeds, updates);
        seconds(settings, (&self.base, &*self.subject), self.judged, of).map(Some)
    }

    /// Does them on `threads` threads: how each ended, in the order of the seeds. Calls `progress`
    /// with updates.
    ///
    /// # Errors
    /// If their folder cannot be made.
    pub fn run(&self, threads: usize, progress: &dyn Steps) -> Result<Vec<Result<Report>>> {
        let Request { settings, out, force, .. } = self.request;
        if self.jobs.len() > 1 {
            std::fs::create_dir_all(out).map_err(|e| Error::io(out, &e, "make"))?;
        }
        self.journal.begin();
        let results = side_by_side(&self.jobs, threads, |(seed, folder)| {
            // A folder is there as a whole or not at all.
            if folder.exists() && !force {
                progress.skip(settings.steps as u64);
                return read_report(folder);
            }
            let tuned = run(settings, &self.base, *seed, &*self.subject, progress)?;
            if ranks::writes() {
                write(folder, &tuned, &self.hash, &*self.subject, *force)?;
            }
            Ok(tuned.report)
        });
        let finished = self.jobs.iter().filter(|(_, folder)| folder.exists()).count();
        if finished == 0 || finished == self.jobs.len() {
            // There is nothing to go on with.
            self.journal.end();
        }
        Ok(results)
    }
}

/// The failure that a report is, if the run in `folder` diverged.
pub fn diverged(folder: &Path, report: &Report) -> Option<Error> {
    report.diverged.map(|step| {
        Error::failed(
            folder.display(),
            format!("seed {} diverged at update {step}", report.seed),
            "lower --lr; the folder holds the model of the last look before",
        )
    })
}
