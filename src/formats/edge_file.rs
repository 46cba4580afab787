//! Files of scores and circuits, in the layout of EAP-IG's `Graph.to_json`.
//!
//! ```text
//! {"cfg": {"n_layers": 2, "n_heads": 4, "parallel_attn_mlp": false, "d_model": 32},
//!  "nodes": {"input": {"in_graph": false}, .., "logits": {"in_graph": true}},
//!  "edges": {"input->a0.h0<q>": {"score": 0.5, "in_graph": false}, ..},
//!  "meta": {"method": "eap", ..}}
//! ```
//!
//! `meta` is ours and says where the scores come from. Whatever else a file holds is kept, and
//! nodes and edges keep their order. An edge without a score is written `"score": null`, which is
//! JSON; Python's `NaN` and `-Infinity`, which are not, are read as the same. A node may be `true`
//! or `false` alone, as EAP-IG wrote it until February 2025.

use crate::files::mark::GENERATOR;
use std::fmt;
use std::io::Write;
use std::path::Path;

use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::attribution_graph::Graph;
use super::origin::Origin;
use crate::error::{Error, Result, at_key};
use crate::files::{atomic, json};

/// What to give instead of something else.
pub(crate) const HELP: &str = "give a file of scores or of a circuit, as `edgegrad attribute` and \
                               `edgegrad discover` write it, with an object `edges`";

/// The key of `meta` that counts the edges of a circuit.
pub(crate) const KEPT: &str = "kept";

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
    /// What errors call it: the path it was read from.
    place: String,
    /// Whether it names the edges of the circuit alone, as an attribution graph does.
    pub(crate) members_only: bool,
}

/// How far scores are from adding up to what they explain.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Meta {
    /// The method of attribution or discovery.
    pub method: Option<String>,
    /// The metric.
    pub metric: Option<String>,
    /// The rules of the reverse pass, if not those of the derivative.
    pub rules: Option<String>,
    /// What removed edges carry.
    pub baseline: Option<String>,
    /// Steps of a quadrature, or samples.
    pub steps: Option<u64>,
    /// The forward passes over all pairs that they took, a reverse pass counted as two.
    pub passes: Option<f64>,
    /// Sign and normalisation: the name of a [`Convention`](super::Convention) of means over pairs.
    pub convention: Option<String>,
    /// How many edges were left out, which have no score.
    pub left_out: Option<u64>,
    /// What the others were chosen by, if some were left out.
    pub chosen_by: Option<String>,
    /// Whether the scores add up.
    pub completeness: Option<Completeness>,
    /// A hash of the model's weights.
    pub model: Option<String>,
    /// How many pairs there were.
    pub pairs: Option<u64>,
    /// A [hash](super::pairs::Pairs::hash) of them.
    pub pairs_hash: Option<String>,
    /// `[T]`, the words of the first pair's clean sequence, if edges have positions.
    pub tokens: Option<Vec<String>>,
    /// What a learned ranking lowered.
    pub objective: Option<String>,
    /// The sizes of circuits that it looked at.
    pub sizes: Option<String>,
    /// What its first edges are to do.
    pub mode: Option<String>,
    /// What it cost to keep an edge or a node.
    pub penalty: Option<f64>,
    /// How many of the pairs it was not learned from.
    pub held_out: Option<u64>,
    /// What it was computed in.
    pub dtype: Option<String>,
    /// The seed, if anything was drawn.
    pub seed: Option<u64>,
}

impl Meta {
    /// As the file has it, with the version of this crate.
    pub(crate) fn to_object(&self) -> Map<String, Value> {
        let Ok(Value::Object(mut object)) = serde_json::to_value(self) else {
            unreachable!("a struct is an object")
        };
        object.retain(|_, value| !value.is_null());
        if let (Some(c), Some(written)) = (self.completeness, object.get_mut("completeness")) {
            written["residual"] = c.residual().into();
        }
        object.insert("generator".into(), GENERATOR.into());
        object.insert("version".into(), env!("CARGO_PKG_VERSION").into());
        object
    }
}

impl EdgeFile {
    /// The file of these nodes and edges by name.
    pub fn new(
        cfg: Map<String, Value>,
        nodes: Vec<(String, Entry)>,
        edges: Vec<(String, Entry)>,
        meta: &Meta,
    ) -> EdgeFile {
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

    /// The file whose content is `text`, which may be an attribution graph; `place` names it in
    /// errors.
    ///
    /// # Errors
    /// When it is no such file.
    pub fn parse(place: impl Into<String>, text: &[u8]) -> Result<EdgeFile> {
        let place = place.into();
        let text = json::strict(text);
        match serde_json::from_slice::<EdgeFile>(&text) {
            Ok(file) => Ok(EdgeFile { place, ..file }),
            Err(e) => match serde_json::from_slice::<Graph>(&text) {
                Ok(graph) => graph.edges(&place),
                Err(_) => Err(Error::input(
                    place,
                    format!("is no file of scores or of a circuit: {e}"),
                    r#"it should read {"cfg": {..}, "nodes": {..}, "edges": "#.to_owned()
                        + r#"{"input->m0": {"score": 0.5, "in_graph": true}, ..}}"#,
                )),
            },
        }
    }

    /// The edges in `value`, the content of `file`, in the order of their names, also those of an
    /// attribution graph; none if it has none.
    ///
    /// # Errors
    /// When it has, but not in the right form; the error names the key.
    pub fn of(file: &Path, value: &Value) -> Result<Option<EdgeFile>> {
        let Some(edges) = value.get("edges").and_then(Value::as_object) else {
            let graph = value.get("links").and_then(|_| Graph::deserialize(value).ok());
            return graph.map(|graph| graph.edges(&file.display().to_string())).transpose();
        };
        if edges.is_empty() {
            return Err(Error::input(at_key(file, "edges"), "has no edge", HELP));
        }
        let found = EdgeFile::deserialize(value).map_err(|error| {
            match json::at_fault::<Entry>(value, "edges") {
                Some((key, error)) => Error::input(at_key(file, key), error, HELP),
                None => Error::input(file.display(), error, HELP),
            }
        })?;
        Ok(Some(found.at(file)))
    }

    /// Whether it says which edges belong to a circuit, which may be none of them.
    pub fn has_circuit(&self) -> bool {
        self.meta.contains_key(KEPT)
            || self.meta.contains_key("connected")
            || self.edges.iter().any(|(_, edge)| edge.in_graph)
    }

    /// Warns that the circuit divides nodes, if it does, which what is done with it does not.
    pub fn warn_neurons(&self) {
        if let Some(what) = self.divided_nodes() {
            tracing::warn!("{}: {what}; neurons are passed over", self.place);
        }
    }

    /// Warns if it says that it was made with another model than `model`, whose hash is `hash`.
    ///
    /// # Errors
    /// Those of `hash`.
    pub fn warn_other_model(
        &self,
        model: &Path,
        hash: impl FnOnce() -> Result<String>,
    ) -> Result<()> {
        if let Some(theirs) = self.meta_text("model")
            && theirs != hash()?
        {
            tracing::warn!("{}: is of another model than {}", self.place, model.display());
        }
        Ok(())
    }

    /// The nodes of the circuit of which only some outputs (EAP-IG's `neurons`) belong to it, in
    /// words.
    pub(crate) fn divided_nodes(&self) -> Option<String> {
        let outside = |entry: &Entry| {
            let neurons = entry.rest.get("neurons").and_then(Value::as_array);
            let kept = neurons.map(|list| list.iter().filter(|n| **n == Value::Bool(true)).count());
            kept.zip(neurons).map(|(kept, all)| (kept, all.len())).filter(|(kept, all)| kept < all)
        };
        let mut divided = self.nodes.iter().filter(|(_, node)| node.in_graph);
        let (name, (kept, all)) = divided.find_map(|(name, node)| Some((name, outside(node)?)))?;
        Some(format!("keeps {kept} of the {all} neurons of node `{name:.60}`"))
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

    /// [Writes](Self::write) the file `NAME.json` in a folder, which is made unless it is there.
    ///
    /// # Errors
    /// As [`write`](Self::write), and if the folder cannot be made.
    pub fn write_into(&self, folder: impl AsRef<Path>, name: &str) -> Result<()> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, &e, "make"))?;
        self.write(folder.join(name).with_extension("json"))
    }

    /// The text of the file.
    pub fn to_json(&self) -> String {
        // Keys are strings and numbers are written as they are: nothing of it can fail.
        serde_json::to_string(self).expect("all of it is JSON")
    }

    /// The same, called `file` in errors.
    pub(crate) fn at(self, file: &Path) -> EdgeFile {
        self.named(&file.display().to_string())
    }

    /// The same, called `place` in errors.
    pub(super) fn named(self, place: &str) -> EdgeFile {
        EdgeFile { place: place.into(), ..self }
    }

    /// What errors call this file: the path it was read from.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What its scores and its circuit are of.
    pub fn origin(&self) -> Origin {
        Origin::of(&self.meta)
    }

    /// What `meta` says in words under `key`.
    pub fn meta_text(&self, key: &str) -> Option<&str> {
        self.meta.get(key)?.as_str()
    }

    /// `[T]`, what stands at each position, if edges have positions and the file says it.
    pub fn tokens(&self) -> Vec<&str> {
        let list = self.meta.get("tokens").and_then(Value::as_array);
        list.into_iter().flatten().map_while(Value::as_str).collect()
    }
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
            fn visit_bool<E>(self, in_graph: bool) -> Result<Entry, E> {
                Ok(Entry { in_graph, ..Entry::default() })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
                let mut entry = Entry::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "score" => entry.score = map.next_value::<Score>()?.0,
                        "in_graph" => entry.in_graph = map.next_value()?,
                        _ => drop(entry.rest.insert(key, map.next_value()?)),
                    }
                }
                Ok(entry)
            }
        }
        d.deserialize_any(Keys)
    }
}

/// A number, or nothing: `null`, or the lowest score there is, as EAP-IG marks edges outside of a
/// circuit.
struct Score(Option<f64>);

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(Option<f64>),
            Word(String),
        }
        const WANT: &str = "a score: a number, or null or -Infinity for none";
        match Written::deserialize(d).map_err(|_| de::Error::custom(format!("expected {WANT}")))? {
            Written::Number(score) => Ok(Score(score)),
            // What `json::strict` makes of Python's word.
            Written::Word(word) if word == "-Infinity" => Ok(Score(None)),
            Written::Word(word) => {
                Err(de::Error::invalid_value(de::Unexpected::Str(&format!("{word:.40}")), &WANT))
            }
        }
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
    fn files_of_other_years_and_tools_are_read() {
        let text = br#"{"nodes": {"input": true, "m0": false},
            "edges": {"a->b": {"score": -Infinity, "in_graph": true}, "a->c": {"score": 1}}}"#;
        let file = EdgeFile::parse("f", text).expect("good");
        let inside: Vec<bool> = file.nodes.iter().map(|(_, node)| node.in_graph).collect();
        assert_eq!(inside, [true, false]);
        let scores: Vec<Option<f64>> = file.edges.iter().map(|(_, e)| e.score).collect();
        assert_eq!(scores, [None, Some(1.0)], "minus infinity is no score");
        for wrong in ["Infinity", "\"much\"", "[1]", "true"] {
            let text = format!(r#"{{"edges": {{"a->b": {{"score": {wrong}}}}}}}"#);
            let error = EdgeFile::parse("f", text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("a score: a number, or null"), "{wrong}: {error}");
        }
    }

    #[test]
    fn nodes_may_be_divided() {
        let node = |neurons: &str, inside: bool| {
            let edges = r#""edges": {"a->b": {}}"#;
            let node = format!(r#"{{"in_graph": {inside}, "neurons": {neurons}}}"#);
            let text = format!(r#"{{{edges}, "nodes": {{"m0": {node}}}}}"#);
            EdgeFile::parse("f", text.as_bytes()).expect("good").divided_nodes()
        };
        assert_eq!(node("[true, true]", true), None, "all of it");
        assert_eq!(node("[false, false]", false), None, "nothing of it");
        let said = node("[true, false, true]", true);
        assert_eq!(said.as_deref(), Some("keeps 2 of the 3 neurons of node `m0`"));
    }

    #[test]
    fn circuits_may_be_empty() {
        let has = |meta: &str, inside: bool| {
            let text =
                format!(r#"{{"edges": {{"a->b": {{"in_graph": {inside}}}}}, "meta": {{{meta}}}}}"#);
            EdgeFile::parse("f", text.as_bytes()).expect("good").has_circuit()
        };
        assert!(has("", true) && has(r#""kept": 0"#, false) && has(r#""connected": true"#, false));
        assert!(!has(r#""method": "eap""#, false), "scores alone");
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
        assert!(said(r#"{"edges": {"a->b": {"score": Infinity}}}"#).contains("\"Infinity\""));
        assert!(said(r#"{"edges": {"a->b": {"score": 1}"#).contains("EOF"));
        said("{\"edges\": {\"\\");
        said(&format!("{{\"x\": {}", "[".repeat(100_000)));
    }
}
