//! What a tuning run is told.

use super::goal::Goal;
use crate::attribution::method::{Method as Attribution, Options};
use crate::error::{Error, Result};
use crate::graph::Granularity;
use crate::named::{Named, named};
use crate::nn::{Rule, Schedule, ScheduleShape};
use crate::patching::behaviour::Baseline;
use crate::patching::metric::{Metric, Positions};
use crate::tasks::language::Counted;
use crate::tuning::{Amount, Discovery, Extras, Leaving, Ramp, Select};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::PathBuf;

named! {
    /// What is trained.
    Method {
        /// What the circuit of the behaviour names, found again every K updates.
        #[default]
        Circuit = "circuit",
        /// The same, found once.
        Static = "static",
        /// Random ends of the same types as the circuit's, drawn again whenever it is found: the
        /// control.
        Random = "random",
        /// All parameters.
        Full = "full",
        /// The matrices and biases of attention.
        Attention = "attention",
        /// All biases, those of norms among them (BitFit, Zaken et al. 2021).
        Bias = "bias",
        /// The parameters with the largest gradient at the start, as many as the first circuit trains.
        Gradient = "gradient",
        /// Those with the largest mean square of single examples' gradients (Fisher's information).
        Fisher = "fisher",
        /// Low-rank adapters of all matrices.
        Lora = "lora",
        /// Low-rank adapters whose ranks follow the circuit's scores.
        CircuitLora = "circuit-lora",
        /// Low-rank adapters whose triplets compete for a budget (AdaLoRA).
        AdaLora = "adalora",
    }
}

named! {
    /// How numbers are updated.
    Optimiser {
        /// Adam with decay beside the update.
        #[default]
        AdamW = "adamw",
        /// Adam.
        Adam = "adam",
        /// Stochastic gradient descent with momentum.
        Sgd = "sgd",
    }
}

/// A tuning run but for its seed. Everything that a file does not set is as [`Settings::default`] has it.
///
/// ```
/// use edgegrad::experiments::tune::Settings;
/// use edgegrad::tuning::Select;
/// let settings = Settings::from_toml("settings", "method = \"lora\"\nrank = 4\nlr = 3e-3")?;
/// assert_eq!((settings.rank, settings.every), (4, 8));
/// // A share of the numbers unless a number of edges is given.
/// assert_eq!((settings.select, settings.edges), (Select::Share, 0.25));
/// let settings = Settings::from_toml("settings", "edges = 40.0")?;
/// assert_eq!((settings.select, settings.edges), (Select::Edges, 40.0));
/// let e = Settings::from_toml("settings", "every = 0").unwrap_err();
/// assert_eq!(e.to_string(), "settings: every: must be at least 1, got 0");
/// # Ok::<(), edgegrad::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What the model is tuned for.
    #[serde(with = "text")]
    pub task: Goal,
    /// What is trained.
    #[serde(with = "text")]
    pub method: Method,
    /// Updates.
    pub steps: usize,
    /// Examples in a batch.
    pub batch: usize,
    /// Examples computed at a time; a batch is the sum of its parts.
    pub part: usize,
    /// The largest learning rate.
    pub lr: f64,
    /// Updates in which it rises from 0.
    pub warmup: usize,
    /// How it moves then.
    #[serde(with = "text")]
    pub schedule: ScheduleShape,
    /// How numbers are updated.
    #[serde(with = "text")]
    pub optimizer: Optimiser,
    /// Of `sgd`.
    pub momentum: f64,
    /// How fast trained numbers shrink.
    pub weight_decay: f64,
    /// The largest norm of a gradient; 0 for any.
    pub clip: f64,
    /// Which tokens count in the loss.
    #[serde(with = "text")]
    pub counted: Counted,
    /// How much an asked token counts, where another counts 1.
    pub asked_weight: f64,
    /// How much the mean of the pronouns' `|logit gap|` counts (E2).
    pub beta: f64,
    /// A circuit is found again every so many updates (K).
    pub every: usize,
    /// How it is taken from scores; a text that says `edges` and no `select` means a number of edges.
    #[serde(with = "text")]
    pub select: Select,
    /// How many edges or ends, how faithful, how large a score, or which share of the numbers.
    pub edges: f64,
    /// The same at the first update, if it moves.
    pub edges_start: Option<f64>,
    /// Updates on the way.
    pub edges_steps: usize,
    /// How it moves.
    #[serde(with = "text")]
    pub ramp: Ramp,
    /// A file with the circuit to train, of `static`: as `discover` writes it, or another run.
    pub circuit: Option<PathBuf>,
    /// Whether neurons are nodes of their own, instead of a layer's MLP.
    pub neurons: bool,
    /// Whose scores.
    #[serde(with = "text")]
    pub attribution: Attribution,
    /// Steps of methods that take some.
    pub attribution_steps: Option<usize>,
    /// What answers are worth to them.
    #[serde(with = "text")]
    pub metric: Metric,
    /// Where: at the asked position (outcome), or at all (process).
    #[serde(with = "text")]
    pub positions: Positions,
    /// What stands in for removed edges.
    #[serde(with = "text")]
    pub baseline: Baseline,
    /// Pairs at a discovery.
    pub pairs: usize,
    /// Decay rates of averages of scores over discoveries.
    pub smoothing: Option<[f64; 2]>,
    /// The first layer that is trained, and the first that is not any more.
    pub layers: Option<[usize; 2]>,
    /// Random ends that are trained as well, as a share of the circuit's.
    pub random_share: f64,
    /// What of a slice that leaves stays in the optimiser.
    #[serde(with = "text")]
    pub leaving: Leaving,
    /// Whether biases are trained with a circuit.
    pub biases: bool,
    /// Whether embeddings are.
    pub embeddings: bool,
    /// Whether norms are.
    pub norms: bool,
    /// Whether the unembedding is.
    pub unembedding: bool,
    /// Whether the loss is that of the circuit alone, with the baseline in place of all else, instead
    /// of that of the whole model. The authors have no such option.
    pub masked: bool,
    /// The rank of adapters, on average.
    pub rank: usize,
    /// What the product of adapters is multiplied by, times its rank.
    pub alpha: f64,
    /// Updates between two looks at the model.
    pub look: usize,
    /// Held-out examples of each kind that it is judged by.
    pub examples: usize,
    /// Pairs on which all edges are scored at each look, for their trends; none if 0.
    pub probe: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            task: Goal::default(),
            method: Method::default(),
            steps: 300,
            batch: 64,
            part: 64,
            lr: 1e-3,
            warmup: 20,
            schedule: ScheduleShape::Linear,
            optimizer: Optimiser::default(),
            momentum: 0.9,
            weight_decay: 0.0,
            clip: 1.0,
            counted: Counted::All,
            asked_weight: 1.0,
            beta: 0.0,
            every: 8,
            select: Select::Share,
            edges: 0.25,
            edges_start: None,
            edges_steps: 0,
            ramp: Ramp::default(),
            circuit: None,
            neurons: false,
            attribution: Attribution::default(),
            attribution_steps: None,
            metric: Metric::default(),
            positions: Positions::default(),
            baseline: Baseline::default(),
            pairs: 16,
            smoothing: None,
            layers: None,
            random_share: 0.0,
            leaving: Leaving::default(),
            biases: true,
            embeddings: false,
            norms: false,
            unembedding: false,
            masked: false,
            rank: 8,
            alpha: 16.0,
            look: 100,
            examples: 200,
            probe: 0,
        }
    }
}

impl Settings {
    /// The settings in a text; `place` is what errors call it.
    ///
    /// # Errors
    /// If it is no TOML, has an unknown key or a value that cannot be.
    pub fn from_toml(place: &str, text: &str) -> Result<Settings> {
        let help = "see the keys in README, or those of a result's settings";
        let fail = |e: toml::de::Error| Error::input(place, e.message(), help);
        let mut table: toml::Table = toml::from_str(text).map_err(fail)?;
        if table.contains_key("edges") && !table.contains_key("select") {
            table.insert("select".into(), Select::Edges.name().into());
        }
        let found: Settings = table.try_into().map_err(fail)?;
        found.check().map_err(|e| e.within(place))?;
        Ok(found)
    }

    /// The settings in a text, after changes such as `lr=1e-3`, each TOML.
    ///
    /// # Errors
    /// As [`from_toml`](Self::from_toml); or if a change is none.
    pub fn with_changes(place: &str, text: &str, changes: &[String]) -> Result<Settings> {
        let help = "see the keys in README, or those of a result's settings";
        let mut table: toml::Table =
            toml::from_str(text).map_err(|e| Error::input(place, e.message(), help))?;
        for change in changes {
            let parsed: std::result::Result<toml::Table, _> = toml::from_str(change);
            let known = parsed.ok().filter(|t| t.len() == 1).ok_or_else(|| {
                let message = format!("`{change}` is no KEY=VALUE");
                Error::input("--set", message, "write for example --set lr=1e-3")
            })?;
            table.extend(known);
        }
        Settings::from_toml(place, &table.to_string())
    }

    /// Checks everything that does not depend on the model.
    ///
    /// # Errors
    /// If a value cannot be; the place is its key.
    pub fn check(&self) -> Result<()> {
        for (key, n, least, most) in [
            ("steps", self.steps, 1, 10_000_000),
            ("batch", self.batch, 1, 1 << 16),
            ("part", self.part, 1, 1 << 16),
            ("every", self.every, 1, usize::MAX),
            ("pairs", self.pairs, 1, 1 << 16),
            ("rank", self.rank, 1, 1 << 16),
            ("look", self.look, 1, usize::MAX),
            ("examples", self.examples, 1, 1 << 20),
        ] {
            if n < least {
                let message = format!("must be at least {least}, got {n}");
                return Err(Error::input(key, message, "give a larger number"));
            }
            if n > most {
                let message = format!("must be at most {most}, got {n}");
                return Err(Error::input(key, message, "give a smaller number"));
            }
        }
        for (key, x, least) in [
            ("lr", self.lr, f64::MIN_POSITIVE),
            ("momentum", self.momentum, 0.0),
            ("weight_decay", self.weight_decay, 0.0),
            ("clip", self.clip, 0.0),
            ("asked_weight", self.asked_weight, f64::MIN_POSITIVE),
            ("beta", self.beta, 0.0),
            ("random_share", self.random_share, 0.0),
            ("alpha", self.alpha, f64::MIN_POSITIVE),
        ] {
            if !(x.is_finite() && x >= least) {
                let what = if least > 0.0 { "above 0" } else { "at least 0" };
                return Err(Error::input(
                    key,
                    format!("must be {what}, got {x}"),
                    "give such a number",
                ));
            }
        }
        for beta in self.smoothing.iter().flatten() {
            if !(0.0..1.0).contains(beta) {
                let message = format!("must be from 0 to below 1, got {beta}");
                return Err(Error::input("smoothing", message, "0.85 is usual"));
            }
        }
        if self.beta > 0.0 && self.task != Goal::Balance {
            let message = format!("is of E2 alone, and the task is {}", self.task.name());
            return Err(Error::input("beta", message, "leave it out"));
        }
        if self.circuit.is_some() && self.method != Method::Static {
            let message =
                format!("is of `static` alone, and the method is `{}`", self.method.name());
            return Err(Error::input("circuit", message, "set method = \"static\""));
        }
        if self.masked && self.circuit.is_some() {
            let message = "does not go with a circuit from a file";
            return Err(Error::input("masked", message, "let the circuit be found"));
        }
        if self.masked && !self.trains_circuit() {
            let message = format!("`{}` trains no circuit", self.method.name());
            return Err(Error::input("masked", message, "use it with circuit or static"));
        }
        if self.masked && self.baseline == Baseline::Resample {
            let message = "needs a baseline that is there without a corrupted sequence";
            return Err(Error::input("masked", message, "set baseline to zero or mean"));
        }
        Ok(())
    }

    fn trains_circuit(&self) -> bool {
        matches!(self.method, Method::Circuit | Method::Static | Method::Random)
    }

    /// The update rule.
    pub fn rule(&self) -> Rule {
        let (betas, eps, weight_decay) = ([0.9, 0.999], 1e-8, self.weight_decay);
        match self.optimizer {
            Optimiser::AdamW => Rule::AdamW { betas, eps, weight_decay },
            Optimiser::Adam => Rule::Adam { betas, eps, weight_decay },
            Optimiser::Sgd => Rule::Sgd { momentum: self.momentum, weight_decay },
        }
    }

    /// Learning rates.
    pub fn rates(&self) -> Schedule {
        let &Settings { schedule: shape, lr: peak, warmup, steps, .. } = self;
        Schedule { shape, peak, floor: 0.0, warmup, steps }
    }

    /// What is trained beside what a circuit's ends own.
    pub fn extras(&self) -> Extras {
        let &Settings { biases, embeddings, norms, unembedding, .. } = self;
        Extras { biases, embeddings, norms, unembedding }
    }

    /// How finely the graph divides the model.
    pub fn granularity(&self) -> Granularity {
        Granularity { neurons: self.neurons, ..Granularity::default() }
    }

    /// How circuits are found.
    pub fn discovery(&self, seed: u64) -> Discovery {
        let usual = self.attribution.options();
        let steps = self.attribution_steps.unwrap_or(usual.steps);
        let (start, end) = (self.edges_start.unwrap_or(self.edges), self.edges);
        let steps_of_amount = if self.edges_start.is_some() { self.edges_steps } else { 0 };
        Discovery {
            method: self.attribution,
            // A rank of edges needs no more digits than this.
            options: Options { steps, tol: 1e-3, seed, ..usual },
            metric: self.metric,
            positions: self.positions,
            baseline: self.baseline,
            select: self.select,
            amount: Amount { start, end, steps: steps_of_amount, ramp: self.ramp },
            smoothing: self.smoothing,
            layers: self.layers.map(|[from, to]| from..to),
            random: self.random_share,
        }
    }
}

/// Values by their names.
pub(super) mod text {
    use super::{Deserialize, Deserializer, Named, Serializer};
    use serde::de::Error as _;

    pub(in super::super) fn serialize<N: Named, S: Serializer>(
        value: &N,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(value.name())
    }

    pub(in super::super) fn deserialize<'de, N: Named, D: Deserializer<'de>>(
        from: D,
    ) -> Result<N, D::Error> {
        let name = String::deserialize(from)?;
        N::from_name(&name).ok_or_else(|| {
            let known: Vec<&str> = N::ALL.iter().map(|(name, _)| *name).collect();
            D::Error::custom(format!("unknown value {name:?}; use one of {}", known.join(", ")))
        })
    }
}
