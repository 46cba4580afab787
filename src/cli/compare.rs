//! `edgegrad compare`.

use clap::Args;
use edgegrad::attribution::compare::{Comparison, Overlap, compare};
use edgegrad::error::{Error, Result};
use edgegrad::files::atomic;
use edgegrad::formats::EdgeFile;
use std::path::PathBuf;

/// Compare two files of scores or circuits
#[derive(Debug, Args)]
pub(super) struct Compare {
    /// Scores or a circuit, as `attribute` and `discover` write them or EAP-IG does
    a: PathBuf,
    /// The other file
    b: PathBuf,
    /// How many differences to list; the overlap of that many largest scores is printed as well
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    top: Option<u64>,
    /// Where to write the results
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
}

impl Compare {
    pub(super) fn run(&self) -> Result<()> {
        let (a, b) = (EdgeFile::read(&self.a)?, EdgeFile::read(&self.b)?);
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
        print(&found);
        if let (Some(x), Some(y)) = (a.meta_text("convention"), b.meta_text("convention"))
            && x != y
        {
            println!(
                "\nA is in the convention `{x}`, B in `{y}`: signs and sizes mean different things"
            );
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

fn print(found: &Comparison) {
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
        if !found.top.is_empty() {
            println!("\n{:>12} {:>8} {:>8}", "top k by |.|", "in both", "share");
        }
        for t in &found.top {
            let share = 100.0 * t.shared as f64 / t.k as f64;
            println!("{:>12} {:>8} {share:>6.1} %", t.k, t.shared);
        }
        let apart: Vec<_> = found.differences.iter().filter(|d| d.a != d.b).collect();
        let apart: Vec<_> = apart.iter().map(|d| (shown(&d.edge), d.a, d.b)).collect();
        match apart.iter().map(|(edge, ..)| edge.chars().count()).max() {
            None => println!("\nall scores are equal"),
            Some(width) => {
                let width = width.max(19);
                println!(
                    "\n{:<width$} {:>13} {:>13} {:>13}",
                    "largest differences", "A", "B", "A - B"
                );
                for (edge, a, b) in apart {
                    let [x, y, off] = [a, b, a - b].map(digits);
                    println!("{edge:<width$} {x:>13} {y:>13} {off:>13}");
                }
            }
        }
    }
    if let Some(circuits) = found.circuits {
        println!("\n{:<8} {:>8} {:>8} {:>8} {:>8}", "circuits", "A", "B", "both", "Jaccard");
        for (name, overlap) in [("edges", circuits.edges), ("nodes", circuits.nodes)] {
            let Overlap { a, b, both } = overlap;
            println!("{name:<8} {a:>8} {b:>8} {both:>8} {:>8.4}", overlap.jaccard());
        }
    }
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
