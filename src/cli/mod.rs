//! Subcommands, one file each.

// First, as the others print with its macros.
#[macro_use]
mod print;

mod adversary;
mod attribute;
mod compare;
mod convert;
mod crossing;
mod day;
mod discover;
mod ensemble;
mod evaluate;
mod export;
mod filter;
mod help;
mod hypotheses;
mod info;
mod interactions;
mod look;
mod merge;
mod mib;
mod model;
mod out;
mod pairs;
mod plot;
mod predict;
mod pretrain;
mod question;
mod report;
mod run;
mod scored;
mod shell;
mod sweep;
mod sweep_commands;
mod sweep_emit;
mod sweep_table;
mod table;
mod tokens;
mod train;
mod transplant;
mod truth;
mod tune;
mod tune_compare;
mod tune_study;
mod watch;

use clap::{FromArgMatches, Parser, Subcommand};
use edgegrad::error::{Error, Result};
use edgegrad::experiments::Progress;
use edgegrad::files::journal::{Inputs, Journal};
use edgegrad::ranks::{self, Sharing};
use edgegrad::{files, interrupt, simd};
use print::Mode;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Train and study transformers whose every edge carries a mask.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print nothing but errors and warnings
    #[arg(short, long, global = true, display_order = 1000)]
    quiet: bool,
    /// Print all tables and figures as one JSON object
    #[arg(long, global = true, display_order = 1000, conflicts_with_all = ["quiet", "csv"])]
    json: bool,
    /// Print all tables as CSV
    #[arg(long, global = true, display_order = 1000, conflicts_with = "quiet")]
    csv: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::Train),
    Transplant(transplant::Transplant),
    Pretrain(pretrain::Pretrain),
    Run(run::Run),
    Tokens(tokens::Tokens),
    Pairs(pairs::MakePairs),
    Convert(convert::Convert),
    Info(info::Info),
    Attribute(attribute::Attribute),
    Interactions(interactions::Interactions),
    Crossing(crossing::CrossingEdges),
    Look(look::Look),
    Discover(discover::Discover),
    Evaluate(evaluate::Evaluate),
    Compare(compare::Compare),
    Ensemble(ensemble::Ensemble),
    Mib(mib::Mib),
    Truth(truth::Truth),
    Tune(tune::Tune),
    TuneCompare(tune_compare::TuneCompare),
    TuneStudy(tune_study::TuneStudy),
    Sweep(sweep::Sweep),
    Table(sweep_table::SweepTable),
    Filter(filter::Filter),
    Merge(merge::Merge),
    Predict(predict::Predict),
    Report(report::Report),
    Watch(watch::Watch),
    Plot(plot::Plot),
    Export(export::Export),
    Completions(shell::Completions),
    Man(shell::ManPages),
}

impl Cli {
    /// Reads the command line; help and what cannot be read end the process.
    pub(crate) fn read() -> Cli {
        let read = help::command().try_get_matches().and_then(|m| Cli::from_arg_matches(&m));
        read.unwrap_or_else(|e| {
            ranks::keep_silent();
            e.exit()
        })
    }

    pub(crate) fn run(&self) -> Result<()> {
        print::set_mode(match self {
            _ if !ranks::speaks() => Mode::Quiet,
            Cli { quiet: true, .. } => Mode::Quiet,
            Cli { json: true, .. } => Mode::Json,
            Cli { csv: true, .. } => Mode::Csv,
            _ => Mode::Text,
        });
        if self.quiet || !ranks::speaks() {
            Progress::silence();
        }
        simd::asked().map_err(|e| Error::input("EDGEGRAD_SIMD", &e, e.help()))?;
        ranks::begin(self.command.sharing(), identity)?;
        end_all_by_panic();
        // What went wrong is told before what could not be printed.
        let done = self.command();
        // What was found is printed even where it is then refused, as its text has been.
        if done.is_ok() || print::has_notes() {
            print::json();
        }
        done.and(print::finish())
    }

    fn command(&self) -> Result<()> {
        if self.command.can_stop() {
            interrupt::listen();
        }
        match &self.command {
            Command::Train(command) => command.run(),
            Command::Transplant(command) => command.run(),
            Command::Pretrain(command) => command.run(),
            Command::Run(command) => command.run(),
            Command::Tokens(command) => command.run(),
            Command::Pairs(command) => command.run(),
            Command::Convert(command) => command.run(),
            Command::Info(command) => command.run(),
            Command::Attribute(command) => command.run(),
            Command::Interactions(command) => command.run(),
            Command::Crossing(command) => command.run(),
            Command::Look(command) => command.run(),
            Command::Discover(command) => command.run(),
            Command::Evaluate(command) => command.run(),
            Command::Compare(command) => command.run(),
            Command::Ensemble(command) => command.run(),
            Command::Mib(command) => command.run(),
            Command::Truth(command) => command.run(),
            Command::Tune(command) => command.run(),
            Command::TuneCompare(command) => command.run(),
            Command::TuneStudy(command) => command.run(),
            Command::Sweep(command) => command.run(),
            Command::Table(command) => command.run(),
            Command::Filter(command) => command.run(),
            Command::Merge(command) => command.run(),
            Command::Predict(command) => command.run(),
            Command::Report(command) => command.run(),
            Command::Watch(command) => command.run(),
            Command::Plot(command) => command.run(),
            Command::Export(command) => command.run(),
            Command::Completions(command) => command.run(),
            Command::Man(command) => command.run(),
        }
    }
}

/// What has to be the same in all processes of a job: what their results depend on beside files.
fn identity() -> Result<Vec<(String, String)>> {
    let program = std::env::current_exe().map_err(|e| Error::io("edgegrad", &e, "find"))?;
    let options: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let same = [
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("instruction set", simd::backend().to_string()),
        ("program", files::hash(&program)?),
        ("options", format!("{options:?}")),
    ];
    Ok(same.map(|(name, value)| (name.into(), value)).into())
}

/// Has a panic end all processes of a job: the others would wait for this one.
fn end_all_by_panic() {
    if ranks::alone() {
        return;
    }
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        eprintln!("error: {}ended by a panic\nhelp: go on with --resume", ranks::name());
        ranks::abort();
    }));
}

impl Command {
    /// What processes of `mpirun` share of it.
    fn sharing(&self) -> Option<Sharing> {
        match self {
            Command::Sweep(sweep) if sweep.shared() => Some(Sharing::Runs),
            Command::Attribute(_) | Command::Evaluate(_) => Some(Sharing::Work),
            Command::Train(_) | Command::Tune(_) => Some(Sharing::Gradients),
            _ => None,
        }
    }

    /// Whether it stops by itself when it is asked to; the signal ends the others.
    fn can_stop(&self) -> bool {
        use Command::{
            Attribute, Crossing, Discover, Evaluate, Interactions, Pretrain, Sweep, Train, Truth,
            Tune, TuneCompare, TuneStudy,
        };
        matches!(
            self,
            Attribute(_)
                | Discover(_)
                | Evaluate(_)
                | Interactions(_)
                | Crossing(_)
                | Truth(_)
                | Train(_)
                | Pretrain(_)
                | Tune(_)
                | TuneCompare(_)
                | TuneStudy(_)
                | Sweep(_)
        )
    }
}

/// The precision to compute in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Dtype {
    /// Single precision.
    #[default]
    F32,
    /// Double precision.
    F64,
}

/// Prints an error as two lines: what is wrong and where, and what to do about it. Of several
/// processes one does.
pub(crate) fn tell(e: &Error) {
    if !ranks::speaks() {
        return;
    }
    eprintln!("error: {e}\nhelp: {}", e.help());
}

/// How long a process that was asked to stop looks for a point where it can.
const PATIENCE: Duration = Duration::from_secs(3);

/// The [journal](Journal::open) of the result `out`.
fn journal(out: &Path, inputs: Inputs, resume: bool) -> Result<Journal> {
    Ok(Journal::open(out, inputs, resume)?.within(PATIENCE, tell_last))
}

/// Tells the error with which a process ends in the midst of its work.
fn tell_last(e: &Error) {
    // The bar stays where it is.
    if std::io::stderr().is_terminal() {
        eprintln!("");
    }
    tell(e);
}

/// Until what it returns is dropped, a process that was asked to stop and comes to no point where
/// it can ends where a kill would leave it: for work in `out` whose pieces are files of their own.
#[must_use]
fn impatient(out: &Path, help: &'static str) -> Arc<()> {
    let work = Arc::new(());
    let (left, place) = (Arc::downgrade(&work), out.display().to_string());
    let last = move |signal| tell_last(&Error::stopped(signal, place, "before its end", help));
    interrupt::end_after(PATIENCE, move || left.strong_count() > 0, last);
    work
}

/// Events of the library as lines like those of errors: `warning: what has happened`.
pub(crate) struct Plain;

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let level = match *event.metadata().level() {
            Level::WARN => "warning".into(),
            level => level.to_string().to_lowercase(),
        };
        let mut text = String::new();
        context.field_format().format_fields(Writer::new(&mut text), event)?;
        writeln!(writer, "{level}: {}", print::printable(&text))
    }
}
