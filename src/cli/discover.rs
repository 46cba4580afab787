//! `edgegrad discover`.

use crate::cli::Dtype;
use crate::cli::print::note;
use crate::cli::question::{Asked, bar, choice};
use crate::cli::scored;
use crate::cli::scored::doubt;
use clap::Args;
use edgegrad::attribution::method::{Method, Options};
use edgegrad::discovery::Search;
use edgegrad::discovery::connect::Flow;
use edgegrad::discovery::heaviest::Heaviest;
use edgegrad::discovery::minimal::Minimal;
use edgegrad::discovery::request::{Found, Request, Scored};
use edgegrad::discovery::select::Rank;
use edgegrad::error::{Error, Result};
use edgegrad::files::content_hash;
use edgegrad::formats::{EdgeFile, Meta};
use edgegrad::named::{Named, counted};
use edgegrad::patching::behaviour::Behaviour;
use edgegrad::patching::cost;
use edgegrad::patching::running;
use edgegrad::patching::span::Span;
use edgegrad::tensor::Element;
use serde_json::json;
use std::path::PathBuf;

/// Find the circuit behind a behaviour
#[derive(Debug, Args)]
pub(super) struct Discover {
    #[command(flatten)]
    asked: Asked,
    /// How the circuit is found
    #[arg(
        long,
        default_value = "topn",
        value_parser = choice::<Search>(),
    )]
    method: Search,
    /// For topn, greedy, heaviest, threshold and --candidates: scores, as `attribute` writes them
    /// or EAP-IG does
    #[arg(long, value_name = "FILE.json", conflicts_with = "attribution")]
    scores: Option<PathBuf>,
    /// For topn, greedy, heaviest, threshold and --candidates: compute scores by this method
    #[arg(long, value_parser = choice::<Method>())]
    attribution: Option<Method>,
    /// Which scores come first: the largest in size, or the largest
    #[arg(long, default_value = "abs", value_parser = choice::<Rank>())]
    rank: Rank,
    /// Leave out edges whose score has its sign in a smaller share of resamples, as `attribute
    /// --bootstrap` says
    #[arg(long, value_name = "SHARE")]
    same_sign: Option<f64>,
    /// How many edges to select
    #[arg(long, value_name = "N")]
    edges: Option<usize>,
    /// The least score of an edge (threshold), or the least that its removal has to cost (acdc)
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    tau: Option<f64>,
    /// Select the fewest edges whose circuit is this faithful
    #[arg(long, value_name = "F")]
    faithfulness: Option<f64>,
    /// With minimal: by how much the metric of a pair may change
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    tol: Option<f64>,
    /// With minimal: search among the N edges of largest score alone
    #[arg(long, value_name = "N")]
    candidates: Option<usize>,
    /// With minimal: seconds after which the search stops and reports what is proven by then
    #[arg(long, value_name = "SECONDS")]
    time: Option<f64>,
    /// With edge-pruning: steps of the optimizer
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(1..=10_000_000),
    )]
    steps: u64,
    /// Drop edges that are on no path from the input to the logits
    #[arg(long)]
    connected: bool,
    /// The seed of edge-pruning and of scores that are drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The precision to compute in
    #[arg(long, default_value = "f32")]
    dtype: Dtype,
    /// Where to write the circuit, in EAP-IG's layout
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
}

impl Discover {
    pub(super) fn run(&self) -> Result<()> {
        let request = self.request();
        if !request.scored() && (self.scores.is_some() || self.attribution.is_some()) {
            let method = format!("--method {}", self.method.name());
            let help = "leave out --scores and --attribution";
            return Err(Error::input(method, "takes no scores: it runs the model", help));
        }
        request.check()?;
        if request.scored() && self.scores.is_none() {
            self.attribution.unwrap_or_default().check(self.asked.metric)?;
        }
        // Before hours of work that could not be kept.
        self.asked.check_out(&self.out)?;
        self.asked.on_threads(|| match self.dtype {
            Dtype::F32 => self.run_as::<f32>(&request),
            Dtype::F64 => self.run_as::<f64>(&request),
        })
    }

    /// The search and what is chosen of it.
    fn request(&self) -> Request {
        Request {
            method: self.method,
            rank: self.rank,
            edges: self.edges,
            tau: self.tau,
            faithfulness: self.faithfulness,
            tol: self.tol,
            candidates: self.candidates,
            time: self.time,
            steps: self.steps as usize,
            connected: self.connected,
            seed: self.seed,
        }
    }

    fn run_as<T: Element>(&self, request: &Request) -> Result<()> {
        let (model, pairs) = self.asked.read::<T>()?;
        let out = ("discover", self.out.as_path());
        let journal = self.asked.journal::<T>(&pairs, out, &self.settings()?)?;
        let b = self.asked.behaviour(&model, &pairs, journal)?;
        let scored = self.ranked(&b)?;
        request.check_edges(b.graph.edges())?;
        let span = Span::new(&b, &self.asked.headline(&b)?)?;
        self.affordable(&b)?;
        let by_scores = request.scored() && self.method != Search::Minimal;
        let (shown, mut progress) = bar(if by_scores { "smallest" } else { self.method.name() });
        let ours = scored.as_ref().map(|scored| &scored.ours[..]);
        let found = request.find(&b, &span, ours, &mut progress)?;
        shown.finish();
        self.tell_search(&found);
        let scored = found.scored.or(scored);
        self.tell(&b, &Flow::new(&b.graph), &span, &found.kept)?;
        let about = (Some(self.asked.model_hash()?), self.asked.tokens(&b)?);
        let convention = self.asked.convention();
        request.file(&b, &found.kept, scored.as_ref(), convention, about).write(&self.out)?;
        b.journal.end();
        println!("circuit: {}", self.out.display());
        Ok(())
    }

    /// The scores that edges are ranked by, if the search has any.
    fn ranked<T: Element>(&self, b: &Behaviour<'_, T>) -> Result<Option<Scored>> {
        match (&self.scores, self.same_sign) {
            (None, Some(_)) => {
                let help = "give --scores FILE, a file of `attribute --bootstrap R`";
                Err(Error::input("--same-sign", "needs scores that were resampled", help))
            }
            (Some(path), least) => {
                let (told, model) = (self.asked.convention, &self.asked.model);
                let file = EdgeFile::read(path)?;
                let mut scored = scored::of(&file, path, &b.graph, told, model)?;
                least.map_or(Ok(()), |least| doubt(&mut scored, file, &b.graph, least))?;
                Ok(Some(scored))
            }
            (None, None) if !self.request().scored() => Ok(None),
            (None, None) => Ok(Some(self.attribute(b)?)),
        }
    }

    /// What the circuit depends on beside what is asked.
    fn settings(&self) -> Result<[(&'static str, String); 13]> {
        let number = |x: Option<f64>| format!("{x:?}");
        Ok([
            ("--method", self.method.name().into()),
            ("--scores", content_hash(self.scores.as_ref())?),
            ("--attribution", self.attribution.unwrap_or_default().name().into()),
            ("--rank", self.rank.name().into()),
            ("--same-sign", number(self.same_sign)),
            ("--edges", format!("{:?}", self.edges)),
            ("--tau", number(self.tau)),
            ("--faithfulness", number(self.faithfulness)),
            ("--tol", number(self.tol)),
            ("--candidates", format!("{:?}", self.candidates)),
            ("--steps", self.steps.to_string()),
            ("--connected", self.connected.to_string()),
            ("--seed", self.seed.to_string()),
        ])
    }

    /// Refuses a search that takes more than a day.
    fn affordable<T: Element>(&self, b: &Behaviour<'_, T>) -> Result<()> {
        let passes = match self.method {
            Search::Acdc => b.graph.edges() as f64,
            Search::EdgePruning => {
                let rows = b.pairs.longest() * b.pairs.len();
                let batches = rows.div_ceil(b.rows).max(1);
                self.steps as f64 * (1.0 + cost::BACKWARD) / batches as f64
            }
            _ => 0.0,
        };
        let what = format!("--method {}: {} edges", self.method.name(), b.graph.edges());
        self.asked.affordable(&what, cost::seconds(b, passes)?, "use --method topn")
    }

    fn attribute<T: Element>(&self, b: &Behaviour<'_, T>) -> Result<Scored> {
        let method = self.attribution.unwrap_or_default();
        let options = Options { seed: self.seed, ..method.options() };
        let what = format!("--attribution {}: {} edges", method.name(), b.graph.edges());
        self.asked.affordable(&what, method.seconds(b, &options)?, "use --attribution eap-ig")?;
        let (shown, mut progress) = bar(method.name());
        let ours = method.scores(b, &options, &mut progress)?.values;
        shown.finish();
        let convention = self.asked.convention();
        let given = ours.iter().map(|&s| convention.and_ours(s)).collect();
        Ok(Scored { given, ours, convention, origin: method.name().into() })
    }

    /// Says what is known of other circuits.
    fn tell_search(&self, found: &Found) {
        if let Some(Minimal { circuit, tried, proven, lower, .. }) = &found.minimal {
            let size = circuit.iter().flatten().filter(|&&k| k).count();
            match proven {
                true => println!("proven smallest: {tried} sets of edges were tried"),
                false => println!(
                    "not proven smallest: {tried} sets were tried, none of fewer than {lower} \
                     edges holds; this one has {size}"
                ),
            }
        }
        if let Some(Heaviest { sum, bound, .. }) = found.heaviest {
            let n = self.edges.unwrap_or_default();
            let share = 100.0 * (bound - sum) / bound.max(f64::MIN_POSITIVE);
            println!(
                "scores sum to {sum:.6}; no connected circuit of {n} edges has more than \
                 {bound:.6}: gap {share:.2} %"
            );
            note("gap", json!({ "sum": sum, "bound": bound }));
        }
    }

    /// Says what was found.
    fn tell<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        flow: &Flow<'_>,
        span: &Span,
        kept: &[bool],
    ) -> Result<()> {
        let values = running::circuits(b, &[kept.to_vec()], &mut |_| {})?.remove(0);
        let edges = kept.iter().filter(|&&k| k).count();
        let nodes = b.graph.circuit_file(kept, None, &Meta::default()).nodes;
        let nodes = nodes.iter().filter(|(_, node)| node.in_graph).count();
        let mean = values.iter().sum::<f64>() * b.weight();
        println!(
            "{}, {}; {} {mean:.6}, faithfulness {:.4}",
            counted(edges, "edge"),
            counted(nodes, "node"),
            self.asked.metric.name(),
            span.faithfulness(&values),
        );
        note("edges", edges);
        note("nodes", nodes);
        note(self.asked.metric.name(), mean);
        note("faithfulness", span.faithfulness(&values));
        flow.warn_disconnected(kept);
        Ok(())
    }
}
