//! Where the nodes of a circuit are on paper, and which way its links take between them.

use std::collections::BTreeMap;

use super::font;
use super::network::{Link, Network};
use super::palette::{GREY, sign};
use super::scene::{Ink, LABEL, Point, vertical_curve};
use crate::stats::order;

/// The widest and the thinnest link.
const WIDEST: f64 = 3.6;
const THINNEST: f64 = 0.25;
/// Text in ports.
pub(super) const TINY: f64 = 6.0;
/// How long names beside dots are, at most.
pub(super) const LONG: f64 = 30.0;

/// How the nodes of a row are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Style {
    /// The whole name in a box.
    Name,
    /// The name without the layer, in a box.
    Short,
    /// A dot, beside it upwards the name without the layer.
    Dot,
    /// A dot.
    Bare,
}

/// A node on paper.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spot {
    pub(super) x: f64,
    /// Its middle.
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) style: Style,
}

/// Where there is room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
}

/// Where everything is.
pub(super) struct Layout {
    pub(super) spots: Vec<Spot>,
    /// The middles of rows, from below.
    pub(super) rows: Vec<f64>,
    /// Positions and their middles.
    pub(super) columns: Vec<(usize, f64)>,
    pub(super) bottom: f64,
    area: Area,
}

impl Spot {
    /// Where the `i`-th of `n` ports is.
    pub(super) fn port(&self, i: usize, n: usize) -> f64 {
        let apart = (self.width / n.max(1) as f64).min(8.0);
        self.x + (i as f64 - 0.5 * (n as f64 - 1.0)) * apart
    }

    pub(super) fn top(&self) -> f64 {
        self.y - 0.5 * self.height
    }

    pub(super) fn bottom(&self) -> f64 {
        self.y + 0.5 * self.height
    }
}

impl Layout {
    pub(super) fn new(network: &Network, area: Area) -> Self {
        let count = network.nodes.iter().map(|node| node.row + 1).max().unwrap_or(0);
        let used: Vec<usize> = {
            let mut list: Vec<_> = network.nodes.iter().filter_map(|node| node.position).collect();
            list.sort_unstable();
            list.dedup();
            list
        };
        let wide = (area.right - area.left) / used.len().max(1) as f64;
        let middle = |i: usize| area.left + (i as f64 + 0.5) * wide;
        let columns: Vec<(usize, f64)> =
            used.iter().enumerate().map(|(i, &position)| (position, middle(i))).collect();
        let mut spots: Vec<Option<Spot>> = vec![None; network.nodes.len()];
        for row in 0..count {
            for (i, spot) in place_row(network, row, area, &columns, wide) {
                spots[i] = Some(spot);
            }
        }
        let mut spots: Vec<Spot> = spots.into_iter().flatten().collect();
        // Rows from the top: names that stand upwards need room above their dots.
        let (mut rows, mut y) = (vec![0.0; count], area.top);
        for row in (0..count).rev() {
            let own = |i: &usize| network.nodes[*i].row == row;
            let here: Vec<usize> = (0..spots.len()).filter(own).collect();
            let tall = here.iter().map(|&i| spots[i].height).fold(0.0, f64::max);
            let names = here.iter().filter(|&&i| spots[i].style == Style::Dot);
            let above = names
                .map(|&i| font::width(network.nodes[i].short(), TINY).min(LONG) - tall)
                .fold(0.0, f64::max);
            y += above + 0.5 * tall;
            rows[row] = y;
            here.iter().for_each(|&i| spots[i].y = y);
            // The farther links reach to the side, the more height they need.
            let links = || network.links.iter().filter(|link| network.nodes[link.to].row == row);
            let reach = |link: &Link| (spots[link.from].x - spots[link.to].x).abs();
            let reach = links().map(reach).fold(0.0, f64::max);
            y +=
                0.5 * tall + (14.0 + 0.6 * links().count() as f64 + 0.14 * reach).clamp(22.0, 64.0);
        }
        let bottom = spots.iter().map(Spot::bottom).fold(area.top, f64::max);
        Layout { spots, rows, columns, bottom, area }
    }

    /// The points of each link: from the top of the writer to the reader's port, past the nodes of
    /// the rows between and past larger links, as far as there is room.
    pub(super) fn ways(&self, network: &Network) -> Vec<Vec<Point>> {
        // What is taken of each row, from left to right.
        let mut taken: Vec<Vec<[f64; 2]>> = vec![vec![]; self.rows.len()];
        let mut band: Vec<[f64; 2]> = self.rows.iter().map(|&y| [y, y]).collect();
        for (node, spot) in network.nodes.iter().zip(&self.spots) {
            let named = if spot.style == Style::Dot { TINY } else { 0.0 };
            let half = 0.5 * spot.width;
            taken[node.row].push([spot.x - half - 1.5, spot.x + half + 1.5 + named]);
            let [top, bottom] = &mut band[node.row];
            (*top, *bottom) = (top.min(spot.top()), bottom.max(spot.bottom()));
        }
        let largest = network.largest();
        let mut ways = vec![];
        for link in &network.links {
            let wide = look(link.score, largest).1 + 0.8;
            let (from, to) = (&self.spots[link.from], &self.spots[link.to]);
            let all = ports(network, link.to);
            let port = link.port.and_then(|port| all.iter().position(|&p| p == port));
            let end = [port.map_or(to.x, |i| to.port(i, all.len())), to.bottom()];
            let start = [from.x, from.top()];
            let (low, high) = (network.nodes[link.from].row, network.nodes[link.to].row);
            let mut stops = vec![start];
            for row in low + 1..high {
                let x = stops[stops.len() - 1][0];
                let want = x + (end[0] - x) / (high - row + 1) as f64;
                let x = self.gap(&taken[row], want, wide);
                taken[row].push([x - 0.5 * wide, x + 0.5 * wide]);
                let [top, bottom] = band[row];
                stops.extend([[x, bottom], [x, top]]);
            }
            stops.push(end);
            let mut way = vec![start];
            for pair in stops.windows(2) {
                way.extend(vertical_curve(pair[0], pair[1]).into_iter().skip(1));
            }
            ways.push(way);
        }
        ways
    }

    /// The place nearest to `x` where `wide` is free; `x` itself where nothing is.
    fn gap(&self, taken: &[[f64; 2]], x: f64, wide: f64) -> f64 {
        let mut taken = taken.to_vec();
        order::sort_by(&mut taken, |a, b| a[0].total_cmp(&b[0]));
        let mut free = vec![];
        let mut from = self.area.left - 4.0;
        for [left, right] in taken {
            free.push([from, left]);
            from = from.max(right);
        }
        free.push([from, self.area.right + 4.0]);
        let wide_enough = free.into_iter().filter(|[a, b]| b - a >= wide);
        let places = wide_enough.map(|[a, b]| x.clamp(a + 0.5 * wide, b - 0.5 * wide));
        places.min_by(|a, b| (a - x).abs().total_cmp(&(b - x).abs())).unwrap_or(x)
    }
}

/// Places the nodes of a row side by side in the most telling style that fits.
fn place_row(
    network: &Network,
    row: usize,
    area: Area,
    columns: &[(usize, f64)],
    column: f64,
) -> Vec<(usize, Spot)> {
    const APART: f64 = 8.0;
    let here: Vec<usize> =
        (0..network.nodes.len()).filter(|&i| network.nodes[i].row == row).collect();
    // Nodes without a position share the width, the others their column.
    let mut cells: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
    for &i in &here {
        cells.entry(network.nodes[i].position).or_default().push(i);
    }
    let whole = area.right - area.left;
    let room = |position: &Option<usize>| if position.is_some() { column } else { whole };
    let width = |i: usize, style: Style| match style {
        Style::Name => font::width(&network.nodes[i].plain, LABEL).min(90.0) + 7.0,
        Style::Short => font::width(network.nodes[i].short(), LABEL).min(60.0) + 5.0,
        Style::Dot | Style::Bare => 3.2,
    };
    let apart = |style: Style| match style {
        Style::Name => APART,
        Style::Short => 4.0,
        Style::Dot => 5.0,
        Style::Bare => 0.4,
    };
    let fits = |style: &Style| {
        cells.iter().all(|(position, list)| {
            let wide: f64 = list.iter().map(|&i| width(i, *style) + apart(*style)).sum();
            wide <= room(position)
        })
    };
    let styles = [Style::Name, Style::Short, Style::Dot];
    let style = styles.into_iter().find(fits).unwrap_or(Style::Bare);
    let mut placed = vec![];
    for (position, list) in &cells {
        let wide: f64 = list.iter().map(|&i| width(i, style)).sum();
        let free = (room(position) - wide) / list.len() as f64;
        let gap = free.min(if position.is_some() { 9.0 } else { 36.0 });
        let middle = position
            .and_then(|p| columns.iter().find(|(own, _)| *own == p))
            .map_or(0.5 * (area.left + area.right), |(_, x)| *x);
        let mut x = middle - 0.5 * (wide + gap * list.len() as f64);
        for &i in list {
            let own = width(i, style);
            let height = match style {
                Style::Name | Style::Short if ports(network, i).is_empty() => 13.0,
                Style::Name | Style::Short => 19.0,
                Style::Dot | Style::Bare => own,
            };
            let at = x + 0.5 * (own + gap);
            placed.push((i, Spot { x: at, y: 0.0, width: own, height, style }));
            x += own + gap;
        }
    }
    placed
}

/// The ports of a node that something is read through, in order.
pub(super) fn ports(network: &Network, node: usize) -> Vec<char> {
    let read = |link: &Link| link.port.filter(|_| link.to == node);
    ['q', 'k', 'v']
        .into_iter()
        .filter(|p| network.links.iter().any(|l| read(l) == Some(*p)))
        .collect()
}

/// A link's colour and width.
pub(super) fn look(score: Option<f64>, largest: f64) -> (Ink, f64) {
    let Some(score) = score.filter(|_| largest > 0.0) else { return (GREY, 2.0 * THINNEST) };
    (sign(Some(score)), (WIDEST * score.abs() / largest).max(THINNEST))
}

#[cfg(test)]
mod tests {
    use super::super::network::tests::edges;
    use super::*;

    fn area() -> Area {
        Area { left: 30.0, right: 230.0, top: 10.0 }
    }

    #[test]
    fn links_pass_between_nodes_and_end_at_ports() {
        let network = Network::new(
            &edges(&[
                ("input->a0.h0<q>", 1.0),
                ("input->a0.h0<v>", 2.0),
                ("a0.h0->logits", 2.0),
                ("input->logits", -1.0),
            ]),
            9,
        )
        .unwrap();
        let layout = Layout::new(&network, area());
        let head = network.nodes.iter().position(|n| n.name == "a0.h0").unwrap();
        let ways = layout.ways(&network);
        for (link, way) in network.links.iter().zip(&ways) {
            assert_eq!(way[0], [layout.spots[link.from].x, layout.spots[link.from].top()]);
            let end = way[way.len() - 1];
            assert_eq!(end[1], layout.spots[link.to].bottom());
            if link.to != head && link.from != head {
                let spot = &layout.spots[head];
                let hits = |p: &Point| {
                    (p[0] - spot.x).abs() < 0.5 * spot.width
                        && (p[1] - spot.y).abs() < 0.5 * spot.height
                };
                assert!(!way.iter().any(hits), "input->logits runs through the head");
            }
        }
        let port = |port| network.links.iter().position(|link| link.port == Some(port)).unwrap();
        let end = |way: &Vec<Point>| way[way.len() - 1][0];
        assert!(end(&ways[port('q')]) < end(&ways[port('v')]), "ports are apart");
        assert!(layout.rows[0] > layout.rows[1], "the input is below");
    }

    #[test]
    fn rows_shrink_until_they_fit() {
        for (neurons, style) in
            [(3, Style::Name), (7, Style::Short), (20, Style::Dot), (90, Style::Bare)]
        {
            let names: Vec<String> = (0..neurons).map(|j| format!("m0.n{j}->logits")).collect();
            let list: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
            let network = Network::new(&edges(&list), 1000).unwrap();
            let layout = Layout::new(&network, area());
            let nodes = || layout.spots.iter().zip(&network.nodes);
            let row = || nodes().filter(|(_, node)| node.plain.starts_with("m0.n"));
            assert!(row().all(|(spot, _)| spot.style == style), "{neurons}: {:?}", layout.spots[0]);
            if style != Style::Bare {
                let mut ends: Vec<[f64; 2]> =
                    row().map(|(s, _)| [s.x - 0.5 * s.width, s.x + 0.5 * s.width]).collect();
                ends.sort_by(|a, b| a[0].total_cmp(&b[0]));
                assert!(ends[0][0] >= 30.0 && ends[ends.len() - 1][1] <= 230.0);
                assert!(ends.windows(2).all(|w| w[0][1] < w[1][0]), "{neurons}: apart");
            }
        }
    }
}
