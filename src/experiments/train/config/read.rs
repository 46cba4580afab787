//! From a TOML file and `--set key=value` to a configuration.
//!
//! 1. The keys of the file are put where they belong: above all sections, in a section, or in a
//!    section of one stage. Every value keeps the key that the user wrote, for errors.
//! 2. `--set` puts values over them.
//! 3. Each stage reads its own keys and those of the sections, and all is checked.

use super::*;
use crate::experiments::settings::{Given, dotted, inside, parse, unknown};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use toml::Table;

/// More than any configuration has: a device or a wrong file is not read to its end.
const MAX_BYTES: u64 = 16 << 20;

impl Config {
    /// Reads the file `path`, with values of the form `key=value` put over it. Relative paths in
    /// the file start at the file's folder, those in `sets` where the process runs.
    ///
    /// A key is `seed`, `dtype`, `name`, `section.key`, or `key` alone where one section has it;
    /// before it may stand `stages.N.`, counted from 0. What a stage says itself outlasts a set
    /// without `stages.N.`.
    ///
    /// # Errors
    /// Names the file and the key at fault.
    pub fn read(path: impl AsRef<Path>, sets: &[String]) -> Result<Config> {
        let path = path.as_ref();
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
            .map_err(|e| Error::io(path, &e, "read"))?;
        if text.len() as u64 == MAX_BYTES {
            let help = "give a TOML file, as `edgegrad train CONFIG.toml`";
            return Err(Error::input(path.display(), "is too large to be a configuration", help));
        }
        Config::parse(&text, path, sets)
    }

    /// Reads `text`, which came from the file `path`. As [`read`](Config::read) otherwise.
    ///
    /// # Errors
    /// Names the file and the key at fault.
    pub fn parse(text: &str, path: impl AsRef<Path>, sets: &[String]) -> Result<Config> {
        let path = path.as_ref();
        let table = parse(path.display(), text)?;
        Config::of_table(table, path, sets).map_err(|e| e.within(path.display()))
    }

    /// The configuration in a table of the file `path`. As [`read`](Config::read) otherwise, but
    /// that errors do not name the file.
    pub(in crate::experiments) fn of_table(
        table: Table,
        path: &Path,
        sets: &[String],
    ) -> Result<Config> {
        let mut layers = Layers::of(table)?;
        for set in sets {
            layers.change(Given::set(set)?)?;
        }
        layers.config(path)
    }
}

/// The sections of a stage and their keys.
fn sections() -> [(&'static str, Vec<&'static str>); 3] {
    [
        ("task", TaskConfig::names()),
        ("model", ModelConfig::names()),
        ("train", TrainConfig::names()),
    ]
}

/// The sections that have `key`.
fn owners(key: &str) -> Vec<&'static str> {
    let owns = |(_, keys): &(_, Vec<&str>)| keys.contains(&key);
    sections().into_iter().filter(owns).map(|(section, _)| section).collect()
}

/// The error that `key` at `place` is not one of `known`.
fn wrong(place: &str, key: &str, known: &[&str]) -> Error {
    match owners(key)[..] {
        [] => unknown(place, key, known),
        [owner, ..] => {
            Error::input(place, "unknown key", format!("`{key}` belongs below `[{owner}]`"))
        }
    }
}

/// All that is given: by stage, or for all of them, and by `key` or `section.key`.
struct Layers {
    stages: usize,
    given: BTreeMap<(Option<usize>, String), Given>,
}

impl Layers {
    /// What the file gives.
    fn of(mut table: Table) -> Result<Layers> {
        let stages = table.remove("stages").unwrap_or_else(|| vec![Table::new()].into());
        let stages = Given::new("", "stages", stages).tables("{ p = 2 }")?;
        let mut layers = Layers { stages: stages.len(), given: BTreeMap::new() };
        layers.add(None, "", table)?;
        for (i, (place, stage)) in stages.into_iter().enumerate() {
            layers.add(Some(i), &place, stage)?;
        }
        Ok(layers)
    }

    /// The keys of `table`, which stands at `place` of the file: those of a stage, or of the top.
    fn add(&mut self, stage: Option<usize>, place: &str, table: Table) -> Result<()> {
        for given in inside(place, table) {
            let section = sections().into_iter().any(|(section, _)| section == given.key);
            match given {
                Given { key, place, value: Value::Table(table), .. } if section => {
                    for given in inside(&place, table) {
                        self.put(stage, &[&key, &given.key.clone()], given)?;
                    }
                }
                // In a stage, `train` may also be the number of train rows.
                Given { ref key, .. } if section && stage.is_none() => {
                    let help = format!("write `[{key}]` on a line and its keys below");
                    return Err(Error::input(key, given.not("a section"), help));
                }
                given => self.put(stage, &[&given.key.clone()], given)?,
            }
        }
        Ok(())
    }

    /// What `--set` gives.
    fn change(&mut self, given: Given) -> Result<()> {
        let key = given.key.clone();
        let parts: Vec<&str> = key.split('.').collect();
        let ["stages", stage, ref rest @ ..] = parts[..] else {
            return self.put(None, &parts, given);
        };
        match stage.parse().ok().filter(|i| *i < self.stages) {
            Some(i) => self.put(Some(i), rest, given),
            None => {
                let help = format!("stages are counted from 0; the last is {}", self.stages - 1);
                Err(Error::input(given.place, format!("there is no stage `{stage}`"), help))
            }
        }
    }

    /// One value, by `section.key` or `key` alone.
    fn put(&mut self, stage: Option<usize>, parts: &[&str], given: Given) -> Result<()> {
        let key = self.key(stage, parts, &given)?;
        let Given { ref place, bare, .. } = given;
        if stage.is_some() && key.starts_with("model.") && key != "model.dropout" {
            let help = "all stages train one model: set it below `[model]`";
            let message = "a stage cannot change the model, only its dropout";
            return Err(Error::input(place, message, help));
        }
        let own = |i| self.given.contains_key(&(Some(i), key.clone()));
        if stage.is_none() && bare && key.contains('.') && (0..self.stages).all(own) {
            let help = format!("write `--set stages.0.{key}=...` for the first stage");
            return Err(Error::input(place, "has no effect: every stage says otherwise", help));
        }
        let place = place.clone();
        match self.given.insert((stage, key), given) {
            Some(earlier) if !bare => {
                let message = format!("is given twice, here and as `{}`", earlier.place);
                Err(Error::input(place, message, "remove one of them"))
            }
            _ => Ok(()),
        }
    }

    /// The whole name of a key: `section.key`, or `key` above all sections.
    fn key(&self, stage: Option<usize>, parts: &[&str], given: &Given) -> Result<String> {
        let place = &given.place;
        let top = [&Run::names()[..], &["task", "model", "train", "stages"]].concat();
        match *parts {
            ["name"] => Ok("name".into()),
            [key] if stage.is_none() && Run::names().contains(&key) => Ok(key.into()),
            [key] if stage.is_none() && !given.bare => Err(wrong(place, key, &top)),
            [key] => match owners(key)[..] {
                [section] => Ok(dotted(section, key)),
                [] => Err(unknown(place, key, &sections().map(|(_, keys)| keys).concat())),
                ref several => {
                    let several: Vec<_> = several.iter().map(|s| format!("`{s}.{key}`")).collect();
                    let help = format!("write {}", several.join(" or "));
                    Err(Error::input(place, "is a key of more than one section", help))
                }
            },
            [name, key] => match sections().into_iter().find(|(section, _)| *section == name) {
                Some((section, keys)) if keys.contains(&key) => Ok(dotted(section, key)),
                Some((_, keys)) => Err(wrong(place, key, &keys)),
                None => Err(wrong(place, name, &top)),
            },
            _ => {
                let help = "write `section.key`, `key`, or one of them after `stages.N.`";
                Err(Error::input(place, "unknown key", help))
            }
        }
    }

    fn config(&self, path: &Path) -> Result<Config> {
        let run =
            |stage| Run::default().read("", "", |key| self.given.get(&(stage, key.to_string())));
        let all = 0..self.stages;
        let tasks = all.map(|i| self.task(i, path)).collect::<Result<Vec<_>>>()?;
        let vocab = tasks.iter().map(|t| t.p).max().unwrap_or_default();
        let stage = |(i, task): (usize, TaskConfig)| {
            let name = run(Some(i))?.name.unwrap_or_else(|| stage_name(i));
            Ok(Stage { name, task, model: self.model(i, vocab, path)?, train: self.train(i)? })
        };
        let stages = tasks.into_iter().enumerate().map(stage).collect::<Result<_>>()?;
        let Run { seed, dtype, name } = run(None)?;
        let config = Config { seed, dtype, name, stages, source: Some(path.to_path_buf()) };
        config.check().map_err(|(stage, broken)| {
            let given = self.given(stage.unwrap_or_default(), &broken.key);
            broken.at(given.map_or(&broken.key, |given| &given.place))
        })?;
        Ok(config)
    }

    /// What is given for a key of stage `i`, there or for all stages.
    fn given(&self, i: usize, key: &str) -> Option<&Given> {
        let of = |stage| self.given.get(&(stage, key.to_string()));
        of(Some(i)).or_else(|| of(None))
    }

    /// The keys of one section of stage `i`, over those of `usual`.
    fn read<S: Keyed>(&self, i: usize, section: &str, usual: S) -> Result<S> {
        let below = format!(" below `[{section}]`");
        usual.read(section, &below, |key| self.given(i, &dotted(section, key)))
    }

    fn task(&self, i: usize, path: &Path) -> Result<TaskConfig> {
        let mut task = self.read(i, "task", TaskConfig::default())?;
        start_at(path, &mut task.data, self.given(i, "task.data"));
        Ok(task)
    }

    fn model(&self, i: usize, vocab: usize, path: &Path) -> Result<ModelConfig> {
        let mut model = self.read(i, "model", ModelConfig { vocab, ..ModelConfig::default() })?;
        if self.given(i, "model.d_mlp").is_none() {
            model.d_mlp = model.d_model.saturating_mul(4);
        }
        start_at(path, &mut model.init, self.given(i, "model.init"));
        Ok(model)
    }

    fn train(&self, i: usize) -> Result<TrainConfig> {
        let mut train = self.read(i, "train", TrainConfig::default())?;
        if self.given(i, "train.circuit_probe").is_none() {
            train.circuit_probe = train.batch.default_probe();
        }
        Ok(train)
    }
}

/// A path in a file starts at the file's folder, one on the command line where the user is.
fn start_at(config: &Path, path: &mut Option<PathBuf>, given: Option<&Given>) {
    let folder = config.parent().filter(|_| given.is_some_and(|given| !given.bare));
    if let Some(path) = path {
        let whole = folder.unwrap_or(Path::new("")).join(&*path);
        *path = std::path::absolute(&whole).unwrap_or(whole);
    }
}
