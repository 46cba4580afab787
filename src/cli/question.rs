//! The options that commands about edges share: a model, pairs, a metric, a graph.

use crate::cli::day::Day;
use crate::cli::model::ModelPath;
use crate::cli::out::{Force, check_out};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use edgegrad::attribution::Convention;
use edgegrad::checkpoints;
use edgegrad::checkpoints::AnyModel;
use edgegrad::discovery::optimal;
use edgegrad::error::{Error, Result};
use edgegrad::experiments::{Progress, available_threads};
use edgegrad::files::content_hash;
use edgegrad::files::journal::Journal;
use edgegrad::formats::pairs::Pairs;
use edgegrad::named::{Named, counted};
use edgegrad::patching::batches::Extremes;
use edgegrad::patching::behaviour::{Baseline, Behaviour};
use edgegrad::patching::metric::{Metric, Positions};
use edgegrad::patching::setup::Setup;
use edgegrad::ranks;
use edgegrad::tensor::Element;
use edgegrad::text::{LazyTokenizer, Words};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A model, the pairs and metric of a behaviour, and how finely the graph divides the model.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// A model folder, a GGUF file, or a name in the Hugging Face cache
    #[arg(long, value_name = "MODEL")]
    pub(super) model: ModelPath,
    /// Pairs: on each line {"clean": [ids], "corrupted": [ids], "answer": id, "distractor": id};
    /// each may be text if the model has a tokenizer
    #[arg(long, value_name = "FILE.jsonl")]
    pub(super) pairs: PathBuf,
    #[command(flatten)]
    pub(super) force: Force,
    /// Let the first token stand for an answer of text that is several
    #[arg(long)]
    first_token: bool,
    /// The metric computed from the output
    #[arg(
        long,
        default_value = "logit-diff",
        value_parser = choice::<Metric>(),
    )]
    pub(super) metric: Metric,
    /// The positions at which the metric is computed
    #[arg(
        long,
        default_value = "asked",
        value_parser = choice::<Positions>(),
    )]
    pub(super) at: Positions,
    /// The ablation value: what an ablated edge carries
    #[arg(
        long,
        default_value = "resample",
        value_parser = choice::<Baseline>(),
    )]
    pub(super) baseline: Baseline,
    /// With --baseline constant: the ablation value of each part, tensors `input` (or `embed`,
    /// `pos`) [D], `a0` [H, K] (values before W_O), `m0` [D], or [F] with --neurons
    #[arg(long, value_name = "FILE.safetensors")]
    constants: Option<PathBuf>,
    /// The sign of scores: `ours` (unless given) is positive where the metric falls without the
    /// edge. A file of scores that names none is taken to be in it, or, unless given, in EAP-IG's
    #[arg(
        long,
        value_parser = choice::<Convention>(),
    )]
    pub(super) convention: Option<Convention>,
    /// Give every position edges of its own
    #[arg(long)]
    positions: bool,
    /// Give every span that the pairs name edges of its own: "spans": {"subject": [3, 4]}
    #[arg(long, conflicts_with = "positions")]
    spans: bool,
    /// Make every neuron of an MLP a node
    #[arg(long)]
    neurons: bool,
    /// Make token embeddings (embed) and position embeddings (pos) two nodes
    #[arg(long)]
    split_input: bool,
    /// Let a head read its queries, keys and values through one edge
    #[arg(long)]
    joined_qkv: bool,
    /// Use the first N pairs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Examples times positions that are computed at a time
    #[arg(
        long,
        value_name = "N",
        default_value_t = edgegrad::patching::behaviour::ROWS as u64,
        value_parser = clap::value_parser!(u64).range(1..=1 << 24),
    )]
    rows: u64,
    /// Threads; all cores unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Go on with the same command where it was stopped
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    day: Day,
    /// The model's hash, once it is known.
    #[arg(skip)]
    hash: OnceLock<String>,
}

/// What a result depends on beside what is asked: names, and values or hashes.
pub(super) type Settings<'a> = &'a [(&'a str, String)];

/// Reads one of the names of an enumeration; the help says what each means.
pub(super) fn choice<T: Named + Send + Sync>() -> impl TypedValueParser<Value = T> {
    let value = |(name, value): &(&'static str, T)| {
        PossibleValue::new(*name).help(value.about().trim_end_matches('.').to_string())
    };
    let known = PossibleValuesParser::new(T::ALL.iter().map(value));
    known.map(|name| T::from_name(&name).expect("the parser knows the names"))
}

impl Asked {
    /// Runs `work` on the threads asked for.
    pub(super) fn on_threads<R: Send>(&self, work: impl FnOnce() -> Result<R> + Send) -> Result<R> {
        on_threads(self.threads, work)
    }

    /// Whether the file of results can be written, and is none of what is read.
    pub(super) fn check_out(&self, out: &Path) -> Result<()> {
        let read = [Some(&*self.model), Some(&self.pairs), self.constants.as_deref()];
        check_out(out, self.force, read.into_iter().flatten())
    }

    /// Reads the model and the pairs.
    pub(super) fn read<T: Element>(&self) -> Result<(AnyModel<T>, Pairs)> {
        self.model.fetch()?;
        // An error of the hash is one of those who need it.
        let read = || checkpoints::read_in_panels::<T>(&self.model);
        let (model, _) = rayon::join(read, || self.model_hash());
        let model = model?;
        let limit = self.limit.map(|n| n as usize);
        let pairs = self.pairs_of(&self.pairs, &model, limit)?;
        Ok((model, pairs))
    }

    /// The first pairs of a file for `model`, with text encoded by its tokenizer.
    pub(super) fn pairs_of<T: Element>(
        &self,
        path: &Path,
        model: &AnyModel<T>,
        limit: Option<usize>,
    ) -> Result<Pairs> {
        let text = LazyTokenizer::new(&*self.model, self.first_token);
        Pairs::read(path, &model.bounds(), Some(&text), limit)
    }

    /// What the positions of edges are called, if they have any.
    pub(super) fn place_name(&self) -> &'static str {
        if self.spans { "span" } else { "token" }
    }

    /// What stands at the positions of edges, if they have any: `[T]`, the words of the first
    /// pair's clean sequence, or the names of the spans.
    pub(super) fn tokens<T: Element>(&self, b: &Behaviour<'_, T>) -> Result<Option<Vec<String>>> {
        if self.spans {
            return Ok(Some(b.pairs.spans().into_iter().map(String::from).collect()));
        }
        if !self.positions {
            return Ok(None);
        }
        Words::of_sequence(&self.model, &b.pairs[0].clean).map(Some)
    }

    /// The convention of the graph and of the scores that are written.
    pub(super) fn convention(&self) -> Convention {
        self.convention.unwrap_or_default()
    }

    /// The hash of the model.
    pub(super) fn model_hash(&self) -> Result<String> {
        if let Some(hash) = self.hash.get() {
            return Ok(hash.clone());
        }
        let hash = checkpoints::hash(&self.model)?;
        Ok(self.hash.get_or_init(|| hash).clone())
    }

    /// The journal of the result `out` of the command `command`, which depends on `settings` as
    /// well.
    pub(super) fn journal<T: Element>(
        &self,
        pairs: &Pairs,
        (command, out): (&str, &Path),
        settings: Settings<'_>,
    ) -> Result<Journal> {
        let graph = (self.positions, self.spans, self.neurons, self.split_input, self.joined_qkv);
        let mut inputs: Vec<(&str, String)> = vec![
            ("command", command.into()),
            ("--dtype", T::NAME.into()),
            ("model", self.model_hash()?),
            ("--pairs", pairs.hash()),
            ("--constants", content_hash(self.constants.as_ref())?),
            ("--metric", self.metric.name().into()),
            ("--at", self.at.name().into()),
            ("--baseline", self.baseline.name().into()),
            ("--convention", self.convention().name().into()),
            ("graph", format!("{graph:?}")),
            ("--rows", self.rows.to_string()),
        ];
        inputs.extend_from_slice(settings);
        let inputs = inputs.into_iter().map(|(name, value)| (name.into(), value)).collect();
        crate::cli::journal(out, inputs, self.resume)
    }

    /// Refuses what takes more than a day, unless told to go on.
    pub(super) fn affordable(&self, what: &str, seconds: f64, instead: &str) -> Result<()> {
        self.day.check(what, seconds, &format!("ask fewer pairs with --limit, or {instead}"))
    }

    /// The behaviour: the model, its graph, and the metric on the pairs.
    pub(super) fn behaviour<'a, T: Element>(
        &self,
        model: &'a AnyModel<T>,
        pairs: &'a Pairs,
        journal: Journal,
    ) -> Result<Behaviour<'a, T>> {
        let mut b = self.setup().behaviour(model, pairs, journal)?;
        b.ablate_by(self.constants.as_deref(), |b| {
            let (shown, mut progress) = bar("optimal constants");
            let learned = optimal::learn(b, &Default::default(), &mut progress)?;
            shown.finish();
            Ok(learned.constants)
        })?;
        Ok(b)
    }

    /// What is chosen of the behaviour.
    fn setup(&self) -> Setup {
        Setup {
            metric: self.metric,
            at: self.at,
            baseline: self.baseline,
            convention: self.convention(),
            positions: self.positions,
            spans: self.spans,
            neurons: self.neurons,
            split_input: self.split_input,
            joined_qkv: self.joined_qkv,
            rows: self.rows as usize,
        }
    }

    /// The metric of the clean and of the corrupted runs, for people.
    pub(super) fn headline<T: Element>(&self, b: &Behaviour<'_, T>) -> Result<Extremes> {
        let extremes = b.extremes()?;
        let (clean, corrupted) = extremes.means();
        println!(
            "{}: {}, {}; {} {clean:.6} clean, {corrupted:.6} corrupted",
            self.model,
            counted(b.pairs.len(), "pair"),
            counted(b.graph.edges(), "edge"),
            self.metric.name(),
        );
        Ok(extremes)
    }
}

/// Runs `work` on so many threads; on all cores unless given.
pub(super) fn on_threads<R: Send>(
    threads: Option<u64>,
    work: impl FnOnce() -> Result<R> + Send,
) -> Result<R> {
    let mut pool = rayon::ThreadPoolBuilder::new();
    // Processes of one job share the cores.
    let shared = (!ranks::alone()).then(available_threads);
    if let Some(threads) = threads.map(|n| n as usize).or(shared) {
        pool = pool.num_threads(threads);
    }
    let pool =
        pool.build().map_err(|e| Error::failed("threads", e, "ask for fewer with --threads"))?;
    pool.install(work)
}

/// Progress of `what` in shares of the work, from 0 to 1.
pub(super) fn bar(what: &str) -> (Arc<Progress>, impl FnMut(f64) + use<>) {
    let bar = Arc::new(Progress::of(what));
    let shown = bar.clone();
    (bar, move |share: f64| shown.reach(share))
}
