//! The page's script: the modules below `assets`, linked into one text.
//!
//! The sources are ES modules. A browser does not load modules out of the file that names them, and
//! the content policy lets nothing be fetched, so each module becomes a function with a scope of
//! its own that returns what it exports. They are called in the order of their imports, each once.
//!
//! Of the syntax of modules the linker knows what the sources use:
//! `import { a, b as c } from "./x.js";` at the top of a file, and `export` before a `const` or a
//! function at the start of a line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

/// The modules below `assets`, by the path each is imported by.
macro_rules! modules {
    ($($path:literal,)*) => {
        &[$(($path, include_str!(concat!("assets/", $path)))),*]
    };
}

const MODULES: &[(&str, &str)] = modules![
    "attention.js",
    "circuits/chart.js",
    "circuits/circuits.js",
    "circuits/compare.js",
    "circuits/controls.js",
    "circuits/curve.js",
    "circuits/detail.js",
    "circuits/graph.js",
    "circuits/hits.js",
    "circuits/interactions.js",
    "circuits/layout.js",
    "circuits/legend.js",
    "circuits/list.js",
    "circuits/nodes.js",
    "circuits/numbers.js",
    "circuits/order.js",
    "circuits/partners.js",
    "circuits/patched.js",
    "circuits/picture.js",
    "circuits/scatter.js",
    "circuits/scene.js",
    "circuits/sources.js",
    "circuits/threshold.js",
    "curves.js",
    "data.js",
    "dom.js",
    "edge-name.js",
    "explorer/arm.js",
    "explorer/controls.js",
    "explorer/explorer.js",
    "explorer/matrix-rows.js",
    "explorer/matrix.js",
    "explorer/neurons.js",
    "explorer/palette.js",
    "explorer/panels.js",
    "explorer/places.js",
    "explorer/plane-fit.js",
    "explorer/plane.js",
    "explorer/points.js",
    "explorer/regions.js",
    "explorer/samples.js",
    "explorer/simplex.js",
    "explorer/slice.js",
    "figure.js",
    "language/edges.js",
    "language/flow.js",
    "language/heads.js",
    "language/logits.js",
    "language/look.js",
    "language/pattern.js",
    "language/places.js",
    "language/scene.js",
    "language/strip.js",
    "language/words.js",
    "model.js",
    "numbers.js",
    "packing.js",
    "page.js",
    "pretraining.js",
    "runs.js",
    "seeds/chooser.js",
    "seeds/seeds.js",
    "state.js",
    "table.js",
    "theme.js",
    "time.js",
    "training.js",
    "tuning/control.js",
    "tuning/details.js",
    "tuning/figures.js",
    "tuning/labels.js",
    "tuning/path.js",
    "tuning/plane.js",
    "tuning/tuning.js",
    "tuning/zoom.js",
    "zoom.js",
];

/// The module that draws the page: what it imports, directly or not, is the script.
const ENTRY: &str = "page.js";

/// What the modules find ready: uPlot and modules of d3, each a script that sets a global name.
const LIBRARIES: &str = concat!(
    include_str!("assets/vendor/uPlot.iife.min.js"),
    "\n",
    include_str!("assets/vendor/d3-array.min.js"),
    include_str!("assets/vendor/d3-color.min.js"),
    include_str!("assets/vendor/d3-format.min.js"),
    include_str!("assets/vendor/d3-interpolate.min.js"),
    include_str!("assets/vendor/d3-time.min.js"),
    include_str!("assets/vendor/d3-time-format.min.js"),
    include_str!("assets/vendor/d3-scale.min.js"),
    include_str!("assets/vendor/d3-path.min.js"),
    include_str!("assets/vendor/d3-shape.min.js"),
    include_str!("assets/vendor/d3-contour.min.js"),
);

/// The whole script: the libraries, then the linked modules.
///
/// # Panics
/// If the modules cannot be linked, which a test rules out for those of this crate.
pub(super) fn script() -> &'static str {
    static SCRIPT: LazyLock<String> = LazyLock::new(|| match link(MODULES, ENTRY) {
        Ok(modules) => format!("{LIBRARIES}\n{modules}"),
        Err(problem) => panic!("the page's modules: {problem}"),
    });
    &SCRIPT
}

/// One module, taken apart.
#[derive(Debug, PartialEq)]
struct Module {
    /// Paths from `assets`, each with the names between its braces.
    imports: Vec<(String, Vec<Import>)>,
    exports: Vec<String>,
    /// The text without its imports and without `export`.
    body: String,
}

/// `exported as local`.
#[derive(Debug, PartialEq)]
struct Import {
    exported: String,
    local: String,
}

impl Module {
    /// Takes apart the text of the module at `path`.
    ///
    /// # Errors
    /// If it has an import or an export of another form, or an import below its top.
    fn parse(path: &str, text: &str) -> Result<Module, String> {
        let (mut imports, mut exports, mut body) = (vec![], vec![], String::new());
        let mut top = true;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let fail = |problem: &str| Err(format!("{path}: {problem}: {line}"));
            if line.starts_with("import ") && top {
                let mut statement = line.to_string();
                while !statement.ends_with(';') {
                    let Some(more) = lines.next() else { return fail("an import without an end") };
                    statement += more;
                }
                match parse_import(path, &statement) {
                    Some(import) => imports.push(import),
                    None => return fail("an import of a form that is not linked"),
                }
                continue;
            }
            if line.starts_with("import ") {
                return fail("an import below the top");
            }
            let comment = ["//", "/*", " *"].iter().any(|mark| line.starts_with(mark));
            top &= line.is_empty() || comment;
            let code = match line.strip_prefix("export ") {
                Some(code) => {
                    let Some(name) = declared(code) else {
                        return fail("an export of a form that is not linked");
                    };
                    exports.push(name.to_string());
                    code
                }
                None => line,
            };
            body += code;
            body.push('\n');
        }
        Ok(Module { imports, exports, body })
    }
}

/// The path from `assets` and the names of `import { a, b as c } from "../x.js";` in the module
/// `path`.
fn parse_import(path: &str, statement: &str) -> Option<(String, Vec<Import>)> {
    let (names, from) = statement.strip_prefix("import {")?.split_once("} from \"")?;
    let from = from.strip_suffix("\";")?;
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    let import = |name: &str| {
        let (exported, local) = name.split_once(" as ").unwrap_or((name, name));
        Import { exported: exported.into(), local: local.into() }
    };
    let mut folder: Vec<&str> = path.split('/').collect();
    folder.pop();
    for part in from.split('/') {
        match part {
            "." => {}
            ".." => {
                folder.pop()?;
            }
            _ => folder.push(part),
        }
    }
    from.starts_with('.').then(|| (folder.join("/"), names.map(import).collect()))
}

/// The name that a `const` or a function declares.
fn declared(code: &str) -> Option<&str> {
    let kinds = ["const ", "function* ", "function ", "async function "];
    let rest = kinds.iter().find_map(|kind| code.strip_prefix(kind))?;
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))?;
    (end > 0).then(|| &rest[..end])
}

/// The modules that `entry` needs, each after those it imports.
///
/// # Errors
/// If a module is missing, imports what is not exported, or imports itself by way of others.
fn order<'a>(
    modules: &'a BTreeMap<&'a str, Module>,
    entry: &'a str,
) -> Result<Vec<&'a str>, String> {
    fn visit<'a>(
        modules: &'a BTreeMap<&'a str, Module>,
        path: &'a str,
        way: &mut Vec<&'a str>,
        done: &mut Vec<&'a str>,
    ) -> Result<(), String> {
        if done.contains(&path) {
            return Ok(());
        }
        way.push(path);
        if way[..way.len() - 1].contains(&path) {
            return Err(format!("a circle of imports: {}", way.join(" -> ")));
        }
        for (from, names) in &modules[path].imports {
            let Some((from, module)) = modules.get_key_value(from.as_str()) else {
                return Err(format!("{path}: there is no module {from}"));
            };
            if let Some(Import { exported, .. }) =
                names.iter().find(|name| !module.exports.contains(&name.exported))
            {
                return Err(format!("{path}: {from} does not export {exported}"));
            }
            visit(modules, from, way, done)?;
        }
        way.pop();
        done.push(path);
        Ok(())
    }
    let Some((entry, _)) = modules.get_key_value(entry) else {
        return Err(format!("there is no module {entry}"));
    };
    let mut done = vec![];
    visit(modules, entry, &mut vec![], &mut done)?;
    Ok(done)
}

fn parse_all<'a>(sources: &[(&'a str, &str)]) -> Result<BTreeMap<&'a str, Module>, String> {
    sources.iter().map(|&(path, text)| Ok((path, Module::parse(path, text)?))).collect()
}

/// One script of what `entry` needs.
///
/// # Errors
/// Those of [`Module::parse`] and [`order`].
fn link(sources: &[(&str, &str)], entry: &str) -> Result<String, String> {
    let modules = parse_all(sources)?;
    let mut script = String::from("(async function () {\n\"use strict\";\nconst modules = {};\n");
    for path in order(&modules, entry)? {
        let Module { imports, exports, body } = &modules[path];
        let _ = writeln!(script, "// {path}\nmodules[\"{path}\"] = await (async function () {{");
        for (from, names) in imports {
            let names: Vec<String> =
                names
                    .iter()
                    .map(|Import { exported, local }| {
                        if exported == local {
                            local.clone()
                        } else {
                            format!("{exported}: {local}")
                        }
                    })
                    .collect();
            let _ = writeln!(script, "const {{ {} }} = modules[\"{from}\"];", names.join(", "));
        }
        let _ = writeln!(script, "{body}return {{ {} }};\n}})();", exports.join(", "));
    }
    Ok(script + "})();\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    /// Paths from `folder` of the scripts below it, without those of others.
    fn scripts(folder: &Path, below: &str) -> Vec<String> {
        let mut found = vec![];
        for entry in fs::read_dir(folder.join(below)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            if entry.path().is_dir() {
                if !["vendor", "node_modules"].contains(&&*path) {
                    found.extend(scripts(folder, &path));
                }
            } else if path.ends_with(".js") {
                found.push(path);
            }
        }
        found.sort();
        found
    }

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn every_file_is_a_module_that_the_page_needs() {
        let mut files = scripts(&root().join("src/page/assets"), "");
        // A script of its own, in a page that is served.
        files.retain(|file| file != "live.js");
        let table: Vec<&str> = MODULES.iter().map(|module| module.0).collect();
        assert_eq!(table, files, "MODULES are the files, in order");
        let modules = parse_all(MODULES).unwrap();
        let needed: BTreeSet<&str> = order(&modules, ENTRY).unwrap().into_iter().collect();
        let all: BTreeSet<&str> = modules.keys().copied().collect();
        assert_eq!(all.difference(&needed).collect::<Vec<_>>(), [&""; 0], "imported by nobody");
    }

    #[test]
    fn every_export_is_imported_by_a_module_or_a_test() {
        let modules = parse_all(MODULES).unwrap();
        let tests = root().join("tests/page-js");
        let texts: Vec<(String, String)> = scripts(&tests, "")
            .into_iter()
            .map(|file| (format!("tests/{file}"), fs::read_to_string(tests.join(file)).unwrap()))
            .collect();
        let of_modules = MODULES.iter().map(|&(path, text)| (path.to_string(), text.to_string()));
        let mut used = BTreeSet::new();
        for (path, text) in of_modules.chain(texts) {
            // A test's paths begin at its own folder; its other imports are of packages.
            let text = text.replace("../../src/page/assets/", "../");
            for statement in text.split("import {").skip(1) {
                let statement = statement.split_inclusive(';').next().unwrap();
                let import = parse_import(&path, &format!("import {{{statement}"));
                if let Some((from, names)) = import {
                    used.extend(names.into_iter().map(|name| (from.clone(), name.exported)));
                }
            }
        }
        for (path, module) in &modules {
            for name in &module.exports {
                let used = used.contains(&((*path).to_string(), name.clone()));
                assert!(used, "{path} exports {name} and nobody imports it");
            }
        }
    }

    #[test]
    fn modules_run_after_what_they_import_and_see_only_that() {
        let sources = [
            ("a.js", "// A.\n\nimport { two as b } from \"./in/b.js\";\n\nf(b);\n"),
            (
                "in/b.js",
                "/* global g */\nimport {\n  one,\n} from \"../c.js\";\nexport const two = one + 1;\n",
            ),
            ("c.js", "export const one = 1;\nexport async function* no() {}\n"),
        ];
        let fail = link(&sources, "a.js").unwrap_err();
        assert_eq!(
            fail,
            "c.js: an export of a form that is not linked: export async function* no() {}"
        );
        let mut sources = sources;
        sources[2].1 = "export const one = 1;\nexport function no() {}\n";
        let script = link(&sources, "a.js").unwrap();
        let at = |text: &str| script.find(text).unwrap_or_else(|| panic!("{text} in {script}"));
        assert!(at("\nconst one = 1;\n") < at("const { one } = modules[\"c.js\"];"));
        assert!(at("\nconst two = one + 1;\n") < at("const { two: b } = modules[\"in/b.js\"];"));
        assert!(at("return { one, no };") < at("return { two };") && !script.contains("export "));
        assert!(!script.contains("import "));
    }

    #[test]
    fn what_cannot_be_linked_is_named() {
        let case = |a: &str, b: &str| link(&[("a.js", a), ("b.js", b)], "a.js").unwrap_err();
        let import = "import { x } from \"./b.js\";\n";
        assert_eq!(case(import, ""), "a.js: b.js does not export x");
        let back = "import { y } from \"./a.js\";\nexport const x = 1;\n";
        let both = case(&format!("{import}export const y = 1;\n"), back);
        assert_eq!(both, "a circle of imports: a.js -> b.js -> a.js");
        assert_eq!(case("import { x } from \"./c.js\";", ""), "a.js: there is no module c.js");
        for wrong in [
            "import x from \"./b.js\";",
            "import { x } from \"d3\";",
            "f();\nimport { x } from \"./b.js\";",
        ] {
            assert!(case(wrong, "").starts_with("a.js: an import"), "{wrong}");
        }
        assert!(case("import { x }", "").contains("without an end"));
        for wrong in
            ["export default 1;", "export let x = 1;", "export { x };", "export const [x] = y;"]
        {
            assert!(case(wrong, "").contains("of a form that is not linked"), "{wrong}");
        }
        assert_eq!(link(&[], "a.js").unwrap_err(), "there is no module a.js");
    }
}
