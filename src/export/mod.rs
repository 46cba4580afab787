//! A circuit for other programs: Graphviz, Mermaid, the viewers of attribution graphs.
//!
//! Names come from files and are untrusted: each format has its own way of quoting them, beside
//! what it writes.
#![forbid(unsafe_code)]

mod attribution_graph;
mod dot;
mod mermaid;

use std::path::Path;

use crate::error::Result;
use crate::formats::EdgeFile;
use crate::plot::network::{Link, Network};
use crate::plot::read::Edges;
use crate::plot::{palette, read};

/// What a circuit is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A digraph in Graphviz' language.
    Dot,
    /// A flowchart of Mermaid.
    Mermaid,
    /// The JSON that circuit-tracer's viewer and Neuronpedia read.
    AttributionGraph,
}

impl Format {
    /// Every format by its name.
    pub const ALL: [(&'static str, Format); 3] = [
        ("dot", Format::Dot),
        ("mermaid", Format::Mermaid),
        ("attribution-graph", Format::AttributionGraph),
    ];

    /// The format of this name.
    pub fn from_name(name: &str) -> Option<Format> {
        Format::ALL.iter().find(|(own, _)| *own == name).map(|(_, format)| *format)
    }
}

/// A circuit, written.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// The text of the file.
    pub text: String,
    /// Edges in it.
    pub edges: usize,
    /// Nodes in it.
    pub nodes: usize,
    /// Edges of the circuit, which may be more.
    pub members: usize,
}

/// Writes the `limit` largest edges of the circuit in `input`: a file in EAP-IG's layout, or a run
/// that logs circuits.
///
/// # Errors
/// When there is no circuit in `input`.
pub fn export(input: &Path, format: Format, limit: usize) -> Result<Exported> {
    written(&read::edges(input)?, format, limit)
}

/// The same of a file that is read, called `label`.
///
/// # Errors
/// If there is no circuit in it.
pub fn export_file(file: EdgeFile, label: &str, format: Format, limit: usize) -> Result<Exported> {
    let edges = Edges { label: label.into(), file: file.ours(None)?, faithfulness: None };
    written(&edges, format, limit)
}

fn written(edges: &Edges, format: Format, limit: usize) -> Result<Exported> {
    let network = Network::new(&edges.file, limit)?;
    let text = match format {
        Format::Dot => dot::write(&network),
        Format::Mermaid => mermaid::write(&network),
        Format::AttributionGraph => attribution_graph::write(&network, edges),
    };
    let (edges, nodes, members) = (network.links.len(), network.nodes.len(), network.members);
    Ok(Exported { text, edges, nodes, members })
}

/// The colour of a link's sign, as the figures have it, and how wide it is, from `thin` to `wide`.
fn look(link: &Link, largest: f64, thin: f64, wide: f64) -> (String, f64) {
    let share = link.score.filter(|_| largest > 0.0).map_or(0.0, |score| score.abs() / largest);
    (palette::sign(link.score).hex(), thin + (wide - thin) * share)
}

/// A score of three digits, in the letters of every format.
fn digits(score: f64) -> String {
    let size = score.abs();
    if size == 0.0 || (1e-3..1e5).contains(&size) {
        format!("{score:.3}")
    } else {
        format!("{score:.2e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that end a string, a tag or a line in one of the formats.
    pub(super) const EVIL: [&str; 8] = [
        "\"];evil [label=\"x",
        "back\\",
        "<script>alert(1)</script>",
        "line\nbreak",
        "end",
        "a]:::b|c{d}(e)",
        "`x` #quot; &amp;",
        "\u{0}\u{1b}[31m",
    ];

    /// Each evil name writes to `sink@3` and is read from `input@3`.
    pub(super) fn evil() -> Network {
        let names: Vec<String> = EVIL
            .iter()
            .flat_map(|name| [format!("input@3->{name}"), format!("{name}->sink@3")])
            .collect();
        let list: Vec<(&str, f64)> =
            names.iter().enumerate().map(|(i, name)| (name.as_str(), i as f64 - 4.0)).collect();
        Network::new(&crate::plot::network::tests::edges(&list), 100).unwrap()
    }

    /// The circuit that the tests of all formats know.
    pub(super) fn small() -> Network {
        let list = [
            ("input@1->a0.h1<k>@1", 2.0),
            ("input@1->a0.h1<v>@1", 1.0),
            ("a0.h1@2->m0@2", -4.0),
            ("m0@2->logits@2", 0.5),
        ];
        Network::new(&crate::plot::network::tests::edges(&list), 100).unwrap()
    }

    #[test]
    fn formats_by_name() {
        for (name, format) in Format::ALL {
            assert_eq!(Format::from_name(name), Some(format));
        }
        assert_eq!(Format::from_name("gml"), None);
    }

    #[test]
    fn the_largest_edges_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.json");
        let text =
            r#"{"edges": {"a->b": {"score": 1}, "b->c": {"score": -2}, "c->d": {"score": 0.5}}}"#;
        std::fs::write(&path, text).unwrap();
        for (_, format) in Format::ALL {
            let two = export(&path, format, 2).unwrap();
            assert_eq!((two.edges, two.nodes, two.members), (2, 3, 3));
            assert_eq!(two, export(&path, format, 2).unwrap(), "the same bytes");
        }
        assert!(export(&folder.path().join("gone"), Format::Dot, 2).is_err());
    }

    #[test]
    fn scores_keep_three_digits() {
        for (score, want) in [(0.0, "0.000"), (-1.5, "-1.500"), (1e-6, "1.00e-6")] {
            assert_eq!(digits(score), want);
        }
    }
}
