//! One file of results out of those of shards, in one folder or in several.

use super::going::shards;
use crate::error::{Error, Result};
use crate::files::lock::{FolderLock, Lock};
use crate::files::{atomic, lines::LineFile};
use crate::formats::sweep_results::{NAME, PARQUET, Row, Status, SweepResults};
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Makes `out/results.jsonl` of all results in `folders`, and copies the runs of other folders into
/// `out/runs`. Of a run that two of them have, the one with a result counts.
///
/// # Errors
/// If there are no results, they are of different sweeps, a process is still writing some, or `out`
/// cannot be written.
pub fn merge(folders: &[PathBuf], out: &Path) -> Result<SweepResults> {
    let _lock = FolderLock::take(out)?;
    let (mut locks, mut files) = (vec![], vec![]);
    for folder in folders {
        for shard in shards(folder)? {
            let name = shard.file_name().unwrap_or_default().to_string_lossy();
            locks.push(Lock::take(folder.join(format!(".{name}.lock")), &shard)?);
            files.push(shard);
        }
        let merged = folder.join(NAME);
        if LineFile::whole_bytes(&merged)? > 0 {
            files.push(merged);
        }
    }
    let all = together(&files, folders)?;
    for folder in folders.iter().filter(|folder| **folder != out) {
        copy_runs(&folder.join("runs"), &out.join("runs"))?;
    }
    all.write(&out.join(NAME))?;
    all.write_parquet(&out.join(PARQUET))?;
    for shard in shards(out)? {
        // What it says is in the file that was written.
        atomic::remove_file(shard)?;
    }
    drop(locks);
    Ok(all)
}

/// The rows of all files, which must be of one sweep, in the order of its plan.
fn together(files: &[PathBuf], folders: &[PathBuf]) -> Result<SweepResults> {
    let mut all: Option<(SweepResults, &PathBuf)> = None;
    let mut places: HashMap<String, usize> = HashMap::new();
    for file in files {
        let SweepResults { head, rows } = SweepResults::read(file)?;
        let (all, first) =
            all.get_or_insert_with(|| (SweepResults { head: head.clone(), rows: vec![] }, file));
        if all.head.plan != head.plan {
            let message = format!("is of another sweep than {}", first.display());
            return Err(Error::input(file.display(), message, "merge the shards of one file"));
        }
        for row in rows {
            match places.get(&row.id) {
                Some(&i) if all.rows[i].status == Status::Failed => all.rows[i] = row,
                Some(_) => {}
                None => {
                    places.insert(row.id.clone(), all.rows.len());
                    all.rows.push(row);
                }
            }
        }
    }
    let Some((mut all, _)) = all else {
        let names: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        let help = "give the folders that `edgegrad sweep` has written into";
        return Err(Error::input(names.join(", "), "holds no results of a sweep", help));
    };
    let plan = &all.head.plan;
    all.rows.sort_by_cached_key(|row| place(plan, row));
    Ok(all)
}

/// The choices of a row by their numbers, axis after axis, as the head's plan has them.
fn place(plan: &Value, row: &Row) -> Vec<usize> {
    let axes = plan["axes"].as_array().into_iter().flatten();
    let chosen = |choice: &Value| {
        let shown = choice["is"].as_array().into_iter().flatten();
        let mut shown = shown.map(|pair| (pair[0].as_str().unwrap_or_default(), &pair[1]));
        shown.all(|(key, value)| row.axes.get(key) == Some(value))
    };
    axes.map(|axis| axis.as_array().and_then(|all| all.iter().position(chosen)).unwrap_or(0))
        .collect()
}

/// Copies the folders of runs that are not there yet, each whole or not at all.
fn copy_runs(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|e| Error::io(to, &e, "make"))?;
    for run in listed(from)? {
        let target = to.join(run.file_name().unwrap_or_default());
        if !target.exists() && !atomic::is_partial(&run) {
            atomic::write_folder(&target, |partial| copy_into(&run, partial))?;
        }
    }
    Ok(())
}

fn copy_into(from: &Path, to: &Path) -> Result<()> {
    for path in listed(from)? {
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            fs::create_dir(&target).map_err(|e| Error::io(&target, &e, "make"))?;
            copy_into(&path, &target)?;
        } else {
            fs::copy(&path, &target).map_err(|e| Error::io(&path, &e, "copy"))?;
        }
    }
    Ok(())
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |e: std::io::Error| Error::io(folder, &e, "list");
    let entries = fs::read_dir(folder).map_err(fail)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(fail)).collect()
}
