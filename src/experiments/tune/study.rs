//! Grids over many base models: the bases are the sample.
//!
//! A study pre-trains base models and runs each of its grids on the first so many of them, grid by
//! grid. Bases and runs that are finished are kept in files, so a study that was stopped goes on
//! with what is missing, and one of few bases grows into one of many.

use super::grid::Grid;
use super::grid_runs::{self, COMPARISON, GridRuns};
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::experiments::Steps;
use crate::experiments::pretrain::{FILES, Pretraining, SETTINGS, pretrain, seconds_of_step};
use crate::experiments::settings::{self, Given, Keyed, settings};
use crate::experiments::train::Existing;
use crate::files::journal::Journal;
use crate::files::lock::FolderLock;
use crate::files::{input, own};
use crate::formats::comparison::Comparison;
use crate::nn::transformer::Model;
use serde_json::{Value as Json, json};
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Which grids are run on how many base models.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("edgegrad-study-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// use edgegrad::experiments::tune::study::Study;
/// let tuning = "model = \"base\"\n[[methods]]\nname = \"circuit\"";
/// std::fs::write(folder.join("e1.toml"), tuning).unwrap();
/// std::fs::write(folder.join("study.toml"), r#"
///     [pretrain]
///     steps = 9000
///     [[experiments]]
///     grid = "e1.toml"
///     bases = 10
/// "#).unwrap();
/// let study = Study::read(&folder.join("study.toml"))?;
/// assert_eq!((study.pretraining.steps, study.experiments[0].bases), (9000, 10));
/// assert_eq!(study.experiments[0].name, "e1");
/// assert_eq!(study.cost(Some(4)).bases, 4);
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), edgegrad::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// How base models are made; each has its own seed, from this one on.
    pub pretraining: Pretraining,
    /// What is run on them, in this order.
    pub experiments: Vec<Experiment>,
}

/// A grid of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// The name of its file, and of its folder of runs.
    pub name: String,
    /// Its methods; the model that it names is not used.
    pub grid: Grid,
    /// How many base models it is run on.
    pub bases: u64,
}

settings! {
    /// What a study's file says of a grid.
    struct Entry {
        /// The file of the grid; its path starts at the study.
        grid: PathBuf = "e1.toml".into() => REQUIRED;
        /// How many base models it is run on.
        bases: u64 = 10, whole(1, 1000);
    }
}

/// What a study is to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Base models.
    pub bases: u64,
    /// Steps of pre-training, over all of them.
    pub steps: u64,
    /// Runs of tuning, at most: where a method's two rates are one, its runs are, too.
    pub runs: u64,
    /// Updates, over all runs.
    pub updates: u64,
}

impl Study {
    /// Reads a file, and those of its grids.
    ///
    /// # Errors
    /// If one cannot be read, has unknown keys, or a setting that cannot be.
    pub fn read(path: &Path) -> Result<Study> {
        let text = input::text(path, input::CONFIG)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let grid = |file: &Path| Grid::read(&folder.join(file));
        Study::parse(&path.display().to_string(), &text, &grid)
    }

    /// The study in a text; `place` is what errors call it, and `grid` reads the grid that it
    /// names.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(place: &str, text: &str, grid: &dyn Fn(&Path) -> Result<Grid>) -> Result<Study> {
        let mut table = settings::parse(place, text)?;
        let mut take = |key, absent| Given::new("", key, table.remove(key).unwrap_or(absent));
        let pretraining = take("pretrain", Table::new().into());
        let experiments = take("experiments", Value::Array(vec![]));
        let read = || -> Result<Study> {
            if let Some(key) = table.keys().next() {
                return Err(settings::unknown(key, key, &["pretrain", "experiments"]));
            }
            let keys = settings::inside("pretrain", pretraining.table("{ steps = 9000 }")?);
            let keys = settings::by_key(keys);
            let pretraining = Pretraining::default().with("pretrain", "", &keys)?;
            pretraining.config()?;
            let mut all: Vec<Experiment> = vec![];
            for (place, given) in experiments.tables("{ grid = \"e1.toml\" }")? {
                let keys = settings::by_key(settings::inside(&place, given));
                all.push(Experiment::read(grid, &place, &keys, &all)?);
            }
            Ok(Study { pretraining, experiments: all })
        };
        read().map_err(|e| e.within(place))
    }

    /// The table of keys in `GUIDE.md`.
    pub fn key_tables() -> String {
        format!(
            "`[pretrain]` has the options of `pretrain`, as keys. In `[[experiments]]`:\n\n{}",
            Entry::table()
        )
    }

    /// What there is to compute with at most so many base models.
    pub fn cost(&self, most: Option<u64>) -> Cost {
        let of = |experiment: &Experiment| experiment.bases.min(most.unwrap_or(u64::MAX));
        let bases = self.experiments.iter().map(of).max().unwrap_or(0);
        let runs = |e: &Experiment| of(e) * e.grid.arms.iter().map(|a| e.grid.runs(a)).sum::<u64>();
        Cost {
            bases,
            steps: bases * self.pretraining.steps as u64,
            runs: self.experiments.iter().map(runs).sum(),
            updates: self.experiments.iter().map(|e| of(e) * e.grid.updates()).sum(),
        }
    }

    /// The seconds that it takes on `threads` threads, from a few steps of each kind, timed now: of
    /// pre-training on all threads, of updates and of judging on one. Discoveries are not among
    /// them.
    ///
    /// # Errors
    /// If the settings ask for more than a model has.
    pub fn seconds(&self, most: Option<u64>, threads: usize) -> Result<f64> {
        let Some(first) = self.experiments.first() else { return Ok(0.0) };
        let cost = self.cost(most);
        let step = seconds_of_step(&self.pretraining, threads)?;
        let base = Model::random(&self.pretraining.config()?, 0);
        let runs = GridRuns::generated(&first.grid, base, String::new());
        let runs = runs.seconds((cost.runs, cost.updates))?;
        Ok(cost.steps as f64 * step + runs / threads as f64)
    }

    /// Computes what is missing of it in `out`, with at most so many base models; tells of each
    /// base on which an experiment is finished, and calls `progress` with the number of steps and
    /// updates done. Returns the comparisons by experiment and base.
    ///
    /// # Errors
    /// If a folder cannot be written, holds runs with other settings, or the study is asked to
    /// stop.
    pub fn run(
        &self,
        out: &Path,
        most: Option<u64>,
        threads: usize,
        progress: &dyn Steps,
        tell: &dyn Fn(&str),
    ) -> Result<Vec<Vec<Comparison<Settings>>>> {
        let _lock = FolderLock::take(out)?;
        let of_experiment = |experiment: &Experiment| {
            let bases = experiment.bases.min(most.unwrap_or(u64::MAX));
            let on_base = |i| {
                let folder = self.base(out, i, threads, progress)?;
                let runs = out.join(&experiment.name).join(format!("base-{i:02}"));
                let found =
                    experiment.grid.begin(&folder, None)?.compare(&runs, threads, progress)?;
                found.write(&runs.join(COMPARISON))?;
                tell(&format!("{}: {} of {bases} base models", experiment.name, i + 1));
                Ok(found)
            };
            (0..bases).map(on_base).collect()
        };
        self.experiments.iter().map(of_experiment).collect()
    }

    /// Removes what [`run`](Self::run) has made in `out`: the runs of its experiments, and all base
    /// models.
    ///
    /// # Errors
    /// If the folder of a base model holds other files, before anything is removed, or another
    /// process is writing here.
    pub fn remove(&self, out: &Path) -> Result<()> {
        if !out.is_dir() {
            return Ok(());
        }
        let _lock = FolderLock::take(out)?;
        let bases = own::listed(&out.join(BASES))?;
        let bases: Vec<_> = bases.iter().filter(|path| is_base(path)).collect();
        for base in &bases {
            own::only(base, "a base model", |name| FILES.contains(&name))?;
        }
        for Experiment { name, .. } in &self.experiments {
            let all = own::listed(&out.join(name))?;
            all.iter().filter(|path| is_base(path)).try_for_each(|runs| grid_runs::remove(runs))?;
        }
        bases.into_iter().try_for_each(|base| own::remove(base))
    }

    /// The folder of a base model, which is made if it is missing.
    fn base(&self, out: &Path, i: u64, threads: usize, progress: &dyn Steps) -> Result<PathBuf> {
        let bases = out.join(BASES);
        let name = format!("base-{i:02}");
        let folder = bases.join(&name);
        let settings = Pretraining { seed: self.pretraining.seed + i, ..self.pretraining.clone() };
        if folder.exists() {
            check_settings(&folder, &settings)?;
            return Ok(folder);
        }
        fs::create_dir_all(&bases).map_err(|e| Error::io(&bases, &e, "make"))?;
        let begun = bases.join(format!(".{name}.journal")).exists();
        let journal = Journal::open(&folder, settings.inputs(), begun)?;
        pretrain(&settings, &folder, Existing::Refuse, threads, progress, &journal)?;
        Ok(folder)
    }
}

/// The folder of base models.
const BASES: &str = "bases";

/// Whether a folder is called as a base model is, or its runs.
fn is_base(path: &Path) -> bool {
    let name =
        path.file_name().and_then(|name| name.to_str()).and_then(|n| n.strip_prefix("base-"));
    path.is_dir() && name.is_some_and(|n| n.len() >= 2 && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Refuses a base model that was made with other settings.
fn check_settings(folder: &Path, settings: &Pretraining) -> Result<()> {
    let file = folder.join(SETTINGS);
    let bytes = input::regular(&file, input::CONFIG)?;
    let before: Json = serde_json::from_slice(&bytes).unwrap_or_default();
    // Through text, as those before.
    let now: Json = serde_json::from_str(&json!(settings).to_string()).expect("it was written");
    if before == now {
        return Ok(());
    }
    let other = now.as_object().into_iter().flatten().find(|(key, value)| before[key] != **value);
    let what =
        other.map_or(String::new(), |(key, now)| format!(": {key} {}, now {now}", before[key]));
    let message = format!("was made with other settings{what}");
    let help = "choose another --out, or have all base models and runs again by --force";
    Err(Error::input(file.display(), message, help))
}

impl Experiment {
    /// What the entry at `place` says; `before` are those above it.
    fn read(
        grid: &dyn Fn(&Path) -> Result<Grid>,
        place: &str,
        keys: &settings::Keys,
        before: &[Experiment],
    ) -> Result<Experiment> {
        let entry = Entry::default().with(place, " below `[[experiments]]`", keys)?;
        entry.check("").map_err(|broken| broken.at(&settings::dotted(place, &broken.key)))?;
        let (file, grid) = (&entry.grid, grid(&entry.grid)?);
        let name = file.file_stem().map_or_else(String::new, |n| n.to_string_lossy().into());
        if grid.arms.is_empty() || before.iter().any(|e| e.name == name) || name == "bases" {
            let message = "has no methods, or the name of another";
            let help = "give each experiment a file of its own, with [[methods]]";
            return Err(Error::input(file.display(), message, help));
        }
        if grid.own.is_some() {
            let message =
                "tunes for pairs of a file, and these base models know generated language";
            let help = "compare on one model with `edgegrad tune-compare`";
            return Err(Error::input(file.display(), message, help));
        }
        Ok(Experiment { name, grid, bases: entry.bases })
    }
}
