//! Mermaid, which GitHub and notebooks draw from text.

use crate::files::mark::GENERATOR;
use std::fmt::Write as _;

use super::{digits, look};
use crate::plot::network::Network;

/// The text of the file.
pub(super) fn write(network: &Network) -> String {
    let mut out = format!("flowchart BT\n  %% generator: {GENERATOR}\n");
    for (i, node) in network.nodes.iter().enumerate() {
        // Words such as `end` would be taken as Mermaid's own: nodes go by number.
        let _ = writeln!(out, "  n{i}[\"{}\"]", escape(&node.name));
    }
    let largest = network.largest();
    for link in &network.links {
        let port = link.port.map(String::from).unwrap_or_default();
        let said = [port, link.score.map(digits).unwrap_or_default()];
        let said: Vec<&str> = said.iter().map(String::as_str).filter(|s| !s.is_empty()).collect();
        let label =
            if said.is_empty() { String::new() } else { format!("|\"{}\"|", said.join(" ")) };
        let _ = writeln!(out, "  n{} -->{label} n{}", link.from, link.to);
    }
    for (i, link) in network.links.iter().enumerate() {
        let (colour, wide) = look(link, largest, 1.0, 6.0);
        let _ = writeln!(out, "  linkStyle {i} stroke:{colour},stroke-width:{wide:.1}px");
    }
    out
}

/// A name inside of quotation marks: whatever could be markup goes by its number, as Mermaid has
/// it.
fn escape(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        match c {
            c if c.is_control() => text.push('\u{fffd}'),
            c if c.is_alphanumeric() || matches!(c, ' ' | '.' | '@' | '_' | ',' | '-') => {
                text.push(c)
            }
            c => {
                let _ = write!(text, "#{};", c as u32);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::{EVIL, evil, small};
    use super::*;

    /// What Mermaid shows for an escaped text.
    fn shown(text: &str) -> String {
        let mut parts = text.split('#');
        let mut shown = parts.next().unwrap_or_default().to_string();
        for part in parts {
            let (number, rest) = part.split_once(';').expect("an entity ends");
            shown.push(char::from_u32(number.parse().expect("a number")).expect("a letter"));
            shown += rest;
        }
        shown
    }

    /// Names of nodes, and links by their numbers; every line is one of the four kinds.
    fn parse(text: &str) -> (Vec<String>, Vec<[usize; 2]>) {
        let (mut names, mut links, mut styles) = (vec![], vec![], 0);
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("flowchart BT"));
        for line in lines.map(str::trim).filter(|line| !line.starts_with("%%")) {
            if line.starts_with("linkStyle ") {
                assert!(line.starts_with(&format!("linkStyle {styles} stroke:#")));
                styles += 1;
            } else if let Some((from, to)) = line.split_once(" -->") {
                let to = to.rsplit(' ').next().unwrap();
                links.push([from, to].map(|n| n.strip_prefix('n').unwrap().parse().unwrap()));
            } else {
                let inner = line.strip_prefix(&format!("n{}[\"", names.len())).expect(line);
                let inner = inner.strip_suffix("\"]").expect(line);
                assert!(!inner.contains(['"', '<', '>', '`', '[', '{', '&']), "{inner}");
                names.push(shown(inner));
            }
        }
        assert_eq!(styles, links.len());
        (names, links)
    }

    #[test]
    fn reads_back_as_it_was() {
        let network = small();
        let text = write(&network);
        let (names, links) = parse(&text);
        let want: Vec<_> = network.nodes.iter().map(|node| node.name.clone()).collect();
        assert_eq!(names, want);
        let want: Vec<_> = network.links.iter().map(|link| [link.from, link.to]).collect();
        assert_eq!(links, want);
        assert!(text.contains("-->|\"k 2.000\"|"));
        assert!(text.contains("linkStyle 0 stroke:#3f7d20,stroke-width:6.0px"));
    }

    #[test]
    fn hostile_names_stay_names() {
        let (names, links) = parse(&write(&evil()));
        assert_eq!((names.len(), links.len()), (EVIL.len() + 2, 2 * EVIL.len()));
        for name in EVIL.iter().filter(|name| !name.chars().any(char::is_control)) {
            assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
        }
    }
}
