//! How far a long computation has come, kept for the process that goes on with it.
//!
//! A journal lies beside the file that is to be written, as `.NAME.journal`, and is removed once
//! that file is there. It names all inputs and settings that the result depends on, and holds the
//! state of each part of the computation, bit by bit: whoever goes on with it gets the bits of a
//! computation that was never interrupted.
//!
//! The file is replaced as a whole, so that a process that is killed leaves the journal before. It
//! is written as often as that takes a fiftieth of the time; a short computation never writes it.
//! The points where it may be written are those where a process that was [asked](interrupt) stops;
//! one that may [end between them](Journal::within) loses what a kill would.
//!
//! Of several [ranks], the first keeps the journal and gives the others what it has
//! found. Units that are [shared](Units::shared) are done in turns; the others are done by every
//! rank.

mod state;

pub use state::State;
pub(crate) use state::kept;

use super::lock::Lock;
use super::{atomic, input, sha256};
use crate::error::{Error, Result, Signal};
use crate::interrupt;
use crate::ranks;
use crate::simd::backend;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The first line of a journal.
const MAGIC: &[u8] = b"edgegrad journal 1\n";

/// The shortest time between two writes.
const PAUSE: Duration = Duration::from_millis(200);

/// The time after which ranks exchange what units have come to, and the bytes: rarely enough that
/// waiting for each other takes little, often enough that few are lost.
const LONG: Duration = Duration::from_millis(100);
const LARGE: usize = 1 << 24;

/// The time between two writes, in units of what the last one took.
const RARE: u32 = 50;

/// What a result depends on: names, and values or hashes. The version of edgegrad and the
/// instruction set, which are true of every result, need not be among them.
pub type Inputs = Vec<(String, String)>;

/// The journal of a computation. The default keeps nothing, and still is where a process stops that
/// was asked to.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    shared: Option<Arc<Shared>>,
    scope: Arc<Mutex<Scope>>,
    /// Whether the work stops or is done.
    over: Arc<AtomicBool>,
}

/// Which parts have been begun.
#[derive(Debug, Default)]
struct Scope {
    /// The unit of work inside of which parts are begun now.
    unit: String,
    /// How often a part of each name was begun in each unit that is open.
    begun: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Shared {
    /// The result's file, for messages.
    out: PathBuf,
    /// The file, and the lock by which no other process computes the same result; the first of
    /// several ranks has them.
    held: Option<(PathBuf, Lock)>,
    /// Whether an earlier process has left it.
    found: bool,
    kept: Mutex<Kept>,
}

/// The state of each part, by its name.
type States = BTreeMap<String, Vec<u8>>;

#[derive(Debug)]
struct Kept {
    inputs: Inputs,
    states: States,
    /// When the file is to be written again.
    due: Instant,
    /// Whether the file could not be written; that is told once.
    failed: bool,
}

impl Journal {
    /// The journal of the computation of `out` from `inputs`. With `resume`, what an earlier
    /// process has kept is gone on with; if there is nothing, that is told. A result that is no
    /// file on a disk has a journal that keeps nothing.
    ///
    /// # Errors
    /// If another process computes the same result; with `resume`, if the journal cannot be read,
    /// is damaged, or is of other inputs.
    pub fn open(out: &Path, mut inputs: Inputs, resume: bool) -> Result<Journal> {
        inputs.push(("version".into(), env!("CARGO_PKG_VERSION").into()));
        inputs.push(("instruction set".into(), backend().to_string()));
        if ranks::together() {
            ranks::agree(&inputs)?;
        }
        let device = fs::metadata(out).is_ok_and(|found| !found.is_file() && !found.is_dir());
        if out == Path::new("-") || device {
            return Ok(Journal::default());
        }
        let (mut found, mut held) = (None, None);
        if ranks::writes() {
            let file = name_beside(out, ".journal")?;
            let lock = Lock::take(name_beside(out, ".lock")?, out)?;
            found = left(&file, out, &inputs, resume)?;
            held = Some((file, lock));
        }
        if ranks::together() {
            let states = |found: States| found.into_iter().collect::<Vec<_>>();
            let bytes = ranks::of_first(|| {
                let mut bytes = vec![];
                found.map(states).put(&mut bytes);
                bytes
            })?;
            let all: Option<Vec<(String, Vec<u8>)>> =
                state::read(&bytes).expect("what rank 0 has put");
            found = all.map(|all| all.into_iter().collect());
        }
        let (was, states) = (found.is_some(), found.unwrap_or_default());
        let kept = Kept { inputs, states, due: Instant::now() + PAUSE, failed: false };
        let shared = Shared { out: out.into(), held, found: was, kept: Mutex::new(kept) };
        Ok(Journal { shared: Some(Arc::new(shared)), ..Journal::default() })
    }

    /// Begins a part. Parts of one name are told apart by their order inside of the unit that is
    /// open, so every process has to begin the same ones in the same order.
    pub fn part(&self, name: &str) -> Part {
        let mut scope = locked(&self.scope);
        let name = format!("{}/{name}", scope.unit);
        let count = scope.begun.entry(name.clone()).or_default();
        *count += 1;
        // A part of one rank alone is kept when it is done.
        let shared = self.shared.clone().filter(|_| !ranks::is_apart());
        let over = Arc::clone(&self.over);
        Part { shared, over, name: format!("{name} {count}") }
    }

    /// Begins the part `name`, a row of units of work, and what they have come to: what was kept,
    /// or `initial`. Parts that are begun while a unit is open are inside of it.
    pub fn units<S: State>(&self, name: &str, initial: impl FnOnce() -> S) -> Units<S> {
        let outer = locked(&self.scope).unit.clone();
        let part = self.part(name);
        let (before, state) = part.found().unwrap_or_else(|| (0, initial()));
        let open = Open { scope: Arc::clone(&self.scope), outer };
        Units { part, open, before, done: 0, state }
    }

    /// A point where work can end that is not in pieces, or between them.
    ///
    /// # Errors
    /// If the process has been asked to stop.
    pub fn check(&self) -> Result<()> {
        let Some(signal) = interrupt::requested() else { return Ok(()) };
        self.over.store(true, Ordering::Relaxed);
        if let Some(shared) = &self.shared {
            shared.write(&mut locked(&shared.kept));
        }
        Err(stopped(signal, self.shared.as_deref()))
    }

    /// The same journal, of a process that ends when it was asked to stop for as long as `patience`
    /// and has come to no point where it could: for work that is kept in the journal alone. `tell`
    /// is given the error that the process ends with.
    #[must_use]
    pub fn within(self, patience: Duration, tell: fn(&Error)) -> Journal {
        // The lock goes with the journal, whatever waits.
        let (over, shared) = (Arc::downgrade(&self.over), self.shared.as_ref().map(Arc::downgrade));
        let works = move || over.upgrade().is_some_and(|over| !over.load(Ordering::Relaxed));
        let last = move |signal| {
            let shared = shared.and_then(|shared| shared.upgrade());
            if let Some(shared) = &shared {
                shared.write(&mut locked(&shared.kept));
            }
            tell(&stopped(signal, shared.as_deref()));
            if let Some((_, lock)) = shared.as_ref().and_then(|shared| shared.held.as_ref()) {
                lock.remove();
            }
        };
        interrupt::end_after(patience, works, last);
        self
    }

    /// Writes the journal at once, for work whose pieces are kept in files of their own.
    pub fn begin(&self) {
        if let Some(shared) = &self.shared {
            shared.write(&mut locked(&shared.kept));
        }
    }

    /// Whether it was opened to go on, and has found something to go on with.
    pub fn goes_on(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.found)
    }

    /// Removes the journal and the lock of `out` that a process has left which was killed when it
    /// had written the result and not yet removed them. Those of a process that lives stay.
    pub fn remove_left(out: &Path) {
        let beside = |ending| name_beside(out, ending);
        if let (Ok(journal), Ok(lock)) = (beside(".journal"), beside(".lock"))
            && let Ok(_held) = Lock::take(lock, out)
        {
            let _ = atomic::remove_file(&journal);
        }
    }

    /// Removes the journal: the result is written.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some((file, _)) = self.shared.as_ref().and_then(|shared| shared.held.as_ref()) {
            // One that stays does no harm: it is replaced or refused.
            let _ = atomic::remove_file(file);
        }
    }
}

/// A part of a computation.
#[derive(Debug)]
pub struct Part {
    shared: Option<Arc<Shared>>,
    over: Arc<AtomicBool>,
    name: String,
}

impl Part {
    /// Its state, if an earlier process has kept it.
    pub fn found<S: State>(&self) -> Option<S> {
        let kept = locked(&self.shared.as_ref()?.kept);
        state::read(kept.states.get(&self.name)?)
    }

    /// A point where work can end: keeps the state of this part if it is time to. Those of parts
    /// inside of it are no longer needed.
    ///
    /// # Errors
    /// If the process has been asked to stop.
    pub fn keep<S: State>(&self, state: impl FnOnce() -> S) -> Result<()> {
        self.keep_with(|to| state().put(to))
    }

    fn keep_with(&self, put: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let asked = interrupt::requested();
        if asked.is_some() {
            self.over.store(true, Ordering::Relaxed);
        }
        if let Some(shared) = &self.shared {
            let mut kept = locked(&shared.kept);
            let due = asked.is_some() || Instant::now() >= kept.due;
            let below = format!("{}/", self.name);
            let mut inside = kept.states.range(below.clone()..);
            // What is inside must not pile up until it happens to be time here.
            if due || inside.next().is_some_and(|(name, _)| name.starts_with(&below)) {
                let mut bytes = vec![];
                put(&mut bytes);
                kept.states.retain(|name, _| !name.starts_with(&below));
                kept.states.insert(self.name.clone(), bytes);
            }
            if due {
                shared.write(&mut kept);
            }
        }
        asked.map_or(Ok(()), |signal| Err(stopped(signal, self.shared.as_deref())))
    }
}

/// What a computation that `signal` has stopped leaves behind.
fn stopped(signal: Signal, shared: Option<&Shared>) -> Error {
    let place = shared.map_or("the computation".into(), |shared| shared.out.display().to_string());
    let done = shared.is_some_and(|shared| {
        let kept = locked(&shared.kept);
        !(kept.states.is_empty() || kept.failed)
    });
    let (what, help) = match done {
        true => ("; what is done is kept", "go on with the same command and --resume"),
        false => ("", "run it again"),
    };
    Error::stopped(signal, place, format!("before its end{what}"), help)
}

impl Shared {
    /// Writes the file. A computation that cannot be kept is still worth ending.
    fn write(&self, kept: &mut Kept) {
        let Some((file, _)) = &self.held else { return };
        let start = Instant::now();
        let mut body = vec![];
        kept.inputs.put(&mut body);
        body.extend((kept.states.len() as u64).to_le_bytes());
        for (name, state) in &kept.states {
            name.put(&mut body);
            state.put(&mut body);
        }
        let text = [MAGIC, sha256(&body).as_bytes(), b"\n", &body].concat();
        let written = atomic::write_bytes(file, &text);
        if let Err(e) = written.as_ref()
            && !kept.failed
        {
            tracing::warn!("{e}; the work goes on, and would begin anew if it were stopped");
        }
        kept.failed = written.is_err();
        kept.due = Instant::now() + PAUSE.max(RARE * start.elapsed());
    }
}

/// A row of units of work, each done once, and what they have come to.
///
/// ```
/// use edgegrad::files::journal::Journal;
/// let mut sum = Journal::default().units("sum", || 0u64);
/// for i in 1..=4 {
///     if sum.is_done() {
///         continue;
///     }
///     sum.state += i;
///     sum.finish()?;
/// }
/// assert_eq!(sum.state, 10);
/// # Ok::<(), edgegrad::error::Error>(())
/// ```
#[derive(Debug)]
pub struct Units<S> {
    part: Part,
    open: Open,
    /// Units that an earlier process has done.
    before: usize,
    /// Units passed by now.
    done: usize,
    /// What all of them have come to.
    pub state: S,
}

/// The unit that is open is closed with its row.
#[derive(Debug)]
struct Open {
    scope: Arc<Mutex<Scope>>,
    /// The unit that the row is in.
    outer: String,
}

impl Open {
    fn enter(&self, unit: String) {
        locked(&self.scope).unit = unit;
    }

    fn leave(&self) {
        let mut scope = locked(&self.scope);
        let left = std::mem::replace(&mut scope.unit, self.outer.clone());
        if left != self.outer {
            let inside = format!("{left}/");
            scope.begun.retain(|name, _| !name.starts_with(&inside));
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<S: State> Units<S> {
    /// Whether an earlier process has done the next unit, which is then passed over. If not, the
    /// unit is open.
    pub fn is_done(&mut self) -> bool {
        self.skip(1) == 1
    }

    /// How many of the next `count` units an earlier process has done, which are then passed over.
    /// If not all, the one after them is open.
    pub fn skip(&mut self, count: usize) -> usize {
        let done = self.passed(count);
        if done < count {
            self.open.enter(format!("{}/{}", self.part.name, self.done));
        }
        done
    }

    /// Passes over those of the next `count` units that an earlier process has done.
    fn passed(&mut self, count: usize) -> usize {
        let done = (self.before - self.done.min(self.before)).min(count);
        self.done += done;
        done
    }

    /// Does rows of units, `counts` of them in each, and adds up what they come to in their order.
    ///
    /// `each` does the units of a row, by its index, from a unit on, and puts what each comes to.
    /// Of several ranks each does whole rows, in turns; what they come to is `add`ed in all ranks.
    ///
    /// # Errors
    /// Those of `each`, of any rank, and if the process has been asked to stop.
    pub fn shared<P: State>(
        &mut self,
        counts: &[usize],
        mut each: impl FnMut(usize, usize, &mut dyn FnMut(P) -> Result<()>) -> Result<()>,
        mut add: impl FnMut(&mut S, usize, P),
    ) -> Result<()> {
        let ranks = ranks::count();
        if ranks == 1 {
            for (row, &count) in counts.iter().enumerate() {
                let before = self.skip(count);
                if before < count {
                    each(row, before, &mut |part| {
                        add(&mut self.state, row, part);
                        self.finish()
                    })?;
                }
            }
            return Ok(());
        }
        // Rows of each rank between two exchanges, as the first of them says.
        let (mut takes, mut first) = (1, 0);
        while first < counts.len() {
            let (round, start) = (first..counts.len().min(first + ranks * takes), Instant::now());
            let (mut mine, mut left): (Vec<P>, Vec<usize>) = (vec![], vec![]);
            for row in round.clone() {
                let before = self.passed(counts[row]);
                left.push(counts[row] - before);
                if (row - first) % ranks == ranks::rank() && before < counts[row] {
                    self.open.enter(format!("{}/row {row}", self.part.name));
                    let put = &mut |part| {
                        mine.push(part);
                        Ok(())
                    };
                    ranks::apart(|| each(row, before, put))?;
                    self.open.leave();
                }
            }
            let mut bytes = vec![];
            mine.put(&mut bytes);
            let slow = start.elapsed() > LONG || bytes.len() > LARGE;
            let next = if slow { (takes / 2).max(1) } else { 2 * takes };
            next.put(&mut bytes);
            let mut parts = vec![];
            for (rank, bytes) in ranks::gather(bytes)?.into_iter().enumerate() {
                let found: Option<(Vec<P>, usize)> = state::read(&bytes);
                let (of_rank, next) = found.expect("what a rank has put");
                takes = if rank == 0 { next } else { takes };
                parts.push(of_rank.into_iter());
            }
            for (row, left) in round.clone().zip(left) {
                for part in parts[(row - first) % ranks].by_ref().take(left) {
                    add(&mut self.state, row, part);
                    self.finish()?;
                }
            }
            first = round.end;
        }
        Ok(())
    }

    /// Ends a unit: a point where work can end.
    ///
    /// # Errors
    /// If the process has been asked to stop.
    pub fn finish(&mut self) -> Result<()> {
        self.finish_with(|_| {})
    }

    /// As [`finish`](Self::finish); `last` completes the state if it is about to be kept.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_with(&mut self, last: impl FnOnce(&mut S)) -> Result<()> {
        self.open.leave();
        self.done += 1;
        self.part.keep_with(|to| {
            last(&mut self.state);
            self.done.put(to);
            self.state.put(to);
        })
    }
}

/// `.NAME` and an ending, beside the file.
fn name_beside(out: &Path, ending: &str) -> Result<PathBuf> {
    let Some(name) = out.file_name() else {
        return Err(Error::input(out.display(), "is not a file name", "end it with a name"));
    };
    let mut hidden = OsString::from(".");
    // A temporary name for it has to fit as well.
    if name.len() > 200 {
        hidden.push(sha256(name.as_encoded_bytes()));
    } else {
        hidden.push(name);
    }
    hidden.push(ending);
    Ok(out.with_file_name(hidden))
}

/// What an earlier process has left of `out`, if it is to be gone on with.
fn left(file: &Path, out: &Path, inputs: &Inputs, resume: bool) -> Result<Option<States>> {
    let there = fs::symlink_metadata(file).is_ok();
    match there.then(|| read(file, inputs)) {
        Some(kept) if resume => return kept.map(Some),
        Some(Ok(_)) => tracing::warn!(
            "{}: begun anew; --resume would go on where an earlier process stopped",
            out.display()
        ),
        None if resume => {
            tracing::warn!("{}: nothing was kept to go on with; begun anew", out.display());
        }
        Some(Err(_)) | None => {}
    }
    Ok(None)
}

/// The states in a journal of these `inputs`.
fn read(file: &Path, inputs: &Inputs) -> Result<States> {
    let help = "leave out --resume to begin anew";
    let fail = |message: String| Error::input(file.display(), message, help);
    let bytes = input::regular(file, input::DATA).map_err(|e| e.with_help(help))?;
    let Some((found, states)) = parse(&bytes) else {
        return Err(fail("is damaged, or no journal".into()));
    };
    let other = |(ours, theirs): (&(String, String), &(String, String))| {
        (ours != theirs).then(|| ours.0.clone())
    };
    let first = inputs.iter().zip(&found).find_map(other);
    match first {
        Some(name) => Err(fail(format!("was kept with another {name}"))),
        None if inputs.len() != found.len() => Err(fail("was kept by another version".into())),
        None => Ok(states),
    }
}

/// The inputs and the states in the bytes of a journal; `None` if they are not whole.
#[doc(hidden)]
pub fn parse(bytes: &[u8]) -> Option<(Inputs, BTreeMap<String, Vec<u8>>)> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (digest, body) = rest.split_at_checked(64)?;
    let body = body.strip_prefix(b"\n")?;
    if sha256(body).as_bytes() != digest {
        return None;
    }
    let (inputs, states): (Inputs, Vec<(String, Vec<u8>)>) = state::read(body)?;
    Some((inputs, states.into_iter().collect()))
}

/// What a lock guards. Whoever panicked with it has only read or replaced values as a whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests;
