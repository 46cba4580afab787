//! Taking a sweep away that another replaces: its results and the runs that they name.

use super::going::shards;
use super::list::is_id;
use super::plan::Command;
use crate::error::{Error, Result};
use crate::experiments::{train, tune};
use crate::files::journal::Journal;
use crate::files::lines::LineFile;
use crate::files::lock::FolderLock;
use crate::files::{mark, own};
use crate::formats::sweep_results::{NAME, PARQUET, SweepResults};
use crate::named::Named;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of results in a folder, those of shards among them.
pub(super) fn results(out: &Path) -> Result<Vec<PathBuf>> {
    let mut files = shards(out)?;
    let merged = out.join(NAME);
    files.extend(merged.exists().then_some(merged));
    Ok(files)
}

/// Removes the sweep in `out`, and the runs of these ids; what edgegrad has not written stays.
///
/// # Errors
/// If a file that would go is not edgegrad's, before anything is removed.
pub(super) fn remove(out: &Path, planned: impl Iterator<Item = (String, Command)>) -> Result<()> {
    let (files, parquet) = (results(out)?, out.join(PARQUET));
    let mut runs: BTreeMap<String, Command> = planned.collect();
    for file in &files {
        // A process that was killed may have left a file without its first line.
        if LineFile::whole_bytes(file)? > 0 {
            let read = SweepResults::read(file);
            let found = read.map_err(|_| own::foreign(file, "is no results of a sweep"))?;
            let command = found.head.plan["command"].as_str().and_then(Command::from_name);
            let command = command.unwrap_or_default();
            runs.extend(found.rows.into_iter().map(|row| (row.id, command)));
        }
    }
    if parquet.exists() && !mark::is_ours(&parquet).map_err(|e| Error::io(&parquet, &e, "read"))? {
        return Err(own::foreign(&parquet, "is no results of a sweep"));
    }
    let ours = |(id, command): (String, Command)| (out.join("runs").join(id), command);
    let runs: Vec<_> = runs.into_iter().filter(|(id, _)| is_id(id)).map(ours).collect();
    let runs: Vec<_> = runs.into_iter().filter(|(folder, _)| folder.is_dir()).collect();
    runs.iter().try_for_each(|(folder, command)| check_run(folder, *command))?;
    // A row without its run would count; a run without its row is begun anew.
    files.iter().chain([&parquet]).try_for_each(|file| own::remove(file))?;
    runs.iter().try_for_each(|(folder, command)| remove_run(folder, *command))
}

/// Refuses a folder in which a file has the name of a run's, and edgegrad has not written it.
fn check_run(folder: &Path, command: Command) -> Result<()> {
    let result = folder.join(command.result());
    match command {
        Command::Train => train::check_replaceable(folder),
        _ if !result.exists() => Ok(()),
        Command::Tune => tune::files::check_replaceable(&result),
        _ => match mark::is_ours(&result) {
            Ok(true) => Ok(()),
            _ => Err(own::foreign(&result, "is no result of a run")),
        },
    }
}

/// Removes what a run has written, and its folder if nothing else is in it.
fn remove_run(folder: &Path, command: Command) -> Result<()> {
    FolderLock::remove_stale(folder);
    if command == Command::Train {
        train::remove(folder)?;
    } else {
        let result = folder.join(command.result());
        Journal::remove_left(&result);
        own::remove(&folder.join("config.toml"))?;
        own::remove(&result)?;
    }
    // Only an empty folder can be removed so.
    let _ = fs::remove_dir(folder);
    Ok(())
}
