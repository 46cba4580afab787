//! What a training run is told: task, model and training of each stage, fully resolved.
//!
//! A configuration comes from a TOML file ([`Config::read`]) or from these plain structs. Either
//! way [`Config::validate`] has the last word, and [`Config::to_toml`] writes down every value, so
//! that the file in a run folder says all there is to say.
//!
//! ```
//! use edgegrad::experiments::train::config::Config;
//! let text = "
//!     [task]
//!     p = 2
//!     [model]
//!     d_model = 16
//!     [train]
//!     lr = 1e-2
//!     batch = 'full'
//!     steps = 2500
//!     [[stages]]
//!     [[stages]]
//!     p = 4
//!     steps = 1500
//! ";
//! let config = Config::parse(text, "curriculum.toml", &["lr=3e-3".into()])?;
//! assert_eq!(config.stages[1].task.p, 4);
//! assert_eq!(config.stages[1].train.lr, 3e-3);
//! assert_eq!(config.stages[0].model.vocab, 4); // room for every stage
//! assert_eq!(Config::parse(&config.to_toml(), "again.toml", &[])?, config);
//! # Ok::<(), edgegrad::error::Error>(())
//! ```

mod read;

use crate::error::{Error, Result};
use crate::experiments::settings::{
    Bounds, Broken, Checked, Entries, Keyed, Kind, ensure, settings, write_section,
};
use crate::experiments::train::parts::{Parts, Unknown};
use crate::experiments::train::work::model_config;
use crate::measures::{Measure, impossible};
use crate::named::{Named, named};
pub use crate::nn::{Activation, OptimizerKind, ScheduleShape};
use crate::nn::{Rule, sparse};
use crate::tasks::{MAX_TOKENS, modular_addition::MAX_P};
use std::path::PathBuf;
use toml::Value;

/// The most numbers one tensor of a run may hold.
pub(crate) const MAX_ELEMENTS: usize = 1 << 30;
/// The widest layer: two of them multiplied, and the four-fold default of the MLP, still fit.
pub(crate) const MAX_WIDTH: usize = 1 << 24;
/// The most steps of a stage, and the longest interval between two records: the whole numbers that
/// every reader of a metrics file can hold exactly.
pub(crate) const MAX_STEPS: u64 = 1 << 53;
/// The most pairs by which a circuit is judged.
pub(crate) const MAX_PROBE: usize = 1 << 16;
/// The most stages of a run.
pub(crate) const MAX_STAGES: usize = 1 << 16;

named! {
    /// The tasks there are.
    TaskKind {
        /// [`ModularAddition`](crate::tasks::modular_addition::ModularAddition).
        #[default]
        SparseModularAddition = "sparse-modular-addition",
    }
}
named! {
    /// The numbers a run computes with.
    DtypeKind {
        /// Single precision: fast.
        #[default]
        F32 = "f32",
        /// Double precision: exact.
        F64 = "f64",
    }
}
named! {
    /// The models there are.
    ModelKind {
        /// One attention layer with a single learned query, then one MLP.
        #[default]
        Pooled = "pooled",
    }
}
named! {
    /// What the optimiser remembers at the start of a stage.
    OptimizerState {
        /// Nothing, as in the papers.
        #[default]
        Fresh = "fresh",
        /// What it remembered at the end of the stage before.
        Keep = "keep",
    }
}

named! {
    /// What the label of a row is.
    Labels {
        /// The sum of the first `k` tokens modulo `p`.
        #[default]
        First = "first",
        /// The sum of the last `k` tokens modulo `p`.
        Last = "last",
        /// The parity of the sum of the first `k` tokens.
        Parity = "parity",
        /// Drawn at random.
        Random = "random",
    }
}

/// How many rows a step takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// This many.
    Size(usize),
    /// All train rows.
    Full,
}

/// A training run. Two are equal if they train alike, wherever they were read.
#[derive(Clone, Debug)]
pub struct Config {
    /// What all random numbers come from; at most `i64::MAX`, the largest number of TOML.
    pub seed: u64,
    /// What it computes with.
    pub dtype: DtypeKind,
    /// What a reader may call the run.
    pub name: Option<String>,
    /// What to train on, one after the other; at least one.
    pub stages: Vec<Stage>,
    /// The file it was read from, for errors.
    pub source: Option<PathBuf>,
}

impl PartialEq for Config {
    fn eq(&self, other: &Config) -> bool {
        let of = |c: &Config| (c.seed, c.dtype);
        of(self) == of(other) && self.name == other.name && self.stages == other.stages
    }
}

/// One stage of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stage {
    /// What a reader may call the stage; files say `stage-1` and so on unless told otherwise.
    pub name: String,
    /// Where examples come from.
    pub task: TaskConfig,
    /// The model: the same in all stages but for its dropout.
    pub model: ModelConfig,
    /// How it is trained.
    pub train: TrainConfig,
}

const STEPS: Bounds = Bounds::Whole(1, MAX_STEPS);
const PAUSE: Bounds = Bounds::Whole(0, MAX_STEPS);

settings! {
    /// The keys that stand above all sections.
    struct Run {
        /// What all random numbers come from.
        seed: u64;
        /// The numbers the run computes with.
        dtype: DtypeKind;
        /// What a reader may call the run, or one of its stages.
        name: Option<String>;
    }
}

settings! {
    /// The `[task]` section.
    pub struct TaskConfig {
        /// Which task.
        kind: TaskKind;
        /// The modulus.
        p: usize = 2, whole(2, MAX_P) => REQUIRED;
        /// Tokens in a row; the same in all stages.
        seq_len: usize = 12, whole(1, MAX_TOKENS);
        /// How many leading tokens are added; at most `seq_len`.
        k: usize = 5, whole(1, MAX_TOKENS);
        /// Rows to learn from; with `data` the file decides.
        train: usize = 2048, whole(1, MAX_TOKENS);
        /// Rows to be judged by, 0 for none; with `data` the file decides.
        test: usize = 2048;
        /// Whether test rows may be train rows too.
        overlap: bool;
        /// What the labels are: the sum of the `first` or `last` `k` tokens modulo `p`, the
        /// `parity` of the first sum, or drawn at `random`.
        labels: Labels;
        /// A safetensors file with the rows, instead of drawn ones; its path starts at the
        /// configuration.
        data: Option<PathBuf>;
    }
}

settings! {
    /// The `[model]` section; stages may change only `dropout`.
    pub struct ModelConfig {
        /// Which model.
        kind: ModelKind;
        /// V, token embeddings and output classes; at least `p` of every stage.
        vocab: usize = 2, whole(2, MAX_ELEMENTS) => "the largest `p`";
        /// D, the width of the residual stream.
        d_model: usize = 2, whole(1, MAX_WIDTH);
        /// F, the neurons of the MLP.
        d_mlp: usize = 8, whole(1, MAX_ELEMENTS) => "4 times `d_model`";
        /// The nonlinearity of the MLP.
        activation: Activation;
        /// Whether the MLP has biases.
        mlp_bias: bool = true;
        /// The share of the MLP's output that is dropped in training.
        dropout: f64 = 0.0, BELOW_1;
        /// A safetensors file with the initial weights, instead of drawn ones; its path starts at
        /// the configuration.
        init: Option<PathBuf>;
        /// What comes before a weight's name in that file.
        init_prefix: String;
    }
}

settings! {
    /// The `[train]` section.
    pub struct TrainConfig {
        /// Which optimizer.
        optimizer: OptimizerKind;
        /// The learning rate.
        lr: f64 = 3e-3, ABOVE_0;
        /// Adam's two decay rates.
        betas: [f64; 2] = [0.9, 0.999], BELOW_1;
        /// What Adam adds to the root of the second moment.
        eps: f64 = 1e-8, ABOVE_0;
        /// The momentum of `sgd`.
        momentum: f64 = 0.0, BELOW_1;
        /// Weight decay, coupled or not as the optimizer says.
        weight_decay: f64 = 0.0, FROM_0;
        /// The MLP learns with `lr` divided by this.
        mlp_lr_discount: f64 = 1.0, ABOVE_0;
        /// Rows in a step; `"full"` for all train rows.
        batch: Batch = Batch::Size(32), whole(1, MAX_ELEMENTS);
        /// Rows in a part; the gradient of a batch is the sum of its parts', which processes of
        /// `mpirun` divide.
        part: Option<usize>, whole(1, MAX_ELEMENTS) => "`batch`";
        /// Steps in the stage.
        steps: u64 = 1000, STEPS => REQUIRED;
        /// Whether each pass takes the rows in a new order.
        shuffle: bool = true;
        /// How the learning rate falls.
        schedule: ScheduleShape;
        /// Steps over which it first rises from 0 to `lr`; at most `steps`.
        warmup: u64;
        /// Where it ends; at most `lr`.
        min_lr: f64 = 0.0, FROM_0;
        /// The largest norm of the whole gradient; longer ones are scaled down to it.
        clip: Option<f64>, ABOVE_0;
        /// Steps between two recorded losses.
        log_every: u64 = 1, STEPS;
        /// Steps between two evaluations; 0: only at the end of the stage.
        eval_every: u64 = 50, PAUSE;
        /// Steps between two checkpoints; 0: only the final one.
        checkpoint_every: u64 = 0, PAUSE;
        /// Steps between two snapshots of the weights for the report; 0: none.
        snapshot_every: u64 = 0, PAUSE;
        /// Steps between two looks at the circuit; 0: none.
        circuit_every: u64 = 0, PAUSE;
        /// Pairs of sequences by which the circuit is judged.
        circuit_probe: usize = Batch::Size(32).default_probe(), whole(1, MAX_PROBE)
            => "a quarter of `batch`, 8 to 64";
        /// What is measured along the stage: norms, effective ranks, the entropy of attention, the
        /// agreement of gradients, losses by frequency, curvature, the local learning coefficient.
        measure: Vec<Measure>;
        /// Steps between two measurements; 0: only at both ends of the stage.
        measure_every: u64 = 0, PAUSE;
        /// What the optimizer remembers at the start of the stage.
        optimizer_state: OptimizerState;
        /// The share of each matrix's weights that are not 0: after each step the largest stay. It
        /// falls from 1 over the first half of the stage.
        nonzero: Option<f64>, INSIDE_1;
        /// Parts of the model that the stage takes over; all others are drawn anew.
        keep: Vec<String>;
        /// Parts of the model that are drawn anew before the stage.
        reset: Vec<String>;
        /// Parts of the model that the stage does not change.
        freeze: Vec<String>;
        /// Before the stage, position embeddings are moved along the query until the first `k`
        /// positions have this share of the attention.
        attend: Option<f64>, INSIDE_1;
    }
}

impl Kind for Batch {
    const EXAMPLE: &'static str = "32";

    fn expected() -> String {
        "a whole number from 0 on or \"full\"".into()
    }

    fn read(value: &Value, bare: bool) -> Option<Batch> {
        match value.as_str() {
            Some("full") => Some(Batch::Full),
            _ => usize::read(value, bare).map(Batch::Size),
        }
    }

    fn write(&self) -> Option<Value> {
        match self {
            Batch::Size(n) => n.write(),
            Batch::Full => Some("full".into()),
        }
    }
}

impl Batch {
    /// How many rows it has, of a train set of this many.
    pub(super) fn rows(self, train: usize) -> usize {
        match self {
            Batch::Size(n) => n,
            Batch::Full => train,
        }
    }

    /// The pairs by which a circuit is judged unless told otherwise: a quarter of a batch, so that
    /// a look costs about as much as a few steps whatever the model is, and 64 where that is more.
    pub fn default_probe(self) -> usize {
        match self {
            Batch::Size(n) => (n / 4).clamp(8, 64),
            Batch::Full => 64,
        }
    }
}

impl Default for Config {
    /// One default stage.
    fn default() -> Config {
        let stage = Stage { name: stage_name(0), ..Stage::default() };
        let dtype = DtypeKind::default();
        Config { seed: 0, dtype, name: None, stages: vec![stage], source: None }
    }
}

/// The name of stage `i`, counted from 0, when the file gives none.
fn stage_name(i: usize) -> String {
    format!("stage-{}", i + 1)
}

/// What is wrong with a key, as `section.key`, and of which stage; of none if it stands above.
type Problem = (Option<usize>, Broken);

/// A tensor with these sides must not be too large.
fn size(key: &str, sides: &[(&str, usize)], limit: usize) -> Checked {
    let product = sides.iter().fold(1usize, |n, &(_, side)| n.saturating_mul(side));
    let names: Vec<_> = sides.iter().map(|(name, side)| format!("{name} ({side})")).collect();
    let message = format!("{} is more than {limit} numbers", names.join(" * "));
    let help = format!("lower `{}`", key.rsplit('.').next().unwrap_or(key));
    if product <= limit { Ok(()) } else { Err(Broken { key: key.into(), message, help }) }
}

impl Config {
    /// Checks every value, alone and against the others.
    ///
    /// # Errors
    /// Names the key of the first value that cannot be, what it may be, and what it is.
    pub fn validate(&self) -> Result<()> {
        self.check().map_err(|problem| self.error(problem))
    }

    /// Checks what depends on the number of train rows of stage `i`, once they have been read.
    pub(super) fn check_rows(&self, i: usize, rows: usize) -> Result<()> {
        self.stages[i].check_rows(rows).map_err(|broken| self.error((Some(i), broken)))
    }

    fn error(&self, (stage, broken): Problem) -> Error {
        broken.at(&match stage {
            None => self.place(&broken.key),
            Some(i) => self.place_in(i, &broken.key),
        })
    }

    /// What errors call `key`: with the file, if there is one.
    pub(super) fn place(&self, key: &str) -> String {
        let file = self.source.as_ref().map(|file| format!("{}: ", file.display()));
        file.unwrap_or_default() + key
    }

    /// What errors call the key `section.key` of stage `i`.
    pub(super) fn place_in(&self, i: usize, key: &str) -> String {
        match self.stages.len() {
            1 => self.place(key),
            _ => self.place(&format!("stages.{i}.{key}")),
        }
    }

    /// The keys above all sections.
    fn run(&self) -> Run {
        Run { seed: self.seed, dtype: self.dtype, name: self.name.clone() }
    }

    fn check(&self) -> Checked<Problem> {
        self.check_top().map_err(|broken| (None, broken))?;
        let [first, ..] = &self.stages[..] else { return Ok(()) };
        for (i, stage) in self.stages.iter().enumerate() {
            let before = &self.stages[i.saturating_sub(1)];
            stage.check(first, before).map_err(|broken| (Some(i), broken))?;
        }
        first.check_first().map_err(|broken| (Some(0), broken))?;
        Ok(())
    }

    fn check_top(&self) -> Checked {
        let (seed, stages, largest) = (self.seed, self.stages.len(), i64::MAX);
        ensure!(seed <= largest as u64, "seed": "must be at most {largest}, got {seed}";
            "choose a smaller seed; any number will do");
        ensure!((1..=MAX_STAGES).contains(&stages), "stages":
            "must be 1 to {MAX_STAGES} stages, got {stages}";
            "remove `stages` to train in one stage");
        Ok(())
    }
}

impl Stage {
    /// Checks the keys of the sections, and what they have to agree on with each other, with those
    /// of the first stage and with those of the stage before.
    fn check(&self, first: &Stage, before: &Stage) -> Checked {
        let Stage { task, model, train, .. } = self;
        task.check("task")?;
        task.agrees()?;
        model.check("model")?;
        in_utf8("model.init", &model.init)?;
        train.check("train")?;
        train.agrees()?;
        let (vocab, p, seq_len, first_len) =
            (model.vocab, task.p, task.seq_len, first.task.seq_len);
        ensure!(vocab >= p, "model.vocab": "must be at least p = {p} of every stage, got {vocab}";
            "write `vocab = {p}`, or leave it out");
        let (d_model, d_mlp) = (("d_model", model.d_model), ("d_mlp", model.d_mlp));
        let embeddings = [("vocab", vocab), ("seq_len", seq_len), d_model];
        size("model.d_model", &embeddings, MAX_ELEMENTS)?;
        size("model.d_model", &[d_model, d_model], MAX_ELEMENTS)?;
        size("model.d_mlp", &[d_mlp, d_model], MAX_ELEMENTS)?;
        // Only the file knows how many rows there are.
        if task.data.is_none() {
            self.check_rows(task.train)?;
        }
        let same = ModelConfig { dropout: first.model.dropout, ..model.clone() } == first.model;
        ensure!(same, "model.kind": "a stage cannot change the model, only its dropout";
            "give all stages the same model");
        ensure!(seq_len == first_len, "task.seq_len":
            "must be {first_len} as in the first stage, got {seq_len}";
            "the model has an embedding for each position: write one `seq_len` in `[task]`");
        let keeps = train.optimizer_state == OptimizerState::Keep;
        let alike = train.rule().moments() == before.train.rule().moments();
        ensure!(!keeps || alike, "train.optimizer_state":
            "cannot keep what another kind of optimizer remembers";
            "write `optimizer_state = \"fresh\"`, or give both stages the same optimizer");
        self.check_parts()?;
        self.check_nonzero()?;
        self.check_measures()
    }

    /// Whether each matrix keeps a weight.
    fn check_nonzero(&self) -> Checked {
        let Some(share) = self.train.nonzero else { return Ok(()) };
        let left = |n: usize| sparse::kept(n, share, 1, 1);
        let parameters = model_config(self).parameters();
        let empty = parameters.iter().find(|p| p.is_matrix() && left(p.shape.len()) == 0);
        let Some(p) = empty else { return Ok(()) };
        let message = format!("leaves nothing of {}, which has {} weights", p.name, p.shape.len());
        let help = "choose a larger share, or a larger model".into();
        Err(Broken { key: "train.nonzero".into(), message, help })
    }

    /// Whether the task has what is to be measured.
    fn check_measures(&self) -> Checked {
        let impossible = |m: &Measure| Some((m.name(), impossible(*m, self.task.p)?));
        let Some((name, why)) = self.train.measure.iter().find_map(impossible) else {
            return Ok(());
        };
        let help = format!("remove `{name}` in this stage, or choose another p");
        Err(Broken { key: "train.measure".into(), message: format!("`{name}`: {why}"), help })
    }

    /// Whether the model has the parts that it is asked to keep, draw anew and freeze.
    fn check_parts(&self) -> Checked {
        let TrainConfig { keep, reset, freeze, .. } = &self.train;
        ensure!(keep.is_empty() || reset.is_empty(), "train.reset":
            "has no meaning beside `keep`, which draws everything else anew";
            "remove one of them");
        for (key, names) in [("keep", keep), ("reset", reset), ("freeze", freeze)] {
            Parts::of(names, &model_config(self)).map_err(|unknown| {
                let Unknown { message, help } = unknown;
                Broken { key: format!("train.{key}"), message, help }
            })?;
        }
        Ok(())
    }

    /// What a first stage cannot do.
    fn check_first(&self) -> Checked {
        let TrainConfig { keep, reset, .. } = &self.train;
        let drawn = self.model.init.is_none();
        let help = "write it in a later stage, or give weights by `model.init`";
        ensure!(!drawn || keep.is_empty(), "train.keep":
            "has no effect: all weights of the first stage are drawn"; "{help}");
        ensure!(!drawn || reset.is_empty(), "train.reset":
            "has no effect: all weights of the first stage are drawn"; "{help}");
        Ok(())
    }

    /// What depends on the number of train rows.
    fn check_rows(&self, rows: usize) -> Checked {
        let Stage { task, model, train, .. } = self;
        let batch = train.batch.rows(rows);
        let limit = match &task.data {
            Some(file) => format!("the {rows} train rows of {}", file.display()),
            None => format!("task.train = {rows}"),
        };
        ensure!(batch <= rows, "train.batch": "must be at most {limit}, got {batch}";
            "lower it, or write `batch = \"full\"`");
        let widest = model.d_mlp.max(model.d_model).max(model.vocab).max(task.seq_len);
        let widest = ("widest layer", widest);
        size("train.batch", &[("batch", batch), widest], MAX_ELEMENTS)?;
        let circuits = if train.circuit_every > 0 { 2 * task.seq_len + 3 } else { 0 };
        let probe = [("circuit_probe", train.circuit_probe), ("circuits", circuits), widest];
        size("train.circuit_probe", &probe, MAX_ELEMENTS)
    }
}

impl TaskConfig {
    /// What its keys have to agree on.
    fn agrees(&self) -> Checked {
        let &TaskConfig { seq_len, k, train, test, .. } = self;
        ensure!(k <= seq_len, "task.k": "must be at most seq_len = {seq_len}, got {k}";
            "lower `k` or raise `seq_len`");
        size("task.train", &[("train", train), ("seq_len", seq_len)], MAX_TOKENS)?;
        size("task.test", &[("test", test), ("seq_len", seq_len)], MAX_TOKENS)?;
        ensure!(self.data.is_none() || self.labels == Labels::First, "task.labels":
            "has no effect beside `data`, whose file has the labels"; "remove one of them");
        in_utf8("task.data", &self.data)
    }
}

impl TrainConfig {
    /// The optimizer's update rule.
    pub(super) fn rule(&self) -> Rule {
        self.optimizer.rule(self.betas, self.eps, self.momentum, self.weight_decay)
    }

    /// What its keys have to agree on.
    fn agrees(&self) -> Checked {
        let &TrainConfig { momentum, steps, warmup, lr, min_lr, .. } = self;
        let (sgd, name) = (self.optimizer == OptimizerKind::Sgd, self.optimizer.name());
        ensure!(momentum == 0.0 || sgd, "train.momentum":
            "has no effect with the optimizer \"{name}\"";
            "remove it, or write `optimizer = \"sgd\"`; Adam has `betas`");
        ensure!(warmup <= steps, "train.warmup": "must be at most steps = {steps}, got {warmup}";
            "lower `warmup` or raise `steps`");
        ensure!(min_lr <= lr, "train.min_lr": "must be at most lr = {lr}, got {min_lr}";
            "lower `min_lr` or raise `lr`");
        Ok(())
    }
}

/// A path has to survive being written as text.
fn in_utf8(key: &str, path: &Option<PathBuf>) -> Checked {
    let good = |path: &PathBuf| path.to_str().is_some_and(|path| !path.is_empty());
    let message = "must be a path in UTF-8 that is not empty".into();
    let broken = || Broken { key: key.into(), message, help: "rename the file".into() };
    if path.as_ref().is_none_or(good) { Ok(()) } else { Err(broken()) }
}

impl Config {
    /// The whole configuration as TOML, every default written out, always in the same order.
    /// Reading it again gives an equal configuration.
    pub fn to_toml(&self) -> String {
        self.written(&|entries, _| entries)
    }

    /// The same without the values that keys have unless given, so that a version that knows more
    /// keys writes the same.
    pub(in crate::experiments) fn unusual(&self) -> String {
        self.written(&|mut entries, usual| {
            entries.retain(|entry| !usual.contains(entry));
            entries
        })
    }

    /// As TOML, what `chosen` takes of the entries of each section and of the usual ones.
    fn written(&self, chosen: &dyn Fn(Entries, Entries) -> Entries) -> String {
        let mut out = String::new();
        let mut write = |title: &str, entries, usual| {
            write_section(&mut out, title, &chosen(entries, usual));
        };
        let usual = Stage::default();
        let (task, model, train) = (&usual.task, &usual.model, &usual.train);
        write("", self.run().entries(), Run::default().entries());
        match &self.stages[..] {
            [only] if only.name == stage_name(0) => {
                write("[task]", only.task.entries(), task.entries());
                write("[model]", only.model.entries(), model.entries());
                write("[train]", only.train.entries(), train.entries());
            }
            stages => {
                if let Some(first) = stages.first() {
                    write("[model]", first.model.entries(), model.entries());
                }
                for stage in stages {
                    write("[[stages]]", vec![("name", stage.name.write())], vec![]);
                    write("[stages.task]", stage.task.entries(), task.entries());
                    let dropout = vec![("dropout", stage.model.dropout.write())];
                    write("[stages.model]", dropout, vec![]);
                    write("[stages.train]", stage.train.entries(), train.entries());
                }
            }
        }
        out
    }

    /// The tables of keys in `GUIDE.md`.
    pub fn key_tables() -> String {
        let tables = [
            ("Above all sections:", Run::table()),
            ("In `[task]`:", TaskConfig::table()),
            ("In `[model]`; a stage can change only `dropout`:", ModelConfig::table()),
            ("In `[train]`:", TrainConfig::table()),
        ];
        tables.map(|(title, table)| format!("{title}\n\n{table}")).join("\n")
    }
}

#[cfg(test)]
mod tests;
