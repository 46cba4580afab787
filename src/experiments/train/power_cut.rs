//! A power cut at any moment of a run: what was forced to the disk by then is enough to go on from
//! the newest checkpoint that was published, to the same weights.
//!
//! `EDGEGRAD_ROUNDS=N` makes the run N times as long, and the moments as many.

use super::config::Config;
use super::{Existing, run};
use crate::experiments::Steps;
use crate::files::disk::record::{Step, cut, steps};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

const CONFIG: &str = "
    [task]
    p = 2
    seq_len = 4
    k = 2
    train = 16
    test = 4
    [model]
    d_model = 4
    [train]
    lr = 1e-2
    batch = 4
    eval_every = 5
    checkpoint_every = 10
    snapshot_every = 20
";

/// How many steps an earlier process had done.
#[derive(Default)]
struct Skipped(AtomicU64);

impl Steps for Skipped {
    fn add(&self, _: u64) {}

    fn skip(&self, steps: u64) {
        self.0.fetch_add(steps, Ordering::Relaxed);
    }
}

/// The newest checkpoint whose name was forced to the disk.
fn published(steps: &[Step]) -> u64 {
    let names = steps.iter().filter_map(|step| match step {
        Step::Names(_, names) => Some(names.keys()),
        Step::Content(..) => None,
    });
    let number = |name: &std::ffi::OsString| name.to_str()?.strip_prefix("step-")?.parse().ok();
    names.flatten().filter_map(number).max().unwrap_or(0)
}

#[test]
fn every_power_cut_leaves_the_newest_checkpoint() {
    let t = tempfile::tempdir().unwrap();
    let at = |name: String| t.path().join(name);
    fs::write(at("c.toml".into()), CONFIG).unwrap();
    let rounds = std::env::var("EDGEGRAD_ROUNDS");
    let last = 40 * rounds.map_or(1, |n| n.parse::<u64>().expect("a number"));
    let config = Config::read(at("c.toml".into()), &[format!("train.steps={last}")]).unwrap();
    let whole = at("whole".into());
    let go = |folder: &Path| {
        let skipped = Skipped::default();
        let existing = if folder.exists() { Existing::Resume } else { Existing::Refuse };
        run::<f32>(&config, folder, existing, &skipped).unwrap();
        let weights = fs::read(folder.join("checkpoints/final/model.safetensors")).unwrap();
        (weights, skipped.0.into_inner())
    };
    let mut weights = vec![];
    let steps = steps(&whole, || weights = go(&whole).0);
    let root = fs::metadata(&whole).unwrap().ino();
    assert_eq!(published(&steps), last - 10, "the last one is called final");
    for n in 0..=steps.len() {
        let folder = at(format!("cut-{n}"));
        cut(root, &steps[..n], &folder);
        let (after, skipped) = go(&folder);
        let newest = published(&steps[..n]);
        assert!(skipped >= newest, "cut {n}: {newest} steps were kept, {skipped} found");
        assert!(after == weights, "cut {n}: other weights");
    }
    eprintln!("{} power cuts, all went on", steps.len() + 1);
}
