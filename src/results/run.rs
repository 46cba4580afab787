//! A run folder, an arm (runs that differ in their seed) and an experiment (arms to compare).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::formats::metrics::{EvalLine, Metrics};
use crate::formats::run_config::RunConfig;
use crate::formats::run_record::RunRecord;
use crate::formats::snapshot::SnapshotFile;
use crate::stats::order;

pub use crate::formats::metrics::SUCCESS;

/// What a run folder holds; parts that are missing or damaged are empty and named in `notes`.
#[derive(Clone, Debug)]
pub struct Run {
    /// The folder.
    pub folder: PathBuf,
    /// The folder's name.
    pub name: String,
    /// The seed: from the configuration, else from a name like `seed-07`.
    pub seed: Option<u64>,
    /// What it was asked to do.
    pub config: RunConfig,
    /// What happened.
    pub metrics: Metrics,
    /// Weights through time, in order of steps.
    pub snapshots: Vec<SnapshotFile>,
    /// What is missing, damaged or unusual, in sentences that name files relative to the folder.
    pub notes: Vec<String>,
}

impl Run {
    /// Reads what there is in a run folder.
    ///
    /// # Errors
    /// When `folder` is not a folder.
    pub fn read(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::input(
                folder.display(),
                "no such folder",
                "give the folder of one run, the one with metrics.jsonl in it",
            ));
        }
        let name = name_of(folder);
        let mut notes = Vec::new();
        let mut config = RunConfig::read(&folder.join("config.toml")).unwrap_or_else(|error| {
            notes.push(error.note(folder));
            RunConfig::default()
        });
        // Paths that are equal may lead to files that are not.
        match RunRecord::read(folder) {
            Ok(record) => config.computed.extend(record.unwrap_or_default().inputs),
            Err(error) => notes.push(error.note(folder)),
        }
        let metrics = match Metrics::read(&folder.join("metrics.jsonl")) {
            Ok((metrics, damage)) => {
                notes.extend(damage.iter().map(|error| error.note(folder)));
                metrics
            }
            Err(error) => {
                notes.push(error.note(folder));
                Metrics::default()
            }
        };
        let seed = config.seed.or_else(|| name.strip_prefix("seed-")?.parse().ok());
        let snapshots = SnapshotFile::all(folder);
        if snapshots.is_empty() {
            notes.push("snapshots: none, so no weights are drawn".into());
        }
        let mut run = Run { folder: folder.into(), name, seed, config, metrics, snapshots, notes };
        run.note_progress();
        Ok(run)
    }

    /// How the page and tables call the run.
    pub fn label(&self) -> String {
        match self.seed {
            Some(seed) => format!("seed {seed}"),
            None => self.name.clone(),
        }
    }

    /// The stage whose test accuracy counts: the last one configured, or the last one seen when the
    /// configuration is missing.
    pub(crate) fn last_stage(&self) -> usize {
        let seen = self.metrics.evals.iter().map(|eval| eval.stage);
        seen.max().unwrap_or(0).max(self.config.stage_count() - 1)
    }

    /// Updates before a stage's first one, if the run got there.
    pub(crate) fn stage_start(&self, stage: usize) -> Option<u64> {
        self.metrics.stage_start(stage)
    }

    /// The stages the run reached: first update and name, the configuration's name first.
    pub fn stages(&self) -> Vec<(u64, String)> {
        (0..=self.last_stage())
            .map_while(|stage| Some((self.stage_start(stage)?, self.stage_name(stage))))
            .collect()
    }

    fn stage_name(&self, stage: usize) -> String {
        let configured = self.config.stages.get(stage).and_then(|stage| stage.name.clone());
        let told = || {
            let events = self.metrics.events.iter();
            let mut named = events.filter(|event| event.stage == Some(stage));
            named.find_map(|event| event.name.clone())
        };
        configured.or_else(told).unwrap_or_else(|| format!("stage {stage}"))
    }

    /// The last evaluation, if the run got to its last stage.
    pub(crate) fn final_eval(&self) -> Option<&EvalLine> {
        self.metrics.evals.last().filter(|eval| eval.stage == self.last_stage())
    }

    /// Whether the run stopped because its loss was no longer a number.
    pub fn diverged(&self) -> bool {
        self.metrics.event("diverged").is_some()
    }

    /// Whether the run ended with a test accuracy of at least [`SUCCESS`] on the last stage's task.
    pub fn succeeded(&self) -> bool {
        !self.diverged()
            && self
                .final_eval()
                .and_then(|eval| eval.test_accuracy)
                .is_some_and(|accuracy| accuracy >= SUCCESS)
    }

    /// Updates until an evaluation of the last stage first showed [`SUCCESS`], counted from that
    /// stage's start and from the run's.
    pub(crate) fn steps_to_success(&self) -> Option<(u64, u64)> {
        self.metrics.steps_to(SUCCESS, self.last_stage())
    }

    fn note_progress(&mut self) {
        let metrics = &self.metrics;
        for event in metrics.events.iter().filter(|event| event.event == "diverged") {
            let why = event.message.as_deref().unwrap_or("the loss was no longer a number");
            self.notes.push(format!("diverged at step {}: {why}", event.step));
        }
        if metrics.evals.is_empty() {
            self.notes.push("metrics.jsonl: no evaluation, so the run counts as a failure".into());
        } else if self.final_eval().is_none() {
            let stage = metrics.evals.last().map_or(0, |eval| eval.stage);
            self.notes.push(format!(
                "ended in stage {} of {}, so the run counts as a failure",
                stage + 1,
                self.last_stage() + 1
            ));
        } else if self.final_eval().is_some_and(|eval| eval.test_accuracy.is_none()) {
            self.notes.push(
                "metrics.jsonl: the last evaluation has no test accuracy, so the run counts as a \
                 failure"
                    .into(),
            );
        }
        let done = metrics.steps.last().map_or(0, |line| line.step.saturating_add(1));
        let planned = self.config.total_steps().unwrap_or(0);
        let explained = self.diverged() || metrics.event("stop").is_some();
        if done < planned && !explained {
            self.notes.push(format!("{done} of {planned} steps are recorded: unfinished or cut"));
        }
    }
}

/// Runs of one recipe that differ in their seed.
#[derive(Clone, Debug)]
pub struct Arm {
    /// The folder's name.
    pub name: String,
    /// The runs in order of seeds.
    pub runs: Vec<Run>,
}

/// Arms to compare.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The folder.
    pub root: PathBuf,
    /// The folder's name.
    pub name: String,
    /// The arms: those with fewer stages first, then by name.
    pub arms: Vec<Arm>,
}

impl Experiment {
    /// Reads `root/<arm>/<run>`, or `root/<run>` as one arm, or `root` itself as one run.
    ///
    /// # Errors
    /// When `root` is not a readable folder or holds no run.
    pub fn read(root: &Path) -> Result<Self> {
        let name = name_of(root);
        let mut arms = Vec::new();
        if is_run(root) {
            arms.push(Arm { name: name.clone(), runs: vec![Run::read(root)?] });
        } else {
            let (runs, others): (Vec<_>, Vec<_>) =
                folders(root)?.into_iter().partition(|folder| is_run(folder));
            arms.extend(Arm::read(&name, &runs)?);
            for folder in others {
                let runs: Vec<_> =
                    folders(&folder)?.into_iter().filter(|folder| is_run(folder)).collect();
                arms.extend(Arm::read(&name_of(&folder), &runs)?);
            }
        }
        if arms.is_empty() {
            return Err(Error::input(
                root.display(),
                "holds no run",
                "expected <arm>/seed-00/metrics.jsonl in it; train first, or give another folder",
            ));
        }
        order::sort_by_key(&mut arms, |arm| {
            (arm.runs.iter().map(Run::last_stage).max(), arm.name.clone())
        });
        Ok(Experiment { root: root.into(), name, arms })
    }
}

impl Arm {
    fn read(name: &str, folders: &[PathBuf]) -> Result<Vec<Self>> {
        let runs: Result<Vec<Run>> = folders.iter().map(|folder| Run::read(folder)).collect();
        Ok(Arm::split(name, runs?))
    }

    /// The arms of runs that are found together: those that differ in more than their seed are
    /// apart, and each seed counts once. What has no readable configuration is taken to be like the
    /// first.
    pub(crate) fn split(name: &str, mut runs: Vec<Run>) -> Vec<Arm> {
        order::sort_by_key(&mut runs, |run| (run.seed.unwrap_or(u64::MAX), run.name.clone()));
        let mut groups: Vec<Vec<Run>> = vec![];
        for run in runs {
            let like = |group: &Vec<Run>| {
                let settings = |run: &Run| run.config.computed.clone();
                run.config.computed.is_empty()
                    || group
                        .iter()
                        .map(settings)
                        .find(|s| !s.is_empty())
                        .is_none_or(|s| s == run.config.computed)
            };
            match groups.iter_mut().find(|group| like(group)) {
                Some(group) => group.push(run),
                None => groups.push(vec![run]),
            }
        }
        let names = names(name, &groups);
        let arms = names.into_iter().zip(groups);
        arms.map(|(name, runs)| Arm { name, runs: once(runs) }).collect()
    }
}

/// What to call each group of the runs in one folder: its own name if it is a run alone, the
/// folder's with the settings that tell it from the others, or the folder's where there is no
/// other.
fn names(folder: &str, groups: &[Vec<Run>]) -> Vec<String> {
    if groups.len() < 2 {
        return vec![folder.into(); groups.len()];
    }
    let settings = |group: &[Run]| {
        group
            .iter()
            .map(|run| run.config.computed.clone())
            .find(|s| !s.is_empty())
            .unwrap_or_default()
    };
    let all: Vec<BTreeMap<String, String>> = groups.iter().map(|group| settings(group)).collect();
    let keys: BTreeSet<&String> = all.iter().flat_map(BTreeMap::keys).collect();
    let telling = |key: &&&String| all.iter().any(|s| s.get(**key) != all[0].get(**key));
    let telling: Vec<&String> = keys.iter().filter(telling).copied().collect();
    let told = |settings: &BTreeMap<String, String>| {
        let value = |key: &&&String| settings.get(**key).map_or("none", |value| value);
        let said = telling.iter().take(TELLING).map(|key| format!("{key} = {:.40}", value(&key)));
        let more = if telling.len() > TELLING { ", .." } else { "" };
        format!("{folder} ({}{more})", said.collect::<Vec<_>>().join(", "))
    };
    let name = |(group, settings): (&Vec<Run>, &BTreeMap<String, String>)| match &group[..] {
        [run] if !run.name.starts_with("seed-") => run.name.clone(),
        _ => told(settings),
    };
    groups.iter().zip(&all).map(name).collect()
}

/// Settings in the name of an arm.
const TELLING: usize = 3;

/// The runs without those that repeat a seed, of which the longest stays; a note tells.
fn once(runs: Vec<Run>) -> Vec<Run> {
    let mut kept: Vec<Run> = vec![];
    for run in runs {
        let same = |other: &&mut Run| run.seed.is_some() && other.seed == run.seed;
        let Some(other) = kept.iter_mut().find(same) else {
            kept.push(run);
            continue;
        };
        let known = |run: &Run| run.folder.canonicalize().unwrap_or_else(|_| run.folder.clone());
        if known(other) == known(&run) {
            continue;
        }
        let longer = run.metrics.evals.len() > other.metrics.evals.len();
        let left = if longer { std::mem::replace(other, run) } else { run };
        other.notes.push(format!("{} has the same seed and settings: it is left out", left.name));
    }
    kept
}

fn is_run(folder: &Path) -> bool {
    ["config.toml", "metrics.jsonl"].iter().any(|file| folder.join(file).is_file())
        || (folder.is_dir() && name_of(folder).starts_with("seed-"))
}

fn name_of(folder: &Path) -> String {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| folder.display().to_string())
}

fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    let fail = |error: std::io::Error| {
        Error::unreadable(
            root,
            &error,
            "give the folder of an experiment: <arm>/seed-00/metrics.jsonl in it",
        )
    };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(root).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::Synthetic;
    use super::*;

    #[test]
    fn reads_arms_and_runs_in_order() {
        let root = tempfile::tempdir().unwrap();
        Synthetic::small().write(root.path());
        let experiment = Experiment::read(root.path()).unwrap();
        let names: Vec<_> = experiment.arms.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(names, ["scratch", "curriculum"], "fewer stages first");
        for arm in &experiment.arms {
            let seeds: Vec<_> = arm.runs.iter().map(|run| run.seed).collect();
            assert_eq!(seeds, [Some(0), Some(1), Some(2)]);
            assert!(arm.runs.iter().all(|run| run.notes.is_empty()), "{:?}", arm.runs[0].notes);
        }
        let run = &experiment.arms[1].runs[0];
        assert_eq!(run.last_stage(), 1);
        assert_eq!(run.stages()[1], (200, "p=4".to_string()));
        assert!(run.succeeded());
        let (stage, overall) = run.steps_to_success().unwrap();
        assert_eq!(overall, stage + 200);
    }

    /// A run folder with a configuration and one evaluation.
    fn write(folder: &Path, config: &str) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("config.toml"), config).unwrap();
        let eval = r#"{"kind":"eval","step":5,"stage":0,"test_accuracy":1.0}"#;
        std::fs::write(folder.join("metrics.jsonl"), eval).unwrap();
    }

    fn names_and_seeds(root: &Path) -> Vec<(String, Vec<Option<u64>>)> {
        let arms = Experiment::read(root).unwrap().arms;
        let seeds = |arm: &Arm| arm.runs.iter().map(|run| run.seed).collect();
        arms.iter().map(|arm| (arm.name.clone(), seeds(arm))).collect()
    }

    #[test]
    fn runs_of_other_settings_are_no_seeds_of_each_other() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join("runs").join(name);
        write(&at("low"), "seed = 0\n[train]\nlr = 0.1\n");
        write(&at("high"), "seed = 0\n[train]\nlr = 0.5\n");
        let runs = root.path().join("runs");
        assert_eq!(
            names_and_seeds(&runs),
            [("high".into(), vec![Some(0)]), ("low".into(), vec![Some(0)])]
        );
        write(&at("seed-01"), "seed = 1\n[train]\nlr = 0.5\nlog_every = 3\n");
        write(&at("seed-02"), "seed = 2\n[train]\nlr = 0.5\neval_every = 9\n");
        assert_eq!(
            names_and_seeds(&runs),
            [
                ("low".into(), vec![Some(0)]),
                ("runs (train.lr = 0.5)".into(), vec![Some(0), Some(1), Some(2)])
            ]
        );
    }

    #[test]
    fn a_seed_counts_once() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for (name, seed) in [("seed-00", 0), ("seed-01", 1), ("copy", 0)] {
            write(&at(name), &format!("seed = {seed}\n[train]\nlr = 0.5\n"));
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(at("seed-01"), at("link")).unwrap();
        let arms = Experiment::read(root.path()).unwrap().arms;
        assert_eq!((arms.len(), arms[0].runs.len()), (1, 2));
        let notes = &arms[0].runs[0].notes;
        assert!(notes.iter().any(|note| note.starts_with("seed-00 has the same")), "{notes:?}");
        let twice = |note: &String| note.contains("the same seed");
        assert!(!arms[0].runs[1].notes.iter().any(twice), "a link is the run itself");
    }

    #[test]
    fn an_arm_or_a_run_is_an_experiment_too() {
        let root = tempfile::tempdir().unwrap();
        Synthetic::small().write(root.path());
        let arm = Experiment::read(&root.path().join("scratch")).unwrap();
        assert_eq!((arm.arms.len(), arm.arms[0].runs.len()), (1, 3));
        let run = Experiment::read(&root.path().join("scratch/seed-01")).unwrap();
        assert_eq!(run.arms[0].runs[0].seed, Some(1));
    }

    #[test]
    fn an_empty_run_folder_is_read_with_notes() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("seed-07");
        std::fs::create_dir(&folder).unwrap();
        let run = Run::read(&folder).unwrap();
        assert_eq!(run.seed, Some(7));
        assert!(!run.succeeded());
        for file in ["config.toml", "metrics.jsonl", "snapshots"] {
            assert!(run.notes.iter().any(|note| note.starts_with(file)), "{:?}", run.notes);
        }
        assert!(run.notes.iter().all(|note| !note.contains(root.path().to_str().unwrap())));
    }

    #[test]
    fn a_run_killed_in_its_first_stage_fails_though_that_stage_was_solved() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("seed-00");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(
            folder.join("config.toml"),
            "seed = 0\n[train]\nsteps = 10\n[[stages]]\nname = 'p=2'\n[[stages]]\nname = 'p=4'\n",
        )
        .unwrap();
        std::fs::write(
            folder.join("metrics.jsonl"),
            "{\"kind\":\"schema\",\"version\":1}\n\
             {\"kind\":\"step\",\"step\":4,\"stage\":0,\"loss\":0.1,\"lr\":0.01}\n\
             {\"kind\":\"eval\",\"step\":5,\"stage\":0,\"test_accuracy\":1.0}\n",
        )
        .unwrap();
        let run = Run::read(&folder).unwrap();
        assert!(!run.succeeded());
        assert!(run.notes.iter().any(|note| note.contains("stage 1 of 2")), "{:?}", run.notes);
        assert!(run.notes.iter().any(|note| note.contains("5 of 20 steps")), "{:?}", run.notes);
    }

    #[test]
    fn no_run_is_an_error_with_help() {
        let root = tempfile::tempdir().unwrap();
        let error = Experiment::read(root.path()).unwrap_err();
        assert!(error.to_string().contains("holds no run"));
        assert!(!error.help().is_empty());
        assert!(Experiment::read(&root.path().join("absent")).is_err());
        assert!(Run::read(&root.path().join("absent")).is_err());
    }
}
