//! Files of scores and circuits, in the layout of EAP-IG's `Graph.to_json`.
//!
//! ```text
//! {"cfg": {"n_layers": 2, "n_heads": 4, "parallel_attn_mlp": false, "d_model": 32},
//!  "nodes": {"input": {"in_graph": false}, .., "logits": {"in_graph": true}},
//!  "edges": {"input->a0.h0<q>": {"score": 0.5, "in_graph": false}, ..},
//!  "meta": {"method": "eap", ..}}
//! ```
//!
//! `meta` is ours and says where the numbers come from. Whatever else a file holds is kept, and nodes
//! and edges keep their order. An edge without a score is written `"score": null`, which is JSON;
//! Python's `NaN`, which is not, is read as the same.

use crate::error::{Error, Result};
use crate::files::atomic;
use crate::graph::{Edge, Graph, Node};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::Write;
use std::path::Path;

/// What a file says of a node or an edge.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// Its score; `None` if it has none.
    pub score: Option<f64>,
    /// Whether it belongs to the circuit.
    pub in_graph: bool,
    /// What else the file says.
    pub rest: Map<String, Value>,
}

/// A file of scores, or of a circuit, or of both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EdgeFile {
    /// The architecture, as EAP-IG names it.
    pub cfg: Map<String, Value>,
    /// Nodes by name, in the file's order.
    pub nodes: Vec<(String, Entry)>,
    /// Edges by name, in the file's order.
    pub edges: Vec<(String, Entry)>,
    /// Where the numbers come from; see [`Meta`].
    pub meta: Map<String, Value>,
    /// What else the file holds.
    pub rest: Map<String, Value>,
    /// What errors call it.
    place: String,
}

/// How far scores are from adding up to what they explain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Completeness {
    /// The sum of all scores.
    pub sum: f64,
    /// The difference of the metric that they share out.
    pub delta: f64,
}

impl Completeness {
    /// Compares the sum of `scores` with `delta`.
    pub fn new(scores: &[f64], delta: f64) -> Completeness {
        Completeness { sum: scores.iter().sum(), delta }
    }

    /// `sum - delta`: the error of scores that should add up.
    pub fn residual(&self) -> f64 {
        self.sum - self.delta
    }
}

/// Where scores or a circuit come from: the `meta` object of a file.
///
/// `completeness` is written as `{sum, delta, residual}` with `residual = sum - delta`. What is
/// `None` is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// The method of attribution or discovery.
    pub method: Option<String>,
    /// The metric.
    pub metric: Option<String>,
    /// What removed edges carry.
    pub baseline: Option<String>,
    /// Steps of a quadrature, or samples.
    pub steps: Option<u64>,
    /// Sign and normalisation: `ours` (a mean over pairs; positive where removing the edge lowers the
    /// metric) or `eap-ig` (a mean over pairs; positive where removing the edge raises the metric).
    pub convention: Option<String>,
    /// Whether the scores add up.
    pub completeness: Option<Completeness>,
    /// A hash of the model's weights.
    pub model: Option<String>,
    /// How many pairs there were.
    pub pairs: Option<u64>,
    /// What it was computed in.
    pub dtype: Option<String>,
    /// The seed, if anything was drawn.
    pub seed: Option<u64>,
}

impl Meta {
    /// As the file has it, with the version of this crate.
    pub fn to_object(&self) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(key.into(), value);
            }
        };
        let text = |text: &Option<String>| text.as_ref().map(|t| Value::from(t.as_str()));
        put("method", text(&self.method));
        put("metric", text(&self.metric));
        put("baseline", text(&self.baseline));
        put("steps", self.steps.map(Value::from));
        put("convention", text(&self.convention));
        put(
            "completeness",
            self.completeness
                .map(|c| json!({ "sum": c.sum, "delta": c.delta, "residual": c.residual() })),
        );
        put("model", text(&self.model));
        put("pairs", self.pairs.map(Value::from));
        put("dtype", text(&self.dtype));
        put("seed", self.seed.map(Value::from));
        put("version", Some(Value::from(env!("CARGO_PKG_VERSION"))));
        object
    }
}

impl EdgeFile {
    /// The scores `[E]` of all edges of `graph`; one that is not finite counts as none.
    ///
    /// # Panics
    /// If there is not one for each edge.
    pub fn scores(graph: &Graph, scores: &[f64], meta: &Meta) -> EdgeFile {
        EdgeFile::new(graph, Some(scores), None, meta)
    }

    /// The circuit of the edges that are `kept [E]`, and the nodes that they touch, with scores `[E]`
    /// if there are any.
    ///
    /// # Panics
    /// If there is not one for each edge.
    pub fn circuit(graph: &Graph, kept: &[bool], scores: Option<&[f64]>, meta: &Meta) -> EdgeFile {
        EdgeFile::new(graph, scores, Some(kept), meta)
    }

    fn new(graph: &Graph, scores: Option<&[f64]>, kept: Option<&[bool]>, meta: &Meta) -> EdgeFile {
        let count = graph.edges();
        assert!(scores.is_none_or(|s| s.len() == count), "a score for each of {count} edges");
        assert!(kept.is_none_or(|k| k.len() == count), "a choice for each of {count} edges");
        let mut touched: HashSet<Node> = HashSet::new();
        let edge = |e: usize| {
            let edge = graph.edge(e);
            let in_graph = kept.is_some_and(|kept| kept[e]);
            if in_graph {
                touched.insert(edge.from);
                touched.insert(edge.to.node);
            }
            let score = scores.map(|s| s[e]).filter(|s| s.is_finite());
            (edge.to_string(), Entry { score, in_graph, rest: Map::new() })
        };
        let edges = graph.file_order().into_iter().map(edge).collect();
        let node = |node: Node| {
            // The logits are what everything is about: EAP-IG always counts them in.
            let in_graph = node == Node::Logits || touched.contains(&node);
            (node.to_string(), Entry { score: None, in_graph, rest: Map::new() })
        };
        let nodes = graph.nodes().map(node).collect();
        let mut cfg = Map::new();
        for (key, value) in architecture(graph) {
            cfg.insert(key.into(), value);
        }
        EdgeFile { cfg, nodes, edges, meta: meta.to_object(), ..EdgeFile::default() }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is no such file.
    pub fn read(path: impl AsRef<Path>) -> Result<EdgeFile> {
        let path = path.as_ref();
        let fail = |e| Error::io(path, &e, "read");
        if !std::fs::metadata(path).map_err(fail)?.is_file() {
            // A device or a pipe may never end.
            let help = "give a .json file of scores or of a circuit";
            return Err(Error::input(path.display(), "is not a file", help));
        }
        let text = std::fs::read(path).map_err(fail)?;
        EdgeFile::parse(path.display().to_string(), &text)
    }

    /// The file whose content is `text`; `place` names it in errors.
    ///
    /// # Errors
    /// When it is no such file.
    pub fn parse(place: impl Into<String>, text: &[u8]) -> Result<EdgeFile> {
        let place = place.into();
        let parsed: Result<EdgeFile, _> = serde_json::from_slice(&strict(text));
        match parsed {
            Ok(file) => Ok(EdgeFile { place, ..file }),
            Err(e) => Err(Error::input(
                place,
                format!("is no file of scores or of a circuit: {e}"),
                r#"it should read {"cfg": {..}, "nodes": {..}, "edges": {"input->m0": {"score": 0.5, "in_graph": true}, ..}}"#,
            )),
        }
    }

    /// Writes the file, replacing what was there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        atomic::write_file(path, |w| {
            serde_json::to_writer(&mut *w, self)?;
            w.write_all(b"\n")
        })
    }

    /// The text of the file.
    pub fn to_json(&self) -> String {
        // Keys are strings and numbers are written as they are: nothing of it can fail.
        serde_json::to_string(self).expect("all of it is JSON")
    }

    /// What errors call this file: the path it was read from.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What `meta` says in words under `key`.
    pub fn meta_text(&self, key: &str) -> Option<&str> {
        self.meta.get(key)?.as_str()
    }

    /// The scores `[E]` of the edges of `graph`, NaN for those that have none.
    ///
    /// # Errors
    /// When the file is for another architecture, lacks edges, has others, or has one twice.
    pub fn scores_for(&self, graph: &Graph) -> Result<Vec<f64>> {
        let entries = self.entries(graph)?;
        Ok(entries.into_iter().map(|e| e.score.unwrap_or(f64::NAN)).collect())
    }

    /// Which edges `[E]` of `graph` belong to the circuit.
    ///
    /// # Errors
    /// As [`scores_for`](Self::scores_for).
    pub fn circuit_for(&self, graph: &Graph) -> Result<Vec<bool>> {
        let entries = self.entries(graph)?;
        Ok(entries.into_iter().map(|e| e.in_graph).collect())
    }

    /// The entries by the numbers of the edges.
    fn entries(&self, graph: &Graph) -> Result<Vec<&Entry>> {
        let fail = |message: String, help: &str| Err(Error::input(&self.place, message, help));
        for (key, want) in architecture(graph) {
            if let Some(got) = self.cfg.get(key)
                && *got != want
            {
                let message = format!("is for another model: `{key}` is {got}, here it is {want}");
                return fail(message, "give the file that was made with this model");
            }
        }
        let number: HashMap<String, usize> =
            (0..graph.edges()).map(|e| (graph.edge(e).to_string(), e)).collect();
        let mut found: Vec<Option<&Entry>> = vec![None; graph.edges()];
        let mut unknown: Vec<&str> = vec![];
        for (name, entry) in &self.edges {
            match number.get(name) {
                None => unknown.push(name),
                Some(&e) if found[e].is_some() => {
                    return fail(
                        format!("has the edge `{}` twice", brief(name)),
                        "remove one of the two lines",
                    );
                }
                Some(&e) => found[e] = Some(entry),
            }
        }
        if let Some(name) = unknown.first() {
            let (n, name) = (unknown.len(), brief(name));
            return fail(
                format!("has {n} edges that the graph has not, such as `{name}`"),
                &self.granularity_help(graph),
            );
        }
        let missing = found.iter().filter(|e| e.is_none()).count();
        if let Some(e) = found.iter().position(Option::is_none) {
            let (all, edge) = (graph.edges(), graph.edge(e));
            return fail(
                format!("lacks {missing} of the graph's {all} edges, such as `{edge}`"),
                &self.granularity_help(graph),
            );
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// Edges that do not fit are most often those of a graph that divides the model differently.
    fn granularity_help(&self, graph: &Graph) -> String {
        let here: Vec<Edge> = (0..graph.edges()).map(|e| graph.edge(e)).collect();
        type Named = fn(&str) -> bool;
        let marks: [(&str, Named, bool); 4] = [
            (
                "the input split into `embed` and `pos`",
                |name| name.starts_with("embed"),
                here.iter().any(|e| e.from == Node::Embed),
            ),
            ("positions", |name| name.contains('@'), here.iter().any(|e| e.position.is_some())),
            (
                "neurons",
                |name| name.contains(".n"),
                here.iter().any(|e| matches!(e.from, Node::Neuron { .. })),
            ),
            (
                "queries, keys and values apart",
                |name| name.contains('<'),
                here.iter().any(|e| e.to.to_string().contains('<')),
            ),
        ];
        for (what, has, graph_has) in marks {
            let file_has = self.edges.iter().any(|(name, _)| has(name));
            if file_has != graph_has {
                let has = ["the graph", "the file"];
                let (one, other) = (has[usize::from(file_has)], has[usize::from(!file_has)]);
                return format!("{one} has {what} and {other} has not: divide the model alike");
            }
        }
        "give the file that was made with this model and the same division of it".into()
    }
}

/// The architecture of a graph, as EAP-IG names it.
fn architecture(graph: &Graph) -> [(&'static str, Value); 4] {
    [
        ("n_layers", graph.layers.into()),
        ("n_heads", graph.heads.into()),
        ("parallel_attn_mlp", graph.parallel.into()),
        ("d_model", graph.d_model.into()),
    ]
}

/// A name in an error: short, whatever the file holds.
fn brief(name: &str) -> String {
    match name.char_indices().nth(60) {
        Some((end, _)) => format!("{}..", &name[..end]),
        None => name.into(),
    }
}

/// `text` with the words that Python writes for numbers that JSON has not, `NaN` and `Infinity`,
/// replaced outside of strings: by `null` and by a string.
fn strict(text: &[u8]) -> Cow<'_, [u8]> {
    let has = |word: &[u8]| text.windows(word.len()).any(|w| w == word);
    if !has(b"NaN") && !has(b"Infinity") {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    let mut quoted = false;
    while let [first, behind @ ..] = rest {
        let word = |word: &[u8]| !quoted && rest.starts_with(word);
        let (with, used): (&[u8], usize) = if word(b"NaN") {
            (b"null", 3)
        } else if word(b"Infinity") {
            (b"\"Infinity\"", 8)
        } else if word(b"-Infinity") {
            (b"\"-Infinity\"", 9)
        } else if quoted && *first == b'\\' && !behind.is_empty() {
            (&rest[..2], 2)
        } else {
            quoted ^= *first == b'"';
            (&rest[..1], 1)
        };
        out.extend_from_slice(with);
        rest = &rest[used..];
    }
    Cow::Owned(out)
}

/// A JSON object of entries as a list, in its order.
struct Listed(Vec<(String, Entry)>);

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Listed;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Listed, A::Error> {
                let mut list = vec![];
                while let Some(entry) = map.next_entry()? {
                    list.push(entry);
                }
                Ok(Listed(list))
            }
        }
        d.deserialize_map(List)
    }
}

/// Entries as a JSON object; whether a missing score is written as null.
struct AsObject<'a>(&'a [(String, Entry)], bool);

impl Serialize for AsObject<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.0.len()))?;
        for (name, entry) in self.0 {
            map.serialize_entry(name, &AsEntry(entry, self.1))?;
        }
        map.end()
    }
}

struct AsEntry<'a>(&'a Entry, bool);

impl Serialize for AsEntry<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let AsEntry(Entry { score, in_graph, rest }, always) = self;
        let mut map = s.serialize_map(None)?;
        if *always || score.is_some() {
            map.serialize_entry("score", score)?;
        }
        map.serialize_entry("in_graph", in_graph)?;
        for (key, value) in rest {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Serialize for EdgeFile {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("cfg", &self.cfg)?;
        map.serialize_entry("nodes", &AsObject(&self.nodes, false))?;
        map.serialize_entry("edges", &AsObject(&self.edges, true))?;
        if !self.meta.is_empty() {
            map.serialize_entry("meta", &self.meta)?;
        }
        for (key, value) in &self.rest {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Entry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object such as {\"score\": 0.5, \"in_graph\": true}")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
                let mut entry = Entry::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "score" => entry.score = map.next_value()?,
                        "in_graph" => entry.in_graph = map.next_value()?,
                        _ => drop(entry.rest.insert(key, map.next_value()?)),
                    }
                }
                Ok(entry)
            }
        }
        d.deserialize_map(Keys)
    }
}

impl<'de> Deserialize<'de> for EdgeFile {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = EdgeFile;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `edges`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EdgeFile, A::Error> {
                let mut file = EdgeFile::default();
                const OURS: [&str; 4] = ["cfg", "nodes", "edges", "meta"];
                let mut seen = [false; OURS.len()];
                while let Some(key) = map.next_key::<String>()? {
                    if let Some(i) = OURS.iter().position(|ours| *ours == key)
                        && std::mem::replace(&mut seen[i], true)
                    {
                        return Err(de::Error::custom(format_args!("`{key}` is there twice")));
                    }
                    match key.as_str() {
                        "cfg" => file.cfg = map.next_value()?,
                        "nodes" => file.nodes = map.next_value::<Listed>()?.0,
                        "edges" => file.edges = map.next_value::<Listed>()?.0,
                        "meta" => file.meta = map.next_value()?,
                        _ => drop(file.rest.insert(key, map.next_value()?)),
                    }
                }
                if file.edges.is_empty() {
                    return Err(de::Error::custom("it has no `edges`"));
                }
                Ok(file)
            }
        }
        d.deserialize_map(Keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Granularity, Start};
    use crate::nn::transformer::Config;

    fn config() -> Config {
        Config { layers: 2, heads: 2, kv_heads: 2, d_model: 8, ..Config::gpt2_small() }
    }

    fn graph() -> Graph {
        Graph::of_transformer(&config(), Granularity::default())
    }

    fn numbers(graph: &Graph) -> Vec<f64> {
        (0..graph.edges()).map(|e| (e as f64 - 7.5) / 3.0).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s.json");
        let (graph, mut scores) = (graph(), numbers(&graph()));
        scores[3] = f64::NAN;
        let meta = Meta {
            method: Some("eap".into()),
            steps: Some(5),
            completeness: Some(Completeness { sum: 1.5, delta: 1.0 }),
            ..Meta::default()
        };
        let file = EdgeFile::scores(&graph, &scores, &meta);
        file.write(&path).expect("written");
        let text = std::fs::read_to_string(&path).expect("text");
        let start = r#"{"cfg":{"d_model":8,"n_heads":2,"n_layers":2,"parallel_attn_mlp":false},"nodes":{"input":{"in_graph":false},"a0.h0":"#;
        assert!(text.starts_with(start), "{text:.200}");
        assert!(text.contains(
            r#""edges":{"input->a0.h0<q>":{"score":-2.5,"in_graph":false},"input->a0.h0<k>""#
        ));
        assert!(text.contains(r#""logits":{"in_graph":true}},"edges""#), "{text}");
        assert!(text.contains(r#"{"score":null,"#) && text.contains(r#""residual":0.5"#), "{text}");
        let again = EdgeFile::read(&path).expect("good");
        assert_eq!(again.meta_text("method"), Some("eap"));
        assert_eq!(
            (&again.edges, &again.nodes, &again.meta),
            (&file.edges, &file.nodes, &file.meta)
        );
        let back = again.scores_for(&graph).expect("the same graph");
        for (e, (a, b)) in back.iter().zip(&scores).enumerate() {
            assert!(a == b || (e == 3 && a.is_nan()), "{e}: {a} {b}");
        }
    }

    #[test]
    fn circuits_mark_the_nodes_they_touch() {
        let graph = graph();
        let kept: Vec<bool> = (0..graph.edges())
            .map(|e| ["input->a1.h1<k>", "a1.h1->logits"].contains(&&*graph.edge(e).to_string()))
            .collect();
        let file = EdgeFile::circuit(&graph, &kept, None, &Meta::default());
        let inside = |list: &[(String, Entry)]| -> Vec<String> {
            list.iter().filter(|(_, e)| e.in_graph).map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(inside(&file.nodes), ["input", "a1.h1", "logits"]);
        assert_eq!(inside(&file.edges), ["input->a1.h1<k>", "a1.h1->logits"]);
        assert_eq!(file.circuit_for(&graph), Ok(kept));
    }

    #[test]
    fn files_of_other_tools_keep_what_they_say() {
        let text = br#"{"edges": {"z->b": {"in_graph": true, "score": NaN, "x": [1, NaN, "NaN\" NaN"]},
            "a->b": {"score": 1e-3}, "a->c": {}}, "nodes": {"b": {"neurons": [true], "score": 2, "in_graph": true}},
            "note": {"k": 1}, "meta": {"checks": {"q": []}}}"#;
        let file = EdgeFile::parse("f", text).expect("good");
        let names: Vec<&str> = file.edges.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["z->b", "a->b", "a->c"]);
        let scores: Vec<Option<f64>> = file.edges.iter().map(|(_, e)| e.score).collect();
        assert_eq!(scores, [None, Some(1e-3), None]);
        let written = file.to_json();
        assert!(written.contains(r#""x":[1,null,"NaN\" NaN"]"#), "{written}");
        assert!(
            written.contains(r#""b":{"score":2.0,"in_graph":true,"neurons":[true]}"#),
            "{written}"
        );
        assert!(written.contains(r#""note":{"k":1}"#) && written.contains(r#""checks":{"q":[]}"#));
        assert_eq!(EdgeFile::parse("f", written.as_bytes()), Ok(file));
    }

    #[test]
    fn files_that_are_something_else() {
        let said = |text: &str| {
            let e = EdgeFile::parse("f.json", text.as_bytes()).expect_err("bad");
            assert!(e.exit_code() == 2 && e.help().contains("\"edges\""), "{e}");
            e.to_string()
        };
        assert!(said("").contains("f.json: is no file of scores"));
        assert!(said("[]").contains("an object with `edges`"));
        assert!(said("{}").contains("no `edges`"));
        assert!(said(r#"{"edges": {}, "edges": {}}"#).contains("`edges` is there twice"));
        assert!(said(r#"{"edges": {"a->b": 0.5}}"#).contains("an object such as"));
        assert!(said(r#"{"edges": {"a->b": {"score": "big"}}}"#).contains("\"big\""));
        assert!(said(r#"{"edges": {"a->b": {"score": -Infinity}}}"#).contains("-Infinity"));
        assert!(said(r#"{"edges": {"a->b": {"score": 1}"#).contains("EOF"));
        said("{\"edges\": {\"\\");
        said(&format!("{{\"x\": {}", "[".repeat(100_000)));
    }

    #[test]
    fn graphs_that_do_not_fit() {
        let (graph, scores) = (graph(), numbers(&graph()));
        let good = EdgeFile::scores(&graph, &scores, &Meta::default());
        let said = |file: &EdgeFile, graph: &Graph| {
            let e = file.scores_for(graph).expect_err("another graph");
            assert_eq!(e.exit_code(), 2);
            format!("{e} / {}", e.help())
        };
        let wide =
            Graph::of_transformer(&Config { d_model: 16, ..config() }, Granularity::default());
        assert!(said(&good, &wide).contains("`d_model` is 8, here it is 16"));
        let mut file = good.clone();
        let taken = file.edges.remove(4);
        assert!(said(&file, &graph).contains("lacks 1 of the graph's"), "{}", said(&file, &graph));
        assert!(said(&file, &graph).contains(&taken.0));
        file.edges.push(file.edges[0].clone());
        assert!(said(&file, &graph).contains("the edge `input->a0.h0<q>` twice"));
        let mut file = good.clone();
        file.edges[0].0 = "x".repeat(100_000);
        let message = said(&file, &graph);
        assert!(message.contains("has 1 edges that the graph has not") && message.len() < 400);
        let split = Granularity { start: Start::Split, ..Default::default() };
        let message = said(&good, &Graph::of_transformer(&config(), split));
        assert!(message.contains("the graph has the input split"), "{message}");
        let placed = Granularity { positions: Some(2), ..Default::default() };
        let message = said(&good, &Graph::of_transformer(&config(), placed));
        assert!(message.contains("the graph has positions and the file has not"), "{message}");
    }
}
