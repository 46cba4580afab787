//! `edgegrad attribute`.

use crate::cli::Dtype;
use crate::cli::out::check_out;
use crate::cli::print::note;
use crate::cli::question::{Asked, bar, choice};
use crate::cli::scored;
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::attribution::method::{
    Learning, Method, Mode, Objective, Options, Quadrature, Sizes, Steps, log_odds,
};
use edgegrad::attribution::request::{About, Chosen, turned};
use edgegrad::attribution::{Request, Scores, verify};
use edgegrad::error::{Error, Result};
use edgegrad::files;
use edgegrad::formats::EdgeFile;
use edgegrad::graph::Graph;
use edgegrad::named::Named;
use edgegrad::patching::behaviour::Behaviour;
use edgegrad::patching::cost;
use edgegrad::ranks;
use edgegrad::stats;
use edgegrad::tape::Rules;
use edgegrad::tensor::Element;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Score every edge of a model by its contribution to a behaviour
#[derive(Debug, Args)]
pub(super) struct Attribute {
    #[command(flatten)]
    asked: Asked,
    /// How edges are scored
    #[arg(
        long,
        default_value = "eap",
        value_parser = choice::<Method>(),
    )]
    method: Method,
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=1_000_000),
        help = about_steps(),
    )]
    steps: Option<u64>,
    /// Where eap-ig takes its steps; EAP-IG's own choice unless given: 0 to m-1 (left), along
    /// activations 1 to m (right)
    #[arg(long, value_parser = choice::<Quadrature>())]
    rule: Option<Quadrature>,
    /// What reverse passes follow in place of the derivative: constant divisors of norms (ln),
    /// relevance patching (relp; relp-ah with constant attention), or GIM's rules
    #[arg(long, default_value = "plain", value_parser = choice::<Rules>())]
    rules: Rules,
    /// mask-ig: the largest residual, as a share of the metric's difference
    #[arg(long, value_name = "X", default_value_t = 1e-8)]
    tol: f64,
    /// matryoshka, mask-ig: the sizes of circuits that count
    #[arg(long, value_parser = choice::<Sizes>())]
    sizes: Option<Sizes>,
    /// Learned masks: what each step lowers
    #[arg(long, value_parser = choice::<Objective>())]
    objective: Option<Objective>,
    /// Learned masks: what the first edges are to do
    #[arg(long, value_parser = choice::<Mode>())]
    mode: Option<Mode>,
    /// Learned masks: the mean of N rankings, with a standard error for each edge
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    rankings: Option<u64>,
    /// Learned masks: what it costs to keep an edge (ugs, bottleneck) or a node (node-pruning), in
    /// faithfulness
    #[arg(long, value_name = "X")]
    penalty: Option<f64>,
    /// Learned masks: start from the order of |score| of a file
    #[arg(long, value_name = "FILE.json")]
    init: Option<PathBuf>,
    /// Learned masks: hold out the last N pairs, keep what is best on them, and stop where they no
    /// longer gain
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    held_out: Option<u64>,
    #[arg(long, value_name = "N", default_value_t = 0, help = about_seed())]
    seed: u64,
    /// Compute the scores of K random edges again by another way
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    verify: Option<u64>,
    /// How sure each score is: intervals over pairs, and the share of R resamples of the pairs in
    /// which it has its sign; every pair is scored alone
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    bootstrap: Option<u64>,
    /// exact: a file of scores, of which only the K largest edges of --top are patched; the others
    /// have no score
    #[arg(long, value_name = "FILE.json", requires = "top", conflicts_with = "bootstrap")]
    scores: Option<PathBuf>,
    /// How many edges to list, 10 unless given; with --scores, how many to patch
    #[arg(long, value_name = "K")]
    top: Option<usize>,
    /// The precision to compute in
    #[arg(long, default_value = "f32")]
    dtype: Dtype,
    /// Where to write the scores, in EAP-IG's layout
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
}

/// How many edges are listed unless that is given.
const LISTED: usize = 10;

/// What `--steps` is, for the help.
fn about_steps() -> String {
    let of = |(name, method): &(&str, Method)| {
        let Steps { usual, what, grows } = method.steps()?;
        Some(format!("{usual} {what}{} for {name}", if grows { " at first" } else { "" }))
    };
    let all: Vec<String> = Method::ALL.iter().filter_map(of).collect();
    format!("Steps of a method that takes any; unless given {}", all.join(", "))
}

/// What `--seed` is, for the help.
fn about_seed() -> String {
    let seeded = Method::ALL.iter().filter(|(_, method)| method.seeded());
    let names: Vec<&str> = seeded.map(|(name, _)| *name).collect();
    format!("The seed of {}", names.join(" and "))
}

impl Attribute {
    pub(super) fn run(&self) -> Result<()> {
        self.request().check(self.asked.metric)?;
        self.method.check_divided()?;
        self.check_chosen()?;
        if let Some(init) = &self.init {
            check_out(&self.out, self.asked.force, [&**init])?;
        }
        // Before hours of work that could not be kept.
        self.asked.check_out(&self.out)?;
        self.asked.on_threads(|| match self.dtype {
            Dtype::F32 => self.run_as::<f32>(),
            Dtype::F64 => self.run_as::<f64>(),
        })
    }

    fn run_as<T: Element>(&self) -> Result<()> {
        let (model, pairs) = self.asked.read::<T>()?;
        self.request().check_model(&model)?;
        let mut options = self.request().options();
        let out = ("attribute", self.out.as_path());
        let journal = self.asked.journal::<T>(&pairs, out, &self.settings(&options)?)?;
        let mut b = self.asked.behaviour(&model, &pairs, journal)?;
        b.rules = self.rules;
        // Of a method that runs both it is known after that.
        if !self.method.runs_both() {
            self.asked.headline(&b)?;
        }
        let chosen = self.chosen(&b.graph)?;
        options.init = self.start(&b.graph)?;
        let count = chosen.as_ref().map_or(b.graph.edges(), |chosen| chosen.edges.len());
        let what = format!("--method {}: {count} edges", self.method.name());
        let once = match &chosen {
            Some(chosen) => self.method.seconds_of(&b, &chosen.edges)?,
            None => self.method.seconds(&b, &options)?,
        };
        let seconds = self.in_all(&b, &options, once)?;
        self.asked.affordable(&what, seconds, "use --method mask-ig")?;

        let start = Instant::now();
        let scores = self.scores(&b, &options, chosen.as_ref())?;
        let seconds = start.elapsed().as_secs_f64();
        if self.method.runs_both() {
            self.asked.headline(&b)?;
        }
        let tokens = self.asked.tokens(&b)?;
        self.table(&b.graph, &scores, tokens.as_deref());
        println!("{count} edges in {seconds:.2} s");
        if let Some(chosen) = &chosen {
            let left = b.graph.edges() - count;
            println!("{left} others, smaller by `{}`, have no score", chosen.by);
            note("left_out", left);
        }
        self.tell(&scores);
        if let Some(count) = self.verify {
            self.verify(&b, &options, &scores, count as usize)?;
        }
        let about = About { chosen, tokens, model: Some(self.asked.model_hash()?) };
        let convention = self.asked.convention();
        let meta = self.request().meta(&b, &scores, &options, convention, about);
        if ranks::writes() {
            scores.file(&b.graph, convention, &meta).write(&self.out)?;
        }
        b.journal.end();
        println!("scores: {}", self.out.display());
        Ok(())
    }

    /// The seconds of the scores, which take `once`, of those of each pair, and of those again.
    fn in_all<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        options: &Options,
        once: f64,
    ) -> Result<f64> {
        let times = if self.bootstrap.is_some() { 2.0 } else { 1.0 };
        let again = self.verify.map_or(0.0, |edges| edges as f64) * options.steps.max(1) as f64;
        Ok(times * once + cost::seconds(b, again * (1.0 + cost::BACKWARD))?)
    }

    /// The method and what is chosen of it.
    fn request(&self) -> Request {
        let count = |n: Option<u64>| n.map(|n| n as usize);
        Request {
            method: self.method,
            steps: count(self.steps),
            rule: self.rule,
            rules: self.rules,
            tol: self.tol,
            sizes: self.sizes,
            objective: self.objective,
            mode: self.mode,
            rankings: count(self.rankings),
            penalty: self.penalty,
            held_out: count(self.held_out),
            started: self.init.is_some(),
            bootstrap: count(self.bootstrap),
            seed: self.seed,
        }
    }

    /// What the scores depend on beside what is asked.
    fn settings(&self, options: &Options) -> Result<[(&'static str, String); 15]> {
        let Learning { objective, sizes, mode, rankings, penalty, held_out } = options.learning;
        let init = self.init.as_deref().map(files::hash).transpose()?;
        let chosen = self.scores.as_deref().map(files::hash).transpose()?;
        let top = self.top.filter(|_| chosen.is_some());
        Ok([
            ("--method", self.method.name().into()),
            ("--steps", options.steps.to_string()),
            ("--rule", options.rule.name().into()),
            ("--tol", options.tol.to_string()),
            ("--seed", options.seed.to_string()),
            ("--rules", self.rules.name().into()),
            ("--objective", objective.name().into()),
            ("--sizes", sizes.name().into()),
            ("--mode", mode.name().into()),
            ("--rankings", rankings.to_string()),
            ("--penalty", penalty.to_string()),
            ("--held-out", held_out.to_string()),
            ("--init", init.unwrap_or_default()),
            ("--scores", chosen.unwrap_or_default()),
            ("--top", top.map_or(String::new(), |top| top.to_string())),
        ])
    }

    /// The scores, and how sure they are if that is asked.
    fn scores<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        options: &Options,
        chosen: Option<&Chosen>,
    ) -> Result<Scores> {
        let (shown, mut progress) = bar(self.method.name());
        let some = chosen.map(|chosen| &*chosen.edges);
        let request = self.request();
        let mut scores = request.scores(b, options, some, &mut progress)?;
        shown.finish();
        if self.bootstrap.is_some() {
            let (shown, mut progress) = bar("each pair");
            scores.resampled = request.resampled(b, options, &mut progress)?;
            shown.finish();
        }
        Ok(scores)
    }

    /// Prints what the method says of its scores.
    fn tell(&self, scores: &Scores) {
        let grown = self.method.steps().filter(|steps| steps.grows).zip(scores.steps);
        match (grown, scores.parts) {
            (Some((Steps { what, .. }, n)), None) => println!("{n} {what}"),
            (Some((Steps { what, .. }, n)), Some(parts)) => {
                println!("at most {n} {what} and {parts} parts of the path for a pair");
            }
            (None, _) => {}
        }
        if let (Some(held_out), Some(steps)) = (self.held_out, scores.steps) {
            println!("{held_out} held-out pairs: best after {steps} steps");
        }
        let Some(c) = scores.completeness else { return };
        note("completeness", json!({ "sum": c.sum, "delta": c.delta }));
        let share = 100.0 * c.residual().abs() / c.delta.abs();
        println!(
            "completeness: scores add up to {:.9}, the metric falls by {:.9}; \
             residual {:.2e} ({share:.2e} %)",
            c.sum,
            c.delta,
            c.residual()
        );
    }

    /// Refuses some edges alone of a method that scores all at once.
    fn check_chosen(&self) -> Result<()> {
        let Some(scores) = &self.scores else { return Ok(()) };
        check_out(&self.out, self.asked.force, [&**scores])?;
        self.request().check_some("--scores")
    }

    /// The edges that are scored, if not all are: those that are largest in a file.
    fn chosen(&self, graph: &Graph) -> Result<Option<Chosen>> {
        let (Some(path), Some(top)) = (&self.scores, self.top) else { return Ok(None) };
        let file = EdgeFile::read(path)?;
        // Which sign they have says nothing of their size.
        let told = Some(self.asked.convention());
        let ours = scored::of(&file, path, graph, told, &self.asked.model)?.ours;
        let mut edges = stats::by_size(&ours);
        edges.retain(|&e| !ours[e].is_nan());
        if !(1..=edges.len()).contains(&top) {
            let message = format!("{top} edges of a file with scores of {}", edges.len());
            let help = format!("give a number from 1 to {}", edges.len());
            return Err(Error::input("--top", message, help));
        }
        edges.truncate(top);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let by = file.meta_text("method").map_or(name.into_owned(), String::from);
        Ok(Some(Chosen { edges, by }))
    }

    /// The log odds at which masks start, from a file's scores.
    fn start(&self, graph: &Graph) -> Result<Option<Vec<f64>>> {
        let Some(path) = &self.init else { return Ok(None) };
        let file = EdgeFile::read(path)?;
        // Which sign they have says nothing of their size.
        let told = Some(self.asked.convention());
        let ours = scored::of(&file, path, graph, told, &self.asked.model)?.ours;
        Ok(Some(log_odds(&ours)))
    }

    /// Prints the largest scores, with what stands at positions `tokens [T]`.
    fn table(&self, graph: &Graph, scores: &Scores, tokens: Option<&[String]>) {
        let mut order = stats::by_size(&scores.values);
        order.retain(|&e| scores.values[e].is_finite());
        let size = |e: usize| scores.values[e].abs();
        // In the order of the edges: sums depend on theirs.
        let all: f64 = (0..scores.values.len()).map(size).filter(|size| size.is_finite()).sum();
        order.truncate(match &self.scores {
            Some(_) => LISTED,
            None => self.top.unwrap_or(LISTED),
        });
        let share = |size: f64| size / all.max(f64::MIN_POSITIVE);
        let at = |e: usize| graph.edge(e).position.zip(tokens).map(|(t, tokens)| &*tokens[t]);
        let mut table = Table::new("edges", [("edge", "edge")]);
        if tokens.is_some() {
            table.column(self.asked.place_name(), self.asked.place_name());
        }
        table.column("score", "score");
        // A ranking has no whole that a score could be a share of.
        let shares = !self.method.ranks();
        let resampled = scores.resampled.as_ref();
        let intervals = resampled.and_then(|r| r.intervals.as_ref());
        for (column, shown) in [
            (("share of all", "share"), shares),
            (("std error", "standard_error"), scores.standard_errors.is_some()),
            (("last doubling", "last_doubling"), scores.last_doubling.is_some()),
            (("95 % from", "from"), intervals.is_some()),
            (("to", "to"), intervals.is_some()),
            (("same sign", "same_sign"), resampled.is_some()),
        ] {
            if shown {
                table.column(column.0, column.1);
            }
        }
        let convention = self.asked.convention();
        for &e in &order {
            let ours = |score: f64| Cell::real(convention.and_ours(score), 6);
            let mut row = vec![Cell::text(graph.edge(e).to_string())];
            row.extend(tokens.map(|_| Cell::token(at(e))));
            row.push(ours(scores.values[e]));
            row.extend(shares.then(|| Cell::percent(share(size(e)), 1)));
            let errors = [&scores.standard_errors, &scores.last_doubling];
            row.extend(errors.into_iter().flatten().map(|s| Cell::scientific(s[e], 3)));
            row.extend(
                intervals
                    .into_iter()
                    .flat_map(|i| turned(i[e], convention).map(|x| Cell::real(x, 6))),
            );
            row.extend(resampled.map(|r| Cell::percent(r.same_sign[e], 1)));
            table.row(row);
        }
        println!();
        table.print();
        if shares {
            let held: f64 = order.iter().map(|&e| size(e)).sum();
            println!("{} edges hold {:.1} % of all |score|", order.len(), 100.0 * share(held));
        }
    }

    fn verify<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        options: &Options,
        scores: &Scores,
        count: usize,
    ) -> Result<()> {
        let scored: Vec<usize> =
            (0..b.graph.edges()).filter(|&e| !scores.values[e].is_nan()).collect();
        let drawn = verify::sample(scored.len(), count, self.seed);
        let edges: Vec<usize> = drawn.into_iter().map(|i| scored[i]).collect();
        let (shown, mut progress) = bar("verify");
        let steps = scores.steps;
        let again = match scores.parts {
            // Differences cannot see what is on either side of a kink.
            Some(_) => None,
            None => verify::again(b, self.method, options, steps, &edges, &mut progress)?,
        };
        shown.finish();
        let Some(again) = again else {
            println!(
                "verify: there is no other way to compute these scores of `{}`",
                self.method.name()
            );
            return Ok(());
        };
        let largest = scores.values.iter().fold(0.0f64, |m, s| m.max(s.abs()));
        let apart = |(&e, &again): (&usize, &f64)| (e, (scores.values[e] - again).abs());
        let worst = edges.iter().zip(&again).map(apart).max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((e, apart)) = worst else { return Ok(()) };
        let way = self.method.other_way().expect("it was taken");
        println!(
            "verify: {} edges again {way}: at most {apart:.2e} apart \
             ({:.2e} of the largest score), at {}",
            edges.len(),
            apart / largest,
            b.graph.edge(e),
        );
        Ok(())
    }
}
