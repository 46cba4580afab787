//! What README and GUIDE show is what the commands print, and every link leads somewhere.
//!
//! In a block of the kind `console`, a line that begins with `$ ` is a command and the lines below
//! it are what it prints; `..` stands for any lines. Commands run from the top of a document to its
//! end in one folder, where `tests` and `examples` are the repository's and every `toml` block that
//! begins with its name is a file. Times, sizes, processors and rounding errors are masked.
//!
//! After a change of an output, `UPDATE_DOCUMENTS=1 cargo test --test documents` writes it.
#![cfg(unix)]

use edgegrad::simd::{Backend, backend};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

/// Why the output of a command is not compared by `cargo test`.
enum Instead {
    /// It takes too long there; `.ci/run` compares it.
    InCi,
    /// It was measured once: the lines are in this file.
    Recorded(&'static str),
    /// It cannot be compared.
    Never,
}

/// Commands that are not run, by their beginning; the last that fits counts.
const NOT_RUN: [(&str, Instead); 14] = [
    // Half a minute of training after compiling; `.ci/run` checks the rates of a smaller one.
    ("cargo run --example curriculum", Instead::Never),
    ("cargo run --example discovery", Instead::InCi),
    ("cargo test", Instead::Never),
    ("cargo install", Instead::Never),
    // Shapley values take seconds in the release profile, and tests are compiled for less speed.
    ("edgegrad truth tests/fixtures/gates --", Instead::InCi),
    // Minutes, on models that are trained first.
    ("edgegrad truth --base", Instead::Never),
    // A minute of training, whose last bits depend on the instruction set; so do all models made of
    // it.
    ("edgegrad pretrain", Instead::Never),
    ("edgegrad tune ", Instead::Never),
    (
        "edgegrad tune-compare examples/tuning/e1.toml",
        Instead::Recorded("benches/record/2026-11-23-tuning-bases.txt"),
    ),
    // Hours.
    ("edgegrad tune-study", Instead::Never),
    ("edgegrad sweep examples/studies", Instead::Never),
    // Of runs that take minutes.
    ("edgegrad predict", Instead::Recorded("benches/record/2026-11-29-why.txt")),
    // Of a build with MPI; `tests/mpi.rs` runs the same.
    ("mpirun", Instead::Never),
    // It serves until it is stopped.
    ("edgegrad watch", Instead::Never),
];

fn instead(command: &str) -> Option<&'static Instead> {
    NOT_RUN.iter().rev().find(|(start, _)| command.starts_with(start)).map(|(_, what)| what)
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A text file of the repository.
struct Document {
    path: PathBuf,
    lines: Vec<String>,
}

/// A command of a document, and where what it prints is shown.
struct Shown {
    text: String,
    /// Its line, from 0.
    at: usize,
    /// The first line below its output.
    end: usize,
}

impl Document {
    fn read(name: &str) -> Document {
        let path = repository().join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        Document { path, lines: text.lines().map(String::from).collect() }
    }

    /// All documents: those at the root, and those of `docs`.
    fn all() -> Vec<Document> {
        let mut names = vec![];
        for folder in ["", "docs/"] {
            let entries = fs::read_dir(repository().join(folder)).expect("a folder");
            let files =
                entries.map(|e| e.expect("listed").file_name().into_string().expect("UTF-8"));
            names.extend(files.filter(|f| f.ends_with(".md")).map(|f| format!("{folder}{f}")));
        }
        names.extend(["benches/peers/README.md".into(), "tests/fixtures/tracr/README.md".into()]);
        names.sort();
        names.iter().map(|name| Document::read(name)).collect()
    }

    fn place(&self, line: usize) -> String {
        let path = self.path.strip_prefix(repository()).unwrap_or(&self.path);
        format!("{}:{}", path.display(), line + 1)
    }

    /// The blocks of a kind: the lines between the fences, as ranges.
    fn blocks(&self, kind: &str) -> Vec<std::ops::Range<usize>> {
        let mut blocks = vec![];
        let mut open: Option<(usize, &str)> = None;
        for (i, line) in self.lines.iter().enumerate() {
            match (line.strip_prefix("```"), open) {
                (Some(name), None) => open = Some((i + 1, name)),
                (Some(_), Some((start, name))) => {
                    if name == kind {
                        blocks.push(start..i);
                    }
                    open = None;
                }
                (None, _) => {}
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", self.place(0));
        blocks
    }

    /// The lines outside of blocks, with their numbers.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut inside = false;
        self.lines.iter().enumerate().filter_map(move |(i, line)| {
            let fence = line.starts_with("```");
            inside ^= fence;
            (!inside && !fence).then_some((i, &**line))
        })
    }

    fn commands(&self) -> Vec<Shown> {
        let mut all: Vec<Shown> = vec![];
        for block in self.blocks("console") {
            for at in block {
                match (self.lines[at].strip_prefix("$ "), all.last_mut()) {
                    (Some(text), _) => all.push(Shown { text: text.into(), at, end: at + 1 }),
                    (None, Some(last)) if last.end == at => last.end += 1,
                    (None, _) => panic!("{}: a block begins with no command", self.place(at)),
                }
            }
        }
        all
    }

    /// The names of its headings in links.
    fn anchors(&self) -> Vec<String> {
        let anchor = |heading: &str| {
            let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        };
        let headings = self.prose().filter(|(_, line)| line.starts_with('#'));
        headings.map(|(_, line)| anchor(line.trim_start_matches('#'))).collect()
    }
}

/// A folder in which the commands of a document run.
struct Place(TempDir);

impl Place {
    fn new(document: &Document) -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["tests", "examples"] {
            symlink(repository().join(name), folder.path().join(name)).expect("a link");
        }
        fs::create_dir(folder.path().join("bin")).expect("a folder");
        symlink(env!("CARGO_BIN_EXE_edgegrad"), folder.path().join("bin/edgegrad"))
            .expect("a link");
        for block in document.blocks("toml") {
            let lines = &document.lines[block];
            let name = lines[0].strip_prefix("# ").filter(|name| name.ends_with(".toml"));
            if let Some(name) = name {
                fs::write(folder.path().join(name), lines.join("\n")).expect("writable");
            }
        }
        Place(folder)
    }

    fn run(&self, script: &str) -> Output {
        let folder = self.0.path();
        let path = std::env::var("PATH").unwrap_or_default();
        Command::new("sh")
            .args(["-c", script])
            .current_dir(folder)
            .env("PATH", format!("{}:{path}", folder.join("bin").display()))
            .env_remove("RUST_LOG")
            .output()
            .expect("sh runs")
    }
}

/// What can differ between two runs or two machines is taken out; of changed lines, spaces too.
fn masked<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    // In a table whose last column is a time.
    let mut timed = false;
    lines.map(|line| mask(line, &mut timed)).collect()
}

fn mask(line: &str, timed: &mut bool) -> String {
    let line = line.trim_end();
    for start in ["machine: ", "kernels: "] {
        if line.starts_with(start) {
            return format!("{start}#");
        }
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut shown: Vec<&str> = words.clone();
    let number = |word: &str| word.trim_end_matches(',').parse::<f64>();
    for (i, word) in words.iter().enumerate() {
        let bare = word.trim_matches(['(', ')', ',', ';']);
        let Ok(x) = number(bare) else { continue };
        let unit = words.get(i + 1).map_or("", |w| w.trim_end_matches([',', ';']));
        let measured = ["s", "ms", "MB", "threads"].contains(&unit);
        let rounding = x != 0.0 && x.abs() < 1e-10;
        // Training: other instruction sets round differently, and steps carry that on.
        let loss = i > 0 && words[i - 1] == "loss";
        if measured || rounding || loss || (*timed && i + 1 == words.len()) {
            shown[i] = "#";
        }
    }
    *timed = match words.last() {
        Some(&"seconds") => true,
        _ if line.ends_with("seconds in all") => true,
        None => false,
        Some(_) => *timed,
    };
    if shown == words { line.into() } else { shown.join(" ") }
}

/// Whether `actual` is `expected`, where `..` stands for any lines.
fn agree(expected: &[String], actual: &[String]) -> bool {
    match expected.split_first() {
        None => actual.is_empty(),
        Some((first, rest)) if first == ".." => {
            (0..=actual.len()).any(|skipped| agree(rest, &actual[skipped..]))
        }
        Some((first, rest)) => {
            actual.first().is_some_and(|line| is_expected(first, line)) && agree(rest, &actual[1..])
        }
    }
}

/// Whether a line is the expected one. The documents were written with AVX2; with other kernels it
/// may have their roundings.
fn is_expected(expected: &str, actual: &str) -> bool {
    expected == actual || backend() != Backend::Avx2 && alike(expected, actual)
}

/// Whether two lines are the same but for the roundings of another instruction set, on which a
/// pass in single precision agrees to 1e-5, as with other people's code. Counts are the same.
fn alike(expected: &str, actual: &str) -> bool {
    // A word that is no fraction has no roundings.
    let number = |word: &str| {
        let bare = word.trim_matches(['(', ')', ',', ';']);
        bare.contains('.').then(|| bare.parse::<f64>().ok()).flatten()
    };
    let close = |(a, b): (&str, &str)| {
        let rounded = number(a).zip(number(b));
        a == b || rounded.is_some_and(|(a, b)| (a - b).abs() <= 1e-5 * a.abs().max(b.abs()))
    };
    let words = |line: &str| line.split_whitespace().count();
    expected == actual
        || words(expected) == words(actual)
            && expected.split_whitespace().zip(actual.split_whitespace()).all(close)
}

#[test]
fn roundings_are_alike_and_other_numbers_are_not() {
    assert!(alike("logit-diff -2.427109 clean,", "logit-diff -2.427108 clean,"));
    assert!(!alike("logit-diff -2.427109 clean,", "logit-diff -2.427209 clean,"));
    assert!(!alike("12 edges", "13 edges") && !alike("12 edges", "12 nodes"));
    assert!(!alike("96000 steps", "96001 steps"));
    assert!(!alike("12 edges", "12 edges more"));
}

/// Runs the commands of a document that `chosen` takes, and compares what they print.
fn compare(name: &str, chosen: impl Fn(&str) -> bool) {
    let mut document = Document::read(name);
    let place = Place::new(&document);
    let (mut variables, mut wrong) = (String::new(), vec![]);
    let commands = document.commands();
    assert!(!commands.is_empty());
    for Shown { text, at, end } in commands {
        let expected = &document.lines[at + 1..end];
        let variable = text.split_once('=').is_some_and(|(name, _)| name.len() == 1);
        if variable {
            variables += &format!("{text}\n");
            continue;
        }
        if !chosen(&text) {
            continue;
        }
        // Programs are compiled where this one was, and not in the folder they run in.
        let manifest =
            format!("cargo run --quiet --manifest-path {}/Cargo.toml ", repository().display());
        let script = text.replacen("cargo run ", &manifest, 1);
        let output = place.run(&format!("{variables}{script}"));
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {text}\n{errors}", document.place(at));
        let same = agree(&masked(expected.iter().map(|l| &**l)), &masked(printed.lines()));
        if !same {
            let printed: Vec<String> = printed.lines().map(|l| l.trim_end().into()).collect();
            wrong.push((at, end, printed));
        }
    }
    let shown = |(at, _, printed): &(usize, usize, Vec<String>)| {
        format!("{}: {}\n{}", document.place(*at), document.lines[*at], printed.join("\n"))
    };
    let report: Vec<String> = wrong.iter().map(shown).collect();
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        for (at, end, printed) in wrong.into_iter().rev() {
            document.lines.splice(at + 1..end, printed);
        }
        fs::write(&document.path, document.lines.join("\n") + "\n").expect("writable");
        return;
    }
    assert!(report.is_empty(), "not what these print today:\n\n{}", report.join("\n\n"));
}

#[test]
fn the_readme_shows_what_its_commands_print() {
    compare("README.md", |command| instead(command).is_none());
}

#[test]
fn the_guide_shows_what_its_commands_print() {
    compare("GUIDE.md", |command| instead(command).is_none());
}

#[test]
#[ignore = "compiles examples and takes long at the level of tests: run it by hand"]
fn the_guide_shows_what_its_slow_commands_print() {
    compare("GUIDE.md", |command| matches!(instead(command), Some(Instead::InCi)));
}

#[test]
fn what_is_not_run_was_recorded_or_has_known_options() {
    let documents = Document::all();
    let mut used = vec![false; NOT_RUN.len()];
    for document in &documents {
        let run =
            ["README.md", "GUIDE.md"].iter().any(|name| document.path == repository().join(name));
        for Shown { text, at, end } in document.commands() {
            let Some(what) = instead(&text) else {
                assert!(run, "{}: no test runs it: show it in GUIDE.md", document.place(at));
                continue;
            };
            used[NOT_RUN.iter().position(|(_, w)| std::ptr::eq(w, what)).expect("one of them")] =
                true;
            if let Instead::Recorded(file) = what {
                let record = Document::read(file);
                let lines: Vec<&str> = record.lines.iter().map(|l| l.trim_end()).collect();
                for line in document.lines[at + 1..end].iter().filter(|l| *l != "..") {
                    let there = lines.contains(&line.trim_end());
                    assert!(there, "{}: not in {file}: {line}", document.place(at));
                }
            }
            let Some(arguments) = text.strip_prefix("edgegrad ") else { continue };
            let mut words = arguments.split_whitespace();
            let command = words.next().expect("a command");
            let help = Place::new(document).run(&format!("edgegrad {command} --help"));
            let help = String::from_utf8(help.stdout).expect("UTF-8");
            for option in
                words.take_while(|w| *w != "|" && *w != "#").filter(|w| w.starts_with("--"))
            {
                let known = help.split_whitespace().any(|word| word == option);
                assert!(known, "{}: {command} has no {option}", document.place(at));
            }
        }
    }
    let unused: Vec<&str> =
        NOT_RUN.iter().zip(used).filter(|(_, used)| !used).map(|((start, _), _)| *start).collect();
    assert!(unused.is_empty(), "no document has {unused:?}");
}

#[test]
fn the_guide_has_every_command() {
    let guide = Document::read("GUIDE.md");
    let help = Place::new(&guide).run("edgegrad --help");
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    // In groups, each below its head.
    let groups = help.lines().skip_while(|l| *l != "Models:").take_while(|l| *l != "Options:");
    let listed = groups.filter_map(|l| l.strip_prefix("  "));
    let names: Vec<&str> = listed.filter_map(|l| l.split_whitespace().next()).collect();
    assert!(names.len() > 10, "{help}");
    for name in names.into_iter().filter(|name| *name != "help") {
        let call = format!("edgegrad {name}");
        let there = guide.lines.iter().any(|line| {
            line.split(&call)
                .skip(1)
                .any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-'))
        });
        assert!(there, "GUIDE.md does not show `{call}`");
    }
}

#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for document in Document::all() {
        for (i, line) in document.prose() {
            for rest in line.split("](").skip(1) {
                let target = rest.split(')').next().expect("the first part");
                if target.starts_with("https://") || target.starts_with("http://") {
                    continue;
                }
                links += 1;
                let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
                let folder = document.path.parent().expect("in a folder");
                let path = if file.is_empty() { document.path.clone() } else { folder.join(file) };
                assert!(path.exists(), "{}: there is no {target}", document.place(i));
                if !anchor.is_empty() {
                    let inside = path.strip_prefix(repository()).unwrap_or(&path);
                    let there = Document::read(&inside.to_string_lossy()).anchors();
                    let found = there.iter().any(|a| a == anchor);
                    assert!(found, "{}: {target} is none of {there:?}", document.place(i));
                }
            }
        }
    }
    assert!(links > 20, "{links} links");
}

#[test]
fn documents_keep_to_their_size() {
    for document in Document::all() {
        let long = document.prose().find(|(_, line)| line.chars().count() > 100 && !is_row(line));
        if let Some((i, line)) = long {
            panic!("{}: {} columns", document.place(i), line.chars().count());
        }
    }
    let readme = Document::read("README.md");
    assert!(readme.lines.len() <= 160, "README.md has {} lines", readme.lines.len());
    let mut rows = 0;
    for (i, line) in readme.prose() {
        rows = if is_row(line) { rows + 1 } else { 0 };
        assert!(rows <= 7, "{}: a table of more than five rows", readme.place(i));
    }
}

fn is_row(line: &str) -> bool {
    line.starts_with('|')
}

#[test]
fn masks_take_out_what_differs_between_machines_and_nothing_else() {
    let all = |text: &str| masked(text.lines());
    assert_eq!(all("46 edges in 0.02 s"), all("46 edges in 12.5 s"));
    assert_ne!(all("46 edges in 0.02 s"), all("47 edges in 0.02 s"));
    assert_eq!(
        all("model  F1   seconds\nor     0.4     0.00"),
        all("model  F1   seconds\nor     0.4    11.25")
    );
    assert_ne!(
        all("model  F1   seconds\nor     0.4     0.00"),
        all("model  F1   seconds\nor     0.5     0.00")
    );
    assert_eq!(
        all("at most 1.78e-15 apart (3.68e-16 of it)"),
        all("at most 2e-15 apart (4e-16 of it)")
    );
    assert_ne!(all("score 0.25"), all("score 0.26"));
    let lines = |text: &str| text.lines().map(String::from).collect::<Vec<_>>();
    assert!(agree(&lines("a\n..\nd"), &lines("a\nb\nc\nd")));
    assert!(!agree(&lines("a\n..\nd"), &lines("a\nb\nc")));
}
