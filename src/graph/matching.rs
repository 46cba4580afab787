//! A graph and the files of its edges: what a file says by name, a graph has by number.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{Edge, Graph, Input, Node, Port};
use crate::error::{Error, Result};
use crate::formats::edge_file::KEPT;
use crate::formats::{EdgeFile, Entry, Meta};

impl Graph {
    /// The file of the scores `[E]` of all edges; one that is not finite counts as none.
    ///
    /// # Panics
    /// If there is not one for each edge.
    pub fn scores_file(&self, scores: &[f64], meta: &Meta) -> EdgeFile {
        self.edge_file(Some(scores), None, meta)
    }

    /// The file of the circuit of the edges that are `kept [E]`, and the nodes that they touch,
    /// with scores `[E]` if there are any.
    ///
    /// # Panics
    /// If there is not one for each edge.
    pub fn circuit_file(&self, kept: &[bool], scores: Option<&[f64]>, meta: &Meta) -> EdgeFile {
        self.edge_file(scores, Some(kept), meta)
    }

    fn edge_file(&self, scores: Option<&[f64]>, kept: Option<&[bool]>, meta: &Meta) -> EdgeFile {
        let count = self.edges();
        assert!(scores.is_none_or(|s| s.len() == count), "a score for each of {count} edges");
        assert!(kept.is_none_or(|k| k.len() == count), "a choice for each of {count} edges");
        let mut touched: HashSet<Node> = HashSet::new();
        let edge = |e: usize| {
            let edge = self.edge(e);
            let in_graph = kept.is_some_and(|kept| kept[e]);
            if in_graph {
                touched.insert(edge.from);
                touched.insert(edge.to.node);
            }
            let score = scores.map(|s| s[e]).filter(|s| s.is_finite());
            (edge.to_string(), Entry { score, in_graph, rest: Map::new() })
        };
        let edges = self.file_order().into_iter().map(edge).collect();
        let node = |node: Node| {
            // The logits are what everything is about: EAP-IG always counts them in.
            let in_graph = node == Node::Logits || touched.contains(&node);
            (node.to_string(), Entry { score: None, in_graph, rest: Map::new() })
        };
        let nodes = self.nodes().map(node).collect();
        let cfg = self.architecture().map(|(key, value)| (key.into(), value)).into_iter().collect();
        let mut file = EdgeFile::new(cfg, nodes, edges, meta);
        if let Some(kept) = kept {
            let count = kept.iter().filter(|&&kept| kept).count();
            file.meta.insert(KEPT.into(), count.into());
        }
        file
    }

    /// The scores `[E]` that a file has of the edges of this graph, NaN for those that have none.
    ///
    /// A file may have an edge to the keys or values of each head where heads share them, as
    /// EAP-IG's do: the score of the shared edge is their sum, as of every first-order score.
    ///
    /// # Errors
    /// When the file is for another architecture, lacks edges, has others, or has one twice.
    pub fn scores_in(&self, file: &EdgeFile) -> Result<Vec<f64>> {
        let score = |entries: Vec<&Entry>| {
            let scores = entries.into_iter().filter_map(|entry| entry.score);
            scores.reduce(|sum, score| sum + score).unwrap_or(f64::NAN)
        };
        Ok(self.entries(file)?.into_iter().map(score).collect())
    }

    /// Which edges `[E]` of this graph belong to the circuit in a file.
    ///
    /// # Errors
    /// As [`scores_in`](Self::scores_in), and when the file divides what is one here: the outputs
    /// of a node, or the heads that share keys and values.
    pub fn circuit_in(&self, file: &EdgeFile) -> Result<Vec<bool>> {
        let fail = |message: String, help: &str| Err(Error::input(file.place(), message, help));
        if let Some(what) = file.divided_nodes() {
            let help = "neurons of a node cannot be kept apart here: give a circuit of whole nodes";
            return fail(what, help);
        }
        let mut kept = vec![];
        for (e, entries) in self.entries(file)?.into_iter().enumerate() {
            let inside = entries.iter().filter(|entry| entry.in_graph).count();
            if (1..entries.len()).contains(&inside) {
                let (all, edge) = (entries.len(), self.edge(e));
                return fail(
                    format!(
                        "keeps {inside} of the {all} edges that are the one edge `{edge}` here"
                    ),
                    "the heads of a group share keys and values: keep all of them, or none",
                );
            }
            kept.push(inside > 0);
        }
        Ok(kept)
    }

    /// The entries of each edge `[E]`: one, or one for each head of a group; none of an edge that a
    /// file of the circuit's edges alone does not have.
    fn entries<'a>(&self, file: &'a EdgeFile) -> Result<Vec<Vec<&'a Entry>>> {
        let fail = |message: String, help: &str| Err(Error::input(file.place(), message, help));
        for (key, want) in self.architecture() {
            if let Some(got) = file.cfg.get(key)
                && *got != want
            {
                let message = format!("is for another model: `{key}` is {got}, here it is {want}");
                return fail(message, "give the file that was made with this model");
            }
        }
        let theirs = file.tokens();
        if self.has_spans() && !theirs.is_empty() && theirs != self.spans() {
            let (theirs, ours) = (theirs.join(", "), self.spans().join(", "));
            let message = format!("has positions {}; the pairs have spans {ours}", brief(&theirs));
            return fail(message, "give the file that was made with these spans");
        }
        let names: Vec<[Vec<String>; 2]> = (0..self.edges()).map(|e| self.names(e)).collect();
        let by_name: HashMap<&str, usize> = (0..names.len())
            .flat_map(|e| names[e].iter().flatten().map(move |name| (name.as_str(), e)))
            .collect();
        let mut found: HashMap<&str, &'a Entry> = HashMap::new();
        let mut unknown: Vec<&str> = vec![];
        for (name, entry) in &file.edges {
            if !by_name.contains_key(name.as_str()) {
                unknown.push(name);
            } else if found.insert(name, entry).is_some() {
                let message = format!("has the edge `{}` twice", brief(name));
                return fail(message, "remove one of the two lines");
            }
        }
        if let Some(name) = unknown.first() {
            let (n, name) = (unknown.len(), brief(name));
            return fail(
                format!("has {n} edges that the graph has not, such as `{name}`"),
                &self.granularity_help(file),
            );
        }
        let of_edge = |names: &[Vec<String>; 2]| -> Option<Vec<&'a Entry>> {
            let all =
                |names: &Vec<String>| names.iter().map(|n| found.get(&**n).copied()).collect();
            names.iter().filter(|names| !names.is_empty()).find_map(all)
        };
        let list: Vec<Option<Vec<&Entry>>> = names.iter().map(of_edge).collect();
        let missing = list.iter().filter(|entries| entries.is_none()).count();
        if let Some(e) = list.iter().position(Option::is_none).filter(|_| !file.members_only) {
            let (all, edge) = (self.edges(), self.edge(e));
            return fail(
                format!("lacks {missing} of the graph's {all} edges, such as `{edge}`"),
                &self.granularity_help(file),
            );
        }
        Ok(list.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// What files call an edge: its name and, if it is read by a group of heads, those of the edges
    /// to each of them.
    fn names(&self, e: usize) -> [Vec<String>; 2] {
        let edge = self.edge(e);
        let Node::KeyValue { layer, head: group } = edge.to.node else {
            return [vec![edge.to_string()], vec![]];
        };
        let size = self.heads / self.kv_heads;
        let to_head = |head| {
            let to = Input { node: Node::Head { layer, head }, ..edge.to };
            Edge { to, ..edge }.to_string()
        };
        [vec![edge.to_string()], (group * size..(group + 1) * size).map(to_head).collect()]
    }

    /// Edges that do not fit are most often those of a graph that divides the model differently.
    fn granularity_help(&self, file: &EdgeFile) -> String {
        type Has = fn(&Edge) -> bool;
        let marks: [(&str, Has); 4] = [
            ("the input split into `embed` and `pos`", |edge| edge.from == Node::Embed),
            ("positions", |edge| edge.position.is_some()),
            ("neurons", |edge| matches!(edge.from, Node::Neuron { .. })),
            ("queries, keys and values apart", |edge| edge.to.port != Port::Whole),
        ];
        let theirs: Vec<Edge> =
            file.edges.iter().filter_map(|(name, _)| name.parse().ok()).collect();
        for (what, has) in marks {
            let file_has = theirs.iter().any(has);
            if file_has != (0..self.edges()).any(|e| has(&self.edge(e))) {
                let has = ["the graph", "the file"];
                let (one, other) = (has[usize::from(file_has)], has[usize::from(!file_has)]);
                return format!("{one} has {what} and {other} has not: divide the model alike");
            }
        }
        "give the file that was made with this model and the same division of it".into()
    }

    /// The architecture, as EAP-IG names it.
    fn architecture(&self) -> [(&'static str, Value); 4] {
        [
            ("n_layers", self.layers.into()),
            ("n_heads", self.heads.into()),
            ("parallel_attn_mlp", self.parallel.into()),
            ("d_model", self.d_model.into()),
        ]
    }
}

/// A name in an error: short, whatever the file holds.
fn brief(name: &str) -> String {
    match name.char_indices().nth(60) {
        Some((end, _)) => format!("{}..", &name[..end]),
        None => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::Completeness;
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
        let file = graph.scores_file(&scores, &meta);
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
        let back = graph.scores_in(&again).expect("the same graph");
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
        let file = graph.circuit_file(&kept, None, &Meta::default());
        let inside = |list: &[(String, Entry)]| -> Vec<String> {
            list.iter().filter(|(_, e)| e.in_graph).map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(inside(&file.nodes), ["input", "a1.h1", "logits"]);
        assert_eq!(inside(&file.edges), ["input->a1.h1<k>", "a1.h1->logits"]);
        assert_eq!(graph.circuit_in(&file), Ok(kept));
    }

    /// EAP-IG names keys and values by head where heads share them.
    #[test]
    fn edges_to_each_head_of_a_group_are_the_shared_edge() {
        let grouped = Config { heads: 4, kv_heads: 2, ..config() };
        let graph = Graph::of_transformer(&grouped, Granularity::default());
        let own = graph.scores_file(&numbers(&graph), &Meta::default());
        let mut file = own.clone();
        let each = |(name, entry): &(String, Entry)| match name.split_once("kv") {
            None => vec![(name.clone(), entry.clone())],
            Some((start, end)) => {
                let group: usize = end[..1].parse().expect("one digit");
                let to =
                    |h: usize| (format!("{start}h{}{}", 2 * group + h, &end[1..]), entry.clone());
                vec![to(0), to(1)]
            }
        };
        file.edges = own.edges.iter().flat_map(each).collect();
        assert!(file.edges.len() > own.edges.len());
        let (sums, ours) = (graph.scores_in(&file).expect("fits"), graph.scores_in(&own));
        for (e, (sum, one)) in sums.into_iter().zip(ours.expect("fits")).enumerate() {
            let shared = matches!(graph.edge(e).to.node, Node::KeyValue { .. });
            assert_eq!(sum, if shared { 2.0 * one } else { one }, "{}", graph.edge(e));
        }
        let at = |file: &EdgeFile, name: &str| {
            file.edges.iter().position(|(n, _)| n == name).expect("there")
        };
        let (first, second) = (at(&file, "input->a0.h2<k>"), at(&file, "input->a0.h3<k>"));
        file.edges[first].1.in_graph = true;
        let error = graph.circuit_in(&file).expect_err("half of a group").to_string();
        assert!(error.contains("keeps 1 of the 2 edges that are the one edge"), "{error}");
        file.edges[second].1.in_graph = true;
        let kept = graph.circuit_in(&file).expect("a whole group");
        let kept: Vec<String> =
            (0..kept.len()).filter(|&e| kept[e]).map(|e| graph.edge(e).to_string()).collect();
        assert_eq!(kept, ["input->a0.kv1<k>"]);
        file.edges.remove(second);
        assert!(
            graph.circuit_in(&file).expect_err("one is missing").to_string().contains("lacks 1")
        );
    }

    #[test]
    fn graphs_that_do_not_fit() {
        let (graph, scores) = (graph(), numbers(&graph()));
        let good = graph.scores_file(&scores, &Meta::default());
        let said = |file: &EdgeFile, graph: &Graph| {
            let e = graph.scores_in(file).expect_err("another graph");
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
