//! The layers of DESIGN, read from the sources: which folder of `src` may name which other, and
//! where `unsafe` may stand.
//!
//! Unit tests may use what they like; so may documentation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the bottom up, and what each may name as `crate::x`.
///
/// From `simd` to `experiments` the rooms of the engine stand on each other. What programs exchange
/// (`formats`) and what is made of it (`results`, `page`, `plot`, `export`) knows files and no
/// engine, so that a page of an old run needs nothing that has computed it.
const MAY_USE: [(&str, &[&str]); 33] = [
    ("error", &[]),
    ("named", &[]),
    ("system", &[]),
    ("interrupt", &["system", "error"]),
    ("ranks", &["error"]),
    ("memory", &["system", "error"]),
    ("rng", &[]),
    ("stats", &["rng"]),
    ("simd", &[]),
    ("gemm", &["simd"]),
    ("tensor", &["simd", "gemm", "system"]),
    ("tape", &["tensor", "simd", "gemm", "named"]),
    ("ops", &["tape", "tensor", "simd", "gemm"]),
    ("nn", &["ranks", "ops", "tape", "tensor", "simd", "gemm", "rng", "named", "error"]),
    ("files", &["simd", "interrupt", "ranks", "system", "error", "named"]),
    ("formats", &["files", "stats", "error", "named"]),
    ("text", &["formats", "files", "error", "named"]),
    ("tasks", &["formats", "files", "tensor", "simd", "rng", "error", "named"]),
    ("measures", &["nn", "tasks", "tape", "tensor", "simd", "rng", "stats", "named"]),
    (
        "checkpoints",
        &["nn", "ops", "tensor", "simd", "gemm", "formats", "files", "memory", "error", "named"],
    ),
    (
        "graph",
        &[
            "nn",
            "ops",
            "tape",
            "tensor",
            "simd",
            "gemm",
            "checkpoints",
            "formats",
            "files",
            "rng",
            "error",
            "named",
        ],
    ),
    (
        "patching",
        &[
            "memory",
            "ranks",
            "graph",
            "nn",
            "ops",
            "tape",
            "tensor",
            "simd",
            "gemm",
            "checkpoints",
            "formats",
            "files",
            "rng",
            "stats",
            "error",
            "named",
        ],
    ),
    (
        "attribution",
        &[
            "memory",
            "ranks",
            "text",
            "patching",
            "graph",
            "nn",
            "ops",
            "tape",
            "tensor",
            "simd",
            "gemm",
            "checkpoints",
            "formats",
            "files",
            "rng",
            "stats",
            "error",
            "named",
        ],
    ),
    (
        "discovery",
        &[
            "memory",
            "attribution",
            "patching",
            "graph",
            "nn",
            "ops",
            "tape",
            "tensor",
            "simd",
            "gemm",
            "checkpoints",
            "formats",
            "files",
            "rng",
            "stats",
            "error",
            "named",
        ],
    ),
    (
        "tuning",
        &[
            "memory",
            "interrupt",
            "discovery",
            "attribution",
            "patching",
            "graph",
            "nn",
            "ops",
            "tape",
            "tensor",
            "simd",
            "gemm",
            "checkpoints",
            "formats",
            "files",
            "rng",
            "stats",
            "error",
            "named",
        ],
    ),
    (
        "experiments",
        &[
            "system",
            "ranks",
            "memory",
            "interrupt",
            "tuning",
            "discovery",
            "attribution",
            "patching",
            "graph",
            "measures",
            "tasks",
            "nn",
            "ops",
            "tape",
            "tensor",
            "simd",
            "gemm",
            "checkpoints",
            "formats",
            "files",
            "rng",
            "stats",
            "error",
            "named",
        ],
    ),
    ("results", &["formats", "files", "stats", "error", "named"]),
    ("page", &["results", "formats", "files", "error", "named"]),
    ("plot", &["results", "formats", "files", "stats", "error", "named"]),
    ("export", &["plot", "results", "formats", "files", "stats", "error", "named"]),
    ("prelude", &["discovery", "patching", "graph", "checkpoints", "formats", "error"]),
    ("cli", &[]),  // Uses the library from outside, as `edgegrad::x`.
    ("main", &[]), // The same.
];

/// Where `unsafe` may stand; all other modules forbid it.
const MAY_BE_UNSAFE: [&str; 3] = ["simd/", "gemm/", "system.rs"];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All source files but unit tests: their path below `src`, with `/`, and their text.
fn files() -> Vec<(String, String)> {
    let (mut files, mut folders) = (vec![], vec![source()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src").map(|e| e.expect("src").path()) {
            let name = entry.file_name().and_then(|n| n.to_str()).expect("a name").to_string();
            if matches!(&*name, "tests" | "tests.rs" | "checks.rs") {
                continue;
            } else if entry.is_dir() {
                folders.push(entry);
            } else if name.ends_with(".rs") {
                let path = entry.strip_prefix(source()).expect("below src");
                let path = path.to_string_lossy().replace('\\', "/");
                files.push((path, fs::read_to_string(&entry).expect("UTF-8")));
            }
        }
    }
    assert!(files.len() > 40, "only {} files", files.len());
    files.sort();
    files
}

/// The lines of code: no comments, and nothing from the first `#[cfg(test)]` with a body on, which
/// always is the unit tests at the end of a file.
fn code(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let is_test = |i: &usize| {
        lines[*i].trim() == "#[cfg(test)]"
            && lines.get(i + 1).is_some_and(|l| l.starts_with("mod ") && l.ends_with('{'))
    };
    let end = (0..lines.len()).find(is_test).unwrap_or(lines.len());
    let bare = |l: &&str| l.split("//").next().unwrap_or_default().to_string();
    lines[..end].iter().map(bare).collect::<Vec<_>>().join("\n")
}

/// The module at the top of the crate that a file belongs to.
fn module(path: &str) -> &str {
    let first = path.split('/').next().unwrap_or(path);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// Every `x` in `crate::x` and in `use crate::{x, y::z}`.
fn names(code: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => drop(names.insert(word(rest))),
            Some(list) => {
                // Commas of the outer braces part the names.
                let mut depth = 0;
                let list = list.split(|c| {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    depth < 0 || (depth == 0 && c == ',')
                });
                names.extend(list.take_while(|part| !part.contains(';')).map(word));
            }
        }
    }
    names.remove("");
    names
}

#[test]
fn names_are_found() {
    let text = "use crate::{a, b::{c, d}, e::f};\nlet x = crate::g::h();\n// crate::i\nuse crate::j;\n\
                #[cfg(test)]\nmod tests {\n use crate::k; }";
    assert_eq!(names(&code(text)), ["a", "b", "e", "g", "j"].map(String::from).into());
}

#[test]
fn modules_use_only_what_lies_below_them() {
    let mut wrong = vec![];
    for (path, text) in files().iter().filter(|f| f.0 != "lib.rs") {
        let own = module(path);
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == own) else {
            panic!("{path}: give the new module `{own}` a line in the table of this test");
        };
        for used in names(&code(text)) {
            let good = used == own || allowed.contains(&used.as_str());
            if !good {
                wrong.push(format!("{path} uses crate::{used}; {own} may use {allowed:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Adding a method of attribution touches its file and one table.
#[test]
fn methods_of_attribution_are_named_by_their_file_and_the_table() {
    let folder = "attribution/method/";
    let all = files();
    let table = &all.iter().find(|f| f.0 == format!("{folder}mod.rs")).expect("the table").1;
    // Lines such as `Ifr = "ifr" in ifr,`.
    let row = |line: &str| Some(line.trim().strip_suffix(',')?.split_once(" = \"")?.0.to_string());
    let methods: Vec<String> =
        table.lines().filter(|l| l.contains("\" in ")).filter_map(row).collect();
    assert!(methods.len() >= 9, "{methods:?}");
    // The task knows of methods of tuning, some of which have the same names.
    let outside = |path: &str| !path.starts_with(folder) && !path.starts_with("experiments/tune/");
    for (path, text) in all.iter().filter(|f| outside(&f.0)) {
        let code = code(text);
        for method in &methods {
            let named = code.split("Method::").skip(1).any(|rest| {
                rest.split(|c: char| !c.is_alphanumeric()).next() == Some(method.as_str())
            });
            assert!(!named, "{path} names Method::{method}: ask the method instead");
        }
    }
    // One whose name is no other word.
    let word =
        |text: &str| text.split(|c: char| !c.is_alphanumeric()).any(|w| w == "ifr" || w == "Ifr");
    let naming: Vec<&str> = all.iter().filter(|f| word(&f.1)).map(|f| f.0.as_str()).collect();
    assert_eq!(naming, [format!("{folder}ifr.rs"), format!("{folder}mod.rs")]);
}

/// What is read from Linux and what is compiled for some systems alone. A signal is one of
/// `interrupt`; `disk` records, in tests, what was forced to it.
#[test]
fn one_room_asks_which_system_this_is() {
    let may = ["system.rs", "interrupt.rs", "files/disk.rs", "experiments/train/power_cut.rs"];
    for (path, text) in files().iter().filter(|f| !may.contains(&f.0.as_str())) {
        let code = code(text);
        for word in [
            "cfg(unix",
            "cfg(windows",
            "not(unix",
            "target_os",
            "std::os::",
            "\"/proc/",
            "\"/sys/",
            "rustix::",
        ] {
            assert!(!code.contains(word), "{path} has {word}: put it into system.rs");
        }
    }
}

/// rustfmt leaves them as they are.
#[test]
fn comments_keep_to_100_columns() {
    for (path, text) in files() {
        for (i, line) in text.lines().enumerate().filter(|(_, l)| l.trim_start().starts_with("//"))
        {
            let table = line.contains("//! |") || line.contains("/// |");
            let columns = line.chars().count();
            assert!(columns <= 100 || table, "{path}:{}: {columns} columns", i + 1);
        }
    }
}

#[test]
fn unsafe_stays_where_it_is_argued_for() {
    let may = |path: &str| MAY_BE_UNSAFE.iter().any(|p| path.starts_with(p));
    let mut roots = 0;
    for (path, text) in files() {
        let code = code(&text).replace("#![forbid(unsafe_code)]", "");
        let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        assert!(may(&path) || !words.any(|w| w == "unsafe"), "{path} is unsafe");
        // The file that is the root of a module at the top, or of the binary.
        let own = module(&path);
        let root = path == format!("{own}.rs") || path == format!("{own}/mod.rs");
        let exempt = ["simd", "gemm", "system", "lib", "cli"].contains(&own);
        if root && !exempt {
            roots += 1;
            assert!(text.contains("#![forbid(unsafe_code)]"), "{path} does not forbid unsafe code");
        }
    }
    assert!(roots >= 10, "only {roots} modules were seen");
}
