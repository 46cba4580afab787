//! `circuit`: the layered graph of a circuit, the input below, the logits on top.
//!
//! Width is |score|, colour its sign. Links pass between the nodes of the rows they skip. Where
//! names carry positions, every position is a column with its token below, and dotted lines show
//! where heads carry what was read at one position to another: no edge does.

use std::path::PathBuf;

use super::axis::{brief, legend};
use super::font;
use super::layout::{Area, LONG, Layout, Spot, Style, TINY, look, ports};
use super::network::{Network, Node};
use super::palette::{BLACK, GREY, NEGATIVE, POSITIVE, WHITE};
use super::read;
use super::scene::{Anchor, LABEL, Point, SMALL, Scene, Stroke, cut, half_capital, vertical_curve};
use super::{Drawing, Options};
use crate::error::Result;
use crate::formats::edge_name::Node as Part;

const DOTTED: &[f64] = &[0.8, 1.6];

pub(super) fn draw(inputs: &[PathBuf], options: &Options) -> Result<Drawing> {
    let edges = read::edges(read::only(inputs, "circuit", "give one circuit a figure")?)?;
    let network = Network::new(&edges.file, options.edges)?;
    let unit = unit(edges.metric());
    let said = format!("{}{}", statement(&network, edges.faithfulness), scores_in(&network, unit));
    let (edge, label) = (4.0, row_labels(&network));
    let area = |width, top| Area { left: edge + label + 4.0, right: width - edge - 2.0, top };
    let column = options.points(3.25);
    let roomy = |spot: &Spot| spot.style == Style::Name;
    let fits = network.links.len() <= 40
        && Layout::new(&network, area(column, 0.0)).spots.iter().all(roomy);
    let width = options.points(if fits { 3.25 } else { 6.75 });
    let tokens = edges.file.tokens();
    let mut scene = Scene::new(width, format!("The circuit {}", edges.label));
    let top = explain(&mut scene, &network, [edge, edge], width, &said);
    let layout = Layout::new(&network, area(width, top + 6.0));

    for (row, y) in layout.rows.iter().enumerate() {
        let name = row_name(&network, row);
        scene.text([edge, y + half_capital(SMALL)], name, SMALL, GREY, Anchor::Start);
    }
    name_columns(&mut scene, &layout, &tokens, area(width, 0.0));
    carried(&mut scene, &network, &layout);
    let largest = network.largest();
    // The largest lie on top.
    for (link, way) in network.links.iter().zip(layout.ways(&network)).rev() {
        let (ink, wide) = look(link.score, largest);
        scene.line(way, Stroke::new(ink.at(0.9), wide));
    }
    for (i, (node, spot)) in network.nodes.iter().zip(&layout.spots).enumerate() {
        draw_node(&mut scene, node, spot, &ports(&network, i));
    }
    scene.height = layout.bottom
        + match (layout.columns.is_empty(), tokens.is_empty()) {
            (true, _) => 4.0,
            (false, true) => 1.9 * LABEL,
            (false, false) => 3.1 * LABEL,
        };
    let mut warnings = vec![];
    let bare = layout.spots.iter().filter(|spot| spot.style == Style::Bare).count();
    if bare > 0 {
        warnings.push(format!(
            "{bare} nodes have no room for their names; try --width 6.75 or fewer --edges"
        ));
    }
    let caption = vec![format!(
        "{said}; width: |score|, the fall of the metric without the edge; green: below 0"
    )];
    Ok(Drawing { scene, caption, warnings })
}

/// The position of each column, and the token that stands there, if that is known.
fn name_columns(scene: &mut Scene, layout: &Layout, tokens: &[&str], area: Area) {
    let wide = (area.right - area.left) / layout.columns.len().max(1) as f64;
    for (column, x) in &layout.columns {
        let at = [*x, layout.bottom + 1.2 * LABEL];
        scene.text(at, format!("@{column}"), SMALL, GREY, Anchor::Middle);
        if let Some(token) = tokens.get(*column) {
            let at = [*x, layout.bottom + 2.4 * LABEL];
            scene.text(at, cut(&format!("{token:?}"), TINY, wide), TINY, GREY, Anchor::Middle);
        }
    }
}

/// What is drawn of what there is.
fn statement(network: &Network, faithfulness: Option<f64>) -> String {
    let (drawn, members, all) = (network.links.len(), network.members, network.all);
    let mut text = match (network.chosen, drawn < members) {
        (true, false) => format!("circuit of {members} of {all} edges"),
        (true, true) => format!("the {drawn} largest of {members} edges in the circuit"),
        (false, _) => format!("the {drawn} largest of {members} scored edges"),
    };
    if let Some(f) = faithfulness {
        text += &format!(", faithfulness {f:.2}");
    }
    text
}

/// Said beside, so that widths need no unit of their own.
fn scores_in(network: &Network, unit: &str) -> String {
    match unit.trim_matches([' ', '(', ')']) {
        "" => String::new(),
        _ if network.largest() == 0.0 => String::new(),
        unit => format!("; scores in {unit}"),
    }
}

/// What scores are in.
pub(super) fn unit(metric: Option<&str>) -> &'static str {
    match metric {
        Some("logit-diff") => " (logits)",
        Some("nll" | "kl") => " (nats)",
        Some("prob-diff") => " (probability)",
        _ => "",
    }
}

/// The legend: signs, three widths, what is drawn.
fn explain(scene: &mut Scene, network: &Network, at: Point, width: f64, said: &str) -> f64 {
    let largest = network.largest();
    let mut entries = vec![];
    let has = |f: &dyn Fn(f64) -> bool| network.links.iter().any(|l| l.score.is_some_and(f));
    let sign = |ink, text: &str| (Stroke::new(ink, 2.0), text.to_string());
    if has(&|s| s > 0.0) {
        entries.push(sign(POSITIVE, "score > 0"));
    }
    if has(&|s| s < 0.0) {
        entries.push(sign(NEGATIVE, "score < 0"));
    }
    for part in [0.25, 1.0] {
        if largest > 0.0 {
            let (_, wide) = look(Some(part * largest), largest);
            entries.push((Stroke::new(GREY, wide), brief(part * largest)));
        }
    }
    let [left, top] = at;
    let high = legend(scene, at, width - 2.0 * left, &entries);
    let said = cut(said, SMALL, width - 2.0 * left);
    scene.text([left, top + high + SMALL], said, SMALL, GREY, Anchor::Start);
    top + high + 1.6 * SMALL
}

fn row_name(network: &Network, row: usize) -> String {
    let Some(node) = network.nodes.iter().find(|node| node.row == row) else {
        return String::new();
    };
    match node.part {
        None => String::new(),
        Some(Part::Input | Part::Embed | Part::Pos) => "input".into(),
        Some(Part::KeyValue { layer, .. }) => format!("KV {layer}"),
        Some(Part::Head { layer, .. }) => format!("heads {layer}"),
        Some(Part::Mlp { layer } | Part::Neuron { layer, .. }) => format!("MLP {layer}"),
        Some(Part::Logits) => "output".into(),
    }
}

fn row_labels(network: &Network) -> f64 {
    let rows = network.nodes.iter().map(|node| node.row + 1).max().unwrap_or(0);
    (0..rows).map(|row| font::width(&row_name(network, row), SMALL)).fold(0.0, f64::max)
}

fn draw_node(scene: &mut Scene, node: &Node, spot: &Spot, ports: &[char]) {
    let edge = Stroke::new(BLACK, 0.6);
    let corner = [spot.x - spot.width / 2.0, spot.y - spot.height / 2.0];
    match spot.style {
        Style::Name | Style::Short => {
            scene.rectangle(corner, [spot.width, spot.height], WHITE, Some(edge));
            let text = if spot.style == Style::Name { &node.plain } else { node.short() };
            let text = cut(text, LABEL, spot.width - 3.0);
            let middle = if ports.is_empty() { spot.y } else { spot.y - 0.45 * TINY };
            let at = [spot.x, middle + half_capital(LABEL)];
            scene.text(at, text, LABEL, BLACK, Anchor::Middle);
            for (i, port) in ports.iter().enumerate() {
                let at = [spot.port(i, ports.len()), corner[1] + spot.height - 1.8];
                scene.text(at, port.to_string(), TINY, GREY, Anchor::Middle);
            }
        }
        Style::Dot | Style::Bare => {
            scene.circle([spot.x, spot.y], spot.width / 2.0, WHITE, Some(edge));
            if spot.style == Style::Dot {
                // Beside the dot: links leave it upwards.
                let (text, low) = (cut(node.short(), TINY, LONG), spot.bottom());
                let (left, long) = (spot.x + spot.width / 2.0 + 0.3, font::width(&text, TINY));
                scene.rectangle([left, low - long], [0.76 * TINY, long], WHITE.at(0.8), None);
                scene.turned([left + 0.73 * TINY, low], text, TINY, BLACK, Anchor::Start);
            }
        }
    }
}

/// Where heads carry what they read at one position to another one, and which heads use shared keys
/// and values.
fn carried(scene: &mut Scene, network: &Network, layout: &Layout) {
    let reads = |i: usize| ports(network, i).iter().any(|&port| port != 'q');
    let writes = |i: usize| network.links.iter().any(|link| link.from == i);
    for (i, source) in network.nodes.iter().enumerate().filter(|(i, _)| reads(*i)) {
        for (j, target) in network.nodes.iter().enumerate().filter(|(j, _)| writes(*j)) {
            let after = match (source.position, target.position) {
                (Some(a), Some(b)) => b > a || (b == a && i != j),
                (None, None) => i != j,
                _ => false,
            };
            if !after {
                continue;
            }
            let [a, b] = [i, j].map(|n| &layout.spots[n]);
            let way = match (source.part, target.part) {
                (Some(Part::Head { head, .. }), target) if source.part == target => {
                    // Each head at a height of its own.
                    let high = a.top().min(b.top()) - 4.0 - 2.0 * (head % 6) as f64;
                    let turn = 4.0f64.min(0.5 * (b.x - a.x));
                    vec![[a.x, a.top()], [a.x + turn, high], [b.x - turn, high], [b.x, b.top()]]
                }
                (
                    Some(Part::KeyValue { layer, head }),
                    Some(Part::Head { layer: at, head: by }),
                ) if at == layer && network.sharing.is_some_and(|n| by / n == head) => {
                    vertical_curve([a.x, a.top()], [b.x, b.bottom()])
                }
                _ => continue,
            };
            scene.line(way, Stroke::new(GREY, 0.5).dashed(DOTTED));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::svg;
    use super::*;

    fn written(text: &str, options: &Options) -> Result<(Drawing, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.json");
        std::fs::write(&path, text).unwrap();
        let drawing = draw(&[path], options)?;
        let text = svg::write(&drawing.scene);
        svg::tests::well_formed(&text);
        Ok((drawing, text))
    }

    #[test]
    fn hostile_names_are_drawn_as_text() {
        let evil = r#"{"edges": {"<img onerror=1>\"&\u0000->b'": {"score": -1.5}, "b'->c": {"score": null,
            "in_graph": true}}}"#;
        let (drawing, text) = written(evil, &Options::default()).unwrap();
        assert!(!text.contains("<img"));
        assert!(drawing.caption[0].contains("circuit of 1 of 2 edges"), "{:?}", drawing.caption);
        let options = Options { edges: 1, ..Options::default() };
        let all = r#"{"edges": {"a->b": {"score": -1.5}, "b->c": {"score": 1e300}}, "meta": {"metric": "kl"}}"#;
        let (drawing, _) = written(all, &options).unwrap();
        let want = "the 1 largest of 2 scored edges; scores in nats; width: |score|";
        assert!(drawing.caption[0].starts_with(want), "{:?}", drawing.caption);
    }

    #[test]
    fn columns_have_the_tokens_of_their_positions() {
        let list = r#"{"edges": {"input@0->logits@0": {"score": 1}, "m0@2->logits@2": {"score": 1}},
            "meta": {"tokens": ["The", "keys", "<b>"]}}"#;
        let (_, text) = written(list, &Options::default()).unwrap();
        for shown in ["@0", "@2", "The", "&lt;b"] {
            assert!(text.contains(shown), "{shown}");
        }
        assert!(!text.contains("keys"), "a column without edges");
    }

    #[test]
    fn one_figure_is_one_circuit() {
        let error = draw(&["a".into(), "b".into()], &Options::default()).unwrap_err();
        assert!(error.to_string().contains("b: is one circuit too many"), "{error}");
    }
}
