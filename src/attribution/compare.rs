//! The agreement of two files of scores, or of two circuits.
//!
//! Files are matched by the names of their edges, so they may come from different tools, and from
//! graphs that share only some edges. Scores are compared for edges with a score in both files.
//! With `a` and `b` the scores:
//!
//! - Pearson: the correlation of `a` and `b`;
//! - Spearman: that of their ranks, where equal scores share the mean of their ranks;
//! - scale: the `s` that makes `sum of (b - s a)^2` least; a factor between two conventions;
//! - signs: the share of edges whose scores have the same sign, of those where neither is 0;
//! - top k: how many of the k largest `|a|` are among the k largest `|b|` (equal ones in the order
//!   of the first file; for every k up to which neither score is 0);
//! - circuits: the edges of both over the edges of either (Jaccard), and the same for the nodes
//!   that these edges touch.

use crate::files::mark::GENERATOR;
use crate::formats::EdgeFile;
use crate::formats::edge_name::Parts;
use crate::stats;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// The agreement of two files on the edges that they share.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Edges in both files.
    pub common: usize,
    /// Edges in the first file alone.
    pub only_a: usize,
    /// Edges in the second file alone.
    pub only_b: usize,
    /// Edges with a score in both files.
    pub scored: usize,
    /// Their correlation; `None` where one file gives all edges the same score.
    pub pearson: Option<f64>,
    /// The correlation of their ranks; `None` likewise.
    pub spearman: Option<f64>,
    /// The factor from the first file's scores to the second's; `None` if the first are all 0.
    pub scale: Option<f64>,
    /// Edges with the same sign, and edges where neither score is 0.
    pub signs: (usize, usize),
    /// How many of the k largest are shared, for several k.
    pub top: Vec<Top>,
    /// The edges whose scores differ most, the largest difference first.
    pub differences: Vec<Difference>,
    /// The circuits, if both files have one.
    pub circuits: Option<Circuits>,
}

/// How many of the largest scores two files share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Top {
    /// The number of each file's largest scores compared.
    pub k: usize,
    /// How many of them are in both lists.
    pub shared: usize,
}

/// An edge with its two scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Its name.
    pub edge: String,
    /// Its score in the first file.
    pub a: f64,
    /// Its score in the second file.
    pub b: f64,
}

/// Two circuits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circuits {
    /// Their edges.
    pub edges: Overlap,
    /// The nodes that their edges touch.
    pub nodes: Overlap,
}

/// The sizes of two sets, and of what they share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The first.
    pub a: usize,
    /// The second.
    pub b: usize,
    /// Both.
    pub both: usize,
}

impl Overlap {
    fn of(a: &HashSet<&str>, b: &HashSet<&str>) -> Overlap {
        Overlap { a: a.len(), b: b.len(), both: a.intersection(b).count() }
    }

    /// The size of the intersection over that of the union.
    pub fn jaccard(&self) -> f64 {
        self.both as f64 / (self.a + self.b - self.both).max(1) as f64
    }
}

/// Compares two files; with `top`, at that k too and with as many differences (10 otherwise).
///
/// For an edge that a file has more than once, the last entry counts.
pub fn compare(a: &EdgeFile, b: &EdgeFile, top: Option<usize>) -> Comparison {
    let names = |file: &EdgeFile| -> Vec<usize> {
        // The last entry of each name, in the order of the entries.
        let last: HashMap<&str, usize> =
            file.edges.iter().enumerate().map(|(i, (name, _))| (name.as_str(), i)).collect();
        let mut places: Vec<usize> = last.into_values().collect();
        places.sort_unstable();
        places
    };
    let (in_a, in_b) = (names(a), names(b));
    let place_in_b: HashMap<&str, usize> =
        in_b.iter().map(|&i| (b.edges[i].0.as_str(), i)).collect();
    let (mut common, mut edges) = (0, vec![]);
    for &i in &in_a {
        let (name, entry) = &a.edges[i];
        let Some(&j) = place_in_b.get(name.as_str()) else { continue };
        common += 1;
        if let (Some(x), Some(y)) = (entry.score, b.edges[j].1.score) {
            edges.push((name.as_str(), x, y));
        }
    }
    let (x, y): (Vec<f64>, Vec<f64>) = edges.iter().map(|&(_, x, y)| (x, y)).unzip();
    let signed = edges.iter().filter(|(_, x, y)| *x != 0.0 && *y != 0.0);
    let alike = signed.clone().filter(|(_, x, y)| (*x > 0.0) == (*y > 0.0)).count();
    let (rank_x, rank_y) = (stats::by_size(&x), stats::by_size(&y));
    let mut sizes: Vec<usize> =
        [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000]
            .into_iter()
            .chain(top)
            // At the full length all are shared.
            .filter(|&k| k > 0 && k < x.len())
            .collect();
    sizes.sort_unstable();
    sizes.dedup();
    let shared = |k: usize| {
        let first: HashSet<usize> = rank_x[..k].iter().copied().collect();
        Top { k, shared: rank_y[..k].iter().filter(|i| first.contains(i)).count() }
    };
    let distances: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x - y).collect();
    let mut apart = stats::by_size(&distances);
    apart.truncate(top.unwrap_or(10));
    let difference = |i: usize| Difference { edge: edges[i].0.into(), a: x[i], b: y[i] };
    Comparison {
        common,
        only_a: in_a.len() - common,
        only_b: in_b.len() - common,
        scored: x.len(),
        pearson: stats::pearson(&x, &y),
        spearman: stats::spearman(&x, &y),
        scale: scale(&x, &y),
        signs: (alike, signed.count()),
        top: sizes.into_iter().map(shared).collect(),
        differences: apart.into_iter().map(difference).collect(),
        circuits: circuits(a, b),
    }
}

impl Comparison {
    /// As a file has it.
    pub fn to_json(&self) -> Value {
        let top = |t: &Top| json!({ "k": t.k, "shared": t.shared });
        let difference = |d: &Difference| json!({ "edge": d.edge, "a": d.a, "b": d.b });
        let overlap =
            |o: &Overlap| json!({ "a": o.a, "b": o.b, "both": o.both, "jaccard": o.jaccard() });
        json!({
            "generator": GENERATOR,
            "common": self.common,
            "only_a": self.only_a,
            "only_b": self.only_b,
            "scored": self.scored,
            "pearson": self.pearson,
            "spearman": self.spearman,
            "scale": self.scale,
            "same_sign": self.signs.0,
            "signed": self.signs.1,
            "top": self.top.iter().map(top).collect::<Vec<_>>(),
            "differences": self.differences.iter().map(difference).collect::<Vec<_>>(),
            "circuits": self.circuits.map(|c| json!({
                "edges": overlap(&c.edges),
                "nodes": overlap(&c.nodes),
            })),
        })
    }
}

/// The factor that brings `x` nearest to `y`.
fn scale(x: &[f64], y: &[f64]) -> Option<f64> {
    let largest = x.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    let (mut both, mut square) = (0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        both += x / largest * y;
        square += (x / largest).powi(2);
    }
    let factor = both / square / largest;
    (largest > 0.0 && factor.is_finite()).then_some(factor)
}

fn circuits(a: &EdgeFile, b: &EdgeFile) -> Option<Circuits> {
    if !(a.has_circuit() && b.has_circuit()) {
        return None;
    }
    let (a, b) = (circuit(a), circuit(b));
    let nodes = Overlap::of(&touched(&a), &touched(&b));
    Some(Circuits { edges: Overlap::of(&a, &b), nodes })
}

/// The edges of a file's circuit.
fn circuit(file: &EdgeFile) -> HashSet<&str> {
    file.edges.iter().filter(|(_, e)| e.in_graph).map(|(name, _)| name.as_str()).collect()
}

/// The nodes at both ends of edges: `a0.h1@3->a1.h0<q>@3` touches `a0.h1` and `a1.h0`.
fn touched<'a>(edges: &HashSet<&'a str>) -> HashSet<&'a str> {
    let parts = edges.iter().filter_map(|edge| Parts::of(edge));
    parts.flat_map(|edge| [edge.from.node, edge.to.node]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::Entry;

    fn file(edges: &[(&str, Option<f64>, bool)]) -> EdgeFile {
        let entry = |&(name, score, in_graph): &(&str, Option<f64>, bool)| {
            (name.to_string(), Entry { score, in_graph, ..Entry::default() })
        };
        let mut file = EdgeFile::default();
        file.edges.extend(edges.iter().map(entry));
        file
    }

    fn scores(numbers: &[f64]) -> EdgeFile {
        let names: Vec<String> = (0..numbers.len()).map(|i| format!("e{i}")).collect();
        let edges = names.iter().zip(numbers).map(|(n, &x)| (n.as_str(), Some(x), false));
        file(&edges.collect::<Vec<_>>())
    }

    #[test]
    fn correlations_by_hand() {
        // Means 2 and 4.5; deviations -2 -1 0 3 and -3.5 .5 -.5 3.5; so 17 / sqrt(14 * 25).
        let c = compare(&scores(&[0.0, 1.0, 2.0, 5.0]), &scores(&[1.0, 5.0, 4.0, 8.0]), None);
        let pearson = c.pearson.expect("defined");
        assert!((pearson - 17.0 / 350f64.sqrt()).abs() < 1e-15, "{pearson}");
        // Ranks 0 1 2 3 and 0 2 1 3: 1 - 6 * 2 / (4 * 15).
        assert!((c.spearman.expect("defined") - 0.8).abs() < 1e-15);
        // (0 + 5 + 8 + 40) / (0 + 1 + 4 + 25).
        assert!((c.scale.expect("defined") - 53.0 / 30.0).abs() < 1e-15);
        assert_eq!((c.signs, c.scored, c.circuits), ((3, 3), 4, None));
        assert_eq!(c.differences[0], Difference { edge: "e1".into(), a: 1.0, b: 5.0 });
        let order: Vec<&str> = c.differences.iter().map(|d| d.edge.as_str()).collect();
        assert_eq!(order, ["e1", "e3", "e2", "e0"]);
    }

    #[test]
    fn equal_scores_share_their_ranks() {
        // Ranks 0.5 0.5 2 and 0 1 2: deviations -.5 -.5 1 and -1 0 1.
        let c = compare(&scores(&[1.0, 1.0, 2.0]), &scores(&[1.0, 2.0, 3.0]), None);
        assert!((c.spearman.expect("defined") - 1.5 / 3f64.sqrt()).abs() < 1e-15);
        let c = compare(&scores(&[0.1, 0.1, 0.1]), &scores(&[1.0, 2.0, 3.0]), None);
        assert_eq!((c.pearson, c.spearman), (None, None));
        let c = compare(&scores(&[1e300, -1e300, 0.0]), &scores(&[1e-300, -1e-300, 0.0]), None);
        assert_eq!((c.pearson, c.spearman), (Some(1.0), Some(1.0)));
        let c = compare(&scores(&[0.0]), &scores(&[1.0]), None);
        assert_eq!((c.pearson, c.scale, c.signs), (None, None, (0, 0)));
        assert_eq!(compare(&scores(&[]), &scores(&[]), Some(3)).scored, 0);
    }

    #[test]
    fn the_largest_are_counted() {
        let a: Vec<f64> = (0..30).map(|i| -f64::from(i)).collect();
        let b: Vec<f64> = (0..30).map(|i| f64::from((i + 5) % 30)).collect();
        let c = compare(&scores(&a), &scores(&b), Some(3));
        // 27 28 29 against 22 23 24; 20..30 against 15..25; 10..30 against 5..25.
        let top: Vec<(usize, usize)> = c.top.iter().map(|t| (t.k, t.shared)).collect();
        assert_eq!(top, [(3, 0), (10, 5), (20, 15)]);
        assert_eq!((c.differences.len(), c.signs), (3, (0, 28)));
    }

    #[test]
    fn only_what_both_have_counts() {
        let some = |x| Some(x);
        let a = [
            ("x->a", some(1.0), true),
            ("y->b", some(2.0), true),
            ("z->c", None, false),
            ("o->o", some(9.0), true),
        ];
        let b = [
            ("y->b", some(4.0), true),
            ("x->a", some(2.0), false),
            ("z->c", some(5.0), false),
            ("p->p<k>@2", some(9.0), true),
        ];
        let c = compare(&file(&a), &file(&b), None);
        assert_eq!((c.common, c.only_a, c.only_b, c.scored), (3, 1, 1, 2));
        assert!((c.scale.expect("defined") - 2.0).abs() < 1e-15);
        let circuits = c.circuits.expect("both have one");
        assert_eq!(circuits.edges, Overlap { a: 3, b: 2, both: 1 });
        // x a y b o against y b p.
        assert_eq!(circuits.nodes, Overlap { a: 5, b: 3, both: 2 });
        assert!((circuits.edges.jaccard() - 0.25).abs() < 1e-15);
        let written = c.to_json();
        assert_eq!(written["circuits"]["nodes"]["both"], 2);
        assert_eq!(written["differences"][0]["edge"], "y->b");
    }
}
