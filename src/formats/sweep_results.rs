//! `results.jsonl` of a sweep: a line for each run that has ended.
//!
//! ```text
//! {"kind":"sweep","version":1,"generator":"edgegrad 0.1.0","plan":{"command":"train", ...}}
//! {"kind":"run","id":"0f3a...","status":"done","axes":{"seed":0,"train.lr":0.01},
//!  "figures":{"test_accuracy":1.0, ...},"seconds":1.5}
//! ```
//!
//! Of two lines of one run the later counts. A last line that a kill has cut off is not read.

use crate::error::{Error, Result, at_line};
use crate::files::mark::GENERATOR;
use crate::files::parquet::{self, Column};
use crate::files::{atomic, input};
use crate::named::{Named, named};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::path::Path;

/// The file's name.
pub const NAME: &str = "results.jsonl";

/// The name of the same as a table of Parquet, once the sweep is at its end.
pub const PARQUET: &str = "results.parquet";

/// The version of the format.
const VERSION: u32 = 1;

named! {
    /// How a run has ended.
    Status {
        /// At its end.
        #[default]
        Done = "done",
        /// Its loss stopped being a number.
        Diverged = "diverged",
        /// With another error; it is tried again when the sweep goes on.
        Failed = "failed",
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Status, D::Error> {
        let name = String::deserialize(from)?;
        let unknown = || serde::de::Error::custom(format!("no status is called {name:?}"));
        Status::from_name(&name).ok_or_else(unknown)
    }
}

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    /// The first line.
    Sweep(Head),
    /// A run that has ended.
    Run(Box<Row>),
}

/// Which sweep the runs are of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The version of the format.
    pub version: u32,
    /// What has written it.
    pub generator: String,
    /// Base, axes and conditions of the sweep.
    pub plan: Value,
    /// How many runs it asks for; unknown where the rows are not those of a whole sweep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<usize>,
}

impl Head {
    /// The first line of the results of a sweep.
    pub fn new(plan: Value, runs: Option<usize>) -> Head {
        Head { version: VERSION, generator: GENERATOR.into(), plan, runs }
    }
}

/// A run that has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The name of its folder below `runs`, from its whole configuration.
    pub id: String,
    /// How it has ended.
    pub status: Status,
    /// What it has of each axis; `arm` is the name of an arm.
    pub axes: Map<String, Value>,
    /// What it has come to; null where there is no value.
    #[serde(default)]
    pub figures: Map<String, Value>,
    /// The seconds that it took, in this process if it went on where another was killed.
    pub seconds: f64,
    /// Why it has no result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Row {
    /// The value of a column: an axis, a figure, or `id`, `status`, `seconds`, `error`. Null where
    /// this run has none.
    pub fn value(&self, column: &str) -> Value {
        match column {
            "id" => self.id.clone().into(),
            "status" => self.status.name().into(),
            "seconds" => self.seconds.into(),
            "error" => self.error.clone().into(),
            _ => self.axes.get(column).or(self.figures.get(column)).cloned().unwrap_or_default(),
        }
    }
}

/// All of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepResults {
    /// Which sweep it is of.
    pub head: Head,
    /// The runs that have ended, each once.
    pub rows: Vec<Row>,
}

impl SweepResults {
    /// The results of a sweep: of its folder, or of the file in it.
    ///
    /// # Errors
    /// As [`read`](SweepResults::read).
    pub fn of(sweep: &Path) -> Result<SweepResults> {
        SweepResults::read(&if sweep.is_dir() { sweep.join(NAME) } else { sweep.into() })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or is no such file.
    pub fn read(file: &Path) -> Result<SweepResults> {
        SweepResults::parse(file, &input::regular(file, input::DATA)?)
    }

    /// What the bytes of a file say; `file` is what errors call it.
    ///
    /// # Errors
    /// If it is no such file.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<SweepResults> {
        let help = "give the folder of a sweep, as `edgegrad sweep --out` names it";
        let (mut head, mut rows) = (None, Vec::<Row>::new());
        let whole = bytes.split_inclusive(|&byte| byte == b'\n').filter(|l| l.ends_with(b"\n"));
        let mut places = HashMap::new();
        for (line, number) in whole.zip(1..) {
            let place = || at_line(file, number);
            match serde_json::from_slice(line) {
                Ok(Line::Sweep(found)) if head.is_none() && found.version <= VERSION => {
                    head = Some(found);
                }
                Ok(Line::Run(row)) if head.is_some() => match places.get(&row.id) {
                    Some(&i) => rows[i] = *row,
                    None => {
                        places.insert(row.id.clone(), rows.len());
                        rows.push(*row);
                    }
                },
                Ok(_) => {
                    let message = "is no results of a sweep, or of a later version";
                    return Err(Error::input(place(), message, help));
                }
                Err(e) => return Err(Error::input(place(), e, help)),
            }
        }
        let empty = || Error::input(file.display(), "holds no sweep", help);
        Ok(SweepResults { head: head.ok_or_else(empty)?, rows })
    }

    /// Writes it as a file, in place of one that is there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let rows = self.rows.iter().map(|row| Line::Run(Box::new(row.clone())));
        let lines = std::iter::once(Line::Sweep(self.head.clone())).chain(rows);
        atomic::write_file(file, |to| {
            for line in lines {
                serde_json::to_writer(&mut *to, &line)?;
                to.write_all(b"\n")?;
            }
            Ok(())
        })
    }

    /// Writes it as a table of Parquet, a row a run and [`columns`](Self::columns) as columns: of
    /// whole numbers, numbers or true and false where all values are, of texts elsewhere.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_parquet(&self, file: &Path) -> Result<()> {
        let column = |name: &str| {
            let values: Vec<Value> = self.rows.iter().map(|row| row.value(name)).collect();
            let all = |is: fn(&Value) -> bool| values.iter().all(|v| v.is_null() || is(v));
            let values = || values.iter();
            let text = |value: &Value| match value {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            let column = if all(Value::is_null) {
                Column::Real(values().map(Value::as_f64).collect())
            } else if all(Value::is_boolean) {
                Column::Bool(values().map(Value::as_bool).collect())
            } else if all(Value::is_i64) {
                Column::Int(values().map(Value::as_i64).collect())
            } else if all(Value::is_number) {
                Column::Real(values().map(Value::as_f64).collect())
            } else {
                Column::Text(values().map(text).collect())
            };
            (name.to_string(), column)
        };
        parquet::write(file, &self.columns().into_iter().map(column).collect::<Vec<_>>())
    }

    /// The axes that some run has something of.
    pub fn axes(&self) -> BTreeSet<&str> {
        self.names(|row| &row.axes)
    }

    fn names(&self, of: fn(&Row) -> &Map<String, Value>) -> BTreeSet<&str> {
        self.rows.iter().flat_map(|row| of(row).keys().map(|key| &**key)).collect()
    }

    /// The columns that [`Row::value`] has, in order: `id`, `status`, the axes, the figures,
    /// `seconds` and `error`.
    pub fn columns(&self) -> Vec<&str> {
        let (axes, figures) = (self.axes(), self.names(|row| &row.figures));
        let figures = figures.into_iter().filter(|name| !axes.contains(name)).collect::<Vec<_>>();
        let axes = axes.iter().copied();
        ["id", "status"]
            .into_iter()
            .chain(axes)
            .chain(figures)
            .chain(["seconds", "error"])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(id: &str, accuracy: f64) -> Row {
        let of = |value: Value| value.as_object().cloned().unwrap_or_default();
        Row {
            id: id.into(),
            axes: of(json!({ "seed": 0 })),
            figures: of(json!({ "test_accuracy": accuracy })),
            seconds: 1.5,
            ..Row::default()
        }
    }

    #[test]
    fn the_later_line_of_a_run_counts_and_a_torn_one_does_not() {
        let t = tempfile::tempdir().unwrap();
        let file = t.path().join(NAME);
        let rows = vec![row("a", 0.5), row("b", 0.25)];
        let results =
            SweepResults { head: Head::new(json!({ "command": "train" }), Some(2)), rows };
        results.write(&file).unwrap();
        assert_eq!(SweepResults::read(&file).unwrap(), results);
        let mut bytes = std::fs::read(&file).unwrap();
        let again = Line::Run(Box::new(row("a", 1.0)));
        bytes.extend(serde_json::to_vec(&again).unwrap());
        assert_eq!(SweepResults::parse(&file, &bytes).unwrap(), results, "cut off");
        bytes.push(b'\n');
        let read = SweepResults::parse(&file, &bytes).unwrap();
        assert_eq!(read.rows, [row("a", 1.0), row("b", 0.25)]);
        let columns = ["id", "status", "seed", "test_accuracy", "seconds", "error"];
        assert_eq!(read.columns(), columns);
        let values = columns.map(|column| read.rows[1].value(column));
        assert_eq!(json!(values), json!(["b", "done", 0, 0.25, 1.5, null]));
    }

    #[test]
    fn what_is_no_sweep_is_refused() {
        let head = serde_json::to_string(&Line::Sweep(Head::new(json!({}), None))).unwrap();
        let row = serde_json::to_string(&Line::Run(Box::new(row("a", 0.5)))).unwrap();
        for text in [
            "".into(),
            format!("{row}\n"),
            format!("{head}\n{head}\n"),
            format!("{head}\n{{}}\n"),
            format!("{}\n", head.replace("\"version\":1", "\"version\":2")),
            format!("{head}\n{}\n", row.replace("done", "well")),
        ] {
            let e = SweepResults::parse(Path::new("r.jsonl"), text.as_bytes()).unwrap_err();
            assert!(e.to_string().starts_with("r.jsonl") && e.exit_code() == 2, "{text}: {e}");
        }
    }
}
