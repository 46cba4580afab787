//! `edgegrad compare`.

use crate::cli::out::{Force, check_out};
use crate::cli::print::note;
use crate::cli::question::choice;
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::attribution::compare::{Comparison, Overlap, compare};
use edgegrad::error::{Error, Result};
use edgegrad::files::atomic;
use edgegrad::formats::edge_name::Parts;
use edgegrad::formats::{Convention, EdgeFile};
use std::path::PathBuf;

/// Compare two files of scores or circuits
#[derive(Debug, Args)]
pub(super) struct Compare {
    /// Scores or a circuit, as `attribute` and `discover` write them or EAP-IG does
    a: PathBuf,
    /// The other file
    b: PathBuf,
    /// The sign of scores in a file that names none; EAP-IG's unless given
    #[arg(
        long,
        value_parser = choice::<Convention>(),
    )]
    convention: Option<Convention>,
    /// How many differences to list; the overlap of that many largest scores is printed as well
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    top: Option<u64>,
    /// Where to write the results
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    #[command(flatten)]
    force: Force,
}

impl Compare {
    pub(super) fn run(&self) -> Result<()> {
        if let Some(out) = &self.out {
            check_out(out, self.force, [&self.a, &self.b])?;
        }
        let (mut a, mut b) = (EdgeFile::read(&self.a)?, EdgeFile::read(&self.b)?);
        for file in [&a, &b] {
            file.warn_neurons();
        }
        let turned = match (a.convention(self.convention)?, b.convention(self.convention)?) {
            (Convention::EapIg, Convention::Ours) => Some(("A", &mut a)),
            (Convention::Ours, Convention::EapIg) => Some(("B", &mut b)),
            _ => None,
        };
        let turned = match turned {
            Some((name, file)) => {
                *file = std::mem::take(file).ours(Some(Convention::EapIg))?;
                Some(name)
            }
            None => None,
        };
        if let Some(what) = a.origin().differs(&b.origin()) {
            eprintln!("warning: A and B are of different {what}");
        }
        let found = compare(&a, &b, self.top.map(|k| k as usize));
        if found.common == 0 {
            let (one, other) = (&a.edges[0].0, &b.edges[0].0);
            return Err(Error::input(
                format_args!("{} and {}", self.a.display(), self.b.display()),
                format!("have no edge in common: one has {one:.60}, the other {other:.60}"),
                "compare files of the same model and the same division of it",
            ));
        }
        if let Some(out) = &self.out {
            atomic::write_bytes(out, format!("{:#}\n", found.to_json()).as_bytes())?;
        }
        for (name, path, file) in [("A", &self.a, &a), ("B", &self.b, &b)] {
            println!("{name}: {}{}", path.display(), origin(file));
        }
        let tokens = [a.tokens(), b.tokens()].into_iter().find(|tokens| !tokens.is_empty());
        print(&found, &tokens.unwrap_or_default());
        if let Some(name) = turned {
            println!("\n{name} is in the convention `eap-ig`: its signs are turned into `ours`");
        }
        Ok(())
    }
}

/// What a file says about itself.
fn origin(file: &EdgeFile) -> String {
    let said = ["method", "metric", "baseline"].map(|key| file.meta_text(key));
    let said: Vec<&str> = said.into_iter().flatten().collect();
    let edges = file.edges.len();
    match said[..] {
        [] => format!(" ({edges} edges)"),
        _ => format!(" ({edges} edges; {})", said.join(", ")),
    }
}

/// Prints what was found; `tokens [T]` stand at the positions of edges, if there are any.
fn print(found: &Comparison, tokens: &[&str]) {
    let Comparison { common, only_a, only_b, scored, .. } = *found;
    let mut edges = format!("{common} edges in both");
    if only_a + only_b > 0 {
        edges += &format!(", {only_a} only in A, {only_b} only in B: these are left out");
    }
    println!("{edges}");
    if scored < common {
        println!("{} of them have no score in A or in B", common - scored);
    }
    if scored > 0 {
        let number = |x: Option<f64>| match x {
            Some(x) => format!("{x:.6}"),
            None => "undefined: all scores of one file are equal".into(),
        };
        note("pearson", found.pearson);
        note("spearman", found.spearman);
        println!("\n{:<12} {}", "Pearson", number(found.pearson));
        println!("{:<12} {}", "Spearman", number(found.spearman));
        if let Some(scale) = found.scale {
            println!("{:<12} {scale:.6} (least squares)", "B / A");
        }
        let (alike, signed) = found.signs;
        if signed > 0 {
            let share = 100.0 * alike as f64 / signed as f64;
            println!("{:<12} {share:.1} % ({alike} of {signed})", "same sign");
        }
        print_scores(found, tokens);
    }
    if let Some(circuits) = found.circuits {
        let columns =
            [("circuits", "of"), ("A", "a"), ("B", "b"), ("both", "both"), ("Jaccard", "jaccard")];
        let mut table = Table::new("circuits", columns);
        for (name, overlap) in [("edges", circuits.edges), ("nodes", circuits.nodes)] {
            let Overlap { a, b, both } = overlap;
            let counts = [a, b, both].map(Cell::count);
            let jaccard = Cell::real(overlap.jaccard(), 4);
            table.row([Cell::text(name)].into_iter().chain(counts).chain([jaccard]));
        }
        println!();
        table.print();
    }
}

/// The overlaps of the largest scores, and where scores differ most.
fn print_scores(found: &Comparison, tokens: &[&str]) {
    if !found.top.is_empty() {
        let columns = [("top k by |.|", "k"), ("in both", "shared"), ("share", "share")];
        let mut table = Table::new("top", columns);
        for t in &found.top {
            let share = t.shared as f64 / t.k as f64;
            table.row([Cell::count(t.k), Cell::count(t.shared), Cell::percent(share, 1)]);
        }
        println!();
        table.print();
    }
    let mut apart = found.differences.iter().filter(|d| d.a != d.b).peekable();
    if apart.peek().is_none() {
        println!("\nall scores are equal");
        return;
    }
    let mut table = Table::new("differences", [("largest differences", "edge")]);
    let columns = [("token", "token"), ("A", "a"), ("B", "b"), ("A - B", "difference")];
    for (title, key) in columns.into_iter().skip(usize::from(tokens.is_empty())) {
        table.column(title, key);
    }
    for d in apart {
        let at = Parts::of(&d.edge).and_then(|edge| tokens.get(edge.to.position?).copied());
        let token = (!tokens.is_empty()).then(|| Cell::token(at));
        let numbers = [d.a, d.b, d.a - d.b].map(|x| Cell::real(x, 0).shown(digits(x)));
        table.row([Cell::text(shown(&d.edge))].into_iter().chain(token).chain(numbers));
    }
    println!();
    table.print();
}

/// The name of an edge as a terminal can bear it: short, and without what could control it.
fn shown(edge: &str) -> String {
    edge.chars().take(60).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Six digits, with an exponent where the number is far from 1.
fn digits(x: f64) -> String {
    match x.abs() {
        0.0 => "0".into(),
        1e-3..1e5 => format!("{x:.6}"),
        _ => format!("{x:.5e}"),
    }
}
