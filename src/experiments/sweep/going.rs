//! Going through the runs of a sweep.
//!
//! Workers take runs in the order of the plan. A run that has ended is written to its folder, then
//! a line of `results.jsonl` is forced to the disk, and only then does it count; a run that was
//! killed goes on from its folder. One shard of several writes `results-K-of-N.jsonl`, so that
//! shards share nothing but the folder; `merge` makes one file of theirs.
//!
//! Of several processes of `mpirun`, all do runs, and rank 0 does the rest: the others ask it for
//! the next run, and tell it what the run has come to.

use super::list::{Listed, Planned};
use super::plan::Plan;
use super::{Ended, Place, Runner, replace};
use crate::error::{Error, Result};
use crate::experiments::parallel::Workers;
use crate::experiments::train::Existing;
use crate::experiments::{Progress, Steps};
use crate::files::atomic;
use crate::files::lines::LineFile;
use crate::files::lock::{FolderLock, Lock};
use crate::files::sha256;
use crate::formats::sweep_results::{Head, Line, NAME, PARQUET, Row, Status, SweepResults};
use crate::interrupt;
use crate::named::counted;
use crate::ranks::{self, World};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// The part of a sweep that one process does: every `of`-th run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    pub k: usize,
    /// How many there are.
    pub of: usize,
}

impl Shard {
    /// The shard that a text such as `3/8` names.
    ///
    /// # Errors
    /// If it names none.
    pub fn parse(text: &str) -> Result<Shard> {
        let help = "give K/N with K from 1 to N, such as --shard 3/8";
        let place = format!("--shard {text}");
        let parts =
            text.split_once('/').and_then(|(k, of)| Some((k.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((k, of)) if (1..=of).contains(&k) => Ok(Shard { k, of }),
            Some((_, of)) => Err(Error::input(place, format!("is none of {of} shards"), help)),
            None => Err(Error::input(place, "is no shard", help)),
        }
    }

    /// The shard whose results a file of this name holds.
    pub(super) fn of_name(name: &str) -> Option<Shard> {
        let text = name.strip_prefix(BEFORE)?.strip_suffix(ENDING)?;
        Shard::parse(&text.replace("-of-", "/")).ok()
    }

    /// How many of so many runs are its own.
    pub(super) fn share(self, runs: usize) -> usize {
        (runs + self.of - self.k) / self.of
    }

    /// The file of its results.
    fn name(self) -> String {
        format!("{BEFORE}{}-of-{}{ENDING}", self.k, self.of)
    }
}

/// How the name of a shard's results begins, and ends.
const BEFORE: &str = "results-";
const ENDING: &str = ".jsonl";

/// What is done of a sweep, where and how.
pub struct Sweep<'a> {
    /// The sweep.
    pub plan: &'a Plan,
    /// Its runs.
    pub listed: &'a Listed,
    /// Who does them.
    pub runner: &'a dyn Runner,
    /// The folder of the sweep.
    pub out: &'a Path,
    /// Which of the runs; all of them unless given.
    pub shard: Option<Shard>,
    /// What becomes of a sweep that is there.
    pub existing: Existing,
    /// Runs at a time.
    pub jobs: usize,
    /// Threads that they share.
    pub threads: usize,
}

/// What a sweep has come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// All runs of this process and of those before, in the order of the plan.
    pub results: SweepResults,
    /// The file that holds them.
    pub file: PathBuf,
    /// How many of them were done before.
    pub before: usize,
}

/// What other ranks ask rank 0: the id of the next run, to be let go, or to keep a row.
const NEXT: &[u8] = b"next";
const DONE: &[u8] = b"done";

/// Where runs are given out, and what they have come to is kept.
struct Desk<'a> {
    missing: &'a [&'a Planned],
    next: AtomicUsize,
    hold: Hold,
    board: &'a Board<'a>,
    kept: Mutex<Kept>,
}

struct Kept {
    log: LineFile,
    rows: Vec<Row>,
    /// The first error, after which no run is given out: what cannot be kept need not be computed.
    failed: Option<Error>,
}

impl Desk<'_> {
    /// The place of the next run among those that are missing.
    fn take(&self) -> Option<usize> {
        if self.kept.lock().expect("nobody panics with the lock").failed.is_some() {
            return None;
        }
        Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < self.missing.len())
    }

    /// Keeps what a run has come to.
    fn keep(&self, row: Result<Row>) {
        let mut kept = self.kept.lock().expect("nobody panics with the lock");
        let written = row.and_then(|row| {
            self.hold.check()?;
            kept.log.write(&Line::Run(Box::new(row.clone())))?;
            kept.log.sync()?;
            Ok(row)
        });
        match written {
            Ok(row) => {
                self.board.count(&row);
                kept.rows.push(row);
            }
            Err(e) => drop(kept.failed.get_or_insert(e)),
        }
    }

    /// What another rank is told.
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        match question {
            DONE => return None,
            NEXT => {
                let id = self.take().map(|i| self.missing[i].id.clone());
                return Some(id.unwrap_or_default().into_bytes());
            }
            row => {
                let help = "go on with --resume";
                let read = serde_json::from_slice::<Row>(row);
                let row = read.map_err(|e| Error::failed("the row of another rank", e, help));
                let id = row.as_ref().map_or("", |row| &*row.id);
                let run = self.missing.iter().find(|run| run.id == id);
                run.into_iter().for_each(|run| self.board.add(run.steps));
                self.keep(row);
            }
        }
        Some(vec![])
    }
}

/// What keeps other processes from the results that this one writes; held until the end.
enum Hold {
    Folder(FolderLock),
    Shard(#[expect(dead_code, reason = "held, never read")] Lock),
}

impl Hold {
    /// Whether the folder is still the one that was locked.
    fn check(&self) -> Result<()> {
        if let Hold::Folder(lock) = self { lock.check() } else { Ok(()) }
    }
}

impl Sweep<'_> {
    /// Does all runs that are missing, together with the other processes of `mpirun`, of which the
    /// first has a summary.
    ///
    /// # Errors
    /// If the folder cannot be written, holds another sweep, or the process is asked to stop. A run
    /// that fails is told in its row, and the others go on.
    pub fn run(&self) -> Result<Option<Summary>> {
        let Some(world) = ranks::runs() else { return self.lead(None).map(Some) };
        let ids: Vec<&str> = self.listed.runs.iter().map(|run| &*run.id).collect();
        ranks::agree(&[("the sweep".into(), sha256(ids.join(" ").as_bytes()))])?;
        match world.rank() {
            0 => self.lead(Some(world)).map(Some),
            _ => self.help(world).map(|()| None),
        }
    }

    /// Does the runs that rank 0 gives out.
    fn help(&self, world: &World) -> Result<()> {
        // Rank 0 has the folder.
        ranks::agree(&[])?;
        let runs = &self.listed.runs;
        // Nobody sees it.
        let board = Board::new(self, 0, &[], &[]);
        let workers = Workers::new(self.threads, self.jobs, runs.len());
        let failed = Mutex::new(None);
        let take = || {
            let stops = failed.lock().expect("nobody panics with the lock").is_some();
            let id = if stops { vec![] } else { world.ask(NEXT) };
            runs.iter().position(|run| run.id.as_bytes() == id)
        };
        let put = |row: Result<Row>| match row {
            Ok(row) => drop(world.ask(json!(row).to_string().as_bytes())),
            Err(e) => *failed.lock().expect("nobody panics with the lock") = Some(e),
        };
        workers.work_off(
            take,
            |i| self.one(&runs[i], workers.threads_each, &board),
            |_, row| {
                put(row);
            },
        );
        world.ask(DONE);
        let failed = failed.into_inner().expect("nobody panics with the lock");
        failed.map_or(Ok(()), |e| Err(self.stopped(e)))
    }

    /// Does the runs, those of all ranks together if there are others, and keeps what they have
    /// come to.
    fn lead(&self, world: Option<&World>) -> Result<Summary> {
        let hold = self.take()?;
        let file = self.out.join(self.shard.map_or(NAME.into(), Shard::name));
        if self.existing == Existing::Replace {
            let planned = self.listed.runs.iter().map(|run| (run.id.clone(), self.plan.command));
            replace::remove(self.out, planned)?;
        }
        let mine = self.mine();
        let found = self.found(&file)?;
        let done: HashSet<&str> = found.iter().map(|row| &*row.id).collect();
        let missing: Vec<&Planned> =
            mine.iter().copied().filter(|run| !done.contains(&*run.id)).collect();
        let kept: Vec<Row> = self.own(&file)?.into_iter().filter(is_kept).collect();
        let head = Head::new(self.plan.summary(), Some(self.listed.runs.len()));
        let log = self.begin(&file, SweepResults { head: head.clone(), rows: kept })?;
        let board = Board::new(self, mine.len(), &missing, &found);
        let before = found.len();
        let kept = Mutex::new(Kept { log, rows: found, failed: None });
        let desk = Desk { missing: &missing, next: AtomicUsize::new(0), hold, board: &board, kept };
        let workers = Workers::new(self.threads, self.jobs, missing.len());
        if world.is_some() {
            ranks::agree(&[])?;
        }
        thread::scope(|scope| {
            if let Some(world) = world {
                scope.spawn(|| world.answer(|question| desk.answer(question)));
            }
            let one = |i: usize| self.one(missing[i], workers.threads_each, &board);
            workers.work_off(|| desk.take(), one, |_, row| desk.keep(row));
        });
        board.progress.finish();
        let Desk { kept, hold: _hold, .. } = desk;
        let Kept { log, rows, failed } = kept.into_inner().expect("nobody panics with the lock");
        drop(log);
        if let Some(e) = failed {
            return Err(self.stopped(e));
        }
        let mut rows: HashMap<String, Row> =
            rows.into_iter().map(|row| (row.id.clone(), row)).collect();
        // In the order of the plan, whoever came first.
        let rows = mine.iter().filter_map(|run| rows.remove(&run.id)).collect();
        let results = SweepResults { head, rows };
        results.write(&file)?;
        if self.shard.is_none() {
            results.write_parquet(&self.out.join(PARQUET))?;
        }
        Ok(Summary { results, file, before })
    }

    /// The runs of the shard.
    fn mine(&self) -> Vec<&Planned> {
        let Shard { k, of } = self.shard.unwrap_or(Shard { k: 1, of: 1 });
        self.listed.runs.iter().skip(k - 1).step_by(of).collect()
    }

    /// Locks the results.
    fn take(&self) -> Result<Hold> {
        match self.shard {
            None => Ok(Hold::Folder(FolderLock::take(self.out)?)),
            Some(shard) => {
                fs::create_dir_all(self.out).map_err(|e| Error::io(self.out, &e, "make"))?;
                let lock = self.out.join(format!(".{}.lock", shard.name()));
                Ok(Hold::Shard(Lock::take(lock, &self.out.join(shard.name()))?))
            }
        }
    }

    /// The rows of the file that this process writes.
    fn own(&self, file: &Path) -> Result<Vec<Row>> {
        // A process that was killed may have left a file without its first line.
        if LineFile::whole_bytes(file)? == 0 {
            Ok(vec![])
        } else {
            Ok(SweepResults::read(file)?.rows)
        }
    }

    /// The rows that count, of this file and of what was merged before.
    fn found(&self, file: &Path) -> Result<Vec<Row>> {
        let help = "go on with --resume, replace it by --force, or choose another --out";
        if self.shard.is_none()
            && let Some(shard) = shards(self.out)?.first()
        {
            let message = "is the result of a shard";
            let help = "go on with --shard, or run `edgegrad merge` first";
            return Err(Error::input(shard.display(), message, help));
        }
        let mut rows = self.own(file)?;
        if !rows.is_empty() && self.existing != Existing::Resume {
            return Err(Error::input(self.out.display(), "holds a sweep already", help));
        }
        let merged = self.out.join(NAME);
        if merged != *file {
            rows.extend(self.own(&merged)?);
        }
        let known: HashSet<&str> = self.listed.runs.iter().map(|run| &*run.id).collect();
        let foreign = rows.iter().filter(|row| !known.contains(&*row.id)).count();
        if foreign > 0 {
            let message =
                format!("holds another sweep: {} not in this one", counted(foreign, "run"));
            return Err(Error::input(self.out.display(), message, "choose another --out"));
        }
        let mine: HashSet<&str> = self.mine().into_iter().map(|run| &*run.id).collect();
        let mut seen = HashSet::new();
        rows.retain(|row| is_kept(row) && mine.contains(&*row.id) && seen.insert(row.id.clone()));
        Ok(rows)
    }

    /// The file of results, which holds those of earlier processes, to add lines to.
    fn begin(&self, file: &Path, before: SweepResults) -> Result<LineFile> {
        let runs = self.out.join("runs");
        fs::create_dir_all(&runs).map_err(|e| Error::io(&runs, &e, "make"))?;
        atomic::clean(self.out)?;
        before.write(file)?;
        let length = fs::metadata(file).map_err(|e| Error::io(file, &e, "read"))?.len();
        LineFile::resume(file, length)
    }

    /// Does a run. Only being stopped is an error of the sweep.
    fn one(&self, run: &Planned, threads: usize, board: &Board<'_>) -> Result<Row> {
        interrupt::check(self.out.display(), "between two runs", "")?;
        let start = Instant::now();
        let combination = self.plan.combination(run.combination)?.expect("it was listed");
        let folder = self.out.join("runs").join(&run.id);
        let place = Place { folder: &folder, threads };
        let ended = match self.runner.run(&combination.config, &place, board) {
            Err(e @ Error::Stopped { .. }) => return Err(e),
            ended => ended,
        };
        let (status, error) = match &ended {
            Ok(Ended { diverged: None, .. }) => (Status::Done, None),
            Ok(Ended { diverged: Some(e), .. }) => (Status::Diverged, Some(e.note(self.out))),
            Err(e) => (Status::Failed, Some(e.note(self.out))),
        };
        Ok(Row {
            id: run.id.clone(),
            status,
            axes: combination.axes,
            figures: ended.unwrap_or_default().figures,
            seconds: start.elapsed().as_secs_f64(),
            error,
        })
    }

    /// How to go on, for a run that was stopped.
    fn stopped(&self, e: Error) -> Error {
        let Error::Stopped { signal, .. } = e else { return e };
        let help = "go on with the same command and --resume; what is done is kept";
        Error::stopped(signal, self.out.display(), "before its end", help)
    }
}

/// Whether a row stays when the sweep goes on: a failed run is tried again.
fn is_kept(row: &Row) -> bool {
    row.status != Status::Failed
}

/// The results of shards in a folder.
pub(super) fn shards(out: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(out) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.map_err(|e| Error::io(out, &e, "list"))?,
    };
    let mut found = vec![];
    for entry in entries {
        let entry = entry.map_err(|e| Error::io(out, &e, "list"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(BEFORE) && name.ends_with(ENDING) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// What people see of a sweep that is under way.
struct Board<'a> {
    sweep: &'a Sweep<'a>,
    progress: Progress,
    /// Steps that this process has to do, and those that it has done.
    steps: u64,
    done: AtomicU64,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    runs: usize,
    of: usize,
    wrong: usize,
    /// The best figure, and the run that has it.
    best: Option<(f64, String)>,
}

impl<'a> Board<'a> {
    fn new(sweep: &'a Sweep<'a>, of: usize, missing: &[&Planned], found: &[Row]) -> Board<'a> {
        let steps = missing.iter().map(|run| run.steps).sum::<u64>().max(1);
        let told = Mutex::new(Told { of, ..Told::default() });
        let progress = Progress::of("sweep");
        let board = Board { sweep, progress, steps, done: AtomicU64::new(0), told };
        found.iter().for_each(|row| board.count(row));
        board
    }

    /// Counts a run that has ended.
    fn count(&self, row: &Row) {
        let mut told = self.told.lock().expect("nobody panics with the lock");
        told.runs += 1;
        told.wrong += usize::from(row.status != Status::Done);
        let figure = self.sweep.runner.figure();
        if let Some((name, more)) = figure
            && let Some(value) = row.figures.get(name).and_then(Value::as_f64)
        {
            let better = |best: f64| if more { value > best } else { value < best };
            if told.best.as_ref().is_none_or(|(best, _)| better(*best)) {
                told.best = Some((value, row.id.clone()));
            }
        }
        let Told { runs, of, wrong, ref best } = *told;
        let mut text = format!("{runs} of {}", counted(of, "run"));
        if wrong > 0 {
            text += &format!(", {wrong} without a result");
        }
        if let (Some((name, _)), Some((value, id))) = (figure, best) {
            text += &format!("; best {name} {value:.4} ({id})");
        }
        self.progress.call(text);
    }
}

impl Steps for Board<'_> {
    fn add(&self, steps: u64) {
        let done = self.done.fetch_add(steps, Ordering::Relaxed) + steps;
        self.progress.reach(done as f64 / self.steps as f64);
    }

    fn skip(&self, steps: u64) {
        self.add(steps);
    }
}
