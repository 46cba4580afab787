//! Graphviz: `dot -Tsvg circuit.dot`.

use crate::files::mark::GENERATOR;
use std::fmt::Write as _;

use super::{digits, look};
use crate::plot::network::Network;

/// The text of the file.
pub(super) fn write(network: &Network) -> String {
    let mut out = format!("// generator: {GENERATOR}\n");
    out += "digraph circuit {\n  rankdir=BT;\n  node [shape=box, fontname=\"Helvetica\", height=0.3];\n  \
            edge [fontname=\"Helvetica\", fontsize=10];\n";
    let rows = network.nodes.iter().map(|node| node.row + 1).max().unwrap_or(0);
    for row in 0..rows {
        out += "  { rank=same;";
        for node in network.nodes.iter().filter(|node| node.row == row) {
            let _ = write!(out, " {};", quoted(&node.name));
        }
        out += " }\n";
    }
    let largest = network.largest();
    for link in &network.links {
        let [from, to] = [link.from, link.to].map(|i| quoted(&network.nodes[i].name));
        let (colour, wide) = look(link, largest, 0.4, 5.0);
        let _ = write!(out, "  {from} -> {to} [color=\"{colour}\", penwidth={wide:.2}");
        if let Some(port) = link.port {
            let _ = write!(out, ", headlabel=\"{port}\"");
        }
        if let Some(score) = link.score {
            let _ = write!(out, ", tooltip=\"score {}\"", digits(score));
        }
        out += "];\n";
    }
    out + "}\n"
}

/// A name as an ID, which a label is too: a quotation mark would end it, a backslash would begin an
/// escape, and what is no letter is shown by its number.
fn quoted(name: &str) -> String {
    let mut text = String::from("\"");
    for c in name.chars() {
        match c {
            '"' => text += "\\\"",
            '\\' => text += "\\\\",
            c if c.is_control() => {
                let _ = write!(text, "<U+{:04X}>", c as u32);
            }
            c => text.push(c),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::{EVIL, evil, small};
    use super::*;

    /// The words of Graphviz' language: strings without their quotation marks, signs by themselves.
    fn words(text: &str) -> Vec<String> {
        let mut words = vec![];
        let text = text.strip_prefix(&format!("// generator: {GENERATOR}\n")).expect("a mark");
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            if c == '"' {
                let mut word = String::from("'");
                loop {
                    match rest.next().expect("a string ends") {
                        '"' => break,
                        '\\' => word.push(rest.next().expect("not at the end")),
                        c => word.push(c),
                    }
                }
                words.push(word);
            } else if c.is_alphanumeric() || c == '.' {
                let mut word = String::from(c);
                while let Some(c) = rest.next_if(|c| c.is_alphanumeric() || matches!(c, '.' | '_'))
                {
                    word.push(c);
                }
                words.push(word);
            } else if c == '-' && rest.next_if_eq(&'>').is_some() {
                words.push("->".into());
            } else if !c.is_whitespace() {
                assert!("{}[];=,".contains(c), "{c:?} in {text}");
                words.push(c.into());
            }
        }
        words
    }

    /// Writer and reader of each edge statement.
    fn edges(text: &str) -> Vec<[String; 2]> {
        let words = words(text);
        let arrows = (0..words.len()).filter(|&i| words[i] == "->");
        arrows.map(|i| [words[i - 1].clone(), words[i + 1].clone()]).collect()
    }

    #[test]
    fn says_nodes_edges_ports_and_signs() {
        let text = write(&small());
        let edge = |a: &str, b: &str| [format!("'{a}"), format!("'{b}")];
        assert_eq!(
            edges(&text),
            [
                edge("a0.h1@2", "m0@2"),
                edge("input@1", "a0.h1@1"),
                edge("input@1", "a0.h1@1"),
                edge("m0@2", "logits@2")
            ]
        );
        assert!(text.contains(r##"[color="#3f7d20", penwidth=5.00, tooltip="score -4.000"]"##));
        assert!(text.contains("headlabel=\"k\""));
    }

    #[test]
    fn hostile_names_stay_names() {
        let text = write(&evil());
        let found = edges(&text);
        assert_eq!(found.len(), 2 * EVIL.len());
        let names: BTreeSet<&String> = found.iter().flatten().collect();
        assert_eq!(names.len(), EVIL.len() + 2, "each name is one node");
        for name in EVIL.iter().filter(|name| !name.chars().any(char::is_control)) {
            assert!(names.contains(&format!("'{name}")), "{name}: {names:?}");
        }
        assert!(!words(&text).contains(&"evil".to_string()));
    }
}
