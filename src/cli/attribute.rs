//! `edgegrad attribute`.

use crate::cli::Dtype;
use crate::cli::out::check_out;
use crate::cli::print::note;
use crate::cli::question::{Asked, bar, choice};
use crate::cli::scored::Scored;
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::attribution::method::{
    Learning, Method, Mode, Objective, Options, Quadrature, Sizes, Steps, log_odds,
};
use edgegrad::attribution::{Completeness, Resampled, Scores, resampled, verify};
use edgegrad::checkpoints::AnyModel;
use edgegrad::error::{Error, Result};
use edgegrad::files;
use edgegrad::formats::{EdgeFile, Meta};
use edgegrad::graph::Graph;
use edgegrad::named::Named;
use edgegrad::patching::batches::Extremes;
use edgegrad::patching::behaviour::{Baseline, Behaviour};
use edgegrad::patching::cost;
use edgegrad::patching::subsets;
use edgegrad::stats;
use edgegrad::tape::Rules;
use edgegrad::tensor::Element;
use serde_json::{Value, json};
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

/// Edges that are scored while others are not.
struct Chosen {
    edges: Vec<usize>,
    /// The method they are largest by, or the file where it does not say.
    by: String,
}

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
        if !(self.tol > 0.0 && self.tol.is_finite()) {
            let message = format!("must be above 0, got {}", self.tol);
            return Err(Error::input("--tol", message, "give a share such as 1e-8"));
        }
        self.method.check(self.asked.metric)?;
        if self.rules != Rules::Plain && !self.method.derives() {
            let message = format!("`{}` takes no derivative", self.method.name());
            let place = format!("--rules {}", self.rules.name());
            let derive = Method::ALL.iter().filter(|(_, method)| method.derives());
            let names: Vec<&str> = derive.map(|(name, _)| *name).collect();
            return Err(Error::input(place, message, format!("{} do", names.join(", "))));
        }
        self.check_learning()?;
        self.check_chosen()?;
        if let Some(init) = &self.init {
            check_out(&self.out, self.asked.force, [&**init])?;
        }
        if self.bootstrap.is_some() && self.method.ranks() {
            let message = "a learned ranking has no score of each pair";
            return Err(Error::input("--bootstrap", message, "use --rankings N for its errors"));
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
        if matches!(model, AnyModel::Pooled { .. }) && !self.rules.plain_attention() {
            let place = format!("--rules {}", self.rules.name());
            let message = "is about attention between positions; a pooled model has one query";
            return Err(Error::input(place, message, "use --rules ln or relp"));
        }
        let mut options = self.options();
        let out = ("attribute", self.out.as_path());
        let journal = self.asked.journal::<T>(&pairs, out, &self.settings(&options)?)?;
        let mut b = self.asked.behaviour(&model, &pairs, journal)?;
        b.rules = self.rules;
        let extremes = self.asked.headline(&b)?;
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
        let mut scores = self.scores(&b, &options, chosen.as_ref(), &extremes)?;
        scores.resampled = self.resampled(&b, &options)?;
        let seconds = start.elapsed().as_secs_f64();
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
        self.write(&b, &scores, &options, (chosen, tokens))?;
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

    fn options(&self) -> Options {
        let usual = self.method.options();
        Options {
            steps: self.steps.map_or(usual.steps, |n| n as usize),
            rule: self.rule.unwrap_or(usual.rule),
            tol: self.tol,
            learning: self.learning(usual.learning),
            // Known once the graph is.
            init: None,
            seed: self.seed,
            ..usual
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

    /// The scores, all finite, and their completeness where the method has any.
    fn scores<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        options: &Options,
        chosen: Option<&Chosen>,
        extremes: &Extremes,
    ) -> Result<Scores> {
        let (shown, mut progress) = bar(self.method.name());
        let some = chosen.map(|chosen| &*chosen.edges);
        let mut scores = match some.and_then(|edges| self.method.scores_of(b, edges, &mut progress))
        {
            Some(scores) => scores?,
            None => self.method.scores(b, options, &mut progress)?,
        };
        shown.finish();
        let wrong = |e: &usize| !scores.values[*e].is_finite();
        let wrong = match some {
            Some(edges) => edges.iter().copied().find(wrong),
            None => (0..scores.values.len()).find(wrong),
        };
        if let Some(e) = wrong {
            return Err(Error::failed(
                b.graph.edge(e),
                format!("its score is {}", scores.values[e]),
                "the model's activations are too large for it; try --dtype f64",
            ));
        }
        let adds_up = self.method.knows_metric() && !self.method.ranks() && chosen.is_none();
        if adds_up && scores.completeness.is_none() {
            let (clean, corrupted) = extremes.means();
            let nothing = match self.asked.baseline {
                // Every edge with the corrupted run's activations is the corrupted run.
                Baseline::Resample => corrupted,
                _ => subsets::values(b, 1, |_, _| false, &mut |_| {})?[0],
            };
            scores.completeness = Some(Completeness::new(&scores.values, clean - nothing));
        }
        Ok(scores)
    }

    /// How sure the scores are, if that is asked.
    fn resampled<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        options: &Options,
    ) -> Result<Option<Resampled>> {
        let Some(resamples) = self.bootstrap else { return Ok(None) };
        let (shown, mut progress) = bar("each pair");
        let of_pairs = resampled::per_pair(b, self.method, options, &mut progress)?;
        shown.finish();
        Ok(Some(resampled::resample(&of_pairs, resamples as usize, self.seed)))
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

    /// Refuses options of learned rankings for another method.
    fn check_learning(&self) -> Result<()> {
        let given = [
            ("--sizes", self.sizes.is_some() && self.method.sizes().is_none()),
            ("--objective", self.objective.is_some() && !self.method.ranks()),
            ("--mode", self.mode.is_some() && !self.method.ranks()),
            ("--rankings", self.rankings.is_some() && !self.method.ranks()),
            ("--init", self.init.is_some() && !self.method.ranks()),
            ("--held-out", self.held_out.is_some() && !self.method.ranks()),
            ("--penalty", self.penalty.is_some() && self.method.penalty().is_none()),
        ];
        if let Some((flag, _)) = given.into_iter().find(|(_, refused)| *refused) {
            let other = if flag == "--penalty" { "ugs" } else { "matryoshka" };
            let what = match (self.method.ranks(), flag) {
                (false, _) => "learns no ranking",
                (true, "--penalty") => "has masks of a given size, which cost nothing",
                (true, _) => "looks at no sizes",
            };
            let message = format!("`{}` {what}", self.method.name());
            let help = format!("use --method {other}, or leave it out");
            return Err(Error::input(flag, message, help));
        }
        match self.penalty {
            Some(x) if !(x >= 0.0 && x.is_finite()) => {
                let message = format!("must be at least 0, got {x}");
                Err(Error::input("--penalty", message, "give a share of the effect such as 1e-3"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses some edges alone of a method that scores all at once.
    fn check_chosen(&self) -> Result<()> {
        let Some(scores) = &self.scores else { return Ok(()) };
        check_out(&self.out, self.asked.force, [&**scores])?;
        if self.method.apart() {
            return Ok(());
        }
        let message = format!("`{}` scores all edges at once", self.method.name());
        let apart = Method::ALL.iter().filter(|(_, method)| method.apart());
        let names: Vec<&str> = apart.map(|(name, _)| *name).collect();
        let help = format!("use --method {}, or leave it out", names.join(" or "));
        Err(Error::input("--scores", message, help))
    }

    /// The edges that are scored, if not all are: those that are largest in a file.
    fn chosen(&self, graph: &Graph) -> Result<Option<Chosen>> {
        let (Some(path), Some(top)) = (&self.scores, self.top) else { return Ok(None) };
        let file = EdgeFile::read(path)?;
        // Which sign they have says nothing of their size.
        let told = Some(self.asked.convention());
        let ours = Scored::of(&file, path, graph, told, &self.asked.model)?.ours;
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
        let ours = Scored::of(&file, path, graph, told, &self.asked.model)?.ours;
        Ok(Some(log_odds(&ours)))
    }

    fn learning(&self, usual: Learning) -> Learning {
        Learning {
            objective: self.objective.unwrap_or(usual.objective),
            sizes: self.sizes.unwrap_or(usual.sizes),
            mode: self.mode.unwrap_or(usual.mode),
            rankings: self.rankings.map_or(usual.rankings, |n| n as usize),
            penalty: self.penalty.unwrap_or(usual.penalty),
            held_out: self.held_out.map_or(usual.held_out, |n| n as usize),
        }
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
        for &e in &order {
            let ours = |score: f64| Cell::real(self.asked.convention().and_ours(score), 6);
            let mut row = vec![Cell::text(graph.edge(e).to_string())];
            row.extend(tokens.map(|_| Cell::token(at(e))));
            row.push(ours(scores.values[e]));
            row.extend(shares.then(|| Cell::percent(share(size(e)), 1)));
            let errors = [&scores.standard_errors, &scores.last_doubling];
            row.extend(errors.into_iter().flatten().map(|s| Cell::scientific(s[e], 3)));
            row.extend(
                intervals.into_iter().flat_map(|i| self.turned(i[e]).map(|x| Cell::real(x, 6))),
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

    /// An interval of scores in the convention that is asked.
    fn turned(&self, interval: [f64; 2]) -> [f64; 2] {
        let [a, b] = interval.map(|end| self.asked.convention().and_ours(end));
        [a.min(b), a.max(b)]
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

    /// Where the scores come from.
    fn meta<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        scores: &Scores,
        options: &Options,
        (chosen, tokens): (Option<Chosen>, Option<Vec<String>>),
    ) -> Result<Meta> {
        let left = chosen.as_ref().map(|chosen| b.graph.edges() - chosen.edges.len());
        let completeness = scores.completeness.map(|c| Completeness {
            sum: self.asked.convention().and_ours(c.sum),
            delta: self.asked.convention().and_ours(c.delta),
        });
        let (ranks, learning) = (self.method.ranks(), options.learning);
        let taken = scores.steps.unwrap_or(options.steps);
        let steps = scores.steps.or(self.method.steps().map(|_| options.steps));
        Ok(Meta {
            method: Some(self.method.name().into()),
            metric: Some(self.asked.metric.name().into()),
            rules: (self.rules != Rules::Plain).then(|| self.rules.name().into()),
            baseline: Some(self.asked.baseline.name().into()),
            steps: steps.map(|n| n as u64),
            // Of some edges alone, or on a divided path, they are others.
            passes: (chosen.is_none() && scores.parts.is_none())
                .then(|| self.method.passes(b, &Options { steps: taken, ..options.clone() })),
            convention: Some(self.asked.convention().name().into()),
            left_out: left.map(|n| n as u64),
            chosen_by: chosen.map(|chosen| chosen.by),
            completeness,
            model: Some(self.asked.model_hash()?),
            pairs: Some(b.pairs.len() as u64),
            pairs_hash: Some(b.pairs.hash()),
            tokens,
            objective: ranks.then(|| learning.objective.name().into()),
            sizes: (self.method.sizes())
                .filter(|&usual| usual != learning.sizes || ranks)
                .map(|_| learning.sizes.name().into()),
            mode: ranks.then(|| learning.mode.name().into()),
            penalty: self.method.penalty().map(|_| learning.penalty),
            held_out: (learning.held_out > 0).then_some(learning.held_out as u64),
            dtype: Some(T::NAME.into()),
            seed: self.method.seeded().then_some(self.seed),
        })
    }

    fn write<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        scores: &Scores,
        options: &Options,
        about: (Option<Chosen>, Option<Vec<String>>),
    ) -> Result<()> {
        let values: Vec<f64> =
            scores.values.iter().map(|&s| self.asked.convention().and_ours(s)).collect();
        let meta = self.meta(b, scores, options, about)?;
        let mut file = b.graph.scores_file(&values, &meta);
        for (e, (_, entry)) in b.graph.file_order().into_iter().zip(&mut file.edges) {
            let mut put = |key: &str, value: Value| entry.rest.insert(key.into(), value);
            if let Some(errors) = &scores.standard_errors {
                put("standard_error", errors[e].into());
            }
            if let Some(moved) = &scores.last_doubling {
                put("last_doubling", moved[e].into());
            }
            let Some(Resampled { intervals, same_sign }) = &scores.resampled else { continue };
            if let Some(intervals) = intervals {
                put("interval", json!(self.turned(intervals[e])));
            }
            put("same_sign", same_sign[e].into());
        }
        file.write(&self.out)
    }
}
