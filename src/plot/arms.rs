//! Run folders as arms: runs that differ in their seed.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::results::run::{Arm, Experiment, Run};

/// The arms in the folders given: experiments, arms, or runs, those of one folder together.
pub(super) fn read(inputs: &[PathBuf]) -> Result<Vec<Arm>> {
    let mut found: Vec<(PathBuf, Arm)> = vec![];
    for input in inputs {
        if input.is_file() {
            return Err(Error::input(
                input.display(),
                "is a file, this figure is drawn from run folders",
                "give folders with metrics.jsonl, or folders of them",
            ));
        }
        for mut arm in Experiment::read(input)?.arms {
            let folder = arm.runs.first().map_or(input.clone(), |run| home(&run.folder));
            if let Some((_, known)) = found.iter_mut().find(|(known, _)| *known == folder) {
                known.runs.append(&mut arm.runs);
                continue;
            }
            arm.name = name(&folder).unwrap_or(arm.name);
            found.push((folder, arm));
        }
    }
    // Runs that were given one by one may differ in more than their seed.
    let split = |(folder, arm): (PathBuf, Arm)| {
        let arms = Arm::split(&arm.name, arm.runs);
        arms.into_iter().map(move |arm| (folder.clone(), arm))
    };
    let mut arms: Vec<(PathBuf, Arm)> = found.into_iter().flat_map(split).collect();
    let doubled: Vec<bool> = (0..arms.len())
        .map(|i| (0..arms.len()).any(|j| j != i && arms[j].1.name == arms[i].1.name))
        .collect();
    for ((folder, arm), doubled) in arms.iter_mut().zip(doubled) {
        if let Some(outer) = folder.parent().and_then(name).filter(|_| doubled) {
            arm.name = format!("{outer}/{}", arm.name);
        }
    }
    let arms: Vec<Arm> = arms.into_iter().map(|(_, arm)| arm).collect();
    for run in arms.iter().flat_map(|arm| &arm.runs) {
        if run.metrics.evals.is_empty() {
            return Err(Error::input(
                run.folder.join("metrics.jsonl").display(),
                "has no evaluation",
                "train with `--set train.eval_every=50`, or leave this run out",
            ));
        }
    }
    Ok(arms)
}

/// What a run belongs to: the folder around `seed-07`, itself if it is called otherwise.
fn home(run: &Path) -> PathBuf {
    let whole = run.canonicalize().unwrap_or_else(|_| run.into());
    let seeded = name(&whole).is_some_and(|name| name.starts_with("seed-"));
    whole.parent().filter(|_| seeded).map(Path::to_path_buf).unwrap_or(whole)
}

fn name(folder: &Path) -> Option<String> {
    folder.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// What is wrong with the runs' metrics, for those who look at the figure.
pub(super) fn warnings(arms: &[Arm]) -> Vec<String> {
    let about = |run: &Run| -> Vec<String> {
        let notes = run.notes.iter().filter(|note| !note.starts_with("snapshots"));
        notes.map(|note| format!("{}: {note}", run.folder.display())).collect()
    };
    arms.iter().flat_map(|arm| arm.runs.iter().flat_map(about)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::synthetic::Synthetic;

    #[test]
    fn runs_of_one_folder_are_one_arm() {
        let root = tempfile::tempdir().unwrap();
        Synthetic::small().write(root.path());
        let names = |arms: &[Arm]| -> Vec<(String, usize)> {
            arms.iter().map(|arm| (arm.name.clone(), arm.runs.len())).collect()
        };
        let whole = read(&[root.path().into()]).unwrap();
        assert_eq!(names(&whole), [("scratch".into(), 3), ("curriculum".into(), 3)]);
        let at = |path: &str| root.path().join(path);
        let some = read(&[
            at("curriculum/seed-01"),
            at("scratch/seed-00"),
            at("curriculum/seed-00"),
            at("curriculum/seed-01"),
        ])
        .unwrap();
        assert_eq!(names(&some), [("curriculum".into(), 2), ("scratch".into(), 1)]);
        assert_eq!(some[0].runs[0].seed, Some(0));
        assert!(warnings(&some).is_empty());
    }

    #[test]
    fn arms_of_one_name_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        for outer in ["one", "two"] {
            Synthetic::small().write(&root.path().join(outer));
        }
        let arms =
            read(&[root.path().join("one/scratch"), root.path().join("two/scratch")]).unwrap();
        let names: Vec<_> = arms.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(names, ["one/scratch", "two/scratch"]);
    }

    #[test]
    fn what_is_no_run_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("c.json");
        std::fs::write(&file, "{}").unwrap();
        let error = read(&[file]).unwrap_err().to_string();
        assert!(error.contains("c.json: is a file"), "{error}");
        std::fs::create_dir(root.path().join("seed-00")).unwrap();
        let error = read(&[root.path().join("seed-00")]).unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl: has no evaluation"), "{error}");
    }
}
