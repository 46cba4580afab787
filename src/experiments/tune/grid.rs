//! Many methods on one task, each at the best of its learning rates, over seeds: what is compared.
//! [`grid_runs`](super::grid_runs) compares it.

use super::goal::Goal;
use super::settings::Settings;
use crate::error::Result;
use crate::experiments::settings::{self, Broken, Given, Keyed, Keys, dotted, ensure, settings};
use crate::files::input;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Which methods are compared on what.
///
/// ```
/// use edgegrad::experiments::tune::grid::Grid;
/// let grid = Grid::parse("grid", r#"
///     model = "base"
///     seeds = 3
///     [common]
///     task = "E1"
///     steps = 100
///     [[methods]]
///     name = "circuit of 40"
///     method = "circuit"
///     edges = 40
///     learning_rates = [1e-3, 3e-3]
///     [[methods]]
///     name = "everything"
///     method = "full"
///     lr = 1e-3
/// "#)?;
/// assert_eq!(grid.arms.len(), 2);
/// assert_eq!(grid.arms[0].settings.steps, 100);
/// assert_eq!(grid.arms[1].rates, [1e-3]);
/// # Ok::<(), edgegrad::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// The base model.
    pub model: PathBuf,
    /// The files of pairs of one's own, if these are what is tuned for.
    pub own: Option<OwnGrid>,
    /// Runs of each method at its best learning rate.
    pub seeds: u64,
    /// Whether methods are compared at equal gain, too.
    pub equal_gain: bool,
    /// What is compared.
    pub arms: Vec<Arm>,
}

/// Pairs of one's own that a grid tunes for.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnGrid {
    /// Pairs to learn from.
    pub pairs: PathBuf,
    /// Other pairs, which choose learning rates.
    pub dev: PathBuf,
    /// Other pairs, which judge; those of `dev` unless given.
    pub test: Option<PathBuf>,
    /// Sequences that show what is to be kept.
    pub keep: Option<PathBuf>,
}

/// One method.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// What it is called in the table, and in the names of files.
    pub name: String,
    /// What it is told, but for the learning rate.
    pub settings: Settings,
    /// The learning rates it is tried with.
    pub rates: Vec<f64>,
    /// The arm whose chosen rates it takes instead, by its place.
    pub like: Option<usize>,
}

settings! {
    /// What a grid's file says beside `[common]` and `[[methods]]`.
    struct Top {
        /// The folder of the base model, or its GGUF file; like all paths it starts at the grid.
        model: PathBuf = "base".into() => REQUIRED;
        /// With `task = "own"`: pairs whose answers are learned.
        pairs: Option<PathBuf>;
        /// Other pairs, by which learning rates are chosen.
        dev: Option<PathBuf>;
        /// Other pairs, by which the runs of all seeds are judged; those of `dev` unless given.
        test: Option<PathBuf>;
        /// Sequences whose prediction is to be kept, as those of `tune --keep`.
        keep: Option<PathBuf>;
        /// Runs of each method at its best learning rate.
        seeds: u64 = 5, whole(1, 1000);
        /// Whether methods are also compared at equal gain: each at the smallest of its learning
        /// rates that gains on development examples what every method gains at one of its own.
        equal_gain: bool = true;
    }
}

settings! {
    /// What a method says beside its [`Settings`].
    struct Own {
        /// What it is called in the table and in the names of files: up to 40 letters and digits.
        name: String = "circuit".into() => REQUIRED;
        /// The learning rates it is tried with, instead of `lr`.
        learning_rates: Option<Vec<f64>>, ABOVE_0 => "`lr` alone";
        /// A method above whose chosen learning rates it takes: of a control, which differs in one
        /// thing.
        rates_of: Option<String>;
    }
}

impl Top {
    /// The pairs of one's own, which go with one task.
    fn own(&self, task: Option<Goal>) -> Result<Option<OwnGrid>, Broken> {
        let Top { pairs, dev, test, keep, .. } = self.clone();
        let own = task == Some(Goal::Own);
        let missing = "is missing: the task is own";
        let help = "give `pairs` to learn from and `dev` to choose learning rates by";
        ensure!(!own || pairs.is_some(), "pairs": "{missing}"; "{help}");
        ensure!(!own || dev.is_some(), "dev": "{missing}"; "{help}");
        let given = [("pairs", &pairs), ("dev", &dev), ("test", &test), ("keep", &keep)];
        if let Some((key, _)) = given.iter().find(|(_, file)| !own && file.is_some()) {
            let message = "is of one's own pairs, and the task is another".into();
            let help = "write task = \"own\" below [common]".into();
            return Err(Broken { key: (*key).into(), message, help });
        }
        let files = pairs.zip(dev);
        Ok(files.map(|(pairs, dev)| OwnGrid { pairs, dev, test, keep }))
    }
}

impl Grid {
    /// Reads a file; paths start where the file is.
    ///
    /// # Errors
    /// If it cannot be read, has unknown keys, or a setting that cannot be.
    pub fn read(path: &Path) -> Result<Grid> {
        let text = input::text(path, input::CONFIG)?;
        let mut grid = Grid::parse(&path.display().to_string(), &text)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        // An absolute path stays what it is.
        let start_here = |path: &mut PathBuf| *path = folder.join(&*path);
        start_here(&mut grid.model);
        if let Some(OwnGrid { pairs, dev, test, keep }) = &mut grid.own {
            [pairs, dev].into_iter().chain(test).chain(keep).for_each(start_here);
        }
        Ok(grid)
    }

    /// The grid in a text; `place` is what errors call it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(place: &str, text: &str) -> Result<Grid> {
        let mut table = settings::parse(place, text)?;
        let mut take = |key, absent| Given::new("", key, table.remove(key).unwrap_or(absent));
        let common = take("common", Table::new().into());
        let methods = take("methods", Value::Array(vec![]));
        let read = || -> Result<Grid> {
            let top = settings::by_key(settings::inside("", table));
            let sections = ["common", "methods"];
            if let Some(Given { key, .. }) = top.values().find(|g| !Top::names().contains(&&*g.key))
            {
                return Err(settings::unknown(key, key, &[&Top::names()[..], &sections].concat()));
            }
            let top = Top::default().with("", "", &top)?;
            top.check("").map_err(|broken| broken.at(&broken.key))?;
            let common = common.table("{ task = \"E1\" }")?;
            let mut arms: Vec<Arm> = vec![];
            for (place, method) in methods.tables("{ name = \"all\", method = \"full\" }")? {
                let common = settings::inside("common", common.clone());
                let keys = settings::by_key(common.chain(settings::inside(&place, method)));
                arms.push(Arm::read(&place, keys, &arms)?);
            }
            let task = arms.first().map(|arm| arm.settings.task);
            let own = top.own(task).map_err(|broken| broken.at(&broken.key))?;
            let Top { model, seeds, equal_gain, .. } = top;
            Ok(Grid { model, own, seeds, equal_gain, arms })
        };
        read().map_err(|e| e.within(place))
    }

    /// The tables of keys in `GUIDE.md`.
    pub fn key_tables() -> String {
        let (top, own) = (Top::table(), Own::table());
        format!("Above all sections:\n\n{top}\nIn `[[methods]]`, beside those of `tune`:\n\n{own}")
    }

    /// The task.
    pub fn task(&self) -> Goal {
        self.arms[0].settings.task
    }

    /// All updates of all runs.
    pub fn updates(&self) -> u64 {
        self.arms.iter().map(|arm| self.runs(arm) * arm.settings.steps as u64).sum()
    }

    /// All runs of a method; fewer if its rates at equal gain are those at equal budget.
    pub fn runs(&self, arm: &Arm) -> u64 {
        let twice = self.equal_gain && (arm.searched() || arm.like.is_some());
        let choosing = if arm.searched() { arm.rates.len() as u64 } else { 0 };
        choosing + self.seeds * if twice { 2 } else { 1 }
    }
}

impl Arm {
    /// The method at `place`, which follows those `before`.
    fn read(place: &str, mut keys: Keys, before: &[Arm]) -> Result<Arm> {
        let own = Own::names().into_iter().filter_map(|key| keys.remove_entry(key)).collect();
        let own = Own::default().with(place, " below `[[methods]]`", &own)?;
        let settings = Settings::given(&keys)?;
        let first = before.first().map_or(settings.task, |arm| arm.settings.task);
        let (name, rates) = (&own.name, own.learning_rates.clone().unwrap_or(vec![settings.lr]));
        let other = own.rates_of.as_ref();
        let like = other.and_then(|other| before.iter().position(|arm| arm.name == *other));
        let chained = like.is_some_and(|i| before[i].like.is_some());
        let checked = || {
            own.check("")?;
            ensure!(is_name(name), "name": "{name:?} is no name of up to 40 letters and digits";
                "it names files, too");
            ensure!(before.iter().all(|arm| arm.name != *name), "name": "{name:?} is there twice";
                "give each method a name of its own");
            let said = other.map_or("", |name| name);
            ensure!(other.is_none() || like.is_some() && !chained, "rates_of":
                "{said:?} is no method above with learning rates of its own";
                "give the name of one");
            ensure!(other.is_none() || own.learning_rates.is_none(), "rates_of":
                "does not go with learning_rates"; "leave one of them out");
            ensure!(!rates.is_empty(), "learning_rates": "holds no number";
                "write [3e-4, 1e-3, 3e-3]");
            ensure!(settings.task == first, "task": "is another than that of the first method";
                "compare methods on one task");
            Ok(())
        };
        checked().map_err(|broken: Broken| broken.at(&dotted(place, &broken.key)))?;
        Ok(Arm { name: own.name, settings, rates, like })
    }

    /// Whether its learning rate is chosen among several.
    pub fn searched(&self) -> bool {
        self.rates.len() > 1
    }
}

/// Whether it can be the name of a folder, and stands well in a table.
fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || " -_.,=".contains(c);
    (1..=40).contains(&name.len()) && name.chars().all(good) && !name.starts_with(['.', ' '])
}
