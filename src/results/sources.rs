//! What a page is made of: folders of runs, comparisons, files of scores, looks at pairs.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::edges::EdgeGroups;
use super::pretraining::Pretraining;
use super::run::{Arm, Experiment};
use crate::error::{Error, Result};
use crate::files::json;
use crate::formats::EdgeFile;
use crate::formats::comparison::Comparison;
use crate::formats::curves::Curves;
use crate::formats::dynamics::Dynamics;
use crate::formats::interactions::Interactions;
use crate::formats::look::Look;

/// Everything given to one page.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// What the page is called: the names of what it is made of.
    pub name: String,
    /// Training runs.
    pub arms: Vec<Arm>,
    /// Files of scores and circuits.
    pub edges: EdgeGroups,
    /// Language models on their way.
    pub pretrainings: Vec<Pretraining>,
    /// Comparisons of methods of tuning.
    pub tunings: Vec<Comparison>,
    /// Pairs as language models read them.
    pub looks: Vec<Look>,
    /// What could not be read, in sentences.
    pub notes: Vec<String>,
}

const HELP: &str = "give folders that `edgegrad train`, `pretrain`, `tune` or `tune-compare` wrote, or files of \
                    `attribute`, `discover`, `evaluate --curve`, `interactions` or `look`";

impl Sources {
    /// Reads paths; each is a run, a folder of runs, a comparison, a tuned model, a file of ours or
    /// a folder of such files.
    ///
    /// # Errors
    /// When a path is not there, or holds nothing that is known. What is damaged inside a folder is
    /// a note.
    pub fn read(paths: &[PathBuf]) -> Result<Sources> {
        let mut sources = Sources::default();
        for path in paths {
            if path.is_file() {
                let value = json::read(path, HELP)?;
                if !sources.file(path, &name_of(path), &value)? {
                    return Err(Error::input(path.display(), "is of no known kind", HELP));
                }
            } else {
                sources.folder(path)?;
            }
        }
        let left = sources.edges.settle();
        sources.notes.extend(left);
        let names: Vec<String> = paths.iter().map(|path| name_of(path)).collect();
        sources.name = match &names[..] {
            [one] => one.clone(),
            [first, rest @ ..] if rest.len() > 2 => format!("{first} and {} more", rest.len()),
            _ => names.join(", "),
        };
        Ok(sources)
    }

    fn folder(&mut self, folder: &Path) -> Result<()> {
        let comparison = folder.join("comparison.json");
        if comparison.is_file() {
            self.tunings.push(Comparison::of(
                &comparison,
                &name_of(folder),
                &json::read(&comparison, HELP)?,
            )?);
            return Ok(());
        }
        if Pretraining::is(folder) {
            let (run, damage) = Pretraining::read(folder, &name_of(folder))?;
            self.notes.extend(damage.iter().map(|error| error.note(folder)));
            self.pretrainings.push(run);
            return Ok(());
        }
        let tuned =
            folder.join("report.json").is_file() && folder.join("model.safetensors").is_file();
        let files = json_files(folder)?;
        let mut known = 0;
        if tuned {
            known += self.tuned(folder)?;
        } else if !folder.join("config.toml").is_file() {
            for file in files {
                let read = json::read(&file, HELP)
                    .and_then(|value| self.file(&file, &name_of(&file), &value));
                match read {
                    Ok(found) => known += usize::from(found),
                    Err(error) => self.notes.push(error.note(folder)),
                }
            }
        }
        match Experiment::read(folder) {
            Ok(experiment) => self.arms(experiment),
            Err(error) if known == 0 => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }

    fn arms(&mut self, experiment: Experiment) {
        for mut arm in experiment.arms {
            if self.arms.iter().any(|other| other.name == arm.name) {
                arm.name = format!("{}/{}", experiment.name, arm.name);
            }
            self.arms.push(arm);
        }
    }

    /// Circuits and scores of a tuned model's folder.
    fn tuned(&mut self, folder: &Path) -> Result<usize> {
        let name = name_of(folder);
        let mut known = 0;
        for (file, when) in [("circuit-first", "before"), ("circuit", "after")] {
            let path = folder.join(file).with_extension("json");
            if path.is_file()
                && let Some(edges) = EdgeFile::of(&path, &json::read(&path, HELP)?)?
            {
                self.edges.add(format!("{name}, {when}"), edges)?;
                known += 1;
            }
        }
        let dynamics = folder.join("dynamics.json");
        if dynamics.is_file() {
            self.edges.add_series(name, Dynamics::read(&dynamics)?);
            known += 1;
        }
        Ok(known)
    }

    /// Adds a file; false if it is of no known kind.
    fn file(&mut self, file: &Path, name: &str, value: &Value) -> Result<bool> {
        match value.get("kind").and_then(Value::as_str) {
            Some("tune-compare") => self.tunings.push(Comparison::of(file, name, value)?),
            Some("look") => self.looks.push(Look::of(file, value)?),
            _ => {
                let label = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                if let Some(edges) = EdgeFile::of(file, value)? {
                    edges.warn_neurons();
                    self.edges.add(label, edges)?;
                } else if let Some(curves) = Curves::of(file, value)? {
                    self.edges.add_curves(label, curves);
                } else if let Some(interactions) = Interactions::of(file, value)? {
                    self.edges.add_interactions(interactions);
                } else {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

fn json_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).map_err(|error| Error::unreadable(folder, &error, HELP))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.is_file() && path.extension().is_some_and(|e| e == "json"));
    files.sort();
    Ok(files)
}

fn name_of(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::Synthetic;
    use super::*;
    use crate::formats::comparison::tests::comparison;
    use serde_json::json;

    fn write(path: &Path, value: &Value) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, value.to_string()).unwrap();
    }

    #[test]
    fn every_kind_finds_its_place() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        Synthetic::small().write(&at("exp"));
        let edges =
            |score: f64| json!({ "edges": { "input->m0": { "score": score, "in_graph": true } } });
        write(&at("files/eap.json"), &edges(1.0));
        write(&at("files/exact.json"), &edges(2.0));
        write(&at("files/other.json"), &json!({ "hello": 1 }));
        std::fs::write(at("files/torn.json"), "{").unwrap();
        write(&at("grid/comparison.json"), &comparison());
        write(&at("tuned/report.json"), &json!({}));
        write(&at("tuned/model.safetensors"), &json!({}));
        write(&at("tuned/circuit-first.json"), &edges(0.5));
        write(&at("tuned/circuit.json"), &edges(0.7));
        let trend = json!({ "slope": 1.0, "r": 1.0, "p": 0.5, "q": 0.5 });
        let dynamics = json!({ "steps": [0, 8], "edges": { "input->m0": { "scores": [1.0, 2.0], "trend": trend } } });
        write(&at("tuned/dynamics.json"), &dynamics);
        let paths = ["exp", "files", "grid", "tuned", "exp/scratch"].map(at);
        let sources = Sources::read(&paths).unwrap();
        assert_eq!(sources.name, "exp and 4 more");
        let arms: Vec<&str> = sources.arms.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(arms, ["scratch", "curriculum", "scratch/scratch"]);
        let group = &sources.edges.groups[0];
        let labels: Vec<&str> = group.sets.iter().map(|set| set.label.as_str()).collect();
        assert_eq!(labels, ["eap", "exact", "tuned, before", "tuned, after"]);
        assert_eq!(group.series[0].dynamics.edges["input->m0"].scores, [1.0, 2.0]);
        assert_eq!(sources.tunings[0].name, "grid");
        assert_eq!(sources.notes.len(), 1, "{:?}", sources.notes);
        assert!(sources.notes[0].starts_with("torn.json, line 1: is not JSON"));
    }

    #[test]
    fn what_is_of_no_kind_is_refused_with_help() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("x.json");
        write(&file, &json!({ "hello": 1 }));
        let error = Sources::read(&[file]).unwrap_err();
        assert!(error.to_string().contains("x.json: is of no known kind"), "{error}");
        for path in [root.path().join("absent"), root.path().into()] {
            assert!(!Sources::read(&[path]).unwrap_err().help().is_empty());
        }
    }
}
