//! One file of results out of those of shards, in one folder or in several.

use super::going::{Shard, shards};
use super::replace;
use crate::error::{Error, Result};
use crate::experiments::train::Existing;
use crate::files::lock::{FolderLock, Lock};
use crate::files::{atomic, lines::LineFile, own};
use crate::formats::sweep_results::{NAME, PARQUET, Row, Status, SweepResults};
use crate::named::counted;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// Makes `out/results.jsonl` of all results in `folders`, and copies the runs of other folders into
/// `out/runs`. Of a run that two of them have, the one with a result counts. Warns of shards whose
/// results are missing.
///
/// # Errors
/// If there are no results, they are of different sweeps, a process is still writing some, or `out`
/// cannot be written, or holds a sweep that is none of them and is not to be replaced.
pub fn merge(folders: &[PathBuf], out: &Path, existing: Existing) -> Result<SweepResults> {
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
    let (all, counts) = together(&files, folders)?;
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.into());
    let others: Vec<&PathBuf> = folders.iter().filter(|folder| real(folder) != real(out)).collect();
    if others.len() == folders.len() && !replace::results(out)?.is_empty() {
        if existing != Existing::Replace {
            let help = "choose another --out, or replace it by --force";
            return Err(Error::input(out.display(), "holds a sweep already", help));
        }
        replace::remove(out, std::iter::empty())?;
    }
    for folder in others {
        copy_runs(&folder.join("runs"), &out.join("runs"))?;
    }
    all.write(&out.join(NAME))?;
    all.write_parquet(&out.join(PARQUET))?;
    for shard in shards(out)? {
        // What it says is in the file that was written.
        atomic::remove_file(shard)?;
    }
    drop(locks);
    if let Some(missing) = missing(&all, &counts) {
        tracing::warn!("{}: {missing}", out.display());
    }
    Ok(all)
}

/// What is missing of a sweep whose files, by their shards, have so many rows; a file without a
/// shard is of an earlier merge, and its rows are those of any shard.
pub(super) fn missing(all: &SweepResults, counts: &[Count]) -> Option<String> {
    let (runs, rows) = (all.head.runs, all.rows.len());
    let shards: Option<BTreeMap<usize, usize>> =
        counts.iter().map(|(shard, rows)| shard.map(|shard| (shard.k, *rows))).collect();
    let of = counts.iter().find_map(|(shard, _)| shard.map(|shard| shard.of));
    let same = counts.iter().all(|(shard, _)| shard.is_none_or(|shard| Some(shard.of) == of));
    let mut told = vec![];
    if let (Some(shards), Some(of), true) = (shards, of, same) {
        let share = |k: usize| runs.map_or(1, |runs| Shard { k, of }.share(runs));
        let absent = |k: &usize| !shards.contains_key(k) && share(*k) > 0;
        let absent: Vec<String> = (1..=of).filter(absent).map(|k| k.to_string()).collect();
        match &absent[..] {
            [] => {}
            [one] => told.push(format!("shard {one} of {of} has left no results")),
            more => told.push(format!("shards {} of {of} have left no results", listed_as(more))),
        }
        let short = shards.iter().filter(|(k, rows)| runs.is_some() && **rows < share(**k));
        told.extend(short.map(|(&k, rows)| format!("shard {k} has {rows} of {}", share(k))));
    }
    let runs = runs.filter(|runs| *runs > rows);
    let runs = runs.map(|runs| format!("{} of {} missing", runs - rows, counted(runs, "run")));
    let told = (!told.is_empty()).then(|| told.join("; "));
    match (runs, told) {
        (Some(runs), Some(told)) => Some(format!("{runs}: {told}")),
        (runs, told) => runs.or(told),
    }
}

/// The most numbers of shards that are told.
const TOLD: usize = 20;

fn listed_as(numbers: &[String]) -> String {
    let (first, rest) = numbers.split_at(numbers.len().min(TOLD));
    let rest = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    first.join(", ") + &rest
}

/// The rows of a file, and the shard that it is of.
type Count = (Option<Shard>, usize);

/// The rows of all files, which must be of one sweep, in the order of its plan, and how many each
/// file has.
fn together(files: &[PathBuf], folders: &[PathBuf]) -> Result<(SweepResults, Vec<Count>)> {
    let mut counts = vec![];
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
        all.head.runs = all.head.runs.or(head.runs);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        counts.push((Shard::of_name(&name), rows.len()));
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
    Ok((all, counts))
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
    for run in own::listed(from)? {
        let target = to.join(run.file_name().unwrap_or_default());
        if !target.exists() && !atomic::is_partial(&run) {
            atomic::write_folder(&target, |partial| copy_into(&run, partial))?;
        }
    }
    Ok(())
}

fn copy_into(from: &Path, to: &Path) -> Result<()> {
    for path in own::listed(from)? {
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
