//! `config.toml` of a run folder: the few keys a report needs, all of them optional.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result, at_line};
use crate::files::input;

/// What the run was asked to do. Unknown keys are ignored.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RunConfig {
    /// The seed of the whole run.
    pub seed: Option<u64>,
    /// The task of every stage that does not override it.
    pub task: TaskConfig,
    /// The model.
    pub model: ModelConfig,
    /// The training settings of every stage that does not override them.
    pub train: TrainConfig,
    /// The stages in order; empty means one stage without overrides.
    pub stages: Vec<StageConfig>,
    /// Every key but the seed that has a part in what is computed, such as `stages.1.task.p`, and
    /// its value: runs that have the same are seeds of each other.
    #[serde(skip)]
    pub computed: BTreeMap<String, String>,
}

/// The task: predict the sum of the first `k` of `seq_len` tokens modulo `p`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct TaskConfig {
    /// The task's name.
    pub kind: Option<String>,
    /// The modulus.
    pub p: Option<u64>,
    /// Tokens in a sequence.
    pub seq_len: Option<usize>,
    /// How many of them count.
    pub k: Option<usize>,
    /// Training sequences.
    pub train: Option<u64>,
    /// Test sequences.
    pub test: Option<u64>,
}

/// The model's sizes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ModelConfig {
    /// The model's family.
    pub kind: Option<String>,
    /// Rows of the token embedding.
    pub vocab: Option<usize>,
    /// Width of the residual stream.
    pub d_model: Option<usize>,
    /// Neurons of the MLP.
    pub d_mlp: Option<usize>,
    /// The non-linearity of the MLP.
    pub activation: Option<String>,
}

/// The training settings.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct TrainConfig {
    /// Updates in a stage.
    pub steps: Option<u64>,
    /// Peak learning rate.
    pub lr: Option<f64>,
}

/// One stage: what differs from the tables above.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct StageConfig {
    /// The stage's name.
    pub name: Option<String>,
    /// Keys of the task it changes.
    pub task: TaskConfig,
    /// Keys of the training settings it changes.
    pub train: TrainConfig,
}

impl RunConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// When the file cannot be read or is not the TOML expected; the error names the line.
    pub fn read(file: &Path) -> Result<Self> {
        let help = "the run folder's resolved configuration is written when a run starts; \
                    copy it from another seed of the same arm or run again";
        let text = String::from_utf8(input::of_run(file, help)?)
            .map_err(|error| Error::input(file.display(), error, help))?;
        let config = toml::from_str::<RunConfig>(&text).and_then(|config| {
            let mut computed = BTreeMap::new();
            flatten(String::new(), &toml::Value::Table(toml::from_str(&text)?), &mut computed);
            Ok(RunConfig { computed, ..config })
        });
        config.map_err(|error| {
            let place = match error.span() {
                Some(span) => {
                    let before = text.bytes().take(span.start);
                    at_line(file, 1 + before.filter(|&byte| byte == b'\n').count())
                }
                None => file.display().to_string(),
            };
            Error::input(place, error.message(), help)
        })
    }

    /// How many stages the run has, at least one.
    pub(crate) fn stage_count(&self) -> usize {
        self.stages.len().max(1)
    }

    /// The task of the last stage: the one whose test accuracy counts.
    pub(crate) fn last_task(&self) -> TaskConfig {
        self.stage_task(self.stages.len().saturating_sub(1))
    }

    /// The task of a stage.
    pub(crate) fn stage_task(&self, stage: usize) -> TaskConfig {
        let base = self.task.clone();
        let Some(over) = self.stages.get(stage).map(|stage| stage.task.clone()) else {
            return base;
        };
        TaskConfig {
            kind: over.kind.or(base.kind),
            p: over.p.or(base.p),
            seq_len: over.seq_len.or(base.seq_len),
            k: over.k.or(base.k),
            train: over.train.or(base.train),
            test: over.test.or(base.test),
        }
    }

    /// Updates over all stages, when every stage states its own or there is a common number.
    pub(crate) fn total_steps(&self) -> Option<u64> {
        if self.stages.is_empty() {
            return self.train.steps;
        }
        self.stages
            .iter()
            .try_fold(0u64, |sum, stage| sum.checked_add(stage.train.steps.or(self.train.steps)?))
    }
}

/// Whether a key only says what is written down on the way.
fn is_record(key: &str) -> bool {
    key.ends_with("_every") || key == "circuit_probe"
}

/// Adds the leaves of `value`, which is at `path`.
fn flatten(path: String, value: &toml::Value, leaves: &mut BTreeMap<String, String>) {
    let below = |key: &str| if path.is_empty() { key.into() } else { format!("{path}.{key}") };
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                if !(is_record(key) || path.is_empty() && key == "seed") {
                    flatten(below(key), value, leaves);
                }
            }
        }
        toml::Value::Array(list) if list.iter().any(toml::Value::is_table) => {
            for (i, value) in list.iter().enumerate() {
                flatten(below(&i.to_string()), value, leaves);
            }
        }
        leaf => drop(leaves.insert(path, leaf.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::train::config::Config;

    #[test]
    fn stages_override_and_add_up() {
        let config: RunConfig = toml::from_str(
            "seed = 3\nunknown = 1\n[task]\np = 4\nk = 5\n[train]\nsteps = 3000\n\
             [[stages]]\nname = 'p=2'\ntask = { p = 2 }\ntrain = { steps = 2000 }\n\
             [[stages]]\nname = 'p=4'\n",
        )
        .unwrap();
        assert_eq!(config.total_steps(), Some(5000));
        assert_eq!(config.last_task().p, Some(4));
        assert_eq!(config.stage_count(), 2);
        assert_eq!(RunConfig::default().total_steps(), None);
    }

    #[test]
    fn what_training_writes_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        let text = "seed = 7\n[task]\np = 4\nseq_len = 9\n[train]\nsteps = 30\nlr = 0.02\n\
                    [[stages]]\nname = 'first'\ntask = { p = 2 }\n[[stages]]\nname = 'last'\n";
        let config = Config::parse(text, &file, &[]).unwrap();
        std::fs::write(&file, config.to_toml()).unwrap();
        let read = RunConfig::read(&file).unwrap();
        assert_eq!((read.seed, read.total_steps()), (Some(7), Some(60)));
        assert_eq!(read.stages[1].name.as_deref(), Some("last"));
        let tasks = [0, 1].map(|stage| read.stage_task(stage));
        assert_eq!(tasks.map(|t| (t.p, t.seq_len)), [(Some(2), Some(9)), (Some(4), Some(9))]);
        let stage = &config.stages[1];
        let t = read.last_task();
        assert_eq!((t.k, t.train), (Some(stage.task.k), Some(stage.task.train as u64)));
        assert!(!read.computed.contains_key("seed"), "{:?}", read.computed);
        assert_eq!(read.computed["stages.0.name"], "\"first\"");
        let later = Config::parse(&text.replace("seed = 7", "seed = 8"), &file, &[]).unwrap();
        std::fs::write(&file, later.to_toml() + "\n[other]\nlog_every = 3\n").unwrap();
        assert_eq!(RunConfig::read(&file).unwrap().computed, read.computed, "but for the seed");
        let lr = read.stages[1].train.lr.or(read.train.lr);
        assert_eq!(lr, Some(stage.train.lr));
    }

    #[test]
    fn a_bad_key_names_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "seed = 1\n[task]\np = 'four'\n").unwrap();
        let error = RunConfig::read(&file).unwrap_err();
        assert!(error.to_string().contains("config.toml, line 3"), "{error}");
    }
}
