//! The folders that the circuit track of the MIB benchmark (arXiv 2504.13151) takes.
//!
//! ```text
//! SUBMISSION/TASK_MODEL/importances.json    scores of all edges, as `attribute` writes them
//! SUBMISSION/TASK_MODEL/*.json              or nine circuits, of at most 0.1, 0.2, 0.5, 1, 2, 5,
//!                                           10, 20 and 50 % of all edges
//! ```
//!
//! Scores are positive where the metric falls without the edge. A submission has two tasks and two
//! models at least.

use super::edge_file::{EdgeFile, Entry};
use super::edge_name::{Edge, Input, Node};
use crate::error::{Error, Result};
use crate::named::{counted, suggest};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The tasks by their names in folders.
pub const TASKS: [&str; 7] = [
    "ioi",
    "mcqa",
    "arithmetic-addition",
    "arithmetic-subtraction",
    "arc-easy",
    "arc-challenge",
    "greater-than",
];

/// The models by their names in folders, with their edges: those of every head's keys and values,
/// where heads share them.
pub const MODELS: [(&str, usize); 5] = [
    ("gpt2", 32_491),
    ("qwen2.5", 179_749),
    ("gemma2", 74_218),
    ("llama3", 1_592_881),
    ("interpbench", 1_108),
];

/// The largest shares of all edges that circuits may have, the smallest first.
pub const SHARES: [f64; 9] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];

/// The name of a file of scores.
pub const SCORES: &str = "importances.json";

/// The tasks and the models that a submission has at least.
const LEAST: usize = 2;

/// What a folder of a submission is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The task.
    pub task: String,
    /// The model.
    pub model: String,
}

/// What a folder of a submission holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The scores of so many edges.
    Scores(usize),
    /// Circuits of so many edges in all, the smallest first.
    Circuits([usize; 9]),
}

/// A folder of a submission.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// What it is about; `None` if its name says nothing known.
    pub cell: Option<Cell>,
    /// The name of the folder.
    pub name: String,
    /// What it holds, or the first thing that is wrong with it.
    pub held: Result<Held>,
    /// The passes that its scores took, if their file says so.
    pub passes: Option<f64>,
}

impl Cell {
    /// The cell of a folder called `TASK_MODEL`.
    ///
    /// # Errors
    /// If task or model is unknown.
    pub fn of(name: &str) -> Result<Cell> {
        let fail = |message: String, help: String| Err(Error::input(name, message, help));
        let Some((task, model)) = name.split_once('_') else {
            let help = "call it TASK_MODEL, such as ioi_gpt2";
            return fail("is no folder of a task and a model".into(), help.into());
        };
        for (what, given, known) in [
            ("task", task, TASKS.to_vec()),
            ("model", model, MODELS.iter().map(|(name, _)| *name).collect()),
        ] {
            if !known.contains(&given) {
                let near = suggest(given, known.iter().copied());
                let help = near.map_or(format!("known are {}", known.join(", ")), |near| {
                    format!("did you mean `{near}`?")
                });
                return fail(format!("unknown {what} `{given:.60}`"), help);
            }
        }
        Ok(Cell { task: task.into(), model: model.into() })
    }

    /// The name of its folder.
    pub fn folder(&self) -> String {
        format!("{}_{}", self.task, self.model)
    }

    /// The file of its scores in a submission.
    pub fn path(&self, submission: &Path) -> PathBuf {
        submission.join(self.folder()).join(SCORES)
    }

    /// The edges of its model.
    pub fn edges(&self) -> usize {
        MODELS.iter().find(|(name, _)| *name == self.model).map_or(0, |(_, edges)| *edges)
    }

    /// Writes scores as the file of this cell in a submission, whose folder is made unless it is
    /// there.
    ///
    /// # Errors
    /// If an edge has no score, the file is of another model, or it cannot be written.
    pub fn write(&self, submission: &Path, scores: EdgeFile) -> Result<()> {
        let scores = by_head(scores.ours(None)?, self.edges());
        self.check_scores(&scores)?;
        scores.write_into(submission.join(self.folder()), SCORES)
    }

    fn check_scores(&self, file: &EdgeFile) -> Result<Held> {
        let (count, all) = (file.edges.len(), self.edges());
        let fail = |message: String, help: &str| Err(Error::input(file.place(), message, help));
        if count != all {
            let message = format!("has {count} edges, {} has {all}", self.model);
            return fail(message, "score every edge of this model, keys and values by head");
        }
        let missing = file.edges.iter().filter(|(_, edge)| edge.score.is_none()).count();
        if missing > 0 {
            let message = format!("{missing} of {count} edges have no score");
            return fail(message, "the benchmark ranks all edges: give each a score");
        }
        Ok(Held::Scores(count))
    }

    /// What the folder of this cell holds.
    fn check(&self, folder: &Path) -> Result<Held> {
        let fail = |message: String, help: &str| Err(Error::input(folder.display(), message, help));
        let mut files: Vec<PathBuf> = entries(folder)?;
        files.retain(|path| path.is_file());
        let ends = |path: &&PathBuf, end: &str| path.extension().is_some_and(|e| e == end);
        if let Some(pickle) = files.iter().find(|path| ends(path, "pt")) {
            let message = format!("{} is a pickle, which may run code", file_name(pickle));
            return fail(message, "write it as .json, with Graph.to_json of EAP-IG");
        }
        files.retain(|path| ends(&path, "json"));
        match &files[..] {
            [] => fail("holds no .json file".into(), "give importances.json, or nine circuits"),
            [one] => self.check_scores(&EdgeFile::read(one)?),
            nine if nine.len() == SHARES.len() => self.check_circuits(nine),
            others => {
                let message = format!("holds {} .json files", others.len());
                fail(message, "give one file of scores, or nine circuits")
            }
        }
    }

    fn check_circuits(&self, files: &[PathBuf]) -> Result<Held> {
        let mut sizes = vec![];
        for path in files {
            let file = EdgeFile::read(path)?;
            let (count, all) = (file.edges.len(), self.edges());
            if count != all {
                let message = format!("has {count} edges, {} has {all}", self.model);
                let help = "name every edge, with in_graph for those of the circuit";
                return Err(Error::input(path.display(), message, help));
            }
            sizes.push(file.edges.iter().filter(|(_, edge)| edge.in_graph).count());
        }
        sizes.sort_unstable();
        for (&size, share) in sizes.iter().zip(SHARES) {
            let most = (share * self.edges() as f64) as usize;
            if size > most {
                let place = files[0].parent().unwrap_or(Path::new("")).display();
                let percent = 100.0 * share;
                let message =
                    format!("no circuit is left for {percent} %: the next has {size} edges");
                return Err(Error::input(place, message, format!("keep at most {most} edges")));
            }
        }
        Ok(Held::Circuits(sizes.try_into().expect("nine files")))
    }
}

/// All folders of a submission in the order of their names, each with what is wrong with it.
///
/// # Errors
/// If the submission cannot be read or has no folder.
pub fn check(submission: &Path) -> Result<Vec<Checked>> {
    let mut folders = entries(submission)?;
    folders.retain(|path| path.is_dir());
    if folders.is_empty() {
        let help = "give a folder of folders TASK_MODEL, such as ioi_gpt2";
        return Err(Error::input(submission.display(), "holds no folder", help));
    }
    Ok(folders.iter().map(|folder| checked(folder)).collect())
}

fn checked(folder: &Path) -> Checked {
    let name = file_name(folder);
    match Cell::of(&name) {
        Ok(cell) => {
            let held = cell.check(folder);
            let scores = matches!(held, Ok(Held::Scores(_))).then(|| folder.join(SCORES));
            let file = scores.and_then(|path| EdgeFile::read(path).ok());
            let passes = file.and_then(|file| file.meta.get("passes")?.as_f64());
            Checked { held, cell: Some(cell), name, passes }
        }
        Err(e) => Checked { cell: None, name, held: Err(e), passes: None },
    }
}

/// The folders that a submission does not have, of its own tasks and models; the benchmark itself
/// does not ask every model every task.
pub fn missing(checked: &[Checked]) -> Vec<String> {
    let cells = || checked.iter().filter_map(|c| c.cell.as_ref());
    let tasks: BTreeSet<&str> = cells().map(|cell| cell.task.as_str()).collect();
    let models: BTreeSet<&str> = cells().map(|cell| cell.model.as_str()).collect();
    let all =
        tasks.iter().flat_map(|task| models.iter().map(move |model| format!("{task}_{model}")));
    all.filter(|name| checked.iter().all(|c| c.name != *name)).collect()
}

/// What a submission lacks as a whole, if anything: folders that are good count.
pub fn lacks(checked: &[Checked]) -> Option<String> {
    let good = || checked.iter().filter(|c| c.held.is_ok()).filter_map(|c| c.cell.as_ref());
    let tasks: BTreeSet<&str> = good().map(|cell| cell.task.as_str()).collect();
    let models: BTreeSet<&str> = good().map(|cell| cell.model.as_str()).collect();
    let few = tasks.len() < LEAST || models.len() < LEAST;
    few.then(|| {
        format!(
            "{} and {} are good; a submission has {LEAST} of each at least",
            counted(tasks.len(), "task"),
            counted(models.len(), "model")
        )
    })
}

/// The file with an edge to the keys or values of each head, where heads share them: in equal
/// parts, as the score of the shared edge is their sum. One that would not have `all` edges stays
/// as it is.
fn by_head(mut file: EdgeFile, all: usize) -> EdgeFile {
    let shared = |name: &str| match name.parse() {
        Ok(Edge { to: Input { node: Node::KeyValue { layer, head }, port }, from, position }) => {
            Some((from, layer, head, port, position))
        }
        _ => None,
    };
    let groups: Vec<usize> =
        file.edges.iter().filter_map(|(name, _)| shared(name)).map(|(_, _, g, _, _)| g).collect();
    let Some(&most) = groups.iter().max() else { return file };
    let heads = file.cfg.get("n_heads").and_then(Value::as_u64).unwrap_or(0) as usize;
    let size = (heads / most.saturating_add(1)).max(1);
    if (file.edges.len() - groups.len()).saturating_add(groups.len().saturating_mul(size)) != all {
        return file;
    }
    let mut edges = Vec::with_capacity(all);
    for (name, entry) in file.edges {
        let Some((from, layer, group, port, position)) = shared(&name) else {
            edges.push((name, entry));
            continue;
        };
        for head in group * size..(group + 1) * size {
            let to = Input { node: Node::Head { layer, head }, port };
            let score = entry.score.map(|score| score / size as f64);
            edges.push((Edge { from, to, position }.to_string(), Entry { score, ..entry.clone() }));
        }
    }
    file.edges = edges;
    file.nodes.retain(|(name, _)| !name.contains(".kv"));
    file
}

/// What is in a folder, by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(folder).map_err(|e| Error::io(folder, &e, "read"))?;
    let mut paths: Vec<PathBuf> = read.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Entry, Meta};
    use serde_json::Map;

    /// A file of InterpBench's edges, of which the first are a circuit.
    fn file(kept: usize, score: Option<f64>) -> EdgeFile {
        let entry = |e: usize| Entry { score, in_graph: e < kept, rest: Map::new() };
        let edges = (0..1108).map(|e| (format!("e{e}->logits"), entry(e))).collect();
        let meta = Meta { convention: Some("ours".into()), ..Meta::default() };
        EdgeFile::new(Map::new(), vec![], edges, &meta)
    }

    fn said(result: &Result<Held>) -> String {
        let e = result.as_ref().expect_err("bad");
        format!("{e} / {}", e.help())
    }

    #[test]
    fn scores_and_circuits_are_checked() {
        let t = tempfile::tempdir().unwrap();
        let cell = Cell::of("ioi_interpbench").unwrap();
        cell.write(t.path(), file(0, Some(0.5))).unwrap();
        assert!(t.path().join("ioi_interpbench/importances.json").exists());
        let nine = t.path().join("mcqa_interpbench");
        for (i, share) in SHARES.into_iter().enumerate() {
            let kept = (share * 1108.0) as usize;
            file(kept, None).write_into(&nine, &i.to_string()).unwrap();
        }
        std::fs::write(t.path().join("README.md"), "").unwrap();
        let found = check(t.path()).unwrap();
        let held: Vec<_> = found.iter().map(|c| c.held.clone().unwrap()).collect();
        let sizes = [1, 2, 5, 11, 22, 55, 110, 221, 554];
        assert_eq!(held, [Held::Scores(1108), Held::Circuits(sizes)]);
        let lacks = lacks(&found).unwrap();
        assert!(lacks.starts_with("2 tasks and 1 model are good"), "{lacks}");
        assert!(missing(&found).is_empty());
        std::fs::create_dir(t.path().join("ioi_gpt2")).unwrap();
        assert_eq!(missing(&check(t.path()).unwrap()), ["mcqa_gpt2"]);
        std::fs::remove_dir(t.path().join("ioi_gpt2")).unwrap();
        // The tenth is no more than the rule allows.
        file(56, None).write_into(&nine, "5").unwrap();
        let message = said(&check(t.path()).unwrap()[1].held);
        assert!(
            message.contains("no circuit is left for 5 %: the next has 56 edges / keep at most")
        );
        std::fs::remove_file(nine.join("5.json")).unwrap();
        assert!(said(&check(t.path()).unwrap()[1].held).contains("holds 8 .json files"));
    }

    #[test]
    fn shared_keys_and_values_are_written_by_head() {
        let entry = |score| Entry { score: Some(score), ..Entry::default() };
        let edges = [("input->a0.h3<q>", 1.0), ("input->a0.kv0<k>", 3.0), ("m0->a1.kv1<v>", -1.0)]
            .map(|(name, score)| (name.to_string(), entry(score)));
        let cfg = [("n_heads".to_string(), 4.into())].into_iter().collect();
        let nodes = vec![("a0.h3".to_string(), Entry::default())];
        let file = by_head(EdgeFile::new(cfg, nodes, edges.to_vec(), &Meta::default()), 5);
        let found: Vec<_> = file.edges.iter().map(|(n, e)| (n.as_str(), e.score)).collect();
        let want = [
            ("input->a0.h3<q>", 1.0),
            ("input->a0.h0<k>", 1.5),
            ("input->a0.h1<k>", 1.5),
            ("m0->a1.h2<v>", -0.5),
            ("m0->a1.h3<v>", -0.5),
        ];
        assert_eq!(found, want.map(|(name, score)| (name, Some(score))));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let name = |name: &str| {
            let e = Cell::of(name).expect_err(name);
            format!("{e} / {}", e.help())
        };
        assert!(
            name("circuits").contains("is no folder of a task and a model / call it TASK_MODEL")
        );
        assert!(name("io_gpt2").contains("unknown task `io` / did you mean `ioi`?"));
        assert!(name("ioi_gpt3").contains("unknown model `gpt3` / did you mean `gpt2`?"));
        let t = tempfile::tempdir().unwrap();
        let e = check(t.path()).unwrap_err();
        assert!(e.to_string().contains("holds no folder"), "{e}");
        let cell = Cell::of("ioi_interpbench").unwrap();
        let missing = cell.write(t.path(), file(0, None)).unwrap_err();
        assert!(missing.to_string().contains("1108 of 1108 edges have no score"), "{missing}");
        let other = Cell::of("ioi_gpt2").unwrap().write(t.path(), file(0, Some(1.0))).unwrap_err();
        assert!(other.to_string().contains("has 1108 edges, gpt2 has 32491"), "{other}");
        assert!(std::fs::read_dir(t.path()).unwrap().next().is_none(), "nothing is half-written");
        let folder = t.path().join("ioi_gpt2");
        std::fs::create_dir(&folder).unwrap();
        assert!(said(&check(t.path()).unwrap()[0].held).contains("holds no .json file"));
        std::fs::write(folder.join("scores.pt"), "").unwrap();
        assert!(said(&check(t.path()).unwrap()[0].held).contains("scores.pt is a pickle"));
        std::fs::remove_file(folder.join("scores.pt")).unwrap();
        std::fs::write(folder.join("importances.json"), "{").unwrap();
        assert!(said(&check(t.path()).unwrap()[0].held).contains("importances.json: is no file"));
    }
}
