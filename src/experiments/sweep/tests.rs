//! Sweeps of runs that compute nothing.

use super::merge::missing;
use super::*;
use crate::experiments::train::Existing;
use crate::experiments::train::config::Config;
use crate::formats::sweep_results::{Head, NAME, Row, Status, SweepResults};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

/// Runs with `x` of the configuration as their figure; some end otherwise.
#[derive(Default)]
struct Fake {
    /// The runs that were begun, by `x`.
    begun: Mutex<Vec<i64>>,
    /// Those with this `x` fail.
    fails: Option<i64>,
}

fn x(config: &Table) -> i64 {
    config.get("x").and_then(toml::Value::as_integer).unwrap_or(-1)
}

impl Runner for Fake {
    fn resolve(&self, config: &Table) -> Result<Resolved> {
        // `unused` is no part of it.
        Ok(Resolved { text: format!("{} {:?}", x(config), config.get("seed")), steps: 2 })
    }

    fn run(&self, config: &Table, place: &Place<'_>, progress: &dyn Steps) -> Result<Ended> {
        let x = x(config);
        self.begun.lock().expect("a lock").push(x);
        fs::create_dir_all(place.folder).expect("a folder");
        fs::write(place.folder.join("config.toml"), config.to_string()).expect("a file");
        // Two runs share four threads, the only one that is left has all.
        assert_eq!(place.threads, rayon::current_num_threads());
        assert!([2, 4].contains(&place.threads));
        progress.add(2);
        let e = Error::failed(place.folder.display(), "the loss is NaN", "lower it");
        if self.fails == Some(x) {
            return Err(e);
        }
        let figures = [("figure".to_string(), json!(x))].into_iter().collect();
        Ok(Ended { figures, diverged: (x == 3).then_some(e) })
    }

    fn seconds(&self, _: &Table) -> Result<Option<f64>> {
        Ok(None)
    }

    fn figure(&self) -> Option<(&'static str, bool)> {
        Some(("figure", true))
    }
}

fn plan(axes: &str) -> Plan {
    let text = format!("base = {{ command = 'train' }}\n[axes]\n{axes}");
    Plan::parse("s.toml", &text, &|_| unreachable!("no other file")).expect(axes)
}

/// A sweep in a folder of its own.
struct Room {
    folder: tempfile::TempDir,
}

impl Room {
    fn new() -> Room {
        Room { folder: tempfile::tempdir().expect("a folder") }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    fn go(&self, axes: &str, fake: &Fake, shard: Option<&str>, resume: bool) -> Result<Summary> {
        let existing = if resume { Existing::Resume } else { Existing::Refuse };
        self.go_as(axes, fake, shard, existing)
    }

    fn go_as(
        &self,
        axes: &str,
        fake: &Fake,
        shard: Option<&str>,
        existing: Existing,
    ) -> Result<Summary> {
        let (plan, out) = (plan(axes), self.out());
        let listed = list(&plan, fake, false)?;
        let shard = shard.map(Shard::parse).transpose()?;
        let (jobs, threads) = (2, 4);
        Sweep {
            plan: &plan,
            listed: &listed,
            runner: fake,
            out: &out,
            shard,
            existing,
            jobs,
            threads,
        }
        .run()
        .map(|found| found.expect("this process is alone"))
    }
}

/// A row without its id and seconds.
fn told(row: &Row) -> (String, Status, String) {
    let of = |map| serde_json::to_string(map).expect("JSON");
    (of(&row.axes), row.status, of(&row.figures))
}

#[test]
fn each_run_has_a_row_and_a_folder_and_is_run_once() {
    let (room, fake) = (Room::new(), Fake::default());
    let found = room.go("x = [1, 2, 1]\nseed = [0, 1]", &fake, None, false).expect("runs");
    let all = [(1, 0), (2, 0), (1, 1), (2, 1)];
    let expected = all.map(|(x, seed)| {
        (format!("{{\"seed\":{seed},\"x\":{x}}}"), Status::Done, format!("{{\"figure\":{x}}}"))
    });
    assert_eq!(found.results.rows.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(SweepResults::read(&room.out().join(NAME)).expect("a file"), found.results);
    for row in &found.results.rows {
        let folder = room.out().join("runs").join(&row.id);
        let config: Table =
            fs::read_to_string(folder.join("config.toml")).expect("a file").parse().expect("TOML");
        assert_eq!(json!(config["x"]), row.axes["x"]);
    }
    let e = room.go("x = [1, 2]\nseed = [0, 1]", &fake, None, false).expect_err("it is there");
    assert!(e.message().contains("holds a sweep") && e.help().contains("--resume"), "{e}");
    // More of the same: nothing is done twice.
    let more = room.go("x = [1, 2, 4]\nseed = [0, 1]", &fake, None, true).expect("more");
    assert_eq!((more.before, more.results.rows.len()), (4, 6));
    let mut begun = fake.begun.into_inner().expect("a lock");
    begun.sort_unstable();
    assert_eq!(begun, [1, 1, 2, 2, 4, 4]);
    let e = room.go("x = [1]\nseed = [0, 1]", &Fake::default(), None, true).expect_err("less");
    assert!(e.message().contains("holds another sweep: 4 runs"), "{e}");
}

#[test]
fn one_that_fails_is_tried_again_and_one_that_diverges_is_not() {
    let (room, fails) = (Room::new(), Fake { fails: Some(2), ..Fake::default() });
    let found = room.go("x = [1, 2, 3, 4]", &fails, None, false).expect("runs");
    let statuses =
        |summary: &Summary| summary.results.rows.iter().map(|row| row.status).collect::<Vec<_>>();
    assert_eq!(statuses(&found), [Status::Done, Status::Failed, Status::Diverged, Status::Done]);
    let error = found.results.rows[1].error.as_deref().expect("a reason");
    assert!(error.starts_with("runs/") && error.ends_with(": the loss is NaN"), "{error}");
    let fake = Fake::default();
    let again = room.go("x = [1, 2, 3, 4]", &fake, None, true).expect("runs");
    assert_eq!(statuses(&again), [Status::Done, Status::Done, Status::Diverged, Status::Done]);
    assert_eq!(*fake.begun.lock().expect("a lock"), [2]);
}

/// As a kill leaves it: some lines, the last cut off.
#[test]
fn a_file_that_was_cut_off_goes_on() {
    let (room, fake) = (Room::new(), Fake::default());
    let whole = room.go("x = { range = [0, 9] }", &fake, None, false).expect("runs");
    let rows = |summary: &Summary| summary.results.rows.iter().map(told).collect::<Vec<_>>();
    let bytes = fs::read(&whole.file).expect("a file");
    for cut in [0, 1, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&whole.file, &bytes[..cut]).expect("writable");
        let again = room.go("x = { range = [0, 9] }", &fake, None, true).expect("runs");
        assert_eq!(rows(&again), rows(&whole), "{cut} bytes");
    }
}

#[test]
fn shards_share_the_runs_and_are_merged() {
    let (room, whole, fake) = (Room::new(), Room::new(), Fake::default());
    let axes = "x = { range = [0, 7] }";
    for shard in ["1/3", "2/3", "3/3"] {
        room.go(axes, &fake, Some(shard), true).expect(shard);
    }
    let e = room.go(axes, &fake, None, true).expect_err("shards");
    assert!(e.help().contains("merge"), "{e}");
    let out = room.out();
    let merged = merge(std::slice::from_ref(&out), &out, Existing::Refuse).expect("shards");
    let rows = |results: &SweepResults| results.rows.iter().map(told).collect::<Vec<_>>();
    let all = whole.go(axes, &fake, None, false).expect("runs").results;
    assert_eq!(rows(&merged), rows(&all));
    assert_eq!(fs::read_dir(&out).expect("a folder").count(), 3, "two files and runs");
    fake.begun.lock().expect("a lock").clear();
    room.go(axes, &fake, Some("2/3"), true).expect("again");
    assert_eq!(*fake.begun.lock().expect("a lock"), [0; 0], "what was merged counts");
    // From other folders, with their runs.
    let (other, both) = (Room::new(), whole.folder.path().join("both"));
    other.go(axes, &fake, Some("1/2"), false).expect("half");
    let merged = merge(&[other.out(), whole.out()], &both, Existing::Refuse).expect("two folders");
    assert_eq!(rows(&merged), rows(&all));
    assert_eq!(fs::read_dir(both.join("runs")).expect("runs").count(), 7);
    let e = merge(&[other.folder.path().join("none")], &both, Existing::Refuse)
        .expect_err("nothing there");
    assert!(e.message().contains("holds no results"), "{e}");
    other.go("x = [1]", &fake, Some("1/1"), false).expect("another sweep");
    let e = merge(&[other.out()], &both, Existing::Refuse).expect_err("two sweeps");
    assert!(e.message().contains("is of another sweep than"), "{e}");
    let e = merge(&[whole.out()], &both, Existing::Refuse).expect_err("it is there");
    assert!(e.message().contains("holds a sweep already") && e.help().contains("--force"), "{e}");
}

/// Results and runs go, and what is no run's stays.
#[test]
fn a_sweep_that_is_replaced_leaves_nothing_of_its_own() {
    let (room, fake) = (Room::new(), Fake::default());
    let other = room.go("x = { range = [0, 4] }", &fake, None, false).expect("runs");
    let runs = room.out().join("runs");
    let of = |i: usize| runs.join(&other.results.rows[i].id);
    // The configuration of a run of `train`, as the runner of these tests writes none.
    other.results.rows.iter().enumerate().for_each(|(i, _)| {
        fs::write(of(i).join("config.toml"), Config::default().to_toml()).expect("writable");
    });
    fs::write(of(1).join("notes.txt"), "mine").expect("writable");
    fs::create_dir_all(of(2).join("checkpoints")).expect("a folder");
    fs::write(of(2).join("checkpoints/mine.txt"), "mine").expect("writable");
    let e = room.go_as("x = [7]", &fake, None, Existing::Replace).expect_err("not a run's");
    assert!(e.to_string().contains("mine.txt: is no file of a run"), "{e}");
    assert_eq!(SweepResults::read(&other.file).expect("as it was"), other.results);
    fs::remove_dir_all(of(2).join("checkpoints")).expect("removable");
    let new = room.go_as("x = [7]", &fake, None, Existing::Replace).expect("another sweep");
    assert_eq!((new.before, new.results.rows.len()), (0, 1));
    let left = |folder: &PathBuf| fs::read_dir(folder).map_or(0, Iterator::count);
    assert_eq!((left(&runs), left(&of(1))), (2, 1), "the run, and the notes");
}

#[test]
fn what_is_missing_of_a_sweep_is_told_by_shards() {
    let row = |id: usize| Row { id: id.to_string(), ..Row::default() };
    let head = |runs| Head::new(json!({}), runs);
    let told = |runs, shards: &[(usize, usize)]| {
        let counts: Vec<_> = shards.iter().map(|&(k, n)| (Some(Shard { k, of: 4 }), n)).collect();
        let rows = (0..counts.iter().map(|count| count.1).sum()).map(row).collect();
        missing(&SweepResults { head: head(runs), rows }, &counts).unwrap_or_default()
    };
    assert_eq!(told(Some(9), &[(1, 3), (2, 2), (3, 2), (4, 2)]), "");
    let some = "4 of 9 runs missing: shards 2, 4 of 4 have left no results";
    assert_eq!(told(Some(9), &[(1, 3), (3, 2)]), some);
    let some = "2 of 9 runs missing: shard 1 has 1 of 3";
    assert_eq!(told(Some(9), &[(1, 1), (2, 2), (3, 2), (4, 2)]), some);
    // A shard without runs need not leave results; an older version does not say how many there
    // are.
    assert_eq!(told(Some(3), &[(1, 1), (2, 1), (3, 1)]), "");
    assert_eq!(told(None, &[(1, 1), (2, 1), (3, 1)]), "shard 4 of 4 has left no results");
    let merged = SweepResults { head: head(Some(3)), rows: vec![row(0)] };
    assert_eq!(missing(&merged, &[(None, 1)]).as_deref(), Some("2 of 3 runs missing"));
}

#[test]
fn what_is_no_shard_is_refused() {
    assert_eq!(Shard::parse("3/8"), Ok(Shard { k: 3, of: 8 }));
    for text in ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", ""] {
        let e = Shard::parse(text).expect_err(text);
        assert!(e.help().contains("--shard 3/8"), "{text}: {e}");
    }
}

#[test]
fn an_axis_without_effect_and_too_many_runs_are_refused() {
    let fake = Fake::default();
    let e = list(&plan("x = [1, 2]\nunused = [1, 2]"), &fake, false).expect_err("no effect");
    assert!(e.to_string().starts_with("s.toml: axes.unused: has no effect"), "{e}");
    let many = "x = { range = [0, 2000] }\nseed = { range = [0, 2000] }";
    let e = list(&plan(many), &fake, false).expect_err("too many");
    assert!(e.help().contains("--yes"), "{e}");
    let listed = list(&plan("x = [1, 2, 2]"), &fake, false).expect("two runs");
    assert_eq!((listed.runs.len(), listed.repeated, listed.steps()), (2, 1, 4));
    assert_eq!(listed.told(), "2 runs; 1 with the same configuration");
}
