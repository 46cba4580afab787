//! What the tests that drive the binary share.
#![allow(dead_code)] // Each test uses its part.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A folder of its own for each test, with a configuration in it.
pub(crate) struct Place {
    folder: TempDir,
}

/// Every file below a folder, by its path from there.
pub(crate) type Files = BTreeMap<PathBuf, Vec<u8>>;

impl Place {
    /// A folder in which `c.toml` holds `config`.
    pub(crate) fn new(config: &str) -> Place {
        let place = Place { folder: tempfile::tempdir().expect("a temporary folder") };
        place.write("c.toml", config);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("not the root")).expect("a folder");
        fs::write(path, text).expect("writable");
    }

    /// The binary with arguments split at spaces, run in the folder.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgegrad"));
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        command.env_remove("RUST_LOG");
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Done {
        Done::from(self.command(arguments).output().expect("the binary runs"))
    }

    /// The same, which has to succeed; returns standard output.
    #[track_caller]
    pub(crate) fn succeed(&self, arguments: &str) -> String {
        let done = self.run(arguments);
        assert_eq!(done.code, 0, "{arguments}: {}", done.stderr);
        done.stdout
    }

    /// All files in the subfolder `name`, or in the whole folder.
    pub(crate) fn files(&self, name: &str) -> Files {
        let root = self.path(name);
        let mut files = Files::new();
        collect(&root, &root, &mut files);
        files
    }

    /// The lines of `run`/metrics.jsonl that are no `resume`.
    #[track_caller]
    pub(crate) fn metrics(&self, run: &str) -> Vec<String> {
        let path = self.path(run).join("metrics.jsonl");
        let text = fs::read_to_string(path).expect("a metrics file");
        assert!(text.ends_with('\n'), "{run}: the last line is cut off");
        text.lines().filter(|l| !l.contains(r#""event":"resume""#)).map(String::from).collect()
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Files) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("listed").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("below").to_path_buf();
            files.insert(name, fs::read(&path).expect("readable"));
        }
    }
}

/// Draws of a linear congruential generator: the same in each run of a test.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.uniform() * end as f64) as usize
    }

    /// From 0 to 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// How often what is random is tried: once unless `EDGEGRAD_ROUNDS` says more.
pub(crate) fn rounds() -> usize {
    let given = std::env::var("EDGEGRAD_ROUNDS").ok();
    given.map_or(1, |n| n.parse().expect("EDGEGRAD_ROUNDS is a number"))
}

/// How the binary ended.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let code = output.status.code().expect("not killed");
        Done { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Done {
    /// Standard error without the lines that tell the progress.
    pub(crate) fn messages(&self) -> Vec<&str> {
        self.stderr.lines().filter(|l| !l.contains(" steps/s ")).collect()
    }

    /// It failed with this exit code, one `error:` line that holds all of `parts`, and one `help:`
    /// line that holds `help`.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, parts: &[&str], help: &str) {
        let [error, advice] = self.messages()[..] else {
            panic!("not one error and one help line:\n{}", self.stderr);
        };
        println!("{error}\n{advice}\n");
        assert!(error.starts_with("error: "), "{error}");
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
        assert!(advice.starts_with("help: ") && advice.contains(help), "{help:?}: {advice}");
        assert_eq!(self.code, code, "{error}");
    }
}
