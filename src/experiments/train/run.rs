//! One run: stage after stage, from a configuration to a run folder.

use super::batches::BatchesState;
use super::checkpoint;
use super::checkpoint::{Restored, State};
use super::circuits::History;
use super::config::{Config, Labels, TaskConfig};
use super::start;
use super::work::{Work, model_config};
use crate::checkpoints::pooled::read_weights;
use crate::error::{Error, Result, Signal};
use crate::experiments::{self, Steps};
use crate::files::lines::LineFile;
use crate::files::lock::FolderLock;
use crate::files::{atomic, hash, own, safetensors, sha256};
use crate::formats::circuit_pairs;
use crate::formats::metrics::{EvalLine, EventLine, Line, MeasureLine, Number, StepLine, VERSION};
use crate::formats::run_record::{self, RunRecord};
use crate::formats::snapshot::SnapshotFile;
use crate::interrupt;
use crate::memory;
use crate::nn::{Optimizer, check_parts};
use crate::ranks;
use crate::rng::{Purpose, Rng, RngState};
use crate::simd::Element;
use crate::tasks::modular_addition::ModularAddition;
use crate::tasks::{Dataset, Split};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What to do with a run folder that is not empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Refuse it.
    #[default]
    Refuse,
    /// Go on where the run in it stopped.
    Resume,
    /// Remove the run in it and start again.
    Replace,
}

impl Existing {
    /// By `--resume` and `--force`, of which the first wins.
    pub fn of(resume: bool, force: bool) -> Existing {
        match (resume, force) {
            (true, _) => Existing::Resume,
            (_, true) => Existing::Replace,
            _ => Existing::Refuse,
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The last evaluation, unless an earlier process had already finished the run.
    pub last: Option<EvalLine>,
}

/// Steps between two calls of the progress function.
const PROGRESS_EVERY: u64 = 16;

/// Trains as `config` says and writes everything into `folder`; calls `progress` with the number
/// of steps done since the last call.
///
/// # Errors
/// If files cannot be read or written, or the loss stops being a number. What was written before
/// stays, whole; the folder is not touched before everything that is given has been read.
pub fn run<T: Element>(
    config: &Config,
    folder: &Path,
    existing: Existing,
    progress: &dyn Steps,
) -> Result<Outcome> {
    config.validate()?;
    let begins = || format!("before {} began", folder.display());
    interrupt::check(folder.display(), begins(), GO_ON)?;
    agree(config)?;
    // Asked before the folder is locked, so that one that cannot be written says what it holds.
    if ranks::writes() && begun(config, folder, existing)? == Begun::Finished {
        FolderLock::remove_stale(folder);
        return finished(config, progress);
    }
    let data: Vec<Split> =
        (0..config.stages.len()).map(|i| data(config, i)).collect::<Result<_>>()?;
    fits::<T>(config, &data)?;
    let weights = initial_weights(config)?;
    if !ranks::writes() {
        return follow::<T>(config, folder, &data, weights);
    }
    let record = record(config)?;
    let lock = FolderLock::take(folder)?;
    // Asked again: until it was locked, another process may have begun or ended a run here.
    let resumed = match begun(config, folder, existing)? {
        Begun::Finished => return finished(config, progress),
        Begun::Not => None,
        Begun::Run => {
            check_record(folder, &record)?;
            find(config, folder)?
        }
    };
    make_ready(config, folder, existing, &record)?;
    let name = |found: &Resumed<T>| checkpoint::folder(Path::new(""), found.state.step);
    tell(&resumed.as_ref().map_or(BEGINS.into(), |found| name(found).display().to_string()))?;
    Run::<T>::start(config, folder, &data, weights, resumed, lock)?.finish(progress)
}

fn finished(config: &Config, progress: &dyn Steps) -> Result<Outcome> {
    tell(FINISHED)?;
    progress.skip(config.stages.iter().map(|s| s.train.steps).sum());
    Ok(Outcome { last: None })
}

/// Checks that all ranks have the same configuration and files.
fn agree(config: &Config) -> Result<()> {
    if !ranks::together() {
        return Ok(());
    }
    let configuration = sha256(config.to_toml().as_bytes());
    let mut inputs = vec![("the configuration".to_string(), configuration)];
    inputs.extend(record(config)?.inputs);
    ranks::agree(&inputs)
}

/// Where rank 0 begins, if it goes on from no checkpoint.
const BEGINS: &str = "begins";
const FINISHED: &str = "finished";

/// Tells all ranks where the first begins: one of these, or a checkpoint in the run's folder.
fn tell(begins: &str) -> Result<String> {
    let first = ranks::of_first(|| begins.into())?;
    Ok(String::from_utf8_lossy(&first).into())
}

/// What a rank does of a run that another writes: its parts of gradients, and all updates.
fn follow<T: Element>(
    config: &Config,
    folder: &Path,
    data: &[Split],
    mut weights: Vec<Vec<T>>,
) -> Result<Outcome> {
    let (mut first, mut optimizer, mut state) = (0, None, None);
    match &tell(BEGINS)?[..] {
        BEGINS => {}
        FINISHED => return Ok(Outcome { last: None }),
        name => {
            let found = read_checkpoint(config, &folder.join(name))?;
            (first, weights, optimizer) = (found.state.stage, found.weights, Some(found.optimizer));
            state = Some(found.state);
        }
    }
    for (index, stage) in config.stages.iter().enumerate().skip(first) {
        let state = state.take();
        if state.is_none() {
            start::begin(config, index, &data[index].train, &mut weights)?;
        }
        let kept = optimizer.take();
        let mut work = Work::new(config, index, &data[index], &weights, kept, state.as_ref());
        for step in state.map_or(0, |s| s.stage_step)..stage.train.steps {
            work.gradient()?;
            work.update(step);
        }
        // That of the last evaluation.
        work.gradient()?;
        (weights, optimizer) = work.into_parts();
    }
    Ok(Outcome { last: None })
}

/// Whether the weights, what the optimizer keeps of each, and one row of each layer by the rows of
/// a batch fit in memory, and each rank has a part of a batch; asked before any of it is taken.
pub(super) fn fits<T: Element>(config: &Config, data: &[Split]) -> Result<()> {
    for (i, stage) in config.stages.iter().enumerate() {
        let model = model_config(stage);
        let weights: u128 = model.parameters().iter().map(|p| p.shape.len() as u128).sum();
        // Beside each weight its initial value in double precision, its gradient and two moments.
        let kept = weights * (4 * size_of::<T>() + size_of::<f64>()) as u128;
        let rows = stage.train.batch.rows(data[i].train.n).min(data[i].train.n);
        let row = 3 * model.d_mlp + model.seq_len * 2 + 8 * model.d_model;
        let help = || "lower model.d_model, model.d_mlp or train.batch".into();
        let activations = (rows * size_of::<T>()) as u128 * row as u128;
        memory::check(&config.place_in(i, "model"), kept + activations, help)?;
        check_parts(config.place_in(i, "train.part"), rows, stage.train.part.unwrap_or(rows))?;
    }
    Ok(())
}

/// How to go on with a run that was stopped.
pub(super) const GO_ON: &str = "go on with the same command and --resume";

/// What the files of this run hold now.
fn record(config: &Config) -> Result<RunRecord> {
    let mut inputs = BTreeMap::new();
    for (i, stage) in config.stages.iter().enumerate() {
        if let Some(path) = &stage.task.data {
            inputs.insert(format!("stages.{i}.task.data"), hash(path)?);
        }
    }
    if let Some(path) = &config.stages[0].model.init {
        inputs.insert("model.init".into(), hash(path)?);
    }
    Ok(experiments::record(inputs))
}

fn check_record(folder: &Path, now: &RunRecord) -> Result<()> {
    if let Some(before) = RunRecord::read(folder)? {
        for warning in before.allows(now, folder)? {
            tracing::warn!("{warning}");
        }
    }
    Ok(())
}

/// What a folder holds of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begun {
    Not,
    Run,
    Finished,
}

/// Looks into the folder and changes nothing.
fn begun(config: &Config, folder: &Path, existing: Existing) -> Result<Begun> {
    let file = folder.join("config.toml");
    let occupied = file.exists() || folder.join("metrics.jsonl").exists();
    if existing == Existing::Replace {
        check_replaceable(folder)?;
        return Ok(Begun::Not);
    }
    if !occupied {
        if existing == Existing::Resume {
            tracing::warn!("{}: holds no run to resume, so one begins", folder.display());
        }
        return Ok(Begun::Not);
    }
    if existing == Existing::Refuse {
        return Err(Error::input(
            folder.display(),
            "holds a run already",
            "choose another --out, go on with it by --resume, or replace it by --force",
        ));
    }
    let before = Config::read(&file, &[])?;
    if before != *config {
        let (before, now) = (before.to_toml(), config.to_toml());
        let lines = before.lines().zip(now.lines()).find(|(before, now)| before != now);
        let change =
            lines.map_or(String::new(), |(before, now)| format!(": `{before}`, now `{now}`"));
        return Err(Error::input(
            file.display(),
            format!("the run in this folder was started with another configuration{change}"),
            "resume with the same configuration, or choose another --out",
        ));
    }
    let end = checkpoint::final_folder(folder);
    Ok(if end.exists() { Begun::Finished } else { Begun::Run })
}

/// What a checkpoint gives to go on from.
struct Resumed<T> {
    weights: Vec<Vec<T>>,
    optimizer: Optimizer<T>,
    state: State,
    /// Whether `metrics.jsonl` lacks lines that were written before the checkpoint.
    log_is_lost: bool,
}

/// The latest checkpoint that is whole and whose part of the log is there; without one, the latest
/// that is whole.
fn find<T: Element>(config: &Config, folder: &Path) -> Result<Option<Resumed<T>>> {
    let log = LineFile::whole_bytes(&folder.join("metrics.jsonl"))?;
    let (mut damaged, mut without_log) = (None, None);
    for path in checkpoint::all(folder)? {
        match read_checkpoint(config, &path) {
            Ok(found) if found.state.metrics_bytes <= log => return Ok(Some(found)),
            Ok(found) => {
                let said = found.state.metrics_bytes;
                let file = folder.join("metrics.jsonl");
                tracing::warn!(
                    "{}: has {log} bytes, {} says {said}",
                    file.display(),
                    path.display()
                );
                without_log.get_or_insert(Resumed { log_is_lost: true, ..found });
            }
            Err(e) => {
                tracing::warn!("{e}");
                damaged.get_or_insert(e);
            }
        }
    }
    match (without_log, damaged) {
        (Some(found), _) => Ok(Some(found)),
        (None, Some(e)) => Err(e),
        (None, None) => Ok(None),
    }
}

fn read_checkpoint<T: Element>(config: &Config, path: &Path) -> Result<Resumed<T>> {
    let Restored { state, weights, moments } =
        checkpoint::read(path, &model_config(&config.stages[0]))?;
    let before = config.stages.iter().take(state.stage).map(|s| s.train.steps).sum::<u64>();
    let stage = config.stages.get(state.stage).filter(|stage| {
        state.stage_step <= stage.train.steps && state.step == before + state.stage_step
    });
    let Some(stage) = stage else {
        let State { stage, stage_step, step, .. } = state;
        let message = format!("stage {stage}, step {stage_step} ({step} in all) is not in the run");
        let place = path.join("state.json");
        return Err(Error::input(place.display(), message, checkpoint::DAMAGED));
    };
    let mut optimizer = Optimizer::new(stage.train.rule(), weights.iter().map(Vec::len));
    if moments.iter().any(|m| m.len() != stage.train.rule().moments()) {
        let place = path.join("optimizer.safetensors");
        let message = "lacks moments that the optimizer needs";
        return Err(Error::input(place.display(), message, checkpoint::DAMAGED));
    }
    optimizer.restore(state.optimizer_steps, moments);
    Ok(Resumed { weights, optimizer, state, log_is_lost: false })
}

/// Makes the folder ready to be written into.
fn make_ready(
    config: &Config,
    folder: &Path,
    existing: Existing,
    record: &RunRecord,
) -> Result<()> {
    match existing {
        Existing::Refuse => {}
        Existing::Replace => remove(folder)?,
        Existing::Resume => {
            for part in ["", "checkpoints", "snapshots", circuit_pairs::FOLDER] {
                atomic::clean(folder.join(part))?;
            }
        }
    }
    // A configuration that is there says the same, perhaps with its user's comments.
    let file = folder.join("config.toml");
    if !file.exists() {
        atomic::write_bytes(file, config.to_toml().as_bytes())?;
    }
    if !folder.join(run_record::NAME).exists() {
        record.write(folder)?;
    }
    if let Some(parent) = folder.parent() {
        // The run folder's own name lasts through a power cut.
        atomic::sync_folder(if parent == Path::new("") { Path::new(".") } else { parent });
    }
    Ok(())
}

/// The files of a run.
const RUN: [&str; 3] = ["config.toml", "metrics.jsonl", run_record::NAME];

/// Whether a name is one that a run gives.
type Belongs = fn(&str) -> bool;

/// The folders of a run, and whether a name belongs in one.
const PARTS: [(&str, Belongs); 3] = [
    ("checkpoints", |name| name == "final" || name.starts_with("step-")),
    ("snapshots", |name| name.starts_with("step-") && name.ends_with(".safetensors")),
    (circuit_pairs::FOLDER, |name| name.ends_with(".json")),
];

/// Whether everything that [`remove`] would remove was written by a run.
///
/// # Errors
/// If it was not; the place is the file.
pub(crate) fn check_replaceable(folder: &Path) -> Result<()> {
    let file = folder.join(RUN[0]);
    if file.exists() {
        Config::read(&file, &[]).map_err(|_| own::foreign(&file, "is no file of a run"))?;
    }
    for (part, belongs) in PARTS {
        own::only(&folder.join(part), "a run", belongs)?;
    }
    let checkpoints = own::listed(&folder.join(PARTS[0].0))?;
    let mut checkpoints = checkpoints.iter().filter(|path| path.is_dir());
    checkpoints
        .try_for_each(|path| own::only(path, "a run", |name| checkpoint::FILES.contains(&name)))
}

/// Removes the files of a run and nothing else; [`check_replaceable`] has seen that they are.
///
/// # Errors
/// If one cannot be removed.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    let parts = PARTS.iter().map(|(part, _)| part);
    RUN.iter().chain(parts).try_for_each(|name| own::remove(&folder.join(name)))
}

/// Where a step begins. Until its update, the weights are still those of this point, so that a
/// process which is asked to stop within the step goes back here.
#[derive(Clone, Copy)]
struct Start {
    stage_step: u64,
    metrics_bytes: u64,
    batches: BatchesState,
    dropout: RngState,
}

impl Start {
    fn of<T: Element>(stage_step: u64, work: &Work<'_, T>, log: &LineFile) -> Start {
        let (batches, dropout) = (work.batches.state(), work.dropout.state());
        Start { stage_step, metrics_bytes: log.length(), batches, dropout }
    }
}

/// A run under way.
struct Run<'a, T> {
    config: &'a Config,
    folder: &'a Path,
    /// By stage.
    data: &'a [Split],
    log: LineFile,
    history: History,
    weights: Vec<Vec<T>>,
    optimizer: Option<Optimizer<T>>,
    /// Steps done in all stages.
    step: u64,
    /// Where to begin: a stage, and the state within it.
    from: (usize, Option<State>),
    /// The step whose beginning can be gone on from, if there is one.
    kept: Option<u64>,
    lock: FolderLock,
}

impl<'a, T: Element> Run<'a, T> {
    fn start(
        config: &'a Config,
        folder: &'a Path,
        data: &'a [Split],
        weights: Vec<Vec<T>>,
        resumed: Option<Resumed<T>>,
        lock: FolderLock,
    ) -> Result<Run<'a, T>> {
        let path = folder.join("metrics.jsonl");
        let Some(Resumed { weights, optimizer, state, log_is_lost }) = resumed else {
            let log = begin_log(&path)?;
            let (history, optimizer, step, from) = (History::default(), None, 0, (0, None));
            let kept = Some(0);
            return Ok(Run {
                config,
                folder,
                data,
                log,
                history,
                weights,
                optimizer,
                step,
                from,
                kept,
                lock,
            });
        };
        let (stage, step) = (state.stage, state.step);
        let mut log = match log_is_lost {
            true => begin_log(&path)?,
            false => LineFile::resume(&path, state.metrics_bytes)?,
        };
        if log_is_lost {
            tracing::warn!("{}: a new log begins at step {step}", path.display());
            log.write(&Line::Event(event("log-lost", step, stage)))?;
        }
        let watched = config.stages.iter().any(|s| s.train.circuit_every > 0);
        let history = if watched { History::read(&path)? } else { History::default() };
        log.write(&Line::Event(event("resume", step, stage)))?;
        let (optimizer, from, kept) = (Some(optimizer), (stage, Some(state)), Some(step));
        Ok(Run { config, folder, data, log, history, weights, optimizer, step, from, kept, lock })
    }

    fn finish(mut self, progress: &dyn Steps) -> Result<Outcome> {
        progress.skip(self.step);
        let mut last = None;
        let (first, mut state) = (self.from.0, self.from.1.take());
        for stage in first..self.config.stages.len() {
            last = Some(self.stage(stage, state.take(), progress)?);
        }
        Ok(Outcome { last })
    }

    /// Trains one stage, from its beginning or from `state`.
    fn stage(
        &mut self,
        index: usize,
        state: Option<State>,
        progress: &dyn Steps,
    ) -> Result<EvalLine> {
        let stage = &self.config.stages[index];
        let t = &stage.train;
        let kept = self.optimizer.take();
        let data = &self.data[index];
        if state.is_none() {
            start::begin(self.config, index, &data.train, &mut self.weights)?;
        }
        let mut work = Work::new(self.config, index, data, &self.weights, kept, state.as_ref());
        if state.is_none() {
            self.begin_stage(&work)?;
        }
        let is_due = |every: u64, step: u64| every > 0 && step.is_multiple_of(every);
        let begun = state.map_or(0, |s| s.stage_step);
        let (mut evaluated, mut told) = (None, self.step);
        for step in begun..=t.steps {
            let last = step == t.steps;
            let start = Start::of(step, &work, &self.log);
            // At the very end the final one takes its place.
            if !(last && index + 1 == self.config.stages.len()) {
                if is_due(t.checkpoint_every, step) && step > begun {
                    let folder = checkpoint::folder(self.folder, self.step);
                    self.checkpoint(&work, &start, folder)?;
                }
                self.check(&work, &start)?;
            }
            if is_due(t.snapshot_every, step) || (last && t.snapshot_every > 0) {
                self.snapshot(&work)?;
            }
            if is_due(t.circuit_every, step) || (last && t.circuit_every > 0) {
                self.circuit(&mut work)?;
                self.check(&work, &start)?;
            }
            let measured = step == 0 || last || is_due(t.measure_every, step);
            if measured && !t.measure.is_empty() {
                let values = work.measure(self.config.seed, self.step);
                let line = MeasureLine { step: self.step, stage: index, values };
                self.log.write(&Line::Measure(line))?;
                self.check(&work, &start)?;
            }
            let loss = match work.gradient() {
                Ok(loss) => loss,
                Err(Error::Stopped { signal, .. }) => {
                    return Err(self.stop(&work, &start, signal));
                }
                Err(e) => return Err(e),
            };
            if !loss.to_f64().is_finite() {
                let what = format!("the loss is {}", loss.to_f64());
                return Err(self.diverged(index, &what));
            }
            if last || is_due(t.eval_every, step) {
                let evaluation = work.evaluate(self.step, index);
                self.log.write(&Line::Eval(Box::new(evaluation.clone())))?;
                self.log.flush()?;
                evaluated = Some(evaluation);
            }
            if last {
                // This gradient was only for the evaluation.
                break;
            }
            let lr = work.update(step);
            if is_due(t.log_every, step) {
                let loss = Some(number(loss));
                let line = StepLine { step: self.step, stage: index, loss, lr: Some(lr) };
                self.log.write(&Line::Step(line))?;
            }
            self.step += 1;
            if self.step.is_multiple_of(PROGRESS_EVERY) {
                progress.add(self.step - told);
                told = self.step;
            }
        }
        progress.add(self.step - told);
        self.end_stage(work, t.steps)?;
        Ok(evaluated.expect("the last step is always evaluated"))
    }

    /// Logs that a stage begins, and the pairs by which its circuits are judged.
    fn begin_stage(&mut self, work: &Work<'_, T>) -> Result<()> {
        let mut begins = event("stage", self.step, work.index);
        begins.name = Some(self.config.stages[work.index].name.clone());
        self.log.write(&Line::Event(begins))?;
        work.watch.as_ref().map_or(Ok(()), |watch| watch.write_probe(self.folder, work.index))
    }

    /// Ends the run if the process has been asked to stop.
    fn check(&mut self, work: &Work<'_, T>, start: &Start) -> Result<()> {
        let asked = interrupt::requested();
        asked.map_or(Ok(()), |signal| Err(self.stop(work, start, signal)))
    }

    /// Keeps the beginning of this step, unless it can be gone on from already; the error that the
    /// run ends with.
    fn stop(&mut self, work: &Work<'_, T>, start: &Start, signal: Signal) -> Error {
        if self.kept != Some(self.step) {
            let folder = checkpoint::folder(self.folder, self.step);
            if let Err(e) = self.checkpoint(work, start, folder) {
                return e;
            }
        }
        let (place, done) = (self.folder.display(), format!("at step {}", self.step));
        Error::stopped(signal, place, done, GO_ON)
    }

    /// Hands the weights on to the next stage, or writes what a finished run leaves.
    fn end_stage(&mut self, work: Work<'_, T>, steps: u64) -> Result<()> {
        if !work.is_finite() {
            return Err(self.diverged(work.index, "a weight is no longer finite"));
        }
        if work.index + 1 == self.config.stages.len() {
            let ks: Vec<usize> = self.config.stages.iter().map(|s| s.task.k).collect();
            self.history.summarize(self.folder, &work.model_config, &ks)?;
            self.log.write(&Line::Event(event("stop", self.step, work.index)))?;
            let end = Start::of(steps, &work, &self.log);
            self.checkpoint(&work, &end, checkpoint::final_folder(self.folder))?;
        }
        (self.weights, self.optimizer) = work.into_parts();
        Ok(())
    }

    fn checkpoint(&mut self, work: &Work<'_, T>, start: &Start, folder: PathBuf) -> Result<()> {
        self.lock.check()?;
        self.log.sync()?;
        if !work.is_finite() {
            // The loss of the next step will say so; the checkpoint before stays the last.
            return Ok(());
        }
        let parent = self.folder.join("checkpoints");
        if !parent.exists() {
            fs::create_dir_all(&parent).map_err(|e| Error::io(&parent, &e, "make"))?;
            atomic::sync_folder(self.folder);
        }
        let state = State {
            version: checkpoint::VERSION,
            dtype: T::NAME.into(),
            stage: work.index,
            stage_step: start.stage_step,
            step: self.step,
            metrics_bytes: start.metrics_bytes,
            optimizer_steps: work.optimizer.steps(),
            batches: start.batches,
            dropout: start.dropout,
            hashes: BTreeMap::new(),
        };
        checkpoint::write(&folder, &work.model_config, &work.values(), &work.optimizer, &state)?;
        self.kept = Some(self.step);
        Ok(())
    }

    fn snapshot(&self, work: &Work<'_, T>) -> Result<()> {
        let path = SnapshotFile::path(self.folder, self.step);
        let folder = path.parent().expect("snapshots are in a folder");
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, &e, "make"))?;
        let tensors = checkpoint::weights(&work.parameters, &work.values());
        safetensors::write(path, &tensors, &Default::default())
    }

    fn circuit(&mut self, work: &mut Work<'_, T>) -> Result<()> {
        let (step, stage) = (self.step, work.index);
        let Some(mut watch) = work.watch.take() else { return Ok(()) };
        let line = self.history.log(&mut watch, &work.values(), step, stage);
        work.watch = Some(watch);
        line.map_or(Ok(()), |line| self.log.write(&Line::Circuit(Box::new(line))))
    }

    /// The error for numbers that are none, after noting it in the log.
    fn diverged(&mut self, index: usize, what: &str) -> Error {
        let event = Line::Event(event("diverged", self.step, index));
        // The divergence is the error to tell; one of the log could only hide it.
        let noted = self.log.write(&event).and_then(|()| self.log.flush().map(drop));
        if let Err(e) = noted {
            tracing::warn!("{e}");
        }
        let place = format!("{}: step {}", self.folder.display(), self.step);
        let lr = self.config.stages[index].train.lr;
        let kept = match checkpoint::all(self.folder).unwrap_or_default().first() {
            Some(path) => format!("the last good checkpoint is {}", path.display()),
            None => "set train.checkpoint_every to keep earlier weights".into(),
        };
        let help = format!("lower train.lr ({lr:?}) or set train.clip; {kept}");
        Error::failed(place, what, help)
    }
}

/// A new log with its schema line, which a power cut does not take back.
fn begin_log(path: &Path) -> Result<LineFile> {
    let mut log = LineFile::create(path)?;
    log.write(&Line::Schema { version: VERSION })?;
    log.sync()?;
    Ok(log)
}

fn event(event: &str, step: u64, stage: usize) -> EventLine {
    EventLine { event: event.into(), step, stage: Some(stage), ..EventLine::default() }
}

/// `x` in the precision of its type.
fn number<T: Element>(x: T) -> Number {
    match T::NAME {
        "f32" => Number::Single(x.to_f64() as f32),
        _ => Number::Double(x.to_f64()),
    }
}

pub(super) fn initial_weights<T: Element>(config: &Config) -> Result<Vec<Vec<T>>> {
    let m = &config.stages[0].model;
    let model = model_config(&config.stages[0]);
    match &m.init {
        None => {
            let init = model.init(config.seed);
            Ok(init.iter().map(|w| w.iter().map(|&x| T::from_f64(x)).collect()).collect())
        }
        Some(path) => {
            let file = safetensors::Tensors::read(path);
            let weights = file.and_then(|file| read_weights(&file, &m.init_prefix, &model));
            weights.map_err(|e| e.within(config.place("model.init")))
        }
    }
}

/// The rows of stage `i`. They depend on the seed and the modulus, not on where the stage stands,
/// so that p = 4 from scratch and p = 4 after p = 2 see the same rows.
pub(super) fn data(config: &Config, i: usize) -> Result<Split> {
    let t = &config.stages[i].task;
    let task = ModularAddition { p: t.p, seq_len: t.seq_len, k: t.k };
    match &t.data {
        Some(path) => {
            let split = task.read(path).map_err(|e| e.within(config.place_in(i, "task.data")))?;
            config.check_rows(i, split.train.n)?;
            Ok(split)
        }
        None => {
            let mut rng = Rng::new(config.seed, Purpose::Data, t.p as u32);
            // The only thing that can be wrong with it.
            let place = || config.place_in(i, "task.test");
            let split = task.generate(t.train, t.test, t.overlap, &mut rng);
            let mut split = split.map_err(|e| Error::input(place(), e.message(), e.help()))?;
            let mut rng = Rng::new(config.seed, Purpose::Label, t.p as u32);
            for rows in [Some(&mut split.train), split.test.as_mut()].into_iter().flatten() {
                relabel(rows, t, &mut rng);
            }
            Ok(split)
        }
    }
}

/// Labels rows as the task says.
fn relabel(rows: &mut Dataset, task: &TaskConfig, rng: &mut Rng) {
    let p = task.p as u64;
    let sum = |row: &[u32]| row.iter().map(|&x| u64::from(x)).sum::<u64>();
    let Dataset { tokens, targets, seq_len, .. } = rows;
    for (row, target) in tokens.chunks_exact(*seq_len).zip(targets) {
        *target = match task.labels {
            Labels::First => continue,
            Labels::Last => sum(&row[row.len() - task.k..]) % p,
            Labels::Parity => sum(&row[..task.k]) % 2,
            Labels::Random => rng.below(p),
        } as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows stay as they are; labels are those of the rule.
    #[test]
    fn labels_follow_their_rule() {
        let rows =
            Dataset { tokens: vec![3, 2, 1, 3, 1, 0], targets: vec![1, 0], n: 2, seq_len: 3 };
        let with = |labels| {
            let (mut rows, task) =
                (rows.clone(), TaskConfig { p: 4, k: 2, labels, ..Default::default() });
            relabel(&mut rows, &task, &mut Rng::new(0, Purpose::Label, 4));
            assert_eq!(rows.tokens, [3, 2, 1, 3, 1, 0]);
            rows.targets
        };
        assert_eq!(with(Labels::First), [1, 0]);
        assert_eq!(with(Labels::Last), [3, 1]);
        assert_eq!(with(Labels::Parity), [1, 0]);
        let mut rng = Rng::new(0, Purpose::Label, 4);
        assert_eq!(with(Labels::Random), [rng.below(4) as u32, rng.below(4) as u32]);
    }
}
