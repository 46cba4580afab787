//! From a TOML file and `--set key=value` to a configuration.
//!
//! 1. The file becomes layers: the sections at the top, and what each stage says otherwise. Every
//!    value keeps the key that the user wrote, for errors.
//! 2. `--set` puts values into those layers.
//! 3. Each stage is read through its own layer and the top one, and checked.

use super::*;
use crate::named::suggest;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Read as _;
use std::str::FromStr;
use toml::Table;

/// More than any configuration has: a device or a wrong file is not read to its end.
const MAX_BYTES: u64 = 16 << 20;

impl Config {
    /// Reads the file `path`, with values of the form `key=value` put over it. Relative paths in
    /// the file start at the file's folder, those in `sets` where the process runs.
    ///
    /// A key is `seed`, `dtype`, `name`, `section.key`, or `key` alone where one section has it; before it
    /// may stand `stages.N.`, counted from 0. What a stage says itself outlasts a set without
    /// `stages.N.`.
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
        let reader = Reader { path: path.as_ref() };
        let mut layers = reader.layers(text)?;
        for set in sets {
            reader.set(&mut layers, set)?;
        }
        reader.config(&layers)
    }
}

/// A value and the key under which the user gave it.
struct Given {
    key: String,
    value: Value,
    from_set: bool,
}

type Keys = BTreeMap<&'static str, Given>;

/// What is given for the three sections, and a stage's name.
#[derive(Default)]
struct Layer {
    name: Option<Given>,
    sections: [Keys; 3],
}

/// All that is given.
#[derive(Default)]
struct Layers {
    seed: Option<Given>,
    dtype: Option<Given>,
    top: Layer,
    stages: Vec<Layer>,
}

fn keys(section: Section) -> Vec<&'static str> {
    let entries = match section {
        Section::Task => TaskConfig::default().entries(),
        Section::Model => ModelConfig::default().entries(),
        Section::Train => TrainConfig::default().entries(),
    };
    entries.into_iter().map(|(key, _)| key).collect()
}

fn section_called(name: &str) -> Option<Section> {
    Section::ALL.into_iter().find(|s| s.name() == name)
}

/// The sections that have `key`, with the key as they spell it.
fn owners(key: &str) -> Vec<(Section, &'static str)> {
    let find = |s| keys(s).into_iter().find(|k| *k == key).map(|k| (s, k));
    Section::ALL.into_iter().filter_map(find).collect()
}

/// `did you mean ...?`, or all there is when nothing is near.
fn nearest(got: &str, known: &[&str]) -> String {
    match suggest(got, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", known.join(", ")),
    }
}

/// A value in an error: short, whatever the user wrote.
fn describe(value: &Value) -> String {
    match value {
        Value::Table(_) => "a table".into(),
        Value::Array(_) => "an array".into(),
        Value::String(s) if s.chars().count() > 40 => "a long string".into(),
        Value::String(s) => format!("the string {s:?}"),
        other => other.to_string(),
    }
}

struct Reader<'a> {
    path: &'a Path,
}

impl Reader<'_> {
    fn error(&self, key: impl Display, message: impl Display, help: impl Display) -> Error {
        Error::input(format_args!("{}: {key}", self.path.display()), message, help)
    }

    fn wrong(&self, given: &Given, expected: &str, eg: &str) -> Error {
        let message = format!("expected {expected}, got {}", describe(&given.value));
        let key = given.key.rsplit('.').next().unwrap_or(&given.key);
        self.error(&given.key, message, format_args!("write for example `{key} = {eg}`"))
    }

    fn layers(&self, text: &str) -> Result<Layers> {
        let table = Table::from_str(text).map_err(|e| {
            let place = self.path.display();
            let help = "see toml.io for how TOML is written; text needs quotes";
            let Some(span) = e.span() else {
                return Error::input(place, e.message(), help);
            };
            let before = text.get(..span.start).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            Error::input(format_args!("{place}:{line}:{column}"), e.message(), help)
        })?;
        let mut layers = Layers::default();
        for (key, value) in table {
            match (key.as_str(), value) {
                ("seed", value) => layers.seed = Some(Given { key, value, from_set: false }),
                ("dtype", value) => layers.dtype = Some(Given { key, value, from_set: false }),
                ("name", value) => layers.top.name = Some(Given { key, value, from_set: false }),
                ("stages", Value::Array(stages)) => {
                    for (i, stage) in stages.into_iter().enumerate() {
                        layers.stages.push(self.stage(i, stage)?);
                    }
                    if layers.stages.is_empty() {
                        let help = "remove it to train in one stage";
                        return Err(self.error(key, "holds no stage", help));
                    }
                }
                ("stages", value) => {
                    let given = Given { key, value, from_set: false };
                    return Err(self.wrong(&given, "an array of tables", "[{ p = 2 }, { p = 4 }]"));
                }
                (_, value) => match (section_called(&key), value) {
                    (Some(section), Value::Table(t)) => {
                        self.section(&mut layers.top, section, t, &key)?;
                    }
                    (Some(_), value) => {
                        let message = format!("expected a section, got {}", describe(&value));
                        let help = format!("write `[{key}]` on a line and its keys below");
                        return Err(self.error(key, message, help));
                    }
                    (None, _) => return Err(self.unknown_at_the_top(&key, &key)),
                },
            }
        }
        if layers.stages.is_empty() {
            layers.stages.push(Layer::default());
        }
        Ok(layers)
    }

    fn unknown_at_the_top(&self, place: &str, key: &str) -> Error {
        let help = match owners(key).first() {
            Some((section, key)) => format!("`{key}` belongs below `[{}]`", section.name()),
            None => nearest(key, &["seed", "dtype", "name", "task", "model", "train", "stages"]),
        };
        self.error(place, "unknown key", help)
    }

    fn section(&self, to: &mut Layer, section: Section, table: Table, prefix: &str) -> Result<()> {
        for (key, value) in table {
            let given = Given { key: format!("{prefix}.{key}"), value, from_set: false };
            let key = self.known(section, &key, &given.key)?;
            self.put(to, section, key, given)?;
        }
        Ok(())
    }

    fn known(&self, section: Section, key: &str, place: &str) -> Result<&'static str> {
        let known = keys(section);
        if let Some(key) = known.iter().find(|k| **k == key) {
            return Ok(key);
        }
        let help = match owners(key).first() {
            Some((other, key)) => format!("`{key}` belongs in the section `{}`", other.name()),
            None => nearest(key, &known),
        };
        Err(self.error(place, "unknown key", help))
    }

    fn put(&self, to: &mut Layer, section: Section, key: &'static str, given: Given) -> Result<()> {
        let place = given.key.clone();
        match to.sections[section as usize].insert(key, given) {
            Some(earlier) if !earlier.from_set => {
                let message = format!("is given twice, here and as `{}`", earlier.key);
                Err(self.error(place, message, "remove one of them"))
            }
            _ => Ok(()),
        }
    }

    /// The section that alone has `key`.
    fn owner(&self, key: &str, place: &str) -> Result<(Section, &'static str)> {
        match owners(key)[..] {
            [one] => Ok(one),
            [] => {
                let all: Vec<_> = Section::ALL.into_iter().flat_map(keys).collect();
                Err(self.error(place, "unknown key", nearest(key, &all)))
            }
            _ => {
                let names: Vec<_> =
                    owners(key).iter().map(|(s, k)| format!("`{}.{k}`", s.name())).collect();
                let message = "is a key of more than one section";
                Err(self.error(place, message, format_args!("write {}", names.join(" or "))))
            }
        }
    }

    fn stage(&self, i: usize, stage: Value) -> Result<Layer> {
        let prefix = format!("stages.{i}");
        let Value::Table(table) = stage else {
            let given = Given { key: prefix, value: stage, from_set: false };
            return Err(self.wrong(&given, "a table", "{ p = 2 }"));
        };
        let mut layer = Layer::default();
        for (key, value) in table {
            let place = format!("{prefix}.{key}");
            match (section_called(&key), value) {
                (Some(section), Value::Table(t)) => {
                    for key in t.keys() {
                        self.may_change(section, key, &format!("{place}.{key}"))?;
                    }
                    self.section(&mut layer, section, t, &place)?;
                }
                // `train` is a section, and also the number of train rows.
                (_, value) if key == "name" => {
                    layer.name = Some(Given { key: place, value, from_set: false });
                }
                (_, value) => {
                    let (section, key) = self.owner(&key, &place)?;
                    self.may_change(section, key, &place)?;
                    self.put(
                        &mut layer,
                        section,
                        key,
                        Given { key: place, value, from_set: false },
                    )?;
                }
            }
        }
        Ok(layer)
    }

    fn may_change(&self, section: Section, key: &str, place: &str) -> Result<()> {
        if section != Section::Model || key == "dropout" || !keys(section).contains(&key) {
            return Ok(());
        }
        let help = "all stages train one model: set it below `[model]`";
        Err(self.error(place, "a stage cannot change the model, only its dropout", help))
    }

    fn set(&self, layers: &mut Layers, set: &str) -> Result<()> {
        let Some((key, value)) = set.split_once('=') else {
            let help = "write `--set key=value`, for example `--set lr=1e-2`";
            return Err(self.error(format_args!("--set {set}"), "has no `=`", help));
        };
        let (key, value) = (key.trim(), value.trim());
        let place = format!("--set {key}");
        let value = Value::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
        let given = Given { key: place.clone(), value, from_set: true };
        let parts: Vec<&str> = key.split('.').collect();
        match parts[..] {
            ["seed"] => layers.seed = Some(given),
            ["dtype"] => layers.dtype = Some(given),
            ["name"] => layers.top.name = Some(given),
            ["stages", i, ref rest @ ..] => {
                let n = layers.stages.len();
                let Some(layer) = i.parse().ok().and_then(|i: usize| layers.stages.get_mut(i))
                else {
                    let help = format!("stages are counted from 0; the last is {}", n - 1);
                    return Err(self.error(place, format_args!("there is no stage `{i}`"), help));
                };
                if let ["name"] = rest {
                    layer.name = Some(given);
                    return Ok(());
                }
                let (section, key) = self.resolve(rest, &place)?;
                self.may_change(section, key, &place)?;
                layer.sections[section as usize].insert(key, given);
            }
            ref rest => {
                let (section, key) = self.resolve(rest, &place)?;
                let own = |stage: &Layer| stage.sections[section as usize].contains_key(key);
                if layers.stages.iter().all(own) {
                    let message = "has no effect: every stage says otherwise";
                    let help = format!("write `--set stages.0.{key}=...` for the first stage");
                    return Err(self.error(place, message, help));
                }
                layers.top.sections[section as usize].insert(key, given);
            }
        }
        Ok(())
    }

    /// `section.key`, or `key` alone.
    fn resolve(&self, parts: &[&str], place: &str) -> Result<(Section, &'static str)> {
        match *parts {
            [key] => self.owner(key, place),
            [section, key] => match section_called(section) {
                Some(section) => Ok((section, self.known(section, key, place)?)),
                None => Err(self.unknown_at_the_top(place, section)),
            },
            _ => {
                let help = "write `section.key`, `key`, or one of them after `stages.N.`";
                Err(self.error(place, "unknown key", help))
            }
        }
    }

    fn config(&self, layers: &Layers) -> Result<Config> {
        let at = |i: usize, section| Values { reader: self, layers, stage: i, section };
        let n = layers.stages.len();
        let seed = match &layers.seed {
            None => 0,
            Some(given) => self.whole(given, 0)?,
        };
        let dtype = layers.dtype.as_ref().map_or(Ok(DtypeKind::default()), |g| self.choice(g))?;
        let name = layers.top.name.as_ref().map(|given| self.text(given)).transpose()?;
        let tasks: Vec<_> = (0..n).map(|i| at(i, Section::Task).task()).collect::<Result<_>>()?;
        let vocab = tasks.iter().map(|t| t.p).max().unwrap_or_default();
        let mut stages = Vec::with_capacity(n);
        for (i, task) in tasks.into_iter().enumerate() {
            let name = match &layers.stages[i].name {
                Some(given) => self.text(given)?,
                None => stage_name(i),
            };
            let model = at(i, Section::Model).model(vocab)?;
            stages.push(Stage { name, task, model, train: at(i, Section::Train).train()? });
        }
        let source = Some(self.path.to_path_buf());
        let config = Config { seed, dtype, name, stages, source };
        config.check().map_err(|problem| {
            let key = match problem.place {
                None => problem.key.to_string(),
                Some((i, section)) => at(i, section).written(problem.key),
            };
            self.error(key, problem.message, problem.help)
        })?;
        Ok(config)
    }

    fn whole(&self, given: &Given, eg: u64) -> Result<u64> {
        match given.value {
            Value::Integer(n) if n >= 0 => Ok(n as u64),
            _ => Err(self.wrong(given, "a whole number from 0 on", &eg.to_string())),
        }
    }

    fn text(&self, given: &Given) -> Result<String> {
        match &given.value {
            Value::String(s) => Ok(s.clone()),
            // `--set name=7` has no quotes to say that 7 is text.
            other if given.from_set && !other.is_table() && !other.is_array() => {
                Ok(other.to_string())
            }
            _ => Err(self.wrong(given, "text in quotes", "\"text\"")),
        }
    }

    fn choice<T: Named>(&self, given: &Given) -> Result<T> {
        let got = given.value.as_str().unwrap_or_default();
        if let Some(value) = T::from_name(got) {
            return Ok(value);
        }
        let names: Vec<_> = T::ALL.iter().map(|(name, _)| *name).collect();
        let expected = format!("one of {}", names.join(", "));
        let message = format!("expected {expected}, got {}", describe(&given.value));
        Err(self.error(&given.key, message, nearest(got, &names)))
    }

    /// A path in a file starts at the file's folder, one on the command line where the user is.
    fn file(&self, given: &Given) -> Result<PathBuf> {
        let text = self.text(given)?;
        let folder = self.path.parent().filter(|_| !given.from_set).unwrap_or(Path::new(""));
        match std::path::absolute(folder.join(&text)) {
            Ok(path) if !text.is_empty() => Ok(path),
            _ => Err(self.wrong(given, "the path of a file", "\"model.safetensors\"")),
        }
    }
}

/// The values of one section as one stage sees them.
struct Values<'a> {
    reader: &'a Reader<'a>,
    layers: &'a Layers,
    stage: usize,
    section: Section,
}

impl Values<'_> {
    fn given(&self, key: &str) -> Option<&Given> {
        let s = self.section as usize;
        let own = self.layers.stages[self.stage].sections[s].get(key);
        own.or_else(|| self.layers.top.sections[s].get(key))
    }

    /// The key as the user wrote it, or would have to.
    fn written(&self, key: &str) -> String {
        let default = || format!("{}.{key}", self.section.name());
        self.given(key).map_or_else(default, |given| given.key.clone())
    }

    fn need(&self, key: &str, eg: u64) -> Result<()> {
        if self.given(key).is_some() {
            return Ok(());
        }
        let help = format!("write for example `{key} = {eg}` below `[{}]`", self.section.name());
        Err(self.reader.error(self.written(key), "is missing", help))
    }

    fn get<T>(&self, key: &str, default: T, read: impl Fn(&Given) -> Result<T>) -> Result<T> {
        self.given(key).map_or(Ok(default), read)
    }

    fn whole(&self, key: &str, default: u64) -> Result<u64> {
        self.get(key, default, |g| self.reader.whole(g, default))
    }

    fn size(&self, key: &str, default: usize) -> Result<usize> {
        let n = self.whole(key, default as u64)?;
        // Sizes have limits far below this; a 32-bit machine must not wrap before they are checked.
        Ok(usize::try_from(n).unwrap_or(usize::MAX))
    }

    fn number(&self, key: &str, default: f64) -> Result<f64> {
        self.get(key, default, |g| match g.value {
            Value::Float(x) => Ok(x),
            Value::Integer(n) => Ok(n as f64),
            _ => Err(self.reader.wrong(g, "a number", &format!("{default:?}"))),
        })
    }

    fn switch(&self, key: &str, default: bool) -> Result<bool> {
        self.get(key, default, |g| {
            g.value.as_bool().ok_or_else(|| {
                self.reader.wrong(g, "true or false", if default { "true" } else { "false" })
            })
        })
    }

    fn choice<T: Named + Default>(&self, key: &str) -> Result<T> {
        self.get(key, T::default(), |g| self.reader.choice(g))
    }

    fn file(&self, key: &str) -> Result<Option<PathBuf>> {
        self.given(key).map(|g| self.reader.file(g)).transpose()
    }

    fn task(&self) -> Result<TaskConfig> {
        let d = TaskConfig::default();
        self.need("p", 2)?;
        Ok(TaskConfig {
            kind: self.choice("kind")?,
            p: self.size("p", d.p)?,
            seq_len: self.size("seq_len", d.seq_len)?,
            k: self.size("k", d.k)?,
            train: self.size("train", d.train)?,
            test: self.size("test", d.test)?,
            overlap: self.switch("overlap", d.overlap)?,
            data: self.file("data")?,
        })
    }

    fn model(&self, vocab: usize) -> Result<ModelConfig> {
        let d = ModelConfig::default();
        let d_model = self.size("d_model", d.d_model)?;
        Ok(ModelConfig {
            kind: self.choice("kind")?,
            vocab: self.size("vocab", vocab)?,
            d_model,
            d_mlp: self.size("d_mlp", d_model.saturating_mul(4))?,
            activation: self.choice("activation")?,
            mlp_bias: self.switch("mlp_bias", d.mlp_bias)?,
            dropout: self.number("dropout", d.dropout)?,
            init: self.file("init")?,
            init_prefix: self.get("init_prefix", d.init_prefix, |g| self.reader.text(g))?,
        })
    }

    fn train(&self) -> Result<TrainConfig> {
        let d = TrainConfig::default();
        self.need("steps", d.steps)?;
        let batch = self.get("batch", d.batch, |g| self.batch(g))?;
        Ok(TrainConfig {
            optimizer: self.choice("optimizer")?,
            lr: self.number("lr", d.lr)?,
            betas: self.get("betas", d.betas, |g| self.betas(g))?,
            eps: self.number("eps", d.eps)?,
            momentum: self.number("momentum", d.momentum)?,
            weight_decay: self.number("weight_decay", d.weight_decay)?,
            mlp_lr_discount: self.number("mlp_lr_discount", d.mlp_lr_discount)?,
            batch,
            steps: self.whole("steps", d.steps)?,
            shuffle: self.switch("shuffle", d.shuffle)?,
            schedule: self.choice("schedule")?,
            warmup: self.whole("warmup", d.warmup)?,
            min_lr: self.number("min_lr", d.min_lr)?,
            clip: self.given("clip").map(|_| self.number("clip", 1.0)).transpose()?,
            log_every: self.whole("log_every", d.log_every)?,
            eval_every: self.whole("eval_every", d.eval_every)?,
            checkpoint_every: self.whole("checkpoint_every", d.checkpoint_every)?,
            snapshot_every: self.whole("snapshot_every", d.snapshot_every)?,
            circuit_every: self.whole("circuit_every", d.circuit_every)?,
            circuit_probe: self.size("circuit_probe", batch.default_probe())?,
            optimizer_state: self.choice("optimizer_state")?,
        })
    }

    fn betas(&self, given: &Given) -> Result<[f64; 2]> {
        let number = |v: &Value| v.as_float().or(v.as_integer().map(|n| n as f64));
        if let Value::Array(a) = &given.value
            && let [a, b] = &a[..]
            && let (Some(a), Some(b)) = (number(a), number(b))
        {
            return Ok([a, b]);
        }
        Err(self.reader.wrong(given, "two numbers", "[0.9, 0.999]"))
    }

    fn batch(&self, given: &Given) -> Result<Batch> {
        match &given.value {
            Value::String(s) if s == "full" => Ok(Batch::Full),
            Value::Integer(n) if *n >= 0 => {
                Ok(Batch::Size(usize::try_from(*n).unwrap_or(usize::MAX)))
            }
            _ => Err(self.reader.wrong(given, "a whole number from 1 on or \"full\"", "32")),
        }
    }
}
