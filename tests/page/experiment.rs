//! A small experiment for all tests of the page: trained once, read and copied by each.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// One stage; the other arm has an easier one before it.
const SCRATCH: &str = "
    [task]
    p = 4
    seq_len = 6
    k = 3
    train = 96
    test = 48
    [model]
    d_model = 8
    d_mlp = 12
    [train]
    lr = 1e-2
    batch = 32
    log_every = 2
    eval_every = 20
    snapshot_every = 40
    circuit_every = 40
    [[stages]]
    name = 'p=4'
    steps = 400
";
const CURRICULUM: &str = "
    [[stages]]
    name = 'p=2'
    p = 2
    steps = 200
    [[stages]]
    name = 'p=4'
    steps = 200
";

/// Where the tests of this program work; removed when they start.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("page")
}

/// `scratch` and `curriculum`, two seeds each.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let folder = folder();
        let _ = fs::remove_dir_all(&folder); // The first time there is none.
        let root = folder.join("experiment");
        fs::create_dir_all(&root).expect("a folder");
        let shared = SCRATCH.split("[[stages]]").next().expect("a part");
        for (arm, config) in
            [("scratch", SCRATCH), ("curriculum", &*(shared.to_owned() + CURRICULUM))]
        {
            let file = folder.join(format!("{arm}.toml"));
            fs::write(&file, config).expect("writable");
            let out = root.join(arm);
            binary(&["train".as_ref(), &file, "--out".as_ref(), &out, "--seeds=2".as_ref()]);
        }
        root
    })
}

/// A copy of the experiment to spoil.
pub(crate) fn copy(name: &str) -> PathBuf {
    let to = root().with_file_name(name);
    copy_all(root(), &to);
    to
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("listed")) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

/// The page of a folder, as NAME.html, with the weights of seed 0.
pub(crate) fn page(of: &Path, name: &str) -> PathBuf {
    let out = folder().join(format!("{name}.html"));
    binary(&["report".as_ref(), of, "--seed=0".as_ref(), "--out".as_ref(), &out]);
    out
}

/// Runs the binary, which has to succeed.
#[track_caller]
pub(crate) fn binary(arguments: &[&Path]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgegrad"));
    let Output { status, stdout, stderr } =
        command.args(arguments).output().expect("the binary runs");
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("UTF-8")
}

/// The lines of one kind in a run's metrics.jsonl.
pub(crate) fn lines(run: &str, kind: &str) -> Vec<Value> {
    let text = fs::read_to_string(root().join(run).join("metrics.jsonl")).expect("metrics");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["kind"] == kind).collect()
}
