//! The file of a sweep: a base configuration, and what its runs have instead.

use super::axis;
use crate::error::{Error, Result};
use crate::experiments::settings::{self, Given, Keyed, settings};
use crate::files::input;
use crate::formats::condition::Condition;
use crate::named::named;
use crate::stats::order;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

named! {
    /// What can be swept.
    Command {
        /// `edgegrad train`.
        #[default]
        Train = "train",
        /// `edgegrad tune`.
        Tune = "tune",
        /// `edgegrad attribute`.
        Attribute = "attribute",
        /// `edgegrad discover`.
        Discover = "discover",
        /// `edgegrad evaluate`.
        Evaluate = "evaluate",
    }
}

impl Command {
    /// The name of the result below the folder of a run.
    pub fn result(self) -> &'static str {
        match self {
            Command::Tune => "tuned",
            Command::Attribute => "scores.json",
            Command::Discover => "circuit.json",
            Command::Train | Command::Evaluate => "figures.json",
        }
    }
}

settings! {
    /// The `[base]` section but for `[base.config]`.
    struct Base {
        /// What is run.
        command: Command => REQUIRED;
        /// The file of the configuration that all runs begin with, instead of `[base.config]`; its
        /// path starts at the sweep.
        file: Option<PathBuf>;
    }
}

/// Which runs there are: those of all combinations of the choices of all axes.
///
/// ```
/// use edgegrad::experiments::sweep::Plan;
/// let plan = Plan::parse("sweep.toml", r#"
///     skip = ["train.lr > 1e-2 and arm == 'scratch'"]
///     [base]
///     command = "train"
///     [base.config]
///     task.p = 4
///     train.steps = 100
///     [axes]
///     "train.lr" = { logspace = [1e-3, 1e-1, 3] }
///     seed = { range = [0, 8] }
///     [[arm]]
///     name = "scratch"
///     [[arm]]
///     name = "curriculum"
///     set = { stages = [{ p = 2 }, { p = 4 }] }
/// "#, &|_| unreachable!("no other file"))?;
/// assert_eq!(plan.combinations(), 2 * 3 * 8);
/// // Seeds vary slowest, then arms.
/// let last = plan.combination(47)?.expect("is not skipped");
/// assert_eq!(last.axes["arm"], "curriculum");
/// assert_eq!((&last.axes["seed"], &last.axes["train.lr"]), (&7.into(), &0.1.into()));
/// assert!(plan.combination(2)?.is_none());
/// # Ok::<(), edgegrad::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What is run.
    pub command: Command,
    /// The file that relative paths of the configuration start at.
    pub source: PathBuf,
    /// What all runs begin with.
    base: Table,
    axes: Vec<Axis>,
    skip: Vec<Condition>,
    /// What errors call the file.
    place: String,
}

/// What runs take in turn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    /// What errors call it.
    pub(super) name: String,
    pub(super) choices: Vec<Choice>,
}

/// One of them: what is told of it, and the keys that it sets.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    shown: Vec<(String, Value)>,
    set: Vec<(String, Value)>,
}

/// A combination of choices.
#[derive(Clone, Debug, PartialEq)]
pub struct Combination {
    /// What it has of each axis.
    pub axes: serde_json::Map<String, serde_json::Value>,
    /// Its whole configuration.
    pub config: Table,
}

impl Combination {
    /// The choices on one line: `seed = 0, train.lr = 0.01`.
    pub fn told(&self) -> String {
        let one = |(key, value): (&String, &serde_json::Value)| format!("{key} = {value}");
        self.axes.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// The sections of a sweep.
const SECTIONS: [&str; 5] = ["base", "axes", "zip", "arm", "skip"];

impl Plan {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, has unknown keys, or an axis that cannot be.
    pub fn read(path: &Path) -> Result<Plan> {
        let text = input::text(path, input::CONFIG)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut plan = Plan::parse(&path.display().to_string(), &text, &|file| {
            input::text(&folder.join(file), input::CONFIG)
        })?;
        plan.source = folder.join(&plan.source);
        Ok(plan)
    }

    /// The sweep in a text; `place` is what errors call it, and `other` gives the text of the file
    /// that it names.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(place: &str, text: &str, other: &dyn Fn(&Path) -> Result<String>) -> Result<Plan> {
        let mut table = settings::parse(place, text)?;
        let mut take = |key: &str| table.remove(key).map(|value| Given::new("", key, value));
        let [base, axes, zip, arm, skip] = SECTIONS.map(&mut take);
        let read = || -> Result<Plan> {
            if let Some(key) = table.keys().next() {
                return Err(settings::unknown(key, key, &SECTIONS));
            }
            let base = base.unwrap_or_else(|| Given::new("", "base", Table::new().into()));
            let (command, source, base) = read_base(place, base, other)?;
            let mut all = arm.map(|arm| arms(&arm)).transpose()?.into_iter().collect::<Vec<_>>();
            let mut left = axis::MOST;
            for (place, group) in zip.map_or(Ok(vec![]), |zip| zip.tables(ZIP))? {
                all.push(zipped(&place, group, &mut left)?);
            }
            let axes = axes.map_or(Ok(Table::new()), |axes| axes.table("{ seed = [0, 1] }"))?;
            all.extend(single("axes", axes, &mut left)?);
            each_once(&all)?;
            // Seeds vary slowest, so that a sweep which is stopped has as many of each kind.
            order::sort_by_key(&mut all, |axis| axis.name != "axes.seed");
            let skip = skip.map_or(Ok(vec![]), |skip| conditions(&skip))?;
            Ok(Plan { command, source, base, axes: all, skip, place: place.into() })
        };
        read().map_err(|e| e.within(place))
    }

    /// The table of keys in `GUIDE.md`.
    pub fn key_tables() -> String {
        format!("In `[base]`:\n\n{}", Base::table())
    }

    /// How many combinations there are, those that are skipped among them.
    pub fn combinations(&self) -> u128 {
        self.axes.iter().fold(1u128, |n, axis| n.saturating_mul(axis.choices.len() as u128))
    }

    /// Combination `i`, counted from 0; none if it is skipped.
    ///
    /// # Errors
    /// If a key has no place in the base configuration, or a condition cannot be decided.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn combination(&self, i: u64) -> Result<Option<Combination>> {
        assert!(u128::from(i) < self.combinations(), "combination {i}");
        let (mut rest, mut chosen) = (i as usize, vec![]);
        for axis in self.axes.iter().rev() {
            chosen.push(&axis.choices[rest % axis.choices.len()]);
            rest /= axis.choices.len();
        }
        let mut found = Combination { axes: Default::default(), config: self.base.clone() };
        for choice in chosen.into_iter().rev() {
            for (key, value) in &choice.shown {
                found.axes.insert(key.clone(), json!(value));
            }
            for (key, value) in &choice.set {
                put(&mut found.config, key, value.clone()).map_err(|e| e.within(&self.place))?;
            }
        }
        let skipped = self.skip.iter().try_fold(false, |held, condition| {
            let value =
                |key: &str| found.axes.get(key).cloned().or_else(|| got(&found.config, key));
            let known = || {
                let keys = leaves(found.config.clone()).into_iter().map(|(key, _)| key);
                found.axes.keys().cloned().chain(keys).collect()
            };
            Ok(held || condition.holds(&value, &known).map_err(|e| e.within(&self.place))?)
        })?;
        Ok((!skipped).then_some(found))
    }

    /// What tells this sweep from others, for the head of its results.
    pub fn summary(&self) -> serde_json::Value {
        let choice = |choice: &Choice| json!({ "is": choice.shown, "set": choice.set });
        let axis = |axis: &Axis| axis.choices.iter().map(choice).collect::<Vec<_>>();
        let skip: Vec<&str> = self.skip.iter().map(Condition::text).collect();
        json!({
            "command": crate::named::Named::name(self.command),
            "base": self.base,
            "axes": self.axes.iter().map(axis).collect::<Vec<_>>(),
            "skip": skip,
        })
    }

    /// What errors call the file.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// The axes, those that vary slowest first.
    pub(super) fn axes(&self) -> &[Axis] {
        &self.axes
    }
}

/// The command, the file that paths start at, and the configuration in `[base]`.
fn read_base(
    place: &str,
    given: Given,
    other: &dyn Fn(&Path) -> Result<String>,
) -> Result<(Command, PathBuf, Table)> {
    let mut table = given.table("{ command = \"train\" }")?;
    let config = table.remove("config").map(|value| Given::new("base", "config", value));
    let keys = settings::by_key(settings::inside("base", table));
    let Base { command, file } = Base::default().with("base", " below `[base]`", &keys)?;
    match (file, config) {
        (Some(_), Some(_)) => {
            let help = "leave out `file` or `[base.config]`";
            Err(Error::input("base", "has a file and a configuration", help))
        }
        (Some(file), None) => {
            let text = other(&file)?;
            let table = settings::parse(file.display(), &text)?;
            Ok((command, file, table))
        }
        (None, config) => {
            let config = config.map_or(Ok(Table::new()), |config| config.table("{ seed = 0 }"))?;
            let name = Path::new(place).file_name().unwrap_or_default();
            Ok((command, name.into(), config))
        }
    }
}

/// The axis of named arms.
fn arms(given: &Given) -> Result<Axis> {
    let mut choices: Vec<Choice> = vec![];
    for (place, mut arm) in given.tables("{ name = \"scratch\" }")? {
        let name = arm.remove("name").ok_or_else(|| {
            let help = "write for example `name = \"scratch\"` below `[[arm]]`";
            Error::input(format_args!("{place}.name"), "is missing", help)
        })?;
        let name = Given::new(&place, "name", name).read(&"scratch".to_string())?;
        let set = arm.remove("set").map_or(Ok(Table::new()), |set| {
            Given::new(&place, "set", set).table("{ \"train.lr\" = 1e-2 }")
        })?;
        if let Some(key) = arm.keys().next() {
            let place = format!("{place}.{key}");
            return Err(settings::unknown(place, key, &["name", "set"]));
        }
        let shown = vec![("arm".to_string(), Value::from(name.clone()))];
        if choices.iter().any(|choice| choice.shown == shown) || name.is_empty() {
            let message = format!("{name:?} is there twice, or empty");
            let help = "give each arm a name of its own";
            return Err(Error::input(format_args!("{place}.name"), message, help));
        }
        choices.push(Choice { shown, set: leaves(set) });
    }
    Ok(Axis { name: "arm".into(), choices })
}

/// What a group looks like, for errors.
const ZIP: &str = "{ \"train.lr\" = [1e-3, 1e-2], \"train.batch\" = [32, 64] }";

/// The axis of a group of keys that move together.
fn zipped(place: &str, group: Table, left: &mut u64) -> Result<Axis> {
    let keys = single(place, group, left)?;
    let count = keys.first().map_or(0, |axis| axis.choices.len());
    if let Some(axis) = keys.iter().find(|axis| axis.choices.len() != count) {
        let (n, first) = (axis.choices.len(), &keys[0].name);
        let message = format!("has {n} values, and {first} has {count}");
        return Err(Error::input(&axis.name, message, "give all keys of a group as many"));
    }
    if count == 0 {
        let help = format!("write for example `zip = [{ZIP}]`");
        return Err(Error::input(place, "holds no key", help));
    }
    let row = |i: usize| {
        let all: Vec<_> = keys.iter().map(|axis| axis.choices[i].set[0].clone()).collect();
        Choice { shown: all.clone(), set: all }
    };
    Ok(Axis { name: place.into(), choices: (0..count).map(row).collect() })
}

/// An axis for each key of a table, which may hold tables of keys; together they may have as many
/// values as are `left`.
fn single(place: &str, table: Table, left: &mut u64) -> Result<Vec<Axis>> {
    let (mut all, mut open) = (vec![], vec![(String::new(), table)]);
    while let Some((above, table)) = open.pop() {
        for (key, value) in table {
            let key = settings::dotted(&above, &key);
            match value {
                Value::Table(table) if !axis::is_space(&table) => open.push((key, table)),
                value => {
                    let given = Given::new(place, &key, value);
                    let choice = |value: Value| {
                        let all = vec![(key.clone(), value)];
                        Choice { shown: all.clone(), set: all }
                    };
                    let values = axis::values(&given)?;
                    let after = left.checked_sub(values.len() as u64);
                    *left = after.ok_or_else(|| axis::too_many(&given.place))?;
                    let choices = values.into_iter().map(choice).collect();
                    all.push(Axis { name: given.place, choices });
                }
            }
        }
    }
    order::sort_by(&mut all, |a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Refuses a key that two axes set.
fn each_once(axes: &[Axis]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for axis in axes {
        let keys: BTreeSet<&String> =
            axis.choices.iter().flat_map(|choice| choice.set.iter().map(|(key, _)| key)).collect();
        if let Some(key) = keys.into_iter().find(|key| !seen.insert(*key)) {
            let message = format!("`{key}` is set by another axis, too");
            return Err(Error::input(&axis.name, message, "remove one of them"));
        }
    }
    Ok(())
}

/// The conditions of combinations that are skipped.
fn conditions(given: &Given) -> Result<Vec<Condition>> {
    let example = || given.wrong("a list of conditions in quotes", "[\"train.lr > 1e-2\"]");
    let list = given.value.as_array().ok_or_else(example)?.iter().enumerate();
    let one = |(i, value): (usize, &Value)| {
        let text = value.as_str().ok_or_else(example)?;
        Condition::parse(&format!("skip.{i}"), text)
    };
    list.map(one).collect()
}

/// All values that are no tables, by their keys with dots.
fn leaves(table: Table) -> Vec<(String, Value)> {
    let (mut all, mut open) = (vec![], vec![(String::new(), table)]);
    while let Some((above, table)) = open.pop() {
        for (key, value) in table {
            let key = settings::dotted(&above, &key);
            match value {
                Value::Table(table) => open.push((key, table)),
                value => all.push((key, value)),
            }
        }
    }
    all
}

/// The value at `key` with dots.
fn got(config: &Table, key: &str) -> Option<serde_json::Value> {
    let mut parts = key.split('.');
    let mut found = config.get(parts.next()?)?;
    for part in parts {
        found = match found {
            Value::Array(list) => list.get(part.parse::<usize>().ok()?)?,
            Value::Table(table) => table.get(part)?,
            _ => return None,
        };
    }
    Some(json!(found))
}

/// Puts `value` at `key` with dots; a number among them is a place in an array.
fn put(config: &mut Table, key: &str, value: Value) -> Result<()> {
    let (above, last) = key.rsplit_once('.').unwrap_or(("", key));
    let none = |message: String| {
        let help = format!("the base configuration has no place for `{key}`");
        Error::input(key, message, help)
    };
    let mut table = config;
    let mut parts = above.split('.').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        let next = table.entry(part).or_insert_with(|| Table::new().into());
        table = match next {
            Value::Table(table) => table,
            Value::Array(list) => {
                let (n, place) = (list.len(), parts.next().unwrap_or(last));
                let entry = place.parse().ok().and_then(|i: usize| list.get_mut(i));
                let entry = entry.and_then(Value::as_table_mut);
                entry.ok_or_else(|| none(format!("`{part}` has {n} entries, and no `{place}`")))?
            }
            other => return Err(none(format!("`{part}` is {other}, and no table"))),
        };
    }
    table.insert(last.into(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Plan> {
        Plan::parse("s.toml", text, &|file| match file.to_str() {
            Some("base.toml") => Ok("task.p = 4\n[[stages]]\n[[stages]]\nlr = 1.0".into()),
            _ => Err(Error::input(file.display(), "missing", "check it")),
        })
    }

    const BASE: &str = "base = { command = \"train\", config = { train = { lr = 1.0 } } }\n";

    fn all(text: &str) -> Vec<Combination> {
        let plan = parse(text).expect(text);
        let all = (0..plan.combinations() as u64).map(|i| plan.combination(i).expect(text));
        all.flatten().collect()
    }

    #[test]
    fn axes_are_multiplied_and_groups_move_together() {
        let text = "[axes]\nx = [1, 2]\n\"train.lr\" = [0.5]\nseed = { range = [0, 2] }\n\
                    [[zip]]\na = [1, 2, 3]\nb.c = ['p', 'q', 'r']\n";
        let found =
            all(&format!("skip = [\"a == 2 and b.c == 'q'\", 'x > seed + 1']\n{BASE}{text}")
                .replace("x > seed + 1", "x == 2 and seed == 0"));
        assert_eq!(found.len(), 2 * 2 * 3 - 4 - 2);
        assert_eq!(found[0].told(), "a = 1, b.c = \"p\", seed = 0, train.lr = 0.5, x = 1");
        assert_eq!(found[5].told(), "a = 3, b.c = \"r\", seed = 1, train.lr = 0.5, x = 2");
        let config = "a = 3\nseed = 1\nx = 2\n[b]\nc = 'r'\n[train]\nlr = 0.5\n";
        assert_eq!(found[5].config, config.parse().expect("TOML"));
        assert_eq!(all(BASE).len(), 1, "a sweep without axes is one run");
    }

    #[test]
    fn arms_set_what_they_like_and_axes_reach_into_them() {
        let text = "base = { command = 'train', file = 'base.toml' }\n\
                    [axes]\n\"stages.0.lr\" = [2.0]\n[[arm]]\nname = 'one'\n\
                    set = { stages = [{ p = 2 }], model = { d_model = 8 } }\n[[arm]]\nname = 'two'\n";
        let found = all(text);
        let config = "task.p = 4\n[model]\nd_model = 8\n[[stages]]\np = 2\nlr = 2.0\n";
        assert_eq!(found[0].config, config.parse().expect("TOML"));
        assert_eq!(found[1].told(), "arm = \"two\", stages.0.lr = 2.0");
        let stages = found[1].config["stages"].as_array().expect("an array");
        assert_eq!(stages.len(), 2);
        assert_eq!(stages[0]["lr"].as_float(), Some(2.0));
    }

    #[test]
    fn what_is_no_sweep_is_refused() {
        for (text, message, help) in [
            ("", "base.command: is missing", "write for example `command = \"train\"`"),
            ("base = { command = 'trian' }", "base.command: expected one of", "`train`?"),
            ("[bas]\n", "bas: unknown key", "did you mean `base`?"),
            ("base = { command = 'train', fil = 'x' }", "base.fil: unknown", "`file`?"),
            (&format!("{BASE}[axes]\nx = []"), "axes.x: holds no value", "write for example"),
            (&format!("{BASE}[axes]\nx = 1"), "axes.x: expected a list", "write for example"),
            (&format!("{BASE}[axes]\nx.y = 1"), "axes.x.y: expected a list", "write"),
            (&format!("{BASE}[[zip]]\nx = [1]\ny = [1, 2]"), "zip.0.y: has 2 values", "as many"),
            (&format!("{BASE}[[zip]]\n"), "zip.0: holds no key", "write for example"),
            (
                &format!("{BASE}[[zip]]\nx = [1]\n[axes]\nx = [1]"),
                "axes.x: `x` is set by",
                "remove",
            ),
            (&format!("{BASE}[[arm]]\n"), "arm.0.name: is missing", "write for example"),
            (&format!("{BASE}[[arm]]\nname = 'a'\nsets = 1"), "arm.0.sets: unknown", "`set`?"),
            (
                &format!("{BASE}[[arm]]\nname = 'a'\n[[arm]]\nname = 'a'"),
                "arm.1.name: \"a\" is there twice",
                "a name of its own",
            ),
            (&format!("skip = 'x > 1'\n{BASE}"), "skip: expected a list", "write for example"),
            (&format!("skip = ['x >']\n{BASE}"), "skip.0: expected a key", "write for example"),
            ("base = { command = 'train', file = 'x.toml' }", "x.toml: missing", "check"),
            (
                "base = { command = 'train', file = 'base.toml', config = {} }",
                "base: has a file and a configuration",
                "leave out",
            ),
        ] {
            let e = parse(text).expect_err(text);
            assert!(e.to_string().starts_with(&format!("s.toml: {message}")), "{text}: {e}");
            assert!(e.help().contains(help), "{text}: {}", e.help());
        }
        for (text, message) in [
            ("skip = ['train.lrr > 1']\n", "s.toml: skip.0: `train.lrr` has no value"),
            ("axes = { \"train.lr.x\" = [1] }\n", "s.toml: train.lr.x: `lr` is 1.0, and no table"),
        ] {
            let e = parse(&format!("{text}{BASE}")).expect(text).combination(0).expect_err(text);
            assert!(e.to_string().starts_with(message), "{text}: {e}");
        }
    }
}
