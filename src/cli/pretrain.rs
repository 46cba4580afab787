//! `edgegrad pretrain`.

use crate::cli::day::Day;
use crate::cli::journal;
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::error::Result;
use edgegrad::experiments::pretrain::{
    Measured, Pretraining, is_finished, pretrain, seconds_of_step,
};
use edgegrad::experiments::train::Existing;
use edgegrad::experiments::{Progress, available_threads};
use edgegrad::files::journal::Journal;
use edgegrad::formats::domain_scores::{DomainScores, Share};
use edgegrad::named::Named;
use std::path::PathBuf;

/// Train the base model of generated language and write a model folder
///
/// All computing is in f32.
#[derive(Debug, Args)]
pub(super) struct Pretrain {
    /// The folder to make
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The seed of the initial weights and of all batches
    #[arg(long, value_name = "N", default_value_t = Pretraining::default().seed)]
    seed: u64,
    /// Steps
    #[arg(long, value_name = "N", default_value_t = Pretraining::default().steps)]
    steps: usize,
    /// Examples in a batch
    #[arg(long, value_name = "N", default_value_t = Pretraining::default().batch)]
    batch: usize,
    /// The largest learning rate
    #[arg(long, value_name = "X", default_value_t = Pretraining::default().lr)]
    lr: f64,
    /// Layers
    #[arg(long, value_name = "N", default_value_t = Pretraining::default().layers)]
    layers: usize,
    /// Heads of a layer
    #[arg(long, value_name = "N", default_value_t = Pretraining::default().heads)]
    heads: usize,
    /// Width of the residual stream
    #[arg(long, value_name = "N", default_value_t = Pretraining::default().d_model)]
    d_model: usize,
    /// Neurons of a layer
    #[arg(long, value_name = "N", default_value_t = Pretraining::default().d_mlp)]
    d_mlp: usize,
    /// How much a result, a conclusion or what a passage says counts in the loss
    #[arg(long, value_name = "X", default_value_t = Pretraining::default().asked_weight)]
    asked_weight: f64,
    /// Threads to use; all of them unless given. The results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Replace the base model in the folder
    #[arg(long)]
    force: bool,
    /// Go on with the same command where it was stopped
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    day: Day,
}

/// Steps up to which none is timed: for a day, one would have to take a minute and a half.
const FEW: usize = 1000;

impl Pretrain {
    pub(super) fn run(&self) -> Result<()> {
        // It asks at each step; a command that never asks must not listen.
        edgegrad::interrupt::listen();
        let &Pretrain { seed, steps, batch, lr, layers, heads, d_model, d_mlp, .. } = self;
        let asked_weight = self.asked_weight;
        let settings =
            Pretraining { seed, steps, batch, lr, layers, heads, d_model, d_mlp, asked_weight };
        if self.resume && is_finished(&settings, &self.out) {
            Journal::remove_left(&self.out);
            println!("{}: is finished: {steps} steps, seed {seed}", self.out.display());
            return Ok(());
        }
        let existing = if self.force { Existing::Replace } else { Existing::Refuse };
        let threads = self.threads.map_or_else(available_threads, |n| n as usize);
        if steps > FEW {
            let seconds = steps as f64 * seconds_of_step(&settings, threads)?;
            let instead = "take fewer --steps, or a smaller model";
            self.day.check(&format!("{steps} steps"), seconds, instead)?;
        }
        let journal = journal(&self.out, settings.inputs(), self.resume)?;
        let progress = Progress::new(steps as u64);
        let measured = pretrain(&settings, &self.out, existing, threads, &progress, &journal);
        progress.finish();
        let measured = measured?;
        print!("{}", table(&measured));
        shares(&measured).print_for_programs();
        println!("{}: {steps} steps, seed {seed}", self.out.display());
        Ok(())
    }
}

/// A line for each domain, and below it one for each value of its labels.
fn table(measured: &Measured) -> String {
    let head = ["", "asked", "accuracy", "preferred", "exact", "nll"];
    let mut lines = vec![line(head.map(String::from))];
    for (source, scores) in &measured.sources {
        lines.push(row(source.domain.name(), &scores.all, Some(scores.nll)));
        for (label, values) in &scores.labels {
            for (value, share) in values {
                lines.push(row(&format!("  {label} {value}"), share, None));
            }
        }
        lines.extend(notes(scores));
    }
    lines.concat()
}

/// The same without the notes, for programs.
fn shares(measured: &Measured) -> Table {
    let columns = [
        ("domain", "domain"),
        ("label", "label"),
        ("value", "value"),
        ("asked", "asked"),
        ("accuracy", "accuracy"),
        ("preferred", "preferred"),
        ("exact", "exact"),
        ("nll", "nll"),
    ];
    let mut table = Table::new("domains", columns);
    for (source, scores) in &measured.sources {
        let labelled = scores.labels.iter().flat_map(|(label, values)| {
            values.iter().map(move |(value, share)| (&label[..], &value[..], share, None))
        });
        let all = std::iter::once(("", "", &scores.all, Some(scores.nll)));
        for (label, value, share, nll) in all.chain(labelled) {
            let names = [source.domain.name(), label, value].map(Cell::text);
            let figures = [Some(share.accuracy), Some(share.preferred), share.exact, nll];
            let figures = figures.map(|x| Cell::maybe(x, 4));
            table.row(names.into_iter().chain([Cell::count(share.asked)]).chain(figures));
        }
    }
    table
}

fn row(name: &str, share: &Share, nll: Option<f64>) -> String {
    let number = |x: f64| format!("{x:.4}");
    let exact = share.exact.map_or(String::new(), number);
    line([
        name.into(),
        share.asked.to_string(),
        number(share.accuracy),
        number(share.preferred),
        exact,
        nll.map_or(String::new(), number),
    ])
}

fn line([name, asked, accuracy, preferred, exact, nll]: [String; 6]) -> String {
    let text = format!("{name:26}{asked:>7}{accuracy:>10}{preferred:>11}{exact:>8}{nll:>8}");
    format!("{}\n", text.trim_end())
}

/// What only some domains have.
fn notes(scores: &DomainScores) -> Vec<String> {
    let number = |x: Option<f64>| x.map_or("-".into(), |x| format!("{x:.4}"));
    let abstention = scores.abstention.map(|a| {
        let (precision, recall) = (number(a.precision), number(a.recall));
        format!("  [none]: precision {precision}, recall {recall}\n")
    });
    let f1 = scores.macro_f1.map(|f1| format!("  macro F1 {f1:.4}\n"));
    let pronouns = scores.pronouns.map(|p| {
        let (risk, explicit) = (number(p.risk), number(p.explicit));
        format!("  prejudice risk {risk} of {} occupations, explicit {explicit}\n", p.occupations)
    });
    [abstention, f1, pronouns].into_iter().flatten().collect()
}
